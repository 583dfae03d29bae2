/* SPDX-License-Identifier: MIT */
/*
 * Builds the facts of an experiment by hand: servers, trials, and requests whose copies leave and are answered at given
 * times. Tests of one engine file use it, so that no other engine file decides what they start from.
 */
#ifndef BUILD_H
#define BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/facts.h"

#include "../unit.h"

/* The experiment starts here: no test starts at the clock's zero. Times of tests count from it, in milliseconds. */
#define T0 (UINT64_C(5000) * NPI_MS)
#define AT(ms) (T0 + (uint64_t)(ms)*NPI_MS)
#define AT_US(us) (T0 + (uint64_t)(us)*1000)

#define BUILD_P 3478 /* ports of every server */
#define BUILD_Q 3479

typedef struct build {
    npi_facts f;
    npi_server servers[NPI_SERVERS_MAX];
    npi_trial trials[NPI_TRIALS_MAX];
    npi_errand errands[NPI_OPTIONAL_ERRANDS];
} build;

/* ---- Rows of tables --------------------------------------------------------------------------------------------- */

/* Each fails with the row's sentence, which says what is decided and why. */
#define EXPECT(sentence, condition) build_expect(sentence, condition, #condition, __FILE__, __LINE__)
#define EXPECT_EQUAL(sentence, got, wanted)                                                                            \
    build_expect_equal(sentence, (uint64_t)(got), (uint64_t)(wanted), #got, __FILE__, __LINE__)
/* Times: shown in milliseconds after T0, or as "never". */
#define EXPECT_TIME(sentence, got, wanted) build_expect_time(sentence, got, wanted, T0, #got, __FILE__, __LINE__)
#define EXPECT_GAP(sentence, got, wanted) build_expect_time(sentence, got, wanted, 0, #got, __FILE__, __LINE__)

void build_expect(const char *sentence, bool holds, const char *what, const char *file, int line);
void build_expect_equal(const char *sentence, uint64_t got, uint64_t wanted, const char *what, const char *file,
                        int line);
void build_expect_time(const char *sentence, uint64_t got_ns, uint64_t wanted_ns, uint64_t origin_ns, const char *what,
                       const char *file, int line);

/* ---- The experiment --------------------------------------------------------------------------------------------- */

/* An experiment that begins now (T0), tests everything, has no deadline, no log and no observer. */
void build_init(build *b);
void build_now(build *b, uint64_t now_ns);

/* A:P, A:Q, B:P and B:Q of the n-th server; every server has two addresses of its own. */
npi_addr build_a(size_t n, uint16_t port);
npi_addr build_b(size_t n, uint16_t port);
/* The source socket as the NAT shows it, with any port, and as it is. */
npi_addr build_external(uint16_t port);
npi_addr build_local(void);

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

/* One more server: known, not asked. */
npi_server *build_server(build *b);
/* One that was asked at T0 and has been silent. */
npi_server *build_asked_server(build *b);
/* One that has answered, with this round trip, and has named its second address. */
npi_server *build_answering_server(build *b, unsigned rtt_ms);
/* A round trip known from one exact sample: its deviation is the least there is, so that the rto is 4 ms more. */
void build_rtt(npi_rtt *rtt, unsigned rtt_ms);
/* A:P saw the source socket as this address: by a request whose only copy left and was answered then. */
void build_sees(npi_server *s, const npi_addr *external, uint64_t sent_ns, uint64_t heard_ns);
npi_sample build_sample(uint64_t first_ns, uint64_t last_ns, uint64_t heard_ns);

/* ---- Trials ----------------------------------------------------------------------------------------------------- */

/* A trial in its filtering phase, with a socket of its own. No request has been sent. */
npi_trial *build_trial(build *b, npi_server *s);
/* II and III were silent: as filtering.c leaves a trial when the mapping phase begins. */
void build_silent(npi_trial *t);
/* Decided, and in this phase. */
void build_decided(npi_trial *t, int32_t filtering, bool proven, npi_reason reason, npi_phase phase);
/* A request of the mapping phase, NPI_M_BP to NPI_C_III: queued, not sent. */
npi_exchange *build_ask(build *b, npi_trial *t, int index);

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* One more copy leaves; the first one starts the transaction. */
void build_send(npi_exchange *x, uint64_t at_ns);
/* So many copies, the first one then, and the others so far behind each other. */
void build_send_copies(npi_exchange *x, unsigned copies, uint64_t first_ns, unsigned gap_ms);
/* An answer comes, to the local address. */
void build_answer(npi_exchange *x, uint64_t at_ns);
/* An answer to each of the first copies sent, a round trip after the copy. */
void build_answer_copies(npi_exchange *x, unsigned copies, unsigned rtt_ms);
/* A plain request of the source socket: one copy, and the answer that shows this external address. */
void build_observe(npi_exchange *x, const npi_addr *external, uint64_t sent_ns, uint64_t heard_ns);

#endif
