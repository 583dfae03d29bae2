/* SPDX-License-Identifier: MIT */
/* natpmp: the question and its answers as bytes, one question in time, and what an answer shows. */
#include "natpmp.h"

#include <string.h>

#include "tstamp.h"
#include "unit.h"

#define AT_MS(ms) (1000 * NPI_MS + (uint64_t)(ms)*NPI_MS)

static npi_addr ip(const char *text)
{
    npi_addr a = {.family = NPI_FAMILY_NONE};
    if (text != NULL)
        assert_true(npi_addr_parse_ip(text, &a));
    return a;
}

static npi_addr gateway_at(const char *text, uint16_t port)
{
    npi_addr a = ip(text);
    a.port = port;
    return a;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

typedef struct answer_row {
    const char *sentence;
    uint8_t bytes[64];
    size_t size;
    npi_natpmp_kind kind;
    unsigned version, result;
    const char *external;
} answer_row;

static const answer_row answer_rows[] = {
    {"a gateway names its external address",
     {0, 128, 0, 0, 0, 0, 14, 16, 203, 0, 113, 7},
     12,
     NPI_NATPMP_ADDRESS,
     0,
     0,
     "203.0.113.7"},
    {"the time that it has been up may be any",
     {0, 128, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4},
     12,
     NPI_NATPMP_ADDRESS,
     0,
     0,
     "1.2.3.4"},
    {"an address of no host is passed on, for others to judge",
     {0, 128, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
     12,
     NPI_NATPMP_ADDRESS,
     0,
     0,
     "0.0.0.0"},
    {"a failure: the address beside it counts for nothing",
     {0, 128, 0, 3, 0, 0, 0, 1, 203, 0, 113, 7},
     12,
     NPI_NATPMP_FAILURE,
     0,
     3,
     NULL},
    {"a failure without an address", {0, 128, 0, 1, 0, 0, 0, 1}, 8, NPI_NATPMP_FAILURE, 0, 1, NULL},
    {"a failure that is the request with a code", {0, 128, 0, 5}, 4, NPI_NATPMP_FAILURE, 0, 5, NULL},
    {"a result code has two bytes", {0, 128, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0}, 12, NPI_NATPMP_FAILURE, 0, 256, NULL},
    {"a server that speaks PCP alone",
     {2, 128, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9},
     24,
     NPI_NATPMP_OTHER_VERSION,
     2,
     1,
     NULL},
    {"one of a later version", {3, 128, 0, 1}, 4, NPI_NATPMP_OTHER_VERSION, 3, 1, NULL},
    {"nothing", {0}, 0, NPI_NATPMP_DROP, 0, 0, NULL},
    {"the request itself, come back", {0, 0}, 2, NPI_NATPMP_DROP, 0, 0, NULL},
    {"a result code that is cut", {0, 128, 0}, 3, NPI_NATPMP_DROP, 0, 0, NULL},
    {"no failure, and no address", {0, 128, 0, 0}, 4, NPI_NATPMP_DROP, 0, 0, NULL},
    {"an address that is cut", {0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113}, 11, NPI_NATPMP_DROP, 0, 0, NULL},
    {"a byte too many", {0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 7, 0}, 13, NPI_NATPMP_DROP, 0, 0, NULL},
    {"the answer to another question (map UDP)",
     {0, 129, 0, 0, 0, 0, 0, 1, 203, 0, 113, 7},
     12,
     NPI_NATPMP_DROP,
     0,
     0,
     NULL},
    {"a request for that", {0, 1, 0, 0, 0, 0, 0, 1, 203, 0, 113, 7}, 12, NPI_NATPMP_DROP, 0, 0, NULL},
    {"a STUN answer", {1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42}, 32, NPI_NATPMP_DROP, 0, 0, NULL},
};

static void answers_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(answer_rows); i++) {
        const answer_row *row = &answer_rows[i];
        npi_natpmp_answer got;
        memset(&got, 0xa5, sizeof got);
        npi_natpmp_kind kind = npi_natpmp_decode(row->bytes, row->size, &got);
        const npi_addr external = ip(row->external);
        if (kind != row->kind || got.kind != kind || !npi_addr_equal(&got.external, &external))
            fail_msg("%s", row->sentence);
        if (kind != NPI_NATPMP_DROP && (got.version != row->version || got.result != row->result))
            fail_msg("%s: version %u, result %u", row->sentence, got.version, got.result);
    }
}

/* ---- One question in time --------------------------------------------------------------------------------------- */

static const uint8_t address_answer[] = {0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 7};

static npi_natpmp begun(void)
{
    npi_natpmp q;
    const npi_addr gateway = gateway_at("192.168.1.1", 99);
    memset(&q, 0xa5, sizeof q);
    npi_natpmp_begin(&q, &gateway, AT_MS(0));
    return q;
}

