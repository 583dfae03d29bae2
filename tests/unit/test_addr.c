/* SPDX-License-Identifier: MIT */
/* addr: comparison, classes, text, and where a server may make us send (hostile inputs 63 to 69). */
#include "addr.h"

#ifndef _WIN32
#include <arpa/inet.h>
#include <dlfcn.h>
#endif
#include <string.h>

#include "unit.h"

#ifndef _WIN32

static bool system_has_no_text; /* inet_ntop fails */

/* The system's, but for the one test in which it fails. */
const char *inet_ntop(int family, const void *restrict from, char *restrict to, socklen_t size)
{
    const char *(*real)(int, const void *restrict, char *restrict, socklen_t);
    void *symbol = dlsym(RTLD_NEXT, "inet_ntop");
    memcpy(&real, &symbol, sizeof real);
    return system_has_no_text ? NULL : real(family, from, to, size);
}

#endif

static npi_addr ip(const char *text, uint16_t port)
{
    npi_addr a;
    memset(&a, 0xa5, sizeof a);
    if (!npi_addr_parse_ip(text, &a))
        fail_msg("cannot parse %s", text);
    assert_int_equal(a.port, 0);
    return npi_addr_with_port(&a, port);
}

static const npi_addr no_address = {.family = NPI_FAMILY_NONE};

/* ---- Values ----------------------------------------------------------------------------------------------------- */

static void v4_is_what_it_is_made_of(void **state)
{
    (void)state;
    npi_addr a = npi_addr_v4(192, 0, 2, 255, 65535);
    assert_int_equal(a.family, NPI_IPV4);
    assert_memory_equal(a.ip, "\xc0\x00\x02\xff\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(a.port, 65535);
    assert_true(npi_addr_is_set(&a));
    assert_false(npi_addr_is_set(&no_address));
}

static void equality_needs_family_every_byte_and_port(void **state)
{
    (void)state;
    const npi_addr a = ip("2001:db8::1", 3478);
    npi_addr b = a;
    assert_true(npi_addr_equal(&a, &b));
    b.port++;
    assert_false(npi_addr_equal(&a, &b));
    assert_true(npi_addr_same_ip(&a, &b));
    for (size_t i = 0; i < sizeof a.ip; i++) {
        b = a;
        b.ip[i] ^= 0x80;
        assert_false(npi_addr_equal(&a, &b));
        assert_false(npi_addr_same_ip(&a, &b));
    }
    const npi_addr any4 = npi_addr_v4(0, 0, 0, 0, 0);
    const npi_addr any6 = ip("::", 0);
    assert_false(npi_addr_equal(&any4, &any6));
    assert_false(npi_addr_equal(&any4, &no_address));
    assert_true(npi_addr_equal(&no_address, &no_address));
}

static void neighbours_have_a_network_in_common(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool neighbours;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.0", "192.0.2.255", true},
        {"192.0.2.1", "192.0.3.1", false},
        {"192.0.2.1", "192.1.2.1", false},
        {"2001:db8:7::1", "2001:db8:7:ffff:ffff:ffff:ffff:ffff", true},
        {"2001:db8:7::1", "2001:db8:8::1", false},
        {"2001:db8:7::1", "2001:db9:7::1", false},
        {"32.1.13.184", "2001:db8::1", false}, /* the same bytes */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr a = ip(rows[i].a, 1), b = ip(rows[i].b, 2);
        assert_int_equal(npi_addr_are_neighbours(&a, &b), rows[i].neighbours);
        assert_int_equal(npi_addr_are_neighbours(&b, &a), rows[i].neighbours);
    }
}

static void what_is_not_known_is_no_other_ip(void **state)
{
    (void)state;
    const npi_addr a = ip("192.0.2.1", 1), same = ip("192.0.2.1", 2), other = ip("192.0.2.2", 1);
    assert_false(npi_addr_is_other_ip(&a, &same));
    assert_true(npi_addr_is_other_ip(&a, &other));
    assert_false(npi_addr_is_other_ip(&a, &no_address));
    assert_false(npi_addr_is_other_ip(&no_address, &a));
    assert_false(npi_addr_is_other_ip(&no_address, &no_address));
}

