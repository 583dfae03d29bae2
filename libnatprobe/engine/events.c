/* SPDX-License-Identifier: MIT */
/* What is told of the experiment while it goes on: events for the observer, and a line for each test in the log. */
#include "events.h"

#include <string.h>

_Static_assert(sizeof(np_event) == 256, "np_event is 256 bytes for the life of the ABI");
_Static_assert(sizeof((np_event){0}.remote) >= NPI_ADDR_TEXT, "an address fits an event");

static np_event make_event(const npi_facts *f, int32_t kind, int32_t purpose)
{
    np_event e;
    memset(&e, 0, sizeof e);
    e.kind = kind;
    e.purpose = purpose;
    e.time_us = npi_facts_elapsed_ns(f, f->now_ns) / 1000;
    return e;
}

static void write_address(char *out, const npi_addr *address)
{
    char text[NPI_ADDR_TEXT];
    npi_addr_format(address, text);
    memcpy(out, text, strlen(text));
}

static void tell(const npi_facts *f, const np_event *e)
{
    f->config.observer.sink(e, f->config.observer.user);
}

static bool is_watched(const npi_facts *f)
{
    return f->config.observer.sink != NULL;
}

/* ---- Requests and answers --------------------------------------------------------------------------------------- */

/* A fresh socket's plain request that compares what destinations see. */
static bool is_comparison(const npi_facts *f, const npi_exchange *x)
{
    if (x->slot >= NPI_SLOT_LOOK)
        return true;
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (t->filtering.slot == x->slot && !npi_addr_equal(&npi_trial_server(f, t)->address, &x->to))
            return true;
    }
    return false;
}

static np_event make_test_event(const npi_facts *f, int32_t kind, const npi_exchange *x)
{
    int32_t purpose = x->change != 0 ? NP_PURPOSE_CONTROL : NP_PURPOSE_MAPPING;
    if (x->slot != NPI_SLOT_SOURCE && !is_comparison(f, x))
        purpose = NP_PURPOSE_FILTERING;
    const npi_errand *errand = npi_facts_errand(f, x);
    if (errand != NULL)
        purpose = NP_PURPOSE_OPTIONAL;
    np_event e = make_event(f, kind, purpose);
    if (errand != NULL && errand->payload != NPI_PAYLOAD_STUN)
        e.request = 0;
    else if (x->change == 0)
        e.request = NP_REQUEST_I;
    else
        e.request = (x->change & NPI_STUN_CHANGE_IP) != 0 ? NP_REQUEST_II : NP_REQUEST_III;
    return e;
}

static double elapsed_ms(const npi_facts *f)
{
    return (double)npi_facts_elapsed_ns(f, f->now_ns) / 1e6;
}

static void log_sent(const npi_facts *f, const npi_exchange *x)
{
    char text[NPI_ADDR_TEXT];
    if (!npi_log_wants(&f->config.log, NP_LOG_DEBUG))
        return;
    npi_addr_format(&x->to, text);
    npi_log_write(&f->config.log, NP_LOG_DEBUG, "%7.1f ms  send  %s to %s, copy %u", elapsed_ms(f), x->name, text,
                  (unsigned)x->t.sent);
}

void npi_event_sent(const npi_facts *f, const npi_exchange *x)
{
    log_sent(f, x);
    if (!is_watched(f))
        return;
    np_event e = make_test_event(f, NP_EVENT_SENT, x);
    e.copy = x->t.sent;
    write_address(e.remote, &x->to);
    tell(f, &e);
}

static void log_answered(const npi_facts *f, const npi_exchange *x, const npi_addr *from, const npi_stun_response *r)
{
    char source[NPI_ADDR_TEXT];
    char mapped[NPI_ADDR_TEXT];
    if (!npi_log_wants(&f->config.log, NP_LOG_DEBUG))
        return;
    npi_addr_format(from, source);
    npi_addr_format(&r->mapped, mapped);
    if (r->kind == NPI_STUN_SUCCESS)
        npi_log_write(&f->config.log, NP_LOG_DEBUG, "%7.1f ms  heard %s from %s: %s", elapsed_ms(f), x->name, source,
                      mapped);
    else
        npi_log_write(&f->config.log, NP_LOG_DEBUG, "%7.1f ms  heard %s from %s: error %u", elapsed_ms(f), x->name,
                      source, (unsigned)r->error_code);
}

void npi_event_answered(const npi_facts *f, const npi_exchange *x, const npi_addr *from, const npi_stun_response *r)
{
    log_answered(f, x, from, r);
    if (!is_watched(f))
        return;
    np_event e = make_test_event(f, NP_EVENT_ANSWERED, x);
    write_address(e.remote, from);
    if (r->kind == NPI_STUN_SUCCESS)
        write_address(e.external, &r->mapped);
    else
        e.stun_error = r->error_code;
    tell(f, &e);
}

/* ---- Conclusions ------------------------------------------------------------------------------------------------ */

/*
 * What rests on silence may still be contradicted until its trial is over. And while fresh sockets are asked, any
 * finding may turn out to be another NAT's.
 */
static bool is_concluded(const npi_facts *f, const npi_trial *t)
{
    if (t->filtering.slot == NPI_SLOT_SOURCE || t->finding.state != NPI_DECIDED)
        return false;
    if (f->done || f->path.state == NPI_PATH_ASKING)
        return f->done;
    return t->phase == NPI_PHASE_DONE || t->finding.filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

static void tell_filtering(const npi_facts *f, const npi_trial *t)
{
    np_event e = make_event(f, NP_EVENT_CONCLUDED, NP_PURPOSE_FILTERING);
    e.behaviour = t->finding.filtering;
    write_address(e.remote, &npi_trial_server(f, t)->address);
    tell(f, &e);
}

void npi_event_conclusions(npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        npi_trial *t = &f->trials[i];
        if (!is_watched(f) || !is_concluded(f, t)) /* a callback may have ended the watching */
            continue;
        t->finding.state = NPI_REPORTED;
        tell_filtering(f, t);
    }
}
