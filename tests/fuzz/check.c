/* SPDX-License-Identifier: MIT */
/* What holds for every result and every event, whatever happened. */
#include "check.h"

#include "fuzz.h"

#include "classify.h"

enum { EVIDENCE_ALL = (NP_EVIDENCE_TRANSLATED << 1) - 1, LINE_ROOM = 256 };

/* Terminated, and nothing but zeros behind the end. */
static void check_text(const char *text, size_t room)
{
    const char *end = memchr(text, '\0', room);
    FUZZ_CHECK(end != NULL);
    for (const char *c = end; c < text + room; c++)
        FUZZ_CHECK(*c == '\0');
}

static void check_zeros(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK(bytes[i] == 0);
}

static void check_behaviours(int32_t mapping, int32_t filtering)
{
    FUZZ_CHECK(mapping >= NP_BEHAVIOUR_UNKNOWN && mapping <= NP_BEHAVIOUR_ENDPOINT_DEPENDENT);
    FUZZ_CHECK(filtering >= NP_BEHAVIOUR_UNKNOWN && filtering <= NP_BEHAVIOUR_ENDPOINT_DEPENDENT);
    FUZZ_CHECK(filtering != NP_BEHAVIOUR_NONE);
}

static void check_verdict(const np_result *r)
{
    if (r->error == NP_OK) {
        FUZZ_CHECK(r->nat_type != NP_NAT_UNKNOWN && r->nat_type != NP_NAT_UDP_BLOCKED);
        FUZZ_CHECK(r->nat_type == npi_classify_type(r->mapping, r->filtering));
        FUZZ_CHECK((r->evidence & NP_EVIDENCE_ANSWERED) != 0 && r->external_ip[0] != '\0' && r->external_port != 0);
        FUZZ_CHECK(r->server[0] != '\0' && r->packets_received > 0 && r->packets_sent > 0);
    } else if (r->error == NP_ERR_NO_RESPONSE) {
        FUZZ_CHECK(r->nat_type == NP_NAT_UDP_BLOCKED || r->nat_type == NP_NAT_UNKNOWN);
        FUZZ_CHECK(r->packets_sent > 0 && (r->evidence & NP_EVIDENCE_ANSWERED) == 0);
    } else {
        FUZZ_CHECK(r->nat_type == NP_NAT_UNKNOWN);
    }
}

void check_result(const np_result *r)
{
    check_text(r->external_ip, sizeof r->external_ip);
    check_text(r->local_ip, sizeof r->local_ip);
    check_text(r->server, sizeof r->server);
    check_text(r->detail, sizeof r->detail);
    check_zeros(r->reserved, sizeof r->reserved);
    check_behaviours(r->mapping, r->filtering);
    check_verdict(r);
    FUZZ_CHECK((r->evidence & ~(uint32_t)EVIDENCE_ALL) == 0);
    FUZZ_CHECK(r->error <= NP_PENDING && strcmp(np_error_name(r->error), "unknown") != 0);
    FUZZ_CHECK(strcmp(r->local_ip, "0.0.0.0") != 0 && strcmp(r->local_ip, "::") != 0);
    /* What only the driver can explain (names, sockets) it explains itself. */
    if (r->error <= NP_ERR_NO_RESPONSE)
        FUZZ_CHECK(r->detail[0] != '\0');
}

void check_result_of(const npi_engine *p, uint64_t now_ns, np_result *out)
{
    np_result again;
    memset(out, 0xA5, sizeof *out);
    memset(&again, 0x5A, sizeof again);
    npi_engine_result(p, now_ns, out);
    npi_engine_result(p, now_ns, &again);
    FUZZ_CHECK(memcmp(out, &again, sizeof again) == 0);
    check_result(out);
}

void check_event(const np_event *e)
{
    check_text(e->remote, sizeof e->remote);
    check_text(e->external, sizeof e->external);
    check_zeros(e->reserved, sizeof e->reserved);
    FUZZ_CHECK(strcmp(np_event_kind_name(e->kind), "unknown") != 0);
    if (e->kind == NP_EVENT_CONCLUDED)
        return;
    const bool is_optional = e->purpose == NP_PURPOSE_OPTIONAL;
    FUZZ_CHECK(strcmp(np_purpose_name(e->purpose), "unknown") != 0 &&
               ((is_optional && e->request == 0) || strcmp(np_request_name(e->request), "unknown") != 0));
    FUZZ_CHECK(e->remote[0] != '\0');
    FUZZ_CHECK(is_optional || e->purpose == NP_PURPOSE_FILTERING ||
               (e->purpose == NP_PURPOSE_CONTROL) == (e->request != NP_REQUEST_I));
    if (e->kind == NP_EVENT_SENT)
        FUZZ_CHECK(e->copy > 0 && e->external[0] == '\0');
    else
        FUZZ_CHECK(e->copy == 0 && (e->stun_error == 0 || e->external[0] == '\0'));
}

void check_line(int32_t level, const char *line)
{
    FUZZ_CHECK(level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG && strlen(line) < LINE_ROOM);
    for (const char *c = line; *c != '\0'; c++)
        FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}
