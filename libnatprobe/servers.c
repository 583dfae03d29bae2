/* SPDX-License-Identifier: MIT */
/* The built-in public servers, and the parsing of what users write for a server. */
#include "servers.h"

#include <string.h>
#ifdef _WIN32
#define strncasecmp _strnicmp
#else
#include <strings.h>
#endif

#include <natprobe/natprobe.h>

#include "default_servers.h"

#define NAME_MAX_LENGTH 253 /* RFC 1035 section 2.3.4, in text and without the final dot */
#define LABEL_MAX_LENGTH 63

/* ---- Parsing ---------------------------------------------------------------------------------------------------- */

/* A piece of the user's text. */
typedef struct span {
    const char *start;
    size_t length;
} span;

static span span_of(const char *start, const char *end)
{
    return (span){start, (size_t)(end - start)};
}

/* ctype.h would follow the locale. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_label_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

static bool parse_port(span text, uint16_t *out)
{
    if (text.length == 0 || text.length > 5)
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!is_digit(text.start[i]))
            return false;
        value = value * 10 + (uint32_t)(text.start[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX)
        return false;
    *out = (uint16_t)value;
    return true;
}

/* "" or ":PORT". An empty port is more likely a script's empty variable than a wish for the default: refused. */
static bool parse_port_part(const char *text, uint16_t *out)
{
    *out = NPI_STUN_PORT;
    if (*text == '\0')
        return true;
    return *text == ':' && parse_port((span){text + 1, strlen(text + 1)}, out);
}

