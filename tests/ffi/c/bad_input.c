/* SPDX-License-Identifier: MIT */
/* Every kind of bad input gets the error that natprobe.h promises, and leaves the handle as it was. */
#define _POSIX_C_SOURCE 200809L

#include "driver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* An address on which nobody listens: the discard port of this host. */
#define NOBODY "127.0.0.1:9"

static unsigned passed;
static unsigned failed;

static void expect(const char *what, long long got, long long wanted)
{
    if (got == wanted) {
        passed++;
        return;
    }
    failed++;
    fprintf(stderr, "%s: %lld, not %lld\n", what, got, wanted);
}

static void expect_text(const char *what, const char *got, const char *wanted)
{
    expect(what, got != NULL && strcmp(got, wanted) == 0, 1);
}

/* Whatever a call returns for a result it must have written all of it. */
static void expect_result(const char *what, int got, const np_result *result, int wanted)
{
    static const uint8_t zeros[sizeof result->reserved];
    expect(what, got, wanted);
    expect(what, result->error, wanted);
    expect(what, memcmp(result->reserved, zeros, sizeof zeros), 0);
    expect(what, memchr(result->detail, '\0', sizeof result->detail) != NULL, 1);
}

/* ---- Texts and numbers ------------------------------------------------------------------------------------------- */

static const char *const bad_addresses[] = {
    "",         "nonsense",   "localhost", "300.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4",     "1.2.3.4 ",
    " 1.2.3.4", "1.2.3.4:80", "::g",       "[::1]",     ":::",   "1::2::3",   "192.0.2.1/24",
};

static const char *const bad_servers[] = {
    "",
    " ",
    ":3478",
    "host:",
    "host:0",
    "host:65536",
    "host:-1",
    "host:port",
    "host:3478x",
    "a host",
    "[::1",
    "[::1]x",
    "[]:3478",
    "[192.0.2.1]:3478",
    "stun:",
    "stun:host:0",
    "stuns:host",
    "turn:host",
    "http://host",
    "host/path",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "[::]:3478",
    "[ff02::1]:3478",
    "1.2.3.4:3478:1",
};

static void check_texts(np_probe *probe)
{
    for (size_t i = 0; i < COUNT(bad_addresses); i++)
        expect(bad_addresses[i], np_probe_set_source(probe, bad_addresses[i], 0), NP_ERR_ARGUMENT);
    for (size_t i = 0; i < COUNT(bad_servers); i++)
        expect(bad_servers[i], np_probe_add_server(probe, bad_servers[i]), NP_ERR_ARGUMENT);
    expect("a NULL server", np_probe_add_server(probe, NULL), NP_ERR_ARGUMENT);
    char long_name[600];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    expect("a long server", np_probe_add_server(probe, long_name), NP_ERR_ARGUMENT);
    expect("a long source", np_probe_set_source(probe, long_name, 0), NP_ERR_ARGUMENT);
    expect("an empty interface", np_probe_set_interface(probe, ""), NP_ERR_ARGUMENT);
    expect("a long interface", np_probe_set_interface(probe, long_name), NP_ERR_ARGUMENT);
    expect("no interface", np_probe_set_interface(probe, NULL), NP_OK);
}

static void check_too_many_servers(np_probe *probe)
{
    for (int i = 0; i < NP_MAX_SERVERS; i++)
        expect("a server that fits", np_probe_add_server(probe, NOBODY), NP_OK);
    expect("one server too many", np_probe_add_server(probe, NOBODY), NP_ERR_LIMIT);
    expect("too many, and bad", np_probe_add_server(probe, ""), NP_ERR_ARGUMENT);
    expect("clear", np_probe_clear_servers(probe), NP_OK);
    expect("a server after that", np_probe_add_server(probe, NOBODY), NP_OK);
    expect("clear", np_probe_clear_servers(probe), NP_OK);
}

