/* SPDX-License-Identifier: MIT */
/*
 * Hostile and malformed datagrams that STUN clients have met, each named with a number of its own and where it was met
 * (an RFC's rule, a CVE, another project's issue or test). What the decoder cannot judge alone (who sent it, when, to what request) is tested with the
 * probe; what a server may make us send to, with addr.
 */
#include "stun.h"

#include <stdlib.h>
#include <string.h>

#include "stun_message.h"
#include "unit.h"

static msg m;
static npi_stun_response r;

static npi_addr good_address(void)
{
    return npi_addr_v4(198, 51, 100, 1, 1001);
}

static void begin_success(void)
{
    msg_begin(&m, BINDING_SUCCESS, &cookie_id);
}

static void add_good_address(void)
{
    msg_add_xor_address(&m, XOR_MAPPED_ADDRESS, good_address());
}

static void assert_dropped(void)
{
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_DROP);
}

static void assert_unusable(void)
{
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_UNUSABLE);
    assert_true(npi_stun_id_equal(&r.id, &cookie_id));
}

static void assert_good(void)
{
    const npi_addr expected = good_address();
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_addr_equal(&r.mapped, &expected));
    assert_true(npi_stun_id_equal(&r.id, &cookie_id));
}

static void assert_error(unsigned code)
{
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_ERROR);
    assert_int_equal(r.error_code, code);
}

/* The first size bytes of a good response. */
static void assert_prefix_dropped(size_t size)
{
    begin_success();
    add_good_address();
    assert_int_equal(decode_exact(m.bytes, size, &r), NPI_STUN_DROP);
}

/* ---- A. Framing ------------------------------------------------------------------------------------------------- */

static void hostile_01_empty_datagram_libnice_test_parse(void **state)
{
    (void)state;
    assert_prefix_dropped(0);
    assert_int_equal(npi_stun_decode(NULL, 0, &r), NPI_STUN_DROP);
}

static void hostile_03_every_length_below_a_header_pjsip_5044(void **state)
{
    (void)state;
    for (size_t size = 1; size < 20; size++) {
        assert_prefix_dropped(size);
        msg_begin(&m, BINDING_SUCCESS, &cookie_id); /* a header that claims to be complete */
        assert_int_equal(decode_exact(m.bytes, size, &r), NPI_STUN_DROP);
    }
}

static void hostile_04_top_bits_set_rfc5389_6_webrtc_kRtcpPacket(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        begin_success();
        add_good_address();
        m.bytes[0] = (uint8_t)first;
        if (first == 0x01)
            assert_good();
        else
            assert_dropped();
    }
}

static void hostile_05_length_not_a_multiple_of_4_webrtc_SmallLength(void **state)
{
    (void)state;
    for (size_t extra = 1; extra < 20; extra++) {
        static const uint8_t zeros[20];
        begin_success();
        add_good_address();
        memcpy(m.bytes + m.size, zeros, extra);
        m.size += extra;
        msg_set_length(&m, (uint16_t)(m.size - 20));
        if (extra % 4 != 0)
            assert_dropped();
        else
            assert_unusable(); /* attributes of type 0, which nobody can understand */
    }
    for (size_t length = 1; length < 4; length++) { /* in a classic message it is the framing that fails */
        msg_begin(&m, BINDING_SUCCESS, &classic_id);
        msg_set_length(&m, (uint16_t)length);
        m.size = 20 + length;
        assert_dropped();
    }
}

static void hostile_06_length_beyond_the_datagram_webrtc_ExcessLength(void **state)
{
    (void)state;
    static const uint16_t lengths[] = {13, 16, 0x55, 0x100, 0x7fff, 0xfffc, 0xffff};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        begin_success();
        add_good_address();
        msg_set_length(&m, lengths[i]);
        assert_dropped();
    }
}

static void hostile_07_length_short_of_the_datagram_libnice_extra_garbage(void **state)
{
    (void)state;
    begin_success();
    add_good_address();
    m.bytes[m.size++] = 'x';
    assert_dropped();
    begin_success();
    add_good_address();
    msg_set_length(&m, 0);
    assert_dropped();
}

static void hostile_08_length_wraps_16_bits_coturn_1844_1964(void **state)
{
    (void)state;
    static const uint16_t lengths[] = {65516, 65520, 65524, 65528, 65532};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        for (size_t size = 20; size <= 32; size += 4) {
            begin_success();
            add_good_address();
            m.size = size;
            msg_set_length(&m, lengths[i]);
            assert_dropped();
        }
    }
}

static void hostile_09_success_without_attributes_rfc5389_7_3_3(void **state)
{
    (void)state;
    begin_success();
    assert_unusable();
}

static void hostile_10_own_request_echoed_pjnath_stun_sock_test_ECHO(void **state)
{
    (void)state;
    static const uint32_t changes[] = {0, NPI_STUN_CHANGE_IP, NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT};
    for (size_t i = 0; i < COUNT(changes); i++) {
        uint8_t request[NPI_STUN_REQUEST_SIZE];
        size_t size = npi_stun_encode_request(request, &cookie_id, changes[i]);
        assert_int_equal(decode_exact(request, size, &r), NPI_STUN_DROP);
    }
}

