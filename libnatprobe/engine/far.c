/* SPDX-License-Identifier: MIT */
/*
 * The plain requests beside II tell of the path at the time when II left and when answers from A come. If B is farther
 * away, its answers come at another time, of which nothing is known: a burst may have taken all of them.
 */
#include "far.h"

#include "silence.h"

static bool is_in_doubt(const npi_facts *f, const npi_trial *t)
{
    const npi_filtering *p = &t->filtering;
    const npi_exchange *from_a[] = {&p->late, &p->x[NPI_F_I], &p->x[NPI_F_III]};
    const npi_echo echo = {f->duplicated, 1, 1};
    npi_loss loss = {0, 0};
    if (p->ii.outcome != NPI_CHANGE_SILENT || npi_silence_rests_on_iii(p) ||
        t->finding.filtering == NP_BEHAVIOUR_UNKNOWN)
        return false;
    for (size_t i = 0; i < sizeof from_a / sizeof from_a[0]; i++)
        npi_loss_add(&loss, &from_a[i]->t, f->now_ns, npi_trial_rto(f, t), &echo);
    return loss.lost > 0;
}

/* Of a request that was repeated nobody knows which copy was answered: what counts is the time since the first one. */
static bool is_answered_within(const npi_transaction *x, uint64_t near_ns)
{
    return npi_transaction_is_answered(x) && x->answered_ns - x->first_ns <= near_ns;
}

npi_far npi_far_judge(const npi_facts *f, const npi_trial *t, uint64_t *wake_ns)
{
    const npi_exchange *x = t->control.x;
    uint64_t near_ns = npi_time_add(npi_trial_rto(f, t), NPI_FAR_NS);
    if (!is_in_doubt(f, t))
        return NPI_FAR_IS_NOT;
    for (int i = 0; i < NPI_CONTROL_EXCHANGES; i++) {
        bool is_from_b = i != NPI_M_AQ && i != NPI_M_OTHER && i != NPI_C_III;
        if (is_from_b && is_answered_within(&x[i].t, near_ns))
            return NPI_FAR_IS_NOT;
    }
    for (int i = NPI_M_NEAR; i <= NPI_M_NEAR_LAST && !npi_exchange_is_answered(&x[i]); i++) {
        if (!npi_exchange_was_asked(&x[i]))
            return NPI_FAR_ASK;
        uint64_t over_ns = npi_exchange_over_ns(&x[i], near_ns);
        if (over_ns > f->now_ns) {
            *wake_ns = over_ns;
            return NPI_FAR_WAIT;
        }
    }
    return NPI_FAR_MAY_BE;
}
