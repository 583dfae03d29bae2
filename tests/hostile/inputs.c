/* SPDX-License-Identifier: MIT */
/* The bytes of the hostile inputs. A message that must be dropped lies, so that it would be noticed if it were not. */
#include "inputs.h"

#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

bool question_read(question *q, const uint8_t *bytes, size_t size)
{
    stun_request r;
    memset(q, 0, sizeof *q);
    if (request_read(&r, bytes, size) != NULL)
        return false;
    memcpy(q->request, bytes, size);
    q->size = size;
    q->classic = !r.cookie;
    q->change = r.change;
    return true;
}

/* ---- Good answers and lies -------------------------------------------------------------------------------------- */

static void add_mapped(message *m, const question *q)
{
    if (q->classic)
        message_add_address(m, MAPPED_ADDRESS, &q->mapped);
    else
        message_add_xor_address(m, XOR_MAPPED_ADDRESS, &q->mapped);
}

static void add_names(message *m, const question *q)
{
    message_add_address(m, q->classic ? SOURCE_ADDRESS : RESPONSE_ORIGIN, &q->answerer);
    if (q->other.family != 0)
        message_add_address(m, q->classic ? CHANGED_ADDRESS : OTHER_ADDRESS, &q->other);
}

static void begin_success(message *m, const question *q)
{
    message_begin(m, BINDING_SUCCESS, q->request + 4);
}

void make_good(message *m, const question *q)
{
    begin_success(m, q);
    add_mapped(m, q);
    add_names(m, q);
}

endpoint lying_mapped(const question *q)
{
    return q->mapped.family == 6 ? endpoint_of("2001:db8:bad::66", 666) : endpoint_of("203.0.113.66", 666);
}

endpoint victim(const question *q)
{
    if (q->asked.family == 6)
        return endpoint_of("2001:db8:bad::99", 3999);
    return q->asked.ip[0] == 127 ? endpoint_of("127.66.66.66", 3999) : endpoint_of("203.0.113.99", 3999);
}

static question lying(const question *q)
{
    question lie = *q;
    lie.mapped = lying_mapped(q);
    lie.other = victim(q);
    return lie;
}

void make_lie(message *m, const question *q)
{
    const question lie = lying(q);
    make_good(m, &lie);
}

void make_guess(message *m, const question *q, unsigned nth)
{
    question guessed = *q;
    if (nth < 2)
        guessed.request[19] = (uint8_t)(guessed.request[19] + (nth == 0 ? 1 : 255));
    else
        memset(guessed.request + 8, nth == 2 ? 0 : 0xff, 12);
    make_lie(m, &guessed);
}

/* What is true about the address seen, and nothing else. */
static void begin_seen(message *m, const question *q)
{
    begin_success(m, q);
    add_mapped(m, q);
}

static void begin_error(message *m, const question *q, unsigned code, const char *reason)
{
    message_begin(m, BINDING_ERROR, q->request + 4);
    message_add_error(m, code, reason, strlen(reason));
}

/* ---- A. Framing ------------------------------------------------------------------------------------------------- */

static void h01_empty_datagram__libnice_test_parse(message *m, const question *q, unsigned variant)
{
    (void)q;
    (void)variant;
    m->size = 0;
}

enum { H03_VARIANTS = 3 * (HEADER_SIZE - 1) };

/* Zeros, the beginning of an answer, and the beginning of a header that says it is complete. */
static void h03_every_length_shorter_than_a_header__libnice_validate_pjsip_5044(message *m, const question *q,
                                                                                unsigned variant)
{
    make_lie(m, q);
    m->size = 1 + variant % (HEADER_SIZE - 1);
    if (variant / (HEADER_SIZE - 1) == 0)
        memset(m->bytes, 0, m->size);
    else if (variant / (HEADER_SIZE - 1) == 1)
        message_set_length(m, 0);
}

/* Every first byte but that of a response. Some of the 255 are RTP, RTCP, DTLS or ChannelData. */
static void h04_top_two_bits_not_zero__RFC_5389_6_WebRTC_kRtcpPacket(message *m, const question *q, unsigned variant)
{
    make_lie(m, q);
    m->bytes[0] = (uint8_t)(variant == 0 ? 0 : variant + 1);
}

static const uint8_t odd_sizes[] = {1, 2, 3, 5, 6, 7, 9, 10, 11};

static void h05_header_length_no_multiple_of_4__RFC_5389_6_libnice_bad2_WebRTC_SmallLength(message *m,
                                                                                           const question *q,
                                                                                           unsigned variant)
{
    make_lie(m, q);
    message_add_bytes(m, NULL, odd_sizes[variant]);
}

static const uint16_t beyond[] = {1, 2, 3, 4, 8, 0x55, 0x100, 0x7fff};

static void h06_header_length_beyond_the_datagram__pjsip_WebRTC_ExcessLength(message *m, const question *q,
                                                                             unsigned variant)
{
    make_lie(m, q);
    message_set_length(m, (unsigned)m->size - HEADER_SIZE + beyond[variant]);
}

static const uint8_t trailing[] = {1, 2, 3, 4, 8, 20, 28};

/* Bytes behind the message, then messages that say they are shorter. */
static void h07_header_length_short_of_the_datagram__pjsip_libnice_extra_garbage(message *m, const question *q,
                                                                                 unsigned variant)
{
    make_lie(m, q);
    const unsigned length = (unsigned)m->size - HEADER_SIZE;
    if (variant < COUNT(trailing)) {
        message_add_bytes(m, "xxxxxxxxxxxxxxxxxxxxxxxxxxxx", trailing[variant]);
        message_set_length(m, length);
    } else {
        message_set_length(m, length - 4 * (variant - (unsigned)COUNT(trailing) + 1));
    }
}

enum { H07_VARIANTS = COUNT(trailing) + 5 };

static const uint16_t wrapping[] = {65512, 65516, 65520, 65524, 65528, 65532};
static const uint8_t wrapped_sizes[] = {20, 24, 28, 32, 36, 44};

static void h08_header_length_wraps_16_bits__coturn_1844_1964(message *m, const question *q, unsigned variant)
{
    make_lie(m, q);
    m->size = wrapped_sizes[variant / COUNT(wrapping)];
    message_set_length(m, wrapping[variant % COUNT(wrapping)]);
}

static void h09_success_without_attributes__RFC_5389_7_3_3_NatTypeTester_NoAttributes(message *m, const question *q,
                                                                                      unsigned variant)
{
    (void)variant;
    begin_success(m, q);
}

