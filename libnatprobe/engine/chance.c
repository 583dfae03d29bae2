/* SPDX-License-Identifier: MIT */
/* Counts equal ports, and weighs them against the number of ports that the NAT may draw from. */
#include "chance.h"

/* Ports that are kept at most: every view of the source socket, of filtering sockets and of looks. */
#define PORTS_MAX 32
/* Two differences are no accident: neither a restart of the NAT in between nor what another check left behind. */
#define APART_PROVEN 2

/* ---- The odds --------------------------------------------------------------------------------------------------- */

/*
 * With N ports to draw from, so many equalities have the probability N^-equal. N is larger than the span of the ports
 * seen. Ports that are counted up look drawn only if each falls by chance among the next few. And if just a few ports
 * have a span d, N is hardly much larger than d: for two of them (1 - d/N)^2 / N is at most 4/(27 d).
 */
bool npi_chance_is_excluded(uint32_t equal, const npi_given_ports *given, double limit)
{
    double ports = given->span < NPI_PORTS_MIN ? NPI_PORTS_MIN : given->span + 1.0;
    double pairs = given->count * (given->count - 1.0) / 2;
    double chance = 1.0;
    if (equal == 0)
        return false;
    for (uint32_t i = 0; i < equal; i++)
        chance /= ports;
    for (uint32_t i = 1; given->are_counted_up && i < given->count; i++)
        chance *= NPI_SEQUENCE_STEP / ports;
    return chance <= limit || (pairs > 0 && 4 * pairs <= limit * 27 * given->span);
}

/* ---- The ports that were given ---------------------------------------------------------------------------------- */

typedef struct seen_port {
    uint16_t port;
    uint64_t first_ns;
} seen_port;

typedef struct seen_ports {
    npi_addr network; /* of the addresses that they are of */
    seen_port port[PORTS_MAX];
    uint32_t count;
} seen_ports;

/* Keeps them in the order in which they were asked for. */
static void add_port(seen_ports *all, const npi_addr *external, uint64_t first_ns)
{
    uint32_t at = all->count;
    if (!npi_addr_are_neighbours(&all->network, external) || at == PORTS_MAX)
        return;
    for (uint32_t i = 0; i < all->count; i++) {
        if (all->port[i].port == external->port)
            return;
    }
    for (; at > 0 && all->port[at - 1].first_ns > first_ns; at--)
        all->port[at] = all->port[at - 1];
    all->port[at] = (seen_port){external->port, first_ns};
    all->count++;
}

static void add_exchanges(seen_ports *all, const npi_exchange *x, int count)
{
    for (int i = 0; i < count; i++) {
        if (npi_exchange_has_external(&x[i]))
            add_port(all, &x[i].external, x[i].t.first_ns);
    }
}

static npi_given_ports summarize(const seen_ports *all)
{
    uint16_t least = UINT16_MAX;
    uint16_t most = 0;
    npi_given_ports given = {.count = all->count, .are_counted_up = all->count > 1};
    for (uint32_t i = 0; i < all->count; i++) {
        uint16_t port = all->port[i].port;
        least = port < least ? port : least;
        most = port > most ? port : most;
        int step = i > 0 ? port - all->port[i - 1].port : 1;
        given.are_counted_up &= step > 0 && step <= NPI_SEQUENCE_STEP;
    }
    given.span = most > least ? (uint32_t)(most - least) : 0;
    return given;
}

static npi_given_ports ports_given(const npi_facts *f, const npi_addr *external)
{
    seen_ports all = {.network = *external};
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_trial *t = npi_server_trial(f, s);
        if (s->has_mapping)
            add_port(&all, &s->observed.external, s->first.first_ns);
        if (t == NULL)
            continue;
        if (t->filtering.slot != NPI_SLOT_SOURCE)
            add_exchanges(&all, t->filtering.x, NPI_FILTERING_EXCHANGES);
        add_exchanges(&all, t->control.x, NPI_C_II);
    }
    for (uint32_t i = 0; i < f->looks.asked; i++)
        add_exchanges(&all, f->looks.look[i].x, NPI_LOOK_EXCHANGES);
    return summarize(&all);
}

