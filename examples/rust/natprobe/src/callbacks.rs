// SPDX-License-Identifier: MIT
//! The caller's closures, and the C functions through which the library calls them.

use std::any::Any;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr;

use libc::{c_char, c_void};
use natprobe_sys as sys;

use crate::system::{self, sockaddr, sockaddr_in, sockaddr_in6, AF_INET, AF_INET6};
use crate::{Event, LogLevel};

// Those of a probe are Send, too: its setters ask for it.
type Log<'a> = Box<dyn FnMut(LogLevel, &str) + 'a>;
type OnEvent = Box<dyn FnMut(&Event)>;
type OnDatagram = Box<dyn FnMut(&[u8], SocketAddr)>;

/// What the library's `user` pointers point to.
pub(crate) struct Callbacks<'a> {
    pub(crate) log: Option<Log<'a>>,
    pub(crate) on_event: Option<OnEvent>,
    pub(crate) on_datagram: Option<OnDatagram>,
    /// Events that wait for somebody who asks for them, if anybody does.
    pub(crate) queue: Option<VecDeque<Event>>,
    /// Whether they do for the run to come.
    pub(crate) queue_next_run: bool,
    /// The first of closures, kept until the library has returned: to unwind through it would be
    /// undefined behaviour.
    panic: Option<Box<dyn Any + Send>>,
    /// Nothing is logged or told after a panic.
    muted: bool,
    /// What a panic cancels; null where there is nothing to cancel.
    probe: *mut sys::np_probe,
}

impl Callbacks<'_> {
    /// `probe` is null, or lives as long as the library may call.
    pub(crate) fn new(probe: *mut sys::np_probe) -> Self {
        Self {
            log: None,
            on_event: None,
            on_datagram: None,
            queue: None,
            queue_next_run: false,
            panic: None,
            muted: false,
            probe,
        }
    }

    /// Before each run.
    pub(crate) fn begin(&mut self) {
        self.queue = mem::take(&mut self.queue_next_run).then(VecDeque::new);
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panic.is_some()
    }

    /// Goes on with the panic of a closure, if there was one, now that the library has returned.
    pub(crate) fn resume_panic(&mut self) {
        self.muted = false;
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
    }

    /// Before the library is called during a panic: closures that tell are left alone.
    pub(crate) fn mute(&mut self) {
        self.muted = true;
    }

    /// Instead of going on with it, where nothing may panic. The panic hook has reported it.
    pub(crate) fn forget_panic(&mut self) {
        self.muted = false;
        discard(self.panic.take());
    }

    /// Calls a closure, and keeps its panic.
    fn call(&mut self, call: impl FnOnce(&mut Self)) {
        // Unwind safety: the closures are the caller's, who gets the panic in the end.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| call(self))) {
            self.muted = true;
            if self.panic.is_none() {
                self.panic = Some(panic);
            } else {
                discard(Some(panic));
            }
            // SAFETY: null, or the probe that is calling, which allows it at any time.
            unsafe { sys::np_probe_cancel(self.probe) };
        }
    }
}

/// What a panic was thrown with may itself panic when it is dropped, and so on: what is left then is
/// never dropped.
fn discard(mut panic: Option<Box<dyn Any + Send>>) {
    for _ in 0..2 {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(another) => panic = Some(another),
        }
    }
    mem::forget(panic);
}

/// # Safety
/// `user` points to [`Callbacks`] that nothing else uses at the moment, and `message` to a
/// terminated text.
pub(crate) unsafe extern "C" fn log(level: i32, message: *const c_char, user: *mut c_void) {
    // SAFETY: as required.
    let (callbacks, message) = unsafe { (&mut *user.cast::<Callbacks>(), CStr::from_ptr(message)) };
    if callbacks.muted {
        return;
    }
    callbacks.call(|callbacks| {
        if let Some(log) = &mut callbacks.log {
            log(LogLevel::from_raw(level), &message.to_string_lossy());
        }
    });
}

/// # Safety
/// `user` points to [`Callbacks`] that nothing else uses at the moment, and `event` to an event.
pub(crate) unsafe extern "C" fn on_event(event: *const sys::np_event, user: *mut c_void) {
    // SAFETY: as required.
    let (callbacks, event) = unsafe { (&mut *user.cast::<Callbacks>(), &*event) };
    if callbacks.muted {
        return;
    }
    callbacks.call(|callbacks| {
        let event = Event::from_raw(event);
        if let Some(on_event) = &mut callbacks.on_event {
            on_event(&event);
        }
        if let Some(queue) = &mut callbacks.queue {
            queue.push_back(event);
        }
    });
}

/// Goes on after a panic: what came to the caller's socket is never dropped.
///
/// # Safety
/// `user` points to [`Callbacks`] that nothing else uses at the moment; `data` and `address` are of
/// the sizes given.
pub(crate) unsafe extern "C" fn on_datagram(
    data: *const c_void,
    size: usize,
    address: *const sockaddr,
    address_size: usize,
    user: *mut c_void,
) {
    // SAFETY: as required.
    let (callbacks, data, sender) = unsafe {
        (
            &mut *user.cast::<Callbacks>(),
            bytes(data.cast(), size),
            socket_addr(bytes(address.cast(), address_size)),
        )
    };
    callbacks.call(|callbacks| {
        if let (Some(on_datagram), Some(sender)) = (&mut callbacks.on_datagram, sender) {
            on_datagram(data, sender);
        }
    });
}

/// # Safety
/// `data` may be null when `size` is 0, and else points to so many bytes.
unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        return &[];
    }
    // SAFETY: as required.
    unsafe { std::slice::from_raw_parts(data, size) }
}

/// The address in a `struct sockaddr`. An UDP socket, and nothing else is accepted by the library,
/// has no others.
fn socket_addr(raw: &[u8]) -> Option<SocketAddr> {
    match libc::c_int::from(read::<sockaddr>(raw)?.sa_family) {
        AF_INET => {
            let raw = read::<sockaddr_in>(raw)?;
            let ip = Ipv4Addr::from(system::ipv4_of(&raw));
            Some(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
        }
        AF_INET6 => {
            let raw = read::<sockaddr_in6>(raw)?;
            let ip = Ipv6Addr::from(system::ipv6_of(&raw));
            let port = u16::from_be(raw.sin6_port);
            Some(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// One of the C structures whose members are all integers.
trait Plain: Copy {}
impl Plain for sockaddr {}
impl Plain for sockaddr_in {}
impl Plain for sockaddr_in6 {}

fn read<T: Plain>(raw: &[u8]) -> Option<T> {
    // SAFETY: there are enough bytes, and any will do for integers.
    (raw.len() >= mem::size_of::<T>()).then(|| unsafe { ptr::read_unaligned(raw.as_ptr().cast()) })
}
