/* SPDX-License-Identifier: MIT */
/* What each answer says of the path, the server, the NAT. */
#include "answers.h"

#include "findings.h"
#include "trial.h"

/* ---- Where it came from ----------------------------------------------------------------------------------------- */

bool npi_answers_is_from_destination(const npi_exchange *x, const npi_addr *from)
{
    return x->change != 0 || npi_addr_equal(&x->to, from);
}

void npi_answers_note_stray(npi_facts *f, const npi_exchange *x, const npi_addr *from)
{
    f->any_unusable |= x != NULL;
    if (x != NULL && !npi_addr_is_set(&f->elsewhere))
        f->elsewhere = *from;
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]) && npi_addr_equal(&f->servers[i].address, from))
            f->any_unusable = true;
    }
}

/* What the address that a server reports is worth as evidence. */
typedef enum sight {
    CREDIBLE,
    IMPOSSIBLE,   /* of another family, or one that no host can have */
    UNTRANSLATED, /* this host's own private address: no NAT lies on the way to that server, be it the provider's own */
    PROXIED /* a private address of somebody else: a router or a balancer answers, or translates, for the server */
} sight;

/* A documentation address stands for a global one, unless this host has one too: then the whole network is a test. */
static bool is_on_the_internet(const npi_exchange *x)
{
    if (npi_addr_classify(&x->to) != NPI_CLASS_GLOBAL)
        return false;
    return !npi_addr_is_example(&x->to) || !npi_addr_is_set(&x->local) || !npi_addr_is_example(&x->local);
}

/* A server on the internet cannot truthfully see an address that does not exist there. */
static sight see(const npi_exchange *x, const npi_addr *mapped)
{
    npi_addr_class class = npi_addr_classify(mapped);
    bool is_own = npi_addr_same_ip(mapped, &x->local);
    if (mapped->family != x->to.family)
        return mapped->family == NPI_IPV4 && class == NPI_CLASS_GLOBAL ? CREDIBLE : IMPOSSIBLE;
    if (class == NPI_CLASS_GLOBAL)
        return CREDIBLE;
    bool is_local = class == NPI_CLASS_PRIVATE || class == NPI_CLASS_LINK_LOCAL || class == NPI_CLASS_LOOPBACK;
    if (is_on_the_internet(x) && is_local)
        return is_own ? UNTRANSLATED : PROXIED;
    return is_own || class == NPI_CLASS_PRIVATE || class == npi_addr_classify(&x->to) ? CREDIBLE : IMPOSSIBLE;
}

static bool is_credible(const npi_exchange *x, const npi_addr *mapped)
{
    return see(x, mapped) == CREDIBLE;
}

/* ---- What it says of the server --------------------------------------------------------------------------------- */

/*
 * The alternate address is taken from the first answer that names one and never changes after (RFC 5780 section 7.4).
 */
static void note_alternate(npi_facts *f, npi_server *s, const npi_stun_response *r)
{
    if (s->alternate_state != NPI_ALTERNATE_UNKNOWN)
        return;
    s->alternate_state = NPI_ALTERNATE_NONE;
    if (!npi_addr_is_set(&r->other))
        return;
    if (npi_addr_is_alternate(&s->address, &r->other)) {
        s->alternate_state = NPI_ALTERNATE_KNOWN;
        s->alternate = npi_addr_with_scope(&r->other, s->address.scope); /* which it cannot tell */
        f->evidence |= NP_EVIDENCE_ALTERNATE;
    } else {
        f->evidence |= NP_EVIDENCE_ALTERNATE_REFUSED;
    }
}

/* An error, or an answer without what it is for: of that server no more is to be expected. */
static void note_unusable(npi_facts *f, npi_server *s, npi_exchange *x, sight seen, const npi_stun_response *r)
{
    f->any_unusable = true;
    f->any_untranslated |= seen == UNTRANSLATED;
    if (seen == PROXIED)
        f->evidence |= NP_EVIDENCE_PROXIED;
    x->failed = true;
    bool primary = npi_addr_equal(&x->to, &s->address);
    s->failed |= primary;
    if (r->kind == NPI_STUN_ERROR) /* well formed, and it says why */
        f->stun_error = r->error_code;
    else if (primary && seen == IMPOSSIBLE)
        f->evidence |= NP_EVIDENCE_MALFORMED;
}

