/* SPDX-License-Identifier: MIT */
/* See stage.h. */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/clock.h"
#include "../support/pace.h"
#include "../support/rng.h"

#define EI NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define AD NP_BEHAVIOUR_ADDRESS_DEPENDENT
#define APD NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT

const world worlds[] = {
    {"open internet", NP_BEHAVIOUR_NONE, EI, NP_NAT_OPEN_INTERNET, 4, false},
    {"firewall", NP_BEHAVIOUR_NONE, APD, NP_NAT_SYMMETRIC_UDP_FIREWALL, 4, false},
    {"full cone", EI, EI, NP_NAT_FULL_CONE, 4, false},
    {"restricted cone", EI, AD, NP_NAT_RESTRICTED_CONE, 4, false},
    {"port restricted cone", EI, APD, NP_NAT_PORT_RESTRICTED_CONE, 4, false},
    {"symmetric", APD, APD, NP_NAT_SYMMETRIC, 4, false},
    {"symmetric by address", AD, EI, NP_NAT_SYMMETRIC, 4, false},
    {"open internet, IPv6", NP_BEHAVIOUR_NONE, EI, NP_NAT_OPEN_INTERNET, 6, false},
    {"port restricted cone, IPv6", EI, APD, NP_NAT_PORT_RESTRICTED_CONE, 6, false},
    {"restricted cone, RFC 3489", EI, AD, NP_NAT_RESTRICTED_CONE, 4, true},
};
const size_t world_count = sizeof worlds / sizeof worlds[0];

struct event {
    uint64_t at_ns, serial;
    int slot; /* where it comes out, past the NAT */
    endpoint from;
    endpoint to; /* family 0: past the NAT */
    size_t size;
    uint8_t *memory; /* the datagram lies in it behind so many bytes: */
    size_t offset;
};

enum {
    LOCAL_PORT = 40000,
    EXTERNAL_PORT = 50000,
    MOST_IDLE_TURNS = 100,
    MOST_COPIES = 8, /* of a plain request to an address that only the server named */
    MOST_DATAGRAMS = 160,
    MOST_DATAGRAMS_MORE = 30, /* for each server */
    MOST_TRANSACTIONS = 10    /* in a second, RFC 5780 section 5 */
};

/* ---- Addresses -------------------------------------------------------------------------------------------------- */

static bool is_translated(const world *w)
{
    return w->mapping != NP_BEHAVIOUR_NONE;
}

static endpoint local_address(const stage *s, int slot)
{
    const unsigned port = LOCAL_PORT + (unsigned)slot;
    const world *w = s->scene->where;
    if (w->family == 6)
        return endpoint_of(is_translated(w) ? "fd00::2" : "2600::2", port);
    return endpoint_of(is_translated(w) ? "10.0.0.2" : "13.0.0.2", port);
}

bool is_small_scale(void)
{
    const char *scale = getenv("NP_SIM_SCALE");
    return scale != NULL && strcmp(scale, "small") == 0;
}

/* ---- Scenes ----------------------------------------------------------------------------------------------------- */

stage_server *scene_add_server(scene *c)
{
    static const char *const ips[2][STAGE_SERVERS][2] = {
        {{"11.0.0.1", "11.0.1.2"}, {"12.0.0.1", "12.0.1.2"}, {"14.0.0.1", "14.0.1.2"}, {"15.0.0.1", "15.0.1.2"}},
        {{"2400:1::1", "2400:1::2"},
         {"2400:2::1", "2400:2::2"},
         {"2400:3::1", "2400:3::2"},
         {"2400:4::1", "2400:4::2"}},
    };
    const char *const *ip = ips[c->where->family == 6][c->server_count];
    stage_server *server = &c->servers[c->server_count++];
    *server = (stage_server){.a = endpoint_of(ip[0], 3478), .b = endpoint_of(ip[1], 3479)};
    return server;
}

