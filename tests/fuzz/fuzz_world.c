/* SPDX-License-Identifier: MIT */
/*
 * The experiment in a simulated network (tests/sim) of the input's choosing. While it goes on the input may do what
 * the simulation does not: spoil, hold back, repeat and forge datagrams, refuse to send, wake up late. Whatever
 * happens, the experiment ends by its deadline, sends only where and as often as it may, and its result does not
 * contradict itself. Where neither the input nor chance stands between the experiment and the truth, the simulator's
 * judge (tests/sim/truth.c) finds nothing wrong in it.
 */
#include "fuzz.h"

#include <errno.h>

#include "check.h"
#include "engine/engine.h"
#include "world_input.h"

#include "../sim/network.h"
#include "../sim/truth.h"
#include "../support/npi_addr.h"
#include "../support/pace.h"

enum {
    REMEMBERED = 16,
    MOST_STEPS = 20000,
    MOST_IDLE_WAKEUPS = 10,
    MOST_AT_ONCE = 100,
    TRANSACTIONS = 512,
    MOST_DATAGRAMS = 500,
    MOST_UNNAMED_COPIES = 8,
    RATE = 10,
    FIRST_PORT = 40000
};

typedef struct transaction {
    uint8_t id[ID_SIZE];
    endpoint to;
    uint64_t first_ns, last_ns;
    unsigned copies;
    bool is_plain;
} transaction;

typedef struct scene {
    input in;
    world world;
    network net;
    npi_engine *probe;
    uint64_t now_ns, deadline_ns;
    endpoint local[NPI_SLOT_COUNT]; /* family 0: closed */
    uint16_t next_port;
    uint64_t ready_ns[WORLD_SERVERS]; /* when a name is resolved; NEVER: not asked for */
    bool added[WORLD_SERVERS];
    unsigned unresolved;
    transaction sent[TRANSACTIONS];
    pace paces[NPI_SLOT_COUNT];
    unsigned transactions, datagrams, copies_sent;
    packet remembered[REMEMBERED];
    unsigned received;
    unsigned idle_wakeups;
    int32_t send_error; /* of the next datagram, NP_PENDING: none */
    bool silenced, disturbed, knows_server;
    uint64_t serial;
} scene;

/* ---- What may be sent ------------------------------------------------------------------------------------------- */

static bool is_listed(const scene *s, const endpoint *to)
{
    for (unsigned i = 0; i < s->world.listed_count; i++) {
        if (endpoint_equal(&s->world.listed[i].address, to))
            return true;
    }
    return false;
}

/* RFC 5780 section 5: no more than ten transactions in any second. */
static void check_rate(const scene *s)
{
    if (s->transactions > RATE)
        FUZZ_CHECK(s->sent[s->transactions - 1].first_ns - s->sent[s->transactions - 1 - RATE].first_ns >= SECOND);
}

static transaction *transaction_of(scene *s, const uint8_t *id)
{
    for (unsigned i = 0; i < s->transactions; i++) {
        if (memcmp(s->sent[i].id, id, ID_SIZE) == 0)
            return &s->sent[i];
    }
    return NULL;
}

/* Of the datagram counted last: how long before it the copy before it must have left. */
static uint64_t least_gap_ns(const scene *s, int slot, uint32_t change)
{
    bool tests_filtering = slot != NPI_SLOT_SOURCE && slot < NPI_SLOT_PATH;
    return tests_filtering ? pace_least_gap_ns(&s->paces[slot], change, s->now_ns) : pace_usual_gap_ns();
}

