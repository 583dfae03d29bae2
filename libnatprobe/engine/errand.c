/* SPDX-License-Identifier: MIT */
/* Requests that are no part of the check. */
#include "errand.h"

#include <string.h>

/* ---- Asking ----------------------------------------------------------------------------------------------------- */

int npi_errand_slot(npi_facts *f)
{
    npi_optional *o = &f->optional;
    return o->sockets < NPI_OPTIONAL_SOCKETS ? NPI_SLOT_OPTIONAL + o->sockets++ : -1;
}

static npi_errand *find_errand_place(npi_optional *o)
{
    for (size_t i = 0; i < o->errands; i++) {
        if (o->errand[i].is_free)
            return &o->errand[i];
    }
    return o->errands < o->errand_room ? &o->errand[o->errands++] : NULL;
}

static npi_errand *make_errand(npi_facts *f, const char *name, int slot, const npi_addr *to, uint32_t change)
{
    npi_errand *e = slot >= 0 ? find_errand_place(&f->optional) : NULL;
    if (e == NULL)
        return NULL;
    memset(e, 0, sizeof *e);
    npi_exchange_ask(&e->x, name, to, change, NPI_OPTIONAL_COPIES);
    e->x.slot = slot;
    e->x.sent_in_rounds = true;
    e->server = -1;
    e->heard_slot = slot;
    e->gap_ns = NPI_OPTIONAL_GAP_NS;
    e->goes_on = change != 0; /* the silence of one copy among others shows a loss, or the server's refusal */
    return e;
}

npi_errand *npi_errand_ask(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to, uint32_t change)
{
    npi_errand *e = make_errand(f, name, slot, to, change);
    if (e != NULL)
        e->server = (int)server;
    return e;
}

npi_errand *npi_errand_ask_to(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to,
                              uint16_t response_port, int heard_slot)
{
    npi_errand *e = npi_errand_ask(f, name, server, slot, to, 0);
    if (e != NULL) {
        e->response_port = response_port;
        e->heard_slot = heard_slot;
    }
    return e;
}

bool npi_errand_open_way(npi_facts *f, const char *name, size_t server, const npi_addr *alternate,
                         npi_errand *opener[2])
{
    int slot = npi_errand_slot(f);
    opener[0] = npi_errand_ask(f, name, server, slot, &f->servers[server].address, 0);
    opener[1] = npi_errand_ask(f, name, server, slot, alternate, 0);
    return opener[0] != NULL && opener[1] != NULL;
}

npi_errand *npi_errand_indicate(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to)
{
    npi_errand *e = npi_errand_ask(f, name, server, slot, to, 0);
    if (e != NULL)
        e->payload = NPI_PAYLOAD_INDICATION;
    return e;
}

npi_errand *npi_errand_echo(npi_facts *f, const char *name, int slot, const npi_addr *to, int heard_slot)
{
    npi_errand *e = make_errand(f, name, slot, to, 0);
    if (e != NULL) {
        e->payload = NPI_PAYLOAD_ECHO;
        e->heard_slot = heard_slot;
    }
    return e;
}

npi_errand *npi_errand_raw(npi_facts *f, const char *name, int slot, const npi_addr *to, const uint8_t *data,
                           size_t size)
{
    npi_errand *e = size <= NPI_ERRAND_DATA ? make_errand(f, name, slot, to, 0) : NULL;
    if (e != NULL) {
        e->payload = NPI_PAYLOAD_RAW;
        e->sent_size = size;
        memcpy(e->sent_data, data, size);
    }
    return e;
}

/* ---- Answers ---------------------------------------------------------------------------------------------------- */

static bool is_errand_answer(const npi_errand *e, const npi_stun_response *response, const uint8_t *data, size_t size)
{
    uint8_t request[NPI_STUN_REQUEST_SIZE];
    switch (e->payload) {
    case NPI_PAYLOAD_STUN:
    case NPI_PAYLOAD_INDICATION: /* of a server that does so nevertheless */
        return response->kind != NPI_STUN_DROP && npi_stun_id_equal(&e->x.t.id, &response->id);
    case NPI_PAYLOAD_ECHO:
        return size == npi_stun_encode_request(request, &e->x.t.id, e->x.change) && memcmp(data, request, size) == 0;
    default:
        return true;
    }
}

