/* SPDX-License-Identifier: MIT */
/* Which servers are asked, when, and how fast (docs/METHOD.md, "Several servers"). */
#include "probe_internal.h"

#include <string.h>

/* ---- Rate ------------------------------------------------------------------------------------------------------- */

/* How many of the last transactions recent_ns tells of. */
static uint32_t remembered(const npi_probe *p)
{
    return p->transactions < NPI_RATE_TRANSACTIONS ? p->transactions : NPI_RATE_TRANSACTIONS;
}

uint32_t npi_rate_room(const npi_probe *p)
{
    uint32_t used = remembered(p);
    uint32_t room = NPI_RATE_TRANSACTIONS - used;
    for (uint32_t i = 0; i < used; i++)
        room += npi_time_add(p->recent_ns[i], NPI_RATE_WINDOW_NS) <= p->now_ns;
    return room;
}

bool npi_rate_has_room(npi_probe *p, uint32_t transactions)
{
    if (npi_rate_room(p) >= transactions)
        return true;
    uint32_t used = remembered(p);
    for (uint32_t i = 0; i < used; i++)
        npi_wake_at(p, npi_time_add(p->recent_ns[i], NPI_RATE_WINDOW_NS));
    return false;
}

bool npi_rate_allows(npi_probe *p)
{
    if (p->transactions < NPI_RATE_TRANSACTIONS)
        return true;
    uint64_t free_ns = npi_time_add(p->recent_ns[p->transactions % NPI_RATE_TRANSACTIONS], NPI_RATE_WINDOW_NS);
    if (free_ns > p->now_ns)
        npi_wake_at(p, free_ns);
    return free_ns <= p->now_ns;
}

void npi_rate_use(npi_probe *p)
{
    p->recent_ns[p->transactions++ % NPI_RATE_TRANSACTIONS] = p->now_ns;
}

void npi_rate_return(npi_probe *p)
{
    if (p->transactions > 0)
        p->recent_ns[--p->transactions % NPI_RATE_TRANSACTIONS] = 0;
}

/* ---- One server ------------------------------------------------------------------------------------------------- */

/* Blind: doubling, as RFC 8489 section 6.2.1 has it, from a shorter start. */
static uint64_t blind_gap_ns(uint64_t start_ns, uint32_t sent)
{
    uint64_t gap = start_ns << (sent - 1 < 5 ? sent - 1 : 5);
    return gap < NPI_KNOCK_GAP_MAX_NS ? gap : NPI_KNOCK_GAP_MAX_NS;
}

/*
 * With a known round trip three copies in a row, against single losses; then ever slower, so that on a short path too the
 * copies outlast a burst of losses.
 */
static uint64_t known_gap_ns(uint64_t horizon_ns, uint32_t sent)
{
    static const uint64_t least_ms[] = {10, 10, 20, 50, 100, 200};
    uint32_t last = sizeof least_ms / sizeof least_ms[0] - 1;
    uint64_t least = least_ms[sent - 1 < last ? sent - 1 : last] * NPI_MS;
    /* A busy host may hold an answer back for some milliseconds: a copy too many costs more than waiting for it. */
    uint64_t patient_ns = npi_time_add(horizon_ns, NPI_PACE_MIN_NS);
    uint64_t base = patient_ns < NPI_REPEAT_MAX_NS ? patient_ns : NPI_REPEAT_MAX_NS;
    uint64_t gap = sent <= 3 ? base : base << (sent - 3 < 3 ? sent - 3 : 3);
    if (gap > NPI_REPEAT_LAST_NS)
        gap = NPI_REPEAT_LAST_NS;
    return gap > least ? gap : least;
}

static uint64_t longest_rtt_ns(const npi_probe *p)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < p->server_count; i++) {
        uint64_t rtt = p->servers[i].rtt.smoothed_ns;
        longest = rtt > longest ? rtt : longest;
    }
    return longest;
}

static uint64_t blind_start_ns(const npi_probe *p)
{
    uint64_t twice = 2 * longest_rtt_ns(p);
    if (twice == 0 || twice > NPI_KNOCK_GAP_NS)
        return NPI_KNOCK_GAP_NS;
    return twice > NPI_KNOCK_GAP_MIN_NS ? twice : NPI_KNOCK_GAP_MIN_NS;
}

