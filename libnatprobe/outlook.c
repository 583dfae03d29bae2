/* SPDX-License-Identifier: MIT */
/*
 * Will these two connect? judge() is the rule, for two sides of which everything is known. What is not known is tried
 * out with every value that it may have, so what becomes known can only narrow the range from best to worst.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <natprobe/natprobe.h>

#include "addr.h"

#define FRESH_S 900 /* a profile that is older may be of another network */

size_t np_outlook_result_size(void)
{
    return sizeof(np_outlook_result);
}

/* ---- The rule --------------------------------------------------------------------------------------------------- */

typedef enum filter_kind { LETS_ALL_IN, BY_ADDRESS, BY_ADDRESS_AND_PORT } filter_kind;

typedef struct side {
    bool depends;  /* the mapping depends on the destination: the peer's view has a port that the peer is not told */
    bool keeps_ip; /* every mapping of the socket has the same external IP address */
    filter_kind filter; /* from which others a mapping accepts, once it has sent to somebody */
    bool may_lose_port; /* a refused datagram may take the port, so the next mapping has another */
} side;

typedef struct judgement {
    int32_t outlook;
    int32_t rule;
    int32_t sends;      /* enum np_first: who has to send before the other can */
    int32_t goes_first; /* enum np_first: whose port is in danger unless it does; ANY: nobody's */
    bool is_learnt;     /* an address is in use that only the datagrams themselves tell */
} judgement;

/*
 * Does a datagram that from sends to the known address of to get in, once to has sent to the known address of from? The
 * mapping that the peer knows was made for a server. If mappings depend on the destination, what to has sent to the
 * peer came from another mapping, and has opened that one.
 */
static bool lets_in(const side *to, const side *from)
{
    if (to->filter == LETS_ALL_IN)
        return true;
    if (to->depends)
        return false;
    return !from->depends || (to->filter == BY_ADDRESS && from->keeps_ip);
}

/* Having got a datagram, does to reach from with an answer? It comes from another port than from has sent to, maybe. */
static bool can_answer(const side *to, const side *from)
{
    if (!to->depends || from->filter == LETS_ALL_IN)
        return true;
    return from->filter == BY_ADDRESS && to->keeps_ip;
}

static bool is_reached(const side *to, const side *from)
{
    return lets_in(to, from) && can_answer(to, from);
}

/* It need not send first to be reached. */
static bool is_open(const side *to, const side *from)
{
    return to->filter == LETS_ALL_IN && can_answer(to, from);
}

/* Which sides have to send before a datagram of the other's arrives: those that are reached through their pinhole. */
static int32_t in_danger(const side *ours, const side *theirs)
{
    int32_t first = NP_FIRST_ANY;
    if (ours->may_lose_port && !ours->depends)
        first |= NP_FIRST_OURS;
    if (theirs->may_lose_port && !theirs->depends)
        first |= NP_FIRST_THEIRS;
    return first;
}

static judgement judge_direct(const side *ours, const side *theirs)
{
    bool is_learnt = ours->depends || theirs->depends;
    bool to_ours = is_open(ours, theirs), to_theirs = is_open(theirs, ours);
    if (to_ours && to_theirs)
        return (judgement){NP_OUTLOOK_DIRECT, NP_RULE_OPEN, NP_FIRST_ANY, NP_FIRST_ANY, is_learnt};
    int32_t first = to_ours ? NP_FIRST_THEIRS : NP_FIRST_OURS;
    return (judgement){NP_OUTLOOK_DIRECT, NP_RULE_ONE_OPEN, first, NP_FIRST_ANY, is_learnt};
}

/* Only one side's address is unknown, and that only to the other. */
static judgement judge_unreached(const side *ours, const side *theirs)
{
    judgement j = {NP_OUTLOOK_RELAY, NP_RULE_BOTH_DEPENDENT, NP_FIRST_ANY, NP_FIRST_ANY, false};
    const side *unknown = ours->depends ? ours : theirs;
    if (ours->depends && theirs->depends)
        return j;
    j.outlook = unknown->keeps_ip ? NP_OUTLOOK_NEEDS_PREDICTION : NP_OUTLOOK_RELAY;
    j.rule = unknown->keeps_ip ? NP_RULE_PORT_UNKNOWN : NP_RULE_ADDRESS_UNKNOWN;
    return j;
}

static judgement judge(const side *ours, const side *theirs)
{
    if (is_open(ours, theirs) || is_open(theirs, ours))
        return judge_direct(ours, theirs);
    if (!is_reached(ours, theirs) && !is_reached(theirs, ours))
        return judge_unreached(ours, theirs);
    judgement j = {NP_OUTLOOK_PUNCH, NP_RULE_PORTS_KNOWN, NP_FIRST_BOTH, in_danger(ours, theirs), false};
    if (ours->depends || theirs->depends) {
        j.outlook = NP_OUTLOOK_PUNCH_LEARN;
        j.rule = NP_RULE_PORT_LEARNT;
        j.is_learnt = true;
    }
    return j;
}

/* ---- What is not known ------------------------------------------------------------------------------------------ */

