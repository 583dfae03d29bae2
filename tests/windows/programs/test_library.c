/* SPDX-License-Identifier: MIT */
/* The public functions on Windows, from the DLL and from the static library, against the server named in argv[1]. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <winsock2.h>
#include <ws2tcpip.h>

#include <natprobe/natprobe.h>

#include "../../unit/unit.h"

enum { PATIENCE_MS = 20000 };

static const char *server;

static np_probe *make_probe(const char *asked)
{
    np_probe *probe = np_probe_new();
    assert_non_null(probe);
    assert_int_equal(np_probe_add_server(probe, asked), NP_OK);
    return probe;
}

/* A port on which nobody answers. */
static SOCKET make_silence(char *name, size_t size)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int length = sizeof at;
    SOCKET fd = socket(AF_INET, SOCK_DGRAM, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    (void)snprintf(name, size, "127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
    return fd;
}

static void one_call_gives_a_verdict(void **state)
{
    (void)state;
    np_result result;
    np_probe *probe = make_probe(server);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(np_probe_run(probe, &result), NP_OK);
        assert_int_equal(result.nat_type, NP_NAT_OPEN_INTERNET);
        assert_string_equal(result.external_ip, "127.0.0.1");
        assert_string_equal(result.local_ip, "127.0.0.1");
        assert_int_equal(result.external_port, result.local_port);
    }
    np_probe_free(probe);
}

static void a_program_waits_for_one_handle(void **state)
{
    (void)state;
    np_result result;
    np_probe *probe = make_probe(server);
    HANDLE other = CreateEventW(NULL, TRUE, FALSE, NULL);
    assert_null(np_probe_wait_handle(NULL));
    assert_null(np_probe_wait_handle(probe));
    assert_true(np_probe_fd(probe) == NP_INVALID_SOCKET);
    assert_int_equal(np_probe_start(probe), NP_OK);
    HANDLE handles[] = {other, np_probe_wait_handle(probe)};
    assert_non_null(handles[1]);
    assert_true(np_probe_fd(probe) == NP_INVALID_SOCKET);
    int error = NP_PENDING;
    for (int turns = 0; error == NP_PENDING; turns++) {
        assert_true(turns < 1000);
        assert_int_equal(WaitForMultipleObjects(2, handles, FALSE, PATIENCE_MS), WAIT_OBJECT_0 + 1);
        error = np_probe_process(probe, &result);
    }
    assert_int_equal(error, NP_OK);
    assert_true(np_probe_wait_handle(probe) == handles[1]);
    assert_int_equal(WaitForSingleObject(handles[1], 50), WAIT_TIMEOUT); /* nothing more to do */
    np_probe_free(probe);
    CloseHandle(other);
}

/* Behind the watch's handle are the probe's, which is another, the timer and the notices of Windows. */
static void a_watch_has_one_handle(void **state)
{
    (void)state;
    np_watch_status status;
    assert_null(np_watch_wait_handle(NULL));
    np_watch *watch = np_watch_new(make_probe(server));
    assert_non_null(watch);
    assert_null(np_watch_wait_handle(watch));
    for (int round = 0; round < 2; round++) {
        assert_int_equal(np_watch_start(watch), NP_OK);
        HANDLE handle = np_watch_wait_handle(watch);
        assert_non_null(handle);
        assert_true(np_watch_fd(watch) == NP_INVALID_SOCKET);
        do {
            assert_int_equal(WaitForSingleObject(handle, PATIENCE_MS), WAIT_OBJECT_0);
            assert_int_equal(np_watch_process(watch), NP_PENDING);
            assert_int_equal(np_watch_read(watch, &status), NP_OK);
        } while (status.is_checking);
        assert_int_equal(status.result.nat_type, NP_NAT_OPEN_INTERNET);
        assert_int_equal(status.changes, 1);
        assert_int_equal(np_watch_note_failure(watch), NP_OK);
        assert_int_equal(WaitForSingleObject(handle, PATIENCE_MS), WAIT_OBJECT_0);
        assert_int_equal(np_watch_process(watch), NP_PENDING);
        np_watch_cancel(watch);
        assert_int_equal(WaitForSingleObject(handle, PATIENCE_MS), WAIT_OBJECT_0);
        assert_int_equal(np_watch_process(watch), NP_ERR_CANCELLED);
    }
    np_watch_free(watch);
}

static void silence_ends_in_time(void **state)
{
    (void)state;
    char name[64];
    np_result result;
    SOCKET silent = make_silence(name, sizeof name);
    np_probe *probe = make_probe(name);
    assert_int_equal(np_probe_set_response_timeout(probe, 300), NP_OK);
    assert_int_equal(np_probe_run(probe, &result), NP_ERR_NO_RESPONSE);
    assert_int_equal(result.nat_type, NP_NAT_UDP_BLOCKED);
    assert_true(result.elapsed_us >= 300000);
    np_probe_free(probe);
    closesocket(silent);
}

