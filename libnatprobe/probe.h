/* SPDX-License-Identifier: MIT */
/* What a watch and a survey need of a probe beside the public functions. */
#ifndef NPI_PROBE_H
#define NPI_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "log.h"
#include "servers.h"

/* The settings of a probe, as long as it is not changed. */
typedef struct npi_probe_settings {
    npi_addr source; /* family none: not set */
    const char *source_zone;
    const char *interface; /* empty: none was chosen */
    np_socket socket;
    int32_t family;
    int32_t tests;
    npi_log log;
    np_event_fn on_event;
    void *event_user;
    const npi_server_name *servers; /* those added; none: the built-in list */
    size_t server_count;
} npi_probe_settings;

/* Reads a server as np_probe_add_server() does. False where that refuses it. */
bool npi_probe_reads_server(const char *server, npi_server_name *out);
void npi_probe_describe(const np_probe *probe, npi_probe_settings *out);
/* The servers to ask, in this order, at most NP_MAX_SERVERS; what they are built in for is kept. */
void npi_probe_set_servers(np_probe *probe, const npi_server_name *servers, size_t count);
/* In a call of a callback: ends the check that goes on, and calls back no more. */
void npi_probe_mute(np_probe *probe);

#endif