static void hostile_11_indication_or_other_method_rfc5389_7_3(void **state)
{
    (void)state;
    static const uint16_t types[] = {0x0011, 0x0103, 0x0113, 0x0104, 0x0109, 0x0118, 0x0001, 0x0000, 0x0100, 0x3fff};
    for (size_t i = 0; i < COUNT(types); i++) {
        msg_begin(&m, types[i], &cookie_id);
        add_good_address();
        assert_dropped();
    }
}

static void hostile_12_shared_secret_responses_rfc3489_11_1(void **state)
{
    (void)state;
    static const uint16_t types[] = {0x0002, 0x0102, 0x0112};
    for (size_t i = 0; i < COUNT(types); i++) {
        msg_begin(&m, types[i], &classic_id);
        msg_add_address(&m, MAPPED_ADDRESS, good_address());
        assert_dropped();
    }
}

static void hostile_13_largest_datagrams_rfc5780_7_6(void **state)
{
    (void)state;
    static uint8_t padding[65536];
    begin_success();
    add_good_address();
    msg_add(&m, PADDING, padding, 65504 - 20 - 12 - 4); /* the largest message that fits in 65,507 bytes of UDP */
    assert_int_equal(m.size, 65504);
    assert_good();
    m.size = 65507;
    msg_set_length(&m, 65507 - 20);
    assert_dropped();
    begin_success();
    add_good_address();
    msg_add(&m, PADDING, padding, 65532 - 12 - 4); /* the largest that a header can tell of */
    assert_int_equal(m.size, 65552);
    assert_good();
}

static void hostile_15_message_at_any_address_CVE_2026_40613_libjuice_233(void **state)
{
    (void)state;
    begin_success();
    msg_add(&m, SOFTWARE, "odd", 3);
    add_good_address();
    msg_add_fingerprint(&m);
    const npi_addr expected = good_address();
    for (size_t offset = 0; offset < 16; offset++) {
        uint8_t *memory = malloc(offset + m.size);
        assert_non_null(memory);
        memcpy(memory + offset, m.bytes, m.size);
        assert_int_equal(npi_stun_decode(memory + offset, m.size, &r), NPI_STUN_SUCCESS);
        assert_true(npi_addr_equal(&r.mapped, &expected));
        free(memory);
    }
}

static void hostile_15_attribute_at_odd_offset_in_classic_message(void **state)
{
    (void)state;
    for (size_t length = 0; length < 8; length++) {
        const npi_addr expected = good_address();
        msg_begin(&m, BINDING_SUCCESS, &classic_id);
        msg_add_unpadded(&m, SOFTWARE, "1234567", length);
        msg_add_address(&m, MAPPED_ADDRESS, good_address());
        assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
        assert_true(npi_addr_equal(&r.mapped, &expected));
    }
}

/* Meant for the undefined behaviour sanitizer: bytes of 0xff wherever an integer is put together. */
static void hostile_16_shift_of_high_bytes_pjsip_3313(void **state)
{
    (void)state;
    npi_stun_id high;
    memset(high.bytes, 0xff, sizeof high.bytes);
    const npi_addr expected = npi_addr_v4(223, 255, 255, 255, 65535);
    msg_begin(&m, BINDING_SUCCESS, &high);
    msg_add_address(&m, MAPPED_ADDRESS, expected);
    msg_add(&m, 0xffff, "\xff\xff\xff\xff", 4);
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_addr_equal(&r.mapped, &expected));
    memset(m.bytes, 0xff, 64);
    m.size = 64;
    assert_dropped();
}

/* ---- B. Attributes ---------------------------------------------------------------------------------------------- */

static void hostile_17_one_to_three_bytes_instead_of_an_attribute_pjsip_5044(void **state)
{
    (void)state;
    for (size_t left = 1; left < 4; left++) {
        const npi_stun_id *ids[] = {&cookie_id, &classic_id};
        for (size_t i = 0; i < COUNT(ids); i++) {
            msg_begin(&m, BINDING_SUCCESS, ids[i]);
            msg_add_address(&m, MAPPED_ADDRESS, good_address());
            memset(m.bytes + m.size, 0, left);
            m.size += left;
            msg_set_length(&m, (uint16_t)(m.size - 20));
            assert_dropped();
        }
    }
    begin_success(); /* in a cookie message an attribute before them can be cut so that the length looks right */
    add_good_address();
    msg_add_raw(&m, SOFTWARE, 5, "abcde\0\0\0\0\0\0", 5);
    msg_add_raw(&m, SOFTWARE, 0, "abc", 3);
    assert_dropped();
}

