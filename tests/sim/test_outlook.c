/* SPDX-License-Identifier: MIT */
/*
 * Does np_outlook() say what packets do? The engine measures every kind of NAT, two programs send real packets through
 * each two of them, and the outlook is held against what arrives. No result is written down here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "outlook_judge.h"

#define NOW 1795651260 /* a minute after the hosts were measured */
#define LOOKS_MAX 64U
#define PARTIALS_MAX 512U

static host *hosts[2][HOST_KINDS]; /* each kind on either side */
static unsigned host_count;
static int32_t seen[HOST_KINDS][HOST_KINDS]; /* what packets do between kind i, as ours, and k, as theirs */
static np_profile with_trap[2][HOST_KINDS];

static bool connects(int32_t outlook)
{
    return outlook >= NP_OUTLOOK_DIRECT && outlook <= NP_OUTLOOK_PUNCH_LEARN;
}

static np_outlook_result judged(const np_profile *ours, const np_profile *theirs)
{
    np_outlook_result outlook;
    assert_int_equal(np_outlook(ours, theirs, NOW, &outlook), NP_OK);
    return outlook;
}

static host_kind kinds[HOST_KINDS];

/* The environment asks for a short run. */
static bool is_small(void)
{
    const char *scale = getenv("NP_SIM_SCALE");
    return scale != NULL && strcmp(scale, "small") == 0;
}

static int set_up(void **state)
{
    (void)state;
    host_count = is_small() ? host_kinds_few(kinds) : host_kinds(kinds);
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned side = 0; side < 2; side++) {
            hosts[side][i] = host_measure(&kinds[i], side);
            with_trap[side][i] = host_profile_with_trap(hosts[side][i]);
        }
    }
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned k = 0; k < host_count; k++)
            seen[i][k] = judge_class(&(pair){.side = {hosts[0][i], hosts[1][k]}});
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < host_count; i++) {
        host_free(hosts[0][i]);
        host_free(hosts[1][i]);
    }
    pair_free_room();
    return 0;
}

/* ---- Failures --------------------------------------------------------------------------------------------------- */

typedef struct complaints {
    unsigned count;
} complaints;

/* Some are shown, with both lines: enough to try it again with "natprobe --outlook". */
static void complain(complaints *c, const char *what, const char *wanted, const char *got, const host *ours,
                     const host *theirs)
{
    if (c->count++ < 20)
        print_error("%s: packets say %s, the outlook %s\n  ours:   %s: %s\n  theirs: %s: %s\n", what, wanted, got,
                    ours->name, ours->line, theirs->name, theirs->line);
}

static void finish(const complaints *c)
{
    if (c->count != 0)
        fail_msg("%u pairs", c->count);
}

/* ---- One side --------------------------------------------------------------------------------------------------- */

/* What a box is, in the library's words. */
static int32_t behaviour_of(dependence d)
{
    return NP_BEHAVIOUR_ENDPOINT_INDEPENDENT + (int32_t)d;
}

static int32_t trap_of(const box_desc *b)
{
    if (b->mapping != DEP_INDEPENDENT || b->filtering == DEP_INDEPENDENT)
        return NP_TRISTATE_UNKNOWN;
    return b->refused_takes_port ? NP_TRISTATE_YES : NP_TRISTATE_NO;
}

/* Otherwise nothing below would be about the NATs that it names. */
static void hosts_are_measured_as_they_are(void **state)
{
    unsigned count = 0;
    (void)state;
    for (unsigned i = 0; i < host_count; i++) {
        const box_desc *b = &kinds[i].box[0];
        const np_profile *p = &hosts[0][i]->profile;
        if (kinds[i].boxes != 1 || b->kind != BOX_NAT)
            continue;
        assert_int_equal(p->mapping, behaviour_of(b->mapping));
        assert_int_equal(p->filtering, behaviour_of(b->filtering));
        assert_int_equal(with_trap[0][i].refused_takes_port, trap_of(b));
        count++;
    }
    assert_true(count > host_count / 2);
}

