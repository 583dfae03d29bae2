/* SPDX-License-Identifier: MIT */
/* What holds for every result and every event, whatever happened. */
#ifndef TESTS_FUZZ_CHECK_H
#define TESTS_FUZZ_CHECK_H

#include <natprobe/natprobe.h>

#include "engine/engine.h"

/* All its bytes are written, and it does not contradict itself. */
void check_result(const np_result *r);
/* The result of an experiment: the same when asked twice, whatever was in the memory for it, and good. */
void check_result_of(const npi_engine *p, uint64_t now_ns, np_result *out);
void check_event(const np_event *e);
/* A line of text for the log. */
void check_line(int32_t level, const char *line);

#endif
