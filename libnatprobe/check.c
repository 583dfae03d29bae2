/* SPDX-License-Identifier: MIT */
/* One check behind one poller, over one address family or two. */
#include "check.h"

#include "clock.h"

/* IPv6 is asked beside IPv4 once that has been silent for this long after its first datagram (RFC 8305 section 8). */
#define SILENT_NS (250 * NPI_MS)
/* And once no name has led to a server for this long. */
#define NAMELESS_NS (1000 * NPI_MS)

_Static_assert(NPI_POLLER_TAGS / NPI_CHECK_RUNS >= NPI_SLOT_COUNT, "a tag for every socket of every run");

/* ---- Results ---------------------------------------------------------------------------------------------------- */

/* What the caller wants goes first, then what says more. No chance to ask says more than no way to go. */
static int weight_of(const np_result *result)
{
    if (result->error == NP_ERR_CANCELLED)
        return 5;
    if (result->error == NP_OK)
        return 4;
    if (result->packets_received > 0)
        return 3;
    if (result->error == NP_ERR_NO_RESPONSE)
        return 2;
    return result->error == NP_ERR_NETWORK_UNREACHABLE || result->error == NP_ERR_RESOLVE ? 0 : 1;
}

static void note_result(npi_check *c, int index, const np_result *result)
{
    c->sent += result->packets_sent;
    c->received += result->packets_received;
    int gain = c->best < 0 ? 1 : weight_of(result) - weight_of(&c->result);
    if (gain > 0 || (gain == 0 && index < c->best)) {
        c->result = *result;
        c->best = index;
    }
}

static void abandon(npi_check *c, int index)
{
    np_result so_far;
    if (c->runs[index] == NULL)
        return;
    npi_driver_result(c->runs[index], &so_far);
    c->sent += so_far.packets_sent;
    c->received += so_far.packets_received;
    npi_driver_free(c->runs[index]);
    c->runs[index] = NULL;
}

static void take_result(npi_check *c, int index, const np_result *result)
{
    npi_driver_free(c->runs[index]);
    c->runs[index] = NULL;
    note_result(c, index, result);
    /* The first verdict wins. */
    if (result->error == NP_OK || result->error == NP_ERR_CANCELLED)
        abandon(c, 1 - index);
}

static bool is_over(const npi_check *c)
{
    return c->runs[0] == NULL && c->runs[1] == NULL;
}

/* ---- Two families ----------------------------------------------------------------------------------------------- */

static void start(npi_check *c, int index)
{
    np_result result;
    c->config.first_tag = (uint32_t)index * NPI_SLOT_COUNT;
    c->runs[index] = npi_driver_new(&c->config, &result);
    if (c->runs[index] == NULL)
        note_result(c, index, &result);
}

/* When IPv6 is to be asked as well, as things stand now. */
static uint64_t second_start_ns(const npi_check *c)
{
    if (!c->may_add_ipv6)
        return NPI_NEVER;
    if (c->runs[0] == NULL) {
        bool in_vain = c->result.error == NP_ERR_NETWORK_UNREACHABLE || c->result.error == NP_ERR_RESOLVE ||
                       c->result.error == NP_ERR_NO_RESPONSE;
        return in_vain ? 0 : NPI_NEVER;
    }
    if (npi_driver_has_heard(c->runs[0]))
        return NPI_NEVER;
    uint64_t sent_ns = npi_driver_first_sent_ns(c->runs[0]);
    return sent_ns != NPI_NEVER ? npi_time_add(sent_ns, SILENT_NS) : npi_time_add(c->config.start_ns, NAMELESS_NS);
}

/* True when IPv6 was begun. */
static bool start_second(npi_check *c)
{
    uint64_t now_ns = npi_clock_now();
    if (second_start_ns(c) > now_ns || now_ns >= npi_time_add(c->config.start_ns, c->config.timeout_ns))
        return false;
    npi_log_write(&c->config.log, NP_LOG_INFO, "no answer over IPv4: asking IPv6 too");
    c->may_add_ipv6 = false;
    c->config.source.family = NPI_IPV6;
    start(c, 1);
    return true;
}

/* Where IPv4 answers after all, nothing more is sent over an IPv6 that has not. */
static void drop_second(npi_check *c)
{
    if (c->runs[0] != NULL && c->runs[1] != NULL && npi_driver_has_heard(c->runs[0]) &&
        !npi_driver_has_heard(c->runs[1]))
        abandon(c, 1);
}

/* ---- A turn ----------------------------------------------------------------------------------------------------- */

/* Wake-ups are taken back before what they are about is looked at: none is missed. */
static void find_ready(npi_check *c)
{
    uint32_t tags[NPI_POLLER_TAGS];
    int count = npi_poller_collect(c->config.poller, tags);
    if (count < 0)
        npi_check_stop(c, NP_ERR_SYSTEM, npi_failure_of(NPI_POLLER_COLLECT));
    for (int i = 0; i < count; i++) {
        npi_driver *r = c->runs[tags[i] / NPI_SLOT_COUNT];
        if (r != NULL)
            npi_driver_note_ready(r, (int)(tags[i] % NPI_SLOT_COUNT));
    }
}

static void turn_all(npi_check *c)
{
    np_result result;
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL && npi_driver_turn(c->runs[i], &result))
            take_result(c, i, &result);
    }
    drop_second(c);
}

/* False when that has stopped the check. */
static bool set_timer(npi_check *c)
{
    uint64_t now_ns = npi_clock_now();
    uint64_t wake_ns = second_start_ns(c);
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL)
            wake_ns = npi_time_min(wake_ns, npi_driver_wakeup_ns(c->runs[i], now_ns));
    }
    if (npi_poller_set_timer(c->config.poller, now_ns, wake_ns))
        return true;
    npi_check_stop(c, NP_ERR_SYSTEM, npi_failure_of(NPI_POLLER_TIMER));
    return false;
}

bool npi_check_turn(npi_check *c, np_result *result)
{
    do {
        find_ready(c);
        turn_all(c);
    } while (start_second(c) || (!is_over(c) && !set_timer(c)));
    if (!is_over(c))
        return false;
    *result = c->result;
    result->packets_sent = c->sent;
    result->packets_received = c->received;
    return true;
}

/* ---- Beginning and end ------------------------------------------------------------------------------------------ */

void npi_check_begin(npi_check *c, const npi_driver_config *config, bool may_add_ipv6)
{
    *c = (npi_check){.config = *config, .may_add_ipv6 = may_add_ipv6, .best = -1};
    start(c, 0);
}

void npi_check_stop(npi_check *c, int error, npi_failure failure)
{
    c->may_add_ipv6 = false;
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL)
            npi_driver_stop(c->runs[i], error, failure);
    }
}

void npi_check_mute(npi_check *c)
{
    c->config.log.sink = NULL;
    c->config.observer.sink = NULL;
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        if (c->runs[i] != NULL)
            npi_driver_mute(c->runs[i]);
    }
}

void npi_check_end(npi_check *c)
{
    for (int i = 0; i < NPI_CHECK_RUNS; i++) {
        npi_driver_free(c->runs[i]);
        c->runs[i] = NULL;
    }
}
