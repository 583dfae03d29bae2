/* SPDX-License-Identifier: MIT */
/* How fast: the gaps between copies, and how long a server is waited for. Pure. */
#ifndef NPI_ENGINE_PACING_H
#define NPI_ENGINE_PACING_H

#include "facts.h"

/* When the next copy of a plain request is due after its last. */
uint64_t npi_pacing_plain_gap_ns(const npi_facts *f, const npi_server *s, const npi_exchange *x);
/* Whether the next round belongs to the dense start: it may follow the one before after NPI_DENSE_GAP_NS. */
bool npi_pacing_is_dense(const npi_facts *f, const npi_trial *t);
/* How long after one round of a trial's filtering tests the next may leave. */
uint64_t npi_pacing_round_gap_ns(const npi_facts *f, const npi_trial *t);
/* Until when a server that works off a queue is to be sent no further round. */
uint64_t npi_pacing_slow_until_ns(const npi_facts *f, const npi_trial *t);
/* Until when the filtering of a slow server may go on. */
uint64_t npi_pacing_slow_share_ns(const npi_facts *f);
/* Until when no round is sent, once, to see whether the answers that seem lost are late. */
uint64_t npi_pacing_late_until_ns(const npi_facts *f, const npi_trial *t);
/* When a server that has answered counts as fallen silent in the filtering phase, as far as is known now. */
uint64_t npi_pacing_hushed_ns(const npi_facts *f, const npi_trial *t, bool others_can_help);
/* The same in the mapping phase. */
uint64_t npi_pacing_gone_ns(const npi_facts *f, const npi_trial *t);
/* How long a silent server, the first or a later one, is waited for before another one is asked in its place. */
uint64_t npi_pacing_hedge_ns(const npi_facts *f, bool is_first);
/* How long a silent server is waited for until nothing is expected of it any more. */
uint64_t npi_pacing_give_up_after_ns(const npi_facts *f);
/*
 * When nothing is expected of a server any more: at once when it failed; never by waiting alone when it has answered.
 */
uint64_t npi_pacing_given_up_ns(const npi_facts *f, const npi_server *s);
/* When the source socket's own requests to a server have found out all they can. */
uint64_t npi_pacing_primary_done_ns(const npi_server *s);

#endif
