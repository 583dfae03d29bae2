/* SPDX-License-Identifier: MIT */
/* The part of natprobe that surveys servers: a list in, the capable ones out. */
#include "natprobe_survey.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <poll.h>
#endif

#include "natprobe_lists.h"
#include "natprobe_outlook.h"
#include "natprobe_tests.h"
#include "natprobe_watch.h"

#define LINE_ROOM 8192
#define BAD_LINES_SHOWN 10

static np_survey *volatile surveying; /* what a signal stops */
static volatile sig_atomic_t is_stopped;

typedef struct printer {
    np_survey *survey;
    bool is_json;
    bool shows_progress;
    int shown; /* characters of the line of progress */
} printer;

void stop_survey(void)
{
    is_stopped = 1;
    np_survey_cancel(surveying);
}

/* ---- Progress ---------------------------------------------------------------------------------------------------- */

static void show_survey(printer *p)
{
    np_survey_status status;
    np_survey_read(p->survey, &status);
    if (!p->shows_progress)
        return;
    if (status.is_checking)
        p->shown = fprintf(stderr, "\rchecking this host ");
    else
        p->shown = fprintf(stderr, "\r%" PRIu32 " of %" PRIu32 " servers done, %" PRIu32 " capable ", status.done,
                           status.servers, status.capable);
}

