/* SPDX-License-Identifier: MIT */
/* path: do fresh sockets go another way than the source, or has the NAT several addresses? */
#include "engine/path.h"

#include <string.h>

#include "build.h"

#define RTT_MS 20
#define NOW_MS 100
#define RTO_MS 24
#define OPEN NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
#define UNKNOWN NP_BEHAVIOUR_UNKNOWN

static npi_addr address_of(const char *text)
{
    npi_addr a;
    assert_true(npi_addr_parse_ip(text, &a));
    a.port = 40000;
    return a;
}

static void show(npi_exchange *x, const char *external, const char *local)
{
    const npi_addr seen = address_of(external);
    build_observe(x, &seen, AT(0), AT(RTT_MS));
    x->local = address_of(local);
}

/* One server sees the source socket here, and its trial's filtering socket there. The filtering is known. */
static npi_trial *seen_at(build *b, const char *source, const char *filtering, const char *filtering_local)
{
    const npi_addr external = address_of(source);
    build_init(b);
    npi_server *s = build_answering_server(b, RTT_MS);
    build_sees(s, &external, AT(0), AT(RTT_MS));
    npi_trial *t = build_trial(b, s);
    show(&t->filtering.x[NPI_F_I], filtering, filtering_local);
    build_decided(t, OPEN, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    build_now(b, AT(NOW_MS));
    return t;
}

#define LOCAL "10.0.0.7"

static npi_trial *pool_or_not(build *b)
{
    return seen_at(b, "192.0.2.77", "192.0.2.78", LOCAL);
}

static uint32_t queued(const build *b)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < NPI_PATH_SOCKETS; i++)
        count += b->f.path.x[i].queued;
    return count;
}

/* Sends the last copy of each request that was asked now, so that it is given up when that counts as lost. */
static void send_all(build *b)
{
    for (uint32_t i = 0; i < b->f.path.asked; i++) {
        npi_exchange *x = &b->f.path.x[i];
        x->max_copies = 1;
        if (x->queued)
            build_send(x, b->f.now_ns);
    }
}

/* ---- Is there a reason to ask? ---------------------------------------------------------------------------------- */

static const struct {
    const char *says;
    const char *source, *filtering, *local;
    npi_path_state state;
} reasons[] = {
    {"Both have one external address.", "192.0.2.77", "192.0.2.77", LOCAL, NPI_PATH_UNKNOWN},
    {"Neighbours may be of one pool: more sockets are asked.", "192.0.2.77", "192.0.2.78", LOCAL, NPI_PATH_ASKING},
    {"The whole /24 is one neighbourhood.", "192.0.2.0", "192.0.2.255", LOCAL, NPI_PATH_ASKING},
    {"The next one is another: a router with two lines has two NATs.", "192.0.2.255", "192.0.3.0", LOCAL,
     NPI_PATH_OTHER},
    {"Nothing near is another as well.", "192.0.2.77", "203.0.113.5", LOCAL, NPI_PATH_OTHER},
    {"Another local address is another way, whatever the external one.", "192.0.2.77", "192.0.2.77", "10.0.0.8",
     NPI_PATH_OTHER},
    {"Also with a neighbour.", "192.0.2.77", "192.0.2.78", "10.0.0.8", NPI_PATH_OTHER},
    {"In IPv6 the whole /48 is one neighbourhood.", "2001:db8:7::1", "2001:db8:7:ffff:ffff:ffff:ffff:ffff", LOCAL,
     NPI_PATH_ASKING},
    {"The next /48 is another.", "2001:db8:7::1", "2001:db8:8::1", LOCAL, NPI_PATH_OTHER},
    {"The families are no neighbours.", "32.1.13.184", "2001:db8::1", LOCAL, NPI_PATH_OTHER},
};

static void another_external_or_local_address_is_a_reason_to_ask(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(reasons); i++) {
        static build b;
        const char *says = reasons[i].says;
        npi_trial *t = seen_at(&b, reasons[i].source, reasons[i].filtering, reasons[i].local);
        uint64_t wake_ns = npi_path_step(&b.f);
        EXPECT_EQUAL(says, b.f.path.state, reasons[i].state);
        EXPECT_TIME(says, wake_ns, reasons[i].state == NPI_PATH_UNKNOWN ? NPI_NEVER : AT(NOW_MS));
        EXPECT_EQUAL(says, npi_path_is_asking(&b.f), reasons[i].state == NPI_PATH_ASKING);
        EXPECT_EQUAL("It asks one after the other.", queued(&b), reasons[i].state == NPI_PATH_ASKING ? 1 : 0);
        bool other = reasons[i].state == NPI_PATH_OTHER;
        EXPECT_EQUAL("Nobody is told of another NAT's.", t->finding.filtering, other ? UNKNOWN : OPEN);
        npi_path_step(&b.f);
        EXPECT_EQUAL("Another way tells another NAT's filtering.", t->finding.filtering, other ? UNKNOWN : OPEN);
        EXPECT_EQUAL("And that is the reason.", t->finding.reason, other ? NPI_REASON_OTHER_PATH : NPI_REASON_NONE);
        EXPECT_TIME("Then there is nothing left to do.", npi_path_step(&b.f), NPI_NEVER);
        if (!other && reasons[i].state != NPI_PATH_ASKING)
            EXPECT_EQUAL("No socket is used.", b.f.path.asked, 0);
    }
}

