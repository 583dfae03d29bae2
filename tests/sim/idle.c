/* SPDX-License-Identifier: MIT */
/* A host, a box and a server, under a virtual clock. */
#include "idle.h"

#include <stdlib.h>
#include <string.h>

#include "../support/clock.h"
#include "../support/npi_addr.h"
#include "engine/engine.h"

#define PACKETS_MAX 512
#define PACKET_ROOM 256
#define TURNS_MAX 400000
#define BATCH_MAX 100
#define TIMEOUT_NS (10 * SECOND)

/* Links on the way out and back. */
typedef enum place { AT_BOX_OUT, AT_SERVER, AT_BOX_IN, AT_HOST } place;

typedef struct packet {
    place place;
    uint64_t time_ns;
    endpoint src, dst;
    size_t size;
    uint8_t data[PACKET_ROOM];
} packet;

typedef struct host {
    const idle_world *world;
    idle_outcome *out;
    rng random;
    nat_box box;
    server_engine server;
    npi_engine *engine;
    uint64_t now_ns, start_ns;
    bool has_slept;
    bool open[NPI_SLOT_COUNT];
    endpoint local[NPI_SLOT_COUNT];
    packet packet[PACKETS_MAX];
    unsigned packets;
    endpoint to; /* of what the server answers */
} host;

static void record_broken(host *h, const char *what)
{
    if (h->out->broken == NULL)
        h->out->broken = what;
}

/* ---- The network ---- */

static void add_packet(host *h, place at, uint64_t delay_ns, const endpoint *src, const endpoint *dst,
                       const uint8_t *data, size_t size)
{
    if (rng_chance(&h->random, h->world->loss))
        return;
    if (h->packets == PACKETS_MAX || size > PACKET_ROOM) {
        record_broken(h, "too many packets, or one too large");
        return;
    }
    packet *p = &h->packet[h->packets++];
    *p = (packet){.place = at, .src = *src, .dst = *dst, .size = size};
    p->time_ns = h->now_ns + delay_ns + h->world->rtt_ns / 4 + rng_below(&h->random, 1000);
    memcpy(p->data, data, size);
}

static void answer(void *user, const server_answer *a)
{
    host *h = user;
    endpoint to = a->to_port != 0 ? endpoint_with_port(&h->to, a->to_port) : h->to;
    add_packet(h, AT_BOX_IN, a->delay_ns, &a->from, &to, a->message.bytes, a->message.size);
}

static void deliver(host *h, const packet *p)
{
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (!h->open[slot] || !endpoint_equal(&h->local[slot], &p->dst))
            continue;
        npi_incoming in;
        npi_addr from = npi_from_endpoint(&p->src);
        npi_addr local = npi_from_endpoint(&p->dst);
        npi_engine_match(h->engine, slot, p->data, p->size, &in);
        npi_engine_receive(h->engine, h->now_ns, &in, &from, &local);
        return;
    }
}

static void move(host *h, packet *p)
{
    endpoint src = p->src;
    endpoint dst = p->dst;
    switch (p->place) {
    case AT_BOX_OUT:
        if (nat_outbound(&h->box, h->now_ns, &src, &dst))
            add_packet(h, AT_SERVER, 0, &src, &dst, p->data, p->size);
        break;
    case AT_SERVER:
        h->to = src;
        if (server_owns(h->server.desc, &dst))
            server_receive(&h->server, h->now_ns, &src, &dst, &src, p->data, p->size, answer, h);
        break;
    case AT_BOX_IN:
        if (nat_inbound(&h->box, h->now_ns, &src, &dst))
            add_packet(h, AT_HOST, 0, &src, &dst, p->data, p->size);
        break;
    default:
        deliver(h, p);
        break;
    }
}

static unsigned next_packet(const host *h)
{
    unsigned next = 0;
    for (unsigned i = 1; i < h->packets; i++) {
        if (h->packet[i].time_ns < h->packet[next].time_ns)
            next = i;
    }
    return next;
}

static uint64_t next_packet_ns(const host *h)
{
    return h->packets == 0 ? NEVER : h->packet[next_packet(h)].time_ns;
}

static void run_until(host *h, uint64_t t_ns)
{
    while (next_packet_ns(h) <= t_ns && !npi_engine_is_done(h->engine)) {
        unsigned i = next_packet(h);
        packet p = h->packet[i];
        h->packet[i] = h->packet[--h->packets];
        h->now_ns = p.time_ns > h->now_ns ? p.time_ns : h->now_ns;
        move(h, &p);
        if (p.place == AT_HOST)
            return; /* the engine is to act on it */
    }
    h->now_ns = t_ns > h->now_ns && !npi_engine_is_done(h->engine) ? t_ns : h->now_ns;
}

/* ---- The host ---- */

static void open_slot(host *h, int slot)
{
    uint16_t port = (uint16_t)rng_between(&h->random, 32768, 60999);
    for (int i = 0; i < NPI_SLOT_COUNT; i++) {
        if (h->open[i] && h->local[i].port == port)
            port++;
    }
    h->open[slot] = true;
    h->local[slot] = endpoint_private(4, 1, 10, port);
    if (h->world->box.kind == BOX_FIREWALL)
        h->local[slot] = endpoint_public(4, 2, 10, port);
}

