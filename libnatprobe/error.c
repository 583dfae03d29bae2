/* SPDX-License-Identifier: MIT */
/*
 * Codes and texts. Each row has the code, the name and the texts of one value. The first row of a list is for values
 * without a row.
 *
 * A column of texts is one string, and each text in it has its own terminator. A table of pointers would need a
 * relocation for each text and make the library some kilobytes larger.
 */
#include "error.h"

#include <stddef.h>
#include <string.h>

#define CODE(code, ...) code,
#define ONLY_NAME(code, name) name "\0"
#define NAME(code, name, ...) name "\0"
#define ENTRY_TEXT(code, name, text) text "\0"
#define DESCRIPTION(code, name, description, advice) description "\0"
#define ADVICE(code, name, description, advice) advice "\0"

/* The text of a code in a column of the list that codes comes from. */
#define TEXT_OF(code, codes, column) text_at(column, index_of(code, codes, sizeof(codes) / sizeof((codes)[0])))

/* 0, the row for everything unknown, where the code has no row. */
static size_t index_of(int32_t code, const int32_t *codes, size_t count)
{
    size_t index = count - 1;
    while (index > 0 && codes[index] != code)
        index--;
    return index;
}

static const char *text_at(const char *column, size_t index)
{
    for (; index > 0; index--)
        column += strlen(column) + 1;
    return column;
}

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define ERRORS(X)                                                                                                      \
    X(INT32_MIN, "unknown", "Unknown error")                                                                           \
    X(NP_OK, "ok", "Success")                                                                                          \
    X(NP_PENDING, "pending", "The check is still going on")                                                            \
    X(NP_ERR_ARGUMENT, "argument", "An argument is missing, malformed or out of range")                                \
    X(NP_ERR_NO_MEMORY, "no-memory", "Out of memory")                                                                  \
    X(NP_ERR_SYSTEM, "system", "The system refused a resource that the check needs")                                   \
    X(NP_ERR_BUSY, "busy", "The probe is running; this has to wait until it is done")                                  \
    X(NP_ERR_LIMIT, "limit", "A list is full; nothing was added")                                                      \
    X(NP_ERR_ADDRESS_IN_USE, "address-in-use", "The source port is in use")                                            \
    X(NP_ERR_ADDRESS_NOT_AVAILABLE, "address-not-available", "The source address does not belong to this host")        \
    X(NP_ERR_RESOLVE, "resolve", "No server name could be resolved to a usable address")                               \
    X(NP_ERR_NETWORK_UNREACHABLE, "network-unreachable", "No server can be reached from this host")                    \
    X(NP_ERR_NO_RESPONSE, "no-response", "No STUN server answered")                                                    \
    X(NP_ERR_ADDRESS_CHANGED, "address-changed", "The external address kept changing during the check")                \
    X(NP_ERR_INCONCLUSIVE, "inconclusive", "Servers answered, but the NAT type could not be determined")               \
    X(NP_ERR_TIMEOUT, "timeout", "The time allowed ran out before there was a verdict")                                \
    X(NP_ERR_CANCELLED, "cancelled", "The check was cancelled")                                                        \
    X(NP_ERR_BAD_RESPONSE, "bad-response", "Something answered, but not as a STUN server does")                        \
    X(NP_ERR_NOT_OPEN, "not-open", "This host was not proven open to the internet")
/* clang-format on */

static const int32_t errors[] = {ERRORS(CODE)};

const char *np_strerror(int32_t error)
{
    return TEXT_OF(error, errors, ERRORS(ENTRY_TEXT));
}

const char *np_error_name(int32_t error)
{
    return TEXT_OF(error, errors, ERRORS(NAME));
}

/* ---- Types ------------------------------------------------------------------------------------------------------ */