static void ignore_line(int32_t level, const char *message, void *user)
{
    (void)user;
    (void)level;
    (void)message;
}

static void check_numbers(np_probe *probe)
{
    static const int32_t families[] = {-1, 1, 2, 3, 5, 7, 10, INT32_MAX, INT32_MIN};
    static const int32_t tests[] = {-1, 0, 128, 131, INT32_MAX, INT32_MIN};
    static const uint32_t times[] = {0, 3600001, UINT32_MAX};
    static const int32_t levels[] = {-1, 0, NP_LOG_DEBUG + 1};
    for (size_t i = 0; i < COUNT(families); i++)
        expect("family", np_probe_set_family(probe, families[i]), NP_ERR_ARGUMENT);
    expect("the filtering alone", np_probe_set_tests(probe, NP_TESTS_FILTERING), NP_OK);
    for (size_t i = 0; i < COUNT(tests); i++)
        expect("tests", np_probe_set_tests(probe, tests[i]), NP_ERR_ARGUMENT);
    for (size_t i = 0; i < COUNT(times); i++) {
        expect("timeout", np_probe_set_timeout(probe, times[i]), NP_ERR_ARGUMENT);
        expect("response timeout", np_probe_set_response_timeout(probe, times[i]), NP_ERR_ARGUMENT);
    }
    for (size_t i = 0; i < COUNT(levels); i++)
        expect("level", np_probe_set_log(probe, levels[i], ignore_line, NULL), NP_ERR_ARGUMENT);
}

static void check_names(void)
{
    expect_text("a code", np_error_name(-999), "unknown");
    expect_text("a type", np_nat_type_name(-1), "unknown");
    expect_text("a behaviour", np_behaviour_name(99), "unknown");
    expect_text("no evidence bit", np_evidence_name(0), "unknown");
    expect_text("two evidence bits", np_evidence_name(3), "unknown");
    expect_text("an unknown evidence bit", np_evidence_name(UINT32_C(1) << 31), "unknown");
    expect_text("an event", np_event_kind_name(0), "unknown");
    expect_text("a request", np_request_name(4), "unknown");
    expect_text("a family", np_family_name(5), "unknown");
    expect_text("a class of addresses", np_address_class_name(99), "unknown");
    expect_text("a log level", np_log_level_name(0), "unknown");
    expect_text("an answer", np_tristate_name(9), "unknown");
    expect_text("an outlook", np_outlook_class_name(99), "unknown");
    expect_text("a rule", np_outlook_rule_name(99), "unknown");
    expect_text("who sends first", np_first_name(4), "unknown");
    expect_text("two assumptions", np_assumption_name(3), "unknown");
    expect_text("the grade of a type", np_nat_type_grade(99), "Unknown");
    expect("the text of an evidence bit", np_evidence_description(0) != NULL, 1);
    expect_text("a purpose", np_purpose_name(-1), "unknown");
    expect("the text of a code", np_strerror(-999) != NULL, 1);
    expect("the text of a type", np_nat_type_description(99) != NULL, 1);
    expect("the advice for a type", np_nat_type_advice(99) != NULL, 1);
    expect("the text of a behaviour", np_behaviour_description(99) != NULL, 1);
}

static void check_profiles(void)
{
    static const char *const lines[] = {"", "np2", "np1 m=x", "np1 m=ei m=ei", "np1  m=ei", "np1 x=example.org"};
    char line[NP_PROFILE_TEXT_SIZE];
    np_profile profile;
    np_outlook_result outlook;
    for (size_t i = 0; i < COUNT(lines); i++)
        expect("a line", np_profile_parse(lines[i], &profile, NULL), NP_ERR_ARGUMENT);
    expect("no line", np_profile_parse(NULL, &profile, NULL), NP_ERR_ARGUMENT);
    expect("no profile", np_profile_parse("np1", NULL, NULL), NP_ERR_ARGUMENT);
    expect("a line that is one", np_profile_parse("np1 m=ei", &profile, NULL), NP_OK);
    expect("no room", np_profile_format(&profile, line, 3), NP_ERR_ARGUMENT);
    expect("no result", np_profile_from_result(NULL, 0, &profile), NP_ERR_ARGUMENT);
    expect("one side", np_outlook(&profile, NULL, 0, &outlook), NP_ERR_ARGUMENT);
    expect("no outlook", np_outlook(&profile, &profile, 0, NULL), NP_ERR_ARGUMENT);
}

