/* SPDX-License-Identifier: MIT */
/* engine: whole dialogues on virtual time, what comes in and goes out, and how it is stopped. */
#include "build.h"
#include "dialogue.h"

#include <stdlib.h>
#include <string.h>

#include "../stun_message.h"

#define MS(ns) ((unsigned)((ns) / NPI_MS))
#define PROOFS                                                                                                         \
    (NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED |                     \
     NP_EVIDENCE_CONTROL_ANSWERED)

static const nat full_cone = {.translates = true};
static const nat port_restricted = {.translates = true, .filtering = BY_ADDRESS_AND_PORT};
static const nat symmetric = {.translates = true, .mapping = BY_ADDRESS_AND_PORT, .filtering = BY_ADDRESS_AND_PORT};
static const nat blocked = {.blocks = true};

/* ---- Whole dialogues -------------------------------------------------------------------------------------------- */

static const struct {
    const char *says;
    nat nat;
    int32_t type;
    int32_t filtering;
    uint32_t proofs;
    unsigned least_ms, most_ms; /* round trip: 20 ms */
} worlds[] = {
    {"no NAT, no firewall: the first answers say it all, after one round trip",
     {0},
     NP_NAT_OPEN_INTERNET,
     NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED,
     20,
     20},
    {"a firewall without NAT: its silence is proven by a control",
     {.filtering = BY_ADDRESS_AND_PORT},
     NP_NAT_SYMMETRIC_UDP_FIREWALL,
     NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_CONTROL_ANSWERED,
     60,
     250},
    {"full cone: one round trip for the filtering, one for the mapping",
     {.translates = true},
     NP_NAT_FULL_CONE,
     NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED,
     40,
     40},
    {"restricted: III is answered, II is not, and its control is",
     {.translates = true, .filtering = BY_ADDRESS},
     NP_NAT_RESTRICTED_CONE,
     NP_BEHAVIOUR_ADDRESS_DEPENDENT,
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_TEST_III_ANSWERED | NP_EVIDENCE_CONTROL_ANSWERED,
     60,
     250},
    {"port-restricted: neither is answered, and III's control is",
     {.translates = true, .filtering = BY_ADDRESS_AND_PORT},
     NP_NAT_PORT_RESTRICTED_CONE,
     NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_CONTROL_ANSWERED,
     60,
     250},
    {"symmetric: no control can pass, so the filtering is as measured",
     {.translates = true, .mapping = BY_ADDRESS_AND_PORT, .filtering = BY_ADDRESS_AND_PORT},
     NP_NAT_SYMMETRIC,
     NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
     0,
     60,
     250},
    {"mapping by address: III's control goes through the same mapping, and proves",
     {.translates = true, .mapping = BY_ADDRESS, .filtering = BY_ADDRESS_AND_PORT},
     NP_NAT_SYMMETRIC,
     NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_CONTROL_ANSWERED,
     60,
     250},
    {"symmetric and open: II is answered, which needs no control",
     {.translates = true, .mapping = BY_ADDRESS_AND_PORT},
     NP_NAT_SYMMETRIC,
     NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED,
     40,
     40},
    {"blocked: UDP is called blocked after three seconds of silence, not before, not later",
     {.blocks = true},
     NP_NAT_UDP_BLOCKED,
     NP_BEHAVIOUR_UNKNOWN,
     0,
     3000,
     3000},
};

static void dialogues_end_with_the_type_of_the_nat(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(worlds); i++) {
        dialogue d;
        dialogue_begin(&d, &worlds[i].nat, NP_TESTS_DEFAULT, 1);
        dialogue_talk(&d);
        np_result r = dialogue_result(&d);
        unsigned ms = (unsigned)(r.elapsed_us / 1000);
        if (r.nat_type != worlds[i].type || r.filtering != worlds[i].filtering ||
            (r.evidence & PROOFS) != worlds[i].proofs || ms < worlds[i].least_ms || ms > worlds[i].most_ms ||
            r.error != (worlds[i].nat.blocks ? NP_ERR_NO_RESPONSE : NP_OK) || r.packets_sent != d.sent_count)
            fail_msg("%s: type %d, filtering %d, proofs %x, %u ms", worlds[i].says, (int)r.nat_type, (int)r.filtering,
                     (unsigned)(r.evidence & PROOFS), ms);
        dialogue_end(&d);
    }
}

static void mapping_alone_asks_no_change_and_opens_no_other_socket(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &full_cone, NP_TESTS_MAPPING, 2);
    dialogue_talk(&d);
    assert_int_equal(dialogue_result(&d).mapping, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    assert_int_equal(d.now_ns - DIALOGUE_T0, d.rtt_ns); /* two servers, both asked at once */
    assert_int_equal(d.sent_count, 2);
    for (size_t i = 0; i < d.sent_count; i++)
        assert_true(d.sent[i].slot == NPI_SLOT_SOURCE && d.sent[i].change == 0);
    dialogue_end(&d);
}

/* RFC 5780 section 4.4: a request from the filtering socket to B or Q, or one to them before, would open the way. */
static void nothing_goes_to_other_addresses_while_the_filtering_is_tested(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &port_restricted, NP_TESTS_DEFAULT, 1);
    dialogue_talk(&d);
    npi_addr primary = dialogue_server(0);
    size_t last_test = 0;
    size_t first_other = d.sent_count;
    for (size_t i = d.sent_count; i-- > 0;) {
        if (!npi_addr_equal(&d.sent[i].to, &primary))
            first_other = i;
        if (d.sent[i].slot != NPI_SLOT_SOURCE) {
            assert_true(npi_addr_equal(&d.sent[i].to, &primary));
            last_test = last_test > i ? last_test : i;
        }
    }
    assert_true(last_test > 0 && first_other < d.sent_count);
    assert_true(last_test < first_other);
    dialogue_end(&d);
}

/*
 * The wake-up is the earliest of what the floors ask for: an engine that is woken every fifth of a millisecond besides
 * must do the very same. A timer that is lost, or comes late, shows here.
 */
static void waking_more_often_changes_nothing(void **state)
{
    (void)state;
    const nat *const nats[] = {&full_cone, &port_restricted, &symmetric, &blocked};
    for (size_t i = 0; i < COUNT(nats); i++) {
        for (unsigned servers = 1; servers <= 4; servers++) {
            dialogue lazy;
            dialogue busy;
            dialogue_begin(&lazy, nats[i], NP_TESTS_DEFAULT, servers);
            dialogue_begin(&busy, nats[i], NP_TESTS_DEFAULT, servers);
            lazy.rtt_ns = busy.rtt_ns = 27 * NPI_MS;
            busy.tick_ns = NPI_MS / 5;
            dialogue_talk(&lazy);
            dialogue_talk(&busy);
            assert_int_equal(lazy.sent_count, busy.sent_count);
            for (size_t k = 0; k < lazy.sent_count; k++) {
                assert_int_equal(lazy.sent[k].at_ns, busy.sent[k].at_ns);
                assert_int_equal(lazy.sent[k].slot, busy.sent[k].slot);
                assert_int_equal(lazy.sent[k].change, busy.sent[k].change);
                assert_true(npi_addr_equal(&lazy.sent[k].to, &busy.sent[k].to));
            }
            np_result a = dialogue_result(&lazy);
            np_result b = dialogue_result(&busy);
            assert_memory_equal(&a, &b, sizeof a);
            dialogue_end(&lazy);
            dialogue_end(&busy);
        }
    }
}

