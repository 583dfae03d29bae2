/* SPDX-License-Identifier: MIT */
/* The filtering tests on their own socket. */
#include "filtering.h"

#include "chance.h"
#include "dense.h"
#include "findings.h"
#include "halves.h"
#include "pacing.h"
#include "rate.h"
#include "silence.h"

/* While III carries the proof, II is in every so many rounds. */
#define II_EVERY_ROUNDS 8

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

static void init_exchange(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change)
{
    npi_exchange_init(x, name, slot, to, change, NPI_COPIES_MAX);
    x->sent_in_rounds = true;
}

static uint32_t least_in_vain(uint32_t sent)
{
    return npi_least(sent, NPI_IN_VAIN_MAX);
}

void npi_filtering_init(npi_facts *f, npi_trial *t, int slot)
{
    const uint32_t both = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    const npi_server *s = npi_trial_server(f, t);
    npi_filtering *p = &t->filtering;
    p->late_after = least_in_vain(npi_server_copies(f, s)); /* if they left before a late start */
    p->slot = slot;
    init_exchange(&p->x[NPI_F_I], "filtering I", slot, &s->address, 0);
    init_exchange(&p->x[NPI_F_II], "filtering II", slot, &s->address, both);
    init_exchange(&p->x[NPI_F_III], "filtering III", slot, &s->address, NPI_STUN_CHANGE_PORT);
    init_exchange(&p->x[NPI_F_SECOND], "filtering second", slot, &s->address, 0);
    init_exchange(&p->late, "filtering I", slot, &s->address, 0);
    p->dialect = s->dialect;
    p->dense = (npi_dense_start){0};
    p->is_ii_decided = p->spares_ii = false;
    p->heard_beside_ii = 0;
    p->rounds = p->dialect == NPI_STUN_RFC3489 ? NPI_DENSE_ROUNDS : 0;
    p->next_round_ns = f->now_ns;
}

void npi_filtering_stop(npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        p->x[i].queued = false;
        npi_transaction_stop(&p->x[i].t);
    }
}

void npi_filtering_resume(const npi_facts *f, npi_trial *t)
{
    t->filtering.next_round_ns = f->now_ns;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
        t->filtering.x[i].t.stopped = false;
}

