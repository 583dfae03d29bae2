/* SPDX-License-Identifier: MIT */
/* The public functions: arguments checked, and a check taken from its beginning to its end. */
#include <natprobe/natprobe.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "clock.h"
#include "log.h"
#include "poller.h"
#include "probe.h"
#include "random.h"
#include "servers.h"
#include "sockaddr.h"
#include "transport.h"

_Static_assert(sizeof(np_result) == 1024, "np_result is 1,024 bytes for the life of the ABI");

#define TIMEOUT_MAX_MS 3600000U
#define LIFETIME_MAX_S 3600U
#define NS_PER_MS UINT64_C(1000000)

/* Which run is on and whether it was cancelled, in one word: who cancels must not meet the next one. */
#define RUN_GOES_ON 1U
#define RUN_CANCELLED 2U
#define RUN_STATE (RUN_GOES_ON | RUN_CANCELLED)
#define RUN_ONE 4U /* the bits from here on count the runs */

typedef enum stage { STAGE_IDLE, STAGE_RUNNING, STAGE_DONE } stage;

struct np_probe {
    npi_addr source;                    /* family none: not set */
    char source_zone[NPI_ADDR_ZONE];    /* on which link it is; empty: no link named */
    char interface[NPI_INTERFACE_NAME]; /* the one that was chosen; empty: none */
    uint16_t source_port;
    npi_callers_socket socket;
    int32_t family;
    int32_t tests;
    uint32_t timeout_ms;
    uint32_t response_timeout_ms; /* 0: in proportion to timeout_ms */
    uint32_t lifetime_limit_s;
    npi_log log;
    npi_observer observer;
    npi_server_name servers[NP_MAX_SERVERS]; /* those added, else the built-in list as shuffled for the check */
    size_t added_servers;
    atomic_uint run;        /* RUN_STATE and a number */
    atomic_bool in_call;    /* a call that may call back is being made */
    bool free_on_return;    /* to be freed when that call returns */
    npi_poller poller;      /* closed until the first check */
    _Atomic(npi_wake) wake; /* the poller's, for np_probe_cancel; NPI_NO_WAKE before */

