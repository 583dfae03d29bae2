/* SPDX-License-Identifier: MIT */
/* The matrix of what worlds can be, and what of it was drawn. */
#include "coverage.h"

#include <inttypes.h>

#include "truth.h"

#define BIT(n) (1u << (n))
#define TOPOLOGIES 8 /* those through which anything passes */

typedef struct dimension {
    const char *name;
    const char *values[COVERAGE_VALUES];
    unsigned (*of)(const world *w); /* a bit for each value that the world has */
    bool is_field;                  /* only the classes of field.c have any */
} dimension;

/* ---- Boxes ---- */

static unsigned mapping_index(const world *w)
{
    truth t;
    truth_of(w, &t);
    if (t.mapping == NP_BEHAVIOUR_ENDPOINT_DEPENDENT) /* on the port, and on nothing else */
        return 3;
    return t.mapping == NP_BEHAVIOUR_NONE ? 0 : (unsigned)(t.mapping - NP_BEHAVIOUR_ENDPOINT_INDEPENDENT) + 1;
}

static unsigned filtering_index(const world *w)
{
    truth t;
    truth_of(w, &t);
    return (unsigned)(t.filtering - NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
}

static unsigned topology_index(const world *w)
{
    bool firewall[WORLD_BOXES] = {false};
    for (unsigned i = 0; i < w->boxes; i++) {
        firewall[i] = w->box[i].kind == BOX_FIREWALL;
        if (w->box[i].kind == BOX_BLOCKED)
            return TOPOLOGIES;
    }
    if (w->boxes < 2)
        return w->boxes == 0 ? 0 : (firewall[0] ? 1 : (w->box[0].kind == BOX_LINUX ? 3 : 2));
    if (firewall[0])
        return firewall[1] ? 6 : 4;
    return firewall[1] ? 5 : 7;
}

static unsigned of_mapping(const world *w)
{
    return BIT(mapping_index(w));
}

static unsigned of_filtering(const world *w)
{
    return BIT(filtering_index(w));
}

static unsigned of_topology(const world *w)
{
    return BIT(topology_index(w));
}

static unsigned of_allocation(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->boxes; i++)
        bits |= w->box[i].kind == BOX_NAT ? BIT(w->box[i].ports) : 0;
    return bits;
}

static unsigned of_pooling(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->boxes; i++)
        bits |= w->box[i].kind == BOX_NAT ? BIT(w->box[i].pooling) : 0;
    return bits;
}

static unsigned of_timeout(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->boxes; i++) {
        const box_desc *b = &w->box[i];
        uint64_t s = b->timeout_ns / SECOND;
        if (b->kind == BOX_NAT || b->kind == BOX_FIREWALL)
            bits |= BIT(s < 5 ? 0 : (s < 10 ? 1 : (s < 30 ? 2 : (s < 300 ? 3 : 4))));
    }
    return bits;
}

static unsigned of_state(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->boxes; i++) {
        const box_desc *b = &w->box[i];
        bits |= b->per_host ? BIT(0) : 0;
        bits |= b->refresh_in ? BIT(1) : 0;
        bits |= b->only_port != 0 ? BIT(2) : 0;
    }
    return bits;
}

static unsigned of_conntrack(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].kind == BOX_LINUX)
            bits |= BIT(w->box[i].input_firewall ? 1 : 0) | BIT(w->box[i].fully_random ? 3 : 2);
    }
    return bits;
}

static unsigned of_change_of_address(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->boxes; i++) {
        const box_desc *b = &w->box[i];
        if (b->changes > 0)
            bits |= BIT(b->change_keeps_ip ? 3 : (b->changes == 1 ? 1 : 2));
    }
    return bits != 0 ? bits : BIT(0);
}

static unsigned of_family(const world *w)
{
    return BIT(w->family == 4 ? 0 : 1);
}

static unsigned of_addresses(const world *w)
{
    unsigned bits = BIT(w->documentation ? 0 : 1);
    for (unsigned i = 0; i < w->servers; i++)
        bits |= endpoint_is_special(&w->server[i].a) ? BIT(2) : 0;
    return bits;
}

/* ---- The path ---- */

static double worst_loss(const world *w)
{
    return w->link.loss[UP] > w->link.loss[DOWN] ? w->link.loss[UP] : w->link.loss[DOWN];
}

static unsigned of_loss(const world *w)
{
    static const double most[] = {0, 0.01, 0.05, 0.1, 0.2};
    unsigned i = 0;
    while (i < 5 && worst_loss(w) > most[i] + 1e-9)
        i++;
    return BIT(i);
}

