/* SPDX-License-Identifier: MIT */
/* Draws worlds from seeds. A class is a part of the space of all worlds in which one thing is looked for. */
#include <math.h>
#include <string.h>

#include "world.h"

typedef void (*draw_fn)(world *w, rng *r);

/* ---- Boxes ---- */

static uint64_t draw_timeout(rng *r)
{
    unsigned n = rng_below(r, 20);
    if (n < 12)
        return 300 * SECOND;
    return n < 17 ? 30 * SECOND : rng_between(r, 4000, 9000) * MS;
}

static box_desc draw_nat(rng *r)
{
    box_desc b = box_nat((dependence)rng_below(r, 3), (dependence)rng_below(r, 3));
    b.ports = (port_allocation)rng_below(r, 4);
    b.pooling = (ip_pooling)rng_below(r, 3);
    b.per_host = rng_chance(r, 0.15);
    b.timeout_ns = draw_timeout(r);
    return b;
}

static box_desc draw_firewall(rng *r)
{
    box_desc b = box_firewall((dependence)rng_below(r, 3));
    b.per_host = rng_chance(r, 0.3);
    b.timeout_ns = draw_timeout(r);
    return b;
}

static box_desc draw_linux(rng *r)
{
    return box_linux(rng_chance(r, 0.4), rng_chance(r, 0.25));
}

static box_desc draw_translator(rng *r)
{
    return rng_chance(r, 0.3) ? draw_linux(r) : draw_nat(r);
}

static void draw_two_boxes(world *w, rng *r)
{
    w->boxes = 2;
    w->box[0] = rng_chance(r, 0.25) ? draw_firewall(r) : draw_translator(r);
    w->box[1] = rng_chance(r, 0.15) ? draw_firewall(r) : draw_translator(r);
    /* One inside port on several inside addresses would become one and the same outside endpoint behind a Linux NAT. */
    if (w->box[1].kind == BOX_LINUX && w->box[0].pooling == POOL_ARBITRARY)
        w->box[0].pooling = POOL_PAIRED;
}

static void draw_blocked(world *w, rng *r)
{
    unsigned how = rng_below(r, 3);
    w->boxes = 1;
    w->box[0] = (box_desc){.kind = BOX_BLOCKED, .block_out = how != 1, .block_in = how != 0};
}

static void draw_boxes(world *w, rng *r)
{
    unsigned n = rng_below(r, 100);
    w->boxes = n < 12 ? 0 : 1;
    if (n >= 85)
        draw_two_boxes(w, r);
    else if (n >= 12)
        w->box[0] = n < 25 ? draw_firewall(r) : (n < 45 ? draw_linux(r) : draw_nat(r));
    world_number(w);
}

static bool has_per_host_state(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (w->box[i].per_host)
            return true;
    }
    return false;
}

/* ---- Links ---- */

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

static void draw_link(world *w, rng *r, double max_loss)
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

static server_desc *draw_conforming(world *w, rng *r)
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

static void make_classic_only(world *w, server_desc *s, rng *r)
{
    (void)w;
    server_make_classic(s);
    s->dialect = DIALECT_CLASSIC;
    s->software = true;
    s->unpadded = rng_chance(r, 0.5);
}

static void make_unpadded(world *w, server_desc *s, rng *r)
{
    (void)w;
    (void)r;
    server_make_classic(s);
    s->software = true;
    s->unpadded = true;
}

static void make_bad_at_change(world *w, server_desc *s, rng *r)
{
    static const unsigned codes[] = {420, 420, 400, 500, 600};
    (void)w;
    s->change = (change_mode)(1 + rng_below(r, CHANGE_MODES - 1));
    s->reject_code = codes[rng_below(r, 5)];
    if (rng_chance(r, 0.4)) {
        s->other = OTHER_NONE;
        s->two_ips = s->change != CHANGE_DROPPED && rng_chance(r, 0.5);
    }
}

static void make_plain(world *w, server_desc *s, rng *r)
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

static void make_false_other(world *w, server_desc *s, rng *r)
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
static void make_half_dead(world *w, server_desc *s, rng *r)
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