static void a_wakeup_is_never_later_than_the_deadline(void **state)
{
    (void)state;
    dialogue d;
    npi_engine_config config = dialogue_config(NP_TESTS_DEFAULT, 1);
    config.deadline_ns = DIALOGUE_T0 + NPI_MS; /* before the second round of tests would be due */
    dialogue_begin(&d, &blocked, NP_TESTS_DEFAULT, 1);
    npi_addr a = dialogue_server(0);
    npi_engine_init(d.e, &config, DIALOGUE_T0);
    npi_engine_add_server(d.e, &a, false);
    npi_engine_expect_servers(d.e, false);
    dialogue_send(&d);
    assert_int_equal(npi_engine_wakeup_ns(d.e), config.deadline_ns);
    npi_engine_advance(d.e, config.deadline_ns - 1);
    assert_false(npi_engine_is_done(d.e));
    npi_engine_advance(d.e, config.deadline_ns);
    assert_true(npi_engine_is_done(d.e));
    assert_int_equal(dialogue_result(&d).error, NP_ERR_NO_RESPONSE);
    dialogue_end(&d);
}

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

static npi_engine *engine_for(size_t max_servers)
{
    npi_engine_config config = dialogue_config(NP_TESTS_DEFAULT, max_servers);
    npi_engine *e = malloc(npi_engine_size(max_servers, config.tests));
    assert_non_null(e);
    npi_engine_init(e, &config, DIALOGUE_T0);
    return e;
}

static size_t size_for(size_t max_servers)
{
    return npi_engine_size(max_servers, NP_TESTS_DEFAULT);
}

static void the_size_grows_with_servers_and_trials_up_to_their_limits(void **state)
{
    (void)state;
    size_t base = size_for(0);
    size_t server = sizeof(npi_server);
    size_t trial = sizeof(npi_trial);
    assert_int_equal(size_for(1), base + server + 2 * trial); /* a restart may begin a second one */
    assert_int_equal(size_for(3), base + 3 * server + 6 * trial);
    assert_int_equal(size_for(4), base + 4 * server + NPI_TRIALS_MAX * trial);
    assert_int_equal(size_for(5), base + 5 * server + NPI_TRIALS_MAX * trial);
    assert_int_equal(size_for(32), base + NPI_SERVERS_MAX * server + NPI_TRIALS_MAX * trial);
    assert_int_equal(size_for(33), size_for(32));
    assert_int_equal(size_for(SIZE_MAX), size_for(32));
}

static void only_optional_tests_take_room_of_their_own(void **state)
{
    (void)state;
    size_t without = size_for(1);
    size_t with = without + NPI_OPTIONAL_ERRANDS * sizeof(npi_errand);
    assert_int_equal(npi_engine_size(1, NP_TESTS_MAPPING), without);
    for (int32_t test = NP_TESTS_PORT; test <= NP_TESTS_LIFETIME; test *= 2)
        assert_int_equal(npi_engine_size(1, NP_TESTS_DEFAULT | test), with);
}

static void a_server_is_added_once_and_only_where_a_datagram_may_go(void **state)
{
    (void)state;
    npi_engine *e = engine_for(3);
    npi_addr mapped = {
        .family = NPI_IPV6, .ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 51, 100, 1}, .port = 3478};
    const struct {
        const char *says;
        npi_addr address;
        bool taken;
    } rows[] = {
        {"no port", npi_addr_v4(198, 51, 100, 1, 0), false},
        {"a group of hosts", npi_addr_v4(224, 0, 0, 1, 3478), false},
        {"the first", npi_addr_v4(198, 51, 100, 1, 3478), true},
        {"the same again", npi_addr_v4(198, 51, 100, 1, 3478), false},
        {"the same written as IPv6", mapped, false},
        {"another port of it", npi_addr_v4(198, 51, 100, 1, 3479), true},
        {"a third", npi_addr_v4(198, 51, 100, 3, 3478), true},
        {"one more than there is room for", npi_addr_v4(198, 51, 100, 5, 3478), false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (npi_engine_add_server(e, &rows[i].address, false) != rows[i].taken)
            fail_msg("%s", rows[i].says);
    }
    free(e);
}

static void the_experiment_waits_for_servers_that_are_to_come(void **state)
{
    (void)state;
    npi_datagram out;
    const uint8_t random[NPI_STUN_ID_SIZE] = {1};
    npi_engine *e = engine_for(2);
    npi_addr a = dialogue_server(0);
    assert_int_equal(npi_engine_wakeup_ns(e), DIALOGUE_T0);
    assert_int_equal(npi_engine_servers_wanted(e), 3);
    npi_engine_advance(e, DIALOGUE_T0);
    assert_false(npi_engine_is_done(e));
    assert_false(npi_engine_next_datagram(e, random, &out));
    assert_true(npi_engine_wakeup_ns(e) > DIALOGUE_T0);
    assert_true(npi_engine_add_server(e, &a, false));
    assert_int_equal(npi_engine_wakeup_ns(e), DIALOGUE_T0); /* at once */
    npi_engine_advance(e, DIALOGUE_T0 + NPI_MS);
    assert_true(npi_engine_next_datagram(e, random, &out));
    free(e);
}

static void without_any_server_it_ends_once_none_is_to_come(void **state)
{
    (void)state;
    npi_engine *e = engine_for(2);
    npi_engine_advance(e, DIALOGUE_T0 + 5 * NPI_MS);
    npi_engine_expect_servers(e, false);
    assert_int_equal(npi_engine_wakeup_ns(e), DIALOGUE_T0 + 5 * NPI_MS);
    npi_engine_advance(e, DIALOGUE_T0 + 6 * NPI_MS);
    np_result r;
    npi_engine_result(e, DIALOGUE_T0 + 9 * NPI_MS, &r);
    assert_true(npi_engine_is_done(e));
    assert_int_equal(r.error, NP_ERR_RESOLVE);
    assert_int_equal(r.elapsed_us, 6000); /* of the end, not of the question */
    assert_int_equal(npi_engine_wakeup_ns(e), NPI_NEVER);
    free(e);
}

/* A name server that never answers: the servers by number have told all they can. */
static void names_that_never_resolve_are_waited_for_a_second(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned servers;
        bool is_change_ignored;
        int32_t tests, error, type;
        unsigned ends_ms;
    } rows[] = {
        {"a verdict needs no more names", 1, false, NP_TESTS_DEFAULT, NP_OK, NP_NAT_FULL_CONE, 62},
        {"nor where the mapping alone is asked for", 1, false, NP_TESTS_MAPPING, NP_OK, NP_NAT_CONE, 40},
        {"two tell it", 2, false, NP_TESTS_MAPPING, NP_OK, NP_NAT_CONE, 20},
        {"one that ignores CHANGE-REQUEST tells the mapping", 1, true, NP_TESTS_DEFAULT, NP_OK, NP_NAT_CONE, 2058},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dialogue d;
        dialogue_begin(&d, &full_cone, rows[i].tests, rows[i].servers);
        d.is_change_ignored = rows[i].is_change_ignored;
        npi_engine_expect_servers(d.e, true);
        dialogue_talk(&d);
        np_result r = dialogue_result(&d);
        unsigned ms = (unsigned)(r.elapsed_us / 1000);
        if (r.error != rows[i].error || r.nat_type != rows[i].type || ms != rows[i].ends_ms)
            fail_msg("%s: error %d, type %d, %u ms", rows[i].says, (int)r.error, (int)r.nat_type, ms);
        dialogue_end(&d);
    }
}

