/* SPDX-License-Identifier: MIT */
/* The mapping requests and the control. */
#include "control.h"

#include "again.h"
#include "chance.h"
#include "far.h"
#include "findings.h"
#include "pacing.h"
#include "port.h"
#include "rate.h"
#include "silence.h"

/* Transactions that must be free for one more mapping request beside the recheck of A:P. */
#define ROOM_FOR_TWO 2

bool npi_control_has_asked(const npi_trial *t)
{
    return t->control.stage >= NPI_MAPPING_MINIMAL;
}

/* ---- The mapping requests --------------------------------------------------------------------------------------- */

static void ask(const npi_facts *f, npi_trial *t, int index)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_exchange *x = &t->control.x[index];
    npi_addr to = s->alternate;
    if (index == NPI_M_BP)
        to = npi_addr_with_port(&s->alternate, s->address.port);
    else if (index == NPI_M_AQ)
        to = npi_addr_with_port(&s->address, s->alternate.port);
    if (npi_exchange_was_asked(x))
        return;
    uint32_t left = npi_facts_copies_left(f, &to);
    npi_exchange_ask(x, "I", &to, 0, index < NPI_M_NEAR ? left : npi_least(left, 1));
    x->queued = left > 0;
    x->failed = left == 0;
}

/*
 * Where PORT has spoilt B:Q, that is not asked with the others. A Linux NAT gives it another port, and then the same
 * one to each destination that the source socket asks later.
 */
static void ask_bq(const npi_facts *f, npi_trial *t)
{
    if (!npi_mapping_is_spoilt(f, &npi_trial_server(f, t)->alternate))
        ask(f, t, NPI_M_BQ);
}

/* One of the two that, with A:P and B:P, tell the mapping. */
static bool has_pair(const npi_trial *t)
{
    return npi_exchange_is_answered(&t->control.x[NPI_M_BQ]) || npi_exchange_is_answered(&t->control.x[NPI_M_AQ]);
}

/* An address sees the source socket as A:P does. */
static bool is_seen_alike(const npi_server *s, const npi_exchange *x)
{
    return npi_exchange_has_external(x) && npi_addr_equal(&x->external, &s->observed.external);
}

/* B:Q alone tells it where it sees what A:P does: neither the address nor the port makes a difference. */
static bool tells_mapping(const npi_server *s, const npi_trial *t)
{
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    const npi_exchange *bq = &t->control.x[NPI_M_BQ];
    if (npi_exchange_was_asked(bp))
        return npi_exchange_is_answered(bp) && has_pair(t);
    return is_seen_alike(s, bq);
}

/* All that tells the mapping has been seen, and A:P after it, as the control does. */
static bool is_complete(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    return npi_trial_is_decided(t) && tells_mapping(s, t) && npi_mapping_is_bracketed(f, s);
}

/* Until when what was asked may make the rest unnecessary: the first copies, and all of a control that was answered. */
static uint64_t asked_until_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t until_ns = NPI_NOW;
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        const npi_transaction *x = &t->control.x[i].t;
        bool is_answered = x->answers > 0;
        bool is_burst = is_answered && x->answers < x->sent && (i == NPI_C_II || i == NPI_C_III);
        if (x->started && (!is_answered || is_burst))
            until_ns = npi_time_max(
                until_ns, npi_time_add(is_burst ? npi_transaction_last_ns(x) : x->first_ns, npi_trial_far_rto(f, t)));
    }
    return until_ns;
}

/* When no answer is to be expected any more. */
static uint64_t told_ns(const npi_facts *f, const npi_trial *t, const npi_exchange *x)
{
    return npi_exchange_is_answered(x) ? NPI_NOW : npi_exchange_over_ns(x, npi_trial_far_rto(f, t));
}

/* When the requests that were saved are all that is missing, or the rate has room for them. */
static uint64_t rest_due_ns(const npi_facts *f, const npi_trial *t)
{
    bool is_bp = npi_exchange_was_asked(&t->control.x[NPI_M_BP]);
    const npi_exchange *first = &t->control.x[is_bp ? NPI_M_BP : NPI_M_BQ];
    bool is_all_but_again = npi_trial_is_decided(t) && is_bp && tells_mapping(npi_trial_server(f, t), t);
    bool needs_room = !is_all_but_again || !npi_again_is_left(f, npi_trial_server(f, t));
    uint64_t due_ns = npi_time_max(npi_rate_ready_ns(&f->rate, NPI_MAPPING_TRANSACTIONS), asked_until_ns(f, t));
    if (npi_trial_is_decided(t))
        due_ns = npi_time_min(due_ns, told_ns(f, t, first));
    return needs_room ? npi_time_max(due_ns, npi_rate_ready_ns(&f->rate, 1)) : due_ns;
}

