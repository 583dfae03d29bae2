/* SPDX-License-Identifier: MIT */
/* Is II silent because its answers, which come from a farther address, fell into a burst of losses? Pure. */
#ifndef NPI_ENGINE_FAR_H
#define NPI_ENGINE_FAR_H

#include "facts.h"

typedef enum npi_far {
    NPI_FAR_IS_NOT, /* B is near, or II is not silent, or nothing was lost */
    NPI_FAR_MAY_BE, /* the silence shows nothing */
    NPI_FAR_ASK,    /* one more request, of one copy, is to tell whether B is near */
    NPI_FAR_WAIT    /* one is under way */
} npi_far;

/*
 * Whether the silence of II stands (docs/METHOD.md section 5), where datagrams of the filtering test got lost.
 * *wake_ns: until when to wait, written with NPI_FAR_WAIT alone.
 */
npi_far npi_far_judge(const npi_facts *f, const npi_trial *t, uint64_t *wake_ns);

#endif
