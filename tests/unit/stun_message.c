/* SPDX-License-Identifier: MIT */
/* Builds STUN messages for tests. */
#include "stun_message.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

const npi_stun_id cookie_id = {{0x21, 0x12, 0xa4, 0x42, 0x80, 0xff, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xfe}};
const npi_stun_id classic_id = {{0xf0, 0x0d, 0xbe, 0xef, 0x80, 0xff, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xfe}};

static void put(msg *m, const void *bytes, size_t size)
{
    assert_true(size <= MSG_ROOM - m->size);
    if (size > 0)
        memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static void put_u16(msg *m, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(m, bytes, sizeof bytes);
}

static void put_u32(msg *m, uint32_t value)
{
    put_u16(m, value >> 16);
    put_u16(m, value & 0xffff);
}

void msg_set_length(msg *m, uint16_t length)
{
    m->bytes[2] = (uint8_t)(length >> 8);
    m->bytes[3] = (uint8_t)length;
}

void msg_begin(msg *m, uint16_t type, const npi_stun_id *id)
{
    m->size = 0;
    put_u16(m, type);
    put_u16(m, 0);
    put(m, id->bytes, sizeof id->bytes);
}

void msg_add_raw(msg *m, uint16_t type, uint16_t length, const void *value, size_t size)
{
    put_u16(m, type);
    put_u16(m, length);
    put(m, value, size);
    msg_set_length(m, (uint16_t)(m->size - 20));
}

void msg_add_unpadded(msg *m, uint16_t type, const void *value, size_t size)
{
    msg_add_raw(m, type, (uint16_t)size, value, size);
}

void msg_add(msg *m, uint16_t type, const void *value, size_t size)
{
    static const uint8_t zeros[3];
    msg_add_unpadded(m, type, value, size);
    put(m, zeros, (4 - size % 4) % 4);
    msg_set_length(m, (uint16_t)(m->size - 20));
}

static void add_address(msg *m, uint16_t type, npi_addr a, const uint8_t key[16])
{
    size_t ip_size = a.family == NPI_IPV4 ? 4 : 16;
    uint8_t value[20] = {0, a.family == NPI_IPV4 ? 1 : 2};
    value[2] = (uint8_t)(a.port >> 8 ^ key[0]);
    value[3] = (uint8_t)(a.port ^ key[1]);
    for (size_t i = 0; i < ip_size; i++)
        value[4 + i] = a.ip[i] ^ key[i];
    msg_add(m, type, value, 4 + ip_size);
}

void msg_add_address(msg *m, uint16_t type, npi_addr a)
{
    static const uint8_t no_key[16];
    add_address(m, type, a, no_key);
}

void msg_add_xor_address(msg *m, uint16_t type, npi_addr a)
{
    uint8_t key[16];
    memcpy(key, m->bytes + 4, sizeof key);
    add_address(m, type, a, key);
}

void msg_add_error(msg *m, unsigned code, const char *reason)
{
    uint8_t value[1024] = {0, 0, (uint8_t)(code / 100), (uint8_t)(code % 100)};
    size_t length = strlen(reason);
    assert_true(length <= sizeof value - 4);
    memcpy(value + 4, reason, length);
    msg_add(m, ERROR_CODE, value, 4 + length);
}

void msg_add_fingerprint(msg *m)
{
    msg_set_length(m, (uint16_t)(m->size + 8 - 20));
    uint32_t crc = bitwise_crc32(m->bytes, m->size) ^ 0x5354554e;
    put_u16(m, FINGERPRINT);
    put_u16(m, 4);
    put_u32(m, crc);
}

npi_stun_kind decode_exact(const uint8_t *bytes, size_t size, npi_stun_response *out)
{
    uint8_t *copy = malloc(size);
    assert_true(copy != NULL || size == 0);
    if (size > 0)
        memcpy(copy, bytes, size);
    memset(out, 0xa5, sizeof *out);
    npi_stun_kind kind = npi_stun_decode(copy, size, out);
    assert_true(kind == out->kind);
    free(copy);
    return kind;
}

npi_stun_kind msg_decode(const msg *m, npi_stun_response *out)
{
    return decode_exact(m->bytes, m->size, out);
}
