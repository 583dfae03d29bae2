/* SPDX-License-Identifier: MIT */
/*
 * The description of one simulated world: the host, the boxes between it and the Internet, the links, the servers,
 * and what is done in it. Plain data, drawn from a seed, changed at will by a test, never changed by a run.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../support/clock.h"
#include "../support/endpoint.h"
#include "../support/nat.h"
#include "../support/rng.h"
#include "../support/server.h"

#define WORLD_BOXES 2
#define WORLD_SERVERS 6
#define WORLD_EARLIER 8
#define WORLD_GAPS 3

typedef enum loss_kind { LOSS_INDEPENDENT, LOSS_BURST_TIME, LOSS_BURST_PACKET } loss_kind;
typedef enum loss_place { LOSS_INSIDE, LOSS_OUTSIDE, LOSS_BOTH } loss_place;
enum { UP, DOWN };

/* A moment in which nothing passes. */
typedef struct link_gap {
    uint64_t at_ns, for_ns; /* after the start */
    bool hits[2];           /* UP, DOWN */
    bool inside;            /* on the inner link, otherwise on the outer one */
} link_gap;

typedef enum limit_place { LIMIT_NOWHERE, LIMIT_INSIDE, LIMIT_OUTSIDE, LIMIT_SERVERS } limit_place;

/* A router, or each server, lets pass so many datagrams of a client in a second. */
typedef struct rate_limit {
    limit_place place;
    bool by_port;        /* each port of an address is a client */
    bool hits[2];        /* UP, DOWN: each is counted for itself */
    unsigned per_second; /* a divisor of a second's nanoseconds */
    unsigned burst;      /* so many at once */
    unsigned queue;      /* so many more wait; 0: what is above is dropped */
} rate_limit;

/* What is sent on it waits until what was sent before has left. */
typedef struct slow_link {
    uint64_t bits_per_s; /* 0: any number */
    bool inside;
    unsigned queue_packets; /* most that wait, beside the one that is being sent; 0: any number */
    uint64_t queue_ns;      /* longest wait; 0: however long */
} slow_link;

typedef struct link_desc {
    uint64_t rtt_ns;
    double inside_share; /* of the round trip, between the host and the first box (Wi-Fi) */
    double jitter;       /* most that may be added, in round trips */
    bool fifo;           /* no reordering on one link */
    double duplicate;    /* probability per direction */
    double late;         /* probability that a datagram takes up to late_ns longer */
    uint64_t late_ns;
    double loss[2]; /* UP, DOWN */
    loss_kind kind;
    loss_place place;
    uint64_t burst_ns;    /* mean length of a burst of LOSS_BURST_TIME */
    double burst_packets; /* the same for LOSS_BURST_PACKET */
    uint64_t silent_ns;   /* after the start, nothing passes until then */
    link_gap gap[WORLD_GAPS];
    unsigned gaps;
    rate_limit limit;
    slow_link slow[2]; /* UP, DOWN */
} link_desc;

typedef struct listed_server { /* what the probe is told */
    endpoint address;
    unsigned server;
    uint64_t resolve_ns; /* time its name takes; NEVER: does not resolve (found out after 2 s) */
    bool expected_mapping_only;
} listed_server;

/* On which sockets the system says when a datagram came in. */
typedef enum stamps {
    STAMPS_ALL,
    STAMPS_FRESH, /* not on the source socket, which is the program's own */
    STAMPS_NONE
} stamps;

typedef struct host_desc {
    endpoint local;       /* its address, and the port of the source socket */
    uint64_t lag_ns;      /* most by which it wakes up late */
    double busy;          /* probability that a send finds no room */
    bool no_route;        /* nothing can be sent at all */
    uint64_t cancel_ns;   /* after the start; 0: never */
    uint64_t restless_ns; /* wakes up this often for no reason; 0: never */
    bool drops_floods;    /* what servers flood with wakes it up and is not looked at */
    bool steady_ids;      /* random bytes do not depend on how often it woke up: for comparisons */
    stamps stamps;
    uint64_t freeze_at_ns, freeze_ns; /* stands still from when on after the start, and how long */
    uint64_t outage_at_ns, outage_ns; /* the system refuses to send */
    int outage_error;
    bool outage_deafens;          /* and drops what comes in meanwhile */
    unsigned out_rate, out_burst; /* datagrams that its firewall lets out in a second, and at once; 0: any number */
} host_desc;

