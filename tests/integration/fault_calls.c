/* SPDX-License-Identifier: MIT */
/* See fault_calls.h. */
#include "fault_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../support/rng.h"
#include "fault_clock.h"
#include "fault_names.h"
#include "fault_world.h"

enum { DESCRIPTORS = 4096, BLOCKS = 256, LARGEST = 65507 };

static _Thread_local bool inside;
static _Thread_local bool is_library_thread;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool armed;
    fault_plan plan;
    fault_lack lack;
    unsigned calls[FAULT_CALLS];
    unsigned in_all;
    unsigned hook_at;
    fault_hook hook;
    void *hook_user;
    unsigned refused;
    unsigned serials; /* given to descriptors so far */
    unsigned sockets; /* made since the plan was set */
    struct {
        unsigned serial; /* 0: not the library's */
        unsigned socket;
        const char *kind;
    } descriptors[DESCRIPTORS];
    const void *blocks[BLOCKS];
    unsigned lists; /* of addresses */
    unsigned threads;
    unsigned hanging;
    char mistake[200];
} it = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* ---- Plans ------------------------------------------------------------------------------------------------------ */

void fault_enter(void)
{
    inside = true;
}

void fault_leave(void)
{
    inside = false;
}

bool fault_is_inside(void)
{
    return inside;
}

void fault_arm(const fault_plan *plan)
{
    pthread_mutex_lock(&it.mutex);
    it.armed = plan != NULL;
    if (plan != NULL)
        it.plan = *plan;
    memset(it.calls, 0, sizeof it.calls);
    it.in_all = 0;
    it.refused = 0;
    it.sockets = 0;
    pthread_mutex_unlock(&it.mutex);
}

void fault_set_lack(fault_lack lack)
{
    pthread_mutex_lock(&it.mutex);
    it.lack = lack;
    pthread_mutex_unlock(&it.mutex);
}

void fault_set_hook(unsigned nth, fault_hook hook, void *user)
{
    pthread_mutex_lock(&it.mutex);
    it.hook_at = nth;
    it.hook = hook;
    it.hook_user = user;
    pthread_mutex_unlock(&it.mutex);
}

unsigned fault_refused(void)
{
    pthread_mutex_lock(&it.mutex);
    const unsigned refused = it.refused;
    pthread_mutex_unlock(&it.mutex);
    return refused;
}

unsigned fault_made(fault_call call)
{
    pthread_mutex_lock(&it.mutex);
    const unsigned made = it.calls[call];
    pthread_mutex_unlock(&it.mutex);
    return made;
}

const char *fault_call_name(fault_call call)
{
    static const char *const names[FAULT_CALLS] = {"malloc",
                                                   "socket",
                                                   "bind",
                                                   "getsockname",
                                                   "getpeername",
                                                   "setsockopt",
                                                   "getsockopt",
                                                   "connect",
                                                   "fcntl",
                                                   "sendto",
                                                   "recvmsg",
                                                   "close",
                                                   "poll",
                                                   "epoll_create1",
                                                   "epoll_ctl",
                                                   "epoll_wait",
                                                   "timerfd_create",
                                                   "timerfd_settime",
                                                   "eventfd",
                                                   "read",
                                                   "write",
                                                   "getrandom",
                                                   "clock_gettime",
                                                   "pthread_create",
                                                   "pthread_attr_init",
                                                   "pthread_attr_setstacksize",
                                                   "pthread_mutex_init",
                                                   "pthread_sigmask",
                                                   "getaddrinfo"};
    return names[call];
}

/* With probability thirds / 3. */
static bool is_drawn(unsigned seed, unsigned turn, unsigned thirds)
{
    return hash_unit(seed, turn) * 3 < thirds;
}

static bool is_its_turn(unsigned turn)
{
    const unsigned first = it.plan.turn;
    switch (it.plan.mode) {
    case FAULT_ONCE:
        return turn == first;
    case FAULT_FOREVER:
        return turn >= first;
    case FAULT_EVERY_OTHER:
        return turn >= first && (turn - first) % 2 == 0;
    case FAULT_A_THIRD:
        return is_drawn(first, turn, 1);
    case FAULT_TWO_THIRDS:
        return is_drawn(first, turn, 2);
    case FAULT_STORM:
        return turn >= first && turn < first + 8;
    }
    return false;
}

/* The caller's own thread only: what a handler does to a look-up is its own affair. */
static fault_hook take_hook(void)
{
    if (is_library_thread)
        return NULL;
    return it.in_all++ == it.hook_at ? it.hook : NULL;
}

