/* SPDX-License-Identifier: MIT */
/* Seeded violation of the sans-IO rule: a core file that opens a socket and allocates memory. */
#include <stdlib.h>
#include <sys/socket.h>

int npi_mutant_socket(void);
void *npi_mutant_memory(size_t size);

int npi_mutant_socket(void)
{
    return socket(AF_INET, SOCK_DGRAM, 0);
}

void *npi_mutant_memory(size_t size)
{
    return malloc(size);
}
