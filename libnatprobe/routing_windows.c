/* SPDX-License-Identifier: MIT */
/* What makes a socket's datagrams take one route and not another, on Windows: the interface alone. */
#include "routing.h"

#include <errno.h>

#include "failure.h"
#include "sockaddr.h"

typedef struct interface_option {
    int level;
    int option;
    const char *text;
} interface_option;

static const interface_option *option_of(npi_family family)
{
    static const interface_option ipv4 = {IPPROTO_IP, IP_UNICAST_IF, "setsockopt(IP_UNICAST_IF)"};
    static const interface_option ipv6 = {IPPROTO_IPV6, IPV6_UNICAST_IF, "setsockopt(IPV6_UNICAST_IF)"};
    return family == NPI_IPV4 ? &ipv4 : &ipv6;
}

static bool set_value(np_socket fd, const interface_option *o, DWORD value)
{
    if (setsockopt(fd, o->level, o->option, (const char *)&value, sizeof value) == 0)
        return true;
    (void)npi_take_windows_error();
    return false;
}

/* Copied where it is set, in whichever order of bytes the system has it. What Windows does not know it does not use. */
const char *npi_copy_routing_options(np_socket to, np_socket from, npi_family family)
{
    const interface_option *o = option_of(family);
    DWORD value = 0;
    int length = sizeof value;
    bool is_set = getsockopt(from, o->level, o->option, (char *)&value, &length) == 0 && value != 0;
    return !is_set || set_value(to, o, value) ? NULL : o->text;
}

/* The index of IPv4 is wanted in network order, that of IPv6 as it is. */
bool npi_route_by_interface(np_socket fd, const char *name, npi_family family)
{
    unsigned index = npi_interface_index(name);
    if (index == 0)
        return false;
    return set_value(fd, option_of(family), family == NPI_IPV4 ? htonl(index) : index);
}