/* The mapping requests that were saved. What is not decided may need the other control, and that its own pinhole. */
static void ask_rest(npi_facts *f, npi_trial *t)
{
    npi_server *s = &f->servers[t->server];
    ask(f, t, NPI_M_BP); /* unless it was */
    if (!npi_trial_is_decided(t) || !has_pair(t)) {
        ask(f, t, NPI_M_AQ);
        if (!npi_trial_is_decided(t) || npi_rate_room(&f->rate, f->now_ns) > ROOM_FOR_TWO)
            ask_bq(f, t);
    }
    const npi_transaction *again = &s->x[NPI_RECHECK].t;
    if (again->started && again->answers > 0 &&
        again->first_ns < t->control.x[NPI_M_BP].t.first_ns) /* it was earlier */
        npi_server_ask_again(s);
    else if (!again->started)
        s->x[NPI_RECHECK].queued = true;
}

/* Completes a minimal set when that is due. Returns when to look again. */
static uint64_t complete_mapping(npi_facts *f, npi_trial *t)
{
    if (t->control.stage != NPI_MAPPING_MINIMAL)
        return NPI_NEVER;
    bool complete = is_complete(f, t);
    uint64_t due_ns = complete ? NPI_NOW : rest_due_ns(f, t);
    if (due_ns > f->now_ns)
        return due_ns;
    t->control.stage = NPI_MAPPING_ALL;
    if (!complete)
        ask_rest(f, t);
    return f->now_ns;
}

/*
 * Whether the control may leave beside a minimal set: the rate has room for it before its way would be known to be
 * open, and it will probably pass. If it does not, its pinhole tells nothing of the mapping, and nothing else would.
 */
static bool can_spend_control(const npi_facts *f, const npi_trial *t)
{
    int32_t mapping = npi_mapping_apparent(f);
    uint64_t open_ns = f->now_ns + npi_trial_server(f, t)->rtt.smoothed_ns;
    uint32_t asked = 1;
    for (int i = NPI_M_BP; i <= NPI_M_AQ; i++)
        asked += t->control.x[i].queued;
    bool is_likely = mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || mapping == NP_BEHAVIOUR_NONE;
    return is_likely && npi_rate_room(&f->rate, open_ns - 1) >= asked;
}

/*
 * Whether A:P is asked again along with the mapping requests. The control's answer tells what it sees as well, but for
 * the second copy of B:Q's request, which leaves behind a control that leaves at once.
 */
static bool is_again_wanted(const npi_facts *f, const npi_trial *t, const npi_exchange *pinhole)
{
    bool minimal = t->control.stage == NPI_MAPPING_MINIMAL;
    bool is_behind = minimal && t->control.at_once && pinhole == &t->control.x[NPI_M_BQ];
    if (t->control.aq_is_again || is_behind)
        return npi_again_is_left(f, npi_trial_server(f, t));
    return !minimal || npi_trial_is_decided(t);
}

/* If it was answered before the mapping requests, it is asked once more. */
static void queue_again(const npi_facts *f, npi_server *s)
{
    npi_exchange *again = &s->x[NPI_RECHECK];
    if (npi_exchange_is_answered(again))
        npi_server_ask_again(s);
    if (again->t.started)
        return;
    again->queued = true;
    again->as_copy = npi_rate_room(&f->rate, f->now_ns) < NPI_MAPPING_TRANSACTIONS;
}

/*
 * The control may leave at once only if its way will be open: its pinhole is asked for twice, since a request that is
 * lost before it reaches the NAT would leave the control's answer to spring the conntrack trap (docs/METHOD.md, section
 * 6). Nor may it where PORT has spoilt another destination: two are too many.
 */
static void time_control(npi_facts *f, npi_trial *t, npi_exchange *pinhole, const npi_loss *loss)
{
    npi_server *s = &f->servers[t->server];
    npi_exchange *recheck = &s->x[NPI_RECHECK];
    bool minimal = t->control.stage == NPI_MAPPING_MINIMAL;
    t->control.at_once = !npi_trial_is_decided(t) && loss->lost == 0 && !f->optional.port.is_early &&
                         s->rtt.smoothed_ns > NPI_CONTROL_WAIT_NS && (!minimal || can_spend_control(f, t));
    pinhole->send_twice |= t->control.at_once;
    if (is_again_wanted(f, t, pinhole))
        queue_again(f, s);
    if (pinhole->send_twice || t->control.x[NPI_M_BP].send_twice)
        recheck->not_before_ns = npi_time_add(f->now_ns, NPI_PACE_MIN_NS); /* no earlier than the last copies */
}

/* On a long and lossy path a second copy costs less than waiting a round trip for the first one's answer in vain. */
static bool pays_to_send_twice(const npi_server *s, const npi_loss *loss)
{
    bool lossy = loss->lost > 0 && 4 * loss->lost >= loss->answered;
    return lossy && s->rtt.smoothed_ns > NPI_TWICE_RTT_NS && !npi_server_is_slow(s);
}

/*
 * Where ports are not kept and may be few, equal ones may be chance: the filtering socket compares A:P and B:P as well.
 * Where the rate has no room for it, its request takes the place of the one that neither the mapping nor the control
 * needs at once. There is none if the control leaves at once, since that may spoil one of two ports. Nor may the way
 * for II be opened where more copies of II may be needed.
 */