/* The descriptions of the six RFC 3489 types are values of proxystore.p2p.nat.NatType: interface. */
/* clang-format off */
#define TYPES(X)                                                                                                       \
    X(NP_NAT_UNKNOWN, "unknown", "Unknown",                                                                            \
      "Nothing can be said about direct connections.")                                                                 \
    X(NP_NAT_OPEN_INTERNET, "open-internet", "Open Internet (No NAT)",                                                 \
      "Peers can connect to this host directly, without hole punching.")                                               \
    X(NP_NAT_FULL_CONE, "full-cone", "Full-cone NAT",                                                                  \
      "Any peer that is told the external address can connect to it, as long as this host sends from the same port "   \
      "now and then.")                                                                                                 \
    X(NP_NAT_RESTRICTED_CONE, "restricted-cone", "Restricted-cone NAT",                                                \
      "Hole punching works with peers behind any type of NAT, once this host has sent a datagram to the peer's "       \
      "address.")                                                                                                      \
    X(NP_NAT_PORT_RESTRICTED_CONE, "port-restricted-cone", "Port Restricted-cone NAT",                                 \
      "Hole punching works when both sides send, except with peers behind a symmetric NAT, which usually need a "      \
      "relay.")                                                                                                        \
    X(NP_NAT_SYMMETRIC, "symmetric", "Symmetric NAT",                                                                  \
      "Hole punching works only with peers that accept datagrams from a port not known in advance (open internet, "    \
      "full or restricted cone); others need a relay.")                                                                \
    X(NP_NAT_SYMMETRIC_UDP_FIREWALL, "symmetric-udp-firewall", "Symmetric UDP Firewall NAT",                           \
      "The external address is the host's own, but a peer gets through only after this host has sent to it: hole "     \
      "punching is needed.")                                                                                           \
    X(NP_NAT_UDP_BLOCKED, "udp-blocked", "UDP blocked",                                                                \
      "Direct connections over UDP are not possible; use a relay over TCP or TLS.")                                    \
    X(NP_NAT_CONE, "cone", "Cone NAT (filtering unknown)",                                                             \
      "Hole punching works when both sides send; with peers behind a symmetric NAT it may fail.")                      \
    X(NP_NAT_NO_NAT, "no-nat", "No NAT (filtering unknown)",                                                           \
      "The external address is the host's own; whether peers can connect without hole punching is not known.")
/* clang-format on */

static const int32_t types[] = {TYPES(CODE)};

const char *np_nat_type_name(int32_t nat_type)
{
    return TEXT_OF(nat_type, types, TYPES(NAME));
}

const char *np_nat_type_description(int32_t nat_type)
{
    return TEXT_OF(nat_type, types, TYPES(DESCRIPTION));
}

const char *np_nat_type_advice(int32_t nat_type)
{
    return TEXT_OF(nat_type, types, TYPES(ADVICE));
}

/* clang-format off */
#define GRADES(GRADE)                                                                                                  \
    GRADE(NP_NAT_UNKNOWN, "Unknown")                                                                                   \
    GRADE(NP_NAT_OPEN_INTERNET, "Open")                                                                                \
    GRADE(NP_NAT_FULL_CONE, "Open")                                                                                    \
    GRADE(NP_NAT_RESTRICTED_CONE, "Moderate")                                                                          \
    GRADE(NP_NAT_PORT_RESTRICTED_CONE, "Moderate")                                                                     \
    GRADE(NP_NAT_SYMMETRIC_UDP_FIREWALL, "Moderate")                                                                   \
    GRADE(NP_NAT_SYMMETRIC, "Strict")                                                                                  \
    GRADE(NP_NAT_UDP_BLOCKED, "Strict")
/* clang-format on */

static const int32_t grades[] = {GRADES(CODE)};

const char *np_nat_type_grade(int32_t nat_type)
{
    return TEXT_OF(nat_type, grades, GRADES(ONLY_NAME));
}

/* ---- Behaviours ------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define BEHAVIOURS(X)                                                                                                  \
    X(NP_BEHAVIOUR_UNKNOWN, "unknown", "Unknown")                                                                      \
    X(NP_BEHAVIOUR_NONE, "none", "None")                                                                               \
    X(NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, "endpoint-independent", "Endpoint-independent")                               \
    X(NP_BEHAVIOUR_ADDRESS_DEPENDENT, "address-dependent", "Address-dependent")                                        \
    X(NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT, "address-and-port-dependent", "Address- and port-dependent")            \
    X(NP_BEHAVIOUR_ENDPOINT_DEPENDENT, "endpoint-dependent", "Endpoint-dependent (which kind is not known)")
/* clang-format on */

