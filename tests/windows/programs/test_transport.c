/* SPDX-License-Identifier: MIT */
/*
 * transport on Windows: real sockets over loopback, and the errors of a system that is replaced call by call. Wine
 * shows none of what ICMP leaves on a socket, so that is put in by hand.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "transport.h"

#include <mswsock.h>

#include "../../unit/unit.h"

/* ---- Stand-ins for the system ----------------------------------------------------------------------------------- */

/* The next calls fail with error; then the system's function is called. */
typedef struct fault {
    int error;
    int times;
    int calls;
} fault;

static struct {
    fault bind, send, receive;
    bool endless;         /* receive fails for ever */
    int refused_resets;   /* SIO_UDP_CONNRESET set to FALSE */
    int refused_expiries; /* SIO_UDP_NETRESET */
} system_now;

static LPFN_WSARECVMSG real_receive;

static bool fails(fault *f)
{
    f->calls++;
    if (f->times == 0)
        return false;
    f->times--;
    WSASetLastError(f->error);
    return true;
}

static void find(const char *name, void *pointer, size_t size)
{
    FARPROC found = GetProcAddress(GetModuleHandleW(L"ws2_32.dll"), name);
    memcpy(pointer, &found, size);
}

static int WSAAPI bind_or_fail(SOCKET s, const struct sockaddr *name, int length)
{
    int(WSAAPI * real)(SOCKET, const struct sockaddr *, int);
    find("bind", &real, sizeof real);
    return fails(&system_now.bind) ? -1 : real(s, name, length);
}

static int WSAAPI send_or_fail(SOCKET s, const char *data, int size, int flags, const struct sockaddr *to, int length)
{
    int(WSAAPI * real)(SOCKET, const char *, int, int, const struct sockaddr *, int);
    find("sendto", &real, sizeof real);
    return fails(&system_now.send) ? -1 : real(s, data, size, flags, to, length);
}

static int WSAAPI receive_or_fail(SOCKET s, LPWSAMSG message, LPDWORD size, LPWSAOVERLAPPED overlapped,
                                  LPWSAOVERLAPPED_COMPLETION_ROUTINE done)
{
    if (system_now.endless)
        system_now.receive.times = 1;
    return fails(&system_now.receive) ? -1 : real_receive(s, message, size, overlapped, done);
}

static int WSAAPI control(SOCKET s, DWORD code, void *in, DWORD in_size, void *out, DWORD out_size, DWORD *size,
                          LPWSAOVERLAPPED overlapped, LPWSAOVERLAPPED_COMPLETION_ROUTINE done)
{
    int(WSAAPI * real)(SOCKET, DWORD, void *, DWORD, void *, DWORD, DWORD *, LPWSAOVERLAPPED,
                       LPWSAOVERLAPPED_COMPLETION_ROUTINE);
    find("WSAIoctl", &real, sizeof real);
    BOOL is_off = in_size == sizeof(BOOL) && *(BOOL *)in == FALSE;
    system_now.refused_resets += code == SIO_UDP_CONNRESET && is_off;
    system_now.refused_expiries += code == _WSAIOW(IOC_VENDOR, 15) && is_off;
    int result = real(s, code, in, in_size, out, out_size, size, overlapped, done);
    if (code == SIO_GET_EXTENSION_FUNCTION_POINTER && result == 0) {
        const LPFN_WSARECVMSG replacement = receive_or_fail;
        memcpy(&real_receive, out, sizeof real_receive);
        memcpy(out, &replacement, sizeof replacement);
    }
    return result;
}

/* What a call of the system's goes through; these hide those of the import library. */
typedef int(WSAAPI *bind_function)(SOCKET, const struct sockaddr *, int);
typedef int(WSAAPI *send_function)(SOCKET, const char *, int, int, const struct sockaddr *, int);
typedef int(WSAAPI *control_function)(SOCKET, DWORD, void *, DWORD, void *, DWORD, DWORD *, LPWSAOVERLAPPED,
                                      LPWSAOVERLAPPED_COMPLETION_ROUTINE);
extern bind_function imported_bind __asm__("__imp_bind");
extern send_function imported_send __asm__("__imp_sendto");
extern control_function imported_control __asm__("__imp_WSAIoctl");
bind_function imported_bind = bind_or_fail;
send_function imported_send = send_or_fail;
control_function imported_control = control;

/* ---- Helpers ---------------------------------------------------------------------------------------------------- */

