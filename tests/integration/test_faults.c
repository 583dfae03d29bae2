/* SPDX-License-Identifier: MIT */
/*
 * The system refuses: each call that the library makes fails at each of its turns, once or from then on. What passes is
 * outlived; what stays is reported under its own code; nothing crashes, hangs or is left behind. The program is linked
 * with --wrap for these functions, and only the thread that runs the library is refused anything.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

typedef enum function {
    F_MALLOC,
    F_CALLOC,
    F_EPOLL_CREATE,
    F_TIMERFD_CREATE,
    F_EVENTFD,
    F_EPOLL_CTL,
    F_EPOLL_WAIT,
    F_TIMERFD_SETTIME,
    F_SOCKET,
    F_BIND,
    F_GETSOCKNAME,
    F_SETSOCKOPT,
    F_CONNECT,
    F_SENDTO,
    F_RECVMSG,
    F_POLL,
    F_GETRANDOM,
    F_PTHREAD_CREATE,
    FUNCTIONS
} function;

static _Thread_local bool armed; /* in the thread that runs the library */

static struct {
    function which;
    unsigned turn; /* the first call that fails, counted from 0 */
    bool forever;
    int error;
    unsigned calls[FUNCTIONS];
    unsigned failed;
} fault;

/* 0: let it through. */
static int refusal(function f)
{
    if (!armed)
        return 0;
    const unsigned turn = fault.calls[f]++;
    if (f != fault.which || turn < fault.turn || (turn > fault.turn && !fault.forever))
        return 0;
    fault.failed++;
    errno = fault.error;
    return fault.error;
}

/* NOLINTBEGIN: the linker gives these names their meaning */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags);
int __real_timerfd_create(int clock, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __real_eventfd(unsigned initial, int flags);
int __wrap_eventfd(unsigned initial, int flags);
int __real_epoll_ctl(int fd, int operation, int other, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int other, struct epoll_event *event);
int __real_epoll_wait(int fd, struct epoll_event *events, int room, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int room, int timeout);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *name, socklen_t length);
int __wrap_bind(int fd, const struct sockaddr *name, socklen_t length);
int __real_getsockname(int fd, struct sockaddr *name, socklen_t *length);
int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *length);
int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t length);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t length);
int __real_connect(int fd, const struct sockaddr *name, socklen_t length);
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t length);
ssize_t __real_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length);
ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __real_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);
/* NOLINTEND */

void *__wrap_malloc(size_t size)
{
    return refusal(F_MALLOC) != 0 ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refusal(F_CALLOC) != 0 ? NULL : __real_calloc(count, size);
}

int __wrap_epoll_create1(int flags)
{
    return refusal(F_EPOLL_CREATE) != 0 ? -1 : __real_epoll_create1(flags);
}

int __wrap_timerfd_create(int clock, int flags)
{
    return refusal(F_TIMERFD_CREATE) != 0 ? -1 : __real_timerfd_create(clock, flags);
}

int __wrap_eventfd(unsigned initial, int flags)
{
    return refusal(F_EVENTFD) != 0 ? -1 : __real_eventfd(initial, flags);
}

int __wrap_epoll_ctl(int fd, int operation, int other, struct epoll_event *event)
{
    return refusal(F_EPOLL_CTL) != 0 ? -1 : __real_epoll_ctl(fd, operation, other, event);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int room, int timeout)
{
    return refusal(F_EPOLL_WAIT) != 0 ? -1 : __real_epoll_wait(fd, events, room, timeout);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    return refusal(F_TIMERFD_SETTIME) != 0 ? -1 : __real_timerfd_settime(fd, flags, when, before);
}

int __wrap_socket(int domain, int type, int protocol)
{
    return refusal(F_SOCKET) != 0 ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *name, socklen_t length)
{
    return refusal(F_BIND) != 0 ? -1 : __real_bind(fd, name, length);
}

int __wrap_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
    return refusal(F_GETSOCKNAME) != 0 ? -1 : __real_getsockname(fd, name, length);
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
    return refusal(F_SETSOCKOPT) != 0 ? -1 : __real_setsockopt(fd, level, option, value, length);
}

int __wrap_connect(int fd, const struct sockaddr *name, socklen_t length)
{
    return refusal(F_CONNECT) != 0 ? -1 : __real_connect(fd, name, length);
}