static void note_success(npi_facts *f, npi_server *s, const npi_exchange *x, const npi_stun_response *r)
{
    f->evidence |= NP_EVIDENCE_ANSWERED;
    if (r->address_rewritten)
        f->evidence |= NP_EVIDENCE_ALG;
    if (r->mapped.family != x->to.family)
        f->evidence |= NP_EVIDENCE_TRANSLATED;
    if (x == &s->x[NPI_RFC3489] && s->alternate_state == NPI_ALTERNATE_UNKNOWN) {
        s->dialect = NPI_STUN_RFC3489;
        f->evidence |= NP_EVIDENCE_CLASSIC;
    }
}

/* Answers that came close together to copies that left far apart: one answer, and duplicates of it. */
static uint32_t count_bunched(const npi_transaction *t)
{
    return npi_transaction_is_spread(t, NPI_COPIES_APART_NS) ? t->likely_duplicates : 0;
}

/* What came to those requests of a server that were answered, plain ones and III of the filtering test. */
typedef struct a_answers {
    uint32_t sent;
    uint32_t answers;
    uint32_t surplus; /* of these, the duplicates */
} a_answers;

static void add_answers(const npi_exchange *x, int count, uint32_t unless, a_answers *all)
{
    for (int i = 0; i < count; i++) {
        const npi_transaction *t = &x[i].t;
        uint32_t bunched = count_bunched(t);
        if ((x[i].change & unless) != 0 || !npi_exchange_is_answered(&x[i]))
            continue;
        all->sent += t->sent;
        all->answers += npi_transaction_all_answers(t);
        all->surplus += t->extra_answers > bunched ? t->extra_answers : bunched;
    }
}

/*
 * Of the control only plain requests count. Its III comes when the way is open: if one answer to it came twice, more
 * copies of the test's III would be asked, and they would come in.
 */
static a_answers count_a_answers(const npi_facts *f, const npi_server *s)
{
    a_answers all = {0, 0, 0};
    const npi_trial *t = npi_server_trial(f, s);
    add_answers(s->x, NPI_SERVER_EXCHANGES, 0, &all);
    if (t != NULL) {
        add_answers(t->filtering.x, NPI_FILTERING_EXCHANGES, NPI_STUN_CHANGE_IP, &all);
        add_answers(&t->filtering.late, 1, 0, &all);
        add_answers(t->control.x, NPI_CONTROL_EXCHANGES, NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT, &all);
    }
    return all;
}

/*
 * Whether a server seems to send its answers several times, beyond what a path duplicates. Where many get lost no more
 * may come in all than was sent: there the duplicates among them tell.
 */
static void note_repeated(npi_facts *f, npi_server *s, const npi_transaction *t)
{
    f->duplicated |= t->extra_answers > 0 || count_bunched(t) > 0;
    if (!f->duplicated)
        return;
    a_answers all = count_a_answers(f, s);
    bool many = all.answers >= NPI_REPEATED_LEAST && 2 * all.answers >= 3 * all.sent;
    s->hides_losses = all.surplus >= NPI_SURPLUS_LEAST && NPI_SURPLUS_SHARE * all.surplus >= all.answers;
    s->repeats |= s->hides_losses || many || npi_transaction_multiplicity(t) >= NPI_REPEATED;
}

/* ---- What it says of the path and the NAT ----------------------------------------------------------------------- */

/* Whether it left before a standstill that the answer may have come in. */
static bool is_across_standstill(const npi_facts *f, const npi_transaction *t)
{
    return f->standstill.resumed_ns != 0 && npi_transaction_last_ns(t) <= f->standstill.resumed_ns;
}

/*
 * With several copies it is not known which was answered (Karn): the nearest to what is expected is believed, and
 * before anything is expected the oldest, which can only be too long. What left before a standstill may have been
 * answered during it: that is no sample.
 */
static void note_round_trip(const npi_facts *f, npi_rtt *rtt, const npi_transaction *t, uint64_t oldest_ns)
{
    if (is_across_standstill(f, t))
        return;
    uint64_t sample_ns = rtt->samples == 0 ? oldest_ns : npi_transaction_nearest(t, f->now_ns, rtt->smoothed_ns);
    npi_rtt_sample(rtt, sample_ns, t->sent == 1 ? NPI_RTT_EXACT : NPI_RTT_AMBIGUOUS);
}

