/* SPDX-License-Identifier: MIT */
/* transport: real sockets over loopback, and the errors of a system that is replaced call by call. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

#include "transport.h"
#include "unit.h"

/* ---- Stand-ins for the system ----------------------------------------------------------------------------------- */

/* The function of that name that this program's own hides. */
#define REAL(pointer, name)                                                                                            \
    do {                                                                                                               \
        void *symbol = dlsym(RTLD_NEXT, name);                                                                         \
        memcpy(&(pointer), &symbol, sizeof(pointer));                                                                  \
    } while (0)

/* The next calls fail with error; then the system's function is called. */
typedef struct fault {
    int error;
    int times;
    int calls;
} fault;

static struct {
    fault socket, bind, sendto, recvmsg, setsockopt, interface_name;
    bool hide_control; /* as a system that does not tell the local address */
    int foreign_fd;    /* a socket of another network namespace; 0: none */
} system_now;

static bool fails(fault *f)
{
    f->calls++;
    if (f->times == 0)
        return false;
    f->times--;
    errno = f->error;
    return true;
}

int socket(int domain, int type, int protocol)
{
    static int (*real)(int, int, int);
    if (real == NULL)
        REAL(real, "socket");
    return fails(&system_now.socket) ? -1 : real(domain, type, protocol);
}

/* glibc declares the addresses as transparent unions: the same to the machine, but not to -Wpedantic. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"

int bind(int fd, const struct sockaddr *name, socklen_t length)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (real == NULL)
        REAL(real, "bind");
    return fails(&system_now.bind) ? -1 : real(fd, name, length);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    if (real == NULL)
        REAL(real, "sendto");
    return fails(&system_now.sendto) ? -1 : real(fd, data, size, flags, to, length);
}

#pragma GCC diagnostic pop

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, struct msghdr *, int);
    if (real == NULL)
        REAL(real, "recvmsg");
    if (fails(&system_now.recvmsg))
        return -1;
    ssize_t size = real(fd, message, flags);
    if (system_now.hide_control)
        message->msg_controllen = 0;
    return size;
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    static int (*real)(int, int, int, const void *, socklen_t);
    if (real == NULL)
        REAL(real, "setsockopt");
    return fails(&system_now.setsockopt) ? -1 : real(fd, level, option, value, length);
}

#ifdef SO_NETNS_COOKIE

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    static int (*real)(int, int, int, void *, socklen_t *);
    if (real == NULL)
        REAL(real, "getsockopt");
    if (level == SOL_SOCKET && option == SO_NETNS_COOKIE) {
        uint64_t cookie = fd == system_now.foreign_fd ? 2 : 1;
        memcpy(value, &cookie, sizeof cookie);
        return 0;
    }
    if (level == SOL_SOCKET && option == SO_BINDTODEVICE && fails(&system_now.interface_name))
        return -1;
    return real(fd, level, option, value, length);
}

#endif

/* ---- Helpers ---------------------------------------------------------------------------------------------------- */

static npi_addr v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    return npi_addr_v4(a, b, c, d, 0);
}

static npi_addr v6(uint8_t last)
{
    return (npi_addr){.family = NPI_IPV6, .ip = {[15] = last}};
}

static npi_socket open_at(npi_addr local)
{
    npi_socket s;
    npi_failure failure = {"", -1};
    assert_int_equal(npi_socket_open(&s, &local, &failure), NP_OK);
    assert_null(failure.call);
    assert_true(s.fd >= 0);
    return s;
}

static void require_ipv6(void)
{
    npi_socket s;
    npi_failure failure;
    npi_addr loopback = v6(1);
    if (npi_socket_open(&s, &loopback, &failure) != NP_OK) {
        print_message("no IPv6 loopback address on this host: skipped\n");
        skip();
    }
    npi_socket_close(&s);
}

static void send_to(npi_socket *s, npi_addr to, const void *data, size_t size)
{
    int os_error = -1;
    assert_int_equal(npi_socket_send(s, &to, data, size, &os_error), NPI_IO_OK);
    assert_int_equal(os_error, 0);
}

static void wait_readable(const npi_socket *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&p, 1, 20000);
    } while (ready < 0 && errno == EINTR);
    assert_int_equal(ready, 1);
}

static npi_received receive_from(npi_socket *s, uint8_t *buffer, size_t room)
{
    npi_received got;
    int os_error = -1;
    memset(&got, 0xA5, sizeof got);
    wait_readable(s);
    assert_int_equal(npi_socket_receive(s, buffer, room, &got, &os_error), NPI_IO_OK);
    assert_int_equal(os_error, 0);
    return got;
}

/* The descriptor that the next open gives: the same before and after when nothing was left open. */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static int descriptor_before;

