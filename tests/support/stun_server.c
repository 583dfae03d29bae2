/* SPDX-License-Identifier: MIT */
/* See stun_server.h. */
#include "stun_server.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ALL = 4 };

struct stun_server {
    stun_server_config config;
    server_desc desc;
    server_engine engine;
    pretended_nat nat;
    loopback sockets;
    char ip[ENDPOINT_TEXT], name[ENDPOINT_TEXT];
    int stop_pipe[2];
    pthread_t thread;
    bool is_running;
    atomic_uint requests;
};

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static void send_to(stun_server *s, const endpoint *client, unsigned from, const message *m)
{
    if (!s->config.alternate_is_dead || (from != AT_BP && from != AT_BQ))
        loopback_send(s->sockets.fd[from], client, m->bytes, m->size);
}

void stun_server_send(stun_server *s, unsigned client, unsigned from, const message *m)
{
    send_to(s, &s->nat.clients[client].address, from, m);
}

unsigned stun_server_clients(const stun_server *s)
{
    return s->nat.client_count;
}

bool stun_server_would_answer(const stun_server *s, const stun_heard *h)
{
    const bool is_dead = s->config.alternate_is_dead && (h->asked >= AT_BP || h->answerer >= AT_BP);
    return !is_dead && !(h->q.cookie && s->config.classic_only) &&
           pretended_lets_in(&s->nat, h->client, h->asked, h->answerer);
}

typedef struct answering {
    stun_server *server;
    const stun_heard *heard;
} answering;

static void send_answer(void *user, const server_answer *answer)
{
    const answering *a = user;
    unsigned from = 0;
    while (!endpoint_equal(&a->server->sockets.at[from], &answer->from))
        from++;
    if (pretended_lets_in(&a->server->nat, a->heard->client, a->heard->asked, from))
        send_to(a->server, &a->heard->from, from, &answer->message);
}

static void answer(stun_server *s, const stun_heard *h)
{
    answering a = {s, h};
    if (s->config.on_request != NULL)
        s->config.on_request(s->config.user);
    if (s->config.slow_ms > 0)
        nanosleep(&(struct timespec){s->config.slow_ms / 1000, (long)(s->config.slow_ms % 1000) * 1000000}, NULL);
    if (s->config.act == NULL || s->config.act(s, h, s->config.user))
        server_receive(&s->engine, 0, &h->seen, &s->sockets.at[h->asked], &h->from, h->bytes, h->size, send_answer, &a);
}

static void receive(stun_server *s, unsigned asked)
{
    uint8_t bytes[2048];
    stun_heard h = {.bytes = bytes, .asked = asked, .answerer = asked};
    const ssize_t size = loopback_receive(s->sockets.fd[asked], &h.from, bytes, sizeof bytes);
    if (size < 0)
        return;
    h.size = (size_t)size;
    if (h.size >= HEADER_SIZE && get_u16(bytes) == BINDING_INDICATION && asked != AT_STRANGER) {
        (void)pretended_out(&s->nat, &h.from, asked); /* it opens the way, and is not answered */
        return;
    }
    if (request_read(&h.q, bytes, h.size) != NULL || asked == AT_STRANGER) {
        if (s->config.misfit != NULL)
            s->config.misfit(s->config.user);
        return;
    }
    if (!s->config.single)
        h.answerer ^= ((h.q.change & CHANGE_IP) != 0 ? 2u : 0u) ^ ((h.q.change & CHANGE_PORT) != 0 ? 1u : 0u);
    h.client = pretended_out(&s->nat, &h.from, asked);
    h.seen = pretended_seen(&s->nat, &h.from, asked);
    atomic_fetch_add(&s->requests, 1);
    answer(s, &h);
}

/* ---- The thread ------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void tick(stun_server *s, uint64_t *last_ms)
{
    const uint64_t now = now_ms();
    s->config.tick(s, (unsigned)(now - *last_ms), s->config.user);
    *last_ms = now;
}

static void *serve(void *argument)
{
    stun_server *s = argument;
    struct pollfd polled[LOOPBACK_SOCKETS + 1];
    const unsigned count = s->sockets.count;
    uint64_t last_ms = now_ms();
    for (unsigned i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = s->sockets.fd[i], .events = POLLIN};
    polled[count] = (struct pollfd){.fd = s->stop_pipe[0], .events = POLLIN};
    for (;;) {
        if (poll(polled, count + 1, s->config.tick != NULL ? 1 : -1) < 0)
            continue;
        if (polled[count].revents != 0)
            return NULL;
        for (unsigned i = 0; i < count; i++) {
            if (polled[i].revents != 0)
                receive(s, i);
        }
        if (s->config.tick != NULL)
            tick(s, &last_ms);
    }
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void describe(stun_server *s)
{
    const stun_server_config *c = &s->config;
    const endpoint *at = s->sockets.at;
    server_desc *d = &s->desc;
    *d = server_conforming(at[AT_AP], at[AT_BQ]);
    d->two_ports = !c->single;
    d->two_ips = !c->single && !c->alternate_is_dead;
    d->other = c->single ? OTHER_NONE : OTHER_RFC5780;
    d->adapts = true;
    d->software = true;
    d->mapped = MAPPED_XOR_AND_PLAIN;
    d->dialect = c->classic_only ? DIALECT_CLASSIC : DIALECT_ANY;
    d->change = c->change;
    d->reject_code = 420;
    d->plain = c->reply;
    d->other_is_false = c->other_ip != NULL;
    d->false_other = c->other_ip != NULL ? endpoint_of(c->other_ip, at[AT_BQ].port) : endpoint_of("192.0.2.1", 3478);
    server_init(&s->engine, d, 0);
    s->nat = (pretended_nat){.mapping = c->mapping, .filtering = c->filtering, .number = c->number};
    endpoint_text(&at[AT_AP], s->name);
    endpoint_ip_text(&at[AT_AP], s->ip);
}

static bool begin(stun_server *s)
{
    const endpoint any = {.family = 0, .port = s->config.port};
    const endpoint first = s->config.ip != NULL ? endpoint_of(s->config.ip, s->config.port) : any;
    if (!loopback_open(&s->sockets, s->config.single ? 1 : LOOPBACK_SOCKETS, first))
        return false;
    describe(s);
    if (pipe(s->stop_pipe) != 0)
        return false;
    s->is_running = pthread_create(&s->thread, NULL, serve, s) == 0;
    if (s->is_running)
        return true;
    close(s->stop_pipe[0]);
    close(s->stop_pipe[1]);
    return false;
}

stun_server *stun_server_start(const stun_server_config *config)
{
    stun_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->config = *config;
    if (begin(s))
        return s;
    loopback_close(&s->sockets);
    free(s);
    return NULL;
}

void stun_server_halt(stun_server *s)
{
    if (!s->is_running)
        return;
    close(s->stop_pipe[1]);
    pthread_join(s->thread, NULL);
    close(s->stop_pipe[0]);
    s->is_running = false;
}

void stun_server_stop(stun_server *s)
{
    if (s == NULL)
        return;
    stun_server_halt(s);
    loopback_close(&s->sockets);
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

endpoint stun_server_endpoint(const stun_server *s, unsigned at)
{
    return s->sockets.at[at];
}

unsigned stun_server_requests(const stun_server *s)
{
    return atomic_load(&s->requests);
}