static bool can_ask_other(const npi_facts *f, const npi_trial *t, const npi_loss *loss, uint32_t room)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_filtering *p = &t->filtering;
    bool has_place = room > NPI_MAPPING_TRANSACTIONS || loss->lost > 0 || s->rtt.smoothed_ns <= NPI_CONTROL_WAIT_NS;
    bool may_extend = loss->lost > 0 && !npi_silence_rests_on_iii(p);
    if (npi_trial_is_decided(t) || !has_place || may_extend || p->slot == NPI_SLOT_SOURCE)
        return false;
    return npi_exchange_has_external(&p->x[NPI_F_I]) && npi_trial_has_source_way(f, t) &&
           npi_chance_may_equal_one(f, s, NPI_CHANCE);
}

/* Where II carries the proof, its answers may be on their way a little longer: this opens theirs. */
static void ask_other(const npi_facts *f, npi_trial *t)
{
    npi_exchange *bp = &t->control.x[NPI_M_BP];
    npi_exchange *other = &t->control.x[NPI_M_OTHER];
    if (bp->max_copies <= NPI_LOOK_COPIES)
        return;
    bp->max_copies -= NPI_LOOK_COPIES; /* they go to one address */
    npi_exchange_ask(other, "filtering I", &bp->to, 0, NPI_LOOK_COPIES);
    other->slot = t->filtering.slot;
    if (!npi_silence_rests_on_iii(&t->filtering))
        other->not_before_ns = npi_time_add(f->now_ns, NPI_OTHER_DELAY_NS);
}

/* Whether the request in whose place the filtering socket asked tells what is missing. */
static bool is_saved_needed(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    const npi_exchange *aq = &t->control.x[NPI_M_AQ];
    if (!npi_exchange_was_asked(&t->control.x[NPI_M_OTHER]) || !npi_silence_rests_on_iii(&t->filtering))
        return false;
    if (!npi_exchange_has_external(bp) || !npi_exchange_has_external(aq))
        return npi_exchange_over_ns(bp, npi_trial_far_rto(f, t)) <= f->now_ns &&
               npi_exchange_over_ns(aq, npi_trial_far_rto(f, t)) <= f->now_ns;
    /* By address, as it seems: two ports of B tell as well whether by port. */
    bool by_address = !is_seen_alike(s, bp) && is_seen_alike(s, aq);
    return by_address && npi_chance_may_equal_one(f, s, NPI_CHANCE_BOTH_SOCKETS);
}

/* B:Q sees another port than A:P: whether the address or the port makes the difference, B:P tells. */
static bool is_bp_needed(const npi_facts *f, const npi_trial *t)
{
    const npi_exchange *bq = &t->control.x[NPI_M_BQ];
    return t->control.stage == NPI_MAPPING_MINIMAL && npi_exchange_has_external(bq) &&
           !is_seen_alike(npi_trial_server(f, t), bq);
}

/* The control cannot tell what A:P sees then: it is asked again behind B:P. */
static void ask_again_behind_bp(const npi_facts *f, npi_server *s, const npi_trial *t)
{
    npi_exchange *again = &s->x[NPI_RECHECK];
    const npi_transaction *bp = &t->control.x[NPI_M_BP].t;
    bool is_earlier = npi_exchange_is_answered(again) && bp->started && again->t.first_ns < bp->first_ns;
    if (!is_bp_needed(f, t) || (again->t.started && !is_earlier))
        return;
    npi_server_ask_again(s);
    again->as_copy = true;
}

/* B:Q was left out for A:Q: when its way is needed nevertheless, for the control of II. */
static uint64_t bq_due_ns(const npi_facts *f, const npi_trial *t)
{
    if (!t->control.aq_is_again || npi_trial_is_decided(t) || npi_exchange_was_asked(&t->control.x[NPI_M_BQ]))
        return NPI_NEVER;
    return npi_time_max(told_ns(f, t, &t->control.x[NPI_M_BP]), told_ns(f, t, &t->control.x[NPI_M_AQ]));
}

/* B:Q and A:Q: both, or the one that the control needs, or where the rate has no room for that, none. */
static void ask_pairs(const npi_facts *f, npi_trial *t, int pinhole, uint32_t room, bool both)
{
    bool wants_bq = !npi_trial_is_decided(t) && pinhole == NPI_M_BQ && !t->control.aq_is_again;
    bool two = !npi_trial_is_decided(t) || t->control.aq_is_again ||
               room > ROOM_FOR_TWO; /* and A:P again, which goes with the last of them */
    if (both || (two && wants_bq))
        ask_bq(f, t);
    if (both || (two && !wants_bq))
        ask(f, t, NPI_M_AQ);
}

/*
 * Where servers see different ports already, the mapping seems to depend on the destination, and a second port of one
 * address is needed. If A:Q sees what A:P saw, that shows as well that nothing has changed since, and A:P need not be
 * asked again.
 */
