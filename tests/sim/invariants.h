/* SPDX-License-Identifier: MIT */
/* Promises that hold in every world, whatever the verdict: checked on what was sent and on the result. */
#ifndef SIM_INVARIANTS_H
#define SIM_INVARIANTS_H

#include "drive.h"
#include "world.h"

/* In one run with one or two servers: at 30 % loss each way, begun anew when the address changed. */
#define PACKETS_MAX 200
#define PACKETS_MORE 30 /* for every further server */

/* Notes the first broken promise in the record. */
void invariants_check(const world *w, run_record *r);

#endif
