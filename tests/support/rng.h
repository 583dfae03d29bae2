/* SPDX-License-Identifier: MIT */
/* Reproducible randomness: a generator (xoshiro256**) and a hash, both from a seed and nothing else. */
#ifndef TESTS_SUPPORT_RNG_H
#define TESTS_SUPPORT_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rng {
    uint64_t s[4];
} rng;

/* Different streams of one seed are independent of each other. */
void rng_seed(rng *r, uint64_t seed, uint64_t stream);
uint64_t rng_next(rng *r);
/* 0 to n - 1; n above 0. */
unsigned rng_below(rng *r, unsigned n);
/* Both ends included. */
uint64_t rng_between(rng *r, uint64_t low, uint64_t high);
/* 0 to below 1. */
double rng_unit(rng *r);
bool rng_chance(rng *r, double p);
void rng_bytes(rng *r, uint8_t *out, size_t n);

/* A hash of two numbers, for randomness that belongs to one packet and does not shift when another one is added. */
uint64_t hash_mix(uint64_t a, uint64_t b);
double hash_unit(uint64_t a, uint64_t b);

#endif
