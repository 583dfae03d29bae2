/* SPDX-License-Identifier: MIT */
/* STUN servers: conforming (RFC 5780, RFC 3489) and in every way of not conforming that has been met or feared. */
#include "server.h"

#include <string.h>

#define RATE_WINDOW_NS (100 * MS)

void server_init(server *s, const server_desc *desc, uint64_t start_ns)
{
    *s = (server){.desc = desc, .start_ns = start_ns, .tokens = desc->rate};
}

bool server_is_second(const server_desc *desc, const endpoint *to)
{
    return endpoint_same_ip(&desc->b, to);
}

bool server_owns(const server_desc *desc, const endpoint *to)
{
    bool ip = endpoint_same_ip(&desc->a, to) || endpoint_same_ip(&desc->b, to);
    return ip && (to->port == desc->a.port || to->port == desc->b.port);
}

/* Whether something listens at an endpoint that the server owns. */
static bool is_served(const server_desc *desc, const endpoint *to)
{
    if (server_is_second(desc, to) && !desc->two_ips)
        return false;
    return to->port == desc->a.port || desc->two_ports;
}

static bool is_dead(const server *s, uint64_t now_ns, const endpoint *e)
{
    const server_desc *d = s->desc;
    if (d->dies_ns == 0 || (d->dies_in_part && !server_is_second(d, e)))
        return false;
    uint64_t age_ns = now_ns - s->start_ns;
    return age_ns >= d->dies_ns && (d->back_ns == 0 || age_ns < d->back_ns);
}

static bool is_deaf(const server_desc *d, const endpoint *to)
{
    bool q = to->port == d->b.port;
    return server_is_second(d, to) ? (q ? d->deaf_bq : d->deaf_bp) : (q && d->deaf_aq);
}

static bool take_token(server *s, uint64_t now_ns)
{
    double rate = s->desc->rate;
    s->tokens += rate * (double)(now_ns - s->tokens_ns) / (double)RATE_WINDOW_NS;
    s->tokens = s->tokens > rate ? rate : s->tokens;
    s->tokens_ns = now_ns;
    if (s->tokens < 1)
        return false;
    s->tokens -= 1;
    return true;
}

static bool within_rate(server *s, uint64_t now_ns)
{
    if (s->desc->rate == 0)
        return true;
    if (s->desc->rate_kind == RATE_BUCKET)
        return take_token(s, now_ns);
    if (now_ns - s->window_ns >= RATE_WINDOW_NS || s->window_ns == 0) {
        s->window_ns = now_ns;
        s->in_window = 0;
    }
    return s->in_window++ < s->desc->rate;
}

/* The endpoint with the other IP and / or port. */
static endpoint other_end(const server_desc *d, const endpoint *at, bool ip, bool port)
{
    endpoint e = *at;
    if (ip)
        e = endpoint_with_port(server_is_second(d, at) ? &d->a : &d->b, at->port);
    if (port)
        e.port = at->port == d->a.port ? d->b.port : d->a.port;
    return e;
}

/* From where a request with CHANGE-REQUEST is answered; false: not at all. */
static bool answer_from(const server_desc *d, const endpoint *at, uint32_t change, endpoint *from)
{
    bool ip = (change & CHANGE_IP) != 0;
    bool port = (change & CHANGE_PORT) != 0;
    *from = *at;
    switch (d->change) {
    case CHANGE_HONOURED:
        break;
    case CHANGE_PORT_ONLY:
        ip = false;
        break;
    case CHANGE_IP_ONLY:
        port = false;
        break;
    case CHANGE_ODD_PORT:
        *from = other_end(d, at, ip, port);
        from->port = 40000;
        return true;
    case CHANGE_DROPPED:
        return false;
    case CHANGE_IP_DROPPED:
        if (ip)
            return false;
        break;
    case CHANGE_PORT_DROPPED:
        if (!ip)
            return false;
        break;
    default:
        return true;
    }
    *from = other_end(d, at, ip, port);
    return is_served(d, from);
}

