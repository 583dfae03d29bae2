/* SPDX-License-Identifier: MIT */
/* See fault_world.h. */
#include "fault_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_calls.h"
#include "fault_clock.h"
#include "support.h"

enum { HEADER = 20, CHANGE_PORT = 2, CHANGE_IP = 4, PENDING = 1024, CLIENTS = 64, ATTEMPTS = 200, PATIENCE_MS = 60000 };
enum { PEER = WORLD_ENDPOINTS, SOCKETS };
#define USUAL_RTT_NS (5 * FAULT_MS)

typedef union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

typedef struct datagram {
    uint64_t due_ns;
    unsigned from;   /* an endpoint or the peer */
    int fd;          /* of the client */
    unsigned serial; /* what its descriptor was called; 0: the caller's own */
    address to;
    size_t size;
    uint8_t bytes[160];
} datagram;

static struct {
    world_config config;
    int sockets[SOCKETS]; /* -1: nobody listens there */
    address addresses[SOCKETS];
    char names[WORLD_ENDPOINTS][INET6_ADDRSTRLEN + 10];
    datagram pending[PENDING];
    unsigned count;
    unsigned answers;
    unsigned strays;
    struct {
        unsigned port;
        unsigned spoken_to; /* bits of endpoints */
    } clients[CLIENTS];
} it;

/* ---- Addresses -------------------------------------------------------------------------------------------------- */

static socklen_t size_of(const address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

static unsigned port_of(const address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

static void set_port(address *a, unsigned port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons((uint16_t)port);
    else
        a->v4.sin_port = htons((uint16_t)port);
}

/* Addresses and ports are compared; an IPv4-mapped address is an IPv4 address. */
static address plain(const struct sockaddr *any)
{
    address a;
    memset(&a, 0, sizeof a);
    if (any->sa_family == AF_INET) {
        memcpy(&a.v4, any, sizeof a.v4);
        return a;
    }
    memcpy(&a.v6, any, sizeof a.v6);
    if (IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr)) {
        const struct sockaddr_in6 mapped = a.v6;
        memset(&a, 0, sizeof a);
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = mapped.sin6_port;
        memcpy(&a.v4.sin_addr, mapped.sin6_addr.s6_addr + 12, 4);
    }
    return a;
}

static bool is_same(const address *a, const address *b)
{
    if (a->any.sa_family != b->any.sa_family || port_of(a) != port_of(b))
        return false;
    if (a->any.sa_family == AF_INET6)
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

/* ---- Building --------------------------------------------------------------------------------------------------- */

static bool open_endpoint(unsigned i, const address *wanted)
{
    socklen_t length = sizeof it.addresses[i];
    const address name = *wanted;
    it.sockets[i] = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(it.sockets[i] >= 0);
    if (bind(it.sockets[i], &name.any, size_of(&name)) != 0)
        return false;
    return getsockname(it.sockets[i], &it.addresses[i].any, &length) == 0;
}

static void close_endpoint(unsigned i)
{
    if (it.sockets[i] >= 0)
        close(it.sockets[i]);
    it.sockets[i] = -1;
}

/* Ports that the library rightly refuses to send to are few, and below this they are many. */
static bool is_good_port(unsigned i)
{
    static const unsigned bad[] = {10001, 10074, 11211, 17185, 27015, 27960, 32414, 37810, 47808};
    const unsigned port = port_of(&it.addresses[i]);
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        if (port == bad[k])
            return false;
    }
    return port >= 10000;
}

/* 127.0.0.0/8 is this host's from end to end: an address at random is nobody else's. */
static bool open_four(unsigned attempt)
{
    const unsigned mixed = ((unsigned)getpid() * 2654435761U) ^ (attempt * 40503U + 977U);
    address a = {
        .v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7F000000U | (mixed & 0x007FFFFFU) | 0x00010002U)}};
    for (unsigned i = WORLD_AP; i <= WORLD_BQ; i++) {
        if (i >= WORLD_BP) {
            a = it.addresses[i - 2];
            a.v4.sin_addr.s_addr ^= htonl(0x00800001U);
        } else {
            set_port(&a, 0);
        }
        if (!open_endpoint(i, &a) || !is_good_port(i))
            return false;
    }
    return port_of(&it.addresses[WORLD_AP]) != port_of(&it.addresses[WORLD_AQ]);
}

static void name_endpoint(unsigned i)
{
    char ip[INET6_ADDRSTRLEN];
    const address *a = &it.addresses[i];
    const bool v6 = a->any.sa_family == AF_INET6;
    inet_ntop(a->any.sa_family, v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr, ip, sizeof ip);
    snprintf(it.names[i], sizeof it.names[i], v6 ? "[%s]:%u" : "%s:%u", ip, port_of(a));
}

/* Names are looked up without a port: both servers listen on the same. */
static bool open_rest(void)
{
    address six = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
    const address peer = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    set_port(&six, world_port());
    it.addresses[WORLD_SIX] = six;
    return open_endpoint(PEER, &peer) && (!world_has_ipv6() || open_endpoint(WORLD_SIX, &six));
}

