// SPDX-License-Identifier: MIT
//! The constants of natprobe.h.

/// The source address that proxystore.p2p.nat uses by default, with its terminator: any of IPv4.
pub const NP_DEFAULT_SOURCE_IP: &[u8; 8] = b"0.0.0.0\0";
/// The source port that proxystore.p2p.nat uses by default.
pub const NP_DEFAULT_SOURCE_PORT: u16 = 54320;
/// Default of `np_probe_set_timeout`.
pub const NP_DEFAULT_TIMEOUT_MS: u32 = 10_000;
/// Default of `np_probe_set_response_timeout`.
pub const NP_DEFAULT_RESPONSE_TIMEOUT_MS: u32 = 3_000;
/// Default of `np_probe_set_lifetime_limit`.
pub const NP_DEFAULT_LIFETIME_LIMIT_S: u32 = 200;
/// Most servers that one handle holds.
pub const NP_MAX_SERVERS: usize = 32;
/// Room for a textual IP address with its terminator.
pub const NP_IP_TEXT_SIZE: usize = 46;
/// Room for the line of a profile with its terminator.
pub const NP_PROFILE_TEXT_SIZE: usize = 160;

/// There is a verdict.
pub const NP_OK: i32 = 0;
/// No error: the check goes on (`np_probe_process`).
pub const NP_PENDING: i32 = 1;
/// An argument is NULL, malformed or out of range.
pub const NP_ERR_ARGUMENT: i32 = -1;
/// Out of memory.
pub const NP_ERR_NO_MEMORY: i32 = -2;
/// The system refused a resource (see os_error), such as one more descriptor.
pub const NP_ERR_SYSTEM: i32 = -3;
/// The handle is running: the call has to wait until that is over.
pub const NP_ERR_BUSY: i32 = -4;
/// A list is full: there are more than `NP_MAX_SERVERS` servers.
pub const NP_ERR_LIMIT: i32 = -5;
/// The source port is taken.
pub const NP_ERR_ADDRESS_IN_USE: i32 = -10;
/// The source address is not one of this host's.
pub const NP_ERR_ADDRESS_NOT_AVAILABLE: i32 = -11;
/// No server name could be resolved to an address of the wanted family.
pub const NP_ERR_RESOLVE: i32 = -12;
/// There is no route to any server, or the host's own firewall refuses to send.
pub const NP_ERR_NETWORK_UNREACHABLE: i32 = -13;
/// Requests left, and nothing was ever heard. nat_type is NP_NAT_UDP_BLOCKED if the silence lasted the
/// response timeout, else unknown.
pub const NP_ERR_NO_RESPONSE: i32 = -20;
/// The external address changed during the check, and again after a restart.
pub const NP_ERR_ADDRESS_CHANGED: i32 = -21;
/// Servers answered, but nothing beyond the external address could be learnt.
pub const NP_ERR_INCONCLUSIVE: i32 = -22;
/// The time allowed ran out: after something came, or before anything was sent.
pub const NP_ERR_TIMEOUT: i32 = -23;
/// `np_probe_cancel` was called.
pub const NP_ERR_CANCELLED: i32 = -24;
/// Something answers at the servers' addresses, but nothing that could be used.
pub const NP_ERR_BAD_RESPONSE: i32 = -25;
/// A survey could not prove that this host is open to the internet.
pub const NP_ERR_NOT_OPEN: i32 = -26;

/// Nothing can be said.
pub const NP_NAT_UNKNOWN: i32 = 0;
/// No translation, nothing filtered.
pub const NP_NAT_OPEN_INTERNET: i32 = 1;
/// Endpoint-independent mapping and filtering.
pub const NP_NAT_FULL_CONE: i32 = 2;
/// Endpoint-independent mapping, address-dependent filtering.
pub const NP_NAT_RESTRICTED_CONE: i32 = 3;
/// Endpoint-independent mapping, address-and-port-dependent filtering.
pub const NP_NAT_PORT_RESTRICTED_CONE: i32 = 4;
/// Mapping depends on the destination.
pub const NP_NAT_SYMMETRIC: i32 = 5;
/// No translation, but unsolicited datagrams are filtered.
pub const NP_NAT_SYMMETRIC_UDP_FIREWALL: i32 = 6;
/// No server could be reached over UDP.
pub const NP_NAT_UDP_BLOCKED: i32 = 7;
/// Endpoint-independent mapping, filtering not known.
pub const NP_NAT_CONE: i32 = 8;
/// No translation, filtering not known.
pub const NP_NAT_NO_NAT: i32 = 9;

