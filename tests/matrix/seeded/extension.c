/* SPDX-License-Identifier: MIT */
/* seeded: aarch64-pc-windows-msvc: statement-expression: an extension of GNU's */
int npi_seeded_extension(void);

int npi_seeded_extension(void)
{
    return ({ 1; });
}
