/* SPDX-License-Identifier: MIT */
/* What errors of sockets mean, on every system. */
#ifndef NPI_TRANSPORT_ERRORS_H
#define NPI_TRANSPORT_ERRORS_H

#include <errno.h>
#include <stdbool.h>

/* How many errors one call passes over; each is gone once it has been read. */
#define NPI_PASSED_OVER_MAX 16

/* The NP_ERR_* code for an errno of socket, bind or send. */
int npi_error_from_errno(int os_error);
/* The same while a socket is opened. */
int npi_error_from_open(int os_error);
/*
 * What an ICMP message about an earlier datagram leaves on a socket. It says nothing of the datagram at hand, and
 * anybody can forge it.
 */
bool npi_is_left_by_icmp(int os_error);

static inline bool npi_is_no_room(int os_error)
{
    return os_error == EAGAIN || os_error == EWOULDBLOCK || os_error == ENOBUFS;
}

#endif
