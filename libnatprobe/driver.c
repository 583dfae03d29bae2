/* SPDX-License-Identifier: MIT */
/* Joins the experiment to sockets, clock, randomness and names, one turn at a time. */
#include "driver.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classify.h"
#include "clock.h"
#include "gateway.h"
#include "random.h"
#include "resolve.h"
#include "transport.h"

/* Datagrams read from one socket before timers and the other sockets get their turn. */
#define READ_BURST 32
/* Larger than any answer of a sound server; what is longer is cut and then dropped by the decoder. */
#define RECEIVE_ROOM 2048
/* Nothing that comes to the caller's socket may be cut. */
#define CALLERS_RECEIVE_ROOM 65536
/* Requests from the caller's socket whose answers are recognised even when the experiment has forgotten them. */
#define SENT_IDS 64
/* Where a STUN message has its id, and how long it is without attributes (RFC 8489 section 5). */
#define STUN_ID_AT 4
#define STUN_RESPONSE_BIT 0x01 /* of the first byte: success and error responses have it, requests do not */
#define STUN_HEADER_SIZE 20
/* How long until the system is asked for random numbers again when it had none yet. */
#define RANDOM_RETRY_NS (20 * NPI_MS)
/*
 * A name that is not resolved after this long is made up for by another one, and after as long again by one more: a
 * cached answer comes within some 20 ms, and one that is asked of the name's own servers rarely takes 100.
 */
#define NAME_SLOW_NS (100 * NPI_MS)
/* Names are looked up for so many servers more than are to be asked next: one may be slow, or lead to none. */
#define SPARE_SERVERS 1
/* If the two clocks drift apart by more between two turns, the wall clock was set: what it says of arrivals is void. */
#define WALL_CLOCK_SET_NS NPI_MS
#define NO_RANDOM "no random numbers: "

struct npi_driver {
    npi_driver_config config;
    npi_engine *engine;
    npi_resolver *resolver;
    npi_socket sockets[NPI_SLOT_COUNT];
    bool ready[NPI_SLOT_COUNT];                   /* there may be something to read */
    uint8_t *callers_room;                        /* with a socket of the caller's only */
    uint8_t sent_ids[SENT_IDS][NPI_STUN_ID_SIZE]; /* a ring, of what left from the caller's socket */
    size_t sent_id_count;
    uint8_t random[NPI_STUN_ID_SIZE];
    bool has_random;
    bool waits_for_random;
    size_t names;              /* that are to be looked up: the servers without literals */
    size_t wanted;             /* names handed to the resolver */
    size_t looked_up;          /* names that it has answered */
    size_t slow;               /* names that are made up for: it has not answered them for long */
    uint64_t slow_ns;          /* when one more of those that are awaited is slow */
    size_t resolved;           /* servers that it has answered for, names and literals */
    size_t added;              /* servers that the experiment has taken */
    bool more;                 /* as last told to the probe */
    uint32_t answered;         /* which names, as bits */
    npi_resolution unresolved; /* the last name that failed */
    npi_resolution named;      /* the name to be told where nobody answers */
    npi_failure failure;       /* why the run was stopped from here, and while doing what */
    const char *stopped_while;
    npi_failure no_socket; /* why there is no filtering socket */
    bool source_heard;     /* an answer came to the source socket */
    npi_failure unsent;    /* why the last datagram that did not leave did not */
    npi_addr first_server;
    npi_moment turned; /* when the last turn began */
};

/* ---- Results ---------------------------------------------------------------------------------------------------- */

int npi_result_fail(np_result *result, int error, int os_error, const char *format, ...)
{
    va_list args;
    memset(result, 0, sizeof *result);
    result->error = error;
    result->os_error = os_error;
    va_start(args, format);
    (void)vsnprintf(result->detail, sizeof result->detail, format, args);
    va_end(args);
    return error;
}

int npi_result_fail_for(np_result *result, int error, const char *prefix, const npi_failure *failure)
{
    char why[NPI_FAILURE_TEXT];
    npi_failure_describe(failure, why, sizeof why);
    return npi_result_fail(result, error, failure->os_error, "%s%s", prefix, why);
}

