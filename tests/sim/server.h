/* SPDX-License-Identifier: MIT */
/* What a STUN server of a given character answers. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "rng.h"
#include "stunwire.h"
#include "world.h"

#define SERVER_MET 64
#define SERVER_CLIENTS 16

typedef struct server_client { /* by IP address */
    endpoint address;
    uint64_t changes_from_ns; /* when its next CHANGE-REQUEST is answered */
} server_client;

typedef struct server {
    const server_desc *desc;
    uint64_t start_ns;
    unsigned answered; /* so far */
    unsigned changes;  /* CHANGE-REQUESTs so far */
    uint64_t window_ns;
    unsigned in_window;
    double tokens;
    uint64_t tokens_ns;
    endpoint met[SERVER_MET][2]; /* who has sent to which of its endpoints, the oldest forgotten first */
    unsigned mets;
    server_client client[SERVER_CLIENTS];
    unsigned clients;
    uint64_t busy_until_ns;
} server;

typedef struct server_answer {
    endpoint from;
    wire_message message;
    uint64_t delay_ns;
    bool is_flood;
} server_answer;

void server_init(server *s, const server_desc *desc, uint64_t start_ns);
/* Whether to is one of the four endpoints that this server serves (alive or not). */
bool server_owns(const server_desc *desc, const endpoint *to);
/* True when to is at the server's second IP address. */
bool server_is_second(const server_desc *desc, const endpoint *to);

typedef void (*server_send_fn)(void *user, const server_answer *answer);
/* Handles one datagram; send is called for each one that goes out. local: the address an ALG would betray. */
void server_receive(server *s, uint64_t now_ns, const endpoint *from, const endpoint *to, const endpoint *local,
                    const uint8_t *data, size_t size, server_send_fn send, void *user);

#endif
