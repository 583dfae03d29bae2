/* SPDX-License-Identifier: MIT */
/* error: names and texts are interface; none is missing, none is given twice, unknown values have one too. */
#include "error.h"

#include <string.h>

#include "unit.h"

typedef struct named {
    int64_t value;
    const char *name;
} named;

/* Every value of the four enums, once for the tables and once for the compiler, which sees what is missing. */
#define ROW(value, name) {value, name},
#define CASE(value, name) case value:

#define ERRORS(ROW)                                                                                                    \
    ROW(NP_OK, "ok")                                                                                                   \
    ROW(NP_PENDING, "pending")                                                                                         \
    ROW(NP_ERR_ARGUMENT, "argument")                                                                                   \
    ROW(NP_ERR_NO_MEMORY, "no-memory")                                                                                 \
    ROW(NP_ERR_SYSTEM, "system")                                                                                       \
    ROW(NP_ERR_BUSY, "busy")                                                                                           \
    ROW(NP_ERR_LIMIT, "limit")                                                                                         \
    ROW(NP_ERR_ADDRESS_IN_USE, "address-in-use")                                                                       \
    ROW(NP_ERR_ADDRESS_NOT_AVAILABLE, "address-not-available")                                                         \
    ROW(NP_ERR_RESOLVE, "resolve")                                                                                     \
    ROW(NP_ERR_NETWORK_UNREACHABLE, "network-unreachable")                                                             \
    ROW(NP_ERR_NO_RESPONSE, "no-response")                                                                             \
    ROW(NP_ERR_ADDRESS_CHANGED, "address-changed")                                                                     \
    ROW(NP_ERR_INCONCLUSIVE, "inconclusive")                                                                           \
    ROW(NP_ERR_TIMEOUT, "timeout")                                                                                     \
    ROW(NP_ERR_CANCELLED, "cancelled")                                                                                 \
    ROW(NP_ERR_BAD_RESPONSE, "bad-response")                                                                           \
    ROW(NP_ERR_NOT_OPEN, "not-open")

static const named errors[] = {ERRORS(ROW)};

#define TYPES(ROW)                                                                                                     \
    ROW(NP_NAT_UNKNOWN, "unknown")                                                                                     \
    ROW(NP_NAT_OPEN_INTERNET, "open-internet")                                                                         \
    ROW(NP_NAT_FULL_CONE, "full-cone")                                                                                 \
    ROW(NP_NAT_RESTRICTED_CONE, "restricted-cone")                                                                     \
    ROW(NP_NAT_PORT_RESTRICTED_CONE, "port-restricted-cone")                                                           \
    ROW(NP_NAT_SYMMETRIC, "symmetric")                                                                                 \
    ROW(NP_NAT_SYMMETRIC_UDP_FIREWALL, "symmetric-udp-firewall")                                                       \
    ROW(NP_NAT_UDP_BLOCKED, "udp-blocked")                                                                             \
    ROW(NP_NAT_CONE, "cone")                                                                                           \
    ROW(NP_NAT_NO_NAT, "no-nat")

static const named types[] = {TYPES(ROW)};

#define BEHAVIOURS(ROW)                                                                                                \
    ROW(NP_BEHAVIOUR_UNKNOWN, "unknown")                                                                               \
    ROW(NP_BEHAVIOUR_NONE, "none")                                                                                     \
    ROW(NP_BEHAVIOUR_ENDPOINT_INDEPENDENT, "endpoint-independent")                                                     \
    ROW(NP_BEHAVIOUR_ADDRESS_DEPENDENT, "address-dependent")                                                           \
    ROW(NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT, "address-and-port-dependent")                                         \
    ROW(NP_BEHAVIOUR_ENDPOINT_DEPENDENT, "endpoint-dependent")

static const named behaviours[] = {BEHAVIOURS(ROW)};