static npi_addr at(const char *ip, uint16_t port)
{
    npi_addr a;
    assert_true(npi_addr_parse_ip(ip, &a));
    return npi_addr_with_port(&a, port);
}

static void assert_same(const npi_addr *a, const npi_addr *b)
{
    char x[NPI_ADDR_TEXT];
    char y[NPI_ADDR_TEXT];
    npi_addr_format(a, x);
    npi_addr_format(b, y);
    assert_string_equal(x, y);
}

static npi_socket open_at(const char *ip)
{
    npi_socket s;
    npi_failure failure;
    npi_addr local = at(ip, 0);
    assert_int_equal(npi_socket_open(&s, &local, &failure), NP_OK);
    assert_null(failure.call);
    return s;
}

static void send_to(npi_socket *s, npi_addr to, const void *data, size_t size)
{
    int os_error = -1;
    assert_int_equal(npi_socket_send(s, &to, data, size, &os_error), NPI_IO_OK);
}

static npi_io receive(npi_socket *s, uint8_t *buffer, size_t room, npi_received *got, int *os_error)
{
    npi_io io = NPI_IO_AGAIN;
    for (int i = 0; i < 2000 && io == NPI_IO_AGAIN; i++) {
        io = npi_socket_receive(s, buffer, room, got, os_error);
        if (io == NPI_IO_AGAIN)
            Sleep(1);
    }
    return io;
}

