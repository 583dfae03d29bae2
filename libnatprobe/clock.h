/* SPDX-License-Identifier: MIT */
/* The only reader of the system's clock. */
#ifndef NPI_CLOCK_H
#define NPI_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds that go on counting while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_now(void);

/* Monotonic nanoseconds that stop while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_awake(void);

/* Both clocks at one moment. However the process is held up between the two, now_ns is not too early for wall_ns. */
typedef struct npi_moment {
    uint64_t now_ns;
    uint64_t wall_ns; /* of the clock that the system stamps datagrams with; it may be set at any time */
} npi_moment;
npi_moment npi_clock_moment(void);

#endif
