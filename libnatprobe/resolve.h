/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses with the system's getaddrinfo, off the calling thread: a slow name server delays nothing but
 * its own answer. Literals are answered at once without a thread.
 */
#ifndef NPI_RESOLVE_H
#define NPI_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "failure.h"
#include "poller.h"
#include "servers.h"

#define NPI_RESOLVE_ADDRESSES 4 /* most addresses taken from one name */

typedef struct npi_resolver npi_resolver;

typedef struct npi_resolution {
    size_t index;                              /* of the name in the list given to npi_resolver_new */
    bool is_literal;                           /* nothing was looked up */
    size_t count;                              /* 0: not resolved */
    npi_addr addresses[NPI_RESOLVE_ADDRESSES]; /* with the port set, no two alike */
    int eai;                                   /* EAI_* when count is 0 */
    npi_failure failure;                       /* the call behind EAI_SYSTEM */
} npi_resolution;

#define NPI_RESOLVE_TEXT 120
/* Why it was not resolved: "Name or service not known", or which call of the system's failed. */
void npi_resolution_describe(const npi_resolution *resolution, char *out, size_t size);

/*
 * names are copied. family: which addresses to ask for. wake (or NPI_NO_WAKE): npi_poller_wake is called with it
 * whenever a name has been looked up. NULL when out of memory.
 */
npi_resolver *npi_resolver_new(const npi_server_name *names, size_t count, npi_family family, npi_wake wake);
/*
 * Lets the first n names be looked up in their order, at most eight at once. n only grows. Literals do not count: each
 * can be taken from the beginning, without a wake-up.
 */
void npi_resolver_want(npi_resolver *r, size_t n);
/* Takes one result that is ready. */
bool npi_resolver_take(npi_resolver *r, npi_resolution *out);
/* How many of the names that were wanted, and are there, have not yet been taken. */
size_t npi_resolver_pending(npi_resolver *r);
/*
 * Never blocks on a look-up in progress: what cannot be stopped finishes by itself, touches neither wake nor
 * anything of the caller's, and frees what it holds. Threads that have finished are joined.
 */
void npi_resolver_free(npi_resolver *r);

#endif
