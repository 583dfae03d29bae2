/* SPDX-License-Identifier: MIT */
/* When a copy stands for a new transaction, and which answer is its own. */
#include "again.h"

/* The request whose id the copy bears. */
static const npi_exchange *original(const npi_server *s)
{
    return &s->x[s->dialect == NPI_STUN_RFC3489 ? NPI_RFC3489 : NPI_PRIMARY];
}

/* Each copy was answered once: no other answer is to be expected. */
static bool is_settled(const npi_transaction *x)
{
    return x->started && x->answers > 0 && x->answers == x->sent && x->extra_answers == 0 && x->likely_duplicates == 0;
}

/* Its answers came when they were expected, each once. */
static bool is_prompt(const npi_server *s)
{
    return s->rtt.samples > 0 && s->late_answers == 0 && s->woke_ns == 0 && !s->repeats;
}

bool npi_again_may_copy(const npi_facts *f, const npi_server *s)
{
    if (f->server_count == 1) /* the rate has room for one server */
        return false;
    return s->has_mapping && !s->was_copied && !f->duplicated && is_prompt(s) && is_settled(&original(s)->t);
}

bool npi_again_is_left(const npi_facts *f, const npi_server *s)
{
    return !npi_exchange_was_asked(&s->x[NPI_RECHECK]) && npi_again_may_copy(f, s);
}

uint64_t npi_again_copy_ns(const npi_server *s)
{
    return npi_time_add(npi_transaction_last_ns(&original(s)->t), NPI_PACE_MIN_NS);
}

npi_stun_id npi_again_id(const npi_server *s)
{
    return original(s)->t.id;
}

bool npi_again_is_copy(const npi_server *s, const npi_exchange *x)
{
    return x == &s->x[NPI_RECHECK] && x->t.started && s->was_copied && npi_stun_id_equal(&x->t.id, &original(s)->t.id);
}

npi_exchange *npi_again_take(const npi_facts *f, npi_server *s, npi_exchange *x)
{
    npi_exchange *again = &s->x[NPI_RECHECK];
    if (x != original(s) || !npi_again_is_copy(s, again))
        return x;
    if (f->now_ns >= npi_time_add(again->t.first_ns, npi_rtt_floor(&s->rtt)))
        return again;
    if (!npi_exchange_is_answered(again))
        npi_server_ask_again(s);
    return x;
}
