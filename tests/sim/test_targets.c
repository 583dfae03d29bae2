/* SPDX-License-Identifier: MIT */
/* The targets for time and packets, in virtual time: one conforming server, no loss, no jitter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "simulate.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SEEDS 5

typedef struct target {
    double round_trips;
    double more_ms;
    double short_ms; /* beside three round trips, where one is shorter than 30 ms: the gaps of the copies count there */
    unsigned packets;
} target;

static const unsigned round_trips_ms[] = {2, 10, 20, 30, 40, 100, 200, 300, 500};
static const target in_the_open = {1, 10, 10, 20};
static const target behind_a_full_cone = {2, 10, 10, 24};
static const target filtered = {2, 50, 50, 30};
/* Copies of II leave when III has been answered: the dense start counts for less then. */
static const target filtered_by_address = {3, 50, 60, 34};
#define SHORT_PATH_MS 30
/* Ports that follow each other may be drawn from a few: the filtering socket has to compare addresses as well. */
#define SEQUENCE_MS 40
#define SEQUENCE_PACKETS 3
/* What is asked for a sign of life on a path so long, and where the last of it is waited for. */
#define ASKED_AGAIN_MS 300
#define LONG_MS 500
static const target mapping_alone = {1, 15, 15, 0};
static const target mapping_of_drawn_ports = {3, 15, 15, 0};

static bool is_in_sequence(const world *w)
{
    return w->boxes > 0 && w->box[0].kind == BOX_NAT && w->box[0].ports == PORT_SEQUENTIAL;
}

static void check_world(const world *w, const target *t)
{
    report r;
    simulate(w, NULL, &r);
    const np_result *res = &r.last.result;
    double rtt_ms = (double)w->link.rtt_ns / 1e6;
    double elapsed_ms = (double)res->elapsed_us / 1e3;
    bool is_short = rtt_ms < SHORT_PATH_MS;
    double most_ms = (is_short ? 3 * rtt_ms + t->short_ms : t->round_trips * rtt_ms + t->more_ms) +
                     (is_in_sequence(w) ? SEQUENCE_MS : 0);
    unsigned most_packets = t->packets + (is_in_sequence(w) ? SEQUENCE_PACKETS : 0);
    if (rtt_ms >= ASKED_AGAIN_MS)
        most_packets += 2;
    if (rtt_ms >= LONG_MS)
        most_ms += rtt_ms;
    if (r.verdict == VERDICT_RIGHT && !r.broken && elapsed_ms <= most_ms && res->packets_sent <= most_packets)
        return;
    simulate(w, stderr, &r);
    fail_msg("round trip %.0f ms: %.1f ms of %.1f, %u packets of %u, %s", rtt_ms, elapsed_ms, most_ms,
             res->packets_sent, most_packets, r.why);
}

typedef void (*shape_fn)(world *w, unsigned kind);

static void check(shape_fn shape, unsigned kind, const target *t)
{
    for (size_t i = 0; i < COUNT(round_trips_ms); i++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            world w;
            world_quiet(&w, seed);
            w.link.rtt_ns = round_trips_ms[i] * MS;
            shape(&w, kind);
            check_world(&w, t);
        }
    }
}

static void shape_nat(world *w, unsigned kind)
{
    w->boxes = 1;
    w->box[0] = box_nat((dependence)(kind / 3), (dependence)(kind % 3));
    w->box[0].ports = (port_allocation)(w->seed % 4);
    world_number(w);
    world_add_server(w);
}

static void shape_firewall(world *w, unsigned kind)
{
    w->boxes = kind == 3 ? 0 : 1;
    w->box[0] = box_firewall((dependence)(kind % 3));
    world_number(w);
    world_add_server(w);
}

static void shape_linux(world *w, unsigned kind)
{
    w->boxes = 1;
    w->box[0] = box_linux(kind % 2 == 1, kind / 2 == 1);
    world_number(w);
    world_add_server(w);
}

static void shape_mapping_only(world *w, unsigned kind)
{
    shape_nat(w, kind);
    world_add_server(w);
    server_make_plain(&w->server[0]);
    server_make_plain(&w->server[1]);
    w->mapping_only = true;
}

static void test_open(void **state)
{
    (void)state;
    check(shape_firewall, 3, &in_the_open);
    check(shape_firewall, DEP_INDEPENDENT, &in_the_open);
}

static void test_full_cone(void **state)
{
    (void)state;
    check(shape_nat, DEP_INDEPENDENT * 3 + DEP_INDEPENDENT, &behind_a_full_cone);
}

static void test_restricted_cone(void **state)
{
    (void)state;
    check(shape_nat, DEP_INDEPENDENT * 3 + DEP_ADDRESS, &filtered_by_address);
}

static void test_port_restricted_cone(void **state)
{
    (void)state;
    check(shape_nat, DEP_INDEPENDENT * 3 + DEP_ADDRESS_AND_PORT, &filtered);
}

