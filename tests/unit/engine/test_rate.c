/* SPDX-License-Identifier: MIT */
/* rate: at most ten new transactions in any second (RFC 5780 section 5), whoever asks and however. */
#include "engine/rate.h"

#include "build.h"

#define LIMIT 10 /* of RFC 5780 */
#define SECOND (UINT64_C(1000) * NPI_MS)

/* A rate after transactions that started so many milliseconds after T0. */
static npi_rate used_at(const unsigned *at_ms, size_t count)
{
    npi_rate rate = {{0}, 0};
    for (size_t i = 0; i < count; i++)
        npi_rate_use(&rate, AT(at_ms[i]));
    return rate;
}

static void room_is_what_the_last_second_left(void **state)
{
    (void)state;
    static const unsigned at_once[LIMIT] = {0};
    static const unsigned spread[] = {0, 0, 100, 100, 200, 300, 400, 500, 600, 700};
    static const unsigned many[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1000, 1000, 1100};
    static const struct {
        const char *sentence;
        const unsigned *at_ms;
        size_t count;
        uint64_t now_ns;
        uint32_t room;
    } rows[] = {
        {"Before the first transaction there is room for ten.", at_once, 0, AT(0), 10},
        {"One transaction leaves room for nine.", at_once, 1, AT(0), 9},
        {"Nine transactions leave room for one.", at_once, 9, AT(0), 1},
        {"Ten transactions leave no room.", at_once, 10, AT(0), 0},
        {"Just before the second is over there is still no room.", at_once, 10, AT(1000) - 1, 0},
        {"A second later they no longer count.", at_once, 10, AT(1000), 10},
        {"Only those that are a second old no longer count.", spread, 10, AT(1000), 2},
        {"A nanosecond earlier the next two still count.", spread, 10, AT(1100) - 1, 2},
        {"Room comes back in the order of the starts.", spread, 10, AT(1100), 4},
        {"The last one counts until a second after it.", spread, 10, AT(1700) - 1, 9},
        {"Then all ten may start.", spread, 10, AT(1700), 10},
        {"With fewer than ten, those a second old add to the room that never was used.", spread, 5, AT(1100), 9},
        {"Of more than ten the last ten are remembered: three of them are new.", many, 13, AT(1100), 7},
        {"Two of the new ones are a second old.", many, 13, AT(2000), 9},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_rate rate = used_at(rows[i].at_ms, rows[i].count);
        EXPECT_EQUAL(rows[i].sentence, npi_rate_room(&rate, rows[i].now_ns), rows[i].room);
    }
}

static void what_the_clock_leaves_out_counts(void **state)
{
    (void)state;
    static const unsigned spread[] = {0, 0, 100, 100, 200, 300, 400, 500, 600, 700};
    static const struct {
        const char *sentence;
        uint64_t gap_ns;
        uint32_t room;
    } rows[] = {
        {"Nothing was left out.", 0, 0},
        {"Not enough was left out for the first two.", 300 * NPI_MS - 1, 0},
        {"With what was left out the first two are a second old.", 300 * NPI_MS, 2},
        {"All are.", SECOND, 10},
        {"More was left out than the clock has counted.", UINT64_MAX, 10},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_rate rate = used_at(spread, COUNT(spread));
        npi_rate_pass(&rate, rows[i].gap_ns);
        EXPECT_EQUAL(rows[i].sentence, npi_rate_room(&rate, AT(700)), rows[i].room);
    }
}

