/* SPDX-License-Identifier: MIT */
/* What the boxes of a world would do to datagrams that the optional tests are about, after a check. */
#ifndef SIM_OPTIONAL_TRUTH_H
#define SIM_OPTIONAL_TRUTH_H

#include <natprobe/natprobe.h>

#include "network.h"

typedef struct optional_truth {
    int32_t port_open;
    int32_t refused_takes_port;
    int32_t hairpin, hairpin_external;
    bool depends_on_sender; /* who is refused: a stranger, or a server that another socket had sent to */
    bool is_hairpin_a_race; /* behind two boxes: which datagram comes first decides what is refused */
} optional_truth;

/* Whether the boxes alone decide: one way out, which nothing changes or is used by anybody else. */
bool optional_truth_is_known(const world *w);
/* Sends datagrams through copies of the boxes, of which none is lost. */
void optional_truth_of(const network *n, const np_result *r, optional_truth *out);

#endif