scene scene_in(const world *w)
{
    scene c = {.where = w, .seed = 1, .round_trip_ns = ROUND_TRIP_NS};
    scene_add_server(&c)->is_hostile = true;
    return c;
}

void scene_use_examples(scene *c)
{
    c->servers[0].a = endpoint_of(c->where->family == 6 ? "2001:db8::1" : "192.0.2.1", 3478);
    c->servers[0].b = endpoint_of(c->where->family == 6 ? "2001:db8::2" : "198.51.100.2", 3479);
}

/* ---- Datagrams under way ---------------------------------------------------------------------------------------- */

static void queue_event(stage *s, struct event e, const message *m)
{
    if (s->queued == s->queue_room) {
        s->queue_room = s->queue_room == 0 ? 64 : 2 * s->queue_room;
        s->queue = realloc(s->queue, s->queue_room * sizeof *s->queue);
        assert_non_null(s->queue);
    }
    e.serial = s->serial++;
    e.size = m->size;
    e.offset = s->scene->alignment;
    e.memory = malloc(e.offset + m->size + (e.offset + m->size == 0)); /* of its own size: a byte too far is seen */
    assert_non_null(e.memory);
    memcpy(e.memory + e.offset, m->bytes, m->size);
    s->queue[s->queued++] = e;
}

void stage_reply(stage *s, const asked *a, const endpoint *from, uint64_t after_ns, const message *m)
{
    queue_event(s, (struct event){.at_ns = s->now_ns + after_ns, .from = *from, .to = a->q.mapped}, m);
}

void stage_inject(stage *s, int slot, const endpoint *from, uint64_t after_ns, const message *m)
{
    queue_event(s, (struct event){.at_ns = s->now_ns + after_ns, .slot = slot, .from = *from}, m);
}

/* Index of the event that comes first. */
static size_t first_event(const stage *s)
{
    size_t first = 0;
    for (size_t i = 1; i < s->queued; i++) {
        const struct event *a = &s->queue[i], *b = &s->queue[first];
        if (a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->serial < b->serial))
            first = i;
    }
    return first;
}

static void hand_over(stage *s, struct event *e)
{
    endpoint local = local_address(s, e->slot);
    if (e->to.family != 0) {
        if (!nat_inbound(s->nat, s->now_ns, &e->from, &e->to))
            return;
        local = e->to;
        e->slot = local.port - LOCAL_PORT;
    }
    const npi_addr from = npi_from_endpoint(&e->from), at = npi_from_endpoint(&local);
    s->handed_over++;
    npi_incoming in;
    npi_engine_match(s->probe, e->slot, e->memory + e->offset, e->size, &in);
    npi_engine_receive(s->probe, s->now_ns, &in, &from, &at);
}

static void take_first_event(stage *s)
{
    const size_t first = first_event(s);
    struct event e = s->queue[first];
    s->queue[first] = s->queue[--s->queued];
    hand_over(s, &e);
    free(e.memory);
}

/* ---- Honest servers --------------------------------------------------------------------------------------------- */

static server_desc describe(const stage *s, const stage_server *server)
{
    server_desc d = server_conforming(server->a, server->b);
    d.adapts = true;
    d.plain = server->is_silent ? PLAIN_SILENT : PLAIN_ANSWERED;
    d.dialect = s->scene->where->classic ? DIALECT_CLASSIC : DIALECT_ANY;
    d.late_ns = s->scene->round_trip_ns;
    d.two_ips = !server->alternate_is_dead;
    if (server->b.family == 0) {
        d.two_ips = d.two_ports = false;
        d.other = OTHER_NONE;
        d.change = CHANGE_IGNORED;
    }
    return d;
}

/* The server that has an endpoint; fails where nothing may be sent to. */
static size_t find_server(const stage *s, const endpoint *to)
{
    for (size_t i = 0; i < s->scene->server_count; i++) {
        const server_desc *d = &s->descs[i];
        if (endpoint_equal(&d->a, to) || (d->b.family != 0 && server_owns(d, to)))
            return i;
    }
    char text[ENDPOINT_TEXT];
    endpoint_text(to, text);
    fail_msg("%s: a datagram to %s", s->scene->where->name, text);
    return 0;
}

