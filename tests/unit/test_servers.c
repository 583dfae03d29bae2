/* SPDX-License-Identifier: MIT */
/* servers: what is accepted as a server, what is not, and the built-in list. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "default_servers.h"
#include "servers.h"
#include "unit.h"

/* 64 characters, one more than a label may have. */
#define LABEL_64 "abcdefghijklmnopqrstuvwxyz-0123456789-abcdefghijklmnopqrstuvwxyz"
_Static_assert(sizeof LABEL_64 - 1 == 64, "64");

/* ---- Parsing ---------------------------------------------------------------------------------------------------- */

typedef struct accepted {
    const char *text;
    const char *host;
    uint16_t port;
} accepted;

static void parse_accepts(void **state)
{
    (void)state;
    static const accepted cases[] = {
        {"stun.example.org", "stun.example.org", 3478},
        {"stun.example.org:19302", "stun.example.org", 19302},
        {"stun.example.org.", "stun.example.org.", 3478},
        {"stun.example.org.:443", "stun.example.org.", 443},
        {"STUN.Example.ORG:1", "STUN.Example.ORG", 1},
        {"localhost", "localhost", 3478},
        {"x", "x", 3478},
        {"under_score.example", "under_score.example", 3478},
        {"xn--bcher-kva.example", "xn--bcher-kva.example", 3478},
        {"1.2.3.example", "1.2.3.example", 3478},
        {"3com", "3com", 3478},
        {"0xab.example", "0xab.example", 3478},
        {"deadbeef", "deadbeef", 3478},
        {"host:65535", "host", 65535},
        {"host:03478", "host", 3478},
        {"192.0.2.1", "192.0.2.1", 3478},
        {"192.0.2.1:5349", "192.0.2.1", 5349},
        {"::1", "::1", 3478},
        {"2001:db8::1", "2001:db8::1", 3478},
        {"2001:db8::1:3478", "2001:db8::1:3478", 3478}, /* part of the address */
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1", 3478},
        {"[2001:db8::1]", "2001:db8::1", 3478},
        {"[2001:db8::1]:19302", "2001:db8::1", 19302},
        {"[::]:1", "::", 1},
        {"fe80::1%lo", "fe80::1%lo", 3478},
        {"fe80::1%2", "fe80::1%2", 3478},
        {"fe80::1%25lo", "fe80::1%25lo", 3478}, /* an interface of that name: this is no URI */
        {"[fe80::1%lo]", "fe80::1%lo", 3478},
        {"[fe80::1%fifteencharacte]:19302", "fe80::1%fifteencharacte", 19302},
        {"stun:[fe80::1%25lo]:8000", "fe80::1%lo", 8000}, /* RFC 6874 */
        {"stun:[fe80::1%25fifteencharacte]", "fe80::1%fifteencharacte", 3478},
        {"stun:[fe80::1%lo]", "fe80::1%lo", 3478},
        {"stun:[fe80::1%25]", "fe80::1%25", 3478},
        {"stun:stun.example.org", "stun.example.org", 3478},
        {"stun:stun.example.org:19302", "stun.example.org", 19302},
        {"STUN:192.0.2.1", "192.0.2.1", 3478},
        {"stun:192.0.2.1:8000", "192.0.2.1", 8000},
        {"stun:[2001:db8::1]", "2001:db8::1", 3478},
        {"stun:[2001:db8::1]:8000", "2001:db8::1", 8000},
        {"stun", "stun", 3478},
        {"turn", "turn", 3478},
        {"stun.:80", "stun.", 80},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        npi_server_name name;
        memset(&name, 0xA5, sizeof name);
        if (!npi_server_parse(cases[i].text, &name))
            fail_msg("\"%s\" was refused", cases[i].text);
        assert_string_equal(name.host, cases[i].host);
        assert_int_equal(name.port, cases[i].port);
        assert_int_equal(name.use, NPI_USE_ANY);
    }
}

