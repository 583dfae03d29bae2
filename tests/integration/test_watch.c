/* SPDX-License-Identifier: MIT */
/* np_watch over loopback: what it tells, when it ends, and what may be done to it at which moment. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

enum { PATIENCE_MS = 30000, BEFORE_ANY_LOOK_MS = 15000 /* it wakes every 30 s by itself */ };

typedef struct told {
    unsigned count;
    np_watch_status last;
    np_watch *watch; /* to be freed or cancelled from the callback */
    bool frees, cancels;
    int inner_codes[3]; /* of calls that a callback may not make */
} told;

static void on_change(const np_watch_status *status, void *user)
{
    told *t = user;
    np_watch_status read;
    t->count++;
    t->last = *status;
    if (t->watch == NULL)
        return;
    assert_int_equal(np_watch_read(t->watch, &read), NP_OK);
    t->inner_codes[0] = np_watch_process(t->watch);
    t->inner_codes[1] = np_watch_note_failure(t->watch);
    t->inner_codes[2] = np_watch_start(t->watch);
    if (t->cancels)
        np_watch_cancel(t->watch);
    if (t->frees)
        np_watch_free(t->watch);
}

static np_watch *make(const stun_server *server, told *t)
{
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    np_watch *watch = np_watch_new(probe);
    assert_non_null(watch);
    memset(t, 0, sizeof *t);
    assert_int_equal(np_watch_set_changes(watch, on_change, t), NP_OK);
    return watch;
}

