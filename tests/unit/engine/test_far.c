/* SPDX-License-Identifier: MIT */
/* far: whether the silence of II may be a burst, since its answers come from a farther address. */
#include "engine/far.h"

#include "build.h"

#define RTT 50 /* the least deviation: 54 ms are the most that an answer from A takes, and 74 that one from B may */

/* II was silent and III was answered, of I one copy was lost, and B:P was answered after the time of the row. */
static npi_trial *begin(build *b, int index, unsigned answered_ms)
{
    build_init(b);
    npi_trial *t = build_trial(b, build_answering_server(b, RTT));
    t->filtering.ii.outcome = NPI_CHANGE_SILENT;
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    build_send_copies(&t->filtering.x[NPI_F_I], 3, AT(0), 10);
    build_answer_copies(&t->filtering.x[NPI_F_I], 2, RTT);
    build_decided(t, NP_BEHAVIOUR_ADDRESS_DEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    npi_exchange *x = build_ask(b, t, index);
    build_send(x, AT(200));
    build_send(x, AT(300));
    if (answered_ms > 0)
        build_answer(x, AT(200 + answered_ms));
    build_now(b, AT(1000));
    return t;
}

static npi_far judge(const build *b, const npi_trial *t)
{
    uint64_t wake_ns = NPI_NEVER;
    return npi_far_judge(&b->f, t, &wake_ns);
}

static void a_silence_stands_once_b_is_known_to_be_near(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        int index;
        unsigned answered_ms; /* 0: not at all */
        npi_far far;
    } rows[] = {
        {"B answered as soon as A may.", NPI_M_BP, 54, NPI_FAR_IS_NOT},
        {"A little later is as near.", NPI_M_BP, 74, NPI_FAR_IS_NOT},
        {"Later than that it may be far.", NPI_M_BP, 75, NPI_FAR_ASK},
        {"An answer to the second copy tells nothing, for it may be one to the first.", NPI_M_BP, 150, NPI_FAR_ASK},
        {"B has not answered.", NPI_M_BP, 0, NPI_FAR_ASK},
        {"B:Q tells it as well.", NPI_M_BQ, 54, NPI_FAR_IS_NOT},
        {"So does II, whose way is open.", NPI_C_II, 54, NPI_FAR_IS_NOT},
        {"A:Q is another address.", NPI_M_AQ, 54, NPI_FAR_ASK},
        {"III comes from there.", NPI_C_III, 54, NPI_FAR_ASK},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        const npi_trial *t = begin(&b, rows[i].index, rows[i].answered_ms);
        EXPECT_EQUAL(rows[i].sentence, judge(&b, t), rows[i].far);
    }
}

static void single_copies_tell_it_one_after_the_other(void **state)
{
    (void)state;
    static build b;
    uint64_t wake_ns = NPI_NEVER;
    npi_trial *t = begin(&b, NPI_M_BP, 0);
    for (int i = NPI_M_NEAR; i <= NPI_M_NEAR_LAST; i++) {
        EXPECT_EQUAL("One more is to be asked.", judge(&b, t), NPI_FAR_ASK);
        npi_exchange *x = build_ask(&b, t, i);
        EXPECT_EQUAL("It has not left yet.", judge(&b, t), NPI_FAR_WAIT);
        build_send(x, b.f.now_ns);
        npi_transaction_stop(&x->t);
        EXPECT_EQUAL("It is under way.", npi_far_judge(&b.f, t, &wake_ns), NPI_FAR_WAIT);
        EXPECT_TIME("Until an answer from near is too late.", wake_ns, b.f.now_ns + 74 * NPI_MS);
        build_now(&b, wake_ns);
    }
    EXPECT_EQUAL("None was answered.", judge(&b, t), NPI_FAR_MAY_BE);
    build_answer(&t->control.x[NPI_M_NEAR_LAST], b.f.now_ns);
    EXPECT_EQUAL("The last is answered just in time.", judge(&b, t), NPI_FAR_IS_NOT);
    t = begin(&b, NPI_M_BP, 0);
    npi_exchange *x = build_ask(&b, t, NPI_M_NEAR);
    build_send(x, b.f.now_ns);
    npi_transaction_stop(&x->t);
    build_now(&b, AT(1075));
    build_answer(x, AT(1075));
    EXPECT_EQUAL("The first one's answer comes from far: no other is needed.", judge(&b, t), NPI_FAR_MAY_BE);
}

static void only_losses_and_a_silence_of_ii_are_in_doubt(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = begin(&b, NPI_M_BP, 0);
    EXPECT_EQUAL("A loss, and B may be far.", judge(&b, t), NPI_FAR_ASK);
    t->filtering.iii.outcome = NPI_CHANGE_SILENT;
    EXPECT_EQUAL("III is silent, and comes from A.", judge(&b, t), NPI_FAR_IS_NOT);
    t->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    t->filtering.ii.outcome = NPI_CHANGE_HONOURED;
    EXPECT_EQUAL("II was answered.", judge(&b, t), NPI_FAR_IS_NOT);
    t->filtering.ii.outcome = NPI_CHANGE_SILENT;
    t->finding.filtering = NP_BEHAVIOUR_UNKNOWN;
    EXPECT_EQUAL("Nothing was found.", judge(&b, t), NPI_FAR_IS_NOT);
    t->finding.filtering = NP_BEHAVIOUR_ADDRESS_DEPENDENT;
    build_answer(&t->filtering.x[NPI_F_I], AT(900));
    EXPECT_EQUAL("Nothing was lost.", judge(&b, t), NPI_FAR_IS_NOT);
    build_send(&t->filtering.x[NPI_F_III], AT(20));
    EXPECT_EQUAL("A copy of III was lost.", judge(&b, t), NPI_FAR_ASK);
    build_answer(&t->filtering.x[NPI_F_III], AT(70));
    EXPECT_EQUAL("It was not.", judge(&b, t), NPI_FAR_IS_NOT);
    build_send(&t->filtering.late, AT(0));
    EXPECT_EQUAL("A copy was lost before I was asked anew.", judge(&b, t), NPI_FAR_ASK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silence_stands_once_b_is_known_to_be_near),
        cmocka_unit_test(single_copies_tell_it_one_after_the_other),
        cmocka_unit_test(only_losses_and_a_silence_of_ii_are_in_doubt),
    };
    return cmocka_run_group_tests_name("far", tests, NULL, NULL);
}
