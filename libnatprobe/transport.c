/* SPDX-License-Identifier: MIT */
/* UDP sockets. */
#if defined(__APPLE__) && !defined(__APPLE_USE_RFC_3542)
#define __APPLE_USE_RFC_3542 /* IPV6_RECVPKTINFO */
#endif

#include "transport.h"

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

#include "routing.h"

/* ---- Addresses of the system ------------------------------------------------------------------------------------ */

static npi_addr from_ip(npi_family family, const void *ip, size_t size)
{
    npi_addr to = {.family = (uint8_t)family};
    memcpy(to.ip, ip, size);
    return to;
}

/* The address a socket is bound to or sends from. */
static bool own_address(int fd, npi_addr *out)
{
    npi_sockaddr name;
    socklen_t length = sizeof name;
    if (getsockname(fd, &name.any, &length) != 0)
        return false;
    *out = npi_addr_from_sockaddr(&name.any);
    return true;
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static int open_udp(int family)
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
static void ask_for_local_address(int fd, npi_family family)
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
static const char *copy_route(int fd, const npi_socket *other)
{
    if (other == NULL || (!other->borrowed && other->link == 0))
        return NULL;
    return npi_copy_routing_options(fd, other->fd, (npi_family)other->bound.family);
}

/* No SO_REUSEADDR: for UDP it would let two sockets take each other's datagrams on one port. */
static const char *set_up(int fd, const npi_addr *local)
{
    npi_sockaddr name;
    socklen_t length = npi_sockaddr_from(local, &name);
    /* One family a socket: an IPv4 address would else hide in ::ffff:0:0/96, and the port be shared with IPv4. */
    if (local->family == NPI_IPV6 && !enable(fd, IPPROTO_IPV6, IPV6_V6ONLY))
        return "setsockopt(IPV6_V6ONLY)";
    ask_for_local_address(fd, (npi_family)local->family);
    ask_for_time(fd);
    if (bind(fd, &name.any, length) == 0)
        return NULL;
    return local->port == 0 ? NPI_BIND_ANY : "bind";
}

/* The way of another socket, or an interface; both NULL: as the system routes. */
typedef struct route {
    const npi_socket *of;
    const char *interface;
} route;

static const char *take_way(npi_socket *s, npi_family family, const route *way)
{
    if (way->interface == NULL) {
        s->link = way->of != NULL ? way->of->link : 0;
        return copy_route(s->fd, way->of);
    }
    if (!npi_route_by_interface(s->fd, way->interface, family))
        return NPI_CHOOSE_INTERFACE;
    s->link = if_nametoindex(way->interface);
    return s->link != 0 ? NULL : NPI_CHOOSE_INTERFACE;
}

/* NULL, or the call that failed, with errno. */
static const char *open_parts(npi_socket *s, const npi_addr *local, const route *way)
{
    s->fd = open_udp(local->family == NPI_IPV4 ? AF_INET : AF_INET6);
    if (s->fd == NP_INVALID_SOCKET)
        return "socket";
    const char *failed = take_way(s, (npi_family)local->family, way);
    if (failed == NULL)
        failed = set_up(s->fd, local);
    if (failed == NULL && !own_address(s->fd, &s->bound))
        failed = "getsockname";
    return failed;
}

/* Takes errno for the call, closes s and says which error that is; the call NULL: no error. */
static int settle(npi_socket *s, const char *call, npi_failure *failure)
{
    *failure = NPI_FAILURE_NONE;
    if (call == NULL)
        return NP_OK;
    *failure = npi_failure_of(call);
    npi_socket_close(s);
    return npi_error_from_open(failure->os_error);
}

static int open_on_way(npi_socket *s, const npi_addr *local, const route *way, npi_failure *failure)
{
    *s = NPI_SOCKET_CLOSED;
    *failure = (npi_failure){.call = "socket", .os_error = EAFNOSUPPORT};
    if (!npi_addr_is_set(local))
        return NP_ERR_ARGUMENT;
    return settle(s, open_parts(s, local, way), failure);
}

int npi_socket_open(npi_socket *s, const npi_addr *local, npi_failure *failure)
{
    return npi_socket_open_on(s, local, NULL, failure);
}

int npi_socket_open_on(npi_socket *s, const npi_addr *local, const char *interface, npi_failure *failure)
{
    return open_on_way(s, local, &(route){.interface = interface}, failure);
}

int npi_socket_open_sibling(npi_socket *s, const npi_socket *other, npi_failure *failure)
{
    npi_addr local = npi_addr_with_port(&other->bound, 0);
    return open_on_way(s, &local, &(route){.of = other}, failure);
}

void npi_socket_close(npi_socket *s)
{
    if (s->fd != NP_INVALID_SOCKET)
        close(s->fd);
    *s = NPI_SOCKET_CLOSED;
}

/* ---- The caller's socket ---------------------------------------------------------------------------------------- */

static bool get_option(int fd, int level, int option, int *value)
{
    socklen_t length = sizeof *value;
    return getsockopt(fd, level, option, value, &length) == 0;
}

static bool option_is(int fd, int level, int option, int wanted)
{
    int value = 0;
    return get_option(fd, level, option, &value) && value == wanted;
}

static const char *sharing_option(int fd)
{
    int value = 0;
#ifdef SO_REUSEPORT
    if (get_option(fd, SOL_SOCKET, SO_REUSEPORT, &value) && value != 0)
        return "SO_REUSEPORT";
#endif
    return get_option(fd, SOL_SOCKET, SO_REUSEADDR, &value) && value != 0 ? "SO_REUSEADDR" : NULL;
}

static bool is_udp(int fd)
{
#ifdef SO_PROTOCOL
    if (!option_is(fd, SOL_SOCKET, SO_PROTOCOL, IPPROTO_UDP))
        return false;
#endif
    return option_is(fd, SOL_SOCKET, SO_TYPE, SOCK_DGRAM);
}

static bool is_connected(int fd)
{
    npi_sockaddr peer;
    socklen_t length = sizeof peer;
    return getpeername(fd, &peer.any, &length) == 0;
}

/* The families that a socket bound to an address reaches. False when the system does not tell. */
static bool reach_of(int fd, const npi_addr *bound, npi_reach *out)
{
    npi_addr plain = npi_addr_unmap(bound);
    *out = (npi_reach){.ipv4 = plain.family == NPI_IPV4, .ipv6 = plain.family == NPI_IPV6};
    if (!out->ipv6 || !npi_addr_is_any(bound))
        return out->ipv4 || out->ipv6;
    int only = 0;
    if (!get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only))
        return false;
    out->ipv4 = only == 0;
    return true;
}

