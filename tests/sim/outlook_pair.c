/* SPDX-License-Identifier: MIT */
#include "outlook_pair.h"

#include <stdlib.h>
#include <string.h>

#define ONE_WAY_NS (25 * MS)
#define RENDEZVOUS_NS (40 * MS)
#define LATEST_NS (4 * SECOND)
#define EVENTS_MAX 64
#define LUCKS 6 /* of three addresses one is drawn each time: that all of six runs draw the same is rare, and seen */

typedef enum kind { ARRIVES, OPENED } kind;

typedef struct arrival {
    uint64_t time_ns;
    kind kind;
    unsigned to_side;
    bool is_inside; /* has been sent back by a NAT that both share */
    endpoint src, dst;
    bool has_heard;
} arrival;

typedef struct run {
    const pair *pair;
    nat_box *box[2][WORLD_BOXES];
    peer peer[2];
    arrival event[EVENTS_MAX]; /* in order of time */
    unsigned events;
    uint64_t now_ns, start_ns;
    FILE *trace;
} run;

/* Copies are large; they are made in the same place each time. */
static nat_box *room[2][WORLD_BOXES];

static nat_box *copy_of(unsigned side, unsigned i, const nat_box *box, unsigned luck)
{
    if (room[side][i] == NULL)
        room[side][i] = malloc(sizeof *room[side][i]);
    if (room[side][i] == NULL)
        abort();
    nat_box_copy(room[side][i], box);
    if (luck != 0)
        rng_seed(&room[side][i]->random, luck, 500 + 10 * side + i);
    return room[side][i];
}

void pair_free_room(void)
{
    for (unsigned side = 0; side < 2; side++) {
        for (unsigned i = 0; i < WORLD_BOXES; i++) {
            free(room[side][i]);
            room[side][i] = NULL;
        }
    }
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

static void schedule(run *r, const arrival *e)
{
    if (r->events == EVENTS_MAX)
        abort(); /* a mistake of the test's */
    unsigned i = r->events++;
    for (; i > 0 && r->event[i - 1].time_ns > e->time_ns; i--)
        r->event[i] = r->event[i - 1];
    r->event[i] = *e;
}

static arrival take_event(run *r)
{
    arrival first = r->event[0];
    memmove(&r->event[0], &r->event[1], --r->events * sizeof r->event[0]);
    return first;
}

static void trace(const run *r, unsigned side, const char *what, const endpoint *src, const endpoint *dst)
{
    char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT];
    if (r->trace == NULL)
        return;
    endpoint_text(src, from);
    endpoint_text(dst, to);
    fprintf(r->trace, "%9.1f ms  side %u %s: %s > %s\n", (double)(r->now_ns - r->start_ns) / 1e6, side, what, from, to);
}

/* ---- The way ---------------------------------------------------------------------------------------------------- */

static bool is_outside_address(const host *h, const endpoint *e)
{
    bool has_nat = false;
    for (unsigned i = h->boxes; !has_nat && i-- > 0;) {
        has_nat = box_translates(&h->world.box[i]);
        for (unsigned k = 0; has_nat && k < WORLD_POOL; k++) {
            if (endpoint_same_ip(&h->world.box[i].external[k], e))
                return true;
        }
    }
    return !has_nat && endpoint_same_ip(&h->world.host.local, e);
}

static void send_off(run *r, unsigned side, const peer_datagram *d)
{
    const host *h = r->pair->side[side];
    endpoint src = h->world.host.local, dst = d->to;
    if (dst.family != src.family)
        return;
    trace(r, side, d->dies ? "sends with a low TTL" : "sends", &src, &dst);
    for (unsigned i = 0; i < h->boxes; i++) {
        if (!nat_outbound(r->box[side][i], r->now_ns, &src, &dst))
            return;
    }
    if (d->dies)
        return;
    bool turns_back = r->pair->is_shared && is_outside_address(h, &dst);
    if (turns_back && !r->pair->hairpins)
        return;
    uint64_t delay_ns = turns_back ? MS : ONE_WAY_NS;
    schedule(r, &(arrival){.time_ns = r->now_ns + delay_ns,
                           .kind = ARRIVES,
                           .to_side = !side,
                           .src = src,
                           .dst = dst,
                           .has_heard = d->has_heard});
}

