/* SPDX-License-Identifier: MIT */
/* What a server is asked in a survey, one datagram at a time, and what its answers show of it. Pure. */
#ifndef NPI_APPRAISAL_H
#define NPI_APPRAISAL_H

#include <stdbool.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "stun.h"

/* What it is asked. A and P are the address and port in the list, B and Q the others (RFC 5780). */
typedef enum npi_ask {
    NPI_ASK_NOTHING,
    NPI_ASK_PLAIN,
    NPI_ASK_II,
    NPI_ASK_III,
    NPI_ASK_BP,
    NPI_ASK_BQ,
    NPI_ASK_AQ,
    NPI_ASKS
} npi_ask;

/* How often: so many plain answers are compared; an answer to II and III has to come twice. */
#define NPI_APPRAISAL_FIRST 3 /* plain requests in each form until the server is called silent */
#define NPI_APPRAISAL_PLAIN 5
#define NPI_APPRAISAL_PLAIN_MAX 8
#define NPI_APPRAISAL_CHANGE 2
#define NPI_APPRAISAL_CHANGE_MAX 5 /* 1 in 4,000 is lost as often in a row if every fifth is */
#define NPI_APPRAISAL_ALTERNATE_MAX 4
#define NPI_APPRAISAL_SILENT 3 /* from so many on, no answer is silence */
/* A check takes an answer to II or III for missing that comes later than this behind a plain one. */
#define NPI_APPRAISAL_LATE_US 250000
/* Of the datagrams that it may send: what answers more often is no server. */
#define NPI_APPRAISAL_FLOOD 2000

typedef struct npi_appraisal {
    npi_addr server;    /* A:P */
    npi_addr alternate; /* as named first; family none: none was named */
    npi_addr external;  /* as reported first */
    npi_addr stray;     /* where answers to plain requests came from that should have come from A:P */
    uint8_t sent[NPI_ASKS];
    uint8_t answered[NPI_ASKS];
    uint8_t honoured[NPI_ASKS], partial[NPI_ASKS], ignored[NPI_ASKS], rejected[NPI_ASKS];
    bool is_classic; /* it answers none but requests in that form */
    uint16_t stun_error;
    bool is_external_wrong;
    bool is_external_unstable;
    bool is_alternate_unstable; /* it named another one later */
    bool has_unusable;          /* something else came than an answer that can be used */
    bool is_flood;
    uint32_t packets_sent;
    uint32_t packets_received;
    uint64_t rtt_us[NPI_ASKS]; /* the shortest; 0: none */
} npi_appraisal;

/* An answer to one of the requests. */
typedef struct npi_reply {
    npi_ask ask;
    npi_addr from;
    npi_addr local; /* where the request had left from; family none: not known */
    uint64_t rtt_us;
    bool is_classic; /* the request had the form of RFC 3489 */
    bool is_again;   /* this very request has been answered before */
} npi_reply;

void npi_appraisal_init(npi_appraisal *a, const npi_addr *server);
/* What to ask next, if what has been asked gets no further answer. NPI_ASK_NOTHING: all has been asked. */
npi_ask npi_appraisal_next(const npi_appraisal *a);
/* Where that goes, its flags of CHANGE-REQUEST, and the form that it has. */
npi_addr npi_appraisal_target(const npi_appraisal *a, npi_ask ask);
uint32_t npi_appraisal_change(npi_ask ask);
npi_stun_dialect npi_appraisal_dialect(const npi_appraisal *a);
void npi_appraisal_sent(npi_appraisal *a, npi_ask ask);
/* A datagram came, whatever it is. False when that is enough. */
bool npi_appraisal_received(npi_appraisal *a);
/* It was none that can be used. */
void npi_appraisal_unusable(npi_appraisal *a);
void npi_appraisal_take(npi_appraisal *a, const npi_reply *reply, const npi_stun_response *response);
/* Fills in what the answers show; the names and numbers of the report are the caller's. */
void npi_appraisal_judge(const npi_appraisal *a, np_survey_report *report);
/* Whether B is an address that datagrams may be sent to. */
bool npi_appraisal_has_alternate(const npi_appraisal *a);

typedef enum npi_openness { NPI_NOT_DECIDED, NPI_IS_OPEN, NPI_IS_NOT_OPEN } npi_openness;
/* Whether a check proves that this host is open; if it does not decide, one with other servers may. */
npi_openness npi_openness_of(const np_result *check);

#endif
