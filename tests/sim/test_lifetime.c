/* SPDX-License-Identifier: MIT */
/* The optional test LIFETIME: the truth is between the bounds that it gives, or it gives none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../support/clock.h"
#include "idle.h"
#include "scenario.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NO_LIMIT UINT32_MAX
#define OVERHEAD_S 24 /* as the header says */

static idle_world calm_world(uint64_t seed)
{
    idle_world w = {.seed = seed, .rtt_ns = 40 * MS, .limit_s = 100};
    w.server = server_conforming(endpoint_public(4, 0, 1, 3478), endpoint_public(4, 1, 2, 3479));
    w.box = (box_desc){.kind = BOX_NAT,
                       .mapping = DEP_INDEPENDENT,
                       .filtering = DEP_ADDRESS_AND_PORT,
                       .ports = PORT_PRESERVING,
                       .timeout_ns = 60 * SECOND,
                       .unanswered_ns = 20 * SECOND};
    for (unsigned i = 0; i < WORLD_POOL; i++)
        w.box.external[i] = endpoint_public(4, 2, 20 + i, 0);
    return w;
}

static uint64_t unanswered_ns(const box_desc *b)
{
    return b->unanswered_ns != 0 ? b->unanswered_ns : b->timeout_ns;
}

static bool is_wrong(uint32_t min_s, uint32_t max_s, uint64_t truth_ns)
{
    return min_s * SECOND > truth_ns || (max_s != 0 && max_s * SECOND < truth_ns);
}

static void describe(const char *what, const char *name, const idle_world *w, const idle_outcome *o)
{
    const np_result *r = &o->result;
    fail_msg("%s, %s, seed %u: %s; answered %u to %u s, truth %.1f; unanswered %u to %u s, truth %.1f; recreated %d, "
             "took %.1f s, %u sent; box %d, mapping %d, filtering %d, ports %d, rtt %u ms, loss %.3f, RESPONSE-PORT "
             "%d, change %d",
             what, name, (unsigned)w->seed, o->broken != NULL ? o->broken : "", (unsigned)r->lifetime_min_s,
             (unsigned)r->lifetime_max_s, (double)w->box.timeout_ns / 1e9, (unsigned)r->unanswered_min_s,
             (unsigned)r->unanswered_max_s, (double)unanswered_ns(&w->box) / 1e9, (int)r->lifetime_recreated,
             (double)o->took_ns / 1e9, (unsigned)o->sent, (int)w->box.kind, (int)w->box.mapping, (int)w->box.filtering,
             (int)w->box.ports, (unsigned)(w->rtt_ns / MS), w->loss, (int)w->server.response_port,
             (int)w->server.change);
}

/* Promises for every world. */
static void judge(const char *name, const idle_world *w, const idle_outcome *o)
{
    const np_result *r = &o->result;
    if (o->is_void)
        return;
    if (o->broken != NULL)
        describe("broken", name, w, o);
    if (is_wrong(r->lifetime_min_s, r->lifetime_max_s, w->box.timeout_ns) ||
        is_wrong(r->unanswered_min_s, r->unanswered_max_s, unanswered_ns(&w->box)))
        describe("wrong", name, w, o);
    if (r->lifetime_min_s > w->limit_s || r->unanswered_min_s > w->limit_s)
        describe("more than was tried", name, w, o);
    const box_desc *b = &w->box;
    bool draws = b->kind == BOX_LINUX ? b->fully_random
                                      : b->kind == BOX_NAT && b->ports == PORT_RANDOM && b->block == 0;
    bool keeps = b->kind == BOX_LINUX ? !b->fully_random
                                      : b->kind == BOX_FIREWALL || (b->ports == PORT_PRESERVING && b->block == 0);
    if ((keeps && r->lifetime_recreated == NP_TRISTATE_NO) || (draws && r->lifetime_recreated == NP_TRISTATE_YES))
        describe("wrong about making the same mapping again", name, w, o);
    if (o->took_ns > (2 * w->limit_s + OVERHEAD_S) * SECOND + 10 * SECOND + w->sleep_ns)
        describe("longer than promised", name, w, o);
    if (r->error != NP_OK && (r->lifetime_min_s | r->lifetime_max_s | r->unanswered_min_s | r->unanswered_max_s) != 0)
        describe("found without a verdict", name, w, o);
}

/* ---- NATs in calm networks -------------------------------------------------------------------------------------- */

