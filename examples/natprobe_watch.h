/* SPDX-License-Identifier: MIT */
/* What natprobe.c and natprobe_watch.c have of each other. */
#ifndef NATPROBE_WATCH_H
#define NATPROBE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

typedef enum watch_output { WATCH_LINES, WATCH_JSON, WATCH_NAMES } watch_output;

/* natprobe.c: the members of a JSON object, without the braces around them. */
void print_json_members(const np_result *result, int32_t tests);

/*
 * natprobe_watch.c: watches with the settings of the probe, which it takes over, and prints a line for each change
 * until it is told to stop. Returns the status to exit with. interval_s: UINT32_MAX for the default.
 */
int watch_and_print(np_probe *probe, uint32_t interval_s, watch_output output);
/* Now, in UTC, as RFC 3339 has it. */
void format_time(char *out, size_t size);
/* From a signal handler: the watch ends. */
void stop_watching(void);

#endif
