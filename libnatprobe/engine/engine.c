/* SPDX-License-Identifier: MIT */
/* Asks the floors below what is due, does it, tells the observer, and remembers when to ask again. */
#include "engine.h"

#include <string.h>

#include "again.h"
#include "errand.h"
#include "events.h"
#include "look.h"
#include "nat_behind.h"
#include "optional.h"
#include "path.h"
#include "rate.h"
#include "result.h"
#include "schedule.h"
#include "trial.h"
#include "verdict.h"

struct npi_engine {
    npi_facts facts;
    uint64_t wake_ns; /* the only place where a wake-up is registered */
    bool at_once;     /* something has come since: wake at once */
    bool has_arrival; /* a datagram has */
    bool is_at_rest;  /* beside what wakes it, nothing has come, left or been told since all that was due was done */
    bool has_verdict; /* and optional tests may go on: what the check has shown is this, whatever they bring */
    np_result verdict;
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static size_t servers_within(size_t max_servers)
{
    return max_servers < NPI_SERVERS_MAX ? max_servers : NPI_SERVERS_MAX;
}

/* A restart may begin a second trial with a server. */
static size_t trials_for(size_t servers)
{
    return 2 * servers < NPI_TRIALS_MAX ? 2 * servers : NPI_TRIALS_MAX;
}

static size_t errands_for(int32_t tests)
{
    return (tests & NP_TESTS_OPTIONAL) != 0 ? NPI_OPTIONAL_ERRANDS : 0;
}

size_t npi_engine_size(size_t max_servers, int32_t tests)
{
    size_t servers = servers_within(max_servers);
    return sizeof(npi_engine) + servers * sizeof(npi_server) + trials_for(servers) * sizeof(npi_trial) +
           errands_for(tests) * sizeof(npi_errand);
}

void npi_engine_init(npi_engine *e, const npi_engine_config *config, uint64_t now_ns)
{
    _Static_assert(_Alignof(npi_engine) >= _Alignof(npi_server), "servers lie behind the engine");
    _Static_assert(_Alignof(npi_server) >= _Alignof(npi_trial), "trials lie behind the servers");
    _Static_assert(_Alignof(npi_trial) >= _Alignof(npi_errand), "errands lie behind the trials");
    npi_facts *f = &e->facts;
    memset(e, 0, npi_engine_size(config->max_servers, config->tests));
    f->config = *config;
    f->server_room = servers_within(config->max_servers);
    f->servers = (npi_server *)(void *)(e + 1);
    f->trial_room = trials_for(f->server_room);
    f->trials = (npi_trial *)(void *)(f->servers + f->server_room);
    f->optional.errand_room = errands_for(config->tests);
    f->optional.errand = (npi_errand *)(void *)(f->trials + f->trial_room);
    f->start_ns = now_ns;
    f->now_ns = now_ns;
    f->traffic.first_sent_ns = NPI_NEVER;
    f->more_servers = true;
    npi_optional_init(f);
    e->wake_ns = NPI_NEVER; /* the first advance is never late: the driver may have begun long after the start */
    e->at_once = true;
}

bool npi_engine_add_server(npi_engine *e, const npi_addr *address, bool expected_mapping_only)
{
    npi_facts *f = &e->facts;
    npi_addr a = npi_addr_unmap(address);
    if (f->server_count == f->server_room || !npi_addr_is_destination(&a))
        return false;
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_addr_equal(&f->servers[i].address, &a))
            return false;
    }
    npi_server *s = &f->servers[f->server_count++];
    memset(s, 0, sizeof *s);
    s->address = a;
    s->expected_mapping_only = expected_mapping_only;
    s->trial = -1;
    e->at_once = true;
    return true;
}

void npi_engine_expect_servers(npi_engine *e, bool more)
{
    e->facts.more_servers = more;
    e->at_once = true;
}

size_t npi_engine_servers_wanted(const npi_engine *e)
{
    return npi_schedule_servers_wanted(&e->facts);
}

bool npi_engine_is_done(const npi_engine *e)
{
    return e->facts.done && npi_optional_is_over(&e->facts);
}

bool npi_engine_has_verdict(const npi_engine *e)
{
    return e->has_verdict;
}

uint64_t npi_engine_wakeup_ns(const npi_engine *e)
{
    if (npi_engine_is_done(e))
        return NPI_NEVER;
    return npi_time_add(e->at_once ? e->facts.now_ns : e->wake_ns, e->facts.standstill.total_ns);
}