static void wipe_progress(printer *p)
{
    if (p->shown > 0)
        fprintf(stderr, "\r%*s\r", p->shown, "");
    p->shown = 0;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static void json_flag(const char *key, int32_t value)
{
    printf(", \"%s\": %s", key, value != 0 ? "true" : "false");
}

static void json_answer(const char *key, int32_t value)
{
    const char *text = value == NP_TRISTATE_YES ? "true" : value == NP_TRISTATE_NO ? "false" : "null";
    printf(", \"%s\": %s", key, text);
}

static void json_time(const char *key, uint64_t us)
{
    printf(", \"%s\": %" PRIu64 ".%03" PRIu64, key, us / 1000, us % 1000);
}

/* What follows is known of a server that was asked and answered. */
static void print_findings(const np_survey_report *r)
{
    json_flag("capable", r->is_capable);
    json_text("change_both", np_conduct_name(r->change_both));
    json_text("change_port", np_conduct_name(r->change_port));
    json_known("alternate", r->alternate);
    json_answer("alternate_alive", r->alternate_alive);
    json_known("external", r->external);
    json_answer("external_right", r->external_right);
    json_answer("external_stable", r->external_stable);
    json_flag("classic", r->is_classic);
    if (r->rtt_us != 0)
        json_time("rtt_ms", r->rtt_us);
    else
        fputs(", \"rtt_ms\": null", stdout);
    json_time("late_ms", r->late_us);
}

/* The keys in front are those that an earlier run is read by. */
static void print_object(const np_survey_report *r)
{
    char when[32];
    format_time(when, sizeof when);
    fputs("{\"server\": ", stdout);
    json_string(r->server);
    printf(", \"number\": %" PRIu32 ", \"addresses\": %" PRIu32, r->number, r->addresses);
    json_known("address", r->address);
    json_known("same_as", r->same_as);
    json_text("status", np_error_name(r->error));
    print_findings(r);
    printf(", \"stun_error\": %" PRId32 ", \"plain_sent\": %" PRIu32 ", \"plain_answered\": %" PRIu32, r->stun_error,
           r->plain_sent, r->plain_answered);
    printf(", \"packets_sent\": %" PRIu32 ", \"packets_received\": %" PRIu32, r->packets_sent, r->packets_received);
    json_text("time", when);
    json_text("detail", r->detail);
    puts("}");
}

/* A name stands for all of its addresses: of several, each capable one is told by itself. */
static void print_name(const np_survey_report *r)
{
    if (r->is_capable)
        puts(r->addresses == 1 ? r->server : r->address);
}

/* Each line is written at once: what has been printed when the survey is interrupted is whole. */
static void print_survey(const np_survey_report *report, void *user)
{
    printer *p = user;
    wipe_progress(p);
    if (p->is_json)
        print_object(report);
    else
        print_name(report);
    if (fflush(stdout) != 0)
        np_survey_cancel(p->survey);
    show_survey(p);
}

/* ---- The list ---------------------------------------------------------------------------------------------------- */

static bool add_line(np_survey *survey, const survey_job *job, unsigned long number, char *line, line_state state,
                     unsigned long *bad_lines)
{
    const char *server = server_on(line);
    int error = state == LINE_TOO_LONG ? NP_ERR_ARGUMENT : server[0] == '\0' ? NP_OK : np_survey_add(survey, server);
    if (error == NP_ERR_ARGUMENT && ++*bad_lines <= BAD_LINES_SHOWN)
        complain("%s:%lu: left out, since it is no server: %.60s", job->list, number, server);
    else if (error != NP_OK && error != NP_ERR_ARGUMENT)
        complain("%s:%lu: %s", job->list, number, np_strerror(error));
    return error == NP_OK || error == NP_ERR_ARGUMENT;
}

static bool read_list(np_survey *survey, const survey_job *job)
{
    char line[LINE_ROOM];
    unsigned long number = 0, bad_lines = 0;
    bool is_good = true;
    line_state state;
    FILE *file = open_list(job->list);
    if (file == NULL)
        return false;
    while (is_good && (state = read_line(file, line, sizeof line)) != LINE_END)
        is_good = add_line(survey, job, ++number, line, state, &bad_lines);
    if (ferror(file)) {
        complain("cannot read '%s'", job->list);
        is_good = false;
    }
    close_list(file);
    if (bad_lines > BAD_LINES_SHOWN)
        complain("%s: %lu more lines are left out", job->list, bad_lines - BAD_LINES_SHOWN);
    return is_good;
}

/* ---- An earlier run ---------------------------------------------------------------------------------------------- */

static const char *value_of(const char *line, const char *key)
{
    char pattern[32];
    snprintf(pattern, sizeof pattern, "\"%s\": ", key);
    const char *found = strstr(line, pattern);
    return found != NULL ? found + strlen(pattern) : "";
}

/* Copies a text of the line; those that are of interest have no escapes in them. */
static bool take_text(const char *line, const char *key, char *out, size_t size)
{
    const char *value = value_of(line, key);
    size_t length = value[0] == '"' ? strcspn(value + 1, "\"") : 0;
    if (value[0] != '"' || length >= size || value[1 + length] != '"')
        return false;
    memcpy(out, value + 1, length);
    out[length] = '\0';
    return true;
}

/* What this host had no means for is tried again; and a server whose other addresses were not reported. */
static bool is_settled(const char *line, const char *status)
{
    static const char *const unsettled[] = {"system", "no-memory", "not-open", "network-unreachable"};
    for (size_t i = 0; i < sizeof unsettled / sizeof unsettled[0]; i++) {
        if (strcmp(status, unsettled[i]) == 0)
            return false;
    }
    return strtoul(value_of(line, "number"), NULL, 10) == strtoul(value_of(line, "addresses"), NULL, 10);
}

/* In a list of names the capable ones of the earlier run have their place too. */
static void print_earlier(const char *line, const char *server)
{
    char address[64];
    bool is_capable = strncmp(value_of(line, "capable"), "true", 4) == 0;
    if (!is_capable || !take_text(line, "address", address, sizeof address))
        return;
    puts(strtoul(value_of(line, "addresses"), NULL, 10) == 1 ? server : address);
}

static int skip_line(np_survey *survey, const survey_job *job, const char *line)
{
    char server[NP_SERVER_TEXT_SIZE], status[32];
    bool is_ours = strncmp(line, "{\"server\": ", 11) == 0 && take_text(line, "server", server, sizeof server) &&
                   take_text(line, "status", status, sizeof status);
    if (!is_ours)
        return NP_ERR_ARGUMENT;
    int error = is_settled(line, status) ? np_survey_skip(survey, server) : NP_OK;
    if (error == NP_OK && !job->is_json)
        print_earlier(line, server);
    return error;
}

/* A last line that was cut off counts as not written: what is printed now begins on a line of its own. */
static bool read_earlier(np_survey *survey, const survey_job *job)
{
    char line[LINE_ROOM];
    unsigned long number = 0;
    int error = NP_OK;
    line_state state;
    FILE *file = open_list(job->earlier);
    if (file == NULL)
        return false;
    while (error == NP_OK && (state = read_line(file, line, sizeof line)) != LINE_END) {
        number++;
        if (state == LINE_CUT && job->is_json)
            putchar('\n');
        if (state != LINE_CUT && line[strspn(line, " \r")] != '\0')
            error = state == LINE_TOO_LONG ? NP_ERR_ARGUMENT : skip_line(survey, job, line);
    }
    close_list(file);
    if (error == NP_ERR_ARGUMENT)
        complain("%s:%lu: this is no line that natprobe --survey --json prints", job->earlier, number);
    else if (error != NP_OK)
        complain("%s:%lu: %s", job->earlier, number, np_strerror(error));
    return error == NP_OK;
}

/* ---- The survey -------------------------------------------------------------------------------------------------- */

#ifdef _WIN32

/* False when it cannot wait. */
static bool wait_for_more(const np_survey *survey)
{
    return WaitForSingleObject(np_survey_wait_handle(survey), INFINITE) == WAIT_OBJECT_0;
}

#else

/* False when it cannot wait. */
static bool wait_for_more(const np_survey *survey)
{
    struct pollfd ready = {.fd = np_survey_fd(survey), .events = POLLIN};
    return poll(&ready, 1, -1) >= 0 || errno == EINTR;
}

#endif

static int go_on(np_survey *survey)
{
    int error;
    if (is_stopped)
        np_survey_cancel(survey);
    while ((error = np_survey_process(survey)) == NP_PENDING) {
        if (!wait_for_more(survey)) {
            complain("the system does not let it wait: error %d", errno);
            np_survey_cancel(survey);
        }
    }
    return error;
}

static void explain_end(const np_survey *survey, const survey_job *job, int error)
{
    np_survey_status status;
    np_survey_read(survey, &status);
    if (error == NP_ERR_CANCELLED && is_stopped)
        complain("interrupted after %" PRIu32 " of %" PRIu32 " servers%s", status.done, status.servers,
                 job->is_json ? ": --resume takes what was printed" : "");
    else if (error != NP_OK)
        complain("%s", status.check.detail[0] != '\0' && error != NP_ERR_CANCELLED ? status.check.detail
                                                                                   : np_strerror(error));
}

static int run(np_survey *survey, const survey_job *job)
{
    printer p = {.survey = survey, .is_json = job->is_json, .shows_progress = has_terminal()};
    np_survey_status status;
    if ((job->earlier != NULL && !read_earlier(survey, job)) || !read_list(survey, job))
        return EXIT_USAGE;
    np_survey_read(survey, &status);
    if (status.servers == 0) {
        if (job->earlier != NULL)
            return EXIT_VERDICT; /* the earlier run had them all */
        complain("'%s' has no servers", job->list);
        return EXIT_USAGE;
    }
    int error = np_survey_set_reports(survey, print_survey, &p);
    if (error == NP_OK)
        error = np_survey_start(survey);
    if (error == NP_OK) {
        show_survey(&p);
        error = go_on(survey);
    }
    wipe_progress(&p);
    explain_end(survey, job, error);
    if (error == NP_ERR_ARGUMENT)
        return EXIT_USAGE;
    return error == NP_OK ? EXIT_VERDICT : EXIT_NO_VERDICT;
}

int survey_and_print(np_probe *probe, const survey_job *job)
{
    np_survey *survey = np_survey_new(probe);
    if (survey == NULL) {
        np_probe_free(probe);
        complain("%s", np_strerror(NP_ERR_NO_MEMORY));
        return EXIT_NO_VERDICT;
    }
    surveying = survey;
    int status = run(survey, job);
    surveying = NULL;
    np_survey_free(survey);
    return status;
}
