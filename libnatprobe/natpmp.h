/* SPDX-License-Identifier: MIT */
/*
 * NAT-PMP (RFC 6886): asks a gateway for its external address, and compares the answer with what servers see. Only this
 * question of the protocol is used: it changes nothing in the gateway. No sockets, no clock.
 */
#ifndef NPI_NATPMP_H
#define NPI_NATPMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

#define NPI_NATPMP_PORT 5351
#define NPI_NATPMP_REQUEST_SIZE 2

typedef enum npi_natpmp_kind {
    NPI_NATPMP_DROP,         /* not an answer to this question */
    NPI_NATPMP_ADDRESS,      /* the gateway names its external address */
    NPI_NATPMP_FAILURE,      /* it has none to name, or does not want to: a result code other than 0 */
    NPI_NATPMP_OTHER_VERSION /* it has another version of the protocol: 2 is PCP (RFC 6887) */
} npi_natpmp_kind;

typedef struct npi_natpmp_answer {
    npi_natpmp_kind kind;
    uint8_t version;
    uint16_t result;   /* the result code (RFC 6886 section 3.5) */
    npi_addr external; /* of NPI_NATPMP_ADDRESS, as the gateway says: it may be any */
} npi_natpmp_answer;

/* Writes the question. */
void npi_natpmp_encode(uint8_t out[NPI_NATPMP_REQUEST_SIZE]);
/* Decodes one datagram. Every field of out is written. */
npi_natpmp_kind npi_natpmp_decode(const uint8_t *data, size_t size, npi_natpmp_answer *out);
bool npi_natpmp_is_answer(const uint8_t *data, size_t size);

typedef enum npi_gateway_finding {
    NPI_GATEWAY_SILENT = 0,    /* it did not answer */
    NPI_GATEWAY_FAILED,        /* it answered with a result code other than 0 */
    NPI_GATEWAY_OTHER_VERSION, /* it does not speak NAT-PMP, but PCP or a later version */
    NPI_GATEWAY_NONSENSE,      /* no gateway has such an external address */
    NPI_GATEWAY_DIFFERS,       /* servers see another address, which does not show why */
    NPI_GATEWAY_NAT_BEHIND,    /* another NAT translates what leaves the gateway */
    NPI_GATEWAY_IS_SEEN        /* servers see the address that the gateway names */
} npi_gateway_finding;

/* What to compare with, all of IPv4. The ports count for nothing. */
typedef struct npi_gateway_sight {
    npi_addr gateway;  /* where it was asked */
    npi_addr local;    /* of this host */
    npi_addr external; /* as servers see it */
    bool is_only_one;  /* no server saw another external IP address */
} npi_gateway_sight;

/* What an answer shows; kind NPI_NATPMP_DROP: there was none. Nothing tells a lie of the gateway from the truth. */
npi_gateway_finding npi_natpmp_compare(const npi_natpmp_answer *answer, const npi_gateway_sight *sight);
/* One sentence about it. Cut to fit. */
void npi_natpmp_explain(const npi_natpmp_answer *answer, npi_gateway_finding finding, char *out, size_t size);

#endif
