/* SPDX-License-Identifier: MIT */
/* From observations to behaviours and names. */
#include "classify.h"

/* How the external addresses of all pairs of destinations compare. */
typedef struct pairs {
    bool equal_other_ip; /* same external address seen from two IP addresses */
    bool differ_other_ip;
    bool equal_other_port; /* same external address seen from two ports of one IP address */
    bool differ_other_port;
    bool doubtful_other_port; /* a difference between two ports that may have another reason */
    bool differ_address;      /* some that differ do so in more than the port */
} pairs;

/*
 * A destination that may collide may have got another mapping for reasons that are not the NAT's way of mapping: it can
 * bear witness to equality, but not to a difference.
 */
static void compare(pairs *p, const npi_observation *a, const npi_observation *b)
{
    if (npi_addr_is_other_ip(&a->local, &b->local))
        return; /* two ways out of this host */
    bool equal = npi_addr_equal(&a->external, &b->external);
    if (!equal && (a->may_collide || b->may_collide)) {
        p->doubtful_other_port |= npi_addr_same_ip(&a->destination, &b->destination);
        return;
    }
    p->differ_address |= !npi_addr_same_ip(&a->external, &b->external);
    if (!npi_addr_same_ip(&a->destination, &b->destination)) {
        p->equal_other_ip |= equal;
        p->differ_other_ip |= !equal;
    } else if (a->destination.port != b->destination.port) {
        p->equal_other_port |= equal;
        p->differ_other_port |= !equal;
    }
}

bool npi_classify_is_untranslated(const npi_observation *o)
{
    return npi_addr_is_set(&o->local) && npi_addr_equal(&o->external, &o->local);
}

/* RFC 4787 section 4.1: reuse for any endpoint, for the same address, or for the same address and port only. */
static int32_t mapping_from(const pairs *p)
{
    if (!p->differ_other_ip && !p->differ_other_port)
        return p->equal_other_ip ? NP_BEHAVIOUR_ENDPOINT_INDEPENDENT : NP_BEHAVIOUR_UNKNOWN;
    if (p->equal_other_ip)
        return NP_BEHAVIOUR_ENDPOINT_DEPENDENT; /* fits no class: equal here, different there */
    if (p->differ_other_port)
        return p->equal_other_port ? NP_BEHAVIOUR_ENDPOINT_DEPENDENT : NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    bool by_address = p->equal_other_port && !p->doubtful_other_port;
    return by_address ? NP_BEHAVIOUR_ADDRESS_DEPENDENT : NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
}

typedef enum which { ALL, FRESH } which; /* all observations, or those that cannot be stale */

/*
 * A destination that sees the local address has no NAT on its way, where others have one: it shows nothing of that NAT.
 */
static bool counts(const npi_observation *o, which of)
{
    return !npi_classify_is_untranslated(o) && (of == ALL || !o->may_be_stale);
}

static pairs compare_all(const npi_observation *seen, size_t count, which of)
{
    pairs p = {false, false, false, false, false, false};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (counts(&seen[i], of) && counts(&seen[j], of))
                compare(&p, &seen[i], &seen[j]);
        }
    }
    return p;
}

static bool some_stale_agrees(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (seen[i].may_be_stale && !seen[j].may_be_stale && npi_addr_equal(&seen[i].external, &seen[j].external))
                return true;
        }
    }
    return false;
}

static bool is_untranslated_everywhere(const npi_observation *seen, size_t count)
{
    size_t untranslated = 0;
    for (size_t i = 0; i < count; i++)
        untranslated += npi_classify_is_untranslated(&seen[i]);
    return count > 0 && untranslated == count;
}

/*
 * Two servers name addresses of two networks, and each always the same: one of them may be wrong, or the NAT may have
 * two lines.
 */
static bool is_word_against_word(const npi_observation *seen, size_t count)
{
    const npi_observation *other = NULL;
    for (size_t i = 1; i < count; i++) {
        if (other == NULL && seen[i].witness != seen[0].witness)
            other = &seen[i];
        const npi_observation *same = seen[i].witness == seen[0].witness ? &seen[0] : other;
        if (same->witness != seen[i].witness || !npi_addr_equal(&same->external, &seen[i].external))
            return false;
    }
    return other != NULL && !npi_addr_are_neighbours(&seen[0].external, &other->external);
}

/*
 * Where one server sees a NAT and another none, it takes two that see one: either may be the exception, or wrong. Some
 * destination sees a NAT.
 */
static bool rests_on_one_witness(const npi_observation *seen, size_t count)
{
    const npi_observation *first = NULL;
    bool any_untranslated = false;
    for (size_t i = 0; i < count; i++) {
        bool untranslated = npi_classify_is_untranslated(&seen[i]);
        any_untranslated |= untranslated;
        if (untranslated)
            continue;
        if (first != NULL && seen[i].witness != first->witness)
            return false;
        first = &seen[i];
    }
    return any_untranslated;
}

/* All pairs, and those of which neither may be stale. */
typedef struct comparison {
    pairs all;
    pairs fresh;
} comparison;