/// Not known.
pub const NP_BEHAVIOUR_UNKNOWN: i32 = 0;
/// Mapping only: external and local address are the same.
pub const NP_BEHAVIOUR_NONE: i32 = 1;
/// The same towards everybody.
pub const NP_BEHAVIOUR_ENDPOINT_INDEPENDENT: i32 = 2;
/// Depends on the other side's address.
pub const NP_BEHAVIOUR_ADDRESS_DEPENDENT: i32 = 3;
/// Depends on the other side's address and port.
pub const NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT: i32 = 4;
/// Depends on the endpoint; which kind is not known.
pub const NP_BEHAVIOUR_ENDPOINT_DEPENDENT: i32 = 5;

/// At least one server answered a plain request.
pub const NP_EVIDENCE_ANSWERED: u32 = 1 << 0;
/// The mapping was seen from servers of two unrelated addresses.
pub const NP_EVIDENCE_SECOND_SERVER: u32 = 1 << 1;
/// The server named a usable second address (RFC 5780).
pub const NP_EVIDENCE_ALTERNATE: u32 = 1 << 2;
/// That second address answered a plain request.
pub const NP_EVIDENCE_ALTERNATE_ALIVE: u32 = 1 << 3;
/// A second address was named to which it would be wrong to send.
pub const NP_EVIDENCE_ALTERNATE_REFUSED: u32 = 1 << 4;
/// The mapping was compared from two destination addresses, or is none.
pub const NP_EVIDENCE_MAPPING_PROVEN: u32 = 1 << 5;
/// An unsolicited answer came through from another address.
pub const NP_EVIDENCE_TEST_II_ANSWERED: u32 = 1 << 6;
/// An unsolicited answer came through from another port.
pub const NP_EVIDENCE_TEST_III_ANSWERED: u32 = 1 << 7;
/// The server sent the very answer that was missing once the path was open.
pub const NP_EVIDENCE_CONTROL_ANSWERED: u32 = 1 << 8;
/// The filtering verdict rests on an answer, or on silence with a control.
pub const NP_EVIDENCE_FILTERING_PROVEN: u32 = 1 << 9;
/// A server answered CHANGE-REQUEST from the address it was sent to.
pub const NP_EVIDENCE_CHANGE_IGNORED: u32 = 1 << 10;
/// A server changed something else than it was asked to.
pub const NP_EVIDENCE_CHANGE_PARTIAL: u32 = 1 << 11;
/// A server answered CHANGE-REQUEST with an error.
pub const NP_EVIDENCE_CHANGE_REJECTED: u32 = 1 << 12;
/// The control failed: the server does not honour CHANGE-REQUEST.
pub const NP_EVIDENCE_CONTROL_SILENT: u32 = 1 << 13;
/// Some datagrams were lost on the way.
pub const NP_EVIDENCE_LOSS: u32 = 1 << 14;
/// A server answered only the RFC 3489 form of the request.
pub const NP_EVIDENCE_CLASSIC: u32 = 1 << 15;
/// Something rewrote MAPPED-ADDRESS on the way (RFC 5780 section 4.6).
pub const NP_EVIDENCE_ALG: u32 = 1 << 16;
/// The external address changed once; the check was started again.
pub const NP_EVIDENCE_RESTARTED: u32 = 1 << 17;
/// Answers contradicted each other; what rested on them was dropped.
pub const NP_EVIDENCE_CONTRADICTION: u32 = 1 << 18;
/// A server sent answers that could not be used.
pub const NP_EVIDENCE_MALFORMED: u32 = 1 << 19;
/// Something on the path answers, or translates, for a server.
pub const NP_EVIDENCE_PROXIED: u32 = 1 << 20;
/// A server contradicted the others and was left out.
pub const NP_EVIDENCE_OUTVOTED: u32 = 1 << 21;
/// An IPv6 socket has an IPv4 external address (NAT64).
pub const NP_EVIDENCE_TRANSLATED: u32 = 1 << 22;

/// External address and mapping only: one round trip with two servers.
pub const NP_TESTS_MAPPING: i32 = 1;
/// Filtering. It brings the mapping.
pub const NP_TESTS_FILTERING: i32 = 2;
/// Mapping and filtering.
pub const NP_TESTS_DEFAULT: i32 = 3;
/// Optional, as are all below: is the source port open to everybody, as a forwarded one is?
pub const NP_TESTS_PORT: i32 = 4;
/// Does a datagram that the NAT refuses take the port? It brings the filtering.
pub const NP_TESTS_REFUSED: i32 = 8;
/// Do datagrams of this host to its own external address arrive?
pub const NP_TESTS_HAIRPIN: i32 = 16;
/// Is there another NAT behind the gateway?
pub const NP_TESTS_GATEWAY: i32 = 32;
/// How long does an idle mapping live? Takes minutes.
pub const NP_TESTS_LIFETIME: i32 = 64;
/// All the optional ones.
pub const NP_TESTS_OPTIONAL: i32 = 124;

