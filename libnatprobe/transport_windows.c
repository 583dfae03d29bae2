/* SPDX-License-Identifier: MIT */
/*
 * UDP sockets on Windows.
 *
 * Each socket of the library's starts Windows' socket library, and ends it when it is closed: Windows counts. Errors
 * are turned into those of errno at once, so that what they mean is decided in one place for every system
 * (transport_errors.c).
 */
#include "transport.h"

#include <errno.h>
#include <string.h>

#include <mswsock.h>

#include "failure.h"
#include "routing.h"

#ifndef SIO_UDP_CONNRESET
#define SIO_UDP_CONNRESET _WSAIOW(IOC_VENDOR, 12)
#endif
#ifndef SIO_UDP_NETRESET
#define SIO_UDP_NETRESET _WSAIOW(IOC_VENDOR, 15)
#endif

/* NULL where it succeeded; else the call, with errno. */
static const char *outcome_of(int returned, const char *call)
{
    if (returned == 0)
        return NULL;
    (void)npi_take_windows_error();
    return call;
}

/* ---- Addresses of the system ------------------------------------------------------------------------------------ */

/* The address a socket is bound to or sends from. */
static const char *own_address(np_socket fd, npi_addr *out)
{
    npi_sockaddr name;
    socklen_t length = sizeof name;
    const char *failed = outcome_of(getsockname(fd, &name.any, &length), "getsockname");
    if (failed == NULL)
        *out = npi_addr_from_sockaddr(&name.any);
    return failed;
}

/* ---- Options ---------------------------------------------------------------------------------------------------- */

static int set_option(np_socket fd, int level, int option, DWORD value)
{
    return setsockopt(fd, level, option, (const char *)&value, sizeof value);
}

static bool get_option(np_socket fd, int level, int option, DWORD *value)
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
    return outcome_of(WSAIoctl(s->fd, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, sizeof id, &s->receive,
                               sizeof s->receive, &size, NULL, NULL),
                      "WSAIoctl(WSARecvMsg)");
}

static void ask_for_local_address(np_socket fd, npi_family family)
{
    if (family == NPI_IPV6)
        (void)set_option(fd, IPPROTO_IPV6, IPV6_PKTINFO, 1);
    else
        (void)set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

/* What leaves by another way would meet another NAT. Else only a socket of the caller's has options that route. */
static const char *copy_route(np_socket fd, const npi_socket *other)
{
    if (other == NULL || (!other->borrowed && other->link == 0))
        return NULL;
    return npi_copy_routing_options(fd, other->fd, (npi_family)other->bound.family);
}

/* Not inherited by processes that the program starts. */
static np_socket open_udp(npi_family family)
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
    return outcome_of(bind(fd, &name.any, length), local->port == 0 ? NPI_BIND_ANY : "bind");
}

/*
 * The port is for this socket alone: without that, any program may bind it again and take its datagrams. One family a
 * socket: Windows' default, which a program may change for all.
 */
static const char *set_up(np_socket fd, const npi_addr *local)
{
    u_long on = 1;
    const char *failed = NULL;
    if (local->family == NPI_IPV6)
        failed = outcome_of(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), "setsockopt(IPV6_V6ONLY)");
    if (failed == NULL)
        failed = outcome_of(set_option(fd, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1), "setsockopt(SO_EXCLUSIVEADDRUSE)");
    if (failed == NULL)
        failed = outcome_of(ioctlsocket(fd, (long)FIONBIO, &on), "ioctlsocket(FIONBIO)");
    if (failed != NULL)
        return failed;
    refuse_icmp_errors(fd);
    ask_for_local_address(fd, (npi_family)local->family);
    return bind_to(fd, local);
}

/* The way of another socket, or an interface; both NULL: as the system routes. */
typedef struct route {
    const npi_socket *of;
    const char *interface_name;
} route;

