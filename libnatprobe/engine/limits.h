/* SPDX-License-Identifier: MIT */
/*
 * Every rate, cap and threshold of the engine, in one place. docs/METHOD.md gives the method. Each value has a mark:
 *
 * [RFC]     An RFC sets it.
 * [safety]  It protects somebody, or the verdict. It may become stricter, not looser.
 * [tuned]   It was chosen in the simulator. The command beside it compares it with other values, in milliseconds where
 *           the name ends in _NS. "No difference seen" means: not in the worlds of that command.
 *
 * Before you change a value, read "Changing a limit" in CONTRIBUTING.md.
 */
#ifndef NPI_ENGINE_LIMITS_H
#define NPI_ENGINE_LIMITS_H

#include "../tstamp.h"

/* ---- Rate and amount -------------------------------------------------------------------------------------------- */

/* [RFC] 5780 section 5: at most ten new transactions a second. Each engine (address family of a handle) keeps to it. */
#define NPI_RATE_TRANSACTIONS 10
#define NPI_RATE_WINDOW_NS (1000 * NPI_MS)
/* [safety] Protects servers and their networks: but for the dense start no request is repeated faster. */
#define NPI_PACE_MIN_NS (10 * NPI_MS)
/* [safety] Protects hosts that only a server named: the most copies that go to one, whoever names it. */
#define NPI_ALTERNATE_COPIES 8
/*
 * [safety] Protects servers: no round is sent after the first number of datagrams, and the second more for each server
 * beyond two.
 * tests/sim/tune NPI_ROUNDS_UNTIL 70 200 -- --class lossy --worlds 2000: 70 loses 6 % of the verdicts, 200 gains 0.3 %.
 */
#define NPI_ROUNDS_UNTIL 120
#define NPI_ROUNDS_UNTIL_MORE 25
/* [safety] The same: the most datagrams that do not count because they left before the path woke up. */
#define NPI_IN_VAIN_MAX 40
/* [safety] The same: nothing at all is sent after the first number, and the second more for each server beyond two. */
#define NPI_DATAGRAMS_MAX 200
#define NPI_DATAGRAMS_MORE 30
/* [safety] Protects the host: each server whose filtering is tried uses up one socket. */
#define NPI_TRIALS_MAX 8
/* [safety] Protects memory, and hosts to which a name server leads. */
#define NPI_SERVERS_MAX 32

/* ---- Which server, and for how long ----------------------------------------------------------------------------- */

/*
 * Another server is asked in the place of one that has been silent for this long: of the first, of a later one, and
 * where the mapping alone is asked: there a server that answers later has to be asked again. Once some server has
 * answered it is two of its round trips, within the last value and the others.
 * [tuned] tests/sim/tune NPI_HEDGE_FIRST_NS 50 200 -- --class dead --worlds 2000: no difference seen in the verdicts,
 * but a dead server costs as much more time. In the class alias, where one server is another's second address, 200
 * gains 2 % of the verdicts.
 * [tuned] tests/sim/tune NPI_HEDGE_NEXT_NS 100 200 -- --class dead --worlds 2000: 100 gains 0.5 % of the verdicts, 200
 * loses 0.3 %. No difference seen in the class alias.
 * [tuned] tests/sim/tune NPI_HEDGE_MAPPING_NS 100 400 -- --class dead --worlds 2000: both gain verdicts, 0.7 % and
 * 0.3 %. But with 100 a check takes a round trip longer where servers answer later.
 * [tuned] tests/sim/tune NPI_HEDGE_MIN_NS 10 200 -- --class several --worlds 2000: no clear difference seen.
 */
#define NPI_HEDGE_FIRST_NS (100 * NPI_MS)
#define NPI_HEDGE_NEXT_NS (150 * NPI_MS)
#define NPI_HEDGE_MAPPING_NS (200 * NPI_MS)
#define NPI_HEDGE_MIN_NS (50 * NPI_MS)
/*
 * A server under test that has been silent for this long keeps no other at its addresses waiting. While nobody answers,
 * one more name is wanted each time it has passed.
 * [tuned] tests/sim/tune NPI_SILENT_NS 100 400 -- --class several --worlds 2000: no difference seen.
 */
