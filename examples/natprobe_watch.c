/* SPDX-License-Identifier: MIT */
/* The part of natprobe that goes on watching: a line for each change. */
#include "natprobe_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#endif

#include "natprobe_outlook.h"

static np_watch *volatile watching; /* what a signal stops */
static volatile sig_atomic_t is_stopped;
static bool has_failed; /* a connection, says SIGUSR1 */

void stop_watching(void)
{
    is_stopped = 1;
    np_watch_cancel(watching);
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

void format_time(char *out, size_t size)
{
    time_t now = time(NULL);
    const struct tm *utc = gmtime(&now); /* this program has one thread of its own */
    if (utc == NULL || strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", utc) == 0)
        out[0] = '\0';
}

static void print_changes(uint32_t changed, const char *quote, const char *separator)
{
    const char *before = "";
    for (uint32_t bit = NP_CHANGED_TYPE; bit <= NP_CHANGED_ADDRESS; bit <<= 1) {
        if ((changed & bit) == 0)
            continue;
        printf("%s%s%s%s", before, quote, np_watch_change_name(bit), quote);
        before = separator;
    }
}

static void print_line(const np_watch_status *s)
{
    char when[32];
    const np_result *r = &s->result;
    format_time(when, sizeof when);
    printf("%s  %s  %s", when, np_watch_reason_name(s->reason), np_nat_type_name(r->nat_type));
    if (r->external_ip[0] != '\0')
        printf(", mapping %s, filtering %s, external %s", np_behaviour_name(r->mapping),
               np_behaviour_name(r->filtering), r->external_ip);
    else
        printf(", %s", r->detail[0] != '\0' ? r->detail : np_strerror(r->error));
    if (s->changed != 0) {
        fputs(" (changed: ", stdout);
        print_changes(s->changed, "", ", ");
        putchar(')');
    }
    putchar('\n');
}

static void print_object(const np_watch_status *s)
{
    char when[32];
    format_time(when, sizeof when);
    fputs("{\"time\": ", stdout);
    json_string(when);
    json_text("reason", np_watch_reason_name(s->reason));
    fputs(", \"changed\": [", stdout);
    print_changes(s->changed, "\"", ", ");
    printf("], \"checks\": %" PRIu64, s->checks);
    if (s->filtering_age_ms >= 0)
        printf(", \"filtering_age_ms\": %" PRId64, s->filtering_age_ms);
    else
        fputs(", \"filtering_age_ms\": null", stdout);
    fputs(", ", stdout);
    print_json_members(&s->result, NP_TESTS_DEFAULT);
    puts("}");
}

/* Whoever reads the lines wants each at once; who reads no more needs no watch. */
static void print_change(const np_watch_status *status, void *user)
{
    watch_output output = *(const watch_output *)user;
    if (output == WATCH_JSON)
        print_object(status);
    else if (output == WATCH_NAMES)
        puts(np_nat_type_name(status->result.nat_type));
    else
        print_line(status);
    if (fflush(stdout) != 0)
        stop_watching();
}

/* ---- The loop ---------------------------------------------------------------------------------------------------- */

#ifdef _WIN32

static bool handle_failure_signal(void)
{
    return true;
}

/* False when it cannot wait. */
static bool wait_for_more(const np_watch *watch)
{
    return WaitForSingleObject(np_watch_wait_handle(watch), INFINITE) == WAIT_OBJECT_0;
}

#else

static int failures[2]; /* a pipe, with a byte for SIGUSR1: then one that comes just before the wait ends it too */

static void on_failure_signal(int signal_number)
{
    int error_before = errno;
    (void)signal_number;
    if (write(failures[1], "", 1) < 0) {
        /* It is full of others that nobody has noticed yet: one is enough. */
    }
    errno = error_before;
}

static bool handle_failure_signal(void)
{
    struct sigaction action;
    if (pipe(failures) != 0 || fcntl(failures[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(failures[1], F_SETFL, O_NONBLOCK) != 0)
        return false;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_failure_signal;
    return sigaction(SIGUSR1, &action, NULL) == 0;
}

/* False when it cannot wait. */
static bool wait_for_more(const np_watch *watch)
{
    struct pollfd waits[] = {{.fd = np_watch_fd(watch), .events = POLLIN}, {.fd = failures[0], .events = POLLIN}};
    char bytes[16];
    if (poll(waits, 2, -1) < 0)
        return errno == EINTR;
    while (read(failures[0], bytes, sizeof bytes) > 0)
        has_failed = true;
    return true;
}

#endif

/* Until the watch ends. A signal that came before it began ends it as well. */
static int go_on(np_watch *watch)
{
    int error = NP_PENDING;
    if (is_stopped)
        np_watch_cancel(watch);
    while ((error = np_watch_process(watch)) == NP_PENDING) {
        if (!wait_for_more(watch)) {
            complain("the system does not let it wait: error %d", errno);
            np_watch_cancel(watch);
        }
        if (has_failed) {
            has_failed = false;
            (void)np_watch_note_failure(watch);
        }
    }
    return error;
}

static int start(np_watch *watch, uint32_t interval_s, watch_output *output)
{
    int error = np_watch_set_changes(watch, print_change, output);
    if (error == NP_OK && interval_s != UINT32_MAX)
        error = np_watch_set_interval(watch, interval_s);
    return error == NP_OK ? np_watch_start(watch) : error;
}

/* Told to stop, it has done what it was for. */
static int status_of(const np_watch *watch, int error)
{
    np_watch_status status;
    np_watch_read(watch, &status);
    if (error == NP_ERR_CANCELLED && is_stopped)
        return status.result.error == NP_OK ? EXIT_VERDICT : EXIT_NO_VERDICT;
    complain("%s",
             error == NP_ERR_ARGUMENT && status.result.detail[0] != '\0' ? status.result.detail : np_strerror(error));
    return error == NP_ERR_ARGUMENT ? EXIT_USAGE : EXIT_NO_VERDICT;
}

int watch_and_print(np_probe *probe, uint32_t interval_s, watch_output output)
{
    np_watch *watch = np_watch_new(probe);
    if (watch == NULL) {
        np_probe_free(probe);
        complain("%s", np_strerror(NP_ERR_NO_MEMORY));
        return EXIT_NO_VERDICT;
    }
    if (!handle_failure_signal()) {
        complain("the system does not let it wait for SIGUSR1: error %d", errno);
        np_watch_free(watch);
        return EXIT_NO_VERDICT;
    }
    watching = watch;
    int error = start(watch, interval_s, &output);
    if (error == NP_OK)
        error = go_on(watch);
    watching = NULL;
    int status = status_of(watch, error);
    np_watch_free(watch);
    return status;
}
