/* SPDX-License-Identifier: MIT */
/* Is a silence proven, given the losses seen (docs/METHOD.md section 5)? Pure. */
#ifndef NPI_ENGINE_SILENCE_H
#define NPI_ENGINE_SILENCE_H

#include "facts.h"

/* Requests of known outcome on one path. */
typedef struct npi_loss {
    uint32_t answered;
    uint32_t lost; /* old enough to have been answered, and not */
} npi_loss;

/* What is known of answers that come more than once. */
typedef struct npi_echo {
    bool duplicated; /* there are duplicates, so that answers close behind others do not count */
    uint32_t copies; /* so many copies may have brought so many answers; as many as copies where each brings one */
    uint32_t answers;
} npi_echo;
void npi_loss_add(npi_loss *loss, const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, const npi_echo *echo);
/* So many more are under way: they are expected to fare like the others. */
void npi_loss_expect(npi_loss *loss, uint32_t open);
/*
 * The probability that as few requests are lost as were, and n others all are, at the rate of loss that makes this most
 * likely. No assumption about the rate enters.
 */
double npi_loss_p_all_lost(const npi_loss *loss, uint32_t n);
/* So much is hardly chance: a limit of rate, which hits one test and spares another. */
bool npi_loss_is_extreme(const npi_loss *loss);
/* Of requests that left together with silent ones: the loss of a third of them may be a burst, which is no chance. */
bool npi_loss_is_burst(const npi_loss *loss);
/* Whether that probability is below the limit; where more than a third is lost the limit is stricter. */
bool npi_silence_holds(const npi_loss *loss, uint32_t silent, double limit);

/* What the requests that any server answers show of the path. */
npi_loss npi_silence_path_loss(const npi_facts *f, const npi_trial *t);
/*
 * The test whose silence carries the proof: III while it is silent (a filter that passes II passes III too), else II.
 */
bool npi_silence_rests_on_iii(const npi_filtering *p);
/* Its first transaction. */
const npi_exchange *npi_silence_proof(const npi_filtering *p);
/* Whether the second transaction is of the test that carries the proof. */
bool npi_silence_has_second(const npi_filtering *p);
/* How many copies of the test that carries the proof were sent, on a path that was awake. */
uint32_t npi_silence_copies(const npi_facts *f, const npi_trial *t);
/* Too few copies, however few losses were seen. */
bool npi_silence_is_short(const npi_server *s, uint32_t copies);
/* Would the silence be proven with so many more copies of I and of the silent test, if they fare like those before? */
bool npi_silence_is_enough_with(const npi_facts *f, const npi_trial *t, uint32_t plain, uint32_t silent);
/*
 * A server that answers one CHANGE-REQUEST of a client in a while may have left II or III without an answer, whatever
 * the NAT does. Only answers to copies that left together exclude that.
 */
typedef enum npi_ration { NPI_RATION_EXCLUDED, NPI_RATION_OPEN, NPI_RATION_LIKELY } npi_ration;
/* What the copies of a request that is answered show. age_ns: from which on no answer is expected. */
npi_ration npi_silence_ration(const npi_facts *f, const npi_trial *t, const npi_transaction *x, const npi_burst *b,
                              uint64_t age_ns);
/* The first burst of a control. */
npi_burst npi_silence_first_burst(const npi_facts *f, const npi_trial *t);
/* When the next copy of a burst is due, or the first of a new one since no more is to be expected of the last. */
uint64_t npi_silence_burst_ns(const npi_transaction *x, const npi_burst *b, uint64_t age_ns);
/* The burst that a copy belongs to which leaves now. */
npi_burst npi_silence_burst(const npi_facts *f, const npi_transaction *x, const npi_burst *b);
/* With all that is known of losses after the mapping phase: a silence that was proven is so no longer. */
bool npi_silence_is_doubtful(const npi_facts *f, const npi_trial *t);
/* When the last copy on the filtering socket is old enough to count as unanswered. */
uint64_t npi_silence_ready_ns(const npi_facts *f, const npi_trial *t);
/*
 * When the next copy of any request to this server turns out to be lost, so that the proof has to be looked at again.
 */
uint64_t npi_silence_next_loss_ns(const npi_facts *f, const npi_trial *t);

#endif
