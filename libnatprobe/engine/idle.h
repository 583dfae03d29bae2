/* SPDX-License-Identifier: MIT */
/*
 * The optional test LIFETIME: sockets are left idle for ever longer times, and then something is to come in by their
 * mappings (docs/METHOD.md section 12). lifetime.h decides for how long, and what follows.
 */
#ifndef NPI_ENGINE_IDLE_H
#define NPI_ENGINE_IDLE_H

#include "facts.h"

/* True when the test is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_idle_step(npi_facts *f, uint64_t *wake_ns);
bool npi_idle_needs_slot(const npi_facts *f, int slot);
/* What is known so far. */
void npi_idle_write(const npi_facts *f, np_result *out);

#endif
