/* SPDX-License-Identifier: MIT */
/* Which servers are asked, when, and when again (docs/METHOD.md, "Several servers"). */
#ifndef NPI_ENGINE_SCHEDULE_H
#define NPI_ENGINE_SCHEDULE_H

#include "facts.h"

/* Starts, asks and gives up servers; returns when to do so again. */
uint64_t npi_schedule_step(npi_facts *f);
/* Forgets what was seen, to start once more. */
void npi_schedule_restart(npi_facts *f);
/* Asks the servers again whose observations cannot be compared, all at one moment. */
void npi_schedule_reconfirm(npi_facts *f);
/* How many servers the experiment could use by now. */
size_t npi_schedule_servers_wanted(const npi_facts *f);

/* ---- The questions, pure ---------------------------------------------------------------------------------------- */

/* When nothing more is to be expected of a server that was started. */
uint64_t npi_schedule_exhausted_ns(const npi_facts *f, const npi_server *s);
/*
 * When every server there is has been asked, nothing more is to be expected of any, and names still being resolved are
 * no longer waited for; NPI_NEVER while something is to be expected.
 */
uint64_t npi_schedule_all_exhausted_ns(const npi_facts *f);
/* Until when something other than a deferred trial may yet bring the verdict. */
uint64_t npi_schedule_can_go_on_until_ns(const npi_facts *f);
/* Whether a server other than this may bring what is missing, now. */
bool npi_schedule_others_can_help(const npi_facts *f, size_t server);

/* What to do next about servers not yet asked. */
typedef enum npi_action { NPI_ACTION_WAIT, NPI_ACTION_START, NPI_ACTION_START_WITH_TRIAL } npi_action;
typedef struct npi_next_action {
    npi_action action;
    size_t server;    /* to be started */
    uint64_t wake_ns; /* when to ask again */
} npi_next_action;
npi_next_action npi_schedule_next_action(const npi_facts *f);

#endif
