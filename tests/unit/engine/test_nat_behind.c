/* SPDX-License-Identifier: MIT */
/*
 * nat_behind: a whole check with the test GATEWAY, behind a NAT whose gateway answers as each row says: not at all,
 * from elsewhere, with nonsense, with a lie. The verdict is the same in all of them.
 */
#include "dialogue.h"

#include <stdlib.h>
#include <string.h>

#include "natpmp.h"

#include "../unit.h"

#define GATEWAY npi_addr_v4(192, 168, 1, 1, 0)
#define NATPMP_GATEWAY npi_addr_v4(192, 168, 1, 1, NPI_NATPMP_PORT)
#define EXTERNAL npi_addr_v4(203, 0, 113, 5, 40000)
#define RTT_MS 20
#define SERVERS 2
#define QUESTIONS_MAX 8
#define DEADLINE_MS 10000

#define ANSWER(a, b, c, d)                                                                                             \
    {                                                                                                                  \
        0, 128, 0, 0, 0, 0, 14, 16, a, b, c, d                                                                         \
    }

/* What comes to the socket that asked the gateway: so long after the n-th copy, or after the first one. */
typedef struct reply {
    uint8_t bytes[32];
    size_t size; /* 0: none */
    unsigned after_ms;
    npi_addr from; /* not set: the gateway */
} reply;

/* ---- A check ---------------------------------------------------------------------------------------------------- */

typedef struct arrival {
    uint64_t at_ns; /* NPI_NEVER: landed */
    int slot;
    npi_addr from;
    uint8_t data[80];
    size_t size;
} arrival;

typedef struct scene {
    npi_engine *e;
    uint64_t now_ns;
    npi_addr local, external;
    npi_addr gateway; /* as the system tells it */
    const reply *replies;
    size_t reply_count;
    bool is_ignored; /* the driver never looks anything up */
    arrival arrivals[60];
    size_t arrival_count;
    uint64_t asked_ns[QUESTIONS_MAX]; /* the gateway */
    size_t asked_count;
    int asked_slot;
    npi_addr towards;
    unsigned lookups;
    uint64_t verdict_ns;
    np_result at_verdict;
} scene;

static arrival *fly(scene *s, uint64_t at_ns, int slot, const npi_addr *from)
{
    assert_true(s->arrival_count < COUNT(s->arrivals));
    arrival *f = &s->arrivals[s->arrival_count++];
    *f = (arrival){.at_ns = at_ns, .slot = slot, .from = *from};
    return f;
}

/* Nothing but the question goes to the gateway, from a socket of its own. */
static void ask_gateway(scene *s, const npi_datagram *out)
{
    assert_true(out->size == 2 && out->data[0] == 0 && out->data[1] == 0);
    assert_true(out->slot >= NPI_SLOT_OPTIONAL);
    assert_true(s->asked_count < QUESTIONS_MAX);
    assert_true(s->verdict_ns != 0);
    s->asked_slot = out->slot;
    s->asked_ns[s->asked_count++] = s->now_ns;
    for (size_t i = 0; s->asked_count == 1 && i < s->reply_count; i++) {
        const reply *r = &s->replies[i];
        const npi_addr from = npi_addr_is_set(&r->from) ? r->from : NATPMP_GATEWAY;
        arrival *f = fly(s, s->now_ns + r->after_ms * NPI_MS, out->slot, &from);
        memcpy(f->data, r->bytes, r->size);
        f->size = r->size;
    }
}

static void send_one(scene *s, const npi_datagram *out)
{
    if (out->to.port == NPI_NATPMP_PORT) {
        assert_true(npi_addr_same_ip(&out->to, &s->gateway));
        ask_gateway(s, out);
        return;
    }
    arrival *f = fly(s, s->now_ns + RTT_MS * NPI_MS, out->slot, &out->to);
    f->size = dialogue_answer(f->data, out->data, s->external, (npi_addr){.family = NPI_FAMILY_NONE});
}

static void look_up(scene *s)
{
    npi_addr towards;
    if (!npi_engine_wants_gateway(s->e, &towards) || s->is_ignored)
        return;
    s->lookups++;
    s->towards = towards;
    npi_engine_set_gateway(s->e, &s->gateway);
}

