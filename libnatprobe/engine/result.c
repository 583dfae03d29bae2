/* SPDX-License-Identifier: MIT */
/* What the experiment has shown, in the caller's terms. */
#include "result.h"

#include <stdio.h>
#include <string.h>

#include "findings.h"
#include "sightings.h"
#include "silence.h"

/* The server whose trial brought the filtering; else one with a trial, else any that has answered. */
static const npi_server *verdict_server(const npi_facts *f)
{
    const npi_trial *t = npi_filtering_trial(f);
    if (t != NULL)
        return &f->servers[t->server];
    const npi_server *best = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (npi_mapping_leaves_out(f, s) || npi_mapping_is_lone_network(f, s))
            continue; /* of several networks the one that two servers name is more likely right */
        if ((s->has_mapping || (npi_server_has_answered(s) && s->trial >= 0)) &&
            (best == NULL || (best->trial < 0 && s->trial >= 0)))
            best = s;
    }
    return best;
}

static const char *reason_text(npi_reason reason)
{
    static const char *const texts[] = {
        [NPI_REASON_NONE] = "",
        [NPI_REASON_NO_ALTERNATE] = ("no server that answered has a second address (RFC 5780) to test it "
                                     "from: name one that has"),
        [NPI_REASON_REFUSED] = "the server named a second address to which nothing may be sent: name another server",
        [NPI_REASON_IGNORED] = "the server ignores what the test asks for (CHANGE-REQUEST): name another server",
        [NPI_REASON_PARTIAL] = ("the server does only part of what the test asks for (CHANGE-REQUEST): name another "
                                "server"),
        [NPI_REASON_REWRITTEN] = "a router on the path rewrites the source address of unsolicited datagrams",
        [NPI_REASON_REJECTED] = "the server refuses what the test asks for (CHANGE-REQUEST): name another server",
        [NPI_REASON_CONTROL] = ("the server, or the path to it, drops what the test asks for (CHANGE-REQUEST; the "
                                "control stayed silent): name another server"),
        [NPI_REASON_RATIONED] = ("the server answers so few requests with CHANGE-REQUEST that the silence of one "
                                 "shows nothing: name another server"),
        [NPI_REASON_LOSS] = "too many datagrams are lost to tell silence from loss: try again",
        [NPI_REASON_SLOW] = "the server answers too slowly to tell silence from a queue: name another server",
        [NPI_REASON_SHUT_OUT] = ("the servers fell silent during the test: a router may block servers that send "
                                 "unsolicited datagrams"),
        [NPI_REASON_CONTRADICTION] = "an answer came after its absence had been taken for filtering: try again",
        [NPI_REASON_NOT_FRESH] = "the server's other address had been asked before the test could be made",
        [NPI_REASON_OTHER_PATH] = ("other ports of this host take another way than the checked one: their external or "
                                   "local address is another"),
        [NPI_REASON_NO_SOCKET] = "the system gave no second socket to test it from",
        [NPI_REASON_UNSENT] = "the system refused to send requests of the test",
        [NPI_REASON_UNFINISHED] = "the test could not be finished",
    };
    return texts[reason];
}

/* What did not leave explains why there was no answer. It does not explain what answers have shown. */
static npi_reason reason_of(const npi_trial *t)
{
    npi_reason reason = t->finding.reason;
    if (!npi_trial_is_decided(t) || t->phase != NPI_PHASE_DONE)
        reason = NPI_REASON_UNFINISHED;
    bool is_silence = reason == NPI_REASON_CONTROL || reason == NPI_REASON_LOSS || reason == NPI_REASON_UNFINISHED;
    return is_silence && npi_trial_is_unsent(t) ? NPI_REASON_UNSENT : reason;
}

/*
 * The trial whose filtering is told. Without a control, since the mapping seemed to keep that out, none is where the
 * mapping turned out to be another.
 */
static const npi_trial *told_trial(const npi_facts *f)
{
    const npi_trial *t = npi_filtering_trial(f);
    if (t == NULL || t->finding.proven)
        return t;
    int32_t mapping = npi_mapping_confirmed(f);
    return mapping == NP_BEHAVIOUR_NONE || mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT ? NULL : t;
}

