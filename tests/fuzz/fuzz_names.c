/* SPDX-License-Identifier: MIT */
/*
 * The input is what a user may write for a server or an address. What the library makes of it is compared with a reader
 * that goes by the grammar in natprobe.h, and addresses with inet_pton as well. And it is taken for random bytes: in
 * whatever order they bring the built-in servers, it is all of them.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "addr.h"
#include "servers.h"

/* A piece of text. */
typedef struct piece {
    const char *start;
    size_t size;
} piece;

static bool is_digit(char c)
{
    return strchr("0123456789", c) != NULL && c != '\0';
}

static int hex_value(char c)
{
    static const char digits[] = "00112233445566778899aAbBcCdDeEfF";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    if (found == NULL)
        return -1;
    return (int)(found - digits) / 2;
}

/* Splits off what is before the first of a character; what is left is behind it, and has no start at the end. */
static piece split(piece *rest, char at)
{
    const char *found = memchr(rest->start, at, rest->size);
    piece before = *rest;
    if (found == NULL) {
        *rest = (piece){NULL, 0};
        return before;
    }
    before.size = (size_t)(found - rest->start);
    *rest = (piece){found + 1, rest->size - before.size - 1};
    return before;
}

/* ---- Addresses -------------------------------------------------------------------------------------------------- */

/* Decimal without leading zeros, at most limit; -1: it is none. */
static long decimal(piece text, long limit)
{
    long value = 0;
    if (text.size == 0 || text.size > 5 || (text.size > 1 && text.start[0] == '0'))
        return -1;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.start[i]))
            return -1;
        value = value * 10 + (text.start[i] - '0');
    }
    return value <= limit ? value : -1;
}

static bool read_ipv4(piece text, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        if (text.start == NULL)
            return false;
        const long value = decimal(split(&text, '.'), 255);
        if (value < 0)
            return false;
        out[i] = (uint8_t)value;
    }
    return text.start == NULL;
}

/* Groups of RFC 4291 section 2.2, of which the last may be an IPv4 address: how many, -1 for something else. */
static int read_groups(piece text, uint8_t *out)
{
    int count = 0;
    while (text.start != NULL) {
        const piece group = split(&text, ':');
        if (count == 8 || group.size == 0)
            return -1;
        if (text.start == NULL && memchr(group.start, '.', group.size) != NULL)
            return count <= 6 && read_ipv4(group, out + 2 * count) ? count + 2 : -1;
        unsigned value = 0;
        for (size_t i = 0; i < group.size; i++) {
            if (i == 4 || hex_value(group.start[i]) < 0)
                return -1;
            value = value * 16 + (unsigned)hex_value(group.start[i]);
        }
        out[2 * count] = (uint8_t)(value >> 8);
        out[2 * count + 1] = (uint8_t)value;
        count++;
    }
    return count;
}

static const char *find_double_colon(piece text)
{
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.start[i] == ':' && text.start[i + 1] == ':')
            return text.start + i;
    }
    return NULL;
}

static bool read_ipv6(piece text, uint8_t out[16])
{
    uint8_t before[16] = {0};
    uint8_t after[16] = {0};
    const char *gap = find_double_colon(text);
    memset(out, 0, 16);
    if (gap == NULL)
        return read_groups(text, out) == 8;
    const piece head = {text.start, (size_t)(gap - text.start)};
    const piece tail = {gap + 2, text.size - head.size - 2};
    const int ahead = head.size == 0 ? 0 : read_groups(head, before);
    const int behind = tail.size == 0 ? 0 : read_groups(tail, after);
    if (ahead < 0 || behind < 0 || ahead + behind > 7 || memchr(head.start, '.', head.size) != NULL)
        return false;
    memcpy(out, before, 2 * (size_t)ahead);
    memcpy(out + 16 - 2 * behind, after, 2 * (size_t)behind);
    return true;
}

/* What an interface may be called, or its index. */
static bool is_zone(piece text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.start[i] <= 0x20 || text.start[i] >= 0x7f || text.start[i] == '/')
            return false;
    }
    return text.size >= 1 && text.size <= 15;
}

