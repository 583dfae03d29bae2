/* SPDX-License-Identifier: MIT */
/* classify: every leaf from observations to the RFC 3489 name, and nothing claimed that was not seen. */
#include "classify.h"

#include <string.h>

#include "unit.h"

#define UNKNOWN NP_BEHAVIOUR_UNKNOWN
#define NONE NP_BEHAVIOUR_NONE
#define INDEPENDENT NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define BY_ADDRESS NP_BEHAVIOUR_ADDRESS_DEPENDENT
#define BY_ADDRESS_AND_PORT NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
#define DEPENDENT NP_BEHAVIOUR_ENDPOINT_DEPENDENT

/* ---- Mapping ---------------------------------------------------------------------------------------------------- */

/*
 * Observations are written as one word each: the destination (server A, B, C and its port P, Q), a colon, and the
 * external address (IP as a digit, port as a letter; "==": the local one), with "!" behind it for a tainted one, "~"
 * for a weak one, "@" for one of a socket at another local address.
 */
#define SEEN_MAX 5

static const npi_addr local_address = {.family = NPI_IPV4, .ip = {10, 0, 0, 7}, .port = 5000};
static const npi_addr other_local_address = {.family = NPI_IPV4, .ip = {10, 0, 0, 8}, .port = 5000};

static npi_observation read_word(const char *word)
{
    npi_observation o = {.local = local_address, .witness = (size_t)word[0]};
    o.may_collide = word[5] == '!';
    o.may_be_stale = word[5] == '~';
    o.destination = npi_addr_v4(192, 0, 2, (uint8_t)word[0], word[1] == 'P' ? 3478 : 3479);
    if (word[5] == '@')
        o.local = other_local_address;
    if (word[3] == '=')
        o.external = o.local;
    else
        o.external = npi_addr_v4(203, 0, 113, (uint8_t)word[3], (uint16_t)(5000 + word[4]));
    return o;
}

static size_t read_words(const char *words, npi_observation seen[SEEN_MAX])
{
    size_t count = 0;
    for (const char *word = words; word != NULL && *word != '\0'; count++) {
        assert_true(count < SEEN_MAX && word[2] == ':');
        seen[count] = read_word(word);
        word = strchr(word, ' ');
        word = word == NULL ? NULL : word + 1;
    }
    return count;
}

/* In every order (Heap's algorithm): answers come as they please. */
static void check_every_order(const char *words, npi_observation *seen, size_t count, size_t fixed, int32_t expected)
{
    if (fixed >= count) {
        int32_t mapping = npi_classify_mapping(seen, count);
        if (mapping != expected)
            fail_msg("\"%s\" is %s, not %s", words, np_behaviour_name(mapping), np_behaviour_name(expected));
        return;
    }
    for (size_t i = fixed; i < count; i++) {
        npi_observation kept = seen[fixed];
        seen[fixed] = seen[i];
        seen[i] = kept;
        check_every_order(words, seen, count, fixed + 1, expected);
        seen[i] = seen[fixed];
        seen[fixed] = kept;
    }
}

typedef struct mapping_row {
    const char *words;
    int32_t mapping;
} mapping_row;

static void check_rows(const mapping_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        npi_observation seen[SEEN_MAX];
        size_t n = read_words(rows[i].words, seen);
        check_every_order(rows[i].words, seen, n, 0, rows[i].mapping);
    }
}

static void no_or_one_destination_tells_nothing(void **state)
{
    (void)state;
    static const mapping_row rows[] = {{"", UNKNOWN}, {"AP:1a", UNKNOWN}, {"BQ:1a!", UNKNOWN}};
    check_rows(rows, COUNT(rows));
}

