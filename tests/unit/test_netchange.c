/* SPDX-License-Identifier: MIT */
/* What notices of netlink tell, whole and cut; and that the kernel's own come through a poller. */
#include "unit.h"

#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "netchange.h"

#define UP (IFF_UP | IFF_RUNNING)
#define USED 2
#define OTHER 7

static const uint32_t used[NPI_NET_LINKS] = {USED, 0};
static const uint32_t none[NPI_NET_LINKS];

typedef union notice {
    struct nlmsghdr header;
    uint8_t bytes[NLMSG_SPACE(sizeof(struct ifinfomsg))];
} notice;

static notice of_type(uint16_t type, const void *body, size_t size)
{
    notice n;
    memset(&n, 0, sizeof n);
    n.header.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
    n.header.nlmsg_type = type;
    memcpy(n.bytes + NLMSG_HDRLEN, body, size);
    return n;
}

static notice link_notice(uint16_t type, int index, unsigned flags)
{
    struct ifinfomsg m;
    memset(&m, 0, sizeof m);
    m.ifi_index = index;
    m.ifi_flags = flags;
    return of_type(type, &m, sizeof m);
}

static notice address_notice(uint16_t type, uint32_t index)
{
    struct ifaddrmsg m;
    memset(&m, 0, sizeof m);
    m.ifa_index = index;
    return of_type(type, &m, sizeof m);
}

static notice route_notice(uint16_t type, unsigned char prefix, unsigned char kind, unsigned flags)
{
    struct rtmsg m;
    memset(&m, 0, sizeof m);
    m.rtm_dst_len = prefix;
    m.rtm_type = kind;
    m.rtm_flags = flags;
    return of_type(type, &m, sizeof m);
}

static unsigned parse(npi_netchange *n, notice one, const uint32_t links[NPI_NET_LINKS])
{
    return npi_netchange_parse(n, one.bytes, one.header.nlmsg_len, links);
}

static void link_that_goes_and_comes_is_a_cut(void **state)
{
    npi_netchange n;
    (void)state;
    memset(&n, 0, sizeof n);
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, USED, UP), used), NPI_NET_LOOK); /* it was up */
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, USED, IFF_UP), used), NPI_NET_LOOK | NPI_NET_CUT);
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, USED, 0), used), NPI_NET_LOOK); /* still down */
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, USED, UP), used), NPI_NET_LOOK | NPI_NET_CUT);
    assert_int_equal(parse(&n, link_notice(RTM_DELLINK, USED, UP), used), NPI_NET_LOOK | NPI_NET_CUT);
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, OTHER, 0), used), NPI_NET_LOOK);
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, OTHER, UP), none), NPI_NET_LOOK | NPI_NET_CUT);
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, 1, IFF_LOOPBACK), used), NPI_NET_QUIET);
}

static void more_links_than_there_is_room_for(void **state)
{
    npi_netchange n;
    (void)state;
    memset(&n, 0, sizeof n);
    for (int i = 0; i < 3 * NPI_NET_DOWN; i++)
        assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, 100 + i, 0), used), NPI_NET_LOOK);
    assert_int_equal(parse(&n, link_notice(RTM_NEWLINK, USED, 0), used), NPI_NET_LOOK | NPI_NET_CUT);
}

static void addresses_and_routes(void **state)
{
    npi_netchange n;
    (void)state;
    memset(&n, 0, sizeof n);
    assert_int_equal(parse(&n, address_notice(RTM_NEWADDR, USED), used), NPI_NET_LOOK);
    assert_int_equal(parse(&n, address_notice(RTM_DELADDR, USED), used), NPI_NET_LOOK | NPI_NET_CUT);
    assert_int_equal(parse(&n, address_notice(RTM_DELADDR, OTHER), used), NPI_NET_LOOK);
    assert_int_equal(parse(&n, route_notice(RTM_NEWROUTE, 0, RTN_UNICAST, 0), used), NPI_NET_LOOK | NPI_NET_CUT);
    assert_int_equal(parse(&n, route_notice(RTM_DELROUTE, 0, RTN_UNICAST, 0), used), NPI_NET_LOOK | NPI_NET_CUT);
    assert_int_equal(parse(&n, route_notice(RTM_NEWROUTE, 1, RTN_UNICAST, 0), used), NPI_NET_LOOK);
    assert_int_equal(parse(&n, route_notice(RTM_NEWROUTE, 32, RTN_LOCAL, 0), used), NPI_NET_QUIET);
    assert_int_equal(parse(&n, route_notice(RTM_NEWROUTE, 0, RTN_UNICAST, RTM_F_CLONED), used), NPI_NET_QUIET);
    assert_int_equal(parse(&n, address_notice(RTM_NEWNEIGH, USED), used), NPI_NET_QUIET);
}

