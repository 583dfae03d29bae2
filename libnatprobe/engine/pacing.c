/* SPDX-License-Identifier: MIT */
/* Gaps and patience, each from what is known of the round trip. */
#include "pacing.h"

#include "dense.h"
#include "silence.h"

/* Copies of a plain request that leave a round trip apart, before the gap starts to double. */
#define EVEN_COPIES 3
/* Rounds leave this many times in a round trip, within NPI_PACE_MIN_NS and NPI_PACE_MAX_NS. */
#define ROUNDS_IN_RTT 50
/* Most doublings of the gap between plain copies: without a known round trip, with one, and of the blind rounds. */
#define DOUBLINGS_UNKNOWN 5
#define DOUBLINGS_KNOWN 3
#define DOUBLINGS_BLIND 2
/* Another server is asked in the place of a silent one after so many round trips of the slowest that has answered. */
#define HEDGE_RTTS 2
/* A silent server is waited for so many round trips of the slowest that has answered. */
#define GIVE_UP_RTTS 10
/* Where more than two of three copies are lost rounds slow down; where more than four of five, more so. */
#define SLOWDOWN 2
#define SLOWDOWN_MORE 4

static uint64_t within(uint64_t t, uint64_t least, uint64_t most)
{
    return npi_time_max(least, npi_time_min(t, most));
}

/* ---- Plain requests --------------------------------------------------------------------------------------------- */

/* Doubling, as RFC 8489 section 6.2.1 has it, from a shorter start. */
static uint64_t unknown_gap_ns(uint64_t start_ns, uint32_t sent)
{
    return npi_time_min(start_ns << npi_least(sent - 1, DOUBLINGS_UNKNOWN), NPI_PRIMARY_GAP_MAX_NS);
}

/*
 * With a known round trip three copies in a row, against single losses; then ever slower, so that on a short path too
 * the copies outlast a burst of losses.
 */
static uint64_t known_gap_ns(uint64_t rto_ns, uint32_t sent)
{
    static const uint64_t least_ms[] = {10, 10, 20, 50, 100, 200};
    uint64_t least = least_ms[npi_least(sent - 1, sizeof least_ms / sizeof least_ms[0] - 1)] * NPI_MS;
    /* A busy host may hold an answer back for some milliseconds: a copy too many costs more than waiting for it. */
    uint64_t base = npi_time_min(npi_time_add(rto_ns, NPI_PACE_MIN_NS), NPI_REPEAT_MAX_NS);
    uint64_t gap = sent <= EVEN_COPIES ? base : base << npi_least(sent - EVEN_COPIES, DOUBLINGS_KNOWN);
    return npi_time_max(least, npi_time_min(gap, NPI_REPEAT_LAST_NS));
}

static uint64_t longest_rtt_ns(const npi_facts *f)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < f->server_count; i++)
        longest = npi_time_max(longest, f->servers[i].rtt.smoothed_ns);
    return longest;
}

/*
 * A server not yet heard is as far away as the farthest that has been. For the mapping alone no copy leaves before an
 * answer can come: with two it is not known which of them an answer shows, and what it shows cannot be compared.
 */
static uint64_t unknown_start_ns(const npi_facts *f)
{
    uint64_t longest = longest_rtt_ns(f);
    uint64_t most = npi_facts_tests_filtering(f) ? NPI_NOW : longest + longest / 4;
    if (longest == 0)
        return NPI_PRIMARY_GAP_NS;
    return within(2 * longest, NPI_PRIMARY_GAP_MIN_NS, npi_time_max(NPI_PRIMARY_GAP_NS, most));
}

static uint64_t gap_without_queue_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x, uint32_t sent)
{
    if (x->send_twice && sent == 1)
        return NPI_PACE_MIN_NS;
    if (s->rtt.samples == 0)
        return unknown_gap_ns(unknown_start_ns(f), sent);
    uint64_t rto_ns = npi_rtt_rto(&s->rtt);
    /* Of this one it has to be known which copy was answered: the second waits until the first must have been. */
    if (x == &s->x[NPI_RECHECK] && sent == 1)
        return npi_time_add(rto_ns, NPI_PACE_MIN_NS);
    return known_gap_ns(rto_ns, sent);
}

uint64_t npi_pacing_plain_gap_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    uint32_t sent = x->t.sent > 0 ? x->t.sent : 1;
    uint64_t gap_ns = gap_without_queue_ns(f, s, x, sent);
    if (!npi_server_is_slow(s))
        return gap_ns;
    uint64_t last_ns = npi_transaction_last_ns(&x->t); /* until then it may still be in the queue */
    return s->clear_ns > last_ns ? npi_time_max(gap_ns, s->clear_ns - last_ns) : gap_ns;
}

/* ---- Rounds of filtering tests ---------------------------------------------------------------------------------- */

