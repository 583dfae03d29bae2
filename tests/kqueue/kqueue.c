/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for kqueue(2) on Linux, so that poller_kqueue.c runs there: epoll, and a timerfd for each timer. It does
 * what the manual pages of macOS and the BSDs promise alike, and refuses the rest. Where they differ it takes the
 * strictest: a timer of 0 is refused.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { DESCRIPTORS = 65536, EVENTS = 256 };

typedef struct filter {
    struct filter *next;
    int kq;
    int fd; /* what epoll watches: the descriptor, or a timerfd */
    struct kevent event;
} filter;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static filter *filters[DESCRIPTORS]; /* of each kqueue */

int __real_close(int fd);
int __wrap_close(int fd);

int kqueue(void)
{
    int kq = epoll_create1(0);
    if (kq < DESCRIPTORS)
        return kq;
    __real_close(kq);
    errno = EMFILE;
    return -1;
}

/* The link that leads to it, or the last one, which leads nowhere. */
static filter **find(int kq, const struct kevent *event)
{
    filter **link = &filters[kq];
    while (*link != NULL && ((*link)->event.filter != event->filter || (*link)->event.ident != event->ident))
        link = &(*link)->next;
    return link;
}

static void drop(filter **link)
{
    filter *f = *link;
    *link = f->next;
    if (f->event.filter == EVFILT_TIMER)
        __real_close(f->fd);
    free(f);
}

/* A kqueue takes its filters with it. */
int __wrap_close(int fd)
{
    pthread_mutex_lock(&lock);
    while (fd >= 0 && fd < DESCRIPTORS && filters[fd] != NULL)
        drop(&filters[fd]);
    pthread_mutex_unlock(&lock);
    return __real_close(fd);
}

static int watch(filter *f)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = f};
    if ((f->event.flags & EV_CLEAR) != 0)
        wanted.events |= EPOLLET;
    int done = epoll_ctl(f->kq, EPOLL_CTL_ADD, f->fd, &wanted);
    return done != 0 && errno == EEXIST ? epoll_ctl(f->kq, EPOLL_CTL_MOD, f->fd, &wanted) : done;
}

static int start(const filter *f)
{
    const struct kevent *e = &f->event;
    int64_t unit_ns = e->fflags == NOTE_USECONDS ? 1000 : 1000000;
    if (e->data <= 0 || e->data > INT64_MAX / unit_ns || (e->fflags & ~(uint32_t)NOTE_USECONDS) != 0 ||
        (e->flags & EV_ONESHOT) == 0) {
        errno = EINVAL;
        return -1;
    }
    int64_t ns = e->data * unit_ns;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)}};
    return timerfd_settime(f->fd, 0, &when, NULL);
}

static int add(int kq, const struct kevent *event)
{
    filter **link = find(kq, event);
    bool is_new = *link == NULL;
    if (is_new && (*link = calloc(1, sizeof **link)) == NULL)
        return -1;
    filter *f = *link;
    f->kq = kq;
    f->event = *event;
    if (event->filter == EVFILT_READ)
        f->fd = (int)event->ident;
    else if (is_new)
        f->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int done = event->filter == EVFILT_TIMER ? start(f) : 0;
    if (done == 0)
        done = watch(f);
    int error = errno;
    if (done != 0 && is_new)
        drop(link);
    errno = error;
    return done;
}

static int take_away(int kq, const struct kevent *event)
{
    filter **link = find(kq, event);
    if (*link == NULL) {
        errno = ENOENT;
        return -1;
    }
    int done = epoll_ctl(kq, EPOLL_CTL_DEL, (*link)->fd, NULL);
    drop(link);
    return done;
}

static int apply(int kq, const struct kevent *event)
{
    if (event->filter == EVFILT_READ || event->filter == EVFILT_TIMER) {
        if ((event->flags & EV_ADD) != 0)
            return add(kq, event);
        if (event->flags == EV_DELETE)
            return take_away(kq, event);
    }
    errno = EINVAL;
    return -1;
}

/* Only what does not wait: the library waits with poll(). */
static int collect(int kq, struct kevent *events, int most)
{
    struct epoll_event ready[EVENTS];
    int count = epoll_wait(kq, ready, most < EVENTS ? most : EVENTS, 0);
    for (int i = 0; i < count; i++) {
        const filter *f = ready[i].data.ptr;
        events[i] = f->event;
        if (f->event.filter == EVFILT_TIMER)
            drop(find(kq, &f->event));
    }
    return count;
}

int kevent(int kq, const struct kevent *changes, int change_count, struct kevent *events, int event_count,
           const struct timespec *timeout)
{
    int result = 0;
    if (kq < 0 || kq >= DESCRIPTORS) {
        errno = EBADF;
        return -1;
    }
    if (event_count > 0 && (timeout == NULL || timeout->tv_sec != 0 || timeout->tv_nsec != 0)) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&lock);
    for (int i = 0; i < change_count && result == 0; i++)
        result = apply(kq, &changes[i]);
    if (result == 0 && event_count > 0)
        result = collect(kq, events, event_count);
    pthread_mutex_unlock(&lock);
    return result;
}