typedef struct calm {
    const char *name;
    box_desc box; /* as far as it differs from the usual one */
    response_port_mode response_port;
    change_mode change;
    bool answered, unanswered; /* bounds are due */
    int32_t recreated;
} calm;

enum { UNKNOWN = NP_TRISTATE_UNKNOWN, NO = NP_TRISTATE_NO, YES = NP_TRISTATE_YES };

#define NAT(m, f, p)                                                                                                   \
    {                                                                                                                  \
        .kind = BOX_NAT, .mapping = DEP_##m, .filtering = DEP_##f, .ports = PORT_##p                                   \
    }
#define HONOURED RESPONSE_PORT_HONOURED, CHANGE_HONOURED
#define NO_PORT RESPONSE_PORT_REJECTED, CHANGE_HONOURED
#define NO_CHANGE RESPONSE_PORT_HONOURED, CHANGE_REJECTED
#define NEITHER RESPONSE_PORT_IGNORED, CHANGE_IGNORED

static const calm calms[] = {
    /* A NAT that keeps ports makes the same mapping again, which only a datagram from outside can tell. */
    {"ports kept", NAT(INDEPENDENT, ADDRESS_AND_PORT, PRESERVING), HONOURED, true, true, YES},
    {"ports kept, no RESPONSE-PORT", NAT(INDEPENDENT, ADDRESS_AND_PORT, PRESERVING), NO_PORT, true, true, YES},
    {"ports kept, no CHANGE-REQUEST", NAT(INDEPENDENT, ADDRESS_AND_PORT, PRESERVING), NO_CHANGE, true, true, YES},
    {"ports kept, neither", NAT(INDEPENDENT, ADDRESS_AND_PORT, PRESERVING), NEITHER, false, false, UNKNOWN},
    {"full cone", NAT(INDEPENDENT, INDEPENDENT, PRESERVING), HONOURED, true, true, YES},
    {"full cone, no RESPONSE-PORT", NAT(INDEPENDENT, INDEPENDENT, PRESERVING), NO_PORT, false, false, UNKNOWN},
    {"by address", NAT(INDEPENDENT, ADDRESS, PRESERVING), NO_PORT, true, true, YES},
    {"random ports", NAT(INDEPENDENT, ADDRESS_AND_PORT, RANDOM), HONOURED, true, true, NO},
    {"random ports, neither", NAT(INDEPENDENT, ADDRESS_AND_PORT, RANDOM), NEITHER, true, false, NO},
    {"full cone, random ports, no RESPONSE-PORT", NAT(INDEPENDENT, INDEPENDENT, RANDOM), NO_PORT, true, false, NO},
    {"symmetric", NAT(ADDRESS_AND_PORT, ADDRESS_AND_PORT, RANDOM), HONOURED, true, true, NO},
    {"symmetric, no RESPONSE-PORT", NAT(ADDRESS_AND_PORT, ADDRESS_AND_PORT, RANDOM), NO_PORT, true, false, NO},
    {"symmetric, ports in order", NAT(ADDRESS, ADDRESS, SEQUENTIAL), HONOURED, true, true, NO},
    {"netfilter", {.kind = BOX_LINUX, .input_firewall = true}, HONOURED, true, true, YES},
    {"netfilter, no RESPONSE-PORT", {.kind = BOX_LINUX, .input_firewall = true}, NO_PORT, true, true, YES},
    /* What is refused takes the port there: the next mapping would not be the same. */
    {"netfilter, no firewall", {.kind = BOX_LINUX}, HONOURED, true, true, YES},
    {"netfilter, no firewall, no RESPONSE-PORT", {.kind = BOX_LINUX}, NO_PORT, true, true, YES},
    {"netfilter, fully random", {.kind = BOX_LINUX, .fully_random = true}, HONOURED, true, true, NO},
    {"firewall", {.kind = BOX_FIREWALL, .filtering = DEP_ADDRESS_AND_PORT}, HONOURED, true, true, YES},
    {"firewall, no RESPONSE-PORT", {.kind = BOX_FIREWALL, .filtering = DEP_ADDRESS_AND_PORT}, NO_PORT, true, true, YES},
    {"no NAT", {.kind = BOX_PASS}, HONOURED, false, false, UNKNOWN},
};

static const uint64_t timers_s[][2] = {{60, 20}, {180, 30}, {30, 30}, {7, 5}, {300, 60}, {2, 2}, {45, 10}};

