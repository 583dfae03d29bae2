/* SPDX-License-Identifier: MIT */
/*
 * Profiles: from a result, to a line of text, and back. A line may come from a stranger, so its length is bounded, and
 * each value is read into a known range or refused with a sentence of its own.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <natprobe/natprobe.h>

#include "addr.h"

#define COUNT_MAX UINT16_MAX
#define STEP_MAX UINT16_MAX
#define TIME_MAX 999999999999 /* twelve digits */

size_t np_profile_size(void)
{
    return sizeof(np_profile);
}

/* A string of a structure that a caller has filled; nothing where its terminator is missing. */
static bool read_address(const char text[NP_IP_TEXT_SIZE], npi_addr *out)
{
    *out = (npi_addr){.family = NPI_FAMILY_NONE};
    return memchr(text, '\0', NP_IP_TEXT_SIZE) != NULL && npi_addr_zone(text)[0] == '\0' &&
           npi_addr_parse_ip(text, out);
}

/* One that a host may have. An IPv4 address written as IPv6 becomes what it is. */
static bool read_host_address(const char text[NP_IP_TEXT_SIZE], npi_addr *out)
{
    if (!read_address(text, out))
        return false;
    *out = npi_addr_unmap(out);
    npi_addr whole = npi_addr_with_port(out, 1);
    return npi_addr_is_destination(&whole);
}

/* ---- From a result ---------------------------------------------------------------------------------------------- */

static int32_t family_of(const char text[NP_IP_TEXT_SIZE])
{
    npi_addr address;
    return read_address(text, &address) ? npi_addr_unmap(&address).family : NP_FAMILY_ANY;
}

int np_profile_from_result(const np_result *result, int64_t now_unix, np_profile *profile)
{
    if (profile == NULL)
        return NP_ERR_ARGUMENT;
    memset(profile, 0, sizeof *profile);
    if (result == NULL)
        return NP_ERR_ARGUMENT;
    profile->measured_at = now_unix;
    profile->mapping = result->mapping;
    profile->filtering = result->filtering;
    profile->filtering_proven = (result->evidence & NP_EVIDENCE_FILTERING_PROVEN) != 0;
    profile->udp_blocked = result->nat_type == NP_NAT_UDP_BLOCKED;
    profile->family = family_of(result->external_ip);
    if (profile->family == NP_FAMILY_ANY)
        profile->family = family_of(result->local_ip);
    else
        memcpy(profile->external_ip, result->external_ip, strlen(result->external_ip));
    profile->external_port = profile->external_ip[0] != '\0' ? result->external_port : 0;
    profile->port_step = result->port_step;
    profile->external_ips = result->external_ips;
    profile->ports_seen = result->ports_seen;
    profile->ports_kept = result->ports_kept;
    profile->refused_takes_port = result->refused_takes_port;
    return NP_OK;
}

/* ---- Words ------------------------------------------------------------------------------------------------------ */

typedef struct word {
    char text[5];
    uint8_t value;
} word;

static const word mappings[] = {{"?", NP_BEHAVIOUR_UNKNOWN},
                                {"none", NP_BEHAVIOUR_NONE},
                                {"ei", NP_BEHAVIOUR_ENDPOINT_INDEPENDENT},
                                {"ad", NP_BEHAVIOUR_ADDRESS_DEPENDENT},
                                {"apd", NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT},
                                {"dep", NP_BEHAVIOUR_ENDPOINT_DEPENDENT},
                                {"", 0}};
static const word filterings[] = {{"?", NP_BEHAVIOUR_UNKNOWN},
                                  {"ei", NP_BEHAVIOUR_ENDPOINT_INDEPENDENT},
                                  {"ad", NP_BEHAVIOUR_ADDRESS_DEPENDENT},
                                  {"apd", NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT},
                                  {"dep", NP_BEHAVIOUR_ENDPOINT_DEPENDENT},
                                  {"", 0}};