static void fresh_sockets_ask_the_same_address_each_from_a_slot_of_its_own(void **state)
{
    (void)state;
    static build b;
    for (int restarted = 0; restarted < 2; restarted++) {
        int first = NPI_SLOT_PATH + restarted * NPI_PATH_SOCKETS;
        npi_trial *t = pool_or_not(&b);
        npi_server *s = build_answering_server(&b, RTT_MS);
        t->server = 1; /* not the first one */
        b.servers[1].has_mapping = true;
        b.servers[1].observed = b.servers[0].observed;
        b.servers[0].trial = -1;
        s->trial = 0;
        b.f.restarted = restarted;
        npi_path_step(&b.f);
        EXPECT_EQUAL("The trial's server is asked.", b.f.path.server, 1);
        EXPECT_EQUAL("One socket does.", b.f.path.asked, 1);
        const npi_exchange *x = &b.f.path.x[0];
        EXPECT("A plain request, to A:P.", npi_addr_equal(&x->to, &s->address) && x->change == 0 && x->queued);
        EXPECT_EQUAL("From a slot of its own; after a restart the others are used up.", x->slot, first);
        EXPECT_EQUAL("No more copies than an address named by a server gets.", x->max_copies, NPI_ALTERNATE_COPIES);
        EXPECT("The socket is needed.", npi_path_needs_slot(&b.f, first));
        EXPECT("Others are not.", !npi_path_needs_slot(&b.f, first + 1) && !npi_path_needs_slot(&b.f, first - 1));
        send_all(&b);
        show(&b.f.path.x[0], "192.0.2.78", LOCAL);
        EXPECT("One that has its answer is not.", !npi_path_needs_slot(&b.f, first));
        npi_path_step(&b.f);
        EXPECT_EQUAL("The next one has another slot.", b.f.path.x[1].slot, first + 1);
        EXPECT("It is needed.", npi_path_needs_slot(&b.f, first + 1));
        b.f.path.state = NPI_PATH_POOL;
        EXPECT("Once it is decided none is.", !npi_path_needs_slot(&b.f, first + 1));
    }
}

/* ---- What they show --------------------------------------------------------------------------------------------- */

static const struct {
    const char *says;
    const char *external, *local; /* of a fresh socket; that of filtering is 192.0.2.78 */
    npi_path_state state;
} views[] = {
    {"It agrees with the filtering socket: that may be chance.", "192.0.2.78", LOCAL, NPI_PATH_ASKING},
    {"A third address of the neighbourhood: the NAT has a pool.", "192.0.2.200", LOCAL, NPI_PATH_POOL},
    {"It agrees with the source socket, unlike the other one: a pool.", "192.0.2.77", LOCAL, NPI_PATH_POOL},
    {"An address of another network: sockets are spread over lines.", "203.0.113.5", LOCAL, NPI_PATH_OTHER},
    {"Another local address: sockets are spread over interfaces.", "192.0.2.78", "10.0.0.8", NPI_PATH_OTHER},
    {"Another family.", "2001:db8::1", LOCAL, NPI_PATH_OTHER},
};

static void fresh_sockets_that_differ_decide_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(views); i++) {
        for (uint32_t agreeing = 0; agreeing < 3; agreeing++) { /* so many agree before it */
            static build b;
            npi_trial *t = pool_or_not(&b);
            npi_path_step(&b.f);
            for (uint32_t k = 0; k < agreeing; k++) {
                show(&b.f.path.x[k], "192.0.2.78", LOCAL);
                npi_path_step(&b.f);
            }
            send_all(&b);
            show(&b.f.path.x[agreeing], views[i].external, views[i].local);
            npi_path_step(&b.f);
            EXPECT_EQUAL(views[i].says, b.f.path.state, views[i].state);
            bool other = views[i].state == NPI_PATH_OTHER;
            EXPECT_EQUAL(views[i].says, t->finding.reason, other ? NPI_REASON_OTHER_PATH : NPI_REASON_NONE);
            bool more = views[i].state == NPI_PATH_ASKING;
            EXPECT_EQUAL("No more are asked once it is known.", b.f.path.asked, agreeing + (more ? 2 : 1));
        }
    }
}

