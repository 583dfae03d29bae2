/* SPDX-License-Identifier: MIT */
/*
 * There and back. A request that the library writes is read by a reader that was written from the RFCs alone. A
 * response is made from the fields that the input names, in any order and any number, good and bad; what the library
 * reads in it has to be what was put in.
 */
#include "fuzz.h"

#include "stun.h"

#include "../sim/stunwire.h"
#include "../stun/bitwise_crc32.h"

enum { ROOM = 4096, VALUE_MOST = 255, HEADER = 20, ADDRESS_ROOM = 4 + 4 + 16 };

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static void check_request(input *in)
{
    uint8_t random[NPI_STUN_ID_SIZE] = {0};
    uint8_t out[NPI_STUN_REQUEST_SIZE + 1];
    wire_request read;
    npi_stun_response response;
    const npi_stun_dialect dialect = (take(in) & 1) != 0 ? NPI_STUN_RFC3489 : NPI_STUN_RFC8489;
    const uint32_t high = take_u16(in); /* one read in each expression: an input means the same to every compiler */
    const uint32_t change = high << 16 | take_u16(in);
    take_bytes(in, random, sizeof random);
    memset(out, 0xA5, sizeof out);
    const npi_stun_id id = npi_stun_make_id(dialect, random);
    const size_t size = npi_stun_encode_request(out, &id, change);

    FUZZ_CHECK(wire_parse_request(out, size, &read) == NULL);
    FUZZ_CHECK(memcmp(read.id, id.bytes, sizeof read.id) == 0 && read.change == (change & (CHANGE_IP | CHANGE_PORT)));
    if (dialect == NPI_STUN_RFC8489)
        FUZZ_CHECK(read.cookie && memcmp(read.id + 4, random, 12) == 0);
    else
        FUZZ_CHECK(memcmp(read.id, random, sizeof random) == 0);
    for (size_t i = size; i < sizeof out; i++)
        FUZZ_CHECK(out[i] == 0xA5);
    /* One that comes back is no answer. */
    FUZZ_CHECK(npi_stun_decode(out, size, &response) == NPI_STUN_DROP);
}

/* ---- What a response is made of --------------------------------------------------------------------------------- */

enum { XOR, XOR_OLD, PLAIN, OTHER, CHANGED, ORIGIN, SOURCE, PLACES };

static const uint16_t types[PLACES] = {ATTR_XOR_MAPPED_ADDRESS, ATTR_XOR_MAPPED_OLD,  ATTR_MAPPED_ADDRESS,
                                       ATTR_OTHER_ADDRESS,      ATTR_CHANGED_ADDRESS, ATTR_RESPONSE_ORIGIN,
                                       ATTR_SOURCE_ADDRESS};

/* The message, and what is to be read in it. */
typedef struct response {
    uint8_t bytes[ROOM];
    size_t size;
    bool is_error;
    bool has_cookie;
    bool unpadded;
    npi_addr address[PLACES]; /* the first of each kind */
    unsigned code;            /* the first that is allowed; 0: none */
    bool unknown;             /* something that has to be understood and is not */
    bool ended;               /* by MESSAGE-INTEGRITY: what follows does not count */
    bool misplaced;           /* FINGERPRINT, and something behind it */
    bool wrong;               /* FINGERPRINT, and not the right one */
    bool finished;            /* FINGERPRINT, and nothing behind it */
} response;

static void put(response *r, const void *bytes, size_t size)
{
    FUZZ_CHECK(size <= sizeof r->bytes - r->size);
    if (size > 0)
        memcpy(r->bytes + r->size, bytes, size);
    r->size += size;
}

static void put_u16(response *r, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(r, bytes, sizeof bytes);
}

static void set_length(response *r, size_t length)
{
    r->bytes[2] = (uint8_t)(length >> 8);
    r->bytes[3] = (uint8_t)length;
}

/* Padding may have any value. */
static void put_attribute(response *r, input *in, unsigned type, const uint8_t *value, size_t size)
{
    uint8_t padding[3] = {0};
    put_u16(r, type);
    put_u16(r, (unsigned)size);
    put(r, value, size);
    take_bytes(in, padding, size % 4 == 0 ? 0 : 4 - size % 4);
    if (!r->unpadded)
        put(r, padding, (4 - size % 4) % 4);
    r->misplaced |= r->finished;
}

static npi_addr take_address(input *in)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t form = take(in);
    npi_addr a = {.family = (form & 1) != 0 ? NPI_IPV6 : NPI_IPV4};
    a.port = take_u16(in);
    take_bytes(in, a.ip, a.family == NPI_IPV6 ? sizeof a.ip : 4);
    if ((form & 3) == 3)
        memcpy(a.ip, mapped, sizeof mapped);
    return a;
}

/* An IPv4 address is one however it was written. */
static npi_addr as_read(const npi_addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    npi_addr plain = {.family = NPI_IPV4, .port = a->port};
    if (a->family != NPI_IPV6 || memcmp(a->ip, mapped, sizeof mapped) != 0)
        return *a;
    memcpy(plain.ip, a->ip + 12, 4);
    return plain;
}

