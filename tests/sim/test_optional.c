/* SPDX-License-Identifier: MIT */
/*
 * The optional tests in worlds of every class: each answer is what the boxes do, or "unknown", and the verdict is that
 * of the same world without the tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "optional_truth.h"
#include "scenario.h"

#define TESTS (NP_TESTS_PORT | NP_TESTS_REFUSED | NP_TESTS_HAIRPIN)
#define WORLDS 60
#define MAX_LOSS 0.1

typedef struct outcome {
    run_record record;
    optional_truth truth;
    bool is_void;
} outcome;

static void run_world(const world *w, int32_t tests, FILE *trace, outcome *out)
{
    world asked = *w;
    asked.optional_tests = tests;
    network *n = malloc(sizeof *n);
    assert_non_null(n);
    network_init(n, &asked, trace);
    driver *d = driver_new(&asked, n);
    driver_run(d, &out->record);
    out->is_void = network_is_void(n);
    optional_truth_of(n, &out->record.result, &out->truth);
    driver_free(d);
    network_free(n);
    free(n);
}

/* ---- Any world -------------------------------------------------------------------------------------------------- */

typedef struct count {
    unsigned yes, no, unknown;
} count;

static void add(count *c, int32_t answer)
{
    c->yes += answer == NP_TRISTATE_YES;
    c->no += answer == NP_TRISTATE_NO;
    c->unknown += answer == NP_TRISTATE_UNKNOWN;
}

typedef struct tally {
    count port, refused, hairpin;
    unsigned worlds, early, lost;
    char wrong[40][260];
    unsigned wrongs;
} tally;

static void complain(tally *t, const world *w, const char *what, int32_t answer, int32_t is_so)
{
    if (t->wrongs < 40)
        snprintf(t->wrong[t->wrongs], sizeof t->wrong[0], "%s seed %llu: %s is %s, and in truth %s",
                 world_class_name(w->kind), (unsigned long long)w->seed, what, np_tristate_name(answer),
                 np_tristate_name(is_so));
    t->wrongs++;
}

static void judge(tally *t, const world *w, const char *what, int32_t answer, int32_t is_so, count *c)
{
    add(c, answer);
    if (answer != NP_TRISTATE_UNKNOWN && answer != is_so)
        complain(t, w, what, answer, is_so);
}

/* Where the tests are asked for after the verdict, all that a check says is as without them. */
static bool is_same_verdict(const np_result *a, const np_result *b, bool to_the_byte)
{
    if (!to_the_byte)
        return a->nat_type == b->nat_type && a->mapping == b->mapping && a->filtering == b->filtering;
    np_result x = *a;
    np_result y = *b;
    np_result *both[] = {&x, &y};
    for (int i = 0; i < 2; i++) {
        both[i]->packets_sent = both[i]->packets_received = 0;
        both[i]->elapsed_us = 0;
        both[i]->port_open = both[i]->refused_takes_port = both[i]->hairpin = both[i]->hairpin_external = 0;
    }
    return memcmp(&x, &y, sizeof x) == 0;
}

/* Routers that turn datagrams round, in one way or another, and a rule that forwards the source port. */
static void furnish(world *w)
{
    rng r;
    rng_seed(&r, w->seed, 900);
    bool forwards = rng_chance(&r, 0.4);
    for (unsigned i = 0; i < w->boxes; i++) {
        w->box[i].hairpin = (hairpin_kind)rng_below(&r, 3);
        if (forwards && w->box[i].kind != BOX_LINUX) {
            w->box[i].ports = PORT_PRESERVING;
            w->box[i].forward_low = w->box[i].forward_high = w->host.local.port;
        }
    }
    w->host.steady_ids = true;
    w->host.restless_ns = 0;
}

static bool is_same_datagram(const sent_datagram *a, const sent_datagram *b)
{
    return a->time_ns == b->time_ns && a->slot == b->slot && endpoint_equal(&a->to, &b->to) && a->size == b->size &&
           memcmp(a->data, b->data, a->size) == 0;
}

static unsigned first_difference(const run_record *a, const run_record *b)
{
    unsigned i = 0;
    while (i < a->sent_count && i < b->sent_count && i < RECORD_SENT && is_same_datagram(&a->sent[i], &b->sent[i]))
        i++;
    return i;
}

/* The first datagrams that are others are those of PORT, which asks for II from the source socket. */
static bool has_port_first(const run_record *plain, const run_record *asked)
{
    unsigned first = first_difference(plain, asked);
    if (first == plain->sent_count)
        return false;
    for (unsigned i = first; i < first + 3 && i < asked->sent_count && i < RECORD_SENT; i++) {
        const sent_datagram *s = &asked->sent[i];
        if (s->slot == 0 && s->request.change == (CHANGE_IP | CHANGE_PORT))
            return true;
    }
    return false;
}