/* Which datagrams of the host take the second way out. */
typedef enum route_rule {
    ROUTE_ONE,       /* none */
    ROUTE_FRESH,     /* those of all sockets but the source socket */
    ROUTE_SPREAD,    /* those of some sockets, by their port */
    ROUTE_BY_SERVER, /* those to some addresses: second_way */
    ROUTE_BY_PORT    /* those to other ports than the well-known one */
} route_rule;

/* What another program on this host asked from the source port before. */
typedef struct earlier_request {
    endpoint to;
    uint32_t change;
    uint64_t then_ns; /* time until the next, or until the check */
} earlier_request;

typedef struct world {
    uint64_t seed;
    int kind; /* index of world_class_name */
    uint8_t family;
    bool documentation; /* public addresses are from the documentation ranges */
    host_desc host;
    box_desc box[WORLD_BOXES]; /* from the inside out */
    unsigned boxes;
    route_rule route;
    box_desc second;       /* the only box of the second way */
    endpoint second_local; /* the host's address on the second way; family 0: the same */
    bool strict_reverse;   /* the host drops what comes in where its own would not leave */
    bool intercepts;       /* something before box intercept_hop answers for whatever is at the well-known port */
    unsigned intercept_hop;
    server_desc interceptor;
    link_desc link;
    server_desc server[WORLD_SERVERS];
    unsigned servers;
    listed_server listed[WORLD_SERVERS];
    unsigned listed_count;
    bool mapping_only;
    int32_t optional_tests; /* bits of enum np_tests */
    uint64_t start_ns;
    uint64_t timeout_ns, response_timeout_ns;
    unsigned runs;
    uint64_t gap_ns; /* between runs */
    earlier_request earlier[WORLD_EARLIER];
    unsigned earlier_count;
} world;

#define WORLD_ANY_CLASS (-1)
#define WORLD_STUN_PORT 3478

int world_class_count(void);
/* Whether the plain mix has the classes of field.c in it. */
bool world_field_is_mixed(void);
const char *world_class_name(int kind);
/* Index of a class, WORLD_ANY_CLASS when there is none of that name. */
int world_class_find(const char *name);
/* Draws a world. kind WORLD_ANY_CLASS draws the class as well, from those of the plain mix. loss: most per direction.
 */
void world_draw(world *w, uint64_t seed, int kind, double max_loss);
void world_print(const world *w, FILE *out);

/* ---- Parts, for tests that shape a world of their own ------------------------------------------------------------ */

/* A quiet world: IPv4, no box, 20 ms, no loss, no server; everything that is random left out. */
void world_quiet(world *w, uint64_t seed);
box_desc box_nat(dependence mapping, dependence filtering);
box_desc box_firewall(dependence filtering);
box_desc box_linux(bool input_firewall, bool fully_random);
/* Whether it replaces addresses. */
bool box_translates(const box_desc *b);
/* Whether it is a Linux NAT that remembers what it refuses, because no firewall drops that first (METHOD section 6). */
bool box_remembers_refused(const box_desc *b);
/* Whether some box does. */
bool world_remembers_refused(const world *w);
/* Whether what was sent before decides what passes, or when. */
bool world_is_narrow(const world *w);
/* Host number host of public network net (0 to 2) of this world. */
endpoint world_public(const world *w, unsigned net, unsigned host, uint16_t port);
/* Addresses of host and boxes, from the family and the number and kinds of the boxes. Call it after changing those. */
void world_number(world *w);
/* When the next name of a listed server is there that is not added yet, of those asked for; otherwise NEVER. */
uint64_t world_next_name_ns(const world *w, const bool *added, const uint64_t *ready_ns);
/* Adds a conforming RFC 5780 server and lists it. */
server_desc *world_add_server(world *w);
/* Makes a server one that has one address and knows nothing of RFC 5780. */
void server_make_plain(server_desc *s);
/* Makes a server one that never answers anything. */
void server_make_dead(server_desc *s);
bool server_is_dead(const server_desc *s);
/* So many of those listed are dead. */
unsigned world_dead_servers(const world *w);
/* Makes a server speak RFC 3489: MAPPED-ADDRESS and CHANGED-ADDRESS only. */
void server_make_classic(server_desc *s);

#endif
