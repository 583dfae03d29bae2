/* SPDX-License-Identifier: MIT */
/* The check in an event loop of the caller's: np_probe_start, np_probe_fd, np_probe_process, and what may go wrong. */
#include "support.h"

#include <malloc.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

static bool is_readable(const np_probe *probe, int timeout_ms)
{
    struct pollfd fd = {.fd = np_probe_fd(probe), .events = POLLIN};
    const int ready = poll(&fd, 1, timeout_ms);
    assert_true(ready >= 0 && (fd.revents & ~POLLIN) == 0);
    return ready == 1;
}

static void check_pending(const np_result *r)
{
    np_result nothing;
    memset(&nothing, 0, sizeof nothing);
    nothing.error = NP_PENDING;
    assert_memory_equal(r, &nothing, sizeof nothing);
}

/* As an event loop does it. Returns the code; *turns counts how often there was something to do. */
static int finish(np_probe *probe, np_result *r, unsigned *turns)
{
    for (*turns = 1;; ++*turns) {
        assert_true(is_readable(probe, PATIENCE_MS));
        support_poison(r);
        const int error = np_probe_process(probe, r);
        if (error != NP_PENDING) {
            support_check_whole(r, error);
            return error;
        }
        check_pending(r);
    }
}

static int run_in_loop(np_probe *probe, np_result *r)
{
    unsigned turns;
    assert_int_equal(np_probe_start(probe), NP_OK);
    return finish(probe, r, &turns);
}

/* ---- What it gives ---------------------------------------------------------------------------------------------- */

