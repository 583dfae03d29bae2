/* Seeded violations: no licence line, an unbounded copy, an end of the caller's process. */
#include <stdlib.h>
#include <string.h>

void npi_mutant(char *to, const char *from);

void npi_mutant(char *to, const char *from)
{
    strcpy(to, from);
    if (to[0] == '\0')
        abort();
}
