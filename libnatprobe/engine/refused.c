/* SPDX-License-Identifier: MIT */
/*
 * The filtering socket has spoken to A:P alone, and the NAT has refused datagrams to it. Now it asks their sender, and
 * another address: if the sender alone sees another port, the refused ones have taken the usual one.
 */
#include "refused.h"

#include "errand.h"
#include "findings.h"
#include "silence.h"

enum { BEGIN, ASKING };

/* Which CHANGE-REQUEST was refused, with a control that shows that its answers were on their way. */
static const npi_exchange *refused_of(const npi_trial *t)
{
    return npi_silence_proof(&t->filtering);
}

static bool can_tell(const npi_facts *f, const npi_trial *t)
{
    if (t == NULL || !t->finding.proven || npi_mapping_confirmed(f) != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        return false;
    bool is_refused = t->finding.filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT ||
                      t->finding.filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    const npi_exchange *proof = refused_of(t);
    return is_refused && !npi_exchange_is_answered(proof) && proof->t.sent > 0 &&
           npi_exchange_has_external(&t->filtering.x[NPI_F_I]);
}

/* False when it cannot be asked. */
static bool ask(npi_facts *f)
{
    npi_refused_test *r = &f->optional.refused;
    const npi_trial *t = npi_filtering_trial(f);
    if (!can_tell(f, t))
        return false;
    const npi_server *s = npi_trial_server(f, t);
    npi_addr usual = npi_addr_with_port(&s->alternate, s->address.port);
    npi_addr refused = npi_server_expected_source(s, refused_of(t)->change);
    r->trial = t;
    r->usual = npi_errand_ask(f, "refused I", t->server, t->filtering.slot, &usual, 0);
    r->refused = npi_errand_ask(f, "refused I", t->server, t->filtering.slot, &refused, 0);
    return r->usual != NULL && r->refused != NULL;
}

/* What was refused left so shortly before that the NAT would still know. */
static bool is_fresh(const npi_refused_test *r)
{
    uint64_t refused_ns = npi_transaction_last_ns(&refused_of(r->trial)->t);
    return r->refused->x.t.answered_ns < npi_time_add(refused_ns, NPI_REFUSED_FRESH_NS);
}

static int32_t judge(const npi_refused_test *r)
{
    const npi_addr *first = &r->trial->filtering.x[NPI_F_I].external;
    if (!npi_exchange_has_external(&r->usual->x) || !npi_exchange_has_external(&r->refused->x) ||
        !npi_addr_equal(&r->usual->x.external, first))
        return NP_TRISTATE_UNKNOWN;
    if (npi_addr_equal(&r->refused->x.external, first))
        return is_fresh(r) ? NP_TRISTATE_NO : NP_TRISTATE_UNKNOWN;
    return npi_addr_same_ip(&r->refused->x.external, first) ? NP_TRISTATE_YES : NP_TRISTATE_UNKNOWN;
}

bool npi_refused_step(npi_facts *f, uint64_t *wake_ns)
{
    npi_refused_test *r = &f->optional.refused;
    if (r->step == BEGIN) {
        if (!ask(f))
            return true;
        r->step = ASKING;
    }
    bool is_settled = npi_errand_is_settled(f, r->usual, wake_ns);
    if (!npi_errand_is_settled(f, r->refused, wake_ns) || !is_settled)
        return false;
    r->takes_port = judge(r);
    return true;
}
