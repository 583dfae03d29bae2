/* SPDX-License-Identifier: MIT */
/* The worlds of field.h. */
#include "field.h"

#include <errno.h>

#define SECOND_WAY_NET 2 /* another provider has other networks */
#define SECOND_WAY_HOST 140

/* ---- Parts ---- */

/* Servers are asked one after the other here: a short way, and mostly a good one. */
static void ease_link(world *w, rng *r)
{
    link_desc *l = &w->link;
    if (l->rtt_ns > 400 * MS)
        l->rtt_ns /= 8;
    l->late = 0;
    if (rng_chance(r, 0.6)) {
        l->loss[UP] = 0;
        l->loss[DOWN] = 0;
    }
}

/* Nothing is lost, delayed or doubled: what happens is the class's doing. */
static void make_faultless(world *w, rng *r)
{
    link_desc *l = &w->link;
    l->rtt_ns = rng_between(r, 10, 300) * MS;
    l->loss[UP] = 0;
    l->loss[DOWN] = 0;
    l->duplicate = 0;
    l->late = 0;
    l->jitter /= 10;
}

static box_desc draw_lasting_nat(rng *r)
{
    box_desc b = draw_nat(r);
    b.per_host = false;
    b.timeout_ns = 300 * SECOND;
    return b;
}

static void put_nat(world *w, rng *r)
{
    w->boxes = 1;
    w->box[0] = rng_chance(r, 0.25) ? draw_linux(r) : draw_lasting_nat(r);
    world_number(w);
}

/* Like draw_boxes, with state that outlives the check and belongs to one socket. */
static void put_lasting_boxes(world *w, rng *r)
{
    draw_boxes(w, r);
    for (unsigned i = 0; i < w->boxes; i++) {
        w->box[i].per_host = false;
        w->box[i].timeout_ns = 300 * SECOND;
    }
}

static void put_second_way(world *w, route_rule route, const box_desc *b)
{
    w->route = route;
    w->second = *b;
    w->second.pooling = POOL_ONE;
    for (unsigned k = 0; k < WORLD_POOL; k++)
        w->second.external[k] = world_public(w, SECOND_WAY_NET, SECOND_WAY_HOST + k, 0);
}

/* Conforming, and not in a private network. */
static server_desc *put_global_server(world *w, rng *r)
{
    server_desc *s = draw_conforming(w, r);
    unsigned i = w->servers - 1;
    if (endpoint_is_special(&s->a)) {
        s->a = world_public(w, 1, 10 + i, s->a.port);
        s->b = world_public(w, 2, 10 + i, s->b.port);
        w->listed[w->listed_count - 1].address = s->a;
    }
    return s;
}

/* So many more good servers, some of them plain. */
static void put_honest_servers(world *w, rng *r, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        server_desc *s = put_global_server(w, r);
        if (rng_chance(r, 0.4))
            make_plain(w, s, r);
    }
}

/* The order of the list must not matter. */
static void shuffle_list(world *w, rng *r)
{
    for (unsigned i = w->listed_count; i > 1; i--) {
        unsigned k = rng_below(r, i);
        listed_server last = w->listed[i - 1];
        w->listed[i - 1] = w->listed[k];
        w->listed[k] = last;
    }
}

/* ---- Ways ---- */

/* The host has a global address, and some NAT is on one of its ways all the same. */
static void use_public_local(world *w)
{
    w->host.local = world_public(w, 0, 77, w->host.local.port);
}

static void route_by_source(world *w, rng *r)
{
    static const box_desc wire = {.kind = BOX_PASS};
    box_desc nat = draw_lasting_nat(r);
    box_desc firewall = box_firewall((dependence)rng_below(r, 3));
    switch (rng_below(r, 3)) {
    case 0: /* two NATs */
        put_second_way(w, ROUTE_FRESH, &nat);
        if (rng_chance(r, 0.3))
            w->second_local = endpoint_private(w->family, 1, 3, w->host.local.port);
        break;
    case 1: /* the source port is not translated */
        w->boxes = rng_chance(r, 0.5) ? 0 : 1;
        w->box[0] = firewall;
        world_number(w);
        put_second_way(w, ROUTE_FRESH, &nat);
        break;
    default: /* only the source port is translated */
        use_public_local(w);
        put_second_way(w, ROUTE_FRESH, rng_chance(r, 0.5) ? &wire : &firewall);
        break;
    }
}

