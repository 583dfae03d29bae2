/* SPDX-License-Identifier: MIT */
/* NAT-PMP: the external address of a gateway. RFC 6886 sections 3.1, 3.2 and 3.5. */
#include "natpmp.h"

#include <stdio.h>
#include <string.h>

#include <natprobe/natprobe.h>

#include "buf.h"
#include "classify.h"
#include "tstamp.h"

#define VERSION 0
#define OPCODE_ADDRESS 0
#define OPCODE_RESPONSE 128 /* added to the opcode of a request */
#define ANSWER_SIZE 12
/*
 * RFC 6886 section 3.1: the first wait is 250 ms, each one after it twice as long. The RFC goes on for a minute; here
 * nobody waits that long for a gateway on the same link, which answers within some milliseconds or not at all.
 */
#define FIRST_WAIT_NS (250 * NPI_MS)
#define LAST_WAIT_NS (500 * NPI_MS)
#define COPIES 3

/* ---- Messages --------------------------------------------------------------------------------------------------- */

/*
 * A refusal may be short: what it is about need not be repeated (section 3.5). A server that speaks PCP alone answers
 * in its own version, and with a header of its own; the first four bytes are laid out alike (RFC 6887 section 9).
 */
npi_natpmp_kind npi_natpmp_decode(const uint8_t *data, size_t size, npi_natpmp_answer *out)
{
    npi_reader r = npi_reader_over(data, size);
    *out = (npi_natpmp_answer){.kind = NPI_NATPMP_DROP};
    uint8_t version = npi_read_u8(&r);
    uint8_t opcode = npi_read_u8(&r);
    uint16_t result = npi_read_u16(&r);
    if (r.failed || opcode != OPCODE_RESPONSE + OPCODE_ADDRESS)
        return NPI_NATPMP_DROP;
    out->version = version;
    out->result = result;
    if (version != VERSION) {
        out->kind = NPI_NATPMP_OTHER_VERSION;
    } else if (result != 0) {
        out->kind = NPI_NATPMP_FAILURE;
    } else if (size == ANSWER_SIZE) {
        (void)npi_read_u32(&r); /* how long the gateway has been up */
        out->external.family = NPI_IPV4;
        npi_read_bytes(&r, out->external.ip, 4);
        out->kind = NPI_NATPMP_ADDRESS;
    }
    return out->kind;
}

/* ---- One question ----------------------------------------------------------------------------------------------- */

void npi_natpmp_begin(npi_natpmp *q, const npi_addr *gateway, uint64_t now_ns)
{
    *q = (npi_natpmp){.gateway = npi_addr_with_port(gateway, NPI_NATPMP_PORT), .next_ns = now_ns};
}

size_t npi_natpmp_next(npi_natpmp *q, uint64_t now_ns, uint8_t out[NPI_NATPMP_REQUEST_SIZE])
{
    if (npi_natpmp_is_over(q) || now_ns < q->next_ns)
        return 0;
    if (q->copies == COPIES) {
        q->next_ns = NPI_NEVER;
        return 0;
    }
    uint64_t wait_ns = FIRST_WAIT_NS << q->copies;
    q->copies++;
    q->next_ns = npi_time_add(now_ns, npi_time_min(wait_ns, LAST_WAIT_NS));
    out[0] = VERSION;
    out[1] = OPCODE_ADDRESS;
    return NPI_NATPMP_REQUEST_SIZE;
}

/* Section 3.1: what comes from anywhere else is not from the gateway, however well it is made. */
void npi_natpmp_receive(npi_natpmp *q, const npi_addr *from, const uint8_t *data, size_t size)
{
    npi_natpmp_answer answer;
    if (npi_natpmp_is_over(q) || q->copies == 0 || !npi_addr_equal(from, &q->gateway))
        return;
    if (npi_natpmp_decode(data, size, &answer) == NPI_NATPMP_DROP)
        return;
    q->answer = answer;
    q->next_ns = NPI_NEVER;
}

void npi_natpmp_refuse(npi_natpmp *q)
{
    if (npi_natpmp_is_over(q) || q->copies == 0)
        return;
    q->is_refused = true;
    q->next_ns = NPI_NEVER;
}

bool npi_natpmp_is_over(const npi_natpmp *q)
{
    return q->next_ns == NPI_NEVER;
}

