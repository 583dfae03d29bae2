/* SPDX-License-Identifier: MIT */
/* The choice of servers. */
#include "schedule.h"

#include <string.h>

#include "findings.h"
#include "pacing.h"
#include "path.h"
#include "rate.h"
#include "trial.h"

/* ---- One server ------------------------------------------------------------------------------------------------- */

/*
 * After some have fallen silent during their tests, no more are tested; after the first, if fresh sockets seem to take
 * another way: the tests could tell nothing.
 */
static bool may_begin_trial(const npi_facts *f)
{
    size_t most = f->path.state == NPI_PATH_OTHER ? 1 : NPI_HUSHED_MAX;
    return f->trial_count < f->trial_room && npi_facts_count_fell_silent(f) < most;
}

uint64_t npi_schedule_exhausted_ns(const npi_facts *f, const npi_server *s)
{
    if (!npi_server_is_started(s))
        return NPI_NEVER;
    if (s->failed || !npi_server_has_answered(s))
        return npi_pacing_given_up_ns(f, s);
    const npi_trial *t = npi_server_trial(f, s);
    bool has_trial_to_come = s->alternate_state == NPI_ALTERNATE_KNOWN && may_begin_trial(f);
    if (t != NULL ? t->phase != NPI_PHASE_DONE : has_trial_to_come)
        return NPI_NEVER;
    return npi_pacing_primary_done_ns(s);
}

static bool is_exhausted(const npi_facts *f, const npi_server *s)
{
    return npi_schedule_exhausted_ns(f, s) <= f->now_ns;
}

/* Whether s may yet bring what is missing. */
static bool can_still_help(const npi_facts *f, const npi_server *s)
{
    const npi_trial *t = npi_server_trial(f, s);
    if (!npi_server_is_started(s) || is_exhausted(f, s))
        return false;
    return !npi_server_has_answered(s) || t == NULL || npi_trial_is_useful(f, t);
}

/*
 * What one server sees is compared with what another does at the same moment. Where nothing else is asked, one that has
 * answered before is therefore asked again at the same time.
 */
static void ask_again_beside(npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        if (s->has_mapping && !s->failed && !npi_exchange_was_asked(&s->x[NPI_RECHECK])) {
            npi_server_ask_again(s);
            return;
        }
    }
}

static void start(npi_facts *f, size_t index)
{
    if (!npi_facts_tests_filtering(f))
        ask_again_beside(f);
    npi_server *s = &f->servers[index];
    s->contact = NPI_ASKED;
    s->started_ns = f->now_ns;
    npi_exchange_ask(&s->x[NPI_PRIMARY], "I", &s->address, 0, NPI_PRIMARY_COPIES);
    npi_exchange_init(&s->x[NPI_RFC3489], "classic I", NPI_SLOT_SOURCE, &s->address, 0, NPI_RFC3489_COPIES);
    npi_exchange_init(&s->x[NPI_RECHECK], "I again", NPI_SLOT_SOURCE, &s->address, 0, NPI_ALTERNATE_COPIES);
}

/* ---- All servers ------------------------------------------------------------------------------------------------ */

static bool any_can_still_help(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (can_still_help(f, &f->servers[i]))
            return true;
    }
    return false;
}

/*
 * While a filtering test is under way nothing may go to the addresses whose answers it waits for, nor to another port
 * of the same server: a NAT that keeps its filters for each host would let the tests' answers through. A silent server
 * keeps no other waiting for long; if it speaks after all, what was contacted counts against it.
 */
static uint64_t disturbs_until_ns(const npi_facts *f, const npi_server *candidate)
{
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_server *s = npi_trial_server(f, &f->trials[i]);
        if (f->trials[i].phase != NPI_PHASE_FILTERING || s == candidate)
            continue;
        if (!npi_addr_same_ip(&s->address, &candidate->address) &&
            !npi_addr_same_ip(&s->alternate, &candidate->address))
            continue;
        uint64_t silent_ns = npi_time_add(s->started_ns, NPI_SILENT_NS);
        until_ns = npi_time_max(until_ns, npi_server_has_answered(s) ? NPI_NEVER : silent_ns);
    }
    return until_ns;
}

