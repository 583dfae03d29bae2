/* SPDX-License-Identifier: MIT */
/*
 * A survey: first a check, of the probe, that proves this host open; then the servers of a list, some side by side.
 * appraisal.h decides what each is asked and what that shows, inspection.h has its socket, roster.h the list.
 */
#include <natprobe/natprobe.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appraisal.h"
#include "clock.h"
#include "driver.h"
#include "inspection.h"
#include "nest.h"
#include "poller.h"
#include "probe.h"
#include "random.h"
#include "resolve.h"
#include "roster.h"
#include "tstamp.h"

_Static_assert(sizeof(np_survey_report) == 1280, "np_survey_report is 1,280 bytes for the life of the ABI");
_Static_assert(sizeof(np_survey_status) == 1280, "np_survey_status is 1,280 bytes for the life of the ABI");
_Static_assert(NPI_SERVER_TEXT == NP_SERVER_TEXT_SIZE, "any server has room in a report");

#define VISITS 64       /* servers side by side */
#define LOOK_UPS 8      /* of these, names that are being looked up */
#define INSPECTIONS 128 /* addresses side by side */
#define PROOF_BLOCKS 8  /* so many times 32 servers of the list are tried for the check of this host */
#define TAG_PROBE 0
#define TAG_FIRST 1
_Static_assert(TAG_FIRST + INSPECTIONS <= NPI_POLLER_TAGS, "each socket is watched");

/* Changed by np_survey_cancel as well, from any thread. */
enum { SURVEY_NEW, SURVEY_ON, SURVEY_CANCELLED, SURVEY_OVER };

typedef enum visit_state { VISIT_NONE, VISIT_LOOKING, VISIT_READY, VISIT_GOING_ON } visit_state;

/* One server of the list, and its addresses. */
typedef struct visit {
    visit_state state;
    size_t entry; /* in the list */
    npi_resolver *resolver;
    npi_resolution found;
    npi_inspection *inspections[NPI_RESOLVE_ADDRESSES]; /* NULL: this address is not asked */
    size_t same_as[NPI_RESOLVE_ADDRESSES];              /* the server under whose name it is; SIZE_MAX: none */
    npi_failure failures[NPI_RESOLVE_ADDRESSES];        /* why it cannot be asked */
    int errors[NPI_RESOLVE_ADDRESSES];
} visit;

struct np_survey {
    np_probe *probe;
    npi_probe_settings settings;
    npi_server_name helpers[NP_MAX_SERVERS]; /* the probe's own servers */
    np_survey_fn on_report;
    void *user;
    atomic_int life;
    atomic_bool in_call;    /* a call that may call back is being made */
    bool free_on_return;    /* to be freed when that call returns */
    npi_poller poller;      /* closed until the start */
    _Atomic(npi_wake) wake; /* the poller's, for np_survey_cancel; NPI_NO_WAKE before */
    npi_nest nest;
    npi_roster list;
    npi_roster seen; /* addresses that have been asked; the tag is the server in the list */
    size_t next;     /* the next server of the list */
    /* The check of this host. */
    bool is_checking;
    bool is_check_running;
    int32_t family;    /* enum np_family, that is being proven */
    size_t proof_next; /* the next server of the list to ask */
    size_t proof_tries;
    bool is_open[2]; /* IPv4 and IPv6 */
    bool was_tried[2];
    bool has_check;
    np_result check;
    uint64_t start_ns; /* nothing is sent to a server before */
    visit visits[VISITS];
    npi_inspection inspections[INSPECTIONS];
    bool is_taken[INSPECTIONS];
    uint32_t servers, done, answered, capable;
};

/* ---- Life ------------------------------------------------------------------------------------------------------- */

