/* SPDX-License-Identifier: MIT */
/* profile: what a line says, what is refused and why, and what is written is what is read. */
#include <natprobe/natprobe.h>

#include <string.h>

#include "unit.h"

#define EI NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define AD NP_BEHAVIOUR_ADDRESS_DEPENDENT
#define APD NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
#define DEP NP_BEHAVIOUR_ENDPOINT_DEPENDENT

/* ---- Lines that are read ---------------------------------------------------------------------------------------- */

typedef struct accepted {
    const char *shows;
    const char *line;
    np_profile profile;
    const char *again; /* what is written; NULL: the line itself */
} accepted;

static const accepted lines[] = {
    {"nothing is known", "np1", {0}, "np1 m=? f=? fp=0"},
    {"the same in so many words", "np1 m=? f=? fp=0", {0}, NULL},
    {"everything",
     "np1 m=apd f=ad fp=1 v=4 x=203.0.113.7:54320 ips=2 pk=1/3 ps=-2 trap=1 t=1795651200",
     {.mapping = APD,
      .filtering = AD,
      .filtering_proven = 1,
      .family = 4,
      .external_ip = "203.0.113.7",
      .external_port = 54320,
      .external_ips = 2,
      .ports_kept = 1,
      .ports_seen = 3,
      .port_step = -2,
      .refused_takes_port = NP_TRISTATE_YES,
      .measured_at = 1795651200},
     NULL},
    {"any order",
     "np1 t=7 trap=0 f=ei m=none",
     {.mapping = NP_BEHAVIOUR_NONE, .filtering = EI, .refused_takes_port = NP_TRISTATE_NO, .measured_at = 7},
     "np1 m=none f=ei fp=0 trap=0 t=7"},
    {"keys of a later version are passed over",
     "np1 zz9=a=b m=ei m2=? f=apd",
     {.mapping = EI, .filtering = APD},
     "np1 m=ei f=apd fp=0"},
    {"dependent, not known how", "np1 m=dep f=dep", {.mapping = DEP, .filtering = DEP}, "np1 m=dep f=dep fp=0"},
    {"the family follows from the address",
     "np1 x=203.0.113.7",
     {.family = 4, .external_ip = "203.0.113.7"},
     "np1 m=? f=? fp=0 v=4 x=203.0.113.7"},
    {"IPv6 with a port",
     "np1 m=ei f=ei fp=0 v=6 x=[2001:db8::1]:1",
     {.mapping = EI, .filtering = EI, .family = 6, .external_ip = "2001:db8::1", .external_port = 1},
     NULL},
    {"IPv6 without",
     "np1 v=6 x=2001:db8::1",
     {.family = 6, .external_ip = "2001:db8::1"},
     "np1 m=? f=? fp=0 v=6 x=2001:db8::1"},
    {"the same in brackets",
     "np1 x=[2001:db8::1]",
     {.family = 6, .external_ip = "2001:db8::1"},
     "np1 m=? f=? fp=0 v=6 x=2001:db8::1"},
    {"another way to write an address",
     "np1 x=[2001:DB8:0::0:1]:65535",
     {.family = 6, .external_ip = "2001:db8::1", .external_port = 65535},
     "np1 m=? f=? fp=0 v=6 x=[2001:db8::1]:65535"},
    {"an IPv4 address in an IPv6 one",
     "np1 v=4 x=[::ffff:192.0.2.1]:80",
     {.family = 4, .external_ip = "192.0.2.1", .external_port = 80},
     "np1 m=? f=? fp=0 v=4 x=192.0.2.1:80"},
    {"addresses inside",
     "np1 x=10.0.0.1:1",
     {.family = 4, .external_ip = "10.0.0.1", .external_port = 1},
     "np1 m=? f=? fp=0 v=4 x=10.0.0.1:1"},
    {"blocked", "np1 m=? f=? fp=0 b=1", {.udp_blocked = 1}, NULL},
    {"not blocked", "np1 b=0", {0}, "np1 m=? f=? fp=0"},
    {"the limits",
     "np1 m=? f=? fp=0 ips=65535 pk=65535/65535 ps=65535 t=999999999999",
     {.external_ips = 65535, .ports_kept = 65535, .ports_seen = 65535, .port_step = 65535, .measured_at = 999999999999},
     NULL},
    {"zeros are not known", "np1 ips=0 pk=0/0 ps=0 trap=? t=0", {0}, "np1 m=? f=? fp=0"},
};

