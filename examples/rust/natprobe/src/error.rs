// SPDX-License-Identifier: MIT
//! The one error type of this crate.

use std::error;
use std::fmt;
use std::io;

use natprobe_sys as sys;

use crate::{ErrorKind, NatResult};

/// Why a check came to no result, or could not be set up. Displays as a sentence, with the detail
/// if there is one.
///
/// Its [`source`](error::Error::source) is the [`io::Error`] behind it, if there is one.
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    detail: String,
    os_error: Option<i32>,
    source: Option<io::Error>,
    partial: Option<NatResult>,
}

impl Error {
    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable short name of the kind, "no-response".
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.kind.name()
    }

    /// Whether time ran out: that of [`Probe::set_timeout`](crate::Probe::set_timeout) or that of
    /// [`Probe::set_response_timeout`](crate::Probe::set_response_timeout). The kind is
    /// [`ErrorKind::NoResponse`] if nothing was ever heard, else [`ErrorKind::Timeout`].
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Timeout | ErrorKind::NoResponse)
    }

    /// Whether [`Canceller::cancel`](crate::Canceller::cancel) ended the run.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// One sentence about this case; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// `errno` behind the error; with [`ErrorKind::Resolve`] the resolver's `EAI_*` code.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        self.0.os_error
    }

    /// What a check found out all the same; `None` from a call that checks nothing, such as a
    /// setter.
    #[must_use]
    pub fn partial(&self) -> Option<&NatResult> {
        self.0.partial.as_ref()
    }

    /// As [`partial`](Self::partial), to keep.
    #[must_use]
    pub fn into_partial(self) -> Option<NatResult> {
        self.0.partial
    }

    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            detail: detail.into(),
            os_error: None,
            source: None,
            partial: None,
        }))
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn from_io(error: io::Error, detail: &str) -> Self {
        Self(Box::new(Inner {
            kind: ErrorKind::System,
            detail: detail.into(),
            os_error: error.raw_os_error(),
            source: Some(error),
            partial: None,
        }))
    }

    pub(crate) fn from_result(kind: ErrorKind, raw: &sys::np_result) -> Self {
        let partial = NatResult::from_raw(raw);
        let os_error = Some(raw.os_error).filter(|os_error| *os_error != 0);
        Self(Box::new(Inner {
            kind,
            detail: partial.detail.clone(),
            os_error,
            source: os_error
                .filter(|_| kind != ErrorKind::Resolve)
                .map(io::Error::from_raw_os_error),
            partial: Some(partial),
        }))
    }

    fn io_kind(&self) -> io::ErrorKind {
        match self.0.kind {
            ErrorKind::Argument | ErrorKind::Limit => io::ErrorKind::InvalidInput,
            ErrorKind::NoMemory => io::ErrorKind::OutOfMemory,
            ErrorKind::AddressInUse => io::ErrorKind::AddrInUse,
            ErrorKind::AddressNotAvailable => io::ErrorKind::AddrNotAvailable,
            ErrorKind::Timeout | ErrorKind::NoResponse => io::ErrorKind::TimedOut,
            ErrorKind::BadResponse => io::ErrorKind::InvalidData,
            _ => match &self.0.source {
                Some(source) => source.kind(),
                None => io::ErrorKind::Other,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.detail.is_empty() {
            write!(f, "{}", self.0.kind)
        } else {
            write!(f, "{}: {}", self.0.kind, self.0.detail)
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("detail", &inner.detail)
            .field("os_error", &inner.os_error)
            .field("partial", &inner.partial)
            .finish_non_exhaustive()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

/// Of the kind that comes nearest, with the error itself inside (`get_ref`, `into_inner`).
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.io_kind(), error)
    }
}
