/* SPDX-License-Identifier: MIT */
/*
 * The source socket and a fresh one send to each other's external address, as two hosts behind one NAT would: each
 * opens its own way, so that no filter stands between them that would not between two such hosts.
 */
#include "hairpin.h"

#include "errand.h"
#include "findings.h"
#include "silence.h"

enum { HAIRPIN_BEGINS, HAIRPIN_FIRST, HAIRPIN_SENDS };

/* Which server shows the source socket's external address; false when none does. */
static bool choose_hairpin_server(npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        const npi_server *s = &f->servers[i];
        if (!s->has_mapping || s->failed || s->is_unsteady || npi_mapping_leaves_out(f, s))
            continue;
        f->optional.hairpin.server = i;
        return true;
    }
    return false;
}

static const npi_server *hairpin_server(const npi_facts *f)
{
    return &f->servers[f->optional.hairpin.server];
}

/* The external address of a socket whose mapping depends on the destination is not the one that the other would see. */
static bool begin_hairpin(npi_facts *f)
{
    npi_hairpin_test *h = &f->optional.hairpin;
    if (npi_mapping_confirmed(f) != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT || !choose_hairpin_server(f))
        return false;
    h->first = npi_errand_ask(f, "hairpin I", h->server, npi_errand_slot(f), &hairpin_server(f)->address, 0);
    return h->first != NULL;
}

/* False when the fresh socket is not behind the same external address, or cannot be. */
static bool send_both(npi_facts *f)
{
    npi_hairpin_test *h = &f->optional.hairpin;
    const npi_observation *source = &hairpin_server(f)->observed;
    if (!npi_exchange_has_external(&h->first->x) || !npi_has_same_way(&h->first->x, &source->external, &source->local))
        return false;
    int fresh = h->first->x.slot;
    h->there = npi_errand_echo(f, "hairpin", NPI_SLOT_SOURCE, &h->first->x.external, fresh);
    h->back = npi_errand_echo(f, "hairpin", fresh, &source->external, NPI_SLOT_SOURCE);
    h->witness = npi_errand_ask(f, "hairpin I", h->server, NPI_SLOT_SOURCE, &hairpin_server(f)->address, 0);
    if (h->there == NULL || h->back == NULL || h->witness == NULL)
        return false;
    h->witness->goes_on = true;
    return true;
}

/* From which address one that came seems to come. */
static int32_t hairpin_source(const npi_errand *e, const npi_addr *external)
{
    if (!npi_errand_is_answered(e))
        return NP_TRISTATE_UNKNOWN;
    return npi_addr_same_ip(&e->from, external) ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

static void note_hairpin(const npi_facts *f, npi_hairpin_test *h)
{
    const npi_addr *external = &hairpin_server(f)->observed.external;
    int32_t there = hairpin_source(h->there, external);
    int32_t back = hairpin_source(h->back, external);
    h->arrives = NP_TRISTATE_YES;
    if (there == back || back == NP_TRISTATE_UNKNOWN)
        h->from_external = there;
    else if (there == NP_TRISTATE_UNKNOWN)
        h->from_external = back;
}

/* The external address is still the one that was sent to, and so many losses are no chance. */
static bool is_proven_not_to_come(const npi_facts *f, const npi_hairpin_test *h)
{
    npi_loss loss = {0, 0};
    npi_errand_count(f, h->witness, &loss);
    return npi_addr_equal(&h->witness->x.external, &hairpin_server(f)->observed.external) &&
           !npi_loss_is_burst(&loss) &&
           npi_silence_holds(&loss, h->there->x.t.sent + h->back->x.t.sent, NPI_OPTIONAL_SILENCE);
}

static bool is_sent_off(const npi_errand *e)
{
    return !e->x.failed && !e->x.unsent;
}

bool npi_hairpin_step(npi_facts *f, uint64_t *wake_ns)
{
    npi_hairpin_test *h = &f->optional.hairpin;
    if (h->step == HAIRPIN_BEGINS) {
        if (!begin_hairpin(f))
            return true;
        h->step = HAIRPIN_FIRST;
    }
    if (h->step == HAIRPIN_FIRST) {
        if (!npi_errand_is_settled(f, h->first, wake_ns))
            return false;
        if (!send_both(f))
            return true;
        h->step = HAIRPIN_SENDS;
    }
    if (npi_errand_is_answered(h->there) || npi_errand_is_answered(h->back)) {
        note_hairpin(f, h);
        return true;
    }
    bool is_over = npi_errand_is_complete(f, h->witness, wake_ns);
    is_over &= npi_errand_is_settled(f, h->there, wake_ns);
    is_over &= npi_errand_is_settled(f, h->back, wake_ns);
    if (is_over && is_sent_off(h->there) && is_sent_off(h->back) && is_proven_not_to_come(f, h))
        h->arrives = NP_TRISTATE_NO;
    return is_over;
}