/* The address, of no family where the text is none. Only link-local ones of IPv6 may have a zone. */
static npi_addr read_ip(piece text)
{
    npi_addr a = {.family = NPI_FAMILY_NONE};
    if (read_ipv4(text, a.ip))
        return (npi_addr){.family = NPI_IPV4, .ip = {a.ip[0], a.ip[1], a.ip[2], a.ip[3]}};
    const piece ip = split(&text, '%');
    if (!read_ipv6(ip, a.ip))
        return a;
    const bool is_link_local = a.ip[0] == 0xfe && a.ip[1] >= 0x80 && a.ip[1] <= 0xbf;
    if (text.start == NULL || (is_link_local && is_zone(text)))
        a.family = NPI_IPV6;
    return a;
}

static void check_format(const npi_addr *a)
{
    char text[NPI_ADDR_IP_TEXT];
    char with_port[NPI_ADDR_TEXT];
    npi_addr back;
    npi_addr_format_ip(a, text);
    FUZZ_CHECK(npi_addr_parse_ip(text, &back) && npi_addr_equal(a, &back));
    npi_addr_format(a, with_port);
    FUZZ_CHECK(strstr(with_port, text) == with_port + (a->family == NPI_IPV6));
}

static void check_ip(const char *text)
{
    uint8_t of_system[16] = {0};
    npi_addr got;
    memset(&got, 0xA5, sizeof got);
    const npi_addr expected = read_ip((piece){text, strlen(text)});
    const bool valid = npi_addr_parse_ip(text, &got);
    FUZZ_CHECK(valid == (expected.family != NPI_FAMILY_NONE));
    const bool has_zone = strchr(text, '%') != NULL;
    if (!has_zone)
        FUZZ_CHECK(valid == (inet_pton(AF_INET, text, of_system) == 1 || inet_pton(AF_INET6, text, of_system) == 1));
    if (!valid)
        return;
    FUZZ_CHECK(npi_addr_equal(&got, &expected) && got.port == 0 && got.scope == 0);
    if (has_zone) {
        FUZZ_CHECK(strlen(npi_addr_zone(text)) < NPI_ADDR_ZONE);
        check_format(&got);
        return;
    }
    FUZZ_CHECK(memcmp(got.ip, of_system, got.family == NPI_IPV6 ? 16 : 4) == 0);
    check_format(&got);
}

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

static bool is_label(piece label)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    for (size_t i = 0; i < label.size; i++) {
        if (strchr(allowed, label.start[i]) == NULL)
            return false;
    }
    return label.size >= 1 && label.size <= 63;
}

/* What inet_aton would take for a number. */
static bool is_number(piece label)
{
    const bool hex = label.size >= 2 && label.start[0] == '0' && (label.start[1] == 'x' || label.start[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < label.size; i++) {
        if (hex ? hex_value(label.start[i]) < 0 : !is_digit(label.start[i]))
            return false;
    }
    return true;
}

static bool is_name(piece text)
{
    piece label = {NULL, 0};
    if (text.size > 0 && text.start[text.size - 1] == '.')
        text.size--;
    if (text.size > 253)
        return false;
    do {
        label = split(&text, '.');
        if (!is_label(label))
            return false;
    } while (text.start != NULL);
    return !is_number(label);
}

/* Nothing, or a colon and a port; leading zeros are none of our business. */
static bool read_port(piece text, uint16_t *out)
{
    long value = 0;
    *out = 3478;
    if (text.start == NULL)
        return true;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.start[i]))
            return false;
        value = value * 10 + (text.start[i] - '0');
        if (i == 5)
            return false;
    }
    *out = (uint16_t)value;
    return value >= 1 && value <= 65535;
}

static bool begins_with(piece text, const char *scheme)
{
    for (size_t i = 0; scheme[i] != '\0'; i++) {
        if (i >= text.size || (text.start[i] | (scheme[i] == ':' ? 0 : 0x20)) != scheme[i])
            return false;
    }
    return true;
}

static size_t count(piece text, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++)
        n += text.start[i] == c;
    return n;
}