static unsigned of_bursts(const world *w)
{
    return worst_loss(w) > 0 ? BIT(w->link.kind) : 0;
}

static unsigned of_place(const world *w)
{
    return worst_loss(w) > 0 ? BIT(w->link.place) : 0;
}

static unsigned of_duplicates(const world *w)
{
    return BIT(w->link.duplicate <= 0 ? 0 : (w->link.duplicate <= 0.05 ? 1 : 2));
}

static unsigned of_order(const world *w)
{
    return BIT(w->link.fifo ? 0 : 1) | (w->link.late > 0 ? BIT(2) : 0);
}

static unsigned of_jitter(const world *w)
{
    return BIT(w->link.jitter <= 0 ? 0 : (w->link.jitter <= 0.1 ? 1 : 2));
}

static unsigned of_round_trip(const world *w)
{
    static const uint64_t below_ms[] = {10, 50, 200, 500, 1000};
    unsigned i = 0;
    while (i < 5 && w->link.rtt_ns >= below_ms[i] * MS)
        i++;
    return BIT(i);
}

/* ---- Servers ---- */

static unsigned of_servers(const world *w)
{
    unsigned n = w->listed_count;
    return BIT(n < 5 ? n - 1 : 4) | (n > w->servers ? BIT(5) : 0);
}

static unsigned of_plain(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++)
        bits |= BIT(w->server[i].plain);
    return bits;
}

static unsigned of_change(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++)
        bits |= BIT(w->server[i].change_flips ? CHANGE_MODES : w->server[i].change);
    return bits;
}

static unsigned of_mapped(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++)
        bits |= BIT(w->server[i].mapped);
    return bits;
}

static unsigned of_dialect(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        bits |= BIT(s->dialect == DIALECT_CLASSIC ? 1 : 0);
        bits |= s->unpadded ? BIT(2) : 0;
        bits |= s->fingerprint ? BIT(3) : 0;
    }
    return bits;
}

static unsigned of_named(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        bits |= BIT(s->other == OTHER_NONE ? 0 : (s->other_is_false ? 2 : (s->other_flips ? 3 : 1)));
        if (s->other_is_false && endpoint_class(&s->false_other) == 3)
            bits |= BIT(4);
        for (unsigned k = 0; k < i; k++) {
            const server_desc *o = &w->server[k];
            if (s->other_is_false && o->other_is_false && endpoint_equal(&s->false_other, &o->false_other))
                bits |= BIT(5);
        }
    }
    return bits;
}

static unsigned of_presence(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        bits |= s->deaf_aq || s->deaf_bp || s->deaf_bq ? BIT(0) : 0;
        bits |= s->two_ips && !s->two_ports ? BIT(1) : 0;
        bits |= s->two_ports && !s->two_ips ? BIT(2) : 0;
        if (s->dies_ns != 0)
            bits |= BIT(s->dies_in_part ? 4 : (s->back_ns != 0 ? 5 : 3));
        bits |= s->no_route ? BIT(6) : 0;
    }
    return bits;
}

static unsigned of_manner(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        bits |= s->copies > 1 ? BIT(s->copies < 5 ? 0 : 1) : 0;
        bits |= s->late_ns > 0 ? BIT(2) : 0;
        bits |= s->rate > 0 ? BIT(s->rate_kind == RATE_WINDOW ? 3 : 4) : 0;
        bits |= s->flood > 0 ? BIT(5) : 0;
        bits |= s->extra_rtt_ns > 0 ? BIT(6) : 0;
        bits |= s->extra_b_ns > 0 ? BIT(7) : 0;
    }
    return bits;
}

/* ---- The host ---- */

static unsigned of_earlier(const world *w)
{
    return BIT(w->earlier_count == 0 && w->runs == 1 ? 0 : (w->runs > 1 ? 2 : 1));
}

static unsigned of_host(const world *w)
{
    const host_desc *h = &w->host;
    unsigned bits = h->lag_ns > 0 ? BIT(0) : 0;
    bits |= h->busy > 0 ? BIT(1) : 0;
    bits |= h->no_route ? BIT(2) : 0;
    bits |= h->cancel_ns != 0 ? BIT(3) : 0;
    bits |= w->timeout_ns < 10 * SECOND ? BIT(4) : 0;
    return bits;
}

static unsigned of_tests(const world *w)
{
    return BIT(w->mapping_only ? 1 : 0);
}

/* ---- What only the classes of field.c have ---- */

static unsigned of_ways(const world *w)
{
    unsigned bits = w->route == ROUTE_ONE ? 0 : BIT(w->route - 1);
    bits |= w->second_local.family != 0 ? BIT(4) : 0;
    bits |= w->strict_reverse ? BIT(5) : 0;
    return bits | (w->intercepts ? BIT(6) : 0);
}