static int set_up(void **state)
{
    (void)state;
    memset(&system_now, 0, sizeof system_now);
    descriptor_before = next_descriptor();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    memset(&system_now, 0, sizeof system_now);
    return next_descriptor() == descriptor_before ? 0 : -1;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static void open_tells_the_port_that_the_system_chose(void **state)
{
    (void)state;
    npi_addr loopback = v4(127, 0, 0, 1);
    npi_socket s = open_at(loopback);
    assert_true(npi_addr_same_ip(&s.bound, &loopback));
    assert_int_not_equal(s.bound.port, 0);
    npi_socket other = open_at(loopback);
    assert_int_not_equal(s.bound.port, other.bound.port);
    npi_socket_close(&s);
    npi_socket_close(&other);
}

static void open_makes_sockets_that_neither_block_nor_outlive_exec(void **state)
{
    (void)state;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    assert_true(fcntl(s.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(s.fd, F_GETFD) & FD_CLOEXEC);
    npi_socket_close(&s);
}

static void close_may_be_repeated(void **state)
{
    (void)state;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    npi_socket_close(&s);
    assert_int_equal(s.fd, -1);
    int reused = dup(STDERR_FILENO);
    npi_socket_close(&s);
    assert_true(fcntl(reused, F_GETFD) >= 0);
    close(reused);
    npi_socket closed = NPI_SOCKET_CLOSED;
    npi_socket_close(&closed);
}

static void assert_open_fails(npi_addr local, int error, int os_error_wanted)
{
    npi_socket s;
    npi_failure failure = NPI_FAILURE_NONE;
    memset(&s, 0xA5, sizeof s);
    assert_int_equal(npi_socket_open(&s, &local, &failure), error);
    assert_int_equal(failure.os_error, os_error_wanted);
    assert_int_equal(s.fd, -1);
}

static void open_refuses_a_port_in_use(void **state)
{
    (void)state;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    assert_open_fails(s.bound, NP_ERR_ADDRESS_IN_USE, EADDRINUSE);
    assert_open_fails(npi_addr_v4(0, 0, 0, 0, s.bound.port), NP_ERR_ADDRESS_IN_USE, EADDRINUSE);
    npi_socket_close(&s);
}

static void open_refuses_an_address_of_others(void **state)
{
    (void)state;
    assert_open_fails(v4(203, 0, 113, 77), NP_ERR_ADDRESS_NOT_AVAILABLE, EADDRNOTAVAIL);
}

static void open_refuses_no_address(void **state)
{
    (void)state;
    assert_open_fails((npi_addr){.family = NPI_FAMILY_NONE}, NP_ERR_ARGUMENT, EAFNOSUPPORT);
    assert_int_equal(system_now.socket.calls, 0);
}

static void open_tells_what_the_system_refused(void **state)
{
    (void)state;
    static const struct {
        int os_error;
        int of_socket;
        int of_bind;
    } cases[] = {
        {EMFILE, NP_ERR_SYSTEM, NP_ERR_SYSTEM},
        {ENFILE, NP_ERR_SYSTEM, NP_ERR_SYSTEM},
        {ENOMEM, NP_ERR_NO_MEMORY, NP_ERR_NO_MEMORY},
        {ENOBUFS, NP_ERR_NO_MEMORY, NP_ERR_NO_MEMORY},
        {EAFNOSUPPORT, NP_ERR_NETWORK_UNREACHABLE, NP_ERR_NETWORK_UNREACHABLE},
        {EPROTONOSUPPORT, NP_ERR_NETWORK_UNREACHABLE, NP_ERR_NETWORK_UNREACHABLE},
        {EACCES, NP_ERR_SYSTEM, NP_ERR_SYSTEM}, /* a port for root only, or no sockets for this process */
        {EPERM, NP_ERR_SYSTEM, NP_ERR_SYSTEM},
        {EADDRINUSE, NP_ERR_ADDRESS_IN_USE, NP_ERR_ADDRESS_IN_USE},
        {EADDRNOTAVAIL, NP_ERR_ADDRESS_NOT_AVAILABLE, NP_ERR_ADDRESS_NOT_AVAILABLE},
        {EINVAL, NP_ERR_ADDRESS_NOT_AVAILABLE, NP_ERR_ADDRESS_NOT_AVAILABLE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        system_now.socket = (fault){.error = cases[i].os_error, .times = 1};
        assert_open_fails(v4(127, 0, 0, 1), cases[i].of_socket, cases[i].os_error);
        system_now.bind = (fault){.error = cases[i].os_error, .times = 1};
        assert_open_fails(v4(127, 0, 0, 1), cases[i].of_bind, cases[i].os_error);
        assert_int_equal(next_descriptor(), descriptor_before);
    }
}

/* An IPv6 socket and, on the same port, an IPv4 one. Another program may have that port over IPv4: try again. */
static bool open_both(npi_socket *six, npi_socket *four)
{
    for (int attempt = 0; attempt < 50; attempt++) {
        npi_failure failure;
        *six = open_at(v6(0));
        npi_addr same_port = npi_addr_v4(0, 0, 0, 0, six->bound.port);
        if (npi_socket_open(four, &same_port, &failure) == NP_OK)
            return true;
        npi_socket_close(six);
    }
    return false;
}

static void open_keeps_ipv6_apart_from_ipv4(void **state)
{
    (void)state;
    require_ipv6();
    npi_socket six;
    npi_socket four;
    assert_true(open_both(&six, &four));
    int only = 0;
    socklen_t length = sizeof only;
    assert_int_equal(getsockopt(six.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &length), 0);
    assert_int_equal(only, 1);
    npi_socket_close(&four);
    npi_socket_close(&six);
    system_now.setsockopt = (fault){.error = ENOPROTOOPT, .times = 1};
    assert_open_fails(v6(1), NP_ERR_SYSTEM, ENOPROTOOPT);
}

static void open_does_without_the_local_address_of_datagrams(void **state)
{
    (void)state;
    system_now.setsockopt = (fault){.error = ENOPROTOOPT, .times = 10};
    npi_socket s = open_at(v4(127, 0, 0, 1));
    npi_socket_close(&s);
}

/* ---- Sending and receiving -------------------------------------------------------------------------------------- */

static void exchange(npi_addr loopback)
{
    uint8_t buffer[16];
    npi_socket a = open_at(loopback);
    npi_socket b = open_at(loopback);
    send_to(&a, b.bound, "hello", 5);
    npi_received got = receive_from(&b, buffer, sizeof buffer);
    assert_int_equal(got.size, 5);
    assert_false(got.truncated);
    assert_memory_equal(buffer, "hello", 5);
    assert_true(npi_addr_equal(&got.from, &a.bound));
    assert_true(npi_addr_equal(&got.local, &b.bound));
    npi_socket_close(&a);
    npi_socket_close(&b);
}

static void datagrams_pass_over_ipv4(void **state)
{
    (void)state;
    exchange(v4(127, 0, 0, 1));
}

static void datagrams_pass_over_ipv6(void **state)
{
    (void)state;
    require_ipv6();
    exchange(v6(1));
}

static uint64_t wall_now_ns(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* False where the datagram was stamped as it was read: Linux begins to stamp a while after the first socket asks. */
static bool is_stamped_on_arrival(npi_socket *from, npi_socket *to)
{
    uint8_t buffer[16];
    uint64_t sent_ns = wall_now_ns();
    send_to(from, to->bound, "x", 1);
    assert_int_equal(poll(&(struct pollfd){.fd = to->fd, .events = POLLIN}, 1, 30000), 1);
    uint64_t arrived_ns = wall_now_ns();
    (void)poll(NULL, 0, 2); /* the process is held up */
    npi_received got = receive_from(to, buffer, sizeof buffer);
    assert_true(got.wall_ns >= sent_ns);
    return got.wall_ns <= arrived_ns;
}

static void receive_tells_when_a_datagram_came_in(void **state)
{
    (void)state;
    npi_socket a = open_at(v4(127, 0, 0, 1));
    npi_socket b = open_at(v4(127, 0, 0, 1));
    int tries = 0;
    while (!is_stamped_on_arrival(&a, &b))
        assert_true(++tries < 1000);
    npi_socket_close(&a);
    npi_socket_close(&b);
}

static void assert_local_address_is(npi_socket *any, npi_addr loopback)
{
    uint8_t buffer[16];
    npi_addr to = npi_addr_with_port(&loopback, any->bound.port);
    npi_socket peer = open_at(loopback);
    send_to(&peer, to, "x", 1);
    npi_received got = receive_from(any, buffer, sizeof buffer);
    assert_true(npi_addr_equal(&got.local, &to));
    assert_true(npi_addr_equal(&got.from, &peer.bound));
    npi_socket_close(&peer);
}

static void receive_tells_the_local_address_of_an_unbound_socket(void **state)
{
    (void)state;
    npi_socket any = open_at(v4(0, 0, 0, 0));
    assert_local_address_is(&any, v4(127, 0, 0, 1));
#ifdef __linux__
    assert_local_address_is(&any, v4(127, 0, 0, 2)); /* all of 127/8 is there */
#endif
    npi_socket_close(&any);
}

static void receive_tells_the_local_address_of_an_unbound_ipv6_socket(void **state)
{
    (void)state;
    require_ipv6();
    npi_socket any = open_at(v6(0));
    assert_local_address_is(&any, v6(1));
    npi_socket_close(&any);
}

static void receive_knows_the_address_it_is_bound_to(void **state)
{
    (void)state;
    uint8_t buffer[16];
    system_now.hide_control = true;
    npi_socket bound = open_at(v4(127, 0, 0, 1));
    npi_socket any = open_at(v4(0, 0, 0, 0));
    send_to(&any, bound.bound, "x", 1);
    npi_received got = receive_from(&bound, buffer, sizeof buffer);
    assert_true(npi_addr_equal(&got.local, &bound.bound));
    send_to(&bound, npi_addr_v4(127, 0, 0, 1, any.bound.port), "x", 1);
    got = receive_from(&any, buffer, sizeof buffer);
    assert_false(npi_addr_is_set(&got.local));
    npi_socket_close(&bound);
    npi_socket_close(&any);
}

static void receive_takes_datagrams_of_any_size(void **state)
{
    (void)state;
    static uint8_t sent[65507]; /* the longest over IPv4 */
    static uint8_t buffer[65536];
    npi_socket a = open_at(v4(127, 0, 0, 1));
    npi_socket b = open_at(v4(127, 0, 0, 1));
    static const size_t sizes[] = {0, 1, 548, 1500, sizeof sent};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        memset(sent, (int)(i + 1), sizeof sent);
        send_to(&a, b.bound, sent, sizes[i]);
        npi_received got = receive_from(&b, buffer, sizeof buffer);
        assert_int_equal(got.size, sizes[i]);
        assert_false(got.truncated);
        assert_memory_equal(buffer, sent, sizes[i]);
    }
    npi_socket_close(&a);
    npi_socket_close(&b);
}

static void receive_tells_that_a_datagram_was_cut(void **state)
{
    (void)state;
    uint8_t buffer[8];
    npi_socket a = open_at(v4(127, 0, 0, 1));
    npi_socket b = open_at(v4(127, 0, 0, 1));
    memset(buffer, 0xA5, sizeof buffer);
    send_to(&a, b.bound, "12345", 5);
    npi_received got = receive_from(&b, buffer, 4);
    assert_true(got.truncated);
    assert_int_equal(got.size, 4);
    assert_memory_equal(buffer, "1234\xA5\xA5\xA5\xA5", 8);
    assert_true(npi_addr_equal(&got.from, &a.bound));
    send_to(&a, b.bound, "1234", 4);
    got = receive_from(&b, buffer, 4);
    assert_false(got.truncated);
    assert_int_equal(got.size, 4);
    npi_socket_close(&a);
    npi_socket_close(&b);
}

static void receive_without_a_datagram_does_not_block(void **state)
{
    (void)state;
    uint8_t buffer[8];
    npi_received got;
    int os_error;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    assert_int_equal(npi_socket_receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_AGAIN);
    npi_socket_close(&s);
}

/* ---- Errors of send --------------------------------------------------------------------------------------------- */

typedef struct send_case {
    int os_error;
    int times;
    npi_io wanted;
    int calls;
    int reported; /* of NPI_IO_ERROR */
} send_case;

static const send_case send_cases[] = {
    {EINTR, 7, NPI_IO_OK, 8, 0},
    {EAGAIN, 1, NPI_IO_AGAIN, 1, 0},
    {EWOULDBLOCK, 1, NPI_IO_AGAIN, 1, 0},
    {ENOBUFS, 1, NPI_IO_AGAIN, 1, 0},
    /* left by ICMP: gone with the first try */
    {ECONNREFUSED, 1, NPI_IO_OK, 2, 0},
    {EHOSTUNREACH, 1, NPI_IO_OK, 2, 0},
    {ENETUNREACH, 1, NPI_IO_OK, 2, 0},
    {EHOSTDOWN, 1, NPI_IO_OK, 2, 0},
    {ENOPROTOOPT, 1, NPI_IO_OK, 2, 0},
    {EMSGSIZE, 1, NPI_IO_OK, 2, 0},
    /* of this datagram: there again with the second */
    {ECONNREFUSED, 2, NPI_IO_ERROR, 2, ECONNREFUSED},
    {ENETUNREACH, 2, NPI_IO_ERROR, 2, ENETUNREACH},
    {EHOSTUNREACH, 2, NPI_IO_ERROR, 2, EHOSTUNREACH},
    {EACCES, 2, NPI_IO_ERROR, 2, EACCES},
    {EPERM, 1, NPI_IO_ERROR, 1, EPERM},
    {EINVAL, 1, NPI_IO_ERROR, 1, EINVAL},
    {ENOMEM, 1, NPI_IO_ERROR, 1, ENOMEM},
    {EADDRNOTAVAIL, 1, NPI_IO_ERROR, 1, ENETUNREACH},
};

static void send_tells_errors_apart(void **state)
{
    (void)state;
    uint8_t buffer[8];
    npi_socket s = open_at(v4(127, 0, 0, 1));
    for (size_t i = 0; i < COUNT(send_cases); i++) {
        const send_case *c = &send_cases[i];
        int os_error = -1;
        system_now.sendto = (fault){.error = c->os_error, .times = c->times};
        assert_int_equal(npi_socket_send(&s, &s.bound, (const uint8_t *)"x", 1, &os_error), c->wanted);
        assert_int_equal(system_now.sendto.calls, c->calls);
        if (c->wanted == NPI_IO_ERROR)
            assert_int_equal(os_error, c->reported);
        if (c->wanted == NPI_IO_OK)
            assert_int_equal(receive_from(&s, buffer, sizeof buffer).size, 1);
    }
    npi_socket_close(&s);
}

static void send_to_no_address_fails(void **state)
{
    (void)state;
    int os_error = 0;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    npi_addr nowhere = {.family = NPI_FAMILY_NONE};
    assert_int_equal(npi_socket_send(&s, &nowhere, (const uint8_t *)"x", 1, &os_error), NPI_IO_ERROR);
    assert_int_not_equal(os_error, 0);
    npi_socket_close(&s);
}

/* ---- Errors of receive ------------------------------------------------------------------------------------------ */

static void receive_passes_over_what_icmp_left(void **state)
{
    (void)state;
    static const int hints[] = {EINTR,     ECONNREFUSED, ECONNRESET,  EHOSTUNREACH, ENETUNREACH,
                                EHOSTDOWN, ENETDOWN,     ENOPROTOOPT, EMSGSIZE,     EACCES};
    uint8_t buffer[8];
    npi_socket s = open_at(v4(127, 0, 0, 1));
    for (size_t i = 0; i < COUNT(hints); i++) {
        send_to(&s, s.bound, "x", 1);
        system_now.recvmsg = (fault){.error = hints[i], .times = 3};
        assert_int_equal(receive_from(&s, buffer, sizeof buffer).size, 1);
        assert_int_equal(system_now.recvmsg.calls, 4);
    }
    npi_socket_close(&s);
}

static void receive_gives_up_on_endless_hints(void **state)
{
    (void)state;
    uint8_t buffer[8];
    npi_received got;
    int os_error;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    system_now.recvmsg = (fault){.error = ECONNREFUSED, .times = 1000000};
    assert_int_equal(npi_socket_receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_AGAIN);
    assert_in_range(system_now.recvmsg.calls, 2, 100);
    npi_socket_close(&s);
}

static void receive_reports_real_errors(void **state)
{
    (void)state;
    static const int errors[] = {EBADF, ENOTSOCK, ENOMEM, EIO};
    uint8_t buffer[8];
    npi_received got;
    int os_error;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    for (size_t i = 0; i < COUNT(errors); i++) {
        system_now.recvmsg = (fault){.error = errors[i], .times = 1};
        assert_int_equal(npi_socket_receive(&s, buffer, sizeof buffer, &got, &os_error), NPI_IO_ERROR);
        assert_int_equal(os_error, errors[i]);
    }
    npi_socket_close(&s);
}

static npi_failure why; /* no local address was found */

/* ---- Routes ----------------------------------------------------------------------------------------------------- */

static void local_address_is_found_without_sending(void **state)
{
    (void)state;
    uint8_t buffer[8];
    npi_received got;
    int os_error;
    npi_addr local;
    npi_socket any = open_at(v4(0, 0, 0, 0));
    npi_socket peer = open_at(v4(127, 0, 0, 1));
    assert_true(npi_local_address_for(&any, &peer.bound, &local, &why));
    npi_addr wanted = npi_addr_v4(127, 0, 0, 1, any.bound.port);
    assert_true(npi_addr_equal(&local, &wanted));
    assert_int_equal(npi_socket_receive(&peer, buffer, sizeof buffer, &got, &os_error), NPI_IO_AGAIN);
    npi_socket_close(&any);
    npi_socket_close(&peer);
}

static void local_address_of_a_bound_socket_is_its_own(void **state)
{
    (void)state;
    npi_addr local;
    npi_socket bound = open_at(v4(127, 0, 0, 1));
    npi_addr remote = npi_addr_v4(127, 0, 0, 1, 9);
    assert_true(npi_local_address_for(&bound, &remote, &local, &why));
    assert_true(npi_addr_equal(&local, &bound.bound));
    npi_socket_close(&bound);
}

static void local_address_of_ipv6(void **state)
{
    (void)state;
    require_ipv6();
    npi_addr local;
    npi_socket any = open_at(v6(0));
    npi_addr loopback = v6(1);
    npi_addr remote = npi_addr_with_port(&loopback, 9);
    npi_addr wanted = npi_addr_with_port(&loopback, any.bound.port);
    assert_true(npi_local_address_for(&any, &remote, &local, &why));
    assert_true(npi_addr_equal(&local, &wanted));
    npi_socket_close(&any);
}

static void local_address_fails_where_there_is_none(void **state)
{
    (void)state;
    npi_addr untouched = v4(192, 0, 2, 1);
    npi_addr local = untouched;
    npi_socket s = open_at(v4(127, 0, 0, 1));
    npi_addr six = v6(1);
    npi_addr other_family = npi_addr_with_port(&six, 9);
    npi_addr nowhere = {.family = NPI_FAMILY_NONE};
    assert_false(npi_local_address_for(&s, &other_family, &local, &why));
    assert_int_equal(why.os_error, EAFNOSUPPORT);
    assert_false(npi_local_address_for(&s, &nowhere, &local, &why));
    system_now.socket = (fault){.error = EMFILE, .times = 1};
    assert_false(npi_local_address_for(&s, &s.bound, &local, &why));
    assert_string_equal(why.call, "socket");
    assert_int_equal(why.os_error, EMFILE);
    system_now.bind = (fault){.error = EADDRNOTAVAIL, .times = 1};
    assert_false(npi_local_address_for(&s, &s.bound, &local, &why));
    assert_string_equal(why.call, "bind(port 0)");
    assert_int_equal(why.os_error, EADDRNOTAVAIL);
    npi_addr elsewhere = npi_addr_v4(192, 0, 2, 1, 9); /* not from a loopback address */
    assert_false(npi_local_address_for(&s, &elsewhere, &local, &why));
    assert_string_equal(why.call, "connect");
    npi_socket closed = NPI_SOCKET_CLOSED;
    assert_false(npi_local_address_for(&closed, &nowhere, &local, &why));
    assert_true(npi_addr_equal(&local, &untouched));
    npi_socket_close(&s);
}

/* ---- Codes ------------------------------------------------------------------------------------------------------ */

static void every_errno_has_its_code(void **state)
{
    (void)state;
    static const struct {
        int os_error;
        int error;
    } cases[] = {
        {EADDRINUSE, NP_ERR_ADDRESS_IN_USE},
        {EADDRNOTAVAIL, NP_ERR_ADDRESS_NOT_AVAILABLE},
        {ENETUNREACH, NP_ERR_NETWORK_UNREACHABLE},
        {EHOSTUNREACH, NP_ERR_NETWORK_UNREACHABLE},
        {ENETDOWN, NP_ERR_NETWORK_UNREACHABLE},
        {EHOSTDOWN, NP_ERR_NETWORK_UNREACHABLE},
        {ENODEV, NP_ERR_NETWORK_UNREACHABLE},
        {EPERM, NP_ERR_NETWORK_UNREACHABLE},
        {EACCES, NP_ERR_NETWORK_UNREACHABLE},
        {EINVAL, NP_ERR_NETWORK_UNREACHABLE},
        {EAFNOSUPPORT, NP_ERR_NETWORK_UNREACHABLE},
        {ENOMEM, NP_ERR_NO_MEMORY},
        {ENOBUFS, NP_ERR_NO_MEMORY},
        {EMFILE, NP_ERR_SYSTEM},
        {ENFILE, NP_ERR_SYSTEM},
        {EBADF, NP_ERR_SYSTEM},
        {0x7fff, NP_ERR_SYSTEM},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(npi_error_from_errno(cases[i].os_error), cases[i].error);
}

/* ---- The caller's socket ---------------------------------------------------------------------------------------- */

/* A socket as a program may have one. */
static int callers_socket(int domain, const npi_addr *local)
{
    npi_sockaddr name;
    memset(&name, 0, sizeof name);
    name.any.sa_family = (sa_family_t)domain;
    if (local != NULL && domain == AF_INET)
        memcpy(&name.in4.sin_addr, local->ip, 4);
    if (local != NULL && domain == AF_INET6)
        memcpy(&name.in6.sin6_addr, local->ip, 16);
    int fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &name.any, domain == AF_INET ? sizeof name.in4 : sizeof name.in6), 0);
    return fd;
}

static void adopting_duplicates_and_changes_nothing(void **state)
{
    (void)state;
    npi_addr loopback = v4(127, 0, 0, 1);
    npi_reach reach = {false, true};
    npi_socket s;
    npi_failure failure;
    int os_error = -1;
    int fd = callers_socket(AF_INET, &loopback);
    assert_int_equal(npi_socket_examine(fd, &reach), NP_OK);
    assert_true(reach.ipv4 && !reach.ipv6);
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV6, &failure), NP_ERR_ARGUMENT);
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV4, &failure), NP_OK);
    assert_true(s.fd != fd && s.borrowed && !s.is_mapped);
    assert_true(npi_addr_same_ip(&s.bound, &loopback));
    assert_int_equal(fcntl(s.fd, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(s.fd, F_GETFD), FD_CLOEXEC);
    uint8_t byte;
    npi_received got;
    assert_int_equal(npi_socket_receive(&s, &byte, 1, &got, &os_error),
                     NPI_IO_AGAIN); /* blocking, and yet it does not */
    npi_socket_close(&s);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
}

