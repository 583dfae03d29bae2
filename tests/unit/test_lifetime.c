/* SPDX-License-Identifier: MIT */
/* lifetime: which idle times are tried, and what follows from what became of the mappings. */
#include "lifetime.h"

#include <natprobe/natprobe.h>

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define SAMPLES_MAX 16

/*
 * Samples, one word each: the seconds that a mapping had been idle, and "a" alive, "g" gone, "c" changed, "s" the same
 * port as before, "k" the same port, which is the local one, or "?"; "|" begins another round. Ports are far from each
 * other, or near where all begins with "few".
 */
static size_t read_samples(const char *words, npi_idle_sample out[SAMPLES_MAX])
{
    static const char letters[] = "?agcsk";
    static const npi_idle_fate fates[] = {NPI_IDLE_UNKNOWN, NPI_IDLE_ALIVE, NPI_IDLE_GONE,
                                          NPI_IDLE_CHANGED, NPI_IDLE_SAME,  NPI_IDLE_SAME};
    size_t count = 0;
    int round = 1;
    bool are_few = strncmp(words, "few ", 4) == 0;
    if (are_few)
        words += 4;
    for (const char *word = words; *word != '\0'; word += strspn(word, " ")) {
        if (*word == '|') {
            round++;
            word++;
            continue;
        }
        char *end;
        double seconds = strtod(word, &end);
        const char *letter = strchr(letters, *end);
        assert_true(count < SAMPLES_MAX && letter != NULL && *end != '\0');
        out[count] = (npi_idle_sample){.fate = fates[letter - letters], .round = round, .keeps_port = *letter == 'k'};
        out[count].port = (uint16_t)(30000 + count * (are_few ? 500 : 5000) % 30000);
        out[count].least_ms = (uint32_t)(seconds * 1000 + 0.5);
        out[count].most_ms = out[count].least_ms + 100;
        count++;
        word = end + 1;
    }
    return count;
}

typedef struct row {
    const char *sentence;
    const char *samples;
    uint32_t min_ms, max_ms;
    int32_t recreated;
} row;

enum { UNKNOWN = NP_TRISTATE_UNKNOWN, NO = NP_TRISTATE_NO, YES = NP_TRISTATE_YES };

static void check(const row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        npi_idle_sample samples[SAMPLES_MAX];
        size_t n = read_samples(rows[i].samples, samples);
        npi_lifetime l = npi_lifetime_conclude(samples, n);
        if (l.min_ms != rows[i].min_ms || l.max_ms != rows[i].max_ms || l.recreated != rows[i].recreated)
            fail_msg("%s min %u, max %u, recreated %d", rows[i].sentence, (unsigned)l.min_ms, (unsigned)l.max_ms,
                     (int)l.recreated);
        assert_int_equal(npi_lifetime_is_bounded(samples, n), l.max_ms != 0);
    }
}

static void bounds(void **state)
{
    (void)state;
    static const row rows[] = {
        {"Nothing was tried.", "", 0, 0, UNKNOWN},
        {"Nothing could be told.", "20? 30?", 0, 0, UNKNOWN},
        {"All live: for how long is not known.", "20a 30a 50a", 50000, 0, UNKNOWN},
        {"One that is gone may be a lost datagram.", "20a 30a 50g", 30000, 0, UNKNOWN},
        {"Two show it, by the later one.", "20a 30a 50g 80g", 30000, 80100, UNKNOWN},
        {"A second round narrows it.", "20a 30a 50g 80g | 34a 38a 42g 46g 50g", 38000, 46100, UNKNOWN},
        {"All are gone.", "10g 20g 30g", 0, 20100, UNKNOWN},
        {"One that is gone too early is not believed.", "20g 30a 50g 80g", 30000, 80100, UNKNOWN},
        {"Two of that kind: lifetimes vary, and nothing is said.", "10g 20g 30a 50g 80g", 0, 0, UNKNOWN},
        {"A NAT that was switched off and on: nothing that had gone then is believed.",
         "20a 30g 50g 80g | 24a 27a 30.2a", 30200, 0, UNKNOWN},
        {"The same, and only the second round can be right.", "20a 30g 50g | 24a 27a 30.2a 31g 32g", 30200, 32100,
         UNKNOWN},
        {"Nor is the second round believed where the first contradicts it.", "20a 30a 50g 80g | 10g 20a 42g 46g", 30000,
         80100, UNKNOWN},
        {"The order does not matter.", "80g 30a 50g 20a", 30000, 80100, UNKNOWN},
        {"What could not be told does not count.", "20a 30? 50g 80? 90g", 20000, 90100, UNKNOWN},
    };
    check(rows, COUNT(rows));
}

