/* SPDX-License-Identifier: MIT */
/* events: what an observer is told, whole, and the lines of the log. */
#include "engine/events.h"

#include <stdio.h>
#include <string.h>

#include "build.h"

#define RTT 40

/* ---- An observer that keeps what it is told --------------------------------------------------------------------- */

typedef struct told {
    np_event events[NPI_TRIALS_MAX];
    size_t count;
    build *stop; /* with the first event the observer wants no more */
} told;

static void keep_event(const np_event *event, void *user)
{
    told *kept = user;
    assert_true(kept->count < NPI_TRIALS_MAX);
    kept->events[kept->count++] = *event;
    if (kept->stop != NULL)
        kept->stop->f.config.observer.sink = NULL;
}

static char last_line[NPI_LOG_LINE];

static void keep_line(int32_t level, const char *line, void *user)
{
    assert_null(user);
    assert_int_equal(level, NP_LOG_DEBUG);
    snprintf(last_line, sizeof last_line, "%s", line);
}

/* A server with a trial, 1.5 ms after the experiment began. */
static npi_trial *watched(build *b, told *kept)
{
    memset(kept, 0, sizeof *kept);
    build_init(b);
    npi_trial *t = build_trial(b, build_answering_server(b, RTT));
    b->f.config.observer = (npi_observer){keep_event, kept};
    b->f.config.log = (npi_log){keep_line, NULL, NP_LOG_DEBUG};
    last_line[0] = '\0';
    build_now(b, AT_US(1500));
    return t;
}

/* Every byte of the event, those that mean nothing included. */
static void check_event(const char *sentence, const told *kept, const np_event *wanted)
{
    EXPECT_EQUAL(sentence, kept->count, 1);
    EXPECT_EQUAL(sentence, kept->events[0].kind, wanted->kind);
    EXPECT_EQUAL(sentence, kept->events[0].purpose, wanted->purpose);
    EXPECT_EQUAL(sentence, kept->events[0].request, wanted->request);
    assert_memory_equal(&kept->events[0], wanted, sizeof *wanted);
}

/* ---- Requests and answers --------------------------------------------------------------------------------------- */

static void request_says_its_test_and_purpose(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        bool filtering;
        int index;
        int32_t purpose, test;
        const char *remote, *line;
    } rows[] = {
        {"I of the filtering socket.", true, NPI_F_I, NP_PURPOSE_FILTERING, NP_REQUEST_I, "198.51.100.10:3478",
         "    1.5 ms  send  F I to 198.51.100.10:3478, copy 2"},
        {"II of it.", true, NPI_F_II, NP_PURPOSE_FILTERING, NP_REQUEST_II, "198.51.100.10:3478",
         "    1.5 ms  send  F II to 198.51.100.10:3478, copy 2"},
        {"III of it.", true, NPI_F_III, NP_PURPOSE_FILTERING, NP_REQUEST_III, "198.51.100.10:3478",
         "    1.5 ms  send  F III to 198.51.100.10:3478, copy 2"},
        {"A mapping request.", false, NPI_M_BQ, NP_PURPOSE_MAPPING, NP_REQUEST_I, "203.0.113.10:3479",
         "    1.5 ms  send  I B:Q to 203.0.113.10:3479, copy 2"},
        {"The filtering socket's I to B:P compares mappings.", false, NPI_M_OTHER, NP_PURPOSE_MAPPING, NP_REQUEST_I,
         "203.0.113.10:3478", "    1.5 ms  send  F I B:P to 203.0.113.10:3478, copy 2"},
        {"The control's II.", false, NPI_C_II, NP_PURPOSE_CONTROL, NP_REQUEST_II, "198.51.100.10:3478",
         "    1.5 ms  send  control II to 198.51.100.10:3478, copy 2"},
        {"The control's III.", false, NPI_C_III, NP_PURPOSE_CONTROL, NP_REQUEST_III, "198.51.100.10:3478",
         "    1.5 ms  send  control III to 198.51.100.10:3478, copy 2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        told kept;
        npi_trial *t = watched(&b, &kept);
        npi_exchange *x = rows[i].filtering ? &t->filtering.x[rows[i].index] : build_ask(&b, t, rows[i].index);
        np_event wanted = {
            .kind = NP_EVENT_SENT, .purpose = rows[i].purpose, .request = rows[i].test, .copy = 2, .time_us = 1500};
        memcpy(wanted.remote, rows[i].remote, strlen(rows[i].remote));
        build_send_copies(x, 2, AT(0), 1);
        npi_event_sent(&b.f, x);
        check_event(rows[i].sentence, &kept, &wanted);
        assert_string_equal(last_line, rows[i].line);
    }
}