void draw_two_paths_world(world *w, rng *r)
{
    ease_link(w, r);
    put_nat(w, r);
    w->box[0].pooling = POOL_ONE;
    unsigned kind = rng_below(r, 10);
    if (kind < 5) {
        route_by_source(w, r);
    } else if (kind < 7) { /* one router with two lines */
        put_second_way(w, ROUTE_SPREAD, &w->box[0]);
    } else if (kind < 9) { /* two lines, each with a NAT of its own */
        box_desc other = draw_lasting_nat(r);
        put_second_way(w, ROUTE_SPREAD, &other);
    } else { /* for contrast: no second way, but several addresses */
        w->box[0].pooling = POOL_ARBITRARY;
    }
    put_global_server(w, r);
    if (rng_chance(r, 0.4))
        put_honest_servers(w, r, 1);
}

void draw_exempt_world(world *w, rng *r)
{
    ease_link(w, r);
    put_nat(w, r);
    bool public_local = rng_chance(r, 0.25);
    server_desc *s = put_global_server(w, r);
    s->exempt = true;
    /* Two addresses that see a global one are a verdict. That others are reached through a NAT nobody could tell. */
    if (public_local || rng_chance(r, 0.3))
        make_plain(w, s, r);
    if (public_local)
        use_public_local(w);
    if (public_local || rng_chance(r, 0.8))
        put_honest_servers(w, r, 1 + rng_below(r, 2));
    shuffle_list(w, r);
}

static void draw_interceptor(server_desc *s, rng *r)
{
    static const change_mode modes[] = {CHANGE_IGNORED, CHANGE_REJECTED, CHANGE_DROPPED};
    server_make_plain(s);
    s->a.port = WORLD_STUN_PORT;
    s->copies = 1;
    s->change = modes[rng_below(r, 3)];
    s->reject_code = 420;
    s->mapped = rng_chance(r, 0.5) ? MAPPED_XOR : MAPPED_XOR_AND_PLAIN;
    s->software = rng_chance(r, 0.5);
}

void draw_intercepted_world(world *w, rng *r)
{
    ease_link(w, r);
    put_nat(w, r);
    if (rng_chance(r, 0.3)) { /* the carrier's NAT answers, or the one at home does */
        w->boxes = 2;
        w->box[1] = draw_lasting_nat(r);
        w->intercept_hop = rng_below(r, 2);
        world_number(w);
    }
    w->intercepts = true;
    draw_interceptor(&w->interceptor, r);
    put_honest_servers(w, r, 1 + rng_below(r, 2));
    unsigned passing = rng_chance(r, 0.5) ? 0 : 1 + rng_below(r, 2);
    for (unsigned i = 0; i < passing; i++) {
        server_desc *s = put_global_server(w, r);
        s->a.port = 19302;
        w->listed[w->listed_count - 1].address = s->a;
    }
    shuffle_list(w, r);
}

static void draw_bare_uplinks(world *w, rng *r)
{
    box_desc firewall = box_firewall((dependence)rng_below(r, 3));
    w->boxes = 1;
    w->box[0] = firewall;
    world_number(w);
    put_second_way(w, ROUTE_BY_SERVER, &firewall);
    w->second_local = world_public(w, 0, 78, w->host.local.port);
}

static void draw_translated_uplinks(world *w, rng *r)
{
    put_nat(w, r);
    w->box[0].pooling = POOL_ONE;
    put_second_way(w, ROUTE_BY_SERVER, &w->box[0]);
    w->second_local = endpoint_private(w->family, 1, 3, w->host.local.port);
}

void draw_uplinks_world(world *w, rng *r)
{
    ease_link(w, r);
    if (rng_chance(r, 0.5))
        draw_bare_uplinks(w, r);
    else
        draw_translated_uplinks(w, r);
    server_desc *s = put_global_server(w, r);
    s->second_way[1] = true;
    w->strict_reverse = rng_chance(r, 0.4);
    if (!w->strict_reverse && rng_chance(r, 0.5))
        s->change = CHANGE_IP_DROPPED;
    if (rng_chance(r, 0.6)) {
        put_honest_servers(w, r, 1);
        w->server[1].second_way[0] = rng_chance(r, 0.5);
        w->server[1].second_way[1] = rng_chance(r, 0.5);
    }
    shuffle_list(w, r);
}

void draw_by_port_world(world *w, rng *r)
{
    make_faultless(w, r); /* who hears nothing from the second port cannot know */
    w->boxes = 1;
    w->box[0] = draw_lasting_nat(r);
    w->box[0].mapping = DEP_INDEPENDENT;
    w->box[0].pooling = POOL_ONE;
    world_number(w);
    if (rng_chance(r, 0.5))
        w->box[0].by_port = true;
    else
        put_second_way(w, ROUTE_BY_PORT, &w->box[0]);
    put_global_server(w, r);
    if (rng_chance(r, 0.4))
        put_honest_servers(w, r, 1);
}

