/* SPDX-License-Identifier: MIT */
/* The traps of the trade: what has led, or would lead, other programs or a careless change of this one astray. */
#include <string.h>

#include "draw.h"
#include "scenario.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* An unsolicited answer reaches the NAT box before the request that would have opened the way: Wi-Fi loses or
 * overtakes. */
static void conntrack_trap(world *w, rng *r)
{
    w->box[0] = box_linux(false, false);
    world_number(w);
    world_add_server(w);
    w->link.inside_share = 0.9;
    w->link.place = LOSS_INSIDE;
    w->link.fifo = false;
    w->link.jitter = 0.5 * rng_unit(r);
}

static void run_twice(world *w, rng *r)
{
    world_add_server(w);
    w->box[0].per_host = false;
    w->runs = 2;
    w->gap_ns = rng_between(r, 0, 2000) * MS;
}

static void run_twice_behind_linux(world *w, rng *r)
{
    w->box[0] = box_linux(rng_chance(r, 0.3), false);
    world_number(w);
    run_twice(w, r);
}

static void run_twice_behind_firewall(world *w, rng *r)
{
    w->box[0] = box_firewall((dependence)rng_below(r, 3));
    world_number(w);
    run_twice(w, r);
}

static void two_names(world *w, rng *r)
{
    (void)r;
    world_add_server(w);
    w->listed[w->listed_count++] = w->listed[0];
}

static void two_names_of_a_plain_server(world *w, rng *r)
{
    two_names(w, r);
    server_make_plain(&w->server[0]);
}

/* With a filter kept per host, one server's mapping test would open the way for the other's filtering test. */
static void second_is_alternate(world *w, rng *r)
{
    server_desc *s = world_add_server(w);
    bool same_port = rng_chance(r, 0.5);
    w->listed[w->listed_count++] = (listed_server){.address = same_port ? endpoint_with_port(&s->b, s->a.port) : s->b};
    w->box[0].per_host = rng_chance(r, 0.5);
}

static void address_changes(world *w, rng *r)
{
    world_add_server(w);
    w->box[0].changes = 1;
    w->box[0].change_ns[0] = (uint64_t)((3 * (double)w->link.rtt_ns + 60e6) * rng_unit(r));
}

static void address_changes_often(world *w, rng *r)
{
    uint64_t at = 0;
    world_add_server(w);
    w->box[0].changes = WORLD_CHANGES;
    for (unsigned i = 0; i < WORLD_CHANGES; i++) {
        at += (uint64_t)((double)w->link.rtt_ns * 2 * rng_unit(r));
        w->box[0].change_ns[i] = at;
    }
}

static void nat_reboots(world *w, rng *r)
{
    address_changes(w, r);
    w->box[0].change_keeps_ip = true;
    w->box[0].ports = PORT_RANDOM;
}

static void late_datagrams(world *w, rng *r)
{
    world_add_server(w);
    w->link.late = 0.05;
    w->link.late_ns = rng_between(r, 50, 2000) * MS;
}

static void far_alternate(world *w, rng *r)
{
    world_add_server(w)->extra_b_ns = (uint64_t)((double)w->link.rtt_ns * 2 * rng_unit(r));
}

static void egress_filter(world *w, rng *r)
{
    (void)r;
    world_add_server(w);
    w->box[0].only_port = 3478;
}

static void short_bindings(world *w, rng *r)
{
    world_add_server(w);
    w->box[0].timeout_ns = rng_between(r, 4000, 9000) * MS;
}

static void bursts(world *w, rng *r)
{
    world_add_server(w);
    w->link.kind = rng_chance(r, 0.5) ? LOSS_BURST_TIME : LOSS_BURST_PACKET;
    w->link.loss[DOWN] = w->seed % 2 == 0 ? 0 : 0.3;
}

static void late_host(world *w, rng *r)
{
    world_add_server(w);
    w->host.lag_ns = rng_between(r, 0, 10) * MS;
    w->host.busy = 0.2 * rng_unit(r);
}

static void restless_host(world *w, rng *r)
{
    world_add_server(w);
    w->host.restless_ns = rng_between(r, 100, 2000) * 1000;
}

static void cancelled(world *w, rng *r)
{
    world_add_server(w);
    w->host.cancel_ns = 1 + (uint64_t)(3 * (double)w->link.rtt_ns * rng_unit(r));
}

static void short_deadline(world *w, rng *r)
{
    world_add_server(w);
    w->timeout_ns = 1 + (uint64_t)(4 * (double)w->link.rtt_ns * rng_unit(r));
}

static void no_route(world *w, rng *r)
{
    world_add_server(w);
    world_add_server(w);
    w->host.no_route = rng_chance(r, 0.5);
    w->server[0].no_route = true;
}

static void clock_at_its_ends(world *w, rng *r)
{
    world_add_server(w);
    w->start_ns = rng_chance(r, 0.5) ? 0 : UINT64_MAX / 2;
}

static void mapping_only(world *w, rng *r)
{
    w->mapping_only = true;
    server_make_plain(world_add_server(w));
    server_make_plain(world_add_server(w));
    w->server[1].extra_rtt_ns = (uint64_t)((double)w->link.rtt_ns * rng_unit(r));
}

static void mapping_only_one_server(world *w, rng *r)
{
    (void)r;
    w->mapping_only = true;
    world_add_server(w);
}

static void private_test_network(world *w, rng *r)
{
    (void)r;
    server_desc *s = world_add_server(w);
    s->a = endpoint_private(w->family, 90, 10, 3478);
    s->b = endpoint_private(w->family, 90, 11, 3479);
    w->listed[0].address = s->a;
}