/* What is known of the way that a request took. Only a trial asks others than A:P. */
static npi_rtt *rtt_of(const npi_origin *o)
{
    bool is_primary = npi_addr_equal(&o->exchange->to, &o->server->address);
    return is_primary ? &o->server->rtt : &o->trial->alternate_rtt;
}

/* ---- Whether A works off a queue -------------------------------------------------------------------------------- */

/* How long after the one before this answer comes, if both are not of one bunch. */
static uint64_t answer_gap_ns(const npi_facts *f, const npi_server *s)
{
    uint64_t gap_ns = s->heard_ns != 0 ? f->now_ns - s->heard_ns : 0;
    return gap_ns >= NPI_PACE_MIN_NS / 2 ? gap_ns : 0;
}

/* The fresh I that measures the round trip after a late start. */
static bool is_fresh_i(const npi_origin *o)
{
    return o->trial != NULL && o->trial->filtering.late.t.started && o->exchange == &o->trial->filtering.x[NPI_F_I];
}

/* Of the copies of I that the filtering test began with, all at once, some are not answered yet. */
static bool is_burst_open(const npi_facts *f, const npi_server *s)
{
    const npi_trial *t = npi_server_trial(f, s);
    if (t == NULL)
        return false;
    const npi_transaction *plain = t->filtering.late.t.started ? &t->filtering.late.t : &t->filtering.x[NPI_F_I].t;
    uint64_t end_ns = npi_time_add(plain->first_ns, NPI_LATE_SPREAD_NS);
    uint32_t burst = plain->sent - npi_transaction_sent_since(plain, end_ns);
    return end_ns <= s->suspect_ns && plain->answers < burst;
}

/* After a late start each answer is late that comes alone, while answers to copies that left together are missing. */
static bool is_late_after_late_start(const npi_facts *f, const npi_origin *o)
{
    const npi_server *s = o->server;
    bool is_suspect = s->suspect_ns != 0 && s->suspect_ns != f->now_ns && !is_fresh_i(o) &&
                      s->suspect_ns <= s->started_ns + NPI_LATE_RTT_MAX_NS && is_burst_open(f, s);
    return is_suspect && s->service_ns >= NPI_SLOW_GAP_NS;
}

/*
 * Later than any copy explains which left within twice the least round trip. II comes from B, which may be farther
 * away, and the control is asked late.
 */
static bool is_late(const npi_facts *f, const npi_origin *o)
{
    const npi_server *s = o->server;
    const npi_exchange *x = o->exchange;
    bool is_from_a = (x->change & NPI_STUN_CHANGE_IP) == 0 && (x->change == 0 || x->slot != NPI_SLOT_SOURCE);
    if (!is_from_a || !npi_addr_equal(&x->to, &s->address) || is_across_standstill(f, &x->t) || s->rtt.samples == 0 ||
        x->t.first_ns < s->woke_ns)
        return false;
    uint64_t floor_ns = s->rtt.has_exact ? npi_rtt_floor(&s->rtt) : 0;
    uint64_t usual_ns = npi_time_max(NPI_SLOW_RTTS * s->rtt.lowest_ns + NPI_SLOW_LEAST_NS, npi_rtt_rto(&s->rtt));
    return npi_transaction_least_rtt_ns(&x->t, f->now_ns, floor_ns) > usual_ns;
}

/*
 * A queue's answers come one by one: each late one has waited at the server for those before it. What comes in a bunch
 * was held up on the way. True if the answer tells no round trip.
 */
static bool note_queue(const npi_facts *f, const npi_origin *o)
{
    npi_server *s = o->server;
    if (!npi_addr_same_ip(&o->exchange->to, &s->address))
        return false;
    uint64_t gap_ns = answer_gap_ns(f, s);
    bool late = is_late(f, o);
    if (gap_ns == 0) {
        s->late_answers -= s->is_last_late;
        s->is_last_late = false;
        if (s->heard_ns != 0 && s->last_heard != &o->exchange->t) /* then it is no duplicate of the one before */
            s->service_ns = 1;
    } else {
        s->service_ns = s->service_ns == 0 ? gap_ns : npi_time_min(s->service_ns, gap_ns);
        s->is_last_late = late || is_late_after_late_start(f, o);
        s->late_answers += s->is_last_late;
    }
    s->heard_ns = f->now_ns;
    s->last_heard = &o->exchange->t;
    return late;
}