static void equality_needs_two_destination_addresses(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a AQ:1a", UNKNOWN},
        {"AP:1a BP:1a", INDEPENDENT},
        {"AP:1a BQ:1a", INDEPENDENT},
        {"AP:1a AQ:1a BP:1a", INDEPENDENT},
        {"AP:1a BP:1a BQ:1a AQ:1a", INDEPENDENT},
        {"AP:1a BP:1a BQ:1a AQ:1a CP:1a", INDEPENDENT},
    };
    check_rows(rows, COUNT(rows));
}

static void two_plain_servers_tell_dependent_but_not_which_kind(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a CP:1a", INDEPENDENT},
        {"AP:1a CP:1b", DEPENDENT},
        {"AP:1a CP:2a", DEPENDENT}, /* same port, another address of a pool */
        {"AP:1a BP:1b CP:1c", DEPENDENT},
    };
    check_rows(rows, COUNT(rows));
}

static void kind_of_dependence_needs_two_ports_of_one_address(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BP:1b BQ:1b AQ:1a", BY_ADDRESS},    {"AP:1a BP:1b BQ:1b", BY_ADDRESS},
        {"AP:1a AQ:1a BP:1b", BY_ADDRESS},          {"AP:1a AQ:1a CP:1b", BY_ADDRESS},
        {"AP:1a BP:2a BQ:2a", BY_ADDRESS},          {"AP:1a BP:1b BQ:1c AQ:1d", BY_ADDRESS_AND_PORT},
        {"AP:1a BP:1b BQ:1c", BY_ADDRESS_AND_PORT}, {"AP:1a AQ:1b", BY_ADDRESS_AND_PORT},
        {"AP:1a AQ:2a CP:3a", BY_ADDRESS_AND_PORT},
    };
    check_rows(rows, COUNT(rows));
}

static void mixed_observations_are_dependent_of_no_known_kind(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BP:1a BQ:2a", DEPENDENT},       /* equal across addresses, different across ports */
        {"AP:1a BP:1a CP:2b", DEPENDENT},       /* equal for two addresses, different for a third */
        {"AP:1a BP:1a CP:2a", DEPENDENT},       /* the same by a pool */
        {"AP:1a AQ:1a BP:1b BQ:1c", DEPENDENT}, /* one server sees one thing, the other another */
        {"AP:1a AQ:2b BP:1a BQ:2b", DEPENDENT}, /* by port alone: RFC 4787 has no name for it */
    };
    check_rows(rows, COUNT(rows));
}

/* What another program left in a NAT before one with a pool: some servers answer from where the check asks later. */
static void one_that_differs_among_many_is_left_over_in_a_pool(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a AQ:1a BQ:1a BP:2b", UNKNOWN},
        {"AP:1a BP:1a CP:1a BQ:2b", UNKNOWN},
        {"AP:1a AQ:1a BQ:1a BP:2a", DEPENDENT},       /* a pool that keeps the port */
        {"AP:1a AQ:1a BQ:2b", BY_ADDRESS},            /* two that agree are one address of the server */
        {"AP:1a AQ:1a BP:1a BQ:2b BR:3c", DEPENDENT}, /* two that differ */
    };
    check_rows(rows, COUNT(rows));
}

/* What another program left in the NAT, or a restart of it, looks like that. */
static void mixture_in_which_only_ports_differ_is_unknown(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BP:1a BQ:1b", UNKNOWN},
        {"AP:1a BP:1b AQ:1a BQ:1a", UNKNOWN},
        {"AP:1a BP:1a CP:1b", UNKNOWN},
        {"AP:1a AQ:1b BP:1a BQ:1b", UNKNOWN},
        {"AP:1a BP:1b BQ:1c", BY_ADDRESS_AND_PORT}, /* nothing is equal */
    };
    check_rows(rows, COUNT(rows));
}

static void none_needs_every_destination_to_see_the_local_address(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:==", NONE},        {"AP:== BP:==", NONE},    {"AP:== BP:== BQ:== AQ:== CP:==", NONE},
        {"AP:== BQ:==!", NONE}, {"AP:== BP:1a", UNKNOWN}, {"AP:== CP:== BP:1a", UNKNOWN},
    };
    check_rows(rows, COUNT(rows));
}

