/* SPDX-License-Identifier: MIT */
/* The test server; see stun_server.h. */
#include "stun_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ENDPOINTS = 4, HEADER = 20, LARGEST = 65507, ATTEMPTS = 200 };
enum { CHANGE_PORT = 2, CHANGE_IP = 4 };
static const uint8_t magic_cookie[4] = {0x21, 0x12, 0xA4, 0x42};

typedef union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

/* Endpoint i has address i / 2 and port i % 2: 0 is the primary, 3 has both changed. */
struct stun_server {
    stun_server_config config;
    int sockets[ENDPOINTS];
    address endpoints[ENDPOINTS];
    size_t count;
    char ip[INET6_ADDRSTRLEN];
    char name[INET6_ADDRSTRLEN + 10];
    int stop_pipe[2];
    pthread_t thread;
    atomic_uint requests;
    bool moved;
    uint8_t *huge;
};

typedef struct message {
    uint8_t bytes[512];
    size_t size;
} message;

static socklen_t address_size(const address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

static uint16_t port_of(const address *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

static void set_port(address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

static bool parse_address(const char *ip, address *out)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, ip, &out->v4.sin_addr) == 1) {
        out->any.sa_family = AF_INET;
        return true;
    }
    out->any.sa_family = AF_INET6;
    return inet_pton(AF_INET6, ip, &out->v6.sin6_addr) == 1;
}

/* ---- Messages --------------------------------------------------------------------------------------------------- */

static void put(message *m, const void *bytes, size_t size)
{
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static void put_u16(message *m, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(m, bytes, 2);
}

static void put_attribute(message *m, unsigned type, const void *value, size_t size)
{
    put_u16(m, type);
    put_u16(m, (unsigned)size);
    put(m, value, size);
    while (m->size % 4 != 0)
        m->bytes[m->size++] = 0;
}

static void put_address(message *m, unsigned type, const address *a, bool xored)
{
    const bool v6 = a->any.sa_family == AF_INET6;
    const size_t ip_size = v6 ? 16 : 4;
    uint8_t value[20] = {0, v6 ? 2 : 1, (uint8_t)(port_of(a) >> 8), (uint8_t)port_of(a)};
    memcpy(value + 4, v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr, ip_size);
    for (size_t i = 0; xored && i < 2; i++)
        value[2 + i] ^= m->bytes[4 + i];
    for (size_t i = 0; xored && i < ip_size; i++)
        value[4 + i] ^= m->bytes[4 + i];
    put_attribute(m, type, value, 4 + ip_size);
}

static void put_error(message *m, unsigned code, const char *reason)
{
    uint8_t value[64] = {0, 0, (uint8_t)(code / 100), (uint8_t)(code % 100)};
    memcpy(value + 4, reason, strlen(reason));
    put_attribute(m, 0x0009, value, 4 + strlen(reason));
}

static void begin(message *m, unsigned type, const uint8_t *request)
{
    m->size = 0;
    put_u16(m, type);
    put_u16(m, 0);
    put(m, request + 4, 16);
}

static void end(message *m)
{
    m->bytes[2] = (uint8_t)((m->size - HEADER) >> 8);
    m->bytes[3] = (uint8_t)(m->size - HEADER);
}

/* The flags of CHANGE-REQUEST, or -1 when there is none. */
static int change_flags(const uint8_t *request, size_t size)
{
    for (size_t at = HEADER; at + 4 <= size; at += 4 + (size_t)(request[at + 2] << 8 | request[at + 3]))
        if (request[at] == 0 && request[at + 1] == 3 && at + 8 <= size)
            return request[at + 7];
    return -1;
}

/* ---- Behaviour -------------------------------------------------------------------------------------------------- */

static address pretend_mapping(const stun_server *s, size_t endpoint, unsigned serial, const address *client)
{
    address mapped = *client;
    unsigned shift = 0;
    if (s->config.mapping == STUN_MAPPING_SHIFTED)
        shift = 1;
    else if (s->config.mapping == STUN_MAPPING_BY_ADDRESS)
        shift = (unsigned)(1 + endpoint / 2);
    else if (s->config.mapping == STUN_MAPPING_BY_ENDPOINT)
        shift = (unsigned)(1 + endpoint);
    else if (s->config.mapping == STUN_MAPPING_MOVING_ONCE)
        shift = s->moved ? 2 : 1;
    else if (s->config.mapping == STUN_MAPPING_WANDERING)
        shift = 1 + serial;
    const unsigned port = port_of(client) + shift;
    set_port(&mapped, (uint16_t)(port > 65535 ? port - 30000 : port));
    return mapped;
}

static address other_address(const stun_server *s)
{
    address other = s->endpoints[ENDPOINTS - 1];
    if (s->config.other_ip != NULL) {
        parse_address(s->config.other_ip, &other);
        set_port(&other, port_of(&s->endpoints[ENDPOINTS - 1]));
    }
    return other;
}

static void good_answer(const stun_server *s, size_t asked, size_t from, unsigned serial, const address *client,
                        const uint8_t *request, message *m)
{
    const bool classic = memcmp(request + 4, magic_cookie, sizeof magic_cookie) != 0;
    const address mapped = pretend_mapping(s, asked, serial, client);
    begin(m, 0x0101, request);
    put_address(m, 0x0001, &mapped, false);
    if (!classic)
        put_address(m, 0x0020, &mapped, true);
    put_address(m, classic ? 0x0004 : 0x802B, &s->endpoints[from], false);
    if (!s->config.single) {
        const address other = other_address(s);
        put_address(m, classic ? 0x0005 : 0x802C, &other, false);
    }
    put_attribute(m, 0x8022, "test server", 11);
    end(m);
}

static void error_answer(const uint8_t *request, unsigned code, const char *reason, message *m)
{
    begin(m, 0x0111, request);
    put_error(m, code, reason);
    if (code == 420)
        put_attribute(m, 0x000A, "\0\3", 2);
    if (code == 300) {
        address elsewhere;
        parse_address("192.0.2.1", &elsewhere);
        set_port(&elsewhere, 3478);
        put_address(m, 0x8023, &elsewhere, false);
    }
    end(m);
}

/* Turns a good answer into what the test wants. Returns the bytes to send. */
static const uint8_t *spoil(const stun_server *s, const uint8_t *request, size_t request_size, message *m)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    switch (s->config.reply) {
    case STUN_REPLY_TEXT:
        m->size = 0;
        put(m, text, sizeof text - 1);
        break;
    case STUN_REPLY_EMPTY:
        m->size = 0;
        break;
    case STUN_REPLY_HUGE:
        memcpy(s->huge, m->bytes, HEADER);
        m->size = LARGEST;
        return s->huge;
    case STUN_REPLY_WRONG_ID:
        m->bytes[HEADER - 1] ^= 1;
        break;
    case STUN_REPLY_ECHO:
        m->size = 0;
        put(m, request, request_size);
        break;
    case STUN_REPLY_NO_ADDRESS:
        begin(m, 0x0101, request);
        break;
    case STUN_REPLY_CUT:
        m->bytes[HEADER + 2] = 0xFF;
        break;
    case STUN_REPLY_BAD_REQUEST:
        error_answer(request, 400, "Bad Request", m);
        break;
    case STUN_REPLY_TRY_ALTERNATE:
        error_answer(request, 300, "Try Alternate", m);
        break;
    case STUN_REPLY_GOOD:
    case STUN_REPLY_NONE:
        break;
    }
    return m->bytes;
}

