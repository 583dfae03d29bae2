// SPDX-License-Identifier: MIT
//! The library's enumerations as types. A newer library may give values that this crate does not
//! know: every type keeps them, and the library itself names them.

use std::ffi::CStr;
use std::fmt;

use libc::c_char;
use natprobe_sys as sys;

/// A text of the library's own, which never changes.
fn text(text: *const c_char) -> &'static str {
    // SAFETY: the library's texts are never NULL, terminated, constant, and live as long as the
    // library.
    let text: &'static CStr = unsafe { CStr::from_ptr(text) };
    text.to_str().unwrap_or("unknown")
}

macro_rules! values {
    (
        $(#[$about:meta])*
        $name:ident, named by $naming:ident, shown by $showing:ident {
            $($(#[$about_value:meta])* $value:ident = $constant:ident,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$about_value])* $value,)*
            /// A value that this version of the crate does not know.
            #[non_exhaustive]
            Other(i32),
        }

        impl $name {
            /// The value that C calls by this number.
            #[must_use]
            pub const fn from_raw(value: i32) -> Self {
                match value {
                    $(sys::$constant => Self::$value,)*
                    other => Self::Other(other),
                }
            }

            /// The number in C.
            #[must_use]
            pub const fn as_raw(self) -> i32 {
                match self {
                    $(Self::$value => sys::$constant,)*
                    Self::Other(other) => other,
                }
            }
        }

        values!(@name $name, $naming);
        values!(@show $name, $showing);
    };
    (@name $name:ident, nothing) => {};
    (@name $name:ident, $naming:ident) => {
        impl $name {
            /// The stable short name; "unknown" for values that the library does not know.
            #[must_use]
            pub fn name(self) -> &'static str {
                // SAFETY: any number will do.
                text(unsafe { sys::$naming(self.as_raw()) })
            }
        }
    };
    (@show $name:ident, nothing) => {};
    (@show $name:ident, $showing:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // SAFETY: any number will do.
                f.pad(text(unsafe { sys::$showing(self.as_raw()) }))
            }
        }
    };
}

values! {
    /// Why there is no verdict. Displays as a sentence.
    ErrorCode, named by np_error_name, shown by np_strerror {
        /// An argument is malformed or out of range.
        Argument = NP_ERR_ARGUMENT,
        /// Out of memory.
        NoMemory = NP_ERR_NO_MEMORY,
        /// The system refused a resource, such as one more descriptor.
        System = NP_ERR_SYSTEM,
        /// The probe is running: the call has to wait until that is over.
        Busy = NP_ERR_BUSY,
        /// The source port is taken.
        AddressInUse = NP_ERR_ADDRESS_IN_USE,
        /// The source address is not one of this host's.
        AddressNotAvailable = NP_ERR_ADDRESS_NOT_AVAILABLE,
        /// No server name could be resolved to an address of the wanted family.
        Resolve = NP_ERR_RESOLVE,
        /// There is no route to any server, or the host's own firewall refuses to send.
        NetworkUnreachable = NP_ERR_NETWORK_UNREACHABLE,
        /// No server answered: UDP is blocked.
        NoResponse = NP_ERR_NO_RESPONSE,
        /// The external address changed during the check, and again after a restart.
        AddressChanged = NP_ERR_ADDRESS_CHANGED,
        /// Servers answered, but nothing beyond the external address could be learnt.
        Inconclusive = NP_ERR_INCONCLUSIVE,
        /// The time allowed ran out before there was a verdict.
        Deadline = NP_ERR_TIMEOUT,
        /// [`Canceller::cancel`](crate::Canceller::cancel) was called.
        Cancelled = NP_ERR_CANCELLED,
        /// Something answers at the servers' addresses, but nothing that could be used.
        BadResponse = NP_ERR_BAD_RESPONSE,
    }
}

