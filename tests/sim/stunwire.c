/* SPDX-License-Identifier: MIT */
/* RFC 8489 section 5, 14 and RFC 5780 section 7, as a server needs them. */
#include "stunwire.h"

#include <string.h>

#include "../stun/bitwise_crc32.h"

#define COOKIE 0x2112A442u

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static const char *parse_change(const uint8_t *a, wire_request *out)
{
    if (get16(a) != ATTR_CHANGE_REQUEST || get16(a + 2) != 4)
        return "an attribute that is not CHANGE-REQUEST";
    out->change = get32(a + 4);
    if ((out->change & ~(uint32_t)(CHANGE_IP | CHANGE_PORT)) != 0)
        return "reserved bits in CHANGE-REQUEST";
    return out->change == 0 ? "CHANGE-REQUEST that asks for nothing" : NULL;
}

const char *wire_parse_request(const uint8_t *data, size_t size, wire_request *out)
{
    memset(out, 0, sizeof *out);
    if (size != 20 && size != 28)
        return "request of a wrong size";
    if (get16(data) != WIRE_REQUEST)
        return "not a Binding request";
    if (get16(data + 2) != size - 20)
        return "wrong length in the header";
    memcpy(out->id, data + 4, WIRE_ID);
    out->cookie = get32(data + 4) == COOKIE;
    return size == 28 ? parse_change(data + 20, out) : NULL;
}

static uint8_t *append(wire_message *m, size_t n)
{
    uint8_t *at = m->data + m->size;
    memset(at, 0, n);
    m->size += n;
    put16(m->data + 2, (unsigned)(m->size - 20));
    return at;
}

static size_t padding(const wire_message *m, size_t n)
{
    return m->unpadded ? 0 : (4 - n % 4) % 4;
}

void wire_begin(wire_message *m, unsigned type, const uint8_t id[WIRE_ID])
{
    memset(m, 0, sizeof *m);
    put16(m->data, type);
    memcpy(m->data + 4, id, WIRE_ID);
    m->size = 20;
}

void wire_bytes(wire_message *m, unsigned attribute, const void *bytes, size_t n)
{
    uint8_t *at = append(m, 4 + n + padding(m, n));
    put16(at, attribute);
    put16(at + 2, (unsigned)n);
    if (n > 0)
        memcpy(at + 4, bytes, n);
}

void wire_request_begin(wire_message *m, const uint8_t id[WIRE_ID], uint32_t change)
{
    uint8_t value[4];
    wire_begin(m, WIRE_REQUEST, id);
    put32(m->data + 4, COOKIE);
    put32(value, change);
    if (change != 0)
        wire_bytes(m, ATTR_CHANGE_REQUEST, value, sizeof value);
}

static void address_value(wire_message *m, unsigned attribute, const endpoint *a, const uint8_t mask[WIRE_ID])
{
    uint8_t value[20] = {0};
    size_t ip = a->family == 4 ? 4 : 16;
    value[1] = a->family == 4 ? 1 : 2;
    put16(value + 2, (unsigned)a->port ^ get16(mask));
    for (size_t i = 0; i < ip; i++)
        value[4 + i] = a->ip[i] ^ mask[i];
    wire_bytes(m, attribute, value, 4 + ip);
}

void wire_address(wire_message *m, unsigned attribute, const endpoint *a)
{
    static const uint8_t none[WIRE_ID] = {0};
    address_value(m, attribute, a, none);
}

void wire_xor_address(wire_message *m, unsigned attribute, const endpoint *a)
{
    uint8_t mask[WIRE_ID];
    memcpy(mask, m->data + 4, WIRE_ID);
    address_value(m, attribute, a, mask);
}

void wire_error(wire_message *m, unsigned code, const char *reason)
{
    uint8_t value[64] = {[2] = (uint8_t)(code / 100), [3] = (uint8_t)(code % 100)};
    size_t n = strlen(reason);
    memcpy(value + 4, reason, n < 60 ? n : 60);
    wire_bytes(m, ATTR_ERROR_CODE, value, 4 + (n < 60 ? n : 60));
}

void wire_fingerprint(wire_message *m)
{
    uint8_t *at = append(m, 8);
    put16(at, ATTR_FINGERPRINT);
    put16(at + 2, 4);
    put32(at + 4, bitwise_crc32(m->data, m->size - 8) ^ 0x5354554eu);
}
