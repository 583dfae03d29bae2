/* SPDX-License-Identifier: MIT */
/* optional: which optional test is made, and when they end; errand: what becomes of their requests. */
#include "engine/optional.h"

#include <string.h>

#include "engine/errand.h"
#include "engine/findings.h"

#include "build.h"

static npi_stun_response success(const npi_errand *e)
{
    return (npi_stun_response){.kind = NPI_STUN_SUCCESS, .id = e->x.t.id, .mapped = build_external(7)};
}

static void set(build *b, int32_t tests)
{
    build_init(b);
    b->f.config.tests = tests;
    npi_optional_init(&b->f);
}

static void nothing_goes_on_unasked(void **state)
{
    (void)state;
    static build b;
    set(&b, NP_TESTS_DEFAULT);
    EXPECT("It is over before it begins.", npi_optional_is_over(&b.f));
    EXPECT("No socket is kept.", !npi_optional_needs_slot(&b.f, 1));
    npi_optional_stop(&b.f);
    EXPECT_EQUAL("Nor does it have an end.", b.f.optional.stage, NPI_OPTIONAL_NONE);
}

static void what_is_asked_for_has_sockets_until_its_end(void **state)
{
    (void)state;
    static build b;
    set(&b, NP_TESTS_DEFAULT | NP_TESTS_REFUSED);
    EXPECT("It is not over before the verdict.", !npi_optional_is_over(&b.f));
    EXPECT("The filtering socket is kept.", npi_optional_needs_slot(&b.f, 1));
    EXPECT("Not one of another kind.", !npi_optional_needs_slot(&b.f, NPI_SLOT_PATH));
    const int slot = npi_errand_slot(&b.f);
    EXPECT("Nor one that is not used.", !npi_optional_needs_slot(&b.f, slot + 1));
    EXPECT("One that is.", npi_optional_needs_slot(&b.f, slot));
    npi_optional_stop(&b.f);
    EXPECT("Until the end.", npi_optional_is_over(&b.f) && !npi_optional_needs_slot(&b.f, slot));
    set(&b, NP_TESTS_DEFAULT | NP_TESTS_PORT);
    EXPECT("No other test needs it.", !npi_optional_needs_slot(&b.f, 1));
}

static void they_end_with_the_time(void **state)
{
    (void)state;
    static build b;
    for (int late = 0; late < 2; late++) {
        set(&b, NP_TESTS_DEFAULT | NP_TESTS_PORT);
        b.f.config.deadline_ns = late ? b.f.now_ns : b.f.now_ns + NPI_MS;
        build_answering_server(&b, 20)->alternate_state = NPI_ALTERNATE_UNKNOWN;
        const uint64_t wake_ns = npi_optional_advance(&b.f);
        EXPECT_EQUAL("It asks a server if it has the time.", b.f.optional.errands, late ? 0 : 1);
        EXPECT_EQUAL("And waits until its end.", wake_ns, late ? NPI_NEVER : b.f.config.deadline_ns);
        EXPECT("Without time that is the end.", npi_optional_is_over(&b.f) == (late != 0));
    }
}

static void what_port_may_have_spoilt(void **state)
{
    (void)state;
    static build b;
    set(&b, NP_TESTS_DEFAULT | NP_TESTS_PORT);
    const npi_server *s = build_answering_server(&b, 20);
    npi_port_test *p = &b.f.optional.port;
    p->alternate = build_b(0, 3479);
    p->test = npi_errand_ask(&b.f, "II", 0, 0, &s->address, NPI_STUN_CHANGE_PORT);
    p->is_early = true;
    EXPECT("Nothing before it has asked.", !npi_mapping_is_spoilt(&b.f, &p->alternate));
    build_send(&p->test->x, b.f.now_ns);
    EXPECT("B:Q then.", npi_mapping_is_spoilt(&b.f, &p->alternate));
    EXPECT("No other address.", !npi_mapping_is_spoilt(&b.f, &s->address));
    build_answer(&p->test->x, b.f.now_ns + NPI_MS);
    EXPECT("Not what let the answer in.", !npi_mapping_is_spoilt(&b.f, &p->alternate));
}

static void a_third_of_losses_may_be_a_burst(void **state)
{
    (void)state;
    const npi_loss few = {9, 3}, many = {8, 4}, none = {0, 0};
    EXPECT("A quarter is not.", !npi_loss_is_burst(&few));
    EXPECT("A third is.", npi_loss_is_burst(&many));
    EXPECT("Nor does nothing show that there is none.", npi_loss_is_burst(&none));
}

