/* SPDX-License-Identifier: MIT */
/* chance: which equal ports prove something, and what another socket has to compare. */
#include "engine/chance.h"

#include <string.h>

#include "build.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KEPT 40000 /* the local port */
#define INDEPENDENT NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define DEPENDENT NP_BEHAVIOUR_ENDPOINT_DEPENDENT
#define BY_ADDRESS NP_BEHAVIOUR_ADDRESS_DEPENDENT
#define BY_BOTH NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
#define UNKNOWN NP_BEHAVIOUR_UNKNOWN

static void odds_follow_from_the_ports_seen(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        uint32_t equal;
        npi_given_ports given;
        double limit;
        bool excluded;
    } rows[] = {
        {"No equality proves nothing.", 0, {2, 60000, false}, 1, false},
        {"One of sixteen ports is often equal.", 1, {1, 0, false}, NPI_CHANCE, false},
        {"16^-3 is 2.4e-4.", 3, {2, 5, false}, NPI_CHANCE, false},
        {"16^-4 is 1.5e-5.", 4, {2, 5, false}, NPI_CHANCE, true},
        {"A span of 15 makes it no more than sixteen.", 3, {2, 15, false}, NPI_CHANCE, false},
        {"A span of 21 makes it 22: 22^-3 is 9.4e-5.", 3, {2, 21, false}, NPI_CHANCE, true},
        {"A span of 20 makes it 21: 21^-3 is 1.1e-4.", 3, {2, 20, false}, NPI_CHANCE, false},
        {"Two ports 1482 apart: 4 / (27 * 1482) is 1e-4.", 1, {2, 1482, false}, NPI_CHANCE, true},
        {"Two ports 1481 apart are a little too near.", 1, {2, 1481, false}, NPI_CHANCE, false},
        {"Of three ports, two are as far apart more often.", 1, {3, 1482, false}, NPI_CHANCE, false},
        {"One port has no span.", 1, {1, 0, false}, 0.01, false},
        {"16^-2 is 3.9e-3.", 2, {2, 3, false}, NPI_CHANCE_BOTH_SOCKETS, false},
        {"In sequence by chance in 3 of 16 cases: 7.3e-4.", 2, {2, 3, true}, NPI_CHANCE_BOTH_SOCKETS, true},
        {"That is not enough where it is not both sockets.", 2, {2, 3, true}, NPI_CHANCE, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        EXPECT_EQUAL(rows[i].says, npi_chance_is_excluded(rows[i].equal, &rows[i].given, rows[i].limit),
                     rows[i].excluded);
}

/* A:P, B:P, A:Q and B:Q see the source socket under these ports; 0: not asked. The filtering socket has the next. */
typedef struct sights {
    uint16_t ap, bp, aq, bq;
    uint16_t filtering, filtering_bp;
} sights;

static npi_trial *set(build *b, const sights *seen, npi_observation out[4], size_t *count)
{
    const uint16_t ports[] = {seen->ap, seen->bp, seen->bq, seen->aq};
    const int index[] = {-1, NPI_M_BP, NPI_M_BQ, NPI_M_AQ};
    build_init(b);
    npi_server *s = build_answering_server(b, 20);
    npi_trial *t = build_trial(b, s);
    build_silent(t);
    npi_addr external = build_external(seen->ap);
    build_sees(s, &external, AT(0), AT(20));
    *count = 0;
    for (size_t i = 0; i < 4; i++) {
        if (ports[i] == 0)
            continue;
        external = build_external(ports[i]);
        out[*count] = (npi_observation){.destination = s->address, .external = external, .local = build_local()};
        if (index[i] >= 0) {
            npi_exchange *x = build_ask(b, t, index[i]);
            build_observe(x, &external, AT(50), AT(70));
            out[*count].destination = x->to;
        }
        ++*count;
    }
    external = build_external(seen->filtering);
    if (seen->filtering != 0)
        build_observe(&t->filtering.x[NPI_F_I], &external, AT(1), AT(21));
    external = build_external(seen->filtering_bp);
    if (seen->filtering_bp != 0)
        build_observe(build_ask(b, t, NPI_M_OTHER), &external, AT(51), AT(71));
    build_now(b, AT(100));
    return t;
}

static void equal_ports_count_if_they_are_no_chance(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        sights seen;
        int32_t compared, wanted;
        uint32_t misses;
        npi_change ii, iii;
    } rows[] = {
        {"A port that is kept is not drawn.", {KEPT, KEPT, 0, 0, 0, 0}, INDEPENDENT, INDEPENDENT, 0, 0, 0},
        {"Any other may be.", {7, 7, 7, 7, 0, 0}, INDEPENDENT, UNKNOWN, NPI_MISSES_OTHER_IP, 0, 0},
        {"Not if ports are far apart.", {7, 7, 0, 0, 3000, 0}, INDEPENDENT, INDEPENDENT, NPI_MISSES_NO_MORE, 0, 0},
        {"Two equalities wait for nothing.", {7, 7, 7, 0, 3000, 3000}, INDEPENDENT, INDEPENDENT, 0, 0, 0},
        {"The filtering socket agrees, and has the next port.", {7, 7, 7, 0, 9, 9}, INDEPENDENT, INDEPENDENT, 0, 0, 0},
        {"It has a port before: ports are not counted up.",
         {7, 7, 7, 0, 5, 5},
         INDEPENDENT,
         UNKNOWN,
         NPI_MISSES_OTHER_IP,
         0,
         0},
        {"It does not agree: one of them is chance.",
         {7, 7, 7, 0, 9, 11},
         INDEPENDENT,
         UNKNOWN,
         NPI_MISSES_OTHER_IP,
         0,
         0},
        {"II came in: a port has one owner.", {7, 7, 0, 0, 0, 0}, INDEPENDENT, INDEPENDENT, 0, NPI_CHANGE_HONOURED, 0},
        {"III says nothing of other addresses.",
         {7, 7, 0, 0, 0, 0},
         INDEPENDENT,
         UNKNOWN,
         NPI_MISSES_OTHER_IP,
         0,
         NPI_CHANGE_HONOURED},
        {"By address, or two pairs of ports by chance.",
         {7, 9, 7, 9, 20, 0},
         BY_ADDRESS,
         DEPENDENT,
         NPI_MISSES_OTHER_PORT,
         0,
         0},
        {"III came in: not by port.", {7, 9, 7, 9, 20, 0}, BY_ADDRESS, BY_ADDRESS, 0, 0, NPI_CHANGE_HONOURED},
        {"By both needs no proof.", {7, 9, 11, 13, 20, 0}, BY_BOTH, BY_BOTH, 0, 0, 0},
        {"Two IP addresses agree by chance, and twice they do not.", {7, 7, 11, 0, 20, 25}, UNKNOWN, BY_BOTH, 0, 0, 0},
        {"Once is not enough.",
         {7, 7, 11, 0, 20, 0},
         UNKNOWN,
         UNKNOWN,
         NPI_MISSES_OTHER_IP | NPI_MISSES_OTHER_PORT,
         0,
         0},
        {"Two ports of A agree, and two of B do not.",
         {7, 9, 7, 13, 20, 0},
         DEPENDENT,
         DEPENDENT,
         NPI_MISSES_OTHER_PORT,
         0,
         0},
        {"Chance does not mix ports that are far apart.", {7, 7, 11, 0, 5000, 0}, UNKNOWN, UNKNOWN, 0, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_observation seen[4];
        size_t count;
        uint32_t misses = 99;
        npi_trial *t = set(&b, &rows[i].seen, seen, &count);
        t->filtering.ii.outcome = rows[i].ii;
        t->filtering.iii.outcome = rows[i].iii;
        EXPECT_EQUAL(rows[i].says, npi_chance_judge(&b.f, seen, count, rows[i].compared, &misses), rows[i].wanted);
        EXPECT_EQUAL(rows[i].says, misses, rows[i].misses);
    }
}

/* One look after the other: what A:P, B:P and A:Q see of it, from this external IP address. */
static void look_at(build *b, uint16_t ap, uint16_t bp, uint16_t aq, uint8_t last)
{
    const uint16_t ports[] = {ap, bp, aq};
    npi_look *look = &b->f.looks.look[b->f.looks.asked++];
    for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
        npi_addr external = npi_addr_v4(192, 0, last == 77 ? 2 : 3, last, ports[k]);
        npi_exchange_init(&look->x[k], "look", NPI_SLOT_LOOK, &b->servers[0].address, 0, 1);
        if (ports[k] != 0)
            build_observe(&look->x[k], &external, AT(100), AT(120));
    }
}

