/* SPDX-License-Identifier: MIT */
/* filtering: what each round of tests is made of, when it leaves, and how the phase ends. */
#include "engine/filtering.h"
#include "engine/pacing.h"
#include "engine/rate.h"
#include "engine/silence.h"

#include <string.h>

#include "build.h"

/* An answer without RESPONSE-ORIGIN. */
static const npi_addr untold;

#define RTT_MS 20
#define RTO_MS 24 /* an unanswered copy of that age counts as lost */
#define NOW_MS 2000
#define BOTH (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)

/* ---- The smallest round that completes the proof ---------------------------------------------------------------- */

#define ODD 5  /* rounds before: the turn of the silent test alone */
#define EVEN 6 /* the turn of I as well */

/*
 * With N answered, none lost, and n silent the chance of mere loss is at worst n^n N^N / (n+N)^(n+N), and 3e-7 is the
 * limit. Five more answers are expected of the mapping phase: N is five more than the copies of I.
 */
static const struct {
    const char *says;
    uint32_t rounds;
    unsigned plain; /* copies of I, all answered */
    unsigned silent;
    unsigned second; /* of these, from a second transaction */
    npi_round round;
} rounds_to_compose[] = {
    {"6 and 10: one more silent copy makes it 2^-22 = 2.4e-7.", ODD, 6, 10, 0, {0, 1}},
    {"The same in I's turn: one more I makes it 12 and 10, 2.6e-7.", EVEN, 6, 10, 0, {1, 0}},
    {"3 and 14: a silent copy makes it 3.5e-7, an I 2.1e-7.", ODD, 3, 14, 0, {1, 0}},
    {"5 and 10: either alone makes it 4.8e-7, both 2.4e-7.", ODD, 5, 10, 0, {1, 1}},
    {"9 and 7: one of each makes it 3.5e-7, two silent copies 2.1e-7.", ODD, 9, 7, 1, {0, 2}},
    {"6 and 8: two silent copies make it 4.8e-7, with an I 2.6e-7.", ODD, 6, 8, 1, {1, 2}},
    {"9 and 7, but only one transaction: no round completes it, so one silent copy leaves.", ODD, 9, 7, 0, {0, 1}},
    {"In I's turn I leaves as well.", EVEN, 9, 7, 0, {1, 1}},
    {"At the start no round completes it, so as many silent copies leave as there may.", ODD, 2, 2, 1, {0, 2}},
    {"In I's turn I leaves as well.", EVEN, 2, 2, 1, {1, 2}},
    {"However few losses, seven copies have to be silent: from six it takes one.", ODD, 50, 6, 0, {0, 1}},
    {"From five it takes two.", ODD, 50, 5, 1, {0, 2}},
    {"With six silent copies no I completes it: in I's turn both leave.", EVEN, 50, 6, 0, {1, 1}},
    {"With seven it is complete: no round would be smaller.", EVEN, 50, 7, 0, {1, 0}},
    {"The last copy of I completes it.", EVEN, NPI_COPIES_MAX - 1, 7, 0, {1, 0}},
    {"No copy of I is left: its turn is the silent test's.", EVEN, NPI_COPIES_MAX, 4, 0, {0, 1}},
    {"The last copy of I leaves in its turn.", EVEN, NPI_COPIES_MAX - 1, 4, 0, {1, 1}},
};

/* A trial in phase 1; its server has answered and named its second address. */
static npi_trial *begin(build *b)
{
    build_init(b);
    npi_trial *t = build_trial(b, build_answering_server(b, RTT_MS));
    build_now(b, AT(NOW_MS));
    return t;
}

static void expect_end(const char *says, build *b, npi_trial *t, npi_filtering_next next)
{
    npi_filtering_step step = npi_filtering_advance(&b->f, t);
    EXPECT_EQUAL(says, step.next, next);
    EXPECT_TIME(says, step.wake_ns, b->f.now_ns); /* at once */
}

static void answer_plain(npi_trial *t, unsigned copies, unsigned answered)
{
    build_send_copies(&t->filtering.x[NPI_F_I], copies, AT(0), 10);
    build_answer_copies(&t->filtering.x[NPI_F_I], answered, RTT_MS);
}

static void send_silent(npi_trial *t, int test, unsigned copies, unsigned second)
{
    npi_filtering *p = &t->filtering;
    p->x[NPI_F_SECOND].change = p->x[test].change;
    build_send_copies(&p->x[test], copies - second, AT(1), 10);
    build_send_copies(&p->x[NPI_F_SECOND], second, AT(1), 10);
}

static void a_round_is_the_smallest_that_completes_the_proof(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rounds_to_compose); i++) {
        static build b;
        npi_trial *t = begin(&b);
        answer_plain(t, rounds_to_compose[i].plain, rounds_to_compose[i].plain);
        send_silent(t, NPI_F_III, rounds_to_compose[i].silent, rounds_to_compose[i].second);
        t->filtering.rounds = rounds_to_compose[i].rounds;
        npi_round round = npi_filtering_compose_round(&b.f, t);
        EXPECT_EQUAL(rounds_to_compose[i].says, round.plain, rounds_to_compose[i].round.plain);
        EXPECT_EQUAL(rounds_to_compose[i].says, round.silent, rounds_to_compose[i].round.silent);
    }
}

static void a_second_transaction_that_waits_for_the_rate_counts_for_the_round(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    answer_plain(t, 9, 9);
    send_silent(t, NPI_F_III, 7, 0);
    t->filtering.rounds = ODD;
    t->filtering.x[NPI_F_SECOND].queued = true;
    EXPECT_EQUAL("It will be sent with the round.", npi_filtering_compose_round(&b.f, t).silent, 2);
    t->filtering.x[NPI_F_SECOND].queued = false;
    build_send(&t->filtering.x[NPI_F_SECOND], AT(1));
    t->filtering.x[NPI_F_SECOND].change = BOTH;
    EXPECT_EQUAL("One of II has no part in III's proof.", npi_filtering_compose_round(&b.f, t).silent, 1);
}

/* Once something was lost, a random bit of the id shifts the turn: a limit of rate must not fall into step with it. */
static void once_something_is_lost_the_turn_of_i_is_random(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        uint32_t rounds;
        unsigned lost;
        uint8_t random; /* of this round and its neighbour */
        unsigned plain;
    } rows[] = {
        {"Nothing was lost: I has the even rounds.", 6, 0, 0x40, 1},
        {"The odd ones are without it.", 7, 0, 0x40, 0},
        {"Something was lost, and the byte says to change places.", 6, 1, 0x40, 0},
        {"So its neighbour has I.", 7, 1, 0x40, 1},
        {"The byte says to leave it.", 6, 1, 0x3f, 1},
        {"So its neighbour has none.", 7, 1, 0x3f, 0},
        {"An even number of steps changes nothing.", 6, 1, 0x80, 1},
        {"An odd one does.", 6, 1, 0xff, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begin(&b);
        answer_plain(t, 12, 12 - rows[i].lost);
        send_silent(t, NPI_F_III, 8, 0);
        t->filtering.rounds = rows[i].rounds;
        t->filtering.x[NPI_F_I].t.id.bytes[4 + 3] = rows[i].random; /* the third pair of rounds */
        EXPECT_EQUAL(rows[i].says, npi_filtering_compose_round(&b.f, t).plain, rows[i].plain);
    }
}

static void while_loss_may_explain_a_half_each_round_has_all(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    answer_plain(t, 12, 11);
    send_silent(t, NPI_F_III, 2, 1);
    t->filtering.rounds = ODD;
    npi_round round = npi_filtering_compose_round(&b.f, t);
    EXPECT_EQUAL("It is not I's turn.", round.plain, 1);
    EXPECT_EQUAL("Both transactions of III are in it.", round.silent, 2);
}

/* ---- Rounds as they leave --------------------------------------------------------------------------------------- */

enum { I = 1, II = 2, III = 4, SECOND = 8 };

/* Sends what the phase wants to leave now. */
static unsigned leave(build *b, npi_trial *t)
{
    unsigned left = 0;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        npi_exchange *x = &t->filtering.x[i];
        if (!x->queued && !npi_transaction_due(&x->t, b->f.now_ns))
            continue;
        build_send(x, b->f.now_ns);
        left |= 1u << i;
    }
    return left;
}