static unsigned of_odd_boxes(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->boxes; i++) {
        const box_desc *b = &w->box[i];
        bits |= b->by_port ? BIT(0) : 0;
        if (b->block != 0)
            bits |= BIT(b->block <= 16 ? 1 : (b->block <= 64 ? 2 : 3));
        if (b->forward_low != 0)
            bits |= BIT(b->forward_high - b->forward_low < 10 ? 4 : (b->forward_low > 1024 ? 5 : 6));
        bits |= b->rewrites ? BIT(7) : 0;
        bits |= b->ban_after != 0 ? BIT(8) : 0;
        bits |= b->prefix.family != 0 ? BIT(9) : 0;
    }
    return bits;
}

static unsigned of_misleading_servers(const world *w)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        bits |= s->exempt ? BIT(0) : 0;
        if (s->sees.family != 0)
            bits |= BIT(endpoint_is_special(&s->sees) ? 1 : 2);
        if (s->sees_port != SEEN_PORT_TRUE)
            bits |= BIT(s->sees_port == SEEN_PORT_FIXED ? 3 : 4);
        if (s->state != STATELESS)
            bits |= BIT(s->state == STATE_BY_ENDPOINT ? 5 : 6);
        bits |= s->change_gap_ns != 0 ? BIT(7) : 0;
        bits |= s->true_a.family != 0 ? BIT(8) : 0;
        bits |= s->busy_ns != 0 ? BIT(9) : 0;
    }
    return bits;
}

static unsigned of_trouble(const world *w)
{
    const host_desc *h = &w->host;
    unsigned bits = w->link.silent_ns != 0 ? BIT(0) : 0;
    bits |= h->freeze_ns != 0 ? BIT(1) : 0;
    if (h->outage_ns != 0)
        bits |= BIT(h->outage_deafens ? 3 : 2);
    bits |= h->out_rate != 0 ? BIT(4) : 0;
    return bits | (w->link.rtt_ns > 2 * SECOND ? BIT(5) : 0);
}

static unsigned of_gaps(const world *w)
{
    unsigned bits = w->link.gaps == 0 ? 0 : BIT(w->link.gaps == 1 ? 0 : 1);
    for (unsigned i = 0; i < w->link.gaps; i++) {
        const link_gap *g = &w->link.gap[i];
        bits |= g->at_ns == 0 ? BIT(2) : 0;
        bits |= BIT(g->hits[UP] && g->hits[DOWN] ? 5 : (g->hits[UP] ? 3 : 4));
        bits |= g->inside ? BIT(6) : 0;
    }
    return bits;
}

static unsigned of_limits(const world *w)
{
    const rate_limit *l = &w->link.limit;
    if (l->place == LIMIT_NOWHERE)
        return 0;
    unsigned bits = BIT(l->place - LIMIT_INSIDE) | BIT(l->per_second <= 10 ? 3 : (l->per_second <= 20 ? 4 : 5));
    bits |= BIT(l->burst == 1 ? 6 : (l->burst < 10 ? 7 : 8)) | BIT(l->by_port ? 9 : 10);
    return bits | (l->queue != 0 ? BIT(11) : 0);
}

static unsigned of_slow_links(const world *w)
{
    unsigned bits = 0;
    for (unsigned d = UP; d <= DOWN; d++) {
        const slow_link *s = &w->link.slow[d];
        if (s->bits_per_s == 0)
            continue;
        bits |= BIT((s->queue_packets != 0 ? 0 : 2) + d);
        bits |= BIT(s->bits_per_s <= 32000 ? 4 : (s->bits_per_s <= 64000 ? 5 : 6));
        bits |= s->inside ? BIT(7) : 0;
    }
    return bits;
}

static unsigned of_dead_servers(const world *w)
{
    unsigned dead = world_dead_servers(w);
    unsigned bits = dead == 0 ? 0 : BIT(dead == 1 ? 0 : 1);
    for (unsigned i = 0; i < w->listed_count; i++) {
        if (server_is_dead(&w->server[w->listed[i].server]))
            bits |= BIT(i == 0 ? 2 : (i + 1 == w->listed_count ? 4 : 3));
    }
    return bits;
}

/* ---- The matrix ---- */

static const char *const topologies[TOPOLOGIES + 1] = {
    "no box",        "firewall",   "NAT",    "Linux NAT", "firewall behind a NAT", "firewall in front of a NAT",
    "two firewalls", "double NAT", "blocked"};