static const char *take_way(npi_socket *s, npi_family family, const route *way)
{
    if (way->interface_name == NULL) {
        s->link = way->of != NULL ? way->of->link : 0;
        return copy_route(s->fd, way->of);
    }
    if (!npi_route_by_interface(s->fd, way->interface_name, family))
        return NPI_CHOOSE_INTERFACE;
    s->link = npi_interface_index(way->interface_name);
    return s->link != 0 ? NULL : NPI_CHOOSE_INTERFACE;
}

/* NULL, or the call that failed, with errno. */
static const char *open_parts(npi_socket *s, const npi_addr *local, const route *way)
{
    s->fd = open_udp((npi_family)local->family);
    if (!npi_is_socket(s->fd))
        return "socket";
    const char *failed = take_way(s, (npi_family)local->family, way);
    if (failed == NULL)
        failed = set_up(s->fd, local);
    if (failed == NULL)
        failed = find_receive(s);
    return failed != NULL ? failed : own_address(s->fd, &s->bound);
}

/* Takes errno for the call, closes s and says which error that is; the call NULL: no error. */
static int settle(npi_socket *s, const char *call, npi_failure *failure)
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

static int open_on_way(npi_socket *s, const npi_addr *local, const route *way, npi_failure *failure)
{
    *s = NPI_SOCKET_CLOSED;
    *failure = (npi_failure){.call = "socket", .os_error = EAFNOSUPPORT};
    if (!npi_addr_is_set(local))
        return NP_ERR_ARGUMENT;
    if (!npi_sockets_begin())
        return fail_to_start(failure);
    return settle(s, open_parts(s, local, way), failure);
}

int npi_socket_open(npi_socket *s, const npi_addr *local, npi_failure *failure)
{
    return npi_socket_open_on(s, local, NULL, failure);
}

int npi_socket_open_on(npi_socket *s, const npi_addr *local, const char *interface_name, npi_failure *failure)
{
    return open_on_way(s, local, &(route){.interface_name = interface_name}, failure);
}

int npi_socket_open_sibling(npi_socket *s, const npi_socket *other, npi_failure *failure)
{
    npi_addr local = npi_addr_with_port(&other->bound, 0);
    return open_on_way(s, &local, &(route){.of = other}, failure);
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

static bool is_udp(np_socket fd)
{
    WSAPROTOCOL_INFOW info;
    int length = sizeof info;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &length) == 0 &&
           info.iSocketType == SOCK_DGRAM && info.iProtocol == IPPROTO_UDP;
}

static bool is_connected(np_socket fd)
{
    npi_sockaddr peer;
    socklen_t length = sizeof peer;
    return getpeername(fd, &peer.any, &length) == 0;
}

/* The families that a socket bound to an address reaches. False when the system does not tell. */
static bool reach_of(np_socket fd, const npi_addr *bound, npi_reach *out)
{
    npi_addr plain = npi_addr_unmap(bound);
    *out = (npi_reach){.ipv4 = plain.family == NPI_IPV4, .ipv6 = plain.family == NPI_IPV6};
    if (!out->ipv6 || !npi_addr_is_any(bound))
        return out->ipv4 || out->ipv6;
    DWORD only = 0;
    if (!get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only))
        return false;
    out->ipv4 = only == 0;
    return true;
}

int npi_socket_examine(np_socket fd, npi_reach *out)
{
    npi_addr bound;
    if (!is_udp(fd) || own_address(fd, &bound) != NULL || bound.port == 0 || is_connected(fd))
        return NP_ERR_ARGUMENT;
    return reach_of(fd, &bound, out) ? NP_OK : NP_ERR_ARGUMENT;
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
    return failed != NULL ? failed : own_address(s->fd, &s->bound);
}

