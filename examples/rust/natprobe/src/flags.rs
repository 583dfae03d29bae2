// SPDX-License-Identifier: MIT
//! The library's bit masks as types of this crate's own. Bits that this version of the crate does
//! not know are kept.

use std::fmt;
use std::iter::FromIterator;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};
use std::str::FromStr;

use natprobe_sys as sys;

use crate::values::{text, UNKNOWN};
use crate::ParseError;

macro_rules! flags {
    (
        $(#[$about:meta])*
        $name:ident: $bits:ty {
            $($(#[$about_flag:meta])* $flag:ident = $constant:ident,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name($bits);

        impl $name {
            $($(#[$about_flag])* pub const $flag: Self = Self(sys::$constant as $bits);)*

            const NAMES: &'static [(&'static str, Self)] = &[$((stringify!($flag), Self::$flag)),*];

            /// No bit.
            #[must_use]
            pub const fn empty() -> Self {
                Self(0)
            }

            /// These bits of C's, known or not.
            #[must_use]
            pub const fn from_bits(bits: $bits) -> Self {
                Self(bits)
            }

            /// The bits in C.
            #[must_use]
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// Whether no bit is set.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether all of the other's bits are set here.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of the other's bits is set here.
            #[must_use]
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Each bit that is set, the lowest first.
            pub fn iter(self) -> impl Iterator<Item = Self> {
                (0..<$bits>::BITS)
                    .map(|i| Self(1 << i))
                    .filter(move |bit| self.intersects(*bit))
            }
        }

        impl BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }

        impl BitAnd for $name {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        /// The bits that are not the other's.
        impl Sub for $name {
            type Output = Self;

            fn sub(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }

        impl FromIterator<Self> for $name {
            fn from_iter<I: IntoIterator<Item = Self>>(flags: I) -> Self {
                flags.into_iter().fold(Self::empty(), BitOr::bitor)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut unknown = *self;
                let mut list = f.debug_list();
                for (name, flag) in Self::NAMES {
                    if flag.0.count_ones() == 1 && self.contains(*flag) {
                        list.entry(&format_args!("{name}"));
                        unknown = unknown - *flag;
                    }
                }
                if !unknown.is_empty() {
                    list.entry(&format_args!("{:#x}", unknown.0));
                }
                list.finish()
            }
        }
    };
}

flags! {
    /// What was seen and what was proven. Displays as the short names of its bits, "answered, loss".
    #[derive(Default)]
    Evidence: u32 {
        /// At least one server answered a plain request.
        ANSWERED = NP_EVIDENCE_ANSWERED,
        /// The mapping was seen from servers of two unrelated addresses.
        SECOND_SERVER = NP_EVIDENCE_SECOND_SERVER,
        /// The server named a usable second address (RFC 5780).
        ALTERNATE = NP_EVIDENCE_ALTERNATE,
        /// That second address answered a plain request.
        ALTERNATE_ALIVE = NP_EVIDENCE_ALTERNATE_ALIVE,
        /// A second address was named to which it would be wrong to send.
        ALTERNATE_REFUSED = NP_EVIDENCE_ALTERNATE_REFUSED,
        /// The mapping was compared from two destination addresses, or is none.
        MAPPING_PROVEN = NP_EVIDENCE_MAPPING_PROVEN,
        /// An unsolicited answer came through from another address.
        TEST_II_ANSWERED = NP_EVIDENCE_TEST_II_ANSWERED,
        /// An unsolicited answer came through from another port.
        TEST_III_ANSWERED = NP_EVIDENCE_TEST_III_ANSWERED,
        /// The missing answer came once the path to it was open.
        CONTROL_ANSWERED = NP_EVIDENCE_CONTROL_ANSWERED,
        /// The filtering rests on an answer, or on silence with a control.
        FILTERING_PROVEN = NP_EVIDENCE_FILTERING_PROVEN,
        /// A server answered CHANGE-REQUEST from the address it was sent to.
        CHANGE_IGNORED = NP_EVIDENCE_CHANGE_IGNORED,
        /// A server changed something else than it was asked to.
        CHANGE_PARTIAL = NP_EVIDENCE_CHANGE_PARTIAL,
        /// A server answered CHANGE-REQUEST with an error.
        CHANGE_REJECTED = NP_EVIDENCE_CHANGE_REJECTED,
        /// The control failed: the server does not honour CHANGE-REQUEST.
        CONTROL_SILENT = NP_EVIDENCE_CONTROL_SILENT,
        /// Some datagrams were lost on the way.
        LOSS = NP_EVIDENCE_LOSS,
        /// A server answered only the RFC 3489 form of the request.
        CLASSIC = NP_EVIDENCE_CLASSIC,
        /// Something rewrote MAPPED-ADDRESS on the way (RFC 5780 section 4.6).
        ALG = NP_EVIDENCE_ALG,
        /// The external address changed once; the check was started again.
        RESTARTED = NP_EVIDENCE_RESTARTED,
        /// Answers contradicted each other; what rested on them was dropped.
        CONTRADICTION = NP_EVIDENCE_CONTRADICTION,
        /// A server sent answers that could not be used.
        MALFORMED = NP_EVIDENCE_MALFORMED,
        /// Something on the path answers, or translates, for a server.
        PROXIED = NP_EVIDENCE_PROXIED,
        /// A server contradicted the others and was left out.
        OUTVOTED = NP_EVIDENCE_OUTVOTED,
        /// An IPv6 socket has an IPv4 external address (NAT64).
        TRANSLATED = NP_EVIDENCE_TRANSLATED,
    }
}

impl Evidence {
    /// The library's short name of each bit that is set, "control-answered"; "unknown" for those
    /// that it does not know.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        // SAFETY: any number will do.
        self.iter()
            .map(|bit| text(unsafe { sys::np_evidence_name(bit.0) }))
    }

    /// What each bit that is set says, as one sentence for people.
    pub fn descriptions(self) -> impl Iterator<Item = &'static str> {
        // SAFETY: any number will do.
        self.iter()
            .map(|bit| text(unsafe { sys::np_evidence_description(bit.0) }))
    }
}

/// Takes the short name of one bit.
impl FromStr for Evidence {
    type Err = ParseError;

    fn from_str(wanted: &str) -> Result<Self, ParseError> {
        Self::from_bits(u32::MAX)
            .iter()
            .find(|bit| wanted != UNKNOWN && bit.names().any(|name| name == wanted))
            .ok_or_else(|| ParseError::new("piece of evidence", wanted))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.names().collect::<Vec<_>>().join(", "))
    }
}

flags! {
    /// Which tests a probe runs: a set, to be put together with `|`.
    Tests: i32 {
        /// External address and mapping only: one round trip with two servers.
        MAPPING = NP_TESTS_MAPPING,
        /// Filtering. It brings the mapping with it.
        FILTERING = NP_TESTS_FILTERING,
        /// Mapping and filtering.
        DEFAULT = NP_TESTS_DEFAULT,
        /// Optional, as are all below: is the source port open to everybody, as a forwarded one is?
        PORT = NP_TESTS_PORT,
        /// Does a datagram that the NAT refuses take the port? It brings the filtering with it.
        REFUSED = NP_TESTS_REFUSED,
        /// Do datagrams of this host to its own external address arrive?
        HAIRPIN = NP_TESTS_HAIRPIN,
        /// Is there another NAT behind the gateway?
        GATEWAY = NP_TESTS_GATEWAY,
        /// How long does an idle mapping live? Takes minutes.
        LIFETIME = NP_TESTS_LIFETIME,
        /// All the optional ones.
        OPTIONAL = NP_TESTS_OPTIONAL,
    }
}

impl Default for Tests {
    fn default() -> Self {
        Self::DEFAULT
    }
}

flags! {
    /// What an outlook rests on. Displays as the short names of its bits, "one-ip, low-ttl".
    #[derive(Default)]
    Assumptions: u32 {
        /// A side with dependent mapping has one external IP address for all mappings of a socket.
        ONE_IP = NP_ASSUMES_ONE_IP,
        /// A filtering that was measured but is not proven is right.
        FILTERING = NP_ASSUMES_FILTERING,
        /// A profile is right that is older than 15 minutes, or of unknown age.
        FRESH = NP_ASSUMES_FRESH,
        /// A first datagram with a low TTL opens the sender's NAT, and does not reach the peer's.
        LOW_TTL = NP_ASSUMES_LOW_TTL,
        /// The programs answer to the address that a datagram came from.
        ANSWER_TO_SOURCE = NP_ASSUMES_ANSWER_TO_SOURCE,
    }
}

impl Assumptions {
    /// The library's short name of each bit that is set; "unknown" for those that it does not know.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        // SAFETY: any number will do.
        self.iter()
            .map(|bit| text(unsafe { sys::np_assumption_name(bit.0) }))
    }

    /// What each bit that is set means, as one sentence for people.
    pub fn descriptions(self) -> impl Iterator<Item = &'static str> {
        // SAFETY: any number will do.
        self.iter()
            .map(|bit| text(unsafe { sys::np_assumption_description(bit.0) }))
    }
}