/* In place of what the experiment had to say. What lies behind the text is zero. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
write_detail(np_result *result, const char *format, ...)
{
    va_list args;
    memset(result->detail, 0, sizeof result->detail);
    va_start(args, format);
    (void)vsnprintf(result->detail, sizeof result->detail, format, args);
    va_end(args);
}

static uint64_t deadline_of(const npi_driver *r)
{
    return npi_time_add(r->config.start_ns, r->config.timeout_ns);
}

static bool is_cancelled(const npi_driver *r)
{
    return atomic_load(r->config.run) == r->config.cancelled_run;
}

/* Ends the experiment for a reason that it knows nothing of; doing: what failed, for people. */
static void stop(npi_driver *r, uint64_t now_ns, int error, const char *doing, npi_failure failure)
{
    if (npi_engine_is_done(r->engine))
        return;
    if (!npi_engine_has_verdict(r->engine)) { /* an optional test that is given up leaves it as it is */
        r->failure = failure;
        r->stopped_while = doing;
    }
    npi_engine_stop(r->engine, now_ns, error, failure.os_error);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

_Static_assert(NP_MAX_SERVERS <= 32, "a bit for each name");

/* The first name that is no literal, or better one that leads to this host itself. */
static bool is_worth_telling(const npi_driver *r, const npi_resolution *resolution)
{
    npi_addr literal;
    if (resolution->count == 0 || npi_addr_parse_ip(r->config.servers[resolution->index].host, &literal))
        return false;
    return r->named.count == 0 || npi_addr_classify(&resolution->addresses[0]) == NPI_CLASS_LOOPBACK;
}

/* The link on which a server is asked that does not name its own: the source's, or that of the chosen interface. */
static uint32_t own_link(const npi_driver *r)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    return source->bound.scope != 0 ? source->bound.scope : source->link;
}

static void take_resolution(npi_driver *r, const npi_resolution *resolution)
{
    const npi_server_name *name = &r->config.servers[resolution->index];
    r->resolved++;
    r->looked_up += !resolution->is_literal;
    r->answered |= UINT32_C(1) << resolution->index;
    if (is_worth_telling(r, resolution))
        r->named = *resolution;
    if (resolution->count == 0) {
        char text[NPI_RESOLVE_TEXT];
        r->unresolved = *resolution;
        npi_resolution_describe(resolution, text, sizeof text);
        npi_log_write(&r->config.log, NP_LOG_WARNING, "cannot resolve %s: %s", name->host, text);
    }
    for (size_t i = 0; i < resolution->count; i++) {
        char text[NPI_ADDR_TEXT];
        npi_addr address = npi_addr_with_scope(&resolution->addresses[i], own_link(r));
        npi_addr_format(&address, text);
        if (!npi_engine_add_server(r->engine, &address, name->use == NPI_USE_MAPPING))
            continue;
        r->added++;
        npi_log_write(&r->config.log, NP_LOG_DEBUG, "server %s is %s", name->host, text);
        if (!npi_addr_is_set(&r->first_server))
            r->first_server = address;
    }
}

/* How many servers the experiment could use beside those that it has. */
static size_t servers_missing(const npi_driver *r)
{
    size_t wanted = npi_engine_servers_wanted(r->engine) + SPARE_SERVERS;
    return wanted > r->added ? wanted - r->added : 0;
}

/* When one more name is slow; NPI_NEVER while none is awaited, or none is left that could make up for it. */
static uint64_t next_slow_ns(const npi_driver *r)
{
    bool is_any_awaited = r->wanted - r->looked_up > r->slow;
    return is_any_awaited && r->wanted < r->names && servers_missing(r) > 0 ? r->slow_ns : NPI_NEVER;
}

