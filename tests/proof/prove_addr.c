/* SPDX-License-Identifier: MIT */
/* addr: every address, and every pair of them. */
#include "proof.h"

static void check_one(const npi_addr *a)
{
    npi_addr plain = npi_addr_unmap(a);
    npi_addr again = npi_addr_unmap(&plain);
    npi_addr_class class = npi_addr_classify(a);
    prove(npi_addr_equal(&plain, &again), "nothing is left to unmap");
    prove(plain.port == a->port && npi_addr_is_set(&plain) == npi_addr_is_set(a), "unmapping keeps the port");
    prove(class >= NPI_CLASS_GLOBAL && class <= NPI_CLASS_RESERVED, "a class");
    prove(class == npi_addr_classify(&plain), "the class is the unmapped address's");
    prove(npi_addr_is_set(a) || class == NPI_CLASS_RESERVED, "no address is in no usable class");
    if (plain.family == NPI_IPV4) {
        prove((class == NPI_CLASS_LOOPBACK) == (plain.ip[0] == 127), "127/8");
        prove((class == NPI_CLASS_MULTICAST) == (plain.ip[0] >> 4 == 14), "224/4");
        prove((class == NPI_CLASS_UNSPECIFIED) == (plain.ip[0] == 0), "0/8");
    }
    prove(!npi_addr_is_destination(a) || (npi_addr_is_set(a) && a->port != 0 && !npi_addr_is_any(a)),
          "a destination is one");
    uint16_t port = nondet_u16();
    npi_addr with = npi_addr_with_port(a, port);
    prove(with.port == port && npi_addr_same_ip(&with, a), "only the port changes");
}

/* To whatever a server names, no datagram goes that does harm there. */
static void check_alternate(const npi_addr *server, const npi_addr *alternate)
{
    if (!npi_addr_is_alternate(server, alternate))
        return;
    npi_addr a = npi_addr_unmap(server);
    npi_addr b = npi_addr_unmap(alternate);
    npi_addr_class class = npi_addr_classify(&b);
    prove(a.family == b.family && !npi_addr_same_ip(&a, &b) && a.port != b.port, "another address and another port");
    prove(class == NPI_CLASS_GLOBAL || class == npi_addr_classify(&a), "global, or of the server's own class");
    prove(npi_addr_is_destination(alternate), "a destination");
    prove(b.port >= 1024 || b.port == 80 || b.port == 443, "no system port but the web's");
    prove(b.port != 5353 && b.port != 11211 && b.port != 1900, "no amplifier");
}

int main(void)
{
    npi_addr a = any_addr();
    npi_addr b = any_addr();
    check_one(&a);
    check_alternate(&a, &b);
    prove(npi_addr_equal(&a, &a) && npi_addr_equal(&a, &b) == npi_addr_equal(&b, &a), "equality is one");
    prove(!npi_addr_equal(&a, &b) || npi_addr_same_ip(&a, &b), "equal addresses have the same IP address");
}
