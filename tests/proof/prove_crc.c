/* SPDX-License-Identifier: MIT */
/* stun: the check sum. Its loop over every reader of at most SIZE bytes, and its value by the definition of CRC-32. */
#include "stun.c" /* for what is static there */

#include "../support/bitwise_crc32.h"
#include "proof.h"

#define SHORT 1

int main(void)
{
    uint8_t data[SIZE];
    size_t size = nondet_size();
    assume(size <= SIZE);
    uint32_t crc = crc32(npi_reader_over(data + (SIZE - size), size));
    prove(size > SHORT || crc == bitwise_crc32(data + (SIZE - size), size), "CRC-32");
}