/* Goes on to when the next round is due, and sends it. */
static unsigned next_round(build *b, npi_trial *t)
{
    npi_filtering_step step = npi_filtering_advance(&b->f, t);
    if (step.wake_ns > b->f.now_ns && step.wake_ns != NPI_NEVER) {
        build_now(b, step.wake_ns - 1);
        npi_filtering_advance(&b->f, t);
        EXPECT_EQUAL("A round does not leave before its time.", leave(b, t), 0);
        build_now(b, step.wake_ns);
        step = npi_filtering_advance(&b->f, t);
    }
    EXPECT_EQUAL("A round is no end.", step.next, NPI_FILTERING_WAIT);
    unsigned left = leave(b, t);
    EXPECT("A round has copies.", left != 0);
    return left;
}

/* A trial whose server is silent so far, or not. */
static npi_trial *fresh(build *b)
{
    build_init(b);
    npi_server *s = build_asked_server(b);
    npi_trial *t = build_trial(b, s);
    npi_filtering_init(&b->f, t, 1);
    return t;
}

/* A copy that turns out to be lost may change what is enough: it is looked at then, not only with the next round. */
static void each_loss_is_a_time_to_look(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    answer_plain(t, 4, 4);
    send_silent(t, NPI_F_III, 4, 0);
    build_send(&t->filtering.x[NPI_F_III], AT(NOW_MS));
    t->filtering.rounds = 4;
    t->filtering.next_round_ns = AT(NOW_MS + 500);
    EXPECT_TIME("Long before the next round.", npi_filtering_advance(&b.f, t).wake_ns,
                AT(NOW_MS) + npi_trial_rto(&b.f, t));
}

static void hear_alternate(build *b)
{
    b->servers[0].alternate = build_b(0, BUILD_Q);
    b->servers[0].alternate_state = NPI_ALTERNATE_KNOWN;
}

static void the_tests_are_written_for_a_p_from_a_socket_of_their_own(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = fresh(&b);
    const uint32_t change[] = {0, BOTH, NPI_STUN_CHANGE_PORT, 0};
    b.servers[0].dialect = NPI_STUN_RFC3489;
    build_now(&b, AT(5));
    npi_filtering_init(&b.f, t, 3);
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_exchange *x = &t->filtering.x[i];
        EXPECT("to A:P", npi_addr_equal(&x->to, &b.servers[0].address));
        EXPECT_EQUAL("I, II, III, and a second one of either", x->change, change[i]);
        EXPECT_EQUAL("from this socket", x->slot, 3);
        EXPECT_EQUAL("as often as can be", x->max_copies, NPI_COPIES_MAX);
        EXPECT("when a round says so", x->sent_in_rounds);
    }
    EXPECT_EQUAL("in the form that the server understands", t->filtering.dialect, NPI_STUN_RFC3489);
    EXPECT_EQUAL("that is the trial's", t->filtering.slot, 3);
    EXPECT_TIME("at once", t->filtering.next_round_ns, AT(5));
}

static void the_dense_start_has_all_tests_and_then_i_leaves_alone(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned at_ms;
        unsigned tests;
        unsigned tests_when_saving;
    } rows[] = {
        {"The first round has all three.", 0, I | II | III, I | III},
        {"III alone leaves 2 ms later.", 2, III, III},
        {"Every other round has I. II proves little by its silence.", 4, I | III, I | III},
        {"Every other round has I.", 6, III, III},
        {"Every other round has I.", 8, I | III, I | III},
        {"Every other round has I.", 10, III, III},
        {"Every other round has I.", 12, I | III, I | III},
        {"Every other round has I.", 14, III, III},
        {"Every other round has I.", 16, I | III, I | III},
        {"Every other round has I.", 18, III, III},
        {"The last of the dense rounds, the eleventh, has all three again.", 20, I | II | III, I | III},
        {"Nothing is heard: all that is wanted is a sign of life.", 350, I, I},
        {"And again.", 600, I, I},
        {"And ever slower.", 1100, I, I},
    };
    static build b;
    npi_trial *t = fresh(&b);
    for (size_t i = 0; i < COUNT(rows); i++) {
        EXPECT_EQUAL(rows[i].says, next_round(&b, t), rows[i].tests);
        EXPECT_TIME(rows[i].says, b.f.now_ns, AT(rows[i].at_ms));
    }
    t = fresh(&b);
    t->save_transactions = true;
    for (size_t i = 0; i < COUNT(rows); i++)
        EXPECT_EQUAL("Where transactions are saved II waits until its use is known.", next_round(&b, t),
                     rows[i].tests_when_saving);
    t = fresh(&b);
    t->save_transactions = true;
    hear_alternate(&b);
    EXPECT_EQUAL("A second address is known: II is of use.", next_round(&b, t), I | II | III);
}

static void once_iii_is_answered_ii_carries_the_proof_in_every_round(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = fresh(&b);
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    for (int i = 0; i < 4; i++)
        EXPECT_EQUAL("III has said what it can.", next_round(&b, t), i % 2 == 0 ? I | II : II);
}

static void a_round_timed_without_a_round_trip_is_timed_again_with_the_first_answer(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = fresh(&b);
    for (int i = 0; i < NPI_DENSE_ROUNDS; i++)
        next_round(&b, t); /* the next would be due 330 ms after 20 ms */
    hear_alternate(&b);
    build_rtt(&b.servers[0].rtt, RTT_MS);
    build_now(&b, AT(300));
    t->filtering.waited_for_late = true;
    npi_filtering_step step = npi_filtering_advance(&b.f, t);
    EXPECT_TIME("It waits 2 ms for the others of the same round.", step.wake_ns, AT(302));
    build_now(&b, AT(301));
    EXPECT_TIME("That is said once.", npi_filtering_advance(&b.f, t).wake_ns, AT(302));
}

static void a_round_that_the_rate_held_back_pushes_the_next_one(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = fresh(&b);
    npi_filtering_advance(&b.f, t);
    EXPECT_TIME("What was queued brings the engine back when it leaves.", npi_filtering_advance(&b.f, t).wake_ns,
                NPI_NEVER);
    build_send(&t->filtering.x[NPI_F_II], AT(5));
    build_send(&t->filtering.x[NPI_F_III], AT(6));
    build_now(&b, AT(7));
    EXPECT_EQUAL("I was the last to find room.", leave(&b, t), I);
    EXPECT_TIME("In the dense start no test is repeated within 2 ms.", npi_filtering_advance(&b.f, t).wake_ns, AT(9));
    t->filtering.rounds = NPI_DENSE_ROUNDS;
    EXPECT_TIME("Behind it none is within 10 ms.", npi_filtering_advance(&b.f, t).wake_ns, AT(17));
}

/* ---- Later rounds ----------------------------------------------------------------------------------------------- */

static void later_rounds_have_what_is_needed_and_ii_now_and_then(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        uint32_t rounds;
        unsigned ii_sent;
        bool iii_answered;
        unsigned tests;
    } rows[] = {
        {"In I's turn I and III leave.", 4, 2, false, I | III},
        {"Else III alone.", 5, 2, false, III},
        {"Every eighth round has II.", 7, 2, false, II | III},
        {"The next one does not.", 8, 2, false, I | III},
        {"The sixteenth does.", 15, 2, false, II | III},
        {"Of II two copies are needed at least.", 5, 1, false, II | III},
        {"Once III is answered II carries the proof.", 5, 2, true, II},
        {"In I's turn with III, which has not been sent often enough to show that all are answered.", 4, 2, true,
         II | III},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begin(&b);
        answer_plain(t, 3, 3);
        build_send_copies(&t->filtering.x[NPI_F_II], rows[i].ii_sent, AT(0), 10);
        build_send_copies(&t->filtering.x[NPI_F_III], 2, AT(0), 10);
        t->filtering.rounds = rows[i].rounds;
        t->save_transactions = true; /* no second transaction */
        t->filtering.next_round_ns = AT(NOW_MS);
        if (rows[i].iii_answered) {
            t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
            build_answer_copies(&t->filtering.x[NPI_F_III], 2, RTT_MS);
        }
        EXPECT_TIME("It leaves now.", npi_filtering_advance(&b.f, t).wake_ns, NPI_NEVER);
        EXPECT_EQUAL(rows[i].says, leave(&b, t), rows[i].tests);
        EXPECT_TIME("The next follows 10 ms later.", t->filtering.next_round_ns, AT(NOW_MS + 10));
    }
}

static void a_later_round_may_be_of_i_alone(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    answer_plain(t, 6, 6);
    send_silent(t, NPI_F_III, 10, 0);
    build_send_copies(&t->filtering.x[NPI_F_II], 2, AT(0), 10);
    t->filtering.rounds = EVEN;
    t->save_transactions = true;
    npi_filtering_advance(&b.f, t);
    EXPECT_EQUAL("One more I completes the proof.", leave(&b, t), I);
}

