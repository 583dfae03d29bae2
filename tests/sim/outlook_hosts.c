/* SPDX-License-Identifier: MIT */
/* Nothing is written by hand of what a NAT looks like: the engine measures it, and packets tell the trap. */
#include "outlook_hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drive.h"
#include "network.h"

#define MEASURED_AT 1795651200 /* seconds since 1970 */
#define NEIGHBOUR 5            /* its number in the network of the first */
#define NEIGHBOUR_PORT 54330   /* not that of the first: a NAT that keeps ports could keep one of them only */
#define LIST(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Kinds ------------------------------------------------------------------------------------------------------ */

static const char *const dependence_name[] = {"EI", "AD", "APD"};
static const char *const pooling_name[] = {"one IP", "paired", "arbitrary"};
static const char *const ports_name[] = {"preserving", "sequential", "random", "parity", "contiguous"};

static host_kind *next_kind(host_kind *kinds, unsigned *count, uint8_t family, const box_desc *box, unsigned boxes)
{
    if (*count == HOST_KINDS)
        abort(); /* a mistake of the test's */
    host_kind *k = &kinds[(*count)++];
    memset(k, 0, sizeof *k);
    k->family = family;
    k->boxes = boxes;
    for (unsigned i = 0; i < boxes; i++)
        k->box[i] = box[i];
    return k;
}

static void add_kind(host_kind *kinds, unsigned *count, const char *name, const box_desc *box, unsigned boxes)
{
    host_kind *k = next_kind(kinds, count, 4, box, boxes);
    (void)snprintf(k->name, sizeof k->name, "%s", name);
}

/* What all NATs of a group have in common. */
typedef struct group {
    uint8_t family;
    ip_pooling pooling;
    port_allocation ports;
    bool trap, per_host;
} group;

static void add_nats(host_kind *kinds, unsigned *count, const group *g)
{
    for (dependence mapping = DEP_INDEPENDENT; mapping <= DEP_ADDRESS_AND_PORT; mapping++) {
        for (dependence filtering = DEP_INDEPENDENT; filtering <= DEP_ADDRESS_AND_PORT; filtering++) {
            box_desc b = box_nat(mapping, filtering);
            b.pooling = g->pooling;
            b.ports = g->ports;
            b.refused_takes_port = g->trap;
            b.per_host = g->per_host;
            host_kind *k = next_kind(kinds, count, g->family, &b, 1);
            (void)snprintf(k->name, sizeof k->name, "IPv%u NAT %s/%s, %s, %s%s%s", g->family, dependence_name[mapping],
                           dependence_name[filtering], pooling_name[g->pooling], ports_name[g->ports],
                           g->trap ? ", trap" : "", g->per_host ? ", filter per host" : "");
        }
    }
}

static void add_untranslated(host_kind *kinds, unsigned *count, uint8_t family)
{
    (void)snprintf(next_kind(kinds, count, family, NULL, 0)->name, HOST_NAME, "IPv%u open", family);
    for (dependence filtering = DEP_INDEPENDENT; filtering <= DEP_ADDRESS_AND_PORT; filtering++) {
        box_desc b = box_firewall(filtering);
        host_kind *k = next_kind(kinds, count, family, &b, 1);
        (void)snprintf(k->name, sizeof k->name, "IPv%u firewall %s", family, dependence_name[filtering]);
    }
}

static void add_others(host_kind *kinds, unsigned *count)
{
    const box_desc linux_box[] = {box_linux(false, false), box_linux(true, false), box_linux(false, true),
                                  box_linux(true, true)};
    const box_desc cone = box_nat(DEP_INDEPENDENT, DEP_INDEPENDENT);
    const box_desc by_address = box_nat(DEP_INDEPENDENT, DEP_ADDRESS);
    const box_desc symmetric = box_nat(DEP_ADDRESS_AND_PORT, DEP_ADDRESS_AND_PORT);
    add_kind(kinds, count, "Linux", &linux_box[0], 1);
    add_kind(kinds, count, "Linux, firewalled", &linux_box[1], 1);
    add_kind(kinds, count, "Linux, random ports", &linux_box[2], 1);
    add_kind(kinds, count, "Linux, random ports, firewalled", &linux_box[3], 1);
    add_kind(kinds, count, "full cone behind restricted", (box_desc[]){cone, by_address}, 2);
    add_kind(kinds, count, "full cone behind symmetric", (box_desc[]){cone, symmetric}, 2);
    add_kind(kinds, count, "symmetric behind full cone", (box_desc[]){symmetric, cone}, 2);
    add_kind(kinds, count, "Linux behind Linux", (box_desc[]){linux_box[0], linux_box[0]}, 2);
    add_kind(kinds, count, "blocked", &(box_desc){.kind = BOX_BLOCKED, .block_out = true, .block_in = true}, 1);
    add_kind(kinds, count, "blocked inwards", &(box_desc){.kind = BOX_BLOCKED, .block_in = true}, 1);
}