static void send_due(host *h)
{
    uint8_t random[NPI_STUN_ID_SIZE];
    npi_datagram d;
    for (int i = 0; i < BATCH_MAX; i++) {
        rng_bytes(&h->random, random, sizeof random);
        npi_engine_advance(h->engine, h->now_ns);
        if (!npi_engine_next_datagram(h->engine, random, &d))
            return;
        if (!h->open[d.slot])
            open_slot(h, d.slot);
        endpoint to = endpoint_from_npi(&d.to);
        add_packet(h, AT_BOX_OUT, 0, &h->local[d.slot], &to, d.data, d.size);
        npi_engine_sent(h->engine, &d);
        h->out->sent++;
    }
    record_broken(h, "wants to send without end");
}

static void close_unused(host *h)
{
    unsigned open = 0;
    for (int slot = 1; slot < NPI_SLOT_COUNT; slot++) {
        h->open[slot] = h->open[slot] && npi_engine_slot_in_use(h->engine, slot);
        open += h->open[slot];
    }
    h->out->sockets = open > h->out->sockets ? open : h->out->sockets;
}

static uint64_t wakeup_ns(const host *h)
{
    uint64_t wake_ns = npi_engine_wakeup_ns(h->engine);
    uint64_t cancel_ns = h->world->cancel_ns == 0 ? NEVER : h->start_ns + h->world->cancel_ns;
    return cancel_ns < wake_ns ? cancel_ns : wake_ns;
}

static bool falls_asleep(host *h, uint64_t until_ns)
{
    const idle_world *w = h->world;
    if (h->has_slept || w->sleep_ns == 0 || until_ns < h->start_ns + w->sleep_at_ns)
        return false;
    h->has_slept = true;
    h->packets = 0; /* what comes meanwhile finds nobody */
    h->now_ns = h->start_ns + w->sleep_at_ns + w->sleep_ns;
    return true;
}

static void turn(host *h)
{
    send_due(h);
    close_unused(h);
    if (npi_engine_is_done(h->engine))
        return;
    uint64_t wake_ns = wakeup_ns(h);
    if (wake_ns == NEVER && h->packets == 0) {
        record_broken(h, "sleeps for ever");
        npi_engine_stop(h->engine, h->now_ns, NP_ERR_SYSTEM, 0);
        return;
    }
    if (!falls_asleep(h, wake_ns))
        run_until(h, wake_ns);
    if (h->world->cancel_ns != 0 && h->now_ns >= h->start_ns + h->world->cancel_ns)
        npi_engine_stop(h->engine, h->now_ns, NP_ERR_CANCELLED, 0);
}

static void note_event(const np_event *event, void *user)
{
    idle_outcome *o = user;
    if (event->kind != NP_EVENT_PROGRESS)
        return;
    o->is_progress_odd |= event->test != NP_TESTS_LIFETIME || event->done_s < o->done_s ||
                          event->done_s > event->total_s || event->purpose != NP_PURPOSE_OPTIONAL;
    o->progress++;
    o->done_s = event->done_s;
    o->total_s = event->total_s;
}

static void begin(host *h)
{
    const idle_world *w = h->world;
    npi_engine_config config = {.tests = NP_TESTS_DEFAULT | NP_TESTS_LIFETIME,
                                .max_servers = 1,
                                .deadline_ns = h->now_ns + TIMEOUT_NS,
                                .response_timeout_ns = 3 * SECOND,
                                .lifetime_limit_ns = w->limit_s * SECOND};
    if (w->is_watched)
        config.observer = (npi_observer){note_event, h->out};
    npi_addr server = npi_from_endpoint(&w->server.a);
    npi_engine_init(h->engine, &config, h->now_ns);
    npi_engine_add_server(h->engine, &server, false);
    npi_engine_expect_servers(h->engine, false);
    open_slot(h, NPI_SLOT_SOURCE);
}

void idle_run(const idle_world *w, idle_outcome *out)
{
    memset(out, 0, sizeof *out);
    host *h = calloc(1, sizeof *h);
    npi_engine *engine = malloc(npi_engine_size(1, NP_TESTS_OPTIONAL));
    if (h == NULL || engine == NULL)
        abort();
    h->world = w;
    h->out = out;
    h->engine = engine;
    h->start_ns = h->now_ns = 1000 * SECOND;
    rng_seed(&h->random, w->seed, 1);
    nat_init(&h->box, &w->box, w->seed, h->now_ns);
    server_init(&h->server, &w->server, h->now_ns);
    begin(h);
    for (unsigned turns = 0; !npi_engine_is_done(engine) && turns < TURNS_MAX; turns++)
        turn(h);
    if (!npi_engine_is_done(engine))
        record_broken(h, "does not come to an end");
    memset(&out->result, 0xa5, sizeof out->result);
    npi_engine_result(engine, h->now_ns, &out->result);
    out->took_ns = h->now_ns - h->start_ns;
    out->is_void = h->box.overflow;
    free(engine);
    free(h);
}
