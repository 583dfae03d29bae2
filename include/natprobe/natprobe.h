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
 *  - Functions that can fail return NP_OK (0) or a negative NP_ERR_* code; names and texts never return NULL.
 *  - The library keeps no global state, needs no initialisation, installs no signal handler, writes nothing (except
 *    np_check_nat_and_log() without a sink) and never ends the process.
 *  - Different np_probe handles may be used in parallel freely. One handle belongs to one thread at a time; only
 *    np_probe_cancel() may be called on it from another thread. docs/THREADS.md says it all.
 *  - Callbacks (log, events, datagrams) are called only from within a call of yours on the handle, in your thread. From
 *    within one, the handle accepts np_probe_cancel() and np_probe_free() alone; anything else is NP_ERR_BUSY.
 *  - After fork() a handle belongs to the parent alone: the child must not even free it.
 *  - Every string passed in is copied. Every string returned is constant and lives as long as the library.
 */
#ifndef NATPROBE_NATPROBE_H
#define NATPROBE_NATPROBE_H

#include <stddef.h>
#include <stdint.h>

#include <natprobe/version.h>

#if defined(__GNUC__) || defined(__clang__)
#define NP_API __attribute__((visibility("default")))
#else
#define NP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Any IPv4 address of this host: the source address that proxystore.p2p.nat uses by default. */
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
/** Most servers that one handle holds. */
#define NP_MAX_SERVERS 32
/** Room for a textual IP address with its terminator. */
#define NP_IP_TEXT_SIZE 46

/** Return codes. Values are never renumbered or reused. @since 0.1.0 */
enum np_error {
    NP_OK = 0,                   /**< There is a verdict. */
    NP_PENDING = 1,              /**< No error: the check goes on (np_probe_process()). @since 0.2.0 */
    NP_ERR_ARGUMENT = -1,        /**< An argument is NULL, malformed or out of range. */
    NP_ERR_NO_MEMORY = -2,       /**< Out of memory. */
    NP_ERR_SYSTEM = -3,          /**< The system refused a resource (see os_error), such as one more descriptor. */
    NP_ERR_BUSY = -4,            /**< The handle is running: the call has to wait until that is over. */
    NP_ERR_ADDRESS_IN_USE = -10, /**< The source port is taken. */
    NP_ERR_ADDRESS_NOT_AVAILABLE = -11, /**< The source address is not one of this host's. */
    NP_ERR_RESOLVE = -12,               /**< No server name could be resolved to an address of the wanted family. */
    NP_ERR_NETWORK_UNREACHABLE = -13,   /**< No route to any server, or the host's own firewall refuses to send. */
    /**
     * No server answered. nat_type is NP_NAT_UDP_BLOCKED if the silence lasted the response timeout, else unknown, as
     * where another socket may have the answers.
     */
    NP_ERR_NO_RESPONSE = -20,
    NP_ERR_ADDRESS_CHANGED = -21, /**< The external address changed during the check, and again after a restart. */
    NP_ERR_INCONCLUSIVE = -22,    /**< Servers answered, but nothing beyond the external address could be learnt. */
    NP_ERR_TIMEOUT = -23,         /**< The time allowed ran out: some answer had come, or no request had left. */
    NP_ERR_CANCELLED = -24,       /**< np_probe_cancel() was called. */
    NP_ERR_BAD_RESPONSE = -25     /**< Something answers at the servers' addresses, but nothing that could be used. */
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

/** Which tests a probe runs. @since 0.1.0 */
enum np_tests {
    NP_TESTS_MAPPING = 1, /**< External address and mapping only: one round trip with two servers. */
    NP_TESTS_ALL = 3      /**< Mapping and filtering (the default). */
};

/** Address family of a check. @since 0.1.0 */
enum np_family {
    NP_FAMILY_ANY = 0, /**< The source's; without one IPv4, and IPv6 if IPv4 has no route, no server or no answer. */
    NP_FAMILY_IPV4 = 4,
    NP_FAMILY_IPV6 = 6
};

/** Log levels, in order of increasing detail. @since 0.1.0 */
enum np_log_level { NP_LOG_ERROR = 1, NP_LOG_WARNING = 2, NP_LOG_INFO = 3, NP_LOG_DEBUG = 4 };

/** What an event tells. Values are never renumbered or reused. @since 0.2.0 */
enum np_event_kind {
    NP_EVENT_SENT = 1,     /**< A request, or one more copy of it, was sent. */
    NP_EVENT_ANSWERED = 2, /**< An answer to a request came. */
    NP_EVENT_CONCLUDED = 3 /**< What a number of requests was for is settled, or the whole check is. */
};

/** The tests of RFC 3489 section 10.1, by what is asked of the server. @since 0.2.0 */
enum np_test {
    NP_TEST_I = 1,  /**< A plain Binding request. */
    NP_TEST_II = 2, /**< To be answered from the server's other address and port (CHANGE-REQUEST). */
    NP_TEST_III = 3 /**< To be answered from the server's other port (CHANGE-REQUEST). */
};

/** What a request is for (docs/METHOD.md). @since 0.2.0 */
enum np_purpose {
    NP_PURPOSE_MAPPING = 1,   /**< The external address of the source socket, as one destination sees it. */
    NP_PURPOSE_FILTERING = 2, /**< Who may send to a socket that has spoken to one address only. */
    NP_PURPOSE_CONTROL = 3    /**< Whether the server sends what was missing once the way is open. */
};

/**
 * The result of a check: plain data of 512 bytes for the life of the ABI. Every byte is written by the call that fills
 * it, on failure too. Strings are terminated and empty where unknown. @since 0.1.0
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
    char server[64];       /**< Server on which the verdict rests: "192.0.2.1:3478" or "[2001:db8::1]:3478". */
    char detail[192];      /**< One sentence: why there is no verdict or what is unknown and why. May be empty. */
    uint8_t reserved[112]; /**< Zero. */
} np_result;

