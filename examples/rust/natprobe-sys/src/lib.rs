// SPDX-License-Identifier: MIT
//! The C interface of libnatprobe as it is, for [`natprobe`](../natprobe/index.html), the safe
//! crate on top of it.
//!
//! Everything here has the name that it has in `natprobe.h`, where all of it is described. The
//! values of C's enums are plain integers, because a newer library may give values that this crate
//! does not know.
#![no_std]
#![deny(missing_docs)]
#![allow(non_camel_case_types)]

use core::ffi::c_void;
use core::marker::{PhantomData, PhantomPinned};

use libc::{c_char, c_int, sockaddr};

mod constants;
mod layout;

pub use constants::*;

/// A socket as the system has it: a descriptor, and a `SOCKET` on Windows.
#[cfg(not(windows))]
pub type np_socket = c_int;
/// A socket as the system has it: a descriptor, and a `SOCKET` on Windows.
#[cfg(windows)]
pub type np_socket = usize;

/// The value that no socket has.
pub const NP_INVALID_SOCKET: np_socket = !0;

/// One check in preparation, running or done. Opaque.
#[repr(C)]
pub struct np_probe {
    _data: [u8; 0],
    // Neither Send nor Sync, and nothing to be moved: only the library knows what is in it.
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// The result of a check: 1,024 bytes. Strings are terminated and empty where unknown.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct np_result {
    /// What the call returned (`NP_OK` or `NP_ERR_*`).
    pub error: i32,
    /// `NP_NAT_*`.
    pub nat_type: i32,
    /// `NP_BEHAVIOUR_*`.
    pub mapping: i32,
    /// `NP_BEHAVIOUR_*`.
    pub filtering: i32,
    /// Bits `NP_EVIDENCE_*`.
    pub evidence: u32,
    /// `errno` behind the error, or the resolver's `EAI_*` code for `NP_ERR_RESOLVE`; else 0.
    pub os_error: i32,
    /// Datagrams sent.
    pub packets_sent: u32,
    /// Datagrams received, answers or not.
    pub packets_received: u32,
    /// Round-trip time to the server in microseconds, 0 when none was measured.
    pub rtt_us: u64,
    /// Time the whole check took in microseconds.
    pub elapsed_us: u64,
    /// External (mapped) port of the source socket, 0 when unknown.
    pub external_port: u16,
    /// Local port of the source socket, 0 when unknown.
    pub local_port: u16,
    /// External (mapped) address of the source socket.
    pub external_ip: [c_char; NP_IP_TEXT_SIZE],
    /// Local address of the source socket.
    pub local_ip: [c_char; NP_IP_TEXT_SIZE],
    /// Server on which the verdict rests: `192.0.2.1:3478` or `[2001:db8::1]:3478`.
    pub server: [c_char; 64],
    /// One sentence: why there is no verdict, or what is unknown and why.
    pub detail: [c_char; 192],
    /// Step between the external ports of new mappings, in the order in which they were made; 0 when
    /// not known.
    pub port_step: i32,
    /// `NP_ADDRESS_*`, of `local_ip`.
    pub local_class: i32,
    /// Mappings seen, of all sockets: external addresses with ports.
    pub ports_seen: u16,
    /// Those of them whose external port is the local port.
    pub ports_kept: u16,
    /// External IP addresses seen, of all sockets.
    pub external_ips: u16,
    /// Local IP addresses to which answers came, of all sockets.
    pub local_ips: u16,
    /// `NP_TESTS_PORT`, `NP_TRISTATE_*`: can strangers send to the source port from outside?
    pub port_open: i32,
    /// `NP_TESTS_REFUSED`, `NP_TRISTATE_*`: can a datagram that the NAT refuses change the port of the
    /// mapping to its sender?
    pub refused_takes_port: i32,
    /// `NP_TESTS_HAIRPIN`, `NP_TRISTATE_*`: do datagrams to the own external address arrive?
    pub hairpin: i32,
    /// `NP_TESTS_HAIRPIN`, `NP_TRISTATE_*`: do those seem to come from an external address?
    pub hairpin_external: i32,
    /// `NP_TESTS_GATEWAY`, `NP_TRISTATE_*`: is there another NAT behind the gateway?
    pub another_nat: i32,
    /// `NP_TESTS_LIFETIME`, `NP_TRISTATE_*`: does the NAT make the same mapping again?
    pub lifetime_recreated: i32,
    /// `NP_TESTS_LIFETIME`: an answered mapping lives idle for at least so many seconds; 0 when not known.
    pub lifetime_min_s: u32,
    /// And for less than so many.
    pub lifetime_max_s: u32,
    /// As `lifetime_min_s`, of a mapping that no answer has come to.
    pub unanswered_min_s: u32,
    /// As `lifetime_max_s`, of a mapping that no answer has come to.
    pub unanswered_max_s: u32,
    /// `NP_TESTS_GATEWAY`: the gateway that was asked.
    pub gateway_ip: [c_char; NP_IP_TEXT_SIZE],
    /// `NP_TESTS_GATEWAY`: the external address that it named.
    pub gateway_external_ip: [c_char; NP_IP_TEXT_SIZE],
    /// Zero.
    pub reserved: [u8; 476],
}

