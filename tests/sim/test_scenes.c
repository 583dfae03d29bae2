/* SPDX-License-Identifier: MIT */
/*
 * Worlds in which a verdict was wrong once, held fast to the last digit, so that they stay what they are whatever
 * becomes of the classes that they were drawn from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "simulate.h"

/* Right or unknown; nothing else is asked. */
static void check_not_wrong(const world *w)
{
    report r;
    simulate(w, NULL, &r);
    if (r.verdict != VERDICT_WRONG && !r.broken)
        return;
    simulate(w, stderr, &r);
    fail_msg("%s", r.why);
}

/*
 * "sim --replay 3000698 --class duplicating": a server that sends each answer twice, over a path that duplicates a
 * sixth and loses 30 % of what comes back in bursts. Duplicates hide the losses, and the silence of III was taken for
 * proven.
 */
static void duplicates_hide_bursts(void **state)
{
    world w;
    (void)state;
    world_quiet(&w, 3000698);
    w.start_ns = UINT64_C(496488000000);
    w.link = (link_desc){.rtt_ns = 191977877,
                         .inside_share = 0x1.ccccccccccccdp-1,
                         .jitter = 0x1.9a7f91ba3d59dp-5,
                         .fifo = true,
                         .duplicate = 0x1.571f44a60c512p-3,
                         .loss = {[UP] = 0x1.47ae147ae147bp-7, [DOWN] = 0x1.3333333333333p-2},
                         .kind = LOSS_BURST_TIME,
                         .place = LOSS_OUTSIDE,
                         .burst_ns = 122 * MS,
                         .burst_packets = 0x1.0d20ebff4b67ap+2};
    w.boxes = 1;
    w.box[0] = box_nat(DEP_ADDRESS, DEP_ADDRESS);
    w.box[0].ports = PORT_PARITY;
    w.box[0].per_host = true;
    w.box[0].timeout_ns = 30 * SECOND;
    world_number(&w);
    server_desc *s = world_add_server(&w);
    s->b = world_public(&w, 1, 100, 19305);
    s->origin = false;
    s->fingerprint = true;
    s->copies = 2;
    check_not_wrong(&w);
}

/* A server that answers one CHANGE-REQUEST in half a second spent it on II, and the control of III passed. */
static void rationed_answer_is_spent_on_ii(void **state)
{
    world w;
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        world_quiet(&w, seed);
        w.link.rtt_ns = 100 * MS;
        w.boxes = 1;
        w.box[0] = box_nat(DEP_INDEPENDENT, DEP_ADDRESS);
        world_number(&w);
        world_add_server(&w)->change_gap_ns = 200 * MS;
        check_not_wrong(&w);
    }
}

/*
 * "sim --replay 40192652": a stray on a socket without timestamps made an answer look late that had come before it, to
 * a socket that was read after it. So a flood changed when copies left.
 */
static void a_stray_makes_no_answer_late(void **state)
{
    world w;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world_quiet(&w, seed);
        w.host.lag_ns = 16 * MS;
        w.host.stamps = STAMPS_FRESH;
        w.link.loss[DOWN] = 0.2;
        w.boxes = 1;
        w.box[0] = box_nat(DEP_INDEPENDENT, DEP_ADDRESS_AND_PORT);
        world_number(&w);
        world_add_server(&w)->flood = 20;
        check_not_wrong(&w);
    }
}

/* A server whose own firewall lets out only what answers to where it was asked, second in the list. */
static void put_good_and_stateful(world *w, dependence filtering, bool translates, uint64_t good_extra_ns)
{
    world_quiet(w, 1);
    w->boxes = 1;
    w->box[0] = translates ? box_nat(DEP_INDEPENDENT, filtering) : box_firewall(filtering);
    world_number(w);
    world_add_server(w)->extra_rtt_ns = good_extra_ns;
    world_add_server(w)->state = STATE_BY_ENDPOINT;
}

/* Its silence passed for the NAT's so far that the control was asked of it. */
static bool is_control_asked(const run_record *r, const server_desc *s)
{
    for (unsigned i = 0; i < r->sent_count && i < RECORD_SENT; i++) {
        const sent_datagram *d = &r->sent[i];
        if (d->slot == NPI_SLOT_SOURCE && d->request.change != 0 && endpoint_equal(&d->to, &s->a))
            return true;
    }
    return false;
}

/* An answer to II or III has passed the NAT, so no server's silence may stand against it. */
static bool is_answer_denied(const np_result *r)
{
    bool ii = (r->evidence & NP_EVIDENCE_TEST_II_ANSWERED) != 0 && r->filtering != NP_BEHAVIOUR_ENDPOINT_INDEPENDENT;
    bool iii = (r->evidence & NP_EVIDENCE_TEST_III_ANSWERED) != 0 &&
               r->filtering == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return ii || iii;
}

/*
 * The stateful server alone makes an open host or a cone look closed, and its silence is proven. Here the good one is
 * asked at the same time, since its answers take longer. Only the good one can answer II or III.
 */
static void an_answer_overrules_a_servers_silence(void **state)
{
    static const struct {
        bool translates;
        dependence filtering;
    } boxes[] = {{false, DEP_INDEPENDENT}, {true, DEP_INDEPENDENT}, {true, DEP_ADDRESS}};
    (void)state;
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
        unsigned contradictions = 0;
        for (uint64_t extra_ns = 100 * MS; extra_ns <= 300 * MS; extra_ns += 10 * MS) {
            world w;
            report r;
            put_good_and_stateful(&w, boxes[i].filtering, boxes[i].translates, extra_ns);
            simulate(&w, NULL, &r);
            const np_result *result = &r.last.result;
            bool is_answered = (result->evidence & (NP_EVIDENCE_TEST_II_ANSWERED | NP_EVIDENCE_TEST_III_ANSWERED)) != 0;
            contradictions += is_answered && is_control_asked(&r.last, &w.server[1]);
            if (!is_answer_denied(result))
                continue;
            simulate(&w, stderr, &r);
            fail_msg("box %zu, %llu ms: %s", i, (unsigned long long)(extra_ns / MS), r.why);
        }
        assert_true(contradictions > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates_hide_bursts),
        cmocka_unit_test(rationed_answer_is_spent_on_ii),
        cmocka_unit_test(a_stray_makes_no_answer_late),
        cmocka_unit_test(an_answer_overrules_a_servers_silence),
    };
    return cmocka_run_group_tests_name("scenes", tests, NULL, NULL);
}