static void an_ipv6_socket_may_speak_ipv4(void **state)
{
    (void)state;
    require_ipv6();
    npi_reach reach;
    npi_socket s;
    npi_failure failure;
    int fd = callers_socket(AF_INET6, NULL);
    assert_int_equal(npi_socket_examine(fd, &reach), NP_OK);
    assert_true(reach.ipv4 && reach.ipv6);
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV4, &failure), NP_OK);
    assert_true(s.is_mapped && s.bound.family == NPI_IPV4 && s.bound.port != 0);
    npi_socket peer = open_at(v4(127, 0, 0, 1));
    send_to(&s, peer.bound, "out", 3);
    uint8_t buffer[16];
    npi_received got = receive_from(&peer, buffer, sizeof buffer);
    assert_true(got.from.family == NPI_IPV4 && got.from.port == s.bound.port);
    send_to(&peer, got.from, "back", 4);
    got = receive_from(&s, buffer, sizeof buffer);
    assert_int_equal(got.size, 4);
    assert_int_equal(got.segment, 4);
    assert_true(npi_addr_equal(&got.from, &peer.bound));
    assert_int_equal(got.name.any.sa_family, AF_INET6); /* for the caller as the system has it */
    assert_int_equal(got.name_size, sizeof got.name.in6);
    npi_socket_close(&peer);
    npi_socket_close(&s);
    close(fd);

    npi_addr loopback = v6(1);
    fd = callers_socket(AF_INET6, &loopback);
    assert_int_equal(npi_socket_examine(fd, &reach), NP_OK);
    assert_true(!reach.ipv4 && reach.ipv6); /* bound to an address of one family */
    close(fd);
}