/* What a side may be: one bit for each value that is possible. */
typedef struct range {
    unsigned depends;  /* bit 0: it does not, bit 1: it does */
    unsigned keeps_ip; /* bit 0: it does not, bit 1: it does */
    unsigned filter;   /* 1 << enum filter_kind */
    bool may_lose_port;
} range;

#define NO 1U
#define YES 2U

static unsigned possible_dependence(int32_t mapping)
{
    switch (mapping) {
    case NP_BEHAVIOUR_NONE:
    case NP_BEHAVIOUR_ENDPOINT_INDEPENDENT:
        return NO;
    case NP_BEHAVIOUR_ADDRESS_DEPENDENT:
    case NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT:
    case NP_BEHAVIOUR_ENDPOINT_DEPENDENT:
        return YES;
    default:
        return NO | YES;
    }
}

static unsigned possible_filters(int32_t filtering)
{
    switch (filtering) {
    case NP_BEHAVIOUR_NONE:
    case NP_BEHAVIOUR_ENDPOINT_INDEPENDENT:
        return 1U << LETS_ALL_IN;
    case NP_BEHAVIOUR_ADDRESS_DEPENDENT:
        return 1U << BY_ADDRESS;
    case NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT:
        return 1U << BY_ADDRESS_AND_PORT;
    case NP_BEHAVIOUR_ENDPOINT_DEPENDENT:
        return 1U << BY_ADDRESS | 1U << BY_ADDRESS_AND_PORT;
    default:
        return 1U << LETS_ALL_IN | 1U << BY_ADDRESS | 1U << BY_ADDRESS_AND_PORT;
    }
}

static range range_of(const np_profile *p)
{
    unsigned one_ip = p->external_ips > 1 ? NO : YES;
    return (range){.depends = possible_dependence(p->mapping),
                   .keeps_ip = p->external_ips == 0 ? NO | YES : one_ip,
                   .filter = possible_filters(p->filtering),
                   .may_lose_port = p->refused_takes_port != NP_TRISTATE_NO};
}

/* The completion of a number, one of COMPLETIONS; false where it is none of those possible. */
#define COMPLETIONS 12U
static bool complete(const range *r, unsigned number, side *out)
{
    unsigned depends = number % 2, keeps_ip = number / 2 % 2, kind = number / 4;
    bool is_possible = (r->depends >> depends & 1U) != 0 && (r->keeps_ip >> keeps_ip & 1U) != 0 &&
                       (r->filter >> kind & 1U) != 0;
    *out = (side){.depends = depends != 0,
                  .keeps_ip = keeps_ip != 0,
                  .filter = (filter_kind)kind,
                  .may_lose_port = r->may_lose_port};
    return is_possible;
}

static bool connects(int32_t outlook)
{
    return outlook >= NP_OUTLOOK_DIRECT && outlook <= NP_OUTLOOK_PUNCH_LEARN;
}

/* All judgements that are possible. */
typedef struct summary {
    int32_t best, worst;
    uint32_t rules[NP_OUTLOOK_RELAY + 1]; /* for each outlook a bit for each rule that leads to it */
    int32_t sends, goes_first;
    bool is_learnt;
} summary;

static void add(summary *s, const judgement *j)
{
    if (s->best == NP_OUTLOOK_UNKNOWN || j->outlook < s->best)
        s->best = j->outlook;
    if (j->outlook > s->worst)
        s->worst = j->outlook;
    s->rules[j->outlook] |= UINT32_C(1) << j->rule;
    s->sends |= j->sends;
    s->goes_first |= j->goes_first;
    s->is_learnt = s->is_learnt || j->is_learnt;
}

static void add_relay(summary *s, int32_t rule)
{
    add(s, &(judgement){NP_OUTLOOK_RELAY, rule, NP_FIRST_ANY, NP_FIRST_ANY, false});
}

static void add_pairs(summary *s, const range *ours, const range *theirs)
{
    for (unsigned i = 0; i < COMPLETIONS; i++) {
        for (unsigned k = 0; k < COMPLETIONS; k++) {
            side a, b;
            bool is_possible = complete(ours, i, &a);
            if (!complete(theirs, k, &b) || !is_possible)
                continue;
            judgement j = judge(&a, &b);
            add(s, &j);
        }
    }
}

/* ---- Two profiles ----------------------------------------------------------------------------------------------- */

static npi_addr external_of(const np_profile *p)
{
    npi_addr address = {.family = NPI_FAMILY_NONE};
    if (memchr(p->external_ip, '\0', sizeof p->external_ip) == NULL || !npi_addr_parse_ip(p->external_ip, &address))
        return (npi_addr){.family = NPI_FAMILY_NONE};
    return npi_addr_unmap(&address);
}

/* As the address says, where there is one. */
static int32_t family_of(const np_profile *p)
{
    npi_addr address = external_of(p);
    if (npi_addr_is_set(&address))
        return address.family;
    return p->family == NP_FAMILY_IPV4 || p->family == NP_FAMILY_IPV6 ? p->family : NP_FAMILY_ANY;
}

