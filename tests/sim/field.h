/* SPDX-License-Identifier: MIT */
/*
 * Classes of worlds in which verdicts were found wrong, missing or late by use and by reading, rather than by lot: one
 * class for each kind of cause.
 */
#ifndef SIM_FIELD_H
#define SIM_FIELD_H

#include "draw.h"

/* The source port leaves another way than fresh ports: another NAT, or none; or a router has two lines. */
void draw_two_paths_world(world *w, rng *r);
/* Some servers are reached without translation, others are not. */
void draw_exempt_world(world *w, rng *r);
/* A router on the way answers for every server at the well-known port. */
void draw_intercepted_world(world *w, rng *r);
/* A server tells everybody of a wrong address, or of another port each time; others tell the truth. */
void draw_misinformed_world(world *w, rng *r);
/* A correct server behind a firewall of its own: II and III get out only to who has sent to where they come from. */
void draw_stateful_server_world(world *w, rng *r);
/* The host has two addresses, and the destination decides which one it uses. */
void draw_uplinks_world(world *w, rng *r);
/* A correct server that answers few of a client's CHANGE-REQUESTs. */
void draw_change_quota_world(world *w, rng *r);
/* A symmetric NAT with random ports out of few. */
void draw_port_blocks_world(world *w, rng *r);
/* A NAT that keeps ports and forwards some of them, or all. */
void draw_forwarded_world(world *w, rng *r);
/* A server whose first address is translated: III comes from its true one. */
void draw_dnat_server_world(world *w, rng *r);
/* Mappings, or lines, depend on the port of the destination. */
void draw_by_port_world(world *w, rng *r);
/* The router puts its own address for that of who sends unsolicited. */
void draw_rewriting_world(world *w, rng *r);
/* Nothing passes at first, then everything. */
void draw_waking_world(world *w, rng *r);
/* The process stands still in the middle. */
void draw_frozen_world(world *w, rng *r);
/* The system refuses to send for a while. */
void draw_outage_world(world *w, rng *r);
/* The host's firewall lets out few datagrams a second. */
void draw_output_limit_world(world *w, rng *r);
/* An IPv6 host reaches IPv4 servers through a NAT64. */
void draw_nat64_world(world *w, rng *r);
/* The router shuts out who sends unsolicited datagrams. */
void draw_banning_world(world *w, rng *r);
/* A server that takes its time for each answer. */
void draw_slow_server_world(world *w, rng *r);
/* Round trips longer than others wait for an answer. */
void draw_remote_world(world *w, rng *r);
/* Everything on the path is lost for some milliseconds, mostly at the start. */
void draw_burst_gap_world(world *w, rng *r);
/* A router, or each server, lets pass few datagrams of a client in a second. */
void draw_rate_limit_world(world *w, rng *r);
/* A slow link before which few datagrams may wait. */
void draw_small_queue_world(world *w, rng *r);
/* A slow link before which datagrams wait long. */
void draw_slow_link_world(world *w, rng *r);
/* One or two of the servers never answer. */
void draw_dead_world(world *w, rng *r);

#endif
