/* SPDX-License-Identifier: MIT */
/* Threads of the library's own, on systems of POSIX. */
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

/* getaddrinfo loads modules of the system's choosing that put large buffers on the stack; only touched pages cost. */
#define THREAD_STACK_SIZE (512 * 1024)

typedef struct work {
    void *(*run)(void *argument);
    void *argument;
} work;

/* A program's signals belong to its own threads: none is to run a handler here. */
static int create_with_signals_blocked(npi_thread *thread, const pthread_attr_t *attributes, const work *w)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error != 0)
        return error;
    error = pthread_create(thread, attributes, w->run, w->argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int npi_thread_create(npi_thread *thread, void *(*run)(void *argument), void *argument)
{
    const work w = {run, argument};
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0)
        return error;
    error = pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    if (error == 0)
        error = create_with_signals_blocked(thread, &attributes, &w);
    pthread_attr_destroy(&attributes);
    /* A program with much thread-local data needs larger stacks than ours; the default is made to fit. */
    return error == EINVAL ? create_with_signals_blocked(thread, NULL, &w) : error;
}
