/* SPDX-License-Identifier: MIT */
/*
 * Two models. The one of RFC 4787: mappings from an inside endpoint (and, if dependent, the remote address or
 * endpoint) to an outside endpoint that no other mapping shares, and permissions for remotes that were sent to.
 * And netfilter's: entries made of a tuple and the tuple of its answer, where any number of entries may share an
 * outside port as long as all tuples differ. There an unsolicited datagram that reaches the box itself leaves an
 * entry too, and the next datagram out whose answer would look like that entry's gets another port.
 */
#include "nat.h"

#include <string.h>

#include "clock.h"

#define CONNTRACK_NEW_NS (30 * SECOND)
#define CONNTRACK_ANSWERED_NS (120 * SECOND)

void nat_init(nat_box *n, const box_desc *desc, uint64_t seed, uint64_t start_ns)
{
    memset(n, 0, sizeof *n);
    n->desc = desc;
    n->start_ns = start_ns;
    rng_seed(&n->random, seed, 100);
    n->next_port = (uint16_t)rng_between(&n->random, 20000, 60000);
}

/* ---- Both models ---- */

static void flush(nat_box *n)
{
    n->mappings = 0;
    n->permissions = 0;
    n->connections = 0;
    if (!n->desc->change_keeps_ip)
        n->next_port = (uint16_t)rng_between(&n->random, 20000, 60000);
}

static void catch_up(nat_box *n, uint64_t now_ns)
{
    while (n->changes_done < n->desc->changes && now_ns >= n->start_ns + n->desc->change_ns[n->changes_done]) {
        flush(n);
        n->changes_done++;
    }
}

/* Every change of address brings one never used before. */
static endpoint current_external(const nat_box *n, unsigned index)
{
    endpoint e = n->desc->external[index];
    if (!n->desc->change_keeps_ip)
        e.ip[e.family == 4 ? 3 : 15] = (uint8_t)(e.ip[e.family == 4 ? 3 : 15] + 10 * n->changes_done);
    return e;
}

static uint16_t random_port(nat_box *n)
{
    return (uint16_t)rng_between(&n->random, 1024, 65535);
}

/* ---- RFC 4787 ---- */

static bool depends_equal(dependence d, const endpoint *a, const endpoint *b)
{
    return d == DEP_INDEPENDENT || (d == DEP_ADDRESS ? endpoint_same_ip(a, b) : endpoint_equal(a, b));
}

static bool is_alive(const nat_box *n, uint64_t last_ns, uint64_t now_ns)
{
    return now_ns - last_ns < n->desc->timeout_ns;
}

static bool maps_alike(const nat_box *n, const endpoint *a, const endpoint *b)
{
    return n->desc->by_port ? a->port == b->port : depends_equal(n->desc->mapping, a, b);
}

static nat_mapping *find_mapping(nat_box *n, uint64_t now_ns, const endpoint *inner, const endpoint *remote)
{
    for (unsigned i = 0; i < n->mappings; i++) {
        nat_mapping *m = &n->mapping[i];
        if (!m->is_diverted && is_alive(n, m->last_ns, now_ns) && endpoint_equal(&m->inner, inner) &&
            maps_alike(n, &m->remote, remote))
            return m;
    }
    return NULL;
}

/* A block is small: there it is enough that the datagrams that come in can be told from each other. */
static bool outer_is_taken(const nat_box *n, uint64_t now_ns, const endpoint *outer, const endpoint *remote)
{
    for (unsigned i = 0; i < n->mappings; i++) {
        const nat_mapping *m = &n->mapping[i];
        bool clash = n->desc->block == 0 || maps_alike(n, &m->remote, remote);
        if (clash && is_alive(n, m->last_ns, now_ns) && endpoint_equal(&m->outer, outer))
            return true;
    }
    return false;
}

static uint16_t propose_port(nat_box *n, const endpoint *inner, unsigned attempt)
{
    if (n->desc->block != 0)
        return (uint16_t)(n->next_port + rng_below(&n->random, n->desc->block));
    switch (n->desc->ports) {
    case PORT_PRESERVING:
        return attempt == 0 ? inner->port : random_port(n);
    case PORT_SEQUENTIAL:
        n->next_port = (uint16_t)(n->next_port + rng_between(&n->random, 1, 3));
        if (n->next_port < 1024)
            n->next_port = 1024;
        return n->next_port;
    case PORT_PARITY:
        return (uint16_t)((random_port(n) & ~1u) | (inner->port & 1u));
    case PORT_CONTIGUOUS:
        return (uint16_t)(n->next_port + attempt);
    default:
        return random_port(n);
    }
}

