/* SPDX-License-Identifier: MIT */
/* Promises that hold in every world, whatever the verdict: checked on what was sent and on the result. */
#ifndef SIM_INVARIANTS_H
#define SIM_INVARIANTS_H

#include "drive.h"
#include "world.h"

#define PACKETS_MAX 150 /* in one run, in the worst of worlds with one or two servers */
#define PACKETS_MORE 30 /* for every further server */

/* Notes the first broken promise in the record. */
void invariants_check(const world *w, run_record *r);

#endif
