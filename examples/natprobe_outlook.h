/* SPDX-License-Identifier: MIT */
/* What the files of the program natprobe have of each other. */
#ifndef NATPROBE_OUTLOOK_H
#define NATPROBE_OUTLOOK_H

#include <stdbool.h>

#include <natprobe/natprobe.h>

enum { EXIT_VERDICT = 0, EXIT_NO_VERDICT = 1, EXIT_USAGE = 2, EXIT_NOT_CONNECTED = 3, EXIT_NOT_KNOWN = 4 };

/* natprobe.c: messages on stderr; a label with a text, wrapped between words; one member of a JSON object. */
#if defined(__GNUC__)
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
#else
void complain(const char *format, ...);
#endif
void print_field(const char *label, const char *text);
void json_string(const char *text);
void json_text(const char *key, const char *text);
/* Empty text means unknown: null. */
void json_known(const char *key, const char *text);

/* natprobe_outlook.c. The line of a profile that somebody has given: false, with a message, if it cannot be read. */
bool read_profile(const char *text, np_profile *profile);
np_profile profile_of(const np_result *result);
/* Prints the line, if there is anything to tell. */
void print_profile(np_profile profile, bool has_address);
np_outlook_result judge(const np_profile *ours, const np_profile *theirs);
void print_outlook(const np_outlook_result *outlook);
/* The members, without the braces around them. */
void print_outlook_json(const np_outlook_result *outlook);
int outlook_status(const np_outlook_result *outlook);

#endif
