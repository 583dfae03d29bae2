/* SPDX-License-Identifier: MIT */
/* The optional test GATEWAY: is there another NAT behind the gateway? (docs/METHOD.md section 12) */
#ifndef NPI_ENGINE_NAT_BEHIND_H
#define NPI_ENGINE_NAT_BEHIND_H

#include "facts.h"

/* Goes on. True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_nat_behind_step(npi_facts *f, uint64_t *wake_ns);
/* Where the route is to be looked up to, whose gateway is to be asked; NULL: nowhere now. */
const npi_addr *npi_nat_behind_towards(const npi_facts *f);
/* That gateway; not set: there is none, or it cannot be told. */
void npi_nat_behind_found(npi_facts *f, const npi_addr *gateway);
void npi_nat_behind_write(const npi_facts *f, np_result *out);

#endif
