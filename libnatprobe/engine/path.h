/* SPDX-License-Identifier: MIT */
/*
 * Do fresh sockets take the source socket's way? A rule on the host may send the checked port through another NAT, and
 * the filtering found would be that of the other one (docs/METHOD.md section 3).
 */
#ifndef NPI_ENGINE_PATH_H
#define NPI_ENGINE_PATH_H

#include "facts.h"

/*
 * Where a filtering socket has another external address than the source socket, asks from more fresh sockets, and
 * decides: a pool of addresses, or another way. Returns when to go on.
 */
uint64_t npi_path_step(npi_facts *f);
/* True while the answer is awaited. */
bool npi_path_is_asking(const npi_facts *f);
/* True while the fresh socket of a slot is needed. */
bool npi_path_needs_slot(const npi_facts *f, int slot);

#endif
