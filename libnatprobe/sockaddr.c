/* SPDX-License-Identifier: MIT */
/* Addresses as the system has them. */
#include "sockaddr.h"

#include <string.h>

socklen_t npi_sockaddr_from(const npi_addr *from, npi_sockaddr *to)
{
    memset(to, 0, sizeof *to);
    if (from->family == NPI_IPV4) {
        to->in4.sin_family = AF_INET;
        to->in4.sin_port = htons(from->port);
        memcpy(&to->in4.sin_addr, from->ip, sizeof to->in4.sin_addr);
        return sizeof to->in4;
    }
    if (from->family == NPI_IPV6) {
        to->in6.sin6_family = AF_INET6;
        to->in6.sin6_port = htons(from->port);
        memcpy(&to->in6.sin6_addr, from->ip, sizeof to->in6.sin6_addr);
        to->in6.sin6_scope_id = from->scope;
        return sizeof to->in6;
    }
    return 0;
}

npi_addr npi_addr_from_sockaddr(const struct sockaddr *from)
{
    npi_addr to = {.family = NPI_FAMILY_NONE};
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, from, sizeof in4);
        to.family = NPI_IPV4;
        to.port = ntohs(in4.sin_port);
        memcpy(to.ip, &in4.sin_addr, sizeof in4.sin_addr);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof in6);
        to.family = NPI_IPV6;
        to.port = ntohs(in6.sin6_port);
        memcpy(to.ip, &in6.sin6_addr, sizeof in6.sin6_addr);
        to = npi_addr_with_scope(&to, in6.sin6_scope_id);
    }
    return to;
}
