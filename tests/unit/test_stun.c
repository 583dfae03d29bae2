/* SPDX-License-Identifier: MIT */
/* stun: requests byte for byte, the vectors of RFC 5769, and what a response says. test_stun_hostile has the rest. */
#include "stun.h"

#include <stdlib.h>
#include <string.h>

#include "../support/rfc5769.h"
#include "stun_message.h"
#include "unit.h"

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static void request_without_change_is_a_bare_header(void **state)
{
    (void)state;
    uint8_t out[NPI_STUN_REQUEST_SIZE + 1];
    memset(out, 0xa5, sizeof out);
    assert_int_equal(npi_stun_encode_request(out, &cookie_id, 0), 20);
    assert_memory_equal(out, "\x00\x01\x00\x00", 4);
    assert_memory_equal(out + 4, cookie_id.bytes, 16);
    for (size_t i = 20; i < sizeof out; i++)
        assert_int_equal(out[i], 0xa5);
}

static void request_with_change_has_one_attribute(void **state)
{
    (void)state;
    static const struct {
        uint32_t change;
        uint8_t last;
    } rows[] = {{NPI_STUN_CHANGE_IP, 4}, {NPI_STUN_CHANGE_PORT, 2}, {NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT, 6}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t out[NPI_STUN_REQUEST_SIZE];
        memset(out, 0xa5, sizeof out);
        assert_int_equal(npi_stun_encode_request(out, &classic_id, rows[i].change), 28);
        assert_memory_equal(out, "\x00\x01\x00\x08", 4);
        assert_memory_equal(out + 4, classic_id.bytes, 16);
        assert_memory_equal(out + 20, "\x00\x03\x00\x04\x00\x00\x00", 7);
        assert_int_equal(out[27], rows[i].last);
    }
}

/* RFC 8489 section 5: the class of an indication is 01. */
static void indication_is_a_bare_header(void **state)
{
    (void)state;
    uint8_t out[NPI_STUN_REQUEST_SIZE];
    assert_int_equal(npi_stun_encode_indication(out, &cookie_id), 20);
    assert_memory_equal(out, "\x00\x11\x00\x00", 4);
    assert_memory_equal(out + 4, cookie_id.bytes, 16);
}

/* RFC 5780 section 7.5: the port, and two bytes of padding. */
static void response_port_is_followed_by_padding(void **state)
{
    (void)state;
    uint8_t out[NPI_STUN_REQUEST_SIZE];
    memset(out, 0xa5, sizeof out);
    assert_int_equal(npi_stun_encode_response_port(out, &cookie_id, 0x1234), 28);
    assert_memory_equal(out, "\x00\x01\x00\x08", 4);
    assert_memory_equal(out + 4, cookie_id.bytes, 16);
    assert_memory_equal(out + 20, "\x00\x27\x00\x04\x12\x34\x00\x00", 8);
}

static void rfc8489_id_is_the_cookie_and_12_random_bytes(void **state)
{
    (void)state;
    npi_stun_id id = npi_stun_make_id(NPI_STUN_RFC8489, (const uint8_t *)"abcdefghijklmnop");
    assert_memory_equal(id.bytes,
                        "\x21\x12\xa4\x42"
                        "abcdefghijkl",
                        16);
}

static void rfc3489_id_is_16_random_bytes(void **state)
{
    (void)state;
    npi_stun_id id = npi_stun_make_id(NPI_STUN_RFC3489, (const uint8_t *)"abcdefghijklmnop");
    assert_memory_equal(id.bytes, "abcdefghijklmnop", 16);
}

static void ids_are_equal_only_in_all_128_bits(void **state)
{
    (void)state;
    npi_stun_id other = cookie_id;
    assert_true(npi_stun_id_equal(&cookie_id, &other));
    for (size_t bit = 0; bit < 128; bit++) {
        other.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(npi_stun_id_equal(&cookie_id, &other));
        other = cookie_id;
    }
}

/* ---- RFC 5769 --------------------------------------------------------------------------------------------------- */

/* The id of 2.1 to 2.3. */
static const npi_stun_id rfc5769_id = {
    {0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae}};

static void load(const vector *v, uint8_t out[VECTOR_ROOM])
{
    assert_int_equal(strlen(v->hex), 2 * v->size);
    vector_load(v, out);
}

static npi_addr mapped_of(const vector *v)
{
    npi_addr a;
    assert_true(npi_addr_parse_ip(v->mapped, &a));
    return npi_addr_with_port(&a, VECTOR_MAPPED_PORT);
}

