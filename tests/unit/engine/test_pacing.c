/* SPDX-License-Identifier: MIT */
/* pacing: the gaps between copies and between rounds, and how long a server is waited for. */
#include "engine/pacing.h"

#include "build.h"

#define RTT 40

/* ---- Plain requests --------------------------------------------------------------------------------------------- */

typedef struct plain_row {
    const char *sentence;
    unsigned rtt_ms; /* of the server; 0: not heard yet */
    unsigned other_rtt_ms;
    unsigned sent;
    unsigned gap_ms;
} plain_row;

static void check_plain(const plain_row *row, int32_t tests)
{
    static build b;
    build_init(&b);
    b.f.config.tests = tests;
    npi_server *s = row->rtt_ms != 0 ? build_answering_server(&b, row->rtt_ms) : build_asked_server(&b);
    if (row->other_rtt_ms != 0)
        build_answering_server(&b, row->other_rtt_ms);
    build_send_copies(&s->x[NPI_PRIMARY], row->sent, AT(0), 100);
    EXPECT_GAP(row->sentence, npi_pacing_plain_gap_ns(&b.f, s, &s->x[NPI_PRIMARY]), row->gap_ms * NPI_MS);
}

static void plain_gap_before_the_server_is_heard(void **state)
{
    (void)state;
    static const plain_row rows[] = {
        {"While nobody is heard the second copy waits 250 ms.", 0, 0, 1, 250},
        {"The gap doubles, but not beyond 400 ms.", 0, 0, 2, 400},
        {"It stays there.", 0, 0, 9, 400},
        {"Before the first copy it is that of the first.", 0, 0, 0, 250},
        {"Another server's answer in 60 ms: twice that.", 0, 60, 1, 120},
        {"The gap doubles from there.", 0, 60, 2, 240},
        {"But not beyond 400 ms.", 0, 60, 3, 400},
        {"Not below 100 ms, however near the other is.", 0, 50, 1, 100},
        {"Not when it is nearer still.", 0, 5, 1, 100},
        {"100 ms double too.", 0, 5, 2, 200},
        {"And again.", 0, 5, 3, 400},
        {"A distant server makes it no slower than without one.", 0, 124, 1, 248},
        {"At 125 ms it is the same as without.", 0, 125, 1, 250},
        {"Beyond that as well.", 0, 900, 1, 250},
    };
    static const plain_row alone[] = {
        {"For the mapping alone it is twice the round trip as well.", 0, 60, 1, 120},
        {"But not beyond 250 ms.", 0, 200, 1, 250},
        {"On a longer path an answer has time to come: a round trip and a quarter.", 0, 240, 1, 300},
        {"Not beyond 400 ms.", 0, 900, 1, 400},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_plain(&rows[i], NP_TESTS_DEFAULT);
    for (size_t i = 0; i < COUNT(alone); i++)
        check_plain(&alone[i], NP_TESTS_MAPPING);
}

/* The rto is the round trip and 4 ms; a busy host is allowed 10 ms more. */
static void plain_gap_once_the_server_is_heard(void **state)
{
    (void)state;
    static const plain_row rows[] = {
        {"The second copy waits for the first one's answer: 40 + 4 + 10 ms.", RTT, 0, 1, 54},
        {"So does the third.", RTT, 0, 2, 54},
        {"And the fourth.", RTT, 0, 3, 54},
        {"From there on the gap doubles.", RTT, 0, 4, 108},
        {"Twice.", RTT, 0, 5, 216},
        {"Three times.", RTT, 0, 6, 432},
        {"And no more.", RTT, 0, 7, 432},
        {"Other servers do not matter.", RTT, 500, 1, 54},
        {"A short path: the fourth copy follows after 15 ms, the least being 20 ms.", 1, 0, 3, 20},
        {"The least grows to 50 ms.", 1, 0, 4, 50},
        {"Then 100 ms.", 1, 0, 5, 100},
        {"Then 200 ms.", 1, 0, 6, 200},
        {"And stays there.", 1, 0, 9, 200},
        {"For the first 15 ms are more than the least.", 1, 0, 1, 15},
        {"For the second as well.", 1, 0, 2, 15},
        {"A long path: 500 ms at first.", 486, 0, 1, 500},
        {"Not more, however long it is.", 1500, 0, 3, 500},
        {"Later not more than 800 ms.", 1500, 0, 4, 800},
        {"The first gap is no longer than that either.", 1500, 0, 1, 500},
        {"Just below 500 ms it is still the path's.", 485, 0, 1, 499},
        {"Never more than 800 ms.", 390, 0, 4, 800},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_plain(&rows[i], NP_TESTS_DEFAULT);
}

static void plain_gap_of_those_that_differ(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, 1500);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    npi_exchange *recheck = &s->x[NPI_RECHECK];
    build_send(x, AT(0));
    build_send(recheck, AT(0));
    EXPECT_GAP("The second copy of a recheck waits until the first must have been answered, however long.",
               npi_pacing_plain_gap_ns(&b.f, s, recheck), 1514 * NPI_MS);
    build_send(recheck, AT(2000));
    EXPECT_GAP("Its third is as any other's.", npi_pacing_plain_gap_ns(&b.f, s, recheck), 500 * NPI_MS);
    x->send_twice = true;
    EXPECT_GAP("A request sent twice: its second copy follows after 10 ms.", npi_pacing_plain_gap_ns(&b.f, s, x),
               10 * NPI_MS);
    s->rtt.samples = 0;
    EXPECT_GAP("Even while the round trip is unknown.", npi_pacing_plain_gap_ns(&b.f, s, x), 10 * NPI_MS);
    build_rtt(&s->rtt, 1500);
    build_send(x, AT(10));
    EXPECT_GAP("Its third waits as any other's.", npi_pacing_plain_gap_ns(&b.f, s, x), 500 * NPI_MS);
}

/* ---- Rounds of filtering tests ---------------------------------------------------------------------------------- */

static void round_gap_before_the_server_is_heard(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint32_t rounds;
        unsigned gap_ms;
    } rows[] = {
        {"The rounds of the dense start follow each other after 2 ms.", 1, 2},
        {"So do eleven of them.", 10, 2},
        {"After the eleventh 330 ms pass.", 11, 330},
        {"Then 250 ms.", 12, 250},
        {"Every second one doubles the gap.", 13, 500},
        {"The other does not.", 14, 500},
        {"It doubles once more.", 15, 1000},
        {"It stays there.", 17, 1000},
        {"For good.", 60, 1000},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_asked_server(&b));
        t->filtering.rounds = rows[i].rounds;
        EXPECT_GAP(rows[i].sentence, npi_pacing_round_gap_ns(&b.f, t), rows[i].gap_ms * NPI_MS);
    }
}