static void check_sent(scene *s, const npi_datagram *d)
{
    stun_request q;
    const endpoint to = endpoint_from_npi(&d->to);
    FUZZ_CHECK(request_read(&q, d->data, d->size) == NULL);
    FUZZ_CHECK(endpoint_class(&to) <= 2 && to.port != 0 && to.family == s->world.family);
    FUZZ_CHECK(++s->datagrams <= MOST_DATAGRAMS);
    pace_count(&s->paces[d->slot], q.change, s->now_ns);
    transaction *t = transaction_of(s, q.id);
    if (t == NULL) {
        FUZZ_CHECK(s->transactions < TRANSACTIONS);
        t = &s->sent[s->transactions++];
        *t = (transaction){.to = to, .first_ns = s->now_ns, .is_plain = q.change == 0};
        memcpy(t->id, q.id, ID_SIZE);
        check_rate(s);
    } else {
        FUZZ_CHECK(endpoint_equal(&t->to, &to) && s->now_ns - t->last_ns >= least_gap_ns(s, d->slot, q.change));
    }
    t->last_ns = s->now_ns;
    FUZZ_CHECK(++t->copies <= (is_listed(s, &to) ? NPI_COPIES_MAX : MOST_UNNAMED_COPIES));
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static void open_slot(scene *s, int slot)
{
    FUZZ_CHECK(slot >= 0 && slot < NPI_SLOT_COUNT);
    if (s->local[slot].family != 0)
        return;
    FUZZ_CHECK(npi_engine_slot_in_use(s->probe, slot));
    s->local[slot] = endpoint_with_port(&s->world.host.local, s->next_port++);
}

static bool has_route(const scene *s, const endpoint *to)
{
    for (unsigned i = 0; i < s->world.servers; i++) {
        const server_desc *d = &s->world.server[i];
        if (d->no_route && (endpoint_same_ip(&d->a, to) || endpoint_same_ip(&d->b, to)))
            return false;
    }
    return true;
}

static void send_one(scene *s, const npi_datagram *d)
{
    const endpoint to = endpoint_from_npi(&d->to);
    int32_t error = s->send_error;
    s->send_error = NP_PENDING;
    open_slot(s, d->slot);
    if (error == NP_PENDING && !has_route(s, &to))
        error = NP_ERR_NETWORK_UNREACHABLE;
    if (error != NP_PENDING) {
        npi_engine_unsent(s->probe, s->now_ns, d, error, error == NP_OK ? 0 : EPERM);
        return;
    }
    check_sent(s, d);
    network_send(&s->net, s->now_ns, &s->local[d->slot], &to, d->slot == NPI_SLOT_SOURCE, d->data, d->size);
    npi_engine_sent(s->probe, d);
}

/* How many were to be sent. */
static unsigned send_due(scene *s)
{
    npi_datagram d;
    unsigned count = 0;
    uint8_t random[NPI_STUN_ID_SIZE];
    for (;;) {
        for (size_t i = 0; i < sizeof random; i++)
            random[i] = (uint8_t)(hash_mix(s->serial, i / 8) >> i % 8 * 8);
        s->serial++;
        memset(&d, 0xA5, sizeof d);
        npi_engine_advance(s->probe, s->now_ns);
        if (!npi_engine_next_datagram(s->probe, random, &d))
            break;
        FUZZ_CHECK(++count < MOST_AT_ONCE);
        send_one(s, &d);
    }
    for (int slot = 1; slot < NPI_SLOT_COUNT; slot++) {
        if (!npi_engine_slot_in_use(s->probe, slot))
            s->local[slot].family = 0;
    }
    return count;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

static void deliver(scene *s, const packet *p)
{
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (!endpoint_equal(&s->local[slot], &p->dst))
            continue;
        /* In memory of its own size: a byte too far is seen. */
        uint8_t *copy = malloc(p->size > 0 ? p->size : 1);
        FUZZ_CHECK(copy != NULL);
        memcpy(copy, p->data, p->size);
        const npi_addr from = npi_from_endpoint(&p->src);
        const npi_addr local = npi_from_endpoint(&p->dst);
        npi_incoming in;
        npi_engine_match(s->probe, slot, copy, p->size, &in);
        npi_engine_receive(s->probe, s->now_ns, &in, &from, &local);
        free(copy);
    }
}

static void remember(scene *s, const packet *p)
{
    s->remembered[s->received++ % REMEMBERED] = *p;
    s->idle_wakeups = 0;
}

/* What a plain request was answered with, from where it went: the judge counts it. */
static void note_heard(scene *s, const packet *p)
{
    if (p->size < 20 || p->is_flood || p->data[0] != 1 || (p->data[1] & 0xef) != 0x01)
        return;
    const transaction *t = transaction_of(s, p->data + 4);
    if (t != NULL && t->is_plain && endpoint_equal(&t->to, &p->src))
        network_note_heard(&s->net, p);
}

static void receive_all(scene *s)
{
    packet p;
    while (!npi_engine_is_done(s->probe) && network_take(&s->net, &p)) {
        remember(s, &p);
        note_heard(s, &p);
        deliver(s, &p);
    }
}

/* ---- What the input does ---------------------------------------------------------------------------------------- */

/* One that came before, changed in as many places as the input likes. */
static void forge(scene *s, unsigned kind)
{
    packet p = s->remembered[take(&s->in) % REMEMBERED];
    const unsigned changes = kind < 4 ? 0 : kind - 3;
    for (unsigned i = 0; i < changes && p.size > 0; i++) {
        const uint8_t place = take(&s->in);
        p.data[place % p.size] ^= take(&s->in);
    }
    if (kind == 1)
        p.src = s->world.server[0].b;
    if (kind == 2)
        p.src.port ^= 1;
    if (kind == 3)
        p.size = p.size * take(&s->in) / 256;
    deliver(s, &p);
}

static void lose_next(scene *s)
{
    packet p;
    if (network_next_ns(&s->net) > s->deadline_ns)
        return;
    network_run_until(&s->net, network_next_ns(&s->net));
    if (network_take(&s->net, &p))
        remember(s, &p);
}

static void refuse_next(scene *s)
{
    static const int32_t errors[] = {NP_OK, NP_OK, NP_ERR_NETWORK_UNREACHABLE, NP_ERR_SYSTEM};
    s->send_error = errors[take(&s->in) % 4];
}

static void interfere(scene *s)
{
    const uint8_t what = take(&s->in);
    if (what < 128)
        return;
    s->disturbed = true;
    s->idle_wakeups = 0; /* whatever comes may be looked at once more */
    switch (what >> 3 & 15) {
    case 8:
    case 9:
        lose_next(s);
        break;
    case 10:
        refuse_next(s);
        break;
    case 11:
        s->now_ns += (uint64_t)take(&s->in) * 2 * MS;
        break;
    case 12:
        npi_engine_stop(s->probe, s->now_ns, what % 2 == 0 ? NP_ERR_CANCELLED : NP_ERR_SYSTEM, EIO);
        break;
    case 13:
        npi_engine_mute(s->probe);
        s->silenced = true;
        break;
    default:
        if (s->received > 0)
            forge(s, what % 8);
        break;
    }
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static void ask_for_names(scene *s)
{
    const size_t wanted = npi_engine_servers_wanted(s->probe) + s->world.listed_count - s->unresolved;
    for (unsigned i = 0; i < s->world.listed_count && i < wanted; i++) {
        const uint64_t takes_ns = s->world.listed[i].resolve_ns;
        if (s->ready_ns[i] == NEVER)
            s->ready_ns[i] = s->now_ns + (takes_ns == NEVER ? 2 * SECOND : takes_ns);
    }
}

static void resolve(scene *s)
{
    ask_for_names(s);
    for (unsigned i = 0; i < s->world.listed_count; i++) {
        const listed_server *l = &s->world.listed[i];
        const npi_addr address = npi_from_endpoint(&l->address);
        if (s->added[i] || s->ready_ns[i] > s->now_ns)
            continue;
        s->added[i] = true;
        if (l->resolve_ns != NEVER) {
            npi_engine_add_server(s->probe, &address, l->expected_mapping_only);
            s->knows_server = true;
        }
        if (--s->unresolved == 0)
            npi_engine_expect_servers(s->probe, false);
    }
}

/* ---- A run ------------------------------------------------------------------------------------------------------ */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void sleep_until_woken(scene *s)
{
    const uint64_t wakeup_ns = npi_engine_wakeup_ns(s->probe);
    FUZZ_CHECK(wakeup_ns <= s->deadline_ns || s->now_ns > s->deadline_ns);
    s->idle_wakeups = wakeup_ns <= s->now_ns ? s->idle_wakeups + 1 : 0;
    FUZZ_CHECK(s->idle_wakeups <= MOST_IDLE_WAKEUPS);
    const uint64_t name_ns = world_next_name_ns(&s->world, s->added, s->ready_ns);
    const uint64_t next_ns = earlier(earlier(wakeup_ns, network_next_ns(&s->net)), name_ns);
    s->now_ns = next_ns > s->now_ns ? next_ns : s->now_ns;
    network_run_until(&s->net, s->now_ns);
}

static void step(scene *s)
{
    resolve(s);
    if (send_due(s) > 0)
        s->idle_wakeups = 0;
    if (npi_engine_is_done(s->probe))
        return;
    interfere(s);
    if (npi_engine_is_done(s->probe))
        return;
    sleep_until_woken(s);
    receive_all(s);
}

/* No box forgets anything meanwhile; and to the judge a box that blocks lets nothing through. */
static bool is_lasting(const box_desc *b)
{
    if (b->kind == BOX_BLOCKED)
        return b->only_port == 0 && (b->block_out || b->block_in);
    return b->changes == 0 && b->timeout_ns > 60 * SECOND;
}

/* What a fuzzer would find otherwise is the one case in a million that METHOD.md allows for. */
static bool is_left_to_chance(const world *w)
{
    const link_desc *l = &w->link;
    if (l->loss[UP] > 0 || l->loss[DOWN] > 0 || l->late > 0)
        return true;
    /* An outer NAT hides which address of its pool the inner one has taken, and with it what the judge goes by. */
    if (w->boxes > 1 && w->box[0].pooling != POOL_ONE)
        return true;
    for (unsigned i = 0; i < w->boxes; i++) {
        if (!is_lasting(&w->box[i]))
            return true;
    }
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].rate != 0)
            return true;
    }
    return false;
}

