/* SPDX-License-Identifier: MIT */
/*
 * Reads STUN requests and writes STUN messages, right and wrong ones. It is written from the RFCs and shares no code
 * with the library, so that no mistake can hide in both.
 */
#ifndef TESTS_SUPPORT_MESSAGE_H
#define TESTS_SUPPORT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

enum { BINDING_REQUEST = 0x0001, BINDING_INDICATION = 0x0011, BINDING_SUCCESS = 0x0101, BINDING_ERROR = 0x0111 };

enum {
    MAPPED_ADDRESS = 0x0001,
    CHANGE_REQUEST = 0x0003,
    SOURCE_ADDRESS = 0x0004,
    CHANGED_ADDRESS = 0x0005,
    MESSAGE_INTEGRITY = 0x0008,
    ERROR_CODE = 0x0009,
    UNKNOWN_ATTRIBUTES = 0x000A,
    MESSAGE_INTEGRITY_SHA256 = 0x001C,
    XOR_MAPPED_ADDRESS = 0x0020,
    PADDING = 0x0026,
    RESPONSE_PORT = 0x0027,
    XOR_MAPPED_ADDRESS_OLD = 0x8020,
    SOFTWARE = 0x8022,
    ALTERNATE_SERVER = 0x8023,
    FINGERPRINT = 0x8028,
    RESPONSE_ORIGIN = 0x802B,
    OTHER_ADDRESS = 0x802C
};

enum { HEADER_SIZE = 20, ID_SIZE = 16, REQUEST_ROOM = 28, MESSAGE_ROOM = 70000, LARGEST_DATAGRAM = 65507 };
enum { CHANGE_PORT = 2, CHANGE_IP = 4 };

typedef struct stun_request {
    uint8_t id[ID_SIZE];    /* cookie and transaction id */
    bool cookie;            /* RFC 5389 and later */
    uint32_t change;        /* CHANGE_IP and CHANGE_PORT */
    uint16_t response_port; /* where to answer to; 0: where it came from */
} stun_request;

/* NULL when data is a Binding request that a strict server accepts and that wastes no byte; otherwise what is wrong. */
const char *request_read(stun_request *out, const uint8_t *data, size_t size);

typedef struct message {
    size_t size;
    bool unpadded; /* leave attributes without padding, as some RFC 3489 servers do */
    uint8_t bytes[MESSAGE_ROOM];
} message;

/* A header. Every function that adds something keeps its length field right. */
void message_begin(message *m, unsigned type, const uint8_t id[ID_SIZE]);
/* A Binding request with the magic cookie; change 0: a plain one. */
void message_begin_request(message *m, const uint8_t id[ID_SIZE], uint32_t change);
/* A type, a length and a value as they are: nothing is padded, and length need not be the value's. */
void message_add_bare(message *m, unsigned type, unsigned length, const void *value, size_t size);
/* Padded with zeros; value NULL stands for zeros. */
void message_add(message *m, unsigned type, const void *value, size_t size);
/* Bytes outside of any attribute. */
void message_add_bytes(message *m, const void *bytes, size_t size);
void message_add_address(message *m, unsigned type, const endpoint *e);
/* XORs with the first bytes of the id, which is the magic cookie where there is one. */
void message_add_xor_address(message *m, unsigned type, const endpoint *e);
void message_add_error(message *m, unsigned code, const void *reason, size_t size);
void message_add_fingerprint(message *m);
void message_set_length(message *m, unsigned length);

unsigned get_u16(const uint8_t *at);
void put_u16(uint8_t *at, unsigned value);
void put_u32(uint8_t *at, uint32_t value);
/* What FINGERPRINT must say behind so many bytes of a message. */
uint32_t fingerprint_of(const uint8_t *bytes, size_t size);

#endif
