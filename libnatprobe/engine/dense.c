/* SPDX-License-Identifier: MIT */
/* What the copies of the dense start count for. */
#include "dense.h"

uint32_t npi_dense_copies(const npi_transaction *x)
{
    return x->sent - npi_transaction_sent_since(x, npi_time_add(x->first_ns, NPI_DENSE_NS));
}

static bool is_under_way(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    uint64_t age_ns = npi_trial_rto(f, t);
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        if (x->sent > 0 && npi_transaction_aged(x, f->now_ns, age_ns) < npi_dense_copies(x))
            return true;
    }
    const npi_transaction *plain = &p->x[NPI_F_I].t;
    return plain->sent == 0 || npi_time_add(plain->first_ns, NPI_DENSE_NS) > f->now_ns;
}

/* What is answered since, beyond the copies that left later, was under way for longer than a round trip. */
static void note_late(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    uint64_t floor_ns = npi_rtt_floor(&npi_trial_server(f, t)->rtt);
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        const npi_transaction *x = &p->x[i].t;
        uint32_t dense = npi_dense_copies(x);
        uint32_t aged = npi_transaction_aged(x, f->now_ns, floor_ns);
        uint32_t later = aged - npi_least(aged, dense);
        uint32_t answers = npi_least(x->answers - npi_least(x->answers, later), dense);
        p->dense.answers[i] = answers > p->dense.answers[i] ? answers : p->dense.answers[i];
    }
}

static void judge(npi_filtering *p)
{
    p->dense.is_heavy = 2 * p->dense.answers[NPI_F_I] < npi_dense_copies(&p->x[NPI_F_I].t);
}

void npi_dense_note(const npi_facts *f, npi_trial *t)
{
    npi_filtering *p = &t->filtering;
    if (p->dense.is_heavy) {
        note_late(f, t);
        judge(p);
    }
    if (p->dense.is_told || p->late.t.started || npi_trial_server(f, t)->rtt.samples == 0 || is_under_way(f, t))
        return;
    p->dense.is_told = true;
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++)
        p->dense.answers[i] = npi_least(p->x[i].t.answers, npi_dense_copies(&p->x[i].t));
    judge(p);
}

/* How many copies of one of its requests were answered in it; false if it is no request of the test. */
static bool answers_of(const npi_filtering *p, const npi_transaction *x, uint32_t *answers)
{
    for (int i = 0; i < NPI_FILTERING_EXCHANGES; i++) {
        if (x == &p->x[i].t) {
            *answers = p->dense.answers[i];
            return true;
        }
    }
    return false;
}

npi_surplus npi_dense_surplus(const npi_trial *t, const npi_transaction *x, uint32_t answered, bool is_earlier)
{
    const npi_filtering *p = &t->filtering;
    uint32_t copies = npi_dense_copies(x);
    uint32_t answers = 0;
    if (copies <= NPI_DENSE_COUNTED)
        return (npi_surplus){0, 0};
    if (p->dense.is_heavy && answers_of(p, x, &answers)) {
        uint32_t counted = NPI_DENSE_COUNTED * answers / copies;
        return (npi_surplus){answers - counted, copies - answers - (NPI_DENSE_COUNTED - counted)};
    }
    answers = npi_least(answered, copies);
    return (npi_surplus){is_earlier && answers > NPI_DENSE_COUNTED ? answers - NPI_DENSE_COUNTED : 0, 0};
}

uint32_t npi_dense_silent_surplus(const npi_trial *t, const npi_transaction *x)
{
    uint32_t copies = npi_dense_copies(x);
    return t->filtering.dense.is_heavy && copies > NPI_DENSE_COUNTED ? copies - NPI_DENSE_COUNTED : 0;
}