static const struct {
    const char *says;
    bool save, extended, iii_answered, begun;
    unsigned rtt_ms;
    unsigned room;
    bool second;
} seconds[] = {
    {"It doubles the pace of III.", false, false, false, false, 20, 6, true},
    {"Or of II, once III is answered.", false, false, true, false, 20, 6, true},
    {"The mapping phase needs five transactions: with five there is no room.", false, false, false, false, 20, 5,
     false},
    {"Other servers may need it.", true, false, false, false, 20, 10, false},
    {"Up to a second of round trip it saves time.", false, false, false, false, 1000, 6, true},
    {"Above it does not.", false, false, false, false, 1001, 6, false},
    {"When a proof is extended it is not worth it.", false, true, false, false, 20, 6, false},
    {"It has begun already.", false, false, false, true, 20, 6, true},
};

static void a_second_transaction_doubles_the_pace_where_there_is_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(seconds); i++) {
        static build b;
        npi_trial *t = begin(&b);
        npi_filtering *p = &t->filtering;
        build_rtt(&b.servers[0].rtt, seconds[i].rtt_ms);
        answer_plain(t, 3, 3);
        build_send_copies(&p->x[NPI_F_II], 2, AT(0), 10);
        build_send_copies(&p->x[NPI_F_III], 2, AT(0), 10);
        p->rounds = ODD;
        p->extended = seconds[i].extended;
        p->iii.outcome = seconds[i].iii_answered ? NPI_CHANGE_HONOURED : NPI_CHANGE_PENDING;
        t->save_transactions = seconds[i].save;
        for (unsigned k = seconds[i].room; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
        uint32_t change = seconds[i].iii_answered ? BOTH : NPI_STUN_CHANGE_PORT;
        if (seconds[i].begun) {
            p->x[NPI_F_SECOND].change = change;
            build_send(&p->x[NPI_F_SECOND], AT(0));
        }
        npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL(seconds[i].says, p->x[NPI_F_SECOND].queued, seconds[i].second && !seconds[i].begun);
        if (seconds[i].second)
            EXPECT_EQUAL("It is of the test that carries the proof.", p->x[NPI_F_SECOND].change, change);
        EXPECT_EQUAL("It leaves with the round.", (leave(&b, t) & SECOND) != 0, seconds[i].second);
    }
}

static void the_dense_start_does_without_the_second_transaction(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = fresh(&b);
    next_round(&b, t);
    hear_alternate(&b);
    build_rtt(&b.servers[0].rtt, RTT_MS);
    EXPECT_EQUAL("An answer came early, and II is needed twice.", next_round(&b, t), II | III);
    EXPECT_EQUAL("The dense start is fast enough.", next_round(&b, t), I | III);
    t->filtering.rounds = NPI_DENSE_ROUNDS;
    EXPECT_EQUAL("Once it is over the second transaction is begun.", next_round(&b, t), III | SECOND);
}

/* ---- How a silence ends ----------------------------------------------------------------------------------------- */

/* Where the rate leaves no more than the mapping needs. */
static void ii_is_left_out_where_the_rate_has_no_room_for_it(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned room;
        bool save, iii_answered;
        unsigned tests;
    } rows[] = {
        {"I, III, B:P, A:Q and the control: II would be the sixth.", 5, true, false, I | III},
        {"There is room for a sixth.", 6, true, false, I | II | III},
        {"Nobody else needs any.", 5, false, false, I | II | III},
        {"III is answered: II is what counts.", 5, true, true, I | II},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begin(&b);
        t->save_transactions = rows[i].save;
        for (unsigned k = rows[i].room; k < NPI_RATE_TRANSACTIONS; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
        npi_filtering_advance(&b.f, t);
        if (rows[i].iii_answered) {
            leave(&b, t);
            t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
            build_answer_copies(&t->filtering.x[NPI_F_III], 1, RTT_MS);
            t->filtering.rounds = EVEN;
            t->filtering.x[NPI_F_III].t.answers = t->filtering.x[NPI_F_III].t.sent = NPI_TEST_III_MIN;
            build_now(&b, AT(NOW_MS + 10));
            npi_filtering_advance(&b.f, t);
        }
        EXPECT_EQUAL(rows[i].says, leave(&b, t), rows[i].tests);
    }
}

static void what_was_decided_on_ii_stays_when_the_rate_has_room_again(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    t->save_transactions = true;
    for (unsigned k = 0; k < 5; k++)
        npi_rate_use(&b.f.rate, AT(NOW_MS - 10));
    npi_filtering_advance(&b.f, t);
    leave(&b, t);
    build_now(&b, AT(NOW_MS + 1500));
    t->filtering.rounds = 7;
    npi_filtering_advance(&b.f, t);
    EXPECT_EQUAL("Who wakes the engine, and when, must not change what is sent.", leave(&b, t) & II, 0);
}

/* The mapping requests and the control leave later: what is a second old by then makes room for them. */
static void ii_is_sent_if_the_rate_will_have_room_again(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        unsigned used, old; /* of the transactions started, so many are old at the time of the mapping */
        bool other_sees_alike;
        bool is_sent;
    } rows[] = {
        {"Room for six: I, III, II and three for the mapping.", 4, 0, false, true},
        {"With room for five there is none for II.", 5, 0, false, false},
        {"A round trip later there will be.", 5, 1, false, true},
        {"Now there need be room for the three tests alone.", 6, 2, false, true},
        {"Three have to start now.", 8, 8, false, false},
        {"Another server may stand for B:P.", 5, 0, true, true},
        {"That is one, and not two.", 6, 0, true, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_trial *t = begin(&b);
        t->save_transactions = true;
        const npi_addr external = build_external(1);
        build_sees(&b.servers[0], &external, AT(0), AT(RTT_MS));
        npi_server *other = build_answering_server(&b, RTT_MS);
        const npi_addr seen = build_external(rows[i].other_sees_alike ? 1 : 2);
        build_sees(other, &seen, AT(0), AT(RTT_MS));
        build_observe(&other->x[NPI_PRIMARY], &seen, AT(0), AT(RTT_MS));
        build_now(&b, AT(NOW_MS));
        for (unsigned k = 0; k < rows[i].used; k++)
            npi_rate_use(&b.f.rate, AT(NOW_MS - (k < rows[i].old ? 1000 - RTT_MS : 10)));
        npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL(rows[i].says, t->filtering.spares_ii, !rows[i].is_sent);
    }
}

/* II was left out at first: all its copies left together, behind those of III. */
static void late_copies_of_ii_count_if_others_beside_them_are_answered(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        unsigned heard;
        bool is_over;
    } rows[] = {
        {"Nothing that left beside them was answered: a burst of losses may have covered all.", 0, false},
        {"Three were.", 3, false},
        {"Four were.", 4, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_trial *t = begin(&b);
        t->save_transactions = t->filtering.is_ii_decided = t->filtering.spares_ii = true;
        answer_plain(t, 6, 6);
        t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
        build_send_copies(&t->filtering.x[NPI_F_III], 4, AT(0), 10);
        build_answer_copies(&t->filtering.x[NPI_F_III], 4, RTT_MS);
        send_silent(t, NPI_F_II, 14, 0);
        build_now(&b, AT(1) + npi_trial_rto(&b.f, t) - 1);
        npi_filtering_note_heard(&b.f, t, &t->filtering.x[NPI_F_I]);
        EXPECT_EQUAL("A round trip after the first of them nothing beside them can be answered yet.",
                     t->filtering.heard_beside_ii, 0);
        build_now(&b, AT(1) + npi_trial_rto(&b.f, t));
        npi_filtering_note_heard(&b.f, t, &t->filtering.x[NPI_F_II]);
        EXPECT_EQUAL("II itself does not count.", t->filtering.heard_beside_ii, 0);
        for (unsigned k = 0; k < rows[i].heard; k++)
            npi_filtering_note_heard(&b.f, t, &t->filtering.x[k % 2 == 0 ? NPI_F_I : NPI_F_III]);
        build_now(&b, AT(NOW_MS));
        EXPECT_EQUAL(rows[i].says, npi_filtering_advance(&b.f, t).next == NPI_FILTERING_MAPPING, rows[i].is_over);
    }
    for (unsigned beside = 3; beside <= 4; beside++) {
        npi_trial *t = begin(&b);
        t->save_transactions = t->filtering.is_ii_decided = t->filtering.spares_ii = true;
        t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
        build_send_copies(&t->filtering.x[NPI_F_III], 6, AT(0), 10);
        build_answer_copies(&t->filtering.x[NPI_F_III], 6, RTT_MS);
        build_send_copies(&t->filtering.x[NPI_F_II], 16, AT(1000), 1);
        build_send_copies(&t->filtering.x[NPI_F_I], 1, AT(0), 0);
        build_send_copies(&t->filtering.x[NPI_F_I], beside, AT(1010), 1);
        build_answer_copies(&t->filtering.x[NPI_F_I], 1, RTT_MS);
        t->filtering.rounds = 20;
        build_now(&b, AT(1026));
        npi_filtering_advance(&b.f, t);
        bool waits = !t->filtering.x[NPI_F_I].queued && t->filtering.x[NPI_F_I].t.next_ns > b.f.now_ns;
        EXPECT_EQUAL("Rounds leave until so many copies are beside them that their answers would be enough.", waits,
                     beside == 4);
    }
}