static int32_t appearance(const comparison *c, const npi_observation *seen, size_t count)
{
    if (is_untranslated_everywhere(seen, count))
        return NP_BEHAVIOUR_NONE;
    if (rests_on_one_witness(seen, count) || is_word_against_word(seen, count))
        return NP_BEHAVIOUR_UNKNOWN;
    /* One destination that may be stale and differs is what an earlier check left behind, if the others agree. */
    if (mapping_from(&c->fresh) == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && some_stale_agrees(seen, count))
        return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    return mapping_from(&c->all);
}

/*
 * Whether all but one witness see the same external address. It takes two of them, at two IP addresses: a NAT whose
 * mapping depends on the destination's address shows the same to two ports of one.
 */
static bool agrees_without(const npi_observation *seen, size_t count, size_t witness)
{
    const npi_observation *first = NULL;
    bool several = false;
    for (size_t i = 0; i < count; i++) {
        if (seen[i].witness == witness)
            continue;
        if (first != NULL && !npi_addr_equal(&seen[i].external, &first->external))
            return false;
        if (first == NULL)
            first = &seen[i];
        several |= seen[i].witness != first->witness && !npi_addr_same_ip(&seen[i].destination, &first->destination);
    }
    return several;
}

typedef bool (*relation)(const npi_observation *, const npi_observation *);

/* Whether a relation holds between something that one witness saw and something that another did. */
static bool holds_for_any(const npi_observation *seen, size_t count, size_t witness, relation holds)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (seen[i].witness == witness && seen[j].witness != witness && holds(&seen[i], &seen[j]))
                return true;
        }
    }
    return false;
}

static bool contradict(const npi_observation *a, const npi_observation *b)
{
    return !npi_addr_is_other_ip(&a->local, &b->local) && !a->may_collide && !b->may_collide &&
           !npi_addr_equal(&a->external, &b->external);
}

/*
 * Another address of one network, with the same port: a NAT with a pool that chooses by destination and keeps ports,
 * such as Linux with a range of addresses. Some destinations then see the same.
 */
static bool may_be_of_a_pool(const npi_observation *a, const npi_observation *b)
{
    return a->external.port == b->external.port && npi_addr_is_other_ip(&a->external, &b->external) &&
           npi_addr_are_neighbours(&a->external, &b->external);
}

size_t npi_classify_dissenter(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t witness = seen[i].witness;
        if (!npi_classify_is_untranslated(&seen[i]) && holds_for_any(seen, count, witness, contradict) &&
            agrees_without(seen, count, witness) && !holds_for_any(seen, count, witness, may_be_of_a_pool))
            return i;
    }
    return count;
}

int32_t npi_classify_apparent(const npi_observation *seen, size_t count)
{
    const comparison c = {compare_all(seen, count, ALL), compare_all(seen, count, FRESH)};
    return appearance(&c, seen, count);
}

/*
 * Whether each destination that may be stale sees a port that no other one does, on an address of one network. A NAT
 * with several addresses that keeps the port, or maps by the destination's port, shows some port to two of them; one
 * with two lines shows addresses of two networks.
 */
static bool may_be_left_in_a_pool(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; seen[i].may_be_stale && j < count; j++) {
            bool same_port = seen[j].external.port == seen[i].external.port;
            if (j != i && (same_port || !npi_addr_are_neighbours(&seen[i].external, &seen[j].external)))
                return false;
        }
    }
    return true;
}

/* A NAT with several addresses does so with addresses; ports are what others left behind, a restart, or chance. */
static bool is_mixed(const pairs *p)
{
    bool differ = p->differ_other_ip || p->differ_other_port;
    return differ && p->equal_other_ip && !p->differ_address;
}

bool npi_classify_is_mixed(const npi_observation *seen, size_t count)
{
    const pairs all = compare_all(seen, count, ALL);
    return is_mixed(&all);
}

/* So many agree that the one which does not is rather left over than the way in which the NAT maps. */
#define AGREE_MIN 3

/* Whether all but one see the same, at two IP addresses, and that one sees another address of the same network. */
static bool is_left_over_in_a_pool(const npi_observation *seen, size_t count, size_t lone)
{
    const size_t first = lone == 0 ? 1 : 0;
    bool several = false;
    if (count < AGREE_MIN + 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (npi_addr_is_other_ip(&seen[i].local, &seen[first].local))
            return false;
        if (i == lone)
            continue;
        if (!npi_addr_equal(&seen[i].external, &seen[first].external))
            return false;
        several |= !npi_addr_same_ip(&seen[i].destination, &seen[first].destination);
    }
    return several && seen[lone].external.port != seen[first].external.port &&
           npi_addr_are_neighbours(&seen[lone].external, &seen[first].external);
}

/*
 * A NAT that stands before a NAT with a pool, and on which an earlier program has left something behind, shows that. It
 * may be at any destination, for some servers answer from another address than they were asked to.
 */