static void lines_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        np_profile got;
        const char *reason = "";
        memset(&got, 0xA5, sizeof got);
        if (np_profile_parse(lines[i].line, &got, &reason) != NP_OK || reason != NULL)
            fail_msg("%s: %s", lines[i].shows, reason);
        if (memcmp(&got, &lines[i].profile, sizeof got) != 0)
            fail_msg("%s: something else was read", lines[i].shows);
        assert_int_equal(np_profile_parse(lines[i].line, &got, NULL), NP_OK);
    }
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        char text[NP_PROFILE_TEXT_SIZE];
        assert_int_equal(np_profile_format(&lines[i].profile, text, sizeof text), NP_OK);
        assert_string_equal(text, lines[i].again != NULL ? lines[i].again : lines[i].line);
    }
}

/* ---- Lines that are refused ------------------------------------------------------------------------------------- */

typedef struct refused {
    const char *line;
    const char *word; /* in the reason */
} refused;

#define FIFTY "01234567890123456789012345678901234567890123456789"
#define NO_SPACE "exactly one space"
#define NO_ENTRY "is not a key"

static const refused bad[] = {
    {"", "begin with"},
    {"np", "begin with"},
    {"np1m=ei", "begin with"},
    {" np1", "begin with"},
    {"NP1", "begin with"},
    {"npx", "begin with"},
    {"np2 m=ei", "version"},
    {"np10", "version"},
    {"np01", "version"},
    {"np1 ", NO_SPACE},
    {"np1  m=ei", NO_SPACE},
    {"np1 m=ei ", NO_SPACE},
    {"np1 m=ei  f=ei", NO_SPACE},
    {"np1 m", NO_ENTRY},
    {"np1 m=", NO_ENTRY},
    {"np1 =ei", NO_ENTRY},
    {"np1 M=ei", NO_ENTRY},
    {"np1 9=ei", NO_ENTRY},
    {"np1 m =ei", NO_ENTRY},
    {"np1 m=ei m=ei", "twice"},
    {"np1 zz=1 m=ei zz=2", "twice"},
    {"np1 m=ei\n", "printable"},
    {"np1\tm=ei", "printable"},
    {"np1 z=\x7f", "printable"},
    {"np1 z=\xc3\xa4", "printable"},
    {"np1 z=" FIFTY FIFTY FIFTY "0123", "longer"},
    {"np1 m=EI", "m is"},
    {"np1 m=eii", "m is"},
    {"np1 f=none", "f is"},
    {"np1 fp=2", "fp is"},
    {"np1 fp=?", "fp is"},
    {"np1 v=5", "v is"},
    {"np1 b=?", "b is"},
    {"np1 ips=65536", "ips is"},
    {"np1 ips=-1", "ips is"},
    {"np1 ips=1.", "ips is"},
    {"np1 pk=1", "pk is"},
    {"np1 pk=2/1", "pk is"},
    {"np1 pk=1/", "pk is"},
    {"np1 pk=/1", "pk is"},
    {"np1 pk=1/2/3", "pk is"},
    {"np1 ps=65536", "ps is"},
    {"np1 ps=-", "ps is"},
    {"np1 ps=--1", "ps is"},
    {"np1 ps=+1", "ps is"},
    {"np1 trap=2", "trap is"},
    {"np1 t=1000000000000", "t is"},
    {"np1 t=0000000000001", "t is"},
    {"np1 t=-1", "t is"},
    {"np1 x=example.org", "x is"},
    {"np1 x=203.0.113.7:", "x is"},
    {"np1 x=203.0.113.7:0", "x is"},
    {"np1 x=203.0.113.7:65536", "x is"},
    {"np1 x=203.0.113.7:8a", "x is"},
    {"np1 x=203.0.113", "x is"},
    {"np1 x=[203.0.113.7]", "x is"},
    {"np1 x=[203.0.113.7]:80", "x is"},
    {"np1 x=[2001:db8::1", "x is"},
    {"np1 x=[2001:db8::1]80", "x is"},
    {"np1 x=[2001:db8::1]:", "x is"},
    {"np1 x=[]", "x is"},
    {"np1 x=[", "x is"},
    {"np1 x=:", "x is"},
    {"np1 x=fe80::1%2", "x is"},
    {"np1 x=2001:db8::1:0:0:0:0:0:0", "x is"},
    {"np1 x=0.0.0.0", "x is"},
    {"np1 x=255.255.255.255:9", "x is"},
    {"np1 x=224.0.0.1:5353", "x is"},
    {"np1 x=[ff02::1]:5353", "x is"},
    {"np1 x=::", "x is"},
    {"np1 v=6 x=203.0.113.7", "v and x"},
    {"np1 x=2001:db8::1 v=4", "v and x"},
};

