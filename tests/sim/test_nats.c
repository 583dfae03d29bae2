/* SPDX-License-Identifier: MIT */
/* Every kind of NAT and firewall in front of a conforming server: the right verdict, and none but it. */
#include "scenario.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void renumber_with_server(world *w)
{
    world_number(w);
    world_add_server(w);
}

/* Keeps ports and pooling as drawn. */
static void shape_nat(world *w, dependence mapping, dependence filtering)
{
    w->box[0].mapping = mapping;
    w->box[0].filtering = filtering;
    w->box[0].per_host = false;
    renumber_with_server(w);
}

#define NAT_SHAPE(name, mapping, filtering)                                                                            \
    static void name(world *w, rng *r)                                                                                 \
    {                                                                                                                  \
        (void)r;                                                                                                       \
        shape_nat(w, mapping, filtering);                                                                              \
    }

NAT_SHAPE(ei_ei, DEP_INDEPENDENT, DEP_INDEPENDENT)
NAT_SHAPE(ei_ad, DEP_INDEPENDENT, DEP_ADDRESS)
NAT_SHAPE(ei_apd, DEP_INDEPENDENT, DEP_ADDRESS_AND_PORT)
NAT_SHAPE(ad_ei, DEP_ADDRESS, DEP_INDEPENDENT)
NAT_SHAPE(ad_ad, DEP_ADDRESS, DEP_ADDRESS)
NAT_SHAPE(ad_apd, DEP_ADDRESS, DEP_ADDRESS_AND_PORT)
NAT_SHAPE(apd_ei, DEP_ADDRESS_AND_PORT, DEP_INDEPENDENT)
NAT_SHAPE(apd_ad, DEP_ADDRESS_AND_PORT, DEP_ADDRESS)
NAT_SHAPE(apd_apd, DEP_ADDRESS_AND_PORT, DEP_ADDRESS_AND_PORT)

static void per_host_nat(world *w, rng *r)
{
    (void)r;
    shape_nat(w, DEP_INDEPENDENT, DEP_ADDRESS);
    w->box[0].per_host = true;
}

static void per_host_port_nat(world *w, rng *r)
{
    (void)r;
    shape_nat(w, DEP_INDEPENDENT, DEP_ADDRESS_AND_PORT);
    w->box[0].per_host = true;
}

static void open_internet(world *w, rng *r)
{
    (void)r;
    w->boxes = 0;
    renumber_with_server(w);
}

static void shape_box(world *w, box_desc box)
{
    w->box[0] = box;
    renumber_with_server(w);
}

static void firewall_ei(world *w, rng *r)
{
    (void)r;
    shape_box(w, box_firewall(DEP_INDEPENDENT));
}

static void firewall_ad(world *w, rng *r)
{
    (void)r;
    shape_box(w, box_firewall(DEP_ADDRESS));
}

static void firewall_apd(world *w, rng *r)
{
    (void)r;
    shape_box(w, box_firewall(DEP_ADDRESS_AND_PORT));
}

static void firewall_per_host(world *w, rng *r)
{
    (void)r;
    shape_box(w, box_firewall(DEP_ADDRESS));
    w->box[0].per_host = true;
}

static void blocked(world *w, rng *r)
{
    shape_box(w, (box_desc){.kind = BOX_BLOCKED, .block_out = rng_chance(r, 0.5), .block_in = true});
}

static void linux_open(world *w, rng *r)
{
    (void)r;
    shape_box(w, box_linux(false, false));
}

static void linux_firewalled(world *w, rng *r)
{
    (void)r;
    shape_box(w, box_linux(true, false));
}

static void linux_random(world *w, rng *r)
{
    shape_box(w, box_linux(rng_chance(r, 0.5), true));
}

static void shape_two(world *w, box_desc inner, box_desc outer)
{
    w->boxes = 2;
    w->box[0] = inner;
    w->box[1] = outer;
    renumber_with_server(w);
}

