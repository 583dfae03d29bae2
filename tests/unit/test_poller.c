/* SPDX-License-Identifier: MIT */
/* poller: the one descriptor is readable when there is something to do, and only then. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

#include "clock.h"
#include "poller.h"
#include "unit.h"

enum { PATIENCE_MS = 20000 };
#define NEVER UINT64_MAX
#define MS UINT64_C(1000000)

static npi_poller poller;
static int pair[2]; /* what is written to the second can be read from the first */

static int set_up(void **state)
{
    npi_failure failure = {"", -1};
    (void)state;
    if (npi_poller_open(&poller, &failure) != NP_OK || failure.call != NULL)
        return -1;
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
}

static int tear_down(void **state)
{
    (void)state;
    npi_poller_close(&poller);
    npi_poller_close(&poller);
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static bool is_readable(int timeout_ms)
{
    struct pollfd p = {.fd = poller.fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void say(void)
{
    assert_int_equal(write(pair[1], "x", 1), 1);
}

static void listen_up(void)
{
    char byte;
    assert_int_equal(read(pair[0], &byte, 1), 1);
}

/* The one tag that is ready, or -1 for none. */
static int collect_one(void)
{
    uint32_t tags[NPI_POLLER_TAGS];
    const int count = npi_poller_collect(&poller, tags);
    assert_in_range(count, 0, 1);
    return count == 1 ? (int)tags[0] : -1;
}

static void nothing_to_do_at_first(void **state)
{
    (void)state;
    assert_false(is_readable(0));
    assert_int_equal(collect_one(), -1);
    assert_int_equal(fcntl(poller.fd, F_GETFD), FD_CLOEXEC);
}

static void a_socket_is_told_as_long_as_there_is_something(void **state)
{
    (void)state;
    assert_true(npi_poller_watch(&poller, pair[0], 7, NPI_WATCH_CONTENT));
    assert_int_equal(collect_one(), -1);
    say();
    assert_true(is_readable(PATIENCE_MS));
    assert_int_equal(collect_one(), 7);
    assert_int_equal(collect_one(), 7);
    listen_up();
    assert_int_equal(collect_one(), -1);
    say();
    npi_poller_unwatch(&poller, pair[0]);
    assert_false(is_readable(0));
    listen_up();
}

static void a_socket_watched_once_is_told_at_each_arrival(void **state)
{
    (void)state;
    say(); /* also of what was there before */
    assert_true(npi_poller_watch(&poller, pair[0], 3, NPI_WATCH_ARRIVALS));
    assert_int_equal(collect_one(), 3);
    assert_int_equal(collect_one(), -1);
    assert_false(is_readable(0));
    say();
    assert_true(is_readable(PATIENCE_MS));
    assert_int_equal(collect_one(), 3);
    assert_false(is_readable(0));
}

static void a_descriptor_that_is_none_is_not_watched(void **state)
{
    (void)state;
    assert_false(npi_poller_watch(&poller, -1, 0, NPI_WATCH_CONTENT));
    assert_int_equal(errno, EBADF);
}

static void the_timer_comes_and_is_taken_back(void **state)
{
    (void)state;
    const uint64_t now = npi_clock_now();
    assert_true(npi_poller_set_timer(&poller, now, now + 5 * MS));
    assert_true(is_readable(PATIENCE_MS));
    assert_true(npi_clock_now() >= now + 5 * MS); /* never early */
    assert_int_equal(collect_one(), -1);
    assert_true(npi_poller_set_timer(&poller, now, NEVER));
    assert_false(is_readable(0));
    assert_true(npi_poller_set_timer(&poller, now, NEVER));
    assert_true(npi_poller_set_timer(&poller, now + 9, now)); /* past already */
    assert_true(is_readable(PATIENCE_MS));
    assert_true(npi_poller_set_timer(&poller, now, now + 20 * MS));
    assert_true(npi_poller_set_timer(&poller, now, NEVER));
    assert_false(is_readable(40)); /* it was taken back in time */
    assert_true(npi_poller_set_timer(&poller, now, now + UINT64_C(4000) * 3600 * 1000 * MS)); /* years */
    assert_false(is_readable(0));
}

static void *wake(void *poller_to_wake)
{
    npi_poller_wake(((const npi_poller *)poller_to_wake)->wake_fd);
    return NULL;
}

static void wake_ups_are_never_lost_and_never_block(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake, &poller), 0);
    assert_true(npi_poller_wait(&poller));
    assert_true(is_readable(PATIENCE_MS));
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < 100000; i++)
        npi_poller_wake(poller.wake_fd);
    assert_true(is_readable(PATIENCE_MS));
    for (int i = 0; i < 10000 && is_readable(0); i++) /* a pipe holds many, an eventfd one */
        assert_int_equal(collect_one(), -1);
    assert_false(is_readable(0));
    errno = 42;
    npi_poller_wake(poller.wake_fd);
    npi_poller_wake(-1);
    assert_int_equal(errno, 42);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(nothing_to_do_at_first),
        TEST(a_socket_is_told_as_long_as_there_is_something),
        TEST(a_socket_watched_once_is_told_at_each_arrival),
        TEST(a_descriptor_that_is_none_is_not_watched),
        TEST(the_timer_comes_and_is_taken_back),
        TEST(wake_ups_are_never_lost_and_never_block),
    };
    return cmocka_run_group_tests_name("poller", tests, NULL, NULL);
}
