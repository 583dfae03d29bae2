/* SPDX-License-Identifier: MIT */
/* The only source of randomness: the kernel's. */
#ifndef NPI_RANDOM_H
#define NPI_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Fills out with random bytes and never blocks. False with errno when the kernel gives none; EAGAIN: not yet, soon
 * after boot. Nothing is cached, so fork() is safe.
 */
bool npi_random_bytes(void *out, size_t size);

#endif