static void send_due(scene *s)
{
    static const uint8_t random[NPI_STUN_ID_SIZE] = {7};
    npi_datagram out;
    for (;;) {
        uint8_t id[NPI_STUN_ID_SIZE];
        memcpy(id, random, sizeof id);
        id[4] = (uint8_t)s->arrival_count;
        npi_engine_advance(s->e, s->now_ns);
        if (s->verdict_ns == 0 && npi_engine_has_verdict(s->e)) {
            s->verdict_ns = s->now_ns;
            npi_engine_result(s->e, s->now_ns, &s->at_verdict);
        }
        look_up(s);
        if (!npi_engine_next_datagram(s->e, id, &out))
            return;
        send_one(s, &out);
        npi_engine_sent(s->e, &out);
    }
}

static void land(scene *s, arrival *f)
{
    npi_incoming in;
    f->at_ns = NPI_NEVER;
    if (npi_engine_is_done(s->e) || !npi_engine_slot_in_use(s->e, f->slot))
        return;
    npi_engine_match(s->e, f->slot, f->data, f->size, &in);
    npi_engine_receive(s->e, s->now_ns, &in, &f->from, &s->local);
}

static void step(scene *s)
{
    uint64_t next_ns = npi_time_max(npi_engine_wakeup_ns(s->e), s->now_ns);
    for (size_t i = 0; i < s->arrival_count; i++)
        next_ns = npi_time_min(next_ns, s->arrivals[i].at_ns);
    assert_true(next_ns <= DIALOGUE_T0 + DEADLINE_MS * NPI_MS);
    s->now_ns = next_ns;
    for (size_t i = 0; i < s->arrival_count; i++) {
        if (s->arrivals[i].at_ns <= s->now_ns)
            land(s, &s->arrivals[i]);
    }
    send_due(s);
}

static npi_addr server_of(npi_family family, unsigned n)
{
    if (family == NPI_IPV4)
        return dialogue_server(n);
    return (npi_addr){.family = NPI_IPV6, .ip = {0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(n + 1)}, .port = 3478};
}

static scene begun_over(npi_family family, int32_t tests)
{
    scene s = {.now_ns = DIALOGUE_T0, .local = DIALOGUE_LOCAL, .external = EXTERNAL, .gateway = GATEWAY};
    npi_engine_config config = dialogue_config(tests, SERVERS);
    config.deadline_ns = DIALOGUE_T0 + DEADLINE_MS * NPI_MS;
    s.e = malloc(npi_engine_size(SERVERS, NP_TESTS_OPTIONAL));
    assert_non_null(s.e);
    npi_engine_init(s.e, &config, s.now_ns);
    for (unsigned i = 0; i < SERVERS; i++) {
        npi_addr a = server_of(family, i);
        assert_true(npi_engine_add_server(s.e, &a, true));
    }
    npi_engine_expect_servers(s.e, false);
    return s;
}

static scene begun(int32_t tests)
{
    return begun_over(NPI_IPV4, tests);
}

static np_result result_of(scene *s)
{
    np_result r;
    send_due(s);
    for (unsigned steps = 0; !npi_engine_is_done(s->e); steps++) {
        assert_true(steps < 200);
        step(s);
    }
    npi_engine_result(s->e, s->now_ns, &r);
    free(s->e);
    return r;
}

/* All that the verdict is, without what counts packets and time. */
static void expect_same_verdict(const char *sentence, const np_result *a, const np_result *b)
{
    np_result left = *a, right = *b;
    for (int i = 0; i < 2; i++) {
        np_result *r = i == 0 ? &left : &right;
        r->packets_sent = r->packets_received = 0;
        r->elapsed_us = 0;
        r->another_nat = NP_TRISTATE_UNKNOWN;
        memset(r->gateway_ip, 0, sizeof r->gateway_ip);
        memset(r->gateway_external_ip, 0, sizeof r->gateway_external_ip);
    }
    if (memcmp(&left, &right, sizeof left) != 0)
        fail_msg("%s: it changes the verdict", sentence);
}

