/* SPDX-License-Identifier: MIT */
/* See fault_world.h. */
#include "fault_world.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "fault_calls.h"
#include "fault_clock.h"
#include "support.h"

enum { PENDING = 1024, ATTEMPTS = 200, PATIENCE_MS = 60000, ROOM = 160 };
enum { PEER = WORLD_ENDPOINTS, SOCKETS };
#define USUAL_RTT_NS (5 * FAULT_MS)

typedef struct datagram {
    uint64_t due_ns;
    unsigned from;          /* an endpoint or the peer */
    int fd;                 /* of the client */
    unsigned serial;        /* what its descriptor was called; 0: the caller's own */
    unsigned client, asked; /* of the request that it answers */
    endpoint to;
    size_t size;
    uint8_t bytes[ROOM];
} datagram;

static struct {
    world_config config;
    int sockets[SOCKETS]; /* -1: nobody listens there */
    endpoint at[SOCKETS];
    socket_address servers[2]; /* IPv4 and IPv6 */
    char names[WORLD_ENDPOINTS][ENDPOINT_TEXT];
    server_desc descs[2];
    server_engine engines[2];
    pretended_nat nat;
    datagram pending[PENDING];
    unsigned count;
    unsigned answers;
    unsigned strays;
} it;

/* ---- Building --------------------------------------------------------------------------------------------------- */

static void close_endpoint(unsigned i)
{
    if (it.sockets[i] >= 0)
        close(it.sockets[i]);
    it.sockets[i] = -1;
}

static bool open_endpoint(unsigned i)
{
    it.sockets[i] = loopback_bind(&it.at[i]);
    return it.sockets[i] >= 0;
}

