/* SPDX-License-Identifier: MIT */
/* Events: every request, answer and conclusion of a check, in order, in the caller's thread. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 30000 };

typedef struct witness {
    pthread_t thread;
    const char *server;   /* where every request has to go to, or NULL */
    unsigned kinds[4];    /* how many of each */
    unsigned tests[4][4]; /* requests by purpose and test */
    unsigned errors;      /* error responses */
    unsigned ends;
    uint64_t last_us;
    int32_t mapping, filtering;
    np_event end;
} witness;

static void check_address(const char *text, bool may_be_empty)
{
    char ip[64];
    unsigned port;
    assert_true(strlen(text) < 64);
    if (text[0] != '\0')
        assert_int_equal(sscanf(text, "%63[0-9.]:%u", ip, &port), 2);
    else
        assert_true(may_be_empty);
}

static void see_request(witness *w, const np_event *e)
{
    assert_in_range(e->purpose, NP_PURPOSE_MAPPING, NP_PURPOSE_CONTROL);
    assert_in_range(e->request, NP_REQUEST_I, NP_REQUEST_III);
    assert_true((e->purpose == NP_PURPOSE_CONTROL) <= (e->request != NP_REQUEST_I));
    assert_true((e->purpose == NP_PURPOSE_MAPPING) <= (e->request == NP_REQUEST_I));
    assert_true(e->copy >= 1);
    assert_string_equal(e->external, "");
    w->tests[e->purpose][e->request]++;
    if (w->server != NULL && e->purpose != NP_PURPOSE_MAPPING)
        assert_string_equal(e->remote, w->server); /* a CHANGE-REQUEST goes to A:P alone */
}

static void see_answer(witness *w, const np_event *e)
{
    assert_int_equal(e->copy, 0);
    assert_true((e->stun_error != 0) == (e->external[0] == '\0'));
    check_address(e->external, e->stun_error != 0);
    w->errors += e->stun_error != 0;
}

static void see_conclusion(witness *w, const np_event *e)
{
    if (e->purpose == NP_PURPOSE_MAPPING)
        w->mapping = e->behaviour;
    if (e->purpose == NP_PURPOSE_FILTERING)
        w->filtering = e->behaviour;
    if (e->purpose != 0)
        return;
    w->ends++;
    w->end = *e;
}

static void see(const np_event *e, void *user)
{
    static const uint8_t zeros[sizeof e->reserved];
    witness *w = user;
    assert_true(pthread_equal(pthread_self(), w->thread));
    assert_int_equal(w->ends, 0); /* nothing comes after the end */
    assert_in_range(e->kind, NP_EVENT_SENT, NP_EVENT_CONCLUDED);
    assert_memory_equal(e->reserved, zeros, sizeof zeros);
    assert_true(e->time_us >= w->last_us);
    w->last_us = e->time_us;
    w->kinds[e->kind]++;
    check_address(e->remote, e->kind == NP_EVENT_CONCLUDED);
    if (e->kind == NP_EVENT_SENT)
        see_request(w, e);
    else if (e->kind == NP_EVENT_ANSWERED)
        see_answer(w, e);
    else
        see_conclusion(w, e);
}

static witness new_witness(np_probe *probe, witness *w, const char *server)
{
    *w = (witness){.thread = pthread_self(), .server = server};
    assert_int_equal(np_probe_set_events(probe, see, w), NP_OK);
    return *w;
}

static void check_against(const witness *w, const np_result *r)
{
    assert_int_equal(w->kinds[NP_EVENT_SENT], r->packets_sent);
    assert_true(w->kinds[NP_EVENT_ANSWERED] <= r->packets_received);
    assert_int_equal(w->ends, 1);
    assert_int_equal(w->end.nat_type, r->nat_type);
    assert_int_equal(w->end.error, r->error);
    assert_string_equal(w->end.remote, r->server);
    if (r->packets_received > 0)
        assert_int_equal(w->mapping, r->mapping);
}

