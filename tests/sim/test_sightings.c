/* SPDX-License-Identifier: MIT */
/* The counts around the verdict, exactly, in calm worlds; that they are never false is judged in every world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "simulate.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SEEDS 5

typedef enum kept { ALL_KEPT, NONE_KEPT, FEWER_KEPT } kept;

typedef struct row {
    const char *sentence;
    dependence mapping;
    port_allocation ports;
    ip_pooling pooling;
    unsigned least_seen;
    kept kept;
    int32_t step;
    bool several_ips; /* in some of the seeds */
} row;

static np_result check_nat(const row *r, uint64_t seed)
{
    world w;
    report out;
    world_quiet(&w, seed);
    w.boxes = 1;
    w.box[0] = box_nat(r->mapping, DEP_ADDRESS_AND_PORT);
    w.box[0].ports = r->ports;
    w.box[0].pooling = r->pooling;
    world_number(&w);
    world_add_server(&w);
    simulate(&w, NULL, &out);
    if (out.verdict == VERDICT_WRONG || out.broken)
        fail_msg("%s %s", r->sentence, out.why);
    return out.last.result;
}

static bool fits(const row *r, const np_result *res)
{
    bool right_kept = r->kept == NONE_KEPT || res->ports_kept > 0;
    right_kept = right_kept && (res->ports_kept == res->ports_seen) == (r->kept == ALL_KEPT);
    right_kept = right_kept && (r->kept != NONE_KEPT || res->ports_kept == 0);
    return res->ports_seen >= r->least_seen && right_kept && res->port_step == r->step && res->local_ips == 1 &&
           res->external_ips >= 1 && (r->several_ips || res->external_ips == 1) &&
           res->local_class == NP_ADDRESS_PRIVATE;
}

static void nats(void **state)
{
    (void)state;
    static const row rows[] = {
        {"A NAT that keeps ports.", DEP_INDEPENDENT, PORT_PRESERVING, POOL_ONE, 2, ALL_KEPT, 0, false},
        {"One that does not.", DEP_INDEPENDENT, PORT_RANDOM, POOL_ONE, 2, NONE_KEPT, 0, false},
        {"Sockets in sequence are too few.", DEP_INDEPENDENT, PORT_CONTIGUOUS, POOL_ONE, 2, NONE_KEPT, 0, false},
        {"A symmetric one that counts.", DEP_ADDRESS_AND_PORT, PORT_CONTIGUOUS, POOL_ONE, 4, NONE_KEPT, 1, false},
        {"One that draws.", DEP_ADDRESS_AND_PORT, PORT_RANDOM, POOL_ONE, 4, NONE_KEPT, 0, false},
        {"One that keeps the first port of each socket.", DEP_ADDRESS_AND_PORT, PORT_PRESERVING, POOL_ONE, 4,
         FEWER_KEPT, 0, false},
        {"A pool.", DEP_INDEPENDENT, PORT_RANDOM, POOL_ARBITRARY, 2, NONE_KEPT, 0, true},
        {"A pool, one address for each host.", DEP_INDEPENDENT, PORT_RANDOM, POOL_PAIRED, 2, NONE_KEPT, 0, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool had_several = false;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            np_result res = check_nat(&rows[i], seed);
            had_several = had_several || res.external_ips > 1;
            if (!fits(&rows[i], &res))
                fail_msg("%s seed %u: kept %u of %u, step %d, %u external, %u local, %s", rows[i].sentence,
                         (unsigned)seed, res.ports_kept, res.ports_seen, (int)res.port_step, res.external_ips,
                         res.local_ips, np_address_class_name(res.local_class));
        }
        if (rows[i].several_ips && !had_several)
            fail_msg("%s one external address in each world", rows[i].sentence);
    }
}

static void no_nat(void **state)
{
    world w;
    report out;
    (void)state;
    world_quiet(&w, 1);
    world_number(&w);
    world_add_server(&w);
    simulate(&w, NULL, &out);
    const np_result *res = &out.last.result;
    assert_true(res->ports_seen >= 2);
    assert_int_equal(res->ports_kept, res->ports_seen);
    assert_int_equal(res->external_ips, 1);
    assert_int_equal(res->local_class, NP_ADDRESS_GLOBAL);
}

static void nothing_is_heard(void **state)
{
    world w;
    report out;
    (void)state;
    world_quiet(&w, 1);
    w.boxes = 1;
    w.box[0] = (box_desc){.kind = BOX_BLOCKED, .block_in = true};
    world_number(&w);
    world_add_server(&w);
    simulate(&w, NULL, &out);
    const np_result *res = &out.last.result;
    assert_int_equal(res->ports_seen + res->ports_kept + res->external_ips + res->local_ips + res->port_step, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nats),
        cmocka_unit_test(no_nat),
        cmocka_unit_test(nothing_is_heard),
    };
    return cmocka_run_group_tests_name("sightings", tests, NULL, NULL);
}
