/* SPDX-License-Identifier: MIT */
/*
 * Whether this host's network has changed, or the host was suspended: notices of the system, and beside them the local
 * address towards the servers.
 */
#ifndef NPI_LOOKOUT_H
#define NPI_LOOKOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netchange.h"
#include "poller.h"
#include "servers.h"
#include "vantage.h"

#define NPI_LOOKOUT_TARGETS 8
/* How often the addresses are looked at where the system tells of changes; and where it does not. */
#define NPI_LOOKOUT_SLOW_NS UINT64_C(30000000000)
#define NPI_LOOKOUT_FAST_NS UINT64_C(1000000000)
/* A suspension is at least so long: clocks that are read one after the other differ by less. */
#define NPI_LOOKOUT_ASLEEP_NS UINT64_C(1000000000)

#define NPI_LOOKOUT_CHANGED 1U
#define NPI_LOOKOUT_RESUMED 2U

typedef struct npi_lookout {
    npi_poller *poller;
    npi_netchange net;
    bool has_notices;
    npi_vantage_socket socket;
    int32_t family;
    npi_addr targets[NPI_LOOKOUT_TARGETS];
    npi_addr locals[NPI_LOOKOUT_TARGETS]; /* towards each of them; family none: no way */
    size_t target_count;
    bool has_all_targets; /* no server is at any other address */
    int error;            /* why there is no way to the last of those to which there is none */
    uint32_t links[NPI_NET_LINKS];
    uint64_t next_ns;   /* when the addresses are looked at again */
    uint64_t asleep_ns; /* how long the host has been suspended so far */
} npi_lookout;

/*
 * family: enum np_family, of the servers. servers: those that are asked; without any, those built in. The poller wakes
 * whoever waits for it, under the tag, when npi_lookout_turn() has something to tell; it has to be called at
 * npi_lookout_next_ns() as well.
 */
void npi_lookout_open(npi_lookout *l, npi_poller *poller, uint32_t tag, const npi_vantage_socket *socket,
                      int32_t family, const npi_server_name *servers, size_t count);
void npi_lookout_close(npi_lookout *l);
/* What has happened since the last time: the bits above. */
unsigned npi_lookout_turn(npi_lookout *l);
uint64_t npi_lookout_next_ns(const npi_lookout *l);
/* NP_OK, or why no server can be reached, as far as is known without sending. */
int npi_lookout_way(const npi_lookout *l);

#endif