/* A trial with 11 silent copies of III and 6 answered ones of I: proven, as soon as the last copy is old enough. */
static npi_trial *proven(build *b)
{
    npi_trial *t = begin(b);
    answer_plain(t, 6, 6);
    send_silent(t, NPI_F_III, 11, 0);
    build_send_copies(&t->filtering.x[NPI_F_II], 2, AT(0), 10);
    return t;
}

static void a_proven_silence_ends_the_phase_undecided(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = proven(&b);
    expect_end("The control decides.", &b, t, NPI_FILTERING_MAPPING);
    EXPECT("So nothing is decided yet.", !npi_trial_is_decided(t));
    EXPECT_EQUAL("III is silent.", t->filtering.iii.outcome, NPI_CHANGE_SILENT);
    EXPECT_EQUAL("So II is.", t->filtering.ii.outcome, NPI_CHANGE_SILENT);

    t = begin(&b);
    answer_plain(t, 6, 6);
    send_silent(t, NPI_F_II, 14, 0);
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    build_send_copies(&t->filtering.x[NPI_F_III], 4, AT(0), 10);
    build_answer_copies(&t->filtering.x[NPI_F_III], 4, RTT_MS);
    expect_end("II alone is silent.", &b, t, NPI_FILTERING_MAPPING);
    EXPECT_EQUAL("III stays answered.", t->filtering.iii.outcome, NPI_CHANGE_HONOURED);
    EXPECT_EQUAL("II is silent.", t->filtering.ii.outcome, NPI_CHANGE_SILENT);

    t = proven(&b);
    for (unsigned i = 0; i < 4; i++) /* 10 and 11 are 4.8e-7 < 2e-6; nothing is left to forecast */
        build_observe(&t->filtering.x[NPI_F_I], &b.servers[0].address, AT(100), AT(100 + RTT_MS));
    t->filtering.extended = true;
    t->control.stage = NPI_MAPPING_ALL;
    expect_end("After the mapping phase nothing is left to do.", &b, t, NPI_FILTERING_FINISH);
}

/* III was answered once in four: the server may have given what it gives to III. */
static void where_the_server_may_ration_its_answers_iii_is_sent_in_bursts(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    npi_exchange *iii = &t->filtering.x[NPI_F_III];
    answer_plain(t, 50, 50);
    send_silent(t, NPI_F_II, 60, 0);
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    build_send_copies(iii, 4, AT(0), 10);
    build_answer_copies(iii, 1, RTT_MS);
    uint64_t now_ns = AT(NOW_MS);
    for (unsigned sent = 4; sent < NPI_RATION_COPIES - 4; sent++) {
        EXPECT_EQUAL("Nothing is concluded.", npi_filtering_advance(&b.f, t).next, NPI_FILTERING_WAIT);
        EXPECT_EQUAL("III alone leaves.", leave(&b, t), III);
        bool is_last = (sent - 4) % NPI_RATION_BURST == NPI_RATION_BURST - 1;
        if (!is_last)
            EXPECT_TIME("The next follows 10 ms later, or it is looked at what is lost before.",
                        npi_filtering_advance(&b.f, t).wake_ns,
                        npi_time_min(now_ns + 10 * NPI_MS, npi_silence_next_loss_ns(&b.f, t)));
        now_ns += (is_last ? 500 : 10) * NPI_MS; /* behind a burst a pause */
        build_now(&b, now_ns);
    }
    expect_end("After three bursts it is enough.", &b, t, NPI_FILTERING_MAPPING);
    EXPECT_EQUAL("What II's silence means is unknown.", t->finding.reason, NPI_REASON_RATIONED);
}

static void what_is_to_leave_leaves_before_the_end(void **state)
{
    (void)state;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        static build b;
        npi_trial *t = proven(&b);
        npi_exchange *x = &t->filtering.x[i];
        x->queued = !x->t.started;
        x->t.next_ns = AT(NOW_MS);
        npi_filtering_step step = npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL("A copy is due.", step.next, NPI_FILTERING_WAIT);
        EXPECT_TIME("Its leaving brings the engine back.", step.wake_ns, NPI_NEVER);
    }
}

static void a_proof_waits_for_its_last_copies_and_for_each_that_may_be_lost(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = proven(&b); /* the last copy of III left at 101 ms */
    npi_exchange *plain = &t->filtering.x[NPI_F_I];
    build_send(plain, AT(90));
    build_now(&b, AT(105));
    npi_filtering_step step = npi_filtering_advance(&b.f, t);
    EXPECT_EQUAL("Enough copies have been sent.", leave(&b, t), 0);
    EXPECT_TIME("One of I's copies is the next that may turn out to be lost.", step.wake_ns, AT(90 + RTO_MS));
    build_answer(plain, AT(110));
    build_now(&b, AT(115));
    step = npi_filtering_advance(&b.f, t);
    EXPECT_TIME("It was answered: III's last copy is waited for.", step.wake_ns, AT(101 + RTO_MS));
    build_now(&b, step.wake_ns - 1);
    EXPECT_EQUAL("A moment before nothing is silent.", npi_filtering_advance(&b.f, t).next, NPI_FILTERING_WAIT);
    build_now(&b, step.wake_ns);
    expect_end("Then III is.", &b, t, NPI_FILTERING_MAPPING);
}

static const struct {
    const char *says;
    unsigned plain, lost; /* copies of I: answered, and not */
    unsigned iii, ii;
    bool has_rtt;
    unsigned more_servers;
    uint32_t sent; /* datagrams in all */
    bool ends;
    npi_reason reason;
} silences[] = {
    {"Ten silent copies are not enough: it goes on.", 6, 0, 10, 2, true, 0, 0, false, NPI_REASON_NONE},
    {"Eleven are.", 6, 0, 11, 2, true, 0, 0, true, NPI_REASON_NONE},
    {"Of 23 the last seven are lost: a burst may have taken all of the second half.", 16, 7, 23, 2, true, 0, 0, false,
     NPI_REASON_NONE},
    {"Of 27 they are: enough is answered beside them.", 20, 7, 27, 2, true, 0, 0, true, NPI_REASON_NONE},
    {"Of II a second copy is needed.", 6, 0, 11, 1, true, 0, 0, false, NPI_REASON_NONE},
    {"Without a round trip no copy counts as lost.", 6, 0, 11, 2, false, 0, 0, false, NPI_REASON_NONE},
    {"Sixty-four copies of III are all there may be: such loss cannot be told from filtering.", 1, 9, 64, 2, true, 0, 0,
     true, NPI_REASON_LOSS},
    {"Sixty-three are not the last.", 1, 9, 63, 2, true, 0, 0, false, NPI_REASON_NONE},
    {"With 120 datagrams the rounds stop.", 6, 0, 10, 2, true, 0, 120, true, NPI_REASON_LOSS},
    {"With 119 they go on.", 6, 0, 10, 2, true, 0, 119, false, NPI_REASON_NONE},
    {"A second server changes nothing.", 6, 0, 10, 2, true, 1, 120, true, NPI_REASON_LOSS},
    {"A third adds 25.", 6, 0, 10, 2, true, 2, 144, false, NPI_REASON_NONE},
    {"And no more.", 6, 0, 10, 2, true, 2, 145, true, NPI_REASON_LOSS},
    {"Enough is enough, even with the last copy.", 6, 0, 11, 2, true, 0, 120, true, NPI_REASON_NONE},
};

