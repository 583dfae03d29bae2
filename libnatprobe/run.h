/* SPDX-License-Identifier: MIT */
/* The loop that joins the experiment to sockets, clock, randomness and names. */
#ifndef NPI_RUN_H
#define NPI_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "log.h"
#include "servers.h"

typedef struct npi_run_config {
    npi_addr source;      /* family decides; any-address allowed */
    int32_t tests;
    uint64_t timeout_ns;
    uint64_t response_timeout_ns;
    const npi_server_name *servers; /* in the order to be asked */
    size_t server_count;
    npi_log log;
    int wake_fd;          /* readable when cancelled was set or a name was resolved */
    int wake_write_fd;
    const atomic_bool *cancelled;
} npi_run_config;

/* Blocks until there is a result; every byte of it is written. Returns result->error. */
int npi_run(const npi_run_config *config, uint64_t start_ns, np_result *result);

#endif
