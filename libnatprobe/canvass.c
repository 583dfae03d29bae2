/* SPDX-License-Identifier: MIT */
/* Which servers a check of a watch asks. */
#include "canvass.h"

#include <string.h>

/* ---- Contacts --------------------------------------------------------------------------------------------------- */

/* The oldest gives way where there is no room, and counts for all from then on. */
static size_t place_for(npi_contacts *c)
{
    size_t oldest = 0;
    if (c->count < NPI_CONTACTS)
        return c->count++;
    for (size_t i = 1; i < NPI_CONTACTS; i++) {
        if (c->all[i].last_ns < c->all[oldest].last_ns)
            oldest = i;
    }
    c->forgotten_ns = npi_time_max(c->forgotten_ns, c->all[oldest].last_ns);
    return oldest;
}

static size_t find(const npi_contacts *c, const npi_addr *address)
{
    size_t i = 0;
    while (i < c->count && !npi_addr_same_ip(&c->all[i].ip, address))
        i++;
    return i;
}

void npi_contacts_note(npi_contacts *c, const npi_addr *address, uint64_t now_ns)
{
    size_t i = find(c, address);
    if (i == c->count)
        i = place_for(c);
    c->all[i].ip = *address;
    c->all[i].last_ns = now_ns;
}

uint64_t npi_contacts_until_ns(const npi_contacts *c, const npi_addr *address)
{
    size_t i = find(c, address);
    uint64_t last_ns = i < c->count ? c->all[i].last_ns : c->forgotten_ns;
    return last_ns == 0 ? NPI_NOW : npi_time_add(last_ns, NPI_NAT_STATE_NS);
}

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

void npi_canvass_init(npi_canvass *c, const npi_server_name *servers, size_t count, const uint8_t *random)
{
    memset(c, 0, sizeof *c);
    c->is_builtin = count == 0;
    c->count = count;
    if (c->is_builtin)
        c->count = npi_builtin_shuffled(c->servers, NP_MAX_SERVERS, random);
    else
        memcpy(c->servers, servers, count * sizeof *servers);
    for (size_t i = 0; i < c->count; i++)
        c->handed_ns[i] = NPI_NEVER;
}

/* Where a name leads is not known here: it counts as asked by every check that had it. */
static uint64_t forgotten_ns(const npi_canvass *c, size_t server)
{
    npi_addr literal;
    if (npi_addr_parse_ip(c->servers[server].host, &literal)) {
        literal = npi_addr_unmap(&literal);
        return npi_contacts_until_ns(&c->contacts, &literal);
    }
    uint64_t handed_ns = c->handed_ns[server];
    return handed_ns == NPI_NEVER ? NPI_NOW : npi_time_add(handed_ns, NPI_NAT_STATE_NS);
}

uint64_t npi_canvass_forgotten_ns(const npi_canvass *c)
{
    uint64_t until_ns = NPI_NOW;
    for (size_t i = 0; i < c->count; i++) {
        if (c->was_handed[i])
            until_ns = npi_time_max(until_ns, forgotten_ns(c, i));
    }
    for (size_t i = 0; i < c->contacts.count; i++)
        until_ns = npi_time_max(until_ns, npi_time_add(c->contacts.all[i].last_ns, NPI_NAT_STATE_NS));
    return until_ns;
}

/* Two that are alike in use change places: a server with a second address is first, one without is second. */
static void shuffle(npi_canvass *c, const uint8_t *random)
{
    for (size_t i = 0; i < c->count; i++) {
        size_t j = i + random[i] % (c->count - i);
        npi_server_name kept = c->servers[i];
        uint64_t kept_ns = c->handed_ns[i];
        c->servers[i] = c->servers[j];
        c->handed_ns[i] = c->handed_ns[j];
        c->servers[j] = kept;
        c->handed_ns[j] = kept_ns;
    }
}

static size_t count_forgotten(const npi_canvass *c, uint64_t now_ns)
{
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++)
        count += forgotten_ns(c, i) <= now_ns;
    return count;
}

static void hand(npi_canvass *c, size_t server, uint64_t now_ns, npi_server_name *out, size_t *count)
{
    c->was_handed[server] = true;
    c->handed_ns[server] = now_ns;
    out[(*count)++] = c->servers[server];
}

static bool is_choice(const npi_canvass *c, size_t server, npi_server_use use, bool only_forgotten, uint64_t now_ns)
{
    return !c->was_handed[server] && (use == NPI_USE_ANY || c->servers[server].use == use) &&
           (!only_forgotten || forgotten_ns(c, server) <= now_ns);
}

/* One server of that use, if there is one left. */
static void hand_next(npi_canvass *c, npi_server_use use, bool only_forgotten, uint64_t now_ns, npi_server_name *out,
                      size_t *count)
{
    for (size_t i = 0; i < c->count; i++) {
        if (is_choice(c, i, use, only_forgotten, now_ns)) {
            hand(c, i, now_ns, out, count);
            return;
        }
    }
}

/* A server with a second address first, and a plain one beside it; see npi_builtin_shuffled(). */
static void hand_builtin(npi_canvass *c, bool only_forgotten, uint64_t now_ns, npi_server_name *out, size_t *count)
{
    static const npi_server_use order[NPI_CANVASS_BUILTIN] = {NPI_USE_BEHAVIOUR, NPI_USE_MAPPING, NPI_USE_BEHAVIOUR,
                                                              NPI_USE_BEHAVIOUR, NPI_USE_MAPPING, NPI_USE_ANY};
    for (size_t i = 0; i < NPI_CANVASS_BUILTIN; i++)
        hand_next(c, order[i], only_forgotten, now_ns, out, count);
}

/* Of the built-in ones a few are enough, of the user's all are wanted. */
bool npi_canvass_choose(npi_canvass *c, uint64_t now_ns, const uint8_t *random, npi_server_name *out, size_t *count)
{
    size_t wanted = c->is_builtin && c->count > NPI_CANVASS_BUILTIN ? NPI_CANVASS_BUILTIN : c->count;
    bool is_fresh = count_forgotten(c, now_ns) >= wanted;
    *count = 0;
    memset(c->was_handed, 0, sizeof c->was_handed);
    if (c->is_builtin) {
        shuffle(c, random);
        hand_builtin(c, is_fresh, now_ns, out, count);
        return is_fresh && *count > 0 && out[0].use == NPI_USE_BEHAVIOUR;
    }
    for (size_t i = 0; i < c->count; i++)
        hand(c, i, now_ns, out, count);
    return is_fresh;
}

void npi_canvass_end(npi_canvass *c, uint64_t now_ns)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->was_handed[i])
            c->handed_ns[i] = now_ns;
    }
}

bool npi_canvass_note(npi_canvass *c, const npi_addr *remote, uint64_t since_ns, uint64_t now_ns)
{
    npi_addr ip = npi_addr_unmap(remote);
    uint64_t until_ns = npi_contacts_until_ns(&c->contacts, &ip);
    npi_contacts_note(&c->contacts, &ip, now_ns);
    return until_ns > now_ns && until_ns < npi_time_add(since_ns, NPI_NAT_STATE_NS);
}
