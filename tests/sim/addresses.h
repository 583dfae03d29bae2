/* SPDX-License-Identifier: MIT */
/* Addresses of the simulated network as the library has them, and back. */
#ifndef SIM_ADDRESSES_H
#define SIM_ADDRESSES_H

#include <string.h>

#include "../support/endpoint.h"
#include "addr.h"

static inline npi_addr to_library(const endpoint *e)
{
    npi_addr a;
    memset(&a, 0, sizeof a);
    a.family = e->family;
    memcpy(a.ip, e->ip, sizeof a.ip);
    a.port = e->port;
    return a;
}

static inline endpoint from_library(const npi_addr *a)
{
    endpoint e = {.family = a->family, .port = a->port};
    memcpy(e.ip, a->ip, sizeof e.ip);
    return e;
}

#endif
