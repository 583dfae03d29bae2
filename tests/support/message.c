/* SPDX-License-Identifier: MIT */
/* RFC 8489 sections 5 and 14, and RFC 5780 section 7. */
#include "message.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t cookie[4] = {0x21, 0x12, 0xA4, 0x42};

unsigned get_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value >> 16);
    put_u16(at + 2, value & 0xffff);
}

/* The check sum of ISO 3309, half a byte at a time: a flood takes many. */
uint32_t fingerprint_of(const uint8_t *bytes, size_t size)
{
    static const uint32_t halves[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ halves[crc & 15];
        crc = crc >> 4 ^ halves[crc & 15];
    }
    return ~crc ^ 0x5354554e;
}

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* RFC 5780 section 7.5: a port, and two bytes of padding. */
static const char *read_response_port(stun_request *out, const uint8_t *attribute)
{
    out->response_port = (uint16_t)get_u16(attribute + 4);
    if (get_u16(attribute + 2) != 4 || get_u16(attribute + 6) != 0)
        return "RESPONSE-PORT of another form";
    return out->response_port == 0 ? "RESPONSE-PORT 0" : NULL;
}

static const char *read_change(stun_request *out, const uint8_t *attribute)
{
    if (get_u16(attribute) == RESPONSE_PORT)
        return read_response_port(out, attribute);
    if (get_u16(attribute) != CHANGE_REQUEST || get_u16(attribute + 2) != 4)
        return "an attribute that is not CHANGE-REQUEST";
    out->change = (uint32_t)get_u16(attribute + 4) << 16 | get_u16(attribute + 6);
    if ((out->change & ~(uint32_t)(CHANGE_IP | CHANGE_PORT)) != 0)
        return "reserved bits in CHANGE-REQUEST";
    return out->change == 0 ? "CHANGE-REQUEST that asks for nothing" : NULL;
}

const char *request_read(stun_request *out, const uint8_t *data, size_t size)
{
    memset(out, 0, sizeof *out);
    if (size != HEADER_SIZE && size != REQUEST_ROOM)
        return "request of a wrong size";
    if (get_u16(data) != BINDING_REQUEST)
        return "not a Binding request";
    if (get_u16(data + 2) != size - HEADER_SIZE)
        return "wrong length in the header";
    memcpy(out->id, data + 4, ID_SIZE);
    out->cookie = memcmp(out->id, cookie, sizeof cookie) == 0;
    return size == REQUEST_ROOM ? read_change(out, data + HEADER_SIZE) : NULL;
}

/* ---- Messages --------------------------------------------------------------------------------------------------- */

static void append(message *m, const void *bytes, size_t size)
{
    if (size > sizeof m->bytes - m->size)
        abort(); /* a mistake of the test's */
    if (size > 0 && bytes != NULL)
        memcpy(m->bytes + m->size, bytes, size);
    else
        memset(m->bytes + m->size, 0, size);
    m->size += size;
}

static void append_u16(message *m, unsigned value)
{
    uint8_t bytes[2];
    put_u16(bytes, value);
    append(m, bytes, sizeof bytes);
}

void message_set_length(message *m, unsigned length)
{
    put_u16(m->bytes + 2, length);
}

void message_begin(message *m, unsigned type, const uint8_t id[ID_SIZE])
{
    m->size = 0;
    m->unpadded = false;
    append_u16(m, type);
    append_u16(m, 0);
    append(m, id, ID_SIZE);
}

void message_begin_request(message *m, const uint8_t id[ID_SIZE], uint32_t change)
{
    uint8_t value[4];
    message_begin(m, BINDING_REQUEST, id);
    memcpy(m->bytes + 4, cookie, sizeof cookie);
    put_u32(value, change);
    if (change != 0)
        message_add(m, CHANGE_REQUEST, value, sizeof value);
}

void message_add_bytes(message *m, const void *bytes, size_t size)
{
    append(m, bytes, size);
    message_set_length(m, (unsigned)(m->size - HEADER_SIZE) & 0xffff);
}

void message_add_bare(message *m, unsigned type, unsigned length, const void *value, size_t size)
{
    append_u16(m, type);
    append_u16(m, length);
    message_add_bytes(m, value, size);
}

void message_add(message *m, unsigned type, const void *value, size_t size)
{
    message_add_bare(m, type, (unsigned)size, value, size);
    message_add_bytes(m, NULL, m->unpadded ? 0 : (4 - size % 4) % 4);
}

static void add_address(message *m, unsigned type, const endpoint *e, const uint8_t key[ID_SIZE])
{
    uint8_t value[20] = {0, e->family == 6 ? 2 : 1};
    const size_t ip_size = e->family == 6 ? 16 : 4;
    put_u16(value + 2, e->port ^ get_u16(key));
    for (size_t i = 0; i < ip_size; i++)
        value[4 + i] = e->ip[i] ^ key[i];
    message_add(m, type, value, 4 + ip_size);
}

void message_add_address(message *m, unsigned type, const endpoint *e)
{
    static const uint8_t no_key[ID_SIZE];
    add_address(m, type, e, no_key);
}

void message_add_xor_address(message *m, unsigned type, const endpoint *e)
{
    uint8_t key[ID_SIZE];
    memcpy(key, m->bytes + 4, sizeof key);
    add_address(m, type, e, key);
}

void message_add_error(message *m, unsigned code, const void *reason, size_t size)
{
    const uint8_t head[4] = {0, 0, (uint8_t)(code / 100), (uint8_t)(code % 100)};
    message_add_bare(m, ERROR_CODE, (unsigned)(sizeof head + size), head, sizeof head);
    message_add_bytes(m, reason, size);
    message_add_bytes(m, NULL, m->unpadded ? 0 : (4 - size % 4) % 4);
}

void message_add_fingerprint(message *m)
{
    uint8_t value[4];
    message_set_length(m, (unsigned)(m->size + 8 - HEADER_SIZE));
    put_u32(value, fingerprint_of(m->bytes, m->size));
    message_add_bare(m, FINGERPRINT, sizeof value, value, sizeof value);
}