static void check_vector_response(const vector *v)
{
    uint8_t bytes[VECTOR_ROOM];
    load(v, bytes);
    npi_stun_response r;
    assert_int_equal(decode_exact(bytes, v->size, &r), NPI_STUN_SUCCESS);
    const npi_addr expected = mapped_of(v);
    assert_true(npi_addr_equal(&r.mapped, &expected));
    assert_true(npi_stun_id_equal(&r.id, &rfc5769_id));
    assert_false(npi_addr_is_set(&r.other));
    assert_false(npi_addr_is_set(&r.origin));
    assert_int_equal(r.error_code, 0);
    assert_false(r.address_rewritten);
}

static void rfc5769_2_2_ipv4_response_is_read(void **state)
{
    (void)state;
    check_vector_response(&vectors[RESPONSE_2_2]);
}

static void rfc5769_2_3_ipv6_response_is_read(void **state)
{
    (void)state;
    check_vector_response(&vectors[RESPONSE_2_3]);
}

static void rfc5769_2_1_and_2_4_requests_are_dropped(void **state)
{
    (void)state;
    static const size_t requests[] = {REQUEST_2_1, REQUEST_2_4};
    for (size_t i = 0; i < COUNT(requests); i++) {
        uint8_t bytes[VECTOR_ROOM];
        npi_stun_response r;
        load(&vectors[requests[i]], bytes);
        assert_int_equal(decode_exact(bytes, vectors[requests[i]].size, &r), NPI_STUN_DROP);
    }
}

/* ---- What a response says --------------------------------------------------------------------------------------- */

static npi_addr v4(uint8_t last, uint16_t port)
{
    return npi_addr_v4(198, 51, 100, last, port);
}

static npi_addr v6(uint16_t port)
{
    npi_addr a;
    assert_true(npi_addr_parse_ip("2001:db8:8000:ff00:1:203:fefd:1", &a));
    return npi_addr_with_port(&a, port);
}

static void assert_addr(const npi_addr *got, npi_addr expected)
{
    char got_text[NPI_ADDR_TEXT];
    char expected_text[NPI_ADDR_TEXT];
    npi_addr_format(got, got_text);
    npi_addr_format(&expected, expected_text);
    assert_string_equal(got_text, expected_text);
    assert_true(npi_addr_equal(got, &expected));
}

static const npi_addr none = {.family = NPI_FAMILY_NONE};

static void response_with_everything_is_read(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, cookie_id.bytes);
    add_xor_address(&m, XOR_MAPPED_ADDRESS, v4(1, 1001));
    add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
    add_address(&m, RESPONSE_ORIGIN, v4(2, 3478));
    add_address(&m, OTHER_ADDRESS, v4(3, 3479));
    message_add(&m, SOFTWARE, "odd name", 7);
    message_add_fingerprint(&m);
    assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_stun_id_equal(&r.id, &cookie_id));
    assert_addr(&r.mapped, v4(1, 1001));
    assert_addr(&r.origin, v4(2, 3478));
    assert_addr(&r.other, v4(3, 3479));
    assert_int_equal(r.error_code, 0);
    assert_false(r.address_rewritten);
}

static void classic_response_with_its_own_attributes_is_read(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, classic_id.bytes);
    add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
    add_address(&m, SOURCE_ADDRESS, v4(2, 3478));
    add_address(&m, CHANGED_ADDRESS, v4(3, 3479));
    assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_stun_id_equal(&r.id, &classic_id));
    assert_addr(&r.mapped, v4(1, 1001));
    assert_addr(&r.origin, v4(2, 3478));
    assert_addr(&r.other, v4(3, 3479));
}

static void ipv6_addresses_are_read(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, cookie_id.bytes);
    add_xor_address(&m, XOR_MAPPED_ADDRESS, v6(0xfffe));
    add_address(&m, OTHER_ADDRESS, v6(3479));
    assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
    assert_addr(&r.mapped, v6(0xfffe));
    assert_addr(&r.other, v6(3479));
}

static void each_attribute_fills_its_own_field_only(void **state)
{
    (void)state;
    static const uint16_t types[] = {XOR_MAPPED_ADDRESS, XOR_MAPPED_ADDRESS_OLD, MAPPED_ADDRESS, OTHER_ADDRESS,
                                     CHANGED_ADDRESS,    RESPONSE_ORIGIN,        SOURCE_ADDRESS};
    static message m;
    for (size_t i = 0; i < COUNT(types); i++) {
        npi_stun_response r;
        message_begin(&m, BINDING_SUCCESS, classic_id.bytes); /* under which a scrambled address is still one */
        if (i < 2)
            add_xor_address(&m, types[i], v4(1, 1001));
        else
            add_address(&m, types[i], v4(1, 1001));
        if (i > 2) {
            assert_int_equal(decode(&m, &r), NPI_STUN_UNUSABLE);
            add_xor_address(&m, XOR_MAPPED_ADDRESS, v4(2, 1002));
        }
        assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
        assert_addr(&r.mapped, i > 2 ? v4(2, 1002) : v4(1, 1001));
        assert_addr(&r.other, i == 3 || i == 4 ? v4(1, 1001) : none);
        assert_addr(&r.origin, i > 4 ? v4(1, 1001) : none);
        assert_false(r.address_rewritten);
    }
}