bool world_has_ipv6(void)
{
    const address six = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool has = fd >= 0 && bind(fd, &six.any, sizeof six.v6) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

void world_build(void)
{
    bool is_done = false;
    memset(it.sockets, -1, sizeof it.sockets);
    for (unsigned attempt = 0; attempt < ATTEMPTS && !is_done; attempt++) {
        for (unsigned i = 0; i < SOCKETS; i++)
            close_endpoint(i);
        is_done = open_four(attempt) && open_rest();
    }
    assert_true(is_done);
    for (unsigned i = 0; i < WORLD_ENDPOINTS; i++)
        name_endpoint(i);
}

void world_close(void)
{
    for (unsigned i = 0; i < SOCKETS; i++)
        close_endpoint(i);
}

static void empty_socket(int fd)
{
    uint8_t bytes[512];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0) {
    }
}

void world_reset(const world_config *config)
{
    it.config = *config;
    if (it.config.rtt_ns == 0)
        it.config.rtt_ns = USUAL_RTT_NS;
    it.count = 0;
    it.answers = 0;
    it.strays = 0;
    memset(it.clients, 0, sizeof it.clients);
    for (unsigned i = 0; i < WORLD_ENDPOINTS; i++) {
        const bool is_closed = (config->closed & 1U << i) != 0;
        const address name = it.addresses[i];
        if (is_closed)
            close_endpoint(i);
        else if (it.sockets[i] >= 0)
            empty_socket(it.sockets[i]);
        else if (i != WORLD_SIX || world_has_ipv6())
            assert_true(open_endpoint(i, &name));
    }
}

const char *world_name(unsigned endpoint)
{
    return it.names[endpoint];
}

const struct sockaddr *world_server(bool ipv6)
{
    return &it.addresses[ipv6 ? WORLD_SIX : WORLD_AP].any;
}

unsigned world_port(void)
{
    return port_of(&it.addresses[WORLD_AP]);
}

unsigned world_answers(void)
{
    return it.answers;
}

/* ---- The NAT ---------------------------------------------------------------------------------------------------- */

/* Another port for each that there is, and for symmetric NATs for each endpoint as well. */
static unsigned map_port(unsigned port, unsigned endpoint)
{
    if (it.config.mapping == WORLD_NO_NAT)
        return port;
    return it.config.mapping == WORLD_SAME_FOR_ALL ? port ^ 1U : port ^ (2U << endpoint);
}

unsigned world_mapped_port(unsigned port)
{
    return map_port(port, WORLD_AP);
}

static unsigned *spoken_to(unsigned port)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (it.clients[i].port == 0)
            it.clients[i].port = port;
        if (it.clients[i].port == port)
            return &it.clients[i].spoken_to;
    }
    fail_msg("more sockets than this world knows");
    abort(); /* fail_msg() does not return */
}

static bool is_let_in(const datagram *d)
{
    if (d->from == PEER || d->from == WORLD_SIX || it.config.filter == WORLD_LETS_ALL_IN)
        return true;
    const unsigned bits = *spoken_to(port_of(&d->to));
    if (it.config.filter == WORLD_BY_ADDRESS)
        return (bits & (d->from < WORLD_BP ? 3U : 12U)) != 0;
    return (bits & 1U << d->from) != 0;
}

/* ---- The servers ------------------------------------------------------------------------------------------------ */

static void put(datagram *d, const void *bytes, size_t size)
{
    memcpy(d->bytes + d->size, bytes, size);
    d->size += size;
}

static void put_u16(datagram *d, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(d, bytes, 2);
}

static void put_address(datagram *d, unsigned type, const address *a, bool xored)
{
    const bool v6 = a->any.sa_family == AF_INET6;
    const size_t ip_size = v6 ? 16 : 4;
    uint8_t value[20] = {0, v6 ? 2 : 1, (uint8_t)(port_of(a) >> 8), (uint8_t)port_of(a)};
    memcpy(value + 4, v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr, ip_size);
    for (size_t i = 2; xored && i < 4; i++)
        value[i] ^= d->bytes[2 + i];
    for (size_t i = 0; xored && i < ip_size; i++)
        value[4 + i] ^= d->bytes[4 + i];
    put_u16(d, type);
    put_u16(d, (unsigned)(4 + ip_size));
    put(d, value, 4 + ip_size);
}

static void put_unknown_attribute(datagram *d)
{
    static const uint8_t error[] = {0x00, 0x09, 0x00, 0x04, 0, 0, 4, 20, 0x00, 0x0A, 0x00, 0x02, 0, 3, 0, 0};
    put(d, error, sizeof error);
}

