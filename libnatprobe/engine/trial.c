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

static uint64_t advance_filtering(npi_facts *f, npi_trial *t, bool others_can_help)
{
    if (others_can_help && npi_server_is_slow(npi_trial_server(f, t)) && !npi_trial_is_decided(t)) {
        npi_decide_unknown(f, t, NPI_REASON_SLOW);
        begin_mapping(f, t);
        return f->now_ns;
    }
    uint64_t hushed_ns = npi_trial_is_decided(t) ? NPI_NEVER : npi_pacing_hushed_ns(f, t);
    if (!others_can_help && hushed_ns != NPI_NEVER) /* nothing is gained by leaving it before all hope is lost */
        hushed_ns = npi_time_max(hushed_ns, npi_time_add(npi_trial_server(f, t)->heard_ns, NPI_HUSH_ALONE_NS));
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

/* Nothing has come from A since its tests: neither from A:P, nor from A:Q, nor a control. */
static bool has_gone(const npi_facts *f, const npi_trial *t)
{
    const npi_transaction *again = &npi_trial_server(f, t)->x[NPI_RECHECK].t;
    const npi_exchange *x = t->control.x;
    bool heard = again->answers > 0 || npi_exchange_is_answered(&x[NPI_M_AQ]) ||
                 npi_exchange_is_answered(&x[NPI_C_II]) || npi_exchange_is_answered(&x[NPI_C_III]);
    return again->started && !heard && npi_transaction_aged(again, f->now_ns, npi_trial_rto(f, t)) >= NPI_GONE_COPIES;
}

static uint64_t advance_mapping(npi_facts *f, npi_trial *t, bool others_can_help)
{
    bool is_open = !npi_trial_is_decided(t) || t->finding.reason == NPI_REASON_CONTROL;
    if (others_can_help && is_open && !npi_server_is_slow(npi_trial_server(f, t)) && has_gone(f, t)) {
        leave_silent(f, t, others_can_help);
        return f->now_ns;
    }
    npi_control_step step = npi_control_advance(f, t, others_can_help);
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