/* The server to start next, NULL when there is none now: one that answered before a restart, else the first listed. */
static const npi_server *next_server(const npi_facts *f, uint64_t *wake_ns)
{
    const npi_server *first = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (npi_server_is_started(s) || s->is_unsteady)
            continue;
        uint64_t until_ns = disturbs_until_ns(f, s);
        if (until_ns > f->now_ns) {
            *wake_ns = npi_time_min(*wake_ns, until_ns);
            continue;
        }
        if (s->answered_before_restart)
            return s;
        if (first == NULL)
            first = s;
    }
    return first;
}

static bool has_next_server(const npi_facts *f)
{
    uint64_t unused_ns = NPI_NEVER;
    return next_server(f, &unused_ns) != NULL;
}

/* Names are not waited for once the servers there are have told all they can. While nobody answers, they are. */
static uint64_t names_awaited_until_ns(const npi_facts *f)
{
    if (!f->more_servers)
        return NPI_NOW;
    if (!f->any_answer)
        return NPI_NEVER;
    return npi_time_add(npi_time_max(f->traffic.last_sent_ns, f->traffic.last_heard_ns), NPI_NAMES_WAIT_NS);
}

uint64_t npi_schedule_all_exhausted_ns(const npi_facts *f)
{
    uint64_t until_ns = names_awaited_until_ns(f);
    if (until_ns == NPI_NEVER || has_next_server(f) || npi_path_is_asking(f))
        return NPI_NEVER;
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]) && !is_exhausted(f, &f->servers[i]))
            return NPI_NEVER;
    }
    return until_ns;
}

uint64_t npi_schedule_can_go_on_until_ns(const npi_facts *f)
{
    return any_can_still_help(f) || has_next_server(f) ? NPI_NEVER : names_awaited_until_ns(f);
}

bool npi_schedule_others_can_help(const npi_facts *f, size_t server)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (i != server && can_still_help(f, &f->servers[i]))
            return true;
    }
    return has_next_server(f);
}

/* ---- What to start next ----------------------------------------------------------------------------------------- */

static npi_next_action wait_until(uint64_t wake_ns)
{
    return (npi_next_action){NPI_ACTION_WAIT, 0, wake_ns};
}

/* The first server that may have a second address gets both tests at once, before it is known whether it has one. */
static npi_next_action start_at_once(const npi_facts *f, const npi_server *s)
{
    bool with_trial = f->trial_count == 0 && npi_filtering_is_needed(f) && !s->expected_mapping_only;
    return (npi_next_action){with_trial ? NPI_ACTION_START_WITH_TRIAL : NPI_ACTION_START, (size_t)(s - f->servers),
                             NPI_NEVER};
}

static const npi_server *first_started(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]))
            return &f->servers[i];
    }
    return NULL;
}

/*
 * Two are asked at once where that cannot disturb a filtering test: when the mapping alone is wanted, and when one of
 * them is known to have no second address, so that it cannot be the other's.
 */
static bool can_start_beside(const npi_facts *f, const npi_server *only, const npi_server *s)
{
    return !npi_facts_tests_filtering(f) || s->expected_mapping_only != only->expected_mapping_only;
}

/* A silent server is waited for so long before another one is asked in its place. */
static uint64_t hedge_ns(const npi_facts *f, const npi_server *s)
{
    return npi_time_add(s->started_ns, npi_pacing_hedge_ns(f, npi_facts_count_started(f) == 1));
}

/*
 * How many servers are enough for now: those that have answered and are of use, and those that were asked a short time
 * ago. *wake_ns is moved forward to when one of them has been silent for too long.
 */
static size_t count_enough(const npi_facts *f, uint64_t *wake_ns)
{
    size_t count = 0;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (npi_server_has_answered(s)) {
            count += npi_filtering_is_needed(f) ? can_still_help(f, s) : s->has_mapping;
        } else if (can_still_help(f, s) && hedge_ns(f, s) > f->now_ns) {
            *wake_ns = npi_time_min(*wake_ns, hedge_ns(f, s));
            count++;
        }
    }
    return count;
}

/* One server can tell the filtering; the mapping takes two. */
static bool has_enough(const npi_facts *f, uint64_t *wake_ns)
{
    size_t wanted = npi_facts_tests_filtering(f) ? 1 : 2;
    return count_enough(f, wake_ns) >= wanted && any_can_still_help(f);
}

/* A server that has answered, and whose trial goes on, is enough: a hedge is for silence. */
static bool is_any_trial_heard(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        if (npi_trial_is_useful(f, &f->trials[i]) && npi_server_has_answered(npi_trial_server(f, &f->trials[i])))
            return true;
    }
    return false;
}