/// Something that happened during a check: 256 bytes. What a kind of event does not have is 0 or
/// empty.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct np_event {
    /// `NP_EVENT_*`.
    pub kind: i32,
    /// `NP_PURPOSE_*`.
    pub purpose: i32,
    /// `NP_REQUEST_*`, of a request or an answer.
    pub request: i32,
    /// `NP_EVENT_SENT`: 1 for the first copy of a request, 2 for the next, and so on.
    pub copy: u32,
    /// `NP_EVENT_ANSWERED`: the code of an error response, 0 for success.
    pub stun_error: i32,
    /// `NP_EVENT_CONCLUDED`: `NP_BEHAVIOUR_*`, of the mapping or of the filtering.
    pub behaviour: i32,
    /// `NP_EVENT_CONCLUDED`, whole check: `NP_NAT_*`.
    pub nat_type: i32,
    /// `NP_EVENT_CONCLUDED`, whole check: `NP_OK` or `NP_ERR_*`.
    pub error: i32,
    /// Microseconds since the run began.
    pub time_us: u64,
    /// Where a request went or an answer came from; the server of a conclusion.
    pub remote: [c_char; 64],
    /// `NP_EVENT_ANSWERED`: the external (mapped) address and port that the server saw.
    pub external: [c_char; 64],
    /// `NP_EVENT_PROGRESS`: the test, a bit of `NP_TESTS_*`.
    pub test: i32,
    /// `NP_EVENT_PROGRESS`: seconds that it has taken so far.
    pub done_s: u32,
    /// `NP_EVENT_PROGRESS`: seconds that it takes at most.
    pub total_s: u32,
    /// Zero.
    pub reserved: [u8; 76],
}

/// What a peer needs to know of a host: 256 bytes. Zero is "not known".
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct np_profile {
    /// When it was measured: seconds since 1970, UTC.
    pub measured_at: i64,
    /// `NP_BEHAVIOUR_*`.
    pub mapping: i32,
    /// `NP_BEHAVIOUR_*`.
    pub filtering: i32,
    /// 1: the filtering is proven.
    pub filtering_proven: i32,
    /// `NP_FAMILY_*`, of the external address.
    pub family: i32,
    /// 1: no server could be reached over UDP.
    pub udp_blocked: i32,
    /// `NP_TRISTATE_*`: does a datagram that the NAT refuses take the port?
    pub refused_takes_port: i32,
    /// As `np_result.port_step`.
    pub port_step: i32,
    /// External IP addresses seen.
    pub external_ips: u16,
    /// Mappings seen.
    pub ports_seen: u16,
    /// Those of them whose external port is the local port.
    pub ports_kept: u16,
    /// External port.
    pub external_port: u16,
    /// External address.
    pub external_ip: [c_char; NP_IP_TEXT_SIZE],
    /// Zero.
    pub reserved: [u8; 166],
}

