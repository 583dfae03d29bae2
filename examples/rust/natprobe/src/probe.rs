// SPDX-License-Identifier: MIT
//! A probe: settings, a run that blocks, cancelling.

use std::ffi::CString;
use std::fmt;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::io::{AsFd, AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libc::{c_char, c_int};
use natprobe_sys as sys;

use crate::callbacks::{self, Callbacks};
use crate::{Error, ErrorCode, Event, Family, LogLevel, Running, Tests, Verdict};

/// A check in preparation, to be run any number of times.
///
/// The setters give the probe back, so that they can be chained:
///
/// ```no_run
/// # use std::time::Duration;
/// # fn main() -> Result<(), natprobe::Error> {
/// let mut probe = natprobe::Probe::new()?;
/// probe
///     .add_server("stun.example.org")?
///     .set_tests(natprobe::Tests::Mapping)?
///     .set_timeout(Duration::from_secs(3))?;
/// println!("mapping: {}", probe.run()?.mapping);
/// # Ok(())
/// # }
/// ```
///
/// # Threads
///
/// A probe is [`Send`]: the library keeps nothing that belongs to a thread, and the closures that a
/// probe is given have to be `Send` too. It is not [`Sync`]: the library wants one thread at a
/// time, which nearly every method asks for by `&mut self` already. What another thread may do at
/// any time, cancel, is apart: [`Canceller`].
///
/// # Panics in closures
///
/// When a closure panics the check is cancelled, and the panic goes on from the method that was
/// running it.
pub struct Probe {
    raw: NonNull<sys::np_probe>,
    /// Made by `Box`; the library holds pointers to it as well, so that it must not be a `Box` or a
    /// reference here.
    callbacks: NonNull<Callbacks<'static>>,
    /// A duplicate, so that the descriptor is good for whatever the caller does with the socket.
    socket: Option<OwnedFd>,
    handle: Arc<Handle>,
}

// SAFETY: the library binds nothing to a thread, and the setters take only closures that are Send.
unsafe impl Send for Probe {}

/// What a probe shares with its cancellers: none when the probe has been dropped.
struct Handle(Mutex<Option<CancelPointer>>);

struct CancelPointer(NonNull<sys::np_probe>);

// SAFETY: nothing is done with it but np_probe_cancel(), which any thread may call.
unsafe impl Send for CancelPointer {}

impl Probe {
    /// A probe with the defaults: built-in public servers, any source address, all tests, 10
    /// seconds.
    ///
    /// # Errors
    /// [`ErrorCode::NoMemory`].
    pub fn new() -> Result<Self, Error> {
        // SAFETY: takes nothing.
        let raw = NonNull::new(unsafe { sys::np_probe_new() })
            .ok_or_else(|| Error::new(ErrorCode::NoMemory, ""))?;
        let callbacks = Box::new(Callbacks::new());
        Ok(Self {
            raw,
            callbacks: NonNull::from(Box::leak(callbacks)),
            socket: None,
            handle: Arc::new(Handle(Mutex::new(Some(CancelPointer(raw))))),
        })
    }

    /// Sets the local address and port to check from: `None` is any address, 0 any free port. Takes
    /// back [`set_socket`](Self::set_socket).
    ///
    /// # Errors
    /// [`ErrorCode::Busy`].
    pub fn set_source(&mut self, ip: Option<IpAddr>, port: u16) -> Result<&mut Self, Error> {
        let text = ip.map(ip_text);
        // SAFETY: the probe is alive; the text is NULL or terminated, and is copied.
        let code = unsafe { sys::np_probe_set_source(self.as_ptr(), pointer(&text), port) };
        accepted(code, || format!("source {ip:?}, port {port}"))?;
        self.forget_socket();
        Ok(self)
    }

    /// Checks from a UDP socket of the caller's own, so that the external address is that of the
    /// port the caller will talk to its peers from. It has to be bound to a port and not connected.
    /// Takes back [`set_source`](Self::set_source).
    ///
    /// While a check goes on the library reads the socket, and nobody else may. What comes and is
    /// not for the library is handed to `on_datagram` with its sender, in the order of arrival,
    /// whole, and never dropped. What has not been read when the check ends is left in the socket;
    /// late answers to the library's requests may be among it, and are best ignored.
    ///
    /// The probe keeps a duplicate of the socket, so the caller may close the socket or give it
    /// away. The port is free again when the duplicate is gone too: with the probe,
    /// [`clear_socket`](Self::clear_socket) or [`set_source`](Self::set_source).
    ///
    /// # Errors
    /// [`ErrorCode::Argument`] for anything else than such a socket; [`ErrorCode::Busy`];
    /// [`ErrorCode::System`].
    pub fn set_socket(
        &mut self,
        socket: impl AsFd,
        on_datagram: impl FnMut(&[u8], SocketAddr) + Send + 'static,
    ) -> Result<&mut Self, Error> {
        let socket = socket
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Error::from_io(error, "the socket cannot be duplicated"))?;
        let user = self.callbacks.as_ptr().cast();
        let (raw, fd) = (self.as_ptr(), socket.as_raw_fd());
        // SAFETY: the probe is alive; descriptor and closure are kept as long as it may use them.
        let code = unsafe { sys::np_probe_set_socket(raw, fd, Some(callbacks::on_datagram), user) };
        accepted(code, || {
            "the socket is not one of UDP, bound and not connected".into()
        })?;
        self.socket = Some(socket);
        self.callbacks().on_datagram = Some(Box::new(on_datagram));
        Ok(self)
    }

    /// Takes [`set_socket`](Self::set_socket) back.
    ///
    /// # Errors
    /// [`ErrorCode::Busy`].
    pub fn clear_socket(&mut self) -> Result<&mut Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_socket(self.as_ptr(), -1, None, ptr::null_mut()) };
        accepted(code, String::new)?;
        self.forget_socket();
        Ok(self)
    }

    /// Adds a server; the first one added replaces the built-in list. The order is kept: the first
    /// is asked first.
    ///
    /// `server` is "HOST", "HOST:PORT", "IPv4\[:PORT\]", "IPv6", "\[IPv6\]:PORT" or a "stun:" URI
    /// (RFC 7064).
    ///
    /// # Errors
    /// [`ErrorCode::Argument`] for anything else, or for more than
    /// [`MAX_SERVERS`](crate::MAX_SERVERS); [`ErrorCode::Busy`].
    pub fn add_server(&mut self, server: &str) -> Result<&mut Self, Error> {
        let text = CString::new(server)
            .map_err(|_| Error::new(ErrorCode::Argument, format!("server {server:?}")))?;
        // SAFETY: the probe is alive; the text is terminated, and is copied.
        let code = unsafe { sys::np_probe_add_server(self.as_ptr(), text.as_ptr()) };
        accepted(code, || format!("server {server:?}"))?;
        Ok(self)
    }

    /// Forgets the servers added: the built-in list is used again.
    ///
    /// # Errors
    /// [`ErrorCode::Busy`].
    pub fn clear_servers(&mut self) -> Result<&mut Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_clear_servers(self.as_ptr()) };
        accepted(code, String::new)?;
        Ok(self)
    }

    /// Chooses the address family.
    ///
    /// # Errors
    /// [`ErrorCode::Argument`] for a value that the library does not know; [`ErrorCode::Busy`].
    pub fn set_family(&mut self, family: Family) -> Result<&mut Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_family(self.as_ptr(), family.as_raw()) };
        accepted(code, || format!("family {family:?}"))?;
        Ok(self)
    }

    /// Chooses the tests.
    ///
    /// # Errors
    /// [`ErrorCode::Argument`] for a value that the library does not know; [`ErrorCode::Busy`].
    pub fn set_tests(&mut self, tests: Tests) -> Result<&mut Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_tests(self.as_ptr(), tests.as_raw()) };
        accepted(code, || format!("tests {tests:?}"))?;
        Ok(self)
    }

    /// Sets the time allowed for a whole run, name resolution included: up to one hour. It counts
    /// in milliseconds, the last one begun included. [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT) if
    /// never set.
    ///
    /// # Errors
    /// [`ErrorCode::Argument`] for zero or more than one hour; [`ErrorCode::Busy`].
    pub fn set_timeout(&mut self, timeout: Duration) -> Result<&mut Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_timeout(self.as_ptr(), milliseconds(timeout)) };
        accepted(code, || format!("timeout {timeout:?}"))?;
        Ok(self)
    }

    /// Sets how long silence from every server must last until UDP is called blocked: up to one
    /// hour, and well above the longest round trip to expect.
    /// [`DEFAULT_RESPONSE_TIMEOUT`](crate::DEFAULT_RESPONSE_TIMEOUT) if never set.
    ///
    /// # Errors
    /// [`ErrorCode::Argument`] for zero or more than one hour; [`ErrorCode::Busy`].
    pub fn set_response_timeout(&mut self, timeout: Duration) -> Result<&mut Self, Error> {
        let ms = milliseconds(timeout);
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_response_timeout(self.as_ptr(), ms) };
        accepted(code, || format!("response timeout {timeout:?}"))?;
        Ok(self)
    }

    /// Sets a sink for log lines up to a level. It is called from within the methods that run the
    /// check.
    ///
    /// # Errors
    /// [`ErrorCode::Argument`] for a level that the library does not know; [`ErrorCode::Busy`].
    pub fn set_log(
        &mut self,
        level: LogLevel,
        log: impl FnMut(LogLevel, &str) + Send + 'static,
    ) -> Result<&mut Self, Error> {
        let user = self.callbacks.as_ptr().cast();
        // SAFETY: the probe is alive; the closure is kept as long as it is.
        let code = unsafe {
            sys::np_probe_set_log(self.as_ptr(), Some(callbacks::log), user, level.as_raw())
        };
        accepted(code, || format!("log level {level:?}"))?;
        self.callbacks().log = Some(Box::new(log));
        Ok(self)
    }

    /// Turns logging off.
    ///
    /// # Errors
    /// [`ErrorCode::Busy`].
    pub fn clear_log(&mut self) -> Result<&mut Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_log(self.as_ptr(), None, ptr::null_mut(), 0) };
        accepted(code, String::new)?;
        self.callbacks().log = None;
        Ok(self)
    }

    /// Sets a receiver of events: every request sent, every answer, every conclusion. It is called
    /// from within the methods that run the check.
    ///
    /// # Errors
    /// [`ErrorCode::Busy`].
    pub fn set_events(
        &mut self,
        on_event: impl FnMut(&Event) + Send + 'static,
    ) -> Result<&mut Self, Error> {
        let user = self.callbacks.as_ptr().cast();
        // SAFETY: the probe is alive; the closure is kept as long as it is.
        let code =
            unsafe { sys::np_probe_set_events(self.as_ptr(), Some(callbacks::on_event), user) };
        accepted(code, String::new)?;
        self.callbacks().on_event = Some(Box::new(on_event));
        Ok(self)
    }

    /// Turns events off.
    ///
    /// # Errors
    /// [`ErrorCode::Busy`].
    pub fn clear_events(&mut self) -> Result<&mut Self, Error> {
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_events(self.as_ptr(), None, ptr::null_mut()) };
        accepted(code, String::new)?;
        self.callbacks().on_event = None;
        Ok(self)
    }

    /// Runs the check and blocks until it is done, cancelled or out of time.
    ///
    /// # Errors
    /// Why there is no verdict, with what is known all the same.
    pub fn run(&mut self) -> Result<Verdict, Error> {
        let raw = self.as_ptr();
        self.callbacks().blocked = raw;
        // SAFETY: the probe is alive, and nothing but cancellers can use it meanwhile.
        let (code, outcome) = call_with_result(|result| unsafe { sys::np_probe_run(raw, result) });
        self.callbacks().blocked = ptr::null_mut();
        if self.callbacks().has_panicked() && code != sys::NP_ERR_CANCELLED {
            self.spend_cancellation();
        }
        self.callbacks().resume_panic();
        outcome
    }

    /// Begins a check without blocking, for an event loop: see [`Running`], also for a check that
    /// owns its probe.
    ///
    /// # Errors
    /// [`ErrorCode::System`] without descriptors left; [`ErrorCode::NoMemory`]; [`ErrorCode::Busy`]
    /// when the guard of the check before was leaked.
    pub fn start(&mut self) -> Result<Running<&mut Self>, Error> {
        Running::start(self)
    }

    /// What makes a run end from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.handle))
    }

    /// The C handle, for what this crate does not do. It is good as long as the probe. Who replaces
    /// a callback there takes it from the closure here.
    #[must_use]
    pub fn as_ptr(&self) -> *mut sys::np_probe {
        self.raw.as_ptr()
    }

    /// The closures. Not to be held while the library is called.
    pub(crate) fn callbacks(&mut self) -> &mut Callbacks<'static> {
        // SAFETY: alive as long as the probe; the library uses them during its calls only, and
        // there is one thread.
        unsafe { self.callbacks.as_mut() }
    }

    fn forget_socket(&mut self) {
        self.socket = None;
        self.callbacks().on_datagram = None;
    }

    /// A panic in the last moments of a run cancels it too late, and that would be for the next one:
    /// this is the next one. Cancelled from the beginning it sends nothing, and ends at once.
    fn spend_cancellation(&mut self) {
        let raw = self.as_ptr();
        // SAFETY: the probe is alive.
        unsafe { sys::np_probe_cancel(raw) };
        // SAFETY: as above.
        if unsafe { sys::np_probe_start(raw) } == sys::NP_OK {
            // SAFETY: as above.
            let _ = call_with_result(|result| unsafe { sys::np_probe_process(raw, result) });
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // From here on no canceller can reach the handle. The lock is not held while the library
        // may call closures.
        *self.handle.lock() = None;
        // SAFETY: nothing uses the handle any more, and the closures not after that.
        unsafe {
            sys::np_probe_free(self.as_ptr());
            drop(Box::from_raw(self.callbacks.as_ptr()));
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.raw).finish()
    }
}

