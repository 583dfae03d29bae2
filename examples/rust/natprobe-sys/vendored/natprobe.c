/* SPDX-License-Identifier: MIT */
/*
 * libnatprobe 0.4.0 in one file, made from its sources by libnatprobe/amalgamation/amalgamate.py. Do not edit it.
 *
 * Compile it as C11 or later, with -pthread, and preferably with -fvisibility=hidden. On Windows define NP_STATIC for it and
 * for the program.
 *
 * MIT License
 *
 * Copyright (c) 2026 The libnatprobe authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy
 * of this software and associated documentation files (the "Software"), to deal
 * in the Software without restriction, including without limitation the rights
 * to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 * copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all
 * copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#if defined(_WIN32) && !defined(_WIN32_WINNT)
#define _WIN32_WINNT 0x0A00
#endif
#if defined(_WIN32) && !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN
#endif
#if defined(__APPLE__) && !defined(__APPLE_USE_RFC_3542)
#define __APPLE_USE_RFC_3542 /* before the first header of the system */
#endif
/* What is decided from probabilities is decided alike everywhere: no a*b+c is rounded once where others round twice. */
#if defined(__clang__) || !defined(__GNUC__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include "natprobe.h"

/* ---- addr.c -------------------- */

/* Transport addresses: comparison, classes, text. */
/* Transport addresses and the classes they belong to. No sockaddr: that is the transport's. */
#ifndef NPI_ADDR_H
#define NPI_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#define NPI_ADDR_IP_TEXT 46 /* as NP_IP_TEXT_SIZE */
#define NPI_ADDR_TEXT 64    /* "[" IPv6 "%" scope "]:65535" and the terminator */
#define NPI_ADDR_ZONE 16    /* the name of an interface (IFNAMSIZ) and the terminator */

typedef enum npi_family { NPI_FAMILY_NONE = 0, NPI_IPV4 = 4, NPI_IPV6 = 6 } npi_family;

/* Unused bytes of ip are zero, so that two addresses can be compared whole. */
typedef struct npi_addr {
    uint8_t family; /* npi_family */
    uint8_t ip[16]; /* network order, 4 or 16 bytes used */
    uint16_t port;
    uint32_t scope; /* index of the interface on whose link a link-local IPv6 address is; 0: not known, or no such */
} npi_addr;

typedef enum npi_addr_class {
    NPI_CLASS_GLOBAL = 0,  /* all that is in none of the others, documentation and benchmark ranges included */
    NPI_CLASS_PRIVATE,     /* RFC 1918, shared space 100.64/10 (RFC 6598), unique local fc00::/7 */
    NPI_CLASS_LOOPBACK,    /* 127/8, ::1 */
    NPI_CLASS_LINK_LOCAL,  /* 169.254/16, fe80::/10 */
    NPI_CLASS_UNSPECIFIED, /* 0/8, :: */
    NPI_CLASS_MULTICAST,   /* 224/4, ff00::/8 */
    NPI_CLASS_RESERVED     /* 240/4 with the broadcast address, and no address at all */
} npi_addr_class;

npi_addr npi_addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
bool npi_addr_is_set(const npi_addr *a);
bool npi_addr_equal(const npi_addr *a, const npi_addr *b);
/*
 * Of one family, and on one link as far as is known. A server cannot tell the scope of an address that it reports, so
 * one whose link is not known equals any on any link.
 */
bool npi_addr_same_ip(const npi_addr *a, const npi_addr *b);
/*
 * In one network: a /24 or a /48. The addresses of one NAT's pool are; those of two lines, or of a server that is
 * wrong, are hardly.
 */
bool npi_addr_are_neighbours(const npi_addr *a, const npi_addr *b);
/* Both are known, and they are not the same IP address. */
bool npi_addr_is_other_ip(const npi_addr *a, const npi_addr *b);
npi_addr npi_addr_with_port(const npi_addr *a, uint16_t port);
/* A link-local IPv6 address of which it is not known on which link it is. */
bool npi_addr_lacks_scope(const npi_addr *a);
/* A link-local IPv6 address gets the scope if it has none. Any other stays as it is: it needs none. */
npi_addr npi_addr_with_scope(const npi_addr *a, uint32_t scope);
/* ::ffff:a.b.c.d becomes a.b.c.d; anything else stays as it is. */
npi_addr npi_addr_unmap(const npi_addr *a);
/* The class of the unmapped address; of one that carries an IPv4 address (6to4, NAT64) the class of that. */
npi_addr_class npi_addr_classify(const npi_addr *a);
/* True for the ranges set aside for documentation and benchmarks (RFC 5737, 2544, 3849, 5180): global in class only. */
bool npi_addr_is_example(const npi_addr *a);
/* True for 0.0.0.0 and :: exactly. */
bool npi_addr_is_any(const npi_addr *a);
/* True when a datagram may be sent there at a user's request: a port, and an address that is one host's. */
bool npi_addr_is_destination(const npi_addr *a);
/*
 * True when a datagram may be sent to the alternate address that a server named (RFC 5780 section 7.4): same family,
 * both IP address and port differ from the server's, the class is global or the server's own, and the port is none
 * on which other UDP services would suffer from (or amplify) what they are sent.
 */
bool npi_addr_is_alternate(const npi_addr *server, const npi_addr *alternate);
/*
 * Reads an IPv4 or IPv6 literal without brackets; port and scope become 0. A link-local IPv6 address may have a zone
 * ("fe80::1%eth0", RFC 4007 section 11), which only the system can make a scope of (sockaddr.h).
 */
bool npi_addr_parse_ip(const char *text, npi_addr *out);
/* What stands behind the "%" of a literal; empty when there is none. */
const char *npi_addr_zone(const char *literal);
/* "192.0.2.1" / "2001:db8::1" / "fe80::1%2"; without the scope where that does not fit; empty for no address. */
void npi_addr_format_ip(const npi_addr *a, char out[NPI_ADDR_IP_TEXT]);
/* "192.0.2.1:3478" / "[2001:db8::1]:3478" / "[fe80::1%2]:3478"; empty for no address. */
void npi_addr_format(const npi_addr *a, char out[NPI_ADDR_TEXT]);

#endif

#include <stdio.h>
#include <string.h>

#ifdef _WIN32
/* IP addresses and their text where the system's own conversion is no pure function (Windows). */
#ifndef NPI_ADDR_WINDOWS_H
#define NPI_ADDR_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As inet_pton() of POSIX: the whole text, or false. */
bool npi_ipv4_from_text(const char *text, uint8_t out[4]);
bool npi_ipv6_from_text(const char *text, uint8_t out[16]);
/* As inet_ntop() of POSIX (RFC 5952). Room for the longest text: 16 and 46. */
void npi_ipv4_to_text(const uint8_t ip[4], char *out, size_t size);
void npi_ipv6_to_text(const uint8_t ip[16], char *out, size_t size);

#endif
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

/* ---- addr_windows.c -------------------- */

#if (defined(_WIN32))
/*
 * IP addresses and their text. Windows has inet_pton() in its socket library, which has to be started first, and writes
 * some addresses in ways of its own. This gives the same text on every system. It is plain C and is tested on all.
 */
/* IP addresses and their text where the system's own conversion is no pure function (Windows). */
#ifndef NPI_ADDR_WINDOWS_H
#define NPI_ADDR_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As inet_pton() of POSIX: the whole text, or false. */
bool npi_ipv4_from_text(const char *text, uint8_t out[4]);
bool npi_ipv6_from_text(const char *text, uint8_t out[16]);
/* As inet_ntop() of POSIX (RFC 5952). Room for the longest text: 16 and 46. */
void npi_ipv4_to_text(const uint8_t ip[4], char *out, size_t size);
void npi_ipv6_to_text(const uint8_t ip[16], char *out, size_t size);

#endif

#include <stdio.h>
#include <string.h>

#define GROUPS 8

/* ---- From text -------------------------------------------------------------------------------------------------- */

/* One number of IPv4: up to three digits, no leading zero, which some take for octal. Moves *at behind it. */
static bool read_byte(const char **at, uint8_t *out)
{
    unsigned value = 0;
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 3 || (digits > 1 && **at == '0'))
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)((*at)[i] - '0');
    *at += digits;
    *out = (uint8_t)value;
    return value <= UINT8_MAX;
}

bool npi_ipv4_from_text(const char *text, uint8_t out[4])
{
    uint8_t ip[4];
    for (int i = 0; i < 4; i++) {
        if (i > 0 && *text++ != '.')
            return false;
        if (!read_byte(&text, &ip[i]))
            return false;
    }
    if (*text != '\0')
        return false;
    memcpy(out, ip, sizeof ip);
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Up to four hexadecimal digits. Moves *at behind them. */
static bool read_group(const char **at, uint8_t out[2])
{
    unsigned value = 0;
    size_t digits = 0;
    for (; hex_digit(**at) >= 0; (*at)++) {
        if (++digits > 4)
            return false;
        value = value << 4 | (unsigned)hex_digit(**at);
    }
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return digits > 0;
}

typedef struct ipv6_reader {
    const char *at;
    uint8_t ip[2 * GROUPS];
    size_t size; /* how much of it is read */
    size_t gap;  /* where "::" stands; GAP_NONE: nowhere yet */
} ipv6_reader;

#define GAP_NONE SIZE_MAX

/* Groups end in an IPv4 address, in the last four bytes. */
static bool read_tail(ipv6_reader *r)
{
    if (r->size > sizeof r->ip - 4 || !npi_ipv4_from_text(r->at, r->ip + r->size))
        return false;
    r->at += strlen(r->at);
    r->size += 4;
    return true;
}

/* What follows a group: its colon, and a second one where "::" stands. */
static bool read_colons(ipv6_reader *r)
{
    if (*r->at++ != ':' || *r->at == '\0')
        return false;
    if (*r->at != ':')
        return true;
    r->at++;
    if (r->gap != GAP_NONE)
        return false;
    r->gap = r->size;
    return true;
}

static bool read_groups(ipv6_reader *r)
{
    while (*r->at != '\0') {
        if (r->at[strspn(r->at, "0123456789")] == '.')
            return read_tail(r);
        if (r->size == sizeof r->ip || !read_group(&r->at, r->ip + r->size))
            return false;
        r->size += 2;
        if (*r->at != '\0' && !read_colons(r))
            return false;
    }
    return true;
}

bool npi_ipv6_from_text(const char *text, uint8_t out[16])
{
    ipv6_reader r = {.at = text, .gap = GAP_NONE};
    if (text[0] == ':') {
        if (text[1] != ':')
            return false;
        r.at += 2;
        r.gap = 0;
    }
    if (!read_groups(&r) || (r.gap == GAP_NONE) != (r.size == sizeof r.ip))
        return false;
    size_t head = r.gap != GAP_NONE ? r.gap : r.size;
    size_t tail = r.size - head;
    memset(out, 0, sizeof r.ip);
    memcpy(out, r.ip, head);
    memcpy(out + sizeof r.ip - tail, r.ip + head, tail);
    return true;
}

/* ---- To text ---------------------------------------------------------------------------------------------------- */

void npi_ipv4_to_text(const uint8_t ip[4], char *out, size_t size)
{
    (void)snprintf(out, size, "%u.%u.%u.%u", (unsigned)ip[0], (unsigned)ip[1], (unsigned)ip[2], (unsigned)ip[3]);
}

static unsigned group_of(const uint8_t ip[16], int i)
{
    return (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
}

static int zeros_from(const uint8_t ip[16], int first)
{
    int count = 0;
    while (first + count < GROUPS && group_of(ip, first + count) == 0)
        count++;
    return count;
}

typedef struct zero_run {
    int first;
    int count;
} zero_run;

/* The longest run of zero groups, of two at least; of runs as long as each other the first. */
static zero_run longest_zeros(const uint8_t ip[16])
{
    zero_run longest = {.first = -1, .count = 1};
    for (int i = 0; i < GROUPS; i++) {
        int count = zeros_from(ip, i);
        if (count > longest.count)
            longest = (zero_run){.first = i, .count = count};
    }
    return longest;
}

/* ::ffff:1.2.3.4, and ::1.2.3.4 as other systems write it. */
static bool ends_in_ipv4(const uint8_t ip[16], const zero_run *zeros)
{
    return zeros->first == 0 && (zeros->count == 6 || (zeros->count == 5 && group_of(ip, 5) == 0xffff));
}

void npi_ipv6_to_text(const uint8_t ip[16], char *out, size_t size)
{
    const zero_run zeros = longest_zeros(ip);
    const int groups = ends_in_ipv4(ip, &zeros) ? GROUPS - 2 : GROUPS;
    size_t length = 0;
    for (int i = 0; i < groups; i++) {
        if (i == zeros.first) {
            length += (size_t)snprintf(out + length, size - length, "::");
            i += zeros.count - 1;
            continue;
        }
        const char *colon = i == 0 || out[length - 1] == ':' ? "" : ":";
        length += (size_t)snprintf(out + length, size - length, "%s%x", colon, group_of(ip, i));
    }
    if (groups == GROUPS)
        return;
    if (out[length - 1] != ':')
        length += (size_t)snprintf(out + length, size - length, ":");
    npi_ipv4_to_text(ip + 12, out + length, size - length);
}
#undef GAP_NONE
#undef GROUPS
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- appraisal.c -------------------- */

/* What a server is asked in a survey, and what its answers show of it. */
/* What a server is asked in a survey, one datagram at a time, and what its answers show of it. Pure. */
#ifndef NPI_APPRAISAL_H
#define NPI_APPRAISAL_H

#include <stdbool.h>
#include <stdint.h>


/*
 * STUN messages: encodes a Binding request, decodes a response. RFC 8489 (and 5389), RFC 5780, RFC 3489.
 * No sockets, no clock, no memory of its own.
 */
#ifndef NPI_STUN_H
#define NPI_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define NPI_STUN_ID_SIZE 16      /* cookie and transaction id: the 128-bit id of RFC 3489 */
#define NPI_STUN_REQUEST_SIZE 28 /* header and CHANGE-REQUEST or RESPONSE-PORT */
#define NPI_STUN_COOKIE 0x2112A442u

/* Flags of CHANGE-REQUEST, RFC 5780 section 7.2. */
#define NPI_STUN_CHANGE_IP 0x4u
#define NPI_STUN_CHANGE_PORT 0x2u

typedef enum npi_stun_dialect { NPI_STUN_RFC8489, NPI_STUN_RFC3489 } npi_stun_dialect;

/* The id as it stands in bytes 4 to 19 of the header. */
typedef struct npi_stun_id {
    uint8_t bytes[NPI_STUN_ID_SIZE];
} npi_stun_id;

/* Makes an id from 16 random bytes: all of them for RFC 3489, 12 behind the magic cookie for RFC 8489. */
npi_stun_id npi_stun_make_id(npi_stun_dialect dialect, const uint8_t random[NPI_STUN_ID_SIZE]);
bool npi_stun_id_equal(const npi_stun_id *a, const npi_stun_id *b);

/* Writes a Binding indication, which nobody answers (RFC 8489 section 6.3.2). Returns its length. */
size_t npi_stun_encode_indication(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id);
/* Writes a Binding request to be answered to another port of this host's (RFC 5780 section 7.5). Returns its length. */
size_t npi_stun_encode_response_port(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint16_t port);
/* Writes a Binding request; change 0 leaves CHANGE-REQUEST out. Returns its length, 20 or 28. */
size_t npi_stun_encode_request(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint32_t change);

typedef enum npi_stun_kind {
    NPI_STUN_DROP,    /* not a STUN response, or one to be passed over in silence (RFC 8489 section 6.3.4) */
    NPI_STUN_SUCCESS, /* a Binding success response with a mapped address */
    NPI_STUN_ERROR,   /* a Binding error response with a valid ERROR-CODE */
    NPI_STUN_UNUSABLE /* a Binding response that fails its transaction: no address, no error code, or something in it
                         that would have to be understood */
} npi_stun_kind;

typedef struct npi_stun_response {
    npi_stun_kind kind;
    npi_stun_id id;
    npi_addr mapped;        /* XOR-MAPPED-ADDRESS (0x0020, then 0x8020), else MAPPED-ADDRESS */
    npi_addr other;         /* OTHER-ADDRESS, else CHANGED-ADDRESS; family none when absent */
    npi_addr origin;        /* RESPONSE-ORIGIN, else SOURCE-ADDRESS; family none when absent */
    uint16_t error_code;    /* 300 to 699 for NPI_STUN_ERROR */
    bool address_rewritten; /* MAPPED-ADDRESS and XOR-MAPPED-ADDRESS disagree: an ALG, RFC 5780 section 4.6 */
} npi_stun_response;

/* Decodes one datagram. Every field of out is written; for NPI_STUN_DROP only kind means anything. */
npi_stun_kind npi_stun_decode(const uint8_t *data, size_t size, npi_stun_response *out);

#endif

/* What it is asked. A and P are the address and port in the list, B and Q the others (RFC 5780). */
typedef enum npi_ask {
    NPI_ASK_NOTHING,
    NPI_ASK_PLAIN,
    NPI_ASK_II,
    NPI_ASK_III,
    NPI_ASK_BP,
    NPI_ASK_BQ,
    NPI_ASK_AQ,
    NPI_ASKS
} npi_ask;

/* How often: so many plain answers are compared; an answer to II and III has to come twice. */
#define NPI_APPRAISAL_FIRST 3 /* plain requests in each form until the server is called silent */
#define NPI_APPRAISAL_PLAIN 5
#define NPI_APPRAISAL_PLAIN_MAX 8
#define NPI_APPRAISAL_CHANGE 2
#define NPI_APPRAISAL_CHANGE_MAX 5 /* 1 in 4,000 is lost as often in a row if every fifth is */
#define NPI_APPRAISAL_ALTERNATE_MAX 4
#define NPI_APPRAISAL_SILENT 3 /* from so many on, no answer is silence */
/* A check takes an answer to II or III for missing that comes later than this behind a plain one. */
#define NPI_APPRAISAL_LATE_US 250000
/* Of the datagrams that it may send: what answers more often is no server. */
#define NPI_APPRAISAL_FLOOD 2000

typedef struct npi_appraisal {
    npi_addr server;    /* A:P */
    npi_addr alternate; /* as named first; family none: none was named */
    npi_addr external;  /* as reported first */
    npi_addr stray;     /* where answers to plain requests came from that should have come from A:P */
    uint8_t sent[NPI_ASKS];
    uint8_t answered[NPI_ASKS];
    uint8_t honoured[NPI_ASKS], partial[NPI_ASKS], ignored[NPI_ASKS], rejected[NPI_ASKS];
    bool is_classic; /* it answers none but requests in that form */
    uint16_t stun_error;
    bool is_external_wrong;
    bool is_external_unstable;
    bool is_alternate_unstable; /* it named another one later */
    bool has_unusable;          /* something else came than an answer that can be used */
    bool is_flood;
    uint32_t packets_sent;
    uint32_t packets_received;
    uint64_t rtt_us[NPI_ASKS]; /* the shortest; 0: none */
} npi_appraisal;

/* An answer to one of the requests. */
typedef struct npi_reply {
    npi_ask ask;
    npi_addr from;
    npi_addr local; /* where the request had left from; family none: not known */
    uint64_t rtt_us;
    bool is_classic; /* the request had the form of RFC 3489 */
    bool is_again;   /* this very request has been answered before */
} npi_reply;

void npi_appraisal_init(npi_appraisal *a, const npi_addr *server);
/* What to ask next, if what has been asked gets no further answer. NPI_ASK_NOTHING: all has been asked. */
npi_ask npi_appraisal_next(const npi_appraisal *a);
/* Where that goes, its flags of CHANGE-REQUEST, and the form that it has. */
npi_addr npi_appraisal_target(const npi_appraisal *a, npi_ask ask);
uint32_t npi_appraisal_change(npi_ask ask);
npi_stun_dialect npi_appraisal_dialect(const npi_appraisal *a);
void npi_appraisal_sent(npi_appraisal *a, npi_ask ask);
/* A datagram came, whatever it is. False when that is enough. */
bool npi_appraisal_received(npi_appraisal *a);
/* It was none that can be used. */
void npi_appraisal_unusable(npi_appraisal *a);
void npi_appraisal_take(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response);
/* Fills in what the answers show; the names and numbers of the report are the caller's. */
void npi_appraisal_judge(const npi_appraisal *a, np_survey_report *report);
/* Whether B is an address that datagrams may be sent to. */
bool npi_appraisal_has_alternate(const npi_appraisal *a);

typedef enum npi_openness { NPI_NOT_DECIDED, NPI_IS_OPEN, NPI_IS_NOT_OPEN } npi_openness;
/* Whether a check proves that this host is open; if it does not decide, one with other servers may. */
npi_openness npi_openness_of(const np_result *check);

#endif

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Pure functions: observations in, RFC 4787 behaviours and the RFC 3489 type out. No bytes, no timers. */
#ifndef NPI_CLASSIFY_H
#define NPI_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>



/* One answer to a plain request from the source socket. */
typedef struct npi_observation {
    npi_addr destination; /* where the request went and the answer came from */
    npi_addr external;    /* what the server saw */
    npi_addr local;       /* local address and port that the answer arrived at */
    /* An unsolicited datagram from this destination may have reached the NAT first (conntrack trap). */
    bool may_collide;
    /* The same may have happened in an earlier check from this port: where the server answers II and III from. */
    bool may_be_stale;
    /* Which server speaks, whichever of its addresses was asked. */
    size_t witness;
} npi_observation;

/* It shows no NAT: the external address is the local one. */
bool npi_classify_is_untranslated(const npi_observation *o);
/*
 * Mapping behaviour, RFC 5780 section 4.3, from any number of destinations; each destination at most once. Unknown
 * where all that differs may be left over from earlier, or where some are equal and others differ in the port only.
 */
int32_t npi_classify_mapping(const npi_observation *seen, size_t count);
/* Whether some at other IP addresses see the same, and some that differ do so in the port only. */
bool npi_classify_is_mixed(const npi_observation *seen, size_t count);
/*
 * The one server that contradicts two or more others, which agree with each other; count when there is none. If the
 * mapping depends on the destination, no two agree, so the server is wrong. A pool of addresses is the exception: a NAT
 * may choose one of them by destination, and keep the port.
 */
size_t npi_classify_dissenter(const npi_observation *seen, size_t count);
/* What it looks like with no regard to that: a reason to look again, not a verdict. */
int32_t npi_classify_apparent(const npi_observation *seen, size_t count);

typedef enum npi_change { /* outcome of one CHANGE-REQUEST test */
                          NPI_CHANGE_PENDING = 0,
                          NPI_CHANGE_HONOURED,  /* answered from exactly the expected address */
                          NPI_CHANGE_IGNORED,   /* answered from where it was sent */
                          NPI_CHANGE_PARTIAL,   /* answered from anywhere else */
                          NPI_CHANGE_REWRITTEN, /* the same, but the answer says that it left from where it should */
                          NPI_CHANGE_REJECTED,  /* answered with an error */
                          NPI_CHANGE_SILENT     /* not answered, and loss does not explain it */
} npi_change;

/* The outcome that an answer speaks of. */
npi_change npi_classify_change(const npi_addr *sent_to, const npi_addr *expected, const npi_addr *from, bool success);
/* Filtering behaviour, RFC 5780 section 4.4, from tests II (both changed) and III (port changed). */
int32_t npi_classify_filtering(npi_change test_ii, npi_change test_iii);
/* enum np_address_class: in which kind of network an address of this host is. */
int32_t npi_classify_address(const npi_addr *a);
/* RFC 3489 section 5 type. */
int32_t npi_classify_type(int32_t mapping, int32_t filtering);

#endif

void npi_appraisal_init(npi_appraisal *a, const npi_addr *server)
{
    memset(a, 0, sizeof *a);
    a->server = *server;
}

bool npi_appraisal_has_alternate(const npi_appraisal *a)
{
    return npi_addr_is_set(&a->alternate) && npi_addr_is_alternate(&a->server, &a->alternate);
}

/* ---- What to ask ------------------------------------------------------------------------------------------------ */

/* The first answer decides what else can be asked, and in which form. */
static npi_ask next_first(const npi_appraisal *a)
{
    return a->sent[NPI_ASK_PLAIN] < 2 * NPI_APPRAISAL_FIRST ? NPI_ASK_PLAIN : NPI_ASK_NOTHING;
}

static bool is_change(npi_ask ask)
{
    return ask == NPI_ASK_II || ask == NPI_ASK_III;
}

static bool is_wanted(const npi_appraisal *a, npi_ask ask)
{
    unsigned sent = a->sent[ask];
    unsigned answered = a->answered[ask];
    if (ask == NPI_ASK_PLAIN)
        return answered < NPI_APPRAISAL_PLAIN && sent < NPI_APPRAISAL_PLAIN_MAX;
    if (is_change(ask))
        return answered < NPI_APPRAISAL_CHANGE && sent < NPI_APPRAISAL_CHANGE_MAX;
    return npi_appraisal_has_alternate(a) && answered == 0 && sent < NPI_APPRAISAL_ALTERNATE_MAX;
}

/* In turn, so that what is asked again is asked at another time: losses come in bursts. */
npi_ask npi_appraisal_next(const npi_appraisal *a)
{
    static const npi_ask order[] = {NPI_ASK_II, NPI_ASK_III, NPI_ASK_BP, NPI_ASK_BQ, NPI_ASK_AQ, NPI_ASK_PLAIN};
    npi_ask next = NPI_ASK_NOTHING;
    if (a->is_flood)
        return NPI_ASK_NOTHING;
    if (a->answered[NPI_ASK_PLAIN] == 0)
        return next_first(a);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (is_wanted(a, order[i]) && (next == NPI_ASK_NOTHING || a->sent[order[i]] < a->sent[next]))
            next = order[i];
    }
    return next;
}

npi_addr npi_appraisal_target(const npi_appraisal *a, npi_ask ask)
{
    switch (ask) {
    case NPI_ASK_BP:
        return npi_addr_with_port(&a->alternate, a->server.port);
    case NPI_ASK_BQ:
        return a->alternate;
    case NPI_ASK_AQ:
        return npi_addr_with_port(&a->server, a->alternate.port);
    default:
        return a->server;
    }
}

uint32_t npi_appraisal_change(npi_ask ask)
{
    if (ask == NPI_ASK_II)
        return NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    return ask == NPI_ASK_III ? NPI_STUN_CHANGE_PORT : 0;
}

npi_stun_dialect npi_appraisal_dialect(const npi_appraisal *a)
{
    bool is_last_attempt = a->answered[NPI_ASK_PLAIN] == 0 && a->sent[NPI_ASK_PLAIN] >= NPI_APPRAISAL_FIRST;
    return a->is_classic || is_last_attempt ? NPI_STUN_RFC3489 : NPI_STUN_RFC8489;
}

/* ---- What has come ---------------------------------------------------------------------------------------------- */

void npi_appraisal_sent(npi_appraisal *a, npi_ask ask)
{
    a->sent[ask]++;
    a->packets_sent++;
}

bool npi_appraisal_received(npi_appraisal *a)
{
    a->packets_received++;
    a->is_flood = a->packets_received >= NPI_APPRAISAL_FLOOD;
    return !a->is_flood;
}

void npi_appraisal_unusable(npi_appraisal *a)
{
    a->has_unusable = true;
}

/* Without NAT, which has been proven, this host's own address is the external one. */
static void take_external(npi_appraisal *a, const npi_reply *reply, const npi_addr *external)
{
    if (!npi_addr_is_set(&a->external))
        a->external = *external;
    else if (!npi_addr_equal(&a->external, external))
        a->is_external_unstable = true;
    if (npi_addr_is_set(&reply->local) && !npi_addr_equal(&reply->local, external))
        a->is_external_wrong = true;
}

static void take_alternate(npi_appraisal *a, const npi_addr *alternate)
{
    if (!npi_addr_is_set(alternate))
        return;
    if (!npi_addr_is_set(&a->alternate))
        a->alternate = *alternate;
    else if (!npi_addr_equal(&a->alternate, alternate))
        a->is_alternate_unstable = true;
}

static void appraisal_count(uint8_t *counter)
{
    *counter = (uint8_t)(*counter + (*counter < UINT8_MAX));
}

static void count_answer(npi_appraisal *a, const npi_reply *reply)
{
    uint64_t *shortest_us = &a->rtt_us[reply->ask];
    if (reply->is_again)
        return;
    appraisal_count(&a->answered[reply->ask]);
    if (*shortest_us == 0 || reply->rtt_us < *shortest_us)
        *shortest_us = reply->rtt_us;
}

static void appraisal_take_plain(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    if (!npi_addr_equal(&reply->from, &a->server)) {
        a->stray = reply->from;
    } else if (response->kind == NPI_STUN_ERROR) {
        a->stun_error = response->error_code;
    } else {
        a->is_classic = reply->is_classic && (a->answered[NPI_ASK_PLAIN] == 0 || a->is_classic);
        count_answer(a, reply);
        take_external(a, reply, &response->mapped);
        take_alternate(a, &response->other);
    }
}

/* Where the answer to II or III comes from if it is honoured; from a server that names no B, any that fits. */
static npi_addr expected_source(const npi_appraisal *a, npi_ask ask, const npi_addr *from)
{
    npi_addr none = {.family = NPI_FAMILY_NONE};
    if (npi_appraisal_has_alternate(a))
        return npi_appraisal_target(a, ask == NPI_ASK_II ? NPI_ASK_BQ : NPI_ASK_AQ);
    bool is_other_ip = npi_addr_is_other_ip(from, &a->server);
    bool fits = from->port != a->server.port && is_other_ip == (ask == NPI_ASK_II);
    return fits ? *from : none;
}

static void appraisal_take_change(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    npi_ask ask = reply->ask;
    npi_addr expected = expected_source(a, ask, &reply->from);
    switch (npi_classify_change(&a->server, &expected, &reply->from, response->kind == NPI_STUN_SUCCESS)) {
    case NPI_CHANGE_HONOURED:
        appraisal_count(&a->honoured[ask]);
        break;
    case NPI_CHANGE_IGNORED:
        appraisal_count(&a->ignored[ask]);
        break;
    case NPI_CHANGE_REJECTED:
        appraisal_count(&a->rejected[ask]);
        break;
    default:
        appraisal_count(&a->partial[ask]);
        break;
    }
    count_answer(a, reply);
    if (response->kind == NPI_STUN_SUCCESS)
        take_external(a, reply, &response->mapped);
}

static void take_alternates_answer(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    npi_addr target = npi_appraisal_target(a, reply->ask);
    if (response->kind != NPI_STUN_SUCCESS || !npi_addr_equal(&reply->from, &target))
        return;
    count_answer(a, reply);
    take_external(a, reply, &response->mapped);
}

void npi_appraisal_take(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    if (response->kind != NPI_STUN_SUCCESS && response->kind != NPI_STUN_ERROR)
        npi_appraisal_unusable(a);
    else if (reply->ask == NPI_ASK_PLAIN)
        appraisal_take_plain(a, reply, response);
    else if (is_change(reply->ask))
        appraisal_take_change(a, reply, response);
    else
        take_alternates_answer(a, reply, response);
}

/* ---- What that shows -------------------------------------------------------------------------------------------- */

/* One way of answering counts only if there was no other. */
static int32_t appraisal_conduct(const npi_appraisal *a, npi_ask ask)
{
    int ways = (a->honoured[ask] > 0) + (a->ignored[ask] > 0) + (a->rejected[ask] > 0);
    if (ways > 1 || a->partial[ask] > 0)
        return NP_CONDUCT_PARTIAL;
    if (a->honoured[ask] > 0)
        return NP_CONDUCT_HONOURED;
    if (a->ignored[ask] > 0)
        return NP_CONDUCT_IGNORED;
    if (a->rejected[ask] > 0)
        return NP_CONDUCT_REJECTED;
    return a->sent[ask] >= NPI_APPRAISAL_SILENT ? NP_CONDUCT_SILENT : NP_CONDUCT_UNKNOWN;
}

static bool appraisal_is_steady(const npi_appraisal *a, npi_ask ask)
{
    return a->answered[ask] >= NPI_APPRAISAL_CHANGE;
}

static int32_t alternate_alive(const npi_appraisal *a)
{
    static const npi_ask asks[] = {NPI_ASK_BP, NPI_ASK_BQ, NPI_ASK_AQ};
    int32_t alive = NP_TRISTATE_YES;
    if (!npi_appraisal_has_alternate(a))
        return npi_addr_is_set(&a->alternate) ? NP_TRISTATE_UNKNOWN : NP_TRISTATE_NO;
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        if (a->answered[asks[i]] > 0)
            continue;
        if (a->sent[asks[i]] >= NPI_APPRAISAL_SILENT)
            return NP_TRISTATE_NO;
        alive = NP_TRISTATE_UNKNOWN;
    }
    return alive;
}

static bool appraisal_is_answered(const npi_appraisal *a)
{
    return a->answered[NPI_ASK_PLAIN] > 0;
}

static int32_t error_of(const npi_appraisal *a)
{
    bool has_anything = a->stun_error != 0 || a->has_unusable || npi_addr_is_set(&a->stray);
    if (a->is_flood)
        return NP_ERR_BAD_RESPONSE;
    if (appraisal_is_answered(a))
        return NP_OK;
    return has_anything ? NP_ERR_BAD_RESPONSE : NP_ERR_NO_RESPONSE;
}

static int32_t yes_or_no(bool is_known, bool is_so)
{
    if (!is_known)
        return NP_TRISTATE_UNKNOWN;
    return is_so ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

/* How much longer than a plain one the slower of the two tests takes. */
static uint64_t late_us(const npi_appraisal *a)
{
    uint64_t ii_us = a->rtt_us[NPI_ASK_II];
    uint64_t iii_us = a->rtt_us[NPI_ASK_III];
    uint64_t slower_us = ii_us > iii_us ? ii_us : iii_us;
    return slower_us > a->rtt_us[NPI_ASK_PLAIN] ? slower_us - a->rtt_us[NPI_ASK_PLAIN] : 0;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
say(np_survey_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(report->detail, sizeof report->detail, format, args);
    va_end(args);
}

/* Why nothing is known of it. */
static void explain_failure(const npi_appraisal *a, np_survey_report *report)
{
    char text[NPI_ADDR_TEXT];
    npi_addr_format(&a->stray, text);
    if (a->is_flood)
        say(report, "it sent more than %d datagrams", NPI_APPRAISAL_FLOOD - 1);
    else if (a->stun_error != 0)
        say(report, "it answers a plain request with error %u", (unsigned)a->stun_error);
    else if (npi_addr_is_set(&a->stray))
        say(report, "answers come from %s, which was not asked", text);
    else if (a->has_unusable)
        say(report, "what comes is no answer that can be used");
    else
        say(report, "no answer to %u requests", (unsigned)a->sent[NPI_ASK_PLAIN]);
}

static bool explain_alternate(const npi_appraisal *a, np_survey_report *report)
{
    if (!npi_addr_is_set(&a->alternate))
        say(report, "it names no second address");
    else if (!npi_appraisal_has_alternate(a))
        say(report, "it names %s as its second address, to which nothing may be sent", report->alternate);
    else if (a->is_alternate_unstable)
        say(report, "it names another second address from time to time");
    else if (report->alternate_alive != NP_TRISTATE_YES)
        say(report, "its second address %s does not answer on both ports, or its first not on the second",
            report->alternate);
    else
        return false;
    return true;
}

static bool explain_change(const npi_appraisal *a, npi_ask ask, int32_t found, np_survey_report *report)
{
    const char *name = ask == NPI_ASK_II ? "II" : "III";
    if (found == NP_CONDUCT_IGNORED)
        say(report, "it ignores what test %s asks for", name);
    else if (found == NP_CONDUCT_REJECTED)
        say(report, "it answers test %s with an error", name);
    else if (found == NP_CONDUCT_PARTIAL)
        say(report, "it answers test %s from another address than it should, or not always from that", name);
    else if (found != NP_CONDUCT_HONOURED)
        say(report, "it does not answer test %s", name);
    else if (!appraisal_is_steady(a, ask))
        say(report, "it answered %u of %u requests of test %s", (unsigned)a->answered[ask], (unsigned)a->sent[ask],
            name);
    else
        return false;
    return true;
}

static bool explain_external(const npi_appraisal *a, np_survey_report *report)
{
    if (a->is_external_unstable)
        say(report, "the external address that it reports changes");
    else if (a->is_external_wrong)
        say(report, "it reports %s as the external address, which this host did not send from", report->external);
    else
        return false;
    return true;
}

static bool explain_manner(const npi_appraisal *a, np_survey_report *report)
{
    if (a->is_classic)
        say(report, "it answers only requests in the form of RFC 3489, which a check tries last");
    else if (a->answered[NPI_ASK_PLAIN] + 1 < NPI_APPRAISAL_PLAIN)
        say(report, "it answered %u of %u plain requests", (unsigned)a->answered[NPI_ASK_PLAIN],
            (unsigned)a->sent[NPI_ASK_PLAIN]);
    else if (late_us(a) > NPI_APPRAISAL_LATE_US)
        say(report, "answers to tests II and III come %u ms later than others", (unsigned)(late_us(a) / 1000));
    else
        return false;
    return true;
}

/* The first thing that it lacks; false for a server that lacks nothing. */
static bool explain_lack(const npi_appraisal *a, np_survey_report *report)
{
    return explain_external(a, report) || explain_alternate(a, report) ||
           explain_change(a, NPI_ASK_II, report->change_both, report) ||
           explain_change(a, NPI_ASK_III, report->change_port, report) || explain_manner(a, report);
}

void npi_appraisal_judge(const npi_appraisal *a, np_survey_report *report)
{
    bool is_known = appraisal_is_answered(a) && npi_addr_is_set(&a->external);
    uint64_t late = late_us(a);
    report->error = error_of(a);
    report->stun_error = a->stun_error;
    report->plain_sent = a->sent[NPI_ASK_PLAIN];
    report->plain_answered = a->answered[NPI_ASK_PLAIN];
    report->packets_sent = a->packets_sent;
    report->packets_received = a->packets_received;
    npi_addr_format(&a->server, report->address);
    if (report->error != NP_OK) {
        explain_failure(a, report);
        return;
    }
    report->is_classic = a->is_classic;
    report->rtt_us = a->rtt_us[NPI_ASK_PLAIN];
    report->late_us = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
    report->change_both = appraisal_conduct(a, NPI_ASK_II);
    report->change_port = appraisal_conduct(a, NPI_ASK_III);
    report->alternate_alive = alternate_alive(a);
    report->external_right = yes_or_no(is_known, !a->is_external_wrong);
    report->external_stable = yes_or_no(is_known && report->plain_answered > 1, !a->is_external_unstable);
    npi_addr_format(&a->alternate, report->alternate);
    npi_addr_format(&a->external, report->external);
    report->is_capable = !explain_lack(a, report);
}

/* ---- This host -------------------------------------------------------------------------------------------------- */

npi_openness npi_openness_of(const np_result *check)
{
    const uint32_t proven = NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_MAPPING_PROVEN;
    const uint32_t doubtful = NP_EVIDENCE_CONTRADICTION | NP_EVIDENCE_PROXIED;
    if (check->error != NP_OK || check->mapping == NP_BEHAVIOUR_UNKNOWN)
        return NPI_NOT_DECIDED;
    if (check->nat_type == NP_NAT_OPEN_INTERNET && (check->evidence & proven) == proven)
        return (check->evidence & doubtful) == 0 ? NPI_IS_OPEN : NPI_NOT_DECIDED;
    /* A NAT is one whatever the servers can do; of a filter only those tell that honour CHANGE-REQUEST. */
    return check->nat_type == NP_NAT_NO_NAT || check->nat_type == NP_NAT_OPEN_INTERNET ? NPI_NOT_DECIDED
                                                                                       : NPI_IS_NOT_OPEN;
}

/* ---- buf.c -------------------- */

/* Bounds-checked big-endian reading and writing. */
/* Bounds-checked big-endian reading and writing over a fixed span. The only code that touches datagram bytes. */
#ifndef NPI_BUF_H
#define NPI_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* After the first read past the end, failed stays set and every further read yields zero. */
typedef struct npi_reader {
    const uint8_t *data;
    size_t size;
    size_t pos;
    bool failed;
} npi_reader;

npi_reader npi_reader_over(const uint8_t *data, size_t size);
size_t npi_reader_left(const npi_reader *r);
uint8_t npi_read_u8(npi_reader *r);
uint16_t npi_read_u16(npi_reader *r);
uint32_t npi_read_u32(npi_reader *r);
/* Copies n bytes to out, or zeros where there are not n left. */
void npi_read_bytes(npi_reader *r, uint8_t *out, size_t n);
/* A reader over the next n bytes, which are consumed. */
npi_reader npi_read_span(npi_reader *r, size_t n);

/* After the first write that does not fit, failed stays set and nothing more is written. */
typedef struct npi_writer {
    uint8_t *data;
    size_t size;
    size_t pos;
    bool failed;
} npi_writer;

npi_writer npi_writer_over(uint8_t *data, size_t size);
void npi_write_u16(npi_writer *w, uint16_t value);
void npi_write_u32(npi_writer *w, uint32_t value);
void npi_write_bytes(npi_writer *w, const uint8_t *bytes, size_t n);

#endif

#include <string.h>

npi_reader npi_reader_over(const uint8_t *data, size_t size)
{
    static const uint8_t nothing; /* stands in for a null pointer, to which C allows not even 0 to be added */
    return (npi_reader){.data = size == 0 ? &nothing : data, .size = size};
}

/* None are left once a read has failed, so that a loop over what is left always ends. */
size_t npi_reader_left(const npi_reader *r)
{
    return r->failed ? 0 : r->size - r->pos;
}

/* The next n bytes, consumed; NULL, with failed set, when there are not that many. */
static const uint8_t *take(npi_reader *r, size_t n)
{
    if (r->failed || n > r->size - r->pos) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *bytes = r->data + r->pos;
    r->pos += n;
    return bytes;
}

uint8_t npi_read_u8(npi_reader *r)
{
    const uint8_t *b = take(r, 1);
    return b == NULL ? 0 : b[0];
}

uint16_t npi_read_u16(npi_reader *r)
{
    const uint8_t *b = take(r, 2);
    return b == NULL ? 0 : (uint16_t)((unsigned)b[0] << 8 | b[1]);
}

uint32_t npi_read_u32(npi_reader *r)
{
    const uint8_t *b = take(r, 4);
    return b == NULL ? 0 : (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void npi_read_bytes(npi_reader *r, uint8_t *out, size_t n)
{
    if (n == 0)
        return; /* memcpy may not be given a null pointer even then */
    const uint8_t *b = take(r, n);
    if (b == NULL)
        memset(out, 0, n);
    else
        memcpy(out, b, n);
}

npi_reader npi_read_span(npi_reader *r, size_t n)
{
    const uint8_t *b = take(r, n);
    if (b == NULL)
        return (npi_reader){.failed = true};
    return npi_reader_over(b, n);
}

npi_writer npi_writer_over(uint8_t *data, size_t size)
{
    return (npi_writer){.data = data, .size = size};
}

void npi_write_bytes(npi_writer *w, const uint8_t *bytes, size_t n)
{
    if (w->failed || n > w->size - w->pos) {
        w->failed = true;
        return;
    }
    if (n == 0)
        return;
    memcpy(w->data + w->pos, bytes, n);
    w->pos += n;
}

void npi_write_u16(npi_writer *w, uint16_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    npi_write_bytes(w, bytes, sizeof bytes);
}

void npi_write_u32(npi_writer *w, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    npi_write_bytes(w, bytes, sizeof bytes);
}

/* ---- classify.c -------------------- */

/* From observations to behaviours and names. */

/* How the external addresses of all pairs of destinations compare. */
typedef struct classify_pairs {
    bool equal_other_ip; /* same external address seen from two IP addresses */
    bool differ_other_ip;
    bool equal_other_port; /* same external address seen from two ports of one IP address */
    bool differ_other_port;
    bool doubtful_other_port; /* a difference between two ports that may have another reason */
    bool differ_address;      /* some that differ do so in more than the port */
} classify_pairs;

/*
 * A destination that may collide may have got another mapping for reasons that are not the NAT's way of mapping: it can
 * bear witness to equality, but not to a difference.
 */
static void classify_compare(classify_pairs *p, const npi_observation *a, const npi_observation *b)
{
    if (npi_addr_is_other_ip(&a->local, &b->local))
        return; /* two ways out of this host */
    bool equal = npi_addr_equal(&a->external, &b->external);
    if (!equal && (a->may_collide || b->may_collide)) {
        p->doubtful_other_port |= npi_addr_same_ip(&a->destination, &b->destination);
        return;
    }
    p->differ_address |= !npi_addr_same_ip(&a->external, &b->external);
    if (!npi_addr_same_ip(&a->destination, &b->destination)) {
        p->equal_other_ip |= equal;
        p->differ_other_ip |= !equal;
    } else if (a->destination.port != b->destination.port) {
        p->equal_other_port |= equal;
        p->differ_other_port |= !equal;
    }
}

bool npi_classify_is_untranslated(const npi_observation *o)
{
    return npi_addr_is_set(&o->local) && npi_addr_equal(&o->external, &o->local);
}

/* RFC 4787 section 4.1: reuse for any endpoint, for the same address, or for the same address and port only. */
static int32_t mapping_from(const classify_pairs *p)
{
    if (!p->differ_other_ip && !p->differ_other_port)
        return p->equal_other_ip ? NP_BEHAVIOUR_ENDPOINT_INDEPENDENT : NP_BEHAVIOUR_UNKNOWN;
    if (p->equal_other_ip)
        return NP_BEHAVIOUR_ENDPOINT_DEPENDENT; /* fits no class: equal here, different there */
    if (p->differ_other_port)
        return p->equal_other_port ? NP_BEHAVIOUR_ENDPOINT_DEPENDENT : NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    bool by_address = p->equal_other_port && !p->doubtful_other_port;
    return by_address ? NP_BEHAVIOUR_ADDRESS_DEPENDENT : NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
}

typedef enum classify_which { ALL, FRESH } classify_which; /* all observations, or those that cannot be stale */

/*
 * A destination that sees the local address has no NAT on its way, where others have one: it shows nothing of that NAT.
 */
static bool counts(const npi_observation *o, classify_which of)
{
    return !npi_classify_is_untranslated(o) && (of == ALL || !o->may_be_stale);
}

static classify_pairs compare_all(const npi_observation *seen, size_t count, classify_which of)
{
    classify_pairs p = {false, false, false, false, false, false};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (counts(&seen[i], of) && counts(&seen[j], of))
                classify_compare(&p, &seen[i], &seen[j]);
        }
    }
    return p;
}

static bool some_stale_agrees(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (seen[i].may_be_stale && !seen[j].may_be_stale && npi_addr_equal(&seen[i].external, &seen[j].external))
                return true;
        }
    }
    return false;
}

static bool is_untranslated_everywhere(const npi_observation *seen, size_t count)
{
    size_t untranslated = 0;
    for (size_t i = 0; i < count; i++)
        untranslated += npi_classify_is_untranslated(&seen[i]);
    return count > 0 && untranslated == count;
}

/*
 * Two servers name addresses of two networks, and each always the same: one of them may be wrong, or the NAT may have
 * two lines.
 */
static bool is_word_against_word(const npi_observation *seen, size_t count)
{
    const npi_observation *other = NULL;
    for (size_t i = 1; i < count; i++) {
        if (other == NULL && seen[i].witness != seen[0].witness)
            other = &seen[i];
        const npi_observation *same = seen[i].witness == seen[0].witness ? &seen[0] : other;
        if (same->witness != seen[i].witness || !npi_addr_equal(&same->external, &seen[i].external))
            return false;
    }
    return other != NULL && !npi_addr_are_neighbours(&seen[0].external, &other->external);
}

/*
 * Where one server sees a NAT and another none, it takes two that see one: either may be the exception, or wrong. Some
 * destination sees a NAT.
 */
static bool rests_on_one_witness(const npi_observation *seen, size_t count)
{
    const npi_observation *first = NULL;
    bool any_untranslated = false;
    for (size_t i = 0; i < count; i++) {
        bool untranslated = npi_classify_is_untranslated(&seen[i]);
        any_untranslated |= untranslated;
        if (untranslated)
            continue;
        if (first != NULL && seen[i].witness != first->witness)
            return false;
        first = &seen[i];
    }
    return any_untranslated;
}

/* All pairs, and those of which neither may be stale. */
typedef struct comparison {
    classify_pairs all;
    classify_pairs fresh;
} comparison;

static int32_t appearance(const comparison *c, const npi_observation *seen, size_t count)
{
    if (is_untranslated_everywhere(seen, count))
        return NP_BEHAVIOUR_NONE;
    if (rests_on_one_witness(seen, count) || is_word_against_word(seen, count))
        return NP_BEHAVIOUR_UNKNOWN;
    /* One destination that may be stale and differs is what an earlier check left behind, if the others agree. */
    if (mapping_from(&c->fresh) == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && some_stale_agrees(seen, count))
        return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    return mapping_from(&c->all);
}

/*
 * Whether all but one witness see the same external address. It takes two of them, at two IP addresses: a NAT whose
 * mapping depends on the destination's address shows the same to two ports of one.
 */
static bool agrees_without(const npi_observation *seen, size_t count, size_t witness)
{
    const npi_observation *first = NULL;
    bool several = false;
    for (size_t i = 0; i < count; i++) {
        if (seen[i].witness == witness)
            continue;
        if (first != NULL && !npi_addr_equal(&seen[i].external, &first->external))
            return false;
        if (first == NULL)
            first = &seen[i];
        several |= seen[i].witness != first->witness && !npi_addr_same_ip(&seen[i].destination, &first->destination);
    }
    return several;
}

typedef bool (*relation)(const npi_observation *, const npi_observation *);

/* Whether a relation holds between something that one witness saw and something that another did. */
static bool holds_for_any(const npi_observation *seen, size_t count, size_t witness, relation holds)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (seen[i].witness == witness && seen[j].witness != witness && holds(&seen[i], &seen[j]))
                return true;
        }
    }
    return false;
}

static bool contradict(const npi_observation *a, const npi_observation *b)
{
    return !npi_addr_is_other_ip(&a->local, &b->local) && !a->may_collide && !b->may_collide &&
           !npi_addr_equal(&a->external, &b->external);
}

/*
 * Another address of one network, with the same port: a NAT with a pool that chooses by destination and keeps ports,
 * such as Linux with a range of addresses. Some destinations then see the same.
 */
static bool may_be_of_a_pool(const npi_observation *a, const npi_observation *b)
{
    return a->external.port == b->external.port && npi_addr_is_other_ip(&a->external, &b->external) &&
           npi_addr_are_neighbours(&a->external, &b->external);
}

size_t npi_classify_dissenter(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t witness = seen[i].witness;
        if (!npi_classify_is_untranslated(&seen[i]) && holds_for_any(seen, count, witness, contradict) &&
            agrees_without(seen, count, witness) && !holds_for_any(seen, count, witness, may_be_of_a_pool))
            return i;
    }
    return count;
}

int32_t npi_classify_apparent(const npi_observation *seen, size_t count)
{
    const comparison c = {compare_all(seen, count, ALL), compare_all(seen, count, FRESH)};
    return appearance(&c, seen, count);
}

/*
 * Whether each destination that may be stale sees a port that no other one does, on an address of one network. A NAT
 * with several addresses that keeps the port, or maps by the destination's port, shows some port to two of them; one
 * with two lines shows addresses of two networks.
 */
static bool may_be_left_in_a_pool(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; seen[i].may_be_stale && j < count; j++) {
            bool same_port = seen[j].external.port == seen[i].external.port;
            if (j != i && (same_port || !npi_addr_are_neighbours(&seen[i].external, &seen[j].external)))
                return false;
        }
    }
    return true;
}

/* A NAT with several addresses does so with addresses; ports are what others left behind, a restart, or chance. */
static bool classify_is_mixed(const classify_pairs *p)
{
    bool differ = p->differ_other_ip || p->differ_other_port;
    return differ && p->equal_other_ip && !p->differ_address;
}

bool npi_classify_is_mixed(const npi_observation *seen, size_t count)
{
    const classify_pairs all = compare_all(seen, count, ALL);
    return classify_is_mixed(&all);
}

/* So many agree that the one which does not is rather left over than the way in which the NAT maps. */
#define AGREE_MIN 3

/* Whether all but one see the same, at two IP addresses, and that one sees another address of the same network. */
static bool is_left_over_in_a_pool(const npi_observation *seen, size_t count, size_t lone)
{
    const size_t first = lone == 0 ? 1 : 0;
    bool several = false;
    if (count < AGREE_MIN + 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (npi_addr_is_other_ip(&seen[i].local, &seen[first].local))
            return false;
        if (i == lone)
            continue;
        if (!npi_addr_equal(&seen[i].external, &seen[first].external))
            return false;
        several |= !npi_addr_same_ip(&seen[i].destination, &seen[first].destination);
    }
    return several && seen[lone].external.port != seen[first].external.port &&
           npi_addr_are_neighbours(&seen[lone].external, &seen[first].external);
}

/*
 * A NAT that stands before a NAT with a pool, and on which an earlier program has left something behind, shows that. It
 * may be at any destination, for some servers answer from another address than they were asked to.
 */
static bool may_be_one_left_over(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_left_over_in_a_pool(seen, count, i))
            return true;
    }
    return false;
}

int32_t npi_classify_mapping(const npi_observation *seen, size_t count)
{
    const comparison c = {compare_all(seen, count, ALL), compare_all(seen, count, FRESH)};
    int32_t mapping = appearance(&c, seen, count);
    if (mapping == NP_BEHAVIOUR_UNKNOWN || mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return mapping;
    /* What an earlier check left behind differs in the port, and behind a NAT with a pool in the address as well. */
    bool explained = !c.all.differ_address || (c.fresh.equal_other_ip && may_be_left_in_a_pool(seen, count));
    bool all_left_over = !c.fresh.differ_other_ip && !c.fresh.differ_other_port && explained;
    return all_left_over || classify_is_mixed(&c.all) || may_be_one_left_over(seen, count) ? NP_BEHAVIOUR_UNKNOWN : mapping;
}

npi_change npi_classify_change(const npi_addr *sent_to, const npi_addr *expected, const npi_addr *from, bool success)
{
    if (!success)
        return NPI_CHANGE_REJECTED;
    if (npi_addr_equal(from, expected))
        return NPI_CHANGE_HONOURED;
    return npi_addr_equal(from, sent_to) ? NPI_CHANGE_IGNORED : NPI_CHANGE_PARTIAL;
}

int32_t npi_classify_filtering(npi_change test_ii, npi_change test_iii)
{
    if (test_ii == NPI_CHANGE_HONOURED)
        return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    if (test_ii != NPI_CHANGE_SILENT)
        return NP_BEHAVIOUR_UNKNOWN;
    if (test_iii == NPI_CHANGE_HONOURED)
        return NP_BEHAVIOUR_ADDRESS_DEPENDENT;
    if (test_iii == NPI_CHANGE_SILENT)
        return NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return NP_BEHAVIOUR_ENDPOINT_DEPENDENT; /* II is filtered, of III nothing is known */
}

/* The private ranges that are told apart, and those of which npi_addr_classify knows nothing. */
static int32_t classify_special(const npi_addr *a)
{
    static const struct {
        uint8_t ip[4];
        unsigned bits;
        int32_t class;
    } blocks[] = {
        {{10, 0, 0, 0}, 8, NP_ADDRESS_PRIVATE},     {{100, 64, 0, 0}, 10, NP_ADDRESS_SHARED},
        {{172, 16, 0, 0}, 12, NP_ADDRESS_PRIVATE},  {{192, 0, 0, 0}, 29, NP_ADDRESS_SERVICE_CONTINUITY},
        {{192, 168, 0, 0}, 16, NP_ADDRESS_PRIVATE}, {{198, 18, 0, 0}, 15, NP_ADDRESS_BENCHMARK},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        uint32_t differs = 0;
        for (int k = 0; k < 4; k++)
            differs = differs << 8 | (uint32_t)(a->ip[k] ^ blocks[i].ip[k]);
        if (differs >> (32 - blocks[i].bits) == 0)
            return blocks[i].class;
    }
    return NP_ADDRESS_GLOBAL;
}

int32_t npi_classify_address(const npi_addr *a)
{
    npi_addr plain = npi_addr_unmap(a);
    switch (npi_addr_classify(&plain)) {
    case NPI_CLASS_PRIVATE:
    case NPI_CLASS_GLOBAL:
        if (plain.family == NPI_IPV4)
            return classify_special(&plain);
        return (plain.ip[0] & 0xfe) == 0xfc ? NP_ADDRESS_UNIQUE_LOCAL : NP_ADDRESS_GLOBAL;
    case NPI_CLASS_LOOPBACK:
        return NP_ADDRESS_LOOPBACK;
    case NPI_CLASS_LINK_LOCAL:
        return NP_ADDRESS_LINK_LOCAL;
    default:
        return NP_ADDRESS_UNKNOWN;
    }
}

int32_t npi_classify_type(int32_t mapping, int32_t filtering)
{
    bool open = filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool known = filtering != NP_BEHAVIOUR_UNKNOWN && filtering != NP_BEHAVIOUR_NONE;
    switch (mapping) {
    case NP_BEHAVIOUR_NONE:
        if (open)
            return NP_NAT_OPEN_INTERNET;
        return known ? NP_NAT_SYMMETRIC_UDP_FIREWALL : NP_NAT_NO_NAT;
    case NP_BEHAVIOUR_ENDPOINT_INDEPENDENT:
        if (open)
            return NP_NAT_FULL_CONE;
        if (filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT)
            return NP_NAT_RESTRICTED_CONE;
        return filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT ? NP_NAT_PORT_RESTRICTED_CONE : NP_NAT_CONE;
    case NP_BEHAVIOUR_ADDRESS_DEPENDENT:
    case NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT:
    case NP_BEHAVIOUR_ENDPOINT_DEPENDENT:
        return NP_NAT_SYMMETRIC;
    default:
        return NP_NAT_UNKNOWN;
    }
}
#undef AGREE_MIN

/* ---- error.c -------------------- */

/*
 * Codes and texts. Each row has the code, the name and the texts of one value. The first row of a list is for values
 * without a row.
 *
 * A column of texts is one string, and each text in it has its own terminator. A table of pointers would need a
 * relocation for each text and make the library some kilobytes larger.
 */
/* Codes and texts: implements the name and description functions of natprobe.h and has no others. */
#ifndef NPI_ERROR_H
#define NPI_ERROR_H


#endif

#include <stddef.h>
#include <string.h>

#define CODE(code, ...) code,
#define ONLY_NAME(code, name) name "\0"
#define NAME(code, name, ...) name "\0"
#define ENTRY_TEXT(code, name, text) text "\0"
#define DESCRIPTION(code, name, description, advice) description "\0"
#define ADVICE(code, name, description, advice) advice "\0"

/* The text of a code in a column of the list that codes comes from. */
#define TEXT_OF(code, codes, column) text_at(column, error_index_of(code, codes, sizeof(codes) / sizeof((codes)[0])))

/* 0, the row for everything unknown, where the code has no row. */
static size_t error_index_of(int32_t code, const int32_t *codes, size_t count)
{
    size_t index = count - 1;
    while (index > 0 && codes[index] != code)
        index--;
    return index;
}

static const char *text_at(const char *column, size_t index)
{
    for (; index > 0; index--)
        column += strlen(column) + 1;
    return column;
}

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define ERRORS(X)                                                                                                      \
    X(INT32_MIN, "unknown", "Unknown error")                                                                           \
    X(NP_OK, "ok", "Success")                                                                                          \
    X(NP_PENDING, "pending", "The check is still going on")                                                            \
    X(NP_ERR_ARGUMENT, "argument", "An argument is missing, malformed or out of range")                                \
    X(NP_ERR_NO_MEMORY, "no-memory", "Out of memory")                                                                  \
    X(NP_ERR_SYSTEM, "system", "The system refused a resource that the check needs")                                   \
    X(NP_ERR_BUSY, "busy", "The probe is running; this has to wait until it is done")                                  \
    X(NP_ERR_LIMIT, "limit", "A list is full; nothing was added")                                                      \
    X(NP_ERR_ADDRESS_IN_USE, "address-in-use", "The source port is in use")                                            \
    X(NP_ERR_ADDRESS_NOT_AVAILABLE, "address-not-available", "The source address does not belong to this host")        \
    X(NP_ERR_RESOLVE, "resolve", "No server name could be resolved to a usable address")                               \
    X(NP_ERR_NETWORK_UNREACHABLE, "network-unreachable", "No server can be reached from this host")                    \
    X(NP_ERR_NO_RESPONSE, "no-response", "No STUN server answered")                                                    \
    X(NP_ERR_ADDRESS_CHANGED, "address-changed", "The external address kept changing during the check")                \
    X(NP_ERR_INCONCLUSIVE, "inconclusive", "Servers answered, but the NAT type could not be determined")               \
    X(NP_ERR_TIMEOUT, "timeout", "The time allowed ran out before there was a verdict")                                \
    X(NP_ERR_CANCELLED, "cancelled", "The check was cancelled")                                                        \
    X(NP_ERR_BAD_RESPONSE, "bad-response", "Something answered, but not as a STUN server does")                        \
    X(NP_ERR_NOT_OPEN, "not-open", "This host was not proven open to the internet")
/* clang-format on */

static const int32_t error_errors[] = {ERRORS(CODE)};

const char *np_strerror(int32_t error)
{
    return TEXT_OF(error, error_errors, ERRORS(ENTRY_TEXT));
}

const char *np_error_name(int32_t error)
{
    return TEXT_OF(error, error_errors, ERRORS(NAME));
}

/* ---- Types ------------------------------------------------------------------------------------------------------ */

/* The descriptions of the six RFC 3489 types are values of proxystore.p2p.nat.NatType: interface. */
/* clang-format off */
#define TYPES(X)                                                                                                       \
    X(NP_NAT_UNKNOWN, "unknown", "Unknown",                                                                            \
      "Nothing can be said about direct connections.")                                                                 \
    X(NP_NAT_OPEN_INTERNET, "open-internet", "Open Internet (No NAT)",                                                 \
      "Peers can connect to this host directly, without hole punching.")                                               \
    X(NP_NAT_FULL_CONE, "full-cone", "Full-cone NAT",                                                                  \
      "Any peer that is told the external address can connect to it, as long as this host sends from the same port "   \
      "now and then.")                                                                                                 \
    X(NP_NAT_RESTRICTED_CONE, "restricted-cone", "Restricted-cone NAT",                                                \
      "Hole punching works with peers behind any type of NAT, once this host has sent a datagram to the peer's "       \
      "address.")                                                                                                      \
    X(NP_NAT_PORT_RESTRICTED_CONE, "port-restricted-cone", "Port Restricted-cone NAT",                                 \
      "Hole punching works when both sides send, except with peers behind a symmetric NAT, which usually need a "      \
      "relay.")                                                                                                        \
    X(NP_NAT_SYMMETRIC, "symmetric", "Symmetric NAT",                                                                  \
      "Hole punching works only with peers that accept datagrams from a port not known in advance (open internet, "    \
      "full or restricted cone); others need a relay.")                                                                \
    X(NP_NAT_SYMMETRIC_UDP_FIREWALL, "symmetric-udp-firewall", "Symmetric UDP Firewall NAT",                           \
      "The external address is the host's own, but a peer gets through only after this host has sent to it: hole "     \
      "punching is needed.")                                                                                           \
    X(NP_NAT_UDP_BLOCKED, "udp-blocked", "UDP blocked",                                                                \
      "Direct connections over UDP are not possible; use a relay over TCP or TLS.")                                    \
    X(NP_NAT_CONE, "cone", "Cone NAT (filtering unknown)",                                                             \
      "Hole punching works when both sides send; with peers behind a symmetric NAT it may fail.")                      \
    X(NP_NAT_NO_NAT, "no-nat", "No NAT (filtering unknown)",                                                           \
      "The external address is the host's own; whether peers can connect without hole punching is not known.")
/* clang-format on */

static const int32_t types[] = {TYPES(CODE)};

const char *np_nat_type_name(int32_t nat_type)
{
    return TEXT_OF(nat_type, types, TYPES(NAME));
}

const char *np_nat_type_description(int32_t nat_type)
{
    return TEXT_OF(nat_type, types, TYPES(DESCRIPTION));
}

const char *np_nat_type_advice(int32_t nat_type)
{
    return TEXT_OF(nat_type, types, TYPES(ADVICE));
}

/* clang-format off */
#define GRADES(GRADE)                                                                                                  \
    GRADE(NP_NAT_UNKNOWN, "Unknown")                                                                                   \
    GRADE(NP_NAT_OPEN_INTERNET, "Open")                                                                                \
    GRADE(NP_NAT_FULL_CONE, "Open")                                                                                    \
    GRADE(NP_NAT_RESTRICTED_CONE, "Moderate")                                                                          \
    GRADE(NP_NAT_PORT_RESTRICTED_CONE, "Moderate")                                                                     \
    GRADE(NP_NAT_SYMMETRIC_UDP_FIREWALL, "Moderate")                                                                   \
    GRADE(NP_NAT_SYMMETRIC, "Strict")                                                                                  \
    GRADE(NP_NAT_UDP_BLOCKED, "Strict")
/* clang-format on */

static const int32_t grades[] = {GRADES(CODE)};

const char *np_nat_type_grade(int32_t nat_type)
{
    return TEXT_OF(nat_type, grades, GRADES(ONLY_NAME));
}

/* ---- Behaviours ------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define BEHAVIOURS(X)                                                                                                  \
    X(NP_BEHAVIOUR_UNKNOWN, "unknown", "Unknown")                                                                      \
    X(NP_BEHAVIOUR_NONE, "none", "None")                                                                               \
    X(NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, "endpoint-independent", "Endpoint-independent")                               \
    X(NP_BEHAVIOUR_ADDRESS_DEPENDENT, "address-dependent", "Address-dependent")                                        \
    X(NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT, "address-and-port-dependent", "Address- and port-dependent")            \
    X(NP_BEHAVIOUR_ENDPOINT_DEPENDENT, "endpoint-dependent", "Endpoint-dependent (which kind is not known)")
/* clang-format on */

static const int32_t behaviours[] = {BEHAVIOURS(CODE)};

const char *np_behaviour_name(int32_t behaviour)
{
    return TEXT_OF(behaviour, behaviours, BEHAVIOURS(NAME));
}

const char *np_behaviour_description(int32_t behaviour)
{
    return TEXT_OF(behaviour, behaviours, BEHAVIOURS(ENTRY_TEXT));
}

/* ---- Evidence --------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define EVIDENCE(X)                                                                                                    \
    X(0, "unknown", "No evidence that is known.")                                                                      \
    X(NP_EVIDENCE_ANSWERED, "answered", "At least one server answered a plain request.")                               \
    X(NP_EVIDENCE_SECOND_SERVER, "second-server", "Servers of two unrelated addresses saw the mapping.")               \
    X(NP_EVIDENCE_ALTERNATE, "alternate", "A server named a usable second address (RFC 5780).")                        \
    X(NP_EVIDENCE_ALTERNATE_ALIVE, "alternate-alive", "The second address answered a plain request.")                 \
    X(NP_EVIDENCE_ALTERNATE_REFUSED, "alternate-refused",                                                              \
      "A second address was named to which it would be wrong to send.")                                                \
    X(NP_EVIDENCE_MAPPING_PROVEN, "mapping-proven", "Two destination addresses saw the mapping, or there is none.")    \
    X(NP_EVIDENCE_TEST_II_ANSWERED, "test-ii-answered", "An unsolicited answer came from another address.")            \
    X(NP_EVIDENCE_TEST_III_ANSWERED, "test-iii-answered", "An unsolicited answer came from another port.")             \
    X(NP_EVIDENCE_CONTROL_ANSWERED, "control-answered", "The missing answer came once the path to it was open.")       \
    X(NP_EVIDENCE_FILTERING_PROVEN, "filtering-proven",                                                                \
      "The filtering rests on an answer, or on silence with a control.")                                               \
    X(NP_EVIDENCE_CHANGE_IGNORED, "change-ignored", "A server answered CHANGE-REQUEST from where it was asked.")       \
    X(NP_EVIDENCE_CHANGE_PARTIAL, "change-partial", "A server changed something else than it was asked to.")           \
    X(NP_EVIDENCE_CHANGE_REJECTED, "change-rejected", "A server answered CHANGE-REQUEST with an error.")               \
    X(NP_EVIDENCE_CONTROL_SILENT, "control-silent", "The control failed: the server does not honour CHANGE-REQUEST.")  \
    X(NP_EVIDENCE_LOSS, "loss", "Some datagrams were lost.")                                                           \
    X(NP_EVIDENCE_CLASSIC, "classic", "A server answered only the RFC 3489 form of the request.")                      \
    X(NP_EVIDENCE_ALG, "alg", "Something on the path rewrote MAPPED-ADDRESS.")                                         \
    X(NP_EVIDENCE_RESTARTED, "restarted", "The external address changed once; the check began again.")                 \
    X(NP_EVIDENCE_CONTRADICTION, "contradiction", "Answers contradicted each other; what rested on them was dropped.") \
    X(NP_EVIDENCE_MALFORMED, "malformed", "A server sent answers that could not be used.")                             \
    X(NP_EVIDENCE_PROXIED, "proxied", "Something on the path answers, or translates, for a server.")                   \
    X(NP_EVIDENCE_OUTVOTED, "outvoted", "A server contradicted the others and was left out.")                          \
    X(NP_EVIDENCE_TRANSLATED, "translated", "An IPv6 socket has an IPv4 external address (NAT64).")
/* clang-format on */

static const int32_t error_evidence[] = {EVIDENCE(CODE)};

const char *np_evidence_name(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, error_evidence, EVIDENCE(NAME));
}

const char *np_evidence_description(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, error_evidence, EVIDENCE(ENTRY_TEXT));
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define KINDS(X)                                                                                                       \
    X(0, "unknown")                                                                                                    \
    X(NP_EVENT_SENT, "sent")                                                                                           \
    X(NP_EVENT_ANSWERED, "answered")                                                                                   \
    X(NP_EVENT_CONCLUDED, "concluded")                                                                                 \
    X(NP_EVENT_PROGRESS, "progress")

#define REQUESTS(X)                                                                                                    \
    X(0, "unknown")                                                                                                    \
    X(NP_REQUEST_I, "I")                                                                                               \
    X(NP_REQUEST_II, "II")                                                                                             \
    X(NP_REQUEST_III, "III")

#define PURPOSES(X)                                                                                                    \
    X(INT32_MIN, "unknown")                                                                                            \
    X(NP_PURPOSE_CHECK, "check")                                                                                       \
    X(NP_PURPOSE_MAPPING, "mapping")                                                                                   \
    X(NP_PURPOSE_FILTERING, "filtering")                                                                               \
    X(NP_PURPOSE_CONTROL, "control")                                                                                   \
    X(NP_PURPOSE_OPTIONAL, "optional")
/* clang-format on */

static const int32_t kinds[] = {KINDS(CODE)};
static const int32_t requests[] = {REQUESTS(CODE)};
static const int32_t purposes[] = {PURPOSES(CODE)};

const char *np_event_kind_name(int32_t kind)
{
    return TEXT_OF(kind, kinds, KINDS(ONLY_NAME));
}

const char *np_request_name(int32_t request)
{
    return TEXT_OF(request, requests, REQUESTS(ONLY_NAME));
}

const char *np_purpose_name(int32_t purpose)
{
    return TEXT_OF(purpose, purposes, PURPOSES(ONLY_NAME));
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define FAMILIES(X)                                                                                                    \
    X(INT32_MIN, "unknown")                                                                                            \
    X(NP_FAMILY_ANY, "any")                                                                                            \
    X(NP_FAMILY_IPV4, "ipv4")                                                                                          \
    X(NP_FAMILY_IPV6, "ipv6")

#define ADDRESSES(X)                                                                                                   \
    X(NP_ADDRESS_UNKNOWN, "unknown")                                                                                   \
    X(NP_ADDRESS_GLOBAL, "global")                                                                                     \
    X(NP_ADDRESS_PRIVATE, "private")                                                                                   \
    X(NP_ADDRESS_SHARED, "shared")                                                                                     \
    X(NP_ADDRESS_SERVICE_CONTINUITY, "service-continuity")                                                             \
    X(NP_ADDRESS_BENCHMARK, "benchmark")                                                                               \
    X(NP_ADDRESS_LINK_LOCAL, "link-local")                                                                             \
    X(NP_ADDRESS_UNIQUE_LOCAL, "unique-local")                                                                         \
    X(NP_ADDRESS_LOOPBACK, "loopback")

#define LEVELS(X)                                                                                                      \
    X(0, "unknown")                                                                                                    \
    X(NP_LOG_ERROR, "error")                                                                                           \
    X(NP_LOG_WARNING, "warning")                                                                                       \
    X(NP_LOG_INFO, "info")                                                                                             \
    X(NP_LOG_DEBUG, "debug")
/* clang-format on */

static const int32_t error_families[] = {FAMILIES(CODE)};
static const int32_t error_addresses[] = {ADDRESSES(CODE)};
static const int32_t levels[] = {LEVELS(CODE)};

const char *np_family_name(int32_t family)
{
    return TEXT_OF(family, error_families, FAMILIES(ONLY_NAME));
}

const char *np_address_class_name(int32_t address_class)
{
    return TEXT_OF(address_class, error_addresses, ADDRESSES(ONLY_NAME));
}

const char *np_log_level_name(int32_t level)
{
    return TEXT_OF(level, levels, LEVELS(ONLY_NAME));
}

/* ---- Outlook ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define ANSWERS(X)                                                                                                     \
    X(NP_TRISTATE_UNKNOWN, "unknown")                                                                                  \
    X(NP_TRISTATE_NO, "no")                                                                                            \
    X(NP_TRISTATE_YES, "yes")

#define OUTLOOKS(X)                                                                                                    \
    X(NP_OUTLOOK_UNKNOWN, "unknown", "Whether they connect depends on what is not known: try, and keep a relay.")      \
    X(NP_OUTLOOK_DIRECT, "direct", "They connect: one side sends to the external address of the other.")               \
    X(NP_OUTLOOK_PUNCH, "punch", "They connect if both send to each other's external address, several times.")         \
    X(NP_OUTLOOK_PUNCH_LEARN, "punch-learn",                                                                           \
      "They connect if both send to each other's external address, and answer to the port that datagrams come from.")  \
    X(NP_OUTLOOK_NEEDS_PREDICTION, "needs-prediction",                                                                 \
      "They connect only if one side's next external port is guessed: use a relay.")                                   \
    X(NP_OUTLOOK_RELAY, "relay", "They do not connect: use a relay.")                                                  \
    X(NP_OUTLOOK_SAME_NAT, "same-nat",                                                                                 \
      "They are behind the same NAT: try the local addresses first, and keep a relay.")

#define RULES(X)                                                                                                       \
    X(NP_RULE_UNKNOWN, "unknown", "Which rule applies depends on what is not known.")                                  \
    X(NP_RULE_UDP_BLOCKED, "udp-blocked", "UDP is blocked on one side.")                                               \
    X(NP_RULE_NO_COMMON_FAMILY, "no-common-family", "One side has IPv4, the other IPv6.")                              \
    X(NP_RULE_SAME_NAT, "same-nat",                                                                                    \
      "Both have the same external IP address, and whether their NAT sends a datagram back inside is not known.")      \
    X(NP_RULE_OPEN, "open", "Each side lets in a datagram that it did not ask for.")                                   \
    X(NP_RULE_ONE_OPEN, "one-open", "One side lets in a datagram that it did not ask for, and can answer.")            \
    X(NP_RULE_PORTS_KNOWN, "ports-known", "Each side sends from the same external port to everybody.")                 \
    X(NP_RULE_PORT_LEARNT, "port-learnt",                                                                              \
      "One side sends from a port that is not known in advance, and the other lets in any port of that address.")      \
    X(NP_RULE_PORT_UNKNOWN, "port-unknown",                                                                            \
      "One side sends from a port that is not known in advance, and the other does not let that port in.")             \
    X(NP_RULE_ADDRESS_UNKNOWN, "address-unknown",                                                                      \
      "One side sends from an IP address that is not known in advance, and the other does not let that in.")           \
    X(NP_RULE_BOTH_DEPENDENT, "both-dependent",                                                                        \
      "Each side sends from a port that is not known in advance, and at least one filter does not let that in.")

#define FIRSTS(X)                                                                                                      \
    X(INT32_MIN, "unknown", "Who sends first is not known.")                                                           \
    X(NP_FIRST_ANY, "any", "Either side may begin.")                                                                   \
    X(NP_FIRST_OURS, "ours", "Our side sends first.")                                                                  \
    X(NP_FIRST_THEIRS, "theirs", "Their side sends first.")                                                            \
    X(NP_FIRST_BOTH, "both", "Both sides send at about the same time.")

#define ASSUMPTIONS(X)                                                                                                 \
    X(0, "unknown", "No assumption that is known.")                                                                    \
    X(NP_ASSUMES_ONE_IP, "one-ip", "The side whose port is not known keeps its external IP address.")                  \
    X(NP_ASSUMES_FILTERING, "filtering", "A filtering that is not proven is right.")                                   \
    X(NP_ASSUMES_FRESH, "fresh", "A profile that is older than 15 minutes, or of unknown age, is still right.")        \
    X(NP_ASSUMES_LOW_TTL, "low-ttl",                                                                                   \
      "A first datagram with a low TTL opens the sender's NAT and does not reach the peer's.")                         \
    X(NP_ASSUMES_ANSWER_TO_SOURCE, "answer-to-source", "Each program answers to the address that datagrams come from.")
/* clang-format on */

static const int32_t error_answers[] = {ANSWERS(CODE)};
static const int32_t outlooks[] = {OUTLOOKS(CODE)};
static const int32_t error_rules[] = {RULES(CODE)};
static const int32_t firsts[] = {FIRSTS(CODE)};
static const int32_t error_assumptions[] = {ASSUMPTIONS(CODE)};

const char *np_tristate_name(int32_t answer)
{
    return TEXT_OF(answer, error_answers, ANSWERS(ONLY_NAME));
}

const char *np_outlook_class_name(int32_t outlook)
{
    return TEXT_OF(outlook, outlooks, OUTLOOKS(NAME));
}

const char *np_outlook_class_description(int32_t outlook)
{
    return TEXT_OF(outlook, outlooks, OUTLOOKS(ENTRY_TEXT));
}

const char *np_outlook_rule_name(int32_t rule)
{
    return TEXT_OF(rule, error_rules, RULES(NAME));
}

const char *np_outlook_rule_description(int32_t rule)
{
    return TEXT_OF(rule, error_rules, RULES(ENTRY_TEXT));
}

const char *np_first_name(int32_t first)
{
    return TEXT_OF(first, firsts, FIRSTS(NAME));
}

const char *np_first_description(int32_t first)
{
    return TEXT_OF(first, firsts, FIRSTS(ENTRY_TEXT));
}

const char *np_assumption_name(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, error_assumptions, ASSUMPTIONS(NAME));
}

const char *np_assumption_description(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, error_assumptions, ASSUMPTIONS(ENTRY_TEXT));
}

/* ---- Watch ------------------------------------------------------------------------------------------------------ */

/* clang-format off */
#define REASONS(X)                                                                                                     \
    X(INT32_MIN, "unknown")                                                                                            \
    X(NP_WATCH_REASON_NONE, "none")                                                                                    \
    X(NP_WATCH_REASON_START, "start")                                                                                  \
    X(NP_WATCH_REASON_NETWORK, "network")                                                                              \
    X(NP_WATCH_REASON_RESUME, "resume")                                                                                \
    X(NP_WATCH_REASON_FAILURE, "failure")                                                                              \
    X(NP_WATCH_REASON_RETRY, "retry")                                                                                  \
    X(NP_WATCH_REASON_FILTERING, "filtering")                                                                          \
    X(NP_WATCH_REASON_INTERVAL, "interval")

#define CHANGES(X)                                                                                                     \
    X(0, "unknown")                                                                                                    \
    X(NP_CHANGED_TYPE, "type")                                                                                         \
    X(NP_CHANGED_MAPPING, "mapping")                                                                                   \
    X(NP_CHANGED_FILTERING, "filtering")                                                                               \
    X(NP_CHANGED_ADDRESS, "address")
/* clang-format on */

static const int32_t reasons[] = {REASONS(CODE)};
static const int32_t error_changes[] = {CHANGES(CODE)};

const char *np_watch_reason_name(int32_t reason)
{
    return TEXT_OF(reason, reasons, REASONS(ONLY_NAME));
}

const char *np_watch_change_name(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, error_changes, CHANGES(ONLY_NAME));
}

/* ---- Survey ----------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define CONDUCTS(X)                                                                                                    \
    X(NP_CONDUCT_UNKNOWN, "unknown")                                                                                   \
    X(NP_CONDUCT_HONOURED, "honoured")                                                                                 \
    X(NP_CONDUCT_PARTIAL, "partial")                                                                                   \
    X(NP_CONDUCT_IGNORED, "ignored")                                                                                   \
    X(NP_CONDUCT_REJECTED, "rejected")                                                                                 \
    X(NP_CONDUCT_SILENT, "silent")
/* clang-format on */

static const int32_t conducts[] = {CONDUCTS(CODE)};

const char *np_conduct_name(int32_t conduct)
{
    return TEXT_OF(conduct, conducts, CONDUCTS(ONLY_NAME));
}
#undef ADDRESSES
#undef ADVICE
#undef ANSWERS
#undef ASSUMPTIONS
#undef BEHAVIOURS
#undef CHANGES
#undef CODE
#undef CONDUCTS
#undef DESCRIPTION
#undef ENTRY_TEXT
#undef ERRORS
#undef EVIDENCE
#undef FAMILIES
#undef FIRSTS
#undef GRADES
#undef KINDS
#undef LEVELS
#undef NAME
#undef ONLY_NAME
#undef OUTLOOKS
#undef PURPOSES
#undef REASONS
#undef REQUESTS
#undef RULES
#undef TEXT_OF
#undef TYPES

/* ---- lifetime.c -------------------- */

/* Idle times to try, and what follows from them. */
/*
 * How long a NAT keeps an idle mapping: which idle times to try, and what follows from what became of the mappings. The
 * engine tries several at once, each on a socket of its own, in two rounds. Pure.
 */
#ifndef NPI_LIFETIME_H
#define NPI_LIFETIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NPI_LIFETIME_ROUNDS 2
/* Idle times in one round, of one kind of mapping. */
#define NPI_LIFETIME_TRIES 8
/* The least difference between two of them that is worth a socket. */
#define NPI_LIFETIME_STEP_MS 500

/* What became of a mapping that had been idle. */
typedef enum npi_idle_fate {
    NPI_IDLE_UNKNOWN,
    NPI_IDLE_ALIVE,   /* a datagram from outside came in by it */
    NPI_IDLE_GONE,    /* none did, where one that was not idle let them in */
    NPI_IDLE_CHANGED, /* the next datagram out got another external port: the one before was gone */
    NPI_IDLE_SAME     /* it got the same port: the mapping lived on, or was made again */
} npi_idle_fate;

typedef struct npi_idle_sample {
    npi_idle_fate fate;
    uint32_t least_ms; /* the mapping had been idle for at least so long when that was seen */
    uint32_t most_ms;  /* and for at most so long */
    int round;         /* in which it was tried */
    uint16_t port;     /* its external port */
    bool keeps_port;   /* that was the local one */
} npi_idle_sample;

/* What samples of one kind of mapping show. A mapping lives idle for at least min_ms, and for less than max_ms. */
typedef struct npi_lifetime {
    uint32_t min_ms;   /* 0: not known */
    uint32_t max_ms;   /* 0: not known */
    int32_t recreated; /* enum np_tristate: is the same mapping made again once it is gone? */
} npi_lifetime;

npi_lifetime npi_lifetime_conclude(const npi_idle_sample *samples, size_t count);

/* Writes the idle times of a round, ascending, and returns how many: 0 if there is no use in another round. */
size_t npi_lifetime_first_round(uint32_t limit_ms, uint32_t out[NPI_LIFETIME_TRIES]);
/* samples: all so far. */
size_t npi_lifetime_next_round(const npi_idle_sample *samples, size_t count, uint32_t limit_ms,
                               uint32_t out[NPI_LIFETIME_TRIES]);
/* More samples, of longer idle times, would say no more than these. */
bool npi_lifetime_is_bounded(const npi_idle_sample *samples, size_t count);

#endif


#include <string.h>

/*
 * So many samples have to say that mappings are gone: one may be a datagram that was lost, or a NAT that had been
 * switched off and on.
 */
#define WITNESSES 2
/* In the first round each idle time is so much of the next longer one. */
#define RATIO_NUMERATOR 5
#define RATIO_DENOMINATOR 8

/* ---- What follows ----------------------------------------------------------------------------------------------- */

static size_t count_fate(const npi_idle_sample *samples, size_t count, npi_idle_fate fate)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += samples[i].fate == fate;
    return found;
}

/* Ports out of fewer than this come again by chance, or are the lowest that is free. */
#define PORTS_MANY 4096

/* External ports change, and are drawn from many. */
static bool do_ports_change(const npi_idle_sample *samples, size_t count)
{
    uint16_t lowest = UINT16_MAX;
    uint16_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        if (samples[i].fate != NPI_IDLE_CHANGED && samples[i].fate != NPI_IDLE_SAME)
            continue;
        lowest = samples[i].port < lowest ? samples[i].port : lowest;
        highest = samples[i].port > highest ? samples[i].port : highest;
    }
    return count_fate(samples, count, NPI_IDLE_CHANGED) >= WITNESSES && highest - lowest >= PORTS_MANY;
}

static uint32_t latest_alive_ms(const npi_idle_sample *samples, size_t count, int but_of_round)
{
    uint32_t latest_ms = 0;
    bool ports_change = do_ports_change(samples, count);
    for (size_t i = 0; i < count; i++) {
        const npi_idle_sample *s = &samples[i];
        bool may_live = s->fate == NPI_IDLE_ALIVE || (s->fate == NPI_IDLE_SAME && !s->keeps_port && ports_change);
        if (may_live && s->round != but_of_round && s->least_ms > latest_ms)
            latest_ms = s->least_ms;
    }
    return latest_ms;
}

static bool is_any_gone(const npi_idle_sample *s)
{
    return s->fate == NPI_IDLE_GONE || s->fate == NPI_IDLE_CHANGED;
}

/*
 * A mapping of one round was gone that lived in another: the NAT was switched off and on, lifetimes vary, or datagrams
 * were lost. Then no mapping of that round is believed to have been gone.
 */
static bool is_round_void(const npi_idle_sample *samples, size_t count, int round)
{
    uint32_t lived_ms = latest_alive_ms(samples, count, round);
    for (size_t i = 0; i < count; i++) {
        if (samples[i].round == round && is_any_gone(&samples[i]) && samples[i].least_ms <= lived_ms)
            return true;
    }
    return false;
}

static bool is_gone(const npi_idle_sample *samples, size_t count, size_t i)
{
    return is_any_gone(&samples[i]) && !is_round_void(samples, count, samples[i].round);
}

static size_t count_gone_by(const npi_idle_sample *samples, size_t count, uint32_t after_ms, uint32_t by_ms)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += is_gone(samples, count, i) && samples[i].most_ms > after_ms && samples[i].most_ms <= by_ms;
    return found;
}

static size_t count_same_from(const npi_idle_sample *samples, size_t count, uint32_t from_ms)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += samples[i].fate == NPI_IDLE_SAME && !samples[i].keeps_port && samples[i].least_ms >= from_ms;
    return found;
}

/*
 * The same port again shows that a mapping lived on where the NAT does not make the same one again; one of them may be
 * chance. Ports that are kept show nothing: if another one was given once, the usual one may just have been taken.
 */
static bool is_alive(const npi_idle_sample *s, const npi_idle_sample *samples, size_t count)
{
    if (s->fate != NPI_IDLE_SAME)
        return s->fate == NPI_IDLE_ALIVE;
    return do_ports_change(samples, count) && count_gone_by(samples, count, 0, s->least_ms) == 0 &&
           count_same_from(samples, count, s->least_ms) >= WITNESSES;
}

static uint32_t longest_alive_ms(const npi_idle_sample *samples, size_t count)
{
    uint32_t longest_ms = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_alive(&samples[i], samples, count) && samples[i].least_ms > longest_ms)
            longest_ms = samples[i].least_ms;
    }
    return longest_ms;
}

/* The least idle time beyond after_ms by which so many mappings are gone; 0: there is none. */
static uint32_t gone_by_ms(const npi_idle_sample *samples, size_t count, uint32_t after_ms, size_t witnesses)
{
    uint32_t found_ms = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t at_ms = samples[i].most_ms;
        bool is_sooner = is_any_gone(&samples[i]) && at_ms > after_ms && (found_ms == 0 || at_ms < found_ms);
        if (is_sooner && count_gone_by(samples, count, after_ms, at_ms) >= witnesses)
            found_ms = at_ms;
    }
    return found_ms;
}

/* One mapping that went too early may be a datagram that was lost. Of several nothing can be said. */
static bool lifetime_is_contradicted(const npi_idle_sample *samples, size_t count, uint32_t min_ms)
{
    size_t against = 0;
    for (size_t i = 0; i < count; i++)
        against += is_any_gone(&samples[i]) && samples[i].most_ms <= min_ms;
    return against >= WITNESSES;
}

/* By mappings for which no datagram from outside was asked: one that the NAT refuses may take the port. */
static int32_t recreated(const npi_idle_sample *samples, size_t count, uint32_t max_ms)
{
    size_t same = 0;
    for (size_t i = 0; i < count; i++)
        same += samples[i].fate == NPI_IDLE_SAME && max_ms != 0 && samples[i].least_ms >= max_ms;
    size_t changed = count_fate(samples, count, NPI_IDLE_CHANGED);
    if (same >= WITNESSES && changed == 0)
        return NP_TRISTATE_YES;
    return same == 0 && changed >= WITNESSES ? NP_TRISTATE_NO : NP_TRISTATE_UNKNOWN;
}

npi_lifetime npi_lifetime_conclude(const npi_idle_sample *samples, size_t count)
{
    npi_lifetime l = {.min_ms = longest_alive_ms(samples, count), .recreated = NP_TRISTATE_UNKNOWN};
    if (lifetime_is_contradicted(samples, count, l.min_ms)) {
        l.min_ms = 0;
        return l;
    }
    l.max_ms = gone_by_ms(samples, count, l.min_ms, WITNESSES);
    l.recreated = recreated(samples, count, l.max_ms);
    return l;
}

bool npi_lifetime_is_bounded(const npi_idle_sample *samples, size_t count)
{
    return npi_lifetime_conclude(samples, count).max_ms != 0;
}

/* ---- What to try ------------------------------------------------------------------------------------------------ */

/* Falling from the limit, so that the longest time that is allowed is tried. */
size_t npi_lifetime_first_round(uint32_t limit_ms, uint32_t out[NPI_LIFETIME_TRIES])
{
    size_t count = 0;
    uint64_t next_ms = limit_ms;
    while (count < NPI_LIFETIME_TRIES && next_ms >= NPI_LIFETIME_STEP_MS) {
        out[count++] = (uint32_t)next_ms;
        uint64_t shorter_ms = next_ms * RATIO_NUMERATOR / RATIO_DENOMINATOR;
        next_ms = next_ms - shorter_ms < NPI_LIFETIME_STEP_MS ? 0 : shorter_ms;
    }
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t swapped = out[i];
        out[i] = out[count - 1 - i];
        out[count - 1 - i] = swapped;
    }
    return count;
}

/* The least idle time beyond after_ms that a mapping did not live for; 0: there is none. */
static uint32_t first_gone_ms(const npi_idle_sample *samples, size_t count, uint32_t after_ms)
{
    uint32_t found_ms = 0;
    for (size_t i = 0; i < count; i++) {
        const npi_idle_sample *s = &samples[i];
        uint32_t tried_ms = s->least_ms > after_ms ? s->least_ms : s->most_ms;
        if (is_gone(samples, count, i) && s->most_ms > after_ms && (found_ms == 0 || tried_ms < found_ms))
            found_ms = tried_ms;
    }
    return found_ms;
}

/*
 * Even steps from the longest time that a mapping has lived to the least that one has not. That one is tried again: it
 * needs a second witness.
 */
size_t npi_lifetime_next_round(const npi_idle_sample *samples, size_t count, uint32_t limit_ms,
                               uint32_t out[NPI_LIFETIME_TRIES])
{
    uint32_t low_ms = longest_alive_ms(samples, count);
    uint32_t high_ms = first_gone_ms(samples, count, low_ms);
    high_ms = high_ms < limit_ms ? high_ms : limit_ms;
    if (high_ms <= low_ms || lifetime_is_contradicted(samples, count, low_ms))
        return 0;
    uint32_t steps = (high_ms - low_ms) / NPI_LIFETIME_STEP_MS;
    if (steps > NPI_LIFETIME_TRIES)
        steps = NPI_LIFETIME_TRIES;
    if (steps == 0)
        steps = 1;
    for (uint32_t i = 0; i < steps; i++)
        out[i] = low_ms + (uint32_t)((uint64_t)(high_ms - low_ms) * (i + 1) / steps);
    return steps;
}
#undef PORTS_MANY
#undef RATIO_DENOMINATOR
#undef RATIO_NUMERATOR
#undef WITNESSES

/* ---- log.c -------------------- */

/* Formats log lines and hands them to the caller's sink. */
/* Formats log lines into a fixed buffer and hands finished strings to the caller's sink. */
#ifndef NPI_LOG_H
#define NPI_LOG_H

#include <stdint.h>


typedef struct npi_log {
    np_log_fn sink; /* NULL: off */
    void *user;
    int32_t level;
} npi_log;

#define NPI_LOG_LINE 256 /* longer lines are cut */

int npi_log_wants(const npi_log *log, int32_t level);
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void npi_log_write(const npi_log *log, int32_t level, const char *format, ...);

#endif

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int npi_log_wants(const npi_log *log, int32_t level)
{
    return log->sink != NULL && level <= log->level;
}

/* What a server or a caller wrote may stand in a line; it must not break the line or steer a terminal. */
static void replace_controls(char *line)
{
    for (char *c = line; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7f)
            *c = '?';
    }
}

void npi_log_write(const npi_log *log, int32_t level, const char *format, ...)
{
    if (!npi_log_wants(log, level))
        return;
    char line[NPI_LOG_LINE];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length < 0)
        return;
    replace_controls(line);
    log->sink(level, line, log->user);
}

/* ---- natpmp.c -------------------- */

/* NAT-PMP: the external address of a gateway. RFC 6886 sections 3.1, 3.2 and 3.5. */
/*
 * NAT-PMP (RFC 6886): asks a gateway for its external address, and compares the answer with what servers see. Only this
 * question of the protocol is used: it changes nothing in the gateway. No sockets, no clock.
 */
#ifndef NPI_NATPMP_H
#define NPI_NATPMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define NPI_NATPMP_PORT 5351
#define NPI_NATPMP_REQUEST_SIZE 2

typedef enum npi_natpmp_kind {
    NPI_NATPMP_DROP,         /* not an answer to this question */
    NPI_NATPMP_ADDRESS,      /* the gateway names its external address */
    NPI_NATPMP_FAILURE,      /* it has none to name, or does not want to: a result code other than 0 */
    NPI_NATPMP_OTHER_VERSION /* it has another version of the protocol: 2 is PCP (RFC 6887) */
} npi_natpmp_kind;

typedef struct npi_natpmp_answer {
    npi_natpmp_kind kind;
    uint8_t version;
    uint16_t result;   /* the result code (RFC 6886 section 3.5) */
    npi_addr external; /* of NPI_NATPMP_ADDRESS, as the gateway says: it may be any */
} npi_natpmp_answer;

/* Writes the question. */
void npi_natpmp_encode(uint8_t out[NPI_NATPMP_REQUEST_SIZE]);
/* Decodes one datagram. Every field of out is written. */
npi_natpmp_kind npi_natpmp_decode(const uint8_t *data, size_t size, npi_natpmp_answer *out);
bool npi_natpmp_is_answer(const uint8_t *data, size_t size);

typedef enum npi_gateway_finding {
    NPI_GATEWAY_SILENT = 0,    /* it did not answer */
    NPI_GATEWAY_FAILED,        /* it answered with a result code other than 0 */
    NPI_GATEWAY_OTHER_VERSION, /* it does not speak NAT-PMP, but PCP or a later version */
    NPI_GATEWAY_NONSENSE,      /* no gateway has such an external address */
    NPI_GATEWAY_DIFFERS,       /* servers see another address, which does not show why */
    NPI_GATEWAY_NAT_BEHIND,    /* another NAT translates what leaves the gateway */
    NPI_GATEWAY_IS_SEEN        /* servers see the address that the gateway names */
} npi_gateway_finding;

/* What to compare with, all of IPv4. The ports count for nothing. */
typedef struct npi_gateway_sight {
    npi_addr gateway;  /* where it was asked */
    npi_addr local;    /* of this host */
    npi_addr external; /* as servers see it */
    bool is_only_one;  /* no server saw another external IP address */
} npi_gateway_sight;

/* What an answer shows; kind NPI_NATPMP_DROP: there was none. Nothing tells a lie of the gateway from the truth. */
npi_gateway_finding npi_natpmp_compare(const npi_natpmp_answer *answer, const npi_gateway_sight *sight);
/* One sentence about it. Cut to fit. */
void npi_natpmp_explain(const npi_natpmp_answer *answer, npi_gateway_finding finding, char *out, size_t size);

#endif

#include <stdio.h>
#include <string.h>



#define VERSION 0
#define OPCODE_ADDRESS 0
#define OPCODE_RESPONSE 128 /* added to the opcode of a request */
#define ANSWER_SIZE 12

/* ---- Messages --------------------------------------------------------------------------------------------------- */

void npi_natpmp_encode(uint8_t out[NPI_NATPMP_REQUEST_SIZE])
{
    out[0] = VERSION;
    out[1] = OPCODE_ADDRESS;
}

/*
 * A refusal may be short: what it is about need not be repeated (section 3.5). A server that speaks PCP alone answers
 * in its own version, and with a header of its own; the first four bytes are laid out alike (RFC 6887 section 9).
 */
npi_natpmp_kind npi_natpmp_decode(const uint8_t *data, size_t size, npi_natpmp_answer *out)
{
    npi_reader r = npi_reader_over(data, size);
    *out = (npi_natpmp_answer){.kind = NPI_NATPMP_DROP};
    uint8_t version = npi_read_u8(&r);
    uint8_t opcode = npi_read_u8(&r);
    uint16_t result = npi_read_u16(&r);
    if (r.failed || opcode != OPCODE_RESPONSE + OPCODE_ADDRESS)
        return NPI_NATPMP_DROP;
    out->version = version;
    out->result = result;
    if (version != VERSION) {
        out->kind = NPI_NATPMP_OTHER_VERSION;
    } else if (result != 0) {
        out->kind = NPI_NATPMP_FAILURE;
    } else if (size == ANSWER_SIZE) {
        (void)npi_read_u32(&r); /* how long the gateway has been up */
        out->external.family = NPI_IPV4;
        npi_read_bytes(&r, out->external.ip, 4);
        out->kind = NPI_NATPMP_ADDRESS;
    }
    return out->kind;
}

bool npi_natpmp_is_answer(const uint8_t *data, size_t size)
{
    npi_natpmp_answer unused;
    return npi_natpmp_decode(data, size, &unused) != NPI_NATPMP_DROP;
}

/* ---- What it shows ---------------------------------------------------------------------------------------------- */

/*
 * An address by which nothing can come back through the gateway: a host's own, or none of any host. A link-local one is
 * what systems give themselves that were given none.
 */
static bool is_nonsense(const npi_addr *named, const npi_gateway_sight *sight)
{
    npi_addr_class class = npi_addr_classify(named);
    return (class != NPI_CLASS_GLOBAL && class != NPI_CLASS_PRIVATE) || npi_addr_same_ip(named, &sight->gateway) ||
           npi_addr_same_ip(named, &sight->local);
}

/* No server of the internet sees such an address: it has to be translated on the way. */
static bool is_never_seen(const npi_addr *a)
{
    return npi_classify_address(a) != NP_ADDRESS_GLOBAL;
}

/*
 * Two different global addresses may belong to one gateway, which has several addresses or lines; or the one is that of
 * a tunnel's far end. The same holds if servers see several, or one that is not global: they may be inside, too.
 */
static npi_gateway_finding compare_address(const npi_addr *named, const npi_gateway_sight *sight)
{
    if (is_nonsense(named, sight))
        return NPI_GATEWAY_NONSENSE;
    if (npi_addr_same_ip(named, &sight->external))
        return NPI_GATEWAY_IS_SEEN;
    bool is_translated = is_never_seen(named) && !is_never_seen(&sight->external);
    return is_translated && sight->is_only_one ? NPI_GATEWAY_NAT_BEHIND : NPI_GATEWAY_DIFFERS;
}

npi_gateway_finding npi_natpmp_compare(const npi_natpmp_answer *answer, const npi_gateway_sight *sight)
{
    switch (answer->kind) {
    case NPI_NATPMP_ADDRESS:
        return compare_address(&answer->external, sight);
    case NPI_NATPMP_FAILURE:
        return NPI_GATEWAY_FAILED;
    case NPI_NATPMP_OTHER_VERSION:
        return NPI_GATEWAY_OTHER_VERSION;
    default:
        return NPI_GATEWAY_SILENT;
    }
}

/* What a result code says (section 3.5). Daemons send 3 where their address is not one that servers see. */
static const char *natpmp_meaning_of(uint16_t result)
{
    switch (result) {
    case 1:
        return "unsupported version";
    case 2:
        return "not authorized";
    case 3:
        return "network failure";
    case 4:
        return "out of resources";
    case 5:
        return "unsupported opcode";
    default:
        return "unknown";
    }
}

void npi_natpmp_explain(const npi_natpmp_answer *answer, npi_gateway_finding finding, char *out, size_t size)
{
    char named[NPI_ADDR_IP_TEXT];
    npi_addr_format_ip(&answer->external, named);
    switch (finding) {
    case NPI_GATEWAY_SILENT:
        (void)snprintf(out, size, "the gateway does not answer NAT-PMP");
        break;
    case NPI_GATEWAY_FAILED:
        (void)snprintf(out, size, "the gateway names no external address: NAT-PMP result %u, %s",
                       (unsigned)answer->result, natpmp_meaning_of(answer->result));
        break;
    case NPI_GATEWAY_OTHER_VERSION:
        (void)snprintf(out, size, "the gateway speaks %s, and not NAT-PMP",
                       answer->version == 2 ? "PCP" : "another version");
        break;
    case NPI_GATEWAY_NONSENSE:
        (void)snprintf(out, size, "the gateway claims an external address that it cannot have: %s", named);
        break;
    case NPI_GATEWAY_DIFFERS:
        (void)snprintf(out, size, "the gateway names %s, and servers see another address: the cause is not known",
                       named);
        break;
    case NPI_GATEWAY_NAT_BEHIND:
        (void)snprintf(out, size, "another NAT is behind the gateway, whose external address is %s", named);
        break;
    case NPI_GATEWAY_IS_SEEN:
        (void)snprintf(out, size, "the gateway's own external address, %s, is the one that servers see", named);
        break;
    }
}
#undef ANSWER_SIZE
#undef OPCODE_ADDRESS
#undef OPCODE_RESPONSE
#undef VERSION

/* ---- outlook.c -------------------- */

/*
 * Will these two connect? judge() is the rule, for two sides of which everything is known. What is not known is tried
 * out with every value that it may have, so what becomes known can only narrow the range from best to worst.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>



#define FRESH_S 900 /* a profile that is older may be of another network */

size_t np_outlook_result_size(void)
{
    return sizeof(np_outlook_result);
}

/* ---- The rule --------------------------------------------------------------------------------------------------- */

typedef enum filter_kind { LETS_ALL_IN, BY_ADDRESS, BY_ADDRESS_AND_PORT } filter_kind;

typedef struct side {
    bool depends;  /* the mapping depends on the destination: the peer's view has a port that the peer is not told */
    bool keeps_ip; /* every mapping of the socket has the same external IP address */
    filter_kind filter; /* from which others a mapping accepts, once it has sent to somebody */
    bool may_lose_port; /* a refused datagram may take the port, so the next mapping has another */
} side;

typedef struct judgement {
    int32_t outlook;
    int32_t rule;
    int32_t sends;      /* enum np_first: who has to send before the other can */
    int32_t goes_first; /* enum np_first: whose port is in danger unless it does; ANY: nobody's */
    bool is_learnt;     /* an address is in use that only the datagrams themselves tell */
} judgement;

/*
 * Does a datagram that from sends to the known address of to get in, once to has sent to the known address of from? The
 * mapping that the peer knows was made for a server. If mappings depend on the destination, what to has sent to the
 * peer came from another mapping, and has opened that one.
 */
static bool lets_in(const side *to, const side *from)
{
    if (to->filter == LETS_ALL_IN)
        return true;
    if (to->depends)
        return false;
    return !from->depends || (to->filter == BY_ADDRESS && from->keeps_ip);
}

/* Having got a datagram, does to reach from with an answer? It comes from another port than from has sent to, maybe. */
static bool can_answer(const side *to, const side *from)
{
    if (!to->depends || from->filter == LETS_ALL_IN)
        return true;
    return from->filter == BY_ADDRESS && to->keeps_ip;
}

static bool is_reached(const side *to, const side *from)
{
    return lets_in(to, from) && can_answer(to, from);
}

/* It need not send first to be reached. */
static bool outlook_is_open(const side *to, const side *from)
{
    return to->filter == LETS_ALL_IN && can_answer(to, from);
}

/* Which sides have to send before a datagram of the other's arrives: those that are reached through their pinhole. */
static int32_t in_danger(const side *ours, const side *theirs)
{
    int32_t first = NP_FIRST_ANY;
    if (ours->may_lose_port && !ours->depends)
        first |= NP_FIRST_OURS;
    if (theirs->may_lose_port && !theirs->depends)
        first |= NP_FIRST_THEIRS;
    return first;
}

static judgement judge_direct(const side *ours, const side *theirs)
{
    bool is_learnt = ours->depends || theirs->depends;
    bool to_ours = outlook_is_open(ours, theirs), to_theirs = outlook_is_open(theirs, ours);
    if (to_ours && to_theirs)
        return (judgement){NP_OUTLOOK_DIRECT, NP_RULE_OPEN, NP_FIRST_ANY, NP_FIRST_ANY, is_learnt};
    int32_t first = to_ours ? NP_FIRST_THEIRS : NP_FIRST_OURS;
    return (judgement){NP_OUTLOOK_DIRECT, NP_RULE_ONE_OPEN, first, NP_FIRST_ANY, is_learnt};
}

/* Only one side's address is unknown, and that only to the other. */
static judgement judge_unreached(const side *ours, const side *theirs)
{
    judgement j = {NP_OUTLOOK_RELAY, NP_RULE_BOTH_DEPENDENT, NP_FIRST_ANY, NP_FIRST_ANY, false};
    const side *unknown = ours->depends ? ours : theirs;
    if (ours->depends && theirs->depends)
        return j;
    j.outlook = unknown->keeps_ip ? NP_OUTLOOK_NEEDS_PREDICTION : NP_OUTLOOK_RELAY;
    j.rule = unknown->keeps_ip ? NP_RULE_PORT_UNKNOWN : NP_RULE_ADDRESS_UNKNOWN;
    return j;
}

static judgement outlook_judge(const side *ours, const side *theirs)
{
    if (outlook_is_open(ours, theirs) || outlook_is_open(theirs, ours))
        return judge_direct(ours, theirs);
    if (!is_reached(ours, theirs) && !is_reached(theirs, ours))
        return judge_unreached(ours, theirs);
    judgement j = {NP_OUTLOOK_PUNCH, NP_RULE_PORTS_KNOWN, NP_FIRST_BOTH, in_danger(ours, theirs), false};
    if (ours->depends || theirs->depends) {
        j.outlook = NP_OUTLOOK_PUNCH_LEARN;
        j.rule = NP_RULE_PORT_LEARNT;
        j.is_learnt = true;
    }
    return j;
}

/* ---- What is not known ------------------------------------------------------------------------------------------ */

/* What a side may be: one bit for each value that is possible. */
typedef struct range {
    unsigned depends;  /* bit 0: it does not, bit 1: it does */
    unsigned keeps_ip; /* bit 0: it does not, bit 1: it does */
    unsigned filter;   /* 1 << enum filter_kind */
    bool may_lose_port;
} range;

#define NO 1U
#define YES 2U

static unsigned possible_dependence(int32_t mapping)
{
    switch (mapping) {
    case NP_BEHAVIOUR_NONE:
    case NP_BEHAVIOUR_ENDPOINT_INDEPENDENT:
        return NO;
    case NP_BEHAVIOUR_ADDRESS_DEPENDENT:
    case NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT:
    case NP_BEHAVIOUR_ENDPOINT_DEPENDENT:
        return YES;
    default:
        return NO | YES;
    }
}

static unsigned possible_filters(int32_t filtering)
{
    switch (filtering) {
    case NP_BEHAVIOUR_NONE:
    case NP_BEHAVIOUR_ENDPOINT_INDEPENDENT:
        return 1U << LETS_ALL_IN;
    case NP_BEHAVIOUR_ADDRESS_DEPENDENT:
        return 1U << BY_ADDRESS;
    case NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT:
        return 1U << BY_ADDRESS_AND_PORT;
    case NP_BEHAVIOUR_ENDPOINT_DEPENDENT:
        return 1U << BY_ADDRESS | 1U << BY_ADDRESS_AND_PORT;
    default:
        return 1U << LETS_ALL_IN | 1U << BY_ADDRESS | 1U << BY_ADDRESS_AND_PORT;
    }
}

static range range_of(const np_profile *p)
{
    unsigned one_ip = p->external_ips > 1 ? NO : YES;
    return (range){.depends = possible_dependence(p->mapping),
                   .keeps_ip = p->external_ips == 0 ? NO | YES : one_ip,
                   .filter = possible_filters(p->filtering),
                   .may_lose_port = p->refused_takes_port != NP_TRISTATE_NO};
}

/* The completion of a number, one of COMPLETIONS; false where it is none of those possible. */
#define COMPLETIONS 12U
static bool outlook_complete(const range *r, unsigned number, side *out)
{
    unsigned depends = number % 2, keeps_ip = number / 2 % 2, kind = number / 4;
    bool is_possible = (r->depends >> depends & 1U) != 0 && (r->keeps_ip >> keeps_ip & 1U) != 0 &&
                       (r->filter >> kind & 1U) != 0;
    *out = (side){.depends = depends != 0,
                  .keeps_ip = keeps_ip != 0,
                  .filter = (filter_kind)kind,
                  .may_lose_port = r->may_lose_port};
    return is_possible;
}

static bool connects(int32_t outlook)
{
    return outlook >= NP_OUTLOOK_DIRECT && outlook <= NP_OUTLOOK_PUNCH_LEARN;
}

/* All judgements that are possible. */
typedef struct summary {
    int32_t best, worst;
    uint32_t rules[NP_OUTLOOK_RELAY + 1]; /* for each outlook a bit for each rule that leads to it */
    int32_t sends, goes_first;
    bool is_learnt;
} summary;

static void outlook_add(summary *s, const judgement *j)
{
    if (s->best == NP_OUTLOOK_UNKNOWN || j->outlook < s->best)
        s->best = j->outlook;
    if (j->outlook > s->worst)
        s->worst = j->outlook;
    s->rules[j->outlook] |= UINT32_C(1) << j->rule;
    s->sends |= j->sends;
    s->goes_first |= j->goes_first;
    s->is_learnt = s->is_learnt || j->is_learnt;
}

static void add_relay(summary *s, int32_t rule)
{
    outlook_add(s, &(judgement){NP_OUTLOOK_RELAY, rule, NP_FIRST_ANY, NP_FIRST_ANY, false});
}

static void add_pairs(summary *s, const range *ours, const range *theirs)
{
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        for (unsigned k = 0; k < COMPLETIONS; k++) {
            side a, b;
            bool is_possible = outlook_complete(ours, i, &a);
            if (!outlook_complete(theirs, k, &b) || !is_possible)
                continue;
            judgement j = outlook_judge(&a, &b);
            outlook_add(s, &j);
        }
    }
}

/* ---- Two profiles ----------------------------------------------------------------------------------------------- */

static npi_addr external_of(const np_profile *p)
{
    npi_addr address = {.family = NPI_FAMILY_NONE};
    if (memchr(p->external_ip, '\0', sizeof p->external_ip) == NULL || !npi_addr_parse_ip(p->external_ip, &address))
        return (npi_addr){.family = NPI_FAMILY_NONE};
    return npi_addr_unmap(&address);
}

/* As the address says, where there is one. */
static int32_t outlook_family_of(const np_profile *p)
{
    npi_addr address = external_of(p);
    if (npi_addr_is_set(&address))
        return address.family;
    return p->family == NP_FAMILY_IPV4 || p->family == NP_FAMILY_IPV6 ? p->family : NP_FAMILY_ANY;
}

/* Behind one NAT: YES, NO, or both where an address is not known. */
static unsigned may_share_nat(const np_profile *ours, const np_profile *theirs)
{
    npi_addr a = external_of(ours), b = external_of(theirs);
    if (!npi_addr_is_set(&a) || !npi_addr_is_set(&b))
        return NO | YES;
    return npi_addr_same_ip(&a, &b) ? YES : NO;
}

static summary summarise(const np_profile *ours, const np_profile *theirs)
{
    summary s = {0};
    range a = range_of(ours), b = range_of(theirs);
    int32_t family = outlook_family_of(ours), other_family = outlook_family_of(theirs);
    bool one_is_unknown = family == NP_FAMILY_ANY || other_family == NP_FAMILY_ANY;
    if (ours->udp_blocked != 0 || theirs->udp_blocked != 0) {
        add_relay(&s, NP_RULE_UDP_BLOCKED);
        return s;
    }
    if (family != other_family)
        add_relay(&s, NP_RULE_NO_COMMON_FAMILY);
    if (family != other_family && !one_is_unknown)
        return s;
    add_pairs(&s, &a, &b);
    if ((may_share_nat(ours, theirs) & YES) != 0)
        add_relay(&s, NP_RULE_SAME_NAT); /* a NAT that sends nothing back inside */
    return s;
}

/* The one rule that leads there, or unknown where there are several. */
static int32_t rule_from(uint32_t rules)
{
    for (int32_t rule = NP_RULE_UDP_BLOCKED; rule <= NP_RULE_BOTH_DEPENDENT; rule++) {
        if (rules == UINT32_C(1) << rule)
            return rule;
    }
    return NP_RULE_UNKNOWN;
}

static void outlook_conclude(const summary *s, bool is_same_nat, np_outlook_result *out)
{
    bool is_known = connects(s->best) == connects(s->worst);
    out->best = s->best;
    out->worst = s->worst;
    out->outlook = is_known ? s->worst : NP_OUTLOOK_UNKNOWN;
    out->rule = rule_from(is_known ? s->rules[s->worst] : 0);
    /* What a pair without addresses lacks is worth a word. */
    if (!is_known && s->rules[NP_OUTLOOK_RELAY] == UINT32_C(1) << NP_RULE_SAME_NAT)
        out->rule = NP_RULE_SAME_NAT;
    if (is_same_nat) {
        out->outlook = NP_OUTLOOK_SAME_NAT;
        out->rule = NP_RULE_SAME_NAT;
    }
    if (!connects(s->best))
        return;
    out->first = s->goes_first != NP_FIRST_ANY ? s->goes_first : s->sends;
    if (s->goes_first == NP_FIRST_BOTH)
        out->assumes |= NP_ASSUMES_LOW_TTL;
    if (s->is_learnt)
        out->assumes |= NP_ASSUMES_ANSWER_TO_SOURCE;
}

/* ---- What it rests on ------------------------------------------------------------------------------------------- */

static bool outlook_is_fresh(const np_profile *p, int64_t now_unix)
{
    if (p->measured_at <= 0 || now_unix <= 0)
        return false;
    int64_t age = now_unix > p->measured_at ? now_unix - p->measured_at : p->measured_at - now_unix;
    return age <= FRESH_S;
}

/* Would it be worse with these two, or not as hopeless? */
static bool outlook_differs(const summary *s, const np_profile *ours, const np_profile *theirs)
{
    summary other = summarise(ours, theirs);
    return other.worst != s->worst || connects(other.best) != connects(s->best);
}

static np_profile without_filtering(const np_profile *p)
{
    np_profile other = *p;
    if (p->filtering_proven == 0)
        other.filtering = NP_BEHAVIOUR_UNKNOWN;
    return other;
}

static np_profile without_one_ip(const np_profile *p)
{
    np_profile other = *p;
    if (p->external_ips == 1)
        other.external_ips = 0;
    return other;
}

static uint32_t outlook_assumptions(const summary *s, const np_profile *ours, const np_profile *theirs, int64_t now_unix)
{
    uint32_t assumes = 0;
    np_profile a = without_filtering(ours), b = without_filtering(theirs);
    if (outlook_differs(s, &a, &b))
        assumes |= NP_ASSUMES_FILTERING;
    a = without_one_ip(ours);
    b = without_one_ip(theirs);
    if (outlook_differs(s, &a, &b))
        assumes |= NP_ASSUMES_ONE_IP;
    if (!outlook_is_fresh(ours, now_unix) || !outlook_is_fresh(theirs, now_unix))
        assumes |= NP_ASSUMES_FRESH;
    return assumes;
}

int np_outlook(const np_profile *ours, const np_profile *theirs, int64_t now_unix, np_outlook_result *outlook)
{
    if (outlook == NULL)
        return NP_ERR_ARGUMENT;
    memset(outlook, 0, sizeof *outlook);
    if (ours == NULL || theirs == NULL)
        return NP_ERR_ARGUMENT;
    summary s = summarise(ours, theirs);
    outlook_conclude(&s, may_share_nat(ours, theirs) == YES, outlook);
    outlook->assumes |= outlook_assumptions(&s, ours, theirs, now_unix);
    return NP_OK;
}
#undef COMPLETIONS
#undef FRESH_S
#undef NO
#undef YES

/* ---- profile.c -------------------- */

/*
 * Profiles: from a result, to a line of text, and back. A line may come from a stranger, so its length is bounded, and
 * each value is read into a known range or refused with a sentence of its own.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>



#define COUNT_MAX UINT16_MAX
#define STEP_MAX UINT16_MAX
#define TIME_MAX 999999999999 /* twelve digits */

size_t np_profile_size(void)
{
    return sizeof(np_profile);
}

/* A string of a structure that a caller has filled; nothing where its terminator is missing. */
static bool profile_read_address(const char text[NP_IP_TEXT_SIZE], npi_addr *out)
{
    *out = (npi_addr){.family = NPI_FAMILY_NONE};
    return memchr(text, '\0', NP_IP_TEXT_SIZE) != NULL && npi_addr_zone(text)[0] == '\0' &&
           npi_addr_parse_ip(text, out);
}

/* One that a host may have. An IPv4 address written as IPv6 becomes what it is. */
static bool read_host_address(const char text[NP_IP_TEXT_SIZE], npi_addr *out)
{
    if (!profile_read_address(text, out))
        return false;
    *out = npi_addr_unmap(out);
    npi_addr whole = npi_addr_with_port(out, 1);
    return npi_addr_is_destination(&whole);
}

/* ---- From a result ---------------------------------------------------------------------------------------------- */

static int32_t profile_family_of(const char text[NP_IP_TEXT_SIZE])
{
    npi_addr address;
    return profile_read_address(text, &address) ? npi_addr_unmap(&address).family : NP_FAMILY_ANY;
}

int np_profile_from_result(const np_result *result, int64_t now_unix, np_profile *profile)
{
    if (profile == NULL)
        return NP_ERR_ARGUMENT;
    memset(profile, 0, sizeof *profile);
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    profile->measured_at = now_unix;
    profile->mapping = result->mapping;
    profile->filtering = result->filtering;
    profile->filtering_proven = (result->evidence & NP_EVIDENCE_FILTERING_PROVEN) != 0;
    profile->udp_blocked = result->nat_type == NP_NAT_UDP_BLOCKED;
    profile->family = profile_family_of(result->external_ip);
    if (profile->family == NP_FAMILY_ANY)
        profile->family = profile_family_of(result->local_ip);
    else
        memcpy(profile->external_ip, result->external_ip, strlen(result->external_ip));
    profile->external_port = profile->external_ip[0] != '\0' ? result->external_port : 0;
    profile->port_step = result->port_step;
    profile->external_ips = result->external_ips;
    profile->ports_seen = result->ports_seen;
    profile->ports_kept = result->ports_kept;
    profile->refused_takes_port = result->refused_takes_port;
    return NP_OK;
}

/* ---- Words ------------------------------------------------------------------------------------------------------ */

typedef struct word {
    char text[5];
    uint8_t value;
} word;

static const word mappings[] = {{"?", NP_BEHAVIOUR_UNKNOWN},
                                {"none", NP_BEHAVIOUR_NONE},
                                {"ei", NP_BEHAVIOUR_ENDPOINT_INDEPENDENT},
                                {"ad", NP_BEHAVIOUR_ADDRESS_DEPENDENT},
                                {"apd", NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT},
                                {"dep", NP_BEHAVIOUR_ENDPOINT_DEPENDENT},
                                {"", 0}};
static const word filterings[] = {{"?", NP_BEHAVIOUR_UNKNOWN},
                                  {"ei", NP_BEHAVIOUR_ENDPOINT_INDEPENDENT},
                                  {"ad", NP_BEHAVIOUR_ADDRESS_DEPENDENT},
                                  {"apd", NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT},
                                  {"dep", NP_BEHAVIOUR_ENDPOINT_DEPENDENT},
                                  {"", 0}};
static const word profile_families[] = {{"4", NP_FAMILY_IPV4}, {"6", NP_FAMILY_IPV6}, {"", 0}};
static const word profile_answers[] = {{"?", NP_TRISTATE_UNKNOWN}, {"0", NP_TRISTATE_NO}, {"1", NP_TRISTATE_YES}, {"", 0}};
static const word switches[] = {{"0", 0}, {"1", 1}, {"", 0}};

/* The first word stands for every value that has none. */
static const char *word_for(const word *list, int32_t value)
{
    for (const word *w = list; w->text[0] != '\0'; w++) {
        if (w->value == value)
            return w->text;
    }
    return list->text;
}

/* ---- To text ---------------------------------------------------------------------------------------------------- */

typedef struct profile_line {
    char text[NP_PROFILE_TEXT_SIZE];
    size_t length;
} profile_line;

/* Every value has a range, so the line always has room for all of them. */
static void append(profile_line *l, const char *key, const char *value)
{
    size_t room = sizeof l->text - l->length;
    int length = snprintf(l->text + l->length, room, " %s=%s", key, value);
    if (length > 0 && (size_t)length < room)
        l->length += (size_t)length;
}

static void append_number(profile_line *l, const char *key, long long value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", value);
    append(l, key, text);
}

static void append_address(profile_line *l, const npi_addr *address, uint16_t port)
{
    char ip[NPI_ADDR_IP_TEXT], text[NPI_ADDR_TEXT];
    npi_addr whole = npi_addr_with_port(address, port);
    if (port != 0) {
        npi_addr_format(&whole, text);
        append(l, "x", text);
        return;
    }
    npi_addr_format_ip(&whole, ip);
    append(l, "x", ip);
}

static void append_ports(profile_line *l, const np_profile *p)
{
    char text[16];
    unsigned seen = p->ports_seen, kept = p->ports_kept < seen ? p->ports_kept : seen;
    if (seen == 0)
        return;
    (void)snprintf(text, sizeof text, "%u/%u", kept, seen);
    append(l, "pk", text);
}

static void append_known(profile_line *l, const np_profile *p)
{
    if (p->udp_blocked != 0)
        append(l, "b", "1");
    if (p->external_ips != 0)
        append_number(l, "ips", p->external_ips);
    append_ports(l, p);
    if (p->port_step != 0 && p->port_step >= -STEP_MAX && p->port_step <= STEP_MAX)
        append_number(l, "ps", p->port_step);
    if (p->refused_takes_port == NP_TRISTATE_NO || p->refused_takes_port == NP_TRISTATE_YES)
        append(l, "trap", word_for(profile_answers, p->refused_takes_port));
    if (p->measured_at > 0 && p->measured_at <= TIME_MAX)
        append_number(l, "t", p->measured_at);
}

int np_profile_format(const np_profile *profile, char *text, size_t size)
{
    profile_line l = {"np1", 3};
    npi_addr address = {.family = NPI_FAMILY_NONE};
    if (text != NULL && size != 0)
        text[0] = '\0';
    if (profile == NULL || text == NULL)
        return NP_ERR_ARGUMENT;
    if (profile->external_ip[0] != '\0' && !read_host_address(profile->external_ip, &address))
        return NP_ERR_ARGUMENT;
    int32_t filtering = profile->filtering != NP_BEHAVIOUR_NONE ? profile->filtering
                                                                : NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    append(&l, "m", word_for(mappings, profile->mapping));
    append(&l, "f", word_for(filterings, filtering));
    append(&l, "fp", profile->filtering_proven != 0 ? "1" : "0");
    int32_t family = npi_addr_is_set(&address) ? address.family : profile->family;
    if (family == NP_FAMILY_IPV4 || family == NP_FAMILY_IPV6)
        append(&l, "v", word_for(profile_families, family));
    if (npi_addr_is_set(&address))
        append_address(&l, &address, profile->external_port);
    append_known(&l, profile);
    if (l.length >= size)
        return NP_ERR_ARGUMENT;
    memcpy(text, l.text, l.length + 1);
    return NP_OK;
}

/* ---- From text -------------------------------------------------------------------------------------------------- */

/* A piece of the text. */
typedef struct profile_span {
    const char *at;
    size_t size;
} profile_span;

static bool profile_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool span_is(profile_span s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.at, text, s.size) == 0;
}

/* What stands before the first separator; the separator is taken away too. */
static profile_span take_until(profile_span *rest, char separator)
{
    const char *end = memchr(rest->at, separator, rest->size);
    profile_span taken = {rest->at, end != NULL ? (size_t)(end - rest->at) : rest->size};
    size_t gone = end != NULL ? taken.size + 1 : taken.size;
    *rest = (profile_span){rest->at + gone, rest->size - gone};
    return taken;
}

static bool read_word(profile_span s, const word *list, int32_t *out)
{
    for (const word *w = list; w->text[0] != '\0'; w++) {
        if (span_is(s, w->text)) {
            *out = w->value;
            return true;
        }
    }
    return false;
}

static bool read_number(profile_span s, int64_t max, int64_t *out)
{
    int64_t value = 0;
    if (s.size == 0 || s.size > 12)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        if (!profile_is_digit(s.at[i]))
            return false;
        value = value * 10 + (s.at[i] - '0');
    }
    *out = value;
    return value <= max;
}

static bool read_count(profile_span s, uint16_t *out)
{
    int64_t value = 0;
    bool valid = read_number(s, COUNT_MAX, &value);
    *out = (uint16_t)(valid ? value : 0);
    return valid;
}

static bool read_ports(profile_span s, np_profile *p)
{
    profile_span kept = take_until(&s, '/');
    return read_count(kept, &p->ports_kept) && read_count(s, &p->ports_seen) && p->ports_kept <= p->ports_seen;
}

static bool read_step(profile_span s, np_profile *p)
{
    bool is_negative = s.size != 0 && s.at[0] == '-';
    int64_t value = 0;
    if (!read_number((profile_span){s.at + is_negative, s.size - is_negative}, STEP_MAX, &value))
        return false;
    p->port_step = (int32_t)(is_negative ? -value : value);
    return true;
}

/* "IPv4", "IPv4:port", "IPv6", "[IPv6]" or "[IPv6]:port": parts it into address and port. */
static bool split_address(profile_span s, profile_span *ip, profile_span *port)
{
    bool has_brackets = s.size != 0 && s.at[0] == '[';
    *port = (profile_span){s.at, 0};
    if (!has_brackets) {
        profile_span rest = s;
        *ip = take_until(&rest, ':');
        bool is_ipv6 = memchr(rest.at, ':', rest.size) != NULL;
        bool has_port = !is_ipv6 && ip->size < s.size;
        *ip = is_ipv6 ? s : *ip;
        *port = has_port ? rest : *port;
        return !has_port || rest.size != 0;
    }
    profile_span rest = {s.at + 1, s.size - 1};
    *ip = take_until(&rest, ']');
    bool is_closed = ip->size + 2 <= s.size;
    if (rest.size == 0)
        return is_closed && memchr(ip->at, ':', ip->size) != NULL;
    *port = (profile_span){rest.at + 1, rest.size - 1};
    return is_closed && rest.at[0] == ':' && port->size != 0 && memchr(ip->at, ':', ip->size) != NULL;
}

static bool read_external(profile_span s, np_profile *p)
{
    char text[NP_IP_TEXT_SIZE] = "";
    profile_span ip, port;
    npi_addr address;
    if (!split_address(s, &ip, &port) || ip.size >= sizeof text)
        return false;
    memcpy(text, ip.at, ip.size);
    if (port.size != 0 && (!read_count(port, &p->external_port) || p->external_port == 0))
        return false;
    if (!read_host_address(text, &address))
        return false;
    npi_addr_format_ip(&address, p->external_ip);
    return true;
}

/* The keys, each with what is wrong where its value cannot be read. */
#define KEYS(X)                                                                                                        \
    X("m", read_word(s, mappings, &p->mapping), "m is none of none, ei, ad, apd, dep and ?")                           \
    X("f", read_word(s, filterings, &p->filtering), "f is none of ei, ad, apd, dep and ?")                             \
    X("fp", read_word(s, switches, &p->filtering_proven), "fp is neither 0 nor 1")                                     \
    X("v", read_word(s, profile_families, &p->family), "v is neither 4 nor 6")                                                 \
    X("x", read_external(s, p), "x is no address that a host may have, with or without a port")                        \
    X("b", read_word(s, switches, &p->udp_blocked), "b is neither 0 nor 1")                                            \
    X("ips", read_count(s, &p->external_ips), "ips is no number from 0 to 65535")                                      \
    X("pk", read_ports(s, p), "pk is not two numbers from 0 to 65535 with a slash between, the second not smaller")    \
    X("ps", read_step(s, p), "ps is no number from -65535 to 65535")                                                   \
    X("trap", read_word(s, profile_answers, &p->refused_takes_port), "trap is none of 0, 1 and ?")                             \
    X("t", read_number(s, TIME_MAX, &p->measured_at), "t is no number of at most twelve digits")

/* Returns NULL, or what is wrong. Keys of later versions are passed over. */
static const char *read_value(profile_span key, profile_span s, np_profile *p)
{
#define READ(name, reading, wrong)                                                                                     \
    if (span_is(key, name))                                                                                            \
        return (reading) ? NULL : (wrong);
    KEYS(READ)
#undef READ
    return NULL;
}

static bool is_key(profile_span s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (!(s.at[i] >= 'a' && s.at[i] <= 'z') && !(i > 0 && profile_is_digit(s.at[i])))
            return false;
    }
    return s.size != 0;
}

/* Was there an entry with this key before, in what lies between two places? */
static bool has_key(const char *from, const char *to, profile_span key)
{
    profile_span rest = {from, (size_t)(to - from)};
    while (rest.size != 0) {
        profile_span entry = take_until(&rest, ' ');
        profile_span earlier = take_until(&entry, '=');
        if (earlier.size == key.size && memcmp(earlier.at, key.at, key.size) == 0)
            return true;
    }
    return false;
}

static const char *read_entries(profile_span rest, np_profile *p)
{
    const char *start = rest.at;
    bool is_last = rest.size == 0;
    while (!is_last) {
        const char *here = rest.at;
        is_last = memchr(rest.at, ' ', rest.size) == NULL;
        profile_span value = take_until(&rest, ' ');
        if (value.size == 0)
            return "There is not exactly one space between two entries, or one behind the last";
        profile_span key = take_until(&value, '=');
        if (!is_key(key) || value.size == 0)
            return "An entry is not a key of small letters and digits, '=' and a value";
        if (has_key(start, here, key))
            return "A key stands twice";
        const char *wrong = read_value(key, value, p);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static const char *read_version(profile_span *rest)
{
    profile_span version = take_until(rest, ' ');
    bool has_digits = version.size > 2 && memcmp(version.at, "np", 2) == 0;
    for (size_t i = 2; i < version.size; i++)
        has_digits = has_digits && profile_is_digit(version.at[i]);
    if (!has_digits)
        return "It does not begin with \"np1\"";
    return span_is(version, "np1") ? NULL : "It is of another version than 1, the only one that is known";
}

static bool is_printable(profile_span s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.at[i] < ' ' || s.at[i] > '~')
            return false;
    }
    return true;
}

static const char *read_line(const char *text, np_profile *p)
{
    const char *end = memchr(text, '\0', NP_PROFILE_TEXT_SIZE);
    if (end == NULL)
        return "It is longer than 159 characters";
    profile_span rest = {text, (size_t)(end - text)};
    if (!is_printable(rest))
        return "It has a character that is not printable ASCII";
    const char *wrong = read_version(&rest);
    if (wrong == NULL && end[-1] == ' ')
        wrong = "There is not exactly one space between two entries, or one behind the last";
    if (wrong == NULL)
        wrong = read_entries(rest, p);
    if (wrong != NULL || p->external_ip[0] == '\0')
        return wrong;
    int32_t family = profile_family_of(p->external_ip);
    if (p->family != NP_FAMILY_ANY && p->family != family)
        return "v and x are of different families";
    p->family = family;
    return NULL;
}

int np_profile_parse(const char *text, np_profile *profile, const char **reason)
{
    const char *wrong = "There is no text, or no profile to read it into";
    if (profile != NULL)
        memset(profile, 0, sizeof *profile);
    if (profile != NULL && text != NULL)
        wrong = read_line(text, profile);
    if (wrong != NULL && profile != NULL)
        memset(profile, 0, sizeof *profile);
    if (reason != NULL)
        *reason = wrong;
    return wrong == NULL ? NP_OK : NP_ERR_ARGUMENT;
}
#undef COUNT_MAX
#undef KEYS
#undef READ
#undef STEP_MAX
#undef TIME_MAX

/* ---- renewal.c -------------------- */

/* When a watch makes its next check, and why. */
/* When a watch makes its next check, and why. Pure: times, notices and outcomes in, times and reasons out. */
#ifndef NPI_RENEWAL_H
#define NPI_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Times: nanoseconds on a clock that only goes forward. A question "when?" is answered with a time: one that has passed
 * means "now", NPI_NEVER means "not by waiting alone".
 */
#ifndef NPI_TSTAMP_H
#define NPI_TSTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define NPI_NEVER UINT64_MAX
#define NPI_MS UINT64_C(1000000)
#define NPI_NOW UINT64_C(0) /* the answer "already" */

/* Saturating, so that NPI_NEVER plus anything stays NPI_NEVER. */
static inline uint64_t npi_time_add(uint64_t t, uint64_t delta)
{
    return delta > NPI_NEVER - t ? NPI_NEVER : t + delta;
}

static inline uint64_t npi_time_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t npi_time_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The earlier of two times to be woken at; a time that has passed is none. */
static inline uint64_t npi_wake_min(uint64_t wake_ns, uint64_t t_ns, uint64_t now_ns)
{
    return t_ns > now_ns && t_ns < wake_ns ? t_ns : wake_ns;
}

/* True when a time has come; otherwise *wake_ns is moved forward to it. */
static inline bool npi_time_has_come(uint64_t t_ns, uint64_t now_ns, uint64_t *wake_ns)
{
    *wake_ns = npi_wake_min(*wake_ns, t_ns, now_ns);
    return t_ns <= now_ns;
}

#endif

#define NPI_S (UINT64_C(1000) * NPI_MS)
/* No two checks begin within this time, whatever happens: for the servers' sake. */
#define NPI_RENEWAL_GAP_NS (10 * NPI_S)
/*
 * A change of the network is a row of notices: link, address, route. A check waits until they have been quiet for a
 * while, but not for long: what comes later asks for another one.
 */
#define NPI_RENEWAL_QUIET_NS (200 * NPI_MS)
#define NPI_RENEWAL_SETTLE_NS (800 * NPI_MS)
/* Without a verdict: after this time, then twice as long each time. */
#define NPI_RENEWAL_RETRY_NS (30 * NPI_S)
#define NPI_RENEWAL_RETRY_MAX_NS (600 * NPI_S)

typedef struct npi_renewal {
    uint64_t interval_ns; /* from one check to the next where nothing asks for one; 0: none */
    uint64_t last_ns;     /* when the last one began; NPI_NEVER: none has */
    bool running;
    bool start_wanted;
    bool has_way;            /* without one nothing is sent, so that no time need pass between two attempts */
    bool resumed;            /* of the notices that are waiting, one is of a suspension */
    uint64_t noticed_ns;     /* the first notice that no check has followed; NPI_NEVER: none */
    uint64_t quiet_ns;       /* the last one */
    uint64_t failure_ns;     /* a failure was told that no check has followed; NPI_NEVER: none */
    uint64_t failure_gap_ns; /* from one check to the next for the sake of failures alone */
    bool for_failure;        /* the check that is running is for one */
    uint64_t retry_ns;       /* NPI_NEVER: there is a verdict */
    uint64_t retry_gap_ns;   /* for the next one without */
    uint64_t filtering_ns;   /* when the filtering can be tested that could not be; NPI_NEVER: it need not */
    uint64_t interval_at_ns;
} npi_renewal;

/* What a check brought. */
typedef struct npi_renewal_outcome {
    bool has_verdict;
    bool is_changed;
    uint64_t filtering_ns; /* as above */
} npi_renewal_outcome;

/* A check is due at once. */
void npi_renewal_init(npi_renewal *r, uint64_t interval_ns);
/* The network changed, or the host was suspended. */
void npi_renewal_note_change(npi_renewal *r, uint64_t now_ns, bool resumed);
/* The result did not hold what it promised. */
void npi_renewal_note_failure(npi_renewal *r, uint64_t now_ns);
/* Whether there is a way to any server, as far as is known without sending. */
void npi_renewal_note_way(npi_renewal *r, bool has_way);
/* When the next check is to begin as things stand; NPI_NEVER while one is running. */
uint64_t npi_renewal_due_ns(const npi_renewal *r);
/* Why (enum np_watch_reason), once that time has come; NP_WATCH_REASON_NONE before. */
int32_t npi_renewal_reason(const npi_renewal *r, uint64_t now_ns);
/* A check has begun for that reason. What was noticed until now is covered by it. */
void npi_renewal_begin(npi_renewal *r, uint64_t now_ns, int32_t reason);
/* There is no way to any server: nothing was sent, so the next check may begin at any time. */
void npi_renewal_skip(npi_renewal *r, uint64_t now_ns, uint32_t random);
/* The check that had begun is over. random: any number, to spread the checks of many hosts. */
void npi_renewal_end(npi_renewal *r, uint64_t now_ns, const npi_renewal_outcome *outcome, uint32_t random);

#endif

#include <string.h>


void npi_renewal_init(npi_renewal *r, uint64_t interval_ns)
{
    memset(r, 0, sizeof *r);
    r->interval_ns = interval_ns;
    r->last_ns = r->noticed_ns = r->quiet_ns = r->failure_ns = NPI_NEVER;
    r->retry_ns = r->filtering_ns = r->interval_at_ns = NPI_NEVER;
    r->failure_gap_ns = NPI_RENEWAL_GAP_NS;
    r->retry_gap_ns = NPI_RENEWAL_RETRY_NS;
    r->start_wanted = r->has_way = true;
}

void npi_renewal_note_change(npi_renewal *r, uint64_t now_ns, bool resumed)
{
    if (r->noticed_ns == NPI_NEVER)
        r->noticed_ns = now_ns;
    r->quiet_ns = now_ns;
    r->resumed |= resumed;
}

void npi_renewal_note_failure(npi_renewal *r, uint64_t now_ns)
{
    if (r->failure_ns == NPI_NEVER)
        r->failure_ns = now_ns;
}

void npi_renewal_note_way(npi_renewal *r, bool has_way)
{
    r->has_way = has_way;
}

/* ---- What is due ------------------------------------------------------------------------------------------------ */

static uint64_t after_last(const npi_renewal *r, uint64_t gap_ns)
{
    return r->last_ns == NPI_NEVER ? NPI_NOW : npi_time_add(r->last_ns, gap_ns);
}

static uint64_t settled_ns(const npi_renewal *r)
{
    return npi_time_min(npi_time_add(r->quiet_ns, NPI_RENEWAL_QUIET_NS),
                        npi_time_add(r->noticed_ns, NPI_RENEWAL_SETTLE_NS));
}

static uint64_t failure_due_ns(const npi_renewal *r)
{
    return npi_time_max(r->failure_ns, after_last(r, r->failure_gap_ns));
}

static uint64_t wanted_ns(const npi_renewal *r)
{
    uint64_t due_ns = r->start_wanted ? NPI_NOW : npi_time_min(settled_ns(r), failure_due_ns(r));
    due_ns = npi_time_min(due_ns, r->retry_ns);
    due_ns = npi_time_min(due_ns, r->filtering_ns);
    return npi_time_min(due_ns, r->interval_at_ns);
}

uint64_t npi_renewal_due_ns(const npi_renewal *r)
{
    if (r->running)
        return NPI_NEVER;
    return r->has_way ? npi_time_max(wanted_ns(r), after_last(r, NPI_RENEWAL_GAP_NS)) : wanted_ns(r);
}

/* The first of these that has come: what happened says more than what was planned. */
int32_t npi_renewal_reason(const npi_renewal *r, uint64_t now_ns)
{
    if (npi_renewal_due_ns(r) > now_ns)
        return NP_WATCH_REASON_NONE;
    if (r->start_wanted)
        return NP_WATCH_REASON_START;
    if (settled_ns(r) <= now_ns)
        return r->resumed ? NP_WATCH_REASON_RESUME : NP_WATCH_REASON_NETWORK;
    if (failure_due_ns(r) <= now_ns)
        return NP_WATCH_REASON_FAILURE;
    if (r->retry_ns <= now_ns)
        return NP_WATCH_REASON_RETRY;
    return r->filtering_ns <= now_ns ? NP_WATCH_REASON_FILTERING : NP_WATCH_REASON_INTERVAL;
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

static void cover(npi_renewal *r)
{
    if (r->noticed_ns != NPI_NEVER) /* another network: what was in vain in the last one may not be in this */
        r->retry_gap_ns = NPI_RENEWAL_RETRY_NS;
    r->start_wanted = r->resumed = false;
    r->noticed_ns = r->quiet_ns = r->failure_ns = NPI_NEVER;
    r->retry_ns = r->filtering_ns = r->interval_at_ns = NPI_NEVER;
}

void npi_renewal_begin(npi_renewal *r, uint64_t now_ns, int32_t reason)
{
    cover(r);
    r->running = true;
    r->last_ns = now_ns;
    r->for_failure = reason == NP_WATCH_REASON_FAILURE;
}

/* Nine to eleven tenths. */
static uint64_t renewal_spread(uint64_t interval_ns, uint32_t random)
{
    uint64_t fifth_ns = interval_ns / 5;
    return interval_ns - fifth_ns / 2 + fifth_ns / 1024 * (random % 1024);
}

static void renewal_plan(npi_renewal *r, uint64_t now_ns, bool has_verdict, uint32_t random)
{
    if (r->interval_ns != 0)
        r->interval_at_ns = npi_time_add(now_ns, renewal_spread(r->interval_ns, random));
    if (has_verdict) {
        r->retry_gap_ns = NPI_RENEWAL_RETRY_NS;
        return;
    }
    r->retry_ns = npi_time_add(now_ns, r->retry_gap_ns);
    r->retry_gap_ns = npi_time_min(2 * r->retry_gap_ns, NPI_RENEWAL_RETRY_MAX_NS);
}

void npi_renewal_skip(npi_renewal *r, uint64_t now_ns, uint32_t random)
{
    cover(r);
    renewal_plan(r, now_ns, false, random);
}

void npi_renewal_end(npi_renewal *r, uint64_t now_ns, const npi_renewal_outcome *outcome, uint32_t random)
{
    r->running = false;
    r->filtering_ns = outcome->filtering_ns;
    if (outcome->is_changed)
        r->failure_gap_ns = NPI_RENEWAL_GAP_NS;
    else if (r->for_failure)
        r->failure_gap_ns = npi_time_min(2 * r->failure_gap_ns, NPI_RENEWAL_RETRY_MAX_NS);
    renewal_plan(r, now_ns, outcome->has_verdict, random);
}

/* ---- route_table.c -------------------- */

/* The table of routes of macOS and the BSDs. */
/* The table of routes as macOS and the BSDs hand it out: messages, each a header and socket addresses. Pure. */
#ifndef NPI_ROUTE_TABLE_H
#define NPI_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* Where each system has what. All numbers are in the order of this machine. */
typedef struct npi_route_layout {
    uint8_t version;    /* of the messages; others are passed over */
    size_t header_size; /* what the addresses come behind */
    size_t length_at;   /* where each message says the size of its header itself, as two bytes; 0: it does not */
    size_t index_at;    /* two bytes: the index of the interface */
    size_t priority_at; /* one byte: of routes to the same network the lowest counts; 0: there is none */
    size_t flags_at;    /* four bytes */
    size_t addrs_at;    /* four bytes: which addresses there are */
    size_t align;       /* of the addresses */
    uint32_t scoped;    /* the flag of a route that is only for sockets tied to its interface; 0: there is none */
} npi_route_layout;

/*
 * The router to which a datagram for an address of IPv4 is handed; link: the index of the interface that the socket is
 * tied to, or 0. False when there is none, or it cannot be told.
 */
bool npi_route_table_gateway(const npi_route_layout *layout, const uint8_t *table, size_t size, const npi_addr *to,
                             uint32_t link, npi_addr *gateway);

#endif

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

typedef struct route_table_route {
    uint32_t network, mask, hop; /* as numbers */
    bool has_hop;                /* an address of IPv4 */
    uint32_t flags;
    uint32_t link;
    uint8_t priority;
} route_table_route;

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
typedef struct route_table_rest {
    const uint8_t *at;
    size_t size;
} route_table_rest;

/* The next address, without the zeros at its end: masks are cut there. True when it is one of IPv4. */
static bool route_table_take_name(route_table_rest *r, size_t align, uint32_t *ip)
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
static bool route_table_read_route(const npi_route_layout *l, const uint8_t *message, size_t size, route_table_route *out)
{
    size_t header = l->length_at != 0 ? u16_at(message, l->length_at) : l->header_size;
    if (header < l->header_size || header > size || message[MESSAGE_VERSION_AT] != l->version)
        return false;
    uint32_t addrs = u32_at(message, l->addrs_at);
    route_table_rest names = {message + header, size - header};
    *out = (route_table_route){.mask = UINT32_MAX, .flags = u32_at(message, l->flags_at), .link = u16_at(message, l->index_at)};
    if (l->priority_at != 0)
        out->priority = message[l->priority_at];
    bool is_route = (addrs & HAS_DESTINATION) != 0 && (out->flags & FLAG_UP) != 0;
    if (!is_route || !route_table_take_name(&names, l->align, &out->network))
        return false;
    if ((addrs & HAS_GATEWAY) != 0)
        out->has_hop = route_table_take_name(&names, l->align, &out->hop);
    if ((addrs & HAS_MASK) != 0)
        (void)route_table_take_name(&names, l->align, &out->mask); /* its family may be anything */
    if ((out->flags & FLAG_HOST) != 0)
        out->mask = UINT32_MAX;
    return true;
}

static bool is_for(const npi_route_layout *l, const route_table_route *r, uint32_t to, uint32_t link)
{
    if (link != 0 ? r->link != link : (r->flags & l->scoped) != 0)
        return false;
    return ((r->network ^ to) & r->mask) == 0;
}

/* Above 0: a comes before b. 0: nothing here tells which of them is used. */
static int route_table_compare(const route_table_route *a, const route_table_route *b)
{
    if (a->mask != b->mask)
        return a->mask > b->mask ? 1 : -1;
    return (int)b->priority - (int)a->priority;
}

static bool leads_elsewhere(const route_table_route *a, const route_table_route *b)
{
    return a->has_hop != b->has_hop || a->hop != b->hop || ((a->flags ^ b->flags) & FLAG_GATEWAY) != 0;
}

/* The best route, and whether it is the only one. False when there is none. */
static bool route_table_find(const npi_route_layout *l, const uint8_t *table, size_t size, uint32_t to, uint32_t link, route_table_route *best)
{
    bool is_found = false;
    bool is_clear = false;
    size_t length;
    memset(best, 0, sizeof *best);
    for (const uint8_t *at = table; size >= MESSAGE_START; at += length, size -= length) {
        route_table_route r;
        length = u16_at(at, 0);
        if (length < MESSAGE_START || length > size)
            return false; /* what comes behind cannot be found */
        if (length < l->header_size || !route_table_read_route(l, at, length, &r) || !is_for(l, &r, to, link))
            continue;
        int order = is_found ? route_table_compare(&r, best) : 1;
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
    route_table_route best;
    if (to->family != NPI_IPV4 || !route_table_find(layout, table, size, number_of(to->ip), link, &best))
        return false;
    bool is_used = (best.flags & (FLAG_GATEWAY | FLAG_REJECT | FLAG_BLACKHOLE)) == FLAG_GATEWAY;
    if (!is_used || !best.has_hop)
        return false;
    *gateway = npi_addr_v4((uint8_t)(best.hop >> 24), (uint8_t)(best.hop >> 16), (uint8_t)(best.hop >> 8),
                           (uint8_t)best.hop, 0);
    return true;
}
#undef FAMILY_IPV4
#undef FLAG_BLACKHOLE
#undef FLAG_GATEWAY
#undef FLAG_HOST
#undef FLAG_REJECT
#undef FLAG_UP
#undef HAS_DESTINATION
#undef HAS_GATEWAY
#undef HAS_MASK
#undef IP_SIZE
#undef MESSAGE_START
#undef MESSAGE_VERSION_AT
#undef NAME_FAMILY_AT
#undef NAME_IP_AT

/* ---- standing.c -------------------- */

/* What holds after a check, in the light of the checks before it. */
/* What holds after a check, in the light of the checks before it. Pure. */
#ifndef NPI_STANDING_H
#define NPI_STANDING_H

#include <stdbool.h>
#include <stdint.h>



typedef struct npi_standing {
    np_result result;
    bool has_outcome;
    uint64_t measured_ns;
    uint64_t filtering_ns; /* when its filtering was measured; NPI_NEVER: it is not known */
    np_result known;       /* the last one whose filtering is known: the host may come back to that network */
    uint64_t known_ns;     /* when that was measured; NPI_NEVER: there is none */
    bool has_moved;        /* since then the host has changed its network, or was without */
} npi_standing;

typedef struct npi_outcome {
    const np_result *result;
    uint64_t now_ns;
    bool tested_filtering; /* with servers that a NAT knew nothing of */
    bool network_changed;  /* since the check before */
} npi_outcome;

void npi_standing_init(npi_standing *s);
/* Takes the outcome of a check. Returns what is different: bits of enum np_watch_change. */
uint32_t npi_standing_take(npi_standing *s, const npi_outcome *outcome);

#endif

#include <string.h>


/* What was seen and proven about the filtering goes with it. */
#define FILTERING_EVIDENCE                                                                                             \
    (NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED | NP_EVIDENCE_CONTROL_ANSWERED |                     \
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_CHANGE_IGNORED | NP_EVIDENCE_CHANGE_PARTIAL |                          \
     NP_EVIDENCE_CHANGE_REJECTED | NP_EVIDENCE_CONTROL_SILENT)

void npi_standing_init(npi_standing *s)
{
    memset(s, 0, sizeof *s);
    s->filtering_ns = s->known_ns = NPI_NEVER;
}

/*
 * A check that gave no verdict for a reason that says nothing about the NAT: the result before it still holds, unless
 * the network has become another one.
 */
static bool says_nothing(const npi_outcome *o)
{
    int32_t error = o->result->error;
    return error != NP_OK && error != NP_ERR_NO_RESPONSE && error != NP_ERR_NETWORK_UNREACHABLE &&
           error != NP_ERR_ADDRESS_NOT_AVAILABLE && !o->network_changed;
}

static bool is_same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/*
 * The same NAT as far as can be seen. Where the host has noticed nothing, another external address alone is that of a
 * NAT that was started again, or that has several.
 */
static bool standing_is_same_nat(const np_result *known, const np_result *now, bool has_moved)
{
    return known->mapping == now->mapping && is_same_text(known->local_ip, now->local_ip) &&
           (!has_moved || is_same_text(known->external_ip, now->external_ip));
}

/* A filtering that the check could not tell is the one that was known. */
static bool stands(const npi_standing *s, const npi_outcome *o)
{
    return o->result->error == NP_OK && s->known_ns != NPI_NEVER && standing_is_same_nat(&s->known, o->result, s->has_moved) &&
           (!o->tested_filtering || o->result->filtering == NP_BEHAVIOUR_UNKNOWN);
}

static void drop_filtering(np_result *result)
{
    result->filtering = NP_BEHAVIOUR_UNKNOWN;
    result->evidence &= ~(uint32_t)FILTERING_EVIDENCE;
}

static void take_filtering(np_result *result, const np_result *known)
{
    drop_filtering(result);
    result->filtering = known->filtering;
    result->evidence |= known->evidence & (uint32_t)FILTERING_EVIDENCE;
    memcpy(result->detail, known->detail, sizeof result->detail);
}

/* The result of the check with the filtering that can be told of. */
static np_result merge(const npi_standing *s, const npi_outcome *o)
{
    np_result merged = *o->result;
    if (stands(s, o))
        take_filtering(&merged, &s->known);
    else if (!o->tested_filtering)
        drop_filtering(&merged);
    if (merged.error == NP_OK)
        merged.nat_type = npi_classify_type(merged.mapping, merged.filtering);
    return merged;
}

static uint32_t standing_difference(const np_result *a, const np_result *b)
{
    uint32_t changed = 0;
    if (a->nat_type != b->nat_type)
        changed |= NP_CHANGED_TYPE;
    if (a->mapping != b->mapping)
        changed |= NP_CHANGED_MAPPING;
    if (a->filtering != b->filtering)
        changed |= NP_CHANGED_FILTERING;
    if (!is_same_text(a->external_ip, b->external_ip))
        changed |= NP_CHANGED_ADDRESS;
    return changed;
}

static void remember(npi_standing *s, const np_result *merged, uint64_t filtering_ns)
{
    s->filtering_ns = NPI_NEVER;
    if (merged->error != NP_OK || merged->filtering == NP_BEHAVIOUR_UNKNOWN)
        return;
    s->known = *merged;
    s->known_ns = s->filtering_ns = filtering_ns;
    s->has_moved = false;
}

uint32_t npi_standing_take(npi_standing *s, const npi_outcome *outcome)
{
    if (s->has_outcome && says_nothing(outcome))
        return 0;
    s->has_moved |= outcome->network_changed || outcome->result->error != NP_OK;
    uint64_t filtering_ns = stands(s, outcome) ? s->known_ns : outcome->now_ns;
    np_result merged = merge(s, outcome);
    uint32_t changed = standing_difference(&s->result, &merged);
    s->result = merged;
    s->has_outcome = true;
    s->measured_ns = outcome->now_ns;
    remember(s, &merged, filtering_ns);
    return changed;
}
#undef FILTERING_EVIDENCE

/* ---- stun.c -------------------- */

/* STUN messages. Tolerant of what servers send, strict in what it sends itself. Section numbers are RFC 8489's. */

#include <string.h>


#define HEADER_SIZE 20
#define ATTRIBUTE_HEADER_SIZE 4

/* Message types: method Binding in all of them, the class in bits 4 and 8 (section 5). */
#define BINDING_REQUEST 0x0001
#define BINDING_INDICATION 0x0011
#define BINDING_SUCCESS 0x0101
#define BINDING_ERROR 0x0111

enum {
    ATTR_MAPPED_ADDRESS = 0x0001,
    ATTR_CHANGE_REQUEST = 0x0003,
    ATTR_SOURCE_ADDRESS = 0x0004,
    ATTR_CHANGED_ADDRESS = 0x0005,
    ATTR_MESSAGE_INTEGRITY = 0x0008,
    ATTR_ERROR_CODE = 0x0009,
    ATTR_MESSAGE_INTEGRITY_SHA256 = 0x001C,
    ATTR_XOR_MAPPED_ADDRESS = 0x0020,
    ATTR_RESPONSE_PORT = 0x0027,
    ATTR_XOR_MAPPED_ADDRESS_OLD = 0x8020, /* drafts of RFC 5389; still sent by servers of that time */
    ATTR_FINGERPRINT = 0x8028,
    ATTR_RESPONSE_ORIGIN = 0x802B,
    ATTR_OTHER_ADDRESS = 0x802C,
};

#define FINGERPRINT_XOR 0x5354554Eu

npi_stun_id npi_stun_make_id(npi_stun_dialect dialect, const uint8_t random[NPI_STUN_ID_SIZE])
{
    npi_stun_id id;
    npi_writer w = npi_writer_over(id.bytes, sizeof id.bytes);
    if (dialect == NPI_STUN_RFC8489)
        npi_write_u32(&w, NPI_STUN_COOKIE);
    npi_write_bytes(&w, random, sizeof id.bytes - w.pos);
    return id;
}

bool npi_stun_id_equal(const npi_stun_id *a, const npi_stun_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void write_header(npi_writer *w, uint16_t type, size_t length, const npi_stun_id *id)
{
    npi_write_u16(w, type);
    npi_write_u16(w, (uint16_t)length);
    npi_write_bytes(w, id->bytes, sizeof id->bytes);
}

size_t npi_stun_encode_indication(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id)
{
    npi_writer w = npi_writer_over(out, NPI_STUN_REQUEST_SIZE);
    write_header(&w, BINDING_INDICATION, 0, id);
    return w.pos;
}

/* The port is followed by two bytes of padding, which servers count as part of the value. */
size_t npi_stun_encode_response_port(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint16_t port)
{
    npi_writer w = npi_writer_over(out, NPI_STUN_REQUEST_SIZE);
    write_header(&w, BINDING_REQUEST, NPI_STUN_REQUEST_SIZE - HEADER_SIZE, id);
    npi_write_u16(&w, ATTR_RESPONSE_PORT);
    npi_write_u16(&w, sizeof(uint32_t));
    npi_write_u16(&w, port);
    npi_write_u16(&w, 0);
    return w.pos;
}

size_t npi_stun_encode_request(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint32_t change)
{
    change &= NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT; /* the other bits are reserved, RFC 5780 section 7.2 */
    npi_writer w = npi_writer_over(out, NPI_STUN_REQUEST_SIZE);
    write_header(&w, BINDING_REQUEST, change != 0 ? NPI_STUN_REQUEST_SIZE - HEADER_SIZE : 0, id);
    if (change != 0) {
        npi_write_u16(&w, ATTR_CHANGE_REQUEST);
        npi_write_u16(&w, sizeof change);
        npi_write_u32(&w, change);
    }
    return w.pos;
}

/* ---- Framing ---------------------------------------------------------------------------------------------------- */

typedef struct stun_message {
    const uint8_t *data;
    size_t size;
    bool is_error;
    bool has_cookie; /* else a classic message, RFC 3489 */
    bool is_padded;  /* values are followed by bytes up to a multiple of four */
    npi_stun_id id;
} stun_message;

typedef struct stun_attribute {
    uint16_t type;
    npi_reader value;
    bool is_last;
} stun_attribute;

/* Reads the next attribute; false at the end, or with r->failed where one is cut off. */
static bool next_attribute(npi_reader *r, bool padded, stun_attribute *out)
{
    if (npi_reader_left(r) == 0)
        return false;
    out->type = npi_read_u16(r);
    size_t length = npi_read_u16(r);
    out->value = npi_read_span(r, length);
    if (padded)
        npi_read_span(r, (4 - length % 4) % 4); /* of any value, section 14 */
    out->is_last = npi_reader_left(r) == 0;
    return !r->failed;
}

static npi_reader attributes_of(const stun_message *m)
{
    npi_reader r = npi_reader_over(m->data, m->size);
    npi_read_span(&r, HEADER_SIZE);
    return r;
}

static bool is_well_framed(const stun_message *m, bool padded)
{
    npi_reader r = attributes_of(m);
    stun_attribute a;
    while (next_attribute(&r, padded, &a))
        continue;
    return !r.failed;
}

/*
 * RFC 3489 has no padding, but most of its servers pad. The two readings of a message differ only if some length is no
 * multiple of four, and then a message that fits both is next to impossible: the usual one goes first.
 */
static bool settle_padding(stun_message *m)
{
    m->is_padded = is_well_framed(m, true);
    return m->is_padded || (!m->has_cookie && is_well_framed(m, false));
}

static bool read_header(stun_message *m)
{
    npi_reader r = npi_reader_over(m->data, m->size);
    uint16_t type = npi_read_u16(&r);
    size_t length = npi_read_u16(&r);
    npi_read_bytes(&r, m->id.bytes, sizeof m->id.bytes);
    if (r.failed || length != npi_reader_left(&r))
        return false;

    npi_reader id = npi_reader_over(m->id.bytes, sizeof m->id.bytes);
    m->has_cookie = npi_read_u32(&id) == NPI_STUN_COOKIE;
    m->is_error = type == BINDING_ERROR;
    if (type != BINDING_SUCCESS && type != BINDING_ERROR)
        return false; /* other methods and classes, and what is no STUN: the two top bits are zero in these types */
    return !m->has_cookie || length % 4 == 0;
}

/* ---- FINGERPRINT, section 14.7 ---------------------------------------------------------------------------------- */

/* CRC-32 of ISO 3309, four bits at a time: entry i is the remainder of i. */
static uint32_t crc32(npi_reader r)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;
    while (npi_reader_left(&r) > 0) {
        crc ^= npi_read_u8(&r);
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* Whether FINGERPRINT is the last attribute and its value right; one that cannot be checked is not. */
static bool is_fingerprint_right(const stun_message *m, stun_attribute a)
{
    if (!a.is_last || npi_reader_left(&a.value) != sizeof(uint32_t))
        return false;
    npi_reader r = npi_reader_over(m->data, m->size);
    npi_reader covered = npi_read_span(&r, m->size - ATTRIBUTE_HEADER_SIZE - sizeof(uint32_t));
    return npi_read_u32(&a.value) == (crc32(covered) ^ FINGERPRINT_XOR);
}

/* FINGERPRINT is optional. Classic messages have none: what has its number there is an unknown optional attribute. */
static bool has_no_wrong_fingerprint(const stun_message *m)
{
    npi_reader r = attributes_of(m);
    stun_attribute a;
    while (m->has_cookie && next_attribute(&r, m->is_padded, &a)) {
        if (a.type == ATTR_FINGERPRINT && !is_fingerprint_right(m, a))
            return false;
    }
    return true;
}

/* ---- Attributes ------------------------------------------------------------------------------------------------- */

/* What the attributes say: of each kind the first one that can be used (section 14). */
typedef struct content {
    npi_addr xor_mapped;
    npi_addr xor_mapped_old;
    npi_addr mapped;
    npi_addr other;
    npi_addr changed;
    npi_addr origin;
    npi_addr source;
    uint16_t error_code; /* 0: none */
    bool has_unknown;    /* an attribute without which the message cannot be understood */
} content;

/* Section 14.1. An address of unknown family, or of a length that is not its family's, is passed over. */
static npi_addr stun_read_address(npi_reader value)
{
    npi_addr a = {.family = NPI_FAMILY_NONE};
    npi_read_u8(&value); /* reserved, to be ignored */
    uint8_t family = npi_read_u8(&value);
    uint16_t port = npi_read_u16(&value);
    size_t size = npi_reader_left(&value);
    if (family == 0x01 && size == 4)
        a.family = NPI_IPV4;
    else if (family == 0x02 && size == 16)
        a.family = NPI_IPV6;
    else
        return a;
    a.port = port;
    npi_read_bytes(&value, a.ip, size);
    return a;
}

static void keep_address(npi_addr *kept, npi_addr a)
{
    if (!npi_addr_is_set(kept))
        *kept = npi_addr_unmap(&a);
}

/*
 * Section 14.2. The key is the cookie and the transaction id: bytes 4 to 19 of the header, also in a classic message,
 * where servers that send this attribute under its old number take it from the same place.
 */
static npi_addr read_xor_address(npi_reader value, const npi_stun_id *id)
{
    npi_addr a = stun_read_address(value);
    if (!npi_addr_is_set(&a))
        return a;
    a.port ^= (uint16_t)((unsigned)id->bytes[0] << 8 | id->bytes[1]);
    size_t size = a.family == NPI_IPV4 ? 4 : 16;
    for (size_t i = 0; i < size; i++)
        a.ip[i] ^= id->bytes[i];
    return a;
}

/* Section 14.8. A code that RFC 8489 does not allow is as good as none. */
static void keep_error_code(uint16_t *kept, npi_reader value)
{
    npi_read_u16(&value); /* reserved, as are five bits of the next byte */
    unsigned class = npi_read_u8(&value) & 7u;
    unsigned number = npi_read_u8(&value);
    bool valid = !value.failed && class >= 3 && class <= 6 && number <= 99;
    if (valid && *kept == 0)
        *kept = (uint16_t)(class * 100 + number);
}

/*
 * Attributes below 0x8000 must be understood (section 14). These ranges are the ones that the IANA registry assigns or
 * reserves: none of them changes what a Binding response means, and servers do send some that do not belong in one
 * (RFC 3489's RESPONSE-ADDRESS and REFLECTED-FROM, TURN's LIFETIME): known but unexpected, to be ignored (section 6.3).
 */
static bool is_understood(uint16_t type)
{
    static const uint16_t known[][2] = {{0x0001, 0x001E}, {0x0020, 0x0022}, {0x0024, 0x0027}, {0x002A, 0x002A}};
    if (type >= 0x8000)
        return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (type >= known[i][0] && type <= known[i][1])
            return true;
    }
    return false;
}

static void read_attribute(content *c, const stun_attribute *a, const npi_stun_id *id)
{
    switch (a->type) {
    case ATTR_XOR_MAPPED_ADDRESS:
        keep_address(&c->xor_mapped, read_xor_address(a->value, id));
        break;
    case ATTR_XOR_MAPPED_ADDRESS_OLD:
        keep_address(&c->xor_mapped_old, read_xor_address(a->value, id));
        break;
    case ATTR_MAPPED_ADDRESS:
        keep_address(&c->mapped, stun_read_address(a->value));
        break;
    case ATTR_OTHER_ADDRESS:
        keep_address(&c->other, stun_read_address(a->value));
        break;
    case ATTR_CHANGED_ADDRESS:
        keep_address(&c->changed, stun_read_address(a->value));
        break;
    case ATTR_RESPONSE_ORIGIN:
        keep_address(&c->origin, stun_read_address(a->value));
        break;
    case ATTR_SOURCE_ADDRESS:
        keep_address(&c->source, stun_read_address(a->value));
        break;
    case ATTR_ERROR_CODE:
        keep_error_code(&c->error_code, a->value);
        break;
    default:
        c->has_unknown = c->has_unknown || !is_understood(a->type);
    }
}

/* What follows MESSAGE-INTEGRITY is not protected by it and ignored (section 14.5). */
static content read_content(const stun_message *m)
{
    content c = {.error_code = 0};
    npi_reader r = attributes_of(m);
    stun_attribute a;
    while (next_attribute(&r, m->is_padded, &a)) {
        if (a.type == ATTR_MESSAGE_INTEGRITY || a.type == ATTR_MESSAGE_INTEGRITY_SHA256)
            break;
        read_attribute(&c, &a, &m->id);
    }
    return c;
}

/* ---- Outcome ---------------------------------------------------------------------------------------------------- */

/* Nobody can be seen from such an address: a server that says so says nothing. */
static npi_addr usable_mapped(npi_addr a)
{
    return npi_addr_is_destination(&a) ? a : (npi_addr){.family = NPI_FAMILY_NONE};
}

static npi_addr first_set(npi_addr a, npi_addr b)
{
    return npi_addr_is_set(&a) ? a : b;
}

static npi_stun_kind accept_success(npi_stun_response *out, const content *c)
{
    npi_addr hidden = first_set(usable_mapped(c->xor_mapped), usable_mapped(c->xor_mapped_old));
    npi_addr plain = usable_mapped(c->mapped);
    npi_addr mapped = first_set(hidden, plain);
    if (c->has_unknown || !npi_addr_is_set(&mapped))
        return NPI_STUN_UNUSABLE;
    out->mapped = mapped;
    out->other = first_set(c->other, c->changed);
    out->origin = first_set(c->origin, c->source);
    out->address_rewritten = plain.family == mapped.family && !npi_addr_equal(&plain, &mapped);
    return NPI_STUN_SUCCESS;
}

static npi_stun_kind accept_error(npi_stun_response *out, const content *c)
{
    if (c->has_unknown || c->error_code == 0)
        return NPI_STUN_UNUSABLE;
    out->error_code = c->error_code;
    return NPI_STUN_ERROR;
}

npi_stun_kind npi_stun_decode(const uint8_t *data, size_t size, npi_stun_response *out)
{
    memset(out, 0, sizeof *out);
    out->kind = NPI_STUN_DROP;
    stun_message m = {.data = data, .size = size};
    if (!read_header(&m) || !settle_padding(&m) || !has_no_wrong_fingerprint(&m))
        return out->kind;
    out->id = m.id;
    content c = read_content(&m);
    out->kind = m.is_error ? accept_error(out, &c) : accept_success(out, &c);
    return out->kind;
}
#undef ATTRIBUTE_HEADER_SIZE
#undef BINDING_ERROR
#undef BINDING_INDICATION
#undef BINDING_REQUEST
#undef BINDING_SUCCESS
#undef FINGERPRINT_XOR
#undef HEADER_SIZE

/* ---- tally.c -------------------- */

/*
 * A mapping is an external address and port of a socket. Many requests show the same one: where the mapping does not
 * depend on the destination, each socket has one.
 */
/* What answers to plain requests show beside the verdict: counts of what was seen, and nothing foretold. Pure. */
#ifndef NPI_TALLY_H
#define NPI_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* One plain request of any socket. */
typedef struct npi_sighting {
    uint32_t number;   /* it was the so-many-th datagram of the check to leave */
    int slot;          /* the socket that it left from */
    bool is_vague;     /* another one left between its copies: which of the two made its mapping first is not known */
    npi_addr local;    /* that the answer came to; not set: no answer */
    npi_addr external; /* not set: no answer, or none to believe */
} npi_sighting;

/* As in np_result. */
typedef struct npi_tally {
    int32_t port_step;
    uint16_t ports_seen;
    uint16_t ports_kept;
    uint16_t external_ips;
    uint16_t local_ips;
} npi_tally;

/* seen: in the order of number. */
npi_tally npi_tally_count(const npi_sighting *seen, size_t count);

#endif

#define STEPS_MIN 3 /* fewer equal steps may be chance */

static bool tally_has_mapping(const npi_sighting *s)
{
    return npi_addr_is_set(&s->local) && npi_addr_is_set(&s->external);
}

static bool tally_is_kept(const npi_sighting *s)
{
    return s->local.port == s->external.port;
}

static bool is_new_mapping(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (npi_addr_equal(&seen[k].local, &seen[i].local) && npi_addr_equal(&seen[k].external, &seen[i].external))
            return false;
    }
    return tally_has_mapping(&seen[i]);
}

static bool is_new_external_ip(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (npi_addr_same_ip(&seen[k].external, &seen[i].external))
            return false;
    }
    return npi_addr_is_set(&seen[i].external);
}

static bool is_new_local_ip(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (npi_addr_same_ip(&seen[k].local, &seen[i].local))
            return false;
    }
    return npi_addr_is_set(&seen[i].local);
}

/*
 * From one new mapping to the next; 0: none that the NAT can have chosen by counting on. It may add something to local
 * ports, which are the host's choice, and each external address may have a count of its own.
 */
static int32_t step_between(const npi_sighting *before, const npi_sighting *after)
{
    int32_t step = (int32_t)after->external.port - before->external.port;
    int32_t own = (int32_t)after->local.port - before->local.port;
    return step != own && npi_addr_same_ip(&before->external, &after->external) ? step : 0;
}

/*
 * Whether an earlier request of the same socket may have made the i-th's mapping, and others left in between: its place
 * in the order is not known then.
 */
static bool is_of_unknown_age(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k + 1 < i; k++) {
        if (seen[k].slot == seen[i].slot && !tally_has_mapping(&seen[k]))
            return true;
    }
    return false;
}

/*
 * A port that was kept was not counted. A request without an answer may have taken a port: no step leads across it. One
 * that is vague may have taken its port before or behind others: then nothing is known.
 */
static int32_t constant_step(const npi_sighting *seen, size_t count)
{
    const npi_sighting *before = NULL;
    int32_t constant = 0;
    unsigned steps = 0;
    for (size_t i = 0; i < count; i++) {
        if (seen[i].is_vague)
            return 0;
        if (!tally_has_mapping(&seen[i]))
            before = NULL;
        if (!is_new_mapping(seen, i) || tally_is_kept(&seen[i]))
            continue;
        if (is_of_unknown_age(seen, i)) {
            before = NULL;
            continue;
        }
        int32_t step = before != NULL ? step_between(before, &seen[i]) : constant;
        if (before != NULL && (step == 0 || (steps > 0 && step != constant)))
            return 0;
        steps += before != NULL;
        constant = step;
        before = &seen[i];
    }
    return steps >= STEPS_MIN ? constant : 0;
}

npi_tally npi_tally_count(const npi_sighting *seen, size_t count)
{
    npi_tally tally = {.port_step = constant_step(seen, count)};
    for (size_t i = 0; i < count; i++) {
        if (is_new_mapping(seen, i)) {
            tally.ports_seen++;
            tally.ports_kept += tally_is_kept(&seen[i]);
        }
        tally.external_ips += is_new_external_ip(seen, i);
        tally.local_ips += is_new_local_ip(seen, i);
    }
    return tally;
}
#undef STEPS_MIN

/* ---- transaction.c -------------------- */

/* Bookkeeping of one request and of what its path does to datagrams. */
/*
 * One request, sent in any number of copies under one id: when each copy went out, how many were answered, when the
 * next one is due, and what a path's round trips and losses look like. Pure bookkeeping: now comes in as an argument.
 */
#ifndef NPI_TRANSACTION_H
#define NPI_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>


#define NPI_COPIES_MAX 64

/* The lesser of two counts. */
static inline uint32_t npi_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Round-trip times of one server as seen so far (RFC 6298 without its clock granularity and first guess). */
typedef struct npi_rtt {
    uint64_t smoothed_ns; /* 0: nothing measured */
    uint64_t deviation_ns;
    uint64_t lowest_ns;
    uint32_t samples;
    uint32_t low; /* samples in a row far below what was believed */
    bool has_exact;
} npi_rtt;

/* Of a request sent once, or of one of several copies, nobody knows which (Karn). */
typedef enum npi_rtt_quality { NPI_RTT_AMBIGUOUS, NPI_RTT_EXACT } npi_rtt_quality;

/*
 * One exact sample far below what was believed, or two others in a row, show that an ambiguous one had misled: the
 * estimate starts anew.
 */
void npi_rtt_sample(npi_rtt *rtt, uint64_t sample_ns, npi_rtt_quality quality);
/* The age from which an unanswered copy counts as lost: round trip plus deviation. NPI_NEVER when nothing is known. */
uint64_t npi_rtt_rto(const npi_rtt *rtt);
/* No answer to a copy is expected sooner than this after it: seven eighths of the shortest round trip. */
uint64_t npi_rtt_floor(const npi_rtt *rtt);

typedef struct npi_transaction {
    npi_stun_id id;
    bool started;
    bool stopped;   /* no more copies */
    uint32_t limit; /* most copies, at most NPI_COPIES_MAX */
    uint32_t sent;
    uint32_t answers;           /* at most as many as were sent: a duplicated datagram is no second answer */
    uint32_t extra_answers;     /* answers beyond the copies that were sent */
    uint32_t likely_duplicates; /* of all, those so close behind another that they may be duplicates */
    uint32_t bunches;           /* of answers: each came well behind the one before */
    uint64_t last_answer_ns;
    uint64_t first_ns;                /* when the first copy went out */
    uint32_t sent_us[NPI_COPIES_MAX]; /* each copy, in microseconds after the first */
    uint64_t answered_copies;         /* a bit for each copy that an answer was probably for */
    uint64_t answered_ns;             /* first answer, NPI_NEVER before */
    uint64_t next_ns;                 /* next copy is due; NPI_NEVER: none */
} npi_transaction;

void npi_transaction_start(npi_transaction *t, const npi_stun_id *id, uint32_t limit, uint64_t now_ns);
/* A copy went out; the next one, if any, is due after gap_ns. */
void npi_transaction_sent(npi_transaction *t, uint64_t now_ns, uint64_t gap_ns);
/* The copy counted last did not leave after all; it is due again at retry_ns. */
void npi_transaction_unsent(npi_transaction *t, uint64_t retry_ns);
/*
 * An answer came. Returns the round trip of the oldest copy that it can be for: an upper bound, exact without loss
 * (Karn's ambiguity is resolved towards waiting longer). 0 when there is no such copy. Of the copies without an answer
 * it is probably for the one whose round trip is nearest to what is usual on the path, or for the oldest if none has
 * one that is usual. usual: NULL where nothing is known. repeats: the server sends each answer several times, so that
 * one which fits a copy with an answer is that answer again.
 */
uint64_t npi_transaction_answered(npi_transaction *t, uint64_t now_ns, const npi_rtt *usual, bool repeats);
/* Whether one of the answers was probably for this copy. */
bool npi_transaction_is_copy_answered(const npi_transaction *t, uint32_t copy);
/* Of the copies sent, the one whose round trip would be nearest to what is expected: that round trip. */
uint64_t npi_transaction_nearest(const npi_transaction *t, uint64_t now_ns, uint64_t expected_ns);
/* The least round trip that an answer now can have had, if none is below floor_ns; 0: of no copy. */
uint64_t npi_transaction_least_rtt_ns(const npi_transaction *t, uint64_t now_ns, uint64_t floor_ns);
/* When a copy went out: 0 is the first one, and it is below t->sent. */
uint64_t npi_transaction_copy_ns(const npi_transaction *t, uint32_t copy);
/* When the copy sent last went out; 0 before the first. */
uint64_t npi_transaction_last_ns(const npi_transaction *t);
void npi_transaction_stop(npi_transaction *t);
bool npi_transaction_due(const npi_transaction *t, uint64_t now_ns);
bool npi_transaction_is_answered(const npi_transaction *t);
/* When the first copy left that was sent at or after a time; 0 when none was. */
uint64_t npi_transaction_first_since(const npi_transaction *t, uint64_t from_ns);
/* How many copies were sent at or after a time. */
uint32_t npi_transaction_sent_since(const npi_transaction *t, uint64_t from_ns);
/* How many copies are at least age_ns old. */
uint32_t npi_transaction_aged(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns);
/* When the next copy reaches age_ns; NPI_NEVER when all have. */
uint64_t npi_transaction_next_aged_ns(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns);
/* When the last copy reaches age_ns; 0 before the first. */
uint64_t npi_transaction_all_aged_ns(const npi_transaction *t, uint64_t age_ns);

/* All answers, be they to copies or beyond them. */
uint32_t npi_transaction_all_answers(const npi_transaction *t);
/* Whether each copy left at least so long after the one before. */
bool npi_transaction_is_spread(const npi_transaction *t, uint64_t gap_ns);
/* In how many moments the copies left that are at least age_ns old: one begins gap_ns or more after the copy before. */
uint32_t npi_transaction_moments(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, uint64_t gap_ns);
/* How many answers have come to each copy, on average and rounded down. */
uint32_t npi_transaction_multiplicity(const npi_transaction *t);

#endif

#include <string.h>

/* Copies are at least 10 ms apart: answers this close are more likely one answer twice. */
#define CLOSE_NS (3 * NPI_MS)

/* On a path without jitter, answers that come so long after one another belong to different moments. */
#define APART_NS (50 * NPI_MS)

/* Floor of the allowance for jitter: a scheduler may hold a datagram that long on an idle path. */
#define JITTER_FLOOR_NS (4 * NPI_MS)

void npi_rtt_sample(npi_rtt *rtt, uint64_t sample_ns, npi_rtt_quality quality)
{
    if (sample_ns == 0)
        return;
    rtt->low = sample_ns < rtt->smoothed_ns / 3 ? rtt->low + 1 : 0;
    if (rtt->samples == 0 || rtt->low > 1 || (quality == NPI_RTT_EXACT && rtt->low > 0)) {
        rtt->low = 0;
        rtt->smoothed_ns = sample_ns;
        rtt->lowest_ns = sample_ns;
        rtt->deviation_ns = sample_ns /
                            16; /* not yet known; half of the round trip, as in RFC 6298, would cost too long */
    } else {
        uint64_t off = sample_ns > rtt->smoothed_ns ? sample_ns - rtt->smoothed_ns : rtt->smoothed_ns - sample_ns;
        rtt->deviation_ns = (3 * rtt->deviation_ns + off) / 4;
        rtt->smoothed_ns = (7 * rtt->smoothed_ns + sample_ns) / 8;
        if (sample_ns < rtt->lowest_ns)
            rtt->lowest_ns = sample_ns;
    }
    rtt->has_exact |= quality == NPI_RTT_EXACT;
    rtt->samples++;
}

uint64_t npi_rtt_rto(const npi_rtt *rtt)
{
    if (rtt->samples == 0)
        return NPI_NEVER;
    uint64_t allowance = 4 * rtt->deviation_ns;
    return rtt->smoothed_ns + (allowance > JITTER_FLOOR_NS ? allowance : JITTER_FLOOR_NS);
}

uint64_t npi_rtt_floor(const npi_rtt *rtt)
{
    return rtt->lowest_ns / 8 * 7;
}

void npi_transaction_start(npi_transaction *t, const npi_stun_id *id, uint32_t limit, uint64_t now_ns)
{
    memset(t, 0, sizeof *t);
    t->id = *id;
    t->started = true;
    t->limit = limit < NPI_COPIES_MAX ? limit : NPI_COPIES_MAX;
    t->answered_ns = NPI_NEVER;
    t->next_ns = now_ns;
}

void npi_transaction_sent(npi_transaction *t, uint64_t now_ns, uint64_t gap_ns)
{
    if (t->sent >= NPI_COPIES_MAX)
        return;
    if (t->sent == 0)
        t->first_ns = now_ns;
    uint64_t offset_us = (now_ns - t->first_ns + 999) / 1000; /* rounded up: never younger than it is */
    t->sent_us[t->sent++] = offset_us < UINT32_MAX ? (uint32_t)offset_us : UINT32_MAX;
    t->next_ns = t->sent < t->limit ? npi_time_add(now_ns, gap_ns) : NPI_NEVER;
}

uint64_t npi_transaction_copy_ns(const npi_transaction *t, uint32_t copy)
{
    return t->first_ns + (uint64_t)t->sent_us[copy] * 1000;
}

void npi_transaction_unsent(npi_transaction *t, uint64_t retry_ns)
{
    if (t->sent == 0)
        return;
    t->sent--;
    t->next_ns = retry_ns;
}

/* Answers to copies that left closer together come closer together as well. */
static uint64_t close_ns(const npi_transaction *t)
{
    uint64_t least_us = UINT32_MAX;
    for (uint32_t i = 1; i < t->sent; i++) {
        uint64_t gap_us = t->sent_us[i] - t->sent_us[i - 1];
        least_us = gap_us < least_us ? gap_us : least_us;
    }
    uint64_t half_ns = least_us * 500;
    return half_ns < CLOSE_NS ? half_ns : CLOSE_NS;
}

static bool is_usual(const npi_rtt *usual, uint64_t rtt_ns)
{
    return usual != NULL && usual->samples > 0 && rtt_ns >= npi_rtt_floor(usual) && rtt_ns <= npi_rtt_rto(usual);
}

static uint64_t transaction_difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Notes which copy an answer was for. One that fits a copy which has an answer may be for another, or be that again. */
static void note_answered_copy(npi_transaction *t, uint64_t now_ns, const npi_rtt *usual, bool repeats)
{
    uint32_t best = t->sent;
    uint64_t best_off = NPI_NEVER;
    for (uint32_t i = 0; i < t->sent; i++) {
        if (npi_transaction_is_copy_answered(t, i) && !repeats)
            continue;
        uint64_t rtt_ns = now_ns - npi_time_min(now_ns, npi_transaction_copy_ns(t, i));
        uint64_t off = is_usual(usual, rtt_ns) ? transaction_difference(rtt_ns, usual->smoothed_ns) : NPI_NEVER;
        if (best == t->sent || off < best_off) {
            best = i;
            best_off = off;
        }
    }
    if (best < t->sent)
        t->answered_copies |= UINT64_C(1) << best;
}

/* Whether an answer so long after the one before is to another moment. Jitter parts those to one moment less. */
static bool transaction_is_apart(uint64_t pause_ns, const npi_rtt *usual)
{
    return pause_ns >= APART_NS && (usual == NULL || pause_ns >= 2 * usual->deviation_ns);
}

uint64_t npi_transaction_answered(npi_transaction *t, uint64_t now_ns, const npi_rtt *usual, bool repeats)
{
    if (t->answers < t->sent || repeats)
        note_answered_copy(t, now_ns, usual, repeats);
    if (t->answers > 0 && now_ns - t->last_answer_ns < close_ns(t))
        t->likely_duplicates++;
    if (t->bunches == 0 || transaction_is_apart(now_ns - t->last_answer_ns, usual))
        t->bunches++;
    t->last_answer_ns = now_ns;
    if (t->answers >= t->sent) {
        t->extra_answers++;
        return 0;
    }
    uint64_t sent_ns = npi_transaction_copy_ns(t, t->answers++);
    if (t->answered_ns == NPI_NEVER)
        t->answered_ns = now_ns;
    return now_ns > sent_ns ? now_ns - sent_ns : 1;
}

bool npi_transaction_is_copy_answered(const npi_transaction *t, uint32_t copy)
{
    return (t->answered_copies >> copy & 1) != 0;
}

uint64_t npi_transaction_nearest(const npi_transaction *t, uint64_t now_ns, uint64_t expected_ns)
{
    uint64_t best_ns = 0;
    uint64_t best_off = NPI_NEVER;
    for (uint32_t i = 0; i < t->sent; i++) {
        uint64_t sent_ns = npi_transaction_copy_ns(t, i);
        uint64_t rtt_ns = now_ns > sent_ns ? now_ns - sent_ns : 1;
        uint64_t off = transaction_difference(rtt_ns, expected_ns);
        if (off < best_off) {
            best_off = off;
            best_ns = rtt_ns;
        }
    }
    return best_ns;
}

uint64_t npi_transaction_least_rtt_ns(const npi_transaction *t, uint64_t now_ns, uint64_t floor_ns)
{
    uint32_t aged = npi_transaction_aged(t, now_ns, floor_ns);
    return aged == 0 ? 0 : now_ns - npi_transaction_copy_ns(t, aged - 1);
}

uint64_t npi_transaction_last_ns(const npi_transaction *t)
{
    return t->sent == 0 ? 0 : npi_transaction_copy_ns(t, t->sent - 1);
}

void npi_transaction_stop(npi_transaction *t)
{
    t->stopped = true;
    t->next_ns = NPI_NEVER;
}

bool npi_transaction_due(const npi_transaction *t, uint64_t now_ns)
{
    return t->started && !t->stopped && t->sent < t->limit && t->next_ns <= now_ns;
}

bool npi_transaction_is_answered(const npi_transaction *t)
{
    return t->started && t->answers > 0;
}

uint32_t npi_transaction_sent_since(const npi_transaction *t, uint64_t from_ns)
{
    uint32_t n = t->sent;
    while (n > 0 && npi_transaction_copy_ns(t, t->sent - n) < from_ns)
        n--;
    return n;
}

uint64_t npi_transaction_first_since(const npi_transaction *t, uint64_t from_ns)
{
    uint32_t n = npi_transaction_sent_since(t, from_ns);
    return n == 0 ? 0 : npi_transaction_copy_ns(t, t->sent - n);
}

uint32_t npi_transaction_aged(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns)
{
    uint32_t n = 0;
    while (n < t->sent && npi_time_add(npi_transaction_copy_ns(t, n), age_ns) <= now_ns)
        n++;
    return n;
}

uint64_t npi_transaction_next_aged_ns(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns)
{
    uint32_t aged = npi_transaction_aged(t, now_ns, age_ns);
    return aged == t->sent ? NPI_NEVER : npi_time_add(npi_transaction_copy_ns(t, aged), age_ns);
}

uint64_t npi_transaction_all_aged_ns(const npi_transaction *t, uint64_t age_ns)
{
    return t->sent == 0 ? 0 : npi_time_add(npi_transaction_copy_ns(t, t->sent - 1), age_ns);
}

uint32_t npi_transaction_all_answers(const npi_transaction *t)
{
    return t->answers + t->extra_answers;
}

bool npi_transaction_is_spread(const npi_transaction *t, uint64_t gap_ns)
{
    for (uint32_t i = 1; i < t->sent; i++) {
        if (npi_transaction_copy_ns(t, i) - npi_transaction_copy_ns(t, i - 1) < gap_ns)
            return false;
    }
    return true;
}

uint32_t npi_transaction_moments(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, uint64_t gap_ns)
{
    uint32_t aged = npi_transaction_aged(t, now_ns, age_ns);
    uint32_t moments = 0;
    for (uint32_t i = 0; i < aged; i++)
        moments += i == 0 || npi_transaction_copy_ns(t, i) - npi_transaction_copy_ns(t, i - 1) >= gap_ns;
    return moments;
}

uint32_t npi_transaction_multiplicity(const npi_transaction *t)
{
    return t->sent == 0 ? 0 : npi_transaction_all_answers(t) / t->sent;
}
#undef APART_NS
#undef CLOSE_NS
#undef JITTER_FLOOR_NS

/* ---- engine/again.c -------------------- */

/* When a copy stands for a new transaction, and which answer is its own. */
/*
 * I to A:P again, as another copy of the request that A:P has answered (docs/METHOD.md section 8): a copy is no new
 * transaction, so it needs no room in the rate.
 */
#ifndef NPI_ENGINE_AGAIN_H
#define NPI_ENGINE_AGAIN_H

/*
 * What has happened in one experiment: the requests sent, their answers, the servers and the trials. Every other file
 * of the engine reads it; each part names the one file that writes it. It records and looks up, and decides nothing.
 */
#ifndef NPI_ENGINE_FACTS_H
#define NPI_ENGINE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/*
 * Every rate, cap and threshold of the engine, in one place. docs/METHOD.md gives the method. Each value has a mark:
 *
 * [RFC]     An RFC sets it.
 * [safety]  It protects somebody, or the verdict. It may become stricter, not looser.
 * [tuned]   It was chosen in the simulator. The command beside it compares it with other values, in milliseconds where
 *           the name ends in _NS. "No difference seen" means: not in the worlds of that command.
 *
 * Before you change a value, read "Changing a limit" in CONTRIBUTING.md.
 */
#ifndef NPI_ENGINE_LIMITS_H
#define NPI_ENGINE_LIMITS_H


/* ---- Rate and amount -------------------------------------------------------------------------------------------- */

/* [RFC] 5780 section 5: at most ten new transactions a second. Each engine (address family of a handle) keeps to it. */
#define NPI_RATE_TRANSACTIONS 10
#define NPI_RATE_WINDOW_NS (1000 * NPI_MS)
/* [safety] Protects servers and their networks: but for the dense start no request is repeated faster. */
#define NPI_PACE_MIN_NS (10 * NPI_MS)
/* [safety] Protects hosts that only a server named: the most copies that go to one, whoever names it. */
#define NPI_ALTERNATE_COPIES 8
/*
 * [safety] Protects servers: no round is sent after the first number of datagrams, and the second more for each server
 * beyond two.
 * tests/sim/tune NPI_ROUNDS_UNTIL 70 200 -- --class lossy --worlds 2000: 70 loses 6 % of the verdicts, 200 gains 0.3 %.
 */
#define NPI_ROUNDS_UNTIL 120
#define NPI_ROUNDS_UNTIL_MORE 25
/* [safety] The same: the most datagrams that do not count because they left before the path woke up. */
#define NPI_IN_VAIN_MAX 40
/* [safety] The same: nothing at all is sent after the first number, and the second more for each server beyond two. */
#define NPI_DATAGRAMS_MAX 200
#define NPI_DATAGRAMS_MORE 30
/* [safety] Protects the host: each server whose filtering is tried uses up one socket. */
#define NPI_TRIALS_MAX 8
/* [safety] Protects memory, and hosts to which a name server leads. */
#define NPI_SERVERS_MAX 32

/* ---- Which server, and for how long ----------------------------------------------------------------------------- */

/*
 * Another server is asked in the place of one that has been silent for this long: of the first, of a later one, and
 * where the mapping alone is asked: there a server that answers later has to be asked again. Once some server has
 * answered it is two of its round trips, within the last value and the others.
 * [tuned] tests/sim/tune NPI_HEDGE_FIRST_NS 50 200 -- --class dead --worlds 2000: no difference seen in the verdicts,
 * but a dead server costs as much more time. In the class alias, where one server is another's second address, 200
 * gains 2 % of the verdicts.
 * [tuned] tests/sim/tune NPI_HEDGE_NEXT_NS 100 200 -- --class dead --worlds 2000: 100 gains 0.5 % of the verdicts, 200
 * loses 0.3 %. No difference seen in the class alias.
 * [tuned] tests/sim/tune NPI_HEDGE_MAPPING_NS 100 400 -- --class dead --worlds 2000: both gain verdicts, 0.7 % and
 * 0.3 %. But with 100 a check takes a round trip longer where servers answer later.
 * [tuned] tests/sim/tune NPI_HEDGE_MIN_NS 10 200 -- --class several --worlds 2000: no clear difference seen.
 */
#define NPI_HEDGE_FIRST_NS (100 * NPI_MS)
#define NPI_HEDGE_NEXT_NS (150 * NPI_MS)
#define NPI_HEDGE_MAPPING_NS (200 * NPI_MS)
#define NPI_HEDGE_MIN_NS (50 * NPI_MS)
/*
 * A server under test that has been silent for this long keeps no other at its addresses waiting. While nobody answers,
 * one more name is wanted each time it has passed.
 * [tuned] tests/sim/tune NPI_SILENT_NS 100 400 -- --class several --worlds 2000: no difference seen.
 */
#define NPI_SILENT_NS (200 * NPI_MS)
/*
 * Once some server has answered, a silent one is given up after ten round trips, within these bounds. A round trip
 * longer than two seconds needs more than the second: see npi_pacing_give_up_after_ns.
 * [tuned] tests/sim/tune NPI_GIVE_UP_MIN_NS 300 3000 -- --class several --worlds 4000: 300 loses 2 % of the verdicts,
 * 3000 gains 0.1 %.
 * [tuned] tests/sim/tune NPI_GIVE_UP_MAX_NS 1500 6000 -- --class several --worlds 4000: 1500 loses 0.7 %, 6000 gains
 * none.
 */
#define NPI_GIVE_UP_MIN_NS (1500 * NPI_MS)
#define NPI_GIVE_UP_MAX_NS (3000 * NPI_MS)
/* [safety] Protects the caller's time: the wait for names once every server at hand is exhausted. */
#define NPI_NAMES_WAIT_NS (1000 * NPI_MS)
/*
 * A server silent for this long also gets the RFC 3489 form of the request; for the second time, while another one is
 * being tested. The third value is the number of copies.
 * [tuned] tests/sim/tune NPI_RFC3489_AFTER_NS 300 2000 -- --class classic --worlds 2000: 2000 loses 8 % of the
 * verdicts. 300 gains 1 %, but every server with a round trip above 300 ms would get the old form as well.
 * [tuned] tests/sim/tune NPI_RFC3489_BESIDE_NS 800 1400 -- --class several --worlds 2000: 1400 loses 0.2 % of
 * the verdicts.
 * [tuned] tests/sim/tune NPI_RFC3489_COPIES 3 12 -- --class classic --worlds 2000: 3 loses 1.5 %, 12 gains none.
 */
#define NPI_RFC3489_AFTER_NS (800 * NPI_MS)
#define NPI_RFC3489_BESIDE_NS (1200 * NPI_MS)
#define NPI_RFC3489_COPIES 6

/* ---- Copies of plain requests ----------------------------------------------------------------------------------- */

/*
 * A request to a server not yet heard is repeated after this, doubling up to the maximum. Once another server has
 * answered, it is repeated after two of that one's round trips, but not before the minimum.
 * [tuned] tests/sim/tune NPI_PRIMARY_GAP_NS 50 500 -- --class lossy --worlds 4000: no clear difference seen.
 * [tuned] tests/sim/tune NPI_PRIMARY_GAP_MIN_NS 20 250 -- --class several --worlds 4000: no difference seen.
 * [tuned] tests/sim/tune NPI_PRIMARY_GAP_MAX_NS 250 1600 -- --class bursty --worlds 4000: 250 loses 0.3 % of the
 * verdicts, 1600 loses 0.8 %.
 */
#define NPI_PRIMARY_GAP_NS (250 * NPI_MS)
#define NPI_PRIMARY_GAP_MIN_NS (100 * NPI_MS)
#define NPI_PRIMARY_GAP_MAX_NS (400 * NPI_MS)
/*
 * Most copies of it. A server that another socket has heard gets more: it is there.
 * [tuned] tests/sim/tune NPI_PRIMARY_COPIES 5 18 -- --class lossy --worlds 4000: no difference seen.
 * [tuned] tests/sim/tune NPI_PRIMARY_COPIES_HEARD 9 18 -- --class bursty --worlds 4000: no difference seen.
 */
#define NPI_PRIMARY_COPIES 9
#define NPI_PRIMARY_COPIES_HEARD 12
/*
 * With a known round trip a request is repeated after it, but not later than the first of these. The gaps then double
 * up to the second.
 * [tuned] tests/sim/tune NPI_REPEAT_MAX_NS 250 1000 -- --class lossy --worlds 4000: 250 gains 0.4 % of the verdicts for
 * 2 more datagrams in every check; 1000 loses 0.2 %.
 * [tuned] tests/sim/tune NPI_REPEAT_LAST_NS 400 1600 -- --class bursty --worlds 4000: no clear difference seen.
 */
#define NPI_REPEAT_MAX_NS (500 * NPI_MS)
#define NPI_REPEAT_LAST_NS (800 * NPI_MS)
/*
 * With a longer round trip, and one request in five or more lost, a mapping request leaves twice.
 * [tuned] tests/sim/tune NPI_TWICE_RTT_NS 0 100000 -- --class lossy --worlds 4000: 0 (always) costs one more datagram,
 * 100000 (never) loses 0.1 % of the verdicts. No clear difference seen.
 */
#define NPI_TWICE_RTT_NS (100 * NPI_MS)

/* ---- Optional tests --------------------------------------------------------------------------------------------- */

/* Requests, and fresh sockets, of all optional tests of a check together. [safety] */
#define NPI_OPTIONAL_ERRANDS 40
#define NPI_OPTIONAL_SOCKETS 16
/*
 * Copies of a request of an optional test, and the gap between them. They outlast a quarter of a second, so that a
 * short burst of losses does not take all of them. Silence counts if it is chance with no more than that probability,
 * given the losses that requests show which left between its copies. [safety]
 */
#define NPI_OPTIONAL_COPIES 12
#define NPI_OPTIONAL_GAP_NS (20 * NPI_MS)
#define NPI_OPTIONAL_SILENCE 1e-6
/* An answer that has not come after so long, or after twice the round trip, will not. [safety] */
#define NPI_OPTIONAL_WAIT_NS (500 * NPI_MS)
/*
 * Copies of the question to the gateway, and the wait for an answer to the first one; it doubles with each copy. The
 * RFC goes on for a minute. A gateway is one hop away: it answers within milliseconds, or not at all. [RFC 6886 3.1]
 */
#define NPI_NATPMP_COPIES 3
#define NPI_NATPMP_GAP_NS (250 * NPI_MS)
/*
 * PORT holds the mapping up only if the check has so much time left and so many round trips, or as much as it took so
 * far in place of that time. [safety]
 */
#define NPI_PORT_SPARE_NS (3000 * NPI_MS)
#define NPI_PORT_SPARE_RTTS 6
/*
 * What a NAT remembers of a datagram that it refused lives for 30 s on Linux, and may live less elsewhere: so long
 * after it left it is believed to be there still. [safety]
 */
#define NPI_REFUSED_FRESH_NS (10000 * NPI_MS)

/* ---- How long idle mappings live -------------------------------------------------------------------------------- */

/*
 * A mapping is answered in earnest once traffic has gone both ways for more than two seconds: only then netfilter gives
 * it the longer one of its timers (nf_conntrack_udp_timeout_stream). [safety]
 */
#define NPI_IDLE_PAUSE_NS (2500 * NPI_MS)
/*
 * A mapping by which nothing comes in is gone if so many of so many copies come in by another. Whatever is lost, that
 * is chance with a probability below 0.009, and two mappings have to be gone. [safety]
 */
#define NPI_IDLE_COPIES 6
#define NPI_IDLE_CONTROLS 4
/* What a stranger does not get is not to be chance at all: all later samples rest on it. [safety] */
#define NPI_IDLE_STRANGER_COPIES 16
/* Between the copies, as the round trip is: a burst of losses is not to take all of them. [safety] */
#define NPI_IDLE_GAP_NS (100 * NPI_MS)
#define NPI_IDLE_GAP_MAX_NS (400 * NPI_MS)
/* Until a socket that is no longer needed has been closed, and another one may have its place. [safety] */
#define NPI_IDLE_CLOSE_NS (50 * NPI_MS)
/* How often it is told how long the test has taken. */
#define NPI_IDLE_TELL_NS (1000 * NPI_MS)
/* What a round takes beyond the longest idle time: to open the mappings, to ask, and to ask a second socket. */
#define NPI_IDLE_ROUND_NS (12000 * NPI_MS)

/* ---- Rounds of filtering tests ---------------------------------------------------------------------------------- */

/*
 * A fiftieth of the round trip lies between rounds, but not more than this.
 * [tuned] tests/sim/tune NPI_PACE_MAX_NS 20 200 -- --class conforming --worlds 4000: 20 gains 0.2 % of the verdicts,
 * and costs 2 more datagrams at 99 %. 200: no difference seen.
 */
#define NPI_PACE_MAX_NS (50 * NPI_MS)
/*
 * The dense start: a filtering test begins with so many rounds, so far apart. They hold what proves a silence on a path
 * without losses. If a loss is seen they end.
 * [tuned] tests/sim/tune NPI_DENSE_ROUNDS 8 13 -- --class conforming --worlds 1000: 8 takes 0.4 round trips longer in
 * the median, and 13 costs 2 more datagrams.
 * [tuned] tests/sim/tune NPI_DENSE_GAP_NS 1 4 -- --class small-queue --worlds 1000: 4 gains 0.2 % of the verdicts. 1
 * breaks the promise that copies are 2 ms apart.
 */
#define NPI_DENSE_ROUNDS 11
#define NPI_DENSE_GAP_NS (2 * NPI_MS)
/*
 * [safety] Protects the verdict: copies that left so close together tell one moment of the path. For a test that leaves
 * later they count as so many of each request at most.
 */
#define NPI_DENSE_COUNTED 4
/*
 * After a dense start of which most was lost rounds begin so far apart. Each answer halves it, each loss doubles it.
 * [tuned] tests/sim/tune NPI_CAREFUL_GAP_NS 50 800 -- --class rate-limit --worlds 1000: 50 loses 3 % of the verdicts,
 * 800 loses 2 %.
 */
#define NPI_CAREFUL_GAP_NS (200 * NPI_MS)
/* [safety] Protects servers: it is over after this time or so many copies of a test. Then NPI_PACE_MIN_NS holds. */
#define NPI_DENSE_NS (30 * NPI_MS)
#define NPI_DENSE_COPIES 12
/*
 * While nothing was heard, rounds of I alone follow it and look for a sign of life. Their gap starts at this value, and
 * doubles with every second round.
 * [tuned] tests/sim/tune NPI_BLIND_GAP_NS 50 1000 -- --class blocked --worlds 1000: 50 sends 41 datagrams in place of
 * 29 where nothing answers. In the class lossy it gains 0.4 % of the verdicts, and 1000 loses 0.3 %.
 */
#define NPI_BLIND_GAP_NS (250 * NPI_MS)
/*
 * The first of them waits for the first answer of a path of 300 ms: what has left before it would be waited for too.
 * [tuned] tests/sim/tune NPI_BLIND_FIRST_NS 250 -- --class lossy --worlds 3000: no clear difference seen.
 */
#define NPI_BLIND_FIRST_NS (330 * NPI_MS)
/*
 * The first round after the first answer waits this long for the other answers: they tell what to send.
 * [tuned] tests/sim/tune NPI_SETTLE_NS 0 5 -- --class conforming --worlds 4000: 0 takes a twentieth of a round trip
 * longer. 5: no clear difference seen.
 */
#define NPI_SETTLE_NS (2 * NPI_MS)
/*
 * While nothing is heard, rounds go ever slower, against bursts of losses. This is the longest gap.
 * [tuned] tests/sim/tune NPI_QUIET_GAP_MAX_NS 50 800 -- --class bursty --worlds 4000: 50 loses 0.5 % of the verdicts,
 * 800 loses 0.7 %.
 */
#define NPI_QUIET_GAP_MAX_NS (200 * NPI_MS)
/*
 * With a shorter round trip, a second transaction doubles the pace of the test that is waited for.
 * [tuned] tests/sim/tune NPI_SECOND_RTT_NS 0 10000 -- --class conforming --worlds 4000: 0 takes a tenth of a round trip
 * longer. 10000 gains 0.3 % of the verdicts, and costs 5 more datagrams at 99 %.
 */
#define NPI_SECOND_RTT_NS (1000 * NPI_MS)
/*
 * The mapping phase starts five transactions: B:P, B:Q, A:Q, A:P again, and the control. The second transaction of a
 * test leaves them their share of the rate.
 * [tuned] tests/sim/tune NPI_MAPPING_TRANSACTIONS 3 8 -- --class conforming --worlds 4000: 3 takes one round trip
 * longer at 99 %. 8: no clear difference seen.
 */
#define NPI_MAPPING_TRANSACTIONS 5
/*
 * The fewest with which it tells both: B:P, A:Q and the control, or B:Q and the control where II is silent alone.
 * Another server may stand for B:P. A:P again is a copy, which is no transaction (again.c).
 */
#define NPI_MAPPING_LEAST 3
/*
 * Copies of II while III carries the proof. A filter that passes II passes III as well.
 * [tuned] tests/sim/tune NPI_TEST_II_MIN 1 4 -- --class conforming --worlds 4000: 1: no difference seen. 4 gains 0.3 %
 * of the verdicts, and costs 4 more datagrams at 99 %.
 */
#define NPI_TEST_II_MIN 2
/*
 * [safety] Protects the verdict: answers to other copies that left beside those of II, where II was left out at first.
 */
#define NPI_BESIDE_II 4
/*
 * Copies of III from which on it is no longer sent in the place of I, where it is answered.
 * [tuned] tests/sim/tune NPI_TEST_III_MIN 2 8 -- --class conforming --worlds 1000: no difference seen.
 */
#define NPI_TEST_III_MIN 4
/*
 * Copies of II that are waited for where III came from another address than was asked.
 * [tuned] tests/sim/tune NPI_TEST_II_WAITED 1 8 -- --class dnat-server --worlds 1000.
 */
#define NPI_TEST_II_WAITED 4

/*
 * A server whose answers come one by one, each later than the one before, works off a queue. More copies would make it
 * longer, so they wait. An answer is late if no copy explains it that left within the first number of least round trips
 * and the time behind it. So many late answers make a server slow.
 * [tuned] tests/sim/tune NPI_SLOW_RTTS 1 3 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_SLOW_LEAST_NS 5 100 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_SLOW_ANSWERS 1 4 -- --class slow-server --worlds 2000.
 */
#define NPI_SLOW_RTTS 2
#define NPI_SLOW_LEAST_NS (20 * NPI_MS)
#define NPI_SLOW_ANSWERS 2
/*
 * After a late start every answer is late that comes so long after the one before, while some copies of the first
 * burst are not answered: a path that woke up answers them together or not at all, a queue one by one.
 * [tuned] tests/sim/tune NPI_SLOW_GAP_NS 20 150 -- --class slow-server --worlds 2000.
 */
#define NPI_SLOW_GAP_NS (50 * NPI_MS)
/*
 * Whether answers come late shows only while nothing is sent. So once the first number of plain requests seems lost,
 * and as many as were answered, the next round waits, once, until nothing was heard for the second number of round
 * trips. On a path longer than the third it does not. Nor is a server taken for slow whose first answer took longer.
 * After a late answer it waits for the fourth number.
 * [tuned] tests/sim/tune NPI_LATE_LOST 2 6 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_LATE_QUIET_RTTS 1 5 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_LATE_RTT_MAX_NS 200 1000 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_SLOW_QUIET_RTTS 2 8 -- --class slow-server --worlds 2000.
 */
#define NPI_LATE_LOST 3
#define NPI_LATE_QUIET_RTTS 3
#define NPI_LATE_RTT_MAX_NS (850 * NPI_MS)
#define NPI_SLOW_QUIET_RTTS 4
/*
 * The filtering of a slow server may take this percentage of the time allowed: the mapping is worth more.
 * [tuned] tests/sim/tune NPI_SLOW_SHARE 30 60 -- --class slow-server --worlds 2000.
 */
#define NPI_SLOW_SHARE 85

/*
 * A server that has answered, and then leaves so many plain requests of the filtering test unanswered, for so long and
 * so many round trips, has died, or a router shuts it out for what the test makes it send. If another server can help,
 * it is left. The mapping is then found out before the next one is tested.
 * [tuned] tests/sim/tune NPI_HUSH_NS 500 2000 -- --class banning --worlds 2000.
 * [tuned] tests/sim/tune NPI_HUSH_RTTS 4 16 -- --class banning --worlds 2000.
 */
#define NPI_HUSH_LOST 6
#define NPI_HUSH_NS (1000 * NPI_MS)
#define NPI_HUSH_RTTS 8
/*
 * If no other server can help it is waited for at least this long: nothing is gained by leaving it.
 * [tuned] tests/sim/tune NPI_HUSH_ALONE_NS 2000 9000 -- --class dying --worlds 2000.
 */
#define NPI_HUSH_ALONE_NS (5000 * NPI_MS)
/*
 * In the mapping phase a server is left if so many copies of I to A:P are unanswered, and all else that A would have
 * answered.
 * [tuned] tests/sim/tune NPI_GONE_COPIES 3 6 -- --class banning --worlds 2000.
 */
#define NPI_GONE_COPIES 4
/* [safety] Protects the caller's time, and his servers from being shut out: after so many of them no more is tested. */
#define NPI_HUSHED_MAX 2

/* ---- The control ------------------------------------------------------------------------------------------------ */

/*
 * With a longer round trip a control leaves together with the request that opens its way. With a shorter one it waits
 * for the answer.
 * [tuned] tests/sim/tune NPI_CONTROL_WAIT_NS 0 1000 -- --class linux --worlds 4000: 0 (never wait) loses 0.2 % of the
 * verdicts, 1000 takes 0.7 round trips longer.
 */
#define NPI_CONTROL_WAIT_NS (20 * NPI_MS)
/* [tuned] tests/sim/tune NPI_CONTROL_COPIES 6 24 -- --class lossy --worlds 4000: 6 loses 0.3 % of the verdicts. */
#define NPI_CONTROL_COPIES 12
/*
 * A control is silent if loss explains it with less than this probability. That costs an answer, and cannot produce a
 * wrong one. If no other server is left, the answer is worth more.
 * [tuned] tests/sim/tune NPI_SILENCE_CONTROL 1e-2 1e-5 -- --class several --worlds 4000: 1e-5 loses 0.6 % of the
 * verdicts. 1e-2: no clear difference seen.
 * [tuned] tests/sim/tune NPI_SILENCE_CONTROL_LAST 1e-2 1e-7 -- --class lossy --worlds 4000: 1e-2 loses 0.3 %, 1e-7
 * gains none.
 */
#define NPI_SILENCE_CONTROL 1e-3
#define NPI_SILENCE_CONTROL_LAST 1e-5

/*
 * [safety] Protects the verdict from servers that answer few of a client's CHANGE-REQUESTs, at most one in
 * NPI_RATION_NS. So many answers to copies that left together (within NPI_RATION_TOGETHER_NS, since the path may pull
 * them apart) exclude that, one of them doubled by the path. Together
 * leave as many copies, and NPI_RATION_BURST where losses have been seen, or too few were answered. If the round trip
 * varies by less than NPI_RATION_STEADY_NS, or this share of itself, doubled answers show, and a pair is enough.
 * tests/sim/tune NPI_RATION_ANSWERS 2 4 -- --class change-quota --worlds 12000: the verdicts that are wrong.
 */
#define NPI_RATION_ANSWERS 3
#define NPI_RATION_PAIR 2
#define NPI_RATION_BURST 6
#define NPI_RATION_NS (100 * NPI_MS)
#define NPI_RATION_TOGETHER_NS (60 * NPI_MS)
#define NPI_RATION_STEADY_NS (5 * NPI_MS / 2)
#define NPI_RATION_STEADY_SHARE 64
/* From the second burst on, the next waits so long, so that a limit of rate lets several copies through again. */
#define NPI_RATION_PAUSE_NS (500 * NPI_MS)
/* [safety] Protects servers: the copies of a test after which no more are sent to find out. */
#define NPI_RATION_COPIES 26

/* ---- Silence ---------------------------------------------------------------------------------------------------- */

/*
 * [safety] Protects the verdict. Silence counts as filtering if loss explains it with less than this probability, at
 * one look: see NPI_SILENCE_TOTAL. Once losses have been seen the forecast is no longer too good, and the second value
 * is enough.
 */
#define NPI_SILENCE_FILTERING 3e-7
#define NPI_SILENCE_LOSSY 1.5e-6
/*
 * The forecast: this number of mapping requests will be answered like the requests before.
 * [tuned] tests/sim/tune NPI_SILENCE_FORECAST 0 10 -- --class conforming --worlds 4000: 0 costs 5 more datagrams in
 * every check, 10 saves 3. It is the number that the phase sends: see NPI_MAPPING_TRANSACTIONS.
 */
#define NPI_SILENCE_FORECAST 5
/*
 * [safety] Protects the verdict. After the mapping phase, with the losses that it showed: if loss explains the silence
 * with more than the first probability, copies are added until it is below the second.
 */
#define NPI_SILENCE_DOUBTFUL 2e-5
#define NPI_SILENCE_EXTENDED 2e-6
/*
 * [safety] Protects the verdict from bursts of losses. Where losses have been seen, loss must explain the silence of
 * neither half of the copies with more than this probability, by the losses of the same time. The second value is for
 * servers that repeat their answers, which hides some of the losses.
 */
#define NPI_SILENCE_HALF 1e-2
#define NPI_SILENCE_HALF_REPEATED 1e-3
/*
 * [safety] Protects the verdict from bursts of losses. A server's second address counts as near if one answer from
 * there takes at most this much longer than those from the first.
 */
#define NPI_FAR_NS (20 * NPI_MS)
/*
 * [safety] Protects slow servers: from so many answers to plain requests on, rounds have all tests until both halves
 * hold. Before that, what seems lost may wait in a queue.
 */
#define NPI_HALVES_ANSWERS 4
/*
 * [safety] Protects the verdict. If more than a third is lost, that is rarely chance: rate limits, bursts, servers that
 * answer twice. The probabilities above are then multiplied by this.
 */
#define NPI_SILENCE_HEAVY 0.1
/*
 * [safety] Protects the verdict. The limits above are for one look, and after every copy there is another. This is what
 * they come to over all looks, for losses that are independent: the most, over all rates of loss, with which loss alone
 * passes the filtering phase, and is still taken for filtering when the mapping phase has shown its losses; and the
 * latter where a quarter is lost, or less, and on average over the simulator's worlds. No code reads them: they hold
 * because of the limits above, and the unit test of silence computes them from the decisions of silence.c. Whoever
 * loosens a limit fails it.
 */
#define NPI_SILENCE_TOTAL_PHASE 4e-5
#define NPI_SILENCE_TOTAL 6e-6
#define NPI_SILENCE_TOTAL_QUARTER 4e-7
#define NPI_SILENCE_TOTAL_MEAN 5e-7
/* [safety] Protects the verdict. The least number of silent copies, however few losses were seen. */
#define NPI_SILENT_MIN 7
/*
 * [safety] Protects the verdict from servers that repeat their answers, which hides losses. A server repeats if the
 * first number of answers came for each copy of one request. It also does if the second number came in all, and three
 * for every two copies. The third is then the least number of silent copies.
 */
#define NPI_REPEATED 3
#define NPI_REPEATED_LEAST 6
#define NPI_SILENT_MIN_REPEATED 18
/*
 * [safety] The same, where so many answers are lost that no more come than requests were sent. A server repeats as well
 * if the first number of duplicates came, and one of so many answers is one. Answers that come together to copies that
 * left this far apart are duplicates.
 */
#define NPI_SURPLUS_LEAST 3
#define NPI_SURPLUS_SHARE 4
#define NPI_COPIES_APART_NS NPI_PRIMARY_GAP_MIN_NS

/* ---- What may be compared --------------------------------------------------------------------------------------- */

/* [safety] Protects the verdict: requests that left within this time of each other saw the same state of the NAT. */
#define NPI_SAME_MOMENT_NS (NPI_MS / 5)
/*
 * [safety] Protects the verdict: answers belong to the same round of copies if they came less than this share of the
 * time between its first and last copy apart.
 */
#define NPI_SAME_ROUND_SHARE 16
/*
 * How often the servers are asked again whether the external address is still the same.
 * [tuned] tests/sim/tune NPI_RECHECKS_MAX 0 1 6 -- --class moving --worlds 2000: 0 loses 5 % of the verdicts, 1 loses
 * 0.2 %, 6 gains none.
 */
#define NPI_RECHECKS_MAX 3
/*
 * [safety] Protects the verdict: the fresh sockets that tell a pool of external addresses from another way out. They
 * are asked one after the other.
 * tests/sim/tune NPI_PATH_SOCKETS 2 16 -- --class conforming --worlds 4000: 2 loses 1.5 % of the verdicts, 16 gains
 * none.
 */
#define NPI_PATH_SOCKETS 8
/*
 * [safety] Protects the verdict. A NAT may give every destination another port, at random out of few. That several
 * destinations see the same port counts if it is chance with at most this probability, however many ports there are,
 * from the third number up. The second is for a check whose filtering socket has asked a second address as well: there
 * only a NAT that maps by address, with the fewest ports, comes near it.
 */
#define NPI_CHANCE 1e-4
#define NPI_CHANCE_BOTH_SOCKETS 1e-3
#define NPI_PORTS_MIN 16
/* [safety] Protects the verdict: ports that follow each other at most so far apart are counted up, and not drawn. */
#define NPI_SEQUENCE_STEP 3
/*
 * [safety] Protects the verdict: late answers to II, whose way that request opens. They would contradict the silence.
 */
#define NPI_OTHER_DELAY_NS (20 * NPI_MS)
/*
 * [safety] Protects the verdict: the fresh sockets that compare two destinations, where the others do not suffice, and
 * the copies of each of their requests.
 * tests/sim/tune NPI_LOOKS 1 2 8 -- --class ports --worlds 2000: 1 loses 5 % of the verdicts, 2 loses 2 %, 8 gains
 * none.
 */
#define NPI_LOOKS 4
#define NPI_LOOK_COPIES 3
/* [safety] A server that leaves this many fresh sockets unanswered gets no further one: each takes seconds. */
#define NPI_PATH_UNHEARD 3

/* ---- The host --------------------------------------------------------------------------------------------------- */

/*
 * [safety] Protects the verdict: a driver that comes back later than it was asked to by this has stood still. Silence
 * during that time shows nothing.
 * tests/sim/tune NPI_STANDSTILL_NS 20 2000 -- --class frozen --worlds 1000: 2000 loses 11 % of the verdicts. 20: no
 * difference seen, but a busy host would stand still now and then.
 */
#define NPI_STANDSTILL_NS (100 * NPI_MS)
/*
 * If copies have left for the first time before the first answer comes, the path may have been silent at first (a radio
 * or a VPN that wakes up), or be slow. Within the second time a slow path answers this number of copies of the first
 * burst.
 * [tuned] tests/sim/tune NPI_LATE_SPREAD_NS 50 800 -- --class waking --worlds 1000: 800 loses 11 % of the verdicts. 50:
 * no difference seen.
 * [tuned] tests/sim/tune NPI_LATE_CHECK_NS 10 160 -- --class waking --worlds 1000: 160 loses 0.1 %. 10: no difference
 * seen, but it leaves no room for jitter.
 * [tuned] tests/sim/tune NPI_LATE_ANSWERS 1 4 -- --class waking --worlds 1000: 1 loses 6 %. 4: no difference seen, but
 * a slow path with losses would be asked anew more often.
 */
#define NPI_LATE_SPREAD_NS (200 * NPI_MS)
#define NPI_LATE_CHECK_NS (40 * NPI_MS)
#define NPI_LATE_ANSWERS 2
/*
 * A request that the system refuses to send is tried again, ever slower, up to this gap.
 * [tuned] tests/sim/tune NPI_SEND_RETRY_MAX_NS 40 640 -- --class outage --worlds 2000: 640 loses 4 % of the verdicts.
 * 40 gains 0.8 %, but asks the system four times as often.
 */
#define NPI_SEND_RETRY_MAX_NS (160 * NPI_MS)
/*
 * It has failed when it was refused for the first time while others left, or for the second if nothing leaves.
 * [tuned] tests/sim/tune NPI_SEND_PATIENCE_NS 250 4000 -- --class output-limit --worlds 2000: 250 loses 9 % of the
 * verdicts, 4000 gains none.
 * [tuned] tests/sim/tune NPI_SEND_PATIENCE_ALONE_NS 1000 9000 -- --class outage --worlds 2000: 1000 loses 27 % of the
 * verdicts, 9000 gains none.
 */
#define NPI_SEND_PATIENCE_NS (1000 * NPI_MS)
#define NPI_SEND_PATIENCE_ALONE_NS (3000 * NPI_MS)
/*
 * An error that is not the network's hardly passes. It counts after this number of refusals.
 * [tuned] tests/sim/tune NPI_SEND_FAILURES_MAX 1 10 -- --class host --worlds 2000: no difference seen.
 */
#define NPI_SEND_FAILURES_MAX 3

#endif

/* Sockets left idle at once: those of one round, of two kinds, and NPI_IDLE_COMPARED that only compare ports. */
#define NPI_IDLE_COMPARED 2
#define NPI_IDLERS (2 * NPI_LIFETIME_TRIES + NPI_IDLE_COMPARED)

/*
 * Socket slots: 0 is the source socket, 1 to NPI_TRIALS_MAX are filtering sockets, each opened at its first datagram.
 */
#define NPI_SLOT_SOURCE 0
#define NPI_SLOT_PATH (1 + NPI_TRIALS_MAX)                       /* the first of NPI_PATH_SOCKETS fresh sockets */
#define NPI_SLOT_LOOK (NPI_SLOT_PATH + 2 * NPI_PATH_SOCKETS)     /* others after a restart: a socket is used once */
#define NPI_SLOT_OPTIONAL (NPI_SLOT_LOOK + 2 * NPI_LOOKS)        /* the first of those of optional tests */
#define NPI_SLOT_IDLE (NPI_SLOT_OPTIONAL + NPI_OPTIONAL_SOCKETS) /* the first of those left idle */
#define NPI_SLOT_ASKER (NPI_SLOT_IDLE + NPI_IDLERS)              /* asks for what is to come to them */
#define NPI_SLOT_COUNT (NPI_SLOT_ASKER + 1)

/* Who is told of every request, answer and conclusion. */
typedef struct npi_observer {
    np_event_fn sink; /* NULL: nobody */
    void *user;
} npi_observer;

typedef struct npi_engine_config {
    int32_t tests;        /* enum np_tests */
    size_t max_servers;   /* as npi_engine_size was asked for */
    uint64_t deadline_ns; /* on the clock of now_ns; NPI_NEVER for none */
    uint64_t response_timeout_ns;
    uint64_t lifetime_limit_ns; /* of the test LIFETIME: the longest idle time to try */
    npi_log log;
    npi_observer observer;
} npi_engine_config;

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* One request: its transaction, where it goes, and what its first answer said. */
typedef struct npi_exchange {
    npi_transaction t;
    npi_addr to;
    npi_addr external;      /* set with the first success */
    npi_addr local;         /* that the first answer came to */
    uint64_t last_copy_ns;  /* of the copies that the first answer can be for, when the last one left */
    uint64_t not_before_ns; /* not to be sent before */
    uint32_t change;        /* flags of CHANGE-REQUEST, 0 for a plain request */
    uint32_t number;        /* its first copy was the so-many-th datagram of the check to leave; 0 before */
    uint32_t max_copies;
    int slot;
    bool queued;              /* to be started as soon as the rate allows */
    bool as_copy;             /* NPI_RECHECK: it may leave no room for others, so it is a copy if it can be (again.c) */
    bool sent_in_rounds;      /* copies leave when a round says so, not by a timer */
    bool send_twice;          /* the second copy does not wait for the first one's answer */
    bool failed;              /* answered with an error, or it cannot be sent */
    uint8_t send_failures;    /* copies in a row that the system would not send */
    uint64_t refused_from_ns; /* when the first of them was refused */
    bool unsent;              /* the last copy did not leave: refused, or no room for it */
    const char *name;         /* for the log */
} npi_exchange;

/* The plain requests from the source socket to a server's primary address. */
enum { NPI_PRIMARY, NPI_RFC3489, NPI_RECHECK, NPI_SERVER_EXCHANGES };

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

/* When an answered request showed the NAT's state: between its first and last copy, and the answer. */
typedef struct npi_sample {
    uint64_t first_ns;
    uint64_t last_ns;
    uint64_t heard_ns;
} npi_sample;

typedef enum npi_contact {
    NPI_NOT_ASKED,
    NPI_ASKED,
    NPI_HAS_ANSWERED /* a plain request, of any socket */
} npi_contact;

typedef enum npi_alternate_state {
    NPI_ALTERNATE_UNKNOWN, /* no answer yet that could name one */
    NPI_ALTERNATE_NONE,    /* none was named, or one to which nothing may be sent */
    NPI_ALTERNATE_KNOWN
} npi_alternate_state;

typedef struct npi_server {
    /* engine.c */
    npi_addr address; /* A:P */
    bool expected_mapping_only;
    /* schedule.c; answers.c sets NPI_HAS_ANSWERED */
    npi_contact contact;
    bool answered_before_restart;
    bool started_before_restart; /* it was sent something, which a NAT may remember */
    bool was_copied;             /* outbox.c: x[NPI_RECHECK] has been sent as a copy of what was answered before */
    bool is_unsteady; /* it alone sees ever other external addresses: not asked again; engine.c counts the changes */
    uint8_t changes;
    uint64_t started_ns;
    npi_exchange x[NPI_SERVER_EXCHANGES];
    /* answers.c */
    npi_addr alternate; /* B:Q */
    npi_alternate_state alternate_state;
    npi_stun_dialect dialect;
    npi_rtt rtt;
    uint64_t suspect_ns;      /* when the first answer came, if it was late; 0 once filtering.c has looked into it */
    uint64_t suspect_took_ns; /* how long after the first copy that was */
    uint64_t suspect_rtt_ns;  /* the round trip, if that answer is for the last copy before it */
    uint64_t woke_ns;         /* the path was silent until then: earlier copies count neither as lost nor as silent */
    uint64_t heard_ns;        /* when the last answer to a request came that A got, 0 before */
    uint64_t service_ns;      /* the least time between two answers: what one request takes it if it is slow */
    uint64_t clear_ns;        /* when it will have answered all that was sent; outbox.c adds to it */
    uint32_t late_answers;    /* that no copy explains which left within the usual round trip */
    const npi_transaction *last_heard; /* whose answer came last */
    bool is_last_late;                 /* the last answer was counted among them */
    bool failed;                       /* cannot be sent to, or its answers cannot be used; outbox.c sets it too */
    bool repeats;                      /* answers its requests several times for each copy */
    bool hides_losses;        /* so many answers are duplicates that it is not known how many copies were answered */
    bool has_mapping;         /* observed, first and latest are set */
    npi_observation observed; /* what the source socket looks like from A:P */
    npi_sample first;         /* of A:P's view of the source socket */
    npi_sample latest;        /* the latest that showed the same external address */
    /* trial.c */
    int trial;        /* index of its trial, -1: none */
    bool fell_silent; /* during the filtering test, having answered */
} npi_server;

/* ---- Trials ----------------------------------------------------------------------------------------------------- */

/* Filtering socket: I, II, III, and a second transaction of II or III. */
enum { NPI_F_I, NPI_F_II, NPI_F_III, NPI_F_SECOND, NPI_FILTERING_EXCHANGES };
/*
 * Source socket: I to B:P, B:Q, A:Q, and the control: II and III. NPI_M_OTHER: I to B:P of the filtering socket. From
 * NPI_M_NEAR on: single copies of I to B, which tell how far away it is.
 */
enum {
    NPI_M_BP,
    NPI_M_BQ,
    NPI_M_AQ,
    NPI_M_OTHER,
    NPI_C_II,
    NPI_C_III,
    NPI_M_NEAR,
    NPI_M_NEAR_LAST = NPI_M_NEAR + 2,
    NPI_CONTROL_EXCHANGES
};

/* A CHANGE-REQUEST test: its outcome, and an answer that came before it was known which address to expect. */
typedef struct npi_change_test {
    npi_change outcome;
    bool early;
    npi_addr early_from;
    npi_addr early_origin;
} npi_change_test;

/* Copies of a request that leave together: how many, how many answers show, what was sent and answered before them. */
typedef struct npi_burst {
    uint32_t size;
    uint32_t least;
    uint32_t sent;
    uint32_t answers;
} npi_burst;

/* How the dense start of a filtering test fared. Written by dense.c. */
typedef struct npi_dense_start {
    bool is_told;  /* each copy is answered or lost */
    bool is_heavy; /* most copies of I were lost: a limit or a burst, which says little of what leaves later */
    uint32_t answers[NPI_FILTERING_EXCHANGES];
} npi_dense_start;

/* Phase 1, on a fresh socket. Written by filtering.c. */
typedef struct npi_filtering {
    int slot;                 /* NPI_SLOT_SOURCE when filtering is not tested */
    npi_stun_dialect dialect; /* that its requests are written in */
    npi_exchange x[NPI_FILTERING_EXCHANGES];
    npi_exchange late;   /* I so far, once another was begun to tell a path that was silent at first from a slow one */
    uint32_t late_after; /* so many datagrams had left by then */
    npi_change_test ii, iii;
    npi_burst burst;      /* of III, once it has been answered */
    bool is_not_rationed; /* III was answered so often that II would have been as well */
    npi_dense_start dense;
    bool is_ii_decided;       /* whether II is sent while III carries the proof */
    bool spares_ii;           /* it is not: the rate has no room for it */
    uint32_t heard_beside_ii; /* answers to I and III that came a round trip after II had left for the first time */
    uint32_t rounds;
    uint64_t next_round_ns;
    bool timed_without_rtt; /* the next round was timed before the round trip was known */
    bool waited_for_late;   /* for answers that had seemed to be lost */
    uint32_t late_waited;   /* so many late answers had come when a round waited for more of them last */
    bool resumed;           /* trial.c: given up for others once, which were of no help */
    bool extended;          /* the mapping phase showed more loss than was known: more copies, then done */
    bool contradicted;      /* II or III was answered after it was called silent */
    bool has_no_socket;     /* the system refused one (engine.c) */
    bool pinhole_not_fresh; /* II or III was answered from an address that another socket had asked */
} npi_filtering;

typedef enum npi_mapping_stage {
    NPI_MAPPING_NOT_ASKED,
    NPI_MAPPING_DEFERRED, /* useless for the filtering: asked when nothing else is left to do */
    NPI_MAPPING_MINIMAL,  /* only those requests were queued that the verdict needs at least */
    NPI_MAPPING_ALL
} npi_mapping_stage;

/* Phase 2, on the source socket. Written by control.c. */
typedef struct npi_control {
    npi_mapping_stage stage;
    npi_exchange x[NPI_CONTROL_EXCHANGES];
    npi_change ii, iii;
    npi_burst burst[2]; /* of II and III */
    bool at_once;       /* the control does not wait for its pinhole's answer */
    bool aq_is_again;   /* the rate has no room for A:P again: A:Q takes its place, where it sees the same */
} npi_control;

typedef enum npi_phase { NPI_PHASE_FILTERING, NPI_PHASE_MAPPING, NPI_PHASE_DONE } npi_phase;

/* Why the filtering is not known; the texts are in result.c and facts.c. */
typedef enum npi_reason {
    NPI_REASON_NONE,
    NPI_REASON_NO_ALTERNATE,
    NPI_REASON_REFUSED,
    NPI_REASON_IGNORED,
    NPI_REASON_PARTIAL,
    NPI_REASON_REWRITTEN,
    NPI_REASON_REJECTED,
    NPI_REASON_CONTROL,
    NPI_REASON_RATIONED,
    NPI_REASON_LOSS,
    NPI_REASON_SLOW,
    NPI_REASON_SHUT_OUT,
    NPI_REASON_CONTRADICTION,
    NPI_REASON_NOT_FRESH,
    NPI_REASON_OTHER_PATH,
    NPI_REASON_NO_SOCKET,
    NPI_REASON_UNSENT, /* only of the result: the requests of the test did not leave */
    NPI_REASON_UNFINISHED
} npi_reason;

/* What a trial found out about the filtering. Written by the npi_decide functions below; events.c marks it reported. */
typedef struct npi_finding {
    enum { NPI_UNDECIDED, NPI_DECIDED, NPI_REPORTED } state;
    int32_t filtering; /* NP_BEHAVIOUR_UNKNOWN with a reason */
    bool proven;
    npi_reason reason;
} npi_finding;

/* The two phases of the experiment with one server. Written by trial.c, but for its parts. */
typedef struct npi_trial {
    size_t server;
    npi_phase phase;
    bool save_transactions; /* other servers may need them */
    npi_filtering filtering;
    npi_control control;
    npi_finding finding;
    npi_rtt alternate_rtt;       /* answers.c */
    uint64_t filtering_heard_ns; /* answers.c: the last answer on the filtering socket */
} npi_trial;

/* ---- The way of fresh sockets ----------------------------------------------------------------------------------- */

typedef enum npi_path_state {
    NPI_PATH_UNKNOWN, /* no reason to ask */
    NPI_PATH_ASKING,
    NPI_PATH_POOL, /* fresh sockets have different external addresses: the NAT has several */
    NPI_PATH_OTHER /* fresh sockets agree with each other, and not with the source socket */
} npi_path_state;

/* Written by path.c. */
typedef struct npi_path {
    npi_path_state state;
    size_t server;     /* whose A:P is asked */
    npi_addr external; /* of the filtering socket that had another address than the source socket */
    npi_addr local;
    uint32_t asked;
    int first_slot;
    npi_exchange x[NPI_PATH_SOCKETS];
} npi_path;

/* ---- Other sockets' mappings ------------------------------------------------------------------------------------ */

/* A destination, that with another IP address, and that with the first one's and another port. */
enum { NPI_L_FIRST, NPI_L_OTHER_IP, NPI_L_OTHER_PORT, NPI_LOOK_EXCHANGES };

typedef struct npi_look {
    npi_exchange x[NPI_LOOK_EXCHANGES]; /* a part of them is asked */
    size_t server[NPI_LOOK_EXCHANGES];  /* whose address it is */
} npi_look;

/* Fresh sockets that compare what two or three destinations see of them. Written by look.c. */
typedef struct npi_looks {
    uint32_t asked;
    bool has_no_socket; /* the system refused one (engine.c) */
    npi_look look[NPI_LOOKS];
} npi_looks;

/* ---- Optional tests --------------------------------------------------------------------------------------------- */

typedef enum npi_payload {
    NPI_PAYLOAD_STUN,       /* a request to a STUN server, answered on the socket that it left from, or another */
    NPI_PAYLOAD_INDICATION, /* STUN that no server answers */
    NPI_PAYLOAD_ECHO,       /* the same bytes come back, on another socket */
    NPI_PAYLOAD_RAW         /* bytes of another protocol, on a socket that nothing else comes to */
} npi_payload;

#define NPI_ERRAND_DATA 28 /* of a request or an answer of another protocol: as much as is kept */

/* A request of an optional test. Written by errand.c, sent by outbox.c. */
typedef struct npi_errand {
    npi_exchange x; /* without external and local if it is no STUN */
    npi_payload payload;
    int server; /* whose address it goes to; -1: no server's */
    int heard_slot;
    uint16_t response_port; /* to which NPI_PAYLOAD_STUN is to be answered; 0: to that it comes from */
    bool is_free;           /* it is over, and another one may have its place */
    uint64_t gap_ns;        /* between its copies */
    bool goes_on;           /* all copies are sent: answered or not, each tells something */
    npi_addr from;          /* of the first answer */
    npi_addr other;         /* that it named as the server's second address */
    bool (*is_answer)(const uint8_t *data, size_t size); /* NPI_PAYLOAD_RAW; NULL: anything is */
    size_t sent_size, heard_size;
    uint8_t sent_data[NPI_ERRAND_DATA], heard_data[NPI_ERRAND_DATA]; /* NPI_PAYLOAD_RAW */
} npi_errand;

typedef enum npi_optional_stage {
    NPI_OPTIONAL_NONE,  /* none was asked for */
    NPI_OPTIONAL_ASKED, /* there is no verdict yet */
    NPI_OPTIONAL_ON,
    NPI_OPTIONAL_OVER
} npi_optional_stage;

/* How far a test is. Each test counts on from 0 as it likes. */
typedef struct npi_port_test {
    int step;
    bool is_early;         /* asked before the mapping was: there is one server only */
    size_t server;         /* that is asked, or is the next to be */
    npi_addr alternate;    /* its B:Q */
    npi_errand *first;     /* I from the source socket */
    npi_errand *test;      /* II from the source socket */
    npi_errand *witness;   /* I from there, beside it */
    npi_errand *opener[2]; /* I from a fresh socket to A:P and B:Q */
    npi_errand *control;   /* II from there */
    int32_t open;          /* enum np_tristate */
} npi_port_test;

typedef struct npi_refused_test {
    int step;
    const npi_trial *trial; /* whose filtering socket is asked from */
    npi_errand *usual;      /* I from it to B:P, where nothing was refused */
    npi_errand *refused[2]; /* I from it to B:Q and A:Q, where something was */
    npi_errand *opener[2];  /* I from another fresh socket to A:P and B:Q */
    npi_errand *control;    /* II from there */
    int32_t takes_port;     /* enum np_tristate */
} npi_refused_test;

typedef struct npi_hairpin_test {
    int step;
    size_t server;         /* that shows the external addresses */
    npi_errand *witness;   /* I from the source socket, beside the two below */
    npi_errand *first;     /* I from a fresh socket */
    npi_errand *there;     /* from the source socket to it */
    npi_errand *back;      /* from it to the source socket */
    int32_t arrives;       /* enum np_tristate */
    int32_t from_external; /* enum np_tristate */
} npi_hairpin_test;

/* How a datagram from outside is had for a mapping that is idle. */
typedef enum npi_idle_way {
    NPI_IDLE_NO_WAY,
    NPI_IDLE_RESPONSE_PORT, /* another socket asks A:P to answer to the port of the mapping */
    NPI_IDLE_CHANGE         /* the socket asks B:Q to answer from A:P */
} npi_idle_way;

typedef enum npi_idle_kind {
    NPI_IDLE_ANSWERED,
    NPI_IDLE_UNANSWERED, /* nothing has come in by it */
    NPI_IDLE_COMPARING   /* answered, and asked for nothing but its external port */
} npi_idle_kind;

typedef enum npi_idle_stage {
    NPI_IDLE_DONE, /* or not begun */
    NPI_IDLE_OPENING,
    NPI_IDLE_PAUSING,
    NPI_IDLE_CONFIRMING, /* a second exchange, after the pause */
    NPI_IDLE_WAITING,
    NPI_IDLE_ASKING,
    NPI_IDLE_CLOSING,   /* a fresh socket is to take its place */
    NPI_IDLE_REOPENING, /* and has asked A:P */
    NPI_IDLE_CONTROL    /* what it asks for has to come */
} npi_idle_stage;

/* A socket left idle. Times of the test count standstills: the mapping ages meanwhile. */
typedef struct npi_idler {
    npi_idle_kind kind;
    npi_idle_stage stage;
    uint32_t idle_ms;
    npi_errand *errand; /* what is being asked; NULL: nothing */
    npi_addr external;  /* of the mapping to A:P; not set: not known */
    npi_addr local;
    uint64_t idle_least_ns; /* it is idle from then on at the latest */
    uint64_t idle_most_ns;  /* and was at the earliest */
    uint64_t asked_ns;
    uint64_t silent_ns; /* it is known by then that nothing comes in */
    uint64_t next_ns;   /* of NPI_IDLE_PAUSING, NPI_IDLE_WAITING and NPI_IDLE_CLOSING */
} npi_idler;

typedef enum npi_idle_phase {
    NPI_IDLE_NOT_BEGUN,
    NPI_IDLE_OPEN,         /* the asker and a fresh socket have asked A:P */
    NPI_IDLE_TRY_PORT,     /* does the server answer to RESPONSE-PORT? */
    NPI_IDLE_TRY_STRANGER, /* is an answer from A:P refused that comes to a socket which has not asked it? */
    NPI_IDLE_OPEN_AGAIN,   /* another fresh socket has asked A:P */
    NPI_IDLE_TRY_CHANGE,   /* and let in where one has? */
    NPI_IDLE_BETWEEN,      /* the sockets so far are being closed */
    NPI_IDLE_GREET,        /* the asker asks A:P again: its mapping may have gone */
    NPI_IDLE_ROUND,
    NPI_IDLE_OVER
} npi_idle_phase;

/* Each idle socket of each round has one, and the next one, or a socket in its place, another. */
#define NPI_IDLE_PORTS (3 * NPI_LIFETIME_ROUNDS * NPI_IDLERS + 4)
#define NPI_IDLE_SAMPLES (NPI_LIFETIME_ROUNDS * NPI_LIFETIME_TRIES + NPI_IDLE_COMPARED)

typedef struct npi_lifetime_test {
    npi_idle_phase phase;
    npi_idle_way way;
    size_t server;
    npi_errand *errand[2];
    npi_addr asker;   /* the asker's external address */
    bool keeps_ports; /* the external ports of the asker and of the next socket are the local ones */
    npi_addr opened;  /* the external address of the socket that the way is tried with */
    int round;        /* rounds begun */
    uint64_t next_ns;
    uint64_t begun_ns, told_ns, end_ns; /* end_ns: at the latest */
    npi_idler idler[NPI_IDLERS];
    uint16_t used_port[NPI_IDLE_PORTS]; /* external ports of sockets so far */
    size_t used_ports;
    npi_idle_sample sample[2][NPI_IDLE_SAMPLES]; /* by NPI_IDLE_ANSWERED and NPI_IDLE_UNANSWERED */
    size_t samples[2];
} npi_lifetime_test;

typedef struct npi_nat_behind_test {
    int step;
    npi_addr towards; /* the server that saw the external address */
    npi_addr local, external;
    npi_addr gateway;     /* on the way there; not set: none is known */
    npi_errand *question; /* to it */
    npi_addr named;       /* the external address that it named */
    int32_t another_nat;  /* enum np_tristate */
} npi_nat_behind_test;

/* Written by optional.c, and each test by the file of its name. */
typedef struct npi_optional {
    npi_optional_stage stage;
    uint64_t end_ns;    /* when they had ended */
    npi_errand *errand; /* behind the trials; without optional tests there is room for none */
    size_t errand_room;
    size_t errands;
    int sockets; /* fresh sockets that were used */
    npi_port_test port;
    npi_refused_test refused;
    npi_hairpin_test hairpin;
    npi_lifetime_test lifetime; /* idle.c */
    npi_nat_behind_test nat_behind;
} npi_optional;

/* ---- The whole experiment --------------------------------------------------------------------------------------- */

/* Written by outbox.c, received by engine.c. */
typedef struct npi_traffic {
    uint32_t sent;
    uint32_t received;
    uint32_t sent_in_vain;  /* before the path woke up; written by filtering.c */
    uint64_t first_sent_ns; /* NPI_NEVER before */
    uint64_t last_sent_ns;  /* 0 before */
    uint64_t last_heard_ns; /* when the last answer came, 0 before; written by engine.c */
    int32_t send_error;     /* last failure to send */
    int send_os_error;
} npi_traffic;

/* The starts of the latest transactions. Written by rate.c. */
typedef struct npi_rate {
    uint64_t started_ns[NPI_RATE_TRANSACTIONS]; /* a ring */
    uint32_t count;                             /* of all transactions */
} npi_rate;

/*
 * The process may stand still: suspended, paused, or in a callback that blocks. Nothing is sent or read meanwhile, so
 * silence during that time means nothing. Written by engine.c.
 */
typedef struct npi_standstill {
    uint64_t total_ns;   /* what now_ns is behind the driver's clock */
    uint64_t resumed_ns; /* on now_ns's clock; 0 when there was none */
} npi_standstill;

typedef struct npi_facts {
    npi_engine_config config;
    uint64_t start_ns;
    uint64_t now_ns; /* leaves out the times at which the process stood still, so that they age nothing */
    npi_standstill standstill;
    npi_traffic traffic;
    npi_rate rate;
    npi_path path;
    npi_looks looks;
    npi_optional optional;
    npi_server *servers; /* these two lie behind the engine */
    npi_trial *trials;
    size_t server_room, server_count;
    size_t trial_room, trial_count;
    bool more_servers; /* engine.c: names are still being resolved */
    /* schedule.c */
    uint32_t rechecks; /* rounds of asking again whether the external address is still the same */
    bool restarted;
    uint32_t looked_before; /* the most copies that looks from before a restart sent to one address */
    bool left_out_unsteady; /* engine.c: one server is unsteady */
    /* answers.c */
    bool duplicated;       /* more answers came than requests were sent, or together to copies sent apart */
    bool any_answer;       /* some request was answered, if only a CHANGE-REQUEST */
    bool any_untranslated; /* a server at a global address saw this host's own private address */
    bool any_unusable; /* something came that could not be used: from a server's address, or with the id of a request */
    uint16_t stun_error; /* the code of the last error that a plain request was answered with; 0: none */
    npi_addr elsewhere;  /* the first address from which an answer came to a request that had gone to another */
    uint32_t evidence;   /* bits of enum np_evidence; every file adds what it learns */
    /* engine.c */
    bool done;
    int32_t error;
    int os_error;
    uint64_t end_ns;
} npi_facts;

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* A request that is not to be sent yet. */
void npi_exchange_init(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change,
                       uint32_t max_copies);
/* The same from the source socket, to be sent as soon as the rate allows. */
void npi_exchange_ask(npi_exchange *x, const char *name, const npi_addr *to, uint32_t change, uint32_t max_copies);
bool npi_exchange_is_answered(const npi_exchange *x);
/* Answered, and with an external address that counts. */
bool npi_exchange_has_external(const npi_exchange *x);
/* Not answered, and its last copy did not leave. */
bool npi_exchange_is_unsent(const npi_exchange *x);
/* It was queued, was sent, or cannot be sent. */
bool npi_exchange_was_asked(const npi_exchange *x);
/* When all its copies are sent and age_ns old, so that no answer is expected any more; at once when it failed. */
uint64_t npi_exchange_over_ns(const npi_exchange *x, uint64_t age_ns);

/* Which request an id on a slot belongs to; exchange is NULL when to none, trial when to none's. */
typedef struct npi_origin {
    npi_server *server;
    npi_trial *trial;
    npi_exchange *exchange;
} npi_origin;
npi_origin npi_facts_find(npi_facts *f, int slot, const npi_stun_id *id);
/* The request of an optional test that x is; NULL: it is none. */
const npi_errand *npi_facts_errand(const npi_facts *f, const npi_exchange *x);
/*
 * Calls visit for each request of the check, and of no optional test, with the server that it went to; none from before
 * a restart.
 */
typedef void (*npi_visit_fn)(const npi_server *s, const npi_exchange *x, void *user);
void npi_facts_each(const npi_facts *f, npi_visit_fn visit, void *user);

/* ---- Servers and trials ----------------------------------------------------------------------------------------- */

bool npi_server_is_started(const npi_server *s);
bool npi_server_has_answered(const npi_server *s);
size_t npi_facts_count_started(const npi_facts *f);
/* What a check may send: so much, and more for each server beyond two. */
uint32_t npi_facts_budget(const npi_facts *f, uint32_t datagrams, uint32_t more);
/* The path to it was silent until its first answer: a round trip is no longer than this. */
void npi_server_woke(npi_server *s, uint64_t rtt_ns);
/* Times of the path to it count no longer: the host may be in another network now. */
void npi_server_forget_path(npi_server *s);
/* I to A:P again, from the source socket, as soon as the rate allows; a request before it is forgotten. */
void npi_server_ask_again(npi_server *s);
/* Its answers queue up: what has not been answered is not lost yet. */
bool npi_server_is_slow(const npi_server *s);
/* Whether the filtering is asked for, and not the mapping alone. */
bool npi_facts_tests_filtering(const npi_facts *f);
/* How many servers fell silent during their filtering tests. */
size_t npi_facts_count_fell_silent(const npi_facts *f);
/* How many copies of all requests have gone to its addresses. */
uint32_t npi_server_copies(const npi_facts *f, const npi_server *s);
uint32_t npi_server_copies_before(const npi_facts *f, const npi_server *s, uint64_t when_ns);
/* The trial of a server, or NULL. */
const npi_trial *npi_server_trial(const npi_facts *f, const npi_server *s);
const npi_server *npi_trial_server(const npi_facts *f, const npi_trial *t);
/* The rtt of a server with its deviation: an unanswered copy of that age counts as lost. */
uint64_t npi_trial_rto(const npi_facts *f, const npi_trial *t);
/* The same for an answer from B, which may be farther away: nobody knows before B has answered a plain request. */
uint64_t npi_trial_far_rto(const npi_facts *f, const npi_trial *t);
/* Where an answer to a CHANGE-REQUEST has to come from: B:Q or A:Q. */
npi_addr npi_server_expected_source(const npi_server *s, uint32_t change);
/* A byte as random as an id is, the same for one round whenever it is asked. */
uint8_t npi_filtering_random(const npi_filtering *p, uint32_t round);
/* Whether the source socket has sent to this address, or to any port of it. */
bool npi_facts_has_contacted(const npi_facts *f, const npi_addr *address);
bool npi_facts_has_contacted_ip(const npi_facts *f, const npi_addr *address);

/* How many more copies may go to an address that a server named: several servers may name the same one. */
uint32_t npi_facts_copies_left(const npi_facts *f, const npi_addr *to);
/* The most copies that looks have sent to one address. */
uint32_t npi_facts_most_copies_of_looks(const npi_facts *f);

/* How long the experiment has gone on at a time on now_ns's clock, standstills included: as its user sees it. */
uint64_t npi_facts_elapsed_ns(const npi_facts *f, uint64_t t_ns);
/* The source socket has been seen from some server's primary address. */
bool npi_facts_has_mapping(const npi_facts *f);
/* Some request of the trial, or of any, is not answered and did not leave. */
bool npi_trial_is_unsent(const npi_trial *t);
bool npi_facts_is_unsent(const npi_facts *f);
bool npi_trial_is_decided(const npi_trial *t);
/* A finding that nobody was told of holds no longer. */
void npi_take_back(npi_trial *t);
void npi_decide(npi_trial *t, int32_t filtering);
/* As measured: no control was possible. */
void npi_decide_unproven(npi_trial *t, int32_t filtering);
void npi_decide_unknown(npi_facts *f, npi_trial *t, npi_reason reason);

#endif

/* Whether s may be asked again by a copy: nothing shows that another answer may be one to an earlier copy. */
bool npi_again_may_copy(const npi_facts *f, const npi_server *s);
/* The same, and A:P of s has not been asked again yet. */
bool npi_again_is_left(const npi_facts *f, const npi_server *s);
/* From when on that copy may leave. */
uint64_t npi_again_copy_ns(const npi_server *s);
/* Whether x is such a copy, under way or answered. */
bool npi_again_is_copy(const npi_server *s, const npi_exchange *x);
/* The id that it bears. */
npi_stun_id npi_again_id(const npi_server *s);
/*
 * Whose an answer is that comes now with the id of x. If it comes too early for the copy it is x's, and A:P is asked
 * again by a new transaction.
 */
npi_exchange *npi_again_take(const npi_facts *f, npi_server *s, npi_exchange *x);

#endif

/* The request whose id the copy bears. */
static const npi_exchange *original(const npi_server *s)
{
    return &s->x[s->dialect == NPI_STUN_RFC3489 ? NPI_RFC3489 : NPI_PRIMARY];
}

/* Each copy was answered once: no other answer is to be expected. */
static bool again_is_settled(const npi_transaction *x)
{
    return x->started && x->answers > 0 && x->answers == x->sent && x->extra_answers == 0 && x->likely_duplicates == 0;
}

/* Its answers came when they were expected, each once. */
static bool is_prompt(const npi_server *s)
{
    return s->rtt.samples > 0 && s->late_answers == 0 && s->woke_ns == 0 && !s->repeats;
}

bool npi_again_may_copy(const npi_facts *f, const npi_server *s)
{
    if (f->server_count == 1) /* the rate has room for one server */
        return false;
    return s->has_mapping && !s->was_copied && !f->duplicated && is_prompt(s) && again_is_settled(&original(s)->t);
}

bool npi_again_is_left(const npi_facts *f, const npi_server *s)
{
    return !npi_exchange_was_asked(&s->x[NPI_RECHECK]) && npi_again_may_copy(f, s);
}

uint64_t npi_again_copy_ns(const npi_server *s)
{
    return npi_time_add(npi_transaction_last_ns(&original(s)->t), NPI_PACE_MIN_NS);
}

npi_stun_id npi_again_id(const npi_server *s)
{
    return original(s)->t.id;
}

bool npi_again_is_copy(const npi_server *s, const npi_exchange *x)
{
    return x == &s->x[NPI_RECHECK] && x->t.started && s->was_copied && npi_stun_id_equal(&x->t.id, &original(s)->t.id);
}

npi_exchange *npi_again_take(const npi_facts *f, npi_server *s, npi_exchange *x)
{
    npi_exchange *again = &s->x[NPI_RECHECK];
    if (x != original(s) || !npi_again_is_copy(s, again))
        return x;
    if (f->now_ns >= npi_time_add(again->t.first_ns, npi_rtt_floor(&s->rtt)))
        return again;
    if (!npi_exchange_is_answered(again))
        npi_server_ask_again(s);
    return x;
}

/* ---- engine/answers.c -------------------- */

/* What each answer says of the path, the server, the NAT. */
/* An answer becomes facts. */
#ifndef NPI_ENGINE_ANSWERS_H
#define NPI_ENGINE_ANSWERS_H


/* A response to a request of the experiment's. */
typedef struct npi_answer {
    npi_origin origin; /* exchange is not NULL */
    npi_addr from;
    npi_stun_response response;
} npi_answer;

/* What an answer shows about the answers before it. */
typedef enum npi_taken {
    NPI_TAKEN,
    NPI_TAKEN_ADDRESS_CHANGED, /* the external address is another than before: nothing seen can be compared any more */
    NPI_TAKEN_CONTRADICTION /* two answers to one request name two addresses: the same holds, and neither is believed */
} npi_taken;

/* Whether it came from where the request went: to a plain request it has to. */
bool npi_answers_is_from_destination(const npi_exchange *x, const npi_addr *from);
/*
 * A datagram that is no usable answer: with a request's id (x), or from a server's address, it is a sign of something.
 */
void npi_answers_note_stray(npi_facts *f, const npi_exchange *x, const npi_addr *from);
/* Records an answer. An observer has been told before. */
npi_taken npi_answers_take(npi_facts *f, const npi_answer *a);

#endif

/* Which mapping and filtering the facts show (docs/METHOD.md sections 4 and 6). Pure. */
#ifndef NPI_ENGINE_FINDINGS_H
#define NPI_ENGINE_FINDINGS_H


/* ---- Mapping ---- */

/* True when s showed the same external address before and after (or at the same moment as) a sample from elsewhere. */
bool npi_is_bracketed_by(const npi_server *s, const npi_sample *sample);
/* True when what two servers saw of the source socket can be compared: nothing can have changed in between. */
bool npi_is_comparable(const npi_server *a, const npi_server *b);
/* The mapping by all observations, comparable or not: a reason to look again, not a verdict. */
int32_t npi_mapping_apparent(const npi_facts *f);
/* Whether that is one that depends on the destination. */
bool npi_mapping_seems_dependent(const npi_facts *f);
/* The mapping by those observations alone that can be compared with each other. */
int32_t npi_mapping_confirmed(const npi_facts *f);
/* That is the same as the apparent one, but for what chance may have done to both. */
bool npi_mapping_is_confirmed(const npi_facts *f);
/* The server whose observations contradict those of two or more others, and are left out; NULL when there is none. */
const npi_server *npi_mapping_dissenter(const npi_facts *f);
/* The mapping is not known, and observations name different IP addresses, or some see a NAT and some see none. */
bool npi_mapping_is_contradictory(const npi_facts *f);
/* Whether some destinations see the same external address, and others only another port of it. */
bool npi_mapping_is_mixed(const npi_facts *f);
/* True when A:P has been seen before and after every sample of its server's other addresses. */
bool npi_mapping_is_bracketed(const npi_facts *f, const npi_server *s);
/*
 * What s saw says nothing of the NAT: s contradicts the others, or no NAT lies on the way to s, and one on the way to
 * another server.
 */
bool npi_mapping_leaves_out(const npi_facts *f, const npi_server *s);
/* Two other servers report addresses of one network, and s one of another. */
bool npi_mapping_is_lone_network(const npi_facts *f, const npi_server *s);
/* The optional test PORT asked for an answer from there while its way was not open: the NAT may remember that. */
bool npi_mapping_is_spoilt(const npi_facts *f, const npi_addr *address);
/* One observation of the source socket, whichever counts; false when there is none. */
bool npi_mapping_any_observation(const npi_facts *f, npi_observation *out);

/*
 * A server at another IP address that sees the source socket as A:P of s does, and that can be asked again by a copy:
 * in the place of B:P it tells the mapping. NULL: none.
 */
const npi_server *npi_mapping_other_view(const npi_facts *f, const npi_server *s);

/* What to do where the apparent and the confirmed mapping differ. */
typedef enum npi_recheck_state {
    NPI_RECHECK_NOT_NEEDED, /* they agree, or no more can be done about it: the confirmed one is what can be said */
    NPI_RECHECK_NEEDED,     /* ask those servers again, all at one moment, of which npi_mapping_is_doubtful says so */
    NPI_RECHECK_GOES_ON     /* wait for their answers */
} npi_recheck_state;

typedef struct npi_recheck {
    npi_recheck_state state;
    uint64_t wake_ns; /* when the answer waited for counts as lost; NPI_NEVER otherwise */
} npi_recheck;
npi_recheck npi_mapping_recheck(const npi_facts *f);
/* What s saw cannot be compared with what it, or another server, saw elsewhere. */
bool npi_mapping_is_doubtful(const npi_facts *f, const npi_server *s);

/* ---- Other sockets' mappings ---- */

/* Whether another socket has to compare destinations, since equal ports may be chance (chance.h). */
typedef enum npi_look_state { NPI_LOOK_NOT_NEEDED, NPI_LOOK_NEEDED, NPI_LOOK_GOES_ON } npi_look_state;

typedef struct npi_look_advice {
    npi_look_state state;
    uint64_t wake_ns;                         /* when the answer waited for counts as lost; NPI_NEVER otherwise */
    bool is_wanted[NPI_LOOK_EXCHANGES];       /* which destinations to ask, where it is needed */
    npi_observation seen[NPI_LOOK_EXCHANGES]; /* what the source socket looks like from there */
} npi_look_advice;
npi_look_advice npi_mapping_look(const npi_facts *f);

/* ---- The way of fresh sockets ---- */

/* A fresh socket's answer shows the same external IP address, at the same local one. */
bool npi_has_same_way(const npi_exchange *x, const npi_addr *external, const npi_addr *local);
/* The source socket itself has external addresses that are neighbours: the NAT has a pool of them. */
bool npi_source_has_pool(const npi_facts *f);
/* A request of the filtering socket whose answer shows its external address; NULL when there is none yet. */
const npi_exchange *npi_filtering_view(const npi_filtering *p);
/* False when a trial's filtering socket has another external or local IP address than the source socket has. */
bool npi_trial_has_source_way(const npi_facts *f, const npi_trial *t);

/* ---- Filtering ---- */

/* The trial on which the filtering verdict rests, NULL when there is none (yet). */
const npi_trial *npi_filtering_trial(const npi_facts *f);
/* Its filtering; unknown when there is none. */
int32_t npi_filtering_found(const npi_facts *f);
/* The filtering is asked for, and not known as well as it can be. */
bool npi_filtering_is_needed(const npi_facts *f);
/* Whether a trial may yet bring what is missing; one that failed at the filtering only goes on with the mapping. */
bool npi_trial_is_useful(const npi_facts *f, const npi_trial *t);

/* ---- Answers to CHANGE-REQUEST ---- */

/*
 * What an answer shows that came from an address, and says that it left from another (RESPONSE-ORIGIN; not set: does
 * not say). PENDING where it is not known which address to expect.
 */
npi_change npi_change_shown(const npi_server *s, uint32_t change, const npi_addr *from, const npi_addr *origin,
                            bool success);
/* The bits of enum np_evidence that go with it. */
uint32_t npi_change_evidence(npi_change outcome);
/* It speaks about the server: the server is of no use for filtering. */
bool npi_change_disqualifies_server(npi_change outcome);
npi_reason npi_change_reason(npi_change outcome);

#endif
/* One server through both phases: the only place where a trial's phase changes. */
#ifndef NPI_ENGINE_TRIAL_H
#define NPI_ENGINE_TRIAL_H


typedef enum npi_trial_scope { NPI_TRIAL_BOTH_PHASES, NPI_TRIAL_MAPPING_ONLY } npi_trial_scope;

void npi_trial_begin(npi_facts *f, size_t server, npi_trial_scope scope);
/*
 * Goes on with a trial. exhausted: nothing more is expected of its server. others_can_help: something other than this
 * trial may yet bring the verdict. Returns when to go on; at or before now: at once.
 */
uint64_t npi_trial_advance(npi_facts *f, npi_trial *t, bool exhausted, bool others_can_help);
/* An answer on its filtering socket. */
void npi_trial_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x);
/* An answer to one of its CHANGE-REQUESTs. */
void npi_trial_take_answer(npi_facts *f, npi_trial *t, const npi_exchange *x, const npi_addr *from,
                           const npi_addr *origin, bool success);

#endif

/* ---- Where it came from ----------------------------------------------------------------------------------------- */

bool npi_answers_is_from_destination(const npi_exchange *x, const npi_addr *from)
{
    return x->change != 0 || npi_addr_equal(&x->to, from);
}

void npi_answers_note_stray(npi_facts *f, const npi_exchange *x, const npi_addr *from)
{
    f->any_unusable |= x != NULL;
    if (x != NULL && !npi_addr_is_set(&f->elsewhere))
        f->elsewhere = *from;
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]) && npi_addr_equal(&f->servers[i].address, from))
            f->any_unusable = true;
    }
}

/* What the address that a server reports is worth as evidence. */
typedef enum answers_sight {
    CREDIBLE,
    IMPOSSIBLE,   /* of another family, or one that no host can have */
    UNTRANSLATED, /* this host's own private address: no NAT lies on the way to that server, be it the provider's own */
    PROXIED /* a private address of somebody else: a router or a balancer answers, or translates, for the server */
} answers_sight;

/* A documentation address stands for a global one, unless this host has one too: then the whole network is a test. */
static bool is_on_the_internet(const npi_exchange *x)
{
    if (npi_addr_classify(&x->to) != NPI_CLASS_GLOBAL)
        return false;
    return !npi_addr_is_example(&x->to) || !npi_addr_is_set(&x->local) || !npi_addr_is_example(&x->local);
}

/* A server on the internet cannot truthfully see an address that does not exist there. */
static answers_sight see(const npi_exchange *x, const npi_addr *mapped)
{
    npi_addr_class class = npi_addr_classify(mapped);
    bool is_own = npi_addr_same_ip(mapped, &x->local);
    if (mapped->family != x->to.family)
        return mapped->family == NPI_IPV4 && class == NPI_CLASS_GLOBAL ? CREDIBLE : IMPOSSIBLE;
    if (class == NPI_CLASS_GLOBAL)
        return CREDIBLE;
    bool is_local = class == NPI_CLASS_PRIVATE || class == NPI_CLASS_LINK_LOCAL || class == NPI_CLASS_LOOPBACK;
    if (is_on_the_internet(x) && is_local)
        return is_own ? UNTRANSLATED : PROXIED;
    return is_own || class == NPI_CLASS_PRIVATE || class == npi_addr_classify(&x->to) ? CREDIBLE : IMPOSSIBLE;
}

static bool is_credible(const npi_exchange *x, const npi_addr *mapped)
{
    return see(x, mapped) == CREDIBLE;
}

/* ---- What it says of the server --------------------------------------------------------------------------------- */

/*
 * The alternate address is taken from the first answer that names one and never changes after (RFC 5780 section 7.4).
 */
static void note_alternate(npi_facts *f, npi_server *s, const npi_stun_response *r)
{
    if (s->alternate_state != NPI_ALTERNATE_UNKNOWN)
        return;
    s->alternate_state = NPI_ALTERNATE_NONE;
    if (!npi_addr_is_set(&r->other))
        return;
    if (npi_addr_is_alternate(&s->address, &r->other)) {
        s->alternate_state = NPI_ALTERNATE_KNOWN;
        s->alternate = npi_addr_with_scope(&r->other, s->address.scope); /* which it cannot tell */
        f->evidence |= NP_EVIDENCE_ALTERNATE;
    } else {
        f->evidence |= NP_EVIDENCE_ALTERNATE_REFUSED;
    }
}

/* An error, or an answer without what it is for: of that server no more is to be expected. */
static void note_unusable(npi_facts *f, npi_server *s, npi_exchange *x, answers_sight seen, const npi_stun_response *r)
{
    f->any_unusable = true;
    f->any_untranslated |= seen == UNTRANSLATED;
    if (seen == PROXIED)
        f->evidence |= NP_EVIDENCE_PROXIED;
    x->failed = true;
    bool primary = npi_addr_equal(&x->to, &s->address);
    s->failed |= primary;
    if (r->kind == NPI_STUN_ERROR) /* well formed, and it says why */
        f->stun_error = r->error_code;
    else if (primary && seen == IMPOSSIBLE)
        f->evidence |= NP_EVIDENCE_MALFORMED;
}

static void note_success(npi_facts *f, npi_server *s, const npi_exchange *x, const npi_stun_response *r)
{
    f->evidence |= NP_EVIDENCE_ANSWERED;
    if (r->address_rewritten)
        f->evidence |= NP_EVIDENCE_ALG;
    if (r->mapped.family != x->to.family)
        f->evidence |= NP_EVIDENCE_TRANSLATED;
    if (x == &s->x[NPI_RFC3489] && s->alternate_state == NPI_ALTERNATE_UNKNOWN) {
        s->dialect = NPI_STUN_RFC3489;
        f->evidence |= NP_EVIDENCE_CLASSIC;
    }
}

/* Answers that came close together to copies that left far apart: one answer, and duplicates of it. */
static uint32_t count_bunched(const npi_transaction *t)
{
    return npi_transaction_is_spread(t, NPI_COPIES_APART_NS) ? t->likely_duplicates : 0;
}

/* What came to those requests of a server that were answered, plain ones and III of the filtering test. */
typedef struct a_answers {
    uint32_t sent;
    uint32_t answers;
    uint32_t surplus; /* of these, the duplicates */
} a_answers;

static void add_answers(const npi_exchange *x, int count, uint32_t unless, a_answers *all)
{
    for (int i = 0; i < count; i++) {
        const npi_transaction *t = &x[i].t;
        uint32_t bunched = count_bunched(t);
        if ((x[i].change & unless) != 0 || !npi_exchange_is_answered(&x[i]))
            continue;
        all->sent += t->sent;
        all->answers += npi_transaction_all_answers(t);
        all->surplus += t->extra_answers > bunched ? t->extra_answers : bunched;
    }
}

/*
 * Of the control only plain requests count. Its III comes when the way is open: if one answer to it came twice, more
 * copies of the test's III would be asked, and they would come in.
 */
static a_answers count_a_answers(const npi_facts *f, const npi_server *s)
{
    a_answers all = {0, 0, 0};
    const npi_trial *t = npi_server_trial(f, s);
    add_answers(s->x, NPI_SERVER_EXCHANGES, 0, &all);
    if (t != NULL) {
        add_answers(t->filtering.x, NPI_FILTERING_EXCHANGES, NPI_STUN_CHANGE_IP, &all);
        add_answers(&t->filtering.late, 1, 0, &all);
        add_answers(t->control.x, NPI_CONTROL_EXCHANGES, NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT, &all);
    }
    return all;
}

/*
 * Whether a server seems to send its answers several times, beyond what a path duplicates. Where many get lost no more
 * may come in all than was sent: there the duplicates among them tell.
 */
static void note_repeated(npi_facts *f, npi_server *s, const npi_transaction *t)
{
    f->duplicated |= t->extra_answers > 0 || count_bunched(t) > 0;
    if (!f->duplicated)
        return;
    a_answers all = count_a_answers(f, s);
    bool many = all.answers >= NPI_REPEATED_LEAST && 2 * all.answers >= 3 * all.sent;
    s->hides_losses = all.surplus >= NPI_SURPLUS_LEAST && NPI_SURPLUS_SHARE * all.surplus >= all.answers;
    s->repeats |= s->hides_losses || many || npi_transaction_multiplicity(t) >= NPI_REPEATED;
}

/* ---- What it says of the path and the NAT ----------------------------------------------------------------------- */

/* Whether it left before a standstill that the answer may have come in. */
static bool is_across_standstill(const npi_facts *f, const npi_transaction *t)
{
    return f->standstill.resumed_ns != 0 && npi_transaction_last_ns(t) <= f->standstill.resumed_ns;
}

/*
 * With several copies it is not known which was answered (Karn): the nearest to what is expected is believed, and
 * before anything is expected the oldest, which can only be too long. What left before a standstill may have been
 * answered during it: that is no sample.
 */
static void note_round_trip(const npi_facts *f, npi_rtt *rtt, const npi_transaction *t, uint64_t oldest_ns)
{
    if (is_across_standstill(f, t))
        return;
    uint64_t sample_ns = rtt->samples == 0 ? oldest_ns : npi_transaction_nearest(t, f->now_ns, rtt->smoothed_ns);
    npi_rtt_sample(rtt, sample_ns, t->sent == 1 ? NPI_RTT_EXACT : NPI_RTT_AMBIGUOUS);
}

/* What is known of the way that a request took. Only a trial asks others than A:P. */
static npi_rtt *rtt_of(const npi_origin *o)
{
    bool is_primary = npi_addr_equal(&o->exchange->to, &o->server->address);
    return is_primary ? &o->server->rtt : &o->trial->alternate_rtt;
}

/* ---- Whether A works off a queue -------------------------------------------------------------------------------- */

/* How long after the one before this answer comes, if both are not of one bunch. */
static uint64_t answer_gap_ns(const npi_facts *f, const npi_server *s)
{
    uint64_t gap_ns = s->heard_ns != 0 ? f->now_ns - s->heard_ns : 0;
    return gap_ns >= NPI_PACE_MIN_NS / 2 ? gap_ns : 0;
}

/* The fresh I that measures the round trip after a late start. */
static bool is_fresh_i(const npi_origin *o)
{
    return o->trial != NULL && o->trial->filtering.late.t.started && o->exchange == &o->trial->filtering.x[NPI_F_I];
}

/* Of the copies of I that the filtering test began with, all at once, some are not answered yet. */
static bool is_burst_open(const npi_facts *f, const npi_server *s)
{
    const npi_trial *t = npi_server_trial(f, s);
    if (t == NULL)
        return false;
    const npi_transaction *plain = t->filtering.late.t.started ? &t->filtering.late.t : &t->filtering.x[NPI_F_I].t;
    uint64_t end_ns = npi_time_add(plain->first_ns, NPI_LATE_SPREAD_NS);
    uint32_t burst = plain->sent - npi_transaction_sent_since(plain, end_ns);
    return end_ns <= s->suspect_ns && plain->answers < burst;
}

/* After a late start each answer is late that comes alone, while answers to copies that left together are missing. */
static bool is_late_after_late_start(const npi_facts *f, const npi_origin *o)
{
    const npi_server *s = o->server;
    bool is_suspect = s->suspect_ns != 0 && s->suspect_ns != f->now_ns && !is_fresh_i(o) &&
                      s->suspect_ns <= s->started_ns + NPI_LATE_RTT_MAX_NS && is_burst_open(f, s);
    return is_suspect && s->service_ns >= NPI_SLOW_GAP_NS;
}

/*
 * Later than any copy explains which left within twice the least round trip. II comes from B, which may be farther
 * away, and the control is asked late.
 */
static bool answers_is_late(const npi_facts *f, const npi_origin *o)
{
    const npi_server *s = o->server;
    const npi_exchange *x = o->exchange;
    bool is_from_a = (x->change & NPI_STUN_CHANGE_IP) == 0 && (x->change == 0 || x->slot != NPI_SLOT_SOURCE);
    if (!is_from_a || !npi_addr_equal(&x->to, &s->address) || is_across_standstill(f, &x->t) || s->rtt.samples == 0 ||
        x->t.first_ns < s->woke_ns)
        return false;
    uint64_t floor_ns = s->rtt.has_exact ? npi_rtt_floor(&s->rtt) : 0;
    uint64_t usual_ns = npi_time_max(NPI_SLOW_RTTS * s->rtt.lowest_ns + NPI_SLOW_LEAST_NS, npi_rtt_rto(&s->rtt));
    return npi_transaction_least_rtt_ns(&x->t, f->now_ns, floor_ns) > usual_ns;
}

/*
 * A queue's answers come one by one: each late one has waited at the server for those before it. What comes in a bunch
 * was held up on the way. True if the answer tells no round trip.
 */
static bool note_queue(const npi_facts *f, const npi_origin *o)
{
    npi_server *s = o->server;
    if (!npi_addr_same_ip(&o->exchange->to, &s->address))
        return false;
    uint64_t gap_ns = answer_gap_ns(f, s);
    bool late = answers_is_late(f, o);
    if (gap_ns == 0) {
        s->late_answers -= s->is_last_late;
        s->is_last_late = false;
        if (s->heard_ns != 0 && s->last_heard != &o->exchange->t) /* then it is no duplicate of the one before */
            s->service_ns = 1;
    } else {
        s->service_ns = s->service_ns == 0 ? gap_ns : npi_time_min(s->service_ns, gap_ns);
        s->is_last_late = late || is_late_after_late_start(f, o);
        s->late_answers += s->is_last_late;
    }
    s->heard_ns = f->now_ns;
    s->last_heard = &o->exchange->t;
    return late;
}

/* What the time of an answer says. */
static void note_times(const npi_facts *f, const npi_origin *o, uint64_t sample_ns)
{
    npi_server *s = o->server;
    const npi_transaction *t = &o->exchange->t;
    npi_rtt *rtt = rtt_of(o);
    if (rtt == &s->rtt && s->rtt.samples == 0 && s->woke_ns == 0 &&
        npi_transaction_last_ns(t) - t->first_ns >= NPI_LATE_SPREAD_NS) {
        s->suspect_ns = f->now_ns;
        s->suspect_took_ns = f->now_ns - t->first_ns;
        s->suspect_rtt_ns = f->now_ns - npi_transaction_last_ns(t);
    }
    bool late = note_queue(f, o);
    if (t->first_ns >= s->woke_ns && !late)
        note_round_trip(f, rtt, t, sample_ns);
}

/* The answer that is taken shows the external address that A:P has seen before, or now for the first time. */
static void note_latest(const npi_facts *f, npi_server *s, const npi_exchange *x)
{
    s->latest = (npi_sample){x->t.first_ns, npi_transaction_last_ns(&x->t), f->now_ns};
}

/*
 * What the source socket looks like from A:P, with every answer that can tell. A different external address than
 * before means that the NAT's mapping was lost or its address changed.
 */
static npi_taken note_mapping(npi_facts *f, npi_server *s, const npi_exchange *x, const npi_addr *external)
{
    if (s->has_mapping && !npi_addr_equal(&s->observed.external, external)) {
        npi_log_write(&f->config.log, NP_LOG_INFO, "the external address changed during the check");
        return NPI_TAKEN_ADDRESS_CHANGED;
    }
    if (!s->has_mapping || x->t.first_ns > s->latest.first_ns)
        note_latest(f, s, x);
    if (s->has_mapping)
        return NPI_TAKEN;
    s->has_mapping = true;
    s->first = s->latest;
    s->observed.destination = s->address;
    s->observed.external = *external;
    s->observed.local = x->local;
    return NPI_TAKEN;
}

/* A:Q was asked in the place of A:P again (control.c), and sees what that saw: nothing has changed since. */
static void note_again(const npi_facts *f, npi_server *s, const npi_trial *t, const npi_exchange *x)
{
    bool is_alike = s->has_mapping && npi_addr_equal(&x->external, &s->observed.external) &&
                    !npi_addr_is_other_ip(&x->local, &s->observed.local);
    if (t->control.aq_is_again && x == &t->control.x[NPI_M_AQ] && is_alike && x->t.first_ns > s->latest.first_ns)
        note_latest(f, s, x);
}

/*
 * A second answer to one request that does not agree with the first: one of them is forged, or the NAT has changed (RFC
 * 3489 section 9.4). Of two addresses neither is believed; behind an error a success is not.
 */
typedef enum agreement { AGREES, SUCCESS_AFTER_ERROR, ERROR_AFTER_SUCCESS, TWO_ADDRESSES } agreement;

static agreement compare_with_first(const npi_exchange *x, const npi_stun_response *r)
{
    bool had_address = npi_addr_is_set(&x->external);
    bool has_address = r->kind == NPI_STUN_SUCCESS && is_credible(x, &r->mapped);
    if (had_address && has_address)
        return npi_addr_equal(&x->external, &r->mapped) ? AGREES : TWO_ADDRESSES;
    if (had_address == has_address)
        return AGREES;
    return has_address ? SUCCESS_AFTER_ERROR : ERROR_AFTER_SUCCESS;
}

/* ---- Taking it -------------------------------------------------------------------------------------------------- */

/* What a usable answer to a plain request says. */
static npi_taken take_success(npi_facts *f, const npi_origin *o, bool first, const npi_stun_response *r)
{
    npi_server *s = o->server;
    npi_exchange *x = o->exchange;
    bool primary = npi_addr_equal(&x->to, &s->address);
    note_success(f, s, x, r);
    if (first) {
        x->external = r->mapped;
        x->last_copy_ns = npi_transaction_last_ns(&x->t);
    }
    if (first && o->trial != NULL)
        note_again(f, s, o->trial, x);
    if (primary)
        note_alternate(f, s, r);
    else if (first && o->trial->phase != NPI_PHASE_DONE && npi_addr_same_ip(&x->to, &s->alternate))
        f->evidence |= NP_EVIDENCE_ALTERNATE_ALIVE;
    return primary && x->slot == NPI_SLOT_SOURCE ? note_mapping(f, s, x, &r->mapped) : NPI_TAKEN;
}

/* An answer to a plain request, from where the request went. */
static npi_taken answers_take_plain(npi_facts *f, const npi_origin *o, const npi_stun_response *r)
{
    npi_server *s = o->server;
    npi_exchange *x = o->exchange;
    bool first = !npi_exchange_is_answered(x);
    uint64_t sample_ns = npi_transaction_answered(&x->t, f->now_ns, rtt_of(o), s->repeats);
    note_repeated(f, s, &x->t);
    agreement agrees = first ? AGREES : compare_with_first(x, r);
    if (agrees == TWO_ADDRESSES)
        return NPI_TAKEN_CONTRADICTION;
    if (agrees != AGREES)
        f->evidence |= NP_EVIDENCE_CONTRADICTION;
    if (agrees == SUCCESS_AFTER_ERROR || sample_ns == 0)
        return NPI_TAKEN;
    note_times(f, o, sample_ns);
    if (npi_addr_equal(&x->to, &s->address))
        s->fell_silent = false;
    answers_sight seen = r->kind == NPI_STUN_SUCCESS ? see(x, &r->mapped) : IMPOSSIBLE;
    if (seen != CREDIBLE) {
        note_unusable(f, s, x, seen, r);
        return NPI_TAKEN;
    }
    return take_success(f, o, first, r);
}

/* An answer to a CHANGE-REQUEST may come from anywhere: where from is what it tells. */
static npi_taken answers_take_change(npi_facts *f, const npi_answer *a)
{
    npi_exchange *x = a->origin.exchange;
    const npi_stun_response *r = &a->response;
    uint64_t sample_ns = npi_transaction_answered(&x->t, f->now_ns, rtt_of(&a->origin), a->origin.server->repeats);
    f->duplicated |= x->t.extra_answers > 0;
    if (x == &a->origin.trial->filtering.x[NPI_F_III])
        note_repeated(f, a->origin.server, &x->t);
    if (sample_ns == 0)
        return NPI_TAKEN;
    (void)note_queue(f, &a->origin);
    bool success = r->kind == NPI_STUN_SUCCESS;
    if (success && !npi_addr_is_set(&x->external))
        x->external = r->mapped;
    npi_trial_take_answer(f, a->origin.trial, x, &a->from, &r->origin, success);
    /* The request went to A:P, so the answer says what A:P sees of the source socket now. */
    bool tells_mapping = success && x->slot == NPI_SLOT_SOURCE && is_credible(x, &r->mapped);
    return tells_mapping ? note_mapping(f, a->origin.server, x, &r->mapped) : NPI_TAKEN;
}

/*
 * Tests whose answers a filter keeps out take the server's time as well: how far it has come, since it was asked first,
 * tells how long each request takes, and so when it will be through with them all.
 */
static void note_progress(const npi_facts *f, npi_server *s, const npi_transaction *t)
{
    uint32_t served = npi_server_copies_before(f, s, npi_transaction_copy_ns(t, t->answers - 1)) + 1;
    uint64_t began_ns = s->started_ns + s->rtt.lowest_ns;
    if (f->now_ns > began_ns)
        s->service_ns = npi_time_min(s->service_ns, (f->now_ns - began_ns) / served);
    s->clear_ns = f->now_ns + (npi_server_copies(f, s) - served) * s->service_ns;
}

npi_taken npi_answers_take(npi_facts *f, const npi_answer *a)
{
    npi_server *s = a->origin.server;
    const npi_exchange *x = a->origin.exchange;
    npi_taken taken = x->change == 0 ? answers_take_plain(f, &a->origin, &a->response) : answers_take_change(f, a);
    if (npi_server_is_slow(s) && x->t.answers > 0 && npi_addr_equal(&x->to, &s->address))
        note_progress(f, s, &x->t);
    return taken;
}

/* ---- engine/chance.c -------------------- */

/* Counts equal ports, and weighs them against the number of ports that the NAT may draw from. */
/*
 * Can it be chance that destinations see the same port? A NAT may give each destination a port of its own, at random
 * out of few (docs/METHOD.md section 7). Pure.
 */
#ifndef NPI_ENGINE_CHANCE_H
#define NPI_ENGINE_CHANCE_H


/* What another socket should compare, so that the mapping is known. */
#define NPI_MISSES_OTHER_IP 1u   /* two IP addresses */
#define NPI_MISSES_OTHER_PORT 2u /* two ports of one */
#define NPI_MISSES_NO_MORE 4u    /* nothing; but one equality is all, so that what has been asked is waited for */

/* How sockets compare: those that two destinations see alike, and those that they see under different ports. */
typedef struct npi_comparisons {
    uint32_t equal;
    uint32_t apart;
} npi_comparisons;

/* The ports that a NAT has given. */
typedef struct npi_given_ports {
    uint32_t count;
    uint32_t span;       /* between the highest and the lowest */
    bool are_counted_up; /* each follows the one before */
} npi_given_ports;

/* True when so many equalities are chance with at most the probability of limit, whatever the number of ports. */
bool npi_chance_is_excluded(uint32_t equal, const npi_given_ports *given, double limit);
/*
 * The mapping that remains of what the source socket's observations show, once chance is considered; *misses: what
 * another look should compare, 0 for none.
 */
int32_t npi_chance_judge(const npi_facts *f, const npi_observation *seen, size_t count, int32_t mapping,
                         uint32_t *misses);
/* True when one more destination may see the source socket as s does by chance: ports are not kept, and may be few. */
bool npi_chance_may_equal_one(const npi_facts *f, const npi_server *s, double limit);

#endif

/* Ports that are kept at most: every view of the source socket, of filtering sockets and of looks. */
#define PORTS_MAX 32
/* Two differences are no accident: neither a restart of the NAT in between nor what another check left behind. */
#define APART_PROVEN 2

/* ---- The odds --------------------------------------------------------------------------------------------------- */

/*
 * With N ports to draw from, so many equalities have the probability N^-equal. N is larger than the span of the ports
 * seen. Ports that are counted up look drawn only if each falls by chance among the next few. And if just a few ports
 * have a span d, N is hardly much larger than d: for two of them (1 - d/N)^2 / N is at most 4/(27 d).
 */
bool npi_chance_is_excluded(uint32_t equal, const npi_given_ports *given, double limit)
{
    double ports = given->span < NPI_PORTS_MIN ? NPI_PORTS_MIN : given->span + 1.0;
    double pairs = given->count * (given->count - 1.0) / 2;
    double chance = 1.0;
    if (equal == 0)
        return false;
    for (uint32_t i = 0; i < equal; i++)
        chance /= ports;
    for (uint32_t i = 1; given->are_counted_up && i < given->count; i++)
        chance *= NPI_SEQUENCE_STEP / ports;
    return chance <= limit || (pairs > 0 && 4 * pairs <= limit * 27 * given->span);
}

/* ---- The ports that were given ---------------------------------------------------------------------------------- */

typedef struct seen_port {
    uint16_t port;
    uint64_t first_ns;
} seen_port;

typedef struct seen_ports {
    npi_addr network; /* of the addresses that they are of */
    seen_port port[PORTS_MAX];
    uint32_t count;
} seen_ports;

/* Keeps them in the order in which they were asked for. */
static void add_port(seen_ports *all, const npi_addr *external, uint64_t first_ns)
{
    uint32_t at = all->count;
    if (!npi_addr_are_neighbours(&all->network, external) || at == PORTS_MAX)
        return;
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->port[i].port == external->port)
            return;
    }
    for (; at > 0 && all->port[at - 1].first_ns > first_ns; at--)
        all->port[at] = all->port[at - 1];
    all->port[at] = (seen_port){external->port, first_ns};
    all->count++;
}

static void add_exchanges(seen_ports *all, const npi_exchange *x, int count)
{
    for (int i = 0; i < count; i++) {
        if (npi_exchange_has_external(&x[i]))
            add_port(all, &x[i].external, x[i].t.first_ns);
    }
}

static npi_given_ports summarize(const seen_ports *all)
{
    uint16_t least = UINT16_MAX;
    uint16_t most = 0;
    npi_given_ports given = {.count = all->count, .are_counted_up = all->count > 1};
    for (uint32_t i = 0; i < all->count; i++) {
        uint16_t port = all->port[i].port;
        least = port < least ? port : least;
        most = port > most ? port : most;
        int step = i > 0 ? port - all->port[i - 1].port : 1;
        given.are_counted_up &= step > 0 && step <= NPI_SEQUENCE_STEP;
    }
    given.span = most > least ? (uint32_t)(most - least) : 0;
    return given;
}

static npi_given_ports ports_given(const npi_facts *f, const npi_addr *external)
{
    seen_ports all = {.network = *external};
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_trial *t = npi_server_trial(f, s);
        if (s->has_mapping)
            add_port(&all, &s->observed.external, s->first.first_ns);
        if (t == NULL)
            continue;
        if (t->filtering.slot != NPI_SLOT_SOURCE)
            add_exchanges(&all, t->filtering.x, NPI_FILTERING_EXCHANGES);
        add_exchanges(&all, t->control.x, NPI_C_II);
    }
    for (uint32_t i = 0; i < f->looks.asked; i++)
        add_exchanges(&all, f->looks.look[i].x, NPI_LOOK_EXCHANGES);
    return summarize(&all);
}

/* ---- What sockets show ------------------------------------------------------------------------------------------ */

typedef struct chance_evidence {
    npi_comparisons by_ip;
    npi_comparisons by_port;
    npi_given_ports given;
    double limit;
    bool is_kept;           /* the source socket's own port is seen: that is not drawn */
    bool passes_any;        /* unsolicited datagrams come in from other addresses: a port belongs to one mapping */
    bool passes_other_port; /* from other ports of one */
    bool is_of_several;     /* several external IP addresses, or a server that no NAT lies on the way to */
    bool is_elsewhere;      /* other sockets take another way, or there are none: they show nothing of this NAT */
    bool is_contradicted;   /* a server sees another port than the first one */
} chance_evidence;

static bool chance_is_of(const npi_observation *a, const npi_observation *b, bool same_ip)
{
    if (npi_addr_is_other_ip(&a->local, &b->local) || npi_addr_same_ip(&a->destination, &b->destination) != same_ip)
        return false;
    return !same_ip || a->destination.port != b->destination.port;
}

/* Whether one of the destinations before the i-th, with another IP address or another port of the same, sees alike. */
static bool has_equal_before(const npi_observation *seen, size_t i, bool same_ip)
{
    for (size_t j = 0; j < i; j++) {
        if (chance_is_of(&seen[i], &seen[j], same_ip) && npi_addr_equal(&seen[i].external, &seen[j].external))
            return true;
    }
    return false;
}

static bool has_apart_before(const npi_observation *seen, size_t i, bool same_ip)
{
    for (size_t j = 0; j < i; j++) {
        if (chance_is_of(&seen[i], &seen[j], same_ip) && !seen[i].may_collide && !seen[j].may_collide &&
            !npi_addr_equal(&seen[i].external, &seen[j].external))
            return true;
    }
    return false;
}

/* The source socket: each destination that adds an equality of its own, and at most one difference. */
static void tally_source(chance_evidence *e, const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool same_port = has_equal_before(seen, i, true);
        e->is_kept |= seen[i].external.port == seen[i].local.port;
        e->is_of_several |= !npi_addr_same_ip(&seen[i].external, &seen[0].external);
        e->by_port.equal += same_port;
        e->by_ip.equal += !same_port && has_equal_before(seen, i, false);
        e->by_ip.apart |= has_apart_before(seen, i, false);
        e->by_port.apart |= has_apart_before(seen, i, true);
    }
}

static void tally_pair(npi_comparisons *tally, const npi_exchange *a, const npi_exchange *b)
{
    if (!npi_exchange_has_external(a) || !npi_exchange_has_external(b) || npi_addr_is_other_ip(&a->local, &b->local))
        return;
    if (npi_addr_equal(&a->external, &b->external))
        tally->equal++;
    else
        tally->apart++;
}

static void tally_trial(chance_evidence *e, const npi_trial *t)
{
    const npi_exchange *other = &t->control.x[NPI_M_OTHER];
    e->passes_any |= t->filtering.ii.outcome == NPI_CHANGE_HONOURED;
    e->passes_other_port |= t->filtering.iii.outcome == NPI_CHANGE_HONOURED;
    if (!npi_exchange_has_external(other))
        return;
    tally_pair(&e->by_ip, &t->filtering.x[NPI_F_I], other);
    e->limit = NPI_CHANCE_BOTH_SOCKETS;
}

/*
 * The source socket has one external IP address. A look that has two shows that it changed in between, and not whether
 * ports differ.
 */
static void tally_look_pair(npi_comparisons *tally, const npi_exchange *a, const npi_exchange *b)
{
    if (npi_addr_same_ip(&a->external, &b->external))
        tally_pair(tally, a, b);
}

static void tally_look(chance_evidence *e, const npi_look *look, const npi_observation *source)
{
    const npi_exchange *first = &look->x[NPI_L_FIRST];
    if (npi_exchange_has_external(first) && (!npi_addr_are_neighbours(&first->external, &source->external) ||
                                             npi_addr_is_other_ip(&first->local, &source->local))) {
        e->is_elsewhere = true;
        return;
    }
    tally_look_pair(&e->by_ip, first, &look->x[NPI_L_OTHER_IP]);
    tally_look_pair(&e->by_port, first, &look->x[NPI_L_OTHER_PORT]);
}

/* Where the others agree such a server has been outvoted. They may do so by chance. */
static bool sees_another_port(const npi_server *s, const npi_addr *external)
{
    return s->has_mapping && npi_addr_same_ip(&s->observed.external, external) &&
           s->observed.external.port != external->port;
}

static chance_evidence gather(const npi_facts *f, const npi_observation *seen, size_t count)
{
    chance_evidence e = {.limit = NPI_CHANCE, .is_elsewhere = f->path.state == NPI_PATH_OTHER || f->looks.has_no_socket};
    e.given = ports_given(f, &seen[0].external);
    tally_source(&e, seen, count);
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[i]);
        e.is_contradicted |= sees_another_port(&f->servers[i], &seen[0].external);
        if (t != NULL)
            tally_trial(&e, t);
    }
    for (uint32_t i = 0; i < f->looks.asked; i++)
        tally_look(&e, &f->looks.look[i], &seen[0]);
    return e;
}

/* ---- What remains ----------------------------------------------------------------------------------------------- */

/* A mapping that depends on the address: on the port too? */
static int32_t kind_of(const chance_evidence *e, uint32_t *misses)
{
    if (e->by_port.apart >= APART_PROVEN || (e->by_port.apart > 0 && e->by_port.equal == 0))
        return NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    bool is_sure = e->passes_other_port || npi_chance_is_excluded(e->by_port.equal, &e->given, e->limit);
    if (e->by_port.apart == 0 && e->by_port.equal > 0 && is_sure)
        return NP_BEHAVIOUR_ADDRESS_DEPENDENT;
    *misses = e->by_port.equal > 0 ? NPI_MISSES_OTHER_PORT : 0;
    return NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
}

/* Two IP addresses see alike: is the mapping independent, or do two ports agree by chance? */
static int32_t judge_equal(const chance_evidence *e, int32_t mapping, uint32_t *misses)
{
    bool is_enough = npi_chance_is_excluded(e->by_ip.equal, &e->given, e->limit);
    bool is_sure = e->passes_any || (is_enough && (e->by_ip.equal > 1 || !e->is_contradicted));
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && is_sure && e->by_ip.apart == 0) {
        *misses = !e->passes_any && e->by_ip.equal == 1 ? NPI_MISSES_NO_MORE : 0;
        return mapping;
    }
    if (e->by_ip.apart >= APART_PROVEN)
        return kind_of(e, misses);
    *misses = NPI_MISSES_OTHER_IP | (e->by_port.apart > 0 ? NPI_MISSES_OTHER_PORT : 0);
    return NP_BEHAVIOUR_UNKNOWN;
}

int32_t npi_chance_judge(const npi_facts *f, const npi_observation *seen, size_t count, int32_t mapping,
                         uint32_t *misses)
{
    *misses = 0;
    if (count < 2 || mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT)
        return mapping;
    chance_evidence e = gather(f, seen, count);
    bool is_mixed = e.by_ip.apart + e.by_port.apart > 0;
    if (e.is_kept || e.is_elsewhere || e.is_of_several || e.by_ip.equal + e.by_port.equal == 0)
        return mapping;
    if (mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT)
        return kind_of(&e, misses);
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return judge_equal(&e, mapping, misses);
    /* Some alike and others not: chance makes that of few ports only. */
    if (!is_mixed || e.passes_any || npi_chance_is_excluded(1, &e.given, e.limit))
        return mapping;
    return mapping == NP_BEHAVIOUR_UNKNOWN ? judge_equal(&e, mapping, misses) : kind_of(&e, misses);
}

bool npi_chance_may_equal_one(const npi_facts *f, const npi_server *s, double limit)
{
    if (!s->has_mapping || s->observed.external.port == s->observed.local.port)
        return false;
    npi_given_ports given = ports_given(f, &s->observed.external);
    return !npi_chance_is_excluded(1, &given, limit);
}
#undef APART_PROVEN
#undef PORTS_MAX

/* ---- engine/control.c -------------------- */

/* The mapping requests and the control. */
/*
 * Phase 2 with one server (docs/METHOD.md sections 3 and 5): the mapping requests, and the control that tells a NAT
 * that filters from a server that does not answer.
 */
#ifndef NPI_ENGINE_CONTROL_H
#define NPI_ENGINE_CONTROL_H


/* What becomes of a trial in phase 2, and when to look at it again. */
typedef enum npi_control_next {
    NPI_CONTROL_WAIT,
    NPI_CONTROL_EXTEND, /* more was lost than it seemed: more copies of the filtering tests are needed */
    NPI_CONTROL_FINISH
} npi_control_next;

typedef struct npi_control_step {
    npi_control_next next;
    uint64_t wake_ns; /* at or before now: at once */
} npi_control_step;

/* The trial enters phase 2. The mapping requests wait until the source socket has been seen from A:P. */
void npi_control_begin(npi_facts *f, npi_trial *t);
/* The mapping requests have been queued, all or as many as the verdict needs. */
bool npi_control_has_asked(const npi_trial *t);
/* others_can_help: something other than this trial may yet bring the verdict, so that a deferred one stays so. */
npi_control_step npi_control_advance(npi_facts *f, npi_trial *t, bool others_can_help);
/* An answer to the control's II or III. */
void npi_control_take_answer(npi_facts *f, npi_trial *t, int index, const npi_addr *from, const npi_addr *origin,
                             bool success);
/* When enough is known of the server's addresses to tell the mapping, or nothing more will be. */
uint64_t npi_control_mapping_over_ns(const npi_facts *f, const npi_trial *t);

/*
 * ---- The decisions, each a pure function --------------------------------------------------------------------------
 */

/* How a control stands. */
typedef enum npi_control_state {
    NPI_CONTROL_WAITING,
    NPI_CONTROL_PASSED,
    NPI_CONTROL_NOT_APPLICABLE, /* its answer would come to another mapping than that whose pinhole is open */
    NPI_CONTROL_SILENT,
    NPI_CONTROL_RATIONED,    /* answered, but so rarely that another request may have spent the answer */
    NPI_CONTROL_DISQUALIFIED /* its answer shows that the server is of no use for filtering */
} npi_control_state;

/* What a trial whose II was silent shows, by III's outcome and the controls of III and II. */
typedef enum npi_control_verdict {
    NPI_VERDICT_WAIT,
    NPI_VERDICT_PROVEN,
    NPI_VERDICT_UNPROVEN,      /* as measured */
    NPI_VERDICT_II_ALONE,      /* II is filtered; of III nothing is known */
    NPI_VERDICT_SERVER_UNFIT,  /* see the reason of the control that says so */
    NPI_VERDICT_RATIONED,      /* the server answers so few CHANGE-REQUESTs that their silence shows nothing */
    NPI_VERDICT_CONTROL_FAILED /* the server, or the path, does not honour CHANGE-REQUEST */
} npi_control_verdict;

/* Which control decides when III was answered: II's alone. */
npi_control_verdict npi_control_judge_answered_iii(npi_control_state ii);
/* When both were silent: III's control is enough, since what filters III filters II. Only a silent one needs II's. */
npi_control_verdict npi_control_judge_both_silent(npi_control_state iii, npi_control_state ii);

#endif

/* Is II silent because its answers, which come from a farther address, fell into a burst of losses? Pure. */
#ifndef NPI_ENGINE_FAR_H
#define NPI_ENGINE_FAR_H


typedef enum npi_far {
    NPI_FAR_IS_NOT, /* B is near, or II is not silent, or nothing was lost */
    NPI_FAR_MAY_BE, /* the silence shows nothing */
    NPI_FAR_ASK,    /* one more request, of one copy, is to tell whether B is near */
    NPI_FAR_WAIT    /* one is under way */
} npi_far;

/*
 * Whether the silence of II stands (docs/METHOD.md section 5), where datagrams of the filtering test got lost.
 * *wake_ns: until when to wait, written with NPI_FAR_WAIT alone.
 */
npi_far npi_far_judge(const npi_facts *f, const npi_trial *t, uint64_t *wake_ns);

#endif
/* How fast: the gaps between copies, and how long a server is waited for. Pure. */
#ifndef NPI_ENGINE_PACING_H
#define NPI_ENGINE_PACING_H


/* When the next copy of a plain request is due after its last. */
uint64_t npi_pacing_plain_gap_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x);
/* Whether the next round belongs to the dense start: it may follow the one before after NPI_DENSE_GAP_NS. */
bool npi_pacing_is_dense(const npi_facts *f, const npi_trial *t);
/* How long after one round of a trial's filtering tests the next may leave. */
uint64_t npi_pacing_round_gap_ns(const npi_facts *f, const npi_trial *t);
/* Until when a server that works off a queue is to be sent no further round. */
uint64_t npi_pacing_slow_until_ns(const npi_facts *f, const npi_trial *t);
/* Until when the filtering of a slow server may go on. */
uint64_t npi_pacing_slow_share_ns(const npi_facts *f);
/* Until when no round is sent, once, to see whether the answers that seem lost are late. */
uint64_t npi_pacing_late_until_ns(const npi_facts *f, const npi_trial *t);
/* When a server that has answered counts as fallen silent in the filtering phase, as far as is known now. */
uint64_t npi_pacing_hushed_ns(const npi_facts *f, const npi_trial *t, bool others_can_help);
/* The same in the mapping phase. */
uint64_t npi_pacing_gone_ns(const npi_facts *f, const npi_trial *t);
/* How long a silent server, the first or a later one, is waited for before another one is asked in its place. */
uint64_t npi_pacing_hedge_ns(const npi_facts *f, bool is_first);
/* How long a silent server is waited for until nothing is expected of it any more. */
uint64_t npi_pacing_give_up_after_ns(const npi_facts *f);
/*
 * When nothing is expected of a server any more: at once when it failed; never by waiting alone when it has answered.
 */
uint64_t npi_pacing_given_up_ns(const npi_facts *f, const npi_server *s);
/* When the source socket's own requests to a server have found out all they can. */
uint64_t npi_pacing_primary_done_ns(const npi_server *s);

#endif
/*
 * The optional test PORT (docs/METHOD.md section 18): may strangers send to the source port? The source socket asks for
 * II while it has not sent to any port of the address that the answer comes from.
 */
#ifndef NPI_ENGINE_PORT_H
#define NPI_ENGINE_PORT_H


/*
 * Before the mapping requests of the only server open the way: makes the test if it is asked for. Until when they have
 * to wait; a time that has passed when they need not.
 */
uint64_t npi_port_hold_ns(npi_facts *f, const npi_trial *t);
/* After the verdict. True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_port_step(npi_facts *f, uint64_t *wake_ns);

#endif
/* At most NPI_RATE_TRANSACTIONS new transactions in any NPI_RATE_WINDOW_NS (RFC 5780 section 5). */
#ifndef NPI_ENGINE_RATE_H
#define NPI_ENGINE_RATE_H


/* How many transactions may start now. */
uint32_t npi_rate_room(const npi_rate *rate, uint64_t now_ns);
/* When so many, at most NPI_RATE_TRANSACTIONS, may start together, if none starts before. */
uint64_t npi_rate_ready_ns(const npi_rate *rate, uint32_t transactions);
/* A transaction starts. */
void npi_rate_use(npi_rate *rate, uint64_t now_ns);
/* The transaction that started last did not leave. */
void npi_rate_give_back(npi_rate *rate);
/* So much time has passed that the clock of now_ns leaves out. To servers it is time like any other. */
void npi_rate_pass(npi_rate *rate, uint64_t gap_ns);

#endif
/* Is a silence proven, given the losses seen (docs/METHOD.md section 5)? Pure. */
#ifndef NPI_ENGINE_SILENCE_H
#define NPI_ENGINE_SILENCE_H


/* Requests of known outcome on one path. */
typedef struct npi_loss {
    uint32_t answered;
    uint32_t lost; /* old enough to have been answered, and not */
} npi_loss;

/* What is known of answers that come more than once. */
typedef struct npi_echo {
    bool duplicated; /* there are duplicates, so that answers close behind others do not count */
    uint32_t copies; /* so many copies may have brought so many answers; as many as copies where each brings one */
    uint32_t answers;
} npi_echo;
void npi_loss_add(npi_loss *loss, const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, const npi_echo *echo);
/* So many more are under way: they are expected to fare like the others. */
void npi_loss_expect(npi_loss *loss, uint32_t open);
/*
 * The probability that as few requests are lost as were, and n others all are, at the rate of loss that makes this most
 * likely. No assumption about the rate enters.
 */
double npi_loss_p_all_lost(const npi_loss *loss, uint32_t n);
/* So much is hardly chance: a limit of rate, which hits one test and spares another. */
bool npi_loss_is_extreme(const npi_loss *loss);
/* Of requests that left together with silent ones: the loss of a third of them may be a burst, which is no chance. */
bool npi_loss_is_burst(const npi_loss *loss);
/* Whether that probability is below the limit; where more than a third is lost the limit is stricter. */
bool npi_silence_holds(const npi_loss *loss, uint32_t silent, double limit);

/* What the requests that any server answers show of the path. */
npi_loss npi_silence_path_loss(const npi_facts *f, const npi_trial *t);
/*
 * The test whose silence carries the proof: III while it is silent (a filter that passes II passes III too), else II.
 */
bool npi_silence_rests_on_iii(const npi_filtering *p);
/* Its first transaction. */
const npi_exchange *npi_silence_proof(const npi_filtering *p);
/* Whether the second transaction is of the test that carries the proof. */
bool npi_silence_has_second(const npi_filtering *p);
/* How many copies of the test that carries the proof were sent, on a path that was awake. */
uint32_t npi_silence_copies(const npi_facts *f, const npi_trial *t);
/* Too few copies, however few losses were seen. */
bool npi_silence_is_short(const npi_server *s, uint32_t copies);
/* Would the silence be proven with so many more copies of I and of the silent test, if they fare like those before? */
bool npi_silence_is_enough_with(const npi_facts *f, const npi_trial *t, uint32_t plain, uint32_t silent);
/*
 * A server that answers one CHANGE-REQUEST of a client in a while may have left II or III without an answer, whatever
 * the NAT does. Only answers to copies that left together exclude that.
 */
typedef enum npi_ration { NPI_RATION_EXCLUDED, NPI_RATION_OPEN, NPI_RATION_LIKELY } npi_ration;
/* What the copies of a request that is answered show. age_ns: from which on no answer is expected. */
npi_ration npi_silence_ration(const npi_facts *f, const npi_trial *t, const npi_transaction *x, const npi_burst *b,
                              uint64_t age_ns);
/* The first burst of a control. */
npi_burst npi_silence_first_burst(const npi_facts *f, const npi_trial *t);
/* When the next copy of a burst is due, or the first of a new one since no more is to be expected of the last. */
uint64_t npi_silence_burst_ns(const npi_transaction *x, const npi_burst *b, uint64_t age_ns);
/* The burst that a copy belongs to which leaves now. */
npi_burst npi_silence_burst(const npi_facts *f, const npi_transaction *x, const npi_burst *b);
/* With all that is known of losses after the mapping phase: a silence that was proven is so no longer. */
bool npi_silence_is_doubtful(const npi_facts *f, const npi_trial *t);
/* When the last copy on the filtering socket is old enough to count as unanswered. */
uint64_t npi_silence_ready_ns(const npi_facts *f, const npi_trial *t);
/*
 * When the next copy of any request to this server turns out to be lost, so that the proof has to be looked at again.
 */
uint64_t npi_silence_next_loss_ns(const npi_facts *f, const npi_trial *t);

#endif

/* Transactions that must be free for one more mapping request beside the recheck of A:P. */
#define ROOM_FOR_TWO 2

bool npi_control_has_asked(const npi_trial *t)
{
    return t->control.stage >= NPI_MAPPING_MINIMAL;
}

/* ---- The mapping requests --------------------------------------------------------------------------------------- */

static void control_ask(const npi_facts *f, npi_trial *t, int index)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_exchange *x = &t->control.x[index];
    npi_addr to = s->alternate;
    if (index == NPI_M_BP)
        to = npi_addr_with_port(&s->alternate, s->address.port);
    else if (index == NPI_M_AQ)
        to = npi_addr_with_port(&s->address, s->alternate.port);
    if (npi_exchange_was_asked(x))
        return;
    uint32_t left = npi_facts_copies_left(f, &to);
    npi_exchange_ask(x, "I", &to, 0, index < NPI_M_NEAR ? left : npi_least(left, 1));
    x->queued = left > 0;
    x->failed = left == 0;
}

/*
 * Where PORT has spoilt B:Q, that is not asked with the others. A Linux NAT gives it another port, and then the same
 * one to each destination that the source socket asks later.
 */
static void ask_bq(const npi_facts *f, npi_trial *t)
{
    if (!npi_mapping_is_spoilt(f, &npi_trial_server(f, t)->alternate))
        control_ask(f, t, NPI_M_BQ);
}

/* One of the two that, with A:P and B:P, tell the mapping. */
static bool has_pair(const npi_trial *t)
{
    return npi_exchange_is_answered(&t->control.x[NPI_M_BQ]) || npi_exchange_is_answered(&t->control.x[NPI_M_AQ]);
}

/* An address sees the source socket as A:P does. */
static bool is_seen_alike(const npi_server *s, const npi_exchange *x)
{
    return npi_exchange_has_external(x) && npi_addr_equal(&x->external, &s->observed.external);
}

/* B:Q alone tells it where it sees what A:P does: neither the address nor the port makes a difference. */
static bool control_tells_mapping(const npi_server *s, const npi_trial *t)
{
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    const npi_exchange *bq = &t->control.x[NPI_M_BQ];
    if (npi_exchange_was_asked(bp))
        return npi_exchange_is_answered(bp) && has_pair(t);
    return is_seen_alike(s, bq);
}

/* All that tells the mapping has been seen, and A:P after it, as the control does. */
static bool is_complete(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    return npi_trial_is_decided(t) && control_tells_mapping(s, t) && npi_mapping_is_bracketed(f, s);
}

/* Until when what was asked may make the rest unnecessary: the first copies, and all of a control that was answered. */
static uint64_t asked_until_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t until_ns = NPI_NOW;
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        const npi_transaction *x = &t->control.x[i].t;
        bool is_answered = x->answers > 0;
        bool is_burst = is_answered && x->answers < x->sent && (i == NPI_C_II || i == NPI_C_III);
        if (x->started && (!is_answered || is_burst))
            until_ns = npi_time_max(
                until_ns, npi_time_add(is_burst ? npi_transaction_last_ns(x) : x->first_ns, npi_trial_far_rto(f, t)));
    }
    return until_ns;
}

/* When no answer is to be expected any more. */
static uint64_t told_ns(const npi_facts *f, const npi_trial *t, const npi_exchange *x)
{
    return npi_exchange_is_answered(x) ? NPI_NOW : npi_exchange_over_ns(x, npi_trial_far_rto(f, t));
}

/* When the requests that were saved are all that is missing, or the rate has room for them. */
static uint64_t rest_due_ns(const npi_facts *f, const npi_trial *t)
{
    bool is_bp = npi_exchange_was_asked(&t->control.x[NPI_M_BP]);
    const npi_exchange *first = &t->control.x[is_bp ? NPI_M_BP : NPI_M_BQ];
    bool is_all_but_again = npi_trial_is_decided(t) && is_bp && control_tells_mapping(npi_trial_server(f, t), t);
    bool needs_room = !is_all_but_again || !npi_again_is_left(f, npi_trial_server(f, t));
    uint64_t due_ns = npi_time_max(npi_rate_ready_ns(&f->rate, NPI_MAPPING_TRANSACTIONS), asked_until_ns(f, t));
    if (npi_trial_is_decided(t))
        due_ns = npi_time_min(due_ns, told_ns(f, t, first));
    return needs_room ? npi_time_max(due_ns, npi_rate_ready_ns(&f->rate, 1)) : due_ns;
}

/* The mapping requests that were saved. What is not decided may need the other control, and that its own pinhole. */
static void ask_rest(npi_facts *f, npi_trial *t)
{
    npi_server *s = &f->servers[t->server];
    control_ask(f, t, NPI_M_BP); /* unless it was */
    if (!npi_trial_is_decided(t) || !has_pair(t)) {
        control_ask(f, t, NPI_M_AQ);
        if (!npi_trial_is_decided(t) || npi_rate_room(&f->rate, f->now_ns) > ROOM_FOR_TWO)
            ask_bq(f, t);
    }
    const npi_transaction *again = &s->x[NPI_RECHECK].t;
    if (again->started && again->answers > 0 &&
        again->first_ns < t->control.x[NPI_M_BP].t.first_ns) /* it was earlier */
        npi_server_ask_again(s);
    else if (!again->started)
        s->x[NPI_RECHECK].queued = true;
}

/* Completes a minimal set when that is due. Returns when to look again. */
static uint64_t complete_mapping(npi_facts *f, npi_trial *t)
{
    if (t->control.stage != NPI_MAPPING_MINIMAL)
        return NPI_NEVER;
    bool complete = is_complete(f, t);
    uint64_t due_ns = complete ? NPI_NOW : rest_due_ns(f, t);
    if (due_ns > f->now_ns)
        return due_ns;
    t->control.stage = NPI_MAPPING_ALL;
    if (!complete)
        ask_rest(f, t);
    return f->now_ns;
}

/*
 * Whether the control may leave beside a minimal set: the rate has room for it before its way would be known to be
 * open, and it will probably pass. If it does not, its pinhole tells nothing of the mapping, and nothing else would.
 */
static bool can_spend_control(const npi_facts *f, const npi_trial *t)
{
    int32_t mapping = npi_mapping_apparent(f);
    uint64_t open_ns = f->now_ns + npi_trial_server(f, t)->rtt.smoothed_ns;
    uint32_t asked = 1;
    for (int i = NPI_M_BP; i <= NPI_M_AQ; i++)
        asked += t->control.x[i].queued;
    bool is_likely = mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || mapping == NP_BEHAVIOUR_NONE;
    return is_likely && npi_rate_room(&f->rate, open_ns - 1) >= asked;
}

/*
 * Whether A:P is asked again along with the mapping requests. The control's answer tells what it sees as well, but for
 * the second copy of B:Q's request, which leaves behind a control that leaves at once.
 */
static bool is_again_wanted(const npi_facts *f, const npi_trial *t, const npi_exchange *pinhole)
{
    bool minimal = t->control.stage == NPI_MAPPING_MINIMAL;
    bool is_behind = minimal && t->control.at_once && pinhole == &t->control.x[NPI_M_BQ];
    if (t->control.aq_is_again || is_behind)
        return npi_again_is_left(f, npi_trial_server(f, t));
    return !minimal || npi_trial_is_decided(t);
}

/* If it was answered before the mapping requests, it is asked once more. */
static void queue_again(const npi_facts *f, npi_server *s)
{
    npi_exchange *again = &s->x[NPI_RECHECK];
    if (npi_exchange_is_answered(again))
        npi_server_ask_again(s);
    if (again->t.started)
        return;
    again->queued = true;
    again->as_copy = npi_rate_room(&f->rate, f->now_ns) < NPI_MAPPING_TRANSACTIONS;
}

/*
 * The control may leave at once only if its way will be open: its pinhole is asked for twice, since a request that is
 * lost before it reaches the NAT would leave the control's answer to spring the conntrack trap (docs/METHOD.md, section
 * 6). Nor may it where PORT has spoilt another destination: two are too many.
 */
static void time_control(npi_facts *f, npi_trial *t, npi_exchange *pinhole, const npi_loss *loss)
{
    npi_server *s = &f->servers[t->server];
    npi_exchange *recheck = &s->x[NPI_RECHECK];
    bool minimal = t->control.stage == NPI_MAPPING_MINIMAL;
    t->control.at_once = !npi_trial_is_decided(t) && loss->lost == 0 && !f->optional.port.is_early &&
                         s->rtt.smoothed_ns > NPI_CONTROL_WAIT_NS && (!minimal || can_spend_control(f, t));
    pinhole->send_twice |= t->control.at_once;
    if (is_again_wanted(f, t, pinhole))
        queue_again(f, s);
    if (pinhole->send_twice || t->control.x[NPI_M_BP].send_twice)
        recheck->not_before_ns = npi_time_add(f->now_ns, NPI_PACE_MIN_NS); /* no earlier than the last copies */
}

/* On a long and lossy path a second copy costs less than waiting a round trip for the first one's answer in vain. */
static bool pays_to_send_twice(const npi_server *s, const npi_loss *loss)
{
    bool lossy = loss->lost > 0 && 4 * loss->lost >= loss->answered;
    return lossy && s->rtt.smoothed_ns > NPI_TWICE_RTT_NS && !npi_server_is_slow(s);
}

/*
 * Where ports are not kept and may be few, equal ones may be chance: the filtering socket compares A:P and B:P as well.
 * Where the rate has no room for it, its request takes the place of the one that neither the mapping nor the control
 * needs at once. There is none if the control leaves at once, since that may spoil one of two ports. Nor may the way
 * for II be opened where more copies of II may be needed.
 */
static bool can_ask_other(const npi_facts *f, const npi_trial *t, const npi_loss *loss, uint32_t room)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_filtering *p = &t->filtering;
    bool has_place = room > NPI_MAPPING_TRANSACTIONS || loss->lost > 0 || s->rtt.smoothed_ns <= NPI_CONTROL_WAIT_NS;
    bool may_extend = loss->lost > 0 && !npi_silence_rests_on_iii(p);
    if (npi_trial_is_decided(t) || !has_place || may_extend || p->slot == NPI_SLOT_SOURCE)
        return false;
    return npi_exchange_has_external(&p->x[NPI_F_I]) && npi_trial_has_source_way(f, t) &&
           npi_chance_may_equal_one(f, s, NPI_CHANCE);
}

/* Where II carries the proof, its answers may be on their way a little longer: this opens theirs. */
static void ask_other(const npi_facts *f, npi_trial *t)
{
    npi_exchange *bp = &t->control.x[NPI_M_BP];
    npi_exchange *other = &t->control.x[NPI_M_OTHER];
    if (bp->max_copies <= NPI_LOOK_COPIES)
        return;
    bp->max_copies -= NPI_LOOK_COPIES; /* they go to one address */
    npi_exchange_ask(other, "filtering I", &bp->to, 0, NPI_LOOK_COPIES);
    other->slot = t->filtering.slot;
    if (!npi_silence_rests_on_iii(&t->filtering))
        other->not_before_ns = npi_time_add(f->now_ns, NPI_OTHER_DELAY_NS);
}

/* Whether the request in whose place the filtering socket asked tells what is missing. */
static bool is_saved_needed(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    const npi_exchange *aq = &t->control.x[NPI_M_AQ];
    if (!npi_exchange_was_asked(&t->control.x[NPI_M_OTHER]) || !npi_silence_rests_on_iii(&t->filtering))
        return false;
    if (!npi_exchange_has_external(bp) || !npi_exchange_has_external(aq))
        return npi_exchange_over_ns(bp, npi_trial_far_rto(f, t)) <= f->now_ns &&
               npi_exchange_over_ns(aq, npi_trial_far_rto(f, t)) <= f->now_ns;
    /* By address, as it seems: two ports of B tell as well whether by port. */
    bool by_address = !is_seen_alike(s, bp) && is_seen_alike(s, aq);
    return by_address && npi_chance_may_equal_one(f, s, NPI_CHANCE_BOTH_SOCKETS);
}

/* B:Q sees another port than A:P: whether the address or the port makes the difference, B:P tells. */
static bool is_bp_needed(const npi_facts *f, const npi_trial *t)
{
    const npi_exchange *bq = &t->control.x[NPI_M_BQ];
    return t->control.stage == NPI_MAPPING_MINIMAL && npi_exchange_has_external(bq) &&
           !is_seen_alike(npi_trial_server(f, t), bq);
}

/* The control cannot tell what A:P sees then: it is asked again behind B:P. */
static void ask_again_behind_bp(const npi_facts *f, npi_server *s, const npi_trial *t)
{
    npi_exchange *again = &s->x[NPI_RECHECK];
    const npi_transaction *bp = &t->control.x[NPI_M_BP].t;
    bool is_earlier = npi_exchange_is_answered(again) && bp->started && again->t.first_ns < bp->first_ns;
    if (!is_bp_needed(f, t) || (again->t.started && !is_earlier))
        return;
    npi_server_ask_again(s);
    again->as_copy = true;
}

/* B:Q was left out for A:Q: when its way is needed nevertheless, for the control of II. */
static uint64_t bq_due_ns(const npi_facts *f, const npi_trial *t)
{
    if (!t->control.aq_is_again || npi_trial_is_decided(t) || npi_exchange_was_asked(&t->control.x[NPI_M_BQ]))
        return NPI_NEVER;
    return npi_time_max(told_ns(f, t, &t->control.x[NPI_M_BP]), told_ns(f, t, &t->control.x[NPI_M_AQ]));
}

/* B:Q and A:Q: both, or the one that the control needs, or where the rate has no room for that, none. */
static void ask_pairs(const npi_facts *f, npi_trial *t, int pinhole, uint32_t room, bool both)
{
    bool wants_bq = !npi_trial_is_decided(t) && pinhole == NPI_M_BQ && !t->control.aq_is_again;
    bool two = !npi_trial_is_decided(t) || t->control.aq_is_again ||
               room > ROOM_FOR_TWO; /* and A:P again, which goes with the last of them */
    if (both || (two && wants_bq))
        ask_bq(f, t);
    if (both || (two && !wants_bq))
        control_ask(f, t, NPI_M_AQ);
}

/*
 * Where servers see different ports already, the mapping seems to depend on the destination, and a second port of one
 * address is needed. If A:Q sees what A:P saw, that shows as well that nothing has changed since, and A:P need not be
 * asked again.
 */
static bool can_replace_again(const npi_facts *f, const npi_trial *t, bool by_ii, uint32_t room)
{
    bool is_asked = npi_exchange_was_asked(&npi_trial_server(f, t)->x[NPI_RECHECK]);
    return room == ROOM_FOR_TWO && !is_asked && (by_ii || npi_trial_is_decided(t)) && npi_mapping_seems_dependent(f);
}

/*
 * Where the rate has room for the control and its pinhole alone, another server that sees what A:P does stands for B:P:
 * it is asked again at the same moment. NULL: none does.
 */
static npi_server *stand_in_for_bp(npi_facts *f, const npi_trial *t, uint32_t room)
{
    bool is_short = t->save_transactions && room < NPI_MAPPING_LEAST && !npi_trial_is_decided(t) &&
                    npi_silence_rests_on_iii(&t->filtering);
    const npi_server *o = is_short ? npi_mapping_other_view(f, npi_trial_server(f, t)) : NULL;
    return o != NULL ? &f->servers[o - f->servers] : NULL;
}

static void ask_bp(npi_facts *f, npi_trial *t, uint32_t room)
{
    npi_server *stand_in = stand_in_for_bp(f, t, room);
    if (stand_in == NULL) {
        control_ask(f, t, NPI_M_BP);
        return;
    }
    npi_server_ask_again(stand_in);
    stand_in->x[NPI_RECHECK].as_copy = true;
}

/*
 * How many requests the rate has room for. A:P again may be a copy, which needs none: where it goes with the others.
 * With a minimal set that is not decided the control tells what it would.
 */
static uint32_t room_for_mapping(const npi_facts *f, const npi_trial *t)
{
    uint32_t room = npi_rate_room(&f->rate, f->now_ns);
    bool is_short = t->save_transactions && room < NPI_MAPPING_TRANSACTIONS;
    bool goes_along = npi_trial_is_decided(t) || room + 1 >= NPI_MAPPING_TRANSACTIONS;
    return is_short && goes_along && npi_again_is_left(f, npi_trial_server(f, t)) ? room + 1 : room;
}

/*
 * The mapping requests wait until the source socket has been seen from A:P, so that it is always A:P that is seen first
 * and again last: what differs in between differs by destination (findings.c). B:P and one of the other two tell the
 * mapping; where transactions are saved, the third is not asked.
 */
static void ask_mapping(npi_facts *f, npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_loss loss = npi_silence_path_loss(f, t);
    int pinhole = npi_silence_rests_on_iii(&t->filtering) ? NPI_M_AQ : NPI_M_BQ;
    uint32_t room = room_for_mapping(f, t);
    bool minimal = t->save_transactions && room < NPI_MAPPING_TRANSACTIONS;
    bool other = !minimal && can_ask_other(f, t, &loss, room);
    bool by_ii = !npi_trial_is_decided(t) && pinhole == NPI_M_BQ;
    t->control.aq_is_again = minimal && can_replace_again(f, t, by_ii, room);
    bool bq_alone = minimal && by_ii && room < NPI_MAPPING_LEAST && !t->control.aq_is_again;
    t->control.stage = minimal ? NPI_MAPPING_MINIMAL : NPI_MAPPING_ALL;
    if (!bq_alone)
        ask_bp(f, t, room);
    if (other)
        ask_other(f, t);
    ask_pairs(f, t, pinhole, room, !minimal && (!other || room > NPI_MAPPING_TRANSACTIONS));
    for (int i = NPI_M_BP; i <= NPI_M_AQ; i++)
        t->control.x[i].send_twice = pays_to_send_twice(s, &loss);
    time_control(f, t, &t->control.x[pinhole], &loss);
}

uint64_t npi_control_mapping_over_ns(const npi_facts *f, const npi_trial *t)
{
    if (!npi_control_has_asked(t))
        return NPI_NEVER;
    if (t->control.stage == NPI_MAPPING_MINIMAL) {
        int32_t mapping = npi_mapping_apparent(f);
        if (mapping != NP_BEHAVIOUR_NONE && mapping != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
            return NPI_NEVER; /* the rest will be asked */
    }
    uint64_t over_ns = NPI_NOW;
    for (int i = NPI_M_BP; i <= NPI_M_OTHER; i++)
        over_ns = npi_time_max(over_ns, told_ns(f, t, &t->control.x[i]));
    return over_ns;
}

/* ---- The control ------------------------------------------------------------------------------------------------ */

/* The mapping request to the address that a control's answer comes from: it opens the way. */
static const npi_exchange *pinhole_of(const npi_trial *t, int index)
{
    return &t->control.x[index == NPI_C_II ? NPI_M_BQ : NPI_M_AQ];
}

/*
 * Whether an address sees the source socket, at the same local address, under another external address than A:P does.
 */
static bool control_is_apart(const npi_server *s, const npi_exchange *x)
{
    return s->has_mapping && npi_exchange_has_external(x) && !npi_addr_is_other_ip(&x->local, &s->observed.local) &&
           !npi_addr_equal(&x->external, &s->observed.external);
}

/* B:P sees another port than A:P, of the source socket or of the filtering socket: the two may be equal by chance. */
static bool is_address_apart(const npi_server *s, const npi_trial *t)
{
    const npi_exchange *first = &t->filtering.x[NPI_F_I];
    const npi_exchange *other = &t->control.x[NPI_M_OTHER];
    bool other_apart = npi_exchange_has_external(first) && npi_exchange_has_external(other) &&
                       !npi_addr_equal(&first->external, &other->external);
    return other_apart || control_is_apart(s, &t->control.x[NPI_M_BP]);
}

/*
 * B:Q was left out. It would be apart as well if B:P is, and sees another port than A:Q at the same moment: the mapping
 * depends on the destination.
 */
static bool is_bq_apart(const npi_server *s, const npi_trial *t, int index)
{
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    const npi_exchange *aq = &t->control.x[NPI_M_AQ];
    return index == NPI_C_II && t->control.aq_is_again && control_is_apart(s, bp) && npi_exchange_has_external(aq) &&
           !npi_addr_is_other_ip(&aq->local, &bp->local) && !npi_addr_equal(&aq->external, &bp->external);
}

/*
 * The control cannot pass, since the answer would come to another mapping than that whose pinhole is open: for II when
 * mappings differ by address, for III when they differ by port.
 */
static bool is_not_applicable(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_server *s = npi_trial_server(f, t);
    return is_address_apart(s, t) && (control_is_apart(s, pinhole_of(t, index)) || is_bq_apart(s, t, index));
}

/* The pinhole is that of another mapping: until when B:P may tell whether that is the NAT's doing. */
static uint64_t open_question_ns(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_exchange *bp = &t->control.x[NPI_M_BP];
    if (!control_is_apart(npi_trial_server(f, t), pinhole_of(t, index)) || npi_exchange_is_answered(bp))
        return NPI_NOW;
    return npi_exchange_over_ns(bp, npi_trial_far_rto(f, t));
}

/* When a control may leave: behind its pinhole's request where that goes twice, otherwise when the pinhole is open. */
static uint64_t pinhole_open_ns(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_exchange *pinhole = pinhole_of(t, index);
    if (npi_exchange_is_answered(pinhole) || (t->control.at_once && pinhole->t.sent > 0))
        return NPI_NOW;
    /* An address may be deaf to plain requests and yet speak: after so many copies the way is open all the same. */
    return pinhole->t.started ? npi_exchange_over_ns(pinhole, npi_trial_far_rto(f, t)) : NPI_NEVER;
}

/*
 * So soon after the first CHANGE-REQUEST of the filtering tests that the answer is the server's second within
 * NPI_RATION_NS.
 */
static bool is_early(const npi_facts *f, const npi_trial *t, uint64_t sent_ns)
{
    const npi_transaction *ii = &t->filtering.x[NPI_F_II].t;
    const npi_transaction *iii = &t->filtering.x[NPI_F_III].t;
    if (!ii->started || !iii->started || !npi_trial_has_source_way(f, t)) /* a server counts by address */
        return false;
    uint64_t first_ns = npi_time_min(ii->first_ns, iii->first_ns);
    uint64_t jitter_ns = (npi_trial_rto(f, t) - npi_trial_server(f, t)->rtt.smoothed_ns) / 2; /* of one way */
    return npi_time_add(sent_ns, jitter_ns) < npi_time_add(first_ns, NPI_RATION_NS);
}

static void ask_control(const npi_facts *f, npi_trial *t, int index)
{
    npi_exchange *x = &t->control.x[index];
    uint32_t change = NPI_STUN_CHANGE_PORT | (index == NPI_C_II ? NPI_STUN_CHANGE_IP : 0);
    npi_exchange_ask(x, index == NPI_C_II ? "control II" : "control III", &npi_trial_server(f, t)->address, change,
                     NPI_CONTROL_COPIES);
    x->sent_in_rounds = npi_silence_rests_on_iii(&t->filtering) && !is_early(f, t, f->now_ns);
    t->control.burst[index - NPI_C_II] = npi_silence_first_burst(f, t);
}

/* How many copies of a control have stayed unanswered that left when its pinhole was open. */
static uint32_t silent_copies(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_transaction *x = &t->control.x[index].t;
    const npi_exchange *pinhole = pinhole_of(t, index);
    uint32_t aged = npi_transaction_aged(x, f->now_ns, npi_trial_far_rto(f, t));
    /* Copies before a pinhole that had to be asked for twice may have found it closed. */
    if (pinhole->t.sent > 1 && npi_exchange_is_answered(pinhole)) {
        uint32_t before = npi_transaction_aged(x, f->now_ns, f->now_ns - pinhole->t.answered_ns);
        return aged > before ? aged - before : 0;
    }
    return aged;
}

/*
 * When a control's silence is no accident, or when to count again; at once when its pinhole's request cannot be sent.
 */
static uint64_t control_silent_ns(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_exchange *x = &t->control.x[index];
    const npi_exchange *pinhole = pinhole_of(t, index);
    uint64_t age = npi_trial_far_rto(f, t);
    if (t->control.stage == NPI_MAPPING_MINIMAL && !pinhole->t.started)
        return NPI_NEVER; /* it is yet to be asked */
    if (!x->t.started || x->queued)
        return pinhole->failed ? NPI_NOW : NPI_NEVER;
    npi_loss loss = npi_silence_path_loss(f, t);
    double limit = t->save_transactions ? NPI_SILENCE_CONTROL : NPI_SILENCE_CONTROL_LAST;
    if (npi_loss_p_all_lost(&loss, silent_copies(f, t, index)) < limit)
        return NPI_NOW;
    return npi_time_min(npi_exchange_over_ns(x, age), npi_transaction_next_aged_ns(&x->t, f->now_ns, age));
}

static bool is_final(npi_change c)
{
    return c != NPI_CHANGE_PENDING && c != NPI_CHANGE_SILENT;
}

static const npi_change *control_outcome_of(const npi_trial *t, int index)
{
    return index == NPI_C_II ? &t->control.ii : &t->control.iii;
}

void npi_control_take_answer(npi_facts *f, npi_trial *t, int index, const npi_addr *from, const npi_addr *origin,
                             bool success)
{
    npi_change *control = index == NPI_C_II ? &t->control.ii : &t->control.iii;
    npi_change outcome = npi_change_shown(npi_trial_server(f, t), t->control.x[index].change, from, origin, success);
    f->evidence |= npi_change_evidence(outcome);
    if (!is_final(*control))
        *control = outcome;
}

/* III is answered from A, and II from B, which may be farther away. */
static uint64_t control_rto_ns(const npi_facts *f, const npi_trial *t, int index)
{
    return index == NPI_C_III ? npi_trial_rto(f, t) : npi_trial_far_rto(f, t);
}

/* ---- Does the server ration its answers? ------------------------------------------------------------------------ */

/* The control was answered: whether that shows that III would have been, if it had not been filtered. */
static npi_control_state state_of_answered(const npi_facts *f, const npi_trial *t, int index)
{
    const npi_transaction *x = &t->control.x[index].t;
    if (!npi_silence_rests_on_iii(&t->filtering)) /* the answers to III have told */
        return NPI_CONTROL_PASSED;
    if (x->sent == 1 && is_early(f, t, x->first_ns))
        return NPI_CONTROL_PASSED;
    switch (npi_silence_ration(f, t, x, &t->control.burst[index - NPI_C_II], control_rto_ns(f, t, index))) {
    case NPI_RATION_EXCLUDED:
        return NPI_CONTROL_PASSED;
    case NPI_RATION_LIKELY:
        return NPI_CONTROL_RATIONED;
    default:
        return NPI_CONTROL_WAITING;
    }
}

/* Sends the next copy if it is due. Returns when to look. */
static uint64_t continue_burst(const npi_facts *f, npi_trial *t, int index)
{
    npi_exchange *x = &t->control.x[index];
    npi_burst *b = &t->control.burst[index - NPI_C_II];
    if (!x->t.started)
        return NPI_NEVER;
    if (x->t.sent >= x->t.limit)
        return npi_transaction_next_aged_ns(&x->t, f->now_ns, control_rto_ns(f, t, index));
    uint64_t due_ns = npi_silence_burst_ns(&x->t, b, control_rto_ns(f, t, index));
    if (x->t.answers == 0 && x->t.sent >= b->sent + b->size) /* a burst of losses has to be outlasted */
        due_ns = npi_time_max(due_ns, npi_time_add(npi_transaction_last_ns(&x->t),
                                                   npi_pacing_plain_gap_ns(f, npi_trial_server(f, t), x)));
    if (due_ns > f->now_ns) /* before that the last copies may age, and no more may be of use */
        return npi_wake_min(due_ns, npi_transaction_all_aged_ns(&x->t, control_rto_ns(f, t, index)), f->now_ns);
    *b = npi_silence_burst(f, &x->t, b);
    x->t.next_ns = f->now_ns;
    return NPI_NEVER;
}

/* ---- How it stands ---------------------------------------------------------------------------------------------- */

/* How a control stands; *wake_ns is moved forward to when that may change by itself. */
static npi_control_state state_of(const npi_facts *f, const npi_trial *t, int index, uint64_t *wake_ns)
{
    npi_change outcome = *control_outcome_of(t, index);
    if (outcome == NPI_CHANGE_HONOURED)
        return state_of_answered(f, t, index);
    if (is_final(outcome))
        return NPI_CONTROL_DISQUALIFIED;
    if (is_not_applicable(f, t, index))
        return NPI_CONTROL_NOT_APPLICABLE;
    uint64_t until_ns = npi_time_max(control_silent_ns(f, t, index), open_question_ns(f, t, index));
    if (until_ns <= f->now_ns)
        return NPI_CONTROL_SILENT;
    *wake_ns = npi_time_min(*wake_ns, until_ns);
    return NPI_CONTROL_WAITING;
}

/* The same, once it has been asked if that is due. */
static npi_control_state advance_control(npi_facts *f, npi_trial *t, int index, uint64_t *wake_ns)
{
    const npi_exchange *x = &t->control.x[index];
    bool is_open = !is_final(*control_outcome_of(t, index)) && !is_not_applicable(f, t, index);
    if (is_open && !x->queued && !x->t.started) {
        uint64_t open_ns = pinhole_open_ns(f, t, index);
        if (open_ns <= f->now_ns)
            ask_control(f, t, index);
        *wake_ns = npi_time_min(*wake_ns, npi_time_max(open_ns, f->now_ns));
    }
    npi_control_state state = state_of(f, t, index, wake_ns);
    if (*control_outcome_of(t, index) == NPI_CHANGE_HONOURED) {
        f->evidence |= NP_EVIDENCE_CONTROL_ANSWERED;
        t->control.x[index].sent_in_rounds = true;
        t->control.x[index].t.limit = NPI_RATION_COPIES;
    }
    if (state == NPI_CONTROL_WAITING && t->control.x[index].sent_in_rounds)
        *wake_ns = npi_time_min(*wake_ns, continue_burst(f, t, index));
    return state;
}

/* ---- What it shows ---------------------------------------------------------------------------------------------- */

npi_control_verdict npi_control_judge_answered_iii(npi_control_state ii)
{
    switch (ii) {
    case NPI_CONTROL_PASSED:
        return NPI_VERDICT_PROVEN;
    case NPI_CONTROL_NOT_APPLICABLE:
        return NPI_VERDICT_UNPROVEN;
    case NPI_CONTROL_SILENT:
        return NPI_VERDICT_CONTROL_FAILED;
    case NPI_CONTROL_RATIONED:
        return NPI_VERDICT_RATIONED;
    case NPI_CONTROL_DISQUALIFIED:
        return NPI_VERDICT_SERVER_UNFIT;
    default:
        return NPI_VERDICT_WAIT;
    }
}

npi_control_verdict npi_control_judge_both_silent(npi_control_state iii, npi_control_state ii)
{
    if (iii != NPI_CONTROL_SILENT)
        return npi_control_judge_answered_iii(iii); /* III's control decides as II's does there */
    switch (ii) {
    case NPI_CONTROL_PASSED:
        return NPI_VERDICT_II_ALONE;
    case NPI_CONTROL_RATIONED:
        return NPI_VERDICT_RATIONED;
    case NPI_CONTROL_DISQUALIFIED:
        return NPI_VERDICT_SERVER_UNFIT;
    case NPI_CONTROL_WAITING:
        return NPI_VERDICT_WAIT;
    default:
        return NPI_VERDICT_CONTROL_FAILED;
    }
}

/* II's control alone has passed. Until now III carried the proof: of II too few copies may have been sent for one. */
static void decide_by_ii(npi_facts *f, npi_trial *t)
{
    npi_loss loss = npi_silence_path_loss(f, t);
    uint32_t copies = npi_transaction_sent_since(&t->filtering.x[NPI_F_II].t, npi_trial_server(f, t)->woke_ns);
    bool is_short = npi_silence_is_short(npi_trial_server(f, t), copies);
    if (!is_short && npi_silence_holds(&loss, copies, NPI_SILENCE_LOSSY))
        npi_decide(t, npi_classify_filtering(t->filtering.ii.outcome, NPI_CHANGE_PENDING));
    else
        npi_decide_unknown(f, t, NPI_REASON_LOSS);
}

/* unfit: the control that an unfit server has answered. */
static void apply(npi_facts *f, npi_trial *t, npi_control_verdict verdict, npi_change unfit)
{
    int32_t filtering = npi_classify_filtering(t->filtering.ii.outcome, t->filtering.iii.outcome);
    switch (verdict) {
    case NPI_VERDICT_WAIT:
        break;
    case NPI_VERDICT_PROVEN:
        npi_decide(t, filtering);
        break;
    case NPI_VERDICT_UNPROVEN:
        npi_decide_unproven(t, filtering);
        break;
    case NPI_VERDICT_II_ALONE:
        decide_by_ii(f, t);
        break;
    case NPI_VERDICT_SERVER_UNFIT:
        npi_decide_unknown(f, t, npi_change_reason(unfit));
        break;
    case NPI_VERDICT_RATIONED:
        npi_decide_unknown(f, t, NPI_REASON_RATIONED);
        break;
    case NPI_VERDICT_CONTROL_FAILED:
        npi_decide_unknown(f, t, NPI_REASON_CONTROL);
        break;
    }
}

/* Returns when to look again. */
static uint64_t control_judge(npi_facts *f, npi_trial *t)
{
    uint64_t wake_ns = NPI_NEVER;
    if (!npi_silence_rests_on_iii(&t->filtering)) {
        npi_control_state ii = advance_control(f, t, NPI_C_II, &wake_ns);
        apply(f, t, npi_control_judge_answered_iii(ii), t->control.ii);
        return wake_ns;
    }
    npi_control_state iii = advance_control(f, t, NPI_C_III, &wake_ns);
    npi_control_state ii = NPI_CONTROL_WAITING;
    if (iii == NPI_CONTROL_SILENT) {
        control_ask(f, t, NPI_M_BQ); /* unless it was */
        ii = advance_control(f, t, NPI_C_II, &wake_ns);
    }
    bool is_unfit = iii == NPI_CONTROL_DISQUALIFIED;
    apply(f, t, npi_control_judge_both_silent(iii, ii), is_unfit ? t->control.iii : t->control.ii);
    return wake_ns;
}

/* ---- The phase -------------------------------------------------------------------------------------------------- */

void npi_control_begin(npi_facts *f, npi_trial *t)
{
    bool useless = npi_trial_is_decided(t) && t->finding.reason != NPI_REASON_NONE;
    t->control.stage = t->save_transactions && useless ? NPI_MAPPING_DEFERRED : NPI_MAPPING_NOT_ASKED;
    if (t->control.stage == NPI_MAPPING_NOT_ASKED && npi_trial_server(f, t)->has_mapping &&
        npi_port_hold_ns(f, t) <= f->now_ns)
        ask_mapping(f, t);
}

/* II's way is not opened while it may have to be tested further: other sockets can tell what this request would. */
static void keep_way_closed(const npi_facts *f, npi_trial *t)
{
    npi_exchange *other = &t->control.x[NPI_M_OTHER];
    if (other->queued && !npi_silence_rests_on_iii(&t->filtering) && !t->filtering.extended &&
        npi_silence_is_doubtful(f, t))
        other->queued = false;
}

/* One more single copy to B:Q. */
static void ask_near(const npi_facts *f, npi_trial *t)
{
    int index = NPI_M_NEAR;
    while (npi_exchange_was_asked(&t->control.x[index]))
        index++;
    control_ask(f, t, index);
}

/* All has been asked and answered, or is given up. */
static npi_control_step control_end(npi_facts *f, npi_trial *t)
{
    uint64_t wake_ns = f->now_ns;
    npi_far far = npi_far_judge(f, t, &wake_ns);
    if (far == NPI_FAR_ASK)
        ask_near(f, t);
    if (far >= NPI_FAR_ASK)
        return (npi_control_step){NPI_CONTROL_WAIT, wake_ns};
    if (far == NPI_FAR_MAY_BE)
        npi_decide_unknown(f, t, NPI_REASON_LOSS);
    bool extend = !t->filtering.extended && npi_silence_is_doubtful(f, t);
    bool is_open = t->control.x[NPI_M_OTHER].t.sent > 0 && !npi_silence_rests_on_iii(&t->filtering); /* II's way */
    if (extend && is_open)
        npi_decide_unknown(f, t, NPI_REASON_LOSS);
    return (npi_control_step){extend && !is_open ? NPI_CONTROL_EXTEND : NPI_CONTROL_FINISH, f->now_ns};
}

npi_control_step npi_control_advance(npi_facts *f, npi_trial *t, bool others_can_help)
{
    const npi_server *s = npi_trial_server(f, t);
    if (t->control.stage == NPI_MAPPING_DEFERRED && others_can_help)
        return (npi_control_step){NPI_CONTROL_WAIT, NPI_NEVER};
    if (!npi_control_has_asked(t)) {
        if (!s->has_mapping) {
            uint64_t done_ns = npi_pacing_primary_done_ns(s);
            return (npi_control_step){done_ns > f->now_ns ? NPI_CONTROL_WAIT : NPI_CONTROL_FINISH, done_ns};
        }
        uint64_t hold_ns = npi_port_hold_ns(f, t);
        if (hold_ns > f->now_ns)
            return (npi_control_step){NPI_CONTROL_WAIT, hold_ns};
        ask_mapping(f, t);
        return (npi_control_step){NPI_CONTROL_WAIT, f->now_ns};
    }
    uint64_t wake_ns = NPI_NEVER;
    if (t->filtering.contradicted && t->finding.reason != NPI_REASON_CONTRADICTION)
        npi_decide_unknown(f, t, NPI_REASON_CONTRADICTION);
    if (is_bp_needed(f, t))
        control_ask(f, t, NPI_M_BP);
    ask_again_behind_bp(f, &f->servers[t->server], t);
    if (!npi_trial_is_decided(t))
        wake_ns = control_judge(f, t);
    if (npi_time_has_come(bq_due_ns(f, t), f->now_ns, &wake_ns) || is_saved_needed(f, t))
        ask_bq(f, t);
    keep_way_closed(f, t);
    uint64_t over_ns = npi_trial_is_decided(t) ? npi_control_mapping_over_ns(f, t) : NPI_NEVER;
    if (over_ns > f->now_ns) {
        wake_ns = npi_time_min(wake_ns, over_ns);
        return (npi_control_step){NPI_CONTROL_WAIT, npi_time_min(wake_ns, complete_mapping(f, t))};
    }
    return control_end(f, t);
}
#undef ROOM_FOR_TWO

/* ---- engine/dense.c -------------------- */

/* What the copies of the dense start count for. */
/*
 * The dense start of a filtering test: its copies leave so close together that they tell one moment of the path. What
 * they count for. Pure but for npi_dense_note.
 */
#ifndef NPI_ENGINE_DENSE_H
#define NPI_ENGINE_DENSE_H


/* How many copies of a request left in it. Other requests have no more in that time than count in any case. */
uint32_t npi_dense_copies(const npi_transaction *x);
/* Once each copy of the dense start is answered or lost: notes how they fared. */
void npi_dense_note(const npi_facts *f, npi_trial *t);
/*
 * Of the answers and losses that a plain request has shown, those that count for naught. answered is how many answers
 * were counted; is_earlier says that the test which carries the proof leaves later.
 */
typedef struct npi_surplus {
    uint32_t answered;
    uint32_t lost;
} npi_surplus;
npi_surplus npi_dense_surplus(const npi_trial *t, const npi_transaction *x, uint32_t answered, bool is_earlier);
/* Of the copies of a silent request: those that count for naught. */
uint32_t npi_dense_silent_surplus(const npi_trial *t, const npi_transaction *x);

#endif

uint32_t npi_dense_copies(const npi_transaction *x)
{
    return x->sent - npi_transaction_sent_since(x, npi_time_add(x->first_ns, NPI_DENSE_NS));
}

static bool is_under_way(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t age_ns = npi_trial_rto(f, t);
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        if (x->sent > 0 && npi_transaction_aged(x, f->now_ns, age_ns) < npi_dense_copies(x))
            return true;
    }
    const npi_transaction *plain = &p->x[NPI_F_I].t;
    return plain->sent == 0 || npi_time_add(plain->first_ns, NPI_DENSE_NS) > f->now_ns;
}

/* What is answered since, beyond the copies that left later, was under way for longer than a round trip. */
static void note_late(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    uint64_t floor_ns = npi_rtt_floor(&npi_trial_server(f, t)->rtt);
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        uint32_t dense = npi_dense_copies(x);
        uint32_t aged = npi_transaction_aged(x, f->now_ns, floor_ns);
        uint32_t later = aged - npi_least(aged, dense);
        uint32_t answers = npi_least(x->answers - npi_least(x->answers, later), dense);
        p->dense.answers[i] = answers > p->dense.answers[i] ? answers : p->dense.answers[i];
    }
}

static void dense_judge(npi_filtering *p)
{
    p->dense.is_heavy = 2 * p->dense.answers[NPI_F_I] < npi_dense_copies(&p->x[NPI_F_I].t);
}

void npi_dense_note(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    if (p->dense.is_heavy) {
        note_late(f, t);
        dense_judge(p);
    }
    if (p->dense.is_told || p->late.t.started || npi_trial_server(f, t)->rtt.samples == 0 || is_under_way(f, t))
        return;
    p->dense.is_told = true;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
        p->dense.answers[i] = npi_least(p->x[i].t.answers, npi_dense_copies(&p->x[i].t));
    dense_judge(p);
}

/* How many copies of one of its requests were answered in it; false if it is no request of the test. */
static bool answers_of(const npi_filtering *p, const npi_transaction *x, uint32_t *answers)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (x == &p->x[i].t) {
            *answers = p->dense.answers[i];
            return true;
        }
    }
    return false;
}

npi_surplus npi_dense_surplus(const npi_trial *t, const npi_transaction *x, uint32_t answered, bool is_earlier)
{
    const npi_filtering *p = &t->filtering;
    uint32_t copies = npi_dense_copies(x);
    uint32_t answers = 0;
    if (copies <= NPI_DENSE_COUNTED)
        return (npi_surplus){0, 0};
    if (p->dense.is_heavy && answers_of(p, x, &answers)) {
        uint32_t counted = NPI_DENSE_COUNTED * answers / copies;
        return (npi_surplus){answers - counted, copies - answers - (NPI_DENSE_COUNTED - counted)};
    }
    answers = npi_least(answered, copies);
    return (npi_surplus){is_earlier && answers > NPI_DENSE_COUNTED ? answers - NPI_DENSE_COUNTED : 0, 0};
}

uint32_t npi_dense_silent_surplus(const npi_trial *t, const npi_transaction *x)
{
    uint32_t copies = npi_dense_copies(x);
    return t->filtering.dense.is_heavy && copies > NPI_DENSE_COUNTED ? copies - NPI_DENSE_COUNTED : 0;
}

/* ---- engine/engine.c -------------------- */

/* Asks the floors below what is due, does it, tells the observer, and remembers when to ask again. */
/*
 * The experiment of docs/METHOD.md as a state machine that never touches the system: time and datagrams in, datagrams
 * out. Randomness is an argument; after npi_engine_init it allocates nothing. One thread at a time.
 *
 * The driver's loop:
 *
 *     while (!npi_engine_is_done(e)) {
 *         while (npi_engine_advance(e, now), npi_engine_next_datagram(e, random, &d))
 *             send d on socket d.slot, opening it if need be; npi_engine_sent(e, &d) or npi_engine_unsent(...);
 *         wait for a datagram or until npi_engine_wakeup_ns(e);
 *         for each datagram that came: if (npi_engine_match(e, ...)) npi_engine_receive(e, ...);
 *     }
 *     npi_engine_result(e, now, &result);
 */
#ifndef NPI_ENGINE_H
#define NPI_ENGINE_H

/* Which copy of which request is due now, and what becomes of it when it is sent. */
#ifndef NPI_ENGINE_OUTBOX_H
#define NPI_ENGINE_OUTBOX_H


typedef struct npi_datagram {
    int slot;
    npi_addr to;
    size_t size;
    uint8_t data[NPI_STUN_REQUEST_SIZE];
    npi_server *server; /* the engine's own, for npi_outbox_sent and npi_outbox_unsent */
    npi_exchange *exchange;
} npi_datagram;

/* A request of which a copy is due now (exchange is NULL when none is), and when otherwise the next one will be. */
typedef struct npi_due {
    npi_server *server;
    npi_exchange *exchange;
    uint64_t wake_ns;
} npi_due;
npi_due npi_outbox_next_due(npi_facts *f);

/* Writes the next copy of a request that is due. random: 16 fresh random bytes. */
void npi_outbox_emit(npi_facts *f, const npi_due *due, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out);
/* It has left. */
void npi_outbox_sent(npi_facts *f, const npi_datagram *d);
/* It did not leave. It is tried again. */
void npi_outbox_take_back(npi_facts *f, const npi_datagram *d);
/* The system would not send it: error NP_OK for "no room now", else the NP_ERR_* code; and errno. It is taken back. */
void npi_outbox_unsent(npi_facts *f, const npi_datagram *d, int32_t error, int os_error);

#endif

typedef struct npi_engine npi_engine;

/*
 * The size of an engine for so many servers, at most NPI_SERVERS_MAX, and these tests (enum np_tests). It may live in
 * any suitably aligned memory.
 */
size_t npi_engine_size(size_t max_servers, int32_t tests);
void npi_engine_init(npi_engine *e, const npi_engine_config *config, uint64_t now_ns);

/*
 * A server that may be asked, in order of preference. Servers at an address already added, and addresses to which
 * nothing may be sent, are passed over: false. expected_mapping_only: known to have no second address.
 */
bool npi_engine_add_server(npi_engine *e, const npi_addr *address, bool expected_mapping_only);
/* Whether more servers may still be added (names being resolved). Until it is false the experiment waits for them. */
void npi_engine_expect_servers(npi_engine *e, bool more);
/* How many servers the experiment could use by now; more than were added means: bring more. */
size_t npi_engine_servers_wanted(const npi_engine *e);

/* Does all that time alone can bring about: asks, concludes, or ends. */
void npi_engine_advance(npi_engine *e, uint64_t now_ns);
/*
 * The next datagram to send at the time of npi_engine_advance, which comes before each call; it counts as sent.
 * random: 16 fresh random bytes for each datagram.
 */
bool npi_engine_next_datagram(npi_engine *e, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out);
/* The datagram just yielded has left: told to the log and the observer. */
void npi_engine_sent(npi_engine *e, const npi_datagram *d);
/* Instead: it did not leave, error NP_OK for "no room now", else the NP_ERR_* code; and errno. It is tried again. */
void npi_engine_unsent(npi_engine *e, uint64_t now_ns, const npi_datagram *d, int32_t error, int os_error);

/*
 * Instead: there is no socket for its slot, a filtering socket. It did not leave, and that server tells no filtering;
 * everything else goes on.
 */
void npi_engine_no_socket(npi_engine *e, uint64_t now_ns, const npi_datagram *d);

/* A datagram that came, decoded: whose answer it is. */
typedef struct npi_incoming {
    int slot;
    npi_stun_response response;
    npi_origin origin;
    npi_errand *errand; /* of an optional test; NULL: of none */
    const uint8_t *data;
    size_t size;
} npi_incoming;
/*
 * Decodes a datagram that came to a slot. True when it carries the id of a request of the experiment's: on a socket
 * shared with others it is otherwise theirs. Nothing may happen to the engine, and data has to live, until
 * npi_engine_receive.
 */
bool npi_engine_match(npi_engine *e, int slot, const uint8_t *data, size_t size, npi_incoming *in);
/*
 * Takes it, matched or not. arrived_ns: when it came in, if the driver knows: that may have been before the last call.
 * local: the address and port it was delivered to, NULL when not known.
 */
void npi_engine_receive(npi_engine *e, uint64_t arrived_ns, const npi_incoming *in, const npi_addr *from,
                        const npi_addr *local);

/* When to call npi_engine_advance again at the latest; NPI_NEVER when done. */
uint64_t npi_engine_wakeup_ns(const npi_engine *e);
/* True while slot may still be needed; a filtering socket of which it is false is to be closed. */
bool npi_engine_slot_in_use(const npi_engine *e, int slot);

/*
 * The test GATEWAY wants to know the gateway on the source socket's way to an address: *towards. Asked after each
 * npi_engine_advance, and answered by npi_engine_set_gateway before the next one; else none is known.
 */
bool npi_engine_wants_gateway(const npi_engine *e, npi_addr *towards);
/* Not set: there is none, or it cannot be told. */
void npi_engine_set_gateway(npi_engine *e, const npi_addr *gateway);

/* There is a verdict, or none is to be had, and no optional test goes on. */
bool npi_engine_is_done(const npi_engine *e);
/* There is a verdict, which nothing can change: optional tests may go on. */
bool npi_engine_has_verdict(const npi_engine *e);
/* Some request was answered. */
bool npi_engine_has_heard(const npi_engine *e);
/* When the first datagram left; NPI_NEVER before. */
uint64_t npi_engine_first_sent_ns(const npi_engine *e);
/* Why the filtering is unknown though there is a verdict; NPI_REASON_NONE otherwise. */
npi_reason npi_engine_filtering_reason(const npi_engine *e);
/* Ends the experiment from outside (cancelled, a socket that cannot be had, ...). What is known stays in the result. */
void npi_engine_stop(npi_engine *e, uint64_t now_ns, int32_t error, int os_error);
/* From here on nobody is told of anything. */
void npi_engine_mute(npi_engine *e);
/* Fills every byte of the result. The driver adds what only it knows: a local address where no answer told it. */
void npi_engine_result(const npi_engine *e, uint64_t now_ns, np_result *out);

#endif

#include <string.h>

/* The requests of optional tests: made, answered, and over. */
#ifndef NPI_ENGINE_ERRAND_H
#define NPI_ENGINE_ERRAND_H


/* The next fresh socket; -1: all are used. */
int npi_errand_slot(npi_facts *f);
/* A plain request, or one with CHANGE-REQUEST, to an address of a server, in so many copies. NULL: no room. */
npi_errand *npi_errand_ask(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to,
                           uint32_t change);
/*
 * Plain requests from the next fresh socket to A:P of a server and to its second address, which open the way for the
 * answers of both. False: no room.
 */
bool npi_errand_open_way(npi_facts *f, const char *name, size_t server, const npi_addr *alternate,
                         npi_errand *opener[2]);
/* As npi_errand_ask(), to be answered to another port of this host's, where heard_slot is. */
npi_errand *npi_errand_ask_to(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to,
                              uint16_t response_port, int heard_slot);
/* A datagram that no server answers. */
npi_errand *npi_errand_indicate(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to);
/* A datagram from one socket of this host to the external address of another, where it is to arrive. */
npi_errand *npi_errand_echo(npi_facts *f, const char *name, int slot, const npi_addr *to, int heard_slot);
/* At most NPI_ERRAND_DATA bytes of another protocol, on a socket of their own. */
npi_errand *npi_errand_raw(npi_facts *f, const char *name, int slot, const npi_addr *to, const uint8_t *data,
                           size_t size);

/* Whose answer a datagram is that came to a slot, if it can be told; response->kind tells whether it is STUN. */
npi_errand *npi_errand_of(npi_facts *f, int slot, const npi_stun_response *response, const uint8_t *data, size_t size);
/* Takes it in. */
void npi_errand_take(npi_facts *f, npi_errand *e, const npi_stun_response *response, const npi_addr *from,
                     const npi_addr *local, const uint8_t *data, size_t size);

bool npi_errand_is_answered(const npi_errand *e);
/* No more copies. */
void npi_errand_stop(npi_errand *e);
/* It is over, and not looked at any more: its place is free. */
void npi_errand_release(npi_errand *e);
/* When no answer is to be expected any more: all copies are sent and old enough, or it cannot be sent. */
uint64_t npi_errand_over_ns(const npi_facts *f, const npi_errand *e);
/* All copies are sent, and answered or old; otherwise *wake_ns is moved forward to when it is so. */
bool npi_errand_is_complete(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns);
/* Answered, or over; otherwise *wake_ns is moved forward to when it is over. */
bool npi_errand_is_settled(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns);

/* Adds what its copies show of losses. */
void npi_errand_count(const npi_facts *f, const npi_errand *e, npi_loss *loss);

#endif
/* What observers are told while the experiment goes on: events, and a line for each request and answer in the log. */
#ifndef NPI_ENGINE_EVENTS_H
#define NPI_ENGINE_EVENTS_H


void npi_event_sent(const npi_facts *f, const npi_exchange *x);
void npi_event_answered(const npi_facts *f, const npi_exchange *x, const npi_addr *from, const npi_stun_response *r);
/* A test goes on (a bit of enum np_tests): it has taken so long, and takes so long at most. */
void npi_event_progress(const npi_facts *f, int32_t test, uint32_t done_s, uint32_t total_s);
/* Tells of each filtering test that has been decided since. The driver tells of the end: only it knows the result. */
void npi_event_conclusions(npi_facts *f);

#endif
/*
 * Fresh sockets that compare destinations, where the source socket sees equal ports that may be chance (docs/METHOD.md
 * section 7).
 */
#ifndef NPI_ENGINE_LOOK_H
#define NPI_ENGINE_LOOK_H


/* Asks from one more fresh socket what npi_mapping_look() says. */
void npi_look_ask(npi_facts *f);
/* True while the fresh socket of a slot is needed. */
bool npi_look_needs_slot(const npi_facts *f, int slot);

#endif
/* The optional test GATEWAY: is there another NAT behind the gateway? (docs/METHOD.md section 12) */
#ifndef NPI_ENGINE_NAT_BEHIND_H
#define NPI_ENGINE_NAT_BEHIND_H


/* Goes on. True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_nat_behind_step(npi_facts *f, uint64_t *wake_ns);
/* Where the route is to be looked up to, whose gateway is to be asked; NULL: nowhere now. */
const npi_addr *npi_nat_behind_towards(const npi_facts *f);
/* That gateway; not set: there is none, or it cannot be told. */
void npi_nat_behind_found(npi_facts *f, const npi_addr *gateway);
void npi_nat_behind_write(const npi_facts *f, np_result *out);

#endif
/*
 * The optional tests, one after the other once there is a verdict (docs/METHOD.md section 18). Each has a file of its
 * own, and a line in optional.c.
 */
#ifndef NPI_ENGINE_OPTIONAL_H
#define NPI_ENGINE_OPTIONAL_H


void npi_optional_init(npi_facts *f);
/* There is a verdict: goes on until npi_optional_is_over(). Returns when to look again. */
uint64_t npi_optional_advance(npi_facts *f);
/* No test goes on or will. */
bool npi_optional_is_over(const npi_facts *f);
/* From outside, or since there is no verdict: what is not known by now stays unknown. */
void npi_optional_stop(npi_facts *f);
/* True while a socket is needed, or may be once there is a verdict. */
bool npi_optional_needs_slot(const npi_facts *f, int slot);
void npi_optional_write(const npi_facts *f, np_result *out);

#endif
/*
 * Do fresh sockets take the source socket's way? A rule on the host may send the checked port through another NAT, and
 * the filtering found would be that of the other one (docs/METHOD.md section 3).
 */
#ifndef NPI_ENGINE_PATH_H
#define NPI_ENGINE_PATH_H


/*
 * Where a filtering socket has another external address than the source socket, asks from more fresh sockets, and
 * decides: a pool of addresses, or another way. Returns when to go on.
 */
uint64_t npi_path_step(npi_facts *f);
/* True while the answer is awaited. */
bool npi_path_is_asking(const npi_facts *f);
/* True while the fresh socket of a slot is needed. */
bool npi_path_needs_slot(const npi_facts *f, int slot);

#endif
/* Facts to np_result and its texts. Pure. */
#ifndef NPI_ENGINE_RESULT_H
#define NPI_ENGINE_RESULT_H


/* Fills every byte. The driver adds what only it knows: a local address where no answer told it. */
void npi_result_write(const npi_facts *f, uint64_t now_ns, np_result *out);
/* The observation of the source socket whose addresses it has; false when it has none. */
bool npi_result_observation(const npi_facts *f, npi_observation *out);
/* The counts that it has. */
npi_tally npi_result_tally(const npi_facts *f);
/* Why the filtering is unknown though there is a verdict; NPI_REASON_NONE otherwise. */
npi_reason npi_result_filtering_reason(const npi_facts *f);

#endif
/* Which servers are asked, when, and when again (docs/METHOD.md, "Several servers"). */
#ifndef NPI_ENGINE_SCHEDULE_H
#define NPI_ENGINE_SCHEDULE_H


/* Starts, asks and gives up servers; returns when to do so again. */
uint64_t npi_schedule_step(npi_facts *f);
/* Forgets what was seen, to start once more. */
void npi_schedule_restart(npi_facts *f);
/* Asks the servers again whose observations cannot be compared, all at one moment. */
void npi_schedule_reconfirm(npi_facts *f);
/* How many servers the experiment could use by now. */
size_t npi_schedule_servers_wanted(const npi_facts *f);

/* ---- The questions, pure ---------------------------------------------------------------------------------------- */

/* When nothing more is to be expected of a server that was started. */
uint64_t npi_schedule_exhausted_ns(const npi_facts *f, const npi_server *s);
/*
 * When every server there is has been asked, nothing more is to be expected of any, and names still being resolved are
 * no longer waited for; NPI_NEVER while something is to be expected.
 */
uint64_t npi_schedule_all_exhausted_ns(const npi_facts *f);
/* Until when something other than a deferred trial may yet bring the verdict. */
uint64_t npi_schedule_can_go_on_until_ns(const npi_facts *f);
/* Whether a server other than this may bring what is missing, now. */
bool npi_schedule_others_can_help(const npi_facts *f, size_t server);

/* What to do next about servers not yet asked. */
typedef enum npi_action { NPI_ACTION_WAIT, NPI_ACTION_START, NPI_ACTION_START_WITH_TRIAL } npi_action;
typedef struct npi_next_action {
    npi_action action;
    size_t server;    /* to be started */
    uint64_t wake_ns; /* when to ask again */
} npi_next_action;
npi_next_action npi_schedule_next_action(const npi_facts *f);

#endif
/* Is it over, and how? Pure. */
#ifndef NPI_ENGINE_VERDICT_H
#define NPI_ENGINE_VERDICT_H


/* When all is known that can be, or when to ask again; NPI_NEVER while the filtering is missing. */
uint64_t npi_verdict_complete_ns(const npi_facts *f);

typedef enum npi_verdict_next {
    NPI_VERDICT_GO_ON,
    NPI_VERDICT_RECONFIRM, /* ask the doubtful servers again (npi_mapping_is_doubtful) */
    NPI_VERDICT_LOOK,      /* compare destinations from another socket (npi_mapping_look) */
    NPI_VERDICT_OVER
} npi_verdict_next;

typedef struct npi_verdict {
    npi_verdict_next next;
    int32_t error; /* NP_OK or NP_ERR_*, when over */
    int os_error;
    uint64_t wake_ns; /* when to decide again */
} npi_verdict;

/* exhausted: every server there is has been asked, and nothing more is to be expected of any. */
npi_verdict npi_verdict_decide(const npi_facts *f, bool exhausted);

#endif

struct npi_engine {
    npi_facts facts;
    uint64_t wake_ns; /* the only place where a wake-up is registered */
    bool at_once;     /* something has come since: wake at once */
    bool has_arrival; /* a datagram has */
    bool is_at_rest;  /* beside what wakes it, nothing has come, left or been told since all that was due was done */
    bool has_verdict; /* and optional tests may go on: what the check has shown is this, whatever they bring */
    np_result verdict;
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static size_t servers_within(size_t max_servers)
{
    return max_servers < NPI_SERVERS_MAX ? max_servers : NPI_SERVERS_MAX;
}

/* A restart may begin a second trial with a server. */
static size_t trials_for(size_t servers)
{
    return 2 * servers < NPI_TRIALS_MAX ? 2 * servers : NPI_TRIALS_MAX;
}

static size_t errands_for(int32_t tests)
{
    return (tests & NP_TESTS_OPTIONAL) != 0 ? NPI_OPTIONAL_ERRANDS : 0;
}

size_t npi_engine_size(size_t max_servers, int32_t tests)
{
    size_t servers = servers_within(max_servers);
    return sizeof(npi_engine) + servers * sizeof(npi_server) + trials_for(servers) * sizeof(npi_trial) +
           errands_for(tests) * sizeof(npi_errand);
}

void npi_engine_init(npi_engine *e, const npi_engine_config *config, uint64_t now_ns)
{
    _Static_assert(_Alignof(npi_engine) >= _Alignof(npi_server), "servers lie behind the engine");
    _Static_assert(_Alignof(npi_server) >= _Alignof(npi_trial), "trials lie behind the servers");
    _Static_assert(_Alignof(npi_trial) >= _Alignof(npi_errand), "errands lie behind the trials");
    npi_facts *f = &e->facts;
    memset(e, 0, npi_engine_size(config->max_servers, config->tests));
    f->config = *config;
    f->server_room = servers_within(config->max_servers);
    f->servers = (npi_server *)(void *)(e + 1);
    f->trial_room = trials_for(f->server_room);
    f->trials = (npi_trial *)(void *)(f->servers + f->server_room);
    f->optional.errand_room = errands_for(config->tests);
    f->optional.errand = (npi_errand *)(void *)(f->trials + f->trial_room);
    f->start_ns = now_ns;
    f->now_ns = now_ns;
    f->traffic.first_sent_ns = NPI_NEVER;
    f->more_servers = true;
    npi_optional_init(f);
    e->wake_ns = NPI_NEVER; /* the first advance is never late: the driver may have begun long after the start */
    e->at_once = true;
}

bool npi_engine_add_server(npi_engine *e, const npi_addr *address, bool expected_mapping_only)
{
    npi_facts *f = &e->facts;
    npi_addr a = npi_addr_unmap(address);
    if (f->server_count == f->server_room || !npi_addr_is_destination(&a))
        return false;
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_addr_equal(&f->servers[i].address, &a))
            return false;
    }
    npi_server *s = &f->servers[f->server_count++];
    memset(s, 0, sizeof *s);
    s->address = a;
    s->expected_mapping_only = expected_mapping_only;
    s->trial = -1;
    e->at_once = true;
    return true;
}

void npi_engine_expect_servers(npi_engine *e, bool more)
{
    e->facts.more_servers = more;
    e->at_once = true;
}

size_t npi_engine_servers_wanted(const npi_engine *e)
{
    return npi_schedule_servers_wanted(&e->facts);
}

bool npi_engine_is_done(const npi_engine *e)
{
    return e->facts.done && npi_optional_is_over(&e->facts);
}

bool npi_engine_has_verdict(const npi_engine *e)
{
    return e->has_verdict;
}

uint64_t npi_engine_wakeup_ns(const npi_engine *e)
{
    if (npi_engine_is_done(e))
        return NPI_NEVER;
    return npi_time_add(e->at_once ? e->facts.now_ns : e->wake_ns, e->facts.standstill.total_ns);
}

/* The driver comes back much later than it was asked to: the time between is left out, but counts for the deadline. */
static void leave_out(npi_facts *f, uint64_t gap_ns)
{
    f->standstill.total_ns += gap_ns;
    f->standstill.resumed_ns = f->now_ns;
    npi_rate_pass(&f->rate, gap_ns);
    if (f->config.deadline_ns != NPI_NEVER)
        f->config.deadline_ns -= gap_ns < f->config.deadline_ns ? gap_ns : f->config.deadline_ns;
    npi_log_write(&f->config.log, NP_LOG_INFO, "the program stood still for %u ms", (unsigned)(gap_ns / NPI_MS));
}

/*
 * When the driver should have come. What arrives wakes it up; a server that is added does not, for the driver has just
 * come with it. The first time never has to be: it may have begun long after the start.
 */
static uint64_t expected_ns_of(const npi_engine *e)
{
    if (e->has_arrival && e->wake_ns != NPI_NEVER)
        return e->facts.now_ns;
    return npi_time_max(e->facts.now_ns, e->wake_ns);
}

/* time_ns is the driver's. */
static void move_clock(npi_engine *e, uint64_t time_ns)
{
    npi_facts *f = &e->facts;
    uint64_t now_ns = time_ns - f->standstill.total_ns;
    uint64_t expected_ns = expected_ns_of(e);
    if (time_ns < f->standstill.total_ns || now_ns <= f->now_ns)
        return;
    bool late = expected_ns != NPI_NEVER && now_ns > npi_time_add(expected_ns, NPI_STANDSTILL_NS);
    f->now_ns = late ? expected_ns : now_ns;
    if (late)
        leave_out(f, now_ns - expected_ns);
}

static void engine_finish(npi_facts *f, int32_t error, int os_error)
{
    if (f->done)
        return;
    f->done = true;
    f->error = error;
    f->os_error = os_error;
    f->end_ns = f->now_ns;
    npi_event_conclusions(f);
}

void npi_engine_stop(npi_engine *e, uint64_t now_ns, int32_t error, int os_error)
{
    move_clock(e, now_ns);
    engine_finish(&e->facts, error, os_error);
    npi_optional_stop(&e->facts);
}

void npi_engine_mute(npi_engine *e)
{
    e->facts.config.log.sink = NULL;
    e->facts.config.observer.sink = NULL;
}

static bool is_used_by_check(const npi_facts *f, int slot)
{
    if (slot == NPI_SLOT_SOURCE || npi_path_needs_slot(f, slot) || npi_look_needs_slot(f, slot))
        return true;
    for (size_t i = 0; i < f->trial_count; i++) {
        if (f->trials[i].filtering.slot == slot)
            return f->trials[i].phase != NPI_PHASE_DONE;
    }
    return false;
}

bool npi_engine_wants_gateway(const npi_engine *e, npi_addr *towards)
{
    const npi_addr *wanted = npi_nat_behind_towards(&e->facts);
    if (wanted != NULL)
        *towards = *wanted;
    return wanted != NULL;
}

void npi_engine_set_gateway(npi_engine *e, const npi_addr *gateway)
{
    e->is_at_rest = false;
    npi_nat_behind_found(&e->facts, gateway);
}

bool npi_engine_slot_in_use(const npi_engine *e, int slot)
{
    const npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return false;
    if (f->done)
        return slot == NPI_SLOT_SOURCE || npi_optional_needs_slot(f, slot);
    return is_used_by_check(f, slot) || npi_optional_needs_slot(f, slot);
}

bool npi_engine_has_heard(const npi_engine *e)
{
    return e->facts.any_answer;
}

uint64_t npi_engine_first_sent_ns(const npi_engine *e)
{
    return npi_time_add(e->facts.traffic.first_sent_ns, e->facts.standstill.total_ns);
}

npi_reason npi_engine_filtering_reason(const npi_engine *e)
{
    return npi_result_filtering_reason(&e->facts);
}

void npi_engine_result(const npi_engine *e, uint64_t now_ns, np_result *out)
{
    const npi_facts *f = &e->facts;
    uint64_t time_ns = now_ns - f->standstill.total_ns;
    if (!e->has_verdict) {
        npi_result_write(f, time_ns, out);
        return;
    }
    *out = e->verdict;
    out->packets_sent = f->traffic.sent;
    out->packets_received = f->traffic.received;
    if (npi_optional_is_over(f))
        time_ns = f->optional.end_ns;
    out->elapsed_us = npi_facts_elapsed_ns(f, time_ns) / 1000;
    npi_optional_write(f, out);
}

/* ---- Going on --------------------------------------------------------------------------------------------------- */

static uint64_t engine_decide(npi_facts *f)
{
    uint64_t exhausted_ns = npi_schedule_all_exhausted_ns(f);
    npi_verdict verdict = npi_verdict_decide(f, exhausted_ns <= f->now_ns);
    if (verdict.next == NPI_VERDICT_OVER)
        engine_finish(f, verdict.error, verdict.os_error);
    else if (verdict.next == NPI_VERDICT_RECONFIRM)
        npi_schedule_reconfirm(f);
    else if (verdict.next == NPI_VERDICT_LOOK)
        npi_look_ask(f);
    return npi_wake_min(verdict.wake_ns, exhausted_ns, f->now_ns);
}

static uint64_t advance_trials(npi_facts *f)
{
    uint64_t wake_ns = NPI_NEVER;
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_trial *t = &f->trials[i];
        uint64_t exhausted_ns = npi_schedule_exhausted_ns(f, npi_trial_server(f, t));
        uint64_t others_ns = NPI_NOW;
        if (t->control.stage == NPI_MAPPING_DEFERRED)
            others_ns = npi_schedule_can_go_on_until_ns(f);
        else if (t->phase != NPI_PHASE_DONE && npi_schedule_others_can_help(f, t->server))
            others_ns = NPI_NEVER;
        wake_ns = npi_wake_min(wake_ns, others_ns, f->now_ns);
        wake_ns = npi_time_min(wake_ns, npi_trial_advance(f, t, exhausted_ns <= f->now_ns, others_ns > f->now_ns));
    }
    return wake_ns;
}

/* Without a verdict there is nothing to add to. */
static void begin_optional(npi_engine *e)
{
    npi_facts *f = &e->facts;
    if (f->error != NP_OK) {
        npi_optional_stop(f);
        return;
    }
    npi_result_write(f, f->end_ns, &e->verdict);
    e->has_verdict = true;
}

/* What comes after the end of the check. */
static void advance_optional(npi_engine *e)
{
    if (npi_optional_is_over(&e->facts))
        return;
    if (!e->has_verdict)
        begin_optional(e);
    e->wake_ns = npi_optional_is_over(&e->facts) ? NPI_NEVER : npi_optional_advance(&e->facts);
    e->at_once = false;
    e->has_arrival = false;
}

static uint64_t advance_check(npi_facts *f)
{
    uint64_t wake_ns = npi_time_min(f->config.deadline_ns, engine_decide(f));
    if (!f->done)
        wake_ns = npi_time_min(wake_ns, npi_schedule_step(f));
    if (!f->done) {
        wake_ns = npi_time_min(wake_ns, advance_trials(f));
        wake_ns = npi_time_min(wake_ns, npi_path_step(f));
        /* What the trials found may be the verdict, or a reason to turn to the next server. */
        wake_ns = npi_time_min(wake_ns, engine_decide(f));
    }
    if (!f->done)
        wake_ns = npi_time_min(wake_ns, npi_schedule_step(f));
    npi_event_conclusions(f);
    return wake_ns;
}

void npi_engine_advance(npi_engine *e, uint64_t now_ns)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    move_clock(e, now_ns);
    /* Woken early, as by a flood of what answers nothing: nothing can have become due. */
    if (!f->done && e->is_at_rest && !e->at_once && f->now_ns < e->wake_ns)
        return;
    if (!f->done) {
        e->wake_ns = advance_check(f);
        e->at_once = false;
        e->has_arrival = false;
        e->is_at_rest = true;
    }
    if (f->done)
        advance_optional(e);
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

bool npi_engine_next_datagram(npi_engine *e, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return false;
    npi_due due = npi_outbox_next_due(f);
    if (due.exchange == NULL) {
        e->wake_ns = npi_time_min(e->wake_ns, due.wake_ns);
        return false;
    }
    e->is_at_rest = false;
    npi_outbox_emit(f, &due, random, out);
    return true;
}

void npi_engine_sent(npi_engine *e, const npi_datagram *d)
{
    npi_outbox_sent(&e->facts, d);
    npi_event_sent(&e->facts, d->exchange);
}

void npi_engine_unsent(npi_engine *e, uint64_t now_ns, const npi_datagram *d, int32_t error, int os_error)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    move_clock(e, now_ns);
    npi_outbox_unsent(f, d, error, os_error);
    e->at_once = true;
}

void npi_engine_no_socket(npi_engine *e, uint64_t now_ns, const npi_datagram *d)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    move_clock(e, now_ns);
    npi_outbox_take_back(f, d);
    d->exchange->failed = d->slot >= NPI_SLOT_PATH;
    f->looks.has_no_socket |= d->slot >= NPI_SLOT_LOOK && d->slot < NPI_SLOT_OPTIONAL;
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_filtering *p = &f->trials[i].filtering;
        p->has_no_socket |= p->slot == d->slot;
    }
    e->at_once = true;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

bool npi_engine_match(npi_engine *e, int slot, const uint8_t *data, size_t size, npi_incoming *in)
{
    in->slot = slot;
    in->origin = (npi_origin){NULL, NULL, NULL};
    in->data = data;
    in->size = size;
    if (npi_stun_decode(data, size, &in->response) != NPI_STUN_DROP)
        in->origin = npi_facts_find(&e->facts, slot, &in->response.id);
    in->errand = npi_errand_of(&e->facts, slot, &in->response, data, size);
    return in->origin.exchange != NULL || in->errand != NULL;
}

static bool has_other_server(const npi_facts *f, const npi_server *s)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (&f->servers[i] != s && !f->servers[i].is_unsteady)
            return true;
    }
    return false;
}

/*
 * The address changed once: everything is asked anew. Twice: there is no use, unless it is one server that says so both
 * times. That one is left out: if the others see a change too, that is the end.
 */
static void restart(npi_facts *f, npi_server *s)
{
    bool is_suspect = ++s->changes > 1 && !f->left_out_unsteady && has_other_server(f, s);
    if (f->restarted && !is_suspect) {
        engine_finish(f, NP_ERR_ADDRESS_CHANGED, 0);
        return;
    }
    if (f->restarted) {
        s->is_unsteady = true;
        f->left_out_unsteady = true;
    }
    npi_schedule_restart(f);
}

/* What is known before the answer is told to anybody. */
static void note_arrival(npi_facts *f, const npi_origin *o, int slot, const npi_addr *local)
{
    if (o->exchange->change == 0)
        o->server->contact = NPI_HAS_ANSWERED;
    if (o->trial != NULL && slot != NPI_SLOT_SOURCE)
        npi_trial_note_heard(f, o->trial, o->exchange);
    if (!npi_exchange_is_answered(o->exchange) && local != NULL)
        o->exchange->local = npi_addr_unmap(local);
    f->any_answer = true;
    f->traffic.last_heard_ns = f->now_ns;
}

/* A socket that the check has no use for, but an optional test may have. */
static bool is_kept_open(const npi_facts *f, int slot)
{
    return f->optional.stage != NPI_OPTIONAL_NONE && !is_used_by_check(f, slot);
}

static void take_errand(npi_engine *e, const npi_incoming *in, const npi_addr *from, const npi_addr *local)
{
    npi_facts *f = &e->facts;
    npi_addr source = npi_addr_unmap(from);
    e->at_once = true;
    e->has_arrival = true;
    if (in->errand->payload == NPI_PAYLOAD_STUN)
        npi_event_answered(f, &in->errand->x, &source, &in->response);
    npi_errand_take(f, in->errand, &in->response, &source, local, in->data, in->size);
}

void npi_engine_receive(npi_engine *e, uint64_t arrived_ns, const npi_incoming *in, const npi_addr *from,
                        const npi_addr *local)
{
    npi_facts *f = &e->facts;
    if (npi_engine_is_done(e))
        return;
    f->traffic.received++;
    npi_answer answer = {.origin = in->origin, .from = npi_addr_unmap(from), .response = in->response};
    npi_exchange *x = in->origin.exchange;
    bool is_stray = in->errand == NULL && (x == NULL || !npi_answers_is_from_destination(x, &answer.from));
    /* A stray must not make an answer look late that came before it and is read after it. */
    if (!is_stray)
        move_clock(e, arrived_ns);
    if (in->errand != NULL) {
        take_errand(e, in, from, local);
        return;
    }
    if (f->done || is_kept_open(f, in->slot)) /* without optional tests it would not be heard of */
        return;
    if (is_stray) {
        e->is_at_rest &= f->any_unusable; /* a second one says no more than the first */
        npi_answers_note_stray(f, x, &answer.from);
        return;
    }
    x = answer.origin.exchange = npi_again_take(f, answer.origin.server, x);
    note_arrival(f, &answer.origin, in->slot, local);
    e->at_once = true;
    e->has_arrival = true;
    npi_event_answered(f, x, &answer.from, &answer.response);
    npi_taken taken = npi_answers_take(f, &answer);
    if (taken != NPI_TAKEN)
        restart(f, in->origin.server);
    if (taken == NPI_TAKEN_CONTRADICTION)
        f->evidence |= NP_EVIDENCE_CONTRADICTION;
}

/* ---- engine/errand.c -------------------- */

/* Requests that are no part of the check. */

#include <string.h>

/* ---- Asking ----------------------------------------------------------------------------------------------------- */

int npi_errand_slot(npi_facts *f)
{
    npi_optional *o = &f->optional;
    return o->sockets < NPI_OPTIONAL_SOCKETS ? NPI_SLOT_OPTIONAL + o->sockets++ : -1;
}

static npi_errand *find_errand_place(npi_optional *o)
{
    for (size_t i = 0; i < o->errands; i++) {
        if (o->errand[i].is_free)
            return &o->errand[i];
    }
    return o->errands < o->errand_room ? &o->errand[o->errands++] : NULL;
}

static npi_errand *make_errand(npi_facts *f, const char *name, int slot, const npi_addr *to, uint32_t change)
{
    npi_errand *e = slot >= 0 ? find_errand_place(&f->optional) : NULL;
    if (e == NULL)
        return NULL;
    memset(e, 0, sizeof *e);
    npi_exchange_ask(&e->x, name, to, change, NPI_OPTIONAL_COPIES);
    e->x.slot = slot;
    e->x.sent_in_rounds = true;
    e->server = -1;
    e->heard_slot = slot;
    e->gap_ns = NPI_OPTIONAL_GAP_NS;
    e->goes_on = change != 0; /* the silence of one copy among others shows a loss, or the server's refusal */
    return e;
}

npi_errand *npi_errand_ask(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to, uint32_t change)
{
    npi_errand *e = make_errand(f, name, slot, to, change);
    if (e != NULL)
        e->server = (int)server;
    return e;
}

npi_errand *npi_errand_ask_to(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to,
                              uint16_t response_port, int heard_slot)
{
    npi_errand *e = npi_errand_ask(f, name, server, slot, to, 0);
    if (e != NULL) {
        e->response_port = response_port;
        e->heard_slot = heard_slot;
    }
    return e;
}

bool npi_errand_open_way(npi_facts *f, const char *name, size_t server, const npi_addr *alternate,
                         npi_errand *opener[2])
{
    int slot = npi_errand_slot(f);
    opener[0] = npi_errand_ask(f, name, server, slot, &f->servers[server].address, 0);
    opener[1] = npi_errand_ask(f, name, server, slot, alternate, 0);
    return opener[0] != NULL && opener[1] != NULL;
}

npi_errand *npi_errand_indicate(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to)
{
    npi_errand *e = npi_errand_ask(f, name, server, slot, to, 0);
    if (e != NULL)
        e->payload = NPI_PAYLOAD_INDICATION;
    return e;
}

npi_errand *npi_errand_echo(npi_facts *f, const char *name, int slot, const npi_addr *to, int heard_slot)
{
    npi_errand *e = make_errand(f, name, slot, to, 0);
    if (e != NULL) {
        e->payload = NPI_PAYLOAD_ECHO;
        e->heard_slot = heard_slot;
    }
    return e;
}

npi_errand *npi_errand_raw(npi_facts *f, const char *name, int slot, const npi_addr *to, const uint8_t *data,
                           size_t size)
{
    npi_errand *e = size <= NPI_ERRAND_DATA ? make_errand(f, name, slot, to, 0) : NULL;
    if (e != NULL) {
        e->payload = NPI_PAYLOAD_RAW;
        e->sent_size = size;
        memcpy(e->sent_data, data, size);
    }
    return e;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static bool is_errand_answer(const npi_errand *e, const npi_stun_response *response, const uint8_t *data, size_t size)
{
    uint8_t request[NPI_STUN_REQUEST_SIZE];
    switch (e->payload) {
    case NPI_PAYLOAD_STUN:
    case NPI_PAYLOAD_INDICATION: /* of a server that does so nevertheless */
        return response->kind != NPI_STUN_DROP && npi_stun_id_equal(&e->x.t.id, &response->id);
    case NPI_PAYLOAD_ECHO:
        return size == npi_stun_encode_request(request, &e->x.t.id, e->x.change) && memcmp(data, request, size) == 0;
    default:
        return true;
    }
}

npi_errand *npi_errand_of(npi_facts *f, int slot, const npi_stun_response *response, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < f->optional.errands; i++) {
        npi_errand *e = &f->optional.errand[i];
        if (e->x.t.started && e->heard_slot == slot && is_errand_answer(e, response, data, size))
            return e;
    }
    return NULL;
}

/* No id tells whose answer it is: it has to come from where the request went. */
static bool is_raw_answer(const npi_errand *e, const npi_addr *from, const uint8_t *data, size_t size)
{
    npi_addr source = npi_addr_unmap(from);
    return npi_addr_equal(&source, &e->x.to) && (e->is_answer == NULL || e->is_answer(data, size));
}

static void note_errand_addresses(const npi_facts *f, npi_errand *e, const npi_stun_response *response)
{
    const npi_server *s = &f->servers[e->server];
    e->x.external = response->mapped;
    if (npi_addr_is_alternate(&s->address, &response->other))
        e->other = npi_addr_with_scope(&response->other, s->address.scope);
}

void npi_errand_take(npi_facts *f, npi_errand *e, const npi_stun_response *response, const npi_addr *from,
                     const npi_addr *local, const uint8_t *data, size_t size)
{
    bool is_first = !npi_exchange_is_answered(&e->x);
    if (e->payload == NPI_PAYLOAD_RAW && !is_raw_answer(e, from, data, size))
        return;
    bool is_stun = e->payload == NPI_PAYLOAD_STUN || e->payload == NPI_PAYLOAD_INDICATION;
    if (is_stun && response->kind != NPI_STUN_SUCCESS) {
        e->x.failed = true; /* the server does not do what was asked */
        return;
    }
    (void)npi_transaction_answered(&e->x.t, f->now_ns, NULL, false);
    if (!is_first)
        return;
    if (!e->goes_on)
        npi_transaction_stop(&e->x.t);
    e->from = npi_addr_unmap(from);
    if (local != NULL)
        e->x.local = npi_addr_unmap(local);
    if (is_stun)
        note_errand_addresses(f, e, response);
    if (e->payload == NPI_PAYLOAD_RAW) {
        e->heard_size = size < sizeof e->heard_data ? size : sizeof e->heard_data;
        memcpy(e->heard_data, data, e->heard_size);
    }
}

/* ---- How it stands ---------------------------------------------------------------------------------------------- */

bool npi_errand_is_answered(const npi_errand *e)
{
    return npi_exchange_is_answered(&e->x);
}

void npi_errand_stop(npi_errand *e)
{
    e->x.queued = false;
    npi_transaction_stop(&e->x.t);
}

void npi_errand_release(npi_errand *e)
{
    e->x.queued = false; /* neither sent nor answered any more */
    e->x.t.started = false;
    e->is_free = true;
}

static uint64_t errand_patience_ns(const npi_facts *f, const npi_errand *e)
{
    const npi_rtt *rtt = e->server >= 0 ? &f->servers[e->server].rtt : NULL;
    uint64_t twice_ns = rtt != NULL && rtt->samples > 0 ? 2 * npi_rtt_rto(rtt) : 0;
    return npi_time_max(NPI_OPTIONAL_WAIT_NS, twice_ns);
}

uint64_t npi_errand_over_ns(const npi_facts *f, const npi_errand *e)
{
    return npi_exchange_over_ns(&e->x, errand_patience_ns(f, e));
}

bool npi_errand_is_complete(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    bool is_all_answered = e->x.t.sent >= e->x.t.limit && e->x.t.answers >= e->x.t.sent && e->x.t.started;
    return is_all_answered || npi_time_has_come(npi_errand_over_ns(f, e), f->now_ns, wake_ns);
}

void npi_errand_count(const npi_facts *f, const npi_errand *e, npi_loss *loss)
{
    npi_echo echo = {f->duplicated, e->x.t.sent, e->x.t.sent};
    npi_loss_add(loss, &e->x.t, f->now_ns, errand_patience_ns(f, e), &echo);
}

bool npi_errand_is_settled(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    return npi_errand_is_answered(e) || npi_time_has_come(npi_errand_over_ns(f, e), f->now_ns, wake_ns);
}

/* ---- engine/events.c -------------------- */

/* What is told of the experiment while it goes on: events for the observer, and a line for each test in the log. */

#include <string.h>

_Static_assert(sizeof(np_event) == 256, "np_event is 256 bytes for the life of the ABI");
_Static_assert(sizeof((np_event){0}.remote) >= NPI_ADDR_TEXT, "an address fits an event");

static np_event make_event(const npi_facts *f, int32_t kind, int32_t purpose)
{
    np_event e;
    memset(&e, 0, sizeof e);
    e.kind = kind;
    e.purpose = purpose;
    e.time_us = npi_facts_elapsed_ns(f, f->now_ns) / 1000;
    return e;
}

static void events_write_address(char *out, const npi_addr *address)
{
    char text[NPI_ADDR_TEXT];
    npi_addr_format(address, text);
    memcpy(out, text, strlen(text));
}

static void events_tell(const npi_facts *f, const np_event *e)
{
    f->config.observer.sink(e, f->config.observer.user);
}

static bool is_watched(const npi_facts *f)
{
    return f->config.observer.sink != NULL;
}

/* ---- Requests and answers --------------------------------------------------------------------------------------- */

/* A fresh socket's plain request that compares what destinations see. */
static bool is_comparison(const npi_facts *f, const npi_exchange *x)
{
    if (x->slot >= NPI_SLOT_LOOK)
        return true;
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (t->filtering.slot == x->slot && !npi_addr_equal(&npi_trial_server(f, t)->address, &x->to))
            return true;
    }
    return false;
}

static np_event make_test_event(const npi_facts *f, int32_t kind, const npi_exchange *x)
{
    int32_t purpose = x->change != 0 ? NP_PURPOSE_CONTROL : NP_PURPOSE_MAPPING;
    if (x->slot != NPI_SLOT_SOURCE && !is_comparison(f, x))
        purpose = NP_PURPOSE_FILTERING;
    const npi_errand *errand = npi_facts_errand(f, x);
    if (errand != NULL)
        purpose = NP_PURPOSE_OPTIONAL;
    np_event e = make_event(f, kind, purpose);
    if (errand != NULL && errand->payload != NPI_PAYLOAD_STUN) /* an indication is no request */
        e.request = 0;
    else if (x->change == 0)
        e.request = NP_REQUEST_I;
    else
        e.request = (x->change & NPI_STUN_CHANGE_IP) != 0 ? NP_REQUEST_II : NP_REQUEST_III;
    return e;
}

static double elapsed_ms(const npi_facts *f)
{
    return (double)npi_facts_elapsed_ns(f, f->now_ns) / 1e6;
}

static void log_sent(const npi_facts *f, const npi_exchange *x)
{
    char text[NPI_ADDR_TEXT];
    if (!npi_log_wants(&f->config.log, NP_LOG_DEBUG))
        return;
    npi_addr_format(&x->to, text);
    npi_log_write(&f->config.log, NP_LOG_DEBUG, "%7.1f ms  send  %s to %s, copy %u", elapsed_ms(f), x->name, text,
                  (unsigned)x->t.sent);
}

void npi_event_sent(const npi_facts *f, const npi_exchange *x)
{
    log_sent(f, x);
    if (!is_watched(f))
        return;
    np_event e = make_test_event(f, NP_EVENT_SENT, x);
    e.copy = x->t.sent;
    events_write_address(e.remote, &x->to);
    events_tell(f, &e);
}

static void log_answered(const npi_facts *f, const npi_exchange *x, const npi_addr *from, const npi_stun_response *r)
{
    char source[NPI_ADDR_TEXT];
    char mapped[NPI_ADDR_TEXT];
    if (!npi_log_wants(&f->config.log, NP_LOG_DEBUG))
        return;
    npi_addr_format(from, source);
    npi_addr_format(&r->mapped, mapped);
    if (r->kind == NPI_STUN_SUCCESS)
        npi_log_write(&f->config.log, NP_LOG_DEBUG, "%7.1f ms  heard %s from %s: %s", elapsed_ms(f), x->name, source,
                      mapped);
    else
        npi_log_write(&f->config.log, NP_LOG_DEBUG, "%7.1f ms  heard %s from %s: error %u", elapsed_ms(f), x->name,
                      source, (unsigned)r->error_code);
}

void npi_event_answered(const npi_facts *f, const npi_exchange *x, const npi_addr *from, const npi_stun_response *r)
{
    log_answered(f, x, from, r);
    if (!is_watched(f))
        return;
    np_event e = make_test_event(f, NP_EVENT_ANSWERED, x);
    events_write_address(e.remote, from);
    if (r->kind == NPI_STUN_SUCCESS)
        events_write_address(e.external, &r->mapped);
    else
        e.stun_error = r->error_code;
    events_tell(f, &e);
}

void npi_event_progress(const npi_facts *f, int32_t test, uint32_t done_s, uint32_t total_s)
{
    if (!is_watched(f))
        return;
    np_event e = make_event(f, NP_EVENT_PROGRESS, NP_PURPOSE_OPTIONAL);
    e.test = test;
    e.done_s = done_s;
    e.total_s = total_s;
    events_tell(f, &e);
}

/* ---- Conclusions ------------------------------------------------------------------------------------------------ */

/*
 * What rests on silence may still be contradicted until its trial is over. And while fresh sockets are asked, any
 * finding may turn out to be another NAT's.
 */
static bool is_concluded(const npi_facts *f, const npi_trial *t)
{
    if (t->filtering.slot == NPI_SLOT_SOURCE || t->finding.state != NPI_DECIDED)
        return false;
    if (f->done || f->path.state == NPI_PATH_ASKING)
        return f->done;
    return t->phase == NPI_PHASE_DONE || t->finding.filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

static void tell_filtering(const npi_facts *f, const npi_trial *t)
{
    np_event e = make_event(f, NP_EVENT_CONCLUDED, NP_PURPOSE_FILTERING);
    e.behaviour = t->finding.filtering;
    events_write_address(e.remote, &npi_trial_server(f, t)->address);
    events_tell(f, &e);
}

void npi_event_conclusions(npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_trial *t = &f->trials[i];
        if (!is_watched(f) || !is_concluded(f, t)) /* a callback may have ended the watching */
            continue;
        t->finding.state = NPI_REPORTED;
        tell_filtering(f, t);
    }
}

/* ---- engine/facts.c -------------------- */

/* Records and look-ups. */

#include <string.h>

/* Bytes of an id that are random in both dialects, and the first of them. */
#define RANDOM_BYTES 12
#define RANDOM_FROM 4

/* ---- Requests --------------------------------------------------------------------------------------------------- */

void npi_exchange_init(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change,
                       uint32_t max_copies)
{
    memset(x, 0, sizeof *x);
    x->name = name;
    x->slot = slot;
    x->to = *to;
    x->change = change;
    x->max_copies = max_copies;
}

void npi_exchange_ask(npi_exchange *x, const char *name, const npi_addr *to, uint32_t change, uint32_t max_copies)
{
    npi_exchange_init(x, name, NPI_SLOT_SOURCE, to, change, max_copies);
    x->queued = true;
}

bool npi_exchange_is_answered(const npi_exchange *x)
{
    return npi_transaction_is_answered(&x->t);
}

bool npi_exchange_has_external(const npi_exchange *x)
{
    return npi_exchange_is_answered(x) && npi_addr_is_set(&x->external);
}

bool npi_exchange_is_unsent(const npi_exchange *x)
{
    return x->unsent && !npi_exchange_is_answered(x);
}

bool npi_exchange_was_asked(const npi_exchange *x)
{
    return x->queued || x->t.started || x->failed;
}

uint64_t npi_exchange_over_ns(const npi_exchange *x, uint64_t age_ns)
{
    if (x->failed)
        return NPI_NOW;
    if (!x->t.started)
        return x->queued ? NPI_NEVER : NPI_NOW;
    if (x->t.sent < x->t.limit && !x->t.stopped)
        return NPI_NEVER;
    return npi_transaction_all_aged_ns(&x->t, age_ns);
}

/* ---- All requests ----------------------------------------------------------------------------------------------- */

/* Requests of one kind that go to one server, and the trial that they are a part of. */
typedef struct group {
    const npi_exchange *x;
    int count;
    size_t server;
    bool has_trial;
} group;

enum { GROUP_SERVER, GROUP_FILTERING, GROUP_LATE, GROUP_CONTROL, GROUPS_OF_SERVER };

static group group_of_server(const npi_facts *f, size_t server, size_t kind)
{
    const npi_server *s = &f->servers[server];
    const npi_trial *t = npi_server_trial(f, s);
    if (kind == GROUP_SERVER)
        return (group){s->x, npi_server_is_started(s) ? NPI_SERVER_EXCHANGES : 0, server, false};
    if (t == NULL)
        return (group){NULL, 0, server, false};
    if (kind == GROUP_FILTERING)
        return (group){t->filtering.x, NPI_FILTERING_EXCHANGES, server, true};
    if (kind == GROUP_LATE)
        return (group){&t->filtering.late, 1, server, true};
    return (group){t->control.x, NPI_CONTROL_EXCHANGES, server, true};
}

/* Each request of the experiment is in one of these groups. False: there are not so many. */
static bool get_group(const npi_facts *f, size_t index, group *out)
{
    if (index < f->server_count * GROUPS_OF_SERVER) {
        *out = group_of_server(f, index / GROUPS_OF_SERVER, index % GROUPS_OF_SERVER);
        return true;
    }
    index -= f->server_count * GROUPS_OF_SERVER;
    if (index == 0) {
        *out = (group){f->path.x, (int)f->path.asked, f->path.server, false};
        return true;
    }
    size_t look = (index - 1) / NPI_LOOK_EXCHANGES;
    size_t k = (index - 1) % NPI_LOOK_EXCHANGES;
    if (look >= f->looks.asked)
        return false;
    *out = (group){&f->looks.look[look].x[k], 1, f->looks.look[look].server[k], true};
    return true;
}

static const npi_exchange *find_among(const group *g, int slot, const npi_stun_id *id)
{
    for (int i = 0; i < g->count; i++) {
        if (g->x[i].t.started && g->x[i].slot == slot && npi_stun_id_equal(&g->x[i].t.id, id))
            return &g->x[i];
    }
    return NULL;
}

npi_origin npi_facts_find(npi_facts *f, int slot, const npi_stun_id *id)
{
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        const npi_exchange *x = find_among(&g, slot, id);
        if (x == NULL)
            continue;
        npi_server *s = &f->servers[g.server];
        npi_trial *t = g.has_trial && s->trial >= 0 ? &f->trials[s->trial] : NULL;
        return (npi_origin){s, t, (npi_exchange *)(uintptr_t)x}; /* f is not const here, nor is what it holds */
    }
    return (npi_origin){NULL, NULL, NULL};
}

const npi_errand *npi_facts_errand(const npi_facts *f, const npi_exchange *x)
{
    for (size_t i = 0; i < f->optional.errands; i++) {
        if (&f->optional.errand[i].x == x)
            return &f->optional.errand[i];
    }
    return NULL;
}

void npi_facts_each(const npi_facts *f, npi_visit_fn visit, void *user)
{
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        for (int k = 0; k < g.count; k++)
            visit(&f->servers[g.server], &g.x[k], user);
    }
}

/* ---- Servers and trials ----------------------------------------------------------------------------------------- */

bool npi_server_is_started(const npi_server *s)
{
    return s->contact != NPI_NOT_ASKED;
}

bool npi_server_has_answered(const npi_server *s)
{
    return s->contact == NPI_HAS_ANSWERED;
}

size_t npi_facts_count_started(const npi_facts *f)
{
    size_t started = 0;
    for (size_t i = 0; i < f->server_count; i++)
        started += npi_server_is_started(&f->servers[i]);
    return started;
}

uint32_t npi_facts_budget(const npi_facts *f, uint32_t datagrams, uint32_t more)
{
    return f->server_count > 2 ? datagrams + more * (uint32_t)(f->server_count - 2) : datagrams;
}

static void forget_round_trips(npi_server *s)
{
    s->late_answers = 0;
    s->is_last_late = false;
    memset(&s->rtt, 0, sizeof s->rtt);
}

void npi_server_woke(npi_server *s, uint64_t rtt_ns)
{
    s->woke_ns = s->suspect_ns;
    forget_round_trips(s);
    npi_rtt_sample(&s->rtt, rtt_ns, NPI_RTT_AMBIGUOUS);
}

void npi_server_forget_path(npi_server *s)
{
    s->suspect_ns = s->suspect_took_ns = s->suspect_rtt_ns = s->woke_ns = 0;
    s->heard_ns = s->service_ns = s->clear_ns = 0;
    s->last_heard = NULL;
    forget_round_trips(s);
}

void npi_server_ask_again(npi_server *s)
{
    npi_exchange_ask(&s->x[NPI_RECHECK], "I again", &s->address, 0, NPI_ALTERNATE_COPIES);
}

bool npi_server_is_slow(const npi_server *s)
{
    return s->late_answers >= NPI_SLOW_ANSWERS;
}

bool npi_facts_tests_filtering(const npi_facts *f)
{
    return (f->config.tests & NP_TESTS_FILTERING) != 0;
}

size_t npi_facts_count_fell_silent(const npi_facts *f)
{
    size_t silent = 0;
    for (size_t i = 0; i < f->server_count; i++)
        silent += f->servers[i].fell_silent;
    return silent;
}

uint32_t npi_server_copies_before(const npi_facts *f, const npi_server *s, uint64_t when_ns)
{
    uint32_t copies = 0;
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        for (int k = 0; k < g.count && &f->servers[g.server] == s; k++)
            copies += g.x[k].t.sent - npi_transaction_sent_since(&g.x[k].t, when_ns);
    }
    return copies;
}

uint32_t npi_server_copies(const npi_facts *f, const npi_server *s)
{
    return npi_server_copies_before(f, s, NPI_NEVER);
}

const npi_trial *npi_server_trial(const npi_facts *f, const npi_server *s)
{
    return s->trial >= 0 ? &f->trials[s->trial] : NULL;
}

/* In rounds each copy matters, also those of a request that has been answered before. */
static bool any_round_is_unsent(const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (p->x[i].unsent)
            return true;
    }
    return false;
}

static bool any_is_unsent(const npi_exchange *x, int count)
{
    for (int i = 0; i < count; i++) {
        if (npi_exchange_is_unsent(&x[i]))
            return true;
    }
    return false;
}

bool npi_trial_is_unsent(const npi_trial *t)
{
    return any_round_is_unsent(&t->filtering) || any_is_unsent(t->control.x, NPI_CONTROL_EXCHANGES);
}

bool npi_facts_is_unsent(const npi_facts *f)
{
    bool is_unsent = false;
    group g;
    for (size_t i = 0; get_group(f, i, &g); i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[g.server]);
        is_unsent |= any_is_unsent(g.x, g.count) || (g.has_trial && t != NULL && any_round_is_unsent(&t->filtering));
    }
    return is_unsent;
}

const npi_server *npi_trial_server(const npi_facts *f, const npi_trial *t)
{
    return &f->servers[t->server];
}

uint64_t npi_trial_rto(const npi_facts *f, const npi_trial *t)
{
    return npi_rtt_rto(&npi_trial_server(f, t)->rtt);
}

uint64_t npi_trial_far_rto(const npi_facts *f, const npi_trial *t)
{
    uint64_t alternate = t->alternate_rtt.samples > 0 ? npi_rtt_rto(&t->alternate_rtt) : 0;
    return npi_time_max(npi_trial_rto(f, t), alternate);
}

npi_addr npi_server_expected_source(const npi_server *s, uint32_t change)
{
    return (change & NPI_STUN_CHANGE_IP) != 0 ? s->alternate : npi_addr_with_port(&s->address, s->alternate.port);
}

uint8_t npi_filtering_random(const npi_filtering *p, uint32_t round)
{
    return p->x[NPI_F_I].t.id.bytes[RANDOM_FROM + round % RANDOM_BYTES];
}

typedef bool (*same_fn)(const npi_addr *, const npi_addr *);

static bool has_contacted(const npi_facts *f, const npi_addr *address, same_fn is_same)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if ((npi_server_is_started(s) || s->started_before_restart) && is_same(&s->address, address))
            return true;
    }
    for (size_t i = 0; i < f->trial_count; i++) {
        for (int k = NPI_M_BP; k <= NPI_M_AQ; k++) {
            const npi_exchange *x = &f->trials[i].control.x[k];
            if (x->t.sent > 0 && is_same(&x->to, address))
                return true;
        }
    }
    return false;
}

bool npi_facts_has_contacted(const npi_facts *f, const npi_addr *address)
{
    return has_contacted(f, address, npi_addr_equal);
}

bool npi_facts_has_contacted_ip(const npi_facts *f, const npi_addr *address)
{
    return has_contacted(f, address, npi_addr_same_ip);
}

static uint32_t copies_used(const npi_exchange *x, bool over, const npi_addr *to)
{
    if (x->change != 0 || !npi_exchange_was_asked(x) || !npi_addr_equal(&x->to, to))
        return 0;
    return over || x->failed || npi_exchange_is_answered(x) ? x->t.sent : x->max_copies;
}

static uint32_t copies_of_looks(const npi_facts *f, bool over, const npi_addr *to)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++)
            used += copies_used(&f->looks.look[i].x[k], over, to);
    }
    return used;
}

uint32_t npi_facts_most_copies_of_looks(const npi_facts *f)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
            uint32_t used = copies_of_looks(f, true, &f->looks.look[i].x[k].to);
            most = used > most ? used : most;
        }
    }
    return most;
}

uint32_t npi_facts_copies_left(const npi_facts *f, const npi_addr *to)
{
    uint32_t used = f->looked_before + copies_of_looks(f, false, to);
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        for (int k = 0; k < NPI_CONTROL_EXCHANGES; k++)
            used += copies_used(&t->control.x[k], t->phase == NPI_PHASE_DONE, to);
    }
    return used < NPI_ALTERNATE_COPIES ? NPI_ALTERNATE_COPIES - used : 0;
}

uint64_t npi_facts_elapsed_ns(const npi_facts *f, uint64_t t_ns)
{
    return t_ns - f->start_ns + f->standstill.total_ns;
}

bool npi_facts_has_mapping(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (f->servers[i].has_mapping)
            return true;
    }
    return false;
}

/* ---- Findings --------------------------------------------------------------------------------------------------- */

bool npi_trial_is_decided(const npi_trial *t)
{
    return t->finding.state != NPI_UNDECIDED;
}

static void facts_decide(npi_finding *finding, int32_t filtering, bool proven, npi_reason reason)
{
    if (finding->state == NPI_UNDECIDED)
        finding->state = NPI_DECIDED;
    finding->filtering = filtering;
    finding->proven = proven;
    finding->reason = reason;
}

void npi_take_back(npi_trial *t)
{
    t->finding = (npi_finding){NPI_UNDECIDED, NP_BEHAVIOUR_UNKNOWN, false, NPI_REASON_NONE};
}

void npi_decide(npi_trial *t, int32_t filtering)
{
    facts_decide(&t->finding, filtering, true, NPI_REASON_NONE);
}

void npi_decide_unproven(npi_trial *t, int32_t filtering)
{
    facts_decide(&t->finding, filtering, false, NPI_REASON_NONE);
}

void npi_decide_unknown(npi_facts *f, npi_trial *t, npi_reason reason)
{
    static const char *const words[] = {
        [NPI_REASON_NONE] = "",
        [NPI_REASON_NO_ALTERNATE] = "no second address",
        [NPI_REASON_REFUSED] = "refused second address",
        [NPI_REASON_IGNORED] = "CHANGE-REQUEST ignored",
        [NPI_REASON_PARTIAL] = "CHANGE-REQUEST partly honoured",
        [NPI_REASON_REWRITTEN] = "source addresses rewritten on the path",
        [NPI_REASON_REJECTED] = "CHANGE-REQUEST rejected",
        [NPI_REASON_CONTROL] = "the control was silent",
        [NPI_REASON_RATIONED] = "it answers few CHANGE-REQUESTs",
        [NPI_REASON_LOSS] = "too much loss",
        [NPI_REASON_SLOW] = "it answers too slowly",
        [NPI_REASON_SHUT_OUT] = "it fell silent during the test",
        [NPI_REASON_CONTRADICTION] = "contradictory answers",
        [NPI_REASON_NOT_FRESH] = "its second address was asked before",
        [NPI_REASON_OTHER_PATH] = "fresh sockets take another way than the source",
        [NPI_REASON_NO_SOCKET] = "no second socket",
        [NPI_REASON_UNSENT] = "requests did not leave",
        [NPI_REASON_UNFINISHED] = "not finished",
    };
    char text[NPI_ADDR_TEXT];
    npi_addr_format(&npi_trial_server(f, t)->address, text);
    npi_log_write(&f->config.log, NP_LOG_INFO, "%s cannot tell the filtering: %s", text, words[reason]);
    if (reason == NPI_REASON_CONTROL)
        f->evidence |= NP_EVIDENCE_CONTROL_SILENT;
    if (reason == NPI_REASON_CONTRADICTION)
        f->evidence |= NP_EVIDENCE_CONTRADICTION;
    facts_decide(&t->finding, NP_BEHAVIOUR_UNKNOWN, false, reason);
}
#undef RANDOM_BYTES
#undef RANDOM_FROM

/* ---- engine/far.c -------------------- */

/*
 * The plain requests beside II tell of the path at the time when II left and when answers from A come. If B is farther
 * away, its answers come at another time, of which nothing is known: a burst may have taken all of them.
 */


static bool is_in_doubt(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_exchange *from_a[] = {&p->late, &p->x[NPI_F_I], &p->x[NPI_F_III]};
    const npi_echo echo = {f->duplicated, 1, 1};
    npi_loss loss = {0, 0};
    if (p->ii.outcome != NPI_CHANGE_SILENT || npi_silence_rests_on_iii(p) ||
        t->finding.filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    for (size_t i = 0; i < sizeof from_a / sizeof from_a[0]; i++)
        npi_loss_add(&loss, &from_a[i]->t, f->now_ns, npi_trial_rto(f, t), &echo);
    return loss.lost > 0;
}

/* Of a request that was repeated nobody knows which copy was answered: what counts is the time since the first one. */
static bool is_answered_within(const npi_transaction *x, uint64_t near_ns)
{
    return npi_transaction_is_answered(x) && x->answered_ns - x->first_ns <= near_ns;
}

npi_far npi_far_judge(const npi_facts *f, const npi_trial *t, uint64_t *wake_ns)
{
    const npi_exchange *x = t->control.x;
    uint64_t near_ns = npi_time_add(npi_trial_rto(f, t), NPI_FAR_NS);
    if (!is_in_doubt(f, t))
        return NPI_FAR_IS_NOT;
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        bool is_from_b = i != NPI_M_AQ && i != NPI_M_OTHER && i != NPI_C_III;
        if (is_from_b && is_answered_within(&x[i].t, near_ns))
            return NPI_FAR_IS_NOT;
    }
    for (int i = NPI_M_NEAR; i <= NPI_M_NEAR_LAST && !npi_exchange_is_answered(&x[i]); i++) {
        if (!npi_exchange_was_asked(&x[i]))
            return NPI_FAR_ASK;
        uint64_t over_ns = npi_exchange_over_ns(&x[i], near_ns);
        if (over_ns > f->now_ns) {
            *wake_ns = over_ns;
            return NPI_FAR_WAIT;
        }
    }
    return NPI_FAR_MAY_BE;
}

/* ---- engine/filtering.c -------------------- */

/* The filtering tests on their own socket. */
/* Phase 1 with one server: I, II and III in rounds from a fresh socket, until an answer or a proven silence decides. */
#ifndef NPI_ENGINE_FILTERING_H
#define NPI_ENGINE_FILTERING_H


typedef enum npi_filtering_next {
    NPI_FILTERING_WAIT,
    NPI_FILTERING_MAPPING, /* the filtering is decided as far as phase 1 can: on to phase 2 */
    NPI_FILTERING_FINISH   /* there is no use in phase 2 */
} npi_filtering_next;

typedef struct npi_filtering_step {
    npi_filtering_next next;
    uint64_t wake_ns; /* at or before now: at once */
} npi_filtering_step;

/* The tests from a slot; the first round leaves at once. */
void npi_filtering_init(npi_facts *f, npi_trial *t, int slot);
npi_filtering_step npi_filtering_advance(npi_facts *f, npi_trial *t);
/* No more copies. */
void npi_filtering_stop(npi_filtering *p);
/* Goes on after a stop, with the requests of before. */
void npi_filtering_resume(const npi_facts *f, npi_trial *t);
/* More copies, since the mapping phase showed more losses than were known. */
void npi_filtering_extend(npi_facts *f, npi_trial *t);
/* An answer to II or III, by the flags of its CHANGE-REQUEST. */
void npi_filtering_take_answer(npi_facts *f, npi_trial *t, uint32_t change, const npi_addr *from,
                               const npi_addr *origin, bool success);
/* An answer to any of its requests has come. */
void npi_filtering_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x);

/*
 * ---- The composition of a round, pure -----------------------------------------------------------------------------
 */

/* How many copies of I and of the silent test a round has. */
typedef struct npi_round {
    uint32_t plain;
    uint32_t silent;
} npi_round;
/* The smallest round that completes the proof; where none does, as many copies of the silent test as there may be. */
npi_round npi_filtering_compose_round(const npi_facts *f, const npi_trial *t);

#endif

/* Is a silence proven in the first half of its copies and in the second (docs/METHOD.md section 5)? Pure. */
#ifndef NPI_ENGINE_HALVES_H
#define NPI_ENGINE_HALVES_H


/*
 * False if loss may well explain the silence of one half: a burst took the plain requests of that time as well. Always
 * true on a path without losses.
 */
bool npi_halves_hold(const npi_facts *f, const npi_trial *t);

#endif

/* While III carries the proof, II is in every so many rounds. */
#define II_EVERY_ROUNDS 8

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

static void init_exchange(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change)
{
    npi_exchange_init(x, name, slot, to, change, NPI_COPIES_MAX);
    x->sent_in_rounds = true;
}

static uint32_t least_in_vain(uint32_t sent)
{
    return npi_least(sent, NPI_IN_VAIN_MAX);
}

void npi_filtering_init(npi_facts *f, npi_trial *t, int slot)
{
    const uint32_t both = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    const npi_server *s = npi_trial_server(f, t);
    npi_filtering *p = &t->filtering;
    p->late_after = least_in_vain(npi_server_copies(f, s)); /* if they left before a late start */
    p->slot = slot;
    init_exchange(&p->x[NPI_F_I], "filtering I", slot, &s->address, 0);
    init_exchange(&p->x[NPI_F_II], "filtering II", slot, &s->address, both);
    init_exchange(&p->x[NPI_F_III], "filtering III", slot, &s->address, NPI_STUN_CHANGE_PORT);
    init_exchange(&p->x[NPI_F_SECOND], "filtering second", slot, &s->address, 0);
    init_exchange(&p->late, "filtering I", slot, &s->address, 0);
    p->dialect = s->dialect;
    p->dense = (npi_dense_start){0};
    p->is_ii_decided = p->spares_ii = false;
    p->heard_beside_ii = 0;
    p->rounds = p->dialect == NPI_STUN_RFC3489 ? NPI_DENSE_ROUNDS : 0;
    p->next_round_ns = f->now_ns;
}

void npi_filtering_stop(npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        p->x[i].queued = false;
        npi_transaction_stop(&p->x[i].t);
    }
}

void npi_filtering_resume(const npi_facts *f, npi_trial *t)
{
    t->filtering.next_round_ns = f->now_ns;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
        t->filtering.x[i].t.stopped = false;
}

void npi_filtering_extend(npi_facts *f, npi_trial *t)
{
    npi_log_write(&f->config.log, NP_LOG_DEBUG, "more was lost than it seemed: more copies");
    t->filtering.extended = true;
    npi_filtering_resume(f, t);
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

/* A request from another socket may have opened the way: the answer was not unsolicited. */
static bool is_pinhole_fresh(const npi_facts *f, const npi_trial *t, const npi_change_test *test, const npi_addr *from)
{
    bool by_ip = test == &t->filtering.ii;
    return by_ip ? !npi_facts_has_contacted_ip(f, from) : !npi_facts_has_contacted(f, from);
}

static void take_answer(npi_facts *f, npi_trial *t, npi_change_test *test, uint32_t change, const npi_addr *from,
                        const npi_addr *origin, bool success)
{
    npi_change outcome = npi_change_shown(npi_trial_server(f, t), change, from, origin, success);
    if (outcome == NPI_CHANGE_PENDING) {
        test->early = true;
        test->early_from = *from;
        test->early_origin = *origin;
        return;
    }
    f->evidence |= npi_change_evidence(outcome);
    if (test->outcome == NPI_CHANGE_SILENT) {
        t->filtering.contradicted = true; /* and other addresses have been asked since, which may have opened the way */
    } else if (test->outcome == NPI_CHANGE_PENDING) {
        test->outcome = outcome;
        if (outcome == NPI_CHANGE_HONOURED && !is_pinhole_fresh(f, t, test, from))
            t->filtering.pinhole_not_fresh = true;
    } else if (npi_change_disqualifies_server(outcome)) {
        test->outcome = outcome;
    }
    if (test->outcome == NPI_CHANGE_HONOURED)
        f->evidence |= test == &t->filtering.ii ? NP_EVIDENCE_TEST_II_ANSWERED : NP_EVIDENCE_TEST_III_ANSWERED;
}

/* What the answers to III show of a server that may ration them. */
static npi_ration ration_of(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_transaction *iii = &p->x[NPI_F_III].t;
    npi_burst all = npi_silence_first_burst(f, t);
    all.size = NPI_COPIES_MAX;
    all.sent = iii->sent - npi_transaction_sent_since(iii, npi_trial_server(f, t)->woke_ns);
    return npi_silence_ration(f, t, iii, p->burst.size > 0 ? &p->burst : &all, npi_trial_rto(f, t));
}

void npi_filtering_take_answer(npi_facts *f, npi_trial *t, uint32_t change, const npi_addr *from,
                               const npi_addr *origin, bool success)
{
    bool is_ii = (change & NPI_STUN_CHANGE_IP) != 0;
    take_answer(f, t, is_ii ? &t->filtering.ii : &t->filtering.iii, change, from, origin, success);
}

/* Answers that came before the alternate address was known. */
static void take_early_answers(npi_facts *f, npi_trial *t)
{
    npi_change_test *tests[] = {&t->filtering.ii, &t->filtering.iii};
    const int index[] = {NPI_F_II, NPI_F_III};
    if (npi_trial_server(f, t)->alternate_state == NPI_ALTERNATE_UNKNOWN)
        return;
    for (int i = 0; i < 2; i++) {
        if (!tests[i]->early)
            continue;
        tests[i]->early = false;
        take_answer(f, t, tests[i], t->filtering.x[index[i]].change, &tests[i]->early_from, &tests[i]->early_origin,
                    true);
    }
}

/* ---- Rounds ----------------------------------------------------------------------------------------------------- */

static void send_in_round(const npi_facts *f, npi_exchange *x)
{
    if (!x->t.started)
        x->queued = true;
    else if (x->t.sent < x->t.limit)
        x->t.next_ns = f->now_ns;
}

/* A second transaction of the test that is waited for, where the rate has room for it and it saves time. */
static void add_second(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    npi_exchange *second = &p->x[NPI_F_SECOND];
    uint64_t rtt = npi_trial_server(f, t)->rtt.smoothed_ns;
    bool is_apart = !npi_trial_has_source_way(f, t); /* fresh sockets need the rate */
    if (p->extended || is_apart || t->save_transactions || second->t.started || second->queued || rtt == 0 ||
        rtt > NPI_SECOND_RTT_NS)
        return;
    /* Where equal ports may be chance, one more is for the filtering socket to ask B:P (control.c). */
    bool other = rtt > NPI_CONTROL_WAIT_NS && npi_chance_may_equal_one(f, npi_trial_server(f, t), NPI_CHANCE);
    if (npi_rate_room(&f->rate, f->now_ns) < NPI_MAPPING_TRANSACTIONS + (other ? 2 : 1))
        return;
    second->change = npi_silence_proof(p)->change;
    second->name = npi_silence_rests_on_iii(p) ? "filtering III'" : "filtering II'";
    second->queued = true;
}

/*
 * While nothing has been heard: the dense start, then I alone. II, whose answer would be the whole verdict while its
 * silence proves little, is in the first and the last of the dense rounds only. Where transactions are saved, it comes
 * once its use is known.
 */
static void send_blind_round(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    bool is_dense = p->rounds < NPI_DENSE_ROUNDS;
    bool is_last = p->rounds == NPI_DENSE_ROUNDS - 1;
    bool useful = !t->save_transactions || npi_trial_server(f, t)->alternate_state == NPI_ALTERNATE_KNOWN;
    bool on_iii = npi_silence_rests_on_iii(p);
    if (!is_dense || p->rounds % 2 == 0)
        send_in_round(f, &p->x[NPI_F_I]);
    if (is_dense && useful && (p->rounds == 0 || is_last || !on_iii))
        send_in_round(f, &p->x[NPI_F_II]);
    if (is_dense && on_iii)
        send_in_round(f, &p->x[NPI_F_III]);
}

/* One of every two rounds; once something was lost nobody knows which: a limit of rate must not fall into step. */
static bool is_turn_of_plain(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint32_t shift = npi_silence_path_loss(f, t).lost > 0 ? npi_filtering_random(p, p->rounds / 2) >> 6 : 0;
    return (p->rounds + shift) % 2 == 0;
}

/* On a short path III is answered before it has been sent often enough: there it takes the place of I. */
static bool is_iii_plain(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t woke_ns = npi_trial_server(f, t)->woke_ns;
    return !npi_silence_rests_on_iii(p) && npi_transaction_sent_since(&p->x[NPI_F_III].t, woke_ns) < NPI_TEST_III_MIN;
}

/*
 * Loss may explain half of the silence: each round has all tests then. While few are answered, what seems lost may wait
 * in a slow server's queue, which is not pressed.
 */
static bool needs_both(const npi_facts *f, const npi_trial *t)
{
    return !npi_halves_hold(f, t) &&
           (npi_silence_path_loss(f, t).answered >= NPI_HALVES_ANSWERS || npi_silence_is_enough_with(f, t, 0, 0));
}

/* Every other round has an I: only that shows what the path does to the copies of this very moment. */
npi_round npi_filtering_compose_round(const npi_facts *f, const npi_trial *t)
{
    static const npi_round choices[] = {{0, 1}, {1, 0}, {1, 1}, {0, 2}, {1, 2}};
    const npi_filtering *p = &t->filtering;
    uint32_t most = npi_silence_has_second(p) || p->x[NPI_F_SECOND].queued ? 2 : 1;
    uint32_t plain_left = NPI_COPIES_MAX - p->x[is_iii_plain(f, t) ? NPI_F_III : NPI_F_I].t.sent;
    uint32_t least_plain = is_turn_of_plain(f, t) && plain_left > 0 ? 1 : 0;
    if (needs_both(f, t))
        return (npi_round){plain_left > 0 ? 1 : 0, most};
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        npi_round r = choices[i];
        bool possible = r.silent <= most && r.plain <= plain_left && r.plain >= least_plain;
        if (possible && npi_silence_is_enough_with(f, t, r.plain, r.silent))
            return r;
    }
    return (npi_round){least_plain, most};
}

/*
 * The mapping requests leave a round trip after the tests at the earliest, and the control of a minimal set another one
 * later. By then the rate may have room again.
 */
static bool has_room_for_ii(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_server *s = npi_trial_server(f, t);
    uint64_t rtt_ns = s->rtt.smoothed_ns;
    uint32_t needed = NPI_MAPPING_LEAST - (npi_mapping_other_view(f, s) != NULL ? 1 : 0);
    uint32_t tests = 1;
    tests += !p->x[NPI_F_I].t.started;
    tests += !p->x[NPI_F_III].t.started;
    if (npi_facts_has_contacted_ip(f, &s->alternate)) /* II's answer would prove nothing */
        return npi_rate_room(&f->rate, f->now_ns) >= tests + NPI_MAPPING_LEAST;
    return npi_rate_room(&f->rate, f->now_ns) >= tests &&
           npi_rate_room(&f->rate, f->now_ns + rtt_ns) >= tests + NPI_MAPPING_LEAST - 1 &&
           npi_rate_room(&f->rate, f->now_ns + 2 * rtt_ns) >= tests + needed;
}

/*
 * Where the rate leaves just enough for the mapping, and III carries the proof, II is not sent: a filter that lets II
 * through lets III through as well. It is decided once, before the first of them.
 */
static void decide_on_ii(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    const npi_exchange *ii = &p->x[NPI_F_II];
    if (!t->save_transactions || ii->t.started || ii->queued || p->is_ii_decided)
        return;
    p->is_ii_decided = true;
    p->spares_ii = !has_room_for_ii(f, t);
}

/* II has too few copies yet. */
static bool lacks_ii(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    if (p->spares_ii && npi_silence_rests_on_iii(p))
        return false;
    return npi_transaction_sent_since(&p->x[NPI_F_II].t, npi_trial_server(f, t)->woke_ns) < NPI_TEST_II_MIN;
}

/* After the first rounds: what is needed, and II now and then while III carries the proof. */
static void send_later_round(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    bool on_iii = npi_silence_rests_on_iii(p);
    npi_round round = npi_filtering_compose_round(f, t);
    decide_on_ii(f, t);
    if (round.plain > 0)
        send_in_round(f, &p->x[is_iii_plain(f, t) ? NPI_F_III : NPI_F_I]);
    if (round.silent > 0)
        send_in_round(f, &p->x[on_iii ? NPI_F_III : NPI_F_II]);
    if (round.silent > 1)
        send_in_round(f, &p->x[NPI_F_SECOND]);
    bool is_turn_of_ii = p->rounds % II_EVERY_ROUNDS == II_EVERY_ROUNDS - 1 && !p->spares_ii;
    if (on_iii && (is_turn_of_ii || lacks_ii(f, t)))
        send_in_round(f, &p->x[NPI_F_II]);
}

static void send_round(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    bool has_rtt = npi_trial_server(f, t)->rtt.samples > 0;
    if (has_rtt && !npi_pacing_is_dense(f, t))
        add_second(f, t);
    if (has_rtt)
        send_later_round(f, t);
    else
        send_blind_round(f, t);
    p->rounds++;
    p->timed_without_rtt = !has_rtt;
    p->next_round_ns = npi_time_add(f->now_ns, npi_pacing_round_gap_ns(f, t));
}

/* The rate limit may have held a round back: the next one keeps its distance from when it really left. */
static uint64_t round_due_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t gap_ns = npi_pacing_is_dense(f, t) ? NPI_DENSE_GAP_NS : NPI_PACE_MIN_NS;
    uint64_t due_ns = p->next_round_ns;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        if (x->sent > 0)
            due_ns = npi_time_max(due_ns, npi_time_add(npi_transaction_last_ns(x), gap_ns));
    }
    return due_ns;
}

/* One that was timed blindly goes as soon as the round trip is known. Returns when to look again. */
static uint64_t send_round_if_due(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    if (p->timed_without_rtt && npi_trial_server(f, t)->rtt.samples > 0) {
        p->timed_without_rtt = false;
        p->next_round_ns = npi_time_add(f->now_ns, NPI_SETTLE_NS);
    }
    uint64_t due_ns = round_due_ns(f, t);
    if (due_ns > f->now_ns)
        return due_ns;
    send_round(f, t);
    return NPI_NEVER; /* sending it brings the engine back here */
}

/* ---- Silence ---------------------------------------------------------------------------------------------------- */

static bool filtering_is_budget_spent(const npi_facts *f)
{
    return f->traffic.sent - f->traffic.sent_in_vain >= npi_facts_budget(f, NPI_ROUNDS_UNTIL, NPI_ROUNDS_UNTIL_MORE);
}

/* Out of copies: the tests can be repeated no more. */
static bool is_out_of_copies(const npi_facts *f, const npi_filtering *p)
{
    const npi_transaction *x = &npi_silence_proof(p)->t;
    return filtering_is_budget_spent(f) || (x->started && x->sent >= x->limit);
}

static bool has_unsent_copies(const npi_facts *f, const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (p->x[i].queued || npi_transaction_due(&p->x[i].t, f->now_ns))
            return true;
    }
    return false;
}

static npi_filtering_step filtering_step(npi_filtering_next next, uint64_t wake_ns)
{
    return (npi_filtering_step){next, wake_ns};
}

/* The same for a wait: each request that turns out to be lost may change what is enough. */
static npi_filtering_step wait_or_loss(const npi_facts *f, const npi_trial *t, uint64_t wake_ns)
{
    return filtering_step(NPI_FILTERING_WAIT, npi_time_min(wake_ns, npi_silence_next_loss_ns(f, t)));
}

/* NPI_REASON_NONE: the silence is proven. */
static npi_filtering_step conclude_silence(npi_facts *f, npi_trial *t, npi_reason reason)
{
    npi_filtering *p = &t->filtering;
    if (reason != NPI_REASON_NONE) {
        npi_decide_unknown(f, t, reason);
    } else {
        p->ii.outcome = NPI_CHANGE_SILENT;
        if (p->iii.outcome == NPI_CHANGE_PENDING)
            p->iii.outcome = NPI_CHANGE_SILENT;
    }
    return filtering_step(p->extended ? NPI_FILTERING_FINISH : NPI_FILTERING_MAPPING, f->now_ns);
}

/* When the copies of the fresh I should have told what a late start was. */
static uint64_t late_start_told_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t looked_ns = npi_time_add(npi_trial_server(f, t)->suspect_ns, NPI_LATE_CHECK_NS);
    return npi_time_max(looked_ns, npi_transaction_all_aged_ns(&t->filtering.x[NPI_F_I].t, npi_trial_rto(f, t)));
}

/*
 * A server that works off a queue looks like a path that woke up, and each round makes its queue longer. So none leaves
 * while the fresh I is on its way, for no longer than the first answer took.
 */
static uint64_t late_start_held_ns(const npi_server *s, const npi_filtering *p)
{
    bool is_held = p->late.t.started && s->suspect_took_ns <= NPI_LATE_RTT_MAX_NS;
    return is_held ? npi_time_add(s->suspect_ns, s->suspect_took_ns) : NPI_NOW;
}

/* Until when a late start that is still looked into keeps from proving the silence, or else from more rounds. */
static uint64_t late_start_until_ns(const npi_facts *f, const npi_trial *t, bool enough)
{
    const npi_server *s = npi_trial_server(f, t);
    if (s->suspect_ns == 0)
        return NPI_NOW;
    return enough ? late_start_told_ns(f, t) : late_start_held_ns(s, &t->filtering);
}

/* A queue is waited for if the time left is then enough for the mapping; else its requests get in line at once. */
static npi_filtering_step wait_for_slow(npi_facts *f, npi_trial *t, uint64_t until_ns)
{
    if (until_ns <= npi_pacing_slow_share_ns(f))
        return filtering_step(NPI_FILTERING_WAIT, until_ns);
    npi_decide_unknown(f, t, NPI_REASON_SLOW);
    return filtering_step(NPI_FILTERING_MAPPING, f->now_ns);
}

/*
 * Where copies seem lost that may be under way, the next round waits: once, and each time after a late answer. Returns
 * when to look again.
 */
static uint64_t send_round_unless_late(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    uint64_t late_ns = npi_pacing_late_until_ns(f, t);
    if (late_ns > f->now_ns)
        return late_ns;
    uint32_t rounds = p->rounds;
    uint64_t wake_ns = send_round_if_due(f, t);
    if (late_ns != NPI_NOW && p->rounds != rounds) {
        p->waited_for_late = true;
        p->late_waited = npi_trial_server(f, t)->late_answers;
    }
    return wake_ns;
}

/* III once more, several times together. Returns when to look. */
static uint64_t send_burst(const npi_facts *f, npi_trial *t)
{
    npi_exchange *x = &t->filtering.x[NPI_F_III];
    npi_burst *b = &t->filtering.burst;
    uint64_t due_ns = npi_silence_burst_ns(&x->t, b, npi_trial_rto(f, t));
    if (due_ns > f->now_ns)
        return due_ns;
    *b = npi_silence_burst(f, &x->t, b);
    x->t.next_ns = f->now_ns;
    return NPI_NEVER;
}

void npi_filtering_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x)
{
    npi_filtering *p = &t->filtering;
    const npi_transaction *ii = &p->x[NPI_F_II].t;
    bool is_plain = x == &p->x[NPI_F_I] || x == &p->x[NPI_F_III];
    if (is_plain && ii->sent > 0 && f->now_ns >= npi_time_add(ii->first_ns, npi_trial_rto(f, t)))
        p->heard_beside_ii++;
}

/*
 * Where II was left out at first, all its copies left within a short time, which a burst of losses may cover. They
 * count once copies of I or III that left after the first of them were answered.
 */
static bool is_heard_beside_ii(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    if (!p->spares_ii || npi_silence_rests_on_iii(p) || p->heard_beside_ii >= NPI_BESIDE_II)
        return true;
    const npi_rtt *rtt = &npi_trial_server(f, t)->rtt;
    uint64_t beside_ns = npi_time_add(p->x[NPI_F_II].t.first_ns, npi_rtt_rto(rtt) - rtt->smoothed_ns);
    uint32_t copies = npi_transaction_sent_since(&p->x[NPI_F_I].t, beside_ns) +
                      npi_transaction_sent_since(&p->x[NPI_F_III].t, beside_ns);
    return copies >= NPI_BESIDE_II && npi_silence_ready_ns(f, t) > f->now_ns;
}

/* Enough for the bound, if what is under way fares as what was sent before. */
static bool filtering_is_enough(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    return s->rtt.samples > 0 && !lacks_ii(f, t) && is_heard_beside_ii(f, t) &&
           npi_silence_is_enough_with(f, t, 0, 0) && npi_halves_hold(f, t);
}

/* Silent, and not for loss: whether the server has answered at all, the control will tell, or the answers to III do. */
static npi_filtering_step conclude_enough(npi_facts *f, npi_trial *t)
{
    if (npi_silence_rests_on_iii(&t->filtering) || t->filtering.is_not_rationed)
        return conclude_silence(f, t, NPI_REASON_NONE);
    if (ration_of(f, t) == NPI_RATION_LIKELY)
        return conclude_silence(f, t, NPI_REASON_RATIONED);
    return wait_or_loss(f, t, send_burst(f, t));
}

/* What the answers to III have shown once stays shown. */
static void note_ration(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    if (!npi_silence_rests_on_iii(p) && ration_of(f, t) == NPI_RATION_EXCLUDED)
        p->is_not_rationed = true;
}

/* More copies, or the wait for the last of them, or the conclusion (docs/METHOD.md, "Silence"). */
static npi_filtering_step advance_silence(npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    const npi_server *s = npi_trial_server(f, t);
    if (p->x[NPI_F_I].failed || p->x[NPI_F_II].failed || p->x[NPI_F_III].failed) {
        npi_decide_unknown(f, t, NPI_REASON_UNFINISHED);
        return filtering_step(NPI_FILTERING_MAPPING, f->now_ns);
    }
    npi_dense_note(f, t);
    note_ration(f, t);
    if (has_unsent_copies(f, p))
        return filtering_step(NPI_FILTERING_WAIT, NPI_NEVER);
    bool enough = filtering_is_enough(f, t);
    uint64_t until_ns = late_start_until_ns(f, t, enough);
    if (until_ns > f->now_ns)
        return enough ? wait_or_loss(f, t, until_ns) : filtering_step(NPI_FILTERING_WAIT, until_ns);
    uint64_t slow_ns = npi_pacing_slow_until_ns(f, t);
    if (slow_ns > f->now_ns)
        return wait_for_slow(f, t, slow_ns);
    if (!p->is_not_rationed && p->x[NPI_F_III].t.sent < p->burst.sent + p->burst.size)
        return wait_or_loss(f, t, send_burst(f, t));
    if ((!enough || s->suspect_ns != 0) && !is_out_of_copies(f, p))
        return wait_or_loss(f, t, send_round_unless_late(f, t));
    uint64_t ready_ns = npi_silence_ready_ns(f, t);
    if (ready_ns > f->now_ns)
        return wait_or_loss(f, t, ready_ns);
    return enough ? conclude_enough(f, t) : conclude_silence(f, t, NPI_REASON_LOSS);
}

/* ---- The phase -------------------------------------------------------------------------------------------------- */

/* The server is of no use for filtering; its mapping requests wait until a plain answer has named their addresses. */
static npi_filtering_step filtering_give_up(npi_facts *f, npi_trial *t, npi_reason reason)
{
    const npi_server *s = npi_trial_server(f, t);
    if (!npi_trial_is_decided(t))
        npi_decide_unknown(f, t, reason);
    if (s->alternate_state != NPI_ALTERNATE_UNKNOWN)
        return filtering_step(NPI_FILTERING_MAPPING, f->now_ns);
    uint64_t done_ns = npi_pacing_primary_done_ns(s);
    if (done_ns <= f->now_ns)
        return filtering_step(NPI_FILTERING_FINISH, f->now_ns);
    npi_filtering_stop(&t->filtering);
    return filtering_step(NPI_FILTERING_WAIT, done_ns);
}

/*
 * III has shown that the server is unfit. One that stands behind a forwarded address answers III from another than was
 * asked, and II as it should: where III came from elsewhere, II is waited for.
 */
static npi_filtering_step step_after_iii(npi_facts *f, npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_transaction *ii = &p->x[NPI_F_II].t;
    bool is_elsewhere = p->iii.outcome == NPI_CHANGE_PARTIAL || p->iii.outcome == NPI_CHANGE_REWRITTEN;
    if (!is_elsewhere || t->finding.state != NPI_UNDECIDED || p->x[NPI_F_II].failed)
        return filtering_give_up(f, t, npi_change_reason(p->iii.outcome));
    if (ii->sent < NPI_TEST_II_WAITED) {
        uint64_t next_ns = ii->sent > 0 ? npi_time_add(npi_transaction_last_ns(ii), NPI_PACE_MIN_NS) : NPI_NOW;
        if (next_ns <= f->now_ns)
            send_in_round(f, &t->filtering.x[NPI_F_II]);
        return filtering_step(NPI_FILTERING_WAIT, next_ns > f->now_ns ? next_ns : NPI_NEVER);
    }
    uint64_t silent_ns = npi_transaction_all_aged_ns(ii, npi_trial_far_rto(f, t));
    if (silent_ns > f->now_ns)
        return filtering_step(NPI_FILTERING_WAIT, silent_ns);
    return filtering_give_up(f, t, npi_change_reason(p->iii.outcome));
}

/*
 * Whether more answers came to a late start than a path sends that was silent until shortly before the first: those to
 * copies that left shortly before, and to later ones that are as old as the round trip would then be.
 */
static bool is_path_slow(const npi_facts *f, const npi_server *s, const npi_transaction *plain)
{
    uint64_t woke_ns = s->suspect_ns - npi_time_min(s->suspect_ns, NPI_LATE_SPREAD_NS);
    uint64_t young_ns = f->now_ns - npi_time_min(f->now_ns, s->suspect_rtt_ns) + 1;
    uint32_t left = npi_transaction_sent_since(plain, woke_ns);
    uint32_t young = npi_transaction_sent_since(plain, npi_time_max(young_ns, woke_ns));
    return plain->answers >= NPI_LATE_ANSWERS && plain->answers > left - young;
}

/* A fresh I is asked, since of the copies of the other nobody knows which was answered. */
static void ask_anew(const npi_facts *f, const npi_server *s, npi_filtering *p)
{
    p->late = p->x[NPI_F_I];
    p->late_after = least_in_vain(f->traffic.sent);
    npi_transaction_stop(&p->late.t);
    p->dense = (npi_dense_start){0};
    init_exchange(&p->x[NPI_F_I], "filtering I", p->slot, &s->address, 0);
    send_in_round(f, &p->x[NPI_F_I]);
}

/* A slow path answers the fresh I as late as it did the other. */
static void judge_late_start(npi_facts *f, npi_server *s, npi_filtering *p)
{
    const npi_transaction *fresh = &p->x[NPI_F_I].t;
    uint64_t rtt_ns = fresh->answered_ns - fresh->first_ns;
    if (rtt_ns < s->suspect_took_ns / 4 * 3) {
        npi_log_write(&f->config.log, NP_LOG_DEBUG, "the path was silent at first: what was sent then does not count");
        npi_server_woke(s, rtt_ns);
        if (f->traffic.sent_in_vain == 0)
            f->traffic.sent_in_vain = p->late_after;
        p->next_round_ns = f->now_ns;
    }
    s->suspect_ns = 0;
}

/*
 * A first answer that came late: a slow path answers the other copies of the first burst as well, one that was silent
 * at first does not. There a fresh I measures the round trip. Returns when to look.
 */
static uint64_t look_into_late_start(npi_facts *f, npi_trial *t)
{
    npi_server *s = &f->servers[t->server];
    npi_filtering *p = &t->filtering;
    uint64_t check_ns = npi_time_add(s->suspect_ns, NPI_LATE_CHECK_NS);
    if (s->suspect_ns == 0)
        return NPI_NEVER;
    if (check_ns > f->now_ns)
        return check_ns;
    const npi_exchange *i = &p->x[NPI_F_I];
    bool is_fresh = p->late.t.started || (i->t.sent > 0 && i->t.first_ns >= s->suspect_ns);
    if (!is_fresh && (is_path_slow(f, s, &i->t) || i->failed))
        s->suspect_ns = 0;
    else if (!is_fresh && i->t.sent > 0)
        ask_anew(f, s, p);
    else if (is_fresh && npi_exchange_is_answered(i))
        judge_late_start(f, s, p);
    return NPI_NEVER;
}

npi_filtering_step npi_filtering_advance(npi_facts *f, npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_filtering *p = &t->filtering;
    if (p->dialect != s->dialect)
        npi_filtering_init(f, t, p->slot);
    take_early_answers(f, t);
    if (s->alternate_state == NPI_ALTERNATE_NONE) {
        bool refused = (f->evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0;
        npi_decide_unknown(f, t, refused ? NPI_REASON_REFUSED : NPI_REASON_NO_ALTERNATE);
        return filtering_step(NPI_FILTERING_FINISH, f->now_ns);
    }
    if (p->has_no_socket)
        return filtering_give_up(f, t, NPI_REASON_NO_SOCKET);
    if (npi_change_disqualifies_server(p->ii.outcome))
        return filtering_give_up(f, t, npi_change_reason(p->ii.outcome));
    if (npi_change_disqualifies_server(p->iii.outcome) && p->ii.outcome != NPI_CHANGE_HONOURED)
        return step_after_iii(f, t);
    if (p->pinhole_not_fresh || p->contradicted) {
        npi_decide_unknown(f, t, p->pinhole_not_fresh ? NPI_REASON_NOT_FRESH : NPI_REASON_CONTRADICTION);
        return filtering_step(NPI_FILTERING_MAPPING, f->now_ns);
    }
    if (p->ii.outcome == NPI_CHANGE_HONOURED) {
        npi_decide(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
        return filtering_step(NPI_FILTERING_MAPPING, f->now_ns);
    }
    uint64_t look_ns = look_into_late_start(f, t);
    npi_filtering_step next = advance_silence(f, t);
    next.wake_ns = npi_time_min(next.wake_ns, look_ns);
    return next;
}
#undef II_EVERY_ROUNDS

/* ---- engine/findings.c -------------------- */

/*
 * Compares what was seen of the source socket. Samples of different moments can be compared only if nothing has changed
 * meanwhile: a NAT may have got a new address, or have been restarted.
 */


#define OBSERVATIONS_MAX (NPI_SERVERS_MAX + 3 * NPI_TRIALS_MAX)

typedef struct observations {
    npi_observation seen[OBSERVATIONS_MAX];
    size_t count;
} observations;

/* ---- What may be compared --------------------------------------------------------------------------------------- */

static uint64_t findings_apart(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;
}

bool npi_is_bracketed_by(const npi_server *s, const npi_sample *sample)
{
    return s->first.last_ns <= sample->first_ns + NPI_SAME_MOMENT_NS &&
           s->latest.first_ns + NPI_SAME_MOMENT_NS >= sample->last_ns;
}

/*
 * Both were sent together and answered together, so both answers belong to the same round of copies. Copies are spread
 * over last - first; answers less than a sixteenth of that apart cannot belong to different ones. An example: copies at
 * 0, 250 and 650 ms, answers at 690 and 700 ms: 10 ms apart, and a sixteenth of 650 ms is 40 ms.
 */
static bool is_same_moment(const npi_sample *a, const npi_sample *b)
{
    return findings_apart(a->first_ns, b->first_ns) <= NPI_SAME_MOMENT_NS &&
           findings_apart(a->last_ns, b->last_ns) <= NPI_SAME_MOMENT_NS &&
           findings_apart(a->heard_ns, b->heard_ns) < (a->last_ns - a->first_ns) / NPI_SAME_ROUND_SHARE;
}

bool npi_is_comparable(const npi_server *a, const npi_server *b)
{
    if (is_same_moment(&a->first, &b->first))
        return true;
    return npi_is_bracketed_by(a, &b->first) || npi_is_bracketed_by(a, &b->latest) ||
           npi_is_bracketed_by(b, &a->first) || npi_is_bracketed_by(b, &a->latest);
}

/* Something may have changed between what x saw and what A:P of s did. */
static bool is_of_another_time(const npi_server *s, const npi_exchange *x)
{
    npi_sample sample = {x->t.first_ns, x->last_copy_ns, x->t.answered_ns};
    return !npi_is_bracketed_by(s, &sample);
}

typedef bool (*sight_test)(const npi_server *s, const npi_exchange *x);

/* Whether it holds for what any of a server's other addresses saw. */
static bool holds_for_other_address(const npi_facts *f, const npi_server *s, sight_test holds)
{
    const npi_trial *t = npi_server_trial(f, s);
    for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
        if (npi_exchange_has_external(&t->control.x[k]) && holds(s, &t->control.x[k]))
            return true;
    }
    return false;
}

bool npi_mapping_is_bracketed(const npi_facts *f, const npi_server *s)
{
    return !holds_for_other_address(f, s, is_of_another_time);
}

/* ---- What may have collided ------------------------------------------------------------------------------------- */

bool npi_mapping_is_spoilt(const npi_facts *f, const npi_addr *address)
{
    const npi_port_test *p = &f->optional.port;
    return p->is_early && p->test != NULL && p->test->x.t.sent > 0 && !npi_exchange_is_answered(&p->test->x) &&
           npi_addr_equal(&p->alternate, address);
}

/* Whether the source socket had had an answer from an address by a time, so that its way was open. */
static bool was_open(const npi_facts *f, const npi_addr *address, uint64_t when_ns)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        for (int k = NPI_M_BP; k <= NPI_M_AQ; k++) {
            const npi_exchange *x = &f->trials[i].control.x[k];
            if (x->t.answers > 0 && x->t.answered_ns <= when_ns && npi_addr_equal(&x->to, address))
                return true;
        }
    }
    return false;
}

/* Whether a control asked for an answer from an address before its way was known to be open, and before when_ns. */
static bool came_too_early(const npi_facts *f, const npi_trial *t, int control, const npi_addr *address,
                           uint64_t when_ns)
{
    const npi_exchange *c = &t->control.x[control];
    if (c->t.sent == 0 || c->t.first_ns >= when_ns)
        return false;
    npi_addr from = npi_server_expected_source(npi_trial_server(f, t), c->change);
    return npi_addr_equal(&from, address) && !was_open(f, address, c->t.first_ns);
}

/*
 * A control that was sent before its pinhole's request had been answered may have overtaken it: the unsolicited answer
 * reaches the NAT first, and a Linux NAT then gives that destination another external port (docs/METHOD.md, section 6).
 * It is the destination that is spoilt, in whichever trial it is asked.
 */
static bool may_collide(const npi_facts *f, const npi_addr *address, uint64_t answered_ns)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (came_too_early(f, t, NPI_C_II, address, answered_ns) ||
            came_too_early(f, t, NPI_C_III, address, answered_ns))
            return true;
    }
    return npi_mapping_is_spoilt(f, address);
}

/* ---- Observations ----------------------------------------------------------------------------------------------- */

static void add_primary(const npi_facts *f, const npi_server *s, observations *all)
{
    if (!s->has_mapping)
        return;
    npi_observation *o = &all->seen[all->count++];
    *o = s->observed;
    o->may_collide = may_collide(f, &s->address, s->first.heard_ns);
    o->witness = (size_t)(s - f->servers);
}

/*
 * An earlier check has left state at the addresses that its II and III were answered from: A:Q and B:Q, or B:P if the
 * server changes the address alone.
 */
static bool may_be_stale_at(const npi_filtering *p, int k)
{
    bool changes_ip_alone = p->iii.outcome == NPI_CHANGE_IGNORED && p->ii.outcome != NPI_CHANGE_IGNORED;
    return (k == NPI_M_BP) == changes_ip_alone;
}

static void add_secondary(const npi_facts *f, const npi_trial *t, int k, observations *all)
{
    const npi_exchange *x = &t->control.x[k];
    bool may_be_stale = may_be_stale_at(&t->filtering, k);
    all->seen[all->count++] = (npi_observation){
        .destination = x->to,
        .external = x->external,
        .local = x->local,
        .may_collide = (may_be_stale && f->restarted) || may_collide(f, &x->to, x->t.answered_ns),
        .may_be_stale = may_be_stale,
        .witness = t->server,
    };
}

static observations collect_all(const npi_facts *f)
{
    observations all;
    all.count = 0;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_trial *t = npi_server_trial(f, s);
        add_primary(f, s, &all);
        for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
            if (npi_exchange_has_external(&t->control.x[k]))
                add_secondary(f, t, k, &all);
        }
    }
    return all;
}

static bool is_comparable_with_all(const npi_facts *f, const npi_server *s, const bool *taken)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (taken[i] && !npi_is_comparable(s, &f->servers[i]))
            return false;
    }
    return true;
}

/* What s saw, and those of its other addresses that it brackets. */
static void add_comparable(const npi_facts *f, const npi_server *s, observations *all)
{
    const npi_trial *t = npi_server_trial(f, s);
    add_primary(f, s, all);
    for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
        const npi_exchange *x = &t->control.x[k];
        if (npi_exchange_has_external(x) && !is_of_another_time(s, x))
            add_secondary(f, t, k, all);
    }
}

static bool is_any(const npi_server *s, const npi_exchange *x)
{
    (void)s;
    (void)x;
    return true;
}

/* One that fell silent cannot be asked again, so it must not keep others out. */
static int rank_of(const npi_facts *f, const npi_server *s)
{
    if (s->fell_silent)
        return 0;
    return holds_for_other_address(f, s, is_any) ? 2 : 1;
}

/* Servers that can be compared with each other: those first that have seen more. */
static observations collect_comparable(const npi_facts *f)
{
    observations all;
    bool taken[NPI_SERVERS_MAX] = {false};
    all.count = 0;
    for (int rank = 2; rank >= 0; rank--) {
        for (size_t i = 0; i < f->server_count; i++) {
            const npi_server *s = &f->servers[i];
            if (!s->has_mapping || rank_of(f, s) != rank || !is_comparable_with_all(f, s, taken))
                continue;
            taken[i] = true;
            add_comparable(f, s, &all);
        }
    }
    return all;
}

/* Leaves out the observations of a lone dissenter. True when there was one. */
static bool outvote(observations *all)
{
    size_t dissenter = npi_classify_dissenter(all->seen, all->count);
    if (dissenter == all->count)
        return false;
    size_t witness = all->seen[dissenter].witness;
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (all->seen[i].witness != witness)
            all->seen[kept++] = all->seen[i];
    }
    all->count = kept;
    return true;
}

/* Whatever chance may have done. */
static int32_t mapping_compared(const npi_facts *f, observations *all)
{
    *all = collect_comparable(f);
    outvote(all);
    int32_t mapping = npi_classify_mapping(all->seen, all->count);
    /* "No NAT" has to survive every answer, comparable or not. */
    bool contradicted = mapping == NP_BEHAVIOUR_NONE && npi_mapping_apparent(f) != NP_BEHAVIOUR_NONE;
    return contradicted ? NP_BEHAVIOUR_UNKNOWN : mapping;
}

bool npi_mapping_is_confirmed(const npi_facts *f)
{
    observations all;
    return mapping_compared(f, &all) == npi_mapping_apparent(f);
}

int32_t npi_mapping_confirmed(const npi_facts *f)
{
    observations all;
    uint32_t misses = 0;
    int32_t mapping = mapping_compared(f, &all);
    return npi_chance_judge(f, all.seen, all.count, mapping, &misses);
}

const npi_server *npi_mapping_dissenter(const npi_facts *f)
{
    observations all = collect_all(f);
    size_t dissenter = npi_classify_dissenter(all.seen, all.count);
    return dissenter < all.count ? &f->servers[all.seen[dissenter].witness] : NULL;
}

bool npi_mapping_leaves_out(const npi_facts *f, const npi_server *s)
{
    const npi_server *dissenter = npi_mapping_dissenter(f);
    if (s == dissenter)
        return true;
    if (!s->has_mapping || !npi_classify_is_untranslated(&s->observed))
        return false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != dissenter && o->has_mapping && !npi_classify_is_untranslated(&o->observed))
            return true;
    }
    return false;
}

int32_t npi_mapping_apparent(const npi_facts *f)
{
    observations all = collect_all(f);
    outvote(&all);
    return npi_classify_apparent(all.seen, all.count);
}

bool npi_mapping_is_mixed(const npi_facts *f)
{
    observations all = collect_comparable(f);
    outvote(&all);
    return npi_classify_is_mixed(all.seen, all.count);
}

bool npi_mapping_is_contradictory(const npi_facts *f)
{
    observations all = collect_all(f);
    bool differ = false;
    for (size_t i = 1; i < all.count; i++) {
        const npi_observation *a = &all.seen[0];
        const npi_observation *b = &all.seen[i];
        differ |= !npi_addr_same_ip(&a->external, &b->external) ||
                  npi_classify_is_untranslated(a) != npi_classify_is_untranslated(b);
    }
    /* What can be compared may agree, and what cannot may contradict it. */
    return differ &&
           (npi_mapping_confirmed(f) == NP_BEHAVIOUR_UNKNOWN || npi_mapping_apparent(f) == NP_BEHAVIOUR_UNKNOWN);
}

bool npi_mapping_is_lone_network(const npi_facts *f, const npi_server *s)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *a = &f->servers[i];
        if (!s->has_mapping || !a->has_mapping || npi_addr_are_neighbours(&a->observed.external, &s->observed.external))
            continue;
        for (size_t k = 0; k < i; k++) {
            const npi_server *b = &f->servers[k];
            if (b->has_mapping && npi_addr_are_neighbours(&a->observed.external, &b->observed.external))
                return true;
        }
    }
    return false;
}

bool npi_mapping_any_observation(const npi_facts *f, npi_observation *out)
{
    observations all = collect_all(f);
    outvote(&all);
    size_t first = 0;
    while (first + 1 < all.count && npi_classify_is_untranslated(&all.seen[first]))
        first++; /* if any other is translated, there is a NAT */
    if (all.count > 0)
        *out = all.seen[first];
    return all.count > 0;
}

/* ---- Looking again ---------------------------------------------------------------------------------------------- */

static bool is_heard_once(const npi_server *s)
{
    return s->latest.first_ns <= s->first.first_ns;
}

bool npi_mapping_seems_dependent(const npi_facts *f)
{
    int32_t mapping = npi_mapping_apparent(f);
    return mapping == NP_BEHAVIOUR_ENDPOINT_DEPENDENT || mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT ||
           mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

static bool findings_differs(const npi_server *s, const npi_exchange *x)
{
    return !npi_addr_equal(&x->external, &s->observed.external);
}

/*
 * The mapping looks dependent, and only because one server sees something else than another. A server that reports
 * another address each time looks the same: it gives itself away when it is asked once more.
 */
static bool rests_on_single_words(const npi_facts *f)
{
    if (!npi_facts_tests_filtering(f))
        return false; /* there two answers have to be enough: nothing else would take the time */
    for (size_t i = 0; i < f->server_count; i++) {
        if (f->servers[i].has_mapping && holds_for_other_address(f, &f->servers[i], findings_differs))
            return false;
    }
    return npi_mapping_seems_dependent(f);
}

bool npi_mapping_is_doubtful(const npi_facts *f, const npi_server *s)
{
    if (!s->has_mapping || s->fell_silent)
        return false;
    if (!npi_mapping_is_bracketed(f, s) || (is_heard_once(s) && rests_on_single_words(f)))
        return true;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != s && o->has_mapping && !o->fell_silent && !npi_is_comparable(s, o))
            return true;
    }
    return false;
}

/* When the recheck of s, if one is under way, is over; a time that has passed when none is. */
static uint64_t recheck_over_ns(const npi_server *s)
{
    const npi_exchange *x = &s->x[NPI_RECHECK];
    if (x->queued)
        return NPI_NEVER;
    if (!x->t.started || npi_exchange_is_answered(x))
        return NPI_NOW;
    return npi_exchange_over_ns(x, npi_rtt_rto(&s->rtt));
}

npi_recheck npi_mapping_recheck(const npi_facts *f)
{
    observations all;
    int32_t compared = mapping_compared(f, &all);
    bool agrees = compared == npi_mapping_apparent(f) && !rests_on_single_words(f);
    if (compared == NP_BEHAVIOUR_NONE || agrees)
        return (npi_recheck){NPI_RECHECK_NOT_NEEDED, NPI_NEVER};
    bool any = false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!npi_mapping_is_doubtful(f, s))
            continue;
        uint64_t over_ns = recheck_over_ns(s);
        if (over_ns > f->now_ns)
            return (npi_recheck){NPI_RECHECK_GOES_ON, over_ns};
        any = true;
    }
    bool can_ask = any && f->rechecks < NPI_RECHECKS_MAX;
    return (npi_recheck){can_ask ? NPI_RECHECK_NEEDED : NPI_RECHECK_NOT_NEEDED, NPI_NEVER};
}

/* It was asked at another IP address than s was or will be, and saw what A:P of s sees. */
static bool sees_alike(const npi_facts *f, const npi_server *s, const npi_server *o)
{
    bool is_elsewhere = !npi_addr_same_ip(&o->address, &s->address) && !npi_addr_same_ip(&o->address, &s->alternate);
    return o != s && is_elsewhere && o->has_mapping && !o->failed && !o->fell_silent && !o->is_unsteady &&
           npi_addr_equal(&o->observed.external, &s->observed.external) &&
           !npi_addr_is_other_ip(&o->observed.local, &s->observed.local) && !npi_mapping_leaves_out(f, o);
}

const npi_server *npi_mapping_other_view(const npi_facts *f, const npi_server *s)
{
    for (size_t i = 0; s->has_mapping && i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (npi_again_is_left(f, o) && sees_alike(f, s, o))
            return o;
    }
    return NULL;
}

/* ---- Other sockets' mappings ------------------------------------------------------------------------------------ */

/* When the looks that were asked are over; a time that has passed when all are. */
static uint64_t looks_over_ns(const npi_facts *f)
{
    uint64_t over_ns = NPI_NOW;
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        const npi_look *look = &f->looks.look[i];
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
            uint64_t age_ns = npi_rtt_rto(&f->servers[look->server[k]].rtt);
            if (!npi_exchange_is_answered(&look->x[k]))
                over_ns = npi_time_max(over_ns, npi_exchange_over_ns(&look->x[k], age_ns));
        }
    }
    return over_ns;
}

/*
 * The one with another IP address than the i-th, or with the same and another port, that may be asked most often; count
 * when there is none.
 */
static size_t partner_of(const npi_facts *f, const observations *all, size_t i, bool same_ip)
{
    const npi_observation *a = &all->seen[i];
    size_t best = all->count;
    uint32_t most = 0;
    for (size_t j = 0; j < all->count; j++) {
        const npi_observation *b = &all->seen[j];
        uint32_t left = npi_facts_copies_left(f, &b->destination);
        bool fits = npi_addr_same_ip(&a->destination, &b->destination) == same_ip &&
                    !npi_addr_is_other_ip(&a->local, &b->local);
        if (!fits || (same_ip && a->destination.port == b->destination.port) || left <= most)
            continue;
        best = j;
        most = left;
    }
    return best;
}

/* Destinations that tell what is missed. */
static bool choose_destinations(const npi_facts *f, const observations *all, uint32_t misses, npi_look_advice *out)
{
    for (size_t i = 0; i < all->count; i++) {
        size_t other_ip = partner_of(f, all, i, false);
        size_t other_port = partner_of(f, all, i, true);
        bool wants_ip = (misses & NPI_MISSES_OTHER_IP) != 0;
        bool wants_port = (misses & NPI_MISSES_OTHER_PORT) != 0;
        if ((wants_ip && other_ip == all->count) || (wants_port && other_port == all->count))
            continue;
        out->seen[NPI_L_FIRST] = all->seen[i];
        out->is_wanted[NPI_L_FIRST] = true;
        out->is_wanted[NPI_L_OTHER_IP] = wants_ip;
        out->is_wanted[NPI_L_OTHER_PORT] = wants_port;
        if (wants_ip)
            out->seen[NPI_L_OTHER_IP] = all->seen[other_ip];
        if (wants_port)
            out->seen[NPI_L_OTHER_PORT] = all->seen[other_port];
        return true;
    }
    return false;
}

npi_look_advice npi_mapping_look(const npi_facts *f)
{
    npi_look_advice advice = {.state = NPI_LOOK_NOT_NEEDED, .wake_ns = NPI_NEVER};
    observations all;
    uint32_t misses = 0;
    int32_t mapping = mapping_compared(f, &all);
    (void)npi_chance_judge(f, all.seen, all.count, mapping, &misses);
    if (misses == 0)
        return advice;
    uint64_t over_ns = looks_over_ns(f);
    if (over_ns > f->now_ns) {
        advice.state = NPI_LOOK_GOES_ON;
        advice.wake_ns = over_ns;
    } else if (misses != NPI_MISSES_NO_MORE && f->looks.asked < NPI_LOOKS &&
               choose_destinations(f, &all, misses, &advice)) {
        advice.state = NPI_LOOK_NEEDED;
    }
    return advice;
}

/* ---- The way of fresh sockets ----------------------------------------------------------------------------------- */

bool npi_has_same_way(const npi_exchange *x, const npi_addr *external, const npi_addr *local)
{
    return npi_addr_same_ip(&x->external, external) && !npi_addr_is_other_ip(&x->local, local);
}

bool npi_source_has_pool(const npi_facts *f)
{
    observations all = collect_all(f);
    for (size_t i = 1; i < all.count; i++) {
        const npi_observation *a = &all.seen[0];
        const npi_observation *b = &all.seen[i];
        bool comparable = a->witness == b->witness && !npi_addr_is_other_ip(&a->local, &b->local);
        if (comparable && !npi_addr_same_ip(&a->external, &b->external) &&
            npi_addr_are_neighbours(&a->external, &b->external))
            return true;
    }
    return false;
}

const npi_exchange *npi_filtering_view(const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (npi_exchange_has_external(&p->x[i]))
            return &p->x[i];
    }
    return npi_exchange_has_external(&p->late) ? &p->late : NULL;
}

/* What the filtering socket of a trial looks like; NULL: not known, or it is the source itself. */
static const npi_exchange *own_view(const npi_facts *f, const npi_trial *t)
{
    bool is_over = npi_server_trial(f, npi_trial_server(f, t)) != t; /* from before a restart */
    return is_over || t->filtering.slot == NPI_SLOT_SOURCE ? NULL : npi_filtering_view(&t->filtering);
}

bool npi_trial_has_source_way(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_exchange *x = own_view(f, t);
    return x == NULL || !s->has_mapping || npi_has_same_way(x, &s->observed.external, &s->observed.local);
}

/* ---- Filtering -------------------------------------------------------------------------------------------------- */

/*
 * Whether the server has answered its filtering socket alone, and every other the source alone, with another IP: then
 * nothing shows that both went the same way.
 */
static bool is_apart_from_all(const npi_facts *f, const npi_trial *t)
{
    const npi_exchange *x = own_view(f, t);
    bool is_apart = false;
    if (x == NULL || npi_trial_server(f, t)->has_mapping)
        return false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!s->has_mapping || npi_mapping_leaves_out(f, s))
            continue;
        if (npi_has_same_way(x, &s->observed.external, &s->observed.local))
            return false;
        is_apart = true;
    }
    return is_apart;
}

/* Another way, or a server that does not see the NAT, says nothing of this one. */
static bool is_of_this_nat(const npi_facts *f, const npi_trial *t)
{
    if (npi_mapping_leaves_out(f, npi_trial_server(f, t)))
        return false;
    return f->path.state == NPI_PATH_POOL || (npi_trial_has_source_way(f, t) && !is_apart_from_all(f, t));
}

/* Whether an answer to some server's II or III has passed the NAT that such a filter would have stopped. */
static bool is_refuted_by(const npi_filtering *p, int32_t filtering)
{
    bool ii = p->ii.outcome == NPI_CHANGE_HONOURED && filtering != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool iii = p->iii.outcome == NPI_CHANGE_HONOURED && filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return !p->pinhole_not_fresh && (ii || iii);
}

/*
 * One server's silence is the word of that server, whose own firewall may keep answers back; an answer that came from
 * another has passed the NAT.
 */
static bool is_overruled(const npi_facts *f, const npi_trial *t)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *o = npi_server_trial(f, &f->servers[i]);
        if (o != NULL && o != t && is_refuted_by(&o->filtering, t->finding.filtering) && is_of_this_nat(f, o))
            return true;
    }
    return false;
}

/* A verdict from silence stands when the trial is over, one from an answer at once. */
static bool has_filtering(const npi_facts *f, const npi_trial *t)
{
    if (!npi_trial_is_decided(t) || t->finding.filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    if (!is_of_this_nat(f, t) || is_overruled(f, t))
        return false;
    return t->phase == NPI_PHASE_DONE || t->finding.filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

/* An answered II is more than any silence. */
static bool says_more(const npi_finding *a, const npi_finding *b)
{
    bool a_open = a->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool b_open = b->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool a_kind = a->filtering != NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    bool b_kind = b->filtering != NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    if (a_open != b_open)
        return a_open;
    return a_kind != b_kind ? a_kind : a->proven && !b->proven;
}

const npi_trial *npi_filtering_trial(const npi_facts *f)
{
    const npi_trial *best = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[i]);
        if (t != NULL && has_filtering(f, t) && (best == NULL || says_more(&t->finding, &best->finding)))
            best = t;
    }
    return best;
}

int32_t npi_filtering_found(const npi_facts *f)
{
    const npi_trial *t = npi_filtering_trial(f);
    return t != NULL ? t->finding.filtering : NP_BEHAVIOUR_UNKNOWN;
}

bool npi_filtering_is_needed(const npi_facts *f)
{
    int32_t found = npi_filtering_found(f);
    return npi_facts_tests_filtering(f) && (found == NP_BEHAVIOUR_UNKNOWN || found == NP_BEHAVIOUR_ENDPOINT_DEPENDENT);
}

bool npi_trial_is_useful(const npi_facts *f, const npi_trial *t)
{
    if (t->phase == NPI_PHASE_DONE)
        return false;
    return !npi_filtering_is_needed(f) || !npi_trial_is_decided(t) || t->finding.filtering != NP_BEHAVIOUR_UNKNOWN;
}

/* ---- Answers to CHANGE-REQUEST ---------------------------------------------------------------------------------- */

/*
 * What left from where it should and comes from elsewhere was rewritten on the way: a router may put an address of its
 * own for that of who sends unsolicited. That the datagram passed is no proof that the one asked for would: a server
 * may say what is not true. From another address of its own it was the server that sent it, whatever it says.
 */
npi_change npi_change_shown(const npi_server *s, uint32_t change, const npi_addr *from, const npi_addr *origin,
                            bool success)
{
    npi_addr expected = npi_server_expected_source(s, change);
    if (success && s->alternate_state != NPI_ALTERNATE_KNOWN && !npi_addr_equal(from, &s->address))
        return NPI_CHANGE_PENDING;
    npi_change outcome = npi_classify_change(&s->address, &expected, from, success);
    bool is_its_own = npi_addr_same_ip(from, &s->address) || npi_addr_same_ip(from, &s->alternate);
    bool is_rewritten = outcome == NPI_CHANGE_PARTIAL && !is_its_own && npi_addr_equal(origin, &expected);
    return is_rewritten ? NPI_CHANGE_REWRITTEN : outcome;
}

uint32_t npi_change_evidence(npi_change outcome)
{
    switch (outcome) {
    case NPI_CHANGE_IGNORED:
        return NP_EVIDENCE_CHANGE_IGNORED;
    case NPI_CHANGE_PARTIAL:
        return NP_EVIDENCE_CHANGE_PARTIAL;
    case NPI_CHANGE_REWRITTEN:
        return NP_EVIDENCE_PROXIED;
    case NPI_CHANGE_REJECTED:
        return NP_EVIDENCE_CHANGE_REJECTED;
    default:
        return 0;
    }
}

bool npi_change_disqualifies_server(npi_change outcome)
{
    return npi_change_evidence(outcome) != 0;
}

npi_reason npi_change_reason(npi_change outcome)
{
    if (outcome == NPI_CHANGE_IGNORED)
        return NPI_REASON_IGNORED;
    if (outcome == NPI_CHANGE_REWRITTEN)
        return NPI_REASON_REWRITTEN;
    return outcome == NPI_CHANGE_REJECTED ? NPI_REASON_REJECTED : NPI_REASON_PARTIAL;
}
#undef OBSERVATIONS_MAX

/* ---- engine/hairpin.c -------------------- */

/*
 * The source socket and a fresh one send to each other's external address, as two hosts behind one NAT would: each
 * opens its own way, so that no filter stands between them that would not between two such hosts.
 */
/* The optional test HAIRPIN (docs/METHOD.md section 18): do datagrams to the own external address come back? */
#ifndef NPI_ENGINE_HAIRPIN_H
#define NPI_ENGINE_HAIRPIN_H


/* True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_hairpin_step(npi_facts *f, uint64_t *wake_ns);

#endif


enum { HAIRPIN_BEGINS, HAIRPIN_FIRST, HAIRPIN_SENDS };

/* Which server shows the source socket's external address; false when none does. */
static bool choose_hairpin_server(npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!s->has_mapping || s->failed || s->is_unsteady || npi_mapping_leaves_out(f, s))
            continue;
        f->optional.hairpin.server = i;
        return true;
    }
    return false;
}

static const npi_server *hairpin_server(const npi_facts *f)
{
    return &f->servers[f->optional.hairpin.server];
}

/* The external address of a socket whose mapping depends on the destination is not the one that the other would see. */
static bool begin_hairpin(npi_facts *f)
{
    npi_hairpin_test *h = &f->optional.hairpin;
    if (npi_mapping_confirmed(f) != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || !choose_hairpin_server(f))
        return false;
    h->first = npi_errand_ask(f, "hairpin I", h->server, npi_errand_slot(f), &hairpin_server(f)->address, 0);
    return h->first != NULL;
}

/* False when the fresh socket is not behind the same external address, or cannot be. */
static bool send_both(npi_facts *f)
{
    npi_hairpin_test *h = &f->optional.hairpin;
    const npi_observation *source = &hairpin_server(f)->observed;
    if (!npi_exchange_has_external(&h->first->x) || !npi_has_same_way(&h->first->x, &source->external, &source->local))
        return false;
    int fresh = h->first->x.slot;
    h->there = npi_errand_echo(f, "hairpin", NPI_SLOT_SOURCE, &h->first->x.external, fresh);
    h->back = npi_errand_echo(f, "hairpin", fresh, &source->external, NPI_SLOT_SOURCE);
    h->witness = npi_errand_ask(f, "hairpin I", h->server, NPI_SLOT_SOURCE, &hairpin_server(f)->address, 0);
    if (h->there == NULL || h->back == NULL || h->witness == NULL)
        return false;
    h->witness->goes_on = true;
    return true;
}

/* From which address one that came seems to come. */
static int32_t hairpin_source(const npi_errand *e, const npi_addr *external)
{
    if (!npi_errand_is_answered(e))
        return NP_TRISTATE_UNKNOWN;
    return npi_addr_same_ip(&e->from, external) ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

static void note_hairpin(const npi_facts *f, npi_hairpin_test *h)
{
    const npi_addr *external = &hairpin_server(f)->observed.external;
    int32_t there = hairpin_source(h->there, external);
    int32_t back = hairpin_source(h->back, external);
    h->arrives = NP_TRISTATE_YES;
    if (there == back || back == NP_TRISTATE_UNKNOWN)
        h->from_external = there;
    else if (there == NP_TRISTATE_UNKNOWN)
        h->from_external = back;
}

/* The external address is still the one that was sent to, and so many losses are no chance. */
static bool is_proven_not_to_come(const npi_facts *f, const npi_hairpin_test *h)
{
    npi_loss loss = {0, 0};
    npi_errand_count(f, h->witness, &loss);
    return npi_addr_equal(&h->witness->x.external, &hairpin_server(f)->observed.external) &&
           !npi_loss_is_burst(&loss) &&
           npi_silence_holds(&loss, h->there->x.t.sent + h->back->x.t.sent, NPI_OPTIONAL_SILENCE);
}

static bool is_sent_off(const npi_errand *e)
{
    return !e->x.failed && !e->x.unsent;
}

bool npi_hairpin_step(npi_facts *f, uint64_t *wake_ns)
{
    npi_hairpin_test *h = &f->optional.hairpin;
    if (h->step == HAIRPIN_BEGINS) {
        if (!begin_hairpin(f))
            return true;
        h->step = HAIRPIN_FIRST;
    }
    if (h->step == HAIRPIN_FIRST) {
        if (!npi_errand_is_settled(f, h->first, wake_ns))
            return false;
        if (!send_both(f))
            return true;
        h->step = HAIRPIN_SENDS;
    }
    if (npi_errand_is_answered(h->there) || npi_errand_is_answered(h->back)) {
        note_hairpin(f, h);
        return true;
    }
    bool is_over = npi_errand_is_complete(f, h->witness, wake_ns);
    is_over &= npi_errand_is_settled(f, h->there, wake_ns);
    is_over &= npi_errand_is_settled(f, h->back, wake_ns);
    if (is_over && is_sent_off(h->there) && is_sent_off(h->back) && is_proven_not_to_come(f, h))
        h->arrives = NP_TRISTATE_NO;
    return is_over;
}

/* ---- engine/halves.c -------------------- */

/* Holds the silent copies of each half against the plain requests of the same time. */

/* The requests of a trial that no NAT filters: their answers and losses show what the path does. Pure. */
#ifndef NPI_ENGINE_PLAIN_H
#define NPI_ENGINE_PLAIN_H


typedef struct npi_plain_list {
    const npi_transaction *t[NPI_SERVER_EXCHANGES + NPI_FILTERING_EXCHANGES + NPI_CONTROL_EXCHANGES];
    size_t count;
} npi_plain_list;

/* All that were sent on a path that was awake: to A, and answered ones of the mapping phase. */
npi_plain_list npi_plain_requests(const npi_facts *f, const npi_trial *t);

#endif

/* From the first time on, and before the second. */
typedef struct halves_span {
    uint64_t from_ns;
    uint64_t until_ns;
} halves_span;

static bool is_in(const halves_span *s, uint64_t at_ns)
{
    return at_ns >= s->from_ns && at_ns < s->until_ns;
}

static uint32_t sent_in(const npi_transaction *x, const halves_span *s)
{
    return npi_transaction_sent_since(x, s->from_ns) - npi_transaction_sent_since(x, s->until_ns);
}

static uint32_t silent_in(const npi_filtering *p, const halves_span *s)
{
    uint32_t copies = sent_in(&npi_silence_proof(p)->t, s);
    return npi_silence_has_second(p) ? copies + sent_in(&p->x[NPI_F_SECOND].t, s) : copies;
}

/* When the earliest of its copies left up to which half of all have. */
static uint64_t middle_of(const npi_filtering *p, const npi_transaction *x, const halves_span *all)
{
    uint32_t copies = silent_in(p, all);
    for (uint32_t i = x->sent - sent_in(x, all); i < x->sent; i++) {
        halves_span first = {all->from_ns, npi_transaction_copy_ns(x, i) + 1};
        if (2 * silent_in(p, &first) >= copies)
            return first.until_ns;
    }
    return NPI_NEVER;
}

static uint64_t middle_ns(const npi_filtering *p, const halves_span *all)
{
    uint64_t middle_ns = middle_of(p, &npi_silence_proof(p)->t, all);
    return npi_silence_has_second(p) ? npi_time_min(middle_ns, middle_of(p, &p->x[NPI_F_SECOND].t, all)) : middle_ns;
}

/* What is under way is expected to fare like the rest of its half. */
static npi_loss loss_in(const npi_plain_list *list, const halves_span *s, uint64_t now_ns, uint64_t age_ns)
{
    npi_loss loss = {0, 0};
    uint32_t open = 0;
    for (size_t i = 0; i < list->count; i++) {
        const npi_transaction *x = list->t[i];
        for (uint32_t copy = 0; copy < x->sent; copy++) {
            uint64_t sent_ns = npi_transaction_copy_ns(x, copy);
            if (!is_in(s, sent_ns))
                continue;
            if (npi_transaction_is_copy_answered(x, copy))
                loss.answered++;
            else if (npi_time_add(sent_ns, age_ns) <= now_ns)
                loss.lost++;
            else
                open++;
        }
    }
    npi_loss_expect(&loss, open);
    return loss;
}

/*
 * A server that repeats its answers hides how many copies were lost, and with them the round trip. It does not hide
 * that nothing came to whole moments of I. One may be an answer that came late.
 */
static bool hides_lost_moments(const npi_facts *f, const npi_trial *t)
{
    const npi_transaction *plain[] = {&t->filtering.late.t, &t->filtering.x[NPI_F_I].t};
    uint32_t moments = 0;
    uint32_t bunches = 0;
    if (!npi_trial_server(f, t)->repeats)
        return false;
    for (size_t i = 0; i < 2; i++) {
        moments += npi_transaction_moments(plain[i], f->now_ns, npi_trial_rto(f, t), NPI_COPIES_APART_NS);
        bunches += plain[i]->bunches;
    }
    return moments > bunches + 1;
}

bool npi_halves_hold(const npi_facts *f, const npi_trial *t)
{
    if (npi_silence_path_loss(f, t).lost == 0)
        return true;
    if (hides_lost_moments(f, t))
        return false;
    const npi_filtering *p = &t->filtering;
    double limit = npi_trial_server(f, t)->repeats ? NPI_SILENCE_HALF_REPEATED : NPI_SILENCE_HALF;
    const npi_plain_list list = npi_plain_requests(f, t);
    const halves_span all = {npi_trial_server(f, t)->woke_ns, NPI_NEVER};
    uint64_t at_ns = middle_ns(p, &all);
    const halves_span halves[] = {{all.from_ns, at_ns}, {at_ns, NPI_NEVER}};
    for (size_t i = 0; i < 2; i++) {
        npi_loss loss = loss_in(&list, &halves[i], f->now_ns, npi_trial_rto(f, t));
        if (npi_loss_p_all_lost(&loss, silent_in(p, &halves[i])) >= limit)
            return false;
    }
    return true;
}

/* ---- engine/idle.c -------------------- */

/* Sockets left idle. */
/*
 * The optional test LIFETIME: sockets are left idle for ever longer times, and then something is to come in by their
 * mappings (docs/METHOD.md section 12). lifetime.h decides for how long, and what follows.
 */
#ifndef NPI_ENGINE_IDLE_H
#define NPI_ENGINE_IDLE_H


/* True when the test is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_idle_step(npi_facts *f, uint64_t *wake_ns);
bool npi_idle_needs_slot(const npi_facts *f, int slot);
/* What is known so far. */
void npi_idle_write(const npi_facts *f, np_result *out);

#endif

#include <string.h>


#define MS_PER_S 1000

/* A mapping ages while the process stands still. */
static uint64_t true_ns(const npi_facts *f)
{
    return f->now_ns + f->standstill.total_ns;
}

/* True when that time has come; else it is woken for. */
static bool has_come(const npi_facts *f, uint64_t t_ns, uint64_t *wake_ns)
{
    if (t_ns <= true_ns(f))
        return true;
    *wake_ns = npi_time_min(*wake_ns, t_ns - f->standstill.total_ns);
    return false;
}

static const npi_server *server_of(const npi_facts *f)
{
    return &f->servers[f->optional.lifetime.server];
}

static int slot_of(const npi_facts *f, const npi_idler *s)
{
    return NPI_SLOT_IDLE + (int)(s - f->optional.lifetime.idler);
}

/* However much is lost, and wherever the time went. */
static uint64_t latest_end_ns(const npi_facts *f)
{
    uint64_t round_ns = f->config.lifetime_limit_ns + NPI_IDLE_ROUND_NS;
    return npi_time_add(f->optional.lifetime.begun_ns, NPI_LIFETIME_ROUNDS * round_ns);
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* The next copy waits for an answer to the last, but not for long. */
static npi_errand *idle_spread(const npi_facts *f, npi_errand *e)
{
    const npi_rtt *rtt = &server_of(f)->rtt;
    uint64_t rto_ns = rtt->samples > 0 ? npi_rtt_rto(rtt) : 0;
    if (e != NULL) {
        e->x.max_copies = NPI_IDLE_COPIES;
        e->gap_ns = npi_time_max(NPI_IDLE_GAP_NS, npi_time_min(rto_ns, NPI_IDLE_GAP_MAX_NS));
    }
    return e;
}

/* All copies are sent, to count how many are answered. */
static npi_errand *idle_counted(npi_errand *e)
{
    if (e != NULL)
        e->goes_on = true;
    return e;
}

static npi_errand *ask_a(npi_facts *f, int slot)
{
    return idle_spread(
        f, npi_errand_ask(f, "I of an idle socket", f->optional.lifetime.server, slot, &server_of(f)->address, 0));
}

/* Something is to come from A:P to the mapping of a socket, which has that external port. */
static npi_errand *ask_for(npi_facts *f, int slot, uint16_t external_port)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    const npi_server *s = server_of(f);
    if (t->way == NPI_IDLE_RESPONSE_PORT)
        return idle_spread(
            f, npi_errand_ask_to(f, "RESPONSE-PORT", t->server, NPI_SLOT_ASKER, &s->address, external_port, slot));
    return idle_spread(f, npi_errand_ask(f, "II of an idle socket", t->server, slot, &s->alternate,
                                    NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT));
}

/* It came from A:P: a server that does not do what it was asked to answers from elsewhere, or on another socket. */
static bool has_come_in(const npi_facts *f, const npi_errand *e)
{
    return e != NULL && npi_errand_is_answered(e) && npi_addr_equal(&e->from, &server_of(f)->address);
}

/* So many have, of so many copies. */
static bool is_let_in(const npi_facts *f, const npi_errand *e)
{
    return has_come_in(f, e) && e->x.t.answers >= NPI_IDLE_CONTROLS;
}

/* Each copy has left. */
static bool was_sent(const npi_errand *e)
{
    return e != NULL && !e->x.failed && e->x.t.sent == e->x.t.limit && e->x.t.started;
}

static bool idle_is_settled(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    return e == NULL || npi_errand_is_settled(f, e, wake_ns);
}

/* Enough copies are answered, or none will be any more. */
static bool is_counted(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    return e == NULL || e->x.t.answers >= NPI_IDLE_CONTROLS ||
           npi_time_has_come(npi_errand_over_ns(f, e), f->now_ns, wake_ns);
}

static void release(npi_errand **e)
{
    if (*e != NULL)
        npi_errand_release(*e);
    *e = NULL;
}

static void release_both(npi_lifetime_test *t)
{
    release(&t->errand[0]);
    release(&t->errand[1]);
}

/* ---- Ports that are used again ---------------------------------------------------------------------------------- */

typedef struct port_search {
    uint16_t port;
    bool found;
} port_search;

static void look_at(const npi_server *s, const npi_exchange *x, void *user)
{
    port_search *search = user;
    (void)s;
    search->found |= x->external.port == search->port;
}

/*
 * True if a socket before had this external port. It is closed, and the system gave its local port again: then the
 * mapping is that one's, which had been answered, and is of another age.
 */
static bool was_used(npi_facts *f, uint16_t port)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    port_search search = {.port = port};
    npi_facts_each(f, look_at, &search);
    for (size_t i = 0; i < t->used_ports; i++)
        search.found |= t->used_port[i] == port;
    if (t->used_ports < NPI_IDLE_PORTS)
        t->used_port[t->used_ports++] = port;
    return search.found;
}

/* ---- One socket ------------------------------------------------------------------------------------------------- */

static void end_idler(npi_idler *s)
{
    release(&s->errand);
    s->stage = NPI_IDLE_DONE;
}

/* Whose samples it adds to. */
static int sampled_kind(const npi_idler *s)
{
    return s->kind == NPI_IDLE_UNANSWERED ? NPI_IDLE_UNANSWERED : NPI_IDLE_ANSWERED;
}

static void note(npi_facts *f, npi_idler *s, npi_idle_fate fate, uint64_t least_ns, uint64_t most_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    int kind = sampled_kind(s);
    end_idler(s);
    if (fate == NPI_IDLE_UNKNOWN || t->samples[kind] == NPI_IDLE_SAMPLES)
        return;
    npi_idle_sample *sample = &t->sample[kind][t->samples[kind]++];
    *sample = (npi_idle_sample){
        .fate = fate, .round = t->round, .port = s->external.port, .keeps_port = s->external.port == s->local.port};
    if (least_ns > s->idle_least_ns)
        sample->least_ms = (uint32_t)((least_ns - s->idle_least_ns) / NPI_MS);
    sample->most_ms = (uint32_t)((most_ns - s->idle_most_ns) / NPI_MS + 1);
    npi_log_write(&f->config.log, NP_LOG_INFO, "an idle mapping, %s, after %u ms: %s",
                  kind == NPI_IDLE_UNANSWERED ? "unanswered" : "answered", (unsigned)sample->most_ms,
                  fate == NPI_IDLE_ALIVE  ? "nothing has changed"
                  : fate == NPI_IDLE_SAME ? "the same port"
                                          : "gone");
}

static void idle_give_up(npi_facts *f, npi_idler *s)
{
    note(f, s, NPI_IDLE_UNKNOWN, 0, 0);
}

/* What was asked last is answered, and the socket is idle from now on. */
static void begin_idling(npi_facts *f, npi_idler *s)
{
    uint64_t now_ns = true_ns(f);
    const npi_rtt *rtt = &server_of(f)->rtt;
    uint64_t on_its_way_ns = s->errand->x.t.sent > 1 && rtt->samples > 0 ? npi_rtt_rto(rtt) : 0;
    s->idle_least_ns = npi_time_add(now_ns, on_its_way_ns);
    s->idle_most_ns = s->asked_ns;
    s->next_ns = npi_time_add(s->idle_least_ns, s->idle_ms * NPI_MS);
    s->stage = NPI_IDLE_WAITING;
    release(&s->errand);
}

static void idle_ask(npi_facts *f, npi_idler *s, npi_idle_stage stage, npi_errand *errand)
{
    s->asked_ns = true_ns(f);
    s->errand = errand;
    s->stage = stage;
    if (errand == NULL)
        idle_give_up(f, s);
}

static void open_idler(npi_facts *f, npi_idler *s)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    const npi_addr *a = &server_of(f)->address;
    int slot = slot_of(f, s);
    if (s->kind != NPI_IDLE_UNANSWERED)
        idle_ask(f, s, NPI_IDLE_OPENING, ask_a(f, slot));
    else if (t->way == NPI_IDLE_RESPONSE_PORT) /* what answers it comes to the asker, and tells the mapping */
        idle_ask(f, s, NPI_IDLE_CONFIRMING,
            idle_spread(f,
                   npi_errand_ask_to(f, "I, answered elsewhere", t->server, slot, a, t->asker.port, NPI_SLOT_ASKER)));
    else
        idle_ask(f, s, NPI_IDLE_CONFIRMING, idle_spread(f, npi_errand_indicate(f, "indication", t->server, slot, a)));
}

static void take_opening(npi_facts *f, npi_idler *s)
{
    if (!has_come_in(f, s->errand)) {
        idle_give_up(f, s);
        return;
    }
    s->external = s->errand->x.external;
    s->local = s->errand->x.local;
    if (was_used(f, s->external.port)) {
        idle_give_up(f, s);
        return;
    }
    s->next_ns = npi_time_add(true_ns(f), NPI_IDLE_PAUSE_NS); /* it may have been asked long before it was sent */
    s->stage = NPI_IDLE_PAUSING;
    release(&s->errand);
}

/* Indications have left, and nothing has come; or what was asked is answered, and shows the mapping. */
static bool idle_is_confirmed(npi_facts *f, npi_idler *s)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    const npi_errand *e = s->errand;
    if (e->payload == NPI_PAYLOAD_INDICATION)
        return was_sent(e) && !npi_errand_is_answered(e);
    if (!has_come_in(f, e))
        return false;
    if (npi_addr_is_set(&s->external) && !npi_addr_same_ip(&s->external, &e->x.external))
        return false;
    if (e->x.external.port != s->external.port && was_used(f, e->x.external.port))
        return false;
    s->external = e->x.external;
    if (s->kind != NPI_IDLE_UNANSWERED)
        s->local = e->x.local;
    return t->way != NPI_IDLE_RESPONSE_PORT || npi_addr_same_ip(&s->external, &t->asker);
}

static void take_confirmation(npi_facts *f, npi_idler *s)
{
    if (idle_is_confirmed(f, s))
        begin_idling(f, s);
    else
        idle_give_up(f, s);
}

/* It only compares: the next datagram out has the same external port, or another. */
static void take_comparison(npi_facts *f, npi_idler *s)
{
    const npi_addr *seen = &s->errand->x.external;
    if (!has_come_in(f, s->errand) || !npi_addr_same_ip(seen, &s->external))
        idle_give_up(f, s);
    else if (seen->port == s->external.port)
        note(f, s, NPI_IDLE_SAME, s->asked_ns, true_ns(f));
    else {
        (void)was_used(f, seen->port);
        note(f, s, NPI_IDLE_CHANGED, s->asked_ns, true_ns(f));
    }
}

/* When the last copy has got wherever it goes, at the latest. */
static uint64_t heard_by_now_ns(const npi_facts *f, const npi_errand *e)
{
    const npi_rtt *rtt = &server_of(f)->rtt;
    uint64_t rto_ns = rtt->samples > 0 ? npi_rtt_rto(rtt) : NPI_NEVER;
    uint64_t by_ns = npi_time_add(npi_transaction_last_ns(&e->x.t) + f->standstill.total_ns, rto_ns);
    return npi_time_min(by_ns, true_ns(f));
}

/* Nothing has come in: is the mapping gone, or would nothing have come anyway? A fresh socket shows that. */
static void take_asking(npi_facts *f, npi_idler *s)
{
    if (s->kind == NPI_IDLE_COMPARING) {
        take_comparison(f, s);
        return;
    }
    if (npi_errand_is_answered(s->errand)) {
        bool is_shown = npi_addr_is_set(&s->external) || !was_used(f, s->errand->x.external.port);
        note(f, s, has_come_in(f, s->errand) && is_shown ? NPI_IDLE_ALIVE : NPI_IDLE_UNKNOWN, s->asked_ns, true_ns(f));
        return;
    }
    if (!was_sent(s->errand)) {
        idle_give_up(f, s);
        return;
    }
    s->silent_ns = heard_by_now_ns(f, s->errand);
    s->next_ns = npi_time_add(true_ns(f), NPI_IDLE_CLOSE_NS);
    s->stage = NPI_IDLE_CLOSING;
    release(&s->errand);
}

static void take_reopening(npi_facts *f, npi_idler *s)
{
    if (!has_come_in(f, s->errand)) {
        idle_give_up(f, s);
        return;
    }
    npi_addr external = s->errand->x.external;
    (void)was_used(f, external.port);
    release(&s->errand);
    idle_ask(f, s, NPI_IDLE_CONTROL, idle_counted(ask_for(f, slot_of(f, s), external.port)));
}

/* By RESPONSE-PORT the server answers to the IP address of the asker, which has to be that of the idle mapping. */
static void take_control(npi_facts *f, npi_idler *s)
{
    bool is_telling = is_let_in(f, s->errand);
    if (f->optional.lifetime.way == NPI_IDLE_RESPONSE_PORT)
        is_telling = is_telling && npi_addr_same_ip(&s->errand->x.external, &s->external);
    note(f, s, is_telling ? NPI_IDLE_GONE : NPI_IDLE_UNKNOWN, s->silent_ns, s->silent_ns);
}

/* What the socket waits for is there; otherwise it is woken for. */
static bool is_idler_due(const npi_facts *f, const npi_idler *s, uint64_t *wake_ns)
{
    switch (s->stage) {
    case NPI_IDLE_DONE:
        return false;
    case NPI_IDLE_PAUSING:
    case NPI_IDLE_WAITING:
    case NPI_IDLE_CLOSING:
        return has_come(f, s->next_ns, wake_ns);
    case NPI_IDLE_CONTROL:
        return is_counted(f, s->errand, wake_ns);
    default:
        return idle_is_settled(f, s->errand, wake_ns);
    }
}

static void end_waiting(npi_facts *f, npi_idler *s)
{
    int slot = slot_of(f, s);
    idle_ask(f, s, NPI_IDLE_ASKING, s->kind == NPI_IDLE_COMPARING ? ask_a(f, slot) : ask_for(f, slot, s->external.port));
}

/* False while it waits for something. */
static bool step_idler(npi_facts *f, npi_idler *s, uint64_t *wake_ns)
{
    if (!is_idler_due(f, s, wake_ns))
        return false;
    switch (s->stage) {
    case NPI_IDLE_OPENING:
        take_opening(f, s);
        break;
    case NPI_IDLE_PAUSING:
        idle_ask(f, s, NPI_IDLE_CONFIRMING, ask_a(f, slot_of(f, s)));
        break;
    case NPI_IDLE_CONFIRMING:
        take_confirmation(f, s);
        break;
    case NPI_IDLE_WAITING:
        end_waiting(f, s);
        break;
    case NPI_IDLE_ASKING:
        take_asking(f, s);
        break;
    case NPI_IDLE_CLOSING:
        idle_ask(f, s, NPI_IDLE_REOPENING, ask_a(f, slot_of(f, s)));
        break;
    case NPI_IDLE_REOPENING:
        take_reopening(f, s);
        break;
    default:
        take_control(f, s);
        break;
    }
    return true;
}

/* ---- A round ---------------------------------------------------------------------------------------------------- */

static size_t idle_plan(const npi_lifetime_test *t, const npi_facts *f, int kind, uint32_t tries[NPI_LIFETIME_TRIES])
{
    if (kind == NPI_IDLE_UNANSWERED && t->way == NPI_IDLE_NO_WAY)
        return 0; /* what is asked of them would be answered */
    uint32_t limit_ms = (uint32_t)(f->config.lifetime_limit_ns / NPI_MS);
    if (t->round == 0)
        return npi_lifetime_first_round(limit_ms, tries);
    return npi_lifetime_next_round(t->sample[kind], t->samples[kind], limit_ms, tries);
}

static size_t add_idlers(npi_lifetime_test *t, size_t from, npi_idle_kind kind, const uint32_t *tries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        t->idler[from + i] = (npi_idler){.kind = kind, .idle_ms = tries[i]};
    return from + count;
}

/* How many sockets there are to be left idle. */
static size_t make_round(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    uint32_t tries[2][NPI_LIFETIME_TRIES];
    size_t count[2] = {idle_plan(t, f, NPI_IDLE_ANSWERED, tries[0]), idle_plan(t, f, NPI_IDLE_UNANSWERED, tries[1])};
    bool has_way = t->way != NPI_IDLE_NO_WAY;
    size_t made = add_idlers(t, 0, has_way ? NPI_IDLE_ANSWERED : NPI_IDLE_COMPARING, tries[0], count[0]);
    made = add_idlers(t, made, NPI_IDLE_UNANSWERED, tries[1], count[1]);
    for (size_t i = 0; has_way && t->round == 0 && count[0] > 0 && i < NPI_IDLE_COMPARED; i++)
        made = add_idlers(t, made, NPI_IDLE_COMPARING, &tries[0][count[0] - 1], 1);
    uint64_t longest_ms = 0;
    for (size_t i = 0; i < made; i++)
        longest_ms = npi_time_max(longest_ms, t->idler[i].idle_ms);
    uint64_t rounds = t->round == 0 ? NPI_LIFETIME_ROUNDS : 1;
    t->end_ns = npi_time_add(true_ns(f), rounds * (longest_ms * NPI_MS + NPI_IDLE_ROUND_NS));
    return made;
}

static void begin_round(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    memset(t->idler, 0, sizeof t->idler);
    size_t made = t->round < NPI_LIFETIME_ROUNDS ? make_round(f) : 0;
    t->phase = made > 0 ? NPI_IDLE_ROUND : NPI_IDLE_OVER;
    t->round++;
    for (size_t i = 0; i < made; i++)
        open_idler(f, &t->idler[i]);
}

/* Some socket of that kind has been idle for less, or is being asked. */
static bool is_shorter_open(const npi_lifetime_test *t, int kind)
{
    for (size_t i = 0; i < NPI_IDLERS; i++) {
        const npi_idler *s = &t->idler[i];
        if (sampled_kind(s) == kind && s->stage != NPI_IDLE_DONE && s->stage != NPI_IDLE_WAITING)
            return true;
    }
    return false;
}

/* Where it is known how long mappings live, longer idle times are not waited for, and ports are compared at once. */
static void cut_short(npi_facts *f, int kind)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (!npi_lifetime_is_bounded(t->sample[kind], t->samples[kind]) || is_shorter_open(t, kind))
        return;
    uint32_t max_ms = npi_lifetime_conclude(t->sample[kind], t->samples[kind]).max_ms;
    for (size_t i = 0; i < NPI_IDLERS; i++) {
        npi_idler *s = &t->idler[i];
        if (s->stage != NPI_IDLE_WAITING || sampled_kind(s) != kind || s->idle_ms <= max_ms)
            continue;
        if (s->kind == NPI_IDLE_COMPARING && t->way != NPI_IDLE_NO_WAY)
            s->next_ns = npi_time_min(s->next_ns, npi_time_add(s->idle_least_ns, max_ms * NPI_MS));
        else
            end_idler(s);
    }
}

/* True when it is over. */
static bool step_round(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    bool is_over = true;
    cut_short(f, NPI_IDLE_ANSWERED);
    cut_short(f, NPI_IDLE_UNANSWERED);
    for (size_t i = 0; i < NPI_IDLERS; i++) {
        npi_idler *s = &t->idler[i];
        while (step_idler(f, s, wake_ns))
            continue;
        is_over = is_over && s->stage == NPI_IDLE_DONE;
    }
    return is_over;
}

/* ---- The way in ------------------------------------------------------------------------------------------------- */

/* One that honours CHANGE-REQUEST, as far as that is known, else any that has seen the source socket. */
static bool choose_server(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    const npi_trial *trial = npi_filtering_trial(f);
    bool found = false;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        bool is_better = trial != NULL ? trial->server == i : s->alternate_state == NPI_ALTERNATE_KNOWN;
        if (!s->has_mapping || s->failed || (found && !is_better))
            continue;
        t->server = i;
        found = true;
        if (is_better)
            break;
    }
    return found;
}

/* Where everything is let in, and nothing translated, nothing grows old. */
static bool has_nothing_to_keep(const npi_facts *f)
{
    return npi_mapping_confirmed(f) == NP_BEHAVIOUR_NONE && npi_filtering_found(f) == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

static void idle_begin(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    t->begun_ns = t->told_ns = true_ns(f);
    t->end_ns = latest_end_ns(f);
    if (!choose_server(f) || has_nothing_to_keep(f)) {
        t->phase = NPI_IDLE_OVER;
        return;
    }
    t->errand[0] = ask_a(f, NPI_SLOT_ASKER);
    t->errand[1] = ask_a(f, NPI_SLOT_IDLE);
    t->phase = NPI_IDLE_OPEN;
}

static void pause_between(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    t->phase = NPI_IDLE_BETWEEN;
    t->next_ns = npi_time_add(true_ns(f), NPI_IDLE_CLOSE_NS);
}

/* Where ports are kept and nothing can come in, no idle time would tell anything. */
static void settle_way(npi_facts *f, npi_idle_way way)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    release_both(t);
    t->way = way;
    if (way == NPI_IDLE_NO_WAY && t->keeps_ports)
        t->phase = NPI_IDLE_OVER;
    else
        pause_between(f);
}

/*
 * An answer that B:Q is asked for comes to the mapping to A:P only if all destinations see the same one. And it shows
 * that this has not been made again only if the filter refuses what was not asked for.
 */
static bool may_change(const npi_facts *f)
{
    int32_t mapping = npi_mapping_confirmed(f);
    int32_t filtering = npi_filtering_found(f);
    return server_of(f)->alternate_state == NPI_ALTERNATE_KNOWN &&
           (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || mapping == NP_BEHAVIOUR_NONE) &&
           (filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT || filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT);
}

/* A stranger's socket asks for the same, and must not get it: a filter may be one of the whole host. */
static void try_change(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    release_both(t);
    if (!may_change(f)) {
        settle_way(f, NPI_IDLE_NO_WAY);
        return;
    }
    t->way = NPI_IDLE_CHANGE;
    t->errand[0] = ask_for(f, NPI_SLOT_IDLE + 1, 0);
    if (t->errand[0] != NULL)
        t->errand[0]->x.max_copies = NPI_IDLE_STRANGER_COPIES;
    t->phase = NPI_IDLE_TRY_STRANGER;
}

static bool is_port_kept(const npi_errand *e)
{
    return e->x.external.port == e->x.local.port;
}

static void take_open(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (!has_come_in(f, t->errand[0]) || !has_come_in(f, t->errand[1])) {
        settle_way(f, NPI_IDLE_NO_WAY);
        return;
    }
    t->keeps_ports = is_port_kept(t->errand[0]) && is_port_kept(t->errand[1]);
    t->asker = t->errand[0]->x.external;
    t->opened = t->errand[1]->x.external;
    (void)was_used(f, t->asker.port);
    (void)was_used(f, t->opened.port);
    release_both(t);
    t->way = NPI_IDLE_RESPONSE_PORT;
    t->errand[0] = idle_counted(ask_for(f, NPI_SLOT_IDLE, t->opened.port));
    t->phase = NPI_IDLE_TRY_PORT;
}

static void take_try(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (t->phase == NPI_IDLE_TRY_PORT && is_let_in(f, t->errand[0]) && npi_addr_same_ip(&t->asker, &t->opened)) {
        settle_way(f, NPI_IDLE_RESPONSE_PORT);
    } else if (t->phase == NPI_IDLE_TRY_PORT) {
        try_change(f);
    } else if (t->phase == NPI_IDLE_TRY_STRANGER && was_sent(t->errand[0]) && !npi_errand_is_answered(t->errand[0])) {
        release(&t->errand[0]);
        t->errand[0] = ask_a(f, NPI_SLOT_IDLE + 2);
        t->phase = NPI_IDLE_OPEN_AGAIN;
    } else if (t->phase == NPI_IDLE_OPEN_AGAIN && has_come_in(f, t->errand[0])) {
        release(&t->errand[0]);
        t->errand[0] = idle_counted(ask_for(f, NPI_SLOT_IDLE + 2, 0));
        t->phase = NPI_IDLE_TRY_CHANGE;
    } else {
        bool is_right = t->phase == NPI_IDLE_TRY_CHANGE && is_let_in(f, t->errand[0]);
        settle_way(f, is_right ? NPI_IDLE_CHANGE : NPI_IDLE_NO_WAY);
    }
}

/* Without an answer now, none of the others would tell anything. */
static void take_greeting(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    bool is_heard = has_come_in(f, t->errand[0]);
    if (is_heard)
        t->asker = t->errand[0]->x.external;
    release(&t->errand[0]);
    if (is_heard)
        begin_round(f);
    else
        t->phase = NPI_IDLE_OVER;
}

/* ---- The test --------------------------------------------------------------------------------------------------- */

/* What the present phase waits for is there; otherwise it is woken for. */
static bool is_phase_due(const npi_facts *f, uint64_t *wake_ns)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    switch (t->phase) {
    case NPI_IDLE_NOT_BEGUN:
        return true;
    case NPI_IDLE_OPEN:
        return idle_is_settled(f, t->errand[0], wake_ns) && idle_is_settled(f, t->errand[1], wake_ns);
    case NPI_IDLE_OPEN_AGAIN:
    case NPI_IDLE_GREET:
        return idle_is_settled(f, t->errand[0], wake_ns);
    case NPI_IDLE_TRY_PORT:
    case NPI_IDLE_TRY_STRANGER:
    case NPI_IDLE_TRY_CHANGE:
        return is_counted(f, t->errand[0], wake_ns);
    case NPI_IDLE_BETWEEN:
        return has_come(f, t->next_ns, wake_ns);
    default:
        return false;
    }
}

static void greet(npi_facts *f)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    t->errand[0] = ask_a(f, NPI_SLOT_ASKER);
    t->phase = NPI_IDLE_GREET;
}

/* False while it waits for something. */
static bool step_phase(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    bool is_due = t->phase == NPI_IDLE_ROUND ? step_round(f, wake_ns) : is_phase_due(f, wake_ns);
    if (!is_due)
        return false;
    switch (t->phase) {
    case NPI_IDLE_NOT_BEGUN:
        idle_begin(f);
        break;
    case NPI_IDLE_OPEN:
        take_open(f);
        break;
    case NPI_IDLE_ROUND:
        pause_between(f);
        break;
    case NPI_IDLE_BETWEEN:
        greet(f);
        break;
    case NPI_IDLE_GREET:
        take_greeting(f);
        break;
    default:
        take_try(f);
        break;
    }
    return true;
}

/* What is known by now is what is known. */
static void idle_end(npi_lifetime_test *t)
{
    release_both(t);
    for (size_t i = 0; i < NPI_IDLERS; i++)
        end_idler(&t->idler[i]);
    t->phase = NPI_IDLE_OVER;
}

/* Now and then somebody who waits is told that it goes on. */
static void idle_tell(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    if (f->config.observer.sink == NULL || t->phase == NPI_IDLE_OVER)
        return;
    if (!has_come(f, npi_time_add(t->told_ns, NPI_IDLE_TELL_NS), wake_ns))
        return;
    uint64_t now_ns = true_ns(f);
    uint64_t done_s = (now_ns - t->begun_ns) / (MS_PER_S * NPI_MS);
    uint64_t total_s = (t->end_ns - t->begun_ns) / (MS_PER_S * NPI_MS) + 1;
    t->told_ns = now_ns;
    npi_event_progress(f, NP_TESTS_LIFETIME, (uint32_t)done_s, (uint32_t)npi_time_max(total_s, done_s));
    (void)has_come(f, npi_time_add(t->told_ns, NPI_IDLE_TELL_NS), wake_ns);
}

bool npi_idle_step(npi_facts *f, uint64_t *wake_ns)
{
    npi_lifetime_test *t = &f->optional.lifetime;
    while (step_phase(f, wake_ns))
        continue;
    if (t->phase != NPI_IDLE_OVER && has_come(f, latest_end_ns(f), wake_ns))
        idle_end(t);
    idle_tell(f, wake_ns);
    return t->phase == NPI_IDLE_OVER;
}

bool npi_idle_needs_slot(const npi_facts *f, int slot)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    if (t->phase == NPI_IDLE_NOT_BEGUN || t->phase == NPI_IDLE_OVER || slot < NPI_SLOT_IDLE)
        return false;
    if (slot == NPI_SLOT_ASKER)
        return true;
    if (t->phase != NPI_IDLE_ROUND)
        return t->phase < NPI_IDLE_BETWEEN;
    const npi_idler *s = &t->idler[slot - NPI_SLOT_IDLE];
    return s->stage != NPI_IDLE_DONE && s->stage != NPI_IDLE_CLOSING;
}

static uint32_t whole_seconds_up(uint32_t ms)
{
    return ms / MS_PER_S + (ms % MS_PER_S != 0);
}

void npi_idle_write(const npi_facts *f, np_result *out)
{
    const npi_lifetime_test *t = &f->optional.lifetime;
    npi_lifetime answered = npi_lifetime_conclude(t->sample[NPI_IDLE_ANSWERED], t->samples[NPI_IDLE_ANSWERED]);
    npi_lifetime unanswered = npi_lifetime_conclude(t->sample[NPI_IDLE_UNANSWERED], t->samples[NPI_IDLE_UNANSWERED]);
    out->lifetime_min_s = answered.min_ms / MS_PER_S;
    out->lifetime_max_s = whole_seconds_up(answered.max_ms);
    out->unanswered_min_s = unanswered.min_ms / MS_PER_S;
    out->unanswered_max_s = whole_seconds_up(unanswered.max_ms);
    out->lifetime_recreated = answered.recreated;
}
#undef MS_PER_S

/* ---- engine/look.c -------------------- */

/* One fresh socket after the other, each of which asks two or three destinations at once. */


void npi_look_ask(npi_facts *f)
{
    npi_look_advice advice = npi_mapping_look(f);
    npi_look *look = &f->looks.look[f->looks.asked];
    if (advice.state != NPI_LOOK_NEEDED)
        return;
    npi_log_write(&f->config.log, NP_LOG_DEBUG, "equal ports may be chance: another socket compares them");
    for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
        if (!advice.is_wanted[k])
            continue;
        const npi_addr *to = &advice.seen[k].destination;
        uint32_t left = npi_facts_copies_left(f, to);
        npi_exchange_ask(&look->x[k], "look I", to, 0, left < NPI_LOOK_COPIES ? left : NPI_LOOK_COPIES);
        look->x[k].slot = NPI_SLOT_LOOK + (f->restarted ? NPI_LOOKS : 0) + (int)f->looks.asked;
        look->x[k].queued = left > 0;
        look->x[k].failed = left == 0;
        look->server[k] = advice.seen[k].witness;
    }
    f->looks.asked++;
}

bool npi_look_needs_slot(const npi_facts *f, int slot)
{
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
            const npi_exchange *x = &f->looks.look[i].x[k];
            bool is_open = (x->queued || x->t.started) && !x->failed && !npi_exchange_is_answered(x);
            if (x->slot == slot && is_open)
                return true;
        }
    }
    return false;
}

/* ---- engine/nat_behind.c -------------------- */

/*
 * Asks the gateway for its external address, and compares it with what servers see. The gateway on the source socket's
 * way to the server is the one that is meant; the driver looks it up.
 */


enum { BEGINS, LOOKS_UP, ASKS, IS_OVER };

static bool nat_behind_give_up(npi_facts *f, const char *why)
{
    f->optional.nat_behind.step = IS_OVER;
    npi_log_write(&f->config.log, NP_LOG_INFO, "GATEWAY: %s", why);
    return true;
}

/* ---- Before the question ---------------------------------------------------------------------------------------- */

/* Without an external address there is nothing to compare with, and without a NAT no second one: nobody is asked. */
static bool nat_behind_begin(npi_facts *f, uint64_t *wake_ns)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    npi_observation seen;
    if (!npi_result_observation(f, &seen) || seen.external.family != NPI_IPV4 || seen.local.family != NPI_IPV4)
        return nat_behind_give_up(f, "no server sees an address of IPv4 that could be compared with the gateway's");
    if (npi_classify_is_untranslated(&seen))
        return nat_behind_give_up(f, "there is no NAT");
    t->local = seen.local;
    t->external = seen.external;
    t->towards = seen.destination;
    t->step = LOOKS_UP;
    *wake_ns = f->now_ns;
    return false;
}

/* The system names it, or an administrator did: it may be anything. */
static bool can_be_asked(const npi_addr *gateway)
{
    npi_addr at_port = npi_addr_with_port(gateway, NPI_NATPMP_PORT);
    return gateway->family == NPI_IPV4 && npi_addr_is_destination(&at_port) &&
           npi_addr_classify(gateway) != NPI_CLASS_LOOPBACK;
}

static bool nat_behind_ask(npi_facts *f)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    uint8_t question[NPI_NATPMP_REQUEST_SIZE];
    if (!can_be_asked(&t->gateway))
        return nat_behind_give_up(f, "no gateway is known on the way to the server");
    npi_addr to = npi_addr_with_port(&t->gateway, NPI_NATPMP_PORT);
    npi_natpmp_encode(question);
    t->question = npi_errand_raw(f, "GATEWAY", npi_errand_slot(f), &to, question, sizeof question);
    if (t->question == NULL)
        return nat_behind_give_up(f, "there is no room for its request");
    t->question->x.max_copies = NPI_NATPMP_COPIES;
    t->question->is_answer = npi_natpmp_is_answer;
    t->step = ASKS;
    return false;
}

/* ---- The answer ------------------------------------------------------------------------------------------------- */

static int32_t another_nat_of(npi_gateway_finding finding)
{
    if (finding == NPI_GATEWAY_NAT_BEHIND)
        return NP_TRISTATE_YES;
    return finding == NPI_GATEWAY_IS_SEEN ? NP_TRISTATE_NO : NP_TRISTATE_UNKNOWN;
}

static void nat_behind_conclude(npi_facts *f)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    npi_natpmp_answer answer = {.kind = NPI_NATPMP_DROP};
    const npi_gateway_sight sight = {.gateway = t->gateway,
                                     .local = t->local,
                                     .external = t->external,
                                     .is_only_one = npi_result_tally(f).external_ips == 1};
    char text[160];
    if (npi_errand_is_answered(t->question))
        (void)npi_natpmp_decode(t->question->heard_data, t->question->heard_size, &answer);
    npi_gateway_finding finding = npi_natpmp_compare(&answer, &sight);
    t->named = answer.external;
    t->another_nat = another_nat_of(finding);
    npi_natpmp_explain(&answer, finding, text, sizeof text);
    (void)nat_behind_give_up(f, text);
}

/* Each copy waits twice as long as the one before (RFC 6886 section 3.1). */
static bool await_answer(npi_facts *f, uint64_t *wake_ns)
{
    npi_errand *question = f->optional.nat_behind.question;
    question->gap_ns = NPI_NATPMP_GAP_NS << question->x.t.sent;
    if (!npi_errand_is_settled(f, question, wake_ns))
        return false;
    nat_behind_conclude(f);
    return true;
}

bool npi_nat_behind_step(npi_facts *f, uint64_t *wake_ns)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    if (t->step == BEGINS)
        return nat_behind_begin(f, wake_ns);
    if (t->step == LOOKS_UP && nat_behind_ask(f))
        return true;
    return t->step == IS_OVER || await_answer(f, wake_ns);
}

const npi_addr *npi_nat_behind_towards(const npi_facts *f)
{
    const npi_nat_behind_test *t = &f->optional.nat_behind;
    return f->optional.stage == NPI_OPTIONAL_ON && t->step == LOOKS_UP ? &t->towards : NULL;
}

void npi_nat_behind_found(npi_facts *f, const npi_addr *gateway)
{
    f->optional.nat_behind.gateway = *gateway;
}

void npi_nat_behind_write(const npi_facts *f, np_result *out)
{
    const npi_nat_behind_test *t = &f->optional.nat_behind;
    out->another_nat = t->another_nat;
    if (t->question != NULL)
        npi_addr_format_ip(&t->gateway, out->gateway_ip);
    npi_addr_format_ip(&t->named, out->gateway_external_ip);
}

/* ---- engine/optional.c -------------------- */

/* Which optional test is on, and when they end. */

/* The optional test REFUSED (docs/METHOD.md section 18): does a datagram that the NAT refuses take the port? */
#ifndef NPI_ENGINE_REFUSED_H
#define NPI_ENGINE_REFUSED_H


/* True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_refused_step(npi_facts *f, uint64_t *wake_ns);

#endif

/* In the order in which they are made. */
static const int32_t test_order[] = {NP_TESTS_PORT, NP_TESTS_REFUSED, NP_TESTS_HAIRPIN, NP_TESTS_GATEWAY,
                                     NP_TESTS_LIFETIME};

/* True when the test is over; otherwise *wake_ns is moved forward to when to look again. */
static bool make_test(npi_facts *f, int32_t test, uint64_t *wake_ns)
{
    switch (test) {
    case NP_TESTS_PORT:
        return npi_port_step(f, wake_ns);
    case NP_TESTS_REFUSED:
        return npi_refused_step(f, wake_ns);
    case NP_TESTS_HAIRPIN:
        return npi_hairpin_step(f, wake_ns);
    case NP_TESTS_LIFETIME:
        return npi_idle_step(f, wake_ns);
    case NP_TESTS_GATEWAY:
        return npi_nat_behind_step(f, wake_ns);
    default:
        return true;
    }
}

void npi_optional_init(npi_facts *f)
{
    bool is_asked = (f->config.tests & NP_TESTS_OPTIONAL) != 0;
    f->optional.stage = is_asked ? NPI_OPTIONAL_ASKED : NPI_OPTIONAL_NONE;
}

bool npi_optional_is_over(const npi_facts *f)
{
    return f->optional.stage == NPI_OPTIONAL_NONE || f->optional.stage == NPI_OPTIONAL_OVER;
}

void npi_optional_stop(npi_facts *f)
{
    if (npi_optional_is_over(f))
        return;
    f->optional.stage = NPI_OPTIONAL_OVER;
    f->optional.end_ns = f->now_ns;
}

uint64_t npi_optional_advance(npi_facts *f)
{
    f->optional.stage = NPI_OPTIONAL_ON;
    for (size_t i = 0; i < sizeof test_order / sizeof test_order[0]; i++) {
        bool has_own_end = test_order[i] == NP_TESTS_LIFETIME;
        uint64_t end_ns = has_own_end ? NPI_NEVER : f->config.deadline_ns;
        uint64_t wake_ns = end_ns;
        if ((f->config.tests & test_order[i]) != 0 && f->now_ns < end_ns && !make_test(f, test_order[i], &wake_ns))
            return wake_ns;
    }
    npi_optional_stop(f);
    return NPI_NEVER;
}

bool npi_optional_needs_slot(const npi_facts *f, int slot)
{
    if (npi_optional_is_over(f))
        return false;
    if (slot >= NPI_SLOT_IDLE)
        return npi_idle_needs_slot(f, slot);
    if (slot >= NPI_SLOT_OPTIONAL)
        return slot < NPI_SLOT_OPTIONAL + f->optional.sockets;
    return slot <= NPI_TRIALS_MAX && (f->config.tests & NP_TESTS_REFUSED) != 0; /* it asks from filtering sockets */
}

void npi_optional_write(const npi_facts *f, np_result *out)
{
    const npi_optional *o = &f->optional;
    out->port_open = o->port.open;
    out->refused_takes_port = o->refused.takes_port;
    out->hairpin = o->hairpin.arrives;
    out->hairpin_external = o->hairpin.from_external;
    npi_idle_write(f, out);
    npi_nat_behind_write(f, out);
}

/* ---- engine/outbox.c -------------------- */

/* Copies on their way out. */

#include <string.h>


/* ---- What is due ------------------------------------------------------------------------------------------------ */

/* A plain request's next copy follows from the round trip as known now, not as known when the last one left. */
static uint64_t next_copy_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    if (x->t.stopped || x->t.sent >= x->t.limit)
        return NPI_NEVER;
    if (x->sent_in_rounds || x->t.sent == 0)
        return x->t.next_ns;
    if (npi_exchange_is_answered(x))
        return NPI_NEVER;
    return npi_time_add(npi_transaction_last_ns(&x->t), npi_pacing_plain_gap_ns(f, s, x));
}

/* Whether a request that has not begun is to leave as a copy of one that was answered. */
static bool begins_as_copy(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    if (s == NULL || x != &s->x[NPI_RECHECK] || !npi_again_may_copy(f, s))
        return false;
    return x->as_copy || npi_rate_ready_ns(&f->rate, 1) > f->now_ns;
}

static uint64_t first_copy_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    uint64_t ready_ns = npi_rate_ready_ns(&f->rate, 1);
    if (!begins_as_copy(f, s, x))
        return ready_ns;
    uint64_t copy_ns = npi_again_copy_ns(s);
    return x->as_copy ? copy_ns : npi_time_min(copy_ns, ready_ns); /* as soon as there is room it is a new request */
}

/* When a copy of x is to be sent. */
static uint64_t outbox_due_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    if (x->failed || (!x->queued && !x->t.started))
        return NPI_NEVER;
    uint64_t ready_ns = x->t.started ? next_copy_ns(f, s, x) : first_copy_ns(f, s, x);
    return npi_time_max(x->not_before_ns, ready_ns);
}

/*
 * The i-th of a round. The first round starts with I; later ones go forwards or backwards, from a start at random, so
 * that a limit of rate on the way hits all tests alike.
 */
static uint32_t place_in_round(const npi_filtering *p, uint32_t i)
{
    uint8_t random = p->rounds <= 1 ? 0 : npi_filtering_random(p, p->rounds);
    uint32_t place = (i + random) % NPI_FILTERING_EXCHANGES;
    return (random & 0x80) != 0 ? NPI_FILTERING_EXCHANGES - 1 - place : place;
}

/* True when x is due now, and then found; else it is woken for. */
static bool outbox_is_found(const npi_facts *f, npi_server *s, npi_exchange *x, npi_due *found)
{
    uint64_t t_ns = outbox_due_ns(f, s, x);
    if (t_ns <= f->now_ns)
        *found = (npi_due){s, x, f->now_ns};
    else
        found->wake_ns = npi_time_min(found->wake_ns, t_ns);
    return t_ns <= f->now_ns;
}

static bool is_found_in_trial(const npi_facts *f, npi_server *s, npi_trial *t, npi_due *found)
{
    for (uint32_t i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (outbox_is_found(f, s, &t->filtering.x[place_in_round(&t->filtering, i)], found))
            return true;
    }
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        if (outbox_is_found(f, s, &t->control.x[i], found))
            return true;
    }
    return false;
}

/* RECHECK goes behind the mapping requests that it is to be compared with. */
static bool is_found_at_server(const npi_facts *f, npi_server *s, npi_due *found)
{
    npi_trial *t = s->trial >= 0 ? &f->trials[s->trial] : NULL;
    if (!npi_server_is_started(s))
        return false;
    if (outbox_is_found(f, s, &s->x[NPI_PRIMARY], found) || outbox_is_found(f, s, &s->x[NPI_RFC3489], found))
        return true;
    if (t != NULL && t->phase != NPI_PHASE_DONE && is_found_in_trial(f, s, t, found))
        return true;
    return outbox_is_found(f, s, &s->x[NPI_RECHECK], found);
}

static void find_in_look(npi_facts *f, npi_look *look, npi_due *found)
{
    for (int k = 0; found->exchange == NULL && k < NPI_LOOK_EXCHANGES; k++)
        (void)outbox_is_found(f, &f->servers[look->server[k]], &look->x[k], found);
}

static bool outbox_is_budget_spent(const npi_facts *f)
{
    return f->traffic.sent >= npi_facts_budget(f, NPI_DATAGRAMS_MAX, NPI_DATAGRAMS_MORE);
}

/* They have a number and a time of their own, and no share in the check's budget. */
static void find_errand(npi_facts *f, npi_due *found)
{
    for (size_t i = 0; found->exchange == NULL && i < f->optional.errands; i++) {
        npi_errand *e = &f->optional.errand[i];
        (void)outbox_is_found(f, e->server >= 0 ? &f->servers[e->server] : NULL, &e->x, found);
    }
}

npi_due npi_outbox_next_due(npi_facts *f)
{
    npi_due found = {NULL, NULL, NPI_NEVER};
    find_errand(f, &found);
    if (f->done || found.exchange != NULL || outbox_is_budget_spent(f))
        return found;
    for (size_t i = 0; i < f->server_count; i++) {
        if (is_found_at_server(f, &f->servers[i], &found))
            break;
    }
    for (uint32_t i = 0; found.exchange == NULL && f->path.state == NPI_PATH_ASKING && i < f->path.asked; i++)
        (void)outbox_is_found(f, &f->servers[f->path.server], &f->path.x[i], &found);
    for (uint32_t i = 0; found.exchange == NULL && i < f->looks.asked; i++)
        find_in_look(f, &f->looks.look[i], &found);
    return found;
}

/* ---- On the way out --------------------------------------------------------------------------------------------- */

static npi_stun_dialect dialect_of(const npi_server *s, const npi_exchange *x)
{
    if (s == NULL)
        return NPI_STUN_RFC8489;
    return x == &s->x[NPI_RFC3489] ? NPI_STUN_RFC3489 : s->dialect;
}

/* The next copy of a request of an optional test needs no answer to wait for. */
static void write_errand(const npi_errand *e, uint64_t now_ns, npi_exchange *x, npi_datagram *out)
{
    if (x->t.sent < x->t.limit)
        x->t.next_ns = npi_time_add(now_ns, e->gap_ns);
    if (e->payload == NPI_PAYLOAD_INDICATION)
        out->size = npi_stun_encode_indication(out->data, &x->t.id);
    else if (e->response_port != 0)
        out->size = npi_stun_encode_response_port(out->data, &x->t.id, e->response_port);
    if (e->payload != NPI_PAYLOAD_RAW)
        return;
    memcpy(out->data, e->sent_data, e->sent_size);
    out->size = e->sent_size;
}

static void outbox_begin(npi_facts *f, npi_server *s, npi_exchange *x, const uint8_t random[NPI_STUN_ID_SIZE])
{
    bool is_copy = begins_as_copy(f, s, x);
    npi_stun_id id = is_copy ? npi_again_id(s) : npi_stun_make_id(dialect_of(s, x), random);
    npi_transaction_start(&x->t, &id, x->max_copies, f->now_ns);
    x->queued = false;
    if (is_copy)
        s->was_copied = true;
    else
        npi_rate_use(&f->rate, f->now_ns);
}

void npi_outbox_emit(npi_facts *f, const npi_due *due, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out)
{
    npi_exchange *x = due->exchange;
    if (!x->t.started)
        outbox_begin(f, due->server, x, random);
    npi_transaction_sent(&x->t, f->now_ns, NPI_NEVER); /* next_copy_ns tells when the next is due */

    memset(out, 0, sizeof *out);
    out->slot = x->slot;
    out->to = x->to;
    out->size = npi_stun_encode_request(out->data, &x->t.id, x->change);
    out->server = due->server;
    out->exchange = x;
    const npi_errand *e = npi_facts_errand(f, x);
    if (e != NULL)
        write_errand(e, f->now_ns, x, out);
}

void npi_outbox_sent(npi_facts *f, const npi_datagram *d)
{
    npi_server *s = d->server;
    if (s != NULL && npi_server_is_slow(s)) /* it takes its time for this one as well, behind those that are waiting */
        s->clear_ns = npi_time_max(s->clear_ns, f->now_ns + s->rtt.lowest_ns) + s->service_ns;
    d->exchange->send_failures = 0;
    d->exchange->unsent = false;
    f->traffic.sent++;
    if (d->exchange->number == 0)
        d->exchange->number = f->traffic.sent;
    f->traffic.last_sent_ns = f->now_ns;
    if (f->traffic.first_sent_ns == NPI_NEVER)
        f->traffic.first_sent_ns = f->now_ns;
}

/* Doubling from NPI_PACE_MIN_NS. */
static uint64_t retry_after_ns(uint8_t failures)
{
    uint64_t gap = NPI_PACE_MIN_NS << (failures < 5 ? failures : 5);
    return npi_time_min(gap, NPI_SEND_RETRY_MAX_NS);
}

/* A link that is down, a route that is missing or a firewall rule may pass; an error of another kind hardly does. */
static bool has_failed(const npi_facts *f, const npi_exchange *x, int32_t error)
{
    if (error != NP_ERR_NETWORK_UNREACHABLE)
        return x->send_failures >= NPI_SEND_FAILURES_MAX;
    bool others_leave = f->traffic.last_sent_ns >= x->refused_from_ns;
    uint64_t patience_ns = others_leave ? NPI_SEND_PATIENCE_NS : NPI_SEND_PATIENCE_ALONE_NS;
    return f->now_ns >= npi_time_add(x->refused_from_ns, patience_ns);
}

void npi_outbox_take_back(npi_facts *f, const npi_datagram *d)
{
    npi_exchange *x = d->exchange;
    npi_transaction_unsent(&x->t, f->now_ns);
    if (x->t.sent > 0)
        return;
    /* It has not begun: neither its id nor its share of the rate was used. */
    if (d->server != NULL && npi_again_is_copy(d->server, x))
        d->server->was_copied = false;
    else
        npi_rate_give_back(&f->rate);
    x->t.started = false;
    x->queued = true;
}

void npi_outbox_unsent(npi_facts *f, const npi_datagram *d, int32_t error, int os_error)
{
    npi_exchange *x = d->exchange;
    npi_outbox_take_back(f, d);
    x->unsent = true;
    f->traffic.send_error = error != NP_OK ? error : NP_ERR_SYSTEM;
    f->traffic.send_os_error = os_error;
    x->not_before_ns = npi_time_add(f->now_ns, retry_after_ns(error != NP_OK ? x->send_failures : 0));
    if (error == NP_OK) /* no room: there will be */
        return;
    if (x->send_failures == 0)
        x->refused_from_ns = f->now_ns;
    if (x->send_failures < UINT8_MAX)
        x->send_failures++;
    if (!has_failed(f, x, error))
        return;
    x->failed = true;
    x->queued = false;
    if (npi_facts_errand(f, x) == NULL && npi_addr_equal(&x->to, &d->server->address) &&
        !npi_server_has_answered(d->server))
        d->server->failed = true;
    npi_log_write(&f->config.log, NP_LOG_WARNING, "cannot send %s: %s", x->name, np_strerror(error));
}

/* ---- engine/pacing.c -------------------- */

/* Gaps and patience, each from what is known of the round trip. */


/* Copies of a plain request that leave a round trip apart, before the gap starts to double. */
#define EVEN_COPIES 3
/* Rounds leave this many times in a round trip, within NPI_PACE_MIN_NS and NPI_PACE_MAX_NS. */
#define ROUNDS_IN_RTT 50
/* Most doublings of the gap between plain copies: without a known round trip, with one, and of the blind rounds. */
#define DOUBLINGS_UNKNOWN 5
#define DOUBLINGS_KNOWN 3
#define DOUBLINGS_BLIND 2
/* Another server is asked in the place of a silent one after so many round trips of the slowest that has answered. */
#define HEDGE_RTTS 2
/* A silent server is waited for so many round trips of the slowest that has answered. */
#define GIVE_UP_RTTS 10
/* Where more than two of three copies are lost rounds slow down; where more than four of five, more so. */
#define SLOWDOWN 2
#define SLOWDOWN_MORE 4

static uint64_t within(uint64_t t, uint64_t least, uint64_t most)
{
    return npi_time_max(least, npi_time_min(t, most));
}

/* ---- Plain requests --------------------------------------------------------------------------------------------- */

/* Doubling, as RFC 8489 section 6.2.1 has it, from a shorter start. */
static uint64_t unknown_gap_ns(uint64_t start_ns, uint32_t sent)
{
    return npi_time_min(start_ns << npi_least(sent - 1, DOUBLINGS_UNKNOWN), NPI_PRIMARY_GAP_MAX_NS);
}

/*
 * With a known round trip three copies in a row, against single losses; then ever slower, so that on a short path too
 * the copies outlast a burst of losses.
 */
static uint64_t known_gap_ns(uint64_t rto_ns, uint32_t sent)
{
    static const uint64_t least_ms[] = {10, 10, 20, 50, 100, 200};
    uint64_t least = least_ms[npi_least(sent - 1, sizeof least_ms / sizeof least_ms[0] - 1)] * NPI_MS;
    /* A busy host may hold an answer back for some milliseconds: a copy too many costs more than waiting for it. */
    uint64_t base = npi_time_min(npi_time_add(rto_ns, NPI_PACE_MIN_NS), NPI_REPEAT_MAX_NS);
    uint64_t gap = sent <= EVEN_COPIES ? base : base << npi_least(sent - EVEN_COPIES, DOUBLINGS_KNOWN);
    return npi_time_max(least, npi_time_min(gap, NPI_REPEAT_LAST_NS));
}

static uint64_t longest_rtt_ns(const npi_facts *f)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < f->server_count; i++)
        longest = npi_time_max(longest, f->servers[i].rtt.smoothed_ns);
    return longest;
}

/*
 * A server not yet heard is as far away as the farthest that has been. For the mapping alone no copy leaves before an
 * answer can come: with two it is not known which of them an answer shows, and what it shows cannot be compared.
 */
static uint64_t unknown_start_ns(const npi_facts *f)
{
    uint64_t longest = longest_rtt_ns(f);
    uint64_t most = npi_facts_tests_filtering(f) ? NPI_NOW : longest + longest / 4;
    if (longest == 0)
        return NPI_PRIMARY_GAP_NS;
    return within(2 * longest, NPI_PRIMARY_GAP_MIN_NS, npi_time_max(NPI_PRIMARY_GAP_NS, most));
}

static uint64_t gap_without_queue_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x, uint32_t sent)
{
    if (x->send_twice && sent == 1)
        return NPI_PACE_MIN_NS;
    if (s->rtt.samples == 0)
        return unknown_gap_ns(unknown_start_ns(f), sent);
    uint64_t rto_ns = npi_rtt_rto(&s->rtt);
    /* Of this one it has to be known which copy was answered: the second waits until the first must have been. */
    if (x == &s->x[NPI_RECHECK] && sent == 1)
        return npi_time_add(rto_ns, NPI_PACE_MIN_NS);
    return known_gap_ns(rto_ns, sent);
}

uint64_t npi_pacing_plain_gap_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x)
{
    uint32_t sent = x->t.sent > 0 ? x->t.sent : 1;
    uint64_t gap_ns = gap_without_queue_ns(f, s, x, sent);
    if (!npi_server_is_slow(s))
        return gap_ns;
    uint64_t last_ns = npi_transaction_last_ns(&x->t); /* until then it may still be in the queue */
    return s->clear_ns > last_ns ? npi_time_max(gap_ns, s->clear_ns - last_ns) : gap_ns;
}

/* ---- Rounds of filtering tests ---------------------------------------------------------------------------------- */

/* It holds so many copies of a test, and lasts so long. A standstill takes time that the experiment does not see. */
static bool is_dense_over(const npi_facts *f, const npi_filtering *p)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        bool is_late = npi_time_add(x->first_ns, NPI_DENSE_NS) < f->now_ns || x->first_ns < f->standstill.resumed_ns;
        if (x->sent > 0 && (x->sent >= NPI_DENSE_COPIES || is_late))
            return true;
    }
    bool has_second = p->x[NPI_F_SECOND].t.started || p->x[NPI_F_SECOND].queued; /* a loss had been seen */
    return p->rounds >= NPI_DENSE_ROUNDS || has_second;
}

bool npi_pacing_is_dense(const npi_facts *f, const npi_trial *t)
{
    bool may_be = !is_dense_over(f, &t->filtering) && !npi_server_is_slow(npi_trial_server(f, t));
    return may_be && npi_silence_path_loss(f, t).lost == 0;
}

/* Before anything is known of the round trip: ever slower. */
static uint64_t blind_round_gap_ns(uint32_t rounds)
{
    if (rounds <= NPI_DENSE_ROUNDS)
        return NPI_BLIND_FIRST_NS;
    uint32_t more = rounds - NPI_DENSE_ROUNDS;
    return NPI_BLIND_GAP_NS << npi_least(more / 2, DOUBLINGS_BLIND);
}

/* In a burst of losses more copies bring nothing but an end of copies: the longer it lasts, the slower they go. */
static uint64_t quiet_gap_ns(const npi_facts *f, const npi_trial *t, const npi_rtt *rtt)
{
    uint64_t expected_ns = npi_time_add(t->filtering_heard_ns, npi_rtt_rto(rtt));
    if (t->filtering_heard_ns == 0 || f->now_ns <= expected_ns)
        return 0;
    return npi_time_min((f->now_ns - expected_ns) / 2, NPI_QUIET_GAP_MAX_NS);
}

/* A server that limits its rate answers the more the less it is asked. */
static uint64_t slowdown(const npi_loss *loss)
{
    if (!npi_loss_is_extreme(loss))
        return 1;
    return loss->lost > 4 * loss->answered ? SLOWDOWN_MORE : SLOWDOWN;
}

/*
 * Most of the dense start was lost: a limit of rate, a small queue, a burst of losses. Rounds go slowly then, faster
 * with each answer and slower with each loss.
 */
static uint64_t careful_gap_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_transaction *x = &p->x[NPI_F_I].t;
    if (!p->dense.is_heavy ||
        f->traffic.send_error != NP_OK) /* what the host refuses to send is no limit of the path */
        return 0;
    uint32_t dense = npi_dense_copies(x);
    uint32_t aged = npi_transaction_aged(x, f->now_ns, npi_trial_rto(f, t));
    uint32_t answered = x->answers - p->dense.answers[NPI_F_I];
    uint32_t settled = aged > dense ? aged - dense : 0;
    uint32_t lost = settled > answered ? settled - answered : 0;
    return NPI_CAREFUL_GAP_NS >> npi_least(answered > lost ? answered - lost : 0, 10);
}

uint64_t npi_pacing_round_gap_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_rtt *rtt = &npi_trial_server(f, t)->rtt;
    if (npi_pacing_is_dense(f, t))
        return NPI_DENSE_GAP_NS;
    if (rtt->samples == 0)
        return blind_round_gap_ns(t->filtering.rounds);
    npi_loss loss = npi_silence_path_loss(f, t);
    uint64_t gap = within(rtt->smoothed_ns / ROUNDS_IN_RTT, NPI_PACE_MIN_NS, NPI_PACE_MAX_NS) * slowdown(&loss);
    return npi_time_max(npi_time_max(gap, quiet_gap_ns(f, t, rtt)), careful_gap_ns(f, t));
}

/* ---- Servers that work off a queue ------------------------------------------------------------------------------ */

/* Whether copies of I are unanswered that the server may still be about to answer. */
static bool pacing_is_awaited(const npi_transaction *x)
{
    return x->started && x->answers < x->sent;
}

uint64_t npi_pacing_slow_until_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    if (!npi_server_is_slow(s) || !pacing_is_awaited(&t->filtering.x[NPI_F_I].t))
        return NPI_NOW;
    return s->clear_ns;
}

uint64_t npi_pacing_slow_share_ns(const npi_facts *f)
{
    if (f->config.deadline_ns == NPI_NEVER)
        return NPI_NEVER;
    return f->start_ns + (f->config.deadline_ns - f->start_ns) / 100 * NPI_SLOW_SHARE;
}

uint64_t npi_pacing_late_until_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    npi_loss loss = npi_silence_path_loss(f, t);
    bool is_suspect = s->late_answers > t->filtering.late_waited && loss.lost > 0;
    bool is_doubtful = !t->filtering.waited_for_late && loss.lost >= NPI_LATE_LOST && loss.lost >= loss.answered;
    if (f->traffic.send_error != NP_OK || s->rtt.smoothed_ns > NPI_LATE_RTT_MAX_NS || (!is_suspect && !is_doubtful))
        return NPI_NOW;
    uint64_t wait_ns = s->rtt.smoothed_ns * (is_suspect ? NPI_SLOW_QUIET_RTTS : NPI_LATE_QUIET_RTTS);
    return npi_time_add(npi_time_max(npi_silence_ready_ns(f, t), s->heard_ns), wait_ns);
}

/* ---- Servers that fall silent ----------------------------------------------------------------------------------- */

uint64_t npi_pacing_hushed_ns(const npi_facts *f, const npi_trial *t, bool others_can_help)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_transaction *x = &t->filtering.x[NPI_F_I].t;
    if (s->heard_ns == 0 || s->rtt.samples == 0 || npi_server_is_slow(s) ||
        npi_transaction_sent_since(x, s->heard_ns) < NPI_HUSH_LOST)
        return NPI_NEVER;
    uint64_t silent_ns = npi_time_max(NPI_HUSH_NS, NPI_HUSH_RTTS * s->rtt.smoothed_ns);
    if (!others_can_help) /* nothing is gained by leaving it before all hope is lost */
        silent_ns = npi_time_max(silent_ns, NPI_HUSH_ALONE_NS);
    return npi_time_add(npi_transaction_first_since(x, s->heard_ns), silent_ns);
}

/* A has answered from A:Q, or the control. */
static bool is_heard_in_mapping(const npi_control *c)
{
    return npi_exchange_is_answered(&c->x[NPI_M_AQ]) || npi_exchange_is_answered(&c->x[NPI_C_II]) ||
           npi_exchange_is_answered(&c->x[NPI_C_III]);
}

uint64_t npi_pacing_gone_ns(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_transaction *again = &s->x[NPI_RECHECK].t;
    if (!again->started || again->answers > 0 || again->sent < NPI_GONE_COPIES || is_heard_in_mapping(&t->control) ||
        npi_server_is_slow(s))
        return NPI_NEVER;
    uint64_t copy_ns = npi_transaction_copy_ns(again, NPI_GONE_COPIES - 1);
    if (s->heard_ns >= copy_ns) /* it was asked again before the filtering test, which A has answered */
        return NPI_NEVER;
    return npi_time_add(copy_ns, npi_trial_rto(f, t));
}

/* ---- Patience --------------------------------------------------------------------------------------------------- */

uint64_t npi_pacing_hedge_ns(const npi_facts *f, bool is_first)
{
    uint64_t longest = longest_rtt_ns(f);
    if (!npi_facts_tests_filtering(f))
        return longest == 0 ? NPI_HEDGE_MAPPING_NS
                            : within(HEDGE_RTTS * longest, NPI_HEDGE_MIN_NS, NPI_HEDGE_MAPPING_NS);
    if (longest != 0)
        return within(HEDGE_RTTS * longest, NPI_HEDGE_MIN_NS, NPI_HEDGE_NEXT_NS);
    return is_first ? NPI_HEDGE_FIRST_NS : NPI_HEDGE_NEXT_NS;
}

/* While nobody has answered nothing is known of the path: no server is given up. */
uint64_t npi_pacing_give_up_after_ns(const npi_facts *f)
{
    if (!f->any_answer)
        return NPI_NEVER;
    uint64_t longest = longest_rtt_ns(f);
    if (longest == 0) { /* only answers to CHANGE-REQUEST so far: they may have been under way all the time */
        uint64_t heard_after = f->traffic.last_heard_ns - f->traffic.first_sent_ns;
        return npi_time_max(NPI_GIVE_UP_MAX_NS, npi_time_add(heard_after, NPI_GIVE_UP_MIN_NS));
    }
    uint64_t patience = within(GIVE_UP_RTTS * longest, NPI_GIVE_UP_MIN_NS, NPI_GIVE_UP_MAX_NS);
    return npi_time_max(patience, longest + longest / 2); /* a server as far away as that one can still answer */
}

uint64_t npi_pacing_given_up_ns(const npi_facts *f, const npi_server *s)
{
    if (s->failed)
        return NPI_NOW;
    if (npi_server_has_answered(s))
        return NPI_NEVER;
    return npi_time_add(s->started_ns, npi_pacing_give_up_after_ns(f));
}

uint64_t npi_pacing_primary_done_ns(const npi_server *s)
{
    if (s->has_mapping)
        return NPI_NOW;
    uint64_t age = s->rtt.samples > 0 ? 2 * npi_rtt_rto(&s->rtt) : NPI_GIVE_UP_MIN_NS;
    return npi_time_max(npi_exchange_over_ns(&s->x[NPI_PRIMARY], age), npi_exchange_over_ns(&s->x[NPI_RFC3489], age));
}
#undef DOUBLINGS_BLIND
#undef DOUBLINGS_KNOWN
#undef DOUBLINGS_UNKNOWN
#undef EVEN_COPIES
#undef GIVE_UP_RTTS
#undef HEDGE_RTTS
#undef ROUNDS_IN_RTT
#undef SLOWDOWN
#undef SLOWDOWN_MORE

/* ---- engine/path.c -------------------- */

/* Fresh sockets that ask A:P of one server, one after the other, until one differs or enough agree. */


bool npi_path_is_asking(const npi_facts *f)
{
    return f->path.state == NPI_PATH_ASKING;
}

bool npi_path_needs_slot(const npi_facts *f, int slot)
{
    int index = slot - f->path.first_slot;
    return npi_path_is_asking(f) && index >= 0 && index < (int)f->path.asked &&
           !npi_exchange_is_answered(&f->path.x[index]);
}

static void ask_one_more(npi_facts *f)
{
    npi_path *p = &f->path;
    npi_exchange *x = &p->x[p->asked];
    npi_exchange_ask(x, "path I", &f->servers[p->server].address, 0, NPI_ALTERNATE_COPIES);
    x->slot = p->first_slot + (int)p->asked++;
}

/* What the fresh sockets have shown so far; *until_ns: when those that have not answered are given up. */
static npi_path_state path_judge(const npi_facts *f, uint64_t *until_ns)
{
    const npi_path *p = &f->path;
    const npi_observation *source = &f->servers[p->server].observed;
    if (!npi_addr_are_neighbours(&source->external, &p->external) || npi_addr_is_other_ip(&source->local, &p->local))
        return NPI_PATH_OTHER;
    if (npi_source_has_pool(f))
        return NPI_PATH_POOL;
    uint64_t age = npi_rtt_rto(&f->servers[p->server].rtt);
    uint32_t unheard = 0;
    *until_ns = NPI_NOW;
    for (uint32_t i = 0; i < p->asked; i++) {
        const npi_exchange *x = &p->x[i];
        bool has_view = npi_addr_is_set(&x->external); /* an error, or an address that cannot be, shows nothing */
        bool is_one_nat = npi_addr_are_neighbours(&x->external, &p->external) &&
                          !npi_addr_is_other_ip(&x->local, &p->local);
        if (has_view && !npi_has_same_way(x, &p->external, &p->local))
            return is_one_nat ? NPI_PATH_POOL : NPI_PATH_OTHER;
        uint64_t over_ns = has_view ? NPI_NOW : npi_exchange_over_ns(x, age);
        unheard += !has_view && over_ns <= f->now_ns;
        *until_ns = npi_time_max(*until_ns, over_ns);
    }
    bool used_up = p->asked == NPI_PATH_SOCKETS || unheard >= NPI_PATH_UNHEARD;
    return *until_ns <= f->now_ns && used_up ? NPI_PATH_OTHER : NPI_PATH_ASKING;
}

static void path_begin(npi_facts *f, const npi_trial *t)
{
    npi_log_write(&f->config.log, NP_LOG_INFO, "a fresh socket has another external address than the source");
    f->path.server = t->server;
    f->path.first_slot = NPI_SLOT_PATH + (f->restarted ? NPI_PATH_SOCKETS : 0);
    const npi_exchange *x = npi_filtering_view(&t->filtering);
    f->path.external = x->external;
    f->path.local = x->local;
    uint64_t unused_ns = NPI_NEVER;
    f->path.state = f->left_out_unsteady ? NPI_PATH_OTHER : path_judge(f, &unused_ns); /* all fresh sockets are used up */
    if (npi_path_is_asking(f))
        ask_one_more(f);
}

/* A trial whose socket went another way has found out about another NAT. */
static void drop_others(npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_trial *t = &f->trials[i];
        if (!npi_trial_has_source_way(f, t) && t->finding.reason != NPI_REASON_OTHER_PATH)
            npi_decide_unknown(f, t, NPI_REASON_OTHER_PATH);
    }
}

static const npi_trial *first_apart(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        if (!npi_trial_has_source_way(f, &f->trials[i]))
            return &f->trials[i];
    }
    return NULL;
}

/* After the first, fresh sockets wait for the mapping requests, which may show a pool by themselves. */
static bool is_time_for_more(const npi_facts *f)
{
    const npi_trial *t = npi_server_trial(f, &f->servers[f->path.server]);
    if (t == NULL || t->phase == NPI_PHASE_DONE)
        return true;
    if (t->phase == NPI_PHASE_FILTERING)
        return false;
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        if (t->control.x[i].queued)
            return false;
    }
    return npi_trial_is_decided(t);
}

/* Returns when to look again. */
static uint64_t go_on_asking(npi_facts *f)
{
    uint64_t until_ns = NPI_NEVER;
    f->path.state = path_judge(f, &until_ns);
    if (!npi_path_is_asking(f))
        return f->now_ns;
    if (until_ns > f->now_ns)
        return until_ns;
    if (!is_time_for_more(f))
        return NPI_NEVER;
    ask_one_more(f);
    return f->now_ns;
}

uint64_t npi_path_step(npi_facts *f)
{
    const npi_trial *apart = f->path.state == NPI_PATH_UNKNOWN ? first_apart(f) : NULL;
    uint64_t wake_ns = NPI_NEVER;
    if (apart != NULL) {
        path_begin(f, apart);
        wake_ns = f->now_ns;
    } else if (npi_path_is_asking(f)) {
        wake_ns = go_on_asking(f);
    }
    if (f->path.state == NPI_PATH_OTHER) /* before anybody is told of what they found */
        drop_others(f);
    return wake_ns;
}

/* ---- engine/plain.c -------------------- */

/* Which requests of a trial no NAT filters. */

/* What was asked before the path woke up shows nothing of it. */
static void add_to(npi_plain_list *list, const npi_exchange *x, uint64_t woke_ns)
{
    if (x->t.started && x->t.first_ns >= woke_ns)
        list->t[list->count++] = &x->t;
}

npi_plain_list npi_plain_requests(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_filtering *p = &t->filtering;
    npi_plain_list list;
    list.count = 0;
    add_to(&list, &p->x[NPI_F_I], s->woke_ns);
    add_to(&list, &p->late, s->woke_ns);
    add_to(&list, &s->x[s->dialect == NPI_STUN_RFC3489 ? NPI_RFC3489 : NPI_PRIMARY], s->woke_ns);
    add_to(&list, &s->x[NPI_RECHECK], s->woke_ns);
    if (p->iii.outcome == NPI_CHANGE_HONOURED)
        add_to(&list, &p->x[NPI_F_III], s->woke_ns);
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        if (npi_exchange_is_answered(&t->control.x[i]))
            add_to(&list, &t->control.x[i], s->woke_ns);
    }
    return list;
}

/* ---- engine/port.c -------------------- */

/* II from the source port; and where it is silent, from a fresh one whose way is open. */


#define CHANGE_BOTH (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)

enum { PORT_CHOOSES, PORT_FIRST, PORT_TESTS, PORT_OPENS, PORT_CONTROL, PORT_OVER };

static npi_port_test *port_of(npi_facts *f)
{
    return &f->optional.port;
}

static const npi_server *port_server(const npi_facts *f)
{
    return &f->servers[f->optional.port.server];
}

/* ---- The test --------------------------------------------------------------------------------------------------- */

/* False when there is no room for more requests. */
static bool ask_test(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    const npi_addr *to = &port_server(f)->address;
    p->test = npi_errand_ask(f, "port II", p->server, NPI_SLOT_SOURCE, to, CHANGE_BOTH);
    p->witness = npi_errand_ask(f, "port I", p->server, NPI_SLOT_SOURCE, to, 0);
    p->step = PORT_TESTS;
    if (p->test == NULL || p->witness == NULL)
        return false;
    p->test->goes_on = false;
    p->witness->goes_on = true;
    return true;
}

static bool is_test_over(npi_facts *f, uint64_t *wake_ns)
{
    const npi_port_test *p = port_of(f);
    if (npi_errand_is_answered(p->test)) {
        npi_errand_stop(p->witness);
        return true;
    }
    bool is_over = npi_errand_is_settled(f, p->test, wake_ns);
    return npi_errand_is_complete(f, p->witness, wake_ns) && is_over;
}

/* ---- Before the mapping ----------------------------------------------------------------------------------------- */

static bool has_time_left(const npi_facts *f, const npi_trial *t)
{
    uint64_t spare_ns = npi_time_max(NPI_PORT_SPARE_NS, f->now_ns - f->start_ns);
    spare_ns = npi_time_add(spare_ns, NPI_PORT_SPARE_RTTS * npi_trial_rto(f, t));
    return npi_time_add(f->now_ns, spare_ns) < f->config.deadline_ns;
}

/*
 * A NAT may remember what it refuses. Then B:Q is of no use to the mapping (findings.c), nor to II's control, which is
 * not needed where II was answered, or III's silence carries the proof.
 */
static bool needs_control_ii(const npi_trial *t)
{
    return !npi_silence_rests_on_iii(&t->filtering) && t->filtering.ii.outcome != NPI_CHANGE_HONOURED;
}

static bool may_be_early(const npi_facts *f, const npi_trial *t)
{
    return f->server_count == 1 && !f->more_servers && !f->restarted && !needs_control_ii(t) &&
           npi_trial_server(f, t)->alternate_state == NPI_ALTERNATE_KNOWN &&
           !npi_facts_has_contacted_ip(f, &npi_trial_server(f, t)->alternate) && has_time_left(f, t);
}

uint64_t npi_port_hold_ns(npi_facts *f, const npi_trial *t)
{
    npi_port_test *p = port_of(f);
    uint64_t wake_ns = NPI_NEVER;
    if ((f->config.tests & NP_TESTS_PORT) == 0 || (p->step == PORT_CHOOSES && !may_be_early(f, t)))
        return NPI_NOW;
    if (p->step == PORT_CHOOSES) {
        p->is_early = true;
        p->server = t->server;
        p->alternate = npi_trial_server(f, t)->alternate;
        if (!ask_test(f))
            p->step = PORT_OVER;
    }
    return p->step != PORT_TESTS || is_test_over(f, &wake_ns) ? NPI_NOW : wake_ns;
}

/* ---- After the verdict ------------------------------------------------------------------------------------------ */

static bool is_untouched(const npi_facts *f, const npi_addr *alternate)
{
    return npi_addr_is_set(alternate) && !npi_facts_has_contacted_ip(f, alternate);
}

/* A server whose second address the source socket has not sent to, or may not have. */
static bool may_tell_port(const npi_facts *f, const npi_server *s)
{
    if (s->failed || s->is_unsteady || s->expected_mapping_only || npi_mapping_leaves_out(f, s))
        return false;
    if (s->alternate_state == NPI_ALTERNATE_KNOWN)
        return is_untouched(f, &s->alternate);
    return s->alternate_state == NPI_ALTERNATE_UNKNOWN;
}

/* Asks the next server. False when there is none. */
static bool choose_port_server(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    for (; p->server < f->server_count; p->server++) {
        const npi_server *s = port_server(f);
        if (!may_tell_port(f, s))
            continue;
        p->first = npi_errand_ask(f, "port I", p->server, NPI_SLOT_SOURCE, &s->address, 0);
        p->step = PORT_FIRST;
        return p->first != NULL;
    }
    return false;
}

/* This server cannot tell. */
static bool turn_to_next(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    p->server++;
    p->step = PORT_CHOOSES;
    return !p->is_early && choose_port_server(f);
}

/* The address that is tested is the one that the check reports: no server sees another. */
static bool is_reported(const npi_facts *f, const npi_exchange *x)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (s->has_mapping && !npi_mapping_leaves_out(f, s) && !npi_addr_equal(&s->observed.external, &x->external))
            return false;
    }
    return npi_exchange_has_external(x);
}

/* The second address may not be that of another server that was asked. */
static bool take_first(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    p->alternate = p->first->other;
    if (!is_reported(f, &p->first->x) || !is_untouched(f, &p->alternate))
        return turn_to_next(f);
    return ask_test(f);
}

/* From a socket of its own: what was refused may have spoilt the source port. */
static bool open_way(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    p->step = PORT_OPENS;
    return npi_errand_open_way(f, "port I", p->server, &p->alternate, p->opener);
}

/* The answer came before the mapping requests opened its way. */
static bool came_unasked(const npi_facts *f)
{
    const npi_port_test *p = &f->optional.port;
    const npi_trial *t = npi_server_trial(f, port_server(f));
    for (int k = NPI_M_BP; t != NULL && p->is_early && k <= NPI_M_BQ; k++) {
        if (t->control.x[k].t.started && t->control.x[k].t.first_ns < p->test->x.t.answered_ns)
            return false;
    }
    return true;
}

/* False when it is known, or cannot be. */
static bool take_test(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    if (p->is_early && f->restarted) /* it was another external address */
        return false;
    if (npi_errand_is_answered(p->witness) && !is_reported(f, &p->witness->x))
        return false;
    if (p->test->x.failed || p->test->x.unsent)
        return turn_to_next(f);
    if (!npi_errand_is_answered(p->test))
        return open_way(f);
    if (!npi_addr_equal(&p->test->from, &p->alternate))
        return turn_to_next(f);
    if (came_unasked(f))
        p->open = NP_TRISTATE_YES;
    return false;
}

/* The control can pass only if the answer comes to the mapping whose way is open. */
static bool ask_port_control(npi_facts *f)
{
    npi_port_test *p = port_of(f);
    const npi_exchange *to_a = &p->opener[0]->x;
    const npi_exchange *to_b = &p->opener[1]->x;
    if (!npi_exchange_has_external(to_a) || !npi_exchange_has_external(to_b) ||
        !npi_addr_equal(&to_a->external, &to_b->external))
        return false;
    p->control = npi_errand_ask(f, "port control II", p->server, to_a->slot, &port_server(f)->address, CHANGE_BOTH);
    p->step = PORT_CONTROL;
    return p->control != NULL;
}

/*
 * A server that answers few of many requests may have left out those of the test. And the answers to the test had all
 * the time that those to the control took.
 */
static bool is_port_shut(const npi_facts *f)
{
    const npi_port_test *p = &f->optional.port;
    npi_loss loss = {0, 0};
    if (npi_errand_is_answered(p->test) || !npi_addr_equal(&p->control->from, &p->alternate) ||
        3 * p->control->x.t.answers < 2 * p->control->x.t.sent)
        return false;
    npi_errand_count(f, p->witness, &loss);
    if (npi_loss_is_burst(&loss))
        return false;
    npi_errand_count(f, p->control, &loss);
    return npi_silence_holds(&loss, p->test->x.t.sent, NPI_OPTIONAL_SILENCE);
}

/* Whether what the present step waits for is there. */
static bool has_port_news(npi_facts *f, uint64_t *wake_ns)
{
    const npi_port_test *p = port_of(f);
    switch (p->step) {
    case PORT_FIRST:
        return npi_errand_is_settled(f, p->first, wake_ns);
    case PORT_TESTS:
        return is_test_over(f, wake_ns);
    case PORT_OPENS:
        return npi_errand_is_settled(f, p->opener[0], wake_ns) && npi_errand_is_settled(f, p->opener[1], wake_ns);
    case PORT_CONTROL:
        return npi_errand_is_complete(f, p->control, wake_ns);
    default:
        return true;
    }
}

/* The next step. False when there is none. */
static bool go_on_with_port(npi_facts *f)
{
    switch (port_of(f)->step) {
    case PORT_CHOOSES:
        return choose_port_server(f);
    case PORT_FIRST:
        return take_first(f);
    case PORT_TESTS:
        return take_test(f);
    case PORT_OPENS:
        return ask_port_control(f);
    case PORT_CONTROL:
        if (is_port_shut(f))
            port_of(f)->open = NP_TRISTATE_NO;
        return false;
    default:
        return false;
    }
}

bool npi_port_step(npi_facts *f, uint64_t *wake_ns)
{
    while (has_port_news(f, wake_ns)) {
        if (!go_on_with_port(f))
            return true;
    }
    return false;
}
#undef CHANGE_BOTH

/* ---- engine/rate.c -------------------- */

/* A ring of the times at which the latest transactions started. */

static uint32_t remembered(const npi_rate *rate)
{
    return rate->count < NPI_RATE_TRANSACTIONS ? rate->count : NPI_RATE_TRANSACTIONS;
}

/* When the n-th oldest of those remembered no longer counts; the oldest is the 0th. */
static uint64_t expiry_ns(const npi_rate *rate, uint32_t n)
{
    uint32_t oldest = rate->count - remembered(rate);
    return npi_time_add(rate->started_ns[(oldest + n) % NPI_RATE_TRANSACTIONS], NPI_RATE_WINDOW_NS);
}

uint32_t npi_rate_room(const npi_rate *rate, uint64_t now_ns)
{
    uint32_t used = remembered(rate);
    uint32_t room = NPI_RATE_TRANSACTIONS - used;
    for (uint32_t i = 0; i < used; i++)
        room += expiry_ns(rate, i) <= now_ns;
    return room;
}

uint64_t npi_rate_ready_ns(const npi_rate *rate, uint32_t transactions)
{
    uint32_t free = NPI_RATE_TRANSACTIONS - remembered(rate);
    return transactions <= free ? NPI_NOW : expiry_ns(rate, transactions - free - 1);
}

void npi_rate_use(npi_rate *rate, uint64_t now_ns)
{
    rate->started_ns[rate->count++ % NPI_RATE_TRANSACTIONS] = now_ns;
}

void npi_rate_give_back(npi_rate *rate)
{
    if (rate->count > 0)
        rate->started_ns[--rate->count % NPI_RATE_TRANSACTIONS] = 0;
}

void npi_rate_pass(npi_rate *rate, uint64_t gap_ns)
{
    for (uint32_t i = 0; i < NPI_RATE_TRANSACTIONS; i++)
        rate->started_ns[i] -= npi_time_min(gap_ns, rate->started_ns[i]);
}

/* ---- engine/refused.c -------------------- */

/*
 * The filtering socket has spoken to A:P alone, and the NAT has refused datagrams to it. Now it asks their sender, and
 * another address: if the sender alone sees another port, the refused ones have taken the usual one.
 */


enum { REFUSED_BEGINS, REFUSED_ASKS, REFUSED_OPENS, REFUSED_CONTROL };

static bool was_refused(const npi_exchange *x)
{
    return x->t.sent > 0 && !npi_exchange_is_answered(x);
}

static const npi_exchange *refused_request(const npi_trial *t, int index)
{
    return &t->filtering.x[index == 0 ? NPI_F_II : NPI_F_III];
}

/* What was refused came from the server: the filtering is proven, so some control has passed. */
static bool can_tell(const npi_facts *f, const npi_trial *t)
{
    if (t == NULL || !t->finding.proven || npi_mapping_confirmed(f) != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return false;
    bool is_refused = t->finding.filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT ||
                      t->finding.filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return is_refused && was_refused(refused_request(t, 0)) && npi_exchange_has_external(&t->filtering.x[NPI_F_I]);
}

static npi_errand *ask_from(npi_facts *f, int slot, const npi_addr *to)
{
    return npi_errand_ask(f, "refused I", f->optional.refused.trial->server, slot, to, 0);
}

/* False when it cannot be asked. Strangers have other IP addresses, but a filter may let A:Q as far as another NAT. */
static bool ask_refused(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    const npi_trial *t = npi_filtering_trial(f);
    if (!can_tell(f, t))
        return false;
    const npi_server *s = npi_trial_server(f, t);
    int slot = t->filtering.slot;
    npi_addr bp = npi_addr_with_port(&s->alternate, s->address.port);
    npi_addr aq = npi_addr_with_port(&s->address, s->alternate.port);
    r->trial = t;
    r->usual = ask_from(f, slot, &bp);
    r->refused[0] = ask_from(f, slot, &s->alternate);
    if (was_refused(refused_request(t, 1)))
        r->refused[1] = ask_from(f, slot, &aq);
    r->step = REFUSED_ASKS;
    return r->usual != NULL && r->refused[0] != NULL;
}

static bool is_refused_settled(const npi_facts *f, uint64_t *wake_ns)
{
    const npi_refused_test *r = &f->optional.refused;
    const npi_errand *all[] = {r->usual, r->refused[0], r->refused[1], r->opener[0], r->opener[1], r->control};
    bool is_any_open = false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        is_any_open |= all[i] != NULL && !npi_errand_is_settled(f, all[i], wake_ns);
    return !is_any_open;
}

static const npi_addr *usual_of(const npi_refused_test *r)
{
    return &r->trial->filtering.x[NPI_F_I].external;
}

/* Another port than the usual one, of the same address. */
static bool is_diverted(const npi_refused_test *r, int index)
{
    const npi_errand *e = r->refused[index];
    return e != NULL && npi_exchange_has_external(&e->x) && npi_addr_same_ip(&e->x.external, usual_of(r)) &&
           !npi_addr_equal(&e->x.external, usual_of(r));
}

/* The usual port, so shortly after something was refused that the NAT would still know of it. */
static bool is_spared(const npi_refused_test *r, int index)
{
    const npi_errand *e = r->refused[index];
    uint64_t refused_ns = npi_transaction_last_ns(&refused_request(r->trial, index)->t);
    if (e == NULL)
        return true;
    return npi_exchange_has_external(&e->x) && npi_addr_equal(&e->x.external, usual_of(r)) &&
           e->x.t.answered_ns < npi_time_add(refused_ns, NPI_REFUSED_FRESH_NS);
}

/*
 * III's control may have been enough for the verdict. Here it matters that II's answers came as far as the NAT. The
 * socket is another one, for a NAT may have given the filtering socket's port away, or the source socket's.
 */
static bool open_refused_way(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    r->step = REFUSED_OPENS;
    return npi_errand_open_way(f, "refused I", r->trial->server, &npi_trial_server(f, r->trial)->alternate, r->opener);
}

static bool ask_refused_control(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    if (!npi_errand_is_answered(r->opener[0]) || !npi_errand_is_answered(r->opener[1]))
        return false;
    r->control = npi_errand_ask(f, "refused control II", r->trial->server, r->opener[0]->x.slot,
                                &npi_trial_server(f, r->trial)->address, refused_request(r->trial, 0)->change);
    r->step = REFUSED_CONTROL;
    return r->control != NULL;
}

/* False when it is known, or cannot be. */
static bool take_refused(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    if (!npi_exchange_has_external(&r->usual->x) || !npi_addr_equal(&r->usual->x.external, usual_of(r)))
        return false;
    if (is_diverted(r, 0) || is_diverted(r, 1))
        r->takes_port = NP_TRISTATE_YES;
    else if (is_spared(r, 0) && is_spared(r, 1))
        return open_refused_way(f);
    return false;
}

static bool take_refused_control(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    if (npi_errand_is_answered(r->control) &&
        npi_addr_equal(&r->control->from, &npi_trial_server(f, r->trial)->alternate))
        r->takes_port = NP_TRISTATE_NO;
    return false;
}

/* The next step. False when there is none. */
static bool go_on_with_refused(npi_facts *f)
{
    switch (f->optional.refused.step) {
    case REFUSED_BEGINS:
        return ask_refused(f);
    case REFUSED_ASKS:
        return take_refused(f);
    case REFUSED_OPENS:
        return ask_refused_control(f);
    default:
        return take_refused_control(f);
    }
}

bool npi_refused_step(npi_facts *f, uint64_t *wake_ns)
{
    while (is_refused_settled(f, wake_ns)) {
        if (!go_on_with_refused(f))
            return true;
    }
    return false;
}

/* ---- engine/result.c -------------------- */

/* What the experiment has shown, in the caller's terms. */

#include <stdio.h>
#include <string.h>

/* What was seen of all sockets beside the verdict (tally.h). Pure. */
#ifndef NPI_ENGINE_SIGHTINGS_H
#define NPI_ENGINE_SIGHTINGS_H


/*
 * first: the server on which the verdict rests, NULL for none. Of external addresses nothing counts where the servers
 * contradict each other, or the address has changed.
 */
npi_tally npi_sightings_tally(const npi_facts *f, const npi_server *first);

#endif

/* The server whose trial brought the filtering; else one with a trial, else any that has answered. */
static const npi_server *verdict_server(const npi_facts *f)
{
    const npi_trial *t = npi_filtering_trial(f);
    if (t != NULL)
        return &f->servers[t->server];
    const npi_server *best = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (npi_mapping_leaves_out(f, s) || npi_mapping_is_lone_network(f, s))
            continue; /* of several networks the one that two servers name is more likely right */
        if ((s->has_mapping || (npi_server_has_answered(s) && s->trial >= 0)) &&
            (best == NULL || (best->trial < 0 && s->trial >= 0)))
            best = s;
    }
    return best;
}

static const char *reason_text(npi_reason reason)
{
    static const char *const texts[] = {
        [NPI_REASON_NONE] = "",
        [NPI_REASON_NO_ALTERNATE] = ("no server that answered has a second address (RFC 5780) to test it "
                                     "from: name one that has"),
        [NPI_REASON_REFUSED] = "the server named a second address to which nothing may be sent: name another server",
        [NPI_REASON_IGNORED] = "the server ignores what the test asks for (CHANGE-REQUEST): name another server",
        [NPI_REASON_PARTIAL] = ("the server does only part of what the test asks for (CHANGE-REQUEST): name another "
                                "server"),
        [NPI_REASON_REWRITTEN] = "a router on the path rewrites the source address of unsolicited datagrams",
        [NPI_REASON_REJECTED] = "the server refuses what the test asks for (CHANGE-REQUEST): name another server",
        [NPI_REASON_CONTROL] = ("the server, or the path to it, drops what the test asks for (CHANGE-REQUEST; the "
                                "control stayed silent): name another server"),
        [NPI_REASON_RATIONED] = ("the server answers so few requests with CHANGE-REQUEST that the silence of one "
                                 "shows nothing: name another server"),
        [NPI_REASON_LOSS] = "too many datagrams are lost to tell silence from loss: try again",
        [NPI_REASON_SLOW] = "the server answers too slowly to tell silence from a queue: name another server",
        [NPI_REASON_SHUT_OUT] = ("the servers fell silent during the test: a router may block servers that send "
                                 "unsolicited datagrams"),
        [NPI_REASON_CONTRADICTION] = "an answer came after its absence had been taken for filtering: try again",
        [NPI_REASON_NOT_FRESH] = "the server's other address had been asked before the test could be made",
        [NPI_REASON_OTHER_PATH] = ("other ports of this host take another way than the checked one: their external or "
                                   "local address is another"),
        [NPI_REASON_NO_SOCKET] = "the system gave no second socket to test it from",
        [NPI_REASON_UNSENT] = "the system refused to send requests of the test",
        [NPI_REASON_UNFINISHED] = "the test could not be finished",
    };
    return texts[reason];
}

/* What did not leave explains why there was no answer. It does not explain what answers have shown. */
static npi_reason reason_of(const npi_trial *t)
{
    npi_reason reason = t->finding.reason;
    if (!npi_trial_is_decided(t) || t->phase != NPI_PHASE_DONE)
        reason = NPI_REASON_UNFINISHED;
    bool is_silence = reason == NPI_REASON_CONTROL || reason == NPI_REASON_LOSS || reason == NPI_REASON_UNFINISHED;
    return is_silence && npi_trial_is_unsent(t) ? NPI_REASON_UNSENT : reason;
}

/*
 * The trial whose filtering is told. Without a control, since the mapping seemed to keep that out, none is where the
 * mapping turned out to be another.
 */
static const npi_trial *told_trial(const npi_facts *f)
{
    const npi_trial *t = npi_filtering_trial(f);
    if (t == NULL || t->finding.proven)
        return t;
    int32_t mapping = npi_mapping_confirmed(f);
    return mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT ? NULL : t;
}

npi_reason npi_result_filtering_reason(const npi_facts *f)
{
    npi_reason reason = NPI_REASON_NONE;
    if (f->error != NP_OK || !npi_facts_tests_filtering(f) || told_trial(f) != NULL)
        return NPI_REASON_NONE;
    bool is_missed = false; /* a second address that was not used, or a finding that does not count (yet) */
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[i]);
        is_missed |= f->servers[i].alternate_state == NPI_ALTERNATE_KNOWN;
        if (t == NULL)
            continue;
        is_missed |= t->finding.filtering != NP_BEHAVIOUR_UNKNOWN;
        npi_reason of_trial = reason_of(t);
        if (of_trial == NPI_REASON_UNFINISHED && (!npi_trial_is_decided(t) || t->phase != NPI_PHASE_DONE))
            return NPI_REASON_UNFINISHED;
        if (of_trial > reason && of_trial != NPI_REASON_UNFINISHED)
            reason = of_trial;
    }
    if (reason != NPI_REASON_NONE)
        return reason;
    if ((f->evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0)
        return NPI_REASON_REFUSED;
    return is_missed ? NPI_REASON_UNFINISHED : NPI_REASON_NO_ALTERNATE;
}

typedef bool (*differ_fn)(const npi_server *, const npi_server *);

/* Whether one of the servers that saw the source socket differs from the first of them. */
static bool any_differs(const npi_facts *f, differ_fn differ)
{
    const npi_server *first = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!s->has_mapping)
            continue;
        if (first != NULL && differ(first, s))
            return true;
        first = first == NULL ? s : first;
    }
    return false;
}

static bool differ_in_local(const npi_server *a, const npi_server *b)
{
    return npi_addr_is_other_ip(&a->observed.local, &b->observed.local);
}

/* Whether a request to another address of s left from another local address than those to A:P. */
static bool has_two_locals(const npi_facts *f, const npi_server *s)
{
    const npi_trial *t = npi_server_trial(f, s);
    for (int k = 0; t != NULL && s->has_mapping && k < NPI_CONTROL_EXCHANGES; k++) {
        const npi_exchange *x = &t->control.x[k];
        if (npi_exchange_has_external(x) && npi_addr_is_other_ip(&x->local, &s->observed.local))
            return true;
    }
    return false;
}

static bool uses_several_locals(const npi_facts *f)
{
    bool several = any_differs(f, differ_in_local);
    for (size_t i = 0; i < f->server_count && !several; i++)
        several = has_two_locals(f, &f->servers[i]);
    return several;
}

static bool differ_in_ip(const npi_server *a, const npi_server *b)
{
    return !npi_addr_same_ip(&a->address, &b->address);
}

/* The system refused to send, and that explains what is lacking: NULL, or how. */
static const char *refused_detail(const npi_facts *f)
{
    bool has_mapping = npi_facts_has_mapping(f);
    bool is_private = f->any_untranslated || (f->evidence & NP_EVIDENCE_PROXIED) != 0;
    if (!npi_facts_is_unsent(f))
        return NULL;
    switch (f->error) {
    case NP_ERR_NO_RESPONSE:
        return "no server answered, and the system refused to send some requests";
    case NP_ERR_TIMEOUT:
        return "the time allowed ran out, and the system refused to send some requests";
    case NP_ERR_INCONCLUSIVE:
        if (f->restarted || (has_mapping ? uses_several_locals(f) || npi_mapping_is_contradictory(f) : is_private))
            return NULL; /* answers have shown more */
        if (!has_mapping)
            return "the system refused to send some requests, and the source socket got no answer";
        return npi_mapping_apparent(f) != NP_BEHAVIOUR_UNKNOWN
                   ? "the external address could not be confirmed: the system refused to send some requests"
                   : "only one server address answered, and the system refused to send to others";
    case NP_ERR_NETWORK_UNREACHABLE:
    case NP_ERR_NO_MEMORY:
    case NP_ERR_SYSTEM:
        return "the system would not send to any server";
    default:
        return NULL;
    }
}

static const char *inconclusive_detail(const npi_facts *f)
{
    if (f->restarted)
        return "the external address changed, and too few answers have come since";
    if (!npi_facts_has_mapping(f) && f->any_untranslated)
        return "no NAT lies on the way to the server that answered, so it shows nothing of the internet: name another "
               "server";
    if (!npi_facts_has_mapping(f) && (f->evidence & NP_EVIDENCE_PROXIED) != 0)
        return "something on the path answers or translates for the servers: they report a private address";
    if (!npi_facts_has_mapping(f))
        return "too many datagrams were lost: the source socket got no answer";
    if (uses_several_locals(f))
        return "this host used several local addresses, which cannot be compared: choose one as the source address";
    if (npi_mapping_is_contradictory(f))
        return "the servers contradict each other about the external address: name more servers";
    if (npi_mapping_is_mixed(f))
        return "some destinations see the same external port, and others another: an earlier check may have left that "
               "behind, or the NAT goes by the destination's port: try again from another source port";
    if (npi_mapping_apparent(f) != NP_BEHAVIOUR_UNKNOWN)
        return "the external address could not be confirmed, and may have changed during the check: try again";
    if (f->server_count > 1)
        return "only one of the server addresses answered, so that the mapping cannot be compared: name other servers";
    return "only one server address answered, so that the mapping cannot be compared: name a second server";
}

/*
 * Before that an answer may still have been under way. How late the end was noticed must not decide: of a silence that
 * would take all the time allowed one run would else say that UDP is blocked, and the next that it is not known.
 */
static bool is_silent_for_long(const npi_facts *f)
{
    return npi_time_min(f->end_ns, f->config.deadline_ns) >=
           npi_time_add(f->traffic.first_sent_ns, f->config.response_timeout_ns);
}

static const char *error_detail(const npi_facts *f)
{
    switch (f->error) {
    case NP_ERR_NO_RESPONSE:
        return is_silent_for_long(f)
                   ? "no server answered any request: UDP is blocked, or the servers are down"
                   : "no server answered in the time allowed: UDP is blocked, or the servers are down or far away";
    case NP_ERR_INCONCLUSIVE:
        return inconclusive_detail(f);
    case NP_ERR_ADDRESS_CHANGED:
        return "the external address changed during the check, and again after it had been started anew";
    case NP_ERR_TIMEOUT:
        return "the time allowed ran out before enough answers had come";
    case NP_ERR_CANCELLED:
        return "the check was cancelled";
    default:
        return np_strerror(f->error);
    }
}

/* Cut where it does not fit; out is all zeros before. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strlen(text);
    memcpy(out, text, length < size ? length : size - 1);
}

/* What an error code means where no more can be done than to name another server (RFC 8489 section 14.8). */
static const char *result_meaning_of(uint16_t stun_error)
{
    switch (stun_error) {
    case 300:
        return ", which refers to another server";
    case 401:
    case 403:
    case 438:
        return ", which asks for credentials";
    default:
        return "";
    }
}

/* Something came, and nothing that could be used. */
static void tell_bad_response(const npi_facts *f, np_result *out)
{
    char from[NPI_ADDR_TEXT];
    npi_addr_format(&f->elsewhere, from);
    if (f->stun_error != 0)
        snprintf(out->detail, sizeof out->detail, "a server answered with the STUN error %u%s: name another server",
                 (unsigned)f->stun_error, result_meaning_of(f->stun_error));
    else if ((f->evidence & NP_EVIDENCE_MALFORMED) != 0)
        copy_text(
            out->detail, sizeof out->detail,
            "the servers' answers are malformed, or report an address that no host can have: name another server");
    else if (from[0] != '\0')
        snprintf(out->detail, sizeof out->detail,
                 "an answer came from %s and not from the address that was asked: name another server", from);
    else
        copy_text(out->detail, sizeof out->detail,
                  "datagrams came from the servers' addresses, but no usable STUN answer was among them");
}

static void result_write_detail(const npi_facts *f, np_result *out)
{
    const npi_trial *t = told_trial(f);
    const char *refused = refused_detail(f);
    if (f->error == NP_ERR_BAD_RESPONSE)
        tell_bad_response(f, out);
    else if (f->error != NP_OK)
        copy_text(out->detail, sizeof out->detail, refused != NULL ? refused : error_detail(f));
    else if (!npi_facts_tests_filtering(f))
        out->detail[0] = '\0';
    else if (t == NULL)
        snprintf(out->detail, sizeof out->detail, "filtering unknown: %s", reason_text(npi_result_filtering_reason(f)));
    else if (!t->finding.proven)
        copy_text(out->detail, sizeof out->detail,
                  "the filtering is as measured, and not proven: behind this NAT the control that would prove it "
                  "cannot pass");
}

static uint32_t evidence_of(const npi_facts *f, const np_result *out)
{
    uint32_t evidence = f->evidence;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_trial *t = npi_server_trial(f, s);
        npi_loss loss = {0, 0};
        if (t != NULL)
            loss = npi_silence_path_loss(f, t);
        if (loss.lost > 0)
            evidence |= NP_EVIDENCE_LOSS;
    }
    bool is_steady = f->left_out_unsteady && out->mapping != NP_BEHAVIOUR_UNKNOWN;
    if (is_steady || npi_mapping_dissenter(f) != NULL)
        evidence |= NP_EVIDENCE_OUTVOTED;
    if (any_differs(f, differ_in_ip))
        evidence |= NP_EVIDENCE_SECOND_SERVER;
    if (out->mapping != NP_BEHAVIOUR_UNKNOWN)
        evidence |= NP_EVIDENCE_MAPPING_PROVEN;
    const npi_trial *t = told_trial(f);
    if (t != NULL && t->finding.proven && out->filtering != NP_BEHAVIOUR_UNKNOWN)
        evidence |= NP_EVIDENCE_FILTERING_PROVEN;
    return evidence;
}

static void write_local(const npi_observation *o, np_result *out)
{
    npi_addr_format_ip(&o->local, out->local_ip);
    out->local_port = o->local.port;
    out->local_class = npi_classify_address(&o->local);
}

static void write_observation(const npi_observation *o, np_result *out)
{
    npi_addr_format_ip(&o->external, out->external_ip);
    out->external_port = o->external.port;
    write_local(o, out);
}

bool npi_result_observation(const npi_facts *f, npi_observation *out)
{
    const npi_server *s = verdict_server(f);
    if (s == NULL || npi_mapping_is_contradictory(f))
        return false;
    if (!s->has_mapping)
        return npi_mapping_any_observation(f, out);
    *out = s->observed;
    return true;
}

static void write_addresses(const npi_facts *f, np_result *out)
{
    const npi_server *s = verdict_server(f);
    if (s == NULL)
        return;
    npi_observation seen;
    if (npi_mapping_is_contradictory(f))
        write_local(&s->observed, out);
    else if (npi_result_observation(f, &seen))
        write_observation(&seen, out);
    char server[NPI_ADDR_TEXT];
    npi_addr_format(&s->address, server);
    copy_text(out->server, sizeof out->server, server);
    out->rtt_us = s->rtt.smoothed_ns / 1000;
}

/* Without a verdict only those facts are known that need no further confirmation. */
static void forget_unconfirmed(const npi_facts *f, np_result *out)
{
    const npi_trial *t = npi_filtering_trial(f);
    if (out->mapping != NP_BEHAVIOUR_NONE)
        out->mapping = NP_BEHAVIOUR_UNKNOWN;
    if (t != NULL && !t->finding.proven) /* without a control, since the mapping seemed to keep that out */
        out->filtering = NP_BEHAVIOUR_UNKNOWN;
}

static void write_facts(const npi_facts *f, np_result *out)
{
    const npi_trial *t = told_trial(f);
    out->mapping = npi_mapping_confirmed(f);
    out->filtering = t != NULL ? t->finding.filtering : NP_BEHAVIOUR_UNKNOWN;
    if (f->error == NP_OK)
        out->nat_type = npi_classify_type(out->mapping, out->filtering);
    else
        forget_unconfirmed(f, out);
}

npi_tally npi_result_tally(const npi_facts *f)
{
    return npi_sightings_tally(f, verdict_server(f));
}

static void write_tally(const npi_facts *f, np_result *out)
{
    npi_tally tally = npi_result_tally(f);
    out->port_step = tally.port_step;
    out->ports_seen = tally.ports_seen;
    out->ports_kept = tally.ports_kept;
    out->external_ips = tally.external_ips;
    out->local_ips = tally.local_ips;
}

void npi_result_write(const npi_facts *f, uint64_t now_ns, np_result *out)
{
    memset(out, 0, sizeof *out);
    out->error = f->error;
    out->os_error = f->os_error == 0 && refused_detail(f) != NULL ? f->traffic.send_os_error : f->os_error;
    out->packets_sent = f->traffic.sent;
    out->packets_received = f->traffic.received;
    out->elapsed_us = npi_facts_elapsed_ns(f, f->done ? f->end_ns : now_ns) / 1000;
    write_addresses(f, out);
    write_tally(f, out);
    if (f->error == NP_ERR_NO_RESPONSE) {
        out->nat_type = is_silent_for_long(f) ? NP_NAT_UDP_BLOCKED : NP_NAT_UNKNOWN;
    } else if (f->error == NP_ERR_ADDRESS_CHANGED) {
        memset(out->external_ip, 0, sizeof out->external_ip); /* which of them is true now is not known */
        out->external_port = 0;
    } else {
        write_facts(f, out);
    }
    out->evidence = evidence_of(f, out);
    result_write_detail(f, out);
}

/* ---- engine/schedule.c -------------------- */

/* The choice of servers. */

#include <string.h>


/* ---- One server ------------------------------------------------------------------------------------------------- */

/*
 * After some have fallen silent during their tests, no more are tested; after the first, if fresh sockets seem to take
 * another way: the tests could tell nothing.
 */
static bool may_begin_trial(const npi_facts *f)
{
    size_t most = f->path.state == NPI_PATH_OTHER ? 1 : NPI_HUSHED_MAX;
    return f->trial_count < f->trial_room && npi_facts_count_fell_silent(f) < most;
}

uint64_t npi_schedule_exhausted_ns(const npi_facts *f, const npi_server *s)
{
    if (!npi_server_is_started(s))
        return NPI_NEVER;
    if (s->failed || !npi_server_has_answered(s))
        return npi_pacing_given_up_ns(f, s);
    const npi_trial *t = npi_server_trial(f, s);
    bool has_trial_to_come = s->alternate_state == NPI_ALTERNATE_KNOWN && may_begin_trial(f);
    if (t != NULL ? t->phase != NPI_PHASE_DONE : has_trial_to_come)
        return NPI_NEVER;
    return npi_pacing_primary_done_ns(s);
}

static bool is_exhausted(const npi_facts *f, const npi_server *s)
{
    return npi_schedule_exhausted_ns(f, s) <= f->now_ns;
}

/* Whether s may yet bring what is missing. */
static bool can_still_help(const npi_facts *f, const npi_server *s)
{
    const npi_trial *t = npi_server_trial(f, s);
    if (!npi_server_is_started(s) || is_exhausted(f, s))
        return false;
    return !npi_server_has_answered(s) || t == NULL || npi_trial_is_useful(f, t);
}

/*
 * What one server sees is compared with what another does at the same moment. Where nothing else is asked, one that has
 * answered before is therefore asked again at the same time.
 */
static void ask_again_beside(npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        if (s->has_mapping && !s->failed && !npi_exchange_was_asked(&s->x[NPI_RECHECK])) {
            npi_server_ask_again(s);
            return;
        }
    }
}

static void schedule_start(npi_facts *f, size_t index)
{
    if (!npi_facts_tests_filtering(f))
        ask_again_beside(f);
    npi_server *s = &f->servers[index];
    s->contact = NPI_ASKED;
    s->started_ns = f->now_ns;
    npi_exchange_ask(&s->x[NPI_PRIMARY], "I", &s->address, 0, NPI_PRIMARY_COPIES);
    npi_exchange_init(&s->x[NPI_RFC3489], "classic I", NPI_SLOT_SOURCE, &s->address, 0, NPI_RFC3489_COPIES);
    npi_exchange_init(&s->x[NPI_RECHECK], "I again", NPI_SLOT_SOURCE, &s->address, 0, NPI_ALTERNATE_COPIES);
}

/* ---- All servers ------------------------------------------------------------------------------------------------ */

static bool any_can_still_help(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (can_still_help(f, &f->servers[i]))
            return true;
    }
    return false;
}

/*
 * While a filtering test is under way nothing may go to the addresses whose answers it waits for, nor to another port
 * of the same server: a NAT that keeps its filters for each host would let the tests' answers through. A silent server
 * keeps no other waiting for long; if it speaks after all, what was contacted counts against it.
 */
static uint64_t disturbs_until_ns(const npi_facts *f, const npi_server *candidate)
{
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_server *s = npi_trial_server(f, &f->trials[i]);
        if (f->trials[i].phase != NPI_PHASE_FILTERING || s == candidate)
            continue;
        if (!npi_addr_same_ip(&s->address, &candidate->address) &&
            !npi_addr_same_ip(&s->alternate, &candidate->address))
            continue;
        uint64_t silent_ns = npi_time_add(s->started_ns, NPI_SILENT_NS);
        until_ns = npi_time_max(until_ns, npi_server_has_answered(s) ? NPI_NEVER : silent_ns);
    }
    return until_ns;
}

/* The server to start next, NULL when there is none now: one that answered before a restart, else the first listed. */
static const npi_server *next_server(const npi_facts *f, uint64_t *wake_ns)
{
    const npi_server *first = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (npi_server_is_started(s) || s->is_unsteady)
            continue;
        uint64_t until_ns = disturbs_until_ns(f, s);
        if (until_ns > f->now_ns) {
            *wake_ns = npi_time_min(*wake_ns, until_ns);
            continue;
        }
        if (s->answered_before_restart)
            return s;
        if (first == NULL)
            first = s;
    }
    return first;
}

static bool has_next_server(const npi_facts *f)
{
    uint64_t unused_ns = NPI_NEVER;
    return next_server(f, &unused_ns) != NULL;
}

/* Names are not waited for once the servers there are have told all they can. While nobody answers, they are. */
static uint64_t names_awaited_until_ns(const npi_facts *f)
{
    if (!f->more_servers)
        return NPI_NOW;
    if (!f->any_answer)
        return NPI_NEVER;
    return npi_time_add(npi_time_max(f->traffic.last_sent_ns, f->traffic.last_heard_ns), NPI_NAMES_WAIT_NS);
}

uint64_t npi_schedule_all_exhausted_ns(const npi_facts *f)
{
    uint64_t until_ns = names_awaited_until_ns(f);
    if (until_ns == NPI_NEVER || has_next_server(f) || npi_path_is_asking(f))
        return NPI_NEVER;
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]) && !is_exhausted(f, &f->servers[i]))
            return NPI_NEVER;
    }
    return until_ns;
}

uint64_t npi_schedule_can_go_on_until_ns(const npi_facts *f)
{
    return any_can_still_help(f) || has_next_server(f) ? NPI_NEVER : names_awaited_until_ns(f);
}

bool npi_schedule_others_can_help(const npi_facts *f, size_t server)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (i != server && can_still_help(f, &f->servers[i]))
            return true;
    }
    return has_next_server(f);
}

/* ---- What to start next ----------------------------------------------------------------------------------------- */

static npi_next_action wait_until(uint64_t wake_ns)
{
    return (npi_next_action){NPI_ACTION_WAIT, 0, wake_ns};
}

/* The first server that may have a second address gets both tests at once, before it is known whether it has one. */
static npi_next_action start_at_once(const npi_facts *f, const npi_server *s)
{
    bool with_trial = f->trial_count == 0 && npi_filtering_is_needed(f) && !s->expected_mapping_only;
    return (npi_next_action){with_trial ? NPI_ACTION_START_WITH_TRIAL : NPI_ACTION_START, (size_t)(s - f->servers),
                             NPI_NEVER};
}

static const npi_server *first_started(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]))
            return &f->servers[i];
    }
    return NULL;
}

/*
 * Two are asked at once where that cannot disturb a filtering test: when the mapping alone is wanted, and when one of
 * them is known to have no second address, so that it cannot be the other's.
 */
static bool can_start_beside(const npi_facts *f, const npi_server *only, const npi_server *s)
{
    return !npi_facts_tests_filtering(f) || s->expected_mapping_only != only->expected_mapping_only;
}

/* A silent server is waited for so long before another one is asked in its place. */
static uint64_t hedge_ns(const npi_facts *f, const npi_server *s)
{
    return npi_time_add(s->started_ns, npi_pacing_hedge_ns(f, npi_facts_count_started(f) == 1));
}

/*
 * How many servers are enough for now: those that have answered and are of use, and those that were asked a short time
 * ago. *wake_ns is moved forward to when one of them has been silent for too long.
 */
static size_t count_enough(const npi_facts *f, uint64_t *wake_ns)
{
    size_t count = 0;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (npi_server_has_answered(s)) {
            count += npi_filtering_is_needed(f) ? can_still_help(f, s) : s->has_mapping;
        } else if (can_still_help(f, s) && hedge_ns(f, s) > f->now_ns) {
            *wake_ns = npi_time_min(*wake_ns, hedge_ns(f, s));
            count++;
        }
    }
    return count;
}

/* One server can tell the filtering; the mapping takes two. */
static bool has_enough(const npi_facts *f, uint64_t *wake_ns)
{
    size_t wanted = npi_facts_tests_filtering(f) ? 1 : 2;
    return count_enough(f, wake_ns) >= wanted && any_can_still_help(f);
}

/* A server that has answered, and whose trial goes on, is enough: a hedge is for silence. */
static bool is_any_trial_heard(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        if (npi_trial_is_useful(f, &f->trials[i]) && npi_server_has_answered(npi_trial_server(f, &f->trials[i])))
            return true;
    }
    return false;
}

/* It has answered and not fallen silent, or has had little time to answer. */
static bool is_sound(const npi_facts *f, const npi_server *s)
{
    if (!npi_server_is_started(s) || s->failed || s->fell_silent)
        return false;
    return npi_server_has_answered(s) || npi_time_add(s->started_ns, NPI_HUSH_NS) > f->now_ns;
}

/* Once a server has fallen silent two others are asked at once: they tell the mapping before they are tested. */
static bool wants_witness(const npi_facts *f)
{
    size_t sound = 0;
    for (size_t i = 0; i < f->server_count; i++)
        sound += is_sound(f, &f->servers[i]);
    return npi_facts_count_fell_silent(f) > 0 && sound < 2;
}

npi_next_action npi_schedule_next_action(const npi_facts *f)
{
    uint64_t wake_ns = NPI_NEVER;
    const npi_server *s = next_server(f, &wake_ns);
    const npi_server *first = first_started(f);
    if (first == NULL)
        return s != NULL ? start_at_once(f, s) : wait_until(wake_ns);
    if (s != NULL && npi_facts_count_started(f) == 1 && can_start_beside(f, first, s))
        return start_at_once(f, s);
    if (npi_path_is_asking(f))
        return wait_until(wake_ns);
    if (!wants_witness(f) && has_enough(f, &wake_ns))
        return wait_until(wake_ns);
    if (s == NULL)
        return wait_until(wake_ns);
    uint64_t ready_ns = npi_rate_ready_ns(&f->rate, 1);
    if (ready_ns > f->now_ns)
        return wait_until(ready_ns);
    return (npi_next_action){NPI_ACTION_START, (size_t)(s - f->servers), NPI_NEVER};
}

/* Returns when to look again. */
static uint64_t start_servers(npi_facts *f)
{
    uint64_t wake_ns = NPI_NEVER;
    for (;;) {
        npi_next_action next = npi_schedule_next_action(f);
        if (next.action == NPI_ACTION_WAIT)
            return npi_time_min(wake_ns, next.wake_ns);
        schedule_start(f, next.server);
        if (next.action == NPI_ACTION_START_WITH_TRIAL) {
            npi_trial_begin(f, next.server, NPI_TRIAL_BOTH_PHASES);
            wake_ns = f->now_ns;
        }
    }
}

size_t npi_schedule_servers_wanted(const npi_facts *f)
{
    size_t started = npi_facts_count_started(f);
    uint64_t silent_ns = f->any_answer ? 0 : f->now_ns - f->start_ns;
    return (started < 2 ? 3 : started + 1) + (size_t)(silent_ns / NPI_SILENT_NS);
}

/* While nobody answers, and names may be slow to resolve, one more is wanted for every hedge delay that has passed. */
static uint64_t want_more_ns(const npi_facts *f)
{
    uint64_t passed = (f->now_ns - f->start_ns) / NPI_SILENT_NS;
    return f->more_servers && !f->any_answer ? f->start_ns + (passed + 1) * NPI_SILENT_NS : NPI_NEVER;
}

/* ---- What to ask of those started ------------------------------------------------------------------------------- */

/*
 * A server silent for long gets the form of request that RFC 3489 servers may insist on. What the system has not sent
 * yet it cannot answer. While another one is being tested the rate is kept for that
 * at first.
 */
static uint64_t ask_rfc3489(const npi_facts *f, npi_server *s)
{
    const npi_transaction *asked = &s->x[NPI_PRIMARY].t;
    npi_exchange *x = &s->x[NPI_RFC3489];
    if (s->contact != NPI_ASKED || s->failed || asked->sent == 0 || x->queued || x->t.started)
        return NPI_NEVER;
    uint64_t after_ns = is_any_trial_heard(f) ? NPI_RFC3489_BESIDE_NS : NPI_RFC3489_AFTER_NS;
    uint64_t ask_ns = npi_time_add(asked->first_ns, after_ns);
    if (ask_ns <= f->now_ns)
        x->queued = true;
    return ask_ns;
}

/*
 * When the last server was started that came later than s. If it was asked in the place of s, which others have
 * answered sooner, it does not count: s is probably dead.
 */
static uint64_t next_started_ns(const npi_facts *f, const npi_server *s)
{
    uint64_t until_ns = f->any_answer ? hedge_ns(f, s) : NPI_NEVER;
    uint64_t latest_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        uint64_t started_ns = f->servers[i].started_ns;
        if (npi_server_is_started(&f->servers[i]) && started_ns > s->started_ns + NPI_SAME_MOMENT_NS &&
            started_ns < until_ns)
            latest_ns = npi_time_max(latest_ns, started_ns);
    }
    return latest_ns;
}

/*
 * Where nothing but the mapping is asked, and the next server was asked while s has not yet answered: s is asked once
 * more behind it, so that what they see can be compared as soon as both have answered. That stands for its next copy.
 */
static uint64_t ask_again_behind(const npi_facts *f, npi_server *s)
{
    const npi_transaction *asked = &s->x[NPI_PRIMARY].t;
    uint64_t next_ns = next_started_ns(f, s);
    if (npi_facts_tests_filtering(f) || s->contact != NPI_ASKED || s->failed || asked->sent != 1 ||
        next_ns == NPI_NOW || npi_exchange_was_asked(&s->x[NPI_RECHECK]))
        return NPI_NEVER;
    uint64_t ask_ns = npi_time_max(next_ns, npi_time_add(asked->first_ns, NPI_PACE_MIN_NS));
    if (ask_ns <= f->now_ns) {
        npi_exchange_ask(&s->x[NPI_RECHECK], "I again", &s->address, 0, 1);
        s->x[NPI_PRIMARY].not_before_ns = npi_time_add(f->now_ns, NPI_PRIMARY_GAP_NS);
    }
    return ask_ns;
}

/* Until when an answer to that may come. */
static uint64_t asked_behind_until_ns(const npi_facts *f)
{
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_exchange *x = &s->x[NPI_RECHECK];
        if (npi_server_has_answered(s) && x->t.started && !npi_exchange_is_answered(x))
            until_ns = npi_time_max(until_ns, npi_time_add(x->t.first_ns, npi_rtt_rto(&s->rtt)));
    }
    return until_ns;
}

/* In a mapping-only run: until when other servers may answer, which is cheaper than asking this one's alternate. */
static uint64_t others_may_answer_until_ns(const npi_facts *f, const npi_server *s)
{
    uint64_t wait_ns = npi_time_add(npi_rtt_rto(&s->rtt), 2 * NPI_PACE_MIN_NS);
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != s && o->contact == NPI_ASKED && !o->failed)
            until_ns = npi_time_max(until_ns, npi_time_add(o->started_ns, wait_ns));
    }
    return until_ns;
}

/* The test may have cost one server, or the second address of one, its way back. */
static bool is_wary(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (t->finding.reason == NPI_REASON_CONTROL && !npi_exchange_is_answered(&t->control.x[NPI_M_BP]) &&
            !npi_exchange_is_answered(&t->control.x[NPI_M_BQ]))
            return true;
    }
    return npi_facts_count_fell_silent(f) > 0;
}

/* Once a server has fallen silent: until when others may tell the mapping before s is tested. */
static uint64_t mapping_secured_ns(npi_facts *f, const npi_server *s)
{
    if (!is_wary(f))
        return NPI_NOW;
    if (wants_witness(f) && has_next_server(f))
        return NPI_NEVER;
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *o = &f->servers[i];
        if (o != s && is_sound(f, o) && !npi_server_has_answered(o))
            until_ns = npi_time_max(until_ns, npi_time_add(o->started_ns, NPI_HUSH_NS));
    }
    npi_recheck recheck = npi_mapping_recheck(f);
    if (until_ns > f->now_ns || recheck.state == NPI_RECHECK_NOT_NEEDED)
        return until_ns;
    if (recheck.state == NPI_RECHECK_NEEDED) {
        npi_schedule_reconfirm(f);
        return npi_time_add(f->now_ns, NPI_PACE_MIN_NS);
    }
    return recheck.wake_ns;
}

/* A server that has answered and named an alternate address becomes the subject of a trial, if one is needed. */
static uint64_t begin_trial(npi_facts *f, npi_server *s)
{
    bool is_fit = npi_server_is_started(s) && !s->failed && s->has_mapping && s->alternate_state == NPI_ALTERNATE_KNOWN;
    if (!is_fit || s->trial >= 0 || !may_begin_trial(f) || is_any_trial_heard(f))
        return NPI_NEVER;
    uint64_t secured_ns = mapping_secured_ns(f, s);
    if (secured_ns > f->now_ns)
        return secured_ns;
    bool filtering = npi_filtering_is_needed(f);
    uint64_t begin_ns = filtering ? NPI_NOW : npi_time_max(others_may_answer_until_ns(f, s), asked_behind_until_ns(f));
    if (begin_ns > f->now_ns)
        return begin_ns;
    npi_trial_begin(f, (size_t)(s - f->servers), filtering ? NPI_TRIAL_BOTH_PHASES : NPI_TRIAL_MAPPING_ONLY);
    return f->now_ns;
}

/* A server that another socket has heard is there: it is asked for longer. */
static void extend_primary(npi_server *s)
{
    npi_transaction *t = &s->x[NPI_PRIMARY].t;
    if (npi_server_has_answered(s) && t->started && t->limit < NPI_PRIMARY_COPIES_HEARD)
        t->limit = NPI_PRIMARY_COPIES_HEARD;
}

/* When a server that is asked has been silent for so long that another one is wanted in its place as a witness. */
static uint64_t witness_missed_ns(const npi_facts *f, const npi_server *s)
{
    bool is_awaited = npi_facts_count_fell_silent(f) > 0 && s->contact == NPI_ASKED;
    return is_awaited ? npi_time_add(s->started_ns, NPI_HUSH_NS) : NPI_NEVER;
}

uint64_t npi_schedule_step(npi_facts *f)
{
    uint64_t wake_ns = npi_time_min(want_more_ns(f), start_servers(f));
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        wake_ns = npi_wake_min(wake_ns, witness_missed_ns(f, s), f->now_ns);
        wake_ns = npi_wake_min(wake_ns, ask_rfc3489(f, s), f->now_ns);
        wake_ns = npi_wake_min(wake_ns, ask_again_behind(f, s), f->now_ns);
        wake_ns = npi_time_min(wake_ns, begin_trial(f, s));
        extend_primary(s);
        wake_ns = npi_wake_min(wake_ns, npi_schedule_exhausted_ns(f, s), f->now_ns);
    }
    return wake_ns;
}

/* ---- Once more -------------------------------------------------------------------------------------------------- */

/* What is known of servers is not asked again, such as a second address, or that one has failed. */
#define ABOUT_SERVERS                                                                                                  \
    (NP_EVIDENCE_ANSWERED | NP_EVIDENCE_CLASSIC | NP_EVIDENCE_ALTERNATE | NP_EVIDENCE_ALTERNATE_REFUSED |              \
     NP_EVIDENCE_MALFORMED | NP_EVIDENCE_PROXIED | NP_EVIDENCE_CONTRADICTION)

void npi_schedule_reconfirm(npi_facts *f)
{
    bool doubtful[NPI_SERVERS_MAX] = {false};
    for (size_t i = 0; i < f->server_count; i++)
        doubtful[i] = npi_mapping_is_doubtful(f, &f->servers[i]);
    f->rechecks++;
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        if (doubtful[i])
            npi_server_ask_again(s);
    }
}

void npi_schedule_restart(npi_facts *f)
{
    f->restarted = true;
    f->rechecks = 0;
    memset(&f->path, 0, sizeof f->path);
    f->looked_before += npi_facts_most_copies_of_looks(f);
    memset(&f->looks, 0, sizeof f->looks);
    f->evidence = (f->evidence & ABOUT_SERVERS) | NP_EVIDENCE_RESTARTED;
    for (size_t i = 0; i < f->trial_count; i++) {
        /* Its requests stay: what they have contacted stays contacted (npi_facts_has_contacted). */
        npi_trial *t = &f->trials[i];
        t->phase = NPI_PHASE_DONE;
        if (t->finding.state == NPI_UNDECIDED)
            t->finding.state = NPI_DECIDED;
        t->finding.filtering = NP_BEHAVIOUR_UNKNOWN;
        t->finding.reason = NPI_REASON_UNFINISHED;
    }
    for (size_t i = 0; i < f->server_count; i++) {
        npi_server *s = &f->servers[i];
        s->answered_before_restart |= npi_server_has_answered(s);
        s->started_before_restart |= npi_server_is_started(s);
        s->contact = NPI_NOT_ASKED;
        s->has_mapping = false;
        s->trial = -1;
        s->fell_silent = s->was_copied = false;
        memset(s->x, 0, sizeof s->x);
        npi_server_forget_path(s);
    }
}
#undef ABOUT_SERVERS

/* ---- engine/sightings.c -------------------- */

/*
 * Every plain request that left, in the order in which they left, and whose word counts. In the place of one that did
 * not leave stands what left to the same address with CHANGE-REQUEST: it has taken a port.
 */


/* Each server's requests, those of each trial, of the fresh sockets that show their way, and of those that compare. */
#define SIGHTINGS_MAX                                                                                                  \
    (NPI_SERVERS_MAX * NPI_SERVER_EXCHANGES + NPI_TRIALS_MAX * (NPI_FILTERING_EXCHANGES + NPI_CONTROL_EXCHANGES + 1) + \
     NPI_PATH_SOCKETS + NPI_LOOKS * NPI_LOOK_EXCHANGES)
/* Requests may have been forgotten that took ports. */
#define FORGETFUL (NP_EVIDENCE_CLASSIC | NP_EVIDENCE_RESTARTED)

typedef struct sightings {
    const npi_server *first;
    npi_sighting seen[SIGHTINGS_MAX];
    const npi_server *witness[SIGHTINGS_MAX];
    const npi_exchange *x[SIGHTINGS_MAX];
    size_t count;
} sightings;

/* Whether a plain request went the same way, which is added before those with CHANGE-REQUEST. */
static bool has_plain(const sightings *all, const npi_exchange *x)
{
    for (size_t i = 0; i < all->count; i++) {
        const npi_exchange *other = all->x[i];
        if (other->change == 0 && other->slot == x->slot && npi_addr_equal(&other->to, &x->to))
            return true;
    }
    return false;
}

static void sightings_add(const npi_server *s, const npi_exchange *x, void *user)
{
    sightings *all = user;
    if (x->t.sent == 0 || all->count == SIGHTINGS_MAX || (x->change != 0 && has_plain(all, x)))
        return;
    npi_sighting seen = {.number = x->number, .slot = x->slot};
    if (x->change == 0 && npi_exchange_is_answered(x))
        seen.local = x->local;
    if (x->change == 0 && npi_exchange_has_external(x))
        seen.external = x->external;
    size_t at = all->count++;
    for (; at > 0 && all->seen[at - 1].number > seen.number; at--) {
        all->seen[at] = all->seen[at - 1];
        all->witness[at] = all->witness[at - 1];
        all->x[at] = all->x[at - 1];
    }
    all->seen[at] = seen;
    all->witness[at] = s;
    all->x[at] = x;
}

/* Of all copies that the answer can be for, when the last one left. */
static uint64_t last_copy_ns(const npi_exchange *x)
{
    return npi_exchange_is_answered(x) ? x->last_copy_ns : npi_transaction_last_ns(&x->t);
}

static void find_vague(sightings *all, bool is_forgetful)
{
    for (size_t i = 0; i < all->count; i++) {
        bool overlaps = i + 1 < all->count && all->x[i + 1]->t.first_ns <= last_copy_ns(all->x[i]);
        all->seen[i].is_vague = is_forgetful || (all->x[i]->t.sent > 1 && overlaps);
    }
}

/* Another server says the same. */
static bool sightings_is_confirmed(const sightings *all, size_t i)
{
    for (size_t k = 0; k < all->count; k++) {
        if (all->witness[k] != all->witness[i] && npi_addr_equal(&all->seen[k].local, &all->seen[i].local) &&
            npi_addr_equal(&all->seen[k].external, &all->seen[i].external))
            return true;
    }
    return false;
}

/*
 * Behind a NAT whose mapping depends on the destination every server sees something else, and one that is wrong does
 * not stand out: only that one is believed on which the verdict rests.
 */
static void drop_lone_words(sightings *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->witness[i] != all->first && !sightings_is_confirmed(all, i))
            all->seen[i].external = (npi_addr){.family = NPI_FAMILY_NONE};
    }
}

static void drop_all_words(sightings *all)
{
    for (size_t i = 0; i < all->count; i++)
        all->seen[i].external = (npi_addr){.family = NPI_FAMILY_NONE};
}

npi_tally npi_sightings_tally(const npi_facts *f, const npi_server *first)
{
    sightings all;
    all.first = first;
    all.count = 0;
    npi_facts_each(f, sightings_add, &all);
    find_vague(&all, (f->evidence & FORGETFUL) != 0);
    if (f->error == NP_ERR_ADDRESS_CHANGED || npi_mapping_is_contradictory(f))
        drop_all_words(&all);
    drop_lone_words(&all);
    return npi_tally_count(all.seen, all.count);
}
#undef FORGETFUL
#undef SIGHTINGS_MAX

/* ---- engine/silence.c -------------------- */

/* Counts losses, and weighs a silence against them. */


/* Rates of loss that are looked at: 1/20, 2/20, ... The maximum between them is flat. */
#define RATE_STEPS 20

/* ---- Losses ----------------------------------------------------------------------------------------------------- */

/* How many copies were answered at most. A duplicate may have taken the place of an answer that came later. */
static uint32_t count_answered(const npi_transaction *t, const npi_echo *echo)
{
    uint32_t all = npi_transaction_all_answers(t);
    uint32_t apart = echo->duplicated ? all - t->likely_duplicates : all;
    uint32_t share = (uint32_t)(((uint64_t)all * echo->copies + echo->answers - 1) / echo->answers);
    uint32_t most = share < apart ? share : apart;
    return t->answers < most ? t->answers : most;
}

void npi_loss_add(npi_loss *loss, const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, const npi_echo *echo)
{
    if (!t->started)
        return;
    uint32_t aged = npi_transaction_aged(t, now_ns, age_ns);
    uint32_t answered = count_answered(t, echo);
    loss->answered += answered;
    loss->lost += aged > answered ? aged - answered : 0;
}

void npi_loss_expect(npi_loss *loss, uint32_t open)
{
    uint32_t answered = open * (loss->answered + 1) / (loss->answered + loss->lost + 1);
    loss->answered += answered;
    loss->lost += open - answered;
}

static double power(double base, uint32_t exponent)
{
    double result = 1.0;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0)
            result *= base;
        base *= base;
    }
    return result;
}

/* The probability that at most so many are lost as were, when each is with probability p. */
static double so_few_are_lost(const npi_loss *loss, double p)
{
    uint32_t all = loss->answered + loss->lost;
    double term = power(1.0 - p, all);
    double sum = term;
    for (uint32_t k = 0; k < loss->lost; k++) {
        term *= p / (1.0 - p) * (all - k) / (k + 1);
        sum += term;
    }
    return sum;
}

double npi_loss_p_all_lost(const npi_loss *loss, uint32_t n)
{
    if (n == 0 || loss->answered == 0)
        return 1.0;
    double worst = 0.0;
    for (int step = 1; step < RATE_STEPS; step++) {
        double p = (double)step / RATE_STEPS;
        double chance = power(p, n) * so_few_are_lost(loss, p);
        worst = chance > worst ? chance : worst;
    }
    return worst;
}

bool npi_loss_is_extreme(const npi_loss *loss)
{
    return loss->lost > 2 * loss->answered + 1;
}

bool npi_loss_is_burst(const npi_loss *loss)
{
    return 2 * loss->lost >= loss->answered;
}

bool npi_silence_holds(const npi_loss *loss, uint32_t silent, double limit)
{
    bool heavy = 2 * loss->lost > loss->answered;
    return npi_loss_p_all_lost(loss, silent) < (heavy ? limit * NPI_SILENCE_HEAVY : limit);
}

/*
 * How many answers a server that repeats them sends to each copy: half an answer more than came where more came than
 * was sent. It is not known how many got lost, and the more a copy may have brought, the fewer copies were answered.
 */
static npi_echo measure_echo(const npi_plain_list *list, bool duplicated)
{
    npi_echo echo = {duplicated, 0, 0};
    for (size_t i = 0; i < list->count; i++) {
        const npi_transaction *t = list->t[i];
        if (npi_transaction_all_answers(t) <= t->sent)
            continue;
        echo.copies += t->sent;
        echo.answers += npi_transaction_all_answers(t);
    }
    if (echo.copies == 0)
        return (npi_echo){duplicated, 2, 5};
    echo.answers += (echo.copies + 1) / 2;
    return echo;
}

npi_loss npi_silence_path_loss(const npi_facts *f, const npi_trial *t)
{
    npi_plain_list list = npi_plain_requests(f, t);
    npi_loss loss = {0, 0};
    npi_echo echo = {f->duplicated, 1, 1};
    if (npi_trial_server(f, t)->hides_losses)
        echo = measure_echo(&list, f->duplicated);
    bool is_earlier = !npi_silence_rests_on_iii(&t->filtering); /* than II */
    for (size_t i = 0; i < list.count; i++) {
        npi_loss_add(&loss, list.t[i], f->now_ns, npi_trial_rto(f, t), &echo);
        npi_surplus surplus = npi_dense_surplus(t, list.t[i], count_answered(list.t[i], &echo), is_earlier);
        loss.answered -= npi_least(loss.answered, surplus.answered);
        loss.lost -= npi_least(loss.lost, surplus.lost);
    }
    return loss;
}

/* ---- The test that carries the proof ---------------------------------------------------------------------------- */

bool npi_silence_rests_on_iii(const npi_filtering *p)
{
    return p->iii.outcome != NPI_CHANGE_HONOURED;
}

const npi_exchange *npi_silence_proof(const npi_filtering *p)
{
    return &p->x[npi_silence_rests_on_iii(p) ? NPI_F_III : NPI_F_II];
}

bool npi_silence_has_second(const npi_filtering *p)
{
    const npi_exchange *second = &p->x[NPI_F_SECOND];
    return second->t.started && second->change == npi_silence_proof(p)->change;
}

uint32_t npi_silence_copies(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t from_ns = npi_trial_server(f, t)->woke_ns;
    const npi_transaction *proof = &npi_silence_proof(p)->t;
    uint32_t copies = npi_transaction_sent_since(proof, from_ns);
    copies -= npi_least(copies, npi_dense_silent_surplus(t, proof));
    return npi_silence_has_second(p) ? copies + npi_transaction_sent_since(&p->x[NPI_F_SECOND].t, from_ns) : copies;
}

/* ---- Is it enough? ---------------------------------------------------------------------------------------------- */

/* How many copies of a plain transaction may still be answered, and then say more than the others. */
static uint32_t open_copies(const npi_facts *f, const npi_trial *t, const npi_transaction *x)
{
    uint32_t aged = npi_transaction_aged(x, f->now_ns, npi_trial_rto(f, t));
    uint32_t open = x->sent - (aged > x->answers ? aged : x->answers);
    bool is_earlier = !npi_silence_rests_on_iii(&t->filtering);
    uint32_t all = npi_dense_surplus(t, x, x->answers + open, is_earlier).answered;
    uint32_t now = npi_dense_surplus(t, x, x->answers, is_earlier).answered;
    return open - npi_least(open, all - now);
}

/* Copies under way, and extra ones not sent yet, are expected to fare like those before them. */
static npi_loss expected_loss(const npi_facts *f, const npi_trial *t, uint32_t extra)
{
    npi_loss loss = npi_silence_path_loss(f, t);
    uint32_t open = extra + open_copies(f, t, &t->filtering.x[NPI_F_I].t);
    if (t->filtering.iii.outcome == NPI_CHANGE_HONOURED)
        open += open_copies(f, t, &t->filtering.x[NPI_F_III].t);
    npi_loss_expect(&loss, open);
    return loss;
}

/* What the mapping phase will probably add; losses are rounded up. */
static npi_loss forecast(npi_loss loss)
{
    if (loss.lost > 0)
        loss.lost += (NPI_SILENCE_FORECAST * loss.lost + loss.answered) / (loss.answered + 1);
    loss.answered += NPI_SILENCE_FORECAST;
    return loss;
}

npi_burst npi_silence_first_burst(const npi_facts *f, const npi_trial *t)
{
    const npi_rtt *rtt = &npi_trial_server(f, t)->rtt;
    uint64_t steady_ns = npi_time_max(NPI_RATION_STEADY_NS, rtt->smoothed_ns / NPI_RATION_STEADY_SHARE);
    bool is_steady = rtt->deviation_ns < steady_ns && !f->duplicated;
    uint32_t least = is_steady ? NPI_RATION_PAIR : NPI_RATION_ANSWERS;
    return (npi_burst){npi_silence_path_loss(f, t).lost > 0 ? NPI_RATION_BURST : least, least, 0, 0};
}

/*
 * A path may duplicate a datagram now and then. A server that sends each answer several times is another thing: losses
 * then look rarer than they are, nobody can tell by how much, and so more copies have to be silent.
 */
bool npi_silence_is_short(const npi_server *s, uint32_t copies)
{
    return copies < (uint32_t)(s->repeats ? NPI_SILENT_MIN_REPEATED : NPI_SILENT_MIN);
}

bool npi_silence_is_enough_with(const npi_facts *f, const npi_trial *t, uint32_t plain, uint32_t silent)
{
    npi_loss loss = expected_loss(f, t, plain);
    uint32_t copies = npi_silence_copies(f, t) + silent;
    if (npi_silence_is_short(npi_trial_server(f, t), copies) || npi_loss_is_extreme(&loss))
        return false;
    if (t->filtering.extended) /* the mapping phase is over: nothing is left to forecast */
        return npi_silence_holds(&loss, copies, NPI_SILENCE_EXTENDED);
    double limit = loss.lost > 0 ? NPI_SILENCE_LOSSY : NPI_SILENCE_FILTERING;
    loss = forecast(loss);
    return npi_silence_holds(&loss, copies, limit);
}

/* The most answers that a server could give which answers one copy in NPI_RATION_NS. */
static uint32_t most_rationed(const npi_transaction *x, uint32_t from, uint32_t to)
{
    uint32_t most = 1;
    uint32_t last = from;
    for (uint32_t i = from; i < to; i++) {
        if ((uint64_t)(x->sent_us[i] - x->sent_us[last]) * 1000 < NPI_RATION_TOGETHER_NS)
            continue;
        most++;
        last = i;
    }
    return most;
}

/* So few that none of them is a duplicate, or so many that one of them may be. */
static bool is_more_than_rationed(const npi_facts *f, const npi_transaction *x, const npi_burst *b, uint32_t old)
{
    const npi_echo apart = {true, 1, 1};
    const npi_echo all = {f->duplicated, 1, 1};
    uint32_t rationed = b->answers + most_rationed(x, b->sent, old);
    return count_answered(x, &apart) >= rationed + b->least - 1 ||
           count_answered(x, &all) >= rationed + NPI_RATION_ANSWERS - 1;
}

npi_ration npi_silence_ration(const npi_facts *f, const npi_trial *t, const npi_transaction *x, const npi_burst *b,
                              uint64_t age_ns)
{
    uint32_t old = npi_transaction_aged(x, f->now_ns, npi_rtt_floor(&npi_trial_server(f, t)->rtt));
    if (old <= b->sent + b->size && is_more_than_rationed(f, x, b, old))
        return NPI_RATION_EXCLUDED;
    bool has_more = x->sent < b->sent + b->size || x->sent + NPI_RATION_BURST <= NPI_RATION_COPIES;
    bool is_over = !has_more && npi_transaction_all_aged_ns(x, age_ns) <= f->now_ns;
    return is_over ? NPI_RATION_LIKELY : NPI_RATION_OPEN;
}

uint64_t npi_silence_burst_ns(const npi_transaction *x, const npi_burst *b, uint64_t age_ns)
{
    uint64_t pace_ns = npi_time_add(npi_transaction_last_ns(x), NPI_PACE_MIN_NS);
    if (x->sent < b->sent + b->size)
        return pace_ns;
    uint64_t pause_ns = b->sent > 0 ? NPI_RATION_PAUSE_NS : 0; /* a limit of rate has room again */
    uint64_t paused_ns = npi_time_add(npi_transaction_last_ns(x), pause_ns);
    return npi_time_max(npi_time_max(pace_ns, paused_ns), npi_transaction_all_aged_ns(x, age_ns));
}

npi_burst npi_silence_burst(const npi_facts *f, const npi_transaction *x, const npi_burst *b)
{
    if (x->sent < b->sent + b->size)
        return *b;
    if (x->answers == 0) /* as before */
        return (npi_burst){b->size, b->least, x->sent, 0};
    npi_echo echo = {f->duplicated, 1, 1};
    return (npi_burst){NPI_RATION_BURST, NPI_RATION_ANSWERS, x->sent, count_answered(x, &echo)};
}

bool npi_silence_is_doubtful(const npi_facts *f, const npi_trial *t)
{
    if (t->filtering.ii.outcome != NPI_CHANGE_SILENT || t->finding.filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    npi_loss loss = npi_silence_path_loss(f, t);
    uint32_t copies = npi_silence_copies(f, t);
    bool hidden = loss.lost > 0 && npi_silence_is_short(npi_trial_server(f, t), copies);
    return hidden || !npi_silence_holds(&loss, copies, NPI_SILENCE_DOUBTFUL);
}

uint64_t npi_silence_ready_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t latest = NPI_NOW;
    bool is_far = !npi_silence_rests_on_iii(&t->filtering); /* II is answered from B */
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_exchange *x = &t->filtering.x[i];
        bool is_ii = (x->change & NPI_STUN_CHANGE_IP) != 0;
        uint64_t age_ns = is_far && is_ii ? npi_trial_far_rto(f, t) : npi_trial_rto(f, t);
        if (x->t.started)
            latest = npi_time_max(latest, npi_transaction_all_aged_ns(&x->t, age_ns));
    }
    return latest;
}

static uint64_t next_aged_among(const npi_exchange *x, int count, uint64_t now_ns, uint64_t age_ns)
{
    uint64_t next = NPI_NEVER;
    for (int i = 0; i < count; i++)
        next = npi_time_min(next, npi_transaction_next_aged_ns(&x[i].t, now_ns, age_ns));
    return next;
}

uint64_t npi_silence_next_loss_ns(const npi_facts *f, const npi_trial *t)
{
    uint64_t age = npi_trial_rto(f, t);
    uint64_t next = next_aged_among(npi_trial_server(f, t)->x, NPI_SERVER_EXCHANGES, f->now_ns, age);
    next = npi_time_min(next, next_aged_among(t->filtering.x, NPI_FILTERING_EXCHANGES, f->now_ns, age));
    next = npi_time_min(next, next_aged_among(&t->filtering.late, 1, f->now_ns, age));
    return npi_time_min(next, next_aged_among(t->control.x, NPI_CONTROL_EXCHANGES, f->now_ns, age));
}
#undef RATE_STEPS

/* ---- engine/trial.c -------------------- */

/* Filtering, then mapping and control, then done. */

#include <string.h>


void npi_trial_begin(npi_facts *f, size_t server, npi_trial_scope scope)
{
    size_t index = f->trial_count++;
    npi_trial *t = &f->trials[index];
    memset(t, 0, sizeof *t);
    t->server = server;
    t->save_transactions = f->server_count > 1 || f->more_servers;
    f->servers[server].trial = (int)index;
    if (scope == NPI_TRIAL_BOTH_PHASES) {
        npi_filtering_init(f, t, (int)index + 1);
        return;
    }
    t->filtering.slot = NPI_SLOT_SOURCE;
    t->finding.state = NPI_DECIDED;
    t->phase = NPI_PHASE_MAPPING;
    npi_control_begin(f, t);
}

static void trial_finish(npi_trial *t)
{
    npi_filtering_stop(&t->filtering);
    t->phase = NPI_PHASE_DONE;
}

/* Phase 2 happens once: a trial that was extended after it is done now. */
static void begin_mapping(npi_facts *f, npi_trial *t)
{
    if (npi_control_has_asked(t)) {
        trial_finish(t);
        return;
    }
    npi_filtering_stop(&t->filtering);
    t->phase = NPI_PHASE_MAPPING;
    npi_control_begin(f, t);
}

/* It has fallen silent. That its other addresses answer is of use only if it is the only server. */
static void leave_silent(npi_facts *f, npi_trial *t, bool others_can_help)
{
    npi_decide_unknown(f, t, NPI_REASON_SHUT_OUT);
    if (!others_can_help) {
        begin_mapping(f, t);
        return;
    }
    f->servers[t->server].fell_silent = true;
    trial_finish(t);
}

/* Neither decided, nor about to be by an answer that has come. */
static bool trial_is_open(const npi_trial *t)
{
    const npi_change_test *ii = &t->filtering.ii;
    return !npi_trial_is_decided(t) && ii->outcome == NPI_CHANGE_PENDING && !ii->early;
}

static uint64_t advance_filtering(npi_facts *f, npi_trial *t, bool others_can_help)
{
    if (others_can_help && !t->filtering.resumed && trial_is_open(t) && npi_server_is_slow(npi_trial_server(f, t))) {
        npi_decide_unknown(f, t, NPI_REASON_SLOW);
        begin_mapping(f, t);
        return f->now_ns;
    }
    uint64_t hushed_ns = trial_is_open(t) ? npi_pacing_hushed_ns(f, t, others_can_help) : NPI_NEVER;
    if (hushed_ns <= f->now_ns) {
        leave_silent(f, t, others_can_help);
        return f->now_ns;
    }
    npi_filtering_step step = npi_filtering_advance(f, t);
    step.wake_ns = npi_time_min(step.wake_ns, hushed_ns);
    if (step.next == NPI_FILTERING_MAPPING)
        begin_mapping(f, t);
    else if (step.next == NPI_FILTERING_FINISH)
        trial_finish(t);
    return step.wake_ns;
}

/* II was answered after its silence had been given up, and before any other request could open its way. */
static bool is_answered_late(const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    npi_reason reason = t->finding.reason;
    bool given_up = reason == NPI_REASON_SLOW || reason == NPI_REASON_SHUT_OUT || reason == NPI_REASON_LOSS;
    return npi_trial_is_decided(t) && given_up && p->ii.outcome == NPI_CHANGE_HONOURED && !p->pinhole_not_fresh &&
           !p->contradicted;
}

/* It was given up for others, which turned out to be of no help: there is nothing better than to wait for it. */
static bool is_slow_and_alone(const npi_facts *f, const npi_trial *t, bool others_can_help)
{
    return !others_can_help && t->finding.reason == NPI_REASON_SLOW && !t->filtering.resumed &&
           t->control.stage == NPI_MAPPING_DEFERRED && npi_pacing_slow_until_ns(f, t) <= npi_pacing_slow_share_ns(f);
}

static uint64_t advance_mapping(npi_facts *f, npi_trial *t, bool others_can_help)
{
    if (is_slow_and_alone(f, t, others_can_help)) {
        npi_take_back(t);
        npi_filtering_resume(f, t);
        t->filtering.resumed = true;
        t->phase = NPI_PHASE_FILTERING;
        return f->now_ns;
    }
    if (is_answered_late(t)) {
        npi_decide(t, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
        if (!npi_control_has_asked(t)) /* no more is to be expected of others */
            npi_control_begin(f, t);
    }
    bool may_leave = others_can_help && (!npi_trial_is_decided(t) || t->finding.reason == NPI_REASON_CONTROL);
    uint64_t gone_ns = may_leave ? npi_pacing_gone_ns(f, t) : NPI_NEVER;
    if (gone_ns <= f->now_ns) {
        leave_silent(f, t, others_can_help);
        return f->now_ns;
    }
    npi_control_step step = npi_control_advance(f, t, others_can_help);
    step.wake_ns = npi_time_min(step.wake_ns, gone_ns);
    if (step.next == NPI_CONTROL_FINISH) {
        trial_finish(t);
    } else if (step.next == NPI_CONTROL_EXTEND) {
        npi_filtering_extend(f, t);
        t->phase = NPI_PHASE_FILTERING;
    }
    return step.wake_ns;
}

uint64_t npi_trial_advance(npi_facts *f, npi_trial *t, bool exhausted, bool others_can_help)
{
    const npi_server *s = npi_trial_server(f, t);
    if (t->phase == NPI_PHASE_DONE)
        return NPI_NEVER;
    if (s->failed || (exhausted && !npi_server_has_answered(s))) {
        npi_decide_unknown(f, t, NPI_REASON_UNFINISHED);
        trial_finish(t);
        return f->now_ns;
    }
    if (t->phase == NPI_PHASE_FILTERING)
        return advance_filtering(f, t, others_can_help);
    return advance_mapping(f, t, others_can_help);
}

void npi_trial_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x)
{
    t->filtering_heard_ns = f->now_ns;
    npi_filtering_note_heard(f, t, x);
}

void npi_trial_take_answer(npi_facts *f, npi_trial *t, const npi_exchange *x, const npi_addr *from,
                           const npi_addr *origin, bool success)
{
    if (t->phase == NPI_PHASE_DONE)
        return;
    if (x == &t->control.x[NPI_C_II])
        npi_control_take_answer(f, t, NPI_C_II, from, origin, success);
    else if (x == &t->control.x[NPI_C_III])
        npi_control_take_answer(f, t, NPI_C_III, from, origin, success);
    else
        npi_filtering_take_answer(f, t, x->change, from, origin, success);
}

/* ---- engine/verdict.c -------------------- */

/* The end of the experiment. */


/* Silence from so many servers, where more may be named, is enough to call UDP blocked. */
#define SILENT_SERVERS 3

/* ---- Is it complete? -------------------------------------------------------------------------------------------- */

/* A trial that is still asking its server's addresses. */
static const npi_trial *trial_in_mapping(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (t->phase == NPI_PHASE_MAPPING && t->control.stage != NPI_MAPPING_DEFERRED &&
            npi_control_mapping_over_ns(f, t) > f->now_ns)
            return t;
    }
    return NULL;
}

/* When the answers still expected would not change the mapping; where they would, when none is expected any more. */
static uint64_t mapping_settled_ns(const npi_facts *f)
{
    const npi_trial *t = trial_in_mapping(f);
    int32_t mapping = npi_mapping_apparent(f);
    if (mapping == NP_BEHAVIOUR_NONE || t == NULL)
        return mapping != NP_BEHAVIOUR_UNKNOWN ? NPI_NOW : NPI_NEVER;
    bool settled = mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT || mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        settled = npi_exchange_is_answered(&t->control.x[NPI_M_BP]) &&
                  (t->control.stage == NPI_MAPPING_MINIMAL || npi_exchange_is_answered(&t->control.x[NPI_M_AQ]));
    return settled ? NPI_NOW : npi_control_mapping_over_ns(f, t);
}

uint64_t npi_verdict_complete_ns(const npi_facts *f)
{
    return npi_filtering_is_needed(f) ? NPI_NEVER : mapping_settled_ns(f);
}

/* ---- How it ends ------------------------------------------------------------------------------------------------ */

static npi_verdict verdict_go_on(uint64_t wake_ns)
{
    return (npi_verdict){NPI_VERDICT_GO_ON, NP_OK, 0, wake_ns};
}

static npi_verdict verdict_over(int32_t error)
{
    return (npi_verdict){NPI_VERDICT_OVER, error, 0, NPI_NEVER};
}

static npi_verdict over_unsent(const npi_facts *f)
{
    return (npi_verdict){NPI_VERDICT_OVER, f->traffic.send_error, f->traffic.send_os_error, NPI_NEVER};
}

static bool is_sending_impossible(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]) && !f->servers[i].failed)
            return false;
    }
    return f->traffic.send_error != NP_OK && !f->any_answer;
}

/* What to say when no more can be learnt, and there is no type. */
static npi_verdict conclude_without_type(const npi_facts *f)
{
    if (f->server_count == 0)
        return verdict_over(NP_ERR_RESOLVE);
    if (npi_facts_has_mapping(f))
        return verdict_over(NP_ERR_INCONCLUSIVE);
    if (f->left_out_unsteady)
        return verdict_over(NP_ERR_ADDRESS_CHANGED);
    if (is_sending_impossible(f))
        return over_unsent(f);
    if (f->any_untranslated || (f->evidence & (NP_EVIDENCE_ANSWERED | NP_EVIDENCE_PROXIED)) != 0 ||
        (f->any_answer && !f->any_unusable))
        return verdict_over(NP_ERR_INCONCLUSIVE);
    return verdict_over(f->any_answer || f->any_unusable ? NP_ERR_BAD_RESPONSE : NP_ERR_NO_RESPONSE);
}

/* When servers enough have been silent for long enough. */
static uint64_t silent_everywhere_ns(const npi_facts *f)
{
    if (f->traffic.sent == 0 || f->any_answer)
        return NPI_NEVER;
    uint64_t silent_ns = npi_time_add(f->traffic.first_sent_ns, f->config.response_timeout_ns);
    bool enough = !f->more_servers || npi_facts_count_started(f) >= SILENT_SERVERS;
    return enough ? silent_ns : npi_time_max(silent_ns, f->config.deadline_ns);
}

static bool has_heard_nothing(const npi_facts *f)
{
    return !f->any_answer && !f->any_unusable;
}

/* The time is over. If nothing has left this host, that is why; if nothing came, that says more than the clock. */
static npi_verdict conclude_late(const npi_facts *f, bool has_type)
{
    if (has_type)
        return verdict_over(NP_OK);
    if (f->traffic.sent == 0)
        return f->traffic.send_error != NP_OK ? over_unsent(f) : verdict_over(NP_ERR_TIMEOUT);
    return verdict_over(has_heard_nothing(f) ? NP_ERR_NO_RESPONSE : NP_ERR_TIMEOUT);
}

/* What else is to be asked, so that the mapping is sure; over where nothing is. */
static npi_verdict make_sure(const npi_facts *f)
{
    npi_recheck recheck = npi_mapping_recheck(f);
    if (recheck.state == NPI_RECHECK_NEEDED)
        return (npi_verdict){NPI_VERDICT_RECONFIRM, NP_OK, 0, f->now_ns};
    if (recheck.state == NPI_RECHECK_GOES_ON)
        return verdict_go_on(recheck.wake_ns);
    npi_look_advice look = npi_mapping_look(f);
    if (look.state == NPI_LOOK_NEEDED)
        return (npi_verdict){NPI_VERDICT_LOOK, NP_OK, 0, f->now_ns};
    return look.state == NPI_LOOK_GOES_ON ? verdict_go_on(look.wake_ns) : verdict_over(NP_OK);
}

/* All is there, or all that there can be, or the time is over. */
static npi_verdict verdict_decide(const npi_facts *f, bool complete, bool exhausted)
{
    npi_verdict next = complete || exhausted ? make_sure(f) : verdict_go_on(NPI_NEVER);
    bool sure = next.next == NPI_VERDICT_OVER;
    int32_t mapping = npi_mapping_confirmed(f);
    int32_t type = npi_classify_type(mapping, npi_filtering_found(f));
    if (complete && sure && mapping != NP_BEHAVIOUR_UNKNOWN)
        return next;
    if (f->config.deadline_ns <= f->now_ns)
        return conclude_late(f, type != NP_NAT_UNKNOWN && npi_mapping_is_confirmed(f));
    if (exhausted && sure)
        return type != NP_NAT_UNKNOWN ? next : conclude_without_type(f);
    return sure ? verdict_go_on(NPI_NEVER) : next;
}

npi_verdict npi_verdict_decide(const npi_facts *f, bool exhausted)
{
    uint64_t silent_ns = silent_everywhere_ns(f);
    if (silent_ns <= f->now_ns)
        return conclude_without_type(f);
    /* What costs least is asked first: this is where most of the time of a check would be spent. */
    uint64_t complete_ns = npi_verdict_complete_ns(f);
    bool complete = complete_ns <= f->now_ns;
    uint64_t wake_ns = complete ? silent_ns : npi_time_min(silent_ns, complete_ns);
    if (!complete && !exhausted && f->config.deadline_ns > f->now_ns)
        return verdict_go_on(wake_ns);
    npi_verdict verdict = verdict_decide(f, complete, exhausted);
    verdict.wake_ns = npi_time_min(verdict.wake_ns, wake_ns);
    return verdict;
}
#undef SILENT_SERVERS

/* ---- canvass.c -------------------- */

/* Which servers a check of a watch asks. */
/* Which servers a check of a watch asks, and whether it may test the filtering with them. Pure. */
#ifndef NPI_CANVASS_H
#define NPI_CANVASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* The built-in public servers, and the parsing of what users write for a server. */
#ifndef NPI_SERVERS_H
#define NPI_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define NPI_HOST_SIZE 256 /* longest DNS name (253) with its terminator */
#define NPI_STUN_PORT 3478

typedef enum npi_server_use {
    NPI_USE_ANY,       /* named by the user: what it can do is found out */
    NPI_USE_BEHAVIOUR, /* built in, expected to have a second address (RFC 5780) */
    NPI_USE_MAPPING    /* built in, answers plain requests only */
} npi_server_use;

typedef struct npi_server_name {
    char host[NPI_HOST_SIZE]; /* a name or an IP literal without brackets */
    uint16_t port;
    npi_server_use use;
} npi_server_name;

/* "HOST", "HOST:PORT", "IPv4[:PORT]", "IPv6", "[IPv6]", "[IPv6]:PORT", "stun:" URI. False when it is none of them. */
bool npi_server_parse(const char *text, npi_server_name *out);

size_t npi_builtin_server_count(void);
/* index below the count. */
void npi_builtin_server(size_t index, npi_server_name *out);
/*
 * Fills out (room for max) with the built-in list in random order, but a behaviour server first, a mapping one second.
 * random: one byte for every server. Returns how many.
 */
size_t npi_builtin_shuffled(npi_server_name *out, size_t max, const uint8_t *random);

#endif

/* A NAT may let in what comes from an address for so long after a datagram to it or from it (RFC 4787 REQ-5). */
#define NPI_NAT_STATE_NS (UINT64_C(300000) * NPI_MS)
/* More addresses than a check contacts. */
#define NPI_CONTACTS 64

typedef struct npi_contacts {
    struct {
        npi_addr ip;
        uint64_t last_ns;
    } all[NPI_CONTACTS];
    size_t count;
    uint64_t forgotten_ns; /* the last contact that there was no room for; 0: none */
} npi_contacts;

/* Something went there, or came from there. */
void npi_contacts_note(npi_contacts *c, const npi_addr *address, uint64_t now_ns);
/* When a NAT has forgotten all about this address; NPI_NOW where there was no contact. */
uint64_t npi_contacts_until_ns(const npi_contacts *c, const npi_addr *address);

/* A check is given so many of the built-in servers: enough for some to be silent, and others are left for the next. */
#define NPI_CANVASS_BUILTIN 6

typedef struct npi_canvass {
    npi_server_name servers[NP_MAX_SERVERS];
    size_t count;
    bool is_builtin;
    uint64_t handed_ns[NP_MAX_SERVERS]; /* when a check last had this one to ask; NPI_NEVER: none had */
    bool was_handed[NP_MAX_SERVERS];    /* to the check that is being made, or the last */
    npi_contacts contacts;
} npi_canvass;

/* servers: the user's; without any the built-in ones, of which random has a byte for each. */
void npi_canvass_init(npi_canvass *c, const npi_server_name *servers, size_t count, const uint8_t *random);
/*
 * The servers of a check, in order. True if a NAT knows nothing of any of them, so that the filtering can be tested;
 * else they are good for the mapping. random: as above.
 */
bool npi_canvass_choose(npi_canvass *c, uint64_t now_ns, const uint8_t *random, npi_server_name *out, size_t *count);
/* The check is over: whom it may have asked was asked until now. */
void npi_canvass_end(npi_canvass *c, uint64_t now_ns);
/* A datagram went there or came from there. True if that had happened before since_ns, and a NAT may still know it. */
bool npi_canvass_note(npi_canvass *c, const npi_addr *remote, uint64_t since_ns, uint64_t now_ns);
/* When a NAT has forgotten all that were asked. */
uint64_t npi_canvass_forgotten_ns(const npi_canvass *c);

#endif

#include <string.h>

/* ---- Contacts --------------------------------------------------------------------------------------------------- */

/* The oldest gives way where there is no room, and counts for all from then on. */
static size_t place_for(npi_contacts *c)
{
    size_t oldest = 0;
    if (c->count < NPI_CONTACTS)
        return c->count++;
    for (size_t i = 1; i < NPI_CONTACTS; i++) {
        if (c->all[i].last_ns < c->all[oldest].last_ns)
            oldest = i;
    }
    c->forgotten_ns = npi_time_max(c->forgotten_ns, c->all[oldest].last_ns);
    return oldest;
}

static size_t canvass_find(const npi_contacts *c, const npi_addr *address)
{
    size_t i = 0;
    while (i < c->count && !npi_addr_same_ip(&c->all[i].ip, address))
        i++;
    return i;
}

void npi_contacts_note(npi_contacts *c, const npi_addr *address, uint64_t now_ns)
{
    size_t i = canvass_find(c, address);
    if (i == c->count)
        i = place_for(c);
    c->all[i].ip = *address;
    c->all[i].last_ns = now_ns;
}

uint64_t npi_contacts_until_ns(const npi_contacts *c, const npi_addr *address)
{
    size_t i = canvass_find(c, address);
    uint64_t last_ns = i < c->count ? c->all[i].last_ns : c->forgotten_ns;
    return last_ns == 0 ? NPI_NOW : npi_time_add(last_ns, NPI_NAT_STATE_NS);
}

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

void npi_canvass_init(npi_canvass *c, const npi_server_name *servers, size_t count, const uint8_t *random)
{
    memset(c, 0, sizeof *c);
    c->is_builtin = count == 0;
    c->count = count;
    if (c->is_builtin)
        c->count = npi_builtin_shuffled(c->servers, NP_MAX_SERVERS, random);
    else
        memcpy(c->servers, servers, count * sizeof *servers);
    for (size_t i = 0; i < c->count; i++)
        c->handed_ns[i] = NPI_NEVER;
}

/* Where a name leads is not known here: it counts as asked by every check that had it. */
static uint64_t forgotten_ns(const npi_canvass *c, size_t server)
{
    npi_addr literal;
    if (npi_addr_parse_ip(c->servers[server].host, &literal)) {
        literal = npi_addr_unmap(&literal);
        return npi_contacts_until_ns(&c->contacts, &literal);
    }
    uint64_t handed_ns = c->handed_ns[server];
    return handed_ns == NPI_NEVER ? NPI_NOW : npi_time_add(handed_ns, NPI_NAT_STATE_NS);
}

uint64_t npi_canvass_forgotten_ns(const npi_canvass *c)
{
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < c->count; i++) {
        if (c->was_handed[i])
            until_ns = npi_time_max(until_ns, forgotten_ns(c, i));
    }
    for (size_t i = 0; i < c->contacts.count; i++)
        until_ns = npi_time_max(until_ns, npi_time_add(c->contacts.all[i].last_ns, NPI_NAT_STATE_NS));
    return until_ns;
}

/* Two that are alike in use change places: a server with a second address is first, one without is second. */
static void canvass_shuffle(npi_canvass *c, const uint8_t *random)
{
    for (size_t i = 0; i < c->count; i++) {
        size_t j = i + random[i] % (c->count - i);
        npi_server_name kept = c->servers[i];
        uint64_t kept_ns = c->handed_ns[i];
        c->servers[i] = c->servers[j];
        c->handed_ns[i] = c->handed_ns[j];
        c->servers[j] = kept;
        c->handed_ns[j] = kept_ns;
    }
}

static size_t count_forgotten(const npi_canvass *c, uint64_t now_ns)
{
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++)
        count += forgotten_ns(c, i) <= now_ns;
    return count;
}

static void hand(npi_canvass *c, size_t server, uint64_t now_ns, npi_server_name *out, size_t *count)
{
    c->was_handed[server] = true;
    c->handed_ns[server] = now_ns;
    out[(*count)++] = c->servers[server];
}

static bool is_choice(const npi_canvass *c, size_t server, npi_server_use use, bool only_forgotten, uint64_t now_ns)
{
    return !c->was_handed[server] && (use == NPI_USE_ANY || c->servers[server].use == use) &&
           (!only_forgotten || forgotten_ns(c, server) <= now_ns);
}

/* One server of that use, if there is one left. */
static void hand_next(npi_canvass *c, npi_server_use use, bool only_forgotten, uint64_t now_ns, npi_server_name *out,
                      size_t *count)
{
    for (size_t i = 0; i < c->count; i++) {
        if (is_choice(c, i, use, only_forgotten, now_ns)) {
            hand(c, i, now_ns, out, count);
            return;
        }
    }
}

/* A server with a second address first, and a plain one beside it; see npi_builtin_shuffled(). */
static void hand_builtin(npi_canvass *c, bool only_forgotten, uint64_t now_ns, npi_server_name *out, size_t *count)
{
    static const npi_server_use order[NPI_CANVASS_BUILTIN] = {NPI_USE_BEHAVIOUR, NPI_USE_MAPPING, NPI_USE_BEHAVIOUR,
                                                              NPI_USE_BEHAVIOUR, NPI_USE_MAPPING, NPI_USE_ANY};
    for (size_t i = 0; i < NPI_CANVASS_BUILTIN; i++)
        hand_next(c, order[i], only_forgotten, now_ns, out, count);
}

/* Of the built-in ones a few are enough, of the user's all are wanted. */
bool npi_canvass_choose(npi_canvass *c, uint64_t now_ns, const uint8_t *random, npi_server_name *out, size_t *count)
{
    size_t wanted = c->is_builtin && c->count > NPI_CANVASS_BUILTIN ? NPI_CANVASS_BUILTIN : c->count;
    bool is_fresh = count_forgotten(c, now_ns) >= wanted;
    *count = 0;
    memset(c->was_handed, 0, sizeof c->was_handed);
    if (c->is_builtin) {
        canvass_shuffle(c, random);
        hand_builtin(c, is_fresh, now_ns, out, count);
        return is_fresh && *count > 0 && out[0].use == NPI_USE_BEHAVIOUR;
    }
    for (size_t i = 0; i < c->count; i++)
        hand(c, i, now_ns, out, count);
    return is_fresh;
}

void npi_canvass_end(npi_canvass *c, uint64_t now_ns)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->was_handed[i])
            c->handed_ns[i] = now_ns;
    }
}

bool npi_canvass_note(npi_canvass *c, const npi_addr *remote, uint64_t since_ns, uint64_t now_ns)
{
    npi_addr ip = npi_addr_unmap(remote);
    uint64_t until_ns = npi_contacts_until_ns(&c->contacts, &ip);
    npi_contacts_note(&c->contacts, &ip, now_ns);
    return until_ns > now_ns && until_ns < npi_time_add(since_ns, NPI_NAT_STATE_NS);
}

/* ---- clock.c -------------------- */

#if (!defined(_WIN32))
/* The monotonic clock, and the one that datagrams are stamped with. */
/* The only reader of the system's clock. */
#ifndef NPI_CLOCK_H
#define NPI_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds that go on counting while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_now(void);

/* Monotonic nanoseconds that stop while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_awake(void);

/* Both clocks at one moment. However the process is held up between the two, now_ns is not too early for wall_ns. */
typedef struct npi_moment {
    uint64_t now_ns;
    uint64_t wall_ns; /* of the clock that the system stamps datagrams with; it may be set at any time */
} npi_moment;
npi_moment npi_clock_moment(void);

#endif

#include <time.h>

static uint64_t clock_to_ns(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * UINT64_C(1000000000) + (uint64_t)t->tv_nsec;
}

uint64_t npi_clock_now(void)
{
    struct timespec now;
#ifdef __linux__
    /* CLOCK_MONOTONIC stops while the machine sleeps: afterwards answers would look young and deadlines far. */
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
#endif
        clock_gettime(CLOCK_MONOTONIC, &now);
    return clock_to_ns(&now);
}

#if defined(CLOCK_UPTIME_RAW) /* macOS, iOS */
#define CLOCK_AWAKE CLOCK_UPTIME_RAW
#elif defined(CLOCK_UPTIME) /* BSD */
#define CLOCK_AWAKE CLOCK_UPTIME
#else
#define CLOCK_AWAKE CLOCK_MONOTONIC
#endif

uint64_t npi_clock_awake(void)
{
    struct timespec now;
    clock_gettime(CLOCK_AWAKE, &now);
    return clock_to_ns(&now);
}

npi_moment npi_clock_moment(void)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (npi_moment){.wall_ns = clock_to_ns(&wall), .now_ns = npi_clock_now()};
}
#undef CLOCK_AWAKE
#endif /* (!defined(_WIN32)) */

/* ---- clock_windows.c -------------------- */

#if (defined(_WIN32))
/* The monotonic clock, and the wall clock, on Windows. */
/* The only reader of the system's clock. */
#ifndef NPI_CLOCK_H
#define NPI_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds that go on counting while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_now(void);

/* Monotonic nanoseconds that stop while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_awake(void);

/* Both clocks at one moment. However the process is held up between the two, now_ns is not too early for wall_ns. */
typedef struct npi_moment {
    uint64_t now_ns;
    uint64_t wall_ns; /* of the clock that the system stamps datagrams with; it may be set at any time */
} npi_moment;
npi_moment npi_clock_moment(void);

#endif

#include <windows.h>

#define NS_PER_S UINT64_C(1000000000)

/* The performance counter goes on while the machine sleeps, as its documentation says. */
uint64_t npi_clock_now(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER ticks;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    uint64_t per_s = (uint64_t)frequency.QuadPart;
    uint64_t count = (uint64_t)ticks.QuadPart;
    return count / per_s * NS_PER_S + count % per_s * NS_PER_S / per_s; /* frequencies are below 2^34 */
}

uint64_t npi_clock_awake(void)
{
    ULONGLONG units = 0; /* of 100 ns */
    QueryUnbiasedInterruptTime(&units);
    return (uint64_t)units * 100;
}

/* Windows stamps no datagrams for us, but a wall clock that is set shows here as elsewhere. */
npi_moment npi_clock_moment(void)
{
    FILETIME wall;
    GetSystemTimePreciseAsFileTime(&wall);
    uint64_t units = (uint64_t)wall.dwHighDateTime << 32 | wall.dwLowDateTime; /* of 100 ns since 1601 */
    uint64_t since_1970 = units - UINT64_C(116444736000000000);
    return (npi_moment){.wall_ns = since_1970 * 100, .now_ns = npi_clock_now()};
}
#undef NS_PER_S
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- failure.c -------------------- */

/* A call of the system's that failed: which one, why, and what the user can do about it. */
/* A call of the system's that failed: which one, why, and what the user can do about it. */
#ifndef NPI_FAILURE_H
#define NPI_FAILURE_H

#include <stddef.h>

typedef struct npi_failure {
    const char *call; /* a literal such as "bind"; NULL: nothing failed */
    int os_error;     /* errno; 0: the call is a whole sentence */
} npi_failure;

/* bind() to a port of the system's choosing: what a user may do about it differs. */
#define NPI_BIND_ANY "bind(port 0)"

/* The way to one interface, by the name that the system has for it. */
#if defined(__APPLE__)
#define NPI_CHOOSE_INTERFACE "setsockopt(IP_BOUND_IF)"
#elif defined(_WIN32)
#define NPI_CHOOSE_INTERFACE "setsockopt(IP_UNICAST_IF)"
#else
#define NPI_CHOOSE_INTERFACE "setsockopt(SO_BINDTODEVICE)"
#endif

#define NPI_FAILURE_NONE ((npi_failure){.call = NULL})
#define NPI_FAILURE_TEXT 160

/* The call that has just failed, with errno. */
npi_failure npi_failure_of(const char *call);
#ifdef _WIN32
/*
 * Windows has codes of its own. errno has names for most of them, which mean the same on every system, and takes their
 * place; a code without such a name stays as it is. All of these are above the values of errno.
 */
int npi_errno_from_windows(unsigned long code);
/* Sets errno from the code that the last call left (GetLastError, WSAGetLastError); returns it. */
int npi_take_windows_error(void);
#endif
/* "bind: Permission denied (ports below 1024 need privileges)"; empty when nothing failed. Cut to fit. */
void npi_failure_describe(const npi_failure *f, char *out, size_t size);

/*
 * The parts of npi_failure_describe that each system has of its own. What the error is called; it may be put into the
 * room. And what the error of this call means there and not elsewhere, NULL: nothing else.
 */
#define NPI_FAILURE_ROOM 80
const char *npi_failure_name(int os_error, char room[NPI_FAILURE_ROOM]);
const char *npi_failure_advice_here(const npi_failure *f);

#endif

#include <errno.h>
#include <stdio.h>
#include <string.h>

npi_failure npi_failure_of(const char *call)
{
    return (npi_failure){.call = call, .os_error = errno};
}

static const char *advice_for(const npi_failure *f)
{
    const char *advice = npi_failure_advice_here(f);
    if (advice != NULL)
        return advice;
    switch (f->os_error) {
    case EACCES:
    case EPERM:
    case ENOSYS:
        return " (a sandbox or a policy may forbid it)";
    case EADDRINUSE:
        return strcmp(f->call, NPI_BIND_ANY) == 0 ? " (all ports are taken)" : " (choose another port, or 0 for any)";
    case EADDRNOTAVAIL:
        return " (choose an address of this host)";
    case ENODEV:
        return " (choose an interface of this host)";
    case ENETUNREACH:
    case EHOSTUNREACH:
        return " (is this host online?)";
    default:
        return "";
    }
}

void npi_failure_describe(const npi_failure *f, char *out, size_t size)
{
    char room[NPI_FAILURE_ROOM] = "";
    if (f->call == NULL)
        out[0] = '\0';
    else if (f->os_error == 0)
        (void)snprintf(out, size, "%s", f->call);
    else
        (void)snprintf(out, size, "%s: %s%s", f->call, npi_failure_name(f->os_error, room), advice_for(f));
}

/* ---- failure_posix.c -------------------- */

#if (!defined(_WIN32))
/* What failures are called, and mean, on every system but Windows. */

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* strerror_r() returns an int in POSIX and the text in GNU's C library, where the buffer may stay unused. */
static const char *text_of_int(int error, const char *buffer)
{
    return error == 0 ? buffer : "unknown error";
}

static const char *text_of_pointer(const char *text, const char *buffer)
{
    (void)buffer;
    return text;
}

#define TEXT_OF(error, buffer, size)                                                                                   \
    _Generic(strerror_r(error, buffer, size), int: text_of_int, char *: text_of_pointer)(                              \
        strerror_r(error, buffer, size), buffer)

const char *npi_failure_name(int os_error, char room[NPI_FAILURE_ROOM])
{
    return TEXT_OF(os_error, room, NPI_FAILURE_ROOM);
}

static bool failure_posix_is_of(const npi_failure *f, const char *call)
{
    return strncmp(f->call, call, strlen(call)) == 0;
}

static const char *advice_for_refusal(const npi_failure *f)
{
    if (failure_posix_is_of(f, NPI_CHOOSE_INTERFACE))
        return " (it needs CAP_NET_RAW before Linux 5.7)";
    if (failure_posix_is_of(f, "sendto"))
        return " (a local firewall or route forbids it)";
    return NULL;
}

const char *npi_failure_advice_here(const npi_failure *f)
{
    if (f->os_error == EMFILE)
        return " (raise the limit of open files, ulimit -n)";
    if (f->os_error == EACCES && strcmp(f->call, "bind") == 0)
        return " (ports below 1024 need privileges)";
    if (f->os_error == EINVAL && failure_posix_is_of(f, "bind"))
        return " (a link-local address needs its interface: fe80::1%eth0)";
    if (f->os_error == EAGAIN && failure_posix_is_of(f, "getrandom"))
        return " (the system has just started)";
    if (f->os_error == EAGAIN && failure_posix_is_of(f, "pthread"))
        return " (raise the limit of processes, ulimit -u)";
    return f->os_error == EPERM || f->os_error == EACCES ? advice_for_refusal(f) : NULL;
}
#undef TEXT_OF
#endif /* (!defined(_WIN32)) */

/* ---- failure_windows.c -------------------- */

#if (defined(_WIN32))
/* What failures are called, and mean, on Windows, whose codes become those of errno. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <winsock2.h>

typedef struct meaning {
    int windows;      /* of GetLastError or WSAGetLastError; 0: none, the library's own */
    int os_error;     /* as errno has it */
    const char *text; /* Windows' own texts are in the user's language and in any encoding */
} meaning;

static const meaning meanings[] = {
    {WSAEACCES, EACCES, "Permission denied"},
    {WSAEADDRINUSE, EADDRINUSE, "Address already in use"},
    {WSAEADDRNOTAVAIL, EADDRNOTAVAIL, "Address not available"},
    {WSAEAFNOSUPPORT, EAFNOSUPPORT, "Address family not supported"},
    {WSAECONNREFUSED, ECONNREFUSED, "Connection refused"},
    {WSAECONNRESET, ECONNRESET, "Port unreachable"},
    {WSAEFAULT, EFAULT, "Bad address"},
    {WSAEHOSTDOWN, EHOSTUNREACH, "Host unreachable"},
    {WSAEHOSTUNREACH, EHOSTUNREACH, "Host unreachable"},
    {WSAEINTR, EINTR, "Interrupted"},
    {WSAEINVAL, EINVAL, "Invalid argument"},
    {WSAEMFILE, EMFILE, "Too many open sockets"},
    {WSAEMSGSIZE, EMSGSIZE, "Message too long"},
    {WSAENETDOWN, ENETDOWN, "Network is down"},
    {WSAENETRESET, ENETRESET, "Time to live expired on the way"},
    {WSAENETUNREACH, ENETUNREACH, "Network unreachable"},
    {WSAENOBUFS, ENOBUFS, "No buffer space"},
    {WSAENOPROTOOPT, ENOPROTOOPT, "Option not supported"},
    {WSAENOTSOCK, ENOTSOCK, "Not a socket"},
    {WSAEOPNOTSUPP, EOPNOTSUPP, "Operation not supported"},
    {WSAEPROTONOSUPPORT, EPROTONOSUPPORT, "Protocol not supported"},
    {WSAEWOULDBLOCK, EWOULDBLOCK, "Would block"},
    {ERROR_ACCESS_DENIED, EACCES, "Permission denied"},
    {ERROR_INVALID_HANDLE, EBADF, "Invalid handle"},
    {ERROR_INVALID_PARAMETER, EINVAL, "Invalid argument"},
    {ERROR_MAX_THRDS_REACHED, EAGAIN, "No more threads"},
    {ERROR_NOT_ENOUGH_MEMORY, ENOMEM, "Not enough memory"},
    {ERROR_NO_SYSTEM_RESOURCES, ENOMEM, "Not enough memory"},
    {ERROR_OUTOFMEMORY, ENOMEM, "Not enough memory"},
    {ERROR_TOO_MANY_OPEN_FILES, EMFILE, "Too many open handles"},
    {0, ENODEV, "No such interface"},
    {0, EIO, "Input or output error"},
};

#define MEANINGS (sizeof meanings / sizeof meanings[0])
#define ERRNO_MAX 999 /* errno has nothing above */

int npi_errno_from_windows(unsigned long code)
{
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].windows != 0 && (unsigned long)meanings[i].windows == code)
            return meanings[i].os_error;
    }
    return code > ERRNO_MAX && code <= INT_MAX ? (int)code : EIO;
}

int npi_take_windows_error(void)
{
    errno = npi_errno_from_windows(GetLastError());
    return errno;
}

const char *npi_failure_name(int os_error, char room[NPI_FAILURE_ROOM])
{
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].os_error == os_error)
            return meanings[i].text;
    }
    (void)snprintf(room, NPI_FAILURE_ROOM, "Windows' error %d", os_error);
    return room;
}

const char *npi_failure_advice_here(const npi_failure *f)
{
    if (f->os_error != EACCES)
        return NULL;
    if (strncmp(f->call, "bind", strlen("bind")) == 0)
        return " (another program has the port for itself, or Windows reserves it: netsh int ipv4 show "
               "excludedportrange udp)";
    return strcmp(f->call, "sendto") == 0 ? " (a local firewall forbids it)" : NULL;
}
#undef ERRNO_MAX
#undef MEANINGS
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- gateway_bsd.c -------------------- */

#if (!defined(__linux__) && !defined(_WIN32))
/*
 * The gateway on macOS and the BSDs: the whole table of routes, by sysctl(3). A routing socket would answer for one
 * address alone, but may answer late, and a turn never waits. iOS has no header for either.
 */
/*
 * The gateway: the router to which this host hands a datagram on its way to an address. One file for each system:
 * rtnetlink on Linux (gateway_linux.c), the table of routes on macOS and the BSDs (gateway_bsd.c), GetBestRoute2() on
 * Windows (gateway_windows.c).
 */
#ifndef NPI_GATEWAY_H
#define NPI_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>



/* What takes part in choosing a route. */
typedef struct npi_gateway_way {
    np_socket fd;  /* that would send: its options */
    npi_addr from; /* where it is bound */
    npi_addr to;
    uint32_t link; /* the interface that the library has tied it to; 0: none */
} npi_gateway_way;

/*
 * Asks the system, and sends nothing to the network. Only IPv4. False when there is no router on the way, when there
 * may be several, and when the system does not tell, for instance in a sandbox.
 */
bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway);

#endif

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

static const npi_route_layout gateway_bsd_layout = {
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
static uint32_t gateway_bsd_interface_of(const npi_gateway_way *way)
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
    bool is_found = npi_route_table_gateway(&gateway_bsd_layout, table, size, &way->to, gateway_bsd_interface_of(way), gateway);
    free(table);
    return is_found;
}

#endif
#undef ALIGN_OF_NAMES
#undef HAS_NO_TABLE
#undef TABLE_MAX
#undef TRIES
#endif /* (!defined(__linux__) && !defined(_WIN32)) */

/* ---- gateway_linux.c -------------------- */

#if (defined(__linux__))
/*
 * The gateway on Linux and Android, by rtnetlink: the kernel answers for one datagram, with every rule of policy
 * routing. A system may forbid it (a seccomp filter, SELinux on Android).
 */
/*
 * The gateway: the router to which this host hands a datagram on its way to an address. One file for each system:
 * rtnetlink on Linux (gateway_linux.c), the table of routes on macOS and the BSDs (gateway_bsd.c), GetBestRoute2() on
 * Windows (gateway_windows.c).
 */
#ifndef NPI_GATEWAY_H
#define NPI_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>



/* What takes part in choosing a route. */
typedef struct npi_gateway_way {
    np_socket fd;  /* that would send: its options */
    npi_addr from; /* where it is bound */
    npi_addr to;
    uint32_t link; /* the interface that the library has tied it to; 0: none */
} npi_gateway_way;

/*
 * Asks the system, and sends nothing to the network. Only IPv4. False when there is no router on the way, when there
 * may be several, and when the system does not tell, for instance in a sandbox.
 */
bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway);

#endif

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* What makes a socket's datagrams take one route and not another. */
#ifndef NPI_ROUTING_H
#define NPI_ROUTING_H

#include <stdbool.h>



/*
 * Gives the new socket to, which sends to addresses of that family, every option of from that takes part in choosing a
 * route. Returns NULL, or what failed as a literal, with errno. errno is 0 when the sockets can never share a route.
 */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family);

#ifndef _WIN32
/* False for a socket of another namespace, passed on by another process, say: it has other interfaces and routes. */
bool npi_is_in_same_namespace(int to, int from);
#endif

/* Ties a socket to an interface. False with errno when it cannot: ENODEV when there is none of that name. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family);

#endif

/* Attributes that old headers do not have; kernels that do not know them pass them over. */
#define ATTRIBUTE_MARK 16
#define ATTRIBUTE_PROTOCOL 27
#define ATTRIBUTE_SOURCE_PORT 28
#define ATTRIBUTE_PORT 29
#define ANSWER_ROOM 4096
#define IPV4_SIZE 4
#define WHOLE_ADDRESS 32     /* bits */
#define SEQUENCE 1           /* of the only question */
#define TOS_THAT_ROUTES 0xfc /* without the bits of ECN (RFC 3168) */

/* ---- The question ----------------------------------------------------------------------------------------------- */

typedef union gateway_linux_question {
    struct nlmsghdr header;
    uint8_t bytes[256];
} gateway_linux_question;

static void gateway_linux_add(gateway_linux_question *q, uint16_t type, const void *value, size_t size)
{
    struct rtattr attribute = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(size)};
    uint8_t *at = q->bytes + NLMSG_ALIGN(q->header.nlmsg_len);
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), value, size);
    q->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->header.nlmsg_len) + RTA_ALIGN(attribute.rta_len));
}

static uint32_t gateway_linux_option(int fd, int level, int name)
{
    uint32_t value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

/* The interface that a socket is tied to, or sends by. */
static uint32_t gateway_linux_interface_of(int fd)
{
    char name[IF_NAMESIZE] = "";
    socklen_t length = sizeof name;
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length) == 0 && length > 0 && name[0] != '\0')
        return if_nametoindex(name);
#ifdef IP_UNICAST_IF
    return ntohl(gateway_linux_option(fd, IPPROTO_IP, IP_UNICAST_IF));
#else
    return 0;
#endif
}

/* What the kernel looks at when the socket sends: only a socket that is bound to an address has one by then. */
static void write_question(const npi_gateway_way *way, gateway_linux_question *q)
{
    const uint8_t protocol = IPPROTO_UDP;
    const uint16_t port = htons(way->to.port);
    const uint16_t source_port = htons(way->from.port);
    uint32_t mark = gateway_linux_option(way->fd, SOL_SOCKET, SO_MARK);
    uint32_t interface = gateway_linux_interface_of(way->fd);
    bool is_bound = !npi_addr_is_any(&way->from);
    struct rtmsg route = {.rtm_family = AF_INET,
                          .rtm_dst_len = WHOLE_ADDRESS,
                          .rtm_src_len = is_bound ? WHOLE_ADDRESS : 0,
                          .rtm_tos = (uint8_t)(gateway_linux_option(way->fd, IPPROTO_IP, IP_TOS) & TOS_THAT_ROUTES)};
    memset(q, 0, sizeof *q);
    q->header = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof route),
                                  .nlmsg_type = RTM_GETROUTE,
                                  .nlmsg_flags = NLM_F_REQUEST,
                                  .nlmsg_seq = SEQUENCE};
    memcpy(q->bytes + NLMSG_LENGTH(0), &route, sizeof route);
    gateway_linux_add(q, RTA_DST, way->to.ip, IPV4_SIZE);
    if (is_bound)
        gateway_linux_add(q, RTA_SRC, way->from.ip, IPV4_SIZE);
    if (interface != 0)
        gateway_linux_add(q, RTA_OIF, &interface, sizeof interface);
    if (mark != 0)
        gateway_linux_add(q, ATTRIBUTE_MARK, &mark, sizeof mark);
    gateway_linux_add(q, ATTRIBUTE_PROTOCOL, &protocol, sizeof protocol);
    gateway_linux_add(q, ATTRIBUTE_SOURCE_PORT, &source_port, sizeof source_port);
    gateway_linux_add(q, ATTRIBUTE_PORT, &port, sizeof port);
}

/* ---- The answer ------------------------------------------------------------------------------------------------- */

/* The attributes behind the header of a route. A router with an address of IPv6 (RTA_VIA) is none that can be asked. */
static bool gateway_linux_read_route(const uint8_t *data, size_t size, npi_addr *gateway)
{
    bool is_found = false;
    struct rtattr attribute;
    while (size >= sizeof attribute) {
        memcpy(&attribute, data, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > size)
            return false;
        if (attribute.rta_type == RTA_GATEWAY && attribute.rta_len == RTA_LENGTH(IPV4_SIZE)) {
            const uint8_t *ip = data + RTA_LENGTH(0);
            *gateway = npi_addr_v4(ip[0], ip[1], ip[2], ip[3], 0);
            is_found = true;
        }
        size_t step = RTA_ALIGN((size_t)attribute.rta_len);
        if (step >= size)
            break;
        data += step;
        size -= step;
    }
    return is_found;
}

/* The answer is one message: the route, or an error. */
static bool read_answer(const uint8_t *data, size_t size, npi_addr *gateway)
{
    struct nlmsghdr header;
    struct rtmsg route;
    if (size < NLMSG_LENGTH(sizeof route))
        return false;
    memcpy(&header, data, sizeof header);
    memcpy(&route, data + NLMSG_LENGTH(0), sizeof route);
    if (header.nlmsg_type != RTM_NEWROUTE || header.nlmsg_seq != SEQUENCE || header.nlmsg_len > size ||
        header.nlmsg_len < NLMSG_LENGTH(sizeof route))
        return false;
    size_t before = NLMSG_LENGTH(0) + NLMSG_ALIGN(sizeof route);
    if (route.rtm_family != AF_INET || route.rtm_type != RTN_UNICAST || header.nlmsg_len < before)
        return false;
    return gateway_linux_read_route(data + before, header.nlmsg_len - before, gateway);
}

/* The size of the answer; 0: none, or not the kernel's: other processes may send to such a socket, too. */
static size_t gateway_linux_receive(int fd, uint8_t *answer, size_t room)
{
    struct sockaddr_nl from = {.nl_pid = UINT32_MAX};
    struct iovec piece = {.iov_base = answer, .iov_len = room};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &piece, .msg_iovlen = 1};
    ssize_t size;
    do {
        size = recvmsg(fd, &message, MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    bool is_whole = size > 0 && (message.msg_flags & MSG_TRUNC) == 0;
    return is_whole && from.nl_pid == 0 ? (size_t)size : 0;
}

/* The kernel has answered by the time that it has taken the question: there is nothing to wait for. */
static bool gateway_linux_ask(int fd, const gateway_linux_question *q, npi_addr *gateway)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    _Alignas(struct nlmsghdr) uint8_t answer[ANSWER_ROOM];
    if (sendto(fd, q, q->header.nlmsg_len, MSG_DONTWAIT, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
        return false;
    return read_answer(answer, gateway_linux_receive(fd, answer, sizeof answer), gateway);
}

bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway)
{
    gateway_linux_question q;
    if (way->to.family != NPI_IPV4 || way->from.family != NPI_IPV4)
        return false;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return false;
    write_question(way, &q);
    bool is_found = npi_is_in_same_namespace(fd, way->fd) && gateway_linux_ask(fd, &q, gateway);
    close(fd);
    return is_found;
}
#undef ANSWER_ROOM
#undef ATTRIBUTE_MARK
#undef ATTRIBUTE_PORT
#undef ATTRIBUTE_PROTOCOL
#undef ATTRIBUTE_SOURCE_PORT
#undef IPV4_SIZE
#undef SEQUENCE
#undef TOS_THAT_ROUTES
#undef WHOLE_ADDRESS
#endif /* (defined(__linux__)) */

/* ---- gateway_windows.c -------------------- */

#if (defined(_WIN32))
/* The gateway on Windows, by GetBestRoute2(): the route for one address, by the socket's interface if it has one. */
/*
 * The gateway: the router to which this host hands a datagram on its way to an address. One file for each system:
 * rtnetlink on Linux (gateway_linux.c), the table of routes on macOS and the BSDs (gateway_bsd.c), GetBestRoute2() on
 * Windows (gateway_windows.c).
 */
#ifndef NPI_GATEWAY_H
#define NPI_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>



/* What takes part in choosing a route. */
typedef struct npi_gateway_way {
    np_socket fd;  /* that would send: its options */
    npi_addr from; /* where it is bound */
    npi_addr to;
    uint32_t link; /* the interface that the library has tied it to; 0: none */
} npi_gateway_way;

/*
 * Asks the system, and sends nothing to the network. Only IPv4. False when there is no router on the way, when there
 * may be several, and when the system does not tell, for instance in a sandbox.
 */
bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway);

#endif

#include <string.h>

/* Addresses and sockets as the system has them. Only what talks to the system includes this. */
#ifndef NPI_SOCKADDR_H
#define NPI_SOCKADDR_H

#include <stdbool.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif



/* Room for the name of an interface. On Windows people see aliases: "vEthernet (Default Switch)". */
#ifdef _WIN32
#define NPI_INTERFACE_NAME 257
#else
#define NPI_INTERFACE_NAME NPI_ADDR_ZONE
#endif

/* Whether it can be a socket: a descriptor is never negative, and on Windows one value is none. */
static inline bool npi_is_socket(np_socket fd)
{
#ifdef _WIN32
    return fd != NP_INVALID_SOCKET;
#else
    return fd >= 0;
#endif
}

typedef union npi_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} npi_sockaddr;

/* Returns the length; 0 for no address. */
socklen_t npi_sockaddr_from(const npi_addr *from, npi_sockaddr *to);
/* Family none for an address that is neither IPv4 nor IPv6. from need not be aligned for its family. */
npi_addr npi_addr_from_sockaddr(const struct sockaddr *from);
/*
 * Gives a the scope that the zone of a literal stands for: the name of an interface, or else its index. An empty zone
 * stands for none. False, with errno, when this host has no such interface.
 */
bool npi_addr_find_scope(const char *zone, npi_addr *a);

#ifdef _WIN32

/* The index of an interface by its name or alias; 0 with errno ENODEV where there is none. */
unsigned npi_interface_index(const char *name);
/* Windows' socket library is started before it is used, and ended as often as it was started. False with errno. */
bool npi_sockets_begin(void);
/* Leaves errno alone. */
void npi_sockets_end(void);
/* What an EAI_* code means, in English. */
const char *npi_name_error_text(int eai);

#else

static inline bool npi_sockets_begin(void)
{
    return true;
}

static inline void npi_sockets_end(void)
{
}

static inline const char *npi_name_error_text(int eai)
{
    return gai_strerror(eai);
}

#endif

#endif

#include <iphlpapi.h>

/* Windows keeps the index of an interface for IPv4 in network order, and has handed it out in either. */
static NET_IFINDEX gateway_windows_interface_of(const npi_gateway_way *way)
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
    if (GetBestRoute2(NULL, gateway_windows_interface_of(way), is_bound ? &from : NULL, &to, 0, &route, &best) != NO_ERROR)
        return false;
    npi_addr hop = npi_addr_from_sockaddr((const struct sockaddr *)&route.NextHop.Ipv4);
    hop.port = 0;
    bool is_router = hop.family == NPI_IPV4 && !npi_addr_is_any(&hop);
    if (is_router)
        *gateway = hop;
    return is_router;
}
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- lookout.c -------------------- */

/* Whether this host's network has changed, or the host was suspended. */
/*
 * Whether this host's network has changed, or the host was suspended: notices of the system, and beside them the local
 * address towards the servers.
 */
#ifndef NPI_LOOKOUT_H
#define NPI_LOOKOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the system tells of changes of this host's network. netchange_linux.c hears netlink, netchange_route.c the
 * routing socket of macOS and the BSDs, netchange_windows.c NotifyIpInterfaceChange and its like. Where none of them is
 * to be had, vantage.h is asked again and again instead.
 */
#ifndef NPI_NETCHANGE_H
#define NPI_NETCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/*
 * One descriptor that is readable whenever a socket has something to read, a time has come or somebody has called: what
 * an event loop needs to watch. epoll, timerfd and eventfd on Linux; an event and a timer on
 * Windows; kqueue and a pipe elsewhere.
 */
#ifndef NPI_POLLER_H
#define NPI_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>



#define NPI_POLLER_TAGS 144 /* more sockets than that are never watched: see check.c */

#ifdef _WIN32

/* What npi_poller_wake takes: an event of the system's. */
typedef void *npi_wake;
#define NPI_NO_WAKE NULL

typedef struct npi_poller {
    void *event;   /* the one to watch, and what wakes it; NULL: closed */
    void *timer;   /* sets the event when it is due */
    void *relay;   /* what does that, on a thread of the system's */
    unsigned size; /* of watched */
    struct {
        np_socket fd;
        uint32_t tag;
    } watched[NPI_POLLER_TAGS];
} npi_poller;

#define NPI_POLLER_CLOSED ((npi_poller){.event = NULL})

#else

/* What npi_poller_wake takes: a descriptor. */
typedef int npi_wake;
#define NPI_NO_WAKE (-1)

typedef struct npi_poller {
    int fd;           /* the one to watch; -1: closed */
    int timer_fd;     /* epoll only */
    int wake_fd;      /* for npi_poller_wake */
    int wake_read_fd; /* its other end, or the same */
} npi_poller;

#define NPI_POLLER_CLOSED ((npi_poller){.fd = -1, .timer_fd = -1, .wake_fd = -1, .wake_read_fd = -1})

#endif

/* What failed, for messages. */
#if defined(_WIN32)
#define NPI_POLLER_WATCH "WSAEventSelect"
#define NPI_POLLER_COLLECT "WSAEnumNetworkEvents"
#define NPI_POLLER_TIMER "SetWaitableTimer"
#define NPI_POLLER_WAIT "WaitForMultipleObjects"
#elif defined(__linux__)
#define NPI_POLLER_WATCH "epoll_ctl"
#define NPI_POLLER_COLLECT "epoll_wait"
#define NPI_POLLER_TIMER "timerfd_settime"
#define NPI_POLLER_WAIT "poll"
#else
#define NPI_POLLER_WATCH "kevent"
#define NPI_POLLER_COLLECT "kevent"
#define NPI_POLLER_TIMER "kevent"
#define NPI_POLLER_WAIT "poll"
#endif

static inline bool npi_poller_is_open(const npi_poller *p)
{
#ifdef _WIN32
    return p->event != NULL;
#else
    return p->fd >= 0;
#endif
}

/* What an event loop waits for: a descriptor (NP_INVALID_SOCKET on Windows), or an event (NULL elsewhere). */
static inline np_socket npi_poller_fd(const npi_poller *p)
{
#ifdef _WIN32
    (void)p;
    return NP_INVALID_SOCKET;
#else
    return p->fd;
#endif
}

static inline void *npi_poller_event(const npi_poller *p)
{
#ifdef _WIN32
    return p->event;
#else
    (void)p;
    return NULL;
#endif
}

static inline npi_wake npi_poller_wake_of(const npi_poller *p)
{
#ifdef _WIN32
    return p->event;
#else
    return p->wake_fd;
#endif
}

/* NP_OK or an NP_ERR_* code. */
int npi_poller_open(npi_poller *p, npi_failure *failure);
/* A closed one may be closed again. */
void npi_poller_close(npi_poller *p);

typedef enum npi_watch {
    NPI_WATCH_CONTENT, /* readable as long as the socket holds something */
    NPI_WATCH_ARRIVALS /* readable when something new has come; what the library leaves in the socket does not count */
} npi_watch;

/* Watches a socket until npi_poller_unwatch. False with errno. */
bool npi_poller_watch(npi_poller *p, np_socket fd, uint32_t tag, npi_watch watch);
void npi_poller_unwatch(npi_poller *p, np_socket fd);
/*
 * The descriptor becomes readable at a time of npi_clock_now, NPI_NEVER for none; replaces the time before. False with
 * errno.
 */
bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns);
/* Makes the descriptor readable. From any thread and from signal handlers; leaves errno alone. */
void npi_poller_wake(npi_wake wake);
/* The tags of the sockets with something to read, without waiting; takes back wake-ups. -1 with errno. */
int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS]);
/* Blocks until the descriptor is readable, or a signal came. False with errno when it cannot wait. */
bool npi_poller_wait(const npi_poller *p);
/* The same until one of two is. */
bool npi_poller_wait_either(const npi_poller *p, const npi_poller *q);

/*
 * The part of npi_poller_open that each system has of its own. NULL, or the call that failed, with errno; what has been
 * opened by then is closed for it.
 */
const char *npi_poller_open_parts(npi_poller *p);

#endif

/* What has happened, as bits. */
#define NPI_NET_QUIET 0U
#define NPI_NET_LOOK 1U  /* something that may concern this host's own address */
#define NPI_NET_CUT 2U   /* the link in use, or the way out, is or was another: even if all looks the same */
#define NPI_NET_CLOCK 4U /* the wall clock was set, or the host was suspended */

/* The interfaces in use, by index; 0 where one is not known: then it may be any. */
#define NPI_NET_LINKS 2
#define NPI_NET_DOWN 16 /* more links than are ever down of those in use */

typedef struct npi_netchange {
#ifdef _WIN32
    struct npi_notices *notices; /* shared with the system's threads; NULL: closed */
#else
    int fd;       /* of the notices; -1: there are none to be had */
    int clock_fd; /* Linux: becomes readable when the wall clock is set, which includes the end of a suspension */
    uint32_t down[NPI_NET_DOWN]; /* links that have gone down, and not come up since; 0: free */
#endif
} npi_netchange;

/* Begins to listen, and lets the poller watch for it. False, without a trace, where no notices are to be had. */
bool npi_netchange_open(npi_netchange *n, npi_poller *poller, uint32_t tag);
/* All that has happened since the last time. */
unsigned npi_netchange_take(npi_netchange *n, const uint32_t used[NPI_NET_LINKS]);
/* Any number of times, also of one that could not be opened. */
void npi_netchange_close(npi_netchange *n, npi_poller *poller);
/* The index of the interface that has this address of the host's; 0 where it cannot be told. */
uint32_t npi_netchange_link_of(const npi_addr *local);

#ifndef _WIN32
/* What the notices in a buffer tell; each system has its own form. */
unsigned npi_netchange_parse(npi_netchange *n, const uint8_t *data, size_t size, const uint32_t used[NPI_NET_LINKS]);
/* A link is up or down: what that tells. */
unsigned npi_netchange_note_link(npi_netchange *n, uint32_t link, bool is_up, const uint32_t used[NPI_NET_LINKS]);
bool npi_netchange_is_used(const uint32_t used[NPI_NET_LINKS], uint32_t link);
/* Reads notices until none is left. */
unsigned npi_netchange_drain(npi_netchange *n, const uint32_t used[NPI_NET_LINKS]);
#endif

#endif
/*
 * From which of its addresses this host would send to another, if at all: the local address of a connected UDP socket.
 * Every system can tell that, and nothing is sent.
 */
#ifndef NPI_VANTAGE_H
#define NPI_VANTAGE_H



/* How the probe's own sockets are made. */
typedef struct npi_vantage_socket {
    npi_addr source; /* family none: any */
    const char *source_zone;
    const char *interface; /* NULL: any */
    np_socket socket;      /* NP_INVALID_SOCKET: not the caller's */
} npi_vantage_socket;

/*
 * The address in *local, without a port. NP_ERR_NETWORK_UNREACHABLE or NP_ERR_ADDRESS_NOT_AVAILABLE where there is no
 * way; any other error says nothing about the network.
 */
int npi_vantage_towards(const npi_vantage_socket *s, const npi_addr *target, npi_addr *local);

#endif

#define NPI_LOOKOUT_TARGETS 8
/* How often the addresses are looked at where the system tells of changes; and where it does not. */
#define NPI_LOOKOUT_SLOW_NS UINT64_C(30000000000)
#define NPI_LOOKOUT_FAST_NS UINT64_C(1000000000)
/* A suspension is at least so long: clocks that are read one after the other differ by less. */
#define NPI_LOOKOUT_ASLEEP_NS UINT64_C(1000000000)

#define NPI_LOOKOUT_CHANGED 1U
#define NPI_LOOKOUT_RESUMED 2U

typedef struct npi_lookout {
    npi_poller *poller;
    npi_netchange net;
    bool has_notices;
    npi_vantage_socket socket;
    int32_t family;
    npi_addr targets[NPI_LOOKOUT_TARGETS];
    npi_addr locals[NPI_LOOKOUT_TARGETS]; /* towards each of them; family none: no way */
    size_t target_count;
    bool has_all_targets; /* no server is at any other address */
    int error;            /* why there is no way to the last of those to which there is none */
    uint32_t links[NPI_NET_LINKS];
    uint64_t next_ns;   /* when the addresses are looked at again */
    uint64_t asleep_ns; /* how long the host has been suspended so far */
} npi_lookout;

/*
 * family: enum np_family, of the servers. servers: those that are asked; without any, those built in. The poller wakes
 * whoever waits for it, under the tag, when npi_lookout_turn() has something to tell; it has to be called at
 * npi_lookout_next_ns() as well.
 */
void npi_lookout_open(npi_lookout *l, npi_poller *poller, uint32_t tag, const npi_vantage_socket *socket,
                      int32_t family, const npi_server_name *servers, size_t count);
void npi_lookout_close(npi_lookout *l);
/* What has happened since the last time: the bits above. */
unsigned npi_lookout_turn(npi_lookout *l);
uint64_t npi_lookout_next_ns(const npi_lookout *l);
/* NP_OK, or why no server can be reached, as far as is known without sending. */
int npi_lookout_way(const npi_lookout *l);

#endif

#include <string.h>

/* The only reader of the system's clock. */
#ifndef NPI_CLOCK_H
#define NPI_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds that go on counting while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_now(void);

/* Monotonic nanoseconds that stop while the machine is suspended, where the system has such a clock. */
uint64_t npi_clock_awake(void);

/* Both clocks at one moment. However the process is held up between the two, now_ns is not too early for wall_ns. */
typedef struct npi_moment {
    uint64_t now_ns;
    uint64_t wall_ns; /* of the clock that the system stamps datagrams with; it may be set at any time */
} npi_moment;
npi_moment npi_clock_moment(void);

#endif

/* Servers that are names may be anywhere. These are root name servers: a route to them is one to everywhere. */
static const char *const anywhere[] = {"198.41.0.4", "2001:503:ba3e::2:30"};
#define ANYWHERE_COUNT (sizeof anywhere / sizeof anywhere[0])

/* ---- Where to ---------------------------------------------------------------------------------------------------- */

/* Those that are never asked tell nothing of the way. */
static bool lookout_may_be_asked(const npi_lookout *l, const npi_addr *target)
{
    const npi_addr *source = &l->socket.source;
    return (l->family == NP_FAMILY_ANY || l->family == target->family) &&
           (!npi_addr_is_set(source) || source->family == target->family);
}

static void add_target(npi_lookout *l, const char *literal, uint16_t port)
{
    npi_addr target;
    if (!npi_addr_parse_ip(literal, &target))
        return;
    target = npi_addr_unmap(&target);
    if (!lookout_may_be_asked(l, &target))
        return;
    target.port = port;
    l->targets[l->target_count++] = target;
}

static void choose_targets(npi_lookout *l, const npi_server_name *servers, size_t count)
{
    npi_addr unused;
    size_t most = NPI_LOOKOUT_TARGETS - ANYWHERE_COUNT;
    bool has_names = count == 0;
    for (size_t i = 0; i < count && l->target_count < most; i++)
        add_target(l, servers[i].host, servers[i].port);
    for (size_t i = 0; i < count; i++)
        has_names |= !npi_addr_parse_ip(servers[i].host, &unused);
    l->has_all_targets = l->target_count < most && !has_names;
    for (size_t i = 0; i < ANYWHERE_COUNT && has_names; i++)
        add_target(l, anywhere[i], NPI_STUN_PORT);
}

/* ---- From where ------------------------------------------------------------------------------------------------- */

static void note_links(npi_lookout *l)
{
    size_t found = 0;
    memset(l->links, 0, sizeof l->links);
    for (size_t i = 0; i < l->target_count && found < NPI_NET_LINKS; i++) {
        if (!npi_addr_is_set(&l->locals[i]))
            continue;
        uint32_t link = npi_netchange_link_of(&l->locals[i]);
        if (link != 0 && (found == 0 || link != l->links[0]))
            l->links[found++] = link;
    }
}

static bool is_no_way(int error)
{
    return error == NP_ERR_NETWORK_UNREACHABLE || error == NP_ERR_ADDRESS_NOT_AVAILABLE;
}

/* True when an address is another one than before. What cannot be told just now stays as it was. */
static bool lookout_look(npi_lookout *l)
{
    bool is_changed = false;
    l->error = NP_OK;
    for (size_t i = 0; i < l->target_count; i++) {
        npi_addr local;
        memset(&local, 0, sizeof local);
        int error = npi_vantage_towards(&l->socket, &l->targets[i], &local);
        if (error != NP_OK)
            l->error = error;
        if (error != NP_OK && !is_no_way(error))
            continue;
        if (error != NP_OK)
            memset(&local, 0, sizeof local);
        bool was_set = npi_addr_is_set(&l->locals[i]);
        is_changed |= was_set != npi_addr_is_set(&local) || (was_set && !npi_addr_equal(&l->locals[i], &local));
        l->locals[i] = local;
    }
    note_links(l);
    l->next_ns = npi_clock_now() + (l->has_notices ? NPI_LOOKOUT_SLOW_NS : NPI_LOOKOUT_FAST_NS);
    return is_changed;
}

int npi_lookout_way(const npi_lookout *l)
{
    for (size_t i = 0; i < l->target_count; i++) {
        if (npi_addr_is_set(&l->locals[i]))
            return NP_OK;
    }
    return l->has_all_targets && is_no_way(l->error) ? l->error : NP_OK;
}

/* ---- Suspension ------------------------------------------------------------------------------------------------- */

/* The one clock goes on meanwhile, the other does not. */
static uint64_t asleep_ns(void)
{
    uint64_t awake_ns = npi_clock_awake();
    return npi_clock_now() - awake_ns;
}

static bool was_asleep(npi_lookout *l)
{
    uint64_t so_far_ns = asleep_ns();
    bool is_more = (int64_t)(so_far_ns - l->asleep_ns) >= (int64_t)NPI_LOOKOUT_ASLEEP_NS;
    l->asleep_ns = so_far_ns;
    return is_more;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

void npi_lookout_open(npi_lookout *l, npi_poller *poller, uint32_t tag, const npi_vantage_socket *socket,
                      int32_t family, const npi_server_name *servers, size_t count)
{
    memset(l, 0, sizeof *l);
    l->poller = poller;
    l->socket = *socket;
    l->family = family;
    choose_targets(l, servers, count);
    l->has_notices = npi_netchange_open(&l->net, poller, tag); /* first: what changes from here on is told */
    l->asleep_ns = asleep_ns();
    (void)lookout_look(l);
}

void npi_lookout_close(npi_lookout *l)
{
    npi_netchange_close(&l->net, l->poller);
}

uint64_t npi_lookout_next_ns(const npi_lookout *l)
{
    return l->next_ns;
}

unsigned npi_lookout_turn(npi_lookout *l)
{
    unsigned notices = npi_netchange_take(&l->net, l->links);
    unsigned found = was_asleep(l) ? NPI_LOOKOUT_RESUMED : 0;
    bool is_time = npi_clock_now() >= l->next_ns;
    bool is_changed = (notices & NPI_NET_CUT) != 0;
    if ((notices & NPI_NET_LOOK) != 0 || found != 0 || is_time)
        is_changed |= lookout_look(l);
    return is_changed ? found | NPI_LOOKOUT_CHANGED : found;
}
#undef ANYWHERE_COUNT

/* ---- nest.c -------------------- */

#if (!defined(_WIN32))
/* One poller behind another: epoll and kqueue can watch their like. */
/* One thing to wait for behind another: what wakes a probe wakes the watch that owns it. */
#ifndef NPI_NEST_H
#define NPI_NEST_H

#include <stdbool.h>
#include <stdint.h>



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

bool npi_nest_arm(npi_nest *n, npi_poller *outer, uint32_t tag, np_socket fd, void *handle)
{
    (void)handle;
    if (!n->is_armed)
        n->is_armed = npi_poller_watch(outer, fd, tag, NPI_WATCH_CONTENT);
    n->fd = fd;
    return n->is_armed;
}

void npi_nest_disarm(npi_nest *n, npi_poller *outer)
{
    if (n->is_armed)
        npi_poller_unwatch(outer, n->fd);
    *n = NPI_NEST_NONE;
}
#endif /* (!defined(_WIN32)) */

/* ---- nest_windows.c -------------------- */

#if (defined(_WIN32))
/* One event behind another: a thread that Windows keeps for such waits passes it on. */
/* One thing to wait for behind another: what wakes a probe wakes the watch that owns it. */
#ifndef NPI_NEST_H
#define NPI_NEST_H

#include <stdbool.h>
#include <stdint.h>



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

#include <winsock2.h>


static void CALLBACK pass_on(void *event, BOOLEAN is_timeout)
{
    (void)is_timeout;
    SetEvent(event);
}

/* What passes it on has ended before either event is closed. */
static void nest_windows_give_up(npi_nest *n)
{
    if (n->wait != NULL)
        UnregisterWaitEx(n->wait, INVALID_HANDLE_VALUE);
    n->wait = NULL;
}

/* The inner event stays set until it is dealt with, so each wait is for once. */
bool npi_nest_arm(npi_nest *n, npi_poller *outer, uint32_t tag, np_socket fd, void *handle)
{
    (void)tag;
    (void)fd;
    nest_windows_give_up(n);
    n->is_armed = RegisterWaitForSingleObject(&n->wait, handle, pass_on, outer->event, INFINITE,
                                              WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE) != 0;
    if (n->is_armed)
        return true;
    n->wait = NULL;
    (void)npi_take_windows_error();
    return false;
}

void npi_nest_disarm(npi_nest *n, npi_poller *outer)
{
    (void)outer;
    nest_windows_give_up(n);
    *n = NPI_NEST_NONE;
}
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- netchange.c -------------------- */

#if (!defined(_WIN32))
/* What netlink and the routing socket share: reading notices, and the links that are down. */

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Addresses and sockets as the system has them. Only what talks to the system includes this. */
#ifndef NPI_SOCKADDR_H
#define NPI_SOCKADDR_H

#include <stdbool.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif



/* Room for the name of an interface. On Windows people see aliases: "vEthernet (Default Switch)". */
#ifdef _WIN32
#define NPI_INTERFACE_NAME 257
#else
#define NPI_INTERFACE_NAME NPI_ADDR_ZONE
#endif

/* Whether it can be a socket: a descriptor is never negative, and on Windows one value is none. */
static inline bool npi_is_socket(np_socket fd)
{
#ifdef _WIN32
    return fd != NP_INVALID_SOCKET;
#else
    return fd >= 0;
#endif
}

typedef union npi_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} npi_sockaddr;

/* Returns the length; 0 for no address. */
socklen_t npi_sockaddr_from(const npi_addr *from, npi_sockaddr *to);
/* Family none for an address that is neither IPv4 nor IPv6. from need not be aligned for its family. */
npi_addr npi_addr_from_sockaddr(const struct sockaddr *from);
/*
 * Gives a the scope that the zone of a literal stands for: the name of an interface, or else its index. An empty zone
 * stands for none. False, with errno, when this host has no such interface.
 */
bool npi_addr_find_scope(const char *zone, npi_addr *a);

#ifdef _WIN32

/* The index of an interface by its name or alias; 0 with errno ENODEV where there is none. */
unsigned npi_interface_index(const char *name);
/* Windows' socket library is started before it is used, and ended as often as it was started. False with errno. */
bool npi_sockets_begin(void);
/* Leaves errno alone. */
void npi_sockets_end(void);
/* What an EAI_* code means, in English. */
const char *npi_name_error_text(int eai);

#else

static inline bool npi_sockets_begin(void)
{
    return true;
}

static inline void npi_sockets_end(void)
{
}

static inline const char *npi_name_error_text(int eai)
{
    return gai_strerror(eai);
}

#endif

#endif

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
#undef NOTICE_ROOM
#endif /* (!defined(_WIN32)) */

/* ---- netchange_linux.c -------------------- */

#if (defined(__linux__))
/* Changes of the network on Linux: netlink. Android refuses it to apps. */

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#define FAR_FUTURE_S 0x7fffffff
#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET (1 << 1)
#endif

/* ---- Messages --------------------------------------------------------------------------------------------------- */

/* Linux keeps the routes of a link without a carrier: IFF_RUNNING tells. */
static unsigned netchange_linux_take_link(npi_netchange *n, const struct nlmsghdr *h, const uint32_t used[NPI_NET_LINKS])
{
    struct ifinfomsg m;
    if (h->nlmsg_len < NLMSG_LENGTH(sizeof m))
        return NPI_NET_QUIET;
    memcpy(&m, (const uint8_t *)h + NLMSG_HDRLEN, sizeof m);
    if ((m.ifi_flags & IFF_LOOPBACK) != 0)
        return NPI_NET_QUIET;
    unsigned up = IFF_UP | IFF_RUNNING;
    bool is_up = h->nlmsg_type == RTM_NEWLINK && (m.ifi_flags & up) == up;
    return npi_netchange_note_link(n, (uint32_t)m.ifi_index, is_up, used);
}

/* An address that is told of again has a new lifetime at most. One that goes may be back before anybody looks. */
static unsigned take_address(const struct nlmsghdr *h, const uint32_t used[NPI_NET_LINKS])
{
    struct ifaddrmsg m;
    if (h->nlmsg_len < NLMSG_LENGTH(sizeof m))
        return NPI_NET_QUIET;
    memcpy(&m, (const uint8_t *)h + NLMSG_HDRLEN, sizeof m);
    bool is_cut = h->nlmsg_type == RTM_DELADDR && npi_netchange_is_used(used, m.ifa_index);
    return is_cut ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK;
}

/* A default route by another gateway leads elsewhere, from the same address. */
static unsigned netchange_linux_take_route(const struct nlmsghdr *h)
{
    struct rtmsg m;
    if (h->nlmsg_len < NLMSG_LENGTH(sizeof m))
        return NPI_NET_QUIET;
    memcpy(&m, (const uint8_t *)h + NLMSG_HDRLEN, sizeof m);
    if ((m.rtm_flags & RTM_F_CLONED) != 0 || m.rtm_type == RTN_LOCAL || m.rtm_type == RTN_BROADCAST ||
        m.rtm_type == RTN_MULTICAST)
        return NPI_NET_QUIET;
    return m.rtm_dst_len == 0 ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK;
}

static unsigned netchange_linux_take_message(npi_netchange *n, const struct nlmsghdr *h, const uint32_t used[NPI_NET_LINKS])
{
    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return netchange_linux_take_link(n, h, used);
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return take_address(h, used);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return netchange_linux_take_route(h);
    default:
        return NPI_NET_QUIET;
    }
}

unsigned npi_netchange_parse(npi_netchange *n, const uint8_t *data, size_t size, const uint32_t used[NPI_NET_LINKS])
{
    unsigned seen = NPI_NET_QUIET;
    while (size >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)data;
        if (h->nlmsg_len < sizeof *h || h->nlmsg_len > size)
            break;
        seen |= netchange_linux_take_message(n, h, used);
        size_t step = NLMSG_ALIGN(h->nlmsg_len);
        if (step >= size)
            break;
        data += step;
        size -= step;
    }
    return seen;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static int netchange_linux_open_notices(void)
{
    struct sockaddr_nl name;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    memset(&name, 0, sizeof name);
    name.nl_family = AF_NETLINK;
    name.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Does not ring, but is cancelled when the wall clock is set. The kernel does that as well after a suspension. */
static bool arm_clock(int fd)
{
    struct itimerspec when;
    memset(&when, 0, sizeof when);
    when.it_value.tv_sec = FAR_FUTURE_S;
    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) == 0;
}

static int open_clock(void)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (fd < 0 || arm_clock(fd))
        return fd;
    close(fd);
    return -1;
}

static void netchange_linux_close_one(int *fd, npi_poller *poller)
{
    if (*fd < 0)
        return;
    npi_poller_unwatch(poller, *fd);
    close(*fd);
    *fd = -1;
}

bool npi_netchange_open(npi_netchange *n, npi_poller *poller, uint32_t tag)
{
    memset(n, 0, sizeof *n);
    n->fd = netchange_linux_open_notices();
    n->clock_fd = open_clock();
    if (n->clock_fd >= 0 && !npi_poller_watch(poller, n->clock_fd, tag, NPI_WATCH_CONTENT))
        netchange_linux_close_one(&n->clock_fd, poller);
    if (n->fd >= 0 && npi_poller_watch(poller, n->fd, tag, NPI_WATCH_CONTENT))
        return true;
    npi_netchange_close(n, poller);
    return false;
}

static bool was_clock_set(npi_netchange *n)
{
    uint64_t count;
    if (n->clock_fd < 0 || read(n->clock_fd, &count, sizeof count) >= 0 || errno != ECANCELED)
        return false;
    (void)arm_clock(n->clock_fd);
    return true;
}

unsigned npi_netchange_take(npi_netchange *n, const uint32_t used[NPI_NET_LINKS])
{
    unsigned seen = was_clock_set(n) ? NPI_NET_CLOCK : NPI_NET_QUIET;
    return n->fd >= 0 ? seen | npi_netchange_drain(n, used) : seen;
}

void npi_netchange_close(npi_netchange *n, npi_poller *poller)
{
    netchange_linux_close_one(&n->fd, poller);
    netchange_linux_close_one(&n->clock_fd, poller);
}
#undef FAR_FUTURE_S
#undef TFD_TIMER_CANCEL_ON_SET
#endif /* (defined(__linux__)) */

/* ---- netchange_route.c -------------------- */

#if (!defined(__linux__) && !defined(_WIN32))
/* Changes of the network on macOS, iOS and the BSDs: the routing socket. */

#include <fcntl.h>
#include <sys/types.h>

#include <sys/socket.h>
#include <sys/time.h>

#include <net/if.h>
#include <net/route.h>
#include <string.h>
#include <unistd.h>

/* Addresses and sockets as the system has them. Only what talks to the system includes this. */
#ifndef NPI_SOCKADDR_H
#define NPI_SOCKADDR_H

#include <stdbool.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif



/* Room for the name of an interface. On Windows people see aliases: "vEthernet (Default Switch)". */
#ifdef _WIN32
#define NPI_INTERFACE_NAME 257
#else
#define NPI_INTERFACE_NAME NPI_ADDR_ZONE
#endif

/* Whether it can be a socket: a descriptor is never negative, and on Windows one value is none. */
static inline bool npi_is_socket(np_socket fd)
{
#ifdef _WIN32
    return fd != NP_INVALID_SOCKET;
#else
    return fd >= 0;
#endif
}

typedef union npi_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} npi_sockaddr;

/* Returns the length; 0 for no address. */
socklen_t npi_sockaddr_from(const npi_addr *from, npi_sockaddr *to);
/* Family none for an address that is neither IPv4 nor IPv6. from need not be aligned for its family. */
npi_addr npi_addr_from_sockaddr(const struct sockaddr *from);
/*
 * Gives a the scope that the zone of a literal stands for: the name of an interface, or else its index. An empty zone
 * stands for none. False, with errno, when this host has no such interface.
 */
bool npi_addr_find_scope(const char *zone, npi_addr *a);

#ifdef _WIN32

/* The index of an interface by its name or alias; 0 with errno ENODEV where there is none. */
unsigned npi_interface_index(const char *name);
/* Windows' socket library is started before it is used, and ended as often as it was started. False with errno. */
bool npi_sockets_begin(void);
/* Leaves errno alone. */
void npi_sockets_end(void);
/* What an EAI_* code means, in English. */
const char *npi_name_error_text(int eai);

#else

static inline bool npi_sockets_begin(void)
{
    return true;
}

static inline void npi_sockets_end(void)
{
}

static inline const char *npi_name_error_text(int eai)
{
    return gai_strerror(eai);
}

#endif

#endif

/* What every message begins with. */
typedef struct beginning {
    unsigned short length;
    unsigned char version;
    unsigned char type;
} beginning;

static unsigned netchange_route_take_link(npi_netchange *n, const uint8_t *data, size_t size, const uint32_t used[NPI_NET_LINKS])
{
    struct if_msghdr m;
    if (size < sizeof m)
        return NPI_NET_LOOK;
    memcpy(&m, data, sizeof m);
    int up = IFF_UP | IFF_RUNNING;
    if ((m.ifm_flags & IFF_LOOPBACK) != 0)
        return NPI_NET_QUIET;
    return npi_netchange_note_link(n, m.ifm_index, (m.ifm_flags & up) == up, used);
}

/* An address that goes may be back before anybody looks. */
static unsigned take_lost_address(const uint8_t *data, size_t size, const uint32_t used[NPI_NET_LINKS])
{
    struct ifa_msghdr m;
    if (size < sizeof m)
        return NPI_NET_LOOK;
    memcpy(&m, data, sizeof m);
    return npi_netchange_is_used(used, m.ifam_index) ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK;
}

/* Whether the first address behind the header, the destination, is any address. */
static bool is_default(const uint8_t *data, size_t size, size_t header)
{
    union {
        struct sockaddr any;
        struct sockaddr_in6 in6;
    } name;
    size_t room = size - header < sizeof name ? size - header : sizeof name;
    memset(&name, 0, sizeof name);
    memcpy(&name, data + header, room);
    npi_addr destination = npi_addr_from_sockaddr(&name.any);
    return npi_addr_is_any(&destination);
}

/* A default route by another gateway leads elsewhere, from the same address. Routes to single hosts come and go. */
static unsigned netchange_route_take_route(const uint8_t *data, size_t size)
{
    struct rt_msghdr m;
    if (size < sizeof m)
        return NPI_NET_LOOK;
    memcpy(&m, data, sizeof m);
#if defined(__OpenBSD__)
    size_t header = m.rtm_hdrlen < size ? m.rtm_hdrlen : size;
#else
    size_t header = sizeof m;
#endif
    if ((m.rtm_flags & RTF_HOST) != 0)
        return NPI_NET_QUIET;
    return (m.rtm_addrs & RTA_DST) != 0 && is_default(data, size, header) ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK;
}

static unsigned netchange_route_take_message(npi_netchange *n, unsigned type, const uint8_t *data, size_t size,
                             const uint32_t used[NPI_NET_LINKS])
{
    switch (type) {
    case RTM_IFINFO:
        return netchange_route_take_link(n, data, size, used);
    case RTM_NEWADDR:
        return NPI_NET_LOOK;
    case RTM_DELADDR:
        return take_lost_address(data, size, used);
    case RTM_ADD:
    case RTM_DELETE:
    case RTM_CHANGE:
        return netchange_route_take_route(data, size);
    default:
        return NPI_NET_QUIET;
    }
}

unsigned npi_netchange_parse(npi_netchange *n, const uint8_t *data, size_t size, const uint32_t used[NPI_NET_LINKS])
{
    unsigned seen = NPI_NET_QUIET;
    beginning b;
    while (size >= sizeof b) {
        memcpy(&b, data, sizeof b);
        if (b.length < sizeof b || b.length > size)
            break;
        if (b.version == RTM_VERSION)
            seen |= netchange_route_take_message(n, b.type, data, b.length, used);
        data += b.length;
        size -= b.length;
    }
    return seen;
}

static int netchange_route_open_notices(void)
{
    int fd = socket(PF_ROUTE, SOCK_RAW, 0);
    if (fd < 0 || (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0))
        return fd;
    close(fd);
    return -1;
}

bool npi_netchange_open(npi_netchange *n, npi_poller *poller, uint32_t tag)
{
    memset(n, 0, sizeof *n);
    n->clock_fd = -1;
    n->fd = netchange_route_open_notices();
    if (n->fd >= 0 && npi_poller_watch(poller, n->fd, tag, NPI_WATCH_CONTENT))
        return true;
    npi_netchange_close(n, poller);
    return false;
}

unsigned npi_netchange_take(npi_netchange *n, const uint32_t used[NPI_NET_LINKS])
{
    return n->fd >= 0 ? npi_netchange_drain(n, used) : NPI_NET_QUIET;
}

void npi_netchange_close(npi_netchange *n, npi_poller *poller)
{
    if (n->fd < 0)
        return;
    npi_poller_unwatch(poller, n->fd);
    close(n->fd);
    n->fd = -1;
}
#endif /* (!defined(__linux__) && !defined(_WIN32)) */

/* ---- netchange_windows.c -------------------- */

#if (defined(_WIN32))
/*
 * Changes of the network on Windows: NotifyIpInterfaceChange, NotifyUnicastIpAddressChange and NotifyRouteChange2. They
 * call back on threads of the system's, which only leave a mark and wake whoever waits.
 */

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Before what needs it. */
#include <winsock2.h>
#include <ws2ipdef.h>
#include <iphlpapi.h>
#include <netioapi.h>

/* Addresses and sockets as the system has them. Only what talks to the system includes this. */
#ifndef NPI_SOCKADDR_H
#define NPI_SOCKADDR_H

#include <stdbool.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif



/* Room for the name of an interface. On Windows people see aliases: "vEthernet (Default Switch)". */
#ifdef _WIN32
#define NPI_INTERFACE_NAME 257
#else
#define NPI_INTERFACE_NAME NPI_ADDR_ZONE
#endif

/* Whether it can be a socket: a descriptor is never negative, and on Windows one value is none. */
static inline bool npi_is_socket(np_socket fd)
{
#ifdef _WIN32
    return fd != NP_INVALID_SOCKET;
#else
    return fd >= 0;
#endif
}

typedef union npi_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} npi_sockaddr;

/* Returns the length; 0 for no address. */
socklen_t npi_sockaddr_from(const npi_addr *from, npi_sockaddr *to);
/* Family none for an address that is neither IPv4 nor IPv6. from need not be aligned for its family. */
npi_addr npi_addr_from_sockaddr(const struct sockaddr *from);
/*
 * Gives a the scope that the zone of a literal stands for: the name of an interface, or else its index. An empty zone
 * stands for none. False, with errno, when this host has no such interface.
 */
bool npi_addr_find_scope(const char *zone, npi_addr *a);

#ifdef _WIN32

/* The index of an interface by its name or alias; 0 with errno ENODEV where there is none. */
unsigned npi_interface_index(const char *name);
/* Windows' socket library is started before it is used, and ended as often as it was started. False with errno. */
bool npi_sockets_begin(void);
/* Leaves errno alone. */
void npi_sockets_end(void);
/* What an EAI_* code means, in English. */
const char *npi_name_error_text(int eai);

#else

static inline bool npi_sockets_begin(void)
{
    return true;
}

static inline void npi_sockets_end(void)
{
}

static inline const char *npi_name_error_text(int eai)
{
    return gai_strerror(eai);
}

#endif

#endif

typedef struct npi_notices {
    atomic_uint seen;
    _Atomic uint32_t used[NPI_NET_LINKS]; /* as of the last time */
    npi_wake wake;
    HANDLE interfaces, addresses, routes;
} npi_notices;

static void netchange_windows_leave(npi_notices *n, unsigned what)
{
    atomic_fetch_or(&n->seen, what);
    npi_poller_wake(n->wake);
}

/* Where no link is known to be in use, it may be any. */
static bool netchange_windows_is_used(npi_notices *n, uint32_t link)
{
    bool is_any_known = false;
    for (size_t i = 0; i < NPI_NET_LINKS; i++) {
        uint32_t used = atomic_load(&n->used[i]);
        if (used == link)
            return true;
        is_any_known |= used != 0;
    }
    return !is_any_known;
}

/* An interface that comes or goes. Its settings alone are none of ours. */
static VOID NETIOAPI_API_ on_interface(PVOID context, PMIB_IPINTERFACE_ROW row, MIB_NOTIFICATION_TYPE type)
{
    npi_notices *n = context;
    bool is_cut = row != NULL && type != MibParameterNotification && netchange_windows_is_used(n, row->InterfaceIndex);
    netchange_windows_leave(n, is_cut ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK);
}

/* An address that goes may be back before anybody looks. */
static VOID NETIOAPI_API_ on_address(PVOID context, PMIB_UNICASTIPADDRESS_ROW row, MIB_NOTIFICATION_TYPE type)
{
    npi_notices *n = context;
    bool is_cut = row != NULL && type == MibDeleteInstance && netchange_windows_is_used(n, row->InterfaceIndex);
    netchange_windows_leave(n, is_cut ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK);
}

/* A default route by another gateway leads elsewhere, from the same address. */
static VOID NETIOAPI_API_ on_route(PVOID context, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE type)
{
    npi_notices *n = context;
    bool is_cut = row != NULL && type != MibParameterNotification && row->DestinationPrefix.PrefixLength == 0;
    netchange_windows_leave(n, is_cut ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK);
}

static void netchange_windows_stop(HANDLE notices)
{
    if (notices != NULL)
        CancelMibChangeNotify2(notices); /* waits for a call back that is being made */
}

static void stop_all(npi_notices *n)
{
    netchange_windows_stop(n->interfaces);
    netchange_windows_stop(n->addresses);
    netchange_windows_stop(n->routes);
    free(n);
}

static bool start_all(npi_notices *n)
{
    return NotifyIpInterfaceChange(AF_UNSPEC, on_interface, n, FALSE, &n->interfaces) == NO_ERROR &&
           NotifyUnicastIpAddressChange(AF_UNSPEC, on_address, n, FALSE, &n->addresses) == NO_ERROR &&
           NotifyRouteChange2(AF_UNSPEC, on_route, n, FALSE, &n->routes) == NO_ERROR;
}

bool npi_netchange_open(npi_netchange *n, npi_poller *poller, uint32_t tag)
{
    (void)tag;
    n->notices = calloc(1, sizeof *n->notices);
    if (n->notices == NULL)
        return false;
    n->notices->wake = npi_poller_wake_of(poller);
    if (start_all(n->notices))
        return true;
    npi_netchange_close(n, poller);
    return false;
}

unsigned npi_netchange_take(npi_netchange *n, const uint32_t used[NPI_NET_LINKS])
{
    if (n->notices == NULL)
        return NPI_NET_QUIET;
    for (size_t i = 0; i < NPI_NET_LINKS; i++)
        atomic_store(&n->notices->used[i], used[i]);
    return atomic_exchange(&n->notices->seen, NPI_NET_QUIET);
}

void npi_netchange_close(npi_netchange *n, npi_poller *poller)
{
    (void)poller;
    if (n->notices != NULL)
        stop_all(n->notices);
    n->notices = NULL;
}

uint32_t npi_netchange_link_of(const npi_addr *local)
{
    PMIB_UNICASTIPADDRESS_TABLE table = NULL;
    uint32_t link = 0;
    if (GetUnicastIpAddressTable(AF_UNSPEC, &table) != NO_ERROR)
        return 0;
    for (ULONG i = 0; i < table->NumEntries && link == 0; i++) {
        npi_addr address = npi_addr_from_sockaddr((const struct sockaddr *)&table->Table[i].Address);
        if (npi_addr_is_set(&address) && npi_addr_same_ip(&address, local))
            link = table->Table[i].InterfaceIndex;
    }
    FreeMibTable(table);
    return link;
}
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- poller.c -------------------- */

#if (!defined(_WIN32))
/* What the pollers of all systems share: opening and closing, the wake-up, and waiting. */

#include <errno.h>
#include <poll.h>
#include <unistd.h>


int npi_poller_open(npi_poller *p, npi_failure *failure)
{
    *p = NPI_POLLER_CLOSED;
    *failure = NPI_FAILURE_NONE;
    const char *call = npi_poller_open_parts(p);
    if (call == NULL)
        return NP_OK;
    *failure = npi_failure_of(call);
    npi_poller_close(p);
    return failure->os_error == ENOMEM ? NP_ERR_NO_MEMORY : NP_ERR_SYSTEM;
}

static void poller_close_one(int fd)
{
    if (fd >= 0)
        close(fd);
}

void npi_poller_close(npi_poller *p)
{
    poller_close_one(p->fd);
    poller_close_one(p->timer_fd);
    poller_close_one(p->wake_fd);
    if (p->wake_read_fd != p->wake_fd)
        poller_close_one(p->wake_read_fd);
    *p = NPI_POLLER_CLOSED;
}

void npi_poller_wake(npi_wake wake_fd)
{
    static const uint64_t one = 1; /* an eventfd takes eight bytes, a pipe anything */
    int kept = errno;
    /* Where there is no room for more, the reader is about to wake as it is. */
    while (write(wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = kept;
}

static bool poller_wait_for(struct pollfd *fds, nfds_t count)
{
    return poll(fds, count, -1) >= 0 || errno == EINTR;
}

bool npi_poller_wait(const npi_poller *p)
{
    struct pollfd fd = {.fd = p->fd, .events = POLLIN};
    return poller_wait_for(&fd, 1);
}

bool npi_poller_wait_either(const npi_poller *p, const npi_poller *q)
{
    struct pollfd fds[] = {{.fd = p->fd, .events = POLLIN}, {.fd = q->fd, .events = POLLIN}};
    return poller_wait_for(fds, 2);
}
#endif /* (!defined(_WIN32)) */

/* ---- poller_epoll.c -------------------- */

#if (defined(__linux__))
/* The poller on Linux: an epoll descriptor around the sockets, a timerfd and an eventfd. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TAG_TIMER UINT32_MAX
#define TAG_WAKE (UINT32_MAX - 1)
#define NEVER UINT64_MAX
#define NS_PER_S UINT64_C(1000000000)

static bool poller_epoll_add(int epoll_fd, int fd, uint32_t events, uint32_t tag)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.u32 = tag;
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* The clock is that of npi_clock_now: it goes on while the machine sleeps, where the system has such a timer. */
static int poller_epoll_open_timer(void)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd < 0 && errno == EINVAL ? timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) : fd;
}

const char *npi_poller_open_parts(npi_poller *p)
{
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return "epoll_create1";
    p->timer_fd = poller_epoll_open_timer();
    if (p->timer_fd < 0)
        return "timerfd_create";
    p->wake_fd = p->wake_read_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake_fd < 0)
        return "eventfd";
    bool added = poller_epoll_add(p->fd, p->timer_fd, EPOLLIN, TAG_TIMER) && poller_epoll_add(p->fd, p->wake_fd, EPOLLIN, TAG_WAKE);
    return added ? NULL : "epoll_ctl";
}

bool npi_poller_watch(npi_poller *p, int fd, uint32_t tag, npi_watch watch)
{
    return poller_epoll_add(p->fd, fd, watch == NPI_WATCH_ARRIVALS ? EPOLLIN | EPOLLET : EPOLLIN, tag);
}

/* Needed even before close(): the caller's socket lives on under another descriptor. */
void npi_poller_unwatch(npi_poller *p, int fd)
{
    struct epoll_event unused;
    memset(&unused, 0, sizeof unused);
    (void)epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, &unused);
}

bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns)
{
    struct itimerspec when;
    memset(&when, 0, sizeof when); /* takes the time before back */
    if (at_ns != NEVER) {
        uint64_t left_ns = at_ns > now_ns ? at_ns - now_ns : 1;
        when.it_value.tv_sec = (time_t)(left_ns / NS_PER_S);
        when.it_value.tv_nsec = (long)(left_ns % NS_PER_S);
    }
    return timerfd_settime(p->timer_fd, 0, &when, NULL) == 0;
}

static void poller_epoll_take_back_wake_ups(const npi_poller *p)
{
    uint64_t count;
    ssize_t got = read(p->wake_read_fd, &count, sizeof count);
    (void)got;
}

int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS])
{
    struct epoll_event events[NPI_POLLER_TAGS + 2];
    int ready;
    do {
        ready = epoll_wait(p->fd, events, NPI_POLLER_TAGS + 2, 0);
    } while (ready < 0 && errno == EINTR);
    int count = 0;
    for (int i = 0; i < ready; i++) {
        if (events[i].data.u32 == TAG_WAKE)
            poller_epoll_take_back_wake_ups(p);
        else if (events[i].data.u32 != TAG_TIMER) /* set anew at the end of every turn */
            tags[count++] = events[i].data.u32;
    }
    return ready < 0 ? -1 : count;
}
#undef NEVER
#undef NS_PER_S
#undef TAG_TIMER
#undef TAG_WAKE
#endif /* (defined(__linux__)) */

/* ---- poller_kqueue.c -------------------- */

#if (!defined(__linux__) && !defined(_WIN32))
/* The poller on BSD and macOS: a kqueue around the sockets, a timer and a pipe. */

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

#define TAG_TIMER UINT32_MAX
#define TAG_WAKE (UINT32_MAX - 1)
#define NEVER UINT64_MAX
/* Microseconds where the system has them; every kqueue has milliseconds. */
#if defined(NOTE_USECONDS)
#define TIMER_UNIT NOTE_USECONDS
#define TIMER_UNIT_NS UINT64_C(1000)
#else
#define TIMER_UNIT 0
#define TIMER_UNIT_NS UINT64_C(1000000)
#endif
#define LONGEST_NS (UINT64_C(24) * 3600 * 1000000000)

#if defined(__NetBSD__)
typedef intptr_t tag_pointer;
#else
typedef void *tag_pointer;
#endif

static bool poller_kqueue_change(const npi_poller *p, uintptr_t ident, int16_t filter, uint16_t flags, int64_t data, uint32_t tag)
{
    struct kevent event;
    unsigned unit = filter == EVFILT_TIMER ? TIMER_UNIT : 0;
    EV_SET(&event, ident, filter, flags, unit, data, (tag_pointer)(uintptr_t)tag);
    return kevent(p->fd, &event, 1, NULL, 0, NULL) == 0;
}

static const char *make_pipe(npi_poller *p)
{
    int fds[2];
    if (pipe(fds) != 0)
        return "pipe";
    p->wake_read_fd = fds[0];
    p->wake_fd = fds[1];
    for (int i = 0; i < 2; i++) {
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(fds[i], F_SETFL, O_NONBLOCK) != 0)
            return "fcntl";
    }
    return poller_kqueue_change(p, (uintptr_t)p->wake_read_fd, EVFILT_READ, EV_ADD, 0, TAG_WAKE) ? NULL : "kevent";
}

const char *npi_poller_open_parts(npi_poller *p)
{
    p->fd = kqueue();
    if (p->fd < 0)
        return "kqueue";
    return fcntl(p->fd, F_SETFD, FD_CLOEXEC) == 0 ? make_pipe(p) : "fcntl";
}

bool npi_poller_watch(npi_poller *p, int fd, uint32_t tag, npi_watch watch)
{
    uint16_t flags = watch == NPI_WATCH_ARRIVALS ? EV_ADD | EV_CLEAR : EV_ADD;
    return poller_kqueue_change(p, (uintptr_t)fd, EVFILT_READ, flags, 0, tag);
}

void npi_poller_unwatch(npi_poller *p, int fd)
{
    (void)poller_kqueue_change(p, (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0);
}

/* Rounded up, since early would be once too often, and so that it is never 0, which some systems refuse. */
bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns)
{
    if (at_ns == NEVER)
        return poller_kqueue_change(p, TAG_TIMER, EVFILT_TIMER, EV_DELETE, 0, TAG_TIMER) || errno == ENOENT;
    uint64_t left_ns = at_ns > now_ns ? at_ns - now_ns : 0;
    if (left_ns > LONGEST_NS)
        left_ns = LONGEST_NS;
    return poller_kqueue_change(p, TAG_TIMER, EVFILT_TIMER, EV_ADD | EV_ONESHOT, (int64_t)(left_ns / TIMER_UNIT_NS) + 1, TAG_TIMER);
}

static void poller_kqueue_take_back_wake_ups(const npi_poller *p)
{
    char bytes[64];
    while (read(p->wake_read_fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS])
{
    static const struct timespec at_once = {0, 0};
    struct kevent events[NPI_POLLER_TAGS + 2];
    int ready;
    do {
        ready = kevent(p->fd, NULL, 0, events, NPI_POLLER_TAGS + 2, &at_once);
    } while (ready < 0 && errno == EINTR);
    int count = 0;
    for (int i = 0; i < ready; i++) {
        uint32_t tag = (uint32_t)(uintptr_t)events[i].udata;
        if (tag == TAG_WAKE)
            poller_kqueue_take_back_wake_ups(p);
        else if (tag != TAG_TIMER)
            tags[count++] = tag;
    }
    return ready < 0 ? -1 : count;
}
#undef LONGEST_NS
#undef NEVER
#undef TAG_TIMER
#undef TAG_WAKE
#undef TIMER_UNIT
#undef TIMER_UNIT_NS
#endif /* (!defined(__linux__) && !defined(_WIN32)) */

/* ---- poller_windows.c -------------------- */

#if (defined(_WIN32))
/*
 * The poller on Windows: one event that sockets (WSAEventSelect), wake-ups and a timer set. It stays set until
 * npi_poller_collect(). A timer is a thing to wait for by itself, so a thread that Windows keeps for such waits passes
 * it on: whoever waits needs one handle.
 */

#include <errno.h>
#include <winsock2.h>

#define NEVER UINT64_MAX
#define UNIT_NS 100 /* of times on Windows */
#define LONGEST_NS (UINT64_C(24) * 3600 * 1000000000)
#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 0x00000002
#endif

static void CALLBACK set_event(void *event, BOOLEAN is_timeout)
{
    (void)is_timeout;
    SetEvent(event);
}

/* Before Windows 10 version 1803 there are only timers that are due at the clock's next tick, 15.6 ms apart. */
static HANDLE poller_windows_open_timer(void)
{
    HANDLE timer = CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    return timer != NULL ? timer : CreateWaitableTimerExW(NULL, NULL, 0, TIMER_ALL_ACCESS);
}

/* NULL, or the call that failed. */
static const char *poller_windows_open_parts(npi_poller *p)
{
    p->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (p->event == NULL)
        return "CreateEvent";
    p->timer = poller_windows_open_timer();
    if (p->timer == NULL)
        return "CreateWaitableTimer";
    bool relayed = RegisterWaitForSingleObject(&p->relay, p->timer, set_event, p->event, INFINITE,
                                               WT_EXECUTEINWAITTHREAD) != 0;
    return relayed ? NULL : "RegisterWaitForSingleObject";
}

int npi_poller_open(npi_poller *p, npi_failure *failure)
{
    *p = NPI_POLLER_CLOSED;
    *failure = NPI_FAILURE_NONE;
    const char *call = poller_windows_open_parts(p);
    if (call == NULL)
        return NP_OK;
    (void)npi_take_windows_error();
    *failure = npi_failure_of(call);
    npi_poller_close(p);
    return failure->os_error == ENOMEM ? NP_ERR_NO_MEMORY : NP_ERR_SYSTEM;
}

/* The event outlives what sets it. */
void npi_poller_close(npi_poller *p)
{
    if (p->relay != NULL)
        UnregisterWaitEx(p->relay, INVALID_HANDLE_VALUE);
    if (p->timer != NULL)
        CloseHandle(p->timer);
    if (p->event != NULL)
        CloseHandle(p->event);
    *p = NPI_POLLER_CLOSED;
}

/*
 * The socket becomes a non-blocking one. Either way of watching is the same here: Windows tells of what has come, and
 * again after each look at the socket that leaves something in it.
 */
bool npi_poller_watch(npi_poller *p, np_socket fd, uint32_t tag, npi_watch watch)
{
    (void)watch;
    errno = EMFILE;
    if (p->size == NPI_POLLER_TAGS)
        return false;
    if (WSAEventSelect(fd, p->event, FD_READ) != 0) {
        (void)npi_take_windows_error();
        return false;
    }
    p->watched[p->size].fd = fd;
    p->watched[p->size].tag = tag;
    p->size++;
    return true;
}

void npi_poller_unwatch(npi_poller *p, np_socket fd)
{
    for (unsigned i = 0; i < p->size; i++) {
        if (p->watched[i].fd == fd) {
            (void)WSAEventSelect(fd, NULL, 0);
            p->watched[i] = p->watched[--p->size];
            return;
        }
    }
}

/* Rounded up, since early would be once too often. */
bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns)
{
    if (at_ns == NEVER || at_ns <= now_ns) {
        if (at_ns != NEVER)
            SetEvent(p->event);
        CancelWaitableTimer(p->timer);
        return true;
    }
    uint64_t left_ns = at_ns - now_ns < LONGEST_NS ? at_ns - now_ns : LONGEST_NS;
    LARGE_INTEGER due = {.QuadPart = -(LONGLONG)((left_ns + UNIT_NS - 1) / UNIT_NS)}; /* negative: from now on */
    if (SetWaitableTimer(p->timer, &due, 0, NULL, NULL, FALSE))
        return true;
    (void)npi_take_windows_error();
    return false;
}

/* Keeps the caller's last error, as it may be called from anywhere. */
void npi_poller_wake(npi_wake wake)
{
    DWORD kept = GetLastError();
    SetEvent(wake);
    SetLastError(kept);
}

int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS])
{
    int count = 0;
    ResetEvent(p->event); /* first: what comes from here on sets it again */
    for (unsigned i = 0; i < p->size; i++) {
        WSANETWORKEVENTS events;
        if (WSAEnumNetworkEvents(p->watched[i].fd, NULL, &events) != 0) {
            (void)npi_take_windows_error();
            return -1;
        }
        if ((events.lNetworkEvents & FD_READ) != 0)
            tags[count++] = p->watched[i].tag;
    }
    return count;
}

static bool poller_windows_wait_for(const HANDLE *events, DWORD count)
{
    DWORD which = WaitForMultipleObjects(count, events, FALSE, INFINITE);
    if (which < WAIT_OBJECT_0 + count)
        return true;
    (void)npi_take_windows_error();
    return false;
}

bool npi_poller_wait(const npi_poller *p)
{
    return poller_windows_wait_for(&p->event, 1);
}

bool npi_poller_wait_either(const npi_poller *p, const npi_poller *q)
{
    HANDLE events[] = {p->event, q->event};
    return poller_windows_wait_for(events, 2);
}
#undef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#undef LONGEST_NS
#undef NEVER
#undef UNIT_NS
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- random.c -------------------- */

#if (!defined(_WIN32))
/* Random bytes from the kernel. */
/* The only source of randomness: the kernel's. */
#ifndef NPI_RANDOM_H
#define NPI_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Fills out with random bytes and never blocks. False with errno when the kernel gives none; EAGAIN: not yet, soon
 * after boot. Nothing is cached, so fork() is safe.
 */
bool npi_random_bytes(void *out, size_t size);

#endif

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

/* glibc has the call since 2.25, the kernel since 3.17. OpenBSD has getentropy() in unistd.h alone. */
#if defined(__GLIBC__) && __GLIBC__ == 2 && __GLIBC_MINOR__ < 25
#include <sys/syscall.h>
#define GRND_NONBLOCK 1u

static ssize_t getrandom(void *out, size_t size, unsigned flags)
{
#ifdef SYS_getrandom
    return (ssize_t)syscall(SYS_getrandom, out, size, flags);
#else
    (void)out, (void)size, (void)flags;
    errno = ENOSYS;
    return -1;
#endif
}
#elif !defined(__OpenBSD__)
#include <sys/random.h>
#endif

#ifdef __linux__

/* For kernels and sandboxes without the call. It never blocks. */
static ssize_t read_device(uint8_t *out, size_t size)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        errno = errno == ENOENT ? ENOSYS : errno; /* neither the call nor the device: the call is what is lacking */
        return -1;
    }
    ssize_t got = read(fd, out, size);
    int os_error = got == 0 ? EIO : errno;
    close(fd);
    errno = os_error;
    return got > 0 ? got : -1;
}

/* As many bytes as the kernel gives at once, at least one; -1 with errno. */
static ssize_t read_some(uint8_t *out, size_t size)
{
    ssize_t got = getrandom(out, size, GRND_NONBLOCK);
    return got < 0 && (errno == ENOSYS || errno == EPERM) ? read_device(out, size) : got;
}

#else

static ssize_t read_some(uint8_t *out, size_t size)
{
    size_t part = size < 256 ? size : 256; /* the most that getentropy gives in one call */
    return getentropy(out, part) == 0 ? (ssize_t)part : -1;
}

#endif

bool npi_random_bytes(void *out, size_t size)
{
    uint8_t *next = out;
    while (size > 0) {
        ssize_t got = read_some(next, size);
        if (got < 0 && errno != EINTR)
            return false;
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        }
    }
    return true;
}
#undef GRND_NONBLOCK
#endif /* (!defined(_WIN32)) */

/* ---- random_windows.c -------------------- */

#if (defined(_WIN32))
/* Random bytes from the kernel, on Windows. */
/* The only source of randomness: the kernel's. */
#ifndef NPI_RANDOM_H
#define NPI_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Fills out with random bytes and never blocks. False with errno when the kernel gives none; EAGAIN: not yet, soon
 * after boot. Nothing is cached, so fork() is safe.
 */
bool npi_random_bytes(void *out, size_t size);

#endif

#include <errno.h>
#include <limits.h>
#include <windows.h>

#include <bcrypt.h>

bool npi_random_bytes(void *out, size_t size)
{
    errno = EIO;
    return size <= ULONG_MAX && BCryptGenRandom(NULL, (PUCHAR)out, (ULONG)size, BCRYPT_USE_SYSTEM_PREFERRED_RNG) >= 0;
}
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- resolve.c -------------------- */

/*
 * Names to addresses on a few threads of our own.
 *
 * getaddrinfo can neither be stopped nor given a time limit, so nothing may wait for it. What a thread needs is in
 * one block of memory, the resolver, that belongs to its owner and to every thread at work: whoever lets go of it last
 * frees it. Everything in the block is guarded by its mutex, wake-ups too: once npi_resolver_free holds the
 * mutex, no thread writes any more.
 */
/*
 * Names to addresses with the system's getaddrinfo, off the calling thread: a slow name server delays nothing but
 * its own answer. Literals are answered at once without a thread.
 */
#ifndef NPI_RESOLVE_H
#define NPI_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define NPI_RESOLVE_ADDRESSES 4 /* most addresses taken from one name */

typedef struct npi_resolver npi_resolver;

typedef struct npi_resolution {
    size_t index;                              /* of the name in the list given to npi_resolver_new */
    bool is_literal;                           /* nothing was looked up */
    size_t count;                              /* 0: not resolved */
    npi_addr addresses[NPI_RESOLVE_ADDRESSES]; /* with the port set, no two alike */
    int eai;                                   /* EAI_* when count is 0 */
    npi_failure failure;                       /* the call behind EAI_SYSTEM */
} npi_resolution;

#define NPI_RESOLVE_TEXT 120
/* Why it was not resolved: "Name or service not known", or which call of the system's failed. */
void npi_resolution_describe(const npi_resolution *resolution, char *out, size_t size);

/*
 * names are copied. family: which addresses to ask for. wake (or NPI_NO_WAKE): npi_poller_wake is called with it
 * whenever a name has been looked up. NULL when out of memory.
 */
npi_resolver *npi_resolver_new(const npi_server_name *names, size_t count, npi_family family, npi_wake wake);
/*
 * Lets the first n names be looked up in their order, at most eight at once. n only grows. Literals do not count: each
 * can be taken from the beginning, without a wake-up.
 */
void npi_resolver_want(npi_resolver *r, size_t n);
/* Takes one result that is ready. */
bool npi_resolver_take(npi_resolver *r, npi_resolution *out);
/* How many of the names that were wanted, and are there, have not yet been taken. */
size_t npi_resolver_pending(npi_resolver *r);
/*
 * Never blocks on a look-up in progress: what cannot be stopped finishes by itself, touches neither wake nor
 * anything of the caller's, and frees what it holds. Threads that have finished are joined.
 */
void npi_resolver_free(npi_resolver *r);

#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Addresses and sockets as the system has them. Only what talks to the system includes this. */
#ifndef NPI_SOCKADDR_H
#define NPI_SOCKADDR_H

#include <stdbool.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#endif



/* Room for the name of an interface. On Windows people see aliases: "vEthernet (Default Switch)". */
#ifdef _WIN32
#define NPI_INTERFACE_NAME 257
#else
#define NPI_INTERFACE_NAME NPI_ADDR_ZONE
#endif

/* Whether it can be a socket: a descriptor is never negative, and on Windows one value is none. */
static inline bool npi_is_socket(np_socket fd)
{
#ifdef _WIN32
    return fd != NP_INVALID_SOCKET;
#else
    return fd >= 0;
#endif
}

typedef union npi_sockaddr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} npi_sockaddr;

/* Returns the length; 0 for no address. */
socklen_t npi_sockaddr_from(const npi_addr *from, npi_sockaddr *to);
/* Family none for an address that is neither IPv4 nor IPv6. from need not be aligned for its family. */
npi_addr npi_addr_from_sockaddr(const struct sockaddr *from);
/*
 * Gives a the scope that the zone of a literal stands for: the name of an interface, or else its index. An empty zone
 * stands for none. False, with errno, when this host has no such interface.
 */
bool npi_addr_find_scope(const char *zone, npi_addr *a);

#ifdef _WIN32

/* The index of an interface by its name or alias; 0 with errno ENODEV where there is none. */
unsigned npi_interface_index(const char *name);
/* Windows' socket library is started before it is used, and ended as often as it was started. False with errno. */
bool npi_sockets_begin(void);
/* Leaves errno alone. */
void npi_sockets_end(void);
/* What an EAI_* code means, in English. */
const char *npi_name_error_text(int eai);

#else

static inline bool npi_sockets_begin(void)
{
    return true;
}

static inline void npi_sockets_end(void)
{
}

static inline const char *npi_name_error_text(int eai)
{
    return gai_strerror(eai);
}

#endif

#endif
/* A lock, and threads of the library's own. */
#ifndef NPI_THREAD_H
#define NPI_THREAD_H

#include <stdbool.h>

#ifdef _WIN32

#include <winsock2.h>

typedef SRWLOCK npi_mutex;
typedef HANDLE npi_thread;
#define NPI_THREAD_CREATE "CreateThread"

static inline bool npi_mutex_init(npi_mutex *m)
{
    InitializeSRWLock(m);
    return true;
}

static inline void npi_mutex_destroy(npi_mutex *m)
{
    (void)m;
}

static inline void npi_mutex_lock(npi_mutex *m)
{
    AcquireSRWLockExclusive(m);
}

static inline void npi_mutex_unlock(npi_mutex *m)
{
    ReleaseSRWLockExclusive(m);
}

static inline void npi_thread_join(npi_thread t)
{
    WaitForSingleObject(t, INFINITE);
    CloseHandle(t);
}

static inline void npi_thread_detach(npi_thread t)
{
    CloseHandle(t);
}

#else

#include <pthread.h>

typedef pthread_mutex_t npi_mutex;
typedef pthread_t npi_thread;
#define NPI_THREAD_CREATE "pthread_create"

static inline bool npi_mutex_init(npi_mutex *m)
{
    return pthread_mutex_init(m, NULL) == 0;
}

static inline void npi_mutex_destroy(npi_mutex *m)
{
    pthread_mutex_destroy(m);
}

static inline void npi_mutex_lock(npi_mutex *m)
{
    pthread_mutex_lock(m);
}

static inline void npi_mutex_unlock(npi_mutex *m)
{
    pthread_mutex_unlock(m);
}

static inline void npi_thread_join(npi_thread t)
{
    pthread_join(t, NULL);
}

static inline void npi_thread_detach(npi_thread t)
{
    pthread_detach(t);
}

#endif

/* Starts run(argument) on a thread of its own, in which no signal handler of the program runs. 0, or an errno. */
int npi_thread_create(npi_thread *thread, void *(*run)(void *argument), void *argument);

#endif

/* Silent names hold threads for as long as they like: one more than a check can do without names from. */
#define THREADS_MAX 8

/* GNU has finer codes for "there is no such address" than POSIX. */
#ifdef EAI_NODATA
#define NONE_FOUND EAI_NODATA
#else
#define NONE_FOUND EAI_NONAME
#endif
#ifdef EAI_ADDRFAMILY
#define WRONG_FAMILY EAI_ADDRFAMILY
#else
#define WRONG_FAMILY EAI_NONAME
#endif
/* Windows has no code for "a call of the system's failed": what its resolver says is all. */
#ifdef EAI_SYSTEM
#define CALL_FAILED EAI_SYSTEM
#else
#define CALL_FAILED EAI_FAIL
#endif

typedef enum entry_state { ENTRY_WAITING, ENTRY_AT_WORK, ENTRY_READY, ENTRY_TAKEN } entry_state;

typedef struct resolve_entry {
    npi_server_name name;
    entry_state state; /* literals are ready from the beginning */
    npi_resolution result;
} resolve_entry;

typedef enum thread_state { THREAD_NONE, THREAD_AT_WORK, THREAD_FINISHED } thread_state;

typedef struct worker {
    npi_resolver *resolver;
    npi_thread thread;
    thread_state state;
} worker;

struct npi_resolver {
    npi_mutex mutex;
    unsigned references; /* the owner's and one for each thread at work */
    bool abandoned;      /* the owner is gone */
    npi_wake wake;
    npi_family family;
    worker workers[THREADS_MAX];
    size_t reach;  /* the entries before this one may be looked up */
    size_t wanted; /* names among them */
    size_t taken;  /* names too */
    size_t count;
    resolve_entry entries[];
};

/* ---- One name --------------------------------------------------------------------------------------------------- */

static void add_address(npi_resolution *result, const npi_addr *address)
{
    for (size_t i = 0; i < result->count; i++) {
        if (npi_addr_equal(&result->addresses[i], address))
            return;
    }
    if (result->count < NPI_RESOLVE_ADDRESSES)
        result->addresses[result->count++] = *address;
}

static npi_addr server_at(const struct sockaddr *sa, uint16_t port)
{
    npi_addr address = npi_addr_from_sockaddr(sa);
    address.port = port;
    return npi_addr_unmap(&address);
}

static bool is_wanted_family(const npi_addr *address, npi_family family)
{
    return npi_addr_is_set(address) && (family == NPI_FAMILY_NONE || address->family == family);
}

static int system_family(npi_family family)
{
    if (family == NPI_IPV4)
        return AF_INET;
    return family == NPI_IPV6 ? AF_INET6 : AF_UNSPEC;
}

/* Blocks for as long as the system likes. Fills all of result but its index. */
static void ask_system(const npi_server_name *name, npi_family family, npi_resolution *result)
{
    /* No AI_ADDRCONFIG: whether a family has a route is found out by sending, not by the addresses configured. */
    struct addrinfo hints = {.ai_family = system_family(family), .ai_socktype = SOCK_DGRAM};
    struct addrinfo *list = NULL;
    errno = 0;
    result->eai = getaddrinfo(name->host, NULL, &hints, &list);
    if (result->eai != 0) {
#ifdef EAI_SYSTEM
        if (result->eai == EAI_SYSTEM)
            result->failure = npi_failure_of("getaddrinfo");
#endif
        return;
    }
    for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
        npi_addr address = server_at(i->ai_addr, name->port);
        if (is_wanted_family(&address, family))
            add_address(result, &address);
    }
    if (list != NULL)
        freeaddrinfo(list);
    if (result->count == 0)
        result->eai = NONE_FOUND;
}

static void resolve_look_up(const npi_server_name *name, npi_family family, npi_resolution *result)
{
    if (!npi_sockets_begin()) {
        result->failure = npi_failure_of("WSAStartup");
        result->eai = CALL_FAILED;
        return;
    }
    ask_system(name, family, result);
    npi_sockets_end();
}

/* Answers a literal; false for a name. */
static bool read_literal(const npi_server_name *name, npi_family family, npi_resolution *result)
{
    npi_addr address;
    if (!npi_addr_parse_ip(name->host, &address))
        return false;
    address = npi_addr_unmap(&address);
    address.port = name->port;
    if (!is_wanted_family(&address, family)) {
        result->eai = WRONG_FAMILY;
    } else if (npi_addr_find_scope(npi_addr_zone(name->host), &address)) {
        add_address(result, &address);
    } else {
        result->failure = npi_failure_of("if_nametoindex");
        result->eai = CALL_FAILED;
    }
    return true;
}

/* ---- Threads (the mutex is held unless a comment says otherwise) ------------------------------------------------ */

static void set_result(resolve_entry *e, const npi_resolution *result)
{
    e->result = *result;
    e->state = ENTRY_READY;
}

static void make_ready(npi_resolver *r, resolve_entry *e, const npi_resolution *result)
{
    set_result(e, result);
    if (r->wake != NPI_NO_WAKE)
        npi_poller_wake(r->wake);
}

static resolve_entry *next_waiting(npi_resolver *r)
{
    for (size_t i = 0; i < r->reach; i++) {
        if (r->entries[i].state == ENTRY_WAITING)
            return &r->entries[i];
    }
    return NULL;
}

static void destroy(npi_resolver *r)
{
    npi_mutex_destroy(&r->mutex);
    free(r);
}

/* Gives up one reference and the mutex. */
static void let_go(npi_resolver *r)
{
    bool last = --r->references == 0;
    npi_mutex_unlock(&r->mutex);
    if (last)
        destroy(r);
}

static void work_on(npi_resolver *r, resolve_entry *e)
{
    npi_resolution result = {.index = (size_t)(e - r->entries)};
    e->state = ENTRY_AT_WORK;
    npi_mutex_unlock(&r->mutex);
    resolve_look_up(&e->name, r->family, &result);
    npi_mutex_lock(&r->mutex);
    if (!r->abandoned)
        make_ready(r, e, &result);
}

/* A thread's life: names in order until none is left. Enters without the mutex and leaves without it. */
static void *run_worker(void *argument)
{
    worker *w = argument;
    npi_resolver *r = w->resolver;
    npi_mutex_lock(&r->mutex);
    resolve_entry *e;
    while (!r->abandoned && (e = next_waiting(r)) != NULL)
        work_on(r, e);
    w->state = THREAD_FINISHED;
    let_go(r);
    return NULL;
}

/* Waits for a thread's last instructions only: it calls itself finished in its last critical section. */
static void join_finished(worker *w)
{
    if (w->state == THREAD_FINISHED)
        npi_thread_join(w->thread);
    w->state = THREAD_NONE;
}

static int start_worker(npi_resolver *r, worker *w)
{
    join_finished(w);
    w->resolver = r;
    int error = npi_thread_create(&w->thread, run_worker, w);
    if (error == 0) {
        w->state = THREAD_AT_WORK;
        r->references++;
    }
    return error;
}

static worker *find_idle(npi_resolver *r)
{
    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (r->workers[i].state != THREAD_AT_WORK)
            return &r->workers[i];
    }
    return NULL;
}

static size_t count_at_work(const npi_resolver *r)
{
    size_t at_work = 0;
    for (size_t i = 0; i < THREADS_MAX; i++)
        at_work += r->workers[i].state == THREAD_AT_WORK;
    return at_work;
}

static size_t count_waiting(const npi_resolver *r)
{
    size_t waiting = 0;
    for (size_t i = 0; i < r->reach; i++)
        waiting += r->entries[i].state == ENTRY_WAITING;
    return waiting;
}

static void fail_waiting(npi_resolver *r, int os_error)
{
    resolve_entry *e;
    while ((e = next_waiting(r)) != NULL) {
        npi_resolution result = {.index = (size_t)(e - r->entries), .eai = CALL_FAILED};
        result.failure = (npi_failure){.call = NPI_THREAD_CREATE, .os_error = os_error};
        make_ready(r, e, &result);
    }
}

/*
 * A thread for each waiting name, up to the most there may be. Where the system gives fewer, those at work take the
 * names one after the other; where it gives none, the names fail.
 */
static void start_workers(npi_resolver *r)
{
    size_t missing = count_waiting(r);
    worker *w;
    while (missing > 0 && (w = find_idle(r)) != NULL) {
        int error = start_worker(r, w);
        if (error != 0 && count_at_work(r) == 0)
            fail_waiting(r, error);
        if (error != 0)
            return;
        missing--;
    }
}

void npi_resolution_describe(const npi_resolution *resolution, char *out, size_t size)
{
    if (resolution->failure.call != NULL)
        npi_failure_describe(&resolution->failure, out, size);
    else
        (void)snprintf(out, size, "%s", npi_name_error_text(resolution->eai));
}

/* ---- The owner's side ------------------------------------------------------------------------------------------- */

static void answer_literal(npi_resolver *r, size_t index)
{
    resolve_entry *e = &r->entries[index];
    npi_resolution result = {.index = index, .is_literal = true};
    if (read_literal(&e->name, r->family, &result))
        set_result(e, &result);
}

npi_resolver *npi_resolver_new(const npi_server_name *names, size_t count, npi_family family, npi_wake wake)
{
    npi_resolver *r = calloc(1, sizeof *r + count * sizeof r->entries[0]);
    if (r == NULL)
        return NULL;
    if (!npi_mutex_init(&r->mutex)) {
        free(r);
        return NULL;
    }
    r->references = 1;
    r->wake = wake;
    r->family = family;
    r->count = count;
    for (size_t i = 0; i < count; i++) {
        r->entries[i].name = names[i];
        answer_literal(r, i);
    }
    return r;
}

void npi_resolver_want(npi_resolver *r, size_t n)
{
    npi_mutex_lock(&r->mutex);
    while (r->wanted < n && r->reach < r->count)
        r->wanted += r->entries[r->reach++].state == ENTRY_WAITING;
    start_workers(r);
    npi_mutex_unlock(&r->mutex);
}

bool npi_resolver_take(npi_resolver *r, npi_resolution *out)
{
    bool found = false;
    npi_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->count && !found; i++) {
        found = r->entries[i].state == ENTRY_READY;
        if (found) {
            *out = r->entries[i].result;
            r->entries[i].state = ENTRY_TAKEN;
            r->taken += !out->is_literal;
        }
    }
    npi_mutex_unlock(&r->mutex);
    return found;
}

size_t npi_resolver_pending(npi_resolver *r)
{
    npi_mutex_lock(&r->mutex);
    size_t pending = r->wanted - r->taken;
    npi_mutex_unlock(&r->mutex);
    return pending;
}

void npi_resolver_free(npi_resolver *r)
{
    if (r == NULL)
        return;
    npi_mutex_lock(&r->mutex);
    r->abandoned = true;
    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (r->workers[i].state == THREAD_AT_WORK)
            npi_thread_detach(r->workers[i].thread);
        else
            join_finished(&r->workers[i]);
    }
    let_go(r);
}
#undef CALL_FAILED
#undef NONE_FOUND
#undef THREADS_MAX
#undef WRONG_FAMILY

/* ---- roster.c -------------------- */

/* A long list of servers, each once: an array, and a table of the places in it by hash. */
/* A long list of servers, each once, in the order in which they were added. */
#ifndef NPI_ROSTER_H
#define NPI_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef struct npi_roster_entry {
    npi_server_name name; /* in lower case, without a final dot */
    bool is_left_out;
    size_t tag; /* the owner's */
} npi_roster_entry;

typedef struct npi_roster {
    npi_roster_entry *entries;
    size_t count;
    size_t room;
    size_t *places; /* of the entries, by their hash; SIZE_MAX: free */
    size_t place_count;
    uint64_t seed;
} npi_roster;

/* seed: random, so that nobody can write a list that is slow. */
void npi_roster_init(npi_roster *r, uint64_t seed);
void npi_roster_free(npi_roster *r);
/* Finds the server, or adds it. Its index in *index; *is_new where it was added. False when out of memory. */
bool npi_roster_add(npi_roster *r, const npi_server_name *name, size_t *index, bool *is_new);

/* Room for a server as text: host, port, brackets, terminator. */
#define NPI_SERVER_TEXT 264
/* "stun.example.net:3478", "192.0.2.1:3478", "[2001:db8::1]:3478": npi_server_parse reads it. */
void npi_server_format(const npi_server_name *name, char out[NPI_SERVER_TEXT]);

#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define FREE SIZE_MAX
#define FIRST_ROOM 64

void npi_roster_init(npi_roster *r, uint64_t seed)
{
    memset(r, 0, sizeof *r);
    r->seed = seed;
}

void npi_roster_free(npi_roster *r)
{
    free(r->entries);
    free(r->places);
    npi_roster_init(r, r->seed);
}

/* Mixes as splitmix64 does: each byte reaches every bit. */
static uint64_t mix(uint64_t state, uint64_t value)
{
    state += value + UINT64_C(0x9E3779B97F4A7C15);
    state = (state ^ state >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    state = (state ^ state >> 27) * UINT64_C(0x94D049BB133111EB);
    return state ^ state >> 31;
}

static size_t hash(const npi_roster *r, const npi_server_name *name)
{
    uint64_t state = mix(r->seed, name->port);
    for (const char *c = name->host; *c != '\0'; c++)
        state = mix(state, (unsigned char)*c);
    return (size_t)state;
}

static bool roster_is_same(const npi_server_name *a, const npi_server_name *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Where it stands in the table, or would. At least one place is always free. */
static size_t *find_place(const npi_roster *r, const npi_server_name *name)
{
    size_t i = hash(r, name) & (r->place_count - 1);
    while (r->places[i] != FREE && !roster_is_same(&r->entries[r->places[i]].name, name))
        i = (i + 1) & (r->place_count - 1);
    return &r->places[i];
}

static bool grow(npi_roster *r)
{
    size_t room = r->room > 0 ? 2 * r->room : FIRST_ROOM;
    npi_roster_entry *entries = realloc(r->entries, room * sizeof *entries);
    if (entries == NULL)
        return false;
    r->entries = entries;
    size_t *places = malloc(2 * room * sizeof *places);
    if (places == NULL)
        return false;
    free(r->places);
    r->places = places;
    r->place_count = 2 * room;
    r->room = room;
    for (size_t i = 0; i < r->place_count; i++)
        places[i] = FREE;
    for (size_t i = 0; i < r->count; i++)
        *find_place(r, &entries[i].name) = i;
    return true;
}

/* One server has one form: names differ in more than case, and addresses in more than how they are written. */
static npi_server_name normal_form(const npi_server_name *name)
{
    npi_server_name out = {.port = name->port, .use = name->use};
    npi_addr literal;
    size_t length = strlen(name->host);
    if (npi_addr_parse_ip(name->host, &literal)) {
        literal = npi_addr_unmap(&literal);
        npi_addr_format_ip(&literal, out.host);
        if (npi_addr_zone(name->host)[0] != '\0')
            (void)snprintf(out.host, sizeof out.host, "%s", name->host);
        return out;
    }
    if (length > 0 && name->host[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++) {
        char c = name->host[i];
        out.host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return out;
}

bool npi_roster_add(npi_roster *r, const npi_server_name *name, size_t *index, bool *is_new)
{
    npi_server_name normal = normal_form(name);
    if (r->count == r->room && !grow(r))
        return false;
    size_t *place = find_place(r, &normal);
    *is_new = *place == FREE;
    if (*is_new) {
        r->entries[r->count] = (npi_roster_entry){.name = normal};
        *place = r->count++;
    }
    *index = *place;
    return true;
}

void npi_server_format(const npi_server_name *name, char out[NPI_SERVER_TEXT])
{
    bool is_ipv6 = strchr(name->host, ':') != NULL;
    (void)snprintf(out, NPI_SERVER_TEXT, "%s%s%s:%u", is_ipv6 ? "[" : "", name->host, is_ipv6 ? "]" : "",
                   (unsigned)name->port);
}
#undef FIRST_ROOM
#undef FREE

/* ---- routing.c -------------------- */

#if (!defined(_WIN32))
/* What makes a socket's datagrams take one route and not another. */
/* What makes a socket's datagrams take one route and not another. */
#ifndef NPI_ROUTING_H
#define NPI_ROUTING_H

#include <stdbool.h>



/*
 * Gives the new socket to, which sends to addresses of that family, every option of from that takes part in choosing a
 * route. Returns NULL, or what failed as a literal, with errno. errno is 0 when the sockets can never share a route.
 */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family);

#ifndef _WIN32
/* False for a socket of another namespace, passed on by another process, say: it has other interfaces and routes. */
bool npi_is_in_same_namespace(int to, int from);
#endif

/* Ties a socket to an interface. False with errno when it cannot: ENODEV when there is none of that name. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family);

#endif

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define OPTION_SIZE 16 /* an interface's name (IFNAMSIZ); all the others are an int */

typedef struct routing_option {
    uint16_t level;
    uint16_t option;
    char text[18]; /* not a pointer: the loader would have to adjust it */
} routing_option;

#define OPTION(level, option)                                                                                          \
    {                                                                                                                  \
        level, option, #option                                                                                         \
    }

/*
 * Policy routing looks at the mark, the TOS, the interface and the source address. Firewalls and traffic control, which
 * may set a mark, look at the priority too. A socket with an address that is not the host's needs TRANSPARENT or
 * FREEBIND to be bound. The TTL chooses no route. TOS sets the priority as well, so it comes first.
 */
static const routing_option routing_options[] = {
#ifdef IP_UNICAST_IF
    OPTION(IPPROTO_IP, IP_UNICAST_IF),
#endif
#ifdef IPV6_UNICAST_IF
    OPTION(IPPROTO_IPV6, IPV6_UNICAST_IF),
#endif
#ifdef IP_BOUND_IF
    OPTION(IPPROTO_IP, IP_BOUND_IF),
#endif
#ifdef IPV6_BOUND_IF
    OPTION(IPPROTO_IPV6, IPV6_BOUND_IF),
#endif
    OPTION(IPPROTO_IP, IP_TOS),
#ifdef IPV6_TCLASS
    OPTION(IPPROTO_IPV6, IPV6_TCLASS),
#endif
#ifdef IP_FREEBIND
    OPTION(IPPROTO_IP, IP_FREEBIND),
#endif
#ifdef IPV6_FREEBIND
    OPTION(IPPROTO_IPV6, IPV6_FREEBIND),
#endif
#ifdef IP_TRANSPARENT
    OPTION(IPPROTO_IP, IP_TRANSPARENT),
#endif
#ifdef IPV6_TRANSPARENT
    OPTION(IPPROTO_IPV6, IPV6_TRANSPARENT),
#endif
#ifdef SO_PRIORITY
    OPTION(SOL_SOCKET, SO_PRIORITY),
#endif
#ifdef SO_MARK
    OPTION(SOL_SOCKET, SO_MARK),
#endif
    OPTION(SOL_SOCKET, SO_DONTROUTE),
#ifdef SO_BINDTODEVICE
    OPTION(SOL_SOCKET, SO_BINDTODEVICE), /* SO_BINDTOIFINDEX is the same by number */
#endif
};

static bool is_of_other_family(uint16_t level, npi_family family)
{
    return (level == IPPROTO_IP && family != NPI_IPV4) || (level == IPPROTO_IPV6 && family != NPI_IPV6);
}

/*
 * Copies an option where it is set. What the system does not know it cannot route by. What has no name any more is an
 * interface that is gone: without it the other socket would take another one.
 */
static bool copy_option(int to, int from, const routing_option *o)
{
    _Alignas(int) char value[OPTION_SIZE] = {0};
    socklen_t length = sizeof value;
    if (getsockopt(from, o->level, o->option, value, &length) != 0)
        return errno != ENODEV;
    for (socklen_t i = 0; i < length; i++) {
        if (value[i] != 0)
            return setsockopt(to, o->level, o->option, value, length) == 0;
    }
    return true;
}

bool npi_is_in_same_namespace(int to, int from)
{
#ifdef SO_NETNS_COOKIE
    uint64_t of_to = 0;
    uint64_t of_from = 0;
    socklen_t length = sizeof of_to;
    if (getsockopt(to, SOL_SOCKET, SO_NETNS_COOKIE, &of_to, &length) == 0 &&
        getsockopt(from, SOL_SOCKET, SO_NETNS_COOKIE, &of_from, &length) == 0)
        return of_to == of_from;
#else
    (void)to;
    (void)from;
#endif
    return true;
}

const char *npi_copy_routing_options(int to, int from, npi_family family)
{
    errno = 0;
    if (!npi_is_in_same_namespace(to, from))
        return "the socket belongs to another network namespace";
    for (size_t i = 0; i < sizeof routing_options / sizeof routing_options[0]; i++) {
        const routing_option *o = &routing_options[i];
        if (!is_of_other_family(o->level, family) && !copy_option(to, from, o))
            return o->text;
    }
    return NULL;
}

#if !defined(SO_BINDTODEVICE)
/* The option takes an index. */
static bool set_index(int fd, unsigned index, npi_family family)
{
#if defined(IP_BOUND_IF)
    bool is_ipv4 = family == NPI_IPV4;
    return setsockopt(fd, is_ipv4 ? IPPROTO_IP : IPPROTO_IPV6, is_ipv4 ? IP_BOUND_IF : IPV6_BOUND_IF, &index,
                      sizeof index) == 0;
#else
    (void)fd;
    (void)index;
    (void)family;
    errno = EOPNOTSUPP;
    return false;
#endif
}
#endif

bool npi_route_by_interface(int fd, const char *name, npi_family family)
{
#if defined(SO_BINDTODEVICE)
    (void)family;
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) == 0;
#else
    unsigned index = if_nametoindex(name);
    if (index != 0)
        return set_index(fd, index, family);
    errno = ENODEV;
    return false;
#endif
}
#undef OPTION
#undef OPTION_SIZE
#endif /* (!defined(_WIN32)) */

/* ---- routing_windows.c -------------------- */

#if (defined(_WIN32))
/* What makes a socket's datagrams take one route and not another, on Windows: the interface alone. */
/* What makes a socket's datagrams take one route and not another. */
#ifndef NPI_ROUTING_H
#define NPI_ROUTING_H

#include <stdbool.h>



/*
 * Gives the new socket to, which sends to addresses of that family, every option of from that takes part in choosing a
 * route. Returns NULL, or what failed as a literal, with errno. errno is 0 when the sockets can never share a route.
 */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family);

#ifndef _WIN32
/* False for a socket of another namespace, passed on by another process, say: it has other interfaces and routes. */
bool npi_is_in_same_namespace(int to, int from);
#endif

/* Ties a socket to an interface. False with errno when it cannot: ENODEV when there is none of that name. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family);

#endif

#include <errno.h>


typedef struct interface_option {
    int level;
    int option;
    const char *text;
} interface_option;

static const interface_option *option_of(npi_family family)
{
    static const interface_option ipv4 = {IPPROTO_IP, IP_UNICAST_IF, "setsockopt(IP_UNICAST_IF)"};
    static const interface_option ipv6 = {IPPROTO_IPV6, IPV6_UNICAST_IF, "setsockopt(IPV6_UNICAST_IF)"};
    return family == NPI_IPV4 ? &ipv4 : &ipv6;
}

static bool set_value(np_socket fd, const interface_option *o, DWORD value)
{
    if (setsockopt(fd, o->level, o->option, (const char *)&value, sizeof value) == 0)
        return true;
    (void)npi_take_windows_error();
    return false;
}

/* Copied where it is set, in whichever order of bytes the system has it. What Windows does not know it does not use. */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family)
{
    const interface_option *o = option_of(family);
    DWORD value = 0;
    int length = sizeof value;
    bool is_set = getsockopt(from, o->level, o->option, (char *)&value, &length) == 0 && value != 0;
    return !is_set || set_value(to, o, value) ? NULL : o->text;
}

/* The index of IPv4 is wanted in network order, that of IPv6 as it is. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family)
{
    unsigned index = npi_interface_index(name);
    if (index == 0)
        return false;
    return set_value(fd, option_of(family), family == NPI_IPV4 ? htonl(index) : index);
}
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- servers.c -------------------- */

/* The built-in public servers, and the parsing of what users write for a server. */

#include <string.h>
#ifdef _WIN32
#define strncasecmp _strnicmp
#else
#include <strings.h>
#endif


/* The list of built-in servers, or the one that a build has in its place. docs/SERVERS.md has the policy. */
#ifndef NPI_DEFAULT_SERVERS_H
#define NPI_DEFAULT_SERVERS_H

/* A header that defines the list: the build options make one of a file with a server on each line. */
#ifdef NPI_DEFAULT_SERVERS_FILE
#include NPI_DEFAULT_SERVERS_FILE
#else
/*
 * BEHAVIOUR: it is expected to have a second address (RFC 5780). MAPPING: it answers plain requests only. Behind the
 * server: since when it is in the list, and when a survey last found it to be so; "never": none has.
 */
#define NPI_DEFAULT_SERVERS(BEHAVIOUR, MAPPING)                                                                        \
    BEHAVIOUR("stun.m-online.net:3478", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.voipia.net:3478", "2026-11-23", "never")                                                           \
    BEHAVIOUR("stun.dcalling.de:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.voipgate.com:3478", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.mixvoip.com:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.sonetel.com:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.sonetel.net:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.pure-ip.com:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.axialys.net:3478", "2026-11-23", "never")                                                          \
    BEHAVIOUR("stun.business-isp.nl:3478", "2026-11-23", "never")                                                      \
    BEHAVIOUR("stun.nextcloud.com:3478", "2026-11-23", "never")                                                        \
    BEHAVIOUR("stun.nextcloud.com:443", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.sip.us:3478", "2026-11-23", "never")                                                               \
    BEHAVIOUR("stun.siptrunk.com:3478", "2026-11-23", "never")                                                         \
    BEHAVIOUR("stun.freeswitch.org:3478", "2026-11-23", "never")                                                       \
    BEHAVIOUR("stun.signalwire.com:3478", "2026-11-23", "never")                                                       \
    MAPPING("stun.l.google.com:19302", "2026-11-23", "never")                                                          \
    MAPPING("stun1.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun2.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun3.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun4.l.google.com:19302", "2026-11-23", "never")                                                         \
    MAPPING("stun.cloudflare.com:3478", "2026-11-23", "never")
#endif

#endif

#define NAME_MAX_LENGTH 253 /* RFC 1035 section 2.3.4, in text and without the final dot */
#define LABEL_MAX_LENGTH 63

/* ---- Parsing ---------------------------------------------------------------------------------------------------- */

/* A piece of the user's text. */
typedef struct servers_span {
    const char *start;
    size_t length;
} servers_span;

static servers_span span_of(const char *start, const char *end)
{
    return (servers_span){start, (size_t)(end - start)};
}

/* ctype.h would follow the locale. */
static bool servers_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return servers_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_label_char(char c)
{
    return servers_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static bool parse_port(servers_span text, uint16_t *out)
{
    if (text.length == 0 || text.length > 5)
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!servers_is_digit(text.start[i]))
            return false;
        value = value * 10 + (uint32_t)(text.start[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX)
        return false;
    *out = (uint16_t)value;
    return true;
}

/* "" or ":PORT". An empty port is more likely a script's empty variable than a wish for the default: refused. */
static bool parse_port_part(const char *text, uint16_t *out)
{
    *out = NPI_STUN_PORT;
    if (*text == '\0')
        return true;
    return *text == ':' && parse_port((servers_span){text + 1, strlen(text + 1)}, out);
}

/* Decimal, octal or hexadecimal as inet_aton reads it. */
static bool is_number(servers_span label)
{
    bool hex = label.length >= 2 && label.start[0] == '0' && (label.start[1] == 'x' || label.start[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < label.length; i++) {
        if (!(hex ? is_hex_digit(label.start[i]) : servers_is_digit(label.start[i])))
            return false;
    }
    return true;
}

/*
 * Labels of letters, digits, '-' and '_'. A name whose last label is a number is none: getaddrinfo would read "1.2.3"
 * or "0x7f.1" as an address in a form of the 1980s. True IPv4 literals have been recognised before.
 */
static bool is_name(servers_span host)
{
    if (host.length > 0 && host.start[host.length - 1] == '.')
        host.length--;
    if (host.length == 0 || host.length > NAME_MAX_LENGTH)
        return false;
    const char *end = host.start + host.length;
    const char *label = host.start;
    for (const char *c = host.start; c < end; c++) {
        if (*c == '.') {
            if (c == label)
                return false;
            label = c + 1;
        } else if (!is_label_char(*c) || c - label >= LABEL_MAX_LENGTH) {
            return false;
        }
    }
    return label < end && !is_number(span_of(label, end));
}

/* Puts the host into out when it is an address of the family, or, for NPI_FAMILY_NONE, an IPv4 literal or a name. */
static bool take_host(servers_span host, npi_family family, npi_server_name *out)
{
    if (host.length >= sizeof out->host)
        return false;
    memcpy(out->host, host.start, host.length);
    out->host[host.length] = '\0';
    npi_addr literal;
    if (npi_addr_parse_ip(out->host, &literal))
        return family == NPI_FAMILY_NONE || literal.family == family;
    return family == NPI_FAMILY_NONE && is_name(host);
}

/* In a URI the "%" before a zone is written "%25" (RFC 6874). */
static void decode_zone(char *host)
{
    char *zone = strchr(host, '%');
    if (zone != NULL && strncmp(zone, "%25", 3) == 0 && zone[3] != '\0')
        memmove(zone + 1, zone + 3, strlen(zone + 3) + 1);
}

/* "[IPv6]" or "[IPv6]:PORT". */
static bool parse_bracketed(const char *text, bool is_uri, npi_server_name *out)
{
    char host[NPI_HOST_SIZE] = "";
    const char *end = strchr(text, ']');
    if (end == NULL || (size_t)(end - text) > sizeof host)
        return false;
    memcpy(host, text + 1, (size_t)(end - text) - 1);
    if (is_uri)
        decode_zone(host);
    return take_host((servers_span){host, strlen(host)}, NPI_IPV6, out) && parse_port_part(end + 1, &out->port);
}

/* Everything but the brackets. A second colon is that of an IPv6 address, which RFC 7064 does not allow bare. */
static bool parse_plain(const char *text, bool is_uri, npi_server_name *out)
{
    const char *end = text + strcspn(text, ":");
    if (*end == ':' && strchr(end + 1, ':') != NULL) {
        out->port = NPI_STUN_PORT;
        return !is_uri && take_host((servers_span){text, strlen(text)}, NPI_IPV6, out);
    }
    return take_host(span_of(text, end), NPI_FAMILY_NONE, out) && parse_port_part(end, &out->port);
}

static bool has_scheme(const char *text, const char *scheme)
{
    return strncasecmp(text, scheme, strlen(scheme)) == 0;
}

bool npi_server_parse(const char *text, npi_server_name *out)
{
    if (text == NULL || has_scheme(text, "stuns:") || has_scheme(text, "turn:") || has_scheme(text, "turns:"))
        return false;
    bool is_uri = has_scheme(text, "stun:");
    if (is_uri)
        text += strlen("stun:");
    npi_server_name parsed = {.use = NPI_USE_ANY};
    if (!(*text == '[' ? parse_bracketed(text, is_uri, &parsed) : parse_plain(text, is_uri, &parsed)))
        return false;
    *out = parsed;
    return true;
}

/* ---- The built-in list ------------------------------------------------------------------------------------------ */

#define SERVER_TEXT(server, since, surveyed) server "\0"
#define IS_BEHAVIOUR(server, since, surveyed) NPI_USE_BEHAVIOUR,
#define IS_MAPPING(server, since, surveyed) NPI_USE_MAPPING,

/*
 * "Behaviour" means that it is expected to name a second address; whether it honours CHANGE-REQUEST is found out in
 * every run. Some names share an address: addresses are compared, not names. One string, no pointers: see error.c.
 */
static const char builtin_texts[] = "" NPI_DEFAULT_SERVERS(SERVER_TEXT, SERVER_TEXT);
static const uint8_t builtin_uses[] = {NPI_DEFAULT_SERVERS(IS_BEHAVIOUR, IS_MAPPING) NPI_USE_ANY}; /* the end */

#define BUILTIN_COUNT (sizeof builtin_uses - 1) /* 0: the build was given an empty list */
_Static_assert(BUILTIN_COUNT <= NP_MAX_SERVERS, "who takes a handle's worth of servers gets all of them");

size_t npi_builtin_server_count(void)
{
    return BUILTIN_COUNT;
}

void npi_builtin_server(size_t index, npi_server_name *out)
{
    const char *text = builtin_texts;
    for (size_t i = 0; i < index; i++)
        text += strlen(text) + 1;
    if (!npi_server_parse(text, out))
        *out = (npi_server_name){.port = 0}; /* a name that nobody has */
    out->use = (npi_server_use)builtin_uses[index];
}

static void swap(uint8_t *a, uint8_t *b)
{
    uint8_t kept = *a;
    *a = *b;
    *b = kept;
}

/* Fisher and Yates. The remainder prefers some places by one in eight: good enough to spread the load. */
static void servers_shuffle(uint8_t *order, size_t count, const uint8_t *random)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (uint8_t)i;
    for (size_t left = count; left > 1; left--)
        swap(&order[left - 1], &order[random[left - 1] % left]);
}

/* Brings the first server of that use to place, if there is one. */
static void bring_forward(uint8_t *order, size_t count, size_t place, npi_server_use use)
{
    for (size_t i = place; i < count; i++) {
        if (builtin_uses[order[i]] == use) {
            swap(&order[place], &order[i]);
            return;
        }
    }
}

size_t npi_builtin_shuffled(npi_server_name *out, size_t max, const uint8_t *random)
{
    uint8_t order[NP_MAX_SERVERS];
    const size_t all = npi_builtin_server_count();
    servers_shuffle(order, all, random);
    bring_forward(order, all, 0, NPI_USE_BEHAVIOUR);
    bring_forward(order, all, 1, NPI_USE_MAPPING);
    bring_forward(order, all, 2, NPI_USE_BEHAVIOUR); /* takes the first one's place where its name is slow */
    size_t count = max < all ? max : all;
    for (size_t i = 0; i < count; i++)
        npi_builtin_server(order[i], &out[i]);
    return count;
}
#undef BUILTIN_COUNT
#undef IS_BEHAVIOUR
#undef IS_MAPPING
#undef LABEL_MAX_LENGTH
#undef NAME_MAX_LENGTH
#undef SERVER_TEXT
#undef strncasecmp

/* ---- sockaddr.c -------------------- */

/* Addresses as the system has them. */

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

/* ---- sockaddr_posix.c -------------------- */

#if (!defined(_WIN32))
/* The interfaces that zones of addresses name, on systems of POSIX. */

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* The index, or 0 with errno where no interface has it. */
static unsigned sockaddr_posix_find_index(const char *zone)
{
    char name[IF_NAMESIZE];
    unsigned long index = strtoul(zone, NULL, 10);
    bool is_index = strspn(zone, "0123456789") == strlen(zone) && index <= INT_MAX;
    if (is_index && if_indextoname((unsigned)index, name) != NULL)
        return (unsigned)index;
    if (!is_index || errno == ENXIO)
        errno = ENODEV; /* as for a name */
    return 0;
}

bool npi_addr_find_scope(const char *zone, npi_addr *a)
{
    if (zone[0] == '\0')
        return true;
    unsigned index = if_nametoindex(zone);
    if (index == 0 && (errno == ENODEV || errno == ENXIO))
        index = sockaddr_posix_find_index(zone);
    if (index == 0)
        return false;
    *a = npi_addr_with_scope(a, index);
    return true;
}
#endif /* (!defined(_WIN32)) */

/* ---- sockaddr_windows.c -------------------- */

#if (defined(_WIN32))
/* Windows' socket library: its beginning and end, interfaces by name, texts. */

#include <errno.h>
#include <iphlpapi.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>


bool npi_sockets_begin(void)
{
    WSADATA unused;
    int code = WSAStartup(MAKEWORD(2, 2), &unused);
    if (code != 0)
        errno = npi_errno_from_windows((unsigned long)code);
    return code == 0;
}

void npi_sockets_end(void)
{
    int kept = errno;
    WSACleanup();
    errno = kept;
}

/* Windows' own texts are in the user's language, and its function for them is not safe with threads. */
const char *npi_name_error_text(int eai)
{
    switch (eai) {
    case EAI_NONAME: /* also EAI_NODATA, and EAI_ADDRFAMILY as this library has it */
        return "Name not known";
    case EAI_AGAIN:
        return "Temporary failure in name resolution";
    case EAI_FAIL:
        return "Failure in name resolution";
    case EAI_MEMORY:
        return "Not enough memory";
    case WSANO_DATA:
        return "No address of this family for the name";
    default:
        return "Name resolution failed";
    }
}

/* Names that people see ("Ethernet 2") are aliases of Windows' own ("ethernet_32769"). */
static unsigned index_of_alias(const char *name)
{
    wchar_t alias[IF_MAX_STRING_SIZE + 1];
    NET_LUID luid;
    NET_IFINDEX index = 0;
    if (MultiByteToWideChar(CP_ACP, 0, name, -1, alias, IF_MAX_STRING_SIZE + 1) == 0)
        return 0;
    if (ConvertInterfaceAliasToLuid(alias, &luid) != NO_ERROR || ConvertInterfaceLuidToIndex(&luid, &index) != NO_ERROR)
        return 0;
    return index;
}

static unsigned sockaddr_windows_find_index(const char *zone)
{
    char name[IF_NAMESIZE + 1];
    unsigned long index = strtoul(zone, NULL, 10);
    bool is_index = strspn(zone, "0123456789") == strlen(zone) && index <= INT_MAX;
    return is_index && if_indextoname((NET_IFINDEX)index, name) != NULL ? (unsigned)index : 0;
}

unsigned npi_interface_index(const char *name)
{
    unsigned index = if_nametoindex(name);
    if (index == 0)
        index = index_of_alias(name);
    if (index == 0)
        errno = ENODEV;
    return index;
}

bool npi_addr_find_scope(const char *zone, npi_addr *a)
{
    if (zone[0] == '\0')
        return true;
    unsigned index = npi_interface_index(zone);
    if (index == 0)
        index = sockaddr_windows_find_index(zone);
    if (index == 0)
        return false;
    *a = npi_addr_with_scope(a, index);
    return true;
}
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- thread_posix.c -------------------- */

#if (!defined(_WIN32))
/* Threads of the library's own, on systems of POSIX. */

#include <errno.h>
#include <signal.h>
#include <stddef.h>

/* getaddrinfo loads modules of the system's choosing that put large buffers on the stack; only touched pages cost. */
#define THREAD_STACK_SIZE (512 * 1024)

typedef struct thread_posix_work {
    void *(*run)(void *argument);
    void *argument;
} thread_posix_work;

/* A program's signals belong to its own threads: none is to run a handler here. */
static int create_with_signals_blocked(npi_thread *thread, const pthread_attr_t *attributes, const thread_posix_work *w)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error != 0)
        return error;
    error = pthread_create(thread, attributes, w->run, w->argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int npi_thread_create(npi_thread *thread, void *(*run)(void *argument), void *argument)
{
    const thread_posix_work w = {run, argument};
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    error = pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    if (error == 0)
        error = create_with_signals_blocked(thread, &attributes, &w);
    pthread_attr_destroy(&attributes);
    /* A program with much thread-local data needs larger stacks than ours; the default is made to fit. */
    return error == EINVAL ? create_with_signals_blocked(thread, NULL, &w) : error;
}
#undef THREAD_STACK_SIZE
#endif /* (!defined(_WIN32)) */

/* ---- thread_windows.c -------------------- */

#if (defined(_WIN32))
/* Threads of the library's own, on Windows. */

#include <errno.h>
#include <stdlib.h>


typedef struct thread_windows_work {
    void *(*run)(void *argument);
    void *argument;
    HMODULE code; /* keeps this library in memory until the thread has left it */
} thread_windows_work;

static DWORD WINAPI work_and_leave(void *argument)
{
    thread_windows_work w = *(thread_windows_work *)argument;
    free(argument);
    (void)w.run(w.argument);
    FreeLibraryAndExitThread(w.code, 0);
    return 0;
}

/* By an address in it; the cast from a function is what the system asks for. */
static bool hold_code(HMODULE *code)
{
    union {
        DWORD(WINAPI *function)(void *);
        LPCWSTR name;
    } inside = {.function = work_and_leave};
    return GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, inside.name, code) != 0;
}

int npi_thread_create(npi_thread *thread, void *(*run)(void *argument), void *argument)
{
    thread_windows_work *w = malloc(sizeof *w);
    if (w == NULL)
        return ENOMEM;
    *w = (thread_windows_work){.run = run, .argument = argument};
    if (!hold_code(&w->code)) {
        free(w);
        return npi_take_windows_error();
    }
    *thread = CreateThread(NULL, 0, work_and_leave, w, 0, NULL);
    if (*thread != NULL)
        return 0;
    int error = npi_take_windows_error();
    FreeLibrary(w->code);
    free(w);
    return error;
}
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- transport.c -------------------- */

#if (!defined(_WIN32))
/* UDP sockets. */
#if defined(__APPLE__) && !defined(__APPLE_USE_RFC_3542)
#define __APPLE_USE_RFC_3542 /* IPV6_RECVPKTINFO */
#endif

/* UDP sockets: bind, send, receive with source and local address, errno to error code. Knows nothing of STUN. */
#ifndef NPI_TRANSPORT_H
#define NPI_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What errors of sockets mean, on every system. */
#ifndef NPI_TRANSPORT_ERRORS_H
#define NPI_TRANSPORT_ERRORS_H

#include <errno.h>
#include <stdbool.h>

/* How many errors one call passes over; each is gone once it has been read. */
#define NPI_PASSED_OVER_MAX 16

/* The NP_ERR_* code for an errno of socket, bind or send. */
int npi_error_from_errno(int os_error);
/* The same while a socket is opened. */
int npi_error_from_open(int os_error);
/*
 * What an ICMP message about an earlier datagram leaves on a socket. It says nothing of the datagram at hand, and
 * anybody can forge it.
 */
bool npi_is_left_by_icmp(int os_error);

static inline bool npi_is_no_room(int os_error)
{
    return os_error == EAGAIN || os_error == EWOULDBLOCK || os_error == ENOBUFS;
}

#endif

typedef struct npi_socket {
    np_socket fd;          /* NP_INVALID_SOCKET: closed */
    npi_addr bound;        /* as bound, with the port that the system chose */
    bool borrowed;         /* its options and its blocking mode are not ours */
    uint32_t link;         /* the index of the interface that it was opened on; 0: none was chosen */
    bool is_mapped;        /* an IPv6 socket that speaks IPv4 (RFC 4291 section 2.5.5.2) */
    const char *shared_by; /* the option by which other sockets may have the same port, and its datagrams; NULL: none */
#ifdef _WIN32
    void (*receive)(void); /* WSARecvMsg, which each provider of sockets has of its own */
#endif
} npi_socket;

#define NPI_SOCKET_CLOSED ((npi_socket){.fd = NP_INVALID_SOCKET})

/* Opens a non-blocking, close-on-exec UDP socket. Returns NP_OK or an NP_ERR_* code. */
int npi_socket_open(npi_socket *s, const npi_addr *local, npi_failure *failure);
/* The same on one interface of the system's, by name, whatever the routes are. NULL: any. */
int npi_socket_open_on(npi_socket *s, const npi_addr *local, const char *interface, npi_failure *failure);
/*
 * Opens another one at the same address with a port of the system's choosing, whose datagrams take the same way: it
 * gets a copy of every option that chooses a route (routing.h).
 */
int npi_socket_open_sibling(npi_socket *s, const npi_socket *other, npi_failure *failure);

/* The families of addresses that a socket of the caller's can send to. */
typedef struct npi_reach {
    bool ipv4;
    bool ipv6;
} npi_reach;

/* NP_ERR_ARGUMENT unless fd is a UDP socket that is bound to a port and not connected. Changes nothing about it. */
int npi_socket_examine(np_socket fd, npi_reach *out);
/* Makes s a duplicate of the caller's socket fd, for one family of those that it reaches. */
int npi_socket_adopt(npi_socket *s, np_socket fd, npi_family family, npi_failure *failure);

/* Closed sockets may be closed again. */
void npi_socket_close(npi_socket *s);

typedef enum npi_io {
    NPI_IO_OK,
    NPI_IO_AGAIN, /* nothing to receive / no room to send: not counted as sent */
    NPI_IO_ERROR  /* *os_error says why */
} npi_io;

/* What transport_io.c builds on: one call of the system, again while a signal interrupts it. 0 or an errno. */
int npi_send_once(np_socket fd, const npi_sockaddr *name, socklen_t length, const uint8_t *data, size_t size);

/* Sends one datagram. EINTR is retried. An ICMP error left by an earlier datagram is cleared and the send retried. */
npi_io npi_socket_send(npi_socket *s, const npi_addr *to, const uint8_t *data, size_t size, int *os_error);

typedef struct npi_received {
    npi_addr from;
    npi_sockaddr name; /* the same as the system has it */
    size_t name_size;
    npi_addr local; /* the local address it was delivered to and the socket's port; family none when not known */
    size_t size;
    /* size of each of several datagrams in a row, the last may be shorter (UDP_GRO); else that of the one */
    size_t segment;
    bool truncated;   /* longer than the buffer */
    uint64_t wall_ns; /* when the system took it in, on its wall clock; 0 when not known */
} npi_received;

int npi_receive_once(const npi_socket *s, uint8_t *buffer, size_t room, npi_received *out);
/* Receives one datagram. Errors that ICMP left on the socket are passed over: they are hints, not answers. */
npi_io npi_socket_receive(npi_socket *s, uint8_t *buffer, size_t room, npi_received *out, int *os_error);

/*
 * The local address that the system would send from to reach remote (no datagram is sent). False, with the call that
 * failed, when there is none.
 */
bool npi_local_address_for(const npi_socket *s, const npi_addr *remote, npi_addr *out, npi_failure *failure);

#endif

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#ifdef __linux__
#include <netinet/udp.h> /* UDP_GRO */
#endif
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What makes a socket's datagrams take one route and not another. */
#ifndef NPI_ROUTING_H
#define NPI_ROUTING_H

#include <stdbool.h>



/*
 * Gives the new socket to, which sends to addresses of that family, every option of from that takes part in choosing a
 * route. Returns NULL, or what failed as a literal, with errno. errno is 0 when the sockets can never share a route.
 */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family);

#ifndef _WIN32
/* False for a socket of another namespace, passed on by another process, say: it has other interfaces and routes. */
bool npi_is_in_same_namespace(int to, int from);
#endif

/* Ties a socket to an interface. False with errno when it cannot: ENODEV when there is none of that name. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family);

#endif

/* ---- Addresses of the system ------------------------------------------------------------------------------------ */

static npi_addr transport_from_ip(npi_family family, const void *ip, size_t size)
{
    npi_addr to = {.family = (uint8_t)family};
    memcpy(to.ip, ip, size);
    return to;
}

/* The address a socket is bound to or sends from. */
static bool transport_own_address(int fd, npi_addr *out)
{
    npi_sockaddr name;
    socklen_t length = sizeof name;
    if (getsockname(fd, &name.any, &length) != 0)
        return false;
    *out = npi_addr_from_sockaddr(&name.any);
    return true;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int transport_open_udp(int family)
{
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    return socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
    int fd = socket(family, SOCK_DGRAM, 0);
    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)) {
        int kept = errno;
        close(fd);
        errno = kept;
        return -1;
    }
    return fd;
#endif
}

static bool enable(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/* Where the system cannot tell the local address of a datagram, that is known only of a socket bound to one address. */
static void transport_ask_for_local_address(int fd, npi_family family)
{
    if (family == NPI_IPV6)
        (void)enable(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
#if defined(IP_PKTINFO)
    else
        (void)enable(fd, IPPROTO_IP, IP_PKTINFO);
#elif defined(IP_RECVDSTADDR)
    else
        (void)enable(fd, IPPROTO_IP, IP_RECVDSTADDR);
#endif
}

/* Without it a datagram is as old as its reading: a process that was held up takes its answers for late ones. */
static void ask_for_time(int fd)
{
#if defined(SO_TIMESTAMPNS)
    (void)enable(fd, SOL_SOCKET, SO_TIMESTAMPNS);
#elif defined(SO_TIMESTAMP)
    (void)enable(fd, SOL_SOCKET, SO_TIMESTAMP);
#endif
}

/* What leaves by another way would meet another NAT. Else only a socket of the caller's has options that route. */
static const char *transport_copy_route(int fd, const npi_socket *other)
{
    if (other == NULL || (!other->borrowed && other->link == 0))
        return NULL;
    return npi_copy_routing_options(fd, other->fd, (npi_family)other->bound.family);
}

/* No SO_REUSEADDR: for UDP it would let two sockets take each other's datagrams on one port. */
static const char *transport_set_up(int fd, const npi_addr *local)
{
    npi_sockaddr name;
    socklen_t length = npi_sockaddr_from(local, &name);
    /* One family a socket: an IPv4 address would else hide in ::ffff:0:0/96, and the port be shared with IPv4. */
    if (local->family == NPI_IPV6 && !enable(fd, IPPROTO_IPV6, IPV6_V6ONLY))
        return "setsockopt(IPV6_V6ONLY)";
    transport_ask_for_local_address(fd, (npi_family)local->family);
    ask_for_time(fd);
    if (bind(fd, &name.any, length) == 0)
        return NULL;
    return local->port == 0 ? NPI_BIND_ANY : "bind";
}

/* The way of another socket, or an interface; both NULL: as the system routes. */
typedef struct transport_route {
    const npi_socket *of;
    const char *interface;
} transport_route;

static const char *transport_take_way(npi_socket *s, npi_family family, const transport_route *way)
{
    if (way->interface == NULL) {
        s->link = way->of != NULL ? way->of->link : 0;
        return transport_copy_route(s->fd, way->of);
    }
    if (!npi_route_by_interface(s->fd, way->interface, family))
        return NPI_CHOOSE_INTERFACE;
    s->link = if_nametoindex(way->interface);
    return s->link != 0 ? NULL : NPI_CHOOSE_INTERFACE;
}

/* NULL, or the call that failed, with errno. */
static const char *transport_open_parts(npi_socket *s, const npi_addr *local, const transport_route *way)
{
    s->fd = transport_open_udp(local->family == NPI_IPV4 ? AF_INET : AF_INET6);
    if (s->fd == NP_INVALID_SOCKET)
        return "socket";
    const char *failed = transport_take_way(s, (npi_family)local->family, way);
    if (failed == NULL)
        failed = transport_set_up(s->fd, local);
    if (failed == NULL && !transport_own_address(s->fd, &s->bound))
        failed = "getsockname";
    return failed;
}

/* Takes errno for the call, closes s and says which error that is; the call NULL: no error. */
static int transport_settle(npi_socket *s, const char *call, npi_failure *failure)
{
    *failure = NPI_FAILURE_NONE;
    if (call == NULL)
        return NP_OK;
    *failure = npi_failure_of(call);
    npi_socket_close(s);
    return npi_error_from_open(failure->os_error);
}

static int transport_open_on_way(npi_socket *s, const npi_addr *local, const transport_route *way, npi_failure *failure)
{
    *s = NPI_SOCKET_CLOSED;
    *failure = (npi_failure){.call = "socket", .os_error = EAFNOSUPPORT};
    if (!npi_addr_is_set(local))
        return NP_ERR_ARGUMENT;
    return transport_settle(s, transport_open_parts(s, local, way), failure);
}

int npi_socket_open(npi_socket *s, const npi_addr *local, npi_failure *failure)
{
    return npi_socket_open_on(s, local, NULL, failure);
}

int npi_socket_open_on(npi_socket *s, const npi_addr *local, const char *interface, npi_failure *failure)
{
    return transport_open_on_way(s, local, &(transport_route){.interface = interface}, failure);
}

int npi_socket_open_sibling(npi_socket *s, const npi_socket *other, npi_failure *failure)
{
    npi_addr local = npi_addr_with_port(&other->bound, 0);
    return transport_open_on_way(s, &local, &(transport_route){.of = other}, failure);
}

void npi_socket_close(npi_socket *s)
{
    if (s->fd != NP_INVALID_SOCKET)
        close(s->fd);
    *s = NPI_SOCKET_CLOSED;
}

/* ---- The caller's socket ---------------------------------------------------------------------------------------- */

static bool transport_get_option(int fd, int level, int option, int *value)
{
    socklen_t length = sizeof *value;
    return getsockopt(fd, level, option, value, &length) == 0;
}

static bool option_is(int fd, int level, int option, int wanted)
{
    int value = 0;
    return transport_get_option(fd, level, option, &value) && value == wanted;
}

static const char *transport_sharing_option(int fd)
{
    int value = 0;
#ifdef SO_REUSEPORT
    if (transport_get_option(fd, SOL_SOCKET, SO_REUSEPORT, &value) && value != 0)
        return "SO_REUSEPORT";
#endif
    return transport_get_option(fd, SOL_SOCKET, SO_REUSEADDR, &value) && value != 0 ? "SO_REUSEADDR" : NULL;
}

static bool transport_is_udp(int fd)
{
#ifdef SO_PROTOCOL
    if (!option_is(fd, SOL_SOCKET, SO_PROTOCOL, IPPROTO_UDP))
        return false;
#endif
    return option_is(fd, SOL_SOCKET, SO_TYPE, SOCK_DGRAM);
}

static bool transport_is_connected(int fd)
{
    npi_sockaddr peer;
    socklen_t length = sizeof peer;
    return getpeername(fd, &peer.any, &length) == 0;
}

/* The families that a socket bound to an address reaches. False when the system does not tell. */
static bool transport_reach_of(int fd, const npi_addr *bound, npi_reach *out)
{
    npi_addr plain = npi_addr_unmap(bound);
    *out = (npi_reach){.ipv4 = plain.family == NPI_IPV4, .ipv6 = plain.family == NPI_IPV6};
    if (!out->ipv6 || !npi_addr_is_any(bound))
        return out->ipv4 || out->ipv6;
    int only = 0;
    if (!transport_get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only))
        return false;
    out->ipv4 = only == 0;
    return true;
}

int npi_socket_examine(int fd, npi_reach *out)
{
    npi_addr bound;
    if (!transport_is_udp(fd) || !transport_own_address(fd, &bound) || bound.port == 0 || transport_is_connected(fd))
        return NP_ERR_ARGUMENT;
    return transport_reach_of(fd, &bound, out) ? NP_OK : NP_ERR_ARGUMENT;
}

int npi_socket_adopt(npi_socket *s, int fd, npi_family family, npi_failure *failure)
{
    npi_reach reach;
    *s = NPI_SOCKET_CLOSED;
    *failure = NPI_FAILURE_NONE;
    if (npi_socket_examine(fd, &reach) != NP_OK || !(family == NPI_IPV4 ? reach.ipv4 : reach.ipv6))
        return NP_ERR_ARGUMENT;
    npi_socket adopted = {.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .borrowed = true};
    if (adopted.fd == NP_INVALID_SOCKET)
        return transport_settle(&adopted, "fcntl(F_DUPFD_CLOEXEC)", failure);
    if (!transport_own_address(adopted.fd, &adopted.bound))
        return transport_settle(&adopted, "getsockname", failure);
    adopted.is_mapped = family == NPI_IPV4 && adopted.bound.family == NPI_IPV6;
    if (adopted.is_mapped && npi_addr_is_any(&adopted.bound))
        adopted.bound = (npi_addr){.family = NPI_IPV4, .port = adopted.bound.port};
    adopted.bound = npi_addr_unmap(&adopted.bound);
    adopted.shared_by = transport_sharing_option(adopted.fd);
    *s = adopted;
    return NP_OK;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

int npi_send_once(np_socket fd, const npi_sockaddr *name, socklen_t length, const uint8_t *data, size_t size)
{
    ssize_t sent;
    do {
        sent = sendto(fd, data, size, MSG_DONTWAIT, &name->any, length);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* Room for the control messages asked for, and aligned as they must be. */
typedef union transport_control {
    struct cmsghdr header;
    uint8_t bytes[256];
} transport_control;

static uint64_t wall_ns_of(int64_t seconds, int64_t ns)
{
    return seconds < 0 || ns < 0 ? 0 : (uint64_t)seconds * UINT64_C(1000000000) + (uint64_t)ns;
}

/* When the datagram came in. The caller's socket may ask for either form. */
static void read_time(struct cmsghdr *c, npi_received *out)
{
#if defined(SCM_TIMESTAMPNS)
    struct timespec exact;
    if (c->cmsg_type == SCM_TIMESTAMPNS && c->cmsg_len == CMSG_LEN(sizeof exact)) {
        memcpy(&exact, CMSG_DATA(c), sizeof exact);
        out->wall_ns = wall_ns_of(exact.tv_sec, exact.tv_nsec);
    }
#endif
#if defined(SCM_TIMESTAMP)
    struct timeval rough;
    if (c->cmsg_type == SCM_TIMESTAMP && c->cmsg_len == CMSG_LEN(sizeof rough)) {
        memcpy(&rough, CMSG_DATA(c), sizeof rough);
        out->wall_ns = wall_ns_of(rough.tv_sec, (int64_t)rough.tv_usec * 1000);
    }
#endif
}

/*
 * What one control message tells: the address that the datagram was sent to, when it came in, or that there are several
 * of them in a row. The caller's socket may have others.
 */
static void transport_read_control(struct cmsghdr *c, npi_received *out)
{
    if (c->cmsg_level == SOL_SOCKET)
        read_time(c, out);
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        npi_addr local = transport_from_ip(NPI_IPV6, &info.ipi6_addr, sizeof info.ipi6_addr);
        out->local = npi_addr_with_scope(&local, info.ipi6_ifindex);
    }
#if defined(IP_PKTINFO)
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        out->local = transport_from_ip(NPI_IPV4, &info.ipi_addr, sizeof info.ipi_addr);
    }
#elif defined(IP_RECVDSTADDR)
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVDSTADDR)
        out->local = transport_from_ip(NPI_IPV4, CMSG_DATA(c), sizeof(struct in_addr));
#endif
#if defined(UDP_GRO)
    if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
        int segment;
        memcpy(&segment, CMSG_DATA(c), sizeof segment);
        if (segment > 0)
            out->segment = (size_t)segment;
    }
#endif
}

/* The macro of musl compares and casts in ways that compilers warn about. */
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wcast-align"
#endif
static struct cmsghdr *transport_next_control(struct msghdr *message, struct cmsghdr *c)
{
    return CMSG_NXTHDR(message, c);
}
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static void transport_read_controls(const npi_socket *s, struct msghdr *message, npi_received *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = transport_next_control(message, c))
        transport_read_control(c, out);
    if (!npi_addr_is_set(&out->local) && !npi_addr_is_any(&s->bound))
        out->local = s->bound;
    if (npi_addr_is_set(&out->local))
        out->local.port = s->bound.port;
}

int npi_receive_once(const npi_socket *s, uint8_t *buffer, size_t room, npi_received *out)
{
    transport_control control_room;
    memset(out, 0, sizeof *out);
    struct iovec piece = {.iov_base = buffer, .iov_len = room};
    struct msghdr message = {.msg_name = &out->name,
                             .msg_namelen = sizeof out->name,
                             .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control_room,
                             .msg_controllen = sizeof control_room};
    ssize_t size;
    do {
        size = recvmsg(s->fd, &message, MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno;
    out->name_size = message.msg_namelen;
    out->from = npi_addr_from_sockaddr(&out->name.any);
    if (s->is_mapped)
        out->from = npi_addr_unmap(&out->from);
    out->size = out->segment = (size_t)size;
    out->truncated = (message.msg_flags & MSG_TRUNC) != 0;
    transport_read_controls(s, &message, out);
    return 0;
}

/* ---- Routes ----------------------------------------------------------------------------------------------------- */

/*
 * Connecting a UDP socket makes the system choose a route and with it an address, and sends nothing. NULL, or the call
 * that failed.
 */
static const char *transport_connect_beside(int fd, const npi_socket *s, const npi_addr *remote, npi_addr *local)
{
    npi_sockaddr name;
    npi_addr any_port = npi_addr_with_port(&s->bound, 0);
    socklen_t length = npi_sockaddr_from(&any_port, &name);
    const char *failed = transport_copy_route(fd, s);
    if (failed != NULL)
        return failed;
    if (bind(fd, &name.any, length) != 0)
        return NPI_BIND_ANY;
    length = npi_sockaddr_from(remote, &name);
    if (connect(fd, &name.any, length) != 0)
        return "connect";
    if (!transport_own_address(fd, local))
        return "getsockname";
    errno = ENETUNREACH;
    return npi_addr_is_any(local) ? "connect" : NULL;
}

bool npi_local_address_for(const npi_socket *s, const npi_addr *remote, npi_addr *out, npi_failure *failure)
{
    npi_addr local;
    *failure = (npi_failure){.call = "connect", .os_error = EAFNOSUPPORT};
    if (s->bound.family != remote->family || !npi_addr_is_set(remote))
        return false;
    int fd = transport_open_udp(remote->family == NPI_IPV4 ? AF_INET : AF_INET6);
    const char *failed = fd < 0 ? "socket" : transport_connect_beside(fd, s, remote, &local);
    *failure = failed != NULL ? npi_failure_of(failed) : NPI_FAILURE_NONE;
    if (fd >= 0)
        close(fd);
    if (failed == NULL)
        *out = npi_addr_with_port(&local, s->bound.port);
    return failed == NULL;
}
#undef __APPLE_USE_RFC_3542
#endif /* (!defined(_WIN32)) */

/* ---- transport_errors.c -------------------- */

/*
 * What errors of sockets mean, on every system.
 *
 * Error codes, so that the caller of the library knows what to do: a port that is taken, an address that is not this
 * host's, and no way to the network have codes of their own. A port that only root may use (EACCES from bind) and a
 * system that forbids sockets at all are NP_ERR_SYSTEM with their errno: no other code would be true of them. The same
 * errno from a send is the host's firewall speaking and means that the network cannot be reached.
 */
/* What errors of sockets mean, on every system. */
#ifndef NPI_TRANSPORT_ERRORS_H
#define NPI_TRANSPORT_ERRORS_H

#include <errno.h>
#include <stdbool.h>

/* How many errors one call passes over; each is gone once it has been read. */
#define NPI_PASSED_OVER_MAX 16

/* The NP_ERR_* code for an errno of socket, bind or send. */
int npi_error_from_errno(int os_error);
/* The same while a socket is opened. */
int npi_error_from_open(int os_error);
/*
 * What an ICMP message about an earlier datagram leaves on a socket. It says nothing of the datagram at hand, and
 * anybody can forge it.
 */
bool npi_is_left_by_icmp(int os_error);

static inline bool npi_is_no_room(int os_error)
{
    return os_error == EAGAIN || os_error == EWOULDBLOCK || os_error == ENOBUFS;
}

#endif


int npi_error_from_errno(int os_error)
{
    switch (os_error) {
    case EADDRINUSE:
        return NP_ERR_ADDRESS_IN_USE;
    case EADDRNOTAVAIL:
        return NP_ERR_ADDRESS_NOT_AVAILABLE;
    case ENOMEM:
    case ENOBUFS:
        return NP_ERR_NO_MEMORY;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
#ifdef EHOSTDOWN
    case EHOSTDOWN:
#endif
    case ENODEV: /* the interface that the socket is tied to is gone */
    case EPERM:  /* the host's firewall */
    case EACCES: /* the same, or a policy route that prohibits */
    case EINVAL: /* Linux: to another host from a loopback address, or to a link-local address without its link */
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return NP_ERR_NETWORK_UNREACHABLE;
    default:
        return NP_ERR_SYSTEM;
    }
}

int npi_error_from_open(int os_error)
{
    if (os_error == EACCES || os_error == EPERM)
        return NP_ERR_SYSTEM;
    if (os_error == EINVAL || os_error == ENODEV) /* bind: a link-local address without its link, or its link is gone */
        return NP_ERR_ADDRESS_NOT_AVAILABLE;
    return npi_error_from_errno(os_error);
}

bool npi_is_left_by_icmp(int os_error)
{
    switch (os_error) {
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
#ifdef EHOSTDOWN
    case EHOSTDOWN:
#endif
    case ENETDOWN:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
    case EMSGSIZE:
    case EACCES:
#ifdef ENONET
    case ENONET:
#endif
#ifdef _WIN32
    case ENETRESET: /* its time to live expired on the way */
#endif
        return true;
    default:
        return false;
    }
}

/* ---- transport_io.c -------------------- */

/* Sending and receiving a datagram: what is the same on every system. */
#include <errno.h>
#include <string.h>

/* UDP sockets: bind, send, receive with source and local address, errno to error code. Knows nothing of STUN. */
#ifndef NPI_TRANSPORT_H
#define NPI_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef struct npi_socket {
    np_socket fd;          /* NP_INVALID_SOCKET: closed */
    npi_addr bound;        /* as bound, with the port that the system chose */
    bool borrowed;         /* its options and its blocking mode are not ours */
    uint32_t link;         /* the index of the interface that it was opened on; 0: none was chosen */
    bool is_mapped;        /* an IPv6 socket that speaks IPv4 (RFC 4291 section 2.5.5.2) */
    const char *shared_by; /* the option by which other sockets may have the same port, and its datagrams; NULL: none */
#ifdef _WIN32
    void (*receive)(void); /* WSARecvMsg, which each provider of sockets has of its own */
#endif
} npi_socket;

#define NPI_SOCKET_CLOSED ((npi_socket){.fd = NP_INVALID_SOCKET})

/* Opens a non-blocking, close-on-exec UDP socket. Returns NP_OK or an NP_ERR_* code. */
int npi_socket_open(npi_socket *s, const npi_addr *local, npi_failure *failure);
/* The same on one interface of the system's, by name, whatever the routes are. NULL: any. */
int npi_socket_open_on(npi_socket *s, const npi_addr *local, const char *interface, npi_failure *failure);
/*
 * Opens another one at the same address with a port of the system's choosing, whose datagrams take the same way: it
 * gets a copy of every option that chooses a route (routing.h).
 */
int npi_socket_open_sibling(npi_socket *s, const npi_socket *other, npi_failure *failure);

/* The families of addresses that a socket of the caller's can send to. */
typedef struct npi_reach {
    bool ipv4;
    bool ipv6;
} npi_reach;

/* NP_ERR_ARGUMENT unless fd is a UDP socket that is bound to a port and not connected. Changes nothing about it. */
int npi_socket_examine(np_socket fd, npi_reach *out);
/* Makes s a duplicate of the caller's socket fd, for one family of those that it reaches. */
int npi_socket_adopt(npi_socket *s, np_socket fd, npi_family family, npi_failure *failure);

/* Closed sockets may be closed again. */
void npi_socket_close(npi_socket *s);

typedef enum npi_io {
    NPI_IO_OK,
    NPI_IO_AGAIN, /* nothing to receive / no room to send: not counted as sent */
    NPI_IO_ERROR  /* *os_error says why */
} npi_io;

/* What transport_io.c builds on: one call of the system, again while a signal interrupts it. 0 or an errno. */
int npi_send_once(np_socket fd, const npi_sockaddr *name, socklen_t length, const uint8_t *data, size_t size);

/* Sends one datagram. EINTR is retried. An ICMP error left by an earlier datagram is cleared and the send retried. */
npi_io npi_socket_send(npi_socket *s, const npi_addr *to, const uint8_t *data, size_t size, int *os_error);

typedef struct npi_received {
    npi_addr from;
    npi_sockaddr name; /* the same as the system has it */
    size_t name_size;
    npi_addr local; /* the local address it was delivered to and the socket's port; family none when not known */
    size_t size;
    /* size of each of several datagrams in a row, the last may be shorter (UDP_GRO); else that of the one */
    size_t segment;
    bool truncated;   /* longer than the buffer */
    uint64_t wall_ns; /* when the system took it in, on its wall clock; 0 when not known */
} npi_received;

int npi_receive_once(const npi_socket *s, uint8_t *buffer, size_t room, npi_received *out);
/* Receives one datagram. Errors that ICMP left on the socket are passed over: they are hints, not answers. */
npi_io npi_socket_receive(npi_socket *s, uint8_t *buffer, size_t room, npi_received *out, int *os_error);

/*
 * The local address that the system would send from to reach remote (no datagram is sent). False, with the call that
 * failed, when there is none.
 */
bool npi_local_address_for(const npi_socket *s, const npi_addr *remote, npi_addr *out, npi_failure *failure);

#endif

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

/* An IPv6 socket that speaks IPv4 wants an IPv4-mapped address. */
static socklen_t destination_of(const npi_socket *s, const npi_addr *to, npi_sockaddr *out)
{
    if (!s->is_mapped || to->family != NPI_IPV4)
        return npi_sockaddr_from(to, out);
    npi_addr mapped = {.family = NPI_IPV6, .ip = {[10] = 0xff, [11] = 0xff}, .port = to->port};
    memcpy(mapped.ip + 12, to->ip, 4);
    return npi_sockaddr_from(&mapped, out);
}

/* The link that an address names outweighs the interface of the socket: the datagram would leave by another one. */
static bool is_on_other_link(const npi_socket *s, const npi_addr *to)
{
    return s->link != 0 && to->scope != 0 && to->scope != s->link;
}

npi_io npi_socket_send(npi_socket *s, const npi_addr *to, const uint8_t *data, size_t size, int *os_error)
{
    npi_sockaddr name;
    socklen_t length = destination_of(s, to, &name);
    *os_error = ENETUNREACH;
    if (is_on_other_link(s, to))
        return NPI_IO_ERROR;
    *os_error = npi_send_once(s->fd, &name, length, data, size);
    if (npi_is_left_by_icmp(*os_error))
        *os_error = npi_send_once(s->fd, &name, length, data, size);
    if (*os_error == 0)
        return NPI_IO_OK;
    if (npi_is_no_room(*os_error))
        return NPI_IO_AGAIN;
    /* No address of ours to send from: as there is a socket, this is the network's fault and not the caller's. */
    if (*os_error == EADDRNOTAVAIL)
        *os_error = ENETUNREACH;
    return NPI_IO_ERROR;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

npi_io npi_socket_receive(npi_socket *s, uint8_t *buffer, size_t room, npi_received *out, int *os_error)
{
    int passed_over = 0;
    do {
        *os_error = npi_receive_once(s, buffer, room, out);
    } while (npi_is_left_by_icmp(*os_error) && ++passed_over < NPI_PASSED_OVER_MAX);
    if (*os_error == 0)
        return NPI_IO_OK;
    return npi_is_no_room(*os_error) || npi_is_left_by_icmp(*os_error) ? NPI_IO_AGAIN : NPI_IO_ERROR;
}

/* ---- transport_windows.c -------------------- */

#if (defined(_WIN32))
/*
 * UDP sockets on Windows.
 *
 * Each socket of the library's starts Windows' socket library, and ends it when it is closed: Windows counts. Errors
 * are turned into those of errno at once, so that what they mean is decided in one place for every system
 * (transport_errors.c).
 */

#include <errno.h>
#include <string.h>

#include <mswsock.h>

/* What makes a socket's datagrams take one route and not another. */
#ifndef NPI_ROUTING_H
#define NPI_ROUTING_H

#include <stdbool.h>



/*
 * Gives the new socket to, which sends to addresses of that family, every option of from that takes part in choosing a
 * route. Returns NULL, or what failed as a literal, with errno. errno is 0 when the sockets can never share a route.
 */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family);

#ifndef _WIN32
/* False for a socket of another namespace, passed on by another process, say: it has other interfaces and routes. */
bool npi_is_in_same_namespace(int to, int from);
#endif

/* Ties a socket to an interface. False with errno when it cannot: ENODEV when there is none of that name. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family);

#endif

#ifndef SIO_UDP_CONNRESET
#define SIO_UDP_CONNRESET _WSAIOW(IOC_VENDOR, 12)
#endif
#ifndef SIO_UDP_NETRESET
#define SIO_UDP_NETRESET _WSAIOW(IOC_VENDOR, 15)
#endif

/* NULL where it succeeded; else the call, with errno. */
static const char *transport_windows_outcome_of(int returned, const char *call)
{
    if (returned == 0)
        return NULL;
    (void)npi_take_windows_error();
    return call;
}

/* ---- Addresses of the system ------------------------------------------------------------------------------------ */

/* The address a socket is bound to or sends from. */
static const char *transport_windows_own_address(np_socket fd, npi_addr *out)
{
    npi_sockaddr name;
    socklen_t length = sizeof name;
    const char *failed = transport_windows_outcome_of(getsockname(fd, &name.any, &length), "getsockname");
    if (failed == NULL)
        *out = npi_addr_from_sockaddr(&name.any);
    return failed;
}

/* ---- Options ---------------------------------------------------------------------------------------------------- */

static int set_option(np_socket fd, int level, int option, DWORD value)
{
    return setsockopt(fd, level, option, (const char *)&value, sizeof value);
}

static bool transport_windows_get_option(np_socket fd, int level, int option, DWORD *value)
{
    int length = sizeof *value;
    *value = 0;
    return getsockopt(fd, level, option, (char *)value, &length) == 0;
}

/*
 * Else Windows lets a receive fail because of an ICMP message about some earlier datagram. Where a system does not know
 * the one or the other, the errors are passed over when they come.
 */
static void refuse_icmp_errors(np_socket fd)
{
    BOOL off = FALSE;
    DWORD unused = 0;
    (void)WSAIoctl(fd, SIO_UDP_CONNRESET, &off, sizeof off, NULL, 0, &unused, NULL, NULL);
    (void)WSAIoctl(fd, SIO_UDP_NETRESET, &off, sizeof off, NULL, 0, &unused, NULL, NULL);
}

static const char *find_receive(npi_socket *s)
{
    static const GUID wanted = WSAID_WSARECVMSG;
    GUID id = wanted;
    DWORD size = 0;
    return transport_windows_outcome_of(WSAIoctl(s->fd, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, &s->receive,
                               sizeof s->receive, &size, NULL, NULL),
                      "WSAIoctl(WSARecvMsg)");
}

static void transport_windows_ask_for_local_address(np_socket fd, npi_family family)
{
    if (family == NPI_IPV6)
        (void)set_option(fd, IPPROTO_IPV6, IPV6_PKTINFO, 1);
    else
        (void)set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

/* What leaves by another way would meet another NAT. Else only a socket of the caller's has options that route. */
static const char *transport_windows_copy_route(np_socket fd, const npi_socket *other)
{
    if (other == NULL || (!other->borrowed && other->link == 0))
        return NULL;
    return npi_copy_routing_options(fd, other->fd, (npi_family)other->bound.family);
}

/* Not inherited by processes that the program starts. */
static np_socket transport_windows_open_udp(npi_family family)
{
    np_socket fd = WSASocketW(family == NPI_IPV4 ? AF_INET : AF_INET6, SOCK_DGRAM, IPPROTO_UDP, NULL, 0,
                              WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (!npi_is_socket(fd))
        (void)npi_take_windows_error();
    return fd;
}

static const char *bind_to(np_socket fd, const npi_addr *local)
{
    npi_sockaddr name;
    socklen_t length = npi_sockaddr_from(local, &name);
    return transport_windows_outcome_of(bind(fd, &name.any, length), local->port == 0 ? NPI_BIND_ANY : "bind");
}

/*
 * The port is for this socket alone: without that, any program may bind it again and take its datagrams. One family a
 * socket: Windows' default, which a program may change for all.
 */
static const char *transport_windows_set_up(np_socket fd, const npi_addr *local)
{
    u_long on = 1;
    const char *failed = NULL;
    if (local->family == NPI_IPV6)
        failed = transport_windows_outcome_of(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), "setsockopt(IPV6_V6ONLY)");
    if (failed == NULL)
        failed = transport_windows_outcome_of(set_option(fd, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1), "setsockopt(SO_EXCLUSIVEADDRUSE)");
    if (failed == NULL)
        failed = transport_windows_outcome_of(ioctlsocket(fd, (long)FIONBIO, &on), "ioctlsocket(FIONBIO)");
    if (failed != NULL)
        return failed;
    refuse_icmp_errors(fd);
    transport_windows_ask_for_local_address(fd, (npi_family)local->family);
    return bind_to(fd, local);
}

/* The way of another socket, or an interface; both NULL: as the system routes. */
typedef struct transport_windows_route {
    const npi_socket *of;
    const char *interface_name;
} transport_windows_route;

static const char *transport_windows_take_way(npi_socket *s, npi_family family, const transport_windows_route *way)
{
    if (way->interface_name == NULL) {
        s->link = way->of != NULL ? way->of->link : 0;
        return transport_windows_copy_route(s->fd, way->of);
    }
    if (!npi_route_by_interface(s->fd, way->interface_name, family))
        return NPI_CHOOSE_INTERFACE;
    s->link = npi_interface_index(way->interface_name);
    return s->link != 0 ? NULL : NPI_CHOOSE_INTERFACE;
}

/* NULL, or the call that failed, with errno. */
static const char *transport_windows_open_parts(npi_socket *s, const npi_addr *local, const transport_windows_route *way)
{
    s->fd = transport_windows_open_udp((npi_family)local->family);
    if (!npi_is_socket(s->fd))
        return "socket";
    const char *failed = transport_windows_take_way(s, (npi_family)local->family, way);
    if (failed == NULL)
        failed = transport_windows_set_up(s->fd, local);
    if (failed == NULL)
        failed = find_receive(s);
    return failed != NULL ? failed : transport_windows_own_address(s->fd, &s->bound);
}

/* Takes errno for the call, closes s and says which error that is; the call NULL: no error. */
static int transport_windows_settle(npi_socket *s, const char *call, npi_failure *failure)
{
    *failure = NPI_FAILURE_NONE;
    if (call == NULL)
        return NP_OK;
    *failure = npi_failure_of(call);
    if (!npi_is_socket(s->fd))
        npi_sockets_end(); /* an open socket ends it when it is closed */
    npi_socket_close(s);
    return npi_error_from_open(failure->os_error);
}

static int fail_to_start(npi_failure *failure)
{
    *failure = npi_failure_of("WSAStartup");
    return NP_ERR_SYSTEM;
}

static int transport_windows_open_on_way(npi_socket *s, const npi_addr *local, const transport_windows_route *way, npi_failure *failure)
{
    *s = NPI_SOCKET_CLOSED;
    *failure = (npi_failure){.call = "socket", .os_error = EAFNOSUPPORT};
    if (!npi_addr_is_set(local))
        return NP_ERR_ARGUMENT;
    if (!npi_sockets_begin())
        return fail_to_start(failure);
    return transport_windows_settle(s, transport_windows_open_parts(s, local, way), failure);
}

int npi_socket_open(npi_socket *s, const npi_addr *local, npi_failure *failure)
{
    return npi_socket_open_on(s, local, NULL, failure);
}

int npi_socket_open_on(npi_socket *s, const npi_addr *local, const char *interface_name, npi_failure *failure)
{
    return transport_windows_open_on_way(s, local, &(transport_windows_route){.interface_name = interface_name}, failure);
}

int npi_socket_open_sibling(npi_socket *s, const npi_socket *other, npi_failure *failure)
{
    npi_addr local = npi_addr_with_port(&other->bound, 0);
    return transport_windows_open_on_way(s, &local, &(transport_windows_route){.of = other}, failure);
}

void npi_socket_close(npi_socket *s)
{
    if (npi_is_socket(s->fd)) {
        closesocket(s->fd);
        npi_sockets_end();
    }
    *s = NPI_SOCKET_CLOSED;
}

/* ---- The caller's socket ---------------------------------------------------------------------------------------- */

static bool transport_windows_is_udp(np_socket fd)
{
    WSAPROTOCOL_INFOW info;
    int length = sizeof info;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length) == 0 &&
           info.iSocketType == SOCK_DGRAM && info.iProtocol == IPPROTO_UDP;
}

static bool transport_windows_is_connected(np_socket fd)
{
    npi_sockaddr peer;
    socklen_t length = sizeof peer;
    return getpeername(fd, &peer.any, &length) == 0;
}

/* The families that a socket bound to an address reaches. False when the system does not tell. */
static bool transport_windows_reach_of(np_socket fd, const npi_addr *bound, npi_reach *out)
{
    npi_addr plain = npi_addr_unmap(bound);
    *out = (npi_reach){.ipv4 = plain.family == NPI_IPV4, .ipv6 = plain.family == NPI_IPV6};
    if (!out->ipv6 || !npi_addr_is_any(bound))
        return out->ipv4 || out->ipv6;
    DWORD only = 0;
    if (!transport_windows_get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only))
        return false;
    out->ipv4 = only == 0;
    return true;
}

int npi_socket_examine(np_socket fd, npi_reach *out)
{
    npi_addr bound;
    if (!transport_windows_is_udp(fd) || transport_windows_own_address(fd, &bound) != NULL || bound.port == 0 || transport_windows_is_connected(fd))
        return NP_ERR_ARGUMENT;
    return transport_windows_reach_of(fd, &bound, out) ? NP_OK : NP_ERR_ARGUMENT;
}

static np_socket duplicate(np_socket fd)
{
    WSAPROTOCOL_INFOW info;
    np_socket twin = NP_INVALID_SOCKET;
    if (WSADuplicateSocketW(fd, GetCurrentProcessId(), &info) == 0)
        twin = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0,
                          WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (!npi_is_socket(twin))
        (void)npi_take_windows_error();
    return twin;
}

/* NULL, or the call that failed, with errno. */
static const char *adopt_parts(npi_socket *s, np_socket fd)
{
    s->fd = duplicate(fd);
    if (!npi_is_socket(s->fd))
        return "WSADuplicateSocket";
    refuse_icmp_errors(s->fd);
    const char *failed = find_receive(s);
    return failed != NULL ? failed : transport_windows_own_address(s->fd, &s->bound);
}

static const char *transport_windows_sharing_option(np_socket fd)
{
    DWORD value;
    return transport_windows_get_option(fd, SOL_SOCKET, SO_REUSEADDR, &value) && value != 0 ? "SO_REUSEADDR" : NULL;
}

int npi_socket_adopt(npi_socket *s, np_socket fd, npi_family family, npi_failure *failure)
{
    npi_reach reach;
    *s = NPI_SOCKET_CLOSED;
    *failure = NPI_FAILURE_NONE;
    if (npi_socket_examine(fd, &reach) != NP_OK || !(family == NPI_IPV4 ? reach.ipv4 : reach.ipv6))
        return NP_ERR_ARGUMENT;
    if (!npi_sockets_begin())
        return fail_to_start(failure);
    npi_socket adopted = {.fd = NP_INVALID_SOCKET, .borrowed = true};
    const char *failed = adopt_parts(&adopted, fd);
    if (failed != NULL)
        return transport_windows_settle(&adopted, failed, failure);
    adopted.is_mapped = family == NPI_IPV4 && adopted.bound.family == NPI_IPV6;
    if (adopted.is_mapped && npi_addr_is_any(&adopted.bound))
        adopted.bound = (npi_addr){.family = NPI_IPV4, .port = adopted.bound.port};
    adopted.bound = npi_addr_unmap(&adopted.bound);
    adopted.shared_by = transport_windows_sharing_option(adopted.fd);
    *s = adopted;
    return NP_OK;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

int npi_send_once(np_socket fd, const npi_sockaddr *name, socklen_t length, const uint8_t *data, size_t size)
{
    return sendto(fd, (const char *)data, (int)size, 0, &name->any, length) >= 0 ? 0 : npi_take_windows_error();
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* Room for the control messages asked for, and aligned as they must be. */
typedef union transport_windows_control {
    WSACMSGHDR header;
    uint8_t bytes[256];
} transport_windows_control;

static npi_addr transport_windows_from_ip(npi_family family, const void *ip, size_t size)
{
    npi_addr to = {.family = (uint8_t)family};
    memcpy(to.ip, ip, size);
    return to;
}

static void transport_windows_read_control(WSACMSGHDR *c, npi_received *out)
{
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        IN6_PKTINFO info;
        memcpy(&info, WSA_CMSG_DATA(c), sizeof info);
        npi_addr local = transport_windows_from_ip(NPI_IPV6, &info.ipi6_addr, sizeof info.ipi6_addr);
        out->local = npi_addr_with_scope(&local, info.ipi6_ifindex);
    }
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        IN_PKTINFO info;
        memcpy(&info, WSA_CMSG_DATA(c), sizeof info);
        out->local = transport_windows_from_ip(NPI_IPV4, &info.ipi_addr, sizeof info.ipi_addr);
    }
}

/* As WSA_CMSG_FIRSTHDR and WSA_CMSG_NXTHDR, which compilers warn about. */
static WSACMSGHDR *first_control(const WSAMSG *message)
{
    return message->Control.len >= sizeof(WSACMSGHDR) ? (WSACMSGHDR *)(void *)message->Control.buf : NULL;
}

static WSACMSGHDR *transport_windows_next_control(const WSAMSG *message, WSACMSGHDR *c)
{
    const size_t alignment = sizeof(size_t);
    size_t step = (c->cmsg_len + alignment - 1) / alignment * alignment;
    size_t left = message->Control.len - (size_t)((char *)c - message->Control.buf);
    bool has_next = c->cmsg_len >= sizeof *c && step <= left && left - step >= sizeof *c;
    return has_next ? (WSACMSGHDR *)(void *)((char *)c + step) : NULL;
}

static void transport_windows_read_controls(const npi_socket *s, WSAMSG *message, npi_received *out)
{
    for (WSACMSGHDR *c = first_control(message); c != NULL; c = transport_windows_next_control(message, c))
        transport_windows_read_control(c, out);
    if (!npi_addr_is_set(&out->local) && !npi_addr_is_any(&s->bound))
        out->local = s->bound;
    if (npi_addr_is_set(&out->local))
        out->local.port = s->bound.port;
}

/* A datagram longer than the room is an error to Windows, which has filled the room all the same. */
int npi_receive_once(const npi_socket *s, uint8_t *buffer, size_t room, npi_received *out)
{
    transport_windows_control control_room;
    DWORD size = 0;
    memset(out, 0, sizeof *out);
    memset(&control_room, 0, sizeof control_room);
    WSABUF piece = {.buf = (char *)buffer, .len = (ULONG)room};
    WSAMSG message = {.name = &out->name.any,
                      .namelen = sizeof out->name,
                      .lpBuffers = &piece,
                      .dwBufferCount = 1,
                      .Control = {.buf = (char *)&control_room, .len = sizeof control_room}};
    int error = ((LPFN_WSARECVMSG)s->receive)(s->fd, &message, &size, NULL, NULL) == 0 ? 0 : npi_take_windows_error();
    if (error != 0 && error != EMSGSIZE)
        return error;
    out->truncated = error == EMSGSIZE || (message.dwFlags & MSG_TRUNC) != 0;
    out->name_size = (size_t)message.namelen;
    out->from = npi_addr_from_sockaddr(&out->name.any);
    if (s->is_mapped)
        out->from = npi_addr_unmap(&out->from);
    out->size = out->segment = error == EMSGSIZE ? room : (size_t)size;
    transport_windows_read_controls(s, &message, out);
    return 0;
}

/* ---- Routes ----------------------------------------------------------------------------------------------------- */

/*
 * Connecting a UDP socket makes the system choose a route and with it an address, and sends nothing. NULL, or the call
 * that failed.
 */
static const char *transport_windows_connect_beside(np_socket fd, const npi_socket *s, const npi_addr *remote, npi_addr *local)
{
    npi_sockaddr name;
    npi_addr any_port = npi_addr_with_port(&s->bound, 0);
    const char *failed = transport_windows_copy_route(fd, s);
    if (failed == NULL)
        failed = bind_to(fd, &any_port);
    if (failed != NULL)
        return failed;
    socklen_t length = npi_sockaddr_from(remote, &name);
    failed = transport_windows_outcome_of(connect(fd, &name.any, length), "connect");
    if (failed == NULL)
        failed = transport_windows_own_address(fd, local);
    if (failed != NULL)
        return failed;
    errno = ENETUNREACH;
    return npi_addr_is_any(local) ? "connect" : NULL;
}

bool npi_local_address_for(const npi_socket *s, const npi_addr *remote, npi_addr *out, npi_failure *failure)
{
    npi_addr local;
    *failure = (npi_failure){.call = "connect", .os_error = EAFNOSUPPORT};
    if (s->bound.family != remote->family || !npi_addr_is_set(remote))
        return false;
    np_socket fd = transport_windows_open_udp((npi_family)remote->family);
    const char *failed = !npi_is_socket(fd) ? "socket" : transport_windows_connect_beside(fd, s, remote, &local);
    *failure = failed != NULL ? npi_failure_of(failed) : NPI_FAILURE_NONE;
    if (npi_is_socket(fd))
        closesocket(fd);
    if (failed == NULL)
        *out = npi_addr_with_port(&local, s->bound.port);
    return failed == NULL;
}
#undef SIO_UDP_CONNRESET
#undef SIO_UDP_NETRESET
#undef interface /* a word to the headers of Windows */
#endif /* (defined(_WIN32)) */

/* ---- vantage.c -------------------- */

/* From which of its addresses this host would send to another. */

#include <errno.h>


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

/* ---- check.c -------------------- */

/* One check behind one poller, over one address family or two. */
/*
 * One check behind one poller: a run over one address family and, where that stays silent or is not to be had, one over
 * IPv6 beside it.
 */
#ifndef NPI_CHECK_H
#define NPI_CHECK_H

/* Joins the experiment to sockets, clock, randomness and names, one turn at a time. */
#ifndef NPI_DRIVER_H
#define NPI_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>



/* A socket of the caller's, and who gets what comes to it and is not ours. */
typedef struct npi_callers_socket {
    np_socket fd; /* NP_INVALID_SOCKET: none */
    np_datagram_fn on_datagram;
    void *user;
} npi_callers_socket;

typedef struct npi_driver_config {
    npi_addr source;       /* family decides; any-address allowed */
    const char *interface; /* of the library's own sockets, NULL: any; outlives the run */
    npi_callers_socket socket;
    int32_t tests;
    uint64_t start_ns; /* of the whole check */
    uint64_t timeout_ns;
    uint64_t response_timeout_ns;
    uint32_t lifetime_limit_s;
    const npi_server_name *servers; /* in the order to be asked; outlives the run */
    size_t server_count;
    npi_log log;
    npi_observer observer;
    npi_poller *poller;     /* outlives the run */
    uint32_t first_tag;     /* the slots are watched under this tag and those behind it */
    const atomic_uint *run; /* which run the handle is in; outlives the run */
    unsigned cancelled_run; /* what that becomes when the run is to end */
} npi_driver_config;

typedef struct npi_driver npi_driver;

/* The result of a check that failed before it knew anything: every byte is written. Returns error. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
int npi_result_fail(np_result *result, int error, int os_error, const char *format, ...);
/* The same with the call that failed behind the prefix. */
int npi_result_fail_for(np_result *result, int error, const char *prefix, const npi_failure *failure);

/*
 * Opens the source socket; the first turn sends. NULL when it cannot: every byte of the result is then written, and
 * result->error says why.
 */
npi_driver *npi_driver_new(const npi_driver_config *config, np_result *result);
/* There may be something to read on this slot. */
void npi_driver_note_ready(npi_driver *r, int slot);
/* All that can be done without waiting. True when the run is over: every byte of the result is then written. */
bool npi_driver_turn(npi_driver *r, np_result *result);
/* When the next turn is due at the latest. */
uint64_t npi_driver_wakeup_ns(const npi_driver *r, uint64_t now_ns);
/* Some request was answered. */
bool npi_driver_has_heard(const npi_driver *r);
/* When the first datagram left; NPI_NEVER before. */
uint64_t npi_driver_first_sent_ns(const npi_driver *r);
/* What is known so far. */
void npi_driver_result(const npi_driver *r, np_result *result);
/* The next turn ends the run with this error. */
void npi_driver_stop(npi_driver *r, int error, npi_failure failure);
/* From here on nothing of the caller's is called; datagrams that are not ours stay in the socket. */
void npi_driver_mute(npi_driver *r);
/* At any moment. NULL does nothing. */
void npi_driver_free(npi_driver *r);

#endif

#define NPI_CHECK_RUNS 2 /* the first, and the one beside it */

typedef struct npi_check {
    npi_driver_config config;
    bool may_add_ipv6;                /* the family was not chosen, and nothing else decides it */
    npi_driver *runs[NPI_CHECK_RUNS]; /* NULL: not begun, or over */
    np_result result;                 /* the best of those that are over */
    int best;                         /* the run that it is of; -1: none is over */
    uint32_t sent, received;          /* of all that are over */
} npi_check;

/* Opens the first run; npi_check_turn sends and says what became of it. */
void npi_check_begin(npi_check *c, const npi_driver_config *config, bool may_add_ipv6);
/*
 * All that can be done without waiting. True when the check is over: every byte of the result is then written. Until
 * then the poller is readable as soon as there is something to do.
 */
bool npi_check_turn(npi_check *c, np_result *result);
/* The next turn ends the check with this error. */
void npi_check_stop(npi_check *c, int error, npi_failure failure);
/* From here on nothing of the caller's is called. */
void npi_check_mute(npi_check *c);
/* At any moment, any number of times. */
void npi_check_end(npi_check *c);

#endif


/* IPv6 is asked beside IPv4 once that has been silent for this long after its first datagram (RFC 8305 section 8). */
#define SILENT_NS (250 * NPI_MS)
/* And once no name has led to a server for this long. */
#define NAMELESS_NS (1000 * NPI_MS)

_Static_assert(NPI_POLLER_TAGS / NPI_CHECK_RUNS >= NPI_SLOT_COUNT, "a tag for every socket of every run");

/* ---- Results ---------------------------------------------------------------------------------------------------- */

/* What the caller wants goes first, then what says more. No chance to ask says more than no way to go. */
static int weight_of(const np_result *result)
{
    if (result->error == NP_ERR_CANCELLED)
        return 5;
    if (result->error == NP_OK)
        return 4;
    if (result->packets_received > 0)
        return 3;
    if (result->error == NP_ERR_NO_RESPONSE)
        return 2;
    return result->error == NP_ERR_NETWORK_UNREACHABLE || result->error == NP_ERR_RESOLVE ? 0 : 1;
}

static void note_result(npi_check *c, int index, const np_result *result)
{
    c->sent += result->packets_sent;
    c->received += result->packets_received;
    int gain = c->best < 0 ? 1 : weight_of(result) - weight_of(&c->result);
    if (gain > 0 || (gain == 0 && index < c->best)) {
        c->result = *result;
        c->best = index;
    }
}

static void abandon(npi_check *c, int index)
{
    np_result so_far;
    if (c->runs[index] == NULL)
        return;
    npi_driver_result(c->runs[index], &so_far);
    c->sent += so_far.packets_sent;
    c->received += so_far.packets_received;
    npi_driver_free(c->runs[index]);
    c->runs[index] = NULL;
}

static void check_take_result(npi_check *c, int index, const np_result *result)
{
    npi_driver_free(c->runs[index]);
    c->runs[index] = NULL;
    note_result(c, index, result);
    /* The first verdict wins. */
    if (result->error == NP_OK || result->error == NP_ERR_CANCELLED)
        abandon(c, 1 - index);
}

static bool check_is_over(const npi_check *c)
{
    return c->runs[0] == NULL && c->runs[1] == NULL;
}

/* ---- Two families ----------------------------------------------------------------------------------------------- */

static void check_start(npi_check *c, int index)
{
    np_result result;
    c->config.first_tag = (uint32_t)index * NPI_SLOT_COUNT;
    c->runs[index] = npi_driver_new(&c->config, &result);
    if (c->runs[index] == NULL)
        note_result(c, index, &result);
}

/* When IPv6 is to be asked as well, as things stand now. */
static uint64_t second_start_ns(const npi_check *c)
{
    if (!c->may_add_ipv6)
        return NPI_NEVER;
    if (c->runs[0] == NULL) {
        bool in_vain = c->result.error == NP_ERR_NETWORK_UNREACHABLE || c->result.error == NP_ERR_RESOLVE ||
                       c->result.error == NP_ERR_NO_RESPONSE;
        return in_vain ? 0 : NPI_NEVER;
    }
    if (npi_driver_has_heard(c->runs[0]))
        return NPI_NEVER;
    uint64_t sent_ns = npi_driver_first_sent_ns(c->runs[0]);
    return sent_ns != NPI_NEVER ? npi_time_add(sent_ns, SILENT_NS) : npi_time_add(c->config.start_ns, NAMELESS_NS);
}

/* True when IPv6 was begun. */
static bool start_second(npi_check *c)
{
    uint64_t now_ns = npi_clock_now();
    if (second_start_ns(c) > now_ns || now_ns >= npi_time_add(c->config.start_ns, c->config.timeout_ns))
        return false;
    npi_log_write(&c->config.log, NP_LOG_INFO, "no answer over IPv4: asking IPv6 too");
    c->may_add_ipv6 = false;
    c->config.source.family = NPI_IPV6;
    check_start(c, 1);
    return true;
}

/* Where IPv4 answers after all, nothing more is sent over an IPv6 that has not. */
static void drop_second(npi_check *c)
{
    if (c->runs[0] != NULL && c->runs[1] != NULL && npi_driver_has_heard(c->runs[0]) &&
        !npi_driver_has_heard(c->runs[1]))
        abandon(c, 1);
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

/* Wake-ups are taken back before what they are about is looked at: none is missed. */
static void find_ready(npi_check *c)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int count = npi_poller_collect(c->config.poller, tags);
    if (count < 0)
        npi_check_stop(c, NP_ERR_SYSTEM, npi_failure_of(NPI_POLLER_COLLECT));
    for (int i = 0; i < count; i++) {
        npi_driver *r = c->runs[tags[i] / NPI_SLOT_COUNT];
        if (r != NULL)
            npi_driver_note_ready(r, (int)(tags[i] % NPI_SLOT_COUNT));
    }
}

static void turn_all(npi_check *c)
{
    np_result result;
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL && npi_driver_turn(c->runs[i], &result))
            check_take_result(c, i, &result);
    }
    drop_second(c);
}

/* False when that has stopped the check. */
static bool set_timer(npi_check *c)
{
    uint64_t now_ns = npi_clock_now();
    uint64_t wake_ns = second_start_ns(c);
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL)
            wake_ns = npi_time_min(wake_ns, npi_driver_wakeup_ns(c->runs[i], now_ns));
    }
    if (npi_poller_set_timer(c->config.poller, now_ns, wake_ns))
        return true;
    npi_check_stop(c, NP_ERR_SYSTEM, npi_failure_of(NPI_POLLER_TIMER));
    return false;
}

bool npi_check_turn(npi_check *c, np_result *result)
{
    do {
        find_ready(c);
        turn_all(c);
    } while (start_second(c) || (!check_is_over(c) && !set_timer(c)));
    if (!check_is_over(c))
        return false;
    *result = c->result;
    result->packets_sent = c->sent;
    result->packets_received = c->received;
    return true;
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

void npi_check_begin(npi_check *c, const npi_driver_config *config, bool may_add_ipv6)
{
    *c = (npi_check){.config = *config, .may_add_ipv6 = may_add_ipv6, .best = -1};
    check_start(c, 0);
}

void npi_check_stop(npi_check *c, int error, npi_failure failure)
{
    c->may_add_ipv6 = false;
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL)
            npi_driver_stop(c->runs[i], error, failure);
    }
}

void npi_check_mute(npi_check *c)
{
    c->config.log.sink = NULL;
    c->config.observer.sink = NULL;
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL)
            npi_driver_mute(c->runs[i]);
    }
}

void npi_check_end(npi_check *c)
{
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        npi_driver_free(c->runs[i]);
        c->runs[i] = NULL;
    }
}
#undef NAMELESS_NS
#undef SILENT_NS

/* ---- driver.c -------------------- */

/* Joins the experiment to sockets, clock, randomness and names, one turn at a time. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The gateway: the router to which this host hands a datagram on its way to an address. One file for each system:
 * rtnetlink on Linux (gateway_linux.c), the table of routes on macOS and the BSDs (gateway_bsd.c), GetBestRoute2() on
 * Windows (gateway_windows.c).
 */
#ifndef NPI_GATEWAY_H
#define NPI_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>



/* What takes part in choosing a route. */
typedef struct npi_gateway_way {
    np_socket fd;  /* that would send: its options */
    npi_addr from; /* where it is bound */
    npi_addr to;
    uint32_t link; /* the interface that the library has tied it to; 0: none */
} npi_gateway_way;

/*
 * Asks the system, and sends nothing to the network. Only IPv4. False when there is no router on the way, when there
 * may be several, and when the system does not tell, for instance in a sandbox.
 */
bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway);

#endif
/* The only source of randomness: the kernel's. */
#ifndef NPI_RANDOM_H
#define NPI_RANDOM_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Fills out with random bytes and never blocks. False with errno when the kernel gives none; EAGAIN: not yet, soon
 * after boot. Nothing is cached, so fork() is safe.
 */
bool npi_random_bytes(void *out, size_t size);

#endif

/* Datagrams read from one socket before timers and the other sockets get their turn. */
#define READ_BURST 32
/* Larger than any answer of a sound server; what is longer is cut and then dropped by the decoder. */
#define RECEIVE_ROOM 2048
/* Nothing that comes to the caller's socket may be cut. */
#define CALLERS_RECEIVE_ROOM 65536
/* Requests from the caller's socket whose answers are recognised even when the experiment has forgotten them. */
#define SENT_IDS 64
/* Where a STUN message has its id, and how long it is without attributes (RFC 8489 section 5). */
#define STUN_ID_AT 4
#define STUN_RESPONSE_BIT 0x01 /* of the first byte: success and error responses have it, requests do not */
#define STUN_HEADER_SIZE 20
/* How long until the system is asked for random numbers again when it had none yet. */
#define RANDOM_RETRY_NS (20 * NPI_MS)
/*
 * A name that is not resolved after this long is made up for by another one, and after as long again by one more: a
 * cached answer comes within some 20 ms, and one that is asked of the name's own servers rarely takes 100.
 */
#define NAME_SLOW_NS (100 * NPI_MS)
/* Names are looked up for so many servers more than are to be asked next: one may be slow, or lead to none. */
#define SPARE_SERVERS 1
/* If the two clocks drift apart by more between two turns, the wall clock was set: what it says of arrivals is void. */
#define WALL_CLOCK_SET_NS NPI_MS
#define NO_RANDOM "no random numbers: "

struct npi_driver {
    npi_driver_config config;
    npi_engine *engine;
    npi_resolver *resolver;
    npi_socket sockets[NPI_SLOT_COUNT];
    bool ready[NPI_SLOT_COUNT];                   /* there may be something to read */
    uint8_t *callers_room;                        /* with a socket of the caller's only */
    uint8_t sent_ids[SENT_IDS][NPI_STUN_ID_SIZE]; /* a ring, of what left from the caller's socket */
    size_t sent_id_count;
    uint8_t random[NPI_STUN_ID_SIZE];
    bool has_random;
    bool waits_for_random;
    size_t names;              /* that are to be looked up: the servers without literals */
    size_t wanted;             /* names handed to the resolver */
    size_t looked_up;          /* names that it has answered */
    size_t slow;               /* names that are made up for: it has not answered them for long */
    uint64_t slow_ns;          /* when one more of those that are awaited is slow */
    size_t resolved;           /* servers that it has answered for, names and literals */
    size_t added;              /* servers that the experiment has taken */
    bool more;                 /* as last told to the probe */
    uint32_t answered;         /* which names, as bits */
    npi_resolution unresolved; /* the last name that failed */
    npi_resolution named;      /* the name to be told where nobody answers */
    npi_failure failure;       /* why the run was stopped from here, and while doing what */
    const char *stopped_while;
    npi_failure no_socket; /* why there is no filtering socket */
    bool source_heard;     /* an answer came to the source socket */
    npi_failure unsent;    /* why the last datagram that did not leave did not */
    npi_addr first_server;
    npi_moment turned; /* when the last turn began */
};

/* ---- Results ---------------------------------------------------------------------------------------------------- */

int npi_result_fail(np_result *result, int error, int os_error, const char *format, ...)
{
    va_list args;
    memset(result, 0, sizeof *result);
    result->error = error;
    result->os_error = os_error;
    va_start(args, format);
    (void)vsnprintf(result->detail, sizeof result->detail, format, args);
    va_end(args);
    return error;
}

int npi_result_fail_for(np_result *result, int error, const char *prefix, const npi_failure *failure)
{
    char why[NPI_FAILURE_TEXT];
    npi_failure_describe(failure, why, sizeof why);
    return npi_result_fail(result, error, failure->os_error, "%s%s", prefix, why);
}

/* In place of what the experiment had to say. What lies behind the text is zero. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
driver_write_detail(np_result *result, const char *format, ...)
{
    va_list args;
    memset(result->detail, 0, sizeof result->detail);
    va_start(args, format);
    (void)vsnprintf(result->detail, sizeof result->detail, format, args);
    va_end(args);
}

static uint64_t deadline_of(const npi_driver *r)
{
    return npi_time_add(r->config.start_ns, r->config.timeout_ns);
}

static bool driver_is_cancelled(const npi_driver *r)
{
    return atomic_load(r->config.run) == r->config.cancelled_run;
}

/* Ends the experiment for a reason that it knows nothing of; doing: what failed, for people. */
static void driver_stop(npi_driver *r, uint64_t now_ns, int error, const char *doing, npi_failure failure)
{
    if (npi_engine_is_done(r->engine))
        return;
    if (!npi_engine_has_verdict(r->engine)) { /* an optional test that is given up leaves it as it is */
        r->failure = failure;
        r->stopped_while = doing;
    }
    npi_engine_stop(r->engine, now_ns, error, failure.os_error);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

_Static_assert(NP_MAX_SERVERS <= 32, "a bit for each name");

/* The first name that is no literal, or better one that leads to this host itself. */
static bool is_worth_telling(const npi_driver *r, const npi_resolution *resolution)
{
    npi_addr literal;
    if (resolution->count == 0 || npi_addr_parse_ip(r->config.servers[resolution->index].host, &literal))
        return false;
    return r->named.count == 0 || npi_addr_classify(&resolution->addresses[0]) == NPI_CLASS_LOOPBACK;
}

/* The link on which a server is asked that does not name its own: the source's, or that of the chosen interface. */
static uint32_t own_link(const npi_driver *r)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    return source->bound.scope != 0 ? source->bound.scope : source->link;
}

static void take_resolution(npi_driver *r, const npi_resolution *resolution)
{
    const npi_server_name *name = &r->config.servers[resolution->index];
    r->resolved++;
    r->looked_up += !resolution->is_literal;
    r->answered |= UINT32_C(1) << resolution->index;
    if (is_worth_telling(r, resolution))
        r->named = *resolution;
    if (resolution->count == 0) {
        char text[NPI_RESOLVE_TEXT];
        r->unresolved = *resolution;
        npi_resolution_describe(resolution, text, sizeof text);
        npi_log_write(&r->config.log, NP_LOG_WARNING, "cannot resolve %s: %s", name->host, text);
    }
    for (size_t i = 0; i < resolution->count; i++) {
        char text[NPI_ADDR_TEXT];
        npi_addr address = npi_addr_with_scope(&resolution->addresses[i], own_link(r));
        npi_addr_format(&address, text);
        if (!npi_engine_add_server(r->engine, &address, name->use == NPI_USE_MAPPING))
            continue;
        r->added++;
        npi_log_write(&r->config.log, NP_LOG_DEBUG, "server %s is %s", name->host, text);
        if (!npi_addr_is_set(&r->first_server))
            r->first_server = address;
    }
}

/* How many servers the experiment could use beside those that it has. */
static size_t servers_missing(const npi_driver *r)
{
    size_t wanted = npi_engine_servers_wanted(r->engine) + SPARE_SERVERS;
    return wanted > r->added ? wanted - r->added : 0;
}

/* When one more name is slow; NPI_NEVER while none is awaited, or none is left that could make up for it. */
static uint64_t next_slow_ns(const npi_driver *r)
{
    bool is_any_awaited = r->wanted - r->looked_up > r->slow;
    return is_any_awaited && r->wanted < r->names && servers_missing(r) > 0 ? r->slow_ns : NPI_NEVER;
}

/* Hands over names for the servers that are missing. The next one makes up for one that fails, or is slow. */
static void want_names(npi_driver *r, uint64_t now_ns)
{
    size_t pending = r->wanted - r->looked_up;
    if (r->slow > pending)
        r->slow = pending; /* it was answered after all */
    if (next_slow_ns(r) <= now_ns) {
        r->slow++;
        r->slow_ns = now_ns + NAME_SLOW_NS;
    }
    size_t wanted = r->looked_up + r->slow + servers_missing(r);
    if (wanted > r->names)
        wanted = r->names;
    if (wanted > r->wanted) {
        r->wanted = wanted;
        r->slow_ns = now_ns + NAME_SLOW_NS;
        npi_resolver_want(r->resolver, wanted);
    }
}

static void resolve(npi_driver *r, uint64_t now_ns)
{
    npi_resolution resolution;
    while (npi_resolver_take(r->resolver, &resolution))
        take_resolution(r, &resolution);
    want_names(r, now_ns);
    bool more = r->resolved < r->config.server_count;
    if (more != r->more) {
        r->more = more;
        npi_engine_expect_servers(r->engine, more);
    }
}

/* ---- Sockets ---------------------------------------------------------------------------------------------------- */

static void close_slot(npi_driver *r, int slot)
{
    if (npi_is_socket(r->sockets[slot].fd))
        npi_poller_unwatch(r->config.poller, r->sockets[slot].fd);
    npi_socket_close(&r->sockets[slot]);
    r->ready[slot] = false;
}

/* Where it is the system that fails, not the network. */
static int system_error(int os_error)
{
    return npi_error_from_errno(os_error) == NP_ERR_NO_MEMORY ? NP_ERR_NO_MEMORY : NP_ERR_SYSTEM;
}

/* A socket of the caller's may hold what is not for us to take out, such as errors it has asked for. */
static int watch_slot(npi_driver *r, int slot, npi_failure *failure)
{
    npi_socket *s = &r->sockets[slot];
    npi_watch watch = s->borrowed ? NPI_WATCH_ARRIVALS : NPI_WATCH_CONTENT;
    if (npi_poller_watch(r->config.poller, s->fd, r->config.first_tag + (uint32_t)slot, watch))
        return NP_OK;
    *failure = npi_failure_of(NPI_POLLER_WATCH);
    npi_socket_close(s);
    return system_error(failure->os_error);
}

static int open_source(npi_driver *r, npi_failure *failure)
{
    const npi_driver_config *c = &r->config;
    npi_socket *s = &r->sockets[NPI_SLOT_SOURCE];
    int error = npi_is_socket(c->socket.fd) ? npi_socket_adopt(s, c->socket.fd, (npi_family)c->source.family, failure)
                                            : npi_socket_open_on(s, &c->source, c->interface, failure);
    return error == NP_OK ? watch_slot(r, NPI_SLOT_SOURCE, failure) : error;
}

/* The socket of a slot, NULL when there is none; filtering sockets are opened when first needed. */
static npi_socket *socket_for(npi_driver *r, int slot)
{
    npi_socket *s = &r->sockets[slot];
    if (npi_is_socket(s->fd))
        return s;
    npi_failure failure = NPI_FAILURE_NONE;
    if (npi_socket_open_sibling(s, &r->sockets[NPI_SLOT_SOURCE], &failure) == NP_OK &&
        watch_slot(r, slot, &failure) == NP_OK)
        return s;
    r->no_socket = failure; /* a later one that can be had leaves it as it is */
    return NULL;
}

static void close_unused(npi_driver *r)
{
    for (int slot = 1; slot < NPI_SLOT_COUNT; slot++) {
        if (npi_is_socket(r->sockets[slot].fd) && !npi_engine_slot_in_use(r->engine, slot))
            close_slot(r, slot);
    }
}

/* ---- Datagrams -------------------------------------------------------------------------------------------------- */

static bool is_known_id(const npi_driver *r, const uint8_t *data)
{
    size_t known = r->sent_id_count < SENT_IDS ? r->sent_id_count : SENT_IDS;
    for (size_t i = 0; i < known; i++) {
        if (memcmp(r->sent_ids[i], data + STUN_ID_AT, NPI_STUN_ID_SIZE) == 0)
            return true;
    }
    return false;
}

/* Whether a datagram is a response to a request that left from the caller's socket, however late. */
static bool is_answer_to_us(const npi_driver *r, const uint8_t *data, size_t size)
{
    return size >= STUN_HEADER_SIZE && (data[0] & STUN_RESPONSE_BIT) != 0 && is_known_id(r, data);
}

static void remember_id(npi_driver *r, const npi_datagram *d)
{
    if (!is_known_id(r, d->data)) /* each copy has the same */
        memcpy(r->sent_ids[r->sent_id_count++ % SENT_IDS], d->data + STUN_ID_AT, NPI_STUN_ID_SIZE);
}

static void send_one(npi_driver *r, uint64_t now_ns, const npi_datagram *d)
{
    int os_error = 0;
    npi_socket *s = socket_for(r, d->slot);
    if (s == NULL) {
        npi_engine_no_socket(r->engine, now_ns, d);
        return;
    }
    switch (npi_socket_send(s, &d->to, d->data, d->size, &os_error)) {
    case NPI_IO_OK:
        if (s->borrowed)
            remember_id(r, d);
        npi_engine_sent(r->engine, d);
        break;
    case NPI_IO_AGAIN:
        r->unsent = (npi_failure){.call = "sendto", .os_error = os_error};
        npi_engine_unsent(r->engine, now_ns, d, NP_OK, os_error);
        break;
    case NPI_IO_ERROR:
        r->unsent = (npi_failure){.call = "sendto", .os_error = os_error};
        npi_engine_unsent(r->engine, now_ns, d, npi_error_from_errno(os_error), os_error);
        break;
    }
}

/* Random bytes for the next datagram. Soon after boot there are none yet: the check waits as long as it has time. */
static bool has_random(npi_driver *r, uint64_t now_ns)
{
    if (!r->has_random)
        r->has_random = npi_random_bytes(r->random, sizeof r->random);
    r->waits_for_random = !r->has_random && errno == EAGAIN;
    if (r->waits_for_random && now_ns >= deadline_of(r))
        driver_stop(r, now_ns, NP_ERR_TIMEOUT, NO_RANDOM, npi_failure_of("getrandom"));
    else if (!r->has_random && !r->waits_for_random)
        driver_stop(r, now_ns, NP_ERR_SYSTEM, NO_RANDOM, npi_failure_of("getrandom"));
    return r->has_random;
}

/* Looked up for the source socket, on whose way the gateway is asked. */
static void find_gateway(npi_driver *r)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    npi_gateway_way way = {.fd = source->fd, .from = source->bound, .link = source->link};
    npi_addr gateway = {.family = NPI_FAMILY_NONE};
    if (npi_engine_wants_gateway(r->engine, &way.to) && npi_find_gateway(&way, &gateway))
        npi_engine_set_gateway(r->engine, &gateway);
}

/*
 * The clock is read for each datagram: the callbacks run since may have taken their time, and a copy must not look
 * older.
 */
static void send_datagrams(npi_driver *r)
{
    npi_datagram d;
    for (;;) {
        uint64_t now_ns = npi_clock_now();
        if (driver_is_cancelled(r) || !has_random(r, now_ns)) /* a callback may just have cancelled */
            return;
        npi_engine_advance(r->engine, now_ns);
        find_gateway(r);
        if (!npi_engine_next_datagram(r->engine, r->random, &d))
            return;
        r->has_random = false;
        send_one(r, now_ns, &d);
    }
}

/* One datagram, where it came in and when. */
typedef struct arrival {
    int slot;
    uint64_t now_ns;
    const npi_received *got;
    const uint8_t *data;
    size_t size;
} arrival;

static void hand_to_caller(const npi_driver *r, const arrival *a)
{
    const npi_callers_socket *s = &r->config.socket;
    if (s->on_datagram != NULL)
        s->on_datagram(a->data, a->size, &a->got->name.any, a->got->name_size, s->user);
}

/*
 * The local address that a datagram came to. False when it cannot be told: without it a NAT could not be told from
 * none. Where the program may no longer set the options of its socket, no route can be looked up the same way. Then an
 * external address that the host has is the local one as well. Any other is translated, whichever the local one is.
 */
static bool find_local(const npi_socket *s, const npi_received *got, const npi_incoming *in, npi_addr *local,
                       npi_failure *failure)
{
    const npi_addr *external = &in->response.mapped;
    *local = got->local;
    if ((npi_addr_is_set(local) && !npi_addr_is_any(local)) || npi_local_address_for(s, &got->from, local, failure))
        return true;
    *local = (npi_addr){.family = NPI_FAMILY_NONE};
    if (failure->os_error != EPERM || in->origin.exchange == NULL)
        return false;
    npi_addr any_port = npi_addr_with_scope(external, got->from.scope);
    any_port.port = 0;
    npi_socket at_external;
    npi_failure unused;
    int error = npi_socket_open(&at_external, &any_port, &unused);
    if (error == NP_OK)
        *local = npi_addr_with_port(&any_port, s->bound.port);
    npi_socket_close(&at_external);
    return error == NP_OK || error == NP_ERR_ADDRESS_NOT_AVAILABLE; /* otherwise it is not known whose it is */
}

static void driver_take_datagram(npi_driver *r, const arrival *a)
{
    npi_socket *s = &r->sockets[a->slot];
    npi_incoming in;
    if (!npi_engine_match(r->engine, a->slot, a->data, a->size, &in) && s->borrowed) {
        if (!is_answer_to_us(r, a->data, a->size))
            hand_to_caller(r, a);
        return;
    }
    npi_addr local;
    npi_failure failure;
    r->source_heard |= a->slot == NPI_SLOT_SOURCE && in.origin.exchange != NULL;
    if (!find_local(s, a->got, &in, &local, &failure) && a->slot == NPI_SLOT_SOURCE)
        driver_stop(r, a->now_ns, system_error(failure.os_error), "cannot find the local address: ", failure);
    else
        npi_engine_receive(r->engine, a->now_ns, &in, &a->got->from, &local);
}

/* What the system has put together (UDP_GRO) is taken apart again. */
static void take_datagrams(npi_driver *r, const arrival *all)
{
    arrival one = *all;
    do {
        size_t left = (size_t)(all->data + all->size - one.data);
        one.size = all->got->segment < left ? all->got->segment : left;
        driver_take_datagram(r, &one);
        one.data += one.size;
    } while (one.data < all->data + all->size);
}

/* What comes after the end, or after a cancellation, is left in the socket. */
static bool driver_is_over(const npi_driver *r)
{
    return npi_engine_is_done(r->engine) || driver_is_cancelled(r);
}

static bool is_same_wall_clock(const npi_moment *a, const npi_moment *b)
{
    int64_t drift = (int64_t)((b->now_ns - a->now_ns) - (b->wall_ns - a->wall_ns));
    return drift < (int64_t)WALL_CLOCK_SET_NS && -drift < (int64_t)WALL_CLOCK_SET_NS;
}

/*
 * When a datagram came in. It lies in the socket until the process gets to it, and the process may be held up at any
 * line: by the system's word, or at the latest now.
 */
static uint64_t driver_arrived_ns(const npi_driver *r, const npi_received *got)
{
    npi_moment now = npi_clock_moment();
    uint64_t age_ns = now.wall_ns - got->wall_ns;
    if (got->wall_ns == 0 || got->wall_ns > now.wall_ns || !is_same_wall_clock(&r->turned, &now))
        return now.now_ns;
    return age_ns < now.now_ns - r->turned.now_ns ? now.now_ns - age_ns : r->turned.now_ns;
}

/* A datagram that was cut is handed on empty: counted, and not mistaken for a short one. */
static void receive_datagrams(npi_driver *r, int slot)
{
    uint8_t own_room[RECEIVE_ROOM];
    bool borrowed = r->sockets[slot].borrowed;
    uint8_t *room = borrowed ? r->callers_room : own_room;
    size_t room_size = borrowed ? CALLERS_RECEIVE_ROOM : sizeof own_room;
    for (int i = 0; i < READ_BURST && !driver_is_over(r); i++) {
        npi_received got;
        int os_error = 0;
        npi_io io = npi_socket_receive(&r->sockets[slot], room, room_size, &got, &os_error);
        if (io == NPI_IO_ERROR) /* it would be there at every turn */
            driver_stop(r, npi_clock_now(), NP_ERR_SYSTEM,
                 "cannot receive: ", (npi_failure){.call = "recvmsg", .os_error = os_error});
        if (io != NPI_IO_OK) {
            r->ready[slot] = false;
            return;
        }
        if (got.truncated)
            got.size = got.segment = 0;
        take_datagrams(r, &(arrival){slot, driver_arrived_ns(r, &got), &got, room, got.size});
    }
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

static bool is_any_ready(const npi_driver *r)
{
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (r->ready[slot])
            return true;
    }
    return false;
}

static void driver_turn(npi_driver *r)
{
    npi_moment now = npi_clock_moment();
    if (driver_is_cancelled(r)) {
        driver_stop(r, now.now_ns, NP_ERR_CANCELLED, "", NPI_FAILURE_NONE);
        return;
    }
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (r->ready[slot])
            receive_datagrams(r, slot);
    }
    r->turned = now;
    resolve(r, now.now_ns);
    send_datagrams(r);
    close_unused(r);
}

static void driver_tell_unresolved(const npi_driver *r, np_result *result)
{
    char why[NPI_RESOLVE_TEXT] = "it has no usable address";
    result->os_error = r->unresolved.eai;
    if (r->unresolved.eai != 0)
        npi_resolution_describe(&r->unresolved, why, sizeof why);
    driver_write_detail(result, "cannot resolve %.80s: %s", r->config.servers[r->unresolved.index].host, why);
}

/* Which name of a server the time ran out for. */
static void tell_pending_name(const npi_driver *r, np_result *result)
{
    size_t index = 0;
    while (index < r->config.server_count - 1 && (r->answered >> index & 1) != 0)
        index++;
    driver_write_detail(result, "no name server answered in time: cannot resolve %.80s", r->config.servers[index].host);
}

/* A name may lead astray: a hosts file, a captive portal or a filter that blocks by name. */
static void tell_silent_name(const npi_driver *r, np_result *result)
{
    char text[NPI_ADDR_IP_TEXT];
    const npi_addr *address = &r->named.addresses[0];
    npi_addr_format_ip(address, text);
    driver_write_detail(result, "no server answered%s (%.60s is %s%s)",
                 result->nat_type == NP_NAT_UDP_BLOCKED ? ": UDP is blocked or it is down"
                                                        : " in the time allowed: UDP is blocked or it is down or far",
                 r->config.servers[r->named.index].host, text,
                 npi_addr_classify(address) == NPI_CLASS_LOOPBACK ? ", which is this host itself" : "");
}

/* Which of several links the system chose is anybody's guess. */
static void tell_unknown_link(const npi_driver *r, np_result *result)
{
    char text[NPI_ADDR_IP_TEXT];
    npi_addr_format_ip(&r->first_server, text);
    driver_write_detail(result, "no server answered: %s is a link-local address, so name its interface (%s%%eth0)", text,
                 text);
}

static bool is_short_of_answers(const np_result *result)
{
    return result->error == NP_ERR_INCONCLUSIVE || result->error == NP_ERR_TIMEOUT ||
           result->error == NP_ERR_NO_RESPONSE;
}

/* What came to the caller's port may have gone to another socket that has it too, and not be lost. */
static bool may_be_others(const npi_driver *r, const np_result *result)
{
    if (r->sockets[NPI_SLOT_SOURCE].shared_by == NULL || result->os_error != 0)
        return false;
    if (result->error == NP_OK)
        return npi_engine_filtering_reason(r->engine) == NPI_REASON_CONTROL;
    return is_short_of_answers(result) && !r->source_heard;
}

static void tell_others(const npi_driver *r, np_result *result)
{
    const char *option = r->sockets[NPI_SLOT_SOURCE].shared_by;
    if (result->error == NP_OK)
        driver_write_detail(result,
                     "filtering unknown: the control stayed silent, or its answer went to another socket with the same "
                     "port (%s)",
                     option);
    else
        driver_write_detail(result,
                     "no answers came to the socket: another one with the same port (%s) may get them, so use one that "
                     "shares it with nobody",
                     option);
    /* Only what a socket of its own has asked in vain shows that UDP is blocked. */
    if (result->error == NP_ERR_NO_RESPONSE && (r->config.tests & NP_TESTS_FILTERING) == 0)
        result->nat_type = NP_NAT_UNKNOWN;
}

/* Why nobody may have answered. */
static void tell_silence(const npi_driver *r, np_result *result)
{
    if (npi_addr_lacks_scope(&r->first_server))
        tell_unknown_link(r, result);
    else if (r->named.count > 0)
        tell_silent_name(r, result);
}

static void tell_failure(const npi_failure *failure, const char *prefix, np_result *result)
{
    char why[NPI_FAILURE_TEXT];
    npi_failure_describe(failure, why, sizeof why);
    driver_write_detail(result, "%s%s", prefix, why);
}

/* The experiment says which requests did not leave, the driver why. */
static bool is_about_sending(const npi_driver *r, const np_result *result)
{
    if (result->error == NP_OK)
        return npi_engine_filtering_reason(r->engine) == NPI_REASON_UNSENT;
    return r->failure.call == NULL && r->unsent.call != NULL && result->os_error != 0;
}

static void tell_unsent(const npi_driver *r, np_result *result)
{
    char prefix[sizeof result->detail];
    memcpy(prefix, result->detail, sizeof prefix - 2);
    prefix[sizeof prefix - 3] = '\0';
    memcpy(prefix + strlen(prefix), ": ", sizeof ": ");
    tell_failure(&r->unsent, prefix, result);
}

/* Reasons that only the driver knows, such as why no name could be resolved. */
static void tell_reason(const npi_driver *r, np_result *result)
{
    if (result->error == NP_ERR_RESOLVE)
        driver_tell_unresolved(r, result);
    else if (result->error == NP_ERR_TIMEOUT && result->packets_sent == 0 && r->looked_up < r->wanted)
        tell_pending_name(r, result);
    else if (r->failure.call != NULL)
        tell_failure(&r->failure, r->stopped_while, result);
    else if (may_be_others(r, result))
        tell_others(r, result);
    else if (result->error == NP_ERR_NO_RESPONSE && result->os_error == 0)
        tell_silence(r, result);
    else if (npi_engine_filtering_reason(r->engine) == NPI_REASON_NO_SOCKET)
        tell_failure(&r->no_socket, "filtering unknown, no second socket: ", result);
    else if (is_about_sending(r, result))
        tell_unsent(r, result);
}

/* The local address where no answer has shown it. */
static void tell_local(const npi_driver *r, np_result *result)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    npi_addr local = source->bound;
    npi_failure unused;
    if (result->local_ip[0] != '\0')
        return;
    result->local_port = source->bound.port;
    if (npi_addr_is_any(&local) && npi_addr_is_set(&r->first_server) &&
        !npi_local_address_for(source, &r->first_server, &local, &unused))
        return;
    if (npi_addr_is_any(&local))
        return;
    npi_addr_format_ip(&local, result->local_ip);
    result->local_class = npi_classify_address(&local);
}

void npi_driver_stop(npi_driver *r, int error, npi_failure failure)
{
    driver_stop(r, npi_clock_now(), error, "cannot wait: ", failure);
}

void npi_driver_note_ready(npi_driver *r, int slot)
{
    r->ready[slot] = true;
}

bool npi_driver_has_heard(const npi_driver *r)
{
    return npi_engine_has_heard(r->engine);
}

uint64_t npi_driver_first_sent_ns(const npi_driver *r)
{
    return npi_engine_first_sent_ns(r->engine);
}

uint64_t npi_driver_wakeup_ns(const npi_driver *r, uint64_t now_ns)
{
    if (is_any_ready(r))
        return now_ns;
    uint64_t wake_ns = npi_engine_is_done(r->engine) ? NPI_NEVER : next_slow_ns(r);
    if (r->waits_for_random)
        return npi_time_min(wake_ns, npi_time_add(now_ns, RANDOM_RETRY_NS));
    return npi_time_min(wake_ns, npi_engine_wakeup_ns(r->engine));
}

void npi_driver_result(const npi_driver *r, np_result *result)
{
    npi_engine_result(r->engine, npi_clock_now(), result);
    tell_reason(r, result);
    tell_local(r, result);
}

bool npi_driver_turn(npi_driver *r, np_result *result)
{
    if (!npi_engine_is_done(r->engine))
        driver_turn(r);
    if (!npi_engine_is_done(r->engine))
        return false;
    npi_driver_result(r, result);
    return true;
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

static void fail_to_open(const npi_driver_config *c, np_result *result, int error, const npi_failure *failure)
{
    char text[NPI_ADDR_TEXT];
    char prefix[NPI_ADDR_TEXT + 40] = "cannot use the socket: ";
    npi_failure none = {.call = "it is closed, not bound, connected, or of another family"};
    npi_addr_format(&c->source, text);
    if (!npi_is_socket(c->socket.fd))
        (void)snprintf(prefix, sizeof prefix, "cannot use %s as the source: ", text);
    if (failure->call != NULL && strcmp(failure->call, NPI_CHOOSE_INTERFACE) == 0)
        (void)snprintf(prefix, sizeof prefix, "cannot use the interface %s: ", c->interface);
    npi_result_fail_for(result, error, prefix, failure->call != NULL ? failure : &none);
}

static size_t count_names(const npi_driver_config *c)
{
    size_t names = 0;
    for (size_t i = 0; i < c->server_count; i++) {
        npi_addr literal;
        names += !npi_addr_parse_ip(c->servers[i].host, &literal);
    }
    return names;
}

/* Most addresses that the servers' names can lead to. */
static size_t most_servers(const npi_driver_config *c)
{
    size_t names = count_names(c);
    size_t most = c->server_count - names + names * NPI_RESOLVE_ADDRESSES;
    return most < NPI_SERVERS_MAX ? most : NPI_SERVERS_MAX;
}

/* All that is ever allocated for a run. */
static bool allocate(npi_driver *r)
{
    const npi_driver_config *c = &r->config;
    r->engine = malloc(npi_engine_size(most_servers(c), c->tests));
    r->resolver = npi_resolver_new(c->servers, c->server_count, (npi_family)c->source.family,
                                   npi_poller_wake_of(c->poller));
    if (npi_is_socket(c->socket.fd))
        r->callers_room = malloc(CALLERS_RECEIVE_ROOM);
    return r->engine != NULL && r->resolver != NULL && (!npi_is_socket(c->socket.fd) || r->callers_room != NULL);
}

static void driver_begin(npi_driver *r)
{
    const npi_driver_config *c = &r->config;
    npi_engine_config config = {
        .tests = c->tests,
        .max_servers = most_servers(c),
        .deadline_ns = deadline_of(r),
        .response_timeout_ns = c->response_timeout_ns,
        .lifetime_limit_ns = c->lifetime_limit_s * (1000 * NPI_MS),
        .log = c->log,
        .observer = c->observer,
    };
    r->names = count_names(c);
    r->more = true;
    r->turned = npi_clock_moment();
    npi_engine_init(r->engine, &config, c->start_ns);
}

static npi_driver *new_run(const npi_driver_config *config)
{
    npi_driver *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->config = *config;
    for (int i = 0; i < NPI_SLOT_COUNT; i++)
        r->sockets[i] = NPI_SOCKET_CLOSED;
    return r;
}

npi_driver *npi_driver_new(const npi_driver_config *config, np_result *result)
{
    npi_driver *r = new_run(config);
    npi_failure failure;
    if (r == NULL || !allocate(r)) {
        npi_result_fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
        npi_driver_free(r);
        return NULL;
    }
    int error = open_source(r, &failure);
    if (error != NP_OK) {
        fail_to_open(config, result, error, &failure);
        npi_driver_free(r);
        return NULL;
    }
    driver_begin(r);
    return r;
}

void npi_driver_mute(npi_driver *r)
{
    r->config.log.sink = NULL;
    r->config.socket.on_datagram = NULL;
    npi_engine_mute(r->engine);
}

void npi_driver_free(npi_driver *r)
{
    if (r == NULL)
        return;
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++)
        close_slot(r, slot);
    if (r->resolver != NULL)
        npi_resolver_free(r->resolver);
    free(r->callers_room);
    free(r->engine);
    free(r);
}
#undef CALLERS_RECEIVE_ROOM
#undef NAME_SLOW_NS
#undef NO_RANDOM
#undef RANDOM_RETRY_NS
#undef READ_BURST
#undef RECEIVE_ROOM
#undef SENT_IDS
#undef SPARE_SERVERS
#undef STUN_HEADER_SIZE
#undef STUN_ID_AT
#undef STUN_RESPONSE_BIT
#undef WALL_CLOCK_SET_NS

/* ---- inspection.c -------------------- */

/* One address of one server in a survey. */
/* One address of one server in a survey: its socket, and when the next datagram may go there. */
#ifndef NPI_INSPECTION_H
#define NPI_INSPECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/* From one datagram to a server to the next. */
#define NPI_INSPECTION_GAP_NS UINT64_C(1000000000)
/* How long answers to the last one are waited for. */
#define NPI_INSPECTION_PATIENCE_NS UINT64_C(2000000000)
#define NPI_INSPECTION_ASKED 40 /* more than a server is ever asked */

typedef struct npi_inspection {
    bool is_open;
    bool is_over;
    npi_appraisal appraisal;
    npi_socket socket;
    npi_failure failure; /* why the last datagram did not leave */
    int error;           /* the same as a code; NP_OK: it left, or none was sent */
    uint64_t last_ns;    /* when a datagram was sent last; 0: never */
    uint64_t next_ns;    /* when there is something to do without a datagram */
    size_t asked_count;
    struct {
        npi_stun_id id;
        npi_ask ask;
        uint64_t sent_ns;
        bool is_classic;
        bool is_answered;
    } asked[NPI_INSPECTION_ASKED];
} npi_inspection;

/* Opens its socket; nothing is sent before start_ns. NP_OK or an NP_ERR_* code, with the call that failed. */
int npi_inspection_open(npi_inspection *i, const npi_addr *server, const npi_addr *source, const char *interface,
                        uint64_t start_ns, npi_failure *failure);
/* Takes in what has come. False when it is too much: then the socket is to be closed, and nothing more is asked. */
bool npi_inspection_receive(npi_inspection *i);
/* Whether its time has come to send or to end. */
bool npi_inspection_is_due(const npi_inspection *i, uint64_t now_ns);
/* What it does then is to send. */
bool npi_inspection_will_send(const npi_inspection *i);
/* It has to wait for another one. */
void npi_inspection_put_off(npi_inspection *i, uint64_t until_ns);
/* Sends the next request, or ends. Where the kernel gives no random numbers yet, it tries again soon. */
void npi_inspection_go_on(npi_inspection *i, uint64_t now_ns);
/* Whether both concern one server, as far as is known: then what goes to one counts for the other. */
bool npi_inspection_are_related(const npi_inspection *a, const npi_inspection *b);
void npi_inspection_close(npi_inspection *i);

#endif

#include <string.h>



/* Datagrams read before the other servers get their turn. */
#define READ_BURST 32
#define RECEIVE_ROOM 2048
#define RETRY_NS (100 * UINT64_C(1000000))
#define NS_PER_US 1000

int npi_inspection_open(npi_inspection *i, const npi_addr *server, const npi_addr *source, const char *interface,
                        uint64_t start_ns, npi_failure *failure)
{
    npi_addr local = *source;
    memset(i, 0, sizeof *i);
    npi_appraisal_init(&i->appraisal, server);
    i->next_ns = start_ns;
    i->socket = NPI_SOCKET_CLOSED;
    local.family = server->family;
    local.port = 0;
    int error = npi_socket_open_on(&i->socket, &local, interface, failure);
    i->is_open = error == NP_OK;
    return error;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

static size_t find_asked(const npi_inspection *i, const npi_stun_id *id)
{
    size_t n = 0;
    while (n < i->asked_count && !npi_stun_id_equal(&i->asked[n].id, id))
        n++;
    return n;
}

/* Where the socket is bound to no address, the datagram tells to which it came. */
static npi_addr local_of(const npi_inspection *i, const npi_received *got)
{
    npi_addr local = got->local;
    npi_failure unused;
    if (npi_addr_is_set(&local) && !npi_addr_is_any(&local))
        return local;
    if (!npi_local_address_for(&i->socket, &got->from, &local, &unused))
        local.family = NPI_FAMILY_NONE;
    return local;
}

static void inspection_take_datagram(npi_inspection *i, const npi_received *got, const uint8_t *data, uint64_t now_ns)
{
    npi_stun_response response;
    npi_stun_kind kind = got->truncated ? NPI_STUN_DROP : npi_stun_decode(data, got->size, &response);
    size_t n = kind != NPI_STUN_DROP ? find_asked(i, &response.id) : i->asked_count;
    if (n == i->asked_count) {
        npi_appraisal_unusable(&i->appraisal);
        return;
    }
    npi_reply reply = {
        .ask = i->asked[n].ask,
        .from = npi_addr_unmap(&got->from),
        .local = local_of(i, got),
        .rtt_us = (now_ns - i->asked[n].sent_ns) / NS_PER_US,
        .is_classic = i->asked[n].is_classic,
        .is_again = i->asked[n].is_answered,
    };
    if (kind == NPI_STUN_SUCCESS || kind == NPI_STUN_ERROR)
        i->asked[n].is_answered = true;
    npi_appraisal_take(&i->appraisal, &reply, &response);
}

bool npi_inspection_receive(npi_inspection *i)
{
    uint8_t buffer[RECEIVE_ROOM];
    npi_received got;
    int os_error;
    for (int n = 0; n < READ_BURST; n++) {
        if (npi_socket_receive(&i->socket, buffer, sizeof buffer, &got, &os_error) != NPI_IO_OK)
            return true;
        inspection_take_datagram(i, &got, buffer, npi_clock_now());
        if (!npi_appraisal_received(&i->appraisal))
            return false;
    }
    return true;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

bool npi_inspection_is_due(const npi_inspection *i, uint64_t now_ns)
{
    return !i->is_over && i->next_ns <= now_ns;
}

bool npi_inspection_will_send(const npi_inspection *i)
{
    return i->asked_count < NPI_INSPECTION_ASKED && npi_appraisal_next(&i->appraisal) != NPI_ASK_NOTHING;
}

void npi_inspection_put_off(npi_inspection *i, uint64_t until_ns)
{
    i->next_ns = until_ns;
}

/* It leaves, or counts as lost where the system or the network refuses it. */
static void send_request(npi_inspection *i, npi_ask ask, const npi_stun_id *id, uint64_t now_ns)
{
    uint8_t data[NPI_STUN_REQUEST_SIZE];
    int os_error = 0;
    npi_addr target = npi_appraisal_target(&i->appraisal, ask);
    bool is_classic = npi_appraisal_dialect(&i->appraisal) == NPI_STUN_RFC3489;
    size_t size = npi_stun_encode_request(data, id, npi_appraisal_change(ask));
    npi_io io = npi_socket_send(&i->socket, &target, data, size, &os_error);
    i->next_ns = now_ns + NPI_INSPECTION_GAP_NS;
    i->last_ns = now_ns;
    i->error = io == NPI_IO_ERROR ? npi_error_from_errno(os_error) : NP_OK;
    i->failure = (npi_failure){.call = "sendto", .os_error = os_error};
    if (io == NPI_IO_AGAIN)
        return;
    npi_appraisal_sent(&i->appraisal, ask);
    i->asked[i->asked_count].id = *id;
    i->asked[i->asked_count].ask = ask;
    i->asked[i->asked_count].sent_ns = now_ns;
    i->asked[i->asked_count].is_classic = is_classic;
    i->asked_count++;
}

void npi_inspection_go_on(npi_inspection *i, uint64_t now_ns)
{
    uint8_t random[NPI_STUN_ID_SIZE];
    if (!npi_inspection_will_send(i)) {
        uint64_t end_ns = i->last_ns + NPI_INSPECTION_PATIENCE_NS;
        i->is_over = end_ns <= now_ns;
        i->next_ns = end_ns;
        return;
    }
    if (!npi_random_bytes(random, sizeof random)) {
        i->next_ns = now_ns + RETRY_NS;
        return;
    }
    npi_stun_id id = npi_stun_make_id(npi_appraisal_dialect(&i->appraisal), random);
    send_request(i, npi_appraisal_next(&i->appraisal), &id, now_ns);
}

/* ---- Beside others ---------------------------------------------------------------------------------------------- */

static bool has_ip(const npi_inspection *i, const npi_addr *ip)
{
    const npi_appraisal *a = &i->appraisal;
    return npi_addr_same_ip(&a->server, ip) || (npi_appraisal_has_alternate(a) && npi_addr_same_ip(&a->alternate, ip));
}

bool npi_inspection_are_related(const npi_inspection *a, const npi_inspection *b)
{
    return has_ip(b, &a->appraisal.server) ||
           (npi_appraisal_has_alternate(&a->appraisal) && has_ip(b, &a->appraisal.alternate));
}

void npi_inspection_close(npi_inspection *i)
{
    npi_socket_close(&i->socket);
    i->is_open = false;
}
#undef NS_PER_US
#undef READ_BURST
#undef RECEIVE_ROOM
#undef RETRY_NS

/* ---- natprobe.c -------------------- */

/* The public functions: arguments checked, and a check taken from its beginning to its end. */

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a watch and a survey need of a probe beside the public functions. */
#ifndef NPI_PROBE_H
#define NPI_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>



/* The settings of a probe, as long as it is not changed. */
typedef struct npi_probe_settings {
    npi_addr source; /* family none: not set */
    const char *source_zone;
    const char *interface; /* empty: none was chosen */
    np_socket socket;
    int32_t family;
    int32_t tests;
    npi_log log;
    np_event_fn on_event;
    void *event_user;
    const npi_server_name *servers; /* those added; none: the built-in list */
    size_t server_count;
} npi_probe_settings;

/* Reads a server as np_probe_add_server() does. False where that refuses it. */
bool npi_probe_reads_server(const char *server, npi_server_name *out);
void npi_probe_describe(const np_probe *probe, npi_probe_settings *out);
/* The servers to ask, in this order, at most NP_MAX_SERVERS; what they are built in for is kept. */
void npi_probe_set_servers(np_probe *probe, const npi_server_name *servers, size_t count);
/* In a call of a callback: ends the check that goes on, and calls back no more. */
void npi_probe_mute(np_probe *probe);

#endif

_Static_assert(sizeof(np_result) == 1024, "np_result is 1,024 bytes for the life of the ABI");

#define TIMEOUT_MAX_MS 3600000U
#define LIFETIME_MAX_S 3600U
#define NS_PER_MS UINT64_C(1000000)

/* Which run is on and whether it was cancelled, in one word: who cancels must not meet the next one. */
#define RUN_GOES_ON 1U
#define RUN_CANCELLED 2U
#define RUN_STATE (RUN_GOES_ON | RUN_CANCELLED)
#define RUN_ONE 4U /* the bits from here on count the runs */

typedef enum natprobe_stage { STAGE_IDLE, STAGE_RUNNING, STAGE_DONE } natprobe_stage;

struct np_probe {
    npi_addr source;                    /* family none: not set */
    char source_zone[NPI_ADDR_ZONE];    /* on which link it is; empty: no link named */
    char interface[NPI_INTERFACE_NAME]; /* the one that was chosen; empty: none */
    uint16_t source_port;
    npi_callers_socket socket;
    int32_t family;
    int32_t tests;
    uint32_t timeout_ms;
    uint32_t response_timeout_ms; /* 0: in proportion to timeout_ms */
    uint32_t lifetime_limit_s;
    npi_log log;
    npi_observer observer;
    npi_server_name servers[NP_MAX_SERVERS]; /* those added, else the built-in list as shuffled for the check */
    size_t added_servers;
    atomic_uint run;        /* RUN_STATE and a number */
    atomic_bool in_call;    /* a call that may call back is being made */
    bool free_on_return;    /* to be freed when that call returns */
    npi_poller poller;      /* closed until the first check */
    _Atomic(npi_wake) wake; /* the poller's, for np_probe_cancel; NPI_NO_WAKE before */

    natprobe_stage stage;
    npi_check check;
    npi_addr run_source;
    size_t run_servers;
    uint64_t start_ns;
    np_result result; /* in stage DONE */
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void init(np_probe *probe)
{
    memset(probe, 0, sizeof *probe);
    probe->socket.fd = NP_INVALID_SOCKET;
    probe->tests = NP_TESTS_DEFAULT;
    probe->timeout_ms = NP_DEFAULT_TIMEOUT_MS;
    probe->lifetime_limit_s = NP_DEFAULT_LIFETIME_LIMIT_S;
    probe->poller = NPI_POLLER_CLOSED;
    atomic_init(&probe->run, 0);
    atomic_init(&probe->in_call, false);
    atomic_init(&probe->wake, NPI_NO_WAKE);
}

np_probe *np_probe_new(void)
{
    np_probe *probe = malloc(sizeof *probe);
    if (probe != NULL)
        init(probe);
    return probe;
}

void npi_probe_mute(np_probe *probe)
{
    probe->log.sink = NULL;
    probe->observer.sink = NULL;
    npi_check_mute(&probe->check);
    np_probe_cancel(probe);
}

/* Called back, and freed: ends the call that is being made, which calls back no more, and then the handle. */
static void natprobe_free_later(np_probe *probe)
{
    probe->free_on_return = true;
    npi_probe_mute(probe);
}

void np_probe_free(np_probe *probe)
{
    if (probe == NULL)
        return;
    if (atomic_load(&probe->in_call)) {
        natprobe_free_later(probe);
        return;
    }
    npi_check_end(&probe->check);
    npi_poller_close(&probe->poller);
    free(probe);
}

/* False when the handle is in a call already: one of its callbacks tries this, or a thread that should not. */
static bool natprobe_enter(np_probe *probe)
{
    return !atomic_exchange(&probe->in_call, true);
}

static void natprobe_leave(np_probe *probe)
{
    atomic_store(&probe->in_call, false);
    if (probe->free_on_return)
        np_probe_free(probe);
}

static void begin_run(np_probe *probe)
{
    atomic_fetch_add(&probe->run, RUN_ONE + RUN_GOES_ON);
}

static void end_run(np_probe *probe)
{
    atomic_fetch_and(&probe->run, ~RUN_STATE);
}

/* Where the exchange fails, the run is over or cancelled. Trying again might meet the next one. */
void np_probe_cancel(np_probe *probe)
{
    unsigned seen = probe != NULL ? atomic_load(&probe->run) : 0;
    if ((seen & RUN_STATE) != RUN_GOES_ON || !atomic_compare_exchange_strong(&probe->run, &seen, seen | RUN_CANCELLED))
        return;
    npi_wake wake = atomic_load(&probe->wake);
    if (wake != NPI_NO_WAKE)
        npi_poller_wake(wake);
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

/* Whether a setting may be changed now. */
static int natprobe_settable(const np_probe *probe)
{
    if (probe == NULL)
        return NP_ERR_ARGUMENT;
    return probe->stage != STAGE_IDLE || atomic_load(&probe->in_call) ? NP_ERR_BUSY : NP_OK;
}

static int check_setter(const np_probe *probe, bool is_valid)
{
    int error = natprobe_settable(probe);
    return error == NP_OK && !is_valid ? NP_ERR_ARGUMENT : error;
}

int np_probe_set_source(np_probe *probe, const char *ip, uint16_t port)
{
    int error = natprobe_settable(probe);
    if (error != NP_OK)
        return error;
    npi_addr source;
    memset(&source, 0, sizeof source);
    if (ip != NULL && !npi_addr_parse_ip(ip, &source))
        return NP_ERR_ARGUMENT;
    probe->source = npi_addr_unmap(&source);
    memset(probe->source_zone, 0, sizeof probe->source_zone);
    if (ip != NULL)
        memcpy(probe->source_zone, npi_addr_zone(ip), strlen(npi_addr_zone(ip)));
    probe->source_port = port;
    probe->socket = (npi_callers_socket){.fd = NP_INVALID_SOCKET};
    return NP_OK;
}

int np_probe_set_interface(np_probe *probe, const char *name)
{
    size_t length = name != NULL ? strlen(name) : 0;
    int error = check_setter(probe, name == NULL || (length > 0 && length < sizeof probe->interface));
    if (error != NP_OK)
        return error;
    memset(probe->interface, 0, sizeof probe->interface);
    if (name != NULL)
        memcpy(probe->interface, name, length);
    return NP_OK;
}

int np_probe_set_socket(np_probe *probe, np_socket fd, np_datagram_fn on_datagram, void *user)
{
    npi_reach reach;
    bool is_valid = fd == NP_INVALID_SOCKET || (on_datagram != NULL && npi_socket_examine(fd, &reach) == NP_OK);
    int error = check_setter(probe, is_valid);
    if (error != NP_OK)
        return error;
    probe->source = (npi_addr){.family = NPI_FAMILY_NONE};
    probe->source_zone[0] = '\0';
    probe->source_port = 0;
    probe->socket = (npi_callers_socket){.fd = fd, .on_datagram = on_datagram, .user = user};
    return NP_OK;
}

/* Literals to which nothing may be sent are told at once, names only once they are resolved. */
static bool natprobe_may_be_asked(const npi_server_name *name)
{
    npi_addr literal;
    if (!npi_addr_parse_ip(name->host, &literal))
        return true;
    literal.port = name->port;
    return npi_addr_is_destination(&literal);
}

bool npi_probe_reads_server(const char *server, npi_server_name *out)
{
    return server != NULL && npi_server_parse(server, out) && natprobe_may_be_asked(out);
}

int np_probe_add_server(np_probe *probe, const char *server)
{
    npi_server_name name;
    int error = check_setter(probe, npi_probe_reads_server(server, &name));
    if (error != NP_OK)
        return error;
    if (probe->added_servers == NP_MAX_SERVERS)
        return NP_ERR_LIMIT;
    probe->servers[probe->added_servers++] = name;
    return NP_OK;
}

int np_probe_clear_servers(np_probe *probe)
{
    int error = natprobe_settable(probe);
    if (error == NP_OK)
        probe->added_servers = 0;
    return error;
}

int np_probe_set_family(np_probe *probe, int32_t family)
{
    int error = check_setter(probe, family == NP_FAMILY_ANY || family == NP_FAMILY_IPV4 || family == NP_FAMILY_IPV6);
    if (error == NP_OK)
        probe->family = family;
    return error;
}

int np_probe_set_tests(np_probe *probe, int32_t tests)
{
    int error = check_setter(probe, tests > 0 && (tests & ~(NP_TESTS_DEFAULT | NP_TESTS_OPTIONAL)) == 0);
    if (error == NP_OK && (tests & NP_TESTS_REFUSED) != 0)
        tests |= NP_TESTS_FILTERING; /* it shows what the NAT refuses */
    if (error == NP_OK)
        probe->tests = tests; /* the mapping is always tested: the filtering cannot be told without it */
    return error;
}

static bool natprobe_is_timeout(uint32_t timeout_ms)
{
    return timeout_ms > 0 && timeout_ms <= TIMEOUT_MAX_MS;
}

int np_probe_set_timeout(np_probe *probe, uint32_t timeout_ms)
{
    int error = check_setter(probe, natprobe_is_timeout(timeout_ms));
    if (error == NP_OK)
        probe->timeout_ms = timeout_ms;
    return error;
}

int np_probe_set_response_timeout(np_probe *probe, uint32_t timeout_ms)
{
    int error = check_setter(probe, natprobe_is_timeout(timeout_ms));
    if (error == NP_OK)
        probe->response_timeout_ms = timeout_ms;
    return error;
}

int np_probe_set_lifetime_limit(np_probe *probe, uint32_t limit_s)
{
    int error = check_setter(probe, limit_s > 0 && limit_s <= LIFETIME_MAX_S);
    if (error == NP_OK)
        probe->lifetime_limit_s = limit_s;
    return error;
}

int np_probe_set_log(np_probe *probe, int32_t level, np_log_fn log, void *user)
{
    int error = check_setter(probe, log == NULL || (level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG));
    if (error == NP_OK)
        probe->log = (npi_log){.sink = log, .user = user, .level = level};
    return error;
}

int np_probe_set_events(np_probe *probe, np_event_fn on_event, void *user)
{
    int error = natprobe_settable(probe);
    if (error == NP_OK)
        probe->observer = (npi_observer){.sink = on_event, .user = user};
    return error;
}

/* ---- For a watch or a survey ------------------------------------------------------------------------------------- */

void npi_probe_describe(const np_probe *probe, npi_probe_settings *out)
{
    *out = (npi_probe_settings){
        .source = probe->source,
        .source_zone = probe->source_zone,
        .interface = probe->interface,
        .socket = probe->socket.fd,
        .family = probe->family,
        .tests = probe->tests,
        .log = probe->log,
        .on_event = probe->observer.sink,
        .event_user = probe->observer.user,
        .servers = probe->servers,
        .server_count = probe->added_servers,
    };
}

void npi_probe_set_servers(np_probe *probe, const npi_server_name *servers, size_t count)
{
    memcpy(probe->servers, servers, count * sizeof *servers);
    probe->added_servers = count;
}

/* ---- Beginning a check ------------------------------------------------------------------------------------------ */

/* Whether all servers were given by address, and all of that family. */
static bool all_servers_are_of(const np_probe *probe, npi_family family)
{
    for (size_t i = 0; i < probe->added_servers; i++) {
        npi_addr a;
        if (!npi_addr_parse_ip(probe->servers[i].host, &a) || npi_addr_unmap(&a).family != family)
            return false;
    }
    return probe->added_servers > 0;
}

static bool has_free_choice(const np_probe *probe)
{
    return probe->family == NP_FAMILY_ANY && !npi_addr_is_set(&probe->source) && !npi_is_socket(probe->socket.fd);
}

/* Whether IPv6 is what to begin with, where both are possible. */
static bool prefers_ipv6(const np_probe *probe)
{
    return probe->family == NP_FAMILY_IPV6 || (probe->family == NP_FAMILY_ANY && all_servers_are_of(probe, NPI_IPV6));
}

/*
 * The family to try first: that of the socket or source address, that which was chosen, or that which all servers have.
 */
static npi_addr first_source(const np_probe *probe)
{
    npi_addr source = probe->source;
    npi_reach reach = {true, true};
    if (npi_is_socket(probe->socket.fd) && npi_socket_examine(probe->socket.fd, &reach) != NP_OK)
        reach = (npi_reach){true, false}; /* it is no longer what it was: opening it will fail, and say so */
    if (!npi_addr_is_set(&source))
        source.family = reach.ipv6 && (!reach.ipv4 || prefers_ipv6(probe)) ? NPI_IPV6 : NPI_IPV4;
    source.port = probe->source_port;
    return source;
}

/* A source or socket of one family and a choice of the other contradict each other. */
static bool contradicts_itself(const np_probe *probe)
{
    return probe->family != NP_FAMILY_ANY && probe->family != probe->run_source.family;
}

/* Soon after boot there are no random numbers yet. The load on the servers is spread by the clock then. */
static void scatter_by_clock(uint8_t out[NP_MAX_SERVERS])
{
    uint64_t state = npi_clock_now();
    for (size_t i = 0; i < NP_MAX_SERVERS; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(state >> 56);
    }
}

static bool choose_servers(np_probe *probe)
{
    uint8_t random[NP_MAX_SERVERS];
    probe->run_servers = probe->added_servers;
    if (probe->added_servers > 0)
        return true;
    if (!npi_random_bytes(random, sizeof random)) {
        if (errno != EAGAIN)
            return false;
        scatter_by_clock(random);
    }
    probe->run_servers = npi_builtin_shuffled(probe->servers, NP_MAX_SERVERS, random);
    return true;
}

/* IPv6 may be asked beside IPv4 where nothing but the library chose IPv4, and some server may have an IPv6 address. */
static bool natprobe_may_add_ipv6(const np_probe *probe)
{
    return has_free_choice(probe) && probe->run_source.family == NPI_IPV4 && !all_servers_are_of(probe, NPI_IPV4);
}

/* With more time for the whole run, more of it is for the first answer: whoever allows a minute may be far away. */
static uint32_t response_timeout_ms(const np_probe *probe)
{
    uint32_t share_ms = probe->timeout_ms / 10 * 3;
    if (probe->response_timeout_ms != 0)
        return probe->response_timeout_ms;
    return share_ms > NP_DEFAULT_RESPONSE_TIMEOUT_MS ? share_ms : NP_DEFAULT_RESPONSE_TIMEOUT_MS;
}

static void natprobe_start_check(np_probe *probe)
{
    npi_driver_config config = {
        .source = probe->run_source,
        .interface = !npi_is_socket(probe->socket.fd) && probe->interface[0] != '\0' ? probe->interface : NULL,
        .socket = probe->socket,
        .tests = probe->tests,
        .lifetime_limit_s = probe->lifetime_limit_s,
        .start_ns = probe->start_ns,
        .timeout_ns = probe->timeout_ms * NS_PER_MS,
        .response_timeout_ns = response_timeout_ms(probe) * NS_PER_MS,
        .servers = probe->servers,
        .server_count = probe->run_servers,
        .log = probe->log,
        .observer = probe->observer,
        .poller = &probe->poller,
        .run = &probe->run,
        .cancelled_run = atomic_load(&probe->run) | RUN_CANCELLED,
    };
    npi_check_begin(&probe->check, &config, natprobe_may_add_ipv6(probe));
}

/* ---- The end of a check ----------------------------------------------------------------------------------------- */

static np_event make_conclusion(const np_probe *probe)
{
    np_event event;
    memset(&event, 0, sizeof event);
    event.kind = NP_EVENT_CONCLUDED;
    event.time_us = (npi_clock_now() - probe->start_ns) / 1000;
    return event;
}

static void natprobe_tell(const np_probe *probe, const np_event *event)
{
    if (probe->observer.sink != NULL)
        probe->observer.sink(event, probe->observer.user);
}

static void tell_mapping(const np_probe *probe)
{
    np_event event = make_conclusion(probe);
    event.purpose = NP_PURPOSE_MAPPING;
    event.behaviour = probe->result.mapping;
    natprobe_tell(probe, &event);
}

static void tell_end(const np_probe *probe)
{
    np_event event = make_conclusion(probe);
    event.nat_type = probe->result.nat_type;
    event.error = probe->result.error;
    memcpy(event.remote, probe->result.server, sizeof event.remote);
    natprobe_tell(probe, &event);
}

/* The result is kept until it is asked for. */
static void natprobe_finish(np_probe *probe)
{
    probe->stage = STAGE_DONE;
    npi_poller_set_timer(&probe->poller, 0, UINT64_MAX);
    npi_poller_wake(npi_poller_wake_of(&probe->poller));
    if (probe->result.packets_received > 0)
        tell_mapping(probe);
    tell_end(probe);
}

/* ---- Going on --------------------------------------------------------------------------------------------------- */

/* All that can be done without waiting. */
static void advance(np_probe *probe)
{
    if (probe->stage == STAGE_RUNNING && npi_check_turn(&probe->check, &probe->result))
        natprobe_finish(probe);
}

static int natprobe_open_poller(np_probe *probe, npi_failure *failure)
{
    *failure = NPI_FAILURE_NONE;
    if (npi_poller_is_open(&probe->poller))
        return NP_OK;
    int error = npi_poller_open(&probe->poller, failure);
    if (error == NP_OK)
        atomic_store(&probe->wake, npi_poller_wake_of(&probe->poller));
    return error;
}

/* The interface that the source address names is looked for when a check begins: it may come and go. */
static int fail_for_interface(np_probe *probe)
{
    npi_failure failure = npi_failure_of("if_nametoindex");
    char prefix[64 + NPI_ADDR_TEXT];
    char text[NPI_ADDR_IP_TEXT];
    int error = failure.os_error == ENODEV ? NP_ERR_ADDRESS_NOT_AVAILABLE : NP_ERR_SYSTEM;
    npi_addr_format_ip(&probe->source, text);
    (void)snprintf(prefix, sizeof prefix, "cannot use %s%%%s as the source: ", text, probe->source_zone);
    return npi_result_fail_for(&probe->result, error, prefix, &failure);
}

/* The system would take the link that the source address names, and not the interface that was chosen. */
static bool is_on_other_interface(const np_probe *probe)
{
    npi_addr source = probe->source;
    return probe->run_source.scope != 0 && npi_addr_find_scope(probe->interface, &source) && source.scope != 0 &&
           source.scope != probe->run_source.scope;
}

/* What may fail before anything is sent: the result says so. */
static int prepare(np_probe *probe)
{
    if (contradicts_itself(probe))
        return npi_result_fail(&probe->result, NP_ERR_ARGUMENT, 0,
                               "the source address or socket is not of the chosen family");
    if (!npi_addr_find_scope(probe->source_zone, &probe->run_source))
        return fail_for_interface(probe);
    if (is_on_other_interface(probe))
        return npi_result_fail(&probe->result, NP_ERR_ARGUMENT, 0,
                               "the source address is on another interface than the chosen one");
    if (!choose_servers(probe)) {
        npi_failure failure = npi_failure_of("getrandom");
        return npi_result_fail_for(&probe->result, NP_ERR_SYSTEM, "", &failure);
    }
    if (probe->run_servers == 0)
        return npi_result_fail(
            &probe->result, NP_ERR_ARGUMENT, 0,
            "this build has no built-in servers: name one (np_probe_add_server(), natprobe -s HOST)");
    return NP_OK;
}

static int natprobe_begin(np_probe *probe, npi_failure *failure)
{
    begin_run(probe);
    int error = natprobe_open_poller(probe, failure);
    if (error != NP_OK) {
        end_run(probe);
        return error;
    }
    probe->start_ns = npi_clock_now();
    probe->run_source = first_source(probe);
    probe->stage = STAGE_RUNNING;
    int refused = prepare(probe);
    if (refused == NP_OK) {
        natprobe_start_check(probe);
        advance(probe);
    } else {
        natprobe_finish(probe);
    }
    return NP_OK;
}

/* Hands the result over; the handle is free for the next check. */
static int natprobe_take_result(np_probe *probe, np_result *result)
{
    uint32_t tags[NPI_POLLER_TAGS];
    *result = probe->result;
    probe->stage = STAGE_IDLE;
    end_run(probe);
    (void)npi_poller_collect(&probe->poller, tags); /* nothing more to be woken for */
    return result->error;
}

/* ---- The public calls ------------------------------------------------------------------------------------------- */

int np_probe_start(np_probe *probe)
{
    npi_failure unused;
    if (probe == NULL)
        return NP_ERR_ARGUMENT;
    if (!natprobe_enter(probe))
        return NP_ERR_BUSY;
    int error = probe->stage != STAGE_IDLE ? NP_ERR_BUSY : natprobe_begin(probe, &unused);
    if (probe->free_on_return)
        error = NP_ERR_CANCELLED; /* there is nothing to watch */
    natprobe_leave(probe);
    return error;
}

np_socket np_probe_fd(const np_probe *probe)
{
    return probe != NULL ? npi_poller_fd(&probe->poller) : NP_INVALID_SOCKET;
}

void *np_probe_wait_handle(const np_probe *probe)
{
    return probe != NULL ? npi_poller_event(&probe->poller) : NULL;
}

static int natprobe_process(np_probe *probe, np_result *result)
{
    uint32_t tags[NPI_POLLER_TAGS];
    advance(probe);
    if (probe->stage == STAGE_DONE)
        return natprobe_take_result(probe, result);
    if (probe->stage != STAGE_IDLE)
        return npi_result_fail(result, NP_PENDING, 0, "%s", "");
    if (npi_poller_is_open(&probe->poller))
        (void)npi_poller_collect(&probe->poller, tags); /* one that came as the check ended has woken the caller */
    return npi_result_fail(result, NP_ERR_ARGUMENT, 0, "no check was started");
}

/* A call that may call back and gives a result, guarded. */
static int natprobe_call(np_probe *probe, np_result *result, int (*function)(np_probe *, np_result *))
{
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    if (probe == NULL)
        return npi_result_fail(result, NP_ERR_ARGUMENT, 0, "the probe is NULL");
    if (!natprobe_enter(probe))
        return npi_result_fail(result, NP_ERR_BUSY, 0, "the probe is in another call");
    int error = function(probe, result);
    if (error == NP_PENDING && probe->free_on_return)
        error = npi_result_fail(result, NP_ERR_CANCELLED, 0, "the probe was freed by a callback");
    natprobe_leave(probe);
    return error;
}

int np_probe_process(np_probe *probe, np_result *result)
{
    return natprobe_call(probe, result, natprobe_process);
}

/* False when nothing has begun: the result says why. */
static bool begin_or_tell(np_probe *probe, np_result *result)
{
    npi_failure failure;
    int error = natprobe_begin(probe, &failure);
    if (error != NP_OK)
        npi_result_fail_for(result, error, "cannot wait: ", &failure);
    return error == NP_OK;
}

/* What a caller with an event loop does after each wait, in a loop of our own. */
static void natprobe_go_on(np_probe *probe, bool has_waited, const npi_failure *failure)
{
    if (!has_waited)
        npi_check_stop(&probe->check, NP_ERR_SYSTEM, *failure);
    advance(probe);
}

static void run_to_end(np_probe *probe)
{
    while (probe->stage != STAGE_DONE) {
        bool has_waited = npi_poller_wait(&probe->poller);
        npi_failure failure = npi_failure_of(NPI_POLLER_WAIT);
        natprobe_go_on(probe, has_waited, &failure);
    }
}

static int natprobe_run(np_probe *probe, np_result *result)
{
    if (probe->stage != STAGE_IDLE)
        return npi_result_fail(result, NP_ERR_BUSY, 0, "the probe is running already");
    if (!begin_or_tell(probe, result))
        return result->error;
    run_to_end(probe);
    return natprobe_take_result(probe, result);
}

int np_probe_run(np_probe *probe, np_result *result)
{
    return natprobe_call(probe, result, natprobe_run);
}

int np_check_nat(const char *src_ip, uint16_t src_port, np_result *result)
{
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    np_probe *probe = np_probe_new();
    if (probe == NULL)
        return npi_result_fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
    int error = np_probe_set_source(probe, src_ip, src_port);
    if (error != NP_OK)
        npi_result_fail(result, error, 0, "the source address is not an IP literal");
    else
        error = np_probe_run(probe, result);
    np_probe_free(probe);
    return error;
}

/* ---- Both families ---------------------------------------------------------------------------------------------- */

/* NULL when no check has begun: the result says why. */
static np_probe *begin_over(int32_t family, np_result *result)
{
    np_probe *probe = np_probe_new();
    if (probe == NULL) {
        npi_result_fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
        return NULL;
    }
    probe->family = family;
    if (begin_or_tell(probe, result))
        return probe;
    np_probe_free(probe);
    return NULL;
}

static bool is_running(const np_probe *probe)
{
    return probe != NULL && probe->stage != STAGE_DONE;
}

/* Until one of them has ended. */
static void run_beside(np_probe *probe, np_probe *other)
{
    while (is_running(probe) && is_running(other)) {
        bool has_waited = npi_poller_wait_either(&probe->poller, &other->poller);
        npi_failure failure = npi_failure_of(NPI_POLLER_WAIT);
        natprobe_go_on(probe, has_waited, &failure);
        natprobe_go_on(other, has_waited, &failure);
    }
}

static void end_over(np_probe *probe, np_result *result)
{
    if (probe == NULL)
        return;
    run_to_end(probe);
    natprobe_take_result(probe, result);
    np_probe_free(probe);
}

/* What says most of both: a family that this host does not have says nothing of the NAT. */
static int error_of_both(const np_result *ipv4, const np_result *ipv6)
{
    bool has_no_ipv4 = ipv4->error == NP_ERR_NETWORK_UNREACHABLE || ipv4->error == NP_ERR_RESOLVE;
    if (ipv4->error == NP_OK || ipv6->error == NP_OK)
        return NP_OK;
    return has_no_ipv4 ? ipv6->error : ipv4->error;
}

static int refuse_results(np_result *ipv4, np_result *ipv6)
{
    if (ipv4 != NULL)
        npi_result_fail(ipv4, NP_ERR_ARGUMENT, 0, "two results are needed, one for each family");
    if (ipv6 != NULL)
        npi_result_fail(ipv6, NP_ERR_ARGUMENT, 0, "two results are needed, one for each family");
    return NP_ERR_ARGUMENT;
}

int np_check_nat_dual(np_result *ipv4, np_result *ipv6)
{
    if (ipv4 == NULL || ipv6 == NULL || ipv4 == ipv6)
        return refuse_results(ipv4, ipv6);
    np_probe *over_ipv4 = begin_over(NP_FAMILY_IPV4, ipv4);
    np_probe *over_ipv6 = begin_over(NP_FAMILY_IPV6, ipv6);
    run_beside(over_ipv4, over_ipv6);
    end_over(over_ipv4, ipv4);
    end_over(over_ipv6, ipv6);
    return error_of_both(ipv4, ipv6);
}

/* ---- Logging the outcome ---------------------------------------------------------------------------------------- */

static void log_to_stderr(int32_t level, const char *message, void *user)
{
    (void)user;
    fprintf(stderr, "natprobe: %s%s\n", level == NP_LOG_ERROR ? "error: " : "", message);
}

static void log_outcome(const npi_log *log, int error, const np_result *result)
{
    if (error != NP_OK) {
        npi_log_write(log, NP_LOG_ERROR, "Failed to determine NAT type: %s%s%s", np_strerror(error),
                      result->detail[0] != '\0' ? ": " : "", result->detail);
        return;
    }
    npi_log_write(log, NP_LOG_INFO, "NAT type:      %s", np_nat_type_description(result->nat_type));
    npi_log_write(log, NP_LOG_INFO, "External IP:   %s", result->external_ip);
    npi_log_write(log, NP_LOG_INFO, "External port: %u", (unsigned)result->external_port);
    bool unlikely = result->nat_type == NP_NAT_SYMMETRIC;
    npi_log_write(log, NP_LOG_INFO, "NAT traversal by UDP hole punching is %s to work",
                  unlikely ? "unlikely" : "likely");
}

int np_check_nat_and_log(const char *src_ip, uint16_t src_port, np_result *result, np_log_fn log, void *user)
{
    np_result unwanted;
    npi_log sink = {log != NULL ? log : log_to_stderr, user, NP_LOG_INFO};
    if (result == NULL)
        result = &unwanted;
    int error = np_check_nat(src_ip, src_port, result);
    log_outcome(&sink, error, result);
    return error;
}

/* ---- Version ---------------------------------------------------------------------------------------------------- */

const char *np_version(void)
{
    return NP_VERSION;
}

uint32_t np_version_number(void)
{
    return NP_VERSION_NUMBER;
}

size_t np_result_size(void)
{
    return sizeof(np_result);
}

size_t np_event_size(void)
{
    return sizeof(np_event);
}
#undef LIFETIME_MAX_S
#undef NS_PER_MS
#undef RUN_CANCELLED
#undef RUN_GOES_ON
#undef RUN_ONE
#undef RUN_STATE
#undef TIMEOUT_MAX_MS

/* ---- survey.c -------------------- */

/*
 * A survey: first a check, of the probe, that proves this host open; then the servers of a list, some side by side.
 * appraisal.h decides what each is asked and what that shows, inspection.h has its socket, roster.h the list.
 */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One thing to wait for behind another: what wakes a probe wakes the watch that owns it. */
#ifndef NPI_NEST_H
#define NPI_NEST_H

#include <stdbool.h>
#include <stdint.h>



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

_Static_assert(sizeof(np_survey_report) == 1280, "np_survey_report is 1,280 bytes for the life of the ABI");
_Static_assert(sizeof(np_survey_status) == 1280, "np_survey_status is 1,280 bytes for the life of the ABI");
_Static_assert(NPI_SERVER_TEXT == NP_SERVER_TEXT_SIZE, "any server has room in a report");

#define VISITS 64       /* servers side by side */
#define LOOK_UPS 8      /* of these, names that are being looked up */
#define INSPECTIONS 128 /* addresses side by side */
#define PROOF_BLOCKS 8  /* so many times 32 servers of the list are tried for the check of this host */
#define TAG_PROBE 0
#define TAG_FIRST 1
_Static_assert(TAG_FIRST + INSPECTIONS <= NPI_POLLER_TAGS, "each socket is watched");

/* Changed by np_survey_cancel as well, from any thread. */
enum { SURVEY_NEW, SURVEY_ON, SURVEY_CANCELLED, SURVEY_OVER };

typedef enum visit_state { VISIT_NONE, VISIT_LOOKING, VISIT_READY, VISIT_GOING_ON } visit_state;

/* One server of the list, and its addresses. */
typedef struct survey_visit {
    visit_state state;
    size_t entry; /* in the list */
    npi_resolver *resolver;
    npi_resolution found;
    npi_inspection *inspections[NPI_RESOLVE_ADDRESSES]; /* NULL: this address is not asked */
    size_t same_as[NPI_RESOLVE_ADDRESSES];              /* the server under whose name it is; SIZE_MAX: none */
    npi_failure failures[NPI_RESOLVE_ADDRESSES];        /* why it cannot be asked */
    int errors[NPI_RESOLVE_ADDRESSES];
} survey_visit;

struct np_survey {
    np_probe *probe;
    npi_probe_settings settings;
    npi_server_name helpers[NP_MAX_SERVERS]; /* the probe's own servers */
    np_survey_fn on_report;
    void *user;
    atomic_int life;
    atomic_bool in_call;    /* a call that may call back is being made */
    bool free_on_return;    /* to be freed when that call returns */
    npi_poller poller;      /* closed until the start */
    _Atomic(npi_wake) wake; /* the poller's, for np_survey_cancel; NPI_NO_WAKE before */
    npi_nest nest;
    npi_roster list;
    npi_roster seen; /* addresses that have been asked; the tag is the server in the list */
    size_t next;     /* the next server of the list */
    /* The check of this host. */
    bool is_checking;
    bool is_check_running;
    int32_t family;    /* enum np_family, that is being proven */
    size_t proof_next; /* the next server of the list to ask */
    size_t proof_tries;
    bool is_open[2]; /* IPv4 and IPv6 */
    bool was_tried[2];
    bool has_check;
    np_result check;
    uint64_t start_ns; /* nothing is sent to a server before */
    survey_visit visits[VISITS];
    npi_inspection inspections[INSPECTIONS];
    bool is_taken[INSPECTIONS];
    uint32_t servers, done, answered, capable;
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

np_survey *np_survey_new(np_probe *probe)
{
    uint64_t seed;
    np_survey *s = probe != NULL ? calloc(1, sizeof *s) : NULL;
    if (s == NULL)
        return NULL;
    if (np_probe_set_tests(probe, NP_TESTS_DEFAULT) != NP_OK) { /* it is in use */
        free(s);
        return NULL;
    }
    npi_probe_describe(probe, &s->settings);
    memcpy(s->helpers, s->settings.servers, s->settings.server_count * sizeof s->helpers[0]);
    s->probe = probe;
    s->poller = NPI_POLLER_CLOSED;
    s->nest = NPI_NEST_NONE;
    atomic_init(&s->life, SURVEY_NEW);
    atomic_init(&s->in_call, false);
    atomic_init(&s->wake, NPI_NO_WAKE);
    if (!npi_random_bytes(&seed, sizeof seed))
        seed = npi_clock_now(); /* soon after boot */
    npi_roster_init(&s->list, seed);
    npi_roster_init(&s->seen, seed);
    return s;
}

static void end_visit(np_survey *s, survey_visit *v)
{
    npi_resolver_free(v->resolver);
    for (size_t i = 0; i < NPI_RESOLVE_ADDRESSES; i++) {
        npi_inspection *inspection = v->inspections[i];
        if (inspection == NULL)
            continue;
        if (inspection->is_open)
            npi_poller_unwatch(&s->poller, inspection->socket.fd);
        npi_inspection_close(inspection);
        s->is_taken[inspection - s->inspections] = false;
    }
    *v = (survey_visit){.state = VISIT_NONE};
}

static void end_all(np_survey *s)
{
    for (size_t i = 0; i < VISITS; i++)
        end_visit(s, &s->visits[i]);
    npi_nest_disarm(&s->nest, &s->poller);
}

void np_survey_free(np_survey *survey)
{
    if (survey == NULL)
        return;
    if (atomic_load(&survey->in_call)) {
        survey->free_on_return = true;
        survey->on_report = NULL;
        survey->settings.log.sink = NULL;
        npi_probe_mute(survey->probe);
        return;
    }
    end_all(survey);
    np_probe_free(survey->probe);
    npi_poller_close(&survey->poller);
    npi_roster_free(&survey->list);
    npi_roster_free(&survey->seen);
    free(survey);
}

/* False when the survey is in a call already: one of its callbacks tries this, or a thread that should not. */
static bool survey_enter(np_survey *s)
{
    return !atomic_exchange(&s->in_call, true);
}

static void survey_leave(np_survey *s)
{
    atomic_store(&s->in_call, false);
    if (s->free_on_return)
        np_survey_free(s);
}

void np_survey_cancel(np_survey *survey)
{
    int on = SURVEY_ON;
    if (survey == NULL || !atomic_compare_exchange_strong(&survey->life, &on, SURVEY_CANCELLED))
        return;
    npi_wake wake = atomic_load(&survey->wake);
    if (wake != NPI_NO_WAKE)
        npi_poller_wake(wake);
}

static bool survey_is_cancelled(const np_survey *s)
{
    return s->free_on_return || atomic_load(&s->life) == SURVEY_CANCELLED;
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

static int survey_settable(const np_survey *s)
{
    if (s == NULL)
        return NP_ERR_ARGUMENT;
    return atomic_load(&s->life) != SURVEY_NEW || atomic_load(&s->in_call) ? NP_ERR_BUSY : NP_OK;
}

static int list_server(np_survey *s, const char *server, size_t *index, bool *is_new)
{
    npi_server_name name;
    int error = survey_settable(s);
    if (error != NP_OK)
        return error;
    if (!npi_probe_reads_server(server, &name))
        return NP_ERR_ARGUMENT;
    if (s->list.count >= 2 * (size_t)NP_MAX_SURVEY_SERVERS) /* those left out have room beside the others */
        return NP_ERR_LIMIT;
    return npi_roster_add(&s->list, &name, index, is_new) ? NP_OK : NP_ERR_NO_MEMORY;
}

int np_survey_add(np_survey *survey, const char *server)
{
    size_t index;
    bool is_new;
    if (survey != NULL && survey->servers == NP_MAX_SURVEY_SERVERS)
        return survey_settable(survey) != NP_OK ? NP_ERR_BUSY : NP_ERR_LIMIT;
    int error = list_server(survey, server, &index, &is_new);
    if (error == NP_OK && is_new)
        survey->servers++;
    return error;
}

int np_survey_skip(np_survey *survey, const char *server)
{
    size_t index;
    bool is_new;
    int error = list_server(survey, server, &index, &is_new);
    if (error != NP_OK)
        return error;
    if (!is_new && !survey->list.entries[index].is_left_out)
        survey->servers--;
    survey->list.entries[index].is_left_out = true;
    return NP_OK;
}

int np_survey_set_reports(np_survey *survey, np_survey_fn on_report, void *user)
{
    int error = survey_settable(survey);
    if (error != NP_OK)
        return error;
    survey->on_report = on_report;
    survey->user = user;
    return NP_OK;
}

/* ---- What it knows ---------------------------------------------------------------------------------------------- */

static int32_t openness(const np_survey *s, size_t family)
{
    if (!s->was_tried[family])
        return NP_TRISTATE_UNKNOWN;
    return s->is_open[family] ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

int np_survey_read(const np_survey *survey, np_survey_status *status)
{
    if (status == NULL)
        return NP_ERR_ARGUMENT;
    memset(status, 0, sizeof *status);
    if (survey == NULL)
        return NP_ERR_ARGUMENT;
    status->check = survey->check;
    status->is_checking = survey->is_checking;
    status->ipv4_open = openness(survey, 0);
    status->ipv6_open = openness(survey, 1);
    status->servers = survey->servers;
    status->done = survey->done;
    status->answered = survey->answered;
    status->capable = survey->capable;
    return NP_OK;
}

/* ---- The check of this host ------------------------------------------------------------------------------------- */

static size_t survey_index_of(int32_t family)
{
    return family == NP_FAMILY_IPV6;
}

static bool may_use(const np_survey *s, int32_t family)
{
    const npi_probe_settings *c = &s->settings;
    return (c->family == NP_FAMILY_ANY || c->family == family) &&
           (!npi_addr_is_set(&c->source) || (int32_t)c->source.family == family);
}

/* The next servers of the list that may have an address of the family. */
static size_t next_helpers(np_survey *s, npi_server_name out[NP_MAX_SERVERS])
{
    size_t count = 0;
    for (; s->proof_next < s->list.count && count < NP_MAX_SERVERS; s->proof_next++) {
        const npi_roster_entry *e = &s->list.entries[s->proof_next];
        npi_addr literal;
        if (!e->is_left_out && (!npi_addr_parse_ip(e->name.host, &literal) || (int32_t)literal.family == s->family))
            out[count++] = e->name;
    }
    return count;
}

/* The probe's own servers, once; without any, those of the list. */
static size_t helpers_for_check(np_survey *s, npi_server_name out[NP_MAX_SERVERS])
{
    size_t count = s->settings.server_count;
    if (count == 0)
        return s->proof_tries < PROOF_BLOCKS ? next_helpers(s, out) : 0;
    if (s->proof_tries > 0)
        return 0;
    memcpy(out, s->helpers, count * sizeof *out);
    return count;
}

/* False when there are no more servers to ask. */
static bool survey_begin_check(np_survey *s)
{
    npi_server_name helpers[NP_MAX_SERVERS];
    size_t count = helpers_for_check(s, helpers);
    if (count == 0)
        return false;
    npi_probe_set_servers(s->probe, helpers, count);
    s->proof_tries++;
    int error = np_probe_set_family(s->probe, s->family);
    if (error == NP_OK)
        error = np_probe_start(s->probe);
    s->is_check_running = error == NP_OK;
    if (error != NP_OK && !s->has_check)
        npi_result_fail(&s->check, error, 0, "the check of this host could not begin: %s", np_strerror(error));
    return error == NP_OK;
}

/* From the list's beginning, for one family. False when no server can be asked. */
static bool begin_family(np_survey *s, int32_t family)
{
    s->family = family;
    s->proof_next = 0;
    s->proof_tries = 0;
    if (!may_use(s, family))
        return false;
    bool has_begun = survey_begin_check(s);
    s->was_tried[survey_index_of(family)] |= has_begun;
    return has_begun;
}

/* How much a check says of this host: of several, the one that says most is told. */
static int weight(const np_result *check)
{
    switch (npi_openness_of(check)) {
    case NPI_IS_OPEN:
        return 4;
    case NPI_IS_NOT_OPEN:
        return 3;
    default:
        return check->packets_received > 0 ? 2 : check->packets_sent > 0;
    }
}

static void keep_check(np_survey *s, const np_result *result)
{
    if (!s->has_check || weight(result) > weight(&s->check))
        s->check = *result;
    s->has_check = true;
}

static bool survey_is_any_open(const np_survey *s)
{
    return s->is_open[0] || s->is_open[1];
}

/* One sentence about why this host is not good for a survey. */
static void explain_refusal(np_survey *s)
{
    np_result *r = &s->check;
    char text[sizeof r->detail];
    if (!s->has_check && r->error == NP_OK)
        (void)snprintf(text, sizeof text, "there is no server of the chosen address family to prove it with");
    else if (r->error != NP_OK)
        (void)snprintf(text, sizeof text, "%.150s", r->detail[0] != '\0' ? r->detail : np_strerror(r->error));
    else if (npi_openness_of(r) == NPI_IS_NOT_OPEN)
        (void)snprintf(text, sizeof text, "it is behind a NAT or a filter (%s)", np_nat_type_name(r->nat_type));
    else
        (void)snprintf(text, sizeof text, "no server that was asked could prove it (%s)",
                       np_nat_type_name(r->nat_type));
    memset(r->detail, 0, sizeof r->detail);
    (void)snprintf(r->detail, sizeof r->detail, "this host is not proven open: %.150s", text);
}

/* On with the other family, or with the servers. NP_PENDING, or why the survey ends. */
static int end_family(np_survey *s)
{
    if (s->family == NP_FAMILY_IPV4 && begin_family(s, NP_FAMILY_IPV6))
        return NP_PENDING;
    s->is_checking = false;
    npi_nest_disarm(&s->nest, &s->poller);
    s->start_ns = npi_clock_now() + NPI_INSPECTION_GAP_NS;
    if (survey_is_any_open(s))
        return NP_PENDING;
    if (s->check.error == NP_ERR_ARGUMENT)
        return NP_ERR_ARGUMENT;
    explain_refusal(s);
    return NP_ERR_NOT_OPEN;
}

static int survey_go_on_checking(np_survey *s)
{
    np_result result;
    if (!s->is_check_running)
        return end_family(s);
    if (np_probe_process(s->probe, &result) == NP_PENDING || survey_is_cancelled(s))
        return NP_PENDING;
    s->is_check_running = false;
    keep_check(s, &result);
    npi_openness found = npi_openness_of(&result);
    npi_log_write(&s->settings.log, NP_LOG_INFO, "survey: the check of this host over %s says %s",
                  np_family_name(s->family), np_nat_type_name(result.nat_type));
    s->is_open[survey_index_of(s->family)] = found == NPI_IS_OPEN;
    bool is_hopeless = result.error == NP_ERR_ARGUMENT || result.error == NP_ERR_NETWORK_UNREACHABLE;
    if (found == NPI_NOT_DECIDED && !is_hopeless && survey_begin_check(s))
        return NP_PENDING;
    return end_family(s);
}

/* ---- One server ------------------------------------------------------------------------------------------------- */

static npi_inspection *take_inspection(np_survey *s)
{
    for (size_t i = 0; i < INSPECTIONS; i++) {
        if (!s->is_taken[i]) {
            s->is_taken[i] = true;
            return &s->inspections[i];
        }
    }
    return NULL;
}

static size_t count_free(const np_survey *s)
{
    size_t count = 0;
    for (size_t i = 0; i < INSPECTIONS; i++)
        count += !s->is_taken[i];
    return count;
}

/* Whether the address has been asked under another name; else it is from now on. */
static int note_address(np_survey *s, survey_visit *v, size_t i)
{
    char text[NPI_ADDR_TEXT];
    npi_server_name name = {.port = v->found.addresses[i].port};
    size_t index;
    bool is_new;
    npi_addr_format_ip(&v->found.addresses[i], text);
    memcpy(name.host, text, strlen(text));
    if (!npi_roster_add(&s->seen, &name, &index, &is_new))
        return NP_ERR_NO_MEMORY;
    if (is_new)
        s->seen.entries[index].tag = v->entry;
    else
        v->same_as[i] = s->seen.entries[index].tag;
    return NP_OK;
}

static int open_inspection(np_survey *s, survey_visit *v, size_t i)
{
    const npi_addr *address = &v->found.addresses[i];
    const char *interface = s->settings.interface[0] != '\0' ? s->settings.interface : NULL;
    npi_addr source = s->settings.source;
    if (!s->is_open[address->family == NPI_IPV6])
        return NP_ERR_NOT_OPEN;
    if (!npi_addr_is_destination(address))
        return NP_ERR_NETWORK_UNREACHABLE;
    int error = note_address(s, v, i);
    if (error != NP_OK || v->same_as[i] != SIZE_MAX)
        return error;
    if (npi_addr_is_set(&source) && !npi_addr_find_scope(s->settings.source_zone, &source))
        return NP_ERR_ADDRESS_NOT_AVAILABLE;
    npi_inspection *inspection = take_inspection(s);
    error = npi_inspection_open(inspection, address, &source, interface, s->start_ns, &v->failures[i]);
    if (error == NP_OK && !npi_poller_watch(&s->poller, inspection->socket.fd,
                                            TAG_FIRST + (uint32_t)(inspection - s->inspections), NPI_WATCH_CONTENT)) {
        v->failures[i] = npi_failure_of(NPI_POLLER_WATCH);
        npi_inspection_close(inspection);
        error = NP_ERR_SYSTEM;
    }
    inspection->is_over = error != NP_OK;
    v->inspections[i] = inspection;
    return error;
}

static void begin_visit(np_survey *s, survey_visit *v)
{
    v->state = VISIT_GOING_ON;
    for (size_t i = 0; i < v->found.count; i++) {
        v->same_as[i] = SIZE_MAX;
        v->errors[i] = open_inspection(s, v, i);
    }
}

/* Its name is looked up, for the families that are of use. False when out of memory. */
static bool survey_look_up(np_survey *s, survey_visit *v, size_t entry)
{
    npi_family family = s->is_open[0] && s->is_open[1] ? NPI_FAMILY_NONE : s->is_open[0] ? NPI_IPV4 : NPI_IPV6;
    npi_addr literal;
    const npi_server_name *name = &s->list.entries[entry].name;
    if (npi_addr_parse_ip(name->host, &literal))
        family = NPI_FAMILY_NONE; /* one of the other family is told as such */
    *v = (survey_visit){.state = VISIT_LOOKING, .entry = entry};
    v->resolver = npi_resolver_new(name, 1, family, npi_poller_wake_of(&s->poller));
    if (v->resolver == NULL)
        return false;
    npi_resolver_want(v->resolver, 1);
    return true;
}

static void survey_take_name(survey_visit *v)
{
    if (npi_resolver_take(v->resolver, &v->found)) {
        npi_resolver_free(v->resolver);
        v->resolver = NULL;
        v->state = VISIT_READY;
    }
}

static bool is_visit_over(const survey_visit *v)
{
    for (size_t i = 0; i < v->found.count; i++) {
        const npi_inspection *inspection = v->inspections[i];
        if (inspection != NULL && v->errors[i] == NP_OK && !inspection->is_over)
            return false;
    }
    return v->state == VISIT_GOING_ON;
}

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

static void explain(np_survey_report *report, const char *text)
{
    (void)snprintf(report->detail, sizeof report->detail, "%s", text);
}

/* The system would not let it be asked. */
static void write_failure(np_survey_report *report, int error, const npi_failure *failure)
{
    report->error = error;
    if (error == NP_ERR_NOT_OPEN)
        explain(report, "this host is not proven open over the address family of this server");
    else if (failure->call != NULL)
        npi_failure_describe(failure, report->detail, sizeof report->detail);
    else
        explain(report, np_strerror(error));
}

static void survey_write_address(const np_survey *s, const survey_visit *v, size_t i, np_survey_report *report)
{
    const npi_inspection *inspection = v->inspections[i];
    npi_addr_format(&v->found.addresses[i], report->address);
    if (v->same_as[i] != SIZE_MAX) {
        npi_server_format(&s->list.entries[v->same_as[i]].name, report->same_as);
        return;
    }
    if (v->errors[i] != NP_OK) {
        write_failure(report, v->errors[i], &v->failures[i]);
        return;
    }
    npi_appraisal_judge(&inspection->appraisal, report);
    if (report->error == NP_ERR_NO_RESPONSE && inspection->error != NP_OK)
        write_failure(report, inspection->error, &inspection->failure);
}

static void survey_tell(np_survey *s, const np_survey_report *report)
{
    s->answered += report->error == NP_OK && report->same_as[0] == '\0';
    s->capable += report->is_capable != 0;
    if (s->on_report != NULL)
        s->on_report(report, s->user);
}

static void survey_tell_unresolved(np_survey *s, const survey_visit *v, np_survey_report *report)
{
    char text[NPI_RESOLVE_TEXT];
    npi_resolution_describe(&v->found, text, sizeof text);
    report->error = NP_ERR_RESOLVE;
    explain(report, text);
    survey_tell(s, report);
}

static void tell_address(np_survey *s, const survey_visit *v, size_t i)
{
    np_survey_report report;
    memset(&report, 0, sizeof report);
    npi_server_format(&s->list.entries[v->entry].name, report.server);
    report.addresses = (uint32_t)v->found.count;
    if (v->found.count == 0) {
        survey_tell_unresolved(s, v, &report);
        return;
    }
    report.number = (uint32_t)i + 1;
    survey_write_address(s, v, i, &report);
    survey_tell(s, &report);
}

/* All addresses of one server, one after the other; a server is not done if a callback cancels between them. */
static void tell_visit(np_survey *s, const survey_visit *v)
{
    size_t last = v->found.count > 0 ? v->found.count - 1 : 0;
    tell_address(s, v, 0);
    for (size_t i = 1; i <= last; i++) {
        if (survey_is_cancelled(s))
            return;
        tell_address(s, v, i);
    }
    s->done++;
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

/* When the server may get the next datagram: others go to the same one. */
static uint64_t earliest_ns(const np_survey *s, const npi_inspection *inspection)
{
    uint64_t earliest = 0;
    for (size_t i = 0; i < INSPECTIONS; i++) {
        const npi_inspection *other = &s->inspections[i];
        if (!s->is_taken[i] || other->last_ns == 0 || !npi_inspection_are_related(inspection, other))
            continue;
        uint64_t after_ns = other->last_ns + NPI_INSPECTION_GAP_NS;
        earliest = after_ns > earliest ? after_ns : earliest;
    }
    return earliest;
}

static void send_due(np_survey *s)
{
    for (size_t i = 0; i < INSPECTIONS; i++) {
        npi_inspection *inspection = &s->inspections[i];
        uint64_t now_ns = npi_clock_now();
        if (!s->is_taken[i] || !npi_inspection_is_due(inspection, now_ns))
            continue;
        uint64_t earliest = npi_inspection_will_send(inspection) ? earliest_ns(s, inspection) : 0;
        if (earliest > now_ns)
            npi_inspection_put_off(inspection, earliest);
        else
            npi_inspection_go_on(inspection, now_ns);
    }
}

/* What floods its socket loses it. */
static void receive_at(np_survey *s, npi_inspection *inspection)
{
    if (npi_inspection_receive(inspection))
        return;
    npi_poller_unwatch(&s->poller, inspection->socket.fd);
    npi_inspection_close(inspection);
}

static void survey_receive(np_survey *s, const uint32_t *tags, int count)
{
    for (int i = 0; i < count; i++) {
        if (tags[i] < TAG_FIRST || tags[i] >= TAG_FIRST + INSPECTIONS)
            continue;
        size_t n = tags[i] - TAG_FIRST;
        if (s->is_taken[n] && s->inspections[n].is_open)
            receive_at(s, &s->inspections[n]);
    }
}

static size_t count_looking(const np_survey *s)
{
    size_t count = 0;
    for (size_t i = 0; i < VISITS; i++)
        count += s->visits[i].state == VISIT_LOOKING;
    return count;
}

/* The next server of the list. False when there is none. */
static bool next_entry(np_survey *s, size_t *entry)
{
    while (s->next < s->list.count && s->list.entries[s->next].is_left_out)
        s->next++;
    *entry = s->next;
    return s->next < s->list.count;
}

static bool can_begin(np_survey *s)
{
    size_t entry;
    return count_looking(s) < LOOK_UPS && next_entry(s, &entry);
}

/* As far as it can be taken now. False when out of memory. */
static bool advance_visit(np_survey *s, survey_visit *v)
{
    if (v->state == VISIT_NONE && can_begin(s) && !survey_look_up(s, v, s->next++))
        return false;
    if (v->state == VISIT_LOOKING)
        survey_take_name(v);
    if (v->state == VISIT_READY && v->found.count <= count_free(s))
        begin_visit(s, v);
    if (is_visit_over(v)) {
        tell_visit(s, v);
        end_visit(s, v);
    }
    return true;
}

/* NP_OK when every server has been reported, NP_PENDING before; or why the survey ends. */
static int advance_visits(np_survey *s)
{
    bool is_over = true;
    for (size_t i = 0; i < VISITS && !survey_is_cancelled(s); i++) {
        if (!advance_visit(s, &s->visits[i]))
            return NP_ERR_NO_MEMORY;
        is_over = is_over && s->visits[i].state == VISIT_NONE;
    }
    return is_over && !can_begin(s) ? NP_OK : NP_PENDING;
}

/* A place is free, and a server is left for it: the next turn takes it at once. */
static bool has_room(np_survey *s)
{
    size_t i = 0;
    while (i < VISITS && s->visits[i].state != VISIT_NONE)
        i++;
    return i < VISITS && can_begin(s);
}

static bool has_check_begun(const np_survey *s)
{
    return s->nest.is_armed || np_probe_fd(s->probe) != NP_INVALID_SOCKET || np_probe_wait_handle(s->probe) != NULL;
}

static uint64_t survey_next_ns(np_survey *s)
{
    uint64_t wake_ns = NPI_NEVER;
    if (s->is_checking)
        return s->is_check_running ? NPI_NEVER : NPI_NOW;
    for (size_t i = 0; i < INSPECTIONS; i++) {
        const npi_inspection *inspection = &s->inspections[i];
        if (s->is_taken[i] && !inspection->is_over)
            wake_ns = npi_time_min(wake_ns, inspection->next_ns);
    }
    return has_room(s) ? NPI_NOW : wake_ns;
}

/* What wakes the caller next. False when the system refuses. */
static bool survey_arm(np_survey *s)
{
    if (s->is_checking && has_check_begun(s) &&
        !npi_nest_arm(&s->nest, &s->poller, TAG_PROBE, np_probe_fd(s->probe), np_probe_wait_handle(s->probe)))
        return false;
    return npi_poller_set_timer(&s->poller, npi_clock_now(), survey_next_ns(s));
}

/* All that can be done without waiting. NP_PENDING, or how the survey ends. */
static int survey_turn(np_survey *s)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int error = NP_PENDING;
    int count = npi_poller_collect(&s->poller, tags);
    if (count < 0)
        return NP_ERR_SYSTEM;
    if (s->is_checking)
        error = survey_go_on_checking(s);
    if (error == NP_PENDING && !s->is_checking && !survey_is_cancelled(s)) {
        survey_receive(s, tags, count);
        send_due(s);
        error = advance_visits(s);
    }
    if (survey_is_cancelled(s))
        return NP_ERR_CANCELLED;
    if (error != NP_PENDING)
        return error;
    return survey_arm(s) ? NP_PENDING : NP_ERR_SYSTEM;
}

static void survey_end(np_survey *s)
{
    np_result unused;
    if (s->is_check_running) {
        np_probe_cancel(s->probe);
        while (np_probe_process(s->probe, &unused) == NP_PENDING) {
        }
    }
    s->is_check_running = false;
    s->is_checking = false;
    end_all(s);
    npi_poller_set_timer(&s->poller, 0, NPI_NEVER);
    atomic_store(&s->life, SURVEY_OVER);
}

/* ---- The public calls ------------------------------------------------------------------------------------------- */

static int survey_start(np_survey *s)
{
    npi_failure unused;
    if (atomic_load(&s->life) != SURVEY_NEW)
        return NP_ERR_BUSY;
    if (s->servers == 0 || npi_is_socket(s->settings.socket))
        return NP_ERR_ARGUMENT;
    int error = npi_poller_is_open(&s->poller) ? NP_OK : npi_poller_open(&s->poller, &unused);
    if (error != NP_OK)
        return error;
    atomic_store(&s->wake, npi_poller_wake_of(&s->poller));
    atomic_store(&s->life, SURVEY_ON);
    s->is_checking = true;
    if (!begin_family(s, NP_FAMILY_IPV4))
        (void)begin_family(s, NP_FAMILY_IPV6);
    if (survey_is_cancelled(s))
        error = NP_ERR_CANCELLED;
    else if (!survey_arm(s))
        error = NP_ERR_SYSTEM;
    if (error != NP_OK && !s->free_on_return)
        survey_end(s);
    return error;
}

static int survey_process(np_survey *s)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int life = atomic_load(&s->life);
    if (life == SURVEY_NEW || life == SURVEY_OVER) {
        if (npi_poller_is_open(&s->poller))
            (void)npi_poller_collect(&s->poller, tags); /* a cancellation that came as the survey ended */
        return NP_ERR_ARGUMENT;
    }
    int error = survey_turn(s);
    if (error != NP_PENDING && !s->free_on_return)
        survey_end(s);
    return error;
}

/* A call that may call back, guarded. */
static int survey_call(np_survey *survey, int (*function)(np_survey *))
{
    if (survey == NULL)
        return NP_ERR_ARGUMENT;
    if (!survey_enter(survey))
        return NP_ERR_BUSY;
    int error = function(survey);
    if (survey->free_on_return)
        error = NP_ERR_CANCELLED;
    survey_leave(survey);
    return error;
}

int np_survey_start(np_survey *survey)
{
    return survey_call(survey, survey_start);
}

int np_survey_process(np_survey *survey)
{
    return survey_call(survey, survey_process);
}

np_socket np_survey_fd(const np_survey *survey)
{
    return survey != NULL ? npi_poller_fd(&survey->poller) : NP_INVALID_SOCKET;
}

void *np_survey_wait_handle(const np_survey *survey)
{
    return survey != NULL ? npi_poller_event(&survey->poller) : NULL;
}

size_t np_survey_report_size(void)
{
    return sizeof(np_survey_report);
}

size_t np_survey_status_size(void)
{
    return sizeof(np_survey_status);
}
#undef INSPECTIONS
#undef LOOK_UPS
#undef PROOF_BLOCKS
#undef TAG_FIRST
#undef TAG_PROBE
#undef VISITS

/* ---- watch.c -------------------- */

/*
 * A watch: one probe whose check is made again whenever its result may no longer hold. renewal.h decides when,
 * canvass.h with which servers, standing.h what holds then; lookout.h tells what happens to this host.
 */

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>


_Static_assert(sizeof(np_watch_status) == 1280, "np_watch_status is 1,280 bytes for the life of the ABI");

#define INTERVAL_MIN_S 10U
#define INTERVAL_MAX_S 604800U
#define TAG_PROBE 0
#define TAG_NETWORK 1

/* Changed by np_watch_cancel as well, from any thread. */
enum { LIFE_IDLE, LIFE_ON, LIFE_CANCELLED };

/* The check that is being made. */
typedef struct check_in_hand {
    uint64_t start_ns;
    bool tests_filtering; /* nobody who is asked had been asked shortly before */
    bool is_tainted;      /* or so it seemed: two names led to one address */
} check_in_hand;

struct np_watch {
    np_probe *probe;
    npi_probe_settings settings;
    uint64_t interval_ns;
    np_watch_fn on_change;
    void *user;
    atomic_int life;
    atomic_bool in_call;    /* a call that may call back is being made */
    bool free_on_return;    /* to be freed when that call returns */
    npi_poller poller;      /* closed until the first start */
    _Atomic(npi_wake) wake; /* the poller's, for np_watch_cancel; NPI_NO_WAKE before */
    npi_nest nest;
    npi_lookout lookout;
    npi_canvass canvass;
    npi_renewal renewal;
    npi_standing standing;
    check_in_hand check;
    bool network_changed; /* since the last check with an outcome */
    int32_t reason;
    int32_t last_error;
    uint32_t changed;
    uint64_t checks;
    uint64_t changes;
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void watch_on_event(const np_event *event, void *user);

np_watch *np_watch_new(np_probe *probe)
{
    np_watch *w = probe != NULL ? calloc(1, sizeof *w) : NULL;
    if (w == NULL)
        return NULL;
    npi_probe_describe(probe, &w->settings);
    w->settings.tests = (w->settings.tests & NP_TESTS_DEFAULT) |
                        NP_TESTS_MAPPING; /* the optional ones change nothing */
    if (np_probe_set_events(probe, watch_on_event, w) != NP_OK) {
        free(w);
        return NULL;
    }
    w->probe = probe;
    w->interval_ns = NP_DEFAULT_WATCH_INTERVAL_S * NPI_S;
    w->poller = NPI_POLLER_CLOSED;
    w->nest = NPI_NEST_NONE;
    atomic_init(&w->life, LIFE_IDLE);
    atomic_init(&w->in_call, false);
    atomic_init(&w->wake, NPI_NO_WAKE);
    npi_standing_init(&w->standing);
    return w;
}

/* Called back, and freed: the call that is being made calls back no more. */
static void watch_free_later(np_watch *w)
{
    w->free_on_return = true;
    w->on_change = NULL;
    w->settings.on_event = NULL;
    w->settings.log.sink = NULL;
    npi_probe_mute(w->probe);
}

static void stop_listening(np_watch *w)
{
    npi_lookout_close(&w->lookout);
    npi_nest_disarm(&w->nest, &w->poller);
}

void np_watch_free(np_watch *watch)
{
    if (watch == NULL)
        return;
    if (atomic_load(&watch->in_call)) {
        watch_free_later(watch);
        return;
    }
    if (atomic_load(&watch->life) != LIFE_IDLE)
        stop_listening(watch);
    np_probe_free(watch->probe);
    npi_poller_close(&watch->poller);
    free(watch);
}

/* False when the watch is in a call already: one of its callbacks tries this, or a thread that should not. */
static bool watch_enter(np_watch *w)
{
    return !atomic_exchange(&w->in_call, true);
}

static void watch_leave(np_watch *w)
{
    atomic_store(&w->in_call, false);
    if (w->free_on_return)
        np_watch_free(w);
}

void np_watch_cancel(np_watch *watch)
{
    int on = LIFE_ON;
    if (watch == NULL || !atomic_compare_exchange_strong(&watch->life, &on, LIFE_CANCELLED))
        return;
    npi_wake wake = atomic_load(&watch->wake);
    if (wake != NPI_NO_WAKE)
        npi_poller_wake(wake);
}

static bool watch_is_over(const np_watch *w)
{
    return w->free_on_return || atomic_load(&w->life) == LIFE_CANCELLED;
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

static int watch_settable(const np_watch *w)
{
    if (w == NULL)
        return NP_ERR_ARGUMENT;
    return atomic_load(&w->life) != LIFE_IDLE || atomic_load(&w->in_call) ? NP_ERR_BUSY : NP_OK;
}

int np_watch_set_interval(np_watch *watch, uint32_t seconds)
{
    int error = watch_settable(watch);
    if (error != NP_OK)
        return error;
    if (seconds != 0 && (seconds < INTERVAL_MIN_S || seconds > INTERVAL_MAX_S))
        return NP_ERR_ARGUMENT;
    watch->interval_ns = seconds * NPI_S;
    return NP_OK;
}

int np_watch_set_changes(np_watch *watch, np_watch_fn on_change, void *user)
{
    int error = watch_settable(watch);
    if (error != NP_OK)
        return error;
    watch->on_change = on_change;
    watch->user = user;
    return NP_OK;
}

/* ---- What it knows ---------------------------------------------------------------------------------------------- */

static int64_t ms_between(uint64_t from_ns, uint64_t to_ns)
{
    if (from_ns == NPI_NEVER || to_ns == NPI_NEVER)
        return -1;
    return to_ns > from_ns ? (int64_t)((to_ns - from_ns) / NPI_MS) : 0;
}

static void describe(const np_watch *w, np_watch_status *out)
{
    const npi_standing *s = &w->standing;
    uint64_t now_ns = npi_clock_now();
    bool is_on = atomic_load(&w->life) != LIFE_IDLE;
    memset(out, 0, sizeof *out);
    out->result = s->result;
    out->reason = w->reason;
    out->changed = w->changed;
    out->last_error = w->last_error;
    out->is_checking = is_on && w->renewal.running;
    out->age_ms = s->has_outcome ? ms_between(s->measured_ns, now_ns) : -1;
    out->filtering_age_ms = ms_between(s->filtering_ns, now_ns);
    out->next_check_ms = is_on ? ms_between(now_ns, npi_renewal_due_ns(&w->renewal)) : -1;
    out->checks = w->checks;
    out->changes = w->changes;
}

int np_watch_read(const np_watch *watch, np_watch_status *status)
{
    if (status == NULL)
        return NP_ERR_ARGUMENT;
    if (watch == NULL) {
        memset(status, 0, sizeof *status);
        return NP_ERR_ARGUMENT;
    }
    describe(watch, status);
    return NP_OK;
}

/* ---- A check ---------------------------------------------------------------------------------------------------- */

/* Whom the check speaks to; and the user's own receiver. */
static void watch_on_event(const np_event *event, void *user)
{
    np_watch *w = user;
    npi_server_name name;
    npi_addr remote;
    bool is_contact = event->kind == NP_EVENT_SENT || event->kind == NP_EVENT_ANSWERED;
    if (is_contact && npi_server_parse(event->remote, &name) && npi_addr_parse_ip(name.host, &remote))
        w->check.is_tainted |= npi_canvass_note(&w->canvass, &remote, w->check.start_ns, npi_clock_now());
    if (w->settings.on_event != NULL)
        w->settings.on_event(event, w->settings.event_user);
}

/* Soon after boot there are no random numbers yet: the clock has to do. */
static void fill_random(uint8_t *out, size_t size)
{
    uint64_t state = npi_clock_now();
    if (npi_random_bytes(out, size))
        return;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(state >> 56);
    }
}

static uint32_t random_number(void)
{
    uint8_t bytes[sizeof(uint32_t)];
    uint32_t number;
    fill_random(bytes, sizeof bytes);
    memcpy(&number, bytes, sizeof number);
    return number;
}

static void watch_tell(np_watch *w, uint32_t changed, bool is_first)
{
    np_watch_status status;
    if (changed == 0 && !is_first)
        return;
    w->changed = changed;
    w->changes++;
    if (w->on_change == NULL)
        return;
    describe(w, &status);
    w->on_change(&status, w->user);
}

static uint32_t take_outcome(np_watch *w, const np_result *result, bool tested_filtering)
{
    npi_outcome outcome = {
        .result = result,
        .now_ns = npi_clock_now(),
        .tested_filtering = tested_filtering,
        .network_changed = w->network_changed,
    };
    w->last_error = result->error;
    uint32_t changed = npi_standing_take(&w->standing, &outcome);
    if (result->error == NP_OK)
        w->network_changed = false;
    return changed;
}

/* The filtering is tested later where it could not be now, and may be another than the one that is known. */
static bool wants_filtering(const np_watch *w, const np_result *result, bool tested_filtering, uint32_t changed)
{
    return (w->settings.tests & NP_TESTS_FILTERING) != 0 && !tested_filtering && result->error == NP_OK &&
           (w->standing.filtering_ns == NPI_NEVER || (changed & (NP_CHANGED_MAPPING | NP_CHANGED_ADDRESS)) != 0);
}

/* The settings contradict each other: no later check would do better. */
static bool watch_is_hopeless(const np_result *result)
{
    return result->error == NP_ERR_ARGUMENT;
}

static void finish_check(np_watch *w, const np_result *result)
{
    bool is_first = !w->standing.has_outcome;
    bool tested_filtering = w->check.tests_filtering && !w->check.is_tainted;
    uint64_t now_ns = npi_clock_now();
    npi_canvass_end(&w->canvass, now_ns);
    uint32_t changed = take_outcome(w, result, tested_filtering);
    npi_renewal_outcome outcome = {
        .has_verdict = result->error == NP_OK,
        .is_changed = changed != 0,
        .filtering_ns = NPI_NEVER,
    };
    if (wants_filtering(w, result, tested_filtering, changed))
        outcome.filtering_ns = npi_canvass_forgotten_ns(&w->canvass);
    npi_renewal_end(&w->renewal, now_ns, &outcome, random_number());
    if (!watch_is_hopeless(result)) /* the end of the watch tells it */
        watch_tell(w, changed, is_first);
}

/* Without a way to any server nothing need be sent to know that. */
static void skip_check(np_watch *w, uint64_t now_ns, int why)
{
    np_result result;
    bool is_first = !w->standing.has_outcome;
    npi_result_fail(&result, why, 0, "%s",
                    why == NP_ERR_NETWORK_UNREACHABLE ? "there is no way to any server (is this host online?)"
                                                      : "this host has lost the source address, or not got it yet");
    npi_renewal_skip(&w->renewal, now_ns, random_number());
    watch_tell(w, take_outcome(w, &result, false), is_first);
}

static void watch_start_check(np_watch *w, uint64_t now_ns)
{
    uint8_t random[NP_MAX_SERVERS];
    npi_server_name servers[NP_MAX_SERVERS];
    size_t count;
    fill_random(random, sizeof random);
    bool is_fresh = npi_canvass_choose(&w->canvass, now_ns, random, servers, &count);
    bool tests_filtering = is_fresh && (w->settings.tests & NP_TESTS_FILTERING) != 0;
    w->check = (check_in_hand){.start_ns = now_ns, .tests_filtering = tests_filtering};
    npi_probe_set_servers(w->probe, servers, count);
    int error = np_probe_set_tests(w->probe, is_fresh ? w->settings.tests : NP_TESTS_MAPPING);
    npi_renewal_begin(&w->renewal, now_ns, w->reason);
    w->checks++;
    if (error == NP_OK)
        error = np_probe_start(w->probe);
    if (error != NP_OK && !watch_is_over(w)) {
        np_result result;
        npi_result_fail(&result, error, 0, "the check could not begin: %s", np_strerror(error));
        finish_check(w, &result);
    }
}

static void watch_begin_check(np_watch *w, uint64_t now_ns, int32_t reason)
{
    int way = npi_lookout_way(&w->lookout);
    w->reason = reason;
    npi_log_write(&w->settings.log, NP_LOG_INFO, "watch: %s (%s)", way == NP_OK ? "a check begins" : np_strerror(way),
                  np_watch_reason_name(reason));
    if (way == NP_OK)
        watch_start_check(w, now_ns);
    else
        skip_check(w, now_ns, way);
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

static void take_notices(np_watch *w)
{
    unsigned seen = npi_lookout_turn(&w->lookout);
    npi_renewal_note_way(&w->renewal, npi_lookout_way(&w->lookout) == NP_OK);
    if (seen == 0)
        return;
    npi_renewal_note_change(&w->renewal, npi_clock_now(), (seen & NPI_LOOKOUT_RESUMED) != 0);
    w->network_changed = true;
}

/* NP_PENDING, or why the watch ends. */
static int watch_go_on_checking(np_watch *w)
{
    np_result result;
    if (!w->renewal.running || np_probe_process(w->probe, &result) == NP_PENDING || watch_is_over(w))
        return NP_PENDING;
    finish_check(w, &result);
    return watch_is_hopeless(&result) ? NP_ERR_ARGUMENT : NP_PENDING;
}

/* A check that has begun goes on in the next turn: it wakes the caller if there is something to do at once. */
static void begin_if_due(np_watch *w)
{
    uint64_t now_ns = npi_clock_now();
    int32_t reason = npi_renewal_reason(&w->renewal, now_ns);
    if (!watch_is_over(w) && reason != NP_WATCH_REASON_NONE)
        watch_begin_check(w, now_ns, reason);
}

/* What wakes the caller next. False when the system refuses. */
static bool watch_arm(np_watch *w)
{
    uint64_t wake_ns = npi_time_min(npi_renewal_due_ns(&w->renewal), npi_lookout_next_ns(&w->lookout));
    np_socket fd = np_probe_fd(w->probe);
    void *handle = np_probe_wait_handle(w->probe);
    bool has_probe = w->nest.is_armed || fd != NP_INVALID_SOCKET || handle != NULL;
    return (!has_probe || npi_nest_arm(&w->nest, &w->poller, TAG_PROBE, fd, handle)) &&
           npi_poller_set_timer(&w->poller, npi_clock_now(), wake_ns);
}

/* All that can be done without waiting. NP_PENDING, or why the watch ends. */
static int watch_turn(np_watch *w)
{
    uint32_t tags[NPI_POLLER_TAGS];
    if (npi_poller_collect(&w->poller, tags) < 0)
        return NP_ERR_SYSTEM;
    take_notices(w);
    int error = watch_go_on_checking(w);
    if (error != NP_PENDING)
        return error;
    begin_if_due(w);
    if (watch_is_over(w))
        return NP_ERR_CANCELLED;
    return watch_arm(w) ? NP_PENDING : NP_ERR_SYSTEM;
}

/* Gives the probe back its rest. */
static void watch_end(np_watch *w)
{
    np_result unused;
    np_probe_cancel(w->probe);
    while (np_probe_process(w->probe, &unused) == NP_PENDING) {
    }
    stop_listening(w);
    npi_poller_set_timer(&w->poller, 0, NPI_NEVER);
    atomic_store(&w->life, LIFE_IDLE);
}

/* ---- The public calls ------------------------------------------------------------------------------------------- */

static int watch_open_poller(np_watch *w)
{
    npi_failure unused;
    if (npi_poller_is_open(&w->poller))
        return NP_OK;
    int error = npi_poller_open(&w->poller, &unused);
    if (error == NP_OK)
        atomic_store(&w->wake, npi_poller_wake_of(&w->poller));
    return error;
}

static void watch_begin(np_watch *w)
{
    uint8_t random[NP_MAX_SERVERS];
    const npi_probe_settings *s = &w->settings;
    npi_vantage_socket socket = {
        .source = s->source,
        .source_zone = s->source_zone,
        .interface = s->interface[0] != '\0' ? s->interface : NULL,
        .socket = s->socket,
    };
    fill_random(random, sizeof random);
    if (w->canvass.count == 0) /* what was asked before an end is not forgotten by it */
        npi_canvass_init(&w->canvass, s->servers, s->server_count, random);
    npi_renewal_init(&w->renewal, w->interval_ns);
    npi_lookout_open(&w->lookout, &w->poller, TAG_NETWORK, &socket, s->family, w->canvass.servers, s->server_count);
    w->network_changed = true;
    atomic_store(&w->life, LIFE_ON);
}

static int watch_start(np_watch *w)
{
    if (atomic_load(&w->life) != LIFE_IDLE)
        return NP_ERR_BUSY;
    int error = watch_open_poller(w);
    if (error != NP_OK)
        return error;
    watch_begin(w);
    error = watch_turn(w);
    if (error == NP_PENDING || w->free_on_return)
        return error == NP_PENDING ? NP_OK : error;
    watch_end(w);
    return error;
}

/* A call that may call back, guarded. */
static int watch_call(np_watch *watch, int (*function)(np_watch *))
{
    if (watch == NULL)
        return NP_ERR_ARGUMENT;
    if (!watch_enter(watch))
        return NP_ERR_BUSY;
    int error = function(watch);
    if (watch->free_on_return)
        error = NP_ERR_CANCELLED;
    watch_leave(watch);
    return error;
}

int np_watch_start(np_watch *watch)
{
    return watch_call(watch, watch_start);
}

np_socket np_watch_fd(const np_watch *watch)
{
    return watch != NULL ? npi_poller_fd(&watch->poller) : NP_INVALID_SOCKET;
}

void *np_watch_wait_handle(const np_watch *watch)
{
    return watch != NULL ? npi_poller_event(&watch->poller) : NULL;
}

static int watch_process(np_watch *w)
{
    uint32_t tags[NPI_POLLER_TAGS];
    if (atomic_load(&w->life) == LIFE_IDLE) {
        if (npi_poller_is_open(&w->poller))
            (void)npi_poller_collect(&w->poller, tags); /* a cancellation that came as the watch ended */
        return NP_ERR_ARGUMENT;
    }
    int error = watch_turn(w);
    if (error != NP_PENDING && !w->free_on_return)
        watch_end(w);
    return error;
}

int np_watch_process(np_watch *watch)
{
    return watch_call(watch, watch_process);
}

/* The caller may not be about to call np_watch_process(): the descriptor makes it. */
int np_watch_note_failure(np_watch *watch)
{
    if (watch == NULL)
        return NP_ERR_ARGUMENT;
    if (!watch_enter(watch))
        return NP_ERR_BUSY;
    bool is_on = atomic_load(&watch->life) == LIFE_ON;
    if (is_on) {
        npi_renewal_note_failure(&watch->renewal, npi_clock_now());
        npi_poller_wake(npi_poller_wake_of(&watch->poller));
    }
    watch_leave(watch);
    return is_on ? NP_OK : NP_ERR_ARGUMENT;
}

size_t np_watch_status_size(void)
{
    return sizeof(np_watch_status);
}
#undef INTERVAL_MAX_S
#undef INTERVAL_MIN_S
#undef TAG_NETWORK
#undef TAG_PROBE