#ifdef __linux__
static void expect_interface(int fd, const char *name)
{
    char device[16] = {0};
    socklen_t length = sizeof device;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length), 0);
    assert_string_equal(device, name);
}

static void a_socket_and_those_beside_it_are_tied_to_an_interface(void **state)
{
    (void)state;
    npi_addr any = v4(0, 0, 0, 0), loopback = v4(127, 0, 0, 1), local;
    npi_socket s, beside;
    npi_failure failure;
    const int error = npi_socket_open_on(&s, &any, "lo", &failure);
    if (error == NP_ERR_SYSTEM && failure.os_error == EPERM)
        skip(); /* older kernels want a privilege for that */
    assert_int_equal(error, NP_OK);
    expect_interface(s.fd, "lo");
    assert_int_equal(npi_socket_open_sibling(&beside, &s, &failure), NP_OK);
    expect_interface(beside.fd, "lo");
    npi_socket_close(&beside);
    loopback.port = 9;
    assert_true(npi_local_address_for(&s, &loopback, &local, &failure));
    npi_socket_close(&s);

    assert_int_equal(npi_socket_open_on(&s, &any, NULL, &failure), NP_OK);
    expect_interface(s.fd, "");
    npi_socket_close(&s);
}

#ifdef SO_NETNS_COOKIE

