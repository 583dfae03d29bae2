/* SPDX-License-Identifier: MIT */
/* Holds the silent copies of each half against the plain requests of the same time. */
#include "halves.h"

#include "plain.h"
#include "silence.h"

/* From the first time on, and before the second. */
typedef struct span {
    uint64_t from_ns;
    uint64_t until_ns;
} span;

static bool is_in(const span *s, uint64_t at_ns)
{
    return at_ns >= s->from_ns && at_ns < s->until_ns;
}

static uint32_t sent_in(const npi_transaction *x, const span *s)
{
    return npi_transaction_sent_since(x, s->from_ns) - npi_transaction_sent_since(x, s->until_ns);
}

static uint32_t silent_in(const npi_filtering *p, const span *s)
{
    uint32_t copies = sent_in(&npi_silence_proof(p)->t, s);
    return npi_silence_has_second(p) ? copies + sent_in(&p->x[NPI_F_SECOND].t, s) : copies;
}

/* When the earliest of its copies left up to which half of all have. */
static uint64_t middle_of(const npi_filtering *p, const npi_transaction *x, const span *all)
{
    uint32_t copies = silent_in(p, all);
    for (uint32_t i = x->sent - sent_in(x, all); i < x->sent; i++) {
        span first = {all->from_ns, npi_transaction_copy_ns(x, i) + 1};
        if (2 * silent_in(p, &first) >= copies)
            return first.until_ns;
    }
    return NPI_NEVER;
}

static uint64_t middle_ns(const npi_filtering *p, const span *all)
{
    uint64_t middle_ns = middle_of(p, &npi_silence_proof(p)->t, all);
    return npi_silence_has_second(p) ? npi_time_min(middle_ns, middle_of(p, &p->x[NPI_F_SECOND].t, all)) : middle_ns;
}

/* What is under way is expected to fare like the rest of its half. */
static npi_loss loss_in(const npi_plain_list *list, const span *s, uint64_t now_ns, uint64_t age_ns)
{
    npi_loss loss = {0, 0};
    uint32_t open = 0;
    for (size_t i = 0; i < list->count; i++) {
        const npi_transaction *x = list->t[i];
        for (uint32_t copy = 0; copy < x->sent; copy++) {
            uint64_t sent_ns = npi_transaction_copy_ns(x, copy);
            if (!is_in(s, sent_ns))
                continue;
            if (npi_transaction_is_copy_answered(x, copy))
                loss.answered++;
            else if (npi_time_add(sent_ns, age_ns) <= now_ns)
                loss.lost++;
            else
                open++;
        }
    }
    npi_loss_expect(&loss, open);
    return loss;
}

/*
 * A server that repeats its answers hides how many copies were lost, and with them the round trip. It does not hide
 * that nothing came to whole moments of I. One may be an answer that came late.
 */
static bool hides_lost_moments(const npi_facts *f, const npi_trial *t)
{
    const npi_transaction *plain[] = {&t->filtering.late.t, &t->filtering.x[NPI_F_I].t};
    uint32_t moments = 0;
    uint32_t bunches = 0;
    if (!npi_trial_server(f, t)->repeats)
        return false;
    for (size_t i = 0; i < 2; i++) {
        moments += npi_transaction_moments(plain[i], f->now_ns, npi_trial_rto(f, t), NPI_COPIES_APART_NS);
        bunches += plain[i]->bunches;
    }
    return moments > bunches + 1;
}

bool npi_halves_hold(const npi_facts *f, const npi_trial *t)
{
    if (npi_silence_path_loss(f, t).lost == 0)
        return true;
    if (hides_lost_moments(f, t))
        return false;
    const npi_filtering *p = &t->filtering;
    double limit = npi_trial_server(f, t)->repeats ? NPI_SILENCE_HALF_REPEATED : NPI_SILENCE_HALF;
    const npi_plain_list list = npi_plain_requests(f, t);
    const span all = {npi_trial_server(f, t)->woke_ns, NPI_NEVER};
    uint64_t at_ns = middle_ns(p, &all);
    const span halves[] = {{all.from_ns, at_ns}, {at_ns, NPI_NEVER}};
    for (size_t i = 0; i < 2; i++) {
        npi_loss loss = loss_in(&list, &halves[i], f->now_ns, npi_trial_rto(f, t));
        if (npi_loss_p_all_lost(&loss, silent_in(p, &halves[i])) >= limit)
            return false;
    }
    return true;
}