uint64_t npi_plain_gap_ns(const npi_probe *p, const npi_server *s, const npi_exchange *x)
{
    uint32_t sent = x->t.sent > 0 ? x->t.sent : 1;
    if (x->doubled && sent == 1)
        return NPI_PACE_MIN_NS;
    if (s->rtt.samples == 0)
        return blind_gap_ns(blind_start_ns(p), sent);
    /* Of this one it has to be known which copy was answered: the second waits until the first must have been. */
    if (x == &s->x[NPI_VERIFY] && sent == 1)
        return npi_time_add(npi_rtt_horizon(&s->rtt), NPI_PACE_MIN_NS);
    return known_gap_ns(npi_rtt_horizon(&s->rtt), sent);
}

bool npi_schedule_has_heard(const npi_probe *p)
{
    return p->stirred;
}

/* How long a silent server is waited for: longer while nobody has answered, since then nothing is known of the path. */
static uint64_t patience_ns(const npi_probe *p)
{
    uint64_t longest = longest_rtt_ns(p);
    if (!npi_schedule_has_heard(p))
        return NPI_NEVER;
    if (longest == 0)
        return NPI_GIVE_UP_MAX_NS; /* only answers to CHANGE-REQUEST so far */
    uint64_t patience = 10 * longest;
    if (patience < NPI_GIVE_UP_MIN_NS)
        return NPI_GIVE_UP_MIN_NS;
    return patience < NPI_GIVE_UP_MAX_NS ? patience : NPI_GIVE_UP_MAX_NS;
}

static bool is_given_up(npi_probe *p, const npi_server *s)
{
    if (s->heard)
        return s->failed;
    uint64_t until = npi_time_add(s->started_ns, patience_ns(p));
    if (until > p->now_ns)
        npi_wake_at(p, until);
    return s->failed || until <= p->now_ns;
}

/* The source socket's own requests have found out all they can. */
bool npi_server_knock_is_over(npi_probe *p, const npi_server *s)
{
    if (s->is_seen)
        return true;
    uint64_t age = s->rtt.samples > 0 ? 2 * npi_rtt_horizon(&s->rtt) : NPI_GIVE_UP_MIN_NS;
    bool knock_over = npi_exchange_is_over(p, &s->x[NPI_KNOCK], age);
    return knock_over && npi_exchange_is_over(p, &s->x[NPI_CLASSIC], age);
}

bool npi_server_is_spent(npi_probe *p, const npi_server *s)
{
    if (!s->started)
        return false;
    if (is_given_up(p, s))
        return true;
    if (!s->heard || !npi_server_knock_is_over(p, s))
        return false;
    if (s->trial >= 0)
        return p->trials[s->trial].phase == NPI_PHASE_DONE;
    return !s->named || !npi_addr_is_set(&s->alternate) || p->trial_count == p->trial_room;
}

static void start_server(npi_probe *p, size_t index)
{
    npi_server *s = &p->servers[index];
    s->started = true;
    s->started_ns = p->now_ns;
    p->last_start_ns = p->now_ns;
    npi_exchange_init(&s->x[NPI_KNOCK], "I", NPI_SLOT_SOURCE, &s->address, 0, NPI_KNOCK_COPIES);
    npi_exchange_init(&s->x[NPI_CLASSIC], "classic I", NPI_SLOT_SOURCE, &s->address, 0, NPI_CLASSIC_COPIES);
    npi_exchange_init(&s->x[NPI_VERIFY], "I again", NPI_SLOT_SOURCE, &s->address, 0, NPI_ALTERNATE_COPIES);
    s->x[NPI_KNOCK].wanted = true;
}

/* ---- The choice of servers -------------------------------------------------------------------------------------- */

/*
 * While a filtering test is under way nothing may go to the addresses whose answers it waits for, nor to another port
 * of the same server: a NAT that keeps its filters for each host would let the tests' answers through.
 */
static bool would_disturb(npi_probe *p, const npi_server *candidate)
{
    for (size_t i = 0; i < p->trial_count; i++) {
        const npi_trial *t = &p->trials[i];
        const npi_server *s = &p->servers[t->server];
        if (t->phase != NPI_PHASE_FILTERING || s == candidate)
            continue;
        uint64_t hedge_ns = npi_time_add(s->started_ns, NPI_HEDGE_NS);
        if (!s->heard && hedge_ns > p->now_ns)
            npi_wake_at(p, hedge_ns);
        else if (!s->heard)
            continue; /* a silent server keeps no other waiting; if it speaks after all, what was touched counts against it */
        if (npi_addr_same_ip(&s->address, &candidate->address) || npi_addr_same_ip(&s->alternate, &candidate->address))
            return true;
    }
    return false;
}

