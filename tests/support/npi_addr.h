/* SPDX-License-Identifier: MIT */
/* The tests' own addresses as the library's, and back. For tests that see the library from within. */
#ifndef TESTS_SUPPORT_NPI_ADDR_H
#define TESTS_SUPPORT_NPI_ADDR_H

#include <string.h>

#include "addr.h"
#include "endpoint.h"

static inline endpoint endpoint_from_npi(const npi_addr *a)
{
    endpoint e = {.family = a->family, .port = a->port};
    memcpy(e.ip, a->ip, sizeof e.ip);
    return e;
}

static inline npi_addr npi_from_endpoint(const endpoint *e)
{
    npi_addr a = {.family = e->family, .port = e->port};
    memcpy(a.ip, e->ip, sizeof a.ip);
    return a;
}

#endif
