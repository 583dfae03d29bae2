/* SPDX-License-Identifier: MIT */
/*
 * A check in a loop of epoll (Linux), with the servers given or the built-in public ones. A timer shows that the loop
 * goes on meanwhile; Ctrl-C cancels the check and ends the program in the ordinary way.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

enum { TICK_MS = 10, EVENTS_MAX = 8 };

typedef struct app {
    np_probe *probe;
    np_result result; /* its error is NP_PENDING while the check goes on */
    uint64_t ticks;
    int loop;      /* of epoll */
    int ticker;    /* a timerfd */
    int interrupt; /* a signalfd */
} app;

/* What the loop calls if a descriptor is readable. -1, with errno set, if that cannot be. */
typedef int (*handler)(app *a);

/* The check finds out by itself what there is to do. */
static int on_check(app *a)
{
    a->result.error = np_probe_process(a->probe, &a->result);
    return 0;
}

static int on_tick(app *a)
{
    uint64_t expirations;
    if (read(a->ticker, &expirations, sizeof expirations) < 0)
        return errno == EAGAIN ? 0 : -1;
    a->ticks += expirations;
    return 0;
}

/* The check's descriptor becomes readable, and np_probe_process() tells that it was cancelled. */
static int on_interrupt(app *a)
{
    struct signalfd_siginfo info;
    if (read(a->interrupt, &info, sizeof info) < 0)
        return errno == EAGAIN ? 0 : -1;
    np_probe_cancel(a->probe);
    return 0;
}

enum { CHECK, TICK, INTERRUPT };
static const handler handlers[] = {[CHECK] = on_check, [TICK] = on_tick, [INTERRUPT] = on_interrupt};

/* Level-triggered: whatever is left to do makes the descriptor readable again. */
static int watch(app *a, int fd, uint32_t which)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = which};
    return epoll_ctl(a->loop, EPOLL_CTL_ADD, fd, &event);
}

/* Nothing that is opened here is inherited by a program that this one would start. */
static int open_all(app *a)
{
    const struct itimerspec tick = {.it_interval.tv_nsec = TICK_MS * 1000000L, .it_value.tv_nsec = TICK_MS * 1000000L};
    sigset_t interrupts;
    if (sigemptyset(&interrupts) != 0 || sigaddset(&interrupts, SIGINT) != 0)
        return -1;
    errno = pthread_sigmask(SIG_BLOCK, &interrupts, NULL);
    if (errno != 0)
        return -1;
    a->interrupt = signalfd(-1, &interrupts, SFD_CLOEXEC | SFD_NONBLOCK);
    a->ticker = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    a->loop = epoll_create1(EPOLL_CLOEXEC);
    if (a->interrupt < 0 || a->ticker < 0 || a->loop < 0 || timerfd_settime(a->ticker, 0, &tick, NULL) != 0)
        return -1;
    return watch(a, np_probe_fd(a->probe), CHECK) != 0 || watch(a, a->ticker, TICK) != 0 ||
                   watch(a, a->interrupt, INTERRUPT) != 0
               ? -1
               : 0;
}

static void close_all(const app *a)
{
    const int fds[] = {a->loop, a->ticker, a->interrupt};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
}

/* One wait, and what there is to do after it. */
static int turn(app *a)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(a->loop, events, EVENTS_MAX, -1);
    if (count < 0)
        return errno == EINTR ? 0 : -1;
    for (int i = 0; i < count; i++) {
        /* Once the check is over its handle must not be asked again. */
        if (a->result.error == NP_PENDING && handlers[events[i].data.u32](a) != 0)
            return -1;
    }
    return 0;
}

/* From the start of the check until its end. */
static void run(app *a)
{
    int error = open_all(a);
    a->result.error = NP_PENDING;
    while (error == 0 && a->result.error == NP_PENDING)
        error = turn(a);
    if (error != 0) {
        perror("epoll");
        a->result.error = NP_ERR_SYSTEM;
    }
    close_all(a);
}

static void print_result(const app *a)
{
    const np_result *r = &a->result;
    if (r->error == NP_OK)
        printf("%s, seen as %s port %u\n", np_nat_type_description(r->nat_type), r->external_ip, r->external_port);
    else
        printf("%s: %s\n", np_strerror(r->error), r->detail);
    fprintf(stderr, "%llu ticks meanwhile\n", (unsigned long long)a->ticks);
}

/* Zero, with a message, when one of the servers is none. */
static int add_servers(np_probe *probe, char **servers)
{
    for (; *servers != NULL; servers++) {
        int error = np_probe_add_server(probe, *servers);
        if (error != NP_OK) {
            fprintf(stderr, "%s: %s\n", *servers, np_strerror(error));
            return 0;
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    app a = {.probe = np_probe_new(), .loop = -1, .ticker = -1, .interrupt = -1};
    if (a.probe == NULL) {
        fprintf(stderr, "%s\n", np_strerror(NP_ERR_NO_MEMORY));
        return 1;
    }
    if (!add_servers(a.probe, argv + 1)) {
        np_probe_free(a.probe);
        return 2;
    }
    a.result.error = np_probe_start(a.probe);
    if (a.result.error == NP_OK)
        run(&a);
    print_result(&a);
    np_probe_free(a.probe);
    return a.result.error == NP_OK ? 0 : 1;
}
