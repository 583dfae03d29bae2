/* SPDX-License-Identifier: MIT */
/* When a watch makes its next check: rows of what happens, and a day of virtual time in thousands of histories. */
#include "unit.h"

#include <natprobe/natprobe.h>

#include "renewal.h"

#define INTERVAL_NS (7200 * NPI_S)
#define DAY_NS (86400 * NPI_S)
#define HISTORIES 3000
#define MIDDLE 512 /* the random number that stretches no interval */

static const npi_renewal_outcome unchanged = {true, false, NPI_NEVER};
static const npi_renewal_outcome no_verdict = {false, false, NPI_NEVER};

/* A watch whose first check began at 0 and took a second. */
static npi_renewal checked(const npi_renewal_outcome *outcome)
{
    npi_renewal r;
    npi_renewal_init(&r, INTERVAL_NS);
    npi_renewal_begin(&r, 0, NP_WATCH_REASON_START);
    npi_renewal_end(&r, NPI_S, outcome, MIDDLE);
    return r;
}

static void first_check_is_due_at_once(void **state)
{
    (void)state;
    npi_renewal r;
    npi_renewal_init(&r, INTERVAL_NS);
    assert_int_equal(npi_renewal_due_ns(&r), NPI_NOW);
    assert_int_equal(npi_renewal_reason(&r, 5), NP_WATCH_REASON_START);
    npi_renewal_begin(&r, 5, NP_WATCH_REASON_START);
    assert_true(npi_renewal_due_ns(&r) == NPI_NEVER);
    assert_int_equal(npi_renewal_reason(&r, DAY_NS), NP_WATCH_REASON_NONE);
}

typedef enum what { CHANGE, RESUME, FAILURE } what;

typedef struct row {
    const char *says;
    what first;
    uint64_t at_ms; /* of the first */
    int32_t second; /* -1: nothing else */
    uint64_t second_at_ms;
    uint64_t due_ms;
    int32_t reason;
} row;

static const row rows[] = {
    {"a change waits for 200 ms of quiet", CHANGE, 20000, -1, 0, 20200, NP_WATCH_REASON_NETWORK},
    {"a second notice makes it wait again", CHANGE, 20000, CHANGE, 20150, 20350, NP_WATCH_REASON_NETWORK},
    {"but not for more than 800 ms", CHANGE, 20000, CHANGE, 20790, 20800, NP_WATCH_REASON_NETWORK},
    {"a change within 10 s of the check before waits for them", CHANGE, 3000, -1, 0, 10000, NP_WATCH_REASON_NETWORK},
    {"one just before their end waits for the quiet", CHANGE, 9900, -1, 0, 10100, NP_WATCH_REASON_NETWORK},
    {"a suspension is told as such", RESUME, 20000, -1, 0, 20200, NP_WATCH_REASON_RESUME},
    {"also if the network changes with it", RESUME, 20000, CHANGE, 20100, 20300, NP_WATCH_REASON_RESUME},
    {"a failure is answered at once", FAILURE, 20000, -1, 0, 20000, NP_WATCH_REASON_FAILURE},
    {"within 10 s it waits for them", FAILURE, 4000, -1, 0, 10000, NP_WATCH_REASON_FAILURE},
    {"a change says more than a failure", FAILURE, 4000, CHANGE, 5000, 10000, NP_WATCH_REASON_NETWORK},
    {"a failure does not wait for the quiet after a change", CHANGE, 20000, FAILURE, 20050, 20050,
     NP_WATCH_REASON_FAILURE},
};

static void note(npi_renewal *r, int32_t which, uint64_t at_ms)
{
    if (which == FAILURE)
        npi_renewal_note_failure(r, at_ms * NPI_MS);
    else if (which >= 0)
        npi_renewal_note_change(r, at_ms * NPI_MS, which == RESUME);
}

static void what_happens_makes_a_check_due(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const row *w = &rows[i];
        npi_renewal r = checked(&unchanged);
        note(&r, (int32_t)w->first, w->at_ms);
        note(&r, w->second, w->second_at_ms);
        if (npi_renewal_due_ns(&r) != w->due_ms * NPI_MS)
            fail_msg("%s: due at %llu ms", w->says, (unsigned long long)(npi_renewal_due_ns(&r) / NPI_MS));
        assert_int_equal(npi_renewal_reason(&r, w->due_ms * NPI_MS - 1), NP_WATCH_REASON_NONE);
        if (npi_renewal_reason(&r, w->due_ms * NPI_MS) != w->reason)
            fail_msg("%s: reason %d", w->says, (int)npi_renewal_reason(&r, w->due_ms * NPI_MS));
    }
}

