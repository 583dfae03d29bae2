/* SPDX-License-Identifier: MIT */
/*
 * The input is a script of what happens to an experiment: which servers there are, when time passes, what arrives from
 * where and what cannot be sent. Whatever happens, the experiment ends by its deadline, stays within its caps, sends
 * only where it may, and its result is whole and does not contradict itself.
 */
#include "fuzz.h"

#include "check.h"
#include "engine/engine.h"

#include "../support/endpoint.h"

enum { REMEMBERED = 64, MOST_DATAGRAMS = 1000, MOST_WAKEUPS = 100000, MOST_SERVERS = 512 };

typedef struct scene {
    input in;
    npi_engine *probe;
    uint64_t now_ns, deadline_ns;
    unsigned sent;
    npi_datagram remembered[REMEMBERED];
    npi_addr servers[MOST_SERVERS];
    size_t server_count;
    uint8_t serial;
    bool silenced;
} scene;

/* Few addresses, so that they meet: servers, their alternates, the host, the NAT, and some that nobody may send to. */
static npi_addr address_from(uint8_t choice)
{
    static const uint8_t last_bytes[] = {1, 2, 3, 4, 100, 101};
    const uint16_t port = (choice & 0x40) != 0 ? 3479 : 3478;
    switch ((choice >> 3) & 7) {
    case 1:
        return npi_addr_v4(10, 0, 0, last_bytes[choice % 6], (uint16_t)(40000 + (choice & 0xC0)));
    case 2:
        return npi_addr_v4(127, 0, 0, 1, port);
    case 3:
        return npi_addr_v4(198, 51, 100, last_bytes[choice % 6], (uint16_t)(50000 + (choice & 0xC0)));
    case 4:
        return npi_addr_v4(0, 0, 0, 0, 0);
    case 5:
        return npi_addr_v4(224, 0, 0, 1, port);
    case 6: {
        npi_addr v6 = {.family = NPI_IPV6, .ip = {0x20, 0x01, 0x0d, 0xb8}, .port = port};
        v6.ip[15] = last_bytes[choice % 6];
        return v6;
    }
    default:
        return npi_addr_v4(192, 0, 2, last_bytes[choice % 6], port);
    }
}

static size_t put_u16(uint8_t *out, size_t at, unsigned value)
{
    out[at] = (uint8_t)(value >> 8);
    out[at + 1] = (uint8_t)value;
    return at + 2;
}

static size_t put_address(uint8_t *out, size_t at, unsigned type, const npi_addr *a, bool xored)
{
    const size_t ip_size = a->family == NPI_IPV6 ? 16 : 4;
    const size_t start = at + 6;
    at = put_u16(out, at, type);
    at = put_u16(out, at, (unsigned)(4 + ip_size));
    at = put_u16(out, at, a->family == NPI_IPV6 ? 2 : 1);
    at = put_u16(out, at, a->port);
    memcpy(out + at, a->ip, ip_size);
    for (size_t i = 0; xored && i < 2; i++)
        out[start + i] ^= out[4 + i];
    for (size_t i = 0; xored && i < ip_size; i++)
        out[at + i] ^= out[4 + i];
    return at + ip_size;
}

static size_t begin_answer(uint8_t *out, unsigned type, const npi_datagram *request)
{
    memset(out, 0, 20);
    put_u16(out, 0, type);
    memcpy(out + 4, request->data + 4, NPI_STUN_ID_SIZE);
    return 20;
}