flags! {
    /// What a watch found changed. Displays as the short names of its bits, "type, address".
    #[derive(Default)]
    Changes: u32 {
        /// The type.
        TYPE = NP_CHANGED_TYPE,
        /// The mapping.
        MAPPING = NP_CHANGED_MAPPING,
        /// The filtering.
        FILTERING = NP_CHANGED_FILTERING,
        /// The external IP address; the port alone does not count.
        ADDRESS = NP_CHANGED_ADDRESS,
    }
}

impl Changes {
    /// The library's short name of each bit that is set; "unknown" for those that it does not know.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        // SAFETY: any number will do.
        self.iter()
            .map(|bit| text(unsafe { sys::np_watch_change_name(bit.0) }))
    }
}

/// Takes the short name of one bit.
impl FromStr for Changes {
    type Err = ParseError;

    fn from_str(wanted: &str) -> Result<Self, ParseError> {
        Self::from_bits(u32::MAX)
            .iter()
            .find(|bit| wanted != UNKNOWN && bit.names().any(|name| name == wanted))
            .ok_or_else(|| ParseError::new("change", wanted))
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.names().collect::<Vec<_>>().join(", "))
    }
}

/// Takes the short name of one bit.
impl FromStr for Assumptions {
    type Err = ParseError;

    fn from_str(wanted: &str) -> Result<Self, ParseError> {
        Self::from_bits(u32::MAX)
            .iter()
            .find(|bit| wanted != UNKNOWN && bit.names().any(|name| name == wanted))
            .ok_or_else(|| ParseError::new("assumption", wanted))
    }
}

impl fmt::Display for Assumptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.names().collect::<Vec<_>>().join(", "))
    }
}
