/* SPDX-License-Identifier: MIT */
/* The gateway on Windows, by GetBestRoute2(): the route for one address, by the socket's interface if it has one. */
#include "gateway.h"

#include <string.h>

#include "sockaddr.h"

#include <iphlpapi.h>

/* Windows keeps the index of an interface for IPv4 in network order, and has handed it out in either. */
static NET_IFINDEX interface_of(const npi_gateway_way *way)
{
    DWORD value = 0;
    int length = sizeof value;
    if (getsockopt(way->fd, IPPROTO_IP, IP_UNICAST_IF, (char *)&value, &length) != 0 || value == 0)
        return way->link;
    return (value & 0xffffffU) == value ? value : ntohl(value);
}

static SOCKADDR_INET name_of(const npi_addr *a)
{
    npi_sockaddr from;
    SOCKADDR_INET to;
    memset(&to, 0, sizeof to);
    (void)npi_sockaddr_from(a, &from);
    to.Ipv4 = from.in4;
    return to;
}

/* A route without a router has the address 0.0.0.0 in its place. */
bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway)
{
    MIB_IPFORWARD_ROW2 route;
    SOCKADDR_INET best;
    if (way->to.family != NPI_IPV4 || way->from.family != NPI_IPV4)
        return false;
    SOCKADDR_INET from = name_of(&way->from);
    SOCKADDR_INET to = name_of(&way->to);
    bool is_bound = !npi_addr_is_any(&way->from);
    memset(&route, 0, sizeof route);
    if (GetBestRoute2(NULL, interface_of(way), is_bound ? &from : NULL, &to, 0, &route, &best) != NO_ERROR)
        return false;
    npi_addr hop = npi_addr_from_sockaddr((const struct sockaddr *)&route.NextHop.Ipv4);
    hop.port = 0;
    bool is_router = hop.family == NPI_IPV4 && !npi_addr_is_any(&hop);
    if (is_router)
        *gateway = hop;
    return is_router;
}
