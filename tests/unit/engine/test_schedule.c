/* SPDX-License-Identifier: MIT */
/* schedule: which server is asked next and when, when nothing more is to be expected, and what is asked again. */
#include "engine/rate.h"
#include "engine/schedule.h"

#include <string.h>

#include "build.h"

#define RTT_MS 20
#define OPEN NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define UNKNOWN NP_BEHAVIOUR_UNKNOWN

/* ---- Servers by state ------------------------------------------------------------------------------------------- */

typedef enum kind {
    NONE,
    NEW,       /* not asked */
    NEW_PLAIN, /* not asked, and known to have no second address */
    BEFORE,    /* not asked since the restart, but it had answered before */
    NEW_B,     /* not asked, and at the second address of the server before it */
    NEW_A,     /* not asked, and at another port of the server before it */
    SILENT,    /* asked at T0 */
    REFUSED,   /* the same, but the system has not yet sent it */
    SILENT_PLAIN,
    SILENT_TRIAL, /* asked at T0, with its filtering tests */
    SILENT_LATE,  /* asked 100 ms later, as the last */
    FAILED,
    HEARD,       /* has answered and named a second address */
    HEARD_PLAIN, /* has answered and named none */
    TESTING,     /* the same, with its filtering tests under way */
    UNFIT,       /* the same, but they have shown that it cannot tell the filtering */
    UNFIT_LATER, /* the same, and the mapping is next */
    OVER,        /* its trial is over, and did not tell the filtering */
} kind;

static void add_heard(build *b, kind k)
{
    npi_addr external = build_external(1);
    npi_server *s = build_answering_server(b, RTT_MS);
    build_sees(s, &external, T0, AT(RTT_MS));
    if (k == HEARD_PLAIN)
        s->alternate_state = NPI_ALTERNATE_NONE;
    if (k < TESTING)
        return;
    npi_trial *t = build_trial(b, s);
    npi_phase phase = k == OVER ? NPI_PHASE_DONE : NPI_PHASE_FILTERING;
    if (k == UNFIT_LATER)
        phase = NPI_PHASE_MAPPING;
    if (k > TESTING)
        build_decided(t, UNKNOWN, false, NPI_REASON_IGNORED, phase);
}

static void add_silent(build *b, kind k)
{
    npi_server *s = build_asked_server(b);
    s->failed = k == FAILED;
    if (k != REFUSED)
        build_send(&s->x[NPI_PRIMARY], T0);
    s->expected_mapping_only = k == SILENT_PLAIN;
    if (k == SILENT_TRIAL)
        build_trial(b, s);
    if (k == SILENT_LATE)
        s->started_ns = AT(100);
}

static void add_new(build *b, kind k)
{
    size_t n = b->f.server_count;
    npi_server *s = build_server(b);
    s->expected_mapping_only = k == NEW_PLAIN;
    s->answered_before_restart = k == BEFORE;
    if (k == NEW_B)
        s->address = build_b(n - 1, BUILD_P);
    if (k == NEW_A)
        s->address = build_a(n - 1, BUILD_Q);
}

#define KINDS 4

static void set(build *b, const kind kinds[KINDS])
{
    build_init(b);
    for (size_t i = 0; i < KINDS && kinds[i] != NONE; i++) {
        if (kinds[i] >= HEARD)
            add_heard(b, kinds[i]);
        else if (kinds[i] >= SILENT)
            add_silent(b, kinds[i]);
        else
            add_new(b, kinds[i]);
    }
}

/* ---- The next action -------------------------------------------------------------------------------------------- */

#define WAIT NPI_ACTION_WAIT
#define START NPI_ACTION_START
#define WITH_TRIAL NPI_ACTION_START_WITH_TRIAL
#define AT_199 (AT(200) - 1)

