/* SPDX-License-Identifier: MIT */
/*
 * Codes and texts. A list of texts is one string, each text in it with a terminator of its own: with a table of
 * pointers the loader would have as many places to adjust in every process, and the library be some kilobytes larger.
 */
#include "error.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *text_at(const char *list, int32_t index)
{
    for (; index > 0; index--)
        list += strlen(list) + 1;
    return list;
}

/* index, or 0, which is the text for the unknown, where there is none. */
static int32_t within(int32_t index, int32_t count)
{
    return index >= 0 && index < count ? index : 0;
}

/* ---- Errors ----------------------------------------------------------------------------------------------------- */

/* The first is for all codes that are none of the others. */
static const int32_t error_codes[] = {
    INT32_MIN,
    NP_OK,
    NP_PENDING,
    NP_ERR_ARGUMENT,
    NP_ERR_NO_MEMORY,
    NP_ERR_SYSTEM,
    NP_ERR_BUSY,
    NP_ERR_ADDRESS_IN_USE,
    NP_ERR_ADDRESS_NOT_AVAILABLE,
    NP_ERR_RESOLVE,
    NP_ERR_NETWORK_UNREACHABLE,
    NP_ERR_NO_RESPONSE,
    NP_ERR_ADDRESS_CHANGED,
    NP_ERR_INCONCLUSIVE,
    NP_ERR_DEADLINE,
    NP_ERR_CANCELLED,
    NP_ERR_BAD_RESPONSE,
};

static const char error_names[] = "unknown\0"
                                  "ok\0"
                                  "pending\0"
                                  "argument\0"
                                  "no-memory\0"
                                  "system\0"
                                  "busy\0"
                                  "address-in-use\0"
                                  "address-not-available\0"
                                  "resolve\0"
                                  "network-unreachable\0"
                                  "no-response\0"
                                  "address-changed\0"
                                  "inconclusive\0"
                                  "deadline\0"
                                  "cancelled\0"
                                  "bad-response";

static const char error_texts[] = "Unknown error\0"
                                  "Success\0"
                                  "The check is still going on\0"
                                  "An argument is missing, malformed or out of range\0"
                                  "Out of memory\0"
                                  "The system refused a resource that the check needs\0"
                                  "The probe is running; this has to wait until it is done\0"
                                  "The source port is in use\0"
                                  "The source address does not belong to this host\0"
                                  "No server name could be resolved to a usable address\0"
                                  "No server can be reached from this host\0"
                                  "No STUN server answered\0"
                                  "The external address kept changing during the check\0"
                                  "Servers answered, but the NAT type could not be determined\0"
                                  "The time allowed ran out before there was a verdict\0"
                                  "The check was cancelled\0"
                                  "Something answered, but not as a STUN server does";

static int32_t index_of_error(int32_t code)
{
    int32_t index = COUNT(error_codes) - 1;
    while (index > 0 && error_codes[index] != code)
        index--;
    return index;
}

const char *np_strerror(int32_t error)
{
    return text_at(error_texts, index_of_error(error));
}

const char *np_error_name(int32_t error)
{
    return text_at(error_names, index_of_error(error));
}

/* ---- Types, in the order of enum np_nat_type -------------------------------------------------------------------- */

enum { TYPES = NP_NAT_NONE + 1 };

static const char type_names[] = "unknown\0"
                                 "open-internet\0"
                                 "full-cone\0"
                                 "restricted-cone\0"
                                 "port-restricted-cone\0"
                                 "symmetric\0"
                                 "symmetric-udp-firewall\0"
                                 "udp-blocked\0"
                                 "cone\0"
                                 "no-nat";

/* Those of the six RFC 3489 types are values of proxystore.p2p.nat.NatType: interface. */
static const char type_descriptions[] = "Unknown\0"
                                        "Open Internet (No NAT)\0"
                                        "Full-cone NAT\0"
                                        "Restricted-cone NAT\0"
                                        "Port Restricted-cone NAT\0"
                                        "Symmetric NAT\0"
                                        "Symmetric UDP Firewall NAT\0"
                                        "UDP blocked\0"
                                        "Cone NAT (filtering unknown)\0"
                                        "No NAT (filtering unknown)";

