/* SPDX-License-Identifier: MIT */
/* transaction: copies, their ages, answers and round trips. */
#include "transaction.h"

#include <string.h>

#include "unit.h"

#define T0 (UINT64_C(5000) * NPI_MS) /* no test starts at the clock's zero */

static const npi_stun_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* A transaction whose copies went out at the given milliseconds after T0. */
static npi_transaction sent_at(const unsigned *at_ms, size_t copies)
{
    npi_transaction t;
    npi_transaction_start(&t, &id, NPI_COPIES_MAX, T0);
    for (size_t i = 0; i < copies; i++)
        npi_transaction_sent(&t, T0 + at_ms[i] * NPI_MS, 10 * NPI_MS);
    return t;
}

static uint64_t answer_at(npi_transaction *t, unsigned at_ms)
{
    return npi_transaction_answered(t, T0 + at_ms * NPI_MS, NULL, false);
}

/* ---- Time ------------------------------------------------------------------------------------------------------- */

static void time_addition_saturates(void **state)
{
    (void)state;
    assert_true(npi_time_add(1, 2) == 3);
    assert_true(npi_time_add(NPI_NEVER, 0) == NPI_NEVER);
    assert_true(npi_time_add(NPI_NEVER, 1) == NPI_NEVER);
    assert_true(npi_time_add(1, NPI_NEVER) == NPI_NEVER);
    assert_true(npi_time_add(NPI_NEVER, NPI_NEVER) == NPI_NEVER);
    assert_true(npi_time_add(NPI_NEVER - 5, 4) == NPI_NEVER - 1);
    assert_true(npi_time_add(NPI_NEVER - 5, 5) == NPI_NEVER);
    assert_true(npi_time_add(NPI_NEVER - 5, 6) == NPI_NEVER);
}

/* ---- Round trips ------------------------------------------------------------------------------------------------ */

static void nothing_measured_never_ages(void **state)
{
    (void)state;
    npi_rtt rtt = {0};
    assert_true(npi_rtt_rto(&rtt) == NPI_NEVER);
    npi_rtt_sample(&rtt, 0, NPI_RTT_AMBIGUOUS); /* 0 is no sample */
    assert_int_equal(rtt.samples, 0);
    assert_true(npi_rtt_rto(&rtt) == NPI_NEVER);
}

static void first_sample_is_taken_whole(void **state)
{
    (void)state;
    npi_rtt rtt = {0};
    npi_rtt_sample(&rtt, 40 * NPI_MS, NPI_RTT_AMBIGUOUS);
    assert_int_equal(rtt.samples, 1);
    assert_true(rtt.smoothed_ns == 40 * NPI_MS);
    assert_true(rtt.lowest_ns == 40 * NPI_MS);
}

/* Whatever is allowed for jitter at first wears off when there is none. */
static void steady_path_has_a_horizon_just_behind_its_round_trip(void **state)
{
    (void)state;
    static const uint64_t round_trips[] = {1, 200000, 2 * NPI_MS, 40 * NPI_MS, 1500 * NPI_MS, 60000 * NPI_MS};
    for (size_t i = 0; i < COUNT(round_trips); i++) {
        npi_rtt rtt = {0};
        for (int n = 0; n < 20; n++) {
            npi_rtt_sample(&rtt, round_trips[i], NPI_RTT_AMBIGUOUS);
            assert_true(npi_rtt_rto(&rtt) > round_trips[i]);
            assert_true(npi_rtt_rto(&rtt) <= 2 * round_trips[i] + 10 * NPI_MS);
        }
        assert_true(npi_rtt_rto(&rtt) <= round_trips[i] + round_trips[i] / 100 + 10 * NPI_MS);
        assert_int_equal(rtt.samples, 20);
        assert_true(rtt.smoothed_ns == round_trips[i]);
    }
}