static void slots_are_in_use_from_their_first_datagram_to_the_end_of_their_trial(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 1);
    assert_true(npi_engine_slot_in_use(d.e, NPI_SLOT_SOURCE));
    assert_false(npi_engine_slot_in_use(d.e, 1));
    dialogue_send(&d);
    assert_true(npi_engine_slot_in_use(d.e, 1));
    assert_false(npi_engine_slot_in_use(d.e, 2));
    dialogue_talk(&d);
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++)
        assert_false(npi_engine_slot_in_use(d.e, slot));
    dialogue_end(&d);
}

/* A server without a second address ends its trial at once, while the source socket goes on. */
static void a_filtering_socket_is_given_up_with_its_trial(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 2);
    dialogue_send(&d);
    npi_incoming in;
    npi_addr from = dialogue_server(0);
    uint8_t data[80];
    assert_int_equal(d.sent[0].slot, NPI_SLOT_SOURCE);
    memcpy(data, d.flights[0].data, sizeof data);
    size_t size = dialogue_answer(data, data, d.external, (npi_addr){0});
    assert_true(npi_engine_match(d.e, NPI_SLOT_SOURCE, data, size, &in));
    npi_engine_receive(d.e, d.now_ns + NPI_MS, &in, &from, NULL);
    npi_engine_advance(d.e, d.now_ns + NPI_MS);
    assert_false(npi_engine_is_done(d.e));
    assert_false(npi_engine_slot_in_use(d.e, 1));
    assert_true(npi_engine_slot_in_use(d.e, NPI_SLOT_SOURCE));
    dialogue_end(&d);
}

/* ---- What comes in ---------------------------------------------------------------------------------------------- */

static void an_answer_is_matched_by_its_id_and_its_socket(void **state)
{
    (void)state;
    dialogue d;
    npi_incoming in;
    dialogue_begin(&d, &blocked, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    const flight *f = &d.flights[0];
    uint8_t other[80];
    memcpy(other, f->data, f->size);
    other[8] ^= 1; /* the first byte of the id behind the cookie */
    assert_true(npi_engine_match(d.e, NPI_SLOT_SOURCE, f->data, f->size, &in));
    assert_int_equal(in.slot, NPI_SLOT_SOURCE);
    assert_non_null(in.origin.server);
    assert_false(npi_engine_match(d.e, NPI_SLOT_SOURCE, f->data, f->size - 1, &in)); /* cut off: no STUN message */
    assert_null(in.origin.exchange);
    assert_false(npi_engine_match(d.e, 1, f->data, f->size, &in));
    assert_null(in.origin.exchange);
    assert_false(npi_engine_match(d.e, NPI_SLOT_SOURCE, other, f->size, &in));
    assert_null(in.origin.exchange);
    dialogue_end(&d);
}

/* What happens to a blocked dialogue when one datagram comes, as its error at the end and its count of answers. */
static np_result end_after(int slot, const npi_addr *from, bool with_its_id)
{
    dialogue d;
    npi_incoming in;
    dialogue_begin(&d, &blocked, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    uint8_t data[80];
    memcpy(data, d.flights[0].data, sizeof data);
    data[8] ^= with_its_id ? 0 : 1;
    assert_int_equal(npi_engine_match(d.e, slot, data, d.flights[0].size, &in), with_its_id && slot == NPI_SLOT_SOURCE);
    npi_engine_receive(d.e, d.now_ns + NPI_MS, &in, from, NULL);
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    dialogue_end(&d);
    return r;
}

static void strays_tell_only_that_something_is_there(void **state)
{
    (void)state;
    const npi_addr server = dialogue_server(0);
    const npi_addr stranger = npi_addr_v4(198, 51, 100, 77, 3478);
    const struct {
        const char *says;
        int slot;
        const npi_addr *from;
        bool with_its_id;
        int32_t error;
    } rows[] = {
        {"of a stranger and without an id of ours: nothing to do with us", 0, &stranger, false, NP_ERR_NO_RESPONSE},
        {"of the server, without an id of ours: something is there", 0, &server, false, NP_ERR_BAD_RESPONSE},
        {"with our id, but not from where a plain request went", 0, &stranger, true, NP_ERR_BAD_RESPONSE},
        {"with our id, on another socket, of a stranger", 1, &stranger, true, NP_ERR_NO_RESPONSE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        np_result r = end_after(rows[i].slot, rows[i].from, rows[i].with_its_id && rows[i].slot == 0);
        if (r.error != rows[i].error || r.packets_received != 1 || r.external_port != 0)
            fail_msg("%s: error %d", rows[i].says, (int)r.error);
    }
}

/* Datagrams of strangers come every 10 ms: neither the wait for an answer nor the deadline moves. */
static void strays_put_nothing_off(void **state)
{
    (void)state;
    const npi_addr stranger = npi_addr_v4(198, 51, 100, 77, 3478);
    const uint8_t nothing[4] = {0};
    static const struct {
        unsigned deadline_ms, ends_ms;
        int32_t error;
    } rows[] = {{10000, 3000, NP_ERR_NO_RESPONSE}, {2000, 2000, NP_ERR_NO_RESPONSE}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        dialogue d;
        npi_incoming in;
        npi_engine_config config = dialogue_config(NP_TESTS_DEFAULT, 1);
        npi_addr a = dialogue_server(0);
        config.deadline_ns = DIALOGUE_T0 + rows[i].deadline_ms * NPI_MS;
        dialogue_begin(&d, &blocked, NP_TESTS_DEFAULT, 1);
        npi_engine_init(d.e, &config, DIALOGUE_T0);
        npi_engine_add_server(d.e, &a, false);
        npi_engine_expect_servers(d.e, false);
        d.tick_ns = 10 * NPI_MS;
        while (!npi_engine_is_done(d.e)) {
            dialogue_step(&d);
            assert_false(npi_engine_match(d.e, NPI_SLOT_SOURCE, nothing, sizeof nothing, &in));
            npi_engine_receive(d.e, d.now_ns, &in, &stranger, NULL);
        }
        np_result r = dialogue_result(&d);
        assert_int_equal(r.error, rows[i].error);
        assert_int_equal(r.elapsed_us, rows[i].ends_ms * UINT64_C(1000));
        assert_true(r.packets_received > 100);
        dialogue_end(&d);
    }
}

/* Takes the answer to the first request, with this mapped address. */
static void hear(dialogue *d, uint64_t after_ns, size_t which, npi_addr mapped, const npi_addr *local)
{
    npi_incoming in;
    uint8_t data[80];
    memcpy(data, d->flights[which].data, sizeof data);
    size_t size = dialogue_answer(data, data, mapped, npi_addr_v4(198, 51, 100, 2, 3479));
    assert_true(npi_engine_match(d->e, d->sent[which].slot, data, size, &in));
    npi_engine_receive(d->e, d->now_ns + after_ns, &in, &d->sent[which].to, local);
}

static void the_local_address_is_where_the_first_answer_was_delivered(void **state)
{
    (void)state;
    dialogue d;
    npi_addr mapped_local = {
        .family = NPI_IPV6, .ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 168, 1, 2}, .port = 40000};
    npi_addr later = npi_addr_v4(192, 168, 1, 3, 5001);
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    hear(&d, NPI_MS, 0, d.external, &mapped_local);
    hear(&d, NPI_MS, 0, d.external, &later);
    np_result r = dialogue_result(&d);
    assert_string_equal(r.local_ip, "192.168.1.2");
    assert_int_equal(r.local_port, 40000);
    assert_int_equal(r.external_port, d.external.port);
    assert_int_equal(r.packets_received, 2);
    dialogue_end(&d);
}

static void an_answer_wakes_and_the_clock_goes_only_forward(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    assert_true(npi_engine_wakeup_ns(d.e) > d.now_ns + NPI_MS);
    hear(&d, NPI_MS, 0, d.external, NULL);
    assert_int_equal(npi_engine_wakeup_ns(d.e), d.now_ns + NPI_MS);
    npi_engine_advance(d.e, d.now_ns - NPI_MS); /* a driver that took its time before another thread did */
    assert_true(npi_engine_wakeup_ns(d.e) > d.now_ns + NPI_MS);
    npi_engine_stop(d.e, d.now_ns + 4 * NPI_MS, NP_ERR_CANCELLED, 0);
    assert_int_equal(dialogue_result(&d).elapsed_us, 4000);
    dialogue_end(&d);
}

/* The first datagram of the first round that asks for this change. */
static size_t find_sent(const dialogue *d, int slot, uint32_t change)
{
    for (size_t i = 0; i < d->sent_count; i++) {
        if (d->sent[i].slot == slot && d->sent[i].change == change)
            return i;
    }
    fail();
    return 0;
}

#define BOTH (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)

static void an_answer_to_a_plain_request_shows_that_the_server_is_there(void **state)
{
    (void)state;
    dialogue d;
    npi_incoming in;
    uint8_t data[80];
    npi_addr from = dialogue_server(0);
    dialogue_begin(&d, &blocked, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    memcpy(data, d.flights[0].data, sizeof data);
    size_t size = dialogue_answer(data, data, d.external, (npi_addr){0}); /* without a second address */
    assert_true(npi_engine_match(d.e, NPI_SLOT_SOURCE, data, size, &in));
    npi_engine_receive(d.e, d.now_ns + NPI_MS, &in, &from, NULL);
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.error, NP_ERR_INCONCLUSIVE);
    assert_int_equal(r.elapsed_us, 1000); /* it has said all it can: nothing is waited for */
    dialogue_end(&d);
}

static void an_answer_to_change_request_shows_only_that_something_is_there(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &blocked, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    hear(&d, NPI_MS, find_sent(&d, 1, BOTH), d.external, NULL); /* from where it was sent: ignored */
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.error, NP_ERR_INCONCLUSIVE); /* not blocked */
    assert_int_equal(r.elapsed_us, 3000000);        /* the plain requests are silent, and given up after 3 s */
    dialogue_end(&d);
}

/* In a burst of losses more copies bring nothing but an end of copies. */
static void rounds_slow_down_when_the_filtering_socket_is_no_longer_heard(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &blocked, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    hear(&d, 20 * NPI_MS, find_sent(&d, 1, 0), d.external, NULL);
    d.now_ns += 20 * NPI_MS;
    while (d.now_ns < DIALOGUE_T0 + 1000 * NPI_MS)
        dialogue_step(&d);
    assert_true(d.sent_count < 60); /* at 10 ms it would be twice as many */
    dialogue_end(&d);
}

/* ---- Several servers -------------------------------------------------------------------------------------------- */

static void a_server_known_to_have_no_second_address_gets_no_filtering_tests(void **state)
{
    (void)state;
    dialogue d;
    npi_engine_config config = dialogue_config(NP_TESTS_DEFAULT, 2);
    npi_addr plain = dialogue_server(0);
    npi_addr other = dialogue_server(1);
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 2);
    npi_engine_init(d.e, &config, DIALOGUE_T0);
    npi_engine_add_server(d.e, &plain, true);
    npi_engine_add_server(d.e, &other, false);
    npi_engine_expect_servers(d.e, false);
    dialogue_send(&d);
    assert_true(d.sent_count > 2);
    for (size_t i = 0; i < d.sent_count; i++)
        assert_true(npi_addr_equal(&d.sent[i].to, i == 0 ? &plain : &other));
    dialogue_end(&d);
}

