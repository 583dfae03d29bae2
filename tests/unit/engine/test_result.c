/* SPDX-License-Identifier: MIT */
/* result: every field of np_result and every text, from facts made by hand. */
#include "engine/result.h"

#include <string.h>

#include "build.h"

#define RTT 40
#define PORT 40000
#define OTHER 41000

#define UNKNOWN NP_BEHAVIOUR_UNKNOWN
#define INDEPENDENT NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define DEPENDENT NP_BEHAVIOUR_ENDPOINT_DEPENDENT

/* Two servers asked at one moment: the first sees PORT, the second this. Each has a trial that is over. */
static void two_servers(build *b, uint16_t second_sees)
{
    const npi_addr seen[] = {build_external(PORT), build_external(second_sees)};
    build_init(b);
    for (int i = 0; i < 2; i++) {
        npi_server *s = build_answering_server(b, RTT);
        build_sees(s, &seen[i], AT(0), AT(RTT));
        build_decided(build_trial(b, s), UNKNOWN, false, NPI_REASON_NO_ALTERNATE, NPI_PHASE_DONE);
    }
    b->f.done = true;
    b->f.end_ns = AT(90);
}

/* Into memory that is not zero, so that a byte left out shows. */
static np_result written(const build *b)
{
    np_result r;
    memset(&r, 0xa5, sizeof r);
    npi_result_write(&b->f, AT(5000), &r);
    return r;
}

/* ---- Every field ------------------------------------------------------------------------------------------------ */

static void every_byte_of_a_verdict(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, PORT);
    build_decided(&b.trials[1], NP_BEHAVIOUR_ADDRESS_DEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    build_rtt(&b.servers[1].rtt, 55);
    const npi_addr seen = build_external(PORT);
    build_observe(&b.servers[1].x[NPI_PRIMARY], &seen, AT(0), AT(RTT));
    b.f.os_error = 7;
    b.f.traffic.sent = 31;
    b.f.traffic.received = 17;
    b.f.evidence = NP_EVIDENCE_ANSWERED | NP_EVIDENCE_ALTERNATE;
    np_result wanted = {
        .error = NP_OK,
        .nat_type = NP_NAT_RESTRICTED_CONE,
        .mapping = INDEPENDENT,
        .filtering = NP_BEHAVIOUR_ADDRESS_DEPENDENT,
        .evidence = NP_EVIDENCE_ANSWERED | NP_EVIDENCE_ALTERNATE | NP_EVIDENCE_SECOND_SERVER |
                    NP_EVIDENCE_MAPPING_PROVEN | NP_EVIDENCE_FILTERING_PROVEN,
        .os_error = 7,
        .packets_sent = 31,
        .packets_received = 17,
        .rtt_us = 55000,
        .elapsed_us = 90000,
        .external_port = PORT,
        .local_port = 40000,
        .external_ip = "192.0.2.77",
        .local_ip = "10.0.0.7",
        .server = "198.51.100.11:3478",
        .local_class = NP_ADDRESS_PRIVATE,
        .ports_seen = 1,
        .ports_kept = 1,
        .external_ips = 1,
        .local_ips = 1,
    };
    np_result r = written(&b);
    assert_memory_equal(&r, &wanted, sizeof r);
    b.f.done = false;
    EXPECT_EQUAL("Before the end the time counts until now.", written(&b).elapsed_us, 5000000);
}

static void every_byte_of_nothing(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    b.f.error = NP_ERR_NO_RESPONSE;
    b.f.done = true;
    b.f.end_ns = AT(3000);
    b.f.traffic.first_sent_ns = T0;
    np_result wanted = {
        .error = NP_ERR_NO_RESPONSE,
        .nat_type = NP_NAT_UDP_BLOCKED,
        .elapsed_us = 3000000,
        .detail = "no server answered any request: UDP is blocked, or the servers are down",
    };
    np_result r = written(&b);
    assert_memory_equal(&r, &wanted, sizeof r);
}

/* ---- Which server ----------------------------------------------------------------------------------------------- */

