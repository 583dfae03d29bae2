/* SPDX-License-Identifier: MIT */
/* STUN messages. Tolerant of what servers send, strict in what it sends itself. Section numbers are RFC 8489's. */
#include "stun.h"

#include <string.h>

#include "buf.h"

#define HEADER_SIZE 20
#define ATTRIBUTE_HEADER_SIZE 4

/* Message types: method Binding in all of them, the class in bits 4 and 8 (section 5). */
#define BINDING_REQUEST 0x0001
#define BINDING_INDICATION 0x0011
#define BINDING_SUCCESS 0x0101
#define BINDING_ERROR 0x0111

enum {
    ATTR_MAPPED_ADDRESS = 0x0001,
    ATTR_CHANGE_REQUEST = 0x0003,
    ATTR_SOURCE_ADDRESS = 0x0004,
    ATTR_CHANGED_ADDRESS = 0x0005,
    ATTR_MESSAGE_INTEGRITY = 0x0008,
    ATTR_ERROR_CODE = 0x0009,
    ATTR_MESSAGE_INTEGRITY_SHA256 = 0x001C,
    ATTR_XOR_MAPPED_ADDRESS = 0x0020,
    ATTR_RESPONSE_PORT = 0x0027,
    ATTR_XOR_MAPPED_ADDRESS_OLD = 0x8020, /* drafts of RFC 5389; still sent by servers of that time */
    ATTR_FINGERPRINT = 0x8028,
    ATTR_RESPONSE_ORIGIN = 0x802B,
    ATTR_OTHER_ADDRESS = 0x802C,
};

#define FINGERPRINT_XOR 0x5354554Eu

npi_stun_id npi_stun_make_id(npi_stun_dialect dialect, const uint8_t random[NPI_STUN_ID_SIZE])
{
    npi_stun_id id;
    npi_writer w = npi_writer_over(id.bytes, sizeof id.bytes);
    if (dialect == NPI_STUN_RFC8489)
        npi_write_u32(&w, NPI_STUN_COOKIE);
    npi_write_bytes(&w, random, sizeof id.bytes - w.pos);
    return id;
}

