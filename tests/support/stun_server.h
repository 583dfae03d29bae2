/* SPDX-License-Identifier: MIT */
/*
 * A STUN server in a thread, on loopback addresses of its own: two addresses x two ports, RFC 5780. server.h says how
 * it behaves, pretended_nat.h which NAT it pretends, and a test can put in what it likes.
 */
#ifndef TESTS_SUPPORT_STUN_SERVER_H
#define TESTS_SUPPORT_STUN_SERVER_H

#include "loopback.h"
#include "pretended_nat.h"
#include "server.h"

typedef struct stun_server stun_server;

/* A request as it came in. */
typedef struct stun_heard {
    const uint8_t *bytes;
    size_t size;
    stun_request q;
    unsigned asked;    /* AT_AP to AT_BQ */
    unsigned answerer; /* where the honest answer comes from */
    endpoint from;     /* the client */
    unsigned client;   /* the same number for the same socket, as long as these are few */
    endpoint seen;     /* the client's address as the server reports it */
} stun_heard;

typedef struct stun_server_config {
    const char *ip;         /* NULL: some address in 127.0.0.0/8 */
    uint16_t port;          /* 0: some port */
    bool single;            /* one address, one port, no OTHER-ADDRESS */
    bool classic_only;      /* passes over requests with a magic cookie, RFC 3489 */
    bool alternate_is_dead; /* its second address neither answers nor sends */
    change_mode change;
    plain_mode reply; /* what all of its answers look like */
    pretended_mapping mapping;
    dependence filtering;
    unsigned number;      /* of several, see pretended_nat.h */
    unsigned slow_ms;     /* thinks for that long about each request */
    const char *other_ip; /* names this second address instead of its own */
    /* All three are called in the server's thread. */
    void (*on_request)(void *user);                                    /* before each answer; NULL: nothing */
    bool (*act)(stun_server *server, const stun_heard *h, void *user); /* false: no answer; NULL: answers */
    void (*misfit)(void *user);                                        /* what is no request; NULL: nothing */
    void (*tick)(stun_server *server, unsigned ms, void *user);        /* about every millisecond; NULL: nothing */
    void *user;
} stun_server_config;

/* NULL when there is no such address here. */
stun_server *stun_server_start(const stun_server_config *config);
void stun_server_stop(stun_server *server);
/* Stops serving; the names stay. */
void stun_server_halt(stun_server *server);

/* "IP:PORT" or "[IPv6]:PORT" of the primary endpoint, as np_probe_add_server wants it. */
const char *stun_server_name(const stun_server *server);
const char *stun_server_ip(const stun_server *server);
endpoint stun_server_endpoint(const stun_server *server, unsigned at);
/* How many requests it has seen so far. */
unsigned stun_server_requests(const stun_server *server);

/* These may be called from act and tick only. */
void stun_server_send(stun_server *server, unsigned client, unsigned from, const message *m);
unsigned stun_server_clients(const stun_server *server);
/* Whether the honest answer would be sent, and would get in. */
bool stun_server_would_answer(const stun_server *server, const stun_heard *h);

#endif