static npi_server *next_server(npi_probe *p)
{
    npi_server *first = NULL;
    for (size_t i = 0; i < p->server_count; i++) {
        npi_server *s = &p->servers[i];
        if (s->started || would_disturb(p, s))
            continue;
        if (s->was_heard)
            return s;
        if (first == NULL)
            first = s;
    }
    return first;
}

static bool has_started_any(const npi_probe *p)
{
    for (size_t i = 0; i < p->server_count; i++) {
        if (p->servers[i].started)
            return true;
    }
    return false;
}

/* The first server that may have a second address gets both tests at once, before it is known whether it has one. */
static void start_with_trial(npi_probe *p, npi_server *s)
{
    size_t index = (size_t)(s - p->servers);
    start_server(p, index);
    if (p->trial_count == 0 && npi_verdict_needs_filtering(p) && !s->expected_mapping_only)
        npi_trial_begin(p, index, true);
}

static const npi_server *only_started(const npi_probe *p)
{
    const npi_server *only = NULL;
    for (size_t i = 0; i < p->server_count; i++) {
        if (!p->servers[i].started)
            continue;
        if (only != NULL)
            return NULL;
        only = &p->servers[i];
    }
    return only;
}

/*
 * Two are asked at once where that cannot disturb a filtering test: when the mapping alone is wanted, and when one of
 * them is known to have no second address, so that it cannot be the other's.
 */
static void start_companion(npi_probe *p)
{
    const npi_server *only = only_started(p);
    npi_server *s = only != NULL ? next_server(p) : NULL;
    if (s == NULL)
        return;
    if (p->config.tests != NP_TESTS_ALL || s->expected_mapping_only != only->expected_mapping_only)
        start_with_trial(p, s);
}

static void start_first(npi_probe *p)
{
    npi_server *s = next_server(p);
    if (s != NULL)
        start_with_trial(p, s);
}

/* True when the servers asked so far cannot bring the verdict any more. */
static bool all_are_spent(npi_probe *p)
{
    for (size_t i = 0; i < p->server_count; i++) {
        if (p->servers[i].started && !npi_server_is_spent(p, &p->servers[i]))
            return false;
    }
    return true;
}

bool npi_schedule_is_exhausted(npi_probe *p)
{
    return !p->more_servers && all_are_spent(p) && next_server(p) == NULL;
}

static bool last_start_is_unheard(const npi_probe *p)
{
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *s = &p->servers[i];
        if (s->started && s->heard && s->started_ns == p->last_start_ns && !s->failed)
            return false;
    }
    return true;
}

/* Whether a trial may yet bring what is missing; one that failed at the filtering only goes on with the mapping. */
static bool is_useful(const npi_probe *p, const npi_trial *t)
{
    if (t->phase == NPI_PHASE_DONE)
        return false;
    return !npi_verdict_needs_filtering(p) || !t->settled || t->filtering != NP_BEHAVIOUR_UNKNOWN;
}

/* A heard server whose trial goes on is enough; a hedge is for silence (docs/METHOD.md, "Several servers"). */
static bool a_trial_is_heard(const npi_probe *p)
{
    for (size_t i = 0; i < p->trial_count; i++) {
        if (is_useful(p, &p->trials[i]) && p->servers[p->trials[i].server].heard)
            return true;
    }
    return false;
}

/* Whether s may yet bring what is missing. */
static bool is_promising(npi_probe *p, const npi_server *s)
{
    if (npi_server_is_spent(p, s))
        return false;
    return !s->heard || s->trial < 0 || is_useful(p, &p->trials[s->trial]);
}

static bool any_is_promising(npi_probe *p)
{
    bool any = false;
    for (size_t i = 0; i < p->server_count; i++)
        any |= p->servers[i].started && is_promising(p, &p->servers[i]);
    return any;
}

bool npi_schedule_can_go_on(npi_probe *p)
{
    return p->more_servers || any_is_promising(p) || next_server(p) != NULL;
}

static void start_next(npi_probe *p)
{
    if (!has_started_any(p))
        return;
    if (any_is_promising(p)) {
        if (a_trial_is_heard(p) || !last_start_is_unheard(p))
            return;
        uint64_t hedge_ns = npi_time_add(p->last_start_ns, NPI_HEDGE_NS);
        if (hedge_ns > p->now_ns) {
            npi_wake_at(p, hedge_ns);
            return;
        }
    }
    npi_server *s = next_server(p);
    if (s != NULL && npi_rate_allows(p))
        start_server(p, (size_t)(s - p->servers));
}