static bool can_replace_again(const npi_facts *f, const npi_trial *t, bool by_ii, uint32_t room)
{
    bool is_asked = npi_exchange_was_asked(&npi_trial_server(f, t)->x[NPI_RECHECK]);
    return room == ROOM_FOR_TWO && !is_asked && (by_ii || npi_trial_is_decided(t)) && npi_mapping_seems_dependent(f);
}

/*
 * Where the rate has room for the control and its pinhole alone, another server that sees what A:P does stands for B:P:
 * it is asked again at the same moment. NULL: none does.
 */
static npi_server *stand_in_for_bp(npi_facts *f, const npi_trial *t, uint32_t room)
{
    bool is_short = t->save_transactions && room < NPI_MAPPING_LEAST && !npi_trial_is_decided(t) &&
                    npi_silence_rests_on_iii(&t->filtering);
    const npi_server *o = is_short ? npi_mapping_other_view(f, npi_trial_server(f, t)) : NULL;
    return o != NULL ? &f->servers[o - f->servers] : NULL;
}

static void ask_bp(npi_facts *f, npi_trial *t, uint32_t room)
{
    npi_server *stand_in = stand_in_for_bp(f, t, room);
    if (stand_in == NULL) {
        ask(f, t, NPI_M_BP);
        return;
    }
    npi_server_ask_again(stand_in);
    stand_in->x[NPI_RECHECK].as_copy = true;
}

/*
 * How many requests the rate has room for. A:P again may be a copy, which needs none: where it goes with the others.
 * With a minimal set that is not decided the control tells what it would.
 */
static uint32_t room_for_mapping(const npi_facts *f, const npi_trial *t)
{
    uint32_t room = npi_rate_room(&f->rate, f->now_ns);
    bool is_short = t->save_transactions && room < NPI_MAPPING_TRANSACTIONS;
    bool goes_along = npi_trial_is_decided(t) || room + 1 >= NPI_MAPPING_TRANSACTIONS;
    return is_short && goes_along && npi_again_is_left(f, npi_trial_server(f, t)) ? room + 1 : room;
}

/*
 * The mapping requests wait until the source socket has been seen from A:P, so that it is always A:P that is seen first
 * and again last: what differs in between differs by destination (findings.c). B:P and one of the other two tell the
 * mapping; where transactions are saved, the third is not asked.
 */
static void ask_mapping(npi_facts *f, npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_loss loss = npi_silence_path_loss(f, t);
    int pinhole = npi_silence_rests_on_iii(&t->filtering) ? NPI_M_AQ : NPI_M_BQ;
    uint32_t room = room_for_mapping(f, t);
    bool minimal = t->save_transactions && room < NPI_MAPPING_TRANSACTIONS;
    bool other = !minimal && can_ask_other(f, t, &loss, room);
    bool by_ii = !npi_trial_is_decided(t) && pinhole == NPI_M_BQ;
    t->control.aq_is_again = minimal && can_replace_again(f, t, by_ii, room);
    bool bq_alone = minimal && by_ii && room < NPI_MAPPING_LEAST && !t->control.aq_is_again;
    t->control.stage = minimal ? NPI_MAPPING_MINIMAL : NPI_MAPPING_ALL;
    if (!bq_alone)
        ask_bp(f, t, room);
    if (other)
        ask_other(f, t);
    ask_pairs(f, t, pinhole, room, !minimal && (!other || room > NPI_MAPPING_TRANSACTIONS));
    for (int i = NPI_M_BP; i <= NPI_M_AQ; i++)
        t->control.x[i].send_twice = pays_to_send_twice(s, &loss);
    time_control(f, t, &t->control.x[pinhole], &loss);
}

