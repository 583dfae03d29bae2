/* SPDX-License-Identifier: MIT */
/* When the experiment is over, and what it has shown. */
#include "probe_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- Filtering -------------------------------------------------------------------------------------------------- */

/* A verdict from silence stands when the trial is over, one from an answer at once. */
static bool has_filtering(const npi_trial *t)
{
    if (!t->settled || t->filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    return t->phase == NPI_PHASE_DONE || t->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

static bool says_more(const npi_trial *a, const npi_trial *b)
{
    bool a_kind = a->filtering != NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    bool b_kind = b->filtering != NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    return a_kind != b_kind ? a_kind : a->proven && !b->proven;
}

/* The trial on which the filtering verdict rests, NULL when there is none (yet). */
static const npi_trial *filtering_trial(const npi_probe *p)
{
    const npi_trial *best = NULL;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_trial *t = npi_trial_of(p, &p->servers[i]);
        if (t != NULL && has_filtering(t) && (best == NULL || says_more(t, best)))
            best = t;
    }
    return best;
}

bool npi_verdict_needs_filtering(const npi_probe *p)
{
    const npi_trial *t = filtering_trial(p);
    return p->config.tests == NP_TESTS_ALL && (t == NULL || t->filtering == NP_BEHAVIOUR_ENDPOINT_DEPENDENT);
}

/* ---- The end ---------------------------------------------------------------------------------------------------- */

static bool has_external(const npi_probe *p)
{
    for (size_t i = 0; i < p->server_count; i++) {
        if (p->servers[i].is_seen)
            return true;
    }
    return false;
}

static bool is_sending_impossible(const npi_probe *p)
{
    for (size_t i = 0; i < p->server_count; i++) {
        if (p->servers[i].started && !p->servers[i].failed)
            return false;
    }
    return p->send_error != NP_OK && !npi_schedule_has_heard(p);
}

/* What to say when no more can be learnt. */
static void conclude(npi_probe *p, int32_t type)
{
    if (type != NP_NAT_UNKNOWN)
        npi_probe_finish(p, NP_OK, 0);
    else if (p->server_count == 0)
        npi_probe_finish(p, NP_ERR_RESOLVE, 0);
    else if (has_external(p))
        npi_probe_finish(p, NP_ERR_INCONCLUSIVE, 0);
    else if (is_sending_impossible(p))
        npi_probe_finish(p, p->send_error, p->send_os_error);
    else if ((p->evidence & NP_EVIDENCE_ANSWERED) != 0 || (npi_schedule_has_heard(p) && !p->strange))
        npi_probe_finish(p, NP_ERR_INCONCLUSIVE, 0);
    else if (npi_schedule_has_heard(p) || p->strange)
        npi_probe_finish(p, NP_ERR_BAD_RESPONSE, 0);
    else
        npi_probe_finish(p, NP_ERR_NO_RESPONSE, 0);
}

/* Servers enough have been silent for long enough. */
static bool is_silent_everywhere(npi_probe *p)
{
    if (p->sent == 0 || npi_schedule_has_heard(p))
        return false;
    uint64_t silent_ns = npi_time_add(p->first_sent_ns, p->config.response_timeout_ns);
    if (silent_ns > p->now_ns) {
        npi_wake_at(p, silent_ns);
        return false;
    }
    size_t asked = 0;
    for (size_t i = 0; i < p->server_count; i++)
        asked += p->servers[i].started;
    return !p->more_servers || asked >= 3 || p->config.deadline_ns <= p->now_ns;
}

static int32_t current_filtering(const npi_probe *p)
{
    const npi_trial *t = filtering_trial(p);
    return t != NULL ? t->filtering : NP_BEHAVIOUR_UNKNOWN;
}

/* The time is over. Where nothing has left this host, that is why. */
static void conclude_late(npi_probe *p, bool has_type)
{
    if (has_type)
        npi_probe_finish(p, NP_OK, 0);
    else if (p->sent == 0 && p->send_error != NP_OK)
        npi_probe_finish(p, p->send_error, p->send_os_error);
    else
        npi_probe_finish(p, NP_ERR_DEADLINE, 0);
}

/* All is there, or all that there can be, or the time is over: ends the experiment unless something is to be confirmed. */
static void decide(npi_probe *p, bool complete, bool exhausted)
{
    bool sure = (complete || exhausted) && npi_mapping_make_sure(p);
    int32_t mapping = npi_mapping_sure(p);
    int32_t type = npi_classify_type(mapping, current_filtering(p));
    if (complete && sure && mapping != NP_BEHAVIOUR_UNKNOWN)
        npi_probe_finish(p, NP_OK, 0);
    else if (p->config.deadline_ns <= p->now_ns)
        conclude_late(p, type != NP_NAT_UNKNOWN && mapping == npi_mapping_seen(p));
    else if (exhausted && sure)
        conclude(p, type);
}

void npi_verdict_advance(npi_probe *p)
{
    if (p->done)
        return;
    if (is_silent_everywhere(p)) {
        conclude(p, NP_NAT_UNKNOWN);
        return;
    }
    /* What costs least is asked first: this is where most of the time of a check would be spent. */
    bool complete = !npi_verdict_needs_filtering(p) && npi_mapping_is_settled(p);
    bool exhausted = npi_schedule_is_exhausted(p);
    if (complete || exhausted || p->config.deadline_ns <= p->now_ns)
        decide(p, complete, exhausted);
}

/* ---- The result ------------------------------------------------------------------------------------------------- */

/* The server whose trial brought the filtering; else one with a trial, else any that has answered. */
static const npi_server *verdict_server(const npi_probe *p)
{
    const npi_trial *t = filtering_trial(p);
    if (t != NULL)
        return &p->servers[t->server];
    const npi_server *best = NULL;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *s = &p->servers[i];
        if ((s->is_seen || (s->heard && s->trial >= 0)) && (best == NULL || (best->trial < 0 && s->trial >= 0)))
            best = s;
    }
    return best;
}