npi_reason npi_result_filtering_reason(const npi_facts *f)
{
    npi_reason reason = NPI_REASON_NONE;
    if (f->error != NP_OK || !npi_facts_tests_filtering(f) || told_trial(f) != NULL)
        return NPI_REASON_NONE;
    bool is_missed = false; /* a second address that was not used, or a finding that does not count (yet) */
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_trial *t = npi_server_trial(f, &f->servers[i]);
        is_missed |= f->servers[i].alternate_state == NPI_ALTERNATE_KNOWN;
        if (t == NULL)
            continue;
        is_missed |= t->finding.filtering != NP_BEHAVIOUR_UNKNOWN;
        npi_reason of_trial = reason_of(t);
        if (of_trial == NPI_REASON_UNFINISHED && (!npi_trial_is_decided(t) || t->phase != NPI_PHASE_DONE))
            return NPI_REASON_UNFINISHED;
        if (of_trial > reason && of_trial != NPI_REASON_UNFINISHED)
            reason = of_trial;
    }
    if (reason != NPI_REASON_NONE)
        return reason;
    if ((f->evidence & NP_EVIDENCE_ALTERNATE_REFUSED) != 0)
        return NPI_REASON_REFUSED;
    return is_missed ? NPI_REASON_UNFINISHED : NPI_REASON_NO_ALTERNATE;
}

typedef bool (*differ_fn)(const npi_server *, const npi_server *);

/* Whether one of the servers that saw the source socket differs from the first of them. */
static bool any_differs(const npi_facts *f, differ_fn differ)
{
    const npi_server *first = NULL;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!s->has_mapping)
            continue;
        if (first != NULL && differ(first, s))
            return true;
        first = first == NULL ? s : first;
    }
    return false;
}

static bool differ_in_local(const npi_server *a, const npi_server *b)
{
    return npi_addr_is_other_ip(&a->observed.local, &b->observed.local);
}

/* Whether a request to another address of s left from another local address than those to A:P. */
static bool has_two_locals(const npi_facts *f, const npi_server *s)
{
    const npi_trial *t = npi_server_trial(f, s);
    for (int k = 0; t != NULL && s->has_mapping && k < NPI_CONTROL_EXCHANGES; k++) {
        const npi_exchange *x = &t->control.x[k];
        if (npi_exchange_has_external(x) && npi_addr_is_other_ip(&x->local, &s->observed.local))
            return true;
    }
    return false;
}

static bool uses_several_locals(const npi_facts *f)
{
    bool several = any_differs(f, differ_in_local);
    for (size_t i = 0; i < f->server_count && !several; i++)
        several = has_two_locals(f, &f->servers[i]);
    return several;
}

static bool differ_in_ip(const npi_server *a, const npi_server *b)
{
    return !npi_addr_same_ip(&a->address, &b->address);
}

/* The system refused to send, and that explains what is lacking: NULL, or how. */
static const char *refused_detail(const npi_facts *f)
{
    bool has_mapping = npi_facts_has_mapping(f);
    bool is_private = f->any_untranslated || (f->evidence & NP_EVIDENCE_PROXIED) != 0;
    if (!npi_facts_is_unsent(f))
        return NULL;
    switch (f->error) {
    case NP_ERR_NO_RESPONSE:
        return "no server answered, and the system refused to send some requests";
    case NP_ERR_TIMEOUT:
        return "the time allowed ran out, and the system refused to send some requests";
    case NP_ERR_INCONCLUSIVE:
        if (f->restarted || (has_mapping ? uses_several_locals(f) || npi_mapping_is_contradictory(f) : is_private))
            return NULL; /* answers have shown more */
        if (!has_mapping)
            return "the system refused to send some requests, and the source socket got no answer";
        return npi_mapping_apparent(f) != NP_BEHAVIOUR_UNKNOWN
                   ? "the external address could not be confirmed: the system refused to send some requests"
                   : "only one server address answered, and the system refused to send to others";
    case NP_ERR_NETWORK_UNREACHABLE:
    case NP_ERR_NO_MEMORY:
    case NP_ERR_SYSTEM:
        return "the system would not send to any server";
    default:
        return NULL;
    }
}

static const char *inconclusive_detail(const npi_facts *f)
{
    if (f->restarted)
        return "the external address changed, and too few answers have come since";
    if (!npi_facts_has_mapping(f) && f->any_untranslated)
        return "no NAT lies on the way to the server that answered, so it shows nothing of the internet: name another "
               "server";
    if (!npi_facts_has_mapping(f) && (f->evidence & NP_EVIDENCE_PROXIED) != 0)
        return "something on the path answers or translates for the servers: they report a private address";
    if (!npi_facts_has_mapping(f))
        return "too many datagrams were lost: the source socket got no answer";
    if (uses_several_locals(f))
        return "this host used several local addresses, which cannot be compared: choose one as the source address";
    if (npi_mapping_is_contradictory(f))
        return "the servers contradict each other about the external address: name more servers";
    if (npi_mapping_is_mixed(f))
        return "some destinations see the same external port, and others another: an earlier check may have left that "
               "behind, or the NAT goes by the destination's port: try again from another source port";
    if (npi_mapping_apparent(f) != NP_BEHAVIOUR_UNKNOWN)
        return "the external address could not be confirmed, and may have changed during the check: try again";
    if (f->server_count > 1)
        return "only one of the server addresses answered, so that the mapping cannot be compared: name other servers";
    return "only one server address answered, so that the mapping cannot be compared: name a second server";
}

