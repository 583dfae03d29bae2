/* SPDX-License-Identifier: MIT */
/* Draws worlds from seeds. A class is a part of the space of all worlds in which one thing is looked for. */
#include <string.h>

#include "draw.h"
#include "field.h"

typedef void (*draw_fn)(world *w, rng *r);

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
    draw_changes(w, r);
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
        w->gap_ns = STATE_ENDS_NS;
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
    draw_host(w, r);
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

/* ---- Classes added later, with a lottery of their own: the seeds of those above mean what they did ---- */

static void vary_boxes(world *w, rng *r)
{
    for (unsigned i = 0; i < w->boxes; i++)
        draw_more_of_nat(&w->box[i], r);
    /* A port that is given to another socket while an outer NAT remembers what passed through it: nobody could tell. */
    if (w->boxes > 1 && w->box[0].ports == PORT_CONTIGUOUS)
        w->box[0].timeout_ns = 300 * SECOND;
}

static void draw_ports_world(world *w, rng *r)
{
    w->boxes = 1;
    w->box[0] = draw_nat(r);
    if (rng_chance(r, 0.3))
        draw_two_boxes(w, r);
    vary_boxes(w, r);
    world_number(w);
    draw_conforming(w, r);
    if (rng_chance(r, 0.2))
        w->runs = 2;
    if (w->runs == 2)
        w->gap_ns = has_per_host_state(w) ? STATE_ENDS_NS : rng_between(r, 0, 10) * SECOND;
}

static void draw_dying_world(world *w, rng *r)
{
    draw_boxes(w, r);
    make_dying(w, draw_conforming(w, r), r);
    if (rng_chance(r, 0.5))
        draw_any_server(w, r);
    if (rng_chance(r, 0.2))
        draw_conforming(w, r);
}

/* Two servers with addresses in common, but for the ports. */
static void share_addresses(world *w, rng *r)
{
    server_desc *a = &w->server[0];
    server_desc *b = &w->server[1];
    endpoint own = b->b;
    bool private = endpoint_is_special(&a->a);
    switch (rng_below(r, private ? 2 : 4)) {
    case 0: /* two services of one host */
        b->a = a->a;
        b->b = a->b;
        break;
    case 1:
        b->a = a->b;
        b->b = a->a;
        break;
    case 2: /* one's second address is the other's first */
        b->a = a->b;
        b->b = world_public(w, 2, 90, own.port);
        break;
    default: /* both have the same second address */
        b->a = world_public(w, 1, 90, 3478);
        b->b = a->b;
        break;
    }
    b->a.port = 3490;
    b->b.port = 3491;
    w->listed[1].address = b->a;
}

static void draw_shared_world(world *w, rng *r)
{
    draw_boxes(w, r);
    draw_conforming(w, r);
    server_desc *second = draw_conforming(w, r);
    share_addresses(w, r);
    if (rng_chance(r, 0.2))
        make_bad_at_change(w, &w->server[0], r);
    if (rng_chance(r, 0.2))
        make_bad_at_change(w, second, r);
    if (rng_chance(r, 0.4)) {
        listed_server first = w->listed[0];
        w->listed[0] = w->listed[1];
        w->listed[1] = first;
    }
    if (rng_chance(r, 0.3))
        draw_any_server(w, r);
}

static void draw_earlier_world(world *w, rng *r)
{
    draw_boxes(w, r);
    if (rng_chance(r, 0.5)) {
        w->boxes = 1;
        w->box[0] = draw_linux(r);
        world_number(w);
    }
    draw_conforming(w, r);
    if (rng_chance(r, 0.3))
        draw_any_server(w, r);
    draw_earlier(w, r);
}

static void draw_lying_world(world *w, rng *r)
{
    draw_boxes(w, r);
    make_lying(w, draw_conforming(w, r), r);
    if (rng_chance(r, 0.4))
        draw_any_server(w, r);
}

