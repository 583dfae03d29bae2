/* SPDX-License-Identifier: MIT */
/* The loop that joins the experiment to sockets, clock, randomness and names. */
#include "run.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "probe.h"
#include "random.h"
#include "resolve.h"
#include "transport.h"

/* Datagrams read from one socket before timers and the other sockets get their turn. */
#define READ_BURST 32
/* Larger than any answer of a sound server; what is longer is cut and then dropped by the decoder. */
#define RECEIVE_ROOM 2048

typedef struct runner {
    const npi_run_config *config;
    npi_probe *probe;
    npi_resolver *resolver;
    npi_socket sockets[NPI_SLOT_COUNT];
    size_t wanted;         /* names handed to the resolver */
    size_t resolved;       /* names that it has answered */
    bool more;             /* as last told to the probe */
    int eai;               /* of the last name that failed */
    size_t eai_name;
    npi_addr first_server;
} runner;

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static void take_resolution(runner *r, const npi_resolution *resolution)
{
    const npi_server_name *name = &r->config->servers[resolution->index];
    r->resolved++;
    if (resolution->count == 0) {
        r->eai = resolution->eai;
        r->eai_name = resolution->index;
        npi_log_write(&r->config->log, NP_LOG_WARNING, "cannot resolve %s: %s", name->host,
                      gai_strerror(resolution->eai));
    }
    for (size_t i = 0; i < resolution->count; i++) {
        char text[NPI_ADDR_TEXT];
        npi_addr_format(&resolution->addresses[i], text);
        if (!npi_probe_add_server(r->probe, &resolution->addresses[i], name->use == NPI_USE_MAPPING))
            continue;
        npi_log_write(&r->config->log, NP_LOG_DEBUG, "server %s is %s", name->host, text);
        if (!npi_addr_is_set(&r->first_server))
            r->first_server = resolution->addresses[i];
    }
}

/* Hands as many names to the resolver as the experiment could use; one that failed is made up for by the next. */
static void want_names(runner *r)
{
    size_t wanted = npi_probe_servers_wanted(r->probe) + r->resolved;
    if (wanted > r->config->server_count)
        wanted = r->config->server_count;
    if (wanted > r->wanted) {
        r->wanted = wanted;
        npi_resolver_want(r->resolver, wanted);
    }
}

static void resolve(runner *r)
{
    npi_resolution resolution;
    want_names(r);
    while (npi_resolver_take(r->resolver, &resolution)) {
        take_resolution(r, &resolution);
        want_names(r);
    }
    bool more = r->resolved < r->config->server_count;
    if (more != r->more) {
        r->more = more;
        npi_probe_expect_servers(r->probe, more);
    }
}

/* ---- Datagrams -------------------------------------------------------------------------------------------------- */

/* The socket of a slot; filtering sockets are opened when first needed. */
static npi_socket *socket_for(runner *r, int slot)
{
    npi_socket *s = &r->sockets[slot];
    if (s->fd >= 0)
        return s;
    npi_addr local = npi_addr_with_port(&r->sockets[NPI_SLOT_SOURCE].bound, 0);
    int os_error = 0;
    int error = npi_socket_open(s, &local, &os_error);
    if (error == NP_OK)
        return s;
    npi_probe_stop(r->probe, npi_clock_now(), error, os_error);
    return NULL;
}

static void send_datagrams(runner *r, uint64_t now_ns)
{
    npi_datagram d;
    uint8_t random[NPI_STUN_ID_SIZE];
    for (;;) {
        if (!npi_random_bytes(random, sizeof random)) {
            npi_probe_stop(r->probe, now_ns, NP_ERR_SYSTEM, errno);
            return;
        }
        if (!npi_probe_next_datagram(r->probe, now_ns, random, &d))
            return;
        npi_socket *s = socket_for(r, d.slot);
        if (s == NULL)
            return;
        int os_error = 0;
        npi_io io = npi_socket_send(s, &d.to, d.data, d.size, &os_error);
        if (io == NPI_IO_AGAIN)
            npi_probe_unsent(r->probe, now_ns, &d, NP_OK, 0);
        else if (io == NPI_IO_ERROR)
            npi_probe_unsent(r->probe, now_ns, &d, npi_error_from_errno(os_error), os_error);
    }
}

static void receive_datagrams(runner *r, int slot, uint64_t now_ns)
{
    uint8_t buffer[RECEIVE_ROOM];
    npi_socket *s = &r->sockets[slot];
    for (int i = 0; i < READ_BURST; i++) {
        npi_received got;
        int os_error = 0;
        npi_io io = npi_socket_receive(s, buffer, sizeof buffer, &got, &os_error);
        if (io == NPI_IO_ERROR) /* it would be there at every turn */
            npi_probe_stop(r->probe, now_ns, NP_ERR_SYSTEM, os_error);
        if (io != NPI_IO_OK)
            return;
        npi_addr local = got.local;
        if (!npi_addr_is_set(&local) || npi_addr_is_any(&local))
            npi_local_address_for(s, &got.from, &local);
        /* A datagram that was cut is handed on empty: counted, and not mistaken for a short one. */
        npi_probe_receive(r->probe, now_ns, slot, &got.from, &local, buffer, got.truncated ? 0 : got.size);
    }
}

static void close_unused(runner *r)
{
    for (int slot = 1; slot < NPI_SLOT_COUNT; slot++) {
        if (r->sockets[slot].fd >= 0 && !npi_probe_slot_in_use(r->probe, slot))
            npi_socket_close(&r->sockets[slot]);
    }
}

