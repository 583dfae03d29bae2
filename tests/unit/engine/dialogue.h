/* SPDX-License-Identifier: MIT */
/*
 * A dialogue between an engine, one NAT and RFC 5780 servers on virtual time. Nothing is lost and every round trip
 * takes the same time, so a test can say exactly what has to happen and when.
 */
#ifndef DIALOGUE_H
#define DIALOGUE_H

#include "engine/engine.h"

/* RFC 4787 sections 4.1 and 5, for the mapping and for the filtering. */
typedef enum rule { BY_NOTHING, BY_ADDRESS, BY_ADDRESS_AND_PORT } rule;

typedef struct nat {
    bool translates;
    bool blocks;         /* nothing comes back */
    bool ignores_change; /* the servers do: each answer comes from where its request went */
    rule mapping;
    rule filtering;
} nat;

#define DIALOGUE_T0 (UINT64_C(7000) * NPI_MS) /* no dialogue starts at the clock's zero */
/* Behind a NAT the host has a private address, otherwise one like the servers'. */
#define DIALOGUE_LOCAL npi_addr_v4(192, 168, 1, 2, 40000)
#define DIALOGUE_PUBLIC npi_addr_v4(192, 0, 2, 9, 5000)

typedef struct sent_copy {
    uint64_t at_ns;
    int slot;
    npi_addr to;
    uint32_t change;
} sent_copy;

typedef struct flight {
    uint64_t at_ns;
    int slot;
    npi_addr asked; /* where the request went: that mapping takes the answer */
    npi_addr from;
    size_t size;
    uint8_t data[80];
} flight;

typedef struct dialogue {
    npi_engine *e;
    nat nat;
    uint64_t rtt_ns;
    uint64_t tick_ns; /* the engine is also advanced this often, though nothing is due; 0: only when it asks to be */
    uint64_t now_ns;
    bool has_one_socket;    /* the system gives none for filtering */
    bool is_change_ignored; /* by the servers */
    uint32_t random;
    npi_addr unsteady_ip; /* a server's, which tells another port each time */
    size_t sent_count;
    size_t landed; /* of these the answer has come, or was kept out */
    unsigned idle_steps;
    size_t events, conclusions; /* for observers */
    npi_addr external;          /* its port is that of slot 0 towards the first destination */
    npi_addr local;             /* of slot 0 */
    sent_copy sent[400];
    flight flights[400];
} dialogue;

/* Server n has A:P = 198.51.100.(2n+1):3478 and B:Q = 198.51.100.(2n+2):3479. */
npi_addr dialogue_server(unsigned n);
/* A configuration without observers, deadline 10 s and response timeout 3 s after DIALOGUE_T0. */
npi_engine_config dialogue_config(int32_t tests, size_t max_servers);
/* An engine with so many servers, none to come. */
void dialogue_begin(dialogue *d, const nat *n, int32_t tests, unsigned servers);
void dialogue_end(dialogue *d);
/* Sends what is due now. */
void dialogue_send(dialogue *d);
/* Waits for the next answer or wake-up, whichever comes first, and acts. */
void dialogue_step(dialogue *d);
/* Until the engine is done. */
void dialogue_talk(dialogue *d);
np_result dialogue_result(const dialogue *d);

/* A success with a mapped address, and OTHER-ADDRESS where other is set; returns its size. */
size_t dialogue_answer(uint8_t out[80], const uint8_t *request, npi_addr mapped, npi_addr other);

#endif
