// SPDX-License-Identifier: MIT
//! What a check found out: the library's plain structure made into a type.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use libc::c_char;
use natprobe_sys as sys;

use crate::{AddressClass, Behaviour, Evidence, NatType, Tristate};

/// What a check found out. What is not known is `None`, `Unknown` or empty, never guessed. Displays
/// as type and external address, "Full-cone NAT, seen as 198.51.100.6:43141".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct NatResult {
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
    /// Local address of the source socket, never the unspecified one, and without the interface of a
    /// link-local one.
    #[cfg_attr(
        feature = "serde",
        serde(deserialize_with = "crate::with_serde::unscoped_ip")
    )]
    pub local_ip: Option<IpAddr>,
    /// Local port of the source socket.
    pub local_port: Option<u16>,
    /// The server on which the result rests.
    pub server: Option<SocketAddr>,
    /// Round-trip time to the server.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "rtt_ms", with = "crate::with_serde::known_ms")
    )]
    pub rtt: Option<Duration>,
    /// Time the whole check took.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "elapsed_ms", with = "crate::with_serde::ms")
    )]
    pub elapsed: Duration,
    /// Datagrams sent.
    pub packets_sent: u32,
    /// Datagrams received, answers or not.
    pub packets_received: u32,
    /// Mappings seen, of all sockets: external addresses with ports.
    pub ports_seen: u16,
    /// Those of them whose external port is the local port.
    pub ports_kept: u16,
    /// Step between the external ports of new mappings, if it was the same at least three times. It
    /// may differ the next time.
    pub port_step: Option<i32>,
    /// External IP addresses seen, of all sockets.
    pub external_ips: u16,
    /// Local IP addresses to which answers came, of all sockets.
    pub local_ips: u16,
    /// Which network the local address is of.
    pub local_class: AddressClass,
    /// [`Tests::PORT`](crate::Tests::PORT): can strangers send to the source port from outside?
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "crate::with_serde::is_unknown")
    )]
    pub port_open: Tristate,
    /// [`Tests::REFUSED`](crate::Tests::REFUSED): can a datagram that the NAT refuses change the
    /// port of the mapping to its sender?
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "crate::with_serde::is_unknown")
    )]
    pub refused_takes_port: Tristate,
    /// [`Tests::HAIRPIN`](crate::Tests::HAIRPIN): do datagrams of this host to its own external
    /// address arrive?
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "crate::with_serde::is_unknown")
    )]
    pub hairpin: Tristate,
    /// Do those seem to come from an external address?
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "crate::with_serde::is_unknown")
    )]
    pub hairpin_external: Tristate,
    /// [`Tests::GATEWAY`](crate::Tests::GATEWAY): is there another NAT behind the gateway?
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "crate::with_serde::is_unknown")
    )]
    pub another_nat: Tristate,
    /// The gateway that was asked.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub gateway_ip: Option<IpAddr>,
    /// The external address that it named.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub gateway_external_ip: Option<IpAddr>,
    /// [`Tests::LIFETIME`](crate::Tests::LIFETIME): does the NAT make the same mapping again after
    /// one has gone?
    #[cfg_attr(
        feature = "serde",
        serde(skip_serializing_if = "crate::with_serde::is_unknown")
    )]
    pub lifetime_recreated: Tristate,
    /// An answered mapping lives idle for at least so many seconds.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub lifetime_min_s: Option<u32>,
    /// And for less than so many.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub lifetime_max_s: Option<u32>,
    /// As `lifetime_min_s`, of a mapping that no answer has come to.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub unanswered_min_s: Option<u32>,
    /// As `lifetime_max_s`, of a mapping that no answer has come to.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub unanswered_max_s: Option<u32>,
    /// One sentence: why there is no result, or what is unknown and why. May be empty.
    pub detail: String,
}

impl NatResult {
    pub(crate) fn from_raw(raw: &sys::np_result) -> Self {
        Self {
            nat_type: NatType::from_raw(raw.nat_type),
            mapping: Behaviour::from_raw(raw.mapping),
            filtering: Behaviour::from_raw(raw.filtering),
            evidence: Evidence::from_bits(raw.evidence),
            external_ip: known_ip(&raw.external_ip),
            external_port: Some(raw.external_port).filter(|port| *port != 0),
            local_ip: known_ip(&raw.local_ip),
            local_port: Some(raw.local_port).filter(|port| *port != 0),
            server: known(&raw.server),
            rtt: Some(Duration::from_micros(raw.rtt_us)).filter(|rtt| !rtt.is_zero()),
            elapsed: Duration::from_micros(raw.elapsed_us),
            packets_sent: raw.packets_sent,
            packets_received: raw.packets_received,
            ports_seen: raw.ports_seen,
            ports_kept: raw.ports_kept,
            port_step: Some(raw.port_step).filter(|step| *step != 0),
            external_ips: raw.external_ips,
            local_ips: raw.local_ips,
            local_class: AddressClass::from_raw(raw.local_class),
            port_open: Tristate::from_raw(raw.port_open),
            refused_takes_port: Tristate::from_raw(raw.refused_takes_port),
            hairpin: Tristate::from_raw(raw.hairpin),
            hairpin_external: Tristate::from_raw(raw.hairpin_external),
            another_nat: Tristate::from_raw(raw.another_nat),
            gateway_ip: known_ip(&raw.gateway_ip),
            gateway_external_ip: known_ip(&raw.gateway_external_ip),
            lifetime_recreated: Tristate::from_raw(raw.lifetime_recreated),
            lifetime_min_s: Some(raw.lifetime_min_s).filter(|s| *s != 0),
            lifetime_max_s: Some(raw.lifetime_max_s).filter(|s| *s != 0),
            unanswered_min_s: Some(raw.unanswered_min_s).filter(|s| *s != 0),
            unanswered_max_s: Some(raw.unanswered_max_s).filter(|s| *s != 0),
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

impl fmt::Display for NatResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.nat_type)?;
        match self.external() {
            Some(external) => write!(f, ", seen as {external}"),
            None => Ok(()),
        }
    }
}

/// The text in a structure's member. The library ends every text within its member; one that fills
/// it is taken whole.
pub(crate) fn string(text: &[c_char]) -> Cow<'_, str> {
    // SAFETY: the same bytes, whichever sign C gives them.
    let bytes = unsafe { std::slice::from_raw_parts(text.as_ptr().cast::<u8>(), text.len()) };
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())])
}

/// An address in a structure's member; empty means unknown.
pub(crate) fn known<A: FromStr>(text: &[c_char]) -> Option<A> {
    string(text).parse().ok()
}

/// An address without the scope of a link-local one, for which `IpAddr` has no room.
pub(crate) fn without_scope(text: &str) -> &str {
    text.split('%').next().unwrap_or(text)
}

fn known_ip(text: &[c_char]) -> Option<IpAddr> {
    without_scope(&string(text)).parse().ok()
}