static void fill_answer(datagram *d, const uint8_t *request, unsigned asked, bool rejects)
{
    address mapped = d->to;
    set_port(&mapped, map_port(port_of(&mapped), asked));
    d->size = 0;
    put_u16(d, rejects ? 0x0111 : 0x0101);
    put_u16(d, 0);
    put(d, request + 4, 16);
    if (rejects) {
        put_unknown_attribute(d);
    } else {
        put_address(d, 0x0001, &mapped, false);
        put_address(d, 0x0020, &mapped, true);
        if (asked != WORLD_SIX)
            put_address(d, 0x802C, &it.addresses[asked ^ 3U], false);
    }
    d->bytes[3] = (uint8_t)(d->size - HEADER);
    it.answers++;
    if (it.answers == it.config.cut_answer || (it.config.cut_all && it.answers > it.config.cut_answer))
        d->size = d->size < it.config.cut_to ? d->size : it.config.cut_to;
}

/* The flags of CHANGE-REQUEST, or 0. */
static unsigned flags_of(const uint8_t *request, size_t size)
{
    return size >= HEADER + 8 && request[HEADER + 1] == 3 ? request[HEADER + 7] : 0;
}

/* The endpoint that answers; WORLD_ENDPOINTS: none does. */
static unsigned answering(unsigned asked, unsigned flags)
{
    if (flags == 0 || it.config.change == WORLD_IGNORES || it.config.change == WORLD_REJECTS)
        return asked;
    if (it.config.change == WORLD_DROPS || asked == WORLD_SIX)
        return WORLD_ENDPOINTS;
    return asked ^ ((flags & CHANGE_IP) != 0 ? 2U : 0U) ^ ((flags & CHANGE_PORT) != 0 ? 1U : 0U);
}

static datagram *new_pending(int fd, uint64_t in_ns)
{
    assert_true(it.count < PENDING);
    datagram *d = &it.pending[it.count++];
    memset(d, 0, sizeof *d);
    d->due_ns = fault_now_ns() + in_ns;
    d->fd = fd;
    return d;
}

/* WORLD_ENDPOINTS: none of them. */
static unsigned endpoint_of(const struct sockaddr *name)
{
    const address a = plain(name);
    unsigned i = 0;
    while (i < WORLD_ENDPOINTS && !is_same(&it.addresses[i], &a))
        i++;
    return i;
}

bool world_is_among(unsigned endpoints, const struct sockaddr *name)
{
    return (endpoints & 1U << endpoint_of(name)) != 0;
}

/* What was sent lies in the socket of the endpoint that it went to. */
void world_takes(int fd, const struct sockaddr *to)
{
    uint8_t request[512];
    address client;
    socklen_t length = sizeof client;
    const unsigned asked = endpoint_of(to);
    if (asked == WORLD_ENDPOINTS || it.sockets[asked] < 0)
        return;
    struct pollfd polled = {.fd = it.sockets[asked], .events = POLLIN};
    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    const ssize_t size = recvfrom(it.sockets[asked], request, sizeof request, MSG_DONTWAIT, &client.any, &length);
    assert_true(size >= HEADER);
    *spoken_to(port_of(&client)) |= 1U << asked;
    const unsigned flags = flags_of(request, (size_t)size);
    const unsigned from = answering(asked, flags);
    if (from == WORLD_ENDPOINTS || it.sockets[from] < 0)
        return;
    datagram *d = new_pending(fd, it.config.rtt_ns);
    d->from = from;
    d->serial = fault_serial(fd);
    d->to = client;
    fill_answer(d, request, asked, flags != 0 && it.config.change == WORLD_REJECTS);
}

void world_sends_stray(int fd, uint64_t in_ns, unsigned serial)
{
    datagram *d = new_pending(fd, in_ns);
    socklen_t length = sizeof d->to;
    d->from = PEER;
    assert_int_equal(getsockname(fd, &d->to.any, &length), 0);
    const unsigned port = port_of(&d->to);
    d->to = (address){.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    set_port(&d->to, port);
    d->size = 8;
    memset(d->bytes, (int)serial, d->size);
    d->bytes[0] = 0xFF;
}

void world_lost(int fd, const struct msghdr *message)
{
    const uint8_t *bytes = message->msg_iov[0].iov_base;
    (void)fd;
    it.strays -= bytes[0] == 0xFF;
}

unsigned world_strays(void)
{
    return it.strays;
}

/* ---- Delivery --------------------------------------------------------------------------------------------------- */

uint64_t world_next_ns(void)
{
    uint64_t next_ns = FAULT_NEVER;
    for (unsigned i = 0; i < it.count; i++)
        next_ns = it.pending[i].due_ns < next_ns ? it.pending[i].due_ns : next_ns;
    return next_ns;
}

/* A socket that has been closed meanwhile gets nothing, nor does another that has its number now. */
static void deliver(const datagram *d)
{
    if (fault_serial(d->fd) != d->serial || !is_let_in(d))
        return;
    const ssize_t sent = sendto(it.sockets[d->from], d->bytes, d->size, 0, &d->to.any, size_of(&d->to));
    assert_int_equal(sent, (ssize_t)d->size);
    it.strays += d->from == PEER;
    struct pollfd polled = {.fd = d->fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
}

void world_delivers(void)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < it.count; i++) {
        if (it.pending[i].due_ns <= fault_now_ns())
            deliver(&it.pending[i]);
        else
            it.pending[kept++] = it.pending[i];
    }
    it.count = kept;
}
