/* SPDX-License-Identifier: MIT */
/*
 * Hostile and malformed messages: every input of the catalogue (hostile/inputs.c), the vectors of RFC 5769 with every
 * fault, and sweeps through all values of a field and all orders of attributes. The decoder must read in each message
 * what the reference decoder reads, which was written independently (support/reference.c).
 */
#include <stdio.h>

#include "../hostile/inputs.h"
#include "../support/reference.h"
#include "../support/rfc5769.h"
#include "stun_message.h"

static message m;

/* ---- One message ------------------------------------------------------------------------------------------------ */

static bool is_same(const endpoint *e, const npi_addr *a)
{
    const npi_addr b = npi_from_endpoint(e);
    return npi_addr_equal(&b, a);
}

static void check_fields(const reading *expected, const npi_stun_response *r)
{
    assert_memory_equal(r->id.bytes, m.bytes + 4, ID_SIZE);
    assert_true(is_same(&expected->mapped, &r->mapped));
    assert_true(is_same(&expected->other, &r->other));
    assert_true(is_same(&expected->origin, &r->origin));
    assert_int_equal(expected->error_code, r->error_code);
    assert_int_equal(expected->is_rewritten, r->address_rewritten);
}

/* The message as it is now. Returns what it means. */
static npi_stun_kind check(void)
{
    static const npi_stun_kind kinds[] = {NPI_STUN_DROP, NPI_STUN_SUCCESS, NPI_STUN_ERROR, NPI_STUN_UNUSABLE};
    const reading expected = reference_read(m.bytes, m.size);
    npi_stun_response r;
    const npi_stun_kind kind = decode(&m, &r);
    if (kind != kinds[expected.meaning])
        fail_msg("%zu bytes, type 0x%02x%02x: outcome %d, not %s", m.size, m.bytes[0], m.bytes[1], (int)kind,
                 meaning_name(expected.meaning));
    if (kind != NPI_STUN_DROP)
        check_fields(&expected, &r);
    return kind;
}

static void begin_success(const npi_stun_id *id)
{
    message_begin(&m, BINDING_SUCCESS, id->bytes);
}

static void add_good_address(void)
{
    add_address(&m, MAPPED_ADDRESS, npi_addr_v4(198, 51, 100, 1, 1001));
}

/* ---- The catalogue ---------------------------------------------------------------------------------------------- */

/* What an input's outcome says of the message alone. Who sent it and when, and what a server names, is not for here. */
static void check_input(const input *in, const question *q, unsigned variant)
{
    in->make(&m, q, variant);
    const npi_stun_kind kind = check();
    const bool is_ours = m.size >= HEADER_SIZE && memcmp(m.bytes + 4, q->request + 4, ID_SIZE) == 0;
    const reading r = reference_read(m.bytes, m.size);
    if (in->outcome == DROP && (in->use & ENGINE) != 0 && kind != NPI_STUN_DROP && is_ours)
        fail_msg("%s, variant %u: is not dropped", catalogue[in->number - 1].name, variant);
    if (in->outcome == ACCEPT && (kind != NPI_STUN_SUCCESS || !endpoint_equal(&r.mapped, &q->mapped)))
        fail_msg("%s, variant %u: is not accepted", catalogue[in->number - 1].name, variant);
}

static question question_of(bool classic, bool ipv6)
{
    question q = {.size = HEADER_SIZE, .classic = classic};
    const npi_stun_id *id = classic ? &classic_id : &cookie_id;
    npi_stun_encode_request(q.request, id, 0);
    q.asked = endpoint_of(ipv6 ? "2400:1::1" : "11.0.0.1", 3478);
    q.answerer = q.asked;
    q.mapped = endpoint_of(ipv6 ? "2600::6" : "13.0.0.6", 50000);
    q.other = endpoint_of(ipv6 ? "2400:1::2" : "11.0.1.2", 3479);
    return q;
}

static void every_input_of_the_catalogue(void **state)
{
    unsigned count = 0;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        const bool classic = (i & 1) != 0;
        const question q = question_of(classic, (i & 2) != 0);
        for (const input *in = inputs; in < inputs + input_count; in++) {
            for (unsigned v = 0; v < in->variants && (in->use & (classic ? CLASSIC : NEW)) != 0; v++, count++)
                check_input(in, &q, v);
        }
    }
    assert_true(count > 4000);
}

