/* SPDX-License-Identifier: MIT */
/* dense: what the copies of a dense start count for. */
#include "engine/dense.h"

#include "build.h"

#define RTT 40
#define RTO 44 /* an unanswered copy of that age counts as lost */

/* A trial whose dense start has six copies of I, from AT(0) to AT(20), and eleven of III. */
static npi_trial *begun(build *b)
{
    build_init(b);
    npi_trial *t = build_trial(b, build_answering_server(b, RTT));
    build_send_copies(&t->filtering.x[NPI_F_I], 6, AT(0), 4);
    build_send_copies(&t->filtering.x[NPI_F_III], 11, AT(0), 2);
    return t;
}

/* ---- How it fared ----------------------------------------------------------------------------------------------- */

static void a_start_is_heavy_if_most_copies_of_i_were_lost(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned answered, iii_answered;
        bool is_heavy;
    } rows[] = {
        {"None was lost.", 6, 0, false},
        {"Half of them were.", 3, 0, false},
        {"More than half were.", 2, 0, true},
        {"All were.", 0, 0, true},
        {"Answers to III make it no better.", 2, 11, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begun(&b);
        build_answer_copies(&t->filtering.x[NPI_F_I], rows[i].answered, RTT);
        build_answer_copies(&t->filtering.x[NPI_F_III], rows[i].iii_answered, RTT);
        build_now(&b, AT(20 + RTO));
        npi_dense_note(&b.f, t);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.is_told, true);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.is_heavy, rows[i].is_heavy);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.answers[NPI_F_I], rows[i].answered);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.answers[NPI_F_III], rows[i].iii_answered);
    }
}

static void how_it_fared_is_told_once_no_copy_is_under_way(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned rtt_ms;      /* 0: not known */
        unsigned last_iii_ms; /* one more copy of III; 0: none */
        unsigned now_ms;
        bool is_late_start;
        bool is_told;
    } rows[] = {
        {"Every copy is answered or lost.", RTT, 0, 20 + RTO, false, true},
        {"The last ones may still be answered.", RTT, 0, 19 + RTO, false, false},
        {"Copies of III may be.", RTT, 25, 24 + RTO, false, false},
        {"Then they are lost too.", RTT, 25, 25 + RTO, false, true},
        {"A later copy is none of its own.", RTT, 60, 20 + RTO, false, true},
        {"A path so short that more dense copies may follow.", 2, 0, 29, false, false},
        {"They may no more.", 2, 0, 30, false, true},
        {"Nothing is heard: nothing is known to be lost.", 0, 0, 5000, false, false},
        {"It may have left before the path woke up.", RTT, 0, 20 + RTO, true, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begun(&b);
        if (rows[i].rtt_ms > 0)
            build_rtt(&b.servers[0].rtt, rows[i].rtt_ms);
        else
            b.servers[0].rtt = (npi_rtt){0};
        if (rows[i].last_iii_ms > 0)
            build_send(&t->filtering.x[NPI_F_III], AT(rows[i].last_iii_ms));
        t->filtering.late.t.started = rows[i].is_late_start;
        build_now(&b, AT(rows[i].now_ms));
        npi_dense_note(&b.f, t);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.is_told, rows[i].is_told);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.is_heavy, rows[i].is_told);
    }
}

static void without_a_copy_of_i_nothing_is_told(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
    build_send_copies(&t->filtering.x[NPI_F_III], 3, AT(0), 2);
    build_now(&b, AT(5000));
    npi_dense_note(&b.f, t);
    EXPECT("Nothing shows what was lost.", !t->filtering.dense.is_told);
}

static void what_is_told_once_stays(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begun(&b);
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    build_answer_copies(x, 2, RTT);
    build_now(&b, AT(20 + RTO));
    npi_dense_note(&b.f, t);
    for (int i = 0; i < 4; i++) {
        build_send(x, AT(100 + 10 * i));
        build_answer(x, AT(140 + 10 * i));
    }
    build_now(&b, AT(300));
    npi_dense_note(&b.f, t);
    EXPECT("Later copies were answered: they left at another moment.", t->filtering.dense.is_heavy);
    EXPECT_EQUAL("These are not its answers.", t->filtering.dense.answers[NPI_F_I], 2);
}

static void answers_that_were_held_up_are_its_own_as_well(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned later;   /* copies of I after the start */
        unsigned answers; /* in all, once those are as old as a round trip */
        unsigned wanted;
        bool is_heavy;
    } rows[] = {
        {"None came late.", 0, 2, 2, true},
        {"One did.", 0, 3, 3, false},
        {"It may be of a later copy.", 1, 3, 2, true},
        {"Two are too many for one later copy.", 1, 4, 3, false},
        {"No more can come than left.", 1, 7, 6, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = begun(&b);
        npi_exchange *x = &t->filtering.x[NPI_F_I];
        build_answer_copies(x, 2, RTT);
        build_now(&b, AT(20 + RTO));
        npi_dense_note(&b.f, t);
        if (rows[i].later > 0)
            build_send_copies(x, rows[i].later, AT(100), 10);
        for (unsigned n = 2; n < rows[i].answers; n++)
            build_answer(x, AT(400));
        build_now(&b, AT(400));
        npi_dense_note(&b.f, t);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.answers[NPI_F_I], rows[i].wanted);
        EXPECT_EQUAL(rows[i].sentence, t->filtering.dense.is_heavy, rows[i].is_heavy);
    }
}

/* ---- What it counts for ----------------------------------------------------------------------------------------- */

