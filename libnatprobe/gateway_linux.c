/* SPDX-License-Identifier: MIT */
/*
 * The gateway on Linux and Android, by rtnetlink: the kernel answers for one datagram, with every rule of policy
 * routing. A system may forbid it (a seccomp filter, SELinux on Android).
 */
#include "gateway.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "routing.h"

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

typedef union question {
    struct nlmsghdr header;
    uint8_t bytes[256];
} question;

static void add(question *q, uint16_t type, const void *value, size_t size)
{
    struct rtattr attribute = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(size)};
    uint8_t *at = q->bytes + NLMSG_ALIGN(q->header.nlmsg_len);
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), value, size);
    q->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->header.nlmsg_len) + RTA_ALIGN(attribute.rta_len));
}

static uint32_t option(int fd, int level, int name)
{
    uint32_t value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

/* The interface that a socket is tied to, or sends by. */
static uint32_t interface_of(int fd)
{
    char name[IF_NAMESIZE] = "";
    socklen_t length = sizeof name;
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length) == 0 && length > 0 && name[0] != '\0')
        return if_nametoindex(name);
#ifdef IP_UNICAST_IF
    return ntohl(option(fd, IPPROTO_IP, IP_UNICAST_IF));
#else
    return 0;
#endif
}

/* What the kernel looks at when the socket sends: only a socket that is bound to an address has one by then. */
static void write_question(const npi_gateway_way *way, question *q)
{
    const uint8_t protocol = IPPROTO_UDP;
    const uint16_t port = htons(way->to.port);
    const uint16_t source_port = htons(way->from.port);
    uint32_t mark = option(way->fd, SOL_SOCKET, SO_MARK);
    uint32_t interface = interface_of(way->fd);
    bool is_bound = !npi_addr_is_any(&way->from);
    struct rtmsg route = {.rtm_family = AF_INET,
                          .rtm_dst_len = WHOLE_ADDRESS,
                          .rtm_src_len = is_bound ? WHOLE_ADDRESS : 0,
                          .rtm_tos = (uint8_t)(option(way->fd, IPPROTO_IP, IP_TOS) & TOS_THAT_ROUTES)};
    memset(q, 0, sizeof *q);
    q->header = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof route),
                                  .nlmsg_type = RTM_GETROUTE,
                                  .nlmsg_flags = NLM_F_REQUEST,
                                  .nlmsg_seq = SEQUENCE};
    memcpy(q->bytes + NLMSG_LENGTH(0), &route, sizeof route);
    add(q, RTA_DST, way->to.ip, IPV4_SIZE);
    if (is_bound)
        add(q, RTA_SRC, way->from.ip, IPV4_SIZE);
    if (interface != 0)
        add(q, RTA_OIF, &interface, sizeof interface);
    if (mark != 0)
        add(q, ATTRIBUTE_MARK, &mark, sizeof mark);
    add(q, ATTRIBUTE_PROTOCOL, &protocol, sizeof protocol);
    add(q, ATTRIBUTE_SOURCE_PORT, &source_port, sizeof source_port);
    add(q, ATTRIBUTE_PORT, &port, sizeof port);
}

/* ---- The answer ------------------------------------------------------------------------------------------------- */

/* The attributes behind the header of a route. A router with an address of IPv6 (RTA_VIA) is none that can be asked. */
static bool read_route(const uint8_t *data, size_t size, npi_addr *gateway)
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
    return read_route(data + before, header.nlmsg_len - before, gateway);
}

/* The size of the answer; 0: none, or not the kernel's: other processes may send to such a socket, too. */
static size_t receive(int fd, uint8_t *answer, size_t room)
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
static bool ask(int fd, const question *q, npi_addr *gateway)
{
    static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    _Alignas(struct nlmsghdr) uint8_t answer[ANSWER_ROOM];
    if (sendto(fd, q, q->header.nlmsg_len, MSG_DONTWAIT, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
        return false;
    return read_answer(answer, receive(fd, answer, sizeof answer), gateway);
}

bool npi_find_gateway(const npi_gateway_way *way, npi_addr *gateway)
{
    question q;
    if (way->to.family != NPI_IPV4 || way->from.family != NPI_IPV4)
        return false;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return false;
    write_question(way, &q);
    bool is_found = npi_is_in_same_namespace(fd, way->fd) && ask(fd, &q, gateway);
    close(fd);
    return is_found;
}