static void note_seen(stage *s, const endpoint *seen)
{
    for (size_t i = 0; i < s->seen_count; i++) {
        if (endpoint_equal(&s->seen[i], seen))
            return;
    }
    assert_true(s->seen_count < SEEN_ROOM);
    s->seen[s->seen_count++] = *seen;
}

static asked ask_server(stage *s, const sent *d)
{
    asked a = {.slot = d->slot, .serial = (unsigned)s->trace_size - 1, .server = find_server(s, &d->to)};
    const server_desc *desc = &s->descs[a.server];
    if (!question_read(&a.q, d->bytes, d->size)) /* which has not a bit too many: CVE-2020-4067 */
        fail_msg("%s: not a request of ours", s->scene->where->name);
    a.q.asked = d->to;
    a.q.answerer = desc->b.family != 0 ? server_answerer(desc, &d->to, a.q.change) : d->to;
    endpoint to = d->to;
    a.q.mapped = local_address(s, d->slot);
    assert_true(nat_outbound(s->nat, s->now_ns, &a.q.mapped, &to));
    a.q.other = desc->b;
    if (d->slot == NPI_SLOT_SOURCE)
        note_seen(s, &a.q.mapped);
    return a;
}

typedef struct answering {
    stage *s;
    const asked *a;
} answering;

static void send_answer(void *user, const server_answer *answer)
{
    const answering *x = user;
    stage_reply(x->s, x->a, &answer->from, answer->delay_ns, &answer->message);
}

static void ask(stage *s, const sent *d)
{
    const asked a = ask_server(s, d);
    const endpoint local = local_address(s, d->slot);
    answering x = {s, &a};
    const bool adverse = s->scene->servers[a.server].is_hostile && s->scene->adversary != NULL;
    if (!adverse || s->scene->adversary(s, &a, s->scene->user))
        server_receive(&s->engines[a.server], s->now_ns, &a.q.mapped, &d->to, &local, d->bytes, d->size, send_answer,
                       &x);
}

/* ---- What holds in every run ------------------------------------------------------------------------------------ */

static bool has_same_id(const sent *a, const sent *b)
{
    return memcmp(a->bytes + 4, b->bytes + 4, ID_SIZE) == 0;
}

static uint32_t change_of(const sent *d)
{
    stun_request q;
    assert_null(request_read(&q, d->bytes, d->size));
    return q.change;
}

/* How long before this datagram, which comes behind the trace, the copy before it must have left. */
static uint64_t least_gap_ns(const stage *s, const sent *d)
{
    pace p = {0};
    if (d->slot == NPI_SLOT_SOURCE || d->slot >= NPI_SLOT_PATH)
        return pace_usual_gap_ns();
    for (size_t i = 0; i < s->trace_size; i++) {
        if (s->trace[i].slot == d->slot)
            pace_count(&p, change_of(&s->trace[i]), s->trace[i].at_ns);
    }
    pace_count(&p, change_of(d), d->at_ns);
    return pace_least_gap_ns(&p, change_of(d), d->at_ns);
}

/* An id belongs to one request: one socket, one destination, one content. Its copies keep their distance. */
static void check_copy(const stage *s, const sent *copy, const sent *d)
{
    assert_true(copy->slot == d->slot && endpoint_equal(&copy->to, &d->to));
    assert_int_equal(copy->size, d->size);
    assert_memory_equal(copy->bytes, d->bytes, d->size);
    const uint64_t gap_ns = d->at_ns - copy->at_ns;
    assert_true(gap_ns >= pace_usual_gap_ns() || gap_ns >= least_gap_ns(s, d));
}

