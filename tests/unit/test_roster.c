/* SPDX-License-Identifier: MIT */
/* roster: a long list of servers, each once. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "roster.h"

#define MANY 20000U

static size_t add(npi_roster *r, const char *text, bool *is_new)
{
    npi_server_name name;
    size_t index = SIZE_MAX;
    assert_true(npi_server_parse(text, &name));
    assert_true(npi_roster_add(r, &name, &index, is_new));
    return index;
}

typedef struct row {
    const char *text;
    size_t index;     /* where it stands */
    const char *form; /* as it is told */
} row;

static const row rows[] = {
    {"stun.example.net", 0, "stun.example.net:3478"},
    {"STUN.Example.NET:3478", 0, "stun.example.net:3478"},
    {"stun.example.net.", 0, "stun.example.net:3478"},
    {"stun:stun.example.net", 0, "stun.example.net:3478"},
    {"stun.example.net:3479", 1, "stun.example.net:3479"},
    {"192.0.2.1", 2, "192.0.2.1:3478"},
    {"::ffff:192.0.2.1", 2, "192.0.2.1:3478"},
    {"2001:DB8:0::1", 3, "[2001:db8::1]:3478"},
    {"[2001:db8::1]:3478", 3, "[2001:db8::1]:3478"},
    {"fe80::1%7", 4, "[fe80::1%7]:3478"},
    {"fe80::1%8", 5, "[fe80::1%8]:3478"},
    {"stun.example.ne", 6, "stun.example.ne:3478"},
};

static void one_server_has_one_form(void **state)
{
    (void)state;
    npi_roster r;
    size_t seen = 0;
    npi_roster_init(&r, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool is_new;
        char text[NPI_SERVER_TEXT];
        assert_int_equal(add(&r, rows[i].text, &is_new), rows[i].index);
        assert_int_equal(is_new, rows[i].index == seen);
        seen += is_new;
        npi_server_format(&r.entries[rows[i].index].name, text);
        assert_string_equal(text, rows[i].form);
    }
    assert_int_equal(r.count, seen);
    npi_roster_free(&r);
    assert_int_equal(r.count, 0);
}

static void many_are_found_again(void **state)
{
    (void)state;
    npi_roster r;
    npi_roster_init(&r, 12345);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            char text[32];
            bool is_new;
            snprintf(text, sizeof text, "s%u.example:%u", i / 2, 1000 + i % 2);
            assert_int_equal(add(&r, text, &is_new), i);
            assert_int_equal(is_new, round == 0);
        }
    }
    assert_int_equal(r.count, MANY);
    npi_roster_free(&r);
}

static void longest_name_has_room(void **state)
{
    (void)state;
    char host[NPI_HOST_SIZE];
    char text[NPI_SERVER_TEXT];
    npi_server_name name = {.port = 65535};
    memset(host, 'a', sizeof host - 1);
    host[sizeof host - 1] = '\0';
    memcpy(name.host, host, sizeof host);
    npi_server_format(&name, text);
    assert_int_equal(strlen(text), NPI_HOST_SIZE - 1 + strlen(":65535"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server_has_one_form),
        cmocka_unit_test(many_are_found_again),
        cmocka_unit_test(longest_name_has_room),
    };
    return cmocka_run_group_tests_name("roster", tests, NULL, NULL);
}
