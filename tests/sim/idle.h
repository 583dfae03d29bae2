/* SPDX-License-Identifier: MIT */
/*
 * The optional test LIFETIME in a world of its own: one box, one server, minutes of virtual time. It needs less of a
 * network than network.h has, and a server that answers to RESPONSE-PORT.
 */
#ifndef SIM_IDLE_H
#define SIM_IDLE_H

#include <natprobe/natprobe.h>

#include "../support/nat.h"
#include "../support/server.h"

typedef struct idle_world {
    uint64_t seed;
    box_desc box;
    server_desc server;
    uint64_t rtt_ns;
    double loss;                    /* of each link: inside and outside of the box, each way */
    uint32_t limit_s;               /* of the test */
    uint64_t cancel_ns;             /* after the start; 0: never */
    uint64_t sleep_at_ns, sleep_ns; /* the machine sleeps; 0: never */
    bool is_watched;
} idle_world;

typedef struct idle_outcome {
    np_result result;
    bool is_void; /* a table of the box was too small */
    uint64_t took_ns;
    uint32_t sent;
    unsigned progress;        /* events */
    uint32_t done_s, total_s; /* of the last of them */
    bool is_progress_odd;     /* it went backwards, or beyond its end */
    unsigned sockets;         /* most that were open at once */
    const char *broken;       /* NULL: nothing */
} idle_outcome;

void idle_run(const idle_world *w, idle_outcome *out);

#endif
