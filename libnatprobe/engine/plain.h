/* SPDX-License-Identifier: MIT */
/* The requests of a trial that no NAT filters: their answers and losses show what the path does. Pure. */
#ifndef NPI_ENGINE_PLAIN_H
#define NPI_ENGINE_PLAIN_H

#include "facts.h"

typedef struct npi_plain_list {
    const npi_transaction *t[NPI_SERVER_EXCHANGES + NPI_FILTERING_EXCHANGES + NPI_CONTROL_EXCHANGES];
    size_t count;
} npi_plain_list;

/* All that were sent on a path that was awake: to A, and answered ones of the mapping phase. */
npi_plain_list npi_plain_requests(const npi_facts *f, const npi_trial *t);

#endif