static void what_happens_during_a_check_asks_for_another(void **state)
{
    (void)state;
    npi_renewal r;
    npi_renewal_init(&r, INTERVAL_NS);
    npi_renewal_begin(&r, 0, NP_WATCH_REASON_START);
    npi_renewal_note_change(&r, NPI_S, false);
    npi_renewal_end(&r, 2 * NPI_S, &unchanged, MIDDLE);
    assert_int_equal(npi_renewal_due_ns(&r), NPI_RENEWAL_GAP_NS);
    assert_int_equal(npi_renewal_reason(&r, NPI_RENEWAL_GAP_NS), NP_WATCH_REASON_NETWORK);
}

static void retries_double_from_30_s_to_10_min(void **state)
{
    (void)state;
    static const uint64_t gaps_s[] = {30, 60, 120, 240, 480, 600, 600, 600};
    npi_renewal r = checked(&no_verdict);
    uint64_t now_ns = NPI_S;
    for (size_t i = 0; i < COUNT(gaps_s); i++) {
        assert_int_equal(npi_renewal_due_ns(&r), now_ns + gaps_s[i] * NPI_S);
        now_ns = npi_renewal_due_ns(&r);
        assert_int_equal(npi_renewal_reason(&r, now_ns), NP_WATCH_REASON_RETRY);
        npi_renewal_begin(&r, now_ns, NP_WATCH_REASON_RETRY);
        now_ns += 3 * NPI_S;
        npi_renewal_end(&r, now_ns, &no_verdict, MIDDLE);
    }
    /* A verdict, or another network, begins anew. */
    npi_renewal_note_change(&r, now_ns, false);
    npi_renewal_begin(&r, now_ns + NPI_S, NP_WATCH_REASON_NETWORK);
    npi_renewal_end(&r, now_ns + 2 * NPI_S, &no_verdict, MIDDLE);
    assert_int_equal(npi_renewal_due_ns(&r), now_ns + 32 * NPI_S);
    npi_renewal_begin(&r, now_ns + 32 * NPI_S, NP_WATCH_REASON_RETRY);
    npi_renewal_end(&r, now_ns + 33 * NPI_S, &unchanged, MIDDLE);
    npi_renewal_begin(&r, now_ns + 50 * NPI_S, NP_WATCH_REASON_FAILURE);
    npi_renewal_end(&r, now_ns + 51 * NPI_S, &no_verdict, MIDDLE);
    assert_int_equal(npi_renewal_due_ns(&r), now_ns + 81 * NPI_S);
}

static void without_a_way_nothing_is_waited_for(void **state)
{
    (void)state;
    npi_renewal r = checked(&unchanged);
    npi_renewal_note_way(&r, false);
    npi_renewal_note_change(&r, 2 * NPI_S, false);
    assert_int_equal(npi_renewal_due_ns(&r), 2 * NPI_S + NPI_RENEWAL_QUIET_NS);
    npi_renewal_skip(&r, 3 * NPI_S, MIDDLE);
    assert_int_equal(npi_renewal_due_ns(&r), 33 * NPI_S);
    npi_renewal_note_way(&r, true);
    npi_renewal_note_change(&r, 4 * NPI_S, false);
    assert_int_equal(npi_renewal_due_ns(&r), NPI_RENEWAL_GAP_NS); /* of the check that did send */
}

