// SPDX-License-Identifier: MIT
//! What happens during a check: the library's plain structure made into a type for each kind.

use std::net::SocketAddr;
use std::time::Duration;

use natprobe_sys as sys;

use crate::result::known;
use crate::values::text;
use crate::{Behaviour, ErrorKind, NatType, Purpose, Request, Tests};

/// Something that happened during a check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Event {
    /// Time since the run began.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "time_ms", with = "crate::with_serde::ms")
    )]
    pub time: Duration,
    /// What happened.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub kind: EventKind,
}

/// What an event tells, with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum EventKind {
    /// A request, or one more copy of it, was sent.
    #[non_exhaustive]
    Sent {
        /// What the request is for.
        purpose: Purpose,
        /// What is asked.
        request: Request,
        /// 1 for the first copy of a request, 2 for the next, and so on.
        copy: u32,
        /// Where it went.
        to: SocketAddr,
    },
    /// An answer to a request came: the server saw the request come from `external`.
    #[non_exhaustive]
    Answered {
        /// What the request was for.
        purpose: Purpose,
        /// What was asked.
        request: Request,
        /// Where the answer came from.
        from: SocketAddr,
        /// The external (mapped) address and port that the server saw.
        external: SocketAddr,
    },
    /// An answer to a request came: the server refuses it.
    #[non_exhaustive]
    Refused {
        /// What the request was for.
        purpose: Purpose,
        /// What was asked.
        request: Request,
        /// Where the answer came from.
        from: SocketAddr,
        /// The code of the error response (RFC 8489 section 14.8).
        code: i32,
    },
    /// The mapping of the NAT is settled.
    #[non_exhaustive]
    Mapping {
        /// How it maps.
        behaviour: Behaviour,
    },
    /// The filtering of the NAT, as one server sees it, is settled.
    #[non_exhaustive]
    Filtering {
        /// How it filters.
        behaviour: Behaviour,
        /// That server.
        server: SocketAddr,
    },
    /// The check is over. It is the last event.
    #[non_exhaustive]
    Finished {
        /// The type, or why there is none.
        outcome: Result<NatType, ErrorKind>,
        /// The server on which it rests.
        server: Option<SocketAddr>,
    },
    /// A test of minutes goes on. It comes about once a second.
    #[non_exhaustive]
    Progress {
        /// Which test.
        test: Tests,
        /// Seconds that it has taken so far.
        done_s: u32,
        /// Seconds that it takes at most.
        total_s: u32,
    },
    /// Something that this version of the crate does not know.
    #[non_exhaustive]
    Other {
        /// What C calls it by.
        number: i32,
    },
}

impl Event {
    pub(crate) fn from_raw(raw: &sys::np_event) -> Self {
        Self {
            time: Duration::from_micros(raw.time_us),
            kind: kind(raw).unwrap_or(EventKind::Other { number: raw.kind }),
        }
    }
}

impl EventKind {
    /// The library's short name: "sent", "answered", "concluded", "progress"; "unknown" for those
    /// that it does not know.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let number = match self {
            Self::Sent { .. } => sys::NP_EVENT_SENT,
            Self::Answered { .. } | Self::Refused { .. } => sys::NP_EVENT_ANSWERED,
            Self::Mapping { .. } | Self::Filtering { .. } | Self::Finished { .. } => {
                sys::NP_EVENT_CONCLUDED
            }
            Self::Progress { .. } => sys::NP_EVENT_PROGRESS,
            Self::Other { number } => *number,
        };
        // SAFETY: any number will do.
        text(unsafe { sys::np_event_kind_name(number) })
    }
}

