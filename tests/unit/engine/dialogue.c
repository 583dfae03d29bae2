/* SPDX-License-Identifier: MIT */
/* A NAT and servers by RFC 4787 and RFC 5780, and the driver's loop of engine.h. */
#include "dialogue.h"

#include <stdlib.h>
#include <string.h>

#include "../stun_message.h"
#include "../unit.h"

#define DATAGRAMS_MAX 400
#define IDLE_STEPS_MAX 5

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

npi_addr dialogue_server(unsigned n)
{
    return npi_addr_v4(198, 51, 100, (uint8_t)(2 * n + 1), 3478);
}

static npi_addr other_ip(npi_addr a)
{
    a.ip[3] = (uint8_t)(a.ip[3] % 2 == 1 ? a.ip[3] + 1 : a.ip[3] - 1);
    return a;
}

static npi_addr other_port(npi_addr a)
{
    return npi_addr_with_port(&a, a.port == 3478 ? 3479 : 3478);
}

size_t dialogue_answer(uint8_t out[80], const uint8_t *request, npi_addr mapped, npi_addr other)
{
    static message m;
    message_begin(&m, BINDING_SUCCESS, request + 4);
    add_xor_address(&m, XOR_MAPPED_ADDRESS, mapped);
    if (npi_addr_is_set(&other))
        add_address(&m, OTHER_ADDRESS, other);
    assert_true(m.size <= 80);
    memcpy(out, m.bytes, m.size);
    return m.size;
}

/* ---- The NAT ---------------------------------------------------------------------------------------------------- */

static npi_addr external_of(const dialogue *d, int slot, const npi_addr *to)
{
    npi_addr a = d->external;
    a.port = (uint16_t)(a.port + 1000 * slot);
    if (d->nat.mapping != BY_NOTHING)
        a.port = (uint16_t)(a.port + 10 * to->ip[3]);
    if (d->nat.mapping == BY_ADDRESS_AND_PORT)
        a.port = (uint16_t)(a.port + (to->port - 3477));
    return a;
}

/* Whether a request that went from this slot lets the answer in, through the mapping that the answer goes to. */
static bool comes_in(const dialogue *d, const flight *f)
{
    npi_addr mapping = external_of(d, f->slot, &f->asked);
    if (d->nat.filtering == BY_NOTHING)
        return true;
    for (size_t i = 0; i < d->sent_count; i++) {
        const sent_copy *c = &d->sent[i];
        npi_addr used = external_of(d, c->slot, &c->to);
        bool known = d->nat.filtering == BY_ADDRESS ? npi_addr_same_ip(&c->to, &f->from)
                                                    : npi_addr_equal(&c->to, &f->from);
        if (c->slot == f->slot && known && npi_addr_equal(&used, &mapping))
            return true;
    }
    return false;
}

/* ---- The loop --------------------------------------------------------------------------------------------------- */

npi_engine_config dialogue_config(int32_t tests, size_t max_servers)
{
    return (npi_engine_config){.tests = tests,
                               .max_servers = max_servers,
                               .deadline_ns = DIALOGUE_T0 + 10000 * NPI_MS,
                               .response_timeout_ns = 3000 * NPI_MS};
}

void dialogue_begin(dialogue *d, const nat *n, int32_t tests, unsigned servers)
{
    npi_engine_config config = dialogue_config(tests, servers);
    memset(d, 0, sizeof *d);
    d->nat = *n;
    d->rtt_ns = 20 * NPI_MS;
    d->now_ns = DIALOGUE_T0;
    d->local = n->translates ? DIALOGUE_LOCAL : DIALOGUE_PUBLIC;
    d->external = n->translates ? npi_addr_v4(203, 0, 113, 5, 40000) : d->local;
    d->e = malloc(npi_engine_size(servers, NP_TESTS_OPTIONAL));
    assert_non_null(d->e);
    npi_engine_init(d->e, &config, d->now_ns);
    for (unsigned i = 0; i < servers; i++) {
        npi_addr a = dialogue_server(i);
        assert_true(npi_engine_add_server(d->e, &a, false));
    }
    npi_engine_expect_servers(d->e, false);
}