/* In a URI "%25" stands for the "%" before a zone: the host as it would be written elsewhere. */
static piece without_escape(piece host, char room[256])
{
    const char *zone = memchr(host.start, '%', host.size);
    const size_t ahead = zone != NULL ? (size_t)(zone - host.start) : host.size;
    if (host.size >= 256 || host.size < ahead + 4 || memcmp(zone, "%25", 3) != 0)
        return host;
    memcpy(room, host.start, ahead + 1);
    memcpy(room + ahead + 1, zone + 3, host.size - ahead - 3);
    return (piece){room, host.size - 2};
}

static bool read_bracketed(piece text, bool is_uri, char room[256], piece *host, uint16_t *port)
{
    text.start++;
    text.size--;
    *host = split(&text, ']');
    if (text.start == NULL)
        return false;
    if (is_uri)
        *host = without_escape(*host, room);
    if (read_ip(*host).family != NPI_IPV6)
        return false;
    if (text.size == 0)
        return read_port((piece){NULL, 0}, port);
    return text.start[0] == ':' && read_port((piece){text.start + 1, text.size - 1}, port);
}

static bool read_server(piece text, char room[256], piece *host, uint16_t *port)
{
    if (begins_with(text, "stuns:") || begins_with(text, "turn:") || begins_with(text, "turns:"))
        return false;
    const bool is_uri = begins_with(text, "stun:");
    if (is_uri)
        text = (piece){text.start + 5, text.size - 5};
    if (text.size > 0 && text.start[0] == '[')
        return read_bracketed(text, is_uri, room, host, port);
    if (count(text, ':') > 1) {
        *host = text;
        return !is_uri && read_port((piece){NULL, 0}, port) && read_ip(text).family == NPI_IPV6;
    }
    *host = split(&text, ':');
    return (read_ip(*host).family == NPI_IPV4 || is_name(*host)) && read_port(text, port);
}

static void check_server(const char *text)
{
    npi_server_name got, untouched;
    piece host = {NULL, 0};
    char room[256];
    uint16_t port = 0;
    memset(&got, 0xA5, sizeof got);
    untouched = got;
    const bool expected = read_server((piece){text, strlen(text)}, room, &host, &port);
    FUZZ_CHECK(npi_server_parse(text, &got) == expected);
    if (!expected) {
        FUZZ_CHECK(memcmp(&got, &untouched, sizeof got) == 0);
        return;
    }
    FUZZ_CHECK(strlen(got.host) == host.size && memcmp(got.host, host.start, host.size) == 0);
    FUZZ_CHECK(got.port == port && got.use == NPI_USE_ANY);
}

/* ---- The built-in list ------------------------------------------------------------------------------------------ */

static void check_shuffled(input *in)
{
    uint8_t random[256] = {0};
    npi_server_name all[256];
    npi_server_name own;
    bool seen[256] = {false};
    const size_t known = npi_builtin_server_count();
    const size_t most = take(in);
    take_bytes(in, random, sizeof random);
    FUZZ_CHECK(known <= 256);
    const size_t shuffled = npi_builtin_shuffled(all, most, random);
    FUZZ_CHECK(shuffled == (most < known ? most : known));
    for (size_t i = 0; i < shuffled; i++) {
        size_t k = 0;
        for (; k < known; k++) {
            npi_builtin_server(k, &own);
            if (!seen[k] && own.port == all[i].port && strcmp(own.host, all[i].host) == 0)
                break;
        }
        FUZZ_CHECK(k < known && own.use == all[i].use);
        seen[k] = true;
    }
    FUZZ_CHECK(shuffled < 1 || all[0].use == NPI_USE_BEHAVIOUR);
    FUZZ_CHECK(shuffled < 2 || all[1].use == NPI_USE_MAPPING);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    take_bytes(&in, (uint8_t *)text, size);
    text[size] = '\0';
    /* In memory of its own size: a byte too far is seen. */
    char *exact = strdup(text);
    if (exact != NULL) {
        check_ip(exact);
        check_server(exact);
    }
    in = (input){data, size};
    check_shuffled(&in);
    free(exact);
    free(text);
    return 0;
}
