/* SPDX-License-Identifier: MIT */
/* A system in memory: descriptors, sockets, the clock, memory, and calls that fail when the input wants it. */
#include "fake_system.h"

#include <stdarg.h>
#include <string.h>

#include "fake_calls.h"
#include "fuzz.h"

#include "../sim/network.h"

enum {
    FIRST_FD = 5000, /* none of the process's own */
    FDS = 96,
    WATCHES = 64,
    PLANS = 6,
    QUEUE = 64,
    FIRST_PORT = 40000,
    IDLE_POLLS = 300,
    POLLS = 6000,
    INTERRUPT = -1, /* for an error: none */
    SHORT = -2      /* getrandom: fewer bytes than wanted */
};

typedef enum file_kind { FILE_SOCKET, FILE_EPOLL, FILE_TIMER, FILE_EVENT } file_kind;

typedef struct datagram {
    struct datagram *next;
    endpoint from, to;
    uint64_t wall_ns; /* when it came in */
    size_t size, segment;
    uint8_t data[];
} datagram;

/* What descriptors refer to. */
typedef struct file {
    file_kind kind;
    unsigned descriptors;
    bool is_callers;
    /* a socket's */
    bool is_udp, only_v6, tells_local, tells_time, connected;
    endpoint bound; /* port 0: not bound; its family is the socket's */
    int pending_error;
    datagram *first;
    unsigned queued;
    uint64_t expires_ns; /* a timer's */
    uint64_t count;      /* an eventfd's */
} file;

typedef struct watch {
    const file *epoll; /* NULL: free */
    file *of;
    int fd;
    bool once, told;
    uint32_t tag;
} watch;

typedef struct plan {
    fake_call which;
    unsigned turn;
    int error; /* 0: no plan */
    bool forever;
} plan;

static struct {
    const world *world;
    network net;
    uint64_t now_ns;
    void (*interrupt)(void);
    file *fds[FDS];
    watch watches[WATCHES];
    plan plans[PLANS];
    unsigned next_plan;
    unsigned calls[FAKE_CALLS];
    unsigned refusals;
    unsigned user;
    unsigned sent[FAKE_USERS][2];
    uint16_t next_port;
    uint64_t random;
    long allocations;
    unsigned polls, idle_polls;
    unsigned clock_readings;
    uint64_t poll_ns;
} sys;

/* ---- Refusals --------------------------------------------------------------------------------------------------- */

/* Zeros end a list. An error that passes is never for ever: who goes on trying would never end. */
static const int errors[FAKE_CALLS][8] = {
    [FAKE_MALLOC] = {ENOMEM},
    [FAKE_CALLOC] = {ENOMEM},
    [FAKE_EPOLL_CREATE] = {EMFILE, ENOMEM},
    [FAKE_EPOLL_CTL] = {ENOSPC, ENOMEM},
    [FAKE_EPOLL_WAIT] = {EINTR, EBADF},
    [FAKE_TIMERFD_CREATE] = {EMFILE, EINVAL},
    [FAKE_TIMERFD_SETTIME] = {EINVAL},
    [FAKE_EVENTFD] = {EMFILE, ENOMEM},
    [FAKE_READ] = {EINTR},
    [FAKE_WRITE] = {EINTR},
    [FAKE_POLL] = {EINTR, ENOMEM},
    [FAKE_SOCKET] = {EMFILE, EAFNOSUPPORT, EPERM, ENOBUFS},
    [FAKE_BIND] = {EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL},
    [FAKE_CONNECT] = {ENETUNREACH, EPERM},
    [FAKE_GETSOCKNAME] = {ENOBUFS},
    [FAKE_GETSOCKOPT] = {ENOPROTOOPT},
    [FAKE_SETSOCKOPT] = {ENOPROTOOPT, EPERM},
    [FAKE_FCNTL] = {EMFILE},
    [FAKE_SENDTO] = {EAGAIN, EINTR, EPERM, ENETUNREACH, ECONNREFUSED, EADDRNOTAVAIL, ENOBUFS},
    [FAKE_RECVMSG] = {EAGAIN, EINTR, ECONNREFUSED, EHOSTUNREACH, EIO, ENOMEM, EMSGSIZE},
    [FAKE_CLOCK] = {EINVAL},
    [FAKE_GETRANDOM] = {EINTR, SHORT, ENOSYS, EAGAIN},
    [FAKE_MUTEX] = {ENOMEM},
    [FAKE_THREAD] = {EAGAIN, EINVAL},
    [FAKE_NAMES] = {EAI_MEMORY, EAI_SYSTEM, EAI_AGAIN, EAI_FAIL, EAI_NONAME},
};