static void several_in_a_row(void **state)
{
    npi_netchange n;
    union {
        struct nlmsghdr header;
        uint8_t bytes[4 * sizeof(notice)];
    } row;
    size_t size = 0;
    const notice all[] = {address_notice(RTM_NEWNEIGH, USED), address_notice(RTM_NEWADDR, USED),
                          route_notice(RTM_DELROUTE, 0, RTN_UNICAST, 0)};
    (void)state;
    memset(&n, 0, sizeof n);
    for (size_t i = 0; i < COUNT(all); i++) {
        memcpy(row.bytes + size, all[i].bytes, sizeof all[i]);
        size += NLMSG_ALIGN(all[i].header.nlmsg_len);
    }
    assert_int_equal(npi_netchange_parse(&n, row.bytes, size, used), NPI_NET_LOOK | NPI_NET_CUT);
}

/* Whatever its lengths say, nothing beyond the buffer is read: under a sanitizer that would be noticed. */
static void cut_and_lying_messages(void **state)
{
    npi_netchange n;
    (void)state;
    memset(&n, 0, sizeof n);
    notice whole = link_notice(RTM_NEWLINK, USED, 0);
    for (size_t size = 0; size < whole.header.nlmsg_len; size++) {
        union {
            struct nlmsghdr header;
            uint8_t bytes[sizeof(notice)];
        } cut;
        memset(&cut, 0, sizeof cut);
        memcpy(cut.bytes, whole.bytes, size);
        assert_int_equal(npi_netchange_parse(&n, cut.bytes, size, used), NPI_NET_QUIET);
        if (size >= sizeof(struct nlmsghdr)) { /* its header says that it is no longer than that */
            cut.header.nlmsg_len = (uint32_t)size;
            assert_int_equal(npi_netchange_parse(&n, cut.bytes, size, used), NPI_NET_QUIET);
        }
    }
    static const uint32_t lengths[] = {0, 1, 15, 16, 17, UINT32_MAX, UINT32_MAX - 3, 0x80000000};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        notice lying = whole;
        lying.header.nlmsg_len = lengths[i];
        assert_int_equal(npi_netchange_parse(&n, lying.bytes, sizeof lying.bytes, used), NPI_NET_QUIET);
    }
}

static void it_listens_or_says_that_it_cannot(void **state)
{
    npi_netchange n;
    npi_poller poller;
    npi_failure failure;
    (void)state;
    assert_int_equal(npi_poller_open(&poller, &failure), NP_OK);
    for (int i = 0; i < 2; i++) {
        (void)npi_netchange_open(&n, &poller, 1);
        (void)npi_netchange_take(&n, none);
        assert_int_equal(npi_netchange_take(&n, none), NPI_NET_QUIET);
        npi_netchange_close(&n, &poller);
        assert_int_equal(npi_netchange_take(&n, none), NPI_NET_QUIET);
        npi_netchange_close(&n, &poller);
    }
    npi_poller_close(&poller);
    npi_addr loopback = npi_addr_v4(127, 0, 0, 1, 4711), nobody = npi_addr_v4(192, 0, 2, 1, 0);
    assert_int_equal(npi_netchange_link_of(&loopback), if_nametoindex("lo"));
    assert_int_equal(npi_netchange_link_of(&nobody), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_that_goes_and_comes_is_a_cut),
        cmocka_unit_test(more_links_than_there_is_room_for),
        cmocka_unit_test(addresses_and_routes),
        cmocka_unit_test(several_in_a_row),
        cmocka_unit_test(cut_and_lying_messages),
        cmocka_unit_test(it_listens_or_says_that_it_cannot),
    };
    return cmocka_run_group_tests_name("netchange", tests, NULL, NULL);
}
