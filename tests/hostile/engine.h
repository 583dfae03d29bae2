/* SPDX-License-Identifier: MIT */
/* The cases of test_hostile_engine: the inputs of the table, and what each number has beside them. */
#ifndef TESTS_HOSTILE_ENGINE_H
#define TESTS_HOSTILE_ENGINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stage.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A run of a world in which nobody is hostile, made once; the second with a silent server. */
const stage *honest_run(const world *w);
const stage *deaf_run(const world *w);
void forget_runs(void);

/* Runs all of a number's inputs of inputs.c. Returns how many there are. */
unsigned check_inputs(unsigned number);

/* What bytes alone are not. NULL where a number has none. */
typedef void (*engine_case)(void);
extern const engine_case engine_cases[LAST_NUMBER];
/* Of the transport, with real sockets. */
void transport_h01(void);
void transport_h02(void);
void transport_h13(void);
void transport_h14(void);

#endif
