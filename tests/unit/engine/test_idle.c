/* SPDX-License-Identifier: MIT */
/* idle: when LIFETIME has nothing to do, what it sends, which sockets it needs. tests/sim has what it finds. */
#include "engine/idle.h"

#include <string.h>

#include "build.h"
#include "engine/errand.h"
#include "engine/outbox.h"

#define RTT 50

/* A check that is over, behind a NAT that one server has seen. */
static npi_server *checked(build *b)
{
    build_init(b);
    npi_server *s = build_answering_server(b, RTT);
    npi_addr external = build_external(40000);
    build_sees(s, &external, AT(0), AT(RTT));
    b->f.config.lifetime_limit_ns = 100 * 1000 * NPI_MS;
    b->f.done = true;
    build_now(b, AT(1000));
    return s;
}

static bool is_over(build *b)
{
    uint64_t wake_ns = NPI_NEVER;
    return npi_idle_step(&b->f, &wake_ns);
}

/* The next datagram that is due, if any. */
static bool takes_out(build *b, npi_datagram *d)
{
    static uint8_t random[NPI_STUN_ID_SIZE];
    random[0]++;
    npi_due due = npi_outbox_next_due(&b->f);
    if (due.exchange == NULL)
        return false;
    npi_outbox_emit(&b->f, &due, random, d);
    npi_outbox_sent(&b->f, d);
    return true;
}

/* The server answers it from A:P, and the answer comes to that slot. */
static bool answers(build *b, const npi_datagram *d, int slot, uint16_t external_port)
{
    npi_stun_response r = {.kind = NPI_STUN_SUCCESS, .mapped = build_external(external_port)};
    npi_addr from = build_a(0, BUILD_P);
    npi_addr local = build_local();
    memcpy(r.id.bytes, d->data + 4, sizeof r.id.bytes);
    npi_errand *e = npi_errand_of(&b->f, slot, &r, d->data, d->size);
    if (e != NULL)
        npi_errand_take(&b->f, e, &r, &from, &local, d->data, d->size);
    return e != NULL;
}

static void nothing_to_do(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    EXPECT("Without a server nothing can be asked.", is_over(&b));
    checked(&b)->has_mapping = false;
    EXPECT("Nor of one that has not seen the source socket.", is_over(&b));
    npi_server *s = checked(&b);
    s->observed.external = s->observed.local;
    build_decided(build_trial(&b, s), NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("Where nothing is translated nor filtered, nothing grows old.", is_over(&b));
    s = checked(&b);
    s->observed.external = s->observed.local;
    build_decided(build_trial(&b, s), NP_BEHAVIOUR_ADDRESS_DEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("A filter's state does.", !is_over(&b));
    build_now(&b, AT(1000 + 2 * (100 + 12) * 1000));
    EXPECT("However long answers take, the test has an end.", is_over(&b));
}

static void sockets(void **state)
{
    (void)state;
    static build b;
    checked(&b);
    EXPECT("Before the test no socket is needed.", !npi_idle_needs_slot(&b.f, NPI_SLOT_ASKER));
    EXPECT("It begins.", !is_over(&b));
    EXPECT("That which asks is needed.", npi_idle_needs_slot(&b.f, NPI_SLOT_ASKER));
    EXPECT("And those that are asked for.", npi_idle_needs_slot(&b.f, NPI_SLOT_IDLE));
    EXPECT("No socket of the check.", !npi_idle_needs_slot(&b.f, NPI_SLOT_SOURCE));
    b.f.optional.lifetime.phase = NPI_IDLE_BETWEEN;
    EXPECT("Between the rounds those are closed.", !npi_idle_needs_slot(&b.f, NPI_SLOT_IDLE));
    EXPECT("Not the one that asks.", npi_idle_needs_slot(&b.f, NPI_SLOT_ASKER));
    b.f.optional.lifetime.phase = NPI_IDLE_ROUND;
    b.f.optional.lifetime.idler[1].stage = NPI_IDLE_WAITING;
    b.f.optional.lifetime.idler[2].stage = NPI_IDLE_CLOSING;
    EXPECT("In a round those that are not begun, or done, are not needed.", !npi_idle_needs_slot(&b.f, NPI_SLOT_IDLE));
    EXPECT("One that is idle is.", npi_idle_needs_slot(&b.f, NPI_SLOT_IDLE + 1));
    EXPECT("One is closed before a fresh one takes its place.", !npi_idle_needs_slot(&b.f, NPI_SLOT_IDLE + 2));
    b.f.optional.lifetime.phase = NPI_IDLE_OVER;
    EXPECT("Behind the test none is.", !npi_idle_needs_slot(&b.f, NPI_SLOT_ASKER));
}

/* Both sockets ask A:P, and then the answer to one is asked for from the other. */
static void asks_for_an_answer_elsewhere(void **state)
{
    (void)state;
    static build b;
    checked(&b);
    npi_datagram d;
    EXPECT("It begins.", !is_over(&b));
    EXPECT("The socket that asks is the first.", takes_out(&b, &d) && d.slot == NPI_SLOT_ASKER);
    EXPECT("By a plain request.", d.size == 20 && answers(&b, &d, d.slot, 41000));
    EXPECT("Then a fresh one.", takes_out(&b, &d) && d.slot == NPI_SLOT_IDLE && answers(&b, &d, d.slot, 42000));
    EXPECT("Both are answered.", !is_over(&b));
    EXPECT("Now the first asks for an answer to the second.", takes_out(&b, &d) && d.slot == NPI_SLOT_ASKER);
    EXPECT("By RESPONSE-PORT, with its external port.",
           d.size == 28 && memcmp(d.data + 20, "\x00\x27\x00\x04\xa4\x10\x00\x00", 8) == 0);
    EXPECT("An answer to the socket that asked is none.", !answers(&b, &d, NPI_SLOT_ASKER, 41000));
    EXPECT("It has to come to the other.", answers(&b, &d, NPI_SLOT_IDLE, 41000));
}

static void errands(void **state)
{
    (void)state;
    static build b;
    checked(&b);
    npi_addr a = build_a(0, BUILD_P);
    npi_datagram d;
    npi_errand *e = npi_errand_indicate(&b.f, "indication", 0, NPI_SLOT_IDLE, &a);
    EXPECT("An indication has a type of its own, and no attribute.",
           takes_out(&b, &d) && d.size == 20 && memcmp(d.data, "\x00\x11\x00\x00", 4) == 0);
    EXPECT("A server that answers it nevertheless is noticed.",
           answers(&b, &d, NPI_SLOT_IDLE, 42000) && npi_errand_is_answered(e));
    size_t count = b.f.optional.errands;
    npi_errand_release(e);
    EXPECT("What is over takes no answer.", !answers(&b, &d, NPI_SLOT_IDLE, 42000));
    EXPECT("Nor is it sent.", !takes_out(&b, &d));
    EXPECT("Its place is taken by the next.", npi_errand_ask(&b.f, "I", 0, NPI_SLOT_IDLE, &a, 0) == e);
    EXPECT_EQUAL("And no other.", b.f.optional.errands, count);
    EXPECT("Which begins anew.", !e->is_free && !npi_errand_is_answered(e) && e->response_port == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(sockets),
        cmocka_unit_test(asks_for_an_answer_elsewhere),
        cmocka_unit_test(errands),
    };
    return cmocka_run_group_tests_name("idle", tests, NULL, NULL);
}