/* A server that is reached without translation, an exemption or the provider's own, says nothing of the others' NAT. */
static void what_is_seen_without_translation_does_not_count_beside_what_is_translated(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:== BP:1a CP:1a", INDEPENDENT},
        {"AP:== AQ:== BP:1a CP:1a", INDEPENDENT},
        {"AP:== BP:1a CP:1b CQ:1b", BY_ADDRESS},
        {"AP:== BP:1a CP:1b", DEPENDENT},
        {"AP:==! BP:1a CP:1a", INDEPENDENT},
        {"AP:== BP:1a BQ:1b", UNKNOWN}, /* one server's word against another's: either may be the exception, or wrong */
        {"AP:== BP:1a BQ:1a AQ:1a", INDEPENDENT}, /* A contradicts itself, and B does not stand alone */
    };
    check_rows(rows, COUNT(rows));
}

/* Of two that name addresses of two networks one may be wrong, or the NAT has two lines. A pool lies in one network. */
static void word_against_word_is_no_mapping(void **state)
{
    (void)state;
    static const npi_addr other = {NPI_IPV4, {198, 51, 100, 1}, 5097, 0};
    static const mapping_row rows[] = {{"AP:1a CP:2a", DEPENDENT}, {"AP:1a CP:1b", DEPENDENT}};
    check_rows(rows, COUNT(rows));
    npi_observation seen[] = {read_word("AP:1a"), read_word("CP:1a"), read_word("BP:1a")};
    seen[1].external = other;
    assert_int_equal(npi_classify_mapping(seen, 2), UNKNOWN);
    assert_int_equal(npi_classify_mapping(seen, 3), DEPENDENT);
    npi_observation line[] = {read_word("AP:1a"), read_word("BP:1a"), read_word("BQ:1b~")};
    line[2].external = other;
    line[2].external.port++;
    check_every_order("AP:1a BP:1a BQ:other network~", line, 3, 0, DEPENDENT);
    seen[2].witness = seen[0].witness; /* both its addresses say the same: it is one word all the same */
    check_every_order("AP:1a BP:1a CP:other network", seen, 3, 0, UNKNOWN);
    seen[2].external.port++; /* it sees a difference itself */
    check_every_order("AP:1a BP:1b CP:other network", seen, 3, 0, DEPENDENT);
    seen[1].witness = seen[0].witness; /* one server's two addresses */
    assert_int_equal(npi_classify_mapping(seen, 2), DEPENDENT);
}

