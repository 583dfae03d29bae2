/* SPDX-License-Identifier: MIT */
/*
 * One descriptor that is readable whenever a socket has something to read, a time has come or somebody has called: what
 * an event loop needs to watch. epoll, timerfd and eventfd on Linux; an event and a timer on
 * Windows; kqueue and a pipe elsewhere.
 */
#ifndef NPI_POLLER_H
#define NPI_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "failure.h"

#define NPI_POLLER_TAGS 144 /* more sockets than that are never watched: see check.c */

#ifdef _WIN32

/* What npi_poller_wake takes: an event of the system's. */
typedef void *npi_wake;
#define NPI_NO_WAKE NULL

typedef struct npi_poller {
    void *event;   /* the one to watch, and what wakes it; NULL: closed */
    void *timer;   /* sets the event when it is due */
    void *relay;   /* what does that, on a thread of the system's */
    unsigned size; /* of watched */
    struct {
        np_socket fd;
        uint32_t tag;
    } watched[NPI_POLLER_TAGS];
} npi_poller;

#define NPI_POLLER_CLOSED ((npi_poller){.event = NULL})

#else

/* What npi_poller_wake takes: a descriptor. */
typedef int npi_wake;
#define NPI_NO_WAKE (-1)

typedef struct npi_poller {
    int fd;           /* the one to watch; -1: closed */
    int timer_fd;     /* epoll only */
    int wake_fd;      /* for npi_poller_wake */
    int wake_read_fd; /* its other end, or the same */
} npi_poller;

#define NPI_POLLER_CLOSED ((npi_poller){.fd = -1, .timer_fd = -1, .wake_fd = -1, .wake_read_fd = -1})

#endif

/* What failed, for messages. */
#if defined(_WIN32)
#define NPI_POLLER_WATCH "WSAEventSelect"
#define NPI_POLLER_COLLECT "WSAEnumNetworkEvents"
#define NPI_POLLER_TIMER "SetWaitableTimer"
#define NPI_POLLER_WAIT "WaitForMultipleObjects"
#elif defined(__linux__)
#define NPI_POLLER_WATCH "epoll_ctl"
#define NPI_POLLER_COLLECT "epoll_wait"
#define NPI_POLLER_TIMER "timerfd_settime"
#define NPI_POLLER_WAIT "poll"
#else
#define NPI_POLLER_WATCH "kevent"
#define NPI_POLLER_COLLECT "kevent"
#define NPI_POLLER_TIMER "kevent"
#define NPI_POLLER_WAIT "poll"
#endif

static inline bool npi_poller_is_open(const npi_poller *p)
{
#ifdef _WIN32
    return p->event != NULL;
#else
    return p->fd >= 0;
#endif
}

/* What an event loop waits for: a descriptor (NP_INVALID_SOCKET on Windows), or an event (NULL elsewhere). */
static inline np_socket npi_poller_fd(const npi_poller *p)
{
#ifdef _WIN32
    (void)p;
    return NP_INVALID_SOCKET;
#else
    return p->fd;
#endif
}

static inline void *npi_poller_event(const npi_poller *p)
{
#ifdef _WIN32
    return p->event;
#else
    (void)p;
    return NULL;
#endif
}

static inline npi_wake npi_poller_wake_of(const npi_poller *p)
{
#ifdef _WIN32
    return p->event;
#else
    return p->wake_fd;
#endif
}

/* NP_OK or an NP_ERR_* code. */
int npi_poller_open(npi_poller *p, npi_failure *failure);
/* A closed one may be closed again. */
void npi_poller_close(npi_poller *p);

typedef enum npi_watch {
    NPI_WATCH_CONTENT, /* readable as long as the socket holds something */
    NPI_WATCH_ARRIVALS /* readable when something new has come; what the library leaves in the socket does not count */
} npi_watch;

/* Watches a socket until npi_poller_unwatch. False with errno. */
bool npi_poller_watch(npi_poller *p, np_socket fd, uint32_t tag, npi_watch watch);
void npi_poller_unwatch(npi_poller *p, np_socket fd);
/*
 * The descriptor becomes readable at a time of npi_clock_now, NPI_NEVER for none; replaces the time before. False with
 * errno.
 */
bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns);
/* Makes the descriptor readable. From any thread and from signal handlers; leaves errno alone. */
void npi_poller_wake(npi_wake wake);
/* The tags of the sockets with something to read, without waiting; takes back wake-ups. -1 with errno. */
int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS]);
/* Blocks until the descriptor is readable, or a signal came. False with errno when it cannot wait. */
bool npi_poller_wait(const npi_poller *p);
/* The same until one of two is. */
bool npi_poller_wait_either(const npi_poller *p, const npi_poller *q);

/*
 * The part of npi_poller_open that each system has of its own. NULL, or the call that failed, with errno; what has been
 * opened by then is closed for it.
 */
const char *npi_poller_open_parts(npi_poller *p);

#endif