static void hostile_18_attribute_past_the_end_CVE_2023_22741_CVE_2004_1940_CVE_2022_23537(void **state)
{
    (void)state;
    static const uint16_t types[] = {MAPPED_ADDRESS, XOR_MAPPED_ADDRESS, ERROR_CODE,
                                     SOFTWARE,       FINGERPRINT,        OTHER_ADDRESS};
    static const uint16_t lengths[] = {5, 8, 9, 12, 0x100, 0x7fff, 0x8000, 0xfffc, 0xffff};
    for (size_t i = 0; i < COUNT(types); i++) {
        for (size_t j = 0; j < COUNT(lengths); j++) {
            begin_success();
            add_good_address();
            msg_add_raw(&m, types[i], lengths[j], "\0\1\2\3", 4);
            assert_dropped();
        }
    }
}

static void hostile_19_padding_missing_libnice_bad3(void **state)
{
    (void)state;
    begin_success(); /* one alone, and two that together are a multiple of four */
    msg_add_unpadded(&m, SOFTWARE, "abcde", 5);
    assert_dropped();
    begin_success();
    msg_add_unpadded(&m, SOFTWARE, "abcdef", 6);
    msg_add_unpadded(&m, SOFTWARE, "abcdef", 6);
    add_good_address();
    assert_dropped();
}

static void hostile_19_padding_missing_in_classic_mode_rfc3489_11_2(void **state)
{
    (void)state;
    const npi_addr expected = good_address();
    msg_begin(&m, BINDING_SUCCESS, &classic_id);
    msg_add_unpadded(&m, SOFTWARE, "abcdef", 6);
    msg_add_unpadded(&m, SOFTWARE, "abcdef", 6);
    msg_add_address(&m, MAPPED_ADDRESS, good_address());
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_addr_equal(&r.mapped, &expected));
}

static void hostile_20_rounding_up_wraps_16_bits(void **state)
{
    (void)state;
    for (unsigned length = 0xfffd; length <= 0xffff; length++) {
        begin_success();
        add_good_address();
        msg_add_raw(&m, SOFTWARE, (uint16_t)length, "", 0);
        assert_dropped();
        msg_add_raw(&m, SOFTWARE, 0, "", 0);
        assert_dropped();
    }
}

static const uint16_t address_types[] = {MAPPED_ADDRESS, XOR_MAPPED_ADDRESS, XOR_MAPPED_ADDRESS_OLD};

/* An address attribute of that family and length as the only one is no address; behind it a good one still counts. */
static void assert_address_ignored(uint8_t family, size_t length)
{
    uint8_t value[64] = {0, family, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (size_t i = 0; i < COUNT(address_types); i++) {
        begin_success();
        msg_add(&m, address_types[i], value, length);
        assert_unusable();
        add_good_address();
        assert_good();
    }
    begin_success();
    msg_add(&m, OTHER_ADDRESS, value, length);
    msg_add(&m, RESPONSE_ORIGIN, value, length);
    add_good_address();
    assert_good();
    assert_false(npi_addr_is_set(&r.other));
    assert_false(npi_addr_is_set(&r.origin));
}

static void hostile_21_address_of_length_0_pjsip_5201(void **state)
{
    (void)state;
    assert_address_ignored(0, 0);
}

static void hostile_22_ipv4_address_too_short_pjsip_5201(void **state)
{
    (void)state;
    for (size_t length = 1; length < 8; length++)
        assert_address_ignored(1, length);
}

static void hostile_23_address_of_another_length_than_its_family_libnice_FF03_nICEr(void **state)
{
    (void)state;
    for (size_t length = 0; length < 64; length++) {
        if (length != 8)
            assert_address_ignored(1, length);
        if (length != 20)
            assert_address_ignored(2, length);
    }
}

static void hostile_24_unknown_family_rfc5389_7_3_3(void **state)
{
    (void)state;
    for (unsigned family = 0; family < 256; family++) {
        if (family == 1 || family == 2)
            continue;
        assert_address_ignored((uint8_t)family, 8);
        assert_address_ignored((uint8_t)family, 20);
    }
}

static void hostile_25_reserved_first_byte_is_ignored_rfc5389_15_1(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        begin_success();
        add_good_address();
        m.bytes[24] = (uint8_t)first;
        assert_good();
    }
}

/* The decoder does not know over what the request went: it reports the family as sent, the probe passes it over. */
static void hostile_26_ipv6_address_is_reported_as_ipv6(void **state)
{
    (void)state;
    npi_addr v6 = {.family = NPI_IPV6, .ip = {0x20, 1, 0x0d, 0xb8, [15] = 1}, .port = 1001};
    begin_success();
    msg_add_xor_address(&m, XOR_MAPPED_ADDRESS, v6);
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_addr_equal(&r.mapped, &v6));
}

static void hostile_27_mapped_and_xor_mapped_disagree_rfc5389_15_2(void **state)
{
    (void)state;
    begin_success();
    msg_add_address(&m, MAPPED_ADDRESS, npi_addr_v4(198, 51, 100, 2, 1001));
    add_good_address();
    assert_good();
    assert_true(r.address_rewritten);
}

static void hostile_28_only_mapped_address_rfc5389_12_1(void **state)
{
    (void)state;
    begin_success();
    msg_add_address(&m, MAPPED_ADDRESS, good_address());
    assert_good();
    assert_false(r.address_rewritten);
}

