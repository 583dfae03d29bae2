/* SPDX-License-Identifier: MIT */
/* The parts that worlds are made of, how they are drawn, and how a world is shown. */
#include "world.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <natprobe/natprobe.h>

#include "draw.h"

#define SOURCE_PORT 54320

void world_quiet(world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->kind = WORLD_ANY_CLASS;
    w->family = 4;
    w->documentation = true;
    w->link = (link_desc){.rtt_ns = 20 * MS, .inside_share = 0.1, .burst_ns = 50 * MS, .burst_packets = 3};
    w->start_ns = SECOND;
    w->timeout_ns = NP_DEFAULT_TIMEOUT_MS * MS;
    w->response_timeout_ns = NP_DEFAULT_RESPONSE_TIMEOUT_MS * MS;
    w->runs = 1;
    world_number(w);
}

box_desc box_nat(dependence mapping, dependence filtering)
{
    return (box_desc){.kind = BOX_NAT, .mapping = mapping, .filtering = filtering, .timeout_ns = 300 * SECOND};
}

box_desc box_firewall(dependence filtering)
{
    return (box_desc){.kind = BOX_FIREWALL, .filtering = filtering, .timeout_ns = 300 * SECOND};
}

box_desc box_linux(bool input_firewall, bool fully_random)
{
    return (box_desc){.kind = BOX_LINUX, .input_firewall = input_firewall, .fully_random = fully_random};
}

bool box_translates(const box_desc *b)
{
    return b->kind == BOX_NAT || b->kind == BOX_LINUX;
}

bool box_remembers_refused(const box_desc *b)
{
    return b->kind == BOX_LINUX && !b->input_firewall;
}

bool world_remembers_refused(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (box_remembers_refused(&w->box[i]))
            return true;
    }
    return false;
}

bool world_is_narrow(const world *w)
{
    const link_desc *l = &w->link;
    return l->gaps > 0 || l->limit.place != LIMIT_NOWHERE || l->slow[UP].bits_per_s != 0 ||
           l->slow[DOWN].bits_per_s != 0;
}

endpoint world_public(const world *w, unsigned net, unsigned host, uint16_t port)
{
    return endpoint_public(w->family, w->documentation ? net : net + 3, host, port);
}

static void number_box(world *w, unsigned i, bool outermost)
{
    for (unsigned k = 0; k < WORLD_POOL; k++) {
        w->box[i].external[k] = outermost ? world_public(w, 0, 1 + k, 0) : endpoint_private(w->family, 64, 1 + k, 0);
    }
}

void world_number(world *w)
{
    int outermost = -1;
    for (unsigned i = 0; i < w->boxes; i++)
        outermost = box_translates(&w->box[i]) ? (int)i : outermost;
    for (unsigned i = 0; i < w->boxes; i++)
        number_box(w, i, (int)i == outermost);
    w->host.local = outermost >= 0 ? endpoint_private(w->family, 1, 2, SOURCE_PORT)
                                   : world_public(w, 0, 77, SOURCE_PORT);
}

server_desc *world_add_server(world *w)
{
    unsigned i = w->servers++;
    server_desc *s = &w->server[i];
    memset(s, 0, sizeof *s);
    s->a = world_public(w, 1, 10 + i, 3478);
    s->b = world_public(w, 2, 10 + i, 3479);
    s->two_ports = true;
    s->two_ips = true;
    s->other = OTHER_RFC5780;
    s->origin = true;
    s->copies = 1;
    w->listed[w->listed_count++] = (listed_server){.address = s->a, .server = i};
    return s;
}

void server_make_plain(server_desc *s)
{
    s->two_ports = false;
    s->two_ips = false;
    s->other = OTHER_NONE;
    s->change = CHANGE_IGNORED;
}

void server_make_dead(server_desc *s)
{
    s->plain = PLAIN_SILENT;
    s->change = CHANGE_DROPPED;
}

bool server_is_dead(const server_desc *s)
{
    return s->plain == PLAIN_SILENT && s->change == CHANGE_DROPPED;
}

unsigned world_dead_servers(const world *w)
{
    unsigned dead = 0;
    for (unsigned i = 0; i < w->listed_count; i++)
        dead += server_is_dead(&w->server[w->listed[i].server]);
    return dead;
}

