/* SPDX-License-Identifier: MIT */
/*
 * One check behind one poller: a run over one address family and, where that stays silent or is not to be had, one over
 * IPv6 beside it.
 */
#ifndef NPI_CHECK_H
#define NPI_CHECK_H

#include "driver.h"

#define NPI_CHECK_RUNS 2 /* the first, and the one beside it */

typedef struct npi_check {
    npi_driver_config config;
    bool may_add_ipv6;                /* the family was not chosen, and nothing else decides it */
    npi_driver *runs[NPI_CHECK_RUNS]; /* NULL: not begun, or over */
    np_result result;                 /* the best of those that are over */
    int best;                         /* the run that it is of; -1: none is over */
    uint32_t sent, received;          /* of all that are over */
} npi_check;

/* Opens the first run; npi_check_turn sends and says what became of it. */
void npi_check_begin(npi_check *c, const npi_driver_config *config, bool may_add_ipv6);
/*
 * All that can be done without waiting. True when the check is over: every byte of the result is then written. Until
 * then the poller is readable as soon as there is something to do.
 */
bool npi_check_turn(npi_check *c, np_result *result);
/* The next turn ends the check with this error. */
void npi_check_stop(npi_check *c, int error, npi_failure failure);
/* From here on nothing of the caller's is called. */
void npi_check_mute(npi_check *c);
/* At any moment, any number of times. */
void npi_check_end(npi_check *c);

#endif