/* A server that cannot tell the filtering is asked for the mapping only when no other can help. */
static void a_useless_server_waits_for_the_others(void **state)
{
    (void)state;
    dialogue d;
    const nat ignoring = {.translates = true, .ignores_change = true};
    npi_addr b = npi_addr_v4(198, 51, 100, 2, 0);
    npi_addr second = dialogue_server(1);
    bool second_asked = false;
    dialogue_begin(&d, &ignoring, NP_TESTS_DEFAULT, 2);
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_CONE);
    assert_true(r.elapsed_us < 2000000);
    for (size_t i = 0; i < d.sent_count; i++) {
        second_asked |= npi_addr_equal(&d.sent[i].to, &second) && d.sent[i].change != 0;
        assert_true(second_asked || !npi_addr_same_ip(&d.sent[i].to, &b));
    }
    dialogue_end(&d);
}

static void a_silent_server_is_asked_again_beside_a_later_one(void **state)
{
    (void)state;
    dialogue d;
    npi_engine_config config = dialogue_config(NP_TESTS_MAPPING, 2);
    npi_addr first = dialogue_server(0);
    npi_addr second = dialogue_server(1);
    dialogue_begin(&d, &symmetric, NP_TESTS_MAPPING, 2);
    npi_engine_init(d.e, &config, DIALOGUE_T0);
    npi_engine_add_server(d.e, &first, true);
    dialogue_send(&d);
    d.rtt_ns = 240 * NPI_MS;
    d.flights[0].at_ns = DIALOGUE_T0 + d.rtt_ns;
    npi_engine_advance(d.e, d.now_ns + 110 * NPI_MS);
    d.now_ns += 210 * NPI_MS; /* so long that the first one may be dead, for all that is known */
    npi_engine_add_server(d.e, &second, true);
    npi_engine_expect_servers(d.e, false);
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.nat_type, NP_NAT_SYMMETRIC);
    assert_int_equal(r.elapsed_us, 450000); /* 210 ms, and a round trip */
    unsigned again = 0;
    for (size_t i = 0; i < d.sent_count; i++) {
        bool primary = npi_addr_equal(&d.sent[i].to, &first) || npi_addr_equal(&d.sent[i].to, &second);
        again += d.sent[i].at_ns == DIALOGUE_T0 + 210 * NPI_MS && primary;
    }
    assert_int_equal(again, 2); /* both, at one moment */
    dialogue_end(&d);
}

/* ---- The external address changes ------------------------------------------------------------------------------- */

