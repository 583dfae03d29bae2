/* SPDX-License-Identifier: MIT */
/* Pure functions: observations in, RFC 4787 behaviours and the RFC 3489 type out. No bytes, no timers. */
#ifndef NPI_CLASSIFY_H
#define NPI_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"

/* One answer to a plain request from the source socket. */
typedef struct npi_observation {
    npi_addr destination; /* where the request went and the answer came from */
    npi_addr external;    /* what the server saw */
    npi_addr local;       /* local address and port that the answer arrived at */
    /* An unsolicited datagram from this destination may have reached the NAT first (conntrack trap). */
    bool may_collide;
    /* The same may have happened in an earlier check from this port: where the server answers II and III from. */
    bool may_be_stale;
    /* Which server speaks, whichever of its addresses was asked. */
    size_t witness;
} npi_observation;

/* It shows no NAT: the external address is the local one. */
bool npi_classify_is_untranslated(const npi_observation *o);
/*
 * Mapping behaviour, RFC 5780 section 4.3, from any number of destinations; each destination at most once. Unknown
 * where all that differs may be left over from earlier, or where some are equal and others differ in the port only.
 */
int32_t npi_classify_mapping(const npi_observation *seen, size_t count);
/* Whether some at other IP addresses see the same, and some that differ do so in the port only. */
bool npi_classify_is_mixed(const npi_observation *seen, size_t count);
/*
 * The one server that contradicts two or more others, which agree with each other; count when there is none. If the
 * mapping depends on the destination, no two agree, so the server is wrong. A pool of addresses is the exception: a NAT
 * may choose one of them by destination, and keep the port.
 */
size_t npi_classify_dissenter(const npi_observation *seen, size_t count);
/* What it looks like with no regard to that: a reason to look again, not a verdict. */
int32_t npi_classify_apparent(const npi_observation *seen, size_t count);

typedef enum npi_change { /* outcome of one CHANGE-REQUEST test */
                          NPI_CHANGE_PENDING = 0,
                          NPI_CHANGE_HONOURED,  /* answered from exactly the expected address */
                          NPI_CHANGE_IGNORED,   /* answered from where it was sent */
                          NPI_CHANGE_PARTIAL,   /* answered from anywhere else */
                          NPI_CHANGE_REWRITTEN, /* the same, but the answer says that it left from where it should */
                          NPI_CHANGE_REJECTED,  /* answered with an error */
                          NPI_CHANGE_SILENT     /* not answered, and loss does not explain it */
} npi_change;

/* The outcome that an answer speaks of. */
npi_change npi_classify_change(const npi_addr *sent_to, const npi_addr *expected, const npi_addr *from, bool success);
/* Filtering behaviour, RFC 5780 section 4.4, from tests II (both changed) and III (port changed). */
int32_t npi_classify_filtering(npi_change test_ii, npi_change test_iii);
/* enum np_address_class: in which kind of network an address of this host is. */
int32_t npi_classify_address(const npi_addr *a);
/* RFC 3489 section 5 type. */
int32_t npi_classify_type(int32_t mapping, int32_t filtering);

#endif
