/* SPDX-License-Identifier: MIT */
/*
 * The NAT that a server on loopback pretends. It translates nothing: the server reports other ports than it sees, and
 * does not send what the NAT would not let in.
 */
#ifndef TESTS_SUPPORT_PRETENDED_NAT_H
#define TESTS_SUPPORT_PRETENDED_NAT_H

#include <stdbool.h>

#include "endpoint.h"
#include "nat.h"

typedef enum pretended_mapping {
    MAPPING_TRUE,        /* no NAT: the source address as it is */
    MAPPING_SHIFTED,     /* the same other port for all endpoints */
    MAPPING_BY_ADDRESS,  /* another port for the second address */
    MAPPING_BY_ENDPOINT, /* another port for each endpoint */
    MAPPING_MOVING_ONCE, /* another port once anything but A:P has been asked */
    MAPPING_WANDERING,   /* another port in each answer */
    MAPPING_FEW_PORTS    /* the same for all endpoints, and one of sixteen: two that are equal may be chance */
} pretended_mapping;

enum { PRETENDED_CLIENTS = 64 };

/* Servers have endpoints 0 (A:P), 1 (A:Q), 2 (B:P) and 3 (B:Q). */
typedef struct pretended_nat {
    pretended_mapping mapping;
    dependence filtering;
    unsigned number; /* of several servers: where each endpoint has a mapping of its own, so have each server's */
    unsigned client_count;
    struct pretended_client {
        endpoint address;
        unsigned asked; /* bits: the endpoints that it has sent to */
    } clients[PRETENDED_CLIENTS];
    unsigned requests;
    bool moved;
} pretended_nat;

/* A request goes out to an endpoint. Returns the number of the client: the same one for the same socket. */
unsigned pretended_out(pretended_nat *nat, const endpoint *client, unsigned asked);
/* What the server sees of a client. */
endpoint pretended_seen(const pretended_nat *nat, const endpoint *client, unsigned asked);
/* Whether an answer that comes from an endpoint gets in, to the mapping of a request to another. */
bool pretended_lets_in(const pretended_nat *nat, unsigned client, unsigned asked, unsigned from);

#endif
