/* SPDX-License-Identifier: MIT */
/* The monotonic clock. */
#include "clock.h"

#include <time.h>

uint64_t npi_clock_now(void)
{
    struct timespec now;
#ifdef __linux__
    /* CLOCK_MONOTONIC stops while the machine sleeps: afterwards answers would look young and deadlines far. */
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
#endif
        clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
