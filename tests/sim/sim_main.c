/* SPDX-License-Identifier: MIT */
/* The command: many worlds, counted by class, or one world shown packet by packet. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "coverage.h"
#include "simulate.h"

#define JOBS_MAX 64
#define WRONG_SHOWN 40
#define ALIKE_SHOWN 3 /* findings that differ in nothing but numbers */
#define CLASSES_MAX 72
#define PACKET_BINS 200
#define TIME_BINS 1200 /* of a twentieth of a round trip */
#define TIME_BIN_PER_R 20
#define EXTRA_BINS 1000 /* of EXTRA_BIN_MS */
#define EXTRA_BIN_MS 2
#define EXTRA_MOST_MS 250   /* that a dead server may cost, at 50 % and at 99 % */
#define COVERED_FROM 100000 /* worlds in which everything has to have been drawn */

typedef struct options {
    uint64_t worlds, seed;
    unsigned jobs;
    int kind;
    double max_loss;
    bool replay, cost, digest, verbose, show_unknown, fail_fast, markdown, coverage;
} options;

typedef struct counts {
    uint64_t worlds, right, unknown, wrong, broken;
    uint64_t expected, expected_unknown; /* worlds in which the full verdict is due */
    uint64_t packets[PACKET_BINS];
    uint64_t speed[TIME_BINS];
    uint64_t extra[2][EXTRA_BINS]; /* of whole checks, of the mapping only */
} counts;

typedef struct finding {
    uint64_t seed;
    uint64_t times; /* findings of the same sort, this one included */
    int kind;
    bool serious; /* wrong or broken, not just unknown */
    char why[256];
} finding;

typedef struct tally {
    counts class[CLASSES_MAX];
    finding found[WRONG_SHOWN];
    unsigned findings;
    coverage drawn;
} tally;

static bool is_figure(char c)
{
    return (c >= '0' && c <= '9') || c == '.';
}