static void make_broken(world *w, server_desc *s, rng *r)
{
    static const mapped_form forms[] = {MAPPED_ZERO_IP, MAPPED_ZERO_PORT, MAPPED_NONE, MAPPED_OTHER_FAMILY};
    s->false_other = world_public(w, 2, 201, 3478);
    if (rng_chance(r, 0.3))
        s->mapped = forms[rng_below(r, 4)];
    else
        s->plain = (plain_mode)(1 + rng_below(r, PLAIN_MODES - 1));
}

static void make_odd(world *w, server_desc *s, rng *r)
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

typedef void (*spoil_fn)(world *w, server_desc *s, rng *r);

static void draw_any_server(world *w, rng *r)
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

/* ---- Classes ---- */

static void draw_conforming_world(world *w, rng *r)
{
    draw_boxes(w, r);
    draw_conforming(w, r);
}

static void draw_nat_world(world *w, rng *r)
{
    w->boxes = 1;
    w->box[0] = draw_nat(r);
    world_number(w);
    draw_conforming(w, r);
}

static void draw_no_nat_world(world *w, rng *r)
{
    w->boxes = rng_chance(r, 0.3) ? 0 : 1;
    w->box[0] = draw_firewall(r);
    world_number(w);
    server_desc *s = draw_conforming(w, r);
    if (rng_chance(r, 0.1) && w->family == 4) { /* everything on one host */
        w->boxes = 0;
        s->a = endpoint_loopback(4, 1, s->a.port);
        s->b = endpoint_loopback(4, 2, s->b.port);
        w->listed[0].address = s->a;
        w->host.local = endpoint_loopback(4, 9, w->host.local.port);
    }
}

static void draw_linux_world(world *w, rng *r)
{
    w->boxes = 1;
    w->box[0] = draw_linux(r);
    world_number(w);
    draw_conforming(w, r);
}

static void draw_double_world(world *w, rng *r)
{
    draw_two_boxes(w, r);
    world_number(w);
    draw_conforming(w, r);
}

static void draw_blocked_world(world *w, rng *r)
{
    draw_blocked(w, r);
    world_number(w);
    draw_any_server(w, r);
    if (rng_chance(r, 0.5))
        draw_any_server(w, r);
}

static void draw_spoiled(world *w, rng *r, spoil_fn spoil)
{
    draw_boxes(w, r);
    spoil(w, draw_conforming(w, r), r);
    if (rng_chance(r, 0.2))
        draw_conforming(w, r);
}

static void draw_classic_world(world *w, rng *r)
{
    draw_spoiled(w, r, rng_chance(r, 0.6) ? make_classic_only : make_unpadded);
}

static void draw_change_world(world *w, rng *r)
{
    draw_spoiled(w, r, make_bad_at_change);
}

static void draw_plain_world(world *w, rng *r)
{
    draw_boxes(w, r);
    make_plain(w, draw_conforming(w, r), r);
    if (rng_chance(r, 0.7))
        make_plain(w, draw_conforming(w, r), r);
}

static void draw_alternate_world(world *w, rng *r)
{
    draw_spoiled(w, r, make_false_other);
}

static void draw_half_dead_world(world *w, rng *r)
{
    draw_spoiled(w, r, make_half_dead);
}

static void draw_broken_world(world *w, rng *r)
{
    draw_spoiled(w, r, make_broken);
}

static void draw_odd_world(world *w, rng *r)
{
    draw_spoiled(w, r, make_odd);
}

static void draw_several_world(world *w, rng *r)
{
    unsigned count = 2 + rng_below(r, 4);
    draw_boxes(w, r);
    if (rng_chance(r, 0.3))
        draw_conforming(w, r);
    while (w->servers < count)
        draw_any_server(w, r);
    if (rng_chance(r, 0.15)) /* two names, one address */
        w->listed[w->listed_count - 1] = w->listed[0];
    for (unsigned i = 0; i < w->listed_count; i++) {
        if (rng_chance(r, 0.2))
            w->listed[i].resolve_ns = rng_between(r, 1, 1500) * MS;
        else if (i > 0 && rng_chance(r, 0.05))
            w->listed[i].resolve_ns = NEVER;
    }
}