/* ---- The vectors of RFC 5769 ------------------------------------------------------------------------------------ */

static void load(size_t i)
{
    vector_load(&vectors[i], m.bytes);
    m.size = vectors[i].size;
}

static void every_prefix_of_every_vector(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        for (size_t size = 0; size < vectors[i].size; size++) {
            load(i);
            m.size = size;
            assert_int_equal(check(), NPI_STUN_DROP);
            message_set_length(&m,
                               (unsigned)(size - HEADER_SIZE) & 0xffff); /* a header that owns up to being shorter */
            check();
        }
    }
}

static void every_flipped_bit_of_every_vector(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        for (size_t bit = 0; bit < 8 * vectors[i].size; bit++) {
            load(i);
            m.bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            check();
        }
    }
}

static unsigned next_length(unsigned length)
{
    return length < 300 || length >= 0xffc0 ? length + 1 : length + 61;
}

static void every_length_in_every_vector(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        load(i);
        for (size_t at = 2, next; at < m.size; at = next) {
            const unsigned usual = get_u16(m.bytes + at);
            next = at == 2 ? HEADER_SIZE + 2 : at + 4 + (usual + 3) / 4 * 4;
            for (unsigned length = 0; length <= 0xffff; length = next_length(length)) {
                put_u16(m.bytes + at, length);
                check();
            }
            put_u16(m.bytes + at, usual);
        }
    }
}

/* ---- Sweeps ----------------------------------------------------------------------------------------------------- */

static const npi_stun_id *const ids[] = {&cookie_id, &classic_id};

static void every_number_of_bytes_behind_the_last_attribute(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * 20; i++) {
        begin_success(ids[i % 2]);
        add_good_address();
        message_add_bytes(&m, NULL, i / 2);
        check();
    }
}

static void every_length_in_the_header_of_every_prefix(void **state)
{
    (void)state;
    begin_success(&cookie_id);
    add_good_address();
    const size_t size = m.size;
    for (m.size = 0; m.size <= size; m.size++) {
        for (unsigned length = 0; length <= 0xffff; length = next_length(length)) {
            message_set_length(&m, length);
            check();
        }
    }
}

static void every_type_of_message(void **state)
{
    (void)state;
    for (unsigned type = 0; type <= 0xffff; type++) {
        message_begin(&m, type, ids[type / 2 % 2]->bytes);
        add_good_address();
        add_error(&m, 500, "");
        check();
    }
}

/* Of every type, alone or with an address or an error code before or behind it. */
static void every_type_of_attribute(void **state)
{
    static const uint8_t value[64] = {0, 1, 0, 1, 2, 3, 4, 5};
    (void)state;
    for (unsigned i = 0; i < 4 * 0x10000; i++) {
        message_begin(&m, i % 2 == 0 ? BINDING_SUCCESS : BINDING_ERROR, ids[i / 4 % 2]->bytes);
        if (i % 4 < 2)
            message_add(&m, i / 4, value, i % 3 == 0 ? 8 : i % sizeof value);
        add_good_address();
        add_error(&m, 420, "");
        if (i % 4 >= 2)
            message_add(&m, i / 4, value, i % 3 == 0 ? 0 : i % sizeof value);
        check();
    }
}

static void every_family_and_length_of_an_address(void **state)
{
    static const uint16_t types[] = {MAPPED_ADDRESS,  XOR_MAPPED_ADDRESS, XOR_MAPPED_ADDRESS_OLD, OTHER_ADDRESS,
                                     CHANGED_ADDRESS, RESPONSE_ORIGIN,    SOURCE_ADDRESS};
    uint8_t value[32] = {0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    (void)state;
    for (unsigned i = 0; i < 256 * 32; i++) {
        value[0] = (uint8_t)(i * 7); /* reserved */
        value[1] = (uint8_t)(i / 32);
        for (size_t k = 0; k < COUNT(types); k++) {
            begin_success(ids[i / 64 % 2]);
            message_add(&m, types[k], value, i % 32);
            check();
            add_good_address();
            message_add(&m, types[k], value + 1, i % 32 > 20 ? 20 : i % 32);
            check();
        }
    }
}

static void every_error_code(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256 * 256 * 5; i++) {
        const uint8_t value[4] = {0xff, 0xff, (uint8_t)(i / 256), (uint8_t)i};
        message_begin(&m, BINDING_ERROR, ids[i / 256 % 2]->bytes);
        message_add(&m, ERROR_CODE, value, i < 256 * 256 ? 4 : i >> 16);
        check();
    }
}

