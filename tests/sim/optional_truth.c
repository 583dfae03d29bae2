/* SPDX-License-Identifier: MIT */
/* Datagrams through copies of the boxes. Nothing here knows how the library tests anything. */
#include "optional_truth.h"

#include <stdlib.h>
#include <string.h>

/* Local ports that no socket of a check has. */
#define OTHER_PORT 61998
#define REFUSED_PORT 61999
/* Both hosts of a pair send so often. */
#define ROUNDS 3

typedef struct course {
    nat_box box[WORLD_BOXES];
    unsigned boxes;
    uint64_t now_ns;
} course;

bool optional_truth_is_known(const world *w)
{
    bool is_known = w->route == ROUTE_ONE && !w->intercepts && w->earlier_count == 0;
    for (unsigned i = 0; i < w->boxes; i++)
        is_known = is_known && w->box[i].changes == 0 && w->box[i].ban_after == 0 && w->box[i].prefix.family == 0;
    for (unsigned i = 0; i < w->servers; i++)
        is_known = is_known && !w->server[i].exempt && w->server[i].flood == 0;
    return is_known;
}

static bool comes_in(course *c, unsigned hop, endpoint *src, endpoint *dst)
{
    for (; hop > 0; hop--) {
        if (!nat_inbound(&c->box[hop - 1], c->now_ns, src, dst))
            return false;
    }
    return true;
}

/* True when it leaves the last box, or comes back; *came_back says which. */
static bool goes_out(course *c, endpoint *src, endpoint *dst, bool *came_back)
{
    *came_back = false;
    for (unsigned hop = 0; hop < c->boxes; hop++) {
        if (nat_owns(&c->box[hop], c->now_ns, dst)) {
            *came_back = nat_hairpin(&c->box[hop], c->now_ns, src, dst) && comes_in(c, hop, src, dst);
            return *came_back;
        }
        if (!nat_outbound(&c->box[hop], c->now_ns, src, dst))
            return false;
    }
    return true;
}

/* The external address that a destination sees of an inner one; family 0: none. */
static endpoint seen_by(course *c, const endpoint *inner, const endpoint *destination)
{
    endpoint src = *inner;
    endpoint dst = *destination;
    bool came_back;
    if (!goes_out(c, &src, &dst, &came_back) || came_back)
        src.family = 0;
    return src;
}

static endpoint stranger(const network *n, unsigned host)
{
    return world_public(n->world, 2, host, 4444);
}

static int32_t find_port_open(course *c, const network *n, const endpoint *external)
{
    endpoint src = stranger(n, 250);
    endpoint dst = *external;
    bool arrives = comes_in(c, c->boxes, &src, &dst) && endpoint_equal(&dst, &n->world->host.local);
    return arrives ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

/* Whether a datagram is refused, and changes the port that its sender sees afterwards. */
static int32_t find_taken(course *c, const endpoint *inner, const endpoint *usual, const endpoint *sender)
{
    endpoint src = *sender;
    endpoint dst = *usual;
    if (comes_in(c, c->boxes, &src, &dst))
        return NP_TRISTATE_UNKNOWN; /* it is not refused */
    endpoint after = seen_by(c, inner, sender);
    return endpoint_equal(&after, usual) ? NP_TRISTATE_NO : NP_TRISTATE_YES;
}

/*
 * A stranger, another port of an address that was sent to, and servers that other sockets have sent to: a box may stop
 * the one and let the other as far as the next box.
 */
static int32_t find_refused(course *c, const network *n, optional_truth *out)
{
    int32_t by_server = NP_TRISTATE_UNKNOWN;
    endpoint inner = endpoint_with_port(&n->world->host.local, REFUSED_PORT);
    endpoint one = stranger(n, 251);
    endpoint port = endpoint_with_port(&one, 4445);
    endpoint two = stranger(n, 252);
    endpoint usual = seen_by(c, &inner, &one);
    if (usual.family == 0)
        return NP_TRISTATE_UNKNOWN;
    int32_t by_port = find_taken(c, &inner, &usual, &port);
    int32_t by_ip = find_taken(c, &inner, &usual, &two);
    for (unsigned i = 0; i < n->world->servers && by_server != NP_TRISTATE_YES; i++)
        by_server = find_taken(c, &inner, &usual, &n->world->server[i].b);
    int32_t of_strangers = by_port == NP_TRISTATE_YES ? by_port : by_ip;
    out->depends_on_sender = by_server == NP_TRISTATE_YES && of_strangers != NP_TRISTATE_YES;
    return of_strangers;
}

static void find_hairpin(course *c, const network *n, const endpoint *external, optional_truth *out)
{
    endpoint other = endpoint_with_port(&n->world->host.local, OTHER_PORT);
    endpoint a = stranger(n, 253);
    endpoint other_external = seen_by(c, &other, &a);
    out->hairpin = NP_TRISTATE_NO;
    for (unsigned i = 0; i < c->boxes; i++) {
        const box_desc *b = c->box[i].desc;
        bool remembers = b->refused_takes_port || box_remembers_refused(b);
        out->is_hairpin_a_race |= remembers && c->boxes > 1;
    }
    for (int i = 0; i < 2 * ROUNDS; i++) {
        endpoint src = i % 2 == 0 ? n->world->host.local : other;
        endpoint dst = i % 2 == 0 ? other_external : *external;
        const endpoint *sender = i % 2 == 0 ? external : &other_external;
        bool came_back;
        if (!goes_out(c, &src, &dst, &came_back) || !came_back)
            continue;
        if (out->hairpin == NP_TRISTATE_NO)
            out->hairpin_external = endpoint_same_ip(&src, sender) ? NP_TRISTATE_YES : NP_TRISTATE_NO;
        out->hairpin = NP_TRISTATE_YES;
    }
}

void optional_truth_of(const network *n, const np_result *r, optional_truth *out)
{
    course *c = malloc(sizeof *c);
    if (c == NULL)
        abort();
    memset(out, 0, sizeof *out);
    if (r->external_ip[0] != '\0') {
        endpoint external = endpoint_of(r->external_ip, r->external_port);
        *c = (course){.boxes = n->boxes, .now_ns = n->now_ns};
        memcpy(c->box, n->box, sizeof c->box);
        out->port_open = find_port_open(c, n, &external);
        memcpy(c->box, n->box, sizeof c->box);
        out->refused_takes_port = find_refused(c, n, out);
        memcpy(c->box, n->box, sizeof c->box);
        find_hairpin(c, n, &external, out);
    }
    free(c);
}