#define EVIDENCE(ROW)                                                                                                  \
    ROW(NP_EVIDENCE_ANSWERED, "answered")                                                                              \
    ROW(NP_EVIDENCE_SECOND_SERVER, "second-server")                                                                    \
    ROW(NP_EVIDENCE_ALTERNATE, "alternate")                                                                            \
    ROW(NP_EVIDENCE_ALTERNATE_ALIVE, "alternate-alive")                                                                \
    ROW(NP_EVIDENCE_ALTERNATE_REFUSED, "alternate-refused")                                                            \
    ROW(NP_EVIDENCE_MAPPING_PROVEN, "mapping-proven")                                                                  \
    ROW(NP_EVIDENCE_TEST_II_ANSWERED, "test-ii-answered")                                                              \
    ROW(NP_EVIDENCE_TEST_III_ANSWERED, "test-iii-answered")                                                            \
    ROW(NP_EVIDENCE_CONTROL_ANSWERED, "control-answered")                                                              \
    ROW(NP_EVIDENCE_FILTERING_PROVEN, "filtering-proven")                                                              \
    ROW(NP_EVIDENCE_CHANGE_IGNORED, "change-ignored")                                                                  \
    ROW(NP_EVIDENCE_CHANGE_PARTIAL, "change-partial")                                                                  \
    ROW(NP_EVIDENCE_CHANGE_REJECTED, "change-rejected")                                                                \
    ROW(NP_EVIDENCE_CONTROL_SILENT, "control-silent")                                                                  \
    ROW(NP_EVIDENCE_LOSS, "loss")                                                                                      \
    ROW(NP_EVIDENCE_CLASSIC, "classic")                                                                                \
    ROW(NP_EVIDENCE_ALG, "alg")                                                                                        \
    ROW(NP_EVIDENCE_RESTARTED, "restarted")                                                                            \
    ROW(NP_EVIDENCE_CONTRADICTION, "contradiction")                                                                    \
    ROW(NP_EVIDENCE_MALFORMED, "malformed")                                                                            \
    ROW(NP_EVIDENCE_PROXIED, "proxied")                                                                                \
    ROW(NP_EVIDENCE_OUTVOTED, "outvoted")                                                                              \
    ROW(NP_EVIDENCE_TRANSLATED, "translated")

static const named evidence[] = {EVIDENCE(ROW)};

static void every_value_is_listed(enum np_error e, enum np_nat_type t, enum np_behaviour b, enum np_evidence v)
{
    switch (e) {
        ERRORS(CASE)
        break;
    }
    switch (t) {
        TYPES(CASE)
        break;
    }
    switch (b) {
        BEHAVIOURS(CASE)
        break;
    }
    switch (v) {
        EVIDENCE(CASE)
        break;
    }
}

static const int32_t strange[] = {INT32_MIN, -1000, -27, -19, -9, -6, 2, 10, 42, 1000, INT32_MAX};

static void error_names_are_the_interface(void **state)
{
    (void)state;
    every_value_is_listed(NP_OK, NP_NAT_UNKNOWN, NP_BEHAVIOUR_UNKNOWN, NP_EVIDENCE_ANSWERED);
    for (size_t i = 0; i < COUNT(errors); i++)
        assert_string_equal(np_error_name((int32_t)errors[i].value), errors[i].name);
}

static void nat_type_names_are_the_interface(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++)
        assert_string_equal(np_nat_type_name((int32_t)types[i].value), types[i].name);
}

static void behaviour_names_are_the_interface(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(behaviours); i++)
        assert_string_equal(np_behaviour_name((int32_t)behaviours[i].value), behaviours[i].name);
}

static void evidence_names_are_the_interface(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(evidence); i++) {
        assert_int_equal(evidence[i].value, 1 << i);
        assert_string_equal(np_evidence_name((uint32_t)evidence[i].value), evidence[i].name);
    }
}

