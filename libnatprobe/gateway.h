/* SPDX-License-Identifier: MIT */
/*
 * The gateway: the router to which this host hands a datagram on its way to an address. One file for each system:
 * rtnetlink on Linux (gateway_linux.c), the table of routes on macOS and the BSDs (gateway_bsd.c), GetBestRoute2() on
 * Windows (gateway_windows.c).
 */
#ifndef NPI_GATEWAY_H
#define NPI_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"

/* What takes part in choosing a route. */
typedef struct npi_gateway_way {
    np_socket fd;  /* that would send: its options */
    npi_addr from; /* where it is bound */
    npi_addr to;
    uint32_t link; /* the interface that the library has tied it to; 0: none */
} npi_gateway_way;

/*
 * Asks the system, and sends nothing to the network. Only IPv4. False when there is no router on the way, when there
 * may be several, and when the system does not tell, for instance in a sandbox.
 */
bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway);

#endif
