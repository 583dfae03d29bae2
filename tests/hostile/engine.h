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

/* What bytes alone are not. */
extern const hostile_case engine_cases[];
extern const size_t engine_case_count;
/* Of the transport, with real sockets. */
void h01_empty_datagram__libnice_test_parse(void);
void h02_receive_fails_and_minus_one_is_no_length__CVE_2013_6484(void);
void h13_largest_datagram_with_padding__RFC_5780_7_6_and_10(void);
void h14_datagram_larger_than_the_buffer__MSG_TRUNC(void);

#endif
