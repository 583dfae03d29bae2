/* SPDX-License-Identifier: MIT */
/*
 * The second phase with one server (docs/METHOD.md, sections 3 and 5): the mapping requests, and the control that tells a
 * NAT that filters from a server that does not answer.
 */
#include "probe_internal.h"

static void want(npi_exchange *x, const char *name, const npi_addr *to, uint32_t change, uint32_t limit)
{
    npi_exchange_init(x, name, NPI_SLOT_SOURCE, to, change, limit);
    x->wanted = true;
}

static bool was_asked(const npi_exchange *x)
{
    return x->wanted || x->t.started || x->failed;
}

static bool has_asked_mapping(const npi_trial *t)
{
    return was_asked(&t->x[NPI_M_BP]);
}

static uint64_t mapping_horizon_ns(const npi_probe *p, const npi_trial *t)
{
    uint64_t primary = npi_rtt_horizon(&npi_trial_server(p, t)->rtt);
    uint64_t alternate = t->alternate_rtt.samples > 0 ? npi_rtt_horizon(&t->alternate_rtt) : 0;
    return alternate > primary ? alternate : primary;
}

/* How many more may go to an address that a server named: several servers may name the same one. */
static uint32_t copies_left(const npi_probe *p, const npi_addr *to)
{
    uint32_t used = 0;
    for (size_t i = 0; i < p->trial_count; i++) {
        const npi_trial *t = &p->trials[i];
        for (int k = NPI_M_BP; k <= NPI_M_AQ; k++) {
            const npi_exchange *x = &t->x[k];
            bool over = t->phase == NPI_PHASE_DONE || x->failed || npi_exchange_is_answered(x);
            if (was_asked(x) && npi_addr_equal(&x->to, to))
                used += over ? x->t.sent : x->limit;
        }
    }
    return used < NPI_ALTERNATE_COPIES ? NPI_ALTERNATE_COPIES - used : 0;
}

static void ask(const npi_probe *p, npi_trial *t, int index, const npi_addr *to)
{
    if (was_asked(&t->x[index]))
        return;
    uint32_t left = copies_left(p, to);
    want(&t->x[index], "I", to, 0, left);
    t->x[index].wanted = left > 0;
    t->x[index].failed = left == 0;
}

/* One of the two that, with A:P and B:P, tell the mapping. */
static bool has_pair(const npi_trial *t)
{
    return npi_exchange_is_answered(&t->x[NPI_M_BQ]) || npi_exchange_is_answered(&t->x[NPI_M_AQ]);
}

/* Whether all that tells the mapping has been seen, and A:P after it, as the control does. */
static bool is_complete(const npi_probe *p, const npi_trial *t)
{
    return has_pair(t) && npi_exchange_is_answered(&t->x[NPI_M_BP]) &&
           npi_mapping_is_spanned(p, npi_trial_server(p, t));
}

/* Whether the requests that were saved are all that is missing, or the rate has room for them. */
static bool is_time_for_rest(npi_probe *p, const npi_trial *t)
{
    const npi_exchange *bp = &t->x[NPI_M_BP];
    bool first_done = npi_exchange_is_answered(bp) || npi_exchange_is_over(p, bp, mapping_horizon_ns(p, t));
    return npi_rate_allows(p) && ((t->settled && first_done) || npi_rate_has_room(p, NPI_MAPPING_TRANSACTIONS));
}

/* The mapping requests that were saved. What is not settled may need the other control, and that its own pinhole. */
static void ask_rest(npi_probe *p, npi_trial *t)
{
    npi_server *s = &p->servers[t->server];
    bool complete = t->settled && is_complete(p, t);
    if (!t->partial || (!complete && !is_time_for_rest(p, t)))
        return;
    t->partial = false;
    p->wake_ns = p->now_ns;
    if (complete)
        return;
    if (!t->settled || !has_pair(t)) {
        npi_addr aq = npi_addr_with_port(&s->address, s->alternate.port);
        ask(p, t, NPI_M_AQ, &aq);
        if (!t->settled || npi_rate_room(p) > 2)
            ask(p, t, NPI_M_BQ, &s->alternate);
    }
    if (!s->x[NPI_VERIFY].t.started)
        s->x[NPI_VERIFY].wanted = true;
}

/*
 * The control may leave at once only if its way will be open: its pinhole is asked for twice, since a request that is lost
 * before it reaches the NAT would leave the control's answer to spring the conntrack trap (docs/METHOD.md, section 6).
 */