/* Which endpoint answers a request with these flags; ENDPOINTS: none does. */
static size_t answering_endpoint(const stun_server *s, size_t asked, int flags)
{
    if (flags <= 0 || s->config.change == STUN_CHANGE_IGNORE || s->config.change == STUN_CHANGE_REJECT)
        return asked;
    if (s->config.change == STUN_CHANGE_DROP || s->count < ENDPOINTS)
        return ENDPOINTS;
    if (s->config.change == STUN_CHANGE_PARTIAL)
        return asked ^ 1;
    return asked ^ ((flags & CHANGE_IP) != 0 ? 2u : 0u) ^ ((flags & CHANGE_PORT) != 0 ? 1u : 0u);
}

static void answer(stun_server *s, size_t asked, const address *client, const uint8_t *request, size_t size)
{
    if (size < HEADER || request[0] != 0 || request[1] != 1)
        return;
    const unsigned serial = atomic_fetch_add(&s->requests, 1);
    s->moved = s->moved || asked != 0;
    if (s->config.on_request != NULL)
        s->config.on_request(s->config.user);
    if (s->config.slow_ms > 0)
        nanosleep(&(struct timespec){s->config.slow_ms / 1000, (long)(s->config.slow_ms % 1000) * 1000000}, NULL);
    const bool cookie = memcmp(request + 4, magic_cookie, sizeof magic_cookie) == 0;
    const int flags = change_flags(request, size);
    const size_t from = answering_endpoint(s, asked, flags);
    if (s->config.reply == STUN_REPLY_NONE || (s->config.classic_only && cookie) || from == ENDPOINTS)
        return;
    message m;
    if (flags > 0 && s->config.change == STUN_CHANGE_REJECT)
        error_answer(request, 420, "Unknown Attribute", &m);
    else
        good_answer(s, asked, from, serial, client, request, &m);
    const uint8_t *bytes = spoil(s, request, size, &m);
    (void)sendto(s->sockets[from], bytes, m.size, 0, &client->any, address_size(client));
}

