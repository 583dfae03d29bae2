/* SPDX-License-Identifier: MIT */
/*
 * Checks in a poll() loop that looks after other things too: one check for each server given, all at the same time and
 * in one thread; if none is given, one with the built-in public servers. Meanwhile the loop ticks and reads its input.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <natprobe/natprobe.h>

enum { CHECKS_MAX = 16, TICK_MS = 10 };

typedef struct check {
    const char *name;
    np_probe *probe;
    int error; /* NP_PENDING while it goes on */
} check;

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Makes a check ready to begin. Zero, with a message, when it cannot be. */
static int prepare(check *c, const char *server)
{
    *c = (check){.name = server != NULL ? server : "public servers", .probe = np_probe_new()};
    c->error = c->probe == NULL ? NP_ERR_NO_MEMORY : NP_OK;
    if (c->error == NP_OK && server != NULL)
        c->error = np_probe_add_server(c->probe, server);
    if (c->error != NP_OK)
        fprintf(stderr, "%s: %s\n", c->name, np_strerror(c->error));
    return c->error == NP_OK;
}

static void start(check *c)
{
    int error = np_probe_start(c->probe);
    c->error = error == NP_OK ? NP_PENDING : error;
    if (error != NP_OK)
        printf("%s: %s\n", c->name, np_strerror(error));
}

/* Whatever there is to do for a check, without waiting. */
static void go_on(check *c)
{
    np_result result;
    c->error = np_probe_process(c->probe, &result);
    if (c->error == NP_OK)
        printf("%s: %s, seen as %s port %u\n", c->name, np_nat_type_description(result.nat_type), result.external_ip,
               result.external_port);
    else if (c->error != NP_PENDING)
        printf("%s: %s: %s\n", c->name, np_strerror(c->error), result.detail);
}

/* Stands for what else the program does. Zero at the end of the input. */
static int answer_input(void)
{
    char text[256];
    ssize_t size = read(STDIN_FILENO, text, sizeof text);
    if (size > 0)
        fprintf(stderr, "still checking\n");
    return size > 0;
}

/* poll() passes over negative descriptors. Returns how many there are to wait for besides the input. */
static size_t watch(struct pollfd *fds, const check *checks, size_t count)
{
    size_t pending = 0;
    for (size_t i = 0; i < count; i++) {
        int goes_on = checks[i].error == NP_PENDING;
        fds[i] = (struct pollfd){.fd = goes_on ? np_probe_fd(checks[i].probe) : -1, .events = POLLIN};
        pending += goes_on ? 1 : 0;
    }
    return pending;
}

/* Those that go on cannot: nothing can be waited for. */
static void give_up(check *checks, size_t count)
{
    perror("poll");
    for (size_t i = 0; i < count; i++) {
        if (checks[i].error == NP_PENDING)
            checks[i].error = NP_ERR_SYSTEM;
    }
}

static void run(check *checks, size_t count)
{
    struct pollfd fds[CHECKS_MAX + 1];
    struct pollfd *input = &fds[count];
    long long next_tick = now_ms() + TICK_MS;
    unsigned ticks = 0;
    *input = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    while (watch(fds, checks, count) > 0) {
        long long wait_ms = next_tick - now_ms();
        int ready = poll(fds, (nfds_t)count + 1, wait_ms > 0 ? (int)wait_ms : 0);
        if (ready < 0 && errno != EINTR)
            give_up(checks, count);
        if (ready < 0)
            continue; /* a signal came, or all checks are over */
        for (size_t i = 0; i < count; i++) {
            if (fds[i].revents != 0)
                go_on(&checks[i]);
        }
        if (input->revents != 0 && !answer_input())
            input->fd = -1;
        for (; now_ms() >= next_tick; next_tick += TICK_MS)
            ticks++;
    }
    fprintf(stderr, "%u ticks meanwhile\n", ticks);
}

/* 0 when every check came to a verdict. */
static int run_all(check *checks, size_t count)
{
    int status = 0;
    for (size_t i = 0; i < count; i++)
        start(&checks[i]);
    run(checks, count);
    for (size_t i = 0; i < count; i++)
        status |= checks[i].error != NP_OK;
    return status;
}

int main(int argc, char **argv)
{
    check checks[CHECKS_MAX] = {{NULL, NULL, NP_OK}};
    size_t count = argc > 1 ? (size_t)argc - 1 : 1;
    size_t ready = 0;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* each verdict when it is there, into pipes too */
    while (ready < count && ready < CHECKS_MAX && prepare(&checks[ready], argv[ready + 1]))
        ready++;
    if (count > CHECKS_MAX)
        fprintf(stderr, "usage: %s [SERVER]..., at most %d\n", argv[0], CHECKS_MAX);
    int status = ready == count ? run_all(checks, count) : 2;
    for (size_t i = 0; i < CHECKS_MAX; i++)
        np_probe_free(checks[i].probe);
    return status;
}