/* Without it the socket beside would take another interface, and meet another NAT. */
static void an_interface_that_is_gone_has_no_socket_beside(void **state)
{
    (void)state;
    npi_addr any = v4(0, 0, 0, 0), loopback = v4(127, 0, 0, 1), local;
    npi_socket s, beside;
    npi_failure failure;
    if (npi_socket_open_on(&s, &any, "lo", &failure) != NP_OK)
        skip(); /* older kernels want a privilege for that */
    system_now.interface_name = (fault){.error = ENODEV, .times = 1};
    assert_int_equal(npi_socket_open_sibling(&beside, &s, &failure), NP_ERR_ADDRESS_NOT_AVAILABLE);
    assert_int_equal(beside.fd, -1);
    assert_int_equal(failure.os_error, ENODEV);
    assert_string_equal(failure.call, "SO_BINDTODEVICE");
    loopback.port = 9;
    system_now.interface_name = (fault){.error = ENODEV, .times = 1};
    assert_false(npi_local_address_for(&s, &loopback, &local, &failure));
    npi_socket_close(&s);
}

#endif

/* To the system the link that an address names counts more than the interface of the socket. */
static void nothing_leaves_an_interface_by_another_link(void **state)
{
    (void)state;
    npi_addr any = v6(0);
    npi_addr to = {.family = NPI_IPV6, .ip = {0xfe, 0x80, [15] = 1}, .port = 9};
    npi_socket s, beside;
    npi_failure failure;
    int os_error = 0;
    require_ipv6();
    if (npi_socket_open_on(&s, &any, "lo", &failure) != NP_OK)
        skip(); /* older kernels want a privilege for that */
    assert_int_equal(s.link, if_nametoindex("lo"));
    assert_int_equal(npi_socket_open_sibling(&beside, &s, &failure), NP_OK);
    assert_int_equal(beside.link, s.link);
    system_now.sendto = (fault){.error = EIO, .times = 1}; /* what would be sent would meet this */
    to.scope = s.link + 1;
    assert_int_equal(npi_socket_send(&s, &to, (const uint8_t *)"x", 1, &os_error), NPI_IO_ERROR);
    assert_int_equal(os_error, ENETUNREACH);
    assert_int_equal(npi_socket_send(&beside, &to, (const uint8_t *)"x", 1, &os_error), NPI_IO_ERROR);
    assert_int_equal(os_error, ENETUNREACH);
    to.scope = s.link;
    assert_int_equal(npi_socket_send(&s, &to, (const uint8_t *)"x", 1, &os_error), NPI_IO_ERROR);
    assert_int_equal(os_error, EIO);
    npi_socket_close(&beside);
    npi_socket_close(&s);
}

