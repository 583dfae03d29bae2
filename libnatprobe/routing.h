/* SPDX-License-Identifier: MIT */
/* What makes a socket's datagrams take one route and not another. */
#ifndef NPI_ROUTING_H
#define NPI_ROUTING_H

#include "addr.h"

/*
 * Gives the new socket to, which sends to addresses of that family, every option of from that takes part in choosing a
 * route. Returns NULL, or what failed as a literal, with errno. errno is 0 when the sockets can never share a route.
 */
const char *npi_copy_routing_options(int to, int from, npi_family family);

#endif