static void time_control(npi_probe *p, npi_trial *t, npi_exchange *pinhole, bool lossless)
{
    npi_server *s = &p->servers[t->server];
    npi_exchange *again = &s->x[NPI_VERIFY];
    t->control_at_once = !t->settled && !t->partial && lossless && s->rtt.smoothed_ns > NPI_CONTROL_WAIT_NS;
    pinhole->doubled |= t->control_at_once;
    if (!again->t.started && (!t->partial || t->settled)) /* else the control's answer will tell */
        again->wanted = true;
    if (pinhole->doubled || t->x[NPI_M_BP].doubled)
        again->hold_ns = npi_time_add(p->now_ns, NPI_PACE_MIN_NS); /* no earlier than the last copies */
}

/* On a long and lossy path a second copy costs less than waiting a round trip for the first one's answer in vain. */
static bool pays_to_double(const npi_server *s, const npi_loss *loss)
{
    bool lossy = loss->lost > 0 && 4 * loss->lost >= loss->won;
    return lossy && s->rtt.smoothed_ns > NPI_DOUBLE_RTT_NS;
}

/*
 * The mapping requests wait until the source socket has been seen from A:P, so that it is always A:P that is seen first
 * and again last: what differs in between differs by destination (probe_mapping.c).
 */
static void ask_mapping(npi_probe *p, npi_trial *t)
{
    npi_server *s = &p->servers[t->server];
    npi_addr bp = npi_addr_with_port(&s->alternate, s->address.port);
    npi_addr aq = npi_addr_with_port(&s->address, s->alternate.port);
    npi_loss loss = npi_trial_loss(p, t);
    int pinhole_index = npi_trial_proof_rests_on_iii(t) ? NPI_M_AQ : NPI_M_BQ;
    uint32_t room = npi_rate_room(p);
    /* B:P and one of the other two tell the mapping; where transactions are saved, the third is not asked. */
    bool wants_bq = !t->settled && pinhole_index == NPI_M_BQ;
    t->parked = false;
    t->partial = t->frugal && room < NPI_MAPPING_TRANSACTIONS;
    bool two = !t->settled || room > 2; /* and A:P again, which goes with the last of them */
    ask(p, t, NPI_M_BP, &bp);
    if (!t->partial || (two && wants_bq))
        ask(p, t, NPI_M_BQ, &s->alternate);
    if (!t->partial || (two && !wants_bq))
        ask(p, t, NPI_M_AQ, &aq);
    for (int i = NPI_M_BP; i <= NPI_M_AQ; i++)
        t->x[i].doubled = pays_to_double(s, &loss);
    time_control(p, t, &t->x[pinhole_index], loss.lost == 0);
    p->wake_ns = p->now_ns;
}

void npi_trial_begin_mapping(npi_probe *p, npi_trial *t)
{
    if (has_asked_mapping(t)) { /* after a review */
        npi_trial_finish(p, t);
        return;
    }
    npi_trial_stop_filtering(t);
    t->phase = NPI_PHASE_MAPPING;
    p->wake_ns = p->now_ns;
    t->parked = t->frugal && t->settled && t->reason != NPI_REASON_NONE;
    if (!t->parked && npi_trial_server(p, t)->is_seen)
        ask_mapping(p, t);
}

/* The mapping request to the address that a control's answer comes from: it opens the way. */
static const npi_exchange *pinhole_of(const npi_trial *t, int control)
{
    return &t->x[control == NPI_C_II ? NPI_M_BQ : NPI_M_AQ];
}

/* Whether an address sees the source socket under another external address than A:P does. */
static bool is_apart(const npi_server *s, const npi_exchange *x)
{
    return s->is_seen && npi_exchange_is_answered(x) && npi_addr_is_set(&x->external) &&
           !npi_addr_equal(&x->external, &s->seen.external);
}

/*
 * Whether the control cannot pass, since the answer would come to another mapping than that whose pinhole is open:
 * for II when mappings differ by address, for III when they differ by port.
 */
static bool is_moot(const npi_probe *p, const npi_trial *t, int index)
{
    const npi_server *s = npi_trial_server(p, t);
    return is_apart(s, &t->x[NPI_M_BP]) && is_apart(s, pinhole_of(t, index));
}