static const struct {
    const char *says;
    kind servers[KINDS];
    uint64_t now_ns;
    npi_action action;
    size_t server;
    uint64_t wake_ns; /* of WAIT */
} actions[] = {
    /* The first. */
    {"There is none.", {NONE}, T0, WAIT, 0, NPI_NEVER},
    {"The first is asked both tests at once.", {NEW, NEW}, T0, WITH_TRIAL, 0, 0},
    {"Known to have no second address: the plain test alone.", {NEW_PLAIN, NEW}, T0, START, 0, 0},
    {"One that had answered before the restart comes first.", {NEW, BEFORE}, T0, WITH_TRIAL, 1, 0},

    /* The second, at once. */
    {"A plain one cannot be the other's second address: it is asked beside it.",
     {SILENT_TRIAL, NEW_PLAIN},
     T0,
     START,
     1,
     0},
    {"And the other way round.", {SILENT_PLAIN, NEW}, T0, WITH_TRIAL, 1, 0},
    {"Two that may have second addresses might be each other's.", {SILENT_TRIAL, NEW}, T0, WAIT, 0, AT(100)},
    {"Of two plain ones the second is for silence.", {SILENT_PLAIN, NEW_PLAIN}, T0, WAIT, 0, AT(100)},
    {"A third is for silence, whatever it is.", {SILENT_TRIAL, SILENT_PLAIN, NEW_PLAIN}, T0, WAIT, 0, AT(150)},

    /* Silence. */
    {"The first one was asked just under 100 ms ago.", {SILENT_TRIAL, NEW}, AT(100) - 1, WAIT, 0, AT(100)},
    {"It has been silent for 100 ms.", {SILENT_TRIAL, NEW}, AT(100), START, 1, 0},
    {"The last one asked is what counts.", {SILENT_TRIAL, SILENT_LATE, NEW}, AT(249), WAIT, 0, AT(250)},
    {"It has been silent for 150 ms.", {SILENT_TRIAL, SILENT_LATE, NEW}, AT(250), START, 2, 0},
    {"One that has been heard, and whose trial will begin, is enough.",
     {HEARD, SILENT_LATE, NEW},
     AT(300),
     WAIT,
     0,
     NPI_NEVER},
    {"A dead one is replaced, though a later one of no use was heard.",
     {SILENT_TRIAL, HEARD_PLAIN, NEW},
     AT(200),
     START,
     2,
     0},
    {"Once it is known how near servers are, one is waited for for 50 ms.",
     {HEARD_PLAIN, SILENT_LATE, NEW},
     AT(149),
     WAIT,
     0,
     AT(150)},
    {"No longer.", {HEARD_PLAIN, SILENT_LATE, NEW}, AT(150), START, 2, 0},
    {"The last one has been heard, and its trial will begin.", {HEARD, NEW}, AT(900), WAIT, 0, NPI_NEVER},
    {"A trial under way, and heard, is enough.", {TESTING, SILENT_LATE, NEW}, AT(900), WAIT, 0, NPI_NEVER},
    {"There is none left to be asked.", {SILENT_TRIAL}, AT(200), WAIT, 0, NPI_NEVER},

    /* Nobody asked can help. */
    {"The only one failed.", {FAILED, NEW}, T0, START, 1, 0},
    {"The only one cannot tell the filtering.", {UNFIT_LATER, NEW}, T0, START, 1, 0},
    {"Its trial is over without the filtering.", {OVER, NEW}, T0, START, 1, 0},
    {"It has no second address.", {HEARD_PLAIN, NEW}, T0, START, 1, 0},
    {"One failed, the other may help.", {FAILED, SILENT_LATE, NEW}, AT(200), WAIT, 0, AT(250)},
    {"All have been asked.", {FAILED, OVER}, T0, WAIT, 0, NPI_NEVER},

    /* Addresses of tests under way (RFC 5780 section 4.4: nothing may have opened the way of their answers). */
    {"It would open B's way while B's answer is waited for.", {UNFIT, NEW_B}, AT(900), WAIT, 0, NPI_NEVER},
    {"It would open A's way: filters may be kept for each host.", {UNFIT, NEW_A}, AT(900), WAIT, 0, NPI_NEVER},
    {"The next one would not.", {UNFIT, NEW_B, NEW}, AT(900), START, 2, 0},
    {"The tests are over.", {UNFIT_LATER, NEW_B}, AT(900), START, 1, 0},
    {"A silent server keeps another at its address waiting for 200 ms.",
     {SILENT_TRIAL, NEW_A},
     AT_199,
     WAIT,
     0,
     AT(200)},
    {"It may come before the next hedge.", {SILENT_TRIAL, NEW_A, SILENT_LATE}, AT(150), WAIT, 0, AT(200)},
    {"But no longer.", {SILENT_TRIAL, NEW_A}, AT(200), START, 1, 0},
};

static void the_next_action_is_to_start_a_server_or_to_wait(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(actions); i++) {
        static build b;
        set(&b, actions[i].servers);
        build_now(&b, actions[i].now_ns);
        npi_next_action next = npi_schedule_next_action(&b.f);
        EXPECT_EQUAL(actions[i].says, next.action, actions[i].action);
        if (next.action == WAIT)
            EXPECT_TIME(actions[i].says, next.wake_ns, actions[i].wake_ns);
        else
            EXPECT_EQUAL(actions[i].says, next.server, actions[i].server);
    }
}

static void for_the_mapping_alone_two_are_asked_at_once(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){NEW});
    b.f.config.tests = NP_TESTS_MAPPING;
    EXPECT_EQUAL("No filtering tests.", npi_schedule_next_action(&b.f).action, START);
    set(&b, (kind[KINDS]){SILENT, NEW});
    b.f.config.tests = NP_TESTS_MAPPING;
    EXPECT_EQUAL("Nothing could be disturbed.", npi_schedule_next_action(&b.f).action, START);
    set(&b, (kind[KINDS]){SILENT, SILENT, NEW});
    b.f.config.tests = NP_TESTS_MAPPING;
    EXPECT_TIME("Two are enough, unless they are silent.", npi_schedule_next_action(&b.f).wake_ns, AT(200));
}