/* ---- Servers ---- */

static void misinform(world *w, server_desc *s, rng *r)
{
    unsigned kind = rng_below(r, 3);
    /* Documentation addresses on both sides are a test network, where a NAT's outside may be private. */
    if (kind == 0 && w->documentation && !endpoint_is_special(&w->host.local))
        kind = 1;
    switch (kind) {
    case 0: /* behind a balancer that puts its own address for everybody's */
        s->sees = endpoint_private(w->family, 42, 7, 40000);
        s->sees_port = (seen_port)rng_below(r, 3);
        if (rng_chance(r, 0.5))
            server_make_plain(s);
        break;
    case 1: /* of a server with two addresses nobody could tell */
        s->sees = world_public(w, SECOND_WAY_NET, 99, 40000);
        s->sees_port = (seen_port)rng_below(r, 2);
        server_make_plain(s);
        break;
    default:
        s->sees_port = SEEN_PORT_CHANGING;
        server_make_plain(s);
        break;
    }
}

void draw_misinformed_world(world *w, rng *r)
{
    ease_link(w, r);
    put_lasting_boxes(w, r);
    misinform(w, put_global_server(w, r), r);
    put_honest_servers(w, r, 1 + rng_below(r, 3));
    shuffle_list(w, r);
}

void draw_stateful_server_world(world *w, rng *r)
{
    ease_link(w, r);
    put_lasting_boxes(w, r);
    server_desc *s = put_global_server(w, r);
    s->state = rng_chance(r, 0.7) ? STATE_BY_ENDPOINT : STATE_BY_ADDRESS;
    if (rng_chance(r, 0.5))
        put_global_server(w, r);
    shuffle_list(w, r);
}

void draw_change_quota_world(world *w, rng *r)
{
    ease_link(w, r);
    put_lasting_boxes(w, r);
    server_desc *s = put_global_server(w, r);
    s->change_gap_ns = rng_between(r, 100, 1000) * MS;
    if (rng_chance(r, 0.3))
        put_global_server(w, r);
    shuffle_list(w, r);
}

void draw_dnat_server_world(world *w, rng *r)
{
    ease_link(w, r);
    put_lasting_boxes(w, r);
    put_global_server(w, r)->true_a = world_public(w, 2, 60, 0);
}

void draw_slow_server_world(world *w, rng *r)
{
    ease_link(w, r);
    put_lasting_boxes(w, r);
    server_desc *s = put_global_server(w, r);
    s->busy_ns = rng_between(r, 50, 250) * MS;
    if (rng_chance(r, 0.4))
        put_global_server(w, r);
}

static void put_living_servers(world *w, rng *r, unsigned count)
{
    unsigned plain = w->mapping_only && count > 1 && rng_chance(r, 0.5) ? 0 : 1;
    for (unsigned i = 0; i < count; i++) {
        server_desc *s = put_global_server(w, r);
        if (rng_chance(r, 0.3))
            s->extra_rtt_ns = (uint64_t)((double)w->link.rtt_ns * rng_unit(r) / 2);
        if (i >= plain && rng_chance(r, 0.5))
            make_plain(w, s, r);
    }
}

void draw_dead_world(world *w, rng *r)
{
    make_faultless(w, r);
    w->link.jitter = 0;
    put_lasting_boxes(w, r);
    w->mapping_only = rng_chance(r, 0.4);
    unsigned count = 2 + rng_below(r, 3);
    unsigned dead = count > 2 ? 1 + rng_below(r, 2) : 1;
    put_living_servers(w, r, count - dead);
    for (unsigned i = 0; i < dead; i++) {
        server_desc *s = put_global_server(w, r);
        if (rng_chance(r, 0.25))
            make_plain(w, s, r);
        server_make_dead(s);
    }
    shuffle_list(w, r);
}

/* ---- Boxes ---- */

void draw_port_blocks_world(world *w, rng *r)
{
    static const unsigned sizes[] = {16, 64, 240};
    ease_link(w, r);
    w->boxes = 1;
    w->box[0] = draw_lasting_nat(r);
    w->box[0].mapping = (dependence)(1 + rng_below(r, 2));
    w->box[0].filtering = w->box[0].mapping;
    w->box[0].pooling = POOL_ONE;
    w->box[0].block = sizes[rng_below(r, 3)];
    world_number(w);
    w->mapping_only = rng_chance(r, 0.2);
    bool plain = rng_chance(r, 0.5);
    server_desc *s = put_global_server(w, r);
    if (plain) {
        make_plain(w, s, r);
        make_plain(w, put_global_server(w, r), r);
    }
}

