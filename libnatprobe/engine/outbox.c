/* SPDX-License-Identifier: MIT */
/* Copies on their way out. */
#include "outbox.h"

#include <string.h>

#include "again.h"
#include "pacing.h"
#include "rate.h"

/* ---- What is due ------------------------------------------------------------------------------------------------ */

/* A plain request's next copy follows from the round trip as known now, not as known when the last one left. */
static uint64_t next_copy_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    if (x->t.stopped || x->t.sent >= x->t.limit)
        return NPI_NEVER;
    if (x->sent_in_rounds || x->t.sent == 0)
        return x->t.next_ns;
    if (npi_exchange_is_answered(x))
        return NPI_NEVER;
    return npi_time_add(npi_transaction_last_ns(&x->t), npi_pacing_plain_gap_ns(f, s, x));
}

/* Whether a request that has not begun is to leave as a copy of one that was answered. */
static bool begins_as_copy(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    if (s == NULL || x != &s->x[NPI_RECHECK] || !npi_again_may_copy(f, s))
        return false;
    return x->as_copy || npi_rate_ready_ns(&f->rate, 1) > f->now_ns;
}

static uint64_t first_copy_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    uint64_t ready_ns = npi_rate_ready_ns(&f->rate, 1);
    if (!begins_as_copy(f, s, x))
        return ready_ns;
    uint64_t copy_ns = npi_again_copy_ns(s);
    return x->as_copy ? copy_ns : npi_time_min(copy_ns, ready_ns); /* as soon as there is room it is a new request */
}

/* When a copy of x is to be sent. */
static uint64_t due_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    if (x->failed || (!x->queued && !x->t.started))
        return NPI_NEVER;
    uint64_t ready_ns = x->t.started ? next_copy_ns(f, s, x) : first_copy_ns(f, s, x);
    return npi_time_max(x->not_before_ns, ready_ns);
}

/*
 * The i-th of a round. The first round starts with I; later ones go forwards or backwards, from a start at random, so
 * that a limit of rate on the way hits all tests alike.
 */
static uint32_t place_in_round(const npi_filtering *p, uint32_t i)
{
    uint8_t random = p->rounds <= 1 ? 0 : npi_filtering_random(p, p->rounds);
    uint32_t place = (i + random) % NPI_FILTERING_EXCHANGES;
    return (random & 0x80) != 0 ? NPI_FILTERING_EXCHANGES - 1 - place : place;
}

/* True when x is due now, and then found; else it is woken for. */
static bool is_found(const npi_facts *f, npi_server *s, npi_exchange *x, npi_due *found)
{
    uint64_t t_ns = due_ns(f, s, x);
    if (t_ns <= f->now_ns)
        *found = (npi_due){s, x, f->now_ns};
    else
        found->wake_ns = npi_time_min(found->wake_ns, t_ns);
    return t_ns <= f->now_ns;
}

static bool is_found_in_trial(const npi_facts *f, npi_server *s, npi_trial *t, npi_due *found)
{
    for (uint32_t i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (is_found(f, s, &t->filtering.x[place_in_round(&t->filtering, i)], found))
            return true;
    }
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        if (is_found(f, s, &t->control.x[i], found))
            return true;
    }
    return false;
}

/* RECHECK goes behind the mapping requests that it is to be compared with. */
static bool is_found_at_server(const npi_facts *f, npi_server *s, npi_due *found)
{
    npi_trial *t = s->trial >= 0 ? &f->trials[s->trial] : NULL;
    if (!npi_server_is_started(s))
        return false;
    if (is_found(f, s, &s->x[NPI_PRIMARY], found) || is_found(f, s, &s->x[NPI_RFC3489], found))
        return true;
    if (t != NULL && t->phase != NPI_PHASE_DONE && is_found_in_trial(f, s, t, found))
        return true;
    return is_found(f, s, &s->x[NPI_RECHECK], found);
}

static void find_in_look(npi_facts *f, npi_look *look, npi_due *found)
{
    for (int k = 0; found->exchange == NULL && k < NPI_LOOK_EXCHANGES; k++)
        (void)is_found(f, &f->servers[look->server[k]], &look->x[k], found);
}

static bool is_budget_spent(const npi_facts *f)
{
    return f->traffic.sent >= npi_facts_budget(f, NPI_DATAGRAMS_MAX, NPI_DATAGRAMS_MORE);
}

/* They have a number and a time of their own, and no share in the check's budget. */
static void find_errand(npi_facts *f, npi_due *found)
{
    for (size_t i = 0; found->exchange == NULL && i < f->optional.errands; i++) {
        npi_errand *e = &f->optional.errand[i];
        (void)is_found(f, e->server >= 0 ? &f->servers[e->server] : NULL, &e->x, found);
    }
}

npi_due npi_outbox_next_due(npi_facts *f)
{
    npi_due found = {NULL, NULL, NPI_NEVER};
    find_errand(f, &found);
    if (f->done || found.exchange != NULL || is_budget_spent(f))
        return found;
    for (size_t i = 0; i < f->server_count; i++) {
        if (is_found_at_server(f, &f->servers[i], &found))
            break;
    }
    for (uint32_t i = 0; found.exchange == NULL && f->path.state == NPI_PATH_ASKING && i < f->path.asked; i++)
        (void)is_found(f, &f->servers[f->path.server], &f->path.x[i], &found);
    for (uint32_t i = 0; found.exchange == NULL && i < f->looks.asked; i++)
        find_in_look(f, &f->looks.look[i], &found);
    return found;
}

/* ---- On the way out --------------------------------------------------------------------------------------------- */

