/* SPDX-License-Identifier: MIT */
/* trial: the phases of one server, what each change of phase does, and whose answer is whose. */
#include "engine/trial.h"

#include <string.h>

#include "build.h"

/* An answer without RESPONSE-ORIGIN. */
static const npi_addr untold;

#define RTT_MS 20
#define NOW_MS 1000
#define BOTH (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)

static npi_trial *ready(build *b, npi_phase phase)
{
    npi_addr external = build_external(1);
    build_init(b);
    npi_server *s = build_answering_server(b, RTT_MS);
    build_sees(s, &external, AT(0), AT(RTT_MS));
    npi_trial *t = build_trial(b, s);
    t->phase = phase;
    build_now(b, AT(NOW_MS));
    return t;
}

/* ---- Beginning -------------------------------------------------------------------------------------------------- */

static void a_trial_begins_with_the_filtering_on_a_socket_of_its_own(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    build_server(&b);
    npi_server *s = build_answering_server(&b, RTT_MS);
    memset(b.trials, 0xff, sizeof b.trials); /* whatever was there */
    b.f.trial_count = 2;
    npi_trial_begin(&b.f, 1, NPI_TRIAL_BOTH_PHASES);
    const npi_trial *t = &b.trials[2];
    EXPECT_EQUAL("It is one more.", b.f.trial_count, 3);
    EXPECT_EQUAL("The server has it.", s->trial, 2);
    EXPECT_EQUAL("It has the server.", t->server, 1);
    EXPECT_EQUAL("Slot 0 is the source socket's, so the third has slot 3.", t->filtering.slot, 3);
    EXPECT_EQUAL("The filtering comes first.", t->phase, NPI_PHASE_FILTERING);
    EXPECT("Nothing is known yet.", !npi_trial_is_decided(t) && t->filtering.x[NPI_F_I].t.sent == 0);
    EXPECT_TIME("The first round leaves at once.", t->filtering.next_round_ns, T0);
}

static void a_trial_saves_transactions_where_there_are_other_servers(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned servers;
        bool more;
        bool saves;
    } rows[] = {
        {"There is only one.", 1, false, false},
        {"There is another.", 2, false, true},
        {"Another may come.", 1, true, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        for (unsigned k = 0; k < rows[i].servers; k++)
            build_answering_server(&b, RTT_MS);
        b.f.more_servers = rows[i].more;
        npi_trial_begin(&b.f, 0, NPI_TRIAL_BOTH_PHASES);
        EXPECT_EQUAL(rows[i].says, b.trials[0].save_transactions, rows[i].saves);
    }
}

static void for_the_mapping_alone_a_trial_begins_with_the_mapping_requests(void **state)
{
    (void)state;
    static build b;
    npi_addr external = build_external(1);
    build_init(&b);
    build_sees(build_answering_server(&b, RTT_MS), &external, AT(0), AT(RTT_MS));
    npi_trial_begin(&b.f, 0, NPI_TRIAL_MAPPING_ONLY);
    const npi_trial *t = &b.trials[0];
    EXPECT_EQUAL("No socket is opened.", t->filtering.slot, NPI_SLOT_SOURCE);
    EXPECT("Of the filtering nothing is to be found.", npi_trial_is_decided(t));
    EXPECT_EQUAL("The mapping is next.", t->phase, NPI_PHASE_MAPPING);
    EXPECT("Its requests are asked at once.", t->control.x[NPI_M_BP].queued);
}

/* ---- Changes of phase ------------------------------------------------------------------------------------------- */

static void when_the_filtering_is_decided_the_mapping_begins(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = ready(&b, NPI_PHASE_FILTERING);
    t->filtering.x[NPI_F_III].queued = true;
    EXPECT_TIME("A round is left.", npi_trial_advance(&b.f, t, false, false), NPI_NEVER);
    EXPECT_EQUAL("The phase goes on.", t->phase, NPI_PHASE_FILTERING);
    t->filtering.ii.outcome = NPI_CHANGE_HONOURED;
    EXPECT_TIME("II was answered: at once.", npi_trial_advance(&b.f, t, false, false), AT(NOW_MS));
    EXPECT_EQUAL("On to the mapping.", t->phase, NPI_PHASE_MAPPING);
    EXPECT("Its requests are asked.", t->control.x[NPI_M_BP].queued);
    EXPECT("The tests have stopped.", t->filtering.x[NPI_F_III].t.stopped && !t->filtering.x[NPI_F_III].queued);
}