static void *serve(void *argument)
{
    stun_server *s = argument;
    struct pollfd polled[ENDPOINTS + 1];
    for (size_t i = 0; i < s->count; i++)
        polled[i] = (struct pollfd){.fd = s->sockets[i], .events = POLLIN};
    polled[s->count] = (struct pollfd){.fd = s->stop_pipe[0], .events = POLLIN};
    for (;;) {
        if (poll(polled, (nfds_t)s->count + 1, -1) <= 0)
            continue;
        if (polled[s->count].revents != 0)
            return NULL;
        for (size_t i = 0; i < s->count; i++) {
            uint8_t request[512];
            address client;
            socklen_t length = sizeof client;
            if (polled[i].revents == 0)
                continue;
            const ssize_t size = recvfrom(s->sockets[i], request, sizeof request, MSG_DONTWAIT, &client.any, &length);
            if (size >= 0)
                answer(s, i, &client, request, (size_t)size);
        }
    }
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static bool bind_endpoint(stun_server *s, size_t i, const address *wanted)
{
    socklen_t length = sizeof s->endpoints[i];
    s->sockets[i] = socket(wanted->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->sockets[i] < 0)
        return false;
    if (bind(s->sockets[i], &wanted->any, address_size(wanted)) != 0)
        return false;
    return getsockname(s->sockets[i], &s->endpoints[i].any, &length) == 0;
}

static void close_sockets(stun_server *s)
{
    for (size_t i = 0; i < ENDPOINTS; i++) {
        if (s->sockets[i] >= 0)
            close(s->sockets[i]);
        s->sockets[i] = -1;
    }
}

/* 127.0.0.0/8 is this host's from end to end: an address at random is nobody else's. */
static address random_loopback(void)
{
    static atomic_uint serial;
    unsigned mixed = (unsigned)getpid() * 2654435761u + atomic_fetch_add(&serial, 1) * 40503u;
    address a;
    memset(&a, 0, sizeof a);
    a.v4.sin_family = AF_INET;
    a.v4.sin_addr.s_addr = htonl(0x7F000000u | (mixed & 0x00FFFFFFu) | 0x00010002u);
    return a;
}

/* The system may hand out a port that is a service's of ill repute, to which the library rightly refuses to send. */
static bool is_of_ill_repute(uint16_t port)
{
    static const uint16_t above_1024[] = {10001, 10074, 11211, 17185, 27015, 27960, 32414, 37810, 47808};
    for (size_t i = 0; i < sizeof above_1024 / sizeof above_1024[0]; i++) {
        if (port == above_1024[i])
            return true;
    }
    return port < 10000;
}

static bool bind_all(stun_server *s)
{
    address wanted = random_loopback();
    if (s->config.ip != NULL && !parse_address(s->config.ip, &wanted))
        return false;
    set_port(&wanted, s->config.port);
    if (!bind_endpoint(s, 0, &wanted))
        return false;
    if (s->config.single)
        return true;
    set_port(&wanted, 0);
    if (!bind_endpoint(s, 1, &wanted) || is_of_ill_repute(port_of(&s->endpoints[1])))
        return false;
    for (size_t i = 2; i < ENDPOINTS; i++) {
        address second = s->endpoints[i - 2];
        second.v4.sin_addr.s_addr ^= htonl(0x00800001u);
        if (!bind_endpoint(s, i, &second))
            return false;
    }
    return true;
}

static bool bind_retrying(stun_server *s)
{
    s->count = s->config.single ? 1 : ENDPOINTS;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (bind_all(s))
            return true;
        close_sockets(s);
    }
    return false;
}

static void format_name(stun_server *s)
{
    const address *a = &s->endpoints[0];
    const bool v6 = a->any.sa_family == AF_INET6;
    inet_ntop(a->any.sa_family, v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr, s->ip,
              sizeof s->ip);
    snprintf(s->name, sizeof s->name, v6 ? "[%s]:%u" : "%s:%u", s->ip, (unsigned)port_of(a));
}

stun_server *stun_server_start(const stun_server_config *config)
{
    stun_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->config = *config;
    s->huge = calloc(1, LARGEST);
    for (size_t i = 0; i < ENDPOINTS; i++)
        s->sockets[i] = -1;
    if (s->huge != NULL && bind_retrying(s) && pipe(s->stop_pipe) == 0) {
        format_name(s);
        if (pthread_create(&s->thread, NULL, serve, s) == 0)
            return s;
        close(s->stop_pipe[0]);
        close(s->stop_pipe[1]);
    }
    close_sockets(s);
    free(s->huge);
    free(s);
    return NULL;
}

void stun_server_stop(stun_server *s)
{
    if (s == NULL)
        return;
    close(s->stop_pipe[1]);
    pthread_join(s->thread, NULL);
    close(s->stop_pipe[0]);
    close_sockets(s);
    free(s->huge);
    free(s);
}

const char *stun_server_name(const stun_server *s)
{
    return s->name;
}

const char *stun_server_ip(const stun_server *s)
{
    return s->ip;
}

unsigned stun_server_requests(const stun_server *s)
{
    return atomic_load(&s->requests);
}