static void test_symmetric(void **state)
{
    (void)state;
    for (unsigned kind = DEP_ADDRESS * 3; kind < 9; kind++)
        check(shape_nat, kind, kind % 3 == DEP_ADDRESS ? &filtered_by_address : &filtered);
}

static void test_firewall(void **state)
{
    (void)state;
    check(shape_firewall, DEP_ADDRESS, &filtered_by_address);
    check(shape_firewall, DEP_ADDRESS_AND_PORT, &filtered);
}

static void test_linux(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++)
        check(shape_linux, kind, &filtered);
}

static void simulate_shaped(shape_fn shape, unsigned kind, unsigned round_trip_ms, FILE *trace, report *r)
{
    world w;
    world_quiet(&w, kind + 1);
    w.link.rtt_ns = round_trip_ms * MS;
    shape(&w, kind);
    simulate(&w, trace, r);
}

static void check_mapping_only(unsigned round_trip_ms, unsigned kind, port_allocation ports)
{
    world w;
    report r;
    world_quiet(&w, ports);
    w.link.rtt_ns = round_trip_ms * MS;
    shape_mapping_only(&w, kind);
    simulate(&w, NULL, &r);
    const np_result *res = &r.last.result;
    const target *t = kind < 3 && ports != PORT_PRESERVING ? &mapping_of_drawn_ports : &mapping_alone;
    double most_ms = t->round_trips * (double)round_trip_ms + t->more_ms;
    assert_int_not_equal(r.verdict, VERDICT_WRONG);
    assert_false(r.broken);
    assert_int_equal(res->error, NP_OK);
    assert_int_equal(res->nat_type, kind < 3 ? NP_NAT_CONE : NP_NAT_SYMMETRIC);
    if ((double)res->elapsed_us / 1e3 > most_ms)
        fail_msg("mapping only, round trip %u ms: %.1f ms of %.1f", round_trip_ms, (double)res->elapsed_us / 1e3,
                 most_ms);
    unsigned most_packets = kind < 3 && t == &mapping_alone ? 2 : 6;
    if (round_trip_ms >= ASKED_AGAIN_MS) /* before anything is known of the round trip */
        most_packets += 2;
    if (res->packets_sent > most_packets)
        fail_msg("mapping only, kind %u, ports %d, round trip %u ms: %u packets", kind, (int)ports, round_trip_ms,
                 res->packets_sent);
}

/*
 * Two plain servers can tell that the mapping depends on the destination, which then is the whole verdict. That it does
 * not they can tell at once where ports are kept; elsewhere one or two more sockets have to agree.
 */
static void test_mapping_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(round_trips_ms); i++) {
        for (unsigned kind = 0; kind < 9; kind++) {
            for (unsigned ports = 0; ports < 4; ports++)
                check_mapping_only(round_trips_ms[i], kind, (port_allocation)ports);
        }
    }
}

static void shape_useless_first(world *w, unsigned kind)
{
    w->boxes = 1;
    w->box[0] = box_nat((dependence)(kind / 3), (dependence)(kind % 3));
    world_number(w);
    world_add_server(w);
    world_add_server(w);
    server_make_plain(&w->server[0]);
}

/* The transactions of a second are enough for a server that turns out to be of no use and one that is good. */
static void test_useless_server_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(round_trips_ms); i++) {
        for (unsigned kind = 0; kind < 9; kind++) {
            report r;
            simulate_shaped(shape_useless_first, kind, round_trips_ms[i], NULL, &r);
            double elapsed_ms = (double)r.last.result.elapsed_us / 1e3;
            if (r.verdict != VERDICT_RIGHT) {
                simulate_shaped(shape_useless_first, kind, round_trips_ms[i], stderr, &r);
                fail_msg("kind %u, round trip %u ms: %s", kind, round_trips_ms[i], r.last.result.detail);
            }
            if (elapsed_ms > 7 * (double)round_trips_ms[i] + 120)
                fail_msg("kind %u, round trip %u ms: %.1f ms, %u packets", kind, round_trips_ms[i], elapsed_ms,
                         r.last.result.packets_sent);
        }
    }
}

/* ---- Dead servers ----------------------------------------------------------------------------------------------- */

#define LIST_MAX 3
/*
 * What each dead server may cost. On a path that is not short all together may cost a round trip beside that: the test
 * begins when its server has answered. For the mapping alone they may not.
 */
#define DEAD_COSTS_MS 250
#define SHORT_MS 90
#define LONG_COSTS_MS 40
static const unsigned dead_round_trips_ms[] = {10, 30, 40, 90, 100, 150, 200, 260, 300};

/* A list of servers: F full, P plain, D dead. */
static void shape_list(world *w, const char *list, unsigned kind)
{
    w->boxes = 1;
    w->box[0] = box_nat((dependence)(kind / 3), (dependence)(kind % 3));
    world_number(w);
    for (const char *c = list; *c != 0; c++) {
        server_desc *s = world_add_server(w);
        if (*c == 'P')
            server_make_plain(s);
        if (*c == 'D')
            s->dies_ns = 1;
    }
}