static void h10_own_request_echoed__RFC_5389_7_3_pjnath_stun_sock_test_ECHO(message *m, const question *q,
                                                                            unsigned variant)
{
    (void)variant;
    memcpy(m->bytes, q->request, q->size);
    m->size = q->size;
}

static const uint16_t other_types[] = {0x0011, 0x0000, 0x0001, 0x0100, 0x0110, 0x0103, 0x0113, 0x0104, 0x0114,
                                       0x0106, 0x0107, 0x0108, 0x0109, 0x010a, 0x0118, 0x0121, 0x0181, 0x3fff};

static void h11_indication_or_other_method__RFC_5389_7_3(message *m, const question *q, unsigned variant)
{
    make_lie(m, q);
    put_u16(m->bytes, other_types[variant]);
}

static const uint16_t shared_secret_types[] = {0x0002, 0x0012, 0x0102, 0x0112};

static void h12_shared_secret_types__RFC_3489_11_1(message *m, const question *q, unsigned variant)
{
    make_lie(m, q);
    put_u16(m->bytes, shared_secret_types[variant]);
}

/* The largest message that fits into a datagram. */
static void h13_largest_datagram_with_padding__RFC_5780_7_6_and_10(message *m, const question *q, unsigned variant)
{
    (void)variant;
    begin_seen(m, q);
    add_names(m, q);
    message_add(m, PADDING, NULL, 65504 - 4 - m->size);
}

/* The largest datagram, which is no message. */
static void h13_no_message(message *m, const question *q, unsigned variant)
{
    (void)variant;
    make_lie(m, q);
    message_add(m, PADDING, NULL, 65504 - 4 - m->size);
    message_add_bytes(m, NULL, LARGEST_DATAGRAM - 65504);
}

/* Cut behind a whole and well framed message whose header tells of no more than that. */
static void h14_datagram_larger_than_the_buffer__MSG_TRUNC(message *m, const question *q, unsigned variant)
{
    static const uint16_t sizes[] = {2048, 2047, 2049, 4096, 9000, 40000};
    make_lie(m, q);
    message_add(m, PADDING, NULL, 2048 - 4 - m->size);
    message_add_bytes(m, NULL, sizes[variant] > 2048 ? sizes[variant] - 2048u : 4u);
    message_set_length(m, 2048 - HEADER_SIZE);
}

