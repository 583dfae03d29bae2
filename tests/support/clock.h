/* SPDX-License-Identifier: MIT */
/* Moments and durations of virtual time, in nanoseconds. */
#ifndef TESTS_SUPPORT_CLOCK_H
#define TESTS_SUPPORT_CLOCK_H

#include <stdint.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define NEVER UINT64_MAX

#endif
