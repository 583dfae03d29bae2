/* SPDX-License-Identifier: MIT */
/* The test vectors of RFC 5769. */
#ifndef TESTS_HOSTILE_VECTORS_H
#define TESTS_HOSTILE_VECTORS_H

#include "message.h"

enum { VECTORS = 4, VECTOR_ROOM = 116, ALL_PREFIXES = 396, ALL_BITS = 8 * ALL_PREFIXES };

typedef struct vector {
    const char *section;
    const char *hex;
    size_t size;
    bool has_fingerprint; /* as the last attribute */
    const char *mapped;   /* of a response; its port is 32853 */
} vector;

enum { VECTOR_MAPPED_PORT = 32853 };

extern const vector vectors[VECTORS];

/* Its bytes as they are in the RFC. */
void vector_load(const vector *v, uint8_t out[VECTOR_ROOM]);
/* The same as an answer to a request: with its id, the same address under it, and a FINGERPRINT that is right. */
void vector_answer(const vector *v, const uint8_t *request, uint8_t out[VECTOR_ROOM]);
/* Makes the last four bytes the FINGERPRINT of what is before that attribute. */
void vector_heal(const vector *v, uint8_t *bytes);

#endif
