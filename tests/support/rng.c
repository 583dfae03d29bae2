/* SPDX-License-Identifier: MIT */
/* xoshiro256** seeded by splitmix64, both by Blackman and Vigna (public domain), written from their description. */
#include "rng.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t state = a;
    uint64_t first = splitmix(&state);
    state = first ^ rotate(b, 32) ^ b;
    return splitmix(&state);
}

double hash_unit(uint64_t a, uint64_t b)
{
    return (double)(hash_mix(a, b) >> 11) * 0x1.0p-53;
}

void rng_seed(rng *r, uint64_t seed, uint64_t stream)
{
    uint64_t state = hash_mix(seed, stream);
    for (size_t i = 0; i < 4; i++)
        r->s[i] = splitmix(&state);
}

uint64_t rng_next(rng *r)
{
    uint64_t result = rotate(r->s[1] * 5, 7) * 9;
    uint64_t t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = rotate(r->s[3], 45);
    return result;
}

unsigned rng_below(rng *r, unsigned n)
{
    return (unsigned)((rng_next(r) >> 32) * n >> 32);
}

uint64_t rng_between(rng *r, uint64_t low, uint64_t high)
{
    return low + rng_next(r) % (high - low + 1);
}

double rng_unit(rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1.0p-53;
}

bool rng_chance(rng *r, double p)
{
    return rng_unit(r) < p;
}

void rng_bytes(rng *r, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(rng_next(r) >> 56);
}