void npi_filtering_extend(npi_facts *f, npi_trial *t)
{
    npi_log_write(&f->config.log, NP_LOG_DEBUG, "more was lost than it seemed: more copies");
    t->filtering.extended = true;
    npi_filtering_resume(f, t);
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

/* A request from another socket may have opened the way: the answer was not unsolicited. */
static bool is_pinhole_fresh(const npi_facts *f, const npi_trial *t, const npi_change_test *test, const npi_addr *from)
{
    bool by_ip = test == &t->filtering.ii;
    return by_ip ? !npi_facts_has_contacted_ip(f, from) : !npi_facts_has_contacted(f, from);
}

static void take_answer(npi_facts *f, npi_trial *t, npi_change_test *test, uint32_t change, const npi_addr *from,
                        const npi_addr *origin, bool success)
{
    npi_change outcome = npi_change_shown(npi_trial_server(f, t), change, from, origin, success);
    if (outcome == NPI_CHANGE_PENDING) {
        test->early = true;
        test->early_from = *from;
        test->early_origin = *origin;
        return;
    }
    f->evidence |= npi_change_evidence(outcome);
    if (test->outcome == NPI_CHANGE_SILENT) {
        t->filtering.contradicted = true; /* and other addresses have been asked since, which may have opened the way */
    } else if (test->outcome == NPI_CHANGE_PENDING) {
        test->outcome = outcome;
        if (outcome == NPI_CHANGE_HONOURED && !is_pinhole_fresh(f, t, test, from))
            t->filtering.pinhole_not_fresh = true;
    } else if (npi_change_disqualifies_server(outcome)) {
        test->outcome = outcome;
    }
    if (test->outcome == NPI_CHANGE_HONOURED)
        f->evidence |= test == &t->filtering.ii ? NP_EVIDENCE_TEST_II_ANSWERED : NP_EVIDENCE_TEST_III_ANSWERED;
}

/* What the answers to III show of a server that may ration them. */
static npi_ration ration_of(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_transaction *iii = &p->x[NPI_F_III].t;
    npi_burst all = npi_silence_first_burst(f, t);
    all.size = NPI_COPIES_MAX;
    all.sent = iii->sent - npi_transaction_sent_since(iii, npi_trial_server(f, t)->woke_ns);
    return npi_silence_ration(f, t, iii, p->burst.size > 0 ? &p->burst : &all, npi_trial_rto(f, t));
}

void npi_filtering_take_answer(npi_facts *f, npi_trial *t, uint32_t change, const npi_addr *from,
                               const npi_addr *origin, bool success)
{
    bool is_ii = (change & NPI_STUN_CHANGE_IP) != 0;
    take_answer(f, t, is_ii ? &t->filtering.ii : &t->filtering.iii, change, from, origin, success);
}

/* Answers that came before the alternate address was known. */
static void take_early_answers(npi_facts *f, npi_trial *t)
{
    npi_change_test *tests[] = {&t->filtering.ii, &t->filtering.iii};
    const int index[] = {NPI_F_II, NPI_F_III};
    if (npi_trial_server(f, t)->alternate_state == NPI_ALTERNATE_UNKNOWN)
        return;
    for (int i = 0; i < 2; i++) {
        if (!tests[i]->early)
            continue;
        tests[i]->early = false;
        take_answer(f, t, tests[i], t->filtering.x[index[i]].change, &tests[i]->early_from, &tests[i]->early_origin,
                    true);
    }
}

/* ---- Rounds ----------------------------------------------------------------------------------------------------- */

static void send_in_round(const npi_facts *f, npi_exchange *x)
{
    if (!x->t.started)
        x->queued = true;
    else if (x->t.sent < x->t.limit)
        x->t.next_ns = f->now_ns;
}

/* A second transaction of the test that is waited for, where the rate has room for it and it saves time. */
static void add_second(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    npi_exchange *second = &p->x[NPI_F_SECOND];
    uint64_t rtt = npi_trial_server(f, t)->rtt.smoothed_ns;
    bool is_apart = !npi_trial_has_source_way(f, t); /* fresh sockets need the rate */
    if (p->extended || is_apart || t->save_transactions || second->t.started || second->queued || rtt == 0 ||
        rtt > NPI_SECOND_RTT_NS)
        return;
    /* Where equal ports may be chance, one more is for the filtering socket to ask B:P (control.c). */
    bool other = rtt > NPI_CONTROL_WAIT_NS && npi_chance_may_equal_one(f, npi_trial_server(f, t), NPI_CHANCE);
    if (npi_rate_room(&f->rate, f->now_ns) < NPI_MAPPING_TRANSACTIONS + (other ? 2 : 1))
        return;
    second->change = npi_silence_proof(p)->change;
    second->name = npi_silence_rests_on_iii(p) ? "filtering III'" : "filtering II'";
    second->queued = true;
}

/*
 * While nothing has been heard: the dense start, then I alone. II, whose answer would be the whole verdict while its
 * silence proves little, is in the first and the last of the dense rounds only. Where transactions are saved, it comes
 * once its use is known.
 */
static void send_blind_round(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    bool is_dense = p->rounds < NPI_DENSE_ROUNDS;
    bool is_last = p->rounds == NPI_DENSE_ROUNDS - 1;
    bool useful = !t->save_transactions || npi_trial_server(f, t)->alternate_state == NPI_ALTERNATE_KNOWN;
    bool on_iii = npi_silence_rests_on_iii(p);
    if (!is_dense || p->rounds % 2 == 0)
        send_in_round(f, &p->x[NPI_F_I]);
    if (is_dense && useful && (p->rounds == 0 || is_last || !on_iii))
        send_in_round(f, &p->x[NPI_F_II]);
    if (is_dense && on_iii)
        send_in_round(f, &p->x[NPI_F_III]);
}

/* One of every two rounds; once something was lost nobody knows which: a limit of rate must not fall into step. */
static bool is_turn_of_plain(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint32_t shift = npi_silence_path_loss(f, t).lost > 0 ? npi_filtering_random(p, p->rounds / 2) >> 6 : 0;
    return (p->rounds + shift) % 2 == 0;
}

/* On a short path III is answered before it has been sent often enough: there it takes the place of I. */
static bool is_iii_plain(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t woke_ns = npi_trial_server(f, t)->woke_ns;
    return !npi_silence_rests_on_iii(p) && npi_transaction_sent_since(&p->x[NPI_F_III].t, woke_ns) < NPI_TEST_III_MIN;
}

/*
 * Loss may explain half of the silence: each round has all tests then. While few are answered, what seems lost may wait
 * in a slow server's queue, which is not pressed.
 */
static bool needs_both(const npi_facts *f, const npi_trial *t)
{
    return !npi_halves_hold(f, t) &&
           (npi_silence_path_loss(f, t).answered >= NPI_HALVES_ANSWERS || npi_silence_is_enough_with(f, t, 0, 0));
}

/* Every other round has an I: only that shows what the path does to the copies of this very moment. */
npi_round npi_filtering_compose_round(const npi_facts *f, const npi_trial *t)
{
    static const npi_round choices[] = {{0, 1}, {1, 0}, {1, 1}, {0, 2}, {1, 2}};
    const npi_filtering *p = &t->filtering;
    uint32_t most = npi_silence_has_second(p) || p->x[NPI_F_SECOND].queued ? 2 : 1;
    uint32_t plain_left = NPI_COPIES_MAX - p->x[is_iii_plain(f, t) ? NPI_F_III : NPI_F_I].t.sent;
    uint32_t least_plain = is_turn_of_plain(f, t) && plain_left > 0 ? 1 : 0;
    if (needs_both(f, t))
        return (npi_round){plain_left > 0 ? 1 : 0, most};
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        npi_round r = choices[i];
        bool possible = r.silent <= most && r.plain <= plain_left && r.plain >= least_plain;
        if (possible && npi_silence_is_enough_with(f, t, r.plain, r.silent))
            return r;
    }
    return (npi_round){least_plain, most};
}

