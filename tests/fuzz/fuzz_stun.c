/* SPDX-License-Identifier: MIT */
/* The input is one datagram. Whatever it is, decoding it reads nothing outside and yields something coherent. */
#include "fuzz.h"

#include "addr.h"
#include "stun.h"

static void check_address(const npi_addr *a)
{
    static const uint8_t zeros[16];
    FUZZ_CHECK(a->family == NPI_FAMILY_NONE || a->family == NPI_IPV4 || a->family == NPI_IPV6);
    if (a->family == NPI_FAMILY_NONE)
        FUZZ_CHECK(!npi_addr_is_set(a));
    if (a->family == NPI_IPV4)
        FUZZ_CHECK(memcmp(a->ip + 4, zeros, 12) == 0);
}

static void check_response(const npi_stun_response *r, const uint8_t *data, size_t size)
{
    FUZZ_CHECK(size >= 20 && data[0] == 1);
    FUZZ_CHECK(memcmp(r->id.bytes, data + 4, NPI_STUN_ID_SIZE) == 0);
    check_address(&r->mapped);
    check_address(&r->other);
    check_address(&r->origin);
    if (r->kind == NPI_STUN_SUCCESS)
        FUZZ_CHECK(npi_addr_is_set(&r->mapped));
    if (r->kind == NPI_STUN_ERROR)
        FUZZ_CHECK(r->error_code >= 300 && r->error_code <= 699);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* In memory of its own size, at an odd address: a byte too far, or an aligned access, is seen. */
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL)
        return 0;
    if (size > 0)
        memcpy(copy + 1, data, size);
    npi_stun_response first, second;
    memset(&first, 0xA5, sizeof first);
    memset(&second, 0x5A, sizeof second);
    const npi_stun_kind kind = npi_stun_decode(copy + 1, size, &first);
    FUZZ_CHECK(kind == npi_stun_decode(copy + 1, size, &second));
    FUZZ_CHECK(kind == first.kind && kind == second.kind);
    if (kind != NPI_STUN_DROP) {
        check_response(&first, copy + 1, size);
        FUZZ_CHECK(npi_addr_equal(&first.mapped, &second.mapped));
        FUZZ_CHECK(npi_addr_equal(&first.other, &second.other));
        FUZZ_CHECK(npi_addr_equal(&first.origin, &second.origin));
        FUZZ_CHECK(first.error_code == second.error_code && first.address_rewritten == second.address_rewritten);
    }
    free(copy);
    return 0;
}