static void double_cones(world *w, rng *r)
{
    dependence outer = (dependence)rng_below(r, 3);
    dependence inner = (dependence)rng_below(r, 3);
    shape_two(w, box_nat(DEP_INDEPENDENT, inner), box_nat(DEP_INDEPENDENT, outer));
}

static void double_outer_symmetric(world *w, rng *r)
{
    dependence outer = (dependence)rng_below(r, 3);
    dependence inner = (dependence)rng_below(r, 3);
    shape_two(w, box_nat(DEP_INDEPENDENT, inner), box_nat(DEP_ADDRESS_AND_PORT, outer));
    w->box[1].ports = PORT_RANDOM;
}

static void double_inner_symmetric(world *w, rng *r)
{
    dependence filtering = (dependence)rng_below(r, 3);
    dependence mapping = (dependence)(1 + rng_below(r, 2));
    shape_two(w, box_nat(mapping, filtering), box_nat(DEP_INDEPENDENT, DEP_INDEPENDENT));
    w->box[0].ports = PORT_SEQUENTIAL;
}

static void double_linux(world *w, rng *r)
{
    bool outer = rng_chance(r, 0.5);
    bool inner = rng_chance(r, 0.5);
    shape_two(w, box_linux(inner, false), box_linux(outer, false));
}

static void carrier_linux_behind_cone(world *w, rng *r)
{
    shape_two(w, box_linux(false, false), box_nat(DEP_INDEPENDENT, (dependence)rng_below(r, 3)));
}

static void host_firewall_and_nat(world *w, rng *r)
{
    shape_two(w, box_firewall((dependence)(1 + rng_below(r, 2))), box_nat(DEP_INDEPENDENT, DEP_INDEPENDENT));
}

int main(void)
{
    static const scenario scenarios[] = {
        {"endpoint-independent mapping, endpoint-independent filtering", ei_ei, EXPECT_FULL},
        {"endpoint-independent mapping, address-dependent filtering", ei_ad, EXPECT_FULL},
        {"endpoint-independent mapping, address-and-port-dependent filtering", ei_apd, EXPECT_FULL},
        {"address-dependent mapping, endpoint-independent filtering", ad_ei, EXPECT_FULL},
        {"address-dependent mapping, address-dependent filtering", ad_ad, EXPECT_FULL},
        {"address-dependent mapping, address-and-port-dependent filtering", ad_apd, EXPECT_FULL},
        {"address-and-port-dependent mapping, endpoint-independent filtering", apd_ei, EXPECT_FULL},
        {"address-and-port-dependent mapping, address-dependent filtering", apd_ad, EXPECT_FULL},
        {"address-and-port-dependent mapping and filtering", apd_apd, EXPECT_FULL},
        {"NAT that keeps its filter per host, by address", per_host_nat, EXPECT_FULL},
        {"NAT that keeps its filter per host, by address and port", per_host_port_nat, EXPECT_FULL},
        {"no NAT, no firewall", open_internet, EXPECT_FULL},
        {"firewall that lets in what an open port gets", firewall_ei, EXPECT_FULL},
        {"firewall by address", firewall_ad, EXPECT_FULL},
        {"firewall by address and port", firewall_apd, EXPECT_FULL},
        {"firewall that keeps its filter per host", firewall_per_host, EXPECT_FULL},
        {"UDP blocked", blocked, EXPECT_NO_RESPONSE},
        {"Linux masquerade without input firewall", linux_open, EXPECT_FULL},
        {"Linux masquerade with input firewall", linux_firewalled, EXPECT_FULL},
        {"Linux masquerade with fully random ports", linux_random, EXPECT_FULL},
        {"cone behind cone", double_cones, EXPECT_FULL},
        {"cone behind symmetric", double_outer_symmetric, EXPECT_FULL},
        {"symmetric behind cone", double_inner_symmetric, EXPECT_FULL},
        {"Linux behind Linux", double_linux, EXPECT_FULL},
        {"Linux behind a carrier's cone", carrier_linux_behind_cone, EXPECT_FULL},
        {"host firewall behind full cone", host_firewall_and_nat, EXPECT_FULL},
    };
    return run_scenarios("nats", scenarios, COUNT(scenarios));
}