static void a_changed_address_starts_the_experiment_once_more_and_the_second_ends_it(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 1);
    while (d.landed == 0)
        dialogue_step(&d);
    d.external.port++; /* the NAT has been restarted: all its mappings are others now */
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_CONE); /* B had been asked: an answer from there proves nothing any more */
    assert_int_equal(r.external_port, d.external.port);
    assert_true((r.evidence & NP_EVIDENCE_RESTARTED) != 0);
    assert_true((r.evidence & NP_EVIDENCE_CONTRADICTION) == 0);
    dialogue_end(&d);

    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 1);
    while (!npi_engine_is_done(d.e)) {
        dialogue_step(&d);
        d.external.port++; /* each answer another */
    }
    r = dialogue_result(&d);
    assert_int_equal(r.error, NP_ERR_ADDRESS_CHANGED);
    assert_int_equal(r.external_port, 0);
    assert_true((r.evidence & NP_EVIDENCE_RESTARTED) != 0);
    dialogue_end(&d);
}

/* One server behind a balancer tells another port each time; the others see one address throughout. */
static void a_server_that_alone_sees_the_address_change_is_left_out(void **state)
{
    (void)state;
    const npi_addr liar = dialogue_server(0);
    for (unsigned servers = 1; servers <= 2; servers++) {
        dialogue d;
        dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, servers);
        d.unsteady_ip = liar;
        dialogue_talk(&d);
        np_result r = dialogue_result(&d);
        assert_int_equal(r.error, servers == 1 ? NP_ERR_ADDRESS_CHANGED : NP_OK);
        assert_int_equal((r.evidence & NP_EVIDENCE_OUTVOTED) != 0, servers == 2);
        assert_int_equal(r.external_port, servers == 1 ? 0 : d.external.port);
        dialogue_end(&d);
    }
}

static void two_answers_to_one_request_with_two_addresses_are_a_contradiction(void **state)
{
    (void)state;
    dialogue d;
    npi_addr forged = npi_addr_v4(203, 0, 113, 66, 6666);
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    hear(&d, NPI_MS, 0, forged, NULL);
    hear(&d, NPI_MS, 0, d.external, NULL);
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(r.external_port, d.external.port);
    assert_true((r.evidence & NP_EVIDENCE_CONTRADICTION) != 0);
    assert_true((r.evidence & NP_EVIDENCE_RESTARTED) != 0);
    dialogue_end(&d);
}

/* ---- What cannot be sent ---------------------------------------------------------------------------------------- */

/* The datagram that is due is refused, and again whenever another is due, for so long; returns how often. */
static unsigned refuse_for(dialogue *d, uint64_t for_ns, int32_t error, npi_datagram *out)
{
    const uint8_t random[NPI_STUN_ID_SIZE] = {7};
    uint64_t until_ns = d->now_ns + for_ns;
    unsigned refusals = 0;
    while (!npi_engine_is_done(d->e) && d->now_ns <= until_ns) {
        npi_engine_advance(d->e, d->now_ns);
        while (npi_engine_next_datagram(d->e, random, out)) {
            npi_engine_unsent(d->e, d->now_ns, out, error, 101);
            refusals++;
            assert_int_equal(npi_engine_wakeup_ns(d->e), d->now_ns); /* at once */
            npi_engine_advance(d->e, d->now_ns);
        }
        if (!npi_engine_is_done(d->e))
            d->now_ns = npi_engine_wakeup_ns(d->e);
    }
    return refusals;
}

