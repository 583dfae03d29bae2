/* SPDX-License-Identifier: MIT */
/**
 * @file natprobe.h
 * What kind of NAT is this host behind?
 *
 * libnatprobe asks STUN servers (RFC 8489, RFC 5780, RFC 3489) and reports two measured facts, the mapping and the
 * filtering behaviour of RFC 4787, the external address, and the RFC 3489 name that follows from them. What cannot be
 * known is reported as unknown, never guessed.
 *
 * The short form:
 *
 *     np_result result;
 *     int error = np_check_nat(NULL, 0, &result);
 *     if (error == NP_OK)
 *         printf("%s %s:%u\n", np_nat_type_description(result.nat_type), result.external_ip, result.external_port);
 *     else
 *         printf("%s: %s\n", np_strerror(error), result.detail);
 *
 * Rules that hold for every function here:
 *  - Functions that can fail return NP_OK (0) or a negative NP_ERR_* code. The code says all: errno means nothing
 *    after a call. Names and texts never return NULL.
 *  - The library keeps no global state, needs no initialisation, installs no signal handler, writes nothing (except
 *    np_check_nat_and_log() without a sink) and never ends the process.
 *  - Different np_probe handles may be used in parallel freely. One handle belongs to one thread at a time; only
 *    np_probe_cancel() may be called on it from another thread. Functions without a handle may be called from any
 *    thread. docs/THREADS.md says it all.
 *  - Callbacks (log, events, datagrams) are called only from within a call of yours on the handle, in your thread. From
 *    within one, the handle accepts np_probe_cancel() and np_probe_free() alone; anything else is NP_ERR_BUSY.
 *  - The argument user of a setter is passed to the callback as its last argument, and is never looked at. It has to
 *    live as long as the callback may come.
 *  - After fork() a handle belongs to the parent alone: the child must not even free it.
 *  - Every string passed in is copied. Every string returned is constant and lives as long as the library.
 *  - Enumerations are passed and stored as int32_t, evidence as uint32_t.
 */
#ifndef NATPROBE_NATPROBE_H
#define NATPROBE_NATPROBE_H

#include <stddef.h>
#include <stdint.h>

#include <natprobe/version.h>

/*
 * NP_API marks what the library exports. A program that links the static library on Windows defines NP_STATIC first.
 * NP_MUST_USE marks a function whose return value must not be thrown away: compilers warn about it.
 * NP_DEPRECATED marks what a later version will no longer have, and says what to use instead. Nothing is marked today.
 */
#if defined(_WIN32) && defined(NP_STATIC)
#define NP_API
#elif defined(_WIN32) && defined(NPI_BUILDS_LIBRARY)
#define NP_API __declspec(dllexport)
#elif defined(_WIN32)
#define NP_API __declspec(dllimport)
#elif defined(__GNUC__)
#define NP_API __attribute__((visibility("default")))
#else
#define NP_API
#endif

#if defined(__GNUC__)
#define NP_MUST_USE __attribute__((warn_unused_result))
#define NP_DEPRECATED(instead) __attribute__((deprecated(instead)))
#elif defined(_MSC_VER)
#define NP_MUST_USE
#define NP_DEPRECATED(instead) __declspec(deprecated(instead))
#else
#define NP_MUST_USE
#define NP_DEPRECATED(instead)
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct sockaddr; /* of the system: <sys/socket.h>, on Windows <winsock2.h> */

#ifdef _WIN32
/** A socket of the system: what is a SOCKET on Windows, and a descriptor elsewhere. @since 0.3.0 */
typedef uintptr_t np_socket;
/** No socket: INVALID_SOCKET on Windows, -1 elsewhere. @since 0.3.0 */
#define NP_INVALID_SOCKET (~(np_socket)0)
#else
/** A socket of the system: what is a SOCKET on Windows, and a descriptor elsewhere. @since 0.3.0 */
typedef int np_socket;
/** No socket: INVALID_SOCKET on Windows, -1 elsewhere. @since 0.3.0 */
#define NP_INVALID_SOCKET (-1)
#endif

/** The source address that proxystore.p2p.nat uses by default: any of IPv4. NULL is any address of either family. */
#define NP_DEFAULT_SOURCE_IP "0.0.0.0"
/** The source port that proxystore.p2p.nat uses by default. 0 (any free port) is just as good for a check. */
#define NP_DEFAULT_SOURCE_PORT 54320
/** Default of np_probe_set_timeout(): milliseconds for a whole run, name resolution included. */
#define NP_DEFAULT_TIMEOUT_MS 10000
/**
 * Default of np_probe_set_response_timeout() for runs of up to NP_DEFAULT_TIMEOUT_MS: milliseconds without any answer
 * until NP_ERR_NO_RESPONSE.
 */
#define NP_DEFAULT_RESPONSE_TIMEOUT_MS 3000
/** Default of np_probe_set_lifetime_limit(): seconds. @since 0.4.0 */
#define NP_DEFAULT_LIFETIME_LIMIT_S 200
/** Most servers that one handle holds: one more is NP_ERR_LIMIT. */
#define NP_MAX_SERVERS 32
/** Room for a textual IP address with its terminator. */
#define NP_IP_TEXT_SIZE 46
/** Room for the line of any profile, with its terminator: see np_profile_format(). @since 0.4.0 */
#define NP_PROFILE_TEXT_SIZE 160
/** Default of np_watch_set_interval(): seconds from one check to the next where nothing asks for one. @since 0.4.0 */
#define NP_DEFAULT_WATCH_INTERVAL_S 7200
/** Most servers that one survey holds: one more is NP_ERR_LIMIT. @since 0.4.0 */
#define NP_MAX_SURVEY_SERVERS 200000
/** Room for any server as text, with its terminator: np_survey_report.server. @since 0.4.0 */
#define NP_SERVER_TEXT_SIZE 264

/** Return codes. Values are never renumbered or reused. @since 0.1.0 */
enum np_error {
    NP_OK = 0,                   /**< There is a verdict. */
    NP_PENDING = 1,              /**< No error: the check goes on (np_probe_process()). @since 0.2.0 */
    NP_ERR_ARGUMENT = -1,        /**< An argument is NULL, malformed or out of range. */
    NP_ERR_NO_MEMORY = -2,       /**< Out of memory. */
    NP_ERR_SYSTEM = -3,          /**< The system refused a resource (see os_error), such as one more descriptor. */
    NP_ERR_BUSY = -4,            /**< The handle is running: the call has to wait until that is over. */
    NP_ERR_LIMIT = -5,           /**< A list is full: more than NP_MAX_SERVERS servers. @since 0.3.0 */
    NP_ERR_ADDRESS_IN_USE = -10, /**< The source port is taken. */
    NP_ERR_ADDRESS_NOT_AVAILABLE = -11, /**< The source address is not one of this host's. */
    NP_ERR_RESOLVE = -12,               /**< No server name could be resolved to an address of the wanted family. */
    NP_ERR_NETWORK_UNREACHABLE = -13,   /**< No route to any server, or the host's own firewall refuses to send. */
    /**
     * Requests left, and nothing was ever heard. nat_type is NP_NAT_UDP_BLOCKED if the silence lasted the response
     * timeout (np_probe_set_response_timeout()). It is unknown if the whole time ran out before that, and where another
     * socket may have the answers.
     */
    NP_ERR_NO_RESPONSE = -20,
    NP_ERR_ADDRESS_CHANGED = -21, /**< The external address changed during the check, and again after a restart. */
    NP_ERR_INCONCLUSIVE = -22,    /**< Servers answered, but nothing beyond the external address could be learnt. */
    NP_ERR_TIMEOUT = -23,         /**< The time allowed ran out: after something came, or before anything was sent. */
    NP_ERR_CANCELLED = -24,       /**< np_probe_cancel() was called. */
    NP_ERR_BAD_RESPONSE = -25,    /**< Something answers at the servers' addresses, but nothing that could be used. */
    NP_ERR_NOT_OPEN = -26 /**< This host was not proven open, so silence says nothing of servers. @since 0.4.0 */
};

/**
 * The verdict: an RFC 3489 section 5 type where mapping and filtering are both known, else what is known.
 * Values are never renumbered or reused. @since 0.1.0
 */
enum np_nat_type {
    NP_NAT_UNKNOWN = 0,                /**< Nothing can be said. */
    NP_NAT_OPEN_INTERNET = 1,          /**< No translation, nothing filtered. */
    NP_NAT_FULL_CONE = 2,              /**< Endpoint-independent mapping and filtering. */
    NP_NAT_RESTRICTED_CONE = 3,        /**< Endpoint-independent mapping, address-dependent filtering. */
    NP_NAT_PORT_RESTRICTED_CONE = 4,   /**< Endpoint-independent mapping, address-and-port-dependent filtering. */
    NP_NAT_SYMMETRIC = 5,              /**< Mapping depends on the destination. */
    NP_NAT_SYMMETRIC_UDP_FIREWALL = 6, /**< No translation, but unsolicited datagrams are filtered. */
    NP_NAT_UDP_BLOCKED = 7,            /**< No server could be reached over UDP. */
    NP_NAT_CONE = 8,                   /**< Endpoint-independent mapping, filtering not known. */
    NP_NAT_NO_NAT = 9                  /**< No translation, filtering not known. */
};

/** Behaviours of RFC 4787 sections 4.1 (mapping) and 5 (filtering). Never renumbered or reused. @since 0.1.0 */
enum np_behaviour {
    NP_BEHAVIOUR_UNKNOWN = 0,
    NP_BEHAVIOUR_NONE = 1, /**< Mapping only: external and local address are the same. */
    NP_BEHAVIOUR_ENDPOINT_INDEPENDENT = 2,
    NP_BEHAVIOUR_ADDRESS_DEPENDENT = 3,
    NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT = 4,
    NP_BEHAVIOUR_ENDPOINT_DEPENDENT = 5 /**< Depends on the endpoint; which kind is not known. */
};

