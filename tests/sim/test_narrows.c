/* SPDX-License-Identifier: MIT */
/* What the narrow places of a path let pass, and when: the classes of worlds rest on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "narrows.h"

#define SIZE 72 /* with headers of IPv4 100 bytes, 800 bits */
#define DROPPED UINT64_MAX
#define STREAM 12

typedef struct stage {
    world world;
    narrows narrows;
    endpoint client;
    unsigned server;
} stage;

static void set_stage(stage *s)
{
    *s = (stage){.client = endpoint_v4(192, 0, 2, 1, 4000)};
    world_quiet(&s->world, 1);
}

/* How long a datagram waits, or DROPPED. */
static uint64_t enter(stage *s, uint64_t age_ns, unsigned direction, bool inside)
{
    uint64_t delay_ns;
    narrows_entry e = {.now_ns = s->world.start_ns + age_ns,
                       .direction = direction,
                       .inside = inside,
                       .outside = !inside,
                       .server = s->server,
                       .client = &s->client,
                       .size = SIZE};
    return narrows_admit(&s->narrows, &s->world, &e, &delay_ns) ? delay_ns : DROPPED;
}

static uint64_t enter_outside(stage *s, uint64_t age_ns)
{
    return enter(s, age_ns, UP, false);
}

/* How many of so many datagrams, sent so far apart, pass. */
static unsigned passing(stage *s, unsigned count, uint64_t apart_ns)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < count; i++)
        passed += enter_outside(s, i * apart_ns) != DROPPED;
    return passed;
}

static void nothing_is_narrow_in_a_quiet_world(void **state)
{
    stage s;
    (void)state;
    set_stage(&s);
    assert_false(world_is_narrow(&s.world));
    for (unsigned i = 0; i < STREAM; i++)
        assert_int_equal(enter_outside(&s, 0), 0);
}

static void a_gap_drops_one_way_for_its_time(void **state)
{
    stage s;
    (void)state;
    set_stage(&s);
    s.world.link.gap[0] = (link_gap){.at_ns = 10 * MS, .for_ns = 5 * MS, .hits = {[DOWN] = true}};
    s.world.link.gaps = 1;
    assert_true(world_is_narrow(&s.world));
    assert_int_equal(enter(&s, 10 * MS - 1, DOWN, false), 0);
    assert_true(enter(&s, 10 * MS, DOWN, false) == DROPPED);
    assert_true(enter(&s, 15 * MS - 1, DOWN, false) == DROPPED);
    assert_int_equal(enter(&s, 15 * MS, DOWN, false), 0);
    assert_int_equal(enter(&s, 12 * MS, UP, false), 0);
    assert_int_equal(enter(&s, 12 * MS, DOWN, true), 0);
    s.world.link.gap[0].inside = true;
    assert_true(enter(&s, 12 * MS, DOWN, true) == DROPPED);
}

static void put_limit(stage *s, rate_limit limit)
{
    set_stage(s);
    s->world.link.limit = limit;
}

static void a_limit_passes_its_burst_and_then_its_rate(void **state)
{
    static const rate_limit limit = {.place = LIMIT_OUTSIDE, .hits = {[UP] = true}, .per_second = 50, .burst = 5};
    stage s;
    (void)state;
    put_limit(&s, limit);
    assert_int_equal(passing(&s, STREAM, 0), 5);
    put_limit(&s, limit);
    assert_int_equal(passing(&s, STREAM, 20 * MS), STREAM);
    put_limit(&s, limit);
    assert_int_equal(passing(&s, 100, 10 * MS), 5 + 49); /* one more every 20 ms of the second */
    assert_int_equal(enter(&s, 0, DOWN, false), 0);
    assert_int_equal(enter(&s, 0, UP, true), 0);
    assert_int_equal(enter_outside(&s, 100 * SECOND), 0); /* the bucket is full again, and not fuller */
    assert_int_equal(enter_outside(&s, 100 * SECOND), 0);
}