/**
 * Something that happened during a check: plain data of 256 bytes for the life of the ABI. What a kind of event does
 * not have is 0 or empty. @since 0.2.0
 */
typedef struct np_event {
    int32_t kind;       /**< enum np_event_kind. */
    int32_t purpose;    /**< enum np_purpose; 0 for the whole check (NP_EVENT_CONCLUDED). */
    int32_t test;       /**< enum np_test, of a request or an answer. */
    uint32_t copy;      /**< NP_EVENT_SENT: 1 for the first copy of a request, 2 for the next, ... */
    int32_t stun_error; /**< NP_EVENT_ANSWERED: the code of an error response (RFC 8489 section 14.8), 0 for success. */
    int32_t behaviour;  /**< NP_EVENT_CONCLUDED: enum np_behaviour, of the mapping or of the filtering. */
    int32_t nat_type;   /**< NP_EVENT_CONCLUDED, whole check: enum np_nat_type. */
    int32_t error;      /**< NP_EVENT_CONCLUDED, whole check: enum np_error. */
    uint64_t time_us;   /**< Microseconds since the run began. */
    char remote[64]; /**< Where a request went or an answer came from, "192.0.2.1:3478"; the server of a conclusion. */
    char external[64];    /**< NP_EVENT_ANSWERED: the external (mapped) address and port that the server saw. */
    uint8_t reserved[88]; /**< Zero. */
} np_event;

/** Receives one finished line of text, without a newline, valid during the call only. @since 0.1.0 */
typedef void (*np_log_fn)(void *user, int32_t level, const char *message);

/** Receives an event, valid during the call only. @since 0.2.0 */
typedef void (*np_event_fn)(void *user, const np_event *event);

/**
 * Receives one whole datagram that came to the caller's own socket and is not for the library: @p size bytes at
 * @p data, from the struct sockaddr of @p address_size bytes at @p address, as recvfrom() would give it. Both are valid
 * during the call only. @since 0.2.0
 */