void draw_forwarded_world(world *w, rng *r)
{
    static const uint16_t ranges[][2] = {{32768, 46000}, {46001, 60999}, {54318, 54322}, {1024, 65535}};
    unsigned which = rng_below(r, 4);
    ease_link(w, r);
    w->boxes = 1;
    w->box[0] = draw_lasting_nat(r);
    w->box[0].mapping = DEP_INDEPENDENT;
    w->box[0].filtering = (dependence)(1 + rng_below(r, 2));
    w->box[0].ports = PORT_PRESERVING;
    w->box[0].pooling = POOL_ONE;
    w->box[0].forward_low = ranges[which][0];
    w->box[0].forward_high = ranges[which][1];
    world_number(w);
    put_global_server(w, r);
    w->runs = 2;
    w->gap_ns = rng_between(r, 0, 3000) * MS;
}

void draw_rewriting_world(world *w, rng *r)
{
    ease_link(w, r);
    w->boxes = 1;
    w->box[0] = rng_chance(r, 0.2) ? box_firewall(DEP_INDEPENDENT) : draw_lasting_nat(r);
    w->box[0].filtering = (dependence)rng_below(r, 2);
    w->box[0].rewrites = true;
    world_number(w);
    put_global_server(w, r);
    if (rng_chance(r, 0.3))
        put_honest_servers(w, r, 1);
}

void draw_nat64_world(world *w, rng *r)
{
    endpoint prefix = {.family = 6, .ip = {0x00, 0x64, 0xff, 0x9b}};
    ease_link(w, r);
    if (rng_chance(r, 0.4)) /* a network's own */
        prefix = endpoint_public(6, 5, 0, 0);
    w->family = 6;
    w->boxes = 1;
    w->box[0] = draw_lasting_nat(r);
    w->box[0].prefix = prefix;
    world_number(w);
    w->host.local = world_public(w, 0, 77, w->host.local.port);
    w->family = 4; /* outside */
    for (unsigned k = 0; k < WORLD_POOL; k++)
        w->box[0].external[k] = world_public(w, 0, 1 + k, 0);
    put_global_server(w, r);
    if (rng_chance(r, 0.7))
        put_honest_servers(w, r, 1 + rng_below(r, 2));
    w->family = 6;
    for (unsigned i = 0; i < w->listed_count; i++)
        w->listed[i].address = endpoint_synthesized(&prefix, &w->listed[i].address);
}

void draw_banning_world(world *w, rng *r)
{
    ease_link(w, r);
    put_lasting_boxes(w, r);
    if (w->boxes == 0) {
        w->boxes = 1;
        w->box[0] = box_firewall((dependence)(1 + rng_below(r, 2)));
        world_number(w);
    }
    box_desc *b = &w->box[w->boxes - 1];
    b->ban_after = 1 + rng_below(r, 10);
    b->ban_ns = rng_between(r, 10, 600) * SECOND;
    unsigned more = rng_below(r, 4);
    put_global_server(w, r);
    for (unsigned i = 0; i < more; i++)
        put_global_server(w, r);
}

/* ---- Times ---- */

static void put_timed_world(world *w, rng *r)
{
    make_faultless(w, r);
    put_lasting_boxes(w, r);
    put_global_server(w, r);
}

/* Some moment of a check. */
static uint64_t draw_moment(const world *w, rng *r)
{
    return (uint64_t)((4 * (double)w->link.rtt_ns + 40e6) * rng_unit(r));
}

void draw_waking_world(world *w, rng *r)
{
    put_timed_world(w, r);
    w->link.silent_ns = rng_between(r, 50, 2500) * MS;
}

void draw_frozen_world(world *w, rng *r)
{
    put_timed_world(w, r);
    w->host.freeze_at_ns = draw_moment(w, r);
    w->host.freeze_ns = rng_between(r, 1000, 4000) * MS;
}

void draw_outage_world(world *w, rng *r)
{
    static const int errors[] = {ENETUNREACH, ENETDOWN, EPERM};
    put_timed_world(w, r);
    w->host.outage_at_ns = rng_chance(r, 0.3) ? 0 : draw_moment(w, r);
    w->host.outage_ns = rng_between(r, 50, 2000) * MS;
    w->host.outage_error = errors[rng_below(r, 3)];
    w->host.outage_deafens = rng_chance(r, 0.5);
}

