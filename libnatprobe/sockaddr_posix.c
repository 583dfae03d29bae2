/* SPDX-License-Identifier: MIT */
/* The interfaces that zones of addresses name, on systems of POSIX. */
#include "sockaddr.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* The index, or 0 with errno where no interface has it. */
static unsigned find_index(const char *zone)
{
    char name[IF_NAMESIZE];
    unsigned long index = strtoul(zone, NULL, 10);
    bool is_index = strspn(zone, "0123456789") == strlen(zone) && index <= INT_MAX;
    if (is_index && if_indextoname((unsigned)index, name) != NULL)
        return (unsigned)index;
    if (!is_index || errno == ENXIO)
        errno = ENODEV; /* as for a name */
    return 0;
}

bool npi_addr_find_scope(const char *zone, npi_addr *a)
{
    if (zone[0] == '\0')
        return true;
    unsigned index = if_nametoindex(zone);
    if (index == 0 && (errno == ENODEV || errno == ENXIO))
        index = find_index(zone);
    if (index == 0)
        return false;
    *a = npi_addr_with_scope(a, index);
    return true;
}