/* Hands over names for the servers that are missing. The next one makes up for one that fails, or is slow. */
static void want_names(npi_driver *r, uint64_t now_ns)
{
    size_t pending = r->wanted - r->looked_up;
    if (r->slow > pending)
        r->slow = pending; /* it was answered after all */
    if (next_slow_ns(r) <= now_ns) {
        r->slow++;
        r->slow_ns = now_ns + NAME_SLOW_NS;
    }
    size_t wanted = r->looked_up + r->slow + servers_missing(r);
    if (wanted > r->names)
        wanted = r->names;
    if (wanted > r->wanted) {
        r->wanted = wanted;
        r->slow_ns = now_ns + NAME_SLOW_NS;
        npi_resolver_want(r->resolver, wanted);
    }
}

static void resolve(npi_driver *r, uint64_t now_ns)
{
    npi_resolution resolution;
    while (npi_resolver_take(r->resolver, &resolution))
        take_resolution(r, &resolution);
    want_names(r, now_ns);
    bool more = r->resolved < r->config.server_count;
    if (more != r->more) {
        r->more = more;
        npi_engine_expect_servers(r->engine, more);
    }
}

/* ---- Sockets ---------------------------------------------------------------------------------------------------- */

static void close_slot(npi_driver *r, int slot)
{
    if (npi_is_socket(r->sockets[slot].fd))
        npi_poller_unwatch(r->config.poller, r->sockets[slot].fd);
    npi_socket_close(&r->sockets[slot]);
    r->ready[slot] = false;
}

/* Where it is the system that fails, not the network. */
static int system_error(int os_error)
{
    return npi_error_from_errno(os_error) == NP_ERR_NO_MEMORY ? NP_ERR_NO_MEMORY : NP_ERR_SYSTEM;
}

/* A socket of the caller's may hold what is not for us to take out, such as errors it has asked for. */
static int watch_slot(npi_driver *r, int slot, npi_failure *failure)
{
    npi_socket *s = &r->sockets[slot];
    npi_watch watch = s->borrowed ? NPI_WATCH_ARRIVALS : NPI_WATCH_CONTENT;
    if (npi_poller_watch(r->config.poller, s->fd, r->config.first_tag + (uint32_t)slot, watch))
        return NP_OK;
    *failure = npi_failure_of(NPI_POLLER_WATCH);
    npi_socket_close(s);
    return system_error(failure->os_error);
}

static int open_source(npi_driver *r, npi_failure *failure)
{
    const npi_driver_config *c = &r->config;
    npi_socket *s = &r->sockets[NPI_SLOT_SOURCE];
    int error = npi_is_socket(c->socket.fd) ? npi_socket_adopt(s, c->socket.fd, (npi_family)c->source.family, failure)
                                            : npi_socket_open_on(s, &c->source, c->interface, failure);
    return error == NP_OK ? watch_slot(r, NPI_SLOT_SOURCE, failure) : error;
}

/* The socket of a slot, NULL when there is none; filtering sockets are opened when first needed. */
static npi_socket *socket_for(npi_driver *r, int slot)
{
    npi_socket *s = &r->sockets[slot];
    if (npi_is_socket(s->fd))
        return s;
    npi_failure failure = NPI_FAILURE_NONE;
    if (npi_socket_open_sibling(s, &r->sockets[NPI_SLOT_SOURCE], &failure) == NP_OK &&
        watch_slot(r, slot, &failure) == NP_OK)
        return s;
    r->no_socket = failure; /* a later one that can be had leaves it as it is */
    return NULL;
}

static void close_unused(npi_driver *r)
{
    for (int slot = 1; slot < NPI_SLOT_COUNT; slot++) {
        if (npi_is_socket(r->sockets[slot].fd) && !npi_engine_slot_in_use(r->engine, slot))
            close_slot(r, slot);
    }
}

/* ---- Datagrams -------------------------------------------------------------------------------------------------- */

static bool is_known_id(const npi_driver *r, const uint8_t *data)
{
    size_t known = r->sent_id_count < SENT_IDS ? r->sent_id_count : SENT_IDS;
    for (size_t i = 0; i < known; i++) {
        if (memcmp(r->sent_ids[i], data + STUN_ID_AT, NPI_STUN_ID_SIZE) == 0)
            return true;
    }
    return false;
}

/* Whether a datagram is a response to a request that left from the caller's socket, however late. */
static bool is_answer_to_us(const npi_driver *r, const uint8_t *data, size_t size)
{
    return size >= STUN_HEADER_SIZE && (data[0] & STUN_RESPONSE_BIT) != 0 && is_known_id(r, data);
}