/* ---- What it shows ---------------------------------------------------------------------------------------------- */

/*
 * An address by which nothing can come back through the gateway: a host's own, or none of any host. A link-local one is
 * what systems give themselves that were given none.
 */
static bool is_nonsense(const npi_natpmp *q, const npi_gateway_sight *sight)
{
    const npi_addr *named = &q->answer.external;
    npi_addr_class class = npi_addr_classify(named);
    return (class != NPI_CLASS_GLOBAL && class != NPI_CLASS_PRIVATE) || npi_addr_same_ip(named, &q->gateway) ||
           npi_addr_same_ip(named, &sight->local);
}

/* No server of the internet sees such an address: it has to be translated on the way. */
static bool is_never_seen(const npi_addr *a)
{
    return npi_classify_address(a) != NP_ADDRESS_GLOBAL;
}

/*
 * Two different global addresses may belong to one gateway, which has several addresses or lines; or the one is that of
 * a tunnel's far end. The same holds if servers see several, or one that is not global: they may be inside, too.
 */
static npi_gateway_finding compare_address(const npi_natpmp *q, const npi_gateway_sight *sight)
{
    if (is_nonsense(q, sight))
        return NPI_GATEWAY_NONSENSE;
    if (npi_addr_same_ip(&q->answer.external, &sight->external))
        return NPI_GATEWAY_IS_SEEN;
    bool is_translated = is_never_seen(&q->answer.external) && !is_never_seen(&sight->external);
    return is_translated && sight->is_only_one ? NPI_GATEWAY_NAT_BEHIND : NPI_GATEWAY_DIFFERS;
}

npi_gateway_finding npi_natpmp_compare(const npi_natpmp *q, const npi_gateway_sight *sight)
{
    if (q->copies == 0 || sight->external.family != NPI_IPV4)
        return NPI_GATEWAY_UNASKED;
    if (npi_addr_same_ip(&sight->local, &sight->external))
        return NPI_GATEWAY_NO_NAT;
    switch (q->answer.kind) {
    case NPI_NATPMP_ADDRESS:
        return compare_address(q, sight);
    case NPI_NATPMP_FAILURE:
        return NPI_GATEWAY_FAILED;
    case NPI_NATPMP_OTHER_VERSION:
        return NPI_GATEWAY_OTHER_VERSION;
    default:
        return q->is_refused ? NPI_GATEWAY_REFUSED : NPI_GATEWAY_SILENT;
    }
}

/* What a result code says (section 3.5). */
static const char *meaning_of(uint16_t result)
{
    switch (result) {
    case 1:
        return "unsupported version";
    case 2:
        return "not authorized";
    case 3:
        return "network failure: it may have no address that servers see";
    case 4:
        return "out of resources";
    case 5:
        return "unsupported opcode";
    default:
        return "unknown code";
    }
}

void npi_natpmp_explain(const npi_natpmp *q, npi_gateway_finding finding, char *out, size_t size)
{
    char gateway[NPI_ADDR_IP_TEXT];
    char named[NPI_ADDR_IP_TEXT];
    npi_addr_format_ip(&q->gateway, gateway);
    npi_addr_format_ip(&q->answer.external, named);
    switch (finding) {
    case NPI_GATEWAY_SILENT:
        (void)snprintf(out, size, "the gateway %s does not answer NAT-PMP", gateway);
        break;
    case NPI_GATEWAY_REFUSED:
        (void)snprintf(out, size, "the gateway %s does not offer NAT-PMP", gateway);
        break;
    case NPI_GATEWAY_FAILED:
        (void)snprintf(out, size, "the gateway %s names no external address: NAT-PMP result %u, %s", gateway,
                       q->answer.result, meaning_of(q->answer.result));
        break;
    case NPI_GATEWAY_OTHER_VERSION:
        (void)snprintf(out, size, "the gateway %s speaks %s, not NAT-PMP", gateway,
                       q->answer.version == 2 ? "PCP" : "another version");
        break;
    case NPI_GATEWAY_NONSENSE:
        (void)snprintf(out, size, "the gateway %s claims an external address that it cannot have: %s", gateway, named);
        break;
    case NPI_GATEWAY_DIFFERS:
        (void)snprintf(out, size, "the gateway %s names %s, and servers see another address: why is not known", gateway,
                       named);
        break;
    default:
        out[0] = '\0';
        break;
    }
}