static int forget(void **state)
{
    (void)state;
    memset(&system_now, 0, sizeof system_now);
    return 0;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static void every_socket_refuses_errors_of_icmp(void **state)
{
    (void)state;
    npi_socket s = open_at("127.0.0.1");
    assert_int_equal(system_now.refused_resets, 1);
    assert_int_equal(system_now.refused_expiries, 1);
    npi_socket beside;
    npi_failure failure;
    assert_int_equal(npi_socket_open_sibling(&beside, &s, &failure), NP_OK);
    assert_int_equal(system_now.refused_resets, 2);
    npi_socket adopted;
    assert_int_equal(npi_socket_adopt(&adopted, beside.fd, NPI_IPV4, &failure), NP_OK);
    assert_int_equal(system_now.refused_resets, 3);
    assert_int_equal(system_now.refused_expiries, 3);
    npi_socket_close(&adopted);
    npi_socket_close(&beside);
    npi_socket_close(&s);
    npi_socket_close(&s);
}

static void a_port_is_for_one_socket(void **state)
{
    (void)state;
    npi_socket s = open_at("127.0.0.1");
    npi_socket other;
    npi_failure failure;
    BOOL is_exclusive = FALSE;
    int size = sizeof is_exclusive;
    assert_int_not_equal(s.bound.port, 0);
    assert_int_equal(getsockopt(s.fd, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (char *)&is_exclusive, &size), 0);
    assert_true(is_exclusive);
    assert_int_equal(npi_socket_open(&other, &s.bound, &failure), NP_ERR_ADDRESS_IN_USE);
    assert_string_equal(failure.call, "bind");
    assert_int_equal(failure.os_error, EADDRINUSE);
    assert_false(npi_is_socket(other.fd));
    npi_socket_close(&s);
}

static void ipv6_leaves_the_port_of_ipv4_alone(void **state)
{
    (void)state;
    npi_socket s = open_at("::");
    npi_socket other;
    npi_failure failure;
    npi_addr same_port = at("0.0.0.0", s.bound.port);
    DWORD only = 0;
    int length = sizeof only;
    assert_int_equal(getsockopt(s.fd, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&only, &length), 0);
    assert_int_equal(only, 1);
    assert_int_equal(npi_socket_open(&other, &same_port, &failure), NP_OK);
    npi_socket_close(&other);
    npi_socket_close(&s);
}

/* Wine lets a program bind any address. */
static void what_bind_says_is_told(void **state)
{
    static const struct {
        int windows, error, os_error;
    } rows[] = {
        {WSAEADDRNOTAVAIL, NP_ERR_ADDRESS_NOT_AVAILABLE, EADDRNOTAVAIL},
        {WSAEACCES, NP_ERR_SYSTEM, EACCES},
        {WSAEINVAL, NP_ERR_ADDRESS_NOT_AVAILABLE, EINVAL},
        {WSAENOBUFS, NP_ERR_NO_MEMORY, ENOBUFS},
        {WSAEPROVIDERFAILEDINIT, NP_ERR_SYSTEM, WSAEPROVIDERFAILEDINIT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_socket s;
        npi_failure failure;
        npi_addr local = at("192.0.2.1", 5000);
        system_now.bind = (fault){.error = rows[i].windows, .times = 1};
        assert_int_equal(npi_socket_open(&s, &local, &failure), rows[i].error);
        assert_int_equal(failure.os_error, rows[i].os_error);
        assert_string_equal(failure.call, "bind");
    }
}

/* ---- Datagrams -------------------------------------------------------------------------------------------------- */

/* Wine binds addresses that it does not know as "any" address. So the sender's is one that it knows. */
static void exchange(const char *any, const char *loopback, const char *sender)
{
    uint8_t buffer[64];
    npi_received got;
    int os_error = -1;
    npi_socket to = open_at(any);
    npi_socket from = open_at(sender);
    send_to(&from, at(loopback, to.bound.port), "hello", 5);
    assert_int_equal(receive(&to, buffer, sizeof buffer, &got, &os_error), NPI_IO_OK);
    assert_int_equal(got.size, 5);
    assert_memory_equal(buffer, "hello", 5);
    assert_same(&got.from, &from.bound);
    npi_addr wanted = at(loopback, to.bound.port);
    assert_same(&got.local, &wanted);
    assert_false(got.truncated);
    assert_int_equal(got.wall_ns, 0);
    npi_socket_close(&to);
    npi_socket_close(&from);
}

static void datagrams_tell_the_local_address(void **state)
{
    (void)state;
    exchange("0.0.0.0", "127.0.0.1", "127.0.0.1");
    exchange("0.0.0.0", "127.3.2.1", "127.0.0.1");
    exchange("127.0.0.1", "127.0.0.1", "127.0.0.1");
    exchange("::", "::1", "::1");
}

static void a_datagram_that_is_too_long_is_cut(void **state)
{
    (void)state;
    static const uint8_t data[100] = {7};
    uint8_t buffer[40] = {0};
    npi_received got;
    int os_error = -1;
    npi_socket s = open_at("127.0.0.1");
    send_to(&s, s.bound, data, sizeof data);
    send_to(&s, s.bound, "next", 4);
    assert_int_equal(receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_OK);
    assert_true(got.truncated);
    assert_int_equal(got.size, sizeof buffer);
    assert_int_equal(buffer[0], 7);
    assert_true(npi_addr_equal(&got.from, &s.bound));
    assert_int_equal(receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_OK);
    assert_false(got.truncated);
    assert_int_equal(got.size, 4);
    npi_socket_close(&s);
}

static void what_icmp_left_is_passed_over(void **state)
{
    static const int left[] = {WSAECONNRESET, WSAENETRESET, WSAECONNREFUSED, WSAEHOSTUNREACH, WSAENETUNREACH};
    (void)state;
    uint8_t buffer[16];
    npi_received got;
    int os_error = -1;
    npi_socket s = open_at("127.0.0.1");
    for (size_t i = 0; i < COUNT(left); i++) {
        send_to(&s, s.bound, "x", 1);
        Sleep(1);
        system_now.receive = (fault){.error = left[i], .times = 3};
        assert_int_equal(npi_socket_receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_OK);
        assert_int_equal(system_now.receive.calls, 4);
        system_now.endless = true;
        assert_int_equal(npi_socket_receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_AGAIN);
        system_now.endless = false;
        system_now.receive.times = 0;
    }
    npi_socket_close(&s);
}

static void an_empty_socket_does_not_block(void **state)
{
    (void)state;
    uint8_t buffer[16];
    npi_received got;
    int os_error = -1;
    npi_socket s = open_at("127.0.0.1");
    assert_int_equal(npi_socket_receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_AGAIN);
    system_now.receive = (fault){.error = WSAENOTSOCK, .times = 1};
    assert_int_equal(npi_socket_receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_ERROR);
    assert_int_equal(os_error, ENOTSOCK);
    npi_socket_close(&s);
}

static void errors_of_a_send_are_told_apart(void **state)
{
    static const struct {
        int windows, times;
        npi_io io;
        int os_error;
    } rows[] = {
        {WSAEWOULDBLOCK, 1, NPI_IO_AGAIN, EWOULDBLOCK},
        {WSAENOBUFS, 1, NPI_IO_AGAIN, ENOBUFS},
        {WSAECONNRESET, 1, NPI_IO_OK, 0}, /* of an earlier datagram: sent again */
        {WSAENETUNREACH, 2, NPI_IO_ERROR, ENETUNREACH},
        {WSAEHOSTUNREACH, 2, NPI_IO_ERROR, EHOSTUNREACH},
        {WSAEACCES, 2, NPI_IO_ERROR, EACCES},
        {WSAEADDRNOTAVAIL, 1, NPI_IO_ERROR, ENETUNREACH},
        {WSAENETDOWN, 2, NPI_IO_ERROR, ENETDOWN},
    };
    (void)state;
    npi_socket s = open_at("127.0.0.1");
    for (size_t i = 0; i < COUNT(rows); i++) {
        int os_error = -1;
        system_now.send = (fault){.error = rows[i].windows, .times = rows[i].times};
        assert_int_equal(npi_socket_send(&s, &s.bound, (const uint8_t *)"x", 1, &os_error), rows[i].io);
        assert_int_equal(os_error, rows[i].os_error);
        assert_int_equal(system_now.send.times, 0);
    }
    npi_socket_close(&s);
}

static void the_local_address_is_found_without_sending(void **state)
{
    (void)state;
    npi_failure failure;
    npi_addr local;
    npi_socket s = open_at("0.0.0.0");
    npi_addr server = at("127.0.0.2", 3478);
    npi_addr wanted = at("127.0.0.1", s.bound.port);
    assert_true(npi_local_address_for(&s, &server, &local, &failure));
    assert_true(npi_addr_equal(&local, &wanted));
    npi_addr other_family = at("::1", 3478);
    assert_false(npi_local_address_for(&s, &other_family, &local, &failure));
    assert_int_equal(system_now.send.calls, 0);
    npi_socket_close(&s);
}

/* ---- The caller's socket ---------------------------------------------------------------------------------------- */

static SOCKET make_socket(int family, int type, const char *ip)
{
    SOCKET fd = socket(family, type, 0);
    assert_true(fd != INVALID_SOCKET);
    if (ip != NULL) {
        npi_addr local = at(ip, 0);
        npi_sockaddr name;
        socklen_t length = npi_sockaddr_from(&local, &name);
        assert_int_equal(bind(fd, &name.any, length), 0);
    }
    return fd;
}

static void a_socket_of_the_callers_is_duplicated(void **state)
{
    (void)state;
    uint8_t buffer[16];
    npi_received got;
    npi_failure failure;
    int os_error = -1;
    npi_socket keeper = open_at("127.0.0.1");
    SOCKET fd = make_socket(AF_INET, SOCK_DGRAM, "127.0.0.1");
    npi_socket s;
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV4, &failure), NP_OK);
    assert_true(s.borrowed && s.fd != fd);
    closesocket(fd);
    u_long on = 1;
    assert_int_equal(ioctlsocket(s.fd, (long)FIONBIO, &on), 0); /* as the poller does */
    send_to(&s, s.bound, "still", 5);
    assert_int_equal(receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_OK);
    npi_socket_close(&s);
    npi_socket_close(&keeper);
}