/* ---- Two known sides -------------------------------------------------------------------------------------------- */

static void class_is_what_packets_do(void **state)
{
    complaints c = {0};
    unsigned count[NP_OUTLOOK_SAME_NAT + 1] = {0};
    (void)state;
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned k = 0; k < host_count; k++) {
            np_outlook_result o = judged(&hosts[0][i]->profile, &hosts[1][k]->profile);
            count[seen[i][k]]++;
            if (o.outlook != seen[i][k] || o.best != seen[i][k] || o.worst != seen[i][k])
                complain(&c, "class", np_outlook_class_name(seen[i][k]), np_outlook_class_name(o.outlook), hosts[0][i],
                         hosts[1][k]);
        }
    }
    for (int32_t class = NP_OUTLOOK_DIRECT; class <= NP_OUTLOOK_RELAY; class ++)
        assert_int_not_equal(count[class], 0);
    finish(&c);
}

static void check_advice(complaints *c, const pair *p, const np_outlook_result *o)
{
    const char *failed = "";
    if (!judge_advice(p, o, &failed))
        complain(c, failed, "nothing", np_first_name(o->first), p->side[0], p->side[1]);
}

static void advice_leads_to_a_connection(void **state)
{
    complaints c = {0};
    (void)state;
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned k = 0; k < host_count; k++) {
            pair p = {.side = {hosts[0][i], hosts[1][k]}};
            np_outlook_result o = judged(&hosts[0][i]->profile, &hosts[1][k]->profile);
            np_outlook_result known = judged(&with_trap[0][i], &with_trap[1][k]);
            if (!connects(seen[i][k]))
                continue;
            check_advice(&c, &p, &o);
            check_advice(&c, &p, &known);
        }
    }
    finish(&c);
}

/* Nor is any of it for nothing: where an order is asked for, another one fails. */
static void first_is_what_packets_need(void **state)
{
    complaints c = {0};
    (void)state;
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned k = 0; k < host_count; k++) {
            pair p = {.side = {hosts[0][i], hosts[1][k]}};
            np_outlook_result o = judged(&with_trap[0][i], &with_trap[1][k]);
            if (!connects(seen[i][k]))
                continue;
            need n = seen[i][k] == NP_OUTLOOK_DIRECT ? judge_direct_need(&p) : judge_punch_need(&p, &o);
            if (n.first != o.first)
                complain(&c, "first", np_first_name(n.first), np_first_name(o.first), hosts[0][i], hosts[1][k]);
            if (n.low_ttl != ((o.assumes & NP_ASSUMES_LOW_TTL) != 0))
                complain(&c, "low TTL", n.low_ttl ? "yes" : "no", n.low_ttl ? "no" : "yes", hosts[0][i], hosts[1][k]);
            np_outlook_result deaf = o;
            const char *failed;
            deaf.assumes &= ~(uint32_t)NP_ASSUMES_ANSWER_TO_SOURCE;
            if (deaf.assumes != o.assumes && judge_advice(&p, &deaf, &failed))
                complain(&c, "answer to source", "no", "yes", hosts[0][i], hosts[1][k]);
        }
    }
    finish(&c);
}

static int32_t swapped(int32_t first)
{
    return first == NP_FIRST_OURS ? NP_FIRST_THEIRS : (first == NP_FIRST_THEIRS ? NP_FIRST_OURS : first);
}

static bool is_mirrored(const np_profile *ours, const np_profile *theirs)
{
    np_outlook_result o = judged(ours, theirs), back = judged(theirs, ours);
    back.first = swapped(back.first);
    return memcmp(&o, &back, sizeof o) == 0;
}