/* Decimal, octal or hexadecimal as inet_aton reads it. */
static bool is_number(span label)
{
    bool hex = label.length >= 2 && label.start[0] == '0' && (label.start[1] == 'x' || label.start[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < label.length; i++) {
        if (!(hex ? is_hex_digit(label.start[i]) : is_digit(label.start[i])))
            return false;
    }
    return true;
}

/*
 * Labels of letters, digits, '-' and '_'. A name whose last label is a number is none: getaddrinfo would read "1.2.3"
 * or "0x7f.1" as an address in a form of the 1980s. True IPv4 literals have been recognised before.
 */
static bool is_name(span host)
{
    if (host.length > 0 && host.start[host.length - 1] == '.')
        host.length--;
    if (host.length == 0 || host.length > NAME_MAX_LENGTH)
        return false;
    const char *end = host.start + host.length;
    const char *label = host.start;
    for (const char *c = host.start; c < end; c++) {
        if (*c == '.') {
            if (c == label)
                return false;
            label = c + 1;
        } else if (!is_label_char(*c) || c - label >= LABEL_MAX_LENGTH) {
            return false;
        }
    }
    return label < end && !is_number(span_of(label, end));
}

/* Puts the host into out when it is an address of the family, or, for NPI_FAMILY_NONE, an IPv4 literal or a name. */
static bool take_host(span host, npi_family family, npi_server_name *out)
{
    if (host.length >= sizeof out->host)
        return false;
    memcpy(out->host, host.start, host.length);
    out->host[host.length] = '\0';
    npi_addr literal;
    if (npi_addr_parse_ip(out->host, &literal))
        return family == NPI_FAMILY_NONE || literal.family == family;
    return family == NPI_FAMILY_NONE && is_name(host);
}

/* In a URI the "%" before a zone is written "%25" (RFC 6874). */
static void decode_zone(char *host)
{
    char *zone = strchr(host, '%');
    if (zone != NULL && strncmp(zone, "%25", 3) == 0 && zone[3] != '\0')
        memmove(zone + 1, zone + 3, strlen(zone + 3) + 1);
}

/* "[IPv6]" or "[IPv6]:PORT". */
static bool parse_bracketed(const char *text, bool is_uri, npi_server_name *out)
{
    char host[NPI_HOST_SIZE] = "";
    const char *end = strchr(text, ']');
    if (end == NULL || (size_t)(end - text) > sizeof host)
        return false;
    memcpy(host, text + 1, (size_t)(end - text) - 1);
    if (is_uri)
        decode_zone(host);
    return take_host((span){host, strlen(host)}, NPI_IPV6, out) && parse_port_part(end + 1, &out->port);
}

/* Everything but the brackets. A second colon is that of an IPv6 address, which RFC 7064 does not allow bare. */
static bool parse_plain(const char *text, bool is_uri, npi_server_name *out)
{
    const char *end = text + strcspn(text, ":");
    if (*end == ':' && strchr(end + 1, ':') != NULL) {
        out->port = NPI_STUN_PORT;
        return !is_uri && take_host((span){text, strlen(text)}, NPI_IPV6, out);
    }
    return take_host(span_of(text, end), NPI_FAMILY_NONE, out) && parse_port_part(end, &out->port);
}

static bool has_scheme(const char *text, const char *scheme)
{
    return strncasecmp(text, scheme, strlen(scheme)) == 0;
}

bool npi_server_parse(const char *text, npi_server_name *out)
{
    if (text == NULL || has_scheme(text, "stuns:") || has_scheme(text, "turn:") || has_scheme(text, "turns:"))
        return false;
    bool is_uri = has_scheme(text, "stun:");
    if (is_uri)
        text += strlen("stun:");
    npi_server_name parsed = {.use = NPI_USE_ANY};
    if (!(*text == '[' ? parse_bracketed(text, is_uri, &parsed) : parse_plain(text, is_uri, &parsed)))
        return false;
    *out = parsed;
    return true;
}

/* ---- The built-in list ------------------------------------------------------------------------------------------ */

#define SERVER_TEXT(server, since, surveyed) server "\0"
#define IS_BEHAVIOUR(server, since, surveyed) NPI_USE_BEHAVIOUR,
#define IS_MAPPING(server, since, surveyed) NPI_USE_MAPPING,

/*
 * "Behaviour" means that it is expected to name a second address; whether it honours CHANGE-REQUEST is found out in
 * every run. Some names share an address: addresses are compared, not names. One string, no pointers: see error.c.
 */
static const char builtin_texts[] = "" NPI_DEFAULT_SERVERS(SERVER_TEXT, SERVER_TEXT);
static const uint8_t builtin_uses[] = {NPI_DEFAULT_SERVERS(IS_BEHAVIOUR, IS_MAPPING) NPI_USE_ANY}; /* the end */

#define BUILTIN_COUNT (sizeof builtin_uses - 1) /* 0: the build was given an empty list */
_Static_assert(BUILTIN_COUNT <= NP_MAX_SERVERS, "who takes a handle's worth of servers gets all of them");

size_t npi_builtin_server_count(void)
{
    return BUILTIN_COUNT;
}

void npi_builtin_server(size_t index, npi_server_name *out)
{
    const char *text = builtin_texts;
    for (size_t i = 0; i < index; i++)
        text += strlen(text) + 1;
    if (!npi_server_parse(text, out))
        *out = (npi_server_name){.port = 0}; /* a name that nobody has */
    out->use = (npi_server_use)builtin_uses[index];
}

static void swap(uint8_t *a, uint8_t *b)
{
    uint8_t kept = *a;
    *a = *b;
    *b = kept;
}

/* Fisher and Yates. The remainder prefers some places by one in eight: good enough to spread the load. */
static void shuffle(uint8_t *order, size_t count, const uint8_t *random)
{
    for (size_t i = 0; i < count; i++)
        order[i] = (uint8_t)i;
    for (size_t left = count; left > 1; left--)
        swap(&order[left - 1], &order[random[left - 1] % left]);
}

/* Brings the first server of that use to place, if there is one. */
static void bring_forward(uint8_t *order, size_t count, size_t place, npi_server_use use)
{
    for (size_t i = place; i < count; i++) {
        if (builtin_uses[order[i]] == use) {
            swap(&order[place], &order[i]);
            return;
        }
    }
}

size_t npi_builtin_shuffled(npi_server_name *out, size_t max, const uint8_t *random)
{
    uint8_t order[NP_MAX_SERVERS];
    const size_t all = npi_builtin_server_count();
    shuffle(order, all, random);
    bring_forward(order, all, 0, NPI_USE_BEHAVIOUR);
    bring_forward(order, all, 1, NPI_USE_MAPPING);
    bring_forward(order, all, 2, NPI_USE_BEHAVIOUR); /* takes the first one's place where its name is slow */
    size_t count = max < all ? max : all;
    for (size_t i = 0; i < count; i++)
        npi_builtin_server(order[i], &out[i]);
    return count;
}