/* The second server is the second address of the first. */
static void draw_alias_world(world *w, rng *r)
{
    draw_boxes(w, r);
    server_desc *s = draw_conforming(w, r);
    bool same_port = rng_chance(r, 0.5);
    w->listed[1] = (listed_server){.address = same_port ? endpoint_with_port(&s->b, s->a.port) : s->b, .server = 0};
    w->listed_count = 2;
    if (rng_chance(r, 0.3)) {
        listed_server first = w->listed[0];
        w->listed[0] = w->listed[1];
        w->listed[1] = first;
    }
    if (rng_chance(r, 0.4))
        draw_conforming(w, r);
}

static void draw_moving_world(world *w, rng *r)
{
    draw_boxes(w, r);
    if (w->boxes == 0 || w->box[w->boxes - 1].kind == BOX_FIREWALL) {
        w->boxes = 1;
        w->box[0] = draw_nat(r);
        world_number(w);
    }
    box_desc *b = &w->box[w->boxes - 1];
    if (b->kind != BOX_LINUX && rng_chance(r, 0.5)) /* entries of an outer Linux NAT would outlive the change inside */
        b = &w->box[0];
    double rtt_ms = (double)w->link.rtt_ns / 1e6;
    double at = 0;
    b->changes = rng_chance(r, 0.6) ? 1 : 2 + rng_below(r, 3);
    /* A Linux NAT that forgot its entries and kept its address would take answers on their way for unsolicited ones. */
    b->change_keeps_ip = b->kind != BOX_LINUX && rng_chance(r, 0.25);
    /* One that preserves ports would give the old one to whichever destination comes first. */
    if (b->change_keeps_ip && b->mapping != DEP_INDEPENDENT && b->ports == PORT_PRESERVING)
        b->ports = PORT_RANDOM;
    /* One with several addresses might come back to an earlier one, which nobody could tell. */
    if (b->change_keeps_ip && b->pooling == POOL_ARBITRARY)
        b->pooling = POOL_PAIRED;
    for (unsigned i = 0; i < b->changes; i++) {
        at += (4 * rtt_ms + 60) * rng_unit(r);
        b->change_ns[i] = (uint64_t)(at * 1e6);
    }
    draw_conforming(w, r);
    if (rng_chance(r, 0.4))
        draw_any_server(w, r);
}

static void draw_rerun_world(world *w, rng *r)
{
    draw_boxes(w, r);
    w->runs = 2;
    w->gap_ns = rng_chance(r, 0.7) ? rng_between(r, 0, 3000) * MS : rng_between(r, 3, 200) * SECOND;
    if (has_per_host_state(w)) /* else the state of the first run is what is seen in the second */
        w->gap_ns = 301 * SECOND;
    draw_conforming(w, r);
    if (rng_chance(r, 0.3))
        draw_any_server(w, r);
}

static void draw_mapping_only_world(world *w, rng *r)
{
    draw_boxes(w, r);
    w->mapping_only = true;
    draw_any_server(w, r);
    if (rng_chance(r, 0.8))
        draw_any_server(w, r);
    if (rng_chance(r, 0.3))
        draw_any_server(w, r);
}

static void draw_host_world(world *w, rng *r)
{
    draw_boxes(w, r);
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
    draw_conforming(w, r);
    if (rng_chance(r, 0.3)) {
        draw_any_server(w, r);
        w->server[1].no_route = rng_chance(r, 0.5);
    }
}

/* The firewall lets out only what goes to the servers' well-known port. */
static void draw_egress_world(world *w, rng *r)
{
    draw_boxes(w, r);
    if (w->boxes == 0) {
        w->boxes = 1;
        w->box[0] = draw_firewall(r);
        world_number(w);
    }
    w->box[0].only_port = 3478;
    draw_conforming(w, r);
    if (rng_chance(r, 0.3))
        draw_any_server(w, r);
}

/* The second address is another machine, elsewhere. */
static void draw_far_alternate_world(world *w, rng *r)
{
    draw_boxes(w, r);
    server_desc *s = draw_conforming(w, r);
    s->extra_b_ns = (uint64_t)((double)w->link.rtt_ns * 2 * rng_unit(r));
}

/* The most that is claimed: 30 % lost, in one direction or both, wherever silence and loss can be taken for each other.
 */
