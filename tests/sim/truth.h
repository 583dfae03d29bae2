/* SPDX-License-Identifier: MIT */
/* What is true in a world, which answers are therefore allowed, and which are expected. */
#ifndef SIM_TRUTH_H
#define SIM_TRUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drive.h"
#include "world.h"

typedef struct truth {
    int32_t mapping, filtering, nat_type;
    bool blocked;
    bool translated_between_families;
    bool moves;               /* the external address changes on purpose */
    bool answer_expected;     /* NP_ERR_NO_RESPONSE would be wrong */
    bool verdict_expected;    /* anything but the full verdict must be very rare */
    bool silence_may_mislead; /* some server drops requests: see is_excused */
    bool mapping_expected;    /* an unknown mapping must be very rare */
    uint64_t within_ns;       /* a verdict that takes longer counts as none; 0: whenever it comes */
} truth;

typedef enum verdict { VERDICT_RIGHT, VERDICT_UNKNOWN, VERDICT_WRONG } verdict;

void truth_of(const world *w, truth *t);
/* Whether the result lacks what is due. */
bool truth_is_short(const truth *t, const run_record *r, verdict v);
/* The RFC 3489 name for two behaviours, by the table in docs/METHOD.md section 1. */
int32_t truth_type(int32_t mapping, int32_t filtering);
/* why (of size) gets a short reason for anything but VERDICT_RIGHT. */
verdict truth_judge(const world *w, const truth *t, const run_record *r, char *why, size_t size);

#endif