void server_make_classic(server_desc *s)
{
    s->mapped = MAPPED_PLAIN;
    s->other = OTHER_RFC3489;
    s->fingerprint = false;
}

static const char *dependence_name(dependence d)
{
    static const char *const names[] = {"endpoint-independent", "address-dependent", "address-and-port-dependent"};
    return names[d];
}

static void print_changes(const box_desc *b, FILE *out)
{
    for (unsigned i = 0; i < b->changes; i++)
        fprintf(out, "%s%.1f ms", i == 0 ? (b->change_keeps_ip ? "; reboots at " : "; new address at ") : ", ",
                (double)b->change_ns[i] / 1e6);
}

static void print_oddities(const box_desc *b, FILE *out)
{
    char prefix[ENDPOINT_TEXT];
    endpoint_ip_text(&b->prefix, prefix);
    if (b->by_port)
        fprintf(out, ", maps by the destination's port");
    if (b->block != 0)
        fprintf(out, ", ports of a block of %u", b->block);
    if (b->forward_low != 0)
        fprintf(out, ", forwards ports %u to %u", b->forward_low, b->forward_high);
    if (b->rewrites)
        fprintf(out, ", puts itself for unsolicited sources");
    if (b->ban_after != 0)
        fprintf(out, ", shuts out after %u unsolicited for %.1f s", b->ban_after, (double)b->ban_ns / 1e9);
    if (b->prefix.family != 0)
        fprintf(out, ", NAT64 behind %s", prefix);
}

static void print_box(const box_desc *b, FILE *out)
{
    static const char *const kinds[] = {"wire", "firewall", "NAT", "Linux NAT", "UDP blocked"};
    static const char *const ports[] = {"preserving", "sequential", "random", "parity-preserving", "contiguous"};
    static const char *const pools[] = {"one", "paired", "arbitrary"};
    fprintf(out, "  box: %s", kinds[b->kind]);
    if (b->kind == BOX_NAT)
        fprintf(out, ", mapping %s, ports %s, pooling %s", dependence_name(b->mapping), ports[b->ports],
                pools[b->pooling]);
    if (b->kind == BOX_NAT || b->kind == BOX_FIREWALL)
        fprintf(out, ", filtering %s%s, timeout %.1f s%s", dependence_name(b->filtering),
                b->per_host ? " kept per host" : "", (double)b->timeout_ns / 1e9,
                b->refresh_in ? ", refreshed by what comes in" : "");
    if (b->kind == BOX_LINUX)
        fprintf(out, ", %s, ports %s", b->input_firewall ? "input firewall" : "no input firewall",
                b->fully_random ? "fully random" : "preserving");
    if (b->kind == BOX_BLOCKED)
        fprintf(out, "%s%s", b->block_out ? ", outwards" : "", b->block_in ? ", inwards" : "");
    if (b->only_port != 0)
        fprintf(out, ", lets out only to port %u", b->only_port);
    print_oddities(b, out);
    print_changes(b, out);
    fprintf(out, "\n");
}

static void print_link(const link_desc *l, FILE *out)
{
    static const char *const kinds[] = {"independent", "bursts in time", "bursts of packets"};
    static const char *const places[] = {"inside", "outside", "both sides"};
    fprintf(out,
            "  link: round trip %.1f ms, %.0f %% of it inside, jitter %.2f, %s, duplicates %.1f %%, late %.1f %% by "
            "%.0f ms\n",
            (double)l->rtt_ns / 1e6, 100 * l->inside_share, l->jitter, l->fifo ? "in order" : "reordering",
            100 * l->duplicate, 100 * l->late, (double)l->late_ns / 1e6);
    fprintf(out, "  loss: up %.1f %%, down %.1f %%, %s, %s, bursts of %.0f ms / %.1f packets\n", 100 * l->loss[UP],
            100 * l->loss[DOWN], kinds[l->kind], places[l->place], (double)l->burst_ns / 1e6, l->burst_packets);
}