static void arrive(run *r, const arrival *e)
{
    unsigned side = e->to_side;
    const host *h = r->pair->side[side];
    endpoint src = e->src, dst = e->dst;
    if (!is_outside_address(h, &dst))
        return;
    for (unsigned i = h->boxes; i-- > 0;) {
        if (!nat_inbound(r->box[side][i], r->now_ns, &src, &dst)) {
            trace(r, side, "is spared", &e->src, &e->dst);
            return;
        }
    }
    if (!endpoint_equal(&dst, &h->world.host.local))
        return;
    peer_datagram answer;
    trace(r, side, "receives", &src, &dst);
    if (peer_receive(&r->peer[side], &src, e->has_heard, &answer))
        send_off(r, side, &answer);
}

/* ---- A run ------------------------------------------------------------------------------------------------------ */

static void send_due(run *r)
{
    for (unsigned side = 0; side < 2; side++) {
        peer_datagram d;
        bool is_opening = r->peer[side].plan.opens && r->peer[side].sent == 0;
        if (peer_send(&r->peer[side], r->now_ns, &d))
            send_off(r, side, &d);
        if (is_opening)
            schedule(r, &(arrival){.time_ns = r->now_ns + RENDEZVOUS_NS, .kind = OPENED, .to_side = !side});
    }
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool step(run *r)
{
    send_due(r);
    uint64_t next = earliest(r->peer[0].next_ns, r->peer[1].next_ns);
    next = earliest(next, r->events != 0 ? r->event[0].time_ns : NEVER);
    if (next == NEVER || next > r->start_ns + LATEST_NS)
        return false;
    r->now_ns = next;
    while (r->events != 0 && r->event[0].time_ns <= r->now_ns) {
        arrival e = take_event(r);
        if (e.kind == OPENED)
            peer_hear_of_opening(&r->peer[e.to_side], r->now_ns);
        else
            arrive(r, &e);
    }
    return true;
}

/* From where a side's next datagram to an address will come. */
static endpoint foresee(const run *r, unsigned side, const endpoint *to)
{
    static nat_box later;
    const host *h = r->pair->side[side];
    endpoint src = h->world.host.local, dst = *to;
    for (unsigned i = 0; i < h->boxes; i++) {
        nat_box_copy(&later, r->box[side][i]);
        nat_outbound(&later, r->now_ns, &src, &dst);
    }
    return src;
}

static peer_plan plan_of(const run *r, const attempt *a, unsigned side)
{
    peer_plan plan = a->plan[side];
    if (a->foresees[side] && plan.told.family != 0 && a->plan[!side].told.family != 0)
        plan.told.port = foresee(r, !side, &a->plan[!side].told).port;
    return plan;
}

static void begin_run(run *r, const pair *p, unsigned luck)
{
    *r = (run){.pair = p};
    for (unsigned side = 0; side < 2; side++) {
        const host *h = p->side[side];
        for (unsigned i = 0; i < h->boxes; i++)
            r->box[side][i] = p->is_shared ? copy_of(1, i, p->side[1]->box[i], luck)
                                           : copy_of(side, i, h->box[i], luck);
    }
    r->start_ns = SECOND + (p->side[0]->end_ns > p->side[1]->end_ns ? p->side[0]->end_ns : p->side[1]->end_ns);
    r->now_ns = r->start_ns;
}

bool pair_comes_as_told(const pair *p, unsigned side)
{
    run r;
    endpoint own = host_external(&p->side[side]->profile), to = host_external(&p->side[!side]->profile);
    begin_run(&r, p, 0);
    return foresee(&r, side, &to).port == own.port;
}

bool pair_run(const pair *p, const attempt *a, unsigned luck, FILE *out)
{
    run r;
    begin_run(&r, p, luck);
    r.trace = out;
    for (unsigned side = 0; side < 2; side++) {
        peer_plan plan = plan_of(&r, a, side);
        peer_begin(&r.peer[side], &plan, r.now_ns);
    }
    while (!(r.peer[0].is_confirmed && r.peer[1].is_confirmed) && step(&r)) {
    }
    return r.peer[0].is_confirmed && r.peer[1].is_confirmed;
}

bool pair_connects(const pair *p, const attempt *a)
{
    unsigned lucks = host_has_luck(p->side[0]) || host_has_luck(p->side[1]) ? LUCKS : 1;
    for (unsigned luck = 0; luck < lucks; luck++) {
        if (!pair_run(p, a, luck, NULL))
            return false;
    }
    return true;
}
