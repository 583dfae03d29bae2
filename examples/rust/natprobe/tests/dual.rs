// SPDX-License-Identifier: MIT
//! Both families in one call. No name leaves this process.
#![cfg(target_os = "linux")]

use std::ptr;

use libc::{addrinfo, c_char, c_int, sockaddr, sockaddr_in};
use natprobe::{check_nat_dual, ErrorKind};

/// In place of the C library's own: each name has an IPv4 address, where nobody is, and no other.
///
/// # Safety
/// As `getaddrinfo`.
#[no_mangle]
pub unsafe extern "C" fn getaddrinfo(
    _node: *const c_char,
    _service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
) -> c_int {
    // SAFETY: the caller's pointers are valid; what is made here is freed below.
    unsafe {
        *found = ptr::null_mut();
        if (*hints).ai_family == libc::AF_INET6 {
            return libc::EAI_NONAME;
        }
        let mut address: sockaddr_in = std::mem::zeroed();
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_addr.s_addr = u32::from_ne_bytes([127, 66, 3, 4]);
        let mut info: addrinfo = std::mem::zeroed();
        info.ai_family = libc::AF_INET;
        info.ai_socktype = libc::SOCK_DGRAM;
        info.ai_addrlen = std::mem::size_of::<sockaddr_in>() as libc::socklen_t;
        info.ai_addr = Box::into_raw(Box::new(address)).cast::<sockaddr>();
        *found = Box::into_raw(Box::new(info));
    }
    0
}

/// # Safety
/// As `freeaddrinfo`, of what the above has made.
#[no_mangle]
pub unsafe extern "C" fn freeaddrinfo(list: *mut addrinfo) {
    // SAFETY: both were made by Box.
    unsafe {
        let info = Box::from_raw(list);
        drop(Box::from_raw(info.ai_addr.cast::<sockaddr_in>()));
    }
}

#[test]
fn each_family_has_its_own_outcome() {
    let (ipv4, ipv6) = check_nat_dual();
    let (ipv4, ipv6) = (ipv4.unwrap_err(), ipv6.unwrap_err());
    assert_eq!(ipv6.kind(), ErrorKind::Resolve);
    assert_eq!(ipv4.kind(), ErrorKind::NoResponse);
    assert!(ipv4.detail().contains("127.66.3.4"), "{ipv4}");
}