static void one_that_was_asked_is_asked_again_behind_a_later_one(void **state)
{
    static const struct {
        const char *says;
        int32_t tests;
        unsigned started_ms, now_ms;
        bool any_answer, is_asked;
    } rows[] = {
        {"The name was resolved later.", NP_TESTS_MAPPING, 15, 15, false, true},
        {"A request is not repeated at once.", NP_TESTS_MAPPING, 5, 9, false, false},
        {"But soon.", NP_TESTS_MAPPING, 5, 10, false, true},
        {"They were asked together.", NP_TESTS_MAPPING, 0, 15, false, false},
        {"It was asked in the place of a silent one.", NP_TESTS_MAPPING, 200, 200, false, true},
        {"Others have answered: this one may be dead.", NP_TESTS_MAPPING, 200, 200, true, false},
        {"It has not been silent for that long.", NP_TESTS_MAPPING, 199, 199, true, true},
        {"A filtering test has its own.", NP_TESTS_DEFAULT, 15, 15, false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        set(&b, (kind[KINDS]){SILENT, SILENT});
        b.f.config.tests = rows[i].tests;
        b.servers[1].started_ns = AT(rows[i].started_ms);
        b.f.any_answer = rows[i].any_answer;
        build_now(&b, AT(rows[i].now_ms));
        npi_schedule_step(&b.f);
        EXPECT_EQUAL(rows[i].says, b.servers[0].x[NPI_RECHECK].queued, rows[i].is_asked);
        EXPECT("The later one is not.", !b.servers[1].x[NPI_RECHECK].queued);
        EXPECT_TIME("That stands for the next copy of the first request.", b.servers[0].x[NPI_PRIMARY].not_before_ns,
                    rows[i].is_asked ? AT(rows[i].now_ms + 250) : NPI_NOW);
    }
}

/* One of two has answered, and the other has not. */
static void for_the_mapping_alone_a_silent_one_is_replaced(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){HEARD, SILENT, NEW});
    b.f.config.tests = NP_TESTS_MAPPING;
    build_now(&b, AT(49));
    EXPECT_TIME("It may be farther away.", npi_schedule_next_action(&b.f).wake_ns, AT(50));
    build_now(&b, AT(50));
    npi_schedule_step(&b.f);
    EXPECT("Another is asked in its place.", npi_server_is_started(&b.servers[2]));
    EXPECT("The one that has answered is asked again, to be compared.", b.servers[0].x[NPI_RECHECK].queued);
    EXPECT("The silent one cannot be.", !b.servers[1].x[NPI_RECHECK].queued);
    set(&b, (kind[KINDS]){HEARD, SILENT, NEW});
    build_now(&b, AT(50));
    b.servers[0].trial = -1;
    npi_schedule_step(&b.f);
    EXPECT("With a filtering test that has its time.", !b.servers[0].x[NPI_RECHECK].queued);
}

static void a_start_waits_for_the_rate(void **state)
{
    (void)state;
    static build b;
    for (unsigned used = 9; used <= 10; used++) {
        set(&b, (kind[KINDS]){FAILED, NEW});
        for (unsigned i = 0; i < used; i++)
            npi_rate_use(&b.f.rate, AT(7));
        build_now(&b, AT(20));
        npi_next_action next = npi_schedule_next_action(&b.f);
        EXPECT_EQUAL("The eleventh transaction of a second waits; the tenth does not.", next.action,
                     used == 10 ? WAIT : START);
        if (used == 10)
            EXPECT_TIME("Until the second is over.", next.wake_ns, AT(1007));
        build_now(&b, AT(1007) - 1);
        EXPECT_EQUAL("Not sooner.", npi_schedule_next_action(&b.f).action, used == 10 ? WAIT : START);
        build_now(&b, AT(1007));
        EXPECT_EQUAL("Then it starts.", npi_schedule_next_action(&b.f).action, START);
    }
}

/* ---- When nothing more is to be expected ------------------------------------------------------------------------ */

static const struct {
    const char *says;
    kind servers[KINDS]; /* the first is meant */
    uint64_t exhausted_ns;
} exhaustions[] = {
    {"It has not been asked.", {NEW, HEARD}, NPI_NEVER},
    {"It failed.", {FAILED}, NPI_NOW},
    {"Nobody has answered: perhaps it is the path.", {SILENT, SILENT}, NPI_NEVER},
    {"Another has answered within 20 ms: 1.5 s are long enough.", {SILENT, HEARD}, AT(1500)},
    {"Its trial is under way.", {TESTING}, NPI_NEVER},
    {"Its mapping is under way.", {UNFIT_LATER}, NPI_NEVER},
    {"Its trial is over, and A:P has seen the source socket.", {OVER}, NPI_NOW},
    {"Its trial is to come.", {HEARD}, NPI_NEVER},
    {"It has no trial to come.", {HEARD_PLAIN}, NPI_NOW},
};