/* The driver comes back much later than it was asked to: the time between is left out, but counts for the deadline. */
static void leave_out(npi_facts *f, uint64_t gap_ns)
{
    f->standstill.total_ns += gap_ns;
    f->standstill.resumed_ns = f->now_ns;
    npi_rate_pass(&f->rate, gap_ns);
    if (f->config.deadline_ns != NPI_NEVER)
        f->config.deadline_ns -= gap_ns < f->config.deadline_ns ? gap_ns : f->config.deadline_ns;
    npi_log_write(&f->config.log, NP_LOG_INFO, "the program stood still for %u ms", (unsigned)(gap_ns / NPI_MS));
}

/*
 * When the driver should have come. What arrives wakes it up; a server that is added does not, for the driver has just
 * come with it. The first time never has to be: it may have begun long after the start.
 */
static uint64_t expected_ns_of(const npi_engine *e)
{
    if (e->has_arrival && e->wake_ns != NPI_NEVER)
        return e->facts.now_ns;
    return npi_time_max(e->facts.now_ns, e->wake_ns);
}

/* time_ns is the driver's. */
static void move_clock(npi_engine *e, uint64_t time_ns)
{
    npi_facts *f = &e->facts;
    uint64_t now_ns = time_ns - f->standstill.total_ns;
    uint64_t expected_ns = expected_ns_of(e);
    if (time_ns < f->standstill.total_ns || now_ns <= f->now_ns)
        return;
    bool late = expected_ns != NPI_NEVER && now_ns > npi_time_add(expected_ns, NPI_STANDSTILL_NS);
    f->now_ns = late ? expected_ns : now_ns;
    if (late)
        leave_out(f, now_ns - expected_ns);
}

static void finish(npi_facts *f, int32_t error, int os_error)
{
    if (f->done)
        return;
    f->done = true;
    f->error = error;
    f->os_error = os_error;
    f->end_ns = f->now_ns;
    npi_event_conclusions(f);
}

void npi_engine_stop(npi_engine *e, uint64_t now_ns, int32_t error, int os_error)
{
    move_clock(e, now_ns);
    finish(&e->facts, error, os_error);
    npi_optional_stop(&e->facts);
}

void npi_engine_mute(npi_engine *e)
{
    e->facts.config.log.sink = NULL;
    e->facts.config.observer.sink = NULL;
}

static bool is_used_by_check(const npi_facts *f, int slot)
{
    if (slot == NPI_SLOT_SOURCE || npi_path_needs_slot(f, slot) || npi_look_needs_slot(f, slot))
        return true;
    for (size_t i = 0; i < f->trial_count; i++) {
        if (f->trials[i].filtering.slot == slot)
            return f->trials[i].phase != NPI_PHASE_DONE;
    }
    return false;
}

bool npi_engine_wants_gateway(const npi_engine *e, npi_addr *towards)
{
    const npi_addr *wanted = npi_nat_behind_towards(&e->facts);
    if (wanted != NULL)
        *towards = *wanted;
    return wanted != NULL;
}

void npi_engine_set_gateway(npi_engine *e, const npi_addr *gateway)
{
    e->is_at_rest = false;
    npi_nat_behind_found(&e->facts, gateway);
}

bool npi_engine_slot_in_use(const npi_engine *e, int slot)
{
    const npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return false;
    if (f->done)
        return slot == NPI_SLOT_SOURCE || npi_optional_needs_slot(f, slot);
    return is_used_by_check(f, slot) || npi_optional_needs_slot(f, slot);
}

bool npi_engine_has_heard(const npi_engine *e)
{
    return e->facts.any_answer;
}

uint64_t npi_engine_first_sent_ns(const npi_engine *e)
{
    return npi_time_add(e->facts.traffic.first_sent_ns, e->facts.standstill.total_ns);
}

npi_reason npi_engine_filtering_reason(const npi_engine *e)
{
    return npi_result_filtering_reason(&e->facts);
}

void npi_engine_result(const npi_engine *e, uint64_t now_ns, np_result *out)
{
    const npi_facts *f = &e->facts;
    uint64_t time_ns = now_ns - f->standstill.total_ns;
    if (!e->has_verdict) {
        npi_result_write(f, time_ns, out);
        return;
    }
    *out = e->verdict;
    out->packets_sent = f->traffic.sent;
    out->packets_received = f->traffic.received;
    if (npi_optional_is_over(f))
        time_ns = f->optional.end_ns;
    out->elapsed_us = npi_facts_elapsed_ns(f, time_ns) / 1000;
    npi_optional_write(f, out);
}

/* ---- Going on --------------------------------------------------------------------------------------------------- */