static void event_names_are_the_interface(void **state)
{
    (void)state;
    static const named kinds[] = {{0, "unknown"},
                                  {NP_EVENT_SENT, "sent"},
                                  {NP_EVENT_ANSWERED, "answered"},
                                  {NP_EVENT_CONCLUDED, "concluded"},
                                  {NP_EVENT_PROGRESS, "progress"},
                                  {5, "unknown"}};
    static const named requests[] = {{0, "unknown"},          {NP_REQUEST_I, "I"}, {NP_REQUEST_II, "II"},
                                     {NP_REQUEST_III, "III"}, {4, "unknown"},      {INT32_MIN, "unknown"}};
    static const named purposes[] = {
        {NP_PURPOSE_CHECK, "check"},     {NP_PURPOSE_MAPPING, "mapping"},   {NP_PURPOSE_FILTERING, "filtering"},
        {NP_PURPOSE_CONTROL, "control"}, {NP_PURPOSE_OPTIONAL, "optional"}, {5, "unknown"},
        {INT32_MAX, "unknown"}};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        assert_string_equal(np_event_kind_name((int32_t)kinds[i].value), kinds[i].name);
        assert_string_equal(np_request_name((int32_t)requests[i].value), requests[i].name);
        assert_string_equal(np_purpose_name((int32_t)purposes[i].value), purposes[i].name);
    }
}

static void names_of_settings_are_the_interface(void **state)
{
    (void)state;
    static const named families[] = {{NP_FAMILY_ANY, "any"}, {NP_FAMILY_IPV4, "ipv4"}, {NP_FAMILY_IPV6, "ipv6"},
                                     {1, "unknown"},         {5, "unknown"},           {INT32_MIN, "unknown"}};
    static const named levels[] = {{0, "unknown"},        {NP_LOG_ERROR, "error"}, {NP_LOG_WARNING, "warning"},
                                   {NP_LOG_INFO, "info"}, {NP_LOG_DEBUG, "debug"}, {5, "unknown"}};
    static const named addresses[] = {{NP_ADDRESS_UNKNOWN, "unknown"},
                                      {NP_ADDRESS_GLOBAL, "global"},
                                      {NP_ADDRESS_PRIVATE, "private"},
                                      {NP_ADDRESS_SHARED, "shared"},
                                      {NP_ADDRESS_BENCHMARK, "benchmark"},
                                      {NP_ADDRESS_SERVICE_CONTINUITY, "service-continuity"},
                                      {NP_ADDRESS_LINK_LOCAL, "link-local"},
                                      {NP_ADDRESS_UNIQUE_LOCAL, "unique-local"},
                                      {NP_ADDRESS_LOOPBACK, "loopback"},
                                      {9, "unknown"},
                                      {-1, "unknown"}};
    for (size_t i = 0; i < COUNT(addresses); i++)
        assert_string_equal(np_address_class_name((int32_t)addresses[i].value), addresses[i].name);
    for (size_t i = 0; i < COUNT(families); i++) {
        assert_string_equal(np_family_name((int32_t)families[i].value), families[i].name);
        assert_string_equal(np_log_level_name((int32_t)levels[i].value), levels[i].name);
    }
}

typedef const char *(*text_fn)(int32_t value);

/* Names as listed, and a sentence of its own for each. */
static void check_named(text_fn name, text_fn sentence, const named *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *mine = sentence((int32_t)values[i].value);
        assert_string_equal(name((int32_t)values[i].value), values[i].name);
        assert_int_equal(mine[strlen(mine) - 1], '.');
        assert_in_range(strlen(mine), 10, 160);
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(mine, sentence((int32_t)values[other].value));
    }
}

static const char *assumption_name(int32_t bit)
{
    return np_assumption_name((uint32_t)bit);
}

static const char *assumption_description(int32_t bit)
{
    return np_assumption_description((uint32_t)bit);
}