static void sockets_that_will_not_do_are_refused(void **state)
{
    (void)state;
    npi_reach reach;
    npi_socket keeper = open_at("127.0.0.1");
    SOCKET unbound = make_socket(AF_INET, SOCK_DGRAM, NULL);
    SOCKET stream = make_socket(AF_INET, SOCK_STREAM, "127.0.0.1");
    SOCKET connected = make_socket(AF_INET, SOCK_DGRAM, "127.0.0.1");
    npi_sockaddr peer;
    socklen_t length = npi_sockaddr_from(&keeper.bound, &peer);
    assert_int_equal(connect(connected, &peer.any, length), 0);
    assert_int_equal(npi_socket_examine(unbound, &reach), NP_ERR_ARGUMENT);
    assert_int_equal(npi_socket_examine(stream, &reach), NP_ERR_ARGUMENT);
    assert_int_equal(npi_socket_examine(connected, &reach), NP_ERR_ARGUMENT);
    assert_int_equal(npi_socket_examine(NP_INVALID_SOCKET, &reach), NP_ERR_ARGUMENT);
    assert_int_equal(npi_socket_examine(keeper.fd, &reach), NP_OK);
    assert_true(reach.ipv4 && !reach.ipv6);
    closesocket(unbound);
    closesocket(stream);
    closesocket(connected);
    npi_socket_close(&keeper);
}