static void failures_that_nothing_follows_are_believed_less(void **state)
{
    (void)state;
    static const uint64_t gaps_s[] = {10, 20, 40, 80, 160, 320, 600, 600};
    npi_renewal r = checked(&unchanged);
    uint64_t began_ns = 0;
    for (size_t i = 0; i < COUNT(gaps_s); i++) {
        npi_renewal_note_failure(&r, began_ns + 2 * NPI_S);
        assert_int_equal(npi_renewal_due_ns(&r), began_ns + gaps_s[i] * NPI_S);
        began_ns = npi_renewal_due_ns(&r);
        npi_renewal_begin(&r, began_ns, npi_renewal_reason(&r, began_ns));
        npi_renewal_end(&r, began_ns + NPI_S, &unchanged, MIDDLE);
    }
    npi_renewal_note_failure(&r, began_ns + NPI_S);
    npi_renewal_note_change(&r, began_ns + NPI_S, false); /* that is answered as soon as ever */
    assert_int_equal(npi_renewal_due_ns(&r), began_ns + NPI_RENEWAL_GAP_NS);
    npi_renewal_begin(&r, began_ns + 10 * NPI_S, NP_WATCH_REASON_NETWORK);
    npi_renewal_end(&r, began_ns + 11 * NPI_S, &(npi_renewal_outcome){true, true, NPI_NEVER}, MIDDLE);
    npi_renewal_note_failure(&r, began_ns + 12 * NPI_S);
    assert_int_equal(npi_renewal_due_ns(&r), began_ns + 20 * NPI_S);
}

static void filtering_is_tested_later(void **state)
{
    (void)state;
    npi_renewal r = checked(&(npi_renewal_outcome){true, true, 301 * NPI_S});
    assert_int_equal(npi_renewal_due_ns(&r), 301 * NPI_S);
    assert_int_equal(npi_renewal_reason(&r, 301 * NPI_S), NP_WATCH_REASON_FILTERING);
    npi_renewal_begin(&r, 301 * NPI_S, NP_WATCH_REASON_FILTERING);
    npi_renewal_end(&r, 302 * NPI_S, &unchanged, MIDDLE);
    assert_int_equal(npi_renewal_due_ns(&r), 302 * NPI_S + INTERVAL_NS);
}

static void interval_is_spread_by_a_tenth(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {0, 1, 511, 512, 1023, 1024, 4711, UINT32_MAX};
    for (size_t i = 0; i < COUNT(numbers); i++) {
        npi_renewal r;
        npi_renewal_init(&r, INTERVAL_NS);
        npi_renewal_begin(&r, 0, NP_WATCH_REASON_START);
        npi_renewal_end(&r, 0, &unchanged, numbers[i]);
        assert_in_range(npi_renewal_due_ns(&r), INTERVAL_NS / 10 * 9, INTERVAL_NS / 10 * 11);
        assert_int_equal(npi_renewal_reason(&r, npi_renewal_due_ns(&r)), NP_WATCH_REASON_INTERVAL);
    }
    npi_renewal low = checked(&unchanged), high = checked(&unchanged);
    npi_renewal_end(&low, 0, &unchanged, 0);
    npi_renewal_end(&high, 0, &unchanged, 1023);
    assert_true(npi_renewal_due_ns(&high) - npi_renewal_due_ns(&low) > INTERVAL_NS / 6);
}

static void no_interval_is_no_check(void **state)
{
    (void)state;
    npi_renewal r;
    npi_renewal_init(&r, 0);
    npi_renewal_begin(&r, 0, NP_WATCH_REASON_START);
    npi_renewal_end(&r, NPI_S, &unchanged, MIDDLE);
    assert_true(npi_renewal_due_ns(&r) == NPI_NEVER);
    npi_renewal_note_failure(&r, DAY_NS);
    assert_int_equal(npi_renewal_due_ns(&r), DAY_NS);
}

/* ---- A day ------------------------------------------------------------------------------------------------------- */

static uint64_t seed;