/*
 * The mapping requests leave a round trip after the tests at the earliest, and the control of a minimal set another one
 * later. By then the rate may have room again.
 */
static bool has_room_for_ii(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_server *s = npi_trial_server(f, t);
    uint64_t rtt_ns = s->rtt.smoothed_ns;
    uint32_t needed = NPI_MAPPING_LEAST - (npi_mapping_other_view(f, s) != NULL ? 1 : 0);
    uint32_t tests = 1;
    tests += !p->x[NPI_F_I].t.started;
    tests += !p->x[NPI_F_III].t.started;
    if (npi_facts_has_contacted_ip(f, &s->alternate)) /* II's answer would prove nothing */
        return npi_rate_room(&f->rate, f->now_ns) >= tests + NPI_MAPPING_LEAST;
    return npi_rate_room(&f->rate, f->now_ns) >= tests &&
           npi_rate_room(&f->rate, f->now_ns + rtt_ns) >= tests + NPI_MAPPING_LEAST - 1 &&
           npi_rate_room(&f->rate, f->now_ns + 2 * rtt_ns) >= tests + needed;
}

/*
 * Where the rate leaves just enough for the mapping, and III carries the proof, II is not sent: a filter that lets II
 * through lets III through as well. It is decided once, before the first of them.
 */
static void decide_on_ii(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    const npi_exchange *ii = &p->x[NPI_F_II];
    if (!t->save_transactions || ii->t.started || ii->queued || p->is_ii_decided)
        return;
    p->is_ii_decided = true;
    p->spares_ii = !has_room_for_ii(f, t);
}

/* II has too few copies yet. */
static bool lacks_ii(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    if (p->spares_ii && npi_silence_rests_on_iii(p))
        return false;
    return npi_transaction_sent_since(&p->x[NPI_F_II].t, npi_trial_server(f, t)->woke_ns) < NPI_TEST_II_MIN;
}

/* After the first rounds: what is needed, and II now and then while III carries the proof. */
static void send_later_round(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    bool on_iii = npi_silence_rests_on_iii(p);
    npi_round round = npi_filtering_compose_round(f, t);
    decide_on_ii(f, t);
    if (round.plain > 0)
        send_in_round(f, &p->x[is_iii_plain(f, t) ? NPI_F_III : NPI_F_I]);
    if (round.silent > 0)
        send_in_round(f, &p->x[on_iii ? NPI_F_III : NPI_F_II]);
    if (round.silent > 1)
        send_in_round(f, &p->x[NPI_F_SECOND]);
    bool is_turn_of_ii = p->rounds % II_EVERY_ROUNDS == II_EVERY_ROUNDS - 1 && !p->spares_ii;
    if (on_iii && (is_turn_of_ii || lacks_ii(f, t)))
        send_in_round(f, &p->x[NPI_F_II]);
}