bool npi_stun_id_equal(const npi_stun_id *a, const npi_stun_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void write_header(npi_writer *w, uint16_t type, size_t length, const npi_stun_id *id)
{
    npi_write_u16(w, type);
    npi_write_u16(w, (uint16_t)length);
    npi_write_bytes(w, id->bytes, sizeof id->bytes);
}

size_t npi_stun_encode_indication(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id)
{
    npi_writer w = npi_writer_over(out, NPI_STUN_REQUEST_SIZE);
    write_header(&w, BINDING_INDICATION, 0, id);
    return w.pos;
}

/* The port is followed by two bytes of padding, which servers count as part of the value. */
size_t npi_stun_encode_response_port(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint16_t port)
{
    npi_writer w = npi_writer_over(out, NPI_STUN_REQUEST_SIZE);
    write_header(&w, BINDING_REQUEST, NPI_STUN_REQUEST_SIZE - HEADER_SIZE, id);
    npi_write_u16(&w, ATTR_RESPONSE_PORT);
    npi_write_u16(&w, sizeof(uint32_t));
    npi_write_u16(&w, port);
    npi_write_u16(&w, 0);
    return w.pos;
}

size_t npi_stun_encode_request(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint32_t change)
{
    change &= NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT; /* the other bits are reserved, RFC 5780 section 7.2 */
    npi_writer w = npi_writer_over(out, NPI_STUN_REQUEST_SIZE);
    write_header(&w, BINDING_REQUEST, change != 0 ? NPI_STUN_REQUEST_SIZE - HEADER_SIZE : 0, id);
    if (change != 0) {
        npi_write_u16(&w, ATTR_CHANGE_REQUEST);
        npi_write_u16(&w, sizeof change);
        npi_write_u32(&w, change);
    }
    return w.pos;
}

/* ---- Framing ---------------------------------------------------------------------------------------------------- */

typedef struct message {
    const uint8_t *data;
    size_t size;
    bool is_error;
    bool has_cookie; /* else a classic message, RFC 3489 */
    bool is_padded;  /* values are followed by bytes up to a multiple of four */
    npi_stun_id id;
} message;

typedef struct attribute {
    uint16_t type;
    npi_reader value;
    bool is_last;
} attribute;

/* Reads the next attribute; false at the end, or with r->failed where one is cut off. */
static bool next_attribute(npi_reader *r, bool padded, attribute *out)
{
    if (npi_reader_left(r) == 0)
        return false;
    out->type = npi_read_u16(r);
    size_t length = npi_read_u16(r);
    out->value = npi_read_span(r, length);
    if (padded)
        npi_read_span(r, (4 - length % 4) % 4); /* of any value, section 14 */
    out->is_last = npi_reader_left(r) == 0;
    return !r->failed;
}

static npi_reader attributes_of(const message *m)
{
    npi_reader r = npi_reader_over(m->data, m->size);
    npi_read_span(&r, HEADER_SIZE);
    return r;
}

static bool is_well_framed(const message *m, bool padded)
{
    npi_reader r = attributes_of(m);
    attribute a;
    while (next_attribute(&r, padded, &a))
        continue;
    return !r.failed;
}

/*
 * RFC 3489 has no padding, but most of its servers pad. The two readings of a message differ only if some length is no
 * multiple of four, and then a message that fits both is next to impossible: the usual one goes first.
 */
static bool settle_padding(message *m)
{
    m->is_padded = is_well_framed(m, true);
    return m->is_padded || (!m->has_cookie && is_well_framed(m, false));
}

static bool read_header(message *m)
{
    npi_reader r = npi_reader_over(m->data, m->size);
    uint16_t type = npi_read_u16(&r);
    size_t length = npi_read_u16(&r);
    npi_read_bytes(&r, m->id.bytes, sizeof m->id.bytes);
    if (r.failed || length != npi_reader_left(&r))
        return false;

    npi_reader id = npi_reader_over(m->id.bytes, sizeof m->id.bytes);
    m->has_cookie = npi_read_u32(&id) == NPI_STUN_COOKIE;
    m->is_error = type == BINDING_ERROR;
    if (type != BINDING_SUCCESS && type != BINDING_ERROR)
        return false; /* other methods and classes, and what is no STUN: the two top bits are zero in these types */
    return !m->has_cookie || length % 4 == 0;
}

/* ---- FINGERPRINT, section 14.7 ---------------------------------------------------------------------------------- */

/* CRC-32 of ISO 3309, four bits at a time: entry i is the remainder of i. */
static uint32_t crc32(npi_reader r)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;
    while (npi_reader_left(&r) > 0) {
        crc ^= npi_read_u8(&r);
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* Whether FINGERPRINT is the last attribute and its value right; one that cannot be checked is not. */
static bool is_fingerprint_right(const message *m, attribute a)
{
    if (!a.is_last || npi_reader_left(&a.value) != sizeof(uint32_t))
        return false;
    npi_reader r = npi_reader_over(m->data, m->size);
    npi_reader covered = npi_read_span(&r, m->size - ATTRIBUTE_HEADER_SIZE - sizeof(uint32_t));
    return npi_read_u32(&a.value) == (crc32(covered) ^ FINGERPRINT_XOR);
}

/* FINGERPRINT is optional. Classic messages have none: what has its number there is an unknown optional attribute. */
static bool has_no_wrong_fingerprint(const message *m)
{
    npi_reader r = attributes_of(m);
    attribute a;
    while (m->has_cookie && next_attribute(&r, m->is_padded, &a)) {
        if (a.type == ATTR_FINGERPRINT && !is_fingerprint_right(m, a))
            return false;
    }
    return true;
}

/* ---- Attributes ------------------------------------------------------------------------------------------------- */

/* What the attributes say: of each kind the first one that can be used (section 14). */
typedef struct content {
    npi_addr xor_mapped;
    npi_addr xor_mapped_old;
    npi_addr mapped;
    npi_addr other;
    npi_addr changed;
    npi_addr origin;
    npi_addr source;
    uint16_t error_code; /* 0: none */
    bool has_unknown;    /* an attribute without which the message cannot be understood */
} content;

/* Section 14.1. An address of unknown family, or of a length that is not its family's, is passed over. */
static npi_addr read_address(npi_reader value)
{
    npi_addr a = {.family = NPI_FAMILY_NONE};
    npi_read_u8(&value); /* reserved, to be ignored */
    uint8_t family = npi_read_u8(&value);
    uint16_t port = npi_read_u16(&value);
    size_t size = npi_reader_left(&value);
    if (family == 0x01 && size == 4)
        a.family = NPI_IPV4;
    else if (family == 0x02 && size == 16)
        a.family = NPI_IPV6;
    else
        return a;
    a.port = port;
    npi_read_bytes(&value, a.ip, size);
    return a;
}

static void keep_address(npi_addr *kept, npi_addr a)
{
    if (!npi_addr_is_set(kept))
        *kept = npi_addr_unmap(&a);
}

/*
 * Section 14.2. The key is the cookie and the transaction id: bytes 4 to 19 of the header, also in a classic message,
 * where servers that send this attribute under its old number take it from the same place.
 */
static npi_addr read_xor_address(npi_reader value, const npi_stun_id *id)
{
    npi_addr a = read_address(value);
    if (!npi_addr_is_set(&a))
        return a;
    a.port ^= (uint16_t)((unsigned)id->bytes[0] << 8 | id->bytes[1]);
    size_t size = a.family == NPI_IPV4 ? 4 : 16;
    for (size_t i = 0; i < size; i++)
        a.ip[i] ^= id->bytes[i];
    return a;
}

/* Section 14.8. A code that RFC 8489 does not allow is as good as none. */
static void keep_error_code(uint16_t *kept, npi_reader value)
{
    npi_read_u16(&value); /* reserved, as are five bits of the next byte */
    unsigned class = npi_read_u8(&value) & 7u;
    unsigned number = npi_read_u8(&value);
    bool valid = !value.failed && class >= 3 && class <= 6 && number <= 99;
    if (valid && *kept == 0)
        *kept = (uint16_t)(class * 100 + number);
}

/*
 * Attributes below 0x8000 must be understood (section 14). These ranges are the ones that the IANA registry assigns or
 * reserves: none of them changes what a Binding response means, and servers do send some that do not belong in one
 * (RFC 3489's RESPONSE-ADDRESS and REFLECTED-FROM, TURN's LIFETIME): known but unexpected, to be ignored (section 6.3).
 */
static bool is_understood(uint16_t type)
{
    static const uint16_t known[][2] = {{0x0001, 0x001E}, {0x0020, 0x0022}, {0x0024, 0x0027}, {0x002A, 0x002A}};
    if (type >= 0x8000)
        return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (type >= known[i][0] && type <= known[i][1])
            return true;
    }
    return false;
}

static void read_attribute(content *c, const attribute *a, const npi_stun_id *id)
{
    switch (a->type) {
    case ATTR_XOR_MAPPED_ADDRESS:
        keep_address(&c->xor_mapped, read_xor_address(a->value, id));
        break;
    case ATTR_XOR_MAPPED_ADDRESS_OLD:
        keep_address(&c->xor_mapped_old, read_xor_address(a->value, id));
        break;
    case ATTR_MAPPED_ADDRESS:
        keep_address(&c->mapped, read_address(a->value));
        break;
    case ATTR_OTHER_ADDRESS:
        keep_address(&c->other, read_address(a->value));
        break;
    case ATTR_CHANGED_ADDRESS:
        keep_address(&c->changed, read_address(a->value));
        break;
    case ATTR_RESPONSE_ORIGIN:
        keep_address(&c->origin, read_address(a->value));
        break;
    case ATTR_SOURCE_ADDRESS:
        keep_address(&c->source, read_address(a->value));
        break;
    case ATTR_ERROR_CODE:
        keep_error_code(&c->error_code, a->value);
        break;
    default:
        c->has_unknown = c->has_unknown || !is_understood(a->type);
    }
}

/* What follows MESSAGE-INTEGRITY is not protected by it and ignored (section 14.5). */
static content read_content(const message *m)
{
    content c = {.error_code = 0};
    npi_reader r = attributes_of(m);
    attribute a;
    while (next_attribute(&r, m->is_padded, &a)) {
        if (a.type == ATTR_MESSAGE_INTEGRITY || a.type == ATTR_MESSAGE_INTEGRITY_SHA256)
            break;
        read_attribute(&c, &a, &m->id);
    }
    return c;
}

/* ---- Outcome ---------------------------------------------------------------------------------------------------- */

/* Nobody can be seen from such an address: a server that says so says nothing. */
static npi_addr usable_mapped(npi_addr a)
{
    return npi_addr_is_destination(&a) ? a : (npi_addr){.family = NPI_FAMILY_NONE};
}

static npi_addr first_set(npi_addr a, npi_addr b)
{
    return npi_addr_is_set(&a) ? a : b;
}

static npi_stun_kind accept_success(npi_stun_response *out, const content *c)
{
    npi_addr hidden = first_set(usable_mapped(c->xor_mapped), usable_mapped(c->xor_mapped_old));
    npi_addr plain = usable_mapped(c->mapped);
    npi_addr mapped = first_set(hidden, plain);
    if (c->has_unknown || !npi_addr_is_set(&mapped))
        return NPI_STUN_UNUSABLE;
    out->mapped = mapped;
    out->other = first_set(c->other, c->changed);
    out->origin = first_set(c->origin, c->source);
    out->address_rewritten = plain.family == mapped.family && !npi_addr_equal(&plain, &mapped);
    return NPI_STUN_SUCCESS;
}

static npi_stun_kind accept_error(npi_stun_response *out, const content *c)
{
    if (c->has_unknown || c->error_code == 0)
        return NPI_STUN_UNUSABLE;
    out->error_code = c->error_code;
    return NPI_STUN_ERROR;
}

npi_stun_kind npi_stun_decode(const uint8_t *data, size_t size, npi_stun_response *out)
{
    memset(out, 0, sizeof *out);
    out->kind = NPI_STUN_DROP;
    message m = {.data = data, .size = size};
    if (!read_header(&m) || !settle_padding(&m) || !has_no_wrong_fingerprint(&m))
        return out->kind;
    out->id = m.id;
    content c = read_content(&m);
    out->kind = m.is_error ? accept_error(out, &c) : accept_success(out, &c);
    return out->kind;
}
