/* SPDX-License-Identifier: MIT */
/* One thing to wait for behind another: what wakes a probe wakes the watch that owns it. */
#ifndef NPI_NEST_H
#define NPI_NEST_H

#include <stdbool.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "poller.h"

typedef struct npi_nest {
    bool is_armed;
    np_socket fd; /* what is waited for, on systems with descriptors */
    void *wait;   /* Windows: the wait for it */
} npi_nest;

#define NPI_NEST_NONE ((npi_nest){.is_armed = false})

/*
 * From here on the outer poller wakes whoever waits for it when there is something to do for the inner one: fd, or on
 * Windows handle. It has to be called again whenever that has been done. False with errno.
 */
bool npi_nest_arm(npi_nest *n, npi_poller *outer, uint32_t tag, np_socket fd, void *handle);
/* Before the inner one is closed. */
void npi_nest_disarm(npi_nest *n, npi_poller *outer);

#endif