static endpoint choose_ip(nat_box *n, const endpoint *inner)
{
    switch (n->desc->pooling) {
    case POOL_PAIRED: /* one of several, always the same for one inside host */
        return current_external(n, inner->ip[inner->family == 4 ? 3 : 15] % WORLD_POOL);
    case POOL_ARBITRARY:
        return current_external(n, rng_below(&n->random, WORLD_POOL));
    default:
        return current_external(n, 0);
    }
}

static endpoint allocate(nat_box *n, uint64_t now_ns, const endpoint *inner, const endpoint *remote)
{
    if (n->desc->kind == BOX_FIREWALL)
        return *inner;
    endpoint outer = choose_ip(n, inner);
    unsigned attempt = 0;
    do {
        outer.port = propose_port(n, inner, attempt++);
    } while (outer.port == 0 || outer_is_taken(n, now_ns, &outer, remote));
    return outer;
}

static nat_mapping *add_mapping(nat_box *n, uint64_t now_ns, const endpoint *inner, const endpoint *remote)
{
    if (n->mappings == NAT_MAPPINGS) {
        n->overflow = true;
        return NULL;
    }
    endpoint outer = allocate(n, now_ns, inner, remote);
    nat_mapping *m = &n->mapping[n->mappings++];
    *m = (nat_mapping){.id = ++n->next_id, .inner = *inner, .remote = *remote, .outer = outer};
    return m;
}

static void permit(nat_box *n, uint64_t now_ns, const nat_mapping *m, const endpoint *remote)
{
    for (unsigned i = 0; i < n->permissions; i++) {
        nat_permission *p = &n->permission[i];
        if (p->mapping == m->id && endpoint_equal(&p->remote, remote)) {
            p->last_ns = now_ns;
            return;
        }
    }
    if (n->permissions == NAT_PERMISSIONS)
        n->overflow = true;
    else
        n->permission[n->permissions++] = (nat_permission){
            .mapping = m->id, .inner = m->inner, .remote = *remote, .last_ns = now_ns};
}

static bool is_forwarded(const nat_box *n, uint16_t port)
{
    return n->desc->forward_low != 0 && port >= n->desc->forward_low && port <= n->desc->forward_high;
}

static bool is_permitted(const nat_box *n, uint64_t now_ns, const nat_mapping *m, const endpoint *remote)
{
    dependence filtering = m->is_diverted ? DEP_ADDRESS_AND_PORT : n->desc->filtering;
    if (filtering == DEP_INDEPENDENT || is_forwarded(n, m->outer.port))
        return true;
    for (unsigned i = 0; i < n->permissions; i++) {
        const nat_permission *p = &n->permission[i];
        bool owner = n->desc->per_host ? endpoint_same_ip(&p->inner, &m->inner) : p->mapping == m->id;
        if (owner && is_alive(n, p->last_ns, now_ns) && depends_equal(filtering, &p->remote, remote))
            return true;
    }
    return false;
}

static nat_connection *find_connection(nat_box *n, uint64_t now_ns, const endpoint *from, const endpoint *to,
                                       bool reply);
static void remember_refused(nat_box *n, uint64_t now_ns, const endpoint *src, const endpoint *dst);

/* The mapping for a remote that holds the port of the usual one, since it was refused there. */
static nat_mapping *divert(nat_box *n, uint64_t now_ns, const nat_mapping *usual, const endpoint *remote)
{
    for (unsigned i = 0; i < n->mappings; i++) {
        nat_mapping *m = &n->mapping[i];
        if (m->is_diverted && is_alive(n, m->last_ns, now_ns) && endpoint_equal(&m->inner, &usual->inner) &&
            endpoint_equal(&m->remote, remote))
            return m;
    }
    if (n->mappings == NAT_MAPPINGS) {
        n->overflow = true;
        return NULL;
    }
    nat_mapping diverted = {
        .id = ++n->next_id, .inner = usual->inner, .remote = *remote, .outer = usual->outer, .is_diverted = true};
    do {
        diverted.outer.port = random_port(n);
    } while (outer_is_taken(n, now_ns, &diverted.outer, remote));
    nat_mapping *m = &n->mapping[n->mappings++];
    *m = diverted;
    return m;
}

static bool rfc4787_outbound(nat_box *n, uint64_t now_ns, endpoint *src, const endpoint *dst)
{
    nat_mapping *m = find_mapping(n, now_ns, src, dst);
    if (m == NULL)
        m = add_mapping(n, now_ns, src, dst);
    if (m == NULL)
        return false;
    m->last_ns = now_ns;
    permit(n, now_ns, m, dst);
    if (n->desc->refused_takes_port && find_connection(n, now_ns, dst, &m->outer, false) != NULL) {
        m = divert(n, now_ns, m, dst);
        if (m == NULL)
            return false;
        m->last_ns = now_ns;
        permit(n, now_ns, m, dst);
    }
    *src = m->outer;
    return true;
}

