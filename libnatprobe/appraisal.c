/* SPDX-License-Identifier: MIT */
/* What a server is asked in a survey, and what its answers show of it. */
#include "appraisal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "classify.h"

void npi_appraisal_init(npi_appraisal *a, const npi_addr *server)
{
    memset(a, 0, sizeof *a);
    a->server = *server;
}

bool npi_appraisal_has_alternate(const npi_appraisal *a)
{
    return npi_addr_is_set(&a->alternate) && npi_addr_is_alternate(&a->server, &a->alternate);
}

/* ---- What to ask ------------------------------------------------------------------------------------------------ */

/* The first answer decides what else can be asked, and in which form. */
static npi_ask next_first(const npi_appraisal *a)
{
    return a->sent[NPI_ASK_PLAIN] < 2 * NPI_APPRAISAL_FIRST ? NPI_ASK_PLAIN : NPI_ASK_NOTHING;
}

static bool is_change(npi_ask ask)
{
    return ask == NPI_ASK_II || ask == NPI_ASK_III;
}

static bool is_wanted(const npi_appraisal *a, npi_ask ask)
{
    unsigned sent = a->sent[ask];
    unsigned answered = a->answered[ask];
    if (ask == NPI_ASK_PLAIN)
        return answered < NPI_APPRAISAL_PLAIN && sent < NPI_APPRAISAL_PLAIN_MAX;
    if (is_change(ask))
        return answered < NPI_APPRAISAL_CHANGE && sent < NPI_APPRAISAL_CHANGE_MAX;
    return npi_appraisal_has_alternate(a) && answered == 0 && sent < NPI_APPRAISAL_ALTERNATE_MAX;
}

/* In turn, so that what is asked again is asked at another time: losses come in bursts. */
npi_ask npi_appraisal_next(const npi_appraisal *a)
{
    static const npi_ask order[] = {NPI_ASK_II, NPI_ASK_III, NPI_ASK_BP, NPI_ASK_BQ, NPI_ASK_AQ, NPI_ASK_PLAIN};
    npi_ask next = NPI_ASK_NOTHING;
    if (a->is_flood)
        return NPI_ASK_NOTHING;
    if (a->answered[NPI_ASK_PLAIN] == 0)
        return next_first(a);
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (is_wanted(a, order[i]) && (next == NPI_ASK_NOTHING || a->sent[order[i]] < a->sent[next]))
            next = order[i];
    }
    return next;
}

npi_addr npi_appraisal_target(const npi_appraisal *a, npi_ask ask)
{
    switch (ask) {
    case NPI_ASK_BP:
        return npi_addr_with_port(&a->alternate, a->server.port);
    case NPI_ASK_BQ:
        return a->alternate;
    case NPI_ASK_AQ:
        return npi_addr_with_port(&a->server, a->alternate.port);
    default:
        return a->server;
    }
}

uint32_t npi_appraisal_change(npi_ask ask)
{
    if (ask == NPI_ASK_II)
        return NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    return ask == NPI_ASK_III ? NPI_STUN_CHANGE_PORT : 0;
}

npi_stun_dialect npi_appraisal_dialect(const npi_appraisal *a)
{
    bool is_last_attempt = a->answered[NPI_ASK_PLAIN] == 0 && a->sent[NPI_ASK_PLAIN] >= NPI_APPRAISAL_FIRST;
    return a->is_classic || is_last_attempt ? NPI_STUN_RFC3489 : NPI_STUN_RFC8489;
}

/* ---- What has come ---------------------------------------------------------------------------------------------- */

void npi_appraisal_sent(npi_appraisal *a, npi_ask ask)
{
    a->sent[ask]++;
    a->packets_sent++;
}

bool npi_appraisal_received(npi_appraisal *a)
{
    a->packets_received++;
    a->is_flood = a->packets_received >= NPI_APPRAISAL_FLOOD;
    return !a->is_flood;
}

void npi_appraisal_unusable(npi_appraisal *a)
{
    a->has_unusable = true;
}

/* Without NAT, which has been proven, this host's own address is the external one. */
static void take_external(npi_appraisal *a, const npi_reply *reply, const npi_addr *external)
{
    if (!npi_addr_is_set(&a->external))
        a->external = *external;
    else if (!npi_addr_equal(&a->external, external))
        a->is_external_unstable = true;
    if (npi_addr_is_set(&reply->local) && !npi_addr_equal(&reply->local, external))
        a->is_external_wrong = true;
}

