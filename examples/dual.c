/* SPDX-License-Identifier: MIT */
/* Both families at the same time: a NAT for IPv4, and perhaps a firewall for IPv6. */
#include <stdio.h>

#include <natprobe/natprobe.h>

static void print(const char *family, const np_result *r)
{
    const char *type = np_nat_type_description(r->nat_type);
    if (r->error == NP_OK)
        printf("%s: %s, seen as %s port %u\n", family, type, r->external_ip, r->external_port);
    else
        printf("%s: %s\n", family, r->detail);
}

int main(void)
{
    np_result ipv4, ipv6;
    int error = np_check_nat_dual(&ipv4, &ipv6);
    print("IPv4", &ipv4);
    print("IPv6", &ipv6);
    return error == NP_OK ? 0 : 1;
}
