/* SPDX-License-Identifier: MIT */
/* Named scenarios: one thing held fast, the rest drawn from some hundred seeds, and what has to come out of it. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include <stddef.h>

#include "../support/rng.h"
#include "simulate.h"
#include "world.h"

/* What is due where nothing is lost or late. Where something is, nothing may be wrong and no promise broken. */
typedef enum expectation {
    EXPECT_FULL,       /* mapping and filtering */
    EXPECT_MAPPING,    /* the exact mapping; the filtering need not be known */
    EXPECT_DEPENDENCE, /* whether the mapping depends on the destination, not how; the filtering need not be known */
    EXPECT_NO_VERDICT, /* no NP_OK, unless there is no translation */
    EXPECT_NO_RESPONSE,
    EXPECT_SOUND /* nothing but the truth, if anything */
} expectation;

typedef struct scenario {
    const char *name;
    /* Changes a world that has a link, one box (a NAT) and no server yet. */
    void (*shape)(world *w, rng *r);
    expectation calm;
} scenario;

/* Runs all scenarios as named cmocka tests in a group; returns the number of failures. */
int run_scenarios(const char *group, const scenario *scenarios, size_t count);
/* n, or a small part of it where the environment asks for a short run (NP_SIM_SCALE=small). */
unsigned scaled(unsigned n);

#endif