static void a_server_is_exhausted_when_its_trial_and_its_primary_requests_are(void **state)
{
    (void)state;
    static build b;
    for (size_t i = 0; i < COUNT(exhaustions); i++) {
        set(&b, exhaustions[i].servers);
        EXPECT_TIME(exhaustions[i].says, npi_schedule_exhausted_ns(&b.f, &b.servers[0]), exhaustions[i].exhausted_ns);
    }
    set(&b, (kind[KINDS]){HEARD});
    b.f.trial_room = 0;
    EXPECT_TIME("There is no room for its trial.", npi_schedule_exhausted_ns(&b.f, &b.servers[0]), NPI_NOW);
    set(&b, (kind[KINDS]){OVER});
    b.servers[0].has_mapping = false;
    b.servers[0].x[NPI_PRIMARY].max_copies = 1;
    build_send(&b.servers[0].x[NPI_PRIMARY], AT(50));
    EXPECT_TIME("A:P may yet see the source socket: two round trips after the last copy not.",
                npi_schedule_exhausted_ns(&b.f, &b.servers[0]), AT(50 + 2 * 24));
}

static const struct {
    const char *says;
    kind servers[KINDS];
    uint64_t now_ns;
    bool more;
    bool exhausted;
    bool can_go_on; /* apart from a deferred trial */
} ends[] = {
    {"There is none, and none to come.", {NONE}, T0, false, true, false},
    {"There is none, but one may come.", {NONE}, T0, true, false, true},
    {"The only one failed.", {FAILED}, T0, false, true, false},
    {"The only one failed, but another may come.", {FAILED}, T0, true, false, true},
    {"The only one failed, but there is another.", {FAILED, NEW}, T0, false, false, true},
    {"It may yet answer.", {SILENT}, AT(2999), false, false, true},
    {"Another has answered, so it is given up.", {SILENT, OVER}, AT(1500), false, true, false},
    {"Just before it is not.", {SILENT, OVER}, AT(1500) - 1, false, false, true},
    {"Its trial is under way.", {TESTING}, T0, false, false, true},
    {"Its mapping is under way, which does not bring the filtering.", {UNFIT_LATER}, T0, false, false, false},
    {"Its trial is to come.", {HEARD}, T0, false, false, true},
    {"Its trial is over.", {OVER}, T0, false, true, false},
    {"The other one may not be asked while the tests go on.", {UNFIT, NEW_B}, T0, false, false, false},
};

static void all_is_exhausted_when_no_server_can_bring_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        static build b;
        set(&b, ends[i].servers);
        build_now(&b, ends[i].now_ns);
        b.f.more_servers = ends[i].more;
        EXPECT_EQUAL(ends[i].says, npi_schedule_all_exhausted_ns(&b.f) <= b.f.now_ns, ends[i].exhausted);
        EXPECT_EQUAL(ends[i].says, npi_schedule_can_go_on_until_ns(&b.f) > b.f.now_ns, ends[i].can_go_on);
    }
}

/* A name server that does not answer keeps nobody waiting, once somebody has answered. */
static void names_are_waited_for_a_second_behind_the_last_datagram(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        kind servers[KINDS];
        unsigned sent_ms, heard_ms;
        bool asking; /* fresh sockets look at the path */
        uint64_t exhausted_ns, can_go_on_until_ns;
    } rows[] = {
        {"From the last answer.", {OVER}, 20, 40, false, AT(1040), AT(1040)},
        {"Or from what was sent last.", {OVER}, 50, 40, false, AT(1050), AT(1050)},
        {"A silent server is given up first.", {SILENT, OVER}, 20, 40, false, NPI_NEVER, NPI_NEVER},
        {"While nobody has answered, names may be the way out.", {FAILED}, 20, 40, false, NPI_NEVER, NPI_NEVER},
        {"There is a server to ask.", {OVER, NEW}, 20, 40, false, NPI_NEVER, NPI_NEVER},
        {"A trial is under way.", {TESTING}, 20, 40, false, NPI_NEVER, NPI_NEVER},
        {"A deferred one waits no longer for names.", {UNFIT_LATER}, 20, 40, false, NPI_NEVER, AT(1040)},
        {"The path is being looked at.", {OVER}, 20, 40, true, NPI_NEVER, AT(1040)},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        set(&b, rows[i].servers);
        b.f.more_servers = true;
        b.f.traffic.last_sent_ns = AT(rows[i].sent_ms);
        b.f.traffic.last_heard_ns = AT(rows[i].heard_ms);
        b.f.path.state = rows[i].asking ? NPI_PATH_ASKING : NPI_PATH_UNKNOWN;
        build_now(&b, AT(60));
        EXPECT_TIME(rows[i].says, npi_schedule_all_exhausted_ns(&b.f), rows[i].exhausted_ns);
        EXPECT_TIME(rows[i].says, npi_schedule_can_go_on_until_ns(&b.f), rows[i].can_go_on_until_ns);
    }
}

static void nothing_new_is_begun_while_the_path_is_looked_at(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){OVER, NEW});
    build_now(&b, AT(300));
    EXPECT_EQUAL("The next server is due.", npi_schedule_next_action(&b.f).action, START);
    b.f.path.state = NPI_PATH_ASKING;
    EXPECT_EQUAL("It may not be needed.", npi_schedule_next_action(&b.f).action, WAIT);
    set(&b, (kind[KINDS]){OVER});
    b.f.path.state = NPI_PATH_ASKING;
    EXPECT_TIME("It is not over before that is known.", npi_schedule_all_exhausted_ns(&b.f), NPI_NEVER);
}