static void hostile_29_xor_mapped_address_under_its_old_number_nICEr_resiprocate_175(void **state)
{
    (void)state;
    begin_success();
    msg_add_xor_address(&m, XOR_MAPPED_ADDRESS_OLD, good_address());
    assert_good();
}

static void hostile_30_old_xor_mapped_address_without_cookie_nICEr(void **state)
{
    (void)state;
    const npi_addr expected = good_address();
    msg_begin(&m, BINDING_SUCCESS, &classic_id);
    msg_add_xor_address(&m, XOR_MAPPED_ADDRESS_OLD, good_address());
    assert_memory_equal(m.bytes + 28, "\x36\x3e\xda\xee", 4); /* 198.51.100.1 under f0 0d be ef */
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_addr_equal(&r.mapped, &expected));
}

static void hostile_31_first_of_duplicates_wins_coturn_2016(void **state)
{
    (void)state;
    const npi_addr late = npi_addr_v4(203, 0, 113, 9, 9);
    const npi_addr early = good_address();
    for (size_t i = 0; i < COUNT(address_types); i++) {
        begin_success();
        for (int turn = 0; turn < 3; turn++) {
            npi_addr a = turn == 0 ? early : late;
            if (address_types[i] == MAPPED_ADDRESS)
                msg_add_address(&m, address_types[i], a);
            else
                msg_add_xor_address(&m, address_types[i], a);
        }
        assert_good();
    }
    static const uint16_t named[] = {OTHER_ADDRESS, CHANGED_ADDRESS, RESPONSE_ORIGIN, SOURCE_ADDRESS};
    for (size_t i = 0; i < COUNT(named); i++) {
        begin_success();
        add_good_address();
        msg_add_address(&m, named[i], early);
        msg_add_address(&m, named[i], late);
        assert_good();
        assert_true(npi_addr_equal(i < 2 ? &r.other : &r.origin, &early));
    }
    msg_begin(&m, BINDING_ERROR, &cookie_id);
    msg_add_error(&m, 420, "");
    msg_add_error(&m, 500, "");
    assert_error(420);
}

static void hostile_32_unknown_optional_attributes_are_passed_over_pjsip(void **state)
{
    (void)state;
    static uint8_t value[64];
    for (unsigned type = 0x8000; type <= 0xffff; type++) {
        if (type == XOR_MAPPED_ADDRESS_OLD || type == FINGERPRINT)
            continue;
        begin_success();
        msg_add(&m, (uint16_t)type, value, type % sizeof value);
        add_good_address();
        assert_int_equal(npi_stun_decode(m.bytes, m.size, &r), NPI_STUN_SUCCESS);
    }
}

static void hostile_33_unknown_required_attribute_fails_rfc5389_7_3_3(void **state)
{
    (void)state;
    static const uint16_t types[] = {0x0000, 0x001f, 0x0023, 0x0028, 0x0029, 0x002b, 0x0030, 0x00ff, 0x4000, 0x7fff};
    for (size_t i = 0; i < COUNT(types); i++) {
        begin_success();
        msg_add(&m, types[i], "abc", 3);
        add_good_address();
        assert_unusable();
        begin_success();
        add_good_address();
        msg_add(&m, types[i], "", 0);
        assert_unusable();
        msg_begin(&m, BINDING_ERROR, &cookie_id); /* RFC 5389 section 7.3.4 */
        msg_add_error(&m, 420, "");
        msg_add(&m, types[i], "", 0);
        assert_unusable();
    }
}

static void hostile_34_old_and_misplaced_attributes_re_823_stun_linphone_org(void **state)
{
    (void)state;
    static const uint16_t types[] = {
        0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0007, 0x0009, 0x000a, 0x000b, /* RFC 3489 */
        0x000c, 0x000d, 0x0010, 0x0012, 0x0013, 0x0016, 0x0017, 0x0019, 0x0022, /* TURN and its drafts */
        0x0014, 0x0015, 0x001d, 0x001e,                                         /* credentials */
        0x0021, 0x0024, 0x0025, 0x0026, 0x0027, 0x002a,                         /* stund, ICE, RFC 5780 */
    };
    for (size_t i = 0; i < COUNT(types); i++) {
        begin_success();
        msg_add(&m, types[i], "\0\1\0\1\2\3\4\5", 8);
        add_good_address();
        assert_good();
        begin_success();
        add_good_address();
        msg_add(&m, types[i], "", 0);
        assert_good();
    }
}

static void hostile_35_other_address_under_both_numbers_rfc5780_7(void **state)
{
    (void)state;
    const npi_addr other = npi_addr_v4(198, 51, 100, 7, 3479);
    const npi_addr changed = npi_addr_v4(198, 51, 100, 8, 3479);
    for (int with = 1; with < 4; with++) {
        begin_success();
        add_good_address();
        if ((with & 2) != 0)
            msg_add_address(&m, CHANGED_ADDRESS, changed);
        if ((with & 1) != 0)
            msg_add_address(&m, OTHER_ADDRESS, other);
        assert_good();
        assert_true(npi_addr_equal(&r.other, (with & 1) != 0 ? &other : &changed));
    }
}

