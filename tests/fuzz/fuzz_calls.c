/* SPDX-License-Identifier: MIT */
/*
 * The input is a program: calls of the public functions in any order and with any arguments, on two handles and from
 * within callbacks, while the system below (fake_system.c) fails where the input wants it. What every call returns is
 * compared with what natprobe.h says. No check outlives its time, none waits for what will never come, nobody is
 * called back who should not be, no foreign datagram is lost, and nothing is left behind.
 */
#include "fuzz.h"

#include <errno.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "check.h"
#include "fake_system.h"
#include "servers.h"
#include "world_input.h"

enum { HANDLES = 2, SOCKETS = 8, TEXT_ROOM = 300, LOOPS = 3000, CHECK_USER = HANDLES, MARK = 0xF5, FOREIGN_LEAST = 12 };

#define SLACK_NS SECOND

/* What is known of a handle from its calls alone. */
typedef struct handle {
    np_probe *probe;
    unsigned index;
    bool in_call;
    bool freed; /* from within a callback */
    bool running;
    bool cancelled;
    bool observed; /* every event since the beginning was told */
    bool silent;   /* a log that is off */
    unsigned servers;
    uint32_t timeout_ms;
    int fd;
    int socket_fd; /* as set; -1: none */
    int socket;    /* of those below, that the check uses; -1: none */
    uint64_t begun_ns;
    uint64_t event_us;
    unsigned events_sent;
    uint8_t action, countdown; /* what a callback does, and how many calls later */
} handle;

/* A socket of the caller's, and what has been put into it. */
typedef struct socket_state {
    int fd;            /* -1: closed */
    uint32_t put, got; /* the numbers of the last datagrams */
    bool loose;        /* a handle was freed while it read: the rest of what it had taken is lost */
} socket_state;

static struct {
    input in;
    world world;
    handle handles[HANDLES];
    socket_state sockets[SOCKETS];
    int socket_count;
} s;

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static void forget(handle *h)
{
    const unsigned index = h->index;
    memset(h, 0, sizeof *h);
    *h = (handle){.index = index, .fd = -1, .socket_fd = -1, .socket = -1, .timeout_ms = NP_DEFAULT_TIMEOUT_MS};
}

static void enter(handle *h)
{
    fake_set_user(h->index);
    h->in_call = true;
}

static void leave(handle *h)
{
    h->in_call = false;
    if (h->freed)
        forget(h);
}

/* What a setter returns: NP_ERR_BUSY goes before NP_ERR_ARGUMENT. */
static int expected(const handle *h, bool valid)
{
    if (h->probe == NULL)
        return NP_ERR_ARGUMENT;
    if (h->running || h->in_call)
        return NP_ERR_BUSY;
    return valid ? NP_OK : NP_ERR_ARGUMENT;
}

static void check_pending(const np_result *r)
{
    np_result zeros;
    memset(&zeros, 0, sizeof zeros);
    zeros.error = NP_PENDING;
    FUZZ_CHECK(memcmp(r, &zeros, sizeof zeros) == 0);
}

static uint64_t deadline_of(const handle *h)
{
    return h->begun_ns + h->timeout_ms * MS;
}

/* While a check goes on the descriptor will be readable in time, without anybody's help. */
static void check_alive(const handle *h)
{
    FUZZ_CHECK(h->fd == np_probe_fd(h->probe) && h->fd >= 0);
    const uint64_t next_ns = fake_next_readable(h->fd);
    FUZZ_CHECK(next_ns <= deadline_of(h) + SLACK_NS || next_ns <= fake_now());
}

/* What left over both families, and nothing else. */
static bool is_count_right(const handle *h, uint32_t count)
{
    return count == fake_sent(h->index, 4) + fake_sent(h->index, 6);
}