unsigned host_kinds(host_kind kinds[HOST_KINDS])
{
    static const port_allocation ports[] = {PORT_PRESERVING, PORT_SEQUENTIAL, PORT_RANDOM};
    unsigned count = 0;
    for (ip_pooling pooling = POOL_ONE; pooling <= POOL_ARBITRARY; pooling++) {
        for (size_t i = 0; i < LIST(ports); i++) {
            add_nats(kinds, &count, &(group){4, pooling, ports[i], false, false});
            add_nats(kinds, &count, &(group){4, pooling, ports[i], true, false});
        }
        add_nats(kinds, &count, &(group){6, pooling, PORT_PRESERVING, false, false});
    }
    add_untranslated(kinds, &count, 4);
    add_untranslated(kinds, &count, 6);
    add_others(kinds, &count);
    return count;
}

unsigned host_kinds_few(host_kind kinds[HOST_KINDS])
{
    unsigned count = 0;
    for (ip_pooling pooling = POOL_ONE; pooling <= POOL_ARBITRARY; pooling += POOL_ARBITRARY - POOL_ONE) {
        add_nats(kinds, &count, &(group){4, pooling, PORT_PRESERVING, true, false});
        add_nats(kinds, &count, &(group){6, pooling, PORT_PRESERVING, false, false});
    }
    add_untranslated(kinds, &count, 4);
    add_untranslated(kinds, &count, 6);
    add_others(kinds, &count);
    return count;
}

unsigned host_kinds_per_host(host_kind kinds[HOST_KINDS])
{
    unsigned count = 0;
    add_nats(kinds, &count, &(group){4, POOL_ONE, PORT_PRESERVING, false, true});
    add_nats(kinds, &count, &(group){4, POOL_ONE, PORT_RANDOM, false, true});
    return count;
}

/* ---- Boxes ------------------------------------------------------------------------------------------------------ */

void nat_box_copy(nat_box *to, const nat_box *from)
{
    /* The tables are large, and nearly empty. */
    memcpy(to, from, offsetof(nat_box, mapping));
    to->mappings = from->mappings;
    to->permissions = from->permissions;
    to->connections = from->connections;
    to->bans = from->bans;
    memcpy(to->mapping, from->mapping, from->mappings * sizeof from->mapping[0]);
    memcpy(to->permission, from->permission, from->permissions * sizeof from->permission[0]);
    memcpy(to->connection, from->connection, from->connections * sizeof from->connection[0]);
    memcpy(to->ban, from->ban, from->bans * sizeof from->ban[0]);
}

bool host_has_luck(const host *h)
{
    for (unsigned i = 0; i < h->boxes; i++) {
        if (h->world.box[i].pooling == POOL_ARBITRARY)
            return true;
    }
    return false;
}

/* ---- Measuring -------------------------------------------------------------------------------------------------- */

static void *allocate(size_t size)
{
    void *p = calloc(1, size);
    if (p == NULL)
        abort();
    return p;
}

/* What is outside is the side's own: world_number() gives the same addresses in every world. */
static void number_side(world *w, unsigned side)
{
    world_number(w);
    bool has_nat = false;
    for (unsigned i = w->boxes; !has_nat && i-- > 0;) {
        has_nat = box_translates(&w->box[i]);
        for (unsigned k = 0; has_nat && k < WORLD_POOL; k++)
            w->box[i].external[k] = world_public(w, 0, 1 + k + 100 * side, 0);
    }
    if (!has_nat)
        w->host.local = world_public(w, 0, 77 + 100 * side, w->host.local.port);
}

/* The line goes to the peer, who knows nothing else. */
static void tell(host *h, const np_result *result)
{
    np_profile profile;
    const char *reason = NULL;
    bool is_told = np_profile_from_result(result, MEASURED_AT, &profile) == NP_OK &&
                   np_profile_format(&profile, h->line, sizeof h->line) == NP_OK &&
                   np_profile_parse(h->line, &h->profile, &reason) == NP_OK;
    if (!is_told) {
        fprintf(stderr, "%s: the line \"%s\" cannot be read: %s\n", h->name, h->line, reason != NULL ? reason : "?");
        abort();
    }
}