/// `None` where something is missing that a kind always has: then it is not the kind known here.
fn kind(raw: &sys::np_event) -> Option<EventKind> {
    let (purpose, request) = (
        Purpose::from_raw(raw.purpose),
        Request::from_raw(raw.request),
    );
    let behaviour = Behaviour::from_raw(raw.behaviour);
    Some(match raw.kind {
        sys::NP_EVENT_SENT => EventKind::Sent {
            purpose,
            request,
            copy: raw.copy,
            to: known(&raw.remote)?,
        },
        sys::NP_EVENT_ANSWERED if raw.stun_error == 0 => EventKind::Answered {
            purpose,
            request,
            from: known(&raw.remote)?,
            external: known(&raw.external)?,
        },
        sys::NP_EVENT_ANSWERED => EventKind::Refused {
            purpose,
            request,
            from: known(&raw.remote)?,
            code: raw.stun_error,
        },
        sys::NP_EVENT_CONCLUDED => return conclusion(raw, purpose, behaviour),
        sys::NP_EVENT_PROGRESS => EventKind::Progress {
            test: Tests::from_bits(raw.test),
            done_s: raw.done_s,
            total_s: raw.total_s,
        },
        _ => return None,
    })
}

fn conclusion(raw: &sys::np_event, purpose: Purpose, behaviour: Behaviour) -> Option<EventKind> {
    match purpose {
        Purpose::Mapping => Some(EventKind::Mapping { behaviour }),
        Purpose::Filtering => Some(EventKind::Filtering {
            behaviour,
            server: known(&raw.remote)?,
        }),
        Purpose::Check => Some(EventKind::Finished {
            outcome: match ErrorKind::from_raw(raw.error) {
                Some(error) => Err(error),
                None => Ok(NatType::from_raw(raw.nat_type)),
            },
            server: known(&raw.remote),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(kind: i32) -> sys::np_event {
        // SAFETY: integers only.
        let mut raw: sys::np_event = unsafe { std::mem::zeroed() };
        raw.kind = kind;
        raw
    }

    #[test]
    fn what_a_newer_library_tells_is_kept() {
        let other = |raw: &sys::np_event| match Event::from_raw(raw).kind {
            EventKind::Other { number } => number,
            kind => panic!("{kind:?}"),
        };
        assert_eq!(other(&raw(77)), 77);
        // Known kinds that lack what they always have, or conclude something new.
        assert_eq!(other(&raw(sys::NP_EVENT_SENT)), sys::NP_EVENT_SENT);
        assert_eq!(other(&raw(sys::NP_EVENT_ANSWERED)), sys::NP_EVENT_ANSWERED);
        let mut conclusion = raw(sys::NP_EVENT_CONCLUDED);
        conclusion.purpose = 9;
        assert_eq!(other(&conclusion), sys::NP_EVENT_CONCLUDED);
    }

    #[test]
    fn an_end_is_a_type_or_an_error() {
        let outcome = |raw: &sys::np_event| match Event::from_raw(raw).kind {
            EventKind::Finished { outcome, .. } => outcome,
            kind => panic!("{kind:?}"),
        };
        let mut end = raw(sys::NP_EVENT_CONCLUDED);
        end.nat_type = sys::NP_NAT_FULL_CONE;
        assert_eq!(outcome(&end), Ok(NatType::FullCone));
        end.error = sys::NP_ERR_CANCELLED;
        assert_eq!(outcome(&end), Err(ErrorKind::Cancelled));
        end.error = -99;
        assert_eq!(outcome(&end).unwrap_err().as_raw(), -99);
    }

    #[test]
    fn progress_has_its_test_and_seconds() {
        let mut progress = raw(sys::NP_EVENT_PROGRESS);
        (progress.test, progress.done_s, progress.total_s) = (64, 12, 400);
        match Event::from_raw(&progress).kind {
            EventKind::Progress {
                test,
                done_s,
                total_s,
            } => assert_eq!((test.bits(), done_s, total_s), (64, 12, 400)),
            kind => panic!("{kind:?}"),
        }
    }

    #[test]
    fn a_refusal_has_a_code_and_no_address() {
        let mut answer = raw(sys::NP_EVENT_ANSWERED);
        answer.stun_error = 420;
        for (at, byte) in b"192.0.2.1:3478".iter().enumerate() {
            answer.remote[at] = *byte as libc::c_char;
        }
        match Event::from_raw(&answer).kind {
            EventKind::Refused { from, code, .. } => {
                assert_eq!((from.to_string().as_str(), code), ("192.0.2.1:3478", 420));
            }
            kind => panic!("{kind:?}"),
        }
    }
}
