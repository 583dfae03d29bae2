/* SPDX-License-Identifier: MIT */
/* Runs a world, and where it has something in it that must not change what is sent, runs it again without.  */
#include "simulate.h"

#include <stdlib.h>
#include <string.h>

#include "invariants.h"

/* However many copies of each answer come: so many more datagrams for each server at most, at the usual pace. */
#define MORE_FOR_COPIES 160u

static void print_result(const np_result *r, FILE *out)
{
    fprintf(out, "  result: %s, %s, mapping %s, filtering %s, external %s port %u, local %s port %u, server %s\n",
            np_error_name(r->error), np_nat_type_name(r->nat_type), np_behaviour_name(r->mapping),
            np_behaviour_name(r->filtering), r->external_ip, r->external_port, r->local_ip, r->local_port, r->server);
    fprintf(out, "  rtt %.3f ms, elapsed %.3f ms, %u sent, %u received, evidence:", (double)r->rtt_us / 1e3,
            (double)r->elapsed_us / 1e3, r->packets_sent, r->packets_received);
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
        if ((r->evidence & bit) != 0)
            fprintf(out, " %s", np_evidence_name(bit));
    }
    fprintf(out, "\n  detail: %s\n", r->detail);
}

static void print_judgement(const run_record *r, verdict v, const char *why, FILE *out)
{
    static const char *const names[] = {"right", "unknown", "WRONG"};
    print_result(&r->result, out);
    fprintf(out, "  judged: %s%s%s\n", names[v], why[0] != '\0' ? ": " : "", why);
    if (r->broken[0] != '\0')
        fprintf(out, "  broken: %s\n", r->broken);
}

/* Keeps what was found in a run if it is worse than what was found before. */
static void keep(report *out, const run_record *r, verdict v, const char *why)
{
    bool broken = r->broken[0] != '\0';
    bool was_serious = out->verdict == VERDICT_WRONG || out->broken;
    bool worse = !was_serious && (broken || v > out->verdict);
    if (worse)
        snprintf(out->why, sizeof out->why, "%.120s%s%.120s", r->broken, broken && why[0] != '\0' ? "; " : "", why);
    if (!was_serious)
        out->last = *r;
    out->verdict = v > out->verdict ? v : out->verdict;
    out->broken = out->broken || broken;
}

static void judge_run(const world *w, const truth *t, run_record *r, FILE *trace, report *out)
{
    char why[200];
    invariants_check(w, r);
    verdict v = truth_judge(w, t, r, why, sizeof why);
    keep(out, r, v, why);
    if (trace != NULL)
        print_judgement(r, v, why, trace);
}

/* What arrives while no check is running finds no socket. */
static void pass_time(network *n, uint64_t ns)
{
    packet p;
    network_run_until(n, n->now_ns + ns);
    while (network_take(n, &p))
        continue;
}

/* Another program uses the source port and ends. */
static void run_earlier_program(const world *w, network *n, FILE *trace)
{
    const endpoint *source = &w->host.local;
    for (unsigned i = 0; i < w->earlier_count; i++) {
        const earlier_request *q = &w->earlier[i];
        uint8_t id[ID_SIZE];
        rng r;
        rng_seed(&r, w->seed, 310 + i);
        rng_bytes(&r, id, sizeof id);
        message m;
        message_begin_request(&m, id, q->change);
        if (trace != NULL)
            fprintf(trace, "  another program asks, change %u\n", q->change);
        network_send(n, n->now_ns, source, &q->to, true, m.bytes, m.size);
        pass_time(n, q->then_ns);
    }
}

static void run_all(const world *w, FILE *trace, run_record *records, report *out)
{
    network *n = malloc(sizeof *n);
    truth t;
    if (n == NULL)
        abort();
    truth_of(w, &t);
    network_init(n, w, trace);
    driver *d = driver_new(w, n);
    run_earlier_program(w, n, trace);
    for (unsigned run = 0; run < w->runs; run++) {
        if (trace != NULL)
            fprintf(trace, "  run %u\n", run + 1);
        driver_run(d, &records[run]);
        if (out != NULL)
            judge_run(w, &t, &records[run], trace, out);
        pass_time(n, w->gap_ns);
    }
    if (network_is_void(n) && out != NULL) {
        out->broken = true;
        snprintf(out->why, sizeof out->why, "the simulator's tables are too small for this world");
    }
    driver_free(d);
    network_free(n);
    free(n);
}

static bool sent_alike(const run_record *a, const run_record *b)
{
    for (unsigned i = 0; i < a->sent_count && i < b->sent_count && i < RECORD_SENT; i++) {
        if (a->sent[i].time_ns != b->sent[i].time_ns || !endpoint_equal(&a->sent[i].to, &b->sent[i].to))
            return false;
    }
    return a->sent_count == b->sent_count;
}

/* The first run of a world, which is all that is compared. To be freed. */
static run_record *run_first(const world *w)
{
    world first = *w;
    run_record *r = malloc(sizeof *r);
    if (r == NULL)
        abort();
    first.runs = 1;
    run_all(&first, NULL, r, NULL);
    return r;
}

/*
 * Runs a world that differs from another in something that must not matter: the same is sent at the same times, or,
 * where something more is allowed, no more than that.
 */
