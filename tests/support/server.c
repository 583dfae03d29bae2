/* SPDX-License-Identifier: MIT */
/* STUN servers: conforming (RFC 5780, RFC 3489) and in every way of not conforming that has been met or feared. */
#include "server.h"

#include <string.h>

#include "clock.h"

#define RATE_WINDOW_NS (100 * MS)

void server_init(server_engine *s, const server_desc *desc, uint64_t start_ns)
{
    *s = (server_engine){.desc = desc, .start_ns = start_ns, .tokens = desc->rate};
}

server_desc server_conforming(endpoint a, endpoint b)
{
    return (server_desc){
        .a = a, .b = b, .two_ports = true, .two_ips = true, .other = OTHER_RFC5780, .origin = true, .copies = 1};
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

static bool is_dead(const server_engine *s, uint64_t now_ns, const endpoint *e)
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

static bool take_token(server_engine *s, uint64_t now_ns)
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

static bool within_rate(server_engine *s, uint64_t now_ns)
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

endpoint server_endpoint(const server_desc *d, unsigned i)
{
    return endpoint_with_port((i & 2) != 0 ? &d->b : &d->a, (i & 1) != 0 ? d->b.port : d->a.port);
}

endpoint server_answerer(const server_desc *d, const endpoint *at, uint32_t change)
{
    endpoint e = *at;
    if ((change & CHANGE_IP) != 0)
        e = endpoint_with_port(server_is_second(d, at) ? &d->a : &d->b, at->port);
    if ((change & CHANGE_PORT) != 0)
        e.port = at->port == d->a.port ? d->b.port : d->a.port;
    return e;
}

/* From where a request with CHANGE-REQUEST is answered; false: not at all. */
static bool answer_from(const server_desc *d, const endpoint *at, uint32_t change, endpoint *from)
{
    bool ip = (change & CHANGE_IP) != 0;
    *from = *at;
    switch (d->change) {
    case CHANGE_HONOURED:
        break;
    case CHANGE_PORT_ONLY:
        change &= CHANGE_PORT;
        break;
    case CHANGE_IP_ONLY:
        change &= CHANGE_IP;
        break;
    case CHANGE_ODD_PORT:
        *from = server_answerer(d, at, change);
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
    *from = server_answerer(d, at, change);
    return is_served(d, from);
}

static endpoint named_other(const server_engine *s, const endpoint *at)
{
    const server_desc *d = s->desc;
    bool false_one = d->other_is_false || (d->other_flips && s->answered % 2 == 0);
    return false_one ? d->false_other : server_answerer(d, at, CHANGE_IP | CHANGE_PORT);
}

static void put_mapped(message *m, const server_desc *d, const endpoint *seen, const endpoint *local, bool cookie)
{
    endpoint e = *seen;
    switch (d->adapts && !cookie ? MAPPED_PLAIN : d->mapped) {
    case MAPPED_XOR:
        message_add_xor_address(m, XOR_MAPPED_ADDRESS, seen);
        break;
    case MAPPED_XOR_AND_PLAIN:
        message_add_address(m, MAPPED_ADDRESS, seen);
        message_add_xor_address(m, XOR_MAPPED_ADDRESS, seen);
        break;
    case MAPPED_XOR_OLD:
        message_add_xor_address(m, XOR_MAPPED_ADDRESS_OLD, seen);
        break;
    case MAPPED_REWRITTEN:
        message_add_address(m, MAPPED_ADDRESS, local);
        message_add_xor_address(m, cookie ? XOR_MAPPED_ADDRESS : XOR_MAPPED_ADDRESS_OLD, seen);
        break;
    case MAPPED_ZERO_IP:
        e = endpoint_any(seen->family, seen->port);
        message_add_address(m, MAPPED_ADDRESS, &e);
        break;
    case MAPPED_ZERO_PORT:
        e.port = 0;
        message_add_xor_address(m, XOR_MAPPED_ADDRESS, &e);
        break;
    case MAPPED_OTHER_FAMILY:
        /* To an IPv6 socket a public IPv4 address would be that of a NAT64. */
        e = seen->family == 4 ? endpoint_public(6, 0, 5, seen->port) : endpoint_private(4, 0, 5, seen->port);
        message_add_address(m, MAPPED_ADDRESS, &e);
        break;
    case MAPPED_PRIVATE:
        e = endpoint_private(seen->family, 200, 7, seen->port);
        message_add_xor_address(m, XOR_MAPPED_ADDRESS, &e);
        break;
    case MAPPED_NONE:
        break;
    default:
        message_add_address(m, MAPPED_ADDRESS, seen);
        break;
    }
}

static void put_origin_and_other(const server_engine *s, message *m, const endpoint *from, const endpoint *at,
                                 bool cookie)
{
    const server_desc *d = s->desc;
    endpoint other = named_other(s, at);
    endpoint origin = *from;
    other_form form = d->adapts && !cookie && d->other != OTHER_NONE ? OTHER_RFC3489 : d->other;
    if (d->true_a.family != 0 && endpoint_same_ip(from, &d->a)) /* it knows of no other */
        origin = endpoint_with_port(&d->true_a, from->port);
    if (d->origin)
        message_add_address(m, form == OTHER_RFC3489 ? SOURCE_ADDRESS : RESPONSE_ORIGIN, &origin);
    if (form == OTHER_RFC3489 || form == OTHER_BOTH)
        message_add_address(m, CHANGED_ADDRESS, &other);
    if (form == OTHER_RFC5780 || form == OTHER_BOTH)
        message_add_address(m, OTHER_ADDRESS, &other);
}

static void success(const server_engine *s, message *m, const stun_request *q, const endpoint *seen,
                    const endpoint *local, const endpoint *from, const endpoint *at)
{
    static const char software[] = "odd 7.1"; /* seven bytes: padded to eight, or not */
    message_begin(m, BINDING_SUCCESS, q->id);
    m->unpadded = s->desc->unpadded;
    if (s->desc->software)
        message_add(m, SOFTWARE, software, sizeof software - 1);
    put_mapped(m, s->desc, seen, local, q->cookie);
    put_origin_and_other(s, m, from, at, q->cookie);
    if (s->desc->fingerprint && q->cookie)
        message_add_fingerprint(m);
}

static void reject(message *m, const server_desc *d, const stun_request *q, unsigned code)
{
    static const uint8_t change_request[2] = {0, CHANGE_REQUEST};
    const char *reason = code == 420 ? "Unknown Attribute" : code == 300 ? "Try Alternate" : "No";
    message_begin(m, BINDING_ERROR, q->id);
    message_add_error(m, code, reason, strlen(reason));
    if (code == 420)
        message_add(m, UNKNOWN_ATTRIBUTES, change_request, sizeof change_request);
    if (code == 300)
        message_add_address(m, ALTERNATE_SERVER, &d->false_other);
}

static void replace(message *m, const void *bytes, size_t size)
{
    memcpy(m->bytes, bytes, size);
    m->size = size;
}

/* Turns a good answer into one that is not STUN, or not whole. */
static void damage(message *m, plain_mode how, const uint8_t *request, size_t size)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    switch (how) {
    case PLAIN_GARBAGE:
        for (size_t i = 0; i < m->size; i++)
            m->bytes[i] = (uint8_t)(m->bytes[i] * 167 + i + 13);
        break;
    case PLAIN_TRUNCATED:
        m->size -= 5;
        break;
    case PLAIN_WRONG_ID:
        m->bytes[HEADER_SIZE - 1] ^= 0x01;
        break;
    case PLAIN_ECHO:
        replace(m, request, size);
        break;
    case PLAIN_TEXT:
        replace(m, text, sizeof text - 1);
        break;
    case PLAIN_EMPTY:
        m->size = 0;
        break;
    case PLAIN_HUGE:
        m->size = HEADER_SIZE;
        message_add_bytes(m, NULL, LARGEST_DATAGRAM - HEADER_SIZE);
        break;
    case PLAIN_CUT:
        m->bytes[HEADER_SIZE + 2] = 0xff;
        break;
    default:
        break;
    }
}

/* Spoils a good answer to a plain request. False: nothing is sent. */
static bool spoil(const server_desc *d, message *m, const stun_request *q, const uint8_t *data, size_t size)
{
    switch (d->plain) {
    case PLAIN_SILENT:
        return false;
    case PLAIN_NO_ATTRIBUTES:
        message_begin(m, BINDING_SUCCESS, q->id);
        break;
    case PLAIN_ERROR_300:
        reject(m, d, q, 300);
        break;
    case PLAIN_ERROR_400:
        reject(m, d, q, 400);
        break;
    case PLAIN_ERROR_401:
        reject(m, d, q, 401);
        break;
    case PLAIN_ERROR_500:
        reject(m, d, q, 500);
        break;
    default:
        damage(m, d->plain, data, size);
        break;
    }
    return true;
}

/* What an attacker who sees nothing but knows the format, or a broken server, would send. None of it is an answer. */
static void near_valid(message *m, bool cookie, unsigned n)
{
    switch (n % (cookie ? 6 : 5)) { /* without a cookie a fingerprint means nothing */
    case 0:                         /* one bit of the transaction id */
        m->bytes[8 + n / 6 % 12] ^= (uint8_t)(1u << (n / 72 % 8));
        break;
    case 1: /* a length that is not the datagram's */
        m->bytes[3] = (uint8_t)(m->bytes[3] + 4);
        break;
    case 2: /* an indication, a request */
        m->bytes[0] = 0;
        m->bytes[1] = n / 6 % 2 == 0 ? 0x11 : 0x01;
        break;
    case 3: /* cut off */
        m->size = n % m->size;
        break;
    case 4: /* RTP and the like */
        m->bytes[0] |= 0x80;
        break;
    default: /* right but for its fingerprint, the last attribute */
        message_add_fingerprint(m);
        m->bytes[m->size - 1] ^= 0x55;
        break;
    }
}

static void send_all(const server_engine *s, server_answer *answer, bool cookie, server_send_fn send, void *user)
{
    uint8_t good[MESSAGE_ROOM];
    const size_t size = answer->message.size;
    for (unsigned i = 0; i < s->desc->copies; i++)
        send(user, answer);
    if (s->desc->flood == 0)
        return;
    answer->is_flood = true;
    memcpy(good, answer->message.bytes, size);
    for (unsigned i = 0; i < s->desc->flood; i++) {
        if (i > 0)
            replace(&answer->message, good, size);
        near_valid(&answer->message, cookie, i);
        send(user, answer);
    }
}

/* From where a request is answered; false: not at all. */
static bool origin_of(server_engine *s, uint64_t now_ns, const endpoint *to, const stun_request *q, endpoint *from)
{
    const server_desc *d = s->desc;
    if (q->change == 0) {
        *from = d->plain == PLAIN_ELSEWHERE ? server_answerer(d, to, CHANGE_PORT) : *to;
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
static bool has_met(const server_engine *s, const endpoint *client, const endpoint *own)
{
    bool (*alike)(const endpoint *, const endpoint *) = s->desc->state == STATE_BY_ADDRESS ? endpoint_same_ip
                                                                                           : endpoint_equal;
    for (unsigned i = 0; i < s->mets && i < SERVER_MET; i++) {
        if (endpoint_equal(&s->met[i][0], client) && alike(&s->met[i][1], own))
            return true;
    }
    return s->desc->state == STATELESS;
}

static void meet(server_engine *s, const endpoint *client, const endpoint *own)
{
    if (has_met(s, client, own))
        return;
    s->met[s->mets % SERVER_MET][0] = *client;
    s->met[s->mets++ % SERVER_MET][1] = *own;
}

static server_client *client_at(server_engine *s, const endpoint *address)
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
static bool may_change(server_engine *s, uint64_t now_ns, const endpoint *from)
{
    if (s->desc->change_gap_ns == 0)
        return true;
    server_client *c = client_at(s, from);
    if (now_ns < c->changes_from_ns)
        return false;
    c->changes_from_ns = now_ns + s->desc->change_gap_ns;
    return true;
}

static endpoint what_it_sees(const server_engine *s, const endpoint *from)
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
static uint64_t own_time(server_engine *s, uint64_t now_ns)
{
    if (s->desc->busy_ns == 0)
        return 0;
    uint64_t begin_ns = s->busy_until_ns > now_ns ? s->busy_until_ns : now_ns;
    s->busy_until_ns = begin_ns + s->desc->busy_ns;
    return s->busy_until_ns - now_ns;
}

static bool understands(const server_desc *d, const stun_request *q)
{
    return d->dialect == DIALECT_ANY || (d->dialect == DIALECT_COOKIE) == q->cookie;
}

void server_receive(server_engine *s, uint64_t now_ns, const endpoint *from, const endpoint *to, const endpoint *local,
                    const uint8_t *data, size_t size, server_send_fn send, void *user)
{
    stun_request q;
    server_answer answer; /* large: what is not sent is not set */
    if (request_read(&q, data, size) != NULL || !understands(s->desc, &q) || !is_served(s->desc, to) ||
        is_deaf(s->desc, to) || is_dead(s, now_ns, to))
        return;
    answer.delay_ns = s->desc->late_ns;
    answer.is_flood = false;
    answer.to_port = s->desc->response_port == RESPONSE_PORT_HONOURED ? q.response_port : 0;
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
        reject(&answer.message, s->desc, &q, s->desc->reject_code);
    if (q.response_port != 0 && s->desc->response_port == RESPONSE_PORT_REJECTED)
        reject(&answer.message, s->desc, &q, 420);
    if (spoil(s->desc, &answer.message, &q, data, size))
        send_all(s, &answer, q.cookie, send, user);
}