void dialogue_end(dialogue *d)
{
    free(d->e);
}

static void answer(dialogue *d, const npi_datagram *out, uint32_t change)
{
    flight *f = &d->flights[d->sent_count - 1];
    npi_addr other = other_ip(other_port(out->to));
    f->at_ns = d->now_ns + d->rtt_ns;
    f->slot = out->slot;
    f->asked = out->to;
    if (d->nat.ignores_change)
        change = 0;
    change = d->is_change_ignored ? 0 : change;
    f->from = (change & NPI_STUN_CHANGE_IP) != 0 ? other_ip(out->to) : out->to;
    if ((change & NPI_STUN_CHANGE_PORT) != 0)
        f->from = other_port(f->from);
    npi_addr mapped = external_of(d, out->slot, &out->to);
    if (npi_addr_same_ip(&out->to, &d->unsteady_ip))
        mapped.port = (uint16_t)(mapped.port + d->sent_count);
    f->size = dialogue_answer(f->data, out->data, mapped, other);
}

void dialogue_send(dialogue *d)
{
    npi_datagram out;
    uint8_t random[NPI_STUN_ID_SIZE];
    for (;;) {
        npi_engine_advance(d->e, d->now_ns);
        uint32_t drawn = d->random;
        for (size_t i = 0; i < sizeof random; i++)
            random[i] = (uint8_t)((drawn = drawn * 1664525u + 1013904223u) >> 24);
        if (!npi_engine_next_datagram(d->e, random, &out))
            return;
        d->random = drawn; /* how often nothing was due changes no id, and so not the order within a round */
        if (d->has_one_socket && out.slot != NPI_SLOT_SOURCE) {
            npi_engine_no_socket(d->e, d->now_ns, &out);
            continue;
        }
        assert_true(d->sent_count < DATAGRAMS_MAX);
        uint32_t change = out.size == NPI_STUN_REQUEST_SIZE ? out.data[27] : 0;
        d->sent[d->sent_count++] = (sent_copy){d->now_ns, out.slot, out.to, change};
        answer(d, &out, change);
        npi_engine_sent(d->e, &out);
    }
}

static void land(dialogue *d, const flight *f)
{
    npi_incoming in;
    npi_addr local = d->local;
    local.port = (uint16_t)(local.port + f->slot);
    if (d->nat.blocks || !comes_in(d, f) || !npi_engine_slot_in_use(d->e, f->slot))
        return;
    npi_engine_match(d->e, f->slot, f->data, f->size, &in);
    npi_engine_receive(d->e, d->now_ns, &in, &f->from, &local);
}

void dialogue_step(dialogue *d)
{
    dialogue_send(d);
    uint64_t next_ns = npi_engine_wakeup_ns(d->e);
    if (npi_engine_is_done(d->e))
        return;
    d->idle_steps = next_ns > d->now_ns ? 0 : d->idle_steps + 1;
    assert_true(d->idle_steps < IDLE_STEPS_MAX); /* "at once" is an answer, but not for ever */
    next_ns = npi_time_max(next_ns, d->now_ns);
    if (d->landed < d->sent_count)
        next_ns = npi_time_min(next_ns, d->flights[d->landed].at_ns);
    if (d->tick_ns > 0)
        next_ns = npi_time_min(next_ns, d->now_ns + d->tick_ns);
    assert_true(next_ns <= DIALOGUE_T0 + 10000 * NPI_MS);
    d->now_ns = next_ns;
    while (d->landed < d->sent_count && d->flights[d->landed].at_ns <= d->now_ns)
        land(d, &d->flights[d->landed++]);
}

void dialogue_talk(dialogue *d)
{
    while (!npi_engine_is_done(d->e))
        dialogue_step(d);
}

np_result dialogue_result(const dialogue *d)
{
    np_result r;
    npi_engine_result(d->e, d->now_ns, &r);
    return r;
}
