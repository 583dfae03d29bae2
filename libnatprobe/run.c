/* SPDX-License-Identifier: MIT */
/* Joins the experiment to sockets, clock, randomness and names, one turn at a time. */
#include "run.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "random.h"
#include "resolve.h"
#include "transport.h"

/* Datagrams read from one socket before timers and the other sockets get their turn. */
#define READ_BURST 32
/* Larger than any answer of a sound server; what is longer is cut and then dropped by the decoder. */
#define RECEIVE_ROOM 2048
/* Nothing that comes to the caller's socket may be cut. */
#define CALLERS_RECEIVE_ROOM 65536

struct npi_run {
    npi_run_config config;
    npi_engine *engine;
    npi_resolver *resolver;
    npi_socket sockets[NPI_SLOT_COUNT];
    bool ready[NPI_SLOT_COUNT]; /* there may be something to read */
    uint8_t *callers_room;      /* with a socket of the caller's only */
    uint8_t random[NPI_STUN_ID_SIZE];
    bool has_random;
    size_t wanted;   /* names handed to the resolver */
    size_t resolved; /* names that it has answered */
    bool more;       /* as last told to the engine */
    int eai;         /* of the last name that failed */
    size_t eai_name;
    npi_addr first_server;
};

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static void take_resolution(npi_run *r, const npi_resolution *resolution)
{
    const npi_server_name *name = &r->config.servers[resolution->index];
    r->resolved++;
    if (resolution->count == 0) {
        r->eai = resolution->eai;
        r->eai_name = resolution->index;
        npi_log_write(&r->config.log, NP_LOG_WARNING, "cannot resolve %s: %s", name->host,
                      gai_strerror(resolution->eai));
    }
    for (size_t i = 0; i < resolution->count; i++) {
        char text[NPI_ADDR_TEXT];
        npi_addr_format(&resolution->addresses[i], text);
        if (!npi_engine_add_server(r->engine, &resolution->addresses[i], name->use == NPI_USE_MAPPING))
            continue;
        npi_log_write(&r->config.log, NP_LOG_DEBUG, "server %s is %s", name->host, text);
        if (!npi_addr_is_set(&r->first_server))
            r->first_server = resolution->addresses[i];
    }
}

/* Hands as many names to the resolver as the experiment could use; one that failed is made up for by the next. */
static void want_names(npi_run *r)
{
    size_t wanted = npi_engine_servers_wanted(r->engine) + r->resolved;
    if (wanted > r->config.server_count)
        wanted = r->config.server_count;
    if (wanted > r->wanted) {
        r->wanted = wanted;
        npi_resolver_want(r->resolver, wanted);
    }
}

static void resolve(npi_run *r)
{
    npi_resolution resolution;
    want_names(r);
    while (npi_resolver_take(r->resolver, &resolution)) {
        take_resolution(r, &resolution);
        want_names(r);
    }
    bool more = r->resolved < r->config.server_count;
    if (more != r->more) {
        r->more = more;
        npi_engine_expect_servers(r->engine, more);
    }
}

/* ---- Sockets ---------------------------------------------------------------------------------------------------- */

static void close_slot(npi_run *r, int slot)
{
    if (r->sockets[slot].fd >= 0)
        npi_poller_unwatch(r->config.poller, r->sockets[slot].fd);
    npi_socket_close(&r->sockets[slot]);
    r->ready[slot] = false;
}

/* Where it is the system that fails, not the network. */
static int system_error(int os_error)
{
    return npi_error_from_errno(os_error) == NP_ERR_NO_MEMORY ? NP_ERR_NO_MEMORY : NP_ERR_SYSTEM;
}

/*
 * A socket of the caller's may hold what is not for us to take out, such as errors it has asked for: it is told of
 * once.
 */
static int watch_slot(npi_run *r, int slot, int *os_error)
{
    npi_socket *s = &r->sockets[slot];
    if (npi_poller_watch(r->config.poller, s->fd, (uint32_t)slot, s->is_callers))
        return NP_OK;
    *os_error = errno;
    npi_socket_close(s);
    return system_error(*os_error);
}

static int open_source(npi_run *r, int *os_error)
{
    const npi_run_config *c = &r->config;
    npi_socket *s = &r->sockets[NPI_SLOT_SOURCE];
    int error = c->socket.fd >= 0 ? npi_socket_adopt(s, c->socket.fd, (npi_family)c->source.family, os_error)
                                  : npi_socket_open(s, &c->source, os_error);
    return error == NP_OK ? watch_slot(r, NPI_SLOT_SOURCE, os_error) : error;
}

/* The socket of a slot; filtering sockets are opened when first needed. */
static npi_socket *socket_for(npi_run *r, int slot)
{
    npi_socket *s = &r->sockets[slot];
    if (s->fd >= 0)
        return s;
    int os_error = 0;
    int error = npi_socket_open_beside(s, &r->sockets[NPI_SLOT_SOURCE], &os_error);
    if (error == NP_OK)
        error = watch_slot(r, slot, &os_error);
    if (error == NP_OK)
        return s;
    npi_engine_stop(r->engine, npi_clock_now(), error, os_error);
    return NULL;
}