static void what_the_system_refuses_is_tried_again_while_there_is_time(void **state)
{
    (void)state;
    const struct {
        const char *says;
        unsigned for_ms;
        int32_t error;
        unsigned refusals;
        int32_t ends_with; /* NP_OK: it does not end */
        unsigned ends_ms;
    } rows[] = {
        /* At 0, 10, 30, 70, 150, 310, ... ms. Of what has not left no answer is missed: the old form is not tried. */
        {"a link that is down for 140 ms", 140, NP_ERR_NETWORK_UNREACHABLE, 4, NP_OK, 0},
        {"one that is down for 2.9 s", 2900, NP_ERR_NETWORK_UNREACHABLE, 22, NP_OK, 0},
        {"after three seconds the system's error is the reason", 9000, NP_ERR_NETWORK_UNREACHABLE, 23,
         NP_ERR_NETWORK_UNREACHABLE, 3030},
        {"an error that is not the network's counts three times", 9000, NP_ERR_SYSTEM, 3, NP_ERR_SYSTEM, 30},
        {"want of room is no error, however long it lasts", 5000, NP_OK, 501, NP_OK, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dialogue d;
        npi_datagram out;
        dialogue_begin(&d, &full_cone, NP_TESTS_MAPPING, 1);
        unsigned refusals = refuse_for(&d, rows[i].for_ms * NPI_MS, rows[i].error, &out);
        np_result r = dialogue_result(&d);
        bool ends = rows[i].ends_with != NP_OK;
        if (refusals != rows[i].refusals || npi_engine_is_done(d.e) != ends || r.error != rows[i].ends_with ||
            r.os_error != (ends ? 101 : 0) || r.packets_sent != 0 ||
            (ends && r.elapsed_us != rows[i].ends_ms * UINT64_C(1000)))
            fail_msg("%s: %u refusals, error %d, %u ms", rows[i].says, refusals, (int)r.error,
                     (unsigned)(r.elapsed_us / 1000));
        if (!ends)
            dialogue_talk(&d); /* now all leaves */
        assert_int_equal(dialogue_result(&d).packets_sent, d.sent_count);
        dialogue_end(&d);
    }
}

/* Goes on until a datagram is due. */
static void wait_for_datagram(dialogue *d, npi_datagram *out)
{
    const uint8_t random[NPI_STUN_ID_SIZE] = {7};
    npi_engine_advance(d->e, d->now_ns);
    while (!npi_engine_next_datagram(d->e, random, out)) {
        d->now_ns = npi_engine_wakeup_ns(d->e);
        npi_engine_advance(d->e, d->now_ns);
        assert_false(npi_engine_is_done(d->e));
    }
}

static void a_datagram_that_leaves_ends_the_row_of_errors(void **state)
{
    (void)state;
    dialogue d;
    npi_datagram out;
    dialogue_begin(&d, &blocked, NP_TESTS_MAPPING, 1);
    for (int i = 0; i < 2; i++) { /* together longer than the second that is allowed while others leave */
        refuse_for(&d, 600 * NPI_MS, NP_ERR_NETWORK_UNREACHABLE, &out);
        wait_for_datagram(&d, &out);
        npi_engine_sent(d.e, &out);
    }
    assert_false(npi_engine_is_done(d.e));
    assert_int_equal(dialogue_result(&d).packets_sent, 2);
    dialogue_end(&d);
}

static void without_a_second_socket_the_mapping_is_known_all_the_same(void **state)
{
    (void)state;
    dialogue d;
    npi_datagram out = {.slot = 1};
    dialogue_begin(&d, &full_cone, NP_TESTS_DEFAULT, 1);
    d.has_one_socket = true;
    assert_false(npi_engine_has_heard(d.e));
    assert_int_equal(npi_engine_first_sent_ns(d.e), NPI_NEVER);
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(r.nat_type, NP_NAT_CONE);
    assert_int_equal(npi_engine_filtering_reason(d.e), NPI_REASON_NO_SOCKET);
    assert_true(npi_engine_has_heard(d.e));
    assert_int_equal(npi_engine_first_sent_ns(d.e), DIALOGUE_T0);
    assert_int_equal(d.now_ns - DIALOGUE_T0, 2 * d.rtt_ns); /* nothing is waited for */
    assert_int_equal(r.packets_sent, d.sent_count);
    npi_engine_no_socket(d.e, d.now_ns, &out); /* after the end nothing happens */
    dialogue_end(&d);
}

/* ---- The process stands still ----------------------------------------------------------------------------------- */

/* Comes back so much later than the engine asked for. */
static uint64_t come_back_late(dialogue *d, uint64_t late_ns)
{
    uint64_t asked_ns = npi_engine_wakeup_ns(d->e);
    d->now_ns = asked_ns + late_ns;
    npi_engine_advance(d->e, d->now_ns);
    return asked_ns;
}

/* A wake-up at which nothing but silence is waited for: blocked, with all that is due at that time sent. */
static void begin_waiting(dialogue *d)
{
    dialogue_begin(d, &blocked, NP_TESTS_MAPPING, 1);
    for (int i = 0; i < 3; i++) {
        dialogue_send(d);
        d->now_ns = npi_engine_wakeup_ns(d->e);
    }
    dialogue_send(d);
}

static void a_driver_that_comes_back_late_by_more_than_100_ms_has_stood_still(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        uint64_t late_ns;
        bool stood_still;
    } rows[] = {
        {"99 ms", 99 * NPI_MS, false},
        {"100 ms", 100 * NPI_MS, false},
        {"100 ms and a nanosecond", 100 * NPI_MS + 1, true},
        {"101 ms", 101 * NPI_MS, true},
        {"four seconds", 4000 * NPI_MS, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dialogue punctual, d;
        begin_waiting(&punctual);
        begin_waiting(&d);
        come_back_late(&punctual, 0);
        come_back_late(&d, rows[i].late_ns);
        uint64_t left_out_ns = rows[i].stood_still ? rows[i].late_ns : 0;
        if (npi_engine_first_sent_ns(d.e) != DIALOGUE_T0 + left_out_ns)
            fail_msg("%s: what was left out is wrong", rows[i].says);
        if (rows[i].stood_still) { /* all goes on as if the time had not been: every later time is moved by as much */
            dialogue_send(&punctual);
            dialogue_send(&d);
            assert_int_equal(npi_engine_wakeup_ns(d.e), npi_engine_wakeup_ns(punctual.e) + left_out_ns);
            dialogue_talk(&punctual);
            dialogue_talk(&d);
            assert_int_equal(d.sent_count, punctual.sent_count);
            for (size_t k = 0; k < d.sent_count; k++) {
                bool behind = punctual.sent[k].at_ns >= punctual.sent[d.landed].at_ns;
                assert_true(d.sent[k].at_ns == punctual.sent[k].at_ns ||
                            (behind && d.sent[k].at_ns == punctual.sent[k].at_ns + left_out_ns));
            }
            assert_int_equal(dialogue_result(&d).error, NP_ERR_NO_RESPONSE);
            assert_int_equal(d.now_ns, punctual.now_ns + left_out_ns); /* three seconds of listening */
            assert_int_equal(dialogue_result(&d).elapsed_us, (d.now_ns - DIALOGUE_T0) / 1000);
        }
        dialogue_end(&punctual);
        dialogue_end(&d);
    }
}

static void the_deadline_does_not_move_when_the_process_stands_still(void **state)
{
    (void)state;
    const uint64_t deadline_ns = DIALOGUE_T0 + 2000 * NPI_MS;
    static const struct {
        const char *says;
        unsigned late_ms;
        bool is_past;
    } rows[] = {{"before it", 1000, false}, {"past it", 2500, true}, {"by more than the clock shows", 9000, true}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        dialogue d;
        npi_engine_config config = dialogue_config(NP_TESTS_MAPPING, 1);
        npi_addr a = dialogue_server(0);
        config.deadline_ns = deadline_ns;
        dialogue_begin(&d, &blocked, NP_TESTS_MAPPING, 1);
        npi_engine_init(d.e, &config, DIALOGUE_T0);
        npi_engine_add_server(d.e, &a, false);
        npi_engine_expect_servers(d.e, false);
        dialogue_send(&d);
        come_back_late(&d, rows[i].late_ms * NPI_MS);
        if (npi_engine_is_done(d.e) != rows[i].is_past)
            fail_msg("%s", rows[i].says);
        while (!rows[i].is_past && d.now_ns < deadline_ns) {
            assert_false(npi_engine_is_done(d.e));
            dialogue_send(&d);
            d.now_ns = npi_time_min(npi_engine_wakeup_ns(d.e), deadline_ns);
            npi_engine_advance(d.e, d.now_ns);
        }
        assert_int_equal(dialogue_result(&d).error, NP_ERR_NO_RESPONSE);
        assert_int_equal(dialogue_result(&d).elapsed_us, (d.now_ns - DIALOGUE_T0) / 1000); /* real time */
        dialogue_end(&d);
    }
}

/* A deadline that was small on the clock's scale does not become one that lies ahead for ever. */
static void a_standstill_longer_than_the_deadline_ends_it(void **state)
{
    (void)state;
    npi_engine_config config = dialogue_config(NP_TESTS_MAPPING, 1);
    npi_engine *e = malloc(npi_engine_size(1, config.tests));
    npi_addr a = dialogue_server(0);
    assert_non_null(e);
    config.deadline_ns = 500 * NPI_MS;
    npi_engine_init(e, &config, 0);
    npi_engine_add_server(e, &a, false);
    npi_engine_advance(e, 0);
    npi_engine_advance(e, 9000 * NPI_MS);
    assert_true(npi_engine_is_done(e));
    free(e);
}

static void keep_time(const np_event *event, void *user)
{
    *(uint64_t *)user = event->time_us;
}

static void times_of_events_and_their_round_trips_are_real(void **state)
{
    (void)state;
    dialogue d;
    uint64_t time_us = 0;
    npi_engine_config config = dialogue_config(NP_TESTS_MAPPING, 1);
    npi_addr a = dialogue_server(0);
    config.observer = (npi_observer){keep_time, &time_us};
    dialogue_begin(&d, &full_cone, NP_TESTS_MAPPING, 1);
    npi_engine_init(d.e, &config, DIALOGUE_T0);
    npi_engine_add_server(d.e, &a, false);
    npi_engine_expect_servers(d.e, false);
    dialogue_send(&d);
    uint64_t asked_ns = npi_engine_wakeup_ns(d.e);
    uint64_t late_ns = 700 * NPI_MS;
    hear(&d, asked_ns + late_ns - d.now_ns, 0, d.external, NULL); /* it lay in the socket's buffer */
    assert_int_equal(time_us, (asked_ns + late_ns - DIALOGUE_T0) / 1000);
    assert_int_equal(dialogue_result(&d).rtt_us, 0); /* nobody knows when it came */
    dialogue_end(&d);
}

/* The driver may know that a datagram came in before the process stood still, or while it did. */
static void what_came_in_before_a_standstill_has_its_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        uint64_t read_late_ms, rtt_us;
    } rows[] = {
        {"It is read at once.", 0, 40000},
        {"The process is held up a little.", 60, 40000},
        {"It stands still.", 3000, 40000},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        dialogue d;
        dialogue_begin(&d, &full_cone, NP_TESTS_MAPPING, 1);
        dialogue_send(&d);
        hear(&d, 40 * NPI_MS, 0, d.external, NULL);
        d.now_ns += (40 + rows[i].read_late_ms) * NPI_MS;
        npi_engine_advance(d.e, d.now_ns);
        if (dialogue_result(&d).rtt_us != rows[i].rtt_us)
            fail_msg("%s %u us", rows[i].says, (unsigned)dialogue_result(&d).rtt_us);
        dialogue_talk(&d);
        assert_true(dialogue_result(&d).elapsed_us >= rows[i].read_late_ms * 1000);
        dialogue_end(&d);
    }
}

