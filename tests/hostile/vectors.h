/* SPDX-License-Identifier: MIT */
/* What becomes of the test vectors of RFC 5769. */
#ifndef TESTS_HOSTILE_VECTORS_H
#define TESTS_HOSTILE_VECTORS_H

#include "../support/rfc5769.h"
#include "../support/message.h"

enum { ALL_PREFIXES = 396, ALL_BITS = 8 * ALL_PREFIXES };

/* The same as an answer to a request: with its id, the same address under it, and a FINGERPRINT that is right. */
void vector_answer(const vector *v, const uint8_t *request, uint8_t out[VECTOR_ROOM]);
/* Makes the last four bytes the FINGERPRINT of what is before that attribute. */
void vector_heal(const vector *v, uint8_t *bytes);

#endif
