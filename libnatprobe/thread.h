/* SPDX-License-Identifier: MIT */
/* A lock, and threads of the library's own. */
#ifndef NPI_THREAD_H
#define NPI_THREAD_H

#include <stdbool.h>

#ifdef _WIN32

#include <winsock2.h>

typedef SRWLOCK npi_mutex;
typedef HANDLE npi_thread;
#define NPI_THREAD_CREATE "CreateThread"

static inline bool npi_mutex_init(npi_mutex *m)
{
    InitializeSRWLock(m);
    return true;
}

static inline void npi_mutex_destroy(npi_mutex *m)
{
    (void)m;
}

static inline void npi_mutex_lock(npi_mutex *m)
{
    AcquireSRWLockExclusive(m);
}

static inline void npi_mutex_unlock(npi_mutex *m)
{
    ReleaseSRWLockExclusive(m);
}

static inline void npi_thread_join(npi_thread t)
{
    WaitForSingleObject(t, INFINITE);
    CloseHandle(t);
}

static inline void npi_thread_detach(npi_thread t)
{
    CloseHandle(t);
}

#else

#include <pthread.h>

typedef pthread_mutex_t npi_mutex;
typedef pthread_t npi_thread;
#define NPI_THREAD_CREATE "pthread_create"

static inline bool npi_mutex_init(npi_mutex *m)
{
    return pthread_mutex_init(m, NULL) == 0;
}

static inline void npi_mutex_destroy(npi_mutex *m)
{
    pthread_mutex_destroy(m);
}

static inline void npi_mutex_lock(npi_mutex *m)
{
    pthread_mutex_lock(m);
}

static inline void npi_mutex_unlock(npi_mutex *m)
{
    pthread_mutex_unlock(m);
}

static inline void npi_thread_join(npi_thread t)
{
    pthread_join(t, NULL);
}

static inline void npi_thread_detach(npi_thread t)
{
    pthread_detach(t);
}

#endif

/* Starts run(argument) on a thread of its own, in which no signal handler of the program runs. 0, or an errno. */
int npi_thread_create(npi_thread *thread, void *(*run)(void *argument), void *argument);

#endif