/* It holds so many copies of a test, and lasts so long. A standstill takes time that the experiment does not see. */
static bool is_dense_over(const npi_facts *f, const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        bool is_late = npi_time_add(x->first_ns, NPI_DENSE_NS) < f->now_ns || x->first_ns < f->standstill.resumed_ns;
        if (x->sent > 0 && (x->sent >= NPI_DENSE_COPIES || is_late))
            return true;
    }
    bool has_second = p->x[NPI_F_SECOND].t.started || p->x[NPI_F_SECOND].queued; /* a loss had been seen */
    return p->rounds >= NPI_DENSE_ROUNDS || has_second;
}

bool npi_pacing_is_dense(const npi_facts *f, const npi_trial *t)
{
    bool may_be = !is_dense_over(f, &t->filtering) && !npi_server_is_slow(npi_trial_server(f, t));
    return may_be && npi_silence_path_loss(f, t).lost == 0;
}

/* Before anything is known of the round trip: ever slower. */
static uint64_t blind_round_gap_ns(uint32_t rounds)
{
    if (rounds <= NPI_DENSE_ROUNDS)
        return NPI_BLIND_FIRST_NS;
    uint32_t more = rounds - NPI_DENSE_ROUNDS;
    return NPI_BLIND_GAP_NS << npi_least(more / 2, DOUBLINGS_BLIND);
}

/* In a burst of losses more copies bring nothing but an end of copies: the longer it lasts, the slower they go. */
static uint64_t quiet_gap_ns(const npi_facts *f, const npi_trial *t, const npi_rtt *rtt)
{
    uint64_t expected_ns = npi_time_add(t->filtering_heard_ns, npi_rtt_rto(rtt));
    if (t->filtering_heard_ns == 0 || f->now_ns <= expected_ns)
        return 0;
    return npi_time_min((f->now_ns - expected_ns) / 2, NPI_QUIET_GAP_MAX_NS);
}

/* A server that limits its rate answers the more the less it is asked. */
static uint64_t slowdown(const npi_loss *loss)
{
    if (!npi_loss_is_extreme(loss))
        return 1;
    return loss->lost > 4 * loss->answered ? SLOWDOWN_MORE : SLOWDOWN;
}

/*
 * Most of the dense start was lost: a limit of rate, a small queue, a burst of losses. Rounds go slowly then, faster
 * with each answer and slower with each loss.
 */
static uint64_t careful_gap_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_transaction *x = &p->x[NPI_F_I].t;
    if (!p->dense.is_heavy ||
        f->traffic.send_error != NP_OK) /* what the host refuses to send is no limit of the path */
        return 0;
    uint32_t dense = npi_dense_copies(x);
    uint32_t aged = npi_transaction_aged(x, f->now_ns, npi_trial_rto(f, t));
    uint32_t answered = x->answers - p->dense.answers[NPI_F_I];
    uint32_t settled = aged > dense ? aged - dense : 0;
    uint32_t lost = settled > answered ? settled - answered : 0;
    return NPI_CAREFUL_GAP_NS >> npi_least(answered > lost ? answered - lost : 0, 10);
}

uint64_t npi_pacing_round_gap_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_rtt *rtt = &npi_trial_server(f, t)->rtt;
    if (npi_pacing_is_dense(f, t))
        return NPI_DENSE_GAP_NS;
    if (rtt->samples == 0)
        return blind_round_gap_ns(t->filtering.rounds);
    npi_loss loss = npi_silence_path_loss(f, t);
    uint64_t gap = within(rtt->smoothed_ns / ROUNDS_IN_RTT, NPI_PACE_MIN_NS, NPI_PACE_MAX_NS) * slowdown(&loss);
    return npi_time_max(npi_time_max(gap, quiet_gap_ns(f, t, rtt)), careful_gap_ns(f, t));
}

/* ---- Servers that work off a queue ------------------------------------------------------------------------------ */

/* Whether copies of I are unanswered that the server may still be about to answer. */
static bool is_awaited(const npi_transaction *x)
{
    return x->started && x->answers < x->sent;
}

uint64_t npi_pacing_slow_until_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    if (!npi_server_is_slow(s) || !is_awaited(&t->filtering.x[NPI_F_I].t))
        return NPI_NOW;
    return s->clear_ns;
}

uint64_t npi_pacing_slow_share_ns(const npi_facts *f)
{
    if (f->config.deadline_ns == NPI_NEVER)
        return NPI_NEVER;
    return f->start_ns + (f->config.deadline_ns - f->start_ns) / 100 * NPI_SLOW_SHARE;
}

