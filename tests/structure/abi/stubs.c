/* SPDX-License-Identifier: MIT */
/*
 * The exported interface with nothing behind it: its debugging information tells of the ABI what that of the library
 * tells. As it is it must pass abi.py; with SEEDED_MOVED_MEMBER it is a library that has broken its promise.
 */
#ifdef SEEDED_MOVED_MEMBER
#define filtering                                                                                                      \
    inserted;                                                                                                          \
    int32_t filtering
#endif
#include <natprobe/natprobe.h>
#undef filtering

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif

#define STUB_CODE(name, ...)                                                                                           \
    int name(__VA_ARGS__)                                                                                              \
    {                                                                                                                  \
        return NP_ERR_SYSTEM;                                                                                          \
    }
#define STUB_TEXT(name, ...)                                                                                           \
    const char *name(__VA_ARGS__)                                                                                      \
    {                                                                                                                  \
        return "";                                                                                                     \
    }
#define STUB_SIZE(type, name)                                                                                          \
    type name(void)                                                                                                    \
    {                                                                                                                  \
        return 0;                                                                                                      \
    }
#define STUB_VOID(name, ...)                                                                                           \
    void name(__VA_ARGS__)                                                                                             \
    {                                                                                                                  \
    }

STUB_CODE(np_check_nat, const char *src_ip, uint16_t src_port, np_result *result)
STUB_CODE(np_check_nat_and_log, const char *src_ip, uint16_t src_port, np_result *result, np_log_fn log, void *user)
STUB_CODE(np_check_nat_dual, np_result *ipv4, np_result *ipv6)

np_probe *np_probe_new(void)
{
    return NULL;
}

STUB_VOID(np_probe_free, np_probe *probe)
STUB_VOID(np_probe_cancel, np_probe *probe)
STUB_CODE(np_probe_set_source, np_probe *probe, const char *ip, uint16_t port)
STUB_CODE(np_probe_set_interface, np_probe *probe, const char *name)
STUB_CODE(np_probe_set_socket, np_probe *probe, np_socket fd, np_datagram_fn on_datagram, void *user)
STUB_CODE(np_probe_add_server, np_probe *probe, const char *server)
STUB_CODE(np_probe_clear_servers, np_probe *probe)
STUB_CODE(np_probe_set_family, np_probe *probe, int32_t family)
STUB_CODE(np_probe_set_lifetime_limit, np_probe *probe, uint32_t limit_s)
STUB_CODE(np_probe_set_tests, np_probe *probe, int32_t tests)
STUB_CODE(np_probe_set_timeout, np_probe *probe, uint32_t timeout_ms)
STUB_CODE(np_probe_set_response_timeout, np_probe *probe, uint32_t timeout_ms)
STUB_CODE(np_probe_set_log, np_probe *probe, int32_t level, np_log_fn log, void *user)
STUB_CODE(np_probe_set_events, np_probe *probe, np_event_fn on_event, void *user)
STUB_CODE(np_probe_run, np_probe *probe, np_result *result)
STUB_CODE(np_probe_start, np_probe *probe)

np_socket np_probe_fd(const np_probe *probe)
{
    return NP_INVALID_SOCKET;
}

void *np_probe_wait_handle(const np_probe *probe)
{
    return NULL;
}

STUB_CODE(np_probe_process, np_probe *probe, np_result *result)

STUB_CODE(np_profile_from_result, const np_result *result, int64_t now_unix, np_profile *profile)
STUB_CODE(np_profile_format, const np_profile *profile, char *text, size_t size)
STUB_CODE(np_profile_parse, const char *text, np_profile *profile, const char **reason)
STUB_CODE(np_outlook, const np_profile *ours, const np_profile *theirs, int64_t now_unix, np_outlook_result *outlook)

np_watch *np_watch_new(np_probe *probe)
{
    return NULL;
}