static void jitter_widens_the_horizon_beyond_what_was_seen(void **state)
{
    (void)state;
    npi_rtt rtt = {0};
    for (int n = 0; n < 20; n++)
        npi_rtt_sample(&rtt, (n % 2 == 0 ? 40 : 60) * NPI_MS, NPI_RTT_AMBIGUOUS);
    assert_true(rtt.smoothed_ns > 40 * NPI_MS && rtt.smoothed_ns < 60 * NPI_MS);
    assert_true(npi_rtt_rto(&rtt) > 60 * NPI_MS);
    assert_true(rtt.lowest_ns == 40 * NPI_MS);
}

/* RFC 6298 section 2.3: an eighth of the difference goes to the mean, a quarter of it to the deviation. */
static void sample_moves_mean_and_deviation_by_its_share(void **state)
{
    (void)state;
    npi_rtt rtt = {0};
    npi_rtt_sample(&rtt, 80 * NPI_MS, NPI_RTT_AMBIGUOUS);
    static const struct {
        uint64_t sample_ms, off_ms, smoothed_ms, lowest_ms;
    } rows[] = {{160, 80, 90, 80}, {50, 40, 85, 50}, {85, 0, 85, 50}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t before_ns = rtt.deviation_ns;
        npi_rtt_sample(&rtt, rows[i].sample_ms * NPI_MS, NPI_RTT_AMBIGUOUS);
        assert_true(rtt.smoothed_ns == rows[i].smoothed_ms * NPI_MS);
        assert_true(rtt.lowest_ns == rows[i].lowest_ms * NPI_MS);
        assert_true(rtt.deviation_ns == (3 * before_ns + rows[i].off_ms * NPI_MS) / 4);
        assert_true(npi_rtt_rto(&rtt) == rtt.smoothed_ns + 4 * rtt.deviation_ns);
    }
    assert_int_equal(rtt.samples, 4);
}

/* After losses the first answers may be timed from copies that were lost: far too long. */
static void exact_sample_far_below_the_mean_starts_the_estimate_anew(void **state)
{
    (void)state;
    npi_rtt rtt = {0};
    npi_rtt_sample(&rtt, 700 * NPI_MS, NPI_RTT_AMBIGUOUS);
    npi_rtt_sample(&rtt, 900 * NPI_MS, NPI_RTT_AMBIGUOUS);
    npi_rtt_sample(&rtt, 40 * NPI_MS, NPI_RTT_EXACT);
    assert_true(rtt.smoothed_ns == 40 * NPI_MS);
    assert_true(rtt.lowest_ns == 40 * NPI_MS);
    assert_true(npi_rtt_rto(&rtt) < 100 * NPI_MS);
    assert_int_equal(rtt.samples, 3);
}

/* One answer may be timed from the wrong copy; two in a row are believed. */
static void ambiguous_sample_far_below_the_mean_needs_a_second(void **state)
{
    (void)state;
    npi_rtt rtt = {0};
    npi_rtt_sample(&rtt, 800 * NPI_MS, NPI_RTT_AMBIGUOUS);
    npi_rtt_sample(&rtt, 40 * NPI_MS, NPI_RTT_AMBIGUOUS);
    assert_true(rtt.smoothed_ns > 400 * NPI_MS);
    npi_rtt_sample(&rtt, 800 * NPI_MS, NPI_RTT_AMBIGUOUS);
    npi_rtt_sample(&rtt, 40 * NPI_MS, NPI_RTT_AMBIGUOUS);
    assert_true(rtt.smoothed_ns > 400 * NPI_MS);
    npi_rtt_sample(&rtt, 40 * NPI_MS, NPI_RTT_AMBIGUOUS);
    assert_true(rtt.smoothed_ns == 40 * NPI_MS);
}

/* ---- Duplicates ------------------------------------------------------------------------------------------------- */