/** What was seen and what was proven: the bits of np_result.evidence. Never renumbered or reused. @since 0.1.0 */
enum np_evidence {
    NP_EVIDENCE_ANSWERED = 1 << 0,          /**< At least one server answered a plain request. */
    NP_EVIDENCE_SECOND_SERVER = 1 << 1,     /**< The mapping was seen from servers of two unrelated addresses. */
    NP_EVIDENCE_ALTERNATE = 1 << 2,         /**< The server named a usable second address (RFC 5780). */
    NP_EVIDENCE_ALTERNATE_ALIVE = 1 << 3,   /**< That second address answered a plain request. */
    NP_EVIDENCE_ALTERNATE_REFUSED = 1 << 4, /**< A second address was named to which it would be wrong to send. */
    NP_EVIDENCE_MAPPING_PROVEN = 1 << 5,    /**< The mapping was compared from two destination addresses, or is none. */
    NP_EVIDENCE_TEST_II_ANSWERED = 1 << 6,  /**< An unsolicited answer came through from another address. */
    NP_EVIDENCE_TEST_III_ANSWERED = 1 << 7, /**< An unsolicited answer came through from another port. */
    NP_EVIDENCE_CONTROL_ANSWERED = 1 << 8,  /**< The missing answer came once the path to it was open. */
    NP_EVIDENCE_FILTERING_PROVEN = 1 << 9,  /**< The filtering rests on an answer, or on silence with a control. */
    NP_EVIDENCE_CHANGE_IGNORED = 1 << 10,   /**< A server answered CHANGE-REQUEST from the address it was sent to. */
    NP_EVIDENCE_CHANGE_PARTIAL = 1 << 11,   /**< A server changed something else than it was asked to. */
    NP_EVIDENCE_CHANGE_REJECTED = 1 << 12,  /**< A server answered CHANGE-REQUEST with an error. */
    NP_EVIDENCE_CONTROL_SILENT = 1 << 13,   /**< The control failed: the server does not honour CHANGE-REQUEST. */
    NP_EVIDENCE_LOSS = 1 << 14,             /**< Some datagrams were lost on the way. */
    NP_EVIDENCE_CLASSIC = 1 << 15,          /**< A server answered only the RFC 3489 form of the request. */
    NP_EVIDENCE_ALG = 1 << 16,              /**< Something rewrote MAPPED-ADDRESS on the way (RFC 5780 section 4.6). */
    NP_EVIDENCE_RESTARTED = 1 << 17,        /**< The external address changed once; the check was started again. */
    NP_EVIDENCE_CONTRADICTION = 1 << 18,    /**< Answers contradicted each other; what rested on them was dropped. */
    NP_EVIDENCE_MALFORMED = 1 << 19,        /**< A server sent answers that could not be used. */
    NP_EVIDENCE_PROXIED = 1 << 20,   /**< Something on the path answers, or translates, for a server. @since 0.3.0 */
    NP_EVIDENCE_OUTVOTED = 1 << 21,  /**< A server contradicted the others and was left out. @since 0.3.0 */
    NP_EVIDENCE_TRANSLATED = 1 << 22 /**< An IPv6 socket has an IPv4 external address (NAT64). @since 0.3.0 */
};

/**
 * Which tests a probe runs: a mask, so that bits may be added up. Those from NP_TESTS_PORT on are optional: a check
 * makes them after its verdict, which they cannot change, and tells what it found in members of np_result of their own.
 * @since 0.1.0
 */
enum np_tests {
    NP_TESTS_MAPPING = 1,   /**< External address and mapping (RFC 5780 section 4.3): one round trip, two servers. */
    NP_TESTS_FILTERING = 2, /**< Filtering (RFC 5780 section 4.4). It brings the mapping: 2 means 3. @since 0.3.0 */
    NP_TESTS_DEFAULT = 3,   /**< Both: what a new probe runs. @since 0.3.0 */
    NP_TESTS_PORT = 4,      /**< Is the source port open to everybody, as a forwarded one is? @since 0.4.0 */
    NP_TESTS_REFUSED = 8,   /**< Does a datagram that the NAT refuses take the port? Brings FILTERING. @since 0.4.0 */
    NP_TESTS_HAIRPIN = 16,  /**< Do datagrams of this host to its own external address arrive? @since 0.4.0 */
    NP_TESTS_GATEWAY = 32,  /**< Is there another NAT behind the gateway? Asks it by NAT-PMP. @since 0.4.0 */
    NP_TESTS_LIFETIME = 64, /**< How long does an idle mapping live? Takes minutes. @since 0.4.0 */
    NP_TESTS_OPTIONAL = 124 /**< All the optional ones, also LIFETIME with its minutes. @since 0.4.0 */
};

/** Address family of a check. @since 0.1.0 */
enum np_family {
    NP_FAMILY_ANY = 0, /**< The source's; without one IPv4, and IPv6 if IPv4 has no route, no server or no answer. */
    NP_FAMILY_IPV4 = 4,
    NP_FAMILY_IPV6 = 6
};

/**
 * Classes of a local address: which network the host is in, before any NAT. Never renumbered or reused. @since 0.4.0
 */
enum np_address_class {
    NP_ADDRESS_UNKNOWN = 0,            /**< No local address is known, or no host can have it. */
    NP_ADDRESS_GLOBAL = 1,             /**< Any address that is in no other class. */
    NP_ADDRESS_PRIVATE = 2,            /**< 10/8, 172.16/12, 192.168/16 (RFC 1918). */
    NP_ADDRESS_SHARED = 3,             /**< 100.64/10 (RFC 6598): carriers' NATs, and some overlay networks. */
    NP_ADDRESS_SERVICE_CONTINUITY = 4, /**< 192.0.0.0/29 (RFC 7335): IPv4 over IPv6, by 464XLAT or DS-Lite. */
    NP_ADDRESS_BENCHMARK = 5,          /**< 198.18/15 (RFC 2544): mostly addresses that a proxy makes up. */
    NP_ADDRESS_LINK_LOCAL = 6,         /**< 169.254/16, fe80::/10. */
    NP_ADDRESS_UNIQUE_LOCAL = 7,       /**< fc00::/7 (RFC 4193). */
    NP_ADDRESS_LOOPBACK = 8            /**< 127/8, ::1. */
};

/** Yes, no, or not known. @since 0.4.0 */
enum np_tristate {
    NP_TRISTATE_UNKNOWN = 0, /**< Not tested, or the test could not tell. */
    NP_TRISTATE_NO = 1,
    NP_TRISTATE_YES = 2
};

/**
 * Whether two hosts will connect over UDP, and how. From DIRECT to RELAY each value is worse than the one before.
 * Later versions may add values. Never renumbered or reused. @since 0.4.0
 */
enum np_outlook_class {
    NP_OUTLOOK_UNKNOWN = 0,          /**< Something that is not known decides: see best and worst. */
    NP_OUTLOOK_DIRECT = 1,           /**< One side has no filter: the other sends to it. */
    NP_OUTLOOK_PUNCH = 2,            /**< Both send to each other's external address. */
    NP_OUTLOOK_PUNCH_LEARN = 3,      /**< The same; one side learns the other's port from its datagram. */
    NP_OUTLOOK_NEEDS_PREDICTION = 4, /**< They connect only if a side guesses the other's next external port. */
    NP_OUTLOOK_RELAY = 5,            /**< They do not connect without a relay. */
    NP_OUTLOOK_SAME_NAT = 6          /**< Both have the same external IP address: try the local addresses first. */
};

/** Which side has to send first. BOTH is the sum of the two others. Never renumbered or reused. @since 0.4.0 */
enum np_first {
    NP_FIRST_ANY = 0,    /**< Either may begin, and the other answers. Also if they do not connect. */
    NP_FIRST_OURS = 1,   /**< Our side, before a datagram of theirs reaches our NAT. */
    NP_FIRST_THEIRS = 2, /**< Their side, before a datagram of ours reaches their NAT. */
    NP_FIRST_BOTH = 3    /**< Both, at about the same time, and several times. */
};

/** What an outlook assumes: the bits of np_outlook_result.assumes. Never renumbered or reused. @since 0.4.0 */
enum np_assumption {
    /** If a mapping depends on the destination, the socket keeps one external IP address for all destinations. */
    NP_ASSUMES_ONE_IP = 1 << 0,
    NP_ASSUMES_FILTERING = 1 << 1, /**< A filtering that was measured, but not proven, is right. */
    NP_ASSUMES_FRESH = 1 << 2,     /**< A profile that is older than 15 minutes, or of unknown age, is still right. */
    /** The first datagram has a low TTL: it opens the sender's NAT, and does not reach the peer's. */
    NP_ASSUMES_LOW_TTL = 1 << 3,
    /** The programs answer to the address that a datagram came from, not to the one in the profile. */
    NP_ASSUMES_ANSWER_TO_SOURCE = 1 << 4
};