static const int32_t behaviours[] = {BEHAVIOURS(CODE)};

const char *np_behaviour_name(int32_t behaviour)
{
    return TEXT_OF(behaviour, behaviours, BEHAVIOURS(NAME));
}

const char *np_behaviour_description(int32_t behaviour)
{
    return TEXT_OF(behaviour, behaviours, BEHAVIOURS(ENTRY_TEXT));
}

/* ---- Evidence --------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define EVIDENCE(X)                                                                                                    \
    X(0, "unknown", "No evidence that is known.")                                                                      \
    X(NP_EVIDENCE_ANSWERED, "answered", "At least one server answered a plain request.")                               \
    X(NP_EVIDENCE_SECOND_SERVER, "second-server", "Servers of two unrelated addresses saw the mapping.")               \
    X(NP_EVIDENCE_ALTERNATE, "alternate", "A server named a usable second address (RFC 5780).")                        \
    X(NP_EVIDENCE_ALTERNATE_ALIVE, "alternate-alive", "The second address answered a plain request.")                 \
    X(NP_EVIDENCE_ALTERNATE_REFUSED, "alternate-refused",                                                              \
      "A second address was named to which it would be wrong to send.")                                                \
    X(NP_EVIDENCE_MAPPING_PROVEN, "mapping-proven", "Two destination addresses saw the mapping, or there is none.")    \
    X(NP_EVIDENCE_TEST_II_ANSWERED, "test-ii-answered", "An unsolicited answer came from another address.")            \
    X(NP_EVIDENCE_TEST_III_ANSWERED, "test-iii-answered", "An unsolicited answer came from another port.")             \
    X(NP_EVIDENCE_CONTROL_ANSWERED, "control-answered", "The missing answer came once the path to it was open.")       \
    X(NP_EVIDENCE_FILTERING_PROVEN, "filtering-proven",                                                                \
      "The filtering rests on an answer, or on silence with a control.")                                               \
    X(NP_EVIDENCE_CHANGE_IGNORED, "change-ignored", "A server answered CHANGE-REQUEST from where it was asked.")       \
    X(NP_EVIDENCE_CHANGE_PARTIAL, "change-partial", "A server changed something else than it was asked to.")           \
    X(NP_EVIDENCE_CHANGE_REJECTED, "change-rejected", "A server answered CHANGE-REQUEST with an error.")               \
    X(NP_EVIDENCE_CONTROL_SILENT, "control-silent", "The control failed: the server does not honour CHANGE-REQUEST.")  \
    X(NP_EVIDENCE_LOSS, "loss", "Some datagrams were lost.")                                                           \
    X(NP_EVIDENCE_CLASSIC, "classic", "A server answered only the RFC 3489 form of the request.")                      \
    X(NP_EVIDENCE_ALG, "alg", "Something on the path rewrote MAPPED-ADDRESS.")                                         \
    X(NP_EVIDENCE_RESTARTED, "restarted", "The external address changed once; the check began again.")                 \
    X(NP_EVIDENCE_CONTRADICTION, "contradiction", "Answers contradicted each other; what rested on them was dropped.") \
    X(NP_EVIDENCE_MALFORMED, "malformed", "A server sent answers that could not be used.")                             \
    X(NP_EVIDENCE_PROXIED, "proxied", "Something on the path answers, or translates, for a server.")                   \
    X(NP_EVIDENCE_OUTVOTED, "outvoted", "A server contradicted the others and was left out.")                          \
    X(NP_EVIDENCE_TRANSLATED, "translated", "An IPv6 socket has an IPv4 external address (NAT64).")
/* clang-format on */

static const int32_t evidence[] = {EVIDENCE(CODE)};

const char *np_evidence_name(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, evidence, EVIDENCE(NAME));
}

