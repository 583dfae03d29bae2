/* SPDX-License-Identifier: MIT */
/* See fault_clock.h. */
#include "fault_clock.h"

#include <poll.h>
#include <string.h>

#include "fault_calls.h"
#include "fault_world.h"
#include "support.h"

#define BEGINNING_NS (UINT64_C(1000000) * 1000 * FAULT_MS)
#define READING_NS 200 /* that much time passes from one reading of the clock to the next */

enum { TIMERS = 8, PATIENCE_STEPS = 60000 };

static struct {
    uint64_t now_ns;
    unsigned readings;
    fault_bend bend;
    unsigned spins, most_spins;
    struct {
        int fd; /* 0: a free place */
        uint64_t at_ns;
    } timers[TIMERS];
} it;

void fault_clock_reset(fault_bend bend)
{
    memset(&it, 0, sizeof it);
    it.now_ns = BEGINNING_NS;
    it.bend = bend;
}

uint64_t fault_now_ns(void)
{
    return it.now_ns;
}

unsigned fault_readings(void)
{
    return it.readings;
}

unsigned fault_most_spins(void)
{
    return it.most_spins;
}

void fault_clock_read(clockid_t clock, struct timespec *now)
{
    if (++it.readings == it.bend.at_reading)
        it.now_ns += (uint64_t)it.bend.by_ns;
    it.now_ns += READING_NS;
    uint64_t shown_ns = it.now_ns - (clock == CLOCK_MONOTONIC ? it.bend.slept_ns : 0);
    if (it.bend.grain_ns > 0)
        shown_ns -= shown_ns % it.bend.grain_ns;
    if (clock == CLOCK_REALTIME) /* people set it: nothing may hang on it */
        shown_ns += it.readings % 7 * 3600 * 1000 * FAULT_MS;
    now->tv_sec = (time_t)(shown_ns / (1000 * FAULT_MS));
    now->tv_nsec = (long)(shown_ns % (1000 * FAULT_MS));
}

/* ---- Timers ----------------------------------------------------------------------------------------------------- */

static uint64_t *place_of_timer(int fd)
{
    unsigned place = TIMERS;
    for (unsigned i = TIMERS; i-- > 0;) {
        if (it.timers[i].fd == fd)
            return &it.timers[i].at_ns;
        if (it.timers[i].fd == 0)
            place = i;
    }
    assert_true(place < TIMERS);
    it.timers[place].fd = fd;
    return &it.timers[place].at_ns;
}

static int set_really(int fd, long in_ns)
{
    const struct itimerspec when = {.it_value = {.tv_nsec = in_ns}};
    return timerfd_settime(fd, 0, &when, NULL);
}

/* The timer itself is only ever told that its time has come, or that it has not. */
int fault_timer_set(int fd, const struct itimerspec *when)
{
    const uint64_t in_ns = (uint64_t)when->it_value.tv_sec * 1000 * FAULT_MS + (uint64_t)when->it_value.tv_nsec;
    *place_of_timer(fd) = in_ns == 0 ? FAULT_NEVER : it.now_ns + in_ns;
    fault_leave();
    const int error = set_really(fd, 0);
    fault_enter();
    return error;
}

void fault_clock_closed(int fd)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        if (it.timers[i].fd == fd)
            it.timers[i].fd = 0;
    }
}

static uint64_t next_timer_ns(void)
{
    uint64_t next_ns = FAULT_NEVER;
    for (unsigned i = 0; i < TIMERS; i++) {
        if (it.timers[i].fd != 0 && it.timers[i].at_ns < next_ns)
            next_ns = it.timers[i].at_ns;
    }
    return next_ns;
}

static void fire_timers(void)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        if (it.timers[i].fd == 0 || it.timers[i].at_ns > it.now_ns)
            continue;
        it.timers[i].at_ns = FAULT_NEVER;
        assert_int_equal(set_really(it.timers[i].fd, 1), 0);
        struct pollfd fd = {.fd = it.timers[i].fd, .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 60000), 1);
    }
}

/* ---- Waiting ---------------------------------------------------------------------------------------------------- */

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, timeout_ms) == 1;
}

bool fault_is_readable(int fd)
{
    const bool was_inside = fault_is_inside();
    fault_leave();
    const bool readable = is_readable(fd, 0);
    if (was_inside)
        fault_enter();
    return readable;
}

static void happen(void)
{
    world_delivers();
    fire_timers();
}

/* Who finds what it waits for again and again goes round in circles, and that takes time: of threads the real one. */
void fault_time_passes(void)
{
    if (fault_threads_busy() > 0)
        (void)nanosleep(&(struct timespec){0, 20000}, NULL);
    it.spins++;
    it.most_spins = it.spins > it.most_spins ? it.spins : it.most_spins;
    const unsigned doublings = it.spins / 32 < 10 ? it.spins / 32 : 10;
    it.now_ns += UINT64_C(10000) << doublings;
    happen();
}

static bool is_either_readable(int fd, int other, int timeout_ms)
{
    struct pollfd polled[] = {{.fd = fd, .events = POLLIN}, {.fd = other, .events = POLLIN}};
    return poll(polled, 2, timeout_ms) > 0;
}

/* Look-ups take no time of this clock, but threads take some of the real one. */
static bool is_readable_once_threads_are_done(int fd, int other)
{
    for (unsigned i = 0; i < PATIENCE_STEPS; i++) {
        const bool busy = fault_threads_busy() > 0;
        if (is_either_readable(fd, other, busy ? 1 : 0))
            return true;
        if (!busy)
            return false;
    }
    fail_msg("threads are busy for ever");
    return false;
}

void fault_wait_either(int fd, int other)
{
    const bool was_inside = fault_is_inside();
    fault_leave();
    if (is_either_readable(fd, other, 0))
        fault_time_passes();
    while (!is_readable_once_threads_are_done(fd, other)) {
        it.spins = 0;
        const uint64_t timer_ns = next_timer_ns();
        const uint64_t world_ns = world_next_ns();
        const uint64_t next_ns = timer_ns < world_ns ? timer_ns : world_ns;
        if (next_ns == FAULT_NEVER)
            fail_msg("it waits for something that will never come");
        it.now_ns = next_ns > it.now_ns ? next_ns : it.now_ns;
        happen();
    }
    if (was_inside)
        fault_enter();
}

void fault_wait(int fd)
{
    fault_wait_either(fd, -1);
}
