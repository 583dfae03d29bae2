/* SPDX-License-Identifier: MIT */
/* Constants and layouts as the compiler sees them, to be held against docs/enums.json and what other languages see. */
#include <inttypes.h>
#include <stdio.h>

#include "driver.h"

/* clang-format off */
#define CONSTANTS(X) \
    X(NP_OK) X(NP_PENDING) X(NP_ERR_ARGUMENT) X(NP_ERR_NO_MEMORY) X(NP_ERR_SYSTEM) X(NP_ERR_BUSY) X(NP_ERR_LIMIT) \
    X(NP_ERR_ADDRESS_IN_USE) X(NP_ERR_ADDRESS_NOT_AVAILABLE) X(NP_ERR_RESOLVE) X(NP_ERR_NETWORK_UNREACHABLE) \
    X(NP_ERR_NO_RESPONSE) X(NP_ERR_ADDRESS_CHANGED) X(NP_ERR_INCONCLUSIVE) X(NP_ERR_TIMEOUT) X(NP_ERR_CANCELLED) \
    X(NP_ERR_BAD_RESPONSE) \
    X(NP_NAT_UNKNOWN) X(NP_NAT_OPEN_INTERNET) X(NP_NAT_FULL_CONE) X(NP_NAT_RESTRICTED_CONE) \
    X(NP_NAT_PORT_RESTRICTED_CONE) X(NP_NAT_SYMMETRIC) X(NP_NAT_SYMMETRIC_UDP_FIREWALL) X(NP_NAT_UDP_BLOCKED) \
    X(NP_NAT_CONE) X(NP_NAT_NO_NAT) \
    X(NP_BEHAVIOUR_UNKNOWN) X(NP_BEHAVIOUR_NONE) X(NP_BEHAVIOUR_ENDPOINT_INDEPENDENT) \
    X(NP_BEHAVIOUR_ADDRESS_DEPENDENT) X(NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT) X(NP_BEHAVIOUR_ENDPOINT_DEPENDENT) \
    X(NP_EVIDENCE_ANSWERED) X(NP_EVIDENCE_SECOND_SERVER) X(NP_EVIDENCE_ALTERNATE) X(NP_EVIDENCE_ALTERNATE_ALIVE) \
    X(NP_EVIDENCE_ALTERNATE_REFUSED) X(NP_EVIDENCE_MAPPING_PROVEN) X(NP_EVIDENCE_TEST_II_ANSWERED) \
    X(NP_EVIDENCE_TEST_III_ANSWERED) X(NP_EVIDENCE_CONTROL_ANSWERED) X(NP_EVIDENCE_FILTERING_PROVEN) \
    X(NP_EVIDENCE_CHANGE_IGNORED) X(NP_EVIDENCE_CHANGE_PARTIAL) X(NP_EVIDENCE_CHANGE_REJECTED) \
    X(NP_EVIDENCE_CONTROL_SILENT) X(NP_EVIDENCE_LOSS) X(NP_EVIDENCE_CLASSIC) X(NP_EVIDENCE_ALG) \
    X(NP_EVIDENCE_RESTARTED) X(NP_EVIDENCE_CONTRADICTION) X(NP_EVIDENCE_MALFORMED) \
    X(NP_EVIDENCE_PROXIED) X(NP_EVIDENCE_OUTVOTED) X(NP_EVIDENCE_TRANSLATED) \
    X(NP_TESTS_MAPPING) X(NP_TESTS_FILTERING) X(NP_TESTS_DEFAULT) X(NP_TESTS_PORT) X(NP_TESTS_REFUSED) \
    X(NP_TESTS_HAIRPIN) X(NP_TESTS_GATEWAY) X(NP_TESTS_LIFETIME) X(NP_TESTS_OPTIONAL) \
    X(NP_FAMILY_ANY) X(NP_FAMILY_IPV4) X(NP_FAMILY_IPV6) \
    X(NP_ADDRESS_UNKNOWN) X(NP_ADDRESS_GLOBAL) X(NP_ADDRESS_PRIVATE) X(NP_ADDRESS_SHARED) \
    X(NP_ADDRESS_SERVICE_CONTINUITY) X(NP_ADDRESS_BENCHMARK) X(NP_ADDRESS_LINK_LOCAL) X(NP_ADDRESS_UNIQUE_LOCAL) \
    X(NP_ADDRESS_LOOPBACK) \
    X(NP_LOG_ERROR) X(NP_LOG_WARNING) X(NP_LOG_INFO) X(NP_LOG_DEBUG) \
    X(NP_EVENT_SENT) X(NP_EVENT_ANSWERED) X(NP_EVENT_CONCLUDED) X(NP_EVENT_PROGRESS) \
    X(NP_REQUEST_I) X(NP_REQUEST_II) X(NP_REQUEST_III) \
    X(NP_PURPOSE_CHECK) X(NP_PURPOSE_MAPPING) X(NP_PURPOSE_FILTERING) X(NP_PURPOSE_CONTROL) \
    X(NP_PURPOSE_OPTIONAL) X(NP_DEFAULT_LIFETIME_LIMIT_S) \
    X(NP_DEFAULT_SOURCE_PORT) X(NP_DEFAULT_TIMEOUT_MS) X(NP_DEFAULT_RESPONSE_TIMEOUT_MS) X(NP_MAX_SERVERS) \
    X(NP_IP_TEXT_SIZE) \
    X(NP_TRISTATE_UNKNOWN) X(NP_TRISTATE_NO) X(NP_TRISTATE_YES) X(NP_OUTLOOK_UNKNOWN) X(NP_OUTLOOK_DIRECT) \
    X(NP_OUTLOOK_PUNCH) X(NP_OUTLOOK_PUNCH_LEARN) X(NP_OUTLOOK_NEEDS_PREDICTION) X(NP_OUTLOOK_RELAY) \
    X(NP_OUTLOOK_SAME_NAT) X(NP_FIRST_ANY) X(NP_FIRST_OURS) X(NP_FIRST_THEIRS) X(NP_FIRST_BOTH) X(NP_ASSUMES_ONE_IP) \
    X(NP_ASSUMES_FILTERING) X(NP_ASSUMES_FRESH) X(NP_ASSUMES_LOW_TTL) X(NP_ASSUMES_ANSWER_TO_SOURCE) \
    X(NP_RULE_UNKNOWN) X(NP_RULE_UDP_BLOCKED) X(NP_RULE_NO_COMMON_FAMILY) X(NP_RULE_SAME_NAT) X(NP_RULE_OPEN) \
    X(NP_RULE_ONE_OPEN) X(NP_RULE_PORTS_KNOWN) X(NP_RULE_PORT_LEARNT) X(NP_RULE_PORT_UNKNOWN) \
    X(NP_RULE_ADDRESS_UNKNOWN) X(NP_RULE_BOTH_DEPENDENT) X(NP_PROFILE_TEXT_SIZE) \
    X(NP_WATCH_REASON_NONE) X(NP_WATCH_REASON_START) X(NP_WATCH_REASON_NETWORK) X(NP_WATCH_REASON_RESUME) \
    X(NP_WATCH_REASON_FAILURE) X(NP_WATCH_REASON_RETRY) X(NP_WATCH_REASON_FILTERING) X(NP_WATCH_REASON_INTERVAL) \
    X(NP_CHANGED_TYPE) X(NP_CHANGED_MAPPING) X(NP_CHANGED_FILTERING) X(NP_CHANGED_ADDRESS) \
    X(NP_DEFAULT_WATCH_INTERVAL_S) \
    X(NP_ERR_NOT_OPEN) X(NP_CONDUCT_UNKNOWN) X(NP_CONDUCT_HONOURED) X(NP_CONDUCT_PARTIAL) \
    X(NP_CONDUCT_IGNORED) X(NP_CONDUCT_REJECTED) X(NP_CONDUCT_SILENT) X(NP_MAX_SURVEY_SERVERS) \
    X(NP_SERVER_TEXT_SIZE)

