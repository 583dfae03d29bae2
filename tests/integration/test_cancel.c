/* SPDX-License-Identifier: MIT */
/* Cancelling: from a thread, a signal handler, the log sink, between runs; and what a log sink may do. */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOUR_MS = 3600000 };

/* Only a cancellation can end its run within the hour. */
static np_probe *endless_probe(const char *server)
{
    np_probe *probe = support_probe(NULL, server);
    assert_int_equal(np_probe_set_timeout(probe, HOUR_MS), NP_OK);
    assert_int_equal(np_probe_set_response_timeout(probe, HOUR_MS), NP_OK);
    return probe;
}

typedef struct canceller {
    _Atomic(np_probe *) probe;
    atomic_uint requests;
    unsigned at; /* which request */
    pthread_t signalled;
} canceller;

static void cancel_at_request(void *user)
{
    canceller *c = user;
    if (atomic_fetch_add(&c->requests, 1) == c->at)
        np_probe_cancel(c->probe);
}

/* The server is silent, so that however late the cancellation comes, the run is still on. */
static void cancel_from_another_thread(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 6; at++) {
        np_result r;
        canceller c = {.at = at};
        stun_server *server = support_server(
            (stun_server_config){.reply = PLAIN_SILENT, .on_request = cancel_at_request, .user = &c});
        np_probe *probe = endless_probe(stun_server_name(server));
        c.probe = probe;
        assert_int_equal(support_run(probe, &r), NP_ERR_CANCELLED);
        assert_true(r.packets_sent > at);
        stun_server_stop(server);
        np_probe_free(probe);
    }
}

/* With a server that answers, a verdict may come first; nothing else may. */
static void cancel_at_every_step_of_a_check(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 12; at++) {
        np_result r;
        canceller c = {.at = at};
        stun_server *server = support_server((stun_server_config){.on_request = cancel_at_request, .user = &c});
        c.probe = endless_probe(stun_server_name(server));
        const int error = support_run(c.probe, &r);
        assert_true(error == NP_ERR_CANCELLED || error == NP_OK);
        assert_true(error == NP_ERR_CANCELLED || r.nat_type == NP_NAT_OPEN_INTERNET);
        stun_server_stop(server);
        np_probe_free(c.probe);
    }
}

typedef struct late {
    np_probe *probe;
    bool cancels;
} late;

static void cancel_at_the_end(const np_event *event, void *user)
{
    late *l = user;
    if (l->cancels && event->kind == NP_EVENT_CONCLUDED && event->purpose == 0)
        np_probe_cancel(l->probe);
}

static void cancel_twice(const np_event *event, void *user)
{
    late *l = user;
    if (!l->cancels || event->kind != NP_EVENT_SENT)
        return;
    np_probe_cancel(l->probe);
    np_probe_cancel(l->probe);
}

