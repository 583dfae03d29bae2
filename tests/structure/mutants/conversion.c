/* SPDX-License-Identifier: MIT */
/* Seeded defect: a value that may not fit, silently cut. */
char npi_mutant_cut(long value);

char npi_mutant_cut(long value)
{
    return value;
}
