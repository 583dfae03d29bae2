/* SPDX-License-Identifier: MIT */
/*
 * The optional tests, one after the other once there is a verdict (docs/METHOD.md section 18). Each has a file of its
 * own, and a line in optional.c.
 */
#ifndef NPI_ENGINE_OPTIONAL_H
#define NPI_ENGINE_OPTIONAL_H

#include "facts.h"

void npi_optional_init(npi_facts *f);
/* There is a verdict: goes on until npi_optional_is_over(). Returns when to look again. */
uint64_t npi_optional_advance(npi_facts *f);
/* No test goes on or will. */
bool npi_optional_is_over(const npi_facts *f);
/* From outside, or since there is no verdict: what is not known by now stays unknown. */
void npi_optional_stop(npi_facts *f);
/* True while a socket is needed, or may be once there is a verdict. */
bool npi_optional_needs_slot(const npi_facts *f, int slot);
void npi_optional_write(const npi_facts *f, np_result *out);

#endif
