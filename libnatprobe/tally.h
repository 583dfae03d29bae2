/* SPDX-License-Identifier: MIT */
/* What answers to plain requests show beside the verdict: counts of what was seen, and nothing foretold. Pure. */
#ifndef NPI_TALLY_H
#define NPI_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

/* One plain request of any socket. */
typedef struct npi_sighting {
    uint32_t number;   /* it was the so-many-th datagram of the check to leave */
    int slot;          /* the socket that it left from */
    bool is_vague;     /* another one left between its copies: which of the two made its mapping first is not known */
    npi_addr local;    /* that the answer came to; not set: no answer */
    npi_addr external; /* not set: no answer, or none to believe */
} npi_sighting;

/* As in np_result. */
typedef struct npi_tally {
    int32_t port_step;
    uint16_t ports_seen;
    uint16_t ports_kept;
    uint16_t external_ips;
    uint16_t local_ips;
} npi_tally;

/* seen: in the order of number. */
npi_tally npi_tally_count(const npi_sighting *seen, size_t count);

#endif