/* Two findings are of one sort when they differ in nothing but numbers. */
static bool same_sort(const char *a, const char *b)
{
    for (;;) {
        while (is_figure(*a))
            a++;
        while (is_figure(*b))
            b++;
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

static void note_finding(tally *t, const finding *new)
{
    unsigned alike = 0;
    finding *first = NULL;
    for (unsigned i = 0; i < t->findings; i++) {
        if (t->found[i].serious != new->serious || !same_sort(t->found[i].why, new->why))
            continue;
        first = alike++ == 0 ? &t->found[i] : first;
    }
    if (first != NULL)
        first->times += new->times;
    if (alike < ALIKE_SHOWN && t->findings < WRONG_SHOWN) {
        t->found[t->findings] = *new;
        t->found[t->findings++].times = first == NULL ? new->times : 0;
    }
}

static void note_report(tally *t, const world *w, const report *r, bool serious)
{
    finding f = {.seed = w->seed, .times = 1, .kind = w->kind, .serious = serious};
    memcpy(f.why, r->why, sizeof f.why);
    note_finding(t, &f);
}

static void count(tally *t, const options *o, const world *w, const report *r)
{
    counts *c = &t->class[w->kind];
    coverage_count(&t->drawn, w);
    unsigned packets = r->last.result.packets_sent;
    bool serious = r->verdict == VERDICT_WRONG || r->broken;
    c->worlds++;
    c->right += r->verdict == VERDICT_RIGHT;
    c->unknown += r->verdict == VERDICT_UNKNOWN;
    c->wrong += r->verdict == VERDICT_WRONG;
    c->broken += r->broken;
    c->expected += r->verdict_expected;
    c->expected_unknown += r->is_short;
    c->packets[packets < PACKET_BINS ? packets : PACKET_BINS - 1]++;
    if (r->is_speed_sample && r->verdict == VERDICT_RIGHT) {
        double bin = r->round_trips * TIME_BIN_PER_R;
        c->speed[bin < TIME_BINS ? (unsigned)bin : TIME_BINS - 1]++;
    }
    if (r->is_extra_sample) {
        double bin = r->extra_ms > 0 ? r->extra_ms / EXTRA_BIN_MS : 0;
        c->extra[w->mapping_only][bin < EXTRA_BINS ? (unsigned)bin : EXTRA_BINS - 1]++;
    }
    if (serious || (o->show_unknown && r->is_short))
        note_report(t, w, r, serious);
}

static void run_share(const options *o, unsigned job, tally *t)
{
    memset(t, 0, sizeof *t);
    for (uint64_t i = job; i < o->worlds; i += o->jobs) {
        world w;
        report r;
        world_draw(&w, o->seed + i, o->kind, o->max_loss);
        simulate(&w, NULL, &r);
        count(t, o, &w, &r);
        if (o->fail_fast && t->findings > 0)
            return;
    }
}

/* ---- Jobs ---- */

static void add(tally *sum, const tally *t)
{
    for (unsigned c = 0; c < CLASSES_MAX; c++) { /* counts are nothing but 64-bit numbers */
        uint64_t *to = (uint64_t *)&sum->class[c];
        const uint64_t *from = (const uint64_t *)&t->class[c];
        for (size_t i = 0; i < sizeof(counts) / sizeof(uint64_t); i++)
            to[i] += from[i];
    }
    for (unsigned i = 0; i < t->findings; i++)
        note_finding(sum, &t->found[i]);
    coverage_add(&sum->drawn, &t->drawn);
}

#ifdef _WIN32

/* One after the other. */
static bool run_jobs(const options *o, tally *sum)
{
    static tally t;
    for (unsigned job = 0; job < o->jobs; job++) {
        memset(&t, 0, sizeof t);
        run_share(o, job, &t);
        add(sum, &t);
    }
    return true;
}

#else

static bool write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        ssize_t n = read(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static int start_job(const options *o, unsigned job)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        static tally t;
        close(ends[0]);
        run_share(o, job, &t);
        _exit(write_all(ends[1], &t, sizeof t) ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return -1;
    }
    return ends[0];
}

static bool run_jobs(const options *o, tally *sum)
{
    static tally t;
    int pipes[JOBS_MAX];
    bool good = true;
    for (unsigned job = 0; job < o->jobs; job++)
        pipes[job] = start_job(o, job);
    for (unsigned job = 0; job < o->jobs; job++) {
        bool arrived = pipes[job] >= 0 && read_all(pipes[job], &t, sizeof t);
        if (arrived)
            add(sum, &t);
        else
            fprintf(stderr, "sim: job %u did not finish\n", job);
        good = good && arrived;
        if (pipes[job] >= 0)
            close(pipes[job]);
    }
    while (wait(NULL) > 0)
        continue;
    return good;
}

#endif

/* ---- Printing ---- */

static unsigned quantile(const uint64_t *bins, unsigned n, double q)
{
    uint64_t total = 0;
    uint64_t seen = 0;
    for (unsigned i = 0; i < n; i++)
        total += bins[i];
    for (unsigned i = 0; i < n; i++) {
        seen += bins[i];
        if (total > 0 && (double)seen >= q * (double)total)
            return i;
    }
    return 0;
}

#define N64 " %" PRIu64
#define PLAIN_ROW                                                                                                      \
    "%-16s %9" PRIu64 " %9" PRIu64 " %8" PRIu64 " %6" PRIu64 " %6" PRIu64 " %9" PRIu64 " %7" PRIu64                    \
    " %5u %5u %7.2f %7.2f\n"
#define MARKDOWN_ROW "| %s |" N64 " |" N64 " |" N64 " |" N64 " |" N64 " |" N64 " |" N64 " | %u | %u | %.2f | %.2f |\n"

static void print_counts(const options *o, const char *name, const counts *c)
{
    printf(o->markdown ? MARKDOWN_ROW : PLAIN_ROW, name, c->worlds, c->right, c->unknown, c->wrong, c->broken,
           c->expected, c->expected_unknown, quantile(c->packets, PACKET_BINS, 0.5),
           quantile(c->packets, PACKET_BINS, 0.99), quantile(c->speed, TIME_BINS, 0.5) / (double)TIME_BIN_PER_R,
           quantile(c->speed, TIME_BINS, 0.99) / (double)TIME_BIN_PER_R);
}

/* Whether the only server of a class's worlds conforms to RFC 5780 in all. */
static bool is_conforming(int kind)
{
    static const char *const names[] = {"conforming", "nat", "no-nat", "linux", "double", "ports", "rerun", "earlier"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(world_class_name(kind), names[i]) == 0)
            return true;
    }
    return false;
}

static counts total_of(const tally *t, bool conforming)
{
    counts total = {0};
    uint64_t *to = (uint64_t *)&total;
    for (int c = 0; c < world_class_count(); c++) {
        if (conforming && !is_conforming(c))
            continue;
        const uint64_t *from = (const uint64_t *)&t->class[c];
        for (size_t i = 0; i < sizeof(counts) / sizeof(uint64_t); i++)
            to[i] += from[i];
    }
    return total;
}

static void print_head(const options *o)
{
    if (o->markdown)
        printf("| class | worlds | right | unknown | wrong | broken | due | short | packets, median | 99 %% |"
               " round trips, median | 99 %% |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    else
        printf("%-16s %9s %9s %8s %6s %6s %9s %7s %5s %5s %7s %7s\n", "class", "worlds", "right", "unknown", "wrong",
               "broken", "due", "short", "pk50", "pk99", "R50", "R99");
}

static void print_findings(const options *o, const tally *t)
{
    for (unsigned i = 0; i < t->findings; i++)
        printf("%s (%" PRIu64 ") --replay %" PRIu64 " --class %s --loss %g -v: %s\n",
               t->found[i].serious ? "WRONG" : "short", t->found[i].times, t->found[i].seed,
               world_class_name(t->found[i].kind), o->max_loss, t->found[i].why);
}

static unsigned extra_ms(const uint64_t *bins, double q)
{
    return quantile(bins, EXTRA_BINS, q) * EXTRA_BIN_MS;
}

static void print_extra(const counts *c)
{
    static const char *const checks[] = {"whole checks", "mapping only"};
    for (unsigned i = 0; i < 2; i++) {
        if (extra_ms(c->extra[i], 1) > 0)
            printf("each dead server costs, %s: median %u ms, 99 %% %u ms\n", checks[i], extra_ms(c->extra[i], 0.5),
                   extra_ms(c->extra[i], 0.99));
    }
}

static void print_tally(const options *o, const tally *t)
{
    print_head(o);
    for (int c = 0; c < world_class_count(); c++) {
        if (t->class[c].worlds > 0)
            print_counts(o, world_class_name(c), &t->class[c]);
    }
    counts conforming = total_of(t, true);
    counts total = total_of(t, false);
    if (conforming.worlds > 0 && conforming.worlds < total.worlds)
        print_counts(o, "one good server", &conforming);
    print_counts(o, "all", &total);
    print_extra(&total);
    if (o->markdown || o->coverage) {
        printf("\n");
        coverage_print(&t->drawn, o->markdown, stdout);
    }
    print_findings(o, t);
}

/* Of all kinds of worlds, and of enough of them, some must have been drawn. */
static bool is_covered(const options *o, const tally *t)
{
    if (o->kind != WORLD_ANY_CLASS || o->worlds < COVERED_FROM || o->max_loss < 0.3)
        return true;
    return coverage_missing(&t->drawn, stderr) == 0;
}

static bool is_fast(const counts *c)
{
    bool good = true;
    for (unsigned i = 0; i < 2; i++)
        good = good && extra_ms(c->extra[i], 0.5) <= EXTRA_MOST_MS && extra_ms(c->extra[i], 0.99) <= EXTRA_MOST_MS;
    return good;
}

/*
 * At most one verdict in a thousand may be missed where it is due and the only server conforms, and five where others
 * do not; two more, so that a short run is not a lottery.
 */
static bool is_good(const tally *t)
{
    counts good = total_of(t, true);
    counts all = total_of(t, false);
    return all.wrong == 0 && all.broken == 0 && good.expected_unknown <= good.expected / 1000 + 2 &&
           all.expected_unknown <= all.expected / 200 + 2 && is_fast(&all);
}

static int replay(const options *o)
{
    world w;
    report r;
    world_draw(&w, o->seed, o->kind, o->max_loss);
    simulate(&w, o->verbose ? stdout : NULL, &r);
    printf("%s: %s\n",
           r.verdict == VERDICT_WRONG || r.broken ? "WRONG" : (r.verdict == VERDICT_RIGHT ? "right" : "unknown"),
           r.why);
    return r.verdict == VERDICT_WRONG || r.broken ? 1 : 0;
}

/* CPU time of checks behind a port-restricted NAT 40 ms away, without loss, with that of the simulation. */
static int measure_cost(const options *o)
{
    clock_t before = clock();
    for (uint64_t i = 0; i < o->worlds; i++) {
        world w;
        report r;
        world_quiet(&w, o->seed + i);
        w.link.rtt_ns = 40 * MS;
        w.boxes = 1;
        w.box[0] = box_nat(DEP_INDEPENDENT, DEP_ADDRESS_AND_PORT);
        world_number(&w);
        world_add_server(&w);
        simulate(&w, NULL, &r);
    }
    double us = (double)(clock() - before) * 1e6 / CLOCKS_PER_SEC / (double)o->worlds;
    printf("%.1f microseconds of CPU for each check, the simulation of its network included\n", us);
    return 0;
}

/* ---- Digests ---- */

/* FNV-1a. */
static uint64_t digest_bytes(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#ifdef _WIN32

static uint64_t digest_world(uint64_t hash, const world *w)
{
    char part[256];
    FILE *file = tmpfile();
    if (file == NULL)
        abort();
    world_print(w, file);
    rewind(file);
    for (size_t size; (size = fread(part, 1, sizeof part, file)) > 0;)
        hash = digest_bytes(hash, part, size);
    fclose(file);
    return hash;
}

#else

static uint64_t digest_world(uint64_t hash, const world *w)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        abort();
    world_print(w, out);
    fclose(out);
    hash = digest_bytes(hash, text, size);
    free(text);
    return hash;
}

#endif

static uint64_t digest_run(uint64_t hash, const run_record *r)
{
    hash = digest_bytes(hash, &r->result, sizeof r->result);
    for (unsigned i = 0; i < r->sent_count && i < RECORD_SENT; i++) {
        hash = digest_bytes(hash, &r->sent[i].time_ns, sizeof r->sent[i].time_ns);
        hash = digest_bytes(hash, r->sent[i].data, r->sent[i].size);
    }
    return hash;
}

static void print_digest(const options *o, int kind)
{
    uint64_t worlds = UINT64_C(0xcbf29ce484222325);
    uint64_t runs = worlds;
    for (uint64_t i = 0; i < o->worlds; i++) {
        world w;
        report r;
        world_draw(&w, o->seed + i, kind, o->max_loss);
        simulate(&w, NULL, &r);
        worlds = digest_world(worlds, &w);
        runs = digest_run(runs, &r.last);
    }
    printf("%-16s worlds %016" PRIx64 " runs %016" PRIx64 "\n", world_class_name(kind), worlds, runs);
}

static int print_digests(const options *o)
{
    for (int kind = 0; kind < world_class_count(); kind++) {
        if (o->kind == WORLD_ANY_CLASS || o->kind == kind)
            print_digest(o, kind);
    }
    return 0;
}

/* ---- Options ---- */

static const char help[] =
    "usage: sim [option ...]\n"
    "Draws worlds from seeds, runs the experiment in each and judges its verdicts by what the world is.\n"
    "  -w, --worlds N    so many worlds, 10000 without it\n"
    "  -s, --seed S      from this seed on, 1 without it; a world is its seed, class and --loss, nothing else\n"
    "  -j, --jobs J      so many processes, one for each core without it; the outcome does not depend on it\n"
    "  -c, --class NAME  worlds of one class, drawn in their proportions without it\n"
    "  -l, --loss MAX    most that is lost in each direction, 0.3 without it\n"
    "  -u, --unknown     lists also worlds in which a verdict was due and did not come\n"
    "  -f, --fail-fast   a process stops at the first wrong verdict\n"
    "  -m, --markdown    the tables of docs/VERDICTS.md\n"
    "  -k, --coverage    how many worlds had each value of each dimension; with 100000 worlds or more of all classes\n"
    "                    each value, and each mapping x filtering x topology x family, must have been drawn\n"
    "  -r, --replay S    the world of this seed (with --class and --loss) instead; -v shows all that happens in it\n"
    "  -v, --verbose\n"
    "      --cost        CPU time of a check instead\n"
    "      --digest      instead, for each class, a hash of the worlds and one of what was sent and of the results\n"
    "  -h, --help\n"
    "Columns: broken: worlds in which a promise about what is sent, or about the form of the result, was broken;\n"
    "due: worlds in which the full verdict is due, short: of those the ones without it; pk: datagrams sent,\n"
    "R: round trips, each 50 % and 99 %, the latter of worlds without loss, jitter and duplicates.\n"
    "Class dead has lines of its own: how much longer each dead server makes a check, 250 ms at most at 50 % and 99 "
    "%.\n"
    "Status 0: nothing wrong or broken, at most 0.1 % short, everything drawn; 1: not so; 2: bad option.\nclasses:";

static void usage(FILE *out)
{
    fputs(help, out);
    for (int c = 0; c < world_class_count(); c++)
        fprintf(out, " %s", world_class_name(c));
    fprintf(out, "\n");
}

static bool read_number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool take_option(options *o, int c, const char *value)
{
    uint64_t n = 0;
    char *end;
    switch (c) {
    case 'w':
        return read_number(value, &o->worlds);
    case 's':
        return read_number(value, &o->seed);
    case 'r':
        o->replay = true;
        return read_number(value, &o->seed);
    case 'j':
        o->jobs = read_number(value, &n) && n >= 1 && n <= JOBS_MAX ? (unsigned)n : 0;
        return o->jobs > 0;
    case 'c':
        o->kind = world_class_find(value);
        return o->kind != WORLD_ANY_CLASS;
    case 'l':
        o->max_loss = strtod(value, &end);
        return *end == '\0' && o->max_loss >= 0 && o->max_loss <= 1;
    case 'u':
        return o->show_unknown = true;
    case 'f':
        return o->fail_fast = true;
    case 'm':
        return o->markdown = true;
    case 'k':
        return o->coverage = true;
    case 'C':
        return o->cost = true;
    case 'D':
        return o->digest = true;
    case 'v':
        return o->verbose = true;
    default:
        return false;
    }
}

static unsigned all_cores(void)
{
#ifdef _WIN32
    long n = 1;
#else
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#endif
    return n < 1 ? 1 : (n > JOBS_MAX ? JOBS_MAX : (unsigned)n);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"worlds", required_argument, NULL, 'w'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"jobs", required_argument, NULL, 'j'},
                                          {"class", required_argument, NULL, 'c'},
                                          {"loss", required_argument, NULL, 'l'},
                                          {"replay", required_argument, NULL, 'r'},
                                          {"unknown", no_argument, NULL, 'u'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"fail-fast", no_argument, NULL, 'f'},
                                          {"cost", no_argument, NULL, 'C'},
                                          {"digest", no_argument, NULL, 'D'},
                                          {"markdown", no_argument, NULL, 'm'},
                                          {"coverage", no_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    static tally sum;
    options o = {.worlds = 10000, .seed = 1, .jobs = all_cores(), .kind = WORLD_ANY_CLASS, .max_loss = 0.3};
    for (int c; (c = getopt_long(argc, argv, "w:s:j:c:l:r:ufvmkh", names, NULL)) != -1;) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (!take_option(&o, c, optarg)) {
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc) {
        usage(stderr);
        return 2;
    }
    if (o.replay)
        return replay(&o);
    if (o.cost && o.worlds > 0)
        return measure_cost(&o);
    if (o.digest)
        return print_digests(&o);
    bool finished = run_jobs(&o, &sum);
    print_tally(&o, &sum);
    return is_covered(&o, &sum) && finished && is_good(&sum) ? 0 : 1;
}
