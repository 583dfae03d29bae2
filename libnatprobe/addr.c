/* SPDX-License-Identifier: MIT */
/* Transport addresses: comparison, classes, text. */
#include "addr.h"

#include <stdio.h>
#include <string.h>

#ifdef _WIN32
#include "addr_windows.h"
#else
#include <arpa/inet.h>  /* inet_pton and inet_ntop: pure functions */
#include <sys/socket.h> /* AF_INET, AF_INET6 */
#endif

npi_addr npi_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (npi_addr){.family = NPI_IPV4, .ip = {a, b, c, d}, .port = port};
}

bool npi_addr_is_set(const npi_addr *a)
{
    return a->family != NPI_FAMILY_NONE;
}

bool npi_addr_same_ip(const npi_addr *a, const npi_addr *b)
{
    bool one_link = a->scope == b->scope || a->scope == 0 || b->scope == 0;
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0 && one_link;
}

bool npi_addr_equal(const npi_addr *a, const npi_addr *b)
{
    return npi_addr_same_ip(a, b) && a->port == b->port;
}

bool npi_addr_is_other_ip(const npi_addr *a, const npi_addr *b)
{
    return npi_addr_is_set(a) && npi_addr_is_set(b) && !npi_addr_same_ip(a, b);
}

bool npi_addr_are_neighbours(const npi_addr *a, const npi_addr *b)
{
    const size_t network = a->family == NPI_IPV4 ? 3 : 6; /* bytes */
    return a->family == b->family && memcmp(a->ip, b->ip, network) == 0;
}

npi_addr npi_addr_with_port(const npi_addr *a, uint16_t port)
{
    npi_addr with = *a;
    with.port = port;
    return with;
}

bool npi_addr_lacks_scope(const npi_addr *a)
{
    return a->family == NPI_IPV6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80 && a->scope == 0;
}

npi_addr npi_addr_with_scope(const npi_addr *a, uint32_t scope)
{
    npi_addr with = *a;
    if (npi_addr_lacks_scope(a))
        with.scope = scope;
    return with;
}

npi_addr npi_addr_unmap(const npi_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291 section 2.5.5.2 */
    if (a->family != NPI_IPV6 || memcmp(a->ip, prefix, sizeof prefix) != 0)
        return *a;
    return npi_addr_v4(a->ip[12], a->ip[13], a->ip[14], a->ip[15], a->port);
}

typedef struct block {
    uint8_t ip[2]; /* the rest of the prefix, if any, is zero */
    uint8_t bits;
    npi_addr_class class;
} block;

static bool is_in_block(const npi_addr *a, const block *b)
{
    unsigned prefix = (unsigned)b->ip[0] << 8 | b->ip[1];
    unsigned start = (unsigned)a->ip[0] << 8 | a->ip[1];
    return (start ^ prefix) >> (16 - b->bits) == 0;
}

static npi_addr_class classify_in(const npi_addr *a, const block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_in_block(a, &blocks[i]))
            return blocks[i].class;
    }
    return NPI_CLASS_GLOBAL;
}

static npi_addr_class classify_v4(const npi_addr *a)
{
    static const block blocks[] = {
        {{0, 0}, 8, NPI_CLASS_UNSPECIFIED},  {{10, 0}, 8, NPI_CLASS_PRIVATE},        {{100, 64}, 10, NPI_CLASS_PRIVATE},
        {{127, 0}, 8, NPI_CLASS_LOOPBACK},   {{169, 254}, 16, NPI_CLASS_LINK_LOCAL}, {{172, 16}, 12, NPI_CLASS_PRIVATE},
        {{192, 168}, 16, NPI_CLASS_PRIVATE}, {{224, 0}, 4, NPI_CLASS_MULTICAST},     {{240, 0}, 4, NPI_CLASS_RESERVED},
    };
    return classify_in(a, blocks, sizeof blocks / sizeof blocks[0]);
}

static npi_addr_class classify_v6(const npi_addr *a)
{
    static const block blocks[] = {
        {{0xfc, 0}, 7, NPI_CLASS_PRIVATE},
        {{0xfe, 0x80}, 10, NPI_CLASS_LINK_LOCAL},
        {{0xff, 0}, 8, NPI_CLASS_MULTICAST},
    };
    static const uint8_t zeros[15];
    if (memcmp(a->ip, zeros, sizeof zeros) == 0 && a->ip[15] <= 1)
        return a->ip[15] == 0 ? NPI_CLASS_UNSPECIFIED : NPI_CLASS_LOOPBACK;
    return classify_in(a, blocks, sizeof blocks / sizeof blocks[0]);
}

