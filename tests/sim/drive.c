/* SPDX-License-Identifier: MIT */
/* The driver's loop, with sockets that are numbers and a clock that is a variable. */
#include "drive.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../support/npi_addr.h"
#include "engine/engine.h"

#define STEPS_MAX 300000 /* of the loop: more is a loop without end */
#define BATCH_MAX 200    /* datagrams wanted at one moment */
#define IDLE_WAKEUPS_MAX 10
#define UNRESOLVED_NS (2 * SECOND)
#define PORTS_MAX 64

struct driver {
    const world *world;
    network *net;
    rng random; /* lag, ports */
    rng ids;
    npi_engine *engine;
    run_record *record;
    uint64_t now_ns;
    uint64_t deadline_ns;
    bool open[NPI_SLOT_COUNT];
    endpoint local[NPI_SLOT_COUNT];
    uint16_t used_port[PORTS_MAX];
    unsigned used_ports;
    uint64_t ready_ns[WORLD_SERVERS]; /* when a name is resolved; NEVER: not yet asked for */
    bool added[WORLD_SERVERS];
    unsigned pending; /* names not yet added or given up */
    double tokens;    /* of the limit on what is sent */
    uint64_t tokens_ns;
    uint64_t turned_ns;    /* the engine's time before it slept */
    uint64_t heard_ns;     /* the engine's time of the last arrival; it has seen no later one */
    unsigned idle_wakeups; /* in a row, at one moment, with nothing to send */
};