static void check_final(const handle *h, const np_result *r)
{
    check_result(r);
    FUZZ_CHECK(is_count_right(h, r->packets_sent));
    FUZZ_CHECK(r->elapsed_us <= (fake_now() - h->begun_ns) / 1000);
    FUZZ_CHECK(r->error != NP_ERR_CANCELLED || h->cancelled || h->freed);
    if (h->observed && !h->freed)
        FUZZ_CHECK(h->events_sent == fake_sent(h->index, 4) + fake_sent(h->index, 6));
}

static void note_begin(handle *h)
{
    h->begun_ns = fake_now();
    h->event_us = 0;
    h->events_sent = 0;
    h->socket = -1;
    fake_begin_check(h->index);
    for (int i = 0; i < s.socket_count; i++) {
        if (s.sockets[i].fd >= 0 && s.sockets[i].fd == h->socket_fd)
            h->socket = i;
    }
}

static void note_fd(handle *h)
{
    FUZZ_CHECK(h->fd < 0 || h->fd == np_probe_fd(h->probe));
    h->fd = np_probe_fd(h->probe);
}

static void process(handle *h)
{
    np_result r;
    const bool was_cancelled = h->cancelled;
    const bool was_in_call = h->in_call;
    memset(&r, 0xA5, sizeof r);
    if (!was_in_call)
        enter(h);
    const int error = np_probe_process(h->probe, &r);
    FUZZ_CHECK(error == r.error);
    if (was_in_call || h->probe == NULL || !h->running) {
        FUZZ_CHECK(error == (was_in_call && h->probe != NULL ? NP_ERR_BUSY : NP_ERR_ARGUMENT));
        check_result(&r);
    } else if (h->freed && error == NP_ERR_CANCELLED) {
        check_result(&r);
    } else if (error == NP_PENDING) {
        FUZZ_CHECK(!was_cancelled && !h->freed);
        check_pending(&r);
        check_alive(h);
    } else {
        check_final(h, &r);
        h->running = h->cancelled = false;
    }
    if (!was_in_call)
        leave(h);
}

static void start(handle *h)
{
    const unsigned refusals = fake_refusals();
    const bool was_in_call = h->in_call;
    const bool was_running = h->running;
    if (!was_in_call && !was_running && h->probe != NULL) {
        note_begin(h);
        h->running = true; /* callbacks may come */
    }
    if (!was_in_call)
        enter(h);
    const int error = np_probe_start(h->probe);
    if (h->probe == NULL) {
        FUZZ_CHECK(error == NP_ERR_ARGUMENT);
    } else if (was_in_call || was_running) {
        FUZZ_CHECK(error == NP_ERR_BUSY);
    } else {
        const bool may_fail = fake_refusals() > refusals;
        FUZZ_CHECK(h->freed ? error == NP_ERR_CANCELLED
                            : error == NP_OK || (may_fail && (error == NP_ERR_NO_MEMORY || error == NP_ERR_SYSTEM)));
        h->running = error == NP_OK;
        h->cancelled &= h->running;
        if (error == NP_OK) {
            note_fd(h);
            check_alive(h);
        }
    }
    if (!was_in_call)
        leave(h);
}

static void run(handle *h)
{
    np_result r;
    const bool is_busy = h->in_call || h->running;
    const bool was_in_call = h->in_call;
    memset(&r, 0xA5, sizeof r);
    if (!is_busy && h->probe != NULL) {
        note_begin(h);
        h->running = true;
    }
    if (!was_in_call)
        enter(h);
    const int error = np_probe_run(h->probe, &r);
    FUZZ_CHECK(error == r.error && error != NP_PENDING);
    if (h->probe == NULL || is_busy) {
        check_result(&r);
        FUZZ_CHECK(error == (h->probe == NULL ? NP_ERR_ARGUMENT : NP_ERR_BUSY));
    } else {
        check_final(h, &r);
        FUZZ_CHECK(fake_now() <= deadline_of(h) + SLACK_NS);
        h->running = h->cancelled = false;
        if (!h->freed)
            note_fd(h);
    }
    if (!was_in_call)
        leave(h);
}

