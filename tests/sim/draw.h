/* SPDX-License-Identifier: MIT */
/*
 * Draws the parts of a world. Names say what they do to it: draw_ makes something new, make_ spoils a server that
 * was conforming. The order of the draws within a function is part of every seed's meaning: add at the end. A full
 * expression has one draw at most: compilers differ in which argument they evaluate first.
 */
#ifndef SIM_DRAW_H
#define SIM_DRAW_H

#include "world.h"

/* ---- Boxes ---- */

box_desc draw_nat(rng *r);
box_desc draw_firewall(rng *r);
box_desc draw_linux(rng *r);
void draw_two_boxes(world *w, rng *r);
void draw_blocked(world *w, rng *r);
void draw_boxes(world *w, rng *r);
/* What NATs also do: contiguous ports, bindings that datagrams from outside keep alive, or that live for seconds. */
void draw_more_of_nat(box_desc *b, rng *r);
/* Makes a NAT on the way forget everything once or more often, with a new address or without. */
void draw_changes(world *w, rng *r);
/* State is kept per inside host: what any socket opens is open to all. */
bool has_per_host_state(const world *w);
/* After so long it is gone, but for what came late and refreshed it. */
#define STATE_ENDS_NS (301 * SECOND)

/* ---- Links and the host ---- */

void draw_link(world *w, rng *r, double max_loss);
/* A host that wakes up late, has no room to send, no route, little time, or is told to stop. */
void draw_host(world *w, rng *r);
/* What another program asked from the same port before. */
void draw_earlier(world *w, rng *r);

/* ---- Servers ---- */

typedef void (*spoil_fn)(world *w, server_desc *s, rng *r);

server_desc *draw_conforming(world *w, rng *r);
void draw_any_server(world *w, rng *r);
void make_classic_only(world *w, server_desc *s, rng *r);
void make_unpadded(world *w, server_desc *s, rng *r);
void make_bad_at_change(world *w, server_desc *s, rng *r);
void make_plain(world *w, server_desc *s, rng *r);
void make_false_other(world *w, server_desc *s, rng *r);
void make_half_dead(world *w, server_desc *s, rng *r);
void make_broken(world *w, server_desc *s, rng *r);
void make_odd(world *w, server_desc *s, rng *r);
/* Dies in the middle, wholly or in part, for good or for a while. */
void make_dying(world *w, server_desc *s, rng *r);
/* Says what is not so, or honours one half of what it is asked. */
void make_lying(world *w, server_desc *s, rng *r);
/* An address that a server might name in order to have others send there: a forbidden one, or a stranger's. */
endpoint draw_victim(const world *w, const server_desc *s, rng *r);

#endif