/** The rule that decided an outlook. Never renumbered or reused; later versions may add some. @since 0.4.0 */
enum np_outlook_rule {
    NP_RULE_UNKNOWN = 0,          /**< More than one rule may apply: something that is not known decides. */
    NP_RULE_UDP_BLOCKED = 1,      /**< A side cannot use UDP. */
    NP_RULE_NO_COMMON_FAMILY = 2, /**< One side has IPv4, the other IPv6. */
    NP_RULE_SAME_NAT = 3,         /**< Both sides have the same external IP address. */
    NP_RULE_OPEN = 4,             /**< Each side lets in unsolicited datagrams of the other. */
    NP_RULE_ONE_OPEN = 5,         /**< One side lets them in, and the other lets its answer in. */
    NP_RULE_PORTS_KNOWN = 6,      /**< Neither mapping depends on the destination: each side knows where to send. */
    NP_RULE_PORT_LEARNT = 7,      /**< One mapping depends on it; the other side's filter accepts any port. */
    NP_RULE_PORT_UNKNOWN = 8,     /**< One mapping depends on it, and the other side's filter refuses its port. */
    NP_RULE_ADDRESS_UNKNOWN = 9,  /**< The same, and the side that depends may use another IP address too. */
    NP_RULE_BOTH_DEPENDENT = 10   /**< Both mappings depend on it, and at least one filter refuses the new port. */
};

/** Why a watch makes a check. Later versions may add reasons. Never renumbered or reused. @since 0.4.0 */
enum np_watch_reason {
    NP_WATCH_REASON_NONE = 0,      /**< No check has been made. */
    NP_WATCH_REASON_START = 1,     /**< The watch was started. */
    NP_WATCH_REASON_NETWORK = 2,   /**< The network of this host changed: an interface, an address or a route. */
    NP_WATCH_REASON_RESUME = 3,    /**< This host was suspended. */
    NP_WATCH_REASON_FAILURE = 4,   /**< np_watch_note_failure() was called. */
    NP_WATCH_REASON_RETRY = 5,     /**< The check before gave no verdict. */
    NP_WATCH_REASON_FILTERING = 6, /**< The check before could not test the filtering, and something had changed. */
    NP_WATCH_REASON_INTERVAL = 7   /**< It was time: np_watch_set_interval(). */
};

/** What a watch found changed: the bits of np_watch_status.changed. Never renumbered or reused. @since 0.4.0 */
enum np_watch_change {
    NP_CHANGED_TYPE = 1 << 0,
    NP_CHANGED_MAPPING = 1 << 1,
    NP_CHANGED_FILTERING = 1 << 2,
    NP_CHANGED_ADDRESS = 1 << 3 /**< The external IP address; the port alone does not count. */
};

/**
 * What a server makes of a request with CHANGE-REQUEST (RFC 5780 section 7.2), told by the address that its answer
 * comes from. Never renumbered or reused. @since 0.4.0
 */
enum np_conduct {
    NP_CONDUCT_UNKNOWN = 0,  /**< Not asked, or not often enough to call it silent. */
    NP_CONDUCT_HONOURED = 1, /**< It answers from exactly the address that it should. */
    NP_CONDUCT_PARTIAL = 2,  /**< It answers from another address than it should, or not always from the same. */
    NP_CONDUCT_IGNORED = 3,  /**< It answers from the address that was asked, as if nothing had been requested. */
    NP_CONDUCT_REJECTED = 4, /**< It answers with an error, such as 420. */
    NP_CONDUCT_SILENT = 5    /**< It does not answer, although it answers plain requests. */
};

/** Log levels, in order of increasing detail. @since 0.1.0 */
enum np_log_level { NP_LOG_ERROR = 1, NP_LOG_WARNING = 2, NP_LOG_INFO = 3, NP_LOG_DEBUG = 4 };

/** What an event tells. Values are never renumbered or reused. @since 0.2.0 */
enum np_event_kind {
    NP_EVENT_SENT = 1,      /**< A request, or one more copy of it, was sent. */
    NP_EVENT_ANSWERED = 2,  /**< An answer to a request came. */
    NP_EVENT_CONCLUDED = 3, /**< What a number of requests was for is settled, or the whole check is. */
    NP_EVENT_PROGRESS = 4   /**< A test of minutes goes on (NP_TESTS_LIFETIME): about once a second. @since 0.4.0 */
};

/** The requests of RFC 3489 section 10.1 (tests I, II and III), by what is asked of the server. @since 0.3.0 */
enum np_request {
    NP_REQUEST_I = 1,  /**< A plain Binding request. */
    NP_REQUEST_II = 2, /**< To be answered from the server's other address and port (CHANGE-REQUEST). */
    NP_REQUEST_III = 3 /**< To be answered from the server's other port (CHANGE-REQUEST). */
};

/** What a request is for (docs/METHOD.md). @since 0.2.0 */
enum np_purpose {
    NP_PURPOSE_CHECK = 0,     /**< Not one purpose but the whole check: its conclusion. @since 0.3.0 */
    NP_PURPOSE_MAPPING = 1,   /**< The external address of the source socket, as one destination sees it. */
    NP_PURPOSE_FILTERING = 2, /**< Who may send to a socket that has spoken to one address only. */
    NP_PURPOSE_CONTROL = 3,   /**< Whether the server sends what was missing once the way is open. */
    NP_PURPOSE_OPTIONAL = 4   /**< An optional test (enum np_tests). @since 0.4.0 */
};

/**
 * The result of a check: plain data of 1,024 bytes for the life of the ABI. Every byte is written by the call that
 * fills it, on failure too. Strings are terminated and empty where unknown. @since 0.1.0
 */
typedef struct np_result {
    int32_t error;             /**< What the call returned (enum np_error). */
    int32_t nat_type;          /**< enum np_nat_type. */
    int32_t mapping;           /**< enum np_behaviour. */
    int32_t filtering;         /**< enum np_behaviour. */
    uint32_t evidence;         /**< Bits of enum np_evidence. */
    int32_t os_error;          /**< errno behind the error, or the resolver's EAI_* code for NP_ERR_RESOLVE; else 0. */
    uint32_t packets_sent;     /**< Datagrams sent. */
    uint32_t packets_received; /**< Datagrams received, answers or not. */
    uint64_t rtt_us;           /**< Round-trip time to the server in microseconds, 0 when none was measured. */
    uint64_t elapsed_us;       /**< Time the whole check took in microseconds. */
    uint16_t external_port;    /**< External (mapped) port of the source socket, 0 when unknown. */
    uint16_t local_port;       /**< Local port of the source socket, 0 when unknown. */
    char external_ip[NP_IP_TEXT_SIZE]; /**< External (mapped) address of the source socket. */
    char local_ip[NP_IP_TEXT_SIZE];    /**< Local address of the source socket: never "0.0.0.0" or "::". A link-local
                                            one with the index of its interface: "fe80::1%2". */
    char server[64];  /**< Server on which the verdict rests: "192.0.2.1:3478" or "[2001:db8::1]:3478". */
    char detail[192]; /**< One sentence: why there is no verdict or what is unknown and why. May be empty. */
    /**
     * Step between the external ports of new mappings, in the order of sending: -65,535 to 65,535. It was the same each
     * time, at least three times; that does not predict the next port. 0 when not known: too few mappings, unequal
     * steps, an order that repeated requests make uncertain, or ports that follow the local ones. Mappings that keep
     * the port do not count. @since 0.4.0
     */
    int32_t port_step;
    int32_t local_class;   /**< enum np_address_class, of local_ip. @since 0.4.0 */
    uint16_t ports_seen;   /**< Mappings seen, of all sockets: external addresses with ports. @since 0.4.0 */
    uint16_t ports_kept;   /**< Those of ports_seen whose external port is the local port. @since 0.4.0 */
    uint16_t external_ips; /**< External IP addresses seen, of all sockets. @since 0.4.0 */
    uint16_t local_ips;    /**< Local IP addresses that received answers, of all sockets. @since 0.4.0 */
    /* What the optional tests found (enum np_tests): all unknown and 0 unless they were asked for. */
    int32_t port_open; /**< PORT: enum np_tristate. Can strangers send to the source port from outside? @since 0.4.0 */
    int32_t refused_takes_port; /**< REFUSED: enum np_tristate. Can a datagram that the NAT refuses change the port of
                                     the mapping to its sender? @since 0.4.0 */
    int32_t hairpin; /**< HAIRPIN: enum np_tristate. Do datagrams between two sockets of this host arrive, which each
                          sends to the other's external address? @since 0.4.0 */
    int32_t hairpin_external;   /**< HAIRPIN: enum np_tristate. Do those seem to come from the external address of the
                                       sender? NO: from an inner one. @since 0.4.0 */
    int32_t another_nat;        /**< GATEWAY: enum np_tristate. Is there another NAT behind the gateway? @since 0.4.0 */
    int32_t lifetime_recreated; /**< LIFETIME: enum np_tristate. Does the NAT make the same mapping again after one
                                       has gone? Then a mapping that seems to live on may have gone. @since 0.4.0 */
    uint32_t lifetime_min_s;    /**< LIFETIME: a mapping with traffic both ways, for more than two seconds, lives idle
                                       for at least so many seconds; 0 when not known. @since 0.4.0 */
    uint32_t lifetime_max_s;    /**< LIFETIME: and for less than so many; 0 when not known, which never means for ever.
                                       @since 0.4.0 */
    uint32_t unanswered_min_s;  /**< LIFETIME: as lifetime_min_s, of a mapping that no answer has come to.
                                       @since 0.4.0 */
    uint32_t unanswered_max_s;  /**< LIFETIME: as lifetime_max_s, of a mapping that no answer has come to.
                                       @since 0.4.0 */
    char gateway_ip[NP_IP_TEXT_SIZE];          /**< GATEWAY: the gateway that was asked. @since 0.4.0 */
    char gateway_external_ip[NP_IP_TEXT_SIZE]; /**< GATEWAY: the external address that it named. @since 0.4.0 */
    uint8_t reserved[476];                     /**< Zero. */
} np_result;

/**
 * Something that happened during a check: plain data of 256 bytes for the life of the ABI. What a kind of event does
 * not have is 0 or empty. @since 0.2.0
 */