static void each_request_and_answer_and_the_conclusions(void **state)
{
    static const struct {
        stun_server_config config;
        int32_t filtering;
    } cases[] = {
        {{0}, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT},
        {{.mapping = MAPPING_BY_ENDPOINT}, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT},
        {{.change = CHANGE_IGNORED}, NP_BEHAVIOUR_UNKNOWN},
        {{.change = CHANGE_REJECTED}, NP_BEHAVIOUR_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        np_result r;
        witness w;
        stun_server *server = support_server(cases[i].config);
        np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
        new_witness(probe, &w, stun_server_name(server));
        assert_int_equal(support_run(probe, &r), NP_OK);
        check_against(&w, &r);
        assert_int_equal(w.filtering, cases[i].filtering);
        assert_int_equal(r.filtering, cases[i].filtering);
        assert_true(w.tests[NP_PURPOSE_MAPPING][NP_REQUEST_I] >= 1);
        assert_true(w.tests[NP_PURPOSE_FILTERING][NP_REQUEST_I] >= 1);
        assert_true(w.tests[NP_PURPOSE_FILTERING][NP_REQUEST_II] >= 1);
        assert_true((w.errors > 0) == (cases[i].config.change == CHANGE_REJECTED));
        np_probe_free(probe);
        stun_server_stop(server);
    }
}

static void silence_and_its_control(void **state)
{
    np_result r;
    witness w;
    (void)state;
    stun_server *server = support_server((stun_server_config){.change = CHANGE_DROPPED, .mapping = MAPPING_SHIFTED});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    new_witness(probe, &w, stun_server_name(server));
    assert_int_equal(support_run(probe, &r), NP_OK);
    check_against(&w, &r);
    assert_true(w.tests[NP_PURPOSE_CONTROL][NP_REQUEST_II] + w.tests[NP_PURPOSE_CONTROL][NP_REQUEST_III] > 0);
    assert_int_equal(w.filtering, NP_BEHAVIOUR_UNKNOWN);
    np_probe_free(probe);
    stun_server_stop(server);
}

static void a_check_that_fails_has_an_end_too(void **state)
{
    static const support_name names[] = {{.name = NULL, .error = -2}};
    np_result r;
    witness w;
    (void)state;
    stun_server *silent = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(silent));
    assert_int_equal(np_probe_set_response_timeout(probe, 300), NP_OK);
    new_witness(probe, &w, NULL);
    assert_int_equal(support_run(probe, &r), NP_ERR_NO_RESPONSE);
    check_against(&w, &r);

    new_witness(probe, &w, NULL);
    assert_int_equal(np_probe_start(probe), NP_OK);
    np_probe_cancel(probe);
    assert_int_equal(np_probe_process(probe, &r), NP_ERR_CANCELLED);
    check_against(&w, &r);

    const uint16_t taken = (uint16_t)atoi(strrchr(stun_server_name(silent), ':') + 1);
    assert_int_equal(np_probe_set_source(probe, stun_server_ip(silent), taken), NP_OK);
    new_witness(probe, &w, NULL);
    assert_int_equal(support_run(probe, &r), NP_ERR_ADDRESS_IN_USE);
    check_against(&w, &r);

    support_set_names(names, 1);
    assert_int_equal(np_probe_clear_servers(probe), NP_OK);
    assert_int_equal(np_probe_set_source(probe, NULL, 0), NP_OK);
    new_witness(probe, &w, NULL);
    assert_int_equal(support_run(probe, &r), NP_ERR_RESOLVE); /* over IPv4 and IPv6: still one end */
    check_against(&w, &r);
    np_probe_free(probe);
    stun_server_stop(silent);
}

static void the_same_from_an_event_loop(void **state)
{
    np_result r;
    witness w;
    int error;
    (void)state;
    stun_server *server = support_server((stun_server_config){.mapping = MAPPING_SHIFTED});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    new_witness(probe, &w, stun_server_name(server));
    assert_int_equal(np_probe_start(probe), NP_OK);
    assert_true(w.kinds[NP_EVENT_SENT] > 0); /* the first requests leave at once */
    do {
        struct pollfd fd = {.fd = np_probe_fd(probe), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
        error = np_probe_process(probe, &r);
    } while (error == NP_PENDING);
    assert_int_equal(error, NP_OK);
    check_against(&w, &r);
    assert_int_equal(np_probe_set_events(probe, NULL, NULL), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(w.ends, 1);
    assert_int_equal(np_probe_set_events(NULL, see, &w), NP_ERR_ARGUMENT);
    np_probe_free(probe);
    stun_server_stop(server);
}

enum { HELD_MS = 60 }; /* the engine takes more than 100 ms for a standstill */

/* The loop has other things to do each time. */
static int run_in_a_busy_loop(np_probe *probe, np_result *r)
{
    int error;
    assert_int_equal(np_probe_start(probe), NP_OK);
    do {
        struct pollfd fd = {.fd = np_probe_fd(probe), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
        (void)poll(NULL, 0, HELD_MS);
        error = np_probe_process(probe, r);
    } while (error == NP_PENDING);
    return error;
}

/* A round trip ends when the answer comes in, not when the process reads it. A busy host may be slow to answer. */
static void a_program_that_is_busy_does_not_make_the_round_trip_longer(void **state)
{
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    np_result r;
    int tries = 0;
    assert_int_equal(np_probe_set_tests(probe, NP_TESTS_MAPPING), NP_OK); /* one request, one answer */
    do {
        assert_true(tries++ < 20);
        assert_int_equal(run_in_a_busy_loop(probe, &r), NP_OK);
    } while (r.rtt_us == 0 || r.rtt_us >= HELD_MS * 1000);
    np_probe_free(probe);
    stun_server_stop(server);
}

static void sizes_are_frozen(void **state)
{
    (void)state;
    assert_int_equal(np_event_size(), 256);
    assert_int_equal(sizeof(np_event), 256);
    assert_int_equal(np_result_size(), 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_request_and_answer_and_the_conclusions),
        CASE(silence_and_its_control),
        CASE(a_check_that_fails_has_an_end_too),
        CASE(the_same_from_an_event_loop),
        CASE(a_program_that_is_busy_does_not_make_the_round_trip_longer),
        CASE(a_program_that_is_busy_does_not_make_the_round_trip_longer),
        CASE(sizes_are_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