static const char type_advice[] =
    "Nothing can be said about direct connections.\0"
    "Peers can connect to this host directly, without hole punching.\0"
    "Any peer that is told the external address can connect to it as long as the mapping is kept alive.\0"
    "Hole punching works with peers behind any type of NAT, once this host has sent a datagram to the peer's address.\0"
    "Hole punching works when both sides send, except with peers behind a symmetric NAT, which usually need a relay.\0"
    "Hole punching works only with peers that accept datagrams from a port not known in advance (open internet, full "
    "or "
    "restricted cone); others need a relay.\0"
    "The external address is the host's own, but a peer gets through only after this host has sent to it: hole "
    "punching "
    "is needed.\0"
    "Direct connections over UDP are not possible; use a relay over TCP or TLS.\0"
    "Hole punching works when both sides send; with peers behind a symmetric NAT it may fail.\0"
    "The external address is the host's own; whether peers can connect without hole punching is not known.";

const char *np_nat_type_name(int32_t nat_type)
{
    return text_at(type_names, within(nat_type, TYPES));
}

const char *np_nat_type_description(int32_t nat_type)
{
    return text_at(type_descriptions, within(nat_type, TYPES));
}

const char *np_nat_type_advice(int32_t nat_type)
{
    return text_at(type_advice, within(nat_type, TYPES));
}

/* ---- Behaviours, in the order of enum np_behaviour -------------------------------------------------------------- */

enum { BEHAVIOURS = NP_BEHAVIOUR_ENDPOINT_DEPENDENT + 1 };

static const char behaviour_names[] = "unknown\0"
                                      "none\0"
                                      "endpoint-independent\0"
                                      "address-dependent\0"
                                      "address-and-port-dependent\0"
                                      "endpoint-dependent";

static const char behaviour_descriptions[] = "Unknown\0"
                                             "None\0"
                                             "Endpoint-independent\0"
                                             "Address-dependent\0"
                                             "Address- and port-dependent\0"
                                             "Endpoint-dependent (which kind is not known)";

const char *np_behaviour_name(int32_t behaviour)
{
    return text_at(behaviour_names, within(behaviour, BEHAVIOURS));
}

const char *np_behaviour_description(int32_t behaviour)
{
    return text_at(behaviour_descriptions, within(behaviour, BEHAVIOURS));
}

/* ---- Evidence and events: the first name is for what is none of them -------------------------------------------- */

enum { EVIDENCE_BITS = 20 };
_Static_assert(NP_EVIDENCE_MALFORMED == 1 << (EVIDENCE_BITS - 1), "the last bit has the last name");

static const char evidence_names[] = "unknown\0"
                                     "answered\0"
                                     "second-server\0"
                                     "alternate\0"
                                     "alternate-alive\0"
                                     "alternate-refused\0"
                                     "mapping-proven\0"
                                     "test-ii-answered\0"
                                     "test-iii-answered\0"
                                     "control-answered\0"
                                     "filtering-proven\0"
                                     "change-ignored\0"
                                     "change-partial\0"
                                     "change-rejected\0"
                                     "control-silent\0"
                                     "loss\0"
                                     "classic\0"
                                     "alg\0"
                                     "restarted\0"
                                     "contradiction\0"
                                     "malformed";

const char *np_evidence_name(uint32_t bit)
{
    int32_t index = EVIDENCE_BITS;
    while (index > 0 && bit != UINT32_C(1) << (index - 1))
        index--;
    return text_at(evidence_names, index);
}

const char *np_event_name(int32_t kind)
{
    return text_at("unknown\0sent\0answered\0concluded", within(kind, NP_EVENT_CONCLUDED + 1));
}

const char *np_test_name(int32_t test)
{
    return text_at("unknown\0I\0II\0III", within(test, NP_TEST_III + 1));
}

const char *np_purpose_name(int32_t purpose)
{
    return text_at("unknown\0mapping\0filtering\0control", within(purpose, NP_PURPOSE_CONTROL + 1));
}