/* Linear time is what the test's own time limit measures; the count is of attribute headers in one datagram. */
static void hostile_36_sixteen_thousand_attributes_CVE_2022_31031(void **state)
{
    (void)state;
    static const uint16_t types[] = {SOFTWARE,           XOR_MAPPED_ADDRESS, ERROR_CODE,
                                     UNKNOWN_ATTRIBUTES, OTHER_ADDRESS,      0x7fff};
    for (size_t i = 0; i < COUNT(types); i++) {
        begin_success();
        for (int n = 0; n < 16371 - 3; n++)
            msg_add(&m, types[i], "", 0);
        add_good_address();
        assert_int_equal(m.size, 65504);
        if (types[i] == 0x7fff)
            assert_unusable();
        else
            assert_good();
    }
}

static void begin_error(void)
{
    msg_begin(&m, BINDING_ERROR, &cookie_id);
}

static void hostile_37_error_code_too_short_CVE_2021_37706_CVE_2022_23547_CVE_2023_32307(void **state)
{
    (void)state;
    for (size_t length = 0; length < 4; length++) {
        begin_error();
        msg_add(&m, ERROR_CODE, "\0\0\4\x14", length);
        assert_unusable();
    }
}

static void hostile_38_error_class_or_number_out_of_range_rfc5389_15_6(void **state)
{
    (void)state;
    for (unsigned class = 0; class < 8; class ++) {
        for (unsigned number = 0; number < 256; number++) {
            const uint8_t value[4] = {0, 0, (uint8_t) class, (uint8_t)number};
            begin_error();
            msg_add(&m, ERROR_CODE, value, sizeof value);
            if (class >= 3 && class <= 6 && number <= 99)
                assert_error(class * 100 + number);
            else
                assert_unusable();
        }
    }
}

static void hostile_38_reserved_bits_of_error_code_are_ignored_rfc5389_15_6(void **state)
{
    (void)state;
    begin_error();
    msg_add(&m, ERROR_CODE, "\xff\xff\xfc\x14", 4);
    assert_error(420);
}

static void hostile_39_error_without_error_code_rfc5389_7_3_4(void **state)
{
    (void)state;
    begin_error();
    assert_unusable();
    add_good_address();
    assert_unusable();
}

static void hostile_40_any_reason_phrase_rfc5389_15_6(void **state)
{
    (void)state;
    static uint8_t value[4 + 65000] = {0, 0, 4, 20};
    static const size_t lengths[] = {1, 762, 763, 764, 4096, 65000};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        for (size_t byte = 0; byte < lengths[i]; byte++)
            value[4 + byte] = (uint8_t)(0xf5 + byte * 7); /* every byte value: controls, NUL, broken UTF-8 */
        begin_error();
        msg_add(&m, ERROR_CODE, value, 4 + lengths[i]);
        assert_error(420);
    }
}

static void hostile_41_software_with_terminator_stund_0_96(void **state)
{
    (void)state;
    begin_success();
    add_good_address();
    msg_add(&m, SOFTWARE, "Vovida.org 0.96", 16);
    assert_good();
}

static void hostile_42_four_byte_attribute_of_another_length_CVE_2022_23547_CVE_2023_32307(void **state)
{
    (void)state;
    static const uint16_t types[] = {0x0003, 0x000d, 0x0019, 0x0024, 0x0027, 0x8027};
    static const uint8_t value[12];
    for (size_t i = 0; i < COUNT(types); i++) {
        for (size_t length = 0; length <= sizeof value; length++) {
            begin_success();
            msg_add(&m, types[i], value, length);
            add_good_address();
            assert_good();
        }
    }
}

static void hostile_43_unknown_attributes_of_odd_length_nICEr(void **state)
{
    (void)state;
    for (size_t length = 0; length < 8; length++) {
        begin_error();
        msg_add(&m, UNKNOWN_ATTRIBUTES, "\0\3\0\3\0\3\0\3", length);
        msg_add_error(&m, 420, "Unknown Attribute");
        assert_error(420);
    }
}

static void hostile_44_wrong_fingerprint_libnice_bad_crc_webrtc(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 32; bit++) {
        begin_success();
        add_good_address();
        msg_add_fingerprint(&m);
        assert_good();
        m.bytes[m.size - 4 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_dropped();
    }
}

static void hostile_44_fingerprint_that_cannot_be_checked(void **state)
{
    (void)state;
    for (size_t length = 0; length <= 12; length++) {
        static const uint8_t value[12];
        begin_success();
        add_good_address();
        msg_add(&m, FINGERPRINT, value, length);
        assert_dropped();
    }
}

static void hostile_45_fingerprint_not_last_pjsip_libnice_bad_crc_offset(void **state)
{
    (void)state;
    begin_success();
    add_good_address();
    msg_add_fingerprint(&m);
    msg_add(&m, SOFTWARE, "late", 4);
    assert_dropped();
    begin_success();
    add_good_address();
    msg_add_fingerprint(&m);
    msg_add_fingerprint(&m);
    assert_dropped();
}

