// SPDX-License-Identifier: MIT
//! A check that is made again whenever its result may no longer hold.

use std::fmt;
use std::mem::MaybeUninit;
#[cfg(unix)]
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, RawHandle};
use std::process;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use natprobe_sys as sys;

use crate::probe::{accepted, Socket};
use crate::system;
use crate::{Changes, Error, ErrorKind, NatResult, Probe, WatchReason};

/// What a watch knows.
#[derive(Debug)]
#[non_exhaustive]
pub struct WatchStatus {
    /// What holds now, or why there is no verdict.
    pub outcome: Result<NatResult, Error>,
    /// Why the latest check was made.
    pub reason: WatchReason,
    /// What was different when a change was last reported.
    pub changed: Changes,
    /// How the latest check ended, if without a verdict; `outcome` may be of one before.
    pub last_error: Option<ErrorKind>,
    /// Whether a check is being made.
    pub is_checking: bool,
    /// Since the outcome was measured; `None` if there is none.
    pub age: Option<Duration>,
    /// Since its filtering was measured; `None` if it is not known.
    pub filtering_age: Option<Duration>,
    /// To the next check if nothing changes; `None` if none is planned.
    pub next_check: Option<Duration>,
    /// Checks made so far, the one being made included.
    pub checks: u64,
    /// What was reported so far: the first outcome, and each difference since.
    pub change_count: u64,
}

impl WatchStatus {
    fn from_raw(raw: &sys::np_watch_status) -> Self {
        let since = |ms: i64| u64::try_from(ms).ok().map(Duration::from_millis);
        Self {
            outcome: match ErrorKind::from_raw(raw.result.error) {
                Some(kind) => Err(Error::from_result(kind, &raw.result)),
                None => Ok(NatResult::from_raw(&raw.result)),
            },
            reason: WatchReason::from_raw(raw.reason),
            changed: Changes::from_bits(raw.changed),
            last_error: ErrorKind::from_raw(raw.last_error),
            is_checking: raw.is_checking != 0,
            age: since(raw.age_ms),
            filtering_age: since(raw.filtering_age_ms),
            next_check: since(raw.next_check_ms),
            checks: raw.checks,
            change_count: raw.changes,
        }
    }
}

/// Tells when the type, the mapping, the filtering or the external address changes.
///
/// It makes a check at once, and again: when the network changes, when the host was suspended, after
/// [`note_failure`](Self::note_failure), when there is no verdict, and slowly otherwise.
///
/// ```no_run
/// # fn main() -> Result<(), natprobe::Error> {
/// let mut watch = natprobe::Watch::start(natprobe::Probe::new()?, natprobe::DEFAULT_WATCH_INTERVAL)?;
/// loop {
///     let status = watch.wait()?;
///     println!("{}: {:?}", status.reason, status.outcome);
/// }
/// # }
/// ```
///
/// In an event loop, watch its descriptor (on Windows its handle) as that of a
/// [`Running`](crate::Running) check. The feature `stream` has `Watch::into_stream`.
///
/// The closures of the probe are called from within the methods that take `&mut self`. Their panics
/// go on from there, and end the watch. After `fork()` it belongs to the parent.
pub struct Watch {
    raw: NonNull<sys::np_watch>,
    /// Has the closures. The library's probe belongs to the watch.
    probe: Probe,
    _socket: Option<Arc<Socket>>,
    told: u64,
    handle: Arc<Handle>,
}

// SAFETY: as for Probe.
unsafe impl Send for Watch {}

// SAFETY: through a shared reference the library is only asked what it knows.
unsafe impl Sync for Watch {}

struct Handle {
    /// None once the watch is gone.
    watch: Mutex<Option<CancelPointer>>,
    owner: u32,
}

struct CancelPointer(NonNull<sys::np_watch>);

// SAFETY: nothing is done with it but np_watch_cancel(), which any thread may call.
unsafe impl Send for CancelPointer {}

impl Watch {
    /// Begins to watch with the settings of the probe. An interval of zero makes no check for the sake
    /// of time alone.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for an interval that is not from 10 seconds to a week, for settings
    /// that contradict each other, and after a `fork()`; [`ErrorKind::System`] without descriptors
    /// left; [`ErrorKind::NoMemory`].
    pub fn start(mut probe: Probe, interval: Duration) -> Result<Self, Error> {
        let raw_probe = probe.owned()?;
        let socket = probe.prepare()?;
        // SAFETY: the probe is alive, and no check of it goes on: a guard would borrow it.
        let raw = NonNull::new(unsafe { sys::np_watch_new(raw_probe) })
            .ok_or_else(|| Error::new(ErrorKind::NoMemory, ""))?;
        probe.give_away();
        let mut watch = Self {
            raw,
            probe,
            _socket: socket,
            told: 0,
            handle: Arc::new(Handle {
                watch: Mutex::new(Some(CancelPointer(raw))),
                owner: process::id(),
            }),
        };
        let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
        let seconds = if interval.subsec_nanos() > 0 && seconds == 0 {
            1
        } else {
            seconds
        };
        // SAFETY: the watch is alive.
        let code = unsafe { sys::np_watch_set_interval(raw.as_ptr(), seconds) };
        accepted(code, || format!("interval {interval:?}"))?;
        // SAFETY: the watch is alive.
        let code = unsafe { sys::np_watch_start(raw.as_ptr()) };
        watch.probe.callbacks().resume_panic();
        accepted(code, || "the watch cannot be started".into())?;
        Ok(watch)
    }

