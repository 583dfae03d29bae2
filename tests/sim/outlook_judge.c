/* SPDX-License-Identifier: MIT */
/* There is no table here of what should be: each class is what its sentence says, tried out. */
#include "outlook_judge.h"

#define LATER_NS (300 * MS) /* much more than a datagram takes */

static attempt attempt_of(const pair *p, bool learns)
{
    attempt a = {0};
    for (unsigned side = 0; side < 2; side++)
        a.plan[side] = (peer_plan){
            .initiates = true, .learns = learns, .told = host_external(&p->side[!side]->profile)};
    return a;
}

/* One side sends, the other answers. */
static bool connects_one_sided(const pair *p, unsigned sender, bool learns)
{
    attempt a = attempt_of(p, learns);
    a.plan[!sender].initiates = false;
    return pair_connects(p, &a);
}

bool judge_order(const pair *p, order o, bool opens, bool learns)
{
    attempt a = attempt_of(p, learns);
    a.plan[0].opens = opens;
    a.plan[1].opens = opens;
    a.plan[0].wait_ns = o == THEIRS_BEGIN ? LATER_NS : 0;
    a.plan[1].wait_ns = o == OURS_BEGIN ? LATER_NS : 0;
    return pair_connects(p, &a);
}

bool judge_foreseeing(const pair *p, unsigned side)
{
    attempt a = attempt_of(p, true);
    a.plan[0].opens = true;
    a.plan[1].opens = true;
    a.foresees[side] = true;
    return pair_connects(p, &a);
}

/* Only where one port is to be guessed: two are beyond guessing, even if for some pairs one of them would do. */
static bool connects_by_prediction(const pair *p)
{
    bool ours = pair_comes_as_told(p, 0), theirs = pair_comes_as_told(p, 1);
    return ours != theirs && judge_foreseeing(p, ours ? 0 : 1);
}

int32_t judge_class(const pair *p)
{
    if (connects_one_sided(p, 0, true) || connects_one_sided(p, 1, true))
        return NP_OUTLOOK_DIRECT;
    if (judge_order(p, BOTH_BEGIN, true, false))
        return NP_OUTLOOK_PUNCH;
    if (judge_order(p, BOTH_BEGIN, true, true))
        return NP_OUTLOOK_PUNCH_LEARN;
    return connects_by_prediction(p) ? NP_OUTLOOK_NEEDS_PREDICTION : NP_OUTLOOK_RELAY;
}

need judge_direct_need(const pair *p)
{
    bool ours = connects_one_sided(p, 0, true), theirs = connects_one_sided(p, 1, true);
    if (ours && theirs)
        return (need){NP_FIRST_ANY, false};
    return (need){ours ? NP_FIRST_OURS : NP_FIRST_THEIRS, false};
}

need judge_punch_need(const pair *p, const np_outlook_result *outlook)
{
    bool learns = (outlook->assumes & NP_ASSUMES_ANSWER_TO_SOURCE) != 0;
    bool ours = judge_order(p, OURS_BEGIN, false, learns), theirs = judge_order(p, THEIRS_BEGIN, false, learns);
    if (ours == theirs)
        return (need){NP_FIRST_BOTH, !ours};
    return (need){ours ? NP_FIRST_OURS : NP_FIRST_THEIRS, false};
}

static bool follows_any_order(const pair *p, bool opens, bool learns, const char **failed)
{
    static const char *const names[ORDERS] = {"ours begin", "theirs begin", "both begin"};
    for (order o = OURS_BEGIN; o < ORDERS; o++) {
        *failed = names[o];
        if (!judge_order(p, o, opens, learns))
            return false;
    }
    return true;
}

static bool follows_direct(const pair *p, int32_t first, bool learns, const char **failed)
{
    *failed = "only ours begin, theirs answer";
    if (first != NP_FIRST_THEIRS && !connects_one_sided(p, 0, learns))
        return false;
    *failed = "only theirs begin, ours answer";
    return first == NP_FIRST_OURS || connects_one_sided(p, 1, learns);
}

bool judge_advice(const pair *p, const np_outlook_result *outlook, const char **failed)
{
    bool learns = (outlook->assumes & NP_ASSUMES_ANSWER_TO_SOURCE) != 0;
    bool opens = (outlook->assumes & NP_ASSUMES_LOW_TTL) != 0;
    if (outlook->outlook == NP_OUTLOOK_DIRECT)
        return follows_direct(p, outlook->first, learns, failed);
    *failed = "ours begin";
    if (outlook->first == NP_FIRST_OURS)
        return judge_order(p, OURS_BEGIN, opens, learns);
    *failed = "theirs begin";
    if (outlook->first == NP_FIRST_THEIRS)
        return judge_order(p, THEIRS_BEGIN, opens, learns);
    return follows_any_order(p, opens, learns, failed);
}