typedef struct np_event {
    int32_t kind;       /**< enum np_event_kind. */
    int32_t purpose;    /**< enum np_purpose; NP_PURPOSE_CHECK where the whole check is concluded. */
    int32_t request;    /**< enum np_request, of a request or an answer; 0 for a conclusion. */
    uint32_t copy;      /**< NP_EVENT_SENT: 1 for the first copy of a request, 2 for the next, ... */
    int32_t stun_error; /**< NP_EVENT_ANSWERED: the code of an error response (RFC 8489 section 14.8), 0 for success. */
    int32_t behaviour;  /**< NP_EVENT_CONCLUDED: enum np_behaviour, of the mapping or of the filtering. */
    int32_t nat_type;   /**< NP_EVENT_CONCLUDED, whole check: enum np_nat_type. */
    int32_t error;      /**< NP_EVENT_CONCLUDED, whole check: enum np_error. */
    uint64_t time_us;   /**< Microseconds since the run began. */
    char remote[64]; /**< Where a request went or an answer came from, "192.0.2.1:3478"; the server of a conclusion. */
    char external[64];    /**< NP_EVENT_ANSWERED: the external (mapped) address and port that the server saw. */
    int32_t test;         /**< NP_EVENT_PROGRESS: the test, a bit of enum np_tests. @since 0.4.0 */
    uint32_t done_s;      /**< NP_EVENT_PROGRESS: seconds that it has taken so far. @since 0.4.0 */
    uint32_t total_s;     /**< NP_EVENT_PROGRESS: seconds that it takes at most. @since 0.4.0 */
    uint8_t reserved[76]; /**< Zero. */
} np_event;

/**
 * What a peer needs to know about a host, to judge whether the two will connect: plain data of 256 bytes for the life
 * of the ABI. If every byte is zero, nothing is known. @since 0.4.0
 */
typedef struct np_profile {
    int64_t measured_at;               /**< When it was measured: seconds since 1970, UTC. */
    int32_t mapping;                   /**< enum np_behaviour. */
    int32_t filtering;                 /**< enum np_behaviour. */
    int32_t filtering_proven;          /**< 1: the filtering is proven (NP_EVIDENCE_FILTERING_PROVEN). */
    int32_t family;                    /**< enum np_family, of the external address. */
    int32_t udp_blocked;               /**< 1: no server answered over UDP. */
    int32_t refused_takes_port;        /**< enum np_tristate: can a datagram that the NAT refuses change the port of
                                            the next mapping? NP_TESTS_REFUSED tests it. */
    int32_t port_step;                 /**< As np_result.port_step. */
    uint16_t external_ips;             /**< External IP addresses seen; 0 when not known. */
    uint16_t ports_seen;               /**< Mappings seen; 0 when not known. */
    uint16_t ports_kept;               /**< Those of ports_seen whose external port is the local port. */
    uint16_t external_port;            /**< External port, 0 when not known. */
    char external_ip[NP_IP_TEXT_SIZE]; /**< External address. Empty: not known, or not for the peer. */
    uint8_t reserved[166];             /**< Zero. */
} np_profile;

/**
 * Whether two hosts will connect: plain data of 128 bytes for the life of the ABI. @since 0.4.0
 */
typedef struct np_outlook_result {
    int32_t outlook;       /**< enum np_outlook_class: worst; UNKNOWN if only some cases connect; or SAME_NAT. */
    int32_t best;          /**< enum np_outlook_class, DIRECT to RELAY: the best case of all that is not known. */
    int32_t worst;         /**< enum np_outlook_class, DIRECT to RELAY: the worst case of all that is not known. */
    int32_t first;         /**< enum np_first. */
    uint32_t assumes;      /**< Bits of enum np_assumption. */
    int32_t rule;          /**< enum np_outlook_rule. */
    uint8_t reserved[104]; /**< Zero. */
} np_outlook_result;

/**
 * What a watch knows: plain data of 1,280 bytes for the life of the ABI. @since 0.4.0
 */
typedef struct np_watch_status {
    /**
     * What holds now: the latest check with an outcome. A filtering that this check did not test is that of a check
     * before, if both saw the same network; else it is unknown.
     */
    np_result result;
    int32_t reason;           /**< enum np_watch_reason, of the latest check. */
    uint32_t changed;         /**< Bits of enum np_watch_change: the latest difference that was reported. */
    int32_t last_error;       /**< enum np_error, of the latest check; result may be of one before. */
    int32_t is_checking;      /**< 1: a check is being made. */
    int64_t age_ms;           /**< Milliseconds since result was measured; -1: there is none. */
    int64_t filtering_age_ms; /**< Milliseconds since its filtering was measured; -1: it is not known. */
    int64_t next_check_ms;    /**< Milliseconds to the next check if nothing changes; -1: none is planned. */
    uint64_t checks;          /**< Checks made so far, the one being made included. */
    uint64_t changes;         /**< What was reported so far: the first outcome, and each difference since. */
    uint8_t reserved[200];    /**< Zero. */
} np_watch_status;

/**
 * What a survey found out about one address of one server: plain data of 1,280 bytes for the life of the ABI.
 * @since 0.4.0
 */
typedef struct np_survey_report {
    /**
     * enum np_error. NP_OK: it answers plain requests. Else why nothing is known of it: NP_ERR_NO_RESPONSE;
     * NP_ERR_BAD_RESPONSE (answers that cannot be used: see detail); NP_ERR_RESOLVE; NP_ERR_NETWORK_UNREACHABLE;
     * NP_ERR_NOT_OPEN (this host is proven open over the other address family only); NP_ERR_NO_MEMORY or NP_ERR_SYSTEM
     * (this host could not ask it).
     */
    int32_t error;
    /**
     * 1: fit for every test of a check: it honours test II and test III in time, its second address answers, and the
     * external address that it reports is always the right one. 0: detail says what it lacks.
     */
    int32_t is_capable;
    int32_t change_both;       /**< enum np_conduct, asked to answer from its other address and port (test II). */
    int32_t change_port;       /**< enum np_conduct, asked to answer from its other port (test III). */
    int32_t alternate_alive;   /**< enum np_tristate: do its other address and its other ports answer plain requests? */
    int32_t external_right;    /**< enum np_tristate: does it report the address and port that this host sent from? */
    int32_t external_stable;   /**< enum np_tristate: does it always report the same? */
    int32_t is_classic;        /**< 1: it answers only requests in the form of RFC 3489. */
    int32_t stun_error;        /**< Code of the error that it answers a plain request with; 0: none. */
    uint32_t plain_sent;       /**< Plain requests sent to it. */
    uint32_t plain_answered;   /**< Those of plain_sent that it answered. */
    uint32_t packets_sent;     /**< All datagrams sent to the server, its other address included. */
    uint32_t packets_received; /**< All datagrams that came from anywhere to the socket that asked. */
    uint32_t number;           /**< This is address number 1, 2, ... of the server; 0: it has none. */
    uint32_t addresses;        /**< Addresses of the server that are reported: up to 4, all one after the other. */
    uint32_t late_us; /**< By how many microseconds an answer to test II or III takes longer than one to a plain
                                   request, the fastest compared; 0: it does not, or was not measured. */
    uint64_t rtt_us;  /**< Shortest round trip of a plain request in microseconds, 0 when none was measured. */
    char server[NP_SERVER_TEXT_SIZE];  /**< The server with its port, "stun.example.net:3478": as for
                                            np_probe_add_server(). */
    char same_as[NP_SERVER_TEXT_SIZE]; /**< If not empty: this address was surveyed under that server's name, whose
                                            report counts for it. Nothing else but address is set then. */
    char address[64];                  /**< The address that was asked: "192.0.2.1:3478". */
    char alternate[64];                /**< The second address that the server named, whether usable or not. */
    char external[64];                 /**< The external address that it reported first. */
    char detail[192];                  /**< One sentence: what it lacks, or why nothing is known. May be empty. */
    uint8_t reserved[296];             /**< Zero. */
} np_survey_report;

/** What a survey has done so far: plain data of 1,280 bytes for the life of the ABI. @since 0.4.0 */
typedef struct np_survey_status {
    np_result check;       /**< The check that proved this host open, or failed to. */
    int32_t is_checking;   /**< 1: this host is still being checked; no server has been surveyed. */
    int32_t ipv4_open;     /**< enum np_tristate: is this host proven open over IPv4? NO: it was not proven. */
    int32_t ipv6_open;     /**< enum np_tristate: the same over IPv6. */
    uint32_t servers;      /**< Servers added, each once. */
    uint32_t done;         /**< Those of servers that are reported. */
    uint32_t answered;     /**< Reports so far with the error NP_OK; same_as not counted. */
    uint32_t capable;      /**< Reports so far with is_capable. */
    uint8_t reserved[228]; /**< Zero. */
} np_survey_status;

/**
 * Receives one finished line of text. @p level is one of enum np_log_level. @p message has no newline, and is valid
 * during the call only. @since 0.1.0
 */
typedef void (*np_log_fn)(int32_t level, const char *message, void *user);

/** Receives an event, valid during the call only. @since 0.2.0 */
typedef void (*np_event_fn)(const np_event *event, void *user);

/**
 * Receives one whole datagram that came to the caller's own socket and is not for the library: @p size bytes at
 * @p data, from @p address, of @p address_size bytes, as recvfrom() would give it. Both are valid during the call only.
 * @since 0.2.0
 */
typedef void (*np_datagram_fn)(const void *data, size_t size, const struct sockaddr *address, size_t address_size,
                               void *user);

/** One check in preparation, running or done. Opaque. */
typedef struct np_probe np_probe;

