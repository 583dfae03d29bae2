/* SPDX-License-Identifier: MIT */
/* The test vectors of RFC 5769: requests with short-term and long-term credentials, and two responses. */
#ifndef TESTS_SUPPORT_RFC5769_H
#define TESTS_SUPPORT_RFC5769_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REQUEST_2_1, RESPONSE_2_2, RESPONSE_2_3, REQUEST_2_4, VECTORS };
enum { VECTOR_ROOM = 116, VECTOR_MAPPED_PORT = 32853 };

typedef struct vector {
    const char *section;
    const char *hex;
    size_t size;
    bool has_fingerprint; /* as the last attribute */
    const char *mapped;   /* of a response; its port is VECTOR_MAPPED_PORT */
} vector;

static const vector vectors[VECTORS] = {
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

static inline unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Its bytes as they are in the RFC. */
static inline void vector_load(const vector *v, uint8_t out[VECTOR_ROOM])
{
    for (size_t i = 0; i < v->size; i++)
        out[i] = (uint8_t)(hex_digit(v->hex[2 * i]) << 4 | hex_digit(v->hex[2 * i + 1]));
}

#endif