/* For NATs that keep a binding as long as anything passes, in either direction. */
static void refresh(nat_box *n, uint64_t now_ns, nat_mapping *m, const endpoint *remote)
{
    m->last_ns = now_ns;
    for (unsigned i = 0; i < n->permissions; i++) {
        nat_permission *p = &n->permission[i];
        bool alive = p->mapping == m->id && is_alive(n, p->last_ns, now_ns);
        if (alive && depends_equal(n->desc->filtering, &p->remote, remote))
            p->last_ns = now_ns;
    }
}

static bool was_sent_to(const nat_box *n, const nat_mapping *m, const endpoint *remote)
{
    for (unsigned i = 0; i < n->permissions; i++) {
        if (n->permission[i].mapping == m->id && endpoint_equal(&n->permission[i].remote, remote))
            return true;
    }
    return false;
}

static bool finds_its_mapping(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst)
{
    for (unsigned i = 0; i < n->mappings; i++) {
        nat_mapping *m = &n->mapping[i];
        if (!is_alive(n, m->last_ns, now_ns) || !endpoint_equal(&m->outer, dst))
            continue;
        if (!is_permitted(n, now_ns, m, src)) {
            if (n->desc->block != 0) /* the port may be another destination's as well */
                continue;
            return false;
        }
        if (n->desc->refresh_in)
            refresh(n, now_ns, m, src);
        if (n->desc->rewrites && !was_sent_to(n, m, src))
            *src = endpoint_private(src->family, 1, 1, src->port);
        *dst = m->inner;
        return true;
    }
    return false;
}

static bool rfc4787_inbound(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst)
{
    if (!n->desc->refused_takes_port)
        return finds_its_mapping(n, now_ns, src, dst);
    endpoint from = *src, to = *dst;
    if (find_connection(n, now_ns, &from, &to, false) == NULL && finds_its_mapping(n, now_ns, src, dst))
        return true;
    remember_refused(n, now_ns, &from, &to);
    return false;
}

/* ---- netfilter ---- */

static nat_connection *find_connection(nat_box *n, uint64_t now_ns, const endpoint *from, const endpoint *to,
                                       bool reply)
{
    for (unsigned i = 0; i < n->connections; i++) {
        nat_connection *c = &n->connection[i];
        const endpoint *f = reply ? &c->reply_from : &c->from;
        const endpoint *t = reply ? &c->reply_to : &c->to;
        if (now_ns < c->expires_ns && endpoint_equal(f, from) && endpoint_equal(t, to))
            return c;
    }
    return NULL;
}

static bool tuple_is_taken(nat_box *n, uint64_t now_ns, const endpoint *from, const endpoint *to)
{
    return find_connection(n, now_ns, from, to, false) != NULL || find_connection(n, now_ns, from, to, true) != NULL;
}

static nat_connection *add_connection(nat_box *n, uint64_t now_ns, const endpoint *from, const endpoint *to)
{
    if (n->connections == NAT_CONNECTIONS) {
        n->overflow = true;
        return NULL;
    }
    nat_connection *c = &n->connection[n->connections++];
    *c = (nat_connection){.from = *from, .to = *to, .expires_ns = now_ns + CONNTRACK_NEW_NS};
    return c;
}

static endpoint masquerade(nat_box *n, uint64_t now_ns, const endpoint *src, const endpoint *dst)
{
    endpoint outer = current_external(n, 0);
    outer.port = n->desc->fully_random ? random_port(n) : src->port;
    while (tuple_is_taken(n, now_ns, dst, &outer))
        outer.port = random_port(n);
    return outer;
}

static bool linux_outbound(nat_box *n, uint64_t now_ns, endpoint *src, const endpoint *dst)
{
    nat_connection *c = find_connection(n, now_ns, src, dst, false);
    if (c == NULL) {
        endpoint outer = masquerade(n, now_ns, src, dst);
        c = add_connection(n, now_ns, src, dst);
        if (c == NULL)
            return false;
        c->reply_from = *dst;
        c->reply_to = outer;
    }
    c->expires_ns = now_ns + (c->answered ? CONNTRACK_ANSWERED_NS : CONNTRACK_NEW_NS);
    *src = c->reply_to;
    return true;
}