static void remember_id(npi_driver *r, const npi_datagram *d)
{
    if (!is_known_id(r, d->data)) /* each copy has the same */
        memcpy(r->sent_ids[r->sent_id_count++ % SENT_IDS], d->data + STUN_ID_AT, NPI_STUN_ID_SIZE);
}

static void send_one(npi_driver *r, uint64_t now_ns, const npi_datagram *d)
{
    int os_error = 0;
    npi_socket *s = socket_for(r, d->slot);
    if (s == NULL) {
        npi_engine_no_socket(r->engine, now_ns, d);
        return;
    }
    switch (npi_socket_send(s, &d->to, d->data, d->size, &os_error)) {
    case NPI_IO_OK:
        if (s->borrowed)
            remember_id(r, d);
        npi_engine_sent(r->engine, d);
        break;
    case NPI_IO_AGAIN:
        r->unsent = (npi_failure){.call = "sendto", .os_error = os_error};
        npi_engine_unsent(r->engine, now_ns, d, NP_OK, os_error);
        break;
    case NPI_IO_ERROR:
        r->unsent = (npi_failure){.call = "sendto", .os_error = os_error};
        npi_engine_unsent(r->engine, now_ns, d, npi_error_from_errno(os_error), os_error);
        break;
    }
}

/* Random bytes for the next datagram. Soon after boot there are none yet: the check waits as long as it has time. */
static bool has_random(npi_driver *r, uint64_t now_ns)
{
    if (!r->has_random)
        r->has_random = npi_random_bytes(r->random, sizeof r->random);
    r->waits_for_random = !r->has_random && errno == EAGAIN;
    if (r->waits_for_random && now_ns >= deadline_of(r))
        stop(r, now_ns, NP_ERR_TIMEOUT, NO_RANDOM, npi_failure_of("getrandom"));
    else if (!r->has_random && !r->waits_for_random)
        stop(r, now_ns, NP_ERR_SYSTEM, NO_RANDOM, npi_failure_of("getrandom"));
    return r->has_random;
}

/* Looked up for the source socket, on whose way the gateway is asked. */
static void find_gateway(npi_driver *r)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    npi_gateway_way way = {.fd = source->fd, .from = source->bound, .link = source->link};
    npi_addr gateway = {.family = NPI_FAMILY_NONE};
    if (npi_engine_wants_gateway(r->engine, &way.to) && npi_find_gateway(&way, &gateway))
        npi_engine_set_gateway(r->engine, &gateway);
}

/*
 * The clock is read for each datagram: the callbacks run since may have taken their time, and a copy must not look
 * older.
 */
static void send_datagrams(npi_driver *r)
{
    npi_datagram d;
    for (;;) {
        uint64_t now_ns = npi_clock_now();
        if (is_cancelled(r) || !has_random(r, now_ns)) /* a callback may just have cancelled */
            return;
        npi_engine_advance(r->engine, now_ns);
        find_gateway(r);
        if (!npi_engine_next_datagram(r->engine, r->random, &d))
            return;
        r->has_random = false;
        send_one(r, now_ns, &d);
    }
}

/* One datagram, where it came in and when. */
typedef struct arrival {
    int slot;
    uint64_t now_ns;
    const npi_received *got;
    const uint8_t *data;
    size_t size;
} arrival;

static void hand_to_caller(const npi_driver *r, const arrival *a)
{
    const npi_callers_socket *s = &r->config.socket;
    if (s->on_datagram != NULL)
        s->on_datagram(a->data, a->size, &a->got->name.any, a->got->name_size, s->user);
}

/*
 * The local address that a datagram came to. False when it cannot be told: without it a NAT could not be told from
 * none. Where the program may no longer set the options of its socket, no route can be looked up the same way. Then an
 * external address that the host has is the local one as well. Any other is translated, whichever the local one is.
 */
