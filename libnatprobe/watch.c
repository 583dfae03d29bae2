/* SPDX-License-Identifier: MIT */
/*
 * A watch: one probe whose check is made again whenever its result may no longer hold. renewal.h decides when,
 * canvass.h with which servers, standing.h what holds then; lookout.h tells what happens to this host.
 */
#include <natprobe/natprobe.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "canvass.h"
#include "clock.h"
#include "driver.h"
#include "lookout.h"
#include "nest.h"
#include "poller.h"
#include "probe.h"
#include "random.h"
#include "renewal.h"
#include "standing.h"

_Static_assert(sizeof(np_watch_status) == 1280, "np_watch_status is 1,280 bytes for the life of the ABI");

#define INTERVAL_MIN_S 10U
#define INTERVAL_MAX_S 604800U
#define TAG_PROBE 0
#define TAG_NETWORK 1

/* Changed by np_watch_cancel as well, from any thread. */
enum { LIFE_IDLE, LIFE_ON, LIFE_CANCELLED };

/* The check that is being made. */
typedef struct check_in_hand {
    uint64_t start_ns;
    bool tests_filtering; /* nobody who is asked had been asked shortly before */
    bool is_tainted;      /* or so it seemed: two names led to one address */
} check_in_hand;

struct np_watch {
    np_probe *probe;
    npi_probe_settings settings;
    uint64_t interval_ns;
    np_watch_fn on_change;
    void *user;
    atomic_int life;
    atomic_bool in_call;    /* a call that may call back is being made */
    bool free_on_return;    /* to be freed when that call returns */
    npi_poller poller;      /* closed until the first start */
    _Atomic(npi_wake) wake; /* the poller's, for np_watch_cancel; NPI_NO_WAKE before */
    npi_nest nest;
    npi_lookout lookout;
    npi_canvass canvass;
    npi_renewal renewal;
    npi_standing standing;
    check_in_hand check;
    bool network_changed; /* since the last check with an outcome */
    int32_t reason;
    int32_t last_error;
    uint32_t changed;
    uint64_t checks;
    uint64_t changes;
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static void on_event(const np_event *event, void *user);

np_watch *np_watch_new(np_probe *probe)
{
    np_watch *w = probe != NULL ? calloc(1, sizeof *w) : NULL;
    if (w == NULL)
        return NULL;
    npi_probe_describe(probe, &w->settings);
    w->settings.tests = (w->settings.tests & NP_TESTS_DEFAULT) |
                        NP_TESTS_MAPPING; /* the optional ones change nothing */
    if (np_probe_set_events(probe, on_event, w) != NP_OK) {
        free(w);
        return NULL;
    }
    w->probe = probe;
    w->interval_ns = NP_DEFAULT_WATCH_INTERVAL_S * NPI_S;
    w->poller = NPI_POLLER_CLOSED;
    w->nest = NPI_NEST_NONE;
    atomic_init(&w->life, LIFE_IDLE);
    atomic_init(&w->in_call, false);
    atomic_init(&w->wake, NPI_NO_WAKE);
    npi_standing_init(&w->standing);
    return w;
}

/* Called back, and freed: the call that is being made calls back no more. */
static void free_later(np_watch *w)
{
    w->free_on_return = true;
    w->on_change = NULL;
    w->settings.on_event = NULL;
    w->settings.log.sink = NULL;
    npi_probe_mute(w->probe);
}

static void stop_listening(np_watch *w)
{
    npi_lookout_close(&w->lookout);
    npi_nest_disarm(&w->nest, &w->poller);
}

void np_watch_free(np_watch *watch)
{
    if (watch == NULL)
        return;
    if (atomic_load(&watch->in_call)) {
        free_later(watch);
        return;
    }
    if (atomic_load(&watch->life) != LIFE_IDLE)
        stop_listening(watch);
    np_probe_free(watch->probe);
    npi_poller_close(&watch->poller);
    free(watch);
}

/* False when the watch is in a call already: one of its callbacks tries this, or a thread that should not. */
static bool enter(np_watch *w)
{
    return !atomic_exchange(&w->in_call, true);
}

static void leave(np_watch *w)
{
    atomic_store(&w->in_call, false);
    if (w->free_on_return)
        np_watch_free(w);
}

void np_watch_cancel(np_watch *watch)
{
    int on = LIFE_ON;
    if (watch == NULL || !atomic_compare_exchange_strong(&watch->life, &on, LIFE_CANCELLED))
        return;
    npi_wake wake = atomic_load(&watch->wake);
    if (wake != NPI_NO_WAKE)
        npi_poller_wake(wake);
}

static bool is_over(const np_watch *w)
{
    return w->free_on_return || atomic_load(&w->life) == LIFE_CANCELLED;
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

static int settable(const np_watch *w)
{
    if (w == NULL)
        return NP_ERR_ARGUMENT;
    return atomic_load(&w->life) != LIFE_IDLE || atomic_load(&w->in_call) ? NP_ERR_BUSY : NP_OK;
}

int np_watch_set_interval(np_watch *watch, uint32_t seconds)
{
    int error = settable(watch);
    if (error != NP_OK)
        return error;
    if (seconds != 0 && (seconds < INTERVAL_MIN_S || seconds > INTERVAL_MAX_S))
        return NP_ERR_ARGUMENT;
    watch->interval_ns = seconds * NPI_S;
    return NP_OK;
}

int np_watch_set_changes(np_watch *watch, np_watch_fn on_change, void *user)
{
    int error = settable(watch);
    if (error != NP_OK)
        return error;
    watch->on_change = on_change;
    watch->user = user;
    return NP_OK;
}

/* ---- What it knows ---------------------------------------------------------------------------------------------- */

static int64_t ms_between(uint64_t from_ns, uint64_t to_ns)
{
    if (from_ns == NPI_NEVER || to_ns == NPI_NEVER)
        return -1;
    return to_ns > from_ns ? (int64_t)((to_ns - from_ns) / NPI_MS) : 0;
}

static void describe(const np_watch *w, np_watch_status *out)
{
    const npi_standing *s = &w->standing;
    uint64_t now_ns = npi_clock_now();
    bool is_on = atomic_load(&w->life) != LIFE_IDLE;
    memset(out, 0, sizeof *out);
    out->result = s->result;
    out->reason = w->reason;
    out->changed = w->changed;
    out->last_error = w->last_error;
    out->is_checking = is_on && w->renewal.running;
    out->age_ms = s->has_outcome ? ms_between(s->measured_ns, now_ns) : -1;
    out->filtering_age_ms = ms_between(s->filtering_ns, now_ns);
    out->next_check_ms = is_on ? ms_between(now_ns, npi_renewal_due_ns(&w->renewal)) : -1;
    out->checks = w->checks;
    out->changes = w->changes;
}

int np_watch_read(const np_watch *watch, np_watch_status *status)
{
    if (status == NULL)
        return NP_ERR_ARGUMENT;
    if (watch == NULL) {
        memset(status, 0, sizeof *status);
        return NP_ERR_ARGUMENT;
    }
    describe(watch, status);
    return NP_OK;
}

/* ---- A check ---------------------------------------------------------------------------------------------------- */

/* Whom the check speaks to; and the user's own receiver. */
static void on_event(const np_event *event, void *user)
{
    np_watch *w = user;
    npi_server_name name;
    npi_addr remote;
    bool is_contact = event->kind == NP_EVENT_SENT || event->kind == NP_EVENT_ANSWERED;
    if (is_contact && npi_server_parse(event->remote, &name) && npi_addr_parse_ip(name.host, &remote))
        w->check.is_tainted |= npi_canvass_note(&w->canvass, &remote, w->check.start_ns, npi_clock_now());
    if (w->settings.on_event != NULL)
        w->settings.on_event(event, w->settings.event_user);
}

/* Soon after boot there are no random numbers yet: the clock has to do. */
static void fill_random(uint8_t *out, size_t size)
{
    uint64_t state = npi_clock_now();
    if (npi_random_bytes(out, size))
        return;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(state >> 56);
    }
}

static uint32_t random_number(void)
{
    uint8_t bytes[sizeof(uint32_t)];
    uint32_t number;
    fill_random(bytes, sizeof bytes);
    memcpy(&number, bytes, sizeof number);
    return number;
}

static void tell(np_watch *w, uint32_t changed, bool is_first)
{
    np_watch_status status;
    if (changed == 0 && !is_first)
        return;
    w->changed = changed;
    w->changes++;
    if (w->on_change == NULL)
        return;
    describe(w, &status);
    w->on_change(&status, w->user);
}

static uint32_t take_outcome(np_watch *w, const np_result *result, bool tested_filtering)
{
    npi_outcome outcome = {
        .result = result,
        .now_ns = npi_clock_now(),
        .tested_filtering = tested_filtering,
        .network_changed = w->network_changed,
    };
    w->last_error = result->error;
    uint32_t changed = npi_standing_take(&w->standing, &outcome);
    if (result->error == NP_OK)
        w->network_changed = false;
    return changed;
}

/* The filtering is tested later where it could not be now, and may be another than the one that is known. */
static bool wants_filtering(const np_watch *w, const np_result *result, bool tested_filtering, uint32_t changed)
{
    return (w->settings.tests & NP_TESTS_FILTERING) != 0 && !tested_filtering && result->error == NP_OK &&
           (w->standing.filtering_ns == NPI_NEVER || (changed & (NP_CHANGED_MAPPING | NP_CHANGED_ADDRESS)) != 0);
}

/* The settings contradict each other: no later check would do better. */
static bool is_hopeless(const np_result *result)
{
    return result->error == NP_ERR_ARGUMENT;
}

static void finish_check(np_watch *w, const np_result *result)
{
    bool is_first = !w->standing.has_outcome;
    bool tested_filtering = w->check.tests_filtering && !w->check.is_tainted;
    uint64_t now_ns = npi_clock_now();
    npi_canvass_end(&w->canvass, now_ns);
    uint32_t changed = take_outcome(w, result, tested_filtering);
    npi_renewal_outcome outcome = {
        .has_verdict = result->error == NP_OK,
        .is_changed = changed != 0,
        .filtering_ns = NPI_NEVER,
    };
    if (wants_filtering(w, result, tested_filtering, changed))
        outcome.filtering_ns = npi_canvass_forgotten_ns(&w->canvass);
    npi_renewal_end(&w->renewal, now_ns, &outcome, random_number());
    if (!is_hopeless(result)) /* the end of the watch tells it */
        tell(w, changed, is_first);
}

/* Without a way to any server nothing need be sent to know that. */
static void skip_check(np_watch *w, uint64_t now_ns, int why)
{
    np_result result;
    bool is_first = !w->standing.has_outcome;
    npi_result_fail(&result, why, 0, "%s",
                    why == NP_ERR_NETWORK_UNREACHABLE ? "there is no way to any server (is this host online?)"
                                                      : "this host has lost the source address, or not got it yet");
    npi_renewal_skip(&w->renewal, now_ns, random_number());
    tell(w, take_outcome(w, &result, false), is_first);
}

static void start_check(np_watch *w, uint64_t now_ns)
{
    uint8_t random[NP_MAX_SERVERS];
    npi_server_name servers[NP_MAX_SERVERS];
    size_t count;
    fill_random(random, sizeof random);
    bool is_fresh = npi_canvass_choose(&w->canvass, now_ns, random, servers, &count);
    bool tests_filtering = is_fresh && (w->settings.tests & NP_TESTS_FILTERING) != 0;
    w->check = (check_in_hand){.start_ns = now_ns, .tests_filtering = tests_filtering};
    npi_probe_set_servers(w->probe, servers, count);
    int error = np_probe_set_tests(w->probe, is_fresh ? w->settings.tests : NP_TESTS_MAPPING);
    npi_renewal_begin(&w->renewal, now_ns, w->reason);
    w->checks++;
    if (error == NP_OK)
        error = np_probe_start(w->probe);
    if (error != NP_OK && !is_over(w)) {
        np_result result;
        npi_result_fail(&result, error, 0, "the check could not begin: %s", np_strerror(error));
        finish_check(w, &result);
    }
}

static void begin_check(np_watch *w, uint64_t now_ns, int32_t reason)
{
    int way = npi_lookout_way(&w->lookout);
    w->reason = reason;
    npi_log_write(&w->settings.log, NP_LOG_INFO, "watch: %s (%s)", way == NP_OK ? "a check begins" : np_strerror(way),
                  np_watch_reason_name(reason));
    if (way == NP_OK)
        start_check(w, now_ns);
    else
        skip_check(w, now_ns, way);
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

static void take_notices(np_watch *w)
{
    unsigned seen = npi_lookout_turn(&w->lookout);
    npi_renewal_note_way(&w->renewal, npi_lookout_way(&w->lookout) == NP_OK);
    if (seen == 0)
        return;
    npi_renewal_note_change(&w->renewal, npi_clock_now(), (seen & NPI_LOOKOUT_RESUMED) != 0);
    w->network_changed = true;
}

/* NP_PENDING, or why the watch ends. */
static int go_on_checking(np_watch *w)
{
    np_result result;
    if (!w->renewal.running || np_probe_process(w->probe, &result) == NP_PENDING || is_over(w))
        return NP_PENDING;
    finish_check(w, &result);
    return is_hopeless(&result) ? NP_ERR_ARGUMENT : NP_PENDING;
}

/* A check that has begun goes on in the next turn: it wakes the caller if there is something to do at once. */
static void begin_if_due(np_watch *w)
{
    uint64_t now_ns = npi_clock_now();
    int32_t reason = npi_renewal_reason(&w->renewal, now_ns);
    if (!is_over(w) && reason != NP_WATCH_REASON_NONE)
        begin_check(w, now_ns, reason);
}

/* What wakes the caller next. False when the system refuses. */
static bool arm(np_watch *w)
{
    uint64_t wake_ns = npi_time_min(npi_renewal_due_ns(&w->renewal), npi_lookout_next_ns(&w->lookout));
    np_socket fd = np_probe_fd(w->probe);
    void *handle = np_probe_wait_handle(w->probe);
    bool has_probe = w->nest.is_armed || fd != NP_INVALID_SOCKET || handle != NULL;
    return (!has_probe || npi_nest_arm(&w->nest, &w->poller, TAG_PROBE, fd, handle)) &&
           npi_poller_set_timer(&w->poller, npi_clock_now(), wake_ns);
}

/* All that can be done without waiting. NP_PENDING, or why the watch ends. */
static int turn(np_watch *w)
{
    uint32_t tags[NPI_POLLER_TAGS];
    if (npi_poller_collect(&w->poller, tags) < 0)
        return NP_ERR_SYSTEM;
    take_notices(w);
    int error = go_on_checking(w);
    if (error != NP_PENDING)
        return error;
    begin_if_due(w);
    if (is_over(w))
        return NP_ERR_CANCELLED;
    return arm(w) ? NP_PENDING : NP_ERR_SYSTEM;
}

/* Gives the probe back its rest. */
static void end(np_watch *w)
{
    np_result unused;
    np_probe_cancel(w->probe);
    while (np_probe_process(w->probe, &unused) == NP_PENDING) {
    }
    stop_listening(w);
    npi_poller_set_timer(&w->poller, 0, NPI_NEVER);
    atomic_store(&w->life, LIFE_IDLE);
}

/* ---- The public calls ------------------------------------------------------------------------------------------- */

static int open_poller(np_watch *w)
{
    npi_failure unused;
    if (npi_poller_is_open(&w->poller))
        return NP_OK;
    int error = npi_poller_open(&w->poller, &unused);
    if (error == NP_OK)
        atomic_store(&w->wake, npi_poller_wake_of(&w->poller));
    return error;
}

static void begin(np_watch *w)
{
    uint8_t random[NP_MAX_SERVERS];
    const npi_probe_settings *s = &w->settings;
    npi_vantage_socket socket = {
        .source = s->source,
        .source_zone = s->source_zone,
        .interface = s->interface[0] != '\0' ? s->interface : NULL,
        .socket = s->socket,
    };
    fill_random(random, sizeof random);
    if (w->canvass.count == 0) /* what was asked before an end is not forgotten by it */
        npi_canvass_init(&w->canvass, s->servers, s->server_count, random);
    npi_renewal_init(&w->renewal, w->interval_ns);
    npi_lookout_open(&w->lookout, &w->poller, TAG_NETWORK, &socket, s->family, w->canvass.servers, s->server_count);
    w->network_changed = true;
    atomic_store(&w->life, LIFE_ON);
}

static int start(np_watch *w)
{
    if (atomic_load(&w->life) != LIFE_IDLE)
        return NP_ERR_BUSY;
    int error = open_poller(w);
    if (error != NP_OK)
        return error;
    begin(w);
    error = turn(w);
    if (error == NP_PENDING || w->free_on_return)
        return error == NP_PENDING ? NP_OK : error;
    end(w);
    return error;
}

/* A call that may call back, guarded. */
static int call(np_watch *watch, int (*function)(np_watch *))
{
    if (watch == NULL)
        return NP_ERR_ARGUMENT;
    if (!enter(watch))
        return NP_ERR_BUSY;
    int error = function(watch);
    if (watch->free_on_return)
        error = NP_ERR_CANCELLED;
    leave(watch);
    return error;
}

int np_watch_start(np_watch *watch)
{
    return call(watch, start);
}

np_socket np_watch_fd(const np_watch *watch)
{
    return watch != NULL ? npi_poller_fd(&watch->poller) : NP_INVALID_SOCKET;
}

void *np_watch_wait_handle(const np_watch *watch)
{
    return watch != NULL ? npi_poller_event(&watch->poller) : NULL;
}

static int process(np_watch *w)
{
    uint32_t tags[NPI_POLLER_TAGS];
    if (atomic_load(&w->life) == LIFE_IDLE) {
        if (npi_poller_is_open(&w->poller))
            (void)npi_poller_collect(&w->poller, tags); /* a cancellation that came as the watch ended */
        return NP_ERR_ARGUMENT;
    }
    int error = turn(w);
    if (error != NP_PENDING && !w->free_on_return)
        end(w);
    return error;
}

int np_watch_process(np_watch *watch)
{
    return call(watch, process);
}

/* The caller may not be about to call np_watch_process(): the descriptor makes it. */
int np_watch_note_failure(np_watch *watch)
{
    if (watch == NULL)
        return NP_ERR_ARGUMENT;
    if (!enter(watch))
        return NP_ERR_BUSY;
    bool is_on = atomic_load(&watch->life) == LIFE_ON;
    if (is_on) {
        npi_renewal_note_failure(&watch->renewal, npi_clock_now());
        npi_poller_wake(npi_poller_wake_of(&watch->poller));
    }
    leave(watch);
    return is_on ? NP_OK : NP_ERR_ARGUMENT;
}

size_t np_watch_status_size(void)
{
    return sizeof(np_watch_status);
}