static void a_limit_that_queues_passes_at_its_rate(void **state)
{
    stage s;
    (void)state;
    put_limit(&s,
              (rate_limit){.place = LIMIT_OUTSIDE, .hits = {[UP] = true}, .per_second = 10, .burst = 1, .queue = 2});
    assert_int_equal(enter_outside(&s, 0), 0);
    assert_int_equal(enter_outside(&s, 0), 100 * MS);
    assert_int_equal(enter_outside(&s, 0), 200 * MS);
    assert_true(enter_outside(&s, 0) == DROPPED);
    assert_int_equal(enter_outside(&s, 150 * MS), 150 * MS);
}

static void a_limit_counts_who_it_is_told_to(void **state)
{
    static const rate_limit limit = {.place = LIMIT_SERVERS, .hits = {true, true}, .per_second = 10, .burst = 1};
    stage s;
    (void)state;
    put_limit(&s, limit);
    assert_int_equal(enter_outside(&s, 0), 0);
    assert_int_equal(enter(&s, 0, DOWN, false), 0); /* each direction for itself */
    s.client.port++;
    assert_true(enter_outside(&s, 0) == DROPPED); /* the same address */
    s.world.link.limit.by_port = true;
    assert_int_equal(enter_outside(&s, 0), 0);
    s.world.link.limit.by_port = false;
    s.server = 1;
    assert_int_equal(enter_outside(&s, 0), 0); /* each server for itself */
    s.world.link.limit.place = LIMIT_OUTSIDE;
    assert_true(enter_outside(&s, 0) == DROPPED); /* one router for all servers */
    s.client = endpoint_v4(192, 0, 2, 2, 4000);
    assert_int_equal(enter_outside(&s, 0), 0);
}

static void a_slow_link_makes_wait(void **state)
{
    stage s;
    (void)state;
    set_stage(&s);
    s.world.link.slow[UP] = (slow_link){.bits_per_s = 80000, .queue_ns = 20 * MS};
    assert_true(world_is_narrow(&s.world));
    assert_int_equal(enter_outside(&s, 0), 10 * MS);
    assert_int_equal(enter_outside(&s, 5 * MS), 15 * MS);
    assert_int_equal(enter_outside(&s, 5 * MS), 25 * MS);
    assert_true(enter_outside(&s, 5 * MS) == DROPPED);
    assert_int_equal(enter_outside(&s, 10 * MS), 30 * MS);
    assert_int_equal(enter(&s, 10 * MS, DOWN, false), 0);
    assert_int_equal(enter(&s, 10 * MS, UP, true), 0);
    s.world.family = 6; /* 20 bytes more */
    assert_int_equal(enter_outside(&s, SECOND), 12 * MS);
}

static void a_small_queue_drops_the_last(void **state)
{
    stage s;
    (void)state;
    set_stage(&s);
    s.world.link.slow[UP] = (slow_link){.bits_per_s = 80000, .queue_packets = 4};
    assert_int_equal(passing(&s, STREAM, 0), 1 + 4);
    assert_int_equal(enter_outside(&s, 10 * MS), 50 * MS); /* one has left */
    assert_true(enter_outside(&s, 10 * MS) == DROPPED);
    assert_int_equal(enter_outside(&s, SECOND), 10 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_narrow_in_a_quiet_world),
        cmocka_unit_test(a_gap_drops_one_way_for_its_time),
        cmocka_unit_test(a_limit_passes_its_burst_and_then_its_rate),
        cmocka_unit_test(a_limit_that_queues_passes_at_its_rate),
        cmocka_unit_test(a_limit_counts_who_it_is_told_to),
        cmocka_unit_test(a_slow_link_makes_wait),
        cmocka_unit_test(a_small_queue_drops_the_last),
    };
    return cmocka_run_group_tests_name("narrows", tests, NULL, NULL);
}