static void compare(const run_record *a, const world *other, unsigned more, const char *what, report *out)
{
    run_record *b = run_first(other);
    if (more > 0 ? a->sent_count > b->sent_count + more : !sent_alike(a, b)) {
        out->broken = true;
        snprintf(out->why, sizeof out->why, "%s changes what is sent: %u datagrams, %u without", what, a->sent_count,
                 b->sent_count);
    }
    free(b);
}

/* Whether what is flooded with is looked at, or only wakes the host up, or is not sent at all: it is all the same. */
static void compare_without_flood(const world *w, report *out)
{
    world flooded = *w;
    flooded.host.steady_ids = true;
    world deaf = flooded;
    deaf.host.drops_floods = true;
    run_record *record = run_first(&flooded);
    compare(record, &deaf, 0, "a flood", out);
    world calm = flooded;
    for (unsigned i = 0; i < w->servers; i++)
        calm.server[i].flood = 0;
    /* Elsewhere a flood delays what comes behind it, or whoever wakes up for it, or changes what a NAT does then. */
    if (!w->link.fifo && w->host.lag_ns == 0 && !world_remembers_refused(w))
        compare(record, &calm, 0, "being woken by a flood", out);
    free(record);
}

/*
 * Every answer a hundred times. Losses cannot be told then, so that more copies have to be silent before silence
 * counts: at the usual pace, within the caps of invariants.c, and never one for each answer. A server that names
 * another address each time it is asked would lead two checks apart that ask it unequally often.
 */
static void compare_without_copies(const world *w, report *out)
{
    world flooded = *w;
    flooded.host.steady_ids = true;
    for (unsigned i = 0; i < w->servers; i++)
        flooded.server[i].other_flips = false;
    world calm = flooded;
    for (unsigned i = 0; i < w->servers; i++)
        calm.server[i].copies = 1;
    run_record *record = run_first(&flooded);
    unsigned checks = (record->result.evidence & NP_EVIDENCE_RESTARTED) != 0
                          ? 2
                          : 1; /* the calm one need not start again */
    compare(record, &calm, MORE_FOR_COPIES * w->servers * checks, "a flood of copies", out);
    free(record);
}

static void compare_with_sleep(const world *w, report *out)
{
    world restless = *w;
    restless.host.steady_ids = true;
    world calm = restless;
    calm.host.restless_ns = 0;
    run_record *record = run_first(&restless);
    compare(record, &calm, 0, "waking up for nothing", out);
    free(record);
}

static void drop_dead(world *w)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->listed_count; i++) {
        if (!server_is_dead(&w->server[w->listed[i].server]))
            w->listed[kept++] = w->listed[i];
    }
    w->listed_count = kept;
}

/* How much longer the check takes than one that is told of the living servers only. */
static void measure_dead(const world *w, report *out)
{
    world living = *w;
    report without = {0};
    unsigned dead = world_dead_servers(w);
    run_record *records = calloc(w->runs, sizeof *records);
    if (records == NULL)
        abort();
    drop_dead(&living);
    run_all(&living, NULL, records, &without);
    double extra_us = (double)out->last.result.elapsed_us - (double)without.last.result.elapsed_us;
    out->extra_ms = extra_us / 1e3 / dead;
    out->is_extra_sample = out->verdict == VERDICT_RIGHT && without.verdict == VERDICT_RIGHT;
    free(records);
}

static bool loses_nothing(const world *w)
{
    const link_desc *l = &w->link;
    return l->loss[UP] <= 0 && l->loss[DOWN] <= 0 && l->duplicate <= 0 && l->late <= 0 && w->host.lag_ns == 0;
}

static bool has_copies(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].copies > 1)
            return true;
    }
    return false;
}

static bool has_flood(const world *w)
{
    for (unsigned i = 0; i < w->servers; i++) {
        if (w->server[i].flood > 0)
            return true;
    }
    return false;
}

static bool is_speed_sample(const world *w, const truth *t)
{
    const link_desc *l = &w->link;
    return t->verdict_expected && w->listed_count == 1 && w->runs == 1 && l->loss[UP] <= 0 && l->loss[DOWN] <= 0 &&
           l->jitter <= 0 && l->duplicate <= 0 && l->rtt_ns >= 20 * MS && w->host.lag_ns == 0 && w->host.busy <= 0;
}

void simulate(const world *w, FILE *trace, report *out)
{
    truth t;
    run_record *records = calloc(w->runs, sizeof *records);
    if (records == NULL)
        abort();
    memset(out, 0, sizeof *out);
    truth_of(w, &t);
    if (trace != NULL) {
        world_print(w, trace);
        fprintf(trace, "  truth: %s, mapping %s, filtering %s\n", np_nat_type_name(t.nat_type),
                np_behaviour_name(t.mapping), np_behaviour_name(t.filtering));
    }
    run_all(w, trace, records, out);
    if (has_flood(w))
        compare_without_flood(w, out);
    if (has_copies(w) && loses_nothing(w))
        compare_without_copies(w, out);
    if (w->host.restless_ns != 0)
        compare_with_sleep(w, out);
    if (world_dead_servers(w) > 0)
        measure_dead(w, out);
    out->verdict_expected = t.verdict_expected || t.mapping_expected;
    out->is_short = truth_is_short(&t, &out->last, out->verdict);
    out->is_speed_sample = is_speed_sample(w, &t);
    out->round_trips = (double)out->last.result.elapsed_us * 1e3 / (double)(w->link.rtt_ns + w->server[0].extra_rtt_ns);
    free(records);
}