static void answer_says_what_the_server_saw_or_why_not(void **state)
{
    (void)state;
    static build b;
    told kept;
    npi_trial *t = watched(&b, &kept);
    npi_exchange *x = build_ask(&b, t, NPI_M_BP);
    const npi_addr from = build_b(0, BUILD_P);
    npi_stun_response r = {.kind = NPI_STUN_SUCCESS, .mapped = build_external(40000), .error_code = 420};
    np_event wanted = {.kind = NP_EVENT_ANSWERED,
                       .purpose = NP_PURPOSE_MAPPING,
                       .request = NP_REQUEST_I,
                       .time_us = 1500,
                       .remote = "203.0.113.10:3478",
                       .external = "192.0.2.77:40000"};
    build_send(x, AT(0));
    npi_event_answered(&b.f, x, &from, &r);
    check_event("A success has the external address, and no error.", &kept, &wanted);
    assert_string_equal(last_line, "    1.5 ms  heard I B:P from 203.0.113.10:3478: 192.0.2.77:40000");
    static const npi_stun_kind kinds[] = {NPI_STUN_ERROR, NPI_STUN_UNUSABLE};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        t = watched(&b, &kept);
        x = build_ask(&b, t, NPI_C_II);
        r.kind = kinds[i];
        wanted = (np_event){.kind = NP_EVENT_ANSWERED,
                            .purpose = NP_PURPOSE_CONTROL,
                            .request = NP_REQUEST_II,
                            .time_us = 1500,
                            .stun_error = 420,
                            .remote = "203.0.113.10:3478"};
        npi_event_answered(&b.f, x, &from, &r);
        check_event("Any other has the error, and no address.", &kept, &wanted);
        assert_string_equal(last_line, "    1.5 ms  heard control II from 203.0.113.10:3478: error 420");
    }
}

static void nobody_is_told_who_does_not_want_it(void **state)
{
    (void)state;
    static build b;
    told kept;
    npi_trial *t = watched(&b, &kept);
    const npi_stun_response r = {.kind = NPI_STUN_SUCCESS, .mapped = build_external(40000)};
    const npi_addr from = build_a(0, BUILD_P);
    b.f.config.log.level = NP_LOG_INFO;
    npi_event_sent(&b.f, &t->filtering.x[NPI_F_I]);
    npi_event_answered(&b.f, &t->filtering.x[NPI_F_I], &from, &r);
    EXPECT("Requests and answers are no news for a log that wants no details.", last_line[0] == '\0');
    EXPECT_EQUAL("The observer is told all the same.", kept.count, 2);
    b.f.config.log.level = NP_LOG_DEBUG;
    b.f.config.observer.sink = NULL;
    npi_event_sent(&b.f, &t->filtering.x[NPI_F_I]);
    EXPECT("The log tells of requests without an observer.", last_line[0] != '\0');
    last_line[0] = '\0';
    npi_event_answered(&b.f, &t->filtering.x[NPI_F_I], &from, &r);
    EXPECT("And of answers.", last_line[0] != '\0');
    EXPECT_EQUAL("Nobody is told.", kept.count, 2);
}

static void progress_says_of_what_and_how_far(void **state)
{
    (void)state;
    static build b;
    told kept;
    watched(&b, &kept);
    np_event wanted = {.kind = NP_EVENT_PROGRESS,
                       .purpose = NP_PURPOSE_OPTIONAL,
                       .test = NP_TESTS_LIFETIME,
                       .done_s = 12,
                       .total_s = 400,
                       .time_us = 1500};
    npi_event_progress(&b.f, NP_TESTS_LIFETIME, 12, 400);
    check_event("Progress.", &kept, &wanted);
    b.f.config.observer.sink = NULL;
    npi_event_progress(&b.f, NP_TESTS_LIFETIME, 13, 400);
    EXPECT_EQUAL("Nobody is told who does not want it.", kept.count, 1);
}

/* ---- Conclusions ------------------------------------------------------------------------------------------------ */