static void a_socket_of_both_families_speaks_either(void **state)
{
    (void)state;
    uint8_t buffer[16];
    npi_received got;
    npi_failure failure;
    npi_reach reach;
    int os_error = -1;
    DWORD off = 0;
    u_long on = 1;
    npi_socket keeper = open_at("127.0.0.1");
    SOCKET fd = make_socket(AF_INET6, SOCK_DGRAM, NULL);
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off, sizeof off), 0);
    npi_addr any = at("::", 0);
    npi_sockaddr name;
    socklen_t length = npi_sockaddr_from(&any, &name);
    assert_int_equal(bind(fd, &name.any, length), 0);
    assert_int_equal(npi_socket_examine(fd, &reach), NP_OK);
    assert_true(reach.ipv4 && reach.ipv6);
    npi_socket s;
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV4, &failure), NP_OK);
    assert_int_equal(ioctlsocket(s.fd, (long)FIONBIO, &on), 0);
    assert_true(s.is_mapped);
    send_to(&s, keeper.bound, "out", 3);
    assert_int_equal(receive(&keeper, buffer, sizeof buffer, &got, &os_error), NPI_IO_OK);
    send_to(&keeper, at("127.0.0.1", s.bound.port), "back", 4);
    assert_int_equal(receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_OK);
    assert_true(npi_addr_equal(&got.from, &keeper.bound));
    npi_socket_close(&s);
    closesocket(fd);
    npi_socket_close(&keeper);
}

/* ---- Words ------------------------------------------------------------------------------------------------------ */

static void a_socket_is_no_int(void **state)
{
    (void)state;
    assert_int_equal(sizeof(np_socket), sizeof(SOCKET));
    assert_true(NP_INVALID_SOCKET == INVALID_SOCKET);
    assert_true(npi_is_socket((np_socket)0xffffffffU));
    assert_true(npi_is_socket(((np_socket)1 << 40) + 1));
    assert_false(npi_is_socket(NP_INVALID_SOCKET));
}

static void failures_have_texts_and_advice(void **state)
{
    static const struct {
        const char *call;
        int windows;
        const char *text;
    } rows[] = {
        {"bind", WSAEADDRINUSE, "bind: Address already in use (choose another port, or 0 for any)"},
        {NPI_BIND_ANY, WSAEADDRINUSE, "bind(port 0): Address already in use (all ports are taken)"},
        {"sendto", WSAEACCES, "sendto: Permission denied (a local firewall forbids it)"},
        {"sendto", WSAENETUNREACH, "sendto: Network unreachable (is this host online?)"},
        {"socket", WSAEPROVIDERFAILEDINIT, "socket: Windows' error 10106"},
        {"WSAStartup", 5, "WSAStartup: Permission denied (a sandbox or a policy may forbid it)"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[NPI_FAILURE_TEXT];
        SetLastError((DWORD)rows[i].windows);
        (void)npi_take_windows_error();
        npi_failure failure = npi_failure_of(rows[i].call);
        npi_failure_describe(&failure, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_socket_refuses_errors_of_icmp, forget),
        cmocka_unit_test_setup(a_port_is_for_one_socket, forget),
        cmocka_unit_test_setup(ipv6_leaves_the_port_of_ipv4_alone, forget),
        cmocka_unit_test_setup(what_bind_says_is_told, forget),
        cmocka_unit_test_setup(datagrams_tell_the_local_address, forget),
        cmocka_unit_test_setup(a_datagram_that_is_too_long_is_cut, forget),
        cmocka_unit_test_setup(what_icmp_left_is_passed_over, forget),
        cmocka_unit_test_setup(an_empty_socket_does_not_block, forget),
        cmocka_unit_test_setup(errors_of_a_send_are_told_apart, forget),
        cmocka_unit_test_setup(the_local_address_is_found_without_sending, forget),
        cmocka_unit_test_setup(a_socket_of_the_callers_is_duplicated, forget),
        cmocka_unit_test_setup(sockets_that_will_not_do_are_refused, forget),
        cmocka_unit_test_setup(a_socket_of_both_families_speaks_either, forget),
        cmocka_unit_test(a_socket_is_no_int),
        cmocka_unit_test(failures_have_texts_and_advice),
    };
    return cmocka_run_group_tests_name("transport on Windows", tests, NULL, NULL);
}