static void with_port_changes_nothing_else(void **state)
{
    (void)state;
    const npi_addr a = ip("2001:db8::1", 1);
    const npi_addr b = npi_addr_with_port(&a, 65535);
    assert_int_equal(a.port, 1);
    assert_int_equal(b.port, 65535);
    assert_true(npi_addr_same_ip(&a, &b));
}

static void unmap_changes_only_mapped_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:0.0.0.0", "0.0.0.0"},
        {"192.0.2.1", "192.0.2.1"},
        {"::192.0.2.1", "::192.0.2.1"},
        {"::1", "::1"},
        {"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.1"},
        {"::fffe:c000:201", "::fffe:c000:201"},
        {"1::ffff:c000:201", "1::ffff:c000:201"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr from = ip(rows[i].from, 7);
        const npi_addr to = ip(rows[i].to, 7);
        const npi_addr got = npi_addr_unmap(&from);
        assert_true(npi_addr_equal(&got, &to));
    }
    const npi_addr none = npi_addr_unmap(&no_address);
    assert_false(npi_addr_is_set(&none));
}

static void is_any_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool any;
    } rows[] = {{"0.0.0.0", true}, {"::", true}, {"0.0.0.1", false}, {"::1", false}, {"::ffff:0.0.0.0", false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr a = ip(rows[i].text, 3478);
        assert_int_equal(npi_addr_is_any(&a), rows[i].any);
    }
    assert_false(npi_addr_is_any(&no_address));
}

/* ---- Classes ---------------------------------------------------------------------------------------------------- */

typedef struct classified {
    const char *text;
    npi_addr_class class;
} classified;