#define NPI_SILENT_NS (200 * NPI_MS)
/*
 * Once some server has answered, a silent one is given up after ten round trips, within these bounds. A round trip
 * longer than two seconds needs more than the second: see npi_pacing_give_up_after_ns.
 * [tuned] tests/sim/tune NPI_GIVE_UP_MIN_NS 300 3000 -- --class several --worlds 4000: 300 loses 2 % of the verdicts,
 * 3000 gains 0.1 %.
 * [tuned] tests/sim/tune NPI_GIVE_UP_MAX_NS 1500 6000 -- --class several --worlds 4000: 1500 loses 0.7 %, 6000 gains
 * none.
 */
#define NPI_GIVE_UP_MIN_NS (1500 * NPI_MS)
#define NPI_GIVE_UP_MAX_NS (3000 * NPI_MS)
/* [safety] Protects the caller's time: the wait for names once every server at hand is exhausted. */
#define NPI_NAMES_WAIT_NS (1000 * NPI_MS)
/*
 * A server silent for this long also gets the RFC 3489 form of the request; for the second time, while another one is
 * being tested. The third value is the number of copies.
 * [tuned] tests/sim/tune NPI_RFC3489_AFTER_NS 300 2000 -- --class classic --worlds 2000: 2000 loses 8 % of the
 * verdicts. 300 gains 1 %, but every server with a round trip above 300 ms would get the old form as well.
 * [tuned] tests/sim/tune NPI_RFC3489_BESIDE_NS 800 1400 -- --class several --worlds 2000: 1400 loses 0.2 % of
 * the verdicts.
 * [tuned] tests/sim/tune NPI_RFC3489_COPIES 3 12 -- --class classic --worlds 2000: 3 loses 1.5 %, 12 gains none.
 */
#define NPI_RFC3489_AFTER_NS (800 * NPI_MS)
#define NPI_RFC3489_BESIDE_NS (1200 * NPI_MS)
#define NPI_RFC3489_COPIES 6

/* ---- Copies of plain requests ----------------------------------------------------------------------------------- */

/*
 * A request to a server not yet heard is repeated after this, doubling up to the maximum. Once another server has
 * answered, it is repeated after two of that one's round trips, but not before the minimum.
 * [tuned] tests/sim/tune NPI_PRIMARY_GAP_NS 50 500 -- --class lossy --worlds 4000: no clear difference seen.
 * [tuned] tests/sim/tune NPI_PRIMARY_GAP_MIN_NS 20 250 -- --class several --worlds 4000: no difference seen.
 * [tuned] tests/sim/tune NPI_PRIMARY_GAP_MAX_NS 250 1600 -- --class bursty --worlds 4000: 250 loses 0.3 % of the
 * verdicts, 1600 loses 0.8 %.
 */
#define NPI_PRIMARY_GAP_NS (250 * NPI_MS)
#define NPI_PRIMARY_GAP_MIN_NS (100 * NPI_MS)
#define NPI_PRIMARY_GAP_MAX_NS (400 * NPI_MS)
/*
 * Most copies of it. A server that another socket has heard gets more: it is there.
 * [tuned] tests/sim/tune NPI_PRIMARY_COPIES 5 18 -- --class lossy --worlds 4000: no difference seen.
 * [tuned] tests/sim/tune NPI_PRIMARY_COPIES_HEARD 9 18 -- --class bursty --worlds 4000: no difference seen.
 */
#define NPI_PRIMARY_COPIES 9
#define NPI_PRIMARY_COPIES_HEARD 12
/*
 * With a known round trip a request is repeated after it, but not later than the first of these. The gaps then double
 * up to the second.
 * [tuned] tests/sim/tune NPI_REPEAT_MAX_NS 250 1000 -- --class lossy --worlds 4000: 250 gains 0.4 % of the verdicts for
 * 2 more datagrams in every check; 1000 loses 0.2 %.
 * [tuned] tests/sim/tune NPI_REPEAT_LAST_NS 400 1600 -- --class bursty --worlds 4000: no clear difference seen.
 */