static void check_pace(const stage *s, sent *d)
{
    unsigned copies = 1, transactions = 1;
    for (size_t i = 0; i < s->trace_size; i++) {
        const sent *o = &s->trace[i];
        if (has_same_id(o, d)) {
            check_copy(s, o, d);
            copies++;
        }
        transactions += o->begins && o->at_ns + 1000 * NPI_MS > d->at_ns;
    }
    d->begins = copies == 1;
    if (d->begins && transactions > MOST_TRANSACTIONS)
        fail_msg("%s: %u transactions within a second", s->scene->where->name, transactions);
    if (!endpoint_equal(&s->descs[find_server(s, &d->to)].a, &d->to) && copies > MOST_COPIES)
        fail_msg("%s: %u copies to an address that only the server named", s->scene->where->name, copies);
}

static void note_sent(stage *s, const npi_datagram *d)
{
    sent *t = &s->trace[s->trace_size];
    *t = (sent){.at_ns = s->now_ns, .slot = d->slot, .to = endpoint_from_npi(&d->to), .size = d->size};
    memcpy(t->bytes, d->data, d->size);
    check_pace(s, t);
    s->trace_size++;
    if (s->trace_size > MOST_DATAGRAMS + MOST_DATAGRAMS_MORE * s->scene->server_count)
        fail_msg("%s: %zu datagrams", s->scene->where->name, s->trace_size);
}

/* ---- A run ------------------------------------------------------------------------------------------------------ */

/* Depends on how much was sent before, not on how often the experiment was asked. */
static void draw_random(const stage *s, uint8_t out[NPI_STUN_ID_SIZE])
{
    for (size_t i = 0; i < NPI_STUN_ID_SIZE; i += sizeof(uint64_t)) {
        const uint64_t drawn = hash_mix(s->scene->seed, 2 * s->trace_size + i / sizeof(uint64_t));
        memcpy(out + i, &drawn, sizeof drawn);
    }
}

/* Returns whether anything was sent. */
static bool send_due(stage *s)
{
    const size_t before = s->trace_size;
    for (;;) {
        npi_datagram d;
        uint8_t random[NPI_STUN_ID_SIZE];
        draw_random(s, random);
        memset(&d, 0xff, sizeof d);
        npi_engine_advance(s->probe, s->now_ns);
        if (!npi_engine_next_datagram(s->probe, random, &d))
            return s->trace_size > before;
        note_sent(s, &d);
        npi_engine_sent(s->probe, &d);
        ask(s, &s->trace[s->trace_size - 1]);
    }
}

/* Goes on to whatever comes next: a datagram, a tick, or the time at which the experiment wants to be woken. */
static bool step(stage *s, uint64_t *next_tick_ns)
{
    const uint64_t wakeup_ns = npi_engine_wakeup_ns(s->probe);
    uint64_t next_ns = wakeup_ns < *next_tick_ns ? wakeup_ns : *next_tick_ns;
    if (s->queued > 0 && s->queue[first_event(s)].at_ns <= next_ns) {
        const uint64_t at_ns = s->queue[first_event(s)].at_ns;
        s->now_ns = at_ns > s->now_ns ? at_ns : s->now_ns;
        take_first_event(s);
        return true;
    }
    assert_true(next_ns != NPI_NEVER);
    const bool moved = next_ns > s->now_ns;
    s->now_ns = moved ? next_ns : s->now_ns;
    if (next_ns == *next_tick_ns) {
        s->scene->ticker(s, s->scene->user);
        *next_tick_ns += s->scene->tick_ns;
    }
    return moved;
}

static void play(stage *s)
{
    unsigned idle = 0;
    uint64_t next_tick_ns = s->scene->ticker != NULL ? s->now_ns + s->scene->tick_ns : NPI_NEVER;
    while (!npi_engine_is_done(s->probe)) {
        const bool has_sent = send_due(s);
        if (npi_engine_is_done(s->probe))
            break;
        idle = step(s, &next_tick_ns) || has_sent ? 0 : idle + 1;
        assert_true(idle < MOST_IDLE_TURNS);
    }
    assert_true(npi_engine_wakeup_ns(s->probe) == NPI_NEVER);
}

