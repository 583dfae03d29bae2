/* SPDX-License-Identifier: MIT */
/* look: which destinations fresh sockets compare, and when. */
#include "engine/look.h"

#include "engine/findings.h"
#include "engine/schedule.h"

#include "build.h"

#define RTT_MS 20

/* Two plain servers see the source socket under one port, which is not its own. */
static void set(build *b)
{
    const npi_addr external = build_external(7);
    build_init(b);
    for (int i = 0; i < 2; i++) {
        npi_server *s = build_answering_server(b, RTT_MS);
        s->alternate_state = NPI_ALTERNATE_NONE;
        build_sees(s, &external, AT(0), AT(RTT_MS));
    }
    build_now(b, AT(30));
}

static void answer(build *b, int k, uint16_t port)
{
    const npi_addr external = build_external(port);
    npi_exchange *x = &b->f.looks.look[b->f.looks.asked - 1].x[k];
    x->queued = false;
    build_send(x, b->f.now_ns);
    x->external = external;
    build_answer(x, b->f.now_ns + RTT_MS * NPI_MS);
}

static void fresh_sockets_ask_two_servers_one_after_the_other(void **state)
{
    (void)state;
    static build b;
    set(&b);
    EXPECT_EQUAL("One equality of sixteen may be chance.", npi_mapping_look(&b.f).state, NPI_LOOK_NEEDED);
    npi_look_ask(&b.f);
    const npi_look *look = &b.f.looks.look[0];
    EXPECT_EQUAL("One socket.", b.f.looks.asked, 1);
    EXPECT("It asks the first server.", npi_addr_equal(&look->x[NPI_L_FIRST].to, &b.servers[0].address));
    EXPECT("And the other.", npi_addr_equal(&look->x[NPI_L_OTHER_IP].to, &b.servers[1].address));
    EXPECT("No other port is missed.", !look->x[NPI_L_OTHER_PORT].queued);
    EXPECT_EQUAL("From a socket of its own.", look->x[NPI_L_FIRST].slot, NPI_SLOT_LOOK);
    EXPECT_EQUAL("The same for both.", look->x[NPI_L_OTHER_IP].slot, NPI_SLOT_LOOK);
    EXPECT_EQUAL("Each of them belongs to its server.", look->server[NPI_L_OTHER_IP], 1);
    EXPECT("The socket is needed.", npi_look_needs_slot(&b.f, NPI_SLOT_LOOK));
    EXPECT("No other is.", !npi_look_needs_slot(&b.f, NPI_SLOT_LOOK + 1));
    EXPECT_EQUAL("While it is under way no more is asked.", npi_mapping_look(&b.f).state, NPI_LOOK_GOES_ON);
    npi_look_ask(&b.f);
    EXPECT_EQUAL("Not even if it is asked for.", b.f.looks.asked, 1);
    answer(&b, NPI_L_FIRST, 9);
    EXPECT("Until both have answered.", npi_look_needs_slot(&b.f, NPI_SLOT_LOOK));
    answer(&b, NPI_L_OTHER_IP, 9);
    EXPECT("Then it is not.", !npi_look_needs_slot(&b.f, NPI_SLOT_LOOK));
    build_now(&b, AT(60));
    EXPECT_EQUAL("They agree; it may still be chance.", npi_mapping_look(&b.f).state, NPI_LOOK_NEEDED);
    npi_look_ask(&b.f);
    EXPECT_EQUAL("The next has the next socket.", b.f.looks.look[1].x[NPI_L_FIRST].slot, NPI_SLOT_LOOK + 1);
    answer(&b, NPI_L_FIRST, 300);
    answer(&b, NPI_L_OTHER_IP, 300);
    build_now(&b, AT(90));
    EXPECT_EQUAL("294^-3: no chance.", npi_mapping_look(&b.f).state, NPI_LOOK_NOT_NEEDED);
    EXPECT_EQUAL("So the mapping is known.", npi_mapping_confirmed(&b.f), NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
}

/* The first answer shows that ports are far apart, so that one equality would do. The other may show a difference. */
static void what_has_been_asked_is_waited_for(void **state)
{
    (void)state;
    static build b;
    set(&b);
    npi_look_ask(&b.f);
    answer(&b, NPI_L_FIRST, 3000);
    build_now(&b, AT(60));
    EXPECT_EQUAL("The other answer is under way.", npi_mapping_look(&b.f).state, NPI_LOOK_GOES_ON);
    b.f.looks.look[0].x[NPI_L_OTHER_IP].queued = false;
    b.f.looks.look[0].x[NPI_L_OTHER_IP].failed = true;
    EXPECT_EQUAL("If it is lost no more is asked.", npi_mapping_look(&b.f).state, NPI_LOOK_NOT_NEEDED);
    EXPECT_EQUAL("One equality is enough.", npi_mapping_confirmed(&b.f), NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    b.f.looks.look[0].x[NPI_L_OTHER_IP].failed = false;
    answer(&b, NPI_L_OTHER_IP, 4000);
    EXPECT("It shows a difference: one of the two is chance.", npi_mapping_look(&b.f).state != NPI_LOOK_NOT_NEEDED);
    EXPECT_EQUAL("So nothing is known yet.", npi_mapping_confirmed(&b.f), NP_BEHAVIOUR_UNKNOWN);
}

/* Two servers that agree by chance outvote it, so they need one more equality. */
static void a_server_that_was_left_out_makes_one_equality_too_few(void **state)
{
    (void)state;
    static build b;
    static const struct {
        const char *says;
        uint16_t port; /* that the third server sees */
        npi_look_state state;
    } rows[] = {
        {"It sees the same.", 7, NPI_LOOK_NOT_NEEDED},
        {"It sees another port.", 9, NPI_LOOK_NEEDED},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr external = build_external(rows[i].port);
        set(&b);
        npi_look_ask(&b.f);
        answer(&b, NPI_L_FIRST, 9000); /* ports are far apart */
        b.f.looks.look[0].x[NPI_L_OTHER_IP].queued = false;
        b.f.looks.look[0].x[NPI_L_OTHER_IP].failed = true;
        npi_server *s = build_answering_server(&b, RTT_MS);
        s->alternate_state = NPI_ALTERNATE_NONE;
        build_sees(s, &external, AT(0), AT(RTT_MS));
        build_now(&b, AT(60));
        EXPECT_EQUAL(rows[i].says, npi_mapping_look(&b.f).state, rows[i].state);
    }
}

static void after_a_restart_other_sockets_ask(void **state)
{
    (void)state;
    static build b;
    set(&b);
    b.f.restarted = true;
    npi_look_ask(&b.f);
    EXPECT_EQUAL("A socket is used once.", b.f.looks.look[0].x[NPI_L_FIRST].slot, NPI_SLOT_LOOK + NPI_LOOKS);
}

static void copies_from_before_a_restart_count(void **state)
{
    (void)state;
    static build b;
    set(&b);
    const npi_addr *to = &b.servers[1].address;
    npi_look_ask(&b.f);
    EXPECT_EQUAL("Those that may still leave count.", npi_facts_copies_left(&b.f, to),
                 NPI_ALTERNATE_COPIES - NPI_LOOK_COPIES);
    answer(&b, NPI_L_FIRST, 9);
    answer(&b, NPI_L_OTHER_IP, 9);
    b.f.looks.look[0].x[NPI_L_FIRST].t.sent = 1;
    b.f.looks.look[0].x[NPI_L_OTHER_IP].t.sent = 2;
    EXPECT_EQUAL("Then those that left.", npi_facts_copies_left(&b.f, to), NPI_ALTERNATE_COPIES - 2);
    npi_schedule_restart(&b.f);
    EXPECT_EQUAL("A restart forgets the looks.", b.f.looks.asked, 0);
    EXPECT_EQUAL("Their copies have left all the same.", npi_facts_copies_left(&b.f, to), NPI_ALTERNATE_COPIES - 2);
    npi_schedule_restart(&b.f);
    EXPECT_EQUAL("However many restarts there are.", npi_facts_copies_left(&b.f, to), NPI_ALTERNATE_COPIES - 2);
}

static void there_is_an_end_of_looks(void **state)
{
    (void)state;
    static build b;
    set(&b);
    for (uint32_t i = 0; i < NPI_LOOKS; i++) {
        npi_look_ask(&b.f);
        for (int k = NPI_L_FIRST; k <= NPI_L_OTHER_IP; k++) {
            b.f.looks.look[i].x[k].queued = false;
            b.f.looks.look[i].x[k].failed = true;
        }
    }
    EXPECT_EQUAL("Four were lost.", npi_mapping_look(&b.f).state, NPI_LOOK_NOT_NEEDED);
    EXPECT_EQUAL("Nothing is known.", npi_mapping_confirmed(&b.f), NP_BEHAVIOUR_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_sockets_ask_two_servers_one_after_the_other),
        cmocka_unit_test(what_has_been_asked_is_waited_for),
        cmocka_unit_test(a_server_that_was_left_out_makes_one_equality_too_few),
        cmocka_unit_test(after_a_restart_other_sockets_ask),
        cmocka_unit_test(copies_from_before_a_restart_count),
        cmocka_unit_test(there_is_an_end_of_looks),
    };
    return cmocka_run_group_tests_name("look", tests, NULL, NULL);
}
