/* SPDX-License-Identifier: MIT */
/* poller, clock, random, threads, names and interfaces on Windows. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "sockaddr.h"

#include "clock.h"
#include "poller.h"
#include "random.h"
#include "resolve.h"
#include "thread.h"

#include "../../unit/unit.h"

enum { PATIENCE_MS = 20000 };
#define NEVER UINT64_MAX
#define MS UINT64_C(1000000)

static npi_poller poller;

static int set_up(void **state)
{
    WSADATA unused;
    npi_failure failure = {"", -1};
    (void)state;
    if (WSAStartup(MAKEWORD(2, 2), &unused) != 0)
        return -1;
    return npi_poller_open(&poller, &failure) == NP_OK && failure.call == NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    npi_poller_close(&poller);
    npi_poller_close(&poller);
    WSACleanup();
    return 0;
}

static bool is_signalled(DWORD timeout_ms)
{
    return WaitForSingleObject(poller.event, timeout_ms) == WAIT_OBJECT_0;
}

static int collect(uint32_t *tag)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int count = npi_poller_collect(&poller, tags);
    if (count > 0)
        *tag = tags[0];
    return count;
}

/* A socket on loopback that is connected to itself. */
static SOCKET make_socket(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    int length = sizeof name;
    SOCKET fd = socket(AF_INET, SOCK_DGRAM, 0);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, length), 0);
    return fd;
}

/* ---- poller ----------------------------------------------------------------------------------------------------- */

static void nothing_to_do_at_first(void **state)
{
    (void)state;
    uint32_t tag;
    assert_false(is_signalled(20));
    assert_int_equal(collect(&tag), 0);
}

static void sockets_are_told_by_their_tags(void **state)
{
    (void)state;
    char byte;
    uint32_t tag = 0;
    SOCKET one = make_socket();
    SOCKET two = make_socket();
    assert_true(npi_poller_watch(&poller, one, 7, NPI_WATCH_CONTENT));
    assert_true(npi_poller_watch(&poller, two, 9, NPI_WATCH_ARRIVALS));
    assert_int_equal(send(two, "xy", 2, 0), 2);
    assert_true(is_signalled(PATIENCE_MS));
    assert_true(is_signalled(0)); /* until it is collected */
    assert_int_equal(collect(&tag), 1);
    assert_int_equal(tag, 9);
    assert_false(is_signalled(20));
    assert_int_equal(recv(two, &byte, 1, 0), -1); /* the datagram is longer */
    assert_int_equal(send(one, "x", 1, 0), 1);
    assert_true(is_signalled(PATIENCE_MS));
    assert_int_equal(collect(&tag), 1);
    assert_int_equal(tag, 7);
    npi_poller_unwatch(&poller, one);
    npi_poller_unwatch(&poller, one);
    assert_int_equal(recv(one, &byte, 1, 0), 1);
    assert_int_equal(send(one, "x", 1, 0), 1);
    assert_false(is_signalled(50));
    npi_poller_unwatch(&poller, two);
    closesocket(one);
    closesocket(two);
}

static void a_burst_is_told_again_until_it_is_read(void **state)
{
    (void)state;
    char byte;
    uint32_t tag = 0;
    int received = 0;
    SOCKET fd = make_socket();
    assert_true(npi_poller_watch(&poller, fd, 3, NPI_WATCH_CONTENT));
    for (int i = 0; i < 50; i++)
        assert_int_equal(send(fd, "x", 1, 0), 1);
    while (received < 50) { /* one for each time that it is told */
        assert_true(is_signalled(PATIENCE_MS));
        if (collect(&tag) == 1)
            received += recv(fd, &byte, 1, 0);
    }
    npi_poller_unwatch(&poller, fd);
    closesocket(fd);
}

static void what_lay_in_a_socket_before_is_told(void **state)
{
    (void)state;
    uint32_t tag = 0;
    SOCKET fd = make_socket();
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_true(npi_poller_watch(&poller, fd, 5, NPI_WATCH_ARRIVALS));
    assert_true(is_signalled(PATIENCE_MS));
    assert_int_equal(collect(&tag), 1);
    npi_poller_unwatch(&poller, fd);
    closesocket(fd);
}

