/* SPDX-License-Identifier: MIT */
/* Shared by the integration tests: what must be gone afterwards, whole results, and names that never leave the host. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <natprobe/natprobe.h>

#include "../support/stun_server.h"

/* A case, after which every descriptor and thread that it made must be gone. */
#define CASE(f) cmocka_unit_test_setup_teardown(f, support_begin, support_end)
int support_begin(void **state);
int support_end(void **state);

/* Runs into a poisoned result and checks that the whole of it was written and agrees with what was returned. */
int support_run(np_probe *probe, np_result *result);
/* The same check for a result that was poisoned and filled elsewhere. */
void support_poison(np_result *result);
void support_check_whole(const np_result *result, int returned);

/* A probe from source (NULL: any) that asks the server; it gives up silence after a short while. */
np_probe *support_probe(const char *source, const char *server);
stun_server *support_server(stun_server_config config);
/* At ::1. Waits while another test program has the port. Skips the test on a host without IPv6. */
stun_server *support_server_of_ipv6(stun_server_config config);

/*
 * getaddrinfo() of these test programs asks nobody. Names not set up do not exist.
 */
typedef struct support_name {
    const char *name;       /* NULL: every name */
    const char *address[4]; /* IP literals */
    int error;              /* EAI_*, when there is no address */
    bool slow;              /* answered only after support_release_names() */
} support_name;

/* From then on, look-ups are counted, and none hangs but by its name. */
void support_set_names(const support_name *names, size_t count);
/* The first so many look-ups that come from now on hang as slow ones do, whatever their names. */
void support_hang_first(unsigned count);
/* How many look-ups there have been. */
unsigned support_look_ups(void);
/* Waits until that many look-ups hang; fails when they do not come. */
void support_wait_for_hanging_names(unsigned count);
void support_release_names(void);

#endif
