/* SPDX-License-Identifier: MIT */
/*
 * gateway on Windows: what GetBestRoute2() is asked, and what becomes of its answers. Wine does not have it, so it is
 * replaced here.
 */
#include "gateway.h"

#include <stdbool.h>
#include <string.h>

#include "sockaddr.h"

#include <iphlpapi.h>

#include "../../unit/unit.h"

/* ---- A stand-in for the system ---------------------------------------------------------------------------------- */

static struct {
    NETIO_STATUS status;
    npi_addr hop;
    bool is_ipv6;
    unsigned calls;
    NET_IFINDEX link;
    bool has_source;
    SOCKADDR_INET source, destination;
} system_now;

/* Hides that of the import library. */
NETIO_STATUS WINAPI GetBestRoute2(NET_LUID *luid, NET_IFINDEX link, const SOCKADDR_INET *source,
                                  const SOCKADDR_INET *destination, ULONG options, PMIB_IPFORWARD_ROW2 route,
                                  SOCKADDR_INET *best)
{
    assert_null(luid);
    assert_int_equal(options, 0);
    assert_non_null(best);
    system_now.calls++;
    system_now.link = link;
    system_now.has_source = source != NULL;
    if (source != NULL)
        system_now.source = *source;
    system_now.destination = *destination;
    npi_sockaddr name;
    (void)npi_sockaddr_from(&system_now.hop, &name);
    memset(&route->NextHop, 0, sizeof route->NextHop);
    if (system_now.is_ipv6)
        route->NextHop.si_family = AF_INET6;
    else
        route->NextHop.Ipv4 = name.in4;
    return system_now.status;
}

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

static npi_gateway_way way;

static npi_addr at(const char *ip, uint16_t port)
{
    npi_addr a;
    assert_true(npi_addr_parse_ip(ip, &a));
    return npi_addr_with_port(&a, port);
}

static int begin(void **state)
{
    (void)state;
    memset(&system_now, 0, sizeof system_now);
    system_now.hop = at("192.168.1.1", 0);
    assert_true(npi_sockets_begin());
    way = (npi_gateway_way){.fd = socket(AF_INET, SOCK_DGRAM, 0)};
    way.from = at("192.168.1.9", 54320);
    way.to = at("203.0.113.7", 3478);
    return !npi_is_socket(way.fd);
}

static int end(void **state)
{
    (void)state;
    closesocket(way.fd);
    npi_sockets_end();
    return 0;
}

/* The gateway's text, or "none". */
static const char *found(void)
{
    static char text[NPI_ADDR_IP_TEXT];
    npi_addr gateway = {.family = NPI_FAMILY_NONE};
    if (!npi_find_gateway(&way, &gateway)) {
        assert_false(npi_addr_is_set(&gateway));
        return "none";
    }
    assert_int_equal(gateway.port, 0);
    npi_addr_format_ip(&gateway, text);
    return text;
}

static void the_system_is_asked_for_the_way_of_the_socket(void **state)
{
    (void)state;
    assert_string_equal(found(), "192.168.1.1");
    npi_addr source = npi_addr_from_sockaddr((const struct sockaddr *)&system_now.source.Ipv4);
    npi_addr destination = npi_addr_from_sockaddr((const struct sockaddr *)&system_now.destination.Ipv4);
    assert_true(npi_addr_same_ip(&source, &way.from));
    assert_true(npi_addr_same_ip(&destination, &way.to));
    assert_int_equal(system_now.link, 0);
}

static void an_address_that_is_any_is_not_asked_for(void **state)
{
    (void)state;
    way.from = at("0.0.0.0", 54320);
    assert_string_equal(found(), "192.168.1.1");
    assert_false(system_now.has_source);
}

static void an_interface_that_the_socket_is_tied_to_counts(void **state)
{
    (void)state;
    way.link = 7;
    assert_string_equal(found(), "192.168.1.1");
    assert_int_equal(system_now.link, 7);
}

static void on_the_link_there_is_no_gateway(void **state)
{
    (void)state;
    system_now.hop = at("0.0.0.0", 0);
    assert_string_equal(found(), "none");
}

static void what_is_no_router_of_ipv4_is_none(void **state)
{
    (void)state;
    system_now.is_ipv6 = true;
    assert_string_equal(found(), "none");
    system_now.is_ipv6 = false;
    system_now.status = ERROR_NETWORK_UNREACHABLE;
    assert_string_equal(found(), "none");
    system_now.status = ERROR_NOT_SUPPORTED;
    assert_string_equal(found(), "none");
}

static void ipv6_is_not_asked_for(void **state)
{
    (void)state;
    way.to = at("2001:db8::7", 3478);
    assert_string_equal(found(), "none");
    way.to = at("203.0.113.7", 3478);
    way.from = at("::", 3478);
    assert_string_equal(found(), "none");
    assert_int_equal(system_now.calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_system_is_asked_for_the_way_of_the_socket, begin, end),
        cmocka_unit_test_setup_teardown(an_address_that_is_any_is_not_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(an_interface_that_the_socket_is_tied_to_counts, begin, end),
        cmocka_unit_test_setup_teardown(on_the_link_there_is_no_gateway, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_router_of_ipv4_is_none, begin, end),
        cmocka_unit_test_setup_teardown(ipv6_is_not_asked_for, begin, end),
    };
    return cmocka_run_group_tests_name("gateway", tests, NULL, NULL);
}