/* ---- Gateways --------------------------------------------------------------------------------------------------- */

typedef struct row {
    const char *sentence;
    reply replies[3];
    int32_t another_nat;
    const char *named;
    unsigned copies, took_ms; /* since the first copy */
} row;

static const row rows[] = {
    {"one NAT: the gateway's address is the one that servers see",
     {{ANSWER(203, 0, 113, 5), 12, 2, {0}}},
     NP_TRISTATE_NO,
     "203.0.113.5",
     1,
     2},
    {"two NATs: it is itself behind one", {{ANSWER(100, 64, 0, 2), 12, 2, {0}}}, NP_TRISTATE_YES, "100.64.0.2", 1, 2},
    {"it is silent", {{{0}, 0, 0, {0}}}, NP_TRISTATE_UNKNOWN, "", 3, 1250},
    {"its first two answers are lost", {{ANSWER(10, 0, 0, 2), 12, 800, {0}}}, NP_TRISTATE_YES, "10.0.0.2", 3, 800},
    {"it takes its time", {{ANSWER(10, 0, 0, 2), 12, 1200, {0}}}, NP_TRISTATE_YES, "10.0.0.2", 3, 1200},
    {"it is too late", {{ANSWER(10, 0, 0, 2), 12, 1260, {0}}}, NP_TRISTATE_UNKNOWN, "", 3, 1250},
    {"it refuses", {{{0, 128, 0, 2, 0, 0, 0, 0, 10, 0, 0, 2}, 12, 2, {0}}}, NP_TRISTATE_UNKNOWN, "", 1, 2},
    {"it has no address that servers see, and says so",
     {{{0, 128, 0, 3, 0, 0, 0, 0}, 12, 2, {0}}},
     NP_TRISTATE_UNKNOWN,
     "",
     1,
     2},
    {"it speaks PCP alone", {{{2, 128, 0, 1}, 24, 2, {0}}}, NP_TRISTATE_UNKNOWN, "", 1, 2},
    {"another host answers for it",
     {{ANSWER(10, 0, 0, 2), 12, 2, {NPI_IPV4, {192, 168, 1, 77}, NPI_NATPMP_PORT, 0}}},
     NP_TRISTATE_UNKNOWN,
     "",
     3,
     1250},
    {"it answers from its outer address",
     {{ANSWER(203, 0, 113, 5), 12, 2, {NPI_IPV4, {203, 0, 113, 5}, NPI_NATPMP_PORT, 0}}},
     NP_TRISTATE_UNKNOWN,
     "",
     3,
     1250},
    {"it answers from another port",
     {{ANSWER(10, 0, 0, 2), 12, 2, {NPI_IPV4, {192, 168, 1, 1}, 5350, 0}}},
     NP_TRISTATE_UNKNOWN,
     "",
     3,
     1250},
    {"a stranger is faster, and does not count",
     {{ANSWER(203, 0, 113, 5), 12, 1, {NPI_IPV4, {192, 168, 1, 77}, NPI_NATPMP_PORT, 0}},
      {ANSWER(10, 0, 0, 2), 12, 2, {0}}},
     NP_TRISTATE_YES,
     "10.0.0.2",
     1,
     2},
    {"noise comes first",
     {{{9, 9, 9}, 3, 1, {0}}, {ANSWER(10, 0, 0, 2), 12, 2, {0}}},
     NP_TRISTATE_YES,
     "10.0.0.2",
     1,
     2},
    {"noise comes in the same moment",
     {{{0, 0}, 2, 2, {0}}, {ANSWER(10, 0, 0, 2), 12, 2, {0}}},
     NP_TRISTATE_YES,
     "10.0.0.2",
     1,
     2},
    {"of two answers the first counts",
     {{ANSWER(203, 0, 113, 5), 12, 2, {0}}, {ANSWER(10, 0, 0, 2), 12, 2, {0}}},
     NP_TRISTATE_NO,
     "203.0.113.5",
     1,
     2},
    {"it lies: it names what servers see, and another NAT is behind it all the same",
     {{ANSWER(203, 0, 113, 5), 12, 2, {0}}},
     NP_TRISTATE_NO,
     "203.0.113.5",
     1,
     2},
    {"it talks nonsense", {{ANSWER(0, 0, 0, 0), 12, 2, {0}}}, NP_TRISTATE_UNKNOWN, "0.0.0.0", 1, 2},
    {"it names itself", {{ANSWER(192, 168, 1, 1), 12, 2, {0}}}, NP_TRISTATE_UNKNOWN, "192.168.1.1", 1, 2},
    {"it names this host", {{ANSWER(192, 168, 1, 2), 12, 2, {0}}}, NP_TRISTATE_UNKNOWN, "192.168.1.2", 1, 2},
    {"it has a second line, or a tunnel",
     {{ANSWER(203, 0, 113, 6), 12, 2, {0}}},
     NP_TRISTATE_UNKNOWN,
     "203.0.113.6",
     1,
     2},
};