static void while_they_agree_more_are_asked_one_after_the_other_and_eight_are_enough(void **state)
{
    (void)state;
    static build b;
    npi_trial *t = pool_or_not(&b);
    EXPECT_TIME("It begins at once.", npi_path_step(&b.f), AT(NOW_MS));
    for (uint32_t asked = 1; asked <= NPI_PATH_SOCKETS; asked++) {
        EXPECT_EQUAL("One more.", b.f.path.asked, asked);
        send_all(&b);
        EXPECT_TIME("It is awaited.", npi_path_step(&b.f), AT(NOW_MS + RTO_MS));
        EXPECT_EQUAL("Until it answers no more are asked.", b.f.path.asked, asked);
        show(&b.f.path.x[asked - 1], "192.0.2.78", LOCAL);
        EXPECT_EQUAL("Nothing is said yet.", t->finding.filtering, OPEN);
        EXPECT_TIME("Then it goes on.", npi_path_step(&b.f), AT(NOW_MS));
    }
    EXPECT_EQUAL("Eight agree with each other, and not with the source.", b.f.path.state, NPI_PATH_OTHER);
    EXPECT_EQUAL("No more are asked.", b.f.path.asked, NPI_PATH_SOCKETS);
    EXPECT_EQUAL("The filtering is another NAT's.", t->finding.reason, NPI_REASON_OTHER_PATH);
}

static void those_that_do_not_answer_are_given_up(void **state)
{
    (void)state;
    static build b;
    pool_or_not(&b);
    npi_path_step(&b.f);
    EXPECT_TIME("Before it has left nothing is given up.", npi_path_step(&b.f), NPI_NEVER);
    send_all(&b);
    b.f.path.x[0].t.limit = 2;
    EXPECT_TIME("Nor while copies are left.", npi_path_step(&b.f), NPI_NEVER);
    b.f.path.x[0].t.limit = 1;
    EXPECT_TIME("Then for a round trip.", npi_path_step(&b.f), AT(NOW_MS + RTO_MS));
    build_now(&b, AT(NOW_MS + RTO_MS) - 1);
    npi_path_step(&b.f);
    EXPECT_EQUAL("Not sooner.", b.f.path.asked, 1);
    build_now(&b, AT(NOW_MS + RTO_MS));
    EXPECT_TIME("Then another is asked.", npi_path_step(&b.f), AT(NOW_MS + RTO_MS));
    EXPECT_EQUAL("At once.", b.f.path.asked, 2);
}

static void what_fails_or_shows_no_address_is_no_other_way(void **state)
{
    (void)state;
    static build b;
    pool_or_not(&b);
    npi_path_step(&b.f);
    b.f.path.x[0].failed = true; /* the system refused it, or gave no socket */
    npi_path_step(&b.f);
    EXPECT_EQUAL("Nothing was asked.", b.f.path.state, NPI_PATH_ASKING);
    EXPECT_EQUAL("Another is.", b.f.path.asked, 2);
    build_send(&b.f.path.x[1], AT(NOW_MS));
    build_answer(&b.f.path.x[1], AT(NOW_MS)); /* an error */
    b.f.path.x[1].failed = true;
    npi_path_step(&b.f);
    EXPECT_EQUAL("It tells nothing.", b.f.path.state, NPI_PATH_ASKING);
    EXPECT_EQUAL("Another is asked.", b.f.path.asked, 3);
    b.f.path.x[2].failed = true;
    npi_path_step(&b.f);
    EXPECT_EQUAL("Three are enough: whether it is another way stays unknown.", b.f.path.state, NPI_PATH_OTHER);
    EXPECT_EQUAL("No more are asked.", b.f.path.asked, 3);
}

/* ---- The mapping comes first ------------------------------------------------------------------------------------ */

static const struct {
    const char *says;
    npi_phase phase;
    bool decided, queued, has_trial;
    bool asks;
} phases[] = {
    {"The trial is over.", NPI_PHASE_DONE, true, false, true, true},
    {"Its tests are under way.", NPI_PHASE_FILTERING, true, false, true, false},
    {"The control is under way.", NPI_PHASE_MAPPING, false, false, true, false},
    {"A mapping request waits for the rate.", NPI_PHASE_MAPPING, true, true, true, false},
    {"The mapping requests have left.", NPI_PHASE_MAPPING, true, false, true, true},
    {"The server has no trial any more.", NPI_PHASE_FILTERING, true, false, false, true},
};

