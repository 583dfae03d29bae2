/* SPDX-License-Identifier: MIT */
/* Compiled by header.py as C and as C++, 64 and 32 bit: natprobe.h stands alone, twice, and keeps its layout. */
#include <natprobe/natprobe.h>
#include <natprobe/natprobe.h>

#ifdef __cplusplus
#define FROZEN(name, condition) static_assert(condition, name)
#else
#define FROZEN(name, condition) _Static_assert(condition, name)
#endif
#define MEMBER_AT(type, member, offset, size)                                                                          \
    FROZEN(#type " has changed: " #member, offsetof(type, member) == (offset) && sizeof(((type *)0)->member) == (size))
#define FROZEN_AT(member, offset, size) MEMBER_AT(np_result, member, offset, size)

FROZEN("np_result has changed: size", sizeof(np_result) == 1024);
FROZEN_AT(error, 0, 4);
FROZEN_AT(nat_type, 4, 4);
FROZEN_AT(mapping, 8, 4);
FROZEN_AT(filtering, 12, 4);
FROZEN_AT(evidence, 16, 4);
FROZEN_AT(os_error, 20, 4);
FROZEN_AT(packets_sent, 24, 4);
FROZEN_AT(packets_received, 28, 4);
FROZEN_AT(rtt_us, 32, 8);
FROZEN_AT(elapsed_us, 40, 8);
FROZEN_AT(external_port, 48, 2);
FROZEN_AT(local_port, 50, 2);
FROZEN_AT(external_ip, 52, 46);
FROZEN_AT(local_ip, 98, 46);
FROZEN_AT(server, 144, 64);
FROZEN_AT(detail, 208, 192);
FROZEN_AT(port_step, 400, 4);
FROZEN_AT(local_class, 404, 4);
FROZEN_AT(ports_seen, 408, 2);
FROZEN_AT(ports_kept, 410, 2);
FROZEN_AT(external_ips, 412, 2);
FROZEN_AT(local_ips, 414, 2);
FROZEN_AT(port_open, 416, 4);
FROZEN_AT(refused_takes_port, 420, 4);
FROZEN_AT(hairpin, 424, 4);
FROZEN_AT(hairpin_external, 428, 4);
FROZEN_AT(another_nat, 432, 4);
FROZEN_AT(lifetime_recreated, 436, 4);
FROZEN_AT(lifetime_min_s, 440, 4);
FROZEN_AT(lifetime_max_s, 444, 4);
FROZEN_AT(unanswered_min_s, 448, 4);
FROZEN_AT(unanswered_max_s, 452, 4);
FROZEN_AT(gateway_ip, 456, 46);
FROZEN_AT(gateway_external_ip, 502, 46);
FROZEN_AT(reserved, 548, 476);
FROZEN("NP_IP_TEXT_SIZE has changed", NP_IP_TEXT_SIZE == 46);

FROZEN("np_event has changed: size", sizeof(np_event) == 256);
MEMBER_AT(np_event, kind, 0, 4);
MEMBER_AT(np_event, purpose, 4, 4);
MEMBER_AT(np_event, request, 8, 4);
MEMBER_AT(np_event, copy, 12, 4);
MEMBER_AT(np_event, stun_error, 16, 4);
MEMBER_AT(np_event, behaviour, 20, 4);
MEMBER_AT(np_event, nat_type, 24, 4);
MEMBER_AT(np_event, error, 28, 4);
MEMBER_AT(np_event, time_us, 32, 8);
MEMBER_AT(np_event, remote, 40, 64);
MEMBER_AT(np_event, external, 104, 64);
MEMBER_AT(np_event, test, 168, 4);
MEMBER_AT(np_event, done_s, 172, 4);
MEMBER_AT(np_event, total_s, 176, 4);
MEMBER_AT(np_event, reserved, 180, 76);

FROZEN("np_profile has changed: size", sizeof(np_profile) == 256);
MEMBER_AT(np_profile, measured_at, 0, 8);
MEMBER_AT(np_profile, mapping, 8, 4);
MEMBER_AT(np_profile, filtering, 12, 4);
MEMBER_AT(np_profile, filtering_proven, 16, 4);
MEMBER_AT(np_profile, family, 20, 4);
MEMBER_AT(np_profile, udp_blocked, 24, 4);
MEMBER_AT(np_profile, refused_takes_port, 28, 4);
MEMBER_AT(np_profile, port_step, 32, 4);
MEMBER_AT(np_profile, external_ips, 36, 2);
MEMBER_AT(np_profile, ports_seen, 38, 2);
MEMBER_AT(np_profile, ports_kept, 40, 2);
MEMBER_AT(np_profile, external_port, 42, 2);
MEMBER_AT(np_profile, external_ip, 44, 46);
MEMBER_AT(np_profile, reserved, 90, 166);

FROZEN("np_outlook_result has changed: size", sizeof(np_outlook_result) == 128);
MEMBER_AT(np_outlook_result, outlook, 0, 4);
MEMBER_AT(np_outlook_result, best, 4, 4);
MEMBER_AT(np_outlook_result, worst, 8, 4);
MEMBER_AT(np_outlook_result, first, 12, 4);
MEMBER_AT(np_outlook_result, assumes, 16, 4);
MEMBER_AT(np_outlook_result, rule, 20, 4);
MEMBER_AT(np_outlook_result, reserved, 24, 104);

FROZEN("np_watch_status has changed: size", sizeof(np_watch_status) == 1280);
MEMBER_AT(np_watch_status, result, 0, 1024);
MEMBER_AT(np_watch_status, reason, 1024, 4);
MEMBER_AT(np_watch_status, changed, 1028, 4);
MEMBER_AT(np_watch_status, last_error, 1032, 4);
MEMBER_AT(np_watch_status, is_checking, 1036, 4);
MEMBER_AT(np_watch_status, age_ms, 1040, 8);
MEMBER_AT(np_watch_status, filtering_age_ms, 1048, 8);
MEMBER_AT(np_watch_status, next_check_ms, 1056, 8);
MEMBER_AT(np_watch_status, checks, 1064, 8);
MEMBER_AT(np_watch_status, changes, 1072, 8);
MEMBER_AT(np_watch_status, reserved, 1080, 200);

FROZEN("np_survey_report has changed: size", sizeof(np_survey_report) == 1280);
MEMBER_AT(np_survey_report, error, 0, 4);
MEMBER_AT(np_survey_report, is_capable, 4, 4);
MEMBER_AT(np_survey_report, change_both, 8, 4);
MEMBER_AT(np_survey_report, change_port, 12, 4);
MEMBER_AT(np_survey_report, alternate_alive, 16, 4);
MEMBER_AT(np_survey_report, external_right, 20, 4);
MEMBER_AT(np_survey_report, external_stable, 24, 4);
MEMBER_AT(np_survey_report, is_classic, 28, 4);
MEMBER_AT(np_survey_report, stun_error, 32, 4);
MEMBER_AT(np_survey_report, plain_sent, 36, 4);
MEMBER_AT(np_survey_report, plain_answered, 40, 4);
MEMBER_AT(np_survey_report, packets_sent, 44, 4);
MEMBER_AT(np_survey_report, packets_received, 48, 4);
MEMBER_AT(np_survey_report, number, 52, 4);
MEMBER_AT(np_survey_report, addresses, 56, 4);
MEMBER_AT(np_survey_report, late_us, 60, 4);
MEMBER_AT(np_survey_report, rtt_us, 64, 8);
MEMBER_AT(np_survey_report, server, 72, 264);
MEMBER_AT(np_survey_report, same_as, 336, 264);
MEMBER_AT(np_survey_report, address, 600, 64);
MEMBER_AT(np_survey_report, alternate, 664, 64);
MEMBER_AT(np_survey_report, external, 728, 64);
MEMBER_AT(np_survey_report, detail, 792, 192);
MEMBER_AT(np_survey_report, reserved, 984, 296);

FROZEN("np_survey_status has changed: size", sizeof(np_survey_status) == 1280);
MEMBER_AT(np_survey_status, check, 0, 1024);
MEMBER_AT(np_survey_status, is_checking, 1024, 4);
MEMBER_AT(np_survey_status, ipv4_open, 1028, 4);
MEMBER_AT(np_survey_status, ipv6_open, 1032, 4);
MEMBER_AT(np_survey_status, servers, 1036, 4);
MEMBER_AT(np_survey_status, done, 1040, 4);
MEMBER_AT(np_survey_status, answered, 1044, 4);
MEMBER_AT(np_survey_status, capable, 1048, 4);
MEMBER_AT(np_survey_status, reserved, 1052, 228);

#ifdef SEEDED_VIOLATION
FROZEN_AT(nat_type, 8, 4);
#endif

int header_is_used(void);

int header_is_used(void)
{
    return np_version_number() == NP_VERSION_NUMBER ? NP_OK : NP_ERR_ARGUMENT;
}
