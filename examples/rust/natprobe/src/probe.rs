// SPDX-License-Identifier: MIT
//! A probe: settings, a run that blocks, cancelling.

use std::ffi::CString;
use std::fmt;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::process;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use libc::{c_char, c_int, c_void};
use natprobe_sys as sys;

use crate::callbacks::{self, Callbacks};
use crate::system::{self, AsSocket};
use crate::{Error, ErrorKind, Event, Family, LogLevel, NatResult, Running, Tests};

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
///     .set_tests(natprobe::Tests::MAPPING)?
///     .set_timeout(Duration::from_secs(3))?;
/// println!("mapping: {}", probe.run()?.mapping);
/// # Ok(())
/// # }
/// ```
///
/// # Threads and processes
///
/// A probe is [`Send`] and [`Sync`]: the library keeps nothing that belongs to a thread, the closures
/// that a probe is given have to be `Send`, and whatever uses the library takes `&mut self`. What
/// another thread may do at any time, cancel, is apart: [`Canceller`].
///
/// After `fork()` a probe belongs to the parent. In the child every call on it is an
/// [`ErrorKind::Argument`], and dropping it frees nothing.
///
/// # Panics in closures
///
/// When a closure panics the check is over, and the panic goes on from the method that was running
/// it. Only where a check is given up by dropping it does the panic go no further: the panic hook has
/// reported it.
pub struct Probe {
    raw: NonNull<sys::np_probe>,
    /// Made by `Box`; the library holds pointers to it as well, so that it must not be a `Box` or a
    /// reference here.
    callbacks: NonNull<Callbacks<'static>>,
    /// The caller's. Each run asks it for its descriptor, which the library duplicates for that run.
    socket: Option<Weak<Socket>>,
    handle: Arc<Handle>,
    /// A watch has taken the library's probe over, and frees it.
    is_given_away: bool,
}

pub(crate) type Socket = dyn AsSocket + Send + Sync;

// SAFETY: the library binds nothing to a thread, and the setters take only closures that are Send.
unsafe impl Send for Probe {}

// SAFETY: through a shared reference the library is not called, nor are the closures; the number of
// the handle can be read.
unsafe impl Sync for Probe {}

/// What a probe shares with its cancellers.
struct Handle {
    /// None once the probe is gone.
    probe: Mutex<Option<CancelPointer>>,
    /// The process that made the probe.
    owner: u32,
}

struct CancelPointer(NonNull<sys::np_probe>);

// SAFETY: nothing is done with it but np_probe_cancel(), which any thread may call.
unsafe impl Send for CancelPointer {}

impl Probe {
    /// A probe with the defaults: built-in public servers, any source address, all tests, 10
    /// seconds.
    ///
    /// # Errors
    /// [`ErrorKind::NoMemory`].
    pub fn new() -> Result<Self, Error> {
        // SAFETY: takes nothing.
        let raw = NonNull::new(unsafe { sys::np_probe_new() })
            .ok_or_else(|| Error::new(ErrorKind::NoMemory, ""))?;
        let callbacks = Box::new(Callbacks::new(raw.as_ptr()));
        Ok(Self {
            raw,
            callbacks: NonNull::from(Box::leak(callbacks)),
            socket: None,
            handle: Arc::new(Handle {
                probe: Mutex::new(Some(CancelPointer(raw))),
                owner: process::id(),
            }),
            is_given_away: false,
        })
    }

    /// Sets the local address and port to check from: `None` is any address, of either family, and 0
    /// any free port. Takes back [`set_socket`](Self::set_socket). A link-local address needs its
    /// interface as well: [`set_source_addr`](Self::set_source_addr).
    ///
    /// # Errors
    /// [`ErrorKind::Busy`]. The run tells whether this host has the address, and whether the port is
    /// free.
    pub fn set_source(&mut self, ip: Option<IpAddr>, port: u16) -> Result<&mut Self, Error> {
        self.set_source_text(ip.map(|ip| ip_text(&ip)), port)
    }