/* A cancellation that a verdict has overtaken was meant for that check, not for the next. */
static void one_that_comes_too_late_is_spent(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    late l = {.probe = support_probe("127.0.0.1", stun_server_name(server)), .cancels = true};
    assert_int_equal(np_probe_set_events(l.probe, cancel_at_the_end, &l), NP_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(support_run(l.probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    }
    np_probe_free(l.probe);
    stun_server_stop(server);
}

static canceller in_handler;

static void on_signal(int number)
{
    (void)number;
    np_probe_cancel(in_handler.probe);
}

static void raise_at_request(void *user)
{
    canceller *c = user;
    if (atomic_fetch_add(&c->requests, 1) == 0)
        pthread_kill(c->signalled, SIGUSR1);
}

static void cancel_from_a_signal_handler(void **state)
{
    np_result r;
    struct sigaction action, previous;
    (void)state;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    assert_int_equal(sigaction(SIGUSR1, &action, &previous), 0);
    in_handler = (canceller){.signalled = pthread_self()};
    stun_server *server = support_server(
        (stun_server_config){.reply = PLAIN_SILENT, .on_request = raise_at_request, .user = &in_handler});
    in_handler.probe = endless_probe(stun_server_name(server));
    assert_int_equal(support_run(in_handler.probe, &r), NP_ERR_CANCELLED);
    np_probe_free(in_handler.probe);
    stun_server_stop(server);
    assert_int_equal(sigaction(SIGUSR1, &previous, NULL), 0);
}

static void ignore_signal(int number)
{
    (void)number;
}

/* A signal that means nothing to the run interrupts its system calls, and changes nothing. */
static void other_signals_change_nothing(void **state)
{
    np_result r;
    struct sigaction action, previous;
    canceller c = {.signalled = pthread_self()};
    (void)state;
    memset(&action, 0, sizeof action);
    action.sa_handler = ignore_signal;
    assert_int_equal(sigaction(SIGUSR1, &action, &previous), 0);
    stun_server *server = support_server((stun_server_config){.on_request = raise_at_request, .user = &c});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    for (int i = 0; i < 5; i++) {
        atomic_store(&c.requests, 0);
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    }
    np_probe_free(probe);
    stun_server_stop(server);
    assert_int_equal(sigaction(SIGUSR1, &previous, NULL), 0);
}

static void cancel_between_runs_means_none(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = endless_probe(stun_server_name(server));
    for (int i = 0; i < 3; i++) { /* before the first one, and after others */
        np_probe_cancel(probe);
        np_probe_cancel(probe);
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    }
    np_probe_free(probe);
    stun_server_stop(server);
}

/* However often a run was cancelled, the next one knows nothing of it. */
static void cancel_twice_ends_one_run(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    late l = {.probe = support_probe("127.0.0.1", stun_server_name(server))};
    assert_int_equal(np_probe_set_events(l.probe, cancel_twice, &l), NP_OK);
    for (int i = 0; i < 4; i++) {
        l.cancels = i % 2 == 0;
        assert_int_equal(support_run(l.probe, &r), l.cancels ? NP_ERR_CANCELLED : NP_OK);
    }
    np_probe_free(l.probe);
    stun_server_stop(server);
}

static void *cancel_when_names_hang(void *probe)
{
    support_wait_for_hanging_names(1);
    np_probe_cancel(probe);
    return NULL;
}

static void cancel_while_a_name_is_looked_up(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true}};
    np_result r;
    pthread_t thread;
    (void)state;
    support_set_names(names, 1);
    np_probe *probe = endless_probe("slow.test");
    assert_int_equal(pthread_create(&thread, NULL, cancel_when_names_hang, probe), 0);
    assert_int_equal(support_run(probe, &r), NP_ERR_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    np_probe_free(probe);
}

/* ---- The log sink ----------------------------------------------------------------------------------------------- */

typedef struct listener {
    np_probe *probe;
    pthread_t thread;
    unsigned lines;
    int32_t most_detailed;
    int error_of_inner_run;
    bool cancels, runs;
} listener;

static void listen_to(int32_t level, const char *line, void *user)
{
    listener *l = user;
    np_result inner;
    assert_true(pthread_equal(pthread_self(), l->thread));
    assert_true(level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG);
    assert_true(strlen(line) > 0);
    assert_null(strchr(line, '\n'));
    l->lines++;
    if (level > l->most_detailed)
        l->most_detailed = level;
    if (l->runs)
        l->error_of_inner_run = np_probe_run(l->probe, &inner);
    if (l->cancels)
        np_probe_cancel(l->probe);
}

static int run_listened(listener *l, int32_t level)
{
    np_result r;
    stun_server *server = support_server((stun_server_config){0});
    l->probe = support_probe("127.0.0.1", stun_server_name(server));
    l->thread = pthread_self();
    assert_int_equal(np_probe_set_log(l->probe, level, listen_to, l), NP_OK);
    const int error = support_run(l->probe, &r);
    np_probe_free(l->probe);
    stun_server_stop(server);
    return error;
}

static void lines_come_in_the_callers_thread_up_to_the_level(void **state)
{
    (void)state;
    for (int32_t level = NP_LOG_ERROR; level <= NP_LOG_DEBUG; level++) {
        listener l = {0};
        assert_int_equal(run_listened(&l, level), NP_OK);
        assert_true(l.most_detailed <= level);
        assert_true(level < NP_LOG_DEBUG || l.lines > 5);
    }
}

static void cancel_from_the_sink(void **state)
{
    listener l = {.cancels = true};
    (void)state;
    assert_int_equal(run_listened(&l, NP_LOG_DEBUG), NP_ERR_CANCELLED);
}

static void run_from_its_own_sink_is_busy(void **state)
{
    listener l = {.runs = true};
    (void)state;
    assert_int_equal(run_listened(&l, NP_LOG_DEBUG), NP_OK);
    assert_int_equal(l.error_of_inner_run, NP_ERR_BUSY);
}

static void no_sink_no_lines(void **state)
{
    listener l = {0};
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_log(probe, NP_LOG_DEBUG, listen_to, &l), NP_OK);
    assert_int_equal(np_probe_set_log(probe, 0, NULL, NULL), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(l.lines, 0);
    np_probe_free(probe);
    stun_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(cancel_from_another_thread),
        CASE(cancel_at_every_step_of_a_check),
        CASE(one_that_comes_too_late_is_spent),
        CASE(cancel_from_a_signal_handler),
        CASE(other_signals_change_nothing),
        CASE(cancel_between_runs_means_none),
        CASE(cancel_twice_ends_one_run),
        CASE(cancel_while_a_name_is_looked_up),
        CASE(lines_come_in_the_callers_thread_up_to_the_level),
        CASE(cancel_from_the_sink),
        CASE(run_from_its_own_sink_is_busy),
        CASE(no_sink_no_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
