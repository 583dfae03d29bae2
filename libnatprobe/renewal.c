/* SPDX-License-Identifier: MIT */
/* When a watch makes its next check, and why. */
#include "renewal.h"

#include <string.h>

#include <natprobe/natprobe.h>

void npi_renewal_init(npi_renewal *r, uint64_t interval_ns)
{
    memset(r, 0, sizeof *r);
    r->interval_ns = interval_ns;
    r->last_ns = r->noticed_ns = r->quiet_ns = r->failure_ns = NPI_NEVER;
    r->retry_ns = r->filtering_ns = r->interval_at_ns = NPI_NEVER;
    r->failure_gap_ns = NPI_RENEWAL_GAP_NS;
    r->retry_gap_ns = NPI_RENEWAL_RETRY_NS;
    r->start_wanted = r->has_way = true;
}

void npi_renewal_note_change(npi_renewal *r, uint64_t now_ns, bool resumed)
{
    if (r->noticed_ns == NPI_NEVER)
        r->noticed_ns = now_ns;
    r->quiet_ns = now_ns;
    r->resumed |= resumed;
}

void npi_renewal_note_failure(npi_renewal *r, uint64_t now_ns)
{
    if (r->failure_ns == NPI_NEVER)
        r->failure_ns = now_ns;
}

void npi_renewal_note_way(npi_renewal *r, bool has_way)
{
    r->has_way = has_way;
}

/* ---- What is due ------------------------------------------------------------------------------------------------ */

static uint64_t after_last(const npi_renewal *r, uint64_t gap_ns)
{
    return r->last_ns == NPI_NEVER ? NPI_NOW : npi_time_add(r->last_ns, gap_ns);
}

static uint64_t settled_ns(const npi_renewal *r)
{
    return npi_time_min(npi_time_add(r->quiet_ns, NPI_RENEWAL_QUIET_NS),
                        npi_time_add(r->noticed_ns, NPI_RENEWAL_SETTLE_NS));
}

static uint64_t failure_due_ns(const npi_renewal *r)
{
    return npi_time_max(r->failure_ns, after_last(r, r->failure_gap_ns));
}

static uint64_t wanted_ns(const npi_renewal *r)
{
    uint64_t due_ns = r->start_wanted ? NPI_NOW : npi_time_min(settled_ns(r), failure_due_ns(r));
    due_ns = npi_time_min(due_ns, r->retry_ns);
    due_ns = npi_time_min(due_ns, r->filtering_ns);
    return npi_time_min(due_ns, r->interval_at_ns);
}

uint64_t npi_renewal_due_ns(const npi_renewal *r)
{
    if (r->running)
        return NPI_NEVER;
    return r->has_way ? npi_time_max(wanted_ns(r), after_last(r, NPI_RENEWAL_GAP_NS)) : wanted_ns(r);
}

/* The first of these that has come: what happened says more than what was planned. */
int32_t npi_renewal_reason(const npi_renewal *r, uint64_t now_ns)
{
    if (npi_renewal_due_ns(r) > now_ns)
        return NP_WATCH_REASON_NONE;
    if (r->start_wanted)
        return NP_WATCH_REASON_START;
    if (settled_ns(r) <= now_ns)
        return r->resumed ? NP_WATCH_REASON_RESUME : NP_WATCH_REASON_NETWORK;
    if (failure_due_ns(r) <= now_ns)
        return NP_WATCH_REASON_FAILURE;
    if (r->retry_ns <= now_ns)
        return NP_WATCH_REASON_RETRY;
    return r->filtering_ns <= now_ns ? NP_WATCH_REASON_FILTERING : NP_WATCH_REASON_INTERVAL;
}

/* ---- Checks ----------------------------------------------------------------------------------------------------- */

static void cover(npi_renewal *r)
{
    if (r->noticed_ns != NPI_NEVER) /* another network: what was in vain in the last one may not be in this */
        r->retry_gap_ns = NPI_RENEWAL_RETRY_NS;
    r->start_wanted = r->resumed = false;
    r->noticed_ns = r->quiet_ns = r->failure_ns = NPI_NEVER;
    r->retry_ns = r->filtering_ns = r->interval_at_ns = NPI_NEVER;
}

void npi_renewal_begin(npi_renewal *r, uint64_t now_ns, int32_t reason)
{
    cover(r);
    r->running = true;
    r->last_ns = now_ns;
    r->for_failure = reason == NP_WATCH_REASON_FAILURE;
}

/* Nine to eleven tenths. */
static uint64_t spread(uint64_t interval_ns, uint32_t random)
{
    uint64_t fifth_ns = interval_ns / 5;
    return interval_ns - fifth_ns / 2 + fifth_ns / 1024 * (random % 1024);
}

static void plan(npi_renewal *r, uint64_t now_ns, bool has_verdict, uint32_t random)
{
    if (r->interval_ns != 0)
        r->interval_at_ns = npi_time_add(now_ns, spread(r->interval_ns, random));
    if (has_verdict) {
        r->retry_gap_ns = NPI_RENEWAL_RETRY_NS;
        return;
    }
    r->retry_ns = npi_time_add(now_ns, r->retry_gap_ns);
    r->retry_gap_ns = npi_time_min(2 * r->retry_gap_ns, NPI_RENEWAL_RETRY_MAX_NS);
}

void npi_renewal_skip(npi_renewal *r, uint64_t now_ns, uint32_t random)
{
    cover(r);
    plan(r, now_ns, false, random);
}

void npi_renewal_end(npi_renewal *r, uint64_t now_ns, const npi_renewal_outcome *outcome, uint32_t random)
{
    r->running = false;
    r->filtering_ns = outcome->filtering_ns;
    if (outcome->is_changed)
        r->failure_gap_ns = NPI_RENEWAL_GAP_NS;
    else if (r->for_failure)
        r->failure_gap_ns = npi_time_min(2 * r->failure_gap_ns, NPI_RENEWAL_RETRY_MAX_NS);
    plan(r, now_ns, outcome->has_verdict, random);
}