static void take_alternate(npi_appraisal *a, const npi_addr *alternate)
{
    if (!npi_addr_is_set(alternate))
        return;
    if (!npi_addr_is_set(&a->alternate))
        a->alternate = *alternate;
    else if (!npi_addr_equal(&a->alternate, alternate))
        a->is_alternate_unstable = true;
}

static void count(uint8_t *counter)
{
    *counter = (uint8_t)(*counter + (*counter < UINT8_MAX));
}

static void count_answer(npi_appraisal *a, const npi_reply *reply)
{
    uint64_t *shortest_us = &a->rtt_us[reply->ask];
    if (reply->is_again)
        return;
    count(&a->answered[reply->ask]);
    if (*shortest_us == 0 || reply->rtt_us < *shortest_us)
        *shortest_us = reply->rtt_us;
}

static void take_plain(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    if (!npi_addr_equal(&reply->from, &a->server)) {
        a->stray = reply->from;
    } else if (response->kind == NPI_STUN_ERROR) {
        a->stun_error = response->error_code;
    } else {
        a->is_classic = reply->is_classic && (a->answered[NPI_ASK_PLAIN] == 0 || a->is_classic);
        count_answer(a, reply);
        take_external(a, reply, &response->mapped);
        take_alternate(a, &response->other);
    }
}

/* Where the answer to II or III comes from if it is honoured; from a server that names no B, any that fits. */
static npi_addr expected_source(const npi_appraisal *a, npi_ask ask, const npi_addr *from)
{
    npi_addr none = {.family = NPI_FAMILY_NONE};
    if (npi_appraisal_has_alternate(a))
        return npi_appraisal_target(a, ask == NPI_ASK_II ? NPI_ASK_BQ : NPI_ASK_AQ);
    bool is_other_ip = npi_addr_is_other_ip(from, &a->server);
    bool fits = from->port != a->server.port && is_other_ip == (ask == NPI_ASK_II);
    return fits ? *from : none;
}

static void take_change(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    npi_ask ask = reply->ask;
    npi_addr expected = expected_source(a, ask, &reply->from);
    switch (npi_classify_change(&a->server, &expected, &reply->from, response->kind == NPI_STUN_SUCCESS)) {
    case NPI_CHANGE_HONOURED:
        count(&a->honoured[ask]);
        break;
    case NPI_CHANGE_IGNORED:
        count(&a->ignored[ask]);
        break;
    case NPI_CHANGE_REJECTED:
        count(&a->rejected[ask]);
        break;
    default:
        count(&a->partial[ask]);
        break;
    }
    count_answer(a, reply);
    if (response->kind == NPI_STUN_SUCCESS)
        take_external(a, reply, &response->mapped);
}

static void take_alternates_answer(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    npi_addr target = npi_appraisal_target(a, reply->ask);
    if (response->kind != NPI_STUN_SUCCESS || !npi_addr_equal(&reply->from, &target))
        return;
    count_answer(a, reply);
    take_external(a, reply, &response->mapped);
}

void npi_appraisal_take(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response)
{
    if (response->kind != NPI_STUN_SUCCESS && response->kind != NPI_STUN_ERROR)
        npi_appraisal_unusable(a);
    else if (reply->ask == NPI_ASK_PLAIN)
        take_plain(a, reply, response);
    else if (is_change(reply->ask))
        take_change(a, reply, response);
    else
        take_alternates_answer(a, reply, response);
}

/* ---- What that shows -------------------------------------------------------------------------------------------- */

/* One way of answering counts only if there was no other. */
static int32_t conduct(const npi_appraisal *a, npi_ask ask)
{
    int ways = (a->honoured[ask] > 0) + (a->ignored[ask] > 0) + (a->rejected[ask] > 0);
    if (ways > 1 || a->partial[ask] > 0)
        return NP_CONDUCT_PARTIAL;
    if (a->honoured[ask] > 0)
        return NP_CONDUCT_HONOURED;
    if (a->ignored[ask] > 0)
        return NP_CONDUCT_IGNORED;
    if (a->rejected[ask] > 0)
        return NP_CONDUCT_REJECTED;
    return a->sent[ask] >= NPI_APPRAISAL_SILENT ? NP_CONDUCT_SILENT : NP_CONDUCT_UNKNOWN;
}

