/* SPDX-License-Identifier: MIT */
/* Facts to np_result and its texts. Pure. */
#ifndef NPI_ENGINE_RESULT_H
#define NPI_ENGINE_RESULT_H

#include "../tally.h"
#include "facts.h"

/* Fills every byte. The driver adds what only it knows: a local address where no answer told it. */
void npi_result_write(const npi_facts *f, uint64_t now_ns, np_result *out);
/* The observation of the source socket whose addresses it has; false when it has none. */
bool npi_result_observation(const npi_facts *f, npi_observation *out);
/* The counts that it has. */
npi_tally npi_result_tally(const npi_facts *f);
/* Why the filtering is unknown though there is a verdict; NPI_REASON_NONE otherwise. */
npi_reason npi_result_filtering_reason(const npi_facts *f);

#endif
