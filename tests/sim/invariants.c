/* SPDX-License-Identifier: MIT */
/* The promises of docs/METHOD.md and docs/SECURITY.md about what goes out, and those about the result. */
#include "invariants.h"

#include <inttypes.h>
#include <string.h>

#include "../support/pace.h"
#include "truth.h"

#define RATE_TRANSACTIONS 10
#define COPIES_TO_STRANGERS 8

/* ---- Single datagrams ---- */

static bool is_listed(const world *w, const endpoint *to)
{
    for (unsigned i = 0; i < w->listed_count; i++) {
        if (endpoint_equal(&w->listed[i].address, to))
            return true;
    }
    return false;
}

static bool is_listed_class(const world *w, const endpoint *to)
{
    for (unsigned i = 0; i < w->listed_count; i++) {
        if (w->listed[i].address.family == to->family && endpoint_class(&w->listed[i].address) == endpoint_class(to))
            return true;
    }
    return false;
}

/* Ports of services that answer anything, or answer more than they are asked. */
static bool is_dangerous_port(uint16_t port)
{
    static const uint16_t ports[] = {0, 7, 17, 19, 53, 69, 111, 123, 137, 161, 389, 1900, 5353, 11211};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        if (ports[i] == port)
            return true;
    }
    return false;
}

static void check_destination(const world *w, run_record *r, const sent_datagram *s)
{
    char to[ENDPOINT_TEXT];
    endpoint_text(&s->to, to);
    if (is_listed(w, &s->to))
        return;
    if (s->to.family != w->family || endpoint_class(&s->to) == 3)
        record_broken(r, "sends to %s, where nothing may be sent", to);
    if (endpoint_is_special(&s->to) && !is_listed_class(w, &s->to))
        record_broken(r, "sends to %s, which no server is of the kind of", to);
    if (is_dangerous_port(s->to.port))
        record_broken(r, "sends to %s, a port of other services", to);
}

static void check_request(const world *w, run_record *r, const sent_datagram *s)
{
    if (s->malformed != NULL)
        record_broken(r, "sends a bad request: %s", s->malformed);
    if (w->mapping_only && ((s->slot != 0 && !s->for_mapping) || s->request.change != 0))
        record_broken(r, "tests the filtering though only the mapping was asked for");
    if (s->request.change != 0 && !is_listed(w, &s->to))
        record_broken(r, "socket %d sends a test to an address that was not named", s->slot);
    check_destination(w, r, s);
}

/* ---- Pairs and series ---- */

static bool same_id(const sent_datagram *a, const sent_datagram *b)
{
    return memcmp(a->request.id, b->request.id, ID_SIZE) == 0;
}

/* How long before it the copy before it must have left. */
static uint64_t least_gap_ns(const run_record *r, const sent_datagram *s)
{
    pace p = {0};
    if (s->slot == 0)
        return pace_usual_gap_ns();
    for (unsigned i = 0; i < r->sent_count && i < RECORD_SENT && &r->sent[i] <= s; i++) {
        if (r->sent[i].slot == s->slot)
            pace_count(&p, r->sent[i].request.change, r->sent[i].time_ns);
    }
    return pace_least_gap_ns(&p, s->request.change, s->time_ns);
}

static void check_pair(run_record *r, const sent_datagram *a, const sent_datagram *b)
{
    bool alike = a->slot == b->slot && a->size == b->size && endpoint_equal(&a->to, &b->to) &&
                 memcmp(a->data, b->data, a->size) == 0;
    if (same_id(a, b) && !alike)
        record_broken(r, "two requests share an id");
    if (same_id(a, b) && b->time_ns - a->time_ns < pace_usual_gap_ns() && b->time_ns - a->time_ns < least_gap_ns(r, b))
        record_broken(r, "repeats a request after %.3f ms", (double)(b->time_ns - a->time_ns) / 1e6);
    /* Of a filtering socket a second address may see only which port it has. */
    bool tests = a->request.change != 0 && b->request.change != 0;
    if (a->slot == b->slot && a->slot != 0 && tests && !endpoint_equal(&a->to, &b->to))
        record_broken(r, "filtering socket %d tests two addresses", a->slot);
}

static void check_strangers(const world *w, run_record *r, unsigned index)
{
    const sent_datagram *s = &r->sent[index];
    unsigned packets = 0;
    if (is_listed(w, &s->to))
        return;
    for (unsigned i = 0; i <= index; i++)
        packets += endpoint_equal(&r->sent[i].to, &s->to);
    if (packets > COPIES_TO_STRANGERS)
        record_broken(r, "%u datagrams to one address that was not named", packets);
}

/* Whether sending to to opens a hole for what tests II and III of the server at a are answered from. */
static bool spoils_filtering(const world *w, const endpoint *a, const endpoint *to)
{
    if (w->listed_count > w->servers) /* one server under two names, maybe that of its second address */
        return false;
    for (unsigned i = 0; i < w->servers; i++) {
        const server_desc *s = &w->server[i];
        if (!endpoint_same_ip(&s->a, a) || is_listed(w, to))
            continue;
        if (endpoint_same_ip(&s->b, to) || (s->other_is_false && endpoint_same_ip(&s->false_other, to)))
            return true;
        if (endpoint_same_ip(&s->a, to) && to->port != a->port)
            return true;
    }
    return false;
}