/* The first and last address of each block, and their neighbours outside. */
static const classified classes[] = {
    {"0.0.0.0", NPI_CLASS_UNSPECIFIED},
    {"0.255.255.255", NPI_CLASS_UNSPECIFIED},
    {"1.0.0.0", NPI_CLASS_GLOBAL},
    {"9.255.255.255", NPI_CLASS_GLOBAL},
    {"10.0.0.0", NPI_CLASS_PRIVATE},
    {"10.255.255.255", NPI_CLASS_PRIVATE},
    {"11.0.0.0", NPI_CLASS_GLOBAL},
    {"100.63.255.255", NPI_CLASS_GLOBAL},
    {"100.64.0.0", NPI_CLASS_PRIVATE},
    {"100.127.255.255", NPI_CLASS_PRIVATE},
    {"100.128.0.0", NPI_CLASS_GLOBAL},
    {"126.255.255.255", NPI_CLASS_GLOBAL},
    {"127.0.0.0", NPI_CLASS_LOOPBACK},
    {"127.255.255.255", NPI_CLASS_LOOPBACK},
    {"128.0.0.0", NPI_CLASS_GLOBAL},
    {"169.253.255.255", NPI_CLASS_GLOBAL},
    {"169.254.0.0", NPI_CLASS_LINK_LOCAL},
    {"169.254.255.255", NPI_CLASS_LINK_LOCAL},
    {"169.255.0.0", NPI_CLASS_GLOBAL},
    {"172.15.255.255", NPI_CLASS_GLOBAL},
    {"172.16.0.0", NPI_CLASS_PRIVATE},
    {"172.31.255.255", NPI_CLASS_PRIVATE},
    {"172.32.0.0", NPI_CLASS_GLOBAL},
    {"192.0.2.1", NPI_CLASS_GLOBAL},
    {"192.167.255.255", NPI_CLASS_GLOBAL},
    {"192.168.0.0", NPI_CLASS_PRIVATE},
    {"192.168.255.255", NPI_CLASS_PRIVATE},
    {"192.169.0.0", NPI_CLASS_GLOBAL},
    {"198.18.0.1", NPI_CLASS_GLOBAL},
    {"223.255.255.255", NPI_CLASS_GLOBAL},
    {"224.0.0.0", NPI_CLASS_MULTICAST},
    {"239.255.255.255", NPI_CLASS_MULTICAST},
    {"240.0.0.0", NPI_CLASS_RESERVED},
    {"255.255.255.255", NPI_CLASS_RESERVED},
    {"::", NPI_CLASS_UNSPECIFIED},
    {"::1", NPI_CLASS_LOOPBACK},
    {"::2", NPI_CLASS_UNSPECIFIED}, /* these carry 0.0.0.2 and 0.1.0.1 */
    {"::1:1", NPI_CLASS_UNSPECIFIED},
    {"::1:0:0:1", NPI_CLASS_GLOBAL},
    {"1::", NPI_CLASS_GLOBAL},
    {"2001:db8::1", NPI_CLASS_GLOBAL},
    {"fbff:ffff::", NPI_CLASS_GLOBAL},
    {"fc00::", NPI_CLASS_PRIVATE},
    {"fdff:ffff::1", NPI_CLASS_PRIVATE},
    {"fe00::", NPI_CLASS_GLOBAL},
    {"fe7f::", NPI_CLASS_GLOBAL},
    {"fe80::1", NPI_CLASS_LINK_LOCAL},
    {"febf:ffff::", NPI_CLASS_LINK_LOCAL},
    {"fec0::", NPI_CLASS_GLOBAL},
    {"feff::", NPI_CLASS_GLOBAL},
    {"ff00::", NPI_CLASS_MULTICAST},
    {"ff02::fb", NPI_CLASS_MULTICAST},
    {"ffff::", NPI_CLASS_MULTICAST},
    {"::ffff:0.0.0.0", NPI_CLASS_UNSPECIFIED},
    {"::ffff:10.0.0.1", NPI_CLASS_PRIVATE},
    {"::ffff:127.0.0.1", NPI_CLASS_LOOPBACK},
    {"::ffff:169.254.0.1", NPI_CLASS_LINK_LOCAL},
    {"::ffff:224.0.0.1", NPI_CLASS_MULTICAST},
    {"::ffff:255.255.255.255", NPI_CLASS_RESERVED},
    {"::ffff:192.0.2.1", NPI_CLASS_GLOBAL},
    {"::192.0.2.1", NPI_CLASS_GLOBAL},
    {"::127.0.0.1", NPI_CLASS_LOOPBACK},
    {"::ffff:0:10.0.0.1", NPI_CLASS_GLOBAL}, /* carries none */
    {"64:ff9b::192.0.2.1", NPI_CLASS_GLOBAL},
    {"64:ff9b::192.168.1.1", NPI_CLASS_PRIVATE},
    {"64:ff9b::224.0.0.1", NPI_CLASS_MULTICAST},
    {"64:ff9b::1:10.0.0.1", NPI_CLASS_GLOBAL}, /* outside of the /96 */
    {"64:ff9c::10.0.0.1", NPI_CLASS_GLOBAL},
    {"2002:c000:201::1", NPI_CLASS_GLOBAL},
    {"2002:a00:1::1", NPI_CLASS_PRIVATE},
    {"2002:7f00:1:ffff:ffff:ffff:ffff:ffff", NPI_CLASS_LOOPBACK},
    {"2002:a9fe::", NPI_CLASS_LINK_LOCAL},
    {"2003:a00:1::1", NPI_CLASS_GLOBAL},
};

static void classes_end_where_their_blocks_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(classes); i++) {
        const npi_addr a = ip(classes[i].text, 1);
        if (npi_addr_classify(&a) != classes[i].class)
            fail_msg("%s is of class %d", classes[i].text, (int)npi_addr_classify(&a));
    }
}

static void no_address_is_reserved(void **state)
{
    (void)state;
    assert_int_equal(npi_addr_classify(&no_address), NPI_CLASS_RESERVED);
}