static bool may_last(fake_call which, int error)
{
    if (error == EINTR || error == SHORT)
        return false;
    return which != FAKE_READ && which != FAKE_WRITE && which != FAKE_POLL && which != FAKE_RECVMSG &&
           which != FAKE_EPOLL_WAIT;
}

static void add_plan(fake_call which, unsigned after, int error, bool forever)
{
    sys.plans[sys.next_plan++ % PLANS] = (plan){
        .which = which, .turn = sys.calls[which] + after, .error = error, .forever = forever};
}

void fake_plan(fake_call which, unsigned after, unsigned index, bool forever)
{
    unsigned count = 0;
    while (count < 8 && errors[which][count] != 0)
        count++;
    const int error = errors[which][index % count];
    add_plan(which, after, error, forever && may_last(which, error));
}

void fake_plan_interrupt(fake_call which, unsigned after)
{
    add_plan(which, after, INTERRUPT, false);
}

unsigned fake_refusals(void)
{
    return sys.refusals;
}

int fake_refusal(fake_call which)
{
    const unsigned turn = sys.calls[which]++;
    for (unsigned i = 0; i < PLANS; i++) {
        plan *p = &sys.plans[i];
        if (p->error == 0 || p->which != which || turn < p->turn || (turn > p->turn && !p->forever))
            continue;
        const int error = p->error;
        if (!p->forever)
            p->error = 0;
        if (error == INTERRUPT) {
            sys.interrupt();
            continue;
        }
        sys.refusals++;
        return error;
    }
    return 0;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static bool is_refused(fake_call which)
{
    const int error = fake_refusal(which);
    if (error != 0)
        errno = error;
    return error != 0;
}

/* ---- Memory and output ------------------------------------------------------------------------------------------ */

void *fake_allocate(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(memory != NULL);
    memset(memory, 0xA5, size);
    sys.allocations++;
    return memory;
}

void *fake_malloc(size_t size)
{
    return is_refused(FAKE_MALLOC) ? NULL : fake_allocate(size);
}

void *fake_calloc(size_t count, size_t size)
{
    if (is_refused(FAKE_CALLOC))
        return NULL;
    FUZZ_CHECK(size == 0 || count <= SIZE_MAX / size);
    return memset(fake_allocate(count * size), 0, count * size);
}

void fake_free(void *memory)
{
    sys.allocations -= memory != NULL;
    free(memory);
}

/* What would go to stderr is formatted and dropped. */
int fake_fprintf(FILE *stream, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    FUZZ_CHECK(stream == stderr && length >= 0 && (size_t)length < sizeof line);
    return length;
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------ */

static file *find_file(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + FDS ? sys.fds[fd - FIRST_FD] : NULL;
}

/* Nobody may use what is closed, or not of the kind. */
static file *file_of(int fd, file_kind kind)
{
    file *f = find_file(fd);
    FUZZ_CHECK(f != NULL && f->kind == kind);
    return f;
}

static int new_fd(file *f)
{
    for (int i = 0; i < FDS; i++) {
        if (sys.fds[i] == NULL) {
            sys.fds[i] = f;
            f->descriptors++;
            return FIRST_FD + i;
        }
    }
    return fail(EMFILE);
}

static int new_file(file_kind kind)
{
    file *f = calloc(1, sizeof *f);
    FUZZ_CHECK(f != NULL);
    f->kind = kind;
    f->expires_ns = NEVER;
    const int fd = new_fd(f);
    if (fd < 0)
        free(f);
    return fd;
}

static void free_file(file *f)
{
    while (f->first != NULL) {
        datagram *next = f->first->next;
        free(f->first);
        f->first = next;
    }
    free(f);
}

static void close_fd(int fd)
{
    file *f = find_file(fd);
    FUZZ_CHECK(f != NULL);
    sys.fds[fd - FIRST_FD] = NULL;
    for (int i = 0; i < WATCHES; i++) {
        /* The system forgets it by itself only with the last descriptor: until then it would go on telling of it. */
        FUZZ_CHECK(sys.watches[i].epoll == NULL || sys.watches[i].fd != fd || f->descriptors == 1);
        if (f->descriptors == 1 && (sys.watches[i].of == f || sys.watches[i].epoll == f))
            sys.watches[i].epoll = NULL;
    }
    if (--f->descriptors == 0)
        free_file(f);
}

/* The caller's descriptors are its own to close; the library's duplicates of them are not in the list. */
static int callers_fds[FDS];

int fake_close(int fd)
{
    FUZZ_CHECK(find_file(fd) != NULL);
    FUZZ_CHECK(callers_fds[fd - FIRST_FD] == 0);
    close_fd(fd);
    return 0;
}

int fake_fcntl(int fd, int command, int argument)
{
    FUZZ_CHECK(command == F_DUPFD_CLOEXEC && argument == 0);
    if (find_file(fd) == NULL)
        return fail(EBADF);
    return is_refused(FAKE_FCNTL) ? -1 : new_fd(find_file(fd));
}

/* ---- Addresses -------------------------------------------------------------------------------------------------- */

static bool is_any(const endpoint *e)
{
    static const uint8_t zeros[16];
    return memcmp(e->ip, zeros, sizeof zeros) == 0;
}

static endpoint read_name(const struct sockaddr *name, socklen_t size)
{
    const endpoint e = endpoint_from_socket(name);
    FUZZ_CHECK(e.family != 0 && size == (e.family == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)));
    return e;
}

/* Written as a socket of that family has it. */
static void write_name(const endpoint *e, uint8_t family, struct sockaddr *name, socklen_t *size)
{
    socket_address whole;
    endpoint wide = e->family == 4 && family == 6 && !is_any(e) ? endpoint_mapped(e) : *e;
    wide.family = family;
    const socklen_t needed = endpoint_to_socket(&wide, &whole);
    memcpy(name, &whole, *size < needed ? *size : needed);
    *size = needed;
}

static bool is_loopback(const endpoint *e)
{
    return endpoint_class(e) == 2;
}

static bool is_own(const endpoint *e)
{
    return is_any(e) || is_loopback(e) || endpoint_same_ip(e, &sys.world->host.local);
}

/* The address that a datagram to there leaves from; its port is that of the socket. */
static bool route(const file *f, const endpoint *to, endpoint *out)
{
    endpoint local = endpoint_plain(&f->bound);
    if (!is_loopback(to) && to->family != sys.world->family)
        return false;
    if (is_any(&local))
        local = is_loopback(to) ? endpoint_loopback(to->family, 1, 0) : sys.world->host.local;
    *out = endpoint_with_port(&local, f->bound.port);
    return true;
}

static bool is_unreachable(const endpoint *to)
{
    for (unsigned i = 0; i < sys.world->servers; i++) {
        const server_desc *d = &sys.world->server[i];
        if (d->no_route && (endpoint_same_ip(&d->a, to) || endpoint_same_ip(&d->b, to)))
            return true;
    }
    return false;
}

/* ---- Sockets ---------------------------------------------------------------------------------------------------- */

/* One interface beside lo. */
unsigned fake_if_nametoindex(const char *name)
{
    FUZZ_CHECK(name[0] != '\0' && strlen(name) < IF_NAMESIZE);
    if (strcmp(name, "lo") == 0 || strcmp(name, "eth0") == 0)
        return strcmp(name, "lo") == 0 ? 1 : 2;
    errno = ENODEV;
    return 0;
}

char *fake_if_indextoname(unsigned index, char *name)
{
    if (index == 1 || index == 2)
        return strcpy(name, index == 1 ? "lo" : "eth0");
    errno = ENXIO;
    return NULL;
}

int fake_socket(int family, int type, int protocol)
{
    if (family == AF_NETLINK) { /* as in a sandbox: the gateway is not told */
        errno = EACCES;
        return -1;
    }
    FUZZ_CHECK((family == AF_INET || family == AF_INET6) && protocol == 0);
    FUZZ_CHECK(type == (SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (is_refused(FAKE_SOCKET))
        return -1;
    const int fd = new_file(FILE_SOCKET);
    if (fd >= 0) {
        file *f = file_of(fd, FILE_SOCKET);
        f->is_udp = true;
        f->bound.family = family == AF_INET ? 4 : 6;
    }
    return fd;
}

static bool is_taken(const endpoint *e)
{
    for (int i = 0; i < FDS; i++) {
        const file *f = sys.fds[i];
        if (f == NULL || f->kind != FILE_SOCKET || f->bound.port != e->port || f->bound.family != e->family)
            continue;
        if (is_any(e) || is_any(&f->bound) || endpoint_same_ip(e, &f->bound))
            return true;
    }
    return false;
}

static int bind_file(file *f, endpoint e)
{
    if (!is_own(&e))
        return fail(EADDRNOTAVAIL);
    if (e.port > 0 && e.port < 1024)
        return fail(EACCES);
    if (e.port > 0 && is_taken(&e))
        return fail(EADDRINUSE);
    while (e.port == 0 || is_taken(&e))
        e.port = sys.next_port++;
    f->bound = e;
    return 0;
}

int fake_bind(int fd, const struct sockaddr *name, socklen_t size)
{
    file *f = file_of(fd, FILE_SOCKET);
    FUZZ_CHECK(!f->is_callers);
    const endpoint e = read_name(name, size);
    FUZZ_CHECK(e.family == f->bound.family && (e.family == 4 || f->only_v6 || e.port == 0));
    return is_refused(FAKE_BIND) ? -1 : bind_file(f, e);
}

/* A route that is looked up: nothing is sent. */
int fake_connect(int fd, const struct sockaddr *name, socklen_t size)
{
    endpoint local;
    file *f = file_of(fd, FILE_SOCKET);
    FUZZ_CHECK(!f->is_callers && f->bound.port != 0);
    if (is_refused(FAKE_CONNECT))
        return -1;
    const endpoint named = read_name(name, size), to = endpoint_plain(&named);
    if (!route(f, &to, &local))
        return fail(ENETUNREACH);
    f->bound = local;
    f->connected = true;
    return 0;
}

int fake_getsockname(int fd, struct sockaddr *name, socklen_t *size)
{
    const file *f = find_file(fd);
    if (f == NULL || f->kind != FILE_SOCKET)
        return fail(f == NULL ? EBADF : ENOTSOCK);
    if (is_refused(FAKE_GETSOCKNAME))
        return -1;
    write_name(&f->bound, f->bound.family, name, size);
    return 0;
}

int fake_getpeername(int fd, struct sockaddr *name, socklen_t *size)
{
    const file *f = find_file(fd);
    if (f == NULL || !f->connected)
        return fail(f == NULL ? EBADF : ENOTCONN);
    write_name(&f->bound, f->bound.family, name, size);
    return 0;
}

static int option_of(const file *f, int level, int option)
{
    if (level == SOL_SOCKET && option == SO_TYPE)
        return f->is_udp ? SOCK_DGRAM : SOCK_STREAM;
    if (level == SOL_SOCKET && option == SO_PROTOCOL)
        return f->is_udp ? IPPROTO_UDP : IPPROTO_TCP;
    if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY)
        return f->bound.family == 6 ? f->only_v6 : -1;
    if (level == SOL_SOCKET && option == SO_MARK)
        return f->is_callers ? 7 : 0;
    return -1;
}

int fake_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
    const file *f = find_file(fd);
    if (f == NULL || f->kind != FILE_SOCKET)
        return fail(f == NULL ? EBADF : ENOTSOCK);
    if (is_refused(FAKE_GETSOCKOPT))
        return -1;
    if (level == SOL_SOCKET && option == SO_BINDTODEVICE) {
        *size = 0;
        return 0;
    }
    const int number = option_of(f, level, option);
    if (number < 0)
        return fail(ENOPROTOOPT);
    FUZZ_CHECK(*size >= sizeof number);
    *size = sizeof number;
    memcpy(value, &number, sizeof number);
    return 0;
}

int fake_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    int number;
    file *f = file_of(fd, FILE_SOCKET);
    FUZZ_CHECK(!f->is_callers);
    FUZZ_CHECK(size == sizeof number);
    memcpy(&number, value, sizeof number);
    if (is_refused(FAKE_SETSOCKOPT))
        return -1;
    if (level == IPPROTO_IPV6 && option == IPV6_V6ONLY)
        f->only_v6 = number != 0;
    else if ((level == IPPROTO_IPV6 && option == IPV6_RECVPKTINFO) || (level == IPPROTO_IP && option == IP_PKTINFO))
        f->tells_local = number != 0;
    else if (level == SOL_SOCKET && option == SO_TIMESTAMPNS)
        f->tells_time = number != 0;
    else
        FUZZ_CHECK(level == SOL_SOCKET && option == SO_MARK);
    return 0;
}