/* Takes the copy that is due. */
static bool sends(npi_natpmp *q, uint64_t now_ns)
{
    uint8_t copy[NPI_NATPMP_REQUEST_SIZE] = {0xa5, 0xa5};
    const size_t size = npi_natpmp_next(q, now_ns, copy);
    if (size == 0)
        return false;
    assert_int_equal(size, 2);
    assert_int_equal(copy[0], 0);
    assert_int_equal(copy[1], 0);
    return true;
}

static npi_natpmp asked(void)
{
    npi_natpmp q = begun();
    assert_true(sends(&q, AT_MS(0)));
    return q;
}

static void receives(npi_natpmp *q, const char *from, uint16_t port, const uint8_t *data, size_t size)
{
    const npi_addr a = gateway_at(from, port);
    npi_natpmp_receive(q, &a, data, size);
}

static void three_copies_leave_and_then_it_is_over(void **state)
{
    (void)state;
    npi_natpmp q = begun();
    assert_int_equal(q.gateway.port, NPI_NATPMP_PORT);
    for (int ms = 0; ms <= 2000; ms++) {
        const bool is_due = ms == 0 || ms == 250 || ms == 750;
        assert_int_equal(sends(&q, AT_MS(ms)), is_due);
        assert_false(sends(&q, AT_MS(ms)));
        assert_int_equal(npi_natpmp_is_over(&q), ms >= 1250);
    }
    assert_int_equal(q.copies, 3);
}

static void a_process_that_was_held_up_sends_one_copy_and_waits_for_it(void **state)
{
    (void)state;
    npi_natpmp q = begun();
    assert_true(sends(&q, AT_MS(5000)));
    assert_false(sends(&q, AT_MS(5249)));
    assert_true(sends(&q, AT_MS(9000)));
    assert_true(sends(&q, AT_MS(9500)));
    assert_false(sends(&q, AT_MS(9999)));
    assert_false(npi_natpmp_is_over(&q));
    assert_false(sends(&q, AT_MS(10000)));
    assert_true(npi_natpmp_is_over(&q));
}

static void the_first_answer_ends_it(void **state)
{
    (void)state;
    static const uint8_t other[] = {0, 128, 0, 0, 0, 0, 0, 1, 203, 0, 113, 8};
    npi_natpmp q = asked();
    receives(&q, "192.168.1.1", 5351, address_answer, sizeof address_answer);
    assert_true(npi_natpmp_is_over(&q));
    receives(&q, "192.168.1.1", 5351, other, sizeof other);
    npi_natpmp_refuse(&q);
    assert_int_equal(q.answer.kind, NPI_NATPMP_ADDRESS);
    assert_int_equal(q.answer.external.ip[3], 7);
    assert_false(q.is_refused);
    assert_false(sends(&q, AT_MS(250)));
}

static void nothing_else_ends_it(void **state)
{
    (void)state;
    static const uint8_t request[] = {0, 0};
    npi_natpmp q = asked();
    receives(&q, "192.168.1.2", 5351, address_answer, sizeof address_answer); /* another address */
    receives(&q, "192.168.1.1", 5350, address_answer, sizeof address_answer); /* another port */
    receives(&q, "::ffff:192.168.1.1", 5351, address_answer, sizeof address_answer);
    receives(&q, "192.168.1.1", 5351, request, sizeof request);
    receives(&q, "192.168.1.1", 5351, NULL, 0);
    assert_false(npi_natpmp_is_over(&q));
    assert_int_equal(q.answer.kind, NPI_NATPMP_DROP);
    assert_true(sends(&q, AT_MS(250)));
}

static void nobody_answers_before_the_question(void **state)
{
    (void)state;
    npi_natpmp q = begun();
    receives(&q, "192.168.1.1", 5351, address_answer, sizeof address_answer);
    npi_natpmp_refuse(&q);
    assert_false(npi_natpmp_is_over(&q));
    assert_false(q.is_refused);
    assert_true(sends(&q, AT_MS(0)));
}

static void a_late_answer_changes_nothing(void **state)
{
    (void)state;
    npi_natpmp q = asked();
    (void)sends(&q, AT_MS(250));
    (void)sends(&q, AT_MS(750));
    (void)sends(&q, AT_MS(1250));
    receives(&q, "192.168.1.1", 5351, address_answer, sizeof address_answer);
    assert_int_equal(q.answer.kind, NPI_NATPMP_DROP);
}

/* ---- What it shows ---------------------------------------------------------------------------------------------- */

#define OTHERS_TOO true