static void swapped_it_is_the_same(void **state)
{
    complaints c = {0};
    (void)state;
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned k = 0; k < host_count; k++) {
            assert_int_equal(seen[i][k], seen[k][i]); /* packets do not care either */
            if (!is_mirrored(&hosts[0][i]->profile, &hosts[1][k]->profile) ||
                !is_mirrored(&with_trap[0][i], &with_trap[1][k]))
                complain(&c, "swapped", "the same", "something else", hosts[0][i], hosts[1][k]);
        }
    }
    finish(&c);
}

/* ---- What is not known ------------------------------------------------------------------------------------------ */

/* One way of knowing less of a host: 0 means that nothing is left out. */
typedef struct lack {
    unsigned mapping;   /* 1: only that it depends; 2: all */
    unsigned filtering; /* the same */
    bool ips, address, family;
} lack;

static bool is_dependent(int32_t behaviour)
{
    return behaviour == NP_BEHAVIOUR_ADDRESS_DEPENDENT || behaviour == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
}

static int32_t blurred(int32_t behaviour, unsigned how)
{
    if (how == 1 && is_dependent(behaviour))
        return NP_BEHAVIOUR_ENDPOINT_DEPENDENT;
    return how == 2 ? NP_BEHAVIOUR_UNKNOWN : behaviour;
}

static np_profile without(const np_profile *p, const lack *l)
{
    np_profile less = *p;
    less.mapping = blurred(p->mapping, l->mapping);
    less.filtering = blurred(p->filtering, l->filtering);
    if (l->ips)
        less.external_ips = 0;
    if (l->address || l->family)
        memset(less.external_ip, 0, sizeof less.external_ip);
    if (l->address || l->family)
        less.external_port = 0;
    if (l->family)
        less.family = NP_FAMILY_ANY;
    return less;
}

static lack lack_of(unsigned number)
{
    return (lack){.mapping = number % 3,
                  .filtering = number / 3 % 3,
                  .ips = number / 9 % 2 != 0,
                  .address = number / 18 == 1,
                  .family = number / 18 == 2};
}

#define LACKS 54U

/* ---- Looks: what a peer can see of a host. Hosts that look the same are one ---- */

typedef struct look {
    np_profile profile;
    int32_t trap;     /* as measured; part of the key only where it is asked for */
    unsigned example; /* the first host that looks so */
} look;

typedef struct looks {
    look look[LOOKS_MAX];
    unsigned count;
    unsigned of[HOST_KINDS];
} looks;

/* No rule asks for more of a profile. */
static np_profile essence(const np_profile *p)
{
    np_profile e = {.mapping = p->mapping, .filtering = p->filtering, .family = p->family};
    e.udp_blocked = p->udp_blocked;
    e.external_ips = p->external_ips > 1 ? 2 : p->external_ips;
    e.measured_at = p->measured_at;
    e.filtering_proven = 1;
    return e;
}

static void find_looks(looks *l, bool by_trap)
{
    l->count = 0;
    for (unsigned i = 0; i < host_count; i++) {
        look own = {.profile = essence(&hosts[0][i]->profile), .example = i};
        own.trap = by_trap ? with_trap[0][i].refused_takes_port : NP_TRISTATE_UNKNOWN;
        unsigned n = 0;
        while (n < l->count &&
               (memcmp(&l->look[n].profile, &own.profile, sizeof own.profile) != 0 || l->look[n].trap != own.trap))
            n++;
        assert_true(n < LOOKS_MAX);
        if (n == l->count)
            l->look[l->count++] = own;
        l->of[i] = n;
    }
}

static void looks_decide(void **state)
{
    looks l;
    (void)state;
    find_looks(&l, false);
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned k = 0; k < host_count; k++)
            assert_int_equal(seen[i][k], seen[l.look[l.of[i]].example][l.look[l.of[k]].example]);
    }
}

/* ---- Partial knowledge, and every look that it may be ---- */

typedef struct partial {
    np_profile known;
    uint64_t may_be; /* one bit for each look */
} partial;

typedef struct partials {
    partial partial[PARTIALS_MAX];
    unsigned count;
} partials;

