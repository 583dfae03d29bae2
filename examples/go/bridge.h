/* SPDX-License-Identifier: MIT */
/*
 * What cgo cannot say itself: callbacks that are C functions, and the user pointer that they get. That pointer leads to
 * a natprobe_go, which names the Go call that is in the library at the moment, so that C never holds a Go pointer.
 */
#ifndef NATPROBE_GO_BRIDGE_H
#define NATPROBE_GO_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

typedef struct natprobe_go {
    np_probe *probe;
    uintptr_t call; /* a runtime/cgo.Handle; 0 while no call of Go's is in the library */
} natprobe_go;

/* NULL when out of memory. */
natprobe_go *natprobe_go_new(void);
void natprobe_go_free(natprobe_go *n);

/* These turn the callbacks on and off; what they do is decided in Go. */
int natprobe_go_set_log(natprobe_go *n, bool on, int32_t level);
int natprobe_go_set_events(natprobe_go *n, bool on);
int natprobe_go_set_socket(natprobe_go *n, int fd);

/* These may call back. */
int natprobe_go_run(natprobe_go *n, uintptr_t call, np_result *result);
int natprobe_go_start(natprobe_go *n, uintptr_t call);
int natprobe_go_process(natprobe_go *n, uintptr_t call, np_result *result);
int natprobe_go_check_and_log(const char *ip, uint16_t port, uintptr_t call);

/* A duplicate that is closed on exec; -1 with errno. */
int natprobe_go_duplicate(int fd);
/* Whether a descriptor is readable, or becomes so within a time. */
bool natprobe_go_is_readable(int fd, int timeout_ms);

#endif