ssize_t __wrap_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
    return refusal(F_SENDTO) != 0 ? -1 : __real_sendto(fd, data, size, flags, to, length);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    return refusal(F_RECVMSG) != 0 ? -1 : __real_recvmsg(fd, message, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    return refusal(F_POLL) != 0 ? -1 : __real_poll(fds, count, timeout);
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    return refusal(F_GETRANDOM) != 0 ? -1 : __real_getrandom(out, size, flags);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    const int error = refusal(F_PTHREAD_CREATE);
    return error != 0 ? error : __real_pthread_create(thread, attributes, start, argument);
}

/* ---- Runs that are refused something ---------------------------------------------------------------------------- */

enum { MOST_TURNS = 12, PATIENT_MS = 5000, HASTY_MS = 60 };

static void arm(function which, int error, unsigned turn, bool forever)
{
    memset(&fault, 0, sizeof fault);
    fault.which = which;
    fault.error = error;
    fault.turn = turn;
    fault.forever = forever;
    armed = true;
}

/* A whole life of a handle under the fault armed. NP_ERR_NO_MEMORY stands for a handle that could not be made. */
static int check_refused(const char *source, const char *server, uint32_t timeout_ms, np_result *result)
{
    int error = NP_ERR_NO_MEMORY;
    support_poison(result);
    np_probe *probe = np_probe_new();
    if (probe != NULL) {
        np_probe_set_source(probe, source, 0);
        np_probe_add_server(probe, server);
        np_probe_set_timeout(probe, timeout_ms);
        np_probe_set_response_timeout(probe, timeout_ms / 2);
        error = np_probe_run(probe, result);
    }
    armed = false;
    if (probe != NULL)
        support_check_whole(result, error);
    np_probe_free(probe);
    return error;
}

static const char *describe(function f)
{
    static const char *const names[] = {
        "malloc",   "calloc",        "epoll_create1", "timerfd_create", "eventfd", "epoll_ctl", "epoll_wait", "timerfd_settime",
        "socket",   "bind",          "getsockname",   "setsockopt",     "connect", "sendto",    "recvmsg",    "poll",
        "getrandom", "pthread_create"};
    return names[f];
}

static void what_passes_is_outlived(void **state)
{
    static const struct {
        function which;
        int error;
    } passing[] = {
        {F_SENDTO, EINTR},   {F_SENDTO, EAGAIN},        {F_SENDTO, ENOBUFS},  {F_SENDTO, ECONNREFUSED},
        {F_RECVMSG, EINTR},  {F_RECVMSG, EAGAIN},       {F_RECVMSG, ECONNREFUSED}, {F_RECVMSG, EHOSTUNREACH},
        {F_POLL, EINTR},     {F_POLL, EAGAIN},          {F_GETRANDOM, EINTR}, {F_SETSOCKOPT, ENOPROTOOPT},
        {F_EPOLL_WAIT, EINTR},
    };
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        for (unsigned turn = 0; turn < MOST_TURNS; turn++) {
            np_result r;
            arm(passing[i].which, passing[i].error, turn, false);
            const int error = check_refused("127.0.0.1", stun_server_name(server), PATIENT_MS, &r);
            if (error != NP_OK || r.nat_type != NP_NAT_OPEN_INTERNET)
                print_error("%s, turn %u, errno %d: %s, %s: %s\n", describe(passing[i].which), turn, passing[i].error,
                            np_error_name(error), np_nat_type_name(r.nat_type), r.detail);
            assert_int_equal(error, NP_OK);
            assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
            if (turn == 0)
                assert_int_equal(fault.failed, 1);
        }
    }
    stun_server_stop(server);
}