uint64_t npi_pacing_late_until_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_loss loss = npi_silence_path_loss(f, t);
    bool is_suspect = s->late_answers > t->filtering.late_waited && loss.lost > 0;
    bool is_doubtful = !t->filtering.waited_for_late && loss.lost >= NPI_LATE_LOST && loss.lost >= loss.answered;
    if (f->traffic.send_error != NP_OK || s->rtt.smoothed_ns > NPI_LATE_RTT_MAX_NS || (!is_suspect && !is_doubtful))
        return NPI_NOW;
    uint64_t wait_ns = s->rtt.smoothed_ns * (is_suspect ? NPI_SLOW_QUIET_RTTS : NPI_LATE_QUIET_RTTS);
    return npi_time_add(npi_time_max(npi_silence_ready_ns(f, t), s->heard_ns), wait_ns);
}

/* ---- Servers that fall silent ----------------------------------------------------------------------------------- */

uint64_t npi_pacing_hushed_ns(const npi_facts *f, const npi_trial *t, bool others_can_help)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_transaction *x = &t->filtering.x[NPI_F_I].t;
    if (s->heard_ns == 0 || s->rtt.samples == 0 || npi_server_is_slow(s) ||
        npi_transaction_sent_since(x, s->heard_ns) < NPI_HUSH_LOST)
        return NPI_NEVER;
    uint64_t silent_ns = npi_time_max(NPI_HUSH_NS, NPI_HUSH_RTTS * s->rtt.smoothed_ns);
    if (!others_can_help) /* nothing is gained by leaving it before all hope is lost */
        silent_ns = npi_time_max(silent_ns, NPI_HUSH_ALONE_NS);
    return npi_time_add(npi_transaction_first_since(x, s->heard_ns), silent_ns);
}

/* A has answered from A:Q, or the control. */
static bool is_heard_in_mapping(const npi_control *c)
{
    return npi_exchange_is_answered(&c->x[NPI_M_AQ]) || npi_exchange_is_answered(&c->x[NPI_C_II]) ||
           npi_exchange_is_answered(&c->x[NPI_C_III]);
}

uint64_t npi_pacing_gone_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_transaction *again = &s->x[NPI_RECHECK].t;
    if (!again->started || again->answers > 0 || again->sent < NPI_GONE_COPIES || is_heard_in_mapping(&t->control) ||
        npi_server_is_slow(s))
        return NPI_NEVER;
    uint64_t copy_ns = npi_transaction_copy_ns(again, NPI_GONE_COPIES - 1);
    if (s->heard_ns >= copy_ns) /* it was asked again before the filtering test, which A has answered */
        return NPI_NEVER;
    return npi_time_add(copy_ns, npi_trial_rto(f, t));
}

/* ---- Patience --------------------------------------------------------------------------------------------------- */

uint64_t npi_pacing_hedge_ns(const npi_facts *f, bool is_first)
{
    uint64_t longest = longest_rtt_ns(f);
    if (!npi_facts_tests_filtering(f))
        return longest == 0 ? NPI_HEDGE_MAPPING_NS
                            : within(HEDGE_RTTS * longest, NPI_HEDGE_MIN_NS, NPI_HEDGE_MAPPING_NS);
    if (longest != 0)
        return within(HEDGE_RTTS * longest, NPI_HEDGE_MIN_NS, NPI_HEDGE_NEXT_NS);
    return is_first ? NPI_HEDGE_FIRST_NS : NPI_HEDGE_NEXT_NS;
}

/* While nobody has answered nothing is known of the path: no server is given up. */
uint64_t npi_pacing_give_up_after_ns(const npi_facts *f)
{
    if (!f->any_answer)
        return NPI_NEVER;
    uint64_t longest = longest_rtt_ns(f);
    if (longest == 0) { /* only answers to CHANGE-REQUEST so far: they may have been under way all the time */
        uint64_t heard_after = f->traffic.last_heard_ns - f->traffic.first_sent_ns;
        return npi_time_max(NPI_GIVE_UP_MAX_NS, npi_time_add(heard_after, NPI_GIVE_UP_MIN_NS));
    }
    uint64_t patience = within(GIVE_UP_RTTS * longest, NPI_GIVE_UP_MIN_NS, NPI_GIVE_UP_MAX_NS);
    return npi_time_max(patience, longest + longest / 2); /* a server as far away as that one can still answer */
}

uint64_t npi_pacing_given_up_ns(const npi_facts *f, const npi_server *s)
{
    if (s->failed)
        return NPI_NOW;
    if (npi_server_has_answered(s))
        return NPI_NEVER;
    return npi_time_add(s->started_ns, npi_pacing_give_up_after_ns(f));
}

uint64_t npi_pacing_primary_done_ns(const npi_server *s)
{
    if (s->has_mapping)
        return NPI_NOW;
    uint64_t age = s->rtt.samples > 0 ? 2 * npi_rtt_rto(&s->rtt) : NPI_GIVE_UP_MIN_NS;
    return npi_time_max(npi_exchange_over_ns(&s->x[NPI_PRIMARY], age), npi_exchange_over_ns(&s->x[NPI_RFC3489], age));
}
