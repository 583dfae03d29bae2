// SPDX-License-Identifier: MIT
//! What the library reports: its plain structures made into types.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use libc::c_char;
use natprobe_sys as sys;

use crate::{Behaviour, ErrorCode, EventKind, Evidence, NatType, Purpose, Test};

/// What a check found out. What is not known is `None`, `Unknown` or empty, never guessed. Displays as
/// type and external address, "Full-cone NAT, seen as 198.51.100.6:43141".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The type of the NAT.
    pub nat_type: NatType,
    /// How it maps.
    pub mapping: Behaviour,
    /// How it filters.
    pub filtering: Behaviour,
    /// What was seen and what was proven.
    pub evidence: Evidence,
    /// External (mapped) address of the source socket.
    pub external_ip: Option<IpAddr>,
    /// External (mapped) port of the source socket.
    pub external_port: Option<u16>,
    /// Local address of the source socket, never the unspecified one.
    pub local_ip: Option<IpAddr>,
    /// Local port of the source socket.
    pub local_port: Option<u16>,
    /// The server on which the verdict rests.
    pub server: Option<SocketAddr>,
    /// Round-trip time to the server.
    pub rtt: Option<Duration>,
    /// Time the whole check took.
    pub elapsed: Duration,
    /// Datagrams sent.
    pub packets_sent: u32,
    /// Datagrams received, answers or not.
    pub packets_received: u32,
    /// One sentence: why there is no verdict, or what is unknown and why. May be empty.
    pub detail: String,
}

impl Verdict {
    pub(crate) fn from_raw(raw: &sys::np_result) -> Self {
        Self {
            nat_type: NatType::from_raw(raw.nat_type),
            mapping: Behaviour::from_raw(raw.mapping),
            filtering: Behaviour::from_raw(raw.filtering),
            evidence: Evidence::from_bits_retain(raw.evidence),
            external_ip: known_ip(&raw.external_ip),
            external_port: Some(raw.external_port).filter(|port| *port != 0),
            local_ip: known_ip(&raw.local_ip),
            local_port: Some(raw.local_port).filter(|port| *port != 0),
            server: known(&raw.server),
            rtt: Some(Duration::from_micros(raw.rtt_us)).filter(|rtt| !rtt.is_zero()),
            elapsed: Duration::from_micros(raw.elapsed_us),
            packets_sent: raw.packets_sent,
            packets_received: raw.packets_received,
            detail: string(&raw.detail).into_owned(),
        }
    }

    /// External (mapped) address and port of the source socket: what a peer has to be told.
    #[must_use]
    pub fn external(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.external_ip?, self.external_port?))
    }

    /// Local address and port of the source socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.local_ip?, self.local_port?))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.nat_type)?;
        match self.external() {
            Some(external) => write!(f, ", seen as {external}"),
            None => Ok(()),
        }
    }
}

/// Something that happened during a check. What a kind of event does not have is `None`, `Unknown`
/// or 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What it tells.
    pub kind: EventKind,
    /// What the request, the answer or the conclusion is for; `None` for the conclusion of the
    /// whole check.
    pub purpose: Option<Purpose>,
    /// What was asked, of a request or an answer.
    pub test: Option<Test>,
    /// [`EventKind::Sent`]: 1 for the first copy of a request, 2 for the next, and so on.
    pub copy: u32,
    /// [`EventKind::Answered`]: the code of an error response (RFC 8489 section 14.8), `None` for
    /// success.
    pub stun_error: Option<i32>,
    /// [`EventKind::Concluded`]: the mapping or the filtering.
    pub behaviour: Behaviour,
    /// [`EventKind::Concluded`], whole check: the verdict.
    pub nat_type: NatType,
    /// [`EventKind::Concluded`], whole check: why there is no verdict, `None` when there is one.
    pub error: Option<ErrorCode>,
    /// Time since the run began.
    pub time: Duration,
    /// Where a request went or an answer came from; the server of a conclusion.
    pub remote: Option<SocketAddr>,
    /// [`EventKind::Answered`]: the external (mapped) address and port that the server saw.
    pub external: Option<SocketAddr>,
}

impl Event {
    pub(crate) fn from_raw(raw: &sys::np_event) -> Self {
        Self {
            kind: EventKind::from_raw(raw.kind),
            purpose: non_zero(raw.purpose).map(Purpose::from_raw),
            test: non_zero(raw.test).map(Test::from_raw),
            copy: raw.copy,
            stun_error: non_zero(raw.stun_error),
            behaviour: Behaviour::from_raw(raw.behaviour),
            nat_type: NatType::from_raw(raw.nat_type),
            error: non_zero(raw.error).map(ErrorCode::from_raw),
            time: Duration::from_micros(raw.time_us),
            remote: known(&raw.remote),
            external: known(&raw.external),
        }
    }
}

fn non_zero(value: i32) -> Option<i32> {
    Some(value).filter(|value| *value != 0)
}

/// The text in a structure's member.
fn string(text: &[c_char]) -> Cow<'_, str> {
    debug_assert!(text.contains(&0));
    // SAFETY: the library ends every text within its member.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy()
}

/// An address in a structure's member; empty means unknown.
fn known<A: FromStr>(text: &[c_char]) -> Option<A> {
    string(text).parse().ok()
}

/// An address without the scope of a link-local one, for which `IpAddr` has no room.
fn known_ip(text: &[c_char]) -> Option<IpAddr> {
    string(text).split('%').next()?.parse().ok()
}
