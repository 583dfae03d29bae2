/* SPDX-License-Identifier: MIT */
/* The parts that worlds are made of, and how a world is shown. */
#include "world.h"

#include <inttypes.h>
#include <string.h>

#include <natprobe/natprobe.h>

#define SOURCE_PORT 54320

void world_quiet(world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->kind = WORLD_ANY_CLASS;
    w->family = 4;
    w->documentation = true;
    w->link = (link_desc){.rtt_ns = 20 * MS, .inside_share = 0.1, .burst_ns = 50 * MS, .burst_packets = 3};
    w->start_ns = SECOND;
    w->timeout_ns = NP_DEFAULT_TIMEOUT_MS * MS;
    w->response_timeout_ns = NP_DEFAULT_RESPONSE_TIMEOUT_MS * MS;
    w->runs = 1;
    world_number(w);
}

box_desc box_nat(dependence mapping, dependence filtering)
{
    return (box_desc){.kind = BOX_NAT, .mapping = mapping, .filtering = filtering, .timeout_ns = 300 * SECOND};
}

box_desc box_firewall(dependence filtering)
{
    return (box_desc){.kind = BOX_FIREWALL, .filtering = filtering, .timeout_ns = 300 * SECOND};
}

box_desc box_linux(bool input_firewall, bool fully_random)
{
    return (box_desc){.kind = BOX_LINUX, .input_firewall = input_firewall, .fully_random = fully_random};
}

endpoint world_public(const world *w, unsigned net, unsigned host, uint16_t port)
{
    return endpoint_public(w->family, w->documentation ? net : net + 3, host, port);
}

static bool translates(const box_desc *b)
{
    return b->kind == BOX_NAT || b->kind == BOX_LINUX;
}

static void number_box(world *w, unsigned i, bool outermost)
{
    for (unsigned k = 0; k < WORLD_POOL; k++) {
        w->box[i].external[k] = outermost ? world_public(w, 0, 1 + k, 0) : endpoint_private(w->family, 64, 1 + k, 0);
    }
}

void world_number(world *w)
{
    int outermost = -1;
    for (unsigned i = 0; i < w->boxes; i++)
        outermost = translates(&w->box[i]) ? (int)i : outermost;
    for (unsigned i = 0; i < w->boxes; i++)
        number_box(w, i, (int)i == outermost);
    w->host.local =
        outermost >= 0 ? endpoint_private(w->family, 1, 2, SOURCE_PORT) : world_public(w, 0, 77, SOURCE_PORT);
}

server_desc *world_add_server(world *w)
{
    unsigned i = w->servers++;
    server_desc *s = &w->server[i];
    memset(s, 0, sizeof *s);
    s->a = world_public(w, 1, 10 + i, 3478);
    s->b = world_public(w, 2, 10 + i, 3479);
    s->two_ports = true;
    s->two_ips = true;
    s->other = OTHER_RFC5780;
    s->origin = true;
    s->copies = 1;
    w->listed[w->listed_count++] = (listed_server){.address = s->a, .server = i};
    return s;
}

void server_make_plain(server_desc *s)
{
    s->two_ports = false;
    s->two_ips = false;
    s->other = OTHER_NONE;
    s->change = CHANGE_IGNORED;
}

void server_make_classic(server_desc *s)
{
    s->mapped = MAPPED_PLAIN;
    s->other = OTHER_RFC3489;
    s->fingerprint = false;
}

static const char *dependence_name(dependence d)
{
    static const char *const names[] = {"endpoint-independent", "address-dependent", "address-and-port-dependent"};
    return names[d];
}

static void print_changes(const box_desc *b, FILE *out)
{
    for (unsigned i = 0; i < b->changes; i++)
        fprintf(out, "%s%.1f ms", i == 0 ? (b->change_keeps_ip ? "; reboots at " : "; new address at ") : ", ",
                (double)b->change_ns[i] / 1e6);
}

static void print_box(const box_desc *b, FILE *out)
{
    static const char *const kinds[] = {"wire", "firewall", "NAT", "Linux NAT", "UDP blocked"};
    static const char *const ports[] = {"preserving", "sequential", "random", "parity-preserving"};
    static const char *const pools[] = {"one", "paired", "arbitrary"};
    fprintf(out, "  box: %s", kinds[b->kind]);
    if (b->kind == BOX_NAT)
        fprintf(out, ", mapping %s, ports %s, pooling %s", dependence_name(b->mapping), ports[b->ports],
                pools[b->pooling]);
    if (b->kind == BOX_NAT || b->kind == BOX_FIREWALL)
        fprintf(out, ", filtering %s%s, timeout %.1f s", dependence_name(b->filtering),
                b->per_host ? " kept per host" : "", (double)b->timeout_ns / 1e9);
    if (b->kind == BOX_LINUX)
        fprintf(out, ", %s, ports %s", b->input_firewall ? "input firewall" : "no input firewall",
                b->fully_random ? "fully random" : "preserving");
    if (b->kind == BOX_BLOCKED)
        fprintf(out, "%s%s", b->block_out ? ", outwards" : "", b->block_in ? ", inwards" : "");
    if (b->only_port != 0)
        fprintf(out, ", lets out only to port %u", b->only_port);
    print_changes(b, out);
    fprintf(out, "\n");
}