static bool begins_with(const npi_addr *a, npi_family family, const uint8_t *prefix, size_t size)
{
    return a->family == family && memcmp(a->ip, prefix, size) == 0;
}

/*
 * The IPv4 address to which a router or a translator on the way takes what is sent to an IPv6 address: 6to4 (RFC 3056),
 * NAT64 (RFC 6052) and IPv4-compatible (RFC 4291 section 2.5.5.1). Family none when there is none.
 */
static npi_addr carried_v4(const npi_addr *a)
{
    const uint8_t *ip = NULL;
    if (begins_with(a, NPI_IPV6, (const uint8_t[]){0x20, 0x02}, 2))
        ip = a->ip + 2;
    else if (begins_with(a, NPI_IPV6, (const uint8_t[12]){0x00, 0x64, 0xff, 0x9b}, 12) ||
             begins_with(a, NPI_IPV6, (const uint8_t[12]){0}, 12))
        ip = a->ip + 12;
    return ip != NULL ? npi_addr_v4(ip[0], ip[1], ip[2], ip[3], a->port) : (npi_addr){.family = NPI_FAMILY_NONE};
}

npi_addr_class npi_addr_classify(const npi_addr *a)
{
    npi_addr plain = npi_addr_unmap(a);
    if (plain.family == NPI_IPV4)
        return classify_v4(&plain);
    if (plain.family != NPI_IPV6)
        return NPI_CLASS_RESERVED;
    npi_addr_class class = classify_v6(&plain);
    npi_addr carried = carried_v4(&plain);
    return class == NPI_CLASS_GLOBAL && npi_addr_is_set(&carried) ? classify_v4(&carried) : class;
}

bool npi_addr_is_example(const npi_addr *a)
{
    npi_addr plain = npi_addr_unmap(a);
    return begins_with(&plain, NPI_IPV4, (const uint8_t[]){192, 0, 2}, 3) ||
           begins_with(&plain, NPI_IPV4, (const uint8_t[]){198, 51, 100}, 3) ||
           begins_with(&plain, NPI_IPV4, (const uint8_t[]){203, 0, 113}, 3) ||
           begins_with(&plain, NPI_IPV4, (const uint8_t[]){198, 18}, 2) ||
           begins_with(&plain, NPI_IPV4, (const uint8_t[]){198, 19}, 2) ||
           begins_with(&plain, NPI_IPV6, (const uint8_t[]){0x20, 0x01, 0x0d, 0xb8}, 4) ||
           begins_with(&plain, NPI_IPV6, (const uint8_t[]){0x20, 0x01, 0x00, 0x02, 0x00, 0x00}, 6);
}

bool npi_addr_is_any(const npi_addr *a)
{
    static const uint8_t zeros[sizeof a->ip];
    return npi_addr_is_set(a) && memcmp(a->ip, zeros, sizeof zeros) == 0;
}

bool npi_addr_is_destination(const npi_addr *a)
{
    if (a->port == 0)
        return false;
    npi_addr_class class = npi_addr_classify(a);
    return class != NPI_CLASS_UNSPECIFIED && class != NPI_CLASS_MULTICAST && class != NPI_CLASS_RESERVED;
}

/*
 * Ports to which a server must not be able to direct this host. A real alternate port is next to 3478, or one that
 * firewalls let pass; to refuse a good one costs one server, to accept a bad one makes this host a reflector.
 */
static bool is_port_refused(uint16_t port)
{
    static const uint16_t refused[] = {
        1434,               /* SQL Server Browser: amplifies */
        1701,  1812,  1813, /* L2TP, RADIUS: failed log-ins are counted against the sender */
        1900,               /* SSDP: amplifies */
        2049,               /* NFS */
        2123,  2152,        /* GTP: amplifies, and speaks for subscribers */
        3283,  3389,        /* Apple Remote Desktop, RDP: amplify */
        3702,               /* WS-Discovery: amplifies */
        4500,               /* IPsec through NAT */
        5060,  5061,        /* SIP: logs, bans and calls */
        5093,               /* Sentinel licence server: amplifies */
        5351,  5353,  5355, /* NAT-PMP and PCP: opens ports of a router; mDNS and LLMNR: amplify */
        5683,  5684,        /* CoAP: amplifies */
        10001, 10074,       /* Ubiquiti discovery, MiCollab TP-240: amplify */
        11211,              /* memcached: amplifies fifty thousand times */
        17185,              /* VxWorks debug agent */
        27015, 27960,       /* Source and Quake game servers: amplify */
        32414,              /* Plex discovery: amplifies */
        37810, 47808,       /* DVR discovery: amplifies; BACnet: building controls */
    };
    /* System ports (RFC 6335) are other services': DNS, NTP, SNMP, IKE. Only those of the web also serve STUN. */
    if (port < 1024)
        return port != 80 && port != 443;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (port == refused[i])
            return true;
    }
    return false;
}

