/* SPDX-License-Identifier: MIT */
/* The cases of test_hostile_sockets: whole checks of the public interface, some at a time, with hostile servers. */
#ifndef TESTS_HOSTILE_SOCKETS_H
#define TESTS_HOSTILE_SOCKETS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <natprobe/natprobe.h>

#include "hostile_server.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum { PRETENDED = 4, CHECK_SERVERS = 2, PLACES_ROOM = 400 };

/* Open internet, firewall, restricted cone, symmetric. */
extern const pretended places[PRETENDED];

/* One check, its servers and what came of it. */
typedef struct check {
    hostile_config config[CHECK_SERVERS];
    size_t server_count;
    uint32_t timeout_ms, response_timeout_ms; /* 0: the default */
    int32_t tests;                            /* 0: all */
    bool own_socket;                          /* from a socket of the caller's */

    np_result result;
    hostile_server *server[CHECK_SERVERS]; /* no longer running */
    char sent_to[PLACES_ROOM][64];         /* where requests went */
    unsigned sent;
    unsigned unprintable; /* texts of events and of the log that would steer a terminal */
    unsigned handed_over; /* datagrams that came to the caller's socket and were not the library's */
} check;

/* Fills in one hostile server in a place. */
check check_in(const pretended *where, hostile_act act, void *user);
/* Another server, which is honest. */
void check_add_server(check *c);
/* Runs them all at the same time, and then looks at what must hold of each of them. */
void run_checks(check *all, size_t count);
void end_checks(check *all, size_t count);

/* What the verdict must be. All fail the case, with the reason. */
void expect_truth(const check *c);
void expect_nothing_wrong(const check *c);

/* Runs all of a number's inputs of inputs.c. Returns how many there are. */
unsigned check_inputs(unsigned number);

/* What bytes alone are not. */
extern const hostile_case socket_cases[];
extern const size_t socket_case_count;

#endif