static void a_server_that_alone_sees_changes_is_not_asked_again(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){BEFORE, NEW});
    EXPECT_EQUAL("The one that had answered comes first.", npi_schedule_next_action(&b.f).server, 0);
    b.servers[0].is_unsteady = true;
    EXPECT_EQUAL("Unless it alone sees changes.", npi_schedule_next_action(&b.f).server, 1);
    b.f.server_count = 1;
    EXPECT_EQUAL("Even when it is the only one.", npi_schedule_next_action(&b.f).action, WAIT);
    EXPECT_TIME("Then nothing is left to ask.", npi_schedule_all_exhausted_ns(&b.f), NPI_NOW);
}

static void a_restart_begins_anew_with_the_path(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){OVER});
    b.f.path.state = NPI_PATH_OTHER;
    b.f.path.asked = 4;
    npi_schedule_restart(&b.f);
    EXPECT("Nothing is known of it.", b.f.path.state == NPI_PATH_UNKNOWN && b.f.path.asked == 0);
}

/* A NAT that keeps its state remembers the requests from before. */
static void a_restart_forgets_no_server_that_was_contacted(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){SILENT, NEW});
    npi_schedule_restart(&b.f);
    EXPECT("It is asked anew.", !npi_server_is_started(&b.f.servers[0]));
    EXPECT("It has been contacted all the same.", npi_facts_has_contacted(&b.f, &b.f.servers[0].address));
    EXPECT("One that was not asked has not.", !npi_facts_has_contacted(&b.f, &b.f.servers[1].address));
}

static void servers_are_wanted_one_ahead_and_more_while_nobody_answers(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        kind servers[KINDS];
        uint64_t now_ns;
        size_t wanted;
    } rows[] = {
        {"Three to begin with.", {NONE}, T0, 3},
        {"One has been asked: three.", {SILENT, NEW}, T0, 3},
        {"Two have been asked: one more.", {SILENT, SILENT}, T0, 3},
        {"Three have been asked: one more.", {SILENT, SILENT, SILENT}, T0, 4},
        {"Not yet 200 ms of silence.", {SILENT}, AT(200) - 1, 3},
        {"200 ms of silence: one more.", {SILENT}, AT(200), 4},
        {"A second of silence: five more.", {SILENT}, AT(1000), 8},
        {"Somebody has answered: no hurry.", {SILENT, HEARD}, AT(1000), 3},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        set(&b, rows[i].servers);
        build_now(&b, rows[i].now_ns);
        EXPECT_EQUAL(rows[i].says, npi_schedule_servers_wanted(&b.f), rows[i].wanted);
    }
}

/* ---- A step ----------------------------------------------------------------------------------------------------- */

static void a_started_server_is_asked_at_its_primary_address(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){NEW, NEW_PLAIN, NEW});
    build_now(&b, AT(3));
    EXPECT_TIME("The tests leave at once.", npi_schedule_step(&b.f), AT(3));
    const npi_server *s = &b.servers[0];
    EXPECT_EQUAL("It has been asked.", s->contact, NPI_ASKED);
    EXPECT_TIME("Then.", s->started_ns, AT(3));
    EXPECT("The plain request is queued.", s->x[NPI_PRIMARY].queued);
    EXPECT("The others are not.", !s->x[NPI_RFC3489].queued && !s->x[NPI_RECHECK].queued);
    const uint32_t copies[] = {NPI_PRIMARY_COPIES, NPI_RFC3489_COPIES, NPI_ALTERNATE_COPIES};
    for (int i = 0; i < NPI_SERVER_EXCHANGES; i++) {
        EXPECT("All go to A:P, plain, from the source socket.",
               npi_addr_equal(&s->x[i].to, &s->address) && s->x[i].change == 0 && s->x[i].slot == NPI_SLOT_SOURCE);
        EXPECT_EQUAL("So often at most.", s->x[i].max_copies, copies[i]);
    }
    EXPECT("The first one has a trial.", s->trial == 0 && b.f.trial_count == 1);
    EXPECT("The plain one is asked beside it, without.", b.servers[1].contact == NPI_ASKED && b.servers[1].trial < 0);
    EXPECT_EQUAL("The third waits.", b.servers[2].contact, NPI_NOT_ASKED);
}

static const struct {
    const char *says;
    kind server;
    uint64_t now_ns;
    bool asked;
    uint64_t wake_ns;
} old_forms[] = {
    {"Just before 0.8 s of silence.", SILENT, AT(800) - 1, false, AT(800)},
    {"0.8 s of silence: perhaps it insists on the old form.", SILENT, AT(800), true, NPI_NEVER},
    {"Nothing has been sent to it that it could have answered.", REFUSED, AT(800), false, NPI_NEVER},
    {"It has answered.", HEARD_PLAIN, AT(800), false, NPI_NEVER},
    {"It failed.", FAILED, AT(800), false, NPI_NEVER},
    {"It has not been asked, nor can be while the tests before it go on.", NEW_B, AT(800), false, NPI_NEVER},
};