static void round_gap_by_round_trip_and_losses(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned rtt_ms, answered, lost;
        unsigned gap_ms;
    } rows[] = {
        {"Fifty rounds in a round trip of a second: one every 20 ms.", 1000, 0, 0, 20},
        {"Never faster than every 10 ms.", 40, 5, 0, 10},
        {"At 550 ms it is 11 ms.", 550, 5, 0, 11},
        {"Never slower than every 50 ms.", 2500, 5, 0, 50},
        {"Not on a longer path either.", 4000, 5, 0, 50},
        {"Losses of two in three do not slow it down.", 40, 5, 11, 10},
        {"More than that does: a server that limits its rate answers more when it is asked less.", 40, 5, 12, 20},
        {"Four of five lost is not yet worse.", 40, 5, 20, 20},
        {"More than four of five is.", 40, 5, 21, 40},
        {"The slowest pace slows down as well.", 4000, 5, 21, 200},
        {"One loss alone is nothing.", 40, 0, 1, 10},
        {"Two without an answer are more than four of five.", 40, 0, 2, 40},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, rows[i].rtt_ms));
        t->filtering.rounds = NPI_DENSE_ROUNDS;
        build_send_copies(&t->filtering.x[NPI_F_I], rows[i].answered + rows[i].lost, AT(0), 10);
        build_answer_copies(&t->filtering.x[NPI_F_I], rows[i].answered, rows[i].rtt_ms);
        build_now(&b, AT(100000));
        EXPECT_GAP(rows[i].sentence, npi_pacing_round_gap_ns(&b.f, t), rows[i].gap_ms * NPI_MS);
    }
}

