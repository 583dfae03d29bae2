/* SPDX-License-Identifier: MIT */
/* The built-in public servers, and the parsing of what users write for a server. */
#ifndef NPI_SERVERS_H
#define NPI_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

#define NPI_HOST_SIZE 256 /* longest DNS name (253) with its terminator */
#define NPI_STUN_PORT 3478

typedef enum npi_server_use {
    NPI_USE_ANY,       /* named by the user: what it can do is found out */
    NPI_USE_BEHAVIOUR, /* built in, expected to have a second address (RFC 5780) */
    NPI_USE_MAPPING    /* built in, answers plain requests only */
} npi_server_use;

typedef struct npi_server_name {
    char host[NPI_HOST_SIZE]; /* a name or an IP literal without brackets */
    uint16_t port;
    npi_server_use use;
} npi_server_name;

/* "HOST", "HOST:PORT", "IPv4[:PORT]", "IPv6", "[IPv6]", "[IPv6]:PORT", "stun:" URI. False when it is none of them. */
bool npi_server_parse(const char *text, npi_server_name *out);

size_t npi_builtin_server_count(void);
/* index below the count. */
void npi_builtin_server(size_t index, npi_server_name *out);
/*
 * Fills out (room for max) with the built-in list in random order, but a behaviour server first, a mapping one second.
 * random: one byte for every server. Returns how many.
 */
size_t npi_builtin_shuffled(npi_server_name *out, size_t max, const uint8_t *random);

#endif