static bool find_local(const npi_socket *s, const npi_received *got, const npi_incoming *in, npi_addr *local,
                       npi_failure *failure)
{
    const npi_addr *external = &in->response.mapped;
    *local = got->local;
    if ((npi_addr_is_set(local) && !npi_addr_is_any(local)) || npi_local_address_for(s, &got->from, local, failure))
        return true;
    *local = (npi_addr){.family = NPI_FAMILY_NONE};
    if (failure->os_error != EPERM || in->origin.exchange == NULL)
        return false;
    npi_addr any_port = npi_addr_with_scope(external, got->from.scope);
    any_port.port = 0;
    npi_socket at_external;
    npi_failure unused;
    int error = npi_socket_open(&at_external, &any_port, &unused);
    if (error == NP_OK)
        *local = npi_addr_with_port(&any_port, s->bound.port);
    npi_socket_close(&at_external);
    return error == NP_OK || error == NP_ERR_ADDRESS_NOT_AVAILABLE; /* otherwise it is not known whose it is */
}

static void take_datagram(npi_driver *r, const arrival *a)
{
    npi_socket *s = &r->sockets[a->slot];
    npi_incoming in;
    if (!npi_engine_match(r->engine, a->slot, a->data, a->size, &in) && s->borrowed) {
        if (!is_answer_to_us(r, a->data, a->size))
            hand_to_caller(r, a);
        return;
    }
    npi_addr local;
    npi_failure failure;
    r->source_heard |= a->slot == NPI_SLOT_SOURCE && in.origin.exchange != NULL;
    if (!find_local(s, a->got, &in, &local, &failure) && a->slot == NPI_SLOT_SOURCE)
        stop(r, a->now_ns, system_error(failure.os_error), "cannot find the local address: ", failure);
    else
        npi_engine_receive(r->engine, a->now_ns, &in, &a->got->from, &local);
}

/* What the system has put together (UDP_GRO) is taken apart again. */
static void take_datagrams(npi_driver *r, const arrival *all)
{
    arrival one = *all;
    do {
        size_t left = (size_t)(all->data + all->size - one.data);
        one.size = all->got->segment < left ? all->got->segment : left;
        take_datagram(r, &one);
        one.data += one.size;
    } while (one.data < all->data + all->size);
}

/* What comes after the end, or after a cancellation, is left in the socket. */
static bool is_over(const npi_driver *r)
{
    return npi_engine_is_done(r->engine) || is_cancelled(r);
}

static bool is_same_wall_clock(const npi_moment *a, const npi_moment *b)
{
    int64_t drift = (int64_t)((b->now_ns - a->now_ns) - (b->wall_ns - a->wall_ns));
    return drift < (int64_t)WALL_CLOCK_SET_NS && -drift < (int64_t)WALL_CLOCK_SET_NS;
}

/*
 * When a datagram came in. It lies in the socket until the process gets to it, and the process may be held up at any
 * line: by the system's word, or at the latest now.
 */
static uint64_t arrived_ns(const npi_driver *r, const npi_received *got)
{
    npi_moment now = npi_clock_moment();
    uint64_t age_ns = now.wall_ns - got->wall_ns;
    if (got->wall_ns == 0 || got->wall_ns > now.wall_ns || !is_same_wall_clock(&r->turned, &now))
        return now.now_ns;
    return age_ns < now.now_ns - r->turned.now_ns ? now.now_ns - age_ns : r->turned.now_ns;
}

/* A datagram that was cut is handed on empty: counted, and not mistaken for a short one. */
static void receive_datagrams(npi_driver *r, int slot)
{
    uint8_t own_room[RECEIVE_ROOM];
    bool borrowed = r->sockets[slot].borrowed;
    uint8_t *room = borrowed ? r->callers_room : own_room;
    size_t room_size = borrowed ? CALLERS_RECEIVE_ROOM : sizeof own_room;
    for (int i = 0; i < READ_BURST && !is_over(r); i++) {
        npi_received got;
        int os_error = 0;
        npi_io io = npi_socket_receive(&r->sockets[slot], room, room_size, &got, &os_error);
        if (io == NPI_IO_ERROR) /* it would be there at every turn */
            stop(r, npi_clock_now(), NP_ERR_SYSTEM,
                 "cannot receive: ", (npi_failure){.call = "recvmsg", .os_error = os_error});
        if (io != NPI_IO_OK) {
            r->ready[slot] = false;
            return;
        }
        if (got.truncated)
            got.size = got.segment = 0;
        take_datagrams(r, &(arrival){slot, arrived_ns(r, &got), &got, room, got.size});
    }
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

static bool is_any_ready(const npi_driver *r)
{
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (r->ready[slot])
            return true;
    }
    return false;
}