static void assert_refused(const char *text)
{
    npi_server_name name;
    npi_server_name before;
    memset(&name, 0xA5, sizeof name);
    before = name;
    if (npi_server_parse(text, &name))
        fail_msg("\"%s\" was accepted as host \"%s\" port %u", text, name.host, (unsigned)name.port);
    assert_memory_equal(&name, &before, sizeof name);
}

static void parse_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        /* no host */
        "",
        ":",
        ":3478",
        ".",
        ".:3478",
        "[]",
        "[]:3478",
        "stun:",
        "stun::3478",
        "stun:[]",
        /* bad labels */
        ".example.org",
        "stun..example.org",
        "stun.example.org..",
        "stun.example.org./x",
        /* spaces, control bytes, bytes beyond ASCII, and what is no part of a name */
        " stun.example.org",
        "stun.example.org ",
        "stun example",
        "stun\texample",
        "stun\nexample",
        "a\x01"
        "b",
        "a\x7f"
        "b",
        "b\xc3\xbc"
        "cher.example",
        "\xff",
        "a,b",
        "a/b",
        "a\\b",
        "a@b",
        "user@host:3478",
        "a%b",
        "a*b",
        "a?b",
        "a#b",
        "\"a\"",
        /* ports */
        "host:",
        "host:0",
        "host:00000",
        "host:65536",
        "host:99999",
        "host:100000",
        "host:003478",
        "host:-1",
        "host:+1",
        "host: 1",
        "host:1 ",
        "host:1x",
        "host:x",
        "host:0x10",
        "host:1.5",
        "host:4294970774",
        "host:18446744073709555094",
        "192.0.2.1:",
        "192.0.2.1:0",
        "[::1]:",
        "[::1]:0",
        "[::1]:65536",
        "[::1]3478",
        "[::1]x",
        /* what getaddrinfo would read as an IPv4 address of old */
        "1",
        "127",
        "1.2",
        "1.2.3",
        "1.2.3.",
        "1.2.3.4.",
        "1.2.3.4.5",
        "300.1.1.1",
        "256.256.256.256",
        "010.0.0.1",
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.1",
        "1.2.3.0x4",
        "0x",
        "017700000001",
        "2130706433",
        "example.1",
        "example.0x1f",
        "1.2.3:80",
        "0x7f.1:80",
        "stun:1.2.3",
        "stun:3478",
        "192.0.2.1.:80",
        /* hexadecimal digits and colons that are no IPv6 address */
        "1:2:3",
        "::1::",
        ":::",
        "12345::1",
        "2001:db8::g",
        "1:2:3:4:5:6:7:8:9",
        "fe80::1%",
        "::1%lo",
        "2001:db8::1%lo",
        "fe80::1%a/b",
        "fe80::1%a b",
        "fe80::1%sixteencharacter",
        "fe80%lo",
        "::1]",
        "[::1",
        "[[::1]]",
        "[192.0.2.1]",
        "[stun.example.org]",
        "[1:2:3]",
        "[fe80::1%]:3478",
        "[fe80::1%sixteencharacter]:3478",
        "[::1%lo]:3478",
        "[fe80::1]%lo:3478",
        "[v1.x]:1",
        "::ffff:300.1.1.1",
        "2001:db8::1:19302",
        "2001:db8::1:99999",
        /* URIs */
        "stun://stun.example.org",
        "stun:stun.example.org?transport=udp",
        "stun:stun.example.org/",
        "stun:2001:db8::1",
        "stun:[fe80::1%25sixteencharacter]",
        "stun:[::1%25lo]",
        "stun:stun:stun.example.org",
        "stun:host:",
        "stun:host:0",
        "stun:user@host",
        "stun: host",
        "stuns:stun.example.org",
        "STUNS:host",
        "stuns:5349",
        "turn:stun.example.org",
        "turn:3478",
        "TURN:host:3478",
        "turns:host",
        "turns:5349",
        "http://stun.example.org",
        "udp:host:3478",
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(cases[i]);
    assert_refused(NULL);
}