static void bad_lines_are_refused(void **state)
{
    (void)state;
    static const np_profile nothing;
    for (size_t i = 0; i < COUNT(bad); i++) {
        np_profile got;
        const char *reason = NULL;
        memset(&got, 0xA5, sizeof got);
        if (np_profile_parse(bad[i].line, &got, &reason) != NP_ERR_ARGUMENT || reason == NULL)
            fail_msg("'%s' was accepted", bad[i].line);
        if (strstr(reason, bad[i].word) == NULL)
            fail_msg("'%s' was refused because: %s", bad[i].line, reason);
        assert_memory_equal(&got, &nothing, sizeof got);
    }
}

/* A line that is not terminated within its limit is not read beyond it. */
static void nothing_beyond_the_limit_is_read(void **state)
{
    (void)state;
    char longest[NP_PROFILE_TEXT_SIZE];
    np_profile got;
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "np1 z=", 6);
    assert_int_equal(np_profile_parse(longest, &got, NULL), NP_ERR_ARGUMENT);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(np_profile_parse(longest, &got, NULL), NP_OK);
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

static void what_does_not_fit_is_not_written(void **state)
{
    (void)state;
    static const np_profile p = {.mapping = EI, .filtering = APD};
    static const char line[] = "np1 m=ei f=apd fp=0";
    char text[NP_PROFILE_TEXT_SIZE];
    for (size_t size = 0; size < sizeof line; size++) {
        memset(text, 'x', sizeof text);
        assert_int_equal(np_profile_format(&p, text, size), NP_ERR_ARGUMENT);
        assert_int_equal(text[0], size == 0 ? 'x' : '\0');
        assert_int_equal(text[1], 'x');
    }
    assert_int_equal(np_profile_format(&p, text, sizeof line), NP_OK);
    assert_string_equal(text, line);
}

static void the_longest_line_fits(void **state)
{
    (void)state;
    const np_profile p = {.mapping = NP_BEHAVIOUR_NONE,
                          .filtering = APD,
                          .filtering_proven = 1,
                          .udp_blocked = 1,
                          .external_ip = "2001:db80:aaaa:bbbb:cccc:dddd:eeee:ffff",
                          .external_port = 65535,
                          .external_ips = 65535,
                          .ports_kept = 65535,
                          .ports_seen = 65535,
                          .port_step = -65535,
                          .refused_takes_port = NP_TRISTATE_YES,
                          .measured_at = 999999999999};
    char text[NP_PROFILE_TEXT_SIZE];
    np_profile back;
    assert_int_equal(np_profile_format(&p, text, sizeof text), NP_OK);
    assert_int_equal(np_profile_parse(text, &back, NULL), NP_OK);
    assert_string_equal(back.external_ip, p.external_ip);
    assert_int_equal(back.measured_at, p.measured_at);
}

static void values_that_are_none_are_left_out(void **state)
{
    (void)state;
    const np_profile p = {.mapping = 99,
                          .filtering = -1,
                          .filtering_proven = 7,
                          .family = 5,
                          .ports_kept = 9,
                          .ports_seen = 3,
                          .port_step = 100000,
                          .refused_takes_port = 9,
                          .measured_at = -1};
    const np_profile none = {.filtering = NP_BEHAVIOUR_NONE};
    char text[NP_PROFILE_TEXT_SIZE];
    assert_int_equal(np_profile_format(&p, text, sizeof text), NP_OK);
    assert_string_equal(text, "np1 m=? f=? fp=1 pk=3/3");
    assert_int_equal(np_profile_format(&none, text, sizeof text), NP_OK);
    assert_string_equal(text, "np1 m=? f=ei fp=0"); /* nothing is filtered */
}

static void an_address_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const addresses[] = {"example.org", "fe80::1%2", "1.2.3.4:5",       " ",
                                            "1.2.3.4 b=1", "0.0.0.0",   "224.0.0.1",       "240.0.0.1",
                                            "::",          "ff02::1",   "::ffff:224.0.0.1"};
    char text[NP_PROFILE_TEXT_SIZE];
    np_profile p = {.mapping = EI};
    for (size_t i = 0; i < COUNT(addresses); i++) {
        memset(p.external_ip, 0, sizeof p.external_ip);
        memcpy(p.external_ip, addresses[i], strlen(addresses[i]));
        assert_int_equal(np_profile_format(&p, text, sizeof text), NP_ERR_ARGUMENT);
        assert_string_equal(text, "");
    }
    memset(p.external_ip, '1', sizeof p.external_ip); /* not terminated */
    assert_int_equal(np_profile_format(&p, text, sizeof text), NP_ERR_ARGUMENT);
}

