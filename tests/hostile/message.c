/* SPDX-License-Identifier: MIT */
/* See message.h. */
#include "message.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "../stun/bitwise_crc32.h"

/* ---- Addresses -------------------------------------------------------------------------------------------------- */

endpoint endpoint_of(const char *ip, unsigned port)
{
    endpoint e = {.family = 4, .port = (uint16_t)port};
    if (inet_pton(AF_INET, ip, e.ip) == 1)
        return e;
    e.family = 6;
    if (inet_pton(AF_INET6, ip, e.ip) != 1)
        abort(); /* a mistake of the test's */
    return e;
}

endpoint endpoint_with_port(const endpoint *e, unsigned port)
{
    endpoint with = *e;
    with.port = (uint16_t)port;
    return with;
}

bool endpoint_same_ip(const endpoint *a, const endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool endpoint_equal(const endpoint *a, const endpoint *b)
{
    return endpoint_same_ip(a, b) && a->port == b->port;
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------ */

unsigned get_u16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

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

uint32_t fingerprint_of(const uint8_t *bytes, size_t size)
{
    return bitwise_crc32(bytes, size) ^ 0x5354554e;
}

/* ---- Messages --------------------------------------------------------------------------------------------------- */

void message_set_length(message *m, unsigned length)
{
    put_u16(m->bytes + 2, length);
}

static void settle_length(message *m)
{
    message_set_length(m, (unsigned)(m->size - HEADER_SIZE) & 0xffff);
}

void message_begin(message *m, unsigned type, const uint8_t *request)
{
    m->size = 0;
    append_u16(m, type);
    append_u16(m, 0);
    append(m, request + 4, ID_SIZE);
}

void message_add_bare(message *m, unsigned type, unsigned length, const void *value, size_t size)
{
    append_u16(m, type);
    append_u16(m, length);
    append(m, value, size);
    settle_length(m);
}

void message_add_bytes(message *m, const void *bytes, size_t size)
{
    append(m, bytes, size);
    settle_length(m);
}

void message_add(message *m, unsigned type, const void *value, size_t size)
{
    message_add_bare(m, type, (unsigned)size, value, size);
    message_add_bytes(m, NULL, (4 - size % 4) % 4);
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
    message_add_bytes(m, NULL, (4 - size % 4) % 4);
}

void message_add_fingerprint(message *m)
{
    message_set_length(m, (unsigned)(m->size + 8 - HEADER_SIZE));
    const uint32_t value = fingerprint_of(m->bytes, m->size);
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    message_add_bare(m, FINGERPRINT, sizeof bytes, bytes, sizeof bytes);
}
