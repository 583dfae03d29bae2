/* SPDX-License-Identifier: MIT */
/* The part of the program natprobe that surveys servers. */
#ifndef NATPROBE_SURVEY_H
#define NATPROBE_SURVEY_H

#include <stdbool.h>

#include <natprobe/natprobe.h>

typedef struct survey_job {
    const char *list;    /* the file with the servers; "-": stdin */
    const char *earlier; /* the JSON lines of an earlier run, which reported some of them; NULL: none */
    bool is_json;
} survey_job;

/*
 * Surveys with the settings of the probe, which it takes over, and prints the capable servers, or an object for each.
 * Returns the status to exit with.
 */
int survey_and_print(np_probe *probe, const survey_job *job);
/* From a signal handler: the survey ends. */
void stop_survey(void);

#endif
