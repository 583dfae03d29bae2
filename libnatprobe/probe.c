/* SPDX-License-Identifier: MIT */
/* The experiment's entry points: time and datagrams in, datagrams out. */
#include "probe_internal.h"

#include <string.h>

static size_t servers_within(size_t max_servers)
{
    return max_servers < NPI_PROBE_SERVERS ? max_servers : NPI_PROBE_SERVERS;
}

/* A restart may begin a second trial with a server. */
static size_t trials_for(size_t servers)
{
    return 2 * servers < NPI_TRIALS_MAX ? 2 * servers : NPI_TRIALS_MAX;
}

size_t npi_probe_size(size_t max_servers)
{
    size_t servers = servers_within(max_servers);
    return sizeof(npi_probe) + servers * sizeof(npi_server) + trials_for(servers) * sizeof(npi_trial);
}

void npi_probe_init(npi_probe *p, const npi_probe_config *config, uint64_t now_ns)
{
    _Static_assert(_Alignof(npi_probe) >= _Alignof(npi_server), "servers lie behind the probe");
    _Static_assert(_Alignof(npi_server) >= _Alignof(npi_trial), "trials lie behind the servers");
    memset(p, 0, npi_probe_size(config->max_servers));
    p->config = *config;
    p->server_room = servers_within(config->max_servers);
    p->servers = (npi_server *)(void *)(p + 1);
    p->trial_room = trials_for(p->server_room);
    p->trials = (npi_trial *)(void *)(p->servers + p->server_room);
    p->start_ns = now_ns;
    p->now_ns = now_ns;
    p->wake_ns = now_ns;
    p->first_sent_ns = NPI_NEVER;
    p->more_servers = true;
}

bool npi_probe_add_server(npi_probe *p, const npi_addr *address, bool expected_mapping_only)
{
    npi_addr a = npi_addr_unmap(address);
    if (p->server_count == p->server_room || !npi_addr_is_destination(&a))
        return false;
    for (size_t i = 0; i < p->server_count; i++) {
        if (npi_addr_equal(&p->servers[i].address, &a))
            return false;
    }
    npi_server *s = &p->servers[p->server_count++];
    memset(s, 0, sizeof *s);
    s->address = a;
    s->expected_mapping_only = expected_mapping_only;
    s->trial = -1;
    p->wake_ns = p->now_ns;
    return true;
}

void npi_probe_expect_servers(npi_probe *p, bool more)
{
    p->more_servers = more;
    p->wake_ns = p->now_ns;
}

void npi_wake_at(npi_probe *p, uint64_t t_ns)
{
    if (t_ns > p->now_ns && t_ns < p->wake_ns)
        p->wake_ns = t_ns;
}

uint64_t npi_probe_wakeup_ns(const npi_probe *p)
{
    return p->done ? NPI_NEVER : p->wake_ns;
}

bool npi_probe_is_done(const npi_probe *p)
{
    return p->done;
}

void npi_probe_finish(npi_probe *p, int32_t error, int os_error)
{
    if (p->done)
        return;
    p->done = true;
    p->error = error;
    p->os_error = os_error;
    p->end_ns = p->now_ns;
    npi_event_conclusions(p);
}

void npi_probe_stop(npi_probe *p, uint64_t now_ns, int32_t error, int os_error)
{
    p->now_ns = now_ns;
    npi_probe_finish(p, error, os_error);
}

void npi_probe_silence(npi_probe *p)
{
    p->config.log.sink = NULL;
    p->config.observer.sink = NULL;
}

bool npi_probe_slot_in_use(const npi_probe *p, int slot)
{
    if (p->done)
        return false;
    if (slot == NPI_SLOT_SOURCE)
        return true;
    for (size_t i = 0; i < p->trial_count; i++) {
        if (p->trials[i].slot == slot)
            return p->trials[i].phase != NPI_PHASE_DONE;
    }
    return false;
}

/* ---- Exchanges -------------------------------------------------------------------------------------------------- */

void npi_exchange_init(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change, uint32_t limit)
{
    memset(x, 0, sizeof *x);
    x->name = name;
    x->slot = slot;
    x->to = *to;
    x->change = change;
    x->limit = limit;
}

bool npi_exchange_is_answered(const npi_exchange *x)
{
    return npi_transaction_is_answered(&x->t);
}

