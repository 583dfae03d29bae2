/* SPDX-License-Identifier: MIT */
/* natpmp: the question and its answers as bytes, and what an answer shows. */
#include "natpmp.h"

#include <string.h>

#include "unit.h"

static npi_addr ip(const char *text)
{
    npi_addr a = {.family = NPI_FAMILY_NONE};
    if (text != NULL)
        assert_true(npi_addr_parse_ip(text, &a));
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
        if (npi_natpmp_is_answer(row->bytes, row->size) != (kind != NPI_NATPMP_DROP))
            fail_msg("%s: is it an answer?", row->sentence);
        if (kind != NPI_NATPMP_DROP && (got.version != row->version || got.result != row->result))
            fail_msg("%s: version %u, result %u", row->sentence, got.version, got.result);
    }
}

static void the_question_is_two_zeros(void **state)
{
    (void)state;
    uint8_t question[NPI_NATPMP_REQUEST_SIZE + 1] = {0xa5, 0xa5, 0xa5};
    npi_natpmp_encode(question);
    assert_int_equal(question[0], 0);
    assert_int_equal(question[1], 0);
    assert_int_equal(question[2], 0xa5);
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
    {"the local address is not known", "10.20.0.5", NULL, "203.0.113.7", false, NPI_GATEWAY_NAT_BEHIND},
};

static npi_gateway_sight sight_of(const row *r)
{
    npi_gateway_sight sight = {ip("192.168.1.1"), ip(r->local), ip(r->external), !r->sees_several};
    sight.gateway.port = NPI_NATPMP_PORT;
    sight.local.port = 54320; /* ports play no part */
    sight.external.port = 61000;
    return sight;
}

static void answers_are_compared_with_what_servers_see(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_gateway_sight sight = sight_of(&rows[i]);
        const npi_natpmp_answer answer = {.kind = NPI_NATPMP_ADDRESS, .external = ip(rows[i].named)};
        npi_gateway_finding finding = npi_natpmp_compare(&answer, &sight);
        if (finding != rows[i].finding)
            fail_msg("%s: %d", rows[i].sentence, (int)finding);
    }
}

/* Not even where it stands in a place that counts for nothing. */
static void without_an_address_nothing_is_known(void **state)
{
    (void)state;
    static const row two_nats = {.local = "192.168.1.9", .external = "203.0.113.7"};
    const npi_gateway_sight sight = sight_of(&two_nats);
    npi_natpmp_answer answer = {.kind = NPI_NATPMP_DROP, .external = ip("203.0.113.7")};
    assert_int_equal(npi_natpmp_compare(&answer, &sight), NPI_GATEWAY_SILENT);
    answer.kind = NPI_NATPMP_FAILURE;
    assert_int_equal(npi_natpmp_compare(&answer, &sight), NPI_GATEWAY_FAILED);
    answer.kind = NPI_NATPMP_OTHER_VERSION;
    assert_int_equal(npi_natpmp_compare(&answer, &sight), NPI_GATEWAY_OTHER_VERSION);
}

/* ---- Sentences -------------------------------------------------------------------------------------------------- */

static void findings_are_explained(void **state)
{
    (void)state;
    static const struct {
        npi_gateway_finding finding;
        uint8_t version;
        uint16_t result;
        const char *text;
    } said[] = {
        {NPI_GATEWAY_SILENT, 0, 0, "the gateway does not answer NAT-PMP"},
        {NPI_GATEWAY_FAILED, 0, 1, "the gateway names no external address: NAT-PMP result 1, unsupported version"},
        {NPI_GATEWAY_FAILED, 0, 2, "the gateway names no external address: NAT-PMP result 2, not authorized"},
        {NPI_GATEWAY_FAILED, 0, 3, "the gateway names no external address: NAT-PMP result 3, network failure"},
        {NPI_GATEWAY_FAILED, 0, 4, "the gateway names no external address: NAT-PMP result 4, out of resources"},
        {NPI_GATEWAY_FAILED, 0, 5, "the gateway names no external address: NAT-PMP result 5, unsupported opcode"},
        {NPI_GATEWAY_FAILED, 0, 65535, "the gateway names no external address: NAT-PMP result 65535, unknown"},
        {NPI_GATEWAY_OTHER_VERSION, 2, 1, "the gateway speaks PCP, and not NAT-PMP"},
        {NPI_GATEWAY_OTHER_VERSION, 9, 1, "the gateway speaks another version, and not NAT-PMP"},
        {NPI_GATEWAY_NONSENSE, 0, 0, "the gateway claims an external address that it cannot have: 10.20.0.5"},
        {NPI_GATEWAY_DIFFERS, 0, 0,
         "the gateway names 10.20.0.5, and servers see another address: the cause is not known"},
        {NPI_GATEWAY_NAT_BEHIND, 0, 0, "another NAT is behind the gateway, whose external address is 10.20.0.5"},
        {NPI_GATEWAY_IS_SEEN, 0, 0, "the gateway's own external address, 10.20.0.5, is the one that servers see"},
    };
    for (size_t i = 0; i < COUNT(said); i++) {
        char text[160] = "?", small[12] = "?";
        const npi_natpmp_answer answer = {
            .version = said[i].version, .result = said[i].result, .external = ip("10.20.0.5")};
        npi_natpmp_explain(&answer, said[i].finding, text, sizeof text);
        assert_string_equal(text, said[i].text);
        npi_natpmp_explain(&answer, said[i].finding, small, sizeof small);
        assert_memory_equal(small, text, sizeof small - 1);
        assert_int_equal(small[sizeof small - 1], '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(the_question_is_two_zeros),
        cmocka_unit_test(answers_are_compared_with_what_servers_see),
        cmocka_unit_test(without_an_address_nothing_is_known),
        cmocka_unit_test(findings_are_explained),
    };
    return cmocka_run_group_tests_name("natpmp", tests, NULL, NULL);
}
