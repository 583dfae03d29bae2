/* SPDX-License-Identifier: MIT */
/* silence: counts losses, and tells a silence that is the NAT's from one that loss explains (docs/METHOD.md 5). */
#include "engine/silence.h"

#include <string.h>

#include "build.h"

#define RTT 20 /* ms; the rto is 4 ms more; so short a way that no request of the mapping phase leaves twice */
#define RTO 24
#define LATE 100000 /* ms after T0: every copy is old by then */
#define GAP 10

/* ---- Counting losses -------------------------------------------------------------------------------------------- */

/* Each copy brings one answer at most. */
static const npi_echo no_echo = {false, 1, 1};

/* Four copies, 10 ms apart from T0. */
static npi_exchange four_copies(void)
{
    const npi_addr to = build_a(0, BUILD_P);
    npi_exchange x;
    npi_exchange_init(&x, "I", NPI_SLOT_SOURCE, &to, 0, NPI_COPIES_MAX);
    build_send_copies(&x, 4, AT(0), GAP);
    return x;
}

static void copies_count_as_lost_from_their_age_on(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint64_t now_ns;
        unsigned answers;
        npi_loss wanted;
    } rows[] = {
        {"Copies just sent are not lost.", AT(30), 0, {0, 0}},
        {"A nanosecond before its age the first copy is not lost.", AT(50) - 1, 0, {0, 0}},
        {"At its age it is.", AT(50), 0, {0, 1}},
        {"Between two ages nothing changes.", AT(65), 0, {0, 2}},
        {"All are lost when the last is old.", AT(80), 0, {0, 4}},
        {"An answer counts at once, whatever the age.", AT(40), 1, {1, 0}},
        {"An answered copy is not lost as well.", AT(50), 1, {1, 0}},
        {"Of two old copies the one without an answer is lost.", AT(60), 1, {1, 1}},
        {"More answers than old copies leave no loss.", AT(50), 2, {2, 0}},
        {"Half of them may be lost.", AT(LATE), 2, {2, 2}},
        {"Or none.", AT(LATE), 4, {4, 0}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_exchange x = four_copies();
        npi_loss loss = {10, 20};
        for (unsigned n = 0; n < rows[i].answers; n++)
            build_answer(&x, AT(40 + 10 * n));
        npi_loss_add(&loss, &x.t, rows[i].now_ns, 50 * NPI_MS, &no_echo);
        EXPECT_EQUAL(rows[i].sentence, loss.answered, 10 + rows[i].wanted.answered);
        EXPECT_EQUAL(rows[i].sentence, loss.lost, 20 + rows[i].wanted.lost);
    }
}

static void nothing_is_lost_without_a_request_or_a_round_trip(void **state)
{
    (void)state;
    npi_exchange x = four_copies();
    npi_loss loss = {0, 0};
    npi_loss_add(&loss, &x.t, AT(LATE), NPI_NEVER, &no_echo);
    EXPECT_EQUAL("While the round trip is unknown no copy is lost.", loss.lost, 0);
    x.t.started = false; /* its first copy did not leave after all */
    npi_loss_add(&loss, &x.t, AT(LATE), 0, &no_echo);
    EXPECT_EQUAL("A request that has not begun counts for nothing.", loss.answered + loss.lost, 0);
}

static void duplicates_are_no_answers_where_the_path_makes_them(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned answers_ms[8]; /* until 0 */
        bool duplicated;
        npi_loss wanted;
    } rows[] = {
        {"On a path without duplicates close answers all count.", {40, 41, 50}, false, {3, 1}},
        {"On one that duplicates, an answer close behind another does not count.", {40, 41, 50}, true, {2, 2}},
        {"Answers 3 ms apart are not close.", {40, 43, 50}, true, {3, 1}},
        {"A duplicate does not displace a late answer.", {50, 51, 60, 61, 70, 80}, true, {4, 0}},
        {"Three answers and two duplicates among five are three.", {50, 51, 60, 61, 70}, true, {3, 1}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_exchange x = four_copies();
        npi_loss loss = {0, 0};
        for (const unsigned *ms = rows[i].answers_ms; *ms != 0; ms++)
            build_answer(&x, AT(*ms));
        npi_loss_add(&loss, &x.t, AT(LATE), 50 * NPI_MS, &(npi_echo){rows[i].duplicated, 1, 1});
        EXPECT_EQUAL(rows[i].sentence, loss.answered, rows[i].wanted.answered);
        EXPECT_EQUAL(rows[i].sentence, loss.lost, rows[i].wanted.lost);
    }
}

/* A server that answers twice, or more often, hides losses: only so many copies can have brought so many answers. */
static void answers_of_a_server_that_repeats_count_for_fewer_copies(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned answers;
        npi_echo echo;
        npi_loss wanted;
    } rows[] = {
        {"Four answers to four copies: none is lost, if each brings one.", 4, {false, 1, 1}, {4, 0}},
        {"If a copy brings two, two may be lost.", 4, {false, 1, 2}, {2, 2}},
        {"Rounded up.", 3, {false, 1, 2}, {2, 2}},
        {"Eight answers to four copies: none is lost.", 8, {false, 1, 2}, {4, 0}},
        {"More answers do not make more copies.", 12, {false, 1, 2}, {4, 0}},
        {"Three answers to two copies: six are of four.", 6, {false, 2, 3}, {4, 0}},
        {"One answer is of one copy.", 1, {true, 1, 9}, {1, 3}},
        {"No answer is of none.", 0, {true, 1, 9}, {0, 4}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_exchange x = four_copies();
        npi_loss loss = {0, 0};
        for (unsigned n = 0; n < rows[i].answers; n++)
            build_answer(&x, AT(40 + 10 * n));
        npi_loss_add(&loss, &x.t, AT(LATE), 50 * NPI_MS, &rows[i].echo);
        EXPECT_EQUAL(rows[i].sentence, loss.answered, rows[i].wanted.answered);
        EXPECT_EQUAL(rows[i].sentence, loss.lost, rows[i].wanted.lost);
    }
}

/* ---- The bound -------------------------------------------------------------------------------------------------- */

/* p to the n, and at most loss->lost of all the others lost: one request after another, from the definition. */
static double chance_at(double p, const npi_loss *loss, uint32_t n)
{
    double lost[64] = {1.0}; /* lost[k]: the probability that k are lost so far */
    for (uint32_t i = 0; i < loss->answered + loss->lost; i++) {
        for (uint32_t k = i + 1; k > 0; k--)
            lost[k] = lost[k] * (1.0 - p) + lost[k - 1] * p;
        lost[0] *= 1.0 - p;
    }
    double chance = 0.0;
    for (uint32_t k = 0; k <= loss->lost; k++)
        chance += lost[k];
    for (uint32_t i = 0; i < n; i++)
        chance *= p;
    return chance;
}

