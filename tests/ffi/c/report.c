/* SPDX-License-Identifier: MIT */
/* A result as JSON, with the keys of "natprobe --json". */
#include <inttypes.h>
#include <stdio.h>

#include "driver.h"

static void print_string(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7f)
            printf("\\u%04x", (unsigned)*c);
        else
            putchar(*c);
    }
    putchar('"');
}

static void print_text(const char *key, const char *text)
{
    printf(", \"%s\": ", key);
    print_string(text);
}

/* Empty means unknown. */
static void print_known(const char *key, const char *text)
{
    if (text[0] != '\0')
        print_text(key, text);
    else
        printf(", \"%s\": null", key);
}

static void print_port(const char *key, uint16_t port)
{
    if (port != 0)
        printf(", \"%s\": %" PRIu16, key, port);
    else
        printf(", \"%s\": null", key);
}

static void print_ms(const char *key, uint64_t us)
{
    printf(", \"%s\": %" PRIu64 ".%03" PRIu64, key, us / 1000, us % 1000);
}

static void print_evidence(uint32_t evidence)
{
    const char *separator = "";
    fputs(", \"evidence\": [", stdout);
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
        if ((evidence & bit) == 0)
            continue;
        fputs(separator, stdout);
        print_string(np_evidence_name(bit));
        separator = ", ";
    }
    putchar(']');
}

int print_result(const np_result *r)
{
    fputs("{\"status\": ", stdout);
    print_string(np_error_name(r->error));
    print_text("nat_type", np_nat_type_name(r->nat_type));
    print_text("mapping", np_behaviour_name(r->mapping));
    print_text("filtering", np_behaviour_name(r->filtering));
    print_known("external_ip", r->external_ip);
    print_port("external_port", r->external_port);
    print_known("local_ip", r->local_ip);
    print_port("local_port", r->local_port);
    print_known("server", r->server);
    if (r->rtt_us != 0)
        print_ms("rtt_ms", r->rtt_us);
    else
        fputs(", \"rtt_ms\": null", stdout);
    print_ms("elapsed_ms", r->elapsed_us);
    printf(", \"packets_sent\": %" PRIu32 ", \"packets_received\": %" PRIu32, r->packets_sent, r->packets_received);
    printf(", \"ports_seen\": %" PRIu16 ", \"ports_kept\": %" PRIu16, r->ports_seen, r->ports_kept);
    if (r->port_step != 0)
        printf(", \"port_step\": %" PRId32, r->port_step);
    else
        fputs(", \"port_step\": null", stdout);
    printf(", \"external_ips\": %" PRIu16 ", \"local_ips\": %" PRIu16, r->external_ips, r->local_ips);
    print_text("local_class", np_address_class_name(r->local_class));
    print_evidence(r->evidence);
    print_text("detail", r->detail);
    puts("}");
    fflush(stdout);
    if (r->error != NP_OK)
        fprintf(stderr, "%s\n", r->detail[0] != '\0' ? r->detail : np_strerror(r->error));
    return r->error == NP_OK ? EXIT_VERDICT : EXIT_NO_VERDICT;
}