static bool is_steady(const npi_appraisal *a, npi_ask ask)
{
    return a->answered[ask] >= NPI_APPRAISAL_CHANGE;
}

static int32_t alternate_alive(const npi_appraisal *a)
{
    static const npi_ask asks[] = {NPI_ASK_BP, NPI_ASK_BQ, NPI_ASK_AQ};
    int32_t alive = NP_TRISTATE_YES;
    if (!npi_appraisal_has_alternate(a))
        return npi_addr_is_set(&a->alternate) ? NP_TRISTATE_UNKNOWN : NP_TRISTATE_NO;
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        if (a->answered[asks[i]] > 0)
            continue;
        if (a->sent[asks[i]] >= NPI_APPRAISAL_SILENT)
            return NP_TRISTATE_NO;
        alive = NP_TRISTATE_UNKNOWN;
    }
    return alive;
}

static bool is_answered(const npi_appraisal *a)
{
    return a->answered[NPI_ASK_PLAIN] > 0;
}

static int32_t error_of(const npi_appraisal *a)
{
    bool has_anything = a->stun_error != 0 || a->has_unusable || npi_addr_is_set(&a->stray);
    if (a->is_flood)
        return NP_ERR_BAD_RESPONSE;
    if (is_answered(a))
        return NP_OK;
    return has_anything ? NP_ERR_BAD_RESPONSE : NP_ERR_NO_RESPONSE;
}