static void remember_refused(nat_box *n, uint64_t now_ns, const endpoint *src, const endpoint *dst)
{
    nat_connection *c = find_connection(n, now_ns, src, dst, false);
    if (c == NULL)
        c = add_connection(n, now_ns, src, dst);
    if (c == NULL)
        return;
    c->is_local = true;
    c->reply_from = *dst;
    c->reply_to = *src;
    c->expires_ns = now_ns + CONNTRACK_NEW_NS;
}

static void unsolicited(nat_box *n, uint64_t now_ns, const endpoint *src, const endpoint *dst)
{
    endpoint own = current_external(n, 0);
    if (!n->desc->input_firewall && endpoint_same_ip(&own, dst))
        remember_refused(n, now_ns, src, dst);
}

static bool linux_inbound(nat_box *n, uint64_t now_ns, const endpoint *src, endpoint *dst)
{
    nat_connection *c = find_connection(n, now_ns, src, dst, true);
    if (c == NULL || c->is_local) {
        unsolicited(n, now_ns, src, dst);
        return false;
    }
    c->answered = true;
    c->expires_ns = now_ns + CONNTRACK_ANSWERED_NS;
    *dst = c->from;
    return true;
}

/* ---- Senders that are shut out ---- */

static nat_ban *ban_of(nat_box *n, const endpoint *sender)
{
    for (unsigned i = 0; i < n->bans; i++) {
        if (endpoint_same_ip(&n->ban[i].sender, sender))
            return &n->ban[i];
    }
    if (n->bans == NAT_BANS) {
        n->overflow = true;
        return NULL;
    }
    n->ban[n->bans] = (nat_ban){.sender = *sender};
    return &n->ban[n->bans++];
}

static bool is_banned(nat_box *n, uint64_t now_ns, const endpoint *sender)
{
    if (n->desc->ban_after == 0)
        return false;
    const nat_ban *b = ban_of(n, sender);
    return b != NULL && now_ns < b->until_ns;
}

static void note_unsolicited(nat_box *n, uint64_t now_ns, const endpoint *sender)
{
    nat_ban *b = n->desc->ban_after == 0 ? NULL : ban_of(n, sender);
    if (b != NULL && ++b->count >= n->desc->ban_after)
        b->until_ns = now_ns + n->desc->ban_ns;
}

/* ---- The box ---- */

bool nat_outbound(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst)
{
    catch_up(n, now_ns);
    if (n->desc->only_port != 0 && dst->port != n->desc->only_port)
        return false;
    if (n->desc->prefix.family != 0)
        *dst = endpoint_embedded(dst);
    switch (n->desc->kind) {
    case BOX_FIREWALL:
    case BOX_NAT:
        return rfc4787_outbound(n, now_ns, src, dst);
    case BOX_LINUX:
        return linux_outbound(n, now_ns, src, dst);
    case BOX_BLOCKED:
        return !n->desc->block_out;
    default:
        return true;
    }
}

static bool lets_in(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst)
{
    switch (n->desc->kind) {
    case BOX_FIREWALL:
    case BOX_NAT:
        return rfc4787_inbound(n, now_ns, src, dst);
    case BOX_LINUX:
        return linux_inbound(n, now_ns, src, dst);
    case BOX_BLOCKED:
        return !n->desc->block_in;
    default:
        return true;
    }
}

bool nat_inbound(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst)
{
    catch_up(n, now_ns);
    if (is_banned(n, now_ns, src))
        return false;
    if (!lets_in(n, now_ns, src, dst)) {
        note_unsolicited(n, now_ns, src);
        return false;
    }
    if (n->desc->prefix.family != 0)
        *src = endpoint_synthesized(&n->desc->prefix, src);
    return true;
}

bool nat_owns(nat_box *n, uint64_t now_ns, const endpoint *address)
{
    if (n->desc->kind != BOX_NAT && n->desc->kind != BOX_LINUX)
        return false;
    catch_up(n, now_ns);
    for (unsigned i = 0; i < WORLD_POOL; i++) {
        endpoint own = current_external(n, i);
        if (own.family != 0 && endpoint_same_ip(&own, address))
            return true;
    }
    return false;
}

/* It goes out and comes in again, by the same rules as any other. */
bool nat_hairpin(nat_box *n, uint64_t now_ns, endpoint *src, endpoint *dst)
{
    endpoint inner = *src;
    if (n->desc->hairpin == HAIRPIN_NONE || !nat_outbound(n, now_ns, src, dst) || !nat_inbound(n, now_ns, src, dst))
        return false;
    if (n->desc->hairpin == HAIRPIN_INNER)
        *src = inner;
    return true;
}
