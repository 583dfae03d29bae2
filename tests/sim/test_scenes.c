/* SPDX-License-Identifier: MIT */
/*
 * Worlds in which a verdict was wrong once, held fast to the last digit, so that they stay what they are whatever
 * becomes of the classes that they were drawn from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates_hide_bursts),
        cmocka_unit_test(rationed_answer_is_spent_on_ii),
        cmocka_unit_test(a_stray_makes_no_answer_late),
    };
    return cmocka_run_group_tests_name("scenes", tests, NULL, NULL);
}
