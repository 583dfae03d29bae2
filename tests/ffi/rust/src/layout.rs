// SPDX-License-Identifier: MIT
//! The constants and structures as the binding sees them.

use std::mem::{size_of, MaybeUninit};
use std::ptr::addr_of;

use natprobe_sys::*;

use crate::Ending;

/// `"NAME": VALUE, ...` of integer constants.
macro_rules! constants {
    ($($name:ident)*) => {
        [$(format!("\"{}\": {}", stringify!($name), $name)),*].join(", ")
    };
}

fn constants() -> String {
    constants!(
        NP_OK NP_PENDING NP_ERR_ARGUMENT NP_ERR_NO_MEMORY NP_ERR_SYSTEM NP_ERR_BUSY NP_ERR_LIMIT
        NP_ERR_ADDRESS_IN_USE NP_ERR_ADDRESS_NOT_AVAILABLE NP_ERR_RESOLVE NP_ERR_NETWORK_UNREACHABLE NP_ERR_NO_RESPONSE
        NP_ERR_ADDRESS_CHANGED NP_ERR_INCONCLUSIVE NP_ERR_TIMEOUT NP_ERR_CANCELLED NP_ERR_BAD_RESPONSE
        NP_NAT_UNKNOWN NP_NAT_OPEN_INTERNET NP_NAT_FULL_CONE NP_NAT_RESTRICTED_CONE
        NP_NAT_PORT_RESTRICTED_CONE NP_NAT_SYMMETRIC NP_NAT_SYMMETRIC_UDP_FIREWALL NP_NAT_UDP_BLOCKED
        NP_NAT_CONE NP_NAT_NO_NAT NP_BEHAVIOUR_UNKNOWN NP_BEHAVIOUR_NONE NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
        NP_BEHAVIOUR_ADDRESS_DEPENDENT NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
        NP_BEHAVIOUR_ENDPOINT_DEPENDENT NP_EVIDENCE_ANSWERED NP_EVIDENCE_SECOND_SERVER NP_EVIDENCE_ALTERNATE
        NP_EVIDENCE_ALTERNATE_ALIVE NP_EVIDENCE_ALTERNATE_REFUSED NP_EVIDENCE_MAPPING_PROVEN
        NP_EVIDENCE_TEST_II_ANSWERED NP_EVIDENCE_TEST_III_ANSWERED NP_EVIDENCE_CONTROL_ANSWERED
        NP_EVIDENCE_FILTERING_PROVEN NP_EVIDENCE_CHANGE_IGNORED NP_EVIDENCE_CHANGE_PARTIAL
        NP_EVIDENCE_CHANGE_REJECTED NP_EVIDENCE_CONTROL_SILENT NP_EVIDENCE_LOSS NP_EVIDENCE_CLASSIC
        NP_EVIDENCE_ALG NP_EVIDENCE_RESTARTED NP_EVIDENCE_CONTRADICTION NP_EVIDENCE_MALFORMED
        NP_EVIDENCE_PROXIED NP_EVIDENCE_OUTVOTED NP_EVIDENCE_TRANSLATED
        NP_TESTS_MAPPING NP_TESTS_FILTERING NP_TESTS_DEFAULT NP_TESTS_PORT NP_TESTS_REFUSED NP_TESTS_HAIRPIN
        NP_TESTS_GATEWAY NP_TESTS_LIFETIME NP_TESTS_OPTIONAL NP_FAMILY_ANY NP_FAMILY_IPV4 NP_FAMILY_IPV6
        NP_ADDRESS_UNKNOWN NP_ADDRESS_GLOBAL NP_ADDRESS_PRIVATE NP_ADDRESS_SHARED
        NP_ADDRESS_SERVICE_CONTINUITY NP_ADDRESS_BENCHMARK NP_ADDRESS_LINK_LOCAL
        NP_ADDRESS_UNIQUE_LOCAL NP_ADDRESS_LOOPBACK NP_LOG_ERROR NP_LOG_WARNING NP_LOG_INFO NP_LOG_DEBUG NP_EVENT_SENT NP_EVENT_ANSWERED
        NP_EVENT_CONCLUDED NP_EVENT_PROGRESS NP_REQUEST_I NP_REQUEST_II NP_REQUEST_III NP_PURPOSE_CHECK NP_PURPOSE_MAPPING
        NP_PURPOSE_FILTERING NP_PURPOSE_CONTROL NP_PURPOSE_OPTIONAL NP_DEFAULT_LIFETIME_LIMIT_S
        NP_DEFAULT_SOURCE_PORT NP_DEFAULT_TIMEOUT_MS NP_DEFAULT_RESPONSE_TIMEOUT_MS NP_MAX_SERVERS
        NP_IP_TEXT_SIZE NP_PROFILE_TEXT_SIZE
        NP_TRISTATE_UNKNOWN NP_TRISTATE_NO NP_TRISTATE_YES NP_OUTLOOK_UNKNOWN
        NP_OUTLOOK_DIRECT NP_OUTLOOK_PUNCH NP_OUTLOOK_PUNCH_LEARN NP_OUTLOOK_NEEDS_PREDICTION
        NP_OUTLOOK_RELAY NP_OUTLOOK_SAME_NAT NP_FIRST_ANY NP_FIRST_OURS
        NP_FIRST_THEIRS NP_FIRST_BOTH NP_ASSUMES_ONE_IP NP_ASSUMES_FILTERING
        NP_ASSUMES_FRESH NP_ASSUMES_LOW_TTL NP_ASSUMES_ANSWER_TO_SOURCE NP_RULE_UNKNOWN
        NP_RULE_UDP_BLOCKED NP_RULE_NO_COMMON_FAMILY NP_RULE_SAME_NAT NP_RULE_OPEN
        NP_RULE_ONE_OPEN NP_RULE_PORTS_KNOWN NP_RULE_PORT_LEARNT NP_RULE_PORT_UNKNOWN
        NP_RULE_ADDRESS_UNKNOWN NP_RULE_BOTH_DEPENDENT
        NP_WATCH_REASON_NONE NP_WATCH_REASON_START NP_WATCH_REASON_NETWORK NP_WATCH_REASON_RESUME
        NP_WATCH_REASON_FAILURE NP_WATCH_REASON_RETRY NP_WATCH_REASON_FILTERING NP_WATCH_REASON_INTERVAL
        NP_CHANGED_TYPE NP_CHANGED_MAPPING NP_CHANGED_FILTERING NP_CHANGED_ADDRESS
        NP_DEFAULT_WATCH_INTERVAL_S NP_ERR_NOT_OPEN
        NP_CONDUCT_UNKNOWN NP_CONDUCT_HONOURED NP_CONDUCT_PARTIAL NP_CONDUCT_IGNORED NP_CONDUCT_REJECTED
        NP_CONDUCT_SILENT NP_MAX_SURVEY_SERVERS NP_SERVER_TEXT_SIZE
    )
}

