/* SPDX-License-Identifier: MIT */
/* A simulated world of the input's choosing. */
#include "world_input.h"

/* One of n, the first for every other byte: what is usual is what most bytes choose. */
static unsigned choose(input *in, unsigned n)
{
    const unsigned byte = take(in);
    return byte < 128 ? 0 : byte % n;
}

static unsigned one_of(input *in, unsigned n)
{
    return take(in) % n;
}

static bool flag(unsigned flags, unsigned bit)
{
    return (flags >> bit & 1) != 0;
}

/* ---- On the way ------------------------------------------------------------------------------------------------- */

static void choose_changes(input *in, box_desc *b)
{
    b->changes = choose(in, WORLD_CHANGES + 1);
    b->change_keeps_ip = b->changes > 0 && flag(take(in), 0);
    for (unsigned i = 0; i < b->changes; i++)
        b->change_ns[i] = (i > 0 ? b->change_ns[i - 1] : 0) + (1 + (uint64_t)take(in)) * 5 * MS;
}

static void choose_box(input *in, box_desc *b)
{
    static const box_kind kinds[] = {BOX_PASS, BOX_NAT, BOX_NAT, BOX_NAT, BOX_LINUX, BOX_FIREWALL, BOX_BLOCKED};
    const unsigned flags = take(in);
    memset(b, 0, sizeof *b);
    b->kind = kinds[flags % 7];
    b->mapping = (dependence)one_of(in, 3);
    b->filtering = (dependence)one_of(in, 3);
    b->ports = (port_allocation)choose(in, 4);
    b->pooling = (ip_pooling)choose(in, 3);
    b->per_host = flag(flags, 3);
    b->input_firewall = flag(flags, 4);
    b->fully_random = flag(flags, 5);
    b->block_out = flag(flags, 6);
    b->block_in = flag(flags, 7);
    b->timeout_ns = flag(flags, 6) ? 300 * MS : 300 * SECOND;
    b->only_port = b->kind == BOX_BLOCKED && flag(flags, 4) ? 3478 : 0;
    choose_changes(in, b);
}

static void choose_link(input *in, link_desc *l)
{
    static const uint16_t rtt_ms[] = {20, 1, 5, 40, 100, 250, 600, 2000};
    static const double losses[] = {0, 0.05, 0.1, 0.3, 0.5, 0.9, 1};
    const unsigned flags = take(in);
    l->rtt_ns = rtt_ms[flags % 8] * MS;
    l->fifo = flag(flags, 3);
    l->jitter = flag(flags, 4) ? 0.5 : 0;
    l->duplicate = flag(flags, 5) ? 0.2 : 0;
    l->late = flag(flags, 6) ? 0.1 : 0;
    l->late_ns = 400 * MS;
    l->loss[UP] = losses[choose(in, 7)];
    l->loss[DOWN] = losses[choose(in, 7)];
    l->kind = (loss_kind)choose(in, 3);
    l->place = (loss_place)choose(in, 3);
}

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

static endpoint choose_lie(input *in, const world *w, const server_desc *s)
{
    const endpoint elsewhere = world_public(w, 2, 99, 3479);
    switch (one_of(in, 12)) {
    case 0:
        return endpoint_any(w->family, 3479);
    case 1:
        return endpoint_loopback(w->family, 1, 3479);
    case 2:
        return endpoint_multicast(w->family, 3479);
    case 3:
        return endpoint_link_local(w->family, 3479);
    case 4:
        return endpoint_private(w->family, 2, 9, 3479);
    case 5:
        return endpoint_with_port(&elsewhere, 53);
    case 6:
        return endpoint_with_port(&s->a, 3479);
    case 7:
        return endpoint_with_port(&elsewhere, s->a.port);
    case 8:
        return w->family == 4 ? endpoint_mapped(&elsewhere) : elsewhere;
    case 9:
        return endpoint_public(w->family == 4 ? 6 : 4, 2, 99, 3479);
    case 10:
        return w->server[0].b;
    default:
        return elsewhere;
    }
}

static void choose_flags(unsigned flags, unsigned more, server_desc *s)
{
    s->deaf_aq = flag(flags, 0);
    s->deaf_bp = flag(flags, 1);
    s->deaf_bq = flag(flags, 2);
    s->two_ports = !flag(flags, 3);
    s->two_ips = !flag(flags, 4);
    s->other_is_false = flag(flags, 5);
    s->other_flips = flag(flags, 6);
    s->no_route = flag(flags, 7);
    s->origin = !flag(more, 0);
    s->software = flag(more, 1);
    s->fingerprint = flag(more, 2);
    s->unpadded = flag(more, 3);
    s->copies = 1 + (more >> 4 & 1);
    s->flood = flag(more, 5) ? 7 : 0;
    s->rate = flag(more, 6) ? 2 : 0;
    s->rate_kind = flag(more, 7) ? RATE_BUCKET : RATE_WINDOW;
}

static void choose_server(input *in, world *w)
{
    static const other_form others[] = {OTHER_RFC5780, OTHER_NONE, OTHER_RFC3489, OTHER_BOTH};
    static const unsigned codes[] = {420, 400, 500, 300, 600, 699};
    server_desc *s = world_add_server(w);
    s->change = (change_mode)choose(in, CHANGE_MODES);
    s->reject_code = codes[s->change == CHANGE_REJECTED ? one_of(in, 6) : 0];
    s->plain = (plain_mode)choose(in, PLAIN_MODES);
    s->mapped = (mapped_form)choose(in, MAPPED_OTHER_FAMILY + 1);
    s->other = others[choose(in, 4)];
    s->dialect = (server_dialect)choose(in, 3);
    const unsigned flags = take(in);
    choose_flags(flags, take(in), s);
    if (s->other_is_false || s->other_flips || s->plain == PLAIN_ERROR_300)
        s->false_other = choose_lie(in, w, s);
    s->late_ns = choose(in, 8) * 40 * MS;
    s->extra_rtt_ns = choose(in, 8) * 25 * MS;
}

/* What the probe is told of a server; it may be another's second address. */
static void choose_listed(input *in, world *w, unsigned index)
{
    static const uint16_t resolve_ms[] = {0, 1, 30, 300, 1500};
    listed_server *l = &w->listed[index];
    const unsigned flags = take(in);
    l->expected_mapping_only = flag(flags, 0);
    if (flag(flags, 1)) {
        l->server = flag(flags, 4) ? 0 : index;
        l->address = w->server[l->server].b;
    }
    if (flag(flags, 2))
        l->address.port = w->server[0].b.port;
    l->resolve_ns = flag(flags, 3) ? NEVER : resolve_ms[flags / 16 % 5] * MS;
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

void world_from(input *in, world *w)
{
    const unsigned shape = take(in);
    world_quiet(w, shape / 64);
    w->family = flag(shape, 0) ? 6 : 4;
    w->documentation = !flag(shape, 1);
    w->boxes = (shape >> 2 & 3) % 3;
    for (unsigned i = 0; i < w->boxes; i++)
        choose_box(in, &w->box[i]);
    world_number(w);
    choose_link(in, &w->link);
    const unsigned servers = 1 + (shape >> 4 & 3);
    for (unsigned i = 0; i < servers; i++)
        choose_server(in, w);
    for (unsigned i = 0; i < servers; i++)
        choose_listed(in, w, i);
}