static const word families[] = {{"4", NP_FAMILY_IPV4}, {"6", NP_FAMILY_IPV6}, {"", 0}};
static const word answers[] = {{"?", NP_TRISTATE_UNKNOWN}, {"0", NP_TRISTATE_NO}, {"1", NP_TRISTATE_YES}, {"", 0}};
static const word switches[] = {{"0", 0}, {"1", 1}, {"", 0}};

/* The first word stands for every value that has none. */
static const char *word_for(const word *list, int32_t value)
{
    for (const word *w = list; w->text[0] != '\0'; w++) {
        if (w->value == value)
            return w->text;
    }
    return list->text;
}

/* ---- To text ---------------------------------------------------------------------------------------------------- */

typedef struct line {
    char text[NP_PROFILE_TEXT_SIZE];
    size_t length;
} line;

/* Every value has a range, so the line always has room for all of them. */
static void append(line *l, const char *key, const char *value)
{
    size_t room = sizeof l->text - l->length;
    int length = snprintf(l->text + l->length, room, " %s=%s", key, value);
    if (length > 0 && (size_t)length < room)
        l->length += (size_t)length;
}

static void append_number(line *l, const char *key, long long value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", value);
    append(l, key, text);
}

static void append_address(line *l, const npi_addr *address, uint16_t port)
{
    char ip[NPI_ADDR_IP_TEXT], text[NPI_ADDR_TEXT];
    npi_addr whole = npi_addr_with_port(address, port);
    if (port != 0) {
        npi_addr_format(&whole, text);
        append(l, "x", text);
        return;
    }
    npi_addr_format_ip(&whole, ip);
    append(l, "x", ip);
}

static void append_ports(line *l, const np_profile *p)
{
    char text[16];
    unsigned seen = p->ports_seen, kept = p->ports_kept < seen ? p->ports_kept : seen;
    if (seen == 0)
        return;
    (void)snprintf(text, sizeof text, "%u/%u", kept, seen);
    append(l, "pk", text);
}

static void append_known(line *l, const np_profile *p)
{
    if (p->udp_blocked != 0)
        append(l, "b", "1");
    if (p->external_ips != 0)
        append_number(l, "ips", p->external_ips);
    append_ports(l, p);
    if (p->port_step != 0 && p->port_step >= -STEP_MAX && p->port_step <= STEP_MAX)
        append_number(l, "ps", p->port_step);
    if (p->refused_takes_port == NP_TRISTATE_NO || p->refused_takes_port == NP_TRISTATE_YES)
        append(l, "trap", word_for(answers, p->refused_takes_port));
    if (p->measured_at > 0 && p->measured_at <= TIME_MAX)
        append_number(l, "t", p->measured_at);
}

int np_profile_format(const np_profile *profile, char *text, size_t size)
{
    line l = {"np1", 3};
    npi_addr address = {.family = NPI_FAMILY_NONE};
    if (text != NULL && size != 0)
        text[0] = '\0';
    if (profile == NULL || text == NULL)
        return NP_ERR_ARGUMENT;
    if (profile->external_ip[0] != '\0' && !read_host_address(profile->external_ip, &address))
        return NP_ERR_ARGUMENT;
    int32_t filtering = profile->filtering != NP_BEHAVIOUR_NONE ? profile->filtering
                                                                : NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    append(&l, "m", word_for(mappings, profile->mapping));
    append(&l, "f", word_for(filterings, filtering));
    append(&l, "fp", profile->filtering_proven != 0 ? "1" : "0");
    int32_t family = npi_addr_is_set(&address) ? address.family : profile->family;
    if (family == NP_FAMILY_IPV4 || family == NP_FAMILY_IPV6)
        append(&l, "v", word_for(families, family));
    if (npi_addr_is_set(&address))
        append_address(&l, &address, profile->external_port);
    append_known(&l, profile);
    if (l.length >= size)
        return NP_ERR_ARGUMENT;
    memcpy(text, l.text, l.length + 1);
    return NP_OK;
}

/* ---- From text -------------------------------------------------------------------------------------------------- */

/* A piece of the text. */
typedef struct span {
    const char *at;
    size_t size;
} span;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool span_is(span s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.at, text, s.size) == 0;
}