/* What the time of an answer says. */
static void note_times(const npi_facts *f, const npi_origin *o, uint64_t sample_ns)
{
    npi_server *s = o->server;
    const npi_transaction *t = &o->exchange->t;
    npi_rtt *rtt = rtt_of(o);
    if (rtt == &s->rtt && s->rtt.samples == 0 && s->woke_ns == 0 &&
        npi_transaction_last_ns(t) - t->first_ns >= NPI_LATE_SPREAD_NS) {
        s->suspect_ns = f->now_ns;
        s->suspect_took_ns = f->now_ns - t->first_ns;
        s->suspect_rtt_ns = f->now_ns - npi_transaction_last_ns(t);
    }
    bool late = note_queue(f, o);
    if (t->first_ns >= s->woke_ns && !late)
        note_round_trip(f, rtt, t, sample_ns);
}

/* The answer that is taken shows the external address that A:P has seen before, or now for the first time. */
static void note_latest(const npi_facts *f, npi_server *s, const npi_exchange *x)
{
    s->latest = (npi_sample){x->t.first_ns, npi_transaction_last_ns(&x->t), f->now_ns};
}

/*
 * What the source socket looks like from A:P, with every answer that can tell. A different external address than
 * before means that the NAT's mapping was lost or its address changed.
 */
static npi_taken note_mapping(npi_facts *f, npi_server *s, const npi_exchange *x, const npi_addr *external)
{
    if (s->has_mapping && !npi_addr_equal(&s->observed.external, external)) {
        npi_log_write(&f->config.log, NP_LOG_INFO, "the external address changed during the check");
        return NPI_TAKEN_ADDRESS_CHANGED;
    }
    if (!s->has_mapping || x->t.first_ns > s->latest.first_ns)
        note_latest(f, s, x);
    if (s->has_mapping)
        return NPI_TAKEN;
    s->has_mapping = true;
    s->first = s->latest;
    s->observed.destination = s->address;
    s->observed.external = *external;
    s->observed.local = x->local;
    return NPI_TAKEN;
}

/* A:Q was asked in the place of A:P again (control.c), and sees what that saw: nothing has changed since. */
static void note_again(const npi_facts *f, npi_server *s, const npi_trial *t, const npi_exchange *x)
{
    bool is_alike = s->has_mapping && npi_addr_equal(&x->external, &s->observed.external) &&
                    !npi_addr_is_other_ip(&x->local, &s->observed.local);
    if (t->control.aq_is_again && x == &t->control.x[NPI_M_AQ] && is_alike && x->t.first_ns > s->latest.first_ns)
        note_latest(f, s, x);
}

/*
 * A second answer to one request that does not agree with the first: one of them is forged, or the NAT has changed (RFC
 * 3489 section 9.4). Of two addresses neither is believed; behind an error a success is not.
 */
typedef enum agreement { AGREES, SUCCESS_AFTER_ERROR, ERROR_AFTER_SUCCESS, TWO_ADDRESSES } agreement;

static agreement compare_with_first(const npi_exchange *x, const npi_stun_response *r)
{
    bool had_address = npi_addr_is_set(&x->external);
    bool has_address = r->kind == NPI_STUN_SUCCESS && is_credible(x, &r->mapped);
    if (had_address && has_address)
        return npi_addr_equal(&x->external, &r->mapped) ? AGREES : TWO_ADDRESSES;
    if (had_address == has_address)
        return AGREES;
    return has_address ? SUCCESS_AFTER_ERROR : ERROR_AFTER_SUCCESS;
}

/* ---- Taking it -------------------------------------------------------------------------------------------------- */