static void a_silence_ends_when_it_is_proven_or_cannot_be(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(silences); i++) {
        static build b;
        npi_trial *t = begin(&b);
        answer_plain(t, silences[i].plain + silences[i].lost, silences[i].plain);
        send_silent(t, NPI_F_III, silences[i].iii, 0);
        build_send_copies(&t->filtering.x[NPI_F_II], silences[i].ii, AT(0), 10);
        if (!silences[i].has_rtt)
            memset(&b.servers[0].rtt, 0, sizeof b.servers[0].rtt);
        for (unsigned k = 0; k < silences[i].more_servers; k++)
            build_server(&b);
        b.f.traffic.sent = silences[i].sent;
        npi_filtering_step step = npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL(silences[i].says, step.next, silences[i].ends ? NPI_FILTERING_MAPPING : NPI_FILTERING_WAIT);
        EXPECT_EQUAL(silences[i].says, t->finding.reason, silences[i].reason);
        bool is_silent = silences[i].ends && silences[i].reason == NPI_REASON_NONE;
        EXPECT_EQUAL(silences[i].says, t->filtering.ii.outcome, is_silent ? NPI_CHANGE_SILENT : NPI_CHANGE_PENDING);
        EXPECT_EQUAL(silences[i].says, leave(&b, t) != 0, !silences[i].ends);
    }
}

static void a_test_that_cannot_be_sent_ends_the_phase(void **state)
{
    (void)state;
    for (int i = NPI_F_I; i <= NPI_F_III; i++) {
        static build b;
        npi_trial *t = begin(&b);
        t->filtering.x[i].failed = true;
        expect_end("The mapping may still be told.", &b, t, NPI_FILTERING_MAPPING);
        EXPECT_EQUAL("The filtering cannot.", t->finding.reason, NPI_REASON_UNFINISHED);
    }
    static build b;
    npi_trial *t = begin(&b);
    t->filtering.x[NPI_F_SECOND].failed = true;
    EXPECT_EQUAL("The second transaction can be done without.", npi_filtering_advance(&b.f, t).next,
                 NPI_FILTERING_WAIT);
}

static void stopping_and_extending_hold_for_all_tests(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    answer_plain(t, 1, 1);
    send_silent(t, NPI_F_III, 2, 1);
    t->filtering.x[NPI_F_II].queued = true;
    npi_filtering_stop(&t->filtering);
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
        EXPECT("No more copies.", t->filtering.x[i].t.stopped && !t->filtering.x[i].queued);
    t->filtering.next_round_ns = NPI_NEVER;
    npi_filtering_extend(&b.f, t);
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
        EXPECT("More copies.", !t->filtering.x[i].t.stopped);
    EXPECT_TIME("At once.", t->filtering.next_round_ns, AT(NOW_MS));
    EXPECT("And for the last time.", t->filtering.extended);
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static void an_answer_to_ii_decides_and_one_to_iii_does_not(void **state)
{
    (void)state;
    static build b;
    npi_addr bq = build_b(0, BUILD_Q);
    npi_addr aq = build_a(0, BUILD_Q);
    npi_trial *t = begin(&b);
    npi_filtering_take_answer(&b.f, t, NPI_STUN_CHANGE_PORT, &aq, &untold, true);
    EXPECT_EQUAL("III has been answered.", t->filtering.iii.outcome, NPI_CHANGE_HONOURED);
    EXPECT_EQUAL("II has not.", t->filtering.ii.outcome, NPI_CHANGE_PENDING);
    EXPECT_EQUAL("III is evidence.", b.f.evidence, NP_EVIDENCE_TEST_III_ANSWERED);
    EXPECT_EQUAL("II may yet be answered, or be silent.", npi_filtering_advance(&b.f, t).next, NPI_FILTERING_WAIT);
    npi_filtering_take_answer(&b.f, t, BOTH, &bq, &untold, true);
    EXPECT_EQUAL("II has been answered.", t->filtering.ii.outcome, NPI_CHANGE_HONOURED);
    EXPECT_EQUAL("II is evidence.", b.f.evidence, NP_EVIDENCE_TEST_III_ANSWERED | NP_EVIDENCE_TEST_II_ANSWERED);
    expect_end("On to the mapping.", &b, t, NPI_FILTERING_MAPPING);
    EXPECT_EQUAL("Anybody may send.", t->finding.filtering, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    EXPECT("That is proven.", t->finding.proven && !t->filtering.pinhole_not_fresh);
}

/* Answers one after another, to II and III alike, and what they amount to. */
static const struct {
    const char *says;
    npi_change before;
    enum { FROM_ASKED, FROM_A_P, FROM_ELSEWHERE, AN_ERROR } answer;
    npi_change after;
    bool contradicted;
    uint32_t evidence;
} answers[] = {
    {"From where it was sent: ignored.", NPI_CHANGE_PENDING, FROM_A_P, NPI_CHANGE_IGNORED, false,
     NP_EVIDENCE_CHANGE_IGNORED},
    {"From elsewhere: partly honoured.", NPI_CHANGE_PENDING, FROM_ELSEWHERE, NPI_CHANGE_PARTIAL, false,
     NP_EVIDENCE_CHANGE_PARTIAL},
    {"An error: rejected.", NPI_CHANGE_PENDING, AN_ERROR, NPI_CHANGE_REJECTED, false, NP_EVIDENCE_CHANGE_REJECTED},
    {"After an answer from the right address, one from a wrong one speaks against the server.", NPI_CHANGE_HONOURED,
     FROM_A_P, NPI_CHANGE_IGNORED, false, NP_EVIDENCE_CHANGE_IGNORED},
    {"After one from a wrong address, one from the right one does not clear it.", NPI_CHANGE_IGNORED, FROM_ASKED,
     NPI_CHANGE_IGNORED, false, 0},
    {"After a silence any answer is a contradiction.", NPI_CHANGE_SILENT, FROM_ASKED, NPI_CHANGE_SILENT, true, 0},
    {"From a wrong address as well.", NPI_CHANGE_SILENT, FROM_A_P, NPI_CHANGE_SILENT, true, NP_EVIDENCE_CHANGE_IGNORED},
};

static void the_first_answer_counts_unless_a_later_one_shows_an_unfit_server(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        for (int is_ii = 0; is_ii < 2; is_ii++) {
            static build b;
            npi_trial *t = begin(&b);
            npi_change_test *test = is_ii ? &t->filtering.ii : &t->filtering.iii;
            const npi_addr from[] = {is_ii ? build_b(0, BUILD_Q) : build_a(0, BUILD_Q), build_a(0, BUILD_P),
                                     build_b(7, BUILD_Q), build_a(0, BUILD_P)};
            test->outcome = answers[i].before;
            npi_filtering_take_answer(&b.f, t, is_ii ? BOTH : NPI_STUN_CHANGE_PORT, &from[answers[i].answer], &untold,
                                      answers[i].answer != AN_ERROR);
            EXPECT_EQUAL(answers[i].says, test->outcome, answers[i].after);
            EXPECT_EQUAL(answers[i].says, t->filtering.contradicted, answers[i].contradicted);
            EXPECT_EQUAL(answers[i].says, b.f.evidence, answers[i].evidence);
        }
    }
}

static void an_answer_from_an_address_asked_before_proves_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        npi_addr asked; /* as a server */
        bool is_ii;
        bool fresh;
    } rows[] = {
        {"II came from B:Q, and B:P had been asked: filters may be kept for each host.",
         {NPI_IPV4, {203, 0, 113, 10}, BUILD_P, 0},
         true,
         false},
        {"II came from B:Q, which had been asked.", {NPI_IPV4, {203, 0, 113, 10}, BUILD_Q, 0}, true, false},
        {"III came from A:Q, which had been asked.", {NPI_IPV4, {198, 51, 100, 10}, BUILD_Q, 0}, false, false},
        {"III came from A:Q, and of A only other ports had been asked, as A:P always has.",
         {NPI_IPV4, {198, 51, 100, 10}, 3480, 0},
         false,
         true},
        {"II came from B:Q, and another host had been asked.", {NPI_IPV4, {203, 0, 113, 99}, BUILD_Q, 0}, true, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begin(&b);
        npi_addr from = rows[i].is_ii ? build_b(0, BUILD_Q) : build_a(0, BUILD_Q);
        build_asked_server(&b)->address = rows[i].asked;
        npi_filtering_take_answer(&b.f, t, rows[i].is_ii ? BOTH : NPI_STUN_CHANGE_PORT, &from, &untold, true);
        EXPECT_EQUAL(rows[i].says, t->filtering.pinhole_not_fresh, !rows[i].fresh);
        if (rows[i].fresh)
            continue;
        expect_end("The mapping can be told.", &b, t, NPI_FILTERING_MAPPING);
        EXPECT_EQUAL("The filtering cannot.", t->finding.reason, NPI_REASON_NOT_FRESH);
    }
}

static void a_contradiction_ends_the_phase(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    t->filtering.contradicted = true;
    t->filtering.ii.outcome = NPI_CHANGE_SILENT;
    expect_end("The mapping can be told.", &b, t, NPI_FILTERING_MAPPING);
    EXPECT_EQUAL("The filtering cannot.", t->finding.reason, NPI_REASON_CONTRADICTION);
}