    /// Goes on as far as it can without waiting. Ready when something changed, the first outcome
    /// included; and with an error when the watch has ended: [`ErrorKind::Cancelled`] after
    /// [`WatchCanceller::cancel`]. Calling it too often does no harm.
    ///
    /// # Panics
    /// When a closure does; the watch has ended then.
    pub fn process(&mut self) -> Poll<Result<WatchStatus, Error>> {
        if !self.handle.is_ours() {
            let detail = "the watch belongs to the process that this one was forked from";
            return Poll::Ready(Err(Error::new(ErrorKind::Argument, detail)));
        }
        // SAFETY: the watch is alive.
        let code = unsafe { sys::np_watch_process(self.raw.as_ptr()) };
        if self.probe.callbacks().has_panicked() {
            self.canceller().cancel();
            // SAFETY: as above; it ends.
            let _ = unsafe { sys::np_watch_process(self.raw.as_ptr()) };
            self.probe.callbacks().resume_panic();
        }
        if code != sys::NP_PENDING {
            let kind = ErrorKind::from_raw(code).unwrap_or(ErrorKind::Other(code));
            return Poll::Ready(Err(Error::new(kind, "the watch has ended")));
        }
        let status = self.status();
        if status.change_count == self.told {
            return Poll::Pending;
        }
        self.told = status.change_count;
        Poll::Ready(Ok(status))
    }

    /// Blocks until something changes, or the watch ends.
    ///
    /// # Errors
    /// As [`process`](Self::process).
    ///
    /// # Panics
    /// As [`process`](Self::process).
    pub fn wait(&mut self) -> Result<WatchStatus, Error> {
        loop {
            if let Poll::Ready(outcome) = self.process() {
                return outcome;
            }
            self.poll(true);
        }
    }

    /// What the watch knows now, with its age.
    #[must_use]
    pub fn status(&self) -> WatchStatus {
        let mut status = MaybeUninit::<sys::np_watch_status>::zeroed();
        // SAFETY: the watch is alive, and only read; every byte of the status is written, and any
        // bytes are one.
        let status = unsafe {
            sys::np_watch_read(self.raw.as_ptr(), status.as_mut_ptr());
            status.assume_init()
        };
        WatchStatus::from_raw(&status)
    }

    /// Says that a connection failed that the outcome had promised, such as a punched hole: a check
    /// follows.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] if the watch has ended.
    pub fn note_failure(&mut self) -> Result<(), Error> {
        // SAFETY: the watch is alive.
        let code = unsafe { sys::np_watch_note_failure(self.raw.as_ptr()) };
        accepted(code, || "the watch has ended".into())
    }

    /// What makes the watch end from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> WatchCanceller {
        WatchCanceller(Arc::clone(&self.handle))
    }

    /// Whether [`process`](Self::process) has something to do.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.poll(false)
    }

    fn poll(&self, forever: bool) -> bool {
        // SAFETY: the watch is alive.
        system::is_ready(
            unsafe { system::watch_waitable(self.raw.as_ptr()) },
            forever,
        )
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.handle.is_ours() {
            return;
        }
        *self.handle.lock() = None;
        self.probe.callbacks().mute();
        // SAFETY: nothing uses the handle any more. The closures go after it, with the probe.
        unsafe { sys::np_watch_free(self.raw.as_ptr()) };
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.raw).finish()
    }
}

#[cfg(unix)]
impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: the watch is alive.
        unsafe { sys::np_watch_fd(self.raw.as_ptr()) }
    }
}

#[cfg(unix)]
impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: a watch that was started has a descriptor, the same as long as it lives.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

#[cfg(windows)]
impl AsRawHandle for Watch {
    fn as_raw_handle(&self) -> RawHandle {
        // SAFETY: the watch is alive.
        unsafe { sys::np_watch_wait_handle(self.raw.as_ptr()) }
    }
}

#[cfg(windows)]
impl AsHandle for Watch {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        // SAFETY: a watch that was started has a handle, the same as long as it lives.
        unsafe { BorrowedHandle::borrow_raw(self.as_raw_handle()) }
    }
}

impl Handle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<CancelPointer>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ours(&self) -> bool {
        self.owner == process::id()
    }
}

/// Ends one [`Watch`], from any thread and at any time; when the watch is gone it does nothing.
#[derive(Clone)]
pub struct WatchCanceller(Arc<Handle>);

impl WatchCanceller {
    /// Makes the watch end with [`ErrorKind::Cancelled`].
    pub fn cancel(&self) {
        if !self.0.is_ours() {
            return;
        }
        if let Some(pointer) = &*self.0.lock() {
            // SAFETY: the handle is freed only after it has been taken out from under this lock.
            unsafe { sys::np_watch_cancel(pointer.0.as_ptr()) };
        }
    }
}

impl fmt::Debug for WatchCanceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchCanceller").finish_non_exhaustive()
    }
}
