/* SPDX-License-Identifier: MIT */
/* Making, comparing, classifying and printing the tests' addresses. */
#include "endpoint.h"

#ifndef _WIN32
#include <arpa/inet.h>
#include <netinet/in.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

endpoint endpoint_of(const char *ip, unsigned port)
{
    endpoint e = {.family = 4, .port = (uint16_t)port};
    if (inet_pton(AF_INET, ip, e.ip) == 1)
        return e;
    e.family = 6;
    if (inet_pton(AF_INET6, ip, e.ip) != 1)
        abort(); /* a mistake of the test's */
    return e;
}

endpoint endpoint_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (endpoint){.family = 4, .ip = {a, b, c, d}, .port = port};
}

endpoint endpoint_public(uint8_t family, unsigned net, unsigned host, uint16_t port)
{
    static const uint8_t nets[6][3] = {{192, 0, 2}, {198, 51, 100}, {203, 0, 113}, {1, 2, 3}, {1, 2, 4}, {2, 3, 4}};
    const uint8_t *n = nets[net % 6];
    if (family == 4)
        return endpoint_v4(n[0], n[1], n[2], (uint8_t)host, port);
    return (endpoint){.family = 6,
                      .ip = {0x20, 0x01, 0x0d, net < 3 ? 0xb8 : 0xb9, 0, (uint8_t)net, [15] = (uint8_t)host},
                      .port = port};
}

endpoint endpoint_private(uint8_t family, unsigned net, unsigned host, uint16_t port)
{
    if (family == 4)
        return endpoint_v4(10, (uint8_t)net, 0, (uint8_t)host, port);
    return (endpoint){.family = 6, .ip = {0xfd, 0, 0, (uint8_t)net, [15] = (uint8_t)host}, .port = port};
}

endpoint endpoint_loopback(uint8_t family, unsigned host, uint16_t port)
{
    if (family == 4)
        return endpoint_v4(127, 0, 0, (uint8_t)host, port);
    return (endpoint){.family = 6, .ip = {[15] = 1}, .port = port};
}

endpoint endpoint_any(uint8_t family, uint16_t port)
{
    return (endpoint){.family = family, .port = port};
}

endpoint endpoint_multicast(uint8_t family, uint16_t port)
{
    if (family == 4)
        return endpoint_v4(224, 0, 0, 251, port);
    return (endpoint){.family = 6, .ip = {0xff, 0x02, [15] = 0xfb}, .port = port};
}

endpoint endpoint_link_local(uint8_t family, uint16_t port)
{
    if (family == 4)
        return endpoint_v4(169, 254, 169, 254, port);
    return (endpoint){.family = 6, .ip = {0xfe, 0x80, [15] = 0x07}, .port = port};
}

endpoint endpoint_mapped(const endpoint *a)
{
    endpoint m = {.family = 6, .ip = {[10] = 0xff, [11] = 0xff}, .port = a->port};
    memcpy(m.ip + 12, a->ip, 4);
    return m;
}

endpoint endpoint_plain(const endpoint *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->family != 6 || memcmp(a->ip, mapped, sizeof mapped) != 0)
        return *a;
    return endpoint_v4(a->ip[12], a->ip[13], a->ip[14], a->ip[15], a->port);
}

endpoint endpoint_synthesized(const endpoint *prefix, const endpoint *a)
{
    endpoint e = *prefix;
    memcpy(e.ip + 12, a->ip, 4);
    e.port = a->port;
    return e;
}

endpoint endpoint_embedded(const endpoint *synthesized)
{
    const uint8_t *ip = synthesized->ip + 12;
    return endpoint_v4(ip[0], ip[1], ip[2], ip[3], synthesized->port);
}

endpoint endpoint_with_port(const endpoint *a, uint16_t port)
{
    endpoint e = *a;
    e.port = port;
    return e;
}