/* Behind an arrival the driver should have come at once: what it is late from then on is a standstill. */
static void a_standstill_begins_with_the_last_arrival(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &port_restricted, NP_TESTS_DEFAULT, 1);
    dialogue_send(&d);
    uint64_t asked_ns = npi_engine_wakeup_ns(d.e);
    hear(&d, NPI_MS, 0, d.external, NULL);
    assert_true(d.now_ns < asked_ns);
    npi_engine_advance(d.e, d.now_ns + 500 * NPI_MS);
    assert_int_equal(npi_engine_first_sent_ns(d.e), DIALOGUE_T0 + 499 * NPI_MS);
    dialogue_end(&d);
}

/* The driver sleeps as long as it was asked to, and comes with a name that has been resolved. */
static void a_server_that_is_added_late_is_no_standstill(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &blocked, NP_TESTS_MAPPING, 1);
    dialogue_send(&d);
    d.now_ns += 140 * NPI_MS;
    assert_true(npi_engine_wakeup_ns(d.e) > d.now_ns);
    npi_engine_expect_servers(d.e, true);
    npi_engine_advance(d.e, d.now_ns);
    assert_int_equal(npi_engine_first_sent_ns(d.e), DIALOGUE_T0);
    dialogue_end(&d);
}

/* Two servers for the mapping, the second of them known only after gap. Returns how long the check takes. */
static uint64_t mapping_with_a_later_server(uint64_t gap_ns, size_t *datagrams)
{
    dialogue d;
    npi_engine_config config = dialogue_config(NP_TESTS_MAPPING, 2);
    dialogue_begin(&d, &port_restricted, NP_TESTS_MAPPING, 2);
    npi_engine_init(d.e, &config, d.now_ns);
    for (unsigned i = 0; i < 2; i++) {
        npi_addr a = dialogue_server(i);
        assert_true(npi_engine_add_server(d.e, &a, false));
        npi_engine_expect_servers(d.e, i == 0);
        dialogue_send(&d);
        d.now_ns += i == 0 ? gap_ns : 0;
    }
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.mapping, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    *datagrams = d.sent_count;
    dialogue_end(&d);
    return d.now_ns - DIALOGUE_T0;
}

/*
 * What two servers see can be compared only if one of them is asked before and behind the other. That must not wait for
 * its first answer. No request is repeated within 10 ms.
 */
static void a_later_name_costs_the_mapping_no_round_trip(void **state)
{
    static const struct {
        uint64_t gap_ns;
        uint64_t last_asked_ns;
        size_t datagrams;
    } rows[] = {
        {0, 0, 2},
        {NPI_SAME_MOMENT_NS, NPI_SAME_MOMENT_NS, 2},
        {2 * NPI_MS, 10 * NPI_MS, 3},
        {5 * NPI_MS, 10 * NPI_MS, 3},
        {15 * NPI_MS, 15 * NPI_MS, 3},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t datagrams;
        uint64_t took_ns = mapping_with_a_later_server(rows[i].gap_ns, &datagrams);
        assert_int_equal(took_ns, rows[i].last_asked_ns + 20 * NPI_MS);
        assert_int_equal(datagrams, rows[i].datagrams);
    }
}

static void what_came_behind_a_standstill_is_no_sample_of_a_known_round_trip(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &port_restricted, NP_TESTS_DEFAULT, 1);
    while (d.landed < 2)
        dialogue_step(&d);
    dialogue_send(&d);
    uint64_t known_us = dialogue_result(&d).rtt_us;
    assert_int_equal(known_us, d.rtt_ns / 1000);
    d.now_ns = npi_engine_wakeup_ns(d.e) + 3000 * NPI_MS;
    while (d.landed < d.sent_count && d.flights[d.landed].at_ns <= d.now_ns) /* all that was under way comes at once */
        dialogue_step(&d);
    dialogue_talk(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.nat_type, NP_NAT_PORT_RESTRICTED_CONE);
    assert_true(r.rtt_us < 2 * known_us);
    assert_true(r.elapsed_us < 3500000); /* half a second more, at most */
    dialogue_end(&d);
}

/* The check over IPv6 is begun long after the one over IPv4, and its time counts from the same start. */
static void to_begin_long_after_the_start_is_no_standstill(void **state)
{
    (void)state;
    dialogue d;
    dialogue_begin(&d, &full_cone, NP_TESTS_MAPPING, 1);
    assert_int_equal(npi_engine_wakeup_ns(d.e), DIALOGUE_T0); /* at once */
    d.now_ns += 250 * NPI_MS;
    while (d.landed == 0)
        dialogue_step(&d);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.rtt_us, d.rtt_ns / 1000);
    assert_int_equal(r.elapsed_us, (d.now_ns - DIALOGUE_T0) / 1000);
    assert_int_equal(npi_engine_first_sent_ns(d.e), DIALOGUE_T0 + 250 * NPI_MS);
    dialogue_end(&d);
}

static void a_stop_and_a_refusal_notice_a_standstill_as_well(void **state)
{
    (void)state;
    dialogue d;
    npi_datagram out;
    const uint8_t random[NPI_STUN_ID_SIZE] = {7};
    dialogue_begin(&d, &blocked, NP_TESTS_MAPPING, 1);
    wait_for_datagram(&d, &out);
    npi_engine_sent(d.e, &out);
    wait_for_datagram(&d, &out);
    uint64_t asked_ns = npi_engine_wakeup_ns(d.e);
    d.now_ns = asked_ns + 2000 * NPI_MS; /* the system took its time to refuse it */
    npi_engine_unsent(d.e, d.now_ns, &out, NP_ERR_NETWORK_UNREACHABLE, 101);
    assert_int_equal(npi_engine_wakeup_ns(d.e), d.now_ns);
    assert_int_equal(npi_engine_first_sent_ns(d.e), DIALOGUE_T0 + 2000 * NPI_MS);
    for (npi_engine_advance(d.e, d.now_ns); npi_engine_next_datagram(d.e, random, &out);)
        npi_engine_sent(d.e, &out);
    asked_ns = npi_engine_wakeup_ns(d.e);
    npi_engine_stop(d.e, asked_ns + 500 * NPI_MS, NP_ERR_CANCELLED, 0);
    assert_int_equal(npi_engine_first_sent_ns(d.e), DIALOGUE_T0 + 2500 * NPI_MS);
    assert_int_equal(dialogue_result(&d).elapsed_us, (asked_ns + 500 * NPI_MS - DIALOGUE_T0) / 1000);
    dialogue_end(&d);
}

/* ---- The end from outside --------------------------------------------------------------------------------------- */