/* ---- Sockets ----------------------------------------------------------------------------------------------------- */

static void ignore_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size,
                            void *user)
{
    (void)user;
    (void)data;
    (void)size;
    (void)address;
    (void)address_size;
}

static int open_loopback(int type)
{
    struct sockaddr_in loopback;
    memset(&loopback, 0, sizeof loopback);
    loopback.sin_family = AF_INET;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type, 0);
    expect("bind", bind(fd, (struct sockaddr *)&loopback, sizeof loopback), 0);
    return fd;
}

static void refuse_socket(np_probe *probe, const char *what, int fd)
{
    expect(what, np_probe_set_socket(probe, fd, ignore_datagram, NULL), NP_ERR_ARGUMENT);
    if (fd >= 0)
        close(fd);
}

static int connected_socket(void)
{
    struct sockaddr_in nobody;
    memset(&nobody, 0, sizeof nobody);
    nobody.sin_family = AF_INET;
    nobody.sin_port = htons(9);
    nobody.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = open_loopback(SOCK_DGRAM);
    expect("connect", connect(fd, (struct sockaddr *)&nobody, sizeof nobody), 0);
    return fd;
}

static void check_sockets(np_probe *probe)
{
    int ends[2];
    expect("pipe", pipe(ends), 0);
    refuse_socket(probe, "a pipe", ends[0]);
    refuse_socket(probe, "the descriptor just closed", ends[0]);
    close(ends[1]);
    refuse_socket(probe, "a negative descriptor", -2);
    refuse_socket(probe, "a TCP socket", open_loopback(SOCK_STREAM));
    refuse_socket(probe, "a socket without a port", socket(AF_INET, SOCK_DGRAM, 0));
    refuse_socket(probe, "a connected socket", connected_socket());
    refuse_socket(probe, "a local socket", socket(AF_UNIX, SOCK_DGRAM, 0));
    int fd = open_loopback(SOCK_DGRAM);
    expect("no callback", np_probe_set_socket(probe, fd, NULL, NULL), NP_ERR_ARGUMENT);
    expect("a good socket", np_probe_set_socket(probe, fd, ignore_datagram, NULL), NP_OK);
    expect("taken back", np_probe_set_socket(probe, -1, NULL, NULL), NP_OK);
    close(fd);
}

/* A socket that was good when it was given, and is closed when it is needed. */
static void check_socket_gone(np_probe *probe)
{
    np_result result;
    int fd = open_loopback(SOCK_DGRAM);
    expect("a socket", np_probe_set_socket(probe, fd, ignore_datagram, NULL), NP_OK);
    close(fd);
    memset(&result, 0xA5, sizeof result);
    expect_result("a closed socket", np_probe_run(probe, &result), &result, NP_ERR_ARGUMENT);
    expect("taken back", np_probe_set_socket(probe, -1, NULL, NULL), NP_OK);
}

/* ---- NULL -------------------------------------------------------------------------------------------------------- */