static double highest_chance(const npi_loss *loss, uint32_t n, int steps)
{
    double highest = 0.0;
    for (int i = 1; i < steps; i++) {
        double chance = chance_at((double)i / steps, loss, n);
        highest = chance > highest ? chance : highest;
    }
    return highest;
}

static bool is_about(double got, double wanted)
{
    return got > wanted * 0.999999 && got < wanted * 1.000001;
}

/* Loss rates of 5 % to 95 % in steps of 5 % are looked at. Between them the maximum is flat. */
static void bound_is_the_highest_chance_at_any_rate_of_loss(void **state)
{
    (void)state;
    for (uint32_t answered = 1; answered <= 20; answered++) {
        for (uint32_t lost = 0; lost <= 20; lost += 4) {
            for (uint32_t n = 1; n <= 20; n += 3) {
                const npi_loss loss = {answered, lost};
                double got = npi_loss_p_all_lost(&loss, n);
                assert_true(is_about(got, highest_chance(&loss, n, 20)));
                assert_true(got > 0.85 * highest_chance(&loss, n, 200));
            }
        }
    }
}

/* Without a loss the maximum of p^n (1-p)^N is at p = n / (n + N). */
static void bound_without_losses_has_a_closed_form(void **state)
{
    (void)state;
    for (uint32_t answered = 3; answered <= 20; answered++) {
        for (uint32_t n = 3; n <= 20; n++) {
            const npi_loss loss = {answered, 0};
            double exact = 1.0;
            for (uint32_t i = 0; i < n; i++)
                exact *= (double)n / (n + answered);
            for (uint32_t i = 0; i < answered; i++)
                exact *= (double)answered / (n + answered);
            double got = npi_loss_p_all_lost(&loss, n);
            assert_true(got <= exact * 1.000001 && got > exact * 0.9);
        }
    }
}

/* Eleven silent copies, six plain ones answered and five expected: at worst 2^-22. With ten it is 2^-21. */
static void bound_of_the_worked_example(void **state)
{
    (void)state;
    const npi_loss loss = {11, 0};
    double eleven = npi_loss_p_all_lost(&loss, 11);
    double ten = npi_loss_p_all_lost(&loss, 10);
    EXPECT("Eleven of eleven: 2.4e-7.", is_about(eleven, 1.0 / (1 << 22)));
    EXPECT("Ten of eleven: 4.8e-7.", is_about(ten, 1.0 / (1 << 21)));
    EXPECT("Eleven copies prove the silence, since 2.4e-7 is below 3e-7.",
           npi_silence_holds(&loss, 11, NPI_SILENCE_FILTERING));
    EXPECT("Ten copies do not: 4.8e-7 is not.", !npi_silence_holds(&loss, 10, NPI_SILENCE_FILTERING));
}

/* More silence is less likely to be loss; the more was lost the likelier; the more was answered the less. */
static void bound_is_monotone(void **state)
{
    (void)state;
    for (uint32_t answered = 1; answered <= 20; answered++) {
        for (uint32_t lost = 0; lost <= 20; lost++) {
            for (uint32_t n = 1; n <= NPI_COPIES_MAX; n++) {
                const npi_loss here = {answered, lost};
                const npi_loss more_answered = {answered + 1, lost};
                const npi_loss more_lost = {answered, lost + 1};
                double p = npi_loss_p_all_lost(&here, n);
                assert_true(p > 0.0 && p < 1.0);
                assert_true(p < npi_loss_p_all_lost(&here, n - 1));
                assert_true(p > npi_loss_p_all_lost(&more_answered, n));
                assert_true(p <= npi_loss_p_all_lost(&more_lost, n) * 1.000001);
            }
        }
    }
}

static void bound_at_its_ends(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        npi_loss loss;
        uint32_t n;
        double at_least, at_most;
    } rows[] = {
        {"The silence of no copy is certain.", {7, 3}, 0, 1.0, 1.0},
        {"Where nothing was answered loss explains any silence.", {0, 10}, 10, 1.0, 1.0},
        {"Where nothing is known it does as well.", {0, 0}, 30, 1.0, 1.0},
        {"0.3 to the 8th is 6.6e-5.", {700, 300}, 8, 3e-5, 6.6e-5},
        {"0.3 to the 14th is 4.8e-8.", {700, 300}, 14, 2e-8, 1e-6},
        {"The largest counts stay finite.", {UINT32_MAX, 0}, NPI_COPIES_MAX, 0.0, 1e-100},
        {"And so do losses without an answer.", {0, 100000}, NPI_COPIES_MAX, 1.0, 1.0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        double p = npi_loss_p_all_lost(&rows[i].loss, rows[i].n);
        EXPECT(rows[i].sentence, p >= rows[i].at_least && p <= rows[i].at_most);
    }
}