static void check_truth(const scene *s, const np_result *result)
{
    static run_record record;
    char why[256];
    truth t;
    if (result->error == NP_ERR_RESOLVE) {
        FUZZ_CHECK(!s->knows_server);
        return;
    }
    if (s->disturbed || is_left_to_chance(&s->world) || network_is_void(&s->net))
        return;
    truth_of(&s->world, &t);
    record.result = *result;
    memcpy(record.external, s->net.external, sizeof record.external);
    record.externals = s->net.externals;
    memcpy(record.sighting, s->net.sighting, sizeof record.sighting);
    record.sightings = s->net.sightings;
    const verdict v = truth_judge(&s->world, &t, &record, why, sizeof why);
    if (v == VERDICT_WRONG) {
        world_print(&s->world, stderr);
        fprintf(stderr, "wrong: %s\n", why);
    }
    FUZZ_CHECK(v != VERDICT_WRONG);
}

static void check_end(scene *s)
{
    static const uint8_t random[NPI_STUN_ID_SIZE];
    npi_datagram d;
    np_result first;
    FUZZ_CHECK(npi_engine_wakeup_ns(s->probe) == NPI_NEVER);
    npi_engine_advance(s->probe, s->now_ns);
    FUZZ_CHECK(!npi_engine_next_datagram(s->probe, random, &d));
    check_result_of(s->probe, s->now_ns, &first);
    check_truth(s, &first);
    FUZZ_CHECK(first.packets_sent == s->datagrams);
    FUZZ_CHECK(s->silenced || s->copies_sent == s->datagrams);
}