static void measure(host *h, const host *neighbour)
{
    static run_record record;
    network *n = allocate(sizeof *n);
    h->world.start_ns = neighbour != NULL ? neighbour->end_ns : h->world.start_ns;
    network_init(n, &h->world, NULL);
    for (unsigned i = 0; neighbour != NULL && i < neighbour->boxes; i++)
        nat_box_copy(&n->box[i], neighbour->box[i]);
    driver *d = driver_new(&h->world, n);
    driver_run(d, &record);
    network_run_until(n, n->now_ns + SECOND); /* what is still on the way */
    h->boxes = h->world.boxes;
    h->end_ns = n->now_ns;
    for (unsigned i = 0; i < h->boxes; i++) {
        h->box[i] = allocate(sizeof *h->box[i]);
        nat_box_copy(h->box[i], &n->box[i]);
    }
    tell(h, &record.result);
    driver_free(d);
    network_free(n);
    free(n);
}

host *host_measure(const host_kind *kind, unsigned side)
{
    host *h = allocate(sizeof *h);
    memcpy(h->name, kind->name, sizeof h->name);
    world_quiet(&h->world, 1 + side);
    h->world.family = kind->family;
    h->world.boxes = kind->boxes;
    memcpy(h->world.box, kind->box, sizeof h->world.box);
    number_side(&h->world, side);
    world_add_server(&h->world);
    measure(h, NULL);
    return h;
}

host *host_measure_neighbour(const host *first)
{
    host *h = allocate(sizeof *h);
    memcpy(h->name, first->name, sizeof h->name);
    h->world = first->world;
    h->world.seed += 50;
    h->world.host.local.ip[h->world.family == 4 ? 3 : 15] = NEIGHBOUR;
    h->world.host.local.port = NEIGHBOUR_PORT;
    measure(h, first);
    return h;
}

void host_free(host *h)
{
    for (unsigned i = 0; i < h->boxes; i++)
        free(h->box[i]);
    free(h);
}

endpoint host_external(const np_profile *profile)
{
    if (profile->external_ip[0] == '\0')
        return (endpoint){0};
    return endpoint_of(profile->external_ip, profile->external_port);
}

/* ---- Does a refused datagram take the port? --------------------------------------------------------------------- */

static bool leaves(nat_box *const box[], unsigned boxes, uint64_t now_ns, endpoint *src, endpoint to)
{
    for (unsigned i = 0; i < boxes; i++) {
        if (!nat_outbound(box[i], now_ns, src, &to))
            return false;
    }
    return true;
}

static bool enters(nat_box *const box[], unsigned boxes, uint64_t now_ns, endpoint from, endpoint to)
{
    for (unsigned i = boxes; i-- > 0;) {
        if (!nat_inbound(box[i], now_ns, &from, &to))
            return false;
    }
    return true;
}

/* From a fresh port: a stranger is refused; does the host reach him from the port that all others see? */
static int32_t try_trap(nat_box *const box[], const host *h)
{
    const world *w = &h->world;
    uint64_t now_ns = h->end_ns;
    endpoint server = world_public(w, 1, 200, 3478), stranger = world_public(w, 2, 201, 4000);
    endpoint another = world_public(w, 2, 202, 4000);
    endpoint local = endpoint_with_port(&w->host.local, 40001);
    endpoint seen = local, by_stranger = local, by_another = local;
    if (!leaves(box, h->boxes, now_ns, &seen, server) || enters(box, h->boxes, now_ns, stranger, seen))
        return NP_TRISTATE_UNKNOWN;
    if (!leaves(box, h->boxes, now_ns, &by_stranger, stranger) || !leaves(box, h->boxes, now_ns, &by_another, another))
        return NP_TRISTATE_UNKNOWN;
    if (!endpoint_equal(&by_another, &seen))
        return NP_TRISTATE_UNKNOWN;
    return endpoint_equal(&by_stranger, &seen) ? NP_TRISTATE_NO : NP_TRISTATE_YES;
}

np_profile host_profile_with_trap(const host *h)
{
    np_profile profile = h->profile;
    nat_box *box[WORLD_BOXES] = {NULL};
    for (unsigned i = 0; i < h->boxes; i++) {
        box[i] = allocate(sizeof *box[i]);
        nat_box_copy(box[i], h->box[i]);
    }
    profile.refused_takes_port = h->boxes == 0 ? NP_TRISTATE_UNKNOWN : try_trap(box, h);
    for (unsigned i = 0; i < h->boxes; i++)
        free(box[i]);
    return profile;
}
