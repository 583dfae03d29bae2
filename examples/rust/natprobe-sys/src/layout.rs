// SPDX-License-Identifier: MIT
//! Holds the structures to the layout that the library has for the life of its ABI, when this crate
//! is compiled.

use core::mem::{align_of, transmute};

use crate::{np_event, np_outlook_result, np_profile, np_result, np_watch_status};

/// Bytes of which every second one is half its own offset, modulo 256, so that a member's first byte
/// tells where it is, modulo 512, and there is no padding. (Rust 1.63 has no
/// `offset_of!`, and no other way to know an offset at compile time.)
#[allow(dead_code)] // Rust 1.63 does not see what constants without a name use
const fn numbered<const SIZE: usize>() -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let mut i = 0;
    while i < SIZE {
        bytes[i] = (i / 2) as u8;
        i += 1;
    }
    bytes
}

/// Stops the compiler when a member of `$value` does not begin where it should: integers, then
/// arrays.
macro_rules! assert_offsets {
    ($value:ident, { $($integer:ident: $at:literal,)* } { $($array:ident: $array_at:literal,)* }) => {
        $(assert!($value.$integer.to_ne_bytes()[0] as usize * 2 == $at % 512);)*
        $(assert!($value.$array[0] as u8 as usize * 2 == $array_at % 512);)*
    };
}

const _: () = {
    // SAFETY: plain integers without padding, for which any bytes will do; transmute() compares the
    // sizes.
    let result: np_result = unsafe { transmute(numbered::<1024>()) };
    assert!(align_of::<np_result>() == align_of::<u64>());
    assert_offsets!(
        result,
        {
            error: 0,
            nat_type: 4,
            mapping: 8,
            filtering: 12,
            evidence: 16,
            os_error: 20,
            packets_sent: 24,
            packets_received: 28,
            rtt_us: 32,
            elapsed_us: 40,
            external_port: 48,
            local_port: 50,
            port_step: 400,
            local_class: 404,
            ports_seen: 408,
            ports_kept: 410,
            external_ips: 412,
            local_ips: 414,
            port_open: 416,
            refused_takes_port: 420,
            hairpin: 424,
            hairpin_external: 428,
            another_nat: 432,
            lifetime_recreated: 436,
            lifetime_min_s: 440,
            lifetime_max_s: 444,
            unanswered_min_s: 448,
            unanswered_max_s: 452,
        }
        {
            external_ip: 52, local_ip: 98, server: 144, detail: 208, gateway_ip: 456,
            gateway_external_ip: 502, reserved: 548,
        }
    );
};

const _: () = {
    // SAFETY: as above.
    let event: np_event = unsafe { transmute(numbered::<256>()) };
    assert!(align_of::<np_event>() == align_of::<u64>());
    assert_offsets!(
        event,
        {
            kind: 0,
            purpose: 4,
            request: 8,
            copy: 12,
            stun_error: 16,
            behaviour: 20,
            nat_type: 24,
            error: 28,
            time_us: 32,
            test: 168,
            done_s: 172,
            total_s: 176,
        }
        { remote: 40, external: 104, reserved: 180, }
    );
};

const _: () = {
    // SAFETY: as above.
    let profile: np_profile = unsafe { transmute(numbered::<256>()) };
    assert!(align_of::<np_profile>() == align_of::<u64>());
    assert_offsets!(
        profile,
        {
            measured_at: 0,
            mapping: 8,
            filtering: 12,
            filtering_proven: 16,
            family: 20,
            udp_blocked: 24,
            refused_takes_port: 28,
            port_step: 32,
            external_ips: 36,
            ports_seen: 38,
            ports_kept: 40,
            external_port: 42,
        }
        { external_ip: 44, reserved: 90, }
    );
};

const _: () = {
    // SAFETY: as above.
    let outlook: np_outlook_result = unsafe { transmute(numbered::<128>()) };
    assert!(align_of::<np_outlook_result>() == align_of::<u32>());
    assert_offsets!(
        outlook,
        { outlook: 0, best: 4, worst: 8, first: 12, assumes: 16, rule: 20, }
        { reserved: 24, }
    );
};

const _: () = {
    // SAFETY: as above.
    let status: np_watch_status = unsafe { transmute(numbered::<1280>()) };
    assert!(align_of::<np_watch_status>() == align_of::<u64>());
    assert!(status.result.error.to_ne_bytes()[0] == 0);
    // Behind the result, that is, from 1024 on, where the numbers begin anew.
    assert_offsets!(
        status,
        {
            reason: 0,
            changed: 4,
            last_error: 8,
            is_checking: 12,
            age_ms: 16,
            filtering_age_ms: 24,
            next_check_ms: 32,
            checks: 40,
            changes: 48,
        }
        { reserved: 56, }
    );
};