static void build(stage *s)
{
    const world *w = s->scene->where;
    const char *some_ip = w->family == 6 ? "2600::6" : "13.0.0.6";
    s->box = (box_desc){
        .kind = w->filtering == EI ? BOX_PASS : BOX_FIREWALL, .ports = PORT_CONTIGUOUS, .timeout_ns = NEVER};
    if (is_translated(w)) {
        s->box.kind = BOX_NAT;
        s->box.mapping = (dependence)(w->mapping - EI);
        s->box.external[0] = endpoint_of(s->scene->external_ip != NULL ? s->scene->external_ip : some_ip, 0);
    }
    s->box.filtering = (dependence)(w->filtering - EI);
    s->nat = malloc(sizeof *s->nat);
    assert_non_null(s->nat);
    nat_init(s->nat, &s->box, 0, s->now_ns);
    s->nat->next_port = (uint16_t)(s->scene->external_port != 0 ? s->scene->external_port : EXTERNAL_PORT);
    for (size_t i = 0; i < s->scene->server_count; i++) {
        s->descs[i] = describe(s, &s->scene->servers[i]);
        server_init(&s->engines[i], &s->descs[i], s->now_ns);
    }
}

static void begin(stage *s)
{
    const scene *c = s->scene;
    const uint64_t deadline_ns = c->deadline_ns != 0 ? c->deadline_ns : 10000 * NPI_MS;
    const npi_engine_config config = {
        .tests = c->mapping_only ? NP_TESTS_MAPPING : NP_TESTS_DEFAULT,
        .max_servers = STAGE_SERVERS,
        .deadline_ns = s->now_ns + deadline_ns,
        .response_timeout_ns = c->response_timeout_ns != 0 ? c->response_timeout_ns : 3000 * NPI_MS,
        .log = {.sink = c->log, .user = c->watcher, .level = NP_LOG_DEBUG},
        .observer = {.sink = c->events, .user = c->watcher},
    };
    s->probe = malloc(npi_engine_size(STAGE_SERVERS, NP_TESTS_OPTIONAL));
    assert_non_null(s->probe);
    npi_engine_init(s->probe, &config, s->now_ns);
    for (size_t i = 0; i < c->server_count; i++) {
        const npi_addr a = npi_from_endpoint(&c->servers[i].a);
        assert_true(npi_engine_add_server(s->probe, &a, c->servers[i].b.family == 0));
    }
    npi_engine_expect_servers(s->probe, false);
}

void stage_run(stage *s, const scene *c)
{
    memset(s, 0, sizeof *s);
    s->scene = c;
    s->now_ns = 1000 * NPI_MS;
    build(s);
    begin(s);
    play(s);
    memset(&s->result, 0xA5, sizeof s->result);
    npi_engine_result(s->probe, s->now_ns, &s->result);
    assert_int_equal(s->result.packets_sent, s->trace_size);
    assert_int_equal(s->result.packets_received, s->handed_over);
    assert_true(s->result.elapsed_us <= (c->deadline_ns != 0 ? c->deadline_ns : 10000 * NPI_MS) / 1000);
}

void stage_close(stage *s)
{
    for (size_t i = 0; i < s->queued; i++)
        free(s->queue[i].memory);
    free(s->queue);
    free(s->nat);
    free(s->probe);
    memset(s, 0, sizeof *s);
}

/* ---- Verdicts --------------------------------------------------------------------------------------------------- */

static bool is_dependent(int32_t behaviour)
{
    return behaviour == AD || behaviour == APD || behaviour == NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
}

/* Unknown is never wrong, and of a dependent behaviour the kind may be unknown. */
static bool is_true(int32_t said, int32_t truth)
{
    return said == NP_BEHAVIOUR_UNKNOWN || said == truth ||
           (said == NP_BEHAVIOUR_ENDPOINT_DEPENDENT && is_dependent(truth));
}