static void there_is_room_for_so_many(void **state)
{
    (void)state;
    static build b;
    set(&b, NP_TESTS_OPTIONAL);
    const npi_addr to = build_external(9);
    for (int i = 0; i < NPI_OPTIONAL_SOCKETS; i++)
        EXPECT_EQUAL("A socket.", npi_errand_slot(&b.f), NPI_SLOT_OPTIONAL + i);
    EXPECT_EQUAL("No more.", npi_errand_slot(&b.f), -1);
    EXPECT("Nothing is asked from no socket.", npi_errand_echo(&b.f, "", -1, &to, 0) == NULL);
    for (int i = 0; i < NPI_OPTIONAL_ERRANDS; i++)
        EXPECT("A request.", npi_errand_echo(&b.f, "", 1, &to, 0) != NULL);
    EXPECT("No more.", npi_errand_echo(&b.f, "", 1, &to, 0) == NULL);
    const uint8_t data[NPI_ERRAND_DATA + 1] = {0};
    set(&b, NP_TESTS_OPTIONAL);
    EXPECT("Nor a longer one.", npi_errand_raw(&b.f, "", 1, &to, data, sizeof data) == NULL);
}

static void answers_find_their_requests(void **state)
{
    (void)state;
    static build b;
    set(&b, NP_TESTS_OPTIONAL);
    const npi_addr to = build_external(9);
    const npi_addr from = build_external(11);
    uint8_t bytes[NPI_STUN_REQUEST_SIZE];
    build_answering_server(&b, 20);
    npi_errand *plain = npi_errand_ask(&b.f, "plain", 0, 0, &to, 0);
    npi_errand *echo = npi_errand_echo(&b.f, "echo", 5, &to, 0);
    build_send(&plain->x, b.f.now_ns);
    build_send(&echo->x, b.f.now_ns);
    memset(plain->x.t.id.bytes, 1, sizeof plain->x.t.id.bytes);
    memset(echo->x.t.id.bytes, 2, sizeof echo->x.t.id.bytes);
    const npi_stun_response drop = {.kind = NPI_STUN_DROP};
    const npi_stun_response response = success(plain);
    size_t size = npi_stun_encode_request(bytes, &echo->x.t.id, 0);
    EXPECT("By its id.", npi_errand_of(&b.f, 0, &response, NULL, 0) == plain);
    EXPECT("On its own socket.", npi_errand_of(&b.f, 5, &response, NULL, 0) == NULL);
    EXPECT("What comes back is the same bytes.", npi_errand_of(&b.f, 0, &drop, bytes, size) == echo);
    EXPECT("On the other socket.", npi_errand_of(&b.f, 5, &drop, bytes, size) == NULL);
    EXPECT("Nothing shorter.", npi_errand_of(&b.f, 0, &drop, bytes, size - 1) == NULL);
    bytes[size - 1] ^= 1;
    EXPECT("Nor with another id.", npi_errand_of(&b.f, 0, &drop, bytes, size) == NULL);
    npi_errand_take(&b.f, plain, &response, &from, NULL, NULL, 0);
    EXPECT("It is answered.", npi_errand_is_answered(plain) && npi_addr_equal(&plain->from, &from));
    EXPECT("By an external address.", npi_exchange_has_external(&plain->x));
    EXPECT("Then no more copies leave.", plain->x.t.stopped);
    EXPECT("Who sent it does not change.",
           (npi_errand_take(&b.f, plain, &response, &to, NULL, NULL, 0), npi_addr_equal(&plain->from, &from)));
}

static void an_error_is_no_answer(void **state)
{
    (void)state;
    static build b;
    set(&b, NP_TESTS_OPTIONAL);
    build_answering_server(&b, 20);
    const npi_addr to = build_external(9);
    npi_errand *e = npi_errand_ask(&b.f, "II", 0, 0, &to, NPI_STUN_CHANGE_PORT);
    build_send(&e->x, b.f.now_ns);
    npi_stun_response refusal = success(e);
    refusal.kind = NPI_STUN_ERROR;
    uint64_t wake_ns = NPI_NEVER;
    EXPECT("It is awaited.", !npi_errand_is_settled(&b.f, e, &wake_ns));
    npi_errand_take(&b.f, e, &refusal, &to, NULL, NULL, 0);
    EXPECT("The server does not do it.", !npi_errand_is_answered(e) && e->x.failed);
    EXPECT("Nothing more is awaited.", npi_errand_is_settled(&b.f, e, &wake_ns));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_goes_on_unasked),
        cmocka_unit_test(what_is_asked_for_has_sockets_until_its_end),
        cmocka_unit_test(they_end_with_the_time),
        cmocka_unit_test(what_port_may_have_spoilt),
        cmocka_unit_test(a_third_of_losses_may_be_a_burst),
        cmocka_unit_test(there_is_room_for_so_many),
        cmocka_unit_test(answers_find_their_requests),
        cmocka_unit_test(an_error_is_no_answer),
    };
    return cmocka_run_group_tests_name("optional", tests, NULL, NULL);
}
