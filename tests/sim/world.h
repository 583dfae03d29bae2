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

#include "endpoint.h"
#include "rng.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define NEVER UINT64_MAX

#define WORLD_BOXES 2
#define WORLD_SERVERS 6
#define WORLD_CHANGES 4
#define WORLD_POOL 3
#define WORLD_EARLIER 8

typedef enum box_kind {
    BOX_PASS,     /* a wire */
    BOX_FIREWALL, /* keeps state, translates nothing */
    BOX_NAT,      /* a NAT in the terms of RFC 4787 */
    BOX_LINUX,    /* netfilter masquerade: endpoint tuples, see nat.c */
    BOX_BLOCKED   /* lets no UDP through, in one direction or both */
} box_kind;

typedef enum dependence { DEP_INDEPENDENT, DEP_ADDRESS, DEP_ADDRESS_AND_PORT } dependence;
typedef enum port_allocation {
    PORT_PRESERVING,
    PORT_SEQUENTIAL, /* the next free one or a few beyond it: others use the NAT as well */
    PORT_RANDOM,
    PORT_PARITY,
    PORT_CONTIGUOUS, /* the lowest free one of a block that is the inside host's (carrier-grade NATs) */
    PORT_ALLOCATIONS
} port_allocation;
typedef enum ip_pooling { POOL_ONE, POOL_PAIRED, POOL_ARBITRARY } ip_pooling;

typedef struct box_desc {
    box_kind kind;
    dependence mapping;
    dependence filtering;
    bool per_host; /* filter state is kept per inside host, not per mapping */
    port_allocation ports;
    ip_pooling pooling;
    uint64_t timeout_ns;      /* of mappings and of filter state, since the last datagram out */
    bool refresh_in;          /* or in (RFC 4787 section 4.3) */
    bool input_firewall;      /* BOX_LINUX: drops what is for itself before it leaves an entry */
    bool fully_random;        /* BOX_LINUX: another random port for every connection */
    bool block_out, block_in; /* BOX_BLOCKED */
    uint16_t only_port;       /* lets out only what goes to this port; 0: everything */
    endpoint external[WORLD_POOL];
    uint64_t change_ns[WORLD_CHANGES]; /* when all state is lost, after the start; ascending */
    unsigned changes;
    bool change_keeps_ip; /* a reboot, not a new address */
    bool by_port;         /* mappings depend on the destination's port, and on nothing else */
    unsigned block;       /* ports are random ones of so many, and different destinations may share one; 0: not so */
    uint16_t forward_low, forward_high; /* outside ports that are open to everybody; 0: none */
    bool rewrites;                      /* what comes in unsolicited seems to come from the box itself */
    unsigned ban_after;                 /* so many unsolicited datagrams make it drop all from their sender; 0: never */
    uint64_t ban_ns;
    endpoint prefix; /* NAT64: what IPv4 addresses begin with inside; family 0: no NAT64 */
} box_desc;

typedef enum loss_kind { LOSS_INDEPENDENT, LOSS_BURST_TIME, LOSS_BURST_PACKET } loss_kind;
typedef enum loss_place { LOSS_INSIDE, LOSS_OUTSIDE, LOSS_BOTH } loss_place;
enum { UP, DOWN };

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
} link_desc;

typedef enum change_mode {
    CHANGE_HONOURED,
    CHANGE_IGNORED,      /* always answered from where it was asked */
    CHANGE_PORT_ONLY,    /* II from A:Q, III from A:Q */
    CHANGE_IP_ONLY,      /* II from B:P, III from A:P */
    CHANGE_ODD_PORT,     /* from the right IP and a port that is not Q */
    CHANGE_REJECTED,     /* error reject_code */
    CHANGE_DROPPED,      /* no answer */
    CHANGE_IP_DROPPED,   /* II no answer, III right */
    CHANGE_PORT_DROPPED, /* II right, III no answer */
    CHANGE_MODES
} change_mode;

typedef enum server_dialect { DIALECT_ANY, DIALECT_COOKIE, DIALECT_CLASSIC } server_dialect;

typedef enum mapped_form {
    MAPPED_XOR,
    MAPPED_XOR_AND_PLAIN,
    MAPPED_XOR_OLD, /* 0x8020 */
    MAPPED_PLAIN,
    MAPPED_REWRITTEN, /* XOR right, plain one rewritten by an ALG to the inside address */
    MAPPED_ZERO_IP,
    MAPPED_ZERO_PORT,
    MAPPED_NONE,
    MAPPED_OTHER_FAMILY,
    MAPPED_PRIVATE, /* the server is behind a proxy, and sees that */
    MAPPED_FORMS
} mapped_form;

