/* SPDX-License-Identifier: MIT */
/* Addresses as the system has them. Only what talks to the system includes this. */
#ifndef NPI_SOCKADDR_H
#define NPI_SOCKADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "addr.h"

typedef union npi_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} npi_sockaddr;

/* Returns the length; 0 for no address. */
socklen_t npi_sockaddr_from(const npi_addr *from, npi_sockaddr *to);
/* Family none for an address that is neither IPv4 nor IPv6. from need not be aligned for its family. */
npi_addr npi_addr_from_sockaddr(const struct sockaddr *from);
/*
 * Gives a the scope that the zone of a literal stands for: the name of an interface, or else its index. An empty zone
 * stands for none. False, with errno, when this host has no such interface.
 */
bool npi_addr_find_scope(const char *zone, npi_addr *a);

#endif