static void turn(npi_driver *r)
{
    npi_moment now = npi_clock_moment();
    if (is_cancelled(r)) {
        stop(r, now.now_ns, NP_ERR_CANCELLED, "", NPI_FAILURE_NONE);
        return;
    }
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (r->ready[slot])
            receive_datagrams(r, slot);
    }
    r->turned = now;
    resolve(r, now.now_ns);
    send_datagrams(r);
    close_unused(r);
}

static void tell_unresolved(const npi_driver *r, np_result *result)
{
    char why[NPI_RESOLVE_TEXT] = "it has no usable address";
    result->os_error = r->unresolved.eai;
    if (r->unresolved.eai != 0)
        npi_resolution_describe(&r->unresolved, why, sizeof why);
    write_detail(result, "cannot resolve %.80s: %s", r->config.servers[r->unresolved.index].host, why);
}

/* Which name of a server the time ran out for. */
static void tell_pending_name(const npi_driver *r, np_result *result)
{
    size_t index = 0;
    while (index < r->config.server_count - 1 && (r->answered >> index & 1) != 0)
        index++;
    write_detail(result, "no name server answered in time: cannot resolve %.80s", r->config.servers[index].host);
}

/* A name may lead astray: a hosts file, a captive portal or a filter that blocks by name. */
static void tell_silent_name(const npi_driver *r, np_result *result)
{
    char text[NPI_ADDR_IP_TEXT];
    const npi_addr *address = &r->named.addresses[0];
    npi_addr_format_ip(address, text);
    write_detail(result, "no server answered%s (%.60s is %s%s)",
                 result->nat_type == NP_NAT_UDP_BLOCKED ? ": UDP is blocked or it is down"
                                                        : " in the time allowed: UDP is blocked or it is down or far",
                 r->config.servers[r->named.index].host, text,
                 npi_addr_classify(address) == NPI_CLASS_LOOPBACK ? ", which is this host itself" : "");
}

/* Which of several links the system chose is anybody's guess. */
static void tell_unknown_link(const npi_driver *r, np_result *result)
{
    char text[NPI_ADDR_IP_TEXT];
    npi_addr_format_ip(&r->first_server, text);
    write_detail(result, "no server answered: %s is a link-local address, so name its interface (%s%%eth0)", text,
                 text);
}

static bool is_short_of_answers(const np_result *result)
{
    return result->error == NP_ERR_INCONCLUSIVE || result->error == NP_ERR_TIMEOUT ||
           result->error == NP_ERR_NO_RESPONSE;
}

/* What came to the caller's port may have gone to another socket that has it too, and not be lost. */
static bool may_be_others(const npi_driver *r, const np_result *result)
{
    if (r->sockets[NPI_SLOT_SOURCE].shared_by == NULL || result->os_error != 0)
        return false;
    if (result->error == NP_OK)
        return npi_engine_filtering_reason(r->engine) == NPI_REASON_CONTROL;
    return is_short_of_answers(result) && !r->source_heard;
}

static void tell_others(const npi_driver *r, np_result *result)
{
    const char *option = r->sockets[NPI_SLOT_SOURCE].shared_by;
    if (result->error == NP_OK)
        write_detail(result,
                     "filtering unknown: the control stayed silent, or its answer went to another socket with the same "
                     "port (%s)",
                     option);
    else
        write_detail(result,
                     "no answers came to the socket: another one with the same port (%s) may get them, so use one that "
                     "shares it with nobody",
                     option);
    /* Only what a socket of its own has asked in vain shows that UDP is blocked. */
    if (result->error == NP_ERR_NO_RESPONSE && (r->config.tests & NP_TESTS_FILTERING) == 0)
        result->nat_type = NP_NAT_UNKNOWN;
}