typedef struct row {
    const char *sentence;
    const char *named; /* by the gateway 192.168.1.1 */
    const char *local, *external;
    bool sees_several;
    npi_gateway_finding finding;
} row;

static const row rows[] = {
    {"one NAT: servers see the gateway's address", "203.0.113.7", "192.168.1.9", "203.0.113.7", false,
     NPI_GATEWAY_IS_SEEN},
    {"the gateway has several, and names that of this port", "203.0.113.7", "192.168.1.9", "203.0.113.7", OTHERS_TOO,
     NPI_GATEWAY_IS_SEEN},
    {"two NATs: the gateway's address is private", "10.20.0.5", "192.168.1.9", "203.0.113.7", false,
     NPI_GATEWAY_NAT_BEHIND},
    {"a carrier's NAT behind it", "100.64.0.2", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NAT_BEHIND},
    {"DS-Lite: the carrier's NAT at the end of a tunnel", "192.0.0.2", "192.168.1.9", "203.0.113.7", false,
     NPI_GATEWAY_NAT_BEHIND},
    {"a line with addresses for benchmarks", "198.18.0.1", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NAT_BEHIND},
    {"a private address that servers inside the same network see", "10.20.0.5", "192.168.1.9", "10.20.0.5", false,
     NPI_GATEWAY_IS_SEEN},
    {"servers inside see another private address: perhaps a second one of the gateway", "10.20.0.5", "192.168.1.9",
     "10.20.0.6", false, NPI_GATEWAY_DIFFERS},
    {"servers see several addresses: perhaps by two ways, of which the gateway is one", "10.20.0.5", "192.168.1.9",
     "203.0.113.7", OTHERS_TOO, NPI_GATEWAY_DIFFERS},
    {"two global addresses: a pool, two lines, a tunnel, or another NAT", "203.0.113.8", "192.168.1.9", "203.0.113.7",
     false, NPI_GATEWAY_DIFFERS},
    {"a lie: another NAT is behind it, and it names the address that servers see", "203.0.113.7", "192.168.1.9",
     "203.0.113.7", false, NPI_GATEWAY_IS_SEEN},
    {"no address yet", "0.0.0.0", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"its own loopback", "127.0.0.1", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"a group", "224.0.0.1", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"a reserved address", "240.0.0.1", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"everybody", "255.255.255.255", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"the address of a line without a lease", "169.254.3.4", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"its own address on this side", "192.168.1.1", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"the address of this host", "192.168.1.9", "192.168.1.9", "203.0.113.7", false, NPI_GATEWAY_NONSENSE},
    {"no NAT: the gateway's address is another's business", "10.20.0.5", "198.51.100.9", "198.51.100.9", false,
     NPI_GATEWAY_NO_NAT},
    {"no NAT, and the gateway claims this host's address", "198.51.100.9", "198.51.100.9", "198.51.100.9", false,
     NPI_GATEWAY_NO_NAT},
    {"servers see nothing", "203.0.113.7", "192.168.1.9", NULL, false, NPI_GATEWAY_UNASKED},
    {"servers see an address of IPv6", "203.0.113.7", "192.168.1.9", "2001:db8::7", false, NPI_GATEWAY_UNASKED},
    {"the local address is not known", "10.20.0.5", NULL, "203.0.113.7", false, NPI_GATEWAY_NAT_BEHIND},
};

static npi_gateway_sight sight_of(const row *r)
{
    npi_gateway_sight sight = {ip(r->local), ip(r->external), !r->sees_several};
    sight.local.port = 54320; /* ports play no part */
    sight.external.port = 61000;
    return sight;
}

static void answers_are_compared_with_what_servers_see(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_addr named = ip(rows[i].named);
        const npi_gateway_sight sight = sight_of(&rows[i]);
        uint8_t answer[sizeof address_answer];
        npi_natpmp q = asked();
        memcpy(answer, address_answer, sizeof answer);
        memcpy(answer + 8, named.ip, 4);
        receives(&q, "192.168.1.1", 5351, answer, sizeof answer);
        npi_gateway_finding finding = npi_natpmp_compare(&q, &sight);
        if (finding != rows[i].finding)
            fail_msg("%s: %d", rows[i].sentence, (int)finding);
    }
}

