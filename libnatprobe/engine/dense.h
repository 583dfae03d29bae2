/* SPDX-License-Identifier: MIT */
/*
 * The dense start of a filtering test: its copies leave so close together that they tell one moment of the path. What
 * they count for. Pure but for npi_dense_note.
 */
#ifndef NPI_ENGINE_DENSE_H
#define NPI_ENGINE_DENSE_H

#include "facts.h"

/* How many copies of a request left in it. Other requests have no more in that time than count in any case. */
uint32_t npi_dense_copies(const npi_transaction *x);
/* Once each copy of the dense start is answered or lost: notes how they fared. */
void npi_dense_note(const npi_facts *f, npi_trial *t);
/*
 * Of the answers and losses that a plain request has shown, those that count for naught. answered is how many answers
 * were counted; is_earlier says that the test which carries the proof leaves later.
 */
typedef struct npi_surplus {
    uint32_t answered;
    uint32_t lost;
} npi_surplus;
npi_surplus npi_dense_surplus(const npi_trial *t, const npi_transaction *x, uint32_t answered, bool is_earlier);
/* Of the copies of a silent request: those that count for naught. */
uint32_t npi_dense_silent_surplus(const npi_trial *t, const npi_transaction *x);

#endif
