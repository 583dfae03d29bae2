/* SPDX-License-Identifier: MIT */
/*
 * The input is two lines, each of which may be the profile of a stranger. What the library accepts is compared with a
 * second reader, of the grammar in docs/OUTLOOK.md. What it has read it writes in the same words each time, and it
 * judges any two profiles the same from both sides.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <sys/socket.h>

#include <natprobe/natprobe.h>

/* ---- A second reader -------------------------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *words)
{
    const size_t size = strlen(word);
    for (const char *at = strstr(words, word); size != 0 && at != NULL; at = strstr(at + 1, word)) {
        if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
            return true;
    }
    return false;
}

/* Up to twelve digits; -1: something else. */
static long long number(const char *text)
{
    const size_t size = strlen(text);
    if (size == 0 || size > 12 || strspn(text, "0123456789") != size)
        return -1;
    return strtoll(text, NULL, 10);
}

static bool is_port_range(const char *text, long long low)
{
    return number(text) >= low && number(text) <= 65535;
}

static bool is_pair(char *text)
{
    char *slash = strchr(text, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    return is_port_range(text, 0) && is_port_range(slash + 1, 0) && number(text) <= number(slash + 1);
}

/* The family of an address that a host may have; 0: it is none. */
static int family_of(const char *ip)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    unsigned char bytes[16];
    if (inet_pton(AF_INET, ip, bytes) == 1)
        return bytes[0] == 0 || bytes[0] >= 224 ? 0 : 4;
    if (inet_pton(AF_INET6, ip, bytes) != 1)
        return 0;
    return memcmp(bytes, mapped, sizeof mapped) == 0 ? 4 : 6; /* which of them a host may have is for tests of addr.c */
}

static int family_of_endpoint(char *text)
{
    char *port = NULL;
    char *end = strchr(text, ']');
    if (text[0] == '[') {
        if (end == NULL || (end[1] != '\0' && end[1] != ':'))
            return 0;
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        text++;
        if (strchr(text, ':') == NULL)
            return 0;
    } else if (strchr(text, ':') != NULL && strchr(text, ':') == strrchr(text, ':')) {
        port = strchr(text, ':') + 1;
        port[-1] = '\0';
    }
    if (port != NULL && !is_port_range(port, 1))
        return 0;
    return family_of(text);
}

/* Whether one entry may be as it is. The families that it names are added. */
static bool is_entry(char *key, int *told, int *seen)
{
    char *value = strchr(key, '=');
    if (value == NULL || value == key || value[1] == '\0')
        return false;
    *value++ = '\0';
    if (strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(key) || (key[0] >= '0' && key[0] <= '9'))
        return false;
    if (strcmp(key, "m") == 0)
        return is_one_of(value, "none ei ad apd dep ?");
    if (strcmp(key, "f") == 0)
        return is_one_of(value, "ei ad apd dep ?");
    if (strcmp(key, "fp") == 0 || strcmp(key, "b") == 0)
        return is_one_of(value, "0 1");
    if (strcmp(key, "trap") == 0)
        return is_one_of(value, "0 1 ?");
    if (strcmp(key, "v") == 0)
        *told = atoi(value);
    if (strcmp(key, "v") == 0)
        return is_one_of(value, "4 6");
    if (strcmp(key, "x") == 0)
        return (*seen = family_of_endpoint(value)) != 0;
    if (strcmp(key, "ips") == 0)
        return is_port_range(value, 0);
    if (strcmp(key, "pk") == 0)
        return is_pair(value);
    if (strcmp(key, "ps") == 0)
        return is_port_range(value + (value[0] == '-'), 0);
    return strcmp(key, "t") != 0 || number(value) >= 0;
}

static bool is_known_before(char *const *entries, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i], key) == 0)
            return true;
    }
    return false;
}

/* Entries end in 0 bytes, as do their keys once they have been read. */
static bool is_line(const char *text)
{
    char copy[NP_PROFILE_TEXT_SIZE];
    char *entries[NP_PROFILE_TEXT_SIZE];
    size_t count = 0;
    int told = 0, seen = 0;
    if (strlen(text) >= sizeof copy || strncmp(text, "np1", 3) != 0 || (text[3] != '\0' && text[3] != ' '))
        return false;
    memcpy(copy, text, strlen(text) + 1);
    for (char *c = copy; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7e)
            return false;
    }
    for (char *at = copy + 3; at != NULL;) {
        if (count == 0 && *at == '\0')
            return true;
        at += count == 0 && *at == ' ';
        char *next = strchr(at, ' ');
        if (next != NULL)
            *next++ = '\0';
        if (!is_entry(at, &told, &seen) || is_known_before(entries, count, at))
            return false;
        entries[count++] = at;
        at = next;
    }
    return told == 0 || seen == 0 || told == seen;
}

