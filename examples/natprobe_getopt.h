/* SPDX-License-Identifier: MIT */
/* getopt_long(): the system's, or one of our own where there is none, as with Microsoft's compiler. */
#ifndef NATPROBE_GETOPT_H
#define NATPROBE_GETOPT_H

#if !defined(_MSC_VER) && !defined(NATPROBE_OWN_GETOPT)
#include <getopt.h>
#else

enum { no_argument, required_argument };

struct option {
    const char *name;
    int has_arg;
    int *flag; /* always NULL */
    int val;
};

extern char *optarg;
extern int optind;

/*
 * As GNU's, but that options end with the first argument that is none. Where an option is wrong, it complains and
 * returns '?'. No option has an argument that may be missing.
 */
int getopt_long(int argc, char *const *argv, const char *letters, const struct option *options, int *index);

#endif

#endif
