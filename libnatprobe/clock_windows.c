/* SPDX-License-Identifier: MIT */
/* The monotonic clock, and the wall clock, on Windows. */
#include "clock.h"

#include <windows.h>

#define NS_PER_S UINT64_C(1000000000)

/* The performance counter goes on while the machine sleeps, as its documentation says. */
uint64_t npi_clock_now(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER ticks;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    uint64_t per_s = (uint64_t)frequency.QuadPart;
    uint64_t count = (uint64_t)ticks.QuadPart;
    return count / per_s * NS_PER_S + count % per_s * NS_PER_S / per_s; /* frequencies are below 2^34 */
}

uint64_t npi_clock_awake(void)
{
    ULONGLONG units = 0; /* of 100 ns */
    QueryUnbiasedInterruptTime(&units);
    return (uint64_t)units * 100;
}

/* Windows stamps no datagrams for us, but a wall clock that is set shows here as elsewhere. */
npi_moment npi_clock_moment(void)
{
    FILETIME wall;
    GetSystemTimePreciseAsFileTime(&wall);
    uint64_t units = (uint64_t)wall.dwHighDateTime << 32 | wall.dwLowDateTime; /* of 100 ns since 1601 */
    uint64_t since_1970 = units - UINT64_C(116444736000000000);
    return (npi_moment){.wall_ns = since_1970 * 100, .now_ns = npi_clock_now()};
}