/* Servers that would have the host send to others: one victim named by all, floods, every answer a hundred times. */
static void draw_reflection_world(world *w, rng *r)
{
    unsigned count = rng_chance(r, 0.4) ? 1 : 2 + rng_below(r, 4);
    draw_boxes(w, r);
    w->link.fifo = false;
    if (w->link.kind == LOSS_BURST_PACKET)
        w->link.kind = LOSS_INDEPENDENT;
    for (unsigned i = 0; i < count; i++)
        draw_conforming(w, r);
    endpoint victim = rng_chance(r, 0.15) ? w->server[count - 1].a : draw_victim(w, &w->server[0], r);
    for (unsigned i = 0; i < count; i++) {
        server_desc *s = &w->server[i];
        s->false_other = victim;
        s->other_is_false = rng_chance(r, 0.8);
        s->other_flips = !s->other_is_false && rng_chance(r, 0.5);
        if (rng_chance(r, 0.3))
            make_bad_at_change(w, s, r);
        if (rng_chance(r, 0.1))
            s->plain = PLAIN_ERROR_300;
        if (rng_chance(r, 0.3))
            s->flood = 20 + rng_below(r, 200);
        if (rng_chance(r, 0.2))
            s->copies = 2 + rng_below(r, 100);
    }
    if (rng_chance(r, 0.25) && w->boxes > 0 && w->box[w->boxes - 1].kind != BOX_FIREWALL)
        draw_changes(w, r);
}

/* Much of everything comes twice, or more often. */
static void draw_duplicating_world(world *w, rng *r)
{
    draw_boxes(w, r);
    w->link.duplicate = 0.05 + 0.45 * rng_unit(r);
    server_desc *s = draw_conforming(w, r);
    if (rng_chance(r, 0.5))
        s->copies = 2 + rng_below(r, 3);
    if (rng_chance(r, 0.2))
        draw_any_server(w, r);
}

static void draw_any_way(world *w, rng *r)
{
    draw_boxes(w, r);
    vary_boxes(w, r);
    if (rng_chance(r, 0.02)) {
        draw_blocked(w, r);
        world_number(w);
    }
    bool translates = w->boxes > 0 && (w->box[w->boxes - 1].kind == BOX_NAT || w->box[w->boxes - 1].kind == BOX_LINUX);
    if (rng_chance(r, 0.15) && translates)
        draw_changes(w, r);
    if (rng_chance(r, 0.04) && w->boxes > 0)
        w->box[0].only_port = 3478;
    if (rng_chance(r, 0.2))
        w->link.duplicate = 0.3 * rng_unit(r);
}

static void draw_worse_server(world *w, rng *r)
{
    draw_any_server(w, r);
    server_desc *s = &w->server[w->servers - 1];
    if (rng_chance(r, 0.1))
        make_dying(w, s, r);
    if (rng_chance(r, 0.1))
        make_lying(w, s, r);
    if (rng_chance(r, 0.05)) {
        s->false_other = draw_victim(w, s, r);
        s->other_is_false = true;
    }
}

/* All that the other classes have, in any combination. */
static void draw_anything_world(world *w, rng *r)
{
    unsigned count = rng_chance(r, 0.4) ? 1 : 2 + rng_below(r, 4);
    draw_any_way(w, r);
    while (w->servers < count) {
        if (rng_chance(r, 0.4))
            draw_conforming(w, r);
        else
            draw_worse_server(w, r);
    }
    if (count > 1 && rng_chance(r, 0.1))
        share_addresses(w, r);
    if (rng_chance(r, 0.15))
        draw_host(w, r);
    if (rng_chance(r, 0.1)) {
        uint64_t takes_ns = rng_between(r, 1, 1500) * MS;
        w->listed[rng_below(r, count)].resolve_ns = takes_ns;
    }
    w->mapping_only = rng_chance(r, 0.07);
    if (rng_chance(r, 0.1))
        draw_earlier(w, r);
    if (rng_chance(r, 0.1)) {
        w->runs = 2;
        w->gap_ns = has_per_host_state(w) ? STATE_ENDS_NS : rng_between(r, 0, 40) * SECOND;
    }
}