static void check_null_probe(void)
{
    np_result result;
    expect("set_source", np_probe_set_source(NULL, NULL, 0), NP_ERR_ARGUMENT);
    expect("set_interface", np_probe_set_interface(NULL, NULL), NP_ERR_ARGUMENT);
    expect("set_socket", np_probe_set_socket(NULL, NP_INVALID_SOCKET, NULL, NULL), NP_ERR_ARGUMENT);
    expect("add_server", np_probe_add_server(NULL, NOBODY), NP_ERR_ARGUMENT);
    expect("clear_servers", np_probe_clear_servers(NULL), NP_ERR_ARGUMENT);
    expect("set_family", np_probe_set_family(NULL, NP_FAMILY_IPV4), NP_ERR_ARGUMENT);
    expect("set_tests", np_probe_set_tests(NULL, NP_TESTS_DEFAULT), NP_ERR_ARGUMENT);
    expect("set_timeout", np_probe_set_timeout(NULL, 1000), NP_ERR_ARGUMENT);
    expect("set_response_timeout", np_probe_set_response_timeout(NULL, 1000), NP_ERR_ARGUMENT);
    expect("set_lifetime_limit", np_probe_set_lifetime_limit(NULL, 10), NP_ERR_ARGUMENT);
    expect("set_log", np_probe_set_log(NULL, NP_LOG_INFO, NULL, NULL), NP_ERR_ARGUMENT);
    expect("set_events", np_probe_set_events(NULL, NULL, NULL), NP_ERR_ARGUMENT);
    expect("start", np_probe_start(NULL), NP_ERR_ARGUMENT);
    expect("fd", np_probe_fd(NULL), NP_INVALID_SOCKET);
    memset(&result, 0xA5, sizeof result);
    expect_result("run", np_probe_run(NULL, &result), &result, NP_ERR_ARGUMENT);
    memset(&result, 0xA5, sizeof result);
    expect_result("process", np_probe_process(NULL, &result), &result, NP_ERR_ARGUMENT);
    np_probe_cancel(NULL);
    np_probe_free(NULL);
}

static void check_null_result(np_probe *probe)
{
    expect("run without a result", np_probe_run(probe, NULL), NP_ERR_ARGUMENT);
    expect("process without a result", np_probe_process(probe, NULL), NP_ERR_ARGUMENT);
    expect("check_nat without a result", np_check_nat("127.0.0.1", 0, NULL), NP_ERR_ARGUMENT);
    expect("check_nat_dual without results", np_check_nat_dual(NULL, NULL), NP_ERR_ARGUMENT);
}

static void count_line(int32_t level, const char *message, void *user)
{
    unsigned *lines = user;
    *lines += level == NP_LOG_ERROR && message[0] != '\0';
}

static void check_one_call(void)
{
    np_result result;
    unsigned lines = 0;
    memset(&result, 0xA5, sizeof result);
    expect_result("check_nat", np_check_nat("nonsense", 0, &result), &result, NP_ERR_ARGUMENT);
    expect_result("check_nat_dual", np_check_nat_dual(&result, &result), &result, NP_ERR_ARGUMENT);
    expect("check_nat_and_log", np_check_nat_and_log("nonsense", 0, NULL, count_line, &lines), NP_ERR_ARGUMENT);
    expect("the error's line", lines, 1);
}

/* ---- At the wrong time ------------------------------------------------------------------------------------------- */

static void expect_busy(np_probe *probe)
{
    np_result result;
    expect("set_source", np_probe_set_source(probe, NULL, 0), NP_ERR_BUSY);
    expect("set_interface", np_probe_set_interface(probe, NULL), NP_ERR_BUSY);
    expect("set_socket", np_probe_set_socket(probe, NP_INVALID_SOCKET, NULL, NULL), NP_ERR_BUSY);
    expect("add_server", np_probe_add_server(probe, NOBODY), NP_ERR_BUSY);
    expect("clear_servers", np_probe_clear_servers(probe), NP_ERR_BUSY);
    expect("set_family", np_probe_set_family(probe, NP_FAMILY_IPV4), NP_ERR_BUSY);
    expect("set_tests", np_probe_set_tests(probe, NP_TESTS_DEFAULT), NP_ERR_BUSY);
    expect("set_timeout", np_probe_set_timeout(probe, 1000), NP_ERR_BUSY);
    expect("set_response_timeout", np_probe_set_response_timeout(probe, 1000), NP_ERR_BUSY);
    expect("set_lifetime_limit", np_probe_set_lifetime_limit(probe, 10), NP_ERR_BUSY);
    expect("set_log", np_probe_set_log(probe, NP_LOG_INFO, NULL, NULL), NP_ERR_BUSY);
    expect("set_events", np_probe_set_events(probe, NULL, NULL), NP_ERR_BUSY);
    expect("start", np_probe_start(probe), NP_ERR_BUSY);
    memset(&result, 0xA5, sizeof result);
    expect_result("run", np_probe_run(probe, &result), &result, NP_ERR_BUSY);
}

