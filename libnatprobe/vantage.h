/* SPDX-License-Identifier: MIT */
/*
 * From which of its addresses this host would send to another, if at all: the local address of a connected UDP socket.
 * Every system can tell that, and nothing is sent.
 */
#ifndef NPI_VANTAGE_H
#define NPI_VANTAGE_H

#include <natprobe/natprobe.h>

#include "addr.h"

/* How the probe's own sockets are made. */
typedef struct npi_vantage_socket {
    npi_addr source; /* family none: any */
    const char *source_zone;
    const char *interface; /* NULL: any */
    np_socket socket;      /* NP_INVALID_SOCKET: not the caller's */
} npi_vantage_socket;

/*
 * The address in *local, without a port. NP_ERR_NETWORK_UNREACHABLE or NP_ERR_ADDRESS_NOT_AVAILABLE where there is no
 * way; any other error says nothing about the network.
 */
int npi_vantage_towards(const npi_vantage_socket *s, const npi_addr *target, npi_addr *local);

#endif
