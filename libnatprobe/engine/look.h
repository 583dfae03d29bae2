/* SPDX-License-Identifier: MIT */
/*
 * Fresh sockets that compare destinations, where the source socket sees equal ports that may be chance (docs/METHOD.md
 * section 7).
 */
#ifndef NPI_ENGINE_LOOK_H
#define NPI_ENGINE_LOOK_H

#include "facts.h"

/* Asks from one more fresh socket what npi_mapping_look() says. */
void npi_look_ask(npi_facts *f);
/* True while the fresh socket of a slot is needed. */
bool npi_look_needs_slot(const npi_facts *f, int slot);

#endif