/* Copies are 10 ms apart: an answer less than 3 ms behind another may be the same one twice. */
static void answers_close_behind_others_are_likely_duplicates(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 20, 30};
    npi_transaction t = sent_at(at, COUNT(at));
    static const struct {
        unsigned us;
        uint32_t duplicates;
    } rows[] = {{50000, 0}, {52999, 1}, {55999, 1}, {55999, 2}, {60000, 2}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_transaction_answered(&t, T0 + rows[i].us * UINT64_C(1000), NULL, false);
        assert_int_equal(t.likely_duplicates, rows[i].duplicates);
    }
}

/* The second answer comes so long behind the first. Where copies left close together, so do the answers to them. */
static void close_is_half_of_the_least_gap_between_copies(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned at_ms[4];
        size_t copies;
        unsigned behind_us;
        uint32_t duplicates;
    } rows[] = {
        {"Copies 2 ms apart: 1 ms behind is another answer.", {0, 2, 4, 6}, 4, 1000, 0},
        {"Less is the same one twice.", {0, 2, 4, 6}, 4, 999, 1},
        {"The least gap counts, wherever it is: 4 ms.", {0, 10, 14, 100}, 4, 2000, 0},
        {"Less than its half is the same one twice.", {0, 10, 14, 100}, 4, 1999, 1},
        {"From 6 ms on it is 3 ms.", {0, 6, 12, 18}, 4, 2999, 1},
        {"Not more, however far they are apart.", {0, 100, 200, 300}, 4, 3000, 0},
        {"One copy has no gap: 3 ms.", {0}, 1, 2999, 1},
        {"Nor more.", {0}, 1, 3000, 0},
        {"Two copies that left together: every answer may be another one's.", {0, 0}, 2, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_transaction t = sent_at(rows[i].at_ms, rows[i].copies);
        npi_transaction_answered(&t, T0 + 500 * NPI_MS, NULL, false);
        npi_transaction_answered(&t, T0 + 500 * NPI_MS + rows[i].behind_us * UINT64_C(1000), NULL, false);
        if (t.likely_duplicates != rows[i].duplicates)
            fail_msg("%s", rows[i].says);
    }
}

static void copies_are_spread_if_no_two_left_nearer_to_each_other(void **state)
{
    (void)state;
    static const unsigned one[] = {0};
    static const unsigned even[] = {0, 100, 200};
    static const unsigned uneven[] = {0, 100, 199, 400};
    npi_transaction t = sent_at(one, COUNT(one));
    assert_true(npi_transaction_is_spread(&t, NPI_NEVER));
    t = sent_at(even, COUNT(even));
    assert_true(npi_transaction_is_spread(&t, 100 * NPI_MS));
    assert_false(npi_transaction_is_spread(&t, 100 * NPI_MS + 1));
    t = sent_at(uneven, COUNT(uneven));
    assert_false(npi_transaction_is_spread(&t, 100 * NPI_MS));
}

static void nearest_copy_gives_the_round_trip_next_to_the_expected(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 8, T0);
    for (uint64_t i = 0; i < 4; i++)
        npi_transaction_sent(&t, T0 + i * 10 * NPI_MS, 10 * NPI_MS);
    assert_true(npi_transaction_nearest(&t, T0 + 60 * NPI_MS, 41 * NPI_MS) == 40 * NPI_MS);
    assert_true(npi_transaction_nearest(&t, T0 + 60 * NPI_MS, 500 * NPI_MS) == 60 * NPI_MS);
    assert_true(npi_transaction_nearest(&t, T0 + 60 * NPI_MS, 1) == 30 * NPI_MS);
    assert_true(npi_transaction_last_ns(&t) == T0 + 30 * NPI_MS);
    assert_true(npi_transaction_next_aged_ns(&t, T0 + 25 * NPI_MS, 20 * NPI_MS) == T0 + 30 * NPI_MS);
    assert_true(npi_transaction_next_aged_ns(&t, T0 + 90 * NPI_MS, 20 * NPI_MS) == NPI_NEVER);
}

/* ---- Copies ----------------------------------------------------------------------------------------------------- */

