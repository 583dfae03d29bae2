// SPDX-License-Identifier: MIT
//! Where Unix and Windows differ: sockets, and what is waited for.

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

#[cfg(unix)]
mod unix {
    pub(crate) use libc::{sockaddr, sockaddr_in, sockaddr_in6, AF_INET, AF_INET6};
    use std::os::unix::io::{AsRawFd, RawFd};

    pub(crate) use std::os::unix::io::AsFd as AsSocket;

    use natprobe_sys as sys;

    /// A descriptor.
    pub(crate) type Waitable = RawFd;

    pub(crate) fn raw_socket(socket: &dyn AsSocket) -> sys::np_socket {
        socket.as_fd().as_raw_fd()
    }

    /// # Safety
    /// The probe is alive.
    pub(crate) unsafe fn waitable(probe: *const sys::np_probe) -> Waitable {
        // SAFETY: as required.
        unsafe { sys::np_probe_fd(probe) }
    }

    /// # Safety
    /// The watch is alive.
    pub(crate) unsafe fn watch_waitable(watch: *const sys::np_watch) -> Waitable {
        // SAFETY: as required.
        unsafe { sys::np_watch_fd(watch) }
    }

    /// A failure, such as a signal, counts as ready: there is no harm in trying.
    pub(crate) fn is_ready(fd: Waitable, forever: bool) -> bool {
        let mut fd = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one descriptor, which is good as long as the probe.
        unsafe { libc::poll(&mut fd, 1, if forever { -1 } else { 0 }) != 0 }
    }

    pub(crate) fn ipv4_of(address: &sockaddr_in) -> u32 {
        u32::from_be(address.sin_addr.s_addr)
    }

    pub(crate) fn ipv6_of(address: &sockaddr_in6) -> [u8; 16] {
        address.sin6_addr.s6_addr
    }
}

#[cfg(windows)]
#[allow(non_camel_case_types)]
mod windows {
    use std::os::raw::{c_int, c_void};
    use std::os::windows::io::AsRawSocket;

    pub(crate) use libc::sockaddr;
    pub(crate) use std::os::windows::io::AsSocket;

    use natprobe_sys as sys;

    pub(crate) const AF_INET: c_int = 2;
    pub(crate) const AF_INET6: c_int = 23;
    const INFINITE: u32 = u32::MAX;
    const WAIT_TIMEOUT: u32 = 258;

    /// A handle, as a number: other threads may have it too.
    pub(crate) type Waitable = usize;

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub(crate) struct sockaddr_in {
        pub(crate) sin_family: u16,
        pub(crate) sin_port: u16,
        pub(crate) sin_addr: u32,
        pub(crate) sin_zero: [u8; 8],
    }

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub(crate) struct sockaddr_in6 {
        pub(crate) sin6_family: u16,
        pub(crate) sin6_port: u16,
        pub(crate) sin6_flowinfo: u32,
        pub(crate) sin6_addr: [u8; 16],
        pub(crate) sin6_scope_id: u32,
    }

    #[link(name = "kernel32")]
    extern "system" {
        fn WaitForSingleObject(handle: *mut c_void, milliseconds: u32) -> u32;
    }

    pub(crate) fn raw_socket(socket: &dyn AsSocket) -> sys::np_socket {
        socket.as_socket().as_raw_socket() as sys::np_socket
    }

    /// # Safety
    /// The probe is alive.
    pub(crate) unsafe fn waitable(probe: *const sys::np_probe) -> Waitable {
        // SAFETY: as required.
        unsafe { sys::np_probe_wait_handle(probe) as usize }
    }

    /// # Safety
    /// The watch is alive.
    pub(crate) unsafe fn watch_waitable(watch: *const sys::np_watch) -> Waitable {
        // SAFETY: as required.
        unsafe { sys::np_watch_wait_handle(watch) as usize }
    }

    /// A failure counts as ready: there is no harm in trying.
    pub(crate) fn is_ready(handle: Waitable, forever: bool) -> bool {
        let milliseconds = if forever { INFINITE } else { 0 };
        // SAFETY: the handle is good as long as the probe.
        unsafe { WaitForSingleObject(handle as *mut c_void, milliseconds) != WAIT_TIMEOUT }
    }

    pub(crate) fn ipv4_of(address: &sockaddr_in) -> u32 {
        u32::from_be(address.sin_addr)
    }

    pub(crate) fn ipv6_of(address: &sockaddr_in6) -> [u8; 16] {
        address.sin6_addr
    }
}