#define NPI_REPEAT_MAX_NS (500 * NPI_MS)
#define NPI_REPEAT_LAST_NS (800 * NPI_MS)
/*
 * With a longer round trip, and one request in five or more lost, a mapping request leaves twice.
 * [tuned] tests/sim/tune NPI_TWICE_RTT_NS 0 100000 -- --class lossy --worlds 4000: 0 (always) costs one more datagram,
 * 100000 (never) loses 0.1 % of the verdicts. No clear difference seen.
 */
#define NPI_TWICE_RTT_NS (100 * NPI_MS)

/* ---- Optional tests --------------------------------------------------------------------------------------------- */

/* Requests, and fresh sockets, of all optional tests of a check together. [safety] */
#define NPI_OPTIONAL_ERRANDS 40
#define NPI_OPTIONAL_SOCKETS 16
/*
 * Copies of a request of an optional test, and the gap between them. They outlast a quarter of a second, so that a
 * short burst of losses does not take all of them. Silence counts if it is chance with no more than that probability,
 * given the losses that requests show which left between its copies. [safety]
 */
#define NPI_OPTIONAL_COPIES 12
#define NPI_OPTIONAL_GAP_NS (20 * NPI_MS)
#define NPI_OPTIONAL_SILENCE 1e-6
/* An answer that has not come after so long, or after twice the round trip, will not. [safety] */
#define NPI_OPTIONAL_WAIT_NS (500 * NPI_MS)
/*
 * Copies of the question to the gateway, and the wait for an answer to the first one; it doubles with each copy. The
 * RFC goes on for a minute. A gateway is one hop away: it answers within milliseconds, or not at all. [RFC 6886 3.1]
 */
#define NPI_NATPMP_COPIES 3
#define NPI_NATPMP_GAP_NS (250 * NPI_MS)
/*
 * PORT holds the mapping up only if the check has so much time left and so many round trips, or as much as it took so
 * far in place of that time. [safety]
 */
#define NPI_PORT_SPARE_NS (3000 * NPI_MS)
#define NPI_PORT_SPARE_RTTS 6
/*
 * What a NAT remembers of a datagram that it refused lives for 30 s on Linux, and may live less elsewhere: so long
 * after it left it is believed to be there still. [safety]
 */
#define NPI_REFUSED_FRESH_NS (10000 * NPI_MS)

/* ---- How long idle mappings live -------------------------------------------------------------------------------- */

/*
 * A mapping is answered in earnest once traffic has gone both ways for more than two seconds: only then netfilter gives
 * it the longer one of its timers (nf_conntrack_udp_timeout_stream). [safety]
 */
#define NPI_IDLE_PAUSE_NS (2500 * NPI_MS)
/*
 * A mapping by which nothing comes in is gone if so many of so many copies come in by another. Whatever is lost, that
 * is chance with a probability below 0.009, and two mappings have to be gone. [safety]
 */
#define NPI_IDLE_COPIES 6
#define NPI_IDLE_CONTROLS 4
/* What a stranger does not get is not to be chance at all: all later samples rest on it. [safety] */
#define NPI_IDLE_STRANGER_COPIES 16
/* Between the copies, as the round trip is: a burst of losses is not to take all of them. [safety] */
#define NPI_IDLE_GAP_NS (100 * NPI_MS)
#define NPI_IDLE_GAP_MAX_NS (400 * NPI_MS)
/* Until a socket that is no longer needed has been closed, and another one may have its place. [safety] */
#define NPI_IDLE_CLOSE_NS (50 * NPI_MS)
/* How often it is told how long the test has taken. */
#define NPI_IDLE_TELL_NS (1000 * NPI_MS)
/* What a round takes beyond the longest idle time: to open the mappings, to ask, and to ask a second socket. */
#define NPI_IDLE_ROUND_NS (12000 * NPI_MS)

/* ---- Rounds of filtering tests ---------------------------------------------------------------------------------- */

/*
 * A fiftieth of the round trip lies between rounds, but not more than this.
 * [tuned] tests/sim/tune NPI_PACE_MAX_NS 20 200 -- --class conforming --worlds 4000: 20 gains 0.2 % of the verdicts,
 * and costs 2 more datagrams at 99 %. 200: no difference seen.
 */