/* Every destination that a NAT's mapping depends on sees another address: no two servers would agree. */
static void a_lone_dissenter_is_the_one_that_two_or_more_contradict(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        char dissenter; /* '-': none */
    } rows[] = {
        {"AP:1a BP:1a CP:2b", 'C'},
        {"AP:2b BP:1a CP:1a", 'A'},
        {"AP:1a BP:1a CP:1b", 'C'},       /* also where the port alone differs */
        {"AP:1a BP:1a CP:2a", '-'},       /* unless the address alone does: a pool, chosen by destination */
        {"AP:1a BP:1a CP:2b CQ:3c", 'C'}, /* all that it says */
        {"AP:1a BP:1a CP:1a CQ:2b", 'C'}, /* also where it agrees from one port */
        {"AP:1a AQ:1a BP:1a CP:2b", 'C'}, /* of a server with two addresses all agree */
        {"AP:1a AQ:1b BP:1a CP:2b", '-'}, /* here they do not: the NAT may do that */
        {"AP:1a AQ:1a CP:2b", '-'},       /* two addresses of one server are one witness */
        {"AP:1a CP:2b", '-'},             /* word against word */
        {"AP:1a BP:1b CP:1c", '-'},       /* no two agree: a symmetric NAT */
        {"AP:1a BP:1a CP:1a", '-'},       /* no one dissents */
        {"AP:== BP:1a CP:1a", '-'},       /* no NAT on its way is no error */
        {"AP:== BP:== CP:1a", 'C'},       /* a NAT that nobody else sees is */
        {"AP:1a BP:1a CP:1b!", '-'},      /* it may have another reason */
        {"AP:1a BP:1a CP:2b@", '-'},      /* another way out */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_observation seen[SEEN_MAX];
        size_t n = read_words(rows[i].words, seen);
        size_t found = npi_classify_dissenter(seen, n);
        char name = found < n ? (char)seen[found].witness : '-';
        if (name != rows[i].dissenter)
            fail_msg("\"%s\": %c dissents, not %c", rows[i].words, name, rows[i].dissenter);
    }
    assert_int_equal(npi_classify_dissenter(NULL, 0), 0);
    npi_observation far[] = {read_word("AP:1a"), read_word("CP:1a"), read_word("DP:1a")};
    far[2].external.ip[0] ^= 1; /* of another network, if with the same port: no pool looks like that */
    assert_int_equal(npi_classify_dissenter(far, 3), 2);
    npi_observation seen[] = {read_word("AP:1a"), read_word("AQ:1a"), read_word("CP:1b")};
    seen[1].witness = 'X'; /* two servers at one IP address, as some lists name them */
    assert_int_equal(npi_classify_dissenter(seen, 3), 3);
    assert_int_equal(npi_classify_mapping(seen, 3), BY_ADDRESS);
}

/* Two ways out of this host lead through two NATs, or through none: no difference between them is a NAT's. */
static void sockets_at_different_local_addresses_are_not_compared(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BP:1a@", UNKNOWN},
        {"AP:1a BP:2a@", UNKNOWN},
        {"AP:1a AQ:1b@", UNKNOWN},
        {"AP:1a BP:1a CP:2b@", INDEPENDENT},
        {"AP:1a BP:1b CP:1a@", DEPENDENT},
        {"AP:1a BP:1a AQ:2a@ BQ:3a@", DEPENDENT}, /* on each way its own pairs are compared */
        {"AP:== BP:==@", NONE},
        {"AP:== BP:1a@", UNKNOWN},
        {"AP:1a BP:1b! CP:1b@", UNKNOWN},
    };
    check_rows(rows, COUNT(rows));
}

static void an_unknown_local_address_is_compared_with_any(void **state)
{
    (void)state;
    npi_observation two[2] = {read_word("AP:1a"), read_word("BP:1a@")};
    memset(&two[0].local, 0, sizeof two[0].local);
    assert_int_equal(npi_classify_mapping(two, 2), INDEPENDENT);
}

static void only_the_local_address_itself_is_no_translation(void **state)
{
    (void)state;
    npi_observation o = read_word("AP:==");
    assert_true(npi_classify_is_untranslated(&o));
    o.external.port++;
    assert_false(npi_classify_is_untranslated(&o));
    o = read_word("AP:1a");
    assert_false(npi_classify_is_untranslated(&o));
    memset(&o.external, 0, sizeof o.external);
    memset(&o.local, 0, sizeof o.local);
    assert_false(npi_classify_is_untranslated(&o)); /* nothing is known of either */
}

static void another_port_of_the_local_address_is_a_translation(void **state)
{
    (void)state;
    npi_observation o = read_word("AP:==");
    o.external.port++;
    assert_int_equal(npi_classify_mapping(&o, 1), UNKNOWN);
    npi_observation two[2] = {o, o};
    two[1].destination = npi_addr_v4(192, 0, 2, 'B', 3478);
    assert_int_equal(npi_classify_mapping(two, 2), INDEPENDENT);
}

