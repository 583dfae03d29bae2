/* SPDX-License-Identifier: MIT */
#include "narrows.h"

#define HEADERS_V4 28 /* of IP and UDP */
#define HEADERS_V6 48

/* ---- Moments in which nothing passes ---- */

static bool is_in_gap(const world *w, const narrows_entry *e)
{
    uint64_t age_ns = e->now_ns - w->start_ns;
    for (unsigned i = 0; i < w->link.gaps; i++) {
        const link_gap *g = &w->link.gap[i];
        bool here = g->inside ? e->inside : e->outside;
        if (here && g->hits[e->direction] && age_ns >= g->at_ns && age_ns - g->at_ns < g->for_ns)
            return true;
    }
    return false;
}

/* ---- Limits: token buckets, as times at which a steady stream would be due ---- */

static narrows_client *client_of(narrows *n, const rate_limit *l, const narrows_entry *e)
{
    endpoint key = l->by_port ? *e->client : endpoint_with_port(e->client, 0);
    unsigned server = l->place == LIMIT_SERVERS ? e->server : 0;
    unsigned known = n->clients < NARROWS_CLIENTS ? n->clients : NARROWS_CLIENTS;
    for (unsigned i = 0; i < known; i++) {
        narrows_client *c = &n->client[i];
        if (c->server == server && c->direction == e->direction && endpoint_equal(&c->client, &key))
            return c;
    }
    narrows_client *c = &n->client[n->clients++ % NARROWS_CLIENTS];
    *c = (narrows_client){.client = key, .server = server, .direction = e->direction};
    return c;
}

static bool is_within_limit(narrows *n, const world *w, const narrows_entry *e, uint64_t *delay_ns)
{
    const rate_limit *l = &w->link.limit;
    bool here = l->place == LIMIT_INSIDE ? e->inside : e->outside;
    if (l->place == LIMIT_NOWHERE || !here || !l->hits[e->direction])
        return true;
    narrows_client *c = client_of(n, l, e);
    uint64_t step_ns = SECOND / l->per_second;
    uint64_t due_ns = c->due_ns > e->now_ns ? c->due_ns : e->now_ns;
    uint64_t ahead_ns = due_ns - e->now_ns;
    uint64_t at_once_ns = (l->burst - 1) * step_ns;
    uint64_t wait_ns = ahead_ns > at_once_ns ? ahead_ns - at_once_ns : 0;
    if (wait_ns > l->queue * step_ns)
        return false;
    c->due_ns = due_ns + step_ns;
    *delay_ns += wait_ns;
    return true;
}

/* ---- Slow links ---- */

/* How many wait, or are being sent. */
static unsigned waiting(narrows_queue *q, uint64_t now_ns)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < q->leaving; i++) {
        if (q->leaves_ns[i] > now_ns)
            q->leaves_ns[kept++] = q->leaves_ns[i];
    }
    q->leaving = kept;
    return kept;
}

static bool is_queued(narrows *n, const world *w, const narrows_entry *e, uint64_t *delay_ns)
{
    const slow_link *s = &w->link.slow[e->direction];
    narrows_queue *q = &n->queue[e->direction];
    if (s->bits_per_s == 0 || !(s->inside ? e->inside : e->outside))
        return true;
    uint64_t bits = 8 * (e->size + (w->family == 4 ? HEADERS_V4 : HEADERS_V6));
    uint64_t free_ns = q->free_ns > e->now_ns ? q->free_ns : e->now_ns;
    if (s->queue_packets != 0 && waiting(q, e->now_ns) > s->queue_packets) /* one is being sent */
        return false;
    if (s->queue_ns != 0 && free_ns - e->now_ns > s->queue_ns)
        return false;
    q->free_ns = free_ns + bits * SECOND / s->bits_per_s;
    if (s->queue_packets != 0)
        q->leaves_ns[q->leaving++] = q->free_ns;
    *delay_ns += q->free_ns - e->now_ns;
    return true;
}

bool narrows_admit(narrows *n, const world *w, const narrows_entry *e, uint64_t *delay_ns)
{
    *delay_ns = 0;
    return !is_in_gap(w, e) && is_within_limit(n, w, e, delay_ns) && is_queued(n, w, e, delay_ns);
}
