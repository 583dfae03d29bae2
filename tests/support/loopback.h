/* SPDX-License-Identifier: MIT */
/* UDP sockets on loopback, by the tests' own endpoints: A:P, A:Q, B:P, B:Q, and one that nobody knows. */
#ifndef TESTS_SUPPORT_LOOPBACK_H
#define TESTS_SUPPORT_LOOPBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "endpoint.h"

enum { AT_AP, AT_AQ, AT_BP, AT_BQ, AT_STRANGER, LOOPBACK_SOCKETS };

typedef struct loopback {
    unsigned count; /* of sockets, in the order above */
    int fd[LOOPBACK_SOCKETS];
    endpoint at[LOOPBACK_SOCKETS];
} loopback;

/* Opens so many of them. first: A:P, where family 0 stands for any address and port 0 for any port. */
bool loopback_open(loopback *l, unsigned count, endpoint first);
void loopback_close(loopback *l);

/* A socket bound to an endpoint of which the port may be 0: it is filled in. -1: there is no such address. */
int loopback_bind(endpoint *at);
void loopback_send(int fd, const endpoint *to, const void *bytes, size_t size);
/* Does not wait. -1 when nothing has come. */
ssize_t loopback_receive(int fd, endpoint *from, void *bytes, size_t room);

#endif