static void print_names(const server_desc *s, FILE *out)
{
    static const char *const dialects[] = {"any", "cookie only", "classic only"};
    static const char *const plains[] = {"answered", "silent",    "garbage",   "truncated",     "wrong id",
                                         "echo",     "error 300", "error 500", "from elsewhere"};
    static const char *const mapped[] = {"xor",     "xor and plain", "old xor", "plain",        "rewritten",
                                         "zero ip", "zero port",     "none",    "other family", "private"};
    static const char *const others[] = {"none", "OTHER-ADDRESS", "CHANGED-ADDRESS", "both"};
    static const char *const changes[] = {"honoured", "ignored", "port only",  "ip only",     "odd port",
                                          "rejected", "dropped", "ip dropped", "port dropped"};
    fprintf(out, "; speaks %s, plain %s, mapped %s, other %s, change %s", dialects[s->dialect], plains[s->plain],
            mapped[s->mapped], others[s->other], changes[s->change]);
    if (s->change == CHANGE_REJECTED)
        fprintf(out, " %u", s->reject_code);
}

static void print_flags(const server_desc *s, FILE *out)
{
    const struct {
        bool set;
        const char *name;
    } flags[] = {{!s->two_ips, "no second ip"},
                 {!s->two_ports, "no second port"},
                 {s->unpadded, "unpadded"},
                 {s->fingerprint, "fingerprint"},
                 {s->software, "software"},
                 {s->origin, "origin"},
                 {s->no_route, "no route"},
                 {s->deaf_aq, "deaf at A:Q"},
                 {s->deaf_bp, "deaf at B:P"},
                 {s->deaf_bq, "deaf at B:Q"},
                 {s->other_is_false, "names false"},
                 {s->other_flips, "flips"},
                 {s->change_flips, "ignores every other CHANGE-REQUEST"},
                 {s->exempt, "untranslated"},
                 {s->sees.family != 0, "sees another address"},
                 {s->sees_port == SEEN_PORT_FIXED, "sees one port"},
                 {s->sees_port == SEEN_PORT_CHANGING, "sees other ports each time"},
                 {s->state == STATE_BY_ENDPOINT, "answers from where it was sent to"},
                 {s->state == STATE_BY_ADDRESS, "answers from addresses it was sent to"},
                 {s->true_a.family != 0, "answers III from its true address"},
                 {s->second_way[0], "A by the second way"},
                 {s->second_way[1], "B by the second way"}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (flags[i].set)
            fprintf(out, ", %s", flags[i].name);
    }
}

static void print_server(const server_desc *s, unsigned i, FILE *out)
{
    char a[ENDPOINT_TEXT];
    char b[ENDPOINT_TEXT];
    char false_other[ENDPOINT_TEXT];
    endpoint_text(&s->a, a);
    endpoint_text(&s->b, b);
    endpoint_text(&s->false_other, false_other);
    fprintf(out, "  server %u: %s, other %s, false other %s", i, a, b, false_other);
    print_names(s, out);
    print_flags(s, out);
    fprintf(out, "; copies %u, late %.0f ms, rate %u %s, flood %u", s->copies, (double)s->late_ns / 1e6, s->rate,
            s->rate_kind == RATE_WINDOW ? "window" : "bucket", s->flood);
    fprintf(out, ", extra rtt %.1f ms, extra b %.1f ms, loss b %.0f %%\n", (double)s->extra_rtt_ns / 1e6,
            (double)s->extra_b_ns / 1e6, 100 * s->loss_b);
    if (s->dies_ns != 0)
        fprintf(out, "  server %u: %s away from %.1f ms to %.1f ms\n", i, s->dies_in_part ? "B" : "all",
                (double)s->dies_ns / 1e6, s->back_ns == 0 ? -1.0 : (double)s->back_ns / 1e6);
}

static void print_second_way(const world *w, FILE *out)
{
    static const char *const rules[] = {"", "fresh sockets", "some sockets", "some addresses", "other ports"};
    char local[ENDPOINT_TEXT];
    endpoint_text(&w->second_local, local);
    if (w->route != ROUTE_ONE) {
        fprintf(out, "  second way for %s, local %s%s:\n", rules[w->route], local,
                w->strict_reverse ? ", strict reverse path" : "");
        print_box(&w->second, out);
    }
    if (w->intercepts) {
        fprintf(out, "  before box %u something answers for port %d", w->intercept_hop, WORLD_STUN_PORT);
        print_names(&w->interceptor, out);
        fprintf(out, "\n");
    }
}

static const char *direction_text(const bool hits[2])
{
    return hits[UP] ? (hits[DOWN] ? "both ways" : "up") : "down";
}

