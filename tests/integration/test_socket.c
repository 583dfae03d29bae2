/* SPDX-License-Identifier: MIT */
/*
 * The check from a socket of the caller's: the verdict is about its port, its options stay as they were, and what comes
 * to it from others is handed over, all of it, once, whole and in order.
 */
#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, LARGEST = 65507, ROOM = 65536 };

/* ---- The caller's socket and its peer --------------------------------------------------------------------------- */

typedef struct name {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t length;
} name;

static name make_name(const char *ip, uint16_t port)
{
    name n;
    memset(&n, 0, sizeof n);
    if (inet_pton(AF_INET, ip, &n.v4.sin_addr) == 1) {
        n.v4.sin_family = AF_INET;
        n.v4.sin_port = htons(port);
        n.length = sizeof n.v4;
    } else {
        assert_int_equal(inet_pton(AF_INET6, ip, &n.v6.sin6_addr), 1);
        n.v6.sin6_family = AF_INET6;
        n.v6.sin6_port = htons(port);
        n.length = sizeof n.v6;
    }
    return n;
}

static int bound_socket(const char *ip)
{
    const name n = make_name(ip, 0);
    const int fd = socket(n.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &n.any, n.length), 0);
    return fd;
}

static uint16_t port_of(int fd)
{
    name n;
    n.length = sizeof n.v6;
    assert_int_equal(getsockname(fd, &n.any, &n.length), 0);
    return ntohs(n.any.sa_family == AF_INET ? n.v4.sin_port : n.v6.sin6_port);
}

/* A datagram that says which it is, filled so that one cut or mixed up shows. */
static size_t make_payload(uint8_t *out, unsigned serial, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(serial * 31 + i * 7 + (i >> 8));
    return size;
}

typedef struct inbox {
    int peer; /* the socket all of it must come from */
    const size_t *sizes;
    unsigned expected;
    unsigned heard;
    np_probe *probe;
    unsigned cancel_at; /* counted from 1 */
    unsigned free_at;
    pthread_t thread;
} inbox;

static void on_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    static uint8_t wanted[ROOM];
    inbox *box = user;
    name from;
    assert_true(pthread_equal(pthread_self(), box->thread));
    assert_true(box->heard < box->expected);
    assert_int_equal(size, box->sizes[box->heard]);
    assert_memory_equal(data, wanted, make_payload(wanted, box->heard, size));
    assert_true(address_size <= sizeof from.v6);
    memcpy(&from, address, address_size);
    assert_int_equal(ntohs(from.any.sa_family == AF_INET ? from.v4.sin_port : from.v6.sin6_port), port_of(box->peer));
    box->heard++;
    if (box->heard == box->cancel_at)
        np_probe_cancel(box->probe);
    if (box->heard == box->free_at)
        np_probe_free(box->probe);
}

static void send_payload(const inbox *box, int to_fd, unsigned serial)
{
    static uint8_t bytes[ROOM];
    const name to = make_name("127.0.0.1", port_of(to_fd));
    const size_t size = make_payload(bytes, serial, box->sizes[serial]);
    assert_int_equal(sendto(box->peer, bytes, size, 0, &to.any, to.length), (ssize_t)size);
}

/* What is left in the socket goes the way it would have gone by the callback. */
static void read_the_rest(inbox *box, int fd)
{
    static uint8_t bytes[ROOM];
    for (;;) {
        name from;
        from.length = sizeof from.v6;
        const ssize_t size = recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, &from.any, &from.length);
        if (size < 0)
            break;
        const bool late_answer = size >= 20 && bytes[0] == 1 && bytes[4] == 0x21 && bytes[5] == 0x12;
        if (!late_answer)
            on_datagram(bytes, (size_t)size, &from.any, from.length, box);
    }
}

static const size_t few_sizes[] = {5, 0, 1, 20, 1400, LARGEST, 0, 28};
enum { FEW = sizeof few_sizes / sizeof few_sizes[0] };

static inbox make_inbox(const size_t *sizes, unsigned count)
{
    return (inbox){.peer = bound_socket("127.0.0.1"), .sizes = sizes, .expected = count, .thread = pthread_self()};
}

static np_probe *probe_on(int fd, const char *server, inbox *box)
{
    np_probe *probe = np_probe_new();
    assert_non_null(probe);
    assert_int_equal(np_probe_add_server(probe, server), NP_OK);
    assert_int_equal(np_probe_set_socket(probe, fd, on_datagram, box), NP_OK);
    box->probe = probe;
    return probe;
}