uint64_t npi_control_mapping_over_ns(const npi_facts *f, const npi_trial *t)
{
    if (!npi_control_has_asked(t))
        return NPI_NEVER;
    if (t->control.stage == NPI_MAPPING_MINIMAL) {
        int32_t mapping = npi_mapping_apparent(f);
        if (mapping != NP_BEHAVIOUR_NONE && mapping != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
            return NPI_NEVER; /* the rest will be asked */
    }
    uint64_t over_ns = NPI_NOW;
    for (int i = NPI_M_BP; i <= NPI_M_OTHER; i++)
        over_ns = npi_time_max(over_ns, told_ns(f, t, &t->control.x[i]));
    return over_ns;
}

/* ---- The control ------------------------------------------------------------------------------------------------ */

/* The mapping request to the address that a control's answer comes from: it opens the way. */
static const npi_exchange *pinhole_of(const npi_trial *t, int index)
{
    return &t->control.x[index == NPI_C_II ? NPI_M_BQ : NPI_M_AQ];
}

/*
 * Whether an address sees the source socket, at the same local address, under another external address than A:P does.
 */
static bool is_apart(const npi_server *s, const npi_exchange *x)
{
    return s->has_mapping && npi_exchange_has_external(x) && !npi_addr_is_other_ip(&x->local, &s->observed.local) &&
           !npi_addr_equal(&x->external, &s->observed.external);
}

/* B:P sees another port than A:P, of the source socket or of the filtering socket: the two may be equal by chance. */
static bool is_address_apart(const npi_server *s, const npi_trial *t)
{
    const npi_exchange *first = &t->filtering.x[NPI_F_I];
    const npi_exchange *other = &t->control.x[NPI_M_OTHER];
    bool other_apart = npi_exchange_has_external(first) && npi_exchange_has_external(other) &&
                       !npi_addr_equal(&first->external, &other->external);
    return other_apart || is_apart(s, &t->control.x[NPI_M_BP]);
}

/*
 * B:Q was left out. It would be apart as well if B:P is, and sees another port than A:Q at the same moment: the mapping
 * depends on the destination.
 */
static bool is_bq_apart(const npi_server *s, const npi_trial *t, int index)
{
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    const npi_exchange *aq = &t->control.x[NPI_M_AQ];
    return index == NPI_C_II && t->control.aq_is_again && is_apart(s, bp) && npi_exchange_has_external(aq) &&
           !npi_addr_is_other_ip(&aq->local, &bp->local) && !npi_addr_equal(&aq->external, &bp->external);
}

/*
 * The control cannot pass, since the answer would come to another mapping than that whose pinhole is open: for II when
 * mappings differ by address, for III when they differ by port.
 */
static bool is_not_applicable(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_server *s = npi_trial_server(f, t);
    return is_address_apart(s, t) && (is_apart(s, pinhole_of(t, index)) || is_bq_apart(s, t, index));
}

/* The pinhole is that of another mapping: until when B:P may tell whether that is the NAT's doing. */
static uint64_t open_question_ns(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    if (!is_apart(npi_trial_server(f, t), pinhole_of(t, index)) || npi_exchange_is_answered(bp))
        return NPI_NOW;
    return npi_exchange_over_ns(bp, npi_trial_far_rto(f, t));
}

/* When a control may leave: behind its pinhole's request where that goes twice, otherwise when the pinhole is open. */
static uint64_t pinhole_open_ns(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_exchange *pinhole = pinhole_of(t, index);
    if (npi_exchange_is_answered(pinhole) || (t->control.at_once && pinhole->t.sent > 0))
        return NPI_NOW;
    /* An address may be deaf to plain requests and yet speak: after so many copies the way is open all the same. */
    return pinhole->t.started ? npi_exchange_over_ns(pinhole, npi_trial_far_rto(f, t)) : NPI_NEVER;
}

/*
 * So soon after the first CHANGE-REQUEST of the filtering tests that the answer is the server's second within
 * NPI_RATION_NS.
 */
static bool is_early(const npi_facts *f, const npi_trial *t, uint64_t sent_ns)
{
    const npi_transaction *ii = &t->filtering.x[NPI_F_II].t;
    const npi_transaction *iii = &t->filtering.x[NPI_F_III].t;
    if (!ii->started || !iii->started || !npi_trial_has_source_way(f, t)) /* a server counts by address */
        return false;
    uint64_t first_ns = npi_time_min(ii->first_ns, iii->first_ns);
    uint64_t jitter_ns = (npi_trial_rto(f, t) - npi_trial_server(f, t)->rtt.smoothed_ns) / 2; /* of one way */
    return npi_time_add(sent_ns, jitter_ns) < npi_time_add(first_ns, NPI_RATION_NS);
}

static void ask_control(const npi_facts *f, npi_trial *t, int index)
{
    npi_exchange *x = &t->control.x[index];
    uint32_t change = NPI_STUN_CHANGE_PORT | (index == NPI_C_II ? NPI_STUN_CHANGE_IP : 0);
    npi_exchange_ask(x, index == NPI_C_II ? "control II" : "control III", &npi_trial_server(f, t)->address, change,
                     NPI_CONTROL_COPIES);
    x->sent_in_rounds = npi_silence_rests_on_iii(&t->filtering) && !is_early(f, t, f->now_ns);
    t->control.burst[index - NPI_C_II] = npi_silence_first_burst(f, t);
}

/* How many copies of a control have stayed unanswered that left when its pinhole was open. */
static uint32_t silent_copies(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_transaction *x = &t->control.x[index].t;
    const npi_exchange *pinhole = pinhole_of(t, index);
    uint32_t aged = npi_transaction_aged(x, f->now_ns, npi_trial_far_rto(f, t));
    /* Copies before a pinhole that had to be asked for twice may have found it closed. */
    if (pinhole->t.sent > 1 && npi_exchange_is_answered(pinhole)) {
        uint32_t before = npi_transaction_aged(x, f->now_ns, f->now_ns - pinhole->t.answered_ns);
        return aged > before ? aged - before : 0;
    }
    return aged;
}

/*
 * When a control's silence is no accident, or when to count again; at once when its pinhole's request cannot be sent.
 */
static uint64_t silent_ns(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_exchange *x = &t->control.x[index];
    const npi_exchange *pinhole = pinhole_of(t, index);
    uint64_t age = npi_trial_far_rto(f, t);
    if (t->control.stage == NPI_MAPPING_MINIMAL && !pinhole->t.started)
        return NPI_NEVER; /* it is yet to be asked */
    if (!x->t.started || x->queued)
        return pinhole->failed ? NPI_NOW : NPI_NEVER;
    npi_loss loss = npi_silence_path_loss(f, t);
    double limit = t->save_transactions ? NPI_SILENCE_CONTROL : NPI_SILENCE_CONTROL_LAST;
    if (npi_loss_p_all_lost(&loss, silent_copies(f, t, index)) < limit)
        return NPI_NOW;
    return npi_time_min(npi_exchange_over_ns(x, age), npi_transaction_next_aged_ns(&x->t, f->now_ns, age));
}

static bool is_final(npi_change c)
{
    return c != NPI_CHANGE_PENDING && c != NPI_CHANGE_SILENT;
}

static const npi_change *outcome_of(const npi_trial *t, int index)
{
    return index == NPI_C_II ? &t->control.ii : &t->control.iii;
}

void npi_control_take_answer(npi_facts *f, npi_trial *t, int index, const npi_addr *from, const npi_addr *origin,
                             bool success)
{
    npi_change *control = index == NPI_C_II ? &t->control.ii : &t->control.iii;
    npi_change outcome = npi_change_shown(npi_trial_server(f, t), t->control.x[index].change, from, origin, success);
    f->evidence |= npi_change_evidence(outcome);
    if (!is_final(*control))
        *control = outcome;
}

/* III is answered from A, and II from B, which may be farther away. */
static uint64_t control_rto_ns(const npi_facts *f, const npi_trial *t, int index)
{
    return index == NPI_C_III ? npi_trial_rto(f, t) : npi_trial_far_rto(f, t);
}

/* ---- Does the server ration its answers? ------------------------------------------------------------------------ */

/* The control was answered: whether that shows that III would have been, if it had not been filtered. */
static npi_control_state state_of_answered(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_transaction *x = &t->control.x[index].t;
    if (!npi_silence_rests_on_iii(&t->filtering)) /* the answers to III have told */
        return NPI_CONTROL_PASSED;
    if (x->sent == 1 && is_early(f, t, x->first_ns))
        return NPI_CONTROL_PASSED;
    switch (npi_silence_ration(f, t, x, &t->control.burst[index - NPI_C_II], control_rto_ns(f, t, index))) {
    case NPI_RATION_EXCLUDED:
        return NPI_CONTROL_PASSED;
    case NPI_RATION_LIKELY:
        return NPI_CONTROL_RATIONED;
    default:
        return NPI_CONTROL_WAITING;
    }
}

/* Sends the next copy if it is due. Returns when to look. */
static uint64_t continue_burst(const npi_facts *f, npi_trial *t, int index)
{
    npi_exchange *x = &t->control.x[index];
    npi_burst *b = &t->control.burst[index - NPI_C_II];
    if (!x->t.started)
        return NPI_NEVER;
    if (x->t.sent >= x->t.limit)
        return npi_transaction_next_aged_ns(&x->t, f->now_ns, control_rto_ns(f, t, index));
    uint64_t due_ns = npi_silence_burst_ns(&x->t, b, control_rto_ns(f, t, index));
    if (x->t.answers == 0 && x->t.sent >= b->sent + b->size) /* a burst of losses has to be outlasted */
        due_ns = npi_time_max(due_ns, npi_time_add(npi_transaction_last_ns(&x->t),
                                                   npi_pacing_plain_gap_ns(f, npi_trial_server(f, t), x)));
    if (due_ns > f->now_ns) /* before that the last copies may age, and no more may be of use */
        return npi_wake_min(due_ns, npi_transaction_all_aged_ns(&x->t, control_rto_ns(f, t, index)), f->now_ns);
    *b = npi_silence_burst(f, &x->t, b);
    x->t.next_ns = f->now_ns;
    return NPI_NEVER;
}

/* ---- How it stands ---------------------------------------------------------------------------------------------- */

/* How a control stands; *wake_ns is moved forward to when that may change by itself. */
static npi_control_state state_of(const npi_facts *f, const npi_trial *t, int index, uint64_t *wake_ns)
{
    npi_change outcome = *outcome_of(t, index);
    if (outcome == NPI_CHANGE_HONOURED)
        return state_of_answered(f, t, index);
    if (is_final(outcome))
        return NPI_CONTROL_DISQUALIFIED;
    if (is_not_applicable(f, t, index))
        return NPI_CONTROL_NOT_APPLICABLE;
    uint64_t until_ns = npi_time_max(silent_ns(f, t, index), open_question_ns(f, t, index));
    if (until_ns <= f->now_ns)
        return NPI_CONTROL_SILENT;
    *wake_ns = npi_time_min(*wake_ns, until_ns);
    return NPI_CONTROL_WAITING;
}

/* The same, once it has been asked if that is due. */
static npi_control_state advance_control(npi_facts *f, npi_trial *t, int index, uint64_t *wake_ns)
{
    const npi_exchange *x = &t->control.x[index];
    bool is_open = !is_final(*outcome_of(t, index)) && !is_not_applicable(f, t, index);
    if (is_open && !x->queued && !x->t.started) {
        uint64_t open_ns = pinhole_open_ns(f, t, index);
        if (open_ns <= f->now_ns)
            ask_control(f, t, index);
        *wake_ns = npi_time_min(*wake_ns, npi_time_max(open_ns, f->now_ns));
    }
    npi_control_state state = state_of(f, t, index, wake_ns);
    if (*outcome_of(t, index) == NPI_CHANGE_HONOURED) {
        f->evidence |= NP_EVIDENCE_CONTROL_ANSWERED;
        t->control.x[index].sent_in_rounds = true;
        t->control.x[index].t.limit = NPI_RATION_COPIES;
    }
    if (state == NPI_CONTROL_WAITING && t->control.x[index].sent_in_rounds)
        *wake_ns = npi_time_min(*wake_ns, continue_burst(f, t, index));
    return state;
}

/* ---- What it shows ---------------------------------------------------------------------------------------------- */

npi_control_verdict npi_control_judge_answered_iii(npi_control_state ii)
{
    switch (ii) {
    case NPI_CONTROL_PASSED:
        return NPI_VERDICT_PROVEN;
    case NPI_CONTROL_NOT_APPLICABLE:
        return NPI_VERDICT_UNPROVEN;
    case NPI_CONTROL_SILENT:
        return NPI_VERDICT_CONTROL_FAILED;
    case NPI_CONTROL_RATIONED:
        return NPI_VERDICT_RATIONED;
    case NPI_CONTROL_DISQUALIFIED:
        return NPI_VERDICT_SERVER_UNFIT;
    default:
        return NPI_VERDICT_WAIT;
    }
}

npi_control_verdict npi_control_judge_both_silent(npi_control_state iii, npi_control_state ii)
{
    if (iii != NPI_CONTROL_SILENT)
        return npi_control_judge_answered_iii(iii); /* III's control decides as II's does there */
    switch (ii) {
    case NPI_CONTROL_PASSED:
        return NPI_VERDICT_II_ALONE;
    case NPI_CONTROL_RATIONED:
        return NPI_VERDICT_RATIONED;
    case NPI_CONTROL_DISQUALIFIED:
        return NPI_VERDICT_SERVER_UNFIT;
    case NPI_CONTROL_WAITING:
        return NPI_VERDICT_WAIT;
    default:
        return NPI_VERDICT_CONTROL_FAILED;
    }
}

/* II's control alone has passed. Until now III carried the proof: of II too few copies may have been sent for one. */
static void decide_by_ii(npi_facts *f, npi_trial *t)
{
    npi_loss loss = npi_silence_path_loss(f, t);
    uint32_t copies = npi_transaction_sent_since(&t->filtering.x[NPI_F_II].t, npi_trial_server(f, t)->woke_ns);
    bool is_short = npi_silence_is_short(npi_trial_server(f, t), copies);
    if (!is_short && npi_silence_holds(&loss, copies, NPI_SILENCE_LOSSY))
        npi_decide(t, npi_classify_filtering(t->filtering.ii.outcome, NPI_CHANGE_PENDING));
    else
        npi_decide_unknown(f, t, NPI_REASON_LOSS);
}

/* unfit: the control that an unfit server has answered. */
static void apply(npi_facts *f, npi_trial *t, npi_control_verdict verdict, npi_change unfit)
{
    int32_t filtering = npi_classify_filtering(t->filtering.ii.outcome, t->filtering.iii.outcome);
    switch (verdict) {
    case NPI_VERDICT_WAIT:
        break;
    case NPI_VERDICT_PROVEN:
        npi_decide(t, filtering);
        break;
    case NPI_VERDICT_UNPROVEN:
        npi_decide_unproven(t, filtering);
        break;
    case NPI_VERDICT_II_ALONE:
        decide_by_ii(f, t);
        break;
    case NPI_VERDICT_SERVER_UNFIT:
        npi_decide_unknown(f, t, npi_change_reason(unfit));
        break;
    case NPI_VERDICT_RATIONED:
        npi_decide_unknown(f, t, NPI_REASON_RATIONED);
        break;
    case NPI_VERDICT_CONTROL_FAILED:
        npi_decide_unknown(f, t, NPI_REASON_CONTROL);
        break;
    }
}

/* Returns when to look again. */
static uint64_t judge(npi_facts *f, npi_trial *t)
{
    uint64_t wake_ns = NPI_NEVER;
    if (!npi_silence_rests_on_iii(&t->filtering)) {
        npi_control_state ii = advance_control(f, t, NPI_C_II, &wake_ns);
        apply(f, t, npi_control_judge_answered_iii(ii), t->control.ii);
        return wake_ns;
    }
    npi_control_state iii = advance_control(f, t, NPI_C_III, &wake_ns);
    npi_control_state ii = NPI_CONTROL_WAITING;
    if (iii == NPI_CONTROL_SILENT) {
        ask(f, t, NPI_M_BQ); /* unless it was */
        ii = advance_control(f, t, NPI_C_II, &wake_ns);
    }
    bool is_unfit = iii == NPI_CONTROL_DISQUALIFIED;
    apply(f, t, npi_control_judge_both_silent(iii, ii), is_unfit ? t->control.iii : t->control.ii);
    return wake_ns;
}

/* ---- The phase -------------------------------------------------------------------------------------------------- */

void npi_control_begin(npi_facts *f, npi_trial *t)
{
    bool useless = npi_trial_is_decided(t) && t->finding.reason != NPI_REASON_NONE;
    t->control.stage = t->save_transactions && useless ? NPI_MAPPING_DEFERRED : NPI_MAPPING_NOT_ASKED;
    if (t->control.stage == NPI_MAPPING_NOT_ASKED && npi_trial_server(f, t)->has_mapping &&
        npi_port_hold_ns(f, t) <= f->now_ns)
        ask_mapping(f, t);
}

/* II's way is not opened while it may have to be tested further: other sockets can tell what this request would. */
static void keep_way_closed(const npi_facts *f, npi_trial *t)
{
    npi_exchange *other = &t->control.x[NPI_M_OTHER];
    if (other->queued && !npi_silence_rests_on_iii(&t->filtering) && !t->filtering.extended &&
        npi_silence_is_doubtful(f, t))
        other->queued = false;
}

/* One more single copy to B:Q. */
static void ask_near(const npi_facts *f, npi_trial *t)
{
    int index = NPI_M_NEAR;
    while (npi_exchange_was_asked(&t->control.x[index]))
        index++;
    ask(f, t, index);
}

/* All has been asked and answered, or is given up. */
static npi_control_step end(npi_facts *f, npi_trial *t)
{
    uint64_t wake_ns = f->now_ns;
    npi_far far = npi_far_judge(f, t, &wake_ns);
    if (far == NPI_FAR_ASK)
        ask_near(f, t);
    if (far >= NPI_FAR_ASK)
        return (npi_control_step){NPI_CONTROL_WAIT, wake_ns};
    if (far == NPI_FAR_MAY_BE)
        npi_decide_unknown(f, t, NPI_REASON_LOSS);
    bool extend = !t->filtering.extended && npi_silence_is_doubtful(f, t);
    bool is_open = t->control.x[NPI_M_OTHER].t.sent > 0 && !npi_silence_rests_on_iii(&t->filtering); /* II's way */
    if (extend && is_open)
        npi_decide_unknown(f, t, NPI_REASON_LOSS);
    return (npi_control_step){extend && !is_open ? NPI_CONTROL_EXTEND : NPI_CONTROL_FINISH, f->now_ns};
}

npi_control_step npi_control_advance(npi_facts *f, npi_trial *t, bool others_can_help)
{
    const npi_server *s = npi_trial_server(f, t);
    if (t->control.stage == NPI_MAPPING_DEFERRED && others_can_help)
        return (npi_control_step){NPI_CONTROL_WAIT, NPI_NEVER};
    if (!npi_control_has_asked(t)) {
        if (!s->has_mapping) {
            uint64_t done_ns = npi_pacing_primary_done_ns(s);
            return (npi_control_step){done_ns > f->now_ns ? NPI_CONTROL_WAIT : NPI_CONTROL_FINISH, done_ns};
        }
        uint64_t hold_ns = npi_port_hold_ns(f, t);
        if (hold_ns > f->now_ns)
            return (npi_control_step){NPI_CONTROL_WAIT, hold_ns};
        ask_mapping(f, t);
        return (npi_control_step){NPI_CONTROL_WAIT, f->now_ns};
    }
    uint64_t wake_ns = NPI_NEVER;
    if (t->filtering.contradicted && t->finding.reason != NPI_REASON_CONTRADICTION)
        npi_decide_unknown(f, t, NPI_REASON_CONTRADICTION);
    if (is_bp_needed(f, t))
        ask(f, t, NPI_M_BP);
    ask_again_behind_bp(f, &f->servers[t->server], t);
    if (!npi_trial_is_decided(t))
        wake_ns = judge(f, t);
    if (npi_time_has_come(bq_due_ns(f, t), f->now_ns, &wake_ns) || is_saved_needed(f, t))
        ask_bq(f, t);
    keep_way_closed(f, t);
    uint64_t over_ns = npi_trial_is_decided(t) ? npi_control_mapping_over_ns(f, t) : NPI_NEVER;
    if (over_ns > f->now_ns) {
        wake_ns = npi_time_min(wake_ns, over_ns);
        return (npi_control_step){NPI_CONTROL_WAIT, npi_time_min(wake_ns, complete_mapping(f, t))};
    }
    return end(f, t);
}
