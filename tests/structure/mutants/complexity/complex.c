/* SPDX-License-Identifier: MIT */
/* Seeded violation: a function of complexity 16. */
int npi_mutant_complex(int a);

int npi_mutant_complex(int a)
{
    if (a == 0)
        a += 1;
    if (a == 3)
        a += 2;
    if (a == 6)
        a += 3;
    if (a == 9)
        a += 4;
    if (a == 12)
        a += 5;
    if (a == 15)
        a += 6;
    if (a == 18)
        a += 7;
    if (a == 21)
        a += 8;
    if (a == 24)
        a += 9;
    if (a == 27)
        a += 10;
    if (a == 30)
        a += 11;
    if (a == 33)
        a += 12;
    if (a == 36)
        a += 13;
    if (a == 39)
        a += 14;
    if (a == 42)
        a += 15;
    return a;
}