static void started_is_due_at_once_and_not_before(void **state)
{
    (void)state;
    npi_transaction t;
    memset(&t, 0xa5, sizeof t);
    npi_transaction_start(&t, &id, 3, T0);
    assert_true(npi_stun_id_equal(&t.id, &id));
    assert_false(npi_transaction_due(&t, T0 - 1));
    assert_true(npi_transaction_due(&t, T0));
    assert_true(npi_transaction_due(&t, NPI_NEVER));
    assert_false(npi_transaction_is_answered(&t));
    assert_int_equal(t.sent, 0);
    assert_true(npi_transaction_all_aged_ns(&t, NPI_MS) == 0);
}

static void not_started_does_nothing(void **state)
{
    (void)state;
    npi_transaction t = {.started = false};
    assert_false(npi_transaction_due(&t, NPI_NEVER));
    assert_false(npi_transaction_is_answered(&t));
    assert_true(npi_transaction_answered(&t, T0, NULL, false) == 0);
    assert_int_equal(npi_transaction_aged(&t, NPI_NEVER, 0), 0);
}

static void copies_are_due_after_their_gaps_up_to_the_limit(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 3, T0);
    uint64_t now = T0;
    for (uint32_t n = 1; n <= 3; n++) {
        assert_true(npi_transaction_due(&t, now));
        npi_transaction_sent(&t, now, n * 10 * NPI_MS);
        assert_int_equal(t.sent, n);
        assert_false(npi_transaction_due(&t, now));
        now += n * 10 * NPI_MS;
        assert_false(npi_transaction_due(&t, now - 1));
    }
    assert_false(npi_transaction_due(&t, now));
    assert_false(npi_transaction_due(&t, NPI_NEVER));
    assert_true(t.next_ns == NPI_NEVER);
    assert_true(t.first_ns == T0);
}

static void gap_of_never_leaves_no_next_copy(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 3, T0);
    npi_transaction_sent(&t, T0, NPI_NEVER);
    assert_true(t.next_ns == NPI_NEVER);
    assert_false(npi_transaction_due(&t, NPI_NEVER - 1));
}

static void limit_of_zero_sends_nothing(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 0, T0);
    assert_false(npi_transaction_due(&t, T0));
}

static void limit_is_never_above_the_room_for_copies(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, UINT32_MAX, T0);
    assert_int_equal(t.limit, NPI_COPIES_MAX);
    for (unsigned n = 0; n < NPI_COPIES_MAX + 10; n++)
        npi_transaction_sent(&t, T0 + n * NPI_MS, NPI_MS);
    assert_int_equal(t.sent, NPI_COPIES_MAX);
    assert_false(npi_transaction_due(&t, NPI_NEVER));
}

static void stopped_is_never_due_but_still_takes_answers(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 3, T0);
    npi_transaction_sent(&t, T0, 10 * NPI_MS);
    npi_transaction_stop(&t);
    assert_false(npi_transaction_due(&t, NPI_NEVER));
    assert_true(t.next_ns == NPI_NEVER);
    assert_true(answer_at(&t, 40) == 40 * NPI_MS);
    assert_true(npi_transaction_is_answered(&t));
}

static void copy_that_did_not_leave_is_not_counted_and_due_again(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 1, T0);
    npi_transaction_sent(&t, T0, NPI_MS);
    npi_transaction_unsent(&t, T0 + 20 * NPI_MS);
    assert_int_equal(t.sent, 0);
    assert_false(npi_transaction_due(&t, T0 + 20 * NPI_MS - 1));
    assert_true(npi_transaction_due(&t, T0 + 20 * NPI_MS));
    npi_transaction_sent(&t, T0 + 20 * NPI_MS, NPI_MS);
    assert_true(answer_at(&t, 60) == 40 * NPI_MS); /* timed from the copy that left */
    npi_transaction_start(&t, &id, 1, T0);
    npi_transaction_unsent(&t, T0 + NPI_MS); /* nothing to take back */
    assert_int_equal(t.sent, 0);
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static void answers_belong_to_copies_in_order(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 30};
    npi_transaction t = sent_at(at, COUNT(at));
    for (size_t i = 0; i < COUNT(at); i++) {
        assert_true(answer_at(&t, at[i] + 40) == 40 * NPI_MS);
        assert_int_equal(t.answers, i + 1);
    }
    assert_true(t.answered_ns == T0 + 40 * NPI_MS);
}