STUB_VOID(np_watch_free, np_watch *watch)
STUB_CODE(np_watch_set_interval, np_watch *watch, uint32_t seconds)
STUB_CODE(np_watch_set_changes, np_watch *watch, np_watch_fn on_change, void *user)
STUB_CODE(np_watch_start, np_watch *watch)

np_socket np_watch_fd(const np_watch *watch)
{
    return NP_INVALID_SOCKET;
}

void *np_watch_wait_handle(const np_watch *watch)
{
    return NULL;
}

STUB_CODE(np_watch_process, np_watch *watch)
STUB_VOID(np_watch_cancel, np_watch *watch)
STUB_CODE(np_watch_read, const np_watch *watch, np_watch_status *status)
STUB_CODE(np_watch_note_failure, np_watch *watch)

np_survey *np_survey_new(np_probe *probe)
{
    return NULL;
}

STUB_VOID(np_survey_free, np_survey *survey)
STUB_CODE(np_survey_add, np_survey *survey, const char *server)
STUB_CODE(np_survey_skip, np_survey *survey, const char *server)
STUB_CODE(np_survey_set_reports, np_survey *survey, np_survey_fn on_report, void *user)
STUB_CODE(np_survey_start, np_survey *survey)

np_socket np_survey_fd(const np_survey *survey)
{
    return NP_INVALID_SOCKET;
}

void *np_survey_wait_handle(const np_survey *survey)
{
    return NULL;
}

STUB_CODE(np_survey_process, np_survey *survey)
STUB_VOID(np_survey_cancel, np_survey *survey)
STUB_CODE(np_survey_read, const np_survey *survey, np_survey_status *status)

STUB_TEXT(np_strerror, int32_t error)
STUB_TEXT(np_error_name, int32_t error)
STUB_TEXT(np_nat_type_name, int32_t nat_type)
STUB_TEXT(np_nat_type_description, int32_t nat_type)
STUB_TEXT(np_nat_type_advice, int32_t nat_type)
STUB_TEXT(np_nat_type_grade, int32_t nat_type)
STUB_TEXT(np_behaviour_name, int32_t behaviour)
STUB_TEXT(np_behaviour_description, int32_t behaviour)
STUB_TEXT(np_evidence_name, uint32_t bit)
STUB_TEXT(np_evidence_description, uint32_t bit)
STUB_TEXT(np_event_kind_name, int32_t kind)
STUB_TEXT(np_request_name, int32_t request)
STUB_TEXT(np_purpose_name, int32_t purpose)
STUB_TEXT(np_family_name, int32_t family)
STUB_TEXT(np_address_class_name, int32_t address_class)
STUB_TEXT(np_log_level_name, int32_t level)
STUB_TEXT(np_tristate_name, int32_t answer)
STUB_TEXT(np_outlook_class_name, int32_t outlook)
STUB_TEXT(np_outlook_class_description, int32_t outlook)
STUB_TEXT(np_outlook_rule_name, int32_t rule)
STUB_TEXT(np_outlook_rule_description, int32_t rule)
STUB_TEXT(np_first_name, int32_t first)
STUB_TEXT(np_first_description, int32_t first)
STUB_TEXT(np_assumption_name, uint32_t bit)
STUB_TEXT(np_assumption_description, uint32_t bit)
STUB_TEXT(np_watch_reason_name, int32_t reason)
STUB_TEXT(np_watch_change_name, uint32_t bit)
STUB_TEXT(np_conduct_name, int32_t conduct)
STUB_TEXT(np_version, void)

STUB_SIZE(uint32_t, np_version_number)
STUB_SIZE(size_t, np_result_size)
STUB_SIZE(size_t, np_event_size)
STUB_SIZE(size_t, np_profile_size)
STUB_SIZE(size_t, np_outlook_result_size)
STUB_SIZE(size_t, np_watch_status_size)
STUB_SIZE(size_t, np_survey_report_size)
STUB_SIZE(size_t, np_survey_status_size)