/* The filtering socket was heard at AT(100); the next answer is expected by AT(144), the rto later. */
static void round_gap_while_nothing_is_heard(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint64_t now_ns, gap_ns;
    } rows[] = {
        {"Until the next answer is due rounds go at their pace.", AT(144), 10 * NPI_MS},
        {"20 ms after that half of it is no more than the pace.", AT(164), 10 * NPI_MS},
        {"From there on the gap is half of how long nothing has been heard.", AT(166), 11 * NPI_MS},
        {"The longer it lasts the slower rounds go.", AT(344), 100 * NPI_MS},
        {"Not slower than every 200 ms.", AT(544), 200 * NPI_MS},
        {"However long it lasts.", AT(5000), 200 * NPI_MS},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        t->filtering.rounds = NPI_DENSE_ROUNDS;
        t->filtering_heard_ns = AT(100);
        build_now(&b, rows[i].now_ns);
        EXPECT_GAP(rows[i].sentence, npi_pacing_round_gap_ns(&b.f, t), rows[i].gap_ns);
        t->filtering_heard_ns = 0;
        EXPECT_GAP("A socket never heard is no burst of losses.", npi_pacing_round_gap_ns(&b.f, t), 10 * NPI_MS);
    }
}

/* Copies of I and III left every 2 ms from AT(0) on. None counts as lost before AT(44). */
static void the_dense_start_ends_with_a_loss_or_when_it_is_long_enough(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint32_t rounds;
        unsigned plain, answered, iii;
        uint64_t now_ns;
        uint32_t late_answers;
        uint64_t resumed_ns;
        bool is_dense;
    } rows[] = {
        {"Nothing has left: it begins.", 0, 0, 0, 0, AT(0), 0, 0, true},
        {"Nothing is heard: nothing is known to be lost.", 10, 5, 0, 10, AT(20), 0, 0, true},
        {"What was answered is no reason to end it.", 10, 5, 5, 10, AT(25), 0, 0, true},
        {"It has eleven rounds.", NPI_DENSE_ROUNDS, 6, 0, 11, AT(22), 0, 0, false},
        {"Eleven copies of a test are not too many.", 10, 6, 0, 11, AT(22), 0, 0, true},
        {"Twelve are all that there may be.", 10, 6, 0, 12, AT(24), 0, 0, false},
        {"The same for I.", 10, 12, 0, 6, AT(24), 0, 0, false},
        {"It lasts 30 ms.", 5, 3, 0, 5, AT(30), 0, 0, true},
        {"And no longer.", 5, 3, 0, 5, AT(30) + 1, 0, 0, false},
        {"A server that works off a queue is not pushed.", 5, 3, 0, 5, AT(10), NPI_SLOW_ANSWERS, 0, false},
        {"One late answer may be chance.", 5, 3, 0, 5, AT(10), NPI_SLOW_ANSWERS - 1, 0, true},
        {"The host stood still in it: nobody knows how long.", 5, 3, 0, 5, AT(10), 0, AT(5), false},
        {"The first copy left when that ended.", 5, 3, 0, 5, AT(10), 0, AT(0), true},
        {"It stood still before.", 5, 3, 0, 5, AT(10), 0, AT(0) - 1, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        t->filtering.rounds = rows[i].rounds;
        build_send_copies(&t->filtering.x[NPI_F_I], rows[i].plain, AT(0), 2);
        build_answer_copies(&t->filtering.x[NPI_F_I], rows[i].answered, RTT / 2);
        build_send_copies(&t->filtering.x[NPI_F_III], rows[i].iii, AT(0), 2);
        b.servers[0].late_answers = rows[i].late_answers;
        b.f.standstill.resumed_ns = rows[i].resumed_ns;
        build_now(&b, rows[i].now_ns);
        EXPECT_EQUAL(rows[i].sentence, npi_pacing_is_dense(&b.f, t), rows[i].is_dense);
        if (rows[i].is_dense)
            EXPECT_GAP(rows[i].sentence, npi_pacing_round_gap_ns(&b.f, t), 2 * NPI_MS);
    }
}

