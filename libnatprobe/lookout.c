/* SPDX-License-Identifier: MIT */
/* Whether this host's network has changed, or the host was suspended. */
#include "lookout.h"

#include <string.h>

#include "clock.h"

/* Servers that are names may be anywhere. These are root name servers: a route to them is one to everywhere. */
static const char *const anywhere[] = {"198.41.0.4", "2001:503:ba3e::2:30"};
#define ANYWHERE_COUNT (sizeof anywhere / sizeof anywhere[0])

/* ---- Where to ---------------------------------------------------------------------------------------------------- */

/* Those that are never asked tell nothing of the way. */
static bool may_be_asked(const npi_lookout *l, const npi_addr *target)
{
    const npi_addr *source = &l->socket.source;
    return (l->family == NP_FAMILY_ANY || l->family == target->family) &&
           (!npi_addr_is_set(source) || source->family == target->family);
}

static void add_target(npi_lookout *l, const char *literal, uint16_t port)
{
    npi_addr target;
    if (!npi_addr_parse_ip(literal, &target))
        return;
    target = npi_addr_unmap(&target);
    if (!may_be_asked(l, &target))
        return;
    target.port = port;
    l->targets[l->target_count++] = target;
}

static void choose_targets(npi_lookout *l, const npi_server_name *servers, size_t count)
{
    npi_addr unused;
    size_t most = NPI_LOOKOUT_TARGETS - ANYWHERE_COUNT;
    bool has_names = count == 0;
    for (size_t i = 0; i < count && l->target_count < most; i++)
        add_target(l, servers[i].host, servers[i].port);
    for (size_t i = 0; i < count; i++)
        has_names |= !npi_addr_parse_ip(servers[i].host, &unused);
    l->has_all_targets = l->target_count < most && !has_names;
    for (size_t i = 0; i < ANYWHERE_COUNT && has_names; i++)
        add_target(l, anywhere[i], NPI_STUN_PORT);
}

/* ---- From where ------------------------------------------------------------------------------------------------- */

static void note_links(npi_lookout *l)
{
    size_t found = 0;
    memset(l->links, 0, sizeof l->links);
    for (size_t i = 0; i < l->target_count && found < NPI_NET_LINKS; i++) {
        if (!npi_addr_is_set(&l->locals[i]))
            continue;
        uint32_t link = npi_netchange_link_of(&l->locals[i]);
        if (link != 0 && (found == 0 || link != l->links[0]))
            l->links[found++] = link;
    }
}

static bool is_no_way(int error)
{
    return error == NP_ERR_NETWORK_UNREACHABLE || error == NP_ERR_ADDRESS_NOT_AVAILABLE;
}

/* True when an address is another one than before. What cannot be told just now stays as it was. */
static bool look(npi_lookout *l)
{
    bool is_changed = false;
    l->error = NP_OK;
    for (size_t i = 0; i < l->target_count; i++) {
        npi_addr local;
        memset(&local, 0, sizeof local);
        int error = npi_vantage_towards(&l->socket, &l->targets[i], &local);
        if (error != NP_OK)
            l->error = error;
        if (error != NP_OK && !is_no_way(error))
            continue;
        if (error != NP_OK)
            memset(&local, 0, sizeof local);
        bool was_set = npi_addr_is_set(&l->locals[i]);
        is_changed |= was_set != npi_addr_is_set(&local) || (was_set && !npi_addr_equal(&l->locals[i], &local));
        l->locals[i] = local;
    }
    note_links(l);
    l->next_ns = npi_clock_now() + (l->has_notices ? NPI_LOOKOUT_SLOW_NS : NPI_LOOKOUT_FAST_NS);
    return is_changed;
}

int npi_lookout_way(const npi_lookout *l)
{
    for (size_t i = 0; i < l->target_count; i++) {
        if (npi_addr_is_set(&l->locals[i]))
            return NP_OK;
    }
    return l->has_all_targets && is_no_way(l->error) ? l->error : NP_OK;
}

/* ---- Suspension ------------------------------------------------------------------------------------------------- */

/* The one clock goes on meanwhile, the other does not. */
static uint64_t asleep_ns(void)
{
    uint64_t awake_ns = npi_clock_awake();
    return npi_clock_now() - awake_ns;
}

static bool was_asleep(npi_lookout *l)
{
    uint64_t so_far_ns = asleep_ns();
    bool is_more = (int64_t)(so_far_ns - l->asleep_ns) >= (int64_t)NPI_LOOKOUT_ASLEEP_NS;
    l->asleep_ns = so_far_ns;
    return is_more;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

void npi_lookout_open(npi_lookout *l, npi_poller *poller, uint32_t tag, const npi_vantage_socket *socket,
                      int32_t family, const npi_server_name *servers, size_t count)
{
    memset(l, 0, sizeof *l);
    l->poller = poller;
    l->socket = *socket;
    l->family = family;
    choose_targets(l, servers, count);
    l->has_notices = npi_netchange_open(&l->net, poller, tag); /* first: what changes from here on is told */
    l->asleep_ns = asleep_ns();
    (void)look(l);
}

void npi_lookout_close(npi_lookout *l)
{
    npi_netchange_close(&l->net, l->poller);
}

uint64_t npi_lookout_next_ns(const npi_lookout *l)
{
    return l->next_ns;
}

unsigned npi_lookout_turn(npi_lookout *l)
{
    unsigned notices = npi_netchange_take(&l->net, l->links);
    unsigned found = was_asleep(l) ? NPI_LOOKOUT_RESUMED : 0;
    bool is_time = npi_clock_now() >= l->next_ns;
    bool is_changed = (notices & NPI_NET_CUT) != 0;
    if ((notices & NPI_NET_LOOK) != 0 || found != 0 || is_time)
        is_changed |= look(l);
    return is_changed ? found | NPI_LOOKOUT_CHANGED : found;
}
