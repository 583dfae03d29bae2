/* SPDX-License-Identifier: MIT */
/* One poller behind another: epoll and kqueue can watch their like. */
#include "nest.h"

bool npi_nest_arm(npi_nest *n, npi_poller *outer, uint32_t tag, np_socket fd, void *handle)
{
    (void)handle;
    if (!n->is_armed)
        n->is_armed = npi_poller_watch(outer, fd, tag, NPI_WATCH_CONTENT);
    n->fd = fd;
    return n->is_armed;
}

void npi_nest_disarm(npi_nest *n, npi_poller *outer)
{
    if (n->is_armed)
        npi_poller_unwatch(outer, n->fd);
    *n = NPI_NEST_NONE;
}