static void send_round(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    bool has_rtt = npi_trial_server(f, t)->rtt.samples > 0;
    if (has_rtt && !npi_pacing_is_dense(f, t))
        add_second(f, t);
    if (has_rtt)
        send_later_round(f, t);
    else
        send_blind_round(f, t);
    p->rounds++;
    p->timed_without_rtt = !has_rtt;
    p->next_round_ns = npi_time_add(f->now_ns, npi_pacing_round_gap_ns(f, t));
}

/* The rate limit may have held a round back: the next one keeps its distance from when it really left. */
static uint64_t round_due_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t gap_ns = npi_pacing_is_dense(f, t) ? NPI_DENSE_GAP_NS : NPI_PACE_MIN_NS;
    uint64_t due_ns = p->next_round_ns;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        if (x->sent > 0)
            due_ns = npi_time_max(due_ns, npi_time_add(npi_transaction_last_ns(x), gap_ns));
    }
    return due_ns;
}

/* One that was timed blindly goes as soon as the round trip is known. Returns when to look again. */
static uint64_t send_round_if_due(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    if (p->timed_without_rtt && npi_trial_server(f, t)->rtt.samples > 0) {
        p->timed_without_rtt = false;
        p->next_round_ns = npi_time_add(f->now_ns, NPI_SETTLE_NS);
    }
    uint64_t due_ns = round_due_ns(f, t);
    if (due_ns > f->now_ns)
        return due_ns;
    send_round(f, t);
    return NPI_NEVER; /* sending it brings the engine back here */
}

/* ---- Silence ---------------------------------------------------------------------------------------------------- */

static bool is_budget_spent(const npi_facts *f)
{
    return f->traffic.sent - f->traffic.sent_in_vain >= npi_facts_budget(f, NPI_ROUNDS_UNTIL, NPI_ROUNDS_UNTIL_MORE);
}

/* Out of copies: the tests can be repeated no more. */
static bool is_out_of_copies(const npi_facts *f, const npi_filtering *p)
{
    const npi_transaction *x = &npi_silence_proof(p)->t;
    return is_budget_spent(f) || (x->started && x->sent >= x->limit);
}

static bool has_unsent_copies(const npi_facts *f, const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (p->x[i].queued || npi_transaction_due(&p->x[i].t, f->now_ns))
            return true;
    }
    return false;
}

static npi_filtering_step step(npi_filtering_next next, uint64_t wake_ns)
{
    return (npi_filtering_step){next, wake_ns};
}

/* The same for a wait: each request that turns out to be lost may change what is enough. */
static npi_filtering_step wait_or_loss(const npi_facts *f, const npi_trial *t, uint64_t wake_ns)
{
    return step(NPI_FILTERING_WAIT, npi_time_min(wake_ns, npi_silence_next_loss_ns(f, t)));
}

/* NPI_REASON_NONE: the silence is proven. */
static npi_filtering_step conclude_silence(npi_facts *f, npi_trial *t, npi_reason reason)
{
    npi_filtering *p = &t->filtering;
    if (reason != NPI_REASON_NONE) {
        npi_decide_unknown(f, t, reason);
    } else {
        p->ii.outcome = NPI_CHANGE_SILENT;
        if (p->iii.outcome == NPI_CHANGE_PENDING)
            p->iii.outcome = NPI_CHANGE_SILENT;
    }
    return step(p->extended ? NPI_FILTERING_FINISH : NPI_FILTERING_MAPPING, f->now_ns);
}

/* When the copies of the fresh I should have told what a late start was. */
static uint64_t late_start_told_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t looked_ns = npi_time_add(npi_trial_server(f, t)->suspect_ns, NPI_LATE_CHECK_NS);
    return npi_time_max(looked_ns, npi_transaction_all_aged_ns(&t->filtering.x[NPI_F_I].t, npi_trial_rto(f, t)));
}

/*
 * A server that works off a queue looks like a path that woke up, and each round makes its queue longer. So none leaves
 * while the fresh I is on its way, for no longer than the first answer took.
 */
static uint64_t late_start_held_ns(const npi_server *s, const npi_filtering *p)
{
    bool is_held = p->late.t.started && s->suspect_took_ns <= NPI_LATE_RTT_MAX_NS;
    return is_held ? npi_time_add(s->suspect_ns, s->suspect_took_ns) : NPI_NOW;
}