/* Why nobody may have answered. */
static void tell_silence(const npi_driver *r, np_result *result)
{
    if (npi_addr_lacks_scope(&r->first_server))
        tell_unknown_link(r, result);
    else if (r->named.count > 0)
        tell_silent_name(r, result);
}

static void tell_failure(const npi_failure *failure, const char *prefix, np_result *result)
{
    char why[NPI_FAILURE_TEXT];
    npi_failure_describe(failure, why, sizeof why);
    write_detail(result, "%s%s", prefix, why);
}

/* The experiment says which requests did not leave, the driver why. */
static bool is_about_sending(const npi_driver *r, const np_result *result)
{
    if (result->error == NP_OK)
        return npi_engine_filtering_reason(r->engine) == NPI_REASON_UNSENT;
    return r->failure.call == NULL && r->unsent.call != NULL && result->os_error != 0;
}

static void tell_unsent(const npi_driver *r, np_result *result)
{
    char prefix[sizeof result->detail];
    memcpy(prefix, result->detail, sizeof prefix - 2);
    prefix[sizeof prefix - 3] = '\0';
    memcpy(prefix + strlen(prefix), ": ", sizeof ": ");
    tell_failure(&r->unsent, prefix, result);
}

/* Reasons that only the driver knows, such as why no name could be resolved. */
static void tell_reason(const npi_driver *r, np_result *result)
{
    if (result->error == NP_ERR_RESOLVE)
        tell_unresolved(r, result);
    else if (result->error == NP_ERR_TIMEOUT && result->packets_sent == 0 && r->looked_up < r->wanted)
        tell_pending_name(r, result);
    else if (r->failure.call != NULL)
        tell_failure(&r->failure, r->stopped_while, result);
    else if (may_be_others(r, result))
        tell_others(r, result);
    else if (result->error == NP_ERR_NO_RESPONSE && result->os_error == 0)
        tell_silence(r, result);
    else if (npi_engine_filtering_reason(r->engine) == NPI_REASON_NO_SOCKET)
        tell_failure(&r->no_socket, "filtering unknown, no second socket: ", result);
    else if (is_about_sending(r, result))
        tell_unsent(r, result);
}

/* The local address where no answer has shown it. */
static void tell_local(const npi_driver *r, np_result *result)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    npi_addr local = source->bound;
    npi_failure unused;
    if (result->local_ip[0] != '\0')
        return;
    result->local_port = source->bound.port;
    if (npi_addr_is_any(&local) && npi_addr_is_set(&r->first_server) &&
        !npi_local_address_for(source, &r->first_server, &local, &unused))
        return;
    if (npi_addr_is_any(&local))
        return;
    npi_addr_format_ip(&local, result->local_ip);
    result->local_class = npi_classify_address(&local);
}

void npi_driver_stop(npi_driver *r, int error, npi_failure failure)
{
    stop(r, npi_clock_now(), error, "cannot wait: ", failure);
}

void npi_driver_note_ready(npi_driver *r, int slot)
{
    r->ready[slot] = true;
}

bool npi_driver_has_heard(const npi_driver *r)
{
    return npi_engine_has_heard(r->engine);
}

uint64_t npi_driver_first_sent_ns(const npi_driver *r)
{
    return npi_engine_first_sent_ns(r->engine);
}

uint64_t npi_driver_wakeup_ns(const npi_driver *r, uint64_t now_ns)
{
    if (is_any_ready(r))
        return now_ns;
    uint64_t wake_ns = npi_engine_is_done(r->engine) ? NPI_NEVER : next_slow_ns(r);
    if (r->waits_for_random)
        return npi_time_min(wake_ns, npi_time_add(now_ns, RANDOM_RETRY_NS));
    return npi_time_min(wake_ns, npi_engine_wakeup_ns(r->engine));
}

void npi_driver_result(const npi_driver *r, np_result *result)
{
    npi_engine_result(r->engine, npi_clock_now(), result);
    tell_reason(r, result);
    tell_local(r, result);
}