/* Bytes of an address that would pass for code 420. */
static void address_is_no_error_code(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_ERROR, cookie_id.bytes);
    add_address(&m, SOURCE_ADDRESS, v4(1, 0x0414));
    assert_int_equal(decode(&m, &r), NPI_STUN_UNUSABLE);
    add_error(&m, 500, "");
    assert_int_equal(decode(&m, &r), NPI_STUN_ERROR);
    assert_int_equal(r.error_code, 500);
}

/* RFC 5780 section 4.6: someone on the way rewrote the address that it could recognise. */
static void address_rewritten_needs_both_forms_to_disagree(void **state)
{
    (void)state;
    npi_addr mapped_v4 = {.family = NPI_IPV6, .ip = {[10] = 0xff, [11] = 0xff, 198, 51, 100, 1}, .port = 1001};
    const struct {
        npi_addr hidden, plain;
        bool rewritten;
    } rows[] = {
        {v4(1, 1001), v4(1, 1001), false}, /* agree */
        {v4(1, 1001), v4(2, 1001), true},  /* another address */
        {v4(1, 1001), v4(1, 1002), true},  /* another port */
        {v4(1, 1001), none, false},        /* nothing to compare with */
        {none, v4(1, 1001), false},
        {v6(1001), v4(1, 1001), false}, /* another family is no rewriting */
        {v4(1, 1001), v6(1001), false},
        {v6(1001), v6(1002), true},
        {v4(1, 1001), mapped_v4, false},                  /* the same in another notation */
        {v4(1, 1001), npi_addr_v4(0, 0, 0, 0, 0), false}, /* a field left empty */
    };
    static const uint16_t hidden_types[] = {XOR_MAPPED_ADDRESS, XOR_MAPPED_ADDRESS_OLD};
    static message m;
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        npi_addr hidden = rows[i / 2].hidden;
        npi_addr plain = rows[i / 2].plain;
        npi_stun_response r;
        message_begin(&m, BINDING_SUCCESS, cookie_id.bytes);
        if (npi_addr_is_set(&plain))
            add_address(&m, MAPPED_ADDRESS, plain);
        if (npi_addr_is_set(&hidden))
            add_xor_address(&m, hidden_types[i % 2], hidden);
        assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
        assert_addr(&r.mapped, npi_addr_is_set(&hidden) ? hidden : plain);
        assert_int_equal(r.address_rewritten, rows[i / 2].rewritten);
    }
}

static void v4_mapped_addresses_are_unmapped(void **state)
{
    (void)state;
    npi_addr long_form = {.family = NPI_IPV6, .ip = {[10] = 0xff, [11] = 0xff, 198, 51, 100, 7}, .port = 1001};
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, cookie_id.bytes);
    add_xor_address(&m, XOR_MAPPED_ADDRESS, long_form);
    add_address(&m, OTHER_ADDRESS, long_form);
    add_address(&m, RESPONSE_ORIGIN, long_form);
    assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
    assert_addr(&r.mapped, v4(7, 1001));
    assert_addr(&r.other, v4(7, 1001));
    assert_addr(&r.origin, v4(7, 1001));
}

/* Where the caller decides (it sees who said so), the decoder only reports. */
static void other_address_is_reported_as_it_is(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, cookie_id.bytes);
    add_address(&m, MAPPED_ADDRESS, npi_addr_v4(127, 0, 0, 1, 1));
    add_address(&m, OTHER_ADDRESS, npi_addr_v4(0, 0, 0, 0, 0));
    add_address(&m, CHANGED_ADDRESS, v4(1, 1));
    assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
    assert_addr(&r.mapped, npi_addr_v4(127, 0, 0, 1, 1));
    assert_addr(&r.other, npi_addr_v4(0, 0, 0, 0, 0));
}

