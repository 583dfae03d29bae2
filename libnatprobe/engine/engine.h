/* SPDX-License-Identifier: MIT */
/*
 * The experiment of docs/METHOD.md as a state machine that never touches the system: time and datagrams in, datagrams
 * out. Randomness is an argument; after npi_engine_init it allocates nothing. One thread at a time.
 *
 * The driver's loop:
 *
 *     while (!npi_engine_is_done(e)) {
 *         while (npi_engine_advance(e, now), npi_engine_next_datagram(e, random, &d))
 *             send d on socket d.slot, opening it if need be; npi_engine_sent(e, &d) or npi_engine_unsent(...);
 *         wait for a datagram or until npi_engine_wakeup_ns(e);
 *         for each datagram that came: if (npi_engine_match(e, ...)) npi_engine_receive(e, ...);
 *     }
 *     npi_engine_result(e, now, &result);
 */
#ifndef NPI_ENGINE_H
#define NPI_ENGINE_H

#include "answers.h"
#include "facts.h"
#include "outbox.h"

typedef struct npi_engine npi_engine;

/*
 * The size of an engine for so many servers, at most NPI_SERVERS_MAX, and these tests (enum np_tests). It may live in
 * any suitably aligned memory.
 */
size_t npi_engine_size(size_t max_servers, int32_t tests);
void npi_engine_init(npi_engine *e, const npi_engine_config *config, uint64_t now_ns);

/*
 * A server that may be asked, in order of preference. Servers at an address already added, and addresses to which
 * nothing may be sent, are passed over: false. expected_mapping_only: known to have no second address.
 */
bool npi_engine_add_server(npi_engine *e, const npi_addr *address, bool expected_mapping_only);
/* Whether more servers may still be added (names being resolved). Until it is false the experiment waits for them. */
void npi_engine_expect_servers(npi_engine *e, bool more);
/* How many servers the experiment could use by now; more than were added means: bring more. */
size_t npi_engine_servers_wanted(const npi_engine *e);

/* Does all that time alone can bring about: asks, concludes, or ends. */
void npi_engine_advance(npi_engine *e, uint64_t now_ns);
/*
 * The next datagram to send at the time of npi_engine_advance, which comes before each call; it counts as sent.
 * random: 16 fresh random bytes for each datagram.
 */
bool npi_engine_next_datagram(npi_engine *e, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out);
/* The datagram just yielded has left: told to the log and the observer. */
void npi_engine_sent(npi_engine *e, const npi_datagram *d);
/* Instead: it did not leave, error NP_OK for "no room now", else the NP_ERR_* code; and errno. It is tried again. */
void npi_engine_unsent(npi_engine *e, uint64_t now_ns, const npi_datagram *d, int32_t error, int os_error);

/*
 * Instead: there is no socket for its slot, a filtering socket. It did not leave, and that server tells no filtering;
 * everything else goes on.
 */
void npi_engine_no_socket(npi_engine *e, uint64_t now_ns, const npi_datagram *d);

/* A datagram that came, decoded: whose answer it is. */
typedef struct npi_incoming {
    int slot;
    npi_stun_response response;
    npi_origin origin;
    npi_errand *errand; /* of an optional test; NULL: of none */
    const uint8_t *data;
    size_t size;
} npi_incoming;
/*
 * Decodes a datagram that came to a slot. True when it carries the id of a request of the experiment's: on a socket
 * shared with others it is otherwise theirs. Nothing may happen to the engine, and data has to live, until
 * npi_engine_receive.
 */
bool npi_engine_match(npi_engine *e, int slot, const uint8_t *data, size_t size, npi_incoming *in);
/*
 * Takes it, matched or not. arrived_ns: when it came in, if the driver knows: that may have been before the last call.
 * local: the address and port it was delivered to, NULL when not known.
 */
void npi_engine_receive(npi_engine *e, uint64_t arrived_ns, const npi_incoming *in, const npi_addr *from,
                        const npi_addr *local);

/* When to call npi_engine_advance again at the latest; NPI_NEVER when done. */
uint64_t npi_engine_wakeup_ns(const npi_engine *e);
/* True while slot may still be needed; a filtering socket of which it is false is to be closed. */
bool npi_engine_slot_in_use(const npi_engine *e, int slot);

/*
 * The test GATEWAY wants to know the gateway on the source socket's way to an address: *towards. Asked after each
 * npi_engine_advance, and answered by npi_engine_set_gateway before the next one; else none is known.
 */
bool npi_engine_wants_gateway(const npi_engine *e, npi_addr *towards);
/* Not set: there is none, or it cannot be told. */
void npi_engine_set_gateway(npi_engine *e, const npi_addr *gateway);

/* There is a verdict, or none is to be had, and no optional test goes on. */
bool npi_engine_is_done(const npi_engine *e);
/* There is a verdict, which nothing can change: optional tests may go on. */
bool npi_engine_has_verdict(const npi_engine *e);
/* Some request was answered. */
bool npi_engine_has_heard(const npi_engine *e);
/* When the first datagram left; NPI_NEVER before. */
uint64_t npi_engine_first_sent_ns(const npi_engine *e);
/* Why the filtering is unknown though there is a verdict; NPI_REASON_NONE otherwise. */
npi_reason npi_engine_filtering_reason(const npi_engine *e);
/* Ends the experiment from outside (cancelled, a socket that cannot be had, ...). What is known stays in the result. */
void npi_engine_stop(npi_engine *e, uint64_t now_ns, int32_t error, int os_error);
/* From here on nobody is told of anything. */
void npi_engine_mute(npi_engine *e);
/* Fills every byte of the result. The driver adds what only it knows: a local address where no answer told it. */
void npi_engine_result(const npi_engine *e, uint64_t now_ns, np_result *out);

#endif
