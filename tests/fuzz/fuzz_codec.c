/* SPDX-License-Identifier: MIT */
/*
 * There and back. A request that the library writes is read by a reader that was written from the RFCs alone. A
 * response is made from the fields that the input names, in any order and any number, good and bad; what the library
 * reads in it has to be what the reference decoder reads.
 */
#include "fuzz.h"

#include "stun.h"

#include "../support/npi_addr.h"
#include "../support/reference.h"

enum { ROOM = 4096, VALUE_MOST = 255, ADDRESS_ROOM = 4 + 4 + 16 };

/* ---- Requests --------------------------------------------------------------------------------------------------- */

static void check_request(input *in)
{
    uint8_t random[NPI_STUN_ID_SIZE] = {0};
    uint8_t out[NPI_STUN_REQUEST_SIZE + 1];
    stun_request read;
    npi_stun_response response;
    const npi_stun_dialect dialect = (take(in) & 1) != 0 ? NPI_STUN_RFC3489 : NPI_STUN_RFC8489;
    const uint32_t high = take_u16(in); /* one read in each expression: an input means the same to every compiler */
    const uint32_t change = high << 16 | take_u16(in);
    take_bytes(in, random, sizeof random);
    memset(out, 0xA5, sizeof out);
    const npi_stun_id id = npi_stun_make_id(dialect, random);
    const size_t size = npi_stun_encode_request(out, &id, change);

    FUZZ_CHECK(request_read(&read, out, size) == NULL);
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

static const uint16_t types[PLACES] = {XOR_MAPPED_ADDRESS, XOR_MAPPED_ADDRESS_OLD, MAPPED_ADDRESS, OTHER_ADDRESS,
                                       CHANGED_ADDRESS,    RESPONSE_ORIGIN,        SOURCE_ADDRESS};

/* Padding may have any value. */
static void put_attribute(message *m, input *in, unsigned type, const uint8_t *value, size_t size)
{
    uint8_t padding[3] = {0};
    message_add_bare(m, type, (unsigned)size, value, size);
    take_bytes(in, padding, size % 4 == 0 ? 0 : 4 - size % 4);
    if (!m->unpadded)
        message_add_bytes(m, padding, (4 - size % 4) % 4);
}

static endpoint take_address(input *in)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t form = take(in);
    endpoint e = {.family = (form & 1) != 0 ? 6 : 4};
    e.port = take_u16(in);
    take_bytes(in, e.ip, e.family == 6 ? sizeof e.ip : 4);
    if ((form & 3) == 3)
        memcpy(e.ip, mapped, sizeof mapped);
    return e;
}

static void add_address(message *m, input *in, unsigned place)
{
    const endpoint e = take_address(in);
    const size_t at = m->size;
    if (place == XOR || place == XOR_OLD)
        message_add_xor_address(m, types[place], &e);
    else
        message_add_address(m, types[place], &e);
    m->bytes[at + 4] = take(in); /* reserved */
}

/* Too short, too long, or of a family that there is not. */
static void add_bad_address(message *m, input *in, unsigned place)
{
    uint8_t value[ADDRESS_ROOM] = {0};
    size_t size = take(in) % ADDRESS_ROOM;
    take_bytes(in, value, size);
    const bool is_good = (size == 8 && value[1] == 1) || (size == 20 && value[1] == 2);
    put_attribute(m, in, types[place], value, is_good ? size - 1 : size);
}

static void add_code(message *m, input *in)
{
    uint8_t value[12] = {0};
    const size_t size = take(in) % sizeof value;
    take_bytes(in, value, size);
    put_attribute(m, in, ERROR_CODE, value, size);
}

/* One that means nothing in a response, or nothing at all. */
static void add_foreign(message *m, input *in)
{
    uint8_t value[VALUE_MOST];
    const unsigned type = take_u16(in);
    const size_t size = take_bytes(in, value, take(in));
    put_attribute(m, in, type, value, size);
}

static void add_integrity(message *m, input *in)
{
    uint8_t value[32] = {0};
    const bool is_long = (take(in) & 1) != 0;
    const size_t size = is_long ? 32 : 20;
    take_bytes(in, value, size);
    put_attribute(m, in, is_long ? MESSAGE_INTEGRITY_SHA256 : MESSAGE_INTEGRITY, value, size);
}

/* The right one, unless something comes behind it or the input spoils it. */
static void add_fingerprint(message *m, input *in)
{
    message_add_fingerprint(m);
    m->bytes[m->size - 1] ^= take(in);
}

static void add_attribute(message *m, input *in)
{
    const unsigned kind = take(in) % 24;
    if (kind < PLACES)
        add_address(m, in, kind);
    else if (kind < 2 * PLACES)
        add_bad_address(m, in, kind - PLACES);
    else if (kind < 17)
        add_code(m, in);
    else if (kind < 22)
        add_foreign(m, in);
    else if (kind == 22)
        add_integrity(m, in);
    else
        add_fingerprint(m, in);
}

static void build(message *m, input *in, uint8_t options)
{
    static const uint8_t cookie[4] = {0x21, 0x12, 0xA4, 0x42};
    uint8_t id[NPI_STUN_ID_SIZE] = {0};
    take_bytes(in, id, sizeof id);
    if ((options & 4) != 0)
        memcpy(id, cookie, sizeof cookie);
    message_begin(m, (options & 2) != 0 ? BINDING_ERROR : BINDING_SUCCESS, id);
    m->unpadded = (options & 8) != 0 && memcmp(id, cookie, sizeof cookie) != 0;
    while (in->size > 0 && m->size + 4 + VALUE_MOST + 3 <= ROOM)
        add_attribute(m, in);
}

/* ---- What is to be read in it ----------------------------------------------------------------------------------- */

static bool is_same(const endpoint *e, const npi_addr *a)
{
    const endpoint b = endpoint_from_npi(a);
    return endpoint_equal(e, &b);
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

static npi_stun_kind check(const message *m)
{
    static const npi_stun_kind kinds[] = {NPI_STUN_DROP, NPI_STUN_SUCCESS, NPI_STUN_ERROR, NPI_STUN_UNUSABLE};
    const reading expected = reference_read(m->bytes, m->size);
    npi_stun_response got;
    const npi_stun_kind kind = decode(m->bytes, m->size, &got);
    FUZZ_CHECK(kind == kinds[expected.meaning]);
    if (kind == NPI_STUN_DROP)
        return kind;
    FUZZ_CHECK(memcmp(got.id.bytes, m->bytes + 4, sizeof got.id.bytes) == 0 && got.error_code == expected.error_code);
    FUZZ_CHECK(is_same(&expected.mapped, &got.mapped) && is_same(&expected.other, &got.other));
    FUZZ_CHECK(is_same(&expected.origin, &got.origin) && got.address_rewritten == expected.is_rewritten);
    return kind;
}

/* A byte less is no answer any more. Neither is one bit less of what a fingerprint covers, if there is one. */
static void check_response(input *in, uint8_t options)
{
    static message m;
    const uint8_t choice = take(in);
    build(&m, in, options);
    if (check(&m) == NPI_STUN_DROP)
        return;
    m.size--;
    FUZZ_CHECK(check(&m) == NPI_STUN_DROP);
    m.size++;
    m.bytes[8 + choice / 8 % 12] ^= (uint8_t)(1u << choice % 8);
    check(&m);
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