/* While another server is tested the rate is worth more. */
static void a_silent_server_is_asked_in_the_old_form_later_while_another_is_tested(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){SILENT, TESTING});
    build_send(&b.servers[0].x[NPI_PRIMARY], T0);
    build_now(&b, AT(1200) - 1);
    npi_schedule_step(&b.f);
    EXPECT("It waits 1.2 s.", !b.servers[0].x[NPI_RFC3489].queued);
    build_now(&b, AT(1200));
    npi_schedule_step(&b.f);
    EXPECT("But no longer.", b.servers[0].x[NPI_RFC3489].queued);
}

static void a_silent_server_is_asked_in_the_old_form_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(old_forms); i++) {
        static build b;
        bool second = old_forms[i].server == NEW_B;
        set(&b, (kind[KINDS]){second ? UNFIT : old_forms[i].server, second ? NEW_B : NONE});
        build_now(&b, old_forms[i].now_ns);
        npi_exchange *x = &b.servers[second ? 1 : 0].x[NPI_RFC3489];
        EXPECT_TIME(old_forms[i].says, npi_schedule_step(&b.f), old_forms[i].wake_ns);
        EXPECT_EQUAL(old_forms[i].says, x->queued, old_forms[i].asked);
        build_send(x, b.f.now_ns);
        npi_schedule_step(&b.f);
        EXPECT("It is asked once.", !x->queued);
    }
}

static const struct {
    const char *says;
    kind servers[KINDS]; /* the first is meant */
    bool is_mapping_only;
    uint64_t now_ns;
    bool begins;
    uint64_t wake_ns; /* if it does not begin */
} trials[] = {
    {"It has answered and named a second address.", {HEARD}, false, AT(50), true, 0},
    {"It has named none.", {HEARD_PLAIN}, false, AT(50), false, NPI_NEVER},
    {"It has a trial that is over.", {OVER}, false, AT(50), false, NPI_NEVER},
    {"Another's trial is under way, and heard.", {HEARD, TESTING}, false, AT(50), false, NPI_NEVER},
    {"Another's is under way, but cannot tell the filtering.", {HEARD, UNFIT_LATER}, false, AT(50), true, 0},
    {"For the mapping alone another may answer sooner than B: until a round trip and 20 ms have passed.",
     {HEARD, SILENT},
     true,
     AT(44) - 1,
     false,
     AT(44)},
    {"They have.", {HEARD, SILENT}, true, AT(44), true, 0},
    {"Another that failed is not waited for.", {HEARD, FAILED}, true, AT(30), true, 0},
    {"There is no other.", {HEARD}, true, AT(30), true, 0},
};

static void a_trial_begins_when_its_server_can_bring_what_is_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(trials); i++) {
        static build b;
        set(&b, trials[i].servers);
        b.f.config.tests = trials[i].is_mapping_only ? NP_TESTS_MAPPING : NP_TESTS_DEFAULT;
        build_now(&b, trials[i].now_ns);
        size_t before = b.f.trial_count;
        uint64_t wake_ns = npi_schedule_step(&b.f);
        EXPECT_EQUAL(trials[i].says, b.f.trial_count, before + (trials[i].begins ? 1 : 0));
        EXPECT_TIME(trials[i].says, wake_ns, trials[i].begins ? trials[i].now_ns : trials[i].wake_ns);
        if (!trials[i].begins)
            continue;
        const npi_trial *t = &b.trials[b.servers[0].trial];
        EXPECT_EQUAL("With the filtering only where that is asked for.", t->phase,
                     trials[i].is_mapping_only ? NPI_PHASE_MAPPING : NPI_PHASE_FILTERING);
    }
    static build b;
    set(&b, (kind[KINDS]){HEARD});
    b.f.trial_room = 0;
    npi_schedule_step(&b.f);
    EXPECT_EQUAL("There is no room for one.", b.f.trial_count, 0);
    set(&b, (kind[KINDS]){SILENT, HEARD});
    b.f.config.tests = NP_TESTS_MAPPING;
    build_now(&b, AT(30));
    npi_schedule_step(&b.f);
    EXPECT_EQUAL("One listed before is waited for as well.", b.f.trial_count, 0);
    set(&b, (kind[KINDS]){HEARD});
    b.servers[0].has_mapping = false; /* the filtering socket was heard */
    npi_schedule_step(&b.f);
    EXPECT_EQUAL("A:P has yet to see the source socket.", b.f.trial_count, 0);
    set(&b, (kind[KINDS]){HEARD});
    b.servers[0].failed = true;
    npi_schedule_step(&b.f);
    EXPECT_EQUAL("It failed.", b.f.trial_count, 0);
}

static void a_server_that_another_socket_has_heard_is_asked_for_longer(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){HEARD_PLAIN, SILENT});
    build_send(&b.servers[0].x[NPI_PRIMARY], T0);
    build_send(&b.servers[1].x[NPI_PRIMARY], T0);
    npi_schedule_step(&b.f);
    EXPECT_EQUAL("It is there.", b.servers[0].x[NPI_PRIMARY].t.limit, NPI_PRIMARY_COPIES_HEARD);
    EXPECT_EQUAL("This one perhaps not.", b.servers[1].x[NPI_PRIMARY].t.limit, NPI_PRIMARY_COPIES);
}