static void add_partial(partials *list, const np_profile *known, unsigned of_look)
{
    unsigned n = 0;
    while (n < list->count && memcmp(&list->partial[n].known, known, sizeof *known) != 0)
        n++;
    assert_true(n < PARTIALS_MAX);
    if (n == list->count)
        list->partial[list->count++] = (partial){.known = *known};
    list->partial[n].may_be |= UINT64_C(1) << of_look;
}

/* The same address for all looks of a side and a family: that of its first host. */
static np_profile with_address(const looks *l, unsigned side, unsigned n)
{
    np_profile p = l->look[n].profile;
    for (unsigned i = 0; i < host_count; i++) {
        const np_profile *other = &hosts[side][i]->profile;
        if (p.udp_blocked != 0 || other->family != p.family || other->external_ip[0] == '\0')
            continue;
        memcpy(p.external_ip, other->external_ip, sizeof p.external_ip);
        p.external_port = other->external_port;
        return p;
    }
    return p;
}

static void find_partials(partials *list, const looks *l, unsigned side)
{
    list->count = 0;
    for (unsigned n = 0; n < l->count; n++) {
        np_profile whole = with_address(l, side, n);
        for (unsigned i = 0; i < LACKS; i++) {
            lack lacking = lack_of(i);
            np_profile less = without(&whole, &lacking);
            add_partial(list, &less, n);
        }
    }
}

typedef struct bounds {
    int32_t best, worst;
} bounds;

/* What packets do between any two that these may be. */
static bounds bounds_of(const looks *l, const partial *ours, const partial *theirs)
{
    bounds b = {INT32_MAX, 0};
    for (unsigned i = 0; i < l->count; i++) {
        for (unsigned k = 0; (ours->may_be >> i & 1) != 0 && k < l->count; k++) {
            int32_t class = seen[l->look[i].example][l->look[k].example];
            if ((theirs->may_be >> k & 1) == 0)
                continue;
            b.best = class < b.best ? class : b.best;
            b.worst = class > b.worst ? class : b.worst;
        }
    }
    /* Behind one NAT that sends nothing back inside nothing arrives: see neighbours(). */
    if (ours->known.external_ip[0] == '\0' || theirs->known.external_ip[0] == '\0')
        b.worst = NP_OUTLOOK_RELAY;
    return b;
}

static bool is_bounded(const partial *ours, const partial *theirs, bounds wanted)
{
    np_outlook_result o = judged(&ours->known, &theirs->known);
    bool is_known = connects(wanted.best) == connects(wanted.worst);
    int32_t class = is_known ? wanted.worst : NP_OUTLOOK_UNKNOWN;
    bool is_right = o.best == wanted.best && o.worst == wanted.worst && o.outlook == class &&
                    is_mirrored(&ours->known, &theirs->known);
    if (!is_right) {
        char a[NP_PROFILE_TEXT_SIZE], b[NP_PROFILE_TEXT_SIZE];
        assert_int_equal(np_profile_format(&ours->known, a, sizeof a), NP_OK);
        assert_int_equal(np_profile_format(&theirs->known, b, sizeof b), NP_OK);
        print_error("packets: %s to %s, outlook: %s, %s to %s: %s | %s\n", np_outlook_class_name(wanted.best),
                    np_outlook_class_name(wanted.worst), np_outlook_class_name(o.outlook),
                    np_outlook_class_name(o.best), np_outlook_class_name(o.worst), a, b);
    }
    return is_right;
}

/* Every two partial profiles: best and worst are those of all that the two may be, no more and no less. */
static void unknown_is_all_that_it_may_be(void **state)
{
    static partials ours, theirs;
    static looks l;
    unsigned wrong = 0, stride = is_small() ? 23 : 1;
    (void)state;
    find_looks(&l, false);
    find_partials(&ours, &l, 0);
    find_partials(&theirs, &l, 1);
    for (unsigned i = 0; i < ours.count; i++) {
        for (unsigned k = i % stride; k < theirs.count && wrong < 20; k += stride) {
            const partial *a = &ours.partial[i], *b = &theirs.partial[k];
            wrong += !is_bounded(a, b, bounds_of(&l, a, b));
        }
    }
    assert_int_equal(wrong, 0);
}

