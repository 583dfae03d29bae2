/* SPDX-License-Identifier: MIT */
/* At most NPI_RATE_TRANSACTIONS new transactions in any NPI_RATE_WINDOW_NS (RFC 5780 section 5). */
#ifndef NPI_ENGINE_RATE_H
#define NPI_ENGINE_RATE_H

#include "facts.h"

/* How many transactions may start now. */
uint32_t npi_rate_room(const npi_rate *rate, uint64_t now_ns);
/* When so many, at most NPI_RATE_TRANSACTIONS, may start together, if none starts before. */
uint64_t npi_rate_ready_ns(const npi_rate *rate, uint32_t transactions);
/* A transaction starts. */
void npi_rate_use(npi_rate *rate, uint64_t now_ns);
/* The transaction that started last did not leave. */
void npi_rate_give_back(npi_rate *rate);
/* So much time has passed that the clock of now_ns leaves out. To servers it is time like any other. */
void npi_rate_pass(npi_rate *rate, uint64_t gap_ns);

#endif