static void null_is_refused(void **state)
{
    (void)state;
    static const np_profile nothing;
    np_profile p;
    np_result r;
    char text[NP_PROFILE_TEXT_SIZE] = "x";
    const char *reason = NULL;
    memset(&r, 0, sizeof r);
    assert_int_equal(np_profile_format(NULL, text, sizeof text), NP_ERR_ARGUMENT);
    assert_string_equal(text, "");
    assert_int_equal(np_profile_format(&nothing, NULL, 0), NP_ERR_ARGUMENT);
    assert_int_equal(np_profile_parse("np1", NULL, &reason), NP_ERR_ARGUMENT);
    assert_non_null(reason);
    memset(&p, 0xA5, sizeof p);
    assert_int_equal(np_profile_parse(NULL, &p, NULL), NP_ERR_ARGUMENT);
    assert_memory_equal(&p, &nothing, sizeof p);
    memset(&p, 0xA5, sizeof p);
    assert_int_equal(np_profile_from_result(NULL, 0, &p), NP_ERR_ARGUMENT);
    assert_memory_equal(&p, &nothing, sizeof p);
    assert_int_equal(np_profile_from_result(&r, 0, NULL), NP_ERR_ARGUMENT);
}

/* ---- From a result ---------------------------------------------------------------------------------------------- */

static void a_result_becomes_a_profile(void **state)
{
    (void)state;
    const np_result r = {.nat_type = NP_NAT_PORT_RESTRICTED_CONE,
                         .mapping = EI,
                         .filtering = APD,
                         .evidence = NP_EVIDENCE_FILTERING_PROVEN,
                         .external_ip = "203.0.113.7",
                         .external_port = 54320,
                         .local_ip = "192.168.1.2",
                         .local_port = 5000,
                         .port_step = 2,
                         .ports_seen = 3,
                         .ports_kept = 1,
                         .external_ips = 1};
    np_profile p;
    char text[NP_PROFILE_TEXT_SIZE];
    memset(&p, 0xA5, sizeof p);
    assert_int_equal(np_profile_from_result(&r, 1795651200, &p), NP_OK);
    assert_int_equal(np_profile_format(&p, text, sizeof text), NP_OK);
    assert_string_equal(text, "np1 m=ei f=apd fp=1 v=4 x=203.0.113.7:54320 ips=1 pk=1/3 ps=2 t=1795651200");
}

static void a_failure_becomes_a_profile_too(void **state)
{
    (void)state;
    const np_result blocked = {
        .error = NP_ERR_NO_RESPONSE, .nat_type = NP_NAT_UDP_BLOCKED, .local_ip = "2001:db8::1", .external_port = 7};
    const np_result local = {.external_ip = "fe80::1%2", .external_port = 7};
    np_profile p;
    char text[NP_PROFILE_TEXT_SIZE];
    assert_int_equal(np_profile_from_result(&blocked, 0, &p), NP_OK);
    assert_int_equal(p.external_port, 0);
    assert_int_equal(np_profile_format(&p, text, sizeof text), NP_OK);
    assert_string_equal(text, "np1 m=? f=? fp=0 v=6 b=1");
    assert_int_equal(np_profile_from_result(&local, 0, &p), NP_OK); /* an address of this link tells a peer nothing */
    assert_string_equal(p.external_ip, "");
    assert_int_equal(p.external_port, 0);
}

static void a_nat64_has_the_family_of_its_outside(void **state)
{
    (void)state;
    const np_result r = {.mapping = EI, .external_ip = "203.0.113.7", .local_ip = "2001:db8::1"};
    np_profile p;
    assert_int_equal(np_profile_from_result(&r, 0, &p), NP_OK);
    assert_int_equal(p.family, NP_FAMILY_IPV4);
}

static void the_size_is_told(void **state)
{
    (void)state;
    assert_int_equal(np_profile_size(), 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(nothing_beyond_the_limit_is_read),
        cmocka_unit_test(what_does_not_fit_is_not_written),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(values_that_are_none_are_left_out),
        cmocka_unit_test(an_address_that_is_none_is_refused),
        cmocka_unit_test(null_is_refused),
        cmocka_unit_test(a_result_becomes_a_profile),
        cmocka_unit_test(a_failure_becomes_a_profile_too),
        cmocka_unit_test(a_nat64_has_the_family_of_its_outside),
        cmocka_unit_test(the_size_is_told),
    };
    return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