bool npi_driver_turn(npi_driver *r, np_result *result)
{
    if (!npi_engine_is_done(r->engine))
        turn(r);
    if (!npi_engine_is_done(r->engine))
        return false;
    npi_driver_result(r, result);
    return true;
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

static void fail_to_open(const npi_driver_config *c, np_result *result, int error, const npi_failure *failure)
{
    char text[NPI_ADDR_TEXT];
    char prefix[NPI_ADDR_TEXT + 40] = "cannot use the socket: ";
    npi_failure none = {.call = "it is closed, not bound, connected, or of another family"};
    npi_addr_format(&c->source, text);
    if (!npi_is_socket(c->socket.fd))
        (void)snprintf(prefix, sizeof prefix, "cannot use %s as the source: ", text);
    if (failure->call != NULL && strcmp(failure->call, NPI_CHOOSE_INTERFACE) == 0)
        (void)snprintf(prefix, sizeof prefix, "cannot use the interface %s: ", c->interface);
    npi_result_fail_for(result, error, prefix, failure->call != NULL ? failure : &none);
}

static size_t count_names(const npi_driver_config *c)
{
    size_t names = 0;
    for (size_t i = 0; i < c->server_count; i++) {
        npi_addr literal;
        names += !npi_addr_parse_ip(c->servers[i].host, &literal);
    }
    return names;
}

/* Most addresses that the servers' names can lead to. */
static size_t most_servers(const npi_driver_config *c)
{
    size_t names = count_names(c);
    size_t most = c->server_count - names + names * NPI_RESOLVE_ADDRESSES;
    return most < NPI_SERVERS_MAX ? most : NPI_SERVERS_MAX;
}

/* All that is ever allocated for a run. */
static bool allocate(npi_driver *r)
{
    const npi_driver_config *c = &r->config;
    r->engine = malloc(npi_engine_size(most_servers(c), c->tests));
    r->resolver = npi_resolver_new(c->servers, c->server_count, (npi_family)c->source.family,
                                   npi_poller_wake_of(c->poller));
    if (npi_is_socket(c->socket.fd))
        r->callers_room = malloc(CALLERS_RECEIVE_ROOM);
    return r->engine != NULL && r->resolver != NULL && (!npi_is_socket(c->socket.fd) || r->callers_room != NULL);
}

static void begin(npi_driver *r)
{
    const npi_driver_config *c = &r->config;
    npi_engine_config config = {
        .tests = c->tests,
        .max_servers = most_servers(c),
        .deadline_ns = deadline_of(r),
        .response_timeout_ns = c->response_timeout_ns,
        .lifetime_limit_ns = c->lifetime_limit_s * (1000 * NPI_MS),
        .log = c->log,
        .observer = c->observer,
    };
    r->names = count_names(c);
    r->more = true;
    r->turned = npi_clock_moment();
    npi_engine_init(r->engine, &config, c->start_ns);
}

static npi_driver *new_run(const npi_driver_config *config)
{
    npi_driver *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->config = *config;
    for (int i = 0; i < NPI_SLOT_COUNT; i++)
        r->sockets[i] = NPI_SOCKET_CLOSED;
    return r;
}

npi_driver *npi_driver_new(const npi_driver_config *config, np_result *result)
{
    npi_driver *r = new_run(config);
    npi_failure failure;
    if (r == NULL || !allocate(r)) {
        npi_result_fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
        npi_driver_free(r);
        return NULL;
    }
    int error = open_source(r, &failure);
    if (error != NP_OK) {
        fail_to_open(config, result, error, &failure);
        npi_driver_free(r);
        return NULL;
    }
    begin(r);
    return r;
}

void npi_driver_mute(npi_driver *r)
{
    r->config.log.sink = NULL;
    r->config.socket.on_datagram = NULL;
    npi_engine_mute(r->engine);
}

void npi_driver_free(npi_driver *r)
{
    if (r == NULL)
        return;
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++)
        close_slot(r, slot);
    if (r->resolver != NULL)
        npi_resolver_free(r->resolver);
    free(r->callers_room);
    free(r->engine);
    free(r);
}
