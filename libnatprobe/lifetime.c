/* SPDX-License-Identifier: MIT */
/* Idle times to try, and what follows from them. */
#include "lifetime.h"

#include <natprobe/natprobe.h>

#include <string.h>

/*
 * So many samples have to say that mappings are gone: one may be a datagram that was lost, or a NAT that had been
 * switched off and on.
 */
#define WITNESSES 2
/* In the first round each idle time is so much of the next longer one. */
#define RATIO_NUMERATOR 5
#define RATIO_DENOMINATOR 8

/* ---- What follows ----------------------------------------------------------------------------------------------- */

static size_t count_fate(const npi_idle_sample *samples, size_t count, npi_idle_fate fate)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += samples[i].fate == fate;
    return found;
}

/* Ports out of fewer than this come again by chance, or are the lowest that is free. */
#define PORTS_MANY 4096

/* External ports change, and are drawn from many. */
static bool do_ports_change(const npi_idle_sample *samples, size_t count)
{
    uint16_t lowest = UINT16_MAX;
    uint16_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        if (samples[i].fate != NPI_IDLE_CHANGED && samples[i].fate != NPI_IDLE_SAME)
            continue;
        lowest = samples[i].port < lowest ? samples[i].port : lowest;
        highest = samples[i].port > highest ? samples[i].port : highest;
    }
    return count_fate(samples, count, NPI_IDLE_CHANGED) >= WITNESSES && highest - lowest >= PORTS_MANY;
}

static uint32_t latest_alive_ms(const npi_idle_sample *samples, size_t count, int but_of_round)
{
    uint32_t latest_ms = 0;
    bool ports_change = do_ports_change(samples, count);
    for (size_t i = 0; i < count; i++) {
        const npi_idle_sample *s = &samples[i];
        bool may_live = s->fate == NPI_IDLE_ALIVE || (s->fate == NPI_IDLE_SAME && !s->keeps_port && ports_change);
        if (may_live && s->round != but_of_round && s->least_ms > latest_ms)
            latest_ms = s->least_ms;
    }
    return latest_ms;
}

static bool is_any_gone(const npi_idle_sample *s)
{
    return s->fate == NPI_IDLE_GONE || s->fate == NPI_IDLE_CHANGED;
}

/*
 * A mapping of one round was gone that lived in another: the NAT was switched off and on, lifetimes vary, or datagrams
 * were lost. Then no mapping of that round is believed to have been gone.
 */
static bool is_round_void(const npi_idle_sample *samples, size_t count, int round)
{
    uint32_t lived_ms = latest_alive_ms(samples, count, round);
    for (size_t i = 0; i < count; i++) {
        if (samples[i].round == round && is_any_gone(&samples[i]) && samples[i].least_ms <= lived_ms)
            return true;
    }
    return false;
}

static bool is_gone(const npi_idle_sample *samples, size_t count, size_t i)
{
    return is_any_gone(&samples[i]) && !is_round_void(samples, count, samples[i].round);
}

static size_t count_gone_by(const npi_idle_sample *samples, size_t count, uint32_t after_ms, uint32_t by_ms)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += is_gone(samples, count, i) && samples[i].most_ms > after_ms && samples[i].most_ms <= by_ms;
    return found;
}

static size_t count_same_from(const npi_idle_sample *samples, size_t count, uint32_t from_ms)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += samples[i].fate == NPI_IDLE_SAME && !samples[i].keeps_port && samples[i].least_ms >= from_ms;
    return found;
}

/*
 * The same port again shows that a mapping lived on where the NAT does not make the same one again; one of them may be
 * chance. Ports that are kept show nothing: if another one was given once, the usual one may just have been taken.
 */
static bool is_alive(const npi_idle_sample *s, const npi_idle_sample *samples, size_t count)
{
    if (s->fate != NPI_IDLE_SAME)
        return s->fate == NPI_IDLE_ALIVE;
    return do_ports_change(samples, count) && count_gone_by(samples, count, 0, s->least_ms) == 0 &&
           count_same_from(samples, count, s->least_ms) >= WITNESSES;
}

static uint32_t longest_alive_ms(const npi_idle_sample *samples, size_t count)
{
    uint32_t longest_ms = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_alive(&samples[i], samples, count) && samples[i].least_ms > longest_ms)
            longest_ms = samples[i].least_ms;
    }
    return longest_ms;
}

/* The least idle time beyond after_ms by which so many mappings are gone; 0: there is none. */
static uint32_t gone_by_ms(const npi_idle_sample *samples, size_t count, uint32_t after_ms, size_t witnesses)
{
    uint32_t found_ms = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t at_ms = samples[i].most_ms;
        bool is_sooner = is_any_gone(&samples[i]) && at_ms > after_ms && (found_ms == 0 || at_ms < found_ms);
        if (is_sooner && count_gone_by(samples, count, after_ms, at_ms) >= witnesses)
            found_ms = at_ms;
    }
    return found_ms;
}