static void an_interface_that_cannot_be_had_is_told(void **state)
{
    (void)state;
    npi_addr any = v4(0, 0, 0, 0);
    npi_socket s;
    npi_failure failure;
    char text[NPI_FAILURE_TEXT];
    assert_int_equal(npi_socket_open_on(&s, &any, "gone0", &failure), NP_ERR_ADDRESS_NOT_AVAILABLE);
    assert_int_equal(s.fd, -1);
    assert_int_equal(failure.os_error, ENODEV);
    npi_failure_describe(&failure, text, sizeof text);
    assert_non_null(strstr(text, "choose an interface"));
    system_now.setsockopt = (fault){.error = EPERM, .times = 1};
    assert_int_equal(npi_socket_open_on(&s, &any, "lo", &failure), NP_ERR_SYSTEM);
    assert_int_equal(s.fd, -1);
    npi_failure_describe(&failure, text, sizeof text);
    assert_non_null(strstr(text, "SO_BINDTODEVICE"));
    assert_non_null(strstr(text, "CAP_NET_RAW"));
}

static void a_socket_beside_takes_the_same_way(void **state)
{
    (void)state;
    npi_addr loopback = v4(127, 0, 0, 1);
    npi_socket s, beside;
    npi_failure failure;
    int mark = 77;
    char device[16] = {0};
    socklen_t length = sizeof device;
    int fd = callers_socket(AF_INET, &loopback);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0) {
        close(fd);
        skip(); /* older kernels want a privilege for that */
    }
    bool marked = setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0; /* needs a privilege */
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV4, &failure), NP_OK);
    assert_int_equal(npi_socket_open_sibling(&beside, &s, &failure), NP_OK);
    assert_true(npi_addr_same_ip(&beside.bound, &s.bound));
    assert_int_not_equal(beside.bound.port, s.bound.port);
    assert_false(beside.borrowed);
    assert_int_equal(getsockopt(beside.fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length), 0);
    assert_string_equal(device, "lo");
    mark = 0;
    length = sizeof mark;
    assert_int_equal(getsockopt(beside.fd, SOL_SOCKET, SO_MARK, &mark, &length), 0);
    assert_int_equal(mark, marked ? 77 : 0);
    npi_socket_close(&beside);

    system_now.setsockopt = (fault){.error = EPERM, .times = 1}; /* by another way the verdict would be another NAT's */
    assert_int_equal(npi_socket_open_sibling(&beside, &s, &failure), NP_ERR_SYSTEM);
    assert_int_equal(failure.os_error, EPERM);
    char text[NPI_FAILURE_TEXT];
    npi_failure_describe(&failure, text, sizeof text);
    assert_non_null(strstr(text, "SO_"));
    assert_non_null(strstr(text, strerror(EPERM)));
    npi_socket_close(&s);
    close(fd);
}
#endif

