/* SPDX-License-Identifier: MIT */
/* tally: what a list of requests and answers counts up to. */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

/*
 * Requests in the order of sending, one word each: the local port as a number, ">" and the external port; "x" where
 * nothing came back, "?" where nothing of the answer is believed. Before them a letter for another IP address than the
 * usual, small for the local and large for the external one; behind them "!" where it is vague.
 */
#define SEEN_MAX 12

static npi_sighting read_word(const char *word, uint32_t number)
{
    npi_sighting s = {.number = number};
    uint8_t inner = 7;
    uint8_t outer = 1;
    for (; *word > '9'; word++) {
        if (*word >= 'a')
            inner = (uint8_t)*word;
        else
            outer = (uint8_t)*word;
    }
    char *end;
    unsigned long local = strtoul(word, &end, 10);
    s.slot = (int)local;
    assert_int_equal(*end, '>');
    const char *seen = end + 1;
    if (*seen != 'x')
        s.local = npi_addr_v4(10, 0, 0, inner, (uint16_t)local);
    if (*seen >= '0' && *seen <= '9')
        s.external = npi_addr_v4(203, 0, 113, outer, (uint16_t)strtoul(seen, NULL, 10));
    s.is_vague = word[strcspn(word, " !")] == '!';
    return s;
}

static npi_tally tally_of(const char *words)
{
    npi_sighting seen[SEEN_MAX];
    size_t count = 0;
    for (const char *word = words; *word != '\0'; word += strspn(word, " ")) {
        assert_true(count < SEEN_MAX);
        seen[count] = read_word(word, (uint32_t)count + 1);
        count++;
        word += strcspn(word, " ");
    }
    return npi_tally_count(seen, count);
}

typedef struct row {
    const char *sentence;
    const char *seen;
    unsigned kept, of, external_ips, local_ips;
    int32_t step;
} row;

static void check(const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const row *r = &rows[i];
        npi_tally t = tally_of(r->seen);
        bool same = t.ports_kept == r->kept && t.ports_seen == r->of && t.external_ips == r->external_ips &&
                    t.local_ips == r->local_ips && t.port_step == r->step;
        if (!same)
            fail_msg("%s kept %u of %u, %u external, %u local, step %d", r->sentence, t.ports_kept, t.ports_seen,
                     t.external_ips, t.local_ips, (int)t.port_step);
    }
}

static void ports_and_addresses(void **state)
{
    (void)state;
    static const row rows[] = {
        {"Nothing was sent.", "", 0, 0, 0, 0, 0},
        {"Nothing came back.", "500>x 501>x", 0, 0, 0, 0, 0},
        {"An answer that nobody believes shows the local address alone.", "500>?", 0, 0, 0, 1, 0},
        {"A port that was kept.", "500>500", 1, 1, 1, 1, 0},
        {"One that was not.", "500>900", 0, 1, 1, 1, 0},
        {"One mapping counts once, however often it is seen.", "500>500 500>500 500>500", 1, 1, 1, 1, 0},
        {"Each socket has its own.", "500>500 501>501", 2, 2, 1, 1, 0},
        {"Kept for one socket, and not for the other.", "500>500 501>900", 1, 2, 1, 1, 0},
        {"Where the mapping depends on the destination, a socket has several.", "500>500 500>900 500>901", 1, 3, 1, 1,
         0},
        {"Another address with the same port is another mapping.", "500>500 B500>500", 2, 2, 2, 1, 0},
        {"Several external addresses.", "500>1 B501>2 C502>3 B503>4", 0, 4, 3, 1, 0},
        {"Several local ones.", "500>500 b500>500 c501>501", 3, 3, 1, 3, 0},
        {"A local address is one although nothing else is believed.", "500>500 b500>?", 1, 1, 1, 2, 0},
    };
    check(rows, COUNT(rows));
}

static void steps(void **state)
{
    (void)state;
    static const row rows[] = {
        {"Three equal steps.", "500>901 500>902 500>903 500>904", 0, 4, 1, 1, 1},
        {"Two may be chance.", "500>901 500>902 500>903", 0, 3, 1, 1, 0},
        {"Any size.", "500>900 500>910 500>920 500>930", 0, 4, 1, 1, 10},
        {"Downwards.", "500>904 500>902 500>900 500>898", 0, 4, 1, 1, -2},
        {"To the ends.", "500>1 500>20001 500>40001 500>60001", 0, 4, 1, 1, 20000},
        {"Four of which one is another.", "500>901 500>902 500>903 500>904 500>906", 0, 5, 1, 1, 0},
        {"The first is another.", "500>900 500>902 500>903 500>904 500>905", 0, 5, 1, 1, 0},
        {"Sockets share the count.", "500>901 777>902 500>903 600>904", 0, 4, 1, 1, 1},
        {"What is seen again is no new mapping.", "500>901 500>902 500>901 500>903 500>902 500>904", 0, 4, 1, 1, 1},
        {"A port that was kept was not counted.", "500>901 600>600 500>902 500>903 500>904", 1, 5, 1, 1, 1},
        {"Kept ports alone have no step of the NAT's.", "500>500 501>501 502>502 503>503", 4, 4, 1, 1, 0},
        {"Nor have ports that follow the local ones.", "500>900 501>901 502>902 503>903", 0, 4, 1, 1, 0},
        {"A vague one may have taken its port before or behind others.", "500>901! 500>902 500>903 500>904", 0, 4, 1, 1,
         0},
        {"Even one without an answer.", "500>901 500>902 500>903 500>904 600>x!", 0, 4, 1, 1, 0},
        {"No step leads across a request without an answer.", "500>901 500>902 500>x 500>904 500>905", 0, 4, 1, 1, 0},
        {"Those on both sides of it count.", "500>901 500>902 500>903 600>x 500>914 500>915", 0, 5, 1, 1, 1},
        {"If they are equal.", "500>901 500>902 500>903 600>x 500>914 500>916", 0, 5, 1, 1, 0},
        {"It may have made the mapping that its socket shows later.", "500>x 600>x 500>901 700>903 800>905 900>907", 0,
         4, 1, 1, 0},
        {"Then no step leads to it either.", "500>x 600>901 700>903 500>905 800>907", 0, 4, 1, 1, 0},
        {"Nothing left in between.", "600>x 500>x 500>901 700>903 800>905 900>907", 0, 4, 1, 1, 2},
        {"Another socket's is not meant.", "500>x 600>x 400>901 700>903 800>905 900>907", 0, 4, 1, 1, 2},
        {"Nor across one that is not believed.", "500>901 500>902 500>? 500>904 500>905", 0, 4, 1, 1, 0},
        {"One without an answer at the end changes nothing.", "500>901 500>902 500>903 500>904 500>x", 0, 4, 1, 1, 1},
        {"Each external address may have a count of its own.", "500>901 B500>902 500>903 B500>904", 0, 4, 2, 1, 0},
    };
    check(rows, COUNT(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_and_addresses),
        cmocka_unit_test(steps),
    };
    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