static void parse_bounds_the_length_of_labels(void **state)
{
    (void)state;
    char text[128];
    npi_server_name name;
    snprintf(text, sizeof text, "%.63s.example", LABEL_64);
    assert_true(npi_server_parse(text, &name));
    snprintf(text, sizeof text, "%.64s.example", LABEL_64);
    assert_refused(text);
    snprintf(text, sizeof text, "example.%.64s", LABEL_64);
    assert_refused(text);
    snprintf(text, sizeof text, "%.64s", LABEL_64);
    assert_refused(text);
}

/* A name of that length made of labels of 63 at most; the dot at the end does not count. */
static void make_name(char *text, size_t length, const char *rest)
{
    for (size_t i = 0; i < length; i++)
        text[i] = i % 64 == 63 && i != length - 1 ? '.' : 'a';
    strcpy(text + length, rest);
}

static void parse_bounds_the_length_of_names(void **state)
{
    (void)state;
    char text[600];
    npi_server_name name;
    make_name(text, 253, "");
    assert_true(npi_server_parse(text, &name));
    assert_int_equal(strlen(name.host), 253);
    make_name(text, 253, ".");
    assert_true(npi_server_parse(text, &name));
    assert_int_equal(strlen(name.host), 254);
    make_name(text, 253, ".:19302");
    assert_true(npi_server_parse(text, &name));
    assert_int_equal(name.port, 19302);
    static const size_t too_long[] = {254, 255, 256, 257, 300, 500};
    for (size_t i = 0; i < COUNT(too_long); i++) {
        make_name(text, too_long[i], "");
        assert_refused(text);
        make_name(text, too_long[i], ":3478");
        assert_refused(text);
    }
}

static void parse_bounds_the_length_of_addresses(void **state)
{
    (void)state;
    char text[600];
    memset(text, ':', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_refused(text);
    memset(text, '0', sizeof text - 1);
    text[0] = '[';
    text[sizeof text - 2] = ']';
    assert_refused(text);
}

/* No byte but the ones of the grammar gets through in any place. */
static void parse_refuses_every_other_byte(void **state)
{
    (void)state;
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    for (unsigned byte = 1; byte < 256; byte++) {
        char text[] = "a?b.example";
        text[1] = (char)byte;
        npi_server_name name;
        if (strchr(allowed, (int)byte) != NULL)
            assert_true(npi_server_parse(text, &name));
        else
            assert_refused(text);
    }
}

/* ---- The built-in list ------------------------------------------------------------------------------------------ */

static bool same_server(const npi_server_name *a, const npi_server_name *b)
{
    return strcmp(a->host, b->host) == 0 && a->port == b->port && a->use == b->use;
}

static void builtin_servers_are_well_formed_and_distinct(void **state)
{
    (void)state;
    size_t count = npi_builtin_server_count();
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        npi_server_name a;
        npi_server_name parsed;
        char text[NPI_HOST_SIZE + 8];
        memset(&a, 0xA5, sizeof a);
        npi_builtin_server(i, &a);
        snprintf(text, sizeof text, "%s:%u", a.host, (unsigned)a.port);
        assert_true(npi_server_parse(text, &parsed));
        assert_string_equal(parsed.host, a.host);
        assert_int_equal(parsed.port, a.port);
        assert_true(a.use == NPI_USE_BEHAVIOUR || a.use == NPI_USE_MAPPING);
        for (size_t j = 0; j < i; j++) {
            npi_server_name b;
            npi_builtin_server(j, &b);
            assert_false(strcmp(a.host, b.host) == 0 && a.port == b.port);
        }
    }
}

static bool is_date(const char *text)
{
    unsigned year, month, day;
    int end = 0;
    return strlen(text) == 10 && sscanf(text, "%4u-%2u-%2u%n", &year, &month, &day, &end) == 3 && end == 10 &&
           year >= 2026 && month - 1 < 12 && day - 1 < 31;
}

static void builtin_servers_are_dated(void **state)
{
#define DATES(server, since, surveyed) {since, surveyed},
    static const struct {
        const char *since;
        const char *surveyed;
    } dates[] = {NPI_DEFAULT_SERVERS(DATES, DATES)};
    (void)state;
    assert_int_equal(COUNT(dates), npi_builtin_server_count());
    for (size_t i = 0; i < COUNT(dates); i++) {
        assert_true(is_date(dates[i].since));
        assert_true(strcmp(dates[i].surveyed, "never") == 0 || is_date(dates[i].surveyed));
    }
}

