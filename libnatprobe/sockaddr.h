/* SPDX-License-Identifier: MIT */
/* Addresses and sockets as the system has them. Only what talks to the system includes this. */
#ifndef NPI_SOCKADDR_H
#define NPI_SOCKADDR_H

#include <stdbool.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif

#include <natprobe/natprobe.h>

#include "addr.h"

/* Room for the name of an interface. On Windows people see aliases: "vEthernet (Default Switch)". */
#ifdef _WIN32
#define NPI_INTERFACE_NAME 257
#else
#define NPI_INTERFACE_NAME NPI_ADDR_ZONE
#endif

/* Whether it can be a socket: a descriptor is never negative, and on Windows one value is none. */
static inline bool npi_is_socket(np_socket fd)
{
#ifdef _WIN32
    return fd != NP_INVALID_SOCKET;
#else
    return fd >= 0;
#endif
}

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

#ifdef _WIN32

/* The index of an interface by its name or alias; 0 with errno ENODEV where there is none. */
unsigned npi_interface_index(const char *name);
/* Windows' socket library is started before it is used, and ended as often as it was started. False with errno. */
bool npi_sockets_begin(void);
/* Leaves errno alone. */
void npi_sockets_end(void);
/* What an EAI_* code means, in English. */
const char *npi_name_error_text(int eai);

#else

static inline bool npi_sockets_begin(void)
{
    return true;
}

static inline void npi_sockets_end(void)
{
}

static inline const char *npi_name_error_text(int eai)
{
    return gai_strerror(eai);
}

#endif

#endif
