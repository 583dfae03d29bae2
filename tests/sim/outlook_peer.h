/* SPDX-License-Identifier: MIT */
/*
 * A program that wants to reach a peer, as an honest one would be: it knows an outside address of the peer's from the
 * peer's own line, sends there every so often for some seconds, and answers to where a datagram came from.
 */
#ifndef SIM_OUTLOOK_PEER_H
#define SIM_OUTLOOK_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "../support/clock.h"
#include "../support/endpoint.h"

/* What the program does, by the advice that it has. */
typedef struct peer_plan {
    bool initiates;   /* sends of its own accord; otherwise it only answers */
    bool opens;       /* sends one datagram first that dies on the way, and waits until the peer has done the same */
    bool learns;      /* answers to where a datagram came from; otherwise its socket is connected to its peer */
    endpoint told;    /* the peer's outside address; family 0: not known */
    uint64_t wait_ns; /* from the beginning, or from when both have opened, to its first datagram */
} peer_plan;

/* A datagram says whether its sender has heard from the peer. */
typedef struct peer_datagram {
    endpoint to;
    bool has_heard;
    bool dies; /* a low TTL: it leaves the sender's NATs, and does not reach the peer's */
} peer_datagram;

typedef struct peer {
    peer_plan plan;
    endpoint target; /* where it sends to; family 0: not known */
    uint64_t next_ns;
    unsigned sent;
    bool has_heard;    /* a datagram of the peer's came */
    bool is_confirmed; /* and one in which the peer says the same */
} peer;

void peer_begin(peer *p, const peer_plan *plan, uint64_t now_ns);
/* The peer's program says, by way of the rendezvous, that it has opened. */
void peer_hear_of_opening(peer *p, uint64_t now_ns);
/* Writes the datagram that is due; false: none is. */
bool peer_send(peer *p, uint64_t now_ns, peer_datagram *out);
/* Takes a datagram, and writes the answer to it; false: none is due, or the socket does not take the datagram. */
bool peer_receive(peer *p, const endpoint *from, bool has_heard, peer_datagram *answer);

#endif