/// That of the source address; without one IPv4, and IPv6 if IPv4 has no route, no server or no
/// answer.
pub const NP_FAMILY_ANY: i32 = 0;
/// IPv4 only.
pub const NP_FAMILY_IPV4: i32 = 4;
/// IPv6 only.
pub const NP_FAMILY_IPV6: i32 = 6;

/// No local address is known, or it is one that no host can have.
pub const NP_ADDRESS_UNKNOWN: i32 = 0;
/// All that is in none of the others.
pub const NP_ADDRESS_GLOBAL: i32 = 1;
/// 10/8, 172.16/12, 192.168/16 (RFC 1918).
pub const NP_ADDRESS_PRIVATE: i32 = 2;
/// 100.64/10 (RFC 6598): of a carrier's NAT, and of some overlay networks.
pub const NP_ADDRESS_SHARED: i32 = 3;
/// 192.0.0.0/29 (RFC 7335): IPv4 over IPv6, by 464XLAT or DS-Lite.
pub const NP_ADDRESS_SERVICE_CONTINUITY: i32 = 4;
/// 198.18/15 (RFC 2544): in practice the made-up addresses of a proxy.
pub const NP_ADDRESS_BENCHMARK: i32 = 5;
/// 169.254/16, `fe80::/10`.
pub const NP_ADDRESS_LINK_LOCAL: i32 = 6;
/// `fc00::/7` (RFC 4193).
pub const NP_ADDRESS_UNIQUE_LOCAL: i32 = 7;
/// 127/8, `::1`.
pub const NP_ADDRESS_LOOPBACK: i32 = 8;

/// What made a check fail.
pub const NP_LOG_ERROR: i32 = 1;
/// What may make a verdict weaker.
pub const NP_LOG_WARNING: i32 = 2;
/// The course of a check.
pub const NP_LOG_INFO: i32 = 3;
/// Every request and answer.
pub const NP_LOG_DEBUG: i32 = 4;

/// A request, or one more copy of it, was sent.
pub const NP_EVENT_SENT: i32 = 1;
/// An answer to a request came.
pub const NP_EVENT_ANSWERED: i32 = 2;
/// What a number of requests was for is settled, or the whole check is.
pub const NP_EVENT_CONCLUDED: i32 = 3;
/// A test of minutes goes on: about once a second.
pub const NP_EVENT_PROGRESS: i32 = 4;

/// A plain Binding request.
pub const NP_REQUEST_I: i32 = 1;
/// To be answered from the server's other address and port (CHANGE-REQUEST).
pub const NP_REQUEST_II: i32 = 2;
/// To be answered from the server's other port (CHANGE-REQUEST).
pub const NP_REQUEST_III: i32 = 3;

/// The whole check.
pub const NP_PURPOSE_CHECK: i32 = 0;
/// The external address of the source socket, as one destination sees it.
pub const NP_PURPOSE_MAPPING: i32 = 1;
/// Who may send to a socket that has spoken to one address only.
pub const NP_PURPOSE_FILTERING: i32 = 2;
/// Whether the server sends what was missing once the way is open.
pub const NP_PURPOSE_CONTROL: i32 = 3;
/// An optional test.
pub const NP_PURPOSE_OPTIONAL: i32 = 4;

/// Not tested, or the test could not tell.
pub const NP_TRISTATE_UNKNOWN: i32 = 0;
/// No.
pub const NP_TRISTATE_NO: i32 = 1;
/// Yes.
pub const NP_TRISTATE_YES: i32 = 2;

/// What is not known decides whether they connect.
pub const NP_OUTLOOK_UNKNOWN: i32 = 0;
/// One side lets in whatever comes: the other sends to it.
pub const NP_OUTLOOK_DIRECT: i32 = 1;
/// Both send to each other's external address.
pub const NP_OUTLOOK_PUNCH: i32 = 2;
/// The same; one side's port is learnt from the datagram that comes from it.
pub const NP_OUTLOOK_PUNCH_LEARN: i32 = 3;
/// They connect only if one side's next external port is guessed.
pub const NP_OUTLOOK_NEEDS_PREDICTION: i32 = 4;
/// They do not connect without a relay.
pub const NP_OUTLOOK_RELAY: i32 = 5;
/// Both have the same external address: try the local addresses first.
pub const NP_OUTLOOK_SAME_NAT: i32 = 6;