/* To the end of a check that was started; every wait is short, since the check is. */
static int process_to_the_end(np_probe *probe, np_result *result)
{
    struct pollfd waiting = {.fd = np_probe_fd(probe), .events = POLLIN};
    int error;
    do {
        expect("something to do in good time", poll(&waiting, 1, 5000), 1);
        error = np_probe_process(probe, result);
    } while (error == NP_PENDING);
    return error;
}

static void check_order(np_probe *probe)
{
    np_result result;
    expect("fd before the first start", np_probe_fd(probe), -1);
    memset(&result, 0xA5, sizeof result);
    expect_result("process before start", np_probe_process(probe, &result), &result, NP_ERR_ARGUMENT);
    expect("a server", np_probe_add_server(probe, NOBODY), NP_OK);
    expect("start", np_probe_start(probe), NP_OK);
    expect_busy(probe);
    np_probe_cancel(probe);
    expect_result("the end", process_to_the_end(probe, &result), &result, NP_ERR_CANCELLED);
    memset(&result, 0xA5, sizeof result);
    expect_result("process after the end", np_probe_process(probe, &result), &result, NP_ERR_ARGUMENT);
    expect("clear", np_probe_clear_servers(probe), NP_OK);
}

typedef struct intruder {
    np_probe *probe;
    unsigned calls;
    bool frees;
} intruder;

/* Only the first call tries everything: what is refused once is refused every time. */
static void intrude(intruder *i)
{
    np_result result;
    if (i->calls++ > 0)
        return;
    expect_busy(i->probe);
    memset(&result, 0xA5, sizeof result);
    expect_result("process", np_probe_process(i->probe, &result), &result, NP_ERR_BUSY);
    if (i->frees)
        np_probe_free(i->probe);
    else
        np_probe_cancel(i->probe);
}

static void intrude_from_log(int32_t level, const char *message, void *user)
{
    (void)level;
    (void)message;
    intrude(user);
}

static void intrude_from_event(const np_event *event, void *user)
{
    (void)event;
    intrude(user);
}

static void intrude_from_datagram(const void *data, size_t size, const struct sockaddr *address, size_t address_size,
                                  void *user)
{
    ignore_datagram(data, size, address, address_size, NULL);
    intrude(user);
}

/* The callbacks get "busy" for everything, then cancel. */
static void check_callbacks(np_probe *probe)
{
    np_result result;
    intruder from_log = {.probe = probe};
    intruder from_event = {.probe = probe};
    expect("a server", np_probe_add_server(probe, NOBODY), NP_OK);
    expect("a log", np_probe_set_log(probe, NP_LOG_DEBUG, intrude_from_log, &from_log), NP_OK);
    expect_result("cancelled by the log", np_probe_run(probe, &result), &result, NP_ERR_CANCELLED);
    expect("no log", np_probe_set_log(probe, NP_LOG_DEBUG, NULL, NULL), NP_OK);
    expect("events", np_probe_set_events(probe, intrude_from_event, &from_event), NP_OK);
    expect_result("cancelled by an event", np_probe_run(probe, &result), &result, NP_ERR_CANCELLED);
    expect("no events", np_probe_set_events(probe, NULL, NULL), NP_OK);
    expect("lines", from_log.calls > 0, 1);
    expect("events", from_event.calls > 0, 1);
    expect("clear", np_probe_clear_servers(probe), NP_OK);
}

