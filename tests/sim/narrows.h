/* SPDX-License-Identifier: MIT */
/*
 * The narrow places of a path: moments in which nothing passes, limits on how many datagrams pass in a second, and
 * links so slow that datagrams wait for each other. Unlike losses, all of this depends on what was sent before.
 */
#ifndef SIM_NARROWS_H
#define SIM_NARROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "world.h"

#define NARROWS_CLIENTS 128
#define NARROWS_WAITING 64

typedef struct narrows_client { /* one that a limit counts for itself */
    endpoint client;
    unsigned server, direction;
    uint64_t due_ns; /* when its next datagram would be one of a steady stream */
} narrows_client;

typedef struct narrows_queue { /* before a slow link */
    uint64_t free_ns;          /* when the link has sent all that waits */
    uint64_t leaves_ns[NARROWS_WAITING];
    unsigned leaving;
} narrows_queue;

typedef struct narrows {
    narrows_client client[NARROWS_CLIENTS];
    unsigned clients; /* so far; the oldest is forgotten first */
    narrows_queue queue[2];
} narrows;

/* A datagram that enters a link. */
typedef struct narrows_entry {
    uint64_t now_ns;
    unsigned direction; /* UP or DOWN */
    bool inside, outside;
    unsigned server;        /* the one at the other end */
    const endpoint *client; /* as it is seen on this link */
    size_t size;
} narrows_entry;

/* False: it is dropped. Otherwise delay_ns is how long it waits. */
bool narrows_admit(narrows *n, const world *w, const narrows_entry *e, uint64_t *delay_ns);

#endif
