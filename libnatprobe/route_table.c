/* SPDX-License-Identifier: MIT */
/* The table of routes of macOS and the BSDs. */
#include "route_table.h"

#include <string.h>

/* The same on all of them; gateway_bsd.c compares. */
#define FAMILY_IPV4 2
#define FLAG_UP 0x1u
#define FLAG_GATEWAY 0x2u
#define FLAG_HOST 0x4u
#define FLAG_REJECT 0x8u
#define FLAG_BLACKHOLE 0x1000u
/* The first three addresses of a message, in this order. */
#define HAS_DESTINATION 0x1u
#define HAS_GATEWAY 0x2u
#define HAS_MASK 0x4u
/* Of a socket address: its length, its family, and where IPv4 has the address. */
#define NAME_FAMILY_AT 1
#define NAME_IP_AT 4
#define IP_SIZE 4
/* A message begins with its size, its version and its type. */
#define MESSAGE_VERSION_AT 2
#define MESSAGE_START 4

typedef struct route {
    uint32_t network, mask, hop; /* as numbers */
    bool has_hop;                /* an address of IPv4 */
    uint32_t flags;
    uint32_t link;
    uint8_t priority;
} route;

static uint16_t u16_at(const uint8_t *message, size_t at)
{
    uint16_t value;
    memcpy(&value, message + at, sizeof value);
    return value;
}

static uint32_t u32_at(const uint8_t *message, size_t at)
{
    uint32_t value;
    memcpy(&value, message + at, sizeof value);
    return value;
}

static uint32_t number_of(const uint8_t ip[IP_SIZE])
{
    return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
}

/* What is left of a message. */
typedef struct rest {
    const uint8_t *at;
    size_t size;
} rest;

/* The next address, without the zeros at its end: masks are cut there. True when it is one of IPv4. */
static bool take_name(rest *r, size_t align, uint32_t *ip)
{
    uint8_t bytes[IP_SIZE] = {0};
    *ip = 0;
    if (r->size == 0)
        return false;
    size_t length = r->at[0];
    size_t room = length == 0 ? align : (length + align - 1) / align * align;
    if (length > r->size)
        length = r->size;
    if (length > NAME_IP_AT)
        memcpy(bytes, r->at + NAME_IP_AT, length - NAME_IP_AT < IP_SIZE ? length - NAME_IP_AT : IP_SIZE);
    bool is_ipv4 = length >= NAME_IP_AT + IP_SIZE && r->at[NAME_FAMILY_AT] == FAMILY_IPV4;
    if (room > r->size)
        room = r->size;
    r->at += room;
    r->size -= room;
    *ip = number_of(bytes);
    return is_ipv4;
}

/* False for what is no route to addresses of IPv4. */
static bool read_route(const npi_route_layout *l, const uint8_t *message, size_t size, route *out)
{
    size_t header = l->length_at != 0 ? u16_at(message, l->length_at) : l->header_size;
    if (header < l->header_size || header > size || message[MESSAGE_VERSION_AT] != l->version)
        return false;
    uint32_t addrs = u32_at(message, l->addrs_at);
    rest names = {message + header, size - header};
    *out = (route){.mask = UINT32_MAX, .flags = u32_at(message, l->flags_at), .link = u16_at(message, l->index_at)};
    if (l->priority_at != 0)
        out->priority = message[l->priority_at];
    bool is_route = (addrs & HAS_DESTINATION) != 0 && (out->flags & FLAG_UP) != 0;
    if (!is_route || !take_name(&names, l->align, &out->network))
        return false;
    if ((addrs & HAS_GATEWAY) != 0)
        out->has_hop = take_name(&names, l->align, &out->hop);
    if ((addrs & HAS_MASK) != 0)
        (void)take_name(&names, l->align, &out->mask); /* its family may be anything */
    if ((out->flags & FLAG_HOST) != 0)
        out->mask = UINT32_MAX;
    return true;
}

static bool is_for(const npi_route_layout *l, const route *r, uint32_t to, uint32_t link)
{
    if (link != 0 ? r->link != link : (r->flags & l->scoped) != 0)
        return false;
    return ((r->network ^ to) & r->mask) == 0;
}

/* Above 0: a comes before b. 0: nothing here tells which of them is used. */
static int compare(const route *a, const route *b)
{
    if (a->mask != b->mask)
        return a->mask > b->mask ? 1 : -1;
    return (int)b->priority - (int)a->priority;
}

static bool leads_elsewhere(const route *a, const route *b)
{
    return a->has_hop != b->has_hop || a->hop != b->hop || ((a->flags ^ b->flags) & FLAG_GATEWAY) != 0;
}

/* The best route, and whether it is the only one. False when there is none. */
static bool find(const npi_route_layout *l, const uint8_t *table, size_t size, uint32_t to, uint32_t link, route *best)
{
    bool is_found = false;
    bool is_clear = false;
    size_t length;
    memset(best, 0, sizeof *best);
    for (const uint8_t *at = table; size >= MESSAGE_START; at += length, size -= length) {
        route r;
        length = u16_at(at, 0);
        if (length < MESSAGE_START || length > size)
            return false; /* what comes behind cannot be found */
        if (length < l->header_size || !read_route(l, at, length, &r) || !is_for(l, &r, to, link))
            continue;
        int order = is_found ? compare(&r, best) : 1;
        if (order > 0)
            *best = r;
        is_clear = order > 0 || (is_clear && (order < 0 || !leads_elsewhere(&r, best)));
        is_found = true;
    }
    return is_found && is_clear;
}

bool npi_route_table_gateway(const npi_route_layout *layout, const uint8_t *table, size_t size, const npi_addr *to,
                             uint32_t link, npi_addr *gateway)
{
    route best;
    if (to->family != NPI_IPV4 || !find(layout, table, size, number_of(to->ip), link, &best))
        return false;
    bool is_used = (best.flags & (FLAG_GATEWAY | FLAG_REJECT | FLAG_BLACKHOLE)) == FLAG_GATEWAY;
    if (!is_used || !best.has_hop)
        return false;
    *gateway = npi_addr_v4((uint8_t)(best.hop >> 24), (uint8_t)(best.hop >> 16), (uint8_t)(best.hop >> 8),
                           (uint8_t)best.hop, 0);
    return true;
}