static void unknown_local_address_is_never_no_translation(void **state)
{
    (void)state;
    npi_observation two[2] = {read_word("AP:=="), read_word("BP:==")};
    memset(&two[0].local, 0, sizeof two[0].local);
    memset(&two[1].local, 0, sizeof two[1].local);
    assert_int_equal(npi_classify_mapping(two, 1), UNKNOWN);
    assert_int_equal(npi_classify_mapping(two, 2), INDEPENDENT);
}

/* The conntrack trap: an unsolicited datagram at the NAT makes it choose another port, whatever its way of mapping. */
static void tainted_difference_does_not_outweigh_clean_equality(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BP:1a BQ:1b!", INDEPENDENT},        {"AP:1a BP:1a BQ:1b! AQ:1a", INDEPENDENT},
        {"AP:1a BP:1a BQ:1b! AQ:1c!", INDEPENDENT}, {"AP:1a CP:1a BQ:1b!", INDEPENDENT},
        {"AP:1a BP:1a BQ:1a! AQ:1a!", INDEPENDENT},
    };
    check_rows(rows, COUNT(rows));
}

static void tainted_equality_is_equality(void **state)
{
    (void)state;
    static const mapping_row rows[] = {{"AP:1a BQ:1a!", INDEPENDENT}, {"AP:1a AQ:1a!", UNKNOWN}};
    check_rows(rows, COUNT(rows));
}

/* B's two ports may agree by chance: where A's differ, if for a reason of their own, the kind is not known. */
static void tainted_difference_between_ports_leaves_the_kind_open(void **state)
{
    static const mapping_row rows[] = {
        {"AP:1a BP:1b BQ:1b AQ:1c!", DEPENDENT},
        {"AP:1a BP:1b BQ:1b AQ:1a!", BY_ADDRESS},
        {"AP:1a BP:1b BQ:1c AQ:1d!", BY_ADDRESS_AND_PORT},
    };
    (void)state;
    check_rows(rows, COUNT(rows));
}

static void tainted_difference_alone_proves_no_dependence(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BQ:1b!", UNKNOWN},
        {"AP:1a AQ:1b!", UNKNOWN},
        {"AP:1a AQ:1a BQ:1b!", UNKNOWN},
        {"AP:1a AQ:1c! BQ:1b!", UNKNOWN},
    };
    check_rows(rows, COUNT(rows));
}

static void dependence_is_told_by_clean_differences(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BP:1b BQ:1c! AQ:1d!", DEPENDENT}, /* the ports of B may differ for another reason */
        {"AP:1a BP:1b BQ:1c AQ:1d!", BY_ADDRESS_AND_PORT},
        {"AP:1a BP:1b BQ:1b! AQ:1a!", BY_ADDRESS},
        {"AP:1a BP:1b BQ:1a!", UNKNOWN},
        {"AP:1a CP:1b BQ:1a!", UNKNOWN},
    };
    check_rows(rows, COUNT(rows));
}

/* What an earlier check from the same port left in a Linux NAT: one of A:Q and B:Q differs, all the others agree. */
static void single_weak_difference_does_not_outweigh_agreement(void **state)
{
    (void)state;
    static const mapping_row rows[] = {
        {"AP:1a BP:1a BQ:1a~ AQ:1b~", INDEPENDENT},
        {"AP:1a BP:1a BQ:1b~ AQ:1a~", INDEPENDENT},
        {"AP:1a BP:1a BQ:1b~ AQ:1c~", UNKNOWN}, /* both left over, or equal by chance at B:P */
        {"AP:1a BP:1a BQ:2b~ AQ:3c~", UNKNOWN}, /* the same, and a second NAT with a pool */
        {"AP:1a BP:1a BQ:2b~", UNKNOWN},
        {"AP:1a BP:1a BQ:2b~ AQ:2b~", DEPENDENT}, /* two that agree */
        {"AP:1a BP:1a BQ:2a~ AQ:3c~", DEPENDENT}, /* the port is kept */
        {"AP:1a BP:2b BQ:3c~ AQ:4d~", BY_ADDRESS_AND_PORT},
        {"AP:1a BQ:3c~ AQ:4d~", BY_ADDRESS_AND_PORT},
        {"AP:1a BP:1b BQ:1c~ AQ:1d~", BY_ADDRESS_AND_PORT},
        {"AP:1a BP:1b BQ:1b~ AQ:1a~", BY_ADDRESS},
        {"AP:1a AQ:1b~", UNKNOWN},
        {"AP:1a CP:1c AQ:1b~", BY_ADDRESS_AND_PORT},
    };
    check_rows(rows, COUNT(rows));
}

