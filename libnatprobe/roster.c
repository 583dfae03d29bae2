/* SPDX-License-Identifier: MIT */
/* A long list of servers, each once: an array, and a table of the places in it by hash. */
#include "roster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"

#define FREE SIZE_MAX
#define FIRST_ROOM 64

void npi_roster_init(npi_roster *r, uint64_t seed)
{
    memset(r, 0, sizeof *r);
    r->seed = seed;
}

void npi_roster_free(npi_roster *r)
{
    free(r->entries);
    free(r->places);
    npi_roster_init(r, r->seed);
}

/* Mixes as splitmix64 does: each byte reaches every bit. */
static uint64_t mix(uint64_t state, uint64_t value)
{
    state += value + UINT64_C(0x9E3779B97F4A7C15);
    state = (state ^ state >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    state = (state ^ state >> 27) * UINT64_C(0x94D049BB133111EB);
    return state ^ state >> 31;
}

static size_t hash(const npi_roster *r, const npi_server_name *name)
{
    uint64_t state = mix(r->seed, name->port);
    for (const char *c = name->host; *c != '\0'; c++)
        state = mix(state, (unsigned char)*c);
    return (size_t)state;
}

static bool is_same(const npi_server_name *a, const npi_server_name *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Where it stands in the table, or would. At least one place is always free. */
static size_t *find_place(const npi_roster *r, const npi_server_name *name)
{
    size_t i = hash(r, name) & (r->place_count - 1);
    while (r->places[i] != FREE && !is_same(&r->entries[r->places[i]].name, name))
        i = (i + 1) & (r->place_count - 1);
    return &r->places[i];
}

static bool grow(npi_roster *r)
{
    size_t room = r->room > 0 ? 2 * r->room : FIRST_ROOM;
    npi_roster_entry *entries = realloc(r->entries, room * sizeof *entries);
    if (entries == NULL)
        return false;
    r->entries = entries;
    size_t *places = malloc(2 * room * sizeof *places);
    if (places == NULL)
        return false;
    free(r->places);
    r->places = places;
    r->place_count = 2 * room;
    r->room = room;
    for (size_t i = 0; i < r->place_count; i++)
        places[i] = FREE;
    for (size_t i = 0; i < r->count; i++)
        *find_place(r, &entries[i].name) = i;
    return true;
}

/* One server has one form: names differ in more than case, and addresses in more than how they are written. */
static npi_server_name normal_form(const npi_server_name *name)
{
    npi_server_name out = {.port = name->port, .use = name->use};
    npi_addr literal;
    size_t length = strlen(name->host);
    if (npi_addr_parse_ip(name->host, &literal)) {
        literal = npi_addr_unmap(&literal);
        npi_addr_format_ip(&literal, out.host);
        if (npi_addr_zone(name->host)[0] != '\0')
            (void)snprintf(out.host, sizeof out.host, "%s", name->host);
        return out;
    }
    if (length > 0 && name->host[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++) {
        char c = name->host[i];
        out.host[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return out;
}

bool npi_roster_add(npi_roster *r, const npi_server_name *name, size_t *index, bool *is_new)
{
    npi_server_name normal = normal_form(name);
    if (r->count == r->room && !grow(r))
        return false;
    size_t *place = find_place(r, &normal);
    *is_new = *place == FREE;
    if (*is_new) {
        r->entries[r->count] = (npi_roster_entry){.name = normal};
        *place = r->count++;
    }
    *index = *place;
    return true;
}

void npi_server_format(const npi_server_name *name, char out[NPI_SERVER_TEXT])
{
    bool is_ipv6 = strchr(name->host, ':') != NULL;
    (void)snprintf(out, NPI_SERVER_TEXT, "%s%s%s:%u", is_ipv6 ? "[" : "", name->host, is_ipv6 ? "]" : "",
                   (unsigned)name->port);
}