/* Checksums made for a decoder that counts from the end: right in value, wrong in place or in length. */
static void hostile_45_checksum_right_but_attribute_wrong(void **state)
{
    (void)state;
    for (int in_place = 0; in_place < 2; in_place++) {
        begin_success();
        add_good_address();
        msg_add_raw(&m, FINGERPRINT, in_place ? 8 : 4, "\0\0\0\0", 4);
        msg_add_raw(&m, SOFTWARE, 0, "", 0);
        uint32_t crc = bitwise_crc32(m.bytes, m.size - 8) ^ 0x5354554e;
        for (size_t i = 0; i < 4; i++)
            m.bytes[m.size - 8 + i] = (uint8_t)(crc >> (24 - 8 * i));
        assert_dropped();
    }
}

static void hostile_46_no_fingerprint_rfc5389_8(void **state)
{
    (void)state;
    begin_success();
    add_good_address();
    assert_good();
}

static void hostile_47_attributes_after_message_integrity_rfc8489_9_coturn(void **state)
{
    (void)state;
    static const uint8_t hmac[32];
    static const struct {
        uint16_t type;
        size_t length;
    } rows[] = {{MESSAGE_INTEGRITY, 20}, {MESSAGE_INTEGRITY_SHA256, 32}, {MESSAGE_INTEGRITY_SHA256, 16}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin_success(); /* an address that is not protected is none */
        msg_add(&m, rows[i].type, hmac, rows[i].length);
        add_good_address();
        assert_unusable();
        begin_success(); /* nor does anything else there count */
        add_good_address();
        msg_add(&m, rows[i].type, hmac, rows[i].length);
        msg_add_address(&m, OTHER_ADDRESS, good_address());
        msg_add_address(&m, MAPPED_ADDRESS, npi_addr_v4(203, 0, 113, 9, 9));
        msg_add(&m, 0x7fff, "", 0);
        assert_good();
        assert_false(npi_addr_is_set(&r.other));
        assert_false(r.address_rewritten);
        msg_add_fingerprint(&m); /* but for FINGERPRINT */
        assert_good();
        m.bytes[m.size - 1] ^= 1;
        assert_dropped();
    }
}

static void hostile_48_padding_bytes_of_any_value_rfc5389_15(void **state)
{
    (void)state;
    begin_success();
    msg_add(&m, SOFTWARE, "a", 1);
    memset(m.bytes + m.size - 3, 0xff, 3);
    add_good_address();
    assert_good();
}

static void hostile_49_unused_bits_of_our_request_are_zero_CVE_2020_4067(void **state)
{
    (void)state;
    uint8_t out[NPI_STUN_REQUEST_SIZE];
    memset(out, 0xff, sizeof out);
    assert_int_equal(npi_stun_encode_request(out, &cookie_id, 0xffffffff), 28);
    assert_memory_equal(out + 20, "\x00\x03\x00\x04\x00\x00\x00\x06", 8);
    memset(out, 0xff, sizeof out);
    assert_int_equal(npi_stun_encode_request(out, &cookie_id, ~(NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)), 20);
}

/* ---- C. Transaction: what of it is in the bytes ----------------------------------------------------------------- */

static void hostile_51_wrong_cookie_makes_another_id_rfc5389_7_3(void **state)
{
    (void)state;
    npi_stun_id id = cookie_id;
    id.bytes[3] ^= 1;
    msg_begin(&m, BINDING_SUCCESS, &id);
    msg_add_address(&m, MAPPED_ADDRESS, good_address());
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
    assert_false(npi_stun_id_equal(&r.id, &cookie_id));
}

