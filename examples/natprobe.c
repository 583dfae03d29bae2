/* SPDX-License-Identifier: MIT */
/*
 * natprobe: what kind of NAT is this host behind? Options, one call of libnatprobe, and printing; nothing else, so that
 * it also shows how a program uses the library. natprobe_outlook.c has what is about two hosts, natprobe_tests.c what
 * is about the optional tests, natprobe_watch.c what goes on watching, natprobe_survey.c what is about other servers,
 * and natprobe_lists.c what reads lists of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <natprobe/natprobe.h>

#ifdef _WIN32
#include <windows.h>
#else
#include <poll.h>
#endif

#include "natprobe_getopt.h"
#include "natprobe_lists.h"
#include "natprobe_outlook.h"
#include "natprobe_survey.h"
#include "natprobe_tests.h"
#include "natprobe_watch.h"

#define TIMEOUT_MIN_S 0.001
#define TIMEOUT_MAX_S 3600.0
#define LIFETIME_MAX_S 3600
#define INTERVAL_MIN_S 10
#define INTERVAL_MAX_S 604800
#define LINE_WIDTH 80
#define PROGRESS_EVERY_S 10 /* with --verbose */
#define FAMILIES 2          /* checks at the same time, at most */

typedef enum output { OUTPUT_REPORT, OUTPUT_JSON, OUTPUT_NAME, OUTPUT_PROFILE } output;

typedef struct options {
    const char *servers[NP_MAX_SERVERS];
    size_t server_count;
    const char *source_ip;
    const char *interface;
    uint16_t source_port;
    int32_t family;
    bool is_dual; /* -4 and -6: both families, each with its own report */
    int32_t tests;
    uint32_t timeout_ms;
    uint32_t response_timeout_ms; /* 0: the default */
    uint32_t lifetime_limit_s;    /* 0: the default */
    bool verbose;
    output output;
    bool watches;        /* --watch: go on, and tell of changes */
    uint32_t interval_s; /* of that; UINT32_MAX: the default */
    survey_job survey;   /* --survey: of the servers of a list, if that is not NULL */
    bool is_outlook;     /* --outlook: of two profiles, without a check */
    bool has_peer;       /* --peer: of this host and of a profile */
    bool hides_address;
    np_profile ours, theirs;
} options;