/* While nobody answers, and names may be slow to resolve, one more for every hedge delay that has passed. */
size_t npi_probe_servers_wanted(const npi_probe *p)
{
    size_t started = 0;
    for (size_t i = 0; i < p->server_count; i++)
        started += p->servers[i].started;
    uint64_t silent_ns = p->stirred ? 0 : p->now_ns - p->start_ns;
    return (started < 2 ? 3 : started + 1) + (size_t)(silent_ns / NPI_HEDGE_NS);
}

static void wake_to_want_more(npi_probe *p)
{
    uint64_t passed = (p->now_ns - p->start_ns) / NPI_HEDGE_NS;
    if (p->more_servers && !p->stirred)
        npi_wake_at(p, p->start_ns + (passed + 1) * NPI_HEDGE_NS);
}

/* A server silent for long gets the form of request that RFC 3489 servers may insist on. */
static void ask_classic(npi_probe *p, npi_server *s)
{
    npi_exchange *x = &s->x[NPI_CLASSIC];
    if (!s->started || s->heard || s->failed || x->wanted || x->t.started)
        return;
    uint64_t ask_ns = npi_time_add(s->started_ns, NPI_CLASSIC_AFTER_NS);
    if (ask_ns > p->now_ns)
        npi_wake_at(p, ask_ns);
    else
        x->wanted = true;
}

/* In a mapping-only run other servers may be about to answer, which is cheaper than asking this one's alternate. */
static bool others_may_answer_soon(npi_probe *p, const npi_server *s)
{
    uint64_t wait_ns = npi_rtt_horizon(&s->rtt);
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *o = &p->servers[i];
        if (o == s || !o->started || o->heard || o->failed)
            continue;
        uint64_t until = npi_time_add(o->started_ns, npi_time_add(wait_ns, 2 * NPI_PACE_MIN_NS));
        if (until > p->now_ns) {
            npi_wake_at(p, until);
            return true;
        }
    }
    return false;
}

/* A server that has answered and named an alternate address becomes the subject of a trial, if one is needed. */
static void begin_trial(npi_probe *p, npi_server *s)
{
    if (!s->started || s->failed || s->trial >= 0 || !s->is_seen || !npi_addr_is_set(&s->alternate))
        return;
    if (p->trial_count == p->trial_room || a_trial_is_heard(p))
        return;
    bool filtering = npi_verdict_needs_filtering(p);
    if (!filtering && others_may_answer_soon(p, s))
        return;
    npi_trial_begin(p, (size_t)(s - p->servers), filtering);
}

/* Knocking goes on longer at a server that another socket has heard. */
static void extend_knock(npi_server *s)
{
    npi_exchange *x = &s->x[NPI_KNOCK];
    if (s->started && s->heard && x->t.started && x->t.limit < NPI_KNOCK_COPIES_HEARD)
        x->t.limit = NPI_KNOCK_COPIES_HEARD;
}

void npi_schedule_servers(npi_probe *p)
{
    wake_to_want_more(p);
    if (!has_started_any(p))
        start_first(p);
    start_companion(p);
    start_next(p);
    for (size_t i = 0; i < p->server_count; i++) {
        ask_classic(p, &p->servers[i]);
        begin_trial(p, &p->servers[i]);
        extend_knock(&p->servers[i]);
    }
}

void npi_schedule_restart(npi_probe *p)
{
    if (p->restarted) {
        npi_probe_finish(p, NP_ERR_ADDRESS_CHANGED, 0);
        return;
    }
    p->restarted = true;
    p->verifications = 0;
    p->evidence = (p->evidence & (NP_EVIDENCE_ANSWERED | NP_EVIDENCE_CLASSIC)) | NP_EVIDENCE_RESTARTED;
    for (size_t i = 0; i < p->trial_count; i++) {
        /* Its exchanges stay: what they have touched stays touched (npi_probe_has_touched). */
        p->trials[i].phase = NPI_PHASE_DONE;
        p->trials[i].settled = true;
        p->trials[i].filtering = NP_BEHAVIOUR_UNKNOWN;
        p->trials[i].reason = NPI_REASON_UNFINISHED;
    }
    for (size_t i = 0; i < p->server_count; i++) {
        npi_server *s = &p->servers[i];
        s->was_heard |= s->heard;
        s->started = s->heard = s->is_seen = false;
        s->trial = -1;
        memset(s->x, 0, sizeof s->x);
    }
}
