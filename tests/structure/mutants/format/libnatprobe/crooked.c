/* SPDX-License-Identifier: MIT */
/* Seeded violation: two spaces where the style has four. */
int npi_mutant_crooked(int n);

int npi_mutant_crooked(int n)
{
  return n;
}
