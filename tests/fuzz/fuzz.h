/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share with the drivers that feed them, and among themselves. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that no input may break. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* What is left of the input. An input that has come to its end yields zeros. */
typedef struct input {
    const uint8_t *data;
    size_t size;
} input;

static inline uint8_t take(input *in)
{
    if (in->size == 0)
        return 0;
    in->size--;
    return *in->data++;
}

static inline uint16_t take_u16(input *in)
{
    const unsigned high = take(in);
    return (uint16_t)(high << 8 | take(in));
}

/* Fewer than wanted where the input ends; how many is returned. */
static inline size_t take_bytes(input *in, uint8_t *out, size_t wanted)
{
    const size_t n = wanted < in->size ? wanted : in->size;
    if (n > 0)
        memcpy(out, in->data, n);
    in->data += n;
    in->size -= n;
    return n;
}

#endif
