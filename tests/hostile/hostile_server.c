/* SPDX-License-Identifier: MIT */
/* See hostile_server.h. */
#include "hostile_server.h"

#include <arpa/inet.h>
#include <errno.h>
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

#include <natprobe/natprobe.h>

enum { ENDPOINTS = 4, CLIENTS = 64, ATTEMPTS = 200, NAME_ROOM = 32 };

typedef struct client {
    struct sockaddr_in address;
    unsigned asked; /* bits: the endpoints that it has sent to */
} client;

typedef struct known_request {
    unsigned client, asked;
    size_t size;
    uint8_t bytes[REQUEST_ROOM];
} known_request;

struct hostile_server {
    hostile_config config;
    int sockets[SENDERS];
    struct sockaddr_in addresses[SENDERS];
    char names[SENDERS][NAME_ROOM];
    int stop_pipe[2];
    pthread_t thread;
    bool is_running;
    client clients[CLIENTS];
    unsigned client_count;
    heard last;
    hostile_log log;
    known_request known[256];
    message answer;
};

static endpoint from_system(const struct sockaddr_in *a)
{
    endpoint e = {.family = 4, .port = ntohs(a->sin_port)};
    memcpy(e.ip, &a->sin_addr, 4);
    return e;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

void hostile_send_to(hostile_server *s, unsigned number, unsigned from, const message *m)
{
    const struct sockaddr_in *to = &s->clients[number].address;
    ssize_t sent;
    if (s->config.alternate_is_dead && (from == FROM_BP || from == FROM_BQ))
        return;
    do {
        sent = sendto(s->sockets[from], m->bytes, m->size, 0, (const struct sockaddr *)to, sizeof *to);
    } while (sent < 0 && errno == EINTR);
}

void hostile_send(hostile_server *s, const heard *h, unsigned from, const message *m)
{
    hostile_send_to(s, h->client, from, m);
}

unsigned hostile_client_count(const hostile_server *s)
{
    return s->client_count;
}

endpoint hostile_endpoint(const hostile_server *s, unsigned from)
{
    return from_system(&s->addresses[from]);
}

const char *hostile_name(const hostile_server *s, unsigned from)
{
    return s->names[from];
}

/* ---- The NAT in between ----------------------------------------------------------------------------------------- */

static bool is_by_destination(const hostile_server *s)
{
    return s->config.where->mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

/* Another port than the client's, the same for all endpoints or one for each. */
static endpoint mapped_for(const hostile_server *s, const client *c, unsigned asked)
{
    endpoint e = from_system(&c->address);
    unsigned shift = s->config.where->mapping == NP_BEHAVIOUR_NONE ? 0 : 1;
    if (is_by_destination(s))
        shift += asked + 4 * s->config.number;
    e.port = (uint16_t)(e.port + shift > 65535 ? e.port + shift - 30000 : e.port + shift);
    return e;
}

/* Whether the NAT would let an answer in that comes from an endpoint, to the mapping that a request went through. */
static bool would_pass(const hostile_server *s, const client *c, unsigned asked, unsigned from)
{
    const int32_t filtering = s->config.where->filtering;
    const unsigned opened = is_by_destination(s) ? 1u << asked : c->asked;
    if (filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || (opened & 1u << from) != 0)
        return true;
    return filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT && (opened & 3u << (from & 2u)) != 0;
}

bool hostile_would_answer(const hostile_server *s, const heard *h)
{
    const bool is_dead = s->config.alternate_is_dead && (h->asked >= FROM_BP || h->answerer >= FROM_BP);
    return !is_dead && (h->q.classic || !s->config.classic_only) &&
           would_pass(s, &s->clients[h->client], h->asked, h->answerer);
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

static unsigned client_of(hostile_server *s, const struct sockaddr_in *from)
{
    const unsigned count = hostile_client_count(s);
    for (unsigned i = 0; i < count; i++) {
        const struct sockaddr_in *known = &s->clients[i].address;
        if (known->sin_port == from->sin_port && known->sin_addr.s_addr == from->sin_addr.s_addr)
            return i;
    }
    if (count == CLIENTS)
        return CLIENTS - 1;
    s->clients[count] = (client){.address = *from};
    s->client_count++;
    return count;
}

/* An id belongs to one request: from one socket, to one endpoint, of one content. */
static void note_id(hostile_server *s, const heard *h)
{
    hostile_log *log = &s->log;
    for (size_t i = 0; i < log->id_count; i++) {
        const known_request *k = &s->known[i];
        if (memcmp(log->ids[i], h->q.request + 4, ID_SIZE) != 0)
            continue;
        log->shared_ids += k->client != h->client || k->asked != h->asked || k->size != h->q.size ||
                           memcmp(k->bytes, h->q.request, k->size) != 0;
        return;
    }
    if (log->id_count == sizeof log->ids / sizeof log->ids[0])
        return;
    known_request *k = &s->known[log->id_count];
    *k = (known_request){h->client, h->asked, h->q.size, {0}};
    memcpy(k->bytes, h->q.request, h->q.size);
    memcpy(log->ids[log->id_count++], h->q.request + 4, ID_SIZE);
}

static bool understand(hostile_server *s, unsigned asked, const struct sockaddr_in *from, const uint8_t *bytes,
                       size_t size, heard *h)
{
    if (!question_read(&h->q, bytes, size))
        return false;
    h->asked = asked;
    h->answerer = asked;
    if (!s->config.single)
        h->answerer ^= ((h->q.change & CHANGE_IP) != 0 ? 2u : 0u) ^ ((h->q.change & CHANGE_PORT) != 0 ? 1u : 0u);
    h->client = client_of(s, from);
    h->serial = s->log.requests;
    s->clients[h->client].asked |= 1u << asked;
    h->q.asked = hostile_endpoint(s, asked);
    h->q.answerer = hostile_endpoint(s, h->answerer);
    h->q.mapped = mapped_for(s, &s->clients[h->client], asked);
    if (!s->config.single)
        h->q.other = hostile_endpoint(s, FROM_BQ);
    return true;
}

static void serve_one(hostile_server *s, unsigned asked)
{
    uint8_t bytes[2048];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    heard h;
    memset(&h, 0, sizeof h);
    const ssize_t size = recvfrom(s->sockets[asked], bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from,
                                  &length);
    if (size < 0)
        return;
    if (!understand(s, asked, &from, bytes, (size_t)size, &h)) {
        s->log.misfits++;
        return;
    }
    s->log.requests++;
    s->log.at[asked]++;
    s->log.changes += h.q.change != 0;
    note_id(s, &h);
    s->last = h;
    if (s->config.act != NULL && !s->config.act(s, &h, s->config.user))
        return;
    if (!hostile_would_answer(s, &h))
        return;
    make_good(&s->answer, &h.q);
    hostile_send(s, &h, h.answerer, &s->answer);
}

/* ---- The thread ------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* So many for each millisecond that has passed, but not without end where the thread was held up. */
static void flood(hostile_server *s, uint64_t *last_ms)
{
    const uint64_t now = now_ms();
    uint64_t due = (now - *last_ms) * s->config.floods_per_ms;
    *last_ms = now;
    if (due > 10u * s->config.floods_per_ms)
        due = 10u * s->config.floods_per_ms;
    for (; due > 0 && s->log.requests > 0; due--) {
        s->config.flood(s, &s->last, s->config.user);
        s->log.floods++;
    }
}

static void *serve(void *argument)
{
    hostile_server *s = argument;
    struct pollfd polled[SENDERS + 1];
    uint64_t last_ms = now_ms();
    for (unsigned i = 0; i < SENDERS; i++)
        polled[i] = (struct pollfd){.fd = s->sockets[i], .events = POLLIN};
    polled[SENDERS] = (struct pollfd){.fd = s->stop_pipe[0], .events = POLLIN};
    for (;;) {
        if (poll(polled, SENDERS + 1, s->config.floods_per_ms > 0 ? 1 : -1) < 0)
            continue;
        if (polled[SENDERS].revents != 0)
            return NULL;
        for (unsigned i = 0; i < SENDERS; i++) {
            if (polled[i].revents != 0)
                serve_one(s, i);
        }
        if (s->config.floods_per_ms > 0)
            flood(s, &last_ms);
    }
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static bool bind_at(hostile_server *s, unsigned i, uint32_t ip, unsigned port)
{
    socklen_t length = sizeof s->addresses[i];
    const struct sockaddr_in wanted = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(ip)};
    s->sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->sockets[i] < 0 || bind(s->sockets[i], (const struct sockaddr *)&wanted, sizeof wanted) != 0)
        return false;
    return getsockname(s->sockets[i], (struct sockaddr *)&s->addresses[i], &length) == 0;
}

static unsigned port_of(const hostile_server *s, unsigned i)
{
    return ntohs(s->addresses[i].sin_port);
}

static void close_sockets(hostile_server *s)
{
    for (unsigned i = 0; i < SENDERS; i++) {
        if (s->sockets[i] >= 0)
            close(s->sockets[i]);
        s->sockets[i] = -1;
    }
}

/* 127.0.0.0/8 is this host's from end to end: an address at random is nobody else's. */
static uint32_t random_loopback(void)
{
    static atomic_uint serial;
    const uint32_t mixed = ((uint32_t)getpid() * 2654435761u) ^ ((atomic_fetch_add(&serial, 1) + 1) * 0x9e3779b1u);
    return 0x7F000000u | (mixed & 0x007FFFFEu) | 0x00010002u;
}

/* Ports of the library's list of those to which it rightly does not send. */
static bool is_of_ill_repute(unsigned port)
{
    static const uint16_t above[] = {10001, 10074, 11211, 17185, 27015, 27960, 32414, 37810, 47808};
    for (size_t i = 0; i < sizeof above / sizeof above[0]; i++) {
        if (port == above[i])
            return true;
    }
    return port < 10000;
}

static bool bind_all(hostile_server *s)
{
    const uint32_t a = random_loopback(), b = a ^ 0x00800001u, stranger = a ^ 0x00400000u;
    if (!bind_at(s, FROM_AP, a, 0) || !bind_at(s, FROM_AQ, a, 0) || is_of_ill_repute(port_of(s, FROM_AQ)))
        return false;
    return bind_at(s, FROM_BP, b, port_of(s, FROM_AP)) && bind_at(s, FROM_BQ, b, port_of(s, FROM_AQ)) &&
           bind_at(s, FROM_STRANGER, stranger, port_of(s, FROM_AP));
}

static bool bind_retrying(hostile_server *s)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (bind_all(s))
            return true;
        close_sockets(s);
    }
    return false;
}

