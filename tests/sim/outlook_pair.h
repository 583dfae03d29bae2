/* SPDX-License-Identifier: MIT */
/* Two hosts, each behind the NATs that it was measured behind, and their two programs: real packets decide. */
#ifndef SIM_OUTLOOK_PAIR_H
#define SIM_OUTLOOK_PAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "outlook_hosts.h"
#include "outlook_peer.h"

/* Two hosts. The boxes stay as they were measured: each run works on copies. */
typedef struct pair {
    const host *side[2];
    bool is_shared; /* both are behind the same NATs: those of side 1, which was measured after side 0 */
    bool hairpins;  /* which send back inside what is for themselves */
} pair;

/* How the pair's programs go about it. */
typedef struct attempt {
    peer_plan plan[2];
    /* The oracle: that side is told from which port the first datagram will come that the other sends to it. */
    bool foresees[2];
} attempt;

/* One run, whose luck is drawn from a number. Returns whether each side knows that the other hears it. */
bool pair_run(const pair *p, const attempt *a, unsigned luck, FILE *trace);
/* All runs that can differ by luck: whether they connect for certain. */
bool pair_connects(const pair *p, const attempt *a);
/* Whether a side's first datagram to its peer leaves from the outside port that the peer was told. */
bool pair_comes_as_told(const pair *p, unsigned side);
void pair_free_room(void);

#endif
