/* SPDX-License-Identifier: MIT */
/* What observers are told while the experiment goes on: events, and a line for each request and answer in the log. */
#ifndef NPI_ENGINE_EVENTS_H
#define NPI_ENGINE_EVENTS_H

#include "facts.h"

void npi_event_sent(const npi_facts *f, const npi_exchange *x);
void npi_event_answered(const npi_facts *f, const npi_exchange *x, const npi_addr *from, const npi_stun_response *r);
/* A test goes on (a bit of enum np_tests): it has taken so long, and takes so long at most. */
void npi_event_progress(const npi_facts *f, int32_t test, uint32_t done_s, uint32_t total_s);
/* Tells of each filtering test that has been decided since. The driver tells of the end: only it knows the result. */
void npi_event_conclusions(npi_facts *f);

#endif