#define NPI_PACE_MAX_NS (50 * NPI_MS)
/*
 * The dense start: a filtering test begins with so many rounds, so far apart. They hold what proves a silence on a path
 * without losses. If a loss is seen they end.
 * [tuned] tests/sim/tune NPI_DENSE_ROUNDS 8 13 -- --class conforming --worlds 1000: 8 takes 0.4 round trips longer in
 * the median, and 13 costs 2 more datagrams.
 * [tuned] tests/sim/tune NPI_DENSE_GAP_NS 1 4 -- --class small-queue --worlds 1000: 4 gains 0.2 % of the verdicts. 1
 * breaks the promise that copies are 2 ms apart.
 */
#define NPI_DENSE_ROUNDS 11
#define NPI_DENSE_GAP_NS (2 * NPI_MS)
/*
 * [safety] Protects the verdict: copies that left so close together tell one moment of the path. For a test that leaves
 * later they count as so many of each request at most.
 */
#define NPI_DENSE_COUNTED 4
/*
 * After a dense start of which most was lost rounds begin so far apart. Each answer halves it, each loss doubles it.
 * [tuned] tests/sim/tune NPI_CAREFUL_GAP_NS 50 800 -- --class rate-limit --worlds 1000: 50 loses 3 % of the verdicts,
 * 800 loses 2 %.
 */
#define NPI_CAREFUL_GAP_NS (200 * NPI_MS)
/* [safety] Protects servers: it is over after this time or so many copies of a test. Then NPI_PACE_MIN_NS holds. */
#define NPI_DENSE_NS (30 * NPI_MS)
#define NPI_DENSE_COPIES 12
/*
 * While nothing was heard, rounds of I alone follow it and look for a sign of life. Their gap starts at this value, and
 * doubles with every second round.
 * [tuned] tests/sim/tune NPI_BLIND_GAP_NS 50 1000 -- --class blocked --worlds 1000: 50 sends 41 datagrams in place of
 * 29 where nothing answers. In the class lossy it gains 0.4 % of the verdicts, and 1000 loses 0.3 %.
 */
#define NPI_BLIND_GAP_NS (250 * NPI_MS)
/*
 * The first of them waits for the first answer of a path of 300 ms: what has left before it would be waited for too.
 * [tuned] tests/sim/tune NPI_BLIND_FIRST_NS 250 -- --class lossy --worlds 3000: no clear difference seen.
 */
#define NPI_BLIND_FIRST_NS (330 * NPI_MS)
/*
 * The first round after the first answer waits this long for the other answers: they tell what to send.
 * [tuned] tests/sim/tune NPI_SETTLE_NS 0 5 -- --class conforming --worlds 4000: 0 takes a twentieth of a round trip
 * longer. 5: no clear difference seen.
 */
#define NPI_SETTLE_NS (2 * NPI_MS)
/*
 * While nothing is heard, rounds go ever slower, against bursts of losses. This is the longest gap.
 * [tuned] tests/sim/tune NPI_QUIET_GAP_MAX_NS 50 800 -- --class bursty --worlds 4000: 50 loses 0.5 % of the verdicts,
 * 800 loses 0.7 %.
 */
#define NPI_QUIET_GAP_MAX_NS (200 * NPI_MS)
/*
 * With a shorter round trip, a second transaction doubles the pace of the test that is waited for.
 * [tuned] tests/sim/tune NPI_SECOND_RTT_NS 0 10000 -- --class conforming --worlds 4000: 0 takes a tenth of a round trip
 * longer. 10000 gains 0.3 % of the verdicts, and costs 5 more datagrams at 99 %.
 */
#define NPI_SECOND_RTT_NS (1000 * NPI_MS)
/*
 * The mapping phase starts five transactions: B:P, B:Q, A:Q, A:P again, and the control. The second transaction of a
 * test leaves them their share of the rate.
 * [tuned] tests/sim/tune NPI_MAPPING_TRANSACTIONS 3 8 -- --class conforming --worlds 4000: 3 takes one round trip
 * longer at 99 %. 8: no clear difference seen.
 */
#define NPI_MAPPING_TRANSACTIONS 5
/*
 * The fewest with which it tells both: B:P, A:Q and the control, or B:Q and the control where II is silent alone.
 * Another server may stand for B:P. A:P again is a copy, which is no transaction (again.c).
 */