int npi_socket_examine(int fd, npi_reach *out)
{
    npi_addr bound;
    if (!is_udp(fd) || !own_address(fd, &bound) || bound.port == 0 || is_connected(fd))
        return NP_ERR_ARGUMENT;
    return reach_of(fd, &bound, out) ? NP_OK : NP_ERR_ARGUMENT;
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
        return settle(&adopted, "fcntl(F_DUPFD_CLOEXEC)", failure);
    if (!own_address(adopted.fd, &adopted.bound))
        return settle(&adopted, "getsockname", failure);
    adopted.is_mapped = family == NPI_IPV4 && adopted.bound.family == NPI_IPV6;
    if (adopted.is_mapped && npi_addr_is_any(&adopted.bound))
        adopted.bound = (npi_addr){.family = NPI_IPV4, .port = adopted.bound.port};
    adopted.bound = npi_addr_unmap(&adopted.bound);
    adopted.shared_by = sharing_option(adopted.fd);
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
typedef union control {
    struct cmsghdr header;
    uint8_t bytes[256];
} control;

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
static void read_control(struct cmsghdr *c, npi_received *out)
{
    if (c->cmsg_level == SOL_SOCKET)
        read_time(c, out);
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        npi_addr local = from_ip(NPI_IPV6, &info.ipi6_addr, sizeof info.ipi6_addr);
        out->local = npi_addr_with_scope(&local, info.ipi6_ifindex);
    }
#if defined(IP_PKTINFO)
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        out->local = from_ip(NPI_IPV4, &info.ipi_addr, sizeof info.ipi_addr);
    }
#elif defined(IP_RECVDSTADDR)
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVDSTADDR)
        out->local = from_ip(NPI_IPV4, CMSG_DATA(c), sizeof(struct in_addr));
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
static struct cmsghdr *next_control(struct msghdr *message, struct cmsghdr *c)
{
    return CMSG_NXTHDR(message, c);
}
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static void read_controls(const npi_socket *s, struct msghdr *message, npi_received *out)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = next_control(message, c))
        read_control(c, out);
    if (!npi_addr_is_set(&out->local) && !npi_addr_is_any(&s->bound))
        out->local = s->bound;
    if (npi_addr_is_set(&out->local))
        out->local.port = s->bound.port;
}

int npi_receive_once(const npi_socket *s, uint8_t *buffer, size_t room, npi_received *out)
{
    control control_room;
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
    read_controls(s, &message, out);
    return 0;
}

/* ---- Routes ----------------------------------------------------------------------------------------------------- */

/*
 * Connecting a UDP socket makes the system choose a route and with it an address, and sends nothing. NULL, or the call
 * that failed.
 */
static const char *connect_beside(int fd, const npi_socket *s, const npi_addr *remote, npi_addr *local)
{
    npi_sockaddr name;
    npi_addr any_port = npi_addr_with_port(&s->bound, 0);
    socklen_t length = npi_sockaddr_from(&any_port, &name);
    const char *failed = copy_route(fd, s);
    if (failed != NULL)
        return failed;
    if (bind(fd, &name.any, length) != 0)
        return NPI_BIND_ANY;
    length = npi_sockaddr_from(remote, &name);
    if (connect(fd, &name.any, length) != 0)
        return "connect";
    if (!own_address(fd, local))
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
    int fd = open_udp(remote->family == NPI_IPV4 ? AF_INET : AF_INET6);
    const char *failed = fd < 0 ? "socket" : connect_beside(fd, s, remote, &local);
    *failure = failed != NULL ? npi_failure_of(failed) : NPI_FAILURE_NONE;
    if (fd >= 0)
        close(fd);
    if (failed == NULL)
        *out = npi_addr_with_port(&local, s->bound.port);
    return failed == NULL;
}
