/* SPDX-License-Identifier: MIT */
/*
 * How long a NAT keeps an idle mapping: which idle times to try, and what follows from what became of the mappings. The
 * engine tries several at once, each on a socket of its own, in two rounds. Pure.
 */
#ifndef NPI_LIFETIME_H
#define NPI_LIFETIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NPI_LIFETIME_ROUNDS 2
/* Idle times in one round, of one kind of mapping. */
#define NPI_LIFETIME_TRIES 8
/* The least difference between two of them that is worth a socket. */
#define NPI_LIFETIME_STEP_MS 500

/* What became of a mapping that had been idle. */
typedef enum npi_idle_fate {
    NPI_IDLE_UNKNOWN,
    NPI_IDLE_ALIVE,   /* a datagram from outside came in by it */
    NPI_IDLE_GONE,    /* none did, where one that was not idle let them in */
    NPI_IDLE_CHANGED, /* the next datagram out got another external port: the one before was gone */
    NPI_IDLE_SAME     /* it got the same port: the mapping lived on, or was made again */
} npi_idle_fate;

typedef struct npi_idle_sample {
    npi_idle_fate fate;
    uint32_t least_ms; /* the mapping had been idle for at least so long when that was seen */
    uint32_t most_ms;  /* and for at most so long */
    int round;         /* in which it was tried */
    uint16_t port;     /* its external port */
    bool keeps_port;   /* that was the local one */
} npi_idle_sample;

/* What samples of one kind of mapping show. A mapping lives idle for at least min_ms, and for less than max_ms. */
typedef struct npi_lifetime {
    uint32_t min_ms;   /* 0: not known */
    uint32_t max_ms;   /* 0: not known */
    int32_t recreated; /* enum np_tristate: is the same mapping made again once it is gone? */
} npi_lifetime;

npi_lifetime npi_lifetime_conclude(const npi_idle_sample *samples, size_t count);

/* Writes the idle times of a round, ascending, and returns how many: 0 if there is no use in another round. */
size_t npi_lifetime_first_round(uint32_t limit_ms, uint32_t out[NPI_LIFETIME_TRIES]);
/* samples: all so far. */
size_t npi_lifetime_next_round(const npi_idle_sample *samples, size_t count, uint32_t limit_ms,
                               uint32_t out[NPI_LIFETIME_TRIES]);
/* More samples, of longer idle times, would say no more than these. */
bool npi_lifetime_is_bounded(const npi_idle_sample *samples, size_t count);

#endif