/* ---- Messages ---------------------------------------------------------------------------------------------------- */

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("natprobe: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static void print_help(void)
{
    puts("Usage: natprobe [OPTION]...\n"
         "       natprobe --outlook PROFILE PROFILE\n"
         "Find out what kind of NAT this host is behind, and whether a peer will connect.\n"
         "\n"
         "  -s, --server HOST[:PORT]  ask this STUN server, not the built-in public ones;\n"
         "                            up to 32 times; also [IPv6]:PORT, stun:HOST[:PORT]\n"
         "  -S, --servers FILE        ask those in this file, one a line, as --survey prints\n"
         "                            them: 32 at random if it has more; -: stdin\n"
         "  -b, --bind IP             send from this local address (default: any)\n"
         "  -i, --interface NAME      send on this network interface, whatever the routes are\n"
         "  -p, --port PORT           send from this local port (default: 0, any free one)\n"
         "  -4                        use IPv4 only\n"
         "  -6                        use IPv6 only\n"
         "  -4 -6                     check both at the same time: two reports\n"
         "  -t, --timeout SECONDS     time allowed in all, 0.001 to 3600 (default: 10)\n"
         "  --response-timeout SECONDS  silence after which UDP is called blocked\n"
         "                            (default: 3, or 0.3 times a longer --timeout)\n"
         "  -m, --mapping-only        external address and mapping only: one round trip\n"
         "                            with two servers\n"
         "  --tests LIST              optional tests, with commas between them: port,\n"
         "                            refused, hairpin, gateway, lifetime (which takes\n"
         "                            minutes), or all (but lifetime)\n"
         "  --lifetime-limit SECONDS  longest idle time that the test lifetime tries, 1 to\n"
         "                            3600 (default: 200); it takes up to twice as long\n"
         "  -j, --json                print one JSON object; with -4 -6 an array of two\n"
         "  -q, --quiet               print the short name of the type only\n"
         "  --profile                 print the profile of this host, a line for a peer;\n"
         "                            it has the external address, which the peer will see\n"
         "  --no-address              leave the address out of it\n"
         "  --peer PROFILE            will this host and that of the profile connect?\n"
         "  --outlook PROFILE PROFILE the same of two profiles; nothing is sent\n"
         "  --watch                   go on, and print a line when something changes; ended\n"
         "                            by SIGINT or SIGTERM, checks again on SIGUSR1\n"
         "  --interval SECONDS        check so often if nothing else asks for it, 10 to\n"
         "                            604800, 0: never (default: 7200)\n"
         "  --survey FILE             print which servers of this list are capable of every\n"
         "                            test, with --json what each does; -: stdin. Only from\n"
         "                            a host that a check first proves open, with the servers\n"
         "                            of -s or the list's own; then each server gets at most\n"
         "                            one packet a second, 6 to 30 in all, 64 side by side\n"
         "  --resume FILE             skip the servers that an earlier --survey --json has\n"
         "                            reported in this file\n"
         "  -v, --verbose             show on stderr what is sent and heard, and evidence\n"
         "      --version             print the version and exit\n"
         "      --help                print this help and exit\n"
         "\n"
         "A NAT, such as a home router, gives each port of this host an external address.\n"
         "Two facts decide who can connect to it. Mapping: is that address the same for\n"
         "every destination? Filtering: who may send to it? Hole punching: two peers send\n"
         "to each other at the same time, so that each one's NAT lets the other in. Where\n"
         "that fails, a relay has to carry the data.\n"
         "\n"
         "Exit status: 0 a verdict, 1 no verdict (the reason is on stderr), 2 wrong usage.\n"
         "With -4 -6: 0 a verdict of at least one, 1 of neither.\n"
         "With --peer and --outlook: 0 they connect, 3 not without a relay or prediction,\n"
         "4 not known, 1 no verdict here, 2 wrong usage or a profile that is none.\n"
         "With --survey: 0 every server is reported, 1 not so, 2 wrong usage.");
}

static void print_version(void)
{
    printf("natprobe %s (libnatprobe %s)\n", NP_VERSION, np_version());
}

/* Output that could not be written must not look like success. */
static int finish_output(int status)
{
    bool failed = ferror(stdout) != 0;
    if (fclose(stdout) != 0)
        complain("cannot write the output: %s", strerror(errno));
    else if (failed)
        complain("cannot write the output");
    else
        return status;
    return EXIT_NO_VERDICT;
}

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static bool refuse(const char *what, const char *text, const char *expected)
{
    complain("invalid %s '%s': expected %s", what, text, expected);
    return false;
}

/* So many digits at most, and nothing else: strtoul would take a sign or leading space. */
static bool parse_digits(const char *text, size_t most, unsigned long *out)
{
    size_t length = strlen(text);
    *out = strtoul(text, NULL, 10);
    return length > 0 && length <= most && strspn(text, "0123456789") == length;
}

static bool parse_port(const char *text, uint16_t *out)
{
    unsigned long value;
    if (!parse_digits(text, 5, &value) || value > UINT16_MAX)
        return refuse("port", text, "0 to 65535");
    *out = (uint16_t)value;
    return true;
}

static bool parse_timeout(const char *text, uint32_t *out_ms)
{
    char *end = NULL;
    double seconds = strtod(text, &end);
    bool is_decimal = text[0] != '\0' && text[strspn(text, "0123456789.")] == '\0' && *end == '\0';
    if (!is_decimal || seconds < TIMEOUT_MIN_S || seconds > TIMEOUT_MAX_S)
        return refuse("timeout", text, "0.001 to 3600 seconds");
    *out_ms = (uint32_t)(seconds * 1000.0 + 0.5);
    return true;
}

static bool parse_limit(const char *text, uint32_t *out_s)
{
    unsigned long value;
    if (!parse_digits(text, 4, &value) || value == 0 || value > LIFETIME_MAX_S)
        return refuse("lifetime limit", text, "1 to 3600 seconds");
    *out_s = (uint32_t)value;
    return true;
}

static bool parse_interval(const char *text, uint32_t *out_s)
{
    unsigned long value;
    if (!parse_digits(text, 9, &value) || (value != 0 && value < INTERVAL_MIN_S) || value > INTERVAL_MAX_S)
        return refuse("interval", text, "10 to 604800 seconds, or 0");
    *out_s = (uint32_t)value;
    return true;
}

static bool add_server(options *o, const char *text)
{
    if (o->server_count == NP_MAX_SERVERS) {
        complain("too many servers: '%s' is one more than %d", text, NP_MAX_SERVERS);
        return false;
    }
    o->servers[o->server_count++] = text;
    return true;
}

static bool add_list(options *o, const char *path)
{
    size_t count;
    bool is_read = choose_from_list(path, o->servers + o->server_count, &count, NP_MAX_SERVERS - o->server_count);
    o->server_count += is_read ? count : 0;
    return is_read;
}

static bool set_family(options *o, int32_t family)
{
    o->is_dual |= o->family != NP_FAMILY_ANY && o->family != family;
    o->family = family;
    return true;
}

static bool set_output(options *o, output wanted)
{
    bool fits = o->output == OUTPUT_REPORT || o->output == wanted;
    if (!fits)
        complain("--json, --quiet and --profile exclude each other");
    o->output = wanted;
    return fits;
}

static bool set_peer(options *o, const char *text)
{
    o->has_peer = true;
    return read_profile(text, &o->theirs);
}

/* The second profile is the next argument: getopt knows of no option with two. */
static bool set_outlook(options *o, int argc, char **argv)
{
    o->is_outlook = true;
    if (optind < argc)
        return read_profile(optarg, &o->ours) && read_profile(argv[optind++], &o->theirs);
    complain("--outlook needs two profiles");
    return false;
}

enum {
    OPTION_HELP = 256,
    OPTION_VERSION,
    OPTION_RESPONSE_TIMEOUT,
    OPTION_TESTS,
    OPTION_LIFETIME_LIMIT,
    OPTION_PROFILE,
    OPTION_NO_ADDRESS,
    OPTION_PEER,
    OPTION_OUTLOOK,
    OPTION_WATCH,
    OPTION_INTERVAL,
    OPTION_SURVEY,
    OPTION_RESUME
};

static const struct option long_options[] = {
    {"server", required_argument, NULL, 's'},
    {"servers", required_argument, NULL, 'S'},
    {"bind", required_argument, NULL, 'b'},
    {"interface", required_argument, NULL, 'i'},
    {"port", required_argument, NULL, 'p'},
    {"timeout", required_argument, NULL, 't'},
    {"response-timeout", required_argument, NULL, OPTION_RESPONSE_TIMEOUT},
    {"tests", required_argument, NULL, OPTION_TESTS},
    {"lifetime-limit", required_argument, NULL, OPTION_LIFETIME_LIMIT},
    {"mapping-only", no_argument, NULL, 'm'},
    {"json", no_argument, NULL, 'j'},
    {"profile", no_argument, NULL, OPTION_PROFILE},
    {"no-address", no_argument, NULL, OPTION_NO_ADDRESS},
    {"peer", required_argument, NULL, OPTION_PEER},
    {"outlook", required_argument, NULL, OPTION_OUTLOOK},
    {"watch", no_argument, NULL, OPTION_WATCH},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"survey", required_argument, NULL, OPTION_SURVEY},
    {"resume", required_argument, NULL, OPTION_RESUME},
    {"verbose", no_argument, NULL, 'v'},
    {"quiet", no_argument, NULL, 'q'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* Options that have no letter. */
static bool take_long_option(options *o, int letter, int argc, char **argv)
{
    switch (letter) {
    case OPTION_TESTS:
        return read_tests(optarg, &o->tests);
    case OPTION_LIFETIME_LIMIT:
        return parse_limit(optarg, &o->lifetime_limit_s);
    case OPTION_PROFILE:
        return set_output(o, OUTPUT_PROFILE);
    case OPTION_NO_ADDRESS:
        o->hides_address = true;
        return true;
    case OPTION_PEER:
        return set_peer(o, optarg);
    case OPTION_OUTLOOK:
        return set_outlook(o, argc, argv);
    case OPTION_WATCH:
        o->watches = true;
        return true;
    case OPTION_INTERVAL:
        return parse_interval(optarg, &o->interval_s);
    case OPTION_SURVEY:
        o->survey.list = optarg;
        return true;
    case OPTION_RESUME:
        o->survey.earlier = optarg;
        return true;
    default:
        return false; /* getopt_long has said what is wrong */
    }
}

static bool take_option(options *o, int letter, int argc, char **argv)
{
    switch (letter) {
    case 's':
        return add_server(o, optarg);
    case 'S':
        return add_list(o, optarg);
    case 'b':
        o->source_ip = optarg;
        return true;
    case 'i':
        o->interface = optarg;
        return true;
    case 'p':
        return parse_port(optarg, &o->source_port);
    case '4':
        return set_family(o, NP_FAMILY_IPV4);
    case '6':
        return set_family(o, NP_FAMILY_IPV6);
    case 't':
        return parse_timeout(optarg, &o->timeout_ms);
    case OPTION_RESPONSE_TIMEOUT:
        return parse_timeout(optarg, &o->response_timeout_ms);
    case 'm':
        o->tests = (o->tests & NP_TESTS_OPTIONAL) | NP_TESTS_MAPPING;
        return true;
    case 'j':
        return set_output(o, OUTPUT_JSON);
    case 'q':
        return set_output(o, OUTPUT_NAME);
    case 'v':
        o->verbose = true;
        return true;
    default:
        return take_long_option(o, letter, argc, argv);
    }
}

/* Says what is of one family only. */
static bool fits_families(const options *o)
{
    bool is_of_one = o->source_ip != NULL || o->has_peer || o->is_outlook || o->watches;
    if (o->is_dual && is_of_one)
        complain("-4 with -6 excludes --bind, --peer, --outlook and --watch, which are about one family");
    return !o->is_dual || !is_of_one;
}

/* A survey makes the default check, and prints its own lines. */
static bool fits_survey(const options *o)
{
    bool has_other = o->watches || o->has_peer || o->is_outlook || o->tests != NP_TESTS_DEFAULT;
    if (o->survey.list == NULL && o->survey.earlier != NULL)
        complain("--resume is of use with --survey only");
    else if (o->survey.list != NULL && (has_other || (o->output != OUTPUT_REPORT && o->output != OUTPUT_JSON)))
        complain("--survey excludes --watch, --peer, --outlook, --profile, --quiet, --tests and --mapping-only");
    else
        return true;
    return false;
}

/* Says what is wrong with the whole. */
static bool fits_together(const options *o)
{
    bool is_about_two = o->has_peer || o->is_outlook;
    if (is_about_two && o->output == OUTPUT_PROFILE)
        complain("--profile is about this host alone: it excludes --peer and --outlook");
    else if (o->has_peer && o->is_outlook)
        complain("--peer and --outlook exclude each other");
    else if (o->watches && (is_about_two || o->output == OUTPUT_PROFILE))
        complain("--watch excludes --peer, --outlook and --profile");
    else if (o->watches && (o->tests & NP_TESTS_OPTIONAL) != 0)
        complain("--watch excludes --tests: it looks whether the verdict still holds");
    else if (!o->watches && o->interval_s != UINT32_MAX)
        complain("--interval is of use with --watch only");
    else
        return fits_families(o) && fits_survey(o);
    return false;
}

/* Returns the status to exit with, or -1 to go on. */
static int parse_options(int argc, char **argv, options *o)
{
    int letter;
    *o = (options){.tests = NP_TESTS_DEFAULT, .timeout_ms = NP_DEFAULT_TIMEOUT_MS, .interval_s = UINT32_MAX};
    while ((letter = getopt_long(argc, argv, "s:S:b:i:p:46t:mjvq", long_options, NULL)) != -1) {
        if (letter == OPTION_HELP) {
            print_help();
            return finish_output(EXIT_VERDICT);
        }
        if (letter == OPTION_VERSION) {
            print_version();
            return finish_output(EXIT_VERDICT);
        }
        if (!take_option(o, letter, argc, argv))
            return EXIT_USAGE;
    }
    if (optind == argc)
        return fits_together(o) ? -1 : EXIT_USAGE;
    complain("unexpected argument '%s' (servers are given with -s)", argv[optind]);
    return EXIT_USAGE;
}

/* ---- The check --------------------------------------------------------------------------------------------------- */

static const int32_t families[FAMILIES] = {NP_FAMILY_IPV4, NP_FAMILY_IPV6};
static np_probe *volatile running[FAMILIES]; /* what a signal cancels */
static volatile sig_atomic_t was_interrupted;

static void cancel(void)
{
    was_interrupted = 1;
    for (int i = 0; i < FAMILIES; i++)
        np_probe_cancel(running[i]);
    stop_watching();
    stop_survey();
}

#ifdef _WIN32

/* Called in a thread of its own, which must not print. A second Ctrl-C ends the program whatever happens. */
static BOOL WINAPI on_console_event(DWORD event)
{
    bool is_first = (event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT) && was_interrupted == 0;
    if (is_first)
        cancel();
    return is_first;
}

static void handle_signals(void)
{
    SetConsoleCtrlHandler(on_console_event, TRUE);
}

/* For any of them but NULL. False when it cannot wait. */
static bool wait_for_more(np_probe *const probes[FAMILIES])
{
    HANDLE ready[FAMILIES];
    DWORD count = 0;
    for (int i = 0; i < FAMILIES; i++) {
        if (probes[i] != NULL)
            ready[count++] = np_probe_wait_handle(probes[i]);
    }
    return WaitForMultipleObjects(count, ready, FALSE, INFINITE) < WAIT_OBJECT_0 + count;
}

#else

static void on_signal(int signal_number)
{
    (void)signal_number;
    cancel();
}

/* A shell lets its background jobs ignore SIGINT: then it stays ignored. */
static void handle_signal(int signal_number)
{
    struct sigaction action;
    if (sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        return;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND; /* a second signal ends the program whatever happens */
    sigaction(signal_number, &action, NULL);
}

static void handle_signals(void)
{
    handle_signal(SIGINT);
    handle_signal(SIGTERM);
}

/* For any of them but NULL, which has no descriptor: poll() passes over it. False when it cannot wait. */
static bool wait_for_more(np_probe *const probes[FAMILIES])
{
    struct pollfd ready[FAMILIES];
    for (int i = 0; i < FAMILIES; i++)
        ready[i] = (struct pollfd){.fd = np_probe_fd(probes[i]), .events = POLLIN};
    return poll(ready, FAMILIES, -1) >= 0 || errno == EINTR;
}

#endif

static void log_line(int32_t level, const char *message, void *user)
{
    (void)level;
    fprintf(stderr, "%s%s\n", (const char *)user, message);
}

static void show_request(const np_event *e)
{
    fprintf(stderr, "%s %s to %s", np_purpose_name(e->purpose), np_request_name(e->request), e->remote);
    if (e->copy > 1)
        fprintf(stderr, ", copy %" PRIu32, e->copy);
}

static void show_answer(const np_event *e)
{
    fprintf(stderr, "%s %s from %s: ", np_purpose_name(e->purpose), np_request_name(e->request), e->remote);
    if (e->stun_error != 0)
        fprintf(stderr, "error %" PRId32, e->stun_error);
    else
        fputs(e->external, stderr);
}

static void show_conclusion(const np_event *e)
{
    if (e->purpose == NP_PURPOSE_CHECK)
        fputs(e->error == NP_OK ? np_nat_type_name(e->nat_type) : np_error_name(e->error), stderr);
    else
        fprintf(stderr, "%s %s", np_purpose_name(e->purpose), np_behaviour_name(e->behaviour));
    if (e->remote[0] != '\0')
        fprintf(stderr, ", by %s", e->remote);
}

static void show_event(const np_event *e, void *user)
{
    if (e->kind == NP_EVENT_PROGRESS && e->done_s % PROGRESS_EVERY_S != 0)
        return;
    fprintf(stderr, "%s%7.1f ms  %-9s ", (const char *)user, (double)e->time_us / 1000.0, np_event_kind_name(e->kind));
    if (e->kind == NP_EVENT_SENT)
        show_request(e);
    else if (e->kind == NP_EVENT_ANSWERED)
        show_answer(e);
    else if (e->kind == NP_EVENT_PROGRESS)
        fprintf(stderr, "lifetime, %" PRIu32 " of at most %" PRIu32 " s", e->done_s, e->total_s);
    else
        show_conclusion(e);
    fputc('\n', stderr);
}

/* Who wants to see all sees it; else a terminal shows that a test of minutes goes on. */
static np_event_fn observer(const options *o)
{
    if (o->verbose)
        return show_event;
    return (o->tests & NP_TESTS_LIFETIME) != 0 && has_terminal() ? show_progress : NULL;
}

static int set_times(np_probe *probe, const options *o)
{
    int error = np_probe_set_timeout(probe, o->timeout_ms);
    if (error == NP_OK && o->response_timeout_ms != 0)
        error = np_probe_set_response_timeout(probe, o->response_timeout_ms);
    if (error == NP_OK && o->lifetime_limit_s != 0)
        error = np_probe_set_lifetime_limit(probe, o->lifetime_limit_s);
    return error;
}

/* What lines on stderr begin with: the family, if there are two. */
static char *label_of(const options *o, int32_t family)
{
    static char none[] = "", ipv4[] = "IPv4: ", ipv6[] = "IPv6: ";
    if (!o->is_dual)
        return none;
    return family == NP_FAMILY_IPV4 ? ipv4 : ipv6;
}

/* False, with a message, when the library does not accept an argument. */
static bool configure(np_probe *probe, const options *o, int32_t family)
{
    if (np_probe_set_source(probe, o->source_ip, o->source_port) != NP_OK)
        return refuse("source address", o->source_ip, "an IP address");
    for (size_t i = 0; i < o->server_count; i++) {
        if (np_probe_add_server(probe, o->servers[i]) != NP_OK)
            return refuse("server", o->servers[i], "HOST[:PORT], [IPv6]:PORT or stun:HOST[:PORT]");
    }
    if (np_probe_set_interface(probe, o->interface) != NP_OK)
        return refuse("interface", o->interface, "a name such as eth0");
    int error = np_probe_set_family(probe, family);
    if (error == NP_OK)
        error = np_probe_set_tests(probe, o->tests);
    if (error == NP_OK)
        error = set_times(probe, o);
    if (error == NP_OK)
        error = np_probe_set_log(probe, NP_LOG_INFO, o->verbose ? log_line : NULL, label_of(o, family));
    if (error == NP_OK)
        error = np_probe_set_events(probe, observer(o), label_of(o, family));
    if (error != NP_OK)
        complain("the library accepts no such settings: %s", np_strerror(error));
    return error == NP_OK;
}

static void cancel_all(np_probe *const probes[FAMILIES])
{
    for (int i = 0; i < FAMILIES; i++)
        np_probe_cancel(probes[i]);
}

/* A turn of each. False when all are over: their places are then NULL. */
static bool go_on(np_probe *probes[FAMILIES], np_result results[FAMILIES])
{
    bool goes_on = false;
    for (int i = 0; i < FAMILIES; i++) {
        if (probes[i] != NULL && np_probe_process(probes[i], &results[i]) == NP_PENDING)
            goes_on = true;
        else
            probes[i] = NULL;
    }
    return goes_on;
}

/* Until all are over. A signal that came before they began ends them as well. */
static void wait_for_end(np_probe *probes[FAMILIES], np_result results[FAMILIES])
{
    if (was_interrupted)
        cancel_all(probes);
    while (go_on(probes, results)) {
        if (!wait_for_more(probes)) {
            complain("poll() failed with error %d", errno); /* strerror() may be in use by a name look-up */
            cancel_all(probes);
        }
    }
}

/* One that cannot begin beside the other is made after it, or its result says why it cannot. */
static void run(np_probe *const probes[FAMILIES], np_result results[FAMILIES])
{
    np_probe *begun[FAMILIES], *left[FAMILIES];
    for (int i = 0; i < FAMILIES; i++)
        running[i] = probes[i];
    handle_signals();
    for (int i = 0; i < FAMILIES; i++) {
        begun[i] = probes[i] != NULL && np_probe_start(probes[i]) == NP_OK ? probes[i] : NULL;
        left[i] = begun[i] == NULL ? probes[i] : NULL;
    }
    wait_for_end(begun, results);
    for (int i = 0; i < FAMILIES; i++) {
        if (left[i] != NULL && was_interrupted)
            results[i].error = NP_ERR_CANCELLED;
        else if (left[i] != NULL)
            np_probe_run(left[i], &results[i]);
        running[i] = NULL;
    }
    end_progress();
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

/* A label and a text, wrapped between words. */
void print_field(const char *label, const char *text)
{
    const int indent = 13;
    int column = printf("%-*s", indent, label);
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > LINE_WIDTH)
            column = printf("\n%*s", indent, "") - 1;
        column += printf("%s%.*s", column > indent ? " " : "", length, text);
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_address(const char *label, const char *ip, unsigned port)
{
    bool is_ipv6 = strchr(ip, ':') != NULL;
    if (ip[0] != '\0')
        printf("%-13s%s%s%s:%u\n", label, is_ipv6 ? "[" : "", ip, is_ipv6 ? "]" : "", port);
}

static void print_time(const char *label, uint64_t us)
{
    printf("%-13s%" PRIu64 ".%" PRIu64 " ms\n", label, us / 1000, us % 1000 / 100);
}

static void print_type(const np_result *r)
{
    char text[128];
    int length = snprintf(text, sizeof text, "%s [%s]", np_nat_type_description(r->nat_type),
                          np_nat_type_name(r->nat_type));
    const char *grade = np_nat_type_grade(r->nat_type);
    if (strcmp(grade, "Unknown") != 0)
        snprintf(text + length, sizeof text - (size_t)length, ", in games %s", grade);
    print_field("NAT type", text);
    print_field("Meaning", np_nat_type_advice(r->nat_type));
}

static void print_behaviours(const np_result *r, const options *o)
{
    print_field("Mapping", np_behaviour_description(r->mapping));
    print_field("Filtering", (o->tests & (NP_TESTS_FILTERING | NP_TESTS_REFUSED)) == 0
                                 ? "Not tested"
                                 : np_behaviour_description(r->filtering));
}

/* What a server cannot tell: whether the router filters, or this host. */
static void print_firewall_hint(const np_result *r)
{
#ifdef _WIN32
    if (r->filtering == NP_BEHAVIOUR_ADDRESS_DEPENDENT || r->filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT)
        print_field("Hint", "The filter may be this host's own. Windows' firewall drops what comes unasked, unless a "
                            "rule lets this program receive it.");
#else
    (void)r;
#endif
}

/* What those can use who cannot connect: why, and what they may change. */
static void print_ports(const np_result *r)
{
    char text[256];
    if (r->nat_type != NP_NAT_SYMMETRIC || r->ports_seen == 0 || r->ports_kept == r->ports_seen)
        return;
    int length = snprintf(text, sizeof text, "%" PRIu16 " of %" PRIu16 " kept", r->ports_kept, r->ports_seen);
    if (r->port_step != 0)
        length += snprintf(text + length, sizeof text - (size_t)length, ", step %" PRId32, r->port_step);
    snprintf(
        text + length, sizeof text - (size_t)length,
        ": the router changes source ports. If it is yours, a rule that keeps them (static port) makes its mapping "
        "endpoint-independent.");
    print_field("Ports", text);
}

/* Local addresses of which most people do not know where they come from. */
static void print_local_class(int32_t local_class)
{
    if (local_class == NP_ADDRESS_SHARED)
        print_field("", "(of a carrier's NAT, or of an overlay network)");
    else if (local_class == NP_ADDRESS_SERVICE_CONTINUITY)
        print_field("", "(IPv4 is carried over IPv6: 464XLAT or DS-Lite)");
    else if (local_class == NP_ADDRESS_BENCHMARK)
        print_field("", "(of a range that proxies use for made-up addresses)");
}

static void print_report(const np_result *r, const options *o)
{
    bool is_known = r->nat_type != NP_NAT_UNKNOWN || r->external_ip[0] != '\0';
    if (is_known || o->is_dual)
        print_type(r);
    if (!is_known)
        return; /* the message on stderr says it all */
    if (r->external_ip[0] != '\0')
        print_behaviours(r, o);
    print_address("External", r->external_ip, r->external_port);
    print_ports(r);
    print_address("Local", r->local_ip, r->local_port);
    print_local_class(r->local_class);
    print_tests(r, o->tests);
    if (r->server[0] != '\0')
        print_field("Server", r->server);
    if (r->rtt_us != 0)
        print_time("Round trip", r->rtt_us);
    print_time("Time", r->elapsed_us);
    printf("%-13s%" PRIu32 " sent, %" PRIu32 " received\n", "Packets", r->packets_sent, r->packets_received);
    if (r->error == NP_OK && r->detail[0] != '\0')
        print_field("Note", r->detail);
    print_firewall_hint(r);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

void json_string(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            printf("\\u%04x", (unsigned)*c);
        else if (*c < 0x80)
            putchar(*c);
        else
            fputs("\\ufffd", stdout); /* of unknown encoding */
    }
    putchar('"');
}

void json_text(const char *key, const char *text)
{
    printf(", \"%s\": ", key);
    json_string(text);
}

/* Empty means unknown. */
void json_known(const char *key, const char *text)
{
    if (text[0] != '\0')
        json_text(key, text);
    else
        printf(", \"%s\": null", key);
}

static void json_port(const char *key, uint16_t port)
{
    if (port != 0)
        printf(", \"%s\": %" PRIu16, key, port);
    else
        printf(", \"%s\": null", key);
}

static void json_ms(const char *key, uint64_t us)
{
    printf(", \"%s\": %" PRIu64 ".%03" PRIu64, key, us / 1000, us % 1000);
}

static void json_evidence(uint32_t evidence)
{
    const char *separator = "";
    fputs(", \"evidence\": [", stdout);
    for (unsigned i = 0; i < 32; i++) {
        if ((evidence >> i & 1U) == 0)
            continue;
        fputs(separator, stdout);
        json_string(np_evidence_name(UINT32_C(1) << i));
        separator = ", ";
    }
    putchar(']');
}

/* outlook: of this host and a peer, NULL without one. */
static void json_around(const np_result *r)
{
    printf(", \"ports_seen\": %" PRIu16 ", \"ports_kept\": %" PRIu16, r->ports_seen, r->ports_kept);
    if (r->port_step != 0)
        printf(", \"port_step\": %" PRId32, r->port_step);
    else
        fputs(", \"port_step\": null", stdout);
    printf(", \"external_ips\": %" PRIu16 ", \"local_ips\": %" PRIu16, r->external_ips, r->local_ips);
    json_text("local_class", np_address_class_name(r->local_class));
}

void print_json_members(const np_result *r, int32_t tests)
{
    fputs("\"status\": ", stdout);
    json_string(np_error_name(r->error));
    json_text("nat_type", np_nat_type_name(r->nat_type));
    json_text("mapping", np_behaviour_name(r->mapping));
    json_text("filtering", np_behaviour_name(r->filtering));
    json_known("external_ip", r->external_ip);
    json_port("external_port", r->external_port);
    json_known("local_ip", r->local_ip);
    json_port("local_port", r->local_port);
    json_known("server", r->server);
    if (r->rtt_us != 0)
        json_ms("rtt_ms", r->rtt_us);
    else
        fputs(", \"rtt_ms\": null", stdout);
    json_ms("elapsed_ms", r->elapsed_us);
    printf(", \"packets_sent\": %" PRIu32 ", \"packets_received\": %" PRIu32, r->packets_sent, r->packets_received);
    json_around(r);
    print_tests_json(r, tests);
    json_evidence(r->evidence);
    json_text("detail", r->detail);
}

static void print_json(const np_result *r, int32_t tests, const np_outlook_result *outlook)
{
    putchar('{');
    print_json_members(r, tests);
    if (outlook != NULL) {
        fputs(", ", stdout);
        print_outlook_json(outlook);
    }
    puts("}");
}

static void print_json_of_both(const np_result results[FAMILIES], int32_t tests)
{
    for (int i = 0; i < FAMILIES; i++) {
        printf("%s{\"family\": \"%s\", ", i == 0 ? "[" : ", ", np_family_name(families[i]));
        print_json_members(&results[i], tests);
        putchar('}');
    }
    puts("]");
}

/* ---- Together ---------------------------------------------------------------------------------------------------- */

static void print_result(const np_result *r, const options *o, const np_outlook_result *outlook)
{
    if (o->output == OUTPUT_JSON)
        print_json(r, o->tests, outlook);
    else if (o->output == OUTPUT_PROFILE)
        print_profile(profile_of(r), !o->hides_address);
    else if (o->output == OUTPUT_NAME)
        puts(outlook != NULL ? np_outlook_class_name(outlook->outlook) : np_nat_type_name(r->nat_type));
    else
        print_report(r, o);
    if (outlook != NULL && o->output == OUTPUT_REPORT)
        print_outlook(outlook);
}

static void print_both(const np_result results[FAMILIES], const options *o)
{
    if (o->output == OUTPUT_JSON) {
        print_json_of_both(results, o->tests);
        return;
    }
    for (int i = 0; i < FAMILIES; i++) {
        if (o->output == OUTPUT_REPORT)
            puts(i == 0 ? "IPv4" : "\nIPv6");
        print_result(&results[i], o, NULL);
    }
}

static void show_evidence(uint32_t evidence, const char *label)
{
    for (unsigned i = 0; i < 32; i++) {
        uint32_t bit = UINT32_C(1) << i;
        if ((evidence & bit) != 0)
            fprintf(stderr, "%sevidence  %s: %s\n", label, np_evidence_name(bit), np_evidence_description(bit));
    }
}

static void explain_failure(const np_result *r, const char *label)
{
    complain("%s%s", label, r->detail[0] != '\0' ? r->detail : np_strerror(r->error));
}

static int report(const np_result *r, const options *o)
{
    np_profile ours = profile_of(r);
    np_outlook_result outlook = judge(&ours, &o->theirs);
    int status = o->has_peer ? outlook_status(&outlook) : EXIT_VERDICT;
    if (o->verbose)
        show_evidence(r->evidence, "");
    print_result(r, o, o->has_peer ? &outlook : NULL);
    if (r->error != NP_OK)
        explain_failure(r, "");
    return finish_output(r->error == NP_OK ? status : EXIT_NO_VERDICT);
}

static int report_both(const np_result results[FAMILIES], const options *o)
{
    int status = EXIT_NO_VERDICT;
    print_both(results, o);
    for (int i = 0; i < FAMILIES; i++) {
        if (o->verbose)
            show_evidence(results[i].evidence, label_of(o, families[i]));
        if (results[i].error == NP_OK)
            status = EXIT_VERDICT;
        else
            explain_failure(&results[i], label_of(o, families[i]));
    }
    return finish_output(status);
}

/* Of two profiles: nothing is sent. */
static int compare(const options *o)
{
    np_outlook_result outlook = judge(&o->ours, &o->theirs);
    if (o->output == OUTPUT_JSON) {
        putchar('{');
        print_outlook_json(&outlook);
        puts("}");
    } else if (o->output == OUTPUT_NAME) {
        puts(np_outlook_class_name(outlook.outlook));
    } else {
        print_outlook(&outlook);
    }
    return finish_output(outlook_status(&outlook));
}

static int watch(const options *o)
{
    np_probe *probe = np_probe_new();
    if (probe != NULL && !configure(probe, o, o->family)) {
        np_probe_free(probe);
        return EXIT_USAGE;
    }
    handle_signals();
    int status = watch_and_print(probe, o->interval_s,
                                 o->output == OUTPUT_JSON   ? WATCH_JSON
                                 : o->output == OUTPUT_NAME ? WATCH_NAMES
                                                            : WATCH_LINES);
    return status == EXIT_USAGE ? status : finish_output(status);
}

/* One probe, or one for each family. False, with a message, when the library does not accept an argument. */
static bool make_probes(np_probe *probes[FAMILIES], const options *o)
{
    for (int i = 0; i < (o->is_dual ? FAMILIES : 1); i++) {
        probes[i] = np_probe_new();
        if (probes[i] != NULL && !configure(probes[i], o, o->is_dual ? families[i] : o->family))
            return false;
    }
    return true;
}

static int survey(options *o)
{
    np_probe *probe = np_probe_new();
    if (probe != NULL && !configure(probe, o, o->is_dual ? NP_FAMILY_ANY : o->family)) {
        np_probe_free(probe);
        return EXIT_USAGE;
    }
    handle_signals();
    o->survey.is_json = o->output == OUTPUT_JSON;
    int status = survey_and_print(probe, &o->survey);
    return status == EXIT_USAGE ? status : finish_output(status);
}

static int check(const options *o)
{
    np_result results[FAMILIES] = {{.error = NP_ERR_NO_MEMORY}, {.error = NP_ERR_NO_MEMORY}};
    np_probe *probes[FAMILIES] = {NULL};
    bool is_accepted = make_probes(probes, o);
    if (is_accepted)
        run(probes, results);
    for (int i = 0; i < FAMILIES; i++)
        np_probe_free(probes[i]);
    if (!is_accepted)
        return EXIT_USAGE;
    for (int i = 0; i < FAMILIES; i++) {
        if (results[i].error == NP_ERR_ARGUMENT) { /* arguments that do not go together, such as -4 and -b ::1 */
            explain_failure(&results[i], label_of(o, families[i]));
            return EXIT_USAGE;
        }
    }
    return o->is_dual ? report_both(results, o) : report(&results[0], o);
}

int main(int argc, char **argv)
{
    options o;
    int status = parse_options(argc, argv, &o);
    if (status < 0)
        status = o.is_outlook ? compare(&o) : o.survey.list != NULL ? survey(&o) : o.watches ? watch(&o) : check(&o);
    if (status == EXIT_USAGE)
        fputs("Try 'natprobe --help'.\n", stderr);
    return status;
}
