/* SPDX-License-Identifier: MIT */
/* The counts around the verdict, judged by what the boxes did to the host's datagrams. */
#ifndef SIM_SIGHTINGS_H
#define SIM_SIGHTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "drive.h"
#include "world.h"

/* Whether the result counts what was not there. moves: a NAT starts anew. why (of size) gets the reason. */
bool sightings_are_false(const world *w, bool moves, const run_record *r, char *why, size_t size);
/* Whether it leaves out an answer that was heard: due where every server tells the truth. */
bool sightings_are_short(const run_record *r, char *why, size_t size);

#endif
