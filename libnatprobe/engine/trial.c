/* SPDX-License-Identifier: MIT */
/* Filtering, then mapping and control, then done. */
#include "trial.h"

#include <string.h>

#include "control.h"
#include "filtering.h"

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

static uint64_t advance_filtering(npi_facts *f, npi_trial *t, bool others_can_help)
{
    if (others_can_help && npi_server_is_slow(npi_trial_server(f, t)) && !npi_trial_is_decided(t)) {
        npi_decide_unknown(f, t, NPI_REASON_SLOW);
        begin_mapping(f, t);
        return f->now_ns;
    }
    npi_filtering_step step = npi_filtering_advance(f, t);
    if (step.next == NPI_FILTERING_MAPPING)
        begin_mapping(f, t);
    else if (step.next == NPI_FILTERING_FINISH)
        finish(t);
    return step.wake_ns;
}

static uint64_t advance_mapping(npi_facts *f, npi_trial *t, bool others_can_help)
{
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

void npi_trial_take_answer(npi_facts *f, npi_trial *t, const npi_exchange *x, const npi_addr *from, bool success)
{
    if (t->phase == NPI_PHASE_DONE)
        return;
    if (x == &t->control.x[NPI_C_II])
        npi_control_take_answer(f, t, NPI_C_II, from, success);
    else if (x == &t->control.x[NPI_C_III])
        npi_control_take_answer(f, t, NPI_C_III, from, success);
    else
        npi_filtering_take_answer(f, t, x->change, from, success);
}