static endpoint named_other(const server *s, const endpoint *at)
{
    const server_desc *d = s->desc;
    bool false_one = d->other_is_false || (d->other_flips && s->answered % 2 == 0);
    return false_one ? d->false_other : other_end(d, at, true, true);
}

static void put_mapped(wire_message *m, const server_desc *d, const endpoint *seen, const endpoint *local, bool cookie)
{
    endpoint e = *seen;
    switch (d->mapped) {
    case MAPPED_XOR:
        wire_xor_address(m, ATTR_XOR_MAPPED_ADDRESS, seen);
        break;
    case MAPPED_XOR_AND_PLAIN:
        wire_address(m, ATTR_MAPPED_ADDRESS, seen);
        wire_xor_address(m, ATTR_XOR_MAPPED_ADDRESS, seen);
        break;
    case MAPPED_XOR_OLD:
        wire_xor_address(m, ATTR_XOR_MAPPED_OLD, seen);
        break;
    case MAPPED_REWRITTEN:
        wire_address(m, ATTR_MAPPED_ADDRESS, local);
        wire_xor_address(m, cookie ? ATTR_XOR_MAPPED_ADDRESS : ATTR_XOR_MAPPED_OLD, seen);
        break;
    case MAPPED_ZERO_IP:
        e = endpoint_any(seen->family, seen->port);
        wire_address(m, ATTR_MAPPED_ADDRESS, &e);
        break;
    case MAPPED_ZERO_PORT:
        e.port = 0;
        wire_xor_address(m, ATTR_XOR_MAPPED_ADDRESS, &e);
        break;
    case MAPPED_OTHER_FAMILY:
        e = endpoint_public(seen->family == 4 ? 6 : 4, 0, 5, seen->port);
        wire_address(m, ATTR_MAPPED_ADDRESS, &e);
        break;
    case MAPPED_PRIVATE:
        e = endpoint_private(seen->family, 200, 7, seen->port);
        wire_xor_address(m, ATTR_XOR_MAPPED_ADDRESS, &e);
        break;
    case MAPPED_NONE:
        break;
    default:
        wire_address(m, ATTR_MAPPED_ADDRESS, seen);
        break;
    }
}

static void put_origin_and_other(const server *s, wire_message *m, const endpoint *from, const endpoint *at)
{
    const server_desc *d = s->desc;
    endpoint other = named_other(s, at);
    endpoint origin = *from;
    if (d->true_a.family != 0 && endpoint_same_ip(from, &d->a)) /* it knows of no other */
        origin = endpoint_with_port(&d->true_a, from->port);
    if (d->origin)
        wire_address(m, d->other == OTHER_RFC3489 ? ATTR_SOURCE_ADDRESS : ATTR_RESPONSE_ORIGIN, &origin);
    if (d->other == OTHER_RFC3489 || d->other == OTHER_BOTH)
        wire_address(m, ATTR_CHANGED_ADDRESS, &other);
    if (d->other == OTHER_RFC5780 || d->other == OTHER_BOTH)
        wire_address(m, ATTR_OTHER_ADDRESS, &other);
}

static void success(const server *s, wire_message *m, const wire_request *q, const endpoint *seen,
                    const endpoint *local, const endpoint *from, const endpoint *at)
{
    static const char software[] = "odd 7.1"; /* seven bytes: padded to eight, or not */
    wire_begin(m, WIRE_SUCCESS, q->id);
    m->unpadded = s->desc->unpadded;
    if (s->desc->software)
        wire_bytes(m, ATTR_SOFTWARE, software, sizeof software - 1);
    put_mapped(m, s->desc, seen, local, q->cookie);
    put_origin_and_other(s, m, from, at);
    if (s->desc->fingerprint && q->cookie)
        wire_fingerprint(m);
}

