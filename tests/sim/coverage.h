/* SPDX-License-Identifier: MIT */
/* What a run has drawn: how many worlds had each value of each dimension, and each combination that can exist. */
#ifndef SIM_COVERAGE_H
#define SIM_COVERAGE_H

#include "world.h"

#define COVERAGE_DIMENSIONS 40
#define COVERAGE_VALUES 12
#define COVERAGE_COMBINATIONS (4 * 3 * 8 * 2)

/* Nothing but 64-bit counts. */
typedef struct coverage {
    uint64_t value[COVERAGE_DIMENSIONS][COVERAGE_VALUES];
    uint64_t combination[COVERAGE_COMBINATIONS]; /* mapping x filtering x topology x family */
} coverage;

void coverage_count(coverage *c, const world *w);
void coverage_add(coverage *sum, const coverage *c);
void coverage_print(const coverage *c, bool markdown, FILE *out);
/* How many values and combinations that can exist were never drawn; names them on out. */
unsigned coverage_missing(const coverage *c, FILE *out);

#endif
