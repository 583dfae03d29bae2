/* SPDX-License-Identifier: MIT */
/* findings: what may be compared, which mapping and filtering that shows, and what an answer says of its server. */
#include "engine/findings.h"

#include "build.h"

/* An answer without RESPONSE-ORIGIN. */
static const npi_addr untold;

#define RTT 40
#define PORT 40000 /* external port of the source socket */
#define OTHER 41000

#define UNKNOWN NP_BEHAVIOUR_UNKNOWN
#define NONE NP_BEHAVIOUR_NONE
#define INDEPENDENT NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define BY_ADDRESS NP_BEHAVIOUR_ADDRESS_DEPENDENT
#define BY_ADDRESS_AND_PORT NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
#define DEPENDENT NP_BEHAVIOUR_ENDPOINT_DEPENDENT

/* ---- What may be compared --------------------------------------------------------------------------------------- */

/* A server that saw the source socket with a request of these copies, and again with another. */
static npi_server server_with(npi_sample first, npi_sample latest)
{
    return (npi_server){.has_mapping = true, .first = first, .latest = latest};
}

/* A:P was asked at AT(100) and again at AT(200): only what lies in between (or at the same moment) is bracketed. */
static void sample_is_bracketed_between_two_of_its_server(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint64_t first_ns, last_ns;
        bool bracketed;
    } rows[] = {
        {"A request sent after the first and before the latest is.", AT(150), AT(150), true},
        {"With several copies all of them have to be.", AT(110), AT(190), true},
        {"One at the moment of the first is.", AT(100), AT(100), true},
        {"One at the moment of the latest is.", AT(200), AT(200), true},
        {"0.2 ms before the first is the same moment.", AT_US(99800), AT(150), true},
        {"A nanosecond earlier is not.", AT_US(99800) - 1, AT(150), false},
        {"0.2 ms after the latest is the same moment.", AT(150), AT_US(200200), true},
        {"A nanosecond later is not.", AT(150), AT_US(200200) + 1, false},
        {"One that was sent before and after is not.", AT(50), AT(250), false},
        {"One long before is not.", AT(0), AT(0), false},
        {"One long after is not.", AT(300), AT(300), false},
    };
    const npi_server s = server_with(build_sample(AT(100), AT(100), AT(140)), build_sample(AT(200), AT(200), AT(240)));
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_sample sample = build_sample(rows[i].first_ns, rows[i].last_ns, AT(400));
        EXPECT_EQUAL(rows[i].sentence, npi_is_bracketed_by(&s, &sample), rows[i].bracketed);
    }
}

/* Which of its copies a request was answered for is not known: the bracket is the narrowest that it may be. */
static void copies_of_the_bracket_narrow_it(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint64_t at_ns;
        bool bracketed;
    } rows[] = {
        {"The last copy of the first request begins the bracket.", AT(150), true},
        {"A sample before it may be older than what the first one saw.", AT(149), false},
        {"The first copy of the latest request ends it.", AT(200), true},
        {"A sample after it may be newer than what the latest saw.", AT(201), false},
    };
    const npi_server s = server_with(build_sample(AT(100), AT(150), AT(190)), build_sample(AT(200), AT(250), AT(290)));
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_sample sample = build_sample(rows[i].at_ns, rows[i].at_ns, AT(400));
        EXPECT_EQUAL(rows[i].sentence, npi_is_bracketed_by(&s, &sample), rows[i].bracketed);
    }
}

static void check_comparable(const char *sentence, const npi_server *a, const npi_server *b, bool wanted)
{
    EXPECT_EQUAL(sentence, npi_is_comparable(a, b), wanted);
    EXPECT_EQUAL(sentence, npi_is_comparable(b, a), wanted); /* whichever comes first */
}

static void servers_are_comparable_when_one_brackets_the_other(void **state)
{
    (void)state;
    const npi_sample early = build_sample(AT(0), AT(0), AT(40));
    const npi_sample middle = build_sample(AT(500), AT(500), AT(540));
    const npi_sample late = build_sample(AT(1000), AT(1000), AT(1040));
    const npi_sample later = build_sample(AT(2000), AT(2000), AT(2040));
    const npi_sample repeated = build_sample(AT(0), AT(900), AT(940));
    const npi_sample beyond_later = build_sample(AT(1500), AT(2500), AT(2540));
    const npi_sample around_early = build_sample(AT(0) - NPI_MS, AT(900), AT(940));
    const struct {
        const char *sentence;
        npi_sample a[2], b[2];
        bool comparable;
    } rows[] = {
        {"Asked at one moment they are.", {early, early}, {early, early}, true},
        {"Asked at different times, once each, they are not.", {early, early}, {middle, middle}, false},
        {"One asked between two sights of the other is.", {early, late}, {middle, middle}, true},
        {"Its latest sight is enough.", {middle, later}, {early, late}, true},
        {"One after the other is not.", {early, middle}, {late, later}, false},
        {"The first sight alone may be bracketed.", {early, later}, {late, beyond_later}, true},
        {"Or the latest alone.", {early, later}, {around_early, late}, true},
        {"Copies spread over the whole time bracket nothing.", {repeated, repeated}, {middle, middle}, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const npi_server a = server_with(rows[i].a[0], rows[i].a[1]);
        const npi_server b = server_with(rows[i].b[0], rows[i].b[1]);
        check_comparable(rows[i].sentence, &a, &b, rows[i].comparable);
    }
}

/*
 * Both are asked with copies at 0, 250 and 650 ms: the first one's answer comes at 690 ms. A sixteenth of 650 ms are
 * 40.625 ms: answers nearer than that are to the same round of copies.
 */
static void answers_of_one_round_are_comparable(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint64_t first_ns, last_ns, heard_ns;
        bool comparable;
    } rows[] = {
        {"Answered 10 ms apart they are.", AT(0), AT(650), AT(700), true},
        {"Answered at once they are.", AT(0), AT(650), AT(690), true},
        {"Answered just less than a sixteenth apart they are.", AT(0), AT(650), AT_US(730625) - 1, true},
        {"A sixteenth apart they may belong to two rounds.", AT(0), AT(650), AT_US(730625), false},
        {"Before it is the same as behind it.", AT(0), AT(650), AT_US(649375) + 1, true},
        {"A sixteenth before is too far as well.", AT(0), AT(650), AT_US(649375), false},
        {"First copies 0.2 ms apart were sent together.", AT_US(200), AT(650), AT(690), true},
        {"A nanosecond more and they were not.", AT_US(200) + 1, AT(650), AT(690), false},
        {"Last copies 0.2 ms apart were sent together.", AT(0), AT_US(650200), AT(690), true},
        {"A nanosecond more and they were not.", AT(0), AT_US(650200) + 1, AT(690), false},
        {"Last copies 0.2 ms before as well.", AT(0), AT_US(649800), AT(690), true},
        {"A nanosecond earlier they were not.", AT(0), AT_US(649800) - 1, AT(690), false},
    };
    const npi_sample mine = build_sample(AT(0), AT(650), AT(690));
    const npi_server a = server_with(mine, mine);
    for (size_t i = 0; i < COUNT(rows); i++) {
        npi_sample sample = build_sample(rows[i].first_ns, rows[i].last_ns, rows[i].heard_ns);
        const npi_server b = server_with(sample, sample);
        EXPECT_EQUAL(rows[i].sentence, npi_is_comparable(&a, &b), rows[i].comparable);
    }
}