static int32_t yes_or_no(bool is_known, bool is_so)
{
    if (!is_known)
        return NP_TRISTATE_UNKNOWN;
    return is_so ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

/* How much longer than a plain one the slower of the two tests takes. */
static uint64_t late_us(const npi_appraisal *a)
{
    uint64_t ii_us = a->rtt_us[NPI_ASK_II];
    uint64_t iii_us = a->rtt_us[NPI_ASK_III];
    uint64_t slower_us = ii_us > iii_us ? ii_us : iii_us;
    return slower_us > a->rtt_us[NPI_ASK_PLAIN] ? slower_us - a->rtt_us[NPI_ASK_PLAIN] : 0;
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
say(np_survey_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(report->detail, sizeof report->detail, format, args);
    va_end(args);
}

/* Why nothing is known of it. */
static void explain_failure(const npi_appraisal *a, np_survey_report *report)
{
    char text[NPI_ADDR_TEXT];
    npi_addr_format(&a->stray, text);
    if (a->is_flood)
        say(report, "it sent more than %d datagrams", NPI_APPRAISAL_FLOOD - 1);
    else if (a->stun_error != 0)
        say(report, "it answers a plain request with error %u", (unsigned)a->stun_error);
    else if (npi_addr_is_set(&a->stray))
        say(report, "answers come from %s, which was not asked", text);
    else if (a->has_unusable)
        say(report, "what comes is no answer that can be used");
    else
        say(report, "no answer to %u requests", (unsigned)a->sent[NPI_ASK_PLAIN]);
}

static bool explain_alternate(const npi_appraisal *a, np_survey_report *report)
{
    if (!npi_addr_is_set(&a->alternate))
        say(report, "it names no second address");
    else if (!npi_appraisal_has_alternate(a))
        say(report, "it names %s as its second address, to which nothing may be sent", report->alternate);
    else if (a->is_alternate_unstable)
        say(report, "it names another second address from time to time");
    else if (report->alternate_alive != NP_TRISTATE_YES)
        say(report, "its second address %s does not answer on both ports, or its first not on the second",
            report->alternate);
    else
        return false;
    return true;
}

static bool explain_change(const npi_appraisal *a, npi_ask ask, int32_t found, np_survey_report *report)
{
    const char *name = ask == NPI_ASK_II ? "II" : "III";
    if (found == NP_CONDUCT_IGNORED)
        say(report, "it ignores what test %s asks for", name);
    else if (found == NP_CONDUCT_REJECTED)
        say(report, "it answers test %s with an error", name);
    else if (found == NP_CONDUCT_PARTIAL)
        say(report, "it answers test %s from another address than it should, or not always from that", name);
    else if (found != NP_CONDUCT_HONOURED)
        say(report, "it does not answer test %s", name);
    else if (!is_steady(a, ask))
        say(report, "it answered %u of %u requests of test %s", (unsigned)a->answered[ask], (unsigned)a->sent[ask],
            name);
    else
        return false;
    return true;
}

static bool explain_external(const npi_appraisal *a, np_survey_report *report)
{
    if (a->is_external_unstable)
        say(report, "the external address that it reports changes");
    else if (a->is_external_wrong)
        say(report, "it reports %s as the external address, which this host did not send from", report->external);
    else
        return false;
    return true;
}

static bool explain_manner(const npi_appraisal *a, np_survey_report *report)
{
    if (a->is_classic)
        say(report, "it answers only requests in the form of RFC 3489, which a check tries last");
    else if (a->answered[NPI_ASK_PLAIN] + 1 < NPI_APPRAISAL_PLAIN)
        say(report, "it answered %u of %u plain requests", (unsigned)a->answered[NPI_ASK_PLAIN],
            (unsigned)a->sent[NPI_ASK_PLAIN]);
    else if (late_us(a) > NPI_APPRAISAL_LATE_US)
        say(report, "answers to tests II and III come %u ms later than others", (unsigned)(late_us(a) / 1000));
    else
        return false;
    return true;
}

/* The first thing that it lacks; false for a server that lacks nothing. */
static bool explain_lack(const npi_appraisal *a, np_survey_report *report)
{
    return explain_external(a, report) || explain_alternate(a, report) ||
           explain_change(a, NPI_ASK_II, report->change_both, report) ||
           explain_change(a, NPI_ASK_III, report->change_port, report) || explain_manner(a, report);
}

void npi_appraisal_judge(const npi_appraisal *a, np_survey_report *report)
{
    bool is_known = is_answered(a) && npi_addr_is_set(&a->external);
    uint64_t late = late_us(a);
    report->error = error_of(a);
    report->stun_error = a->stun_error;
    report->plain_sent = a->sent[NPI_ASK_PLAIN];
    report->plain_answered = a->answered[NPI_ASK_PLAIN];
    report->packets_sent = a->packets_sent;
    report->packets_received = a->packets_received;
    npi_addr_format(&a->server, report->address);
    if (report->error != NP_OK) {
        explain_failure(a, report);
        return;
    }
    report->is_classic = a->is_classic;
    report->rtt_us = a->rtt_us[NPI_ASK_PLAIN];
    report->late_us = late < UINT32_MAX ? (uint32_t)late : UINT32_MAX;
    report->change_both = conduct(a, NPI_ASK_II);
    report->change_port = conduct(a, NPI_ASK_III);
    report->alternate_alive = alternate_alive(a);
    report->external_right = yes_or_no(is_known, !a->is_external_wrong);
    report->external_stable = yes_or_no(is_known && report->plain_answered > 1, !a->is_external_unstable);
    npi_addr_format(&a->alternate, report->alternate);
    npi_addr_format(&a->external, report->external);
    report->is_capable = !explain_lack(a, report);
}

/* ---- This host -------------------------------------------------------------------------------------------------- */

npi_openness npi_openness_of(const np_result *check)
{
    const uint32_t proven = NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_MAPPING_PROVEN;
    const uint32_t doubtful = NP_EVIDENCE_CONTRADICTION | NP_EVIDENCE_PROXIED;
    if (check->error != NP_OK || check->mapping == NP_BEHAVIOUR_UNKNOWN)
        return NPI_NOT_DECIDED;
    if (check->nat_type == NP_NAT_OPEN_INTERNET && (check->evidence & proven) == proven)
        return (check->evidence & doubtful) == 0 ? NPI_IS_OPEN : NPI_NOT_DECIDED;
    /* A NAT is one whatever the servers can do; of a filter only those tell that honour CHANGE-REQUEST. */
    return check->nat_type == NP_NAT_NO_NAT || check->nat_type == NP_NAT_OPEN_INTERNET ? NPI_NOT_DECIDED
                                                                                       : NPI_IS_NOT_OPEN;
}