static void add_address(response *r, input *in, unsigned place)
{
    const npi_addr a = take_address(in);
    const bool hidden = place == XOR || place == XOR_OLD;
    const size_t ip_size = a.family == NPI_IPV6 ? 16 : 4;
    uint8_t value[ADDRESS_ROOM] = {take(in), a.family == NPI_IPV6 ? 2 : 1, (uint8_t)(a.port >> 8), (uint8_t)a.port};
    memcpy(value + 4, a.ip, ip_size);
    for (size_t i = 0; hidden && i < 2; i++)
        value[2 + i] ^= r->bytes[4 + i];
    for (size_t i = 0; hidden && i < ip_size; i++)
        value[4 + i] ^= r->bytes[4 + i];
    put_attribute(r, in, types[place], value, 4 + ip_size);
    if (!r->ended && r->address[place].family == NPI_FAMILY_NONE)
        r->address[place] = as_read(&a);
}

/* Too short, too long, or of a family that there is not. */
static void add_bad_address(response *r, input *in, unsigned place)
{
    uint8_t value[ADDRESS_ROOM] = {0};
    size_t size = take(in) % ADDRESS_ROOM;
    take_bytes(in, value, size);
    const bool is_good = (size == 8 && value[1] == 1) || (size == 20 && value[1] == 2);
    put_attribute(r, in, types[place], value, is_good ? size - 1 : size);
}

static void add_code(response *r, input *in)
{
    uint8_t value[VALUE_MOST];
    memset(value, 0, sizeof value);
    const size_t size = take(in) % 12;
    take_bytes(in, value, size);
    put_attribute(r, in, ATTR_ERROR_CODE, value, size);
    const unsigned class = value[2] % 8;
    const bool is_allowed = size >= 4 && class >= 3 && class <= 6 && value[3] < 100;
    if (!r->ended && r->code == 0 && is_allowed)
        r->code = class * 100 + value[3];
}

/* 0x0023, 0x0028, 0x0029 and from 0x002B on are not registered, and neither are 0x0000 and 0x001F. */
static bool must_be_understood(unsigned type)
{
    return type < 0x8000 && (type == 0 || type == 0x1F || type == 0x23 || type == 0x28 || type == 0x29 || type > 0x2A);
}

/* One that means nothing in a response, or nothing at all. */
static void add_foreign(response *r, input *in)
{
    static const uint16_t meaningful[] = {ATTR_ERROR_CODE, ATTR_FINGERPRINT, 0x0008, 0x001C};
    uint8_t value[VALUE_MOST];
    unsigned type = take_u16(in);
    const size_t size = take_bytes(in, value, take(in));
    for (size_t i = 0; i < PLACES; i++)
        type = type == types[i] ? 0x8022 : type;
    for (size_t i = 0; i < sizeof meaningful / sizeof meaningful[0]; i++)
        type = type == meaningful[i] ? 0x8023 : type;
    put_attribute(r, in, type, value, size);
    r->unknown |= !r->ended && must_be_understood(type);
}

static void add_integrity(response *r, input *in)
{
    uint8_t value[32] = {0};
    const bool is_long = (take(in) & 1) != 0;
    const size_t size = is_long ? 32 : 20;
    take_bytes(in, value, size);
    put_attribute(r, in, is_long ? 0x001C : 0x0008, value, size);
    r->ended = true;
}

/* The right one, unless something comes behind it or the input spoils it. */
static void add_fingerprint(response *r, input *in)
{
    const uint8_t spoilt = take(in);
    set_length(r, r->size + 8 - HEADER);
    const uint32_t crc = bitwise_crc32(r->bytes, r->size) ^ 0x5354554e ^ spoilt;
    const uint8_t value[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc};
    put_attribute(r, in, ATTR_FINGERPRINT, value, sizeof value);
    r->finished = true;
    r->wrong |= spoilt != 0;
}

static void add_attribute(response *r, input *in)
{
    const unsigned kind = take(in) % 24;
    if (kind < PLACES)
        add_address(r, in, kind);
    else if (kind < 2 * PLACES)
        add_bad_address(r, in, kind - PLACES);
    else if (kind < 17)
        add_code(r, in);
    else if (kind < 22)
        add_foreign(r, in);
    else if (kind == 22)
        add_integrity(r, in);
    else
        add_fingerprint(r, in);
}

static void build(response *r, input *in, uint8_t options)
{
    uint8_t id[NPI_STUN_ID_SIZE] = {0};
    memset(r, 0, sizeof *r);
    r->is_error = (options & 2) != 0;
    take_bytes(in, id, sizeof id);
    if ((options & 4) != 0)
        memcpy(id, (const uint8_t[]){0x21, 0x12, 0xA4, 0x42}, 4);
    r->has_cookie = memcmp(id, (const uint8_t[]){0x21, 0x12, 0xA4, 0x42}, 4) == 0;
    r->unpadded = (options & 8) != 0 && !r->has_cookie;
    put_u16(r, r->is_error ? WIRE_ERROR : WIRE_SUCCESS);
    put_u16(r, 0);
    put(r, id, sizeof id);
    while (in->size > 0 && r->size + 4 + VALUE_MOST + 3 <= sizeof r->bytes)
        add_attribute(r, in);
    set_length(r, r->size - HEADER);
}