static void answers_before_the_second_address_is_known_wait_for_it(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        npi_addr from;
        npi_change outcome;
    } rows[] = {
        {"It came from what turns out to be B:Q.", {NPI_IPV4, {203, 0, 113, 10}, BUILD_Q, 0}, NPI_CHANGE_HONOURED},
        {"It came from what turns out to be another port.",
         {NPI_IPV4, {203, 0, 113, 10}, BUILD_P, 0},
         NPI_CHANGE_PARTIAL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = fresh(&b);
        npi_addr aq = build_a(0, BUILD_Q);
        npi_filtering_take_answer(&b.f, t, BOTH, &rows[i].from, &untold, true);
        npi_filtering_take_answer(&b.f, t, NPI_STUN_CHANGE_PORT, &aq, &untold, true);
        npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL("While it is not known which address to expect, nothing is said.", t->filtering.ii.outcome,
                     NPI_CHANGE_PENDING);
        EXPECT_EQUAL("Nor told.", b.f.evidence, 0);
        hear_alternate(&b);
        npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL(rows[i].says, t->filtering.ii.outcome, rows[i].outcome);
        EXPECT_EQUAL("III came from A:Q.", t->filtering.iii.outcome, NPI_CHANGE_HONOURED);
        t->filtering.ii.outcome = NPI_CHANGE_SILENT;
        npi_filtering_advance(&b.f, t);
        EXPECT("It is taken once.", !t->filtering.contradicted);
    }
    static build b;
    npi_trial *t = fresh(&b);
    npi_addr ap = build_a(0, BUILD_P);
    npi_filtering_take_answer(&b.f, t, BOTH, &ap, &untold, true);
    EXPECT_EQUAL("From where it was sent is wrong whatever the address.", t->filtering.ii.outcome, NPI_CHANGE_IGNORED);
}

/* ---- Servers that are of no use --------------------------------------------------------------------------------- */

static void a_server_without_a_usable_second_address_ends_it(void **state)
{
    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        static build b;
        npi_trial *t = begin(&b);
        b.servers[0].alternate_state = NPI_ALTERNATE_NONE;
        b.f.evidence = refused ? NP_EVIDENCE_ALTERNATE_REFUSED : 0;
        expect_end("There is nothing to ask in phase 2.", &b, t, NPI_FILTERING_FINISH);
        EXPECT_EQUAL("It named none, or one to which nothing may be sent.", t->finding.reason,
                     refused ? NPI_REASON_REFUSED : NPI_REASON_NO_ALTERNATE);
    }
}

static void an_unfit_server_can_still_tell_the_mapping(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        npi_change ii, iii;
        npi_reason reason;
    } rows[] = {
        {"II was ignored.", NPI_CHANGE_IGNORED, NPI_CHANGE_PENDING, NPI_REASON_IGNORED},
        {"III was rejected.", NPI_CHANGE_PENDING, NPI_CHANGE_REJECTED, NPI_REASON_REJECTED},
        {"Of two reasons II's is told.", NPI_CHANGE_PARTIAL, NPI_CHANGE_REJECTED, NPI_REASON_PARTIAL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begin(&b);
        t->filtering.ii.outcome = rows[i].ii;
        t->filtering.iii.outcome = rows[i].iii;
        expect_end(rows[i].says, &b, t, NPI_FILTERING_MAPPING);
        EXPECT_EQUAL(rows[i].says, t->finding.reason, rows[i].reason);
        EXPECT_EQUAL(rows[i].says, t->finding.filtering, NP_BEHAVIOUR_UNKNOWN);
    }
}

/* A server behind a forwarded address answers III from another than was asked, and II as it should. */
static void where_iii_came_from_elsewhere_ii_decides(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    t->filtering.ii.outcome = NPI_CHANGE_HONOURED;
    t->filtering.iii.outcome = NPI_CHANGE_REWRITTEN;
    expect_end("II is honoured exactly: anybody may send.", &b, t, NPI_FILTERING_MAPPING);
    EXPECT_EQUAL("Whatever III says.", t->finding.filtering, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);

    t = begin(&b);
    npi_exchange *ii = &t->filtering.x[NPI_F_II];
    t->filtering.iii.outcome = NPI_CHANGE_PARTIAL;
    npi_filtering_step step = npi_filtering_advance(&b.f, t);
    EXPECT("II has not left: it is asked.", step.next == NPI_FILTERING_WAIT && ii->queued && !npi_trial_is_decided(t));
    for (unsigned copy = 0; copy < NPI_TEST_II_WAITED; copy++) {
        build_now(&b, AT(NOW_MS + 10 * copy));
        build_send(ii, AT(NOW_MS + 10 * copy));
        ii->queued = false;
        step = npi_filtering_advance(&b.f, t);
        EXPECT("Its answer is waited for.", step.next == NPI_FILTERING_WAIT && !npi_trial_is_decided(t));
        if (copy + 1 < NPI_TEST_II_WAITED)
            EXPECT_TIME("One copy may be lost: the next leaves 10 ms later.", step.wake_ns,
                        AT(NOW_MS + 10 * copy + 10));
    }
    EXPECT_TIME("After the last, for a round trip.", step.wake_ns,
                AT(NOW_MS + 10 * (NPI_TEST_II_WAITED - 1) + RTT_MS + 4));
    build_now(&b, step.wake_ns - 1);
    EXPECT_EQUAL("Not shorter.", npi_filtering_advance(&b.f, t).next, NPI_FILTERING_WAIT);
    build_now(&b, step.wake_ns);
    expect_end("Then III's outcome is the reason.", &b, t, NPI_FILTERING_MAPPING);
    EXPECT_EQUAL("It was honoured in part.", t->finding.reason, NPI_REASON_PARTIAL);

    for (int queued = 0; queued < 2; queued++) {
        t = begin(&b);
        t->filtering.iii.outcome = NPI_CHANGE_PARTIAL;
        t->filtering.x[NPI_F_II].failed = true;
        t->filtering.x[NPI_F_II].queued = queued;
        expect_end("II cannot be sent: it is not waited for.", &b, t, NPI_FILTERING_MAPPING);
        EXPECT_EQUAL("III's outcome is the reason.", t->finding.reason, NPI_REASON_PARTIAL);
    }
}

/* ---- A path that wakes up --------------------------------------------------------------------------------------- */

/* The first answer came now, to one of many copies; so many answers have come to the filtering socket's I. */
static npi_trial *late_start(build *b, unsigned answered)
{
    build_init(b);
    npi_trial *t = build_trial(b, build_answering_server(b, RTT_MS));
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    build_send_copies(x, 4, AT(0), 10);
    for (unsigned i = 0; i < answered; i++)
        build_answer(x, AT(NOW_MS));
    t->filtering.rounds = 4;
    t->filtering.next_round_ns = AT(NOW_MS + 500);
    build_now(b, AT(NOW_MS));
    b->servers[0].suspect_ns = AT(NOW_MS);
    b->servers[0].suspect_took_ns = NOW_MS * NPI_MS;
    b->f.traffic.sent = 12;
    return t;
}

static void a_late_first_answer_that_comes_alone_makes_a_fresh_i_ask(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        unsigned answered;
        bool failed;
        bool asks;
    } rows[] = {
        {"None for the filtering socket: the path may have been silent at first.", 0, false, true},
        {"One: the same.", 1, false, true},
        {"Two copies of the first burst were answered: the path is slow.", 2, false, false},
        {"I cannot be sent any more: there is nothing to ask.", 0, true, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_trial *t = late_start(&b, rows[i].answered);
        npi_server *s = &b.servers[0];
        npi_filtering *p = &t->filtering;
        EXPECT_TIME("The other copies' answers are waited for.",
                    npi_time_max(npi_filtering_advance(&b.f, t).wake_ns, AT(NOW_MS + 40)), AT(NOW_MS + 40));
        EXPECT_TIME("Meanwhile it is a suspicion.", s->suspect_ns, AT(NOW_MS));
        build_now(&b, AT(NOW_MS + 40) - 1);
        npi_filtering_advance(&b.f, t);
        EXPECT("For 40 ms.", s->suspect_ns == AT(NOW_MS) && !p->late.t.started);
        p->x[NPI_F_I].failed = rows[i].failed;
        build_now(&b, AT(NOW_MS + 40));
        npi_filtering_advance(&b.f, t);
        EXPECT_TIME("It stays one while a fresh I asks.", s->suspect_ns, rows[i].asks ? AT(NOW_MS) : 0);
        EXPECT_EQUAL(rows[i].says, p->late.t.started, rows[i].asks);
        EXPECT_EQUAL(rows[i].says, p->x[NPI_F_I].queued, rows[i].asks);
        EXPECT_EQUAL("What I has shown so far is kept.", p->late.t.answers, rows[i].asks ? rows[i].answered : 0);
        if (rows[i].asks) {
            npi_loss loss = npi_silence_path_loss(&b.f, t);
            p->late.t.id.bytes[0] = 77;
            EXPECT("Its answers are still answers.",
                   npi_facts_find(&b.f, p->late.slot, &p->late.t.id).exchange == &p->late);
            EXPECT_EQUAL("Its copies still show losses.", loss.lost + loss.answered, p->late.t.sent);
        }
        EXPECT("Nothing else is decided.", s->woke_ns == 0 && s->rtt.samples == 1 && b.f.traffic.sent_in_vain == 0);
    }
}