    stage stage;
    npi_check check;
    npi_addr run_source;
    size_t run_servers;
    uint64_t start_ns;
    np_result result; /* in stage DONE */
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void init(np_probe *probe)
{
    memset(probe, 0, sizeof *probe);
    probe->socket.fd = NP_INVALID_SOCKET;
    probe->tests = NP_TESTS_DEFAULT;
    probe->timeout_ms = NP_DEFAULT_TIMEOUT_MS;
    probe->lifetime_limit_s = NP_DEFAULT_LIFETIME_LIMIT_S;
    probe->poller = NPI_POLLER_CLOSED;
    atomic_init(&probe->run, 0);
    atomic_init(&probe->in_call, false);
    atomic_init(&probe->wake, NPI_NO_WAKE);
}

np_probe *np_probe_new(void)
{
    np_probe *probe = malloc(sizeof *probe);
    if (probe != NULL)
        init(probe);
    return probe;
}

void npi_probe_mute(np_probe *probe)
{
    probe->log.sink = NULL;
    probe->observer.sink = NULL;
    npi_check_mute(&probe->check);
    np_probe_cancel(probe);
}

/* Called back, and freed: ends the call that is being made, which calls back no more, and then the handle. */
static void free_later(np_probe *probe)
{
    probe->free_on_return = true;
    npi_probe_mute(probe);
}

void np_probe_free(np_probe *probe)
{
    if (probe == NULL)
        return;
    if (atomic_load(&probe->in_call)) {
        free_later(probe);
        return;
    }
    npi_check_end(&probe->check);
    npi_poller_close(&probe->poller);
    free(probe);
}

/* False when the handle is in a call already: one of its callbacks tries this, or a thread that should not. */
static bool enter(np_probe *probe)
{
    return !atomic_exchange(&probe->in_call, true);
}

static void leave(np_probe *probe)
{
    atomic_store(&probe->in_call, false);
    if (probe->free_on_return)
        np_probe_free(probe);
}

static void begin_run(np_probe *probe)
{
    atomic_fetch_add(&probe->run, RUN_ONE + RUN_GOES_ON);
}

static void end_run(np_probe *probe)
{
    atomic_fetch_and(&probe->run, ~RUN_STATE);
}

/* Where the exchange fails, the run is over or cancelled. Trying again might meet the next one. */
void np_probe_cancel(np_probe *probe)
{
    unsigned seen = probe != NULL ? atomic_load(&probe->run) : 0;
    if ((seen & RUN_STATE) != RUN_GOES_ON || !atomic_compare_exchange_strong(&probe->run, &seen, seen | RUN_CANCELLED))
        return;
    npi_wake wake = atomic_load(&probe->wake);
    if (wake != NPI_NO_WAKE)
        npi_poller_wake(wake);
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

/* Whether a setting may be changed now. */
static int settable(const np_probe *probe)
{
    if (probe == NULL)
        return NP_ERR_ARGUMENT;
    return probe->stage != STAGE_IDLE || atomic_load(&probe->in_call) ? NP_ERR_BUSY : NP_OK;
}

static int check_setter(const np_probe *probe, bool is_valid)
{
    int error = settable(probe);
    return error == NP_OK && !is_valid ? NP_ERR_ARGUMENT : error;
}

int np_probe_set_source(np_probe *probe, const char *ip, uint16_t port)
{
    int error = settable(probe);
    if (error != NP_OK)
        return error;
    npi_addr source;
    memset(&source, 0, sizeof source);
    if (ip != NULL && !npi_addr_parse_ip(ip, &source))
        return NP_ERR_ARGUMENT;
    probe->source = npi_addr_unmap(&source);
    memset(probe->source_zone, 0, sizeof probe->source_zone);
    if (ip != NULL)
        memcpy(probe->source_zone, npi_addr_zone(ip), strlen(npi_addr_zone(ip)));
    probe->source_port = port;
    probe->socket = (npi_callers_socket){.fd = NP_INVALID_SOCKET};
    return NP_OK;
}

int np_probe_set_interface(np_probe *probe, const char *name)
{
    size_t length = name != NULL ? strlen(name) : 0;
    int error = check_setter(probe, name == NULL || (length > 0 && length < sizeof probe->interface));
    if (error != NP_OK)
        return error;
    memset(probe->interface, 0, sizeof probe->interface);
    if (name != NULL)
        memcpy(probe->interface, name, length);
    return NP_OK;
}

int np_probe_set_socket(np_probe *probe, np_socket fd, np_datagram_fn on_datagram, void *user)
{
    npi_reach reach;
    bool is_valid = fd == NP_INVALID_SOCKET || (on_datagram != NULL && npi_socket_examine(fd, &reach) == NP_OK);
    int error = check_setter(probe, is_valid);
    if (error != NP_OK)
        return error;
    probe->source = (npi_addr){.family = NPI_FAMILY_NONE};
    probe->source_zone[0] = '\0';
    probe->source_port = 0;
    probe->socket = (npi_callers_socket){.fd = fd, .on_datagram = on_datagram, .user = user};
    return NP_OK;
}

/* Literals to which nothing may be sent are told at once, names only once they are resolved. */
static bool may_be_asked(const npi_server_name *name)
{
    npi_addr literal;
    if (!npi_addr_parse_ip(name->host, &literal))
        return true;
    literal.port = name->port;
    return npi_addr_is_destination(&literal);
}

bool npi_probe_reads_server(const char *server, npi_server_name *out)
{
    return server != NULL && npi_server_parse(server, out) && may_be_asked(out);
}

int np_probe_add_server(np_probe *probe, const char *server)
{
    npi_server_name name;
    int error = check_setter(probe, npi_probe_reads_server(server, &name));
    if (error != NP_OK)
        return error;
    if (probe->added_servers == NP_MAX_SERVERS)
        return NP_ERR_LIMIT;
    probe->servers[probe->added_servers++] = name;
    return NP_OK;
}

int np_probe_clear_servers(np_probe *probe)
{
    int error = settable(probe);
    if (error == NP_OK)
        probe->added_servers = 0;
    return error;
}

int np_probe_set_family(np_probe *probe, int32_t family)
{
    int error = check_setter(probe, family == NP_FAMILY_ANY || family == NP_FAMILY_IPV4 || family == NP_FAMILY_IPV6);
    if (error == NP_OK)
        probe->family = family;
    return error;
}

int np_probe_set_tests(np_probe *probe, int32_t tests)
{
    int error = check_setter(probe, tests > 0 && (tests & ~(NP_TESTS_DEFAULT | NP_TESTS_OPTIONAL)) == 0);
    if (error == NP_OK && (tests & NP_TESTS_REFUSED) != 0)
        tests |= NP_TESTS_FILTERING; /* it shows what the NAT refuses */
    if (error == NP_OK)
        probe->tests = tests; /* the mapping is always tested: the filtering cannot be told without it */
    return error;
}

static bool is_timeout(uint32_t timeout_ms)
{
    return timeout_ms > 0 && timeout_ms <= TIMEOUT_MAX_MS;
}

int np_probe_set_timeout(np_probe *probe, uint32_t timeout_ms)
{
    int error = check_setter(probe, is_timeout(timeout_ms));
    if (error == NP_OK)
        probe->timeout_ms = timeout_ms;
    return error;
}

int np_probe_set_response_timeout(np_probe *probe, uint32_t timeout_ms)
{
    int error = check_setter(probe, is_timeout(timeout_ms));
    if (error == NP_OK)
        probe->response_timeout_ms = timeout_ms;
    return error;
}

int np_probe_set_lifetime_limit(np_probe *probe, uint32_t limit_s)
{
    int error = check_setter(probe, limit_s > 0 && limit_s <= LIFETIME_MAX_S);
    if (error == NP_OK)
        probe->lifetime_limit_s = limit_s;
    return error;
}

int np_probe_set_log(np_probe *probe, int32_t level, np_log_fn log, void *user)
{
    int error = check_setter(probe, log == NULL || (level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG));
    if (error == NP_OK)
        probe->log = (npi_log){.sink = log, .user = user, .level = level};
    return error;
}

int np_probe_set_events(np_probe *probe, np_event_fn on_event, void *user)
{
    int error = settable(probe);
    if (error == NP_OK)
        probe->observer = (npi_observer){.sink = on_event, .user = user};
    return error;
}

/* ---- For a watch or a survey ------------------------------------------------------------------------------------- */

void npi_probe_describe(const np_probe *probe, npi_probe_settings *out)
{
    *out = (npi_probe_settings){
        .source = probe->source,
        .source_zone = probe->source_zone,
        .interface = probe->interface,
        .socket = probe->socket.fd,
        .family = probe->family,
        .tests = probe->tests,
        .log = probe->log,
        .on_event = probe->observer.sink,
        .event_user = probe->observer.user,
        .servers = probe->servers,
        .server_count = probe->added_servers,
    };
}

void npi_probe_set_servers(np_probe *probe, const npi_server_name *servers, size_t count)
{
    memcpy(probe->servers, servers, count * sizeof *servers);
    probe->added_servers = count;
}

/* ---- Beginning a check ------------------------------------------------------------------------------------------ */

/* Whether all servers were given by address, and all of that family. */
static bool all_servers_are_of(const np_probe *probe, npi_family family)
{
    for (size_t i = 0; i < probe->added_servers; i++) {
        npi_addr a;
        if (!npi_addr_parse_ip(probe->servers[i].host, &a) || npi_addr_unmap(&a).family != family)
            return false;
    }
    return probe->added_servers > 0;
}

static bool has_free_choice(const np_probe *probe)
{
    return probe->family == NP_FAMILY_ANY && !npi_addr_is_set(&probe->source) && !npi_is_socket(probe->socket.fd);
}

/* Whether IPv6 is what to begin with, where both are possible. */
static bool prefers_ipv6(const np_probe *probe)
{
    return probe->family == NP_FAMILY_IPV6 || (probe->family == NP_FAMILY_ANY && all_servers_are_of(probe, NPI_IPV6));
}

/*
 * The family to try first: that of the socket or source address, that which was chosen, or that which all servers have.
 */
static npi_addr first_source(const np_probe *probe)
{
    npi_addr source = probe->source;
    npi_reach reach = {true, true};
    if (npi_is_socket(probe->socket.fd) && npi_socket_examine(probe->socket.fd, &reach) != NP_OK)
        reach = (npi_reach){true, false}; /* it is no longer what it was: opening it will fail, and say so */
    if (!npi_addr_is_set(&source))
        source.family = reach.ipv6 && (!reach.ipv4 || prefers_ipv6(probe)) ? NPI_IPV6 : NPI_IPV4;
    source.port = probe->source_port;
    return source;
}

/* A source or socket of one family and a choice of the other contradict each other. */
static bool contradicts_itself(const np_probe *probe)
{
    return probe->family != NP_FAMILY_ANY && probe->family != probe->run_source.family;
}

/* Soon after boot there are no random numbers yet. The load on the servers is spread by the clock then. */
static void scatter_by_clock(uint8_t out[NP_MAX_SERVERS])
{
    uint64_t state = npi_clock_now();
    for (size_t i = 0; i < NP_MAX_SERVERS; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(state >> 56);
    }
}

static bool choose_servers(np_probe *probe)
{
    uint8_t random[NP_MAX_SERVERS];
    probe->run_servers = probe->added_servers;
    if (probe->added_servers > 0)
        return true;
    if (!npi_random_bytes(random, sizeof random)) {
        if (errno != EAGAIN)
            return false;
        scatter_by_clock(random);
    }
    probe->run_servers = npi_builtin_shuffled(probe->servers, NP_MAX_SERVERS, random);
    return true;
}

/* IPv6 may be asked beside IPv4 where nothing but the library chose IPv4, and some server may have an IPv6 address. */
static bool may_add_ipv6(const np_probe *probe)
{
    return has_free_choice(probe) && probe->run_source.family == NPI_IPV4 && !all_servers_are_of(probe, NPI_IPV4);
}

/* With more time for the whole run, more of it is for the first answer: whoever allows a minute may be far away. */
static uint32_t response_timeout_ms(const np_probe *probe)
{
    uint32_t share_ms = probe->timeout_ms / 10 * 3;
    if (probe->response_timeout_ms != 0)
        return probe->response_timeout_ms;
    return share_ms > NP_DEFAULT_RESPONSE_TIMEOUT_MS ? share_ms : NP_DEFAULT_RESPONSE_TIMEOUT_MS;
}

static void start_check(np_probe *probe)
{
    npi_driver_config config = {
        .source = probe->run_source,
        .interface = !npi_is_socket(probe->socket.fd) && probe->interface[0] != '\0' ? probe->interface : NULL,
        .socket = probe->socket,
        .tests = probe->tests,
        .lifetime_limit_s = probe->lifetime_limit_s,
        .start_ns = probe->start_ns,
        .timeout_ns = probe->timeout_ms * NS_PER_MS,
        .response_timeout_ns = response_timeout_ms(probe) * NS_PER_MS,
        .servers = probe->servers,
        .server_count = probe->run_servers,
        .log = probe->log,
        .observer = probe->observer,
        .poller = &probe->poller,
        .run = &probe->run,
        .cancelled_run = atomic_load(&probe->run) | RUN_CANCELLED,
    };
    npi_check_begin(&probe->check, &config, may_add_ipv6(probe));
}

/* ---- The end of a check ----------------------------------------------------------------------------------------- */

static np_event make_conclusion(const np_probe *probe)
{
    np_event event;
    memset(&event, 0, sizeof event);
    event.kind = NP_EVENT_CONCLUDED;
    event.time_us = (npi_clock_now() - probe->start_ns) / 1000;
    return event;
}

static void tell(const np_probe *probe, const np_event *event)
{
    if (probe->observer.sink != NULL)
        probe->observer.sink(event, probe->observer.user);
}

static void tell_mapping(const np_probe *probe)
{
    np_event event = make_conclusion(probe);
    event.purpose = NP_PURPOSE_MAPPING;
    event.behaviour = probe->result.mapping;
    tell(probe, &event);
}

static void tell_end(const np_probe *probe)
{
    np_event event = make_conclusion(probe);
    event.nat_type = probe->result.nat_type;
    event.error = probe->result.error;
    memcpy(event.remote, probe->result.server, sizeof event.remote);
    tell(probe, &event);
}

/* The result is kept until it is asked for. */
static void finish(np_probe *probe)
{
    probe->stage = STAGE_DONE;
    npi_poller_set_timer(&probe->poller, 0, UINT64_MAX);
    npi_poller_wake(npi_poller_wake_of(&probe->poller));
    if (probe->result.packets_received > 0)
        tell_mapping(probe);
    tell_end(probe);
}

/* ---- Going on --------------------------------------------------------------------------------------------------- */

/* All that can be done without waiting. */
static void advance(np_probe *probe)
{
    if (probe->stage == STAGE_RUNNING && npi_check_turn(&probe->check, &probe->result))
        finish(probe);
}

static int open_poller(np_probe *probe, npi_failure *failure)
{
    *failure = NPI_FAILURE_NONE;
    if (npi_poller_is_open(&probe->poller))
        return NP_OK;
    int error = npi_poller_open(&probe->poller, failure);
    if (error == NP_OK)
        atomic_store(&probe->wake, npi_poller_wake_of(&probe->poller));
    return error;
}

/* The interface that the source address names is looked for when a check begins: it may come and go. */
static int fail_for_interface(np_probe *probe)
{
    npi_failure failure = npi_failure_of("if_nametoindex");
    char prefix[64 + NPI_ADDR_TEXT];
    char text[NPI_ADDR_IP_TEXT];
    int error = failure.os_error == ENODEV ? NP_ERR_ADDRESS_NOT_AVAILABLE : NP_ERR_SYSTEM;
    npi_addr_format_ip(&probe->source, text);
    (void)snprintf(prefix, sizeof prefix, "cannot use %s%%%s as the source: ", text, probe->source_zone);
    return npi_result_fail_for(&probe->result, error, prefix, &failure);
}

/* The system would take the link that the source address names, and not the interface that was chosen. */
static bool is_on_other_interface(const np_probe *probe)
{
    npi_addr source = probe->source;
    return probe->run_source.scope != 0 && npi_addr_find_scope(probe->interface, &source) && source.scope != 0 &&
           source.scope != probe->run_source.scope;
}

/* What may fail before anything is sent: the result says so. */
static int prepare(np_probe *probe)
{
    if (contradicts_itself(probe))
        return npi_result_fail(&probe->result, NP_ERR_ARGUMENT, 0,
                               "the source address or socket is not of the chosen family");
    if (!npi_addr_find_scope(probe->source_zone, &probe->run_source))
        return fail_for_interface(probe);
    if (is_on_other_interface(probe))
        return npi_result_fail(&probe->result, NP_ERR_ARGUMENT, 0,
                               "the source address is on another interface than the chosen one");
    if (!choose_servers(probe)) {
        npi_failure failure = npi_failure_of("getrandom");
        return npi_result_fail_for(&probe->result, NP_ERR_SYSTEM, "", &failure);
    }
    if (probe->run_servers == 0)
        return npi_result_fail(
            &probe->result, NP_ERR_ARGUMENT, 0,
            "this build has no built-in servers: name one (np_probe_add_server(), natprobe -s HOST)");
    return NP_OK;
}

static int begin(np_probe *probe, npi_failure *failure)
{
    begin_run(probe);
    int error = open_poller(probe, failure);
    if (error != NP_OK) {
        end_run(probe);
        return error;
    }
    probe->start_ns = npi_clock_now();
    probe->run_source = first_source(probe);
    probe->stage = STAGE_RUNNING;
    int refused = prepare(probe);
    if (refused == NP_OK) {
        start_check(probe);
        advance(probe);
    } else {
        finish(probe);
    }
    return NP_OK;
}

/* Hands the result over; the handle is free for the next check. */
static int take_result(np_probe *probe, np_result *result)
{
    uint32_t tags[NPI_POLLER_TAGS];
    *result = probe->result;
    probe->stage = STAGE_IDLE;
    end_run(probe);
    (void)npi_poller_collect(&probe->poller, tags); /* nothing more to be woken for */
    return result->error;
}

/* ---- The public calls ------------------------------------------------------------------------------------------- */

int np_probe_start(np_probe *probe)
{
    npi_failure unused;
    if (probe == NULL)
        return NP_ERR_ARGUMENT;
    if (!enter(probe))
        return NP_ERR_BUSY;
    int error = probe->stage != STAGE_IDLE ? NP_ERR_BUSY : begin(probe, &unused);
    if (probe->free_on_return)
        error = NP_ERR_CANCELLED; /* there is nothing to watch */
    leave(probe);
    return error;
}

np_socket np_probe_fd(const np_probe *probe)
{
    return probe != NULL ? npi_poller_fd(&probe->poller) : NP_INVALID_SOCKET;
}

void *np_probe_wait_handle(const np_probe *probe)
{
    return probe != NULL ? npi_poller_event(&probe->poller) : NULL;
}

static int process(np_probe *probe, np_result *result)
{
    uint32_t tags[NPI_POLLER_TAGS];
    advance(probe);
    if (probe->stage == STAGE_DONE)
        return take_result(probe, result);
    if (probe->stage != STAGE_IDLE)
        return npi_result_fail(result, NP_PENDING, 0, "%s", "");
    if (npi_poller_is_open(&probe->poller))
        (void)npi_poller_collect(&probe->poller, tags); /* one that came as the check ended has woken the caller */
    return npi_result_fail(result, NP_ERR_ARGUMENT, 0, "no check was started");
}

/* A call that may call back and gives a result, guarded. */
static int call(np_probe *probe, np_result *result, int (*function)(np_probe *, np_result *))
{
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    if (probe == NULL)
        return npi_result_fail(result, NP_ERR_ARGUMENT, 0, "the probe is NULL");
    if (!enter(probe))
        return npi_result_fail(result, NP_ERR_BUSY, 0, "the probe is in another call");
    int error = function(probe, result);
    if (error == NP_PENDING && probe->free_on_return)
        error = npi_result_fail(result, NP_ERR_CANCELLED, 0, "the probe was freed by a callback");
    leave(probe);
    return error;
}

int np_probe_process(np_probe *probe, np_result *result)
{
    return call(probe, result, process);
}

/* False when nothing has begun: the result says why. */
static bool begin_or_tell(np_probe *probe, np_result *result)
{
    npi_failure failure;
    int error = begin(probe, &failure);
    if (error != NP_OK)
        npi_result_fail_for(result, error, "cannot wait: ", &failure);
    return error == NP_OK;
}

/* What a caller with an event loop does after each wait, in a loop of our own. */
static void go_on(np_probe *probe, bool has_waited, const npi_failure *failure)
{
    if (!has_waited)
        npi_check_stop(&probe->check, NP_ERR_SYSTEM, *failure);
    advance(probe);
}

static void run_to_end(np_probe *probe)
{
    while (probe->stage != STAGE_DONE) {
        bool has_waited = npi_poller_wait(&probe->poller);
        npi_failure failure = npi_failure_of(NPI_POLLER_WAIT);
        go_on(probe, has_waited, &failure);
    }
}

static int run(np_probe *probe, np_result *result)
{
    if (probe->stage != STAGE_IDLE)
        return npi_result_fail(result, NP_ERR_BUSY, 0, "the probe is running already");
    if (!begin_or_tell(probe, result))
        return result->error;
    run_to_end(probe);
    return take_result(probe, result);
}

int np_probe_run(np_probe *probe, np_result *result)
{
    return call(probe, result, run);
}

int np_check_nat(const char *src_ip, uint16_t src_port, np_result *result)
{
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    np_probe *probe = np_probe_new();
    if (probe == NULL)
        return npi_result_fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
    int error = np_probe_set_source(probe, src_ip, src_port);
    if (error != NP_OK)
        npi_result_fail(result, error, 0, "the source address is not an IP literal");
    else
        error = np_probe_run(probe, result);
    np_probe_free(probe);
    return error;
}

/* ---- Both families ---------------------------------------------------------------------------------------------- */

/* NULL when no check has begun: the result says why. */
static np_probe *begin_over(int32_t family, np_result *result)
{
    np_probe *probe = np_probe_new();
    if (probe == NULL) {
        npi_result_fail(result, NP_ERR_NO_MEMORY, ENOMEM, "out of memory");
        return NULL;
    }
    probe->family = family;
    if (begin_or_tell(probe, result))
        return probe;
    np_probe_free(probe);
    return NULL;
}

static bool is_running(const np_probe *probe)
{
    return probe != NULL && probe->stage != STAGE_DONE;
}

/* Until one of them has ended. */
static void run_beside(np_probe *probe, np_probe *other)
{
    while (is_running(probe) && is_running(other)) {
        bool has_waited = npi_poller_wait_either(&probe->poller, &other->poller);
        npi_failure failure = npi_failure_of(NPI_POLLER_WAIT);
        go_on(probe, has_waited, &failure);
        go_on(other, has_waited, &failure);
    }
}

static void end_over(np_probe *probe, np_result *result)
{
    if (probe == NULL)
        return;
    run_to_end(probe);
    take_result(probe, result);
    np_probe_free(probe);
}

/* What says most of both: a family that this host does not have says nothing of the NAT. */
static int error_of_both(const np_result *ipv4, const np_result *ipv6)
{
    bool has_no_ipv4 = ipv4->error == NP_ERR_NETWORK_UNREACHABLE || ipv4->error == NP_ERR_RESOLVE;
    if (ipv4->error == NP_OK || ipv6->error == NP_OK)
        return NP_OK;
    return has_no_ipv4 ? ipv6->error : ipv4->error;
}

static int refuse_results(np_result *ipv4, np_result *ipv6)
{
    if (ipv4 != NULL)
        npi_result_fail(ipv4, NP_ERR_ARGUMENT, 0, "two results are needed, one for each family");
    if (ipv6 != NULL)
        npi_result_fail(ipv6, NP_ERR_ARGUMENT, 0, "two results are needed, one for each family");
    return NP_ERR_ARGUMENT;
}

int np_check_nat_dual(np_result *ipv4, np_result *ipv6)
{
    if (ipv4 == NULL || ipv6 == NULL || ipv4 == ipv6)
        return refuse_results(ipv4, ipv6);
    np_probe *over_ipv4 = begin_over(NP_FAMILY_IPV4, ipv4);
    np_probe *over_ipv6 = begin_over(NP_FAMILY_IPV6, ipv6);
    run_beside(over_ipv4, over_ipv6);
    end_over(over_ipv4, ipv4);
    end_over(over_ipv6, ipv6);
    return error_of_both(ipv4, ipv6);
}

/* ---- Logging the outcome ---------------------------------------------------------------------------------------- */

static void log_to_stderr(int32_t level, const char *message, void *user)
{
    (void)user;
    fprintf(stderr, "natprobe: %s%s\n", level == NP_LOG_ERROR ? "error: " : "", message);
}

static void log_outcome(const npi_log *log, int error, const np_result *result)
{
    if (error != NP_OK) {
        npi_log_write(log, NP_LOG_ERROR, "Failed to determine NAT type: %s%s%s", np_strerror(error),
                      result->detail[0] != '\0' ? ": " : "", result->detail);
        return;
    }
    npi_log_write(log, NP_LOG_INFO, "NAT type:      %s", np_nat_type_description(result->nat_type));
    npi_log_write(log, NP_LOG_INFO, "External IP:   %s", result->external_ip);
    npi_log_write(log, NP_LOG_INFO, "External port: %u", (unsigned)result->external_port);
    bool unlikely = result->nat_type == NP_NAT_SYMMETRIC;
    npi_log_write(log, NP_LOG_INFO, "NAT traversal by UDP hole punching is %s to work",
                  unlikely ? "unlikely" : "likely");
}

int np_check_nat_and_log(const char *src_ip, uint16_t src_port, np_result *result, np_log_fn log, void *user)
{
    np_result unwanted;
    npi_log sink = {log != NULL ? log : log_to_stderr, user, NP_LOG_INFO};
    if (result == NULL)
        result = &unwanted;
    int error = np_check_nat(src_ip, src_port, result);
    log_outcome(&sink, error, result);
    return error;
}

/* ---- Version ---------------------------------------------------------------------------------------------------- */

const char *np_version(void)
{
    return NP_VERSION;
}

uint32_t np_version_number(void)
{
    return NP_VERSION_NUMBER;
}

size_t np_result_size(void)
{
    return sizeof(np_result);
}

size_t np_event_size(void)
{
    return sizeof(np_event);
}