static void deliver(scene *s, int slot, const npi_addr *from, const npi_addr *local, const uint8_t *bytes, size_t size)
{
    /* In memory of its own size: a byte too far is seen. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        return;
    memcpy(copy, bytes, size);
    npi_incoming in;
    npi_engine_match(s->probe, slot, copy, size, &in);
    npi_engine_receive(s->probe, s->now_ns, &in, from, local);
    free(copy);
}

/* An answer to a datagram that was sent: well made, or with the input's own bytes behind the right header. */
static void event_answer(scene *s, bool well_made)
{
    uint8_t bytes[600];
    const npi_datagram *request = &s->remembered[take(&s->in) % REMEMBERED];
    const uint8_t from_choice = take(&s->in);
    const npi_addr from = from_choice == 0 ? request->to : address_from(from_choice);
    const npi_addr local = address_from(8);
    size_t size;
    if (well_made) {
        const npi_addr mapped = address_from(take(&s->in));
        const npi_addr other = address_from(take(&s->in));
        size = begin_answer(bytes, 0x0101, request);
        size = put_address(bytes, size, 0x0020, &mapped, true);
        size = put_address(bytes, size, 0x802C, &other, false);
    } else {
        const uint8_t type = take(&s->in);
        size = begin_answer(bytes, type < 128 ? 0x0111 : 0x0101, request);
        size += take_bytes(&s->in, bytes + size, take(&s->in));
    }
    put_u16(bytes, 2, (unsigned)(size - 20));
    deliver(s, request->slot, &from, &local, bytes, size);
}

static void event_raw(scene *s)
{
    uint8_t bytes[256];
    const int slot = take(&s->in) % NPI_SLOT_COUNT;
    const npi_addr from = address_from(take(&s->in));
    const npi_addr local = address_from(take(&s->in));
    const size_t size = take_bytes(&s->in, bytes, take(&s->in));
    deliver(s, slot, &from, &local, bytes, size);
}

static void event_unsent(scene *s)
{
    static const int32_t errors[] = {NP_OK, NP_ERR_NETWORK_UNREACHABLE, NP_ERR_SYSTEM, NP_ERR_ADDRESS_NOT_AVAILABLE};
    const npi_datagram *last = &s->remembered[(s->sent + REMEMBERED - 1) % REMEMBERED];
    const uint8_t choice = take(&s->in);
    if (s->sent > 0)
        npi_engine_unsent(s->probe, s->now_ns, last, errors[choice % 4], choice);
}

static void add_server(scene *s, bool mapping_only)
{
    const npi_addr server = address_from(take(&s->in));
    if (s->server_count == MOST_SERVERS || !npi_engine_add_server(s->probe, &server, mapping_only))
        return;
    s->servers[s->server_count++] = server;
}

/* To a server itself, another port of it, or an address that it may well have named as its alternate. */
static bool may_be_sent_to(const scene *s, const npi_addr *to)
{
    const npi_addr other_port = npi_addr_with_port(to, to->port == 3478 ? 3479 : 3478);
    for (size_t i = 0; i < s->server_count; i++) {
        const npi_addr *server = &s->servers[i];
        if (npi_addr_same_ip(server, to))
            return true;
        if (npi_addr_is_alternate(server, to) || npi_addr_is_alternate(server, &other_port))
            return true;
    }
    return false;
}

/* 0: public, 1: private, 2: loopback or link-local, 3: nobody's. By the simulator, which does not ask the library. */
static int class_of(const npi_addr *a)
{
    endpoint e = {.family = a->family, .port = a->port};
    memcpy(e.ip, a->ip, sizeof e.ip);
    return endpoint_class(&e);
}

/* No server can direct this host into a network that is not public, unless it is of that kind itself. */
static bool is_kind_known(const scene *s, const npi_addr *to)
{
    for (size_t i = 0; i < s->server_count; i++) {
        if (class_of(&s->servers[i]) == class_of(to))
            return true;
    }
    return class_of(to) == 0;
}

static void check_datagram(const scene *s, const npi_datagram *d)
{
    FUZZ_CHECK(d->slot >= 0 && d->slot < NPI_SLOT_COUNT);
    FUZZ_CHECK(d->size == 20 || d->size == 28);
    FUZZ_CHECK(npi_addr_is_destination(&d->to) && is_kind_known(s, &d->to));
    FUZZ_CHECK(may_be_sent_to(s, &d->to));
}

/* Sends all that is to be sent now; an input byte may say that the last one did not leave. */
static void send_due(scene *s, bool failing)
{
    uint8_t random[NPI_STUN_ID_SIZE] = {0};
    npi_datagram d;
    for (;;) {
        random[0] = s->serial++;
        random[8] = (uint8_t)s->sent;
        random[9] = (uint8_t)(s->sent >> 8);
        npi_engine_advance(s->probe, s->now_ns);
        if (!npi_engine_next_datagram(s->probe, random, &d))
            return;
        check_datagram(s, &d);
        s->remembered[s->sent++ % REMEMBERED] = d;
        FUZZ_CHECK(s->sent <= MOST_DATAGRAMS);
        if (failing) {
            event_unsent(s);
            return;
        }
        npi_engine_sent(s->probe, &d);
    }
}

static void sleep_until_woken(scene *s)
{
    const uint64_t wakeup_ns = npi_engine_wakeup_ns(s->probe);
    FUZZ_CHECK(wakeup_ns != NPI_NEVER);
    if (wakeup_ns > s->now_ns)
        s->now_ns = wakeup_ns;
    else
        s->now_ns += 1000; /* no clock stands still */
}

/* An answer of which the system does not know where it was delivered to. */
static void event_unknown_local(scene *s)
{
    uint8_t bytes[64];
    const npi_datagram *request = &s->remembered[take(&s->in) % REMEMBERED];
    const npi_addr mapped = address_from(take(&s->in));
    size_t size = begin_answer(bytes, 0x0101, request);
    size = put_address(bytes, size, 0x0020, &mapped, true);
    put_u16(bytes, 2, (unsigned)(size - 20));
    npi_incoming in;
    npi_engine_match(s->probe, request->slot, bytes, size, &in);
    npi_engine_receive(s->probe, s->now_ns, &in, &request->to, NULL);
}

static void event_rare(scene *s, unsigned kind)
{
    np_result result;
    switch (kind) {
    case 0:
        npi_engine_result(s->probe, s->now_ns, &result);
        FUZZ_CHECK(npi_engine_size(NPI_SERVERS_MAX + 1, NP_TESTS_OPTIONAL) ==
                   npi_engine_size(NPI_SERVERS_MAX, NP_TESTS_OPTIONAL));
        break;
    case 1:
        npi_engine_mute(s->probe);
        s->silenced = true;
        break;
    case 2:
        event_unknown_local(s);
        break;
    case 3: /* a clock that goes backwards */
        s->now_ns -= s->now_ns > NPI_MS ? NPI_MS : 0;
        break;
    case 24:
        npi_engine_stop(s->probe, s->now_ns, NP_ERR_CANCELLED, 0);
        break;
    default:
        break;
    }
}

static void event(scene *s)
{
    const uint8_t kind = take(&s->in);
    switch (kind % 10) {
    case 0:
        sleep_until_woken(s);
        break;
    case 1:
        s->now_ns += take(&s->in) * NPI_MS;
        break;
    case 2:
    case 3:
    case 4:
        event_answer(s, true);
        break;
    case 5:
        event_answer(s, false);
        break;
    case 6:
        event_raw(s);
        break;
    case 7:
        send_due(s, true);
        return;
    case 8:
        add_server(s, (kind & 0x80) != 0);
        npi_engine_expect_servers(s->probe, (kind & 0x40) != 0);
        break;
    default:
        event_rare(s, kind / 10);
        break;
    }
    send_due(s, false);
}

static void run_to_the_end(scene *s)
{
    npi_engine_expect_servers(s->probe, false);
    for (unsigned wakeups = 0; !npi_engine_is_done(s->probe); wakeups++) {
        FUZZ_CHECK(wakeups < MOST_WAKEUPS);
        send_due(s, false);
        if (npi_engine_is_done(s->probe))
            break;
        FUZZ_CHECK(npi_engine_wakeup_ns(s->probe) <= s->deadline_ns || s->now_ns > s->deadline_ns);
        sleep_until_woken(s);
        FUZZ_CHECK(s->now_ns <= s->deadline_ns + 300 * NPI_MS);
    }
    npi_engine_advance(s->probe, s->now_ns);
    FUZZ_CHECK(!npi_engine_next_datagram(s->probe, (const uint8_t[NPI_STUN_ID_SIZE]){0}, &s->remembered[0]));
}

static void take_line(int32_t level, const char *line, void *user)
{
    const scene *s = user;
    FUZZ_CHECK(!s->silenced);
    check_line(level, line);
}

static void take_event(const np_event *event, void *user)
{
    const scene *s = user;
    FUZZ_CHECK(!s->silenced);
    check_event(event);
}

static void begin(scene *s, size_t room, uint8_t options, uint64_t response_timeout_ns)
{
    const npi_engine_config config = {
        .max_servers = room,
        .tests = (options & 1) != 0 ? NP_TESTS_MAPPING : NP_TESTS_DEFAULT,
        .deadline_ns = s->now_ns + (uint64_t)(1 + (options >> 4)) * 700 * NPI_MS,
        .response_timeout_ns = response_timeout_ns,
        .log = {.sink = take_line, .user = s, .level = NP_LOG_DEBUG},
        .observer = {.sink = take_event, .user = s},
    };
    memset(s->probe, 0xA5, npi_engine_size(room, NP_TESTS_OPTIONAL));
    npi_engine_init(s->probe, &config, s->now_ns);
    s->deadline_ns = config.deadline_ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static scene s;
    memset(&s, 0, sizeof s);
    s.in = (input){data, size};
    s.now_ns = 5 * NPI_MS;
    const uint8_t options = take(&s.in);
    const uint8_t more = take(&s.in);
    const size_t room = more % 8 == 0 ? NPI_SERVERS_MAX : more % 8;
    s.probe = malloc(npi_engine_size(room, NP_TESTS_OPTIONAL));
    if (s.probe == NULL)
        return 0;
    begin(&s, room, options, (more & 8) != 0 ? 500 * NPI_MS : 3000 * NPI_MS);
    for (int i = 0; i < 1 + ((options >> 1) & 3); i++)
        add_server(&s, (options & 8) != 0);
    send_due(&s, false);
    while (s.in.size > 0 && !npi_engine_is_done(s.probe))
        event(&s);
    run_to_the_end(&s);
    np_result result;
    check_result_of(s.probe, s.now_ns, &result);
    free(s.probe);
    return 0;
}
