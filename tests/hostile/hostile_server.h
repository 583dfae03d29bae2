/* SPDX-License-Identifier: MIT */
/*
 * A server (support/stun_server.h) that sends whatever a test wants, from wherever and as often as it wants.
 * Otherwise it is honest. It remembers what it is asked.
 */
#ifndef TESTS_HOSTILE_SERVER_H
#define TESTS_HOSTILE_SERVER_H

#include "../support/stun_server.h"
#include "inputs.h"

/* The NAT that it pretends to be behind. */
typedef struct pretended {
    const char *name;
    int32_t mapping, filtering, type; /* the truth, as the verdict has to have it */
} pretended;

typedef struct hostile_server hostile_server;

/* A request as it came in. */
typedef struct heard {
    question q;
    stun_heard in;   /* without its bytes */
    unsigned serial; /* 0 for the first of all */
} heard;

/* Called in the server's thread. Returns whether the honest answer is to follow. */
typedef bool (*hostile_act)(hostile_server *server, const heard *h, void *user);

typedef struct hostile_config {
    const pretended *where;
    unsigned number;        /* of several, see pretended_nat.h */
    bool single;            /* it has no second address */
    bool classic_only;      /* it passes over requests with a cookie */
    bool alternate_is_dead; /* its second address neither answers nor sends */
    unsigned floods_per_ms; /* so often a millisecond flood is called, from the first request on */
    hostile_act act;        /* NULL: honest throughout */
    hostile_act flood;      /* with the last request */
    void *user;
} hostile_config;

hostile_server *hostile_server_start(const hostile_config *config);
void hostile_server_stop(hostile_server *server);

/* To the client of a request. May be called from act and flood only. */
void hostile_send(hostile_server *server, const heard *h, unsigned from, const message *m);
/* To any of its clients, by number. */
void hostile_send_to(hostile_server *server, unsigned client, unsigned from, const message *m);
unsigned hostile_client_count(const hostile_server *server);
bool hostile_would_answer(const hostile_server *server, const heard *h);

const char *hostile_name(const hostile_server *server);
/* Whether that is the name of an endpoint of its own. */
bool hostile_is_own(const hostile_server *server, const char *name);

/* What came in. Only while the server does not run any more. */
typedef struct hostile_log {
    unsigned requests;
    unsigned at[LOOPBACK_SOCKETS]; /* of them, at each endpoint */
    unsigned changes;              /* of them, CHANGE-REQUESTs */
    unsigned misfits;              /* datagrams that are not a request of ours to the last bit */
    unsigned shared_ids;           /* requests with an id that another socket, endpoint or content had */
    unsigned floods;
    size_t id_count;
    uint8_t ids[256][ID_SIZE]; /* of different requests */
} hostile_log;

const hostile_log *hostile_server_log(const hostile_server *server);
/* Stops serving; the log may be read after, and the names stay. */
void hostile_server_halt(hostile_server *server);

#endif
