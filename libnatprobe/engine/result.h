/* SPDX-License-Identifier: MIT */
/* Facts to np_result and its texts. Pure. */
#ifndef NPI_ENGINE_RESULT_H
#define NPI_ENGINE_RESULT_H

#include "facts.h"

/* Fills every byte. The driver adds what only it knows: a local address where no answer told it. */
void npi_result_write(const npi_facts *f, uint64_t now_ns, np_result *out);

#endif