static const char *const mappings[] = {"none", "endpoint-independent", "address-dependent",
                                       "address-and-port-dependent"};

static const dimension dimensions[] = {
    {"mapping", {"none", "endpoint-independent", "address-dependent", "address-and-port-dependent"}, of_mapping, false},
    {"filtering", {"endpoint-independent", "address-dependent", "address-and-port-dependent"}, of_filtering, false},
    {"port allocation", {"preserving", "sequential", "random", "parity", "contiguous"}, of_allocation, false},
    {"pooling", {"one address", "paired", "arbitrary"}, of_pooling, false},
    {"binding timeout", {"below 5 s", "5 to 10 s", "10 to 30 s", "30 s", "300 s"}, of_timeout, false},
    {"state", {"one for all sockets", "refreshed from outside", "lets out to one port only"}, of_state, false},
    {"topology",
     {"no box", "firewall", "NAT", "Linux NAT", "firewall behind a NAT", "firewall in front of a NAT", "two firewalls",
      "double NAT (CGN)", "blocked"},
     of_topology,
     false},
    {"conntrack", {"answers the unsolicited", "input firewall", "keeps ports", "fully random"}, of_conntrack, false},
    {"address change", {"none", "once", "several times", "state lost, address kept"}, of_change_of_address, false},
    {"family", {"IPv4", "IPv6"}, of_family, false},
    {"addresses", {"documentation", "public", "private servers"}, of_addresses, false},
    {"loss", {"0", "up to 1 %", "up to 5 %", "up to 10 %", "up to 20 %", "up to 30 %"}, of_loss, false},
    {"bursts", {"independent", "bursts in time", "bursts of packets"}, of_bursts, false},
    {"place of loss", {"inside", "outside", "both"}, of_place, false},
    {"duplicates", {"none", "up to 5 %", "more"}, of_duplicates, false},
    {"order", {"kept", "reordering", "some seconds late"}, of_order, false},
    {"jitter", {"none", "up to 10 %", "up to 50 %"}, of_jitter, false},
    {"round trip",
     {"1 to 10 ms", "10 to 50 ms", "50 to 200 ms", "200 to 500 ms", "0.5 to 1 s", "1 to 2 s"},
     of_round_trip,
     false},
    {"servers named", {"1", "2", "3", "4", "5 or more", "one twice"}, of_servers, false},
    {"plain answer",
     {"good", "silence", "garbage", "truncated", "wrong id", "echo", "error 300", "error 500", "from elsewhere"},
     of_plain,
     false},
    {"CHANGE-REQUEST",
     {"honoured", "ignored", "port only", "IP only", "odd port", "rejected", "dropped", "IP dropped", "port dropped",
      "by turns"},
     of_change,
     false},
    {"mapped address",
     {"XOR", "XOR and plain", "old XOR", "plain", "rewritten", "zero IP", "zero port", "none", "other family",
      "private"},
     of_mapped,
     false},
    {"dialect", {"RFC 8489", "RFC 3489 only", "unpadded", "fingerprint"}, of_dialect, false},
    {"named address",
     {"none", "true", "false", "true and false", "forbidden", "one victim by several"},
     of_named,
     false},
    {"presence",
     {"deaf addresses", "one port", "one address", "dies", "dies in part", "comes back", "no route"},
     of_presence,
     false},
    {"manner",
     {"2 to 4 copies", "up to 100 copies", "late", "rate window", "rate bucket", "floods", "further away",
      "second address further away"},
     of_manner,
     false},
    {"earlier use", {"none", "another program", "an earlier check"}, of_earlier, false},
    {"host", {"wakes up late", "no room to send", "no route", "cancelled", "little time"}, of_host, false},
    {"tests", {"all", "mapping only"}, of_tests, false},
    {"second way",
     {"fresh sockets", "some sockets", "some addresses", "other ports", "another local address", "strict reverse path",
      "intercepted"},
     of_ways,
     true},
    {"odd boxes",
     {"map by port", "block of 16", "block of 64", "block of 240", "forward the source port", "forward a range",
      "forward everything", "rewrite sources", "ban senders", "NAT64"},
     of_odd_boxes,
     true},
    {"misleading servers",
     {"untranslated", "see a private address", "see a false address", "see one port", "see changing ports",
      "state by endpoint", "state by address", "CHANGE-REQUEST quota", "translated", "slow"},
     of_misleading_servers,
     true},
    {"trouble",
     {"silent at first", "stands still", "sends refused", "sends refused, deaf", "output limit",
      "round trip above 2 s"},
     of_trouble,
     true},
    {"gaps", {"one", "several", "at the start", "up", "down", "both ways", "inside"}, of_gaps, true},
    {"limits",
     {"inner router", "outer router", "servers", "10 a second", "20 a second", "50 a second", "1 at once", "5 at once",
      "more at once", "by port", "by address", "some wait"},
     of_limits,
     true},
    {"slow links",
     {"small queue up", "small queue down", "long queue up", "long queue down", "up to 32 kbit/s", "up to 64 kbit/s",
      "faster", "inside"},
     of_slow_links,
     true},
    {"dead servers", {"one", "two", "first of the list", "between", "last of the list"}, of_dead_servers, true},
};