static void same_verdicts_as_the_blocking_call(void **state)
{
    static const struct {
        stun_server_config config;
        int error;
        int32_t nat_type;
    } cases[] = {
        {{0}, NP_OK, NP_NAT_OPEN_INTERNET},
        {{.mapping = MAPPING_SHIFTED}, NP_OK, NP_NAT_FULL_CONE},
        {{.mapping = MAPPING_BY_ENDPOINT}, NP_OK, NP_NAT_SYMMETRIC},
        {{.change = CHANGE_REJECTED}, NP_OK, NP_NAT_NO_NAT},
        {{.reply = PLAIN_NO_ATTRIBUTES}, NP_ERR_BAD_RESPONSE, NP_NAT_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        np_result blocking, looped;
        stun_server *server = support_server(cases[i].config);
        np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
        assert_int_equal(np_probe_set_response_timeout(probe, 700), NP_OK);
        assert_int_equal(support_run(probe, &blocking), cases[i].error);
        assert_int_equal(run_in_loop(probe, &looped), cases[i].error);
        assert_int_equal(blocking.nat_type, cases[i].nat_type);
        assert_int_equal(looped.nat_type, cases[i].nat_type);
        assert_string_equal(looped.detail, blocking.detail);
        np_probe_free(probe);
        stun_server_stop(server);
    }
}

static void the_descriptor_stays_and_the_handle_may_be_used_again(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_fd(probe), -1);
    assert_int_equal(np_probe_fd(NULL), -1);
    assert_int_equal(run_in_loop(probe, &r), NP_OK);
    const int fd = np_probe_fd(probe);
    assert_true(fd >= 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(i % 2 == 0 ? support_run(probe, &r) : run_in_loop(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
        assert_int_equal(np_probe_fd(probe), fd);
        assert_false(is_readable(probe, 0)); /* nothing to do between two checks */
    }
    np_probe_free(probe);
    stun_server_stop(server);
}

/* Readable only when there is something to do: a loop that is woken for nothing burns a processor. */
static void it_wakes_only_when_there_is_something_to_do(void **state)
{
    np_result r;
    unsigned turns;
    (void)state;
    stun_server *silent = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(silent));
    assert_int_equal(np_probe_set_response_timeout(probe, 1000), NP_OK);
    assert_int_equal(np_probe_start(probe), NP_OK);
    assert_int_equal(finish(probe, &r, &turns), NP_ERR_NO_RESPONSE);
    assert_true(turns <= r.packets_sent + 20);
    np_probe_free(probe);
    stun_server_stop(silent);
}

static void processing_too_often_does_no_harm(void **state)
{
    np_result r;
    int error;
    (void)state;
    stun_server *server = support_server((stun_server_config){.slow_ms = 2});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_start(probe), NP_OK);
    while ((error = np_probe_process(probe, &r)) == NP_PENDING)
        check_pending(&r);
    assert_int_equal(error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_true(r.packets_sent <= 40);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* ---- Names, limits of time and cancellation --------------------------------------------------------------------- */

static void names_are_resolved_in_the_loop(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const char *name = stun_server_name(server);
    char spoken[64];
    const support_name names[] = {{.name = "spoken.test", .address = {stun_server_ip(server)}, .slow = true}};
    snprintf(spoken, sizeof spoken, "spoken.test%s", strrchr(name, ':'));
    support_set_names(names, 1);
    np_probe *probe = support_probe("127.0.0.1", spoken);
    assert_int_equal(np_probe_start(probe), NP_OK);
    support_wait_for_hanging_names(1);
    assert_int_equal(np_probe_process(probe, &r), NP_PENDING);
    support_release_names();
    unsigned turns;
    assert_int_equal(finish(probe, &r, &turns), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    np_probe_free(probe);
    stun_server_stop(server);
}

static void the_deadline_holds_while_a_name_hangs(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true}};
    np_result r;
    unsigned turns;
    (void)state;
    support_set_names(names, 1);
    np_probe *probe = support_probe(NULL, "slow.test");
    assert_int_equal(np_probe_set_timeout(probe, 200), NP_OK);
    assert_int_equal(np_probe_start(probe), NP_OK);
    assert_int_equal(finish(probe, &r, &turns), NP_ERR_TIMEOUT);
    assert_true(turns < 20);
    np_probe_free(probe);
}

static void over_to_ipv6_in_the_loop(void **state)
{
    static const support_name names[] = {{.name = "six.test", .address = {"2001:db8::1"}}};
    np_result r;
    (void)state;
    support_set_names(names, 1);
    np_probe *probe = support_probe(NULL, "six.test");
    assert_int_equal(np_probe_set_timeout(probe, 300), NP_OK);
    const int error = run_in_loop(probe, &r);
    /* There is no route to it, or nothing there; but IPv4 alone would have found no address. */
    assert_true(error == NP_ERR_NETWORK_UNREACHABLE || error == NP_ERR_NO_RESPONSE || error == NP_ERR_TIMEOUT ||
                error == NP_ERR_RESOLVE);
    np_probe_free(probe);
}

static void *cancel_in_a_while(void *probe)
{
    poll(NULL, 0, 30);
    np_probe_cancel(probe);
    return NULL;
}

static void a_cancellation_wakes_the_loop(void **state)
{
    np_result r;
    unsigned turns;
    pthread_t thread;
    (void)state;
    stun_server *silent = support_server((stun_server_config){.reply = PLAIN_SILENT});
    np_probe *probe = support_probe(NULL, stun_server_name(silent));
    assert_int_equal(np_probe_set_timeout(probe, 3600000), NP_OK);
    assert_int_equal(np_probe_set_response_timeout(probe, 3600000), NP_OK);
    assert_int_equal(np_probe_start(probe), NP_OK);
    assert_int_equal(pthread_create(&thread, NULL, cancel_in_a_while, probe), 0);
    assert_int_equal(finish(probe, &r, &turns), NP_ERR_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    np_probe_free(probe);
    stun_server_stop(silent);
}

static void a_cancellation_between_checks_means_none(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    for (int round = 0; round < 2; round++) { /* without a descriptor and with one */
        np_probe_cancel(probe);
        assert_int_equal(run_in_loop(probe, &r), NP_OK);
    }
    np_probe_cancel(probe);
    assert_false(is_readable(probe, 0)); /* who watches it all the time is not woken for nothing */
    assert_int_equal(np_probe_process(probe, &r), NP_ERR_ARGUMENT);
    np_probe_free(probe);
    stun_server_stop(server);
}

/* Started is in progress, whether or not it has had a turn of its own. */
static void a_cancellation_right_after_the_start_ends_that_check(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(np_probe_start(probe), NP_OK);
        np_probe_cancel(probe);
        np_probe_cancel(probe);
        assert_true(is_readable(probe, 0));
        assert_int_equal(np_probe_process(probe, &r), NP_ERR_CANCELLED);
        assert_int_equal(run_in_loop(probe, &r), NP_OK);
    }
    np_probe_free(probe);
    stun_server_stop(server);
}

/* ---- Misuse ----------------------------------------------------------------------------------------------------- */

static void what_cannot_be_done_now_is_refused(void **state)
{
    np_result r;
    unsigned turns;
    (void)state;
    stun_server *server = support_server((stun_server_config){.slow_ms = 5});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    assert_int_equal(np_probe_start(NULL), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_process(NULL, &r), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_process(probe, NULL), NP_ERR_ARGUMENT);
    support_poison(&r);
    assert_int_equal(np_probe_process(probe, &r), NP_ERR_ARGUMENT);
    support_check_whole(&r, NP_ERR_ARGUMENT);

    assert_int_equal(np_probe_start(probe), NP_OK);
    assert_int_equal(np_probe_start(probe), NP_ERR_BUSY);
    assert_int_equal(support_run(probe, &r), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_source(probe, NULL, 0), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_socket(probe, -1, NULL, NULL), NP_ERR_BUSY);
    assert_int_equal(np_probe_add_server(probe, "192.0.2.1"), NP_ERR_BUSY);
    assert_int_equal(np_probe_clear_servers(probe), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV4), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_tests(probe, NP_TESTS_DEFAULT), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_timeout(probe, 5), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_response_timeout(probe, 5), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_log(probe, 0, NULL, NULL), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_events(probe, NULL, NULL), NP_ERR_BUSY);
    assert_int_equal(np_probe_process(probe, NULL), NP_ERR_ARGUMENT);
    assert_int_equal(finish(probe, &r, &turns), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(np_probe_process(probe, &r), NP_ERR_ARGUMENT); /* the result is handed over once */
    assert_int_equal(np_probe_set_timeout(probe, 5000), NP_OK);
    np_probe_free(probe);
    stun_server_stop(server);
}

static void a_port_in_use_is_told_by_process(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const uint16_t taken = (uint16_t)atoi(strrchr(stun_server_name(server), ':') + 1);
    np_probe *probe = np_probe_new();
    assert_int_equal(np_probe_set_source(probe, stun_server_ip(server), taken), NP_OK);
    assert_int_equal(np_probe_add_server(probe, stun_server_name(server)), NP_OK);
    assert_int_equal(run_in_loop(probe, &r), NP_ERR_ADDRESS_IN_USE);
    assert_non_null(strstr(r.detail, stun_server_ip(server)));
    np_probe_free(probe);
    stun_server_stop(server);
}

static void freed_after_any_number_of_turns(void **state)
{
    np_result r;
    (void)state;
    for (unsigned turns = 0; turns < 30; turns++) {
        stun_server *server = support_server((stun_server_config){.mapping = MAPPING_SHIFTED});
        np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
        assert_int_equal(np_probe_start(probe), NP_OK);
        for (unsigned i = 0; i < turns; i++) {
            if (!is_readable(probe, 1000) || np_probe_process(probe, &r) != NP_PENDING)
                break;
        }
        np_probe_free(probe);
        stun_server_stop(server);
    }
}

static void freed_while_a_name_hangs(void **state)
{
    static const support_name names[] = {{.name = NULL, .slow = true}};
    (void)state;
    support_set_names(names, 1);
    np_probe *probe = support_probe(NULL, "slow.test");
    assert_int_equal(np_probe_start(probe), NP_OK);
    support_wait_for_hanging_names(1);
    np_probe_free(probe);
}

/* ---- Called back ------------------------------------------------------------------------------------------------ */

typedef struct caller {
    np_probe *probe;
    unsigned events;
    unsigned free_at; /* which event, counted from 1 */
} caller;

static void free_from_within(const np_event *event, void *user)
{
    caller *c = user;
    np_result r;
    (void)event;
    assert_true(++c->events <= c->free_at); /* none comes after */
    assert_int_equal(np_probe_start(c->probe), NP_ERR_BUSY);
    assert_int_equal(np_probe_process(c->probe, &r), NP_ERR_BUSY);
    assert_int_equal(np_probe_run(c->probe, &r), NP_ERR_BUSY);
    assert_int_equal(np_probe_set_timeout(c->probe, 1000), NP_ERR_BUSY);
    if (c->events == c->free_at)
        np_probe_free(c->probe);
}

static void freed_from_within_a_callback(void **state)
{
    np_result r;
    (void)state;
    for (unsigned at = 1; at <= 6; at++) { /* each check has more events than that */
        stun_server *server = support_server((stun_server_config){0});
        caller blocking = {.probe = support_probe("127.0.0.1", stun_server_name(server)), .free_at = at};
        assert_int_equal(np_probe_set_events(blocking.probe, free_from_within, &blocking), NP_OK);
        const int error = np_probe_run(blocking.probe, &r);
        assert_true(error == NP_ERR_CANCELLED || error == NP_OK);
        assert_int_equal(blocking.events, at);

        caller looped = {.probe = support_probe("127.0.0.1", stun_server_name(server)), .free_at = at};
        assert_int_equal(np_probe_set_events(looped.probe, free_from_within, &looped), NP_OK);
        int told = np_probe_start(looped.probe);
        while (looped.events < at) {
            assert_int_equal(told, told == NP_OK ? NP_OK : NP_PENDING);
            assert_true(is_readable(looped.probe, PATIENCE_MS));
            told = np_probe_process(looped.probe, &r);
            assert_int_equal(told, r.error);
        }
        assert_true(told == NP_ERR_CANCELLED || told == NP_OK); /* never that it goes on */
        stun_server_stop(server);
    }
}

typedef struct quitter {
    np_probe *probe;
    unsigned requests;  /* for the mapping, so far */
    unsigned cancel_at; /* which of them, counted from 1 */
    bool is_freed;
} quitter;

static void cancel_and_then_free(const np_event *event, void *user)
{
    quitter *q = user;
    assert_false(q->is_freed); /* nothing comes after */
    if (event->kind == NP_EVENT_SENT && event->purpose == NP_PURPOSE_MAPPING && ++q->requests == q->cancel_at)
        np_probe_cancel(q->probe);
    q->is_freed = event->kind == NP_EVENT_CONCLUDED && event->purpose == NP_PURPOSE_FILTERING &&
                  q->requests >= q->cancel_at;
    if (q->is_freed)
        np_probe_free(q->probe);
}

/* Neither server can be used for the filtering: the tests with both are concluded when the check is given up. */
static void freed_with_the_first_of_two_conclusions(void **state)
{
    enum { REQUESTS = 8 };
    unsigned freed = 0;
    stun_server *servers[2];
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        servers[i] = support_server((stun_server_config){.change = CHANGE_IGNORED});
    for (unsigned at = 1; at <= REQUESTS; at++) {
        np_result r;
        quitter q = {.probe = support_probe("127.0.0.1", stun_server_name(servers[0])), .cancel_at = at};
        assert_int_equal(np_probe_add_server(q.probe, stun_server_name(servers[1])), NP_OK);
        assert_int_equal(np_probe_set_events(q.probe, cancel_and_then_free, &q), NP_OK);
        const int error = np_probe_run(q.probe, &r);
        assert_true(error == NP_ERR_CANCELLED || error == NP_OK);
        freed += q.is_freed;
        if (!q.is_freed)
            np_probe_free(q.probe);
    }
    assert_true(freed > 0);
    for (unsigned i = 0; i < 2; i++)
        stun_server_stop(servers[i]);
}

/* There is no descriptor to watch, whether the check had begun to send or had failed. */
static void freed_while_it_is_started(void **state)
{
    static const char *const sources[] = {"127.0.0.1", "192.0.2.1"}; /* the second one is not this host's */
    (void)state;
    for (int i = 0; i < 2; i++) {
        caller c = {.probe = support_probe(sources[i], "127.0.0.1:9"), .free_at = 1};
        assert_int_equal(np_probe_set_events(c.probe, free_from_within, &c), NP_OK);
        assert_int_equal(np_probe_start(c.probe), NP_ERR_CANCELLED);
        assert_int_equal(c.events, 1);
    }
}

/* ---- A thousand at once ----------------------------------------------------------------------------------------- */

enum { CROWD = 1000, CROWD_SERVERS = 40 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OWN_HEAP 0
#else
#define HAS_OWN_HEAP 1
#endif

/* A descriptor for each of six things, and some. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlim_t wanted = 7 * CROWD;
    if (limit.rlim_cur >= wanted)
        return;
    if (limit.rlim_max < wanted)
        limit.rlim_max = wanted; /* as root */
    limit.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail_msg("this test needs %d descriptors", 7 * CROWD);
}

static void crowd_is_right(np_probe *const *probes, unsigned count, int epoll_fd)
{
    unsigned done = 0;
    while (done < count) {
        struct epoll_event events[64];
        const int ready = epoll_wait(epoll_fd, events, 64, PATIENCE_MS);
        assert_true(ready > 0);
        for (int i = 0; i < ready; i++) {
            np_result r;
            np_probe *probe = probes[events[i].data.u32];
            const int error = np_probe_process(probe, &r);
            if (error == NP_PENDING)
                continue;
            support_check_whole(&r, error);
            assert_int_equal(error, NP_OK);
            assert_int_equal(r.nat_type, events[i].data.u32 % 2 == 0 ? NP_NAT_OPEN_INTERNET : NP_NAT_FULL_CONE);
            done++;
        }
    }
}

static void run_crowd(np_probe *const *probes, unsigned count)
{
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert_true(epoll_fd >= 0);
    for (uint32_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        assert_int_equal(np_probe_start(probes[i]), NP_OK);
        assert_int_equal(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, np_probe_fd(probes[i]), &event), 0);
    }
    crowd_is_right(probes, count, epoll_fd);
    close(epoll_fd);
}