static const char *reason_text(npi_reason reason)
{
    static const char *const texts[] = {
        [NPI_REASON_NONE] = "",
        [NPI_REASON_NO_ALTERNATE] = "no server that answered has a second address (RFC 5780) to test it from",
        [NPI_REASON_REFUSED] = "the server named a second address to which nothing may be sent",
        [NPI_REASON_IGNORED] = "the server ignores CHANGE-REQUEST",
        [NPI_REASON_PARTIAL] = "the server honours CHANGE-REQUEST only in part",
        [NPI_REASON_REJECTED] = "the server rejects CHANGE-REQUEST",
        [NPI_REASON_CONTROL] = "the server, or the path to it, does not honour CHANGE-REQUEST (the control stayed "
                               "silent)",
        [NPI_REASON_LOSS] = "too many datagrams are lost to tell silence from loss",
        [NPI_REASON_CONTRADICTION] = "an answer came long after its silence had been established",
        [NPI_REASON_TOUCHED] = "the server's other address had been asked before the test could be made",
        [NPI_REASON_UNFINISHED] = "the test could not be finished",
    };
    return texts[reason];
}

static npi_reason filtering_reason(const npi_probe *p)
{
    npi_reason reason = NPI_REASON_NONE;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_trial *t = npi_trial_of(p, &p->servers[i]);
        if (t == NULL)
            continue;
        if (!t->settled || t->phase != NPI_PHASE_DONE)
            return NPI_REASON_UNFINISHED;
        if (t->reason > reason && t->reason != NPI_REASON_UNFINISHED)
            reason = t->reason;
    }
    if (reason == NPI_REASON_NONE)
        return (p->evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0 ? NPI_REASON_REFUSED : NPI_REASON_NO_ALTERNATE;
    return reason;
}

static const char *error_detail(const npi_probe *p)
{
    switch (p->error) {
    case NP_ERR_NO_RESPONSE:
        return "no server answered any request: UDP is blocked, or the servers are down";
    case NP_ERR_BAD_RESPONSE:
        return "datagrams came from the servers' addresses, but no usable STUN answer was among them";
    case NP_ERR_INCONCLUSIVE:
        if (p->restarted)
            return "the external address changed, and too few answers have come since";
        if (!has_external(p))
            return "too many datagrams were lost: the source socket got no answer";
        if (npi_mapping_seen(p) != NP_BEHAVIOUR_UNKNOWN)
            return "the external address could not be confirmed: it may have changed during the check";
        return "only one server address answered, so that the mapping cannot be compared: name a second server";
    case NP_ERR_ADDRESS_CHANGED:
        return "the external address changed during the check, and again after it had been started anew";
    case NP_ERR_DEADLINE:
        return "the time allowed ran out before enough answers had come";
    case NP_ERR_CANCELLED:
        return "the check was cancelled";
    case NP_ERR_NETWORK_UNREACHABLE:
        return "the system would not send to any server: no route, or a local firewall rule";
    default:
        return np_strerror(p->error);
    }
}

