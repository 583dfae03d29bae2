/* SPDX-License-Identifier: MIT */
/* How soon a request may be repeated (docs/METHOD.md section 8): after 10 ms, but for the dense start of a test. */
#ifndef TESTS_SUPPORT_PACE_H
#define TESTS_SUPPORT_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* What has left from one socket that tests the filtering; all zero before. */
typedef struct pace {
    uint64_t start_ns;
    unsigned copies[4]; /* of plain requests, III, a change of the IP address alone, II */
} pace;

/* Counts a datagram with these flags of CHANGE-REQUEST that leaves now. */
void pace_count(pace *p, uint32_t change, uint64_t now_ns);
/* How long before the datagram counted last, with these flags, the copy before it must have left. */
uint64_t pace_least_gap_ns(const pace *p, uint32_t change, uint64_t now_ns);
/* The same where no filtering socket sends it. */
uint64_t pace_usual_gap_ns(void);

#endif
