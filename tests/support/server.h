/* SPDX-License-Identifier: MIT */
/*
 * The tests' one STUN server: the datagram that came, where from and where to, and the server's character in; the
 * datagrams that it answers, with where they come from and how late, out. It does no input or output.
 */
#ifndef TESTS_SUPPORT_SERVER_H
#define TESTS_SUPPORT_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "endpoint.h"
#include "message.h"

typedef enum change_mode {
    CHANGE_HONOURED,
    CHANGE_IGNORED,      /* always answered from where it was asked */
    CHANGE_PORT_ONLY,    /* II from A:Q, III from A:Q */
    CHANGE_IP_ONLY,      /* II from B:P, III from A:P */
    CHANGE_ODD_PORT,     /* from the right IP and a port that is not Q */
    CHANGE_REJECTED,     /* error reject_code */
    CHANGE_DROPPED,      /* no answer */
    CHANGE_IP_DROPPED,   /* II no answer, III right */
    CHANGE_PORT_DROPPED, /* II right, III no answer */
    CHANGE_MODES
} change_mode;

typedef enum response_port_mode {
    RESPONSE_PORT_IGNORED, /* answered to where it came from */
    RESPONSE_PORT_HONOURED,
    RESPONSE_PORT_REJECTED /* error 420 */
} response_port_mode;

typedef enum server_dialect { DIALECT_ANY, DIALECT_COOKIE, DIALECT_CLASSIC } server_dialect;

typedef enum mapped_form {
    MAPPED_XOR,
    MAPPED_XOR_AND_PLAIN,
    MAPPED_XOR_OLD, /* 0x8020 */
    MAPPED_PLAIN,
    MAPPED_REWRITTEN, /* XOR right, plain one rewritten by an ALG to the inside address */
    MAPPED_ZERO_IP,
    MAPPED_ZERO_PORT,
    MAPPED_NONE,
    MAPPED_OTHER_FAMILY,
    MAPPED_PRIVATE, /* the server is behind a proxy, and sees that */
    MAPPED_FORMS
} mapped_form;

typedef enum other_form { OTHER_NONE, OTHER_RFC5780, OTHER_RFC3489, OTHER_BOTH } other_form;

typedef enum plain_mode { /* what a plain request gets */
                          PLAIN_ANSWERED,
                          PLAIN_SILENT,
                          PLAIN_GARBAGE,
                          PLAIN_TRUNCATED,
                          PLAIN_WRONG_ID,
                          PLAIN_ECHO,
                          PLAIN_ERROR_300, /* with ALTERNATE-SERVER */
                          PLAIN_ERROR_500,
                          PLAIN_ELSEWHERE, /* a good answer, from the other port */
                          PLAIN_MODES,     /* those above are what the simulator draws from */
                          PLAIN_TEXT,      /* not STUN at all */
                          PLAIN_EMPTY,     /* a datagram of no bytes */
                          PLAIN_HUGE,      /* the longest datagram there is */
                          PLAIN_NO_ATTRIBUTES,
                          PLAIN_CUT, /* an attribute that ends behind the datagram */
                          PLAIN_ERROR_400,
                          PLAIN_ERROR_401 /* as a TURN server that wants credentials */
} plain_mode;

typedef enum rate_kind { RATE_WINDOW, RATE_BUCKET } rate_kind;

typedef enum seen_port { SEEN_PORT_TRUE, SEEN_PORT_FIXED, SEEN_PORT_CHANGING } seen_port;
typedef enum server_state { STATELESS, STATE_BY_ENDPOINT, STATE_BY_ADDRESS } server_state;

typedef struct server_desc {
    endpoint a;                     /* A:P */
    endpoint b;                     /* B:Q */
    bool two_ports;                 /* Q is served */
    bool two_ips;                   /* B is served */
    bool deaf_aq, deaf_bp, deaf_bq; /* takes no requests there, and yet may answer from there */
    server_dialect dialect;
    bool adapts; /* answers requests without a cookie as RFC 3489 has it, whatever mapped and other say */
    plain_mode plain;
    mapped_form mapped;
    other_form other;
    bool other_is_false; /* names false_other instead of B:Q */
    endpoint false_other;
    bool other_flips; /* names B:Q and false_other in turn */
    change_mode change;
    response_port_mode response_port;
    unsigned reject_code;
    bool origin, software, fingerprint, unpadded;
    unsigned copies;  /* of every answer */
    uint64_t late_ns; /* added to every answer */
    unsigned rate;    /* most requests per 100 ms; 0: any number */
    rate_kind rate_kind;
    unsigned flood;        /* near-valid datagrams for every request */
    uint64_t extra_rtt_ns; /* to reach this server, beyond the world's */
    uint64_t extra_b_ns;   /* for its second address, one way */
    double loss_b;         /* lost on the way from the second address */
    bool no_route;         /* the host has no route to it */
    bool change_flips;     /* every other CHANGE-REQUEST is ignored: two machines at one address */
    uint64_t dies_ns;      /* after the start; 0: never */
    uint64_t back_ns;      /* and is there again; 0: never */
    bool dies_in_part;     /* only its second address dies */
    bool exempt;           /* reached without any translation */
    endpoint sees;         /* tells everybody of this address; family 0: of the true one */
    seen_port sees_port;
    server_state state;     /* its own firewall drops what goes to clients that have not sent to where it comes from */
    uint64_t change_gap_ns; /* least time between two answers to a client's CHANGE-REQUESTs; 0: none */
    endpoint true_a;        /* A is translated to this, and III is answered from here; family 0: not so */
    uint64_t busy_ns;       /* its own time for each answer, one after the other */
    bool second_way[2];     /* A, B: reached by the second way where the servers decide */
} server_desc;

#define SERVER_MET 64
#define SERVER_CLIENTS 16

typedef struct server_client { /* by IP address */
    endpoint address;
    uint64_t changes_from_ns; /* when its next CHANGE-REQUEST is answered */
} server_client;

typedef struct server_engine {
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
} server_engine;

typedef struct server_answer {
    endpoint from;
    uint16_t to_port; /* where to, if not to where the request came from; 0: there */
    message message;
    uint64_t delay_ns;
    bool is_flood;
} server_answer;

void server_init(server_engine *s, const server_desc *desc, uint64_t start_ns);
/* A conforming server of RFC 5780 at A:P and B:Q. */
server_desc server_conforming(endpoint a, endpoint b);
/* Endpoint i has the second address if i & 2, and the second port if i & 1. */
endpoint server_endpoint(const server_desc *desc, unsigned i);
/* The endpoint that a request to another one should be answered from, by its CHANGE-REQUEST. */
endpoint server_answerer(const server_desc *desc, const endpoint *at, uint32_t change);
/* Whether to is one of the four endpoints that this server serves (alive or not). */
bool server_owns(const server_desc *desc, const endpoint *to);
/* True when to is at the server's second IP address. */
bool server_is_second(const server_desc *desc, const endpoint *to);

typedef void (*server_send_fn)(void *user, const server_answer *answer);
/* Handles one datagram; send is called for each one that goes out. local: the address an ALG would betray. */
void server_receive(server_engine *s, uint64_t now_ns, const endpoint *from, const endpoint *to, const endpoint *local,
                    const uint8_t *data, size_t size, server_send_fn send, void *user);

#endif
