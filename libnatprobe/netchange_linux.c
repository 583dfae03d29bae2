/* SPDX-License-Identifier: MIT */
/* Changes of the network on Linux: netlink. Android refuses it to apps. */
#include "netchange.h"

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
static unsigned take_link(npi_netchange *n, const struct nlmsghdr *h, const uint32_t used[NPI_NET_LINKS])
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
static unsigned take_route(const struct nlmsghdr *h)
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

static unsigned take_message(npi_netchange *n, const struct nlmsghdr *h, const uint32_t used[NPI_NET_LINKS])
{
    switch (h->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return take_link(n, h, used);
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return take_address(h, used);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return take_route(h);
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
        seen |= take_message(n, h, used);
        size_t step = NLMSG_ALIGN(h->nlmsg_len);
        if (step >= size)
            break;
        data += step;
        size -= step;
    }
    return seen;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static int open_notices(void)
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

static void close_one(int *fd, npi_poller *poller)
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
    n->fd = open_notices();
    n->clock_fd = open_clock();
    if (n->clock_fd >= 0 && !npi_poller_watch(poller, n->clock_fd, tag, NPI_WATCH_CONTENT))
        close_one(&n->clock_fd, poller);
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
    close_one(&n->fd, poller);
    close_one(&n->clock_fd, poller);
}