static int option_of(int fd, int level, int option)
{
    int value = 0;
    socklen_t length = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
    return value;
}

/* Every option that policy routing, a firewall or traffic control may look at. */
static void a_sibling_has_all_options_that_route(void **state)
{
    static const struct {
        int domain, level, option, value;
    } cases[] = {
        {AF_INET, IPPROTO_IP, IP_TOS, 0x10},
        {AF_INET6, IPPROTO_IPV6, IPV6_TCLASS, 0x28},
        {AF_INET, SOL_SOCKET, SO_DONTROUTE, 1},
#ifdef SO_PRIORITY
        {AF_INET, SOL_SOCKET, SO_PRIORITY, 5},
#endif
#ifdef IP_FREEBIND
        {AF_INET, IPPROTO_IP, IP_FREEBIND, 1},
#endif
#ifdef IP_UNICAST_IF
        {AF_INET, IPPROTO_IP, IP_UNICAST_IF, 0x01000000}, /* the first interface is lo; in network order */
#endif
#ifdef IPV6_UNICAST_IF
        {AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_IF, 0x01000000},
#endif
    };
    (void)state;
    require_ipv6();
    for (size_t i = 0; i < COUNT(cases); i++) {
        npi_socket s, sibling;
        npi_failure failure;
        npi_addr loopback = cases[i].domain == AF_INET ? v4(127, 0, 0, 1) : v6(1);
        int fd = callers_socket(cases[i].domain, &loopback);
        assert_int_equal(setsockopt(fd, cases[i].level, cases[i].option, &cases[i].value, sizeof cases[i].value), 0);
        assert_int_equal(npi_socket_adopt(&s, fd, (npi_family)loopback.family, &failure), NP_OK);
        assert_int_equal(npi_socket_open_sibling(&sibling, &s, &failure), NP_OK);
        assert_int_equal(option_of(sibling.fd, cases[i].level, cases[i].option), cases[i].value);
        npi_socket_close(&sibling);
        npi_socket_close(&s);
        close(fd);
    }
}

