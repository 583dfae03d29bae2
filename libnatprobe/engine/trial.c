/* SPDX-License-Identifier: MIT */
/* Filtering, then mapping and control, then done. */
#include "trial.h"

#include <string.h>

#include "control.h"
#include "filtering.h"
#include "pacing.h"

void npi_trial_begin(npi_facts *f, size_t server, npi_trial_scope scope)
{
    size_t index = f->trial_count++;
    npi_trial *t = &f->trials[index];
    memset(t, 0, sizeof *t);
    t->server = server;
    t->save_transactions = f->server_count > 1 || f->more_servers;
    f->servers[server].trial = (int)index;
    if (scope == NPI_TRIAL_BOTH_PHASES) {
        npi_filtering_init(f, t, (int)index + 1);
        return;
    }
    t->filtering.slot = NPI_SLOT_SOURCE;
    t->finding.state = NPI_DECIDED;
    t->phase = NPI_PHASE_MAPPING;
    npi_control_begin(f, t);
}

static void finish(npi_trial *t)
{
    npi_filtering_stop(&t->filtering);
    t->phase = NPI_PHASE_DONE;
}

/* Phase 2 happens once: a trial that was extended after it is done now. */
static void begin_mapping(npi_facts *f, npi_trial *t)
{
    if (npi_control_has_asked(t)) {
        finish(t);
        return;
    }
    npi_filtering_stop(&t->filtering);
    t->phase = NPI_PHASE_MAPPING;
    npi_control_begin(f, t);
}

/* It has fallen silent. That its other addresses answer is of use only if it is the only server. */
static void leave_silent(npi_facts *f, npi_trial *t, bool others_can_help)
{
    npi_decide_unknown(f, t, NPI_REASON_SHUT_OUT);
    if (!others_can_help) {
        begin_mapping(f, t);
        return;
    }
    f->servers[t->server].fell_silent = true;
    finish(t);
}

/* Neither decided, nor about to be by an answer that has come. */
static bool is_open(const npi_trial *t)
{
    const npi_change_test *ii = &t->filtering.ii;
    return !npi_trial_is_decided(t) && ii->outcome == NPI_CHANGE_PENDING && !ii->early;
}

static uint64_t advance_filtering(npi_facts *f, npi_trial *t, bool others_can_help)
{
    if (others_can_help && !t->filtering.resumed && is_open(t) && npi_server_is_slow(npi_trial_server(f, t))) {
        npi_decide_unknown(f, t, NPI_REASON_SLOW);
        begin_mapping(f, t);
        return f->now_ns;
    }
    uint64_t hushed_ns = is_open(t) ? npi_pacing_hushed_ns(f, t, others_can_help) : NPI_NEVER;
    if (hushed_ns <= f->now_ns) {
        leave_silent(f, t, others_can_help);
        return f->now_ns;
    }
    npi_filtering_step step = npi_filtering_advance(f, t);
    step.wake_ns = npi_time_min(step.wake_ns, hushed_ns);
    if (step.next == NPI_FILTERING_MAPPING)
        begin_mapping(f, t);
    else if (step.next == NPI_FILTERING_FINISH)
        finish(t);
    return step.wake_ns;
}

/* II was answered after its silence had been given up, and before any other request could open its way. */
static bool is_answered_late(const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    npi_reason reason = t->finding.reason;
    bool given_up = reason == NPI_REASON_SLOW || reason == NPI_REASON_SHUT_OUT || reason == NPI_REASON_LOSS;
    return npi_trial_is_decided(t) && given_up && p->ii.outcome == NPI_CHANGE_HONOURED && !p->pinhole_not_fresh &&
           !p->contradicted;
}

/* It was given up for others, which turned out to be of no help: there is nothing better than to wait for it. */
static bool is_slow_and_alone(const npi_facts *f, const npi_trial *t, bool others_can_help)
{
    return !others_can_help && t->finding.reason == NPI_REASON_SLOW && !t->filtering.resumed &&
           t->control.stage == NPI_MAPPING_DEFERRED && npi_pacing_slow_until_ns(f, t) <= npi_pacing_slow_share_ns(f);
}

static uint64_t advance_mapping(npi_facts *f, npi_trial *t, bool others_can_help)
{
    if (is_slow_and_alone(f, t, others_can_help)) {
        npi_take_back(t);
        npi_filtering_resume(f, t);
        t->filtering.resumed = true;
        t->phase = NPI_PHASE_FILTERING;
        return f->now_ns;
    }
    if (is_answered_late(t)) {
        npi_decide(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
        if (!npi_control_has_asked(t)) /* no more is to be expected of others */
            npi_control_begin(f, t);
    }
    bool may_leave = others_can_help && (!npi_trial_is_decided(t) || t->finding.reason == NPI_REASON_CONTROL);
    uint64_t gone_ns = may_leave ? npi_pacing_gone_ns(f, t) : NPI_NEVER;
    if (gone_ns <= f->now_ns) {
        leave_silent(f, t, others_can_help);
        return f->now_ns;
    }
    npi_control_step step = npi_control_advance(f, t, others_can_help);
    step.wake_ns = npi_time_min(step.wake_ns, gone_ns);
    if (step.next == NPI_CONTROL_FINISH) {
        finish(t);
    } else if (step.next == NPI_CONTROL_EXTEND) {
        npi_filtering_extend(f, t);
        t->phase = NPI_PHASE_FILTERING;
    }
    return step.wake_ns;
}

uint64_t npi_trial_advance(npi_facts *f, npi_trial *t, bool exhausted, bool others_can_help)
{
    const npi_server *s = npi_trial_server(f, t);
    if (t->phase == NPI_PHASE_DONE)
        return NPI_NEVER;
    if (s->failed || (exhausted && !npi_server_has_answered(s))) {
        npi_decide_unknown(f, t, NPI_REASON_UNFINISHED);
        finish(t);
        return f->now_ns;
    }
    if (t->phase == NPI_PHASE_FILTERING)
        return advance_filtering(f, t, others_can_help);
    return advance_mapping(f, t, others_can_help);
}

void npi_trial_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x)
{
    t->filtering_heard_ns = f->now_ns;
    npi_filtering_note_heard(f, t, x);
}

void npi_trial_take_answer(npi_facts *f, npi_trial *t, const npi_exchange *x, const npi_addr *from,
                           const npi_addr *origin, bool success)
{
    if (t->phase == NPI_PHASE_DONE)
        return;
    if (x == &t->control.x[NPI_C_II])
        npi_control_take_answer(f, t, NPI_C_II, from, origin, success);
    else if (x == &t->control.x[NPI_C_III])
        npi_control_take_answer(f, t, NPI_C_III, from, origin, success);
    else
        npi_filtering_take_answer(f, t, x->change, from, origin, success);
}