/* ---- Datagrams -------------------------------------------------------------------------------------------------- */

ssize_t fake_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *name, socklen_t name_size)
{
    endpoint from;
    file *f = file_of(fd, FILE_SOCKET);
    const endpoint named = read_name(name, name_size), to = endpoint_plain(&named);
    FUZZ_CHECK((flags & MSG_DONTWAIT) != 0 && (size == 20 || size == 28));
    FUZZ_CHECK(endpoint_class(&to) <= 2 && to.port != 0);
    FUZZ_CHECK(to.family == f->bound.family || !f->only_v6);
    if (is_refused(FAKE_SENDTO))
        return -1;
    if (f->pending_error != 0) {
        const int error = f->pending_error;
        f->pending_error = 0;
        return fail(error);
    }
    if (!route(f, &to, &from))
        return fail(ENETUNREACH);
    if (is_unreachable(&to))
        return fail(EHOSTUNREACH);
    if (is_loopback(&from) && !is_loopback(&to))
        return fail(EINVAL);
    sys.sent[sys.user][to.family == 6]++;
    sys.idle_polls = 0;
    if (!is_loopback(&to))
        network_send(&sys.net, sys.now_ns, &from, &to, true, data, size);
    return (ssize_t)size;
}

/* Somebody sets the wall clock now and then. */
static uint64_t wall_now(void)
{
    return sys.now_ns + (sys.clock_readings / 97 % 3 + 1) * 3600 * SECOND;
}

