/* SPDX-License-Identifier: MIT */
/* One server through both phases: the only place where a trial's phase changes. */
#ifndef NPI_ENGINE_TRIAL_H
#define NPI_ENGINE_TRIAL_H

#include "facts.h"

typedef enum npi_trial_scope { NPI_TRIAL_BOTH_PHASES, NPI_TRIAL_MAPPING_ONLY } npi_trial_scope;

void npi_trial_begin(npi_facts *f, size_t server, npi_trial_scope scope);
/*
 * Goes on with a trial. exhausted: nothing more is expected of its server. others_can_help: something other than this
 * trial may yet bring the verdict. Returns when to go on; at or before now: at once.
 */
uint64_t npi_trial_advance(npi_facts *f, npi_trial *t, bool exhausted, bool others_can_help);
/* An answer on its filtering socket. */
void npi_trial_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x);
/* An answer to one of its CHANGE-REQUESTs. */
void npi_trial_take_answer(npi_facts *f, npi_trial *t, const npi_exchange *x, const npi_addr *from,
                           const npi_addr *origin, bool success);

#endif
