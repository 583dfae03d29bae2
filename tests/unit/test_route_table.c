/* SPDX-License-Identifier: MIT */
/* route_table: the gateway from tables of routes as macOS, FreeBSD, OpenBSD and NetBSD write them (64 bits). */
#include "route_table.h"

#include <stdlib.h>
#include <string.h>

#include "route_layouts.h"
#include "unit.h"

enum { UP = 1, VIA = 2, HOST = 4, REJECT = 8, BLACKHOLE = 0x1000, SCOPED = 0x1000000 };

/* ---- Tables as kernels write them ------------------------------------------------------------------------------- */

typedef struct table {
    const npi_route_layout *l;
    uint8_t bytes[4096];
    size_t size;
} table;

static size_t begin_message(table *t, uint32_t flags, unsigned link, unsigned priority, uint32_t addrs)
{
    const size_t at = t->size;
    uint8_t *m = t->bytes + at;
    const uint16_t index = (uint16_t)link, header = (uint16_t)t->l->header_size;
    memset(m, 0, t->l->header_size);
    m[2] = t->l->version;
    m[3] = 4; /* RTM_GET */
    if (t->l->length_at != 0)
        memcpy(m + t->l->length_at, &header, sizeof header);
    if (t->l->priority_at != 0)
        m[t->l->priority_at] = (uint8_t)priority;
    memcpy(m + t->l->index_at, &index, sizeof index);
    memcpy(m + t->l->flags_at, &flags, sizeof flags);
    memcpy(m + t->l->addrs_at, &addrs, sizeof addrs);
    t->size += t->l->header_size;
    return at;
}

static void end_message(table *t, size_t at)
{
    const uint16_t length = (uint16_t)(t->size - at);
    memcpy(t->bytes + at, &length, sizeof length);
}

/* A socket address of so many bytes, and what fills it up. */
static void add_name(table *t, unsigned length, unsigned family, const npi_addr *ip)
{
    uint8_t name[64] = {(uint8_t)length, (uint8_t)family};
    const size_t align = t->l->align;
    const size_t room = length == 0 ? align : (length + align - 1) / align * align;
    if (ip != NULL)
        memcpy(name + 4, ip->ip, 4);
    memset(name + length, 0, sizeof name - length);
    memcpy(t->bytes + t->size, name, room);
    t->size += room;
}

static npi_addr ip(const char *text)
{
    npi_addr a;
    assert_true(npi_addr_parse_ip(text, &a));
    return a;
}

/* "10.0.0.0/8"; masks are cut behind their last byte, as kernels do it. */
static void add_route(table *t, const char *network, const char *via, uint32_t flags, unsigned link, unsigned priority)
{
    char text[32];
    const char *slash = strchr(network, '/');
    const unsigned bits = slash != NULL ? (unsigned)strtoul(slash + 1, NULL, 10) : 32;
    const bool has_mask = (flags & HOST) == 0;
    memset(text, 0, sizeof text);
    memcpy(text, network, slash != NULL ? (size_t)(slash - network) : strlen(network));
    const npi_addr destination = ip(text);
    const size_t at = begin_message(t, flags | UP | (via != NULL ? VIA : 0), link, priority, has_mask ? 7 : 3);
    add_name(t, 16, 2, &destination);
    if (via != NULL) {
        const npi_addr hop = ip(via);
        add_name(t, 16, 2, &hop);
    } else {
        add_name(t, 20, 18, NULL); /* an interface: AF_LINK */
    }
    if (has_mask) {
        const uint32_t number = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
        const npi_addr mask = npi_addr_v4((uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                                          (uint8_t)number, 0);
        add_name(t, bits == 0 ? 0 : 4 + (bits + 7) / 8, bits == 0 ? 0 : 255, &mask);
    }
    end_message(t, at);
}

/* The gateway's text, or "none". In memory of its own size: what reads too far is seen. */
static const char *gateway_by(const table *t, const char *to, uint32_t link)
{
    static char text[NPI_ADDR_IP_TEXT];
    const npi_addr destination = ip(to);
    npi_addr gateway = {.family = NPI_FAMILY_NONE};
    uint8_t *exact = malloc(t->size + 1);
    assert_non_null(exact);
    memcpy(exact, t->bytes, t->size);
    const bool is_found = npi_route_table_gateway(t->l, exact, t->size, &destination, link, &gateway);
    free(exact);
    assert_true(is_found == npi_addr_is_set(&gateway));
    if (!is_found)
        return "none";
    assert_int_equal(gateway.port, 0);
    npi_addr_format_ip(&gateway, text);
    return text;
}

/* Begins a table for each of them. */
#define EACH_KERNEL(t)                                                                                                 \
    for (size_t k = 0; k < KERNELS; k++)                                                                               \
        for (table t = {.l = &kernels[k].layout}; t.l != NULL; t.l = NULL)

/* ---- Tests ------------------------------------------------------------------------------------------------------ */

static void a_home(table *t)
{
    add_route(t, "0.0.0.0/0", "192.168.1.1", 0, 4, 8);
    add_route(t, "127.0.0.1", NULL, HOST, 1, 1);
    add_route(t, "192.168.1.0/24", NULL, 0, 4, 4);
    add_route(t, "10.0.0.0/8", "192.168.1.2", 0, 4, 8);
    add_route(t, "10.20.0.0/15", "192.168.1.3", 0, 4, 8);
    add_route(t, "10.20.30.40", "192.168.1.4", HOST, 4, 8);
    add_route(t, "203.0.113.128/25", "192.168.1.5", 0, 4, 8);
    add_route(t, "198.51.100.0/24", "192.168.1.6", REJECT, 4, 8);
    add_route(t, "192.0.2.0/24", "192.168.1.6", BLACKHOLE, 4, 8);
}

static void the_longest_prefix_leads(void **state)
{
    (void)state;
    EACH_KERNEL(t)
    {
        a_home(&t);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "192.168.1.1");
        assert_string_equal(gateway_by(&t, "203.0.113.129", 0), "192.168.1.5");
        assert_string_equal(gateway_by(&t, "10.99.0.1", 0), "192.168.1.2");
        assert_string_equal(gateway_by(&t, "10.21.255.255", 0), "192.168.1.3");
        assert_string_equal(gateway_by(&t, "10.22.0.0", 0), "192.168.1.2");
        assert_string_equal(gateway_by(&t, "10.20.30.40", 0), "192.168.1.4");
        assert_string_equal(gateway_by(&t, "10.20.30.41", 0), "192.168.1.3");
    }
}