#define MEMBERS_OF_NP_RESULT(X) \
    X(np_result, error) X(np_result, nat_type) X(np_result, mapping) X(np_result, filtering) X(np_result, evidence) \
    X(np_result, os_error) X(np_result, packets_sent) X(np_result, packets_received) X(np_result, rtt_us) \
    X(np_result, elapsed_us) X(np_result, external_port) X(np_result, local_port) X(np_result, external_ip) \
    X(np_result, local_ip) X(np_result, server) X(np_result, detail) X(np_result, port_step) \
    X(np_result, local_class) X(np_result, ports_seen) X(np_result, ports_kept) X(np_result, external_ips) \
    X(np_result, local_ips) X(np_result, port_open) X(np_result, refused_takes_port) X(np_result, hairpin) \
    X(np_result, hairpin_external) X(np_result, another_nat) X(np_result, lifetime_recreated) \
    X(np_result, lifetime_min_s) X(np_result, lifetime_max_s) X(np_result, unanswered_min_s) \
    X(np_result, unanswered_max_s) X(np_result, gateway_ip) X(np_result, gateway_external_ip) X(np_result, reserved)

#define MEMBERS_OF_NP_EVENT(X) \
    X(np_event, kind) X(np_event, purpose) X(np_event, request) X(np_event, copy) X(np_event, stun_error) \
    X(np_event, behaviour) X(np_event, nat_type) X(np_event, error) X(np_event, time_us) X(np_event, remote) \
    X(np_event, external) X(np_event, test) X(np_event, done_s) X(np_event, total_s) X(np_event, reserved)

