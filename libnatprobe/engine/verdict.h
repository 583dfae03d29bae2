/* SPDX-License-Identifier: MIT */
/* Is it over, and how? Pure. */
#ifndef NPI_ENGINE_VERDICT_H
#define NPI_ENGINE_VERDICT_H

#include "facts.h"

/* When all is known that can be, or when to ask again; NPI_NEVER while the filtering is missing. */
uint64_t npi_verdict_complete_ns(const npi_facts *f);

typedef enum npi_verdict_next {
    NPI_VERDICT_GO_ON,
    NPI_VERDICT_RECONFIRM, /* ask the doubtful servers again (npi_mapping_is_doubtful) */
    NPI_VERDICT_LOOK,      /* compare destinations from another socket (npi_mapping_look) */
    NPI_VERDICT_OVER
} npi_verdict_next;

typedef struct npi_verdict {
    npi_verdict_next next;
    int32_t error; /* NP_OK or NP_ERR_*, when over */
    int os_error;
    uint64_t wake_ns; /* when to decide again */
} npi_verdict;

/* exhausted: every server there is has been asked, and nothing more is to be expected of any. */
npi_verdict npi_verdict_decide(const npi_facts *f, bool exhausted);

#endif
