/* SPDX-License-Identifier: MIT */
/* When the experiment is over, and what it has shown. */
#include "probe_internal.h"

#include <stdio.h>
#include <string.h>

#define OBSERVATIONS_MAX (NPI_PROBE_SERVERS + 3 * NPI_TRIALS_MAX)

typedef struct sights {
    npi_observation seen[OBSERVATIONS_MAX];
    size_t count;
} sights;

static const npi_trial *trial_of(const npi_probe *p, const npi_server *s)
{
    return s->trial >= 0 ? &p->trials[s->trial] : NULL;
}

/*
 * A control that was sent before its pinhole's request had been answered may have overtaken it: the unsolicited answer
 * reaches the NAT first, and a Linux NAT then gives that destination another external port (docs/METHOD.md, section 6).
 */
static bool is_tainted(const npi_probe *p, const npi_trial *t, int index)
{
    if (index != NPI_M_BP && p->restarted)
        return true; /* by a control sent before the restart */
    const npi_transaction *control = &t->x[index == NPI_M_BQ ? NPI_C_II : NPI_C_III].t;
    return index != NPI_M_BP && control->sent > 0 && control->first_ns < t->x[index].t.answered_ns;
}

static bool is_seen_from(const npi_exchange *x)
{
    return npi_exchange_is_answered(x) && npi_addr_is_set(&x->external);
}

static void collect(const npi_probe *p, sights *all)
{
    all->count = 0;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *s = &p->servers[i];
        if (s->excluded)
            continue;
        if (s->is_seen)
            all->seen[all->count++] = s->seen;
        const npi_trial *t = trial_of(p, s);
        for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
            const npi_exchange *x = &t->x[k];
            npi_observation o = {x->to, x->external, x->local, is_tainted(p, t, k)};
            if (is_seen_from(x))
                all->seen[all->count++] = o;
        }
    }
}

/* ---- Was it the destination that made the difference, or the moment? -------------------------------------------- */

/* True when s showed the same external address before and after (or at the same moment as) a sight from elsewhere. */
static bool spans(const npi_server *s, const npi_sight *sight)
{
    return s->first.last_ns <= sight->first_ns + NPI_SAME_MOMENT_NS &&
           s->again.first_ns + NPI_SAME_MOMENT_NS >= sight->last_ns;
}

static bool spans_trial(const npi_probe *p, const npi_server *s)
{
    const npi_trial *t = trial_of(p, s);
    for (int k = NPI_M_BP; t != NULL && k <= NPI_M_AQ; k++) {
        npi_sight sight = {t->x[k].t.first_ns, t->x[k].seen_ns};
        if (is_seen_from(&t->x[k]) && !spans(s, &sight))
            return false;
    }
    return true;
}

static bool is_comparable(const npi_server *a, const npi_server *b)
{
    return spans(a, &b->first) || spans(a, &b->again) || spans(b, &a->first) || spans(b, &a->again);
}

static bool counts(const npi_server *s)
{
    return s->is_seen && !s->excluded;
}

static bool is_verified(const npi_probe *p, const npi_server *s)
{
    if (!spans_trial(p, s))
        return false;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *o = &p->servers[i];
        if (o != s && counts(o) && !is_comparable(s, o))
            return false;
    }
    return true;
}

#define VERIFICATIONS_MAX 3

static bool is_being_verified(npi_probe *p, const npi_server *s)
{
    const npi_exchange *x = &s->x[NPI_VERIFY];
    if (x->wanted)
        return true;
    return x->t.started && !npi_exchange_is_answered(x) && !npi_exchange_is_over(p, x, npi_rtt_horizon(&s->rtt));
}

static void verify(npi_probe *p, npi_server *s)
{
    npi_exchange *x = &s->x[NPI_VERIFY];
    npi_exchange_init(x, "I again", NPI_SLOT_SOURCE, &s->address, 0, NPI_ALTERNATE_COPIES);
    x->wanted = true;
    p->wake_ns = p->now_ns;
}

/* What cannot be compared is left out: servers without a trial first, since the others have seen more. */
static void exclude_doubtful(npi_probe *p)
{
    for (int with_trial = 0; with_trial < 2; with_trial++) {
        for (size_t i = 0; i < p->server_count; i++) {
            npi_server *s = &p->servers[i];
            if (counts(s) && (s->trial >= 0) == with_trial && !is_verified(p, s))
                s->excluded = true;
        }
    }
}

/*
 * External addresses seen at different moments can be compared only if nothing has changed meanwhile: a NAT may have got
 * a new address, or have been restarted. Where that is not known, the servers are asked again, all at one moment. False
 * while they are being asked.
 */
static bool is_confirmed(npi_probe *p)
{
    bool doubtful[NPI_PROBE_SERVERS] = {false};
    bool any = false;
    for (size_t i = 0; i < p->server_count; i++) {
        npi_server *s = &p->servers[i];
        if (!counts(s) || is_verified(p, s))
            continue;
        if (is_being_verified(p, s))
            return false;
        doubtful[i] = any = true;
    }
    if (any && p->verifications == VERIFICATIONS_MAX)
        exclude_doubtful(p);
    if (!any || p->verifications == VERIFICATIONS_MAX)
        return true;
    p->verifications++;
    for (size_t i = 0; i < p->server_count; i++) {
        if (doubtful[i])
            verify(p, &p->servers[i]);
    }
    return false;
}

/* A trial that is still asking its server's addresses. */
static npi_trial *trial_in_mapping(npi_probe *p)
{
    for (size_t i = 0; i < p->trial_count; i++) {
        npi_trial *t = &p->trials[i];
        if (t->phase == NPI_PHASE_MAPPING && !npi_trial_mapping_is_over(p, t))
            return t;
    }
    return NULL;
}

