/* SPDX-License-Identifier: MIT */
/* The poller on BSD and macOS: a kqueue around the sockets, a timer and a pipe. */
#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

#define TAG_TIMER UINT32_MAX
#define TAG_WAKE (UINT32_MAX - 1)
#define NEVER UINT64_MAX
/* Microseconds where the system has them; every kqueue has milliseconds. */
#if defined(NOTE_USECONDS)
#define TIMER_UNIT NOTE_USECONDS
#define TIMER_UNIT_NS UINT64_C(1000)
#else
#define TIMER_UNIT 0
#define TIMER_UNIT_NS UINT64_C(1000000)
#endif
#define LONGEST_NS (UINT64_C(24) * 3600 * 1000000000)

#if defined(__NetBSD__)
typedef intptr_t tag_pointer;
#else
typedef void *tag_pointer;
#endif

static bool change(const npi_poller *p, uintptr_t ident, int16_t filter, uint16_t flags, int64_t data, uint32_t tag)
{
    struct kevent event;
    unsigned unit = filter == EVFILT_TIMER ? TIMER_UNIT : 0;
    EV_SET(&event, ident, filter, flags, unit, data, (tag_pointer)(uintptr_t)tag);
    return kevent(p->fd, &event, 1, NULL, 0, NULL) == 0;
}

static const char *make_pipe(npi_poller *p)
{
    int fds[2];
    if (pipe(fds) != 0)
        return "pipe";
    p->wake_read_fd = fds[0];
    p->wake_fd = fds[1];
    for (int i = 0; i < 2; i++) {
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(fds[i], F_SETFL, O_NONBLOCK) != 0)
            return "fcntl";
    }
    return change(p, (uintptr_t)p->wake_read_fd, EVFILT_READ, EV_ADD, 0, TAG_WAKE) ? NULL : "kevent";
}

const char *npi_poller_open_parts(npi_poller *p)
{
    p->fd = kqueue();
    if (p->fd < 0)
        return "kqueue";
    return fcntl(p->fd, F_SETFD, FD_CLOEXEC) == 0 ? make_pipe(p) : "fcntl";
}

bool npi_poller_watch(npi_poller *p, int fd, uint32_t tag, npi_watch watch)
{
    uint16_t flags = watch == NPI_WATCH_ARRIVALS ? EV_ADD | EV_CLEAR : EV_ADD;
    return change(p, (uintptr_t)fd, EVFILT_READ, flags, 0, tag);
}

void npi_poller_unwatch(npi_poller *p, int fd)
{
    (void)change(p, (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0);
}

/* Rounded up, since early would be once too often, and so that it is never 0, which some systems refuse. */
bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns)
{
    if (at_ns == NEVER)
        return change(p, TAG_TIMER, EVFILT_TIMER, EV_DELETE, 0, TAG_TIMER) || errno == ENOENT;
    uint64_t left_ns = at_ns > now_ns ? at_ns - now_ns : 0;
    if (left_ns > LONGEST_NS)
        left_ns = LONGEST_NS;
    return change(p, TAG_TIMER, EVFILT_TIMER, EV_ADD | EV_ONESHOT, (int64_t)(left_ns / TIMER_UNIT_NS) + 1, TAG_TIMER);
}

static void take_back_wake_ups(const npi_poller *p)
{
    char bytes[64];
    while (read(p->wake_read_fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS])
{
    static const struct timespec at_once = {0, 0};
    struct kevent events[NPI_POLLER_TAGS + 2];
    int ready;
    do {
        ready = kevent(p->fd, NULL, 0, events, NPI_POLLER_TAGS + 2, &at_once);
    } while (ready < 0 && errno == EINTR);
    int count = 0;
    for (int i = 0; i < ready; i++) {
        uint32_t tag = (uint32_t)(uintptr_t)events[i].udata;
        if (tag == TAG_WAKE)
            take_back_wake_ups(p);
        else if (tag != TAG_TIMER)
            tags[count++] = tag;
    }
    return ready < 0 ? -1 : count;
}
