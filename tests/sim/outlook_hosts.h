/* SPDX-License-Identifier: MIT */
/*
 * Hosts behind simulated NATs, each measured by the real engine: what it found, as a profile, and the NATs as the check
 * has left them.
 */
#ifndef SIM_OUTLOOK_HOSTS_H
#define SIM_OUTLOOK_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "../support/endpoint.h"
#include "../support/nat.h"
#include "world.h"

#define HOST_NAME 96

typedef struct host {
    char name[HOST_NAME];
    world world; /* where it was measured */
    nat_box *box[WORLD_BOXES];
    unsigned boxes; /* 0: none between the host and the Internet */
    uint64_t end_ns;
    np_profile profile;              /* np_profile_from_result(), as the peer reads it from the line */
    char line[NP_PROFILE_TEXT_SIZE]; /* what it tells its peer */
} host;

/* What a host is told before it is measured. */
typedef struct host_kind {
    char name[HOST_NAME];
    uint8_t family;
    unsigned boxes;
    box_desc box[WORLD_BOXES];
} host_kind;

#define HOST_KINDS 256

/* Every mapping, filtering, pooling and port allocation, with the conntrack trap and without; and what is no NAT. */
unsigned host_kinds(host_kind kinds[HOST_KINDS]);
/* A third of them, which look like all of them to a peer: for valgrind. */
unsigned host_kinds_few(host_kind kinds[HOST_KINDS]);
/* Those whose NAT keeps its filter for each inside host, which no check can tell. */
unsigned host_kinds_per_host(host_kind kinds[HOST_KINDS]);

/* Measures a host on side 0 or 1; the two sides have different outside addresses. */
host *host_measure(const host_kind *kind, unsigned side);
/* Measures another host behind the very NATs of a host. */
host *host_measure_neighbour(const host *first);
void host_free(host *h);

/* The same profile with the answer of the test whether a refused datagram takes the port, which is made here. */
np_profile host_profile_with_trap(const host *h);
/* Whether something of what its NATs do next is left to chance, other than ports. */
bool host_has_luck(const host *h);
/* The outside address of its source socket as the profile has it; family 0 where it has none. */
endpoint host_external(const np_profile *profile);
void nat_box_copy(nat_box *to, const nat_box *from);

#endif