#define NPI_MAPPING_LEAST 3
/*
 * Copies of II while III carries the proof. A filter that passes II passes III as well.
 * [tuned] tests/sim/tune NPI_TEST_II_MIN 1 4 -- --class conforming --worlds 4000: 1: no difference seen. 4 gains 0.3 %
 * of the verdicts, and costs 4 more datagrams at 99 %.
 */
#define NPI_TEST_II_MIN 2
/*
 * [safety] Protects the verdict: answers to other copies that left beside those of II, where II was left out at first.
 */
#define NPI_BESIDE_II 4
/*
 * Copies of III from which on it is no longer sent in the place of I, where it is answered.
 * [tuned] tests/sim/tune NPI_TEST_III_MIN 2 8 -- --class conforming --worlds 1000: no difference seen.
 */
#define NPI_TEST_III_MIN 4
/*
 * Copies of II that are waited for where III came from another address than was asked.
 * [tuned] tests/sim/tune NPI_TEST_II_WAITED 1 8 -- --class dnat-server --worlds 1000.
 */
#define NPI_TEST_II_WAITED 4

/*
 * A server whose answers come one by one, each later than the one before, works off a queue. More copies would make it
 * longer, so they wait. An answer is late if no copy explains it that left within the first number of least round trips
 * and the time behind it. So many late answers make a server slow.
 * [tuned] tests/sim/tune NPI_SLOW_RTTS 1 3 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_SLOW_LEAST_NS 5 100 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_SLOW_ANSWERS 1 4 -- --class slow-server --worlds 2000.
 */
#define NPI_SLOW_RTTS 2
#define NPI_SLOW_LEAST_NS (20 * NPI_MS)
#define NPI_SLOW_ANSWERS 2
/*
 * After a late start every answer is late that comes so long after the one before, while some copies of the first
 * burst are not answered: a path that woke up answers them together or not at all, a queue one by one.
 * [tuned] tests/sim/tune NPI_SLOW_GAP_NS 20 150 -- --class slow-server --worlds 2000.
 */
#define NPI_SLOW_GAP_NS (50 * NPI_MS)
/*
 * Whether answers come late shows only while nothing is sent. So once the first number of plain requests seems lost,
 * and as many as were answered, the next round waits, once, until nothing was heard for the second number of round
 * trips. On a path longer than the third it does not. Nor is a server taken for slow whose first answer took longer.
 * After a late answer it waits for the fourth number.
 * [tuned] tests/sim/tune NPI_LATE_LOST 2 6 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_LATE_QUIET_RTTS 1 5 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_LATE_RTT_MAX_NS 200 1000 -- --class slow-server --worlds 2000.
 * [tuned] tests/sim/tune NPI_SLOW_QUIET_RTTS 2 8 -- --class slow-server --worlds 2000.
 */
#define NPI_LATE_LOST 3
#define NPI_LATE_QUIET_RTTS 3
#define NPI_LATE_RTT_MAX_NS (850 * NPI_MS)
#define NPI_SLOW_QUIET_RTTS 4
/*
 * The filtering of a slow server may take this percentage of the time allowed: the mapping is worth more.
 * [tuned] tests/sim/tune NPI_SLOW_SHARE 30 60 -- --class slow-server --worlds 2000.
 */
#define NPI_SLOW_SHARE 85

/*
 * A server that has answered, and then leaves so many plain requests of the filtering test unanswered, for so long and
 * so many round trips, has died, or a router shuts it out for what the test makes it send. If another server can help,
 * it is left. The mapping is then found out before the next one is tested.
 * [tuned] tests/sim/tune NPI_HUSH_NS 500 2000 -- --class banning --worlds 2000.
 * [tuned] tests/sim/tune NPI_HUSH_RTTS 4 16 -- --class banning --worlds 2000.
 */
#define NPI_HUSH_LOST 6
#define NPI_HUSH_NS (1000 * NPI_MS)
#define NPI_HUSH_RTTS 8
/*
 * If no other server can help it is waited for at least this long: nothing is gained by leaving it.
 * [tuned] tests/sim/tune NPI_HUSH_ALONE_NS 2000 9000 -- --class dying --worlds 2000.
 */
