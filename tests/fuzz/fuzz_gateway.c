/* SPDX-License-Identifier: MIT */
/*
 * The first byte of the input says what the rest is: the table of routes of one of four kernels, or what a gateway
 * answers. A second reader, which shares nothing with the library's, takes the same answers for the same. What an
 * answer shows follows from the addresses alone, and another NAT is only behind a gateway whose address servers cannot
 * see.
 */
#include "fuzz.h"

#include <stdbool.h>

#include <natprobe/natprobe.h>

#include "../unit/route_layouts.h"
#include "natpmp.h"

static void check_table(const npi_route_layout *layout, const uint8_t *table, size_t size)
{
    for (uint32_t link = 0; link < 6; link += 5) {
        const npi_addr to = npi_addr_v4(203, 0, 113, 7, 3478);
        const npi_addr untouched = {.family = 99};
        npi_addr gateway = untouched, again = untouched;
        const bool is_found = npi_route_table_gateway(layout, table, size, &to, link, &gateway);
        FUZZ_CHECK(is_found ? gateway.family == NPI_IPV4 && gateway.port == 0 && gateway.scope == 0
                            : memcmp(&gateway, &untouched, sizeof gateway) == 0);
        FUZZ_CHECK(npi_route_table_gateway(layout, table, size, &to, link, &again) == is_found);
        FUZZ_CHECK(npi_addr_equal(&gateway, &again) || !is_found);
    }
}

static npi_natpmp_kind kind_of(const uint8_t *data, size_t size)
{
    if (size < 4 || data[1] != 0x80)
        return NPI_NATPMP_DROP;
    if (data[0] != 0)
        return NPI_NATPMP_OTHER_VERSION;
    if (data[2] != 0 || data[3] != 0)
        return NPI_NATPMP_FAILURE;
    return size == 12 ? NPI_NATPMP_ADDRESS : NPI_NATPMP_DROP;
}

/* No server of the internet sees it. */
static bool is_inner(const uint8_t *ip)
{
    return ip[0] == 10 || (ip[0] == 172 && ip[1] >> 4 == 1) || (ip[0] == 192 && ip[1] == 168) ||
           (ip[0] == 100 && ip[1] >> 6 == 1) || (ip[0] == 192 && ip[1] == 0 && ip[2] == 0 && ip[3] < 8) ||
           (ip[0] == 198 && ip[1] >> 1 == 9);
}

static void check_sight(const npi_natpmp_answer *answer, const npi_gateway_sight *sight)
{
    char text[200] = "?";
    const uint8_t *named = answer->external.ip;
    const bool is_seen = memcmp(named, sight->external.ip, 4) == 0;
    const npi_gateway_finding finding = npi_natpmp_compare(answer, sight);
    FUZZ_CHECK((finding >= NPI_GATEWAY_NONSENSE) == (answer->kind == NPI_NATPMP_ADDRESS));
    if (finding == NPI_GATEWAY_IS_SEEN)
        FUZZ_CHECK(is_seen);
    if (finding == NPI_GATEWAY_NAT_BEHIND)
        FUZZ_CHECK(!is_seen && sight->is_only_one && is_inner(named) && !is_inner(sight->external.ip));
    npi_natpmp_explain(answer, finding, text, sizeof text);
    FUZZ_CHECK(strlen(text) > 20 && strlen(text) < sizeof text - 1);
}

/* Behind the answer in the input: what servers see. */
static void check_answer(const uint8_t *data, size_t size, input *in)
{
    npi_natpmp_answer answer, other;
    memset(&answer, 0xA5, sizeof answer);
    memset(&other, 0x5A, sizeof other);
    const npi_natpmp_kind kind = npi_natpmp_decode(data, size, &answer);
    FUZZ_CHECK(kind == kind_of(data, size) && kind == answer.kind);
    FUZZ_CHECK(npi_natpmp_decode(data, size, &other) == kind);
    FUZZ_CHECK(npi_addr_equal(&answer.external, &other.external));
    FUZZ_CHECK(answer.version == other.version && answer.result == other.result);
    FUZZ_CHECK(npi_natpmp_is_answer(data, size) == (kind != NPI_NATPMP_DROP));
    if (kind == NPI_NATPMP_ADDRESS)
        FUZZ_CHECK(answer.external.family == NPI_IPV4 && memcmp(answer.external.ip, data + 8, 4) == 0);
    else
        FUZZ_CHECK(!npi_addr_is_set(&answer.external));
    npi_gateway_sight sight = {.gateway = npi_addr_v4(192, 168, 1, 1, NPI_NATPMP_PORT),
                               .local = npi_addr_v4(192, 168, 1, 9, 40000),
                               .external = npi_addr_v4(203, 0, 113, 7, 40000),
                               .is_only_one = (take(in) & 1) == 0};
    (void)take_bytes(in, sight.external.ip, 4);
    check_sight(&answer, &sight);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const unsigned what = take(&in) % (KERNELS + 1);
    if (what < KERNELS) {
        check_table(&kernels[what].layout, in.data, in.size);
        return 0;
    }
    size_t length = take(&in);
    length = length < in.size ? length : in.size;
    const uint8_t *answer = in.data;
    in.data += length;
    in.size -= length;
    check_answer(answer, length, &in);
    return 0;
}