/* A length of its own, with fewer, as many and more bytes behind it. */
static void every_length_of_an_attribute(void **state)
{
    static const uint16_t types[] = {MAPPED_ADDRESS, XOR_MAPPED_ADDRESS, ERROR_CODE, SOFTWARE, FINGERPRINT};
    (void)state;
    for (unsigned length = 0; length <= 0xffff; length += length < 64 || length >= 0xffc0 ? 1 : 251) {
        for (unsigned i = 0; i < COUNT(types) * 2 * 12; i++) {
            begin_success(ids[i % 2]);
            add_good_address();
            message_add_bare(&m, types[i / 2 % COUNT(types)], length, "\0\1\2\3\4\5\6\7\0\1\2\3", i / 2 / COUNT(types));
            check();
            message_add_bare(&m, SOFTWARE, 0, "", 0);
            check();
        }
    }
}

/* Right in value, and yet not one that may be: not the last, not of four bytes, or behind itself. */
static void right_checksum_in_a_wrong_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin_success(&cookie_id);
        add_good_address();
        message_add_bare(&m, FINGERPRINT, i == 1 ? 8 : 4, "\0\0\0\0", 4);
        message_add_bare(&m, i == 2 ? FINGERPRINT : SOFTWARE, 0, "", 0);
        put_u32(m.bytes + m.size - 8, fingerprint_of(m.bytes, m.size - 8));
        assert_int_equal(check(), NPI_STUN_DROP);
    }
}

/* ---- All orders of attributes ----------------------------------------------------------------------------------- */

static void add_piece(unsigned piece)
{
    static const uint16_t plain[] = {MAPPED_ADDRESS, OTHER_ADDRESS, CHANGED_ADDRESS, RESPONSE_ORIGIN, SOURCE_ADDRESS};
    const uint8_t serial = (uint8_t)(m.size / 4); /* tells one of two of a kind from the other */
    const npi_addr a = npi_addr_v4(198, 51, 100, serial, 1001);
    const npi_addr v6 = {.family = NPI_IPV6, .ip = {0x20, 1, 0x0d, 0xb8, [15] = serial}, .port = 1001};
    const npi_addr guise = {.family = NPI_IPV6, .ip = {[10] = 0xff, [11] = 0xff, 198, 51, 100, 6}, .port = 1001};
    if (piece < COUNT(plain))
        add_address(&m, plain[piece], a);
    else if (piece < 7)
        add_xor_address(&m, piece == 5 ? XOR_MAPPED_ADDRESS : XOR_MAPPED_ADDRESS_OLD, a);
    else if (piece < 9)
        add_xor_address(&m, XOR_MAPPED_ADDRESS, piece == 7 ? v6 : npi_addr_v4(224, 0, 0, serial, 1001));
    else if (piece == 9)
        add_error(&m, 400 + serial % 100u, "No");
    else if (piece == 10)
        message_add_fingerprint(&m);
    else if (piece < 13)
        message_add(&m, piece == 11 ? MESSAGE_INTEGRITY : MESSAGE_INTEGRITY_SHA256, NULL, piece == 11 ? 20 : 16);
    else if (piece == 13)
        message_add(&m, 0x7fff, "", 0);
    else if (piece == 14)
        message_add(&m, SOFTWARE, "abc", 3);
    else if (piece == 15)
        message_add_bare(&m, SOFTWARE, 6, "abcdef", 6);
    else
        add_address(&m, piece == 16 ? MAPPED_ADDRESS : OTHER_ADDRESS, piece == 16 ? guise : npi_addr_v4(0, 0, 0, 0, 0));
}

enum { PIECES = 18 };