/* On a path of 2 ms the first copy counts as lost at AT(6), while the dense start goes on. */
static void the_dense_start_ends_with_the_first_loss(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *t = build_trial(&b, build_answering_server(&b, 2));
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    t->filtering.rounds = 4;
    build_send_copies(x, 2, AT(0), 4);
    build_now(&b, AT(6) - 1);
    EXPECT("The first copy may still be answered.", npi_pacing_is_dense(&b.f, t));
    build_now(&b, AT(6));
    EXPECT("It is lost.", !npi_pacing_is_dense(&b.f, t));
    EXPECT_GAP("The pace without it, and slower: one of one was lost.", npi_pacing_round_gap_ns(&b.f, t), 10 * NPI_MS);
    build_answer(x, AT(6));
    EXPECT("One of the two was answered: nothing is lost yet.", npi_pacing_is_dense(&b.f, t));
}

/* Six copies of I leave by AT(20), of which one is answered; later ones leave 100 ms apart, from AT(100) on. */
static void after_a_heavy_start_rounds_go_slowly_at_first(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        bool is_heavy;
        unsigned later, answered;
        unsigned young; /* copies that left just now */
        uint64_t gap_ns;
    } rows[] = {
        {"Most was not lost: the pace is that of the path.", false, 0, 0, 0, 10 * NPI_MS},
        {"Most was: 200 ms lie between rounds.", true, 0, 0, 0, 200 * NPI_MS},
        {"An answer to a later copy halves that.", true, 1, 1, 0, 100 * NPI_MS},
        {"A second one halves it again.", true, 2, 2, 0, 50 * NPI_MS},
        {"A later loss doubles it.", true, 3, 2, 0, 100 * NPI_MS},
        {"As many lost as answered: as at first.", true, 4, 2, 0, 200 * NPI_MS},
        {"It grows no further.", true, 4, 1, 0, 200 * NPI_MS},
        {"What may still be answered is not lost.", true, 2, 2, 3, 50 * NPI_MS},
        {"Four answers: 12.5 ms.", true, 4, 4, 0, 12500 * NPI_MS / 1000},
        {"With the fifth it is the pace of the path.", true, 5, 5, 0, 10 * NPI_MS},
        {"However many come.", true, 40, 40, 0, 10 * NPI_MS},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        npi_exchange *x = &t->filtering.x[NPI_F_I];
        t->filtering.rounds = NPI_DENSE_ROUNDS;
        t->filtering.dense.is_told = true;
        t->filtering.dense.is_heavy = rows[i].is_heavy;
        t->filtering.dense.answers[NPI_F_I] = rows[i].is_heavy ? 1 : 3;
        build_send_copies(x, 6, AT(0), 4);
        build_send_copies(x, rows[i].later, AT(100), 100);
        build_send_copies(x, rows[i].young, AT(5000), 0);
        build_answer_copies(x, t->filtering.dense.answers[NPI_F_I] + rows[i].answered, RTT);
        build_now(&b, AT(5000));
        EXPECT_GAP(rows[i].sentence, npi_pacing_round_gap_ns(&b.f, t), rows[i].gap_ns);
        b.f.traffic.send_error = NP_ERR_NETWORK_UNREACHABLE;
        EXPECT("What the host refuses to send is no limit of the path.",
               npi_pacing_round_gap_ns(&b.f, t) < 100 * NPI_MS);
    }
}

/* ---- Servers that work off a queue ------------------------------------------------------------------------------ */

/* A trial with a server that has answered. */
static npi_trial *tried(build *b)
{
    build_init(b);
    return build_trial(b, build_answering_server(b, RTT));
}