static void error_response_gives_its_code_and_nothing_else(void **state)
{
    (void)state;
    static const unsigned codes[] = {300, 399, 400, 401, 420, 438, 499, 500, 599, 600, 699};
    static message m;
    for (size_t i = 0; i < COUNT(codes); i++) {
        npi_stun_response r;
        message_begin(&m, BINDING_ERROR, i % 2 == 0 ? cookie_id.bytes : classic_id.bytes);
        add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
        add_error(&m, codes[i], "Reason");
        assert_int_equal(decode(&m, &r), NPI_STUN_ERROR);
        assert_int_equal(r.error_code, codes[i]);
        assert_addr(&r.mapped, none);
        assert_true(npi_stun_id_equal(&r.id, i % 2 == 0 ? &cookie_id : &classic_id));
    }
}

static void error_code_in_a_success_response_is_ignored(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, cookie_id.bytes);
    add_error(&m, 420, "");
    add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
    assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
    assert_int_equal(r.error_code, 0);
}

static void unusable_response_keeps_its_id_but_nothing_it_said(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, cookie_id.bytes);
    add_address(&m, OTHER_ADDRESS, v4(1, 1));
    add_address(&m, RESPONSE_ORIGIN, v4(1, 1));
    assert_int_equal(decode(&m, &r), NPI_STUN_UNUSABLE);
    assert_true(npi_stun_id_equal(&r.id, &cookie_id));
    assert_addr(&r.mapped, none);
    assert_addr(&r.other, none);
    assert_addr(&r.origin, none);
    assert_false(r.address_rewritten);
}

/* ---- Classic framing -------------------------------------------------------------------------------------------- */

static void classic_message_may_be_padded_or_not(void **state)
{
    (void)state;
    static message m;
    for (size_t length = 0; length <= 9; length++) {
        for (int padded = 0; padded < 2; padded++) {
            for (int address_first = 0; address_first < 2; address_first++) {
                npi_stun_response r;
                message_begin(&m, BINDING_SUCCESS, classic_id.bytes);
                if (address_first)
                    add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
                if (padded)
                    message_add(&m, SOFTWARE, "Vovida.org", length);
                else
                    message_add_bare(&m, SOFTWARE, (unsigned)length, "Vovida.org", length);
                if (!address_first)
                    add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
                assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
                assert_addr(&r.mapped, v4(1, 1001));
            }
        }
    }
}

static void classic_message_must_be_framed_one_way_throughout(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, classic_id.bytes);
    add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
    message_add(&m, SOFTWARE, "abc", 3);
    message_add_bare(&m, SOFTWARE, 3, "abc", 3);
    assert_int_equal(decode(&m, &r), NPI_STUN_DROP);
}

static void classic_message_has_no_fingerprint_to_check(void **state)
{
    (void)state;
    static message m;
    npi_stun_response r;
    message_begin(&m, BINDING_SUCCESS, classic_id.bytes);
    message_add(&m, FINGERPRINT, "\1\2\3\4", 4);
    add_address(&m, MAPPED_ADDRESS, v4(1, 1001));
    assert_int_equal(decode(&m, &r), NPI_STUN_SUCCESS);
    assert_addr(&r.mapped, v4(1, 1001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_without_change_is_a_bare_header),
        cmocka_unit_test(request_with_change_has_one_attribute),
        cmocka_unit_test(indication_is_a_bare_header),
        cmocka_unit_test(response_port_is_followed_by_padding),
        cmocka_unit_test(rfc8489_id_is_the_cookie_and_12_random_bytes),
        cmocka_unit_test(rfc3489_id_is_16_random_bytes),
        cmocka_unit_test(ids_are_equal_only_in_all_128_bits),
        cmocka_unit_test(rfc5769_2_1_and_2_4_requests_are_dropped),
        cmocka_unit_test(rfc5769_2_2_ipv4_response_is_read),
        cmocka_unit_test(rfc5769_2_3_ipv6_response_is_read),
        cmocka_unit_test(response_with_everything_is_read),
        cmocka_unit_test(classic_response_with_its_own_attributes_is_read),
        cmocka_unit_test(ipv6_addresses_are_read),
        cmocka_unit_test(each_attribute_fills_its_own_field_only),
        cmocka_unit_test(address_is_no_error_code),
        cmocka_unit_test(address_rewritten_needs_both_forms_to_disagree),
        cmocka_unit_test(v4_mapped_addresses_are_unmapped),
        cmocka_unit_test(other_address_is_reported_as_it_is),
        cmocka_unit_test(error_response_gives_its_code_and_nothing_else),
        cmocka_unit_test(error_code_in_a_success_response_is_ignored),
        cmocka_unit_test(unusable_response_keeps_its_id_but_nothing_it_said),
        cmocka_unit_test(classic_message_may_be_padded_or_not),
        cmocka_unit_test(classic_message_must_be_framed_one_way_throughout),
        cmocka_unit_test(classic_message_has_no_fingerprint_to_check),
    };
    return cmocka_run_group_tests_name("stun", tests, NULL, NULL);
}
