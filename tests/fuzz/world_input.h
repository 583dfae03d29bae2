/* SPDX-License-Identifier: MIT */
/* A simulated world (tests/sim) of the input's choosing: boxes on the way, links, servers and their faults. */
#ifndef TESTS_FUZZ_WORLD_INPUT_H
#define TESTS_FUZZ_WORLD_INPUT_H

#include "fuzz.h"

#include "../sim/world.h"

/* Zeros make a quiet world with one honest server and no NAT. */
void world_from(input *in, world *w);

#endif