/** Checks that are made again whenever the result may no longer hold. Opaque. @since 0.4.0 */
typedef struct np_watch np_watch;

/** Receives what a watch found changed, valid during the call only. @since 0.4.0 */
typedef void (*np_watch_fn)(const np_watch_status *status, void *user);

/** A list of servers, each of which is asked what it can do. Opaque. @since 0.4.0 */
typedef struct np_survey np_survey;

/** Receives the report of one address of one server, valid during the call only. @since 0.4.0 */
typedef void (*np_survey_fn)(const np_survey_report *report, void *user);

/* ---- In one call ------------------------------------------------------------------------------------------------ */

/**
 * Finds out the NAT type with the built-in public servers.
 *
 * @param src_ip   Local IP literal to check from, as for np_probe_set_source(). NULL means any address: of IPv4 and,
 *                 where that has no route, no server or no answer, of IPv6. An IPv6 literal ("::") checks IPv6.
 * @param src_port Local UDP port to check from, 0 for any free one. The port is not opened to others, and is closed
 *                 at the end.
 * @param result   Receives everything; every byte is written. Must not be NULL.
 * @return NP_OK with a verdict in @p result, else NP_ERR_* with the reason in result->detail. NP_ERR_ARGUMENT if
 *         @p src_ip is no IP literal, or @p result is NULL.
 * Blocks for a few round trips, at most NP_DEFAULT_TIMEOUT_MS. Thread-safe. @since 0.1.0
 */
NP_API int np_check_nat(const char *src_ip, uint16_t src_port, np_result *result);

/**
 * As np_check_nat(), and logs the outcome at NP_LOG_INFO: the type, the external address, and whether hole punching is
 * likely to work; failures at NP_LOG_ERROR.
 *
 * @param result Receives everything; every byte is written. NULL: only the log tells the outcome.
 * @param log    Sink for the lines; NULL writes them to stderr.
 * @param user   Passed to @p log unchanged.
 * @return as np_check_nat(). Thread-safe. @since 0.1.0
 */
NP_API int np_check_nat_and_log(const char *src_ip, uint16_t src_port, np_result *result, np_log_fn log, void *user);

/**
 * Makes two checks at the same time, one over IPv4 and one over IPv6, each from any address and port, with the built-in
 * servers and in one thread. A host can have a NAT for IPv4 and a firewall for IPv6. It takes as long as the slower
 * check. Each check has the time, the error and the result that it would have alone: if one family is missing or
 * silent, the result of the other stands. Neither falls back to the other family.
 *
 * To choose servers or to cancel, run two probes in one event loop, one for each family (np_probe_set_family()).
 *
 * @param ipv4 Receives the result over IPv4; every byte is written. Must not be NULL.
 * @param ipv6 Receives the result over IPv6; every byte is written. Must not be NULL, or the same as @p ipv4.
 * @return NP_OK if at least one of them has a verdict: see the member error of each. Else the error over IPv4, but that
 *         over IPv6 if IPv4 has no route or no server (NP_ERR_NETWORK_UNREACHABLE, NP_ERR_RESOLVE). NP_ERR_ARGUMENT if
 *         a pointer is NULL, or both are the same: nothing is sent, and a result that is not NULL says so.
 * Blocks for a few round trips, at most NP_DEFAULT_TIMEOUT_MS. Thread-safe. @since 0.4.0
 */
NP_API int np_check_nat_dual(np_result *ipv4, np_result *ipv6);

/* ---- With a handle ---------------------------------------------------------------------------------------------- */

/**
 * Makes a probe with the defaults: any source address and port, the built-in servers, either family, all tests.
 * @return the probe, to be freed with np_probe_free(); NULL when out of memory. @since 0.1.0
 */
NP_API NP_MUST_USE np_probe *np_probe_new(void);

/**
 * Frees a probe that no other call is using, at any moment: a check that goes on is given up, its sockets are closed.
 * From within a callback of the probe it is cancelled at once and freed when the call that it is in returns; no further
 * callback comes. NULL does nothing.
 * @since 0.1.0
 */
NP_API void np_probe_free(np_probe *probe);

/*
 * The setters below copy their arguments, which hold for every later run. NP_ERR_ARGUMENT changes nothing, and so does
 * NP_ERR_BUSY: the setters return it during a check, from np_probe_start() until np_probe_process() has given the
 * result, and from within a callback. A probe that is NULL is NP_ERR_ARGUMENT.
 */

/**
 * Sets the local address and port to check from. Takes back np_probe_set_socket().
 * @param ip IP literal, or NULL for any address. A link-local one of IPv6 has its interface, by name or index:
 *           "fe80::1%eth0" (RFC 4007).
 * @param port UDP port, 0 for any free one.
 * @return NP_OK, NP_ERR_ARGUMENT (no IP literal) or NP_ERR_BUSY. Whether this host has the address, and whether the
 *         port is free, is told by the run. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_set_source(np_probe *probe, const char *ip, uint16_t port);

/**
 * Chooses the network interface that the library's own sockets use, whatever the routing table prefers: SO_BINDTODEVICE
 * on Linux, IP_BOUND_IF on macOS, IP_UNICAST_IF on Windows. It holds beside np_probe_set_source(), and not for the
 * resolution of names. It does not touch a socket of the caller's (np_probe_set_socket()), which has its own interface.
 * A link-local address that names no interface is on the chosen one. A source address that names another one ends the
 * run with NP_ERR_ARGUMENT; a server that does is not asked.
 * @param name Name of the interface, such as "eth0"; NULL takes the choice back.
 * @return NP_OK; NP_ERR_ARGUMENT for an empty name, or one longer than any interface's; NP_ERR_BUSY. Whether there is
 *         such an interface, and whether the caller may choose it, is told by the run: NP_ERR_ADDRESS_NOT_AVAILABLE
 *         without one, NP_ERR_SYSTEM where it needs privileges or the system cannot do it; detail says which.
 * @since 0.3.0
 */
NP_API NP_MUST_USE int np_probe_set_interface(np_probe *probe, const char *name);

/**
 * Checks from a UDP socket of the caller's own, so that the external address is that of the port the caller will talk
 * to its peers from. Takes back np_probe_set_source(). Only the mapping is asked from it; filtering has to be tested
 * from a fresh socket (docs/METHOD.md section 3). That one is given the same local address, and each option of the
 * caller's socket that takes part in choosing a route: interface, mark, priority, TOS or traffic class, IP_TRANSPARENT,
 * IP_FREEBIND and SO_DONTROUTE, as far as the system has them.
 *
 * While a check goes on the library reads the socket, and nobody else may. What comes and is not for the library is
 * handed to @p on_datagram in the order of arrival, whole, and never dropped. What has not been read when the check
 * ends is left in the socket; late answers to the library's requests may be among it, and are best ignored. The
 * socket's options and blocking mode are neither changed nor relied on. The library works on a duplicate of the
 * descriptor, made by np_probe_start() or np_probe_run() and closed at the end; it never closes @p socket.
 *
 * With an IPv6 socket that is not IPV6_V6ONLY and has no address of its own the check is one of IPv4, unless
 * np_probe_set_family() chooses IPv6.
 *
 * @param socket UDP socket that is bound to a port and not connected. It has to stay open until the check has begun.
 *               NP_INVALID_SOCKET takes the setting back.
 * @param on_datagram Receives what is not for the library; may be NULL with NP_INVALID_SOCKET only.
 * @param user Passed to @p on_datagram unchanged.
 * @return NP_OK, NP_ERR_ARGUMENT (no such socket, or no @p on_datagram) or NP_ERR_BUSY. @since 0.2.0
 */
NP_API NP_MUST_USE int np_probe_set_socket(np_probe *probe, np_socket socket, np_datagram_fn on_datagram, void *user);

/**
 * Adds a server; the first one added replaces the built-in list. The order is kept: the first is asked first.
 * @param server "HOST", "HOST:PORT", "IPv4", "IPv4:PORT", "IPv6", "[IPv6]", "[IPv6]:PORT" or a "stun:" URI (RFC 7064).
 *               Without a port it is 3478 (RFC 8489 section 18.6). A link-local IPv6 address has its interface,
 *               "fe80::1%eth0"; without one it is on that of the source address, or on the chosen one. In a URI the "%"
 *               is "%25" (RFC 6874).
 * @return NP_OK; NP_ERR_ARGUMENT for anything else, an empty name, or an address to which it would be wrong to send;
 *         NP_ERR_LIMIT when there are NP_MAX_SERVERS already; NP_ERR_BUSY. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_add_server(np_probe *probe, const char *server);

/**
 * Forgets the servers added: the built-in list is used again.
 * @return NP_OK, NP_ERR_ARGUMENT (the probe is NULL) or NP_ERR_BUSY. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_clear_servers(np_probe *probe);

/**
 * Chooses the address family.
 * @param family One of enum np_family. The default is NP_FAMILY_ANY.
 * @return NP_OK, NP_ERR_ARGUMENT (any other value) or NP_ERR_BUSY. If it contradicts the source address or the socket,
 *         the run ends with NP_ERR_ARGUMENT. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_set_family(np_probe *probe, int32_t family);

/**
 * Chooses the tests. The mapping is always tested. The optional tests are made one after the other once there is a
 * verdict; only PORT, where no other server can be asked, is made before the mapping is. They end with the time allowed
 * for the run (np_probe_set_timeout()). Only LIFETIME may take longer: see np_probe_set_lifetime_limit().
 * np_probe_cancel() ends them too, and the run then ends with its verdict.
 * @param tests Bits of enum np_tests, one or more. The default is NP_TESTS_DEFAULT.
 * @return NP_OK, NP_ERR_ARGUMENT (0, or a bit that enum np_tests does not have) or NP_ERR_BUSY. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_set_tests(np_probe *probe, int32_t tests);

/**
 * Sets the time allowed for a whole run, name resolution included.
 * @param timeout_ms Milliseconds, 1 to 3,600,000. The default is NP_DEFAULT_TIMEOUT_MS.
 * @return NP_OK, NP_ERR_ARGUMENT (any other value) or NP_ERR_BUSY. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_set_timeout(np_probe *probe, uint32_t timeout_ms);

/**
 * Sets the longest idle time that NP_TESTS_LIFETIME tries. That test begins when the others have ended, and takes up to
 * twice so long and 24 s more, whatever np_probe_set_timeout() allows. np_probe_cancel() ends it, and what was found so
 * far is in the result.
 * @param limit_s Seconds, 1 to 3,600. The default is NP_DEFAULT_LIFETIME_LIMIT_S.
 * @return NP_OK, NP_ERR_ARGUMENT (any other value) or NP_ERR_BUSY. @since 0.4.0
 */