/* Copies of a request leave 2 ms apart, and later ones 10 ms apart from AT(100) on. */
static void of_losses_and_answers_some_count_for_naught(void **state)
{
    (void)state;
    enum { OTHER = -1 };
    static const struct {
        const char *sentence;
        int test;        /* NPI_F_I or NPI_F_III, or a request that is none of the test's */
        bool is_earlier; /* than the test that carries the proof */
        bool is_heavy;
        unsigned dense, dense_answers; /* copies, and their answers */
        unsigned later;
        unsigned answered;
        npi_surplus surplus;
    } rows[] = {
        {"III carries the proof, and left with them: all count.", NPI_F_I, false, false, 6, 6, 0, 6, {0, 0}},
        {"II carries it, and left later: of six answers four count.", NPI_F_I, true, false, 6, 6, 0, 6, {2, 0}},
        {"Of eleven to III as well.", NPI_F_III, true, false, 11, 11, 0, 11, {7, 0}},
        {"Four are no more than that.", NPI_F_I, true, false, 6, 4, 0, 4, {0, 0}},
        {"So few copies count in any case.", NPI_F_I, true, false, 4, 4, 0, 4, {0, 0}},
        {"Later copies count.", NPI_F_I, true, false, 6, 6, 5, 11, {2, 0}},
        {"Losses count, each of them.", NPI_F_I, true, false, 6, 3, 0, 3, {0, 0}},
        {"The request of the source socket is no other.", OTHER, true, false, 6, 6, 0, 6, {2, 0}},
        {"Heavy: two of eleven answered count as none of four, so four as lost.",
         NPI_F_III,
         false,
         true,
         11,
         2,
         0,
         2,
         {2, 5}},
        {"Three of eleven count as one of four.", NPI_F_III, true, true, 11, 3, 0, 3, {2, 5}},
        {"Two of six count as one, and three lost.", NPI_F_I, true, true, 6, 2, 0, 2, {1, 1}},
        {"Whichever test carries the proof.", NPI_F_I, false, true, 6, 2, 0, 2, {1, 1}},
        {"None of six: four count as lost.", NPI_F_I, false, true, 6, 0, 0, 0, {0, 2}},
        {"Later answers count in full.", NPI_F_I, false, true, 6, 2, 5, 7, {1, 1}},
        {"Four copies are what they are.", NPI_F_I, false, true, 4, 1, 0, 1, {0, 0}},
        {"A request of the source socket is not of the start.", OTHER, false, true, 6, 2, 0, 2, {0, 0}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_server *s = build_answering_server(&b, RTT);
        npi_trial *t = build_trial(&b, s);
        npi_exchange *x = rows[i].test == OTHER ? &s->x[NPI_PRIMARY] : &t->filtering.x[rows[i].test];
        x->max_copies = NPI_COPIES_MAX;
        t->filtering.dense.is_heavy = rows[i].is_heavy;
        if (rows[i].test != OTHER)
            t->filtering.dense.answers[rows[i].test] = rows[i].dense_answers;
        build_send_copies(x, rows[i].dense, AT(0), 2);
        build_send_copies(x, rows[i].later, AT(100), 10);
        npi_surplus surplus = npi_dense_surplus(t, &x->t, rows[i].answered, rows[i].is_earlier);
        EXPECT_EQUAL(rows[i].sentence, surplus.answered, rows[i].surplus.answered);
        EXPECT_EQUAL(rows[i].sentence, surplus.lost, rows[i].surplus.lost);
    }
}

static void of_silent_copies_four_count_after_a_heavy_start(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        bool is_heavy;
        unsigned dense, later;
        uint32_t surplus;
    } rows[] = {
        {"Each copy may be filtered.", false, 11, 0, 0},
        {"Most was lost: seven of eleven show that as well.", true, 11, 0, 7},
        {"Later copies count.", true, 11, 9, 7},
        {"Four do in any case.", true, 4, 0, 0},
        {"Five are one too many.", true, 5, 0, 1},
        {"None has left.", true, 0, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        npi_exchange *x = &t->filtering.x[NPI_F_III];
        t->filtering.dense.is_heavy = rows[i].is_heavy;
        build_send_copies(x, rows[i].dense, AT(0), 2);
        build_send_copies(x, rows[i].later, AT(100), 10);
        EXPECT_EQUAL(rows[i].sentence, npi_dense_silent_surplus(t, &x->t), rows[i].surplus);
    }
}

/* The dense start ends 30 ms after the first copy. */
static void the_thirtieth_millisecond_is_later(void **state)
{
    (void)state;
    for (unsigned is_later = 0; is_later < 2; is_later++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        npi_exchange *x = &t->filtering.x[NPI_F_III];
        t->filtering.dense.is_heavy = true;
        build_send_copies(x, 4, AT(0), 2);
        build_send(x, is_later != 0 ? AT(30) : AT_US(29999));
        EXPECT_EQUAL("A fifth copy counts if it left then.", npi_dense_silent_surplus(t, &x->t), 1 - is_later);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_is_heavy_if_most_copies_of_i_were_lost),
        cmocka_unit_test(how_it_fared_is_told_once_no_copy_is_under_way),
        cmocka_unit_test(without_a_copy_of_i_nothing_is_told),
        cmocka_unit_test(what_is_told_once_stays),
        cmocka_unit_test(answers_that_were_held_up_are_its_own_as_well),
        cmocka_unit_test(of_losses_and_answers_some_count_for_naught),
        cmocka_unit_test(of_silent_copies_four_count_after_a_heavy_start),
        cmocka_unit_test(the_thirtieth_millisecond_is_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