static double time_of(const char *list, unsigned kind, unsigned round_trip_ms, bool mapping_only)
{
    world w;
    report r;
    world_quiet(&w, kind + 1);
    w.link.rtt_ns = round_trip_ms * MS;
    w.mapping_only = mapping_only;
    shape_list(&w, list, kind);
    simulate(&w, NULL, &r);
    const np_result *res = &r.last.result;
    bool is_full = res->mapping != NP_BEHAVIOUR_UNKNOWN && (mapping_only || res->filtering != NP_BEHAVIOUR_UNKNOWN);
    if (r.broken || r.verdict == VERDICT_WRONG || res->error != NP_OK || !is_full)
        fail_msg("%s, kind %u, round trip %u ms: %s, %s", list, kind, round_trip_ms, r.why, res->detail);
    return (double)res->elapsed_us / 1e3;
}

/* The same list without its dead servers, and how many those are. */
static unsigned without_dead(const char *list, char *out)
{
    unsigned dead = 0;
    for (; *list != 0; list++) {
        dead += *list == 'D';
        if (*list != 'D')
            *out++ = *list;
    }
    *out = 0;
    return dead;
}

static double most_for_dead_ms(unsigned dead, unsigned round_trip_ms, bool mapping_only)
{
    bool is_short = mapping_only || round_trip_ms <= SHORT_MS;
    return DEAD_COSTS_MS * dead + (is_short ? 0 : round_trip_ms + LONG_COSTS_MS);
}

static void check_dead(const char *list, bool mapping_only)
{
    char alive[LIST_MAX + 1];
    unsigned dead = without_dead(list, alive);
    for (size_t i = 0; i < COUNT(dead_round_trips_ms); i++) {
        for (unsigned kind = 0; kind < 9; kind++) {
            unsigned round_trip_ms = dead_round_trips_ms[i];
            double most_ms = time_of(alive, kind, round_trip_ms, mapping_only) +
                             most_for_dead_ms(dead, round_trip_ms, mapping_only);
            double took_ms = time_of(list, kind, round_trip_ms, mapping_only);
            if (took_ms > most_ms)
                fail_msg("%s%s, kind %u, round trip %u ms: %.1f ms of %.1f", list, mapping_only ? " -m" : "", kind,
                         round_trip_ms, took_ms, most_ms);
        }
    }
}

/* Every list of three in which some server is dead, wherever it stands, and the others suffice. */
static void test_dead_servers(void **state)
{
    (void)state;
    static const char kinds[] = "FPD";
    for (unsigned n = 0; n < 27; n++) {
        char list[LIST_MAX + 1] = {kinds[n / 9], kinds[n / 3 % 3], kinds[n % 3], 0};
        bool any_dead = strchr(list, 'D') != NULL;
        if (any_dead && strchr(list, 'F') != NULL)
            check_dead(list, false);
        if (any_dead && (strchr(list, 'F') != NULL || strchr(list, 'P') != strrchr(list, 'P')))
            check_dead(list, true);
    }
}

/*
 * The NAT gets another address at any time of a check in which A:P is asked again by a copy: the copy's answer is told
 * from that of the first request, and the check starts once more.
 */
static void test_change_beside_dead_server(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        unsigned kind;
    } rows[] = {{"PDF", DEP_ADDRESS_AND_PORT * 3}, {"DDF", DEP_ADDRESS * 3 + DEP_ADDRESS}, {"DFF", DEP_ADDRESS}};
    unsigned restarts = 0;
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (unsigned at_ms = 1; at_ms < 600; at_ms += 7) {
            world w;
            report r;
            world_quiet(&w, rows[i].kind + 1);
            w.link.rtt_ns = 40 * MS;
            shape_list(&w, rows[i].list, rows[i].kind);
            w.box[0].changes = 1;
            w.box[0].change_ns[0] = at_ms * MS;
            simulate(&w, NULL, &r);
            restarts += (r.last.result.evidence & NP_EVIDENCE_RESTARTED) != 0;
            if (r.broken || r.verdict == VERDICT_WRONG)
                fail_msg("%s, kind %u, another address after %u ms: %s", rows[i].list, rows[i].kind, at_ms, r.why);
        }
    }
    assert_true(restarts > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_full_cone),
        cmocka_unit_test(test_restricted_cone),
        cmocka_unit_test(test_port_restricted_cone),
        cmocka_unit_test(test_symmetric),
        cmocka_unit_test(test_firewall),
        cmocka_unit_test(test_linux),
        cmocka_unit_test(test_mapping_only),
        cmocka_unit_test(test_useless_server_first),
        cmocka_unit_test(test_dead_servers),
        cmocka_unit_test(test_change_beside_dead_server),
    };
    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