const char *np_evidence_description(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, evidence, EVIDENCE(ENTRY_TEXT));
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define KINDS(X)                                                                                                       \
    X(0, "unknown")                                                                                                    \
    X(NP_EVENT_SENT, "sent")                                                                                           \
    X(NP_EVENT_ANSWERED, "answered")                                                                                   \
    X(NP_EVENT_CONCLUDED, "concluded")                                                                                 \
    X(NP_EVENT_PROGRESS, "progress")

#define REQUESTS(X)                                                                                                    \
    X(0, "unknown")                                                                                                    \
    X(NP_REQUEST_I, "I")                                                                                               \
    X(NP_REQUEST_II, "II")                                                                                             \
    X(NP_REQUEST_III, "III")

#define PURPOSES(X)                                                                                                    \
    X(INT32_MIN, "unknown")                                                                                            \
    X(NP_PURPOSE_CHECK, "check")                                                                                       \
    X(NP_PURPOSE_MAPPING, "mapping")                                                                                   \
    X(NP_PURPOSE_FILTERING, "filtering")                                                                               \
    X(NP_PURPOSE_CONTROL, "control")                                                                                   \
    X(NP_PURPOSE_OPTIONAL, "optional")
/* clang-format on */

static const int32_t kinds[] = {KINDS(CODE)};
static const int32_t requests[] = {REQUESTS(CODE)};
static const int32_t purposes[] = {PURPOSES(CODE)};

const char *np_event_kind_name(int32_t kind)
{
    return TEXT_OF(kind, kinds, KINDS(ONLY_NAME));
}

const char *np_request_name(int32_t request)
{
    return TEXT_OF(request, requests, REQUESTS(ONLY_NAME));
}

const char *np_purpose_name(int32_t purpose)
{
    return TEXT_OF(purpose, purposes, PURPOSES(ONLY_NAME));
}

/* ---- Settings --------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define FAMILIES(X)                                                                                                    \
    X(INT32_MIN, "unknown")                                                                                            \
    X(NP_FAMILY_ANY, "any")                                                                                            \
    X(NP_FAMILY_IPV4, "ipv4")                                                                                          \
    X(NP_FAMILY_IPV6, "ipv6")

#define ADDRESSES(X)                                                                                                   \
    X(NP_ADDRESS_UNKNOWN, "unknown")                                                                                   \
    X(NP_ADDRESS_GLOBAL, "global")                                                                                     \
    X(NP_ADDRESS_PRIVATE, "private")                                                                                   \
    X(NP_ADDRESS_SHARED, "shared")                                                                                     \
    X(NP_ADDRESS_SERVICE_CONTINUITY, "service-continuity")                                                             \
    X(NP_ADDRESS_BENCHMARK, "benchmark")                                                                               \
    X(NP_ADDRESS_LINK_LOCAL, "link-local")                                                                             \
    X(NP_ADDRESS_UNIQUE_LOCAL, "unique-local")                                                                         \
    X(NP_ADDRESS_LOOPBACK, "loopback")

#define LEVELS(X)                                                                                                      \
    X(0, "unknown")                                                                                                    \
    X(NP_LOG_ERROR, "error")                                                                                           \
    X(NP_LOG_WARNING, "warning")                                                                                       \
    X(NP_LOG_INFO, "info")                                                                                             \
    X(NP_LOG_DEBUG, "debug")
/* clang-format on */

static const int32_t families[] = {FAMILIES(CODE)};
static const int32_t addresses[] = {ADDRESSES(CODE)};
static const int32_t levels[] = {LEVELS(CODE)};

const char *np_family_name(int32_t family)
{
    return TEXT_OF(family, families, FAMILIES(ONLY_NAME));
}

const char *np_address_class_name(int32_t address_class)
{
    return TEXT_OF(address_class, addresses, ADDRESSES(ONLY_NAME));
}

const char *np_log_level_name(int32_t level)
{
    return TEXT_OF(level, levels, LEVELS(ONLY_NAME));
}

