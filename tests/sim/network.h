/* SPDX-License-Identifier: MIT */
/*
 * The network of one world: datagrams on links and through boxes to servers and back, by an event queue in virtual
 * time. What happens to a datagram is a function of the seed and of its own ancestry, not of its neighbours (but for
 * bursts counted in packets, and narrow places), so that two worlds that differ in one thing can be compared.
 */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../support/nat.h"
#include "../support/server.h"
#include "narrows.h"
#include "world.h"

#define NETWORK_HOPS (WORLD_BOXES + 1)
#define NETWORK_PATHS (2 * WORLD_SERVERS + 1)
#define NETWORK_EXTERNALS 64
#define NETWORK_SIGHTINGS 256
#define NETWORK_DATAGRAM 256 /* the longest that is simulated */

typedef struct packet {
    endpoint src, dst;
    endpoint inner;  /* of a datagram of the host: the socket that it is of */
    endpoint outer;  /* of an answer: the outside endpoint that it was sent to */
    uint64_t number; /* of a datagram of the host: how many had left before it */
    uint64_t key;    /* its own randomness */
    bool inbound;
    uint8_t hop;      /* the link it is on, 0 inside */
    bool from_source; /* sent by the source socket */
    bool is_flood;
    bool waiting;        /* not yet on its first link */
    uint8_t way;         /* 0, or 1 for the second way */
    uint64_t arrived_ns; /* at the host */
    uint32_t next;       /* of the free list or the inbox */
    size_t size;
    uint8_t data[NETWORK_DATAGRAM];
} packet;

typedef struct event {
    uint64_t time_ns;
    uint64_t order;
    uint32_t packet;
} event;

typedef struct link_state { /* one link, one direction */
    rng random;
    double loss;
    bool bad;
    uint64_t until_ns;                       /* of the present good or bad time */
    uint64_t last_arrival_ns[NETWORK_PATHS]; /* outside, each remote address is a path of its own */
} link_state;

/* Some datagram of this socket left the last box from that outside endpoint. */
typedef struct network_sighting {
    endpoint inner, outer;
    uint64_t number; /* of the first such datagram */
    bool is_heard;   /* the socket had an answer to a plain request that the server had seen come from there */
} network_sighting;

typedef struct network {
    const world *world;
    uint64_t now_ns;
    FILE *trace; /* NULL: silent */
    nat_box box[WORLD_BOXES];
    unsigned boxes;
    nat_box second; /* the only box of the second way */
    server_engine server[WORLD_SERVERS];
    server_engine interceptor;
    link_state link[NETWORK_HOPS][2];
    narrows narrows;
    uint64_t sent; /* datagrams by the host so far */
    /* Outside endpoints that the source socket was given in this run. */
    endpoint external[NETWORK_EXTERNALS];
    unsigned externals;
    network_sighting sighting[NETWORK_SIGHTINGS]; /* of all sockets in this run */
    unsigned sightings;
    bool lost_any;
    packet *packets;
    uint32_t packet_room, free_packet;
    event *events;
    size_t event_count, event_room;
    uint64_t order;
    uint32_t inbox_first, inbox_last;
} network;

#define NO_PACKET UINT32_MAX

bool network_init(network *n, const world *w, FILE *trace);
void network_free(network *n);
/* A new run begins: forgets which outside endpoints were given. */
void network_begin_run(network *n);
void network_send(network *n, uint64_t now_ns, const endpoint *src, const endpoint *dst, bool from_source,
                  const uint8_t *data, size_t size);
/* The address from which the host sends to dst on a socket that is bound to src. */
endpoint network_source(const network *n, const endpoint *src, const endpoint *dst);
/* Time of the next event; NEVER when there is none. */
uint64_t network_next_ns(const network *n);
/* Runs all events up to t; what reaches the host goes to its inbox. */
void network_run_until(network *n, uint64_t t);
bool network_take(network *n, packet *out);
/* The host has taken an answer to a plain request. */
void network_note_heard(network *n, const packet *p);
/* True when a table was too small for what happened. */
bool network_is_void(const network *n);
/* Milliseconds since the start of the world, for traces. */
double network_trace_ms(const network *n, uint64_t now_ns);

#endif
