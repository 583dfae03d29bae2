/* SPDX-License-Identifier: MIT */
/* seeded: s390x-linux-musl: -Wsign-conversion: what compiles, with a warning */
int npi_seeded_warning(unsigned size);

int npi_seeded_warning(unsigned size)
{
    return size;
}
