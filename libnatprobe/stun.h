/* SPDX-License-Identifier: MIT */
/*
 * STUN messages: encodes a Binding request, decodes a response. RFC 8489 (and 5389), RFC 5780, RFC 3489.
 * No sockets, no clock, no memory of its own.
 */
#ifndef NPI_STUN_H
#define NPI_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

#define NPI_STUN_ID_SIZE 16      /* cookie and transaction id: the 128-bit id of RFC 3489 */
#define NPI_STUN_REQUEST_SIZE 28 /* header and CHANGE-REQUEST or RESPONSE-PORT */
#define NPI_STUN_COOKIE 0x2112A442u

/* Flags of CHANGE-REQUEST, RFC 5780 section 7.2. */
#define NPI_STUN_CHANGE_IP 0x4u
#define NPI_STUN_CHANGE_PORT 0x2u

typedef enum npi_stun_dialect { NPI_STUN_RFC8489, NPI_STUN_RFC3489 } npi_stun_dialect;

/* The id as it stands in bytes 4 to 19 of the header. */
typedef struct npi_stun_id {
    uint8_t bytes[NPI_STUN_ID_SIZE];
} npi_stun_id;

/* Makes an id from 16 random bytes: all of them for RFC 3489, 12 behind the magic cookie for RFC 8489. */
npi_stun_id npi_stun_make_id(npi_stun_dialect dialect, const uint8_t random[NPI_STUN_ID_SIZE]);
bool npi_stun_id_equal(const npi_stun_id *a, const npi_stun_id *b);

/* Writes a Binding indication, which nobody answers (RFC 8489 section 6.3.2). Returns its length. */
size_t npi_stun_encode_indication(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id);
/* Writes a Binding request to be answered to another port of this host's (RFC 5780 section 7.5). Returns its length. */
size_t npi_stun_encode_response_port(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint16_t port);
/* Writes a Binding request; change 0 leaves CHANGE-REQUEST out. Returns its length, 20 or 28. */
size_t npi_stun_encode_request(uint8_t out[NPI_STUN_REQUEST_SIZE], const npi_stun_id *id, uint32_t change);

typedef enum npi_stun_kind {
    NPI_STUN_DROP,    /* not a STUN response, or one to be passed over in silence (RFC 8489 section 6.3.4) */
    NPI_STUN_SUCCESS, /* a Binding success response with a mapped address */
    NPI_STUN_ERROR,   /* a Binding error response with a valid ERROR-CODE */
    NPI_STUN_UNUSABLE /* a Binding response that fails its transaction: no address, no error code, or something in it
                         that would have to be understood */
} npi_stun_kind;

typedef struct npi_stun_response {
    npi_stun_kind kind;
    npi_stun_id id;
    npi_addr mapped;        /* XOR-MAPPED-ADDRESS (0x0020, then 0x8020), else MAPPED-ADDRESS */
    npi_addr other;         /* OTHER-ADDRESS, else CHANGED-ADDRESS; family none when absent */
    npi_addr origin;        /* RESPONSE-ORIGIN, else SOURCE-ADDRESS; family none when absent */
    uint16_t error_code;    /* 300 to 699 for NPI_STUN_ERROR */
    bool address_rewritten; /* MAPPED-ADDRESS and XOR-MAPPED-ADDRESS disagree: an ALG, RFC 5780 section 4.6 */
} npi_stun_response;

/* Decodes one datagram. Every field of out is written; for NPI_STUN_DROP only kind means anything. */
npi_stun_kind npi_stun_decode(const uint8_t *data, size_t size, npi_stun_response *out);

#endif