NP_API NP_MUST_USE int np_probe_set_lifetime_limit(np_probe *probe, uint32_t limit_s);

/**
 * Sets how long silence from every server must last until UDP is called blocked (NP_NAT_UDP_BLOCKED). It should be well
 * above the longest round trip to expect. Silence is counted from the first request. If the time allowed for the run is
 * over before, silence ends it with NP_ERR_NO_RESPONSE and nat_type is unknown; so it always is where both are equal.
 * @param timeout_ms Milliseconds, 1 to 3,600,000. If it is never set it is NP_DEFAULT_RESPONSE_TIMEOUT_MS, or three
 *                   tenths of the time allowed for the run if that is longer.
 * @return NP_OK, NP_ERR_ARGUMENT (any other value) or NP_ERR_BUSY. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_set_response_timeout(np_probe *probe, uint32_t timeout_ms);

/**
 * Sets a sink for log lines.
 * @param level Most detailed level wanted (enum np_log_level); not looked at when @p log is NULL.
 * @param log Receives the lines up to @p level. NULL turns logging off (the default).
 * @param user Passed to @p log unchanged.
 * @return NP_OK, NP_ERR_ARGUMENT (no such level) or NP_ERR_BUSY. @since 0.1.0
 */
NP_API NP_MUST_USE int np_probe_set_log(np_probe *probe, int32_t level, np_log_fn log, void *user);

/**
 * Sets a receiver of events: every request sent, every answer, every conclusion.
 * @param on_event Receives the events. NULL turns them off (the default).
 * @param user Passed to @p on_event unchanged.
 * @return NP_OK, NP_ERR_ARGUMENT (the probe is NULL) or NP_ERR_BUSY. @since 0.2.0
 */
NP_API NP_MUST_USE int np_probe_set_events(np_probe *probe, np_event_fn on_event, void *user);

/**
 * Runs the check and blocks until it is done, cancelled or out of time. A handle may run any number of times. The
 * sockets of the check are closed at its end; what np_probe_fd() stands for stays open until np_probe_free().
 * @param result Receives everything; every byte is written unless it is NULL, which is NP_ERR_ARGUMENT.
 * @return as np_check_nat(); NP_ERR_BUSY when the handle is running already. @since 0.1.0
 */
NP_API int np_probe_run(np_probe *probe, np_result *result);

/**
 * Makes the run in progress end with NP_ERR_CANCELLED at once: np_probe_run() returns, np_probe_fd() becomes readable.
 * A run is in progress from the call of np_probe_run() until that returns, or from the call of np_probe_start() until
 * np_probe_process() hands over the result. Where there is none, nothing happens: no later run is cancelled. A run that
 * has its verdict already ends with that. May be called from any thread, from a callback and from a signal handler;
 * NULL does nothing. The handle must stay alive during the call. @since 0.1.0
 */
NP_API void np_probe_cancel(np_probe *probe);

/* ---- In an event loop ------------------------------------------------------------------------------------------- */

/*
 * The same check without blocking, in an event loop that the program has already. There is one descriptor to watch:
 *
 *     if (np_probe_start(probe) != NP_OK)
 *         ... // nothing has begun
 *     // whenever np_probe_fd(probe) is readable (poll, epoll, kqueue, libuv, asyncio, ...):
 *     if (np_probe_process(probe, &result) != NP_PENDING)
 *         ... // the result is there
 *
 * Timers, name resolution, cancellation and the sockets are all behind that descriptor. No call here blocks.
 */

/**
 * Begins a check: opens the sockets and sends the first requests. Callbacks may come during the call. The return code
 * says all, errno nothing. Whatever goes wrong once the check has begun, an address in use included, is told by
 * np_probe_process() with its reason.
 * @return NP_OK when np_probe_fd() is to be watched. Else nothing has begun: NP_ERR_ARGUMENT (the probe is NULL),
 *         NP_ERR_BUSY (it is running already), NP_ERR_NO_MEMORY, NP_ERR_SYSTEM (no descriptors), NP_ERR_CANCELLED (a
 *         callback freed the probe, which is gone now). @since 0.2.0
 */
NP_API NP_MUST_USE int np_probe_start(np_probe *probe);

/**
 * The descriptor that is readable whenever np_probe_process() has something to do. Watch it level-triggered and for
 * reading only; never read, write or close it. It is made by the first np_probe_start() or np_probe_run(), and stays
 * open and the same until np_probe_free(). On Windows use np_probe_wait_handle() instead.
 * @return NP_INVALID_SOCKET (-1) before that, for NULL, and on Windows. @since 0.2.0
 */
NP_API np_socket np_probe_fd(const np_probe *probe);

/**
 * On Windows, in place of np_probe_fd(): the handle that is signalled whenever np_probe_process() has something to do.
 * It is an event, for WaitForMultipleObjects(), MsgWaitForMultipleObjects(), RegisterWaitForSingleObject() and similar
 * functions. Never set, reset or close it. The first np_probe_start() or np_probe_run() makes it. It stays open and the
 * same until np_probe_free().
 * @return NULL before the first np_probe_start() or np_probe_run(), for NULL, and on any other system. @since 0.4.0
 */
NP_API void *np_probe_wait_handle(const np_probe *probe);

/**
 * Goes on with a check that was started, as far as it can without waiting. Calling it too often does no harm. To give a
 * check up and keep the handle, call np_probe_cancel() and then this once more.
 * @param result Receives everything at the end, and until then zeros and NP_PENDING; every byte is written unless it is
 *               NULL, which is NP_ERR_ARGUMENT.
 * @return NP_PENDING (positive) while the check goes on; then, once, as np_probe_run(): NP_OK with a verdict or
 *         NP_ERR_*. The handle is then free for another run. NP_ERR_ARGUMENT when nothing was started. @since 0.2.0
 */
NP_API NP_MUST_USE int np_probe_process(np_probe *probe, np_result *result);

/* ---- Will these two connect? ------------------------------------------------------------------------------------ */

/*
 * Each program sends the line of its profile to the other, by a server, a chat or a person:
 *
 *     np_profile_from_result(&result, time(NULL), &ours);
 *     np_profile_format(&ours, line, sizeof line);           // send the line to the peer
 *     if (np_profile_parse(received, &theirs, &reason) == NP_OK &&
 *         np_outlook(&ours, &theirs, time(NULL), &outlook) == NP_OK)
 *         printf("%s\n", np_outlook_class_description(outlook.outlook));
 *
 * None of these functions sends anything, reads the clock or allocates memory. docs/OUTLOOK.md has the rule.
 */

/**
 * Makes a profile of a result, also of one of a failed check. Whatever the result does not have is not known in the
 * profile.
 * @param now_unix  The time: seconds since 1970, UTC. 0 if it is not known.
 * @param profile   Every byte is written unless it is NULL.
 * @return NP_OK; NP_ERR_ARGUMENT if a pointer is NULL. @since 0.4.0
 */
NP_API int np_profile_from_result(const np_result *result, int64_t now_unix, np_profile *profile);

/**
 * Writes a profile as one line of ASCII, without a newline: "np1 m=ei f=apd fp=1 v=4 x=203.0.113.7:54320 ...". If the
 * two connect, the peer sees the external address anyway. To hide it from others who read the line, empty
 * profile->external_ip.
 * @param text Receives the line; terminated unless @p size is 0. Empty on failure.
 * @param size Bytes at @p text. NP_PROFILE_TEXT_SIZE is always enough.
 * @return NP_OK. NP_ERR_ARGUMENT if a pointer is NULL, or the line does not fit, or external_ip is neither empty nor a
 *         unicast IP address without a zone. @since 0.4.0
 */
NP_API NP_MUST_USE int np_profile_format(const np_profile *profile, char *text, size_t size);

/**
 * Reads the line of a profile. It may come from a stranger, so a line of 160 bytes or more is refused. Keys that this
 * version does not know are ignored. What the peer says need not be true. Its address may be any unicast address, even
 * a private or loopback one: decide whether your program should send there.
 * @param text    Terminated text. Not more than NP_PROFILE_TEXT_SIZE bytes of it are read.
 * @param profile Every byte is written unless it is NULL; nothing is known on failure.
 * @param reason  Receives a sentence on failure, NULL otherwise. May be NULL.
 * @return NP_OK; NP_ERR_ARGUMENT if @p text is not the line of a profile, or a pointer is NULL. @since 0.4.0
 */
NP_API NP_MUST_USE int np_profile_parse(const char *text, np_profile *profile, const char **reason);