/* Behind one NAT: YES, NO, or both where an address is not known. */
static unsigned may_share_nat(const np_profile *ours, const np_profile *theirs)
{
    npi_addr a = external_of(ours), b = external_of(theirs);
    if (!npi_addr_is_set(&a) || !npi_addr_is_set(&b))
        return NO | YES;
    return npi_addr_same_ip(&a, &b) ? YES : NO;
}

static summary summarise(const np_profile *ours, const np_profile *theirs)
{
    summary s = {0};
    range a = range_of(ours), b = range_of(theirs);
    int32_t family = family_of(ours), other_family = family_of(theirs);
    bool one_is_unknown = family == NP_FAMILY_ANY || other_family == NP_FAMILY_ANY;
    if (ours->udp_blocked != 0 || theirs->udp_blocked != 0) {
        add_relay(&s, NP_RULE_UDP_BLOCKED);
        return s;
    }
    if (family != other_family)
        add_relay(&s, NP_RULE_NO_COMMON_FAMILY);
    if (family != other_family && !one_is_unknown)
        return s;
    add_pairs(&s, &a, &b);
    if ((may_share_nat(ours, theirs) & YES) != 0)
        add_relay(&s, NP_RULE_SAME_NAT); /* a NAT that sends nothing back inside */
    return s;
}

/* The one rule that leads there, or unknown where there are several. */
static int32_t rule_from(uint32_t rules)
{
    for (int32_t rule = NP_RULE_UDP_BLOCKED; rule <= NP_RULE_BOTH_DEPENDENT; rule++) {
        if (rules == UINT32_C(1) << rule)
            return rule;
    }
    return NP_RULE_UNKNOWN;
}

static void conclude(const summary *s, bool is_same_nat, np_outlook_result *out)
{
    bool is_known = connects(s->best) == connects(s->worst);
    out->best = s->best;
    out->worst = s->worst;
    out->outlook = is_known ? s->worst : NP_OUTLOOK_UNKNOWN;
    out->rule = rule_from(is_known ? s->rules[s->worst] : 0);
    /* What a pair without addresses lacks is worth a word. */
    if (!is_known && s->rules[NP_OUTLOOK_RELAY] == UINT32_C(1) << NP_RULE_SAME_NAT)
        out->rule = NP_RULE_SAME_NAT;
    if (is_same_nat) {
        out->outlook = NP_OUTLOOK_SAME_NAT;
        out->rule = NP_RULE_SAME_NAT;
    }
    if (!connects(s->best))
        return;
    out->first = s->goes_first != NP_FIRST_ANY ? s->goes_first : s->sends;
    if (s->goes_first == NP_FIRST_BOTH)
        out->assumes |= NP_ASSUMES_LOW_TTL;
    if (s->is_learnt)
        out->assumes |= NP_ASSUMES_ANSWER_TO_SOURCE;
}

/* ---- What it rests on ------------------------------------------------------------------------------------------- */

static bool is_fresh(const np_profile *p, int64_t now_unix)
{
    if (p->measured_at <= 0 || now_unix <= 0)
        return false;
    int64_t age = now_unix > p->measured_at ? now_unix - p->measured_at : p->measured_at - now_unix;
    return age <= FRESH_S;
}

/* Would it be worse with these two, or not as hopeless? */
static bool differs(const summary *s, const np_profile *ours, const np_profile *theirs)
{
    summary other = summarise(ours, theirs);
    return other.worst != s->worst || connects(other.best) != connects(s->best);
}

static np_profile without_filtering(const np_profile *p)
{
    np_profile other = *p;
    if (p->filtering_proven == 0)
        other.filtering = NP_BEHAVIOUR_UNKNOWN;
    return other;
}

static np_profile without_one_ip(const np_profile *p)
{
    np_profile other = *p;
    if (p->external_ips == 1)
        other.external_ips = 0;
    return other;
}

static uint32_t assumptions(const summary *s, const np_profile *ours, const np_profile *theirs, int64_t now_unix)
{
    uint32_t assumes = 0;
    np_profile a = without_filtering(ours), b = without_filtering(theirs);
    if (differs(s, &a, &b))
        assumes |= NP_ASSUMES_FILTERING;
    a = without_one_ip(ours);
    b = without_one_ip(theirs);
    if (differs(s, &a, &b))
        assumes |= NP_ASSUMES_ONE_IP;
    if (!is_fresh(ours, now_unix) || !is_fresh(theirs, now_unix))
        assumes |= NP_ASSUMES_FRESH;
    return assumes;
}

int np_outlook(const np_profile *ours, const np_profile *theirs, int64_t now_unix, np_outlook_result *outlook)
{
    if (outlook == NULL)
        return NP_ERR_ARGUMENT;
    memset(outlook, 0, sizeof *outlook);
    if (ours == NULL || theirs == NULL)
        return NP_ERR_ARGUMENT;
    summary s = summarise(ours, theirs);
    conclude(&s, may_share_nat(ours, theirs) == YES, outlook);
    outlook->assumes |= assumptions(&s, ours, theirs, now_unix);
    return NP_OK;
}