static void hostile_52_every_random_bit_is_in_the_id_pjsip_082948b0a(void **state)
{
    (void)state;
    static const struct {
        npi_stun_dialect dialect;
        size_t bits;
    } rows[] = {{NPI_STUN_RFC8489, 96}, {NPI_STUN_RFC3489, 128}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t random[NPI_STUN_ID_SIZE] = {0};
        const npi_stun_id before = npi_stun_make_id(rows[i].dialect, random);
        for (size_t bit = 0; bit < rows[i].bits; bit++) {
            random[bit / 8] ^= (uint8_t)(1 << bit % 8);
            const npi_stun_id after = npi_stun_make_id(rows[i].dialect, random);
            assert_false(npi_stun_id_equal(&before, &after));
            random[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* ---- D. Addresses ----------------------------------------------------------------------------------------------- */

static void hostile_73_mapped_address_that_nobody_can_have_coturn_669(void **state)
{
    (void)state;
    static const char *const impossible[] = {"0.0.0.0",        "0.1.2.3",         "224.0.0.1", "239.1.2.3",
                                             "240.0.0.1",      "255.255.255.255", "::",        "ff02::1",
                                             "::ffff:0.0.0.0", "::ffff:224.0.0.1"};
    for (size_t i = 0; i < COUNT(impossible); i++) {
        npi_addr a;
        assert_true(npi_addr_parse_ip(impossible[i], &a));
        a.port = 1001;
        begin_success();
        msg_add_xor_address(&m, XOR_MAPPED_ADDRESS, a);
        msg_add_address(&m, MAPPED_ADDRESS, a);
        assert_unusable();
    }
    begin_success();
    msg_add_xor_address(&m, XOR_MAPPED_ADDRESS, npi_addr_v4(198, 51, 100, 1, 0));
    assert_unusable();
    begin_success(); /* where one form is impossible the other counts */
    msg_add_xor_address(&m, XOR_MAPPED_ADDRESS, npi_addr_v4(0, 0, 0, 0, 0));
    msg_add_address(&m, MAPPED_ADDRESS, good_address());
    assert_good();
}

/* A server inside a private network sees private addresses: only the probe can tell which server that is. */
static void hostile_73_private_mapped_address_is_left_to_the_probe(void **state)
{
    (void)state;
    const npi_addr a = npi_addr_v4(192, 168, 1, 1, 1001);
    begin_success();
    msg_add_xor_address(&m, XOR_MAPPED_ADDRESS, a);
    assert_int_equal(msg_decode(&m, &r), NPI_STUN_SUCCESS);
    assert_true(npi_addr_equal(&r.mapped, &a));
}

/* ---- E. Error replies ------------------------------------------------------------------------------------------- */

static void hostile_75_alternate_server_is_not_followed_rfc5780_5(void **state)
{
    (void)state;
    begin_error();
    msg_add_error(&m, 300, "Try Alternate");
    msg_add_address(&m, ALTERNATE_SERVER, npi_addr_v4(203, 0, 113, 9, 3478));
    assert_error(300);
    assert_false(npi_addr_is_set(&r.other));
    assert_false(npi_addr_is_set(&r.origin));
    begin_success();
    msg_add_address(&m, ALTERNATE_SERVER, npi_addr_v4(203, 0, 113, 9, 3478));
    add_good_address();
    assert_good();
    assert_false(npi_addr_is_set(&r.other));
}

static void hostile_76_420_to_change_request_rfc5780_5(void **state)
{
    (void)state;
    begin_error();
    msg_add_error(&m, 420, "Unknown Attribute");
    msg_add(&m, UNKNOWN_ATTRIBUTES, "\0\3", 2);
    msg_add(&m, SOFTWARE, "Coturn-4.7.0", 12);
    msg_add_fingerprint(&m);
    assert_error(420);
}

static void hostile_77_420_to_padding_or_response_port_rfc5780_5(void **state)
{
    (void)state;
    begin_error();
    msg_add_error(&m, 420, "Unknown Attribute");
    msg_add(&m, UNKNOWN_ATTRIBUTES, "\0\x26\0\x27", 4);
    assert_error(420);
}

static void hostile_78_420_that_lists_nothing_or_what_was_not_sent_rfc5389_7_3_4(void **state)
{
    (void)state;
    begin_error();
    msg_add_error(&m, 420, "");
    assert_error(420);
    msg_add(&m, UNKNOWN_ATTRIBUTES, "", 0);
    assert_error(420);
    msg_add(&m, UNKNOWN_ATTRIBUTES, "\x7f\xff\0\0", 4);
    assert_error(420);
}

static void hostile_79_to_81_other_errors_rfc5389_7_3_4_rfc3489_9_4(void **state)
{
    (void)state;
    static const unsigned codes[] = {400, 401, 438, 500, 600};
    for (size_t i = 0; i < COUNT(codes); i++) {
        begin_error();
        msg_add_error(&m, codes[i], "Reason");
        msg_add(&m, 0x0014, "example.org", 11);
        msg_add(&m, 0x0015, "nonce", 5);
        assert_error(codes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_01_empty_datagram_libnice_test_parse),
        cmocka_unit_test(hostile_03_every_length_below_a_header_pjsip_5044),
        cmocka_unit_test(hostile_04_top_bits_set_rfc5389_6_webrtc_kRtcpPacket),
        cmocka_unit_test(hostile_05_length_not_a_multiple_of_4_webrtc_SmallLength),
        cmocka_unit_test(hostile_06_length_beyond_the_datagram_webrtc_ExcessLength),
        cmocka_unit_test(hostile_07_length_short_of_the_datagram_libnice_extra_garbage),
        cmocka_unit_test(hostile_08_length_wraps_16_bits_coturn_1844_1964),
        cmocka_unit_test(hostile_09_success_without_attributes_rfc5389_7_3_3),
        cmocka_unit_test(hostile_10_own_request_echoed_pjnath_stun_sock_test_ECHO),
        cmocka_unit_test(hostile_11_indication_or_other_method_rfc5389_7_3),
        cmocka_unit_test(hostile_12_shared_secret_responses_rfc3489_11_1),
        cmocka_unit_test(hostile_13_largest_datagrams_rfc5780_7_6),
        cmocka_unit_test(hostile_15_message_at_any_address_CVE_2026_40613_libjuice_233),
        cmocka_unit_test(hostile_15_attribute_at_odd_offset_in_classic_message),
        cmocka_unit_test(hostile_16_shift_of_high_bytes_pjsip_3313),
        cmocka_unit_test(hostile_17_one_to_three_bytes_instead_of_an_attribute_pjsip_5044),
        cmocka_unit_test(hostile_18_attribute_past_the_end_CVE_2023_22741_CVE_2004_1940_CVE_2022_23537),
        cmocka_unit_test(hostile_19_padding_missing_libnice_bad3),
        cmocka_unit_test(hostile_19_padding_missing_in_classic_mode_rfc3489_11_2),
        cmocka_unit_test(hostile_20_rounding_up_wraps_16_bits),
        cmocka_unit_test(hostile_21_address_of_length_0_pjsip_5201),
        cmocka_unit_test(hostile_22_ipv4_address_too_short_pjsip_5201),
        cmocka_unit_test(hostile_23_address_of_another_length_than_its_family_libnice_FF03_nICEr),
        cmocka_unit_test(hostile_24_unknown_family_rfc5389_7_3_3),
        cmocka_unit_test(hostile_25_reserved_first_byte_is_ignored_rfc5389_15_1),
        cmocka_unit_test(hostile_26_ipv6_address_is_reported_as_ipv6),
        cmocka_unit_test(hostile_27_mapped_and_xor_mapped_disagree_rfc5389_15_2),
        cmocka_unit_test(hostile_28_only_mapped_address_rfc5389_12_1),
        cmocka_unit_test(hostile_29_xor_mapped_address_under_its_old_number_nICEr_resiprocate_175),
        cmocka_unit_test(hostile_30_old_xor_mapped_address_without_cookie_nICEr),
        cmocka_unit_test(hostile_31_first_of_duplicates_wins_coturn_2016),
        cmocka_unit_test(hostile_32_unknown_optional_attributes_are_passed_over_pjsip),
        cmocka_unit_test(hostile_33_unknown_required_attribute_fails_rfc5389_7_3_3),
        cmocka_unit_test(hostile_34_old_and_misplaced_attributes_re_823_stun_linphone_org),
        cmocka_unit_test(hostile_35_other_address_under_both_numbers_rfc5780_7),
        cmocka_unit_test(hostile_36_sixteen_thousand_attributes_CVE_2022_31031),
        cmocka_unit_test(hostile_37_error_code_too_short_CVE_2021_37706_CVE_2022_23547_CVE_2023_32307),
        cmocka_unit_test(hostile_38_error_class_or_number_out_of_range_rfc5389_15_6),
        cmocka_unit_test(hostile_38_reserved_bits_of_error_code_are_ignored_rfc5389_15_6),
        cmocka_unit_test(hostile_39_error_without_error_code_rfc5389_7_3_4),
        cmocka_unit_test(hostile_40_any_reason_phrase_rfc5389_15_6),
        cmocka_unit_test(hostile_41_software_with_terminator_stund_0_96),
        cmocka_unit_test(hostile_42_four_byte_attribute_of_another_length_CVE_2022_23547_CVE_2023_32307),
        cmocka_unit_test(hostile_43_unknown_attributes_of_odd_length_nICEr),
        cmocka_unit_test(hostile_44_wrong_fingerprint_libnice_bad_crc_webrtc),
        cmocka_unit_test(hostile_44_fingerprint_that_cannot_be_checked),
        cmocka_unit_test(hostile_45_fingerprint_not_last_pjsip_libnice_bad_crc_offset),
        cmocka_unit_test(hostile_45_checksum_right_but_attribute_wrong),
        cmocka_unit_test(hostile_46_no_fingerprint_rfc5389_8),
        cmocka_unit_test(hostile_47_attributes_after_message_integrity_rfc8489_9_coturn),
        cmocka_unit_test(hostile_48_padding_bytes_of_any_value_rfc5389_15),
        cmocka_unit_test(hostile_49_unused_bits_of_our_request_are_zero_CVE_2020_4067),
        cmocka_unit_test(hostile_51_wrong_cookie_makes_another_id_rfc5389_7_3),
        cmocka_unit_test(hostile_52_every_random_bit_is_in_the_id_pjsip_082948b0a),
        cmocka_unit_test(hostile_73_mapped_address_that_nobody_can_have_coturn_669),
        cmocka_unit_test(hostile_73_private_mapped_address_is_left_to_the_probe),
        cmocka_unit_test(hostile_75_alternate_server_is_not_followed_rfc5780_5),
        cmocka_unit_test(hostile_76_420_to_change_request_rfc5780_5),
        cmocka_unit_test(hostile_77_420_to_padding_or_response_port_rfc5780_5),
        cmocka_unit_test(hostile_78_420_that_lists_nothing_or_what_was_not_sent_rfc5389_7_3_4),
        cmocka_unit_test(hostile_79_to_81_other_errors_rfc5389_7_3_4_rfc3489_9_4),
    };
    return cmocka_run_group_tests_name("stun_hostile", tests, NULL, NULL);
}
