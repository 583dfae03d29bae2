/* SPDX-License-Identifier: MIT */
/* Every rate, cap, limit and threshold of the experiment, in one place. docs/METHOD.md gives the reasons. */
#ifndef NPI_ENGINE_LIMITS_H
#define NPI_ENGINE_LIMITS_H

#include "../tstamp.h"

/* RFC 5780 section 5: no more than ten new transactions a second, to the network in all. */
#define NPI_RATE_TRANSACTIONS 10
#define NPI_RATE_WINDOW_NS (1000 * NPI_MS)

/* The next server is tried when the last one has not been heard for this long. */
#define NPI_HEDGE_NS (200 * NPI_MS)
/* No test is repeated faster than this. */
#define NPI_PACE_MIN_NS (10 * NPI_MS)
#define NPI_PACE_MAX_NS (50 * NPI_MS)
/* While nothing is heard volleys go ever slower, against bursts of losses, but not slower than this. */
#define NPI_QUIET_GAP_MAX_NS (200 * NPI_MS)
/* With a round trip above this, and losses of one in five or more, a mapping request leaves twice. */
#define NPI_TWICE_RTT_NS (100 * NPI_MS)
/*
 * Volleys sent at the minimum pace before anything is known of the round trip, and the gap after them (doubling with
 * every second): those are of I alone, since all that is wanted is a sign of life.
 */
#define NPI_FIRST_ROUNDS 4
#define NPI_BLIND_GAP_NS (250 * NPI_MS)
/* The first volley after the first answer waits this long for the others of the same volley: they tell what to send. */
#define NPI_SETTLE_NS (2 * NPI_MS)
/* A plain request to a server not yet heard is repeated after this, doubling. */
#define NPI_PRIMARY_GAP_NS (250 * NPI_MS)
/* Or sooner, where another server has answered quickly: after two of its round trips, but not before this. */
#define NPI_PRIMARY_GAP_MIN_NS (100 * NPI_MS)
#define NPI_PRIMARY_GAP_MAX_NS (400 * NPI_MS)
#define NPI_PRIMARY_COPIES 9
/* The same to a server that another socket has heard: it is there, so go on. */
#define NPI_PRIMARY_COPIES_HEARD 12
/* Once some server has answered, a silent one is given up after ten of its round trips, within these bounds. */
#define NPI_GIVE_UP_MIN_NS (1500 * NPI_MS)
#define NPI_GIVE_UP_MAX_NS (3000 * NPI_MS)
/* Requests that left within this time of each other saw the same state of the NAT. */
#define NPI_SAME_MOMENT_NS (NPI_MS / 5)
/*
 * Answers less than this share of the time between their first and last copy apart belong to the same round of copies.
 */
#define NPI_SAME_ROUND_SHARE 16
/* Rounds of asking again whether the external address is still the same. */
#define NPI_RECHECKS_MAX 3
/*
 * With a round trip above this, a control leaves together with the request that opens its way; below, after its answer.
 */
#define NPI_CONTROL_WAIT_NS (20 * NPI_MS)
/* A plain request is repeated after a round trip, but not slower than this at first. */
#define NPI_REPEAT_MAX_NS (500 * NPI_MS)
/* And never slower than this. */
#define NPI_REPEAT_LAST_NS (800 * NPI_MS)
/* A server silent for this long gets the RFC 3489 form of the request. */
#define NPI_RFC3489_AFTER_NS (800 * NPI_MS)
#define NPI_RFC3489_COPIES 6
/* Most copies of a plain request to an address that only the server named. */
#define NPI_ALTERNATE_COPIES 8
#define NPI_CONTROL_COPIES 12
/* No more volleys once so many datagrams have been sent, and so many more for each server beyond two. */
#define NPI_ROUNDS_UNTIL 110
#define NPI_ROUNDS_UNTIL_MORE 25
/* Most servers whose filtering is tried in one run: each uses up one socket. */
#define NPI_TRIALS_MAX 8
#define NPI_SERVERS_MAX 32

/*
 * Silence counts when loss explains it with less than this probability (design: below 1e-4), given what is known and
 * what as many more requests as the mapping phase sends will probably show.
 */
#define NPI_SILENCE_FILTERING 3e-7
#define NPI_SILENCE_FORECAST 5
/* Once losses have been seen the forecast is no longer too good, and this is enough. */
#define NPI_SILENCE_LOSSY 1.5e-6
/*
 * The same for a control that stays silent: it only costs an answer, it cannot produce a wrong one. Where no other
 * server is left to turn to, that answer is worth more.
 */
#define NPI_SILENCE_CONTROL 1e-3
#define NPI_SILENCE_CONTROL_LAST 1e-5
/* With a round trip below this, a second transaction doubles the pace of the test that is waited for. */
#define NPI_SECOND_RTT_NS (1000 * NPI_MS)
/* Transactions that the mapping phase starts at once; a twin may not use up their share of the rate. */
#define NPI_MAPPING_TRANSACTIONS 5
/*
 * At the end, with all that the mapping phase did show of losses: from here on more copies are asked for, and then
 * until loss explains the silence this badly.
 */
#define NPI_SILENCE_DOUBTFUL 2e-5
#define NPI_SILENCE_EXTENDED 2e-6
/*
 * Where more than a third is lost it is rarely chance alone (limits of rate, bursts, servers that answer twice): be
 * stricter.
 */
#define NPI_SILENCE_HEAVY 0.1
/* However few losses were seen, so many copies have to be silent. */
#define NPI_SILENT_MIN 7
/*
 * The same where so many answers and more have come to each copy of some request, or to the copies of all together half
 * as many again as there were, and no fewer than so many.
 */
#define NPI_REPEATED 3
#define NPI_REPEATED_LEAST 6
#define NPI_SILENT_MIN_REPEATED 18
/* Fresh sockets that tell a pool of external addresses from another way out; an even number, asked two at a time. */
#define NPI_PATH_SOCKETS 8
/*
 * The first answer came when copies had left for so long: the path may have been silent at first (a radio or a VPN
 * waking up), or be slow. A slow one shows by the answers to the copies of the first burst, which come within this
 * time.
 */
#define NPI_LATE_SPREAD_NS (200 * NPI_MS)
#define NPI_LATE_CHECK_NS (40 * NPI_MS)
#define NPI_LATE_ANSWERS 2
/* Once every server there is is exhausted, names that are still being resolved are waited for so long. */
#define NPI_NAMES_WAIT_NS (1000 * NPI_MS)
/* A driver that comes back so much later than it was asked to has stood still. */
#define NPI_STANDSTILL_NS (100 * NPI_MS)
/*
 * A request that the system refuses to send is tried again, ever slower. It has failed when it was refused for so long
 * while others left, or for so long where nothing leaves. An error that is not the network's counts at once, but for so
 * many times.
 */
#define NPI_SEND_RETRY_MAX_NS (160 * NPI_MS)
#define NPI_SEND_PATIENCE_NS (1000 * NPI_MS)
#define NPI_SEND_PATIENCE_ALONE_NS (3000 * NPI_MS)
#define NPI_SEND_FAILURES_MAX 3
/* Copies of II while III, which any filter that passes II passes as well, carries the proof. */
#define NPI_TEST_II_MIN 2

#endif
