/* SPDX-License-Identifier: MIT */
/* stun: the check sum. Its loop over every reader of at most SIZE bytes, and its value against the definition of CRC-32. */
#include "stun.c" /* for what is static there */

#include "proof.h"

#define SHORT 1

/* ISO 3309, one bit at a time. */
static uint32_t crc32_by_bits(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

int main(void)
{
    uint8_t data[SIZE];
    size_t size = nondet_size();
    assume(size <= SIZE);
    uint32_t crc = crc32(npi_reader_over(data + (SIZE - size), size));
    prove(size > SHORT || crc == crc32_by_bits(data + (SIZE - size), size), "CRC-32");
}