static void all_on_one_host(world *w, rng *r)
{
    (void)r;
    w->family = 4;
    w->boxes = 0;
    world_number(w);
    server_desc *s = world_add_server(w);
    s->a = endpoint_loopback(4, 1, 3478);
    s->b = endpoint_loopback(4, 2, 3479);
    w->listed[0].address = s->a;
    w->host.local = endpoint_loopback(4, 9, w->host.local.port);
}

static void slow_names(world *w, rng *r)
{
    world_add_server(w);
    world_add_server(w);
    world_add_server(w);
    w->listed[rng_below(r, 3)].resolve_ns = NEVER;
    uint64_t takes_ns = rng_between(r, 1, 1500) * MS;
    w->listed[rng_below(r, 2)].resolve_ns = takes_ns;
}

/* ---- What servers would have this host do to others ---- */

static void one_victim(world *w, rng *r)
{
    for (unsigned i = 0; i < 4; i++)
        world_add_server(w);
    endpoint victim = world_public(w, 2, 240, (uint16_t)rng_between(r, 20000, 60000));
    for (unsigned i = 0; i < 4; i++) {
        w->server[i].other_is_false = true;
        w->server[i].false_other = victim;
    }
}

static void victims_of_other_services(world *w, rng *r)
{
    for (unsigned i = 0; i < 3; i++) {
        server_desc *s = world_add_server(w);
        s->other_is_false = true;
        s->false_other = draw_victim(w, s, r);
    }
}

static void flood_of_copies(world *w, rng *r)
{
    world_add_server(w)->copies = 20 + rng_below(r, 80);
    w->link.fifo = false;
    w->link.kind = LOSS_INDEPENDENT;
}

static void flood_from_one_of_two(world *w, rng *r)
{
    world_add_server(w)->flood = 20 + rng_below(r, 200);
    world_add_server(w);
    make_bad_at_change(w, &w->server[0], r);
    w->link.fifo = false;
    w->link.kind = LOSS_INDEPENDENT;
}

/* ---- What was there before, or goes away ---- */

static void earlier_program(world *w, rng *r)
{
    w->box[0] = box_linux(false, false);
    world_number(w);
    world_add_server(w);
    draw_earlier(w, r);
}

static void contiguous_ports(world *w, rng *r)
{
    world_add_server(w);
    w->link.duplicate = 0; /* they may ask for more copies in the end, which a filter kept per host answers */
    w->box[0].ports = PORT_CONTIGUOUS;
    w->box[0].refresh_in = rng_chance(r, 0.5);
}

static void dying_server(world *w, rng *r)
{
    make_dying(w, world_add_server(w), r);
    world_add_server(w);
}

static void lying_server(world *w, rng *r)
{
    make_lying(w, world_add_server(w), r);
    world_add_server(w);
}

int main(void)
{
    static const scenario scenarios[] = {
        {"conntrack entry left by an unsolicited answer", conntrack_trap, EXPECT_MAPPING},
        {"twice on one port behind a NAT", run_twice, EXPECT_FULL},
        {"twice on one port behind Linux", run_twice_behind_linux, EXPECT_FULL},
        {"twice on one port behind a firewall", run_twice_behind_firewall, EXPECT_FULL},
        {"two names, one address", two_names, EXPECT_FULL},
        {"two names, one plain server: no second opinion", two_names_of_a_plain_server, EXPECT_NO_VERDICT},
        {"the second server is the first one's other address", second_is_alternate, EXPECT_SOUND},
        {"the external address changes once", address_changes, EXPECT_SOUND},
        {"the external address changes again and again", address_changes_often, EXPECT_SOUND},
        {"the NAT forgets its mappings", nat_reboots, EXPECT_SOUND},
        {"datagrams that take seconds", late_datagrams, EXPECT_SOUND},
        {"the second address is far away", far_alternate, EXPECT_SOUND},
        {"nothing gets out but to the well-known port", egress_filter, EXPECT_SOUND},
        {"bindings that live for seconds", short_bindings, EXPECT_SOUND},
        {"losses in bursts", bursts, EXPECT_FULL},
        {"a host that wakes up late and has no room to send", late_host, EXPECT_FULL},
        {"a host that wakes up for nothing", restless_host, EXPECT_FULL},
        {"cancelled", cancelled, EXPECT_SOUND},
        {"little time", short_deadline, EXPECT_SOUND},
        {"no route to some servers, or to any", no_route, EXPECT_SOUND},
        {"a clock that starts at zero or is very old", clock_at_its_ends, EXPECT_FULL},
        {"mapping only, two plain servers", mapping_only, EXPECT_DEPENDENCE},
        {"mapping only, one server with two addresses", mapping_only_one_server, EXPECT_MAPPING},
        {"servers in a private network", private_test_network, EXPECT_FULL},
        {"everything on one host", all_on_one_host, EXPECT_FULL},
        {"names that resolve late or not at all", slow_names, EXPECT_FULL},
        {"four servers name one victim", one_victim, EXPECT_SOUND},
        {"servers name other services and forbidden addresses", victims_of_other_services, EXPECT_SOUND},
        {"every answer comes up to a hundred times", flood_of_copies, EXPECT_SOUND},
        {"one of two servers floods", flood_from_one_of_two, EXPECT_SOUND},
        {"another program used the port before, behind Linux", earlier_program, EXPECT_SOUND},
        {"ports from a contiguous block", contiguous_ports, EXPECT_FULL},
        {"a server dies in the middle", dying_server, EXPECT_SOUND},
        {"a server lies now and then", lying_server, EXPECT_SOUND},
    };
    return run_scenarios("traps", scenarios, COUNT(scenarios));
}