static void after_a_loss_the_round_trip_is_an_upper_bound(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 30};
    npi_transaction t = sent_at(at, COUNT(at)); /* the first one is lost, the round trip is 40 ms */
    assert_true(answer_at(&t, 50) == 50 * NPI_MS);
    assert_true(answer_at(&t, 70) == 60 * NPI_MS);
}

static void duplicates_are_no_answers(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10};
    npi_transaction t = sent_at(at, COUNT(at));
    assert_true(answer_at(&t, 40) != 0);
    assert_true(answer_at(&t, 41) != 0); /* may be the second copy's: nobody can tell */
    for (unsigned ms = 42; ms < 60; ms++) {
        assert_true(answer_at(&t, ms) == 0);
        assert_int_equal(t.answers, 2);
    }
    assert_true(t.answered_ns == T0 + 40 * NPI_MS);
}

static void answer_before_any_copy_is_none(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 3, T0);
    assert_true(answer_at(&t, 1) == 0);
    assert_true(npi_transaction_answered(&t, T0 + 2 * NPI_MS, NULL, true) == 0); /* of a server that repeats */
    assert_false(npi_transaction_is_answered(&t));
    assert_false(npi_transaction_is_copy_answered(&t, 0));
    assert_true(t.answered_ns == NPI_NEVER);
}

/* A clock that stood still, or stepped, gives a round trip that is no 0: that would mean no answer. */
static void answers_to_each_copy_are_counted_however_many_come(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 100};
    npi_transaction t = sent_at(at, 2);
    assert_int_equal(npi_transaction_multiplicity(&t), 0);
    for (unsigned i = 0; i < 5; i++) {
        bool counts = answer_at(&t, 160 + 30 * i) != 0;
        assert_int_equal(counts, i < 2);
    }
    assert_int_equal(t.extra_answers, 3);
    assert_int_equal(npi_transaction_multiplicity(&t), 2);
    answer_at(&t, 400);
    assert_int_equal(npi_transaction_multiplicity(&t), 3);
    npi_transaction_start(&t, &id, 8, T0);
    assert_int_equal(npi_transaction_multiplicity(&t), 0);
}

static void answer_at_the_moment_of_sending_has_a_round_trip(void **state)
{
    (void)state;
    static const unsigned at[] = {5};
    npi_transaction t = sent_at(at, 1);
    assert_true(answer_at(&t, 5) != 0);
    t = sent_at(at, 1);
    uint64_t round_trip = answer_at(&t, 4);
    assert_true(round_trip != 0 && round_trip < NPI_MS);
}

/* Once something is known of the path, an answer belongs to the copy whose round trip fits best. */
static void nearest_copy_is_the_one_that_fits_what_is_known(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 30, 100};
    npi_transaction t = sent_at(at, COUNT(at));
    static const struct {
        unsigned now_ms, expected_ms, round_trip_ms;
    } rows[] = {
        {140, 40, 40}, {140, 1000, 140}, {140, 139, 140}, {140, 131, 130}, {140, 112, 110},
        {140, 60, 40}, {140, 90, 110},   {40, 40, 40},    {40, 31, 30},    {40, 12, 10},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t got = npi_transaction_nearest(&t, T0 + rows[i].now_ms * NPI_MS, rows[i].expected_ms * NPI_MS);
        assert_true(got == rows[i].round_trip_ms * NPI_MS);
    }
}

