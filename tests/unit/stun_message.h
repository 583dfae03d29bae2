/* SPDX-License-Identifier: MIT */
/* Builds STUN messages, right and wrong ones, without the library's own codec. */
#ifndef STUN_MESSAGE_H
#define STUN_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "../stun/attributes.h"
#include "../stun/bitwise_crc32.h"
#include "stun.h"

enum { BINDING_REQUEST = 0x0001, BINDING_INDICATION = 0x0011, BINDING_SUCCESS = 0x0101, BINDING_ERROR = 0x0111 };

#define MSG_ROOM 70000

typedef struct msg {
    uint8_t bytes[MSG_ROOM];
    size_t size;
} msg;

/* An id with the magic cookie, and one without. */
extern const npi_stun_id cookie_id;
extern const npi_stun_id classic_id;

/* The header; its length field is kept right by every msg_add. */
void msg_begin(msg *m, uint16_t type, const npi_stun_id *id);
/* A type, a length, and what is given as value: nothing is padded. length need not be the value's. */
void msg_add_raw(msg *m, uint16_t type, uint16_t length, const void *value, size_t size);
void msg_add_unpadded(msg *m, uint16_t type, const void *value, size_t size);
/* Padded with zeros. */
void msg_add(msg *m, uint16_t type, const void *value, size_t size);
void msg_add_address(msg *m, uint16_t type, npi_addr a);
/* Scrambled with bytes 4 to 19 of the header. */
void msg_add_xor_address(msg *m, uint16_t type, npi_addr a);
void msg_add_error(msg *m, unsigned code, const char *reason);
void msg_add_fingerprint(msg *m);
void msg_set_length(msg *m, uint16_t length);

/* Decodes a copy in memory of exactly that size, so that a read past it is seen; out is filled with rubbish before. */
npi_stun_kind decode_exact(const uint8_t *bytes, size_t size, npi_stun_response *out);
npi_stun_kind msg_decode(const msg *m, npi_stun_response *out);

#endif