static void print_narrows(const link_desc *l, FILE *out)
{
    static const char *const places[] = {"", "an inner router", "an outer router", "each server"};
    for (unsigned i = 0; i < l->gaps; i++) {
        const link_gap *g = &l->gap[i];
        fprintf(out, "  nothing passes %s, %s, from %.1f ms for %.1f ms\n", g->inside ? "inside" : "outside",
                direction_text(g->hits), (double)g->at_ns / 1e6, (double)g->for_ns / 1e6);
    }
    const rate_limit *r = &l->limit;
    if (r->place != LIMIT_NOWHERE)
        fprintf(out, "  %s lets pass, %s, %u a second for each %s, %u at once, %u wait\n", places[r->place],
                direction_text(r->hits), r->per_second, r->by_port ? "port" : "address", r->burst, r->queue);
    for (unsigned d = UP; d <= DOWN; d++) {
        const slow_link *s = &l->slow[d];
        if (s->bits_per_s != 0)
            fprintf(out, "  slow link %s, %s: %.1f kbit/s, queue of %u packets, %.1f ms (0: any)\n",
                    s->inside ? "inside" : "outside", d == UP ? "up" : "down", (double)s->bits_per_s / 1e3,
                    s->queue_packets, (double)s->queue_ns / 1e6);
    }
}

static void print_trouble(const world *w, FILE *out)
{
    const host_desc *h = &w->host;
    if (w->link.silent_ns != 0)
        fprintf(out, "  nothing passes for %.1f ms\n", (double)w->link.silent_ns / 1e6);
    if (h->freeze_ns != 0)
        fprintf(out, "  stands still at %.1f ms for %.1f ms\n", (double)h->freeze_at_ns / 1e6,
                (double)h->freeze_ns / 1e6);
    if (h->outage_ns != 0)
        fprintf(out, "  sends fail at %.1f ms for %.1f ms: error %d%s\n", (double)h->outage_at_ns / 1e6,
                (double)h->outage_ns / 1e6, h->outage_error, h->outage_deafens ? ", nothing comes in" : "");
    if (h->out_rate != 0)
        fprintf(out, "  lets out %u a second, %u at once\n", h->out_rate, h->out_burst);
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        if (s->change_gap_ns != 0 || s->busy_ns != 0)
            fprintf(out, "  server %u: one CHANGE-REQUEST in %.1f ms, %.1f ms for each answer\n", i,
                    (double)s->change_gap_ns / 1e6, (double)s->busy_ns / 1e6);
    }
}

static void print_listed(const world *w, FILE *out)
{
    for (unsigned i = 0; i < w->listed_count; i++) {
        const listed_server *l = &w->listed[i];
        char text[ENDPOINT_TEXT];
        endpoint_text(&l->address, text);
        fprintf(out, "  listed: %s (server %u)%s, resolves in %.1f ms\n", text, l->server,
                l->expected_mapping_only ? ", expected to be plain" : "",
                l->resolve_ns == NEVER ? -1.0 : (double)l->resolve_ns / 1e6);
    }
}

void world_print(const world *w, FILE *out)
{
    char local[ENDPOINT_TEXT];
    endpoint_text(&w->host.local, local);
    fprintf(out, "world %" PRIu64 " of class %s: IPv%u, host %s, %u run%s, gap %.1f s%s\n", w->seed,
            world_class_name(w->kind), w->family, local, w->runs, w->runs == 1 ? "" : "s", (double)w->gap_ns / 1e9,
            w->mapping_only ? ", mapping only" : "");
    fprintf(out, "  host: lag %.1f ms, busy %.1f %%%s, cancelled at %.1f ms, timeout %.1f s, response timeout %.1f s\n",
            (double)w->host.lag_ns / 1e6, 100 * w->host.busy, w->host.no_route ? ", no route" : "",
            (double)w->host.cancel_ns / 1e6, (double)w->timeout_ns / 1e9, (double)w->response_timeout_ns / 1e9);
    for (unsigned i = 0; i < w->boxes; i++)
        print_box(&w->box[i], out);
    print_second_way(w, out);
    print_link(&w->link, out);
    print_narrows(&w->link, out);
    print_trouble(w, out);
    for (unsigned i = 0; i < w->servers; i++)
        print_server(&w->server[i], i, out);
    print_listed(w, out);
}

/* ---- Boxes ---- */

static uint64_t draw_timeout(rng *r)
{
    unsigned n = rng_below(r, 20);
    if (n < 12)
        return 300 * SECOND;
    return n < 17 ? 30 * SECOND : rng_between(r, 4000, 9000) * MS;
}