static void take_line(int32_t level, const char *line, void *user)
{
    const scene *s = user;
    FUZZ_CHECK(!s->silenced);
    check_line(level, line);
}

static void take_event(const np_event *e, void *user)
{
    scene *s = user;
    FUZZ_CHECK(!s->silenced);
    check_event(e);
    s->copies_sent += e->kind == NP_EVENT_SENT;
}

static void begin(scene *s)
{
    static const uint16_t timeout_ms[] = {10000, 1, 100, 500, 1000, 3000, 5000, 60000};
    const unsigned options = take(&s->in);
    const size_t room = (options & 16) != 0 ? 1 : NPI_SERVERS_MAX;
    s->now_ns = s->world.start_ns;
    s->world.timeout_ns = timeout_ms[options % 8] * MS;
    s->world.response_timeout_ns = (options & 32) != 0 ? 300 * MS : 3 * SECOND;
    s->world.mapping_only = (options & 8) != 0;
    s->world.host.local.port = FIRST_PORT;
    s->deadline_ns = s->now_ns + s->world.timeout_ns;
    s->probe = malloc(npi_engine_size(room, NP_TESTS_OPTIONAL));
    FUZZ_CHECK(s->probe != NULL);
    const npi_engine_config config = {
        .max_servers = room,
        .tests = s->world.mapping_only ? NP_TESTS_MAPPING : NP_TESTS_DEFAULT,
        .deadline_ns = s->deadline_ns,
        .response_timeout_ns = s->world.response_timeout_ns,
        .log = {.sink = take_line, .user = s, .level = NP_LOG_DEBUG},
        .observer = {.sink = take_event, .user = s},
    };
    memset(s->probe, 0xA5, npi_engine_size(room, NP_TESTS_OPTIONAL));
    npi_engine_init(s->probe, &config, s->now_ns);
    s->unresolved = s->world.listed_count;
    s->disturbed = room < s->world.listed_count; /* the judge knows of no server that is turned away */
    for (unsigned i = 0; i < WORLD_SERVERS; i++)
        s->ready_ns[i] = NEVER;
    s->next_port = FIRST_PORT;
    s->send_error = NP_PENDING;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static scene s;
    memset(&s, 0, sizeof s);
    s.in = (input){data, size};
    world_from(&s.in, &s.world);
    network_init(&s.net, &s.world, NULL);
    begin(&s);
    open_slot(&s, NPI_SLOT_SOURCE);
    for (unsigned steps = 0; !npi_engine_is_done(s.probe); steps++) {
        FUZZ_CHECK(steps < MOST_STEPS);
        step(&s);
    }
    FUZZ_CHECK(s.now_ns <= s.deadline_ns + SECOND);
    check_end(&s);
    free(s.probe);
    network_free(&s.net);
    return 0;
}
