/* SPDX-License-Identifier: MIT */
/* One box on the way: a wire, a firewall, a NAT by RFC 4787, or a Linux NAT. */
#ifndef TESTS_SUPPORT_NAT_H
#define TESTS_SUPPORT_NAT_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "rng.h"

#define WORLD_CHANGES 4
#define WORLD_POOL 3

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
/* What becomes of a datagram from inside to an external address of the box. */
typedef enum hairpin_kind {
    HAIRPIN_NONE,     /* it is dropped */
    HAIRPIN_EXTERNAL, /* it comes in, from the sender's external address (RFC 4787 section 6) */
    HAIRPIN_INNER     /* it comes in, from the sender's inner address */
} hairpin_kind;
typedef enum ip_pooling { POOL_ONE, POOL_PAIRED, POOL_ARBITRARY } ip_pooling;

typedef struct box_desc {
    box_kind kind;
    dependence mapping;
    dependence filtering;
    bool per_host; /* filter state is kept per inside host, not per mapping */
    bool
        refused_takes_port; /* BOX_NAT: as BOX_LINUX, it remembers what it refuses, and gives its port to nobody else */
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
    hairpin_kind hairpin;
} box_desc;

#define NAT_MAPPINGS 256
#define NAT_PERMISSIONS 512
#define NAT_CONNECTIONS 1024
#define NAT_BANS 16

typedef struct nat_mapping {
    uint32_t id;
    endpoint inner, remote, outer; /* remote: as far as the mapping depends on it */
    bool is_diverted;              /* for this remote endpoint alone: what it had sent before holds the usual port */
    uint64_t last_ns;
} nat_mapping;

typedef struct nat_permission { /* one remote endpoint that was sent to */
    uint32_t mapping;
    endpoint inner, remote;
    uint64_t last_ns;
} nat_permission;

typedef struct nat_connection { /* a conntrack entry: what came first, and what its answer looks like */
    endpoint from, to;
    endpoint reply_from, reply_to;
    bool is_local; /* came from outside and was for the box itself */
    bool answered;
    uint64_t expires_ns;
} nat_connection;

typedef struct nat_ban { /* who sent what nobody had asked for */
    endpoint sender;
    unsigned count;
    uint64_t until_ns;
} nat_ban;

typedef struct nat_box {
    const box_desc *desc;
    rng random;
    uint64_t start_ns;
    unsigned changes_done;
    uint32_t next_id;
    uint16_t next_port;
    bool overflow; /* a table was too small: the simulation is void */
    nat_mapping mapping[NAT_MAPPINGS];
    unsigned mappings;
    nat_permission permission[NAT_PERMISSIONS];
    unsigned permissions;
    nat_connection connection[NAT_CONNECTIONS];
    unsigned connections;
    nat_ban ban[NAT_BANS];
    unsigned bans;
} nat_box;

void nat_init(nat_box *n, const box_desc *desc, uint64_t seed, uint64_t start_ns);
/* A datagram from inside: false when it is dropped, else both are what the outside sees. */
bool nat_outbound(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst);
/* A datagram from outside: false when it is dropped, else both are what the inside sees. */
bool nat_inbound(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst);
/* Whether an address is one of the box's own outside. */
bool nat_owns(nat_box *n, uint64_t now_ns, const endpoint *address);
/* A datagram from inside to one of those. False when it does not come back, else both are what the inside sees. */
bool nat_hairpin(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst);

#endif