/* The pinhole is that of another mapping: whether that is the NAT's doing, the answer from B:P will tell. */
static bool may_be_moot(npi_probe *p, const npi_trial *t, int index)
{
    const npi_exchange *clean = &t->x[NPI_M_BP];
    return is_apart(npi_trial_server(p, t), pinhole_of(t, index)) && clean->t.started &&
           !npi_exchange_is_answered(clean) && !npi_exchange_is_over(p, clean, mapping_horizon_ns(p, t));
}

/* Starts a control: behind its pinhole's request where that goes twice, else when the pinhole is known to be open. */
static void start_control(npi_probe *p, npi_trial *t, int index)
{
    const npi_server *s = npi_trial_server(p, t);
    npi_exchange *x = &t->x[index];
    const npi_exchange *pinhole = pinhole_of(t, index);
    bool open = npi_exchange_is_answered(pinhole) || (t->control_at_once && pinhole->t.sent > 0);
    /* An address may be deaf to plain requests and yet speak: after so many copies the way is open all the same. */
    if (!open && pinhole->t.started)
        open = npi_exchange_is_over(p, pinhole, mapping_horizon_ns(p, t));
    if (x->wanted || x->t.started || !open)
        return;
    uint32_t change = NPI_STUN_CHANGE_PORT | (index == NPI_C_II ? NPI_STUN_CHANGE_IP : 0);
    want(x, index == NPI_C_II ? "control II" : "control III", &s->address, change, NPI_CONTROL_COPIES);
    p->wake_ns = p->now_ns;
}

/* Its silence is no accident, or it cannot be asked because its pinhole's request cannot be sent. */
static bool control_is_silent(npi_probe *p, npi_trial *t, int index)
{
    npi_exchange *x = &t->x[index];
    const npi_exchange *pinhole = pinhole_of(t, index);
    uint64_t age = mapping_horizon_ns(p, t);
    if (t->partial && !pinhole->t.started)
        return false; /* it is yet to be asked */
    if (!x->t.started || x->wanted)
        return pinhole->failed;
    if (npi_exchange_is_over(p, x, age))
        return true;
    npi_loss loss = npi_trial_loss(p, t);
    uint32_t aged = npi_transaction_aged(&x->t, p->now_ns, age);
    /* Copies before a pinhole that had to be asked for twice may have found it closed. */
    if (pinhole->t.sent > 1 && npi_exchange_is_answered(pinhole)) {
        uint32_t before = npi_transaction_aged(&x->t, p->now_ns, p->now_ns - pinhole->t.answered_ns);
        aged = aged > before ? aged - before : 0;
    }
    if (npi_loss_explains_silence(&loss, aged) < (t->frugal ? NPI_SILENCE_CONTROL : NPI_SILENCE_CONTROL_LAST))
        return true;
    npi_wake_at(p, npi_transaction_next_aged_ns(&x->t, p->now_ns, age));
    return false;
}

static bool is_final(npi_change c)
{
    return c != NPI_CHANGE_PENDING && c != NPI_CHANGE_SILENT;
}

void npi_trial_take_control_answer(npi_probe *p, npi_trial *t, npi_change *control, uint32_t change,
                                   const npi_addr *from, bool success)
{
    npi_change outcome = npi_trial_outcome_of(npi_trial_server(p, t), change, from, success);
    npi_trial_note_outcome(p, outcome);
    if (!is_final(*control))
        *control = outcome;
}

typedef enum verdict { WAITING, PASSED, MOOT, SILENT, DEMOTED } verdict;

static verdict advance_control(npi_probe *p, npi_trial *t, int index)
{
    const npi_change *outcome = index == NPI_C_II ? &t->control_ii : &t->control_iii;
    if (*outcome == NPI_CHANGE_HONOURED) {
        p->evidence |= NP_EVIDENCE_CONTROL_ANSWERED;
        return PASSED;
    }
    if (is_final(*outcome))
        return DEMOTED;
    if (is_moot(p, t, index))
        return MOOT;
    start_control(p, t, index);
    return control_is_silent(p, t, index) && !may_be_moot(p, t, index) ? SILENT : WAITING;
}

/* II silent, III answered: only II needs its control. */
static void judge_address_dependent(npi_probe *p, npi_trial *t)
{
    verdict v = advance_control(p, t, NPI_C_II);
    if (v == PASSED || v == MOOT)
        npi_trial_settle(t, npi_classify_filtering(t->ii.outcome, t->iii.outcome), v == PASSED);
    else if (v == DEMOTED)
        npi_trial_settle_unknown(p, t, npi_trial_reason_of(t->control_ii));
    else if (v == SILENT)
        npi_trial_settle_unknown(p, t, NPI_REASON_CONTROL);
}

