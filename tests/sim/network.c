/* SPDX-License-Identifier: MIT */
/* Links that delay, lose, duplicate and reorder; the way through the boxes; the servers at its end. */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Events and packets ---- */

/* Without a branch: which of two is earlier is anybody's guess, also the processor's. */
static bool earlier(const event *a, const event *b)
{
    return (a->time_ns < b->time_ns) | ((a->time_ns == b->time_ns) & (a->order < b->order));
}

static void *grow(void *array, size_t count, size_t size)
{
    void *bigger = realloc(array, count * size);
    if (bigger == NULL) {
        fprintf(stderr, "sim: out of memory\n");
        exit(3);
    }
    return bigger;
}

static void push_event(network *n, uint64_t time_ns, uint32_t packet_index)
{
    if (n->event_count == n->event_room) {
        n->event_room = n->event_room == 0 ? 256 : n->event_room * 2;
        n->events = grow(n->events, n->event_room, sizeof *n->events);
    }
    size_t i = n->event_count++;
    event e = {.time_ns = time_ns, .order = n->order++, .packet = packet_index};
    while (i > 0 && earlier(&e, &n->events[(i - 1) / 2])) {
        n->events[i] = n->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    n->events[i] = e;
}

static event pop_event(network *n)
{
    event top = n->events[0];
    event last = n->events[--n->event_count];
    size_t i = 0;
    for (size_t child = 1; child < n->event_count; child = 2 * i + 1) {
        if (child + 1 < n->event_count)
            child += earlier(&n->events[child + 1], &n->events[child]);
        if (!earlier(&n->events[child], &last))
            break;
        n->events[i] = n->events[child];
        i = child;
    }
    n->events[i] = last;
    return top;
}

/* A packet is mostly room that its data does not fill. */
static void copy_packet(packet *to, const packet *from)
{
    memcpy(to, from, offsetof(packet, data) + from->size);
}

/* All but its data. */
static void clear_packet(packet *p)
{
    memset(p, 0, offsetof(packet, data));
}

static uint32_t new_packet(network *n, size_t size)
{
    if (size > NETWORK_DATAGRAM)
        abort(); /* a mistake of the test's */
    if (n->free_packet == NO_PACKET) {
        uint32_t room = n->packet_room == 0 ? 128 : n->packet_room * 2;
        n->packets = grow(n->packets, room, sizeof *n->packets);
        for (uint32_t i = n->packet_room; i < room; i++)
            n->packets[i].next = i + 1 < room ? i + 1 : NO_PACKET;
        n->free_packet = n->packet_room;
        n->packet_room = room;
    }
    uint32_t p = n->free_packet;
    n->free_packet = n->packets[p].next;
    return p;
}

static void free_packet(network *n, uint32_t p)
{
    n->packets[p].next = n->free_packet;
    n->free_packet = p;
}

/* ---- Tracing ---- */

double network_trace_ms(const network *n, uint64_t now_ns)
{
    return (double)(now_ns - n->world->start_ns) / 1e6;
}

static void trace(const network *n, const packet *p, const char *what, int number)
{
    if (n->trace == NULL || p->is_flood)
        return;
    char src[ENDPOINT_TEXT];
    char dst[ENDPOINT_TEXT];
    endpoint_text(&p->src, src);
    endpoint_text(&p->dst, dst);
    fprintf(n->trace, "%12.3f ms  %*s%s %d: %s > %s (id ..%02x%02x)\n", network_trace_ms(n, n->now_ns),
            p->inbound ? 8 : 4, "", what, number, src, dst, p->size >= 20 ? p->data[18] : 0u,
            p->size >= 20 ? p->data[19] : 0u);
}

/* ---- Links ---- */

static uint64_t exponential(rng *r, double mean)
{
    return (uint64_t)(-mean * log(1.0 - rng_unit(r))) + 1;
}

static uint64_t time_in_state(const network *n, link_state *l)
{
    double burst = (double)n->world->link.burst_ns;
    return exponential(&l->random, l->bad ? burst : burst * (1 - l->loss) / l->loss);
}

static void init_link(network *n, unsigned hop, int direction)
{
    const link_desc *d = &n->world->link;
    link_state *l = &n->link[hop][direction];
    bool inside = hop == 0;
    bool outside = hop == n->boxes;
    double p = d->loss[direction];
    rng_seed(&l->random, n->world->seed, 200 + hop * 2 + (unsigned)direction);
    if (d->place == LOSS_BOTH)
        p = 1 - sqrt(1 - p);
    bool lossy = (inside && d->place != LOSS_OUTSIDE) || (outside && d->place != LOSS_INSIDE);
    l->loss = lossy ? p : 0;
    l->bad = rng_chance(&l->random, l->loss);
    l->until_ns = l->loss > 0 ? n->now_ns + time_in_state(n, l) : NEVER;
}

static bool bad_time(const network *n, link_state *l)
{
    while (l->until_ns <= n->now_ns) {
        l->bad = !l->bad;
        l->until_ns += time_in_state(n, l);
    }
    return l->bad;
}

static bool bad_packet(const network *n, link_state *l)
{
    double leave = 1 / n->world->link.burst_packets;
    double enter = l->loss * leave / (1 - l->loss);
    l->bad = l->bad ? !rng_chance(&l->random, leave) : rng_chance(&l->random, enter);
    return l->bad;
}

static bool is_outside(const network *n, const packet *p)
{
    return p->hop == (p->way == 0 ? n->boxes : 1);
}

static bool is_lost(const network *n, link_state *l, const packet *p)
{
    if (is_outside(n, p) && n->now_ns - n->world->start_ns < n->world->link.silent_ns)
        return true;
    if (l->loss <= 0)
        return false;
    switch (n->world->link.kind) {
    case LOSS_BURST_TIME:
        return bad_time(n, l);
    case LOSS_BURST_PACKET:
        return !p->is_flood && bad_packet(n, l);
    default:
        return hash_unit(p->key, 10u + p->hop * 2u + p->inbound) < l->loss;
    }
}

/* Which way outside a datagram takes: 2 * server for a first address, one more for a second, the last for strangers. */
static unsigned path_of(const network *n, const packet *p)
{
    const endpoint *remote = p->inbound ? &p->src : &p->dst;
    for (unsigned i = 0; i < n->world->servers; i++) {
        const server_desc *d = &n->world->server[i];
        if (endpoint_same_ip(&d->a, remote))
            return 2 * i;
        if (endpoint_same_ip(&d->b, remote))
            return 2 * i + 1;
    }
    return NETWORK_PATHS - 1;
}

/* The part of one-way delays that is due to which server it is. */
static uint64_t server_delay(const network *n, const packet *p)
{
    unsigned path = path_of(n, p);
    if (path == NETWORK_PATHS - 1)
        return 0;
    const server_desc *d = &n->world->server[path / 2];
    return d->extra_rtt_ns / 2 + (path % 2 == 1 ? d->extra_b_ns : 0);
}

static uint64_t link_delay(const network *n, const packet *p)
{
    const link_desc *d = &n->world->link;
    bool inside = p->hop == 0;
    bool outside = is_outside(n, p);
    if (!inside && !outside)
        return MS / 20;
    double share = inside ? d->inside_share : 1 - d->inside_share;
    double one_way = share * (double)d->rtt_ns / 2;
    double jitter = hash_unit(p->key, 20u + p->hop * 2u + p->inbound) * d->jitter * one_way;
    double late = 0;
    if (outside && hash_unit(p->key, 30u + p->inbound) < d->late)
        late = hash_unit(p->key, 32u + p->inbound) * (double)d->late_ns;
    return (uint64_t)(one_way + jitter + late) + (outside ? server_delay(n, p) : 0);
}

/* Narrow places are at both ends of the way, not between boxes. */
static bool is_admitted(network *n, const packet *p, uint64_t *delay_ns)
{
    *delay_ns = 0;
    if (!world_is_narrow(n->world))
        return true;
    narrows_entry e = {.now_ns = n->now_ns,
                       .direction = p->inbound ? DOWN : UP,
                       .inside = p->hop == 0,
                       .outside = is_outside(n, p),
                       .server = path_of(n, p) / 2,
                       .client = p->inbound ? &p->dst : &p->src,
                       .size = p->size};
    return narrows_admit(&n->narrows, n->world, &e, delay_ns);
}

static void onto_link(network *n, uint32_t index)
{
    packet *p = &n->packets[index];
    link_state *l = &n->link[is_outside(n, p) ? n->boxes : p->hop][p->inbound];
    uint64_t delay_ns;
    if (is_lost(n, l, p) || !is_admitted(n, p, &delay_ns)) {
        trace(n, p, "lost on link", p->hop);
        n->lost_any = true;
        free_packet(n, index);
        return;
    }
    uint64_t arrival = n->now_ns + delay_ns + link_delay(n, p);
    uint64_t *last_ns = &l->last_arrival_ns[p->hop == 0 ? 0 : path_of(n, p)];
    if (n->world->link.fifo && arrival <= *last_ns)
        arrival = *last_ns + 1;
    *last_ns = arrival;
    push_event(n, arrival, index);
}

static void enter_link(network *n, uint32_t index)
{
    bool ends = n->packets[index].hop == 0 || is_outside(n, &n->packets[index]);
    uint64_t key = n->packets[index].key;
    unsigned where = 40u + n->packets[index].hop * 2u + n->packets[index].inbound;
    if (ends && hash_unit(key, where) < n->world->link.duplicate / 2) {
        uint32_t twin = new_packet(n, n->packets[index].size);
        copy_packet(&n->packets[twin], &n->packets[index]);
        n->packets[twin].key = hash_mix(key, 50);
        onto_link(n, twin);
    }
    onto_link(n, index);
}

/* ---- Ways ---- */

static const server_desc *server_at(const network *n, const endpoint *ip)
{
    for (unsigned i = 0; i < n->world->servers; i++) {
        const server_desc *d = &n->world->server[i];
        if (endpoint_same_ip(&d->a, ip) || endpoint_same_ip(&d->b, ip))
            return d;
    }
    return NULL;
}

/* The way that a datagram of the host takes. */
static uint8_t way_out(const network *n, const endpoint *src, const endpoint *dst)
{
    const world *w = n->world;
    bool fresh = src->port != w->host.local.port;
    const server_desc *d = NULL;
    switch (w->route) {
    case ROUTE_FRESH:
        return fresh;
    case ROUTE_SPREAD:
        return fresh && hash_mix(w->seed, src->port) % 2 == 0;
    case ROUTE_BY_SERVER:
        d = server_at(n, dst);
        return d != NULL && d->second_way[server_is_second(d, dst)];
    case ROUTE_BY_PORT:
        return dst->port != WORLD_STUN_PORT;
    default:
        return 0;
    }
}

static bool translates_first(const world *w)
{
    for (unsigned i = 0; i < w->boxes; i++) {
        if (box_translates(&w->box[i]))
            return true;
    }
    return false;
}

/* The way that leads back to an outside address. */
static uint8_t way_back(const network *n, const endpoint *from, const endpoint *to)
{
    const world *w = n->world;
    if (w->route == ROUTE_ONE)
        return 0;
    if (box_translates(&w->second))
        return endpoint_same_ip(to, &w->second.external[0]);
    if (w->second_local.family != 0)
        return endpoint_same_ip(to, &w->second_local);
    return translates_first(w) ? endpoint_same_ip(to, &w->host.local) : way_out(n, to, from);
}

endpoint network_source(const network *n, const endpoint *src, const endpoint *dst)
{
    endpoint e = *src;
    if (n->world->second_local.family != 0 && way_out(n, src, dst) == 1)
        e = endpoint_with_port(&n->world->second_local, src->port);
    return e;
}

/* Datagrams from and to such servers are not translated. */
static bool is_exempt(const network *n, const endpoint *remote)
{
    const server_desc *d = server_at(n, remote);
    return d != NULL && d->exempt;
}

/* Strict reverse path filtering: the answer to it would leave another way. */
static bool is_out_of_place(const network *n, const packet *p)
{
    return n->world->strict_reverse && way_out(n, &p->dst, &p->src) != p->way;
}

/* ---- Boxes, servers and the host ---- */

static void note_external(network *n, const packet *p)
{
    for (unsigned i = 0; i < n->externals; i++) {
        if (endpoint_equal(&n->external[i], &p->src))
            return;
    }
    if (n->externals < NETWORK_EXTERNALS)
        n->external[n->externals++] = p->src;
}

static network_sighting *find_sighting(network *n, const endpoint *inner, const endpoint *outer)
{
    for (unsigned i = 0; i < n->sightings; i++) {
        if (endpoint_equal(&n->sighting[i].inner, inner) && endpoint_equal(&n->sighting[i].outer, outer))
            return &n->sighting[i];
    }
    return NULL;
}

static void note_sighting(network *n, const packet *p)
{
    network_sighting *known = find_sighting(n, &p->inner, &p->src);
    if (known != NULL)
        known->number = p->number < known->number ? p->number : known->number;
    else if (n->sightings < NETWORK_SIGHTINGS)
        n->sighting[n->sightings++] = (network_sighting){.inner = p->inner, .outer = p->src, .number = p->number};
}

void network_note_heard(network *n, const packet *p)
{
    network_sighting *known = find_sighting(n, &p->dst, &p->outer);
    if (known != NULL)
        known->is_heard = true;
}

typedef struct answering {
    network *net;
    endpoint to;
    const server_desc *desc;
    uint64_t key;
    unsigned index;
    uint8_t way, hop; /* where the answers set out */
} answering;

static void schedule_answer(void *user, const server_answer *answer)
{
    answering *a = user;
    network *n = a->net;
    uint64_t key = hash_mix(a->key, (answer->is_flood ? 100000u : 1000u) + a->index++);
    uint32_t index = new_packet(n, answer->message.size);
    packet *p = &n->packets[index];
    clear_packet(p);
    p->src = answer->from;
    p->dst = a->to;
    p->outer = a->to;
    p->key = key;
    p->inbound = true;
    p->hop = a->hop;
    p->way = a->way;
    p->is_flood = answer->is_flood;
    p->size = answer->message.size;
    memcpy(p->data, answer->message.bytes, p->size);
    if (server_is_second(a->desc, &answer->from) && hash_unit(key, 60) < a->desc->loss_b) {
        trace(n, p, "lost behind the second address of server", 0);
        free_packet(n, index);
        return;
    }
    trace(n, p, "server answers, boxes to go", p->hop);
    if (answer->delay_ns == 0) {
        enter_link(n, index);
        return;
    }
    p->waiting = true;
    push_event(n, n->now_ns + answer->delay_ns, index);
}

static void at_server(network *n, const packet *p)
{
    for (unsigned i = 0; i < n->world->servers; i++) {
        if (!server_owns(&n->world->server[i], &p->dst))
            continue;
        trace(n, p, "reaches server", (int)i);
        uint8_t way = way_back(n, &p->dst, &p->src);
        answering a = {.net = n,
                       .to = p->src,
                       .desc = &n->world->server[i],
                       .key = p->key,
                       .way = way,
                       .hop = way == 0 ? (uint8_t)n->boxes : 1};
        server_receive(&n->server[i], n->now_ns, &p->src, &p->dst, &n->world->host.local, p->data, p->size,
                       schedule_answer, &a);
        return;
    }
    trace(n, p, "reaches nobody", 0);
}

/* Answers in the name of whatever server it was sent to. */
static bool is_intercepted(network *n, const packet *p)
{
    const world *w = n->world;
    if (!w->intercepts || p->way != 0 || p->hop != w->intercept_hop || p->dst.port != WORLD_STUN_PORT)
        return false;
    trace(n, p, "intercepted before box", p->hop);
    answering a = {.net = n, .to = p->src, .desc = &w->interceptor, .key = p->key, .hop = p->hop};
    server_receive(&n->interceptor, n->now_ns, &p->src, &p->dst, &w->host.local, p->data, p->size, schedule_answer, &a);
    return true;
}

static void to_inbox(network *n, uint32_t index)
{
    n->packets[index].arrived_ns = n->now_ns;
    n->packets[index].next = NO_PACKET;
    if (n->inbox_last == NO_PACKET)
        n->inbox_first = index;
    else
        n->packets[n->inbox_last].next = index;
    n->inbox_last = index;
}

static nat_box *box_of(network *n, const packet *p)
{
    return p->way == 0 ? &n->box[p->hop] : &n->second;
}

/* What is for the box itself goes no further, and may turn round. */
static void turn_round(network *n, uint32_t index)
{
    packet *p = &n->packets[index];
    if (!nat_hairpin(box_of(n, p), n->now_ns, &p->src, &p->dst)) {
        trace(n, p, "not turned round by box", p->hop);
        free_packet(n, index);
        return;
    }
    p->inbound = true;
    p->outer = p->dst;
    trace(n, p, "turned round by box", p->hop);
    enter_link(n, index);
}

static void arrive_outbound(network *n, uint32_t index)
{
    packet *p = &n->packets[index];
    packet copy; /* answering may move the packets */
    copy_packet(&copy, p);
    if (is_outside(n, p)) {
        free_packet(n, index);
        at_server(n, &copy);
        return;
    }
    if (is_intercepted(n, &copy)) {
        free_packet(n, index);
        return;
    }
    nat_box *box = box_of(n, p);
    if (nat_owns(box, n->now_ns, &p->dst)) {
        turn_round(n, index);
        return;
    }
    bool exempt = box_translates(box->desc) && is_exempt(n, &p->dst);
    if (!exempt && !nat_outbound(box, n->now_ns, &p->src, &p->dst)) {
        trace(n, p, "dropped outwards by box", p->hop);
        free_packet(n, index);
        return;
    }
    p->hop++;
    if (p->from_source && is_outside(n, p) && !(exempt && endpoint_is_special(&p->src)))
        note_external(n, p);
    if (is_outside(n, p))
        note_sighting(n, p);
    enter_link(n, index);
}

static void arrive_inbound(network *n, uint32_t index)
{
    packet *p = &n->packets[index];
    if (p->waiting) {
        p->waiting = false;
        enter_link(n, index);
        return;
    }
    if (p->hop == 0 && is_out_of_place(n, p)) {
        trace(n, p, "dropped by the host: strict reverse path", 0);
        free_packet(n, index);
        return;
    }
    if (p->hop == 0) {
        to_inbox(n, index);
        return;
    }
    p->hop--;
    nat_box *box = box_of(n, p);
    bool exempt = box_translates(box->desc) && is_exempt(n, &p->src) &&
                  endpoint_same_ip(&p->dst, &n->world->host.local);
    if (!exempt && !nat_inbound(box, n->now_ns, &p->src, &p->dst)) {
        trace(n, p, "dropped inwards by box", p->hop);
        free_packet(n, index);
        return;
    }
    enter_link(n, index);
}

/* ---- The network ---- */

static void init_boxes(network *n)
{
    static const box_desc wire = {.kind = BOX_PASS};
    n->boxes = n->world->boxes == 0 ? 1 : n->world->boxes;
    for (unsigned i = 0; i < n->boxes; i++)
        nat_init(&n->box[i], n->world->boxes == 0 ? &wire : &n->world->box[i], n->world->seed + i, n->world->start_ns);
    nat_init(&n->second, &n->world->second, n->world->seed + WORLD_BOXES, n->world->start_ns);
}

bool network_init(network *n, const world *w, FILE *out)
{
    memset(n, 0, sizeof *n);
    n->world = w;
    n->trace = out;
    n->now_ns = w->start_ns;
    n->free_packet = NO_PACKET;
    n->inbox_first = NO_PACKET;
    n->inbox_last = NO_PACKET;
    init_boxes(n);
    for (unsigned i = 0; i < w->servers; i++)
        server_init(&n->server[i], &w->server[i], w->start_ns);
    server_init(&n->interceptor, &w->interceptor, w->start_ns);
    for (unsigned hop = 0; hop <= n->boxes; hop++) {
        init_link(n, hop, UP);
        init_link(n, hop, DOWN);
    }
    return true;
}

void network_free(network *n)
{
    free(n->packets);
    free(n->events);
}

void network_begin_run(network *n)
{
    n->externals = 0;
    n->sightings = 0;
    n->lost_any = false;
}

void network_send(network *n, uint64_t now_ns, const endpoint *src, const endpoint *dst, bool from_source,
                  const uint8_t *data, size_t size)
{
    uint32_t index = new_packet(n, size);
    packet *p = &n->packets[index];
    clear_packet(p);
    p->src = *src;
    p->dst = *dst;
    p->inner = *src;
    p->number = n->sent++;
    p->key = hash_mix(n->world->seed, 1000000 + p->number);
    p->from_source = from_source;
    p->way = way_out(n, src, dst);
    p->size = size;
    memcpy(p->data, data, size);
    n->now_ns = now_ns;
    enter_link(n, index);
}

uint64_t network_next_ns(const network *n)
{
    if (n->inbox_first != NO_PACKET)
        return n->now_ns;
    return n->event_count == 0 ? NEVER : n->events[0].time_ns;
}

void network_run_until(network *n, uint64_t t)
{
    while (n->event_count > 0 && n->events[0].time_ns <= t) {
        event e = pop_event(n);
        n->now_ns = e.time_ns;
        if (n->packets[e.packet].inbound)
            arrive_inbound(n, e.packet);
        else
            arrive_outbound(n, e.packet);
    }
    n->now_ns = t;
}

bool network_take(network *n, packet *out)
{
    uint32_t index = n->inbox_first;
    if (index == NO_PACKET)
        return false;
    copy_packet(out, &n->packets[index]);
    n->inbox_first = out->next;
    if (n->inbox_first == NO_PACKET)
        n->inbox_last = NO_PACKET;
    free_packet(n, index);
    return true;
}

bool network_is_void(const network *n)
{
    for (unsigned i = 0; i < n->boxes; i++) {
        if (n->box[i].overflow)
            return true;
    }
    return false;
}
