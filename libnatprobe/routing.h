/* SPDX-License-Identifier: MIT */
/* What makes a socket's datagrams take one route and not another. */
#ifndef NPI_ROUTING_H
#define NPI_ROUTING_H

#include <stdbool.h>

#include <natprobe/natprobe.h>

#include "addr.h"

/*
 * Gives the new socket to, which sends to addresses of that family, every option of from that takes part in choosing a
 * route. Returns NULL, or what failed as a literal, with errno. errno is 0 when the sockets can never share a route.
 */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family);

#ifndef _WIN32
/* False for a socket of another namespace, passed on by another process, say: it has other interfaces and routes. */
bool npi_is_in_same_namespace(int to, int from);
#endif

/* Ties a socket to an interface. False with errno when it cannot: ENODEV when there is none of that name. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family);

#endif
