/* SPDX-License-Identifier: MIT */
//go:build !windows

#include "bridge.h"

#include <fcntl.h>
#include <poll.h>

int natprobe_go_duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

bool natprobe_go_is_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}
