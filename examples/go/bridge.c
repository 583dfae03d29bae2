/* SPDX-License-Identifier: MIT */
#include "bridge.h"

#include <stdlib.h>
#include <string.h>

/* ---- What the library tells -------------------------------------------------------------------------------------- */

/* Adds an item with room for data, which may be NULL for none. Without memory for it the check has to end. */
static natprobe_go_item *add(natprobe_go *n, int kind, const void *data, size_t size)
{
    natprobe_go_item *item = calloc(1, sizeof *item + size);
    if (item == NULL) {
        n->is_out_of_memory = true;
        np_probe_cancel(n->probe);
        return NULL;
    }
    item->kind = kind;
    item->size = size;
    item->data = item + 1;
    if (size > 0)
        memcpy(item->data, data, size);
    *n->end = item;
    n->end = &item->next;
    return item;
}

static void on_log(int32_t level, const char *message, void *user)
{
    natprobe_go_item *item = add(user, NATPROBE_GO_LOG, message, strlen(message));
    if (item != NULL)
        item->level = level;
}

static void on_event(const np_event *event, void *user)
{
    natprobe_go_item *item = add(user, NATPROBE_GO_EVENT, NULL, 0);
    if (item != NULL)
        item->event = *event;
}

static void on_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size, void *user)
{
    natprobe_go_item *item = add(user, NATPROBE_GO_DATAGRAM, data, size);
    if (item == NULL || address_size > sizeof item->address)
        return;
    item->address_size = address_size;
    memcpy(item->address, address, address_size);
}

/* ---- From Go to the library -------------------------------------------------------------------------------------- */

natprobe_go *natprobe_go_new(void)
{
    natprobe_go *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->end = &n->first;
    n->probe = np_probe_new();
    if (n->probe != NULL)
        return n;
    free(n);
    return NULL;
}

void natprobe_go_free(natprobe_go *n)
{
    np_probe_free(n->probe);
    natprobe_go_free_items(n->first);
    free(n);
}

int natprobe_go_set_log(natprobe_go *n, bool on, int32_t level)
{
    return np_probe_set_log(n->probe, level, on ? on_log : NULL, n);
}

int natprobe_go_set_events(natprobe_go *n, bool on)
{
    return np_probe_set_events(n->probe, on ? on_event : NULL, n);
}

int natprobe_go_set_socket(natprobe_go *n, np_socket socket)
{
    return np_probe_set_socket(n->probe, socket, on_datagram, n);
}

natprobe_go_item *natprobe_go_take(natprobe_go *n)
{
    natprobe_go_item *first = n->first;
    n->first = NULL;
    n->end = &n->first;
    return first;
}

void natprobe_go_free_items(natprobe_go_item *first)
{
    while (first != NULL) {
        natprobe_go_item *next = first->next;
        free(first);
        first = next;
    }
}