/* Until when a late start that is still looked into keeps from proving the silence, or else from more rounds. */
static uint64_t late_start_until_ns(const npi_facts *f, const npi_trial *t, bool enough)
{
    const npi_server *s = npi_trial_server(f, t);
    if (s->suspect_ns == 0)
        return NPI_NOW;
    return enough ? late_start_told_ns(f, t) : late_start_held_ns(s, &t->filtering);
}

/* A queue is waited for if the time left is then enough for the mapping; else its requests get in line at once. */
static npi_filtering_step wait_for_slow(npi_facts *f, npi_trial *t, uint64_t until_ns)
{
    if (until_ns <= npi_pacing_slow_share_ns(f))
        return step(NPI_FILTERING_WAIT, until_ns);
    npi_decide_unknown(f, t, NPI_REASON_SLOW);
    return step(NPI_FILTERING_MAPPING, f->now_ns);
}

/*
 * Where copies seem lost that may be under way, the next round waits: once, and each time after a late answer. Returns
 * when to look again.
 */
static uint64_t send_round_unless_late(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    uint64_t late_ns = npi_pacing_late_until_ns(f, t);
    if (late_ns > f->now_ns)
        return late_ns;
    uint32_t rounds = p->rounds;
    uint64_t wake_ns = send_round_if_due(f, t);
    if (late_ns != NPI_NOW && p->rounds != rounds) {
        p->waited_for_late = true;
        p->late_waited = npi_trial_server(f, t)->late_answers;
    }
    return wake_ns;
}

/* III once more, several times together. Returns when to look. */
static uint64_t send_burst(const npi_facts *f, npi_trial *t)
{
    npi_exchange *x = &t->filtering.x[NPI_F_III];
    npi_burst *b = &t->filtering.burst;
    uint64_t due_ns = npi_silence_burst_ns(&x->t, b, npi_trial_rto(f, t));
    if (due_ns > f->now_ns)
        return due_ns;
    *b = npi_silence_burst(f, &x->t, b);
    x->t.next_ns = f->now_ns;
    return NPI_NEVER;
}

void npi_filtering_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x)
{
    npi_filtering *p = &t->filtering;
    const npi_transaction *ii = &p->x[NPI_F_II].t;
    bool is_plain = x == &p->x[NPI_F_I] || x == &p->x[NPI_F_III];
    if (is_plain && ii->sent > 0 && f->now_ns >= npi_time_add(ii->first_ns, npi_trial_rto(f, t)))
        p->heard_beside_ii++;
}

/*
 * Where II was left out at first, all its copies left within a short time, which a burst of losses may cover. They
 * count once copies of I or III that left after the first of them were answered.
 */
static bool is_heard_beside_ii(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    if (!p->spares_ii || npi_silence_rests_on_iii(p) || p->heard_beside_ii >= NPI_BESIDE_II)
        return true;
    const npi_rtt *rtt = &npi_trial_server(f, t)->rtt;
    uint64_t beside_ns = npi_time_add(p->x[NPI_F_II].t.first_ns, npi_rtt_rto(rtt) - rtt->smoothed_ns);
    uint32_t copies = npi_transaction_sent_since(&p->x[NPI_F_I].t, beside_ns) +
                      npi_transaction_sent_since(&p->x[NPI_F_III].t, beside_ns);
    return copies >= NPI_BESIDE_II && npi_silence_ready_ns(f, t) > f->now_ns;
}

/* Enough for the bound, if what is under way fares as what was sent before. */
static bool is_enough(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    return s->rtt.samples > 0 && !lacks_ii(f, t) && is_heard_beside_ii(f, t) &&
           npi_silence_is_enough_with(f, t, 0, 0) && npi_halves_hold(f, t);
}

/* Silent, and not for loss: whether the server has answered at all, the control will tell, or the answers to III do. */
static npi_filtering_step conclude_enough(npi_facts *f, npi_trial *t)
{
    if (npi_silence_rests_on_iii(&t->filtering) || t->filtering.is_not_rationed)
        return conclude_silence(f, t, NPI_REASON_NONE);
    if (ration_of(f, t) == NPI_RATION_LIKELY)
        return conclude_silence(f, t, NPI_REASON_RATIONED);
    return wait_or_loss(f, t, send_burst(f, t));
}

/* What the answers to III have shown once stays shown. */
static void note_ration(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    if (!npi_silence_rests_on_iii(p) && ration_of(f, t) == NPI_RATION_EXCLUDED)
        p->is_not_rationed = true;
}