static void example_ranges_end_where_their_prefixes_end(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool example;
    } rows[] = {
        {"192.0.1.255", false},     {"192.0.2.0", true},         {"192.0.2.255", true},      {"192.0.3.0", false},
        {"198.51.99.255", false},   {"198.51.100.0", true},      {"198.51.100.255", true},   {"198.51.101.0", false},
        {"203.0.112.255", false},   {"203.0.113.0", true},       {"203.0.113.255", true},    {"203.0.114.0", false},
        {"198.17.255.255", false},  {"198.18.0.0", true},        {"198.18.255.255", true},   {"198.19.0.0", true},
        {"198.19.255.255", true},   {"198.20.0.0", false},       {"2001:db7:ffff::", false}, {"2001:db8::", true},
        {"2001:db8:ffff::", true},  {"2001:db9::", false},       {"2001:2::", true},         {"2001:2:0:ffff::", true},
        {"2001:2:1::", false},      {"2001:1:ffff::", false},    {"2002:db8::", false},      {"2002:2::", false},
        {"::ffff:192.0.2.1", true}, {"::ffff:192.0.3.1", false}, {"c000:200::", false},      {"10.0.0.1", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr a = ip(rows[i].text, 1);
        if (npi_addr_is_example(&a) != rows[i].example)
            fail_msg("%s", rows[i].text);
    }
    assert_false(npi_addr_is_example(&no_address));
}

static void destination_is_one_host_with_a_port(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(classes); i++) {
        const npi_addr with = ip(classes[i].text, 53);
        const npi_addr without = ip(classes[i].text, 0);
        bool one_host = classes[i].class == NPI_CLASS_GLOBAL || classes[i].class == NPI_CLASS_PRIVATE ||
                        classes[i].class == NPI_CLASS_LOOPBACK || classes[i].class == NPI_CLASS_LINK_LOCAL;
        assert_int_equal(npi_addr_is_destination(&with), one_host);
        assert_false(npi_addr_is_destination(&without));
    }
    const npi_addr none = {.port = 3478};
    assert_false(npi_addr_is_destination(&none));
}

/* ---- Alternate addresses ---------------------------------------------------------------------------------------- */

static bool may_follow(const char *server, uint16_t server_port, const char *alternate, uint16_t port)
{
    const npi_addr s = ip(server, server_port);
    const npi_addr a = ip(alternate, port);
    return npi_addr_is_alternate(&s, &a);
}

static void alternate_of_the_same_class_is_followed(void **state)
{
    (void)state;
    assert_true(may_follow("192.0.2.1", 3478, "192.0.2.2", 3479));
    assert_true(may_follow("192.0.2.1", 3478, "203.0.113.9", 3479));
    assert_true(may_follow("10.0.0.1", 3478, "192.168.7.1", 3479));
    assert_true(may_follow("127.0.0.1", 3478, "127.0.0.2", 3479));
    assert_true(may_follow("169.254.0.1", 3478, "169.254.0.2", 3479));
    assert_true(may_follow("2001:db8::1", 3478, "2001:db8::2", 3479));
    assert_true(may_follow("fd00::1", 3478, "fd00::2", 3479));
    assert_true(may_follow("fe80::1", 3478, "fe80::2", 3479));
}

static void global_alternate_of_a_local_server_is_followed(void **state)
{
    (void)state;
    assert_true(may_follow("10.0.0.1", 3478, "192.0.2.2", 3479));
    assert_true(may_follow("127.0.0.1", 3478, "192.0.2.2", 3479));
}

static void hostile_63_unspecified_alternate_or_port_0_CVE_2020_26262(void **state)
{
    (void)state;
    assert_false(may_follow("192.0.2.1", 3478, "0.0.0.0", 3479));
    assert_false(may_follow("192.0.2.1", 3478, "0.1.2.3", 3479));
    assert_false(may_follow("192.0.2.1", 3478, "0.0.0.0", 0));
    assert_false(may_follow("2001:db8::1", 3478, "::", 3479));
    assert_false(may_follow("192.0.2.1", 3478, "192.0.2.2", 0));
    const npi_addr server = ip("192.0.2.1", 3478);
    assert_false(npi_addr_is_alternate(&server, &no_address));
    assert_false(npi_addr_is_alternate(&no_address, &server));
    assert_false(npi_addr_is_alternate(&no_address, &no_address));
}

