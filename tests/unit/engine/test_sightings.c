/* SPDX-License-Identifier: MIT */
/* sightings: which requests and answers are counted, in which order, and whose word counts. */
#include "engine/sightings.h"

#include "build.h"

#define RTT_MS 20

/* One plain request with the answer that it got. */
static void observe(npi_exchange *x, const npi_addr *to, uint32_t number, uint16_t port)
{
    const npi_addr external = build_external(port);
    npi_exchange_init(x, "I", NPI_SLOT_SOURCE, to, 0, 8);
    x->number = number;
    build_observe(x, &external, AT(number), AT(number + RTT_MS));
}

/* A server with a trial: four addresses of it see the source socket, as ports that follow each other. */
static npi_server *counting_nat(build *b)
{
    build_init(b);
    npi_server *s = build_answering_server(b, RTT_MS);
    npi_trial *t = build_trial(b, s);
    const npi_addr to[] = {build_b(0, BUILD_P), build_b(0, BUILD_Q), build_a(0, BUILD_Q)};
    observe(&s->x[NPI_PRIMARY], &s->address, 1, 101);
    for (int k = 0; k < 3; k++)
        observe(&t->control.x[NPI_M_BP + k], &to[k], (uint32_t)(4 - k), (uint16_t)(104 - k));
    return s;
}

static void requests_count_in_the_order_of_sending(void **state)
{
    (void)state;
    static build b;
    const npi_server *s = counting_nat(&b);
    npi_tally t = npi_sightings_tally(&b.f, s);
    EXPECT_EQUAL("Each destination has shown another mapping.", t.ports_seen, 4);
    EXPECT_EQUAL("None kept the port.", t.ports_kept, 0);
    EXPECT_EQUAL("The last address asked was listed first.", t.port_step, 1);
    EXPECT_EQUAL("One address outside.", t.external_ips, 1);
    EXPECT_EQUAL("One inside.", t.local_ips, 1);
    b.trials[0].control.x[NPI_M_BQ].number = 4;
    b.trials[0].control.x[NPI_M_BP].number = 3;
    EXPECT_EQUAL("In another order there is no step.", npi_sightings_tally(&b.f, s).port_step, 0);
}

static void what_does_not_count(void **state)
{
    (void)state;
    static build b;
    const npi_server *s = counting_nat(&b);
    npi_exchange *test = &b.trials[0].filtering.x[NPI_F_II];
    observe(test, &s->address, 5, 999);
    test->change = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    EXPECT_EQUAL("An answer to CHANGE-REQUEST shows what was seen before.", npi_sightings_tally(&b.f, s).ports_seen, 4);
    npi_exchange_init(&b.trials[0].filtering.x[NPI_F_I], "I", 1, &s->address, 0, 8);
    EXPECT_EQUAL("A request that did not leave took no port.", npi_sightings_tally(&b.f, s).port_step, 1);
    b.f.evidence = NP_EVIDENCE_CLASSIC;
    EXPECT_EQUAL("Once requests were forgotten no step is known.", npi_sightings_tally(&b.f, s).port_step, 0);
    EXPECT_EQUAL("The mappings were seen all the same.", npi_sightings_tally(&b.f, s).ports_seen, 4);
    b.f.evidence = NP_EVIDENCE_RESTARTED;
    EXPECT_EQUAL("A restart forgets them too.", npi_sightings_tally(&b.f, s).port_step, 0);
    b.f.evidence = 0;
    b.f.error = NP_ERR_ADDRESS_CHANGED;
    EXPECT_EQUAL("What has changed twice counts no longer.", npi_sightings_tally(&b.f, s).ports_seen, 0);
    EXPECT_EQUAL("The host's own address does.", npi_sightings_tally(&b.f, s).local_ips, 1);
}

static void requests_with_change_request_take_ports(void **state)
{
    (void)state;
    static build b;
    const npi_server *s = counting_nat(&b);
    npi_exchange *test = &b.trials[0].filtering.x[NPI_F_II];
    observe(test, &s->address, 2, 999);
    test->change = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    test->slot = 1;
    EXPECT_EQUAL("It left between two others.", npi_sightings_tally(&b.f, s).port_step, 0);
    EXPECT_EQUAL("Its answer shows what a plain one would.", npi_sightings_tally(&b.f, s).ports_seen, 4);
    test->slot = s->x[NPI_PRIMARY].slot;
    EXPECT_EQUAL("A plain request had taken the port before.", npi_sightings_tally(&b.f, s).port_step, 1);
}

static void repeated_requests(void **state)
{
    (void)state;
    static build b;
    const npi_server *s = counting_nat(&b);
    npi_exchange *x = &b.trials[0].control.x[NPI_M_BQ]; /* the third, sent 1 ms before the last */
    build_send(x, AT(4));
    x->last_copy_ns = AT(4);
    EXPECT_EQUAL("A second copy left with another request.", npi_sightings_tally(&b.f, s).port_step, 0);
    x->last_copy_ns = AT(3);
    EXPECT_EQUAL("The first copy had been answered before.", npi_sightings_tally(&b.f, s).port_step, 1);
    x->last_copy_ns = AT_US(3999);
    EXPECT_EQUAL("A copy that left before any other.", npi_sightings_tally(&b.f, s).port_step, 1);
    npi_exchange *silent = &b.trials[0].control.x[NPI_M_OTHER];
    npi_exchange_init(silent, "I", 1, &b.servers[0].alternate, 0, 8);
    silent->number = 9;
    build_send(silent, AT(91));
    build_send(silent, AT(92));
    EXPECT_EQUAL("One without an answer took the last port, if any.", npi_sightings_tally(&b.f, s).port_step, 1);
    silent->number = 2;
    silent->t.first_ns = AT(1);
    EXPECT_EQUAL("If it left among others it may have taken any.", npi_sightings_tally(&b.f, s).port_step, 0);
}

static void lone_words(void **state)
{
    (void)state;
    static build b;
    const npi_server *s = counting_nat(&b);
    npi_server *other = build_answering_server(&b, RTT_MS);
    observe(&other->x[NPI_PRIMARY], &other->address, 5, 777);
    EXPECT_EQUAL("Nobody else says so: it may be wrong.", npi_sightings_tally(&b.f, s).ports_seen, 4);
    observe(&other->x[NPI_RECHECK], &other->address, 6, 777);
    EXPECT_EQUAL("That it says so again shows nothing.", npi_sightings_tally(&b.f, s).ports_seen, 4);
    EXPECT_EQUAL("Of the server on which the verdict rests it would count.",
                 npi_sightings_tally(&b.f, other).ports_seen, 1);
    npi_server *third = build_answering_server(&b, RTT_MS);
    observe(&third->x[NPI_PRIMARY], &third->address, 7, 777);
    EXPECT_EQUAL("Two say the same.", npi_sightings_tally(&b.f, s).ports_seen, 5);
    EXPECT_EQUAL("Without a verdict that alone counts.", npi_sightings_tally(&b.f, NULL).ports_seen, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_count_in_the_order_of_sending),
        cmocka_unit_test(what_does_not_count),
        cmocka_unit_test(requests_with_change_request_take_ports),
        cmocka_unit_test(repeated_requests),
        cmocka_unit_test(lone_words),
    };
    return cmocka_run_group_tests_name("sightings", tests, NULL, NULL);
}