static void reject(wire_message *m, const wire_request *q, unsigned code)
{
    static const uint8_t change_request[2] = {0, ATTR_CHANGE_REQUEST};
    wire_begin(m, WIRE_ERROR, q->id);
    wire_error(m, code, code == 420 ? "Unknown Attribute" : "No");
    if (code == 420)
        wire_bytes(m, ATTR_UNKNOWN_ATTRIBUTES, change_request, sizeof change_request);
}

/* Spoils a good answer to a plain request. False: nothing is sent. */
static bool spoil(const server_desc *d, wire_message *m, const wire_request *q, const uint8_t *data, size_t size)
{
    switch (d->plain) {
    case PLAIN_SILENT:
        return false;
    case PLAIN_GARBAGE:
        for (size_t i = 0; i < m->size; i++)
            m->data[i] = (uint8_t)(m->data[i] * 167 + i + 13);
        break;
    case PLAIN_TRUNCATED:
        m->size -= 5;
        break;
    case PLAIN_WRONG_ID:
        m->data[19] ^= 0x01;
        break;
    case PLAIN_ECHO:
        memcpy(m->data, data, size);
        m->size = size;
        break;
    case PLAIN_ERROR_300:
        wire_begin(m, WIRE_ERROR, q->id);
        wire_error(m, 300, "Try Alternate");
        wire_address(m, ATTR_ALTERNATE_SERVER, &d->false_other);
        break;
    case PLAIN_ERROR_500:
        reject(m, q, 500);
        break;
    default:
        break;
    }
    return true;
}

/* What an attacker who sees nothing but knows the format, or a broken server, would send. None of it is an answer. */
static void near_valid(wire_message *m, const wire_message *good, bool cookie, unsigned n)
{
    *m = *good;
    switch (n % (cookie ? 6 : 5)) { /* without a cookie a fingerprint means nothing */
    case 0:                         /* one bit of the transaction id */
        m->data[8 + n / 6 % 12] ^= (uint8_t)(1u << (n / 72 % 8));
        break;
    case 1: /* a length that is not the datagram's */
        m->data[3] = (uint8_t)(m->data[3] + 4);
        break;
    case 2: /* an indication, a request */
        m->data[0] = 0;
        m->data[1] = n / 6 % 2 == 0 ? 0x11 : 0x01;
        break;
    case 3: /* cut off */
        m->size = n % m->size;
        break;
    case 4: /* RTP and the like */
        m->data[0] |= 0x80;
        break;
    default: /* right but for its fingerprint, the last attribute */
        wire_fingerprint(m);
        m->data[m->size - 1] ^= 0x55;
        break;
    }
}

static void send_all(const server *s, server_answer *answer, bool cookie, server_send_fn send, void *user)
{
    wire_message good = answer->message;
    unsigned flood = s->desc->flood;
    for (unsigned i = 0; i < s->desc->copies; i++)
        send(user, answer);
    answer->is_flood = true;
    for (unsigned i = 0; i < flood; i++) {
        near_valid(&answer->message, &good, cookie, i);
        send(user, answer);
    }
}

/* From where a request is answered; false: not at all. */
static bool origin_of(server *s, uint64_t now_ns, const endpoint *to, const wire_request *q, endpoint *from)
{
    const server_desc *d = s->desc;
    if (q->change == 0) {
        *from = d->plain == PLAIN_ELSEWHERE ? other_end(d, to, false, true) : *to;
        return true;
    }
    *from = *to;
    if (d->change_flips && s->changes++ % 2 == 1)
        return true;
    if (!answer_from(d, to, q->change, from) || is_dead(s, now_ns, from))
        return false;
    if (d->true_a.family != 0 && endpoint_same_ip(from, &d->a))
        *from = endpoint_with_port(&d->true_a, from->port);
    return true;
}

/* ---- Servers that are right and yet mislead ---- */