static bool enqueue(file *f, const endpoint *from, const endpoint *to, const uint8_t *data, size_t size, size_t segment)
{
    if (f->queued == QUEUE)
        return false;
    datagram *d = calloc(1, sizeof *d + size);
    FUZZ_CHECK(d != NULL);
    *d = (datagram){.from = *from, .to = *to, .wall_ns = wall_now(), .size = size, .segment = segment};
    if (size > 0)
        memcpy(d->data, data, size);
    datagram **end = &f->first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = d;
    f->queued++;
    for (int i = 0; i < WATCHES; i++) {
        if (sys.watches[i].of == f)
            sys.watches[i].told = false;
    }
    return true;
}

static bool takes(const file *f, const endpoint *to)
{
    if (f->kind != FILE_SOCKET || !f->is_udp || f->bound.port != to->port)
        return false;
    if (f->bound.family != to->family && (f->bound.family == 4 || f->only_v6))
        return false;
    const endpoint own = endpoint_plain(&f->bound);
    return is_any(&own) || endpoint_same_ip(&own, to);
}

/* What the network has brought by now. */
static void deliver(void)
{
    packet p;
    network_run_until(&sys.net, sys.now_ns);
    while (network_take(&sys.net, &p)) {
        for (int i = 0; i < FDS; i++) {
            if (sys.fds[i] != NULL && takes(sys.fds[i], &p.dst)) {
                enqueue(sys.fds[i], &p.src, &p.dst, p.data, p.size, p.size);
                break;
            }
        }
    }
}