/* ---- The verdict ------------------------------------------------------------------------------------------------ */

static void verdicts_are_about_the_sockets_own_port(void **state)
{
    static const char *const sources[] = {"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"};
    static const struct {
        pretended_mapping mapping;
        int32_t nat_type;
    } cases[] = {{MAPPING_TRUE, NP_NAT_OPEN_INTERNET},
                 {MAPPING_SHIFTED, NP_NAT_FULL_CONE},
                 {MAPPING_BY_ENDPOINT, NP_NAT_SYMMETRIC}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        stun_server *server = support_server((stun_server_config){.mapping = cases[i].mapping});
        for (size_t k = 0; k < sizeof sources / sizeof sources[0]; k++) {
            np_result r;
            inbox box = make_inbox(few_sizes, 0);
            const int fd = bound_socket(sources[k]);
            np_probe *probe = probe_on(fd, stun_server_name(server), &box);
            assert_int_equal(support_run(probe, &r), NP_OK);
            assert_int_equal(r.nat_type, cases[i].nat_type);
            assert_int_equal(r.local_port, port_of(fd));
            assert_true(strncmp(r.local_ip, "127.", 4) == 0);
            np_probe_free(probe);
            close(fd);
            close(box.peer);
        }
        stun_server_stop(server);
    }
}

static void ipv6_socket_asks_an_ipv6_server(void **state)
{
    const stun_server_config config = {.ip = "::1", .single = true};
    np_result r;
    (void)state;
    stun_server *server = stun_server_start(&config);
    if (server == NULL)
        skip(); /* no ::1 here */
    inbox box = make_inbox(few_sizes, 0);
    const int fd = bound_socket("::");
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(support_run(probe, &r), NP_OK); /* all servers have IPv6, and so has the socket */
    assert_string_equal(r.local_ip, "::1");
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV4), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_RESOLVE);
    np_probe_free(probe);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

/* ---- What is left as it was ------------------------------------------------------------------------------------- */

enum { OPTIONS_MAX = 128 };

typedef struct options {
    int flags;
    int value[3][OPTIONS_MAX];
} options;

/* Every option that can be read as a number, known today or not. */
static options read_options(int fd)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6};
    options o;
    memset(&o, 0, sizeof o);
    o.flags = fcntl(fd, F_GETFL);
    for (int l = 0; l < 3; l++) {
        for (int option = 1; option < OPTIONS_MAX; option++) {
            socklen_t length = sizeof o.value[l][option];
            if (levels[l] == SOL_SOCKET && (option == SO_ERROR || option == SO_PEERCRED || option == SO_INCOMING_CPU ||
                                            option == SO_INCOMING_NAPI_ID))
                continue; /* no settings */
            if (getsockopt(fd, levels[l], option, &o.value[l][option], &length) != 0)
                o.value[l][option] = -1;
        }
    }
    return o;
}

