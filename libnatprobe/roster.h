/* SPDX-License-Identifier: MIT */
/* A long list of servers, each once, in the order in which they were added. */
#ifndef NPI_ROSTER_H
#define NPI_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "servers.h"

typedef struct npi_roster_entry {
    npi_server_name name; /* in lower case, without a final dot */
    bool is_left_out;
    size_t tag; /* the owner's */
} npi_roster_entry;

typedef struct npi_roster {
    npi_roster_entry *entries;
    size_t count;
    size_t room;
    size_t *places; /* of the entries, by their hash; SIZE_MAX: free */
    size_t place_count;
    uint64_t seed;
} npi_roster;

/* seed: random, so that nobody can write a list that is slow. */
void npi_roster_init(npi_roster *r, uint64_t seed);
void npi_roster_free(npi_roster *r);
/* Finds the server, or adds it. Its index in *index; *is_new where it was added. False when out of memory. */
bool npi_roster_add(npi_roster *r, const npi_server_name *name, size_t *index, bool *is_new);

/* Room for a server as text: host, port, brackets, terminator. */
#define NPI_SERVER_TEXT 264
/* "stun.example.net:3478", "192.0.2.1:3478", "[2001:db8::1]:3478": npi_server_parse reads it. */
void npi_server_format(const npi_server_name *name, char out[NPI_SERVER_TEXT]);

#endif