/* True when the answers still expected would not change the mapping. */
static bool mapping_is_settled(npi_probe *p, int32_t mapping)
{
    const npi_trial *t = trial_in_mapping(p);
    if (mapping == NP_BEHAVIOUR_NONE || t == NULL)
        return mapping != NP_BEHAVIOUR_UNKNOWN;
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return npi_exchange_is_answered(&t->x[NPI_M_BP]) && npi_exchange_is_answered(&t->x[NPI_M_AQ]);
    return mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT || mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

/* ---- Filtering -------------------------------------------------------------------------------------------------- */

/* A verdict from silence stands when the trial is over, one from an answer at once. */
static bool has_filtering(const npi_trial *t)
{
    if (!t->settled || t->filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    return t->phase == NPI_PHASE_DONE || t->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
}

/* The trial on which the filtering verdict rests, NULL when there is none (yet). */
static const npi_trial *filtering_trial(const npi_probe *p)
{
    const npi_trial *best = NULL;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_trial *t = trial_of(p, &p->servers[i]);
        if (t != NULL && has_filtering(t) && (best == NULL || (t->proven && !best->proven)))
            best = t;
    }
    return best;
}

bool npi_verdict_needs_filtering(const npi_probe *p)
{
    return p->config.tests == NP_TESTS_ALL && filtering_trial(p) == NULL;
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
    if (p->first_sent_ns == NPI_NEVER || npi_schedule_has_heard(p))
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

static int32_t current_mapping(const npi_probe *p)
{
    sights all;
    collect(p, &all);
    return npi_classify_mapping(all.seen, all.count);
}

static int32_t current_filtering(const npi_probe *p)
{
    const npi_trial *t = filtering_trial(p);
    return t != NULL ? t->filtering : NP_BEHAVIOUR_UNKNOWN;
}

/* At the deadline: may what was seen be compared as it is? */
static bool all_verified(const npi_probe *p, int32_t mapping)
{
    for (size_t i = 0; i < p->server_count && mapping != NP_BEHAVIOUR_NONE; i++) {
        if (counts(&p->servers[i]) && !is_verified(p, &p->servers[i]))
            return false;
    }
    return true;
}

/* Whether the mapping may be relied on; asks for confirmation once it would be the verdict. */
static bool may_rely_on(npi_probe *p, int32_t mapping, bool would_end)
{
    if (mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_UNKNOWN)
        return true;
    return would_end && is_confirmed(p);
}

void npi_verdict_advance(npi_probe *p)
{
    if (p->done)
        return;
    if (is_silent_everywhere(p)) {
        conclude(p, NP_NAT_UNKNOWN);
        return;
    }
    int32_t mapping = current_mapping(p);
    bool complete = mapping_is_settled(p, mapping) && !npi_verdict_needs_filtering(p);
    bool exhausted = npi_schedule_is_exhausted(p);
    bool reliable = may_rely_on(p, mapping, complete || exhausted);
    mapping = current_mapping(p); /* without what could not be confirmed */
    int32_t type = npi_classify_type(mapping, current_filtering(p));
    if (complete && reliable && mapping != NP_BEHAVIOUR_UNKNOWN)
        npi_probe_finish(p, NP_OK, 0);
    else if (p->config.deadline_ns <= p->now_ns)
        npi_probe_finish(p, type != NP_NAT_UNKNOWN && all_verified(p, mapping) ? NP_OK : NP_ERR_DEADLINE, 0);
    else if (reliable && exhausted)
        conclude(p, type);
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
        [NPI_REASON_CONTROL] = "the server, or the path to it, does not honour CHANGE-REQUEST (the control stayed silent)",
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
        const npi_trial *t = trial_of(p, &p->servers[i]);
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

static bool has_excluded(const npi_probe *p)
{
    for (size_t i = 0; i < p->server_count; i++) {
        if (p->servers[i].excluded)
            return true;
    }
    return false;
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
        if (has_excluded(p))
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

static void write_detail(const npi_probe *p, np_result *out)
{
    const npi_trial *t = filtering_trial(p);
    if (p->error != NP_OK)
        snprintf(out->detail, sizeof out->detail, "%s", error_detail(p));
    else if (p->config.tests != NP_TESTS_ALL)
        out->detail[0] = '\0';
    else if (t == NULL)
        snprintf(out->detail, sizeof out->detail, "filtering unknown: %s", reason_text(filtering_reason(p)));
    else if (!t->proven)
        snprintf(out->detail, sizeof out->detail, "%s",
                 "the filtering is as measured: with an endpoint-dependent mapping no control is possible");
}

static uint32_t evidence_of(const npi_probe *p, const np_result *out)
{
    uint32_t evidence = p->evidence;
    size_t sources = 0;
    for (size_t i = 0; i < p->server_count; i++) {
        const npi_server *s = &p->servers[i];
        const npi_trial *t = trial_of(p, s);
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
    sights all;
    collect(p, &all);
    if (s->is_seen)
        write_sight(&s->seen, out);
    else if (all.count > 0)
        write_sight(&all.seen[0], out);
    char server[NPI_ADDR_TEXT];
    npi_addr_format(&s->address, server);
    snprintf(out->server, sizeof out->server, "%s", server);
    out->rtt_us = s->rtt.smoothed_ns / 1000;
}

/* What is known without a verdict: facts that need no further confirmation. */
static void write_facts(const npi_probe *p, np_result *out)
{
    out->mapping = current_mapping(p);
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