/* More copies of what was asked before are harmless: an answer to them would contradict the silence. A new test is not.
 */
static void check_phases(const world *w, run_record *r, unsigned index)
{
    const sent_datagram *s = &r->sent[index];
    /* With several servers one may be the other's alternate, which is found out too late: then its answer is not
     * believed. */
    if (s->slot == 0 || s->request.change == 0 || w->listed_count > 1 ||
        (r->result.evidence & NP_EVIDENCE_RESTARTED) != 0)
        return;
    bool touched = false;
    for (unsigned i = 0; i < index; i++) {
        if (same_id(&r->sent[i], s))
            return;
        touched = touched || spoils_filtering(w, &s->to, &r->sent[i].to);
    }
    if (touched)
        record_broken(r, "filtering socket %d begins a test after the other address was sent to", s->slot);
}

static void check_rate(run_record *r)
{
    uint64_t first[RECORD_SENT];
    unsigned count = 0;
    for (unsigned i = 0; i < r->sent_count && i < RECORD_SENT; i++) {
        bool seen = false;
        for (unsigned k = 0; k < i && !seen; k++)
            seen = same_id(&r->sent[k], &r->sent[i]);
        if (!seen)
            first[count++] = r->sent[i].time_ns;
        if (!seen && count > RATE_TRANSACTIONS && first[count - 1] - first[count - 1 - RATE_TRANSACTIONS] < SECOND)
            record_broken(r, "more than %d new transactions in a second", RATE_TRANSACTIONS);
    }
}

static void check_sent(const world *w, run_record *r)
{
    for (unsigned i = 0; i < r->sent_count && i < RECORD_SENT; i++) {
        check_request(w, r, &r->sent[i]);
        check_strangers(w, r, i);
        check_phases(w, r, i);
        for (unsigned k = 0; k < i; k++)
            check_pair(r, &r->sent[k], &r->sent[i]);
    }
    check_rate(r);
    unsigned more = w->listed_count > 2 ? w->listed_count - 2 : 0;
    if (r->sent_count > PACKETS_MAX + more * PACKETS_MORE)
        record_broken(r, "%u datagrams", r->sent_count);
}

/* ---- The result ---- */

static bool is_terminated(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

static bool names_listed_server(const world *w, const char *name)
{
    for (unsigned i = 0; i < w->listed_count; i++) {
        char text[ENDPOINT_TEXT];
        endpoint_text(&w->listed[i].address, text);
        if (strcmp(text, name) == 0)
            return true;
    }
    return false;
}

/* A duplicate may pass for the answer to a later copy, which makes the round trip seem shorter than it is. */
static bool duplicates_anything(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].copies > 1)
            return true;
    }
    return w->link.duplicate > 0;
}

static bool has_texts(const np_result *r)
{
    return is_terminated(r->external_ip, sizeof r->external_ip) && is_terminated(r->local_ip, sizeof r->local_ip) &&
           is_terminated(r->server, sizeof r->server) && is_terminated(r->detail, sizeof r->detail);
}

static void check_form(run_record *r)
{
    const np_result *res = &r->result;
    if (!has_texts(res)) {
        record_broken(r, "a text of the result has no end");
        memset(&r->result, 0, sizeof r->result);
        return;
    }
    if (!is_zero(res->reserved, sizeof res->reserved))
        record_broken(r, "the reserved part of the result is not zero");
    if (strcmp(res->local_ip, "0.0.0.0") == 0 || strcmp(res->local_ip, "::") == 0)
        record_broken(r, "local address is %s", res->local_ip);
}

static void check_figures(const world *w, run_record *r)
{
    const np_result *res = &r->result;
    uint64_t took_ns = r->end_ns - r->start_ns;
    if (res->packets_sent != r->sent_count || res->packets_received != r->received)
        record_broken(r, "counts %u sent and %u received, truth %u and %u", res->packets_sent, res->packets_received,
                      r->sent_count, r->received);
    if (res->elapsed_us != took_ns / 1000)
        record_broken(r, "elapsed %" PRIu64 " us, truth %" PRIu64, res->elapsed_us, took_ns / 1000);
    if (res->server[0] != '\0' && !names_listed_server(w, res->server))
        record_broken(r, "rests on server %s, which was not named", res->server);
    /* With losses it is not known which copy was answered (Karn). */
    bool exact = w->link.loss[UP] <= 0 && w->link.loss[DOWN] <= 0 && w->link.late <= 0 && !duplicates_anything(w) &&
                 !w->intercepts && !world_is_narrow(w);
    if (exact && res->rtt_us != 0 && (res->rtt_us + 1) * 1000 < w->link.rtt_ns / 2)
        record_broken(r, "round trip %" PRIu64 " us is too short to be true", res->rtt_us);
}

