/* SPDX-License-Identifier: MIT */
/*
 * Time for a thread that has entered (fault_calls.h): it stands still while the library works and is moved on to the
 * next thing that will happen when it waits. So a check takes no longer than its system calls, and always the same way.
 */
#ifndef TESTS_FAULT_CLOCK_H
#define TESTS_FAULT_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <time.h>

#define FAULT_MS UINT64_C(1000000)
#define FAULT_NEVER UINT64_MAX

/* What is odd about the clock. */
typedef struct fault_bend {
    unsigned at_reading; /* counted from 1: before this reading the time jumps; 0: never */
    int64_t by_ns;
    uint64_t grain_ns; /* the clock moves on in steps of this; 0: smoothly */
    uint64_t slept_ns; /* how far the clock that stops while the machine sleeps is behind the other */
} fault_bend;

/* A new check: no timer runs, no time has passed. */
void fault_clock_reset(fault_bend bend);
uint64_t fault_now_ns(void);
/* How often the clock was read since. */
unsigned fault_readings(void);
/* How often in a row, at most, the library waited for something that was there already. */
unsigned fault_most_spins(void);

/* Waits until the descriptor is readable: at once where it is, else by moving on to whatever comes next. */
void fault_wait(int fd);
/* The same until one of two is. */
void fault_wait_either(int fd, int other);
bool fault_is_readable(int fd);
/* Time that passes without anybody waiting for anything. */
void fault_time_passes(void);

/* For the calls. */
void fault_clock_read(clockid_t clock, struct timespec *now);
int fault_timer_set(int fd, const struct itimerspec *when);
void fault_clock_closed(int fd);

#endif