static void hostile_64_loopback_multicast_broadcast_link_local_reserved_alternate(void **state)
{
    (void)state;
    static const char *const v4[] = {"127.0.0.1", "127.9.9.9",       "224.0.0.251", "239.255.255.250",
                                     "240.0.0.1", "255.255.255.255", "169.254.1.1"};
    static const char *const v6[] = {"::1", "ff02::1", "ff0e::1", "fe80::1"};
    for (size_t i = 0; i < COUNT(v4); i++)
        assert_false(may_follow("192.0.2.1", 3478, v4[i], 3479));
    for (size_t i = 0; i < COUNT(v6); i++)
        assert_false(may_follow("2001:db8::1", 3478, v6[i], 3479));
    /* Not even from a server on the host itself may it be many hosts. */
    assert_false(may_follow("127.0.0.1", 3478, "224.0.0.1", 3479));
    assert_false(may_follow("224.0.0.1", 3478, "224.0.0.2", 3479));
    assert_false(may_follow("255.255.255.255", 3478, "255.255.255.254", 3479));
    /* Nor does one local class open another. */
    assert_false(may_follow("10.0.0.1", 3478, "127.0.0.1", 3479));
    assert_false(may_follow("127.0.0.1", 3478, "10.0.0.1", 3479));
    assert_false(may_follow("fd00::1", 3478, "fe80::1", 3479));
}

static void hostile_65_private_alternate_of_a_public_server(void **state)
{
    (void)state;
    static const char *const v4[] = {"10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"};
    for (size_t i = 0; i < COUNT(v4); i++)
        assert_false(may_follow("192.0.2.1", 3478, v4[i], 3479));
    assert_false(may_follow("2001:db8::1", 3478, "fd00::1", 3479));
}

static void hostile_66_v4_mapped_alternate_is_unmapped_first_CVE_2026_27624(void **state)
{
    (void)state;
    assert_false(may_follow("2001:db8::1", 3478, "::ffff:127.0.0.1", 3479));
    assert_false(may_follow("192.0.2.1", 3478, "::ffff:127.0.0.1", 3479));
    assert_false(may_follow("192.0.2.1", 3478, "::ffff:10.0.0.1", 3479));
    assert_false(may_follow("192.0.2.1", 3478, "::ffff:192.0.2.1", 3479));
    assert_false(may_follow("2001:db8::1", 3478, "::ffff:192.0.2.2", 3479));
    assert_true(may_follow("192.0.2.1", 3478, "::ffff:192.0.2.2", 3479));
    assert_true(may_follow("::ffff:192.0.2.1", 3478, "192.0.2.2", 3479));
}

static void hostile_alternate_that_carries_a_local_v4_address(void **state)
{
    (void)state;
    static const char *const v6[] = {"64:ff9b::192.168.1.1", "64:ff9b::127.0.0.1", "2002:c0a8:101::1", "::10.0.0.1"};
    for (size_t i = 0; i < COUNT(v6); i++)
        assert_false(may_follow("2001:db8::1", 3478, v6[i], 3479));
    assert_true(may_follow("2001:db8::1", 3478, "64:ff9b::192.0.2.1", 3479));
}

/* Ports of services that amplify what they get, or act on it; below 1024 all but those of the web are such. */
static const uint16_t refused_ports[] = {1434,  1701,  1812,  1813,  1900,  2049,  2123,  2152,  3283, 3389,
                                         3702,  4500,  5060,  5061,  5093,  5351,  5353,  5355,  5683, 5684,
                                         10001, 10074, 11211, 17185, 27015, 27960, 32414, 37810, 47808};

static bool is_refused(unsigned port)
{
    for (size_t i = 0; i < COUNT(refused_ports); i++) {
        if (port == refused_ports[i])
            return true;
    }
    return port < 1024 && port != 80 && port != 443;
}

static void hostile_67_ports_of_other_services_nICEr_UnsafePortRejectedUDP(void **state)
{
    (void)state;
    const npi_addr server = ip("192.0.2.1", 3478);
    const npi_addr other = ip("192.0.2.2", 0);
    for (unsigned port = 0; port <= 65535; port++) {
        const npi_addr alternate = npi_addr_with_port(&other, (uint16_t)port);
        if (npi_addr_is_alternate(&server, &alternate) != (port != 3478 && !is_refused(port)))
            fail_msg("port %u", port);
    }
}