static bool is_meant(int fd, const struct sockaddr *to)
{
    const unsigned socket = fd >= 0 && fd < DESCRIPTORS ? it.descriptors[fd].socket : 0;
    if (!it.armed || (it.plan.socket == 0 && it.plan.endpoints == 0))
        return true;
    if (it.plan.endpoints != 0)
        return to != NULL && world_is_among(it.plan.endpoints, to);
    return it.plan.socket == socket;
}

/* What a call on a descriptor (or -1) meets: 0 to let it through, else an error, which is in errno as well. */
static int refusal_towards(fault_call call, int fd, const struct sockaddr *to)
{
    if (!inside)
        return 0;
    int error = 0;
    pthread_mutex_lock(&it.mutex);
    const fault_hook hook = take_hook();
    const unsigned turn = it.calls[call];
    const bool counts = is_meant(fd, to);
    it.calls[call] += counts;
    if (it.armed && counts && call == it.plan.call && is_its_turn(turn)) {
        it.refused++;
        error = it.plan.error;
    }
    pthread_mutex_unlock(&it.mutex);
    if (hook != NULL)
        hook(it.hook_user);
    if (error > 0)
        errno = error;
    return error;
}

static int refusal_of(fault_call call, int fd)
{
    return refusal_towards(call, fd, NULL);
}

/* ---- What was handed out ---------------------------------------------------------------------------------------- */

void fault_mistake(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&it.mutex);
    if (it.mistake[0] == '\0')
        vsnprintf(it.mistake, sizeof it.mistake, format, arguments);
    pthread_mutex_unlock(&it.mutex);
    va_end(arguments);
}

static int remember_descriptor(int fd, const char *kind)
{
    if (!inside || fd < 0)
        return fd;
    if (fd >= DESCRIPTORS) {
        fault_mistake("descriptor %d is more than this test can count", fd);
        return fd;
    }
    pthread_mutex_lock(&it.mutex);
    it.descriptors[fd].serial = ++it.serials;
    it.descriptors[fd].kind = kind;
    it.descriptors[fd].socket = strcmp(kind, "socket") == 0 ? ++it.sockets : 0;
    pthread_mutex_unlock(&it.mutex);
    return fd;
}

static void forget_descriptor(int fd)
{
    if (!inside)
        return;
    if (fault_serial(fd) == 0) {
        fault_mistake("close(%d) of a descriptor that is not the library's", fd);
        return;
    }
    pthread_mutex_lock(&it.mutex);
    memset(&it.descriptors[fd], 0, sizeof it.descriptors[fd]);
    pthread_mutex_unlock(&it.mutex);
}

unsigned fault_serial(int fd)
{
    pthread_mutex_lock(&it.mutex);
    const unsigned serial = fd >= 0 && fd < DESCRIPTORS ? it.descriptors[fd].serial : 0;
    pthread_mutex_unlock(&it.mutex);
    return serial;
}

/* Replaces one address in the table by another. False when there is none such. */
static bool exchange_block(const void *from, const void *to)
{
    bool found = false;
    pthread_mutex_lock(&it.mutex);
    for (unsigned i = 0; i < BLOCKS && !found; i++) {
        found = it.blocks[i] == from;
        if (found)
            it.blocks[i] = to;
    }
    pthread_mutex_unlock(&it.mutex);
    return found;
}

static void *remember_block(void *block)
{
    if (inside && block != NULL && !exchange_block(NULL, block))
        fault_mistake("more blocks of memory than this test can count");
    return block;
}

static void add_threads(int change)
{
    pthread_mutex_lock(&it.mutex);
    it.threads += (unsigned)change;
    pthread_cond_broadcast(&it.changed);
    pthread_mutex_unlock(&it.mutex);
}

void fault_thread_hangs(bool hangs)
{
    pthread_mutex_lock(&it.mutex);
    it.hanging += hangs ? 1U : -1U;
    pthread_mutex_unlock(&it.mutex);
}

unsigned fault_threads_busy(void)
{
    pthread_mutex_lock(&it.mutex);
    const unsigned busy = it.threads - it.hanging;
    pthread_mutex_unlock(&it.mutex);
    return busy;
}

static void wait_for_threads(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&it.mutex);
    while (it.threads > 0 && pthread_cond_timedwait(&it.changed, &it.mutex, &until) == 0) {
    }
    pthread_mutex_unlock(&it.mutex);
}

static const char *describe_rest(void)
{
    static char text[200];
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (it.descriptors[fd].serial != 0) {
            snprintf(text, sizeof text, "left open: descriptor %d (%s)", fd, it.descriptors[fd].kind);
            return text;
        }
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (it.blocks[i] != NULL)
            return "memory that was not freed";
    }
    if (it.lists > 0)
        return "a list of addresses that was not freed";
    return it.threads > 0 ? "a thread that does not end" : NULL;
}