static void h16_left_shift_of_high_bytes__pjsip_3313(message *m, const question *q, unsigned variant)
{
    static const uint8_t high[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    make_good(m, q);
    message_add(m, 0xffff, high, sizeof high);
    if (variant > 0) {
        message_add_bare(m, RESPONSE_ORIGIN, 8, high, 8);
        m->bytes[m->size - 7] = 1; /* the family; port and address are all ones */
    }
}

static void h16_no_message(message *m, const question *q, unsigned variant)
{
    make_lie(m, q);
    memset(m->bytes, 0xff, sizeof m->bytes < 64 ? sizeof m->bytes : 64);
    m->size = 1 + variant * 9;
}

/* ---- B. Attributes ---------------------------------------------------------------------------------------------- */

static void h17_one_to_three_bytes_for_an_attribute_header__pjsip_5044(message *m, const question *q, unsigned variant)
{
    make_lie(m, q);
    if (variant < 3) {
        message_add_bytes(m, NULL, variant + 1);
        return;
    }
    /* Attributes without padding, so that the length is a multiple of four and yet some bytes are left. */
    message_add_bare(m, SOFTWARE, 5, "abcde", 5);
    message_add_bare(m, SOFTWARE, 0, "abc", 3);
}

static const uint16_t damaged_types[] = {MAPPED_ADDRESS, XOR_MAPPED_ADDRESS, ERROR_CODE,         SOFTWARE,
                                         FINGERPRINT,    OTHER_ADDRESS,      UNKNOWN_ATTRIBUTES, 0xffff};
static const uint16_t long_lengths[] = {5, 8, 9, 12, 0x100, 0x7fff, 0x8000, 0xfffc, 0xffff};
enum { H18_VARIANTS = COUNT(damaged_types) * COUNT(long_lengths) };

static void h18_attribute_length_past_the_end__CVE_2023_22741_CVE_2004_1940_CVE_2022_23537(message *m,
                                                                                           const question *q,
                                                                                           unsigned variant)
{
    make_lie(m, q);
    message_add_bare(m, damaged_types[variant % COUNT(damaged_types)], long_lengths[variant / COUNT(damaged_types)],
                     "\0\1\2\3", 4);
}

/* The address comes first or last, and the attributes before or behind it fit without padding only. */
static void h19_length_fits_only_without_padding__libnice_bad3_RFC_3489_11_2(message *m, const question *q,
                                                                             unsigned variant)
{
    const question lie = lying(q);
    const question *told = q->classic ? q : &lie;
    const size_t length = 5 + variant / 2 % 3;
    begin_success(m, q);
    if (variant % 2 == 0)
        add_mapped(m, told);
    if (variant % 2 == 0)
        add_names(m, told);
    for (size_t i = 0; i < (length == 6 ? 2 : 4); i++)
        message_add_bare(m, SOFTWARE, (unsigned)length, "abcdefg", length);
    if (variant % 2 != 0)
        add_mapped(m, told);
    if (variant % 2 != 0)
        add_names(m, told);
}

static void h20_attribute_length_rounds_up_past_16_bits__after_coturn_1844(message *m, const question *q,
                                                                           unsigned variant)
{
    make_lie(m, q);
    message_add_bare(m, damaged_types[variant / 3], 0xfffd + variant % 3, NULL, 0);
    if (variant % 2 != 0)
        message_add_bare(m, SOFTWARE, 0, NULL, 0);
}

enum { H20_VARIANTS = 3 * COUNT(damaged_types) };

/* Addresses of a family and a length, one of each kind, that are none. */
static void add_non_addresses(message *m, unsigned family, size_t length)
{
    static const uint16_t types[] = {XOR_MAPPED_ADDRESS, XOR_MAPPED_ADDRESS_OLD, MAPPED_ADDRESS,
                                     OTHER_ADDRESS,      CHANGED_ADDRESS,        RESPONSE_ORIGIN};
    const uint8_t value[32] = {0, (uint8_t)family, 1, 2, 203, 0, 113, 66, 9, 9, 9, 9};
    for (size_t i = 0; i < COUNT(types); i++)
        message_add(m, types[i], value, length);
}

typedef struct non_address {
    uint8_t family, length;
} non_address;

static const non_address zero_length[] = {{0, 0}};
static const non_address short_v4[] = {{1, 4}, {1, 5}, {1, 6}, {1, 7}, {1, 1}, {1, 2}, {1, 3}};
static const non_address odd_length[] = {{1, 9}, {1, 10}, {1, 20}, {2, 8}, {2, 19}, {2, 21}, {2, 24}, {1, 12}};
static const non_address odd_family[] = {{0, 8}, {3, 8}, {0xff, 8}, {0, 20}, {3, 20}, {0xff, 20}, {4, 8}, {6, 20}};

static const non_address *non_addresses(unsigned number)
{
    static const non_address *const tables[] = {zero_length, short_v4, odd_length, odd_family};
    return tables[number - 21];
}

static void make_non_address(message *m, const question *q, unsigned number, unsigned variant)
{
    const non_address *a = &non_addresses(number)[variant];
    begin_success(m, q);
    add_non_addresses(m, a->family, a->length);
}

static void make_good_behind(message *m, const question *q, unsigned number, unsigned variant)
{
    make_non_address(m, q, number, variant);
    add_mapped(m, q);
    add_names(m, q);
}

#define NON_ADDRESS(number, name)                                                                                      \
    static void name(message *m, const question *q, unsigned variant)                                                  \
    {                                                                                                                  \
        make_non_address(m, q, number, variant);                                                                       \
    }                                                                                                                  \
    static void h##number##_good_behind(message *m, const question *q, unsigned variant)                               \
    {                                                                                                                  \
        make_good_behind(m, q, number, variant);                                                                       \
    }
NON_ADDRESS(21, h21_address_of_length_0__pjsip_5201)
NON_ADDRESS(22, h22_ipv4_address_of_length_4_to_7__pjsip_5201)
NON_ADDRESS(23, h23_address_not_as_long_as_its_family__libnice_FF03_FF05_nICEr)
NON_ADDRESS(24, h24_unknown_address_family__RFC_5389_7_3_3)

static void h25_reserved_byte_of_an_address_not_zero__RFC_5389_15_1(message *m, const question *q, unsigned variant)
{
    static const uint8_t reserved[] = {1, 0x80, 0xff};
    make_good(m, q);
    for (size_t at = HEADER_SIZE; at < m->size; at += 4 + get_u16(m->bytes + at + 2))
        m->bytes[at + 4] = reserved[variant];
}

static void h26_ipv6_address_in_an_ipv4_transaction__RFC_5389_7_3_3(message *m, const question *q, unsigned variant)
{
    const endpoint v6 = endpoint_of("2001:db8::66", 1001);
    const endpoint v4 = endpoint_of("203.0.113.66", 1001);
    const endpoint *foreign = q->mapped.family == 4 ? &v6 : &v4;
    begin_success(m, q);
    if (variant != 1)
        message_add_xor_address(m, XOR_MAPPED_ADDRESS, foreign);
    if (variant != 0)
        message_add_address(m, MAPPED_ADDRESS, foreign);
    add_names(m, q);
}

static void h27_mapped_and_xor_mapped_disagree__RFC_5389_15_2(message *m, const question *q, unsigned variant)
{
    const endpoint lie = lying_mapped(q);
    begin_success(m, q);
    if (variant == 0)
        message_add_address(m, MAPPED_ADDRESS, &lie);
    add_mapped(m, q);
    add_names(m, q);
    if (variant == 1)
        message_add_address(m, MAPPED_ADDRESS, &lie);
}

static void h28_only_mapped_address__RFC_5389_12_1(message *m, const question *q, unsigned variant)
{
    (void)variant;
    begin_success(m, q);
    message_add_address(m, MAPPED_ADDRESS, &q->mapped);
    add_names(m, q);
}

/* Under its old number; the same is 30 where the request has no cookie. */
static void h29_xor_mapped_address_as_0x8020__nICEr_OLD_XOR_MAPPED_coturn_resiprocate_175(message *m, const question *q,
                                                                                          unsigned variant)
{
    const endpoint lie = lying_mapped(q);
    begin_success(m, q);
    message_add_xor_address(m, XOR_MAPPED_ADDRESS_OLD, &q->mapped);
    if (variant == 1)
        message_add_address(m, MAPPED_ADDRESS, &lie);
    add_names(m, q);
}

static void h31_duplicate_attributes__RFC_5389_15_coturn_2016(message *m, const question *q, unsigned variant)
{
    const question lie = lying(q);
    make_good(m, q);
    for (unsigned i = 0; i <= variant; i++) {
        add_mapped(m, &lie);
        add_names(m, &lie);
    }
}

static const uint16_t optional_types[] = {0x8000, 0x8001, 0x8002, 0x8021, 0x8022, 0x8023, 0x8024, 0x8027,
                                          0x802a, 0x802d, 0x8050, 0x9000, 0xc000, 0xfffe, 0xffff};
static const uint16_t any_lengths[] = {0, 1, 2, 3, 4, 5, 8, 20, 63, 512};
enum { H32_VARIANTS = COUNT(optional_types) * COUNT(any_lengths) };

static void h32_unknown_optional_attributes__RFC_5389_7_3_pjsip(message *m, const question *q, unsigned variant)
{
    const uint16_t type = optional_types[variant % COUNT(optional_types)];
    const size_t length = any_lengths[variant / COUNT(optional_types)];
    begin_success(m, q);
    message_add(m, type, NULL, length);
    add_mapped(m, q);
    add_names(m, q);
    message_add(m, type, NULL, length);
}

static const uint16_t required_types[] = {0x0000, 0x001f, 0x0023, 0x0028, 0x0029,
                                          0x002b, 0x0030, 0x00ff, 0x4000, 0x7fff};
enum { H33_VARIANTS = 2 * COUNT(required_types) };

static void h33_unknown_required_attribute_in_a_success__RFC_5389_7_3_3(message *m, const question *q, unsigned variant)
{
    begin_success(m, q);
    if (variant % 2 == 0)
        message_add(m, required_types[variant / 2], "abc", 3);
    add_mapped(m, q);
    add_names(m, q);
    if (variant % 2 != 0)
        message_add(m, required_types[variant / 2], NULL, 0);
}

/* RESPONSE-ADDRESS, SOURCE-ADDRESS, CHANGED-ADDRESS and REFLECTED-FROM, which name a victim. */
static void h34_old_attributes_in_a_response__RFC_5389_12_1_re_823_stun_linphone_org(message *m, const question *q,
                                                                                     unsigned variant)
{
    static const uint16_t types[] = {0x0002, 0x0004, 0x000b, 0x0005};
    const endpoint v = victim(q);
    begin_success(m, q);
    if (variant / 4 == 0)
        message_add_address(m, types[variant % 4], &v);
    add_mapped(m, q);
    add_names(m, q);
    if (variant / 4 != 0)
        message_add_address(m, types[variant % 4], &v);
}

static void h35_other_address_as_0x802C_or_0x0005__RFC_5780_7_coturn_compat(message *m, const question *q,
                                                                            unsigned variant)
{
    const endpoint lie = victim(q);
    begin_seen(m, q);
    if (variant == 2)
        message_add_address(m, CHANGED_ADDRESS, &lie);
    message_add_address(m, variant == 1 ? CHANGED_ADDRESS : OTHER_ADDRESS, &q->other);
    if (variant == 3)
        message_add_address(m, CHANGED_ADDRESS, &lie);
    if (variant == 4)
        message_add_address(m, CHANGED_ADDRESS, &q->other);
}

static void h36_sixteen_thousand_empty_attributes__CVE_2022_31031(message *m, const question *q, unsigned variant)
{
    static const uint16_t types[] = {SOFTWARE, XOR_MAPPED_ADDRESS, OTHER_ADDRESS, UNKNOWN_ATTRIBUTES, 0xffff};
    begin_success(m, q);
    while (m->size + 4 + 60 < 65504)
        message_add_bare(m, types[variant], 0, NULL, 0);
    add_mapped(m, q);
    add_names(m, q);
}

/* For a receiver that cuts it: behind its end there would be an answer. */
static void h36_lie(message *m, const question *q, unsigned variant)
{
    const question lie = lying(q);
    h36_sixteen_thousand_empty_attributes__CVE_2022_31031(m, &lie, variant);
}

/* Error codes that are none, of an error response that says nothing else. */
static void h37_error_code_too_short__CVE_2021_37706_CVE_2022_23547_CVE_2023_32307(message *m, const question *q,
                                                                                   unsigned variant)
{
    message_begin(m, BINDING_ERROR, q->request + 4);
    message_add(m, ERROR_CODE, "\0\0\4\x14", variant);
}

static const uint8_t error_numbers[] = {0, 1, 20, 99, 100, 101, 200, 255};
static const uint8_t error_classes[] = {0, 1, 2, 7, 3, 4, 5, 6};
enum { H38_VARIANTS = 4 * COUNT(error_numbers) + 4 * 4 };

static void h38_error_class_or_number_out_of_range__RFC_5389_15_6(message *m, const question *q, unsigned variant)
{
    const unsigned all = 4 * COUNT(error_numbers); /* a class that is none, and any number; then a number too large */
    const unsigned more = variant < all ? 0 : variant - all;
    const unsigned class = error_classes[variant < all ? variant / COUNT(error_numbers) : 4 + more / 4];
    const unsigned number = error_numbers[variant < all ? variant % COUNT(error_numbers) : 4 + more % 4];
    const uint8_t value[4] = {0, 0, (uint8_t) class, (uint8_t)number};
    message_begin(m, BINDING_ERROR, q->request + 4);
    message_add(m, ERROR_CODE, value, sizeof value);
}

static void h39_error_without_error_code__RFC_5389_7_3_4(message *m, const question *q, unsigned variant)
{
    message_begin(m, BINDING_ERROR, q->request + 4);
    if (variant == 1)
        add_mapped(m, q);
    if (variant == 2)
        message_add(m, UNKNOWN_ATTRIBUTES, "\0\3", 2);
}

static const uint16_t reason_lengths[] = {0, 1, 5, 762, 763, 764, 1024, 1900};
enum { REASON_TEXTS = 4 };

/* Bytes of all values, NULs alone, controls that steer a terminal, and formats. */
static void h40_reason_phrase_of_any_bytes__RFC_5389_15_6_nICEr(message *m, const question *q, unsigned variant)
{
    static const char *const texts[REASON_TEXTS] = {NULL, "", "\x1b[2J\r\n\a\x7f\xc3\x28", "%s%n%08x"};
    uint8_t reason[2000] = {0};
    const char *text = texts[variant % REASON_TEXTS];
    const size_t length = reason_lengths[variant / REASON_TEXTS];
    for (size_t i = 0; i < length; i++)
        reason[i] = text == NULL ? (uint8_t)(0xf5 + i * 7) : (uint8_t)text[i % (strlen(text) + 1)];
    message_begin(m, BINDING_ERROR, q->request + 4);
    message_add_error(m, 400 + variant % 100, reason, length);
    message_add(m, SOFTWARE, reason, length < 763 ? length : 763);
}

static void h41_software_ends_in_NUL__stund_0_96_nICEr(message *m, const question *q, unsigned variant)
{
    make_good(m, q);
    message_add(m, SOFTWARE, "Vovida.org 0.96\0\0\0", 16 + variant);
}

static void h42_four_byte_attribute_of_another_length__CVE_2022_23547_CVE_2023_32307(message *m, const question *q,
                                                                                     unsigned variant)
{
    static const uint16_t types[] = {CHANGE_REQUEST, 0x000d, 0x0019, 0x0024, 0x0027, 0x8027};
    begin_success(m, q);
    message_add(m, types[variant % COUNT(types)], NULL, variant / COUNT(types));
    add_mapped(m, q);
    add_names(m, q);
}

enum { H42_VARIANTS = 6 * 10 };

static void h43_unknown_attributes_of_odd_length__nICEr(message *m, const question *q, unsigned variant)
{
    message_begin(m, BINDING_ERROR, q->request + 4);
    message_add(m, UNKNOWN_ATTRIBUTES, "\0\3\0\3\0\3\0\3", 1 + 2 * variant);
    message_add_error(m, 420, "Unknown Attribute", 17);
}

/* Each bit of the checksum, and lengths at which it cannot be one. */
static void h44_fingerprint_wrong__RFC_5389_7_3_libnice_bad_crc_WebRTC(message *m, const question *q, unsigned variant)
{
    static const uint8_t lengths[] = {0, 1, 3, 5, 8, 12};
    make_lie(m, q);
    if (variant < 32) {
        message_add_fingerprint(m);
        m->bytes[m->size - 4 + variant / 8] ^= (uint8_t)(1 << variant % 8);
    } else {
        message_add(m, FINGERPRINT, NULL, lengths[variant - 32]);
    }
}

static void h45_fingerprint_not_last__RFC_5389_15_5_pjsip_ESTUNFINGERPOS_libnice_bad_crc_offset(message *m,
                                                                                                const question *q,
                                                                                                unsigned variant)
{
    make_lie(m, q);
    message_add_fingerprint(m);
    if (variant == 0)
        message_add(m, SOFTWARE, "late", 4);
    else if (variant == 1)
        message_add_fingerprint(m);
    else if (variant == 2)
        add_mapped(m, q);
    else
        message_add(m, 0xffff, NULL, 0);
}

/* None, and one that is right. */
static void h46_fingerprint_absent__RFC_5389_8(message *m, const question *q, unsigned variant)
{
    make_good(m, q);
    if (variant == 1)
        message_add_fingerprint(m);
}

static void add_integrity(message *m, unsigned variant)
{
    message_add(m, variant % 2 == 0 ? MESSAGE_INTEGRITY : MESSAGE_INTEGRITY_SHA256, NULL, variant % 2 == 0 ? 20 : 32);
}

/* What is behind it counts for nothing: neither lies nor what could not be understood. */
static void h47_attributes_after_message_integrity__RFC_8489_9_coturn(message *m, const question *q, unsigned variant)
{
    const question lie = lying(q);
    const endpoint mapped = lying_mapped(q);
    make_good(m, q);
    add_integrity(m, variant);
    add_names(m, &lie);
    message_add_address(m, MAPPED_ADDRESS, &mapped);
    message_add(m, 0x7fff, NULL, 0);
    if (variant / 2 != 0)
        message_add_fingerprint(m);
}

/* Nor does an address. */
static void h47_nothing_before(message *m, const question *q, unsigned variant)
{
    begin_success(m, q);
    add_integrity(m, variant);
    add_mapped(m, q);
    add_names(m, q);
}

static void h48_padding_bytes_not_zero__RFC_5389_15_RFC_5769(message *m, const question *q, unsigned variant)
{
    static const uint8_t fillings[] = {0x20, 0xff, 0x80, 0x01};
    begin_success(m, q);
    message_add(m, SOFTWARE, "a", 1);
    memset(m->bytes + m->size - 3, fillings[variant], 3);
    add_mapped(m, q);
    add_names(m, q);
    message_add(m, SOFTWARE, "ab", 2);
    memset(m->bytes + m->size - 2, fillings[variant], 2);
}

/* ---- C. Transaction --------------------------------------------------------------------------------------------- */

/* One bit of what follows the cookie; 51: one bit of the cookie, or of what stands in its place. */
static void h50_wrong_transaction_id__RFC_5389_7_3(message *m, const question *q, unsigned variant)
{
    question lie = lying(q);
    lie.request[8 + variant / 8] ^= (uint8_t)(0x80 >> variant % 8);
    make_good(m, &lie);
}

static void h51_right_96_bits_wrong_cookie__RFC_5389_7_3_and_12(message *m, const question *q, unsigned variant)
{
    question lie = lying(q);
    if (variant < 32)
        lie.request[4 + variant / 8] ^= (uint8_t)(0x80 >> variant % 8);
    else
        memcpy(lie.request + 4, q->classic ? "\x21\x12\xa4\x42" : "\0\0\0\0", 4);
    lie.classic = !q->classic;
    make_good(m, &lie);
}

static void h51_full_match(message *m, const question *q, unsigned variant)
{
    (void)variant;
    make_good(m, q);
}

/* ---- D. Addresses chosen by the server -------------------------------------------------------------------------- */

typedef struct named {
    const char *ip;
    uint16_t port; /* 0: that of the honest other address */
} named;

static const named unspecified_v4[] = {{"0.0.0.0", 0}, {"0.0.0.1", 0}, {"0.255.255.255", 0}};
static const named unspecified_v6[] = {{"::", 0}, {"::", 3999}, {"::ffff:0.0.0.0", 0}};
static const named nobody_v4[] = {{"224.0.0.1", 0},   {"239.255.255.255", 0}, {"255.255.255.255", 0},
                                  {"169.254.1.1", 0}, {"240.0.0.1", 0},       {"254.1.1.1", 0},
                                  {"127.0.0.1", 0},   {"127.255.255.254", 0}};
static const named nobody_v6[] = {{"ff02::1", 0}, {"ff0e::1", 0},  {"fe80::1", 0}, {"febf::1", 0},
                                  {"fe80::1", 0}, {"ff02::fb", 0}, {"::1", 0},     {"::1", 3999}};
static const named inside_v4[] = {{"10.0.0.1", 0},    {"172.16.0.1", 0}, {"172.31.255.254", 0},
                                  {"192.168.1.1", 0}, {"100.64.0.1", 0}, {"100.127.255.254", 0}};
static const named inside_v6[] = {{"fc00::1", 0},    {"fdff::1", 0}, {"fd00:1::1", 0},
                                  {"fc00::ffff", 0}, {"fd12::9", 0}, {"fcff::7", 0}};
static const named mapped_v4[] = {{"::ffff:0.0.0.0", 0},  {"::ffff:224.0.0.1", 0},   {"::ffff:255.255.255.255", 0},
                                  {"::ffff:10.0.0.1", 0}, {"::ffff:169.254.1.1", 0}, {"::ffff:127.0.0.1", 0}};

static void make_naming(message *m, const question *q, endpoint other)
{
    question told = *q;
    told.other = other;
    make_good(m, &told);
}

static endpoint honest_other(const question *q)
{
    return q->other.family != 0 ? q->other : victim(q);
}

static void name(message *m, const question *q, const named *n)
{
    make_naming(m, q, endpoint_of(n->ip, n->port != 0 ? n->port : honest_other(q).port));
}

static void h63_other_address_unspecified_or_port_0__CVE_2020_26262(message *m, const question *q, unsigned variant)
{
    const endpoint other = honest_other(q);
    if (variant == COUNT(unspecified_v4))
        make_naming(m, q, endpoint_with_port(&other, 0));
    else
        name(m, q, q->mapped.family == 6 ? &unspecified_v6[variant] : &unspecified_v4[variant]);
}

static void h64_other_address_loopback_multicast_broadcast__coturn_loopback_rules(message *m, const question *q,
                                                                                  unsigned variant)
{
    name(m, q, q->mapped.family == 6 ? &nobody_v6[variant] : &nobody_v4[variant]);
}

static void h65_private_other_address_from_another_network__reflection(message *m, const question *q, unsigned variant)
{
    name(m, q, q->mapped.family == 6 ? &inside_v6[variant] : &inside_v4[variant]);
}

/* In the guise of IPv6, also for servers asked over IPv4. The last two are the server itself. */
static void h66_other_address_v4_mapped__CVE_2026_27624(message *m, const question *q, unsigned variant)
{
    if (variant < COUNT(mapped_v4)) {
        name(m, q, &mapped_v4[variant]);
        return;
    }
    endpoint guise = {.family = 6, .ip = {[10] = 0xff, [11] = 0xff}, .port = honest_other(q).port};
    memcpy(guise.ip + 12, q->asked.ip, 4);
    if (variant > COUNT(mapped_v4))
        guise.port = q->asked.port;
    make_naming(m, q, guise);
}

/* Services that would suffer, or amplify: a machine other than the server's, and a port that is not for STUN. */
static const uint16_t forbidden_ports[] = {1,    7,    19,    22,    25,    53,    69,    111,   123,   135,
                                           137,  161,  389,   500,   514,   520,   1023,  1434,  1701,  1812,
                                           1900, 2049, 2152,  3389,  3702,  4500,  5060,  5061,  5351,  5353,
                                           5355, 5683, 11211, 10001, 17185, 27015, 27960, 32414, 37810, 47808};

static void h67_other_address_is_a_victim__nICEr_UnsafePortRejectedUDP(message *m, const question *q, unsigned variant)
{
    const endpoint v = victim(q);
    make_naming(m, q, endpoint_with_port(&v, forbidden_ports[variant]));
}

/* Some of them, for tests that take their time. */
static void h67_some(message *m, const question *q, unsigned variant)
{
    h67_other_address_is_a_victim__nICEr_UnsafePortRejectedUDP(m, q, 3 * variant);
}

static void h68_other_address_shares_ip_or_port__coturn_667_NatTypeTester_RFC_5780_6(message *m, const question *q,
                                                                                     unsigned variant)
{
    const endpoint other = honest_other(q);
    if (variant == 0)
        make_naming(m, q, endpoint_with_port(&q->asked, other.port));
    else if (variant == 1)
        make_naming(m, q, endpoint_with_port(&other, q->asked.port));
    else
        make_naming(m, q, q->asked);
}

static void h69_other_address_of_another_family__RFC_5780_7_4(message *m, const question *q, unsigned variant)
{
    static const char *const other_families[2][2] = {{"2001:db8::9", "::2"}, {"203.0.113.9", "192.0.2.9"}};
    make_naming(m, q, endpoint_of(other_families[q->mapped.family == 6][variant], honest_other(q).port));
}

static void h72_response_origin_is_not_the_source__RFC_5780_7_3(message *m, const question *q, unsigned variant)
{
    const endpoint v = victim(q);
    begin_seen(m, q);
    message_add_address(m, variant == 0 ? RESPONSE_ORIGIN : SOURCE_ADDRESS, variant == 2 ? &q->mapped : &v);
    message_add_address(m, OTHER_ADDRESS, &q->other);
}

static const named mapped_to_nobody_v4[] = {
    {"0.0.0.0", 1001}, {"0.1.2.3", 1001}, {"224.0.0.1", 1001}, {"240.0.0.1", 1001}, {"255.255.255.255", 1001}};
static const named mapped_to_nobody_v6[] = {
    {"::", 1001}, {"::ffff:0.0.0.0", 1001}, {"ff02::1", 1001}, {"ff0e::1", 1001}, {"::ffff:224.0.0.1", 1001}};
static const named mapped_inside_v4[] = {
    {"192.168.1.1", 1001}, {"10.1.2.3", 1001}, {"100.64.1.1", 1001}, {"127.0.0.1", 1001}, {"169.254.1.1", 1001}};
static const named mapped_inside_v6[] = {
    {"fc00::9", 1001}, {"fd00::9", 1001}, {"fdff::9", 1001}, {"::1", 1001}, {"fe80::9", 1001}};

static void make_mapped_to(message *m, const question *q, endpoint mapped)
{
    question told = *q;
    told.mapped = mapped;
    make_good(m, &told);
    if (!q->classic)
        message_add_address(m, MAPPED_ADDRESS, &mapped);
}

static void h73_mapped_address_that_nobody_has__coturn_669_RFC_3489_12_1(message *m, const question *q,
                                                                         unsigned variant)
{
    if (variant == COUNT(mapped_to_nobody_v4)) {
        make_mapped_to(m, q, endpoint_with_port(&q->mapped, 0));
        return;
    }
    const named *n = q->mapped.family == 6 ? &mapped_to_nobody_v6[variant] : &mapped_to_nobody_v4[variant];
    make_mapped_to(m, q, endpoint_of(n->ip, variant == 0 ? 0 : n->port));
}

static void h73_inside(message *m, const question *q, unsigned variant)
{
    const named *n = q->mapped.family == 6 ? &mapped_inside_v6[variant] : &mapped_inside_v4[variant];
    make_mapped_to(m, q, endpoint_of(n->ip, n->port));
}

/* ---- E. Error replies ------------------------------------------------------------------------------------------- */

static void h75_try_alternate__RFC_5780_5_RFC_5389_11(message *m, const question *q, unsigned variant)
{
    const endpoint v = variant == 1 ? q->asked : victim(q); /* a loop, and a way elsewhere */
    begin_error(m, q, 300 + (variant == 2 ? 99 : 0), "Try Alternate");
    message_add_address(m, ALTERNATE_SERVER, &v);
    message_add_address(m, OTHER_ADDRESS, &v);
}

static void h76_420_to_change_request__RFC_5780_5_coturn_natdiscovery(message *m, const question *q, unsigned variant)
{
    begin_error(m, q, 420, "Unknown Attribute");
    message_add(m, UNKNOWN_ATTRIBUTES, "\0\3\0\3", 2 + 2 * variant);
    message_add(m, SOFTWARE, "Coturn-4.7.0 'test'", 19);
    message_add_fingerprint(m);
}

static void h77_420_to_response_port_or_padding__RFC_5780_5_RFC_3489_9_4(message *m, const question *q,
                                                                         unsigned variant)
{
    begin_error(m, q, 420, "Unknown Attribute");
    message_add(m, UNKNOWN_ATTRIBUTES, "\0\x26\0\x27\0\x26", 2 + 2 * variant);
}

static void h78_420_that_lists_nothing_or_not_ours__RFC_5389_7_3_4(message *m, const question *q, unsigned variant)
{
    static const struct {
        const char *list;
        size_t size;
    } lists[] = {{"", 0}, {"\x7f\xff\0\0", 4}, {"\0\1", 2}, {"\x80\x22", 2}};
    begin_error(m, q, 420, "");
    if (variant > 0)
        message_add(m, UNKNOWN_ATTRIBUTES, lists[variant - 1].list, lists[variant - 1].size);
}

static void h79_400_401_438__RFC_5389_7_3_4(message *m, const question *q, unsigned variant)
{
    static const unsigned codes[] = {400, 401, 438};
    begin_error(m, q, codes[variant], "Reason");
    message_add(m, 0x0014, "example.org", 11);
    message_add(m, 0x0015, "f//499k954d6OL34oL9FSTvy64sA", 28);
}

static void h80_500_for_ever__RFC_5389_7_3_4(message *m, const question *q, unsigned variant)
{
    begin_error(m, q, variant == 0 ? 500 : 599, "Server Error");
}

static void h81_600__RFC_3489_9_4(message *m, const question *q, unsigned variant)
{
    begin_error(m, q, variant == 0 ? 600 : 699, "Global Failure");
}

/* ---- All -------------------------------------------------------------------------------------------------------- */

enum { COOKIE_ONLY = ENGINE | SOCKETS | NEW, CLASSIC_ONLY = ENGINE | SOCKETS | CLASSIC, ENGINE_ONLY = ENGINE | NEW };

const input inputs[] = {
    {1, DROP, EVERYWHERE, 1, h01_empty_datagram__libnice_test_parse},
    {3, DROP, EVERYWHERE, H03_VARIANTS, h03_every_length_shorter_than_a_header__libnice_validate_pjsip_5044},
    {4, DROP, EVERYWHERE, 255, h04_top_two_bits_not_zero__RFC_5389_6_WebRTC_kRtcpPacket},
    {5, DROP, EVERYWHERE, COUNT(odd_sizes),
     h05_header_length_no_multiple_of_4__RFC_5389_6_libnice_bad2_WebRTC_SmallLength},
    {6, DROP, EVERYWHERE, COUNT(beyond), h06_header_length_beyond_the_datagram__pjsip_WebRTC_ExcessLength},
    {7, DROP, EVERYWHERE, H07_VARIANTS, h07_header_length_short_of_the_datagram__pjsip_libnice_extra_garbage},
    {8, DROP, EVERYWHERE, COUNT(wrapping) * COUNT(wrapped_sizes), h08_header_length_wraps_16_bits__coturn_1844_1964},
    {9, FAIL, COOKIE_ONLY, 1, h09_success_without_attributes__RFC_5389_7_3_3_NatTypeTester_NoAttributes},
    {10, DROP, EVERYWHERE, 1, h10_own_request_echoed__RFC_5389_7_3_pjnath_stun_sock_test_ECHO},
    {11, DROP, EVERYWHERE, COUNT(other_types), h11_indication_or_other_method__RFC_5389_7_3},
    {12, DROP, EVERYWHERE, COUNT(shared_secret_types), h12_shared_secret_types__RFC_3489_11_1},
    {13, ACCEPT, ENGINE_ONLY, 1, h13_largest_datagram_with_padding__RFC_5780_7_6_and_10},
    {13, DROP, EVERYWHERE, 1, h13_no_message},
    {14, DROP, SOCKETS | NEW | CLASSIC, 6, h14_datagram_larger_than_the_buffer__MSG_TRUNC},
    {16, ACCEPT, COOKIE_ONLY, 2, h16_left_shift_of_high_bytes__pjsip_3313},
    {16, DROP, EVERYWHERE, 7, h16_no_message},
    {17, DROP, EVERYWHERE, 4, h17_one_to_three_bytes_for_an_attribute_header__pjsip_5044},
    {18, DROP, EVERYWHERE, H18_VARIANTS,
     h18_attribute_length_past_the_end__CVE_2023_22741_CVE_2004_1940_CVE_2022_23537},
    {19, DROP, COOKIE_ONLY, 6, h19_length_fits_only_without_padding__libnice_bad3_RFC_3489_11_2},
    {19, ACCEPT, CLASSIC_ONLY, 6, h19_length_fits_only_without_padding__libnice_bad3_RFC_3489_11_2},
    {20, DROP, EVERYWHERE, H20_VARIANTS, h20_attribute_length_rounds_up_past_16_bits__after_coturn_1844},
    {21, FAIL, COOKIE_ONLY, COUNT(zero_length), h21_address_of_length_0__pjsip_5201},
    {21, ACCEPT, EVERYWHERE, COUNT(zero_length), h21_good_behind},
    {22, FAIL, COOKIE_ONLY, COUNT(short_v4), h22_ipv4_address_of_length_4_to_7__pjsip_5201},
    {22, ACCEPT, EVERYWHERE, COUNT(short_v4), h22_good_behind},
    {23, FAIL, COOKIE_ONLY, COUNT(odd_length), h23_address_not_as_long_as_its_family__libnice_FF03_FF05_nICEr},
    {23, ACCEPT, EVERYWHERE, COUNT(odd_length), h23_good_behind},
    {24, FAIL, COOKIE_ONLY, COUNT(odd_family), h24_unknown_address_family__RFC_5389_7_3_3},
    {24, ACCEPT, EVERYWHERE, COUNT(odd_family), h24_good_behind},
    {25, ACCEPT, EVERYWHERE, 3, h25_reserved_byte_of_an_address_not_zero__RFC_5389_15_1},
    {26, FAIL, COOKIE_ONLY, 3, h26_ipv6_address_in_an_ipv4_transaction__RFC_5389_7_3_3},
    {27, ACCEPT, COOKIE_ONLY, 2, h27_mapped_and_xor_mapped_disagree__RFC_5389_15_2},
    {28, ACCEPT, EVERYWHERE, 1, h28_only_mapped_address__RFC_5389_12_1},
    {29, ACCEPT, COOKIE_ONLY, 2, h29_xor_mapped_address_as_0x8020__nICEr_OLD_XOR_MAPPED_coturn_resiprocate_175},
    {30, ACCEPT, CLASSIC_ONLY, 2, h29_xor_mapped_address_as_0x8020__nICEr_OLD_XOR_MAPPED_coturn_resiprocate_175},
    {31, ACCEPT, EVERYWHERE, 3, h31_duplicate_attributes__RFC_5389_15_coturn_2016},
    {32, ACCEPT, EVERYWHERE, H32_VARIANTS, h32_unknown_optional_attributes__RFC_5389_7_3_pjsip},
    {33, FAIL, COOKIE_ONLY, H33_VARIANTS, h33_unknown_required_attribute_in_a_success__RFC_5389_7_3_3},
    {34, ACCEPT, COOKIE_ONLY, 8, h34_old_attributes_in_a_response__RFC_5389_12_1_re_823_stun_linphone_org},
    {35, ACCEPT, EVERYWHERE, 5, h35_other_address_as_0x802C_or_0x0005__RFC_5780_7_coturn_compat},
    {36, ACCEPT, ENGINE_ONLY, 5, h36_sixteen_thousand_empty_attributes__CVE_2022_31031},
    {36, DROP, SOCKETS | NEW, 5, h36_lie},
    {37, FAIL, COOKIE_ONLY, 4, h37_error_code_too_short__CVE_2021_37706_CVE_2022_23547_CVE_2023_32307},
    {38, FAIL, COOKIE_ONLY, H38_VARIANTS, h38_error_class_or_number_out_of_range__RFC_5389_15_6},
    {39, FAIL, COOKIE_ONLY, 3, h39_error_without_error_code__RFC_5389_7_3_4},
    {40, FAIL, COOKIE_ONLY, COUNT(reason_lengths) * REASON_TEXTS, h40_reason_phrase_of_any_bytes__RFC_5389_15_6_nICEr},
    {41, ACCEPT, EVERYWHERE, 4, h41_software_ends_in_NUL__stund_0_96_nICEr},
    {42, ACCEPT, EVERYWHERE, H42_VARIANTS, h42_four_byte_attribute_of_another_length__CVE_2022_23547_CVE_2023_32307},
    {43, FAIL, COOKIE_ONLY, 4, h43_unknown_attributes_of_odd_length__nICEr},
    {44, DROP, COOKIE_ONLY, 32 + 6, h44_fingerprint_wrong__RFC_5389_7_3_libnice_bad_crc_WebRTC},
    {45, DROP, COOKIE_ONLY, 4, h45_fingerprint_not_last__RFC_5389_15_5_pjsip_ESTUNFINGERPOS_libnice_bad_crc_offset},
    {46, ACCEPT, COOKIE_ONLY, 2, h46_fingerprint_absent__RFC_5389_8},
    {47, ACCEPT, COOKIE_ONLY, 4, h47_attributes_after_message_integrity__RFC_8489_9_coturn},
    {47, FAIL, COOKIE_ONLY, 2, h47_nothing_before},
    {48, ACCEPT, EVERYWHERE, 4, h48_padding_bytes_not_zero__RFC_5389_15_RFC_5769},
    {50, DROP, EVERYWHERE, 96, h50_wrong_transaction_id__RFC_5389_7_3},
    {51, DROP, EVERYWHERE, 33, h51_right_96_bits_wrong_cookie__RFC_5389_7_3_and_12},
    {51, ACCEPT, CLASSIC_ONLY, 1, h51_full_match},
    {63, REFUSE, COOKIE_ONLY, COUNT(unspecified_v4) + 1, h63_other_address_unspecified_or_port_0__CVE_2020_26262},
    {64, REFUSE, ENGINE_ONLY, COUNT(nobody_v4), h64_other_address_loopback_multicast_broadcast__coturn_loopback_rules},
    {64, REFUSE, SOCKETS | NEW, COUNT(nobody_v4) - 2,
     h64_other_address_loopback_multicast_broadcast__coturn_loopback_rules}, /* on loopback, loopback is right */
    {65, REFUSE, COOKIE_ONLY, COUNT(inside_v4), h65_private_other_address_from_another_network__reflection},
    {66, REFUSE, ENGINE_ONLY, COUNT(mapped_v4) + 2, h66_other_address_v4_mapped__CVE_2026_27624},
    {66, REFUSE, SOCKETS | NEW, COUNT(mapped_v4) - 1, h66_other_address_v4_mapped__CVE_2026_27624},
    {67, REFUSE, ENGINE_ONLY, COUNT(forbidden_ports), h67_other_address_is_a_victim__nICEr_UnsafePortRejectedUDP},
    {67, REFUSE, SOCKETS | NEW, 12, h67_some},
    {68, REFUSE, COOKIE_ONLY, 3, h68_other_address_shares_ip_or_port__coturn_667_NatTypeTester_RFC_5780_6},
    {69, REFUSE, COOKIE_ONLY, 2, h69_other_address_of_another_family__RFC_5780_7_4},
    {72, ACCEPT, COOKIE_ONLY, 3, h72_response_origin_is_not_the_source__RFC_5780_7_3},
    {73, FAIL, COOKIE_ONLY, COUNT(mapped_to_nobody_v4) + 1,
     h73_mapped_address_that_nobody_has__coturn_669_RFC_3489_12_1},
    {73, PROXY, ENGINE_ONLY, COUNT(mapped_inside_v4), h73_inside},
    {75, FAIL, COOKIE_ONLY, 3, h75_try_alternate__RFC_5780_5_RFC_5389_11},
    {76, FAIL, COOKIE_ONLY, 2, h76_420_to_change_request__RFC_5780_5_coturn_natdiscovery},
    {77, FAIL, COOKIE_ONLY, 3, h77_420_to_response_port_or_padding__RFC_5780_5_RFC_3489_9_4},
    {78, FAIL, COOKIE_ONLY, 5, h78_420_that_lists_nothing_or_not_ours__RFC_5389_7_3_4},
    {79, FAIL, COOKIE_ONLY, 3, h79_400_401_438__RFC_5389_7_3_4},
    {80, FAIL, COOKIE_ONLY, 2, h80_500_for_ever__RFC_5389_7_3_4},
    {81, FAIL, COOKIE_ONLY, 2, h81_600__RFC_3489_9_4},
};
const size_t input_count = COUNT(inputs);
