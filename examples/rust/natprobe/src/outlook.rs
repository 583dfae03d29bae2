// SPDX-License-Identifier: MIT
//! Profiles of hosts, and whether two of them will connect.

use std::ffi::CString;
use std::fmt;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::ptr;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use libc::c_char;
use natprobe_sys as sys;

use crate::result::known;
use crate::values::text;
use crate::{
    Assumptions, Behaviour, Error, ErrorKind, Family, First, NatResult, OutlookClass, OutlookRule,
    Tristate,
};

/// What a peer needs to know of a host. Displays as the line to send to the peer, and is read from
/// such a line with [`str::parse`]. A line may come from a stranger, and need not be true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Profile {
    /// How the NAT maps.
    pub mapping: Behaviour,
    /// How it filters.
    pub filtering: Behaviour,
    /// Whether the filtering is proven.
    pub filtering_proven: bool,
    /// The family of the external address; [`Family::Any`] if it is not known.
    pub family: Family,
    /// External address. `None` keeps it from the peer.
    pub external_ip: Option<IpAddr>,
    /// External port.
    pub external_port: Option<u16>,
    /// No server could be reached over UDP.
    pub udp_blocked: bool,
    /// Does a datagram that the NAT refuses take the port from the next mapping?
    pub refused_takes_port: Tristate,
    /// External IP addresses seen; 0 if that is not known.
    pub external_ips: u16,
    /// Mappings seen.
    pub ports_seen: u16,
    /// Those of them whose external port is the local port.
    pub ports_kept: u16,
    /// Step between the external ports of new mappings.
    pub port_step: Option<i32>,
    /// When it was measured: seconds since 1970.
    pub measured_at: Option<i64>,
}

impl Profile {
    /// The profile of a result, also of the [`partial`](Error::partial) one of an error.
    #[must_use]
    pub fn from_result(result: &NatResult, now: SystemTime) -> Self {
        // SAFETY: plain integers, for which zeros will do.
        let mut raw: sys::np_result = unsafe { zeroed() };
        raw.nat_type = result.nat_type.as_raw();
        raw.mapping = result.mapping.as_raw();
        raw.filtering = result.filtering.as_raw();
        raw.evidence = result.evidence.bits();
        raw.port_step = result.port_step.unwrap_or(0);
        raw.ports_seen = result.ports_seen;
        raw.ports_kept = result.ports_kept;
        raw.external_ips = result.external_ips;
        raw.external_port = result.external_port.unwrap_or(0);
        put(&mut raw.external_ip, result.external_ip);
        put(&mut raw.local_ip, result.local_ip);
        // SAFETY: plain integers; the library writes all of it.
        let mut profile: sys::np_profile = unsafe { zeroed() };
        // SAFETY: both live during the call.
        unsafe { sys::np_profile_from_result(&raw, seconds(now), &mut profile) };
        Self::from_raw(&profile)
    }

    /// Where to send to, if address and port are known.
    #[must_use]
    pub fn external(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.external_ip?, self.external_port?))
    }

    fn from_raw(raw: &sys::np_profile) -> Self {
        Self {
            mapping: Behaviour::from_raw(raw.mapping),
            filtering: Behaviour::from_raw(raw.filtering),
            filtering_proven: raw.filtering_proven != 0,
            family: Family::from_raw(raw.family),
            external_ip: known(&raw.external_ip),
            external_port: Some(raw.external_port).filter(|port| *port != 0),
            udp_blocked: raw.udp_blocked != 0,
            refused_takes_port: Tristate::from_raw(raw.refused_takes_port),
            external_ips: raw.external_ips,
            ports_seen: raw.ports_seen,
            ports_kept: raw.ports_kept,
            port_step: Some(raw.port_step).filter(|step| *step != 0),
            measured_at: Some(raw.measured_at).filter(|time| *time != 0),
        }
    }

    fn to_raw(&self) -> sys::np_profile {
        // SAFETY: plain integers, for which zeros will do.
        let mut raw: sys::np_profile = unsafe { zeroed() };
        raw.mapping = self.mapping.as_raw();
        raw.filtering = self.filtering.as_raw();
        raw.filtering_proven = self.filtering_proven.into();
        raw.family = self.family.as_raw();
        raw.udp_blocked = self.udp_blocked.into();
        raw.refused_takes_port = self.refused_takes_port.as_raw();
        raw.external_ips = self.external_ips;
        raw.ports_seen = self.ports_seen;
        raw.ports_kept = self.ports_kept;
        raw.port_step = self.port_step.unwrap_or(0);
        raw.measured_at = self.measured_at.unwrap_or(0);
        raw.external_port = self.external_port.unwrap_or(0);
        put(&mut raw.external_ip, self.external_ip);
        raw
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line: [c_char; sys::NP_PROFILE_TEXT_SIZE] = [0; sys::NP_PROFILE_TEXT_SIZE];
        // SAFETY: both live during the call, and the size is that of the line.
        let code = unsafe { sys::np_profile_format(&self.to_raw(), line.as_mut_ptr(), line.len()) };
        if code != sys::NP_OK {
            return Err(fmt::Error);
        }
        f.pad(&crate::result::string(&line))
    }
}

