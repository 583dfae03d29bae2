/* SPDX-License-Identifier: MIT */
/* Every plain request that left, in the order in which they left. */
#include "sightings.h"

#include "findings.h"

/* Each server's requests, those of each trial, of the fresh sockets that show their way, and of those that compare. */
#define SIGHTINGS_MAX                                                                                                  \
    (NPI_SERVERS_MAX * NPI_SERVER_EXCHANGES + NPI_TRIALS_MAX * (NPI_FILTERING_EXCHANGES + NPI_CONTROL_EXCHANGES + 1) + \
     NPI_PATH_SOCKETS + NPI_LOOKS * NPI_LOOK_EXCHANGES)

typedef struct sightings {
    const npi_facts *f;
    bool is_believed[NPI_SERVERS_MAX];
    npi_sighting seen[SIGHTINGS_MAX];
    size_t count;
} sightings;

/* Of a server that is left out nothing is believed. */
static bool is_believed(const npi_facts *f, const npi_server *s)
{
    return !s->is_unsteady && !npi_mapping_leaves_out(f, s) && !npi_mapping_is_lone_network(f, s);
}

static npi_sighting sighting_of(const npi_exchange *x, bool is_believed)
{
    npi_sighting seen = {.number = x->number};
    bool is_answered = npi_exchange_is_answered(x);
    seen.was_repeated = is_answered ? x->last_copy_ns > x->t.first_ns : x->t.sent > 1;
    if (is_answered)
        seen.local = x->local;
    if (is_answered && is_believed)
        seen.external = x->external;
    return seen;
}

static void add(const npi_server *s, const npi_exchange *x, void *user)
{
    sightings *all = user;
    if (x->change != 0 || x->t.sent == 0 || all->count == SIGHTINGS_MAX)
        return;
    npi_sighting seen = sighting_of(x, all->is_believed[s - all->f->servers]);
    size_t at = all->count++;
    for (; at > 0 && all->seen[at - 1].number > seen.number; at--)
        all->seen[at] = all->seen[at - 1];
    all->seen[at] = seen;
}

npi_tally npi_sightings_tally(const npi_facts *f)
{
    sightings all;
    all.f = f;
    bool is_any = f->error != NP_ERR_ADDRESS_CHANGED && !npi_mapping_is_contradictory(f);
    for (size_t i = 0; i < f->server_count; i++)
        all.is_believed[i] = is_any && is_believed(f, &f->servers[i]);
    all.count = 0;
    npi_facts_each(f, add, &all);
    return npi_tally_count(all.seen, all.count);
}