/*
 * Before that an answer may still have been under way. How late the end was noticed must not decide: of a silence that
 * would take all the time allowed one run would else say that UDP is blocked, and the next that it is not known.
 */
static bool is_silent_for_long(const npi_facts *f)
{
    return npi_time_min(f->end_ns, f->config.deadline_ns) >=
           npi_time_add(f->traffic.first_sent_ns, f->config.response_timeout_ns);
}

static const char *error_detail(const npi_facts *f)
{
    switch (f->error) {
    case NP_ERR_NO_RESPONSE:
        return is_silent_for_long(f)
                   ? "no server answered any request: UDP is blocked, or the servers are down"
                   : "no server answered in the time allowed: UDP is blocked, or the servers are down or far away";
    case NP_ERR_INCONCLUSIVE:
        return inconclusive_detail(f);
    case NP_ERR_ADDRESS_CHANGED:
        return "the external address changed during the check, and again after it had been started anew";
    case NP_ERR_TIMEOUT:
        return "the time allowed ran out before enough answers had come";
    case NP_ERR_CANCELLED:
        return "the check was cancelled";
    default:
        return np_strerror(f->error);
    }
}

/* Cut where it does not fit; out is all zeros before. */
static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strlen(text);
    memcpy(out, text, length < size ? length : size - 1);
}

/* What an error code means where no more can be done than to name another server (RFC 8489 section 14.8). */
static const char *meaning_of(uint16_t stun_error)
{
    switch (stun_error) {
    case 300:
        return ", which refers to another server";
    case 401:
    case 403:
    case 438:
        return ", which asks for credentials";
    default:
        return "";
    }
}

/* Something came, and nothing that could be used. */
static void tell_bad_response(const npi_facts *f, np_result *out)
{
    char from[NPI_ADDR_TEXT];
    npi_addr_format(&f->elsewhere, from);
    if (f->stun_error != 0)
        snprintf(out->detail, sizeof out->detail, "a server answered with the STUN error %u%s: name another server",
                 (unsigned)f->stun_error, meaning_of(f->stun_error));
    else if ((f->evidence & NP_EVIDENCE_MALFORMED) != 0)
        copy_text(
            out->detail, sizeof out->detail,
            "the servers' answers are malformed, or report an address that no host can have: name another server");
    else if (from[0] != '\0')
        snprintf(out->detail, sizeof out->detail,
                 "an answer came from %s and not from the address that was asked: name another server", from);
    else
        copy_text(out->detail, sizeof out->detail,
                  "datagrams came from the servers' addresses, but no usable STUN answer was among them");
}

static void write_detail(const npi_facts *f, np_result *out)
{
    const npi_trial *t = told_trial(f);
    const char *refused = refused_detail(f);
    if (f->error == NP_ERR_BAD_RESPONSE)
        tell_bad_response(f, out);
    else if (f->error != NP_OK)
        copy_text(out->detail, sizeof out->detail, refused != NULL ? refused : error_detail(f));
    else if (!npi_facts_tests_filtering(f))
        out->detail[0] = '\0';
    else if (t == NULL)
        snprintf(out->detail, sizeof out->detail, "filtering unknown: %s", reason_text(npi_result_filtering_reason(f)));
    else if (!t->finding.proven)
        copy_text(out->detail, sizeof out->detail,
                  "the filtering is as measured, and not proven: behind this NAT the control that would prove it "
                  "cannot pass");
}