/* A repeatable stream of bytes. */
static void fill_bytes(uint8_t *out, size_t size, uint32_t *seed)
{
    for (size_t i = 0; i < size; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        out[i] = (uint8_t)(*seed >> 24);
    }
}

static void shuffled_is_a_permutation_with_both_kinds_first(void **state)
{
    (void)state;
    uint8_t random[256];
    npi_server_name list[256];
    uint32_t seed = 1;
    size_t count = npi_builtin_server_count();
    for (int round = 0; round < 200; round++) {
        fill_bytes(random, count, &seed);
        assert_int_equal(npi_builtin_shuffled(list, COUNT(list), random), count);
        assert_int_equal(list[0].use, NPI_USE_BEHAVIOUR);
        assert_int_equal(list[1].use, NPI_USE_MAPPING);
        assert_int_equal(list[2].use, NPI_USE_BEHAVIOUR); /* for one of them the name may be slow */
        for (size_t i = 0; i < count; i++) {
            npi_server_name wanted;
            size_t found = 0;
            npi_builtin_server(i, &wanted);
            for (size_t j = 0; j < count; j++)
                found += same_server(&wanted, &list[j]);
            assert_int_equal(found, 1);
        }
    }
}

static void shuffled_gives_every_server_its_turn(void **state)
{
    (void)state;
    uint8_t random[256];
    npi_server_name list[2];
    bool was_first[256] = {false};
    uint32_t seed = 2;
    size_t count = npi_builtin_server_count();
    for (int round = 0; round < 2000; round++) {
        fill_bytes(random, count, &seed);
        assert_int_equal(npi_builtin_shuffled(list, 2, random), 2);
        for (size_t i = 0; i < count; i++) {
            npi_server_name name;
            npi_builtin_server(i, &name);
            was_first[i] = was_first[i] || same_server(&name, &list[0]) || same_server(&name, &list[1]);
        }
    }
    for (size_t i = 0; i < count; i++)
        assert_true(was_first[i]);
}

static void shuffled_respects_the_room(void **state)
{
    (void)state;
    uint8_t random[256] = {0};
    npi_server_name list[4];
    for (size_t max = 0; max < COUNT(list); max++) {
        memset(list, 0xA5, sizeof list);
        npi_server_name untouched = list[max];
        assert_int_equal(npi_builtin_shuffled(list, max, random), max);
        assert_memory_equal(&list[max], &untouched, sizeof untouched);
    }
    assert_int_equal(list[0].use, NPI_USE_BEHAVIOUR);
    assert_int_equal(list[1].use, NPI_USE_MAPPING);
}

static void shuffled_works_with_any_bytes(void **state)
{
    (void)state;
    uint8_t random[256];
    npi_server_name list[256];
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(random, (int)byte, sizeof random);
        assert_int_equal(npi_builtin_shuffled(list, COUNT(list), random), npi_builtin_server_count());
        assert_int_equal(list[0].use, NPI_USE_BEHAVIOUR);
        assert_int_equal(list[1].use, NPI_USE_MAPPING);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_accepts),
        cmocka_unit_test(parse_refuses),
        cmocka_unit_test(parse_bounds_the_length_of_labels),
        cmocka_unit_test(parse_bounds_the_length_of_names),
        cmocka_unit_test(parse_bounds_the_length_of_addresses),
        cmocka_unit_test(parse_refuses_every_other_byte),
        cmocka_unit_test(builtin_servers_are_well_formed_and_distinct),
        cmocka_unit_test(builtin_servers_are_dated),
        cmocka_unit_test(shuffled_is_a_permutation_with_both_kinds_first),
        cmocka_unit_test(shuffled_gives_every_server_its_turn),
        cmocka_unit_test(shuffled_respects_the_room),
        cmocka_unit_test(shuffled_works_with_any_bytes),
    };
    return cmocka_run_group_tests_name("servers", tests, NULL, NULL);
}