npi_errand *npi_errand_of(npi_facts *f, int slot, const npi_stun_response *response, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < f->optional.errands; i++) {
        npi_errand *e = &f->optional.errand[i];
        if (e->x.t.started && e->heard_slot == slot && is_errand_answer(e, response, data, size))
            return e;
    }
    return NULL;
}

/* No id tells whose answer it is: it has to come from where the request went. */
static bool is_raw_answer(const npi_errand *e, const npi_addr *from, const uint8_t *data, size_t size)
{
    npi_addr source = npi_addr_unmap(from);
    return npi_addr_equal(&source, &e->x.to) && (e->is_answer == NULL || e->is_answer(data, size));
}

static void note_errand_addresses(const npi_facts *f, npi_errand *e, const npi_stun_response *response)
{
    const npi_server *s = &f->servers[e->server];
    e->x.external = response->mapped;
    if (npi_addr_is_alternate(&s->address, &response->other))
        e->other = npi_addr_with_scope(&response->other, s->address.scope);
}

void npi_errand_take(npi_facts *f, npi_errand *e, const npi_stun_response *response, const npi_addr *from,
                     const npi_addr *local, const uint8_t *data, size_t size)
{
    bool is_first = !npi_exchange_is_answered(&e->x);
    if (e->payload == NPI_PAYLOAD_RAW && !is_raw_answer(e, from, data, size))
        return;
    bool is_stun = e->payload == NPI_PAYLOAD_STUN || e->payload == NPI_PAYLOAD_INDICATION;
    if (is_stun && response->kind != NPI_STUN_SUCCESS) {
        e->x.failed = true; /* the server does not do what was asked */
        return;
    }
    (void)npi_transaction_answered(&e->x.t, f->now_ns, NULL, false);
    if (!is_first)
        return;
    if (!e->goes_on)
        npi_transaction_stop(&e->x.t);
    e->from = npi_addr_unmap(from);
    if (local != NULL)
        e->x.local = npi_addr_unmap(local);
    if (is_stun)
        note_errand_addresses(f, e, response);
    if (e->payload == NPI_PAYLOAD_RAW) {
        e->heard_size = size < sizeof e->heard_data ? size : sizeof e->heard_data;
        memcpy(e->heard_data, data, e->heard_size);
    }
}

/* ---- How it stands ---------------------------------------------------------------------------------------------- */

bool npi_errand_is_answered(const npi_errand *e)
{
    return npi_exchange_is_answered(&e->x);
}

void npi_errand_stop(npi_errand *e)
{
    e->x.queued = false;
    npi_transaction_stop(&e->x.t);
}

void npi_errand_release(npi_errand *e)
{
    e->x.queued = false; /* neither sent nor answered any more */
    e->x.t.started = false;
    e->is_free = true;
}

static uint64_t errand_patience_ns(const npi_facts *f, const npi_errand *e)
{
    const npi_rtt *rtt = e->server >= 0 ? &f->servers[e->server].rtt : NULL;
    uint64_t twice_ns = rtt != NULL && rtt->samples > 0 ? 2 * npi_rtt_rto(rtt) : 0;
    return npi_time_max(NPI_OPTIONAL_WAIT_NS, twice_ns);
}

uint64_t npi_errand_over_ns(const npi_facts *f, const npi_errand *e)
{
    return npi_exchange_over_ns(&e->x, errand_patience_ns(f, e));
}

bool npi_errand_is_complete(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    bool is_all_answered = e->x.t.sent >= e->x.t.limit && e->x.t.answers >= e->x.t.sent && e->x.t.started;
    return is_all_answered || npi_time_has_come(npi_errand_over_ns(f, e), f->now_ns, wake_ns);
}

void npi_errand_count(const npi_facts *f, const npi_errand *e, npi_loss *loss)
{
    npi_echo echo = {f->duplicated, e->x.t.sent, e->x.t.sent};
    npi_loss_add(loss, &e->x.t, f->now_ns, errand_patience_ns(f, e), &echo);
}

bool npi_errand_is_settled(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns)
{
    return npi_errand_is_answered(e) || npi_time_has_come(npi_errand_over_ns(f, e), f->now_ns, wake_ns);
}