/* Of half of them the NAT is another, so that nothing of one can be mistaken for another's. */
static void a_thousand_probes_in_one_thread(void **state)
{
    static np_probe *probes[CROWD];
    stun_server *servers[CROWD_SERVERS];
    (void)state;
    raise_descriptor_limit();
    for (unsigned i = 0; i < CROWD_SERVERS; i++)
        servers[i] = support_server((stun_server_config){.mapping = i % 2 == 0 ? MAPPING_TRUE : MAPPING_SHIFTED});
    for (unsigned i = 0; i < CROWD; i++) {
        probes[i] = support_probe("127.0.0.1", stun_server_name(servers[i % CROWD_SERVERS]));
        assert_int_equal(np_probe_set_timeout(probes[i], 60000), NP_OK); /* valgrind makes all of it slow */
    }

    run_crowd(probes, CROWD);
    const struct mallinfo2 first = mallinfo2();
    run_crowd(probes, CROWD);
    run_crowd(probes, CROWD);
    const struct mallinfo2 last = mallinfo2();
    if (HAS_OWN_HEAP) /* what a check takes it gives back */
        assert_true(last.uordblks <= first.uordblks + 4096);

    for (unsigned i = 0; i < CROWD; i++)
        np_probe_free(probes[i]);
    for (unsigned i = 0; i < CROWD_SERVERS; i++)
        stun_server_stop(servers[i]);
}