static const char *sharing_option(np_socket fd)
{
    DWORD value;
    return get_option(fd, SOL_SOCKET, SO_REUSEADDR, &value) && value != 0 ? "SO_REUSEADDR" : NULL;
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
        return settle(&adopted, failed, failure);
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
    return sendto(fd, (const char *)data, (int)size, 0, &name->any, length) >= 0 ? 0 : npi_take_windows_error();
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

/* Room for the control messages asked for, and aligned as they must be. */
typedef union control {
    WSACMSGHDR header;
    uint8_t bytes[256];
} control;

static npi_addr from_ip(npi_family family, const void *ip, size_t size)
{
    npi_addr to = {.family = (uint8_t)family};
    memcpy(to.ip, ip, size);
    return to;
}

static void read_control(WSACMSGHDR *c, npi_received *out)
{
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        IN6_PKTINFO info;
        memcpy(&info, WSA_CMSG_DATA(c), sizeof info);
        npi_addr local = from_ip(NPI_IPV6, &info.ipi6_addr, sizeof info.ipi6_addr);
        out->local = npi_addr_with_scope(&local, info.ipi6_ifindex);
    }
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        IN_PKTINFO info;
        memcpy(&info, WSA_CMSG_DATA(c), sizeof info);
        out->local = from_ip(NPI_IPV4, &info.ipi_addr, sizeof info.ipi_addr);
    }
}

/* As WSA_CMSG_FIRSTHDR and WSA_CMSG_NXTHDR, which compilers warn about. */
static WSACMSGHDR *first_control(const WSAMSG *message)
{
    return message->Control.len >= sizeof(WSACMSGHDR) ? (WSACMSGHDR *)(void *)message->Control.buf : NULL;
}

static WSACMSGHDR *next_control(const WSAMSG *message, WSACMSGHDR *c)
{
    const size_t alignment = sizeof(size_t);
    size_t step = (c->cmsg_len + alignment - 1) / alignment * alignment;
    size_t left = message->Control.len - (size_t)((char *)c - message->Control.buf);
    bool has_next = c->cmsg_len >= sizeof *c && step <= left && left - step >= sizeof *c;
    return has_next ? (WSACMSGHDR *)(void *)((char *)c + step) : NULL;
}

static void read_controls(const npi_socket *s, WSAMSG *message, npi_received *out)
{
    for (WSACMSGHDR *c = first_control(message); c != NULL; c = next_control(message, c))
        read_control(c, out);
    if (!npi_addr_is_set(&out->local) && !npi_addr_is_any(&s->bound))
        out->local = s->bound;
    if (npi_addr_is_set(&out->local))
        out->local.port = s->bound.port;
}

/* A datagram longer than the room is an error to Windows, which has filled the room all the same. */
int npi_receive_once(const npi_socket *s, uint8_t *buffer, size_t room, npi_received *out)
{
    control control_room;
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
    read_controls(s, &message, out);
    return 0;
}

/* ---- Routes ----------------------------------------------------------------------------------------------------- */

/*
 * Connecting a UDP socket makes the system choose a route and with it an address, and sends nothing. NULL, or the call
 * that failed.
 */
static const char *connect_beside(np_socket fd, const npi_socket *s, const npi_addr *remote, npi_addr *local)
{
    npi_sockaddr name;
    npi_addr any_port = npi_addr_with_port(&s->bound, 0);
    const char *failed = copy_route(fd, s);
    if (failed == NULL)
        failed = bind_to(fd, &any_port);
    if (failed != NULL)
        return failed;
    socklen_t length = npi_sockaddr_from(remote, &name);
    failed = outcome_of(connect(fd, &name.any, length), "connect");
    if (failed == NULL)
        failed = own_address(fd, local);
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
    np_socket fd = open_udp((npi_family)remote->family);
    const char *failed = !npi_is_socket(fd) ? "socket" : connect_beside(fd, s, remote, &local);
    *failure = failed != NULL ? npi_failure_of(failed) : NPI_FAILURE_NONE;
    if (npi_is_socket(fd))
        closesocket(fd);
    if (failed == NULL)
        *out = npi_addr_with_port(&local, s->bound.port);
    return failed == NULL;
}