/**
 * Judges whether two hosts will connect over UDP, from the sockets that were measured, if each side knows the other's
 * external address. The outlook follows from what the two NATs do to datagrams. It does not know whether datagrams get
 * lost, a host's firewall refuses them or a network changes: keep a relay.
 *
 * If something is not known, best and worst differ where it matters. Values that this version does not know count as
 * unknown. If you swap the two profiles, the outlook stays the same, and OURS and THEIRS of first are swapped.
 * @param now_unix The time: seconds since 1970, UTC. 0 if it is not known.
 * @param outlook  Every byte is written unless it is NULL; nothing is known on failure.
 * @return NP_OK; NP_ERR_ARGUMENT if a pointer is NULL. @since 0.4.0
 */
NP_API int np_outlook(const np_profile *ours, const np_profile *theirs, int64_t now_unix, np_outlook_result *outlook);

/* ---- Is it still true? ------------------------------------------------------------------------------------------ */

/*
 * A watch makes a check at once, and again: when the network of this host changes, when the host was suspended, when
 * the program says that a connection failed, when there is no verdict (after 30 s, then twice as long each time, up to
 * 10 min), and slowly otherwise. It never begins two checks within 10 s. What the host can see, it reports within 2 s
 * outside of those 10 s. A change beyond the host, such as another external address, it finds with the next check.
 *
 *     np_watch *watch = np_watch_new(probe);      // with the probe's settings
 *     if (watch == NULL || np_watch_set_changes(watch, on_change, user) != NP_OK || np_watch_start(watch) != NP_OK)
 *         ... // nothing has begun
 *     // whenever np_watch_fd(watch) is readable:
 *     if (np_watch_process(watch) != NP_PENDING)
 *         ... // the watch has ended
 *
 * The rules for threads are those of a probe: one thread at a time; only np_watch_cancel() may be called from another.
 * From a callback of the watch or of its probe, the watch accepts np_watch_cancel(), np_watch_read() and
 * np_watch_free() alone.
 *
 * Filtering is tested only with servers that the watch has sent nothing to for 5 minutes: a NAT may still let in what
 * comes from the others. Until then a check tests the mapping, and the filtering known before stands as long as the
 * network looks the same. With more servers than one check uses, such as the built-in ones, the watch need not wait.
 */

/**
 * Makes a watch of a probe with its settings: source, servers, tests, time, log, events. The watch takes the probe
 * over: it must not be used, cancelled or freed any more. Its checks make no optional tests (enum np_tests).
 * @return the watch, to be freed with np_watch_free(). NULL when out of memory, or if the probe is NULL or in use: the
 *         probe is then still yours. @since 0.4.0
 */
NP_API NP_MUST_USE np_watch *np_watch_new(np_probe *probe);

/**
 * Frees a watch, and its probe, at any moment: a check that is being made is given up. From within a callback the watch
 * is freed when the call that it is in returns; no further callback comes. NULL does nothing. @since 0.4.0
 */
NP_API void np_watch_free(np_watch *watch);

/**
 * Sets the time from one check to the next where nothing asks for one. Each time it is up to a tenth shorter or longer.
 * @param seconds 10 to 604,800, or 0: no such checks. The default is NP_DEFAULT_WATCH_INTERVAL_S.
 * @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY (the watch was started). @since 0.4.0
 */
NP_API NP_MUST_USE int np_watch_set_interval(np_watch *watch, uint32_t seconds);

/**
 * Sets a receiver of changes. It is called after the first check, whatever that found, and then only if the type, the
 * mapping, the filtering or the external IP address is another than before.
 * @param on_change Receives the status. NULL turns it off (the default).
 * @param user Passed to @p on_change unchanged.
 * @return NP_OK, NP_ERR_ARGUMENT (the watch is NULL) or NP_ERR_BUSY (the watch was started). @since 0.4.0
 */
NP_API NP_MUST_USE int np_watch_set_changes(np_watch *watch, np_watch_fn on_change, void *user);

/**
 * Begins to watch, with a check. Callbacks may come during the call.
 * @return NP_OK when np_watch_fd() is to be watched. Else nothing has begun: NP_ERR_ARGUMENT (the watch is NULL),
 *         NP_ERR_BUSY (it was started already), NP_ERR_NO_MEMORY, NP_ERR_SYSTEM (no descriptors), NP_ERR_CANCELLED (a
 *         callback cancelled or freed the watch; if freed, it is gone now). @since 0.4.0
 */
NP_API NP_MUST_USE int np_watch_start(np_watch *watch);

/**
 * The descriptor that is readable whenever np_watch_process() has something to do, also because a time has come. Watch
 * it level-triggered and for reading only; never read, write or close it. It is made by np_watch_start(), and stays
 * open and the same until np_watch_free(). On Windows use np_watch_wait_handle() instead.
 * @return NP_INVALID_SOCKET (-1) before that, for NULL, and on Windows. @since 0.4.0
 */
NP_API np_socket np_watch_fd(const np_watch *watch);

/**
 * On Windows, in place of np_watch_fd(): an event that is signalled whenever np_watch_process() has something to do, as
 * np_probe_wait_handle().
 * @return NULL before np_watch_start(), for NULL, and on any other system. @since 0.4.0
 */
NP_API void *np_watch_wait_handle(const np_watch *watch);

/**
 * Goes on, as far as it can without waiting. Callbacks come from within this call. Calling it too often does no harm.
 * @return NP_PENDING (positive) while the watch goes on. NP_ERR_CANCELLED after np_watch_cancel(), or if a callback
 *         freed the watch; NP_ERR_SYSTEM if the system no longer lets it wait; NP_ERR_ARGUMENT (the watch is NULL, was
 *         not started, or has ended; or the probe's settings contradict each other); NP_ERR_BUSY from a callback. After
 *         an end np_watch_start() may begin again. @since 0.4.0
 */
NP_API NP_MUST_USE int np_watch_process(np_watch *watch);

/**
 * Makes the watch end: np_watch_fd() becomes readable, and np_watch_process() returns NP_ERR_CANCELLED. May be called
 * from any thread, from a callback and from a signal handler; NULL does nothing. The watch must stay alive during the
 * call. Before np_watch_start() nothing happens. @since 0.4.0
 */
NP_API void np_watch_cancel(np_watch *watch);

/**
 * Tells what the watch knows, with its age.
 * @param status Every byte is written unless it is NULL.
 * @return NP_OK; NP_ERR_ARGUMENT if a pointer is NULL. @since 0.4.0
 */
NP_API int np_watch_read(const np_watch *watch, np_watch_status *status);

/**
 * Says that a connection failed that the result had promised, such as a punched hole: the best sign that the result
 * holds no more. A check follows, 10 s after the one before at the earliest. If it finds nothing changed, the next call
 * is answered no sooner than 20 s after it, then 40 s, up to 10 min.
 * @return NP_OK; NP_ERR_ARGUMENT (the watch is NULL, or not started); NP_ERR_BUSY (from a callback). @since 0.4.0
 */
NP_API int np_watch_note_failure(np_watch *watch);

/* ---- Which servers are good? ------------------------------------------------------------------------------------ */

/*
 * A survey asks each server of a list what it can do for a check: does it answer, has it a second address, what does it
 * make of CHANGE-REQUEST, does it report the right external address, and always the same? It judges by the source of
 * the answers, not by what the server says of itself.
 *
 * Behind a NAT or a filter, silence says nothing of a server. So a survey first proves that this host is open to the
 * internet: with a check that asks the servers of the probe, or without any the first servers of the list, 32 at a
 * time. If that is not proven, nothing is surveyed and np_survey_process() returns NP_ERR_NOT_OPEN. Each address family
 * is proven apart.
 *
 *     np_survey *survey = np_survey_new(probe);   // with the probe's source, family, interface, servers and log
 *     if (survey == NULL || np_survey_set_reports(survey, on_report, user) != NP_OK)
 *         ... // nothing has begun
 *     np_survey_add(survey, "stun.example.net");  // each server of the list
 *     if (np_survey_start(survey) != NP_OK)
 *         ... // nothing has begun
 *     // whenever np_survey_fd(survey) is readable:
 *     if (np_survey_process(survey) != NP_PENDING)
 *         ... // the survey has ended; NP_OK: every server was reported
 *
 * After that check, a server gets at most one datagram a second, all its addresses and names together as far as they
 * are known, and 6 to 30 in all. Up to 64 servers are surveyed side by side. A good one takes about 15 s.
 *
 * The rules for threads are those of a probe: one thread at a time; only np_survey_cancel() may be called from another.
 * From a callback, the survey accepts np_survey_cancel(), np_survey_read() and np_survey_free() alone.
 */

/**
 * Makes a survey of a probe with its settings. The survey takes the probe over: it must not be used, cancelled or freed
 * any more. The probe's tests are not used; its source port is for its check alone.
 * @return the survey, to be freed with np_survey_free(). NULL when out of memory, or if the probe is NULL or in use:
 *         the probe is then still yours. @since 0.4.0
 */
NP_API NP_MUST_USE np_survey *np_survey_new(np_probe *probe);

/**
 * Frees a survey, and its probe, at any moment: what is going on is given up. From within a callback the survey is
 * freed when the call that it is in returns; no further callback comes. NULL does nothing. @since 0.4.0
 */
NP_API void np_survey_free(np_survey *survey);

/**
 * Adds a server to the list. One that was added before counts once.
 * @param server As for np_probe_add_server().
 * @return NP_OK, NP_ERR_ARGUMENT (not a server, or the survey is NULL), NP_ERR_LIMIT (NP_MAX_SURVEY_SERVERS),
 *         NP_ERR_NO_MEMORY or NP_ERR_BUSY (the survey was started). @since 0.4.0
 */
NP_API NP_MUST_USE int np_survey_add(np_survey *survey, const char *server);

