/* SPDX-License-Identifier: MIT */
/* The check sum of ISO 3309, from its definition: one bit at a time, without the library's table. */
#ifndef TESTS_SUPPORT_BITWISE_CRC32_H
#define TESTS_SUPPORT_BITWISE_CRC32_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t bitwise_crc32(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

#endif
