/* SPDX-License-Identifier: MIT */
/* The names of all hostile inputs, and why some of them cannot come out of a server's socket. */
#include "inputs.h"

#include <string.h>

const listed catalogue[LAST_NUMBER] = {
    /* A. Framing */
    {1, "h01_empty_datagram__libnice_test_parse", NULL},
    {2, "h02_receive_fails_and_minus_one_is_no_length__CVE_2013_6484",
     "no server can make recvmsg fail on a socket that is not connected"},
    {3, "h03_every_length_shorter_than_a_header__libnice_validate_pjsip_5044", NULL},
    {4, "h04_top_two_bits_not_zero__RFC_5389_6_WebRTC_kRtcpPacket", NULL},
    {5, "h05_header_length_no_multiple_of_4__RFC_5389_6_libnice_bad2_WebRTC_SmallLength", NULL},
    {6, "h06_header_length_beyond_the_datagram__pjsip_WebRTC_ExcessLength", NULL},
    {7, "h07_header_length_short_of_the_datagram__pjsip_libnice_extra_garbage", NULL},
    {8, "h08_header_length_wraps_16_bits__coturn_1844_1964", NULL},
    {9, "h09_success_without_attributes__RFC_5389_7_3_3_NatTypeTester_NoAttributes", NULL},
    {10, "h10_own_request_echoed__RFC_5389_7_3_pjnath_stun_sock_test_ECHO", NULL},
    {11, "h11_indication_or_other_method__RFC_5389_7_3", NULL},
    {12, "h12_shared_secret_types__RFC_3489_11_1", NULL},
    {13, "h13_largest_datagram_with_padding__RFC_5780_7_6_and_10", NULL},
    {14, "h14_datagram_larger_than_the_buffer__MSG_TRUNC", NULL},
    {15, "h15_message_at_an_odd_address__CVE_2026_40613_libjuice_233",
     "where in memory a datagram lies is not for its sender to choose"},
    {16, "h16_left_shift_of_high_bytes__pjsip_3313", NULL},
    /* B. Attributes */
    {17, "h17_one_to_three_bytes_for_an_attribute_header__pjsip_5044", NULL},
    {18, "h18_attribute_length_past_the_end__CVE_2023_22741_CVE_2004_1940_CVE_2022_23537", NULL},
    {19, "h19_length_fits_only_without_padding__libnice_bad3_RFC_3489_11_2", NULL},
    {20, "h20_attribute_length_rounds_up_past_16_bits__after_coturn_1844", NULL},
    {21, "h21_address_of_length_0__pjsip_5201", NULL},
    {22, "h22_ipv4_address_of_length_4_to_7__pjsip_5201", NULL},
    {23, "h23_address_not_as_long_as_its_family__libnice_FF03_FF05_nICEr", NULL},
    {24, "h24_unknown_address_family__RFC_5389_7_3_3", NULL},
    {25, "h25_reserved_byte_of_an_address_not_zero__RFC_5389_15_1", NULL},
    {26, "h26_ipv6_address_in_an_ipv4_transaction__RFC_5389_7_3_3", NULL},
    {27, "h27_mapped_and_xor_mapped_disagree__RFC_5389_15_2", NULL},
    {28, "h28_only_mapped_address__RFC_5389_12_1", NULL},
    {29, "h29_xor_mapped_address_as_0x8020__nICEr_OLD_XOR_MAPPED_coturn_resiprocate_175", NULL},
    {30, "h30_0x8020_without_a_cookie__nICEr_stun_codec", NULL},
    {31, "h31_duplicate_attributes__RFC_5389_15_coturn_2016", NULL},
    {32, "h32_unknown_optional_attributes__RFC_5389_7_3_pjsip", NULL},
    {33, "h33_unknown_required_attribute_in_a_success__RFC_5389_7_3_3", NULL},
    {34, "h34_old_attributes_in_a_response__RFC_5389_12_1_re_823_stun_linphone_org", NULL},
    {35, "h35_other_address_as_0x802C_or_0x0005__RFC_5780_7_coturn_compat", NULL},
    {36, "h36_sixteen_thousand_empty_attributes__CVE_2022_31031", NULL},
    {37, "h37_error_code_too_short__CVE_2021_37706_CVE_2022_23547_CVE_2023_32307", NULL},
    {38, "h38_error_class_or_number_out_of_range__RFC_5389_15_6", NULL},
    {39, "h39_error_without_error_code__RFC_5389_7_3_4", NULL},
    {40, "h40_reason_phrase_of_any_bytes__RFC_5389_15_6_nICEr", NULL},
    {41, "h41_software_ends_in_NUL__stund_0_96_nICEr", NULL},
    {42, "h42_four_byte_attribute_of_another_length__CVE_2022_23547_CVE_2023_32307", NULL},
    {43, "h43_unknown_attributes_of_odd_length__nICEr", NULL},
    {44, "h44_fingerprint_wrong__RFC_5389_7_3_libnice_bad_crc_WebRTC", NULL},
    {45, "h45_fingerprint_not_last__RFC_5389_15_5_pjsip_ESTUNFINGERPOS_libnice_bad_crc_offset", NULL},
    {46, "h46_fingerprint_absent__RFC_5389_8", NULL},
    {47, "h47_attributes_after_message_integrity__RFC_8489_9_coturn", NULL},
    {48, "h48_padding_bytes_not_zero__RFC_5389_15_RFC_5769", NULL},
    {49, "h49_our_own_unused_bits_are_zero__CVE_2020_4067_pjsip_4842", NULL},
    /* C. Transaction, source, time */
    {50, "h50_wrong_transaction_id__RFC_5389_7_3", NULL},
    {51, "h51_right_96_bits_wrong_cookie__RFC_5389_7_3_and_12", NULL},
    {52, "h52_guessed_transaction_id__pjsip_082948b0a_RFC_5389_6", NULL},
    {53, "h53_one_id_for_two_requests__libjuice_261_262_RFC_3489_9_3", NULL},
    {54, "h54_right_id_from_elsewhere__RFC_5389_7_3_1_2", NULL},
    {55, "h55_test_II_answered_from_the_primary__NatTypeTester_Test2ResponseFromSameAddress", NULL},
    {56, "h56_change_request_honoured_in_part__NatTypeTester_SameIPOnly_SamePort_Test3WrongRemote", NULL},
    {57, "h57_late_duplicate_of_test_I__pion_stun_nat_behaviour", NULL},
    {58, "h58_junk_while_waiting__NatTypeTester_pion", NULL},
    {59, "h59_one_id_two_mapped_addresses__RFC_3489_9_4", NULL},
    {60, "h60_more_than_twice_as_many_responses__RFC_3489_9_4", NULL},
    {61, "h61_flood_of_near_valid_replies__100000_a_second", NULL},
    {62, "h62_error_reply_beats_the_real_one__RFC_5389_16_1_1_RFC_3489_9_4", NULL},
    /* D. Addresses chosen by the server */
    {63, "h63_other_address_unspecified_or_port_0__CVE_2020_26262", NULL},
    {64, "h64_other_address_loopback_multicast_broadcast__coturn_loopback_rules", NULL},
    {65, "h65_private_other_address_from_another_network__reflection", NULL},
    {66, "h66_other_address_v4_mapped__CVE_2026_27624", NULL},
    {67, "h67_other_address_is_a_victim__nICEr_UnsafePortRejectedUDP", NULL},
    {68, "h68_other_address_shares_ip_or_port__coturn_667_NatTypeTester_RFC_5780_6", NULL},
    {69, "h69_other_address_of_another_family__RFC_5780_7_4", NULL},
    {70, "h70_other_address_changes__RFC_5780_7_4", NULL},
    {71, "h71_other_address_is_dead__pjsip_nat_detect_Test_1B", NULL},
    {72, "h72_response_origin_is_not_the_source__RFC_5780_7_3", NULL},
    {73, "h73_mapped_address_that_nobody_has__coturn_669_RFC_3489_12_1", NULL},
    {74, "h74_mapped_equals_local__stunserver_61_RFC_5780_4_4", NULL},
    /* E. Error replies */
    {75, "h75_try_alternate__RFC_5780_5_RFC_5389_11", NULL},
    {76, "h76_420_to_change_request__RFC_5780_5_coturn_natdiscovery", NULL},
    {77, "h77_420_to_response_port_or_padding__RFC_5780_5_RFC_3489_9_4", NULL},
    {78, "h78_420_that_lists_nothing_or_not_ours__RFC_5389_7_3_4", NULL},
    {79, "h79_400_401_438__RFC_5389_7_3_4", NULL},
    {80, "h80_500_for_ever__RFC_5389_7_3_4", NULL},
    {81, "h81_600__RFC_3489_9_4", NULL},
};