static void a_slow_server_is_sent_nothing_until_its_queue_is_empty(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = tried(&b);
    npi_server *s = &b.servers[0];
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    build_send_copies(x, 2, AT(0), 10);
    s->clear_ns = AT(900);
    s->late_answers = NPI_SLOW_ANSWERS - 1;
    EXPECT_TIME("One late answer may be chance.", npi_pacing_slow_until_ns(&b.f, t), NPI_NOW);
    EXPECT_GAP("Requests are repeated as ever.", npi_pacing_plain_gap_ns(&b.f, s, x), 54 * NPI_MS);
    s->late_answers = NPI_SLOW_ANSWERS;
    EXPECT_TIME("Two are not.", npi_pacing_slow_until_ns(&b.f, t), AT(900));
    EXPECT_GAP("A request that may be in the queue is not repeated.", npi_pacing_plain_gap_ns(&b.f, s, x),
               890 * NPI_MS);
    s->clear_ns = AT(20);
    EXPECT_GAP("Once the queue is empty it is.", npi_pacing_plain_gap_ns(&b.f, s, x), 54 * NPI_MS);
    s->clear_ns = AT(900);
    build_answer_copies(x, 2, RTT);
    EXPECT_TIME("When every I is answered nothing is awaited.", npi_pacing_slow_until_ns(&b.f, t), NPI_NOW);
    EXPECT_TIME("Without a deadline the filtering has all the time.", npi_pacing_slow_share_ns(&b.f), NPI_NEVER);
    b.f.config.deadline_ns = AT(10000);
    EXPECT_TIME("Else its share.", npi_pacing_slow_share_ns(&b.f), AT(100 * NPI_SLOW_SHARE));
}

static void rounds_wait_once_to_see_whether_answers_are_late(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = tried(&b);
    npi_server *s = &b.servers[0];
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    build_send_copies(x, 6, AT(0), 10);
    build_answer_copies(x, 3, RTT);
    build_now(&b, AT(80));
    EXPECT_TIME("Two of six seem lost: nothing to wait for.", npi_pacing_late_until_ns(&b.f, t), NPI_NOW);
    build_now(&b, AT(100));
    EXPECT_TIME("Three, as many as were answered: three round trips after the last answer could have come.",
                npi_pacing_late_until_ns(&b.f, t), AT(50 + 44 + 3 * RTT));
    t->filtering.waited_for_late = true;
    EXPECT_TIME("Once.", npi_pacing_late_until_ns(&b.f, t), NPI_NOW);
    s->late_answers = 1;
    s->heard_ns = AT(200);
    EXPECT_TIME("After a late answer another may come, but not within four round trips of it.",
                npi_pacing_late_until_ns(&b.f, t), AT(200 + 4 * RTT));
    t->filtering.late_waited = 1;
    EXPECT_TIME("Once for each late answer.", npi_pacing_late_until_ns(&b.f, t), NPI_NOW);
    s->late_answers = 2;
    EXPECT_TIME("The next one is a reason again.", npi_pacing_late_until_ns(&b.f, t), AT(200 + 4 * RTT));
    build_rtt(&s->rtt, 851);
    build_now(&b, AT(900));
    EXPECT_TIME("A long path leaves no time for that.", npi_pacing_late_until_ns(&b.f, t), NPI_NOW);
}

static void a_server_that_answers_no_more_has_fallen_silent(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = tried(&b);
    npi_server *s = &b.servers[0];
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    build_send_copies(x, NPI_HUSH_LOST, AT(100), 10);
    EXPECT_TIME("It has not been heard yet.", npi_pacing_hushed_ns(&b.f, t, true), NPI_NEVER);
    s->heard_ns = AT(101);
    EXPECT_TIME("Five requests are too few.", npi_pacing_hushed_ns(&b.f, t, true), NPI_NEVER);
    s->heard_ns = AT(100);
    EXPECT_TIME("Six are enough, after a second.", npi_pacing_hushed_ns(&b.f, t, true), AT(1100));
    build_rtt(&s->rtt, 200);
    EXPECT_TIME("And eight round trips.", npi_pacing_hushed_ns(&b.f, t, true), AT(1700));
    s->heard_ns = AT(50);
    EXPECT_TIME("The time begins with the first of them.", npi_pacing_hushed_ns(&b.f, t, true), AT(1700));
    EXPECT_TIME("If no other can help it lasts five seconds.", npi_pacing_hushed_ns(&b.f, t, false), AT(5100));
    s->late_answers = NPI_SLOW_ANSWERS;
    EXPECT_TIME("A slow one takes its time.", npi_pacing_hushed_ns(&b.f, t, true), NPI_NEVER);
}

