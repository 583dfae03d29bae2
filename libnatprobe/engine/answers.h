/* SPDX-License-Identifier: MIT */
/* An answer becomes facts. */
#ifndef NPI_ENGINE_ANSWERS_H
#define NPI_ENGINE_ANSWERS_H

#include "facts.h"

/* A response to a request of the experiment's. */
typedef struct npi_answer {
    npi_origin origin; /* exchange is not NULL */
    npi_addr from;
    npi_stun_response response;
} npi_answer;

/* What an answer shows about the answers before it. */
typedef enum npi_taken {
    NPI_TAKEN,
    NPI_TAKEN_ADDRESS_CHANGED, /* the external address is another than before: nothing seen can be compared any more */
    NPI_TAKEN_CONTRADICTION /* two answers to one request name two addresses: the same holds, and neither is believed */
} npi_taken;

/* Whether it came from where the request went: to a plain request it has to. */
bool npi_answers_is_from_destination(const npi_exchange *x, const npi_addr *from);
/*
 * A datagram that is no usable answer: with a request's id (x), or from a server's address, it is a sign of something.
 */
void npi_answers_note_stray(npi_facts *f, const npi_exchange *x, const npi_addr *from);
/* Records an answer. An observer has been told before. */
npi_taken npi_answers_take(npi_facts *f, const npi_answer *a);

#endif
