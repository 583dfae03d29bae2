/* SPDX-License-Identifier: MIT */
/* Changes of the network on macOS, iOS and the BSDs: the routing socket. */
#include "netchange.h"

#include <fcntl.h>
#include <sys/types.h>

#include <sys/socket.h>
#include <sys/time.h>

#include <net/if.h>
#include <net/route.h>
#include <string.h>
#include <unistd.h>

#include "sockaddr.h"

/* What every message begins with. */
typedef struct beginning {
    unsigned short length;
    unsigned char version;
    unsigned char type;
} beginning;

static unsigned take_link(npi_netchange *n, const uint8_t *data, size_t size, const uint32_t used[NPI_NET_LINKS])
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
static unsigned take_route(const uint8_t *data, size_t size)
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

static unsigned take_message(npi_netchange *n, unsigned type, const uint8_t *data, size_t size,
                             const uint32_t used[NPI_NET_LINKS])
{
    switch (type) {
    case RTM_IFINFO:
        return take_link(n, data, size, used);
    case RTM_NEWADDR:
        return NPI_NET_LOOK;
    case RTM_DELADDR:
        return take_lost_address(data, size, used);
    case RTM_ADD:
    case RTM_DELETE:
    case RTM_CHANGE:
        return take_route(data, size);
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
            seen |= take_message(n, b.type, data, b.length, used);
        data += b.length;
        size -= b.length;
    }
    return seen;
}

static int open_notices(void)
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
    n->fd = open_notices();
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
