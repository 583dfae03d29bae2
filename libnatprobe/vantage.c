/* SPDX-License-Identifier: MIT */
/* From which of its addresses this host would send to another. */
#include "vantage.h"

#include <errno.h>

#include "sockaddr.h"
#include "transport.h"

/* The source, if there is one, is of the family. */
static int open_like(const npi_vantage_socket *s, npi_family family, npi_socket *out)
{
    npi_failure failure;
    npi_addr source = s->source;
    if (npi_is_socket(s->socket))
        return npi_socket_adopt(out, s->socket, family, &failure);
    if (npi_addr_is_set(&source) && !npi_addr_find_scope(s->source_zone, &source))
        return errno == ENODEV ? NP_ERR_ADDRESS_NOT_AVAILABLE : NP_ERR_SYSTEM;
    source.family = (uint8_t)family;
    source.port = 0;
    return npi_socket_open_on(out, &source, s->interface, &failure);
}

/* What the system says where it lacks something else than a way. */
static int why_not(const npi_failure *failure)
{
    switch (failure->os_error) {
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENODEV:
    case EACCES: /* a route that prohibits */
        return NP_ERR_NETWORK_UNREACHABLE;
    case EADDRNOTAVAIL:
        return NP_ERR_ADDRESS_NOT_AVAILABLE;
    default:
        return NP_ERR_SYSTEM;
    }
}

int npi_vantage_towards(const npi_vantage_socket *s, const npi_addr *target, npi_addr *local)
{
    npi_socket socket = NPI_SOCKET_CLOSED;
    npi_failure failure;
    int error = open_like(s, (npi_family)target->family, &socket);
    if (error == NP_OK && !npi_local_address_for(&socket, target, local, &failure))
        error = why_not(&failure);
    npi_socket_close(&socket);
    if (error == NP_OK)
        local->port = 0;
    return error;
}