    /// As [`set_source`](Self::set_source), with a whole address. A link-local one has the index of its
    /// interface as its scope: "\[fe80::1%2\]:0".
    ///
    /// # Errors
    /// As [`set_source`](Self::set_source); [`ErrorKind::Argument`] for a scope that the address
    /// cannot have.
    pub fn set_source_addr(&mut self, addr: impl Into<SocketAddr>) -> Result<&mut Self, Error> {
        let addr = addr.into();
        let text = match addr {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                ip_text(&format_args!("{}%{}", v6.ip(), v6.scope_id()))
            }
            _ => ip_text(&addr.ip()),
        };
        self.set_source_text(Some(text), addr.port())
    }

    fn set_source_text(&mut self, ip: Option<CString>, port: u16) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive; the text is NULL or terminated, and is copied.
        let code = unsafe { sys::np_probe_set_source(raw, pointer(&ip), port) };
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
    /// The probe does not keep the socket open: each run works on a duplicate, which is closed at its
    /// end. When the caller has dropped the socket, the port is free as soon as no check goes on, and
    /// later runs are an [`ErrorKind::Argument`] until [`clear_socket`](Self::clear_socket),
    /// [`set_source`](Self::set_source) or another socket.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for anything else than such a socket; [`ErrorKind::Busy`].
    pub fn set_socket<S: AsSocket + Send + Sync + 'static>(
        &mut self,
        socket: &Arc<S>,
        on_datagram: impl FnMut(&[u8], SocketAddr) + Send + 'static,
    ) -> Result<&mut Self, Error> {
        self.use_socket(&**socket)?;
        let socket = Arc::downgrade(socket);
        self.socket = Some(socket);
        self.callbacks().on_datagram = Some(Box::new(on_datagram));
        Ok(self)
    }

    /// Takes [`set_socket`](Self::set_socket) back.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub fn clear_socket(&mut self) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code =
            unsafe { sys::np_probe_set_socket(raw, sys::NP_INVALID_SOCKET, None, ptr::null_mut()) };
        accepted(code, String::new)?;
        self.forget_socket();
        Ok(self)
    }

    /// Chooses the network interface that the library's own sockets use, such as "eth0", whatever the
    /// routing table prefers. It holds beside [`set_source`](Self::set_source), and not for the
    /// resolution of names. A socket of the caller's ([`set_socket`](Self::set_socket)) has its own
    /// interface.
    ///
    /// The run tells whether there is such an interface, and whether the process may choose it: the
    /// error is [`ErrorKind::AddressNotAvailable`] if there is none, and [`ErrorKind::System`] if the
    /// choice needs privileges, or the system has no such choice.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for an empty name, or one longer than any interface's;
    /// [`ErrorKind::Busy`].
    pub fn set_interface(&mut self, name: &str) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        let text = c_text("interface", name)?;
        // SAFETY: the probe is alive; the text is terminated, and is copied.
        let code = unsafe { sys::np_probe_set_interface(raw, text.as_ptr()) };
        accepted(code, || format!("interface {name:?}"))?;
        Ok(self)
    }

    /// Takes [`set_interface`](Self::set_interface) back.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub fn clear_interface(&mut self) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_interface(raw, ptr::null()) };
        accepted(code, String::new)?;
        Ok(self)
    }

    /// Adds a server; the first one added replaces the built-in list. The order is kept: the first
    /// is asked first.
    ///
    /// `server` is "HOST", "HOST:PORT", "IPv4", "IPv4:PORT", "IPv6", "\[IPv6\]", "\[IPv6\]:PORT" or a
    /// "stun:" URI (RFC 7064). Without a port it is 3478.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for anything else; [`ErrorKind::Limit`] for more than
    /// [`MAX_SERVERS`](crate::MAX_SERVERS); [`ErrorKind::Busy`].
    pub fn add_server(&mut self, server: &str) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        let text = c_text("server", server)?;
        // SAFETY: the probe is alive; the text is terminated, and is copied.
        let code = unsafe { sys::np_probe_add_server(raw, text.as_ptr()) };
        accepted(code, || format!("server {server:?}"))?;
        Ok(self)
    }

    /// Forgets the servers added: the built-in list is used again.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub fn clear_servers(&mut self) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_clear_servers(raw) };
        accepted(code, String::new)?;
        Ok(self)
    }

    /// Chooses the address family.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a value that the library does not know; [`ErrorKind::Busy`].
    pub fn set_family(&mut self, family: Family) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_family(raw, family.as_raw()) };
        accepted(code, || format!("family {family:?}"))?;
        Ok(self)
    }

    /// Chooses the tests; [`Tests::DEFAULT`] if never set.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for an empty set, or a bit that the library does not know;
    /// [`ErrorKind::Busy`].
    pub fn set_tests(&mut self, tests: Tests) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_tests(raw, tests.bits()) };
        accepted(code, || format!("tests {tests:?}"))?;
        Ok(self)
    }

    /// Sets the time allowed for a whole run, name resolution included: up to one hour. It counts
    /// in milliseconds, the last one begun included. [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT) if
    /// never set.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for zero or more than one hour; [`ErrorKind::Busy`].
    pub fn set_timeout(&mut self, timeout: Duration) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_timeout(raw, milliseconds(timeout)) };
        accepted(code, || format!("timeout {timeout:?}"))?;
        Ok(self)
    }

    /// Sets the longest idle time that [`Tests::LIFETIME`] tries: up to one hour, in whole seconds,
    /// the last one begun included. Such a run takes so much longer.
    /// [`DEFAULT_LIFETIME_LIMIT`](crate::DEFAULT_LIFETIME_LIMIT) if never set.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for zero or more than one hour; [`ErrorKind::Busy`].
    pub fn set_lifetime_limit(&mut self, limit: Duration) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        let begun = u64::from(limit.subsec_nanos() > 0);
        let seconds = u32::try_from(limit.as_secs().saturating_add(begun)).unwrap_or(u32::MAX);
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_lifetime_limit(raw, seconds) };
        accepted(code, || format!("lifetime limit {limit:?}"))?;
        Ok(self)
    }

    /// Sets how long silence from every server must last until UDP is called blocked
    /// ([`NatType::UdpBlocked`](crate::NatType::UdpBlocked)): up to one hour, and well above the
    /// longest round trip to expect. If it is not shorter than the time allowed for the run, a silent run
    /// ends at that time, and the type is unknown.
    ///
    /// If it is never set it is [`DEFAULT_RESPONSE_TIMEOUT`](crate::DEFAULT_RESPONSE_TIMEOUT), or
    /// three tenths of the time allowed for the run if that is longer.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for zero or more than one hour; [`ErrorKind::Busy`].
    pub fn set_response_timeout(&mut self, timeout: Duration) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        let ms = milliseconds(timeout);
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_response_timeout(raw, ms) };
        accepted(code, || format!("response timeout {timeout:?}"))?;
        Ok(self)
    }

    /// Sets a sink for log lines up to a level. It is called from within the methods that run the
    /// check.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] for a level that the library does not know; [`ErrorKind::Busy`].
    pub fn set_log(
        &mut self,
        level: LogLevel,
        log: impl FnMut(LogLevel, &str) + Send + 'static,
    ) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        let user = self.callbacks.as_ptr().cast();
        // SAFETY: the probe is alive; the closure is kept as long as it is.
        let code =
            unsafe { sys::np_probe_set_log(raw, level.as_raw(), Some(callbacks::log), user) };
        accepted(code, || format!("log level {level:?}"))?;
        self.callbacks().log = Some(Box::new(log));
        Ok(self)
    }

    /// Turns logging off.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub fn clear_log(&mut self) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_log(raw, 0, None, ptr::null_mut()) };
        accepted(code, String::new)?;
        self.callbacks().log = None;
        Ok(self)
    }

    /// Sets a receiver of events: every request sent, every answer, every conclusion. It is called
    /// from within the methods that run the check.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub fn set_events(
        &mut self,
        on_event: impl FnMut(&Event) + Send + 'static,
    ) -> Result<&mut Self, Error> {
        self.watch_events()?;
        self.callbacks().on_event = Some(Box::new(on_event));
        Ok(self)
    }

    pub(crate) fn watch_events(&mut self) -> Result<(), Error> {
        let raw = self.owned()?;
        let user = self.callbacks.as_ptr().cast();
        // SAFETY: the probe is alive; the closures are kept as long as it is.
        let code = unsafe { sys::np_probe_set_events(raw, Some(callbacks::on_event), user) };
        accepted(code, String::new)
    }

    /// Turns events off.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub fn clear_events(&mut self) -> Result<&mut Self, Error> {
        let raw = self.owned()?;
        // SAFETY: the probe is alive.
        let code = unsafe { sys::np_probe_set_events(raw, None, ptr::null_mut()) };
        accepted(code, String::new)?;
        self.callbacks().on_event = None;
        Ok(self)
    }

    /// Runs the check and blocks until it is done, cancelled or out of time.
    ///
    /// # Errors
    /// Why there is no result, with what is known all the same.
    pub fn run(&mut self) -> Result<NatResult, Error> {
        let raw = self.owned()?;
        let lent = self.prepare()?;
        // SAFETY: the probe is alive, and nothing but cancellers can use it meanwhile; the socket is
        // lent while it is duplicated.
        let outcome = outcome_of(|result| unsafe { sys::np_probe_run(raw, result) });
        drop(lent);
        self.callbacks().resume_panic();
        finished(outcome)
    }

    /// Begins a check without blocking, for an event loop: see [`Running`], also for a check that
    /// owns its probe.
    ///
    /// # Errors
    /// [`ErrorKind::System`] without descriptors left; [`ErrorKind::NoMemory`]; [`ErrorKind::Busy`]
    /// when the guard of the check before was leaked.
    pub fn start(&mut self) -> Result<Running<&mut Self>, Error> {
        Running::start(self)
    }

    /// What makes a run end from elsewhere.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.handle))
    }

    /// The C handle, an `np_probe *`, for what this crate does not do. It is good as long as the
    /// probe. Who replaces a callback there takes it from the closure here.
    #[must_use]
    pub fn as_ptr(&self) -> *mut c_void {
        self.raw.as_ptr().cast()
    }

    /// The C handle, unless it is the parent's: a call in a forked child would disturb its checks.
    pub(crate) fn owned(&self) -> Result<*mut sys::np_probe, Error> {
        if self.handle.is_ours() {
            Ok(self.raw.as_ptr())
        } else {
            let detail = "the probe belongs to the process that this one was forked from";
            Err(Error::new(ErrorKind::Argument, detail))
        }
    }

    /// The closures. Not to be held while the library is called.
    pub(crate) fn callbacks(&mut self) -> &mut Callbacks<'static> {
        // SAFETY: alive as long as the probe; the library uses them during its calls only, and
        // there is one thread.
        unsafe { self.callbacks.as_mut() }
    }

    /// Before each run. Gives the library the caller's socket, which is kept open until it has been
    /// duplicated: until what this returns is dropped.
    pub(crate) fn prepare(&mut self) -> Result<Option<Arc<Socket>>, Error> {
        self.callbacks().begin();
        let socket = match &self.socket {
            Some(socket) => socket.upgrade(),
            None => return Ok(None),
        };
        let socket =
            socket.ok_or_else(|| Error::new(ErrorKind::Argument, "the socket has been closed"))?;
        self.use_socket(&*socket)?;
        Ok(Some(socket))
    }

    fn use_socket(&mut self, socket: &dyn AsSocket) -> Result<(), Error> {
        let raw = self.owned()?;
        let user = self.callbacks.as_ptr().cast();
        let fd = system::raw_socket(socket);
        // SAFETY: the probe is alive, and the closure as long; before a run uses the descriptor it
        // is set again.
        let code = unsafe { sys::np_probe_set_socket(raw, fd, Some(callbacks::on_datagram), user) };
        accepted(code, || {
            "the socket is not one of UDP, bound and not connected".into()
        })
    }

    /// From here on the library's probe is a watch's: no canceller reaches it, and nobody frees it here.
    pub(crate) fn give_away(&mut self) {
        *self.handle.lock() = None;
        self.is_given_away = true;
    }

    fn forget_socket(&mut self) {
        self.socket = None;
        self.callbacks().on_datagram = None;
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.handle.is_ours() {
            return; // the library may still call what it was given: it is the parent's, as a whole
        }
        // From here on no canceller can reach the handle. The lock is not held while the library
        // may call closures.
        *self.handle.lock() = None;
        // SAFETY: nothing uses the handle any more, and the closures not after that.
        let mut callbacks = unsafe {
            if !self.is_given_away {
                sys::np_probe_free(self.raw.as_ptr());
            }
            Box::from_raw(self.callbacks.as_ptr())
        };
        callbacks.forget_panic();
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.raw).finish()
    }
}

