/* SPDX-License-Identifier: MIT */
/* stun: every request. What is sent as its id is what prove_decode.c shows to be read as a response's. */
#include "buf.h"
#include "stun.h"

#include "proof.h"

static npi_stun_id any_id(npi_stun_dialect dialect)
{
    uint8_t random[NPI_STUN_ID_SIZE];
    npi_stun_id id = npi_stun_make_id(dialect, random);
    size_t kept = dialect == NPI_STUN_RFC8489 ? 12 : 16;
    prove(memcmp(id.bytes + NPI_STUN_ID_SIZE - kept, random, kept) == 0, "the random bytes are in the id");
    npi_reader r = npi_reader_over(id.bytes, sizeof id.bytes);
    prove(dialect != NPI_STUN_RFC8489 || npi_read_u32(&r) == NPI_STUN_COOKIE, "behind the cookie");
    return id;
}

static void check_request(const npi_stun_id *id)
{
    uint8_t out[NPI_STUN_REQUEST_SIZE];
    uint32_t change = nondet_u32();
    size_t size = npi_stun_encode_request(out, id, change);
    uint32_t flags = change & (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT);
    prove(size == (flags != 0 ? 28u : 20u), "CHANGE-REQUEST where something is to change");
    prove(out[0] == 0 && out[1] == 1 && out[2] == 0 && out[3] == size - 20, "a Binding request of that length");
    prove(memcmp(out + 4, id->bytes, NPI_STUN_ID_SIZE) == 0, "the id");
    if (flags != 0) {
        npi_reader r = npi_reader_over(out + 20, size - 20);
        prove(npi_read_u16(&r) == 3 && npi_read_u16(&r) == 4 && npi_read_u32(&r) == flags, "the flags and no others");
    }
}

int main(void)
{
    npi_stun_id id = any_id(NPI_STUN_RFC8489);
    check_request(&id);
    id = any_id(NPI_STUN_RFC3489);
    check_request(&id);
}
