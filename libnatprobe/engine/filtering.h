/* SPDX-License-Identifier: MIT */
/* Phase 1 with one server: I, II and III in rounds from a fresh socket, until an answer or a proven silence decides. */
#ifndef NPI_ENGINE_FILTERING_H
#define NPI_ENGINE_FILTERING_H

#include "facts.h"

typedef enum npi_filtering_next {
    NPI_FILTERING_WAIT,
    NPI_FILTERING_MAPPING, /* the filtering is decided as far as phase 1 can: on to phase 2 */
    NPI_FILTERING_FINISH   /* there is no use in phase 2 */
} npi_filtering_next;

typedef struct npi_filtering_step {
    npi_filtering_next next;
    uint64_t wake_ns; /* at or before now: at once */
} npi_filtering_step;

/* The tests from a slot; the first round leaves at once. */
void npi_filtering_init(npi_facts *f, npi_trial *t, int slot);
npi_filtering_step npi_filtering_advance(npi_facts *f, npi_trial *t);
/* No more copies. */
void npi_filtering_stop(npi_filtering *p);
/* Goes on after a stop, with the requests of before. */
void npi_filtering_resume(const npi_facts *f, npi_trial *t);
/* More copies, since the mapping phase showed more losses than were known. */
void npi_filtering_extend(npi_facts *f, npi_trial *t);
/* An answer to II or III, by the flags of its CHANGE-REQUEST. */
void npi_filtering_take_answer(npi_facts *f, npi_trial *t, uint32_t change, const npi_addr *from,
                               const npi_addr *origin, bool success);
/* An answer to any of its requests has come. */
void npi_filtering_note_heard(const npi_facts *f, npi_trial *t, const npi_exchange *x);

/*
 * ---- The composition of a round, pure -----------------------------------------------------------------------------
 */

/* How many copies of I and of the silent test a round has. */
typedef struct npi_round {
    uint32_t plain;
    uint32_t silent;
} npi_round;
/* The smallest round that completes the proof; where none does, as many copies of the silent test as there may be. */
npi_round npi_filtering_compose_round(const npi_facts *f, const npi_trial *t);

#endif
