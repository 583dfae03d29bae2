/* SPDX-License-Identifier: MIT */
/*
 * A mapping is an external address and port of a socket. Many requests show the same one: where the mapping does not
 * depend on the destination, each socket has one.
 */
#include "tally.h"

#define STEPS_MIN 3 /* fewer equal steps may be chance */

static bool has_mapping(const npi_sighting *s)
{
    return npi_addr_is_set(&s->local) && npi_addr_is_set(&s->external);
}

static bool is_kept(const npi_sighting *s)
{
    return s->local.port == s->external.port;
}

static bool is_new_mapping(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (npi_addr_equal(&seen[k].local, &seen[i].local) && npi_addr_equal(&seen[k].external, &seen[i].external))
            return false;
    }
    return has_mapping(&seen[i]);
}

static bool is_new_external_ip(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (npi_addr_same_ip(&seen[k].external, &seen[i].external))
            return false;
    }
    return npi_addr_is_set(&seen[i].external);
}

static bool is_new_local_ip(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (npi_addr_same_ip(&seen[k].local, &seen[i].local))
            return false;
    }
    return npi_addr_is_set(&seen[i].local);
}

/*
 * From one new mapping to the next; 0: none that the NAT can have chosen by counting on. It may add something to local
 * ports, which are the host's choice, and each external address may have a count of its own.
 */
static int32_t step_between(const npi_sighting *before, const npi_sighting *after)
{
    int32_t step = (int32_t)after->external.port - before->external.port;
    int32_t own = (int32_t)after->local.port - before->local.port;
    return step != own && npi_addr_same_ip(&before->external, &after->external) ? step : 0;
}

/*
 * Whether an earlier request of the same socket may have made the i-th's mapping, and others left in between: its place
 * in the order is not known then.
 */
static bool is_of_unknown_age(const npi_sighting *seen, size_t i)
{
    for (size_t k = 0; k + 1 < i; k++) {
        if (seen[k].slot == seen[i].slot && !has_mapping(&seen[k]))
            return true;
    }
    return false;
}

/*
 * A port that was kept was not counted. A request without an answer may have taken a port: no step leads across it. One
 * that is vague may have taken its port before or behind others: then nothing is known.
 */
static int32_t constant_step(const npi_sighting *seen, size_t count)
{
    const npi_sighting *before = NULL;
    int32_t constant = 0;
    unsigned steps = 0;
    for (size_t i = 0; i < count; i++) {
        if (seen[i].is_vague)
            return 0;
        if (!has_mapping(&seen[i]))
            before = NULL;
        if (!is_new_mapping(seen, i) || is_kept(&seen[i]))
            continue;
        if (is_of_unknown_age(seen, i)) {
            before = NULL;
            continue;
        }
        int32_t step = before != NULL ? step_between(before, &seen[i]) : constant;
        if (before != NULL && (step == 0 || (steps > 0 && step != constant)))
            return 0;
        steps += before != NULL;
        constant = step;
        before = &seen[i];
    }
    return steps >= STEPS_MIN ? constant : 0;
}

npi_tally npi_tally_count(const npi_sighting *seen, size_t count)
{
    npi_tally tally = {.port_step = constant_step(seen, count)};
    for (size_t i = 0; i < count; i++) {
        if (is_new_mapping(seen, i)) {
            tally.ports_seen++;
            tally.ports_kept += is_kept(&seen[i]);
        }
        tally.external_ips += is_new_external_ip(seen, i);
        tally.local_ips += is_new_local_ip(seen, i);
    }
    return tally;
}