box_desc draw_nat(rng *r)
{
    unsigned filtering = rng_below(r, 3);
    unsigned mapping = rng_below(r, 3);
    box_desc b = box_nat((dependence)mapping, (dependence)filtering);
    b.ports = (port_allocation)rng_below(r, 4);
    b.pooling = (ip_pooling)rng_below(r, 3);
    b.per_host = rng_chance(r, 0.15);
    b.timeout_ns = draw_timeout(r);
    return b;
}

box_desc draw_firewall(rng *r)
{
    box_desc b = box_firewall((dependence)rng_below(r, 3));
    b.per_host = rng_chance(r, 0.3);
    b.timeout_ns = draw_timeout(r);
    return b;
}

box_desc draw_linux(rng *r)
{
    bool fully_random = rng_chance(r, 0.25);
    bool input_firewall = rng_chance(r, 0.4);
    return box_linux(input_firewall, fully_random);
}

static box_desc draw_translator(rng *r)
{
    return rng_chance(r, 0.3) ? draw_linux(r) : draw_nat(r);
}

void draw_two_boxes(world *w, rng *r)
{
    w->boxes = 2;
    w->box[0] = rng_chance(r, 0.25) ? draw_firewall(r) : draw_translator(r);
    w->box[1] = rng_chance(r, 0.15) ? draw_firewall(r) : draw_translator(r);
    /* One inside port on several inside addresses would become one and the same outside endpoint behind a Linux NAT. */
    if (w->box[1].kind == BOX_LINUX && w->box[0].pooling == POOL_ARBITRARY)
        w->box[0].pooling = POOL_PAIRED;
}

void draw_blocked(world *w, rng *r)
{
    unsigned how = rng_below(r, 3);
    w->boxes = 1;
    w->box[0] = (box_desc){.kind = BOX_BLOCKED, .block_out = how != 1, .block_in = how != 0};
}

void draw_boxes(world *w, rng *r)
{
    unsigned n = rng_below(r, 100);
    w->boxes = n < 12 ? 0 : 1;
    if (n >= 85)
        draw_two_boxes(w, r);
    else if (n >= 12)
        w->box[0] = n < 25 ? draw_firewall(r) : (n < 45 ? draw_linux(r) : draw_nat(r));
    world_number(w);
}

bool has_per_host_state(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].per_host)
            return true;
    }
    return false;
}

void draw_more_of_nat(box_desc *b, rng *r)
{
    if (b->kind != BOX_NAT)
        return;
    if (rng_chance(r, 0.4))
        b->ports = PORT_CONTIGUOUS;
    b->refresh_in = rng_chance(r, 0.4);
    if (rng_chance(r, 0.2))
        b->timeout_ns = rng_between(r, 2000, 30000) * MS;
}

void draw_changes(world *w, rng *r)
{
    box_desc *b = &w->box[w->boxes - 1];
    if (b->kind != BOX_LINUX && rng_chance(r, 0.5)) /* entries of an outer Linux NAT would outlive the change inside */
        b = &w->box[0];
    double rtt_ms = (double)w->link.rtt_ns / 1e6;
    double at = 0;
    b->changes = rng_chance(r, 0.6) ? 1 : 2 + rng_below(r, 3);
    /* A Linux NAT that forgot its entries and kept its address would take answers on their way for unsolicited ones. */
    b->change_keeps_ip = b->kind != BOX_LINUX && rng_chance(r, 0.25);
    /* One that preserves ports, or has a block, would give the old one to whichever destination comes first. */
    bool again = b->ports == PORT_PRESERVING || b->ports == PORT_CONTIGUOUS;
    if (b->change_keeps_ip && again && (b->mapping != DEP_INDEPENDENT || (b->ports == PORT_CONTIGUOUS && w->boxes > 1)))
        b->ports = PORT_RANDOM;
    /* One with several addresses might come back to an earlier one, which nobody could tell. */
    if (b->change_keeps_ip && b->pooling == POOL_ARBITRARY)
        b->pooling = POOL_PAIRED;
    for (unsigned i = 0; i < b->changes; i++) {
        at += (4 * rtt_ms + 60) * rng_unit(r);
        b->change_ns[i] = (uint64_t)(at * 1e6);
    }
}

/* ---- Links and the host ---- */