static void a_server_that_answers_nothing_in_the_mapping_phase_has_gone(void **state)
{
    static const struct {
        const char *sentence;
        unsigned copies, heard_ms;
        int answered; /* NPI_M_AQ to NPI_C_III, -1: none */
        bool has_gone;
    } rows[] = {
        {"Four requests are not answered.", NPI_GONE_COPIES, 90, -1, true},
        {"Three are too few.", NPI_GONE_COPIES - 1, 90, -1, false},
        {"A:Q has answered.", NPI_GONE_COPIES, 90, NPI_M_AQ, false},
        {"The control was answered: III.", NPI_GONE_COPIES, 90, NPI_C_III, false},
        {"II.", NPI_GONE_COPIES, 90, NPI_C_II, false},
        {"B:Q has: that is another host.", NPI_GONE_COPIES, 90, NPI_M_BQ, true},
        {"An answer was on its way.", NPI_GONE_COPIES, 129, -1, true},
        {"It has answered since: these were asked before its test.", NPI_GONE_COPIES, 130, -1, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = tried(&b);
        npi_server *s = &b.servers[0];
        npi_exchange *again = &s->x[NPI_RECHECK];
        npi_exchange_init(again, "I again", NPI_SLOT_SOURCE, &s->address, 0, NPI_ALTERNATE_COPIES);
        EXPECT_TIME("It has not been asked again.", npi_pacing_gone_ns(&b.f, t), NPI_NEVER);
        build_send_copies(again, rows[i].copies, AT(100), 10);
        s->heard_ns = AT(rows[i].heard_ms);
        if (rows[i].answered >= 0) {
            build_send(build_ask(&b, t, rows[i].answered), AT(100));
            build_answer(&t->control.x[rows[i].answered], AT(125));
        }
        uint64_t gone_ns = npi_pacing_gone_ns(&b.f, t);
        EXPECT_TIME(rows[i].sentence, gone_ns, rows[i].has_gone ? AT(130) + npi_trial_rto(&b.f, t) : NPI_NEVER);
        s->late_answers = NPI_SLOW_ANSWERS;
        EXPECT_TIME("A slow one takes its time.", npi_pacing_gone_ns(&b.f, t), NPI_NEVER);
        s->late_answers = 0;
        build_answer(again, AT(200));
        EXPECT_TIME("It has answered.", npi_pacing_gone_ns(&b.f, t), NPI_NEVER);
    }
}

/* ---- Patience --------------------------------------------------------------------------------------------------- */

static void silent_server_is_waited_for_ten_round_trips(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned rtt_ms[2]; /* of servers that answer; 0: none */
        bool any_answer;
        uint64_t after_ns;
    } rows[] = {
        {"While nobody answers nobody is given up.", {0, 0}, false, NPI_NEVER},
        {"When only CHANGE-REQUEST was answered no round trip is known: 3 s.", {0, 0}, true, 3000 * NPI_MS},
        {"On a short path 1.5 s.", {40, 0}, true, 1500 * NPI_MS},
        {"Up to a round trip of 150 ms.", {150, 0}, true, 1500 * NPI_MS},
        {"From there on ten round trips.", {151, 0}, true, 1510 * NPI_MS},
        {"Of the slowest that answers.", {40, 200}, true, 2000 * NPI_MS},
        {"Whichever that is.", {200, 40}, true, 2000 * NPI_MS},
        {"But not more than 3 s.", {301, 0}, true, 3000 * NPI_MS},
        {"Just below it is ten round trips.", {299, 0}, true, 2990 * NPI_MS},
        {"Of two seconds as well.", {2000, 0}, true, 3000 * NPI_MS},
        {"Another server may be as far away: one and a half of longer ones.", {3300, 0}, true, 4950 * NPI_MS},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        for (int k = 0; k < 2; k++) {
            if (rows[i].rtt_ms[k] != 0)
                build_answering_server(&b, rows[i].rtt_ms[k]);
        }
        npi_server *s = build_asked_server(&b);
        s->started_ns = AT(70);
        b.f.any_answer = rows[i].any_answer;
        EXPECT_GAP(rows[i].sentence, npi_pacing_give_up_after_ns(&b.f), rows[i].after_ns);
        EXPECT_TIME("The time counts from its start.", npi_pacing_given_up_ns(&b.f, s),
                    npi_time_add(AT(70), rows[i].after_ns));
        s->contact = NPI_HAS_ANSWERED;
        EXPECT_TIME("One that has answered is not given up by waiting.", npi_pacing_given_up_ns(&b.f, s), NPI_NEVER);
        s->failed = true;
        EXPECT_TIME("One that failed is given up at once.", npi_pacing_given_up_ns(&b.f, s), NPI_NOW);
    }
}

