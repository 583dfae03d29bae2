/* SPDX-License-Identifier: MIT */
/* What the boxes did is in the record; here it is counted, with nothing of the library's. */
#include "sightings.h"

#include <stdio.h>
#include <stdlib.h>

#define STEPS_MIN 3

typedef struct counts {
    unsigned seen, kept, external_ips, local_ips;
} counts;

static bool is_first_of_outer_ip(const run_record *r, unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        if (r->sighting[k].is_heard && endpoint_same_ip(&r->sighting[k].outer, &r->sighting[i].outer))
            return false;
    }
    return true;
}

static bool is_first_of_inner_ip(const run_record *r, unsigned i)
{
    for (unsigned k = 0; k < i; k++) {
        if (r->sighting[k].is_heard && endpoint_same_ip(&r->sighting[k].inner, &r->sighting[i].inner))
            return false;
    }
    return true;
}

static bool keeps_port(const network_sighting *s)
{
    return s->inner.port == s->outer.port;
}

/* Of those mappings through which an answer to a plain request came back. */
static counts count_heard(const run_record *r)
{
    counts c = {0};
    for (unsigned i = 0; i < r->sightings; i++) {
        if (!r->sighting[i].is_heard)
            continue;
        c.seen++;
        c.kept += keeps_port(&r->sighting[i]);
        c.external_ips += is_first_of_outer_ip(r, i);
        c.local_ips += is_first_of_inner_ip(r, i);
    }
    return c;
}

static int by_number(const void *a, const void *b)
{
    const network_sighting *one = a;
    const network_sighting *other = b;
    return one->number < other->number ? -1 : one->number > other->number;
}

/* Whether the ports of new mappings, in the order of sending, have this step often enough; those left alone apart. */
static bool has_step(const run_record *r, int32_t step)
{
    network_sighting made[NETWORK_SIGHTINGS];
    unsigned count = 0;
    unsigned steps = 0;
    for (unsigned i = 0; i < r->sightings; i++) {
        if (!keeps_port(&r->sighting[i]))
            made[count++] = r->sighting[i];
    }
    qsort(made, count, sizeof made[0], by_number);
    for (unsigned i = 1; i < count; i++)
        steps += endpoint_same_ip(&made[i].outer, &made[i - 1].outer) &&
                 (int32_t)made[i].outer.port - made[i - 1].outer.port == step;
    return steps >= STEPS_MIN;
}

bool sightings_are_false(const world *w, bool moves, const run_record *r, char *why, size_t size)
{
    const np_result *res = &r->result;
    counts c = count_heard(r);
    unsigned changed = (unsigned)res->ports_seen - res->ports_kept;
    if (res->ports_kept > res->ports_seen || res->ports_kept > c.kept || changed > c.seen - c.kept)
        snprintf(why, size, "ports kept %u of %u, truth %u of %u", res->ports_kept, res->ports_seen, c.kept, c.seen);
    else if (res->external_ips > c.external_ips || res->local_ips > c.local_ips)
        snprintf(why, size, "%u external and %u local addresses, truth %u and %u", res->external_ips, res->local_ips,
                 c.external_ips, c.local_ips);
    else if ((res->external_ips == 0) != (res->ports_seen == 0) || (res->ports_seen > 0 && res->local_ips == 0))
        snprintf(why, size, "%u external addresses of %u mappings", res->external_ips, res->ports_seen);
    else if (res->port_step != 0 && !moves && !has_step(r, res->port_step))
        snprintf(why, size, "the external ports have no step of %d", (int)res->port_step);
    else if (res->local_ip[0] != '\0' &&
             (res->local_class == NP_ADDRESS_GLOBAL) != (endpoint_class(&w->host.local) == 0))
        snprintf(why, size, "the local address is %s", np_address_class_name(res->local_class));
    else
        return false;
    return true;
}

bool sightings_are_short(const run_record *r, char *why, size_t size)
{
    const np_result *res = &r->result;
    counts c = count_heard(r);
    bool is_short = res->ports_seen < c.seen || res->ports_kept < c.kept || res->external_ips < c.external_ips ||
                    res->local_ips < c.local_ips;
    if (is_short)
        snprintf(why, size, "kept %u of %u ports, %u external, %u local addresses; truth %u of %u, %u, %u",
                 res->ports_kept, res->ports_seen, res->external_ips, res->local_ips, c.kept, c.seen, c.external_ips,
                 c.local_ips);
    return is_short;
}