np_survey *np_survey_new(np_probe *probe)
{
    uint64_t seed;
    np_survey *s = probe != NULL ? calloc(1, sizeof *s) : NULL;
    if (s == NULL)
        return NULL;
    if (np_probe_set_tests(probe, NP_TESTS_DEFAULT) != NP_OK) { /* it is in use */
        free(s);
        return NULL;
    }
    npi_probe_describe(probe, &s->settings);
    memcpy(s->helpers, s->settings.servers, s->settings.server_count * sizeof s->helpers[0]);
    s->probe = probe;
    s->poller = NPI_POLLER_CLOSED;
    s->nest = NPI_NEST_NONE;
    atomic_init(&s->life, SURVEY_NEW);
    atomic_init(&s->in_call, false);
    atomic_init(&s->wake, NPI_NO_WAKE);
    if (!npi_random_bytes(&seed, sizeof seed))
        seed = npi_clock_now(); /* soon after boot */
    npi_roster_init(&s->list, seed);
    npi_roster_init(&s->seen, seed);
    return s;
}

static void end_visit(np_survey *s, visit *v)
{
    npi_resolver_free(v->resolver);
    for (size_t i = 0; i < NPI_RESOLVE_ADDRESSES; i++) {
        npi_inspection *inspection = v->inspections[i];
        if (inspection == NULL)
            continue;
        if (inspection->is_open)
            npi_poller_unwatch(&s->poller, inspection->socket.fd);
        npi_inspection_close(inspection);
        s->is_taken[inspection - s->inspections] = false;
    }
    *v = (visit){.state = VISIT_NONE};
}

static void end_all(np_survey *s)
{
    for (size_t i = 0; i < VISITS; i++)
        end_visit(s, &s->visits[i]);
    npi_nest_disarm(&s->nest, &s->poller);
}

void np_survey_free(np_survey *survey)
{
    if (survey == NULL)
        return;
    if (atomic_load(&survey->in_call)) {
        survey->free_on_return = true;
        survey->on_report = NULL;
        survey->settings.log.sink = NULL;
        npi_probe_mute(survey->probe);
        return;
    }
    end_all(survey);
    np_probe_free(survey->probe);
    npi_poller_close(&survey->poller);
    npi_roster_free(&survey->list);
    npi_roster_free(&survey->seen);
    free(survey);
}

/* False when the survey is in a call already: one of its callbacks tries this, or a thread that should not. */
static bool enter(np_survey *s)
{
    return !atomic_exchange(&s->in_call, true);
}

static void leave(np_survey *s)
{
    atomic_store(&s->in_call, false);
    if (s->free_on_return)
        np_survey_free(s);
}

void np_survey_cancel(np_survey *survey)
{
    int on = SURVEY_ON;
    if (survey == NULL || !atomic_compare_exchange_strong(&survey->life, &on, SURVEY_CANCELLED))
        return;
    npi_wake wake = atomic_load(&survey->wake);
    if (wake != NPI_NO_WAKE)
        npi_poller_wake(wake);
}

