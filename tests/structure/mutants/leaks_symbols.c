/* SPDX-License-Identifier: MIT */
/* Seeded violation: a library that exports what is internal. */
int npi_leaked_internal(void);

int npi_leaked_internal(void)
{
    return 0;
}