fn size_behind<T>(_: *const T) -> usize {
    size_of::<T>()
}

/// `"STRUCT": {"size": SIZE, "members": {"MEMBER": [OFFSET, SIZE], ...}}`.
macro_rules! structure {
    ($name:ident { $($member:ident)* }) => {{
        let value = MaybeUninit::<$name>::uninit();
        let base = value.as_ptr();
        // SAFETY: no member is read: these are addresses within the value.
        let members = unsafe {
            [$((stringify!($member), addr_of!((*base).$member) as usize, size_behind(addr_of!((*base).$member)))),*]
        };
        let members = members.map(|(member, at, size)| format!("\"{member}\": [{}, {size}]", at - base as usize));
        format!(
            "\"{}\": {{\"size\": {}, \"members\": {{{}}}}}",
            stringify!($name),
            size_of::<$name>(),
            members.join(", ")
        )
    }};
}

pub fn run() -> Ending {
    let result = structure!(np_result {
        error nat_type mapping filtering evidence os_error packets_sent packets_received rtt_us elapsed_us
        external_port local_port external_ip local_ip server detail
        port_step local_class ports_seen ports_kept external_ips local_ips
        port_open refused_takes_port hairpin hairpin_external another_nat lifetime_recreated
        lifetime_min_s lifetime_max_s unanswered_min_s unanswered_max_s gateway_ip gateway_external_ip reserved
    });
    let event = structure!(np_event {
        kind purpose request copy stun_error behaviour nat_type error time_us remote external
        test done_s total_s reserved
    });
    let profile = structure!(np_profile {
        measured_at mapping filtering filtering_proven family udp_blocked refused_takes_port port_step
        external_ips ports_seen ports_kept external_port external_ip reserved
    });
    let outlook = structure!(np_outlook_result { outlook best worst first assumes rule reserved });
    let watch = structure!(np_watch_status {
        result reason changed last_error is_checking age_ms filtering_age_ms next_check_ms checks changes reserved
    });
    println!(
        "{{\"constants\": {{{}}}, \"structs\": {{{result}, {event}, {profile}, {outlook}, {watch}}}}}",
        constants()
    );
    Ending::Result
}