static void cancel(handle *h)
{
    np_probe_cancel(h->probe);
    h->cancelled |= h->running; /* else it means no run */
}

static void free_handle(handle *h)
{
    if (h->probe != NULL && h->in_call) {
        np_probe_free(h->probe);
        h->freed = true;
        if (h->socket >= 0)
            s.sockets[h->socket].loose = true;
    } else {
        fake_set_user(h->index);
        np_probe_free(h->probe);
        forget(h);
    }
}

/* By a signal or another thread, in the middle of whatever goes on. */
static void interrupt(void)
{
    for (unsigned i = 0; i < HANDLES; i++) {
        if (s.handles[i].probe != NULL && !s.handles[i].freed)
            cancel(&s.handles[i]);
    }
}

/* ---- Callbacks -------------------------------------------------------------------------------------------------- */

static void set_anything(handle *h);

/* From within a callback. */
static void act(handle *h)
{
    handle *other = &s.handles[1 - h->index];
    if (h->action == 0 || h->countdown-- > 0)
        return;
    const uint8_t action = h->action;
    h->action = 0;
    switch (action % 8) {
    case 1:
        cancel(h);
        break;
    case 2:
    case 3:
        free_handle(h);
        break;
    case 4:
        process(h);
        start(h);
        run(h);
        break;
    case 5:
        if (!other->in_call) {
            process(other);
            fake_set_user(h->index);
        }
        break;
    case 6:
        fake_pass((uint64_t)(action / 8) * 100 * MS);
        break;
    default:
        set_anything(h);
        break;
    }
}

static handle *called_back(void *user)
{
    handle *h = user;
    FUZZ_CHECK(h->in_call && h->probe != NULL && !h->freed);
    return h;
}

static void take_line(int32_t level, const char *line, void *user)
{
    handle *h = called_back(user);
    FUZZ_CHECK(!h->silent);
    check_line(level, line);
    act(h);
}

static void take_event(const np_event *event, void *user)
{
    handle *h = called_back(user);
    check_event(event);
    FUZZ_CHECK(event->time_us >= h->event_us);
    h->event_us = event->time_us;
    h->events_sent += event->kind == NP_EVENT_SENT;
    act(h);
}

/* Foreign datagrams are numbered, and every byte follows from the number. */
static uint8_t foreign_byte(uint32_t number, size_t i)
{
    return (uint8_t)(0x80 | (number * 31 + i * 7));
}

static void check_foreign(socket_state *k, const uint8_t *data, size_t size)
{
    uint32_t number;
    if (size < FOREIGN_LEAST || data[0] != MARK || memcmp(data + 1, "foreign", 7) != 0)
        return; /* late answers of the simulation, and what servers flood with */
    memcpy(&number, data + 8, sizeof number);
    FUZZ_CHECK(number == k->got + 1 || (k->loose && number > k->got));
    k->got = number;
    for (size_t i = FOREIGN_LEAST; i < size; i++)
        FUZZ_CHECK(data[i] == foreign_byte(number, i));
}