static void more_sockets_than_tags_are_refused(void **state)
{
    (void)state;
    SOCKET fds[NPI_POLLER_TAGS + 1];
    for (unsigned i = 0; i <= NPI_POLLER_TAGS; i++) {
        fds[i] = make_socket();
        assert_int_equal(npi_poller_watch(&poller, fds[i], i, NPI_WATCH_CONTENT), i < NPI_POLLER_TAGS);
    }
    assert_int_equal(errno, EMFILE);
    assert_false(npi_poller_watch(&poller, INVALID_SOCKET, 0, NPI_WATCH_CONTENT));
    for (unsigned i = 0; i <= NPI_POLLER_TAGS; i++) {
        npi_poller_unwatch(&poller, fds[i]);
        closesocket(fds[i]);
    }
    assert_false(npi_poller_watch(&poller, INVALID_SOCKET, 0, NPI_WATCH_CONTENT));
    assert_int_equal(errno, ENOTSOCK);
}

static void the_timer_comes_and_is_taken_back(void **state)
{
    (void)state;
    uint32_t tag;
    uint64_t start = npi_clock_now();
    assert_true(npi_poller_set_timer(&poller, start, start + 40 * MS));
    assert_true(is_signalled(PATIENCE_MS));
    assert_true(npi_clock_now() - start >= 40 * MS);
    assert_int_equal(collect(&tag), 0);
    assert_false(is_signalled(20));
    assert_true(npi_poller_set_timer(&poller, start, start + 50 * MS));
    assert_true(npi_poller_set_timer(&poller, start, NEVER));
    assert_false(is_signalled(100));
    assert_true(npi_poller_set_timer(&poller, start, start));
    assert_true(is_signalled(0));
    assert_int_equal(collect(&tag), 0);
    assert_true(npi_poller_set_timer(&poller, 0, NEVER - 1)); /* longer than there are numbers for */
    assert_false(is_signalled(20));
}

static DWORD WINAPI wake(void *argument)
{
    (void)argument;
    for (int i = 0; i < 1000; i++)
        npi_poller_wake(npi_poller_wake_of(&poller));
    return 0;
}

static void wake_ups_are_never_lost_and_never_block(void **state)
{
    (void)state;
    uint32_t tag;
    HANDLE thread = CreateThread(NULL, 0, wake, NULL, 0, NULL);
    assert_true(npi_poller_wait(&poller));
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    assert_true(is_signalled(0));
    assert_int_equal(collect(&tag), 0);
    assert_false(is_signalled(0));
    SetLastError(1234);
    npi_poller_wake(npi_poller_wake_of(&poller));
    npi_poller_wake(NPI_NO_WAKE); /* which fails */
    assert_int_equal(GetLastError(), 1234);
}