/* More copies, or the wait for the last of them, or the conclusion (docs/METHOD.md, "Silence"). */
static npi_filtering_step advance_silence(npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    const npi_server *s = npi_trial_server(f, t);
    if (p->x[NPI_F_I].failed || p->x[NPI_F_II].failed || p->x[NPI_F_III].failed) {
        npi_decide_unknown(f, t, NPI_REASON_UNFINISHED);
        return step(NPI_FILTERING_MAPPING, f->now_ns);
    }
    npi_dense_note(f, t);
    note_ration(f, t);
    if (has_unsent_copies(f, p))
        return step(NPI_FILTERING_WAIT, NPI_NEVER);
    bool enough = is_enough(f, t);
    uint64_t until_ns = late_start_until_ns(f, t, enough);
    if (until_ns > f->now_ns)
        return enough ? wait_or_loss(f, t, until_ns) : step(NPI_FILTERING_WAIT, until_ns);
    uint64_t slow_ns = npi_pacing_slow_until_ns(f, t);
    if (slow_ns > f->now_ns)
        return wait_for_slow(f, t, slow_ns);
    if (!p->is_not_rationed && p->x[NPI_F_III].t.sent < p->burst.sent + p->burst.size)
        return wait_or_loss(f, t, send_burst(f, t));
    if ((!enough || s->suspect_ns != 0) && !is_out_of_copies(f, p))
        return wait_or_loss(f, t, send_round_unless_late(f, t));
    uint64_t ready_ns = npi_silence_ready_ns(f, t);
    if (ready_ns > f->now_ns)
        return wait_or_loss(f, t, ready_ns);
    return enough ? conclude_enough(f, t) : conclude_silence(f, t, NPI_REASON_LOSS);
}

/* ---- The phase -------------------------------------------------------------------------------------------------- */

/* The server is of no use for filtering; its mapping requests wait until a plain answer has named their addresses. */
static npi_filtering_step give_up(npi_facts *f, npi_trial *t, npi_reason reason)
{
    const npi_server *s = npi_trial_server(f, t);
    if (!npi_trial_is_decided(t))
        npi_decide_unknown(f, t, reason);
    if (s->alternate_state != NPI_ALTERNATE_UNKNOWN)
        return step(NPI_FILTERING_MAPPING, f->now_ns);
    uint64_t done_ns = npi_pacing_primary_done_ns(s);
    if (done_ns <= f->now_ns)
        return step(NPI_FILTERING_FINISH, f->now_ns);
    npi_filtering_stop(&t->filtering);
    return step(NPI_FILTERING_WAIT, done_ns);
}

/*
 * III has shown that the server is unfit. One that stands behind a forwarded address answers III from another than was
 * asked, and II as it should: where III came from elsewhere, II is waited for.
 */
static npi_filtering_step step_after_iii(npi_facts *f, npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_transaction *ii = &p->x[NPI_F_II].t;
    bool is_elsewhere = p->iii.outcome == NPI_CHANGE_PARTIAL || p->iii.outcome == NPI_CHANGE_REWRITTEN;
    if (!is_elsewhere || t->finding.state != NPI_UNDECIDED || p->x[NPI_F_II].failed)
        return give_up(f, t, npi_change_reason(p->iii.outcome));
    if (ii->sent < NPI_TEST_II_WAITED) {
        uint64_t next_ns = ii->sent > 0 ? npi_time_add(npi_transaction_last_ns(ii), NPI_PACE_MIN_NS) : NPI_NOW;
        if (next_ns <= f->now_ns)
            send_in_round(f, &t->filtering.x[NPI_F_II]);
        return step(NPI_FILTERING_WAIT, next_ns > f->now_ns ? next_ns : NPI_NEVER);
    }
    uint64_t silent_ns = npi_transaction_all_aged_ns(ii, npi_trial_far_rto(f, t));
    if (silent_ns > f->now_ns)
        return step(NPI_FILTERING_WAIT, silent_ns);
    return give_up(f, t, npi_change_reason(p->iii.outcome));
}

/*
 * Whether more answers came to a late start than a path sends that was silent until shortly before the first: those to
 * copies that left shortly before, and to later ones that are as old as the round trip would then be.
 */