static void take_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size,
                          void *user)
{
    handle *h = called_back(user);
    FUZZ_CHECK(address != NULL && address_size >= 16 && h->socket >= 0 && (data != NULL || size == 0));
    if (h->socket >= 0)
        check_foreign(&s.sockets[h->socket], data, size);
    act(h);
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

static const char *take_text(char room[TEXT_ROOM])
{
    const size_t size = take_bytes(&s.in, (uint8_t *)room, take(&s.in));
    room[size] = '\0';
    return room;
}

static void set_source(handle *h)
{
    static const char *const addresses[] = {
        "0.0.0.0",         "::",      "127.0.0.1", "::1",          "10.1.0.2",  "1.2.3",         "localhost",
        "255.255.255.255", "fe80::1", "",          "fe80::1%eth0", "fe80::1%2", "fe80::1%gone0", "::ffff:10.1.0.2"};
    static const uint16_t ports[] = {0, 54320, 40000, 80, 65535};
    char room[TEXT_ROOM];
    npi_addr parsed;
    const uint8_t choice = take(&s.in);
    const uint16_t port = ports[take(&s.in) % 5];
    const char *ip = choice < sizeof addresses / sizeof addresses[0] ? addresses[choice] : NULL;
    if (choice > 250)
        ip = take_text(room);
    const bool valid = ip == NULL || npi_addr_parse_ip(ip, &parsed);
    const int error = np_probe_set_source(h->probe, ip, port);
    FUZZ_CHECK(error == expected(h, valid));
    if (error == NP_OK)
        h->socket_fd = -1;
}

static void set_socket(handle *h)
{
    const uint8_t choice = take(&s.in);
    const np_datagram_fn receiver = (choice & 128) != 0 ? NULL : take_datagram;
    const unsigned refusals = fake_refusals();
    int fd = choice % 16 - SOCKETS;
    if (choice % 16 < SOCKETS)
        fd = choice % 16 < s.socket_count ? s.sockets[choice % 16].fd : -1;
    const bool valid = fd == NP_INVALID_SOCKET || (fd >= 0 && receiver != NULL && fake_is_usable(fd));
    const int error = np_probe_set_socket(h->probe, fd, receiver, h);
    FUZZ_CHECK(error == expected(h, valid) || fake_refusals() > refusals);
    if (error == NP_OK)
        h->socket_fd = fd;
}

/* A literal of the world's, a name of fake_threads.c, or whatever the input says. */
static const char *take_server(char room[TEXT_ROOM])
{
    static const char *const texts[] = {
        "s0.test",
        "s1.test:3478",
        "s2.test",
        "s3.test",
        "slow.test",
        "never.test",
        "none.test",
        "many.test",
        "odd.test",
        "system.test",
        "127.0.0.1",
        "192.0.2.1:3478",
        "0.0.0.0",
        "224.0.0.1:3478",
        "[2001:db8::1]:3478",
        "stun:s0.test",
        "",
        "1.2.3",
        "turn:a.test",
        "::ffff:192.0.2.10",
        "[::1]",
        "other.test:9",
        "[::",
        "10.64.0.1",
    };
    const uint8_t choice = take(&s.in);
    if (choice >= 128 && choice < 132) {
        const unsigned which = choice % s.world.listed_count;
        endpoint_text(&s.world.listed[which].address, room);
        return room;
    }
    if (choice >= 132 && choice < 136) {
        endpoint_text(&s.world.server[choice % s.world.servers].b, room);
        return room;
    }
    return choice >= 250 ? take_text(room) : texts[choice % (sizeof texts / sizeof texts[0])];
}

static void add_server(handle *h)
{
    char room[TEXT_ROOM];
    npi_server_name name;
    npi_addr literal;
    const char *text = take_server(room);
    bool valid = npi_server_parse(text, &name);
    if (valid && npi_addr_parse_ip(name.host, &literal)) {
        literal.port = name.port;
        valid = npi_addr_is_destination(&literal);
    }
    const int error = np_probe_add_server(h->probe, text);
    const int wanted = expected(h, valid);
    FUZZ_CHECK(error == (wanted == NP_OK && h->servers == NP_MAX_SERVERS ? NP_ERR_LIMIT : wanted));
    h->servers += error == NP_OK;
}

static void clear_servers(handle *h)
{
    const int error = np_probe_clear_servers(h->probe);
    FUZZ_CHECK(error == expected(h, true));
    if (error == NP_OK)
        h->servers = 0;
}

static void set_family(handle *h)
{
    const int32_t family = (int8_t)take(&s.in) % 8;
    FUZZ_CHECK(np_probe_set_family(h->probe, family) == expected(h, family == 0 || family == 4 || family == 6));
}

static void set_tests(handle *h)
{
    const int32_t choice = (int8_t)take(&s.in) % 6;
    const int32_t tests = choice == 5 ? NP_TESTS_LIFETIME * 2 : choice;
    FUZZ_CHECK(np_probe_set_tests(h->probe, tests) == expected(h, tests > 0 && tests <= NP_TESTS_PORT));
}

static void set_timeouts(handle *h)
{
    static const uint32_t times[] = {10000, 0, 1, 20, 300, 1500, 5000, 60000, 3600000, 3600001, UINT32_MAX};
    const uint8_t choice = take(&s.in);
    const uint32_t time = times[choice % 11];
    const int wanted = expected(h, time > 0 && time <= 3600000);
    if (choice >= 128) {
        FUZZ_CHECK(np_probe_set_response_timeout(h->probe, time) == wanted);
        return;
    }
    FUZZ_CHECK(np_probe_set_timeout(h->probe, time) == wanted);
    if (wanted == NP_OK)
        h->timeout_ms = time;
}

static void set_log(handle *h)
{
    const uint8_t choice = take(&s.in);
    const int32_t level = choice % 8 - 1;
    const bool off = choice >= 128;
    const int error = np_probe_set_log(h->probe, level, off ? NULL : take_line, h);
    FUZZ_CHECK(error == expected(h, off || (level >= NP_LOG_ERROR && level <= NP_LOG_DEBUG)));
    if (error == NP_OK)
        h->silent = off;
}

static void set_events(handle *h)
{
    const bool on = take(&s.in) < 128;
    const int error = np_probe_set_events(h->probe, on ? take_event : NULL, h);
    FUZZ_CHECK(error == expected(h, true));
    if (error == NP_OK)
        h->observed = on;
}

static void set_anything(handle *h)
{
    static void (*const setters[])(handle *) = {set_source, set_socket,   add_server, clear_servers, set_family,
                                                set_tests,  set_timeouts, set_log,    set_events};
    setters[take(&s.in) % (sizeof setters / sizeof setters[0])](h);
}

/* ---- Everything else that a program may do ---------------------------------------------------------------------- */

static void make(handle *h)
{
    const unsigned refusals = fake_refusals();
    if (h->probe != NULL)
        return;
    fake_set_user(h->index);
    h->probe = np_probe_new();
    FUZZ_CHECK(h->probe != NULL || fake_refusals() > refusals);
    FUZZ_CHECK(np_probe_fd(h->probe) == -1);
}

/* An event loop until the check is over, or for so many rounds. */
static void loop(handle *h)
{
    const uint8_t rounds = take(&s.in);
    for (int i = 0; i < (rounds < 128 ? LOOPS : rounds - 127) && h->probe != NULL && h->running; i++) {
        FUZZ_CHECK(i < LOOPS - 1 || fake_is_tired() || deadline_of(h) > fake_now());
        FUZZ_CHECK(fake_wait(h->fd, deadline_of(h) + SLACK_NS));
        process(h);
    }
}

static void act_in_callback(handle *h)
{
    h->action = take(&s.in);
    h->countdown = take(&s.in) % 64;
}

static void plan(handle *h)
{
    const uint8_t which = take(&s.in);
    const uint8_t after = take(&s.in);
    (void)h;
    if (which >= 192)
        fake_plan_interrupt((fake_call)(which % FAKE_CALLS), after);
    else
        fake_plan((fake_call)(which % FAKE_CALLS), after % 64, take(&s.in), after >= 192);
}

static void pass_time(handle *h)
{
    static const uint16_t times_ms[] = {1, 10, 100, 1000, 5000, 60000};
    (void)h;
    fake_pass(times_ms[take(&s.in) % 6] * MS);
}

static void open_socket(handle *h)
{
    (void)h;
    const fake_socket_kind kind = (fake_socket_kind)(take(&s.in) % FAKE_SOCKET_KINDS);
    if (s.socket_count == SOCKETS)
        return;
    const int fd = fake_open_callers(kind);
    if (fd >= 0)
        s.sockets[s.socket_count++] = (socket_state){.fd = fd};
}

static socket_state *take_socket(void)
{
    const uint8_t choice = take(&s.in);
    if (s.socket_count == 0)
        return NULL;
    socket_state *k = &s.sockets[choice % s.socket_count];
    return k->fd >= 0 ? k : NULL;
}

/* What is left in a socket is all that came and was not handed on. */
static void close_socket(socket_state *k)
{
    uint8_t data[4096];
    size_t size = 0;
    size_t segment = 0;
    while (fake_get(k->fd, data, sizeof data, &size, &segment)) {
        for (size_t done = 0; done < size; done += segment)
            check_foreign(k, data + done, size - done < segment ? size - done : segment);
    }
    FUZZ_CHECK(k->got == k->put || k->loose);
    fake_close_callers(k->fd);
    k->fd = -1;
}

static void close_some(handle *h)
{
    (void)h;
    socket_state *k = take_socket();
    if (k != NULL)
        close_socket(k);
}

static void write_foreign(uint8_t *out, uint32_t number, size_t size)
{
    out[0] = MARK;
    memcpy(out + 1, "foreign", 7);
    memcpy(out + 8, &number, sizeof number);
    for (size_t i = FOREIGN_LEAST; i < size; i++)
        out[i] = foreign_byte(number, i);
}

/* One datagram, or several in a row that the system hands over as one. */
static void put_foreign(handle *h)
{
    (void)h;
    uint8_t data[2048];
    socket_state *k = take_socket();
    const unsigned shape = take(&s.in);
    const size_t segment = FOREIGN_LEAST + shape % 32 * 4;
    const unsigned count = shape < 128 ? 1 : 2 + shape % 5;
    const size_t last = shape % 2 == 0 ? segment : (size_t)FOREIGN_LEAST;
    const size_t size = (count - 1) * segment + last;
    if (k == NULL)
        return;
    for (unsigned i = 0; i < count; i++)
        write_foreign(data + i * segment, k->put + 1 + i, i + 1 < count ? segment : last);
    if (fake_put(k->fd, data, size, count == 1 ? size : segment))
        k->put += count;
}

/* Whatever it is, up to nothing at all. */
static void put_anything(handle *h)
{
    (void)h;
    uint8_t data[256];
    socket_state *k = take_socket();
    const uint8_t wanted = take(&s.in);
    const size_t size = take_bytes(&s.in, data, wanted % 64);
    if (k == NULL)
        return;
    if (wanted == 255)
        fake_put_error(k->fd, ECONNREFUSED);
    else
        fake_put(k->fd, data, size, size);
}

static void write_line(int32_t level, const char *line, void *user)
{
    (void)user;
    check_line(level, line);
}

static void check_both_at_once(void)
{
    np_result ipv4, ipv6;
    memset(&ipv4, 0xA5, sizeof ipv4);
    memset(&ipv6, 0xA5, sizeof ipv6);
    const int error = np_check_nat_dual(&ipv4, &ipv6);
    FUZZ_CHECK(error == ipv4.error || error == ipv6.error);
    FUZZ_CHECK((error == NP_OK) == (ipv4.error == NP_OK || ipv6.error == NP_OK));
    FUZZ_CHECK(error != NP_PENDING && np_check_nat_dual(&ipv4, NULL) == NP_ERR_ARGUMENT);
    check_result(&ipv6);
}

static void check_at_once(handle *h)
{
    static const char *const addresses[] = {NULL, "0.0.0.0", "::", "127.0.0.1", "nowhere", ""};
    np_result r;
    const uint8_t choice = take(&s.in);
    const char *ip = addresses[choice % 6];
    const uint16_t port = choice % 5 == 0 ? NP_DEFAULT_SOURCE_PORT : 0;
    const uint64_t begun_ns = fake_now();
    (void)h;
    fake_set_user(CHECK_USER);
    fake_begin_check(CHECK_USER);
    memset(&r, 0xA5, sizeof r);
    if (choice >= 224) {
        check_both_at_once();
    } else if (choice >= 192) {
        const int error = np_check_nat_and_log(ip, port, choice % 4 < 2 ? &r : NULL,
                                               choice % 2 == 0 ? write_line : NULL, NULL);
        FUZZ_CHECK(choice % 4 >= 2 || error == r.error);
    } else if (choice >= 184)
        FUZZ_CHECK(np_check_nat(ip, port, NULL) == NP_ERR_ARGUMENT);
    else {
        FUZZ_CHECK(np_check_nat(ip, port, &r) == r.error && r.error != NP_PENDING);
        check_result(&r);
    }
    FUZZ_CHECK(fake_now() - begun_ns <= NP_DEFAULT_TIMEOUT_MS * MS + SLACK_NS);
}

static void pass_null(handle *h)
{
    FUZZ_CHECK(np_probe_process(h->probe, NULL) == NP_ERR_ARGUMENT && np_probe_run(h->probe, NULL) == NP_ERR_ARGUMENT);
    FUZZ_CHECK(np_probe_add_server(h->probe, NULL) == expected(h, false));
    FUZZ_CHECK(np_probe_start(NULL) == NP_ERR_ARGUMENT && np_probe_fd(NULL) == -1);
    np_probe_free(NULL);
    np_probe_cancel(NULL);
}

static void check_name(const char *text)
{
    FUZZ_CHECK(text != NULL && strlen(text) < 200);
}

static void name_anything(handle *h)
{
    const uint8_t choice = take(&s.in);
    const int32_t value = choice < 128 ? choice - 64 : (int32_t)((unsigned)choice << 24);
    (void)h;
    check_name(np_strerror(value));
    check_name(np_error_name(value));
    check_name(np_nat_type_name(value));
    check_name(np_nat_type_description(value));
    check_name(np_nat_type_advice(value));
    check_name(np_behaviour_name(value));
    check_name(np_behaviour_description(value));
    check_name(np_evidence_name((uint32_t)1 << (choice % 32)));
    check_name(np_evidence_name((uint32_t)value));
    check_name(np_evidence_description((uint32_t)1 << (choice % 32)));
    check_name(np_family_name(value));
    check_name(np_address_class_name(value));
    check_name(np_log_level_name(value));
    check_name(np_event_kind_name(value));
    check_name(np_request_name(value));
    check_name(np_purpose_name(value));
    FUZZ_CHECK(strcmp(np_version(), NP_VERSION) == 0 && np_version_number() == NP_VERSION_NUMBER);
    FUZZ_CHECK(np_result_size() == sizeof(np_result) && np_event_size() == sizeof(np_event));
}

static void step(void)
{
    static void (*const acts[])(handle *) = {
        make,       free_handle,   set_anything, set_anything, set_source,    set_socket,
        add_server, add_server,    set_events,   set_log,      start,         process,
        run,        cancel,        loop,         loop,         plan,          act_in_callback,
        pass_time,  open_socket,   close_some,   put_foreign,  put_anything,  check_at_once,
        pass_null,  name_anything, set_timeouts, set_tests,    clear_servers,
    };
    const uint8_t choice = take(&s.in);
    acts[choice % 32 % (sizeof acts / sizeof acts[0])](&s.handles[choice >> 7]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&s, 0, sizeof s);
    s.in = (input){data, size};
    world_from(&s.in, &s.world);
    for (unsigned i = 0; i < HANDLES; i++) {
        s.handles[i].index = i;
        forget(&s.handles[i]);
    }
    fake_begin(&s.world, interrupt);
    while (s.in.size > 0 && !fake_is_tired())
        step();
    for (unsigned i = 0; i < HANDLES; i++)
        free_handle(&s.handles[i]);
    for (int i = 0; i < s.socket_count; i++) {
        if (s.sockets[i].fd >= 0)
            close_socket(&s.sockets[i]);
    }
    fake_end();
    return 0;
}
