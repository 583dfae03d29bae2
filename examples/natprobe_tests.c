/* SPDX-License-Identifier: MIT */
/* What is about the optional tests: their names, and the report of each. */
#include "natprobe_tests.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#include "natprobe_outlook.h"

static const struct {
    const char *name;
    int32_t test;
} names[] = {
    {"port", NP_TESTS_PORT},
    {"refused", NP_TESTS_REFUSED},
    {"hairpin", NP_TESTS_HAIRPIN},
    {"gateway", NP_TESTS_GATEWAY},
    {"lifetime", NP_TESTS_LIFETIME},
    {"all", NP_TESTS_OPTIONAL & ~NP_TESTS_LIFETIME}, /* minutes are asked for by name */
};

/* 0 if there is none of that name. */
static int32_t test_of(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i].name) == length && strncmp(names[i].name, name, length) == 0)
            return names[i].test;
    }
    return 0;
}

bool read_tests(const char *list, int32_t *tests)
{
    for (const char *name = list;; name++) {
        size_t length = strcspn(name, ",");
        int32_t test = test_of(name, length);
        if (test == 0) {
            complain("invalid test '%.*s': expected port, refused, hairpin, gateway, lifetime or all", (int)length,
                     name);
            return false;
        }
        *tests |= test;
        name += length;
        if (*name == '\0')
            return true;
    }
}

/* ---- The report -------------------------------------------------------------------------------------------------- */

static const char *choose(int32_t answer, const char *unknown, const char *no, const char *yes)
{
    if (answer == NP_TRISTATE_YES)
        return yes;
    return answer == NP_TRISTATE_NO ? no : unknown;
}

static void print_port(const np_result *r)
{
    print_field("Port",
                choose(r->port_open, "Not known whether strangers can send to the source port",
                       "Strangers cannot send to the source port", "Open: strangers can send to the source port"));
}

static void print_refused(const np_result *r)
{
    print_field("Refused",
                choose(r->refused_takes_port, "Not known whether a datagram that the NAT refuses takes the port",
                       "A datagram that the NAT refuses changes nothing",
                       "A datagram that the NAT refuses takes the port: let this host send first, or with "
                       "a low TTL"));
}

static void print_hairpin(const np_result *r)
{
    const char *text = choose(r->hairpin, "Not known", "No: hosts behind this NAT need each other's local addresses",
                              "Yes: hosts behind this NAT reach each other's external addresses");
    if (r->hairpin_external == NP_TRISTATE_NO)
        text = "Yes, but the datagrams seem to come from a local address";
    print_field("Hairpin", text);
}

/* It rests on the word of the gateway, so that is shown. */
static void print_gateway(const np_result *r)
{
    char text[2 * NP_IP_TEXT_SIZE + 160];
    const char *finding = choose(
        r->another_nat, "Not known whether there is another NAT behind it",
        "No other NAT is behind it: servers see its own external address",
        "Another NAT is behind it: a port that is opened in the gateway alone is not open to the internet");
    if (r->gateway_ip[0] == '\0')
        snprintf(text, sizeof text, "None was asked");
    else if (r->gateway_external_ip[0] == '\0')
        snprintf(text, sizeof text, "%s, which names no external address. %s", r->gateway_ip, finding);
    else
        snprintf(text, sizeof text, "%s, external address %s. %s", r->gateway_ip, r->gateway_external_ip, finding);
    print_field("Gateway", text);
}

static void print_bounds(const char *label, uint32_t min_s, uint32_t max_s, const char *unknown)
{
    char text[96];
    if (min_s != 0 && max_s != 0)
        (void)snprintf(text, sizeof text, "Lives idle for %" PRIu32 " s, and for less than %" PRIu32 " s", min_s,
                       max_s);
    else if (min_s != 0)
        (void)snprintf(text, sizeof text, "Lives idle for %" PRIu32 " s; whether for longer is not known", min_s);
    else if (max_s != 0)
        (void)snprintf(text, sizeof text, "Lives idle for less than %" PRIu32 " s", max_s);
    else
        (void)snprintf(text, sizeof text, "%s", unknown);
    print_field(label, text);
}

static void print_lifetime(const np_result *r)
{
    bool keeps_ports = r->ports_seen != 0 && r->ports_kept == r->ports_seen;
    print_bounds("Mapping idle", r->lifetime_min_s, r->lifetime_max_s,
                 keeps_ports
                     ? "Not known how long it lives: the next one has the same port, so that only a datagram from "
                       "outside tells, and no server could send one"
                     : "Not known how long it lives");
    print_bounds("  unanswered", r->unanswered_min_s, r->unanswered_max_s, "Not known how long it lives");
    if (r->lifetime_recreated != NP_TRISTATE_UNKNOWN)
        print_field("", choose(r->lifetime_recreated, "", "(the next one has another port)",
                               "(the next one is the same again: the address says nothing of what has gone)"));
}

/* ---- Progress ---------------------------------------------------------------------------------------------------- */

static int shown; /* characters of the line */

bool has_terminal(void)
{
#ifdef _WIN32
    return _isatty(_fileno(stderr)) != 0;
#else
    return isatty(STDERR_FILENO) != 0;
#endif
}

void show_progress(const np_event *event, void *user)
{
    (void)user;
    if (event->kind == NP_EVENT_PROGRESS)
        shown = fprintf(stderr, "\rlifetime: %" PRIu32 " of at most %" PRIu32 " s ", event->done_s, event->total_s);
}

void end_progress(void)
{
    if (shown > 0)
        fprintf(stderr, "\r%*s\r", shown, "");
    shown = 0;
}

void print_tests(const np_result *r, int32_t tests)
{
    if ((tests & NP_TESTS_PORT) != 0)
        print_port(r);
    if ((tests & NP_TESTS_REFUSED) != 0)
        print_refused(r);
    if ((tests & NP_TESTS_HAIRPIN) != 0)
        print_hairpin(r);
    if ((tests & NP_TESTS_LIFETIME) != 0)
        print_lifetime(r);
    if ((tests & NP_TESTS_GATEWAY) != 0)
        print_gateway(r);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void json_answer(const char *key, int32_t answer)
{
    json_text(key, np_tristate_name(answer));
}

/* 0 is null: not known. */
static void json_seconds(const char *key, uint32_t seconds)
{
    if (seconds != 0)
        printf(", \"%s\": %" PRIu32, key, seconds);
    else
        printf(", \"%s\": null", key);
}

static void json_lifetime(const np_result *r)
{
    json_seconds("lifetime_min_s", r->lifetime_min_s);
    json_seconds("lifetime_max_s", r->lifetime_max_s);
    json_seconds("unanswered_min_s", r->unanswered_min_s);
    json_seconds("unanswered_max_s", r->unanswered_max_s);
    json_answer("lifetime_recreated", r->lifetime_recreated);
}

void print_tests_json(const np_result *r, int32_t tests)
{
    if ((tests & NP_TESTS_PORT) != 0)
        json_answer("port_open", r->port_open);
    if ((tests & NP_TESTS_REFUSED) != 0)
        json_answer("refused_takes_port", r->refused_takes_port);
    if ((tests & NP_TESTS_HAIRPIN) != 0) {
        json_answer("hairpin", r->hairpin);
        json_answer("hairpin_external", r->hairpin_external);
    }
    if ((tests & NP_TESTS_LIFETIME) != 0)
        json_lifetime(r);
    if ((tests & NP_TESTS_GATEWAY) != 0) {
        json_answer("another_nat", r->another_nat);
        json_known("gateway_ip", r->gateway_ip);
        json_known("gateway_external_ip", r->gateway_external_ip);
    }
}
