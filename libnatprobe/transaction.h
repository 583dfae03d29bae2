/* SPDX-License-Identifier: MIT */
/*
 * One request, sent in any number of copies under one id: when each copy went out, how many were answered, when the
 * next one is due, and what a path's round trips and losses look like. Pure bookkeeping: now comes in as an argument.
 */
#ifndef NPI_TRANSACTION_H
#define NPI_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "stun.h"
#include "tstamp.h"

#define NPI_COPIES_MAX 64

/* The lesser of two counts. */
static inline uint32_t npi_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Round-trip times of one server as seen so far (RFC 6298 without its clock granularity and first guess). */
typedef struct npi_rtt {
    uint64_t smoothed_ns; /* 0: nothing measured */
    uint64_t deviation_ns;
    uint64_t lowest_ns;
    uint32_t samples;
    uint32_t low; /* samples in a row far below what was believed */
    bool has_exact;
} npi_rtt;

/* Of a request sent once, or of one of several copies, nobody knows which (Karn). */
typedef enum npi_rtt_quality { NPI_RTT_AMBIGUOUS, NPI_RTT_EXACT } npi_rtt_quality;

/*
 * One exact sample far below what was believed, or two others in a row, show that an ambiguous one had misled: the
 * estimate starts anew.
 */
void npi_rtt_sample(npi_rtt *rtt, uint64_t sample_ns, npi_rtt_quality quality);
/* The age from which an unanswered copy counts as lost: round trip plus deviation. NPI_NEVER when nothing is known. */
uint64_t npi_rtt_rto(const npi_rtt *rtt);
/* No answer to a copy is expected sooner than this after it: seven eighths of the shortest round trip. */
uint64_t npi_rtt_floor(const npi_rtt *rtt);

typedef struct npi_transaction {
    npi_stun_id id;
    bool started;
    bool stopped;   /* no more copies */
    uint32_t limit; /* most copies, at most NPI_COPIES_MAX */
    uint32_t sent;
    uint32_t answers;           /* at most as many as were sent: a duplicated datagram is no second answer */
    uint32_t extra_answers;     /* answers beyond the copies that were sent */
    uint32_t likely_duplicates; /* of all, those so close behind another that they may be duplicates */
    uint32_t bunches;           /* of answers: each came well behind the one before */
    uint64_t last_answer_ns;
    uint64_t first_ns;                /* when the first copy went out */
    uint32_t sent_us[NPI_COPIES_MAX]; /* each copy, in microseconds after the first */
    uint64_t answered_copies;         /* a bit for each copy that an answer was probably for */
    uint64_t answered_ns;             /* first answer, NPI_NEVER before */
    uint64_t next_ns;                 /* next copy is due; NPI_NEVER: none */
} npi_transaction;

void npi_transaction_start(npi_transaction *t, const npi_stun_id *id, uint32_t limit, uint64_t now_ns);
/* A copy went out; the next one, if any, is due after gap_ns. */
void npi_transaction_sent(npi_transaction *t, uint64_t now_ns, uint64_t gap_ns);
/* The copy counted last did not leave after all; it is due again at retry_ns. */
void npi_transaction_unsent(npi_transaction *t, uint64_t retry_ns);
/*
 * An answer came. Returns the round trip of the oldest copy that it can be for: an upper bound, exact without loss
 * (Karn's ambiguity is resolved towards waiting longer). 0 when there is no such copy. Of the copies without an answer
 * it is probably for the one whose round trip is nearest to what is usual on the path, or for the oldest if none has
 * one that is usual. usual: NULL where nothing is known. repeats: the server sends each answer several times, so that
 * one which fits a copy with an answer is that answer again.
 */
uint64_t npi_transaction_answered(npi_transaction *t, uint64_t now_ns, const npi_rtt *usual, bool repeats);
/* Whether one of the answers was probably for this copy. */
bool npi_transaction_is_copy_answered(const npi_transaction *t, uint32_t copy);
/* Of the copies sent, the one whose round trip would be nearest to what is expected: that round trip. */
uint64_t npi_transaction_nearest(const npi_transaction *t, uint64_t now_ns, uint64_t expected_ns);
/* The least round trip that an answer now can have had, if none is below floor_ns; 0: of no copy. */
uint64_t npi_transaction_least_rtt_ns(const npi_transaction *t, uint64_t now_ns, uint64_t floor_ns);
/* When a copy went out: 0 is the first one, and it is below t->sent. */
uint64_t npi_transaction_copy_ns(const npi_transaction *t, uint32_t copy);
/* When the copy sent last went out; 0 before the first. */
uint64_t npi_transaction_last_ns(const npi_transaction *t);
void npi_transaction_stop(npi_transaction *t);
bool npi_transaction_due(const npi_transaction *t, uint64_t now_ns);
bool npi_transaction_is_answered(const npi_transaction *t);
/* When the first copy left that was sent at or after a time; 0 when none was. */
uint64_t npi_transaction_first_since(const npi_transaction *t, uint64_t from_ns);
/* How many copies were sent at or after a time. */
uint32_t npi_transaction_sent_since(const npi_transaction *t, uint64_t from_ns);
/* How many copies are at least age_ns old. */
uint32_t npi_transaction_aged(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns);
/* When the next copy reaches age_ns; NPI_NEVER when all have. */
uint64_t npi_transaction_next_aged_ns(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns);
/* When the last copy reaches age_ns; 0 before the first. */
uint64_t npi_transaction_all_aged_ns(const npi_transaction *t, uint64_t age_ns);

/* All answers, be they to copies or beyond them. */
uint32_t npi_transaction_all_answers(const npi_transaction *t);
/* Whether each copy left at least so long after the one before. */
bool npi_transaction_is_spread(const npi_transaction *t, uint64_t gap_ns);
/* In how many moments the copies left that are at least age_ns old: one begins gap_ns or more after the copy before. */
uint32_t npi_transaction_moments(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, uint64_t gap_ns);
/* How many answers have come to each copy, on average and rounded down. */
uint32_t npi_transaction_multiplicity(const npi_transaction *t);

#endif