/// Either may begin. Also if they do not connect.
pub const NP_FIRST_ANY: i32 = 0;
/// Our side, before anything of theirs reaches our NAT.
pub const NP_FIRST_OURS: i32 = 1;
/// Their side, before anything of ours reaches their NAT.
pub const NP_FIRST_THEIRS: i32 = 2;
/// Both, at about the same time, and several times.
pub const NP_FIRST_BOTH: i32 = 3;

/// A side with dependent mapping has one external IP address for all mappings of a socket.
pub const NP_ASSUMES_ONE_IP: u32 = 1 << 0;
/// A filtering that was measured but is not proven is right.
pub const NP_ASSUMES_FILTERING: u32 = 1 << 1;
/// A profile is right that is older than 15 minutes, or of unknown age.
pub const NP_ASSUMES_FRESH: u32 = 1 << 2;
/// A first datagram with a low TTL opens the sender's NAT, and does not reach the peer's.
pub const NP_ASSUMES_LOW_TTL: u32 = 1 << 3;
/// The programs answer to the address that a datagram came from.
pub const NP_ASSUMES_ANSWER_TO_SOURCE: u32 = 1 << 4;

/// More than one rule may apply; what is not known decides.
pub const NP_RULE_UNKNOWN: i32 = 0;
/// A side cannot use UDP.
pub const NP_RULE_UDP_BLOCKED: i32 = 1;
/// One side has IPv4, the other IPv6.
pub const NP_RULE_NO_COMMON_FAMILY: i32 = 2;
/// Both sides have, or may have, the same external IP address.
pub const NP_RULE_SAME_NAT: i32 = 3;
/// Each side lets in a datagram that it did not ask for.
pub const NP_RULE_OPEN: i32 = 4;
/// One side does, and its answer gets back.
pub const NP_RULE_ONE_OPEN: i32 = 5;
/// Neither mapping depends on the destination.
pub const NP_RULE_PORTS_KNOWN: i32 = 6;
/// One mapping depends; the other side's filter lets its unknown port in.
pub const NP_RULE_PORT_LEARNT: i32 = 7;
/// One mapping depends, and the other side's filter does not let it in.
pub const NP_RULE_PORT_UNKNOWN: i32 = 8;
/// The same, and not even the IP address of the dependent side is known.
pub const NP_RULE_ADDRESS_UNKNOWN: i32 = 9;
/// Both mappings depend on the destination.
pub const NP_RULE_BOTH_DEPENDENT: i32 = 10;

/// No check has been made.
pub const NP_WATCH_REASON_NONE: i32 = 0;
/// The watch was started.
pub const NP_WATCH_REASON_START: i32 = 1;
/// The network of this host changed: an interface, an address or a route.
pub const NP_WATCH_REASON_NETWORK: i32 = 2;
/// This host was suspended.
pub const NP_WATCH_REASON_RESUME: i32 = 3;
/// `np_watch_note_failure` was called.
pub const NP_WATCH_REASON_FAILURE: i32 = 4;
/// The check before gave no verdict.
pub const NP_WATCH_REASON_RETRY: i32 = 5;
/// The check before could not test the filtering, and something had changed.
pub const NP_WATCH_REASON_FILTERING: i32 = 6;
/// It was time.
pub const NP_WATCH_REASON_INTERVAL: i32 = 7;

/// The type.
pub const NP_CHANGED_TYPE: u32 = 1 << 0;
/// The mapping.
pub const NP_CHANGED_MAPPING: u32 = 1 << 1;
/// The filtering.
pub const NP_CHANGED_FILTERING: u32 = 1 << 2;
/// The external IP address; the port alone does not count.
pub const NP_CHANGED_ADDRESS: u32 = 1 << 3;

/// Default of `np_watch_set_interval`: seconds.
pub const NP_DEFAULT_WATCH_INTERVAL_S: u32 = 7200;

/// Not asked, or not often enough to call it silent.
pub const NP_CONDUCT_UNKNOWN: i32 = 0;
/// It answers from exactly the address that it should.
pub const NP_CONDUCT_HONOURED: i32 = 1;
/// It answers from another address than it should, or not always from the same.
pub const NP_CONDUCT_PARTIAL: i32 = 2;
/// It answers from the address that was asked.
pub const NP_CONDUCT_IGNORED: i32 = 3;
/// It answers with an error.
pub const NP_CONDUCT_REJECTED: i32 = 4;
/// It does not answer, although it answers plain requests.
pub const NP_CONDUCT_SILENT: i32 = 5;

/// Most servers that one survey holds.
pub const NP_MAX_SURVEY_SERVERS: usize = 200_000;
/// Room for any server as text, with its terminator.
pub const NP_SERVER_TEXT_SIZE: usize = 264;
