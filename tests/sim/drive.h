/* SPDX-License-Identifier: MIT */
/* Drives the library's engine through one run in a simulated network, as the real driver drives it through a real one.
 */
#ifndef SIM_DRIVE_H
#define SIM_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "network.h"
#include "../support/message.h"
#include "world.h"

#define RECORD_SENT 400

typedef struct sent_datagram {
    uint64_t time_ns;
    int slot;
    bool for_mapping; /* of a fresh socket that tests no filter */
    endpoint from, to;
    size_t size;
    uint8_t data[32];
    stun_request request;
    const char *malformed; /* NULL: a good request */
} sent_datagram;

/* All that is known of one run when it is over. */
typedef struct run_record {
    np_result result;
    sent_datagram sent[RECORD_SENT];
    unsigned sent_count; /* may exceed RECORD_SENT */
    unsigned received;
    bool usable_answer; /* a well-formed response to a request of the source socket reached it from where it was sent */
    endpoint external[NETWORK_EXTERNALS];
    unsigned externals;
    network_sighting sighting[NETWORK_SIGHTINGS];
    unsigned sightings;
    bool lost_any;
    uint64_t start_ns, end_ns;
    char broken[200]; /* the first promise that was not kept; empty: none */
} run_record;

/* Sockets live in here from run to run, so that no port is used twice. */
typedef struct driver driver;

driver *driver_new(const world *w, network *n);
void driver_free(driver *d);
/* Runs the engine once, from now_ns of the network on. */
void driver_run(driver *d, run_record *record);

/* Notes a broken promise, unless there is one already. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void record_broken(run_record *r, const char *format, ...);

#endif