static void a_step_is_due_again_when_the_first_of_its_reasons_is(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){SILENT, HEARD_PLAIN});
    build_now(&b, AT(900)); /* the old form is queued now */
    EXPECT_TIME("The silent one is given up.", npi_schedule_step(&b.f), AT(1500));
    set(&b, (kind[KINDS]){SILENT});
    build_now(&b, AT(450));
    b.f.more_servers = true;
    EXPECT_TIME("One more server is wanted.", npi_schedule_step(&b.f), AT(600));
    build_now(&b, AT(600) - 1);
    EXPECT_TIME("That time has not come.", npi_schedule_step(&b.f), AT(600));
    build_now(&b, AT(600));
    EXPECT_TIME("And another.", npi_schedule_step(&b.f), AT(800));
    b.f.any_answer = true;
    build_now(&b, AT(810));
    EXPECT_TIME("Not once somebody has answered.", npi_schedule_step(&b.f), AT(3000));
    set(&b, (kind[KINDS]){SILENT_TRIAL, NEW});
    build_now(&b, AT(50));
    EXPECT_TIME("The next one is started.", npi_schedule_step(&b.f), AT(100));
}

/* ---- Once more -------------------------------------------------------------------------------------------------- */

static void those_are_asked_again_whose_views_cannot_be_compared(void **state)
{
    (void)state;
    static build b;
    npi_addr external = build_external(2);
    set(&b, (kind[KINDS]){HEARD_PLAIN, HEARD_PLAIN, SILENT});
    npi_server *late = &b.servers[1];
    late->has_mapping = false;
    build_sees(late, &external, AT(50), AT(70));
    build_send(&b.servers[0].x[NPI_RECHECK], AT(30));
    npi_schedule_reconfirm(&b.f);
    EXPECT_EQUAL("It is one more round.", b.f.rechecks, 1);
    for (int i = 0; i < 2; i++) {
        const npi_exchange *x = &b.servers[i].x[NPI_RECHECK];
        EXPECT("Both are asked, as if never before.", x->queued && !x->t.started);
        EXPECT("At A:P.", npi_addr_equal(&x->to, &b.servers[i].address) && x->change == 0);
        EXPECT_EQUAL("So often at most.", x->max_copies, NPI_ALTERNATE_COPIES);
    }
    EXPECT("One that saw nothing is not.", !b.servers[2].x[NPI_RECHECK].queued);
    set(&b, (kind[KINDS]){HEARD_PLAIN, HEARD_PLAIN});
    npi_schedule_reconfirm(&b.f);
    EXPECT("Views of one moment need no other.", !b.servers[0].x[NPI_RECHECK].queued);
}

static void a_restart_forgets_what_was_seen_but_not_what_was_contacted(void **state)
{
    (void)state;
    static build b;
    set(&b, (kind[KINDS]){TESTING, SILENT, UNFIT, OVER});
    build_decided(&b.trials[1], OPEN, true, NPI_REASON_NONE, NPI_PHASE_MAPPING);
    b.trials[2].finding.state = NPI_REPORTED;
    build_send(build_ask(&b, &b.trials[0], NPI_M_BP), T0);
    build_send(&b.servers[0].x[NPI_PRIMARY], T0);
    b.f.rechecks = 2;
    b.f.evidence = ~0u;
    npi_server *first = &b.servers[0];
    first->suspect_ns = first->suspect_took_ns = first->suspect_rtt_ns = first->woke_ns = AT(10);
    first->heard_ns = first->service_ns = first->clear_ns = AT(10);
    first->late_answers = NPI_SLOW_ANSWERS;
    first->is_last_late = first->fell_silent = true;
    first->last_heard = &first->x[NPI_PRIMARY].t;
    npi_schedule_restart(&b.f);
    EXPECT("What the path was like is forgotten.",
           first->suspect_ns + first->suspect_took_ns + first->suspect_rtt_ns + first->woke_ns + first->heard_ns +
                       first->service_ns + first->clear_ns + first->late_answers ==
                   0 &&
               !first->is_last_late && !first->fell_silent && first->last_heard == NULL);
    EXPECT("It is known for the result.", b.f.restarted);
    EXPECT_EQUAL("Rechecks begin anew.", b.f.rechecks, 0);
    EXPECT_EQUAL("Of the evidence only what concerns the servers stays.", b.f.evidence,
                 NP_EVIDENCE_ANSWERED | NP_EVIDENCE_CLASSIC | NP_EVIDENCE_ALTERNATE | NP_EVIDENCE_ALTERNATE_REFUSED |
                     NP_EVIDENCE_MALFORMED | NP_EVIDENCE_PROXIED | NP_EVIDENCE_CONTRADICTION | NP_EVIDENCE_RESTARTED);
    for (size_t i = 0; i < 3; i++) {
        EXPECT_EQUAL("Each trial is over.", b.trials[i].phase, NPI_PHASE_DONE);
        EXPECT("It has told nothing.", npi_trial_is_decided(&b.trials[i]) && b.trials[i].finding.filtering == UNKNOWN &&
                                           b.trials[i].finding.reason == NPI_REASON_UNFINISHED);
    }
    EXPECT_EQUAL("What was reported is not reported again.", b.trials[2].finding.state, NPI_REPORTED);
    for (size_t i = 0; i < 4; i++) {
        const npi_server *s = &b.servers[i];
        EXPECT("Each server is as if never asked.", s->contact == NPI_NOT_ASKED && !s->has_mapping && s->trial < 0);
        EXPECT("Its requests are forgotten.", !s->x[NPI_PRIMARY].t.started);
        EXPECT_EQUAL("Whether it answered is not.", s->answered_before_restart, i != 1);
        EXPECT_EQUAL("How far away it is may have changed.", s->rtt.samples, 0);
    }
    npi_addr bp = build_b(0, BUILD_P);
    EXPECT("B:P has been asked, and stays so.", npi_facts_has_contacted(&b.f, &bp));
    EXPECT_EQUAL("It starts with one that had answered.", npi_schedule_next_action(&b.f).server, 0);
    npi_schedule_restart(&b.f);
    EXPECT("A second restart forgets no answer.", b.servers[0].answered_before_restart);
}

