/* SPDX-License-Identifier: MIT */
/* Seeded violation: one half of a circle. No include shows it. */
int npi_upper(int n);
int npi_lower(int n);

int npi_upper(int n)
{
    return n > 0 ? npi_lower(n - 1) : n;
}
