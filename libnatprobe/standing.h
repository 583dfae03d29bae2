/* SPDX-License-Identifier: MIT */
/* What holds after a check, in the light of the checks before it. Pure. */
#ifndef NPI_STANDING_H
#define NPI_STANDING_H

#include <stdbool.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "tstamp.h"

typedef struct npi_standing {
    np_result result;
    bool has_outcome;
    uint64_t measured_ns;
    uint64_t filtering_ns; /* when its filtering was measured; NPI_NEVER: it is not known */
    np_result known;       /* the last one whose filtering is known: the host may come back to that network */
    uint64_t known_ns;     /* when that was measured; NPI_NEVER: there is none */
    bool has_moved;        /* since then the host has changed its network, or was without */
} npi_standing;

typedef struct npi_outcome {
    const np_result *result;
    uint64_t now_ns;
    bool tested_filtering; /* with servers that a NAT knew nothing of */
    bool network_changed;  /* since the check before */
} npi_outcome;

void npi_standing_init(npi_standing *s);
/* Takes the outcome of a check. Returns what is different: bits of enum np_watch_change. */
uint32_t npi_standing_take(npi_standing *s, const npi_outcome *outcome);

#endif
