/* SPDX-License-Identifier: MIT */
/* The only reader of the system's clock. */
#ifndef NPI_CLOCK_H
#define NPI_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds that go on counting while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_now(void);

#endif