static void ports_that_stun_servers_use_are_followed(void **state)
{
    (void)state;
    static const uint16_t used[] = {80, 443, 1024, 3479, 3480, 5349, 5350, 8080, 10000, 19302, 19303, 34780, 65535};
    for (size_t i = 0; i < COUNT(used); i++)
        assert_true(may_follow("192.0.2.1", 3478, "192.0.2.2", used[i]));
    assert_true(may_follow("192.0.2.1", 19302, "192.0.2.2", 3478));
}

static void hostile_68_alternate_with_the_primary_ip_or_port_coturn_667(void **state)
{
    (void)state;
    assert_false(may_follow("192.0.2.1", 3478, "192.0.2.1", 3478));
    assert_false(may_follow("192.0.2.1", 3478, "192.0.2.1", 3479));
    assert_false(may_follow("192.0.2.1", 3478, "192.0.2.2", 3478));
}

static void hostile_69_alternate_of_another_family(void **state)
{
    (void)state;
    assert_false(may_follow("192.0.2.1", 3478, "2001:db8::2", 3479));
    assert_false(may_follow("2001:db8::1", 3478, "192.0.2.2", 3479));
}

/* ---- Text ------------------------------------------------------------------------------------------------------- */

static void parse_reads_literals(void **state)
{
    (void)state;
    const npi_addr a = ip("203.0.113.255", 0);
    assert_int_equal(a.family, NPI_IPV4);
    assert_memory_equal(a.ip, "\xcb\x00\x71\xff\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    const npi_addr b = ip("2001:DB8::ff00:42:8329", 0);
    assert_int_equal(b.family, NPI_IPV6);
    assert_memory_equal(b.ip, "\x20\x01\x0d\xb8\0\0\0\0\0\0\xff\x00\x00\x42\x83\x29", 16);
}

static void parse_refuses_everything_else(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4:80",
        "0x7f.0.0.1",
        "1.2.3.-4",
        "1..2.3",
        "127.1",
        "2130706433",
        "[::1]",
        "::1]",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "::1%lo",
        "2001:db8::1%eth0",
        "192.0.2.1%eth0",
        "169.254.0.1%eth0",
        "::ffff:169.254.0.1%eth0",
        "fe7f::1%eth0",
        "fec0::1%eth0",
        "ff02::1%eth0", /* a group is nobody's address */
        "fe80::1%",
        "fe80::1% ",
        "fe80::1%a b",
        "fe80::1%a/b",
        "fe80::1%a\x7f",
        "fe80::1%b\xc3\xbc",
        "fe80::1%sixteencharacter",
        "%eth0",
        "fe80::1111:2222:3333:4444:5555:6666:7777:8888:9999%eth0",
        "12345::",
        "::g",
        "localhost",
        "::1/128",
        "1.2.3.4/32",
        "::1.2.3.256",
        "1::2::3",
    };
    for (size_t i = 0; i < COUNT(wrong); i++) {
        npi_addr a;
        if (npi_addr_parse_ip(wrong[i], &a))
            fail_msg("\"%s\" was taken for an address", wrong[i]);
    }
}

static void parse_leaves_the_zone_of_a_link_local_address_to_the_system(void **state)
{
    (void)state;
    static const struct {
        const char *text, *plain, *zone;
    } rows[] = {
        {"fe80::1", "fe80::1", ""},
        {"fe80::1%eth0", "fe80::1", "eth0"},
        {"fe80::1%2", "fe80::1", "2"},
        {"FE80::1%fifteencharacte", "fe80::1", "fifteencharacte"},
        {"febf:ffff::1%br-lan.7@x", "febf:ffff::1", "br-lan.7@x"},
        {"fe80::1%a%b", "fe80::1", "a%b"},
        {"2001:db8::1", "2001:db8::1", ""},
        {"192.0.2.1", "192.0.2.1", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr a = ip(rows[i].text, 1);
        const npi_addr plain = ip(rows[i].plain, 1);
        assert_int_equal(a.scope, 0);
        assert_true(npi_addr_equal(&a, &plain));
        assert_string_equal(npi_addr_zone(rows[i].text), rows[i].zone);
    }
}

/* ---- Links ------------------------------------------------------------------------------------------------------ */

static void only_link_local_addresses_of_ipv6_have_a_scope(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has_scope;
    } rows[] = {{"fe80::1", true},      {"febf:ffff::", true},
                {"fe7f::", false},      {"fec0::", false},
                {"2001:db8::1", false}, {"::1", false},
                {"ff02::1", false},     {"fd00::1", false},
                {"192.0.2.1", false},   {"::ffff:169.254.0.1", false},
                {"169.254.0.1", false}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr a = ip(rows[i].text, 7);
        const npi_addr on_link = npi_addr_with_scope(&a, 3);
        assert_int_equal(on_link.scope, rows[i].has_scope ? 3 : 0);
        assert_true(npi_addr_equal(&a, &on_link));
        const npi_addr kept = npi_addr_with_scope(&on_link, 4);
        assert_int_equal(kept.scope, on_link.scope);
    }
    assert_int_equal(npi_addr_with_scope(&no_address, 3).scope, 0);
}

