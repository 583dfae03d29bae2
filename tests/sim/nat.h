/* SPDX-License-Identifier: MIT */
/* One box on the way: a wire, a firewall, a NAT by RFC 4787, or a Linux NAT. */
#ifndef SIM_NAT_H
#define SIM_NAT_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"
#include "world.h"

#define NAT_MAPPINGS 256
#define NAT_PERMISSIONS 512
#define NAT_CONNECTIONS 1024
#define NAT_BANS 16

typedef struct nat_mapping {
    uint32_t id;
    endpoint inner, remote, outer; /* remote: as far as the mapping depends on it */
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

typedef struct nat {
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
} nat;

void nat_init(nat *n, const box_desc *desc, uint64_t seed, uint64_t start_ns);
/* A datagram from inside: false when it is dropped, else both are what the outside sees. */
bool nat_outbound(nat *n, uint64_t now_ns, endpoint *src, endpoint *dst);
/* A datagram from outside: false when it is dropped, else both are what the inside sees. */
bool nat_inbound(nat *n, uint64_t now_ns, endpoint *src, endpoint *dst);

#endif
