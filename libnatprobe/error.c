/* SPDX-License-Identifier: MIT */
/* Codes and texts. */
#include "error.h"

#include <stdbool.h>
#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef struct error_text {
    int32_t code;
    const char *name;
    const char *text;
} error_text;

static const error_text errors[] = {
    {NP_OK, "ok", "Success"},
    {NP_ERR_ARGUMENT, "argument", "An argument is missing, malformed or out of range"},
    {NP_ERR_NO_MEMORY, "no-memory", "Out of memory"},
    {NP_ERR_SYSTEM, "system", "The system refused a resource that the check needs"},
    {NP_ERR_BUSY, "busy", "The probe is already running in another call"},
    {NP_ERR_ADDRESS_IN_USE, "address-in-use", "The source port is in use"},
    {NP_ERR_ADDRESS_NOT_AVAILABLE, "address-not-available", "The source address does not belong to this host"},
    {NP_ERR_RESOLVE, "resolve", "No server name could be resolved to a usable address"},
    {NP_ERR_NETWORK_UNREACHABLE, "network-unreachable", "No server can be reached from this host"},
    {NP_ERR_NO_RESPONSE, "no-response", "No STUN server answered"},
    {NP_ERR_ADDRESS_CHANGED, "address-changed", "The external address kept changing during the check"},
    {NP_ERR_INCONCLUSIVE, "inconclusive", "Servers answered, but the NAT type could not be determined"},
    {NP_ERR_DEADLINE, "deadline", "The time allowed ran out before there was a verdict"},
    {NP_ERR_CANCELLED, "cancelled", "The check was cancelled"},
    {NP_ERR_BAD_RESPONSE, "bad-response", "Something answered, but not as a STUN server does"},
};

static const error_text *find_error(int32_t code)
{
    static const error_text unknown = {0, "unknown", "Unknown error"};
    for (size_t i = 0; i < COUNT(errors); i++) {
        if (errors[i].code == code)
            return &errors[i];
    }
    return &unknown;
}

const char *np_strerror(int32_t error)
{
    return find_error(error)->text;
}

const char *np_error_name(int32_t error)
{
    return find_error(error)->name;
}

typedef struct type_text {
    const char *name;
    const char *description; /* those of the six RFC 3489 types are values of proxystore.p2p.nat.NatType: interface */
    const char *advice;
} type_text;

static const type_text types[] = {
    [NP_NAT_UNKNOWN] = {"unknown", "Unknown", "Nothing can be said about direct connections."},
    [NP_NAT_OPEN_INTERNET] = {"open-internet", "Open Internet (No NAT)",
                              "Peers can connect to this host directly, without hole punching."},
    [NP_NAT_FULL_CONE] = {"full-cone", "Full-cone NAT",
                          "Any peer that is told the external address can connect to it as long as the mapping is kept "
                          "alive."},
    [NP_NAT_RESTRICTED_CONE] = {"restricted-cone", "Restricted-cone NAT",
                                "Hole punching works with peers behind any type of NAT, once this host has sent a "
                                "datagram to the peer's address."},
    [NP_NAT_PORT_RESTRICTED_CONE] = {"port-restricted-cone", "Port Restricted-cone NAT",
                                     "Hole punching works when both sides send, except with peers behind a symmetric "
                                     "NAT, which usually need a relay."},
    [NP_NAT_SYMMETRIC] = {"symmetric", "Symmetric NAT",
                          "Hole punching works only with peers that accept datagrams from a port not known in advance "
                          "(open internet, full or restricted cone); others need a relay."},
    [NP_NAT_SYMMETRIC_UDP_FIREWALL] = {"symmetric-udp-firewall", "Symmetric UDP Firewall NAT",
                                       "The external address is the host's own, but a peer gets through only after "
                                       "this host has sent to it: hole punching is needed."},
    [NP_NAT_UDP_BLOCKED] = {"udp-blocked", "UDP blocked",
                            "Direct connections over UDP are not possible; use a relay over TCP or TLS."},
    [NP_NAT_CONE] = {"cone", "Cone NAT (filtering unknown)",
                     "Hole punching works when both sides send; with peers behind a symmetric NAT it may fail."},
    [NP_NAT_NONE] = {"no-nat", "No NAT (filtering unknown)",
                     "The external address is the host's own; whether peers can connect without hole punching is not "
                     "known."},
};

/* The entry of a type; that of the unknown type for values that are none. */
static const type_text *find_type(int32_t nat_type)
{
    return &types[nat_type >= 0 && (size_t)nat_type < COUNT(types) ? nat_type : NP_NAT_UNKNOWN];
}

const char *np_nat_type_name(int32_t nat_type)
{
    return find_type(nat_type)->name;
}

const char *np_nat_type_description(int32_t nat_type)
{
    return find_type(nat_type)->description;
}

const char *np_nat_type_advice(int32_t nat_type)
{
    return find_type(nat_type)->advice;
}

typedef struct behaviour_text {
    const char *name;
    const char *description;
} behaviour_text;

static const behaviour_text behaviours[] = {
    [NP_BEHAVIOUR_UNKNOWN] = {"unknown", "Unknown"},
    [NP_BEHAVIOUR_NONE] = {"none", "None"},
    [NP_BEHAVIOUR_ENDPOINT_INDEPENDENT] = {"endpoint-independent", "Endpoint-independent"},
    [NP_BEHAVIOUR_ADDRESS_DEPENDENT] = {"address-dependent", "Address-dependent"},
    [NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT] = {"address-and-port-dependent", "Address- and port-dependent"},
    [NP_BEHAVIOUR_ENDPOINT_DEPENDENT] = {"endpoint-dependent", "Endpoint-dependent (which kind is not known)"},
};

static const behaviour_text *find_behaviour(int32_t behaviour)
{
    bool known = behaviour >= 0 && (size_t)behaviour < COUNT(behaviours);
    return &behaviours[known ? behaviour : NP_BEHAVIOUR_UNKNOWN];
}

const char *np_behaviour_name(int32_t behaviour)
{
    return find_behaviour(behaviour)->name;
}

const char *np_behaviour_description(int32_t behaviour)
{
    return find_behaviour(behaviour)->description;
}

const char *np_evidence_name(uint32_t bit)
{
    static const char *const names[] = {
        "answered",         "second-server",   "alternate",       "alternate-alive",  "alternate-refused",
        "mapping-proven",   "test-ii-answered", "test-iii-answered", "control-answered", "filtering-proven",
        "change-ignored",   "change-partial",  "change-rejected", "control-silent",   "loss",
        "classic",          "alg",             "restarted",       "contradiction",    "malformed",
    };
    for (size_t i = 0; i < COUNT(names); i++) {
        if (bit == UINT32_C(1) << i)
            return names[i];
    }
    return "unknown";
}