/* II's control alone has passed. Until now III carried the proof: of II too few copies may have been sent for one. */
static void settle_by_ii(npi_probe *p, npi_trial *t)
{
    npi_loss loss = npi_trial_loss(p, t);
    uint32_t silent = t->x[NPI_F_II].t.sent;
    if (!npi_trial_is_silence_short(p, t, silent) && npi_trial_silence_holds(&loss, silent, NPI_SILENCE_LOSSY))
        npi_trial_settle(t, npi_classify_filtering(t->ii.outcome, NPI_CHANGE_PENDING), true);
    else
        npi_trial_settle_unknown(p, t, NPI_REASON_LOSS);
}

/* Both silent: III's control is enough, since what filters III filters II. Without it II's still proves half of it. */
static void judge_both_silent(npi_probe *p, npi_trial *t)
{
    verdict v = advance_control(p, t, NPI_C_III);
    if (v == PASSED || v == MOOT) {
        npi_trial_settle(t, npi_classify_filtering(t->ii.outcome, t->iii.outcome), v == PASSED);
        return;
    }
    if (v == DEMOTED) {
        npi_trial_settle_unknown(p, t, npi_trial_reason_of(t->control_iii));
        return;
    }
    if (v == WAITING)
        return;
    v = advance_control(p, t, NPI_C_II);
    if (v == PASSED)
        settle_by_ii(p, t);
    else if (v == DEMOTED)
        npi_trial_settle_unknown(p, t, npi_trial_reason_of(t->control_ii));
    else if (v == SILENT || v == MOOT)
        npi_trial_settle_unknown(p, t, NPI_REASON_CONTROL);
}

/* With all that is known of losses by now, does the silence still hold? */
static bool is_doubtful(const npi_probe *p, const npi_trial *t)
{
    if (t->ii.outcome != NPI_CHANGE_SILENT || t->filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    npi_loss loss = npi_trial_loss(p, t);
    uint32_t silent = npi_trial_silent_copies(t);
    bool hidden = loss.lost > 0 && npi_trial_is_silence_short(p, t, silent);
    return hidden || !npi_trial_silence_holds(&loss, silent, NPI_SILENCE_DOUBTFUL);
}

static void begin_review(npi_probe *p, npi_trial *t)
{
    npi_log_write(&p->config.log, NP_LOG_DEBUG, "more was lost than it seemed: more copies");
    t->review = true;
    t->phase = NPI_PHASE_FILTERING;
    t->next_volley_ns = p->now_ns;
    for (int i = NPI_F_I; i <= NPI_F_TWIN; i++)
        t->x[i].t.stopped = false;
    p->wake_ns = p->now_ns;
}

bool npi_trial_mapping_is_over(npi_probe *p, npi_trial *t)
{
    int32_t mapping = npi_mapping_seen(p);
    bool enough = mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool over = has_asked_mapping(t) && (enough || !t->partial);
    for (int i = NPI_M_BP; i <= NPI_M_AQ; i++)
        over &= npi_exchange_is_answered(&t->x[i]) || npi_exchange_is_over(p, &t->x[i], mapping_horizon_ns(p, t));
    return over;
}

void npi_trial_advance_mapping(npi_probe *p, npi_trial *t)
{
    const npi_server *s = npi_trial_server(p, t);
    if (t->parked && npi_schedule_can_go_on(p))
        return;
    if (!has_asked_mapping(t)) {
        if (s->is_seen)
            ask_mapping(p, t);
        else if (npi_server_knock_is_over(p, s))
            npi_trial_finish(p, t);
        return;
    }
    if (t->contradicted && t->reason != NPI_REASON_CONTRADICTION)
        npi_trial_settle_unknown(p, t, NPI_REASON_CONTRADICTION);
    if (!t->settled) {
        if (t->iii.outcome == NPI_CHANGE_HONOURED)
            judge_address_dependent(p, t);
        else
            judge_both_silent(p, t);
    }
    if (!t->settled || !npi_trial_mapping_is_over(p, t)) {
        ask_rest(p, t);
        return;
    }
    if (!t->review && is_doubtful(p, t))
        begin_review(p, t); /* more copies of it are needed */
    else
        npi_trial_finish(p, t);
}
