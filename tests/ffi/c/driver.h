/* SPDX-License-Identifier: MIT */
/* What the files of the driver share. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

/* BROKEN_PROMISE: the library did what natprobe.h says that it does not. */
enum { EXIT_VERDICT = 0, EXIT_NO_VERDICT = 1, EXIT_USAGE = 2, EXIT_BROKEN_PROMISE = 3 };

typedef struct options {
    const char *mode;
    const char *servers[NP_MAX_SERVERS];
    size_t server_count;
    uint16_t port;
    bool is_ipv6;
    int32_t tests;
} options;

/* Prints the result as "natprobe --json" does, on stderr why there is no verdict. Returns the status to exit with. */
int print_result(const np_result *result);

int print_layout(void);
int check_bad_input(void);

#endif
