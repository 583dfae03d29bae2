/* SPDX-License-Identifier: MIT */
/* Which servers a check of a watch asks, and whether a NAT may still know them. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "canvass.h"

#define MINUTE (UINT64_C(60000) * NPI_MS)

static uint8_t random_bytes[NP_MAX_SERVERS];

static npi_canvass make(const char *const *texts, size_t count)
{
    npi_canvass c;
    npi_server_name servers[NP_MAX_SERVERS];
    for (size_t i = 0; i < count; i++)
        assert_true(npi_server_parse(texts[i], &servers[i]));
    npi_canvass_init(&c, servers, count, random_bytes);
    return c;
}

static npi_addr ip_of(const char *text)
{
    npi_addr a;
    assert_true(npi_addr_parse_ip(text, &a));
    return a;
}

static bool choose(npi_canvass *c, uint64_t now_ns, npi_server_name out[NP_MAX_SERVERS], size_t *count)
{
    for (size_t i = 0; i < NP_MAX_SERVERS; i++)
        random_bytes[i] = (uint8_t)(random_bytes[i] * 5 + 3 * i + 1);
    return npi_canvass_choose(c, now_ns, random_bytes, out, count);
}

static void literal_is_known_by_its_contacts(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1", "192.0.2.2:3479"};
    npi_canvass c = make(texts, 2);
    npi_server_name out[NP_MAX_SERVERS];
    size_t count = 0;
    npi_addr first = ip_of("192.0.2.1");
    assert_true(choose(&c, MINUTE, out, &count));
    assert_int_equal(count, 2);
    assert_string_equal(out[1].host, "192.0.2.2");
    npi_canvass_end(&c, MINUTE);
    assert_true(choose(&c, MINUTE, out, &count)); /* nothing was sent */
    assert_false(npi_canvass_note(&c, &first, MINUTE, 2 * MINUTE));
    assert_false(choose(&c, 3 * MINUTE, out, &count));
    assert_int_equal(count, 2);
    assert_int_equal(npi_canvass_forgotten_ns(&c), 7 * MINUTE);
    assert_false(choose(&c, 7 * MINUTE - 1, out, &count));
    assert_true(choose(&c, 7 * MINUTE, out, &count));
}

static void ipv4_within_ipv6_is_the_same_server(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1"};
    npi_canvass c = make(texts, 1);
    npi_server_name out[NP_MAX_SERVERS];
    size_t count = 0;
    npi_addr mapped = ip_of("::ffff:192.0.2.1");
    npi_canvass_note(&c, &mapped, MINUTE, MINUTE);
    assert_false(choose(&c, 2 * MINUTE, out, &count));
}

static void name_is_known_by_the_checks_that_had_it(void **state)
{
    (void)state;
    static const char *const texts[] = {"stun.example.org"};
    npi_canvass c = make(texts, 1);
    npi_server_name out[NP_MAX_SERVERS];
    size_t count = 0;
    assert_true(choose(&c, MINUTE, out, &count));
    npi_canvass_end(&c, 2 * MINUTE);
    assert_int_equal(npi_canvass_forgotten_ns(&c), 7 * MINUTE);
    assert_false(choose(&c, 3 * MINUTE, out, &count)); /* and that one asks it again */
    npi_canvass_end(&c, 4 * MINUTE);
    assert_false(choose(&c, 7 * MINUTE, out, &count));
    npi_canvass_end(&c, 7 * MINUTE);
    assert_true(choose(&c, 12 * MINUTE, out, &count));
}

/* A build may have a list of its own. */
static void builtin_lists_may_be_short(void **state)
{
    (void)state;
    npi_canvass c;
    npi_server_name out[NP_MAX_SERVERS];
    size_t count = 0;
    npi_canvass_init(&c, NULL, 0, random_bytes);
    c.count = 2;
    assert_true(choose(&c, MINUTE, out, &count));
    assert_int_equal(count, 2);
    npi_canvass_end(&c, MINUTE);
    assert_false(choose(&c, 2 * MINUTE, out, &count));
    assert_true(choose(&c, 8 * MINUTE, out, &count));
    c.count = 0;
    assert_false(choose(&c, 9 * MINUTE, out, &count));
    assert_int_equal(count, 0);
}

static void builtin_servers_take_turns(void **state)
{
    (void)state;
    npi_canvass c;
    npi_server_name out[NP_MAX_SERVERS], all[NP_MAX_SERVERS];
    size_t count = 0, seen = 0;
    npi_canvass_init(&c, NULL, 0, random_bytes);
    /* So many checks can test the filtering within five minutes. */
    for (size_t check = 0; check < npi_builtin_server_count() / NPI_CANVASS_BUILTIN; check++) {
        assert_true(choose(&c, check * MINUTE / 2, out, &count));
        assert_in_range(count, 4, NPI_CANVASS_BUILTIN);
        assert_int_equal(out[0].use, NPI_USE_BEHAVIOUR);
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < seen; j++)
                assert_false(strcmp(all[j].host, out[i].host) == 0 && all[j].port == out[i].port);
            all[seen++] = out[i];
        }
        npi_canvass_end(&c, check * MINUTE / 2);
    }
    for (size_t check = 0; check < 5; check++) {
        bool is_fresh = choose(&c, 3 * MINUTE, out, &count);
        assert_true(count >= 4);
        if (!is_fresh)
            return;
        npi_canvass_end(&c, 3 * MINUTE);
    }
    fail_msg("there is no end of servers");
}

static void address_of_a_check_before_taints(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1"};
    npi_canvass c = make(texts, 1);
    npi_addr other = ip_of("192.0.2.9");
    assert_false(npi_canvass_note(&c, &other, MINUTE, MINUTE));         /* the first contact */
    assert_false(npi_canvass_note(&c, &other, MINUTE, MINUTE + 1));     /* of this check */
    assert_true(npi_canvass_note(&c, &other, 3 * MINUTE, 3 * MINUTE));  /* the next one */
    assert_false(npi_canvass_note(&c, &other, 3 * MINUTE, 3 * MINUTE)); /* which has told of it */
    assert_false(npi_canvass_note(&c, &other, 9 * MINUTE, 9 * MINUTE)); /* long after */
}

static void forgotten_contacts_count_for_all(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1"};
    npi_canvass c = make(texts, 1);
    npi_server_name out[NP_MAX_SERVERS];
    size_t count = 0;
    for (unsigned i = 0; i < NPI_CONTACTS + 1; i++) {
        npi_addr a = npi_addr_v4(198, 51, 100, (uint8_t)i, 0);
        npi_contacts_note(&c.contacts, &a, MINUTE + i);
    }
    assert_false(choose(&c, 2 * MINUTE, out, &count)); /* it may be the one that had to go */
    assert_true(choose(&c, 6 * MINUTE, out, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_is_known_by_its_contacts),
        cmocka_unit_test(ipv4_within_ipv6_is_the_same_server),
        cmocka_unit_test(name_is_known_by_the_checks_that_had_it),
        cmocka_unit_test(builtin_lists_may_be_short),
        cmocka_unit_test(builtin_servers_take_turns),
        cmocka_unit_test(address_of_a_check_before_taints),
        cmocka_unit_test(forgotten_contacts_count_for_all),
    };
    return cmocka_run_group_tests_name("canvass", tests, NULL, NULL);
}
