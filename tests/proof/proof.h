/* SPDX-License-Identifier: MIT */
/* What every proof needs. What a function nondet_... returns stands for every value of its type. */
#ifndef NPI_PROOF_H
#define NPI_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"

size_t nondet_size(void);
bool nondet_bool(void);
uint8_t nondet_u8(void);
uint16_t nondet_u16(void);
uint32_t nondet_u32(void);
npi_addr nondet_addr(void);

void __CPROVER_assume(_Bool condition);
void __CPROVER_assert(_Bool condition, const char *what);

#define assume(condition) __CPROVER_assume(condition)
#define prove(condition, what) __CPROVER_assert(condition, what)

/* Every address that the library makes: the bytes that the family does not use are zero. */
static inline npi_addr any_addr(void)
{
    static const uint8_t zeros[16];
    npi_addr a = nondet_addr();
    assume(a.family == NPI_FAMILY_NONE || a.family == NPI_IPV4 || a.family == NPI_IPV6);
    assume(a.family != NPI_IPV4 || memcmp(a.ip + 4, zeros, 12) == 0);
    assume(a.family != NPI_FAMILY_NONE || (memcmp(a.ip, zeros, 16) == 0 && a.port == 0));
    return a;
}

#endif