static void close_unused(npi_run *r)
{
    for (int slot = 1; slot < NPI_SLOT_COUNT; slot++) {
        if (r->sockets[slot].fd >= 0 && !npi_engine_slot_in_use(r->engine, slot))
            close_slot(r, slot);
    }
}

/* ---- Datagrams -------------------------------------------------------------------------------------------------- */

static void send_one(npi_run *r, uint64_t now_ns, const npi_datagram *d)
{
    int os_error = 0;
    npi_socket *s = socket_for(r, d->slot);
    if (s == NULL)
        return;
    switch (npi_socket_send(s, &d->to, d->data, d->size, &os_error)) {
    case NPI_IO_OK:
        npi_engine_sent(r->engine, d);
        break;
    case NPI_IO_AGAIN:
        npi_engine_unsent(r->engine, now_ns, d, NP_OK, os_error);
        break;
    case NPI_IO_ERROR:
        npi_engine_unsent(r->engine, now_ns, d, npi_error_from_errno(os_error), os_error);
        break;
    }
}

/*
 * The clock is read for each datagram: the callbacks run since may have taken their time, and a copy must not look
 * older.
 */
static void send_datagrams(npi_run *r)
{
    npi_datagram d;
    for (;;) {
        uint64_t now_ns = npi_clock_now();
        if (!r->has_random && !npi_random_bytes(r->random, sizeof r->random)) {
            npi_engine_stop(r->engine, now_ns, NP_ERR_SYSTEM, errno);
            return;
        }
        r->has_random = true;
        npi_engine_advance(r->engine, now_ns);
        if (!npi_engine_next_datagram(r->engine, r->random, &d))
            return;
        r->has_random = false;
        send_one(r, now_ns, &d);
    }
}

static void take_datagram(npi_run *r, int slot, uint64_t now_ns, const npi_received *got, const uint8_t *data,
                          size_t size)
{
    npi_socket *s = &r->sockets[slot];
    npi_incoming in;
    if (!npi_engine_match(r->engine, slot, data, size, &in) && s->is_callers) {
        if (r->config.socket.on_datagram != NULL)
            r->config.socket.on_datagram(r->config.socket.user, data, size, &got->name, got->name_size);
        return;
    }
    npi_addr local = got->local;
    bool is_known = npi_addr_is_set(&local) && !npi_addr_is_any(&local);
    if (!is_known && !npi_local_address_for(s, &got->from, &local) && slot == NPI_SLOT_SOURCE) {
        int os_error = errno; /* without the local address a NAT could not be told from none */
        npi_engine_stop(r->engine, now_ns, system_error(os_error), os_error);
        return;
    }
    npi_engine_receive(r->engine, now_ns, &in, &got->from, &local);
}

/* What the system has put together (UDP_GRO) is taken apart again. */
static void take_datagrams(npi_run *r, int slot, uint64_t now_ns, const npi_received *got, const uint8_t *data)
{
    size_t done = 0;
    do {
        size_t left = got->size - done;
        size_t size = got->segment < left ? got->segment : left;
        take_datagram(r, slot, now_ns, got, data + done, size);
        done += size;
    } while (done < got->size);
}

/* What comes after the end, or after a cancellation, is left in the socket. */
static bool is_over(const npi_run *r)
{
    return npi_engine_is_done(r->engine) || atomic_load(r->config.cancelled);
}

/* A datagram that was cut is handed on empty: counted, and not mistaken for a short one. */
static void receive_datagrams(npi_run *r, int slot, uint64_t now_ns)
{
    uint8_t own_room[RECEIVE_ROOM];
    bool is_callers = r->sockets[slot].is_callers;
    uint8_t *room = is_callers ? r->callers_room : own_room;
    for (int i = 0; i < READ_BURST && !is_over(r); i++) {
        npi_received got;
        int os_error = 0;
        npi_io io = npi_socket_receive(&r->sockets[slot], room, is_callers ? CALLERS_RECEIVE_ROOM : sizeof own_room,
                                       &got, &os_error);
        if (io == NPI_IO_ERROR) /* it would be there at every turn */
            npi_engine_stop(r->engine, now_ns, NP_ERR_SYSTEM, os_error);
        if (io != NPI_IO_OK) {
            r->ready[slot] = false;
            return;
        }
        if (got.truncated)
            got.size = got.segment = 0;
        take_datagrams(r, slot, now_ns, &got, room);
    }
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

/* Wake-ups are taken back before what they are about is looked at: none is missed. */
static void find_ready(npi_run *r)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int count = npi_poller_collect(r->config.poller, tags);
    int os_error = errno;
    if (count < 0)
        npi_engine_stop(r->engine, npi_clock_now(), NP_ERR_SYSTEM, os_error);
    for (int i = 0; i < count; i++)
        r->ready[tags[i]] = true;
}

static bool is_any_ready(const npi_run *r)
{
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (r->ready[slot])
            return true;
    }
    return false;
}