typedef void (*np_datagram_fn)(void *user, const void *data, size_t size, const void *address, size_t address_size);

/** One check in preparation, running or done. Opaque. */
typedef struct np_probe np_probe;

/* ---- In one call ------------------------------------------------------------------------------------------------ */

/**
 * Finds out the NAT type with the built-in public servers.
 *
 * @param src_ip   Local IP literal to check from, as for np_probe_set_source(); NULL means any address: of IPv4 and,
 *                 where that has no route, no server or no answer, of IPv6. An IPv6 literal ("::") checks IPv6.
 * @param src_port Local UDP port to check from, 0 for any free one. The port is not opened to others, and is closed
 *                 at the end.
 * @param result   Receives everything; every byte is written. Must not be NULL.
 * @return NP_OK with a verdict in @p result, else NP_ERR_* with the reason in result->detail.
 * Blocks for a few round trips, at most NP_DEFAULT_TIMEOUT_MS. Thread-safe. @since 0.1.0
 */
NP_API int np_check_nat(const char *src_ip, uint16_t src_port, np_result *result);

/**
 * As np_check_nat(), and logs the outcome at NP_LOG_INFO: the type, the external address, and whether hole punching is
 * likely to work; failures at NP_LOG_ERROR.
 *
 * @param log  Sink for the lines; NULL writes them to stderr.
 * @param user Passed to @p log unchanged.
 * @return as np_check_nat(). Thread-safe. @since 0.1.0
 */
NP_API int np_check_nat_and_log(const char *src_ip, uint16_t src_port, np_log_fn log, void *user);

/* ---- With a handle ---------------------------------------------------------------------------------------------- */

/** Makes a probe with the defaults. @return NULL when out of memory. Free with np_probe_free(). @since 0.1.0 */
NP_API np_probe *np_probe_new(void);

/**
 * Frees a probe that no other call is using, at any moment: a check that goes on is given up, its sockets are closed.
 * From within a callback of the probe it is cancelled at once and freed when the call that it is in returns; no further
 * callback comes. NULL does nothing.
 * @since 0.1.0
 */
NP_API void np_probe_free(np_probe *probe);

/* The setters below copy their arguments, which hold for every later run. During a check they return NP_ERR_BUSY. */

/**
 * Sets the local address and port to check from. Takes back np_probe_set_socket().
 * @param ip IP literal, or NULL for any address. A link-local one of IPv6 has its interface, by name or index:
 *           "fe80::1%eth0" (RFC 4007). @param port 0 for any free port.
 * @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.1.0
 */
NP_API int np_probe_set_source(np_probe *probe, const char *ip, uint16_t port);

/**
 * Checks from a UDP socket of the caller's own, so that the external address is that of the port the caller will talk
 * to its peers from. Takes back np_probe_set_source(). Only the mapping is asked from it; filtering has to be tested
 * from a fresh socket (docs/METHOD.md section 3), which is given the same local address, and on Linux the same
 * SO_BINDTODEVICE and SO_MARK.
 *
 * While a check goes on the library reads the socket, and nobody else may. What comes and is not for the library is
 * handed to @p on_datagram in the order of arrival, whole, and never dropped. What has not been read when the check
 * ends is left in the socket; late answers to the library's requests may be among it, and are best ignored. The
 * socket's options and blocking mode are neither changed nor relied on. The library works on a duplicate of the
 * descriptor, made by np_probe_start() or np_probe_run() and closed at the end; it never closes @p fd.
 *
 * With an IPv6 socket that is not IPV6_V6ONLY and has no address of its own the check is one of IPv4, unless
 * np_probe_set_family() chooses IPv6.
 *
 * @param fd Descriptor of a UDP socket that is bound to a port and not connected; -1 takes the setting back.
 * @param on_datagram Receives what is not for the library; may be NULL with -1 only.
 * @param user Passed to @p on_datagram unchanged.
 * @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.2.0
 */
NP_API int np_probe_set_socket(np_probe *probe, int fd, np_datagram_fn on_datagram, void *user);

