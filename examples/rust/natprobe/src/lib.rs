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
//!     Ok(result) => println!("{result}"),
//!     Err(error) => eprintln!("{error}"),
//! }
//! ```
//!
//! A [`Watch`] makes the check again when the network changes, and tells what is different.
//!
//! A [`Probe`] has all the settings, can be cancelled ([`Canceller`]) and run in an event loop
//! ([`Running`]).
//!
//! # Features
//!
//! None of them is on by default.
//!
//! - `tokio`: `Probe::run_async`, a future (not on Windows);
//! - `stream`: `Probe::run_stream`, the events of a check and its result as a `Stream` (with `tokio`);
//! - `serde`: `Serialize` and `Deserialize` for everything that is reported or set, in the form that
//!   `natprobe --json` prints;
//! - `tracing`: `Probe::set_tracing`, which sends the log there.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(missing_debug_implementations)]

#[cfg(not(any(unix, windows)))]
compile_error!("libnatprobe runs on POSIX systems and on Windows");
#[cfg(all(windows, any(feature = "tokio", feature = "stream")))]
compile_error!("the features tokio and stream are for Unix: tokio watches no handles of Windows");

mod callbacks;
mod error;
mod event;
mod flags;
mod outlook;
mod probe;
mod result;
mod running;
mod system;
mod values;
mod watch;
#[cfg(feature = "stream")]
mod watch_stream;
#[cfg(feature = "serde")]
mod with_serde;
#[cfg(feature = "stream")]
mod with_stream;
#[cfg(feature = "tokio")]
mod with_tokio;
#[cfg(feature = "tracing")]
mod with_tracing;

use std::time::Duration;

use natprobe_sys as sys;

pub use error::Error;
pub use event::{Event, EventKind};
pub use flags::{Assumptions, Changes, Evidence, Tests};
pub use outlook::{Outlook, Profile};
pub use probe::{
    check_nat, check_nat_and_log, check_nat_and_print, check_nat_dual, Canceller, Probe,
};
pub use result::NatResult;
pub use running::{Holder, Running};
pub use values::{
    version, version_number, AddressClass, Behaviour, ErrorKind, Family, First, LogLevel, NatType,
    OutlookClass, OutlookRule, ParseError, Purpose, Request, Tristate, WatchReason,
};
pub use watch::{Watch, WatchCanceller, WatchStatus};
#[cfg(feature = "stream")]
pub use watch_stream::WatchStream;
#[cfg(feature = "stream")]
pub use with_stream::{Progress, ProgressStream};

/// Most servers that one probe holds.
pub const MAX_SERVERS: usize = sys::NP_MAX_SERVERS;
/// Time for a whole run, name resolution included, unless [`Probe::set_timeout`] sets another.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(sys::NP_DEFAULT_TIMEOUT_MS as u64);
/// The longest idle time that [`Tests::LIFETIME`] tries, unless [`Probe::set_lifetime_limit`] sets
/// another.
pub const DEFAULT_LIFETIME_LIMIT: Duration =
    Duration::from_secs(sys::NP_DEFAULT_LIFETIME_LIMIT_S as u64);
/// Time from one check of a [`Watch`] to the next where nothing asks for one.
pub const DEFAULT_WATCH_INTERVAL: Duration =
    Duration::from_secs(sys::NP_DEFAULT_WATCH_INTERVAL_S as u64);
/// Time without any answer until UDP is called blocked, unless [`Probe::set_response_timeout`] sets
/// another.
pub const DEFAULT_RESPONSE_TIMEOUT: Duration =
    Duration::from_millis(sys::NP_DEFAULT_RESPONSE_TIMEOUT_MS as u64);