/* It has answered and not fallen silent, or has had little time to answer. */
static bool is_sound(const npi_facts *f, const npi_server *s)
{
    if (!npi_server_is_started(s) || s->failed || s->fell_silent)
        return false;
    return npi_server_has_answered(s) || npi_time_add(s->started_ns, NPI_HUSH_NS) > f->now_ns;
}

/* Once a server has fallen silent two others are asked at once: they tell the mapping before they are tested. */
static bool wants_witness(const npi_facts *f)
{
    size_t sound = 0;
    for (size_t i = 0; i < f->server_count; i++)
        sound += is_sound(f, &f->servers[i]);
    return npi_facts_count_fell_silent(f) > 0 && sound < 2;
}

npi_next_action npi_schedule_next_action(const npi_facts *f)
{
    uint64_t wake_ns = NPI_NEVER;
    const npi_server *s = next_server(f, &wake_ns);
    const npi_server *first = first_started(f);
    if (first == NULL)
        return s != NULL ? start_at_once(f, s) : wait_until(wake_ns);
    if (s != NULL && npi_facts_count_started(f) == 1 && can_start_beside(f, first, s))
        return start_at_once(f, s);
    if (npi_path_is_asking(f))
        return wait_until(wake_ns);
    if (!wants_witness(f) && has_enough(f, &wake_ns))
        return wait_until(wake_ns);
    if (s == NULL)
        return wait_until(wake_ns);
    uint64_t ready_ns = npi_rate_ready_ns(&f->rate, 1);
    if (ready_ns > f->now_ns)
        return wait_until(ready_ns);
    return (npi_next_action){NPI_ACTION_START, (size_t)(s - f->servers), NPI_NEVER};
}

/* Returns when to look again. */
static uint64_t start_servers(npi_facts *f)
{
    uint64_t wake_ns = NPI_NEVER;
    for (;;) {
        npi_next_action next = npi_schedule_next_action(f);
        if (next.action == NPI_ACTION_WAIT)
            return npi_time_min(wake_ns, next.wake_ns);
        start(f, next.server);
        if (next.action == NPI_ACTION_START_WITH_TRIAL) {
            npi_trial_begin(f, next.server, NPI_TRIAL_BOTH_PHASES);
            wake_ns = f->now_ns;
        }
    }
}

size_t npi_schedule_servers_wanted(const npi_facts *f)
{
    size_t started = npi_facts_count_started(f);
    uint64_t silent_ns = f->any_answer ? 0 : f->now_ns - f->start_ns;
    return (started < 2 ? 3 : started + 1) + (size_t)(silent_ns / NPI_SILENT_NS);
}

/* While nobody answers, and names may be slow to resolve, one more is wanted for every hedge delay that has passed. */
static uint64_t want_more_ns(const npi_facts *f)
{
    uint64_t passed = (f->now_ns - f->start_ns) / NPI_SILENT_NS;
    return f->more_servers && !f->any_answer ? f->start_ns + (passed + 1) * NPI_SILENT_NS : NPI_NEVER;
}

/* ---- What to ask of those started ------------------------------------------------------------------------------- */

/*
 * A server silent for long gets the form of request that RFC 3489 servers may insist on. What the system has not sent
 * yet it cannot answer. While another one is being tested the rate is kept for that
 * at first.
 */
static uint64_t ask_rfc3489(const npi_facts *f, npi_server *s)
{
    const npi_transaction *asked = &s->x[NPI_PRIMARY].t;
    npi_exchange *x = &s->x[NPI_RFC3489];
    if (s->contact != NPI_ASKED || s->failed || asked->sent == 0 || x->queued || x->t.started)
        return NPI_NEVER;
    uint64_t after_ns = is_any_trial_heard(f) ? NPI_RFC3489_BESIDE_NS : NPI_RFC3489_AFTER_NS;
    uint64_t ask_ns = npi_time_add(asked->first_ns, after_ns);
    if (ask_ns <= f->now_ns)
        x->queued = true;
    return ask_ns;
}

/*
 * When the last server was started that came later than s. If it was asked in the place of s, which others have
 * answered sooner, it does not count: s is probably dead.
 */