static void the_fresh_i_tells_a_path_that_was_silent_from_a_slow_one(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        unsigned answered_ms; /* after it was asked; 0: not yet */
        bool is_open, woke;
    } rows[] = {
        {"It is not answered.", 0, true, false},
        {"It is, as late as the other: the path is slow.", NOW_MS, false, false},
        {"In three quarters of that time: the same.", NOW_MS / 4 * 3, false, false},
        {"Sooner: the path was silent at first.", NOW_MS / 4 * 3 - 1, false, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_trial *t = late_start(&b, 1);
        npi_server *s = &b.servers[0];
        npi_exchange *fresh = &t->filtering.x[NPI_F_I];
        build_now(&b, AT(NOW_MS + 40));
        npi_filtering_advance(&b.f, t);
        b.f.traffic.sent = 20;
        fresh->queued = false;
        build_send(fresh, AT(NOW_MS + 40));
        build_now(&b, AT(NOW_MS + 40 + rows[i].answered_ms));
        if (rows[i].answered_ms > 0)
            build_answer(fresh, b.f.now_ns);
        npi_filtering_advance(&b.f, t);
        EXPECT_TIME(rows[i].says, s->suspect_ns, rows[i].is_open ? AT(NOW_MS) : 0);
        EXPECT_TIME(rows[i].says, s->woke_ns, rows[i].woke ? AT(NOW_MS) : 0);
        EXPECT_EQUAL("What had left by then was in vain.", b.f.traffic.sent_in_vain, rows[i].woke ? 12 : 0);
        if (rows[i].woke)
            EXPECT_GAP("That is the round trip, at most.", s->rtt.smoothed_ns, rows[i].answered_ms * NPI_MS);
    }
}

/* A test that begins anew with another form of the request, or with a server that the source socket asked before. */
static void an_i_that_left_after_a_late_start_is_fresh_by_itself(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = late_start(&b, 0);
    npi_server *s = &b.servers[0];
    npi_exchange *i = &t->filtering.x[NPI_F_I];
    npi_filtering_init(&b.f, t, 1);
    EXPECT_EQUAL("What had left to this server by then may have been in vain.", t->filtering.late_after, 4);
    build_now(&b, AT(NOW_MS + 40));
    npi_filtering_advance(&b.f, t);
    EXPECT("Without a copy of I nothing is asked anew.", !t->filtering.late.t.started && s->suspect_ns != 0);
    i->queued = false;
    build_send(i, AT(NOW_MS));
    npi_filtering_advance(&b.f, t);
    EXPECT("Nor with one.", !t->filtering.late.t.started && s->suspect_ns != 0);
    build_answer(i, AT(NOW_MS + 41));
    build_now(&b, AT(NOW_MS + 41));
    npi_filtering_advance(&b.f, t);
    EXPECT_TIME("Its answer settles it.", s->suspect_ns, 0);
    EXPECT_TIME("The path had been silent.", s->woke_ns, AT(NOW_MS));
    EXPECT_GAP("This is its round trip.", s->rtt.smoothed_ns, 41 * NPI_MS);
    EXPECT_EQUAL("What left before was in vain.", b.f.traffic.sent_in_vain, 4);
}

static void no_silence_is_proven_while_a_late_start_is_open(void **state)
{
    (void)state;
    for (int is_open = 0; is_open < 2; is_open++) {
        static build b;
        npi_trial *t = begin(&b);
        npi_filtering *p = &t->filtering;
        answer_plain(t, 60, 60);
        send_silent(t, NPI_F_III, 20, 0);
        build_send_copies(&p->x[NPI_F_II], 3, AT(1), 10);
        p->rounds = 4;
        if (is_open) {
            b.servers[0].suspect_ns = b.f.now_ns - 50 * NPI_MS;
            p->late = p->x[NPI_F_I];
            npi_exchange_init(&p->x[NPI_F_I], "fresh I", p->slot, &b.servers[0].address, 0, NPI_COPIES_MAX);
            build_send(&p->x[NPI_F_I], b.f.now_ns);
        }
        npi_filtering_step step = npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL("Else it is at once.", step.next, is_open ? NPI_FILTERING_WAIT : NPI_FILTERING_MAPPING);
        if (!is_open)
            continue;
        EXPECT_EQUAL("While the fresh I is under way no round is sent.", p->rounds, 4);
        EXPECT_TIME("It is waited for.", step.wake_ns, b.f.now_ns + npi_trial_rto(&b.f, t));
        build_now(&b, step.wake_ns);
        step = npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL("Nor is it proven then.", step.next, NPI_FILTERING_WAIT);
        EXPECT_EQUAL("It is asked again.", p->rounds, 5);
    }
}

