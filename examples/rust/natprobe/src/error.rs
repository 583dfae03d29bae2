// SPDX-License-Identifier: MIT
//! The one error type of this crate.

use std::error;
use std::fmt;
use std::io;

use natprobe_sys as sys;

use crate::{ErrorCode, Verdict};

/// Why a check came to no verdict, or could not be set up. Displays as a sentence, with the detail
/// if there is one.
///
/// Its [`source`](error::Error::source) is the [`io::Error`] behind it, if there is one.
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    detail: String,
    os_error: Option<i32>,
    source: Option<io::Error>,
    partial: Option<Verdict>,
}

impl Error {
    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The stable short name of the kind, "no-response".
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.code.name()
    }

    /// One sentence about this case; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// `errno` behind the error; with [`ErrorCode::Resolve`] the resolver's `EAI_*` code.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        self.0.os_error
    }

    /// What a check found out all the same; `None` from a call that checks nothing, such as a
    /// setter.
    #[must_use]
    pub fn partial(&self) -> Option<&Verdict> {
        self.0.partial.as_ref()
    }

    /// As [`partial`](Self::partial), to keep.
    #[must_use]
    pub fn into_partial(self) -> Option<Verdict> {
        self.0.partial
    }

    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            os_error: None,
            source: None,
            partial: None,
        }))
    }

    pub(crate) fn from_io(error: io::Error, detail: &str) -> Self {
        Self(Box::new(Inner {
            code: ErrorCode::System,
            detail: detail.into(),
            os_error: error.raw_os_error(),
            source: Some(error),
            partial: None,
        }))
    }

    pub(crate) fn from_result(raw: &sys::np_result) -> Self {
        let code = ErrorCode::from_raw(raw.error);
        let partial = Verdict::from_raw(raw);
        let os_error = Some(raw.os_error).filter(|os_error| *os_error != 0);
        Self(Box::new(Inner {
            code,
            detail: partial.detail.clone(),
            os_error,
            source: os_error
                .filter(|_| code != ErrorCode::Resolve)
                .map(io::Error::from_raw_os_error),
            partial: Some(partial),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.detail.is_empty() {
            write!(f, "{}", self.0.code)
        } else {
            write!(f, "{}: {}", self.0.code, self.0.detail)
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("code", &inner.code)
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
