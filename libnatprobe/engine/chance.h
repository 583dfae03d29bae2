/* SPDX-License-Identifier: MIT */
/*
 * Can it be chance that destinations see the same port? A NAT may give each destination a port of its own, at random
 * out of few (docs/METHOD.md section 7). Pure.
 */
#ifndef NPI_ENGINE_CHANCE_H
#define NPI_ENGINE_CHANCE_H

#include "facts.h"

/* What another socket should compare, so that the mapping is known. */
#define NPI_MISSES_OTHER_IP 1u   /* two IP addresses */
#define NPI_MISSES_OTHER_PORT 2u /* two ports of one */
#define NPI_MISSES_NO_MORE 4u    /* nothing; but one equality is all, so that what has been asked is waited for */

/* How sockets compare: those that two destinations see alike, and those that they see under different ports. */
typedef struct npi_comparisons {
    uint32_t equal;
    uint32_t apart;
} npi_comparisons;

/* The ports that a NAT has given. */
typedef struct npi_given_ports {
    uint32_t count;
    uint32_t span;       /* between the highest and the lowest */
    bool are_counted_up; /* each follows the one before */
} npi_given_ports;

/* True when so many equalities are chance with at most the probability of limit, whatever the number of ports. */
bool npi_chance_is_excluded(uint32_t equal, const npi_given_ports *given, double limit);
/*
 * The mapping that remains of what the source socket's observations show, once chance is considered; *misses: what
 * another look should compare, 0 for none.
 */
int32_t npi_chance_judge(const npi_facts *f, const npi_observation *seen, size_t count, int32_t mapping,
                         uint32_t *misses);
/* True when one more destination may see the source socket as s does by chance: ports are not kept, and may be few. */
bool npi_chance_may_equal_one(const npi_facts *f, const npi_server *s, double limit);

#endif