static npi_stun_dialect dialect_of(const npi_server *s, const npi_exchange *x)
{
    if (s == NULL)
        return NPI_STUN_RFC8489;
    return x == &s->x[NPI_RFC3489] ? NPI_STUN_RFC3489 : s->dialect;
}

/* The next copy of a request of an optional test needs no answer to wait for. */
static void write_errand(const npi_errand *e, uint64_t now_ns, npi_exchange *x, npi_datagram *out)
{
    if (x->t.sent < x->t.limit)
        x->t.next_ns = npi_time_add(now_ns, e->gap_ns);
    if (e->payload == NPI_PAYLOAD_INDICATION)
        out->size = npi_stun_encode_indication(out->data, &x->t.id);
    else if (e->response_port != 0)
        out->size = npi_stun_encode_response_port(out->data, &x->t.id, e->response_port);
    if (e->payload != NPI_PAYLOAD_RAW)
        return;
    memcpy(out->data, e->sent_data, e->sent_size);
    out->size = e->sent_size;
}

static void begin(npi_facts *f, npi_server *s, npi_exchange *x, const uint8_t random[NPI_STUN_ID_SIZE])
{
    bool is_copy = begins_as_copy(f, s, x);
    npi_stun_id id = is_copy ? npi_again_id(s) : npi_stun_make_id(dialect_of(s, x), random);
    npi_transaction_start(&x->t, &id, x->max_copies, f->now_ns);
    x->queued = false;
    if (is_copy)
        s->was_copied = true;
    else
        npi_rate_use(&f->rate, f->now_ns);
}

void npi_outbox_emit(npi_facts *f, const npi_due *due, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out)
{
    npi_exchange *x = due->exchange;
    if (!x->t.started)
        begin(f, due->server, x, random);
    npi_transaction_sent(&x->t, f->now_ns, NPI_NEVER); /* next_copy_ns tells when the next is due */

    memset(out, 0, sizeof *out);
    out->slot = x->slot;
    out->to = x->to;
    out->size = npi_stun_encode_request(out->data, &x->t.id, x->change);
    out->server = due->server;
    out->exchange = x;
    const npi_errand *e = npi_facts_errand(f, x);
    if (e != NULL)
        write_errand(e, f->now_ns, x, out);
}

void npi_outbox_sent(npi_facts *f, const npi_datagram *d)
{
    npi_server *s = d->server;
    if (s != NULL && npi_server_is_slow(s)) /* it takes its time for this one as well, behind those that are waiting */
        s->clear_ns = npi_time_max(s->clear_ns, f->now_ns + s->rtt.lowest_ns) + s->service_ns;
    d->exchange->send_failures = 0;
    d->exchange->unsent = false;
    f->traffic.sent++;
    if (d->exchange->number == 0)
        d->exchange->number = f->traffic.sent;
    f->traffic.last_sent_ns = f->now_ns;
    if (f->traffic.first_sent_ns == NPI_NEVER)
        f->traffic.first_sent_ns = f->now_ns;
}

/* Doubling from NPI_PACE_MIN_NS. */
static uint64_t retry_after_ns(uint8_t failures)
{
    uint64_t gap = NPI_PACE_MIN_NS << (failures < 5 ? failures : 5);
    return npi_time_min(gap, NPI_SEND_RETRY_MAX_NS);
}

/* A link that is down, a route that is missing or a firewall rule may pass; an error of another kind hardly does. */
static bool has_failed(const npi_facts *f, const npi_exchange *x, int32_t error)
{
    if (error != NP_ERR_NETWORK_UNREACHABLE)
        return x->send_failures >= NPI_SEND_FAILURES_MAX;
    bool others_leave = f->traffic.last_sent_ns >= x->refused_from_ns;
    uint64_t patience_ns = others_leave ? NPI_SEND_PATIENCE_NS : NPI_SEND_PATIENCE_ALONE_NS;
    return f->now_ns >= npi_time_add(x->refused_from_ns, patience_ns);
}

void npi_outbox_take_back(npi_facts *f, const npi_datagram *d)
{
    npi_exchange *x = d->exchange;
    npi_transaction_unsent(&x->t, f->now_ns);
    if (x->t.sent > 0)
        return;
    /* It has not begun: neither its id nor its share of the rate was used. */
    if (d->server != NULL && npi_again_is_copy(d->server, x))
        d->server->was_copied = false;
    else
        npi_rate_give_back(&f->rate);
    x->t.started = false;
    x->queued = true;
}

void npi_outbox_unsent(npi_facts *f, const npi_datagram *d, int32_t error, int os_error)
{
    npi_exchange *x = d->exchange;
    npi_outbox_take_back(f, d);
    x->unsent = true;
    f->traffic.send_error = error != NP_OK ? error : NP_ERR_SYSTEM;
    f->traffic.send_os_error = os_error;
    x->not_before_ns = npi_time_add(f->now_ns, retry_after_ns(error != NP_OK ? x->send_failures : 0));
    if (error == NP_OK) /* no room: there will be */
        return;
    if (x->send_failures == 0)
        x->refused_from_ns = f->now_ns;
    if (x->send_failures < UINT8_MAX)
        x->send_failures++;
    if (!has_failed(f, x, error))
        return;
    x->failed = true;
    x->queued = false;
    if (npi_facts_errand(f, x) == NULL && npi_addr_equal(&x->to, &d->server->address) &&
        !npi_server_has_answered(d->server))
        d->server->failed = true;
    npi_log_write(&f->config.log, NP_LOG_WARNING, "cannot send %s: %s", x->name, np_strerror(error));
}
