/* SPDX-License-Identifier: MIT */
/*
 * Times: nanoseconds on a clock that only goes forward. A question "when?" is answered with a time: one that has passed
 * means "now", NPI_NEVER means "not by waiting alone".
 */
#ifndef NPI_TSTAMP_H
#define NPI_TSTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define NPI_NEVER UINT64_MAX
#define NPI_MS UINT64_C(1000000)
#define NPI_NOW UINT64_C(0) /* the answer "already" */

/* Saturating, so that NPI_NEVER plus anything stays NPI_NEVER. */
static inline uint64_t npi_time_add(uint64_t t, uint64_t delta)
{
    return delta > NPI_NEVER - t ? NPI_NEVER : t + delta;
}

static inline uint64_t npi_time_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t npi_time_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The earlier of two times to be woken at; a time that has passed is none. */
static inline uint64_t npi_wake_min(uint64_t wake_ns, uint64_t t_ns, uint64_t now_ns)
{
    return t_ns > now_ns && t_ns < wake_ns ? t_ns : wake_ns;
}

/* True when a time has come; otherwise *wake_ns is moved forward to it. */
static inline bool npi_time_has_come(uint64_t t_ns, uint64_t now_ns, uint64_t *wake_ns)
{
    *wake_ns = npi_wake_min(*wake_ns, t_ns, now_ns);
    return t_ns <= now_ns;
}

#endif
