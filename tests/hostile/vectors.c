/* SPDX-License-Identifier: MIT */
/* See vectors.h. */
#include "vectors.h"

#include <string.h>

void vector_heal(const vector *v, uint8_t *bytes)
{
    if (!v->has_fingerprint)
        return;
    const uint32_t value = fingerprint_of(bytes, v->size - 8);
    put_u16(bytes + v->size - 4, value >> 16);
    put_u16(bytes + v->size - 2, value & 0xffff);
}

void vector_answer(const vector *v, const uint8_t *request, uint8_t out[VECTOR_ROOM])
{
    enum { ADDRESS_AT = 36 + 4 }; /* the value of XOR-MAPPED-ADDRESS, in both responses */
    uint8_t key[ID_SIZE];
    vector_load(v, out);
    for (size_t i = 0; i < ID_SIZE; i++)
        key[i] = out[4 + i] ^ request[4 + i];
    memcpy(out + 4, request + 4, ID_SIZE);
    for (size_t i = 0; v->mapped != NULL && i < (out[ADDRESS_AT + 1] == 2 ? 16u : 4u); i++)
        out[ADDRESS_AT + 4 + i] ^= key[i];
    for (size_t i = 0; v->mapped != NULL && i < 2; i++)
        out[ADDRESS_AT + 2 + i] ^= key[i];
    vector_heal(v, out);
}