static bool may_be_one_left_over(const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_left_over_in_a_pool(seen, count, i))
            return true;
    }
    return false;
}

int32_t npi_classify_mapping(const npi_observation *seen, size_t count)
{
    const comparison c = {compare_all(seen, count, ALL), compare_all(seen, count, FRESH)};
    int32_t mapping = appearance(&c, seen, count);
    if (mapping == NP_BEHAVIOUR_UNKNOWN || mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return mapping;
    /* What an earlier check left behind differs in the port, and behind a NAT with a pool in the address as well. */
    bool explained = !c.all.differ_address || (c.fresh.equal_other_ip && may_be_left_in_a_pool(seen, count));
    bool all_left_over = !c.fresh.differ_other_ip && !c.fresh.differ_other_port && explained;
    return all_left_over || is_mixed(&c.all) || may_be_one_left_over(seen, count) ? NP_BEHAVIOUR_UNKNOWN : mapping;
}

npi_change npi_classify_change(const npi_addr *sent_to, const npi_addr *expected, const npi_addr *from, bool success)
{
    if (!success)
        return NPI_CHANGE_REJECTED;
    if (npi_addr_equal(from, expected))
        return NPI_CHANGE_HONOURED;
    return npi_addr_equal(from, sent_to) ? NPI_CHANGE_IGNORED : NPI_CHANGE_PARTIAL;
}

int32_t npi_classify_filtering(npi_change test_ii, npi_change test_iii)
{
    if (test_ii == NPI_CHANGE_HONOURED)
        return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    if (test_ii != NPI_CHANGE_SILENT)
        return NP_BEHAVIOUR_UNKNOWN;
    if (test_iii == NPI_CHANGE_HONOURED)
        return NP_BEHAVIOUR_ADDRESS_DEPENDENT;
    if (test_iii == NPI_CHANGE_SILENT)
        return NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return NP_BEHAVIOUR_ENDPOINT_DEPENDENT; /* II is filtered, of III nothing is known */
}

/* The private ranges that are told apart, and those of which npi_addr_classify knows nothing. */
static int32_t classify_special(const npi_addr *a)
{
    static const struct {
        uint8_t ip[4];
        unsigned bits;
        int32_t class;
    } blocks[] = {
        {{10, 0, 0, 0}, 8, NP_ADDRESS_PRIVATE},     {{100, 64, 0, 0}, 10, NP_ADDRESS_SHARED},
        {{172, 16, 0, 0}, 12, NP_ADDRESS_PRIVATE},  {{192, 0, 0, 0}, 29, NP_ADDRESS_SERVICE_CONTINUITY},
        {{192, 168, 0, 0}, 16, NP_ADDRESS_PRIVATE}, {{198, 18, 0, 0}, 15, NP_ADDRESS_BENCHMARK},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        uint32_t differs = 0;
        for (int k = 0; k < 4; k++)
            differs = differs << 8 | (uint32_t)(a->ip[k] ^ blocks[i].ip[k]);
        if (differs >> (32 - blocks[i].bits) == 0)
            return blocks[i].class;
    }
    return NP_ADDRESS_GLOBAL;
}

int32_t npi_classify_address(const npi_addr *a)
{
    npi_addr plain = npi_addr_unmap(a);
    switch (npi_addr_classify(&plain)) {
    case NPI_CLASS_PRIVATE:
    case NPI_CLASS_GLOBAL:
        if (plain.family == NPI_IPV4)
            return classify_special(&plain);
        return (plain.ip[0] & 0xfe) == 0xfc ? NP_ADDRESS_UNIQUE_LOCAL : NP_ADDRESS_GLOBAL;
    case NPI_CLASS_LOOPBACK:
        return NP_ADDRESS_LOOPBACK;
    case NPI_CLASS_LINK_LOCAL:
        return NP_ADDRESS_LINK_LOCAL;
    default:
        return NP_ADDRESS_UNKNOWN;
    }
}

int32_t npi_classify_type(int32_t mapping, int32_t filtering)
{
    bool open = filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool known = filtering != NP_BEHAVIOUR_UNKNOWN && filtering != NP_BEHAVIOUR_NONE;
    switch (mapping) {
    case NP_BEHAVIOUR_NONE:
        if (open)
            return NP_NAT_OPEN_INTERNET;
        return known ? NP_NAT_SYMMETRIC_UDP_FIREWALL : NP_NAT_NO_NAT;
    case NP_BEHAVIOUR_ENDPOINT_INDEPENDENT:
        if (open)
            return NP_NAT_FULL_CONE;
        if (filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT)
            return NP_NAT_RESTRICTED_CONE;
        return filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT ? NP_NAT_PORT_RESTRICTED_CONE : NP_NAT_CONE;
    case NP_BEHAVIOUR_ADDRESS_DEPENDENT:
    case NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT:
    case NP_BEHAVIOUR_ENDPOINT_DEPENDENT:
        return NP_NAT_SYMMETRIC;
    default:
        return NP_NAT_UNKNOWN;
    }
}