static void check_type(run_record *r)
{
    const np_result *res = &r->result;
    int32_t type = truth_type(res->mapping, res->filtering);
    bool named = res->nat_type != NP_NAT_UNKNOWN && res->nat_type != NP_NAT_UDP_BLOCKED;
    if (res->error == NP_OK && (!named || res->nat_type != type))
        record_broken(r, "type %s does not follow from %s / %s", np_nat_type_name(res->nat_type),
                      np_behaviour_name(res->mapping), np_behaviour_name(res->filtering));
    if (res->error != NP_OK && named && res->nat_type != type)
        record_broken(r, "type %s with error %s does not follow from the facts", np_nat_type_name(res->nat_type),
                      np_error_name(res->error));
    if (res->nat_type == NP_NAT_UDP_BLOCKED && res->error != NP_ERR_NO_RESPONSE)
        record_broken(r, "type %s with error %s", np_nat_type_name(res->nat_type), np_error_name(res->error));
    if (res->error == NP_OK && res->external_ip[0] == '\0')
        record_broken(r, "a verdict without an external address");
    if (res->error != NP_OK && res->detail[0] == '\0')
        record_broken(r, "error %s without a detail", np_error_name(res->error));
}

/* A rule about evidence: where the first holds, the second has to. */
static void check_rule(run_record *r, bool where, bool holds, const char *otherwise)
{
    if (where && !holds)
        record_broken(r, "%s", otherwise);
}

static void check_evidence(run_record *r)
{
    const np_result *res = &r->result;
    uint32_t e = res->evidence;
    bool same = res->mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || res->mapping == NP_BEHAVIOUR_NONE;
    bool filtering = res->filtering != NP_BEHAVIOUR_UNKNOWN;
    bool proven = (e & NP_EVIDENCE_FILTERING_PROVEN) != 0;
    bool answered = (e & NP_EVIDENCE_ANSWERED) != 0;
    check_rule(r, proven, filtering, "unknown filtering is proven");
    check_rule(r, filtering && same, proven, "filtering is not proven");
    check_rule(r, same, (e & NP_EVIDENCE_MAPPING_PROVEN) != 0, "mapping is not proven");
    check_rule(r, res->filtering == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, (e & NP_EVIDENCE_TEST_II_ANSWERED) != 0,
               "open filtering without an answer to test II");
    check_rule(r, res->filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT, (e & NP_EVIDENCE_TEST_III_ANSWERED) != 0,
               "address-dependent filtering without an answer to test III");
    check_rule(r, res->error == NP_OK, answered, "a verdict without an answer");
    check_rule(r, res->error == NP_ERR_NO_RESPONSE, !answered, "no response, and yet answered");
}

/* What a server may be accused of. */
static bool may_ignore(const server_desc *s)
{
    return s->change == CHANGE_IGNORED || s->change == CHANGE_IP_ONLY || s->change_flips;
}

static bool may_be_partial(const server_desc *s)
{
    bool named_otherwise = s->other_is_false || s->other_flips || s->other == OTHER_NONE || s->true_a.family != 0;
    return named_otherwise || (s->change >= CHANGE_PORT_ONLY && s->change <= CHANGE_ODD_PORT);
}

static bool may_reject(const server_desc *s)
{
    bool useless = s->plain == PLAIN_ERROR_300 || s->plain == PLAIN_ERROR_500 || s->mapped > MAPPED_REWRITTEN;
    return useless || s->change == CHANGE_REJECTED;
}

/* A router puts its own address for that of who sends, and only the server could have told whose it was. */
static bool is_hidden_from_all(const world *w)
{
    bool rewritten = false;
    bool silent = false;
    for (unsigned i = 0; i < w->boxes; i++)
        rewritten = rewritten || w->box[i].rewrites;
    for (unsigned i = 0; i < w->servers; i++)
        silent = silent || !w->server[i].origin;
    return rewritten && silent;
}

static void check_accusation(const world *w, run_record *r, uint32_t bit, bool (*may)(const server_desc *))
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (may(&w->server[i]))
            return;
    }
    if (w->intercepts && may(&w->interceptor))
        return;
    if ((r->result.evidence & bit) != 0)
        record_broken(r, "evidence says %s, and no server did so", np_evidence_name(bit));
}

/* UDP is called blocked after a silence of the whole time that was given for it, and not before. */
static void check_silence(const world *w, run_record *r)
{
    uint64_t took_ns = r->end_ns - r->start_ns;
    check_rule(r, r->result.nat_type == NP_NAT_UDP_BLOCKED, took_ns >= w->response_timeout_ns, "blocked too early");
    check_rule(r, r->result.error == NP_ERR_NO_RESPONSE, r->sent_count > 0, "no response, and nothing was asked");
}

void invariants_check(const world *w, run_record *r)
{
    check_sent(w, r);
    check_form(r);
    check_figures(w, r);
    check_type(r);
    check_evidence(r);
    check_silence(w, r);
    check_accusation(w, r, NP_EVIDENCE_CHANGE_IGNORED, may_ignore);
    if (!is_hidden_from_all(w))
        check_accusation(w, r, NP_EVIDENCE_CHANGE_PARTIAL, may_be_partial);
    check_accusation(w, r, NP_EVIDENCE_CHANGE_REJECTED, may_reject);
}