/// Whether two hosts will connect: 128 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct np_outlook_result {
    /// `NP_OUTLOOK_*`: the worst that is possible, or unknown, or the same NAT.
    pub outlook: i32,
    /// `NP_OUTLOOK_*`: if all that is not known is as good as can be.
    pub best: i32,
    /// `NP_OUTLOOK_*`: if all that is not known is as bad as can be.
    pub worst: i32,
    /// `NP_FIRST_*`.
    pub first: i32,
    /// Bits `NP_ASSUMES_*`.
    pub assumes: u32,
    /// `NP_RULE_*`.
    pub rule: i32,
    /// Zero.
    pub reserved: [u8; 104],
}

/// Checks that are made again whenever the result may no longer hold. Opaque.
#[repr(C)]
pub struct np_watch {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// What a watch knows: 1,280 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct np_watch_status {
    /// What holds now.
    pub result: np_result,
    /// `NP_WATCH_REASON_*`, of the latest check.
    pub reason: i32,
    /// Bits `NP_CHANGED_*`: the latest difference that was reported.
    pub changed: u32,
    /// `NP_OK` or `NP_ERR_*`, of the latest check.
    pub last_error: i32,
    /// 1: a check is being made.
    pub is_checking: i32,
    /// Milliseconds since the result was measured; -1: there is none.
    pub age_ms: i64,
    /// Milliseconds since its filtering was measured; -1: it is not known.
    pub filtering_age_ms: i64,
    /// Milliseconds to the next check if nothing changes; -1: none is planned.
    pub next_check_ms: i64,
    /// Checks made so far.
    pub checks: u64,
    /// What was reported so far.
    pub changes: u64,
    /// Zero.
    pub reserved: [u8; 200],
}

/// Receives what a watch found changed, valid during the call only.
pub type np_watch_fn =
    Option<unsafe extern "C" fn(status: *const np_watch_status, user: *mut c_void)>;

/// Receives one finished line of text, without a newline, valid during the call only.
pub type np_log_fn =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, user: *mut c_void)>;

/// Receives an event, valid during the call only.
pub type np_event_fn = Option<unsafe extern "C" fn(event: *const np_event, user: *mut c_void)>;

/// Receives a datagram that is not for the library, with its sender, both valid during the call only.
pub type np_datagram_fn = Option<
    unsafe extern "C" fn(
        data: *const c_void,
        size: usize,
        address: *const sockaddr,
        address_size: usize,
        user: *mut c_void,
    ),
>;

