/* SPDX-License-Identifier: MIT */
/*
 * The gateway on macOS and the BSDs: the whole table of routes, by sysctl(3). A routing socket would answer for one
 * address alone, but may answer late, and a turn never waits. iOS has no header for either.
 */
#include "gateway.h"

#include <stddef.h>

#if defined(__has_include)
#if !__has_include(<net/route.h>)
#define HAS_NO_TABLE
#endif
#endif

#ifdef HAS_NO_TABLE

bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway)
{
    (void)way;
    (void)gateway;
    return false;
}

#else

#include <sys/types.h>

#include <sys/param.h>
#include <sys/socket.h>
#include <sys/sysctl.h>

#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "route_table.h"

/* What is larger is the table of a router of the internet's. */
#define TABLE_MAX (4U << 20)
/* The table may grow between the two calls. */
#define TRIES 3

_Static_assert(AF_INET == 2 && RTF_UP == 0x1 && RTF_GATEWAY == 0x2 && RTF_HOST == 0x4 && RTF_REJECT == 0x8 &&
                   RTF_BLACKHOLE == 0x1000 && RTA_DST == 0x1 && RTA_GATEWAY == 0x2 && RTA_NETMASK == 0x4,
               "as route_table.c has them");
_Static_assert(offsetof(struct rt_msghdr, rtm_msglen) == 0 && offsetof(struct rt_msghdr, rtm_version) == 2,
               "as route_table.c has them");

/* Between the addresses of a message: as each system's kernel has it. */
#if defined(__APPLE__)
#define ALIGN_OF_NAMES sizeof(uint32_t)
#elif defined(__NetBSD__)
#define ALIGN_OF_NAMES sizeof(uint64_t)
#else
#define ALIGN_OF_NAMES sizeof(long)
#endif

static const npi_route_layout layout = {
    .version = RTM_VERSION,
    .header_size = sizeof(struct rt_msghdr),
#if defined(__OpenBSD__)
    .length_at = offsetof(struct rt_msghdr, rtm_hdrlen),
    .priority_at = offsetof(struct rt_msghdr, rtm_priority),
#endif
    .index_at = offsetof(struct rt_msghdr, rtm_index),
    .flags_at = offsetof(struct rt_msghdr, rtm_flags),
    .addrs_at = offsetof(struct rt_msghdr, rtm_addrs),
    .align = ALIGN_OF_NAMES,
#if defined(RTF_IFSCOPE)
    .scoped = RTF_IFSCOPE,
#endif
};

/* The table in memory to be freed; NULL when it cannot be had. */
static uint8_t *read_table(size_t *size)
{
    int name[] = {CTL_NET, PF_ROUTE, 0, AF_INET, NET_RT_DUMP, 0};
    for (int i = 0; i < TRIES; i++) {
        if (sysctl(name, sizeof name / sizeof name[0], NULL, size, NULL, 0) != 0 || *size == 0 || *size > TABLE_MAX)
            return NULL;
        uint8_t *table = malloc(*size);
        if (table == NULL || sysctl(name, sizeof name / sizeof name[0], table, size, NULL, 0) == 0)
            return table;
        free(table);
    }
    return NULL;
}

/* The interface that a socket is tied to. */
static uint32_t interface_of(const npi_gateway_way *way)
{
#if defined(IP_BOUND_IF)
    unsigned index = 0;
    socklen_t length = sizeof index;
    if (getsockopt(way->fd, IPPROTO_IP, IP_BOUND_IF, &index, &length) == 0 && index != 0)
        return index;
#endif
    return way->link;
}

bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway)
{
    size_t size = 0;
    uint8_t *table = way->to.family == NPI_IPV4 ? read_table(&size) : NULL;
    if (table == NULL)
        return false;
    bool is_found = npi_route_table_gateway(&layout, table, size, &way->to, interface_of(way), gateway);
    free(table);
    return is_found;
}

#endif
