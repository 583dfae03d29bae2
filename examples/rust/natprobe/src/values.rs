// SPDX-License-Identifier: MIT
//! The library's enumerations as types. A newer library may give values that this crate does not
//! know: every type keeps them, and the library itself names them.

use std::cmp::Ordering;
use std::error;
use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;

use libc::c_char;
use natprobe_sys as sys;

/// The library's name of what it does not know.
pub(crate) const UNKNOWN: &str = "unknown";

/// A text of the library's own, which never changes.
pub(crate) fn text(text: *const c_char) -> &'static str {
    // SAFETY: the library's texts are never NULL, terminated, constant, and live as long as the
    // library.
    let text: &'static CStr = unsafe { CStr::from_ptr(text) };
    text.to_str().unwrap_or(UNKNOWN)
}

/// A text is not the name of any value of the type that it was parsed as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    kind: &'static str,
    text: String,
}

impl ParseError {
    pub(crate) fn new(kind: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        Self { kind, text }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not the name of a {}", self.text, self.kind)
    }
}

impl error::Error for ParseError {}

/// The value with this text. The library is asked, so that the names of a newer one are found too.
fn by_text<const N: usize>(
    wanted: &str,
    is_declared: impl Fn(i32) -> bool,
    texts: impl Fn(i32) -> [&'static str; N],
) -> Option<i32> {
    (i32::from(i8::MIN)..=i32::from(i8::MAX)).find(|value| {
        let texts = texts(*value);
        (is_declared(*value) || texts[0] != UNKNOWN) && texts.contains(&wanted)
    })
}

macro_rules! values {
    (
        $(#[$about:meta])*
        $name:ident ($kind:literal), named by $naming:path, shown by $showing:path {
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
            pub(crate) const fn of(value: i32) -> Self {
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

            /// The stable short name; "unknown" for values that the library does not know.
            #[must_use]
            pub fn name(self) -> &'static str {
                // SAFETY: any number will do.
                text(unsafe { $naming(self.as_raw()) })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // SAFETY: any number will do.
                f.pad(text(unsafe { $showing(self.as_raw()) }))
            }
        }

        /// Takes the short name or the text for people.
        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(wanted: &str) -> Result<Self, ParseError> {
                let is_declared = |value| !matches!(Self::of(value), Self::Other(_));
                // SAFETY: any number will do.
                let texts = |value| unsafe {
                    [text($naming(value)), text($showing(value))]
                };
                by_text(wanted, is_declared, texts)
                    .and_then(|value| Self::is_one(value).then(|| Self::of(value)))
                    .ok_or_else(|| ParseError::new($kind, wanted))
            }
        }
    };
}

/// Every number may be a value of these.
macro_rules! open_values {
    ($($name:ident)*) => {
        $(impl $name {
            /// The value that C calls by this number.
            #[must_use]
            pub const fn from_raw(value: i32) -> Self {
                Self::of(value)
            }

            const fn is_one(_: i32) -> bool {
                true
            }
        })*
    };
}

open_values!(NatType Behaviour AddressClass Family LogLevel Request Purpose);
open_values!(Tristate OutlookClass OutlookRule First WatchReason);

impl ErrorKind {
    /// The error that C calls by this number; `None` for the two codes that are no errors, `NP_OK`
    /// and `NP_PENDING`, and for all other positive ones.
    #[must_use]
    pub const fn from_raw(value: i32) -> Option<Self> {
        if Self::is_one(value) {
            Some(Self::of(value))
        } else {
            None
        }
    }

    const fn is_one(value: i32) -> bool {
        value < 0
    }
}

values! {
    /// Why there is no result. Displays as a sentence.
    ErrorKind ("kind of error"), named by sys::np_error_name, shown by sys::np_strerror {
        /// An argument is malformed or out of range.
        Argument = NP_ERR_ARGUMENT,
        /// Out of memory.
        NoMemory = NP_ERR_NO_MEMORY,
        /// The system refused a resource, such as one more descriptor.
        System = NP_ERR_SYSTEM,
        /// The probe is running: the call has to wait until that is over.
        Busy = NP_ERR_BUSY,
        /// A list is full: the probe has [`MAX_SERVERS`](crate::MAX_SERVERS) servers already.
        Limit = NP_ERR_LIMIT,
        /// The source port is taken.
        AddressInUse = NP_ERR_ADDRESS_IN_USE,
        /// The source address is not one of this host's.
        AddressNotAvailable = NP_ERR_ADDRESS_NOT_AVAILABLE,
        /// No server name could be resolved to an address of the wanted family.
        Resolve = NP_ERR_RESOLVE,
        /// There is no route to any server, or the host's own firewall refuses to send.
        NetworkUnreachable = NP_ERR_NETWORK_UNREACHABLE,
        /// Requests left, and nothing was ever heard. The type is [`NatType::UdpBlocked`] if the
        /// silence lasted the response timeout, else unknown.
        NoResponse = NP_ERR_NO_RESPONSE,
        /// The external address changed during the check, and again after a restart.
        AddressChanged = NP_ERR_ADDRESS_CHANGED,
        /// Servers answered, but nothing beyond the external address could be learnt.
        Inconclusive = NP_ERR_INCONCLUSIVE,
        /// The time allowed ran out: after something came, or before anything was sent.
        Timeout = NP_ERR_TIMEOUT,
        /// [`Canceller::cancel`](crate::Canceller::cancel) was called.
        Cancelled = NP_ERR_CANCELLED,
        /// Something answers at the servers' addresses, but nothing that could be used.
        BadResponse = NP_ERR_BAD_RESPONSE,
        /// A survey could not prove that this host is open to the internet.
        NotOpen = NP_ERR_NOT_OPEN,
    }
}

values! {
    /// The type of a NAT: an RFC 3489 type where mapping and filtering are both known, else what is
    /// known. Displays as a text for people, "Port Restricted-cone NAT".
    #[derive(Default)]
    NatType ("NAT type"), named by sys::np_nat_type_name, shown by sys::np_nat_type_description {
        /// Nothing can be said.
        #[default]
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

    /// What games call it: "Open", "Moderate", "Strict" or "Unknown".
    #[must_use]
    pub fn grade(self) -> &'static str {
        // SAFETY: any number will do.
        text(unsafe { sys::np_nat_type_grade(self.as_raw()) })
    }
}

values! {
    /// How a NAT maps or filters (RFC 4787 sections 4.1 and 5). Displays as a text for people,
    /// "Endpoint-independent".
    #[derive(Default)]
    Behaviour ("behaviour"), named by sys::np_behaviour_name, shown by sys::np_behaviour_description {
        /// Not known.
        #[default]
        Unknown = NP_BEHAVIOUR_UNKNOWN,
        /// Of the mapping only: external and local address are the same. Its short name is "none".
        NoTranslation = NP_BEHAVIOUR_NONE,
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
    /// The class of a local address: which network the host is in, before any NAT. Displays as its
    /// name.
    #[derive(Default)]
    AddressClass ("class of addresses"), named by sys::np_address_class_name,
        shown by sys::np_address_class_name {
        /// No local address is known, or it is one that no host can have.
        #[default]
        Unknown = NP_ADDRESS_UNKNOWN,
        /// All that is in none of the others.
        Global = NP_ADDRESS_GLOBAL,
        /// 10/8, 172.16/12, 192.168/16 (RFC 1918).
        Private = NP_ADDRESS_PRIVATE,
        /// 100.64/10 (RFC 6598): of a carrier's NAT, and of some overlay networks.
        Shared = NP_ADDRESS_SHARED,
        /// 192.0.0.0/29 (RFC 7335): IPv4 over IPv6, by 464XLAT or DS-Lite.
        ServiceContinuity = NP_ADDRESS_SERVICE_CONTINUITY,
        /// 198.18/15 (RFC 2544): in practice the made-up addresses of a proxy.
        Benchmark = NP_ADDRESS_BENCHMARK,
        /// 169.254/16, `fe80::/10`.
        LinkLocal = NP_ADDRESS_LINK_LOCAL,
        /// `fc00::/7` (RFC 4193).
        UniqueLocal = NP_ADDRESS_UNIQUE_LOCAL,
        /// 127/8, `::1`.
        Loopback = NP_ADDRESS_LOOPBACK,
    }
}

values! {
    /// The address family of a check. Displays as its name.
    #[derive(Default)]
    Family ("family"), named by sys::np_family_name, shown by sys::np_family_name {
        /// That of the source address; without one IPv4, and IPv6 if IPv4 has no route, no server or
        /// no answer.
        #[default]
        Any = NP_FAMILY_ANY,
        /// IPv4 only.
        Ipv4 = NP_FAMILY_IPV4,
        /// IPv6 only.
        Ipv6 = NP_FAMILY_IPV6,
    }
}

values! {
    /// Levels of log lines. A level is greater than another if it tells more. Displays as its name.
    LogLevel ("log level"), named by sys::np_log_level_name,
        shown by sys::np_log_level_name {
        /// What made a check fail.
        Error = NP_LOG_ERROR,
        /// What may make a result weaker.
        Warning = NP_LOG_WARNING,
        /// The course of a check in a few lines.
        Info = NP_LOG_INFO,
        /// Each request and each answer.
        Debug = NP_LOG_DEBUG,
    }
}

impl Ord for LogLevel {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_raw().cmp(&other.as_raw())
    }
}

impl PartialOrd for LogLevel {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

values! {
    /// What is asked of a server: the tests of RFC 3489 section 10.1. Displays as its name, "II".
    Request ("request"), named by sys::np_request_name, shown by sys::np_request_name {
        /// A plain Binding request.
        I = NP_REQUEST_I,
        /// To be answered from the server's other address and port (CHANGE-REQUEST).
        II = NP_REQUEST_II,
        /// To be answered from the server's other port (CHANGE-REQUEST).
        III = NP_REQUEST_III,
    }
}

values! {
    /// What a request is for. Displays as its name.
    Purpose ("purpose"), named by sys::np_purpose_name, shown by sys::np_purpose_name {
        /// The whole check.
        Check = NP_PURPOSE_CHECK,
        /// The external address of the source socket, as one destination sees it.
        Mapping = NP_PURPOSE_MAPPING,
        /// Who may send to a socket that has spoken to one address only.
        Filtering = NP_PURPOSE_FILTERING,
        /// Whether the server sends what was missing once the way is open.
        Control = NP_PURPOSE_CONTROL,
        /// An optional test.
        Optional = NP_PURPOSE_OPTIONAL,
    }
}

values! {
    /// Why a watch makes a check. Displays as its name.
    #[derive(Default)]
    WatchReason ("reason"), named by sys::np_watch_reason_name,
        shown by sys::np_watch_reason_name {
        /// No check has been made.
        #[default]
        None = NP_WATCH_REASON_NONE,
        /// The watch was started.
        Start = NP_WATCH_REASON_START,
        /// The network of this host changed: an interface, an address or a route.
        Network = NP_WATCH_REASON_NETWORK,
        /// This host was suspended.
        Resume = NP_WATCH_REASON_RESUME,
        /// [`Watch::note_failure`](crate::Watch::note_failure) was called.
        Failure = NP_WATCH_REASON_FAILURE,
        /// The check before gave no verdict.
        Retry = NP_WATCH_REASON_RETRY,
        /// The check before could not test the filtering, and something had changed.
        Filtering = NP_WATCH_REASON_FILTERING,
        /// It was time.
        Interval = NP_WATCH_REASON_INTERVAL,
    }
}

values! {
    /// An answer of three values. Displays as its name.
    #[derive(Default)]
    Tristate ("answer"), named by sys::np_tristate_name,
        shown by sys::np_tristate_name {
        /// Not tested, or the test could not tell.
        #[default]
        Unknown = NP_TRISTATE_UNKNOWN,
        /// No.
        No = NP_TRISTATE_NO,
        /// Yes.
        Yes = NP_TRISTATE_YES,
    }
}

values! {
    /// Whether two hosts will connect over UDP, and how. Displays as a sentence: what to do.
    #[derive(Default)]
    OutlookClass ("outlook"), named by sys::np_outlook_class_name,
        shown by sys::np_outlook_class_description {
        /// What is not known decides whether they connect.
        #[default]
        Unknown = NP_OUTLOOK_UNKNOWN,
        /// One side lets in whatever comes: the other sends to it.
        Direct = NP_OUTLOOK_DIRECT,
        /// Both send to each other's external address.
        Punch = NP_OUTLOOK_PUNCH,
        /// The same; one side's port is learnt from the datagram that comes from it.
        PunchLearn = NP_OUTLOOK_PUNCH_LEARN,
        /// They connect only if one side's next external port is guessed.
        NeedsPrediction = NP_OUTLOOK_NEEDS_PREDICTION,
        /// They do not connect without a relay.
        Relay = NP_OUTLOOK_RELAY,
        /// Both have the same external address: try the local addresses first.
        SameNat = NP_OUTLOOK_SAME_NAT,
    }
}

values! {
    /// Why: the rule that decided. Displays as a sentence.
    #[derive(Default)]
    OutlookRule ("rule"), named by sys::np_outlook_rule_name,
        shown by sys::np_outlook_rule_description {
        /// More than one rule may apply; what is not known decides.
        #[default]
        Unknown = NP_RULE_UNKNOWN,
        /// A side cannot use UDP.
        UdpBlocked = NP_RULE_UDP_BLOCKED,
        /// One side has IPv4, the other IPv6.
        NoCommonFamily = NP_RULE_NO_COMMON_FAMILY,
        /// Both sides have, or may have, the same external IP address.
        SameNat = NP_RULE_SAME_NAT,
        /// Each side lets in a datagram that it did not ask for.
        Open = NP_RULE_OPEN,
        /// One side does, and its answer gets back.
        OneOpen = NP_RULE_ONE_OPEN,
        /// Neither mapping depends on the destination.
        PortsKnown = NP_RULE_PORTS_KNOWN,
        /// One mapping depends; the other side's filter lets its unknown port in.
        PortLearnt = NP_RULE_PORT_LEARNT,
        /// One mapping depends, and the other side's filter does not let it in.
        PortUnknown = NP_RULE_PORT_UNKNOWN,
        /// The same, and not even the IP address of the dependent side is known.
        AddressUnknown = NP_RULE_ADDRESS_UNKNOWN,
        /// Both mappings depend on the destination.
        BothDependent = NP_RULE_BOTH_DEPENDENT,
    }
}

values! {
    /// Which side has to send first. Displays as a sentence.
    #[derive(Default)]
    First ("side"), named by sys::np_first_name,
        shown by sys::np_first_description {
        /// Either may begin. Also if they do not connect.
        #[default]
        Any = NP_FIRST_ANY,
        /// Our side, before anything of theirs reaches our NAT.
        Ours = NP_FIRST_OURS,
        /// Their side, before anything of ours reaches their NAT.
        Theirs = NP_FIRST_THEIRS,
        /// Both, at about the same time, and several times.
        Both = NP_FIRST_BOTH,
    }
}

/// Version of the library that is running, "0.4.0".
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
