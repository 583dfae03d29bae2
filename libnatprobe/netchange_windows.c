/* SPDX-License-Identifier: MIT */
/*
 * Changes of the network on Windows: NotifyIpInterfaceChange, NotifyUnicastIpAddressChange and NotifyRouteChange2. They
 * call back on threads of the system's, which only leave a mark and wake whoever waits.
 */
#include "netchange.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Before what needs it. */
#include <winsock2.h>
#include <ws2ipdef.h>
#include <iphlpapi.h>
#include <netioapi.h>

#include "sockaddr.h"

typedef struct npi_notices {
    atomic_uint seen;
    _Atomic uint32_t used[NPI_NET_LINKS]; /* as of the last time */
    npi_wake wake;
    HANDLE interfaces, addresses, routes;
} npi_notices;

static void leave(npi_notices *n, unsigned what)
{
    atomic_fetch_or(&n->seen, what);
    npi_poller_wake(n->wake);
}

/* Where no link is known to be in use, it may be any. */
static bool is_used(npi_notices *n, uint32_t link)
{
    bool is_any_known = false;
    for (size_t i = 0; i < NPI_NET_LINKS; i++) {
        uint32_t used = atomic_load(&n->used[i]);
        if (used == link)
            return true;
        is_any_known |= used != 0;
    }
    return !is_any_known;
}

/* An interface that comes or goes. Its settings alone are none of ours. */
static VOID NETIOAPI_API_ on_interface(PVOID context, PMIB_IPINTERFACE_ROW row, MIB_NOTIFICATION_TYPE type)
{
    npi_notices *n = context;
    bool is_cut = row != NULL && type != MibParameterNotification && is_used(n, row->InterfaceIndex);
    leave(n, is_cut ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK);
}

/* An address that goes may be back before anybody looks. */
static VOID NETIOAPI_API_ on_address(PVOID context, PMIB_UNICASTIPADDRESS_ROW row, MIB_NOTIFICATION_TYPE type)
{
    npi_notices *n = context;
    bool is_cut = row != NULL && type == MibDeleteInstance && is_used(n, row->InterfaceIndex);
    leave(n, is_cut ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK);
}

/* A default route by another gateway leads elsewhere, from the same address. */
static VOID NETIOAPI_API_ on_route(PVOID context, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE type)
{
    npi_notices *n = context;
    bool is_cut = row != NULL && type != MibParameterNotification && row->DestinationPrefix.PrefixLength == 0;
    leave(n, is_cut ? NPI_NET_LOOK | NPI_NET_CUT : NPI_NET_LOOK);
}

static void stop(HANDLE notices)
{
    if (notices != NULL)
        CancelMibChangeNotify2(notices); /* waits for a call back that is being made */
}

static void stop_all(npi_notices *n)
{
    stop(n->interfaces);
    stop(n->addresses);
    stop(n->routes);
    free(n);
}

static bool start_all(npi_notices *n)
{
    return NotifyIpInterfaceChange(AF_UNSPEC, on_interface, n, FALSE, &n->interfaces) == NO_ERROR &&
           NotifyUnicastIpAddressChange(AF_UNSPEC, on_address, n, FALSE, &n->addresses) == NO_ERROR &&
           NotifyRouteChange2(AF_UNSPEC, on_route, n, FALSE, &n->routes) == NO_ERROR;
}

bool npi_netchange_open(npi_netchange *n, npi_poller *poller, uint32_t tag)
{
    (void)tag;
    n->notices = calloc(1, sizeof *n->notices);
    if (n->notices == NULL)
        return false;
    n->notices->wake = npi_poller_wake_of(poller);
    if (start_all(n->notices))
        return true;
    npi_netchange_close(n, poller);
    return false;
}

unsigned npi_netchange_take(npi_netchange *n, const uint32_t used[NPI_NET_LINKS])
{
    if (n->notices == NULL)
        return NPI_NET_QUIET;
    for (size_t i = 0; i < NPI_NET_LINKS; i++)
        atomic_store(&n->notices->used[i], used[i]);
    return atomic_exchange(&n->notices->seen, NPI_NET_QUIET);
}

void npi_netchange_close(npi_netchange *n, npi_poller *poller)
{
    (void)poller;
    if (n->notices != NULL)
        stop_all(n->notices);
    n->notices = NULL;
}

uint32_t npi_netchange_link_of(const npi_addr *local)
{
    PMIB_UNICASTIPADDRESS_TABLE table = NULL;
    uint32_t link = 0;
    if (GetUnicastIpAddressTable(AF_UNSPEC, &table) != NO_ERROR)
        return 0;
    for (ULONG i = 0; i < table->NumEntries && link == 0; i++) {
        npi_addr address = npi_addr_from_sockaddr((const struct sockaddr *)&table->Table[i].Address);
        if (npi_addr_is_set(&address) && npi_addr_same_ip(&address, local))
            link = table->Table[i].InterfaceIndex;
    }
    FreeMibTable(table);
    return link;
}