static uint32_t evidence_of(const npi_facts *f, const np_result *out)
{
    uint32_t evidence = f->evidence;
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        const npi_trial *t = npi_server_trial(f, s);
        npi_loss loss = {0, 0};
        if (t != NULL)
            loss = npi_silence_path_loss(f, t);
        if (loss.lost > 0)
            evidence |= NP_EVIDENCE_LOSS;
    }
    bool is_steady = f->left_out_unsteady && out->mapping != NP_BEHAVIOUR_UNKNOWN;
    if (is_steady || npi_mapping_dissenter(f) != NULL)
        evidence |= NP_EVIDENCE_OUTVOTED;
    if (any_differs(f, differ_in_ip))
        evidence |= NP_EVIDENCE_SECOND_SERVER;
    if (out->mapping != NP_BEHAVIOUR_UNKNOWN)
        evidence |= NP_EVIDENCE_MAPPING_PROVEN;
    const npi_trial *t = told_trial(f);
    if (t != NULL && t->finding.proven && out->filtering != NP_BEHAVIOUR_UNKNOWN)
        evidence |= NP_EVIDENCE_FILTERING_PROVEN;
    return evidence;
}

static void write_local(const npi_observation *o, np_result *out)
{
    npi_addr_format_ip(&o->local, out->local_ip);
    out->local_port = o->local.port;
    out->local_class = npi_classify_address(&o->local);
}

static void write_observation(const npi_observation *o, np_result *out)
{
    npi_addr_format_ip(&o->external, out->external_ip);
    out->external_port = o->external.port;
    write_local(o, out);
}

bool npi_result_observation(const npi_facts *f, npi_observation *out)
{
    const npi_server *s = verdict_server(f);
    if (s == NULL || npi_mapping_is_contradictory(f))
        return false;
    if (!s->has_mapping)
        return npi_mapping_any_observation(f, out);
    *out = s->observed;
    return true;
}

static void write_addresses(const npi_facts *f, np_result *out)
{
    const npi_server *s = verdict_server(f);
    if (s == NULL)
        return;
    npi_observation seen;
    if (npi_mapping_is_contradictory(f))
        write_local(&s->observed, out);
    else if (npi_result_observation(f, &seen))
        write_observation(&seen, out);
    char server[NPI_ADDR_TEXT];
    npi_addr_format(&s->address, server);
    copy_text(out->server, sizeof out->server, server);
    out->rtt_us = s->rtt.smoothed_ns / 1000;
}

/* Without a verdict only those facts are known that need no further confirmation. */
static void forget_unconfirmed(const npi_facts *f, np_result *out)
{
    const npi_trial *t = npi_filtering_trial(f);
    if (out->mapping != NP_BEHAVIOUR_NONE)
        out->mapping = NP_BEHAVIOUR_UNKNOWN;
    if (t != NULL && !t->finding.proven) /* without a control, since the mapping seemed to keep that out */
        out->filtering = NP_BEHAVIOUR_UNKNOWN;
}

static void write_facts(const npi_facts *f, np_result *out)
{
    const npi_trial *t = told_trial(f);
    out->mapping = npi_mapping_confirmed(f);
    out->filtering = t != NULL ? t->finding.filtering : NP_BEHAVIOUR_UNKNOWN;
    if (f->error == NP_OK)
        out->nat_type = npi_classify_type(out->mapping, out->filtering);
    else
        forget_unconfirmed(f, out);
}

npi_tally npi_result_tally(const npi_facts *f)
{
    return npi_sightings_tally(f, verdict_server(f));
}

static void write_tally(const npi_facts *f, np_result *out)
{
    npi_tally tally = npi_result_tally(f);
    out->port_step = tally.port_step;
    out->ports_seen = tally.ports_seen;
    out->ports_kept = tally.ports_kept;
    out->external_ips = tally.external_ips;
    out->local_ips = tally.local_ips;
}

void npi_result_write(const npi_facts *f, uint64_t now_ns, np_result *out)
{
    memset(out, 0, sizeof *out);
    out->error = f->error;
    out->os_error = f->os_error == 0 && refused_detail(f) != NULL ? f->traffic.send_os_error : f->os_error;
    out->packets_sent = f->traffic.sent;
    out->packets_received = f->traffic.received;
    out->elapsed_us = npi_facts_elapsed_ns(f, f->done ? f->end_ns : now_ns) / 1000;
    write_addresses(f, out);
    write_tally(f, out);
    if (f->error == NP_ERR_NO_RESPONSE) {
        out->nat_type = is_silent_for_long(f) ? NP_NAT_UDP_BLOCKED : NP_NAT_UNKNOWN;
    } else if (f->error == NP_ERR_ADDRESS_CHANGED) {
        memset(out->external_ip, 0, sizeof out->external_ip); /* which of them is true now is not known */
        out->external_port = 0;
    } else {
        write_facts(f, out);
    }
    out->evidence = evidence_of(f, out);
    write_detail(f, out);
}