static DWORD WINAPI cancel_soon(void *probe)
{
    Sleep(50);
    np_probe_cancel(probe);
    return 0;
}

static void another_thread_cancels(void **state)
{
    (void)state;
    char name[64];
    np_result result;
    SOCKET silent = make_silence(name, sizeof name);
    np_probe *probe = make_probe(name);
    HANDLE thread = CreateThread(NULL, 0, cancel_soon, probe, 0, NULL);
    assert_int_equal(np_probe_run(probe, &result), NP_ERR_CANCELLED);
    assert_true(result.elapsed_us < 2500000); /* the silence would have lasted 3 s */
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
    np_probe_free(probe);
    closesocket(silent);
}

typedef struct mailbox {
    SOCKET fd;
    unsigned count;
    char text[16];
} mailbox;

static void on_datagram(const void *data, size_t size, const struct sockaddr *from, size_t from_size, void *user)
{
    mailbox *box = user;
    (void)from;
    (void)from_size;
    box->count++;
    if (size < sizeof box->text)
        memcpy(box->text, data, size);
}

/* Sends something that is no answer of a server's to the socket that is being checked. */
static void send_stray(const np_event *event, void *user)
{
    mailbox *box = user;
    struct sockaddr_in at;
    int length = sizeof at;
    if (event->kind != NP_EVENT_SENT || getsockname(box->fd, (struct sockaddr *)&at, &length) != 0)
        return;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SOCKET fd = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(fd, "stray", 5, 0, (struct sockaddr *)&at, length);
    closesocket(fd);
}

static void a_socket_of_the_programs_is_checked(void **state)
{
    (void)state;
    np_result result;
    struct sockaddr_in at = {.sin_family = AF_INET};
    int length = sizeof at;
    mailbox box = {.fd = socket(AF_INET, SOCK_DGRAM, 0)};
    np_probe *probe = make_probe(server);
    assert_int_equal(np_probe_set_socket(probe, box.fd, on_datagram, &box), NP_ERR_ARGUMENT); /* it is not bound */
    assert_int_equal(bind(box.fd, (struct sockaddr *)&at, length), 0);
    assert_int_equal(getsockname(box.fd, (struct sockaddr *)&at, &length), 0);
    assert_int_equal(np_probe_set_socket(probe, box.fd, on_datagram, &box), NP_OK);
    assert_int_equal(np_probe_set_events(probe, send_stray, &box), NP_OK);
    assert_int_equal(np_probe_run(probe, &result), NP_OK);
    assert_int_equal(result.external_port, ntohs(at.sin_port));
    assert_true(box.count > 0);
    assert_string_equal(box.text, "stray");
    np_probe_free(probe);
    assert_int_equal(getsockname(box.fd, (struct sockaddr *)&at, &length), 0); /* it is still the program's */
    closesocket(box.fd);
}

static void names_are_resolved_in_time(void **state)
{
    (void)state;
    np_result result;
    char name[64];
    const char *port = strrchr(server, ':');
    (void)snprintf(name, sizeof name, "nowhere.invalid%s", port);
    np_probe *probe = make_probe(name);
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV4), NP_OK);
    assert_int_equal(np_probe_add_server(probe, server), NP_OK);
    assert_int_equal(np_probe_run(probe, &result), NP_OK);
    np_probe_free(probe);
}

static DWORD count_handles(void)
{
    DWORD count = 0;
    assert_true(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

static void nothing_is_left_open(void **state)
{
    (void)state;
    DWORD before = 0;
    np_result result;
    for (int i = 0; i < 12; i++) {
        np_probe *probe = make_probe(server);
        assert_int_equal(np_probe_run(probe, &result), NP_OK);
        np_probe_free(probe);
        if (i == 3)
            before = count_handles();
    }
    assert_in_range(count_handles(), 0, before + 2);
}

static int start_sockets(void **state)
{
    WSADATA unused;
    (void)state;
    return WSAStartup(MAKEWORD(2, 2), &unused);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_gives_a_verdict), /* first: the program has not started Windows' sockets yet */
        cmocka_unit_test_setup(a_program_waits_for_one_handle, start_sockets),
        cmocka_unit_test_setup(a_watch_has_one_handle, start_sockets),
        cmocka_unit_test_setup(silence_ends_in_time, start_sockets),
        cmocka_unit_test_setup(another_thread_cancels, start_sockets),
        cmocka_unit_test_setup(a_socket_of_the_programs_is_checked, start_sockets),
        cmocka_unit_test_setup(names_are_resolved_in_time, start_sockets),
        cmocka_unit_test_setup(nothing_is_left_open, start_sockets),
    };
    if (argc != 2)
        return 2;
    server = argv[1];
    return cmocka_run_group_tests_name("library on Windows", tests, NULL, NULL);
}
