/* SPDX-License-Identifier: MIT */
/* seeded: x86_64-linux-gnu.2.17: getrandom: a function that came later */
#include <stddef.h>

int getrandom(void *out, size_t size, unsigned flags);

/* The linker leaves out what nobody calls. */
__attribute__((constructor)) static void seeded_symbol(void)
{
    char byte;
    (void)getrandom(&byte, sizeof byte, 0);
}