static void run_calm(const calm *c, const uint64_t timers[2], uint64_t seed)
{
    idle_world w = calm_world(seed);
    box_desc box = c->box;
    memcpy(box.external, w.box.external, sizeof box.external);
    box.timeout_ns = timers[0] * SECOND + 300 * MS;
    box.unanswered_ns = timers[1] * SECOND + 300 * MS;
    box.refused_takes_port = false;
    w.box = box;
    w.server.response_port = c->response_port;
    w.server.change = c->change;
    w.server.reject_code = 420;
    w.limit_s = 200;
    idle_outcome o;
    idle_run(&w, &o);
    const np_result *r = &o.result;
    if (c->box.kind == BOX_PASS) {
        assert_int_equal(r->lifetime_min_s | r->lifetime_max_s | r->unanswered_min_s | r->unanswered_max_s, 0);
        return;
    }
    judge(c->name, &w, &o);
    assert_false(o.is_void);
    bool answered = r->lifetime_min_s > 0 || r->lifetime_max_s > 0;
    bool unanswered = r->unanswered_min_s > 0 || r->unanswered_max_s > 0;
    bool is_bounded = timers[0] < w.limit_s;
    /* Beyond the limit nothing is known of it; and where ports tell alone, nothing shows that they would change. */
    if (is_bounded && answered != c->answered)
        describe("not as due", c->name, &w, &o);
    /* Two idle times beyond it have to be tried, and then ports are compared. */
    if (2 * timers[0] < w.limit_s && r->lifetime_recreated != c->recreated)
        describe("not as due about the same mapping", c->name, &w, &o);
    if (unanswered != c->unanswered)
        describe("not as due", c->name, &w, &o);
    if (!is_bounded && r->lifetime_max_s != 0)
        describe("bounded beyond the limit", c->name, &w, &o);
    if (is_bounded && c->answered && r->lifetime_max_s - r->lifetime_min_s > timers[0] / 3 + 4)
        describe("vague", c->name, &w, &o);
    if (c->unanswered && r->unanswered_max_s - r->unanswered_min_s > timers[1] / 3 + 6)
        describe("vague", c->name, &w, &o);
}

static void in_calm_networks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(calms); i++) {
        for (size_t k = 0; k < COUNT(timers_s); k++)
            run_calm(&calms[i], timers_s[k], 100 * i + k);
    }
}

/* ---- Traps ------------------------------------------------------------------------------------------------------ */

/* With the same port every time, and no datagram from outside to be had, nothing is said: least of all "for ever". */
static void never_for_ever(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        idle_world w = calm_world(seed);
        w.server = server_conforming(endpoint_public(4, 0, 1, 3478), endpoint_public(4, 1, 2, 3479));
        w.server.two_ips = w.server.two_ports = false;
        w.server.other = OTHER_NONE;
        w.box.timeout_ns = 5 * SECOND + seed * SECOND;
        idle_outcome o;
        idle_run(&w, &o);
        assert_int_equal(o.result.lifetime_min_s, 0);
        assert_int_equal(o.result.lifetime_max_s, 0);
        assert_int_equal(o.result.lifetime_recreated, NP_TRISTATE_UNKNOWN);
    }
}

/* A filter that is the whole host's lets in for one socket what another one has asked for. */
static void filter_of_the_host(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        idle_world w = calm_world(seed);
        w.box.per_host = true;
        w.box.filtering = seed % 2 == 0 ? DEP_ADDRESS : DEP_ADDRESS_AND_PORT;
        w.server.response_port = seed % 4 < 2 ? RESPONSE_PORT_IGNORED : RESPONSE_PORT_HONOURED;
        idle_outcome o;
        idle_run(&w, &o);
        judge("filter of the host", &w, &o);
        if (seed % 4 < 2)
            assert_int_equal(o.result.lifetime_min_s, 0);
    }
}

/* One short exchange leaves netfilter's shorter timer. A program's flow, of two seconds of traffic, has the longer. */
static void answered_in_earnest(void **state)
{
    (void)state;
    idle_world w = calm_world(1);
    w.box = (box_desc){.kind = BOX_LINUX, .timeout_ns = 90 * SECOND, .unanswered_ns = 30 * SECOND};
    w.box.external[0] = endpoint_public(4, 2, 20, 0);
    w.server.response_port = RESPONSE_PORT_HONOURED;
    idle_outcome o;
    idle_run(&w, &o);
    judge("netfilter", &w, &o);
    assert_in_range(o.result.lifetime_min_s, 60, 90);
    assert_in_range(o.result.unanswered_max_s, 30, 40);
}