/* Whether its own firewall lets an answer out. */
static bool has_met(const server *s, const endpoint *client, const endpoint *own)
{
    bool (*alike)(const endpoint *, const endpoint *) = s->desc->state == STATE_BY_ADDRESS ? endpoint_same_ip
                                                                                           : endpoint_equal;
    for (unsigned i = 0; i < s->mets && i < SERVER_MET; i++) {
        if (endpoint_equal(&s->met[i][0], client) && alike(&s->met[i][1], own))
            return true;
    }
    return s->desc->state == STATELESS;
}

static void meet(server *s, const endpoint *client, const endpoint *own)
{
    if (has_met(s, client, own))
        return;
    s->met[s->mets % SERVER_MET][0] = *client;
    s->met[s->mets++ % SERVER_MET][1] = *own;
}

static server_client *client_at(server *s, const endpoint *address)
{
    for (unsigned i = 0; i < s->clients; i++) {
        if (endpoint_same_ip(&s->client[i].address, address))
            return &s->client[i];
    }
    if (s->clients == SERVER_CLIENTS) /* the oldest is forgotten */
        memmove(&s->client[0], &s->client[1], --s->clients * sizeof s->client[0]);
    s->client[s->clients] = (server_client){.address = *address};
    return &s->client[s->clients++];
}

/* So few answers to CHANGE-REQUEST for each client; plain requests are always answered. */
static bool may_change(server *s, uint64_t now_ns, const endpoint *from)
{
    if (s->desc->change_gap_ns == 0)
        return true;
    server_client *c = client_at(s, from);
    if (now_ns < c->changes_from_ns)
        return false;
    c->changes_from_ns = now_ns + s->desc->change_gap_ns;
    return true;
}

static endpoint what_it_sees(const server *s, const endpoint *from)
{
    const server_desc *d = s->desc;
    endpoint e = d->sees.family != 0 ? endpoint_with_port(&d->sees, from->port) : *from;
    if (d->sees_port == SEEN_PORT_FIXED)
        e.port = d->sees.port;
    if (d->sees_port == SEEN_PORT_CHANGING)
        e.port = (uint16_t)(20000 + s->answered * 7 % 40000);
    return e;
}

/* Requests wait for each other. */
static uint64_t own_time(server *s, uint64_t now_ns)
{
    if (s->desc->busy_ns == 0)
        return 0;
    uint64_t begin_ns = s->busy_until_ns > now_ns ? s->busy_until_ns : now_ns;
    s->busy_until_ns = begin_ns + s->desc->busy_ns;
    return s->busy_until_ns - now_ns;
}

static bool understands(const server_desc *d, const wire_request *q)
{
    return d->dialect == DIALECT_ANY || (d->dialect == DIALECT_COOKIE) == q->cookie;
}

void server_receive(server *s, uint64_t now_ns, const endpoint *from, const endpoint *to, const endpoint *local,
                    const uint8_t *data, size_t size, server_send_fn send, void *user)
{
    wire_request q;
    server_answer answer = {.delay_ns = s->desc->late_ns};
    if (wire_parse_request(data, size, &q) != NULL || !understands(s->desc, &q) || !is_served(s->desc, to) ||
        is_deaf(s->desc, to) || is_dead(s, now_ns, to))
        return;
    meet(s, from, to);
    if (!within_rate(s, now_ns) || !origin_of(s, now_ns, to, &q, &answer.from))
        return;
    if (q.change != 0 && (!may_change(s, now_ns, from) || !has_met(s, from, &answer.from)))
        return;
    s->answered++;
    answer.delay_ns += own_time(s, now_ns);
    endpoint seen = what_it_sees(s, from);
    success(s, &answer.message, &q, &seen, local, &answer.from, to);
    if (q.change != 0 && s->desc->change == CHANGE_REJECTED)
        reject(&answer.message, &q, s->desc->reject_code);
    if (spoil(s->desc, &answer.message, &q, data, size))
        send_all(s, &answer, q.cookie, send, user);
}
