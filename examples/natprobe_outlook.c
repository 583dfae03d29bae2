/* SPDX-License-Identifier: MIT */
/* The part of natprobe that asks whether two hosts will connect: profiles in and out, and what the library judges. */
#include "natprobe_outlook.h"

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* ---- Profiles --------------------------------------------------------------------------------------------------- */

bool read_profile(const char *text, np_profile *profile)
{
    const char *reason = NULL;
    if (np_profile_parse(text, profile, &reason) == NP_OK)
        return true;
    complain("invalid profile '%.*s': %s", NP_PROFILE_TEXT_SIZE, text, reason);
    return false;
}

np_profile profile_of(const np_result *result)
{
    np_profile profile;
    np_profile_from_result(result, (int64_t)time(NULL), &profile);
    return profile;
}

void print_profile(np_profile profile, bool has_address)
{
    char line[NP_PROFILE_TEXT_SIZE];
    if (profile.external_ip[0] == '\0' && profile.udp_blocked == 0)
        return; /* the message on stderr says it all */
    if (!has_address)
        profile.external_ip[0] = '\0';
    if (np_profile_format(&profile, line, sizeof line) == NP_OK)
        puts(line);
}

/* ---- The outlook ------------------------------------------------------------------------------------------------ */

np_outlook_result judge(const np_profile *ours, const np_profile *theirs)
{
    np_outlook_result outlook;
    np_outlook(ours, theirs, (int64_t)time(NULL), &outlook);
    return outlook;
}

static bool may_connect(int32_t class)
{
    return class >= NP_OUTLOOK_DIRECT && class <= NP_OUTLOOK_PUNCH_LEARN;
}

int outlook_status(const np_outlook_result *outlook)
{
    if (may_connect(outlook->outlook))
        return EXIT_VERDICT;
    bool is_certain = outlook->outlook == NP_OUTLOOK_NEEDS_PREDICTION || outlook->outlook == NP_OUTLOOK_RELAY;
    return is_certain ? EXIT_NOT_CONNECTED : EXIT_NOT_KNOWN;
}

void print_outlook(const np_outlook_result *outlook)
{
    char text[64];
    const char *label = "Assumes";
    print_field("Outlook", np_outlook_class_name(outlook->outlook));
    print_field("Advice", np_outlook_class_description(outlook->outlook));
    print_field("Why", np_outlook_rule_description(outlook->rule));
    if (outlook->best != outlook->worst) {
        snprintf(text, sizeof text, "%s at best, %s at worst", np_outlook_class_name(outlook->best),
                 np_outlook_class_name(outlook->worst));
        print_field("Range", text);
    }
    if (may_connect(outlook->best))
        print_field("First", np_first_description(outlook->first));
    for (unsigned i = 0; i < 32; i++) {
        uint32_t bit = UINT32_C(1) << i;
        if ((outlook->assumes & bit) == 0)
            continue;
        print_field(label, np_assumption_description(bit));
        label = "";
    }
}

void print_outlook_json(const np_outlook_result *outlook)
{
    const char *separator = "";
    fputs("\"outlook\": ", stdout);
    json_string(np_outlook_class_name(outlook->outlook));
    json_text("best", np_outlook_class_name(outlook->best));
    json_text("worst", np_outlook_class_name(outlook->worst));
    json_text("first", np_first_name(outlook->first));
    fputs(", \"assumes\": [", stdout);
    for (unsigned i = 0; i < 32; i++) {
        if ((outlook->assumes >> i & 1U) == 0)
            continue;
        fputs(separator, stdout);
        json_string(np_assumption_name(UINT32_C(1) << i));
        separator = ", ";
    }
    putchar(']');
    json_text("rule", np_outlook_rule_name(outlook->rule));
    json_text("advice", np_outlook_class_description(outlook->outlook));
}
