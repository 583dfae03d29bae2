/* SPDX-License-Identifier: MIT */
/* Bookkeeping of one request and of what its path does to datagrams. */
#include "transaction.h"

#include <string.h>

/* Copies are at least 10 ms apart: answers this close are more likely one answer twice. */
#define CLOSE_NS (3 * NPI_MS)

/* On a path without jitter, answers that come so long after one another belong to different moments. */
#define APART_NS (50 * NPI_MS)

/* Floor of the allowance for jitter: a scheduler may hold a datagram that long on an idle path. */
#define JITTER_FLOOR_NS (4 * NPI_MS)

void npi_rtt_sample(npi_rtt *rtt, uint64_t sample_ns, npi_rtt_quality quality)
{
    if (sample_ns == 0)
        return;
    rtt->low = sample_ns < rtt->smoothed_ns / 3 ? rtt->low + 1 : 0;
    if (rtt->samples == 0 || rtt->low > 1 || (quality == NPI_RTT_EXACT && rtt->low > 0)) {
        rtt->low = 0;
        rtt->smoothed_ns = sample_ns;
        rtt->lowest_ns = sample_ns;
        rtt->deviation_ns = sample_ns /
                            16; /* not yet known; half of the round trip, as in RFC 6298, would cost too long */
    } else {
        uint64_t off = sample_ns > rtt->smoothed_ns ? sample_ns - rtt->smoothed_ns : rtt->smoothed_ns - sample_ns;
        rtt->deviation_ns = (3 * rtt->deviation_ns + off) / 4;
        rtt->smoothed_ns = (7 * rtt->smoothed_ns + sample_ns) / 8;
        if (sample_ns < rtt->lowest_ns)
            rtt->lowest_ns = sample_ns;
    }
    rtt->has_exact |= quality == NPI_RTT_EXACT;
    rtt->samples++;
}

uint64_t npi_rtt_rto(const npi_rtt *rtt)
{
    if (rtt->samples == 0)
        return NPI_NEVER;
    uint64_t allowance = 4 * rtt->deviation_ns;
    return rtt->smoothed_ns + (allowance > JITTER_FLOOR_NS ? allowance : JITTER_FLOOR_NS);
}

uint64_t npi_rtt_floor(const npi_rtt *rtt)
{
    return rtt->lowest_ns / 8 * 7;
}

void npi_transaction_start(npi_transaction *t, const npi_stun_id *id, uint32_t limit, uint64_t now_ns)
{
    memset(t, 0, sizeof *t);
    t->id = *id;
    t->started = true;
    t->limit = limit < NPI_COPIES_MAX ? limit : NPI_COPIES_MAX;
    t->answered_ns = NPI_NEVER;
    t->next_ns = now_ns;
}

void npi_transaction_sent(npi_transaction *t, uint64_t now_ns, uint64_t gap_ns)
{
    if (t->sent >= NPI_COPIES_MAX)
        return;
    if (t->sent == 0)
        t->first_ns = now_ns;
    uint64_t offset_us = (now_ns - t->first_ns + 999) / 1000; /* rounded up: never younger than it is */
    t->sent_us[t->sent++] = offset_us < UINT32_MAX ? (uint32_t)offset_us : UINT32_MAX;
    t->next_ns = t->sent < t->limit ? npi_time_add(now_ns, gap_ns) : NPI_NEVER;
}

uint64_t npi_transaction_copy_ns(const npi_transaction *t, uint32_t copy)
{
    return t->first_ns + (uint64_t)t->sent_us[copy] * 1000;
}

void npi_transaction_unsent(npi_transaction *t, uint64_t retry_ns)
{
    if (t->sent == 0)
        return;
    t->sent--;
    t->next_ns = retry_ns;
}

/* Answers to copies that left closer together come closer together as well. */
static uint64_t close_ns(const npi_transaction *t)
{
    uint64_t least_us = UINT32_MAX;
    for (uint32_t i = 1; i < t->sent; i++) {
        uint64_t gap_us = t->sent_us[i] - t->sent_us[i - 1];
        least_us = gap_us < least_us ? gap_us : least_us;
    }
    uint64_t half_ns = least_us * 500;
    return half_ns < CLOSE_NS ? half_ns : CLOSE_NS;
}

static bool is_usual(const npi_rtt *usual, uint64_t rtt_ns)
{
    return usual != NULL && usual->samples > 0 && rtt_ns >= npi_rtt_floor(usual) && rtt_ns <= npi_rtt_rto(usual);
}

static uint64_t difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Notes which copy an answer was for. One that fits a copy which has an answer may be for another, or be that again. */
static void note_answered_copy(npi_transaction *t, uint64_t now_ns, const npi_rtt *usual, bool repeats)
{
    uint32_t best = t->sent;
    uint64_t best_off = NPI_NEVER;
    for (uint32_t i = 0; i < t->sent; i++) {
        if (npi_transaction_is_copy_answered(t, i) && !repeats)
            continue;
        uint64_t rtt_ns = now_ns - npi_time_min(now_ns, npi_transaction_copy_ns(t, i));
        uint64_t off = is_usual(usual, rtt_ns) ? difference(rtt_ns, usual->smoothed_ns) : NPI_NEVER;
        if (best == t->sent || off < best_off) {
            best = i;
            best_off = off;
        }
    }
    if (best < t->sent)
        t->answered_copies |= UINT64_C(1) << best;
}