static void write_names(hostile_server *s)
{
    for (unsigned i = 0; i < SENDERS; i++) {
        char ip[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &s->addresses[i].sin_addr, ip, sizeof ip);
        snprintf(s->names[i], NAME_ROOM, "%s:%u", ip, port_of(s, i));
    }
}

hostile_server *hostile_server_start(const hostile_config *config)
{
    hostile_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->config = *config;
    for (unsigned i = 0; i < SENDERS; i++)
        s->sockets[i] = -1;
    if (bind_retrying(s) && pipe(s->stop_pipe) == 0) {
        write_names(s);
        s->is_running = pthread_create(&s->thread, NULL, serve, s) == 0;
        if (s->is_running)
            return s;
        close(s->stop_pipe[0]);
        close(s->stop_pipe[1]);
    }
    close_sockets(s);
    free(s);
    return NULL;
}

void hostile_server_halt(hostile_server *s)
{
    if (!s->is_running)
        return;
    close(s->stop_pipe[1]);
    pthread_join(s->thread, NULL);
    close(s->stop_pipe[0]);
    s->is_running = false;
}

const hostile_log *hostile_server_log(const hostile_server *s)
{
    return &s->log;
}

void hostile_server_stop(hostile_server *s)
{
    if (s == NULL)
        return;
    hostile_server_halt(s);
    close_sockets(s);
    free(s);
}
