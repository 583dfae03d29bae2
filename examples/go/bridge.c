/* SPDX-License-Identifier: MIT */
#include "bridge.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "_cgo_export.h"

/* ---- From the library to Go -------------------------------------------------------------------------------------- */

static void on_log(void *user, int32_t level, const char *message)
{
    natprobeGoLog(((const natprobe_go *)user)->call, level, (char *)message);
}

static void on_event(void *user, const np_event *event)
{
    natprobeGoEvent(((const natprobe_go *)user)->call, (np_event *)event);
}

static void on_datagram(void *user, const void *data, size_t size, const void *address, size_t address_size)
{
    natprobeGoDatagram(((const natprobe_go *)user)->call, (void *)data, size, (void *)address, address_size);
}

/* ---- From Go to the library -------------------------------------------------------------------------------------- */

natprobe_go *natprobe_go_new(void)
{
    natprobe_go *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->probe = np_probe_new();
    if (n->probe != NULL)
        return n;
    free(n);
    return NULL;
}

void natprobe_go_free(natprobe_go *n)
{
    np_probe_free(n->probe);
    free(n);
}

int natprobe_go_set_log(natprobe_go *n, bool on, int32_t level)
{
    return np_probe_set_log(n->probe, on ? on_log : NULL, n, level);
}

int natprobe_go_set_events(natprobe_go *n, bool on)
{
    return np_probe_set_events(n->probe, on ? on_event : NULL, n);
}

int natprobe_go_set_socket(natprobe_go *n, int fd)
{
    return np_probe_set_socket(n->probe, fd, on_datagram, n);
}

int natprobe_go_run(natprobe_go *n, uintptr_t call, np_result *result)
{
    n->call = call;
    int error = np_probe_run(n->probe, result);
    n->call = 0;
    return error;
}

int natprobe_go_start(natprobe_go *n, uintptr_t call)
{
    n->call = call;
    int error = np_probe_start(n->probe);
    n->call = 0;
    return error;
}

int natprobe_go_process(natprobe_go *n, uintptr_t call, np_result *result)
{
    n->call = call;
    int error = np_probe_process(n->probe, result);
    n->call = 0;
    return error;
}

int natprobe_go_check_and_log(const char *ip, uint16_t port, uintptr_t call)
{
    natprobe_go n = {NULL, call};
    return np_check_nat_and_log(ip, port, call != 0 ? on_log : NULL, &n);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------- */

int natprobe_go_duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

bool natprobe_go_is_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}