static void print_link(const link_desc *l, FILE *out)
{
    static const char *const kinds[] = {"independent", "bursts in time", "bursts of packets"};
    static const char *const places[] = {"inside", "outside", "both sides"};
    fprintf(out,
            "  link: round trip %.1f ms, %.0f %% of it inside, jitter %.2f, %s, duplicates %.1f %%, late %.1f %% by "
            "%.0f ms\n",
            (double)l->rtt_ns / 1e6, 100 * l->inside_share, l->jitter, l->fifo ? "in order" : "reordering",
            100 * l->duplicate, 100 * l->late, (double)l->late_ns / 1e6);
    fprintf(out, "  loss: up %.1f %%, down %.1f %%, %s, %s, bursts of %.0f ms / %.1f packets\n", 100 * l->loss[UP],
            100 * l->loss[DOWN], kinds[l->kind], places[l->place], (double)l->burst_ns / 1e6, l->burst_packets);
}

static void print_names(const server_desc *s, FILE *out)
{
    static const char *const dialects[] = {"any", "cookie only", "classic only"};
    static const char *const plains[] = {"answered", "silent",    "garbage",   "truncated",     "wrong id",
                                         "echo",     "error 300", "error 500", "from elsewhere"};
    static const char *const mapped[] = {"xor",     "xor and plain", "old xor", "plain",       "rewritten",
                                         "zero ip", "zero port",     "none",    "other family"};
    static const char *const others[] = {"none", "OTHER-ADDRESS", "CHANGED-ADDRESS", "both"};
    static const char *const changes[] = {"honoured", "ignored",  "port only", "ip only",
                                          "odd port", "rejected", "dropped",   "ip dropped"};
    fprintf(out, "; speaks %s, plain %s, mapped %s, other %s, change %s", dialects[s->dialect], plains[s->plain],
            mapped[s->mapped], others[s->other], changes[s->change]);
    if (s->change == CHANGE_REJECTED)
        fprintf(out, " %u", s->reject_code);
}

static void print_flags(const server_desc *s, FILE *out)
{
    const struct {
        bool set;
        const char *name;
    } flags[] = {{!s->two_ips, "no second ip"},   {!s->two_ports, "no second port"},  {s->unpadded, "unpadded"},
                 {s->fingerprint, "fingerprint"}, {s->software, "software"},          {s->origin, "origin"},
                 {s->no_route, "no route"},       {s->deaf_aq, "deaf at A:Q"},        {s->deaf_bp, "deaf at B:P"},
                 {s->deaf_bq, "deaf at B:Q"},     {s->other_is_false, "names false"}, {s->other_flips, "flips"}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (flags[i].set)
            fprintf(out, ", %s", flags[i].name);
    }
}

static void print_server(const server_desc *s, unsigned i, FILE *out)
{
    char a[ENDPOINT_TEXT];
    char b[ENDPOINT_TEXT];
    char false_other[ENDPOINT_TEXT];
    endpoint_text(&s->a, a);
    endpoint_text(&s->b, b);
    endpoint_text(&s->false_other, false_other);
    fprintf(out, "  server %u: %s, other %s, false other %s", i, a, b, false_other);
    print_names(s, out);
    print_flags(s, out);
    fprintf(out, "; copies %u, late %.0f ms, rate %u %s, flood %u", s->copies, (double)s->late_ns / 1e6, s->rate,
            s->rate_kind == RATE_WINDOW ? "window" : "bucket", s->flood);
    fprintf(out, ", extra rtt %.1f ms, extra b %.1f ms, loss b %.0f %%\n", (double)s->extra_rtt_ns / 1e6,
            (double)s->extra_b_ns / 1e6, 100 * s->loss_b);
}

static void print_listed(const world *w, FILE *out)
{
    for (unsigned i = 0; i < w->listed_count; i++) {
        const listed_server *l = &w->listed[i];
        char text[ENDPOINT_TEXT];
        endpoint_text(&l->address, text);
        fprintf(out, "  listed: %s (server %u)%s, resolves in %.1f ms\n", text, l->server,
                l->expected_mapping_only ? ", expected to be plain" : "",
                l->resolve_ns == NEVER ? -1.0 : (double)l->resolve_ns / 1e6);
    }
}

void world_print(const world *w, FILE *out)
{
    char local[ENDPOINT_TEXT];
    endpoint_text(&w->host.local, local);
    fprintf(out, "world %" PRIu64 " of class %s: IPv%u, host %s, %u run%s, gap %.1f s%s\n", w->seed,
            world_class_name(w->kind), w->family, local, w->runs, w->runs == 1 ? "" : "s", (double)w->gap_ns / 1e9,
            w->mapping_only ? ", mapping only" : "");
    fprintf(out, "  host: lag %.1f ms, busy %.1f %%%s, cancelled at %.1f ms, timeout %.1f s, response timeout %.1f s\n",
            (double)w->host.lag_ns / 1e6, 100 * w->host.busy, w->host.no_route ? ", no route" : "",
            (double)w->host.cancel_ns / 1e6, (double)w->timeout_ns / 1e9, (double)w->response_timeout_ns / 1e9);
    for (unsigned i = 0; i < w->boxes; i++)
        print_box(&w->box[i], out);
    print_link(&w->link, out);
    for (unsigned i = 0; i < w->servers; i++)
        print_server(&w->server[i], i, out);
    print_listed(w, out);
}
