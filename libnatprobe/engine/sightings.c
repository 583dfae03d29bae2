/* SPDX-License-Identifier: MIT */
/*
 * Every plain request that left, in the order in which they left, and whose word counts. In the place of one that did
 * not leave stands what left to the same address with CHANGE-REQUEST: it has taken a port.
 */
#include "sightings.h"

#include "findings.h"

/* Each server's requests, those of each trial, of the fresh sockets that show their way, and of those that compare. */
#define SIGHTINGS_MAX                                                                                                  \
    (NPI_SERVERS_MAX * NPI_SERVER_EXCHANGES + NPI_TRIALS_MAX * (NPI_FILTERING_EXCHANGES + NPI_CONTROL_EXCHANGES + 1) + \
     NPI_PATH_SOCKETS + NPI_LOOKS * NPI_LOOK_EXCHANGES)
/* Requests may have been forgotten that took ports. */
#define FORGETFUL (NP_EVIDENCE_CLASSIC | NP_EVIDENCE_RESTARTED)

typedef struct sightings {
    const npi_server *first;
    npi_sighting seen[SIGHTINGS_MAX];
    const npi_server *witness[SIGHTINGS_MAX];
    const npi_exchange *x[SIGHTINGS_MAX];
    size_t count;
} sightings;

/* Whether a plain request went the same way, which is added before those with CHANGE-REQUEST. */
static bool has_plain(const sightings *all, const npi_exchange *x)
{
    for (size_t i = 0; i < all->count; i++) {
        const npi_exchange *other = all->x[i];
        if (other->change == 0 && other->slot == x->slot && npi_addr_equal(&other->to, &x->to))
            return true;
    }
    return false;
}

static void add(const npi_server *s, const npi_exchange *x, void *user)
{
    sightings *all = user;
    if (x->t.sent == 0 || all->count == SIGHTINGS_MAX || (x->change != 0 && has_plain(all, x)))
        return;
    npi_sighting seen = {.number = x->number, .slot = x->slot};
    if (x->change == 0 && npi_exchange_is_answered(x))
        seen.local = x->local;
    if (x->change == 0 && npi_exchange_has_external(x))
        seen.external = x->external;
    size_t at = all->count++;
    for (; at > 0 && all->seen[at - 1].number > seen.number; at--) {
        all->seen[at] = all->seen[at - 1];
        all->witness[at] = all->witness[at - 1];
        all->x[at] = all->x[at - 1];
    }
    all->seen[at] = seen;
    all->witness[at] = s;
    all->x[at] = x;
}

/* Of all copies that the answer can be for, when the last one left. */
static uint64_t last_copy_ns(const npi_exchange *x)
{
    return npi_exchange_is_answered(x) ? x->last_copy_ns : npi_transaction_last_ns(&x->t);
}

static void find_vague(sightings *all, bool is_forgetful)
{
    for (size_t i = 0; i < all->count; i++) {
        bool overlaps = i + 1 < all->count && all->x[i + 1]->t.first_ns <= last_copy_ns(all->x[i]);
        all->seen[i].is_vague = is_forgetful || (all->x[i]->t.sent > 1 && overlaps);
    }
}

/* Another server says the same. */
static bool is_confirmed(const sightings *all, size_t i)
{
    for (size_t k = 0; k < all->count; k++) {
        if (all->witness[k] != all->witness[i] && npi_addr_equal(&all->seen[k].local, &all->seen[i].local) &&
            npi_addr_equal(&all->seen[k].external, &all->seen[i].external))
            return true;
    }
    return false;
}

/*
 * Behind a NAT whose mapping depends on the destination every server sees something else, and one that is wrong does
 * not stand out: only that one is believed on which the verdict rests.
 */
static void drop_lone_words(sightings *all)
{
    for (size_t i = 0; i < all->count; i++) {
        if (all->witness[i] != all->first && !is_confirmed(all, i))
            all->seen[i].external = (npi_addr){.family = NPI_FAMILY_NONE};
    }
}

static void drop_all_words(sightings *all)
{
    for (size_t i = 0; i < all->count; i++)
        all->seen[i].external = (npi_addr){.family = NPI_FAMILY_NONE};
}

npi_tally npi_sightings_tally(const npi_facts *f, const npi_server *first)
{
    sightings all;
    all.first = first;
    all.count = 0;
    npi_facts_each(f, add, &all);
    find_vague(&all, (f->evidence & FORGETFUL) != 0);
    if (f->error == NP_ERR_ADDRESS_CHANGED || npi_mapping_is_contradictory(f))
        drop_all_words(&all);
    drop_lone_words(&all);
    return npi_tally_count(all.seen, all.count);
}