/// An error has the kind [`ErrorKind::Argument`], and a detail that says why.
impl FromStr for Profile {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        let mut reason: *const c_char = ptr::null();
        // SAFETY: plain integers; the library writes all of it.
        let mut profile: sys::np_profile = unsafe { zeroed() };
        let line = CString::new(line)
            .map_err(|_| Error::new(ErrorKind::Argument, "The profile has a zero byte"))?;
        // SAFETY: all of them live during the call, and the line is terminated.
        let code = unsafe { sys::np_profile_parse(line.as_ptr(), &mut profile, &mut reason) };
        if code == sys::NP_OK {
            return Ok(Self::from_raw(&profile));
        }
        Err(Error::new(ErrorKind::Argument, text(reason)))
    }
}

/// Whether two hosts will connect over UDP. Displays as a sentence: what to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Outlook {
    /// The worst that is possible, or [`OutlookClass::Unknown`] or [`OutlookClass::SameNat`].
    pub outlook: OutlookClass,
    /// If all that is not known is as good as can be.
    pub best: OutlookClass,
    /// If all that is not known is as bad as can be.
    pub worst: OutlookClass,
    /// Who has to send first.
    pub first: First,
    /// What the outlook rests on.
    pub assumes: Assumptions,
    /// The rule that decided.
    pub rule: OutlookRule,
}

impl Outlook {
    /// Judges two profiles. Nothing is sent.
    #[must_use]
    pub fn of(ours: &Profile, theirs: &Profile, now: SystemTime) -> Self {
        // SAFETY: plain integers; the library writes all of it.
        let mut raw: sys::np_outlook_result = unsafe { zeroed() };
        // SAFETY: all of them live during the call.
        unsafe { sys::np_outlook(&ours.to_raw(), &theirs.to_raw(), seconds(now), &mut raw) };
        Self {
            outlook: OutlookClass::from_raw(raw.outlook),
            best: OutlookClass::from_raw(raw.best),
            worst: OutlookClass::from_raw(raw.worst),
            first: First::from_raw(raw.first),
            assumes: Assumptions::from_bits(raw.assumes),
            rule: OutlookRule::from_raw(raw.rule),
        }
    }

    /// Will they connect? `None`: what is not known decides, or both are behind the same NAT.
    #[must_use]
    pub fn connects(self) -> Option<bool> {
        match self.outlook {
            OutlookClass::Direct | OutlookClass::Punch | OutlookClass::PunchLearn => Some(true),
            OutlookClass::NeedsPrediction | OutlookClass::Relay => Some(false),
            _ => None,
        }
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.outlook, f)
    }
}

/// 0, which is not known, before 1970.
fn seconds(now: SystemTime) -> i64 {
    now.duration_since(UNIX_EPOCH)
        .map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// Writes an address, which always fits, into a member that is zero.
fn put(member: &mut [c_char], ip: Option<IpAddr>) {
    let ip = ip.map(|ip| ip.to_string()).unwrap_or_default();
    let end = member.len() - 1;
    for (to, byte) in member[..end].iter_mut().zip(ip.bytes()) {
        *to = byte as c_char;
    }
}