/* What was answered first may be a CHANGE-REQUEST, and the plain requests' answers be right behind it. */
static void late_answer_to_a_change_request_is_a_long_way(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    b.f.any_answer = true;
    b.f.traffic.first_sent_ns = AT(50);
    b.f.traffic.last_heard_ns = AT(1550);
    EXPECT_GAP("An answer within 1.5 s changes nothing.", npi_pacing_give_up_after_ns(&b.f), 3000 * NPI_MS);
    b.f.traffic.last_heard_ns = AT(3350);
    EXPECT_GAP("A later one may have taken all the time: the others get 1.5 s more.", npi_pacing_give_up_after_ns(&b.f),
               4800 * NPI_MS);
}

static void primary_requests_are_done_when_no_answer_can_come(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_asked_server(&b);
    npi_exchange *x = &s->x[NPI_PRIMARY];
    npi_exchange *old = &s->x[NPI_RFC3489];
    build_send_copies(x, NPI_PRIMARY_COPIES - 1, AT(0), 100);
    EXPECT_TIME("As long as copies are left the requests go on.", npi_pacing_primary_done_ns(s), NPI_NEVER);
    build_send(x, AT(1000));
    EXPECT_TIME("The last copy is waited for 1.5 s while the round trip is unknown.", npi_pacing_primary_done_ns(s),
                AT(2500));
    build_rtt(&s->rtt, RTT);
    EXPECT_TIME("With a known round trip twice its rto.", npi_pacing_primary_done_ns(s), AT(1088));
    build_send_copies(old, NPI_RFC3489_COPIES, AT(1100), 0);
    EXPECT_TIME("The RFC 3489 form is waited for as well.", npi_pacing_primary_done_ns(s), AT(1188));
    x->failed = true;
    EXPECT_TIME("Even if the other cannot be sent.", npi_pacing_primary_done_ns(s), AT(1188));
    old->failed = true;
    EXPECT_TIME("When neither can be sent nothing is waited for.", npi_pacing_primary_done_ns(s), NPI_NOW);
    old->failed = false;
    s->has_mapping = true;
    EXPECT_TIME("When the mapping is known they are done at once.", npi_pacing_primary_done_ns(s), NPI_NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_gap_before_the_server_is_heard),
        cmocka_unit_test(plain_gap_once_the_server_is_heard),
        cmocka_unit_test(plain_gap_of_those_that_differ),
        cmocka_unit_test(round_gap_before_the_server_is_heard),
        cmocka_unit_test(round_gap_by_round_trip_and_losses),
        cmocka_unit_test(round_gap_while_nothing_is_heard),
        cmocka_unit_test(the_dense_start_ends_with_a_loss_or_when_it_is_long_enough),
        cmocka_unit_test(the_dense_start_ends_with_the_first_loss),
        cmocka_unit_test(after_a_heavy_start_rounds_go_slowly_at_first),
        cmocka_unit_test(a_slow_server_is_sent_nothing_until_its_queue_is_empty),
        cmocka_unit_test(rounds_wait_once_to_see_whether_answers_are_late),
        cmocka_unit_test(a_server_that_answers_no_more_has_fallen_silent),
        cmocka_unit_test(a_server_that_answers_nothing_in_the_mapping_phase_has_gone),
        cmocka_unit_test(silent_server_is_waited_for_ten_round_trips),
        cmocka_unit_test(late_answer_to_a_change_request_is_a_long_way),
        cmocka_unit_test(primary_requests_are_done_when_no_answer_can_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
