/* SPDX-License-Identifier: MIT */
/* Which copy of which request is due now, and what becomes of it when it is sent. */
#ifndef NPI_ENGINE_OUTBOX_H
#define NPI_ENGINE_OUTBOX_H

#include "facts.h"

typedef struct npi_datagram {
    int slot;
    npi_addr to;
    size_t size;
    uint8_t data[NPI_STUN_REQUEST_SIZE];
    npi_server *server; /* the engine's own, for npi_outbox_sent and npi_outbox_unsent */
    npi_exchange *exchange;
} npi_datagram;

/* A request of which a copy is due now (exchange is NULL when none is), and when otherwise the next one will be. */
typedef struct npi_due {
    npi_server *server;
    npi_exchange *exchange;
    uint64_t wake_ns;
} npi_due;
npi_due npi_outbox_next_due(const npi_facts *f);

/* Writes the next copy of a request that is due; it counts as sent. random: 16 fresh random bytes. */
void npi_outbox_emit(npi_facts *f, const npi_due *due, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out);
/* It has left. */
void npi_outbox_sent(const npi_datagram *d);
/* It did not leave, and counts as not sent. It is tried again. */
void npi_outbox_take_back(npi_facts *f, const npi_datagram *d);
/* The system would not send it: error NP_OK for "no room now", else the NP_ERR_* code; and errno. It is taken back. */
void npi_outbox_unsent(npi_facts *f, const npi_datagram *d, int32_t error, int os_error);

#endif
