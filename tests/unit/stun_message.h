/* SPDX-License-Identifier: MIT */
/* Messages (support/message.h) with the library's addresses and ids in them, and what its decoder makes of them. */
#ifndef STUN_MESSAGE_H
#define STUN_MESSAGE_H

#include <stdlib.h>
#include <string.h>

#include "../support/message.h"
#include "../support/npi_addr.h"
#include "stun.h"
#include "unit.h"

/* An id with the magic cookie, and one without. */
static const npi_stun_id cookie_id = {{0x21, 0x12, 0xa4, 0x42, 0x80, 0xff, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xfe}};
static const npi_stun_id classic_id = {{0xf0, 0x0d, 0xbe, 0xef, 0x80, 0xff, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xfe}};

static inline void add_address(message *m, unsigned type, npi_addr a)
{
    const endpoint e = endpoint_from_npi(&a);
    message_add_address(m, type, &e);
}

static inline void add_xor_address(message *m, unsigned type, npi_addr a)
{
    const endpoint e = endpoint_from_npi(&a);
    message_add_xor_address(m, type, &e);
}

static inline void add_error(message *m, unsigned code, const char *reason)
{
    message_add_error(m, code, reason, strlen(reason));
}

/* Decodes a copy in memory of exactly that size, so that a read past it is seen; out is filled with rubbish before. */
static inline npi_stun_kind decode_exact(const uint8_t *bytes, size_t size, npi_stun_response *out)
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

static inline npi_stun_kind decode(const message *m, npi_stun_response *out)
{
    return decode_exact(m->bytes, m->size, out);
}

#endif