static DWORD count_handles(void)
{
    DWORD count = 0;
    assert_true(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

static void every_handle_is_closed(void **state)
{
    (void)state;
    npi_failure failure;
    npi_poller other;
    DWORD before = 0;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(npi_poller_open(&other, &failure), NP_OK);
        npi_poller_close(&other);
        if (i == 3)
            before = count_handles(); /* the first ones make Windows' own threads */
    }
    assert_in_range(count_handles(), 0, before + 2);
}

/* ---- clock, random ---------------------------------------------------------------------------------------------- */

static void the_clock_moves_on(void **state)
{
    (void)state;
    uint64_t last = npi_clock_now();
    const uint64_t start = last;
    const ULONGLONG ticks = GetTickCount64();
    for (int i = 0; i < 100000; i++) {
        const uint64_t now = npi_clock_now();
        assert_true(now >= last);
        last = now;
    }
    Sleep(200);
    const uint64_t passed_ms = (npi_clock_now() - start) / MS;
    const uint64_t others_ms = GetTickCount64() - ticks;
    assert_true(passed_ms + 50 >= others_ms && passed_ms <= others_ms + 50);
}

static void the_wall_clock_counts_from_1970(void **state)
{
    (void)state;
    const npi_moment moment = npi_clock_moment();
    const uint64_t years = moment.wall_ns / UINT64_C(1000000000) / (365 * 24 * 3600);
    assert_in_range(years, 50, 200);
}

static void random_fills_all_of_the_buffer(void **state)
{
    (void)state;
    uint8_t drawn[64] = {0};
    for (int round = 0; round < 40; round++) {
        uint8_t bytes[66];
        memset(bytes, 0, sizeof bytes);
        assert_true(npi_random_bytes(bytes + 1, 64));
        assert_true(bytes[0] == 0 && bytes[65] == 0);
        for (int i = 0; i < 64; i++)
            drawn[i] |= bytes[i + 1];
    }
    for (int i = 0; i < 64; i++)
        assert_int_not_equal(drawn[i], 0);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static npi_server_name name_of(const char *text)
{
    npi_server_name name;
    assert_true(npi_server_parse(text, &name));
    return name;
}

static npi_resolution take(npi_resolver *r)
{
    npi_resolution got;
    while (!npi_resolver_take(r, &got)) {
        uint32_t tag;
        assert_true(is_signalled(PATIENCE_MS));
        (void)collect(&tag);
    }
    return got;
}

static void names_and_literals_are_resolved(void **state)
{
    (void)state;
    char text[NPI_RESOLVE_TEXT];
    npi_server_name names[] = {name_of("127.0.0.9:5000"), name_of("localhost"), name_of("nowhere.invalid")};
    npi_resolver *r = npi_resolver_new(names, 3, NPI_IPV4, npi_poller_wake_of(&poller));
    npi_addr literal = npi_addr_v4(127, 0, 0, 9, 5000);
    npi_addr local = npi_addr_v4(127, 0, 0, 1, 3478);
    npi_resolver_want(r, 3);
    for (int i = 0; i < 3; i++) {
        npi_resolution got = take(r);
        if (got.index == 2) {
            assert_int_equal(got.count, 0);
            npi_resolution_describe(&got, text, sizeof text);
            assert_true(strlen(text) > 0 && got.eai != 0);
        } else {
            assert_int_equal(got.count, 1);
            assert_true(npi_addr_equal(&got.addresses[0], got.index == 0 ? &literal : &local));
        }
    }
    npi_resolver_free(r);
}

static void freeing_waits_for_no_look_up(void **state)
{
    (void)state;
    npi_server_name names[] = {name_of("a.invalid"), name_of("b.invalid"), name_of("c.invalid")};
    for (int i = 0; i < 20; i++) {
        npi_resolver *r = npi_resolver_new(names, 3, NPI_IPV4, npi_poller_wake_of(&poller));
        npi_resolver_want(r, 3);
        if (i % 4 == 0)
            Sleep(1);
        npi_resolver_free(r);
    }
}

static void *add_one(void *argument)
{
    InterlockedIncrement((LONG *)argument);
    return NULL;
}

static void threads_do_their_work_and_end(void **state)
{
    (void)state;
    LONG count = 0;
    for (int i = 0; i < 10; i++) {
        npi_thread thread;
        assert_int_equal(npi_thread_create(&thread, add_one, &count), 0);
        npi_thread_join(thread);
    }
    assert_int_equal(count, 10);
}

/* ---- Interfaces ------------------------------------------------------------------------------------------------- */

static void a_zone_is_an_interface_by_number(void **state)
{
    (void)state;
    npi_addr link_local = {.family = NPI_IPV6, .ip = {0xfe, 0x80, [15] = 1}};
    npi_addr a = link_local;
    assert_true(npi_addr_find_scope("", &a));
    assert_int_equal(a.scope, 0);
    assert_true(npi_addr_find_scope("1", &a)); /* loopback is the first */
    assert_int_equal(a.scope, 1);
    a = link_local;
    assert_false(npi_addr_find_scope("no-such-interface", &a));
    assert_int_equal(errno, ENODEV);
    assert_false(npi_addr_find_scope("4711", &a));
    assert_int_equal(a.scope, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_to_do_at_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sockets_are_told_by_their_tags, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_burst_is_told_again_until_it_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_lay_in_a_socket_before_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_sockets_than_tags_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_timer_comes_and_is_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wake_ups_are_never_lost_and_never_block, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_handle_is_closed, set_up, tear_down),
        cmocka_unit_test(the_clock_moves_on),
        cmocka_unit_test(the_wall_clock_counts_from_1970),
        cmocka_unit_test(random_fills_all_of_the_buffer),
        cmocka_unit_test_setup_teardown(names_and_literals_are_resolved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(freeing_waits_for_no_look_up, set_up, tear_down),
        cmocka_unit_test(threads_do_their_work_and_end),
        cmocka_unit_test(a_zone_is_an_interface_by_number),
    };
    return cmocka_run_group_tests_name("system on Windows", tests, NULL, NULL);
}