static bool is_cancelled(const np_survey *s)
{
    return s->free_on_return || atomic_load(&s->life) == SURVEY_CANCELLED;
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

static int settable(const np_survey *s)
{
    if (s == NULL)
        return NP_ERR_ARGUMENT;
    return atomic_load(&s->life) != SURVEY_NEW || atomic_load(&s->in_call) ? NP_ERR_BUSY : NP_OK;
}

static int list_server(np_survey *s, const char *server, size_t *index, bool *is_new)
{
    npi_server_name name;
    int error = settable(s);
    if (error != NP_OK)
        return error;
    if (!npi_probe_reads_server(server, &name))
        return NP_ERR_ARGUMENT;
    if (s->list.count >= 2 * (size_t)NP_MAX_SURVEY_SERVERS) /* those left out have room beside the others */
        return NP_ERR_LIMIT;
    return npi_roster_add(&s->list, &name, index, is_new) ? NP_OK : NP_ERR_NO_MEMORY;
}

int np_survey_add(np_survey *survey, const char *server)
{
    size_t index;
    bool is_new;
    if (survey != NULL && survey->servers == NP_MAX_SURVEY_SERVERS)
        return settable(survey) != NP_OK ? NP_ERR_BUSY : NP_ERR_LIMIT;
    int error = list_server(survey, server, &index, &is_new);
    if (error == NP_OK && is_new)
        survey->servers++;
    return error;
}

int np_survey_skip(np_survey *survey, const char *server)
{
    size_t index;
    bool is_new;
    int error = list_server(survey, server, &index, &is_new);
    if (error != NP_OK)
        return error;
    if (!is_new && !survey->list.entries[index].is_left_out)
        survey->servers--;
    survey->list.entries[index].is_left_out = true;
    return NP_OK;
}

int np_survey_set_reports(np_survey *survey, np_survey_fn on_report, void *user)
{
    int error = settable(survey);
    if (error != NP_OK)
        return error;
    survey->on_report = on_report;
    survey->user = user;
    return NP_OK;
}

/* ---- What it knows ---------------------------------------------------------------------------------------------- */

static int32_t openness(const np_survey *s, size_t family)
{
    if (!s->was_tried[family])
        return NP_TRISTATE_UNKNOWN;
    return s->is_open[family] ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

int np_survey_read(const np_survey *survey, np_survey_status *status)
{
    if (status == NULL)
        return NP_ERR_ARGUMENT;
    memset(status, 0, sizeof *status);
    if (survey == NULL)
        return NP_ERR_ARGUMENT;
    status->check = survey->check;
    status->is_checking = survey->is_checking;
    status->ipv4_open = openness(survey, 0);
    status->ipv6_open = openness(survey, 1);
    status->servers = survey->servers;
    status->done = survey->done;
    status->answered = survey->answered;
    status->capable = survey->capable;
    return NP_OK;
}

/* ---- The check of this host ------------------------------------------------------------------------------------- */

static size_t index_of(int32_t family)
{
    return family == NP_FAMILY_IPV6;
}

static bool may_use(const np_survey *s, int32_t family)
{
    const npi_probe_settings *c = &s->settings;
    return (c->family == NP_FAMILY_ANY || c->family == family) &&
           (!npi_addr_is_set(&c->source) || (int32_t)c->source.family == family);
}

/* The next servers of the list that may have an address of the family. */
static size_t next_helpers(np_survey *s, npi_server_name out[NP_MAX_SERVERS])
{
    size_t count = 0;
    for (; s->proof_next < s->list.count && count < NP_MAX_SERVERS; s->proof_next++) {
        const npi_roster_entry *e = &s->list.entries[s->proof_next];
        npi_addr literal;
        if (!e->is_left_out && (!npi_addr_parse_ip(e->name.host, &literal) || (int32_t)literal.family == s->family))
            out[count++] = e->name;
    }
    return count;
}

/* The probe's own servers, once; without any, those of the list. */
static size_t helpers_for_check(np_survey *s, npi_server_name out[NP_MAX_SERVERS])
{
    size_t count = s->settings.server_count;
    if (count == 0)
        return s->proof_tries < PROOF_BLOCKS ? next_helpers(s, out) : 0;
    if (s->proof_tries > 0)
        return 0;
    memcpy(out, s->helpers, count * sizeof *out);
    return count;
}

/* False when there are no more servers to ask. */
static bool begin_check(np_survey *s)
{
    npi_server_name helpers[NP_MAX_SERVERS];
    size_t count = helpers_for_check(s, helpers);
    if (count == 0)
        return false;
    npi_probe_set_servers(s->probe, helpers, count);
    s->proof_tries++;
    int error = np_probe_set_family(s->probe, s->family);
    if (error == NP_OK)
        error = np_probe_start(s->probe);
    s->is_check_running = error == NP_OK;
    if (error != NP_OK && !s->has_check)
        npi_result_fail(&s->check, error, 0, "the check of this host could not begin: %s", np_strerror(error));
    return error == NP_OK;
}

/* From the list's beginning, for one family. False when no server can be asked. */
static bool begin_family(np_survey *s, int32_t family)
{
    s->family = family;
    s->proof_next = 0;
    s->proof_tries = 0;
    if (!may_use(s, family))
        return false;
    bool has_begun = begin_check(s);
    s->was_tried[index_of(family)] |= has_begun;
    return has_begun;
}

/* How much a check says of this host: of several, the one that says most is told. */
static int weight(const np_result *check)
{
    switch (npi_openness_of(check)) {
    case NPI_IS_OPEN:
        return 4;
    case NPI_IS_NOT_OPEN:
        return 3;
    default:
        return check->packets_received > 0 ? 2 : check->packets_sent > 0;
    }
}

static void keep_check(np_survey *s, const np_result *result)
{
    if (!s->has_check || weight(result) > weight(&s->check))
        s->check = *result;
    s->has_check = true;
}

static bool is_any_open(const np_survey *s)
{
    return s->is_open[0] || s->is_open[1];
}

/* One sentence about why this host is not good for a survey. */
static void explain_refusal(np_survey *s)
{
    np_result *r = &s->check;
    char text[sizeof r->detail];
    if (!s->has_check && r->error == NP_OK)
        (void)snprintf(text, sizeof text, "there is no server of the chosen address family to prove it with");
    else if (r->error != NP_OK)
        (void)snprintf(text, sizeof text, "%.150s", r->detail[0] != '\0' ? r->detail : np_strerror(r->error));
    else if (npi_openness_of(r) == NPI_IS_NOT_OPEN)
        (void)snprintf(text, sizeof text, "it is behind a NAT or a filter (%s)", np_nat_type_name(r->nat_type));
    else
        (void)snprintf(text, sizeof text, "no server that was asked could prove it (%s)",
                       np_nat_type_name(r->nat_type));
    memset(r->detail, 0, sizeof r->detail);
    (void)snprintf(r->detail, sizeof r->detail, "this host is not proven open: %.150s", text);
}

/* On with the other family, or with the servers. NP_PENDING, or why the survey ends. */
static int end_family(np_survey *s)
{
    if (s->family == NP_FAMILY_IPV4 && begin_family(s, NP_FAMILY_IPV6))
        return NP_PENDING;
    s->is_checking = false;
    npi_nest_disarm(&s->nest, &s->poller);
    s->start_ns = npi_clock_now() + NPI_INSPECTION_GAP_NS;
    if (is_any_open(s))
        return NP_PENDING;
    if (s->check.error == NP_ERR_ARGUMENT)
        return NP_ERR_ARGUMENT;
    explain_refusal(s);
    return NP_ERR_NOT_OPEN;
}

static int go_on_checking(np_survey *s)
{
    np_result result;
    if (!s->is_check_running)
        return end_family(s);
    if (np_probe_process(s->probe, &result) == NP_PENDING || is_cancelled(s))
        return NP_PENDING;
    s->is_check_running = false;
    keep_check(s, &result);
    npi_openness found = npi_openness_of(&result);
    npi_log_write(&s->settings.log, NP_LOG_INFO, "survey: the check of this host over %s says %s",
                  np_family_name(s->family), np_nat_type_name(result.nat_type));
    s->is_open[index_of(s->family)] = found == NPI_IS_OPEN;
    bool is_hopeless = result.error == NP_ERR_ARGUMENT || result.error == NP_ERR_NETWORK_UNREACHABLE;
    if (found == NPI_NOT_DECIDED && !is_hopeless && begin_check(s))
        return NP_PENDING;
    return end_family(s);
}

/* ---- One server ------------------------------------------------------------------------------------------------- */

static npi_inspection *take_inspection(np_survey *s)
{
    for (size_t i = 0; i < INSPECTIONS; i++) {
        if (!s->is_taken[i]) {
            s->is_taken[i] = true;
            return &s->inspections[i];
        }
    }
    return NULL;
}

static size_t count_free(const np_survey *s)
{
    size_t count = 0;
    for (size_t i = 0; i < INSPECTIONS; i++)
        count += !s->is_taken[i];
    return count;
}

/* Whether the address has been asked under another name; else it is from now on. */
static int note_address(np_survey *s, visit *v, size_t i)
{
    char text[NPI_ADDR_TEXT];
    npi_server_name name = {.port = v->found.addresses[i].port};
    size_t index;
    bool is_new;
    npi_addr_format_ip(&v->found.addresses[i], text);
    memcpy(name.host, text, strlen(text));
    if (!npi_roster_add(&s->seen, &name, &index, &is_new))
        return NP_ERR_NO_MEMORY;
    if (is_new)
        s->seen.entries[index].tag = v->entry;
    else
        v->same_as[i] = s->seen.entries[index].tag;
    return NP_OK;
}

static int open_inspection(np_survey *s, visit *v, size_t i)
{
    const npi_addr *address = &v->found.addresses[i];
    const char *interface = s->settings.interface[0] != '\0' ? s->settings.interface : NULL;
    npi_addr source = s->settings.source;
    if (!s->is_open[address->family == NPI_IPV6])
        return NP_ERR_NOT_OPEN;
    if (!npi_addr_is_destination(address))
        return NP_ERR_NETWORK_UNREACHABLE;
    int error = note_address(s, v, i);
    if (error != NP_OK || v->same_as[i] != SIZE_MAX)
        return error;
    if (npi_addr_is_set(&source) && !npi_addr_find_scope(s->settings.source_zone, &source))
        return NP_ERR_ADDRESS_NOT_AVAILABLE;
    npi_inspection *inspection = take_inspection(s);
    error = npi_inspection_open(inspection, address, &source, interface, s->start_ns, &v->failures[i]);
    if (error == NP_OK && !npi_poller_watch(&s->poller, inspection->socket.fd,
                                            TAG_FIRST + (uint32_t)(inspection - s->inspections), NPI_WATCH_CONTENT)) {
        v->failures[i] = npi_failure_of(NPI_POLLER_WATCH);
        npi_inspection_close(inspection);
        error = NP_ERR_SYSTEM;
    }
    inspection->is_over = error != NP_OK;
    v->inspections[i] = inspection;
    return error;
}

static void begin_visit(np_survey *s, visit *v)
{
    v->state = VISIT_GOING_ON;
    for (size_t i = 0; i < v->found.count; i++) {
        v->same_as[i] = SIZE_MAX;
        v->errors[i] = open_inspection(s, v, i);
    }
}

/* Its name is looked up, for the families that are of use. False when out of memory. */
static bool look_up(np_survey *s, visit *v, size_t entry)
{
    npi_family family = s->is_open[0] && s->is_open[1] ? NPI_FAMILY_NONE : s->is_open[0] ? NPI_IPV4 : NPI_IPV6;
    npi_addr literal;
    const npi_server_name *name = &s->list.entries[entry].name;
    if (npi_addr_parse_ip(name->host, &literal))
        family = NPI_FAMILY_NONE; /* one of the other family is told as such */
    *v = (visit){.state = VISIT_LOOKING, .entry = entry};
    v->resolver = npi_resolver_new(name, 1, family, npi_poller_wake_of(&s->poller));
    if (v->resolver == NULL)
        return false;
    npi_resolver_want(v->resolver, 1);
    return true;
}

static void take_name(visit *v)
{
    if (npi_resolver_take(v->resolver, &v->found)) {
        npi_resolver_free(v->resolver);
        v->resolver = NULL;
        v->state = VISIT_READY;
    }
}

static bool is_visit_over(const visit *v)
{
    for (size_t i = 0; i < v->found.count; i++) {
        const npi_inspection *inspection = v->inspections[i];
        if (inspection != NULL && v->errors[i] == NP_OK && !inspection->is_over)
            return false;
    }
    return v->state == VISIT_GOING_ON;
}

/* ---- Reports ---------------------------------------------------------------------------------------------------- */

static void explain(np_survey_report *report, const char *text)
{
    (void)snprintf(report->detail, sizeof report->detail, "%s", text);
}

/* The system would not let it be asked. */
static void write_failure(np_survey_report *report, int error, const npi_failure *failure)
{
    report->error = error;
    if (error == NP_ERR_NOT_OPEN)
        explain(report, "this host is not proven open over the address family of this server");
    else if (failure->call != NULL)
        npi_failure_describe(failure, report->detail, sizeof report->detail);
    else
        explain(report, np_strerror(error));
}

static void write_address(const np_survey *s, const visit *v, size_t i, np_survey_report *report)
{
    const npi_inspection *inspection = v->inspections[i];
    npi_addr_format(&v->found.addresses[i], report->address);
    if (v->same_as[i] != SIZE_MAX) {
        npi_server_format(&s->list.entries[v->same_as[i]].name, report->same_as);
        return;
    }
    if (v->errors[i] != NP_OK) {
        write_failure(report, v->errors[i], &v->failures[i]);
        return;
    }
    npi_appraisal_judge(&inspection->appraisal, report);
    if (report->error == NP_ERR_NO_RESPONSE && inspection->error != NP_OK)
        write_failure(report, inspection->error, &inspection->failure);
}

static void tell(np_survey *s, const np_survey_report *report)
{
    s->answered += report->error == NP_OK && report->same_as[0] == '\0';
    s->capable += report->is_capable != 0;
    if (s->on_report != NULL)
        s->on_report(report, s->user);
}

static void tell_unresolved(np_survey *s, const visit *v, np_survey_report *report)
{
    char text[NPI_RESOLVE_TEXT];
    npi_resolution_describe(&v->found, text, sizeof text);
    report->error = NP_ERR_RESOLVE;
    explain(report, text);
    tell(s, report);
}

static void tell_address(np_survey *s, const visit *v, size_t i)
{
    np_survey_report report;
    memset(&report, 0, sizeof report);
    npi_server_format(&s->list.entries[v->entry].name, report.server);
    report.addresses = (uint32_t)v->found.count;
    if (v->found.count == 0) {
        tell_unresolved(s, v, &report);
        return;
    }
    report.number = (uint32_t)i + 1;
    write_address(s, v, i, &report);
    tell(s, &report);
}

/* All addresses of one server, one after the other; a server is not done if a callback cancels between them. */
static void tell_visit(np_survey *s, const visit *v)
{
    size_t last = v->found.count > 0 ? v->found.count - 1 : 0;
    tell_address(s, v, 0);
    for (size_t i = 1; i <= last; i++) {
        if (is_cancelled(s))
            return;
        tell_address(s, v, i);
    }
    s->done++;
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

/* When the server may get the next datagram: others go to the same one. */
static uint64_t earliest_ns(const np_survey *s, const npi_inspection *inspection)
{
    uint64_t earliest = 0;
    for (size_t i = 0; i < INSPECTIONS; i++) {
        const npi_inspection *other = &s->inspections[i];
        if (!s->is_taken[i] || other->last_ns == 0 || !npi_inspection_are_related(inspection, other))
            continue;
        uint64_t after_ns = other->last_ns + NPI_INSPECTION_GAP_NS;
        earliest = after_ns > earliest ? after_ns : earliest;
    }
    return earliest;
}

static void send_due(np_survey *s)
{
    for (size_t i = 0; i < INSPECTIONS; i++) {
        npi_inspection *inspection = &s->inspections[i];
        uint64_t now_ns = npi_clock_now();
        if (!s->is_taken[i] || !npi_inspection_is_due(inspection, now_ns))
            continue;
        uint64_t earliest = npi_inspection_will_send(inspection) ? earliest_ns(s, inspection) : 0;
        if (earliest > now_ns)
            npi_inspection_put_off(inspection, earliest);
        else
            npi_inspection_go_on(inspection, now_ns);
    }
}

/* What floods its socket loses it. */
static void receive_at(np_survey *s, npi_inspection *inspection)
{
    if (npi_inspection_receive(inspection))
        return;
    npi_poller_unwatch(&s->poller, inspection->socket.fd);
    npi_inspection_close(inspection);
}

static void receive(np_survey *s, const uint32_t *tags, int count)
{
    for (int i = 0; i < count; i++) {
        if (tags[i] < TAG_FIRST || tags[i] >= TAG_FIRST + INSPECTIONS)
            continue;
        size_t n = tags[i] - TAG_FIRST;
        if (s->is_taken[n] && s->inspections[n].is_open)
            receive_at(s, &s->inspections[n]);
    }
}

static size_t count_looking(const np_survey *s)
{
    size_t count = 0;
    for (size_t i = 0; i < VISITS; i++)
        count += s->visits[i].state == VISIT_LOOKING;
    return count;
}

/* The next server of the list. False when there is none. */
static bool next_entry(np_survey *s, size_t *entry)
{
    while (s->next < s->list.count && s->list.entries[s->next].is_left_out)
        s->next++;
    *entry = s->next;
    return s->next < s->list.count;
}

static bool can_begin(np_survey *s)
{
    size_t entry;
    return count_looking(s) < LOOK_UPS && next_entry(s, &entry);
}

/* As far as it can be taken now. False when out of memory. */
static bool advance_visit(np_survey *s, visit *v)
{
    if (v->state == VISIT_NONE && can_begin(s) && !look_up(s, v, s->next++))
        return false;
    if (v->state == VISIT_LOOKING)
        take_name(v);
    if (v->state == VISIT_READY && v->found.count <= count_free(s))
        begin_visit(s, v);
    if (is_visit_over(v)) {
        tell_visit(s, v);
        end_visit(s, v);
    }
    return true;
}

/* NP_OK when every server has been reported, NP_PENDING before; or why the survey ends. */
static int advance_visits(np_survey *s)
{
    bool is_over = true;
    for (size_t i = 0; i < VISITS && !is_cancelled(s); i++) {
        if (!advance_visit(s, &s->visits[i]))
            return NP_ERR_NO_MEMORY;
        is_over = is_over && s->visits[i].state == VISIT_NONE;
    }
    return is_over && !can_begin(s) ? NP_OK : NP_PENDING;
}

/* A place is free, and a server is left for it: the next turn takes it at once. */
static bool has_room(np_survey *s)
{
    size_t i = 0;
    while (i < VISITS && s->visits[i].state != VISIT_NONE)
        i++;
    return i < VISITS && can_begin(s);
}

static bool has_check_begun(const np_survey *s)
{
    return s->nest.is_armed || np_probe_fd(s->probe) != NP_INVALID_SOCKET || np_probe_wait_handle(s->probe) != NULL;
}

static uint64_t next_ns(np_survey *s)
{
    uint64_t wake_ns = NPI_NEVER;
    if (s->is_checking)
        return s->is_check_running ? NPI_NEVER : NPI_NOW;
    for (size_t i = 0; i < INSPECTIONS; i++) {
        const npi_inspection *inspection = &s->inspections[i];
        if (s->is_taken[i] && !inspection->is_over)
            wake_ns = npi_time_min(wake_ns, inspection->next_ns);
    }
    return has_room(s) ? NPI_NOW : wake_ns;
}

/* What wakes the caller next. False when the system refuses. */
static bool arm(np_survey *s)
{
    if (s->is_checking && has_check_begun(s) &&
        !npi_nest_arm(&s->nest, &s->poller, TAG_PROBE, np_probe_fd(s->probe), np_probe_wait_handle(s->probe)))
        return false;
    return npi_poller_set_timer(&s->poller, npi_clock_now(), next_ns(s));
}

/* All that can be done without waiting. NP_PENDING, or how the survey ends. */
static int turn(np_survey *s)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int error = NP_PENDING;
    int count = npi_poller_collect(&s->poller, tags);
    if (count < 0)
        return NP_ERR_SYSTEM;
    if (s->is_checking)
        error = go_on_checking(s);
    if (error == NP_PENDING && !s->is_checking && !is_cancelled(s)) {
        receive(s, tags, count);
        send_due(s);
        error = advance_visits(s);
    }
    if (is_cancelled(s))
        return NP_ERR_CANCELLED;
    if (error != NP_PENDING)
        return error;
    return arm(s) ? NP_PENDING : NP_ERR_SYSTEM;
}

static void end(np_survey *s)
{
    np_result unused;
    if (s->is_check_running) {
        np_probe_cancel(s->probe);
        while (np_probe_process(s->probe, &unused) == NP_PENDING) {
        }
    }
    s->is_check_running = false;
    s->is_checking = false;
    end_all(s);
    npi_poller_set_timer(&s->poller, 0, NPI_NEVER);
    atomic_store(&s->life, SURVEY_OVER);
}

/* ---- The public calls ------------------------------------------------------------------------------------------- */

static int start(np_survey *s)
{
    npi_failure unused;
    if (atomic_load(&s->life) != SURVEY_NEW)
        return NP_ERR_BUSY;
    if (s->servers == 0 || npi_is_socket(s->settings.socket))
        return NP_ERR_ARGUMENT;
    int error = npi_poller_is_open(&s->poller) ? NP_OK : npi_poller_open(&s->poller, &unused);
    if (error != NP_OK)
        return error;
    atomic_store(&s->wake, npi_poller_wake_of(&s->poller));
    atomic_store(&s->life, SURVEY_ON);
    s->is_checking = true;
    if (!begin_family(s, NP_FAMILY_IPV4))
        (void)begin_family(s, NP_FAMILY_IPV6);
    if (is_cancelled(s))
        error = NP_ERR_CANCELLED;
    else if (!arm(s))
        error = NP_ERR_SYSTEM;
    if (error != NP_OK && !s->free_on_return)
        end(s);
    return error;
}

static int process(np_survey *s)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int life = atomic_load(&s->life);
    if (life == SURVEY_NEW || life == SURVEY_OVER) {
        if (npi_poller_is_open(&s->poller))
            (void)npi_poller_collect(&s->poller, tags); /* a cancellation that came as the survey ended */
        return NP_ERR_ARGUMENT;
    }
    int error = turn(s);
    if (error != NP_PENDING && !s->free_on_return)
        end(s);
    return error;
}

/* A call that may call back, guarded. */
static int call(np_survey *survey, int (*function)(np_survey *))
{
    if (survey == NULL)
        return NP_ERR_ARGUMENT;
    if (!enter(survey))
        return NP_ERR_BUSY;
    int error = function(survey);
    if (survey->free_on_return)
        error = NP_ERR_CANCELLED;
    leave(survey);
    return error;
}

int np_survey_start(np_survey *survey)
{
    return call(survey, start);
}

int np_survey_process(np_survey *survey)
{
    return call(survey, process);
}

np_socket np_survey_fd(const np_survey *survey)
{
    return survey != NULL ? npi_poller_fd(&survey->poller) : NP_INVALID_SOCKET;
}

void *np_survey_wait_handle(const np_survey *survey)
{
    return survey != NULL ? npi_poller_event(&survey->poller) : NULL;
}

size_t np_survey_report_size(void)
{
    return sizeof(np_survey_report);
}

size_t np_survey_status_size(void)
{
    return sizeof(np_survey_status);
}