static double draw_loss(rng *r, double most)
{
    static const double steps[] = {0, 0, 0, 0.01, 0.05, 0.1, 0.1, 0.2, 0.3};
    double p;
    do {
        p = steps[rng_below(r, sizeof steps / sizeof steps[0])];
    } while (p > most + 1e-9);
    return p;
}

static void draw_losses(link_desc *l, rng *r, double most)
{
    unsigned kind = rng_below(r, 10);
    l->loss[UP] = draw_loss(r, most);
    l->loss[DOWN] = rng_chance(r, 0.5) ? l->loss[UP] : draw_loss(r, most);
    l->kind = kind < 7 ? LOSS_INDEPENDENT : (kind < 9 ? LOSS_BURST_TIME : LOSS_BURST_PACKET);
    l->place = (loss_place)rng_below(r, 3);
    l->burst_ns = rng_between(r, 15, 300) * MS;
    l->burst_packets = 2 + 4 * rng_unit(r);
}

void draw_link(world *w, rng *r, double max_loss)
{
    static const double inside[] = {0.02, 0.1, 0.5, 0.9};
    link_desc *l = &w->link;
    unsigned jitter = rng_below(r, 10);
    l->rtt_ns = (uint64_t)(exp(log(2000.0) * rng_unit(r)) * 1e6);
    l->inside_share = inside[rng_below(r, 4)];
    l->jitter = jitter < 4 ? 0 : (jitter < 7 ? 0.1 : 0.5) * rng_unit(r);
    l->fifo = rng_chance(r, 0.3);
    l->duplicate = rng_chance(r, 0.6) ? 0 : 0.05 * rng_unit(r);
    if (rng_chance(r, 0.15)) {
        l->late = 0.02 * rng_unit(r);
        l->late_ns = rng_between(r, 100, 3000) * MS;
    }
    draw_losses(l, r, max_loss);
}

void draw_host(world *w, rng *r)
{
    w->host.lag_ns = rng_chance(r, 0.6) ? rng_between(r, 0, 20) * MS : 0;
    w->host.busy = rng_chance(r, 0.4) ? 0.3 * rng_unit(r) : 0;
    w->host.no_route = rng_chance(r, 0.05);
    if (rng_chance(r, 0.1))
        w->host.cancel_ns = 1 + (uint64_t)(5 * (double)w->link.rtt_ns * rng_unit(r));
    if (rng_chance(r, 0.2))
        w->timeout_ns = rng_between(r, 1, 3000) * MS;
    if (rng_chance(r, 0.1))
        w->response_timeout_ns = rng_between(r, 1, 1000) * MS;
    if (rng_chance(r, 0.2))
        w->start_ns = rng_chance(r, 0.5) ? 0 : rng_between(r, 0, UINT64_MAX / 4);
}

/* The requests that other programs make: I anywhere, II and III at A:P. */
static earlier_request draw_earlier_request(const server_desc *s, rng *r)
{
    earlier_request q = {.to = s->a, .then_ns = rng_between(r, 0, 300) * MS};
    unsigned kind = rng_below(r, 6);
    if (kind < 4)
        q.to = endpoint_with_port(kind % 2 == 0 ? &s->a : &s->b, kind / 2 == 0 ? s->a.port : s->b.port);
    else
        q.change = kind == 4 ? 6 : 2;
    return q;
}

void draw_earlier(world *w, rng *r)
{
    w->earlier_count = 1 + rng_below(r, WORLD_EARLIER);
    for (unsigned i = 0; i < w->earlier_count; i++)
        w->earlier[i] = draw_earlier_request(&w->server[rng_below(r, w->servers)], r);
    uint64_t *last = &w->earlier[w->earlier_count - 1].then_ns;
    *last = rng_chance(r, 0.6) ? rng_between(r, 0, 3000) * MS : rng_between(r, 3, 60) * SECOND;
    if (has_per_host_state(w)) /* else it is the state that is seen */
        *last = STATE_ENDS_NS;
}

/* ---- Servers ---- */