/* ---- The mapping ------------------------------------------------------------------------------------------------ */

/*
 * One server with a trial: A:P was asked at AT(0) and again at AT(100), B:P, B:Q and A:Q at AT(100) and answered at
 * AT(140). Every one saw PORT; a test changes what it is about.
 */
static npi_trial *asked_everywhere(build *b, uint16_t bp, uint16_t bq, uint16_t aq)
{
    const npi_addr seen[] = {build_external(bp), build_external(bq), build_external(aq)};
    const npi_addr external = build_external(PORT);
    build_init(b);
    npi_server *s = build_answering_server(b, RTT);
    npi_trial *t = build_trial(b, s);
    t->phase = NPI_PHASE_MAPPING;
    build_sees(s, &external, AT(0), AT(RTT));
    build_sees(s, &external, AT(100), AT(100 + RTT));
    for (int k = NPI_M_BP; k <= NPI_M_AQ; k++)
        build_observe(build_ask(b, t, k), &seen[k], AT(100), AT(100 + RTT));
    return t;
}

static void check_mapping(const char *sentence, const build *b, int32_t apparent, int32_t confirmed)
{
    EXPECT_EQUAL(sentence, npi_mapping_apparent(&b->f), apparent);
    EXPECT_EQUAL(sentence, npi_mapping_confirmed(&b->f), confirmed);
}

static void mapping_follows_from_what_each_address_saw(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint16_t bp, bq, aq;
        int32_t mapping;
    } rows[] = {
        {"All see the same.", PORT, PORT, PORT, INDEPENDENT},
        {"B sees another address than A, on both ports.", OTHER, OTHER, PORT, BY_ADDRESS},
        {"Each sees another.", 41001, 41002, 41003, BY_ADDRESS_AND_PORT},
        {"One of A:Q and B:Q differs: an earlier check may have left that behind.", PORT, OTHER, PORT, INDEPENDENT},
        {"The other one as well.", PORT, PORT, OTHER, INDEPENDENT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        asked_everywhere(&b, rows[i].bp, rows[i].bq, rows[i].aq);
        check_mapping(rows[i].sentence, &b, rows[i].mapping, rows[i].mapping);
    }
}

static void mapping_needs_answers_that_tell_one(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = asked_everywhere(&b, PORT, PORT, PORT);
    t->control.x[NPI_M_BP].t.answers = 0;
    t->control.x[NPI_M_BQ].external.family = NPI_FAMILY_NONE; /* answered with an error */
    check_mapping("One IP address is not enough to compare.", &b, UNKNOWN, UNKNOWN);
    t->control.x[NPI_M_BP].t.answers = 1;
    check_mapping("With an answer of B:P there are two.", &b, INDEPENDENT, INDEPENDENT);
    b.servers[0].has_mapping = false;
    EXPECT_EQUAL("Without A:P nothing brackets the others: they only seem to be compared.", npi_mapping_confirmed(&b.f),
                 UNKNOWN);
    EXPECT_EQUAL("They do seem so.", npi_mapping_apparent(&b.f), INDEPENDENT);
    build_init(&b);
    build_answering_server(&b, RTT);
    check_mapping("Nothing seen is nothing known.", &b, UNKNOWN, UNKNOWN);
}

static void socket_seen_as_it_is_has_no_mapping(void **state)
{
    (void)state;
    static build b;
    const npi_addr local = build_local();
    npi_trial *t = asked_everywhere(&b, PORT, PORT, PORT);
    b.servers[0].observed.external = local;
    for (int k = NPI_M_BP; k <= NPI_M_AQ; k++)
        t->control.x[k].external = local;
    check_mapping("Every address sees the local one.", &b, NONE, NONE);
    t->control.x[NPI_M_AQ].local.port++;
    EXPECT("The local address has to be the one that the answer came to.", npi_mapping_confirmed(&b.f) != NONE);
}

static void sights_outside_the_bracket_are_not_confirmed(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = asked_everywhere(&b, OTHER, OTHER, PORT);
    npi_server *s = &b.servers[0];
    EXPECT("All lie between two sights of A:P.", npi_mapping_is_bracketed(&b.f, s));
    EXPECT("Nothing is doubtful.", !npi_mapping_is_doubtful(&b.f, s));
    t->control.x[NPI_M_BP].last_copy_ns = AT(101);
    EXPECT("A copy after the latest sight of A:P is outside.", !npi_mapping_is_bracketed(&b.f, s));
    EXPECT("That is doubtful.", npi_mapping_is_doubtful(&b.f, s));
    t->control.x[NPI_M_BQ].last_copy_ns = AT(101);
    check_mapping("With B outside only A is left to compare.", &b, BY_ADDRESS, UNKNOWN);
    t->control.x[NPI_M_BP].last_copy_ns = AT(100);
    t->control.x[NPI_M_BQ].last_copy_ns = AT(100);
    t->control.x[NPI_M_AQ].last_copy_ns = AT(101);
    EXPECT("A:Q counts as the others do.", !npi_mapping_is_bracketed(&b.f, s));
    check_mapping("Without it the two ports of B tell the kind.", &b, BY_ADDRESS, BY_ADDRESS);
    s->has_mapping = false;
    EXPECT("A server that saw nothing from A:P is not doubtful.", !npi_mapping_is_doubtful(&b.f, s));
    s->has_mapping = true;
    t->control.x[NPI_M_AQ].t.answers = 0;
    EXPECT("What was not answered need not be bracketed.", npi_mapping_is_bracketed(&b.f, s));
    s->trial = -1;
    EXPECT("A server without a trial has nothing to bracket.", npi_mapping_is_bracketed(&b.f, s));
}

/* Where A:P, A:Q and B:Q agree, B:P was left behind, or something has changed: no way of mapping looks like that. */
static void b_p_alone_does_not_differ(void **state)
{
    (void)state;
    static build b;
    asked_everywhere(&b, OTHER, PORT, PORT);
    check_mapping("B:P alone differs: that seems to depend on the endpoint, and is unknown.", &b, DEPENDENT, UNKNOWN);
}

/* An earlier check's II was answered from there. */
static void b_p_may_be_stale_if_the_server_changes_its_address_alone(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        npi_change ii, iii;
        int32_t confirmed;
    } rows[] = {
        {"Nothing is known of it.", NPI_CHANGE_PENDING, NPI_CHANGE_PENDING, DEPENDENT},
        {"It leaves the port as it is.", NPI_CHANGE_PENDING, NPI_CHANGE_IGNORED, UNKNOWN},
        {"II came from elsewhere, III is silent.", NPI_CHANGE_PARTIAL, NPI_CHANGE_PENDING, DEPENDENT},
        {"It leaves both as they are.", NPI_CHANGE_IGNORED, NPI_CHANGE_IGNORED, DEPENDENT},
        {"It does both.", NPI_CHANGE_HONOURED, NPI_CHANGE_HONOURED, DEPENDENT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = asked_everywhere(&b, OTHER, PORT, PORT);
        t->control.x[NPI_M_AQ].t.answers = t->control.x[NPI_M_BQ].t.answers = 0; /* nothing gets out to other ports */
        t->filtering.ii.outcome = rows[i].ii;
        t->filtering.iii.outcome = rows[i].iii;
        check_mapping(rows[i].sentence, &b, DEPENDENT, rows[i].confirmed);
    }
}

/* ---- What may have collided ------------------------------------------------------------------------------------- */