/* The first answer came 50 ms ago. */
static void rounds_are_held_while_a_late_start_is_open(void **state)
{
    static const struct {
        const char *sentence;
        unsigned first_ms;
        unsigned until_ms;
    } rows[] = {
        {"For as long as that answer took.", 300, 250},
        {"A queue is not that long.", 900, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begin(&b);
        npi_filtering *p = &t->filtering;
        const uint64_t suspect_ns = AT(rows[i].first_ms);
        build_rtt(&b.servers[0].rtt, RTT_MS);
        hear_alternate(&b);
        build_send_copies(&p->x[NPI_F_I], 3, AT(0), 10);
        build_answer(&p->x[NPI_F_I], suspect_ns);
        b.servers[0].suspect_ns = suspect_ns;
        b.servers[0].suspect_took_ns = rows[i].first_ms * NPI_MS;
        p->late = p->x[NPI_F_I];
        npi_exchange_init(&p->x[NPI_F_I], "fresh I", p->slot, &b.servers[0].address, 0, NPI_COPIES_MAX);
        build_send(&p->x[NPI_F_I], suspect_ns + 40 * NPI_MS);
        p->rounds = 4;
        build_now(&b, suspect_ns + 50 * NPI_MS);
        npi_filtering_step step = npi_filtering_advance(&b.f, t);
        if (rows[i].until_ms > 0)
            EXPECT_TIME(rows[i].sentence, step.wake_ns, b.f.now_ns + rows[i].until_ms * NPI_MS);
        EXPECT_EQUAL(rows[i].sentence, p->rounds, rows[i].until_ms > 0 ? 4 : 5);
        build_now(&b, b.f.now_ns + rows[i].until_ms * NPI_MS);
        (void)npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL("Then they go on.", p->rounds, 5);
    }
}

/* Copies leave, and are answered, before the look 40 ms after the first answer. */
static void a_short_round_trip_behind_a_late_start_is_no_slow_path(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        unsigned before; /* copies in the last 200 ms before the first answer */
        unsigned behind; /* copies 5 ms after it */
        unsigned rtt_ms; /* from the last copy to the first answer */
        unsigned answered;
        bool asks;
    } rows[] = {
        {"The answers are those to the two copies that left last.", 2, 0, 20, 2, true},
        {"One more is an answer to an older copy: the path is slow.", 2, 0, 20, 3, false},
        {"A copy behind the first answer has been answered as fast.", 1, 1, 20, 2, true},
        {"It is too young for that: the answer is one to an older copy.", 1, 1, 36, 2, false},
        {"It is just old enough.", 1, 1, 35, 2, true},
        {"There are more answers than both explain.", 1, 1, 20, 3, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_trial *t = late_start(&b, 0);
        npi_exchange *x = &t->filtering.x[NPI_F_I];
        for (unsigned n = 0; n < rows[i].before; n++)
            build_send(x, AT(NOW_MS - rows[i].rtt_ms));
        for (unsigned n = 0; n < rows[i].behind; n++)
            build_send(x, AT(NOW_MS + 5));
        for (unsigned n = 0; n < rows[i].answered; n++)
            build_answer(x, AT(NOW_MS + 40));
        b.servers[0].suspect_rtt_ns = rows[i].rtt_ms * NPI_MS;
        build_now(&b, AT(NOW_MS + 40));
        npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL(rows[i].says, t->filtering.late.t.started, rows[i].asks);
    }
}

static void an_unfit_server_is_waited_for_until_it_names_its_addresses(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = fresh(&b);
    npi_server *s = &b.servers[0];
    s->x[NPI_PRIMARY].max_copies = 1;
    build_send(&s->x[NPI_PRIMARY], AT(0));
    t->filtering.ii.outcome = NPI_CHANGE_REJECTED;
    t->filtering.x[NPI_F_I].queued = true;
    npi_filtering_step step = npi_filtering_advance(&b.f, t);
    EXPECT_EQUAL("A plain answer may yet name them.", step.next, NPI_FILTERING_WAIT);
    EXPECT_TIME("Nothing is known of the round trip: for 1.5 s.", step.wake_ns, AT(1500));
    build_now(&b, step.wake_ns - 1);
    EXPECT_EQUAL("Not sooner.", npi_filtering_advance(&b.f, t).next, NPI_FILTERING_WAIT);
    EXPECT_EQUAL("Meanwhile no test is repeated.", leave(&b, t), 0);
    EXPECT_EQUAL("Why, is known.", t->finding.reason, NPI_REASON_REJECTED);
    t->filtering.ii.outcome = NPI_CHANGE_IGNORED;
    build_now(&b, step.wake_ns);
    expect_end("Then it is over.", &b, t, NPI_FILTERING_FINISH);
    EXPECT_EQUAL("The first reason stays.", t->finding.reason, NPI_REASON_REJECTED);
}

static void another_dialect_begins_the_tests_anew(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = fresh(&b);
    next_round(&b, t);
    next_round(&b, t);
    t->filtering.dense.is_heavy = true;
    t->filtering.is_ii_decided = t->filtering.spares_ii = true;
    t->filtering.heard_beside_ii = 1;
    b.servers[0].dialect = NPI_STUN_RFC3489;
    build_now(&b, AT(900));
    npi_filtering_advance(&b.f, t);
    EXPECT_EQUAL("A round leaves at once.", leave(&b, t), I);
    EXPECT_EQUAL("In one copy.", t->filtering.x[NPI_F_I].t.sent, 1);
    EXPECT_EQUAL("From the same socket.", t->filtering.x[NPI_F_I].slot, 1);
    EXPECT("There is no second dense start.", !npi_pacing_is_dense(&b.f, t));
    EXPECT("And the first one tells nothing of the new requests.", !t->filtering.dense.is_heavy);
    EXPECT("Nor is II left out for what was short before.", !t->filtering.is_ii_decided && !t->filtering.spares_ii);
    EXPECT_EQUAL("No answer has come beside the new II.", t->filtering.heard_beside_ii, 0);
}

/* Three of six copies are lost, and one answer came late. */
static void a_round_waits_once_for_each_late_answer(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b);
    npi_server *s = &b.servers[0];
    answer_plain(t, 6, 3);
    send_silent(t, NPI_F_III, 2, 0);
    t->filtering.rounds = NPI_DENSE_ROUNDS;
    t->filtering.waited_for_late = true;
    s->late_answers = 1;
    s->heard_ns = AT(NOW_MS - 10);
    npi_filtering_step step = npi_filtering_advance(&b.f, t);
    EXPECT_TIME("Four round trips after it another one may have come.", step.wake_ns, AT(NOW_MS - 10 + 4 * RTT_MS));
    build_now(&b, step.wake_ns);
    npi_filtering_advance(&b.f, t);
    EXPECT("None came: a round leaves.", leave(&b, t) != 0);
    EXPECT_EQUAL("It has waited for that answer.", t->filtering.late_waited, 1);
    step = npi_filtering_advance(&b.f, t);
    EXPECT_TIME("The next one does not.", step.wake_ns, b.f.now_ns + 10 * NPI_MS);
}

/* Four copies of III left 100 ms apart before the path woke up, and three together behind. */
static void what_left_before_the_path_woke_up_is_no_ration(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned woke_ms, answered;
        bool is_not_rationed;
    } rows[] = {
        {"Two of those were answered: nobody rations that.", 1000, 2, true},
        {"One was: it may be all that there is.", 1000, 1, false},
        {"The path was awake: a server that rations could have answered each of the others.", 0, 2, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begin(&b);
        npi_exchange *iii = &t->filtering.x[NPI_F_III];
        t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
        if (rows[i].woke_ms > 0)
            b.servers[0].woke_ns = AT(rows[i].woke_ms);
        build_send_copies(iii, 4, AT(0), 100);
        build_send_copies(iii, 3, AT(1000), 10);
        for (unsigned k = 0; k < rows[i].answered; k++)
            build_answer(iii, AT(1000 + RTT_MS + 10 * k));
        npi_filtering_advance(&b.f, t);
        EXPECT_EQUAL(rows[i].says, t->filtering.is_not_rationed, rows[i].is_not_rationed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_is_the_smallest_that_completes_the_proof),
        cmocka_unit_test(each_loss_is_a_time_to_look),
        cmocka_unit_test(a_second_transaction_that_waits_for_the_rate_counts_for_the_round),
        cmocka_unit_test(once_something_is_lost_the_turn_of_i_is_random),
        cmocka_unit_test(while_loss_may_explain_a_half_each_round_has_all),
        cmocka_unit_test(the_tests_are_written_for_a_p_from_a_socket_of_their_own),
        cmocka_unit_test(the_dense_start_has_all_tests_and_then_i_leaves_alone),
        cmocka_unit_test(once_iii_is_answered_ii_carries_the_proof_in_every_round),
        cmocka_unit_test(a_round_timed_without_a_round_trip_is_timed_again_with_the_first_answer),
        cmocka_unit_test(a_round_that_the_rate_held_back_pushes_the_next_one),
        cmocka_unit_test(later_rounds_have_what_is_needed_and_ii_now_and_then),
        cmocka_unit_test(a_later_round_may_be_of_i_alone),
        cmocka_unit_test(ii_is_left_out_where_the_rate_has_no_room_for_it),
        cmocka_unit_test(what_was_decided_on_ii_stays_when_the_rate_has_room_again),
        cmocka_unit_test(ii_is_sent_if_the_rate_will_have_room_again),
        cmocka_unit_test(late_copies_of_ii_count_if_others_beside_them_are_answered),
        cmocka_unit_test(a_second_transaction_doubles_the_pace_where_there_is_room),
        cmocka_unit_test(the_dense_start_does_without_the_second_transaction),
        cmocka_unit_test(a_proven_silence_ends_the_phase_undecided),
        cmocka_unit_test(where_the_server_may_ration_its_answers_iii_is_sent_in_bursts),
        cmocka_unit_test(what_is_to_leave_leaves_before_the_end),
        cmocka_unit_test(a_proof_waits_for_its_last_copies_and_for_each_that_may_be_lost),
        cmocka_unit_test(a_silence_ends_when_it_is_proven_or_cannot_be),
        cmocka_unit_test(a_test_that_cannot_be_sent_ends_the_phase),
        cmocka_unit_test(stopping_and_extending_hold_for_all_tests),
        cmocka_unit_test(an_answer_to_ii_decides_and_one_to_iii_does_not),
        cmocka_unit_test(the_first_answer_counts_unless_a_later_one_shows_an_unfit_server),
        cmocka_unit_test(an_answer_from_an_address_asked_before_proves_nothing),
        cmocka_unit_test(a_contradiction_ends_the_phase),
        cmocka_unit_test(answers_before_the_second_address_is_known_wait_for_it),
        cmocka_unit_test(a_server_without_a_usable_second_address_ends_it),
        cmocka_unit_test(an_unfit_server_can_still_tell_the_mapping),
        cmocka_unit_test(where_iii_came_from_elsewhere_ii_decides),
        cmocka_unit_test(a_late_first_answer_that_comes_alone_makes_a_fresh_i_ask),
        cmocka_unit_test(the_fresh_i_tells_a_path_that_was_silent_from_a_slow_one),
        cmocka_unit_test(an_i_that_left_after_a_late_start_is_fresh_by_itself),
        cmocka_unit_test(no_silence_is_proven_while_a_late_start_is_open),
        cmocka_unit_test(rounds_are_held_while_a_late_start_is_open),
        cmocka_unit_test(a_short_round_trip_behind_a_late_start_is_no_slow_path),
        cmocka_unit_test(an_unfit_server_is_waited_for_until_it_names_its_addresses),
        cmocka_unit_test(another_dialect_begins_the_tests_anew),
        cmocka_unit_test(a_round_waits_once_for_each_late_answer),
        cmocka_unit_test(what_left_before_the_path_woke_up_is_no_ration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