#define NPI_HUSH_ALONE_NS (5000 * NPI_MS)
/*
 * In the mapping phase a server is left if so many copies of I to A:P are unanswered, and all else that A would have
 * answered.
 * [tuned] tests/sim/tune NPI_GONE_COPIES 3 6 -- --class banning --worlds 2000.
 */
#define NPI_GONE_COPIES 4
/* [safety] Protects the caller's time, and his servers from being shut out: after so many of them no more is tested. */
#define NPI_HUSHED_MAX 2

/* ---- The control ------------------------------------------------------------------------------------------------ */

/*
 * With a longer round trip a control leaves together with the request that opens its way. With a shorter one it waits
 * for the answer.
 * [tuned] tests/sim/tune NPI_CONTROL_WAIT_NS 0 1000 -- --class linux --worlds 4000: 0 (never wait) loses 0.2 % of the
 * verdicts, 1000 takes 0.7 round trips longer.
 */
#define NPI_CONTROL_WAIT_NS (20 * NPI_MS)
/* [tuned] tests/sim/tune NPI_CONTROL_COPIES 6 24 -- --class lossy --worlds 4000: 6 loses 0.3 % of the verdicts. */
#define NPI_CONTROL_COPIES 12
/*
 * A control is silent if loss explains it with less than this probability. That costs an answer, and cannot produce a
 * wrong one. If no other server is left, the answer is worth more.
 * [tuned] tests/sim/tune NPI_SILENCE_CONTROL 1e-2 1e-5 -- --class several --worlds 4000: 1e-5 loses 0.6 % of the
 * verdicts. 1e-2: no clear difference seen.
 * [tuned] tests/sim/tune NPI_SILENCE_CONTROL_LAST 1e-2 1e-7 -- --class lossy --worlds 4000: 1e-2 loses 0.3 %, 1e-7
 * gains none.
 */
#define NPI_SILENCE_CONTROL 1e-3
#define NPI_SILENCE_CONTROL_LAST 1e-5

/*
 * [safety] Protects the verdict from servers that answer few of a client's CHANGE-REQUESTs, at most one in
 * NPI_RATION_NS. So many answers to copies that left together (within NPI_RATION_TOGETHER_NS, since the path may pull
 * them apart) exclude that, one of them doubled by the path. Together
 * leave as many copies, and NPI_RATION_BURST where losses have been seen, or too few were answered. If the round trip
 * varies by less than NPI_RATION_STEADY_NS, or this share of itself, doubled answers show, and a pair is enough.
 * tests/sim/tune NPI_RATION_ANSWERS 2 4 -- --class change-quota --worlds 12000: the verdicts that are wrong.
 */
#define NPI_RATION_ANSWERS 3
#define NPI_RATION_PAIR 2
#define NPI_RATION_BURST 6
#define NPI_RATION_NS (100 * NPI_MS)
#define NPI_RATION_TOGETHER_NS (60 * NPI_MS)
#define NPI_RATION_STEADY_NS (5 * NPI_MS / 2)
#define NPI_RATION_STEADY_SHARE 64
/* From the second burst on, the next waits so long, so that a limit of rate lets several copies through again. */
#define NPI_RATION_PAUSE_NS (500 * NPI_MS)
/* [safety] Protects servers: the copies of a test after which no more are sent to find out. */
#define NPI_RATION_COPIES 26

/* ---- Silence ---------------------------------------------------------------------------------------------------- */

/*
 * [safety] Protects the verdict. Silence counts as filtering if loss explains it with less than this probability, at
 * one look: see NPI_SILENCE_TOTAL. Once losses have been seen the forecast is no longer too good, and the second value
 * is enough.
 */
#define NPI_SILENCE_FILTERING 3e-7
#define NPI_SILENCE_LOSSY 1.5e-6
/*
 * The forecast: this number of mapping requests will be answered like the requests before.
 * [tuned] tests/sim/tune NPI_SILENCE_FORECAST 0 10 -- --class conforming --worlds 4000: 0 costs 5 more datagrams in
 * every check, 10 saves 3. It is the number that the phase sends: see NPI_MAPPING_TRANSACTIONS.
 */
#define NPI_SILENCE_FORECAST 5
/*
 * [safety] Protects the verdict. After the mapping phase, with the losses that it showed: if loss explains the silence
 * with more than the first probability, copies are added until it is below the second.
 */