static void there_is_no_gateway_on_the_link_nor_behind_a_refusal(void **state)
{
    (void)state;
    EACH_KERNEL(t)
    {
        a_home(&t);
        assert_string_equal(gateway_by(&t, "192.168.1.77", 0), "none");
        assert_string_equal(gateway_by(&t, "127.0.0.1", 0), "none");
        assert_string_equal(gateway_by(&t, "198.51.100.1", 0), "none");
        assert_string_equal(gateway_by(&t, "192.0.2.1", 0), "none");
        assert_string_equal(gateway_by(&t, "2001:db8::1", 0), "none");
    }
}

static void without_a_route_there_is_none(void **state)
{
    (void)state;
    EACH_KERNEL(t)
    {
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
        add_route(&t, "192.168.1.0/24", NULL, 0, 4, 4);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
    }
}

/* A line to a modem: its router has no address of IPv4. */
static void a_router_without_an_address_of_ipv4_is_none(void **state)
{
    (void)state;
    EACH_KERNEL(t)
    {
        const npi_addr any = ip("0.0.0.0");
        size_t at = begin_message(&t, UP | VIA, 4, 8, 7);
        add_name(&t, 16, 2, &any);
        add_name(&t, 28, 30, NULL); /* AF_INET6 of macOS */
        add_name(&t, 0, 0, NULL);
        end_message(&t, at);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
        at = begin_message(&t, UP | VIA, 4, 8, 1); /* none at all */
        add_name(&t, 16, 2, &any);
        end_message(&t, at);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
    }
}

static void what_is_no_route_is_passed_over(void **state)
{
    (void)state;
    EACH_KERNEL(t)
    {
        const npi_addr any = ip("0.0.0.0"), hop = ip("192.168.1.9");
        static const struct {
            uint32_t flags, addrs;
            unsigned family;
            uint8_t version;
        } rows[] = {{VIA, 7, 2, 0}, {UP | VIA, 6, 2, 0}, {UP | VIA, 7, 18, 0}, {UP | VIA, 7, 2, 99}};
        for (size_t i = 0; i < COUNT(rows); i++) {
            const size_t at = begin_message(&t, rows[i].flags, 4, 0, rows[i].addrs);
            if (rows[i].version != 0)
                t.bytes[at + 2] = rows[i].version;
            add_name(&t, 16, rows[i].family, &any);
            add_name(&t, 16, 2, &hop);
            add_name(&t, 0, 0, NULL);
            end_message(&t, at);
        }
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
        a_home(&t);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "192.168.1.1");
    }
}