static void filtering_is_told_once_when_nothing_can_contradict_it(void **state)
{
    (void)state;
    const int32_t open = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    const int32_t closed = NP_BEHAVIOUR_ADDRESS_DEPENDENT;
    const struct {
        const char *sentence;
        int32_t filtering;
        npi_phase phase;
        bool is_decided, done, of_the_source;
        bool told;
    } rows[] = {
        {"What rests on an answer is told at once.", open, NPI_PHASE_FILTERING, true, false, false, true},
        {"What rests on silence may be contradicted.", closed, NPI_PHASE_MAPPING, true, false, false, false},
        {"Until its trial is over.", closed, NPI_PHASE_DONE, true, false, false, true},
        {"Or the whole check.", closed, NPI_PHASE_MAPPING, true, true, false, true},
        {"Unknown is told when its trial is over.", NP_BEHAVIOUR_UNKNOWN, NPI_PHASE_DONE, true, false, false, true},
        {"What is not decided is not told.", open, NPI_PHASE_DONE, false, true, false, false},
        {"Where the filtering was not tested nothing is.", closed, NPI_PHASE_DONE, true, true, true, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        told kept;
        npi_trial *t = watched(&b, &kept);
        np_event wanted = {.kind = NP_EVENT_CONCLUDED,
                           .purpose = NP_PURPOSE_FILTERING,
                           .behaviour = rows[i].filtering,
                           .time_us = 1500,
                           .remote = "198.51.100.10:3478"};
        build_decided(t, rows[i].filtering, true, NPI_REASON_NONE, rows[i].phase);
        b.f.done = rows[i].done;
        if (!rows[i].is_decided)
            t->finding.state = NPI_UNDECIDED;
        if (rows[i].of_the_source)
            t->filtering.slot = NPI_SLOT_SOURCE;
        npi_event_conclusions(&b.f);
        EXPECT_EQUAL(rows[i].sentence, kept.count, rows[i].told);
        if (rows[i].told)
            check_event(rows[i].sentence, &kept, &wanted);
        npi_event_conclusions(&b.f);
        EXPECT_EQUAL("It is told once.", kept.count, rows[i].told);
    }
}

static void filtering_is_told_when_it_is_known_whose_it_is(void **state)
{
    (void)state;
    static build b;
    told kept;
    npi_trial *t = watched(&b, &kept);
    build_decided(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    b.f.path.state = NPI_PATH_ASKING;
    npi_event_conclusions(&b.f);
    EXPECT_EQUAL("While fresh sockets are asked it may be another NAT's.", kept.count, 0);
    b.f.path.state = NPI_PATH_POOL;
    npi_event_conclusions(&b.f);
    EXPECT_EQUAL("It is this one's.", kept.count, 1);
    t->finding.state = NPI_DECIDED;
    b.f.path.state = NPI_PATH_ASKING;
    b.f.done = true;
    npi_event_conclusions(&b.f);
    EXPECT_EQUAL("At the end it is told all the same.", kept.count, 2);
}

static void conclusions_stop_with_their_observer(void **state)
{
    (void)state;
    static build b;
    told kept;
    npi_trial *t = watched(&b, &kept);
    npi_trial *second = build_trial(&b, build_answering_server(&b, RTT));
    build_decided(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    build_decided(second, NP_BEHAVIOUR_UNKNOWN, false, NPI_REASON_LOSS, NPI_PHASE_DONE);
    kept.stop = &b;
    npi_event_conclusions(&b.f);
    EXPECT_EQUAL("An observer that is gone with the first is not told of the second.", kept.count, 1);
    EXPECT("That one was not reported.", second->finding.state == NPI_DECIDED);
    kept.stop = NULL;
    b.f.config.observer.sink = keep_event;
    npi_event_conclusions(&b.f);
    EXPECT_EQUAL("It is when somebody listens.", kept.count, 2);
    assert_string_equal(kept.events[1].remote, "198.51.100.11:3478");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_says_its_test_and_purpose),
        cmocka_unit_test(answer_says_what_the_server_saw_or_why_not),
        cmocka_unit_test(nobody_is_told_who_does_not_want_it),
        cmocka_unit_test(progress_says_of_what_and_how_far),
        cmocka_unit_test(filtering_is_told_once_when_nothing_can_contradict_it),
        cmocka_unit_test(filtering_is_told_when_it_is_known_whose_it_is),
        cmocka_unit_test(conclusions_stop_with_their_observer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
