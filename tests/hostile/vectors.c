/* SPDX-License-Identifier: MIT */
/* RFC 5769: a request and two responses with short-term credentials, and a request with long-term credentials. */
#include "vectors.h"

#include <string.h>

const vector vectors[VECTORS] = {
    /* Section 2.1, sample request. */
    {"2.1",
     "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
     "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf",
     108, true, NULL},
    /* Section 2.2, sample IPv4 response. */
    {"2.2",
     "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599"
     "fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
     80, true, "192.0.2.1"},
    /* Section 2.3, sample IPv6 response. */
    {"2.3",
     "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5"
     "bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c",
     92, true, "2001:db8:1234:5678:11:2233:4455:6677"},
    /* Section 2.4, sample request with long-term authentication. */
    {"2.4",
     "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39"
     "353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a2"
     "8ca89666",
     116, false, NULL},
};

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void vector_load(const vector *v, uint8_t out[VECTOR_ROOM])
{
    for (size_t i = 0; i < v->size; i++)
        out[i] = (uint8_t)(hex_digit(v->hex[2 * i]) << 4 | hex_digit(v->hex[2 * i + 1]));
}

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