/* The server can no longer send what shows that a mapping lives: it may live all the same. */
static void server_dies_in_part(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        idle_world w = calm_world(seed);
        w.server.dies_ns = (10 + seed) * SECOND;
        w.server.dies_in_part = true;
        w.box.unanswered_ns = 0;
        w.box.timeout_ns = 90 * SECOND;
        idle_outcome o;
        idle_run(&w, &o);
        judge("server that dies in part", &w, &o);
        assert_int_equal(o.result.lifetime_max_s, 0);
    }
}

/* The NAT is switched off and on during the first round: mappings are gone that would have lived. */
static void switched_off_and_on(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        idle_world w = calm_world(seed);
        w.server.response_port = seed % 2 == 0 ? RESPONSE_PORT_HONOURED : RESPONSE_PORT_IGNORED;
        w.box.change_keeps_ip = true;
        w.box.changes = 1;
        w.box.change_ns[0] = (5 + seed) * SECOND;
        w.box.unanswered_ns = 0;
        w.box.timeout_ns = 90 * SECOND;
        w.limit_s = 60;
        idle_outcome o;
        idle_run(&w, &o);
        judge("switched off and on", &w, &o);
    }
}

/* ---- How it goes ------------------------------------------------------------------------------------------------ */

/* Who watches is told of it about once a second, and nobody else wakes the program up for that. */
static void progress(void **state)
{
    (void)state;
    idle_world w = calm_world(3);
    w.server.response_port = RESPONSE_PORT_HONOURED;
    idle_outcome unwatched;
    idle_run(&w, &unwatched);
    assert_int_equal(unwatched.progress, 0);
    w.is_watched = true;
    idle_outcome o;
    idle_run(&w, &o);
    assert_false(o.is_progress_odd);
    assert_in_range(o.progress, o.took_ns / SECOND - 3, o.took_ns / SECOND + 1);
    assert_in_range(o.done_s, o.took_ns / SECOND - 3, o.took_ns / SECOND + 1);
    assert_true(o.total_s <= 2 * w.limit_s + OVERHEAD_S + 1);
    assert_int_equal(o.result.lifetime_min_s, unwatched.result.lifetime_min_s);
    assert_int_equal(o.result.lifetime_max_s, unwatched.result.lifetime_max_s);
}

/* A cancel ends it at once, with its verdict and what was found so far. */
static void cancelled(void **state)
{
    (void)state;
    for (uint64_t s = 1; s < 100; s += 3) {
        idle_world w = calm_world(s);
        w.server.response_port = s % 2 == 0 ? RESPONSE_PORT_HONOURED : RESPONSE_PORT_IGNORED;
        w.cancel_ns = s * SECOND;
        idle_outcome o;
        idle_run(&w, &o);
        judge("cancelled", &w, &o);
        assert_true(o.took_ns <= w.cancel_ns);
        assert_int_equal(o.result.error, NP_OK);
        assert_int_equal(o.result.nat_type, NP_NAT_PORT_RESTRICTED_CONE);
        if (s > 40)
            assert_true(o.result.lifetime_min_s >= 15);
    }
}

/* While the machine sleeps the mappings age, and what was to be asked at its time is asked late. */
static void asleep(void **state)
{
    (void)state;
    for (uint64_t s = 1; s < 60; s++) {
        idle_world w = calm_world(s);
        w.server.response_port = s % 2 == 0 ? RESPONSE_PORT_HONOURED : RESPONSE_PORT_IGNORED;
        w.sleep_at_ns = s * SECOND;
        w.sleep_ns = (1 + 7 * s) * SECOND;
        idle_outcome o;
        idle_run(&w, &o);
        judge("asleep", &w, &o);
    }
}

/* ---- Worlds at random ------------------------------------------------------------------------------------------- */