/* ---- What is to be read in it ----------------------------------------------------------------------------------- */

/* Whether it can also be read with padding, as most servers write: that reading goes first. */
static bool fits_padding(const response *r)
{
    size_t at = HEADER;
    while (at < r->size) {
        if (r->size - at < 4)
            return false;
        const size_t length = (size_t)r->bytes[at + 2] << 8 | r->bytes[at + 3];
        const size_t padded = 4 + length + (4 - length % 4) % 4;
        if (padded > r->size - at)
            return false;
        at += padded;
    }
    return true;
}

/* A host can have it, and a port to be reached at. */
static bool is_reachable(const npi_addr *a)
{
    static const uint8_t zeros[16];
    if (a->family == NPI_FAMILY_NONE || a->port == 0)
        return false;
    if (a->family == NPI_IPV4)
        return a->ip[0] != 0 && a->ip[0] < 224;
    return memcmp(a->ip, zeros, sizeof zeros) != 0 && a->ip[0] != 0xff;
}

static npi_addr only_reachable(const npi_addr *a)
{
    return is_reachable(a) ? *a : (npi_addr){.family = NPI_FAMILY_NONE};
}

static npi_addr either(const npi_addr *a, const npi_addr *b)
{
    return a->family != NPI_FAMILY_NONE ? *a : *b;
}

static bool same(const npi_addr *a, const npi_addr *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static void check_success(const response *r, const npi_stun_response *got)
{
    const npi_addr first = only_reachable(&r->address[XOR]);
    const npi_addr second = only_reachable(&r->address[XOR_OLD]);
    const npi_addr plain = only_reachable(&r->address[PLAIN]);
    const npi_addr hidden = either(&first, &second);
    const npi_addr mapped = either(&hidden, &plain);
    const npi_addr other = either(&r->address[OTHER], &r->address[CHANGED]);
    const npi_addr origin = either(&r->address[ORIGIN], &r->address[SOURCE]);
    if (r->unknown || mapped.family == NPI_FAMILY_NONE) {
        FUZZ_CHECK(got->kind == NPI_STUN_UNUSABLE);
        return;
    }
    FUZZ_CHECK(got->kind == NPI_STUN_SUCCESS);
    FUZZ_CHECK(same(&got->mapped, &mapped) && same(&got->other, &other) && same(&got->origin, &origin));
    FUZZ_CHECK(got->address_rewritten == (plain.family == mapped.family && !same(&plain, &mapped)));
}

static void check_error(const response *r, const npi_stun_response *got)
{
    if (r->unknown || r->code == 0)
        FUZZ_CHECK(got->kind == NPI_STUN_UNUSABLE);
    else
        FUZZ_CHECK(got->kind == NPI_STUN_ERROR && got->error_code == r->code);
}

/* In memory of its own size, at an odd address: a byte too far, or an aligned access, is seen. */
static npi_stun_kind decode(const uint8_t *bytes, size_t size, npi_stun_response *out)
{
    uint8_t *copy = malloc(size + 1);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy + 1, bytes, size);
    memset(out, 0xA5, sizeof *out);
    const npi_stun_kind kind = npi_stun_decode(copy + 1, size, out);
    FUZZ_CHECK(kind == out->kind);
    free(copy);
    return kind;
}

/* A byte less, or one bit of what the fingerprint covers, and it is no answer any more. */
static void check_fragile(response *r, uint8_t choice)
{
    npi_stun_response got;
    FUZZ_CHECK(decode(r->bytes, r->size - 1, &got) == NPI_STUN_DROP);
    if (!r->finished || !r->has_cookie)
        return;
    r->bytes[8 + choice / 8 % 12] ^= (uint8_t)(1u << choice % 8);
    FUZZ_CHECK(decode(r->bytes, r->size, &got) == NPI_STUN_DROP);
}

static void check_response(input *in, uint8_t options)
{
    static response r;
    npi_stun_response got;
    const uint8_t choice = take(in);
    build(&r, in, options);
    if (r.unpadded && fits_padding(&r))
        return;
    const npi_stun_kind kind = decode(r.bytes, r.size, &got);
    if (r.has_cookie && (r.misplaced || r.wrong)) {
        FUZZ_CHECK(kind == NPI_STUN_DROP);
        return;
    }
    FUZZ_CHECK(kind != NPI_STUN_DROP && memcmp(got.id.bytes, r.bytes + 4, NPI_STUN_ID_SIZE) == 0);
    if (r.is_error)
        check_error(&r, &got);
    else
        check_success(&r, &got);
    check_fragile(&r, choice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const uint8_t options = take(&in);
    if ((options & 1) != 0)
        check_request(&in);
    else
        check_response(&in, options);
    return 0;
}