values! {
    /// The verdict: an RFC 3489 type where mapping and filtering are both known, else what is
    /// known. Displays as a text for people, "Port Restricted-cone NAT".
    NatType, named by np_nat_type_name, shown by np_nat_type_description {
        /// Nothing can be said.
        Unknown = NP_NAT_UNKNOWN,
        /// No translation, nothing filtered.
        OpenInternet = NP_NAT_OPEN_INTERNET,
        /// Endpoint-independent mapping and filtering.
        FullCone = NP_NAT_FULL_CONE,
        /// Endpoint-independent mapping, address-dependent filtering.
        RestrictedCone = NP_NAT_RESTRICTED_CONE,
        /// Endpoint-independent mapping, address-and-port-dependent filtering.
        PortRestrictedCone = NP_NAT_PORT_RESTRICTED_CONE,
        /// Mapping depends on the destination.
        Symmetric = NP_NAT_SYMMETRIC,
        /// No translation, but unsolicited datagrams are filtered.
        SymmetricUdpFirewall = NP_NAT_SYMMETRIC_UDP_FIREWALL,
        /// No server could be reached over UDP.
        UdpBlocked = NP_NAT_UDP_BLOCKED,
        /// Endpoint-independent mapping, filtering not known.
        Cone = NP_NAT_CONE,
        /// No translation, filtering not known.
        NoNat = NP_NAT_NO_NAT,
    }
}

impl NatType {
    /// What the type means for peer-to-peer connections, as one sentence.
    #[must_use]
    pub fn advice(self) -> &'static str {
        // SAFETY: any number will do.
        text(unsafe { sys::np_nat_type_advice(self.as_raw()) })
    }
}

values! {
    /// How a NAT maps or filters (RFC 4787 sections 4.1 and 5). Displays as a text for people,
    /// "Endpoint-independent".
    Behaviour, named by np_behaviour_name, shown by np_behaviour_description {
        /// Not known.
        Unknown = NP_BEHAVIOUR_UNKNOWN,
        /// Of the mapping only: external and local address are the same.
        None = NP_BEHAVIOUR_NONE,
        /// The same towards everybody.
        EndpointIndependent = NP_BEHAVIOUR_ENDPOINT_INDEPENDENT,
        /// Depends on the other side's address.
        AddressDependent = NP_BEHAVIOUR_ADDRESS_DEPENDENT,
        /// Depends on the other side's address and port.
        AddressAndPortDependent = NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
        /// Depends on the endpoint; which kind is not known.
        EndpointDependent = NP_BEHAVIOUR_ENDPOINT_DEPENDENT,
    }
}

values! {
    /// Which tests a probe runs.
    Tests, named by nothing, shown by nothing {
        /// External address and mapping only: one round trip with two servers.
        Mapping = NP_TESTS_MAPPING,
        /// Mapping and filtering (the default).
        All = NP_TESTS_ALL,
    }
}

values! {
    /// The address family of a check.
    Family, named by nothing, shown by nothing {
        /// That of the source address; without one IPv4, or IPv6 where IPv4 has no route or no
        /// server.
        Any = NP_FAMILY_ANY,
        /// IPv4 only.
        Ipv4 = NP_FAMILY_IPV4,
        /// IPv6 only.
        Ipv6 = NP_FAMILY_IPV6,
    }
}

values! {
    /// Levels of log lines, in order of increasing detail.
    LogLevel, named by nothing, shown by nothing {
        /// Failures.
        Error = NP_LOG_ERROR,
        /// What may make a verdict weaker, or fail.
        Warning = NP_LOG_WARNING,
        /// The course of a check in a few lines.
        Info = NP_LOG_INFO,
        /// Each request and each answer.
        Debug = NP_LOG_DEBUG,
    }
}

values! {
    /// What an event tells. Displays as its name.
    EventKind, named by np_event_name, shown by np_event_name {
        /// A request, or one more copy of it, was sent.
        Sent = NP_EVENT_SENT,
        /// An answer to a request came.
        Answered = NP_EVENT_ANSWERED,
        /// What a number of requests was for is settled, or the whole check is.
        Concluded = NP_EVENT_CONCLUDED,
    }
}

values! {
    /// The tests of RFC 3489 section 10.1, by what is asked of the server. Displays as its name,
    /// "II".
    Test, named by np_test_name, shown by np_test_name {
        /// A plain Binding request.
        I = NP_TEST_I,
        /// To be answered from the server's other address and port (CHANGE-REQUEST).
        II = NP_TEST_II,
        /// To be answered from the server's other port (CHANGE-REQUEST).
        III = NP_TEST_III,
    }
}

values! {
    /// What a request is for. Displays as its name.
    Purpose, named by np_purpose_name, shown by np_purpose_name {
        /// The external address of the source socket, as one destination sees it.
        Mapping = NP_PURPOSE_MAPPING,
        /// Who may send to a socket that has spoken to one address only.
        Filtering = NP_PURPOSE_FILTERING,
        /// Whether the server sends what was missing once the way is open.
        Control = NP_PURPOSE_CONTROL,
    }
}

