/* SPDX-License-Identifier: MIT */
/*
 * Servers behind a pretended NAT, on loopback and real sockets, but without a thread and on the clock of fault_clock.h:
 * a request is taken when it is sent, and the answer comes a round trip later. So each check meets the same world, turn
 * by turn. It shares no code with the library.
 */
#ifndef TESTS_FAULT_WORLD_H
#define TESTS_FAULT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../support/stun_server.h"

/* A:P, A:Q, B:P, B:Q, and a server on IPv6 with one address and one port. */
enum { WORLD_AP, WORLD_AQ, WORLD_BP, WORLD_BQ, WORLD_SIX, WORLD_ENDPOINTS };

typedef struct world_config {
    pretended_mapping mapping;
    dependence filter;
    change_mode change;  /* what the servers do with CHANGE-REQUEST */
    uint64_t rtt_ns;     /* 0: five milliseconds */
    unsigned closed;     /* bits of the endpoints where nobody listens */
    unsigned cut_answer; /* this answer, counted from 1, ends early; 0: none */
    bool cut_all;        /* and all after it */
    size_t cut_to;       /* bytes */
} world_config;

/* Once in a program, before anything is counted. */
void world_build(void);
/* A new check in a world like this; a mapping and a filter remember nothing of the last one. */
void world_reset(const world_config *config);
void world_close(void);
bool world_has_ipv6(void);

/* "IP:PORT" of an endpoint, its address, and the port for names. */
const char *world_name(unsigned at);
const struct sockaddr *world_server(bool ipv6);
unsigned world_port(void);
/* What the NAT makes of a port of the client's towards A:P. */
unsigned world_mapped_port(unsigned port);
/* How many answers have been sent. */
unsigned world_answers(void);

/* Something for a socket of the client's from a peer, in so many nanoseconds: eight bytes, the first of them 0xFF. */
void world_sends_stray(int fd, uint64_t in_ns, unsigned serial);
/* How many of them have been sent, and have not been lost by the system on their last inch (world_lost). */
unsigned world_strays(void);

/* For the calls and the clock. */
bool world_is_among(unsigned endpoints, const struct sockaddr *name);
void world_takes(int fd, const struct sockaddr *to);
void world_lost(int fd, const struct msghdr *header);
uint64_t world_next_ns(void);
void world_delivers(void);

#endif