static void more_than_two_in_three_lost_is_extreme(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        npi_loss loss;
        bool extreme;
    } rows[] = {
        {"Nothing known is not extreme.", {0, 0}, false},
        {"One lost may be chance.", {0, 1}, false},
        {"Two lost and none answered is extreme.", {0, 2}, true},
        {"Three lost for one answered is twice and one: not yet.", {1, 3}, false},
        {"Four lost for one answered is more.", {1, 4}, true},
        {"Eleven lost for five answered is not yet.", {5, 11}, false},
        {"Twelve lost for five answered is.", {5, 12}, true},
        {"No loss is not extreme.", {50, 0}, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        EXPECT_EQUAL(rows[i].sentence, npi_loss_is_extreme(&rows[i].loss), rows[i].extreme);
}

static void limit_is_ten_times_stricter_where_a_third_is_lost(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        npi_loss loss;
        double share; /* of the limit that has to be reached */
    } rows[] = {
        {"Without losses the limit holds as it is.", {10, 0}, 1.0},
        {"Where a third is lost it still does.", {10, 5}, 1.0},
        {"Where more than a third is lost a tenth of it counts.", {9, 5}, 0.1},
        {"One more lost of as many answered is more than a third.", {10, 6}, 0.1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        double limit = npi_loss_p_all_lost(&rows[i].loss, 9) / rows[i].share;
        EXPECT(rows[i].sentence, npi_silence_holds(&rows[i].loss, 9, limit * 1.001));
        EXPECT(rows[i].sentence, !npi_silence_holds(&rows[i].loss, 9, limit * 0.999));
    }
    const npi_loss clean = {10, 0};
    EXPECT("A probability of exactly the limit is not below it.",
           !npi_silence_holds(&clean, 9, npi_loss_p_all_lost(&clean, 9)));
}

/* ---- What the path loses ---------------------------------------------------------------------------------------- */

typedef enum where { FILTERING, SERVER, CONTROL } where;

static npi_exchange *exchange_at(build *b, where place, int index)
{
    if (place == SERVER)
        return &b->servers[0].x[index];
    return place == FILTERING ? &b->trials[0].filtering.x[index] : build_ask(b, &b->trials[0], index);
}

/* A request of three copies with so many answers, on a path of which nothing else is known. */
static npi_loss loss_with(where place, int index, unsigned answers, npi_change iii, npi_stun_dialect dialect)
{
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    s->dialect = dialect;
    t->filtering.iii.outcome = iii;
    npi_exchange *x = exchange_at(&b, place, index);
    build_send_copies(x, 3, AT(0), GAP);
    build_answer_copies(x, answers, RTT);
    build_now(&b, AT(LATE));
    return npi_silence_path_loss(&b.f, t);
}

static void path_loss_is_of_requests_that_no_nat_filters(void **state)
{
    (void)state;
    const npi_stun_dialect modern = NPI_STUN_RFC8489;
    const npi_stun_dialect old = NPI_STUN_RFC3489;
    const npi_change pending = NPI_CHANGE_PENDING;
    const struct {
        const char *sentence;
        where place;
        int index;
        unsigned answers;
        npi_change iii;
        npi_stun_dialect dialect;
        npi_loss wanted;
    } rows[] = {
        {"I of the filtering socket counts.", FILTERING, NPI_F_I, 1, pending, modern, {1, 2}},
        {"It counts without an answer as well.", FILTERING, NPI_F_I, 0, pending, modern, {0, 3}},
        {"II may be filtered.", FILTERING, NPI_F_II, 0, pending, modern, {0, 0}},
        {"III may be filtered.", FILTERING, NPI_F_III, 0, pending, modern, {0, 0}},
        {"III that was called silent may be.", FILTERING, NPI_F_III, 0, NPI_CHANGE_SILENT, modern, {0, 0}},
        {"III that was honoured is not.", FILTERING, NPI_F_III, 2, NPI_CHANGE_HONOURED, modern, {2, 1}},
        {"III that was answered otherwise does not count.",
         FILTERING,
         NPI_F_III,
         2,
         NPI_CHANGE_IGNORED,
         modern,
         {0, 0}},
        {"The second transaction is a filtering test.", FILTERING, NPI_F_SECOND, 2, pending, modern, {0, 0}},
        {"I of the source socket counts.", SERVER, NPI_PRIMARY, 1, pending, modern, {1, 2}},
        {"A server of RFC 3489 may pass over it.", SERVER, NPI_PRIMARY, 0, pending, old, {0, 0}},
        {"There the request in that form counts.", SERVER, NPI_RFC3489, 1, pending, old, {1, 2}},
        {"Elsewhere that form does not.", SERVER, NPI_RFC3489, 0, pending, modern, {0, 0}},
        {"A recheck counts.", SERVER, NPI_RECHECK, 1, pending, modern, {1, 2}},
        {"An unanswered mapping request may have found nobody.", CONTROL, NPI_M_BP, 0, pending, modern, {0, 0}},
        {"An answered one tells of losses: B:P.", CONTROL, NPI_M_BP, 1, pending, modern, {1, 2}},
        {"B:Q as well.", CONTROL, NPI_M_BQ, 2, pending, modern, {2, 1}},
        {"A:Q as well.", CONTROL, NPI_M_AQ, 3, pending, modern, {3, 0}},
        {"An answered control as well: II.", CONTROL, NPI_C_II, 1, pending, modern, {1, 2}},
        {"Or III.", CONTROL, NPI_C_III, 1, pending, modern, {1, 2}},
        {"A silent control does not.", CONTROL, NPI_C_III, 0, pending, modern, {0, 0}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_loss loss = loss_with(rows[i].place, rows[i].index, rows[i].answers, rows[i].iii, rows[i].dialect);
        EXPECT_EQUAL(rows[i].sentence, loss.answered, rows[i].wanted.answered);
        EXPECT_EQUAL(rows[i].sentence, loss.lost, rows[i].wanted.lost);
    }
}

/* One request of each kind, with two copies of which one was answered, and another close behind. */
static void path_loss_takes_age_and_duplicates_into_account(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    npi_exchange *counted[] = {&t->filtering.x[NPI_F_I], &t->filtering.x[NPI_F_III], &s->x[NPI_PRIMARY],
                               &s->x[NPI_RECHECK], build_ask(&b, t, NPI_M_BP)};
    for (size_t i = 0; i < COUNT(counted); i++) {
        build_send_copies(counted[i], 3, AT(0), GAP);
        build_answer(counted[i], AT(RTT));
        build_answer(counted[i], AT(RTT) + 1);
    }
    build_now(&b, AT(20 + RTO) - 1);
    EXPECT_EQUAL("The third copies are not yet as old as the rto.", npi_silence_path_loss(&b.f, t).lost, 0);
    build_now(&b, AT(20 + RTO));
    EXPECT_EQUAL("Then each is lost.", npi_silence_path_loss(&b.f, t).lost, COUNT(counted));
    EXPECT_EQUAL("The two answers count.", npi_silence_path_loss(&b.f, t).answered, 2 * COUNT(counted));
    b.f.duplicated = true;
    EXPECT_EQUAL("On a path with duplicates one of each does.", npi_silence_path_loss(&b.f, t).answered,
                 COUNT(counted));
}

/* Six copies of I on the filtering socket, and two of the source socket's: how many answers each has brought. */
static void losses_with_a_server_that_repeats_are_the_most_there_may_be(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned filtering, source;
        bool hides;
        npi_loss wanted;
    } rows[] = {
        {"Where no losses are hidden each answer is of a copy.", 6, 2, false, {8, 0}},
        {"Where it is not seen how often a server repeats, it may be two and a half times.", 6, 2, true, {4, 4}},
        {"Twice is seen, two and a half times may be: a fifth may be lost.", 12, 4, true, {7, 1}},
        {"The other request tells how often: twice is seen.", 6, 4, true, {5, 3}},
        {"Four times is seen, four and a half may be.", 5, 8, true, {4, 4}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_server *s = build_answering_server(&b, RTT);
        npi_trial *t = build_trial(&b, s);
        s->hides_losses = rows[i].hides;
        build_send_copies(&t->filtering.x[NPI_F_I], 6, AT(0), GAP);
        build_send_copies(&s->x[NPI_PRIMARY], 2, AT(0), GAP);
        for (unsigned n = 0; n < rows[i].filtering; n++)
            build_answer(&t->filtering.x[NPI_F_I], AT(100 + 10 * n));
        for (unsigned n = 0; n < rows[i].source; n++)
            build_answer(&s->x[NPI_PRIMARY], AT(100 + 10 * n));
        build_now(&b, AT(LATE));
        npi_loss loss = npi_silence_path_loss(&b.f, t);
        EXPECT_EQUAL(rows[i].sentence, loss.answered, rows[i].wanted.answered);
        EXPECT_EQUAL(rows[i].sentence, loss.lost, rows[i].wanted.lost);
    }
}

/* Copies that left while the path was asleep are neither lost nor silent. */
static void what_was_asked_before_the_path_woke_up_does_not_count(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    build_send_copies(&t->filtering.x[NPI_F_I], 3, AT(10), GAP);
    build_send_copies(&t->filtering.x[NPI_F_III], 5, AT(0), GAP);
    build_now(&b, AT(LATE));
    s->woke_ns = AT(10);
    EXPECT_EQUAL("A request that began then counts.", npi_silence_path_loss(&b.f, t).lost, 3);
    EXPECT_EQUAL("Of the silent test the copies from then on do.", npi_silence_copies(&b.f, t), 4);
    s->woke_ns = AT(10) + 1;
    EXPECT_EQUAL("A request that began before does not: nobody knows which copy was answered.",
                 npi_silence_path_loss(&b.f, t).lost, 0);
    EXPECT_EQUAL("Nor do copies before.", npi_silence_copies(&b.f, t), 3);
}

/* ---- The test that carries the proof ---------------------------------------------------------------------------- */

static void iii_carries_the_proof_until_it_is_honoured(void **state)
{
    (void)state;
    const uint32_t both = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    static const struct {
        const char *sentence;
        npi_change iii;
        bool by_iii;
    } rows[] = {
        {"While III is not decided it carries the proof.", NPI_CHANGE_PENDING, true},
        {"III that is silent does: a filter that stops it stops II.", NPI_CHANGE_SILENT, true},
        {"Once III has come through II carries it.", NPI_CHANGE_HONOURED, false},
        {"An answer that tells of the server proves nothing of III.", NPI_CHANGE_IGNORED, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *sentence = rows[i].sentence;
        bool by_iii = rows[i].by_iii;
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        npi_filtering *p = &t->filtering;
        p->iii.outcome = rows[i].iii;
        EXPECT_EQUAL(sentence, npi_silence_rests_on_iii(p), by_iii);
        EXPECT(sentence, npi_silence_proof(p) == &p->x[by_iii ? NPI_F_III : NPI_F_II]);
        build_send_copies(&p->x[NPI_F_II], 3, AT(0), GAP);
        build_send_copies(&p->x[NPI_F_III], 5, AT(0), GAP);
        EXPECT_EQUAL(sentence, npi_silence_copies(&b.f, t), by_iii ? 5 : 3);
        p->x[NPI_F_SECOND].change = by_iii ? NPI_STUN_CHANGE_PORT : both;
        EXPECT("A second transaction that has not begun is none.", !npi_silence_has_second(p));
        build_send_copies(&p->x[NPI_F_SECOND], 4, AT(0), GAP);
        EXPECT(sentence, npi_silence_has_second(p));
        EXPECT_EQUAL("Copies of a second transaction of the same test add to it.", npi_silence_copies(&b.f, t),
                     by_iii ? 9 : 7);
        p->x[NPI_F_SECOND].change = by_iii ? both : NPI_STUN_CHANGE_PORT;
        EXPECT("A second transaction of the other test is none of this one.", !npi_silence_has_second(p));
        EXPECT_EQUAL("Its copies do not count.", npi_silence_copies(&b.f, t), by_iii ? 5 : 3);
    }
}

static void few_copies_are_short_however_few_were_lost(void **state)
{
    (void)state;
    npi_server s = {.repeats = false};
    EXPECT("Six copies are too few.", npi_silence_is_short(&s, 6));
    EXPECT("Seven are enough.", !npi_silence_is_short(&s, 7));
    s.repeats = true;
    EXPECT("A server that repeats its answers hides losses: 17 are too few.", npi_silence_is_short(&s, 17));
    EXPECT("18 are enough.", !npi_silence_is_short(&s, 18));
}

/* ---- Is it enough? ---------------------------------------------------------------------------------------------- */

#define NOT_WITHIN 200 /* copies that prove what can be proven */

typedef struct path {
    unsigned answered; /* copies of I */
    unsigned lost;
    unsigned under_way;
} path;

static npi_trial *trial_on(build *b, const path *of)
{
    build_init(b);
    npi_trial *t = build_trial(b, build_answering_server(b, RTT));
    npi_exchange *i = &t->filtering.x[NPI_F_I];
    build_send_copies(i, of->answered + of->lost, AT(0), GAP);
    build_answer_copies(i, of->answered, RTT);
    build_now(b, AT(1000));
    build_send_copies(i, of->under_way, AT(1000), 0);
    return t;
}

/* Each answer comes twice more. */
static void repeat_answers(build *b, npi_trial *t, const path *of)
{
    b->servers[0].repeats = true;
    b->servers[0].hides_losses = true;
    for (unsigned n = 0; n < 2 * of->answered; n++)
        build_answer(&t->filtering.x[NPI_F_I], AT(600 + n));
}

/* How many silent copies prove the silence; from there on every number does. */
static uint32_t copies_needed(const npi_facts *f, const npi_trial *t, uint32_t plain)
{
    uint32_t needed = NOT_WITHIN;
    while (needed > 0 && npi_silence_is_enough_with(f, t, plain, needed - 1))
        needed--;
    for (uint32_t n = 0; n < needed; n++)
        assert_false(npi_silence_is_enough_with(f, t, plain, n));
    return needed;
}

/* The numbers follow from the formula of docs/METHOD.md section 5, worked out apart from the library. */
static void so_many_silent_copies_prove_it(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        path of;
        uint32_t plain;
        bool extended, repeats;
        uint32_t needed;
    } rows[] = {
        {"Six plain requests answered, five expected: eleven copies.", {6, 0, 0}, 0, false, false, 11},
        {"With five answered it takes twelve.", {5, 0, 0}, 0, false, false, 12},
        {"With seven answered it takes ten.", {7, 0, 0}, 0, false, false, 10},
        {"Without losses a copy under way is expected to be answered.", {5, 0, 1}, 0, false, false, 11},
        {"And so is one not sent yet.", {5, 0, 0}, 1, false, false, 11},
        {"Two of them count as two.", {4, 0, 1}, 1, false, false, 11},
        {"Before the first answer six copies on their way count as six.", {0, 0, 6}, 0, false, false, 11},
        {"One loss is expected again, and 1.5e-6 is enough.", {6, 1, 0}, 0, false, false, 14},
        {"Losses among those expected are rounded up.", {12, 3, 0}, 0, false, false, 13},
        {"Two losses are expected to be three.", {12, 2, 0}, 0, false, false, 11},
        {"After a loss a copy under way counts as lost unless the answered outweigh it.",
         {5, 1, 1},
         0,
         false,
         false,
         20},
        {"Seven more fare like the seven before: one of them is lost.", {6, 1, 3}, 4, false, false, 11},
        {"Four more after half were lost: two are answered.", {3, 3, 4}, 0, false, false, 46},
        {"A lone loss and two under way: one of those is answered.", {0, 1, 2}, 0, false, false, 96},
        {"As long as no more than a third is lost the limit stays.", {11, 5, 0}, 0, false, false, 17},
        {"Where more is lost it is ten times stricter.", {10, 5, 0}, 0, false, false, 24},
        {"However few copies the bound would take, seven have to be silent.", {25, 0, 0}, 0, false, false, 7},
        {"With a server that answers three times some may be lost, and 18 have to be silent.",
         {25, 0, 0},
         0,
         false,
         true,
         18},
        {"After the mapping phase nothing more is expected, and 2e-6 is enough.", {7, 0, 0}, 0, true, false, 14},
        {"There a loss counts once.", {6, 1, 0}, 0, true, false, 24},
        {"Eleven lost for five answered may be proven yet.", {5, 11, 0}, 0, false, false, 79},
        {"Twelve lost for five answered is extreme: no silence is proven.", {5, 12, 0}, 0, false, false, NOT_WITHIN},
        {"Extreme losses prove nothing after the mapping phase either.", {5, 12, 0}, 0, true, false, NOT_WITHIN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_on(&b, &rows[i].of);
        t->filtering.extended = rows[i].extended;
        if (rows[i].repeats)
            repeat_answers(&b, t, &rows[i].of);
        EXPECT_EQUAL(rows[i].sentence, copies_needed(&b.f, t, rows[i].plain), rows[i].needed);
    }
}

/* ---- All looks together ----------------------------------------------------------------------------------------- */

#define MOST_PLAIN 48
#define MOST_SILENT 62
#define MOST_LOST_LATER 15 /* in the mapping phase; whatever is more makes any silence doubtful */

/* So many copies of I, of which some were lost, and so many of III. All are old. */
static void set_copies(build *b, uint32_t plain, uint32_t lost, uint32_t silent)
{
    npi_filtering *p = &b->trials[0].filtering;
    p->x[NPI_F_I].t.sent = plain;
    p->x[NPI_F_I].t.answers = plain - lost;
    p->x[NPI_F_III].t.sent = silent;
}

/* The probability that k of the copies are lost before the mapping phase's five requests are answered. */
static double lost_later(double p, uint32_t k)
{
    double chance = (1 - p) * (1 - p) * (1 - p) * (1 - p) * (1 - p);
    for (uint32_t i = 1; i <= k; i++)
        chance *= p * (i + 4) / i;
    return chance;
}

/* The probability that a silence that was passed over by chance outlives what the mapping phase shows of losses. */
static double outlives_mapping(build *b, double p, uint32_t plain, uint32_t lost, uint32_t silent)
{
    double chance = 0.0;
    for (uint32_t k = 0; k < MOST_LOST_LATER && plain + 5 + k <= NPI_COPIES_MAX; k++) {
        set_copies(b, plain + 5 + k, lost + k, silent);
        if (!npi_silence_is_doubtful(&b->f, &b->trials[0]))
            chance += lost_later(p, k);
    }
    return chance;
}

typedef struct chances {
    double passed;   /* the filtering phase takes loss for filtering */
    double outlived; /* so does the check, when the mapping phase is over */
} chances;

/*
 * Nothing is filtered, and each copy is lost with probability p. After each copy it is looked whether the silence of
 * all copies of III so far is proven. so_far[k] is the probability that it has not been, that each copy of III was
 * lost, and k of those of I. The first nine are of I and III by turns, as the first rounds are; then each of I is
 * followed by so many of III: two in every other round, or four where a second transaction doubles them.
 */
static chances false_silence(build *b, double p, uint32_t silent)
{
    double so_far[MOST_PLAIN + 1] = {1.0};
    chances all = {0.0, 0.0};
    uint32_t sent = 0;
    uint32_t sent_silent = 0;
    for (uint32_t turn = 0; sent < MOST_PLAIN && sent_silent < MOST_SILENT; turn++) {
        bool is_plain = turn < 9 ? turn % 2 == 0 : (turn - 9) % (1 + silent) == 0;
        sent += is_plain;
        sent_silent += !is_plain;
        for (uint32_t k = sent + 1; k-- > 0;) {
            double from_fewer = is_plain && k > 0 ? so_far[k - 1] * p : 0.0;
            so_far[k] = is_plain ? so_far[k] * (1 - p) + from_fewer : so_far[k] * p;
            set_copies(b, sent, k, sent_silent);
            if (sent_silent == 0 || so_far[k] <= 0.0 || !npi_silence_is_enough_with(&b->f, &b->trials[0], 0, 0))
                continue;
            all.passed += so_far[k];
            all.outlived += so_far[k] * outlives_mapping(b, p, sent, k, sent_silent);
            so_far[k] = 0.0;
        }
    }
    return all;
}

/* The largest of some values, and where it was found. */
typedef struct peak {
    double value;
    unsigned percent;
} peak;

static void raise_peak(peak *p, double value, unsigned percent)
{
    if (value > p->value)
        *p = (peak){value, percent};
}

/*
 * The mean over the rates of loss that the simulator draws (draw_losses() in tests/sim/world.c): each direction has one
 * of these, and in half of the worlds both have the same.
 */
static double mean_over_worlds(build *b, uint32_t silent)
{
    static const double rates[] = {0, 0, 0, 0.01, 0.05, 0.1, 0.1, 0.2, 0.3};
    double sum = 0.0;
    for (size_t up = 0; up < COUNT(rates); up++) {
        for (size_t down = 0; down < COUNT(rates); down++) {
            double share = (0.5 / COUNT(rates) + (up == down ? 0.5 : 0.0)) / COUNT(rates);
            sum += share * false_silence(b, 1 - (1 - rates[up]) * (1 - rates[down]), silent).outlived;
        }
    }
    return sum;
}

/* The bound holds for one look. What is promised is a bound for all looks together, at any rate of loss. */
static void all_looks_together_stay_below_the_total(void **state)
{
    (void)state;
    static build b;
    peak passed = {0.0, 0};
    peak outlived = {0.0, 0};
    peak at_a_quarter = {0.0, 0};
    npi_trial *t = trial_on(&b, &(path){1, 0, 0});
    build_send(&t->filtering.x[NPI_F_III], AT(0));
    t->filtering.ii.outcome = NPI_CHANGE_SILENT;
    t->finding.filtering = NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    memset(t->filtering.x[NPI_F_I].t.sent_us, 0, sizeof t->filtering.x[NPI_F_I].t.sent_us);
    build_now(&b, AT(LATE));
    for (uint32_t silent = 1; silent <= 4; silent++) {
        for (unsigned percent = 5; percent < 100; percent += 5) {
            chances c = false_silence(&b, percent / 100.0, silent);
            raise_peak(&passed, c.passed, percent);
            raise_peak(&outlived, c.outlived, percent);
            if (percent <= 25)
                raise_peak(&at_a_quarter, c.outlived, percent);
        }
    }
    double mean = mean_over_worlds(&b, 2);
    EXPECT("In the simulator's worlds it outlives the mapping phase.", mean < NPI_SILENCE_TOTAL_MEAN);
    EXPECT("Nearly as often as is said of them.", mean > 0.8 * NPI_SILENCE_TOTAL_MEAN);
    EXPECT("Loss alone passes the filtering phase.", passed.value < NPI_SILENCE_TOTAL_PHASE);
    EXPECT("And it does so nearly as often as is said.", passed.value > 0.8 * NPI_SILENCE_TOTAL_PHASE);
    EXPECT_EQUAL("Most often where 70 % is lost.", passed.percent, 70);
    EXPECT("It outlives the mapping phase.", outlived.value < NPI_SILENCE_TOTAL);
    EXPECT("Nearly as often as is said.", outlived.value > 0.8 * NPI_SILENCE_TOTAL);
    EXPECT_EQUAL("Most often where 60 % is lost.", outlived.percent, 60);
    EXPECT("Where a quarter is lost at most.", at_a_quarter.value < NPI_SILENCE_TOTAL_QUARTER);
    EXPECT("Nearly as often as is said there.", at_a_quarter.value > 0.8 * NPI_SILENCE_TOTAL_QUARTER);
}

/* ---- Servers that ration their answers -------------------------------------------------------------------------- */

/* Copies 10 ms apart from AT(0) on; the answers so many ms after AT(0). */
static void answers_to_copies_that_left_together_exclude_rations(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        unsigned copies, more, more_ms; /* and more copies, then */
        npi_burst burst;
        unsigned answers, apart_ms;
        unsigned now_ms;
        npi_ration says;
    } rows[] = {
        {"Both of a pair are answered: no ration.", 2, 0, 0, {2, 2, 0, 0}, 2, 10, 50, NPI_RATION_EXCLUDED},
        {"One of a pair: the other may come.", 2, 0, 0, {2, 2, 0, 0}, 1, 0, 25, NPI_RATION_OPEN},
        {"One of a pair: more copies may tell.", 2, 0, 0, {2, 2, 0, 0}, 1, 0, 500, NPI_RATION_OPEN},
        {"Two at once: the path has doubled one.", 2, 0, 0, {2, 2, 0, 0}, 2, 1, 50, NPI_RATION_OPEN},
        {"Where three are needed two are not enough.", 6, 0, 0, {6, 3, 0, 0}, 2, 10, 50, NPI_RATION_OPEN},
        {"Three are.", 6, 0, 0, {6, 3, 0, 0}, 3, 10, 50, NPI_RATION_EXCLUDED},
        {"Answers before a burst do not count.", 8, 0, 0, {6, 3, 2, 1}, 3, 10, 100, NPI_RATION_OPEN},
        {"Those behind it do.", 8, 0, 0, {6, 3, 2, 1}, 4, 10, 100, NPI_RATION_EXCLUDED},
        {"Copies 200 ms apart may have had one answer each.", 2, 4, 220, {64, 2, 0, 0}, 2, 70, 300, NPI_RATION_OPEN},
        {"More than that they cannot.", 2, 4, 220, {64, 2, 0, 0}, 3, 70, 300, NPI_RATION_EXCLUDED},
        {"Copies that a slow system spreads, each answered: those nearest each other tell.",
         2,
         2,
         40,
         {64, 2, 0, 0},
         4,
         40,
         300,
         NPI_RATION_EXCLUDED},
        {"A copy too young for an answer changes nothing.", 2, 1, 200, {2, 2, 0, 0}, 2, 10, 205, NPI_RATION_EXCLUDED},
        {"A copy that may have been answered instead does.", 2, 1, 200, {2, 2, 0, 0}, 2, 10, 221, NPI_RATION_OPEN},
        {"All copies that there may be, and one answered: rations.",
         26,
         0,
         0,
         {6, 3, 20, 1},
         2,
         10,
         600,
         NPI_RATION_LIKELY},
        {"While the last of them is under way nothing is said.", 26, 0, 0, {6, 3, 20, 1}, 2, 10, 260, NPI_RATION_OPEN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_on(&b, &(path){0, 0, 0});
        npi_exchange *x = &t->control.x[NPI_C_III];
        build_send_copies(x, rows[i].copies, AT(0), GAP);
        for (unsigned k = 0; k < rows[i].more; k++)
            build_send(x, AT(rows[i].more_ms + 10 * k));
        for (unsigned k = 0; k < rows[i].answers; k++)
            build_answer(x, AT(RTT + k * rows[i].apart_ms));
        build_now(&b, AT(rows[i].now_ms));
        EXPECT_EQUAL(rows[i].sentence, npi_silence_ration(&b.f, t, &x->t, &rows[i].burst, RTO * NPI_MS), rows[i].says);
    }
}

static void a_burst_goes_on_until_it_is_complete(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = trial_on(&b, &(path){6, 0, 0});
    npi_exchange *x = &t->control.x[NPI_C_III];
    npi_burst pair = npi_silence_first_burst(&b.f, t);
    EXPECT_EQUAL("On a steady way a pair is enough.", pair.size, 2);
    EXPECT_EQUAL("Both have to be answered.", pair.least, 2);
    build_send(x, AT(0));
    EXPECT_TIME("Its second copy follows 10 ms later.", npi_silence_burst_ns(&x->t, &pair, RTO * NPI_MS), AT(10));
    EXPECT_EQUAL("It belongs to the pair.", npi_silence_burst(&b.f, &x->t, &pair).sent, 0);
    build_send(x, AT(10));
    EXPECT_TIME("A new burst waits until no answer is expected.", npi_silence_burst_ns(&x->t, &pair, RTO * NPI_MS),
                AT(10 + RTO));
    EXPECT_EQUAL("Unanswered, it is a pair again.", npi_silence_burst(&b.f, &x->t, &pair).size, 2);
    build_answer(x, AT(RTT));
    npi_burst next = npi_silence_burst(&b.f, &x->t, &pair);
    EXPECT_EQUAL("Once some answer has come it is larger.", next.size, 6);
    EXPECT_EQUAL("The copies before do not count.", next.sent, 2);
    EXPECT_EQUAL("Nor does the answer before.", next.answers, 1);
    for (unsigned i = 0; i < next.size; i++)
        build_send(x, AT(100 + 10 * i));
    EXPECT_TIME("Behind it there is a pause.", npi_silence_burst_ns(&x->t, &next, RTO * NPI_MS), AT(650));
    b.servers[0].rtt.deviation_ns = 3 * NPI_MS;
    EXPECT_EQUAL("Where the round trip varies a doubled answer does not show: three.",
                 npi_silence_first_burst(&b.f, t).least, 3);
    t = trial_on(&b, &(path){6, 1, 0});
    EXPECT_EQUAL("Where losses have been seen the first burst is larger.", npi_silence_first_burst(&b.f, t).size, 6);
}

static void copies_sent_and_copies_to_come_prove_the_same(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = trial_on(&b, &(path){6, 0, 0});
    build_send_copies(&t->filtering.x[NPI_F_II], 20, AT(0), GAP);
    EXPECT("Copies of II prove nothing while III carries the proof.", !npi_silence_is_enough_with(&b.f, t, 0, 10));
    build_send_copies(&t->filtering.x[NPI_F_III], 8, AT(0), GAP);
    EXPECT("Eight sent and two to come are not enough.", !npi_silence_is_enough_with(&b.f, t, 0, 2));
    EXPECT("Eight sent and three to come are.", npi_silence_is_enough_with(&b.f, t, 0, 3));
    t->filtering.x[NPI_F_SECOND].change = NPI_STUN_CHANGE_PORT;
    build_send_copies(&t->filtering.x[NPI_F_SECOND], 3, AT(0), GAP);
    EXPECT("A second transaction adds to them.", npi_silence_is_enough_with(&b.f, t, 0, 0));
}

static void answered_copy_is_not_under_way(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = trial_on(&b, &(path){6, 0, 0});
    build_now(&b, AT(50 + RTT));
    EXPECT_EQUAL("Six answered, the last of them younger than the rto, are six.", copies_needed(&b.f, t, 0), 11);
}

/* Once III has come through it is as good as I: three answered, and so many of its copies under way. */
static void honoured_iii_counts_as_a_plain_request(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = trial_on(&b, &(path){3, 0, 0});
    npi_exchange *iii = &t->filtering.x[NPI_F_III];
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    build_send_copies(iii, 2, AT(0), GAP);
    build_answer_copies(iii, 2, RTT);
    EXPECT_EQUAL("Three of I and two of III are five answered.", copies_needed(&b.f, t, 0), 12);
    build_send(iii, AT(1000));
    EXPECT_EQUAL("A copy of III under way is expected to be answered.", copies_needed(&b.f, t, 0), 11);
    t->filtering.iii.outcome = NPI_CHANGE_PENDING;
    EXPECT_EQUAL("While III is not decided neither counts, and its own three copies are silent ones.",
                 copies_needed(&b.f, t, 2), 12 - 3);
}

/* ---- With all that is known in the end -------------------------------------------------------------------------- */

static void proven_silence_becomes_doubtful_with_more_losses(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        path of;
        unsigned copies;
        bool repeats;
        bool doubtful;
    } rows[] = {
        {"Eight of eight are 1.5e-5, below 2e-5.", {8, 0, 0}, 8, false, false},
        {"Seven of eight are 3.1e-5.", {8, 0, 0}, 7, false, true},
        {"Two losses of twelve: eleven copies hold.", {10, 2, 0}, 11, false, false},
        {"Nine do not.", {10, 2, 0}, 9, false, true},
        {"A third lost: 15 copies hold.", {10, 5, 0}, 15, false, false},
        {"More than a third: 24 are needed.", {10, 6, 0}, 24, false, false},
        {"23 do not hold there.", {10, 6, 0}, 23, false, true},
        {"With a loss seven copies at least have to be silent.", {50, 1, 0}, 6, false, true},
        {"Seven are enough.", {50, 1, 0}, 7, false, false},
        {"Without a loss six may be.", {50, 0, 0}, 6, false, false},
        {"A loss with a server that repeats its answers: 17 are too few.", {40, 1, 0}, 17, true, true},
        {"18 are enough.", {40, 1, 0}, 18, true, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = trial_on(&b, &rows[i].of);
        build_silent(t);
        build_decided(t, NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
        if (rows[i].repeats)
            repeat_answers(&b, t, &rows[i].of);
        build_send_copies(&t->filtering.x[NPI_F_III], rows[i].copies, AT(0), GAP);
        EXPECT_EQUAL(rows[i].sentence, npi_silence_is_doubtful(&b.f, t), rows[i].doubtful);
    }
}

static void only_a_verdict_from_silence_becomes_doubtful(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = trial_on(&b, &(path){8, 0, 0});
    build_silent(t);
    build_decided(t, NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    build_send(&t->filtering.x[NPI_F_III], AT(0));
    EXPECT("One silent copy proves nothing.", npi_silence_is_doubtful(&b.f, t));
    t->finding.filtering = NP_BEHAVIOUR_UNKNOWN;
    EXPECT("Where nothing was concluded nothing is doubtful.", !npi_silence_is_doubtful(&b.f, t));
    t->finding.filtering = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    t->filtering.ii.outcome = NPI_CHANGE_HONOURED;
    EXPECT("What rests on an answer is not doubtful.", !npi_silence_is_doubtful(&b.f, t));
}

/* ---- When to look ----------------------------------------------------------------------------------------------- */

static void ready_when_the_last_copy_of_the_filtering_socket_is_old(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    EXPECT_TIME("Before the first copy there is nothing to wait for.", npi_silence_ready_ns(&b.f, t), NPI_NOW);
    build_send(&s->x[NPI_PRIMARY], AT(500));
    EXPECT_TIME("The source socket is waited for elsewhere.", npi_silence_ready_ns(&b.f, t), NPI_NOW);
    static const int order[] = {NPI_F_III, NPI_F_I, NPI_F_SECOND, NPI_F_II};
    for (unsigned i = 0; i < COUNT(order); i++) {
        build_send(&t->filtering.x[order[i]], AT(0));
        build_send(&t->filtering.x[order[i]], AT(10 * i + 5));
        EXPECT_TIME("The latest copy of any test has to reach the rto.", npi_silence_ready_ns(&b.f, t),
                    AT(10 * i + 5 + RTO));
    }
    t->filtering.x[NPI_F_II].t.started = false;
    EXPECT_TIME("A request that has not begun is not waited for.", npi_silence_ready_ns(&b.f, t), AT(25 + RTO));
    s->rtt.samples = 0;
    EXPECT_TIME("While the round trip is unknown no copy is old.", npi_silence_ready_ns(&b.f, t), NPI_NEVER);
}

/* Once B has answered a plain request it is known how far it is. */
static void an_answer_from_a_farther_b_is_waited_for_while_ii_carries_the_proof(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
    build_send(&t->filtering.x[NPI_F_II], AT(0));
    build_send(&t->filtering.x[NPI_F_III], AT(0));
    build_rtt(&t->alternate_rtt, 3 * RTT);
    EXPECT_TIME("III comes from A.", npi_silence_ready_ns(&b.f, t), AT(RTO));
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    EXPECT_TIME("II comes from B.", npi_silence_ready_ns(&b.f, t), AT(0) + npi_rtt_rto(&t->alternate_rtt));
    build_rtt(&t->alternate_rtt, RTT / 2);
    EXPECT_TIME("B may be nearer.", npi_silence_ready_ns(&b.f, t), AT(RTO));
}

static void next_loss_is_that_of_the_oldest_copy_still_young(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    EXPECT_TIME("Before the first copy none can be lost.", npi_silence_next_loss_ns(&b.f, t), NPI_NEVER);
    const struct {
        const char *sentence;
        npi_exchange *x;
    } rows[] = {
        {"The last filtering test.", &t->filtering.x[NPI_F_SECOND]},
        {"I from before a late start was looked into.", &t->filtering.late},
        {"The first filtering test is older.", &t->filtering.x[NPI_F_I]},
        {"The last of the control.", build_ask(&b, t, NPI_C_III)},
        {"The first of the mapping requests.", build_ask(&b, t, NPI_M_BP)},
        {"The recheck.", &s->x[NPI_RECHECK]},
        {"The first request of all.", &s->x[NPI_PRIMARY]},
    };
    for (unsigned i = 0; i < COUNT(rows); i++) { /* each one older than those before */
        build_send(rows[i].x, AT(90 - 10 * i));
        EXPECT_TIME(rows[i].sentence, npi_silence_next_loss_ns(&b.f, t), AT(90 - 10 * i + RTO));
    }
    build_now(&b, AT(40 + RTO));
    EXPECT_TIME("A copy that is old already is not waited for.", npi_silence_next_loss_ns(&b.f, t), AT(50 + RTO));
    build_now(&b, AT(90 + RTO));
    EXPECT_TIME("When all are old nothing is.", npi_silence_next_loss_ns(&b.f, t), NPI_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_count_as_lost_from_their_age_on),
        cmocka_unit_test(nothing_is_lost_without_a_request_or_a_round_trip),
        cmocka_unit_test(duplicates_are_no_answers_where_the_path_makes_them),
        cmocka_unit_test(answers_of_a_server_that_repeats_count_for_fewer_copies),
        cmocka_unit_test(losses_with_a_server_that_repeats_are_the_most_there_may_be),
        cmocka_unit_test(bound_is_the_highest_chance_at_any_rate_of_loss),
        cmocka_unit_test(bound_without_losses_has_a_closed_form),
        cmocka_unit_test(bound_of_the_worked_example),
        cmocka_unit_test(bound_is_monotone),
        cmocka_unit_test(bound_at_its_ends),
        cmocka_unit_test(more_than_two_in_three_lost_is_extreme),
        cmocka_unit_test(limit_is_ten_times_stricter_where_a_third_is_lost),
        cmocka_unit_test(path_loss_is_of_requests_that_no_nat_filters),
        cmocka_unit_test(what_was_asked_before_the_path_woke_up_does_not_count),
        cmocka_unit_test(path_loss_takes_age_and_duplicates_into_account),
        cmocka_unit_test(iii_carries_the_proof_until_it_is_honoured),
        cmocka_unit_test(few_copies_are_short_however_few_were_lost),
        cmocka_unit_test(so_many_silent_copies_prove_it),
        cmocka_unit_test(all_looks_together_stay_below_the_total),
        cmocka_unit_test(answers_to_copies_that_left_together_exclude_rations),
        cmocka_unit_test(a_burst_goes_on_until_it_is_complete),
        cmocka_unit_test(copies_sent_and_copies_to_come_prove_the_same),
        cmocka_unit_test(answered_copy_is_not_under_way),
        cmocka_unit_test(honoured_iii_counts_as_a_plain_request),
        cmocka_unit_test(proven_silence_becomes_doubtful_with_more_losses),
        cmocka_unit_test(only_a_verdict_from_silence_becomes_doubtful),
        cmocka_unit_test(ready_when_the_last_copy_of_the_filtering_socket_is_old),
        cmocka_unit_test(an_answer_from_a_farther_b_is_waited_for_while_ii_carries_the_proof),
        cmocka_unit_test(next_loss_is_that_of_the_oldest_copy_still_young),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