/* fe80::1 of one link and fe80::1 of another are two hosts. What a server reports has no link. */
static void one_address_on_two_links_is_two(void **state)
{
    (void)state;
    const npi_addr unknown = ip("fe80::1", 7);
    const npi_addr a = npi_addr_with_scope(&unknown, 2);
    const npi_addr b = npi_addr_with_scope(&unknown, 3);
    assert_true(npi_addr_same_ip(&a, &a));
    assert_false(npi_addr_same_ip(&a, &b));
    assert_false(npi_addr_equal(&a, &b));
    assert_true(npi_addr_is_other_ip(&a, &b));
    assert_true(npi_addr_equal(&a, &unknown));
    assert_true(npi_addr_equal(&unknown, &b));
    assert_false(npi_addr_is_other_ip(&unknown, &b));
    const npi_addr alternate = npi_addr_with_port(&b, 8080);
    assert_int_equal(alternate.scope, 3);
}

static void format_writes_the_scope_where_it_fits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t scope;
        const char *plain, *full;
    } rows[] = {
        {"fe80::1", 2, "fe80::1%2", "[fe80::1%2]:65535"},
        {"fe80::1", UINT32_MAX, "fe80::1%4294967295", "[fe80::1%4294967295]:65535"},
        {"fe80::1111:2222:3333:4444", UINT32_MAX, "fe80::1111:2222:3333:4444%4294967295",
         "[fe80::1111:2222:3333:4444%4294967295]:65535"},
        {"fe80:1111:2222:3333:4444:5555:6666:7777", 12345, "fe80:1111:2222:3333:4444:5555:6666:7777%12345",
         "[fe80:1111:2222:3333:4444:5555:6666:7777%12345]:65535"},
        {"fe80:1111:2222:3333:4444:5555:6666:7777", 123456, "fe80:1111:2222:3333:4444:5555:6666:7777",
         "[fe80:1111:2222:3333:4444:5555:6666:7777]:65535"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr plain_ip = ip(rows[i].text, 65535);
        const npi_addr a = npi_addr_with_scope(&plain_ip, rows[i].scope);
        char plain[NPI_ADDR_IP_TEXT];
        char full[NPI_ADDR_TEXT];
        npi_addr_format_ip(&a, plain);
        npi_addr_format(&a, full);
        assert_string_equal(plain, rows[i].plain);
        assert_string_equal(full, rows[i].full);
    }
}

/* ---- Text ------------------------------------------------------------------------------------------------------- */

static void format_writes_what_people_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t port;
        const char *plain, *full;
    } rows[] = {
        {"192.0.2.1", 3478, "192.0.2.1", "192.0.2.1:3478"},
        {"255.255.255.255", 65535, "255.255.255.255", "255.255.255.255:65535"},
        {"0.0.0.0", 0, "0.0.0.0", "0.0.0.0:0"},
        {"2001:0db8:0:0::1", 3478, "2001:db8::1", "[2001:db8::1]:3478"},
        {"::", 0, "::", "[::]:0"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"::ffff:255.255.255.255", 65535, "::ffff:255.255.255.255", "[::ffff:255.255.255.255]:65535"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr a = ip(rows[i].text, rows[i].port);
        char plain[NPI_ADDR_IP_TEXT];
        char full[NPI_ADDR_TEXT];
        memset(plain, 'x', sizeof plain);
        memset(full, 'x', sizeof full);
        npi_addr_format_ip(&a, plain);
        npi_addr_format(&a, full);
        assert_string_equal(plain, rows[i].plain);
        assert_string_equal(full, rows[i].full);
    }
}