static bool is_path_slow(const npi_facts *f, const npi_server *s, const npi_transaction *plain)
{
    uint64_t woke_ns = s->suspect_ns - npi_time_min(s->suspect_ns, NPI_LATE_SPREAD_NS);
    uint64_t young_ns = f->now_ns - npi_time_min(f->now_ns, s->suspect_rtt_ns) + 1;
    uint32_t left = npi_transaction_sent_since(plain, woke_ns);
    uint32_t young = npi_transaction_sent_since(plain, npi_time_max(young_ns, woke_ns));
    return plain->answers >= NPI_LATE_ANSWERS && plain->answers > left - young;
}

/* A fresh I is asked, since of the copies of the other nobody knows which was answered. */
static void ask_anew(const npi_facts *f, const npi_server *s, npi_filtering *p)
{
    p->late = p->x[NPI_F_I];
    p->late_after = least_in_vain(f->traffic.sent);
    npi_transaction_stop(&p->late.t);
    p->dense = (npi_dense_start){0};
    init_exchange(&p->x[NPI_F_I], "filtering I", p->slot, &s->address, 0);
    send_in_round(f, &p->x[NPI_F_I]);
}

/* A slow path answers the fresh I as late as it did the other. */
static void judge_late_start(npi_facts *f, npi_server *s, npi_filtering *p)
{
    const npi_transaction *fresh = &p->x[NPI_F_I].t;
    uint64_t rtt_ns = fresh->answered_ns - fresh->first_ns;
    if (rtt_ns < s->suspect_took_ns / 4 * 3) {
        npi_log_write(&f->config.log, NP_LOG_DEBUG, "the path was silent at first: what was sent then does not count");
        npi_server_woke(s, rtt_ns);
        if (f->traffic.sent_in_vain == 0)
            f->traffic.sent_in_vain = p->late_after;
        p->next_round_ns = f->now_ns;
    }
    s->suspect_ns = 0;
}

/*
 * A first answer that came late: a slow path answers the other copies of the first burst as well, one that was silent
 * at first does not. There a fresh I measures the round trip. Returns when to look.
 */
static uint64_t look_into_late_start(npi_facts *f, npi_trial *t)
{
    npi_server *s = &f->servers[t->server];
    npi_filtering *p = &t->filtering;
    uint64_t check_ns = npi_time_add(s->suspect_ns, NPI_LATE_CHECK_NS);
    if (s->suspect_ns == 0)
        return NPI_NEVER;
    if (check_ns > f->now_ns)
        return check_ns;
    const npi_exchange *i = &p->x[NPI_F_I];
    bool is_fresh = p->late.t.started || (i->t.sent > 0 && i->t.first_ns >= s->suspect_ns);
    if (!is_fresh && (is_path_slow(f, s, &i->t) || i->failed))
        s->suspect_ns = 0;
    else if (!is_fresh && i->t.sent > 0)
        ask_anew(f, s, p);
    else if (is_fresh && npi_exchange_is_answered(i))
        judge_late_start(f, s, p);
    return NPI_NEVER;
}

npi_filtering_step npi_filtering_advance(npi_facts *f, npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_filtering *p = &t->filtering;
    if (p->dialect != s->dialect)
        npi_filtering_init(f, t, p->slot);
    take_early_answers(f, t);
    if (s->alternate_state == NPI_ALTERNATE_NONE) {
        bool refused = (f->evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0;
        npi_decide_unknown(f, t, refused ? NPI_REASON_REFUSED : NPI_REASON_NO_ALTERNATE);
        return step(NPI_FILTERING_FINISH, f->now_ns);
    }
    if (p->has_no_socket)
        return give_up(f, t, NPI_REASON_NO_SOCKET);
    if (npi_change_disqualifies_server(p->ii.outcome))
        return give_up(f, t, npi_change_reason(p->ii.outcome));
    if (npi_change_disqualifies_server(p->iii.outcome) && p->ii.outcome != NPI_CHANGE_HONOURED)
        return step_after_iii(f, t);
    if (p->pinhole_not_fresh || p->contradicted) {
        npi_decide_unknown(f, t, p->pinhole_not_fresh ? NPI_REASON_NOT_FRESH : NPI_REASON_CONTRADICTION);
        return step(NPI_FILTERING_MAPPING, f->now_ns);
    }
    if (p->ii.outcome == NPI_CHANGE_HONOURED) {
        npi_decide(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
        return step(NPI_FILTERING_MAPPING, f->now_ns);
    }
    uint64_t look_ns = look_into_late_start(f, t);
    npi_filtering_step next = advance_silence(f, t);
    next.wake_ns = npi_time_min(next.wake_ns, look_ns);
    return next;
}
