/* SPDX-License-Identifier: MIT */
/* A ring of the times at which the latest transactions started. */
#include "rate.h"

static uint32_t remembered(const npi_rate *rate)
{
    return rate->count < NPI_RATE_TRANSACTIONS ? rate->count : NPI_RATE_TRANSACTIONS;
}

/* When the n-th oldest of those remembered no longer counts; the oldest is the 0th. */
static uint64_t expiry_ns(const npi_rate *rate, uint32_t n)
{
    uint32_t oldest = rate->count - remembered(rate);
    return npi_time_add(rate->started_ns[(oldest + n) % NPI_RATE_TRANSACTIONS], NPI_RATE_WINDOW_NS);
}

uint32_t npi_rate_room(const npi_rate *rate, uint64_t now_ns)
{
    uint32_t used = remembered(rate);
    uint32_t room = NPI_RATE_TRANSACTIONS - used;
    for (uint32_t i = 0; i < used; i++)
        room += expiry_ns(rate, i) <= now_ns;
    return room;
}

uint64_t npi_rate_ready_ns(const npi_rate *rate, uint32_t transactions)
{
    uint32_t free = NPI_RATE_TRANSACTIONS - remembered(rate);
    return transactions <= free ? NPI_NOW : expiry_ns(rate, transactions - free - 1);
}

void npi_rate_use(npi_rate *rate, uint64_t now_ns)
{
    rate->started_ns[rate->count++ % NPI_RATE_TRANSACTIONS] = now_ns;
}

void npi_rate_give_back(npi_rate *rate)
{
    if (rate->count > 0)
        rate->started_ns[--rate->count % NPI_RATE_TRANSACTIONS] = 0;
}

void npi_rate_pass(npi_rate *rate, uint64_t gap_ns)
{
    for (uint32_t i = 0; i < NPI_RATE_TRANSACTIONS; i++)
        rate->started_ns[i] -= npi_time_min(gap_ns, rate->started_ns[i]);
}