/* It has its own interface, and the fresh sockets have that. */
static void an_interface_chosen_does_not_touch_it(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    inbox box = make_inbox(few_sizes, 0);
    const int fd = bound_socket("127.0.0.1");
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(np_probe_set_interface(probe, "gone0"), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    np_probe_free(probe);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

static void options_and_blocking_mode_stay_as_they_were(void **state)
{
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (int blocking = 0; blocking < 2; blocking++) {
        np_result r;
        inbox box = make_inbox(few_sizes, 0);
        const int fd = bound_socket(blocking ? "127.0.0.1" : "::");
        assert_int_equal(fcntl(fd, F_SETFL, blocking ? 0 : O_NONBLOCK), 0);
        const options before = read_options(fd);
        np_probe *probe = probe_on(fd, stun_server_name(server), &box);
        assert_int_equal(support_run(probe, &r), NP_OK);
        const options after = read_options(fd);
        assert_memory_equal(&before, &after, sizeof before);
        np_probe_free(probe);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* still open */
        close(fd);
        close(box.peer);
    }
    stun_server_stop(server);
}

/* ---- What comes from others ------------------------------------------------------------------------------------- */

static void what_was_there_before_is_handed_over(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    inbox box = make_inbox(few_sizes, FEW);
    const int fd = bound_socket("127.0.0.1");
    for (unsigned i = 0; i < FEW; i++)
        send_payload(&box, fd, i);
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_true(r.packets_received < 40); /* what is not for the check is not counted */
    read_the_rest(&box, fd);
    assert_int_equal(box.heard, FEW);
    np_probe_free(probe);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

enum { STREAM = 3000, AT_A_TIME = 40 };

/* More than one turn can read, at every turn, from the first to the last. */
static void a_stream_during_the_check_is_handed_over(void **state)
{
    static size_t sizes[STREAM];
    np_result r;
    int error;
    unsigned sent = 0;
    (void)state;
    for (unsigned i = 0; i < STREAM; i++)
        sizes[i] = i % 97;
    stun_server *server = support_server((stun_server_config){.mapping = MAPPING_SHIFTED});
    inbox box = make_inbox(sizes, STREAM);
    const int fd = bound_socket("127.0.0.1");
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(np_probe_start(probe), NP_OK);
    do {
        struct pollfd ready = {.fd = np_probe_fd(probe), .events = POLLIN};
        for (int i = 0; i < AT_A_TIME && sent < STREAM && sent < box.heard + 2 * AT_A_TIME; i++)
            send_payload(&box, fd, sent++);
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        error = np_probe_process(probe, &r);
    } while (error == NP_PENDING);
    assert_int_equal(error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_FULL_CONE);
    read_the_rest(&box, fd);
    assert_true(sent > AT_A_TIME);
    assert_int_equal(box.heard, sent);
    np_probe_free(probe);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

static void collect(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    unsigned *count = user;
    (void)data;
    (void)address;
    assert_true(size >= 20 && address_size > 0);
    ++*count;
}

/* Peers speak STUN too (ICE): a request, and answers to requests that the library has not made. */
static void stun_of_others_is_not_taken_for_ours(void **state)
{
    uint8_t request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    uint8_t answer[32] = {1, 1, 0, 12, 0x21, 0x12, 0xA4, 0x42, 9, 9, 9, 9, 9, 9, 9, 9,
                          9, 9, 9, 9,  0,    0x20, 0,    8,    0, 1, 1, 1, 2, 2, 2, 2};
    np_result r;
    unsigned count = 0;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const int fd = bound_socket("127.0.0.1");
    const int peer = bound_socket("127.0.0.1");
    const name to = make_name("127.0.0.1", port_of(fd));
    assert_int_equal(sendto(peer, request, sizeof request, 0, &to.any, to.length), sizeof request);
    assert_int_equal(sendto(peer, answer, sizeof answer, 0, &to.any, to.length), sizeof answer);
    np_probe *probe = np_probe_new();
    assert_int_equal(np_probe_add_server(probe, stun_server_name(server)), NP_OK);
    assert_int_equal(np_probe_set_socket(probe, fd, collect, &count), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(count, 2);
    np_probe_free(probe);
    close(fd);
    close(peer);
    stun_server_stop(server);
}

/*
 * What comes in a row from one peer the kernel may put together (QUIC stacks ask for it): one call for each all the
 * same.
 */
static void datagrams_put_together_are_taken_apart(void **state)
{
    static const size_t sizes[] = {100, 100, 100, 100, 60, 7};
    uint8_t bytes[600];
    size_t size = 0;
    int on = 1, segment = 100;
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    inbox box = make_inbox(sizes, 6);
    const int fd = bound_socket("127.0.0.1");
    if (setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) != 0 ||
        setsockopt(box.peer, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0) {
        close(fd);
        close(box.peer);
        stun_server_stop(server);
        skip();
    }
    for (unsigned i = 0; i < 5; i++)
        size += make_payload(bytes + size, i, sizes[i]);
    const name to = make_name("127.0.0.1", port_of(fd));
    assert_int_equal(sendto(box.peer, bytes, size, 0, &to.any, to.length), (ssize_t)size);
    send_payload(&box, fd, 5);
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(box.heard, 6);
    np_probe_free(probe);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

static void cancelled_and_freed_from_within(void **state)
{
    (void)state;
    stun_server *silent = support_server((stun_server_config){.reply = PLAIN_SILENT});
    for (unsigned at = 1; at <= 2 * FEW; at++) {
        np_result r;
        const bool frees = at > FEW;
        inbox box = make_inbox(few_sizes, FEW);
        const int fd = bound_socket("127.0.0.1");
        for (unsigned i = 0; i < FEW; i++)
            send_payload(&box, fd, i);
        np_probe *probe = probe_on(fd, stun_server_name(silent), &box);
        box.cancel_at = frees ? 0 : at;
        box.free_at = frees ? at - FEW : 0;
        assert_int_equal(np_probe_run(probe, &r), NP_ERR_CANCELLED);
        read_the_rest(&box, fd);
        assert_int_equal(box.heard, FEW);
        if (!frees)
            np_probe_free(probe);
        close(fd);
        close(box.peer);
    }
    stun_server_stop(silent);
}

/* ---- Sockets that will not do, and sockets that go away --------------------------------------------------------- */

static void what_is_no_bound_udp_socket_is_refused(void **state)
{
    int pipe_fds[2];
    inbox box = make_inbox(few_sizes, 0);
    const name to = make_name("127.0.0.1", port_of(box.peer));
    (void)state;
    assert_int_equal(pipe(pipe_fds), 0);
    const int good = bound_socket("127.0.0.1");
    const int connected = bound_socket("127.0.0.1");
    assert_int_equal(connect(connected, &to.any, to.length), 0);
    const int unbound = socket(AF_INET, SOCK_DGRAM, 0);
    const int tcp = socket(AF_INET, SOCK_STREAM, 0);
    const int local = socket(AF_UNIX, SOCK_DGRAM, 0);
    const int closed = dup(good);
    close(closed);
    const int bad[] = {-2, -1000, pipe_fds[0], STDIN_FILENO, connected, unbound, tcp, local, closed, 999999};
    np_probe *probe = np_probe_new();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(np_probe_set_socket(probe, bad[i], on_datagram, &box), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_socket(probe, good, NULL, NULL), NP_ERR_ARGUMENT); /* what comes must go somewhere */
    assert_int_equal(np_probe_set_socket(NULL, good, on_datagram, &box), NP_ERR_ARGUMENT);
    assert_int_equal(np_probe_set_socket(probe, good, on_datagram, &box), NP_OK);
    assert_int_equal(np_probe_set_socket(probe, -1, NULL, NULL), NP_OK);
    np_probe_free(probe);
    const int all[] = {pipe_fds[0], pipe_fds[1], good, connected, unbound, tcp, local, box.peer};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        close(all[i]);
}

static void socket_and_source_replace_each_other(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    inbox box = make_inbox(few_sizes, 0);
    const int fd = bound_socket("127.0.0.1");
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(np_probe_set_source(probe, "127.0.0.1", 0), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_not_equal(r.local_port, port_of(fd));
    assert_int_equal(np_probe_set_source(probe, "::1", 0), NP_OK);
    assert_int_equal(np_probe_set_socket(probe, fd, on_datagram, &box), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.local_port, port_of(fd));
    assert_int_equal(np_probe_set_family(probe, NP_FAMILY_IPV6), NP_OK);
    assert_int_equal(support_run(probe, &r), NP_ERR_ARGUMENT);
    np_probe_free(probe);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

static void closing_the_socket_hurts_nobody(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){.slow_ms = 3});
    inbox box = make_inbox(few_sizes, 0);
    int fd = bound_socket("127.0.0.1");
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(np_probe_start(probe), NP_OK);
    close(fd);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* takes its number */
    int error;
    do {
        struct pollfd ready = {.fd = np_probe_fd(probe), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        error = np_probe_process(probe, &r);
    } while (error == NP_PENDING);
    assert_int_equal(error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_int_equal(support_run(probe, &r), NP_ERR_ARGUMENT); /* it is no socket any more */
    close(fd);
    assert_int_equal(support_run(probe, &r), NP_ERR_ARGUMENT); /* nor anything else */
    np_probe_free(probe);
    close(box.peer);
    stun_server_stop(server);
}

/*
 * Errors that the caller has asked to be queued are the caller's: they are left, and the loop does not spin over them.
 */
static void queued_errors_are_left_and_do_not_spin(void **state)
{
    np_result r;
    int error, on = 1;
    unsigned turns = 0;
    (void)state;
    inbox box = make_inbox(few_sizes, 0);
    const int fd = bound_socket("127.0.0.1");
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    char nobody[32];
    const int silent = bound_socket("127.0.0.1");
    snprintf(nobody, sizeof nobody, "127.0.0.1:%u", (unsigned)port_of(silent));
    close(silent); /* whoever sends there is told by ICMP */
    np_probe *probe = probe_on(fd, nobody, &box);
    assert_int_equal(np_probe_set_response_timeout(probe, 600), NP_OK);
    assert_int_equal(np_probe_start(probe), NP_OK);
    do {
        struct pollfd ready = {.fd = np_probe_fd(probe), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
        error = np_probe_process(probe, &r);
        turns++;
    } while (error == NP_PENDING);
    assert_int_equal(error, NP_ERR_NO_RESPONSE);
    assert_true(turns < 100);
    char bytes[64], control[256];
    struct iovec piece = {bytes, sizeof bytes};
    struct msghdr header = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    assert_true(recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0);
    np_probe_free(probe);
    close(fd);
    close(box.peer);
}

static void count_strays(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    unsigned *count = user;
    (void)data;
    (void)size;
    (void)address;
    (void)address_size;
    ++*count;
}

/* The external address changes once: all is asked anew, while answers to the old requests are still under way. */
static void late_answers_are_not_handed_to_the_caller(void **state)
{
    np_result r;
    unsigned strays = 0;
    (void)state;
    stun_server *server = support_server((stun_server_config){.mapping = MAPPING_MOVING_ONCE, .slow_ms = 10});
    const int fd = bound_socket("127.0.0.1");
    np_probe *probe = np_probe_new();
    assert_int_equal(np_probe_add_server(probe, stun_server_name(server)), NP_OK);
    assert_int_equal(np_probe_set_socket(probe, fd, count_strays, &strays), NP_OK);
    (void)support_run(probe, &r);
    assert_true((r.evidence & NP_EVIDENCE_RESTARTED) != 0);
    assert_int_equal(strays, 0);
    np_probe_free(probe);
    close(fd);
    stun_server_stop(server);
}

/* The mark was set by a process with privileges, as a VPN does, and they are gone. */
static void a_mark_that_may_not_be_copied_costs_the_filtering_alone(void **state)
{
    np_result r;
    const int mark = 77;
    inbox box = make_inbox(few_sizes, 0);
    (void)state;
    const int fd = bound_socket("0.0.0.0");
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) {
        close(box.peer);
        close(fd);
        skip(); /* there was no such privilege from the beginning */
    }
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(seteuid(65534), 0);
    const int error = support_run(probe, &r);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_NO_NAT);
    assert_string_equal(r.local_ip, "127.0.0.1");
    assert_non_null(strstr(r.detail, "SO_MARK"));
    assert_non_null(strstr(r.detail, strerror(EPERM)));
    np_probe_free(probe);
    stun_server_stop(server);
    close(box.peer);
    close(fd);
}

/* As a container's agent has it: opened in a namespace that the check does not run in. The server is there as well. */
static void a_socket_of_another_namespace_costs_the_filtering_alone(void **state)
{
    np_result r;
    inbox box = make_inbox(few_sizes, 0);
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const int fd = bound_socket("127.0.0.1");
    const int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_true(home >= 0);
    if (unshare(CLONE_NEWNET) != 0) {
        close(home);
        close(fd);
        close(box.peer);
        stun_server_stop(server);
        skip(); /* no namespace is to be had */
    }
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    const int error = support_run(probe, &r);
    assert_int_equal(setns(home, CLONE_NEWNET), 0);
    assert_int_equal(error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_NO_NAT);
    assert_string_equal(r.external_ip, "127.0.0.1");
    assert_int_equal(r.external_port, port_of(fd));
    assert_int_equal(r.filtering, NP_BEHAVIOUR_UNKNOWN);
    assert_string_equal(r.detail,
                        "filtering unknown, no second socket: the socket belongs to another network namespace");
    np_probe_free(probe);
    close(home);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

/* A socket that has the port of another. */
static int sharing_socket(uint16_t port, int option)
{
    const name n = make_name("127.0.0.1", port);
    const int on = 1;
    const int fd = socket(n.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, option, &on, sizeof on), 0);
    assert_int_equal(bind(fd, &n.any, n.length), 0);
    return fd;
}

/* Which of a group with SO_REUSEPORT a datagram goes to, the system chooses by its sender, or a filter does. */
static void give_everything_to(int fd, unsigned place)
{
    struct sock_filter chosen = BPF_STMT(BPF_RET | BPF_K, place);
    struct sock_fprog program;
    memset(&program, 0, sizeof program); /* the system reads what lies between its members as well */
    program.len = 1;
    program.filter = &chosen;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program), 0);
}

/*
 * Of two sockets with SO_REUSEADDR the last one gets everything. Nothing is lost, UDP is not blocked, and the servers
 * are not down.
 */
static void what_goes_to_another_socket_of_the_port_is_told(void **state)
{
    static const struct {
        int32_t tests;
        int option;
        const char *name;
    } rows[] = {{NP_TESTS_DEFAULT, SO_REUSEADDR, "SO_REUSEADDR"},
                {NP_TESTS_MAPPING, SO_REUSEADDR, "SO_REUSEADDR"},
                {NP_TESTS_DEFAULT, SO_REUSEPORT, "SO_REUSEPORT"},
                {NP_TESTS_MAPPING, SO_REUSEPORT, "SO_REUSEPORT"}};
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        np_result r;
        char wanted[192];
        inbox box = make_inbox(few_sizes, 0);
        const int fd = sharing_socket(0, rows[i].option);
        const int thief = sharing_socket(port_of(fd), rows[i].option);
        if (rows[i].option == SO_REUSEPORT)
            give_everything_to(fd, 1);
        np_probe *probe = probe_on(fd, stun_server_name(server), &box);
        assert_int_equal(np_probe_set_tests(probe, rows[i].tests), NP_OK);
        assert_int_equal(np_probe_set_response_timeout(probe, 300), NP_OK);
        assert_int_equal(np_probe_set_timeout(probe, 3000), NP_OK);
        const int error = support_run(probe, &r);
        assert_true(error == NP_ERR_NO_RESPONSE || error == NP_ERR_INCONCLUSIVE);
        assert_int_equal(r.nat_type, NP_NAT_UNKNOWN);
        snprintf(wanted, sizeof wanted,
                 "no answers came to the socket: another one with the same port (%s) may get them, so use one that "
                 "shares it with nobody",
                 rows[i].name);
        assert_string_equal(r.detail, wanted);
        np_probe_free(probe);
        close(thief);
        close(fd);
        close(box.peer);
    }
    stun_server_stop(server);
}

/* The server does not answer CHANGE-REQUEST; but the other socket may have got the answer. */
static void what_another_socket_of_the_port_may_have_got_is_told(void **state)
{
    np_result r;
    inbox box = make_inbox(few_sizes, 0);
    (void)state;
    stun_server *server = support_server((stun_server_config){.change = CHANGE_DROPPED});
    const int fd = sharing_socket(0, SO_REUSEPORT);
    const int other = sharing_socket(port_of(fd), SO_REUSEPORT);
    give_everything_to(fd, 0);
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_NO_NAT);
    assert_string_equal(r.detail, "filtering unknown: the control stayed silent, or its answer went to another socket "
                                  "with the same port (SO_REUSEPORT)");
    np_probe_free(probe);
    close(other);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

/* One that nobody shares it with has its verdict, whatever option is set. */
static void a_port_that_could_be_shared_is_no_reason(void **state)
{
    np_result r;
    inbox box = make_inbox(few_sizes, 0);
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    const int fd = sharing_socket(0, SO_REUSEPORT);
    np_probe *probe = probe_on(fd, stun_server_name(server), &box);
    assert_int_equal(support_run(probe, &r), NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    assert_string_equal(r.detail, "");
    np_probe_free(probe);
    close(fd);
    close(box.peer);
    stun_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_interface_chosen_does_not_touch_it),
        CASE(what_goes_to_another_socket_of_the_port_is_told),
        CASE(what_another_socket_of_the_port_may_have_got_is_told),
        CASE(a_port_that_could_be_shared_is_no_reason),
        CASE(a_mark_that_may_not_be_copied_costs_the_filtering_alone),
        CASE(a_socket_of_another_namespace_costs_the_filtering_alone),
        CASE(late_answers_are_not_handed_to_the_caller),
        CASE(verdicts_are_about_the_sockets_own_port),
        CASE(ipv6_socket_asks_an_ipv6_server),
        CASE(options_and_blocking_mode_stay_as_they_were),
        CASE(what_was_there_before_is_handed_over),
        CASE(a_stream_during_the_check_is_handed_over),
        CASE(stun_of_others_is_not_taken_for_ours),
        CASE(datagrams_put_together_are_taken_apart),
        CASE(cancelled_and_freed_from_within),
        CASE(what_is_no_bound_udp_socket_is_refused),
        CASE(socket_and_source_replace_each_other),
        CASE(closing_the_socket_hurts_nobody),
        CASE(queued_errors_are_left_and_do_not_spin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
