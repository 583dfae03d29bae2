/* SPDX-License-Identifier: MIT */
/* Every way of behaving that a server has been seen or feared to have, in front of a NAT drawn at random. */
#include "scenario.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void conforming(world *w, rng *r)
{
    server_desc *s = world_add_server(w);
    s->software = rng_chance(r, 0.5);
    s->fingerprint = rng_chance(r, 0.5);
}

static void classic(world *w, rng *r)
{
    (void)r;
    server_make_classic(world_add_server(w));
}

static void classic_only(world *w, rng *r)
{
    server_desc *s = world_add_server(w);
    server_make_classic(s);
    s->dialect = DIALECT_CLASSIC;
    s->software = true;
    s->unpadded = rng_chance(r, 0.5);
    if (w->link.rtt_ns > 200 * MS)
        w->link.rtt_ns /= 4;
}

static void old_xor(world *w, rng *r)
{
    (void)r;
    world_add_server(w)->mapped = MAPPED_XOR_OLD;
}

static void alg(world *w, rng *r)
{
    (void)r;
    world_add_server(w)->mapped = MAPPED_REWRITTEN;
}

static server_desc *add_with_change(world *w, change_mode mode)
{
    server_desc *s = world_add_server(w);
    s->change = mode;
    return s;
}

#define CHANGE_SHAPE(name, mode)                                                                                       \
    static void name(world *w, rng *r)                                                                                 \
    {                                                                                                                  \
        (void)r;                                                                                                       \
        add_with_change(w, mode);                                                                                      \
    }

CHANGE_SHAPE(ignores, CHANGE_IGNORED)
CHANGE_SHAPE(port_only, CHANGE_PORT_ONLY)
CHANGE_SHAPE(ip_only, CHANGE_IP_ONLY)
CHANGE_SHAPE(odd_port, CHANGE_ODD_PORT)
CHANGE_SHAPE(drops, CHANGE_DROPPED)
CHANGE_SHAPE(drops_ii, CHANGE_IP_DROPPED)

/* As most public servers are: one address, and CHANGE-REQUEST not understood. */
static void plain_ignores(world *w, rng *r)
{
    (void)r;
    server_make_plain(world_add_server(w));
}

static void plain_drops(world *w, rng *r)
{
    (void)r;
    server_desc *s = world_add_server(w);
    server_make_plain(s);
    s->change = CHANGE_DROPPED;
}

static void shape_rejecting(world *w, unsigned code)
{
    add_with_change(w, CHANGE_REJECTED)->reject_code = code;
}

static void rejects_420(world *w, rng *r)
{
    (void)r;
    shape_rejecting(w, 420);
}

static void rejects_400(world *w, rng *r)
{
    (void)r;
    shape_rejecting(w, 400);
}

static void rejects_500(world *w, rng *r)
{
    (void)r;
    shape_rejecting(w, 500);
}

static void plain_rejects_420(world *w, rng *r)
{
    (void)r;
    server_desc *s = world_add_server(w);
    server_make_plain(s);
    s->change = CHANGE_REJECTED;
    s->reject_code = 420;
}

static void two_plain(world *w, rng *r)
{
    plain_ignores(w, r);
    plain_rejects_420(w, r);
}

static void alternate_dead(world *w, rng *r)
{
    (void)r;
    world_add_server(w)->two_ips = false;
}

static void second_port_dead(world *w, rng *r)
{
    (void)r;
    world_add_server(w)->two_ports = false;
}

/* Answers from everywhere, and takes requests at its first endpoint only, or nearly so. */
static void deaf_elsewhere(world *w, rng *r)
{
    server_desc *s = world_add_server(w);
    s->deaf_aq = rng_chance(r, 0.5);
    s->deaf_bp = rng_chance(r, 0.5);
    s->deaf_bq = rng_chance(r, 0.5);
}

static server_desc *add_false_other(world *w)
{
    server_desc *s = world_add_server(w);
    s->other_is_false = true;
    return s;
}

static void other_same_ip(world *w, rng *r)
{
    (void)r;
    server_desc *s = add_false_other(w);
    s->false_other = endpoint_with_port(&s->a, s->b.port);
}

