// SPDX-License-Identifier: MIT
//! What kind of NAT is this host behind? The safe interface of libnatprobe.
//!
//! libnatprobe asks STUN servers (RFC 8489, RFC 5780, RFC 3489) and reports two measured facts, the
//! mapping and the filtering behaviour of RFC 4787, the external address, and the RFC 3489 name
//! that follows from them. What cannot be known is reported as unknown, never guessed.
//!
//! The short form, with public servers:
//!
//! ```no_run
//! match natprobe::check_nat(None, 0) {
//!     Ok(verdict) => println!("{verdict}"),
//!     Err(error) => eprintln!("{error}"),
//! }
//! ```
//!
//! A [`Probe`] has all the settings, can be cancelled ([`Canceller`]), run in an event loop
//! ([`Running`]), and with the feature `tokio` be awaited (`Probe::run_async`).
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(missing_debug_implementations)]

#[cfg(not(unix))]
compile_error!("libnatprobe runs on POSIX systems only");

mod callbacks;
mod error;
mod probe;
mod running;
mod values;
mod verdict;
#[cfg(feature = "tokio")]
mod with_tokio;

use std::time::Duration;

pub use natprobe_sys as sys;

pub use error::Error;
pub use probe::{check_nat, check_nat_and_log, check_nat_and_print, Canceller, Probe};
pub use running::{Holder, Running};
pub use values::{
    version, version_number, Behaviour, ErrorCode, EventKind, Evidence, Family, LogLevel, NatType,
    Purpose, Test, Tests,
};
pub use verdict::{Event, Verdict};

/// Most servers that one probe holds.
pub const MAX_SERVERS: usize = sys::NP_MAX_SERVERS;
/// The source port that proxystore.p2p.nat uses by default. 0 (any free port) is just as good for a
/// check.
pub const DEFAULT_SOURCE_PORT: u16 = sys::NP_DEFAULT_SOURCE_PORT;
/// Time for a whole run, name resolution included, unless [`Probe::set_timeout`] sets another.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(sys::NP_DEFAULT_TIMEOUT_MS as u64);
/// Time without any answer until UDP is called blocked, unless [`Probe::set_response_timeout`] sets
/// another.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration =
    Duration::from_millis(sys::NP_DEFAULT_RESPONSE_TIMEOUT_MS as u64);