static void of_several_that_lead_elsewhere_none_is_told(void **state)
{
    (void)state;
    EACH_KERNEL(t)
    {
        add_route(&t, "0.0.0.0/0", "192.168.1.1", 0, 4, 8);
        add_route(&t, "0.0.0.0/0", "192.168.1.1", 0, 4, 8);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "192.168.1.1");
        add_route(&t, "0.0.0.0/0", "192.168.2.1", 0, 5, 8);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
        add_route(&t, "0.0.0.0/0", "192.168.1.1", 0, 4, 8);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
        add_route(&t, "203.0.0.0/8", "192.168.3.1", 0, 5, 8);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "192.168.3.1");
    }
}

static void the_lowest_priority_leads(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        table t = {.l = &kernels[OPENBSD].layout};
        add_route(&t, "0.0.0.0/0", i == 0 ? "192.168.1.1" : "192.168.2.1", 0, 4, i == 0 ? 8 : 12);
        add_route(&t, "0.0.0.0/0", i == 0 ? "192.168.2.1" : "192.168.1.1", 0, 5, i == 0 ? 12 : 8);
        assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "192.168.1.1");
    }
}

/* macOS has a default route for each interface, of which all but the first are for sockets tied to theirs. */
static void a_tied_socket_has_its_own_routes(void **state)
{
    (void)state;
    table t = {.l = &kernels[MACOS].layout};
    add_route(&t, "0.0.0.0/0", "192.168.1.1", 0, 4, 0);
    add_route(&t, "0.0.0.0/0", "192.168.2.1", SCOPED, 5, 0);
    add_route(&t, "203.0.113.0/24", "192.168.2.2", SCOPED, 5, 0);
    assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "192.168.1.1");
    assert_string_equal(gateway_by(&t, "203.0.113.7", 4), "192.168.1.1");
    assert_string_equal(gateway_by(&t, "203.0.113.7", 5), "192.168.2.2");
    assert_string_equal(gateway_by(&t, "198.51.100.7", 5), "192.168.2.1");
    assert_string_equal(gateway_by(&t, "203.0.113.7", 6), "none");
}

/* OpenBSD says of each message how long its header is: a later release may add to it. */
static void a_header_may_grow(void **state)
{
    (void)state;
    npi_route_layout longer = kernels[OPENBSD].layout;
    longer.header_size += 8;
    table t = {.l = &longer};
    a_home(&t);
    t.l = &kernels[OPENBSD].layout;
    assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "192.168.1.1");
    t.bytes[4] = 8; /* shorter than what is known of it, or longer than the message: not read */
    assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
    t.bytes[5] = 0xff;
    assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
    assert_string_equal(gateway_by(&t, "10.99.0.1", 0), "192.168.1.2");
}

/* Whatever stands there: nothing is read behind the end, and no loop goes on for ever. */
static void tables_may_be_broken(void **state)
{
    (void)state;
    EACH_KERNEL(whole)
    {
        a_home(&whole);
        for (size_t size = 0, begins = 0; size < whole.size; size++) {
            uint16_t length;
            table t = whole;
            t.size = size;
            memcpy(&length, whole.bytes + begins, sizeof length);
            begins += size == begins + length ? length : 0;
            const char *gateway = gateway_by(&t, "203.0.113.7", 0);
            if (size >= begins + 4) /* the last message is cut: what else it would have said is not known */
                assert_string_equal(gateway, "none");
        }
        for (size_t bit = 0; bit < whole.size * 8; bit++) {
            table t = whole;
            t.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            (void)gateway_by(&t, "10.20.30.40", 0);
        }
        for (unsigned length = 0; length < 4; length++) { /* a message without a beginning ends the table */
            table t = whole;
            const uint16_t value = (uint16_t)length;
            memcpy(t.bytes, &value, sizeof value);
            assert_string_equal(gateway_by(&t, "203.0.113.7", 0), "none");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_leads),
        cmocka_unit_test(there_is_no_gateway_on_the_link_nor_behind_a_refusal),
        cmocka_unit_test(without_a_route_there_is_none),
        cmocka_unit_test(a_router_without_an_address_of_ipv4_is_none),
        cmocka_unit_test(what_is_no_route_is_passed_over),
        cmocka_unit_test(of_several_that_lead_elsewhere_none_is_told),
        cmocka_unit_test(the_lowest_priority_leads),
        cmocka_unit_test(a_tied_socket_has_its_own_routes),
        cmocka_unit_test(a_header_may_grow),
        cmocka_unit_test(tables_may_be_broken),
    };
    return cmocka_run_group_tests_name("route_table", tests, NULL, NULL);
}