static void after_two_silent_servers_none_is_tested(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    for (int i = 0; i < 3; i++)
        add_heard(&b, HEARD);
    build_now(&b, AT(2000));
    b.servers[0].fell_silent = true;
    EXPECT_TIME("The third may be tested: it is not exhausted.", npi_schedule_exhausted_ns(&b.f, &b.servers[2]),
                NPI_NEVER);
    b.servers[1].fell_silent = true;
    EXPECT_TIME("It will not be.", npi_schedule_exhausted_ns(&b.f, &b.servers[2]), NPI_NOW);
    npi_schedule_step(&b.f);
    EXPECT_EQUAL("It is not.", b.f.trial_count, 0);
}

static void two_others_are_asked_once_a_server_fell_silent(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    add_heard(&b, HEARD);
    for (int i = 0; i < 3; i++)
        build_server(&b);
    build_now(&b, AT(2000));
    b.servers[0].fell_silent = true;
    b.servers[0].alternate_state = NPI_ALTERNATE_NONE; /* nothing else is waited for */
    npi_schedule_step(&b.f);
    EXPECT_EQUAL("Two, at one moment.", npi_facts_count_started(&b.f), 3);
    EXPECT_TIME("The first of them.", b.servers[1].started_ns, AT(2000));
    EXPECT_TIME("And the second.", b.servers[2].started_ns, AT(2000));
    build_now(&b, AT(2001));
    npi_schedule_step(&b.f);
    EXPECT("While they may answer there is no third.", !npi_server_is_started(&b.servers[3]));
    build_now(&b, AT(2999));
    EXPECT_TIME("For a second.", npi_schedule_step(&b.f), AT(3000));
    build_now(&b, AT(3000));
    npi_schedule_step(&b.f);
    EXPECT("Then there is.", npi_server_is_started(&b.servers[3]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_action_is_to_start_a_server_or_to_wait),
        cmocka_unit_test(after_two_silent_servers_none_is_tested),
        cmocka_unit_test(two_others_are_asked_once_a_server_fell_silent),
        cmocka_unit_test(for_the_mapping_alone_two_are_asked_at_once),
        cmocka_unit_test(one_that_was_asked_is_asked_again_behind_a_later_one),
        cmocka_unit_test(for_the_mapping_alone_a_silent_one_is_replaced),
        cmocka_unit_test(a_start_waits_for_the_rate),
        cmocka_unit_test(a_server_is_exhausted_when_its_trial_and_its_primary_requests_are),
        cmocka_unit_test(all_is_exhausted_when_no_server_can_bring_more),
        cmocka_unit_test(names_are_waited_for_a_second_behind_the_last_datagram),
        cmocka_unit_test(nothing_new_is_begun_while_the_path_is_looked_at),
        cmocka_unit_test(a_server_that_alone_sees_changes_is_not_asked_again),
        cmocka_unit_test(a_restart_begins_anew_with_the_path),
        cmocka_unit_test(a_restart_forgets_no_server_that_was_contacted),
        cmocka_unit_test(servers_are_wanted_one_ahead_and_more_while_nobody_answers),
        cmocka_unit_test(a_started_server_is_asked_at_its_primary_address),
        cmocka_unit_test(a_silent_server_is_asked_in_the_old_form_once),
        cmocka_unit_test(a_silent_server_is_asked_in_the_old_form_later_while_another_is_tested),
        cmocka_unit_test(a_trial_begins_when_its_server_can_bring_what_is_missing),
        cmocka_unit_test(a_server_that_another_socket_has_heard_is_asked_for_longer),
        cmocka_unit_test(a_step_is_due_again_when_the_first_of_its_reasons_is),
        cmocka_unit_test(those_are_asked_again_whose_views_cannot_be_compared),
        cmocka_unit_test(a_restart_forgets_what_was_seen_but_not_what_was_contacted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
