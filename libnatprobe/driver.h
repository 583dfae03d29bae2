/* SPDX-License-Identifier: MIT */
/* Joins the experiment to sockets, clock, randomness and names, one turn at a time. */
#ifndef NPI_DRIVER_H
#define NPI_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "failure.h"
#include "log.h"
#include "poller.h"
#include "engine/engine.h"
#include "servers.h"

/* A socket of the caller's, and who gets what comes to it and is not ours. */
typedef struct npi_callers_socket {
    np_socket fd; /* NP_INVALID_SOCKET: none */
    np_datagram_fn on_datagram;
    void *user;
} npi_callers_socket;

typedef struct npi_driver_config {
    npi_addr source;       /* family decides; any-address allowed */
    const char *interface; /* of the library's own sockets, NULL: any; outlives the run */
    npi_callers_socket socket;
    int32_t tests;
    uint64_t start_ns; /* of the whole check */
    uint64_t timeout_ns;
    uint64_t response_timeout_ns;
    uint32_t lifetime_limit_s;
    const npi_server_name *servers; /* in the order to be asked; outlives the run */
    size_t server_count;
    npi_log log;
    npi_observer observer;
    npi_poller *poller;     /* outlives the run */
    uint32_t first_tag;     /* the slots are watched under this tag and those behind it */
    const atomic_uint *run; /* which run the handle is in; outlives the run */
    unsigned cancelled_run; /* what that becomes when the run is to end */
} npi_driver_config;

typedef struct npi_driver npi_driver;

/* The result of a check that failed before it knew anything: every byte is written. Returns error. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
int npi_result_fail(np_result *result, int error, int os_error, const char *format, ...);
/* The same with the call that failed behind the prefix. */
int npi_result_fail_for(np_result *result, int error, const char *prefix, const npi_failure *failure);

/*
 * Opens the source socket; the first turn sends. NULL when it cannot: every byte of the result is then written, and
 * result->error says why.
 */
npi_driver *npi_driver_new(const npi_driver_config *config, np_result *result);
/* There may be something to read on this slot. */
void npi_driver_note_ready(npi_driver *r, int slot);
/* All that can be done without waiting. True when the run is over: every byte of the result is then written. */
bool npi_driver_turn(npi_driver *r, np_result *result);
/* When the next turn is due at the latest. */
uint64_t npi_driver_wakeup_ns(const npi_driver *r, uint64_t now_ns);
/* Some request was answered. */
bool npi_driver_has_heard(const npi_driver *r);
/* When the first datagram left; NPI_NEVER before. */
uint64_t npi_driver_first_sent_ns(const npi_driver *r);
/* What is known so far. */
void npi_driver_result(const npi_driver *r, np_result *result);
/* The next turn ends the run with this error. */
void npi_driver_stop(npi_driver *r, int error, npi_failure failure);
/* From here on nothing of the caller's is called; datagrams that are not ours stay in the socket. */
void npi_driver_mute(npi_driver *r);
/* At any moment. NULL does nothing. */
void npi_driver_free(npi_driver *r);

#endif