/* The looks that are left if some of a host's look is not known. */
static uint64_t may_be(const looks *l, unsigned n, const lack *lacking)
{
    np_profile known = without(&l->look[n].profile, lacking);
    uint64_t found = 0;
    for (unsigned i = 0; i < l->count; i++) {
        np_profile other = without(&l->look[i].profile, lacking);
        found |= (uint64_t)(memcmp(&other, &known, sizeof other) == 0) << i;
    }
    return found;
}

/* Could it be worse than the class, or connect where the class does not, if these were otherwise? */
static bool matters(const looks *l, unsigned i, unsigned k, const lack *of_ours, const lack *of_theirs)
{
    partial ours = {.known = {.external_ip = "?"}, .may_be = may_be(l, l->of[i], of_ours)};
    partial theirs = {.known = {.external_ip = "?"}, .may_be = may_be(l, l->of[k], of_theirs)};
    bounds b = bounds_of(l, &ours, &theirs);
    return b.worst != seen[i][k] || connects(b.best) != connects(seen[i][k]);
}

static lack doubt_of_filtering(const host *h)
{
    return (lack){.filtering = h->profile.filtering_proven != 0 ? 0 : 2};
}

static lack doubt_of_ips(const host *h)
{
    return (lack){.ips = h->profile.external_ips == 1};
}

/* Nothing is assumed that does not matter, and nothing that matters is left out. */
static void assumed_is_what_matters(void **state)
{
    static looks l;
    complaints c = {0};
    (void)state;
    find_looks(&l, false);
    for (unsigned i = 0; i < host_count; i++) {
        for (unsigned k = 0; k < host_count; k++) {
            const host *a = hosts[0][i], *b = hosts[1][k];
            np_outlook_result o = judged(&a->profile, &b->profile);
            lack ours = doubt_of_filtering(a), theirs = doubt_of_filtering(b);
            if (matters(&l, i, k, &ours, &theirs) != ((o.assumes & NP_ASSUMES_FILTERING) != 0))
                complain(&c, "filtering", "otherwise", "so", a, b);
            ours = doubt_of_ips(a);
            theirs = doubt_of_ips(b);
            if (matters(&l, i, k, &ours, &theirs) != ((o.assumes & NP_ASSUMES_ONE_IP) != 0))
                complain(&c, "one IP", "otherwise", "so", a, b);
        }
    }
    finish(&c);
}

/* Whatever it is that is not known: if the two connect, they connect by the advice. */
static void advice_holds_for_what_is_unknown(void **state)
{
    static looks l;
    complaints c = {0};
    (void)state;
    find_looks(&l, true);
    for (unsigned i = 0; i < l.count; i++) {
        for (unsigned k = 0; k < l.count; k++) {
            unsigned a = l.look[i].example, b = l.look[k].example;
            pair p = {.side = {hosts[0][a], hosts[1][b]}};
            for (unsigned n = 0; n < 2 * LACKS && connects(seen[a][b]); n++) {
                lack ours = lack_of(n % LACKS), theirs = lack_of(n < LACKS ? 0 : LACKS - 1);
                np_profile less = without(&p.side[0]->profile, &ours), other = without(&p.side[1]->profile, &theirs);
                np_outlook_result o = judged(&less, &other);
                check_advice(&c, &p, &o);
            }
        }
    }
    finish(&c);
}

/* ---- Others ----------------------------------------------------------------------------------------------------- */