/* ---- What sockets show ------------------------------------------------------------------------------------------ */

typedef struct evidence {
    npi_comparisons by_ip;
    npi_comparisons by_port;
    npi_given_ports given;
    double limit;
    bool is_kept;           /* the source socket's own port is seen: that is not drawn */
    bool passes_any;        /* unsolicited datagrams come in from other addresses: a port belongs to one mapping */
    bool passes_other_port; /* from other ports of one */
    bool is_of_several;     /* several external IP addresses, or a server that no NAT lies on the way to */
    bool is_elsewhere;      /* other sockets take another way, or there are none: they show nothing of this NAT */
    bool is_contradicted;   /* a server sees another port than the first one */
} evidence;

static bool is_of(const npi_observation *a, const npi_observation *b, bool same_ip)
{
    if (npi_addr_is_other_ip(&a->local, &b->local) || npi_addr_same_ip(&a->destination, &b->destination) != same_ip)
        return false;
    return !same_ip || a->destination.port != b->destination.port;
}

/* Whether one of the destinations before the i-th, with another IP address or another port of the same, sees alike. */
static bool has_equal_before(const npi_observation *seen, size_t i, bool same_ip)
{
    for (size_t j = 0; j < i; j++) {
        if (is_of(&seen[i], &seen[j], same_ip) && npi_addr_equal(&seen[i].external, &seen[j].external))
            return true;
    }
    return false;
}

static bool has_apart_before(const npi_observation *seen, size_t i, bool same_ip)
{
    for (size_t j = 0; j < i; j++) {
        if (is_of(&seen[i], &seen[j], same_ip) && !seen[i].may_collide && !seen[j].may_collide &&
            !npi_addr_equal(&seen[i].external, &seen[j].external))
            return true;
    }
    return false;
}

/* The source socket: each destination that adds an equality of its own, and at most one difference. */
static void tally_source(evidence *e, const npi_observation *seen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool same_port = has_equal_before(seen, i, true);
        e->is_kept |= seen[i].external.port == seen[i].local.port;
        e->is_of_several |= !npi_addr_same_ip(&seen[i].external, &seen[0].external);
        e->by_port.equal += same_port;
        e->by_ip.equal += !same_port && has_equal_before(seen, i, false);
        e->by_ip.apart |= has_apart_before(seen, i, false);
        e->by_port.apart |= has_apart_before(seen, i, true);
    }
}

static void tally_pair(npi_comparisons *tally, const npi_exchange *a, const npi_exchange *b)
{
    if (!npi_exchange_has_external(a) || !npi_exchange_has_external(b) || npi_addr_is_other_ip(&a->local, &b->local))
        return;
    if (npi_addr_equal(&a->external, &b->external))
        tally->equal++;
    else
        tally->apart++;
}

static void tally_trial(evidence *e, const npi_trial *t)
{
    const npi_exchange *other = &t->control.x[NPI_M_OTHER];
    e->passes_any |= t->filtering.ii.outcome == NPI_CHANGE_HONOURED;
    e->passes_other_port |= t->filtering.iii.outcome == NPI_CHANGE_HONOURED;
    if (!npi_exchange_has_external(other))
        return;
    tally_pair(&e->by_ip, &t->filtering.x[NPI_F_I], other);
    e->limit = NPI_CHANCE_BOTH_SOCKETS;
}

/*
 * The source socket has one external IP address. A look that has two shows that it changed in between, and not whether
 * ports differ.
 */
static void tally_look_pair(npi_comparisons *tally, const npi_exchange *a, const npi_exchange *b)
{
    if (npi_addr_same_ip(&a->external, &b->external))
        tally_pair(tally, a, b);
}

static void tally_look(evidence *e, const npi_look *look, const npi_observation *source)
{
    const npi_exchange *first = &look->x[NPI_L_FIRST];
    if (npi_exchange_has_external(first) && (!npi_addr_are_neighbours(&first->external, &source->external) ||
                                             npi_addr_is_other_ip(&first->local, &source->local))) {
        e->is_elsewhere = true;
        return;
    }
    tally_look_pair(&e->by_ip, first, &look->x[NPI_L_OTHER_IP]);
    tally_look_pair(&e->by_port, first, &look->x[NPI_L_OTHER_PORT]);
}