static box_desc draw_box(rng *r, const box_desc *usual)
{
    box_desc b = *usual;
    unsigned kind = rng_below(r, 10);
    b.kind = kind < 6 ? BOX_NAT : kind < 9 ? BOX_LINUX : BOX_FIREWALL;
    b.mapping = b.kind == BOX_NAT ? (dependence)rng_below(r, 3) : DEP_INDEPENDENT;
    b.filtering = (dependence)rng_below(r, 3);
    b.ports = (port_allocation)rng_below(r, PORT_ALLOCATIONS);
    b.per_host = b.kind == BOX_NAT && rng_chance(r, 0.2);
    b.refused_takes_port = b.kind == BOX_NAT && rng_chance(r, 0.2);
    b.pooling = rng_chance(r, 0.8) ? POOL_ONE : (ip_pooling)rng_below(r, 3);
    b.refresh_in = rng_chance(r, 0.3);
    b.input_firewall = rng_chance(r, 0.5);
    b.fully_random = rng_chance(r, 0.2);
    b.by_port = b.kind == BOX_NAT && rng_chance(r, 0.05);
    b.block = b.kind == BOX_NAT && rng_chance(r, 0.05) ? 64 : 0;
    b.ban_after = rng_chance(r, 0.05) ? rng_below(r, 40) + 5 : 0;
    b.ban_ns = 30 * SECOND;
    b.timeout_ns = rng_between(r, 1500, 160000) * MS;
    b.unanswered_ns = rng_chance(r, 0.3) ? 0 : rng_between(r, 1000, b.timeout_ns / MS) * MS;
    /* A flow that pauses for longer than netfilter's shorter timer never gets the longer one. */
    if (b.kind == BOX_LINUX) {
        b.timeout_ns += 3 * SECOND;
        b.unanswered_ns = rng_between(r, 3000, b.timeout_ns / MS) * MS;
    }
    return b;
}

static idle_world draw_world(uint64_t seed)
{
    rng r;
    rng_seed(&r, seed, 77);
    idle_world w = calm_world(seed);
    w.box = draw_box(&r, &w.box);
    w.server.response_port = (response_port_mode)rng_below(&r, 3);
    if (rng_chance(&r, 0.3))
        w.server.change = (change_mode)rng_below(&r, CHANGE_MODES);
    w.server.reject_code = 420;
    w.server.two_ips = rng_chance(&r, 0.9);
    if (!w.server.two_ips || rng_chance(&r, 0.1))
        w.server.other = OTHER_NONE;
    w.server.copies = rng_chance(&r, 0.1) ? 2 : 1;
    w.server.change_gap_ns = rng_chance(&r, 0.1) ? rng_between(&r, 50, 1500) * MS : 0;
    w.server.rate = rng_chance(&r, 0.1) ? rng_below(&r, 8) + 2 : 0;
    w.rtt_ns = rng_between(&r, 5, 400) * MS;
    w.loss = rng_chance(&r, 0.5) ? 0 : 0.12 * rng_unit(&r);
    w.limit_s = (uint32_t)rng_between(&r, 1, 200);
    w.is_watched = rng_chance(&r, 0.2);
    return w;
}

/* As many known as it is worth the time: where nothing is lost and the server does what it is asked to. */
static void at_random(void **state)
{
    (void)state;
    unsigned worlds = scaled(2000);
    unsigned known = 0;
    unsigned could = 0;
    for (uint64_t seed = 0; seed < worlds; seed++) {
        idle_world w = draw_world(seed);
        idle_outcome o;
        idle_run(&w, &o);
        judge("at random", &w, &o);
        bool is_good = w.loss == 0 && w.server.response_port == RESPONSE_PORT_HONOURED && w.server.rate == 0 &&
                       w.box.pooling == POOL_ONE && w.box.ban_after == 0 && o.result.error == NP_OK &&
                       w.box.kind != BOX_FIREWALL;
        could += is_good;
        known += is_good && (o.result.lifetime_min_s | o.result.lifetime_max_s) != 0;
    }
    print_message("# %u worlds; of %u good ones, %u have bounds\n", worlds, could, known);
    assert_true(known + (could + 19) / 20 >= could); /* one in twenty, rounded up: there may be few */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_calm_networks),
        cmocka_unit_test(never_for_ever),
        cmocka_unit_test(filter_of_the_host),
        cmocka_unit_test(answered_in_earnest),
        cmocka_unit_test(server_dies_in_part),
        cmocka_unit_test(progress),
        cmocka_unit_test(switched_off_and_on),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(asleep),
        cmocka_unit_test(at_random),
    };
    return cmocka_run_group_tests_name("lifetime", tests, NULL, NULL);
}
