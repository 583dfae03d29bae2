/* SPDX-License-Identifier: MIT */
/* One world from beginning to end: all its runs, judged. */
#ifndef SIM_SIMULATE_H
#define SIM_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "drive.h"
#include "truth.h"
#include "world.h"

typedef struct report {
    verdict verdict;       /* the worst of all runs */
    bool broken;           /* a promise was broken */
    bool verdict_expected; /* or a part of it */
    bool is_short;         /* it was, and did not come */
    char why[256];         /* what was wrong, unknown or broken */
    run_record last;       /* the last run, or the first that was wrong or broken */
    bool is_speed_sample;  /* one conforming server, no loss, no jitter: the time counts */
    double round_trips;    /* from start to verdict, in round trips of the world */
    bool is_extra_sample;  /* some servers are dead, and yet the verdict is right */
    double extra_ms;       /* what each of them costs: beyond the same world without them */
} report;

/* trace NULL: silent. */
void simulate(const world *w, FILE *trace, report *out);

#endif
