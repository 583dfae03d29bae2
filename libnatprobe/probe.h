/* SPDX-License-Identifier: MIT */
/*
 * The experiment of docs/METHOD.md as a state machine that never touches the system: it yields datagrams, eats
 * datagrams and says when it wants to be woken. Time and randomness are arguments; after npi_probe_init it allocates
 * nothing. One thread at a time.
 *
 * The driver's loop:
 *
 *     while (!npi_probe_is_done(p)) {
 *         while (npi_probe_next_datagram(p, now, random, &d))
 *             send d on socket d.slot, opening it if need be; npi_probe_sent(p, &d) or npi_probe_unsent(...);
 *         wait for a datagram or until npi_probe_wakeup_ns(p);
 *         npi_probe_receive(...) for each datagram that came;
 *     }
 *     npi_probe_result(p, now, &result);
 */
#ifndef NPI_PROBE_H
#define NPI_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "classify.h"
#include "limits.h"
#include "log.h"
#include "stun.h"
#include "transaction.h"

/* Socket slots: 0 is the source socket, 1 to NPI_TRIALS_MAX are filtering sockets, each opened at its first datagram. */
#define NPI_SLOT_SOURCE 0
#define NPI_SLOT_COUNT (1 + NPI_TRIALS_MAX)

/* Who is told of every request, answer and conclusion. */
typedef struct npi_observer {
    np_event_fn sink; /* NULL: nobody */
    void *user;
} npi_observer;

typedef struct npi_probe_config {
    int32_t tests;        /* enum np_tests */
    size_t max_servers;   /* as npi_probe_size was asked for */
    uint64_t deadline_ns; /* on the clock of now_ns; NPI_NEVER for none */
    uint64_t response_timeout_ns;
    npi_log log;
    npi_observer observer;
} npi_probe_config;

typedef struct npi_datagram {
    int slot;
    npi_addr to;
    size_t size;
    uint8_t data[NPI_STUN_REQUEST_SIZE];
    npi_transaction *transaction; /* the engine's own, for npi_probe_sent and npi_probe_unsent */
} npi_datagram;

typedef struct npi_probe npi_probe;

/* The size of a probe for so many servers, at most NPI_PROBE_SERVERS; it may live in any suitably aligned memory. */
size_t npi_probe_size(size_t max_servers);
void npi_probe_init(npi_probe *p, const npi_probe_config *config, uint64_t now_ns);

/*
 * A server that may be asked, in order of preference. Servers at an address already added, and addresses to which
 * nothing may be sent, are passed over: false. expected_mapping_only: known to have no second address.
 */
bool npi_probe_add_server(npi_probe *p, const npi_addr *address, bool expected_mapping_only);
/* Whether more servers may still be added (names being resolved). Until it is false the probe waits for them. */
void npi_probe_expect_servers(npi_probe *p, bool more);
/* How many servers the experiment could use by now; more than were added means: bring more. */
size_t npi_probe_servers_wanted(const npi_probe *p);

/* The next datagram to send now; it counts as sent. random: 16 fresh random bytes at every call. */
bool npi_probe_next_datagram(npi_probe *p, uint64_t now_ns, const uint8_t random[NPI_STUN_ID_SIZE], npi_datagram *out);
/* The datagram just yielded has left: told to the log and the observer. */
void npi_probe_sent(npi_probe *p, const npi_datagram *d);
/* Instead: it did not leave, error NP_OK for "no room now", else the NP_ERR_* code; and errno. It is tried again. */
void npi_probe_unsent(npi_probe *p, uint64_t now_ns, const npi_datagram *d, int32_t error, int os_error);
/* Whether a datagram carries the id of a request of the experiment's: on a socket shared with others it is else theirs. */
bool npi_probe_recognises(npi_probe *p, int slot, const uint8_t *data, size_t size);
/* A datagram arrived on slot. local: the address and port it was delivered to. */
void npi_probe_receive(npi_probe *p, uint64_t now_ns, int slot, const npi_addr *from, const npi_addr *local,
                       const uint8_t *data, size_t size);
/* When to call npi_probe_next_datagram again at the latest; NPI_NEVER when done. */
uint64_t npi_probe_wakeup_ns(const npi_probe *p);
/* True while slot may still be needed; a filtering socket of which it is false is to be closed. */
bool npi_probe_slot_in_use(const npi_probe *p, int slot);

bool npi_probe_is_done(const npi_probe *p);
/* Ends the experiment from outside (cancelled, a socket that cannot be had, ...). What is known stays in the result. */
void npi_probe_stop(npi_probe *p, uint64_t now_ns, int32_t error, int os_error);
/* From here on nobody is told of anything. */
void npi_probe_silence(npi_probe *p);
/* Fills every byte of the result. The driver adds what only it knows: a local address where no answer told it. */
void npi_probe_result(const npi_probe *p, uint64_t now_ns, np_result *out);

#endif