/* Whether an answer so long after the one before is to another moment. Jitter parts those to one moment less. */
static bool is_apart(uint64_t pause_ns, const npi_rtt *usual)
{
    return pause_ns >= APART_NS && (usual == NULL || pause_ns >= 2 * usual->deviation_ns);
}

uint64_t npi_transaction_answered(npi_transaction *t, uint64_t now_ns, const npi_rtt *usual, bool repeats)
{
    if (t->answers < t->sent || repeats)
        note_answered_copy(t, now_ns, usual, repeats);
    if (t->answers > 0 && now_ns - t->last_answer_ns < close_ns(t))
        t->likely_duplicates++;
    if (t->bunches == 0 || is_apart(now_ns - t->last_answer_ns, usual))
        t->bunches++;
    t->last_answer_ns = now_ns;
    if (t->answers >= t->sent) {
        t->extra_answers++;
        return 0;
    }
    uint64_t sent_ns = npi_transaction_copy_ns(t, t->answers++);
    if (t->answered_ns == NPI_NEVER)
        t->answered_ns = now_ns;
    return now_ns > sent_ns ? now_ns - sent_ns : 1;
}

bool npi_transaction_is_copy_answered(const npi_transaction *t, uint32_t copy)
{
    return (t->answered_copies >> copy & 1) != 0;
}

uint64_t npi_transaction_nearest(const npi_transaction *t, uint64_t now_ns, uint64_t expected_ns)
{
    uint64_t best_ns = 0;
    uint64_t best_off = NPI_NEVER;
    for (uint32_t i = 0; i < t->sent; i++) {
        uint64_t sent_ns = npi_transaction_copy_ns(t, i);
        uint64_t rtt_ns = now_ns > sent_ns ? now_ns - sent_ns : 1;
        uint64_t off = difference(rtt_ns, expected_ns);
        if (off < best_off) {
            best_off = off;
            best_ns = rtt_ns;
        }
    }
    return best_ns;
}

uint64_t npi_transaction_least_rtt_ns(const npi_transaction *t, uint64_t now_ns, uint64_t floor_ns)
{
    uint32_t aged = npi_transaction_aged(t, now_ns, floor_ns);
    return aged == 0 ? 0 : now_ns - npi_transaction_copy_ns(t, aged - 1);
}

uint64_t npi_transaction_last_ns(const npi_transaction *t)
{
    return t->sent == 0 ? 0 : npi_transaction_copy_ns(t, t->sent - 1);
}

void npi_transaction_stop(npi_transaction *t)
{
    t->stopped = true;
    t->next_ns = NPI_NEVER;
}

bool npi_transaction_due(const npi_transaction *t, uint64_t now_ns)
{
    return t->started && !t->stopped && t->sent < t->limit && t->next_ns <= now_ns;
}

bool npi_transaction_is_answered(const npi_transaction *t)
{
    return t->started && t->answers > 0;
}

uint32_t npi_transaction_sent_since(const npi_transaction *t, uint64_t from_ns)
{
    uint32_t n = t->sent;
    while (n > 0 && npi_transaction_copy_ns(t, t->sent - n) < from_ns)
        n--;
    return n;
}

uint64_t npi_transaction_first_since(const npi_transaction *t, uint64_t from_ns)
{
    uint32_t n = npi_transaction_sent_since(t, from_ns);
    return n == 0 ? 0 : npi_transaction_copy_ns(t, t->sent - n);
}

uint32_t npi_transaction_aged(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns)
{
    uint32_t n = 0;
    while (n < t->sent && npi_time_add(npi_transaction_copy_ns(t, n), age_ns) <= now_ns)
        n++;
    return n;
}

uint64_t npi_transaction_next_aged_ns(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns)
{
    uint32_t aged = npi_transaction_aged(t, now_ns, age_ns);
    return aged == t->sent ? NPI_NEVER : npi_time_add(npi_transaction_copy_ns(t, aged), age_ns);
}

uint64_t npi_transaction_all_aged_ns(const npi_transaction *t, uint64_t age_ns)
{
    return t->sent == 0 ? 0 : npi_time_add(npi_transaction_copy_ns(t, t->sent - 1), age_ns);
}

uint32_t npi_transaction_all_answers(const npi_transaction *t)
{
    return t->answers + t->extra_answers;
}

bool npi_transaction_is_spread(const npi_transaction *t, uint64_t gap_ns)
{
    for (uint32_t i = 1; i < t->sent; i++) {
        if (npi_transaction_copy_ns(t, i) - npi_transaction_copy_ns(t, i - 1) < gap_ns)
            return false;
    }
    return true;
}

uint32_t npi_transaction_moments(const npi_transaction *t, uint64_t now_ns, uint64_t age_ns, uint64_t gap_ns)
{
    uint32_t aged = npi_transaction_aged(t, now_ns, age_ns);
    uint32_t moments = 0;
    for (uint32_t i = 0; i < aged; i++)
        moments += i == 0 || npi_transaction_copy_ns(t, i) - npi_transaction_copy_ns(t, i - 1) >= gap_ns;
    return moments;
}

uint32_t npi_transaction_multiplicity(const npi_transaction *t)
{
    return t->sent == 0 ? 0 : npi_transaction_all_answers(t) / t->sent;
}
