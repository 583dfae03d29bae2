/* SPDX-License-Identifier: MIT */
/* What the pollers of all systems share: the wake-up, and waiting. */
#include "poller.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

void npi_poller_wake(int wake_fd)
{
    static const uint64_t one = 1; /* an eventfd takes eight bytes, a pipe anything */
    int kept = errno;
    /* Where there is no room for more, the reader is about to wake as it is. */
    while (write(wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = kept;
}

void npi_poller_wait(const npi_poller *p)
{
    struct pollfd fd = {.fd = p->fd, .events = POLLIN};
    (void)poll(&fd, 1, -1);
}