/* ---- Answers to CHANGE-REQUEST ---------------------------------------------------------------------------------- */

static void change_is_told_by_the_source_of_the_answer(void **state)
{
    (void)state;
    const npi_addr sent_to = npi_addr_v4(192, 0, 2, 1, 3478);
    const npi_addr both = npi_addr_v4(192, 0, 2, 2, 3479);
    const npi_addr port_only = npi_addr_v4(192, 0, 2, 1, 3479);
    const npi_addr ip_only = npi_addr_v4(192, 0, 2, 2, 3478);
    const npi_addr stranger = npi_addr_v4(203, 0, 113, 5, 3479);
    const struct {
        npi_addr expected, from;
        npi_change change;
    } rows[] = {
        {both, both, NPI_CHANGE_HONOURED},        {both, sent_to, NPI_CHANGE_IGNORED},
        {both, port_only, NPI_CHANGE_PARTIAL},    {both, ip_only, NPI_CHANGE_PARTIAL},
        {both, stranger, NPI_CHANGE_PARTIAL},     {port_only, port_only, NPI_CHANGE_HONOURED},
        {port_only, sent_to, NPI_CHANGE_IGNORED}, {port_only, both, NPI_CHANGE_PARTIAL},
        {port_only, ip_only, NPI_CHANGE_PARTIAL}, {port_only, stranger, NPI_CHANGE_PARTIAL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(npi_classify_change(&sent_to, &rows[i].expected, &rows[i].from, true), rows[i].change);
        assert_int_equal(npi_classify_change(&sent_to, &rows[i].expected, &rows[i].from, false), NPI_CHANGE_REJECTED);
    }
}

/* ---- Filtering -------------------------------------------------------------------------------------------------- */

static const npi_change changes[] = {NPI_CHANGE_PENDING, NPI_CHANGE_HONOURED, NPI_CHANGE_IGNORED,
                                     NPI_CHANGE_PARTIAL, NPI_CHANGE_REJECTED, NPI_CHANGE_SILENT};

static void test_ii_answered_is_endpoint_independent_filtering(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++)
        assert_int_equal(npi_classify_filtering(NPI_CHANGE_HONOURED, changes[i]), INDEPENDENT);
}

static void test_ii_silent_leaves_it_to_test_iii(void **state)
{
    (void)state;
    assert_int_equal(npi_classify_filtering(NPI_CHANGE_SILENT, NPI_CHANGE_HONOURED), BY_ADDRESS);
    assert_int_equal(npi_classify_filtering(NPI_CHANGE_SILENT, NPI_CHANGE_SILENT), BY_ADDRESS_AND_PORT);
    assert_int_equal(npi_classify_filtering(NPI_CHANGE_SILENT, NPI_CHANGE_PENDING), DEPENDENT);
}

static void what_speaks_about_the_server_says_nothing_of_the_filter(void **state)
{
    (void)state;
    static const npi_change of_server[] = {NPI_CHANGE_PENDING, NPI_CHANGE_IGNORED, NPI_CHANGE_PARTIAL,
                                           NPI_CHANGE_REJECTED};
    for (size_t i = 0; i < COUNT(of_server); i++) {
        for (size_t j = 0; j < COUNT(changes); j++)
            assert_int_equal(npi_classify_filtering(of_server[i], changes[j]), UNKNOWN);
        /* That II is filtered is known all the same, only of III nothing is. */
        assert_int_equal(npi_classify_filtering(NPI_CHANGE_SILENT, of_server[i]), DEPENDENT);
    }
}