/* Of A:Q and B:Q only one is answered: whether that one may have collided decides if the kind can be told. */
static npi_trial *asked_one_of_q(build *b, int answered)
{
    npi_trial *t = asked_everywhere(b, 41001, 41002, 41002);
    t->control.x[answered == NPI_M_AQ ? NPI_M_BQ : NPI_M_AQ].t.answers = 0;
    return t;
}

/* II asks for an answer from B:Q, III for one from A:Q. Both ways were asked for at AT(100) and open at AT(140). */
static void control_before_its_pinhole_may_collide(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        int answered, control;
        unsigned sent_ms;
        int32_t mapping;
    } rows[] = {
        {"III behind A:Q's answer spoils nothing.", NPI_M_AQ, NPI_C_III, 150, BY_ADDRESS_AND_PORT},
        {"At the moment of that answer the way is open.", NPI_M_AQ, NPI_C_III, 140, BY_ADDRESS_AND_PORT},
        {"III before it may have reached the NAT first: A:Q's difference tells nothing.", NPI_M_AQ, NPI_C_III, 139,
         DEPENDENT},
        {"III does not spoil B:Q.", NPI_M_BQ, NPI_C_III, 110, BY_ADDRESS_AND_PORT},
        {"II before B:Q's answer spoils that.", NPI_M_BQ, NPI_C_II, 110, DEPENDENT},
        {"II behind it spoils nothing.", NPI_M_BQ, NPI_C_II, 150, BY_ADDRESS_AND_PORT},
        {"II does not spoil A:Q.", NPI_M_AQ, NPI_C_II, 110, BY_ADDRESS_AND_PORT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = asked_one_of_q(&b, rows[i].answered);
        npi_exchange *control = build_ask(&b, t, rows[i].control);
        EXPECT_EQUAL("A control that waits spoils nothing.", npi_mapping_confirmed(&b.f), BY_ADDRESS_AND_PORT);
        build_send(control, AT(rows[i].sent_ms));
        EXPECT_EQUAL(rows[i].sentence, npi_mapping_confirmed(&b.f), rows[i].mapping);
    }
}

/* Another trial, of a server that names the same second address. */
static npi_trial *second_trial_with_same_b(build *b)
{
    npi_server *s = build_answering_server(b, RTT);
    s->alternate = build_b(0, BUILD_Q);
    return build_trial(b, s);
}

static void collision_spoils_a_destination_in_every_trial(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = asked_one_of_q(&b, NPI_M_BQ);
    npi_trial *other = second_trial_with_same_b(&b);
    build_send(build_ask(&b, other, NPI_C_II), AT(110));
    EXPECT_EQUAL("Another trial's control spoils the address that both ask.", npi_mapping_confirmed(&b.f), DEPENDENT);
    npi_exchange *way = build_ask(&b, other, NPI_M_BQ);
    EXPECT_EQUAL("That it is to be asked does not open the way.", npi_mapping_confirmed(&b.f), DEPENDENT);
    t->control.x[NPI_M_BP].t.answered_ns = AT(105);
    EXPECT_EQUAL("Nor does an answer from elsewhere.", npi_mapping_confirmed(&b.f), DEPENDENT);
    build_send(way, AT(60));
    EXPECT_EQUAL("That it was asked earlier does not open the way.", npi_mapping_confirmed(&b.f), DEPENDENT);
    build_answer(way, AT(110));
    EXPECT_EQUAL("An answer from there to any trial does.", npi_mapping_confirmed(&b.f), BY_ADDRESS_AND_PORT);
    way->t.answered_ns = AT(111);
    EXPECT_EQUAL("Unless it came after the control was sent.", npi_mapping_confirmed(&b.f), DEPENDENT);
    b.f.trial_count = 1;
    build_send(build_ask(&b, t, NPI_C_II), AT(110));
    EXPECT_EQUAL("Its own control spoils it as well.", npi_mapping_confirmed(&b.f), DEPENDENT);
}

/* The user has named B:Q as a server of its own. */
static void collision_spoils_a_primary_address(void **state)
{
    (void)state;
    static build b;
    const npi_addr mine = build_external(PORT);
    const npi_addr other = build_external(OTHER);
    build_init(&b);
    npi_server *s = build_answering_server(&b, RTT);
    npi_server *same = build_answering_server(&b, RTT);
    npi_trial *t = build_trial(&b, s);
    same->address = s->alternate;
    build_sees(s, &mine, AT(100), AT(140));
    build_sees(same, &other, AT(100), AT(140));
    EXPECT_EQUAL("Two servers see two addresses.", npi_mapping_apparent(&b.f), DEPENDENT);
    build_send(build_ask(&b, t, NPI_C_II), AT(140));
    EXPECT_EQUAL("A control behind the answer spoils nothing.", npi_mapping_apparent(&b.f), DEPENDENT);
    t->control.x[NPI_C_II].t.first_ns = AT(139);
    EXPECT_EQUAL("One before it spoils the difference.", npi_mapping_apparent(&b.f), UNKNOWN);
}

static void restart_leaves_states_behind_at_q(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = asked_one_of_q(&b, NPI_M_AQ);
    b.f.restarted = true;
    EXPECT_EQUAL("After a restart A:Q's difference tells nothing.", npi_mapping_confirmed(&b.f), DEPENDENT);
    t->control.x[NPI_M_AQ].t.answers = 0;
    EXPECT_EQUAL("B:P's does.", npi_mapping_confirmed(&b.f), DEPENDENT);
}

/* ---- Several servers -------------------------------------------------------------------------------------------- */

/* A server without a trial that was asked once, then, and saw this. */
static npi_server *plain_server(build *b, uint16_t port, unsigned at_ms)
{
    const npi_addr external = build_external(port);
    npi_server *s = build_answering_server(b, RTT);
    build_sees(s, &external, AT(at_ms), AT(at_ms + RTT));
    return s;
}

static void plain_servers_tell_the_mapping_together(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        uint16_t seen;
        unsigned at_ms;
        int32_t apparent, confirmed;
    } rows[] = {
        {"Asked at one moment they see the same.", PORT, 0, INDEPENDENT, INDEPENDENT},
        {"Asked at one moment they see two addresses.", OTHER, 0, DEPENDENT, DEPENDENT},
        {"Asked at two moments the NAT may have changed, even when they agree.", PORT, 300, INDEPENDENT, UNKNOWN},
        {"And when they do not.", OTHER, 300, DEPENDENT, UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        plain_server(&b, PORT, 0);
        plain_server(&b, rows[i].seen, rows[i].at_ms);
        check_mapping(rows[i].sentence, &b, rows[i].apparent, rows[i].confirmed);
        bool doubtful = rows[i].at_ms != 0 || rows[i].seen != PORT;
        EXPECT_EQUAL(rows[i].sentence, npi_mapping_is_doubtful(&b.f, &b.servers[0]), doubtful);
        EXPECT_EQUAL(rows[i].sentence, npi_mapping_is_doubtful(&b.f, &b.servers[1]), doubtful);
    }
}

static void servers_that_saw_more_are_compared_first(void **state)
{
    (void)state;
    static build b;
    asked_everywhere(&b, PORT, PORT, PORT);
    npi_server with_trial = b.servers[0];
    build_sees(&b.servers[0], &with_trial.observed.external, AT(5000), AT(5040));
    b.servers[0].first = b.servers[0].latest;
    b.servers[0].trial = -1; /* now a plain one, seen much later, and in front of the one with a trial */
    b.servers[1] = with_trial;
    b.servers[1].address = build_a(1, BUILD_P);
    b.trials[0].server = 1;
    b.f.server_count = 2;
    b.servers[0].observed.external.port = OTHER;
    check_mapping("The one with a trial is kept, and the other one left out.", &b, DEPENDENT, INDEPENDENT);
}