/**
 * Leaves a server out that is in the list, or is added later: a survey before has reported it.
 * @param server As for np_probe_add_server().
 * @return as np_survey_add(). @since 0.4.0
 */
NP_API NP_MUST_USE int np_survey_skip(np_survey *survey, const char *server);

/**
 * Sets a receiver of reports. It is called for each address of each server; those of one server come together, one
 * right after the other.
 * @param on_report Receives the report. NULL turns it off (the default).
 * @param user Passed to @p on_report unchanged.
 * @return NP_OK, NP_ERR_ARGUMENT (the survey is NULL) or NP_ERR_BUSY (the survey was started). @since 0.4.0
 */
NP_API NP_MUST_USE int np_survey_set_reports(np_survey *survey, np_survey_fn on_report, void *user);

/**
 * Begins: with the check of this host. A survey is made once.
 * @return NP_OK when np_survey_fd() is to be watched. Else nothing has begun: NP_ERR_ARGUMENT (the survey is NULL, has
 *         no servers, or the probe has a socket of yours), NP_ERR_BUSY (it was started already), NP_ERR_NO_MEMORY,
 *         NP_ERR_SYSTEM (no descriptors), NP_ERR_CANCELLED (a callback cancelled or freed the survey; if freed, it is
 *         gone now). @since 0.4.0
 */
NP_API NP_MUST_USE int np_survey_start(np_survey *survey);

/**
 * The descriptor that is readable whenever np_survey_process() has something to do, also because a time has come. Watch
 * it level-triggered and for reading only; never read, write or close it. It is made by np_survey_start(), and stays
 * open and the same until np_survey_free(). On Windows use np_survey_wait_handle() instead.
 * @return NP_INVALID_SOCKET (-1) before that, for NULL, and on Windows. @since 0.4.0
 */
NP_API np_socket np_survey_fd(const np_survey *survey);

/**
 * On Windows, in place of np_survey_fd(): an event that is signalled whenever np_survey_process() has something to do,
 * as np_probe_wait_handle().
 * @return NULL before np_survey_start(), for NULL, and on any other system. @since 0.4.0
 */
NP_API void *np_survey_wait_handle(const np_survey *survey);

/**
 * Goes on, as far as it can without waiting. Callbacks come from within this call. Calling it too often does no harm.
 * @return NP_PENDING (positive) while the survey goes on. NP_OK when every server was reported. NP_ERR_NOT_OPEN if this
 *         host was not proven open: np_survey_read() has the check, whose detail says why. NP_ERR_CANCELLED after
 *         np_survey_cancel(), or if a callback freed the survey; NP_ERR_SYSTEM if the system no longer lets it wait;
 *         NP_ERR_NO_MEMORY;
 *         NP_ERR_ARGUMENT (the survey is NULL, was not started, or has ended; or the probe's settings contradict each
 *         other); NP_ERR_BUSY from a callback. @since 0.4.0
 */
NP_API NP_MUST_USE int np_survey_process(np_survey *survey);

/**
 * Makes the survey end: np_survey_fd() becomes readable, and np_survey_process() returns NP_ERR_CANCELLED. May be
 * called from any thread, from a callback and from a signal handler; NULL does nothing. The survey must stay alive
 * during the call. Before np_survey_start() nothing happens. @since 0.4.0
 */
NP_API void np_survey_cancel(np_survey *survey);

/**
 * Tells how far the survey is, and what it knows of this host. Also after its end.
 * @param status Every byte is written unless it is NULL.
 * @return NP_OK; NP_ERR_ARGUMENT if a pointer is NULL. @since 0.4.0
 */
NP_API int np_survey_read(const np_survey *survey, np_survey_status *status);

/* ---- Names and texts -------------------------------------------------------------------------------------------- */

/*
 * Names are short, in lower case unless shown otherwise, and as stable as the numbers. They are "unknown" for any value
 * that has none. Sentences and display texts are for people, and may change.
 */

/** A sentence for a code, such as "No STUN server answered". Never NULL, also for unknown codes. @since 0.1.0 */
NP_API const char *np_strerror(int32_t error);
/** The name of a code (enum np_error) in kebab case: "ok", "no-response", ... @since 0.1.0 */
NP_API const char *np_error_name(int32_t error);
/** The name of a type (enum np_nat_type): "port-restricted-cone", ... @since 0.1.0 */
NP_API const char *np_nat_type_name(int32_t nat_type);
/** Display text of a type; for the six RFC 3489 types that of proxystore.p2p.nat.NatType. @since 0.1.0 */
NP_API const char *np_nat_type_description(int32_t nat_type);
/** What a type means for peer-to-peer connections, as one sentence. @since 0.1.0 */
NP_API const char *np_nat_type_advice(int32_t nat_type);
/** The word of games and consoles for a type: "Open", "Moderate", "Strict", or "Unknown". @since 0.4.0 */
NP_API const char *np_nat_type_grade(int32_t nat_type);
/** The name of a behaviour (enum np_behaviour): "endpoint-independent", ... @since 0.1.0 */
NP_API const char *np_behaviour_name(int32_t behaviour);
/** Display text of a behaviour. @since 0.1.0 */
NP_API const char *np_behaviour_description(int32_t behaviour);
/** The name of one evidence bit (enum np_evidence): "control-answered", ... @since 0.1.0 */
NP_API const char *np_evidence_name(uint32_t bit);
/** What one evidence bit means, as one sentence; for anything other than one bit it says so. @since 0.3.0 */
NP_API const char *np_evidence_description(uint32_t bit);
/** The name of an event's kind (enum np_event_kind): "sent", "answered", "concluded", "progress". @since 0.3.0 */
NP_API const char *np_event_kind_name(int32_t kind);
/** The name of a request (enum np_request): "I", "II", "III". @since 0.3.0 */
NP_API const char *np_request_name(int32_t request);
/** The name of a purpose (enum np_purpose): "check", "mapping", "filtering", "control", ... @since 0.2.0 */
NP_API const char *np_purpose_name(int32_t purpose);
/** The name of a family (enum np_family): "any", "ipv4", "ipv6". @since 0.3.0 */
NP_API const char *np_family_name(int32_t family);
/** The name of a class of addresses (enum np_address_class): "private", "shared", ... @since 0.4.0 */
NP_API const char *np_address_class_name(int32_t address_class);
/** The name of a log level (enum np_log_level): "error", "warning", "info", "debug". @since 0.3.0 */
NP_API const char *np_log_level_name(int32_t level);
/** The name of a value of enum np_tristate: "unknown", "no", "yes". @since 0.4.0 */
NP_API const char *np_tristate_name(int32_t answer);
/** The name of an outlook (enum np_outlook_class): "direct", "punch", "punch-learn", ... @since 0.4.0 */
NP_API const char *np_outlook_class_name(int32_t outlook);
/** What an outlook means and what to do, as one sentence. @since 0.4.0 */
NP_API const char *np_outlook_class_description(int32_t outlook);
/** The name of a rule (enum np_outlook_rule): "one-open", "port-learnt", ... @since 0.4.0 */
NP_API const char *np_outlook_rule_name(int32_t rule);
/** Why a rule decides as it does, as one sentence. @since 0.4.0 */
NP_API const char *np_outlook_rule_description(int32_t rule);
/** The name of who sends first (enum np_first): "any", "ours", "theirs", "both". @since 0.4.0 */
NP_API const char *np_first_name(int32_t first);
/** Who sends first, as one sentence. @since 0.4.0 */
NP_API const char *np_first_description(int32_t first);
/** The name of one assumption (enum np_assumption): "one-ip", "low-ttl", ... @since 0.4.0 */
NP_API const char *np_assumption_name(uint32_t bit);
/** What one assumption means, as one sentence; for anything other than one bit it says so. @since 0.4.0 */
NP_API const char *np_assumption_description(uint32_t bit);
/** The name of a reason (enum np_watch_reason): "network", "failure", ... @since 0.4.0 */
NP_API const char *np_watch_reason_name(int32_t reason);
/** The name of one change (enum np_watch_change): "type", "mapping", "filtering", "address". @since 0.4.0 */
NP_API const char *np_watch_change_name(uint32_t bit);
/** The name of a conduct (enum np_conduct): "honoured", "partial", "ignored", ... @since 0.4.0 */
NP_API const char *np_conduct_name(int32_t conduct);
/** Version of the library that is running, as in NP_VERSION. @since 0.1.0 */
NP_API const char *np_version(void);
/** Version as NP_VERSION_NUMBER of the library that is running. @since 0.1.0 */
NP_API uint32_t np_version_number(void);
/** sizeof(np_result) in the library that is running, for bindings that check their layout. @since 0.1.0 */
NP_API size_t np_result_size(void);
/** sizeof(np_event) in the library that is running, for bindings that check their layout. @since 0.2.0 */
NP_API size_t np_event_size(void);
/** sizeof(np_profile) in the library that is running, for bindings that check their layout. @since 0.4.0 */
NP_API size_t np_profile_size(void);
/** sizeof(np_outlook_result) in the library that is running, for bindings that check their layout. @since 0.4.0 */
NP_API size_t np_outlook_result_size(void);
/** sizeof(np_watch_status) in the library that is running, for bindings that check their layout. @since 0.4.0 */
NP_API size_t np_watch_status_size(void);
/** sizeof(np_survey_report) in the library that is running, for bindings that check their layout. @since 0.4.0 */
NP_API size_t np_survey_report_size(void);
/** sizeof(np_survey_status) in the library that is running, for bindings that check their layout. @since 0.4.0 */
NP_API size_t np_survey_status_size(void);

#ifdef __cplusplus
}
#endif

#endif