/* A server with one address and two ports does the half of test II that it can. */
static void other_same_ip_port_only(world *w, rng *r)
{
    other_same_ip(w, r);
    w->server[0].change = CHANGE_PORT_ONLY;
    w->server[0].two_ips = false;
}

static void other_same_port(world *w, rng *r)
{
    (void)r;
    server_desc *s = add_false_other(w);
    s->false_other = endpoint_with_port(&s->b, s->a.port);
}

static void other_itself(world *w, rng *r)
{
    (void)r;
    server_desc *s = add_false_other(w);
    s->false_other = s->a;
}

/* Classes of address to which a public server must not send anyone. */
static void other_forbidden(world *w, rng *r)
{
    server_desc *s = add_false_other(w);
    endpoint loopback = endpoint_v4(127, 0, 0, 1, 3479);
    endpoint link_local = endpoint_v4(169, 254, 169, 254, 3479);
    const endpoint kinds[] = {
        endpoint_private(w->family, 3, 9, 3479),
        endpoint_loopback(w->family, 1, 3479),
        endpoint_multicast(w->family, 3479),
        endpoint_any(w->family, 3479),
        endpoint_with_port(&s->b, 0),
        endpoint_link_local(w->family, 3479),
        endpoint_mapped(&loopback),
        endpoint_mapped(&link_local),
        endpoint_v4(255, 255, 255, 255, 3479),
        endpoint_v4(240, 0, 0, 1, 3479),
        endpoint_v4(100, 64, 0, 1, 3479),
    };
    s->false_other = kinds[rng_below(r, (unsigned)COUNT(kinds))];
}

static void other_family(world *w, rng *r)
{
    (void)r;
    add_false_other(w)->false_other = endpoint_public(w->family == 4 ? 6 : 4, 5, 66, 3479);
}

static void other_victim(world *w, rng *r)
{
    static const uint16_t ports[] = {53, 123, 161, 1900, 11211, 3479, 3479, 40000};
    add_false_other(w)->false_other = world_public(w, 2, 200, ports[rng_below(r, (unsigned)COUNT(ports))]);
}

static void other_flips(world *w, rng *r)
{
    (void)r;
    server_desc *s = world_add_server(w);
    s->other_flips = true;
    s->false_other = world_public(w, 2, 200, 3479);
}

static void shape_plain(world *w, plain_mode mode)
{
    server_desc *s = world_add_server(w);
    s->plain = mode;
    s->false_other = world_public(w, 2, 201, 3478); /* the one it names in ALTERNATE-SERVER: never to be sent to */
}

static void silent(world *w, rng *r)
{
    (void)r;
    shape_plain(w, PLAIN_SILENT);
}

static void not_an_answer(world *w, rng *r)
{
    static const plain_mode modes[] = {PLAIN_GARBAGE, PLAIN_TRUNCATED, PLAIN_WRONG_ID, PLAIN_ECHO};
    shape_plain(w, modes[rng_below(r, 4)]);
}

static void sends_elsewhere(world *w, rng *r)
{
    (void)r;
    shape_plain(w, PLAIN_ERROR_300);
}

static void answers_from_elsewhere(world *w, rng *r)
{
    (void)r;
    shape_plain(w, PLAIN_ELSEWHERE);
}

static void always_500(world *w, rng *r)
{
    (void)r;
    shape_plain(w, PLAIN_ERROR_500);
}

static void bad_mapped(world *w, rng *r)
{
    static const mapped_form forms[] = {MAPPED_ZERO_IP, MAPPED_ZERO_PORT, MAPPED_NONE, MAPPED_OTHER_FAMILY};
    world_add_server(w)->mapped = forms[rng_below(r, 4)];
}

static void duplicates(world *w, rng *r)
{
    world_add_server(w)->copies = 2 + rng_below(r, 4);
}

static void late(world *w, rng *r)
{
    world_add_server(w)->late_ns = rng_between(r, 20, 900) * MS;
}

static void rate_limited(world *w, rng *r)
{
    server_desc *s = world_add_server(w);
    s->rate = 1 + rng_below(r, 10);
    s->rate_kind = rng_chance(r, 0.5) ? RATE_BUCKET : RATE_WINDOW;
}