typedef enum other_form { OTHER_NONE, OTHER_RFC5780, OTHER_RFC3489, OTHER_BOTH } other_form;

typedef enum plain_mode { /* what a plain request gets */
                          PLAIN_ANSWERED,
                          PLAIN_SILENT,
                          PLAIN_GARBAGE,
                          PLAIN_TRUNCATED,
                          PLAIN_WRONG_ID,
                          PLAIN_ECHO,
                          PLAIN_ERROR_300, /* with ALTERNATE-SERVER */
                          PLAIN_ERROR_500,
                          PLAIN_ELSEWHERE, /* a good answer, from the other port */
                          PLAIN_MODES
} plain_mode;

typedef enum rate_kind { RATE_WINDOW, RATE_BUCKET } rate_kind;

typedef enum seen_port { SEEN_PORT_TRUE, SEEN_PORT_FIXED, SEEN_PORT_CHANGING } seen_port;
typedef enum server_state { STATELESS, STATE_BY_ENDPOINT, STATE_BY_ADDRESS } server_state;

typedef struct server_desc {
    endpoint a;                     /* A:P */
    endpoint b;                     /* B:Q */
    bool two_ports;                 /* Q is served */
    bool two_ips;                   /* B is served */
    bool deaf_aq, deaf_bp, deaf_bq; /* takes no requests there, and yet may answer from there */
    server_dialect dialect;
    plain_mode plain;
    mapped_form mapped;
    other_form other;
    bool other_is_false; /* names false_other instead of B:Q */
    endpoint false_other;
    bool other_flips; /* names B:Q and false_other in turn */
    change_mode change;
    unsigned reject_code;
    bool origin, software, fingerprint, unpadded;
    unsigned copies;  /* of every answer */
    uint64_t late_ns; /* added to every answer */
    unsigned rate;    /* most requests per 100 ms; 0: any number */
    rate_kind rate_kind;
    unsigned flood;        /* near-valid datagrams for every request */
    uint64_t extra_rtt_ns; /* to reach this server, beyond the world's */
    uint64_t extra_b_ns;   /* for its second address, one way */
    double loss_b;         /* lost on the way from the second address */
    bool no_route;         /* the host has no route to it */
    bool change_flips;     /* every other CHANGE-REQUEST is ignored: two machines at one address */
    uint64_t dies_ns;      /* after the start; 0: never */
    uint64_t back_ns;      /* and is there again; 0: never */
    bool dies_in_part;     /* only its second address dies */
    bool exempt;           /* reached without any translation */
    endpoint sees;         /* tells everybody of this address; family 0: of the true one */
    seen_port sees_port;
    server_state state;     /* its own firewall drops what goes to clients that have not sent to where it comes from */
    uint64_t change_gap_ns; /* least time between two answers to a client's CHANGE-REQUESTs; 0: none */
    endpoint true_a;        /* A is translated to this, and III is answered from here; family 0: not so */
    uint64_t busy_ns;       /* its own time for each answer, one after the other */
    bool second_way[2];     /* A, B: reached by the second way where the servers decide */
} server_desc;

typedef struct listed_server { /* what the probe is told */
    endpoint address;
    unsigned server;
    uint64_t resolve_ns; /* time its name takes; NEVER: does not resolve (found out after 2 s) */
    bool expected_mapping_only;
} listed_server;

typedef struct host_desc {
    endpoint local;                   /* its address, and the port of the source socket */
    uint64_t lag_ns;                  /* most by which it wakes up late */
    double busy;                      /* probability that a send finds no room */
    bool no_route;                    /* nothing can be sent at all */
    uint64_t cancel_ns;               /* after the start; 0: never */
    uint64_t restless_ns;             /* wakes up this often for no reason; 0: never */
    bool drops_floods;                /* what servers flood with wakes it up and is not looked at */
    bool steady_ids;                  /* random bytes do not depend on how often it woke up: for comparisons */
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
/* Host number host of public network net (0 to 2) of this world. */
endpoint world_public(const world *w, unsigned net, unsigned host, uint16_t port);
/* Addresses of host and boxes, from the family and the number and kinds of the boxes. Call it after changing those. */
void world_number(world *w);
/* When the next name of a listed server is there that is not added yet, of those asked for; NEVER when there is none. */
uint64_t world_next_name_ns(const world *w, const bool *added, const uint64_t *ready_ns);
/* Adds a conforming RFC 5780 server and lists it. */
server_desc *world_add_server(world *w);
/* Makes a server one that has one address and knows nothing of RFC 5780. */
void server_make_plain(server_desc *s);
/* Makes a server speak RFC 3489: MAPPED-ADDRESS and CHANGED-ADDRESS only. */
void server_make_classic(server_desc *s);

#endif