static void draw_addresses(world *w, server_desc *s, rng *r)
{
    static const uint16_t second_ports[] = {3479, 3480, 19305, 5349, 50000};
    unsigned i = (unsigned)(s - w->server);
    s->b.port = second_ports[rng_below(r, 5)];
    if (rng_chance(r, 0.4))
        s->b = world_public(w, 1, 100 + i, s->b.port); /* in the same network as A */
    if (rng_chance(r, 0.05)) {
        s->a = endpoint_private(w->family, 90, 10 + i, 3478);
        s->b = endpoint_private(w->family, 91, 10 + i, s->b.port);
    }
    w->listed[w->listed_count - 1].address = s->a;
}

server_desc *draw_conforming(world *w, rng *r)
{
    static const mapped_form forms[] = {MAPPED_XOR, MAPPED_XOR_AND_PLAIN, MAPPED_XOR_OLD, MAPPED_REWRITTEN};
    server_desc *s = world_add_server(w);
    draw_addresses(w, s, r);
    s->mapped = forms[rng_below(r, 4)];
    s->other = rng_chance(r, 0.7) ? OTHER_RFC5780 : OTHER_BOTH;
    s->origin = rng_chance(r, 0.7);
    s->software = rng_chance(r, 0.5);
    s->fingerprint = rng_chance(r, 0.3);
    if (rng_chance(r, 0.25))
        server_make_classic(s);
    return s;
}

void make_classic_only(world *w, server_desc *s, rng *r)
{
    (void)w;
    server_make_classic(s);
    s->dialect = DIALECT_CLASSIC;
    s->software = true;
    s->unpadded = rng_chance(r, 0.5);
}

void make_unpadded(world *w, server_desc *s, rng *r)
{
    (void)w;
    (void)r;
    server_make_classic(s);
    s->software = true;
    s->unpadded = true;
}

void make_bad_at_change(world *w, server_desc *s, rng *r)
{
    static const unsigned codes[] = {420, 420, 400, 500, 600};
    (void)w;
    s->change = (change_mode)(1 + rng_below(r, CHANGE_IP_DROPPED));
    s->reject_code = codes[rng_below(r, 5)];
    if (rng_chance(r, 0.4)) {
        s->other = OTHER_NONE;
        s->two_ips = s->change != CHANGE_DROPPED && rng_chance(r, 0.5);
    }
}

void make_plain(world *w, server_desc *s, rng *r)
{
    static const change_mode modes[] = {CHANGE_IGNORED, CHANGE_REJECTED, CHANGE_DROPPED};
    server_make_plain(s);
    s->change = modes[rng_below(r, 3)];
    s->reject_code = 420;
    w->listed[w->listed_count - 1].expected_mapping_only = rng_chance(r, 0.4);
}

static endpoint draw_false_other(const world *w, const server_desc *s, rng *r)
{
    static const uint16_t victims[] = {53, 123, 161, 1900, 11211, 19, 0, 3479, 3479, 3479};
    uint8_t family = w->family;
    uint16_t q = s->b.port;
    endpoint loopback = endpoint_v4(127, 0, 0, 1, q);
    endpoint victim = endpoint_v4(203, 0, 113, 200, q);
    switch (rng_below(r, 14)) {
    case 0:
        return endpoint_with_port(&s->a, q);
    case 1:
        return endpoint_with_port(&s->b, s->a.port);
    case 2:
        return s->a;
    case 3:
        return endpoint_private(family, 3, 9, q);
    case 4:
        return endpoint_loopback(family, 1, q);
    case 5:
        return endpoint_multicast(family, q);
    case 6:
        return endpoint_any(family, q);
    case 7:
        return endpoint_with_port(&s->b, 0);
    case 8:
        return endpoint_link_local(family, q);
    case 9:
        return endpoint_public(family == 4 ? 6 : 4, 2, 66, q);
    case 10:
        return endpoint_mapped(&loopback);
    case 11:
        return endpoint_mapped(&victim);
    case 12:
        return family == 4 ? endpoint_v4(255, 255, 255, 255, q) : endpoint_any(family, 0);
    default:
        return world_public(w, 2, 200 + (unsigned)(s - w->server), victims[rng_below(r, 10)]);
    }
}

void make_false_other(world *w, server_desc *s, rng *r)
{
    s->false_other = draw_false_other(w, s, r);
    bool half = endpoint_same_ip(&s->false_other, &s->a) != (s->false_other.port == s->a.port);
    if (half && rng_chance(r, 0.5)) /* as a server would that has but one of the two */
        s->change = s->false_other.port == s->a.port ? CHANGE_IP_ONLY : CHANGE_PORT_ONLY;
    if (rng_chance(r, 0.2))
        s->other_flips = true;
    else
        s->other_is_false = true;
}