/* ---- What must hold --------------------------------------------------------------------------------------------- */

static bool has_range(const np_profile *p)
{
    return p->mapping >= NP_BEHAVIOUR_UNKNOWN && p->mapping <= NP_BEHAVIOUR_ENDPOINT_DEPENDENT &&
           p->filtering >= NP_BEHAVIOUR_UNKNOWN && p->filtering <= NP_BEHAVIOUR_ENDPOINT_DEPENDENT &&
           p->filtering != NP_BEHAVIOUR_NONE && p->ports_kept <= p->ports_seen && p->port_step >= -65535 &&
           p->port_step <= 65535 && p->measured_at >= 0 && p->measured_at <= 999999999999 &&
           memchr(p->external_ip, '\0', sizeof p->external_ip) != NULL;
}

static void check_written(const np_profile *p)
{
    char line[NP_PROFILE_TEXT_SIZE], again[NP_PROFILE_TEXT_SIZE];
    np_profile back;
    FUZZ_CHECK(np_profile_format(p, line, sizeof line) == NP_OK);
    FUZZ_CHECK(is_line(line));
    FUZZ_CHECK(np_profile_parse(line, &back, NULL) == NP_OK);
    if (p->ports_seen != 0)
        FUZZ_CHECK(memcmp(p, &back, sizeof back) == 0);
    FUZZ_CHECK(np_profile_format(&back, again, sizeof again) == NP_OK);
    FUZZ_CHECK(strcmp(line, again) == 0);
}

static np_profile check_line(const char *text)
{
    static const np_profile nothing;
    const char *reason = NULL;
    np_profile p, other;
    memset(&p, 0xA5, sizeof p);
    memset(&other, 0x5A, sizeof other);
    const bool valid = np_profile_parse(text, &p, &reason) == NP_OK;
    FUZZ_CHECK(valid == (np_profile_parse(text, &other, NULL) == NP_OK));
    FUZZ_CHECK(memcmp(&p, &other, sizeof p) == 0);
    FUZZ_CHECK(valid == (reason == NULL));
    if (!valid) {
        FUZZ_CHECK(strlen(reason) > 10 && memcmp(&p, &nothing, sizeof p) == 0);
        /* The second reader knows fewer addresses that no host has. */
        FUZZ_CHECK(!is_line(text) || strncmp(reason, "x is", 4) == 0 || strncmp(reason, "v and x", 7) == 0);
        return p;
    }
    FUZZ_CHECK(has_range(&p));
    FUZZ_CHECK(is_line(text));
    check_written(&p);
    return p;
}

static bool connects(int32_t outlook)
{
    return outlook >= NP_OUTLOOK_DIRECT && outlook <= NP_OUTLOOK_PUNCH_LEARN;
}

static void check_pair(const np_profile *ours, const np_profile *theirs, int64_t now)
{
    np_outlook_result r, other;
    FUZZ_CHECK(np_outlook(ours, theirs, now, &r) == NP_OK && np_outlook(theirs, ours, now, &other) == NP_OK);
    FUZZ_CHECK(r.best >= NP_OUTLOOK_DIRECT && r.best <= r.worst && r.worst <= NP_OUTLOOK_RELAY);
    const bool is_certain = connects(r.best) == connects(r.worst);
    FUZZ_CHECK(r.outlook == (is_certain ? r.worst : NP_OUTLOOK_UNKNOWN) || r.outlook == NP_OUTLOOK_SAME_NAT);
    other.first = other.first == NP_FIRST_OURS     ? NP_FIRST_THEIRS
                  : other.first == NP_FIRST_THEIRS ? NP_FIRST_OURS
                                                   : other.first;
    FUZZ_CHECK(memcmp(&r, &other, sizeof r) == 0);
    if (ours->udp_blocked != 0 || theirs->udp_blocked != 0)
        FUZZ_CHECK(r.best == NP_OUTLOOK_RELAY);
    FUZZ_CHECK(strcmp(np_outlook_rule_name(r.rule), "unknown") != 0 || r.rule == NP_RULE_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t first = newline != NULL ? (size_t)(newline - data) : size;
    const size_t second = newline != NULL ? size - first - 1 : 0;
    /* In memory of their own size: a byte too far is seen. */
    char *ours = calloc(first + 1, 1), *theirs = calloc(second + 1, 1);
    if (ours != NULL && theirs != NULL) {
        if (first > 0)
            memcpy(ours, data, first);
        if (second > 0)
            memcpy(theirs, newline + 1, second);
        const np_profile a = check_line(ours), b = check_line(theirs);
        check_pair(&a, &b, a.measured_at);
        check_pair(&b, &a, 0);
    }
    free(ours);
    free(theirs);
    return 0;
}