static void nearest_copy_is_none_before_the_first(void **state)
{
    (void)state;
    npi_transaction t;
    npi_transaction_start(&t, &id, 3, T0);
    assert_true(npi_transaction_nearest(&t, T0 + 40 * NPI_MS, 40 * NPI_MS) == 0);
    assert_true(npi_transaction_last_ns(&t) == 0);
    npi_transaction_sent(&t, T0, NPI_MS);
    uint64_t round_trip = npi_transaction_nearest(&t, T0, 40 * NPI_MS); /* at the moment of sending */
    assert_true(round_trip != 0 && round_trip < NPI_MS);
}

static void last_copy_is_the_one_sent_last(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 30};
    npi_transaction t = sent_at(at, COUNT(at));
    assert_true(npi_transaction_last_ns(&t) == T0 + 30 * NPI_MS);
    npi_transaction_unsent(&t, T0 + 50 * NPI_MS);
    assert_true(npi_transaction_last_ns(&t) == T0 + 10 * NPI_MS);
}

/* ---- Ages ------------------------------------------------------------------------------------------------------- */

static void copies_are_counted_from_a_time_on(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 30};
    npi_transaction t = sent_at(at, COUNT(at));
    static const struct {
        uint64_t from_ns;
        uint32_t sent;
        uint64_t first_ns;
    } rows[] = {{0, 3, T0},
                {T0, 3, T0},
                {T0 + 1, 2, T0 + 10 * NPI_MS},
                {T0 + 10 * NPI_MS, 2, T0 + 10 * NPI_MS},
                {T0 + 30 * NPI_MS, 1, T0 + 30 * NPI_MS},
                {T0 + 30 * NPI_MS + 1, 0, 0}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(npi_transaction_sent_since(&t, rows[i].from_ns), rows[i].sent);
        assert_true(npi_transaction_first_since(&t, rows[i].from_ns) == rows[i].first_ns);
    }
    memset(&t, 0, sizeof t);
    assert_int_equal(npi_transaction_sent_since(&t, 0), 0);
    assert_true(npi_transaction_first_since(&t, 0) == 0);
}

static void copies_age_one_by_one(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 30};
    npi_transaction t = sent_at(at, COUNT(at));
    static const struct {
        unsigned now_ms;
        uint32_t aged;
    } rows[] = {{0, 0}, {49, 0}, {50, 1}, {59, 1}, {60, 2}, {79, 2}, {80, 3}, {5000, 3}};
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(npi_transaction_aged(&t, T0 + rows[i].now_ms * NPI_MS, 50 * NPI_MS), rows[i].aged);
    assert_true(npi_transaction_all_aged_ns(&t, 50 * NPI_MS) == T0 + 80 * NPI_MS);
    assert_int_equal(npi_transaction_aged(&t, npi_transaction_all_aged_ns(&t, 7), 7), 3);
}

static void next_age_is_that_of_the_oldest_copy_still_young(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10, 30};
    npi_transaction t = sent_at(at, COUNT(at));
    static const struct {
        unsigned now_ms, next_ms;
    } rows[] = {{0, 50}, {49, 50}, {50, 60}, {59, 60}, {60, 80}, {79, 80}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t next = npi_transaction_next_aged_ns(&t, T0 + rows[i].now_ms * NPI_MS, 50 * NPI_MS);
        assert_true(next == T0 + rows[i].next_ms * NPI_MS);
    }
    assert_true(npi_transaction_next_aged_ns(&t, T0 + 80 * NPI_MS, 50 * NPI_MS) == NPI_NEVER);
    assert_true(npi_transaction_next_aged_ns(&t, T0, NPI_NEVER) == NPI_NEVER);
    npi_transaction_start(&t, &id, 3, T0);
    assert_true(npi_transaction_next_aged_ns(&t, T0, 50 * NPI_MS) == NPI_NEVER);
}

static void nothing_reaches_an_age_of_never(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 10};
    npi_transaction t = sent_at(at, COUNT(at));
    assert_int_equal(npi_transaction_aged(&t, NPI_NEVER - 1, NPI_NEVER), 0);
    assert_true(npi_transaction_all_aged_ns(&t, NPI_NEVER) == NPI_NEVER);
}

