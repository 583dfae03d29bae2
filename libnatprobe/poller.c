/* SPDX-License-Identifier: MIT */
/* What the pollers of all systems share: opening and closing, the wake-up, and waiting. */
#include "poller.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

int npi_poller_open(npi_poller *p, npi_failure *failure)
{
    *p = NPI_POLLER_CLOSED;
    *failure = NPI_FAILURE_NONE;
    const char *call = npi_poller_open_parts(p);
    if (call == NULL)
        return NP_OK;
    *failure = npi_failure_of(call);
    npi_poller_close(p);
    return failure->os_error == ENOMEM ? NP_ERR_NO_MEMORY : NP_ERR_SYSTEM;
}

static void close_one(int fd)
{
    if (fd >= 0)
        close(fd);
}

void npi_poller_close(npi_poller *p)
{
    close_one(p->fd);
    close_one(p->timer_fd);
    close_one(p->wake_fd);
    if (p->wake_read_fd != p->wake_fd)
        close_one(p->wake_read_fd);
    *p = NPI_POLLER_CLOSED;
}

void npi_poller_wake(npi_wake wake_fd)
{
    static const uint64_t one = 1; /* an eventfd takes eight bytes, a pipe anything */
    int kept = errno;
    /* Where there is no room for more, the reader is about to wake as it is. */
    while (write(wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = kept;
}

static bool wait_for(struct pollfd *fds, nfds_t count)
{
    return poll(fds, count, -1) >= 0 || errno == EINTR;
}

bool npi_poller_wait(const npi_poller *p)
{
    struct pollfd fd = {.fd = p->fd, .events = POLLIN};
    return wait_for(&fd, 1);
}

bool npi_poller_wait_either(const npi_poller *p, const npi_poller *q)
{
    struct pollfd fds[] = {{.fd = p->fd, .events = POLLIN}, {.fd = q->fd, .events = POLLIN}};
    return wait_for(fds, 2);
}