bool world_has_ipv6(void)
{
    endpoint six = endpoint_of("::1", 0);
    const int fd = loopback_bind(&six);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Names are looked up without a port: both servers listen on the same. */
static bool open_all(void)
{
    loopback four;
    if (!loopback_open(&four, 4, (endpoint){.family = 0}))
        return false;
    memcpy(it.sockets, four.fd, 4 * sizeof four.fd[0]);
    memcpy(it.at, four.at, 4 * sizeof four.at[0]);
    it.at[WORLD_SIX] = endpoint_of("::1", it.at[WORLD_AP].port);
    it.at[PEER] = endpoint_of("127.0.0.1", 0);
    return open_endpoint(PEER) && (!world_has_ipv6() || open_endpoint(WORLD_SIX));
}

void world_build(void)
{
    bool is_done = false;
    memset(it.sockets, -1, sizeof it.sockets);
    for (unsigned attempt = 0; attempt < ATTEMPTS && !is_done; attempt++) {
        world_close();
        is_done = open_all();
    }
    assert_true(is_done);
    for (unsigned i = 0; i < WORLD_ENDPOINTS; i++)
        endpoint_text(&it.at[i], it.names[i]);
    endpoint_to_socket(&it.at[WORLD_AP], &it.servers[0]);
    endpoint_to_socket(&it.at[WORLD_SIX], &it.servers[1]);
}

void world_close(void)
{
    for (unsigned i = 0; i < SOCKETS; i++)
        close_endpoint(i);
}

static void begin_servers(void)
{
    it.descs[0] = server_conforming(it.at[WORLD_AP], it.at[WORLD_BQ]);
    it.descs[1] = server_conforming(it.at[WORLD_SIX], (endpoint){.family = 0});
    it.descs[1].two_ips = it.descs[1].two_ports = false;
    it.descs[1].other = OTHER_NONE;
    for (unsigned i = 0; i < 2; i++) {
        it.descs[i].adapts = true;
        it.descs[i].mapped = MAPPED_XOR_AND_PLAIN;
        it.descs[i].change = it.config.change;
        it.descs[i].reject_code = 420;
        server_init(&it.engines[i], &it.descs[i], 0);
    }
}

static void empty_socket(int fd)
{
    uint8_t bytes[512];
    endpoint from;
    while (loopback_receive(fd, &from, bytes, sizeof bytes) >= 0)
        continue;
}

void world_reset(const world_config *config)
{
    it.config = *config;
    if (it.config.rtt_ns == 0)
        it.config.rtt_ns = USUAL_RTT_NS;
    it.nat = (pretended_nat){.mapping = config->mapping, .filtering = config->filter};
    it.count = 0;
    it.answers = 0;
    it.strays = 0;
    begin_servers();
    for (unsigned i = 0; i < WORLD_ENDPOINTS; i++) {
        if ((config->closed & 1U << i) != 0)
            close_endpoint(i);
        else if (it.sockets[i] >= 0)
            empty_socket(it.sockets[i]);
        else if (i != WORLD_SIX || world_has_ipv6())
            assert_true(open_endpoint(i));
    }
}

const char *world_name(unsigned at)
{
    return it.names[at];
}

const struct sockaddr *world_server(bool ipv6)
{
    return &it.servers[ipv6].any;
}

unsigned world_port(void)
{
    return it.at[WORLD_AP].port;
}

unsigned world_mapped_port(unsigned port)
{
    const endpoint client = {.family = 4, .port = (uint16_t)port};
    return pretended_seen(&it.nat, &client, WORLD_AP).port;
}

unsigned world_answers(void)
{
    return it.answers;
}

/* ---- Requests and answers --------------------------------------------------------------------------------------- */

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
static unsigned index_of(const endpoint *e)
{
    unsigned i = 0;
    while (i < WORLD_ENDPOINTS && !endpoint_equal(&it.at[i], e))
        i++;
    return i;
}

static unsigned named(const struct sockaddr *name)
{
    const endpoint e = endpoint_from_socket(name), plain = endpoint_plain(&e);
    return index_of(&plain);
}

bool world_is_among(unsigned endpoints, const struct sockaddr *name)
{
    return (endpoints & 1U << named(name)) != 0;
}

static void keep_answer(void *user, const server_answer *answer)
{
    const datagram *request = user;
    const unsigned from = index_of(&answer->from);
    if (it.sockets[from] < 0)
        return;
    datagram *d = new_pending(request->fd, it.config.rtt_ns);
    d->from = from;
    d->serial = fault_serial(request->fd);
    d->client = request->client;
    d->asked = request->asked;
    d->to = request->to;
    d->size = answer->message.size;
    assert_true(d->size <= sizeof d->bytes);
    memcpy(d->bytes, answer->message.bytes, d->size);
    it.answers++;
    if (it.answers == it.config.cut_answer || (it.config.cut_all && it.answers > it.config.cut_answer))
        d->size = d->size < it.config.cut_to ? d->size : it.config.cut_to;
}

/* What was sent lies in the socket of the endpoint that it went to. */
void world_takes(int fd, const struct sockaddr *to)
{
    datagram request = {.fd = fd, .asked = named(to)};
    if (request.asked == WORLD_ENDPOINTS || it.sockets[request.asked] < 0)
        return;
    const int at = it.sockets[request.asked];
    struct pollfd polled = {.fd = at, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
    const ssize_t size = loopback_receive(at, &request.to, request.bytes, sizeof request.bytes);
    assert_true(size >= HEADER_SIZE);
    request.client = pretended_out(&it.nat, &request.to, request.asked);
    assert_true(it.nat.client_count < PRETENDED_CLIENTS);
    const endpoint seen = pretended_seen(&it.nat, &request.to, request.asked);
    server_receive(&it.engines[request.asked == WORLD_SIX], 0, &seen, &it.at[request.asked], &request.to, request.bytes,
                   (size_t)size, keep_answer, &request);
}

void world_sends_stray(int fd, uint64_t in_ns, unsigned serial)
{
    datagram *d = new_pending(fd, in_ns);
    socket_address name;
    socklen_t length = sizeof name;
    d->from = PEER;
    assert_int_equal(getsockname(fd, &name.any, &length), 0);
    d->to = endpoint_of("127.0.0.1", endpoint_from_socket(&name.any).port);
    d->size = 8;
    memset(d->bytes, (int)serial, d->size);
    d->bytes[0] = 0xFF;
}

void world_lost(int fd, const struct msghdr *header)
{
    const uint8_t *bytes = header->msg_iov[0].iov_base;
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
    const bool is_behind_nat = d->from != PEER && d->from != WORLD_SIX;
    if (fault_serial(d->fd) != d->serial ||
        (is_behind_nat && !pretended_lets_in(&it.nat, d->client, d->asked, d->from)))
        return;
    loopback_send(it.sockets[d->from], &d->to, d->bytes, d->size);
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