const char *fault_left_over(void)
{
    const bool was_inside = inside;
    inside = false;
    wait_for_threads();
    pthread_mutex_lock(&it.mutex);
    const char *what = it.mistake[0] != '\0' ? it.mistake : describe_rest();
    pthread_mutex_unlock(&it.mutex);
    inside = was_inside;
    return what;
}

void fault_forget_all(void)
{
    pthread_mutex_lock(&it.mutex);
    memset(it.descriptors, 0, sizeof it.descriptors);
    memset(it.blocks, 0, sizeof it.blocks);
    it.lists = 0;
    it.mistake[0] = '\0';
    pthread_mutex_unlock(&it.mutex);
}

/* ---- The calls -------------------------------------------------------------------------------------------------- */

/* NOLINTBEGIN: the linker gives these names their meaning */
#define WRAPPED(type, name, parameters)                                                                                \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters

WRAPPED(void *, malloc, (size_t size));
WRAPPED(void *, calloc, (size_t count, size_t size));
WRAPPED(void, free, (void *block));
WRAPPED(int, socket, (int domain, int type, int protocol));
WRAPPED(int, bind, (int fd, const struct sockaddr *name, socklen_t length));
WRAPPED(int, getsockname, (int fd, struct sockaddr *name, socklen_t *length));
WRAPPED(int, getpeername, (int fd, struct sockaddr *name, socklen_t *length));
WRAPPED(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t length));
WRAPPED(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *length));
WRAPPED(int, connect, (int fd, const struct sockaddr *name, socklen_t length));
WRAPPED(ssize_t, sendto,
        (int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length));
WRAPPED(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags));
WRAPPED(int, close, (int fd));
WRAPPED(int, poll, (struct pollfd * fds, nfds_t count, int timeout));
WRAPPED(int, epoll_create1, (int flags));
WRAPPED(int, epoll_ctl, (int fd, int operation, int other, struct epoll_event *event));
WRAPPED(int, epoll_wait, (int fd, struct epoll_event *events, int room, int timeout));
WRAPPED(int, timerfd_create, (int clock, int flags));
WRAPPED(int, timerfd_settime, (int fd, int flags, const struct itimerspec *when, struct itimerspec *before));
WRAPPED(int, eventfd, (unsigned initial, int flags));
WRAPPED(ssize_t, read, (int fd, void *data, size_t size));
WRAPPED(ssize_t, write, (int fd, const void *data, size_t size));
WRAPPED(ssize_t, getrandom, (void *out, size_t size, unsigned flags));
WRAPPED(int, clock_gettime, (clockid_t clock, struct timespec *now));
WRAPPED(int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument));
WRAPPED(int, pthread_attr_init, (pthread_attr_t * attributes));
WRAPPED(int, pthread_attr_setstacksize, (pthread_attr_t * attributes, size_t size));
WRAPPED(int, pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attributes));
WRAPPED(int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *before));
WRAPPED(int, getaddrinfo,
        (const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result));
WRAPPED(void, freeaddrinfo, (struct addrinfo * list));
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
/* NOLINTEND */

/* ---- Memory ----------------------------------------------------------------------------------------------------- */