static void copies_hours_apart_stay_in_order(void **state)
{
    (void)state;
    static const unsigned at[] = {0, 4000000, 8000000};
    npi_transaction t = sent_at(at, COUNT(at));
    assert_int_equal(npi_transaction_aged(&t, T0 + 100 * NPI_MS, 50 * NPI_MS), 1);
    assert_int_equal(npi_transaction_aged(&t, T0 + 4000100 * NPI_MS, 50 * NPI_MS), 2);
    assert_int_equal(npi_transaction_aged(&t, NPI_NEVER, 50 * NPI_MS), 3);
    assert_true(t.sent_us[2] >= t.sent_us[1]);
}

static void moments_of_copies_and_bunches_of_answers_are_counted(void **state)
{
    (void)state;
    static const unsigned at_ms[] = {0, 2, 4, 250, 350, 449};
    static const unsigned answers_ms[] = {500, 549, 598, 648, 700};
    npi_transaction t = sent_at(at_ms, COUNT(at_ms));
    assert_int_equal(npi_transaction_moments(&t, T0 + 1000 * NPI_MS, 100 * NPI_MS, 100 * NPI_MS), 3);
    assert_int_equal(npi_transaction_moments(&t, T0 + 1000 * NPI_MS, 100 * NPI_MS, 99 * NPI_MS), 4);
    assert_int_equal(npi_transaction_moments(&t, T0 + 449 * NPI_MS, 100 * NPI_MS, 99 * NPI_MS), 2);
    for (size_t i = 0; i < COUNT(answers_ms); i++)
        answer_at(&t, answers_ms[i]);
    assert_int_equal(t.bunches, 3);
    answer_at(&t, 800);
    answer_at(&t, 900); /* beyond the copies */
    assert_int_equal(t.bunches, 5);
}

static void jitter_parts_answers_of_one_bunch(void **state)
{
    (void)state;
    static const unsigned at_ms[] = {0, 2, 4};
    static const struct {
        unsigned deviation_ms;
        unsigned last_ms; /* when the second answer came, 100 ms after the start came the first */
        unsigned bunches;
    } rows[] = {{0, 149, 1}, {0, 150, 2}, {25, 149, 1}, {25, 150, 2}, {26, 151, 1}, {26, 152, 2}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_transaction t = sent_at(at_ms, COUNT(at_ms));
        npi_rtt usual = {.smoothed_ns = 100 * NPI_MS, .deviation_ns = rows[i].deviation_ms * NPI_MS, .samples = 2};
        npi_transaction_answered(&t, T0 + 100 * NPI_MS, &usual, true);
        npi_transaction_answered(&t, T0 + rows[i].last_ms * NPI_MS, &usual, true);
        assert_int_equal(t.bunches, rows[i].bunches);
    }
}