bool npi_addr_is_alternate(const npi_addr *server, const npi_addr *alternate)
{
    /* Unmapped, so that one address in two notations is not taken for two (or for another family). */
    npi_addr a = npi_addr_unmap(server);
    npi_addr b = npi_addr_unmap(alternate);
    if (!npi_addr_is_destination(&b) || a.family != b.family)
        return false;
    if (npi_addr_same_ip(&a, &b) || a.port == b.port || is_port_refused(b.port))
        return false;
    npi_addr_class class = npi_addr_classify(&b);
    return class == NPI_CLASS_GLOBAL || class == npi_addr_classify(&a);
}

const char *npi_addr_zone(const char *literal)
{
    const char *found = strchr(literal, '%');
    return found != NULL ? found + 1 : "";
}

/* Any name that an interface may have, or a number. */
static bool is_zone(const char *text)
{
    size_t length = 0;
    for (; text[length] != '\0'; length++) {
        if (length == NPI_ADDR_ZONE - 1 || text[length] <= ' ' || text[length] > '~' || text[length] == '/')
            return false;
    }
    return length > 0;
}

#ifdef _WIN32

static bool ip_from_text(npi_family family, const char *text, uint8_t *out)
{
    return family == NPI_IPV4 ? npi_ipv4_from_text(text, out) : npi_ipv6_from_text(text, out);
}

static bool ip_to_text(const npi_addr *a, char out[NPI_ADDR_IP_TEXT])
{
    if (a->family == NPI_IPV4)
        npi_ipv4_to_text(a->ip, out, NPI_ADDR_IP_TEXT);
    else
        npi_ipv6_to_text(a->ip, out, NPI_ADDR_IP_TEXT);
    return true;
}

#else

_Static_assert(NPI_ADDR_IP_TEXT >= INET6_ADDRSTRLEN, "room for the longest text");

static bool ip_from_text(npi_family family, const char *text, uint8_t *out)
{
    return inet_pton(family == NPI_IPV4 ? AF_INET : AF_INET6, text, out) == 1;
}

static bool ip_to_text(const npi_addr *a, char out[NPI_ADDR_IP_TEXT])
{
    return inet_ntop(a->family == NPI_IPV4 ? AF_INET : AF_INET6, a->ip, out, NPI_ADDR_IP_TEXT) != NULL;
}

#endif

static bool parse_ipv6(const char *text, npi_addr *out)
{
    char ip[NPI_ADDR_IP_TEXT];
    const char *zone = strchr(text, '%');
    size_t length = zone != NULL ? (size_t)(zone - text) : strlen(text);
    if (length >= sizeof ip)
        return false;
    memcpy(ip, text, length);
    ip[length] = '\0';
    *out = (npi_addr){.family = NPI_IPV6};
    if (!ip_from_text(NPI_IPV6, ip, out->ip))
        return false;
    return zone == NULL || (npi_addr_lacks_scope(out) && is_zone(zone + 1));
}

bool npi_addr_parse_ip(const char *text, npi_addr *out)
{
    npi_addr parsed = {.family = NPI_IPV4};
    bool valid = ip_from_text(NPI_IPV4, text, parsed.ip) || parse_ipv6(text, &parsed);
    if (valid)
        *out = parsed;
    return valid;
}

void npi_addr_format_ip(const npi_addr *a, char out[NPI_ADDR_IP_TEXT])
{
    if (!npi_addr_is_set(a) || !ip_to_text(a, out))
        out[0] = '\0';
    if (a->scope == 0 || out[0] == '\0')
        return;
    char scope[sizeof "%4294967295"];
    (void)snprintf(scope, sizeof scope, "%%%u", (unsigned)a->scope);
    size_t length = strlen(out);
    if (length + strlen(scope) < NPI_ADDR_IP_TEXT)
        memcpy(out + length, scope, strlen(scope) + 1);
}

void npi_addr_format(const npi_addr *a, char out[NPI_ADDR_TEXT])
{
    char ip[NPI_ADDR_IP_TEXT];
    npi_addr_format_ip(a, ip);
    if (ip[0] == '\0')
        out[0] = '\0';
    else
        snprintf(out, NPI_ADDR_TEXT, a->family == NPI_IPV6 ? "[%s]:%u" : "%s:%u", ip, (unsigned)a->port);
}