/* One mapping that went too early may be a datagram that was lost. Of several nothing can be said. */
static bool is_contradicted(const npi_idle_sample *samples, size_t count, uint32_t min_ms)
{
    size_t against = 0;
    for (size_t i = 0; i < count; i++)
        against += is_any_gone(&samples[i]) && samples[i].most_ms <= min_ms;
    return against >= WITNESSES;
}

/* By mappings for which no datagram from outside was asked: one that the NAT refuses may take the port. */
static int32_t recreated(const npi_idle_sample *samples, size_t count, uint32_t max_ms)
{
    size_t same = 0;
    for (size_t i = 0; i < count; i++)
        same += samples[i].fate == NPI_IDLE_SAME && max_ms != 0 && samples[i].least_ms >= max_ms;
    size_t changed = count_fate(samples, count, NPI_IDLE_CHANGED);
    if (same >= WITNESSES && changed == 0)
        return NP_TRISTATE_YES;
    return same == 0 && changed >= WITNESSES ? NP_TRISTATE_NO : NP_TRISTATE_UNKNOWN;
}

npi_lifetime npi_lifetime_conclude(const npi_idle_sample *samples, size_t count)
{
    npi_lifetime l = {.min_ms = longest_alive_ms(samples, count), .recreated = NP_TRISTATE_UNKNOWN};
    if (is_contradicted(samples, count, l.min_ms)) {
        l.min_ms = 0;
        return l;
    }
    l.max_ms = gone_by_ms(samples, count, l.min_ms, WITNESSES);
    l.recreated = recreated(samples, count, l.max_ms);
    return l;
}

bool npi_lifetime_is_bounded(const npi_idle_sample *samples, size_t count)
{
    return npi_lifetime_conclude(samples, count).max_ms != 0;
}

/* ---- What to try ------------------------------------------------------------------------------------------------ */

/* Falling from the limit, so that the longest time that is allowed is tried. */
size_t npi_lifetime_first_round(uint32_t limit_ms, uint32_t out[NPI_LIFETIME_TRIES])
{
    size_t count = 0;
    uint64_t next_ms = limit_ms;
    while (count < NPI_LIFETIME_TRIES && next_ms >= NPI_LIFETIME_STEP_MS) {
        out[count++] = (uint32_t)next_ms;
        uint64_t shorter_ms = next_ms * RATIO_NUMERATOR / RATIO_DENOMINATOR;
        next_ms = next_ms - shorter_ms < NPI_LIFETIME_STEP_MS ? 0 : shorter_ms;
    }
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t swapped = out[i];
        out[i] = out[count - 1 - i];
        out[count - 1 - i] = swapped;
    }
    return count;
}

/* The least idle time beyond after_ms that a mapping did not live for; 0: there is none. */
static uint32_t first_gone_ms(const npi_idle_sample *samples, size_t count, uint32_t after_ms)
{
    uint32_t found_ms = 0;
    for (size_t i = 0; i < count; i++) {
        const npi_idle_sample *s = &samples[i];
        uint32_t tried_ms = s->least_ms > after_ms ? s->least_ms : s->most_ms;
        if (is_gone(samples, count, i) && s->most_ms > after_ms && (found_ms == 0 || tried_ms < found_ms))
            found_ms = tried_ms;
    }
    return found_ms;
}

/*
 * Even steps from the longest time that a mapping has lived to the least that one has not. That one is tried again: it
 * needs a second witness.
 */
size_t npi_lifetime_next_round(const npi_idle_sample *samples, size_t count, uint32_t limit_ms,
                               uint32_t out[NPI_LIFETIME_TRIES])
{
    uint32_t low_ms = longest_alive_ms(samples, count);
    uint32_t high_ms = first_gone_ms(samples, count, low_ms);
    high_ms = high_ms < limit_ms ? high_ms : limit_ms;
    if (high_ms <= low_ms || is_contradicted(samples, count, low_ms))
        return 0;
    uint32_t steps = (high_ms - low_ms) / NPI_LIFETIME_STEP_MS;
    if (steps > NPI_LIFETIME_TRIES)
        steps = NPI_LIFETIME_TRIES;
    if (steps == 0)
        steps = 1;
    for (uint32_t i = 0; i < steps; i++)
        out[i] = low_ms + (uint32_t)((uint64_t)(high_ms - low_ms) * (i + 1) / steps);
    return steps;
}
