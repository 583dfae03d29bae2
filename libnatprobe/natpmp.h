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
/* Longer than any answer to this question, that of a PCP server included (RFC 6887 section 7.2). */
#define NPI_NATPMP_ROOM 64

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

/* Decodes one datagram. Every field of out is written. */
npi_natpmp_kind npi_natpmp_decode(const uint8_t *data, size_t size, npi_natpmp_answer *out);

/* One question, its copies, and the answer. */
typedef struct npi_natpmp {
    npi_addr gateway; /* with the port of NAT-PMP */
    unsigned copies;  /* that were sent */
    uint64_t next_ns; /* when the next one is due, or the wait ends; NPI_NEVER when it is over */
    bool is_refused;  /* ICMP says that nobody listens there */
    npi_natpmp_answer answer;
} npi_natpmp;

void npi_natpmp_begin(npi_natpmp *q, const npi_addr *gateway, uint64_t now_ns);
/* Writes the copy that is due, and returns its size; 0 when none is. */
size_t npi_natpmp_next(npi_natpmp *q, uint64_t now_ns, uint8_t out[NPI_NATPMP_REQUEST_SIZE]);
void npi_natpmp_receive(npi_natpmp *q, const npi_addr *from, const uint8_t *data, size_t size);
/* The socket, which speaks to the gateway alone, reports that its port is closed. */
void npi_natpmp_refuse(npi_natpmp *q);
/* It was answered, refused, or has waited long enough. */
bool npi_natpmp_is_over(const npi_natpmp *q);

typedef enum npi_gateway_finding {
    NPI_GATEWAY_UNASKED = 0,   /* no gateway of IPv4 was found, or the check ended before */
    NPI_GATEWAY_SILENT,        /* it did not answer */
    NPI_GATEWAY_REFUSED,       /* its port is closed */
    NPI_GATEWAY_FAILED,        /* it answered with a result code other than 0 */
    NPI_GATEWAY_OTHER_VERSION, /* it does not speak NAT-PMP, but PCP or a later version */
    NPI_GATEWAY_NONSENSE,      /* no gateway has such an external address */
    NPI_GATEWAY_NO_NAT,        /* servers see this host's own address: there is no NAT to compare with */
    NPI_GATEWAY_DIFFERS,       /* servers see another address, which does not show why */
    NPI_GATEWAY_NAT_BEHIND,    /* another NAT translates what leaves the gateway */
    NPI_GATEWAY_IS_SEEN        /* servers see the address that the gateway names */
} npi_gateway_finding;

/* What servers see, to compare with. */
typedef struct npi_gateway_sight {
    npi_addr local;    /* of this host */
    npi_addr external; /* as servers see it; family none: not known */
    bool is_only_one;  /* no server saw another external IP address */
} npi_gateway_sight;

/* What the answer so far shows. The gateway may lie: an address that it only claims to have looks like its own. */
npi_gateway_finding npi_natpmp_compare(const npi_natpmp *q, const npi_gateway_sight *sight);
/* One sentence about a finding that leaves unknown whether there is another NAT; empty for the others. */
void npi_natpmp_explain(const npi_natpmp *q, npi_gateway_finding finding, char *out, size_t size);

#endif