static void looks_settle_it(void **state)
{
    (void)state;
    static build b;
    static const sights all_equal = {20, 20, 20, 20, 0, 0};
    npi_observation seen[4];
    size_t count;
    uint32_t misses;
    (void)set(&b, &all_equal, seen, &count);
    look_at(&b, 22, 22, 0, 77);
    look_at(&b, 30, 30, 0, 77);
    EXPECT_EQUAL("Two sockets more agree: 16^-3.", npi_chance_judge(&b.f, seen, count, INDEPENDENT, &misses), UNKNOWN);
    look_at(&b, 25, 25, 0, 77);
    EXPECT_EQUAL("Three.", npi_chance_judge(&b.f, seen, count, INDEPENDENT, &misses), INDEPENDENT);
    (void)set(&b, &all_equal, seen, &count);
    look_at(&b, 22, 25, 0, 77);
    EXPECT_EQUAL("One does not agree.", npi_chance_judge(&b.f, seen, count, INDEPENDENT, &misses), UNKNOWN);
    look_at(&b, 26, 30, 0, 77);
    EXPECT_EQUAL("Two do not.", npi_chance_judge(&b.f, seen, count, INDEPENDENT, &misses), DEPENDENT);
    (void)set(&b, &all_equal, seen, &count);
    for (int i = 0; i < 2; i++) {
        look_at(&b, 22, 25, 0, 77);
        b.f.looks.look[i].x[NPI_L_OTHER_IP].external.ip[3]++;
    }
    EXPECT_EQUAL("The NAT got another address in between: nothing is shown.",
                 npi_chance_judge(&b.f, seen, count, INDEPENDENT, &misses), UNKNOWN);
    (void)set(&b, &all_equal, seen, &count);
    look_at(&b, 22, 25, 0, 9);
    EXPECT_EQUAL("Of another network: they say nothing of this NAT.",
                 npi_chance_judge(&b.f, seen, count, INDEPENDENT, &misses), INDEPENDENT);
    EXPECT_EQUAL("Nor would others.", misses, 0);
    (void)set(&b, &all_equal, seen, &count);
    b.f.looks.has_no_socket = true;
    EXPECT_EQUAL("There are no others.", npi_chance_judge(&b.f, seen, count, INDEPENDENT, &misses), INDEPENDENT);
}

static void one_equality_may_be_chance(void **state)
{
    (void)state;
    static build b;
    static const sights kept = {KEPT, 0, 0, 0, 7, 0}, near = {7, 0, 0, 0, 9, 0}, far = {7, 0, 0, 0, 3000, 0};
    npi_observation seen[4];
    size_t count;
    (void)set(&b, &kept, seen, &count);
    EXPECT("Not where ports are kept.", !npi_chance_may_equal_one(&b.f, &b.servers[0], NPI_CHANCE));
    (void)set(&b, &near, seen, &count);
    EXPECT("Where they are near.", npi_chance_may_equal_one(&b.f, &b.servers[0], NPI_CHANCE));
    (void)set(&b, &far, seen, &count);
    EXPECT("Not where they are far apart.", !npi_chance_may_equal_one(&b.f, &b.servers[0], NPI_CHANCE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odds_follow_from_the_ports_seen),
        cmocka_unit_test(equal_ports_count_if_they_are_no_chance),
        cmocka_unit_test(looks_settle_it),
        cmocka_unit_test(one_equality_may_be_chance),
    };
    return cmocka_run_group_tests_name("chance", tests, NULL, NULL);
}