extern "C" {
    /// Finds out the NAT type with the built-in public servers.
    pub fn np_check_nat(src_ip: *const c_char, src_port: u16, result: *mut np_result) -> c_int;
    /// As `np_check_nat`, and logs the outcome. The result may be null.
    pub fn np_check_nat_and_log(
        src_ip: *const c_char,
        src_port: u16,
        result: *mut np_result,
        log: np_log_fn,
        user: *mut c_void,
    ) -> c_int;

    /// Makes two checks at the same time, one over IPv4 and one over IPv6.
    pub fn np_check_nat_dual(ipv4: *mut np_result, ipv6: *mut np_result) -> c_int;

    /// Makes a probe with the defaults; null when out of memory.
    #[must_use]
    pub fn np_probe_new() -> *mut np_probe;
    /// Frees a probe that no other call is using.
    pub fn np_probe_free(probe: *mut np_probe);
    /// Sets the local address and port to check from.
    #[must_use]
    pub fn np_probe_set_source(probe: *mut np_probe, ip: *const c_char, port: u16) -> c_int;
    /// Checks from a UDP socket of the caller's own.
    #[must_use]
    pub fn np_probe_set_socket(
        probe: *mut np_probe,
        socket: np_socket,
        on_datagram: np_datagram_fn,
        user: *mut c_void,
    ) -> c_int;
    /// Checks through the network interface of this name; null takes it back.
    #[must_use]
    pub fn np_probe_set_interface(probe: *mut np_probe, name: *const c_char) -> c_int;
    /// Adds a server; the first one added replaces the built-in list.
    #[must_use]
    pub fn np_probe_add_server(probe: *mut np_probe, server: *const c_char) -> c_int;
    /// Forgets the servers added.
    #[must_use]
    pub fn np_probe_clear_servers(probe: *mut np_probe) -> c_int;
    /// Chooses the address family (`NP_FAMILY_*`).
    #[must_use]
    pub fn np_probe_set_family(probe: *mut np_probe, family: i32) -> c_int;
    /// Chooses the tests (`NP_TESTS_*`).
    #[must_use]
    pub fn np_probe_set_tests(probe: *mut np_probe, tests: i32) -> c_int;
    /// Sets the time allowed for a whole run.
    #[must_use]
    pub fn np_probe_set_timeout(probe: *mut np_probe, timeout_ms: u32) -> c_int;
    /// Sets the longest idle time that `NP_TESTS_LIFETIME` tries.
    #[must_use]
    pub fn np_probe_set_lifetime_limit(probe: *mut np_probe, limit_s: u32) -> c_int;
    /// Sets how long silence from every server must last until UDP is called blocked.
    #[must_use]
    pub fn np_probe_set_response_timeout(probe: *mut np_probe, timeout_ms: u32) -> c_int;
    /// Sets a sink for log lines up to a level (`NP_LOG_*`).
    #[must_use]
    pub fn np_probe_set_log(
        probe: *mut np_probe,
        level: i32,
        log: np_log_fn,
        user: *mut c_void,
    ) -> c_int;
    /// Sets a receiver of events.
    #[must_use]
    pub fn np_probe_set_events(
        probe: *mut np_probe,
        on_event: np_event_fn,
        user: *mut c_void,
    ) -> c_int;
    /// Runs the check and blocks until it is done, cancelled or out of time.
    pub fn np_probe_run(probe: *mut np_probe, result: *mut np_result) -> c_int;
    /// Makes the run in progress end at once, and no other. From any thread or signal handler.
    pub fn np_probe_cancel(probe: *mut np_probe);

    /// Begins a check without blocking.
    #[must_use]
    pub fn np_probe_start(probe: *mut np_probe) -> c_int;
    /// The descriptor that is readable whenever `np_probe_process` has something to do.
    pub fn np_probe_fd(probe: *const np_probe) -> np_socket;
    /// On Windows, what to wait for in place of the descriptor. NULL elsewhere. Since 0.4.0.
    pub fn np_probe_wait_handle(probe: *const np_probe) -> *mut c_void;
    /// Goes on with a check that was started, as far as it can without waiting.
    #[must_use]
    pub fn np_probe_process(probe: *mut np_probe, result: *mut np_result) -> c_int;

    /// Makes a profile of a result.
    pub fn np_profile_from_result(
        result: *const np_result,
        now_unix: i64,
        profile: *mut np_profile,
    ) -> c_int;
    /// Writes a profile as one line of ASCII.
    #[must_use]
    pub fn np_profile_format(profile: *const np_profile, text: *mut c_char, size: usize) -> c_int;
    /// Reads such a line, which may come from a stranger.
    #[must_use]
    pub fn np_profile_parse(
        text: *const c_char,
        profile: *mut np_profile,
        reason: *mut *const c_char,
    ) -> c_int;
    /// Judges whether two hosts will connect over UDP.
    pub fn np_outlook(
        ours: *const np_profile,
        theirs: *const np_profile,
        now_unix: i64,
        outlook: *mut np_outlook_result,
    ) -> c_int;

    /// Makes a watch of a probe, which it takes over; null when it cannot.
    #[must_use]
    pub fn np_watch_new(probe: *mut np_probe) -> *mut np_watch;
    /// Frees a watch that no other call is using, and its probe.
    pub fn np_watch_free(watch: *mut np_watch);
    /// Sets the time from one check to the next where nothing asks for one.
    #[must_use]
    pub fn np_watch_set_interval(watch: *mut np_watch, seconds: u32) -> c_int;
    /// Sets a receiver of changes.
    #[must_use]
    pub fn np_watch_set_changes(
        watch: *mut np_watch,
        on_change: np_watch_fn,
        user: *mut c_void,
    ) -> c_int;
    /// Begins to watch, with a check.
    #[must_use]
    pub fn np_watch_start(watch: *mut np_watch) -> c_int;
    /// The descriptor that is readable whenever `np_watch_process` has something to do.
    pub fn np_watch_fd(watch: *const np_watch) -> np_socket;
    /// On Windows, what to wait for in place of the descriptor. NULL elsewhere.
    pub fn np_watch_wait_handle(watch: *const np_watch) -> *mut c_void;
    /// Goes on, as far as it can without waiting.
    #[must_use]
    pub fn np_watch_process(watch: *mut np_watch) -> c_int;
    /// Makes the watch end. From any thread or signal handler.
    pub fn np_watch_cancel(watch: *mut np_watch);
    /// Tells what the watch knows, with its age.
    pub fn np_watch_read(watch: *const np_watch, status: *mut np_watch_status) -> c_int;
    /// Says that a connection failed that the result had promised.
    pub fn np_watch_note_failure(watch: *mut np_watch) -> c_int;

    /// A sentence for a code.
    pub fn np_strerror(error: i32) -> *const c_char;
    /// The name of a code.
    pub fn np_error_name(error: i32) -> *const c_char;
    /// The stable short name of a type.
    pub fn np_nat_type_name(nat_type: i32) -> *const c_char;
    /// Display text of a type.
    pub fn np_nat_type_description(nat_type: i32) -> *const c_char;
    /// What a type means for peer-to-peer connections.
    pub fn np_nat_type_advice(nat_type: i32) -> *const c_char;
    /// What games call a type.
    pub fn np_nat_type_grade(nat_type: i32) -> *const c_char;
    /// The short name of a behaviour.
    pub fn np_behaviour_name(behaviour: i32) -> *const c_char;
    /// Display text of a behaviour.
    pub fn np_behaviour_description(behaviour: i32) -> *const c_char;
    /// The short name of one evidence bit.
    pub fn np_evidence_name(bit: u32) -> *const c_char;
    /// What one evidence bit says, as one sentence.
    pub fn np_evidence_description(bit: u32) -> *const c_char;
    /// The short name of an address family.
    pub fn np_family_name(family: i32) -> *const c_char;
    /// The name of a class of addresses.
    pub fn np_address_class_name(address_class: i32) -> *const c_char;
    /// The name of a log level.
    pub fn np_log_level_name(level: i32) -> *const c_char;
    /// The short name of an event's kind.
    pub fn np_event_kind_name(kind: i32) -> *const c_char;
    /// The short name of a request.
    pub fn np_request_name(request: i32) -> *const c_char;
    /// The short name of a purpose.
    pub fn np_purpose_name(purpose: i32) -> *const c_char;
    /// The name of an answer.
    pub fn np_tristate_name(answer: i32) -> *const c_char;
    /// The name of an outlook.
    pub fn np_outlook_class_name(outlook: i32) -> *const c_char;
    /// What an outlook means and what to do.
    pub fn np_outlook_class_description(outlook: i32) -> *const c_char;
    /// The name of a rule.
    pub fn np_outlook_rule_name(rule: i32) -> *const c_char;
    /// Why a rule decides as it does.
    pub fn np_outlook_rule_description(rule: i32) -> *const c_char;
    /// The name of who sends first.
    pub fn np_first_name(first: i32) -> *const c_char;
    /// Who sends first.
    pub fn np_first_description(first: i32) -> *const c_char;
    /// The name of one assumption.
    pub fn np_assumption_name(bit: u32) -> *const c_char;
    /// What one assumption means.
    pub fn np_assumption_description(bit: u32) -> *const c_char;
    /// The name of a reason.
    pub fn np_watch_reason_name(reason: i32) -> *const c_char;
    /// The name of one change.
    pub fn np_watch_change_name(bit: u32) -> *const c_char;
    /// Version of the library that is running.
    pub fn np_version() -> *const c_char;
    /// Version of the library that is running as a number, 0x00MMmmpp.
    pub fn np_version_number() -> u32;
    /// The library's `sizeof(np_result)`.
    pub fn np_result_size() -> usize;
    /// The library's `sizeof(np_event)`.
    pub fn np_event_size() -> usize;
    /// The library's `sizeof(np_profile)`.
    pub fn np_profile_size() -> usize;
    /// The library's `sizeof(np_outlook_result)`.
    pub fn np_outlook_result_size() -> usize;
    /// The library's `sizeof(np_watch_status)`.
    pub fn np_watch_status_size() -> usize;
}