static uint64_t decide(npi_facts *f)
{
    uint64_t exhausted_ns = npi_schedule_all_exhausted_ns(f);
    npi_verdict verdict = npi_verdict_decide(f, exhausted_ns <= f->now_ns);
    if (verdict.next == NPI_VERDICT_OVER)
        finish(f, verdict.error, verdict.os_error);
    else if (verdict.next == NPI_VERDICT_RECONFIRM)
        npi_schedule_reconfirm(f);
    else if (verdict.next == NPI_VERDICT_LOOK)
        npi_look_ask(f);
    return npi_wake_min(verdict.wake_ns, exhausted_ns, f->now_ns);
}

static uint64_t advance_trials(npi_facts *f)
{
    uint64_t wake_ns = NPI_NEVER;
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_trial *t = &f->trials[i];
        uint64_t exhausted_ns = npi_schedule_exhausted_ns(f, npi_trial_server(f, t));
        uint64_t others_ns = NPI_NOW;
        if (t->control.stage == NPI_MAPPING_DEFERRED)
            others_ns = npi_schedule_can_go_on_until_ns(f);
        else if (t->phase != NPI_PHASE_DONE && npi_schedule_others_can_help(f, t->server))
            others_ns = NPI_NEVER;
        wake_ns = npi_wake_min(wake_ns, others_ns, f->now_ns);
        wake_ns = npi_time_min(wake_ns, npi_trial_advance(f, t, exhausted_ns <= f->now_ns, others_ns > f->now_ns));
    }
    return wake_ns;
}

/* Without a verdict there is nothing to add to. */
static void begin_optional(npi_engine *e)
{
    npi_facts *f = &e->facts;
    if (f->error != NP_OK) {
        npi_optional_stop(f);
        return;
    }
    npi_result_write(f, f->end_ns, &e->verdict);
    e->has_verdict = true;
}

/* What comes after the end of the check. */
static void advance_optional(npi_engine *e)
{
    if (npi_optional_is_over(&e->facts))
        return;
    if (!e->has_verdict)
        begin_optional(e);
    e->wake_ns = npi_optional_is_over(&e->facts) ? NPI_NEVER : npi_optional_advance(&e->facts);
    e->at_once = false;
    e->has_arrival = false;
}

static uint64_t advance_check(npi_facts *f)
{
    uint64_t wake_ns = npi_time_min(f->config.deadline_ns, decide(f));
    if (!f->done)
        wake_ns = npi_time_min(wake_ns, npi_schedule_step(f));
    if (!f->done) {
        wake_ns = npi_time_min(wake_ns, advance_trials(f));
        wake_ns = npi_time_min(wake_ns, npi_path_step(f));
        /* What the trials found may be the verdict, or a reason to turn to the next server. */
        wake_ns = npi_time_min(wake_ns, decide(f));
    }
    if (!f->done)
        wake_ns = npi_time_min(wake_ns, npi_schedule_step(f));
    npi_event_conclusions(f);
    return wake_ns;
}

void npi_engine_advance(npi_engine *e, uint64_t now_ns)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    move_clock(e, now_ns);
    /* Woken early, as by a flood of what answers nothing: nothing can have become due. */
    if (!f->done && e->is_at_rest && !e->at_once && f->now_ns < e->wake_ns)
        return;
    if (!f->done) {
        e->wake_ns = advance_check(f);
        e->at_once = false;
        e->has_arrival = false;
        e->is_at_rest = true;
    }
    if (f->done)
        advance_optional(e);
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

bool npi_engine_next_datagram(npi_engine *e, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return false;
    npi_due due = npi_outbox_next_due(f);
    if (due.exchange == NULL) {
        e->wake_ns = npi_time_min(e->wake_ns, due.wake_ns);
        return false;
    }
    e->is_at_rest = false;
    npi_outbox_emit(f, &due, random, out);
    return true;
}

void npi_engine_sent(npi_engine *e, const npi_datagram *d)
{
    npi_outbox_sent(&e->facts, d);
    npi_event_sent(&e->facts, d->exchange);
}

void npi_engine_unsent(npi_engine *e, uint64_t now_ns, const npi_datagram *d, int32_t error, int os_error)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    move_clock(e, now_ns);
    npi_outbox_unsent(f, d, error, os_error);
    e->at_once = true;
}