/* A NAT that keeps ports makes the same mapping again: that it is the same says nothing. */
static void same_port(void **state)
{
    (void)state;
    static const row rows[] = {
        {"The kept port every time: it may live, or be made again.", "20k 30k 50k 80k", 0, 0, UNKNOWN},
        {"Another port, but always the same: so it may be with it.", "20s 30s 50s 80s", 0, 0, UNKNOWN},
        {"Others get another port: those with the same one live.", "20s 30s 50c 80c", 20000, 80100, NO},
        {"One of them may be chance.", "20s 50c 80c", 0, 80100, NO},
        {"Kept ports do not: the usual one may have been taken by others.", "20k 30k 50c 80c", 0, 80100, NO},
        {"One change may be an accident.", "20s 30s 50s 80c", 0, 0, UNKNOWN},
        {"One that went earlier betrays a port that came again by chance.", "15s 20s 30c 50s 80c 90c", 20000, 80100,
         NO},
        {"Ports out of few may come again by chance.", "few 20s 30s 50c 80c", 0, 80100, NO},
        {"What is gone is not believed where ports of the other round live on.", "20s 30c 50c 80c | 35s 40s 45s 50.2s",
         45000, 0, NO},
        {"It came back once it was gone: it is made again.", "20a 30a 50g 80g 90k 90k", 30000, 80100, YES},
        {"Once may be chance.", "20a 30a 50g 80g 90k", 30000, 80100, UNKNOWN},
        {"The same port again contradicts nothing that is gone, where it always is the same.",
         "20a 30a 50g 80g 90s 90s | 30a 35g 40g", 30000, 40100, YES},
        {"Whichever port that is.", "20a 30a 50g 80g 90s 90s", 30000, 80100, YES},
        {"It was the same while mappings live: that says nothing.", "20a 30a 50g 80g 25k 25k", 30000, 80100, UNKNOWN},
        {"It was the same, and it is not known how long mappings live.", "20a 30a 50a 90k 90k", 50000, 0, UNKNOWN},
        {"Another port once it was gone: it is not made again.", "20a 30a 50g 80c 90c", 30000, 80100, NO},
        {"Now and then: not known.", "20a 30a 50g 80g 90k 80c 90c", 30000, 80100, UNKNOWN},
    };
    check(rows, COUNT(rows));
}

static void first_round(void **state)
{
    (void)state;
    static const struct {
        uint32_t limit_ms;
        size_t count;
        uint32_t tries[NPI_LIFETIME_TRIES];
    } rows[] = {
        {200000, 8, {7450, 11920, 19073, 30517, 48828, 78125, 125000, 200000}},
        {3600000, 8, {134110, 214576, 343322, 549316, 878906, 1406250, 2250000, 3600000}},
        {10000, 6, {953, 1525, 2441, 3906, 6250, 10000}},
        {2000, 2, {1250, 2000}},
        {1000, 1, {1000}},
        {500, 1, {500}},
        {499, 0, {0}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t tries[NPI_LIFETIME_TRIES];
        size_t count = npi_lifetime_first_round(rows[i].limit_ms, tries);
        assert_int_equal(count, rows[i].count);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(tries[k], rows[i].tries[k]);
    }
}

static void next_round(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        const char *samples;
        size_t count;
        uint32_t tries[NPI_LIFETIME_TRIES];
    } rows[] = {
        {"Nothing is known.", "", 0, {0}},
        {"All live: there is nothing between.", "20a 30a 50a", 0, {0}},
        {"Even steps, and the first that was gone again.",
         "20a 30g 50g",
         8,
         {21250, 22500, 23750, 25000, 26250, 27500, 28750, 30000}},
        {"From nothing, if none lives.", "12g 20g", 8, {1500, 3000, 4500, 6000, 7500, 9000, 10500, 12000}},
        {"No smaller steps than are worth it.", "20a 21g", 2, {20500, 21000}},
        {"One at least: a second witness.", "20a 20.2g", 1, {20200}},
        {"Samples that contradict each other lead nowhere.", "10g 11g 20a 30g", 0, {0}},
        {"Kept ports that are all the same lead nowhere.", "10k 11k 20k", 0, {0}},
        {"One that was seen late was not there either.", "20a 19.95g", 1, {20050}},
        {"No longer than the limit.", "36a 50g 60g", 8, {36500, 37000, 37500, 38000, 38500, 39000, 39500, 40000}},
        {"Nor where one lived beyond it.", "41a 50g 60g", 0, {0}},
        {"Those that change lead on.",
         "15s 20s 21s 30c 50c",
         8,
         {21250, 22500, 23750, 25000, 26250, 27500, 28750, 30000}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint32_t tries[NPI_LIFETIME_TRIES];
        npi_idle_sample samples[SAMPLES_MAX];
        size_t n = read_samples(rows[i].samples, samples);
        size_t count = npi_lifetime_next_round(samples, n, 40000, tries);
        if (count != rows[i].count)
            fail_msg("%s %u tries", rows[i].sentence, (unsigned)count);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(tries[k], rows[i].tries[k]);
    }
}

/* Two rounds against a NAT of each lifetime: the truth is between the bounds, and they are near each other. */
static void both_rounds(void **state)
{
    (void)state;
    const uint32_t limit_ms = 200000;
    for (uint32_t truth_ms = 1000; truth_ms <= 260000; truth_ms += 777) {
        npi_idle_sample samples[NPI_LIFETIME_ROUNDS * NPI_LIFETIME_TRIES];
        uint32_t tries[NPI_LIFETIME_TRIES];
        size_t count = 0;
        size_t n = npi_lifetime_first_round(limit_ms, tries);
        for (int round = 0; round < NPI_LIFETIME_ROUNDS; round++) {
            for (size_t i = 0; i < n; i++)
                samples[count++] = (npi_idle_sample){.fate = tries[i] < truth_ms ? NPI_IDLE_ALIVE : NPI_IDLE_GONE,
                                                     .round = round,
                                                     .least_ms = tries[i],
                                                     .most_ms = tries[i]};
            n = npi_lifetime_next_round(samples, count, limit_ms, tries);
        }
        npi_lifetime l = npi_lifetime_conclude(samples, count);
        assert_true(l.min_ms < truth_ms);
        if (truth_ms > limit_ms) {
            assert_int_equal(l.min_ms, limit_ms);
            assert_int_equal(l.max_ms, 0);
        } else {
            assert_true(l.max_ms >= truth_ms);
            assert_true(l.max_ms - l.min_ms <= truth_ms / 4 + 7000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),     cmocka_unit_test(same_port),   cmocka_unit_test(first_round),
        cmocka_unit_test(next_round), cmocka_unit_test(both_rounds),
    };
    return cmocka_run_group_tests_name("lifetime", tests, NULL, NULL);
}
