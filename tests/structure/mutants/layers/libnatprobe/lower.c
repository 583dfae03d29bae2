/* SPDX-License-Identifier: MIT */
/* Seeded violation: the other half of the circle. */
int npi_upper(int n);
int npi_lower(int n);

int npi_lower(int n)
{
    return n > 0 ? npi_upper(n - 1) : n;
}
