/* SPDX-License-Identifier: MIT */
/* What netlink and the routing socket share: reading notices, and the links that are down. */
#include "netchange.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "sockaddr.h"

#define NOTICE_ROOM 8192 /* more than one read of netlink gives, and than any message of a routing socket */

bool npi_netchange_is_used(const uint32_t used[NPI_NET_LINKS], uint32_t link)
{
    bool is_any_known = false;
    for (size_t i = 0; i < NPI_NET_LINKS; i++) {
        if (used[i] == link)
            return true;
        is_any_known |= used[i] != 0;
    }
    return !is_any_known;
}

static size_t find_down(const npi_netchange *n, uint32_t link)
{
    size_t i = 0;
    while (i < NPI_NET_DOWN && n->down[i] != link)
        i++;
    return i;
}

/* A link that nothing was told of was up: most notices about links change nothing. */
unsigned npi_netchange_note_link(npi_netchange *n, uint32_t link, bool is_up, const uint32_t used[NPI_NET_LINKS])
{
    size_t place = find_down(n, link);
    bool was_up = place == NPI_NET_DOWN;
    if (is_up == was_up)
        return NPI_NET_LOOK;
    if (is_up)
        n->down[place] = 0;
    else if ((place = find_down(n, 0)) < NPI_NET_DOWN)
        n->down[place] = link;
    return npi_netchange_is_used(used, link) ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK;
}

/* Notices that there was no room for may have been any. */
unsigned npi_netchange_drain(npi_netchange *n, const uint32_t used[NPI_NET_LINKS])
{
    union {
        uint8_t bytes[NOTICE_ROOM];
        uint64_t aligned;
    } room;
    unsigned seen = NPI_NET_QUIET;
    for (;;) {
        ssize_t got = recv(n->fd, room.bytes, sizeof room.bytes, MSG_DONTWAIT);
        if (got > 0)
            seen |= npi_netchange_parse(n, room.bytes, (size_t)got, used);
        else if (got < 0 && errno == ENOBUFS)
            seen |= NPI_NET_LOOK | NPI_NET_CUT;
        else if (got == 0 || errno != EINTR)
            return seen;
    }
}

#if defined(__ANDROID__) && __ANDROID_API__ < 24

uint32_t npi_netchange_link_of(const npi_addr *local)
{
    (void)local;
    return 0;
}

#else

uint32_t npi_netchange_link_of(const npi_addr *local)
{
    struct ifaddrs *all = NULL;
    uint32_t link = 0;
    if (getifaddrs(&all) != 0)
        return 0;
    for (const struct ifaddrs *one = all; one != NULL && link == 0; one = one->ifa_next) {
        if (one->ifa_addr == NULL)
            continue;
        npi_addr address = npi_addr_from_sockaddr(one->ifa_addr);
        if (npi_addr_is_set(&address) && npi_addr_same_ip(&address, local))
            link = if_nametoindex(one->ifa_name);
    }
    freeifaddrs(all);
    return link;
}

#endif
