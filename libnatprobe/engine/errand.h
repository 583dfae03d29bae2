/* SPDX-License-Identifier: MIT */
/* The requests of optional tests: made, answered, and over. */
#ifndef NPI_ENGINE_ERRAND_H
#define NPI_ENGINE_ERRAND_H

#include "facts.h"
#include "silence.h"

/* The next fresh socket; -1: all are used. */
int npi_errand_slot(npi_facts *f);
/* A plain request, or one with CHANGE-REQUEST, to an address of a server, in so many copies. NULL: no room. */
npi_errand *npi_errand_ask(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to,
                           uint32_t change);
/*
 * Plain requests from the next fresh socket to A:P of a server and to its second address, which open the way for the
 * answers of both. False: no room.
 */
bool npi_errand_open_way(npi_facts *f, const char *name, size_t server, const npi_addr *alternate,
                         npi_errand *opener[2]);
/* As npi_errand_ask(), to be answered to another port of this host's, where heard_slot is. */
npi_errand *npi_errand_ask_to(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to,
                              uint16_t response_port, int heard_slot);
/* A datagram that no server answers. */
npi_errand *npi_errand_indicate(npi_facts *f, const char *name, size_t server, int slot, const npi_addr *to);
/* A datagram from one socket of this host to the external address of another, where it is to arrive. */
npi_errand *npi_errand_echo(npi_facts *f, const char *name, int slot, const npi_addr *to, int heard_slot);
/* At most NPI_ERRAND_DATA bytes of another protocol, on a socket of their own. */
npi_errand *npi_errand_raw(npi_facts *f, const char *name, int slot, const npi_addr *to, const uint8_t *data,
                           size_t size);

/* Whose answer a datagram is that came to a slot, if it can be told; response->kind tells whether it is STUN. */
npi_errand *npi_errand_of(npi_facts *f, int slot, const npi_stun_response *response, const uint8_t *data, size_t size);
/* Takes it in. */
void npi_errand_take(npi_facts *f, npi_errand *e, const npi_stun_response *response, const npi_addr *from,
                     const npi_addr *local, const uint8_t *data, size_t size);

bool npi_errand_is_answered(const npi_errand *e);
/* No more copies. */
void npi_errand_stop(npi_errand *e);
/* It is over, and not looked at any more: its place is free. */
void npi_errand_release(npi_errand *e);
/* When no answer is to be expected any more: all copies are sent and old enough, or it cannot be sent. */
uint64_t npi_errand_over_ns(const npi_facts *f, const npi_errand *e);
/* All copies are sent, and answered or old; otherwise *wake_ns is moved forward to when it is so. */
bool npi_errand_is_complete(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns);
/* Answered, or over; otherwise *wake_ns is moved forward to when it is over. */
bool npi_errand_is_settled(const npi_facts *f, const npi_errand *e, uint64_t *wake_ns);

/* Adds what its copies show of losses. */
void npi_errand_count(const npi_facts *f, const npi_errand *e, npi_loss *loss);

#endif
