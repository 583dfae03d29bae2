/* SPDX-License-Identifier: MIT */
/*
 * IP addresses and their text. Windows has inet_pton() in its socket library, which has to be started first, and writes
 * some addresses in ways of its own. This gives the same text on every system. It is plain C and is tested on all.
 */
#include "addr_windows.h"

#include <stdio.h>
#include <string.h>

#define GROUPS 8

/* ---- From text -------------------------------------------------------------------------------------------------- */

/* One number of IPv4: up to three digits, no leading zero, which some take for octal. Moves *at behind it. */
static bool read_byte(const char **at, uint8_t *out)
{
    unsigned value = 0;
    size_t digits = strspn(*at, "0123456789");
    if (digits == 0 || digits > 3 || (digits > 1 && **at == '0'))
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)((*at)[i] - '0');
    *at += digits;
    *out = (uint8_t)value;
    return value <= UINT8_MAX;
}

bool npi_ipv4_from_text(const char *text, uint8_t out[4])
{
    uint8_t ip[4];
    for (int i = 0; i < 4; i++) {
        if (i > 0 && *text++ != '.')
            return false;
        if (!read_byte(&text, &ip[i]))
            return false;
    }
    if (*text != '\0')
        return false;
    memcpy(out, ip, sizeof ip);
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Up to four hexadecimal digits. Moves *at behind them. */
static bool read_group(const char **at, uint8_t out[2])
{
    unsigned value = 0;
    size_t digits = 0;
    for (; hex_digit(**at) >= 0; (*at)++) {
        if (++digits > 4)
            return false;
        value = value << 4 | (unsigned)hex_digit(**at);
    }
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return digits > 0;
}

typedef struct ipv6_reader {
    const char *at;
    uint8_t ip[2 * GROUPS];
    size_t size; /* how much of it is read */
    size_t gap;  /* where "::" stands; GAP_NONE: nowhere yet */
} ipv6_reader;

#define GAP_NONE SIZE_MAX

/* Groups end in an IPv4 address, in the last four bytes. */
static bool read_tail(ipv6_reader *r)
{
    if (r->size > sizeof r->ip - 4 || !npi_ipv4_from_text(r->at, r->ip + r->size))
        return false;
    r->at += strlen(r->at);
    r->size += 4;
    return true;
}

/* What follows a group: its colon, and a second one where "::" stands. */
static bool read_colons(ipv6_reader *r)
{
    if (*r->at++ != ':' || *r->at == '\0')
        return false;
    if (*r->at != ':')
        return true;
    r->at++;
    if (r->gap != GAP_NONE)
        return false;
    r->gap = r->size;
    return true;
}

static bool read_groups(ipv6_reader *r)
{
    while (*r->at != '\0') {
        if (r->at[strspn(r->at, "0123456789")] == '.')
            return read_tail(r);
        if (r->size == sizeof r->ip || !read_group(&r->at, r->ip + r->size))
            return false;
        r->size += 2;
        if (*r->at != '\0' && !read_colons(r))
            return false;
    }
    return true;
}

bool npi_ipv6_from_text(const char *text, uint8_t out[16])
{
    ipv6_reader r = {.at = text, .gap = GAP_NONE};
    if (text[0] == ':') {
        if (text[1] != ':')
            return false;
        r.at += 2;
        r.gap = 0;
    }
    if (!read_groups(&r) || (r.gap == GAP_NONE) != (r.size == sizeof r.ip))
        return false;
    size_t head = r.gap != GAP_NONE ? r.gap : r.size;
    size_t tail = r.size - head;
    memset(out, 0, sizeof r.ip);
    memcpy(out, r.ip, head);
    memcpy(out + sizeof r.ip - tail, r.ip + head, tail);
    return true;
}

/* ---- To text ---------------------------------------------------------------------------------------------------- */

void npi_ipv4_to_text(const uint8_t ip[4], char *out, size_t size)
{
    (void)snprintf(out, size, "%u.%u.%u.%u", (unsigned)ip[0], (unsigned)ip[1], (unsigned)ip[2], (unsigned)ip[3]);
}

static unsigned group_of(const uint8_t ip[16], int i)
{
    return (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
}

static int zeros_from(const uint8_t ip[16], int first)
{
    int count = 0;
    while (first + count < GROUPS && group_of(ip, first + count) == 0)
        count++;
    return count;
}

typedef struct zero_run {
    int first;
    int count;
} zero_run;

/* The longest run of zero groups, of two at least; of runs as long as each other the first. */
static zero_run longest_zeros(const uint8_t ip[16])
{
    zero_run longest = {.first = -1, .count = 1};
    for (int i = 0; i < GROUPS; i++) {
        int count = zeros_from(ip, i);
        if (count > longest.count)
            longest = (zero_run){.first = i, .count = count};
    }
    return longest;
}

/* ::ffff:1.2.3.4, and ::1.2.3.4 as other systems write it. */
static bool ends_in_ipv4(const uint8_t ip[16], const zero_run *zeros)
{
    return zeros->first == 0 && (zeros->count == 6 || (zeros->count == 5 && group_of(ip, 5) == 0xffff));
}

void npi_ipv6_to_text(const uint8_t ip[16], char *out, size_t size)
{
    const zero_run zeros = longest_zeros(ip);
    const int groups = ends_in_ipv4(ip, &zeros) ? GROUPS - 2 : GROUPS;
    size_t length = 0;
    for (int i = 0; i < groups; i++) {
        if (i == zeros.first) {
            length += (size_t)snprintf(out + length, size - length, "::");
            i += zeros.count - 1;
            continue;
        }
        const char *colon = i == 0 || out[length - 1] == ':' ? "" : ":";
        length += (size_t)snprintf(out + length, size - length, "%s%x", colon, group_of(ip, i));
    }
    if (groups == GROUPS)
        return;
    if (out[length - 1] != ':')
        length += (size_t)snprintf(out + length, size - length, ":");
    npi_ipv4_to_text(ip + 12, out + length, size - length);
}