static void no_address_is_empty_text(void **state)
{
    (void)state;
    const npi_addr none = {.port = 3478};
    char plain[NPI_ADDR_IP_TEXT] = "x";
    char full[NPI_ADDR_TEXT] = "x";
    npi_addr_format_ip(&none, plain);
    npi_addr_format(&none, full);
    assert_string_equal(plain, "");
    assert_string_equal(full, "");
}

#ifndef _WIN32

static void address_that_the_system_cannot_write_is_empty_text(void **state)
{
    (void)state;
    const npi_addr a = {.family = NPI_IPV6, .ip = {0xfe, 0x80}, .port = 3478, .scope = 2};
    char plain[NPI_ADDR_IP_TEXT] = "x";
    char full[NPI_ADDR_TEXT] = "x";
    system_has_no_text = true;
    npi_addr_format_ip(&a, plain);
    npi_addr_format(&a, full);
    system_has_no_text = false;
    assert_string_equal(plain, "");
    assert_string_equal(full, "");
    npi_addr_format_ip(&a, plain);
    assert_string_equal(plain, "fe80::%2");
}

#endif

static void text_survives_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(classes); i++) {
        const npi_addr a = ip(classes[i].text, 0);
        char text[NPI_ADDR_IP_TEXT];
        npi_addr_format_ip(&a, text);
        const npi_addr b = ip(text, 0);
        assert_true(npi_addr_equal(&a, &b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v4_is_what_it_is_made_of),
        cmocka_unit_test(equality_needs_family_every_byte_and_port),
        cmocka_unit_test(neighbours_have_a_network_in_common),
        cmocka_unit_test(what_is_not_known_is_no_other_ip),
        cmocka_unit_test(with_port_changes_nothing_else),
        cmocka_unit_test(unmap_changes_only_mapped_addresses),
        cmocka_unit_test(is_any_is_exact),
        cmocka_unit_test(classes_end_where_their_blocks_end),
        cmocka_unit_test(no_address_is_reserved),
        cmocka_unit_test(example_ranges_end_where_their_prefixes_end),
        cmocka_unit_test(destination_is_one_host_with_a_port),
        cmocka_unit_test(alternate_of_the_same_class_is_followed),
        cmocka_unit_test(global_alternate_of_a_local_server_is_followed),
        cmocka_unit_test(hostile_63_unspecified_alternate_or_port_0_CVE_2020_26262),
        cmocka_unit_test(hostile_64_loopback_multicast_broadcast_link_local_reserved_alternate),
        cmocka_unit_test(hostile_65_private_alternate_of_a_public_server),
        cmocka_unit_test(hostile_66_v4_mapped_alternate_is_unmapped_first_CVE_2026_27624),
        cmocka_unit_test(hostile_alternate_that_carries_a_local_v4_address),
        cmocka_unit_test(hostile_67_ports_of_other_services_nICEr_UnsafePortRejectedUDP),
        cmocka_unit_test(ports_that_stun_servers_use_are_followed),
        cmocka_unit_test(hostile_68_alternate_with_the_primary_ip_or_port_coturn_667),
        cmocka_unit_test(hostile_69_alternate_of_another_family),
        cmocka_unit_test(parse_reads_literals),
        cmocka_unit_test(parse_refuses_everything_else),
        cmocka_unit_test(parse_leaves_the_zone_of_a_link_local_address_to_the_system),
        cmocka_unit_test(only_link_local_addresses_of_ipv6_have_a_scope),
        cmocka_unit_test(one_address_on_two_links_is_two),
        cmocka_unit_test(format_writes_the_scope_where_it_fits),
        cmocka_unit_test(format_writes_what_people_read),
        cmocka_unit_test(no_address_is_empty_text),
#ifndef _WIN32
        cmocka_unit_test(address_that_the_system_cannot_write_is_empty_text),
#endif
        cmocka_unit_test(text_survives_a_round_trip),
    };
    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
