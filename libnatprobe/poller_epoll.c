/* SPDX-License-Identifier: MIT */
/* The poller on Linux: an epoll descriptor around the sockets, a timerfd and an eventfd. */
#include "poller.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TAG_TIMER UINT32_MAX
#define TAG_WAKE (UINT32_MAX - 1)
#define NEVER UINT64_MAX
#define NS_PER_S UINT64_C(1000000000)

static bool add(int epoll_fd, int fd, uint32_t events, uint32_t tag)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.u32 = tag;
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* The clock is that of npi_clock_now: it goes on while the machine sleeps, where the system has such a timer. */
static int open_timer(void)
{
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return fd < 0 && errno == EINVAL ? timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK) : fd;
}

const char *npi_poller_open_parts(npi_poller *p)
{
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return "epoll_create1";
    p->timer_fd = open_timer();
    if (p->timer_fd < 0)
        return "timerfd_create";
    p->wake_fd = p->wake_read_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake_fd < 0)
        return "eventfd";
    bool added = add(p->fd, p->timer_fd, EPOLLIN, TAG_TIMER) && add(p->fd, p->wake_fd, EPOLLIN, TAG_WAKE);
    return added ? NULL : "epoll_ctl";
}

bool npi_poller_watch(npi_poller *p, int fd, uint32_t tag, npi_watch watch)
{
    return add(p->fd, fd, watch == NPI_WATCH_ARRIVALS ? EPOLLIN | EPOLLET : EPOLLIN, tag);
}

/* Needed even before close(): the caller's socket lives on under another descriptor. */
void npi_poller_unwatch(npi_poller *p, int fd)
{
    struct epoll_event unused;
    memset(&unused, 0, sizeof unused);
    (void)epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, &unused);
}

bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns)
{
    struct itimerspec when;
    memset(&when, 0, sizeof when); /* takes the time before back */
    if (at_ns != NEVER) {
        uint64_t left_ns = at_ns > now_ns ? at_ns - now_ns : 1;
        when.it_value.tv_sec = (time_t)(left_ns / NS_PER_S);
        when.it_value.tv_nsec = (long)(left_ns % NS_PER_S);
    }
    return timerfd_settime(p->timer_fd, 0, &when, NULL) == 0;
}

static void take_back_wake_ups(const npi_poller *p)
{
    uint64_t count;
    ssize_t got = read(p->wake_read_fd, &count, sizeof count);
    (void)got;
}

int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS])
{
    struct epoll_event events[NPI_POLLER_TAGS + 2];
    int ready;
    do {
        ready = epoll_wait(p->fd, events, NPI_POLLER_TAGS + 2, 0);
    } while (ready < 0 && errno == EINTR);
    int count = 0;
    for (int i = 0; i < ready; i++) {
        if (events[i].data.u32 == TAG_WAKE)
            take_back_wake_ups(p);
        else if (events[i].data.u32 != TAG_TIMER) /* set anew at the end of every turn */
            tags[count++] = events[i].data.u32;
    }
    return ready < 0 ? -1 : count;
}