typedef struct world_class {
    const char *name;
    unsigned weight; /* in the lottery of its part of the plain mix */
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
    {"ports", 4, draw_ports_world},
    {"dying", 3, draw_dying_world},
    {"shared", 3, draw_shared_world},
    {"earlier", 3, draw_earlier_world},
    {"lying", 2, draw_lying_world},
    {"reflection", 3, draw_reflection_world},
    {"duplicating", 3, draw_duplicating_world},
    {"anything", 9, draw_anything_world},
    {"two-paths", 1, draw_two_paths_world},
    {"exempt", 1, draw_exempt_world},
    {"intercepted", 1, draw_intercepted_world},
    {"misinformed", 1, draw_misinformed_world},
    {"stateful-server", 1, draw_stateful_server_world},
    {"uplinks", 1, draw_uplinks_world},
    {"change-quota", 1, draw_change_quota_world},
    {"port-blocks", 1, draw_port_blocks_world},
    {"forwarded", 1, draw_forwarded_world},
    {"dnat-server", 1, draw_dnat_server_world},
    {"by-port", 1, draw_by_port_world},
    {"rewriting", 1, draw_rewriting_world},
    {"waking", 1, draw_waking_world},
    {"frozen", 1, draw_frozen_world},
    {"outage", 1, draw_outage_world},
    {"output-limit", 1, draw_output_limit_world},
    {"nat64", 1, draw_nat64_world},
    {"banning", 1, draw_banning_world},
    {"slow-server", 1, draw_slow_server_world},
    {"remote", 1, draw_remote_world},
    {"burst-gap", 1, draw_burst_gap_world},
    {"rate-limit", 1, draw_rate_limit_world},
    {"small-queue", 1, draw_small_queue_world},
    {"slow-link", 1, draw_slow_link_world},
    {"dead", 1, draw_dead_world},
};

#define CLASSES ((int)(sizeof classes / sizeof classes[0]))
#define FIELD_CLASSES 25 /* of field.c */
#define LATER_CLASSES 8
#define LATER_SHARE 0.3
#define FIELD_SHARE 0.0 /* of the plain mix; above 0 every seed of the mix means another world */

/* Where each part of the list ends. */
#define LATER_END (CLASSES - FIELD_CLASSES)
#define FIRST_END (LATER_END - LATER_CLASSES)

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

static int draw_class(rng *r, int first, int end)
{
    unsigned total = 0;
    for (int i = first; i < end; i++)
        total += classes[i].weight;
    unsigned n = rng_below(r, total);
    int kind = first;
    while (n >= classes[kind].weight)
        n -= classes[kind++].weight;
    return kind;
}

/* What a seed means in a class must not depend on other classes: those added later have other streams. */
static int draw_part(uint64_t seed, uint64_t stream, double share, int first, int end, int otherwise)
{
    rng r;
    rng_seed(&r, seed, stream);
    return rng_chance(&r, share) ? draw_class(&r, first, end) : otherwise;
}

bool world_field_is_mixed(void)
{
    return FIELD_SHARE > 0;
}

/* What comes late keeps the state of a box as well. */
static void outlast_what_is_late(world *w)
{
    uint64_t late_ns = w->link.late > 0 ? w->link.late_ns : 0;
    if (w->gap_ns == STATE_ENDS_NS)
        w->gap_ns += late_ns;
    for (unsigned i = 0; i < w->earlier_count; i++) {
        if (w->earlier[i].then_ns == STATE_ENDS_NS)
            w->earlier[i].then_ns += late_ns;
    }
}

void world_draw(world *w, uint64_t seed, int kind, double max_loss)
{
    rng r;
    rng_seed(&r, seed, 1);
    world_quiet(w, seed);
    int drawn = draw_class(&r, 0, FIRST_END);
    drawn = draw_part(seed, 2, LATER_SHARE, FIRST_END, LATER_END, drawn);
    drawn = draw_part(seed, 3, FIELD_SHARE, LATER_END, CLASSES, drawn);
    w->kind = kind == WORLD_ANY_CLASS ? drawn : kind;
    w->family = rng_chance(&r, 0.7) ? 4 : 6;
    w->documentation = rng_chance(&r, 0.5);
    w->start_ns = rng_between(&r, 1, 1000000) * MS;
    draw_link(w, &r, max_loss);
    world_number(w);
    classes[w->kind].draw(w, &r);
    outlast_what_is_late(w);
    rng_seed(&r, seed, 4);
    w->host.stamps = rng_chance(&r, 0.7) ? STAMPS_ALL : (stamps)rng_between(&r, STAMPS_FRESH, STAMPS_NONE);
}
