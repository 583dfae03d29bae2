/* SPDX-License-Identifier: MIT */
/*
 * A system in memory for the library to run on: descriptors, sockets in a simulated network, threads that run one at a
 * time, and a clock that moves only when somebody waits or asks. Nothing of it leaves the process, and all of it
 * follows from the input. What the library may never do (use a closed descriptor, change the caller's socket, block)
 * is checked here.
 */
#ifndef TESTS_FUZZ_FAKE_SYSTEM_H
#define TESTS_FUZZ_FAKE_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../sim/world.h"

/* Calls that can be refused. */
typedef enum fake_call {
    FAKE_MALLOC,
    FAKE_CALLOC,
    FAKE_EPOLL_CREATE,
    FAKE_EPOLL_CTL,
    FAKE_EPOLL_WAIT,
    FAKE_TIMERFD_CREATE,
    FAKE_TIMERFD_SETTIME,
    FAKE_EVENTFD,
    FAKE_READ,
    FAKE_WRITE,
    FAKE_POLL,
    FAKE_SOCKET,
    FAKE_BIND,
    FAKE_CONNECT,
    FAKE_GETSOCKNAME,
    FAKE_GETSOCKOPT,
    FAKE_SETSOCKOPT,
    FAKE_FCNTL,
    FAKE_SENDTO,
    FAKE_RECVMSG,
    FAKE_CLOCK,
    FAKE_GETRANDOM,
    FAKE_MUTEX,
    FAKE_THREAD,
    FAKE_NAMES,
    FAKE_CALLS
} fake_call;

#define FAKE_USERS 3 /* who is told apart */

/* ---- For the target --------------------------------------------------------------------------------------------- */

/* An empty system in a world, which has to live as long. interrupt: called by what fake_plan_interrupt plans. */
void fake_begin(const world *w, void (*interrupt)(void));
/* Threads are let run to their end; then nothing may be left of what the library has opened or allocated. */
void fake_end(void);

/*
 * The call of that kind after so many others fails, or from then on all do: with the index-th of the errors that it can
 * have. Or it is interrupted, by a signal or another thread, and then goes on.
 */
void fake_plan(fake_call which, unsigned after, unsigned index, bool forever);
void fake_plan_interrupt(fake_call which, unsigned after);
/* How many calls have been refused so far. */
unsigned fake_refusals(void);

/* Whose calls come next, 0 to FAKE_USERS - 1. */
void fake_set_user(unsigned user);
/* A check begins: that user has sent nothing yet, nor been woken in vain. */
void fake_begin_check(unsigned user);
/* Datagrams that user has sent by family (4, 6) since then. */
unsigned fake_sent(unsigned user, unsigned family);

uint64_t fake_now(void);
void fake_pass(uint64_t ns);
/* As a caller's poll(): true when fd is readable, false when it was not by then. */
bool fake_wait(int fd, uint64_t until_ns);
/* When something will make fd readable, if nobody does anything: NEVER when nothing will. */
uint64_t fake_next_readable(int fd);
/* More has happened than an input is worth: the target should come to an end. */
bool fake_is_tired(void);

typedef enum fake_socket_kind {
    FAKE_UDP4,
    FAKE_UDP6,
    FAKE_UDP6_ONLY,
    FAKE_UDP4_LOCAL, /* bound to the host's address */
    FAKE_UDP4_UNBOUND,
    FAKE_UDP4_CONNECTED,
    FAKE_TCP,
    FAKE_SOCKET_KINDS
} fake_socket_kind;

/* A socket of the caller's; it alone may close it. */
int fake_open_callers(fake_socket_kind kind);
/* Whether np_probe_set_socket has to accept it. */
bool fake_is_usable(int fd);
/* Puts a datagram, or several of a size in a row, into a socket; false when it is full. */
bool fake_put(int fd, const uint8_t *data, size_t size, size_t segment);
/* Takes out what was put in as one. */
bool fake_get(int fd, uint8_t *data, size_t room, size_t *size, size_t *segment);
void fake_put_error(int fd, int error);
void fake_close_callers(int fd);

/* ---- Between the parts of the system ----------------------------------------------------------------------------- */

/* The error with which this call fails, 0: it does not. */
int fake_refusal(fake_call which);
/* Counted until fake_free. */
void *fake_allocate(size_t size);
const world *fake_world(void);

void fake_threads_begin(void);
void fake_threads_end(void);
/* Lets every thread that has something to do run until it waits for the network. */
bool fake_threads_run(uint64_t now_ns);
uint64_t fake_threads_next_ns(void);

#endif
