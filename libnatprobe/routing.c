/* SPDX-License-Identifier: MIT */
/* What makes a socket's datagrams take one route and not another. */
#include "routing.h"

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