#define NPI_SILENCE_DOUBTFUL 2e-5
#define NPI_SILENCE_EXTENDED 2e-6
/*
 * [safety] Protects the verdict from bursts of losses. Where losses have been seen, loss must explain the silence of
 * neither half of the copies with more than this probability, by the losses of the same time. The second value is for
 * servers that repeat their answers, which hides some of the losses.
 */
#define NPI_SILENCE_HALF 1e-2
#define NPI_SILENCE_HALF_REPEATED 1e-3
/*
 * [safety] Protects the verdict from bursts of losses. A server's second address counts as near if one answer from
 * there takes at most this much longer than those from the first.
 */
#define NPI_FAR_NS (20 * NPI_MS)
/*
 * [safety] Protects slow servers: from so many answers to plain requests on, rounds have all tests until both halves
 * hold. Before that, what seems lost may wait in a queue.
 */
#define NPI_HALVES_ANSWERS 4
/*
 * [safety] Protects the verdict. If more than a third is lost, that is rarely chance: rate limits, bursts, servers that
 * answer twice. The probabilities above are then multiplied by this.
 */
#define NPI_SILENCE_HEAVY 0.1
/*
 * [safety] Protects the verdict. The limits above are for one look, and after every copy there is another. This is what
 * they come to over all looks, for losses that are independent: the most, over all rates of loss, with which loss alone
 * passes the filtering phase, and is still taken for filtering when the mapping phase has shown its losses; and the
 * latter where a quarter is lost, or less, and on average over the simulator's worlds. No code reads them: they hold
 * because of the limits above, and the unit test of silence computes them from the decisions of silence.c. Whoever
 * loosens a limit fails it.
 */
#define NPI_SILENCE_TOTAL_PHASE 4e-5
#define NPI_SILENCE_TOTAL 6e-6
#define NPI_SILENCE_TOTAL_QUARTER 4e-7
#define NPI_SILENCE_TOTAL_MEAN 5e-7
/* [safety] Protects the verdict. The least number of silent copies, however few losses were seen. */
#define NPI_SILENT_MIN 7
/*
 * [safety] Protects the verdict from servers that repeat their answers, which hides losses. A server repeats if the
 * first number of answers came for each copy of one request. It also does if the second number came in all, and three
 * for every two copies. The third is then the least number of silent copies.
 */
#define NPI_REPEATED 3
#define NPI_REPEATED_LEAST 6
#define NPI_SILENT_MIN_REPEATED 18
/*
 * [safety] The same, where so many answers are lost that no more come than requests were sent. A server repeats as well
 * if the first number of duplicates came, and one of so many answers is one. Answers that come together to copies that
 * left this far apart are duplicates.
 */
#define NPI_SURPLUS_LEAST 3
#define NPI_SURPLUS_SHARE 4
#define NPI_COPIES_APART_NS NPI_PRIMARY_GAP_MIN_NS

/* ---- What may be compared --------------------------------------------------------------------------------------- */

/* [safety] Protects the verdict: requests that left within this time of each other saw the same state of the NAT. */
#define NPI_SAME_MOMENT_NS (NPI_MS / 5)
/*
 * [safety] Protects the verdict: answers belong to the same round of copies if they came less than this share of the
 * time between its first and last copy apart.
 */
#define NPI_SAME_ROUND_SHARE 16
/*
 * How often the servers are asked again whether the external address is still the same.
 * [tuned] tests/sim/tune NPI_RECHECKS_MAX 0 1 6 -- --class moving --worlds 2000: 0 loses 5 % of the verdicts, 1 loses
 * 0.2 %, 6 gains none.
 */
#define NPI_RECHECKS_MAX 3
/*
 * [safety] Protects the verdict: the fresh sockets that tell a pool of external addresses from another way out. They
 * are asked one after the other.
 * tests/sim/tune NPI_PATH_SOCKETS 2 16 -- --class conforming --worlds 4000: 2 loses 1.5 % of the verdicts, 16 gains
 * none.
 */