/* ---- Waiting ---------------------------------------------------------------------------------------------------- */

static void drain(int fd)
{
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

/* poll() until a time, to the nanosecond where the system can. */
static int poll_until(struct pollfd *fds, nfds_t count, uint64_t now_ns, uint64_t until_ns)
{
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
#ifdef __linux__
    struct timespec left = {(time_t)(left_ns / 1000000000U), (long)(left_ns % 1000000000U)};
    return ppoll(fds, count, &left, NULL);
#else
    uint64_t left_ms = (left_ns + 999999U) / 1000000U;
    return poll(fds, count, left_ms < 3600000U ? (int)left_ms : 3600000);
#endif
}

/* Waits for datagrams, names, a cancellation or the next timer, and takes the datagrams in. */
static void wait_and_receive(runner *r)
{
    struct pollfd fds[NPI_SLOT_COUNT + 1];
    int slots[NPI_SLOT_COUNT];
    nfds_t count = 0;
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++) {
        if (r->sockets[slot].fd < 0)
            continue;
        slots[count] = slot;
        fds[count++] = (struct pollfd){.fd = r->sockets[slot].fd, .events = POLLIN};
    }
    nfds_t sockets = count;
    fds[count++] = (struct pollfd){.fd = r->config->wake_fd, .events = POLLIN};
    if (poll_until(fds, count, npi_clock_now(), npi_probe_wakeup_ns(r->probe)) <= 0)
        return; /* a timer, or EINTR: the loop looks at the clock and at cancellation */
    if (fds[sockets].revents != 0)
        drain(r->config->wake_fd);
    uint64_t now_ns = npi_clock_now();
    for (nfds_t i = 0; i < sockets; i++) {
        if (fds[i].revents != 0)
            receive_datagrams(r, slots[i], now_ns);
    }
}

static void loop(runner *r)
{
    while (!npi_probe_is_done(r->probe)) {
        uint64_t now_ns = npi_clock_now();
        if (atomic_load(r->config->cancelled)) {
            npi_probe_stop(r->probe, now_ns, NP_ERR_CANCELLED, 0);
            return;
        }
        resolve(r);
        send_datagrams(r, now_ns);
        close_unused(r);
        if (!npi_probe_is_done(r->probe))
            wait_and_receive(r);
    }
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

static void fail(np_result *result, int error, int os_error, const char *detail)
{
    memset(result, 0, sizeof *result);
    result->error = error;
    result->os_error = os_error;
    snprintf(result->detail, sizeof result->detail, "%s", detail);
}

static int fail_to_bind(const npi_run_config *c, np_result *result, int error, int os_error)
{
    char text[NPI_ADDR_TEXT];
    char detail[sizeof result->detail];
    npi_addr_format(&c->source, text);
    snprintf(detail, sizeof detail, "cannot use %s as the source: %s", text, np_strerror(error));
    fail(result, error, os_error, detail);
    return error;
}

/* What only the driver knows: why no name could be resolved, and the local address where no answer has shown it. */
static void complete_result(const runner *r, np_result *result)
{
    const npi_socket *source = &r->sockets[NPI_SLOT_SOURCE];
    npi_addr local = source->bound;
    if (result->error == NP_ERR_RESOLVE) {
        result->os_error = r->eai;
        memset(result->detail, 0, sizeof result->detail);
        snprintf(result->detail, sizeof result->detail, "cannot resolve %.100s: %.60s",
                 r->config->servers[r->eai_name].host, r->eai == 0 ? "no usable address" : gai_strerror(r->eai));
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

static int set_up(runner *r, uint64_t start_ns, np_result *result)
{
    const npi_run_config *c = r->config;
    npi_probe_config config = {
        .tests = c->tests,
        .deadline_ns = npi_time_add(start_ns, c->timeout_ns),
        .response_timeout_ns = c->response_timeout_ns,
        .log = c->log,
    };
    for (int i = 0; i < NPI_SLOT_COUNT; i++)
        r->sockets[i] = NPI_SOCKET_CLOSED;
    int os_error = 0;
    int error = npi_socket_open(&r->sockets[NPI_SLOT_SOURCE], &c->source, &os_error);
    if (error != NP_OK)
        return fail_to_bind(c, result, error, os_error);
    r->probe = malloc(npi_probe_size());
    r->resolver = npi_resolver_new(c->servers, c->server_count, (npi_family)c->source.family, c->wake_write_fd);
    if (r->probe == NULL || r->resolver == NULL) {
        fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
        return NP_ERR_NO_MEMORY;
    }
    r->more = true;
    npi_probe_init(r->probe, &config, start_ns);
    return NP_OK;
}

int npi_run(const npi_run_config *config, uint64_t start_ns, np_result *result)
{
    runner r;
    memset(&r, 0, sizeof r);
    r.config = config;
    int error = set_up(&r, start_ns, result);
    if (error == NP_OK) {
        loop(&r);
        npi_probe_result(r.probe, npi_clock_now(), result);
        complete_result(&r, result);
        error = result->error;
    }
    if (r.resolver != NULL)
        npi_resolver_free(r.resolver);
    free(r.probe);
    for (int slot = 0; slot < NPI_SLOT_COUNT; slot++)
        npi_socket_close(&r.sockets[slot]);
    return error;
}
