/* SPDX-License-Identifier: MIT */
/*
 * What cgo cannot say itself: callbacks that are C functions. They keep what they are told in a list, and Go takes the
 * list when the library has returned. So no Go code ever runs while C code is below it on the stack.
 */
#ifndef NATPROBE_GO_BRIDGE_H
#define NATPROBE_GO_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "header.h"

enum natprobe_go_kind { NATPROBE_GO_LOG = 1, NATPROBE_GO_EVENT, NATPROBE_GO_DATAGRAM };

/* Room for a struct sockaddr_in6. */
#define NATPROBE_GO_ADDRESS_SIZE 32

/* One call of a callback. */
typedef struct natprobe_go_item {
    struct natprobe_go_item *next;
    int kind;                                        /* enum natprobe_go_kind */
    int32_t level;                                   /* of a line of the log */
    np_event event;                                  /* of an event */
    size_t address_size;                             /* of a datagram, as all below */
    unsigned char address[NATPROBE_GO_ADDRESS_SIZE]; /* a struct sockaddr */
    size_t size;
    void *data; /* the datagram, or the text of a line; behind the item */
} natprobe_go_item;

typedef struct natprobe_go {
    np_probe *probe;
    natprobe_go_item *first;
    natprobe_go_item **end; /* where the next one goes */
    bool is_out_of_memory;  /* an item was lost, and the check has been cancelled */
} natprobe_go;

/* NULL when out of memory. */
natprobe_go *natprobe_go_new(void);
void natprobe_go_free(natprobe_go *n);

/* These turn the callbacks on and off. */
int natprobe_go_set_log(natprobe_go *n, bool on, int32_t level);
int natprobe_go_set_events(natprobe_go *n, bool on);
int natprobe_go_set_socket(natprobe_go *n, np_socket socket);

/* What the callbacks were told since the last time, in order. To be freed with natprobe_go_free_items(). */
natprobe_go_item *natprobe_go_take(natprobe_go *n);
void natprobe_go_free_items(natprobe_go_item *first);

#ifdef _WIN32
/* A duplicate that other processes do not inherit; NP_INVALID_SOCKET where there is none. */
np_socket natprobe_go_duplicate_socket(np_socket socket);
void natprobe_go_close_socket(np_socket socket);
#else
/* A duplicate that is closed on exec; -1 with errno. */
int natprobe_go_duplicate(int fd);
/* Whether a descriptor is readable, or becomes so within a time. */
bool natprobe_go_is_readable(int fd, int timeout_ms);
#endif

#endif