static void every_order_of_four_attributes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4 * PIECES * PIECES * PIECES * PIECES; i++) {
        message_begin(&m, i % 2 == 0 ? BINDING_SUCCESS : BINDING_ERROR, ids[i / 2 % 2]->bytes);
        for (unsigned n = 0, rest = i / 4; n < 4; n++, rest /= PIECES)
            add_piece(rest % PIECES);
        check();
    }
}

/* ---- What a decoder alone does not show ------------------------------------------------------------------------- */

static void message_at_any_address_in_memory(void **state)
{
    (void)state;
    begin_success(&cookie_id);
    message_add(&m, SOFTWARE, "odd", 3);
    add_good_address();
    message_add_fingerprint(&m);
    for (size_t offset = 0; offset < 16; offset++) {
        npi_stun_response r;
        uint8_t *memory = malloc(offset + m.size);
        assert_non_null(memory);
        memcpy(memory + offset, m.bytes, m.size);
        assert_int_equal(npi_stun_decode(memory + offset, m.size, &r), NPI_STUN_SUCCESS);
        free(memory);
    }
    assert_int_equal(npi_stun_decode(NULL, 0, &(npi_stun_response){.kind = NPI_STUN_ERROR}), NPI_STUN_DROP);
}

/* For the sanitizer of undefined behaviour: bytes of 0xff wherever an integer is put together. */
static void high_bytes_alone(void **state)
{
    uint8_t high[64];
    (void)state;
    memset(high, 0xff, sizeof high);
    message_begin(&m, BINDING_SUCCESS, high);
    add_address(&m, MAPPED_ADDRESS, npi_addr_v4(223, 255, 255, 255, 65535));
    message_add(&m, 0xffff, high, 4);
    assert_int_equal(check(), NPI_STUN_SUCCESS);
    memcpy(m.bytes, high, sizeof high);
    m.size = sizeof high;
    assert_int_equal(check(), NPI_STUN_DROP);
}

/* CVE-2020-4067. */
static void unused_bits_of_our_requests_are_zero(void **state)
{
    (void)state;
    uint8_t out[NPI_STUN_REQUEST_SIZE];
    memset(out, 0xff, sizeof out);
    assert_int_equal(npi_stun_encode_request(out, &cookie_id, 0xffffffff), 28);
    assert_memory_equal(out + 20, "\x00\x03\x00\x04\x00\x00\x00\x06", 8);
    assert_int_equal(npi_stun_encode_request(out, &cookie_id, ~(NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)), 20);
}

static void every_random_bit_is_in_the_id(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 96 + 128; bit++) {
        const npi_stun_dialect dialect = bit < 96 ? NPI_STUN_RFC8489 : NPI_STUN_RFC3489;
        uint8_t random[NPI_STUN_ID_SIZE] = {0};
        const npi_stun_id before = npi_stun_make_id(dialect, random);
        random[(bit < 96 ? bit : bit - 96) / 8] ^= (uint8_t)(1 << bit % 8);
        const npi_stun_id after = npi_stun_make_id(dialect, random);
        assert_false(npi_stun_id_equal(&before, &after));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_of_the_catalogue),
        cmocka_unit_test(every_prefix_of_every_vector),
        cmocka_unit_test(every_flipped_bit_of_every_vector),
        cmocka_unit_test(every_length_in_every_vector),
        cmocka_unit_test(every_number_of_bytes_behind_the_last_attribute),
        cmocka_unit_test(every_length_in_the_header_of_every_prefix),
        cmocka_unit_test(every_type_of_message),
        cmocka_unit_test(every_type_of_attribute),
        cmocka_unit_test(every_family_and_length_of_an_address),
        cmocka_unit_test(every_error_code),
        cmocka_unit_test(every_length_of_an_attribute),
        cmocka_unit_test(right_checksum_in_a_wrong_place),
        cmocka_unit_test(every_order_of_four_attributes),
        cmocka_unit_test(message_at_any_address_in_memory),
        cmocka_unit_test(high_bytes_alone),
        cmocka_unit_test(unused_bits_of_our_requests_are_zero),
        cmocka_unit_test(every_random_bit_is_in_the_id),
    };
    return cmocka_run_group_tests_name("stun_hostile", tests, NULL, NULL);
}
