/* SPDX-License-Identifier: MIT */
/*
 * A STUN server in a thread, on loopback addresses of its own (two addresses x two ports, RFC 5780), that behaves as
 * well or as badly as a test wants. It shares no code with the library, so that no mistake can hide in both.
 */
#ifndef TESTS_STUN_SERVER_H
#define TESTS_STUN_SERVER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum stun_change { /* what it does with CHANGE-REQUEST */
                           STUN_CHANGE_HONOUR,
                           STUN_CHANGE_IGNORE,  /* answers from where it was asked */
                           STUN_CHANGE_PARTIAL, /* changes the port only, whatever was asked */
                           STUN_CHANGE_REJECT,  /* error 420 */
                           STUN_CHANGE_DROP     /* no answer */
} stun_change;

typedef enum stun_reply { /* what its answers look like */
                          STUN_REPLY_GOOD,
                          STUN_REPLY_NONE,
                          STUN_REPLY_TEXT,         /* not STUN at all */
                          STUN_REPLY_EMPTY,        /* a datagram of no bytes */
                          STUN_REPLY_HUGE,         /* the longest datagram there is */
                          STUN_REPLY_WRONG_ID,     /* a good answer to somebody else */
                          STUN_REPLY_ECHO,         /* the request itself */
                          STUN_REPLY_NO_ADDRESS,   /* a success without any attribute */
                          STUN_REPLY_CUT,          /* an attribute that ends behind the datagram */
                          STUN_REPLY_BAD_REQUEST,  /* error 400 */
                          STUN_REPLY_TRY_ALTERNATE /* error 300 with ALTERNATE-SERVER */
} stun_reply;

typedef enum stun_mapping {                           /* the NAT that it pretends to see */
                            STUN_MAPPING_TRUE,        /* none: the source address as it is */
                            STUN_MAPPING_SHIFTED,     /* the same other port for all */
                            STUN_MAPPING_BY_ADDRESS,  /* another port at the second address */
                            STUN_MAPPING_BY_ENDPOINT, /* another port at each of the four endpoints */
                            STUN_MAPPING_MOVING_ONCE, /* another port once anything but A:P has been asked */
                            STUN_MAPPING_WANDERING    /* another port in each answer */
} stun_mapping;

typedef struct stun_server_config {
    const char *ip;    /* NULL: some address in 127.0.0.0/8 */
    uint16_t port;     /* 0: some port */
    bool single;       /* one address, one port, no OTHER-ADDRESS */
    bool classic_only; /* passes over requests with a magic cookie, RFC 3489 */
    stun_change change;
    stun_reply reply;
    stun_mapping mapping;
    unsigned slow_ms;     /* thinks for that long about each request */
    const char *other_ip; /* names this second address instead of its own */
    /* Called in the server's thread for each request before it is answered. */
    void (*on_request)(void *user);
    void *user;
} stun_server_config;

typedef struct stun_server stun_server;

/* NULL when there is no such address here. */
stun_server *stun_server_start(const stun_server_config *config);
void stun_server_stop(stun_server *server);
/* "IP:PORT" or "[IPv6]:PORT" of the primary endpoint, as np_probe_add_server wants it. */
const char *stun_server_name(const stun_server *server);
const char *stun_server_ip(const stun_server *server);
/* How many requests it has seen so far. */
unsigned stun_server_requests(const stun_server *server);

#endif
