/* SPDX-License-Identifier: MIT */
/* Which requests of a trial no NAT filters. */
#include "plain.h"

/* What was asked before the path woke up shows nothing of it. */
static void add_to(npi_plain_list *list, const npi_exchange *x, uint64_t woke_ns)
{
    if (x->t.started && x->t.first_ns >= woke_ns)
        list->t[list->count++] = &x->t;
}

npi_plain_list npi_plain_requests(const npi_facts *f, const npi_trial *t)
{
    const npi_server *s = npi_trial_server(f, t);
    const npi_filtering *p = &t->filtering;
    npi_plain_list list;
    list.count = 0;
    add_to(&list, &p->x[NPI_F_I], s->woke_ns);
    add_to(&list, &p->late, s->woke_ns);
    add_to(&list, &s->x[s->dialect == NPI_STUN_RFC3489 ? NPI_RFC3489 : NPI_PRIMARY], s->woke_ns);
    add_to(&list, &s->x[NPI_RECHECK], s->woke_ns);
    if (p->iii.outcome == NPI_CHANGE_HONOURED)
        add_to(&list, &p->x[NPI_F_III], s->woke_ns);
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        if (npi_exchange_is_answered(&t->control.x[i]))
            add_to(&list, &t->control.x[i], s->woke_ns);
    }
    return list;
}
