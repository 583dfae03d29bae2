/* SPDX-License-Identifier: MIT */
/*
 * The poller on Windows: one event that sockets (WSAEventSelect), wake-ups and a timer set. It stays set until
 * npi_poller_collect(). A timer is a thing to wait for by itself, so a thread that Windows keeps for such waits passes
 * it on: whoever waits needs one handle.
 */
#include "poller.h"

#include <errno.h>
#include <winsock2.h>

#define NEVER UINT64_MAX
#define UNIT_NS 100 /* of times on Windows */
#define LONGEST_NS (UINT64_C(24) * 3600 * 1000000000)
#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 0x00000002
#endif

static void CALLBACK set_event(void *event, BOOLEAN is_timeout)
{
    (void)is_timeout;
    SetEvent(event);
}

/* Before Windows 10 version 1803 there are only timers that are due at the clock's next tick, 15.6 ms apart. */
static HANDLE open_timer(void)
{
    HANDLE timer = CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    return timer != NULL ? timer : CreateWaitableTimerExW(NULL, NULL, 0, TIMER_ALL_ACCESS);
}

/* NULL, or the call that failed. */
static const char *open_parts(npi_poller *p)
{
    p->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (p->event == NULL)
        return "CreateEvent";
    p->timer = open_timer();
    if (p->timer == NULL)
        return "CreateWaitableTimer";
    bool relayed = RegisterWaitForSingleObject(&p->relay, p->timer, set_event, p->event, INFINITE,
                                               WT_EXECUTEINWAITTHREAD) != 0;
    return relayed ? NULL : "RegisterWaitForSingleObject";
}

int npi_poller_open(npi_poller *p, npi_failure *failure)
{
    *p = NPI_POLLER_CLOSED;
    *failure = NPI_FAILURE_NONE;
    const char *call = open_parts(p);
    if (call == NULL)
        return NP_OK;
    (void)npi_take_windows_error();
    *failure = npi_failure_of(call);
    npi_poller_close(p);
    return failure->os_error == ENOMEM ? NP_ERR_NO_MEMORY : NP_ERR_SYSTEM;
}

/* The event outlives what sets it. */
void npi_poller_close(npi_poller *p)
{
    if (p->relay != NULL)
        UnregisterWaitEx(p->relay, INVALID_HANDLE_VALUE);
    if (p->timer != NULL)
        CloseHandle(p->timer);
    if (p->event != NULL)
        CloseHandle(p->event);
    *p = NPI_POLLER_CLOSED;
}

/*
 * The socket becomes a non-blocking one. Either way of watching is the same here: Windows tells of what has come, and
 * again after each look at the socket that leaves something in it.
 */
bool npi_poller_watch(npi_poller *p, np_socket fd, uint32_t tag, npi_watch watch)
{
    (void)watch;
    errno = EMFILE;
    if (p->size == NPI_POLLER_TAGS)
        return false;
    if (WSAEventSelect(fd, p->event, FD_READ) != 0) {
        (void)npi_take_windows_error();
        return false;
    }
    p->watched[p->size].fd = fd;
    p->watched[p->size].tag = tag;
    p->size++;
    return true;
}

void npi_poller_unwatch(npi_poller *p, np_socket fd)
{
    for (unsigned i = 0; i < p->size; i++) {
        if (p->watched[i].fd == fd) {
            (void)WSAEventSelect(fd, NULL, 0);
            p->watched[i] = p->watched[--p->size];
            return;
        }
    }
}

/* Rounded up, since early would be once too often. */
bool npi_poller_set_timer(npi_poller *p, uint64_t now_ns, uint64_t at_ns)
{
    if (at_ns == NEVER || at_ns <= now_ns) {
        if (at_ns != NEVER)
            SetEvent(p->event);
        CancelWaitableTimer(p->timer);
        return true;
    }
    uint64_t left_ns = at_ns - now_ns < LONGEST_NS ? at_ns - now_ns : LONGEST_NS;
    LARGE_INTEGER due = {.QuadPart = -(LONGLONG)((left_ns + UNIT_NS - 1) / UNIT_NS)}; /* negative: from now on */
    if (SetWaitableTimer(p->timer, &due, 0, NULL, NULL, FALSE))
        return true;
    (void)npi_take_windows_error();
    return false;
}

/* Keeps the caller's last error, as it may be called from anywhere. */
void npi_poller_wake(npi_wake wake)
{
    DWORD kept = GetLastError();
    SetEvent(wake);
    SetLastError(kept);
}

int npi_poller_collect(npi_poller *p, uint32_t tags[NPI_POLLER_TAGS])
{
    int count = 0;
    ResetEvent(p->event); /* first: what comes from here on sets it again */
    for (unsigned i = 0; i < p->size; i++) {
        WSANETWORKEVENTS events;
        if (WSAEnumNetworkEvents(p->watched[i].fd, NULL, &events) != 0) {
            (void)npi_take_windows_error();
            return -1;
        }
        if ((events.lNetworkEvents & FD_READ) != 0)
            tags[count++] = p->watched[i].tag;
    }
    return count;
}

static bool wait_for(const HANDLE *events, DWORD count)
{
    DWORD which = WaitForMultipleObjects(count, events, FALSE, INFINITE);
    if (which < WAIT_OBJECT_0 + count)
        return true;
    (void)npi_take_windows_error();
    return false;
}

bool npi_poller_wait(const npi_poller *p)
{
    return wait_for(&p->event, 1);
}

bool npi_poller_wait_either(const npi_poller *p, const npi_poller *q)
{
    HANDLE events[] = {p->event, q->event};
    return wait_for(events, 2);
}