static void check_datagram_callback(np_probe *probe)
{
    np_result result;
    intruder i = {.probe = probe};
    int fd = open_loopback(SOCK_DGRAM);
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    expect("own address", getsockname(fd, (struct sockaddr *)&own, &size), 0);
    expect("a datagram to itself", sendto(fd, "hello", 5, 0, (struct sockaddr *)&own, size), 5);
    expect("a server", np_probe_add_server(probe, NOBODY), NP_OK);
    expect("a socket", np_probe_set_socket(probe, fd, intrude_from_datagram, &i), NP_OK);
    expect_result("cancelled by a datagram", np_probe_run(probe, &result), &result, NP_ERR_CANCELLED);
    expect("datagrams", i.calls, 1);
    expect("taken back", np_probe_set_socket(probe, -1, NULL, NULL), NP_OK);
    expect("clear", np_probe_clear_servers(probe), NP_OK);
    close(fd);
}

/* Freed at every moment at which that is allowed; valgrind and the sanitizers watch. */
static void check_freeing(void)
{
    np_result result;
    intruder i = {.probe = np_probe_new(), .frees = true};
    expect("a server", np_probe_add_server(i.probe, NOBODY), NP_OK);
    expect("events", np_probe_set_events(i.probe, intrude_from_event, &i), NP_OK);
    np_probe_run(i.probe, &result);
    expect("freed by its own callback", result.error, NP_ERR_CANCELLED);
    np_probe *started = np_probe_new();
    expect("a server", np_probe_add_server(started, NOBODY), NP_OK);
    expect("start", np_probe_start(started), NP_OK);
    np_probe_free(started);
    np_probe_free(np_probe_new());
}

/* ---- All --------------------------------------------------------------------------------------------------------- */

static void check_contradictions(np_probe *probe)
{
    np_result result;
    expect("a source", np_probe_set_source(probe, "::1", 0), NP_OK);
    expect("a family", np_probe_set_family(probe, NP_FAMILY_IPV4), NP_OK);
    memset(&result, 0xA5, sizeof result);
    expect_result("IPv4 from ::1", np_probe_run(probe, &result), &result, NP_ERR_ARGUMENT);
    expect("start", np_probe_start(probe), NP_OK);
    expect_result("IPv4 from ::1", process_to_the_end(probe, &result), &result, NP_ERR_ARGUMENT);
    expect("any source", np_probe_set_source(probe, NULL, 0), NP_OK);
    expect("any family", np_probe_set_family(probe, NP_FAMILY_ANY), NP_OK);
}

/* After all that the handle does what it is there for. */
static void check_still_usable(np_probe *probe)
{
    np_result result;
    expect("a source", np_probe_set_source(probe, "127.0.0.1", 0), NP_OK);
    expect("a server", np_probe_add_server(probe, NOBODY), NP_OK);
    expect("a timeout", np_probe_set_response_timeout(probe, 100), NP_OK);
    memset(&result, 0xA5, sizeof result);
    expect_result("nobody answers", np_probe_run(probe, &result), &result, NP_ERR_NO_RESPONSE);
    expect("and UDP is called blocked", result.nat_type, NP_NAT_UDP_BLOCKED);
}

int check_bad_input(void)
{
    np_probe *probe = np_probe_new();
    check_order(probe);
    check_texts(probe);
    check_too_many_servers(probe);
    check_numbers(probe);
    check_names();
    check_profiles();
    check_sockets(probe);
    check_socket_gone(probe);
    check_null_probe();
    check_null_result(probe);
    check_one_call();
    check_callbacks(probe);
    check_datagram_callback(probe);
    check_contradictions(probe);
    check_still_usable(probe);
    np_probe_free(probe);
    check_freeing();
    printf("%u checks passed\n", passed);
    return failed == 0 ? EXIT_VERDICT : EXIT_NO_VERDICT;
}