#ifdef SO_NETNS_COOKIE

static void a_socket_of_another_namespace_has_no_sibling(void **state)
{
    npi_socket s, sibling;
    npi_failure failure;
    char text[NPI_FAILURE_TEXT];
    npi_addr loopback = v4(127, 0, 0, 1);
    (void)state;
    int fd = callers_socket(AF_INET, &loopback);
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV4, &failure), NP_OK);
    system_now.foreign_fd = s.fd;
    assert_int_equal(npi_socket_open_sibling(&sibling, &s, &failure), NP_ERR_SYSTEM);
    npi_failure_describe(&failure, text, sizeof text);
    assert_non_null(strstr(text, "another network namespace"));
    npi_socket_close(&s);
    close(fd);
}

#endif

static void sockets_that_will_not_do_are_refused(void **state)
{
    (void)state;
    npi_reach reach;
    npi_socket s;
    npi_failure failure;
    npi_addr loopback = v4(127, 0, 0, 1);
    int fd = callers_socket(AF_INET, &loopback);
    npi_sockaddr name;
    socklen_t length = sizeof name;
    assert_int_equal(getsockname(fd, &name.any, &length), 0);
    assert_int_equal(connect(fd, &name.any, length), 0);
    assert_int_equal(npi_socket_examine(fd, &reach), NP_ERR_ARGUMENT);
    assert_int_equal(npi_socket_adopt(&s, fd, NPI_IPV4, &failure), NP_ERR_ARGUMENT);
    assert_int_equal(s.fd, -1);
    close(fd);
    assert_int_equal(npi_socket_examine(fd, &reach), NP_ERR_ARGUMENT);
    assert_int_equal(npi_socket_examine(STDERR_FILENO, &reach), NP_ERR_ARGUMENT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(open_tells_the_port_that_the_system_chose),
        TEST(open_makes_sockets_that_neither_block_nor_outlive_exec),
        TEST(close_may_be_repeated),
        TEST(open_refuses_a_port_in_use),
        TEST(open_refuses_an_address_of_others),
        TEST(open_refuses_no_address),
        TEST(open_tells_what_the_system_refused),
        TEST(open_keeps_ipv6_apart_from_ipv4),
        TEST(open_does_without_the_local_address_of_datagrams),
        TEST(datagrams_pass_over_ipv4),
        TEST(datagrams_pass_over_ipv6),
        TEST(receive_tells_when_a_datagram_came_in),
        TEST(receive_tells_the_local_address_of_an_unbound_socket),
        TEST(receive_tells_the_local_address_of_an_unbound_ipv6_socket),
        TEST(receive_knows_the_address_it_is_bound_to),
        TEST(receive_takes_datagrams_of_any_size),
        TEST(receive_tells_that_a_datagram_was_cut),
        TEST(receive_without_a_datagram_does_not_block),
        TEST(send_tells_errors_apart),
        TEST(send_to_no_address_fails),
        TEST(receive_passes_over_what_icmp_left),
        TEST(receive_gives_up_on_endless_hints),
        TEST(receive_reports_real_errors),
        TEST(local_address_is_found_without_sending),
        TEST(local_address_of_a_bound_socket_is_its_own),
        TEST(local_address_of_ipv6),
        TEST(local_address_fails_where_there_is_none),
        TEST(every_errno_has_its_code),
        TEST(adopting_duplicates_and_changes_nothing),
        TEST(an_ipv6_socket_may_speak_ipv4),
#ifdef __linux__
        TEST(a_socket_beside_takes_the_same_way),
        TEST(a_socket_and_those_beside_it_are_tied_to_an_interface),
        TEST(nothing_leaves_an_interface_by_another_link),
        TEST(an_interface_that_cannot_be_had_is_told),
#endif
        TEST(a_sibling_has_all_options_that_route),
#ifdef SO_NETNS_COOKIE
        TEST(an_interface_that_is_gone_has_no_socket_beside),
        TEST(a_socket_of_another_namespace_has_no_sibling),
#endif
        TEST(sockets_that_will_not_do_are_refused),
    };
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
