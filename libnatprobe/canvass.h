/* SPDX-License-Identifier: MIT */
/* Which servers a check of a watch asks, and whether it may test the filtering with them. Pure. */
#ifndef NPI_CANVASS_H
#define NPI_CANVASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "servers.h"
#include "tstamp.h"

/* A NAT may let in what comes from an address for so long after a datagram to it or from it (RFC 4787 REQ-5). */
#define NPI_NAT_STATE_NS (UINT64_C(300000) * NPI_MS)
/* More addresses than a check contacts. */
#define NPI_CONTACTS 64

typedef struct npi_contacts {
    struct {
        npi_addr ip;
        uint64_t last_ns;
    } all[NPI_CONTACTS];
    size_t count;
    uint64_t forgotten_ns; /* the last contact that there was no room for; 0: none */
} npi_contacts;

/* Something went there, or came from there. */
void npi_contacts_note(npi_contacts *c, const npi_addr *address, uint64_t now_ns);
/* When a NAT has forgotten all about this address; NPI_NOW where there was no contact. */
uint64_t npi_contacts_until_ns(const npi_contacts *c, const npi_addr *address);

/* A check is given so many of the built-in servers: enough for some to be silent, and others are left for the next. */
#define NPI_CANVASS_BUILTIN 6

typedef struct npi_canvass {
    npi_server_name servers[NP_MAX_SERVERS];
    size_t count;
    bool is_builtin;
    uint64_t handed_ns[NP_MAX_SERVERS]; /* when a check last had this one to ask; NPI_NEVER: none had */
    bool was_handed[NP_MAX_SERVERS];    /* to the check that is being made, or the last */
    npi_contacts contacts;
} npi_canvass;

/* servers: the user's; without any the built-in ones, of which random has a byte for each. */
void npi_canvass_init(npi_canvass *c, const npi_server_name *servers, size_t count, const uint8_t *random);
/*
 * The servers of a check, in order. True if a NAT knows nothing of any of them, so that the filtering can be tested;
 * else they are good for the mapping. random: as above.
 */
bool npi_canvass_choose(npi_canvass *c, uint64_t now_ns, const uint8_t *random, npi_server_name *out, size_t *count);
/* The check is over: whom it may have asked was asked until now. */
void npi_canvass_end(npi_canvass *c, uint64_t now_ns);
/* A datagram went there or came from there. True if that had happened before since_ns, and a NAT may still know it. */
bool npi_canvass_note(npi_canvass *c, const npi_addr *remote, uint64_t since_ns, uint64_t now_ns);
/* When a NAT has forgotten all that were asked. */
uint64_t npi_canvass_forgotten_ns(const npi_canvass *c);

#endif