impl Handle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<CancelPointer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cancels the runs of one [`Probe`], from any thread and at any time; when the probe is gone it
/// does nothing.
///
/// It takes a lock for a moment, and so is not for signal handlers proper, but for the threads or
/// tasks to which crates hand signals.
#[derive(Clone)]
pub struct Canceller(Arc<Handle>);

impl Canceller {
    /// Makes the run in progress, or the next one if there is none, end with
    /// [`ErrorCode::Cancelled`] at once. Just when a run has ended by itself that is the next one; who
    /// does not want that takes a new probe.
    pub fn cancel(&self) {
        if let Some(pointer) = &*self.0.lock() {
            // SAFETY: the handle is freed by none that has not taken it from under this lock
            // before.
            unsafe { sys::np_probe_cancel(pointer.0.as_ptr()) };
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}

/// Finds out the NAT type with the built-in public servers.
///
/// `ip` is the local address to check from; `None` is any of IPv4, `::` checks IPv6. `port` is the
/// local UDP port, 0 any free one. Blocks for a few round trips, at most
/// [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT).
///
/// # Errors
/// Why there is no verdict, with what is known all the same.
pub fn check_nat(ip: Option<IpAddr>, port: u16) -> Result<Verdict, Error> {
    let text = ip.map(ip_text);
    // SAFETY: the text is NULL or terminated.
    outcome(|result| unsafe { sys::np_check_nat(pointer(&text), port, result) })
}

/// As [`check_nat`], and logs the outcome: the type, the external address, and whether hole
/// punching is likely to work at [`LogLevel::Info`], failures at [`LogLevel::Error`].
///
/// # Errors
/// Why there is no verdict; the log has the details.
pub fn check_nat_and_log(
    ip: Option<IpAddr>,
    port: u16,
    log: impl FnMut(LogLevel, &str),
) -> Result<(), Error> {
    let text = ip.map(ip_text);
    let mut callbacks = Callbacks::new();
    callbacks.log = Some(Box::new(log));
    let user: *mut Callbacks = &mut callbacks;
    // SAFETY: the text is NULL or terminated; the closure outlives the call, in which alone it is
    // used.
    let code = unsafe {
        sys::np_check_nat_and_log(pointer(&text), port, Some(callbacks::log), user.cast())
    };
    callbacks.resume_panic();
    accepted(code, String::new)
}

/// As [`check_nat_and_log`], with the log written to the standard error stream.
///
/// # Errors
/// Why there is no verdict; the log has the details.
pub fn check_nat_and_print(ip: Option<IpAddr>, port: u16) -> Result<(), Error> {
    let text = ip.map(ip_text);
    // SAFETY: the text is NULL or terminated.
    let code = unsafe { sys::np_check_nat_and_log(pointer(&text), port, None, ptr::null_mut()) };
    accepted(code, String::new)
}

fn ip_text(ip: IpAddr) -> CString {
    CString::new(ip.to_string()).expect("an address has no NUL")
}

/// The text as C wants it, NULL without one.
fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// So that the shortest time is not none, and the longest is refused.
fn milliseconds(time: Duration) -> u32 {
    let ms = (time.as_nanos() + 999_999) / 1_000_000;
    u32::try_from(ms).unwrap_or(u32::MAX)
}

/// What a call without a result comes to.
pub(crate) fn accepted(code: c_int, detail: impl FnOnce() -> String) -> Result<(), Error> {
    if code == sys::NP_OK {
        Ok(())
    } else {
        Err(Error::new(ErrorCode::from_raw(code), detail()))
    }
}

/// What a call that fills a result comes to.
fn outcome(call: impl FnOnce(*mut sys::np_result) -> c_int) -> Result<Verdict, Error> {
    call_with_result(call).1
}

/// As [`outcome`], with the code that was returned.
pub(crate) fn call_with_result(
    call: impl FnOnce(*mut sys::np_result) -> c_int,
) -> (c_int, Result<Verdict, Error>) {
    let mut result = MaybeUninit::<sys::np_result>::zeroed();
    let code = call(result.as_mut_ptr());
    // SAFETY: any bytes are a result, zeros too, and the library writes all of them.
    let result = unsafe { result.assume_init() };
    let outcome = if code == sys::NP_OK {
        Ok(Verdict::from_raw(&result))
    } else {
        Err(Error::from_result(&result))
    };
    (code, outcome)
}