static void add_control(struct msghdr *out, size_t *used, int level, int type, const void *value, size_t size)
{
    struct cmsghdr header = {.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
    uint8_t *at = (uint8_t *)out->msg_control + *used;
    FUZZ_CHECK(*used + CMSG_SPACE(size) <= out->msg_controllen);
    memset(at, 0, CMSG_SPACE(size));
    memcpy(at, &header, sizeof header);
    memcpy(at + CMSG_LEN(0), value, size);
    *used += CMSG_SPACE(size);
}

static void add_controls(const file *f, const datagram *d, struct msghdr *out)
{
    const struct timespec nonsense = {.tv_sec = 1};
    const struct timespec stamp = {.tv_sec = (time_t)(d->wall_ns / SECOND), .tv_nsec = (long)(d->wall_ns % SECOND)};
    const int segment = (int)d->segment;
    size_t used = 0;
    if (f->is_callers)
        add_control(out, &used, SOL_SOCKET, SO_TIMESTAMPNS, &nonsense, sizeof nonsense);
    else if (f->tells_time)
        add_control(out, &used, SOL_SOCKET, SO_TIMESTAMPNS, &stamp, sizeof stamp);
    if (f->tells_local && d->to.family == 4) {
        struct in_pktinfo info = {.ipi_ifindex = 1};
        memcpy(&info.ipi_addr, d->to.ip, 4);
        add_control(out, &used, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (f->tells_local) {
        struct in6_pktinfo info = {.ipi6_ifindex = 1};
        memcpy(&info.ipi6_addr, d->to.ip, 16);
        add_control(out, &used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (d->segment != d->size)
        add_control(out, &used, IPPROTO_UDP, UDP_GRO, &segment, sizeof segment);
    out->msg_controllen = used;
}

static datagram *dequeue(file *f)
{
    datagram *d = f->first;
    f->first = d->next;
    f->queued--;
    return d;
}

ssize_t fake_recvmsg(int fd, struct msghdr *out, int flags)
{
    file *f = file_of(fd, FILE_SOCKET);
    FUZZ_CHECK((flags & MSG_DONTWAIT) != 0 && out->msg_iovlen == 1);
    if (is_refused(FAKE_RECVMSG))
        return -1;
    deliver();
    const int error = f->pending_error != 0 ? f->pending_error : EAGAIN;
    f->pending_error = 0;
    if (error != EAGAIN || f->first == NULL)
        return fail(error);
    sys.idle_polls = 0;
    datagram *d = dequeue(f);
    const size_t room = out->msg_iov[0].iov_len;
    const size_t size = d->size < room ? d->size : room;
    memcpy(out->msg_iov[0].iov_base, d->data, size);
    out->msg_flags = d->size > room ? MSG_TRUNC : 0;
    write_name(&d->from, f->bound.family, out->msg_name, &out->msg_namelen);
    add_controls(f, d, out);
    free(d);
    return (ssize_t)size;
}

/* ---- What can be waited for ------------------------------------------------------------------------------------- */

int fake_epoll_create1(int flags)
{
    FUZZ_CHECK(flags == EPOLL_CLOEXEC);
    return is_refused(FAKE_EPOLL_CREATE) ? -1 : new_file(FILE_EPOLL);
}

int fake_timerfd_create(int clock, int flags)
{
    FUZZ_CHECK((clock == CLOCK_BOOTTIME || clock == CLOCK_MONOTONIC) && flags == (TFD_CLOEXEC | TFD_NONBLOCK));
    return is_refused(FAKE_TIMERFD_CREATE) ? -1 : new_file(FILE_TIMER);
}

int fake_eventfd(unsigned initial, int flags)
{
    FUZZ_CHECK(initial == 0 && flags == (EFD_CLOEXEC | EFD_NONBLOCK));
    return is_refused(FAKE_EVENTFD) ? -1 : new_file(FILE_EVENT);
}

int fake_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *before)
{
    file *f = file_of(fd, FILE_TIMER);
    FUZZ_CHECK(flags == 0 && before == NULL && when->it_interval.tv_sec == 0 && when->it_interval.tv_nsec == 0);
    FUZZ_CHECK(when->it_value.tv_sec >= 0 && when->it_value.tv_nsec >= 0 && when->it_value.tv_nsec < 1000000000);
    if (is_refused(FAKE_TIMERFD_SETTIME))
        return -1;
    const uint64_t left_ns = (uint64_t)when->it_value.tv_sec * SECOND + (uint64_t)when->it_value.tv_nsec;
    f->expires_ns = left_ns == 0 ? NEVER : sys.now_ns + left_ns;
    return 0;
}

ssize_t fake_read(int fd, void *data, size_t size)
{
    file *f = file_of(fd, FILE_EVENT);
    FUZZ_CHECK(size == sizeof f->count);
    if (is_refused(FAKE_READ))
        return -1;
    if (f->count == 0)
        return fail(EAGAIN);
    memcpy(data, &f->count, size);
    f->count = 0;
    return (ssize_t)size;
}

ssize_t fake_write(int fd, const void *data, size_t size)
{
    uint64_t more;
    file *f = file_of(fd, FILE_EVENT);
    FUZZ_CHECK(size == sizeof more);
    memcpy(&more, data, sizeof more);
    if (is_refused(FAKE_WRITE))
        return -1;
    f->count += more;
    return (ssize_t)size;
}

static watch *find_watch(const file *epoll, int fd)
{
    for (int i = 0; i < WATCHES; i++) {
        if (sys.watches[i].epoll == epoll && sys.watches[i].fd == fd)
            return &sys.watches[i];
    }
    return NULL;
}

int fake_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *wanted)
{
    const file *epoll = file_of(epoll_fd, FILE_EPOLL);
    watch *w = find_watch(epoll, fd);
    if (operation == EPOLL_CTL_DEL) {
        FUZZ_CHECK(find_file(fd) != NULL);
        if (w == NULL)
            return fail(ENOENT);
        w->epoll = NULL;
        return 0;
    }
    FUZZ_CHECK(operation == EPOLL_CTL_ADD && w == NULL && find_file(fd) != NULL);
    FUZZ_CHECK((wanted->events & ~(uint32_t)EPOLLET) == EPOLLIN);
    if (is_refused(FAKE_EPOLL_CTL))
        return -1;
    for (w = sys.watches; w->epoll != NULL; w++)
        FUZZ_CHECK(w + 1 < sys.watches + WATCHES);
    *w = (watch){.epoll = epoll, .of = find_file(fd), .fd = fd, .tag = wanted->data.u32};
    w->once = wanted->events != EPOLLIN;
    return 0;
}

static bool is_watch_ready(const watch *w)
{
    const file *f = w->of;
    if (w->once && w->told)
        return false;
    if (f->kind == FILE_TIMER)
        return f->expires_ns <= sys.now_ns;
    return f->kind == FILE_EVENT ? f->count > 0 : f->first != NULL || f->pending_error != 0;
}

static bool is_epoll_ready(const file *epoll)
{
    for (int i = 0; i < WATCHES; i++) {
        if (sys.watches[i].epoll == epoll && is_watch_ready(&sys.watches[i]))
            return true;
    }
    return false;
}

/* Other threads may run at any moment; here and at every look at the clock they do. */
static void let_others_run(void)
{
    if (fake_threads_run(sys.now_ns))
        sys.idle_polls = 0;
}

int fake_epoll_wait(int epoll_fd, struct epoll_event *events, int most, int timeout)
{
    const file *epoll = file_of(epoll_fd, FILE_EPOLL);
    int count = 0;
    FUZZ_CHECK(timeout == 0 && most > 0);
    let_others_run();
    deliver();
    if (is_refused(FAKE_EPOLL_WAIT))
        return -1;
    for (int i = 0; i < WATCHES && count < most; i++) {
        watch *w = &sys.watches[i];
        if (w->epoll != epoll || !is_watch_ready(w))
            continue;
        w->told = true;
        memset(&events[count], 0, sizeof events[count]);
        events[count].events = EPOLLIN;
        events[count++].data.u32 = w->tag;
    }
    return count;
}

/* ---- Time ------------------------------------------------------------------------------------------------------- */

uint64_t fake_now(void)
{
    return sys.now_ns;
}

void fake_pass(uint64_t ns)
{
    sys.now_ns += ns;
}

/* To look at the clock takes time, and so does all that happens in between. */
int fake_clock_gettime(clockid_t clock, struct timespec *now)
{
    FUZZ_CHECK(clock == CLOCK_BOOTTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME);
    if (clock == CLOCK_BOOTTIME && is_refused(FAKE_CLOCK))
        return -1;
    let_others_run();
    sys.now_ns += 2000;
    sys.clock_readings++;
    const uint64_t shown_ns = clock == CLOCK_REALTIME ? wall_now() : sys.now_ns;
    now->tv_sec = (time_t)(shown_ns / SECOND);
    now->tv_nsec = (long)(shown_ns % SECOND);
    return 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_event_ns(const file *epoll)
{
    uint64_t next = earlier(network_next_ns(&sys.net), fake_threads_next_ns());
    for (int i = 0; i < WATCHES; i++) {
        const watch *w = &sys.watches[i];
        if (w->epoll == epoll && w->of->kind == FILE_TIMER)
            next = earlier(next, w->of->expires_ns);
    }
    return next;
}

static bool wait_for_either(int fd, int other, uint64_t until_ns)
{
    const file *first = file_of(fd, FILE_EPOLL), *second = file_of(other, FILE_EPOLL);
    for (;;) {
        let_others_run();
        deliver();
        if (is_epoll_ready(first) || is_epoll_ready(second))
            return true;
        const uint64_t next = earlier(next_event_ns(first), next_event_ns(second));
        if (next == NEVER || next > until_ns)
            break;
        sys.now_ns = next > sys.now_ns ? next : sys.now_ns;
    }
    if (until_ns != NEVER && until_ns > sys.now_ns)
        sys.now_ns = until_ns;
    return false;
}

bool fake_wait(int fd, uint64_t until_ns)
{
    return wait_for_either(fd, fd, until_ns);
}

uint64_t fake_next_readable(int fd)
{
    const file *epoll = file_of(fd, FILE_EPOLL);
    uint64_t next = is_epoll_ready(epoll) ? sys.now_ns : NEVER;
    for (int i = 0; i < WATCHES; i++) {
        if (sys.watches[i].epoll == epoll && sys.watches[i].of->kind == FILE_TIMER)
            next = earlier(next, sys.watches[i].of->expires_ns);
    }
    return next;
}

bool fake_is_tired(void)
{
    return sys.polls > POLLS;
}

/* Who waits is woken for a reason, and not again and again for the same. Nobody waits for what will never come. */
int fake_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    FUZZ_CHECK((count == 1 || count == 2) && fds[0].events == POLLIN && fds[count - 1].events == POLLIN);
    FUZZ_CHECK(timeout == -1);
    if (sys.now_ns - sys.poll_ns >= MS)
        sys.idle_polls = 0;
    FUZZ_CHECK(++sys.idle_polls < IDLE_POLLS);
    sys.poll_ns = sys.now_ns;
    sys.polls++;
    if (fake_is_tired())
        sys.interrupt();
    /* np_check_nat cannot be interrupted: its deadline ends it. */
    FUZZ_CHECK(sys.polls < POLLS + (sys.user == FAKE_USERS - 1 ? POLLS : 100));
    if (is_refused(FAKE_POLL)) {
        sys.now_ns += MS;
        return -1;
    }
    FUZZ_CHECK(wait_for_either(fds[0].fd, fds[count - 1].fd, NEVER));
    fds[0].revents = fds[count - 1].revents = POLLIN; /* nobody looks at them */
    return 1;
}

/* A host without /dev. */
int fake_open(const char *path, int flags)
{
    FUZZ_CHECK(strcmp(path, "/dev/urandom") == 0 && flags == (O_RDONLY | O_CLOEXEC));
    return fail(ENOENT);
}

ssize_t fake_getrandom(void *out, size_t size, unsigned flags)
{
    const int error = fake_refusal(FAKE_GETRANDOM);
    uint8_t *bytes = out;
    FUZZ_CHECK(flags == GRND_NONBLOCK && size > 0);
    if (error == SHORT)
        size = 1;
    else if (error != 0)
        return fail(error);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)hash_mix(sys.world->seed, sys.random++);
    return (ssize_t)size;
}

/* ---- For the target --------------------------------------------------------------------------------------------- */

void fake_begin(const world *w, void (*interrupt)(void))
{
    memset(&sys, 0, sizeof sys);
    memset(callers_fds, 0, sizeof callers_fds);
    sys.world = w;
    sys.interrupt = interrupt;
    sys.now_ns = w->start_ns;
    sys.poll_ns = w->start_ns;
    sys.next_port = FIRST_PORT;
    network_init(&sys.net, w, NULL);
    fake_threads_begin();
}

void fake_end(void)
{
    fake_threads_end();
    for (int i = 0; i < FDS; i++)
        FUZZ_CHECK(sys.fds[i] == NULL);
    for (int i = 0; i < WATCHES; i++)
        FUZZ_CHECK(sys.watches[i].epoll == NULL);
    FUZZ_CHECK(sys.allocations == 0);
    network_free(&sys.net);
}

void fake_set_user(unsigned user)
{
    sys.user = user % FAKE_USERS;
}

unsigned fake_sent(unsigned user, unsigned family)
{
    return sys.sent[user][family == 6];
}

void fake_begin_check(unsigned user)
{
    memset(sys.sent[user], 0, sizeof sys.sent[user]);
    sys.idle_polls = 0;
}

const world *fake_world(void)
{
    return sys.world;
}

/* ---- The caller's sockets --------------------------------------------------------------------------------------- */

int fake_open_callers(fake_socket_kind kind)
{
    const bool is_v6 = kind == FAKE_UDP6 || kind == FAKE_UDP6_ONLY;
    const int fd = new_file(FILE_SOCKET);
    if (fd < 0)
        return -1;
    file *f = file_of(fd, FILE_SOCKET);
    f->is_callers = true;
    f->is_udp = kind != FAKE_TCP;
    f->only_v6 = kind == FAKE_UDP6_ONLY;
    f->bound.family = is_v6 ? 6 : 4;
    f->connected = kind == FAKE_UDP4_CONNECTED;
    const bool is_local = kind == FAKE_UDP4_LOCAL && sys.world->family == 4;
    if (kind != FAKE_UDP4_UNBOUND)
        bind_file(f, is_local ? endpoint_with_port(&sys.world->host.local, 0) : endpoint_any(f->bound.family, 0));
    callers_fds[fd - FIRST_FD] = 1;
    return fd;
}

bool fake_is_usable(int fd)
{
    const file *f = find_file(fd);
    return f != NULL && f->kind == FILE_SOCKET && f->is_udp && f->bound.port != 0 && !f->connected;
}

bool fake_put(int fd, const uint8_t *data, size_t size, size_t segment)
{
    file *f = file_of(fd, FILE_SOCKET);
    const endpoint from = endpoint_public(f->bound.family, 2, 200, 4000);
    return enqueue(f, &from, &f->bound, data, size, segment);
}

bool fake_get(int fd, uint8_t *data, size_t room, size_t *size, size_t *segment)
{
    file *f = file_of(fd, FILE_SOCKET);
    if (f->first == NULL)
        return false;
    datagram *d = dequeue(f);
    *size = d->size < room ? d->size : room;
    *segment = d->segment;
    memcpy(data, d->data, *size);
    free(d);
    return true;
}

void fake_put_error(int fd, int error)
{
    file *f = file_of(fd, FILE_SOCKET);
    f->pending_error = error;
    for (int i = 0; i < WATCHES; i++) {
        if (sys.watches[i].of == f)
            sys.watches[i].told = false;
    }
}

void fake_close_callers(int fd)
{
    FUZZ_CHECK(callers_fds[fd - FIRST_FD] == 1);
    callers_fds[fd - FIRST_FD] = 0;
    close_fd(fd);
}