void record_broken(run_record *r, const char *format, ...)
{
    if (r->broken[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->broken, sizeof r->broken, format, arguments);
    va_end(arguments);
}

driver *driver_new(const world *w, network *n)
{
    driver *d = calloc(1, sizeof *d);
    npi_engine *e = malloc(npi_engine_size(WORLD_SERVERS, NP_TESTS_OPTIONAL));
    if (d == NULL || e == NULL) {
        fprintf(stderr, "sim: out of memory\n");
        exit(3);
    }
    d->world = w;
    d->net = n;
    d->engine = e;
    rng_seed(&d->random, w->seed, 300);
    rng_seed(&d->ids, w->seed, 301);
    return d;
}

void driver_free(driver *d)
{
    free(d->engine);
    free(d);
}

/* ---- Sockets ---- */

static bool port_is_used(const driver *d, uint16_t port)
{
    for (unsigned i = 0; i < d->used_ports; i++) {
        if (d->used_port[i] == port)
            return true;
    }
    return port == d->world->host.local.port;
}

static void open_slot(driver *d, int slot)
{
    uint16_t port = d->world->host.local.port;
    if (slot != NPI_SLOT_SOURCE) {
        do {
            port = (uint16_t)rng_between(&d->random, 32768, 60999);
        } while (port_is_used(d, port));
        d->used_port[d->used_ports++ % PORTS_MAX] = port;
    }
    d->local[slot] = endpoint_with_port(&d->world->host.local, port);
    d->open[slot] = true;
}

static void close_unused(driver *d)
{
    for (int slot = 1; slot < NPI_SLOT_COUNT; slot++) {
        if (d->open[slot] && !npi_engine_slot_in_use(d->engine, slot))
            d->open[slot] = false;
    }
}

/* ---- Sending ---- */

static const char *test_name(const stun_request *q)
{
    return q->change == 0 ? "I" : (q->change == CHANGE_PORT ? "III" : (q->change == CHANGE_IP ? "IP" : "II"));
}

static void trace_sent(const driver *d, const sent_datagram *s)
{
    if (d->net->trace == NULL)
        return;
    char from[ENDPOINT_TEXT];
    char to[ENDPOINT_TEXT];
    endpoint_text(&s->from, from);
    endpoint_text(&s->to, to);
    fprintf(d->net->trace, "%12.3f ms  slot %d sends %s%s: %s > %s (id ..%02x%02x)\n",
            network_trace_ms(d->net, s->time_ns), s->slot, test_name(&s->request),
            s->request.cookie ? "" : " (classic)", from, to, s->data[18], s->data[19]);
}

static void trace_refused(const driver *d, const endpoint *to, int error)
{
    if (d->net->trace == NULL)
        return;
    char text[ENDPOINT_TEXT];
    endpoint_text(to, text);
    fprintf(d->net->trace, "%12.3f ms  refused to %s: %s\n", network_trace_ms(d->net, d->now_ns), text,
            strerror(error));
}

static void record_sent(driver *d, const npi_datagram *g)
{
    run_record *r = d->record;
    sent_datagram s = {.time_ns = d->now_ns,
                       .slot = g->slot,
                       .for_mapping = g->slot >= NPI_SLOT_LOOK,
                       .to = endpoint_from_npi(&g->to),
                       .size = g->size};
    s.from = network_source(d->net, &d->local[g->slot], &s.to);
    memcpy(s.data, g->data, g->size);
    s.malformed = request_read(&s.request, g->data, g->size);
    trace_sent(d, &s);
    if (r->sent_count < RECORD_SENT)
        r->sent[r->sent_count] = s;
    r->sent_count++;
    network_send(d->net, d->now_ns, &s.from, &s.to, g->slot == NPI_SLOT_SOURCE, g->data, g->size);
}

static bool has_no_route(const driver *d, const endpoint *to)
{
    if (d->world->host.no_route)
        return true;
    for (unsigned i = 0; i < d->world->servers; i++) {
        const server_desc *s = &d->world->server[i];
        if (s->no_route && (endpoint_same_ip(&s->a, to) || endpoint_same_ip(&s->b, to)))
            return true;
    }
    return false;
}

static uint64_t age_ns(const driver *d)
{
    return d->now_ns - d->record->start_ns;
}

static bool is_cut_off(const host_desc *h, uint64_t age)
{
    return h->outage_ns != 0 && age >= h->outage_at_ns && age - h->outage_at_ns < h->outage_ns;
}

/* Whether the host's own firewall has let out too much of late. */
static bool is_over_limit(driver *d)
{
    const host_desc *h = &d->world->host;
    if (h->out_rate == 0)
        return false;
    d->tokens += (double)(d->now_ns - d->tokens_ns) * h->out_rate / (double)SECOND;
    d->tokens = d->tokens > h->out_burst ? h->out_burst : d->tokens;
    d->tokens_ns = d->now_ns;
    if (d->tokens < 1)
        return true;
    d->tokens -= 1;
    return false;
}

/* The error of the system's refusal to send now; 0: it does not refuse. */
static int refusal(driver *d, const endpoint *to)
{
    if (has_no_route(d, to))
        return ENETUNREACH;
    if (is_cut_off(&d->world->host, age_ns(d)))
        return d->world->host.outage_error;
    return is_over_limit(d) ? EPERM : 0;
}

/* False when no more can be sent now. */
static bool send_one(driver *d, const npi_datagram *g)
{
    endpoint to = endpoint_from_npi(&g->to);
    if (g->slot < 0 || g->slot >= NPI_SLOT_COUNT || g->size > sizeof g->data) {
        record_broken(d->record, "datagram for slot %d of %u bytes", g->slot, (unsigned)g->size);
        return false;
    }
    if (!d->open[g->slot])
        open_slot(d, g->slot);
    int refused = refusal(d, &to);
    if (refused != 0) {
        trace_refused(d, &to, refused);
        npi_engine_unsent(d->engine, d->now_ns, g, NP_ERR_NETWORK_UNREACHABLE, refused);
        return true;
    }
    if (rng_chance(&d->random, d->world->host.busy)) {
        npi_engine_unsent(d->engine, d->now_ns, g, NP_OK, 0);
        return true;
    }
    record_sent(d, g);
    npi_engine_sent(d->engine, g);
    return true;
}

static void send_due(driver *d)
{
    npi_datagram g;
    uint8_t random[NPI_STUN_ID_SIZE];
    for (unsigned i = 0; i < BATCH_MAX; i++) {
        if (d->world->host.steady_ids) /* else every waking up uses some up */
            rng_seed(&d->ids, d->world->seed, 1000 + d->net->sent);
        rng_bytes(&d->ids, random, sizeof random);
        memset(&g, 0xa5, sizeof g);
        npi_engine_advance(d->engine, d->now_ns);
        if (!npi_engine_next_datagram(d->engine, random, &g))
            return;
        if (!send_one(d, &g))
            return;
    }
    record_broken(d->record, "wants to send %u datagrams at one moment", BATCH_MAX);
    npi_engine_stop(d->engine, d->now_ns, NP_ERR_SYSTEM, 0);
}

/* ---- Receiving ---- */

/* The sockets of a host with two addresses are bound to none. */
static bool is_for(const driver *d, const packet *p, int slot)
{
    const endpoint *second = &d->world->second_local;
    if (!d->open[slot] || p->dst.port != d->local[slot].port)
        return false;
    return endpoint_same_ip(&p->dst, &d->local[slot]) || (second->family != 0 && endpoint_same_ip(&p->dst, second));
}

static void note_usable(driver *d, const packet *p, int slot)
{
    run_record *r = d->record;
    if (p->size < 20 || p->is_flood || p->data[0] != 1 || (p->data[1] & 0xef) != 0x01)
        return;
    for (unsigned i = 0; i < r->sent_count && i < RECORD_SENT; i++) {
        const sent_datagram *s = &r->sent[i];
        if (memcmp(s->data + 4, p->data + 4, ID_SIZE) != 0 || !endpoint_equal(&s->to, &p->src))
            continue;
        if (slot == NPI_SLOT_SOURCE)
            r->usable_answer = true;
        if (s->request.change == 0)
            network_note_heard(d->net, p);
    }
}

static void trace_received(const driver *d, const packet *p, int slot)
{
    if (d->net->trace == NULL || p->is_flood)
        return;
    char src[ENDPOINT_TEXT];
    endpoint_text(&p->src, src);
    fprintf(d->net->trace, "%12.3f ms  slot %d receives from %s type %02x%02x (id ..%02x%02x)\n",
            network_trace_ms(d->net, d->now_ns), slot, src, p->data[0], p->data[1], p->size >= 20 ? p->data[18] : 0u,
            p->size >= 20 ? p->data[19] : 0u);
}

/* When the host says that it came. What it floods with ends nothing. */
static uint64_t note_arrival(driver *d, const packet *p, int slot)
{
    stamps known = d->world->host.stamps;
    bool stamped = known == STAMPS_ALL || (known == STAMPS_FRESH && slot != NPI_SLOT_SOURCE);
    uint64_t at_ns = stamped ? p->arrived_ns : d->now_ns;
    if (!p->is_flood && at_ns > d->heard_ns)
        d->heard_ns = at_ns;
    return at_ns;
}

static void receive_one(driver *d, const packet *p)
{
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (!is_for(d, p, slot) || (p->is_flood && d->world->host.drops_floods))
            continue;
        npi_addr from = npi_from_endpoint(&p->src);
        npi_addr local = npi_from_endpoint(&p->dst);
        d->record->received++;
        note_usable(d, p, slot);
        trace_received(d, p, slot);
        npi_incoming in;
        npi_engine_match(d->engine, slot, p->data, p->size, &in);
        npi_engine_receive(d->engine, note_arrival(d, p, slot), &in, &from, &local);
    }
}