void *__wrap_malloc(size_t size)
{
    return refusal_of(CALL_MALLOC, -1) != 0 ? NULL : remember_block(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refusal_of(CALL_MALLOC, -1) != 0 ? NULL : remember_block(__real_calloc(count, size));
}

void __wrap_free(void *block)
{
    if (inside && block != NULL && !exchange_block(block, NULL))
        fault_mistake("free() of memory that is not the library's");
    __real_free(block);
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

int __wrap_socket(int domain, int type, int protocol)
{
    return refusal_of(CALL_SOCKET, -1) != 0 ? -1 : remember_descriptor(__real_socket(domain, type, protocol), "socket");
}

int __wrap_epoll_create1(int flags)
{
    return refusal_of(CALL_EPOLL_CREATE1, -1) != 0 ? -1 : remember_descriptor(__real_epoll_create1(flags), "epoll");
}

int __wrap_timerfd_create(int clock, int flags)
{
    return refusal_of(CALL_TIMERFD_CREATE, -1) != 0 ? -1
                                                    : remember_descriptor(__real_timerfd_create(clock, flags), "timer");
}

int __wrap_eventfd(unsigned initial, int flags)
{
    return refusal_of(CALL_EVENTFD, -1) != 0 ? -1 : remember_descriptor(__real_eventfd(initial, flags), "event");
}

int __wrap_open64(const char *path, int flags, ...)
{
    return remember_descriptor(__real_open64(path, flags), "file");
}

int __wrap_open(const char *path, int flags, ...)
{
    return remember_descriptor(__real_open(path, flags), "file");
}

/* All commands that the library uses take a number or nothing. A duplicate counts as a socket. */
static int control(int (*real)(int, int, ...), int fd, int command, int argument)
{
    if (refusal_of(CALL_FCNTL, fd) != 0)
        return -1;
    const int got = real(fd, command, argument);
    return command == F_DUPFD_CLOEXEC ? remember_descriptor(got, "socket") : got;
}

int __wrap_fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    const int argument = va_arg(arguments, int);
    va_end(arguments);
    return control(__real_fcntl64, fd, command, argument);
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    const int argument = va_arg(arguments, int);
    va_end(arguments);
    return control(__real_fcntl, fd, command, argument);
}

/* Whatever close() says, the descriptor is gone. */
int __wrap_close(int fd)
{
    const int error = refusal_of(CALL_CLOSE, fd);
    forget_descriptor(fd);
    if (inside)
        fault_clock_closed(fd);
    const int closed = __real_close(fd);
    if (error == 0)
        return closed;
    errno = error;
    return -1;
}

/* ---- Sockets ---------------------------------------------------------------------------------------------------- */

int __wrap_bind(int fd, const struct sockaddr *name, socklen_t length)
{
    return refusal_of(CALL_BIND, fd) != 0 ? -1 : __real_bind(fd, name, length);
}

int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
    return refusal_of(CALL_GETSOCKNAME, fd) != 0 ? -1 : __real_getsockname(fd, name, length);
}

int __wrap_getpeername(int fd, struct sockaddr *name, socklen_t *length)
{
    return refusal_of(CALL_GETPEERNAME, fd) != 0 ? -1 : __real_getpeername(fd, name, length);
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    if (refusal_of(CALL_SETSOCKOPT, fd) != 0)
        return -1;
    if (inside && it.lack.pktinfo && level == IPPROTO_IP && option == IP_PKTINFO) {
        errno = ENOPROTOOPT;
        return -1;
    }
    return __real_setsockopt(fd, level, option, value, length);
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
    return refusal_of(CALL_GETSOCKOPT, fd) != 0 ? -1 : __real_getsockopt(fd, level, option, value, length);
}

int __wrap_connect(int fd, const struct sockaddr *name, socklen_t length)
{
    return refusal_of(CALL_CONNECT, fd) != 0 ? -1 : __real_connect(fd, name, length);
}

/* What has left is with the world's servers before the library goes on. */
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    if (!inside)
        return __real_sendto(fd, data, size, flags, to, length);
    if (refusal_towards(CALL_SENDTO, fd, to) != 0)
        return -1;
    if (it.lack.ipv4_route && to->sa_family == AF_INET) {
        errno = ENETUNREACH;
        return -1;
    }
    const ssize_t sent = __real_sendto(fd, data, size, flags, to, length);
    const int kept = errno;
    inside = false;
    if (sent >= 0)
        world_takes(fd, to);
    inside = true;
    errno = kept;
    return sent;
}

/* A datagram for whose end there was no room, nor for any control header. Where there is room for all, none is cut. */
static ssize_t cut(struct msghdr *header, ssize_t size)
{
    if (header->msg_iov[0].iov_len >= LARGEST)
        return size;
    header->msg_flags |= MSG_TRUNC | MSG_CTRUNC;
    header->msg_controllen = 0;
    return size / 2;
}

/*
 * A datagram whose checksum turns out wrong is dropped when it is read, and the reader is told EAGAIN after all: that
 * is how a system says EAGAIN about a socket that it has called readable. All other errors leave the datagram where it
 * is.
 */
ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags)
{
    const int error = refusal_of(CALL_RECVMSG, fd);
    if (error != 0 && error != EAGAIN && error != FAULT_SHORT)
        return -1;
    ssize_t size = __real_recvmsg(fd, header, flags);
    if (size < 0 || error == 0)
        return size;
    if (error == FAULT_SHORT)
        return cut(header, size);
    world_lost(fd, header);
    errno = error;
    return -1;
}

/* ---- Waiting ---------------------------------------------------------------------------------------------------- */

