/* SPDX-License-Identifier: MIT */
/* What was seen of all sockets beside the verdict (tally.h). Pure. */
#ifndef NPI_ENGINE_SIGHTINGS_H
#define NPI_ENGINE_SIGHTINGS_H

#include "../tally.h"
#include "facts.h"

/*
 * first: the server on which the verdict rests, NULL for none. Of external addresses nothing counts where the servers
 * contradict each other, or the address has changed.
 */
npi_tally npi_sightings_tally(const npi_facts *f, const npi_server *first);

#endif