static bool is_readable(const np_watch *watch, int timeout_ms)
{
    struct pollfd fd = {.fd = np_watch_fd(watch), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

/* Until so many changes have been told, or the watch ends. */
static int go_on(np_watch *watch, const told *t, unsigned count)
{
    int error = NP_PENDING;
    while (error == NP_PENDING && t->count < count) {
        assert_true(is_readable(watch, PATIENCE_MS));
        error = np_watch_process(watch);
    }
    return error;
}

static void first_verdict_is_told_once(void **state)
{
    told t;
    np_watch_status status;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_watch *watch = make(server, &t);
    assert_int_equal(np_watch_fd(watch), NP_INVALID_SOCKET);
    assert_int_equal(np_watch_start(watch), NP_OK);
    assert_int_equal(np_watch_start(watch), NP_ERR_BUSY);
    assert_int_equal(np_watch_set_interval(watch, 60), NP_ERR_BUSY);
    assert_int_equal(np_watch_set_changes(watch, NULL, NULL), NP_ERR_BUSY);
    assert_int_equal(np_watch_read(watch, &status), NP_OK);
    assert_int_equal(status.age_ms, -1);
    assert_int_equal(status.is_checking, 1);
    assert_int_equal(go_on(watch, &t, 1), NP_PENDING);
    assert_int_equal(t.last.result.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(t.last.reason, NP_WATCH_REASON_START);
    assert_int_equal(t.last.changed, NP_CHANGED_TYPE | NP_CHANGED_MAPPING | NP_CHANGED_FILTERING | NP_CHANGED_ADDRESS);
    for (int i = 0; i < 100; i++) /* too often does no harm */
        assert_int_equal(np_watch_process(watch), NP_PENDING);
    assert_int_equal(np_watch_read(watch, &status), NP_OK);
    assert_int_equal(status.changes, 1);
    assert_int_equal(status.checks, 1);
    assert_int_equal(status.is_checking, 0);
    assert_true(status.age_ms >= 0 && status.filtering_age_ms >= status.age_ms);
    assert_true(status.next_check_ms > 0 && status.next_check_ms <= 7920 * 1000);
    assert_int_equal(t.count, 1);
    assert_false(is_readable(watch, 0));
    np_watch_free(watch);
    stun_server_stop(server);
}

static void silence_is_told_and_tried_again(void **state)
{
    told t;
    np_watch_status status;
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_watch *watch = make(server, &t);
    assert_int_equal(np_watch_start(watch), NP_OK);
    assert_int_equal(go_on(watch, &t, 1), NP_PENDING);
    assert_int_equal(t.last.result.error, NP_ERR_NO_RESPONSE);
    assert_int_equal(t.last.last_error, NP_ERR_NO_RESPONSE);
    assert_int_equal(np_watch_read(watch, &status), NP_OK);
    assert_in_range(status.next_check_ms, 1, 30000);
    np_watch_free(watch);
    stun_server_stop(server);
}

static void it_ends_when_cancelled_and_may_begin_again(void **state)
{
    told t;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_watch *watch = make(server, &t);
    np_watch_cancel(watch); /* nothing to end */
    assert_int_equal(np_watch_process(watch), NP_ERR_ARGUMENT);
    for (unsigned round = 1; round <= 3; round++) {
        assert_int_equal(np_watch_start(watch), NP_OK);
        const int fd = np_watch_fd(watch);
        if (round < 3)
            assert_int_equal(go_on(watch, &t, round == 1 ? 1 : 0), NP_PENDING);
        np_watch_cancel(watch);
        assert_true(is_readable(watch, BEFORE_ANY_LOOK_MS));
        assert_int_equal(np_watch_process(watch), NP_ERR_CANCELLED);
        assert_int_equal(np_watch_process(watch), NP_ERR_ARGUMENT);
        assert_int_equal(np_watch_note_failure(watch), NP_ERR_ARGUMENT);
        assert_int_equal(np_watch_fd(watch), fd);
        assert_false(is_readable(watch, 0));
    }
    np_watch_free(watch);
    stun_server_stop(server);
}

static void *cancel_from_elsewhere(void *watch)
{
    np_watch_cancel(watch);
    return NULL;
}

static void another_thread_may_cancel(void **state)
{
    told t;
    pthread_t thread;
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_watch *watch = make(server, &t);
    assert_int_equal(np_watch_start(watch), NP_OK);
    assert_int_equal(pthread_create(&thread, NULL, cancel_from_elsewhere, watch), 0);
    assert_int_equal(go_on(watch, &t, 1), NP_ERR_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    np_watch_free(watch);
    stun_server_stop(server);
}

static void callback_may_end_or_free_it(void **state)
{
    (void)state;
    for (int frees = 0; frees < 2; frees++) {
        told t;
        stun_server *server = support_server((stun_server_config){0});
        np_watch *watch = make(server, &t);
        t.watch = watch;
        t.frees = frees == 1;
        t.cancels = !t.frees;
        assert_int_equal(np_watch_start(watch), NP_OK);
        assert_int_equal(go_on(watch, &t, 2), NP_ERR_CANCELLED);
        for (int i = 0; i < 3; i++)
            assert_int_equal(t.inner_codes[i], NP_ERR_BUSY);
        if (!t.frees)
            np_watch_free(watch);
        stun_server_stop(server);
    }
}

static void free_from_event(const np_event *event, void *user)
{
    np_watch **watch = user;
    (void)event;
    if (*watch == NULL)
        return;
    np_watch_free(*watch);
    *watch = NULL;
}

/* The probe's own callback, while the probe is in a call of the watch's. */
static void event_of_the_probe_may_free_it(void **state)
{
    np_watch *watch = NULL;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_events(probe, free_from_event, &watch), NP_OK);
    np_watch *made = watch = np_watch_new(probe);
    assert_non_null(made);
    assert_int_equal(np_watch_start(made), NP_ERR_CANCELLED);
    assert_null(watch);
    stun_server_stop(server);
}

static void freed_at_any_moment(void **state)
{
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (int turns = 0; turns < 12; turns++) {
        told t;
        np_watch *watch = make(server, &t);
        if (turns > 0)
            assert_int_equal(np_watch_start(watch), NP_OK);
        for (int i = 1; i < turns && t.count == 0; i++) {
            assert_true(is_readable(watch, PATIENCE_MS));
            assert_int_equal(np_watch_process(watch), NP_PENDING);
        }
        np_watch_free(watch);
    }
    stun_server_stop(server);
}

static void arguments_are_checked(void **state)
{
    np_watch_status status;
    told t;
    (void)state;
    assert_null(np_watch_new(NULL));
    np_watch_free(NULL);
    np_watch_cancel(NULL);
    assert_int_equal(np_watch_fd(NULL), NP_INVALID_SOCKET);
    assert_null(np_watch_wait_handle(NULL));
    assert_int_equal(np_watch_start(NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_process(NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_note_failure(NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_set_interval(NULL, 60), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_set_changes(NULL, on_change, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_read(NULL, &status), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_status_size(), sizeof status);
    stun_server *server = support_server((stun_server_config){0});
    np_watch *watch = make(server, &t);
    assert_int_equal(np_watch_read(watch, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_set_interval(watch, 9), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_set_interval(watch, 604801), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_set_interval(watch, 0), NP_OK);
    assert_int_equal(np_watch_set_interval(watch, 10), NP_OK);
    assert_int_equal(np_watch_read(watch, &status), NP_OK);
    assert_int_equal(status.reason, NP_WATCH_REASON_NONE);
    assert_int_equal(status.next_check_ms, -1);
    np_watch_free(watch);
    stun_server_stop(server);
}

static void probe_in_use_is_refused(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_start(probe), NP_OK);
    assert_null(np_watch_new(probe));
    np_probe_cancel(probe);
    assert_int_equal(np_probe_process(probe, &r), NP_ERR_CANCELLED);
    np_watch *watch = np_watch_new(probe);
    assert_non_null(watch);
    np_watch_free(watch);
    stun_server_stop(server);
}

static void settings_that_contradict_each_other_end_it(void **state)
{
    (void)state;
    np_probe *probe = np_probe_new();
    assert_int_equal(np_probe_set_source(probe, "127.0.0.1", 0), NP_OK);
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV6), NP_OK);
    assert_int_equal(np_probe_add_server(probe, "stun.example"), NP_OK);
    told t;
    memset(&t, 0, sizeof t);
    np_watch *watch = np_watch_new(probe);
    np_watch_status status;
    assert_int_equal(np_watch_set_changes(watch, on_change, &t), NP_OK);
    assert_int_equal(np_watch_start(watch), NP_OK);
    assert_true(is_readable(watch, PATIENCE_MS));
    assert_int_equal(np_watch_process(watch), NP_ERR_ARGUMENT);
    assert_int_equal(np_watch_read(watch, &status), NP_OK);
    assert_int_equal(status.last_error, NP_ERR_ARGUMENT);
    assert_int_equal(t.count, 0);
    assert_int_equal(np_watch_process(watch), NP_ERR_ARGUMENT);
    np_watch_free(watch);
}

typedef struct requests {
    unsigned plain, of_filtering;
} requests;

static void count_requests(const np_event *event, void *user)
{
    requests *r = user;
    if (event->kind != NP_EVENT_SENT)
        return;
    if (event->request == NP_REQUEST_I)
        r->plain++;
    else
        r->of_filtering++;
}

/*
 * A failure is answered by a check 10 s after the one before, the only wait of these tests. It asks nobody about the
 * filtering, and what it finds is not told again.
 */
static void failure_makes_a_check_due(void **state)
{
    told t;
    requests asked = {0, 0};
    np_watch_status status;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_set_events(probe, count_requests, &asked), NP_OK);
    np_watch *watch = np_watch_new(probe);
    assert_non_null(watch);
    memset(&t, 0, sizeof t);
    assert_int_equal(np_watch_set_changes(watch, on_change, &t), NP_OK);
    assert_int_equal(np_watch_start(watch), NP_OK);
    assert_int_equal(go_on(watch, &t, 1), NP_PENDING);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(np_watch_note_failure(watch), NP_OK);
    assert_true(is_readable(watch, PATIENCE_MS));
    assert_int_equal(np_watch_process(watch), NP_PENDING);
    assert_int_equal(np_watch_read(watch, &status), NP_OK);
    assert_in_range(status.next_check_ms, 0, 10000);
    assert_int_equal(status.checks, 1);
    assert_true(asked.plain > 0 && asked.of_filtering > 0);
    asked = (requests){0, 0};
    while (status.checks < 2 || status.is_checking) {
        assert_true(is_readable(watch, PATIENCE_MS));
        assert_int_equal(np_watch_process(watch), NP_PENDING);
        assert_int_equal(np_watch_read(watch, &status), NP_OK);
    }
    assert_int_equal(status.reason, NP_WATCH_REASON_FAILURE);
    assert_int_equal(status.result.nat_type, NP_NAT_OPEN_INTERNET);
    assert_true(status.filtering_age_ms >= 9000 && status.age_ms < status.filtering_age_ms);
    assert_int_equal(t.count, 1);
    assert_true(asked.plain > 0);
    assert_int_equal(asked.of_filtering, 0);
    np_watch_free(watch);
    stun_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(first_verdict_is_told_once),
        CASE(silence_is_told_and_tried_again),
        CASE(it_ends_when_cancelled_and_may_begin_again),
        CASE(another_thread_may_cancel),
        CASE(callback_may_end_or_free_it),
        CASE(event_of_the_probe_may_free_it),
        CASE(freed_at_any_moment),
        CASE(arguments_are_checked),
        CASE(probe_in_use_is_refused),
        CASE(settings_that_contradict_each_other_end_it),
        CASE(failure_makes_a_check_due),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