/* What a usable answer to a plain request says. */
static npi_taken take_success(npi_facts *f, const npi_origin *o, bool first, const npi_stun_response *r)
{
    npi_server *s = o->server;
    npi_exchange *x = o->exchange;
    bool primary = npi_addr_equal(&x->to, &s->address);
    note_success(f, s, x, r);
    if (first) {
        x->external = r->mapped;
        x->last_copy_ns = npi_transaction_last_ns(&x->t);
    }
    if (first && o->trial != NULL)
        note_again(f, s, o->trial, x);
    if (primary)
        note_alternate(f, s, r);
    else if (first && o->trial->phase != NPI_PHASE_DONE && npi_addr_same_ip(&x->to, &s->alternate))
        f->evidence |= NP_EVIDENCE_ALTERNATE_ALIVE;
    return primary && x->slot == NPI_SLOT_SOURCE ? note_mapping(f, s, x, &r->mapped) : NPI_TAKEN;
}

/* An answer to a plain request, from where the request went. */
static npi_taken take_plain(npi_facts *f, const npi_origin *o, const npi_stun_response *r)
{
    npi_server *s = o->server;
    npi_exchange *x = o->exchange;
    bool first = !npi_exchange_is_answered(x);
    uint64_t sample_ns = npi_transaction_answered(&x->t, f->now_ns, rtt_of(o), s->repeats);
    note_repeated(f, s, &x->t);
    agreement agrees = first ? AGREES : compare_with_first(x, r);
    if (agrees == TWO_ADDRESSES)
        return NPI_TAKEN_CONTRADICTION;
    if (agrees != AGREES)
        f->evidence |= NP_EVIDENCE_CONTRADICTION;
    if (agrees == SUCCESS_AFTER_ERROR || sample_ns == 0)
        return NPI_TAKEN;
    note_times(f, o, sample_ns);
    if (npi_addr_equal(&x->to, &s->address))
        s->fell_silent = false;
    sight seen = r->kind == NPI_STUN_SUCCESS ? see(x, &r->mapped) : IMPOSSIBLE;
    if (seen != CREDIBLE) {
        note_unusable(f, s, x, seen, r);
        return NPI_TAKEN;
    }
    return take_success(f, o, first, r);
}

/* An answer to a CHANGE-REQUEST may come from anywhere: where from is what it tells. */
static npi_taken take_change(npi_facts *f, const npi_answer *a)
{
    npi_exchange *x = a->origin.exchange;
    const npi_stun_response *r = &a->response;
    uint64_t sample_ns = npi_transaction_answered(&x->t, f->now_ns, rtt_of(&a->origin), a->origin.server->repeats);
    f->duplicated |= x->t.extra_answers > 0;
    if (x == &a->origin.trial->filtering.x[NPI_F_III])
        note_repeated(f, a->origin.server, &x->t);
    if (sample_ns == 0)
        return NPI_TAKEN;
    (void)note_queue(f, &a->origin);
    bool success = r->kind == NPI_STUN_SUCCESS;
    if (success && !npi_addr_is_set(&x->external))
        x->external = r->mapped;
    npi_trial_take_answer(f, a->origin.trial, x, &a->from, &r->origin, success);
    /* The request went to A:P, so the answer says what A:P sees of the source socket now. */
    bool tells_mapping = success && x->slot == NPI_SLOT_SOURCE && is_credible(x, &r->mapped);
    return tells_mapping ? note_mapping(f, a->origin.server, x, &r->mapped) : NPI_TAKEN;
}

/*
 * Tests whose answers a filter keeps out take the server's time as well: how far it has come, since it was asked first,
 * tells how long each request takes, and so when it will be through with them all.
 */
static void note_progress(const npi_facts *f, npi_server *s, const npi_transaction *t)
{
    uint32_t served = npi_server_copies_before(f, s, npi_transaction_copy_ns(t, t->answers - 1)) + 1;
    uint64_t began_ns = s->started_ns + s->rtt.lowest_ns;
    if (f->now_ns > began_ns)
        s->service_ns = npi_time_min(s->service_ns, (f->now_ns - began_ns) / served);
    s->clear_ns = f->now_ns + (npi_server_copies(f, s) - served) * s->service_ns;
}

npi_taken npi_answers_take(npi_facts *f, const npi_answer *a)
{
    npi_server *s = a->origin.server;
    const npi_exchange *x = a->origin.exchange;
    npi_taken taken = x->change == 0 ? take_plain(f, &a->origin, &a->response) : take_change(f, a);
    if (npi_server_is_slow(s) && x->t.answers > 0 && npi_addr_equal(&x->to, &s->address))
        note_progress(f, s, &x->t);
    return taken;
}