#define DIMENSIONS (sizeof dimensions / sizeof dimensions[0])
_Static_assert(DIMENSIONS <= COVERAGE_DIMENSIONS, "a row for each dimension");

static unsigned combination_index(unsigned mapping, unsigned filtering, unsigned topology, unsigned family)
{
    return ((mapping * 3 + filtering) * TOPOLOGIES + topology) * 2 + family;
}

static bool can_exist(unsigned mapping, unsigned filtering, unsigned topology)
{
    bool translates = topology == 2 || topology == 3 || topology == 4 || topology == 5 || topology == 7;
    if (translates != (mapping != 0))
        return false;
    if (topology == 0)
        return filtering == 0;
    return topology != 3 || (filtering == 2 && mapping != 2); /* netfilter filters by endpoint */
}

void coverage_count(coverage *c, const world *w)
{
    for (unsigned d = 0; d < DIMENSIONS; d++) {
        unsigned bits = dimensions[d].of(w);
        for (unsigned v = 0; v < COVERAGE_VALUES; v++)
            c->value[d][v] += bits >> v & 1u;
    }
    unsigned topology = topology_index(w);
    if (topology < TOPOLOGIES)
        c->combination[combination_index(mapping_index(w), filtering_index(w), topology, w->family == 4 ? 0 : 1)]++;
}

void coverage_add(coverage *sum, const coverage *c)
{
    for (unsigned d = 0; d < COVERAGE_DIMENSIONS; d++) {
        for (unsigned v = 0; v < COVERAGE_VALUES; v++)
            sum->value[d][v] += c->value[d][v];
    }
    for (unsigned i = 0; i < COVERAGE_COMBINATIONS; i++)
        sum->combination[i] += c->combination[i];
}

static bool is_drawn(const coverage *c, unsigned d)
{
    for (unsigned v = 0; v < COVERAGE_VALUES; v++) {
        if (c->value[d][v] > 0)
            return true;
    }
    return false;
}

void coverage_print(const coverage *c, bool markdown, FILE *out)
{
    if (markdown)
        fprintf(out, "| dimension | worlds with each value |\n|---|---|\n");
    for (unsigned d = 0; d < DIMENSIONS; d++) {
        if (dimensions[d].is_field && !is_drawn(c, d))
            continue;
        fprintf(out, markdown ? "| %s |" : "%-16s", dimensions[d].name);
        for (unsigned v = 0; v < COVERAGE_VALUES && dimensions[d].values[v] != NULL; v++)
            fprintf(out, "%s %s %" PRIu64, v > 0 ? "," : "", dimensions[d].values[v], c->value[d][v]);
        fprintf(out, markdown ? " |\n" : "\n");
    }
}

static unsigned missing_combinations(const coverage *c, FILE *out)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < COVERAGE_COMBINATIONS; i++) {
        unsigned topology = i / 2 % TOPOLOGIES;
        unsigned filtering = i / 2 / TOPOLOGIES % 3;
        unsigned mapping = i / 2 / TOPOLOGIES / 3;
        if (c->combination[i] > 0 || !can_exist(mapping, filtering, topology))
            continue;
        fprintf(out, "never drawn: mapping %s, filtering %s, %s, IPv%d\n", mappings[mapping], mappings[filtering + 1],
                topologies[topology], i % 2 == 0 ? 4 : 6);
        missing++;
    }
    return missing;
}

unsigned coverage_missing(const coverage *c, FILE *out)
{
    unsigned missing = 0;
    for (unsigned d = 0; d < DIMENSIONS; d++) {
        for (unsigned v = 0; v < COVERAGE_VALUES && dimensions[d].values[v] != NULL; v++) {
            if (c->value[d][v] > 0 || (dimensions[d].is_field && !world_field_is_mixed()))
                continue;
            fprintf(out, "never drawn: %s, %s\n", dimensions[d].name, dimensions[d].values[v]);
            missing++;
        }
    }
    return missing + missing_combinations(c, out);
}