/* B or Q is named and does not answer. */
void make_half_dead(world *w, server_desc *s, rng *r)
{
    (void)w;
    if (rng_chance(r, 0.4)) {
        s->deaf_aq = rng_chance(r, 0.4);
        s->deaf_bp = rng_chance(r, 0.4);
        s->deaf_bq = rng_chance(r, 0.4);
        return;
    }
    s->two_ips = rng_chance(r, 0.3);
    s->two_ports = s->two_ips ? false : rng_chance(r, 0.7);
}

void make_broken(world *w, server_desc *s, rng *r)
{
    static const mapped_form forms[] = {MAPPED_ZERO_IP, MAPPED_ZERO_PORT, MAPPED_NONE, MAPPED_OTHER_FAMILY};
    s->false_other = world_public(w, 2, 201, 3478);
    if (rng_chance(r, 0.3))
        s->mapped = forms[rng_below(r, 4)];
    else
        s->plain = (plain_mode)(1 + rng_below(r, PLAIN_MODES - 1));
}

void make_odd(world *w, server_desc *s, rng *r)
{
    switch (rng_below(r, 4)) {
    case 0:
        s->copies = 2 + rng_below(r, 3);
        break;
    case 1:
        s->late_ns = rng_between(r, 50, 3000) * MS;
        break;
    case 2:
        s->rate = 1 + rng_below(r, 10);
        s->rate_kind = (rate_kind)rng_below(r, 2);
        break;
    default:
        s->flood = 1000;
        w->link.fifo = false;
        w->link.kind = LOSS_INDEPENDENT;
        break;
    }
}

void draw_any_server(world *w, rng *r)
{
    static const spoil_fn ways[] = {make_plain,       make_plain,     make_bad_at_change, make_bad_at_change,
                                    make_false_other, make_half_dead, make_broken,        make_classic_only,
                                    make_unpadded,    make_odd};
    server_desc *s = draw_conforming(w, r);
    if (rng_chance(r, 0.6))
        ways[rng_below(r, sizeof ways / sizeof ways[0])](w, s, r);
    if (s->flood > 0)
        s->flood = 20;
    if (rng_chance(r, 0.5))
        s->extra_rtt_ns = (uint64_t)((double)w->link.rtt_ns * rng_unit(r));
}

void make_dying(world *w, server_desc *s, rng *r)
{
    double rtt_ns = (double)(w->link.rtt_ns + s->extra_rtt_ns);
    s->dies_ns = 1 + (uint64_t)((6 * rtt_ns + 100e6) * rng_unit(r));
    s->dies_in_part = rng_chance(r, 0.4);
    /* A second address that is away only while it is tested, and back when the control asks: nobody could tell. */
    if (!s->dies_in_part && rng_chance(r, 0.5))
        s->back_ns = s->dies_ns + rng_between(r, 20, 2000) * MS;
}

void make_lying(world *w, server_desc *s, rng *r)
{
    /* Where documentation addresses stand for the Internet, private ones may stand for anything. */
    bool proxy = !w->documentation && !endpoint_is_special(&s->a);
    switch (rng_below(r, 3)) {
    case 0:
        s->change = CHANGE_PORT_DROPPED;
        break;
    case 1:
        s->change_flips = true;
        break;
    default:
        if (proxy)
            s->mapped = MAPPED_PRIVATE;
        else
            make_false_other(w, s, r);
        break;
    }
}

static uint16_t draw_port(rng *r)
{
    unsigned kind = rng_below(r, 4);
    if (kind == 0)
        return (uint16_t)rng_below(r, 1024);
    return kind < 3 ? endpoint_service_port(rng_next(r) >> 32) : (uint16_t)rng_between(r, 1024, 65535);
}

endpoint draw_victim(const world *w, const server_desc *s, rng *r)
{
    if (rng_chance(r, 0.35))
        return draw_false_other(w, s, r);
    return world_public(w, 2, 240, draw_port(r));
}

uint64_t world_next_name_ns(const world *w, const bool *added, const uint64_t *ready_ns)
{
    uint64_t next = NEVER;
    for (unsigned i = 0; i < w->listed_count; i++) {
        if (!added[i] && ready_ns[i] < next)
            next = ready_ns[i];
    }
    return next;
}