static void answer_is_for_the_copy_with_the_usual_round_trip(void **state)
{
    (void)state;
    static const unsigned at_ms[] = {0, 30, 60, 90};
    static const struct {
        const char *says;
        unsigned usual_ms; /* 0: not known */
        bool repeats;
        unsigned answers_ms[4];
        unsigned copies; /* that were answered then; a bit each */
    } rows[] = {
        {"Nothing is known: the oldest.", 0, false, {130}, 0x1},
        {"Then the next.", 0, false, {130, 130}, 0x3},
        {"The copy that left a round trip before.", 40, false, {100}, 0x4},
        {"The nearest to it.", 40, false, {102}, 0x4},
        {"It is answered: of the others none is usual, so the oldest.", 40, false, {100, 101}, 0x5},
        {"An answer that was held up is for the oldest.", 40, false, {500}, 0x1},
        {"One that fits no copy is as well.", 40, false, {112}, 0x1},
        {"All are answered.", 40, false, {40, 70, 100, 130}, 0xf},
        {"The answer again.", 40, true, {100, 101}, 0x4},
        {"One for the next copy.", 40, true, {100, 130}, 0xc},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_transaction t = sent_at(at_ms, COUNT(at_ms));
        npi_rtt usual = {0};
        npi_rtt_sample(&usual, rows[i].usual_ms * NPI_MS, NPI_RTT_EXACT);
        for (size_t n = 0; n < COUNT(rows[i].answers_ms) && rows[i].answers_ms[n] != 0; n++)
            npi_transaction_answered(&t, T0 + rows[i].answers_ms[n] * NPI_MS, &usual, rows[i].repeats);
        unsigned copies = 0;
        for (uint32_t c = 0; c < t.sent; c++)
            copies |= npi_transaction_is_copy_answered(&t, c) ? 1U << c : 0;
        if (copies != rows[i].copies)
            fail_msg("%s Got 0x%x, expected 0x%x.", rows[i].says, copies, rows[i].copies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_addition_saturates),
        cmocka_unit_test(nothing_measured_never_ages),
        cmocka_unit_test(first_sample_is_taken_whole),
        cmocka_unit_test(steady_path_has_a_horizon_just_behind_its_round_trip),
        cmocka_unit_test(jitter_widens_the_horizon_beyond_what_was_seen),
        cmocka_unit_test(sample_moves_mean_and_deviation_by_its_share),
        cmocka_unit_test(exact_sample_far_below_the_mean_starts_the_estimate_anew),
        cmocka_unit_test(ambiguous_sample_far_below_the_mean_needs_a_second),
        cmocka_unit_test(answers_to_each_copy_are_counted_however_many_come),
        cmocka_unit_test(answers_close_behind_others_are_likely_duplicates),
        cmocka_unit_test(close_is_half_of_the_least_gap_between_copies),
        cmocka_unit_test(copies_are_spread_if_no_two_left_nearer_to_each_other),
        cmocka_unit_test(nearest_copy_gives_the_round_trip_next_to_the_expected),
        cmocka_unit_test(started_is_due_at_once_and_not_before),
        cmocka_unit_test(not_started_does_nothing),
        cmocka_unit_test(copies_are_due_after_their_gaps_up_to_the_limit),
        cmocka_unit_test(gap_of_never_leaves_no_next_copy),
        cmocka_unit_test(limit_of_zero_sends_nothing),
        cmocka_unit_test(limit_is_never_above_the_room_for_copies),
        cmocka_unit_test(stopped_is_never_due_but_still_takes_answers),
        cmocka_unit_test(copy_that_did_not_leave_is_not_counted_and_due_again),
        cmocka_unit_test(answers_belong_to_copies_in_order),
        cmocka_unit_test(moments_of_copies_and_bunches_of_answers_are_counted),
        cmocka_unit_test(jitter_parts_answers_of_one_bunch),
        cmocka_unit_test(answer_is_for_the_copy_with_the_usual_round_trip),
        cmocka_unit_test(after_a_loss_the_round_trip_is_an_upper_bound),
        cmocka_unit_test(duplicates_are_no_answers),
        cmocka_unit_test(answer_before_any_copy_is_none),
        cmocka_unit_test(answer_at_the_moment_of_sending_has_a_round_trip),
        cmocka_unit_test(nearest_copy_is_the_one_that_fits_what_is_known),
        cmocka_unit_test(nearest_copy_is_none_before_the_first),
        cmocka_unit_test(last_copy_is_the_one_sent_last),
        cmocka_unit_test(copies_are_counted_from_a_time_on),
        cmocka_unit_test(copies_age_one_by_one),
        cmocka_unit_test(next_age_is_that_of_the_oldest_copy_still_young),
        cmocka_unit_test(nothing_reaches_an_age_of_never),
        cmocka_unit_test(copies_hours_apart_stay_in_order),
    };
    return cmocka_run_group_tests_name("transaction", tests, NULL, NULL);
}