/**
 * Adds a server; the first one added replaces the built-in list. The order is kept: the first is asked first.
 * @param server "HOST", "HOST:PORT", "IPv4[:PORT]", "IPv6", "[IPv6]:PORT" or a "stun:" URI (RFC 7064). Without a
 *               port it is 3478. A link-local IPv6 address has its interface, "fe80::1%eth0"; without one it is on the
 *               source address's. In a URI the "%" is "%25" (RFC 6874).
 * @return NP_OK; NP_ERR_ARGUMENT for anything else, an empty name, or more than NP_MAX_SERVERS servers;
 * NP_ERR_BUSY. @since 0.1.0
 */
NP_API int np_probe_add_server(np_probe *probe, const char *server);

/**
 * Forgets the servers added: the built-in list is used again.
 * @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.1.0
 */
NP_API int np_probe_clear_servers(np_probe *probe);

/** Chooses the address family (enum np_family). @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.1.0 */
NP_API int np_probe_set_family(np_probe *probe, int32_t family);

/** Chooses the tests (enum np_tests). @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.1.0 */
NP_API int np_probe_set_tests(np_probe *probe, int32_t tests);

/**
 * Sets the time allowed for a whole run in milliseconds, name resolution included: 1 to 3,600,000.
 * @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.1.0
 */
NP_API int np_probe_set_timeout(np_probe *probe, uint32_t timeout_ms);

/**
 * Sets how long silence from every server must last until UDP is called blocked, in milliseconds: 1 to 3,600,000.
 * It should be well above the longest round trip to expect. If it is never set it is NP_DEFAULT_RESPONSE_TIMEOUT_MS, or
 * three tenths of the time allowed for the run if that is longer. @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since
 * 0.1.0
 */
NP_API int np_probe_set_response_timeout(np_probe *probe, uint32_t timeout_ms);

/**
 * Sets a sink for log lines up to @p level (enum np_log_level). @p log NULL turns logging off (the default).
 * @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.1.0
 */
NP_API int np_probe_set_log(np_probe *probe, np_log_fn log, void *user, int32_t level);

/**
 * Sets a receiver of events: every request sent, every answer, every conclusion. NULL turns them off (the default).
 * @return NP_OK, NP_ERR_ARGUMENT or NP_ERR_BUSY. @since 0.2.0
 */
NP_API int np_probe_set_events(np_probe *probe, np_event_fn on_event, void *user);

/**
 * Runs the check and blocks until it is done, cancelled or out of time. A handle may run any number of times.
 * @param result Receives everything; every byte is written unless it is NULL, which is NP_ERR_ARGUMENT.
 * @return as np_check_nat(); NP_ERR_BUSY when the handle is running already. @since 0.1.0
 */
NP_API int np_probe_run(np_probe *probe, np_result *result);

/**
 * Makes the run in progress end with NP_ERR_CANCELLED at once: np_probe_run() returns, np_probe_fd() becomes readable.
 * A run is in progress from the call of np_probe_run() until that returns, or from the call of np_probe_start() until
 * np_probe_process() hands over the result. Where there is none, nothing happens: no later run is cancelled. A run that
 * has its verdict already ends with that. May be called from any thread and from a signal handler; NULL does nothing.
 * The handle must stay alive during the call. @since 0.1.0
 */
NP_API void np_probe_cancel(np_probe *probe);

/* ---- In an event loop ------------------------------------------------------------------------------------------- */

/*
 * The same check without blocking, in an event loop that the program has already. There is one descriptor to watch:
 *
 *     np_probe_start(probe);
 *     // whenever np_probe_fd(probe) is readable (poll, epoll, kqueue, libuv, asyncio, ...):
 *     if (np_probe_process(probe, &result) != NP_PENDING)
 *         ... // the result is there
 *
 * Timers, name resolution, cancellation and the sockets are all behind that descriptor. No call here blocks.
 */

