/* SPDX-License-Identifier: MIT */
/* Seeded violation: an unbounded copy. */
#include <string.h>

void npi_mutant(char *to, const char *from);

void npi_mutant(char *to, const char *from)
{
    strcpy(to, from);
}