static void set_timer(npi_run *r)
{
    uint64_t now_ns = npi_clock_now();
    uint64_t wakeup_ns = is_any_ready(r) ? now_ns : npi_engine_wakeup_ns(r->engine);
    if (!npi_poller_set_timer(r->config.poller, now_ns, wakeup_ns))
        npi_engine_stop(r->engine, now_ns, NP_ERR_SYSTEM, errno);
}

/* What is received in a turn happens at one moment. */
static void turn(npi_run *r)
{
    find_ready(r);
    uint64_t now_ns = npi_clock_now();
    if (atomic_load(r->config.cancelled)) {
        npi_engine_stop(r->engine, now_ns, NP_ERR_CANCELLED, 0);
        return;
    }
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (r->ready[slot])
            receive_datagrams(r, slot, now_ns);
    }
    resolve(r);
    send_datagrams(r);
    close_unused(r);
    if (!npi_engine_is_done(r->engine))
        set_timer(r);
}

/* What only the driver knows: why no name could be resolved, and the local address where no answer has shown it. */
static void complete_result(const npi_run *r, np_result *result)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    npi_addr local = source->bound;
    if (result->error == NP_ERR_RESOLVE) {
        result->os_error = r->eai;
        memset(result->detail, 0, sizeof result->detail);
        snprintf(result->detail, sizeof result->detail, "cannot resolve %.100s: %.60s",
                 r->config.servers[r->eai_name].host, r->eai == 0 ? "no usable address" : gai_strerror(r->eai));
    }
    if (result->local_ip[0] != '\0')
        return;
    result->local_port = source->bound.port;
    if (npi_addr_is_any(&local) && npi_addr_is_set(&r->first_server) &&
        !npi_local_address_for(source, &r->first_server, &local))
        return;
    if (!npi_addr_is_any(&local))
        npi_addr_format_ip(&local, result->local_ip);
}

bool npi_run_turn(npi_run *r, np_result *result)
{
    turn(r);
    if (!npi_engine_is_done(r->engine))
        return false;
    npi_engine_result(r->engine, npi_clock_now(), result);
    complete_result(r, result);
    return true;
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

static void fail(np_result *result, int error, int os_error, const char *detail)
{
    *result = (np_result){.error = error, .os_error = os_error};
    snprintf(result->detail, sizeof result->detail, "%s", detail);
}

static void fail_to_bind(const npi_run_config *c, np_result *result, int error, int os_error)
{
    char text[NPI_ADDR_TEXT];
    char detail[sizeof result->detail];
    npi_addr_format(&c->source, text);
    if (c->socket.fd < 0)
        snprintf(detail, sizeof detail, "cannot use %s as the source: %s", text, np_strerror(error));
    else
        snprintf(detail, sizeof detail,
                 "cannot use the socket: it is closed, not bound, connected, or of another family");
    fail(result, error, os_error, detail);
}

/* Most addresses that the servers' names can lead to. */
static size_t most_servers(const npi_run_config *c)
{
    size_t most = 0;
    for (size_t i = 0; i < c->server_count; i++) {
        npi_addr literal;
        most += npi_addr_parse_ip(c->servers[i].host, &literal) ? 1 : NPI_RESOLVE_ADDRESSES;
    }
    return most < NPI_SERVERS_MAX ? most : NPI_SERVERS_MAX;
}

/* All that is ever allocated for a run. */
static bool allocate(npi_run *r)
{
    const npi_run_config *c = &r->config;
    r->engine = malloc(npi_engine_size(most_servers(c)));
    r->resolver = npi_resolver_new(c->servers, c->server_count, (npi_family)c->source.family, c->poller->wake_fd);
    if (c->socket.fd >= 0)
        r->callers_room = malloc(CALLERS_RECEIVE_ROOM);
    return r->engine != NULL && r->resolver != NULL && (c->socket.fd < 0 || r->callers_room != NULL);
}

static void begin(npi_run *r)
{
    const npi_run_config *c = &r->config;
    npi_engine_config config = {
        .tests = c->tests,
        .max_servers = most_servers(c),
        .deadline_ns = npi_time_add(c->start_ns, c->timeout_ns),
        .response_timeout_ns = c->response_timeout_ns,
        .log = c->log,
        .observer = c->observer,
    };
    r->more = true;
    npi_engine_init(r->engine, &config, c->start_ns);
}

static npi_run *new_run(const npi_run_config *config)
{
    npi_run *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->config = *config;
    for (int i = 0; i < NPI_SLOT_COUNT; i++)
        r->sockets[i] = NPI_SOCKET_CLOSED;
    return r;
}

npi_run *npi_run_new(const npi_run_config *config, np_result *result)
{
    npi_run *r = new_run(config);
    int os_error = 0;
    if (r == NULL || !allocate(r)) {
        fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
        npi_run_free(r);
        return NULL;
    }
    int error = open_source(r, &os_error);
    if (error != NP_OK) {
        fail_to_bind(config, result, error, os_error);
        npi_run_free(r);
        return NULL;
    }
    begin(r);
    return r;
}

void npi_run_mute(npi_run *r)
{
    r->config.log.sink = NULL;
    r->config.socket.on_datagram = NULL;
    npi_engine_mute(r->engine);
}

void npi_run_free(npi_run *r)
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