bitflags::bitflags! {
    /// What was seen and what was proven. Bits that this version of the crate does not know are
    /// kept.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Evidence: u32 {
        /// At least one server answered a plain request.
        const ANSWERED = sys::NP_EVIDENCE_ANSWERED;
        /// The mapping was seen from servers of two unrelated addresses.
        const SECOND_SERVER = sys::NP_EVIDENCE_SECOND_SERVER;
        /// The server named a usable second address (RFC 5780).
        const ALTERNATE = sys::NP_EVIDENCE_ALTERNATE;
        /// That second address answered a plain request.
        const ALTERNATE_ALIVE = sys::NP_EVIDENCE_ALTERNATE_ALIVE;
        /// A second address was named to which it would be wrong to send.
        const ALTERNATE_REFUSED = sys::NP_EVIDENCE_ALTERNATE_REFUSED;
        /// The mapping was compared from two destination addresses, or is none.
        const MAPPING_PROVEN = sys::NP_EVIDENCE_MAPPING_PROVEN;
        /// An unsolicited answer came through from another address.
        const TEST_II_ANSWERED = sys::NP_EVIDENCE_TEST_II_ANSWERED;
        /// An unsolicited answer came through from another port.
        const TEST_III_ANSWERED = sys::NP_EVIDENCE_TEST_III_ANSWERED;
        /// The server sent the very answer that was missing once the path was open.
        const CONTROL_ANSWERED = sys::NP_EVIDENCE_CONTROL_ANSWERED;
        /// The filtering verdict rests on an answer, or on silence with a control.
        const FILTERING_PROVEN = sys::NP_EVIDENCE_FILTERING_PROVEN;
        /// A server answered CHANGE-REQUEST from the address it was sent to.
        const CHANGE_IGNORED = sys::NP_EVIDENCE_CHANGE_IGNORED;
        /// A server changed something else than it was asked to.
        const CHANGE_PARTIAL = sys::NP_EVIDENCE_CHANGE_PARTIAL;
        /// A server answered CHANGE-REQUEST with an error.
        const CHANGE_REJECTED = sys::NP_EVIDENCE_CHANGE_REJECTED;
        /// The control failed: the server does not honour CHANGE-REQUEST.
        const CONTROL_SILENT = sys::NP_EVIDENCE_CONTROL_SILENT;
        /// Some datagrams were lost on the way.
        const LOSS = sys::NP_EVIDENCE_LOSS;
        /// A server answered only the RFC 3489 form of the request.
        const CLASSIC = sys::NP_EVIDENCE_CLASSIC;
        /// Something rewrote MAPPED-ADDRESS on the way (RFC 5780 section 4.6).
        const ALG = sys::NP_EVIDENCE_ALG;
        /// The external address changed once; the check was started again.
        const RESTARTED = sys::NP_EVIDENCE_RESTARTED;
        /// Answers contradicted each other; what rested on them was dropped.
        const CONTRADICTION = sys::NP_EVIDENCE_CONTRADICTION;
        /// A server sent answers that could not be used.
        const MALFORMED = sys::NP_EVIDENCE_MALFORMED;
        /// Something on the path answers, or translates, for a server.
        const PROXIED = sys::NP_EVIDENCE_PROXIED;
        /// A server contradicted the others and was left out.
        const OUTVOTED = sys::NP_EVIDENCE_OUTVOTED;
        /// An IPv6 socket has an IPv4 external address (NAT64).
        const TRANSLATED = sys::NP_EVIDENCE_TRANSLATED;

        const _ = !0;
    }
}

impl Evidence {
    /// The library's short name of each bit that is set, "control-answered"; "unknown" for those
    /// that it does not know.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..u32::BITS)
            .map(|i| 1 << i)
            .filter(move |bit| self.bits() & bit != 0)
            // SAFETY: any number will do.
            .map(|bit| text(unsafe { sys::np_evidence_name(bit) }))
    }
}

/// Version of the library that is running, "0.2.0".
#[must_use]
pub fn version() -> &'static str {
    // SAFETY: takes nothing.
    text(unsafe { sys::np_version() })
}

/// Version of the library that is running as one number that grows with each release: 0x00MMmmpp.
#[must_use]
pub fn version_number() -> u32 {
    // SAFETY: takes nothing.
    unsafe { sys::np_version_number() }
}