void draw_output_limit_world(world *w, rng *r)
{
    put_timed_world(w, r);
    w->host.out_rate = 10;
    w->host.out_burst = rng_chance(r, 0.5) ? 3 + rng_below(r, 6) : 15 + rng_below(r, 16);
    if (rng_chance(r, 0.4))
        put_honest_servers(w, r, 1);
}

void draw_remote_world(world *w, rng *r)
{
    static const uint64_t timeouts_s[] = {10, 30, 60};
    put_timed_world(w, r);
    w->link.rtt_ns = rng_between(r, 2100, 4000) * MS;
    w->timeout_ns = timeouts_s[rng_below(r, 3)] * SECOND;
    if (rng_chance(r, 0.5)) /* as a caller asks who knows his link */
        w->response_timeout_ns = w->timeout_ns / 10 * 6;
    else /* the library's default */
        w->response_timeout_ns = w->timeout_ns > 10 * SECOND ? w->timeout_ns / 10 * 3 : 3 * SECOND;
}

/* ---- Narrow places ---- */

/* A world in which nothing else is narrow: mostly one good server, and no losses. */
static void put_narrow_world(world *w, rng *r)
{
    make_faultless(w, r);
    if (rng_chance(r, 0.5))
        w->link.jitter = 0;
    if (rng_chance(r, 0.15)) {
        w->link.loss[UP] = 0.01;
        w->link.loss[DOWN] = 0.01;
        w->link.kind = LOSS_INDEPENDENT;
    }
    put_lasting_boxes(w, r);
    put_global_server(w, r);
    if (rng_chance(r, 0.2))
        put_honest_servers(w, r, 1);
}

static void draw_directions(bool hits[2], rng *r)
{
    unsigned which = rng_below(r, 3);
    hits[UP] = which != 0;
    hits[DOWN] = which != 1;
}

/* Half a second has all of most checks in it. */
static uint64_t draw_gap_start(rng *r)
{
    unsigned kind = rng_below(r, 10);
    if (kind < 3)
        return 0;
    return rng_between(r, 0, kind < 6 ? 40000 : 500000) * 1000;
}

void draw_burst_gap_world(world *w, rng *r)
{
    link_desc *l = &w->link;
    put_narrow_world(w, r);
    l->gaps = rng_chance(r, 0.6) ? 1 : 2 + rng_below(r, WORLD_GAPS - 1);
    for (unsigned i = 0; i < l->gaps; i++) {
        link_gap *g = &l->gap[i];
        g->at_ns = draw_gap_start(r);
        g->for_ns = rng_between(r, 5000, 100000) * 1000;
        draw_directions(g->hits, r);
        g->inside = rng_chance(r, 0.3);
    }
}

void draw_rate_limit_world(world *w, rng *r)
{
    static const unsigned rates[] = {10, 20, 50};
    static const unsigned bursts[] = {1, 5, 10, 20};
    rate_limit *l = &w->link.limit;
    put_narrow_world(w, r);
    l->per_second = rates[rng_below(r, 3)];
    l->burst = bursts[rng_below(r, 4)];
    l->place = (limit_place)rng_between(r, LIMIT_INSIDE, LIMIT_SERVERS);
    l->by_port = rng_chance(r, 0.5);
    draw_directions(l->hits, r);
    if (rng_chance(r, 0.25))
        l->queue = 1 + rng_below(r, 20);
}

/* From low to eight times low kbit/s, each octave as often. */
static uint64_t draw_rate(rng *r, uint64_t low)
{
    uint64_t octave = low << rng_below(r, 3);
    return rng_between(r, octave, 2 * octave) * 1000;
}

void draw_small_queue_world(world *w, rng *r)
{
    bool hits[2];
    put_narrow_world(w, r);
    draw_directions(hits, r);
    for (unsigned d = UP; d <= DOWN; d++) {
        slow_link *s = &w->link.slow[d];
        s->bits_per_s = draw_rate(r, 24);
        s->queue_packets = rng_chance(r, 0.4) ? 8 : 4 + rng_below(r, 13);
        s->inside = rng_chance(r, 0.3);
        if (!hits[d])
            *s = (slow_link){0};
    }
}

void draw_slow_link_world(world *w, rng *r)
{
    bool hits[2];
    put_narrow_world(w, r);
    draw_directions(hits, r);
    for (unsigned d = UP; d <= DOWN; d++) {
        slow_link *s = &w->link.slow[d];
        s->bits_per_s = rng_chance(r, 0.3) ? 64000 : draw_rate(r, 32);
        s->queue_ns = rng_between(r, 100, 1000) * MS;
        s->inside = rng_chance(r, 0.3);
        if (!hits[d])
            *s = (slow_link){0};
    }
}
