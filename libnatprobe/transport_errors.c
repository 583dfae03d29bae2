/* SPDX-License-Identifier: MIT */
/*
 * What errors of sockets mean, on every system.
 *
 * Error codes, so that the caller of the library knows what to do: a port that is taken, an address that is not this
 * host's, and no way to the network have codes of their own. A port that only root may use (EACCES from bind) and a
 * system that forbids sockets at all are NP_ERR_SYSTEM with their errno: no other code would be true of them. The same
 * errno from a send is the host's firewall speaking and means that the network cannot be reached.
 */
#include "transport_errors.h"

#include <natprobe/natprobe.h>

int npi_error_from_errno(int os_error)
{
    switch (os_error) {
    case EADDRINUSE:
        return NP_ERR_ADDRESS_IN_USE;
    case EADDRNOTAVAIL:
        return NP_ERR_ADDRESS_NOT_AVAILABLE;
    case ENOMEM:
    case ENOBUFS:
        return NP_ERR_NO_MEMORY;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
#ifdef EHOSTDOWN
    case EHOSTDOWN:
#endif
    case ENODEV: /* the interface that the socket is tied to is gone */
    case EPERM:  /* the host's firewall */
    case EACCES: /* the same, or a policy route that prohibits */
    case EINVAL: /* Linux: to another host from a loopback address, or to a link-local address without its link */
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return NP_ERR_NETWORK_UNREACHABLE;
    default:
        return NP_ERR_SYSTEM;
    }
}

int npi_error_from_open(int os_error)
{
    if (os_error == EACCES || os_error == EPERM)
        return NP_ERR_SYSTEM;
    if (os_error == EINVAL || os_error == ENODEV) /* bind: a link-local address without its link, or its link is gone */
        return NP_ERR_ADDRESS_NOT_AVAILABLE;
    return npi_error_from_errno(os_error);
}

bool npi_is_left_by_icmp(int os_error)
{
    switch (os_error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
#ifdef EHOSTDOWN
    case EHOSTDOWN:
#endif
    case ENETDOWN:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
    case EMSGSIZE:
    case EACCES:
#ifdef ENONET
    case ENONET:
#endif
#ifdef _WIN32
    case ENETRESET: /* its time to live expired on the way */
#endif
        return true;
    default:
        return false;
    }
}
