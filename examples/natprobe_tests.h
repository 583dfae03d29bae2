/* SPDX-License-Identifier: MIT */
/* The optional tests in the program natprobe: how they are named, and what they found. */
#ifndef NATPROBE_TESTS_H
#define NATPROBE_TESTS_H

#include <stdbool.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

/* Adds the tests of a list, "port,hairpin" or "all": false, with a message, if there is no such test. */
bool read_tests(const char *list, int32_t *tests);
/* Those of them that were asked for. */
void print_tests(const np_result *r, int32_t tests);
/* Each with a comma before it. */
void print_tests_json(const np_result *r, int32_t tests);

#endif