static void gateways_are_believed_as_far_as_they_can_be(void **state)
{
    (void)state;
    scene plain = begun(NP_TESTS_MAPPING);
    const np_result without = result_of(&plain);
    assert_int_equal(without.error, NP_OK);
    assert_int_equal(without.mapping, NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const row *w = &rows[i];
        scene s = begun(NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
        s.replies = w->replies;
        for (s.reply_count = 0; s.reply_count < COUNT(w->replies) && w->replies[s.reply_count].size > 0;)
            s.reply_count++;
        const np_result r = result_of(&s);
        const unsigned took_ms = (unsigned)((s.now_ns - s.asked_ns[0]) / NPI_MS);
        if (r.another_nat != w->another_nat || strcmp(r.gateway_external_ip, w->named) != 0 ||
            strcmp(r.gateway_ip, "192.168.1.1") != 0)
            fail_msg("%s: %d, %s", w->sentence, (int)r.another_nat, r.gateway_external_ip);
        if (s.asked_count != w->copies || took_ms != w->took_ms)
            fail_msg("%s: %zu copies, %u ms", w->sentence, s.asked_count, took_ms);
        for (size_t k = 1; k < s.asked_count; k++)
            assert_int_equal((s.asked_ns[k] - s.asked_ns[0]) / NPI_MS, k == 1 ? 250 : 750);
        expect_same_verdict(w->sentence, &r, &without);
        expect_same_verdict(w->sentence, &s.at_verdict, &without);
        assert_int_equal(r.packets_sent, without.packets_sent + s.asked_count);
        assert_int_equal(s.lookups, 1);
    }
}

/* ---- Whether to ask --------------------------------------------------------------------------------------------- */

/* Policy routing may look at the destination: the route that counts is the one to the server that saw the address. */
static void the_route_is_looked_up_to_the_server(void **state)
{
    (void)state;
    scene s = begun(NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
    const np_result r = result_of(&s);
    char server[NPI_ADDR_TEXT];
    npi_addr_format(&s.towards, server);
    assert_string_equal(server, r.server);
}

static void expect_not_asked(scene *s)
{
    const np_result r = result_of(s);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(s->asked_count, 0);
    assert_int_equal(r.another_nat, NP_TRISTATE_UNKNOWN);
    assert_string_equal(r.gateway_ip, "");
    assert_string_equal(r.gateway_external_ip, "");
    assert_true(s->now_ns == s->verdict_ns);
}

static void no_gateway_is_asked_that_is_not_known(void **state)
{
    (void)state;
    const npi_addr strange[] = {
        {.family = NPI_FAMILY_NONE},        npi_addr_v4(0, 0, 0, 0, 0),
        npi_addr_v4(127, 0, 0, 1, 0),       npi_addr_v4(224, 0, 0, 1, 0),
        npi_addr_v4(255, 255, 255, 255, 0), {.family = NPI_IPV6, .ip = {0xfe, 0x80, [15] = 1}},
    };
    for (size_t i = 0; i < COUNT(strange); i++) {
        scene s = begun(NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
        s.gateway = strange[i];
        expect_not_asked(&s);
        assert_int_equal(s.lookups, 1);
    }
    scene s = begun(NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
    s.is_ignored = true;
    expect_not_asked(&s);
}

static void without_a_nat_nobody_is_asked(void **state)
{
    (void)state;
    scene s = begun(NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
    s.local = s.external = DIALOGUE_PUBLIC;
    expect_not_asked(&s);
    assert_int_equal(s.lookups, 0);
}

static void over_ipv6_nobody_is_asked(void **state)
{
    (void)state;
    scene s = begun_over(NPI_IPV6, NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
    s.local = (npi_addr){.family = NPI_IPV6, .ip = {0xfd, [15] = 7}, .port = 40000};
    s.external = (npi_addr){.family = NPI_IPV6, .ip = {0x20, 0x01, [15] = 7}, .port = 40000};
    expect_not_asked(&s);
    assert_int_equal(s.lookups, 0);
    s = begun_over(NPI_IPV6, NP_TESTS_MAPPING | NP_TESTS_GATEWAY); /* NAT64: servers see an address of IPv4 */
    s.local = (npi_addr){.family = NPI_IPV6, .ip = {0xfd, [15] = 7}, .port = 40000};
    expect_not_asked(&s);
    assert_int_equal(s.lookups, 0);
}

static void nobody_is_asked_unless_the_test_is_asked_for(void **state)
{
    (void)state;
    scene s = begun(NP_TESTS_MAPPING);
    const np_result r = result_of(&s);
    assert_int_equal(s.lookups, 0);
    assert_int_equal(s.asked_count, 0);
    assert_string_equal(r.gateway_ip, "");
}

/* The system refuses to send: the test ends with the check's time, or as soon as it is known. */
static void a_question_that_cannot_leave_is_given_up(void **state)
{
    (void)state;
    scene s = begun(NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
    static const uint8_t random[NPI_STUN_ID_SIZE] = {9};
    npi_datagram out;
    send_due(&s);
    while (!npi_engine_has_verdict(s.e) && s.asked_count == 0)
        step(&s);
    for (unsigned steps = 0; !npi_engine_is_done(s.e); steps++) {
        assert_true(steps < 200);
        s.now_ns = npi_time_max(s.now_ns, npi_engine_wakeup_ns(s.e));
        npi_engine_advance(s.e, s.now_ns);
        look_up(&s);
        while (npi_engine_next_datagram(s.e, random, &out)) {
            npi_engine_no_socket(s.e, s.now_ns, &out);
            npi_engine_advance(s.e, s.now_ns);
        }
    }
    const np_result r = result_of(&s);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(r.another_nat, NP_TRISTATE_UNKNOWN);
    assert_string_equal(r.gateway_external_ip, "");
}

/* What the check had to wait for is there at once, whatever the gateway does. */
static void a_check_that_is_ended_meanwhile_keeps_its_verdict(void **state)
{
    (void)state;
    scene s = begun(NP_TESTS_MAPPING | NP_TESTS_GATEWAY);
    send_due(&s);
    while (s.asked_count < 2)
        step(&s);
    npi_engine_stop(s.e, s.now_ns, NP_ERR_CANCELLED, 0);
    assert_true(npi_engine_is_done(s.e));
    const np_result r = result_of(&s);
    assert_int_equal(r.error, NP_OK);
    assert_int_equal(r.another_nat, NP_TRISTATE_UNKNOWN);
    assert_string_equal(r.gateway_ip, "192.168.1.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gateways_are_believed_as_far_as_they_can_be),
        cmocka_unit_test(the_route_is_looked_up_to_the_server),
        cmocka_unit_test(no_gateway_is_asked_that_is_not_known),
        cmocka_unit_test(without_a_nat_nobody_is_asked),
        cmocka_unit_test(over_ipv6_nobody_is_asked),
        cmocka_unit_test(nobody_is_asked_unless_the_test_is_asked_for),
        cmocka_unit_test(a_question_that_cannot_leave_is_given_up),
        cmocka_unit_test(a_check_that_is_ended_meanwhile_keeps_its_verdict),
    };
    return cmocka_run_group_tests_name("nat_behind", tests, NULL, NULL);
}