/* ---- RFC 3489 types --------------------------------------------------------------------------------------------- */

static void every_pair_has_its_type(void **state)
{
    (void)state;
    enum { U = NP_NAT_UNKNOWN, OPEN = NP_NAT_OPEN_INTERNET, FULL = NP_NAT_FULL_CONE, SYM = NP_NAT_SYMMETRIC };
    enum { REST = NP_NAT_RESTRICTED_CONE, PORT = NP_NAT_PORT_RESTRICTED_CONE, FW = NP_NAT_SYMMETRIC_UDP_FIREWALL };
    enum { CONE = NP_NAT_CONE, NO = NP_NAT_NO_NAT };
    static const int32_t types[6][6] = {
        /* filtering:      unknown none  indep. address  and port  dependent */
        [UNKNOWN] = {U, U, U, U, U, U},
        [NONE] = {NO, NO, OPEN, FW, FW, FW},
        [INDEPENDENT] = {CONE, CONE, FULL, REST, PORT, CONE},
        [BY_ADDRESS] = {SYM, SYM, SYM, SYM, SYM, SYM},
        [BY_ADDRESS_AND_PORT] = {SYM, SYM, SYM, SYM, SYM, SYM},
        [DEPENDENT] = {SYM, SYM, SYM, SYM, SYM, SYM},
    };
    for (int32_t mapping = 0; mapping < 6; mapping++) {
        for (int32_t filtering = 0; filtering < 6; filtering++)
            assert_int_equal(npi_classify_type(mapping, filtering), types[mapping][filtering]);
    }
}