static uint64_t number(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t below(uint64_t limit)
{
    return number() % limit;
}

/* What the world does next, and what the rules of the page above then say must come. */
typedef struct world {
    npi_renewal r;
    uint64_t now_ns, began_ns, ends_ns, next_event_ns;
    uint64_t must_by_ns; /* a change has to be followed by a check until then; NPI_NEVER: none was noticed */
    uint64_t busyness;   /* how often things happen */
    bool has_verdict;
    size_t checks;
} world;

static void happen(world *w)
{
    w->next_event_ns = w->now_ns + below(w->busyness);
    switch (below(6)) {
    case 0:
        npi_renewal_note_failure(&w->r, w->now_ns);
        return;
    case 1:
        npi_renewal_note_way(&w->r, below(3) > 0);
        return;
    default:
        npi_renewal_note_change(&w->r, w->now_ns, below(4) == 0);
        if (w->must_by_ns == NPI_NEVER)
            w->must_by_ns = w->now_ns + NPI_RENEWAL_SETTLE_NS;
    }
}

static void end_check(world *w)
{
    npi_renewal_outcome outcome = {below(3) > 0, below(2) > 0,
                                   below(4) > 0 ? NPI_NEVER : w->now_ns + below(300 * NPI_S)};
    npi_renewal_end(&w->r, w->now_ns, &outcome, (uint32_t)number());
    w->has_verdict = outcome.has_verdict;
    w->ends_ns = NPI_NEVER;
}

static void begin_check(world *w)
{
    int32_t reason = npi_renewal_reason(&w->r, w->now_ns);
    assert_int_not_equal(reason, NP_WATCH_REASON_NONE);
    uint64_t earliest_ns = w->checks == 0 ? 0 : w->began_ns + NPI_RENEWAL_GAP_NS;
    w->must_by_ns = NPI_NEVER;
    if (!w->r.has_way) {
        npi_renewal_skip(&w->r, w->now_ns, (uint32_t)number());
        assert_true(npi_renewal_due_ns(&w->r) > w->now_ns);
        w->has_verdict = false;
        return;
    }
    assert_true(w->now_ns >= earliest_ns);
    if (reason == NP_WATCH_REASON_RETRY)
        assert_false(w->has_verdict);
    npi_renewal_begin(&w->r, w->now_ns, reason);
    w->began_ns = w->now_ns;
    w->ends_ns = w->now_ns + below(10 * NPI_S);
    w->checks++;
}

/* Time goes on to whatever comes first, and a caller who waits for the due time misses nothing. */
static void step(world *w)
{
    uint64_t due_ns = npi_renewal_due_ns(&w->r);
    uint64_t latest_ns = w->must_by_ns;
    if (latest_ns != NPI_NEVER && w->ends_ns == NPI_NEVER) {
        if (w->r.has_way && w->checks > 0)
            latest_ns = npi_time_max(latest_ns, w->began_ns + NPI_RENEWAL_GAP_NS);
        assert_true(due_ns <= npi_time_max(latest_ns, w->now_ns));
    }
    if (w->ends_ns == NPI_NEVER)
        assert_true(due_ns <= w->now_ns + INTERVAL_NS / 10 * 11);
    uint64_t next_ns = npi_time_min(npi_time_min(due_ns, w->ends_ns), w->next_event_ns);
    w->now_ns = npi_time_max(w->now_ns, next_ns);
    if (w->ends_ns <= w->now_ns)
        end_check(w);
    else if (w->next_event_ns <= w->now_ns)
        happen(w);
    else
        begin_check(w);
}

static void day_of_virtual_time(void **state)
{
    (void)state;
    static const uint64_t paces[] = {NPI_S / 5, 5 * NPI_S, 60 * NPI_S, 3600 * NPI_S, 40000 * NPI_S};
    size_t checks = 0;
    for (uint64_t i = 1; i <= HISTORIES; i++) {
        world w = {.ends_ns = NPI_NEVER, .must_by_ns = NPI_NEVER, .busyness = paces[i % COUNT(paces)]};
        uint64_t length_ns = w.busyness < 60 * NPI_S ? DAY_NS / 60 : DAY_NS;
        seed = i * UINT64_C(0x9e3779b97f4a7c15);
        npi_renewal_init(&w.r, INTERVAL_NS);
        w.next_event_ns = below(w.busyness);
        while (w.now_ns < length_ns)
            step(&w);
        assert_true(w.checks <= length_ns / NPI_RENEWAL_GAP_NS + 1);
        checks += w.checks;
    }
    assert_true(checks > 100 * HISTORIES / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_check_is_due_at_once),
        cmocka_unit_test(what_happens_makes_a_check_due),
        cmocka_unit_test(what_happens_during_a_check_asks_for_another),
        cmocka_unit_test(retries_double_from_30_s_to_10_min),
        cmocka_unit_test(without_a_way_nothing_is_waited_for),
        cmocka_unit_test(failures_that_nothing_follows_are_believed_less),
        cmocka_unit_test(filtering_is_tested_later),
        cmocka_unit_test(interval_is_spread_by_a_tenth),
        cmocka_unit_test(no_interval_is_no_check),
        cmocka_unit_test(day_of_virtual_time),
    };
    return cmocka_run_group_tests_name("renewal", tests, NULL, NULL);
}