static void what_stays_has_its_own_code(void **state)
{
    static const struct {
        function which;
        int error;
        int expected;
    } staying[] = {
        {F_MALLOC, ENOMEM, NP_ERR_NO_MEMORY},
        {F_CALLOC, ENOMEM, NP_ERR_NO_MEMORY},
        {F_EPOLL_CREATE, EMFILE, NP_ERR_SYSTEM},
        {F_EPOLL_CREATE, ENOMEM, NP_ERR_NO_MEMORY},
        {F_TIMERFD_CREATE, ENFILE, NP_ERR_SYSTEM},
        {F_EVENTFD, EMFILE, NP_ERR_SYSTEM},
        {F_EPOLL_CTL, ENOSPC, NP_ERR_SYSTEM},
        {F_EPOLL_CTL, ENOMEM, NP_ERR_NO_MEMORY},
        {F_EPOLL_WAIT, EBADF, NP_ERR_SYSTEM},
        {F_TIMERFD_SETTIME, EINVAL, NP_ERR_SYSTEM},
        {F_SOCKET, EMFILE, NP_ERR_SYSTEM},
        {F_SOCKET, ENFILE, NP_ERR_SYSTEM},
        {F_SOCKET, EACCES, NP_ERR_SYSTEM},
        {F_SOCKET, ENOMEM, NP_ERR_NO_MEMORY},
        {F_SOCKET, ENOBUFS, NP_ERR_NO_MEMORY},
        {F_SOCKET, EAFNOSUPPORT, NP_ERR_NETWORK_UNREACHABLE},
        {F_BIND, EADDRINUSE, NP_ERR_ADDRESS_IN_USE},
        {F_BIND, EADDRNOTAVAIL, NP_ERR_ADDRESS_NOT_AVAILABLE},
        {F_BIND, EACCES, NP_ERR_SYSTEM},
        {F_GETSOCKNAME, ENOBUFS, NP_ERR_NO_MEMORY},
        {F_SENDTO, ENETUNREACH, NP_ERR_NETWORK_UNREACHABLE},
        {F_SENDTO, EHOSTUNREACH, NP_ERR_NETWORK_UNREACHABLE},
        {F_SENDTO, ENETDOWN, NP_ERR_NETWORK_UNREACHABLE},
        {F_SENDTO, EPERM, NP_ERR_NETWORK_UNREACHABLE},
        {F_SENDTO, EACCES, NP_ERR_NETWORK_UNREACHABLE},
        {F_GETRANDOM, ENOSYS, NP_ERR_SYSTEM},
    };
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (size_t i = 0; i < sizeof staying / sizeof staying[0]; i++) {
        np_result r;
        arm(staying[i].which, staying[i].error, 0, true);
        const int error = check_refused("127.0.0.1", stun_server_name(server), PATIENT_MS, &r);
        if (error != staying[i].expected)
            print_error("%s, errno %d: %s\n", describe(staying[i].which), staying[i].error, np_error_name(error));
        assert_int_equal(error, staying[i].expected);
        assert_true(fault.failed > 0);
        if (r.error == error) /* there was a handle, and it ran */
            assert_int_equal(r.os_error, staying[i].error);
    }
    stun_server_stop(server);
}

/* From any turn on, any call: a code or a verdict that is true, and an end. */
static void whatever_fails_from_whenever_on_ends_well(void **state)
{
    static const int errors[] = {EINTR, EAGAIN, ENOMEM, EMFILE, ECONNREFUSED, ENETDOWN, EPERM, EIO};
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    for (function f = F_MALLOC; f < FUNCTIONS; f++) {
        for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
            /* What a call can be interrupted by for ever is not a fault but a busy loop of the system's. */
            if (errors[e] == EINTR && (f == F_SENDTO || f == F_RECVMSG || f == F_GETRANDOM || f == F_EPOLL_WAIT))
                continue;
            for (unsigned turn = 0; turn < MOST_TURNS; turn += 1 + turn / 3) {
                np_result r;
                arm(f, errors[e], turn, true);
                const int error = check_refused(NULL, stun_server_name(server), HASTY_MS, &r);
                if (error == NP_OK)
                    assert_true(r.nat_type == NP_NAT_OPEN_INTERNET || r.nat_type == NP_NAT_NONE);
                if (fault.failed == 0)
                    break; /* it is not called that often */
            }
        }
    }
    stun_server_stop(server);
}

static void no_thread_for_names(void **state)
{
    static const support_name names[] = {{.name = NULL, .address = {"127.0.0.1"}}};
    np_result r;
    (void)state;
    support_set_names(names, 1);
    arm(F_PTHREAD_CREATE, EAGAIN, 0, true);
    assert_int_equal(check_refused(NULL, "name.test", PATIENT_MS, &r), NP_ERR_RESOLVE);
    assert_true(fault.failed > 0);
}

static void handle_works_again_once_the_system_gives(void **state)
{
    np_result r;
    (void)state;
    stun_server *server = support_server((stun_server_config){0});
    np_probe *probe = support_probe("127.0.0.1", stun_server_name(server));
    for (function f = F_MALLOC; f < FUNCTIONS; f++) {
        arm(f, ENOMEM, 0, false);
        (void)np_probe_run(probe, &r);
        armed = false;
        assert_int_equal(support_run(probe, &r), NP_OK);
        assert_int_equal(r.nat_type, NP_NAT_OPEN_INTERNET);
    }
    np_probe_free(probe);
    stun_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_passes_is_outlived),
        CASE(what_stays_has_its_own_code),
        CASE(whatever_fails_from_whenever_on_ends_well),
        CASE(no_thread_for_names),
        CASE(handle_works_again_once_the_system_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