static void all_that_are_compared_can_be_compared(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    plain_server(&b, PORT, 0);
    npi_server *both = plain_server(&b, PORT, 0);
    build_sees(both, &both->observed.external, AT(400), AT(440));
    plain_server(&b, OTHER, 300);
    b.servers[2].observed.local = npi_addr_v4(10, 0, 0, 8, 40000); /* so that it is not outvoted */
    check_mapping("The third can be compared with the second, but not with the first.", &b, INDEPENDENT, INDEPENDENT);
    EXPECT("The first is doubtful, for the third.", npi_mapping_is_doubtful(&b.f, &b.servers[0]));
    EXPECT("The second is not.", !npi_mapping_is_doubtful(&b.f, &b.servers[1]));
    EXPECT("The third is, for the first.", npi_mapping_is_doubtful(&b.f, &b.servers[2]));
    b.servers[0].has_mapping = false;
    EXPECT("Who has seen nothing makes nobody doubtful.", !npi_mapping_is_doubtful(&b.f, &b.servers[2]));
}

/* One server that always tells a wrong address, against two that agree. */
static void a_lone_dissenter_is_left_out(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    plain_server(&b, PORT, 0);
    npi_server *s = plain_server(&b, OTHER, 0);
    check_mapping("Of two either may be wrong.", &b, DEPENDENT, DEPENDENT);
    EXPECT("So none is left out.", npi_mapping_dissenter(&b.f) == NULL);
    plain_server(&b, PORT, 0);
    check_mapping("Two agree: the third is left out.", &b, INDEPENDENT, INDEPENDENT);
    EXPECT("It is the second.", npi_mapping_dissenter(&b.f) == s);
    npi_trial *t = build_trial(&b, s);
    build_decided(t, INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("What it tells of the filtering does not count either.", npi_filtering_trial(&b.f) == NULL);
    npi_addr external = build_external(OTHER);
    build_observe(build_ask(&b, t, NPI_M_BQ), &external, AT(0), AT(RTT));
    check_mapping("With all that it says.", &b, INDEPENDENT, INDEPENDENT);
    t->control.x[NPI_M_BQ].t.answers = 0;
    b.servers[2].observed.external.port++;
    check_mapping("No two agree: the NAT may do that.", &b, DEPENDENT, DEPENDENT);
    EXPECT("None is left out.", npi_mapping_dissenter(&b.f) == NULL);
    EXPECT("So its filtering counts.", npi_filtering_trial(&b.f) == t);
}

/* That one server alone sees a NAT makes no others exempt from it. */
static void without_a_nat_a_lone_dissenter_leaves_the_filtering_of_the_others(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    plain_server(&b, PORT, 0);
    npi_server *s = plain_server(&b, PORT, 0);
    s->observed.external = build_local();
    plain_server(&b, PORT, 0)->observed.external = build_local();
    check_mapping("Two see no NAT.", &b, NONE, NONE);
    EXPECT("The first is left out.", npi_mapping_leaves_out(&b.f, &b.servers[0]));
    EXPECT("The others are not.", !npi_mapping_leaves_out(&b.f, s));
    npi_trial *t = build_trial(&b, s);
    build_decided(t, INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("So their filtering counts.", npi_filtering_trial(&b.f) == t);
    b.servers[2].observed.external = build_external(PORT);
    EXPECT("With two that see a NAT it does not.", npi_filtering_trial(&b.f) == NULL);
}

static void no_nat_has_to_survive_every_answer(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    plain_server(&b, PORT, 0)->observed.external = build_local();
    check_mapping("One that sees the socket as it is.", &b, NONE, NONE);
    plain_server(&b, PORT, 300);
    check_mapping("Another has seen a NAT, whenever that was.", &b, UNKNOWN, UNKNOWN);
    plain_server(&b, PORT, 300);
    check_mapping("Two others have, which can be compared: that is the NAT.", &b, INDEPENDENT, UNKNOWN);
}

static void servers_contradict_each_other_in_what_tells_no_mapping(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    EXPECT("Nobody says anything.", !npi_mapping_is_contradictory(&b.f));
    plain_server(&b, PORT, 0);
    EXPECT("One contradicts nobody.", !npi_mapping_is_contradictory(&b.f));
    npi_server *s = plain_server(&b, OTHER, 300);
    EXPECT("Two ports of one address are no contradiction.", !npi_mapping_is_contradictory(&b.f));
    s->observed.external = npi_addr_v4(203, 0, 113, 5, PORT);
    EXPECT("Two addresses are.", npi_mapping_is_contradictory(&b.f));
    s->observed.external = build_local();
    b.servers[0].observed.external = npi_addr_v4(10, 0, 0, 7, OTHER);
    EXPECT("A NAT and none are, whatever the address.", npi_mapping_is_contradictory(&b.f));
    build_init(&b);
    plain_server(&b, PORT, 0);
    plain_server(&b, PORT, 0)->observed.external.ip[3]++;
    EXPECT("Where the mapping is known addresses may differ.", !npi_mapping_is_contradictory(&b.f));
    build_init(&b);
    plain_server(&b, PORT, 0)->observed.external = build_local();
    s = plain_server(&b, PORT, 300);
    npi_trial *t = build_trial(&b, s);
    build_observe(build_ask(&b, t, NPI_M_BP), &s->observed.external, AT(340), AT(360));
    s->latest = build_sample(AT(380), AT(380), AT(400));
    EXPECT_EQUAL("What one server says at both its addresses", npi_mapping_confirmed(&b.f), INDEPENDENT);
    EXPECT("another contradicts that was asked at another time.", npi_mapping_is_contradictory(&b.f));
}

static void any_observation_will_do(void **state)
{
    (void)state;
    static build b;
    npi_observation seen;
    build_init(&b);
    build_answering_server(&b, RTT);
    EXPECT("There is none.", !npi_mapping_any_observation(&b.f, &seen));
    plain_server(&b, OTHER, 0);
    EXPECT("There is one.", npi_mapping_any_observation(&b.f, &seen));
    EXPECT_EQUAL("It is that of the server.", seen.external.port, OTHER);
    npi_trial *t = asked_everywhere(&b, PORT, PORT, 41003);
    b.servers[0].has_mapping = false;
    t->control.x[NPI_M_BP].t.answers = 0;
    t->control.x[NPI_M_BQ].t.answers = 0;
    EXPECT("One from another address is one.", npi_mapping_any_observation(&b.f, &seen));
    EXPECT_EQUAL("It is that of A:Q.", seen.external.port, 41003);
    EXPECT("With its destination.", npi_addr_equal(&seen.destination, &t->control.x[NPI_M_AQ].to));
    EXPECT("And the local address that it came to.", npi_addr_equal(&seen.local, &t->control.x[NPI_M_AQ].local));
}

/* ---- Looking again ---------------------------------------------------------------------------------------------- */

static void check_recheck(const char *sentence, const build *b, npi_recheck_state wanted, uint64_t wake_ns)
{
    npi_recheck recheck = npi_mapping_recheck(&b->f);
    EXPECT_EQUAL(sentence, recheck.state, wanted);
    EXPECT_TIME(sentence, recheck.wake_ns, wake_ns);
}

/* Servers that report another address each time make any NAT look symmetric, until they are asked again. */
static void single_words_that_differ_are_asked_for_again(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *first = plain_server(&b, PORT, 0);
    npi_server *second = plain_server(&b, OTHER, 0);
    check_recheck("Two servers differ: each is asked again.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    first->latest = build_sample(AT(100), AT(100), AT(140));
    EXPECT("The first has said the same twice.", !npi_mapping_is_doubtful(&b.f, first));
    EXPECT("The second has not.", npi_mapping_is_doubtful(&b.f, second));
    check_recheck("It is asked again.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    second->latest = first->latest;
    check_recheck("Both have: it is the NAT.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
    second->latest = second->first;
    b.f.rechecks = NPI_RECHECKS_MAX;
    check_recheck("They are asked three times at most.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
    second->observed.external.port = PORT;
    b.f.rechecks = 0;
    check_recheck("Servers that agree are not asked again.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);

    build_init(&b);
    asked_everywhere(&b, OTHER, PORT, PORT);
    EXPECT("Where two addresses of one server see different things, no other server's word is needed.",
           !npi_mapping_is_doubtful(&b.f, &b.servers[0]));

    /* A:P and A:Q of one server see alike, and nothing has come from B: it may be the other server that is wrong. */
    build_init(&b);
    npi_trial *t = asked_everywhere(&b, PORT, PORT, PORT);
    t->control.x[NPI_M_BP].t.answers = t->control.x[NPI_M_BQ].t.answers = 0;
    plain_server(&b, OTHER, 0);
    check_recheck("Two addresses of one server say no more than one.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    t->control.x[NPI_M_AQ].external.port = 41003;
    check_recheck("If they differ, nobody's single word is needed.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
}

/* Where the mapping depends on the destination, no two servers say the same, and yet most name the same network. */
static void a_network_that_no_other_server_names_is_alone(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *first = plain_server(&b, 1, 0);
    npi_server *second = plain_server(&b, 2, 0);
    EXPECT("Of two servers none is alone.", !npi_mapping_is_lone_network(&b.f, first));
    npi_server *third = plain_server(&b, 3, 0);
    EXPECT("All name one network.", !npi_mapping_is_lone_network(&b.f, third));
    third->observed.external.ip[2] ^= 1;
    EXPECT("The third names another.", npi_mapping_is_lone_network(&b.f, third));
    EXPECT("The first does not.", !npi_mapping_is_lone_network(&b.f, first));
    second->observed.external.ip[0] ^= 1;
    EXPECT("Of three networks none is named twice.", !npi_mapping_is_lone_network(&b.f, third));
    second->observed.external.ip[0] ^= 1;
    second->has_mapping = false;
    EXPECT("Who has seen nothing names none.", !npi_mapping_is_lone_network(&b.f, third));
}

static void recheck_is_needed_when_it_may_tell_more(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    plain_server(&b, PORT, 0);
    npi_server *second = plain_server(&b, PORT, 0);
    check_recheck("What agrees needs no second look.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
    second->first = second->latest = build_sample(AT(300), AT(300), AT(340));
    check_recheck("Seen at two moments they need one.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    b.f.rechecks = NPI_RECHECKS_MAX - 1;
    check_recheck("They get three.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    b.f.rechecks = NPI_RECHECKS_MAX;
    check_recheck("And no more.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
    b.f.rechecks = 0;
    b.servers[0].observed.external = build_local();
    check_recheck("A socket that is seen as it is needs none: that is no chance.", &b, NPI_RECHECK_NOT_NEEDED,
                  NPI_NEVER);
    build_init(&b);
    plain_server(&b, PORT, 0);
    plain_server(&b, PORT, 0);
    plain_server(&b, PORT, 300);
    check_recheck("Two are enough: the third need not be compared.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
    asked_everywhere(&b, OTHER, PORT, PORT);
    check_recheck("What contradicts itself at one moment will do so again.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
}

static void recheck_goes_on_until_its_answers_count_as_lost(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = plain_server(&b, PORT, 0);
    plain_server(&b, PORT, 300);
    npi_exchange *x = &s->x[NPI_RECHECK];
    build_now(&b, AT(500));
    x->queued = true;
    check_recheck("While the request waits it goes on.", &b, NPI_RECHECK_GOES_ON, NPI_NEVER);
    x->queued = false;
    x->failed = true;
    check_recheck("Refused before its first copy it is over.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    x->failed = false;
    x->max_copies = 2;
    build_send(x, AT(500));
    check_recheck("While copies are left it does.", &b, NPI_RECHECK_GOES_ON, NPI_NEVER);
    x->failed = true;
    check_recheck("Refused after it no copy is left.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    x->failed = false;
    build_send(x, AT(520));
    check_recheck("Then until the last copy has reached its rto.", &b, NPI_RECHECK_GOES_ON, AT(564));
    build_now(&b, AT(564) - 1);
    check_recheck("To the nanosecond.", &b, NPI_RECHECK_GOES_ON, AT(564));
    build_now(&b, AT(564));
    check_recheck("Then it is over, and another may be needed.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    build_now(&b, AT(550));
    build_answer(x, AT(550));
    check_recheck("An answer ends it.", &b, NPI_RECHECK_NEEDED, NPI_NEVER);
    x->t.answers = 0;
    b.servers[1].x[NPI_RECHECK].queued = true;
    b.servers[0].has_mapping = false;
    b.servers[1].trial = -1;
    check_recheck("What is not doubtful is not waited for.", &b, NPI_RECHECK_NOT_NEEDED, NPI_NEVER);
}

/* ---- The way of fresh sockets ----------------------------------------------------------------------------------- */

static void filtering_socket_takes_the_sources_way_unless_its_ip_addresses_are_others(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        const char *external, *local; /* of an answer to the filtering socket; NULL: none has come */
        bool sees_source, has_own_socket, same;
    } rows[] = {
        {"Another port of the same address.", "192.0.2.77", "10.0.0.7", true, true, true},
        {"Another external address.", "192.0.2.78", "10.0.0.7", true, true, false},
        {"Another local one.", "192.0.2.77", "10.0.0.8", true, true, false},
        {"Nothing is known of the filtering socket.", NULL, NULL, true, true, true},
        {"Nothing is known of the source socket.", "192.0.2.78", "10.0.0.7", false, true, true},
        {"There is no filtering socket.", "192.0.2.78", "10.0.0.7", true, false, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int k = 0; k < NPI_FILTERING_EXCHANGES; k++) { /* whichever request was answered */
            static build b;
            build_init(&b);
            npi_server *s = plain_server(&b, PORT, 0);
            s->has_mapping = rows[i].sees_source;
            npi_trial *t = build_trial(&b, s);
            t->filtering.slot = rows[i].has_own_socket ? 1 : NPI_SLOT_SOURCE;
            build_decided(t, INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
            npi_exchange *x = &t->filtering.x[k];
            EXPECT("Before an answer there is no view.", npi_filtering_view(&t->filtering) == NULL);
            if (rows[i].external != NULL) {
                npi_addr external, local;
                assert_true(npi_addr_parse_ip(rows[i].external, &external));
                assert_true(npi_addr_parse_ip(rows[i].local, &local));
                build_observe(x, &external, AT(0), AT(RTT));
                x->local = local;
                EXPECT("That is the view.", npi_filtering_view(&t->filtering) == x);
            }
            EXPECT_EQUAL(rows[i].sentence, npi_trial_has_source_way(&b.f, t), rows[i].same);
            EXPECT_EQUAL("Another way found out about another NAT.", npi_filtering_found(&b.f),
                         rows[i].same ? INDEPENDENT : UNKNOWN);
            b.f.path.state = NPI_PATH_OTHER;
            EXPECT_EQUAL("Still.", npi_filtering_found(&b.f), rows[i].same ? INDEPENDENT : UNKNOWN);
            b.f.path.state = NPI_PATH_POOL;
            EXPECT_EQUAL("Unless it is one NAT's pool.", npi_filtering_found(&b.f), INDEPENDENT);
            s->trial = -1;
            EXPECT("A trial from before a restart has no way.", npi_trial_has_source_way(&b.f, t));
        }
    }
}

/* The answers of its server to the source socket got lost. */
static void a_server_that_has_not_heard_the_source_is_compared_with_others(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        const char *external; /* of an answer to the filtering socket */
        bool same;
    } rows[] = {
        {"The address that another server sees.", "192.0.2.77", true},
        {"One that no other sees.", "192.0.2.78", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_addr external;
        build_init(&b);
        npi_server *s = plain_server(&b, PORT, 0);
        s->has_mapping = false;
        npi_trial *t = build_trial(&b, s);
        t->filtering.slot = 1;
        build_decided(t, INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
        assert_true(npi_addr_parse_ip(rows[i].external, &external));
        build_observe(&t->filtering.x[NPI_F_I], &external, AT(0), AT(RTT));
        t->filtering.x[NPI_F_I].local = s->observed.local;
        EXPECT_EQUAL("Nobody has heard the source.", npi_filtering_found(&b.f), INDEPENDENT);
        npi_server *other = plain_server(&b, PORT, 1);
        EXPECT_EQUAL(rows[i].sentence, npi_filtering_found(&b.f), rows[i].same ? INDEPENDENT : UNKNOWN);
        b.f.path.state = NPI_PATH_POOL;
        EXPECT_EQUAL("Unless it is one NAT's pool.", npi_filtering_found(&b.f), INDEPENDENT);
        b.f.path.state = NPI_PATH_UNKNOWN;
        t->filtering.slot = NPI_SLOT_SOURCE;
        EXPECT_EQUAL("It was the source itself.", npi_filtering_found(&b.f), INDEPENDENT);
        t->filtering.slot = 1;
        other->has_mapping = false;
        EXPECT_EQUAL("Nobody has.", npi_filtering_found(&b.f), INDEPENDENT);
    }
}

static void an_unanswered_or_refused_request_is_no_view(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *t = build_trial(&b, plain_server(&b, PORT, 0));
    build_send(&t->filtering.x[NPI_F_I], AT(0));
    EXPECT("Not answered.", npi_filtering_view(&t->filtering) == NULL);
    build_answer(&t->filtering.x[NPI_F_I], AT(RTT));
    EXPECT("Answered without an address.", npi_filtering_view(&t->filtering) == NULL);
}

/* ---- The filtering ---------------------------------------------------------------------------------------------- */

static void server_without_a_nat_on_its_way_tells_nothing_of_the_others_nat(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_server *s = plain_server(&b, PORT, 0);
    s->observed.external = build_local();
    build_decided(build_trial(&b, s), INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT_EQUAL("Alone it tells the filtering.", npi_filtering_found(&b.f), INDEPENDENT);
    npi_server *other = plain_server(&b, PORT, 0);
    EXPECT_EQUAL("Beside one that sees a NAT it does not.", npi_filtering_found(&b.f), UNKNOWN);
    build_decided(build_trial(&b, other), BY_ADDRESS, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT_EQUAL("The other one does.", npi_filtering_found(&b.f), BY_ADDRESS);
    other->observed.external = build_local();
    EXPECT_EQUAL("Where none sees a NAT the first counts.", npi_filtering_found(&b.f), INDEPENDENT);
    s->has_mapping = false;
    other->observed.external = build_external(PORT);
    EXPECT_EQUAL("One that has not seen the socket is no exception.", npi_filtering_found(&b.f), INDEPENDENT);
}

typedef struct finding_row {
    int32_t filtering;
    bool proven;
    npi_phase phase;
} finding_row;

static void filtering_of_the_trial_that_says_more(void **state)
{
    (void)state;
    const npi_phase done = NPI_PHASE_DONE;
    const npi_phase mapping = NPI_PHASE_MAPPING;
    const struct {
        const char *sentence;
        finding_row first, second;
        int best; /* -1: none */
    } rows[] = {
        {"Unknown is no finding.", {UNKNOWN, false, done}, {UNKNOWN, false, done}, -1},
        {"One that knows is.", {UNKNOWN, false, done}, {BY_ADDRESS, true, done}, 1},
        {"Silence stands only when its trial is over.", {BY_ADDRESS, true, mapping}, {UNKNOWN, false, done}, -1},
        {"An answer stands at once.", {INDEPENDENT, true, mapping}, {UNKNOWN, false, done}, 0},
        {"Of two that say as much the first.", {BY_ADDRESS, true, done}, {BY_ADDRESS_AND_PORT, true, done}, 0},
        {"A proven one before one that is not.", {BY_ADDRESS, false, done}, {BY_ADDRESS, true, done}, 1},
        {"Wherever it stands.", {BY_ADDRESS, true, done}, {BY_ADDRESS, false, done}, 0},
        {"Of two that are not proven the first.", {BY_ADDRESS, false, done}, {BY_ADDRESS_AND_PORT, false, done}, 0},
        {"A kind before none.", {DEPENDENT, true, done}, {BY_ADDRESS, true, done}, 1},
        {"Even if only the one without a kind is proven.", {DEPENDENT, true, done}, {BY_ADDRESS, false, done}, 1},
        {"Wherever that stands.", {BY_ADDRESS, false, done}, {DEPENDENT, true, done}, 0},
        {"An answered II before a silence.", {BY_ADDRESS_AND_PORT, true, done}, {INDEPENDENT, true, done}, 1},
        {"Wherever it stands.", {INDEPENDENT, true, done}, {BY_ADDRESS, true, done}, 0},
        {"Even while its trial goes on.", {BY_ADDRESS, true, done}, {INDEPENDENT, true, mapping}, 1},
        {"Without kinds proof counts.", {DEPENDENT, false, done}, {DEPENDENT, true, done}, 1},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        build_answering_server(&b, RTT); /* one without a trial */
        const finding_row *of[] = {&rows[i].first, &rows[i].second};
        for (int k = 0; k < 2; k++) {
            npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
            build_decided(t, of[k]->filtering, of[k]->proven, NPI_REASON_NONE, of[k]->phase);
        }
        const npi_trial *best = rows[i].best >= 0 ? &b.trials[rows[i].best] : NULL;
        EXPECT(rows[i].sentence, npi_filtering_trial(&b.f) == best);
        EXPECT_EQUAL(rows[i].sentence, npi_filtering_found(&b.f), best != NULL ? best->finding.filtering : UNKNOWN);
        b.trials[0].finding.state = b.trials[1].finding.state = NPI_UNDECIDED;
        EXPECT("What is not decided is no finding.", npi_filtering_trial(&b.f) == NULL);
        b.trials[0].finding.state = b.trials[1].finding.state = NPI_REPORTED;
        EXPECT("What was reported is.", npi_filtering_trial(&b.f) == best);
    }
}

/* One server's own firewall may keep its answers back; another's answer came through the NAT. */
static void an_answer_overrules_the_silence_of_another_server(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *silent = build_trial(&b, build_answering_server(&b, RTT));
    npi_server *s = build_answering_server(&b, RTT);
    npi_trial *heard = build_trial(&b, s);
    build_decided(silent, BY_ADDRESS_AND_PORT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    build_decided(heard, UNKNOWN, false, NPI_REASON_CONTROL, NPI_PHASE_DONE);
    EXPECT("Nothing speaks against the silence.", npi_filtering_trial(&b.f) == silent);
    heard->filtering.iii.outcome = NPI_CHANGE_HONOURED;
    EXPECT_EQUAL("III came through: the filter does not depend on the port.", npi_filtering_found(&b.f), UNKNOWN);
    heard->filtering.pinhole_not_fresh = true;
    EXPECT("From an address that had been asked before it shows nothing.", npi_filtering_trial(&b.f) == silent);
    heard->filtering.pinhole_not_fresh = false;
    build_decided(silent, BY_ADDRESS, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("It does not speak against a filter by address.", npi_filtering_trial(&b.f) == silent);
    heard->filtering.ii.outcome = NPI_CHANGE_HONOURED;
    EXPECT_EQUAL("An answered II does.", npi_filtering_found(&b.f), UNKNOWN);
    build_decided(silent, DEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT_EQUAL("And against any other filter.", npi_filtering_found(&b.f), UNKNOWN);
    heard->filtering.pinhole_not_fresh = true;
    EXPECT("From an address that had been asked before it does not.", npi_filtering_trial(&b.f) == silent);
    heard->filtering.pinhole_not_fresh = false;
    build_decided(silent, INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("Where there is no filter it says the same.", npi_filtering_trial(&b.f) == silent);
    heard->filtering.ii.outcome = NPI_CHANGE_PENDING;
    build_decided(silent, BY_ADDRESS_AND_PORT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    build_decided(heard, BY_ADDRESS, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("What the other trial shows in full counts.", npi_filtering_trial(&b.f) == heard);
}

static void filtering_is_needed_until_its_kind_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *sentence;
        int32_t tests, found;
        bool needed;
    } rows[] = {
        {"While it is unknown.", NP_TESTS_DEFAULT, UNKNOWN, true},
        {"While only its kind is.", NP_TESTS_DEFAULT, DEPENDENT, true},
        {"Not once it is known: any may send.", NP_TESTS_DEFAULT, INDEPENDENT, false},
        {"Nor by address.", NP_TESTS_DEFAULT, BY_ADDRESS, false},
        {"Nor by address and port.", NP_TESTS_DEFAULT, BY_ADDRESS_AND_PORT, false},
        {"Never when only the mapping is asked for.", NP_TESTS_MAPPING, UNKNOWN, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
        build_decided(t, rows[i].found, true, NPI_REASON_NONE, NPI_PHASE_DONE);
        b.f.config.tests = rows[i].tests;
        EXPECT_EQUAL(rows[i].sentence, npi_filtering_is_needed(&b.f), rows[i].needed);
    }
}

static void trial_is_useful_while_it_may_bring_what_is_missing(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_trial *other = build_trial(&b, build_answering_server(&b, RTT));
    npi_trial *t = build_trial(&b, build_answering_server(&b, RTT));
    EXPECT("One that is not decided may.", npi_trial_is_useful(&b.f, t));
    build_decided(t, BY_ADDRESS, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    EXPECT("One that knows the filtering brings the mapping.", npi_trial_is_useful(&b.f, t));
    build_decided(t, UNKNOWN, false, NPI_REASON_LOSS, NPI_PHASE_MAPPING);
    EXPECT("One that failed at the filtering does not while that is needed.", !npi_trial_is_useful(&b.f, t));
    build_decided(other, INDEPENDENT, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    EXPECT("It does once that is known from another.", npi_trial_is_useful(&b.f, t));
    t->phase = NPI_PHASE_DONE;
    EXPECT("One that is over brings nothing.", !npi_trial_is_useful(&b.f, t));
}

/* ---- Answers to CHANGE-REQUEST ---------------------------------------------------------------------------------- */

static void answer_shows_what_the_server_did_with_the_request(void **state)
{
    (void)state;
    const uint32_t ii = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    const uint32_t iii = NPI_STUN_CHANGE_PORT;
    const npi_addr ap = build_a(0, BUILD_P);
    const npi_addr aq = build_a(0, BUILD_Q);
    const npi_addr bp = build_b(0, BUILD_P);
    const npi_addr bq = build_b(0, BUILD_Q);
    const struct {
        const char *sentence;
        uint32_t change;
        const npi_addr *from;
        bool success;
        npi_alternate_state alternate;
        npi_change shown;
    } rows[] = {
        {"II from B:Q is honoured.", ii, &bq, true, NPI_ALTERNATE_KNOWN, NPI_CHANGE_HONOURED},
        {"II from A:P is ignored.", ii, &ap, true, NPI_ALTERNATE_KNOWN, NPI_CHANGE_IGNORED},
        {"II from A:Q is honoured in part.", ii, &aq, true, NPI_ALTERNATE_KNOWN, NPI_CHANGE_PARTIAL},
        {"II from B:P is honoured in part.", ii, &bp, true, NPI_ALTERNATE_KNOWN, NPI_CHANGE_PARTIAL},
        {"III from A:Q is honoured.", iii, &aq, true, NPI_ALTERNATE_KNOWN, NPI_CHANGE_HONOURED},
        {"III from A:P is ignored.", iii, &ap, true, NPI_ALTERNATE_KNOWN, NPI_CHANGE_IGNORED},
        {"III from B:Q is honoured in part.", iii, &bq, true, NPI_ALTERNATE_KNOWN, NPI_CHANGE_PARTIAL},
        {"An error rejects it.", ii, &ap, false, NPI_ALTERNATE_KNOWN, NPI_CHANGE_REJECTED},
        {"Wherever it comes from.", ii, &bq, false, NPI_ALTERNATE_KNOWN, NPI_CHANGE_REJECTED},
        {"Before B:Q is known an answer from elsewhere waits.", ii, &bq, true, NPI_ALTERNATE_UNKNOWN,
         NPI_CHANGE_PENDING},
        {"One from A:P does not.", ii, &ap, true, NPI_ALTERNATE_UNKNOWN, NPI_CHANGE_IGNORED},
        {"Nor does an error.", iii, &ap, false, NPI_ALTERNATE_UNKNOWN, NPI_CHANGE_REJECTED},
        {"Not even from elsewhere.", iii, &bq, false, NPI_ALTERNATE_UNKNOWN, NPI_CHANGE_REJECTED},
        {"Without a second address nobody knows where one from elsewhere should come from.", ii, &bp, true,
         NPI_ALTERNATE_NONE, NPI_CHANGE_PENDING},
        {"One from A:P is ignored all the same.", ii, &ap, true, NPI_ALTERNATE_NONE, NPI_CHANGE_IGNORED},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        npi_server *s = build_answering_server(&b, RTT);
        s->alternate_state = rows[i].alternate;
        if (rows[i].alternate != NPI_ALTERNATE_KNOWN)
            s->alternate = (npi_addr){.family = NPI_FAMILY_NONE};
        EXPECT_EQUAL(rows[i].sentence, npi_change_shown(s, rows[i].change, rows[i].from, &untold, rows[i].success),
                     rows[i].shown);
    }
}

static void what_left_from_elsewhere_was_rewritten(void **state)
{
    (void)state;
    const uint32_t ii = NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT;
    const npi_addr ap = build_a(0, BUILD_P);
    const npi_addr aq = build_a(0, BUILD_Q);
    const npi_addr bq = build_b(0, BUILD_Q);
    const npi_addr router = npi_addr_v4(10, 0, 0, 1, BUILD_Q);
    static build b;
    build_init(&b);
    const npi_server *s = build_answering_server(&b, RTT);
    EXPECT_EQUAL("It says that it left from B:Q.", npi_change_shown(s, ii, &router, &bq, true), NPI_CHANGE_REWRITTEN);
    EXPECT_EQUAL("III from A:Q.", npi_change_shown(s, NPI_STUN_CHANGE_PORT, &router, &aq, true), NPI_CHANGE_REWRITTEN);
    EXPECT_EQUAL("It does not say.", npi_change_shown(s, ii, &router, &untold, true), NPI_CHANGE_PARTIAL);
    EXPECT_EQUAL("From another address of the server's nothing was rewritten.", npi_change_shown(s, ii, &aq, &bq, true),
                 NPI_CHANGE_PARTIAL);
    EXPECT_EQUAL("It left from elsewhere.", npi_change_shown(s, ii, &aq, &aq, true), NPI_CHANGE_PARTIAL);
    EXPECT_EQUAL("From A:P nothing is rewritten, whatever a server says.", npi_change_shown(s, ii, &ap, &bq, true),
                 NPI_CHANGE_IGNORED);
    EXPECT_EQUAL("Where it comes from counts, not what it says.", npi_change_shown(s, ii, &bq, &ap, true),
                 NPI_CHANGE_HONOURED);
}

static void outcome_that_speaks_about_the_server_disqualifies_it(void **state)
{
    (void)state;
    static const struct {
        npi_change outcome;
        const char *sentence;
        uint32_t evidence;
        npi_reason reason;
    } rows[] = {
        {NPI_CHANGE_PENDING, "Nothing yet.", 0, NPI_REASON_NONE},
        {NPI_CHANGE_HONOURED, "Honoured speaks about the NAT.", 0, NPI_REASON_NONE},
        {NPI_CHANGE_SILENT, "Silence as well.", 0, NPI_REASON_NONE},
        {NPI_CHANGE_IGNORED, "Ignored is the server's doing.", NP_EVIDENCE_CHANGE_IGNORED, NPI_REASON_IGNORED},
        {NPI_CHANGE_PARTIAL, "Partly honoured is.", NP_EVIDENCE_CHANGE_PARTIAL, NPI_REASON_PARTIAL},
        {NPI_CHANGE_REWRITTEN, "Rewritten is the path's.", NP_EVIDENCE_PROXIED, NPI_REASON_REWRITTEN},
        {NPI_CHANGE_REJECTED, "Rejected is.", NP_EVIDENCE_CHANGE_REJECTED, NPI_REASON_REJECTED},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        EXPECT_EQUAL(rows[i].sentence, npi_change_evidence(rows[i].outcome), rows[i].evidence);
        EXPECT_EQUAL(rows[i].sentence, npi_change_disqualifies_server(rows[i].outcome), rows[i].evidence != 0);
        if (rows[i].evidence != 0)
            EXPECT_EQUAL(rows[i].sentence, npi_change_reason(rows[i].outcome), rows[i].reason);
    }
}

static void a_server_that_fell_silent_keeps_no_others_out(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_addr external = build_external(1);
    external.port = build_local().port; /* kept, so that equal ports are no chance */
    for (int i = 0; i < 3; i++)
        build_sees(build_answering_server(&b, 20), &external, AT(i == 0 ? 0 : 500), AT(i == 0 ? 20 : 520));
    EXPECT_EQUAL("The first was seen at another moment: the two others cannot be compared with it.",
                 npi_mapping_confirmed(&b.f), NP_BEHAVIOUR_UNKNOWN);
    b.servers[0].fell_silent = true;
    EXPECT_EQUAL("It fell silent, and can be asked no more: they are compared without it.", npi_mapping_confirmed(&b.f),
                 NP_BEHAVIOUR_ENDPOINT_INDEPENDENT);
    EXPECT("Nothing has to be asked again.",
           !npi_mapping_is_doubtful(&b.f, &b.servers[0]) && !npi_mapping_is_doubtful(&b.f, &b.servers[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_is_bracketed_between_two_of_its_server),
        cmocka_unit_test(a_server_that_fell_silent_keeps_no_others_out),
        cmocka_unit_test(copies_of_the_bracket_narrow_it),
        cmocka_unit_test(servers_are_comparable_when_one_brackets_the_other),
        cmocka_unit_test(answers_of_one_round_are_comparable),
        cmocka_unit_test(mapping_follows_from_what_each_address_saw),
        cmocka_unit_test(mapping_needs_answers_that_tell_one),
        cmocka_unit_test(socket_seen_as_it_is_has_no_mapping),
        cmocka_unit_test(sights_outside_the_bracket_are_not_confirmed),
        cmocka_unit_test(b_p_alone_does_not_differ),
        cmocka_unit_test(b_p_may_be_stale_if_the_server_changes_its_address_alone),
        cmocka_unit_test(control_before_its_pinhole_may_collide),
        cmocka_unit_test(collision_spoils_a_destination_in_every_trial),
        cmocka_unit_test(collision_spoils_a_primary_address),
        cmocka_unit_test(restart_leaves_states_behind_at_q),
        cmocka_unit_test(plain_servers_tell_the_mapping_together),
        cmocka_unit_test(servers_that_saw_more_are_compared_first),
        cmocka_unit_test(all_that_are_compared_can_be_compared),
        cmocka_unit_test(a_lone_dissenter_is_left_out),
        cmocka_unit_test(without_a_nat_a_lone_dissenter_leaves_the_filtering_of_the_others),
        cmocka_unit_test(no_nat_has_to_survive_every_answer),
        cmocka_unit_test(servers_contradict_each_other_in_what_tells_no_mapping),
        cmocka_unit_test(any_observation_will_do),
        cmocka_unit_test(single_words_that_differ_are_asked_for_again),
        cmocka_unit_test(a_network_that_no_other_server_names_is_alone),
        cmocka_unit_test(recheck_is_needed_when_it_may_tell_more),
        cmocka_unit_test(recheck_goes_on_until_its_answers_count_as_lost),
        cmocka_unit_test(filtering_socket_takes_the_sources_way_unless_its_ip_addresses_are_others),
        cmocka_unit_test(a_server_that_has_not_heard_the_source_is_compared_with_others),
        cmocka_unit_test(an_unanswered_or_refused_request_is_no_view),
        cmocka_unit_test(server_without_a_nat_on_its_way_tells_nothing_of_the_others_nat),
        cmocka_unit_test(filtering_of_the_trial_that_says_more),
        cmocka_unit_test(an_answer_overrules_the_silence_of_another_server),
        cmocka_unit_test(filtering_is_needed_until_its_kind_is_known),
        cmocka_unit_test(trial_is_useful_while_it_may_bring_what_is_missing),
        cmocka_unit_test(answer_shows_what_the_server_did_with_the_request),
        cmocka_unit_test(what_left_from_elsewhere_was_rewritten),
        cmocka_unit_test(outcome_that_speaks_about_the_server_disqualifies_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
