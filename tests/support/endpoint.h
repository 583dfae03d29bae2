/* SPDX-License-Identifier: MIT */
/* The tests' own transport addresses: the library's addr.c is under test and not used here. */
#ifndef TESTS_SUPPORT_ENDPOINT_H
#define TESTS_SUPPORT_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <sys/socket.h>
#endif

#define ENDPOINT_TEXT 64

typedef struct endpoint {
    uint8_t family; /* 4 or 6, 0 for none */
    uint8_t ip[16]; /* unused bytes are zero */
    uint16_t port;
} endpoint;

/* From an IP literal. Aborts where it is none. */
endpoint endpoint_of(const char *ip, unsigned port);
endpoint endpoint_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
/* Host number host of public network net: 0 to 2 are documentation ranges, 3 to 5 are like any other. */
endpoint endpoint_public(uint8_t family, unsigned net, unsigned host, uint16_t port);
/* Host number host of private network net (0 to 99). */
endpoint endpoint_private(uint8_t family, unsigned net, unsigned host, uint16_t port);
endpoint endpoint_loopback(uint8_t family, unsigned host, uint16_t port);
endpoint endpoint_any(uint8_t family, uint16_t port);
endpoint endpoint_multicast(uint8_t family, uint16_t port);
endpoint endpoint_link_local(uint8_t family, uint16_t port);
/* a as ::ffff:a.b.c.d; a must be IPv4. */
endpoint endpoint_mapped(const endpoint *a);
/* The other way round; what is not mapped stays as it is. */
endpoint endpoint_plain(const endpoint *a);
/* a as seen through NAT64: behind the first 96 bits of prefix. And back. */
endpoint endpoint_synthesized(const endpoint *prefix, const endpoint *a);
endpoint endpoint_embedded(const endpoint *synthesized);
endpoint endpoint_with_port(const endpoint *a, uint16_t port);

bool endpoint_equal(const endpoint *a, const endpoint *b);
bool endpoint_same_ip(const endpoint *a, const endpoint *b);
/* True for private, loopback, link-local, unspecified, multicast, reserved and IPv4-mapped forms of them. */
bool endpoint_is_special(const endpoint *a);
/* Small integer naming the kind of address: 0 global, 1 private, 2 loopback, 3 anything a datagram must not be sent to.
 */
int endpoint_class(const endpoint *a);

/* Ports of services that answer anything, answer more than they are asked, or do more than answer. */
bool endpoint_is_service_port(uint16_t port);
/* The n-th of those above 1023, counted round and round. */
uint16_t endpoint_service_port(uint64_t n);

void endpoint_ip_text(const endpoint *a, char out[ENDPOINT_TEXT]);
void endpoint_text(const endpoint *a, char out[ENDPOINT_TEXT]);

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_storage storage;
} socket_address;

socklen_t endpoint_to_socket(const endpoint *e, socket_address *out);
/* Family 0 for an address of another family. */
endpoint endpoint_from_socket(const struct sockaddr *a);

#endif
