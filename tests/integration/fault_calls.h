/* SPDX-License-Identifier: MIT */
/*
 * What the library asks of the system, one call after the other, with the test in between: the programs are linked with
 * --wrap for each of these calls (meson.build). Calls are counted and refused by a plan, and what they hand out is
 * remembered until it has been given back. Nothing of this concerns a thread that has not entered, but for the
 * library's own threads, which belong to the thread that made them.
 */
#ifndef TESTS_FAULT_CALLS_H
#define TESTS_FAULT_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum fault_call {
    CALL_MALLOC, /* and calloc(): compilers make one out of the other */
    CALL_SOCKET,
    CALL_BIND,
    CALL_GETSOCKNAME,
    CALL_GETPEERNAME,
    CALL_SETSOCKOPT,
    CALL_GETSOCKOPT,
    CALL_CONNECT,
    CALL_FCNTL,
    CALL_SENDTO,
    CALL_RECVMSG,
    CALL_CLOSE,
    CALL_POLL,
    CALL_EPOLL_CREATE1,
    CALL_EPOLL_CTL,
    CALL_EPOLL_WAIT,
    CALL_TIMERFD_CREATE,
    CALL_TIMERFD_SETTIME,
    CALL_EVENTFD,
    CALL_READ,
    CALL_WRITE,
    CALL_GETRANDOM,
    CALL_CLOCK_GETTIME,
    CALL_PTHREAD_CREATE,
    CALL_ATTR_INIT,
    CALL_ATTR_SETSTACKSIZE,
    CALL_MUTEX_INIT,
    CALL_SIGMASK,
    CALL_GETADDRINFO,
    FAULT_CALLS
} fault_call;

typedef enum fault_mode {
    FAULT_ONCE,
    FAULT_FOREVER,     /* at this turn and from then on */
    FAULT_EVERY_OTHER, /* at this turn, not at the next, and so on */
    FAULT_A_THIRD,     /* of all turns, drawn at random: the turn of the plan is the seed */
    FAULT_TWO_THIRDS,  /* the same */
    FAULT_STORM        /* at eight turns in a row */
} fault_mode;

/* In place of an errno: the call succeeds, but gives less than was asked for; one that waits wakes up for nothing. */
enum { FAULT_SHORT = -1000 };

typedef struct fault_plan {
    fault_call call;
    unsigned turn; /* of this call, counted from 0 */
    fault_mode mode;
    int error;          /* an errno, for getaddrinfo() an EAI_* code, or FAULT_SHORT */
    unsigned socket;    /* only the calls on the n-th socket made, counted from 1; 0: all calls */
    unsigned endpoints; /* only what is sent to these of the world's endpoints (bits); 0: to all */
} fault_plan;

/* Called from within one of the library's calls, as a signal handler might be. */
typedef void (*fault_hook)(void *user);

/* What this system lacks all the time, besides what a plan refuses. */
typedef struct fault_lack {
    bool pktinfo;    /* cannot tell the local address of a datagram */
    bool ipv4_route; /* cannot send to any IPv4 address */
    bool boottime;   /* has no clock that goes on while the machine sleeps */
} fault_lack;

/* From here on this thread's calls are the library's. */
void fault_enter(void);
void fault_leave(void);
bool fault_is_inside(void);

/* Counts anew and refuses what the plan says; NULL: nothing. */
void fault_arm(const fault_plan *plan);
void fault_set_lack(fault_lack lack);
/* Calls the hook from within the n-th call of all since fault_arm(), counted from 0; NULL: never. */
void fault_set_hook(unsigned nth, fault_hook hook, void *user);
/* How many calls were refused since fault_arm(), and how many were made. */
unsigned fault_refused(void);
unsigned fault_made(fault_call call);
const char *fault_call_name(fault_call call);

/* The descriptor as one of the library's: 0 when it is not, else a number that no other descriptor had or will have. */
unsigned fault_serial(int fd);
/* Threads of the library's that are doing something, as against those that hang in a look-up. */
unsigned fault_threads_busy(void);
void fault_thread_hangs(bool hangs);

/* Something that must not be, in whichever thread. Kept until the end of the check; the first one counts. */
void fault_mistake(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Waits for the library's threads and then tells what is wrong: a mistake, or something not given back. NULL: nothing.
 */
const char *fault_left_over(void);
void fault_forget_all(void);

#endif
