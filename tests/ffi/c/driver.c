/* SPDX-License-Identifier: MIT */
/*
 * The driver in C: puts libnatprobe through what applications do with it, in a mode chosen on the command line.
 *
 *     driver MODE [--json] -p PORT [-s SERVER]... [-6] [--mapping-only]
 *
 * The drivers in other languages have the same command line and output. Exit status: 0 a verdict, 1 none, 2 usage, 3
 * the library did not keep to natprobe.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "driver.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_MS = 10,
    CALL_MS_MAX = 500, /* a call that must not block may be kept waiting by the machine, not by the network */
    CANCEL_AFTER_MS = 200,
    CANCEL_MS_MAX = 1000, /* from then to the end */
    HELLOS_BEFORE = 5,
    HELLOS_MAX = 50
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#if defined(__GNUC__)
static int broken_promise(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
static int broken_promise(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return EXIT_BROKEN_PROMISE;
}

/* A probe as the command line wants it. NULL, with a message, when it does not accept something. */
static np_probe *make_probe(const options *o)
{
    np_probe *probe = np_probe_new();
    int error = probe != NULL ? np_probe_set_source(probe, NULL, o->port) : NP_ERR_NO_MEMORY;
    for (size_t i = 0; i < o->server_count && error == NP_OK; i++)
        error = np_probe_add_server(probe, o->servers[i]);
    if (error == NP_OK && o->is_ipv6)
        error = np_probe_set_family(probe, NP_FAMILY_IPV6);
    if (error == NP_OK)
        error = np_probe_set_tests(probe, o->tests);
    if (error == NP_OK)
        return probe;
    fprintf(stderr, "cannot prepare the probe: %s\n", np_strerror(error));
    np_probe_free(probe);
    return NULL;
}

/* ---- Blocking ---------------------------------------------------------------------------------------------------- */

typedef struct tally {
    unsigned lines;
    unsigned events[NP_EVENT_CONCLUDED + 1];
    unsigned ends; /* conclusions of the whole check */
    int32_t nat_type;
} tally;

static void count_line(int32_t level, const char *message, void *user)
{
    tally *t = user;
    t->lines += level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG && message[0] != '\0';
}

static void count_event(const np_event *event, void *user)
{
    tally *t = user;
    if (event->kind < NP_EVENT_SENT || event->kind > NP_EVENT_CONCLUDED)
        return;
    t->events[event->kind]++;
    if (event->kind == NP_EVENT_CONCLUDED && event->purpose == NP_PURPOSE_CHECK) {
        t->ends++;
        t->nat_type = event->nat_type;
    }
}

static int judge_tally(const tally *t, const np_result *r)
{
    if (t->lines == 0 || t->events[NP_EVENT_SENT] == 0 || t->events[NP_EVENT_CONCLUDED] == 0)
        return broken_promise("%u log lines, %u requests sent, %u conclusions", t->lines, t->events[NP_EVENT_SENT],
                              t->events[NP_EVENT_CONCLUDED]);
    if (r->error == NP_OK && t->events[NP_EVENT_ANSWERED] == 0)
        return broken_promise("a verdict, and no answer was told of");
    if (r->error == NP_OK && t->events[NP_EVENT_SENT] != r->packets_sent)
        return broken_promise("%u requests told of, %" PRIu32 " counted", t->events[NP_EVENT_SENT], r->packets_sent);
    if (t->ends != 1 || t->nat_type != r->nat_type)
        return broken_promise("the end was told of %u times, the type as %s", t->ends, np_nat_type_name(t->nat_type));
    return EXIT_VERDICT;
}

static int run_blocking(const options *o)
{
    tally t = {.lines = 0};
    np_result result;
    np_probe *probe = make_probe(o);
    if (probe == NULL)
        return EXIT_USAGE;
    bool is_told = np_probe_set_log(probe, NP_LOG_DEBUG, count_line, &t) == NP_OK &&
                   np_probe_set_events(probe, count_event, &t) == NP_OK;
    int error = np_probe_run(probe, &result);
    np_probe_free(probe);
    if (!is_told)
        return broken_promise("the callbacks were refused");
    int status = print_result(&result);
    int judgement = error == result.error ? judge_tally(&t, &result) : broken_promise("returned %d", error);
    return judgement != EXIT_VERDICT ? judgement : status;
}

/* ---- In an event loop -------------------------------------------------------------------------------------------- */

/* What the loop does beside the check, every TICK_MS. */
typedef void (*tick_fn)(void *user, int64_t since_start_ms);

/* Runs a check to its end. Returns EXIT_VERDICT, or EXIT_BROKEN_PROMISE with a message. */
static int loop(np_probe *probe, tick_fn on_tick, void *user, np_result *result)
{
    int64_t started = now_ms();
    int64_t next_tick = started + TICK_MS;
    int error = np_probe_start(probe);
    if (error != NP_OK)
        return broken_promise("cannot start: %s", np_strerror(error));
    struct pollfd waiting = {.fd = np_probe_fd(probe), .events = POLLIN};
    do {
        int64_t before = now_ms();
        if (before >= next_tick) {
            next_tick += TICK_MS;
            on_tick(user, before - started);
        }
        int64_t wait_ms = next_tick - now_ms();
        int ready = poll(&waiting, 1, wait_ms > 0 ? (int)wait_ms : 0);
        before = now_ms();
        error = ready > 0 ? np_probe_process(probe, result) : NP_PENDING;
        if (now_ms() - before > CALL_MS_MAX)
            return broken_promise("np_probe_process() took %" PRId64 " ms", now_ms() - before);
        if (error == NP_PENDING && ready > 0 && result->error != NP_PENDING)
            return broken_promise("np_probe_process() says that it goes on, the result %d", (int)result->error);
    } while (error == NP_PENDING);
    return error == result->error ? EXIT_VERDICT : broken_promise("np_probe_process() returned %d", error);
}

static void count_tick(void *user, int64_t since_start_ms)
{
    (void)since_start_ms;
    unsigned *ticks = user;
    (*ticks)++;
}

static int run_async(const options *o)
{
    unsigned ticks = 0;
    np_result result;
    np_probe *probe = make_probe(o);
    if (probe == NULL)
        return EXIT_USAGE;
    int64_t started = now_ms();
    int judgement = loop(probe, count_tick, &ticks, &result);
    int64_t took_ms = now_ms() - started;
    np_probe_free(probe);
    if (judgement != EXIT_VERDICT)
        return judgement;
    int status = print_result(&result);
    if (took_ms > 10 * TICK_MS && ticks < took_ms / TICK_MS / 2)
        return broken_promise("%u ticks in %" PRId64 " ms", ticks, took_ms);
    return status;
}

/* ---- From a socket of the program's own -------------------------------------------------------------------------- */

typedef union address {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} address;

/* The peer on this host that says hello, and what of it has arrived. */
typedef struct peer {
    int own_fd;  /* bound to the port of the command line */
    int peer_fd; /* sends to it over loopback */
    address own;
    address name;
    socklen_t name_size;
    unsigned sent;
    unsigned arrived;
    bool is_broken;
} peer;

static address make_address(bool is_ipv6, bool is_loopback, uint16_t port)
{
    address a;
    memset(&a, 0, sizeof a);
    if (is_ipv6) {
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
        a.in6.sin6_addr = is_loopback ? in6addr_loopback : in6addr_any;
    } else {
        a.in4.sin_family = AF_INET;
        a.in4.sin_port = htons(port);
        a.in4.sin_addr.s_addr = htonl(is_loopback ? INADDR_LOOPBACK : INADDR_ANY);
    }
    return a;
}

static int open_socket(bool is_ipv6, bool is_loopback, uint16_t port)
{
    address a = make_address(is_ipv6, is_loopback, port);
    int fd = socket(a.any.sa_family, SOCK_DGRAM, 0);
    if (fd >= 0 && bind(fd, &a.any, is_ipv6 ? sizeof a.in6 : sizeof a.in4) == 0)
        return fd;
    perror("socket");
    exit(EXIT_USAGE);
}

/* "hello 0", nothing, "hello 2" and a good many dots, "hello 3", "hello 4" and a great many of them, "hello 5", ... */
static size_t write_hello(unsigned number, char *out)
{
    static const size_t padded_sizes[] = {0, 0, 1200, 0, 60000};
    size_t padded = padded_sizes[number % 5];
    size_t size = number % 5 == 1 ? 0 : (size_t)snprintf(out, 32, "hello %u", number);
    if (padded <= size)
        return size;
    memset(out + size, '.', padded - size);
    return padded;
}

static void say_hello(peer *p)
{
    static char text[UINT16_MAX];
    size_t size = write_hello(p->sent, text);
    if (p->sent == HELLOS_MAX)
        return;
    if (sendto(p->peer_fd, text, size, 0, &p->own.any, p->name_size) == (ssize_t)size)
        p->sent++;
}

static bool is_from(const peer *p, const address *from)
{
    if (p->name.any.sa_family != from->any.sa_family)
        return false;
    if (from->any.sa_family == AF_INET)
        return p->name.in4.sin_port == from->in4.sin_port && p->name.in4.sin_addr.s_addr == from->in4.sin_addr.s_addr;
    return p->name.in6.sin6_port == from->in6.sin6_port &&
           memcmp(&p->name.in6.sin6_addr, &from->in6.sin6_addr, sizeof from->in6.sin6_addr) == 0;
}

/* A late answer of a STUN server may be among what comes, and nothing else. */
static void take_datagram(const void *data, size_t size, const struct sockaddr *from, size_t from_size, void *user)
{
    static char expected[UINT16_MAX];
    peer *p = user;
    address source;
    memset(&source, 0, sizeof source);
    memcpy(&source, from, from_size < sizeof source ? from_size : sizeof source);
    size_t expected_size = write_hello(p->arrived, expected);
    if (is_from(p, &source) && from_size == p->name_size) {
        p->is_broken = p->is_broken || size != expected_size || memcmp(data, expected, size) != 0;
        p->arrived++;
    } else if (size < 20 || *(const unsigned char *)data > 3) {
        p->is_broken = true;
    }
}

static void say_hello_at_tick(void *user, int64_t since_start_ms)
{
    (void)since_start_ms;
    say_hello(user);
}

/* What the library has left in the socket, which is the program's own again. */
static void read_the_rest(peer *p)
{
    static char data[UINT16_MAX];
    address from;
    struct pollfd waiting = {.fd = p->own_fd, .events = POLLIN};
    while (poll(&waiting, 1, p->arrived < p->sent ? 1000 : 0) > 0) {
        socklen_t size = sizeof from;
        ssize_t got = recvfrom(p->own_fd, data, sizeof data, MSG_DONTWAIT, &from.any, &size);
        if (got >= 0)
            take_datagram(data, (size_t)got, &from.any, size, p);
    }
}

static void open_peer(peer *p, const options *o)
{
    memset(p, 0, sizeof *p);
    p->own_fd = open_socket(o->is_ipv6, false, o->port);
    p->peer_fd = open_socket(o->is_ipv6, true, 0);
    p->own = make_address(o->is_ipv6, true, o->port);
    p->name_size = sizeof p->name;
    getsockname(p->peer_fd, &p->name.any, &p->name_size);
}

static int check_from(peer *p, const options *o, np_result *result)
{
    np_probe *probe = make_probe(o);
    if (probe == NULL)
        return EXIT_USAGE;
    int error = np_probe_set_socket(probe, p->own_fd, take_datagram, p);
    for (int i = 0; i < HELLOS_BEFORE; i++)
        say_hello(p);
    int judgement = error == NP_OK ? loop(probe, say_hello_at_tick, p, result)
                                   : broken_promise("the socket was refused: %s", np_strerror(error));
    np_probe_free(probe);
    return judgement;
}

static int run_socket(const options *o)
{
    peer p;
    np_result result;
    open_peer(&p, o);
    int judgement = check_from(&p, o, &result);
    if (judgement != EXIT_VERDICT)
        return judgement;
    say_hello(&p);
    read_the_rest(&p);
    close(p.own_fd);
    close(p.peer_fd);
    if (p.is_broken || p.arrived != p.sent || p.sent <= HELLOS_BEFORE)
        return broken_promise("%u datagrams sent, %u handed over, %s", p.sent, p.arrived,
                              p.is_broken ? "changed" : "intact");
    return print_result(&result);
}

/* ---- Cancelling -------------------------------------------------------------------------------------------------- */

static void *cancel_later(void *probe)
{
    struct timespec delay = {.tv_nsec = CANCEL_AFTER_MS * 1000000L};
    nanosleep(&delay, NULL);
    np_probe_cancel(probe);
    return NULL;
}

static void cancel_at_tick(void *user, int64_t since_start_ms)
{
    if (since_start_ms >= CANCEL_AFTER_MS)
        np_probe_cancel(user);
}

static int judge_cancelled(const np_result *result, int64_t took_ms)
{
    if (result->error == NP_ERR_CANCELLED && took_ms <= CANCEL_AFTER_MS + CANCEL_MS_MAX)
        return EXIT_VERDICT;
    return broken_promise("%s after %" PRId64 " ms", np_error_name(result->error), took_ms);
}

/* From another thread, while this one is in np_probe_run(). */
static int cancel_blocking(np_probe *probe)
{
    pthread_t thread;
    np_result result;
    int64_t started = now_ms();
    if (pthread_create(&thread, NULL, cancel_later, probe) != 0)
        return EXIT_USAGE;
    np_probe_run(probe, &result);
    pthread_join(thread, NULL);
    return judge_cancelled(&result, now_ms() - started);
}

static int cancel_in_loop(np_probe *probe, np_result *result)
{
    int64_t started = now_ms();
    int judgement = loop(probe, cancel_at_tick, probe, result);
    return judgement == EXIT_VERDICT ? judge_cancelled(result, now_ms() - started) : judgement;
}

static int run_cancel(const options *o)
{
    np_result result;
    np_probe *probe = make_probe(o);
    if (probe == NULL)
        return EXIT_USAGE;
    int judgement = cancel_blocking(probe);
    if (judgement == EXIT_VERDICT)
        judgement = cancel_in_loop(probe, &result);
    np_probe_free(probe);
    return judgement == EXIT_VERDICT ? print_result(&result) : judgement;
}

/* ---- In one call ------------------------------------------------------------------------------------------------- */

static int run_default(const options *o)
{
    tally t = {.lines = 0};
    np_result result;
    int error = np_check_nat_and_log(o->is_ipv6 ? "::" : NULL, o->port, &result, count_line, &t);
    int status = print_result(&result);
    if (t.lines == 0)
        return broken_promise("the outcome was not logged");
    return error == result.error ? status : broken_promise("returned %d", error);
}

/* ---- The command line -------------------------------------------------------------------------------------------- */

enum { OPTION_JSON = 256, OPTION_MAPPING_ONLY };

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"mapping-only", no_argument, NULL, OPTION_MAPPING_ONLY},
    {NULL, 0, NULL, 0},
};