static uint64_t next_started_ns(const npi_facts *f, const npi_server *s)
{
    uint64_t until_ns = f->any_answer ? hedge_ns(f, s) : NPI_NEVER;
    uint64_t latest_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        uint64_t started_ns = f->servers[i].started_ns;
        if (npi_server_is_started(&f->servers[i]) && started_ns > s->started_ns + NPI_SAME_MOMENT_NS &&
            started_ns < until_ns)
            latest_ns = npi_time_max(latest_ns, started_ns);
    }
    return latest_ns;
}

/*
 * Where nothing but the mapping is asked, and the next server was asked while s has not yet answered: s is asked once
 * more behind it, so that what they see can be compared as soon as both have answered. That stands for its next copy.
 */
static uint64_t ask_again_behind(const npi_facts *f, npi_server *s)
{
    const npi_transaction *asked = &s->x[NPI_PRIMARY].t;
    uint64_t next_ns = next_started_ns(f, s);
    if (npi_facts_tests_filtering(f) || s->contact != NPI_ASKED || s->failed || asked->sent != 1 ||
        next_ns == NPI_NOW || npi_exchange_was_asked(&s->x[NPI_RECHECK]))
        return NPI_NEVER;
    uint64_t ask_ns = npi_time_max(next_ns, npi_time_add(asked->first_ns, NPI_PACE_MIN_NS));
    if (ask_ns <= f->now_ns) {
        npi_exchange_ask(&s->x[NPI_RECHECK], "I again", &s->address, 0, 1);
        s->x[NPI_PRIMARY].not_before_ns = npi_time_add(f->now_ns, NPI_PRIMARY_GAP_NS);
    }
    return ask_ns;
}

/* Until when an answer to that may come. */
static uint64_t asked_behind_until_ns(const npi_facts *f)
{
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_exchange *x = &s->x[NPI_RECHECK];
        if (npi_server_has_answered(s) && x->t.started && !npi_exchange_is_answered(x))
            until_ns = npi_time_max(until_ns, npi_time_add(x->t.first_ns, npi_rtt_rto(&s->rtt)));
    }
    return until_ns;
}

/* In a mapping-only run: until when other servers may answer, which is cheaper than asking this one's alternate. */
static uint64_t others_may_answer_until_ns(const npi_facts *f, const npi_server *s)
{
    uint64_t wait_ns = npi_time_add(npi_rtt_rto(&s->rtt), 2 * NPI_PACE_MIN_NS);
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != s && o->contact == NPI_ASKED && !o->failed)
            until_ns = npi_time_max(until_ns, npi_time_add(o->started_ns, wait_ns));
    }
    return until_ns;
}

/* The test may have cost one server, or the second address of one, its way back. */
static bool is_wary(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (t->finding.reason == NPI_REASON_CONTROL && !npi_exchange_is_answered(&t->control.x[NPI_M_BP]) &&
            !npi_exchange_is_answered(&t->control.x[NPI_M_BQ]))
            return true;
    }
    return npi_facts_count_fell_silent(f) > 0;
}

/* Once a server has fallen silent: until when others may tell the mapping before s is tested. */
static uint64_t mapping_secured_ns(npi_facts *f, const npi_server *s)
{
    if (!is_wary(f))
        return NPI_NOW;
    if (wants_witness(f) && has_next_server(f))
        return NPI_NEVER;
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != s && is_sound(f, o) && !npi_server_has_answered(o))
            until_ns = npi_time_max(until_ns, npi_time_add(o->started_ns, NPI_HUSH_NS));
    }
    npi_recheck recheck = npi_mapping_recheck(f);
    if (until_ns > f->now_ns || recheck.state == NPI_RECHECK_NOT_NEEDED)
        return until_ns;
    if (recheck.state == NPI_RECHECK_NEEDED) {
        npi_schedule_reconfirm(f);
        return npi_time_add(f->now_ns, NPI_PACE_MIN_NS);
    }
    return recheck.wake_ns;
}

