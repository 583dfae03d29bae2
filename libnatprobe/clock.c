/* SPDX-License-Identifier: MIT */
/* The monotonic clock, and the one that datagrams are stamped with. */
#include "clock.h"

#include <time.h>

static uint64_t to_ns(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * UINT64_C(1000000000) + (uint64_t)t->tv_nsec;
}

uint64_t npi_clock_now(void)
{
    struct timespec now;
#ifdef __linux__
    /* CLOCK_MONOTONIC stops while the machine sleeps: afterwards answers would look young and deadlines far. */
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
#endif
        clock_gettime(CLOCK_MONOTONIC, &now);
    return to_ns(&now);
}

#if defined(CLOCK_UPTIME_RAW) /* macOS, iOS */
#define CLOCK_AWAKE CLOCK_UPTIME_RAW
#elif defined(CLOCK_UPTIME) /* BSD */
#define CLOCK_AWAKE CLOCK_UPTIME
#else
#define CLOCK_AWAKE CLOCK_MONOTONIC
#endif

uint64_t npi_clock_awake(void)
{
    struct timespec now;
    clock_gettime(CLOCK_AWAKE, &now);
    return to_ns(&now);
}

npi_moment npi_clock_moment(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (npi_moment){.wall_ns = to_ns(&wall), .now_ns = npi_clock_now()};
}
