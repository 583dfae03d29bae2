/* SPDX-License-Identifier: MIT */
/*
 * Phase 2 with one server (docs/METHOD.md sections 3 and 5): the mapping requests, and the control that tells a NAT
 * that filters from a server that does not answer.
 */
#ifndef NPI_ENGINE_CONTROL_H
#define NPI_ENGINE_CONTROL_H

#include "facts.h"

/* What becomes of a trial in phase 2, and when to look at it again. */
typedef enum npi_control_next {
    NPI_CONTROL_WAIT,
    NPI_CONTROL_EXTEND, /* more was lost than it seemed: more copies of the filtering tests are needed */
    NPI_CONTROL_FINISH
} npi_control_next;

typedef struct npi_control_step {
    npi_control_next next;
    uint64_t wake_ns; /* at or before now: at once */
} npi_control_step;

/* The trial enters phase 2. The mapping requests wait until the source socket has been seen from A:P. */
void npi_control_begin(npi_facts *f, npi_trial *t);
/* The mapping requests have been queued, all or as many as the verdict needs. */
bool npi_control_has_asked(const npi_trial *t);
/* others_can_help: something other than this trial may yet bring the verdict, so that a deferred one stays so. */
npi_control_step npi_control_advance(npi_facts *f, npi_trial *t, bool others_can_help);
/* An answer to the control's II or III. */
void npi_control_take_answer(npi_facts *f, npi_trial *t, int index, const npi_addr *from, const npi_addr *origin,
                             bool success);
/* When enough is known of the server's addresses to tell the mapping, or nothing more will be. */
uint64_t npi_control_mapping_over_ns(const npi_facts *f, const npi_trial *t);

/*
 * ---- The decisions, each a pure function --------------------------------------------------------------------------
 */

/* How a control stands. */
typedef enum npi_control_state {
    NPI_CONTROL_WAITING,
    NPI_CONTROL_PASSED,
    NPI_CONTROL_NOT_APPLICABLE, /* its answer would come to another mapping than that whose pinhole is open */
    NPI_CONTROL_SILENT,
    NPI_CONTROL_RATIONED,    /* answered, but so rarely that another request may have spent the answer */
    NPI_CONTROL_DISQUALIFIED /* its answer shows that the server is of no use for filtering */
} npi_control_state;

/* What a trial whose II was silent shows, by III's outcome and the controls of III and II. */
typedef enum npi_control_verdict {
    NPI_VERDICT_WAIT,
    NPI_VERDICT_PROVEN,
    NPI_VERDICT_UNPROVEN,      /* as measured */
    NPI_VERDICT_II_ALONE,      /* II is filtered; of III nothing is known */
    NPI_VERDICT_SERVER_UNFIT,  /* see the reason of the control that says so */
    NPI_VERDICT_RATIONED,      /* the server answers so few CHANGE-REQUESTs that their silence shows nothing */
    NPI_VERDICT_CONTROL_FAILED /* the server, or the path, does not honour CHANGE-REQUEST */
} npi_control_verdict;

/* Which control decides when III was answered: II's alone. */
npi_control_verdict npi_control_judge_answered_iii(npi_control_state ii);
/* When both were silent: III's control is enough, since what filters III filters II. Only a silent one needs II's. */
npi_control_verdict npi_control_judge_both_silent(npi_control_state iii, npi_control_state ii);

#endif
