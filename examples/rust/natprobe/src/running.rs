// SPDX-License-Identifier: MIT
//! A check in an event loop.

use std::borrow::BorrowMut;
use std::mem::ManuallyDrop;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr;
use std::task::Poll;
use std::thread;

use natprobe_sys as sys;

use crate::probe::{accepted, call_with_result};
use crate::{Canceller, Error, Probe, Verdict};

/// A check that goes on without blocking. Dropping it gives the check up, which the closures are
/// told, and leaves the probe ready for another.
///
/// Its descriptor ([`AsFd`], [`AsRawFd`]) is readable whenever [`process`](Self::process) has
/// something to do: timers, name resolution, cancellation and the sockets are all behind it. Watch
/// it for reading, and level-triggered if there is a choice. Where there is none (`mio`, `tokio`),
/// go on until [`is_ready`](Self::is_ready) says no; for `tokio` the feature of that name has
/// `Probe::run_async`, which does all this.
///
/// It borrows the probe ([`Probe::start`]) or owns it ([`Running::start`]):
///
/// ```no_run
/// # use std::task::Poll;
/// # fn wait_until_readable(_: &impl std::os::unix::io::AsRawFd) {}
/// # fn main() -> Result<(), natprobe::Error> {
/// let mut running = natprobe::Running::start(natprobe::Probe::new()?)?;
/// let verdict = loop {
///     wait_until_readable(&running);
///     if let Poll::Ready(outcome) = running.process() {
///         break outcome?;
///     }
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropping it gives the check up"]
pub struct Running<P: Holder = Probe> {
    probe: P,
    done: bool,
}

/// What a running check can hold: a [`Probe`] or a `&mut Probe`. Nothing else, because the descriptor
/// must not go before the guard does.
pub trait Holder: BorrowMut<Probe> + sealed::Sealed {}

impl Holder for Probe {}
impl Holder for &mut Probe {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::Probe {}
    impl Sealed for &mut crate::Probe {}
}

impl<P: Holder> Running<P> {
    /// Begins a check. Whatever goes wrong from here on, an address in use included, is told by
    /// [`process`](Self::process).
    ///
    /// # Errors
    /// As [`Probe::start`]; the probe is dropped.
    pub fn start(mut probe: P) -> Result<Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_start(probe.borrow_mut().as_ptr()) };
        accepted(code, || "the check cannot be started".into())?;
        let mut running = Self { probe, done: false };
        running.probe.borrow_mut().callbacks().resume_panic();
        Ok(running)
    }

    /// Goes on with the check as far as it can without waiting. Calling it too often does no harm.
    ///
    /// Ready once, when the check is over; after that it is an
    /// [`ErrorCode::Argument`](crate::ErrorCode::Argument).
    pub fn process(&mut self) -> Poll<Result<Verdict, Error>> {
        let outcome = self.process_quietly();
        self.probe.borrow_mut().callbacks().resume_panic();
        outcome
    }

    /// Whether the descriptor is readable, that is, whether [`process`](Self::process) has
    /// something to do.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let mut fd = libc::pollfd {
            fd: self.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one descriptor, which is good as long as the probe. A failure counts as ready: no
        // harm in trying.
        unsafe { libc::poll(&mut fd, 1, 0) != 0 }
    }

    /// What makes the check end from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.probe.borrow().canceller()
    }

    /// Gives the check up, unless it is over, and the probe back for another.
    pub fn into_probe(mut self) -> P {
        self.give_up();
        self.probe.borrow_mut().callbacks().resume_panic();
        let this = ManuallyDrop::new(self);
        // SAFETY: it is taken once, and `this`, which will not be dropped, never used again.
        unsafe { ptr::read(&this.probe) }
    }

    /// Leaves the panic of a closure for later.
    fn process_quietly(&mut self) -> Poll<Result<Verdict, Error>> {
        let raw = self.probe.borrow_mut().as_ptr();
        // SAFETY: the probe is alive, and nothing but cancellers can use it meanwhile.
        let (code, outcome) =
            call_with_result(|result| unsafe { sys::np_probe_process(raw, result) });
        self.done = code != sys::NP_PENDING;
        if self.done {
            Poll::Ready(outcome)
        } else {
            Poll::Pending
        }
    }

    /// A check that is over already is not to be cancelled: that would be for the next one.
    fn give_up(&mut self) {
        if !self.done && self.process_quietly().is_pending() {
            self.canceller().cancel();
            let cancelled = self.process_quietly();
            debug_assert!(cancelled.is_ready());
        }
    }
}

impl<P: Holder> Drop for Running<P> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.probe.borrow_mut().callbacks().mute();
            self.give_up();
            self.probe.borrow_mut().callbacks().unmute();
        } else {
            self.give_up();
            self.probe.borrow_mut().callbacks().resume_panic();
        }
    }
}

impl<P: Holder> AsRawFd for Running<P> {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: the probe is alive.
        unsafe { sys::np_probe_fd(self.probe.borrow().as_ptr()) }
    }
}

impl<P: Holder> AsFd for Running<P> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: since the check was started there is a descriptor, and it stays the same as long
        // as the probe lives.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}