static void without_an_address_nothing_is_known(void **state)
{
    (void)state;
    static const row two_nats = {.local = "192.168.1.9", .external = "203.0.113.7"};
    static const row no_nat = {.local = "198.51.100.9", .external = "198.51.100.9"};
    static const uint8_t failure[] = {0, 128, 0, 3, 0, 0, 0, 0, 10, 20, 0, 5};
    static const uint8_t pcp[24] = {2, 128, 0, 1};
    const npi_gateway_sight sight = sight_of(&two_nats);
    const npi_gateway_sight open_sight = sight_of(&no_nat);
    npi_natpmp q = begun();
    assert_int_equal(npi_natpmp_compare(&q, &sight), NPI_GATEWAY_UNASKED);
    q = asked();
    assert_int_equal(npi_natpmp_compare(&q, &sight), NPI_GATEWAY_SILENT);
    assert_int_equal(npi_natpmp_compare(&q, &open_sight), NPI_GATEWAY_NO_NAT);
    npi_natpmp_refuse(&q);
    assert_true(npi_natpmp_is_over(&q));
    assert_int_equal(npi_natpmp_compare(&q, &sight), NPI_GATEWAY_REFUSED);
    q = asked();
    receives(&q, "192.168.1.1", 5351, failure, sizeof failure);
    assert_true(npi_natpmp_is_over(&q));
    assert_int_equal(npi_natpmp_compare(&q, &sight), NPI_GATEWAY_FAILED);
    q = asked();
    receives(&q, "192.168.1.1", 5351, pcp, sizeof pcp);
    assert_true(npi_natpmp_is_over(&q));
    assert_int_equal(npi_natpmp_compare(&q, &sight), NPI_GATEWAY_OTHER_VERSION);
}

/* ---- Sentences -------------------------------------------------------------------------------------------------- */

static void what_is_not_known_is_explained(void **state)
{
    (void)state;
    static const struct {
        npi_gateway_finding finding;
        uint8_t version;
        uint16_t result;
        const char *text;
    } said[] = {
        {NPI_GATEWAY_UNASKED, 0, 0, ""},
        {NPI_GATEWAY_SILENT, 0, 0, "the gateway 192.168.1.1 does not answer NAT-PMP"},
        {NPI_GATEWAY_REFUSED, 0, 0, "the gateway 192.168.1.1 does not offer NAT-PMP"},
        {NPI_GATEWAY_FAILED, 0, 2,
         "the gateway 192.168.1.1 names no external address: NAT-PMP result 2, not authorized"},
        {NPI_GATEWAY_FAILED, 0, 65535,
         "the gateway 192.168.1.1 names no external address: NAT-PMP result 65535, unknown code"},
        {NPI_GATEWAY_OTHER_VERSION, 2, 1, "the gateway 192.168.1.1 speaks PCP, not NAT-PMP"},
        {NPI_GATEWAY_OTHER_VERSION, 9, 1, "the gateway 192.168.1.1 speaks another version, not NAT-PMP"},
        {NPI_GATEWAY_NONSENSE, 0, 0,
         "the gateway 192.168.1.1 claims an external address that it cannot have: 10.20.0.5"},
        {NPI_GATEWAY_NO_NAT, 0, 0, ""},
        {NPI_GATEWAY_DIFFERS, 0, 0,
         "the gateway 192.168.1.1 names 10.20.0.5, and servers see another address: why is not known"},
        {NPI_GATEWAY_NAT_BEHIND, 0, 0, ""},
        {NPI_GATEWAY_IS_SEEN, 0, 0, ""},
    };
    for (size_t i = 0; i < COUNT(said); i++) {
        char text[160] = "?", small[12] = "?";
        npi_natpmp q = asked();
        q.answer = (npi_natpmp_answer){
            .version = said[i].version, .result = said[i].result, .external = ip("10.20.0.5")};
        npi_natpmp_explain(&q, said[i].finding, text, sizeof text);
        assert_string_equal(text, said[i].text);
        npi_natpmp_explain(&q, said[i].finding, small, sizeof small);
        assert_int_equal(strncmp(small, text, sizeof small - 1), 0);
        assert_true(strlen(small) < sizeof small);
    }
    for (uint16_t result = 1; result <= 5; result++) {
        char text[160];
        npi_natpmp q = asked();
        q.answer = (npi_natpmp_answer){.result = result};
        npi_natpmp_explain(&q, NPI_GATEWAY_FAILED, text, sizeof text);
        assert_null(strstr(text, "unknown code"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(three_copies_leave_and_then_it_is_over),
        cmocka_unit_test(a_process_that_was_held_up_sends_one_copy_and_waits_for_it),
        cmocka_unit_test(the_first_answer_ends_it),
        cmocka_unit_test(nothing_else_ends_it),
        cmocka_unit_test(nobody_answers_before_the_question),
        cmocka_unit_test(a_late_answer_changes_nothing),
        cmocka_unit_test(answers_are_compared_with_what_servers_see),
        cmocka_unit_test(without_an_address_nothing_is_known),
        cmocka_unit_test(what_is_not_known_is_explained),
    };
    return cmocka_run_group_tests_name("natpmp", tests, NULL, NULL);
}
