/* SPDX-License-Identifier: MIT */
/* The table of routes as macOS and the BSDs hand it out: messages, each a header and socket addresses. Pure. */
#ifndef NPI_ROUTE_TABLE_H
#define NPI_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* Where each system has what. All numbers are in the order of this machine. */
typedef struct npi_route_layout {
    uint8_t version;    /* of the messages; others are passed over */
    size_t header_size; /* what the addresses come behind */
    size_t length_at;   /* where each message says the size of its header itself, as two bytes; 0: it does not */
    size_t index_at;    /* two bytes: the index of the interface */
    size_t priority_at; /* one byte: of routes to the same network the lowest counts; 0: there is none */
    size_t flags_at;    /* four bytes */
    size_t addrs_at;    /* four bytes: which addresses there are */
    size_t align;       /* of the addresses */
    uint32_t scoped;    /* the flag of a route that is only for sockets tied to its interface; 0: there is none */
} npi_route_layout;

/*
 * The router to which a datagram for an address of IPv4 is handed; link: the index of the interface that the socket is
 * tied to, or 0. False when there is none, or it cannot be told.
 */
bool npi_route_table_gateway(const npi_route_layout *layout, const uint8_t *table, size_t size, const npi_addr *to,
                             uint32_t link, npi_addr *gateway);

#endif