/* ---- Outlook ---------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define ANSWERS(X)                                                                                                     \
    X(NP_TRISTATE_UNKNOWN, "unknown")                                                                                  \
    X(NP_TRISTATE_NO, "no")                                                                                            \
    X(NP_TRISTATE_YES, "yes")

#define OUTLOOKS(X)                                                                                                    \
    X(NP_OUTLOOK_UNKNOWN, "unknown", "Whether they connect depends on what is not known: try, and keep a relay.")      \
    X(NP_OUTLOOK_DIRECT, "direct", "They connect: one side sends to the external address of the other.")               \
    X(NP_OUTLOOK_PUNCH, "punch", "They connect if both send to each other's external address, several times.")         \
    X(NP_OUTLOOK_PUNCH_LEARN, "punch-learn",                                                                           \
      "They connect if both send to each other's external address, and answer to the port that datagrams come from.")  \
    X(NP_OUTLOOK_NEEDS_PREDICTION, "needs-prediction",                                                                 \
      "They connect only if one side's next external port is guessed: use a relay.")                                   \
    X(NP_OUTLOOK_RELAY, "relay", "They do not connect: use a relay.")                                                  \
    X(NP_OUTLOOK_SAME_NAT, "same-nat",                                                                                 \
      "They are behind the same NAT: try the local addresses first, and keep a relay.")

#define RULES(X)                                                                                                       \
    X(NP_RULE_UNKNOWN, "unknown", "Which rule applies depends on what is not known.")                                  \
    X(NP_RULE_UDP_BLOCKED, "udp-blocked", "UDP is blocked on one side.")                                               \
    X(NP_RULE_NO_COMMON_FAMILY, "no-common-family", "One side has IPv4, the other IPv6.")                              \
    X(NP_RULE_SAME_NAT, "same-nat",                                                                                    \
      "Both have the same external IP address, and whether their NAT sends a datagram back inside is not known.")      \
    X(NP_RULE_OPEN, "open", "Each side lets in a datagram that it did not ask for.")                                   \
    X(NP_RULE_ONE_OPEN, "one-open", "One side lets in a datagram that it did not ask for, and can answer.")            \
    X(NP_RULE_PORTS_KNOWN, "ports-known", "Each side sends from the same external port to everybody.")                 \
    X(NP_RULE_PORT_LEARNT, "port-learnt",                                                                              \
      "One side sends from a port that is not known in advance, and the other lets in any port of that address.")      \
    X(NP_RULE_PORT_UNKNOWN, "port-unknown",                                                                            \
      "One side sends from a port that is not known in advance, and the other does not let that port in.")             \
    X(NP_RULE_ADDRESS_UNKNOWN, "address-unknown",                                                                      \
      "One side sends from an IP address that is not known in advance, and the other does not let that in.")           \
    X(NP_RULE_BOTH_DEPENDENT, "both-dependent",                                                                        \
      "Each side sends from a port that is not known in advance, and at least one filter does not let that in.")

#define FIRSTS(X)                                                                                                      \
    X(INT32_MIN, "unknown", "Who sends first is not known.")                                                           \
    X(NP_FIRST_ANY, "any", "Either side may begin.")                                                                   \
    X(NP_FIRST_OURS, "ours", "Our side sends first.")                                                                  \
    X(NP_FIRST_THEIRS, "theirs", "Their side sends first.")                                                            \
    X(NP_FIRST_BOTH, "both", "Both sides send at about the same time.")

#define ASSUMPTIONS(X)                                                                                                 \
    X(0, "unknown", "No assumption that is known.")                                                                    \
    X(NP_ASSUMES_ONE_IP, "one-ip", "The side whose port is not known keeps its external IP address.")                  \
    X(NP_ASSUMES_FILTERING, "filtering", "A filtering that is not proven is right.")                                   \
    X(NP_ASSUMES_FRESH, "fresh", "A profile that is older than 15 minutes, or of unknown age, is still right.")        \
    X(NP_ASSUMES_LOW_TTL, "low-ttl",                                                                                   \
      "A first datagram with a low TTL opens the sender's NAT and does not reach the peer's.")                         \
    X(NP_ASSUMES_ANSWER_TO_SOURCE, "answer-to-source", "Each program answers to the address that datagrams come from.")
/* clang-format on */

