/* SPDX-License-Identifier: MIT */
/* See reference.h. Sections are RFC 8489's. */
#include "reference.h"

#include <string.h>

enum { ATTRIBUTES = MESSAGE_ROOM / 4 };

typedef struct part {
    unsigned type;
    size_t start, length; /* of the value */
} part;

typedef struct parts {
    part list[ATTRIBUTES];
    size_t count;
    size_t end; /* where the last one ends, padding included */
} parts;

const char *meaning_name(meaning m)
{
    static const char *const names[] = {"nothing", "success", "error", "failure"};
    return names[m];
}

/* Takes the message apart. False when the attributes do not end where the message does. */
static bool take_apart(const uint8_t *bytes, size_t size, size_t multiple, parts *out)
{
    size_t at = HEADER_SIZE;
    for (out->count = 0; at + 4 <= size; out->count++) {
        part *p = &out->list[out->count];
        p->type = get_u16(bytes + at);
        p->length = get_u16(bytes + at + 2);
        p->start = at + 4;
        at = p->start + p->length;
        while ((at - HEADER_SIZE) % multiple != 0)
            at++;
    }
    out->end = at;
    return at == size;
}

/* Section 5: a Binding response whose length is that of the datagram. */
static bool has_good_header(const uint8_t *bytes, size_t size)
{
    if (size < HEADER_SIZE)
        return false;
    const bool is_response = memcmp(bytes, "\x01\x01", 2) == 0 || memcmp(bytes, "\x01\x11", 2) == 0;
    return is_response && HEADER_SIZE + (size_t)get_u16(bytes + 2) == size;
}

static bool has_cookie(const uint8_t *bytes)
{
    return memcmp(bytes + 4, "\x21\x12\xa4\x42", 4) == 0;
}

/* Section 14.7: where there is a FINGERPRINT, it is the last attribute and right. */
static bool has_good_fingerprint(const uint8_t *bytes, const parts *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const part *p = &all->list[i];
        if (p->type != FINGERPRINT)
            continue;
        if (i + 1 != all->count || p->length != 4)
            return false;
        const uint32_t said = (uint32_t)get_u16(bytes + p->start) << 16 | get_u16(bytes + p->start + 2);
        if (said != fingerprint_of(bytes, p->start - 4))
            return false;
    }
    return true;
}

/* Section 14.5: what is behind MESSAGE-INTEGRITY does not count. */
static void forget_what_is_not_protected(parts *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i].type == MESSAGE_INTEGRITY || all->list[i].type == MESSAGE_INTEGRITY_SHA256)
            all->count = i;
    }
}

/* Those below 0x8000 that the IANA registry knows: assigned, or reserved for what they once were. */
static bool is_understood(unsigned type)
{
    static const uint8_t registered[] = {
        0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,
        0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a,
        0x1b, 0x1c, 0x1d, 0x1e, 0x20, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x2a,
    };
    return type >= 0x8000 || (type < 0x100 && memchr(registered, (int)type, sizeof registered) != NULL);
}

static bool is_all_understood(const parts *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (!is_understood(all->list[i].type))
            return false;
    }
    return true;
}

/* Section 14.1: is it an address at all? */
static bool is_address(const uint8_t *bytes, const part *p)
{
    const unsigned family = p->length < 2 ? 0 : bytes[p->start + 1];
    return (family == 1 && p->length == 8) || (family == 2 && p->length == 20);
}