static void receive_all(driver *d)
{
    packet p;
    d->heard_ns = d->turned_ns; /* the engine's time so far */
    while (!npi_engine_is_done(d->engine) && network_take(d->net, &p)) {
        bool deaf = d->world->host.outage_deafens && is_cut_off(&d->world->host, p.arrived_ns - d->record->start_ns);
        if (!deaf)
            receive_one(d, &p);
    }
    if (npi_engine_is_done(d->engine))
        d->record->end_ns = d->heard_ns; /* that of the datagram that ended it */
}

/* ---- Names ---- */

static void ask_for_names(driver *d)
{
    /* As the real driver does: a name that led to nothing is made up for by the next. */
    size_t wanted = npi_engine_servers_wanted(d->engine) + d->world->listed_count - d->pending;
    for (unsigned i = 0; i < d->world->listed_count && i < wanted; i++) {
        if (d->ready_ns[i] != NEVER)
            continue;
        uint64_t takes = d->world->listed[i].resolve_ns;
        d->ready_ns[i] = d->now_ns + (takes == NEVER ? UNRESOLVED_NS : takes);
    }
}

static void add_resolved(driver *d)
{
    ask_for_names(d);
    for (unsigned i = 0; i < d->world->listed_count; i++) {
        const listed_server *l = &d->world->listed[i];
        if (d->added[i] || d->ready_ns[i] > d->now_ns)
            continue;
        d->added[i] = true;
        d->pending--;
        npi_addr address = npi_from_endpoint(&l->address);
        if (l->resolve_ns != NEVER)
            npi_engine_add_server(d->engine, &address, l->expected_mapping_only);
        if (d->pending == 0)
            npi_engine_expect_servers(d->engine, false);
    }
}

/* ---- The loop ---- */

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_time(driver *d)
{
    uint64_t wakeup = npi_engine_wakeup_ns(d->engine);
    d->idle_wakeups = wakeup <= d->now_ns ? d->idle_wakeups + 1 : 0;
    if (d->idle_wakeups > IDLE_WAKEUPS_MAX)
        record_broken(d->record, "wants to be woken at once again and again with nothing to send");
    uint64_t name = world_next_name_ns(d->world, d->added, d->ready_ns);
    uint64_t next = earliest(earliest(wakeup, network_next_ns(d->net)), name);
    const host_desc *h = &d->world->host;
    if (h->cancel_ns != 0)
        next = earliest(next, d->record->start_ns + h->cancel_ns);
    if (next == NEVER)
        return NEVER;
    if (h->restless_ns != 0)
        next = earliest(next, d->now_ns + h->restless_ns);
    next = next > d->now_ns ? next : d->now_ns;
    next = h->lag_ns == 0 ? next : next + rng_between(&d->random, 0, h->lag_ns);
    uint64_t thaw = d->record->start_ns + h->freeze_at_ns + h->freeze_ns;
    bool frozen = h->freeze_ns != 0 && next - d->record->start_ns >= h->freeze_at_ns && next < thaw;
    return frozen ? thaw : next;
}