static void check_text(const char *text, size_t room)
{
    assert_non_null(memchr(text, '\0', room));
    for (; *text != '\0'; text++)
        assert_true(*text >= ' ' && *text < 0x7f);
}

static void check_external(const stage *s)
{
    const np_result *r = &s->result;
    npi_addr seen;
    if (r->external_ip[0] == '\0') {
        assert_int_equal(r->external_port, 0);
        return;
    }
    assert_true(npi_addr_parse_ip(r->external_ip, &seen));
    for (size_t i = 0; i < s->seen_count; i++) {
        const npi_addr truth = npi_from_endpoint(&s->seen[i]);
        if (npi_addr_same_ip(&truth, &seen) && truth.port == r->external_port)
            return;
    }
    fail_msg("%s: %s:%u is not how the source socket is seen", s->scene->where->name, r->external_ip,
             (unsigned)r->external_port);
}

void expect_nothing_wrong(const stage *s)
{
    const np_result *r = &s->result;
    const world *w = s->scene->where;
    if (!is_true(r->mapping, w->mapping) || !is_true(r->filtering, w->filtering))
        fail_msg("%s: said to be %s with %s filtering", w->name, np_behaviour_name(r->mapping),
                 np_behaviour_name(r->filtering));
    if (r->error == NP_OK) {
        assert_int_not_equal(r->nat_type, NP_NAT_UNKNOWN);
        assert_int_equal(r->nat_type, npi_classify_type(r->mapping, r->filtering));
    } else {
        assert_int_equal(r->nat_type, r->error == NP_ERR_NO_RESPONSE ? NP_NAT_UDP_BLOCKED : NP_NAT_UNKNOWN);
        assert_true(r->detail[0] != '\0');
    }
    check_text(r->detail, sizeof r->detail);
    check_text(r->server, sizeof r->server);
    check_external(s);
}

void expect_truth(const stage *s)
{
    const np_result *r = &s->result;
    const world *w = s->scene->where;
    expect_nothing_wrong(s);
    if (r->error != NP_OK || r->nat_type != w->type)
        fail_msg("%s: said to be %s, %s: %s", w->name, np_nat_type_name(r->nat_type), np_error_name(r->error),
                 r->detail);
    assert_int_equal(r->filtering, w->filtering);
}

static bool is_same_datagram(const sent *a, const sent *b)
{
    return a->at_ns == b->at_ns && a->slot == b->slot && endpoint_equal(&a->to, &b->to) && a->size == b->size &&
           memcmp(a->bytes, b->bytes, a->size) == 0;
}

void expect_same_run(const stage *s, const stage *other)
{
    np_result a = s->result, b = other->result;
    const char *name = s->scene->where->name;
    a.packets_received = b.packets_received = 0;
    for (size_t i = 0; i < s->trace_size && i < other->trace_size; i++) {
        if (!is_same_datagram(&s->trace[i], &other->trace[i]))
            fail_msg("%s: datagram %zu is another, or at another time", name, i);
    }
    if (s->trace_size != other->trace_size)
        fail_msg("%s: %zu datagrams instead of %zu", name, s->trace_size, other->trace_size);
    if (memcmp(&a, &b, sizeof a) != 0)
        fail_msg("%s: said to be %s (%s, evidence %#x, %u us) instead of %s (%s, %#x, %u us)", name,
                 np_nat_type_name(a.nat_type), np_error_name(a.error), (unsigned)a.evidence, (unsigned)a.elapsed_us,
                 np_nat_type_name(b.nat_type), np_error_name(b.error), (unsigned)b.evidence, (unsigned)b.elapsed_us);
}

unsigned count_sent_to(const stage *s, const endpoint *to)
{
    unsigned count = 0;
    for (size_t i = 0; i < s->trace_size; i++)
        count += endpoint_same_ip(&s->trace[i].to, to) && (to->port == 0 || to->port == s->trace[i].to.port);
    return count;
}