static void a_phase_may_be_the_last(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = ready(&b, NPI_PHASE_FILTERING);
    b.servers[0].alternate_state = NPI_ALTERNATE_NONE;
    EXPECT_TIME("No second address: at once.", npi_trial_advance(&b.f, t, false, false), AT(NOW_MS));
    EXPECT_EQUAL("There is no use in the mapping.", t->phase, NPI_PHASE_DONE);
    EXPECT("The tests have stopped.", t->filtering.x[NPI_F_I].t.stopped);
    EXPECT_TIME("What is done does nothing more.", npi_trial_advance(&b.f, t, false, false), NPI_NEVER);

    t = ready(&b, NPI_PHASE_MAPPING);
    build_decided(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    t->control.stage = NPI_MAPPING_ALL; /* of which none is under way */
    npi_trial_advance(&b.f, t, false, false);
    EXPECT_EQUAL("All is known.", t->phase, NPI_PHASE_DONE);
}

static void a_doubtful_silence_goes_back_to_the_filtering_once(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = ready(&b, NPI_PHASE_MAPPING);
    build_silent(t);
    build_decided(t, NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    t->control.stage = NPI_MAPPING_ALL; /* nothing was answered: loss explains all */
    t->filtering.x[NPI_F_III].t.stopped = true;
    npi_trial_advance(&b.f, t, false, false);
    EXPECT_EQUAL("More copies are needed.", t->phase, NPI_PHASE_FILTERING);
    EXPECT("They may leave again.", t->filtering.extended && !t->filtering.x[NPI_F_III].t.stopped);
    t->filtering.contradicted = true;
    npi_trial_advance(&b.f, t, false, false);
    EXPECT_EQUAL("The mapping phase happens once: after it there is no other.", t->phase, NPI_PHASE_DONE);
}

static void a_deferred_trial_is_told_whether_others_can_help(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = ready(&b, NPI_PHASE_MAPPING);
    build_decided(t, NP_BEHAVIOUR_UNKNOWN, false, NPI_REASON_IGNORED, NPI_PHASE_MAPPING);
    t->control.stage = NPI_MAPPING_DEFERRED;
    EXPECT_TIME("They can: it waits.", npi_trial_advance(&b.f, t, false, true), NPI_NEVER);
    EXPECT("Nothing is asked.", !t->control.x[NPI_M_BP].queued);
    npi_trial_advance(&b.f, t, false, false);
    EXPECT("They cannot: it asks.", t->control.x[NPI_M_BP].queued);
}

static void a_server_of_which_nothing_is_expected_ends_its_trial(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool failed, exhausted, answered;
        bool ends;
    } rows[] = {
        {"It was silent too long.", false, true, false, true},
        {"It is silent, but may yet answer.", false, false, false, false},
        {"It has answered, and only its primary requests are over.", false, true, true, false},
        {"It cannot be used.", true, false, true, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = ready(&b, NPI_PHASE_FILTERING);
        b.servers[0].failed = rows[i].failed;
        b.servers[0].contact = rows[i].answered ? NPI_HAS_ANSWERED : NPI_ASKED;
        uint64_t wake_ns = npi_trial_advance(&b.f, t, rows[i].exhausted, false);
        EXPECT_EQUAL(rows[i].says, t->phase, rows[i].ends ? NPI_PHASE_DONE : NPI_PHASE_FILTERING);
        EXPECT_EQUAL(rows[i].says, t->finding.reason, rows[i].ends ? NPI_REASON_UNFINISHED : NPI_REASON_NONE);
        if (rows[i].ends)
            EXPECT_TIME("Others may go on at once.", wake_ns, AT(NOW_MS));
    }
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static void each_answer_goes_to_the_phase_that_asked(void **state)
{
    (void)state;
    static build b;
    npi_addr bq = build_b(0, BUILD_Q);
    npi_addr aq = build_a(0, BUILD_Q);
    const struct {
        const char *says;
        int filtering, control; /* the exchange; -1: of the other phase */
        const npi_addr *from;
        unsigned answered; /* of the tests' II, III and the controls' II, III */
    } rows[] = {
        {"the test's II", NPI_F_II, -1, &bq, 1},
        {"the test's III", NPI_F_III, -1, &aq, 2},
        {"a second transaction of II", NPI_F_SECOND, -1, &bq, 1},
        {"the control's II", -1, NPI_C_II, &bq, 4},
        {"the control's III", -1, NPI_C_III, &aq, 8},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int done = 0; done < 2; done++) {
            npi_trial *t = ready(&b, done ? NPI_PHASE_DONE : NPI_PHASE_FILTERING);
            build_ask(&b, t, NPI_C_II);
            build_ask(&b, t, NPI_C_III);
            t->filtering.x[NPI_F_SECOND].change = BOTH;
            const npi_exchange *x = rows[i].control >= 0 ? &t->control.x[rows[i].control]
                                                         : &t->filtering.x[rows[i].filtering];
            npi_trial_take_answer(&b.f, t, x, rows[i].from, &untold, true);
            unsigned answered = (t->filtering.ii.outcome == NPI_CHANGE_HONOURED ? 1u : 0u) |
                                (t->filtering.iii.outcome == NPI_CHANGE_HONOURED ? 2u : 0u) |
                                (t->control.ii == NPI_CHANGE_HONOURED ? 4u : 0u) |
                                (t->control.iii == NPI_CHANGE_HONOURED ? 8u : 0u);
            EXPECT_EQUAL(rows[i].says, answered, done ? 0 : rows[i].answered);
        }
    }
}

static void a_slow_server_is_left_if_another_can_help(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = ready(&b, NPI_PHASE_FILTERING);
    b.servers[0].late_answers = NPI_SLOW_ANSWERS;
    t->save_transactions = true;
    npi_trial_advance(&b.f, t, false, false);
    EXPECT_EQUAL("No other can help.", t->phase, NPI_PHASE_FILTERING);
    npi_trial_advance(&b.f, t, false, true);
    EXPECT_EQUAL("Another can.", t->finding.reason, NPI_REASON_SLOW);
    EXPECT_EQUAL("Its mapping is asked if nothing else is left.", t->control.stage, NPI_MAPPING_DEFERRED);
    npi_trial_advance(&b.f, t, false, true);
    EXPECT_EQUAL("That is not so yet.", t->phase, NPI_PHASE_MAPPING);
    b.f.config.deadline_ns = AT(NOW_MS);
    t->filtering.x[NPI_F_II].t.stopped = true;
    build_send(&t->filtering.x[NPI_F_I], AT(NOW_MS));
    b.servers[0].clear_ns = AT(NOW_MS) + 1;
    npi_trial_advance(&b.f, t, false, false);
    EXPECT("The others were of no help, but time is short.", t->phase == NPI_PHASE_MAPPING && npi_trial_is_decided(t));
    t->control.stage = NPI_MAPPING_DEFERRED;
    b.f.config.deadline_ns = NPI_NEVER;
    npi_trial_advance(&b.f, t, false, false);
    EXPECT("Else the test goes on.", t->phase == NPI_PHASE_FILTERING && !npi_trial_is_decided(t));
    EXPECT("With its requests.", !t->filtering.x[NPI_F_II].t.stopped);
    npi_trial_advance(&b.f, t, false, true);
    EXPECT_EQUAL("To its end: two slow servers would give up for each other.", t->phase, NPI_PHASE_FILTERING);
}

/* An answer that has come is worth more than the reasons to wait for it no longer. */
static void an_answered_ii_decides_whatever_else_was_found(void **state)
{
    (void)state;
    static build b;
    for (int is_early = 0; is_early < 2; is_early++) {
        npi_trial *t = ready(&b, NPI_PHASE_FILTERING);
        t->filtering.ii.outcome = is_early ? NPI_CHANGE_PENDING : NPI_CHANGE_HONOURED;
        t->filtering.ii.early = is_early;
        t->filtering.ii.early_from = build_b(0, BUILD_Q);
        b.servers[0].late_answers = NPI_SLOW_ANSWERS;
        npi_trial_advance(&b.f, t, false, true);
        EXPECT_EQUAL("A slow server has answered.", t->finding.filtering, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    }
    static const struct {
        const char *says;
        npi_reason reason;
        bool not_fresh, contradicted, decides;
    } rows[] = {
        {"Its silence had been given up: slow.", NPI_REASON_SLOW, false, false, true},
        {"Shut out.", NPI_REASON_SHUT_OUT, false, false, true},
        {"Losses.", NPI_REASON_LOSS, false, false, true},
        {"An unfit server stays one.", NPI_REASON_IGNORED, false, false, false},
        {"Another request had opened its way.", NPI_REASON_SLOW, true, false, false},
        {"It had been called silent.", NPI_REASON_SLOW, false, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        npi_trial *t = ready(&b, NPI_PHASE_MAPPING);
        t->save_transactions = true;
        build_decided(t, NP_BEHAVIOUR_UNKNOWN, false, rows[i].reason, NPI_PHASE_MAPPING);
        t->control.stage = NPI_MAPPING_DEFERRED;
        t->filtering.ii.outcome = NPI_CHANGE_HONOURED;
        t->filtering.pinhole_not_fresh = rows[i].not_fresh;
        t->filtering.contradicted = rows[i].contradicted;
        npi_trial_advance(&b.f, t, false, true);
        EXPECT_EQUAL(rows[i].says, t->finding.filtering,
                     rows[i].decides ? NP_BEHAVIOUR_ENDPOINT_INDEPENDENT : NP_BEHAVIOUR_UNKNOWN);
        EXPECT_EQUAL("The mapping is asked then: nobody else is needed.", t->control.x[NPI_M_BP].queued,
                     rows[i].decides);
    }
}

static void a_server_that_falls_silent_is_left_if_another_can_help(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = ready(&b, NPI_PHASE_FILTERING);
    build_send_copies(&t->filtering.x[NPI_F_I], NPI_HUSH_LOST, AT(30), 10);
    b.servers[0].heard_ns = AT(20);
    build_now(&b, AT(1030));
    npi_trial_advance(&b.f, t, false, false);
    EXPECT_EQUAL("No other can help: the test goes on.", t->phase, NPI_PHASE_FILTERING);
    npi_trial_advance(&b.f, t, false, true);
    EXPECT("Another can.", t->phase == NPI_PHASE_DONE && b.servers[0].fell_silent);
    EXPECT_EQUAL("That is why the filtering is not known.", t->finding.reason, NPI_REASON_SHUT_OUT);
    t = ready(&b, NPI_PHASE_MAPPING);
    t->control.stage = NPI_MAPPING_ALL;
    build_send_copies(&b.servers[0].x[NPI_RECHECK], NPI_GONE_COPIES - 1, AT(30), 10);
    npi_trial_advance(&b.f, t, false, true);
    EXPECT("Three requests in the mapping phase are too few.", !b.servers[0].fell_silent);
    build_send(&b.servers[0].x[NPI_RECHECK], AT(NOW_MS));
    uint64_t lost_ns = AT(NOW_MS) + npi_trial_rto(&b.f, t);
    EXPECT_TIME("The fourth is waited for.", npi_trial_advance(&b.f, t, false, true), lost_ns);
    build_now(&b, lost_ns);
    npi_trial_advance(&b.f, t, false, true);
    EXPECT("Four are enough.", b.servers[0].fell_silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trial_begins_with_the_filtering_on_a_socket_of_its_own),
        cmocka_unit_test(a_server_that_falls_silent_is_left_if_another_can_help),
        cmocka_unit_test(a_slow_server_is_left_if_another_can_help),
        cmocka_unit_test(an_answered_ii_decides_whatever_else_was_found),
        cmocka_unit_test(a_trial_saves_transactions_where_there_are_other_servers),
        cmocka_unit_test(for_the_mapping_alone_a_trial_begins_with_the_mapping_requests),
        cmocka_unit_test(when_the_filtering_is_decided_the_mapping_begins),
        cmocka_unit_test(a_phase_may_be_the_last),
        cmocka_unit_test(a_doubtful_silence_goes_back_to_the_filtering_once),
        cmocka_unit_test(a_deferred_trial_is_told_whether_others_can_help),
        cmocka_unit_test(a_server_of_which_nothing_is_expected_ends_its_trial),
        cmocka_unit_test(each_answer_goes_to_the_phase_that_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