static void values_that_are_no_behaviour_have_no_type(void **state)
{
    (void)state;
    static const int32_t wrong[] = {-1, 6, 99, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_int_equal(npi_classify_type(wrong[i], INDEPENDENT), NP_NAT_UNKNOWN);
}

/* ---- Addresses --------------------------------------------------------------------------------------------------- */

static void classes_of_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *first, *last; /* of the range, both in it */
        int32_t class;
    } rows[] = {
        {"1.0.0.0", "9.255.255.255", NP_ADDRESS_GLOBAL},
        {"10.0.0.0", "10.255.255.255", NP_ADDRESS_PRIVATE},
        {"11.0.0.0", "100.63.255.255", NP_ADDRESS_GLOBAL},
        {"100.64.0.0", "100.127.255.255", NP_ADDRESS_SHARED},
        {"100.128.0.0", "126.255.255.255", NP_ADDRESS_GLOBAL},
        {"127.0.0.0", "127.255.255.255", NP_ADDRESS_LOOPBACK},
        {"128.0.0.0", "169.253.255.255", NP_ADDRESS_GLOBAL},
        {"169.254.0.0", "169.254.255.255", NP_ADDRESS_LINK_LOCAL},
        {"169.255.0.0", "172.15.255.255", NP_ADDRESS_GLOBAL},
        {"172.16.0.0", "172.31.255.255", NP_ADDRESS_PRIVATE},
        {"172.32.0.0", "191.255.255.255", NP_ADDRESS_GLOBAL},
        {"192.0.0.0", "192.0.0.7", NP_ADDRESS_SERVICE_CONTINUITY},
        {"192.0.0.8", "192.167.255.255", NP_ADDRESS_GLOBAL},
        {"192.168.0.0", "192.168.255.255", NP_ADDRESS_PRIVATE},
        {"192.169.0.0", "198.17.255.255", NP_ADDRESS_GLOBAL},
        {"198.18.0.0", "198.19.255.255", NP_ADDRESS_BENCHMARK},
        {"198.20.0.0", "223.255.255.255", NP_ADDRESS_GLOBAL},
        {"224.0.0.0", "255.255.255.255", NP_ADDRESS_UNKNOWN},
        {"0.0.0.0", "0.255.255.255", NP_ADDRESS_UNKNOWN},
        {"::", "::", NP_ADDRESS_UNKNOWN},
        {"::1", "::1", NP_ADDRESS_LOOPBACK},
        {"2000::", "2001:ffff::", NP_ADDRESS_GLOBAL},
        {"fbff::", "fbff::", NP_ADDRESS_GLOBAL},
        {"fc00::", "fdff:ffff::", NP_ADDRESS_UNIQUE_LOCAL},
        {"fe80::", "febf:ffff::1", NP_ADDRESS_LINK_LOCAL},
        {"ff02::1", "ffff::", NP_ADDRESS_UNKNOWN},
        {"::ffff:192.168.0.1", "::ffff:10.0.0.1", NP_ADDRESS_PRIVATE},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_addr first, last;
        assert_true(npi_addr_parse_ip(rows[i].first, &first) && npi_addr_parse_ip(rows[i].last, &last));
        if (npi_classify_address(&first) != rows[i].class || npi_classify_address(&last) != rows[i].class)
            fail_msg("%s to %s: %d and %d", rows[i].first, rows[i].last, npi_classify_address(&first),
                     npi_classify_address(&last));
    }
    const npi_addr none = {.family = NPI_FAMILY_NONE};
    assert_int_equal(npi_classify_address(&none), NP_ADDRESS_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_or_one_destination_tells_nothing),
        cmocka_unit_test(equality_needs_two_destination_addresses),
        cmocka_unit_test(two_plain_servers_tell_dependent_but_not_which_kind),
        cmocka_unit_test(kind_of_dependence_needs_two_ports_of_one_address),
        cmocka_unit_test(mixed_observations_are_dependent_of_no_known_kind),
        cmocka_unit_test(one_that_differs_among_many_is_left_over_in_a_pool),
        cmocka_unit_test(mixture_in_which_only_ports_differ_is_unknown),
        cmocka_unit_test(none_needs_every_destination_to_see_the_local_address),
        cmocka_unit_test(what_is_seen_without_translation_does_not_count_beside_what_is_translated),
        cmocka_unit_test(word_against_word_is_no_mapping),
        cmocka_unit_test(a_lone_dissenter_is_the_one_that_two_or_more_contradict),
        cmocka_unit_test(sockets_at_different_local_addresses_are_not_compared),
        cmocka_unit_test(an_unknown_local_address_is_compared_with_any),
        cmocka_unit_test(only_the_local_address_itself_is_no_translation),
        cmocka_unit_test(another_port_of_the_local_address_is_a_translation),
        cmocka_unit_test(unknown_local_address_is_never_no_translation),
        cmocka_unit_test(tainted_difference_does_not_outweigh_clean_equality),
        cmocka_unit_test(tainted_equality_is_equality),
        cmocka_unit_test(tainted_difference_alone_proves_no_dependence),
        cmocka_unit_test(tainted_difference_between_ports_leaves_the_kind_open),
        cmocka_unit_test(dependence_is_told_by_clean_differences),
        cmocka_unit_test(single_weak_difference_does_not_outweigh_agreement),
        cmocka_unit_test(change_is_told_by_the_source_of_the_answer),
        cmocka_unit_test(test_ii_answered_is_endpoint_independent_filtering),
        cmocka_unit_test(test_ii_silent_leaves_it_to_test_iii),
        cmocka_unit_test(what_speaks_about_the_server_says_nothing_of_the_filter),
        cmocka_unit_test(every_pair_has_its_type),
        cmocka_unit_test(values_that_are_no_behaviour_have_no_type),
        cmocka_unit_test(classes_of_addresses),
    };
    return cmocka_run_group_tests_name("classify", tests, NULL, NULL);
}
