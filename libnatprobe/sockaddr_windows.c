/* SPDX-License-Identifier: MIT */
/* Windows' socket library: its beginning and end, interfaces by name, texts. */
#include "sockaddr.h"

#include <errno.h>
#include <iphlpapi.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"

bool npi_sockets_begin(void)
{
    WSADATA unused;
    int code = WSAStartup(MAKEWORD(2, 2), &unused);
    if (code != 0)
        errno = npi_errno_from_windows((unsigned long)code);
    return code == 0;
}

void npi_sockets_end(void)
{
    int kept = errno;
    WSACleanup();
    errno = kept;
}

/* Windows' own texts are in the user's language, and its function for them is not safe with threads. */
const char *npi_name_error_text(int eai)
{
    switch (eai) {
    case EAI_NONAME: /* also EAI_NODATA, and EAI_ADDRFAMILY as this library has it */
        return "Name not known";
    case EAI_AGAIN:
        return "Temporary failure in name resolution";
    case EAI_FAIL:
        return "Failure in name resolution";
    case EAI_MEMORY:
        return "Not enough memory";
    case WSANO_DATA:
        return "No address of this family for the name";
    default:
        return "Name resolution failed";
    }
}

/* Names that people see ("Ethernet 2") are aliases of Windows' own ("ethernet_32769"). */
static unsigned index_of_alias(const char *name)
{
    wchar_t alias[IF_MAX_STRING_SIZE + 1];
    NET_LUID luid;
    NET_IFINDEX index = 0;
    if (MultiByteToWideChar(CP_ACP, 0, name, -1, alias, IF_MAX_STRING_SIZE + 1) == 0)
        return 0;
    if (ConvertInterfaceAliasToLuid(alias, &luid) != NO_ERROR || ConvertInterfaceLuidToIndex(&luid, &index) != NO_ERROR)
        return 0;
    return index;
}

static unsigned find_index(const char *zone)
{
    char name[IF_NAMESIZE + 1];
    unsigned long index = strtoul(zone, NULL, 10);
    bool is_index = strspn(zone, "0123456789") == strlen(zone) && index <= INT_MAX;
    return is_index && if_indextoname((NET_IFINDEX)index, name) != NULL ? (unsigned)index : 0;
}

unsigned npi_interface_index(const char *name)
{
    unsigned index = if_nametoindex(name);
    if (index == 0)
        index = index_of_alias(name);
    if (index == 0)
        errno = ENODEV;
    return index;
}

bool npi_addr_find_scope(const char *zone, npi_addr *a)
{
    if (zone[0] == '\0')
        return true;
    unsigned index = npi_interface_index(zone);
    if (index == 0)
        index = find_index(zone);
    if (index == 0)
        return false;
    *a = npi_addr_with_scope(a, index);
    return true;
}