static void a_stop_keeps_what_is_known_and_holds(void **state)
{
    (void)state;
    dialogue d;
    npi_datagram out;
    npi_incoming in;
    const uint8_t random[NPI_STUN_ID_SIZE] = {1};
    dialogue_begin(&d, &port_restricted, NP_TESTS_DEFAULT, 1);
    while (d.landed == 0)
        dialogue_step(&d);
    npi_engine_stop(d.e, d.now_ns, NP_ERR_CANCELLED, 4);
    npi_engine_stop(d.e, d.now_ns, NP_ERR_SYSTEM, 5); /* the first reason is the reason */
    npi_engine_advance(d.e, d.now_ns + 100 * NPI_MS);
    assert_true(npi_engine_is_done(d.e));
    assert_int_equal(npi_engine_wakeup_ns(d.e), NPI_NEVER);
    assert_false(npi_engine_next_datagram(d.e, random, &out));
    assert_true(npi_engine_match(d.e, d.sent[0].slot, d.flights[0].data, d.flights[0].size, &in));
    npi_engine_receive(d.e, d.now_ns, &in, &d.flights[0].from, NULL);
    np_result r = dialogue_result(&d);
    assert_int_equal(r.error, NP_ERR_CANCELLED);
    assert_int_equal(r.os_error, 4);
    assert_int_equal(r.external_port, d.external.port);
    assert_true(r.packets_received < d.sent_count);
    assert_int_equal(r.packets_received, d.landed - 2); /* II and III were filtered; what came behind does not count */
    dialogue_end(&d);
}

static void count_event(const np_event *event, void *user)
{
    dialogue *d = user;
    d->events++;
    d->conclusions += event->kind == NP_EVENT_CONCLUDED;
}

/* A dialogue with one server whose events are counted. */
static void begin_watched(dialogue *d, const nat *n)
{
    npi_engine_config config = dialogue_config(NP_TESTS_DEFAULT, 1);
    npi_addr a = dialogue_server(0);
    dialogue_begin(d, n, NP_TESTS_DEFAULT, 1);
    config.observer = (npi_observer){count_event, d};
    npi_engine_init(d->e, &config, DIALOGUE_T0);
    npi_engine_add_server(d->e, &a, false);
    npi_engine_expect_servers(d->e, false);
}

static void the_filtering_is_told_once_and_as_soon_as_it_is_final(void **state)
{
    (void)state;
    dialogue d;
    begin_watched(&d, &full_cone);
    while (d.landed == 0)
        dialogue_step(&d);
    assert_int_equal(d.conclusions, 0);
    dialogue_send(&d);
    assert_false(npi_engine_is_done(d.e)); /* the mapping is missing */
    assert_int_equal(d.conclusions, 1);
    dialogue_talk(&d);
    assert_int_equal(d.conclusions, 1);
    dialogue_end(&d);

    begin_watched(&d, &blocked);
    dialogue_send(&d);
    hear(&d, NPI_MS, find_sent(&d, NPI_SLOT_SOURCE, 0), d.external, NULL);
    hear(&d, NPI_MS, find_sent(&d, 1, BOTH), d.external, NULL); /* ignored: another server might still tell */
    d.now_ns += NPI_MS;
    dialogue_send(&d);
    assert_int_equal(d.conclusions, 0);
    npi_engine_stop(d.e, d.now_ns, NP_ERR_CANCELLED, 0);
    assert_int_equal(d.conclusions, 1);
    dialogue_end(&d);
}

static void an_observer_is_told_of_each_datagram_until_it_is_muted(void **state)
{
    (void)state;
    dialogue d;
    begin_watched(&d, &full_cone);
    dialogue_send(&d);
    assert_int_equal(d.events, d.sent_count);
    hear(&d, NPI_MS, 0, d.external, NULL);
    assert_int_equal(d.events, d.sent_count + 1);
    npi_engine_mute(d.e);
    size_t before = d.events;
    dialogue_talk(&d);
    assert_int_equal(d.events, before);
    dialogue_end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogues_end_with_the_type_of_the_nat),
        cmocka_unit_test(mapping_alone_asks_no_change_and_opens_no_other_socket),
        cmocka_unit_test(nothing_goes_to_other_addresses_while_the_filtering_is_tested),
        cmocka_unit_test(waking_more_often_changes_nothing),
        cmocka_unit_test(a_wakeup_is_never_later_than_the_deadline),
        cmocka_unit_test(the_size_grows_with_servers_and_trials_up_to_their_limits),
        cmocka_unit_test(only_optional_tests_take_room_of_their_own),
        cmocka_unit_test(a_server_is_added_once_and_only_where_a_datagram_may_go),
        cmocka_unit_test(the_experiment_waits_for_servers_that_are_to_come),
        cmocka_unit_test(without_any_server_it_ends_once_none_is_to_come),
        cmocka_unit_test(names_that_never_resolve_are_waited_for_a_second),
        cmocka_unit_test(slots_are_in_use_from_their_first_datagram_to_the_end_of_their_trial),
        cmocka_unit_test(a_filtering_socket_is_given_up_with_its_trial),
        cmocka_unit_test(an_answer_is_matched_by_its_id_and_its_socket),
        cmocka_unit_test(strays_tell_only_that_something_is_there),
        cmocka_unit_test(strays_put_nothing_off),
        cmocka_unit_test(the_local_address_is_where_the_first_answer_was_delivered),
        cmocka_unit_test(an_answer_wakes_and_the_clock_goes_only_forward),
        cmocka_unit_test(an_answer_to_a_plain_request_shows_that_the_server_is_there),
        cmocka_unit_test(an_answer_to_change_request_shows_only_that_something_is_there),
        cmocka_unit_test(rounds_slow_down_when_the_filtering_socket_is_no_longer_heard),
        cmocka_unit_test(a_server_known_to_have_no_second_address_gets_no_filtering_tests),
        cmocka_unit_test(a_useless_server_waits_for_the_others),
        cmocka_unit_test(a_silent_server_is_asked_again_beside_a_later_one),
        cmocka_unit_test(a_changed_address_starts_the_experiment_once_more_and_the_second_ends_it),
        cmocka_unit_test(a_server_that_alone_sees_the_address_change_is_left_out),
        cmocka_unit_test(two_answers_to_one_request_with_two_addresses_are_a_contradiction),
        cmocka_unit_test(what_the_system_refuses_is_tried_again_while_there_is_time),
        cmocka_unit_test(a_datagram_that_leaves_ends_the_row_of_errors),
        cmocka_unit_test(without_a_second_socket_the_mapping_is_known_all_the_same),
        cmocka_unit_test(a_driver_that_comes_back_late_by_more_than_100_ms_has_stood_still),
        cmocka_unit_test(the_deadline_does_not_move_when_the_process_stands_still),
        cmocka_unit_test(a_standstill_longer_than_the_deadline_ends_it),
        cmocka_unit_test(times_of_events_and_their_round_trips_are_real),
        cmocka_unit_test(what_came_in_before_a_standstill_has_its_round_trip),
        cmocka_unit_test(a_standstill_begins_with_the_last_arrival),
        cmocka_unit_test(a_server_that_is_added_late_is_no_standstill),
        cmocka_unit_test(a_later_name_costs_the_mapping_no_round_trip),
        cmocka_unit_test(what_came_behind_a_standstill_is_no_sample_of_a_known_round_trip),
        cmocka_unit_test(to_begin_long_after_the_start_is_no_standstill),
        cmocka_unit_test(a_stop_and_a_refusal_notice_a_standstill_as_well),
        cmocka_unit_test(a_stop_keeps_what_is_known_and_holds),
        cmocka_unit_test(the_filtering_is_told_once_and_as_soon_as_it_is_final),
        cmocka_unit_test(an_observer_is_told_of_each_datagram_until_it_is_muted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