static void compare(tally *t, const world *w, const outcome *plain, const outcome *asked)
{
    const np_result *a = &plain->record.result;
    const np_result *b = &asked->record.result;
    bool is_early = has_port_first(&plain->record, &asked->record);
    t->worlds++;
    t->early += is_early;
    if (asked->record.broken[0] != '\0' || is_same_verdict(a, b, !is_early)) {
        if (asked->record.broken[0] != '\0' && plain->record.broken[0] == '\0')
            complain(t, w, asked->record.broken, 0, 0);
        return;
    }
    bool is_less = is_early &&
                   (b->nat_type == NP_NAT_UNKNOWN || b->filtering == NP_BEHAVIOUR_UNKNOWN ||
                    b->mapping == NP_BEHAVIOUR_ENDPOINT_DEPENDENT || a->mapping == NP_BEHAVIOUR_ENDPOINT_DEPENDENT ||
                    a->filtering == NP_BEHAVIOUR_UNKNOWN || a->mapping == NP_BEHAVIOUR_UNKNOWN);
    t->lost += is_less;
    if (is_less)
        return;
    char what[230];
    snprintf(what, sizeof what, "%s, %s, %s became %s, %s, %s, evidence %x to %x", np_nat_type_name(a->nat_type),
             np_behaviour_name(a->mapping), np_behaviour_name(a->filtering), np_nat_type_name(b->nat_type),
             np_behaviour_name(b->mapping), np_behaviour_name(b->filtering), a->evidence, b->evidence);
    complain(t, w, what, 0, 0);
}

/* Such a box shows its own address instead, but for those that have been sent to: a matter of who comes first. */
static bool rewrites(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].rewrites)
            return true;
    }
    return false;
}

static void try_world(tally *t, int kind, uint64_t seed)
{
    world w;
    static outcome plain, asked;
    world_draw(&w, seed, kind, MAX_LOSS);
    furnish(&w);
    for (unsigned i = 0; i < w.servers; i++) {
        if (w.server[i].flood > 0) /* more copies bring more floods than the simulator has patience for */
            return;
    }
    run_world(&w, 0, NULL, &plain);
    run_world(&w, TESTS, NULL, &asked);
    if (plain.is_void || asked.is_void)
        return;
    compare(t, &w, &plain, &asked);
    /* Such a server lets II out only to those that have asked its second address: no test of a NAT can tell. */
    if (!optional_truth_is_known(&w) || kind == world_class_find("stateful-server"))
        return;
    const np_result *r = &asked.record.result;
    judge(t, &w, "port", r->port_open, asked.truth.port_open, &t->port);
    if (!asked.truth.depends_on_sender)
        judge(t, &w, "refused", r->refused_takes_port, asked.truth.refused_takes_port, &t->refused);
    if (asked.truth.is_hairpin_a_race)
        return;
    judge(t, &w, "hairpin", r->hairpin, asked.truth.hairpin, &t->hairpin);
    if (rewrites(&w))
        return;
    if (r->hairpin_external != NP_TRISTATE_UNKNOWN && r->hairpin_external != asked.truth.hairpin_external)
        complain(t, &w, "hairpin from", r->hairpin_external, asked.truth.hairpin_external);
}

static void print_count(const char *what, const count *c)
{
    print_message("# %s: yes %u, no %u, unknown %u\n", what, c->yes, c->no, c->unknown);
}

/* NP_SIM_REPLAY=CLASS:SEED shows what happens in one world. */
static bool replay(const char *which)
{
    static outcome out;
    char name[40] = "";
    const char *colon = which != NULL ? strchr(which, ':') : NULL;
    if (colon == NULL || (size_t)(colon - which) >= sizeof name)
        return false;
    memcpy(name, which, (size_t)(colon - which));
    world w;
    world_draw(&w, strtoull(colon + 1, NULL, 10), world_class_find(name), MAX_LOSS);
    furnish(&w);
    world_print(&w, stderr);
    run_world(&w, 0, stderr, &out);
    fprintf(stderr, "---- with the tests\n");
    run_world(&w, TESTS, stderr, &out);
    return true;
}