static void step(driver *d)
{
    const host_desc *h = &d->world->host;
    add_resolved(d);
    send_due(d);
    close_unused(d);
    if (npi_engine_is_done(d->engine))
        return;
    uint64_t next = next_time(d);
    if (next == NEVER || next > d->deadline_ns + h->freeze_ns + SECOND) {
        record_broken(d->record, "sleeps beyond its deadline");
        npi_engine_stop(d->engine, d->now_ns, NP_ERR_SYSTEM, 0);
        return;
    }
    d->turned_ns = d->now_ns;
    network_run_until(d->net, next);
    d->now_ns = next;
    receive_all(d);
    if (h->cancel_ns != 0 && d->now_ns >= d->record->start_ns + h->cancel_ns && !npi_engine_is_done(d->engine))
        npi_engine_stop(d->engine, d->now_ns, NP_ERR_CANCELLED, 0);
}

static void begin(driver *d)
{
    npi_engine_config config = {.max_servers = WORLD_SERVERS,
                                .tests = (d->world->mapping_only ? NP_TESTS_MAPPING : NP_TESTS_DEFAULT) |
                                         d->world->optional_tests,
                                .deadline_ns = d->now_ns + d->world->timeout_ns,
                                .response_timeout_ns = d->world->response_timeout_ns};
    d->deadline_ns = config.deadline_ns;
    memset(d->open, 0, sizeof d->open);
    memset(d->added, 0, sizeof d->added);
    for (unsigned i = 0; i < WORLD_SERVERS; i++)
        d->ready_ns[i] = NEVER;
    d->pending = d->world->listed_count;
    d->tokens = d->world->host.out_burst;
    d->tokens_ns = d->now_ns;
    open_slot(d, NPI_SLOT_SOURCE);
    memset(d->engine, 0xa5, npi_engine_size(WORLD_SERVERS, NP_TESTS_OPTIONAL));
    npi_engine_init(d->engine, &config, d->now_ns);
    npi_engine_expect_servers(d->engine, true);
}

/* Two results over different garbage must be alike to the last byte. */
static void take_result(driver *d)
{
    np_result again;
    memset(&d->record->result, 0xa5, sizeof again);
    memset(&again, 0x5a, sizeof again);
    npi_engine_result(d->engine, d->now_ns, &d->record->result);
    npi_engine_result(d->engine, d->now_ns, &again);
    if (memcmp(&again, &d->record->result, sizeof again) != 0)
        record_broken(d->record, "not every byte of the result is written");
}

static void check_done(driver *d)
{
    npi_datagram g;
    uint8_t random[NPI_STUN_ID_SIZE] = {0};
    if (npi_engine_wakeup_ns(d->engine) != NPI_NEVER)
        record_broken(d->record, "done, and yet wants to be woken");
    npi_engine_advance(d->engine, d->now_ns);
    if (npi_engine_next_datagram(d->engine, random, &g))
        record_broken(d->record, "done, and yet sends");
}

static void check_deadline(driver *d)
{
    uint64_t slack = d->world->host.lag_ns + d->world->host.freeze_ns + MS;
    if (d->now_ns > d->deadline_ns + slack)
        record_broken(d->record, "over its deadline by %.1f ms", (double)(d->now_ns - d->deadline_ns) / 1e6);
}

void driver_run(driver *d, run_record *record)
{
    memset(record, 0, sizeof *record);
    d->record = record;
    d->now_ns = d->net->now_ns;
    record->start_ns = d->now_ns;
    network_begin_run(d->net);
    begin(d);
    for (unsigned steps = 0; !npi_engine_is_done(d->engine); steps++) {
        if (steps == STEPS_MAX) {
            record_broken(record, "does not come to an end");
            npi_engine_stop(d->engine, d->now_ns, NP_ERR_SYSTEM, 0);
        }
        step(d);
    }
    if (record->end_ns == 0)
        record->end_ns = d->now_ns;
    check_done(d);
    check_deadline(d);
    take_result(d);
    memcpy(record->external, d->net->external, sizeof record->external);
    record->externals = d->net->externals;
    memcpy(record->sighting, d->net->sighting, sizeof record->sighting);
    record->sightings = d->net->sightings;
    record->lost_any = d->net->lost_any;
}