/* Taking a descriptor out needs nothing that a system could lack. */
int __wrap_epoll_ctl(int fd, int operation, int other, struct epoll_event *event)
{
    if (operation != EPOLL_CTL_DEL && refusal_of(CALL_EPOLL_CTL, other) != 0)
        return -1;
    return __real_epoll_ctl(fd, operation, other, event);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int room, int timeout)
{
    const int error = refusal_of(CALL_EPOLL_WAIT, fd);
    if (error == FAULT_SHORT)
        return 0;
    return error != 0 ? -1 : __real_epoll_wait(fd, events, room, timeout);
}

/* The library waits for one descriptor or two, and for ever. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (!inside)
        return __real_poll(fds, count, timeout);
    const int error = refusal_of(CALL_POLL, fds[0].fd);
    inside = false;
    if (error != 0)
        fault_time_passes();
    else
        fault_wait_either(fds[0].fd, count > 1 ? fds[1].fd : -1);
    inside = true;
    errno = error > 0 ? error : errno;
    return error > 0 ? -1 : 1;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    if (!inside)
        return __real_timerfd_settime(fd, flags, when, before);
    return refusal_of(CALL_TIMERFD_SETTIME, fd) != 0 ? -1 : fault_timer_set(fd, when);
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    return refusal_of(CALL_READ, fd) != 0 ? -1 : __real_read(fd, data, size);
}

/* An eventfd says EAGAIN when it is full, and is readable then. */
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    const int error = refusal_of(CALL_WRITE, fd);
    if (error != 0 && error != EAGAIN)
        return -1;
    const ssize_t written = __real_write(fd, data, size);
    errno = error != 0 ? error : errno;
    return error != 0 ? -1 : written;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!inside)
        return __real_clock_gettime(clock, now);
    if (clock == CLOCK_BOOTTIME && refusal_of(CALL_CLOCK_GETTIME, -1) != 0)
        return -1;
    if (clock == CLOCK_BOOTTIME && it.lack.boottime) {
        errno = EINVAL;
        return -1;
    }
    if (clock != CLOCK_BOOTTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
        fault_mistake("a clock was asked that does not show the time: %d", (int)clock);
    fault_clock_read(clock, now);
    return 0;
}

/* ---- Randomness, names, threads --------------------------------------------------------------------------------- */

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    const int error = refusal_of(CALL_GETRANDOM, -1);
    if (error == FAULT_SHORT)
        return __real_getrandom(out, 1, flags);
    return error != 0 ? -1 : __real_getrandom(out, size, flags);
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    if (!inside)
        return __real_getaddrinfo(node, service, hints, result);
    const int refused = refusal_of(CALL_GETADDRINFO, -1);
    if (refused != 0)
        return refused;
    inside = false;
    const int error = names_look_up(node, service, hints, result);
    inside = true;
    pthread_mutex_lock(&it.mutex);
    it.lists += error == 0;
    pthread_mutex_unlock(&it.mutex);
    return error;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
    if (!inside) {
        __real_freeaddrinfo(list);
        return;
    }
    inside = false;
    names_free(list);
    inside = true;
    pthread_mutex_lock(&it.mutex);
    it.lists--;
    pthread_mutex_unlock(&it.mutex);
}

typedef struct beginning {
    void *(*start)(void *);
    void *argument;
} beginning;

static void *begin_inside(void *argument)
{
    beginning *b = argument;
    const beginning mine = *b;
    __real_free(b);
    inside = is_library_thread = true;
    void *result = mine.start(mine.argument);
    inside = false;
    add_threads(-1);
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    if (!inside)
        return __real_pthread_create(thread, attributes, start, argument);
    const int refused = refusal_of(CALL_PTHREAD_CREATE, -1);
    if (refused != 0)
        return refused;
    beginning *b = __real_malloc(sizeof *b);
    if (b == NULL)
        return EAGAIN;
    *b = (beginning){start, argument};
    add_threads(1);
    const int error = __real_pthread_create(thread, attributes, begin_inside, b);
    if (error != 0) {
        __real_free(b);
        add_threads(-1);
    }
    return error;
}

int __wrap_pthread_attr_init(pthread_attr_t *attributes)
{
    const int error = refusal_of(CALL_ATTR_INIT, -1);
    return error != 0 ? error : __real_pthread_attr_init(attributes);
}

int __wrap_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size)
{
    const int error = refusal_of(CALL_ATTR_SETSTACKSIZE, -1);
    return error != 0 ? error : __real_pthread_attr_setstacksize(attributes, size);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    const int error = refusal_of(CALL_MUTEX_INIT, -1);
    return error != 0 ? error : __real_pthread_mutex_init(mutex, attributes);
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    const int error = refusal_of(CALL_SIGMASK, -1);
    return error != 0 ? error : __real_pthread_sigmask(how, set, before);
}