/* Cut where it does not fit; out is all zeros before. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strlen(text);
    memcpy(out, text, length < size ? length : size - 1);
}

static void write_detail(const npi_probe *p, np_result *out)
{
    const npi_trial *t = filtering_trial(p);
    if (p->error != NP_OK)
        copy_text(out->detail, sizeof out->detail, error_detail(p));
    else if (p->config.tests != NP_TESTS_ALL)
        out->detail[0] = '\0';
    else if (t == NULL)
        snprintf(out->detail, sizeof out->detail, "filtering unknown: %s", reason_text(filtering_reason(p)));
    else if (!t->proven)
        copy_text(out->detail, sizeof out->detail,
                  "the filtering is as measured: with an endpoint-dependent mapping no control is possible");
}

static uint32_t evidence_of(const npi_probe *p, const np_result *out)
{
    uint32_t evidence = p->evidence;
    size_t sources = 0;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *s = &p->servers[i];
        const npi_trial *t = npi_trial_of(p, s);
        sources += s->is_seen;
        npi_loss loss = {0, 0};
        if (t != NULL)
            loss = npi_trial_loss(p, t);
        if (loss.lost > 0)
            evidence |= NP_EVIDENCE_LOSS;
    }
    if (sources > 1)
        evidence |= NP_EVIDENCE_SECOND_SERVER;
    if (out->mapping != NP_BEHAVIOUR_UNKNOWN)
        evidence |= NP_EVIDENCE_MAPPING_PROVEN;
    const npi_trial *t = filtering_trial(p);
    if (t != NULL && t->proven && out->filtering != NP_BEHAVIOUR_UNKNOWN)
        evidence |= NP_EVIDENCE_FILTERING_PROVEN;
    return evidence;
}

static void write_sight(const npi_observation *o, np_result *out)
{
    npi_addr_format_ip(&o->external, out->external_ip);
    out->external_port = o->external.port;
    npi_addr_format_ip(&o->local, out->local_ip);
    out->local_port = o->local.port;
}

static void write_addresses(const npi_probe *p, np_result *out)
{
    const npi_server *s = verdict_server(p);
    if (s == NULL)
        return;
    npi_observation seen;
    if (s->is_seen)
        write_sight(&s->seen, out);
    else if (npi_mapping_any_sight(p, &seen))
        write_sight(&seen, out);
    char server[NPI_ADDR_TEXT];
    npi_addr_format(&s->address, server);
    copy_text(out->server, sizeof out->server, server);
    out->rtt_us = s->rtt.smoothed_ns / 1000;
}

/* What is known without a verdict: facts that need no further confirmation. */
static void write_facts(const npi_probe *p, np_result *out)
{
    out->mapping = npi_mapping_sure(p);
    out->filtering = current_filtering(p);
    if (p->error == NP_OK)
        out->nat_type = npi_classify_type(out->mapping, out->filtering);
    else if (out->mapping != NP_BEHAVIOUR_NONE)
        out->mapping = NP_BEHAVIOUR_UNKNOWN;
}

void npi_probe_result(const npi_probe *p, uint64_t now_ns, np_result *out)
{
    memset(out, 0, sizeof *out);
    out->error = p->error;
    out->os_error = p->os_error;
    out->packets_sent = p->sent;
    out->packets_received = p->received;
    uint64_t end_ns = p->done ? p->end_ns : now_ns;
    out->elapsed_us = (end_ns - p->start_ns) / 1000;
    write_addresses(p, out);
    if (p->error == NP_ERR_NO_RESPONSE) {
        out->nat_type = NP_NAT_UDP_BLOCKED;
    } else if (p->error == NP_ERR_ADDRESS_CHANGED) {
        memset(out->external_ip, 0, sizeof out->external_ip); /* which of them is true now is not known */
        out->external_port = 0;
    } else {
        write_facts(p, out);
    }
    out->evidence = evidence_of(p, out);
    write_detail(p, out);
}