#define NPI_PATH_SOCKETS 8
/*
 * [safety] Protects the verdict. A NAT may give every destination another port, at random out of few. That several
 * destinations see the same port counts if it is chance with at most this probability, however many ports there are,
 * from the third number up. The second is for a check whose filtering socket has asked a second address as well: there
 * only a NAT that maps by address, with the fewest ports, comes near it.
 */
#define NPI_CHANCE 1e-4
#define NPI_CHANCE_BOTH_SOCKETS 1e-3
#define NPI_PORTS_MIN 16
/* [safety] Protects the verdict: ports that follow each other at most so far apart are counted up, and not drawn. */
#define NPI_SEQUENCE_STEP 3
/*
 * [safety] Protects the verdict: late answers to II, whose way that request opens. They would contradict the silence.
 */
#define NPI_OTHER_DELAY_NS (20 * NPI_MS)
/*
 * [safety] Protects the verdict: the fresh sockets that compare two destinations, where the others do not suffice, and
 * the copies of each of their requests.
 * tests/sim/tune NPI_LOOKS 1 2 8 -- --class ports --worlds 2000: 1 loses 5 % of the verdicts, 2 loses 2 %, 8 gains
 * none.
 */
#define NPI_LOOKS 4
#define NPI_LOOK_COPIES 3
/* [safety] A server that leaves this many fresh sockets unanswered gets no further one: each takes seconds. */
#define NPI_PATH_UNHEARD 3

/* ---- The host --------------------------------------------------------------------------------------------------- */

/*
 * [safety] Protects the verdict: a driver that comes back later than it was asked to by this has stood still. Silence
 * during that time shows nothing.
 * tests/sim/tune NPI_STANDSTILL_NS 20 2000 -- --class frozen --worlds 1000: 2000 loses 11 % of the verdicts. 20: no
 * difference seen, but a busy host would stand still now and then.
 */
#define NPI_STANDSTILL_NS (100 * NPI_MS)
/*
 * If copies have left for the first time before the first answer comes, the path may have been silent at first (a radio
 * or a VPN that wakes up), or be slow. Within the second time a slow path answers this number of copies of the first
 * burst.
 * [tuned] tests/sim/tune NPI_LATE_SPREAD_NS 50 800 -- --class waking --worlds 1000: 800 loses 11 % of the verdicts. 50:
 * no difference seen.
 * [tuned] tests/sim/tune NPI_LATE_CHECK_NS 10 160 -- --class waking --worlds 1000: 160 loses 0.1 %. 10: no difference
 * seen, but it leaves no room for jitter.
 * [tuned] tests/sim/tune NPI_LATE_ANSWERS 1 4 -- --class waking --worlds 1000: 1 loses 6 %. 4: no difference seen, but
 * a slow path with losses would be asked anew more often.
 */
#define NPI_LATE_SPREAD_NS (200 * NPI_MS)
#define NPI_LATE_CHECK_NS (40 * NPI_MS)
#define NPI_LATE_ANSWERS 2
/*
 * A request that the system refuses to send is tried again, ever slower, up to this gap.
 * [tuned] tests/sim/tune NPI_SEND_RETRY_MAX_NS 40 640 -- --class outage --worlds 2000: 640 loses 4 % of the verdicts.
 * 40 gains 0.8 %, but asks the system four times as often.
 */
#define NPI_SEND_RETRY_MAX_NS (160 * NPI_MS)
/*
 * It has failed when it was refused for the first time while others left, or for the second if nothing leaves.
 * [tuned] tests/sim/tune NPI_SEND_PATIENCE_NS 250 4000 -- --class output-limit --worlds 2000: 250 loses 9 % of the
 * verdicts, 4000 gains none.
 * [tuned] tests/sim/tune NPI_SEND_PATIENCE_ALONE_NS 1000 9000 -- --class outage --worlds 2000: 1000 loses 27 % of the
 * verdicts, 9000 gains none.
 */
#define NPI_SEND_PATIENCE_NS (1000 * NPI_MS)
#define NPI_SEND_PATIENCE_ALONE_NS (3000 * NPI_MS)
/*
 * An error that is not the network's hardly passes. It counts after this number of refusals.
 * [tuned] tests/sim/tune NPI_SEND_FAILURES_MAX 1 10 -- --class host --worlds 2000: no difference seen.
 */
#define NPI_SEND_FAILURES_MAX 3

#endif