bool npi_exchange_is_over(npi_probe *p, const npi_exchange *x, uint64_t age_ns)
{
    if (x->failed)
        return true;
    if (!x->t.started)
        return !x->wanted;
    if (x->t.sent < x->t.limit && !x->t.stopped)
        return false;
    uint64_t over_ns = npi_transaction_all_aged_ns(&x->t, age_ns);
    if (over_ns > p->now_ns)
        npi_wake_at(p, over_ns);
    return over_ns <= p->now_ns;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

/* A plain request's next copy follows from the round trip as known now, not as known when the last one left. */
static void refresh_due(const npi_probe *p, const npi_server *s, npi_exchange *x)
{
    if (!x->t.started || x->by_volley || x->t.stopped || x->t.sent == 0)
        return;
    if (npi_exchange_is_answered(x) || x->failed) {
        npi_transaction_stop(&x->t);
        return;
    }
    if (x->t.sent < x->t.limit)
        x->t.next_ns = npi_time_add(npi_transaction_last_ns(&x->t), npi_plain_gap_ns(p, s, x));
}

/* Whether a copy of x is to be sent now; asks to be woken when it is to be sent later. */
static bool is_due(npi_probe *p, const npi_server *s, npi_exchange *x)
{
    if (x->failed)
        return false;
    if (x->hold_ns > p->now_ns) {
        npi_wake_at(p, x->hold_ns);
        return false;
    }
    if (x->wanted && !x->t.started)
        return npi_rate_allows(p);
    refresh_due(p, s, x);
    if (npi_transaction_due(&x->t, p->now_ns))
        return true;
    if (x->t.started && !x->t.stopped && x->t.sent < x->t.limit)
        npi_wake_at(p, x->t.next_ns);
    return false;
}

/*
 * The i-th of a volley. The first volley starts with I; later ones go forwards or backwards, from a start at random, so
 * that a limit of rate on the way hits all tests alike.
 */
static uint32_t place_in_volley(const npi_trial *t, uint32_t i)
{
    uint8_t random = t->volleys <= 1 ? 0 : npi_trial_volley_random(t, t->volleys);
    uint32_t place = (i + random) % NPI_M_BP;
    return (random & 0x80) != 0 ? NPI_M_BP - 1 - place : place;
}

static npi_exchange *due_in_trial(npi_probe *p, npi_trial *t)
{
    const npi_server *s = &p->servers[t->server];
    for (uint32_t i = 0; i < NPI_M_BP; i++) {
        uint32_t index = place_in_volley(t, i);
        if (is_due(p, s, &t->x[index]))
            return &t->x[index];
    }
    for (int i = NPI_M_BP; i < NPI_TRIAL_EXCHANGES; i++) {
        if (is_due(p, s, &t->x[i]))
            return &t->x[i];
    }
    return NULL;
}

static npi_exchange *next_due(npi_probe *p, const npi_server **server)
{
    for (size_t i = 0; i < p->server_count; i++) {
        npi_server *s = &p->servers[i];
        *server = s;
        for (int k = 0; s->started && k < NPI_SERVER_EXCHANGES; k++) {
            /* VERIFY goes behind the mapping requests that it is to be compared with. */
            if (k != NPI_VERIFY && is_due(p, s, &s->x[k]))
                return &s->x[k];
        }
        npi_trial *t = s->trial >= 0 ? &p->trials[s->trial] : NULL;
        npi_exchange *x = t != NULL && t->phase != NPI_PHASE_DONE ? due_in_trial(p, t) : NULL;
        if (x == NULL && s->started && is_due(p, s, &s->x[NPI_VERIFY]))
            x = &s->x[NPI_VERIFY];
        if (x != NULL)
            return x;
    }
    return NULL;
}

static npi_stun_dialect dialect_of(const npi_server *s, const npi_exchange *x)
{
    return x == &s->x[NPI_CLASSIC] ? NPI_STUN_RFC3489 : s->dialect;
}

static void emit(npi_probe *p, const npi_server *s, npi_exchange *x, const uint8_t *random, npi_datagram *out)
{
    if (!x->t.started) {
        npi_stun_id id = npi_stun_make_id(dialect_of(s, x), random);
        npi_transaction_start(&x->t, &id, x->limit, p->now_ns);
        x->wanted = false;
        npi_rate_use(p);
    }
    npi_transaction_sent(&x->t, p->now_ns, x->by_volley ? NPI_NEVER : npi_plain_gap_ns(p, s, x));
    p->sent++;
    if (p->first_sent_ns == NPI_NEVER)
        p->first_sent_ns = p->now_ns;

    memset(out, 0, sizeof *out);
    out->slot = x->slot;
    out->to = x->to;
    out->size = npi_stun_encode_request(out->data, &x->t.id, x->change);
    out->transaction = &x->t;
}

/* One step of everything that time alone can bring about. */
static void advance(npi_probe *p)
{
    p->wake_ns = p->config.deadline_ns;
    npi_verdict_advance(p);
    if (p->done)
        return;
    npi_schedule_servers(p);
    for (size_t i = 0; i < p->trial_count && !p->done; i++)
        npi_trial_advance(p, &p->trials[i]);
    /* What the trials found may be the verdict, or a reason to turn to the next server. */
    npi_verdict_advance(p);
    if (!p->done)
        npi_schedule_servers(p);
    npi_event_conclusions(p);
}

bool npi_probe_next_datagram(npi_probe *p, uint64_t now_ns, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out)
{
    if (p->done)
        return false;
    if (now_ns > p->now_ns)
        p->now_ns = now_ns;
    advance(p);
    if (p->done)
        return false;
    const npi_server *s = NULL;
    npi_exchange *x = next_due(p, &s);
    if (x == NULL)
        return false;
    emit(p, s, x, random, out);
    return true;
}

static npi_exchange *exchange_of(npi_probe *p, const npi_transaction *t, npi_server **server)
{
    for (size_t i = 0; i < p->server_count; i++) {
        npi_server *s = *server = &p->servers[i];
        for (int k = 0; k < NPI_SERVER_EXCHANGES; k++) {
            if (&s->x[k].t == t)
                return &s->x[k];
        }
        for (int k = 0; s->trial >= 0 && k < NPI_TRIAL_EXCHANGES; k++) {
            if (&p->trials[s->trial].x[k].t == t)
                return &p->trials[s->trial].x[k];
        }
    }
    return NULL;
}

void npi_probe_sent(npi_probe *p, const npi_datagram *d)
{
    npi_server *s = NULL;
    npi_exchange *x = exchange_of(p, d->transaction, &s);
    if (x == NULL)
        return;
    x->refusals = 0;
    npi_event_sent(p, x);
}

void npi_probe_unsent(npi_probe *p, uint64_t now_ns, const npi_datagram *d, int32_t error, int os_error)
{
    if (p->done)
        return;
    if (now_ns > p->now_ns)
        p->now_ns = now_ns;
    npi_server *s = NULL;
    npi_exchange *x = exchange_of(p, d->transaction, &s);
    if (--p->sent == 0)
        p->first_sent_ns = NPI_NEVER;
    if (x == NULL)
        return;
    npi_transaction_unsent(&x->t, p->now_ns);
    x->hold_ns = npi_time_add(p->now_ns, NPI_PACE_MIN_NS);
    p->wake_ns = p->now_ns;
    if (x->t.sent == 0) { /* it has not begun: neither its id nor its share of the rate was used */
        x->t.started = false;
        x->wanted = true;
        npi_rate_return(p);
    }
    p->send_error = error != NP_OK ? error : NP_ERR_SYSTEM;
    p->send_os_error = os_error;
    if (error == NP_OK || ++x->refusals < NPI_REFUSALS_MAX)
        return;
    x->failed = true;
    if (npi_addr_equal(&x->to, &s->address) && !s->heard)
        s->failed = true;
    npi_log_write(&p->config.log, NP_LOG_WARNING, "cannot send %s: %s", x->name, np_strerror(error));
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

static bool matches(const npi_exchange *x, int slot, const npi_stun_id *id)
{
    return x->t.started && x->slot == slot && npi_stun_id_equal(&x->t.id, id);
}

/* The exchange that an id on a slot belongs to, its server, and its trial if it is a trial's. */
static npi_exchange *find(npi_probe *p, int slot, const npi_stun_id *id, npi_server **server, npi_trial **trial)
{
    for (size_t i = 0; i < p->server_count; i++) {
        npi_server *s = *server = &p->servers[i];
        *trial = NULL;
        for (int k = 0; s->started && k < NPI_SERVER_EXCHANGES; k++) {
            if (matches(&s->x[k], slot, id))
                return &s->x[k];
        }
        npi_trial *t = s->trial >= 0 ? &p->trials[s->trial] : NULL;
        for (int k = 0; t != NULL && k < NPI_TRIAL_EXCHANGES; k++) {
            if (matches(&t->x[k], slot, id)) {
                *trial = t;
                return &t->x[k];
            }
        }
    }
    return NULL;
}

static bool is_from_server(const npi_probe *p, const npi_addr *from)
{
    for (size_t i = 0; i < p->server_count; i++) {
        if (p->servers[i].started && npi_addr_equal(&p->servers[i].address, from))
            return true;
    }
    return false;
}

/* The alternate address is taken from the first answer that names one and never changes after (RFC 5780 section 7.4). */
static void note_alternate(npi_probe *p, npi_server *s, const npi_stun_response *r)
{
    if (s->named)
        return;
    s->named = true;
    if (!npi_addr_is_set(&r->other))
        return;
    if (npi_addr_is_alternate(&s->address, &r->other)) {
        s->alternate = r->other;
        p->evidence |= NP_EVIDENCE_ALTERNATE;
    } else {
        p->evidence |= NP_EVIDENCE_ALTERNATE_REFUSED;
    }
}

/*
 * What the source socket looks like from A:P, with every answer that can tell. A different external address than
 * before means that the NAT's mapping was lost or its address changed: nothing seen before can be compared any more.
 */
static void note_seen(npi_probe *p, npi_server *s, const npi_exchange *x, const npi_addr *external)
{
    if (s->is_seen && !npi_addr_equal(&s->seen.external, external)) {
        npi_log_write(&p->config.log, NP_LOG_INFO, "the external address changed during the check");
        npi_schedule_restart(p);
        return;
    }
    if (!s->is_seen || x->t.first_ns > s->again.first_ns) {
        s->again.first_ns = x->t.first_ns;
        s->again.last_ns = npi_transaction_last_ns(&x->t);
        s->again.heard_ns = p->now_ns;
    }
    if (s->is_seen)
        return;
    s->is_seen = true;
    s->first = s->again;
    s->seen.destination = s->address;
    s->seen.external = *external;
    s->seen.local = x->local;
}

/* An error, or an answer without what it is for: of that server no more is to be expected. */
static void on_unusable(npi_probe *p, npi_server *s, npi_exchange *x)
{
    p->strange = true;
    x->failed = true;
    if (npi_addr_equal(&x->to, &s->address)) {
        s->failed = true;
        p->evidence |= NP_EVIDENCE_MALFORMED;
    }
}

static void note_success(npi_probe *p, npi_server *s, const npi_exchange *x, const npi_stun_response *r)
{
    p->evidence |= NP_EVIDENCE_ANSWERED;
    if (r->address_rewritten)
        p->evidence |= NP_EVIDENCE_ALG;
    if (x == &s->x[NPI_CLASSIC] && !s->named) {
        s->dialect = NPI_STUN_RFC3489;
        p->evidence |= NP_EVIDENCE_CLASSIC;
    }
}

/*
 * With several copies it is not known which was answered (Karn): the nearest to what is expected is believed, and before
 * anything is expected the oldest, which can only be too long.
 */
static void note_round_trip(npi_rtt *rtt, const npi_transaction *t, uint64_t now_ns, uint64_t oldest_ns)
{
    uint64_t sample_ns = rtt->samples == 0 ? oldest_ns : npi_transaction_nearest(t, now_ns, rtt->smoothed_ns);
    npi_rtt_sample(rtt, sample_ns, t->sent == 1);
}

/*
 * A server that sees a private address (or one that no other host can have) where the socket has another is itself behind
 * a NAT or a proxy, or lies. Test networks on documentation addresses are free to have private ones as well.
 */
static bool is_credible(const npi_exchange *x, const npi_addr *mapped)
{
    if (mapped->family != x->to.family)
        return false;
    npi_addr_class seen = npi_addr_classify(mapped);
    if (seen == NPI_CLASS_GLOBAL || seen == npi_addr_classify(&x->to) || npi_addr_same_ip(mapped, &x->local))
        return true;
    return seen == NPI_CLASS_PRIVATE && (npi_addr_classify(&x->to) != NPI_CLASS_GLOBAL || npi_addr_is_example(&x->to));
}

static void add_answers(const npi_exchange *x, uint32_t *sent, uint32_t *answers)
{
    if (x->change != 0 || !npi_exchange_is_answered(x))
        return;
    *sent += x->t.sent;
    *answers += x->t.answers + x->t.surplus;
}

/* Whether a server seems to send its answers several times, beyond what a path duplicates. */
static bool is_repeating(const npi_probe *p, const npi_server *s)
{
    uint32_t sent = 0;
    uint32_t answers = 0;
    for (int i = 0; i < NPI_SERVER_EXCHANGES; i++)
        add_answers(&s->x[i], &sent, &answers);
    for (int i = 0; s->trial >= 0 && i < NPI_TRIAL_EXCHANGES; i++)
        add_answers(&p->trials[s->trial].x[i], &sent, &answers);
    return answers >= NPI_REPEATED_LEAST && 2 * answers >= 3 * sent;
}

static void note_repeated(npi_probe *p, npi_server *s, const npi_transaction *t)
{
    p->duplicated = true;
    s->repeats |= npi_transaction_multiplicity(t) >= NPI_REPEATED || is_repeating(p, s);
}

/*
 * A second answer to one request that does not agree with the first: one of them is forged, or the NAT has changed (RFC 3489
 * section 9.4). Of two addresses neither is believed; behind an error a success is not. True when the answer is used up.
 */
static bool is_contradiction(npi_probe *p, const npi_exchange *x, const npi_stun_response *r)
{
    bool had_address = npi_addr_is_set(&x->external);
    bool has_address = r->kind == NPI_STUN_SUCCESS && is_credible(x, &r->mapped);
    if (had_address == has_address && (!has_address || npi_addr_equal(&x->external, &r->mapped)))
        return false;
    if (had_address && has_address)
        npi_schedule_restart(p);
    p->evidence |= NP_EVIDENCE_CONTRADICTION;
    return has_address;
}

/* An answer to a plain request, from where the request went. */
static void on_plain(npi_probe *p, npi_server *s, npi_trial *t, npi_exchange *x, const npi_stun_response *r)
{
    bool first = !npi_exchange_is_answered(x);
    bool primary = npi_addr_equal(&x->to, &s->address);
    uint64_t sample_ns = npi_transaction_answered(&x->t, p->now_ns);
    if (sample_ns == 0)
        note_repeated(p, s, &x->t);
    if ((!first && is_contradiction(p, x, r)) || sample_ns == 0)
        return;
    note_round_trip(primary || t == NULL ? &s->rtt : &t->alternate_rtt, &x->t, p->now_ns, sample_ns);
    if (r->kind != NPI_STUN_SUCCESS || !is_credible(x, &r->mapped)) {
        on_unusable(p, s, x);
        return;
    }
    note_success(p, s, x, r);
    if (first) {
        x->external = r->mapped;
        x->seen_ns = npi_transaction_last_ns(&x->t);
    }
    if (primary)
        note_alternate(p, s, r);
    if (t != NULL && first)
        npi_trial_answered(p, t, (int)(x - t->x), &x->to, true);
    if (primary && x->slot == NPI_SLOT_SOURCE)
        note_seen(p, s, x, &r->mapped);
}

/* An answer to a CHANGE-REQUEST may come from anywhere: where from is what it tells. */
static void on_change(npi_probe *p, npi_server *s, npi_trial *t, npi_exchange *x, const npi_addr *from,
                      const npi_stun_response *r)
{
    if (npi_transaction_answered(&x->t, p->now_ns) == 0)
        return;
    bool success = r->kind == NPI_STUN_SUCCESS;
    if (success && !npi_addr_is_set(&x->external))
        x->external = r->mapped;
    npi_trial_answered(p, t, (int)(x - t->x), from, success);
    /* The request went to A:P, so the answer says what A:P sees of the source socket now. */
    if (success && x->slot == NPI_SLOT_SOURCE && is_credible(x, &r->mapped))
        note_seen(p, s, x, &r->mapped);
}

static void on_answer(npi_probe *p, npi_server *s, npi_trial *t, npi_exchange *x, const npi_addr *source,
                      const npi_stun_response *r)
{
    p->wake_ns = p->now_ns;
    p->stirred = true;
    npi_event_answered(p, x, source, r);
    if (x->change == 0)
        on_plain(p, s, t, x, r);
    else
        on_change(p, s, t, x, source, r);
}

bool npi_probe_recognises(npi_probe *p, int slot, const uint8_t *data, size_t size)
{
    npi_stun_response r;
    npi_server *s = NULL;
    npi_trial *t = NULL;
    return npi_stun_decode(data, size, &r) != NPI_STUN_DROP && find(p, slot, &r.id, &s, &t) != NULL;
}

void npi_probe_receive(npi_probe *p, uint64_t now_ns, int slot, const npi_addr *from, const npi_addr *local,
                       const uint8_t *data, size_t size)
{
    if (p->done)
        return;
    if (now_ns > p->now_ns)
        p->now_ns = now_ns;
    p->received++;
    npi_addr source = npi_addr_unmap(from);
    npi_stun_response r;
    npi_server *s = NULL;
    npi_trial *t = NULL;
    npi_exchange *x = npi_stun_decode(data, size, &r) != NPI_STUN_DROP ? find(p, slot, &r.id, &s, &t) : NULL;
    if (x == NULL || (x->change == 0 && !npi_addr_equal(&x->to, &source))) {
        p->strange |= x != NULL || is_from_server(p, &source);
        return;
    }
    s->heard |= x->change == 0;
    if (t != NULL && slot != NPI_SLOT_SOURCE)
        t->heard_ns = p->now_ns;
    if (!npi_exchange_is_answered(x) && local != NULL)
        x->local = npi_addr_unmap(local);
    on_answer(p, s, t, x, &source, &r);
}
