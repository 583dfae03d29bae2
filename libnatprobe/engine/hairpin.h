/* SPDX-License-Identifier: MIT */
/* The optional test HAIRPIN (docs/METHOD.md section 18): do datagrams to the own external address come back? */
#ifndef NPI_ENGINE_HAIRPIN_H
#define NPI_ENGINE_HAIRPIN_H

#include "facts.h"

/* True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_hairpin_step(npi_facts *f, uint64_t *wake_ns);

#endif