void npi_engine_no_socket(npi_engine *e, uint64_t now_ns, const npi_datagram *d)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    move_clock(e, now_ns);
    npi_outbox_take_back(f, d);
    d->exchange->failed = d->slot >= NPI_SLOT_PATH;
    f->looks.has_no_socket |= d->slot >= NPI_SLOT_LOOK && d->slot < NPI_SLOT_OPTIONAL;
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_filtering *p = &f->trials[i].filtering;
        p->has_no_socket |= p->slot == d->slot;
    }
    e->at_once = true;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

bool npi_engine_match(npi_engine *e, int slot, const uint8_t *data, size_t size, npi_incoming *in)
{
    in->slot = slot;
    in->origin = (npi_origin){NULL, NULL, NULL};
    in->data = data;
    in->size = size;
    if (npi_stun_decode(data, size, &in->response) != NPI_STUN_DROP)
        in->origin = npi_facts_find(&e->facts, slot, &in->response.id);
    in->errand = npi_errand_of(&e->facts, slot, &in->response, data, size);
    return in->origin.exchange != NULL || in->errand != NULL;
}

static bool has_other_server(const npi_facts *f, const npi_server *s)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (&f->servers[i] != s && !f->servers[i].is_unsteady)
            return true;
    }
    return false;
}

/*
 * The address changed once: everything is asked anew. Twice: there is no use, unless it is one server that says so both
 * times. That one is left out: if the others see a change too, that is the end.
 */
static void restart(npi_facts *f, npi_server *s)
{
    bool is_suspect = ++s->changes > 1 && !f->left_out_unsteady && has_other_server(f, s);
    if (f->restarted && !is_suspect) {
        finish(f, NP_ERR_ADDRESS_CHANGED, 0);
        return;
    }
    if (f->restarted) {
        s->is_unsteady = true;
        f->left_out_unsteady = true;
    }
    npi_schedule_restart(f);
}

/* What is known before the answer is told to anybody. */
static void note_arrival(npi_facts *f, const npi_origin *o, int slot, const npi_addr *local)
{
    if (o->exchange->change == 0)
        o->server->contact = NPI_HAS_ANSWERED;
    if (o->trial != NULL && slot != NPI_SLOT_SOURCE)
        npi_trial_note_heard(f, o->trial, o->exchange);
    if (!npi_exchange_is_answered(o->exchange) && local != NULL)
        o->exchange->local = npi_addr_unmap(local);
    f->any_answer = true;
    f->traffic.last_heard_ns = f->now_ns;
}

/* A socket that the check has no use for, but an optional test may have. */
static bool is_kept_open(const npi_facts *f, int slot)
{
    return f->optional.stage != NPI_OPTIONAL_NONE && !is_used_by_check(f, slot);
}

static void take_errand(npi_engine *e, const npi_incoming *in, const npi_addr *from, const npi_addr *local)
{
    npi_facts *f = &e->facts;
    npi_addr source = npi_addr_unmap(from);
    e->at_once = true;
    e->has_arrival = true;
    if (in->errand->payload == NPI_PAYLOAD_STUN)
        npi_event_answered(f, &in->errand->x, &source, &in->response);
    npi_errand_take(f, in->errand, &in->response, &source, local, in->data, in->size);
}

void npi_engine_receive(npi_engine *e, uint64_t arrived_ns, const npi_incoming *in, const npi_addr *from,
                        const npi_addr *local)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    f->traffic.received++;
    npi_answer answer = {.origin = in->origin, .from = npi_addr_unmap(from), .response = in->response};
    npi_exchange *x = in->origin.exchange;
    bool is_stray = in->errand == NULL && (x == NULL || !npi_answers_is_from_destination(x, &answer.from));
    /* A stray must not make an answer look late that came before it and is read after it. */
    if (!is_stray)
        move_clock(e, arrived_ns);
    if (in->errand != NULL) {
        take_errand(e, in, from, local);
        return;
    }
    if (f->done || is_kept_open(f, in->slot)) /* without optional tests it would not be heard of */
        return;
    if (is_stray) {
        e->is_at_rest &= f->any_unusable; /* a second one says no more than the first */
        npi_answers_note_stray(f, x, &answer.from);
        return;
    }
    x = answer.origin.exchange = npi_again_take(f, answer.origin.server, x);
    note_arrival(f, &answer.origin, in->slot, local);
    e->at_once = true;
    e->has_arrival = true;
    npi_event_answered(f, x, &answer.from, &answer.response);
    npi_taken taken = npi_answers_take(f, &answer);
    if (taken != NPI_TAKEN)
        restart(f, in->origin.server);
    if (taken == NPI_TAKEN_CONTRADICTION)
        f->evidence |= NP_EVIDENCE_CONTRADICTION;
}
