/* SPDX-License-Identifier: MIT */
/*
 * The simulated servers' own STUN codec, written from the RFCs without a look at the library's, so that a mistake in
 * the library's codec does not cancel itself out.
 */
#ifndef SIM_STUNWIRE_H
#define SIM_STUNWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "endpoint.h"

#define WIRE_MAX 256 /* longest datagram that is simulated */
#define WIRE_ID 16   /* cookie and transaction id */

enum {
    WIRE_REQUEST = 0x0001,
    WIRE_SUCCESS = 0x0101,
    WIRE_ERROR = 0x0111,
    ATTR_MAPPED_ADDRESS = 0x0001,
    ATTR_CHANGE_REQUEST = 0x0003,
    ATTR_SOURCE_ADDRESS = 0x0004,
    ATTR_CHANGED_ADDRESS = 0x0005,
    ATTR_ERROR_CODE = 0x0009,
    ATTR_UNKNOWN_ATTRIBUTES = 0x000a,
    ATTR_XOR_MAPPED_ADDRESS = 0x0020,
    ATTR_XOR_MAPPED_OLD = 0x8020,
    ATTR_SOFTWARE = 0x8022,
    ATTR_ALTERNATE_SERVER = 0x8023,
    ATTR_FINGERPRINT = 0x8028,
    ATTR_RESPONSE_ORIGIN = 0x802b,
    ATTR_OTHER_ADDRESS = 0x802c
};

enum { CHANGE_PORT = 2, CHANGE_IP = 4 };

typedef struct wire_request {
    uint8_t id[WIRE_ID];
    bool cookie;     /* RFC 5389 and later */
    uint32_t change; /* CHANGE_IP and CHANGE_PORT */
} wire_request;

/* NULL when data is a Binding request that a strict server accepts and that wastes no byte; else what is wrong. */
const char *wire_parse_request(const uint8_t *data, size_t size, wire_request *out);

typedef struct wire_message {
    uint8_t data[WIRE_MAX];
    size_t size;
    bool unpadded; /* leave attributes without padding, as some RFC 3489 servers do */
} wire_message;

void wire_begin(wire_message *m, unsigned type, const uint8_t id[WIRE_ID]);
/* A Binding request of RFC 5780's; change 0: a plain one. */
void wire_request_begin(wire_message *m, const uint8_t id[WIRE_ID], uint32_t change);
void wire_address(wire_message *m, unsigned attribute, const endpoint *a);
/* XORs with the first bytes of the id, which is the magic cookie where there is one. */
void wire_xor_address(wire_message *m, unsigned attribute, const endpoint *a);
void wire_bytes(wire_message *m, unsigned attribute, const void *bytes, size_t n);
void wire_error(wire_message *m, unsigned code, const char *reason);
void wire_fingerprint(wire_message *m);

#endif
