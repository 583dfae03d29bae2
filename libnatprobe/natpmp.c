/* SPDX-License-Identifier: MIT */
/* NAT-PMP: the external address of a gateway. RFC 6886 sections 3.1, 3.2 and 3.5. */
#include "natpmp.h"

#include <stdio.h>
#include <string.h>

#include <natprobe/natprobe.h>

#include "buf.h"
#include "classify.h"

#define VERSION 0
#define OPCODE_ADDRESS 0
#define OPCODE_RESPONSE 128 /* added to the opcode of a request */
#define ANSWER_SIZE 12

/* ---- Messages --------------------------------------------------------------------------------------------------- */

void npi_natpmp_encode(uint8_t out[NPI_NATPMP_REQUEST_SIZE])
{
    out[0] = VERSION;
    out[1] = OPCODE_ADDRESS;
}

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

bool npi_natpmp_is_answer(const uint8_t *data, size_t size)
{
    npi_natpmp_answer unused;
    return npi_natpmp_decode(data, size, &unused) != NPI_NATPMP_DROP;
}

/* ---- What it shows ---------------------------------------------------------------------------------------------- */

/*
 * An address by which nothing can come back through the gateway: a host's own, or none of any host. A link-local one is
 * what systems give themselves that were given none.
 */
static bool is_nonsense(const npi_addr *named, const npi_gateway_sight *sight)
{
    npi_addr_class class = npi_addr_classify(named);
    return (class != NPI_CLASS_GLOBAL && class != NPI_CLASS_PRIVATE) || npi_addr_same_ip(named, &sight->gateway) ||
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
static npi_gateway_finding compare_address(const npi_addr *named, const npi_gateway_sight *sight)
{
    if (is_nonsense(named, sight))
        return NPI_GATEWAY_NONSENSE;
    if (npi_addr_same_ip(named, &sight->external))
        return NPI_GATEWAY_IS_SEEN;
    bool is_translated = is_never_seen(named) && !is_never_seen(&sight->external);
    return is_translated && sight->is_only_one ? NPI_GATEWAY_NAT_BEHIND : NPI_GATEWAY_DIFFERS;
}

npi_gateway_finding npi_natpmp_compare(const npi_natpmp_answer *answer, const npi_gateway_sight *sight)
{
    switch (answer->kind) {
    case NPI_NATPMP_ADDRESS:
        return compare_address(&answer->external, sight);
    case NPI_NATPMP_FAILURE:
        return NPI_GATEWAY_FAILED;
    case NPI_NATPMP_OTHER_VERSION:
        return NPI_GATEWAY_OTHER_VERSION;
    default:
        return NPI_GATEWAY_SILENT;
    }
}

/* What a result code says (section 3.5). Daemons send 3 where their address is not one that servers see. */
static const char *meaning_of(uint16_t result)
{
    switch (result) {
    case 1:
        return "unsupported version";
    case 2:
        return "not authorized";
    case 3:
        return "network failure";
    case 4:
        return "out of resources";
    case 5:
        return "unsupported opcode";
    default:
        return "unknown";
    }
}

void npi_natpmp_explain(const npi_natpmp_answer *answer, npi_gateway_finding finding, char *out, size_t size)
{
    char named[NPI_ADDR_IP_TEXT];
    npi_addr_format_ip(&answer->external, named);
    switch (finding) {
    case NPI_GATEWAY_SILENT:
        (void)snprintf(out, size, "the gateway does not answer NAT-PMP");
        break;
    case NPI_GATEWAY_FAILED:
        (void)snprintf(out, size, "the gateway names no external address: NAT-PMP result %u, %s",
                       (unsigned)answer->result, meaning_of(answer->result));
        break;
    case NPI_GATEWAY_OTHER_VERSION:
        (void)snprintf(out, size, "the gateway speaks %s, and not NAT-PMP",
                       answer->version == 2 ? "PCP" : "another version");
        break;
    case NPI_GATEWAY_NONSENSE:
        (void)snprintf(out, size, "the gateway claims an external address that it cannot have: %s", named);
        break;
    case NPI_GATEWAY_DIFFERS:
        (void)snprintf(out, size, "the gateway names %s, and servers see another address: the cause is not known",
                       named);
        break;
    case NPI_GATEWAY_NAT_BEHIND:
        (void)snprintf(out, size, "another NAT is behind the gateway, whose external address is %s", named);
        break;
    case NPI_GATEWAY_IS_SEEN:
        (void)snprintf(out, size, "the gateway's own external address, %s, is the one that servers see", named);
        break;
    }
}