/* A server that has answered and named an alternate address becomes the subject of a trial, if one is needed. */
static uint64_t begin_trial(npi_facts *f, npi_server *s)
{
    bool is_fit = npi_server_is_started(s) && !s->failed && s->has_mapping && s->alternate_state == NPI_ALTERNATE_KNOWN;
    if (!is_fit || s->trial >= 0 || !may_begin_trial(f) || is_any_trial_heard(f))
        return NPI_NEVER;
    uint64_t secured_ns = mapping_secured_ns(f, s);
    if (secured_ns > f->now_ns)
        return secured_ns;
    bool filtering = npi_filtering_is_needed(f);
    uint64_t begin_ns = filtering ? NPI_NOW : npi_time_max(others_may_answer_until_ns(f, s), asked_behind_until_ns(f));
    if (begin_ns > f->now_ns)
        return begin_ns;
    npi_trial_begin(f, (size_t)(s - f->servers), filtering ? NPI_TRIAL_BOTH_PHASES : NPI_TRIAL_MAPPING_ONLY);
    return f->now_ns;
}

/* A server that another socket has heard is there: it is asked for longer. */
static void extend_primary(npi_server *s)
{
    npi_transaction *t = &s->x[NPI_PRIMARY].t;
    if (npi_server_has_answered(s) && t->started && t->limit < NPI_PRIMARY_COPIES_HEARD)
        t->limit = NPI_PRIMARY_COPIES_HEARD;
}

/* When a server that is asked has been silent for so long that another one is wanted in its place as a witness. */
static uint64_t witness_missed_ns(const npi_facts *f, const npi_server *s)
{
    bool is_awaited = npi_facts_count_fell_silent(f) > 0 && s->contact == NPI_ASKED;
    return is_awaited ? npi_time_add(s->started_ns, NPI_HUSH_NS) : NPI_NEVER;
}

uint64_t npi_schedule_step(npi_facts *f)
{
    uint64_t wake_ns = npi_time_min(want_more_ns(f), start_servers(f));
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        wake_ns = npi_wake_min(wake_ns, witness_missed_ns(f, s), f->now_ns);
        wake_ns = npi_wake_min(wake_ns, ask_rfc3489(f, s), f->now_ns);
        wake_ns = npi_wake_min(wake_ns, ask_again_behind(f, s), f->now_ns);
        wake_ns = npi_time_min(wake_ns, begin_trial(f, s));
        extend_primary(s);
        wake_ns = npi_wake_min(wake_ns, npi_schedule_exhausted_ns(f, s), f->now_ns);
    }
    return wake_ns;
}

/* ---- Once more -------------------------------------------------------------------------------------------------- */

/* What is known of servers is not asked again, such as a second address, or that one has failed. */
#define ABOUT_SERVERS                                                                                                  \
    (NP_EVIDENCE_ANSWERED | NP_EVIDENCE_CLASSIC | NP_EVIDENCE_ALTERNATE | NP_EVIDENCE_ALTERNATE_REFUSED |              \
     NP_EVIDENCE_MALFORMED | NP_EVIDENCE_PROXIED | NP_EVIDENCE_CONTRADICTION)

void npi_schedule_reconfirm(npi_facts *f)
{
    bool doubtful[NPI_SERVERS_MAX] = {false};
    for (size_t i = 0; i < f->server_count; i++)
        doubtful[i] = npi_mapping_is_doubtful(f, &f->servers[i]);
    f->rechecks++;
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        if (doubtful[i])
            npi_server_ask_again(s);
    }
}

void npi_schedule_restart(npi_facts *f)
{
    f->restarted = true;
    f->rechecks = 0;
    memset(&f->path, 0, sizeof f->path);
    f->looked_before += npi_facts_most_copies_of_looks(f);
    memset(&f->looks, 0, sizeof f->looks);
    f->evidence = (f->evidence & ABOUT_SERVERS) | NP_EVIDENCE_RESTARTED;
    for (size_t i = 0; i < f->trial_count; i++) {
        /* Its requests stay: what they have contacted stays contacted (npi_facts_has_contacted). */
        npi_trial *t = &f->trials[i];
        t->phase = NPI_PHASE_DONE;
        if (t->finding.state == NPI_UNDECIDED)
            t->finding.state = NPI_DECIDED;
        t->finding.filtering = NP_BEHAVIOUR_UNKNOWN;
        t->finding.reason = NPI_REASON_UNFINISHED;
    }
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        s->answered_before_restart |= npi_server_has_answered(s);
        s->started_before_restart |= npi_server_is_started(s);
        s->contact = NPI_NOT_ASKED;
        s->has_mapping = false;
        s->trial = -1;
        s->fell_silent = s->was_copied = false;
        memset(s->x, 0, sizeof s->x);
        npi_server_forget_path(s);
    }
}