static const int32_t answers[] = {ANSWERS(CODE)};
static const int32_t outlooks[] = {OUTLOOKS(CODE)};
static const int32_t rules[] = {RULES(CODE)};
static const int32_t firsts[] = {FIRSTS(CODE)};
static const int32_t assumptions[] = {ASSUMPTIONS(CODE)};

const char *np_tristate_name(int32_t answer)
{
    return TEXT_OF(answer, answers, ANSWERS(ONLY_NAME));
}

const char *np_outlook_class_name(int32_t outlook)
{
    return TEXT_OF(outlook, outlooks, OUTLOOKS(NAME));
}

const char *np_outlook_class_description(int32_t outlook)
{
    return TEXT_OF(outlook, outlooks, OUTLOOKS(ENTRY_TEXT));
}

const char *np_outlook_rule_name(int32_t rule)
{
    return TEXT_OF(rule, rules, RULES(NAME));
}

const char *np_outlook_rule_description(int32_t rule)
{
    return TEXT_OF(rule, rules, RULES(ENTRY_TEXT));
}

const char *np_first_name(int32_t first)
{
    return TEXT_OF(first, firsts, FIRSTS(NAME));
}

const char *np_first_description(int32_t first)
{
    return TEXT_OF(first, firsts, FIRSTS(ENTRY_TEXT));
}

const char *np_assumption_name(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, assumptions, ASSUMPTIONS(NAME));
}

const char *np_assumption_description(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, assumptions, ASSUMPTIONS(ENTRY_TEXT));
}

/* ---- Watch ------------------------------------------------------------------------------------------------------ */

/* clang-format off */
#define REASONS(X)                                                                                                     \
    X(INT32_MIN, "unknown")                                                                                            \
    X(NP_WATCH_REASON_NONE, "none")                                                                                    \
    X(NP_WATCH_REASON_START, "start")                                                                                  \
    X(NP_WATCH_REASON_NETWORK, "network")                                                                              \
    X(NP_WATCH_REASON_RESUME, "resume")                                                                                \
    X(NP_WATCH_REASON_FAILURE, "failure")                                                                              \
    X(NP_WATCH_REASON_RETRY, "retry")                                                                                  \
    X(NP_WATCH_REASON_FILTERING, "filtering")                                                                          \
    X(NP_WATCH_REASON_INTERVAL, "interval")

#define CHANGES(X)                                                                                                     \
    X(0, "unknown")                                                                                                    \
    X(NP_CHANGED_TYPE, "type")                                                                                         \
    X(NP_CHANGED_MAPPING, "mapping")                                                                                   \
    X(NP_CHANGED_FILTERING, "filtering")                                                                               \
    X(NP_CHANGED_ADDRESS, "address")
/* clang-format on */

static const int32_t reasons[] = {REASONS(CODE)};
static const int32_t changes[] = {CHANGES(CODE)};

const char *np_watch_reason_name(int32_t reason)
{
    return TEXT_OF(reason, reasons, REASONS(ONLY_NAME));
}

const char *np_watch_change_name(uint32_t bit)
{
    return TEXT_OF((int32_t)bit, changes, CHANGES(ONLY_NAME));
}

/* ---- Survey ----------------------------------------------------------------------------------------------------- */

/* clang-format off */
#define CONDUCTS(X)                                                                                                    \
    X(NP_CONDUCT_UNKNOWN, "unknown")                                                                                   \
    X(NP_CONDUCT_HONOURED, "honoured")                                                                                 \
    X(NP_CONDUCT_PARTIAL, "partial")                                                                                   \
    X(NP_CONDUCT_IGNORED, "ignored")                                                                                   \
    X(NP_CONDUCT_REJECTED, "rejected")                                                                                 \
    X(NP_CONDUCT_SILENT, "silent")
/* clang-format on */

static const int32_t conducts[] = {CONDUCTS(CODE)};

const char *np_conduct_name(int32_t conduct)
{
    return TEXT_OF(conduct, conducts, CONDUCTS(ONLY_NAME));
}