static void never_wrong_in_any_world(void **state)
{
    (void)state;
    static tally t;
    if (replay(getenv("NP_SIM_REPLAY")))
        return;
    const char *first = getenv("NP_SIM_SEED");
    uint64_t from = first != NULL ? strtoull(first, NULL, 10) : 1;
    unsigned worlds = first != NULL ? (unsigned)atoi(getenv("NP_SIM_WORLDS")) : scaled(WORLDS);
    for (int kind = 0; kind < world_class_count(); kind++) {
        for (uint64_t seed = from; seed < from + worlds; seed++)
            try_world(&t, kind, seed);
    }
    print_count("port", &t.port);
    print_count("refused", &t.refused);
    print_count("hairpin", &t.hairpin);
    print_message("# %u worlds, %u with PORT before the mapping, %u verdicts less than without\n", t.worlds, t.early,
                  t.lost);
    for (unsigned i = 0; i < t.wrongs && i < 40; i++)
        print_message("# %s\n", t.wrong[i]);
    assert_int_equal(t.wrongs, 0);
    /* Where PORT goes first, all that is random comes out differently later: some verdicts are lost, others gained. */
    assert_true(100 * t.lost < t.worlds);
}

/* ---- One thing at a time ---------------------------------------------------------------------------------------- */

typedef struct row {
    const char *sentence;
    box_desc box[2]; /* from the inside out; the second one is there if it translates */
    unsigned servers;
    int32_t port_open, refused_takes_port, hairpin, hairpin_external;
} row;

#define KEEPS(mapping_, filtering_)                                                                                    \
    .kind = BOX_NAT, .mapping = (mapping_), .filtering = (filtering_), .ports = PORT_PRESERVING,                       \
    .timeout_ns = 120 * SECOND
#define EI DEP_INDEPENDENT
#define AD DEP_ADDRESS
#define APD DEP_ADDRESS_AND_PORT
#define YES NP_TRISTATE_YES
#define NO NP_TRISTATE_NO
#define NOT_KNOWN NP_TRISTATE_UNKNOWN
/* The source port of a quiet world. */
#define FORWARDED .forward_low = 54320, .forward_high = 54320

static const row rows[] = {
    {"No NAT: the port is open, and there is nothing to turn round.", {{0}}, 1, YES, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN},
    {"A firewall lets nobody in.",
     {{.kind = BOX_FIREWALL, .filtering = APD, .timeout_ns = 120 * SECOND}},
     1,
     NO,
     NOT_KNOWN,
     NOT_KNOWN,
     NOT_KNOWN},
    {"A full cone is open to everybody.", {{KEEPS(EI, EI)}}, 1, YES, NOT_KNOWN, NO, NOT_KNOWN},
    {"A NAT that keeps ports and turns nothing round.", {{KEEPS(EI, APD)}}, 1, NO, NO, NO, NOT_KNOWN},
    {"The same by address: with one server its control is needed, so PORT is not asked.",
     {{KEEPS(EI, AD)}},
     1,
     NOT_KNOWN,
     NO,
     NO,
     NOT_KNOWN},
    {"With two servers it is.", {{KEEPS(EI, AD)}}, 2, NO, NO, NO, NOT_KNOWN},
    {"A forwarded port is open, while a fresh one is filtered.",
     {{KEEPS(EI, APD), FORWARDED}},
     1,
     YES,
     NO,
     NO,
     NOT_KNOWN},
    {"With two servers too.", {{KEEPS(EI, APD), FORWARDED}}, 2, YES, NO, NO, NOT_KNOWN},
    {"Another port is forwarded.",
     {{KEEPS(EI, APD), .forward_low = 54321, .forward_high = 54321}},
     2,
     NO,
     NO,
     NO,
     NOT_KNOWN},
    {"A Linux NAT remembers what it refuses.",
     {{.kind = BOX_LINUX, .timeout_ns = 120 * SECOND}},
     1,
     NO,
     YES,
     NO,
     NOT_KNOWN},
    {"Not with a firewall in front.",
     {{.kind = BOX_LINUX, .input_firewall = true, .timeout_ns = 120 * SECOND}},
     1,
     NO,
     NO,
     NO,
     NOT_KNOWN},
    {"With a trap and two servers.", {{.kind = BOX_LINUX, .timeout_ns = 120 * SECOND}}, 2, NO, YES, NO, NOT_KNOWN},
    {"A trap in a NAT by address.", {{KEEPS(EI, AD), .refused_takes_port = true}}, 2, NO, YES, NO, NOT_KNOWN},
    {"A symmetric NAT shows none of them.", {{KEEPS(APD, APD)}}, 2, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN, NOT_KNOWN},
    {"It comes back from outside.", {{KEEPS(EI, APD), .hairpin = HAIRPIN_EXTERNAL}}, 1, NO, NO, YES, YES},
    {"It comes back from inside.", {{KEEPS(EI, APD), .hairpin = HAIRPIN_INNER}}, 1, NO, NO, YES, NO},
    {"What comes round springs the trap: neither side hears the other.",
     {{KEEPS(EI, APD), .hairpin = HAIRPIN_EXTERNAL, .refused_takes_port = true}},
     1,
     NO,
     YES,
     NO,
     NOT_KNOWN},
    {"Two NATs, of which the outer one turns round.",
     {{KEEPS(EI, APD)}, {KEEPS(EI, APD), .hairpin = HAIRPIN_EXTERNAL}},
     1,
     NO,
     NO,
     YES,
     YES},
    {"With the middle address the inner one refuses it.",
     {{KEEPS(EI, APD)}, {KEEPS(EI, APD), .hairpin = HAIRPIN_INNER}},
     1,
     NO,
     NO,
     NO,
     NOT_KNOWN},
    {"The inner one never sees it.",
     {{KEEPS(EI, APD), .hairpin = HAIRPIN_EXTERNAL}, {KEEPS(EI, APD)}},
     1,
     NO,
     NO,
     NO,
     NOT_KNOWN},
    {"Forwarded by the outer one alone.", {{KEEPS(EI, APD)}, {KEEPS(EI, APD), FORWARDED}}, 1, NO, NO, NO, NOT_KNOWN},
    {"Forwarded by both.", {{KEEPS(EI, APD), FORWARDED}, {KEEPS(EI, APD), FORWARDED}}, 1, YES, NO, NO, NOT_KNOWN},
    {"A trap behind a NAT that lets some strangers in.",
     {{.kind = BOX_LINUX, .timeout_ns = 120 * SECOND}, {KEEPS(EI, AD)}},
     2,
     NO,
     YES,
     NO,
     NOT_KNOWN},
};

