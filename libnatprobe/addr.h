/* SPDX-License-Identifier: MIT */
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