enum { NAMED = 200 };

static void hundreds_of_probes_with_names_in_one_thread(void **state)
{
    static np_probe *probes[NAMED];
    stun_server *servers[2];
    support_name names[2];
    (void)state;
    raise_descriptor_limit();
    for (unsigned i = 0; i < 2; i++) {
        static const char *const spoken[] = {"even.test", "odd.test"};
        servers[i] = support_server((stun_server_config){.mapping = i == 0 ? MAPPING_TRUE : MAPPING_SHIFTED});
        names[i] = (support_name){.name = spoken[i], .address = {stun_server_ip(servers[i])}};
    }
    support_set_names(names, 2);
    for (unsigned i = 0; i < NAMED; i++) {
        char server[64];
        snprintf(server, sizeof server, "%s%s", names[i % 2].name, strrchr(stun_server_name(servers[i % 2]), ':'));
        probes[i] = support_probe("127.0.0.1", server);
    }
    run_crowd(probes, NAMED);
    for (unsigned i = 0; i < NAMED; i++)
        np_probe_free(probes[i]);
    for (unsigned i = 0; i < 2; i++)
        stun_server_stop(servers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(same_verdicts_as_the_blocking_call),
        CASE(the_descriptor_stays_and_the_handle_may_be_used_again),
        CASE(it_wakes_only_when_there_is_something_to_do),
        CASE(processing_too_often_does_no_harm),
        CASE(names_are_resolved_in_the_loop),
        CASE(the_deadline_holds_while_a_name_hangs),
        CASE(over_to_ipv6_in_the_loop),
        CASE(a_cancellation_wakes_the_loop),
        CASE(a_cancellation_between_checks_means_none),
        CASE(a_cancellation_right_after_the_start_ends_that_check),
        CASE(what_cannot_be_done_now_is_refused),
        CASE(a_port_in_use_is_told_by_process),
        CASE(freed_after_any_number_of_turns),
        CASE(freed_while_a_name_hangs),
        CASE(freed_from_within_a_callback),
        CASE(freed_with_the_first_of_two_conclusions),
        CASE(freed_while_it_is_started),
        CASE(a_thousand_probes_in_one_thread),
        CASE(hundreds_of_probes_with_names_in_one_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