static void names_of_outlooks_are_the_interface(void **state)
{
    (void)state;
    static const named outlooks[] = {{0, "unknown"},          {1, "direct"}, {2, "punch"},   {3, "punch-learn"},
                                     {4, "needs-prediction"}, {5, "relay"},  {6, "same-nat"}};
    static const named rules[] = {{0, "unknown"},         {1, "udp-blocked"},    {2, "no-common-family"},
                                  {3, "same-nat"},        {4, "open"},           {5, "one-open"},
                                  {6, "ports-known"},     {7, "port-learnt"},    {8, "port-unknown"},
                                  {9, "address-unknown"}, {10, "both-dependent"}};
    static const named firsts[] = {{0, "any"}, {1, "ours"}, {2, "theirs"}, {3, "both"}, {4, "unknown"}};
    static const named assumptions[] = {{0, "unknown"}, {1, "one-ip"},  {2, "filtering"},
                                        {4, "fresh"},   {8, "low-ttl"}, {16, "answer-to-source"}};
    static const named answers[] = {{0, "unknown"}, {1, "no"}, {2, "yes"}, {3, "unknown"}, {INT32_MIN, "unknown"}};
    check_named(np_outlook_class_name, np_outlook_class_description, outlooks, COUNT(outlooks));
    check_named(np_outlook_rule_name, np_outlook_rule_description, rules, COUNT(rules));
    check_named(np_first_name, np_first_description, firsts, COUNT(firsts));
    check_named(assumption_name, assumption_description, assumptions, COUNT(assumptions));
    for (size_t i = 0; i < COUNT(answers); i++)
        assert_string_equal(np_tristate_name((int32_t)answers[i].value), answers[i].name);
    static const named conducts[] = {{0, "unknown"},  {1, "honoured"}, {2, "partial"}, {3, "ignored"},
                                     {4, "rejected"}, {5, "silent"},   {6, "unknown"}, {-1, "unknown"}};
    for (size_t i = 0; i < COUNT(conducts); i++)
        assert_string_equal(np_conduct_name((int32_t)conducts[i].value), conducts[i].name);
    assert_string_equal(np_outlook_class_name(7), "unknown");
    assert_string_equal(np_outlook_rule_name(11), "unknown");
    assert_string_equal(np_assumption_name(3), "unknown");
    assert_string_equal(np_assumption_name(32), "unknown");
}

static void grades_are_those_of_consoles(void **state)
{
    (void)state;
    static const named grades[] = {{NP_NAT_UNKNOWN, "Unknown"},    {NP_NAT_OPEN_INTERNET, "Open"},
                                   {NP_NAT_FULL_CONE, "Open"},     {NP_NAT_RESTRICTED_CONE, "Moderate"},
                                   {NP_NAT_SYMMETRIC, "Strict"},   {NP_NAT_PORT_RESTRICTED_CONE, "Moderate"},
                                   {NP_NAT_UDP_BLOCKED, "Strict"}, {NP_NAT_SYMMETRIC_UDP_FIREWALL, "Moderate"},
                                   {NP_NAT_CONE, "Unknown"},       {NP_NAT_NO_NAT, "Unknown"},
                                   {INT32_MAX, "Unknown"}};
    for (size_t i = 0; i < COUNT(grades); i++)
        assert_string_equal(np_nat_type_grade((int32_t)grades[i].value), grades[i].name);
}

/* A sentence of its own for each bit, and one for everything else. */
static void every_evidence_bit_has_a_sentence(void **state)
{
    (void)state;
    const char *none = np_evidence_description(0);
    assert_string_equal(np_evidence_description(3), none);
    assert_string_equal(np_evidence_description(UINT32_MAX), none);
    for (size_t i = 0; i < COUNT(evidence); i++) {
        const char *sentence = np_evidence_description((uint32_t)evidence[i].value);
        assert_string_not_equal(sentence, none);
        assert_int_equal(sentence[strlen(sentence) - 1], '.');
        for (size_t other = 0; other < i; other++)
            assert_string_not_equal(sentence, np_evidence_description((uint32_t)evidence[other].value));
    }
}