bool endpoint_same_ip(const endpoint *a, const endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool endpoint_equal(const endpoint *a, const endpoint *b)
{
    return endpoint_same_ip(a, b) && a->port == b->port;
}

static int class_v4(const uint8_t ip[4])
{
    if (ip[0] == 0 || ip[0] >= 224 || (ip[0] == 169 && ip[1] == 254))
        return 3;
    if (ip[0] == 127)
        return 2;
    bool shared = ip[0] == 100 && (ip[1] & 0xc0) == 64;
    bool rfc1918 = ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) || (ip[0] == 192 && ip[1] == 168);
    return shared || rfc1918 ? 1 : 0;
}

static int class_v6(const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t zero[15] = {0};
    if (memcmp(ip, mapped, sizeof mapped) == 0)
        return class_v4(ip + 12);
    if (memcmp(ip, zero, sizeof zero) == 0)
        return ip[15] == 1 ? 2 : 3;
    if (ip[0] == 0xff || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80))
        return 3;
    /* IPv4-compatible, NAT64 and 6to4: what is sent there goes to the IPv4 address inside. */
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(ip, zero, 12) == 0 || memcmp(ip, nat64, sizeof nat64) == 0)
        return class_v4(ip + 12);
    if (ip[0] == 0x20 && ip[1] == 0x02)
        return class_v4(ip + 2);
    return (ip[0] & 0xfe) == 0xfc ? 1 : 0;
}

int endpoint_class(const endpoint *a)
{
    if (a->family == 4)
        return class_v4(a->ip);
    return a->family == 6 ? class_v6(a->ip) : 3;
}

bool endpoint_is_special(const endpoint *a)
{
    return endpoint_class(a) != 0;
}

static const uint16_t service_ports[] = {1434,  1701,  1812,  1813,  1900,  2049,  2123,  2152,  3283, 3389,
                                         3702,  4500,  5060,  5061,  5093,  5351,  5353,  5355,  5683, 5684,
                                         10001, 10074, 11211, 17185, 27015, 27960, 32414, 37810, 47808};

#define SERVICE_PORTS (sizeof service_ports / sizeof service_ports[0])

bool endpoint_is_service_port(uint16_t port)
{
    for (size_t i = 0; i < SERVICE_PORTS; i++) {
        if (service_ports[i] == port)
            return true;
    }
    return port < 1024 && port != 80 && port != 443;
}

uint16_t endpoint_service_port(uint64_t n)
{
    return service_ports[n % SERVICE_PORTS];
}

void endpoint_ip_text(const endpoint *a, char out[ENDPOINT_TEXT])
{
    out[0] = '\0';
    if (a->family != 0)
        inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, out, ENDPOINT_TEXT);
}

void endpoint_text(const endpoint *a, char out[ENDPOINT_TEXT])
{
    char ip[ENDPOINT_TEXT];
    endpoint_ip_text(a, ip);
    if (a->family == 0)
        snprintf(out, ENDPOINT_TEXT, "-");
    else
        snprintf(out, ENDPOINT_TEXT, a->family == 4 ? "%.46s:%u" : "[%.46s]:%u", ip, a->port);
}

/* ---- As the system has them ------------------------------------------------------------------------------------- */

socklen_t endpoint_to_socket(const endpoint *e, socket_address *out)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(e->port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
    memset(out, 0, sizeof *out);
    memcpy(&in4.sin_addr, e->ip, sizeof in4.sin_addr);
    memcpy(&in6.sin6_addr, e->ip, sizeof in6.sin6_addr);
    if (e->family == 6)
        memcpy(out, &in6, sizeof in6);
    else
        memcpy(out, &in4, sizeof in4);
    return e->family == 6 ? sizeof in6 : sizeof in4;
}

endpoint endpoint_from_socket(const struct sockaddr *a)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    endpoint e = {.family = 0};
    if (a->sa_family == AF_INET) {
        memcpy(&in4, a, sizeof in4);
        e = (endpoint){.family = 4, .port = ntohs(in4.sin_port)};
        memcpy(e.ip, &in4.sin_addr, sizeof in4.sin_addr);
    } else if (a->sa_family == AF_INET6) {
        memcpy(&in6, a, sizeof in6);
        e = (endpoint){.family = 6, .port = ntohs(in6.sin6_port)};
        memcpy(e.ip, &in6.sin6_addr, sizeof in6.sin6_addr);
    }
    return e;
}
