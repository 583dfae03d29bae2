/* SPDX-License-Identifier: MIT */
/* Is a silence proven in the first half of its copies and in the second (docs/METHOD.md section 5)? Pure. */
#ifndef NPI_ENGINE_HALVES_H
#define NPI_ENGINE_HALVES_H

#include "facts.h"

/*
 * False if loss may well explain the silence of one half: a burst took the plain requests of that time as well. Always
 * true on a path without losses.
 */
bool npi_halves_hold(const npi_facts *f, const npi_trial *t);

#endif