/**
 * Begins a check: opens the sockets and sends the first requests. Whatever goes wrong from here on, an address in use
 * included, is told by np_probe_process() with its reason.
 * @return NP_OK when np_probe_fd() is to be watched; else nothing has begun: NP_ERR_ARGUMENT (the probe is NULL),
 *         NP_ERR_BUSY (it is running already), NP_ERR_NO_MEMORY, NP_ERR_SYSTEM (no descriptors), NP_ERR_CANCELLED (a
 *         callback has freed the probe). errno says nothing. Callbacks may come during the call. @since 0.2.0
 */
NP_API int np_probe_start(np_probe *probe);

/**
 * The descriptor that is readable whenever np_probe_process() has something to do. Watch it level-triggered and for
 * reading only; never read, write or close it. It is made by the first np_probe_start() and stays the same until
 * np_probe_free().
 * @return -1 before that, or for NULL. @since 0.2.0
 */
NP_API int np_probe_fd(const np_probe *probe);

/**
 * Goes on with a check that was started, as far as it can without waiting. Calling it too often does no harm. To give a
 * check up and keep the handle, call np_probe_cancel() and then this once more.
 * @param result Receives everything at the end, and until then zeros and NP_PENDING; every byte is written unless it is
 *               NULL, which is NP_ERR_ARGUMENT.
 * @return NP_PENDING (positive) while the check goes on; then, once, as np_probe_run(): NP_OK with a verdict or
 *         NP_ERR_*. The handle is then free for another run. NP_ERR_ARGUMENT when nothing was started. @since 0.2.0
 */
NP_API int np_probe_process(np_probe *probe, np_result *result);

/* ---- Names and texts -------------------------------------------------------------------------------------------- */

/** A sentence for a code, such as "No STUN server answered". Never NULL, also for unknown codes. @since 0.1.0 */
NP_API const char *np_strerror(int32_t error);
/** The name of a code in kebab case: "ok", "no-response", ...; "unknown" for other values. @since 0.1.0 */
NP_API const char *np_error_name(int32_t error);
/** The stable short name of a type: "port-restricted-cone", ...; "unknown" for other values. @since 0.1.0 */
NP_API const char *np_nat_type_name(int32_t nat_type);
/** Display text of a type; for the six RFC 3489 types that of proxystore.p2p.nat.NatType. @since 0.1.0 */
NP_API const char *np_nat_type_description(int32_t nat_type);
/** What a type means for peer-to-peer connections, as one sentence. @since 0.1.0 */
NP_API const char *np_nat_type_advice(int32_t nat_type);
/** The short name of a behaviour: "endpoint-independent", ...; "unknown" for other values. @since 0.1.0 */
NP_API const char *np_behaviour_name(int32_t behaviour);
/** Display text of a behaviour. @since 0.1.0 */
NP_API const char *np_behaviour_description(int32_t behaviour);
/** The short name of one evidence bit: "control-answered", ...; "unknown" for anything other than one. @since 0.1.0 */
NP_API const char *np_evidence_name(uint32_t bit);
/** The short name of an event's kind: "sent", "answered", "concluded"; "unknown" for other values. @since 0.2.0 */
NP_API const char *np_event_name(int32_t kind);
/** The short name of a test: "I", "II", "III"; "unknown" for other values. @since 0.2.0 */
NP_API const char *np_test_name(int32_t test);
/** The short name of a purpose: "mapping", "filtering", "control"; "unknown" for other values. @since 0.2.0 */
NP_API const char *np_purpose_name(int32_t purpose);
/** Version of the library that is running, as in NP_VERSION. @since 0.1.0 */
NP_API const char *np_version(void);
/** Version as NP_VERSION_NUMBER of the library that is running. @since 0.1.0 */
NP_API uint32_t np_version_number(void);
/** sizeof(np_result), for bindings that check their layout. @since 0.1.0 */
NP_API size_t np_result_size(void);
/** sizeof(np_event), for bindings that check their layout. @since 0.2.0 */
NP_API size_t np_event_size(void);

#ifdef __cplusplus
}
#endif

#endif
