/* SPDX-License-Identifier: MIT */
/* Builds STUN messages, right and wrong ones. Shares no code with the library, so that no mistake can hide in both. */
#ifndef TESTS_HOSTILE_MESSAGE_H
#define TESTS_HOSTILE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../stun/attributes.h"

enum { TYPE_REQUEST = 0x0001, TYPE_INDICATION = 0x0011, TYPE_SUCCESS = 0x0101, TYPE_ERROR = 0x0111 };

enum { HEADER_SIZE = 20, ID_SIZE = 16, REQUEST_ROOM = 28, MESSAGE_ROOM = 70000, LARGEST_DATAGRAM = 65507 };
enum { CHANGE_PORT = 2, CHANGE_IP = 4 };

typedef struct endpoint {
    uint8_t family; /* 4, 6, or 0 for none */
    uint8_t ip[16]; /* network order */
    uint16_t port;
} endpoint;

/* From an IP literal; the port may be 0. */
endpoint endpoint_of(const char *ip, unsigned port);
endpoint endpoint_with_port(const endpoint *e, unsigned port);
bool endpoint_equal(const endpoint *a, const endpoint *b);
bool endpoint_same_ip(const endpoint *a, const endpoint *b);

typedef struct message {
    size_t size;
    uint8_t bytes[MESSAGE_ROOM];
} message;

/* A header of that type with the id of a request. Its length field is kept right by all that adds something. */
void message_begin(message *m, unsigned type, const uint8_t *request);
/* What is given as it is: nothing is padded, and length need not be the value's. */
void message_add_bare(message *m, unsigned type, unsigned length, const void *value, size_t size);
/* Padded with zeros; value NULL stands for zeros. */
void message_add(message *m, unsigned type, const void *value, size_t size);
/* Bytes outside of any attribute. */
void message_add_bytes(message *m, const void *bytes, size_t size);
void message_add_address(message *m, unsigned type, const endpoint *e);
/* Scrambled with bytes 4 to 19 of the header. */
void message_add_xor_address(message *m, unsigned type, const endpoint *e);
void message_add_error(message *m, unsigned code, const void *reason, size_t size);
void message_add_fingerprint(message *m);
void message_set_length(message *m, unsigned length);

unsigned get_u16(const uint8_t *at);
void put_u16(uint8_t *at, unsigned value);
/* What FINGERPRINT has to say behind so many bytes of a message. */
uint32_t fingerprint_of(const uint8_t *bytes, size_t size);

#endif
