/* SPDX-License-Identifier: MIT */
/*
 * What a STUN client has to make of a datagram, written once more and for nothing but plainness: the message is
 * first taken apart into a list of attributes, and then looked at rule by rule. To compare the library's decoder
 * with.
 */
#ifndef TESTS_SUPPORT_REFERENCE_H
#define TESTS_SUPPORT_REFERENCE_H

#include "message.h"

typedef enum meaning { MEANS_NOTHING, MEANS_SUCCESS, MEANS_ERROR, MEANS_FAILURE } meaning;

typedef struct reading {
    meaning meaning;
    endpoint mapped;     /* of a success, as are: */
    endpoint other;      /* family 0 when there is none */
    endpoint origin;     /* the same */
    bool is_rewritten;   /* the plain address is another than the scrambled one */
    unsigned error_code; /* of an error */
} reading;

reading reference_read(const uint8_t *bytes, size_t size);
const char *meaning_name(meaning m);

#endif
