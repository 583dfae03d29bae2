/* SPDX-License-Identifier: MIT */
/* stun: every datagram of at most SIZE bytes. It ends at the end of its object, so that a read beyond it is seen. */
#include "stun.h"

#include "proof.h"

static void check_success(const npi_stun_response *r)
{
    prove(npi_addr_is_destination(&r->mapped), "a success has a mapped address that can be used");
    prove(r->error_code == 0, "a success has no error code");
    npi_addr plain = npi_addr_unmap(&r->mapped);
    prove(npi_addr_equal(&plain, &r->mapped), "a mapped address is in the notation of its family");
}

int main(void)
{
    uint8_t datagram[SIZE];
    size_t size = nondet_size();
    assume(size <= SIZE);
    const uint8_t *data = datagram + (SIZE - size);
    npi_stun_response r;
    npi_stun_kind kind = npi_stun_decode(data, size, &r);
    prove(kind == r.kind && kind >= NPI_STUN_DROP && kind <= NPI_STUN_UNUSABLE, "one of the kinds");
    if (kind == NPI_STUN_DROP)
        return 0;
    prove(size >= 20 && data[0] == 1 && (data[1] == 1 || data[1] == 0x11), "a Binding response");
    prove((size_t)(data[2] << 8 | data[3]) == size - 20, "the length in the header is the datagram's");
    prove(memcmp(r.id.bytes, data + 4, NPI_STUN_ID_SIZE) == 0, "the id is the header's");
    if (kind == NPI_STUN_SUCCESS) {
        prove(data[1] == 1, "a success is a success response");
        check_success(&r);
    } else {
        prove(!npi_addr_is_set(&r.mapped) && !npi_addr_is_set(&r.other) && !r.address_rewritten,
              "without success no address");
        prove(kind == NPI_STUN_ERROR ? data[1] == 0x11 && r.error_code >= 300 && r.error_code <= 699
                                     : r.error_code == 0,
              "an error has a code of RFC 8489, and nothing else has one");
    }
    return 0;
}