static void one_thing_at_a_time(void **state)
{
    (void)state;
    static outcome plain, asked;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const row *k = &rows[i];
        world w;
        world_quiet(&w, 1);
        w.boxes = k->box[0].kind == BOX_PASS ? 0 : (k->box[1].kind == BOX_PASS ? 1 : 2);
        memcpy(w.box, k->box, sizeof k->box);
        w.host.local.port = 54320;
        w.host.steady_ids = true;
        world_number(&w);
        for (unsigned s = 0; s < k->servers; s++)
            world_add_server(&w);
        run_world(&w, 0, NULL, &plain);
        run_world(&w, TESTS, NULL, &asked);
        const np_result *r = &asked.record.result;
        bool is_right = r->port_open == k->port_open && r->refused_takes_port == k->refused_takes_port &&
                        r->hairpin == k->hairpin && r->hairpin_external == k->hairpin_external;
        if (!is_right)
            fail_msg("%zu %s port %s, refused %s, hairpin %s from outside %s", i, k->sentence,
                     np_tristate_name(r->port_open), np_tristate_name(r->refused_takes_port),
                     np_tristate_name(r->hairpin), np_tristate_name(r->hairpin_external));
        if (!is_same_verdict(&plain.record.result, r, false))
            fail_msg("%s The verdict is another one.", k->sentence);
        if (asked.record.broken[0] != '\0')
            fail_msg("%s %s", k->sentence, asked.record.broken);
    }
}

/* Each test alone, and what the others would have found stays unknown. */
static void each_alone(void **state)
{
    (void)state;
    static outcome out;
    for (int32_t test = NP_TESTS_PORT; test <= NP_TESTS_HAIRPIN; test *= 2) {
        world w;
        world_quiet(&w, 1);
        w.boxes = 1;
        w.box[0] = (box_desc){KEEPS(EI, APD), .hairpin = HAIRPIN_EXTERNAL};
        world_number(&w);
        world_add_server(&w);
        run_world(&w, test, NULL, &out);
        const np_result *r = &out.record.result;
        assert_int_equal(r->port_open, test == NP_TESTS_PORT ? NO : NOT_KNOWN);
        assert_int_equal(r->refused_takes_port, test == NP_TESTS_REFUSED ? NO : NOT_KNOWN);
        assert_int_equal(r->hairpin, test == NP_TESTS_HAIRPIN ? YES : NOT_KNOWN);
        assert_int_equal(r->hairpin_external, test == NP_TESTS_HAIRPIN ? YES : NOT_KNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thing_at_a_time),
        cmocka_unit_test(each_alone),
        cmocka_unit_test(never_wrong_in_any_world),
    };
    return cmocka_run_group_tests_name("optional", tests, NULL, NULL);
}