#define MEMBERS_OF_NP_PROFILE(X) \
    X(np_profile, measured_at) X(np_profile, mapping) X(np_profile, filtering) X(np_profile, filtering_proven) \
    X(np_profile, family) X(np_profile, udp_blocked) X(np_profile, refused_takes_port) X(np_profile, port_step) \
    X(np_profile, external_ips) X(np_profile, ports_seen) X(np_profile, ports_kept) X(np_profile, external_port) \
    X(np_profile, external_ip) X(np_profile, reserved)

#define MEMBERS_OF_NP_OUTLOOK_RESULT(X) \
    X(np_outlook_result, outlook) X(np_outlook_result, best) X(np_outlook_result, worst) X(np_outlook_result, first) \
    X(np_outlook_result, assumes) X(np_outlook_result, rule) X(np_outlook_result, reserved)

#define MEMBERS_OF_NP_WATCH_STATUS(X) \
    X(np_watch_status, result) X(np_watch_status, reason) X(np_watch_status, changed) X(np_watch_status, last_error) \
    X(np_watch_status, is_checking) X(np_watch_status, age_ms) X(np_watch_status, filtering_age_ms) \
    X(np_watch_status, next_check_ms) X(np_watch_status, checks) X(np_watch_status, changes) \
    X(np_watch_status, reserved)

/* clang-format on */

#define CONSTANT(name) {#name, (int64_t)(name)},
#define MEMBER(type, member) {#member, offsetof(type, member), sizeof(((type *)0)->member)},

static const struct constant {
    const char *name;
    int64_t value;
} constants[] = {CONSTANTS(CONSTANT)};

typedef struct member {
    const char *name;
    size_t offset;
    size_t size;
} member;

static const member np_result_members[] = {MEMBERS_OF_NP_RESULT(MEMBER)};
static const member np_event_members[] = {MEMBERS_OF_NP_EVENT(MEMBER)};
static const member np_profile_members[] = {MEMBERS_OF_NP_PROFILE(MEMBER)};
static const member np_outlook_result_members[] = {MEMBERS_OF_NP_OUTLOOK_RESULT(MEMBER)};
static const member np_watch_status_members[] = {MEMBERS_OF_NP_WATCH_STATUS(MEMBER)};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void print_struct(const char *name, size_t size, const member *members, size_t count)
{
    printf("\"%s\": {\"size\": %zu, \"members\": {", name, size);
    for (size_t i = 0; i < count; i++)
        printf("%s\"%s\": [%zu, %zu]", i > 0 ? ", " : "", members[i].name, members[i].offset, members[i].size);
    fputs("}}", stdout);
}

int print_layout(void)
{
    fputs("{\"constants\": {", stdout);
    for (size_t i = 0; i < COUNT(constants); i++)
        printf("%s\"%s\": %" PRId64, i > 0 ? ", " : "", constants[i].name, constants[i].value);
    fputs("}, \"structs\": {", stdout);
    print_struct("np_result", sizeof(np_result), np_result_members, COUNT(np_result_members));
    fputs(", ", stdout);
    print_struct("np_event", sizeof(np_event), np_event_members, COUNT(np_event_members));
    fputs(", ", stdout);
    print_struct("np_profile", sizeof(np_profile), np_profile_members, COUNT(np_profile_members));
    fputs(", ", stdout);
    print_struct("np_outlook_result", sizeof(np_outlook_result), np_outlook_result_members,
                 COUNT(np_outlook_result_members));
    fputs(", ", stdout);
    print_struct("np_watch_status", sizeof(np_watch_status), np_watch_status_members, COUNT(np_watch_status_members));
    puts("}}");
    if (np_result_size() == sizeof(np_result) && np_event_size() == sizeof(np_event) &&
        np_profile_size() == sizeof(np_profile) && np_outlook_result_size() == sizeof(np_outlook_result) &&
        np_watch_status_size() == sizeof(np_watch_status))
        return EXIT_VERDICT;
    fputs("the library was built with other layouts than this program\n", stderr);
    return EXIT_BROKEN_PROMISE;
}