static void floods(world *w, rng *r)
{
    (void)r;
    world_add_server(w)->flood = w->seed % 10 == 0 ? 1000 : 10;
    w->link.fifo = false;
    w->link.kind = LOSS_INDEPENDENT;
}

static void good_behind_bad(world *w, rng *r)
{
    void (*const bad[])(world *, rng *) = {ignores,        rejects_420, plain_ignores, silent,
                                           alternate_dead, port_only,   always_500};
    bad[rng_below(r, (unsigned)COUNT(bad))](w, r);
    conforming(w, r);
    if (w->link.rtt_ns > 100 * MS)
        w->link.rtt_ns /= 5;
}

int main(void)
{
    static const scenario scenarios[] = {
        {"conforming", conforming, EXPECT_FULL},
        {"RFC 3489: MAPPED-ADDRESS and CHANGED-ADDRESS", classic, EXPECT_FULL},
        {"answers only requests without a cookie", classic_only, EXPECT_FULL},
        {"XOR-MAPPED-ADDRESS under its old number", old_xor, EXPECT_FULL},
        {"MAPPED-ADDRESS rewritten on the way", alg, EXPECT_FULL},
        {"ignores CHANGE-REQUEST, has a second address", ignores, EXPECT_MAPPING},
        {"ignores CHANGE-REQUEST, has no second address", plain_ignores, EXPECT_NO_VERDICT},
        {"changes the port only", port_only, EXPECT_MAPPING},
        {"changes the IP only", ip_only, EXPECT_MAPPING},
        {"answers from a port that is not Q", odd_port, EXPECT_MAPPING},
        {"rejects CHANGE-REQUEST with 420, has a second address", rejects_420, EXPECT_MAPPING},
        {"rejects CHANGE-REQUEST with 400", rejects_400, EXPECT_MAPPING},
        {"rejects CHANGE-REQUEST with 500", rejects_500, EXPECT_MAPPING},
        {"rejects CHANGE-REQUEST with 420, has no second address", plain_rejects_420, EXPECT_NO_VERDICT},
        {"drops CHANGE-REQUEST, has a second address", drops, EXPECT_MAPPING},
        {"drops CHANGE-REQUEST, has no second address", plain_drops, EXPECT_NO_VERDICT},
        {"drops only test II", drops_ii, EXPECT_MAPPING},
        {"two plain servers", two_plain, EXPECT_DEPENDENCE},
        {"second address named and dead", alternate_dead, EXPECT_SOUND},
        {"second port named and dead", second_port_dead, EXPECT_SOUND},
        {"takes requests at some of its endpoints only", deaf_elsewhere, EXPECT_SOUND},
        {"names its own IP address", other_same_ip, EXPECT_NO_VERDICT},
        {"names its own IP address and changes the port", other_same_ip_port_only, EXPECT_NO_VERDICT},
        {"names its own port", other_same_port, EXPECT_NO_VERDICT},
        {"names itself", other_itself, EXPECT_NO_VERDICT},
        {"names an address that nothing may be sent to", other_forbidden, EXPECT_SOUND},
        {"names an address of the other family", other_family, EXPECT_NO_VERDICT},
        {"names a stranger", other_victim, EXPECT_SOUND},
        {"names now this address, now that", other_flips, EXPECT_SOUND},
        {"dead", silent, EXPECT_NO_RESPONSE},
        {"garbage, truncated, wrong id, echo", not_an_answer, EXPECT_NO_VERDICT},
        {"error 300 with ALTERNATE-SERVER", sends_elsewhere, EXPECT_NO_VERDICT},
        {"answers from another port than it was asked at", answers_from_elsewhere, EXPECT_NO_VERDICT},
        {"error 500 to everything", always_500, EXPECT_NO_VERDICT},
        {"no usable mapped address", bad_mapped, EXPECT_NO_VERDICT},
        {"sends everything several times", duplicates, EXPECT_FULL},
        {"answers late", late, EXPECT_FULL},
        {"answers a few requests at a time", rate_limited, EXPECT_SOUND},
        {"floods with almost valid answers", floods, EXPECT_FULL},
        {"a good server behind a bad one", good_behind_bad, EXPECT_FULL},
    };
    return run_scenarios("servers", scenarios, COUNT(scenarios));
}
