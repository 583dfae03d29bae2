/* SPDX-License-Identifier: MIT */
/* What holds after a check, in the light of the checks before it. */
#include "standing.h"

#include <string.h>

#include "classify.h"

/* What was seen and proven about the filtering goes with it. */
#define FILTERING_EVIDENCE                                                                                             \
    (NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED | NP_EVIDENCE_CONTROL_ANSWERED |                     \
     NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_CHANGE_IGNORED | NP_EVIDENCE_CHANGE_PARTIAL |                          \
     NP_EVIDENCE_CHANGE_REJECTED | NP_EVIDENCE_CONTROL_SILENT)

void npi_standing_init(npi_standing *s)
{
    memset(s, 0, sizeof *s);
    s->filtering_ns = s->known_ns = NPI_NEVER;
}

/*
 * A check that gave no verdict for a reason that says nothing about the NAT: the result before it still holds, unless
 * the network has become another one.
 */
static bool says_nothing(const npi_outcome *o)
{
    int32_t error = o->result->error;
    return error != NP_OK && error != NP_ERR_NO_RESPONSE && error != NP_ERR_NETWORK_UNREACHABLE &&
           error != NP_ERR_ADDRESS_NOT_AVAILABLE && !o->network_changed;
}

static bool is_same_text(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/*
 * The same NAT as far as can be seen. Where the host has noticed nothing, another external address alone is that of a
 * NAT that was started again, or that has several.
 */
static bool is_same_nat(const np_result *known, const np_result *now, bool has_moved)
{
    return known->mapping == now->mapping && is_same_text(known->local_ip, now->local_ip) &&
           (!has_moved || is_same_text(known->external_ip, now->external_ip));
}

/* A filtering that the check could not tell is the one that was known. */
static bool stands(const npi_standing *s, const npi_outcome *o)
{
    return o->result->error == NP_OK && s->known_ns != NPI_NEVER && is_same_nat(&s->known, o->result, s->has_moved) &&
           (!o->tested_filtering || o->result->filtering == NP_BEHAVIOUR_UNKNOWN);
}

static void drop_filtering(np_result *result)
{
    result->filtering = NP_BEHAVIOUR_UNKNOWN;
    result->evidence &= ~(uint32_t)FILTERING_EVIDENCE;
}

static void take_filtering(np_result *result, const np_result *known)
{
    drop_filtering(result);
    result->filtering = known->filtering;
    result->evidence |= known->evidence & (uint32_t)FILTERING_EVIDENCE;
    memcpy(result->detail, known->detail, sizeof result->detail);
}

/* The result of the check with the filtering that can be told of. */
static np_result merge(const npi_standing *s, const npi_outcome *o)
{
    np_result merged = *o->result;
    if (stands(s, o))
        take_filtering(&merged, &s->known);
    else if (!o->tested_filtering)
        drop_filtering(&merged);
    if (merged.error == NP_OK)
        merged.nat_type = npi_classify_type(merged.mapping, merged.filtering);
    return merged;
}

static uint32_t difference(const np_result *a, const np_result *b)
{
    uint32_t changed = 0;
    if (a->nat_type != b->nat_type)
        changed |= NP_CHANGED_TYPE;
    if (a->mapping != b->mapping)
        changed |= NP_CHANGED_MAPPING;
    if (a->filtering != b->filtering)
        changed |= NP_CHANGED_FILTERING;
    if (!is_same_text(a->external_ip, b->external_ip))
        changed |= NP_CHANGED_ADDRESS;
    return changed;
}

static void remember(npi_standing *s, const np_result *merged, uint64_t filtering_ns)
{
    s->filtering_ns = NPI_NEVER;
    if (merged->error != NP_OK || merged->filtering == NP_BEHAVIOUR_UNKNOWN)
        return;
    s->known = *merged;
    s->known_ns = s->filtering_ns = filtering_ns;
    s->has_moved = false;
}

uint32_t npi_standing_take(npi_standing *s, const npi_outcome *outcome)
{
    if (s->has_outcome && says_nothing(outcome))
        return 0;
    s->has_moved |= outcome->network_changed || outcome->result->error != NP_OK;
    uint64_t filtering_ns = stands(s, outcome) ? s->known_ns : outcome->now_ns;
    np_result merged = merge(s, outcome);
    uint32_t changed = difference(&s->result, &merged);
    s->result = merged;
    s->has_outcome = true;
    s->measured_ns = outcome->now_ns;
    remember(s, &merged, filtering_ns);
    return changed;
}
