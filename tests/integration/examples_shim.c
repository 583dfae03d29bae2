/* SPDX-License-Identifier: MIT */
/*
 * Loaded before the libraries, so that what an example relies on can be refused: NP_TEST_REFUSE names the function that
 * fails. epoll_wait() fails only if it is to wait, so that the library's own calls succeed. Tells on standard error
 * whether a loop of libuv was closed with nothing left in it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

void *np_probe_new(void);
int uv_signal_start(void *handle, void *on_signal, int number);
int uv_loop_close(void *loop);
unsigned g_unix_signal_add(int number, int (*on_signal)(void *), void *user);

static int is_refused(const char *name)
{
    const char *refused = getenv("NP_TEST_REFUSE");
    return refused != NULL && strcmp(refused, name) == 0;
}

/* ISO C has no conversion from what dlsym() returns to a function. */
static void find_next(const char *name, void *function)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(function, &found, sizeof found);
}

void *np_probe_new(void)
{
    void *(*next)(void);
    find_next("np_probe_new", &next);
    return is_refused("np_probe_new") ? NULL : next();
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int (*next)(struct pollfd *, nfds_t, int);
    find_next("poll", &next);
    if (!is_refused("poll"))
        return next(fds, count, timeout_ms);
    errno = EINVAL;
    return -1;
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
    int (*next)(int, struct epoll_event *, int, int);
    find_next("epoll_wait", &next);
    if (timeout_ms == 0 || !is_refused("epoll_wait"))
        return next(fd, events, count, timeout_ms);
    errno = EINVAL;
    return -1;
}

/* GLib's numbers of sources; 0 is none. */
unsigned g_unix_signal_add(int number, int (*on_signal)(void *), void *user)
{
    unsigned (*next)(int, int (*)(void *), void *);
    find_next("g_unix_signal_add", &next);
    return is_refused("g_unix_signal_add") ? 0 : next(number, on_signal, user);
}

int uv_signal_start(void *handle, void *on_signal, int number)
{
    int (*next)(void *, void *, int);
    find_next("uv_signal_start", &next);
    return is_refused("uv_signal_start") ? -EINVAL : next(handle, on_signal, number);
}

int uv_loop_close(void *loop)
{
    int (*next)(void *);
    find_next("uv_loop_close", &next);
    int error = next(loop);
    fprintf(stderr, "loop %s\n", error == 0 ? "closed" : "not closed");
    return error;
}
