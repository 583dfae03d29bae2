/* SPDX-License-Identifier: MIT */
/*
 * The filtering socket has spoken to A:P alone, and the NAT has refused datagrams to it. Now it asks their sender, and
 * another address: if the sender alone sees another port, the refused ones have taken the usual one.
 */
#include "refused.h"

#include "errand.h"
#include "findings.h"

enum { REFUSED_BEGINS, REFUSED_ASKS, REFUSED_OPENS, REFUSED_CONTROL };

static bool was_refused(const npi_exchange *x)
{
    return x->t.sent > 0 && !npi_exchange_is_answered(x);
}

static const npi_exchange *refused_request(const npi_trial *t, int index)
{
    return &t->filtering.x[index == 0 ? NPI_F_II : NPI_F_III];
}

/* What was refused came from the server: the filtering is proven, so some control has passed. */
static bool can_tell(const npi_facts *f, const npi_trial *t)
{
    if (t == NULL || !t->finding.proven || npi_mapping_confirmed(f) != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return false;
    bool is_refused = t->finding.filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT ||
                      t->finding.filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return is_refused && was_refused(refused_request(t, 0)) && npi_exchange_has_external(&t->filtering.x[NPI_F_I]);
}

static npi_errand *ask_from(npi_facts *f, int slot, const npi_addr *to)
{
    return npi_errand_ask(f, "refused I", f->optional.refused.trial->server, slot, to, 0);
}

/* False when it cannot be asked. Strangers have other IP addresses, but a filter may let A:Q as far as another NAT. */
static bool ask_refused(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    const npi_trial *t = npi_filtering_trial(f);
    if (!can_tell(f, t))
        return false;
    const npi_server *s = npi_trial_server(f, t);
    int slot = t->filtering.slot;
    npi_addr bp = npi_addr_with_port(&s->alternate, s->address.port);
    npi_addr aq = npi_addr_with_port(&s->address, s->alternate.port);
    r->trial = t;
    r->usual = ask_from(f, slot, &bp);
    r->refused[0] = ask_from(f, slot, &s->alternate);
    if (was_refused(refused_request(t, 1)))
        r->refused[1] = ask_from(f, slot, &aq);
    r->step = REFUSED_ASKS;
    return r->usual != NULL && r->refused[0] != NULL;
}

static bool is_refused_settled(const npi_facts *f, uint64_t *wake_ns)
{
    const npi_refused_test *r = &f->optional.refused;
    const npi_errand *all[] = {r->usual, r->refused[0], r->refused[1], r->opener[0], r->opener[1], r->control};
    bool is_any_open = false;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        is_any_open |= all[i] != NULL && !npi_errand_is_settled(f, all[i], wake_ns);
    return !is_any_open;
}

static const npi_addr *usual_of(const npi_refused_test *r)
{
    return &r->trial->filtering.x[NPI_F_I].external;
}

/* Another port than the usual one, of the same address. */
static bool is_diverted(const npi_refused_test *r, int index)
{
    const npi_errand *e = r->refused[index];
    return e != NULL && npi_exchange_has_external(&e->x) && npi_addr_same_ip(&e->x.external, usual_of(r)) &&
           !npi_addr_equal(&e->x.external, usual_of(r));
}

/* The usual port, so shortly after something was refused that the NAT would still know of it. */
static bool is_spared(const npi_refused_test *r, int index)
{
    const npi_errand *e = r->refused[index];
    uint64_t refused_ns = npi_transaction_last_ns(&refused_request(r->trial, index)->t);
    if (e == NULL)
        return true;
    return npi_exchange_has_external(&e->x) && npi_addr_equal(&e->x.external, usual_of(r)) &&
           e->x.t.answered_ns < npi_time_add(refused_ns, NPI_REFUSED_FRESH_NS);
}

/*
 * III's control may have been enough for the verdict. Here it matters that II's answers came as far as the NAT. The
 * socket is another one, for a NAT may have given the filtering socket's port away, or the source socket's.
 */
static bool open_refused_way(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    r->step = REFUSED_OPENS;
    return npi_errand_open_way(f, "refused I", r->trial->server, &npi_trial_server(f, r->trial)->alternate, r->opener);
}

static bool ask_refused_control(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    if (!npi_errand_is_answered(r->opener[0]) || !npi_errand_is_answered(r->opener[1]))
        return false;
    r->control = npi_errand_ask(f, "refused control II", r->trial->server, r->opener[0]->x.slot,
                                &npi_trial_server(f, r->trial)->address, refused_request(r->trial, 0)->change);
    r->step = REFUSED_CONTROL;
    return r->control != NULL;
}

/* False when it is known, or cannot be. */
static bool take_refused(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    if (!npi_exchange_has_external(&r->usual->x) || !npi_addr_equal(&r->usual->x.external, usual_of(r)))
        return false;
    if (is_diverted(r, 0) || is_diverted(r, 1))
        r->takes_port = NP_TRISTATE_YES;
    else if (is_spared(r, 0) && is_spared(r, 1))
        return open_refused_way(f);
    return false;
}

static bool take_refused_control(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    if (npi_errand_is_answered(r->control) &&
        npi_addr_equal(&r->control->from, &npi_trial_server(f, r->trial)->alternate))
        r->takes_port = NP_TRISTATE_NO;
    return false;
}

/* The next step. False when there is none. */
static bool go_on_with_refused(npi_facts *f)
{
    switch (f->optional.refused.step) {
    case REFUSED_BEGINS:
        return ask_refused(f);
    case REFUSED_ASKS:
        return take_refused(f);
    case REFUSED_OPENS:
        return ask_refused_control(f);
    default:
        return take_refused_control(f);
    }
}

bool npi_refused_step(npi_facts *f, uint64_t *wake_ns)
{
    while (is_refused_settled(f, wake_ns)) {
        if (!go_on_with_refused(f))
            return true;
    }
    return false;
}
