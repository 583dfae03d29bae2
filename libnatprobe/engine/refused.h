/* SPDX-License-Identifier: MIT */
/* The optional test REFUSED (docs/METHOD.md section 18): does a datagram that the NAT refuses take the port? */
#ifndef NPI_ENGINE_REFUSED_H
#define NPI_ENGINE_REFUSED_H

#include "facts.h"

/* True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_refused_step(npi_facts *f, uint64_t *wake_ns);

#endif
