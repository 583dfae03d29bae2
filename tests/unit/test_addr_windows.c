/* SPDX-License-Identifier: MIT */
/* addr_windows: the text of addresses where the system has no pure function for it, compared with systems that have. */
#include "addr_windows.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#ifndef _WIN32
#include <arpa/inet.h>
#endif

#include "../support/rng.h"
#include "unit.h"

#define TEXT 46

static void ipv4_is_four_numbers(void **state)
{
    static const char *const good[] = {"0.0.0.0", "255.255.255.255", "192.0.2.1", "10.0.0.10"};
    static const char *const bad[] = {"",          "1.2.3",      "1.2.3.4.5",         "1.2.3.256", "1.2.3.4 ",
                                      " 1.2.3.4",  "1..2.3",     "01.2.3.4",          "1.2.3.",    ".1.2.3.4",
                                      "1.2.3.-4",  "1.2.3.4x",   "1,2,3,4",           "::1",       "1.2.3.00",
                                      "0x1.2.3.4", "1.2.3.1000", "999999999999.1.1.1"};
    uint8_t ip[4];
    char text[TEXT];
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(npi_ipv4_from_text(good[i], ip));
        npi_ipv4_to_text(ip, text, sizeof text);
        assert_string_equal(text, good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (npi_ipv4_from_text(bad[i], ip))
            fail_msg("%s was taken", bad[i]);
    }
}

static void ipv6_is_written_in_the_shortest_way(void **state)
{
    static const struct {
        const char *text, *shortest;
    } good[] = {
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"2001:DB8::A", "2001:db8::a"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
        {"::192.0.2.1", "::192.0.2.1"},
        {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
        {"::5efe:c000:201", "::5efe:c000:201"},
    };
    static const char *const bad[] = {"",
                                      ":",
                                      ":::",
                                      "1:::2",
                                      "1::2::3",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1:2:3:4:5:6:7:8::",
                                      "12345::",
                                      "g::",
                                      ":1",
                                      "1:",
                                      "::1.2.3",
                                      "::1.2.3.4.5",
                                      "1.2.3.4",
                                      "1:2:3:4:5:6:7:1.2.3.4",
                                      "::1 ",
                                      "1.2.3.4::",
                                      "::%1"};
    uint8_t ip[16];
    char text[TEXT];
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        if (!npi_ipv6_from_text(good[i].text, ip))
            fail_msg("%s was not taken", good[i].text);
        npi_ipv6_to_text(ip, text, sizeof text);
        assert_string_equal(text, good[i].shortest);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (npi_ipv6_from_text(bad[i], ip))
            fail_msg("%s was taken", bad[i]);
    }
}

#ifndef _WIN32

/* Of two runs of zeros that are equally long, RFC 5952 4.2.3 leaves out the first. musl does not at the start. */
static bool system_heeds_rfc5952(void)
{
    static const uint8_t two_runs[16] = {0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4};
    char text[TEXT];
    assert_non_null(inet_ntop(AF_INET6, two_runs, text, sizeof text));
    return strcmp(text, "::1:2:0:0:3:4") == 0;
}

/* Many addresses with many zeros, and their texts with a character changed. */
static void all_is_as_the_system_has_it(void **state)
{
    static const char characters[] = "0123456789abcfF:.x";
    const bool same_text = system_heeds_rfc5952();
    rng r;
    (void)state;
    rng_seed(&r, 1, 1);
    for (int i = 0; i < 200000; i++) {
        uint8_t ip[16] = {0};
        uint8_t ours[16] = {0};
        uint8_t theirs[16] = {0};
        char text[TEXT];
        char expected[TEXT];
        for (size_t at = 0; at < sizeof ip; at++)
            ip[at] = rng_below(&r, 3) == 0 ? (uint8_t)rng_below(&r, 256) : 0;
        if (rng_below(&r, 8) == 0)
            ip[10] = ip[11] = 0xff;
        npi_ipv6_to_text(ip, text, sizeof text);
        assert_non_null(inet_ntop(AF_INET6, ip, expected, sizeof expected));
        assert_int_equal(inet_pton(AF_INET6, text, theirs), 1);
        assert_memory_equal(theirs, ip, sizeof ip);
        if (same_text)
            assert_string_equal(text, expected);
        memset(theirs, 0, sizeof theirs);
        npi_ipv4_to_text(ip, text, sizeof text);
        assert_non_null(inet_ntop(AF_INET, ip, expected, sizeof expected));
        assert_string_equal(text, expected);
        (void)inet_ntop(rng_below(&r, 2) == 0 ? AF_INET : AF_INET6, ip, text, sizeof text);
        text[rng_below(&r, (unsigned)strlen(text))] = characters[rng_below(&r, sizeof characters - 1)];
        const bool is_ipv6 = inet_pton(AF_INET6, text, theirs) == 1;
        assert_int_equal(npi_ipv6_from_text(text, ours), is_ipv6);
        if (is_ipv6) /* else some systems have written a part */
            assert_memory_equal(ours, theirs, sizeof ours);
        const bool is_ipv4 = inet_pton(AF_INET, text, theirs) == 1;
        assert_int_equal(npi_ipv4_from_text(text, ours), is_ipv4);
        if (is_ipv4)
            assert_memory_equal(ours, theirs, 4);
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_is_four_numbers),
        cmocka_unit_test(ipv6_is_written_in_the_shortest_way),
#ifndef _WIN32
        cmocka_unit_test(all_is_as_the_system_has_it),
#endif
    };
    return cmocka_run_group_tests_name("addr_windows", tests, NULL, NULL);
}