/* What stands before the first separator; the separator is taken away too. */
static span take_until(span *rest, char separator)
{
    const char *end = memchr(rest->at, separator, rest->size);
    span taken = {rest->at, end != NULL ? (size_t)(end - rest->at) : rest->size};
    size_t gone = end != NULL ? taken.size + 1 : taken.size;
    *rest = (span){rest->at + gone, rest->size - gone};
    return taken;
}

static bool read_word(span s, const word *list, int32_t *out)
{
    for (const word *w = list; w->text[0] != '\0'; w++) {
        if (span_is(s, w->text)) {
            *out = w->value;
            return true;
        }
    }
    return false;
}

static bool read_number(span s, int64_t max, int64_t *out)
{
    int64_t value = 0;
    if (s.size == 0 || s.size > 12)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        if (!is_digit(s.at[i]))
            return false;
        value = value * 10 + (s.at[i] - '0');
    }
    *out = value;
    return value <= max;
}

static bool read_count(span s, uint16_t *out)
{
    int64_t value = 0;
    bool valid = read_number(s, COUNT_MAX, &value);
    *out = (uint16_t)(valid ? value : 0);
    return valid;
}

static bool read_ports(span s, np_profile *p)
{
    span kept = take_until(&s, '/');
    return read_count(kept, &p->ports_kept) && read_count(s, &p->ports_seen) && p->ports_kept <= p->ports_seen;
}

static bool read_step(span s, np_profile *p)
{
    bool is_negative = s.size != 0 && s.at[0] == '-';
    int64_t value = 0;
    if (!read_number((span){s.at + is_negative, s.size - is_negative}, STEP_MAX, &value))
        return false;
    p->port_step = (int32_t)(is_negative ? -value : value);
    return true;
}

/* "IPv4", "IPv4:port", "IPv6", "[IPv6]" or "[IPv6]:port": parts it into address and port. */
static bool split_address(span s, span *ip, span *port)
{
    bool has_brackets = s.size != 0 && s.at[0] == '[';
    *port = (span){s.at, 0};
    if (!has_brackets) {
        span rest = s;
        *ip = take_until(&rest, ':');
        bool is_ipv6 = memchr(rest.at, ':', rest.size) != NULL;
        bool has_port = !is_ipv6 && ip->size < s.size;
        *ip = is_ipv6 ? s : *ip;
        *port = has_port ? rest : *port;
        return !has_port || rest.size != 0;
    }
    span rest = {s.at + 1, s.size - 1};
    *ip = take_until(&rest, ']');
    bool is_closed = ip->size + 2 <= s.size;
    if (rest.size == 0)
        return is_closed && memchr(ip->at, ':', ip->size) != NULL;
    *port = (span){rest.at + 1, rest.size - 1};
    return is_closed && rest.at[0] == ':' && port->size != 0 && memchr(ip->at, ':', ip->size) != NULL;
}

static bool read_external(span s, np_profile *p)
{
    char text[NP_IP_TEXT_SIZE] = "";
    span ip, port;
    npi_addr address;
    if (!split_address(s, &ip, &port) || ip.size >= sizeof text)
        return false;
    memcpy(text, ip.at, ip.size);
    if (port.size != 0 && (!read_count(port, &p->external_port) || p->external_port == 0))
        return false;
    if (!read_host_address(text, &address))
        return false;
    npi_addr_format_ip(&address, p->external_ip);
    return true;
}

/* The keys, each with what is wrong where its value cannot be read. */
#define KEYS(X)                                                                                                        \
    X("m", read_word(s, mappings, &p->mapping), "m is none of none, ei, ad, apd, dep and ?")                           \
    X("f", read_word(s, filterings, &p->filtering), "f is none of ei, ad, apd, dep and ?")                             \
    X("fp", read_word(s, switches, &p->filtering_proven), "fp is neither 0 nor 1")                                     \
    X("v", read_word(s, families, &p->family), "v is neither 4 nor 6")                                                 \
    X("x", read_external(s, p), "x is no address that a host may have, with or without a port")                        \
    X("b", read_word(s, switches, &p->udp_blocked), "b is neither 0 nor 1")                                            \
    X("ips", read_count(s, &p->external_ips), "ips is no number from 0 to 65535")                                      \
    X("pk", read_ports(s, p), "pk is not two numbers from 0 to 65535 with a slash between, the second not smaller")    \
    X("ps", read_step(s, p), "ps is no number from -65535 to 65535")                                                   \
    X("trap", read_word(s, answers, &p->refused_takes_port), "trap is none of 0, 1 and ?")                             \
    X("t", read_number(s, TIME_MAX, &p->measured_at), "t is no number of at most twelve digits")

