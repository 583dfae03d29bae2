/* SPDX-License-Identifier: MIT */
/* UDP sockets: bind, send, receive with source and local address, errno to error code. Knows nothing of STUN. */
#ifndef NPI_TRANSPORT_H
#define NPI_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "failure.h"
#include "sockaddr.h"
#include "transport_errors.h"

typedef struct npi_socket {
    np_socket fd;          /* NP_INVALID_SOCKET: closed */
    npi_addr bound;        /* as bound, with the port that the system chose */
    bool borrowed;         /* its options and its blocking mode are not ours */
    uint32_t link;         /* the index of the interface that it was opened on; 0: none was chosen */
    bool is_mapped;        /* an IPv6 socket that speaks IPv4 (RFC 4291 section 2.5.5.2) */
    const char *shared_by; /* the option by which other sockets may have the same port, and its datagrams; NULL: none */
#ifdef _WIN32
    void (*receive)(void); /* WSARecvMsg, which each provider of sockets has of its own */
#endif
} npi_socket;

#define NPI_SOCKET_CLOSED ((npi_socket){.fd = NP_INVALID_SOCKET})

/* Opens a non-blocking, close-on-exec UDP socket. Returns NP_OK or an NP_ERR_* code. */
int npi_socket_open(npi_socket *s, const npi_addr *local, npi_failure *failure);
/* The same on one interface of the system's, by name, whatever the routes are. NULL: any. */
int npi_socket_open_on(npi_socket *s, const npi_addr *local, const char *interface, npi_failure *failure);
/*
 * Opens another one at the same address with a port of the system's choosing, whose datagrams take the same way: it
 * gets a copy of every option that chooses a route (routing.h).
 */
int npi_socket_open_sibling(npi_socket *s, const npi_socket *other, npi_failure *failure);

/* The families of addresses that a socket of the caller's can send to. */
typedef struct npi_reach {
    bool ipv4;
    bool ipv6;
} npi_reach;

/* NP_ERR_ARGUMENT unless fd is a UDP socket that is bound to a port and not connected. Changes nothing about it. */
int npi_socket_examine(np_socket fd, npi_reach *out);
/* Makes s a duplicate of the caller's socket fd, for one family of those that it reaches. */
int npi_socket_adopt(npi_socket *s, np_socket fd, npi_family family, npi_failure *failure);

/* Closed sockets may be closed again. */
void npi_socket_close(npi_socket *s);

typedef enum npi_io {
    NPI_IO_OK,
    NPI_IO_AGAIN, /* nothing to receive / no room to send: not counted as sent */
    NPI_IO_ERROR  /* *os_error says why */
} npi_io;

/* What transport_io.c builds on: one call of the system, again while a signal interrupts it. 0 or an errno. */
int npi_send_once(np_socket fd, const npi_sockaddr *name, socklen_t length, const uint8_t *data, size_t size);

/* Sends one datagram. EINTR is retried. An ICMP error left by an earlier datagram is cleared and the send retried. */
npi_io npi_socket_send(npi_socket *s, const npi_addr *to, const uint8_t *data, size_t size, int *os_error);

typedef struct npi_received {
    npi_addr from;
    npi_sockaddr name; /* the same as the system has it */
    size_t name_size;
    npi_addr local; /* the local address it was delivered to and the socket's port; family none when not known */
    size_t size;
    /* size of each of several datagrams in a row, the last may be shorter (UDP_GRO); else that of the one */
    size_t segment;
    bool truncated;   /* longer than the buffer */
    uint64_t wall_ns; /* when the system took it in, on its wall clock; 0 when not known */
} npi_received;

int npi_receive_once(const npi_socket *s, uint8_t *buffer, size_t room, npi_received *out);
/* Receives one datagram. Errors that ICMP left on the socket are passed over: they are hints, not answers. */
npi_io npi_socket_receive(npi_socket *s, uint8_t *buffer, size_t room, npi_received *out, int *os_error);

/*
 * The local address that the system would send from to reach remote (no datagram is sent). False, with the call that
 * failed, when there is none.
 */
bool npi_local_address_for(const npi_socket *s, const npi_addr *remote, npi_addr *out, npi_failure *failure);

#endif