static bool take_option(options *o, int letter)
{
    switch (letter) {
    case OPTION_JSON:
        return true;
    case OPTION_MAPPING_ONLY:
        o->tests = NP_TESTS_MAPPING;
        return true;
    case '6':
        o->is_ipv6 = true;
        return true;
    case 'p':
        o->port = (uint16_t)strtoul(optarg, NULL, 10);
        return true;
    case 's':
        if (o->server_count < NP_MAX_SERVERS)
            o->servers[o->server_count++] = optarg;
        return true;
    default:
        return false; /* getopt_long has said what is wrong */
    }
}

static bool parse_options(int argc, char **argv, options *o)
{
    int letter;
    *o = (options){.tests = NP_TESTS_DEFAULT};
    while ((letter = getopt_long(argc, argv, "6p:s:", long_options, NULL)) != -1) {
        if (!take_option(o, letter))
            return false;
    }
    o->mode = argv[optind];
    return optind + 1 == argc;
}

static int run_mode(const options *o)
{
    static const struct mode {
        const char *name;
        int (*run)(const options *o);
    } modes[] = {
        {"blocking", run_blocking}, {"async", run_async},     {"socket", run_socket},
        {"cancel", run_cancel},     {"default", run_default},
    };
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(o->mode, modes[i].name) == 0)
            return modes[i].run(o);
    }
    if (strcmp(o->mode, "bad-input") == 0)
        return check_bad_input();
    if (strcmp(o->mode, "layout") == 0)
        return print_layout();
    fprintf(stderr, "no mode '%s'\n", o->mode);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    options o;
    if (parse_options(argc, argv, &o))
        return run_mode(&o);
    fputs("usage: driver MODE [--json] -p PORT [-s SERVER]... [-6] [--mapping-only]\n", stderr);
    return EXIT_USAGE;
}