/* Two hosts behind the very same NATs: the best that there may be is with hairpinning, the worst without. */
static void neighbours(void **state)
{
    complaints c = {0};
    unsigned count = 0;
    (void)state;
    for (unsigned i = 0; i < host_count; i++) {
        host *other = host_measure_neighbour(hosts[0][i]);
        pair p = {.side = {hosts[0][i], other}, .is_shared = true};
        endpoint a = host_external(&hosts[0][i]->profile), b = host_external(&other->profile);
        if (a.family != 0 && endpoint_same_ip(&a, &b)) {
            np_outlook_result o = judged(&hosts[0][i]->profile, &other->profile);
            int32_t worst = judge_class(&p);
            p.hairpins = true;
            int32_t best = judge_class(&p);
            count++;
            if (o.outlook != NP_OUTLOOK_SAME_NAT)
                complain(&c, "class", "same-nat", np_outlook_class_name(o.outlook), hosts[0][i], other);
            if (o.worst != worst)
                complain(&c, "worst", np_outlook_class_name(worst), np_outlook_class_name(o.worst), hosts[0][i], other);
            if (o.best != best)
                complain(&c, "best", np_outlook_class_name(best), np_outlook_class_name(o.best), hosts[0][i], other);
        }
        host_free(other);
    }
    assert_true(count > host_count / 2);
    finish(&c);
}

/* Where both mappings depend, the outlook is relay, even if one guess would do. OUTLOOK.md says that this happens. */
static void one_guess_may_do_where_both_depend(void **state)
{
    static looks l;
    unsigned would_do = 0, would_not = 0;
    (void)state;
    find_looks(&l, false);
    for (unsigned i = 0; i < l.count; i++) {
        for (unsigned k = 0; k < l.count; k++) {
            unsigned a = l.look[i].example, b = l.look[k].example;
            pair p = {.side = {hosts[0][a], hosts[1][b]}};
            bool both = is_dependent(l.look[i].profile.mapping) && is_dependent(l.look[k].profile.mapping);
            if (!both || seen[a][b] != NP_OUTLOOK_RELAY)
                continue;
            if (judge_foreseeing(&p, 0) || judge_foreseeing(&p, 1))
                would_do++;
            else
                would_not++;
        }
    }
    assert_int_not_equal(would_do, 0);
    assert_int_not_equal(would_not, 0);
}

/* Some NATs let in more than can be measured: the filter is kept for each inside host. It never lets in less. */
static void more_may_pass_than_can_be_measured(void **state)
{
    static host_kind per_host[HOST_KINDS];
    complaints c = {0};
    (void)state;
    unsigned count = host_kinds_per_host(per_host);
    for (unsigned i = 0; i < count; i++) {
        host *h = host_measure(&per_host[i], 0);
        for (unsigned k = 0; k < host_count; k++) {
            pair p = {.side = {h, hosts[1][k]}};
            np_outlook_result o = judged(&h->profile, &hosts[1][k]->profile);
            int32_t class = judge_class(&p);
            if (class > o.outlook)
                complain(&c, "per host", np_outlook_class_name(class), np_outlook_class_name(o.outlook), h,
                         hosts[1][k]);
            if (connects(o.outlook))
                check_advice(&c, &p, &o);
        }
        host_free(h);
    }
    finish(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_measured_as_they_are),
        cmocka_unit_test(class_is_what_packets_do),
        cmocka_unit_test(advice_leads_to_a_connection),
        cmocka_unit_test(first_is_what_packets_need),
        cmocka_unit_test(swapped_it_is_the_same),
        cmocka_unit_test(looks_decide),
        cmocka_unit_test(unknown_is_all_that_it_may_be),
        cmocka_unit_test(assumed_is_what_matters),
        cmocka_unit_test(advice_holds_for_what_is_unknown),
        cmocka_unit_test(neighbours),
        cmocka_unit_test(one_guess_may_do_where_both_depend),
        cmocka_unit_test(more_may_pass_than_can_be_measured),
    };
    return cmocka_run_group_tests_name("outlook", tests, set_up, tear_down);
}