static void further_sockets_wait_for_the_mapping_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(phases); i++) {
        for (int k = 0; k < NPI_CONTROL_EXCHANGES; k++) {
            static build b;
            const char *says = phases[i].says;
            npi_trial *t = pool_or_not(&b);
            build_decided(t, phases[i].decided ? OPEN : UNKNOWN, true, NPI_REASON_NONE, phases[i].phase);
            t->finding.state = phases[i].decided ? NPI_DECIDED : NPI_UNDECIDED;
            t->control.x[k].queued = phases[i].queued;
            npi_path_step(&b.f);
            EXPECT_EQUAL("The first does not wait.", b.f.path.asked, 1);
            b.servers[0].trial = phases[i].has_trial ? 0 : -1;
            show(&b.f.path.x[0], "192.0.2.78", LOCAL);
            EXPECT_TIME(says, npi_path_step(&b.f), phases[i].asks ? AT(NOW_MS) : NPI_NEVER);
            EXPECT_EQUAL(says, b.f.path.asked, phases[i].asks ? 2 : 1);
        }
    }
}

static void mapping_requests_that_see_neighbours_show_a_pool(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        const char *seen; /* by B:P of the source socket */
        uint8_t local;    /* last byte of the local address that B:P's answer came to */
        bool is_pool;
    } rows[] = {
        {"The source socket has two neighbours itself.", "192.0.2.80", 7, true},
        {"It has one address, with two ports.", "192.0.2.77", 7, false},
        {"It has addresses of two networks.", "203.0.113.5", 7, false},
        {"Two ways out of the host may be two NATs of one network.", "192.0.2.80", 8, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t = pool_or_not(&b);
        npi_path_step(&b.f);
        npi_addr seen = address_of(rows[i].seen);
        seen.port++;
        npi_exchange *x = build_ask(&b, t, NPI_M_BP);
        build_observe(x, &seen, AT(0), AT(RTT_MS));
        x->local.ip[3] = rows[i].local;
        npi_path_step(&b.f);
        EXPECT_EQUAL(rows[i].says, b.f.path.state, rows[i].is_pool ? NPI_PATH_POOL : NPI_PATH_ASKING);
        EXPECT_EQUAL("The filtering stands.", t->finding.filtering, OPEN);
    }
}

/* ---- Several trials --------------------------------------------------------------------------------------------- */

static void only_trials_that_went_the_other_way_lose_their_filtering(void **state)
{
    (void)state;
    static build b;
    seen_at(&b, "192.0.2.77", "203.0.113.5", LOCAL);
    const npi_addr external = address_of("192.0.2.77");
    npi_server *s = build_answering_server(&b, RTT_MS);
    build_sees(s, &external, AT(0), AT(RTT_MS));
    npi_trial *same = build_trial(&b, s);
    show(&same->filtering.x[NPI_F_II], "192.0.2.77", LOCAL);
    build_decided(same, OPEN, true, NPI_REASON_NONE, NPI_PHASE_DONE);
    npi_path_step(&b.f);
    npi_path_step(&b.f);
    EXPECT_EQUAL("The first went another way.", b.trials[0].finding.reason, NPI_REASON_OTHER_PATH);
    EXPECT_EQUAL("The second did not.", same->finding.filtering, OPEN);
    show(&same->filtering.x[NPI_F_I], "203.0.113.6", LOCAL);
    npi_path_step(&b.f);
    EXPECT_EQUAL("What shows later counts as well.", same->finding.reason, NPI_REASON_OTHER_PATH);
    EXPECT_EQUAL("Nobody has to be asked for that.", b.f.path.asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_external_or_local_address_is_a_reason_to_ask),
        cmocka_unit_test(fresh_sockets_ask_the_same_address_each_from_a_slot_of_its_own),
        cmocka_unit_test(fresh_sockets_that_differ_decide_at_once),
        cmocka_unit_test(while_they_agree_more_are_asked_one_after_the_other_and_eight_are_enough),
        cmocka_unit_test(those_that_do_not_answer_are_given_up),
        cmocka_unit_test(what_fails_or_shows_no_address_is_no_other_way),
        cmocka_unit_test(further_sockets_wait_for_the_mapping_requests),
        cmocka_unit_test(mapping_requests_that_see_neighbours_show_a_pool),
        cmocka_unit_test(only_trials_that_went_the_other_way_lose_their_filtering),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