static void server_is_the_one_the_verdict_rests_on(void **state)
{
    (void)state;
    enum { NOTHING, ANSWERED, SEEN };
    static const struct {
        const char *sentence;
        int first, second;
        bool first_has_trial, second_has_trial, second_has_filtering;
        const char *server;
    } rows[] = {
        {"The one that told the filtering.", SEEN, ANSWERED, true, true, true, "198.51.100.11:3478"},
        {"Otherwise the first that has seen the socket.", SEEN, SEEN, false, false, false, "198.51.100.10:3478"},
        {"With a trial before one without.", SEEN, SEEN, false, true, false, "198.51.100.11:3478"},
        {"Wherever that stands.", SEEN, SEEN, true, false, false, "198.51.100.10:3478"},
        {"Of two with a trial the first.", SEEN, SEEN, true, true, false, "198.51.100.10:3478"},
        {"One that only its filtering socket has heard will do.", NOTHING, ANSWERED, true, true, false,
         "198.51.100.11:3478"},
        {"One that answered without telling anything will not.", NOTHING, ANSWERED, false, false, false, ""},
        {"One that never answered will not, trial or not.", NOTHING, NOTHING, true, true, false, ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        const npi_addr external = build_external(PORT);
        const int known[] = {rows[i].first, rows[i].second};
        const bool has_trial[] = {rows[i].first_has_trial, rows[i].second_has_trial};
        build_init(&b);
        for (int k = 0; k < 2; k++) {
            npi_server *s = known[k] == NOTHING ? build_asked_server(&b) : build_answering_server(&b, RTT);
            if (known[k] == SEEN)
                build_sees(s, &external, AT(0), AT(RTT));
            if (has_trial[k])
                build_trial(&b, s);
        }
        if (rows[i].second_has_filtering)
            build_decided(&b.trials[1], INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
        np_result r = written(&b);
        EXPECT(rows[i].sentence, strcmp(r.server, rows[i].server) == 0);
        EXPECT_EQUAL("Its round trip goes with it.", r.rtt_us, rows[i].server[0] != '\0' ? RTT * 1000 : 0);
    }
}

static void addresses_are_those_that_its_server_saw(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, OTHER);
    build_decided(&b.trials[1], INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT_EQUAL("What the server of the verdict saw.", written(&b).external_port, OTHER);
    b.servers[1].has_mapping = false;
    EXPECT_EQUAL("If it saw nothing, what another one did.", written(&b).external_port, PORT);
    b.servers[0].has_mapping = false;
    np_result r = written(&b);
    EXPECT("If none did, nothing.", r.external_port == 0 && r.external_ip[0] == '\0' && r.local_port == 0);
}

static void addresses_are_not_those_of_a_server_that_is_left_out(void **state)
{
    (void)state;
    static build b;
    const npi_addr external = build_external(PORT);
    for (int is_exempt = 0; is_exempt < 2; is_exempt++) {
        two_servers(&b, PORT);
        b.servers[0].observed.external = is_exempt ? build_local() : build_external(OTHER);
        build_sees(build_answering_server(&b, RTT), &external, AT(0), AT(RTT));
        EXPECT_EQUAL("Two others see the NAT.", written(&b).mapping, INDEPENDENT);
        EXPECT_EQUAL("The first server is not the verdict's.", written(&b).external_port, PORT);
        b.servers[1].has_mapping = false; /* its filtering socket alone has heard it */
        build_sees(build_answering_server(&b, RTT), &external, AT(0), AT(RTT));
        EXPECT_EQUAL("Nor is its address that of another.", written(&b).external_port, PORT);
    }
}

/* The first server names another network than two others, whose ports differ: the mapping is dependent. */
static void an_address_that_two_servers_contradict_is_not_reported(void **state)
{
    (void)state;
    static build b;
    const npi_addr external = build_external(OTHER + 1);
    two_servers(&b, PORT);
    build_sees(build_answering_server(&b, RTT), &external, AT(0), AT(RTT));
    b.servers[0].observed.external = build_external(OTHER);
    b.servers[0].observed.external.ip[0] ^= 1;
    EXPECT("It is that of one of the two.", written(&b).external_port != OTHER);
}

/* ---- What is known ---------------------------------------------------------------------------------------------- */

static void error_leaves_what_needs_no_confirmation(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        int32_t error;
        bool untranslated;
        int32_t type, mapping, filtering;
        uint16_t port;
    } rows[] = {
        {"With a verdict the type follows from both.", NP_OK, false, NP_NAT_FULL_CONE, INDEPENDENT, INDEPENDENT, PORT},
        {"Without one the mapping is not said.", NP_ERR_TIMEOUT, false, NP_NAT_UNKNOWN, UNKNOWN, INDEPENDENT, PORT},
        {"But that there is none.", NP_ERR_TIMEOUT, true, NP_NAT_UNKNOWN, NP_BEHAVIOUR_NONE, INDEPENDENT, 40000},
        {"After a change no address is.", NP_ERR_ADDRESS_CHANGED, false, NP_NAT_UNKNOWN, UNKNOWN, UNKNOWN, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        two_servers(&b, PORT);
        build_decided(&b.trials[0], INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
        if (rows[i].untranslated)
            b.servers[0].observed.external = b.servers[1].observed.external = build_local();
        b.f.error = rows[i].error;
        np_result r = written(&b);
        EXPECT_EQUAL(rows[i].sentence, r.error, rows[i].error);
        EXPECT_EQUAL(rows[i].sentence, r.nat_type, rows[i].type);
        EXPECT_EQUAL(rows[i].sentence, r.mapping, rows[i].mapping);
        EXPECT_EQUAL(rows[i].sentence, r.filtering, rows[i].filtering);
        EXPECT_EQUAL(rows[i].sentence, r.external_port, rows[i].port);
        EXPECT_EQUAL(rows[i].sentence, r.external_ip[0] != '\0', rows[i].port != 0);
        EXPECT_EQUAL("The local port is known all the same.", r.local_port, 40000);
        bool proven = rows[i].filtering != UNKNOWN;
        EXPECT_EQUAL(rows[i].sentence, (r.evidence & NP_EVIDENCE_FILTERING_PROVEN) != 0, proven);
        EXPECT_EQUAL(rows[i].sentence, (r.evidence & NP_EVIDENCE_MAPPING_PROVEN) != 0, rows[i].mapping != UNKNOWN);
    }
}

static void error_leaves_no_silence_that_rests_on_the_mapping(void **state)
{
    (void)state;
    for (int proven = 0; proven < 2; proven++) {
        static build b;
        two_servers(&b, OTHER);
        build_decided(&b.trials[0], DEPENDENT, proven, NPI_REASON_NONE, NPI_PHASE_DONE);
        EXPECT_EQUAL("With a verdict it is said as measured.", written(&b).filtering, DEPENDENT);
        b.f.error = NP_ERR_TIMEOUT;
        EXPECT_EQUAL("Without one it takes a control.", written(&b).filtering, proven ? DEPENDENT : UNKNOWN);
    }
}

static void evidence_says_what_was_seen(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, PORT);
    EXPECT_EQUAL("Two servers that saw the socket.", written(&b).evidence,
                 NP_EVIDENCE_SECOND_SERVER | NP_EVIDENCE_MAPPING_PROVEN);
    npi_addr address = b.servers[1].address;
    b.servers[1].address = build_a(0, BUILD_Q);
    EXPECT_EQUAL("Two at one IP address are no second.", written(&b).evidence & NP_EVIDENCE_SECOND_SERVER, 0);
    b.servers[1].address = address;
    b.servers[1].has_mapping = false;
    EXPECT_EQUAL("One is no second.", written(&b).evidence, 0);
    b.f.evidence = NP_EVIDENCE_ALG;
    EXPECT_EQUAL("What was noted on the way stays.", written(&b).evidence, NP_EVIDENCE_ALG);
    b.f.evidence = 0;
    build_decided(&b.trials[1], DEPENDENT, false, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT_EQUAL("Filtering as measured is not proven.", written(&b).evidence, 0);
    b.trials[1].finding.proven = true;
    EXPECT_EQUAL("Proven it is.", written(&b).evidence, NP_EVIDENCE_FILTERING_PROVEN);
    build_send_copies(&b.trials[1].filtering.x[NPI_F_I], 2, AT(0), 0);
    build_answer(&b.trials[1].filtering.x[NPI_F_I], AT(RTT));
    build_now(&b, AT(RTT + 4) - 1);
    EXPECT_EQUAL("A copy that may still be answered is no loss.", written(&b).evidence, NP_EVIDENCE_FILTERING_PROVEN);
    build_now(&b, AT(RTT + 4));
    EXPECT_EQUAL("One that is old is.", written(&b).evidence, NP_EVIDENCE_FILTERING_PROVEN | NP_EVIDENCE_LOSS);
    b.servers[1].trial = -1;
    EXPECT_EQUAL("Losses are counted in trials.", written(&b).evidence, 0);
}

/* ---- Texts ------------------------------------------------------------------------------------------------------ */

static void check_detail(const build *b, const char *wanted)
{
    np_result r = written(b);
    assert_string_equal(r.detail, wanted);
    for (size_t i = strlen(wanted); i < sizeof r.detail; i++)
        assert_int_equal(r.detail[i], 0);
}

static void unknown_filtering_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        npi_reason reason;
        const char *detail;
    } rows[] = {
        {NPI_REASON_NONE, "filtering unknown: the test could not be finished"}, /* they have a second address */
        {NPI_REASON_NO_ALTERNATE, "filtering unknown: no server that answered has a second address (RFC 5780) to test "
                                  "it from: name one that has"},
        {NPI_REASON_REFUSED,
         "filtering unknown: the server named a second address to which nothing may be sent: name another server"},
        {NPI_REASON_IGNORED,
         "filtering unknown: the server ignores what the test asks for (CHANGE-REQUEST): name another server"},
        {NPI_REASON_PARTIAL, "filtering unknown: the server does only part of what the test asks for (CHANGE-REQUEST): "
                             "name another server"},
        {NPI_REASON_REWRITTEN,
         "filtering unknown: a router on the path rewrites the source address of unsolicited datagrams"},
        {NPI_REASON_REJECTED,
         "filtering unknown: the server refuses what the test asks for (CHANGE-REQUEST): name another server"},
        {NPI_REASON_CONTROL, "filtering unknown: the server, or the path to it, drops what the test asks for "
                             "(CHANGE-REQUEST; the control stayed silent): name another server"},
        {NPI_REASON_RATIONED,
         "filtering unknown: the server answers so few requests with CHANGE-REQUEST that the silence "
         "of one shows nothing: name another server"},
        {NPI_REASON_SLOW,
         "filtering unknown: the server answers too slowly to tell silence from a queue: name another server"},
        {NPI_REASON_SHUT_OUT, "filtering unknown: the servers fell silent during the test: a router may block servers "
                              "that send unsolicited datagrams"},
        {NPI_REASON_LOSS, "filtering unknown: too many datagrams are lost to tell silence from loss: try again"},
        {NPI_REASON_CONTRADICTION,
         "filtering unknown: an answer came after its absence had been taken for filtering: try again"},
        {NPI_REASON_NOT_FRESH,
         "filtering unknown: the server's other address had been asked before the test could be made"},
        {NPI_REASON_OTHER_PATH, "filtering unknown: other ports of this host take another way than the checked one: "
                                "their external or local address is another"},
        {NPI_REASON_NO_SOCKET, "filtering unknown: the system gave no second socket to test it from"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        two_servers(&b, PORT);
        b.trials[0].finding.reason = rows[i].reason;
        b.trials[1].finding.reason = NPI_REASON_NONE;
        check_detail(&b, rows[i].detail);
        b.servers[0].trial = 1; /* whichever comes first */
        b.servers[1].trial = 0;
        check_detail(&b, rows[i].detail);
    }
}

static void reason_is_the_one_that_says_most(void **state)
{
    (void)state;
    static const char refused
        [] = "filtering unknown: the server named a second address to which nothing may be sent: name another server";
    static const char unfinished[] = "filtering unknown: the test could not be finished";
    static const char lost[] = "filtering unknown: too many datagrams are lost to tell silence from loss: try again";
    static build b;
    two_servers(&b, PORT);
    b.trials[0].finding.reason = NPI_REASON_LOSS;
    b.trials[1].finding.reason = NPI_REASON_IGNORED;
    check_detail(&b, lost);
    b.trials[1].finding.reason = NPI_REASON_UNFINISHED; /* a server that was never heard explains nothing */
    check_detail(&b, lost);
    b.trials[1].phase = NPI_PHASE_MAPPING;
    check_detail(&b, unfinished);
    b.trials[1].phase = NPI_PHASE_DONE;
    b.trials[1].finding.state = NPI_UNDECIDED;
    check_detail(&b, unfinished);
    two_servers(&b, PORT);
    b.servers[0].trial = b.servers[1].trial = -1;
    b.f.evidence = NP_EVIDENCE_ALTERNATE_REFUSED;
    check_detail(&b, refused);
}

/* There is a second address, so that it must not be said that there is none. */
static void what_was_found_and_does_not_count_is_unfinished(void **state)
{
    (void)state;
    static const char unfinished[] = "filtering unknown: the test could not be finished";
    static build b;
    two_servers(&b, PORT);
    build_decided(&b.trials[1], INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    build_observe(&b.trials[1].filtering.x[NPI_F_I], &(npi_addr){.family = NPI_IPV4, .ip = {192, 0, 2, 78}}, AT(0),
                  AT(RTT)); /* another address than the source socket's: fresh sockets are still being asked */
    b.trials[0].finding.reason = NPI_REASON_NONE;
    check_detail(&b, unfinished);
    b.trials[0].finding.reason = NPI_REASON_LOSS;
    check_detail(&b, "filtering unknown: too many datagrams are lost to tell silence from loss: try again");
    two_servers(&b, PORT);
    b.servers[0].trial = b.servers[1].trial = -1; /* no trial was left for them */
    check_detail(&b, unfinished);
    b.servers[0].alternate_state = b.servers[1].alternate_state = NPI_ALTERNATE_NONE;
    check_detail(&b, "filtering unknown: no server that answered has a second address (RFC 5780) to test it from: name "
                     "one that has");
}

static void known_filtering_needs_no_reason(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, PORT);
    b.f.config.tests = NP_TESTS_MAPPING;
    check_detail(&b, "");
    b.f.config.tests = NP_TESTS_DEFAULT;
    build_decided(&b.trials[0], INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    check_detail(&b, "");
    b.trials[0].finding.proven = false;
    b.trials[1].finding.reason = NPI_REASON_NONE;
    check_detail(&b,
                 "filtering unknown: the test could not be finished"); /* the mapping is not what kept a control out */
    EXPECT_EQUAL("So none is told.", written(&b).filtering, UNKNOWN);
    two_servers(&b, OTHER);
    build_decided(&b.trials[0], INDEPENDENT, false, NPI_REASON_NONE, NPI_PHASE_DONE);
    check_detail(
        &b,
        "the filtering is as measured, and not proven: behind this NAT the control that would prove it cannot pass");
}

static void every_error_has_its_detail(void **state)
{
    (void)state;
    static const struct {
        int32_t error;
        const char *detail;
    } rows[] = {
        {NP_ERR_NO_RESPONSE,
         "no server answered in the time allowed: UDP is blocked, or the servers are down or far away"},
        {NP_ERR_BAD_RESPONSE, "datagrams came from the servers' addresses, but no usable STUN answer was among them"},
        {NP_ERR_INCONCLUSIVE,
         "the external address could not be confirmed, and may have changed during the check: try again"},
        {NP_ERR_ADDRESS_CHANGED,
         "the external address changed during the check, and again after it had been started anew"},
        {NP_ERR_TIMEOUT, "the time allowed ran out before enough answers had come"},
        {NP_ERR_CANCELLED, "the check was cancelled"},
        {NP_ERR_NETWORK_UNREACHABLE, "No server can be reached from this host"},
        {NP_ERR_SYSTEM, "The system refused a resource that the check needs"},
        {NP_ERR_NO_MEMORY, "Out of memory"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        two_servers(&b, PORT);
        b.f.error = rows[i].error;
        check_detail(&b, rows[i].detail);
        b.f.config.tests = NP_TESTS_MAPPING;
        check_detail(&b, rows[i].detail);
    }
}

static void silence_counts_once_it_is_long_enough(void **state)
{
    (void)state;
    static const char long_enough[] = "no server answered any request: UDP is blocked, or the servers are down";
    static const char
        too_short[] = "no server answered in the time allowed: UDP is blocked, or the servers are down or far away";
    static const struct {
        const char *sentence;
        uint64_t first_sent_ns, response_timeout_ns, end_ns;
        int32_t type;
        const char *detail;
        uint64_t deadline_ns; /* 0: never */
    } rows[] = {
        {"As long as the response timeout: UDP is blocked.", AT(100), 3000 * NPI_MS, AT(3100), NP_NAT_UDP_BLOCKED,
         long_enough, 0},
        {"Anything shorter proves nothing.", AT(100), 3000 * NPI_MS, AT(3100) - 1, NP_NAT_UNKNOWN, too_short, 0},
        {"It begins with the first request, not with the check.", AT(2000), 3000 * NPI_MS, AT(3000), NP_NAT_UNKNOWN,
         too_short, 0},
        {"What the clock shows after the time allowed does not count.", AT(100), 3000 * NPI_MS, AT(3101),
         NP_NAT_UNKNOWN, too_short, AT(3099)},
        {"It is the caller's to say how long.", AT(100), 50 * NPI_MS, AT(150), NP_NAT_UDP_BLOCKED, long_enough, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        build_asked_server(&b);
        b.f.error = NP_ERR_NO_RESPONSE;
        b.f.done = true;
        b.f.config.response_timeout_ns = rows[i].response_timeout_ns;
        b.f.traffic.first_sent_ns = rows[i].first_sent_ns;
        b.f.end_ns = rows[i].end_ns;
        b.f.config.deadline_ns = rows[i].deadline_ns != 0 ? rows[i].deadline_ns : NPI_NEVER;
        EXPECT_EQUAL(rows[i].sentence, written(&b).nat_type, rows[i].type);
        check_detail(&b, rows[i].detail);
    }
}

/* Whoever has named several servers is not told to name a second one. */
static const char only_one
    [] = "only one of the server addresses answered, so that the mapping cannot be compared: name other servers";

static void inconclusive_says_why(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, PORT);
    b.f.error = NP_ERR_INCONCLUSIVE;
    b.servers[1].first = b.servers[1].latest = build_sample(AT(500), AT(500), AT(540));
    check_detail(&b, "the external address could not be confirmed, and may have changed during the check: try again");
    b.servers[1].has_mapping = false;
    check_detail(&b, only_one);
    b.f.server_count = 1;
    check_detail(&b, "only one server address answered, so that the mapping cannot be compared: name a second server");
    b.servers[0].has_mapping = false;
    check_detail(&b, "too many datagrams were lost: the source socket got no answer");
    b.f.restarted = true;
    check_detail(&b, "the external address changed, and too few answers have come since");
}

/* It answers from A:P and from B:P alike. */
static void inconclusive_names_ports_that_go_by_the_destinations_port(void **state)
{
    (void)state;
    static build b;
    const npi_addr other = build_external(PORT + 1);
    two_servers(&b, PORT);
    b.f.error = NP_ERR_INCONCLUSIVE;
    npi_exchange *aq = build_ask(&b, &b.trials[0], NPI_M_AQ);
    build_observe(aq, &other, AT(10), AT(10 + RTT));
    for (int i = 0; i < 2; i++) /* asked again: nothing has changed */
        b.servers[i].latest = build_sample(AT(40), AT(40), AT(40 + RTT));
    check_detail(&b, "some destinations see the same external port, and others another: an earlier check may have left "
                     "that behind, or the NAT goes by the destination's port: try again from another source port");
}

/* Whatever is lacking: if requests did not leave, that is why, and errno goes with it. */
static void what_the_system_refused_is_the_reason(void **state)
{
    (void)state;
    static const struct {
        int32_t error;
        const char *detail;
    } rows[] = {
        {NP_ERR_NO_RESPONSE, "no server answered, and the system refused to send some requests"},
        {NP_ERR_TIMEOUT, "the time allowed ran out, and the system refused to send some requests"},
        {NP_ERR_NETWORK_UNREACHABLE, "the system would not send to any server"},
        {NP_ERR_SYSTEM, "the system would not send to any server"},
        {NP_ERR_NO_MEMORY, "the system would not send to any server"},
        {NP_ERR_INCONCLUSIVE, "the external address could not be confirmed: the system refused to send some requests"},
        {NP_ERR_CANCELLED, "the check was cancelled"},
        {NP_ERR_ADDRESS_CHANGED,
         "the external address changed during the check, and again after it had been started anew"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        two_servers(&b, PORT);
        npi_exchange *x[] = {&b.servers[1].x[NPI_PRIMARY], &b.trials[0].filtering.x[NPI_F_II],
                             &b.trials[1].control.x[NPI_M_BQ], &b.f.path.x[1], &b.f.looks.look[1].x[NPI_L_OTHER_IP]};
        bool is_reason = rows[i].error != NP_ERR_CANCELLED && rows[i].error != NP_ERR_ADDRESS_CHANGED;
        b.f.error = rows[i].error;
        b.f.traffic.send_error = NP_ERR_NETWORK_UNREACHABLE;
        b.f.traffic.send_os_error = 13;
        b.f.path.asked = b.f.looks.asked = 2;
        EXPECT_EQUAL("A refusal that has passed explains nothing.", written(&b).os_error, 0);
        for (size_t k = 0; k < COUNT(x); k++) {
            const npi_exchange before = *x[k];
            memset(&x[k]->t, 0, sizeof x[k]->t);
            x[k]->unsent = true;
            check_detail(&b, rows[i].detail);
            EXPECT_EQUAL("With errno.", written(&b).os_error, is_reason ? 13 : 0);
            x[k]->t.started = true;
            x[k]->t.answers = 1;
            EXPECT_EQUAL("It was answered nevertheless, which is enough but in rounds.", written(&b).os_error,
                         is_reason && k == 1 ? 13 : 0);
            *x[k] = before;
        }
    }
}

static void what_answers_have_shown_is_not_the_systems_doing(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, PORT);
    b.f.error = NP_ERR_INCONCLUSIVE;
    b.trials[1].control.x[NPI_M_BQ].unsent = true;
    b.servers[1].has_mapping = false;
    check_detail(&b, "only one server address answered, and the system refused to send to others");
    b.servers[0].has_mapping = false;
    check_detail(&b, "the system refused to send some requests, and the source socket got no answer");
    b.f.evidence = NP_EVIDENCE_PROXIED;
    check_detail(&b, "something on the path answers or translates for the servers: they report a private address");
    b.f.restarted = true;
    check_detail(&b, "the external address changed, and too few answers have come since");
    two_servers(&b, OTHER);
    b.f.error = NP_ERR_INCONCLUSIVE;
    b.trials[1].control.x[NPI_M_BQ].unsent = true;
    b.servers[1].observed.local = npi_addr_v4(10, 0, 0, 8, 5000);
    check_detail(&b,
                 "this host used several local addresses, which cannot be compared: choose one as the source address");
}

/* Silence that the system has made says nothing of the server and of losses; what was heard does. */
static void filtering_is_unknown_where_its_requests_did_not_leave(void **state)
{
    (void)state;
    static const struct {
        npi_reason reason;
        bool is_unsent;
    } rows[] = {
        {NPI_REASON_CONTROL, true},       {NPI_REASON_LOSS, true},           {NPI_REASON_UNFINISHED, true},
        {NPI_REASON_NO_ALTERNATE, false}, {NPI_REASON_IGNORED, false},       {NPI_REASON_REJECTED, false},
        {NPI_REASON_PARTIAL, false},      {NPI_REASON_CONTRADICTION, false}, {NPI_REASON_NOT_FRESH, false},
        {NPI_REASON_OTHER_PATH, false},   {NPI_REASON_NO_SOCKET, false},
    };
    static build b;
    for (size_t i = 0; i < COUNT(rows); i++) {
        two_servers(&b, PORT);
        b.servers[1].trial = -1;
        b.trials[0].finding.reason = rows[i].reason;
        b.trials[0].filtering.x[NPI_F_I].unsent = true;
        EXPECT_EQUAL("", npi_result_filtering_reason(&b.f), rows[i].is_unsent ? NPI_REASON_UNSENT : rows[i].reason);
    }
    two_servers(&b, PORT);
    b.trials[0].phase = NPI_PHASE_FILTERING;
    b.trials[0].filtering.x[NPI_F_I].unsent = true;
    check_detail(&b, "filtering unknown: the system refused to send requests of the test");
    b.trials[0].filtering.x[NPI_F_I].unsent = false;
    check_detail(&b, "filtering unknown: the test could not be finished");
}

/* Something came that could not be used. */
static void bad_response_says_what_came(void **state)
{
    (void)state;
    static const struct {
        uint16_t stun_error;
        bool malformed, elsewhere;
        const char *detail;
    } rows[] = {
        {401, false, false,
         "a server answered with the STUN error 401, which asks for credentials: name another server"},
        {438, true, true, "a server answered with the STUN error 438, which asks for credentials: name another server"},
        {300, false, true,
         "a server answered with the STUN error 300, which refers to another server: name another "
         "server"},
        {500, false, false, "a server answered with the STUN error 500: name another server"},
        {0, true, true,
         "the servers' answers are malformed, or report an address that no host can have: name another server"},
        {0, false, true,
         "an answer came from 203.0.113.9:4000 and not from the address that was asked: name another server"},
        {0, false, false, "datagrams came from the servers' addresses, but no usable STUN answer was among them"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        b.f.error = NP_ERR_BAD_RESPONSE;
        b.f.stun_error = rows[i].stun_error;
        b.f.evidence = rows[i].malformed ? NP_EVIDENCE_MALFORMED : 0;
        if (rows[i].elsewhere)
            b.f.elsewhere = npi_addr_v4(203, 0, 113, 9, 4000);
        check_detail(&b, rows[i].detail);
    }
}

static void inconclusive_names_local_addresses_that_cannot_be_compared(void **state)
{
    (void)state;
    static build b;
    static const char several[] = "this host used several local addresses, which cannot be compared: choose one as the "
                                  "source address";
    const npi_addr other = build_external(OTHER);
    two_servers(&b, OTHER);
    b.f.error = NP_ERR_INCONCLUSIVE;
    npi_exchange *bp = build_ask(&b, &b.trials[0], NPI_M_BP);
    build_observe(bp, &other, AT(10), AT(10 + RTT));
    bp->local = npi_addr_v4(10, 0, 0, 8, 5000);
    check_detail(&b, several); /* of one server's addresses */
    bp->local = npi_addr_v4(10, 0, 0, 7, 5000);
    b.servers[1].observed.local = npi_addr_v4(10, 0, 0, 8, 5000);
    check_detail(&b, several);
    b.servers[1].observed.local = npi_addr_v4(10, 0, 0, 7, 6000);
    check_detail(&b, "the external address could not be confirmed, and may have changed during the check: try again");
    memset(bp, 0, sizeof *bp);
    b.servers[0].has_mapping = false;
    b.servers[1].observed.local = npi_addr_v4(10, 0, 0, 8, 5000);
    check_detail(&b, only_one);
}

/* What a server at a global address cannot have seen is no evidence, and says why there is none. */
static void inconclusive_names_who_reported_a_private_address(void **state)
{
    (void)state;
    static const char untranslated[] = "no NAT lies on the way to the server that answered, so it shows nothing of the "
                                       "internet: name another server";
    static build b;
    two_servers(&b, PORT);
    b.f.error = NP_ERR_INCONCLUSIVE;
    b.servers[0].has_mapping = b.servers[1].has_mapping = false;
    b.f.evidence = NP_EVIDENCE_PROXIED;
    check_detail(&b, "something on the path answers or translates for the servers: they report a private address");
    b.f.any_untranslated = true;
    check_detail(&b, untranslated);
    b.servers[0].has_mapping = true;
    check_detail(&b, only_one);
}

static void a_lone_dissenter_is_neither_named_nor_believed(void **state)
{
    (void)state;
    static build b;
    const npi_addr external = build_external(PORT);
    two_servers(&b, PORT);
    b.servers[0].observed.external.port = OTHER;
    npi_server *s = build_answering_server(&b, RTT);
    build_sees(s, &external, AT(0), AT(RTT));
    build_decided(build_trial(&b, s), UNKNOWN, false, NPI_REASON_NO_ALTERNATE, NPI_PHASE_DONE);
    np_result r = written(&b);
    EXPECT_EQUAL("Two agree.", r.mapping, INDEPENDENT);
    EXPECT_EQUAL("What they see is the external address.", r.external_port, PORT);
    EXPECT("One of them is named.", strcmp(r.server, "198.51.100.11:3478") == 0);
    EXPECT("That one was outvoted is told.", (r.evidence & NP_EVIDENCE_OUTVOTED) != 0);
    b.servers[0].observed.external.port = PORT;
    EXPECT("Where all agree nobody is.", (written(&b).evidence & NP_EVIDENCE_OUTVOTED) == 0);
    b.f.left_out_unsteady = true;
    EXPECT("One that alone saw changes was.", (written(&b).evidence & NP_EVIDENCE_OUTVOTED) != 0);
    b.f.server_count = 1;
    EXPECT("While the others know nothing it was not.", (written(&b).evidence & NP_EVIDENCE_OUTVOTED) == 0);
}

static void an_address_that_the_servers_contradict_each_other_about_is_not_told(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, PORT);
    b.servers[1].observed.external = npi_addr_v4(203, 0, 113, 5, PORT);
    b.f.error = NP_ERR_INCONCLUSIVE;
    check_detail(&b, "the servers contradict each other about the external address: name more servers");
    np_result r = written(&b);
    EXPECT("Neither is told.", r.external_ip[0] == '\0' && r.external_port == 0);
    EXPECT("The local one is.", strcmp(r.local_ip, "10.0.0.7") == 0 && r.local_port == 40000);
}

static void the_times_at_which_the_process_stood_still_count_as_elapsed(void **state)
{
    (void)state;
    static build b;
    two_servers(&b, PORT);
    b.f.standstill.total_ns = 2000 * NPI_MS;
    EXPECT_EQUAL("At the end.", written(&b).elapsed_us, 2090000);
    b.f.done = false;
    EXPECT_EQUAL("And before.", written(&b).elapsed_us, 7000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_verdict),
        cmocka_unit_test(every_byte_of_nothing),
        cmocka_unit_test(server_is_the_one_the_verdict_rests_on),
        cmocka_unit_test(addresses_are_those_that_its_server_saw),
        cmocka_unit_test(error_leaves_what_needs_no_confirmation),
        cmocka_unit_test(silence_counts_once_it_is_long_enough),
        cmocka_unit_test(error_leaves_no_silence_that_rests_on_the_mapping),
        cmocka_unit_test(evidence_says_what_was_seen),
        cmocka_unit_test(unknown_filtering_has_its_reason),
        cmocka_unit_test(addresses_are_not_those_of_a_server_that_is_left_out),
        cmocka_unit_test(an_address_that_two_servers_contradict_is_not_reported),
        cmocka_unit_test(reason_is_the_one_that_says_most),
        cmocka_unit_test(what_was_found_and_does_not_count_is_unfinished),
        cmocka_unit_test(known_filtering_needs_no_reason),
        cmocka_unit_test(every_error_has_its_detail),
        cmocka_unit_test(inconclusive_says_why),
        cmocka_unit_test(inconclusive_names_ports_that_go_by_the_destinations_port),
        cmocka_unit_test(what_the_system_refused_is_the_reason),
        cmocka_unit_test(what_answers_have_shown_is_not_the_systems_doing),
        cmocka_unit_test(filtering_is_unknown_where_its_requests_did_not_leave),
        cmocka_unit_test(bad_response_says_what_came),
        cmocka_unit_test(inconclusive_names_local_addresses_that_cannot_be_compared),
        cmocka_unit_test(inconclusive_names_who_reported_a_private_address),
        cmocka_unit_test(a_lone_dissenter_is_neither_named_nor_believed),
        cmocka_unit_test(an_address_that_the_servers_contradict_each_other_about_is_not_told),
        cmocka_unit_test(the_times_at_which_the_process_stood_still_count_as_elapsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