/* Where the others agree such a server has been outvoted. They may do so by chance. */
static bool sees_another_port(const npi_server *s, const npi_addr *external)
{
    return s->has_mapping && npi_addr_same_ip(&s->observed.external, external) &&
           s->observed.external.port != external->port;
}

static evidence gather(const npi_facts *f, const npi_observation *seen, size_t count)
{
    evidence e = {.limit = NPI_CHANCE, .is_elsewhere = f->path.state == NPI_PATH_OTHER || f->looks.has_no_socket};
    e.given = ports_given(f, &seen[0].external);
    tally_source(&e, seen, count);
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[i]);
        e.is_contradicted |= sees_another_port(&f->servers[i], &seen[0].external);
        if (t != NULL)
            tally_trial(&e, t);
    }
    for (uint32_t i = 0; i < f->looks.asked; i++)
        tally_look(&e, &f->looks.look[i], &seen[0]);
    return e;
}

/* ---- What remains ----------------------------------------------------------------------------------------------- */

/* A mapping that depends on the address: on the port too? */
static int32_t kind_of(const evidence *e, uint32_t *misses)
{
    if (e->by_port.apart >= APART_PROVEN || (e->by_port.apart > 0 && e->by_port.equal == 0))
        return NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    bool is_sure = e->passes_other_port || npi_chance_is_excluded(e->by_port.equal, &e->given, e->limit);
    if (e->by_port.apart == 0 && e->by_port.equal > 0 && is_sure)
        return NP_BEHAVIOUR_ADDRESS_DEPENDENT;
    *misses = e->by_port.equal > 0 ? NPI_MISSES_OTHER_PORT : 0;
    return NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
}

/* Two IP addresses see alike: is the mapping independent, or do two ports agree by chance? */
static int32_t judge_equal(const evidence *e, int32_t mapping, uint32_t *misses)
{
    bool is_enough = npi_chance_is_excluded(e->by_ip.equal, &e->given, e->limit);
    bool is_sure = e->passes_any || (is_enough && (e->by_ip.equal > 1 || !e->is_contradicted));
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT && is_sure && e->by_ip.apart == 0) {
        *misses = !e->passes_any && e->by_ip.equal == 1 ? NPI_MISSES_NO_MORE : 0;
        return mapping;
    }
    if (e->by_ip.apart >= APART_PROVEN)
        return kind_of(e, misses);
    *misses = NPI_MISSES_OTHER_IP | (e->by_port.apart > 0 ? NPI_MISSES_OTHER_PORT : 0);
    return NP_BEHAVIOUR_UNKNOWN;
}

int32_t npi_chance_judge(const npi_facts *f, const npi_observation *seen, size_t count, int32_t mapping,
                         uint32_t *misses)
{
    *misses = 0;
    if (count < 2 || mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT)
        return mapping;
    evidence e = gather(f, seen, count);
    bool is_mixed = e.by_ip.apart + e.by_port.apart > 0;
    if (e.is_kept || e.is_elsewhere || e.is_of_several || e.by_ip.equal + e.by_port.equal == 0)
        return mapping;
    if (mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT)
        return kind_of(&e, misses);
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return judge_equal(&e, mapping, misses);
    /* Some alike and others not: chance makes that of few ports only. */
    if (!is_mixed || e.passes_any || npi_chance_is_excluded(1, &e.given, e.limit))
        return mapping;
    return mapping == NP_BEHAVIOUR_UNKNOWN ? judge_equal(&e, mapping, misses) : kind_of(&e, misses);
}

bool npi_chance_may_equal_one(const npi_facts *f, const npi_server *s, double limit)
{
    if (!s->has_mapping || s->observed.external.port == s->observed.local.port)
        return false;
    npi_given_ports given = ports_given(f, &s->observed.external);
    return !npi_chance_is_excluded(1, &given, limit);
}