static void ready_is_when_the_last_one_needed_is_a_second_old(void **state)
{
    (void)state;
    static const unsigned spread[] = {0, 0, 100, 100, 200, 300, 400, 500, 600, 700, 1000, 1250};
    static const struct {
        const char *sentence;
        size_t count;
        uint32_t wanted;
        uint64_t ready_ns;
    } rows[] = {
        {"Ten may start before any other has.", 0, 10, NPI_NOW},
        {"None is always ready.", 10, 0, NPI_NOW},
        {"Nine may follow one at once.", 1, 9, NPI_NOW},
        {"The tenth beside one waits for that one.", 1, 10, AT(1000)},
        {"After ten the next waits for the oldest.", 10, 1, AT(1000)},
        {"Two wait for the second oldest.", 10, 2, AT(1000)},
        {"Three wait for the third oldest.", 10, 3, AT(1100)},
        {"Ten wait for the latest.", 10, 10, AT(1700)},
        {"After eleven the oldest is the second that started.", 11, 1, AT(1000)},
        {"After twelve it is the third.", 12, 1, AT(1100)},
        {"After twelve ten wait for the twelfth.", 12, 10, AT(2250)},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_rate rate = used_at(spread, rows[i].count);
        EXPECT_TIME(rows[i].sentence, npi_rate_ready_ns(&rate, rows[i].wanted), rows[i].ready_ns);
    }
}

static void what_did_not_leave_is_given_back(void **state)
{
    (void)state;
    npi_rate rate = {{0}, 0};
    npi_rate_give_back(&rate);
    EXPECT_EQUAL("Nothing is given back before anything was used.", npi_rate_room(&rate, AT(0)), 10);
    npi_rate_use(&rate, AT(0));
    for (int i = 0; i < 9; i++)
        npi_rate_use(&rate, AT(500));
    npi_rate_give_back(&rate);
    EXPECT_EQUAL("One of ten given back leaves room for one.", npi_rate_room(&rate, AT(500)), 1);
    EXPECT_TIME("It was the latest: two may start when the first is a second old.", npi_rate_ready_ns(&rate, 2),
                AT(1000));
    npi_rate_use(&rate, AT(900));
    EXPECT_TIME("Its place is taken by the next to start.", npi_rate_ready_ns(&rate, 10), AT(1900));
    npi_rate_use(&rate, AT(1000)); /* the eleventh takes the place of the oldest */
    npi_rate_give_back(&rate);
    EXPECT_EQUAL("The eleventh given back leaves room for one.", npi_rate_room(&rate, AT(1000)), 1);
    EXPECT_EQUAL("The other nine count until their second is over.", npi_rate_room(&rate, AT(1500)), 9);
}

/* Steps of a generator that visits many patterns, the same in every run. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

/* What RFC 5780 asks for, counted from a list of all that started. */
static uint32_t started_within_a_second(const uint64_t *started, size_t count, uint64_t now_ns)
{
    uint32_t within = 0;
    for (size_t i = 0; i < count; i++)
        within += started[i] + SECOND > now_ns;
    return within;
}

/* Uses all there is at odd times, and gives some back: at each time room, ready and the plain count agree. */
static void no_second_sees_more_than_ten(void **state)
{
    (void)state;
    enum { STEPS = 3000 };
    static uint64_t started[STEPS];
    size_t count = 0;
    uint32_t seed = 1;
    uint64_t now = T0;
    npi_rate rate = {{0}, 0};
    for (size_t step = 0; step < STEPS; step++) {
        now += next_random(&seed) % 4 == 0 ? next_random(&seed) % 1200 * NPI_MS : next_random(&seed) % 90 * NPI_MS;
        uint32_t room = npi_rate_room(&rate, now);
        assert_int_equal(room, LIMIT - started_within_a_second(started, count, now));
        for (uint32_t n = 1; n <= LIMIT; n++)
            assert_int_equal(npi_rate_ready_ns(&rate, n) <= now, n <= room);
        if (room > 0) {
            npi_rate_use(&rate, now);
            started[count++] = now;
        }
        if (room > 0 && next_random(&seed) % 8 == 0) {
            npi_rate_give_back(&rate);
            count--;
        }
    }
    assert_true(count > STEPS / 4); /* enough happened */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_what_the_last_second_left),
        cmocka_unit_test(what_the_clock_leaves_out_counts),
        cmocka_unit_test(ready_is_when_the_last_one_needed_is_a_second_old),
        cmocka_unit_test(what_did_not_leave_is_given_back),
        cmocka_unit_test(no_second_sees_more_than_ten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