static endpoint address_in(const uint8_t *bytes, const part *p, bool is_xored)
{
    endpoint e = {.family = bytes[p->start + 1] == 1 ? 4 : 6};
    uint8_t value[20] = {0};
    memcpy(value, bytes + p->start, p->length);
    for (size_t i = 4; is_xored && i < p->length; i++)
        value[i] ^= bytes[i]; /* section 14.2: bytes 4 and following of the header */
    for (size_t i = 2; is_xored && i < 4; i++)
        value[i] ^= bytes[2 + i];
    memcpy(e.ip, value + 4, p->length - 4);
    e.port = (uint16_t)get_u16(value + 2);
    if (e.family == 6 && memcmp(e.ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0) { /* ::ffff:a.b.c.d */
        e.family = 4;
        memcpy(e.ip, e.ip + 12, 4);
        memset(e.ip + 4, 0, 12);
    }
    return e;
}

/*
 * Nobody has an address of these: "this network", several hosts, the future, and none; or port 0.
 * What goes to some IPv6 addresses goes to the IPv4 address inside.
 */
static bool is_somebodys(const endpoint *e)
{
    static const uint8_t loopback[16] = {[15] = 1}, nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    const uint8_t *v4 = e->ip;
    if (e->family == 0 || e->port == 0)
        return false;
    if (e->family == 6 && (e->ip[0] == 0xff || memcmp(e->ip, loopback, 16) == 0))
        return e->ip[0] != 0xff;
    if (e->family == 6 && e->ip[0] == 0x20 && e->ip[1] == 0x02) /* 6to4 */
        v4 = e->ip + 2;
    else if (e->family == 6 && (memcmp(e->ip, loopback, 12) == 0 || memcmp(e->ip, nat64, 12) == 0))
        v4 = e->ip + 12;
    else if (e->family == 6)
        return true;
    return v4[0] != 0 && v4[0] < 224;
}

/* The first attribute of that type that is an address; family 0 when there is none. */
static endpoint first_address(const uint8_t *bytes, const parts *all, unsigned type, bool is_xored)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->list[i].type == type && is_address(bytes, &all->list[i]))
            return address_in(bytes, &all->list[i], is_xored);
    }
    return (endpoint){.family = 0};
}

static reading read_success(const uint8_t *bytes, const parts *all)
{
    reading r = {.meaning = MEANS_SUCCESS, .mapped = first_address(bytes, all, XOR_MAPPED_ADDRESS, true)};
    const endpoint plain = first_address(bytes, all, MAPPED_ADDRESS, false);
    if (!is_somebodys(&r.mapped))
        r.mapped = first_address(bytes, all, XOR_MAPPED_ADDRESS_OLD, true);
    if (!is_somebodys(&r.mapped))
        r.mapped = plain;
    if (!is_somebodys(&r.mapped))
        return (reading){.meaning = MEANS_FAILURE};
    r.other = first_address(bytes, all, OTHER_ADDRESS, false);
    if (r.other.family == 0)
        r.other = first_address(bytes, all, CHANGED_ADDRESS, false);
    r.origin = first_address(bytes, all, RESPONSE_ORIGIN, false);
    if (r.origin.family == 0)
        r.origin = first_address(bytes, all, SOURCE_ADDRESS, false);
    r.is_rewritten = is_somebodys(&plain) && plain.family == r.mapped.family && !endpoint_equal(&plain, &r.mapped);
    return r;
}

/* Section 14.8. */
static reading read_error(const uint8_t *bytes, const parts *all)
{
    reading r = {.meaning = MEANS_FAILURE};
    for (size_t i = 0; i < all->count && r.meaning == MEANS_FAILURE; i++) {
        const part *p = &all->list[i];
        if (p->type != ERROR_CODE || p->length < 4)
            continue;
        const unsigned class = bytes[p->start + 2] % 8, number = bytes[p->start + 3];
        if (class < 3 || class > 6 || number > 99)
            continue;
        r.meaning = MEANS_ERROR;
        r.error_code = 100 * class + number;
    }
    return r;
}

reading reference_read(const uint8_t *bytes, size_t size)
{
    static parts all;
    const reading nothing = {.meaning = MEANS_NOTHING}, failure = {.meaning = MEANS_FAILURE};
    if (!has_good_header(bytes, size))
        return nothing;
    const bool is_classic = !has_cookie(bytes);
    if (!is_classic && size % 4 != 0)
        return nothing;
    /* RFC 3489 knows no padding, but most of its servers pad. */
    if (!take_apart(bytes, size, 4, &all) && !(is_classic && take_apart(bytes, size, 1, &all)))
        return nothing;
    if (!is_classic && !has_good_fingerprint(bytes, &all))
        return nothing;
    forget_what_is_not_protected(&all);
    if (!is_all_understood(&all))
        return failure;
    return bytes[1] == 0x01 ? read_success(bytes, &all) : read_error(bytes, &all);
}