static void only_a_single_known_bit_has_an_evidence_name(void **state)
{
    (void)state;
    assert_string_equal(np_evidence_name(0), "unknown");
    assert_string_equal(np_evidence_name(3), "unknown");
    assert_string_equal(np_evidence_name(UINT32_MAX), "unknown");
    for (size_t bit = COUNT(evidence); bit < 32; bit++)
        assert_string_equal(np_evidence_name(UINT32_C(1) << bit), "unknown");
}

static void six_descriptions_are_those_of_proxystore(void **state)
{
    (void)state;
    static const named expected[] = {
        {NP_NAT_OPEN_INTERNET, "Open Internet (No NAT)"},
        {NP_NAT_FULL_CONE, "Full-cone NAT"},
        {NP_NAT_SYMMETRIC_UDP_FIREWALL, "Symmetric UDP Firewall NAT"},
        {NP_NAT_RESTRICTED_CONE, "Restricted-cone NAT"},
        {NP_NAT_PORT_RESTRICTED_CONE, "Port Restricted-cone NAT"},
        {NP_NAT_SYMMETRIC, "Symmetric NAT"},
    };
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_string_equal(np_nat_type_description((int32_t)expected[i].value), expected[i].name);
}

static void values_that_are_none_are_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(strange); i++) {
        assert_string_equal(np_error_name(strange[i]), "unknown");
        assert_string_equal(np_strerror(strange[i]), "Unknown error");
        assert_string_equal(np_nat_type_name(strange[i] == 2 ? 99 : strange[i]), "unknown");
        assert_string_equal(np_nat_type_description(strange[i] == 2 ? 99 : strange[i]), "Unknown");
        assert_string_equal(np_behaviour_name(strange[i] == 2 ? 99 : strange[i]), "unknown");
        assert_string_equal(np_behaviour_description(strange[i] == 2 ? 99 : strange[i]), "Unknown");
    }
    assert_string_equal(np_nat_type_name((int32_t)COUNT(types)), "unknown");
    assert_string_equal(np_behaviour_name((int32_t)COUNT(behaviours)), "unknown");
}

/* A text that is there, that no other value has, and that stays on one line. */
static void check_texts(text_fn text, const named *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *mine = text((int32_t)values[i].value);
        assert_non_null(mine);
        assert_in_range(strlen(mine), 2, 160);
        assert_null(strpbrk(mine, "\r\n\t"));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(mine, text((int32_t)values[j].value));
    }
}

static void every_value_has_a_text_of_its_own(void **state)
{
    (void)state;
    check_texts(np_strerror, errors, COUNT(errors));
    check_texts(np_nat_type_description, types, COUNT(types));
    check_texts(np_nat_type_advice, types, COUNT(types));
    check_texts(np_behaviour_description, behaviours, COUNT(behaviours));
}

static void advice_is_one_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        const char *advice = np_nat_type_advice((int32_t)types[i].value);
        assert_ptr_equal(strchr(advice, '.'), advice + strlen(advice) - 1);
    }
    assert_string_equal(np_nat_type_advice(-7), np_nat_type_advice(NP_NAT_UNKNOWN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_names_are_the_interface),
        cmocka_unit_test(nat_type_names_are_the_interface),
        cmocka_unit_test(behaviour_names_are_the_interface),
        cmocka_unit_test(evidence_names_are_the_interface),
        cmocka_unit_test(event_names_are_the_interface),
        cmocka_unit_test(names_of_settings_are_the_interface),
        cmocka_unit_test(names_of_outlooks_are_the_interface),
        cmocka_unit_test(grades_are_those_of_consoles),
        cmocka_unit_test(every_evidence_bit_has_a_sentence),
        cmocka_unit_test(only_a_single_known_bit_has_an_evidence_name),
        cmocka_unit_test(six_descriptions_are_those_of_proxystore),
        cmocka_unit_test(values_that_are_none_are_unknown),
        cmocka_unit_test(every_value_has_a_text_of_its_own),
        cmocka_unit_test(advice_is_one_sentence),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