/* "h07_what__SOURCE" for 7. */
static bool is_name_of(const char *name, unsigned number)
{
    const char start[] = {'h', (char)('0' + number / 10), (char)('0' + number % 10), '_'};
    if (name == NULL || strncmp(name, start, sizeof start) != 0)
        return false;
    const char *source = strstr(name, "__");
    return source != NULL && source > name + sizeof start && source[2] != '\0';
}

const char *catalogue_fault(const listed *list, size_t count)
{
    if (count != LAST_NUMBER)
        return "not as many as there are inputs";
    for (unsigned i = 0; i < LAST_NUMBER; i++) {
        if (list[i].number != FIRST_NUMBER + i)
            return "a number is missing, or there twice";
        if (!is_name_of(list[i].name, list[i].number))
            return "a name without its number, what it is or its source";
        if (list[i].not_over_sockets != NULL && list[i].not_over_sockets[0] == '\0')
            return "not over sockets, and no reason why";
    }
    return NULL;
}

const hostile_case *find_case(const hostile_case *cases, size_t count, unsigned number)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(cases[i].name, catalogue[number - 1].name) == 0)
            return &cases[i];
    }
    return NULL;
}

bool are_cases_listed(const hostile_case *cases, size_t count)
{
    size_t found = 0;
    for (unsigned number = FIRST_NUMBER; number <= LAST_NUMBER; number++)
        found += find_case(cases, count, number) != NULL;
    return found == count;
}

static bool is_for(const input *in, unsigned number, unsigned use)
{
    return in->number == number && (in->use & use) != 0;
}

size_t count_inputs(unsigned number, unsigned use)
{
    size_t count = 0;
    for (size_t i = 0; i < input_count; i++)
        count += is_for(&inputs[i], number, use);
    return count;
}

unsigned for_each_input(unsigned number, unsigned use, void (*const checks[])(const input *))
{
    unsigned count = 0;
    for (size_t i = 0; i < input_count; i++) {
        if (!is_for(&inputs[i], number, use))
            continue;
        checks[inputs[i].outcome](&inputs[i]);
        count++;
    }
    return count;
}
