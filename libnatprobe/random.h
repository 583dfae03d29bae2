/* SPDX-License-Identifier: MIT */
/* The only source of randomness: the kernel's. */
#ifndef NPI_RANDOM_H
#define NPI_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/* Fills out with random bytes; false (with errno) when the kernel gives none. Nothing is cached, so fork() is safe. */
bool npi_random_bytes(void *out, size_t size);

#endif
