// SPDX-License-Identifier: MIT
//! A check in an event loop.

use std::borrow::BorrowMut;
use std::mem::ManuallyDrop;
#[cfg(unix)]
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, RawHandle};
use std::ptr;
use std::task::Poll;
use std::thread;

use natprobe_sys as sys;

use crate::probe::{accepted, outcome_of};
use crate::system::{self, Waitable};
use crate::{Canceller, Error, NatResult, Probe};

/// A check that goes on without blocking. Dropping it gives the check up, which the closures are
/// told, and leaves the probe ready for another.
///
/// Its descriptor (`AsFd`, `AsRawFd`) is readable whenever [`process`](Self::process) has something to
/// do: timers, name resolution, cancellation and the sockets are all behind it. On Windows it has a
/// handle in place of that (`AsHandle`, `AsRawHandle`), which is signalled. Watch the descriptor for
/// reading, and level-triggered if there is a choice. Where there is none (`mio`, `tokio`),
/// go on until [`is_ready`](Self::is_ready) says no; for `tokio` the feature of that name has
/// `Probe::run_async`, which does all this.
///
/// It borrows the probe ([`Probe::start`]) or owns it ([`Running::start`]):
///
/// ```no_run
/// # use std::task::Poll;
/// # fn wait_until_readable<T>(_: &T) {}
/// # fn main() -> Result<(), natprobe::Error> {
/// let mut running = natprobe::Running::start(natprobe::Probe::new()?)?;
/// let result = loop {
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
    waitable: Waitable,
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
        let shared = probe.borrow_mut();
        let raw = shared.owned()?;
        let lent = shared.prepare()?;
        // SAFETY: the probe is alive, and the socket is lent while it is duplicated.
        let code = unsafe { sys::np_probe_start(raw) };
        drop(lent);
        if let Err(error) = accepted(code, || "the check cannot be started".into()) {
            shared.callbacks().resume_panic();
            return Err(error);
        }
        // SAFETY: the probe is alive.
        let waitable = unsafe { system::waitable(raw) };
        let mut running = Self { probe, waitable };
        running.probe.borrow_mut().callbacks().resume_panic();
        Ok(running)
    }

    /// Goes on with the check as far as it can without waiting. Calling it too often does no harm.
    ///
    /// Ready once, when the check is over; after that it is an
    /// [`ErrorKind::Argument`](crate::ErrorKind::Argument).
    ///
    /// # Panics
    /// When a closure does; the check is over then.
    pub fn process(&mut self) -> Poll<Result<NatResult, Error>> {
        let outcome = self.turn();
        if self.probe.borrow_mut().callbacks().has_panicked() {
            self.give_up();
            self.probe.borrow_mut().callbacks().resume_panic();
        }
        outcome
    }

    /// Blocks until the check is over, as [`Probe::run`] does. But no cancel is lost, since the check has
    /// begun already.
    ///
    /// # Errors
    /// As [`Probe::run`].
    ///
    /// # Panics
    /// As [`process`](Self::process).
    pub fn wait(&mut self) -> Result<NatResult, Error> {
        loop {
            if let Poll::Ready(outcome) = self.process() {
                return outcome;
            }
            system::is_ready(self.waitable, true);
        }
    }

    /// Whether the descriptor is readable, or the handle signalled, that is, whether [`process`](Self::process) has
    /// something to do.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        system::is_ready(self.waitable, false)
    }

    /// What makes the check end from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.probe.borrow().canceller()
    }

    /// Gives the check up, unless it is over, and the probe back for another.
    ///
    /// # Panics
    /// When a closure does that is told so.
    pub fn into_probe(mut self) -> P {
        self.give_up();
        self.probe.borrow_mut().callbacks().resume_panic();
        let this = ManuallyDrop::new(self);
        // SAFETY: it is taken once, and `this`, which will not be dropped, never used again.
        unsafe { ptr::read(&this.probe) }
    }

    /// Events that have come since the last call, if they are asked for.
    #[cfg(feature = "stream")]
    pub(crate) fn next_event(&mut self) -> Option<crate::Event> {
        self.probe
            .borrow_mut()
            .callbacks()
            .queue
            .as_mut()?
            .pop_front()
    }

    /// Leaves the panic of a closure for later.
    fn turn(&mut self) -> Poll<Result<NatResult, Error>> {
        let raw = match self.probe.borrow().owned() {
            Ok(raw) => raw,
            Err(error) => return Poll::Ready(Err(error)),
        };
        // SAFETY: the probe is alive, and nothing but cancellers can use it meanwhile.
        outcome_of(|result| unsafe { sys::np_probe_process(raw, result) })
    }

    /// Does nothing to a check that is over already.
    fn give_up(&mut self) {
        self.canceller().cancel();
        let _ = self.turn();
    }
}

impl<P: Holder> Drop for Running<P> {
    /// Never panics: the panic of a closure that is told the end is reported, and goes no further.
    fn drop(&mut self) {
        if thread::panicking() {
            self.probe.borrow_mut().callbacks().mute();
        }
        self.give_up();
        self.probe.borrow_mut().callbacks().forget_panic();
    }
}

#[cfg(unix)]
impl<P: Holder> AsRawFd for Running<P> {
    fn as_raw_fd(&self) -> RawFd {
        self.waitable
    }
}

#[cfg(unix)]
impl<P: Holder> AsFd for Running<P> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: since the check was started there is a descriptor, and it stays the same as long
        // as the probe lives.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

#[cfg(windows)]
impl<P: Holder> AsRawHandle for Running<P> {
    fn as_raw_handle(&self) -> RawHandle {
        self.waitable as RawHandle
    }
}

#[cfg(windows)]
impl<P: Holder> AsHandle for Running<P> {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        // SAFETY: since the check was started there is a handle, and it stays the same as long as the
        // probe lives.
        unsafe { BorrowedHandle::borrow_raw(self.as_raw_handle()) }
    }
}