static void draw_lossy_world(world *w, rng *r)
{
    link_desc *l = &w->link;
    unsigned which = rng_below(r, 3);
    l->kind = rng_chance(r, 0.8) ? LOSS_INDEPENDENT : l->kind;
    l->loss[UP] = which != 0 ? 0.3 : 0;
    l->loss[DOWN] = which != 1 ? 0.3 : 0;
    draw_boxes(w, r);
    draw_conforming(w, r);
}

/* Wi-Fi and mobile links fall silent for some hundred milliseconds at a time: all tests of that time are lost together.
 */
static void draw_bursty_world(world *w, rng *r)
{
    link_desc *l = &w->link;
    unsigned which = rng_below(r, 3);
    double p = 0.1 + 0.2 * rng_unit(r);
    l->kind = rng_chance(r, 0.8) ? LOSS_BURST_TIME : LOSS_BURST_PACKET;
    l->burst_ns = rng_between(r, 30, 600) * MS;
    l->burst_packets = 2 + 10 * rng_unit(r);
    l->loss[UP] = which != 0 ? p : 0;
    l->loss[DOWN] = which != 1 ? p : 0;
    draw_boxes(w, r);
    draw_conforming(w, r);
}

/* The way to the second address loses more than the way to the first: beyond what the method claims. */
static void draw_lossy_alternate_world(world *w, rng *r)
{
    draw_boxes(w, r);
    server_desc *s = draw_conforming(w, r);
    s->loss_b = 0.3 * rng_unit(r);
}

typedef struct world_class {
    const char *name;
    unsigned weight; /* in the plain mix */
    draw_fn draw;
} world_class;

static const world_class classes[] = {
    {"conforming", 20, draw_conforming_world},
    {"nat", 10, draw_nat_world},
    {"no-nat", 6, draw_no_nat_world},
    {"linux", 10, draw_linux_world},
    {"double", 6, draw_double_world},
    {"blocked", 2, draw_blocked_world},
    {"classic", 3, draw_classic_world},
    {"change", 8, draw_change_world},
    {"plain", 3, draw_plain_world},
    {"alternate", 4, draw_alternate_world},
    {"half-dead", 4, draw_half_dead_world},
    {"broken", 3, draw_broken_world},
    {"odd", 4, draw_odd_world},
    {"several", 10, draw_several_world},
    {"alias", 4, draw_alias_world},
    {"moving", 6, draw_moving_world},
    {"rerun", 6, draw_rerun_world},
    {"mapping-only", 4, draw_mapping_only_world},
    {"host", 4, draw_host_world},
    {"egress", 2, draw_egress_world},
    {"far-alternate", 3, draw_far_alternate_world},
    {"lossy", 4, draw_lossy_world},
    {"bursty", 4, draw_bursty_world},
    {"lossy-alternate", 0, draw_lossy_alternate_world},
};

#define CLASSES ((int)(sizeof classes / sizeof classes[0]))

int world_class_count(void)
{
    return CLASSES;
}

const char *world_class_name(int kind)
{
    return kind < 0 || kind >= CLASSES ? "-" : classes[kind].name;
}

int world_class_find(const char *name)
{
    for (int i = 0; i < CLASSES; i++) {
        if (strcmp(classes[i].name, name) == 0)
            return i;
    }
    return WORLD_ANY_CLASS;
}

static int draw_class(rng *r)
{
    unsigned total = 0;
    for (int i = 0; i < CLASSES; i++)
        total += classes[i].weight;
    unsigned n = rng_below(r, total);
    int kind = 0;
    while (n >= classes[kind].weight)
        n -= classes[kind++].weight;
    return kind;
}

void world_draw(world *w, uint64_t seed, int kind, double max_loss)
{
    rng r;
    rng_seed(&r, seed, 1);
    world_quiet(w, seed);
    int drawn = draw_class(&r);
    w->kind = kind == WORLD_ANY_CLASS ? drawn : kind;
    w->family = rng_chance(&r, 0.7) ? 4 : 6;
    w->documentation = rng_chance(&r, 0.5);
    w->start_ns = rng_between(&r, 1, 1000000) * MS;
    draw_link(w, &r, max_loss);
    world_number(w);
    classes[w->kind].draw(w, &r);
}
