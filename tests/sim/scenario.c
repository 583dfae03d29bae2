/* SPDX-License-Identifier: MIT */
/* Runs scenarios over their seeds. */
#include "scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 400
#define SCENARIOS_MAX 64

unsigned scaled(unsigned n)
{
    const char *scale = getenv("NP_SIM_SCALE");
    bool small = scale != NULL && strcmp(scale, "small") == 0;
    return small && n > 20 ? n / 20 : n;
}

/* A drawn world without servers; half of the seeds are calm: they lose nothing and delay nothing by much. */
static bool prepare(world *w, uint64_t seed)
{
    bool calm = seed % 2 == 0;
    world_draw(w, seed, world_class_find("nat"), calm ? 0 : 0.3);
    w->servers = 0;
    w->listed_count = 0;
    w->box[0].timeout_ns = 300 * SECOND;
    memset(w->server, 0, sizeof w->server);
    if (w->link.rtt_ns > 500 * MS)
        w->link.rtt_ns /= 8;
    if (calm) {
        w->link.late = 0;
        w->link.jitter /= 10;
    }
    return calm;
}

static bool is_dependent(int32_t mapping)
{
    return mapping >= NP_BEHAVIOUR_ADDRESS_DEPENDENT;
}

static bool is_met(expectation e, const world *w, const report *r)
{
    const np_result *res = &r->last.result;
    truth t;
    truth_of(w, &t);
    switch (e) {
    case EXPECT_FULL:
        return r->verdict == VERDICT_RIGHT;
    case EXPECT_MAPPING:
        return res->error == NP_OK && res->mapping == t.mapping;
    case EXPECT_DEPENDENCE:
        return res->error == NP_OK && is_dependent(res->mapping) == is_dependent(t.mapping);
    case EXPECT_NO_VERDICT:
        return res->error != NP_OK || res->mapping == NP_BEHAVIOUR_NONE;
    case EXPECT_NO_RESPONSE:
        return res->error == NP_ERR_NO_RESPONSE && res->nat_type == NP_NAT_UDP_BLOCKED;
    default:
        return true;
    }
}

static void check_world(const scenario *s, const world *w, bool calm)
{
    report r;
    simulate(w, NULL, &r);
    if (r.verdict != VERDICT_WRONG && !r.broken && (!calm || is_met(s->calm, w, &r)))
        return;
    fprintf(stderr, "seed %llu of %s: %s\n", (unsigned long long)w->seed, s->name, r.why);
    simulate(w, stderr, &r);
    fail_msg("seed %llu: %s", (unsigned long long)w->seed, r.why);
}

static void run_scenario(void **state)
{
    const scenario *s = *state;
    for (uint64_t seed = 1; seed <= scaled(SEEDS); seed++) {
        world w;
        rng r;
        bool calm = prepare(&w, seed);
        rng_seed(&r, seed, 400);
        s->shape(&w, &r);
        check_world(s, &w, calm);
    }
}

int run_scenarios(const char *group, const scenario *scenarios, size_t count)
{
    struct CMUnitTest tests[SCENARIOS_MAX];
    memset(tests, 0, sizeof tests);
    if (count > SCENARIOS_MAX)
        return 1;
    for (size_t i = 0; i < count; i++) {
        const scenario *s = &scenarios[i];
        void *state;
        memcpy(&state, &s, sizeof state); /* cmocka takes no pointer to const */
        tests[i] = (struct CMUnitTest){.name = s->name, .test_func = run_scenario, .initial_state = state};
    }
    return _cmocka_run_group_tests(group, tests, count, NULL, NULL);
}