impl Handle {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<CancelPointer>> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ours(&self) -> bool {
        self.owner == process::id()
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
    /// Ends the run in progress with [`ErrorKind::Cancelled`] at once. A run that has its result
    /// already ends with that. Without a run, and in a forked child, it does nothing: no later run is
    /// ended by it.
    ///
    /// [`Probe::run`] is in progress from its call on, and a cancel that comes earlier is lost. If it may
    /// come earlier, [start](Probe::start) the check first, and [wait](Running::wait) for it.
    pub fn cancel(&self) {
        if !self.0.is_ours() {
            return;
        }
        if let Some(pointer) = &*self.0.lock() {
            // SAFETY: the handle is freed only after it has been taken out from under this lock.
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
/// `ip` is the local address to check from; `None` is any: of IPv4 and, where that has no route, no
/// server or no answer, of IPv6. `::` checks IPv6. `port` is the local UDP port, 0 any free one. Blocks for a few round trips, at most
/// [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT).
///
/// # Errors
/// Why there is no result, with what is known all the same.
pub fn check_nat(ip: Option<IpAddr>, port: u16) -> Result<NatResult, Error> {
    let text = ip.map(|ip| ip_text(&ip));
    // SAFETY: the text is NULL or terminated.
    finished(outcome_of(|result| unsafe {
        sys::np_check_nat(pointer(&text), port, result)
    }))
}

/// As [`check_nat`], and logs the outcome: the type, the external address, and whether hole
/// punching is likely to work at [`LogLevel::Info`], failures at [`LogLevel::Error`].
///
/// # Errors
/// Why there is no result, with what is known all the same.
pub fn check_nat_and_log(
    ip: Option<IpAddr>,
    port: u16,
    log: impl FnMut(LogLevel, &str),
) -> Result<NatResult, Error> {
    let text = ip.map(|ip| ip_text(&ip));
    let mut callbacks = Callbacks::new(ptr::null_mut());
    callbacks.log = Some(Box::new(log));
    let user: *mut Callbacks = &mut callbacks;
    // SAFETY: the text is NULL or terminated; the closure outlives the call, in which alone it is
    // used.
    let outcome = outcome_of(|result| unsafe {
        sys::np_check_nat_and_log(
            pointer(&text),
            port,
            result,
            Some(callbacks::log),
            user.cast(),
        )
    });
    callbacks.resume_panic();
    finished(outcome)
}

/// As [`check_nat_and_log`], with the log written to the standard error stream.
///
/// # Errors
/// Why there is no result, with what is known all the same.
pub fn check_nat_and_print(ip: Option<IpAddr>, port: u16) -> Result<NatResult, Error> {
    let text = ip.map(|ip| ip_text(&ip));
    // SAFETY: the text is NULL or terminated.
    finished(outcome_of(|result| unsafe {
        sys::np_check_nat_and_log(pointer(&text), port, result, None, ptr::null_mut())
    }))
}

/// Checks over IPv4 and over IPv6 at the same time, each from any address and port, with the built-in
/// servers. Returns what each came to, first IPv4. It takes as long as the slower check. Each has the
/// time and the outcome that it would have alone: if one family is missing or silent, the other
/// stands.
///
/// For other settings run two [`Probe`]s, each with its [`Family`], in two threads or in one event
/// loop.
pub fn check_nat_dual() -> (Result<NatResult, Error>, Result<NatResult, Error>) {
    let mut ipv4 = MaybeUninit::<sys::np_result>::zeroed();
    let mut ipv6 = MaybeUninit::<sys::np_result>::zeroed();
    // SAFETY: both results are there to be written, and are not the same. The code is that of one of
    // them, and each has its own.
    unsafe { sys::np_check_nat_dual(ipv4.as_mut_ptr(), ipv6.as_mut_ptr()) };
    // SAFETY: any bytes are a result, zeros too.
    let (ipv4, ipv6) = unsafe { (ipv4.assume_init(), ipv6.assume_init()) };
    (own_outcome(&ipv4), own_outcome(&ipv6))
}

/// What a whole result says it came to.
fn own_outcome(result: &sys::np_result) -> Result<NatResult, Error> {
    match ErrorKind::from_raw(result.error) {
        Some(kind) => Err(Error::from_result(kind, result)),
        None => Ok(NatResult::from_raw(result)),
    }
}

fn c_text(what: &str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::new(ErrorKind::Argument, format!("{what} {text:?}")))
}

fn ip_text(ip: &impl ToString) -> CString {
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
        return Ok(());
    }
    let kind = ErrorKind::from_raw(code).unwrap_or(ErrorKind::Other(code));
    Err(Error::new(kind, detail()))
}

/// What a call that fills a result comes to; pending while the check goes on.
pub(crate) fn outcome_of(
    call: impl FnOnce(*mut sys::np_result) -> c_int,
) -> Poll<Result<NatResult, Error>> {
    let mut result = MaybeUninit::<sys::np_result>::zeroed();
    let code = call(result.as_mut_ptr());
    // SAFETY: any bytes are a result, zeros too.
    let result = unsafe { result.assume_init() };
    match (code, ErrorKind::from_raw(code)) {
        (sys::NP_PENDING, _) => Poll::Pending,
        (_, Some(kind)) => Poll::Ready(Err(Error::from_result(kind, &result))),
        (_, None) => Poll::Ready(Ok(NatResult::from_raw(&result))),
    }
}

/// Of a call that does not return before the end.
fn finished(outcome: Poll<Result<NatResult, Error>>) -> Result<NatResult, Error> {
    match outcome {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Error::new(ErrorKind::Busy, "the check goes on")),
    }
}