/* Returns NULL, or what is wrong. Keys of later versions are passed over. */
static const char *read_value(span key, span s, np_profile *p)
{
#define READ(name, reading, wrong)                                                                                     \
    if (span_is(key, name))                                                                                            \
        return (reading) ? NULL : (wrong);
    KEYS(READ)
#undef READ
    return NULL;
}

static bool is_key(span s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (!(s.at[i] >= 'a' && s.at[i] <= 'z') && !(i > 0 && is_digit(s.at[i])))
            return false;
    }
    return s.size != 0;
}

/* Was there an entry with this key before, in what lies between two places? */
static bool has_key(const char *from, const char *to, span key)
{
    span rest = {from, (size_t)(to - from)};
    while (rest.size != 0) {
        span entry = take_until(&rest, ' ');
        span earlier = take_until(&entry, '=');
        if (earlier.size == key.size && memcmp(earlier.at, key.at, key.size) == 0)
            return true;
    }
    return false;
}

static const char *read_entries(span rest, np_profile *p)
{
    const char *start = rest.at;
    bool is_last = rest.size == 0;
    while (!is_last) {
        const char *here = rest.at;
        is_last = memchr(rest.at, ' ', rest.size) == NULL;
        span value = take_until(&rest, ' ');
        if (value.size == 0)
            return "There is not exactly one space between two entries, or one behind the last";
        span key = take_until(&value, '=');
        if (!is_key(key) || value.size == 0)
            return "An entry is not a key of small letters and digits, '=' and a value";
        if (has_key(start, here, key))
            return "A key stands twice";
        const char *wrong = read_value(key, value, p);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static const char *read_version(span *rest)
{
    span version = take_until(rest, ' ');
    bool has_digits = version.size > 2 && memcmp(version.at, "np", 2) == 0;
    for (size_t i = 2; i < version.size; i++)
        has_digits = has_digits && is_digit(version.at[i]);
    if (!has_digits)
        return "It does not begin with \"np1\"";
    return span_is(version, "np1") ? NULL : "It is of another version than 1, the only one that is known";
}

static bool is_printable(span s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (s.at[i] < ' ' || s.at[i] > '~')
            return false;
    }
    return true;
}

static const char *read_line(const char *text, np_profile *p)
{
    const char *end = memchr(text, '\0', NP_PROFILE_TEXT_SIZE);
    if (end == NULL)
        return "It is longer than 159 characters";
    span rest = {text, (size_t)(end - text)};
    if (!is_printable(rest))
        return "It has a character that is not printable ASCII";
    const char *wrong = read_version(&rest);
    if (wrong == NULL && end[-1] == ' ')
        wrong = "There is not exactly one space between two entries, or one behind the last";
    if (wrong == NULL)
        wrong = read_entries(rest, p);
    if (wrong != NULL || p->external_ip[0] == '\0')
        return wrong;
    int32_t family = family_of(p->external_ip);
    if (p->family != NP_FAMILY_ANY && p->family != family)
        return "v and x are of different families";
    p->family = family;
    return NULL;
}

int np_profile_parse(const char *text, np_profile *profile, const char **reason)
{
    const char *wrong = "There is no text, or no profile to read it into";
    if (profile != NULL)
        memset(profile, 0, sizeof *profile);
    if (profile != NULL && text != NULL)
        wrong = read_line(text, profile);
    if (wrong != NULL && profile != NULL)
        memset(profile, 0, sizeof *profile);
    if (reason != NULL)
        *reason = wrong;
    return wrong == NULL ? NP_OK : NP_ERR_ARGUMENT;
}
