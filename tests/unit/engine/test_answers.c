/* SPDX-License-Identifier: MIT */
/* answers: what one answer says of the server, the path and the NAT, and what a second one says of the first. */
#include "engine/answers.h"

#include "build.h"

#define RTT_MS 20
#define BOTH (NPI_STUN_CHANGE_IP | NPI_STUN_CHANGE_PORT)

/* ---- Answers by hand -------------------------------------------------------------------------------------------- */

static npi_stun_response success(npi_addr mapped)
{
    return (npi_stun_response){.kind = NPI_STUN_SUCCESS, .mapped = mapped};
}

static npi_stun_response failure(npi_stun_kind kind)
{
    return (npi_stun_response){.kind = kind, .error_code = 500};
}

/* An answer from where the request went, or from another address, at a time. */
static npi_taken take_from(build *b, npi_trial *t, npi_exchange *x, npi_stun_response r, uint64_t at_ns, npi_addr from)
{
    npi_answer a = {.origin = {&b->servers[t != NULL ? t->server : 0], t, x}, .from = from, .response = r};
    build_now(b, at_ns);
    return npi_answers_take(&b->f, &a);
}

static npi_taken take(build *b, npi_trial *t, npi_exchange *x, npi_stun_response r, uint64_t at_ns)
{
    return take_from(b, t, x, r, at_ns, x->to);
}

/* A server that was asked at T0 in one copy, and has a trial. */
static npi_server *asked(build *b, npi_trial **t)
{
    build_init(b);
    npi_server *s = build_asked_server(b);
    *t = build_trial(b, s);
    build_send(&s->x[NPI_PRIMARY], T0);
    s->x[NPI_PRIMARY].local = build_local();
    return s;
}

/* The same, and it has answered and named its second address. */
static npi_server *heard(build *b, npi_trial **t)
{
    npi_server *s = asked(b, t);
    npi_stun_response r = success(build_external(1));
    r.other = build_b(0, BUILD_Q);
    take(b, NULL, &s->x[NPI_PRIMARY], r, AT(RTT_MS));
    return s;
}

/* ---- Where it came from ----------------------------------------------------------------------------------------- */

static void a_plain_request_is_answered_from_where_it_went(void **state)
{
    (void)state;
    npi_exchange x;
    npi_addr to = build_a(0, BUILD_P);
    npi_addr other_port = build_a(0, BUILD_Q);
    npi_addr other_ip = build_b(0, BUILD_P);
    npi_exchange_init(&x, "I", 0, &to, 0, 1);
    EXPECT("from there", npi_answers_is_from_destination(&x, &to));
    EXPECT("not from another port", !npi_answers_is_from_destination(&x, &other_port));
    EXPECT("not from another address", !npi_answers_is_from_destination(&x, &other_ip));
    npi_exchange_init(&x, "II", 0, &to, NPI_STUN_CHANGE_PORT, 1);
    EXPECT("CHANGE-REQUEST is answered from anywhere", npi_answers_is_from_destination(&x, &other_ip));
}

static void a_stray_is_a_sign_only_with_an_id_or_from_a_server(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool has_id, is_started;
        npi_addr from;
        bool sign;
    } rows[] = {
        {"with the id of a request, from anywhere", true, true, {NPI_IPV4, {9, 9, 9, 9}, 9, 0}, true},
        {"from a server that was asked", false, true, {NPI_IPV4, {198, 51, 100, 10}, BUILD_P, 0}, true},
        {"from a server that was not asked", false, false, {NPI_IPV4, {198, 51, 100, 10}, BUILD_P, 0}, false},
        {"from another port of it", false, true, {NPI_IPV4, {198, 51, 100, 10}, BUILD_Q, 0}, false},
        {"from anybody else", false, true, {NPI_IPV4, {9, 9, 9, 9}, BUILD_P, 0}, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        build_init(&b);
        build_server(&b)->contact = rows[i].is_started ? NPI_ASKED : NPI_NOT_ASKED;
        npi_answers_note_stray(&b.f, rows[i].has_id ? &b.servers[0].x[0] : NULL, &rows[i].from);
        EXPECT_EQUAL(rows[i].says, b.f.any_unusable, rows[i].sign);
        EXPECT("What has an id is an answer from elsewhere.", npi_addr_is_set(&b.f.elsewhere) == rows[i].has_id);
        if (rows[i].has_id)
            npi_answers_note_stray(&b.f, &b.servers[0].x[0], &rows[1].from);
        EXPECT("The first of them is told.", !rows[i].has_id || npi_addr_equal(&b.f.elsewhere, &rows[i].from));
        b.f.any_unusable = true;
        npi_answers_note_stray(&b.f, NULL, &rows[0].from);
        EXPECT("A sign stays one.", b.f.any_unusable);
    }
}

/* ---- The first answer ------------------------------------------------------------------------------------------- */

static void the_first_answer_shows_the_source_socket_the_server_and_the_path(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = asked(&b, &t);
    npi_addr external = build_external(1);
    npi_addr local = build_local();
    EXPECT_EQUAL("It is taken.", take(&b, NULL, &s->x[NPI_PRIMARY], success(external), AT(RTT_MS)), NPI_TAKEN);
    EXPECT_EQUAL("A plain request was answered.", b.f.evidence, NP_EVIDENCE_ANSWERED);
    EXPECT("A:P sees the external address.", s->has_mapping && npi_addr_equal(&s->observed.external, &external));
    EXPECT("It is A:P that sees it.", npi_addr_equal(&s->observed.destination, &s->address));
    EXPECT("The answer came to the local address.", npi_addr_equal(&s->observed.local, &local));
    EXPECT_TIME("It left then.", s->first.first_ns, T0);
    EXPECT_TIME("And was heard then.", s->first.heard_ns, AT(RTT_MS));
    EXPECT_TIME("That is all there is.", s->latest.heard_ns, AT(RTT_MS));
    EXPECT_GAP("That is the round trip.", s->rtt.smoothed_ns, RTT_MS * NPI_MS);
    EXPECT("Nothing is wrong with it.", !s->failed && !b.f.any_unusable && !b.f.duplicated);
    EXPECT_EQUAL("It names no second address.", s->alternate_state, NPI_ALTERNATE_NONE);
}

static const struct {
    const char *says;
    npi_addr other;
    npi_alternate_state state;
    uint32_t evidence;
} alternates[] = {
    {"Both address and port differ.",
     {NPI_IPV4, {203, 0, 113, 10}, BUILD_Q, 0},
     NPI_ALTERNATE_KNOWN,
     NP_EVIDENCE_ALTERNATE},
    {"None is named.", {NPI_FAMILY_NONE, {0}, 0, 0}, NPI_ALTERNATE_NONE, 0},
    {"The address is the same.",
     {NPI_IPV4, {198, 51, 100, 10}, BUILD_Q, 0},
     NPI_ALTERNATE_NONE,
     NP_EVIDENCE_ALTERNATE_REFUSED},
    {"The port is the same.",
     {NPI_IPV4, {203, 0, 113, 10}, BUILD_P, 0},
     NPI_ALTERNATE_NONE,
     NP_EVIDENCE_ALTERNATE_REFUSED},
    {"A public server may not point into a private network.",
     {NPI_IPV4, {10, 0, 0, 1}, BUILD_Q, 0},
     NPI_ALTERNATE_NONE,
     NP_EVIDENCE_ALTERNATE_REFUSED},
};

static void the_second_address_is_that_of_the_first_answer_that_could_name_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(alternates); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = asked(&b, &t);
        npi_stun_response r = success(build_external(1));
        r.other = alternates[i].other;
        take(&b, NULL, &s->x[NPI_PRIMARY], r, AT(RTT_MS));
        EXPECT_EQUAL(alternates[i].says, s->alternate_state, alternates[i].state);
        EXPECT_EQUAL(alternates[i].says, b.f.evidence, NP_EVIDENCE_ANSWERED | alternates[i].evidence);
        if (alternates[i].state == NPI_ALTERNATE_KNOWN)
            EXPECT(alternates[i].says, npi_addr_equal(&s->alternate, &alternates[i].other));
        build_send(&s->x[NPI_RECHECK], AT(30));
        r.other = build_b(5, BUILD_Q);
        take(&b, NULL, &s->x[NPI_RECHECK], r, AT(50));
        EXPECT_EQUAL("It never changes after.", s->alternate_state, alternates[i].state);
        EXPECT("Nor does the address.", !npi_addr_equal(&s->alternate, &r.other));
    }
}

/* A server on a link cannot tell on which interface of this host the link is. */
static void the_second_address_is_on_the_link_of_the_first(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = asked(&b, &t);
    npi_stun_response r = success(build_external(1));
    s->address = (npi_addr){.family = NPI_IPV6, .ip = {0xfe, 0x80, [15] = 1}, .port = BUILD_P, .scope = 3};
    r.other = (npi_addr){.family = NPI_IPV6, .ip = {0xfe, 0x80, [15] = 2}, .port = BUILD_Q};
    s->x[NPI_PRIMARY].to = s->address;
    take(&b, NULL, &s->x[NPI_PRIMARY], r, AT(RTT_MS));
    EXPECT_EQUAL("It may be asked.", s->alternate_state, NPI_ALTERNATE_KNOWN);
    EXPECT_EQUAL("It is sent to on the same interface.", s->alternate.scope, 3);
}

static void only_a_p_names_the_second_address_from_whatever_socket(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = asked(&b, &t);
    npi_stun_response r = success(build_external(7));
    r.other = build_b(0, BUILD_Q);
    build_send(&t->filtering.x[NPI_F_I], T0);
    take(&b, t, &t->filtering.x[NPI_F_I], r, AT(RTT_MS));
    EXPECT_EQUAL("It answers the filtering socket as well.", s->alternate_state, NPI_ALTERNATE_KNOWN);
    EXPECT("What it sees there is not the source socket.", !s->has_mapping);
    s->alternate_state = NPI_ALTERNATE_UNKNOWN;
    build_send(build_ask(&b, t, NPI_M_BP), AT(30));
    take(&b, t, &t->control.x[NPI_M_BP], r, AT(50));
    EXPECT_EQUAL("B:P is not asked for it.", s->alternate_state, NPI_ALTERNATE_UNKNOWN);
}

static void the_old_form_is_kept_to_where_only_that_was_answered(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = asked(&b, &t);
    build_send(&s->x[NPI_RFC3489], AT(800));
    take(&b, NULL, &s->x[NPI_RFC3489], success(build_external(1)), AT(820));
    EXPECT_EQUAL("It answers the old form only.", s->dialect, NPI_STUN_RFC3489);
    EXPECT_EQUAL("That is told.", b.f.evidence, NP_EVIDENCE_ANSWERED | NP_EVIDENCE_CLASSIC);
    s = heard(&b, &t);
    build_send(&s->x[NPI_RFC3489], AT(30));
    take(&b, NULL, &s->x[NPI_RFC3489], success(build_external(1)), AT(50));
    EXPECT_EQUAL("It has answered the new form before.", s->dialect, NPI_STUN_RFC8489);
    EXPECT_EQUAL("Nothing is told.", b.f.evidence & NP_EVIDENCE_CLASSIC, 0);
}

static void an_address_that_was_rewritten_is_told(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = asked(&b, &t);
    npi_stun_response r = success(build_external(1));
    r.address_rewritten = true;
    take(&b, NULL, &s->x[NPI_PRIMARY], r, AT(RTT_MS));
    EXPECT_EQUAL("RFC 5780 section 4.6", b.f.evidence, NP_EVIDENCE_ANSWERED | NP_EVIDENCE_ALG);
}

/* ---- What cannot be used ---------------------------------------------------------------------------------------- */

/* What an address is worth as evidence: as the source socket's external one, told by A:P. */
typedef enum worth { CREDIBLE, IMPOSSIBLE, UNTRANSLATED, PROXIED, TRANSLATED } worth;

static const struct {
    const char *says;
    const char *server, *local, *mapped; /* local NULL: the answer's local address is not known */
    worth worth;
} sights[] = {
    /* Servers on the internet. */
    {"A global address is credible.", "9.9.9.9", "10.0.0.7", "9.8.7.6", CREDIBLE},
    {"Also the host's own.", "9.9.9.9", "9.8.7.6", "9.8.7.6", CREDIBLE},
    {"This host's private address: no NAT on the way to that server, which says nothing of the internet.", "9.9.9.9",
     "10.0.0.7", "10.0.0.7", UNTRANSLATED},
    {"Of shared space as well.", "9.9.9.9", "100.64.1.2", "100.64.1.2", UNTRANSLATED},
    {"Somebody else's private address: a router or a balancer stands between.", "9.9.9.9", "10.0.0.7", "192.168.1.1",
     PROXIED},
    {"Of shared space as well.", "9.9.9.9", "10.0.0.7", "100.64.0.1", PROXIED},
    {"A link-local one as well.", "9.9.9.9", "10.0.0.7", "169.254.1.1", PROXIED},
    {"A loopback one as well.", "9.9.9.9", "10.0.0.7", "127.0.0.1", PROXIED},
    {"A host with a global address as well.", "9.9.9.9", "9.8.7.6", "10.42.0.7", PROXIED},
    {"Without a local address it is nobody's own.", "9.9.9.9", NULL, "10.0.0.7", PROXIED},
    {"Nobody has a group's address.", "9.9.9.9", "10.0.0.7", "224.0.0.1", IMPOSSIBLE},
    {"Nobody has a reserved one.", "9.9.9.9", "10.0.0.7", "240.0.0.1", IMPOSSIBLE},
    {"Nobody has 0.0.0.0.", "9.9.9.9", "10.0.0.7", "0.0.0.0", IMPOSSIBLE},
    {"None at all is none.", "9.9.9.9", "10.0.0.7", "", IMPOSSIBLE},
    {"In IPv6 a global address is credible.", "2606:4700::1", "fd00::7", "2a00::5", CREDIBLE},
    {"In IPv6 this host's unique local address is no NAT's.", "2606:4700::1", "fd00::7", "fd00::7", UNTRANSLATED},
    {"Somebody else's is.", "2606:4700::1", "2a00::5", "fd00::9", PROXIED},
    {"A link-local one as well.", "2606:4700::1", "2a00::5", "fe80::9", PROXIED},
    {"A loopback one as well.", "2606:4700::1", "2a00::5", "::1", PROXIED},
    {"Nobody has an IPv6 group's address.", "2606:4700::1", "2a00::5", "ff02::1", IMPOSSIBLE},

    /* Between the families. */
    {"Behind NAT64 an IPv6 socket is seen at an IPv4 address.", "64:ff9b::909:909", "2a00::5", "9.8.7.6", TRANSLATED},
    {"A private one is none that a NAT64 has.", "64:ff9b::909:909", "2a00::5", "10.0.0.7", IMPOSSIBLE},
    {"Nor is a group's.", "64:ff9b::909:909", "2a00::5", "224.0.0.1", IMPOSSIBLE},
    {"Nobody sees an IPv4 socket at an IPv6 address.", "9.9.9.9", "10.0.0.7", "2a00::5", IMPOSSIBLE},

    /* Documentation and benchmark ranges stand for global ones, unless this host has such an address too. */
    {"A documentation address stands for a global one.", "198.51.100.10", "10.0.0.7", "203.0.113.5", CREDIBLE},
    {"It cannot see this host's private address.", "198.51.100.10", "10.0.0.7", "10.0.0.7", UNTRANSLATED},
    {"Nor anybody else's.", "198.51.100.10", "10.0.0.7", "192.168.1.1", PROXIED},
    {"Nor without a local address.", "198.51.100.10", NULL, "192.168.1.1", PROXIED},
    {"Nor one of benchmarks.", "198.18.0.1", "10.0.0.7", "192.168.1.1", PROXIED},
    {"Where this host has one too the whole network is a test.", "198.51.100.10", "203.0.113.5", "192.168.1.1",
     CREDIBLE},
    {"But no loopback of somebody else.", "198.51.100.10", "203.0.113.5", "127.0.0.1", IMPOSSIBLE},
    {"A host with a documentation address and a server with a global one are no test.", "9.9.9.9", "203.0.113.5",
     "192.168.1.1", PROXIED},
    {"In IPv6 it is the same.", "2001:db8::10", "fd00::7", "fd00::9", PROXIED},
    {"And within a test.", "2001:db8::10", "2001:db8::7", "fd00::9", CREDIBLE},

    /* Servers elsewhere. */
    {"A private server sees private addresses.", "10.1.1.1", "10.0.0.7", "192.168.1.1", CREDIBLE},
    {"Also this host's own: no NAT, and the whole truth there.", "10.1.1.1", "10.0.0.7", "10.0.0.7", CREDIBLE},
    {"And global ones.", "10.1.1.1", "10.0.0.7", "9.8.7.6", CREDIBLE},
    {"It sees no loopback of somebody else.", "10.1.1.1", "10.0.0.7", "127.0.0.1", IMPOSSIBLE},
    {"Nor a link-local address.", "10.1.1.1", "10.0.0.7", "169.254.1.1", IMPOSSIBLE},
    {"Nor a group's.", "10.1.1.1", "10.0.0.7", "224.0.0.1", IMPOSSIBLE},
    {"A server here sees addresses here.", "127.0.0.1", "10.0.0.7", "127.0.0.2", CREDIBLE},
    {"And a private one.", "127.0.0.1", "127.0.0.1", "192.168.1.1", CREDIBLE},
    {"A server on the link sees link-local addresses.", "fe80::1", "fe80::7", "fe80::9", CREDIBLE},
    {"But no loopback.", "fe80::1", "fe80::7", "::1", IMPOSSIBLE},
};

static npi_addr address_of(const char *text, uint16_t port)
{
    npi_addr a = {.family = NPI_FAMILY_NONE};
    if (text == NULL || text[0] == '\0')
        return a;
    assert_true(npi_addr_parse_ip(text, &a));
    a.port = port;
    return a;
}

static npi_server *asked_at(build *b, const char *server, const char *local)
{
    build_init(b);
    npi_server *s = build_server(b);
    s->address = address_of(server, BUILD_P);
    s->contact = NPI_HAS_ANSWERED;
    npi_exchange_ask(&s->x[NPI_PRIMARY], "I", &s->address, 0, 1);
    build_send(&s->x[NPI_PRIMARY], T0);
    s->x[NPI_PRIMARY].local = address_of(local, 5000);
    return s;
}

static void an_address_that_the_server_cannot_have_seen_is_no_evidence(void **state)
{
    (void)state;
    static const uint32_t evidence[] = {[CREDIBLE] = NP_EVIDENCE_ANSWERED,
                                        [IMPOSSIBLE] = NP_EVIDENCE_MALFORMED,
                                        [UNTRANSLATED] = 0,
                                        [PROXIED] = NP_EVIDENCE_PROXIED,
                                        [TRANSLATED] = NP_EVIDENCE_ANSWERED | NP_EVIDENCE_TRANSLATED};
    for (size_t i = 0; i < COUNT(sights); i++) {
        static build b;
        const char *says = sights[i].says;
        npi_server *s = asked_at(&b, sights[i].server, sights[i].local);
        npi_addr mapped = address_of(sights[i].mapped, 1);
        bool credible = sights[i].worth == CREDIBLE || sights[i].worth == TRANSLATED;
        EXPECT_EQUAL(says, take(&b, NULL, &s->x[NPI_PRIMARY], success(mapped), AT(1)), NPI_TAKEN);
        EXPECT_EQUAL(says, s->has_mapping, credible);
        EXPECT_EQUAL(says, s->failed, !credible);
        EXPECT_EQUAL(says, s->x[NPI_PRIMARY].failed, !credible);
        EXPECT_EQUAL(says, npi_addr_is_set(&s->x[NPI_PRIMARY].external), credible);
        EXPECT_EQUAL(says, b.f.any_unusable, !credible);
        EXPECT_EQUAL(says, b.f.any_untranslated, sights[i].worth == UNTRANSLATED);
        EXPECT_EQUAL(says, b.f.evidence, evidence[sights[i].worth]);
        EXPECT_EQUAL("The round trip is known all the same.", s->rtt.samples, 1);
    }
}

static void the_second_address_may_be_translated_for_as_well(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = heard(&b, &t);
    uint32_t before = b.f.evidence;
    npi_exchange *x = build_ask(&b, t, NPI_M_BP);
    build_send(x, AT(30));
    take(&b, t, x, success(npi_addr_v4(192, 168, 1, 1, 1)), AT(50));
    EXPECT("That request is over, and the server goes on.", x->failed && !s->failed && !npi_addr_is_set(&x->external));
    EXPECT_EQUAL("That is told.", b.f.evidence, before | NP_EVIDENCE_PROXIED);
}

static void an_error_ends_what_it_answers(void **state)
{
    (void)state;
    static build b;
    static const npi_stun_kind kinds[] = {NPI_STUN_ERROR, NPI_STUN_UNUSABLE};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        npi_trial *t;
        npi_server *s = asked(&b, &t);
        take(&b, NULL, &s->x[NPI_PRIMARY], failure(kinds[i]), AT(RTT_MS));
        EXPECT("From A:P: of the server nothing more is expected.", s->failed && s->x[NPI_PRIMARY].failed);
        EXPECT("It saw nothing.", !s->has_mapping && s->alternate_state == NPI_ALTERNATE_UNKNOWN);
        const bool is_error = kinds[i] == NPI_STUN_ERROR;
        EXPECT_EQUAL("That is told.", b.f.evidence, is_error ? 0 : NP_EVIDENCE_MALFORMED);
        EXPECT_EQUAL("An error says which.", b.f.stun_error, is_error ? 500 : 0);
        EXPECT_EQUAL("The round trip is known all the same.", s->rtt.samples, 1);
        s = heard(&b, &t);
        uint32_t before = b.f.evidence;
        build_send(build_ask(&b, t, NPI_M_BQ), AT(30));
        take(&b, t, &t->control.x[NPI_M_BQ], failure(kinds[i]), AT(50));
        EXPECT("From B:Q: that request is over.", t->control.x[NPI_M_BQ].failed);
        EXPECT("The server goes on.", !s->failed);
        EXPECT_EQUAL("Nothing is told.", b.f.evidence, before);
    }
}

/* ---- The mapping phase's answers -------------------------------------------------------------------------------- */

static void an_answer_from_the_second_address_shows_that_it_lives(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        int index;
        npi_phase phase;
        bool alive;
    } rows[] = {
        {"B:P is at the second address.", NPI_M_BP, NPI_PHASE_MAPPING, true},
        {"B:Q is.", NPI_M_BQ, NPI_PHASE_MAPPING, true},
        {"A:Q is not.", NPI_M_AQ, NPI_PHASE_MAPPING, false},
        {"An answer behind the end of its trial comes too late.", NPI_M_BP, NPI_PHASE_DONE, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = heard(&b, &t);
        t->phase = rows[i].phase;
        npi_exchange *x = build_ask(&b, t, rows[i].index);
        npi_addr external = build_external(9);
        build_send(x, AT(30));
        EXPECT_EQUAL("Another address is no change of A:P's.", take(&b, t, x, success(external), AT(75)), NPI_TAKEN);
        EXPECT_EQUAL(rows[i].says, (b.f.evidence & NP_EVIDENCE_ALTERNATE_ALIVE) != 0, rows[i].alive);
        EXPECT("What it saw is kept.", npi_addr_equal(&x->external, &external));
        build_send(x, AT(80));
        take(&b, t, x, success(external), AT(125));
        EXPECT_TIME("With when the last copy left that the first answer can be for.", x->last_copy_ns, AT(30));
        EXPECT_GAP("Its round trip is another than A:P's.", t->alternate_rtt.smoothed_ns, 45 * NPI_MS);
        EXPECT_EQUAL("A:P's is untouched.", s->rtt.samples, 1);
    }
}

/* ---- A second answer -------------------------------------------------------------------------------------------- */

typedef enum said { ADDRESS, OTHER_ADDRESS, LOOPBACK, ERROR } said;

static npi_stun_response say(said what)
{
    if (what == LOOPBACK)
        return success(npi_addr_v4(127, 0, 0, 1, 1));
    return what == ERROR ? failure(NPI_STUN_ERROR) : success(build_external(what == ADDRESS ? 1 : 2));
}

static const struct {
    const char *says;
    said first, second;
    unsigned copies; /* of the request */
    npi_taken taken;
    bool contradiction;
    bool has_mapping;
    bool failed;
} pairs[] = {
    {"To two copies the same twice.", ADDRESS, ADDRESS, 2, NPI_TAKEN, false, true, false},
    {"To one copy the same twice: a duplicate.", ADDRESS, ADDRESS, 1, NPI_TAKEN, false, true, false},
    {"Two addresses: one of them is forged, or the NAT has changed.", ADDRESS, OTHER_ADDRESS, 2,
     NPI_TAKEN_CONTRADICTION, false, true, false},
    {"The same for one copy: the second one counts for that.", ADDRESS, OTHER_ADDRESS, 1, NPI_TAKEN_CONTRADICTION,
     false, true, false},
    {"A success behind an error is not believed.", ERROR, ADDRESS, 2, NPI_TAKEN, true, false, true},
    {"The same for one copy.", ERROR, ADDRESS, 1, NPI_TAKEN, true, false, true},
    {"An error behind a success: the server cannot be relied on.", ADDRESS, ERROR, 2, NPI_TAKEN, true, true, true},
    {"An error that answers no copy ends nothing.", ADDRESS, ERROR, 1, NPI_TAKEN, true, true, false},
    {"An address that cannot be is as good as an error.", ADDRESS, LOOPBACK, 2, NPI_TAKEN, true, true, true},
    {"Also before it.", LOOPBACK, ADDRESS, 2, NPI_TAKEN, true, false, true},
    {"Two errors agree.", ERROR, ERROR, 2, NPI_TAKEN, false, false, true},
};

static void two_answers_to_one_request_agree_or_one_is_forged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = asked(&b, &t);
        if (pairs[i].copies > 1)
            build_send(&s->x[NPI_PRIMARY], AT(10));
        take(&b, NULL, &s->x[NPI_PRIMARY], say(pairs[i].first), AT(20));
        npi_taken taken = take(&b, NULL, &s->x[NPI_PRIMARY], say(pairs[i].second), AT(30));
        EXPECT_EQUAL(pairs[i].says, taken, pairs[i].taken);
        EXPECT_EQUAL(pairs[i].says, (b.f.evidence & NP_EVIDENCE_CONTRADICTION) != 0, pairs[i].contradiction);
        EXPECT_EQUAL(pairs[i].says, s->has_mapping, pairs[i].has_mapping);
        EXPECT_EQUAL(pairs[i].says, s->failed, pairs[i].failed);
        EXPECT_EQUAL("More answers than copies are duplicates.", b.f.duplicated, pairs[i].copies == 1);
        EXPECT_EQUAL("Two answers are no habit.", s->repeats, false);
    }
}

/* ---- The external address over time ----------------------------------------------------------------------------- */

static void a_p_sees_the_same_again_or_the_address_has_changed(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = heard(&b, &t);
    npi_exchange *again = &s->x[NPI_RECHECK];
    build_send(again, AT(100));
    build_send(again, AT(110));
    EXPECT_EQUAL("the same", take(&b, NULL, again, success(build_external(1)), AT(125)), NPI_TAKEN);
    EXPECT_TIME("The latest view begins with the first copy.", s->latest.first_ns, AT(100));
    EXPECT_TIME("And ends with the last.", s->latest.last_ns, AT(110));
    EXPECT_TIME("And was heard then.", s->latest.heard_ns, AT(125));
    EXPECT_TIME("The first view stays.", s->first.first_ns, T0);
    build_send(&s->x[NPI_PRIMARY], AT(5));
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(130));
    EXPECT_TIME("An older request's answer is no later view.", s->latest.first_ns, AT(100));

    s = heard(&b, &t);
    build_send(&s->x[NPI_PRIMARY], AT(50));
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(70));
    EXPECT_TIME("A later copy of the same request makes no later view: its answer may be the first one's.",
                s->latest.last_ns, T0);

    s = heard(&b, &t);
    build_send(&s->x[NPI_RECHECK], AT(100));
    EXPECT_EQUAL("another", take(&b, NULL, &s->x[NPI_RECHECK], success(build_external(2)), AT(120)),
                 NPI_TAKEN_ADDRESS_CHANGED);
    EXPECT_TIME("No view of the old one.", s->latest.first_ns, T0);

    s = heard(&b, &t);
    build_send(&t->filtering.x[NPI_F_I], AT(100));
    EXPECT_EQUAL("The filtering socket has an address of its own.",
                 take(&b, t, &t->filtering.x[NPI_F_I], success(build_external(2)), AT(120)), NPI_TAKEN);
}

static void a_q_may_stand_for_a_p_again(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        int index;
        uint16_t port;
        bool is_again, is_elsewhere, is_later;
    } rows[] = {
        {"It takes that place, and sees the same: nothing has changed since.", NPI_M_AQ, 1, true, false, true},
        {"It sees another port.", NPI_M_AQ, 2, true, false, false},
        {"Its answer came to another local address.", NPI_M_AQ, 1, true, true, false},
        {"A:P is asked again: that tells.", NPI_M_AQ, 1, false, false, false},
        {"B:P is another address.", NPI_M_BP, 1, true, false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = heard(&b, &t);
        t->control.aq_is_again = rows[i].is_again;
        npi_exchange *x = build_ask(&b, t, rows[i].index);
        build_send(x, AT(100));
        x->local = s->observed.local = build_local();
        if (rows[i].is_elsewhere)
            x->local.ip[3]++;
        take(&b, t, x, success(build_external(rows[i].port)), AT(120));
        EXPECT_TIME(rows[i].says, s->latest.first_ns, rows[i].is_later ? AT(100) : T0);
        EXPECT_TIME(rows[i].says, s->latest.heard_ns, rows[i].is_later ? AT(120) : AT(RTT_MS));
        EXPECT_TIME("The first view stays.", s->first.first_ns, T0);
    }
}

static const struct {
    const char *says;
    bool from_source; /* a control; else a filtering test */
    npi_addr mapped;
    bool error;
    npi_taken taken;
    bool seen; /* as a later view of the source socket */
} changes[] = {
    {"A:P was asked, and tells what it sees, whoever sends the answer.",
     true,
     {NPI_IPV4, {192, 0, 2, 77}, 1, 0},
     false,
     NPI_TAKEN,
     true},
    {"It sees another address now.", true, {NPI_IPV4, {192, 0, 2, 77}, 2, 0}, false, NPI_TAKEN_ADDRESS_CHANGED, false},
    {"What cannot be is not believed.", true, {NPI_IPV4, {127, 0, 0, 1}, 1, 0}, false, NPI_TAKEN, false},
    {"The filtering socket has an address of its own.",
     false,
     {NPI_IPV4, {192, 0, 2, 77}, 2, 0},
     false,
     NPI_TAKEN,
     false},
    {"An error names none.", true, {NPI_FAMILY_NONE, {0}, 0, 0}, true, NPI_TAKEN, false},
};

static void an_answer_to_change_request_tells_what_a_p_sees(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = heard(&b, &t);
        npi_exchange *x = changes[i].from_source ? build_ask(&b, t, NPI_C_II) : &t->filtering.x[NPI_F_II];
        build_send(x, AT(100));
        npi_stun_response r = changes[i].error ? failure(NPI_STUN_ERROR) : success(changes[i].mapped);
        EXPECT_EQUAL(changes[i].says, take_from(&b, t, x, r, AT(120), build_b(0, BUILD_Q)), changes[i].taken);
        EXPECT_TIME(changes[i].says, s->latest.first_ns, changes[i].seen ? AT(100) : T0);
        npi_change outcome = changes[i].from_source ? t->control.ii : t->filtering.ii.outcome;
        EXPECT_EQUAL("It came from B:Q.", outcome, changes[i].error ? NPI_CHANGE_REJECTED : NPI_CHANGE_HONOURED);
        EXPECT("What it says is kept.", changes[i].error || npi_addr_equal(&x->external, &changes[i].mapped));
        EXPECT_TIME("It was answered then.", x->t.answered_ns, AT(120));
        EXPECT_EQUAL("It is no sample of a round trip.", s->rtt.samples, 1);
    }
}

static void an_answer_to_change_request_without_a_copy_is_passed_over(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    heard(&b, &t);
    npi_exchange *x = &t->filtering.x[NPI_F_II];
    npi_addr bq = build_b(0, BUILD_Q);
    build_send(x, AT(30));
    take_from(&b, t, x, success(build_external(3)), AT(50), bq);
    take_from(&b, t, x, success(build_external(4)), AT(51), build_a(0, BUILD_P));
    EXPECT_EQUAL("One copy, two answers: the second is a duplicate, or forged.", t->filtering.ii.outcome,
                 NPI_CHANGE_HONOURED);
    EXPECT_EQUAL("The first one's address is kept.", x->external.port, 3);
    build_send(x, AT(60));
    take_from(&b, t, x, success(build_external(5)), AT(80), bq);
    EXPECT_EQUAL("Also when another copy is answered.", x->external.port, 3);
}

/* ---- The path --------------------------------------------------------------------------------------------------- */

static void with_several_copies_the_round_trip_is_the_nearest_to_what_is_expected(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = asked(&b, &t);
    build_send(&s->x[NPI_PRIMARY], AT(100));
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(130));
    EXPECT_GAP("Nothing is expected: the oldest copy, which can only be too long.", s->rtt.smoothed_ns, 130 * NPI_MS);

    s = asked(&b, &t);
    build_rtt(&s->rtt, 24);
    build_send(&s->x[NPI_PRIMARY], AT(100));
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(132));
    EXPECT_GAP("24 ms are expected: 32 ms fit, and count for an eighth.", s->rtt.smoothed_ns, 25 * NPI_MS);

    s = asked(&b, &t);
    build_rtt(&s->rtt, 100);
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(10));
    EXPECT_GAP("One copy leaves no doubt: what was believed is given up.", s->rtt.smoothed_ns, 10 * NPI_MS);

    s = asked(&b, &t);
    build_rtt(&s->rtt, 100);
    build_send(&s->x[NPI_PRIMARY], AT(5));
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(10));
    EXPECT("Two copies do: it takes more to give it up.", s->rtt.smoothed_ns > 80 * NPI_MS);
}

/* Copies had left for long before the first answer: the path may have woken up, or be slow (filtering.c finds out). */
static void a_first_answer_that_comes_late_is_suspect(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        uint64_t last_ns;
        bool is_known, has_woken;
        bool suspect, sample;
    } rows[] = {
        {"Copies had left for 200 ms.", AT(200), false, false, true, true},
        {"A nanosecond less.", AT_US(199999), false, false, false, true},
        {"The round trip is known.", AT(200), true, false, false, true},
        {"The path has woken up since: what was asked before is no sample.", AT(200), false, true, false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = asked(&b, &t);
        s->woke_ns = rows[i].has_woken ? AT(1) : 0;
        if (rows[i].is_known)
            build_rtt(&s->rtt, 100);
        uint32_t before = s->rtt.samples;
        build_send(&s->x[NPI_PRIMARY], rows[i].last_ns);
        take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(250));
        EXPECT_TIME(rows[i].says, s->suspect_ns, rows[i].suspect ? AT(250) : 0);
        if (rows[i].suspect)
            EXPECT_GAP("From the last copy.", s->suspect_rtt_ns,
                       AT(250) - npi_transaction_last_ns(&s->x[NPI_PRIMARY].t));
        EXPECT_EQUAL(rows[i].says, s->rtt.samples > before, rows[i].sample);
        EXPECT("It shows the external address all the same.", s->has_mapping);
    }
}

/* What came behind a standstill may have waited for its end. */
static void across_a_standstill_there_is_no_round_trip(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    const npi_standstill standstill = {2000 * NPI_MS, AT(15)};
    npi_server *s = asked(&b, &t);
    b.f.standstill = standstill;
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(20));
    EXPECT("Nothing is known of the round trip, and the mapping is.", s->rtt.samples == 0 && s->has_mapping);
    build_send(&s->x[NPI_RECHECK], AT(30));
    take(&b, NULL, &s->x[NPI_RECHECK], success(build_external(1)), AT(50));
    EXPECT_GAP("A request sent behind it has one.", s->rtt.smoothed_ns, 20 * NPI_MS);

    s = asked(&b, &t);
    b.f.standstill = standstill;
    build_rtt(&s->rtt, 100);
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(20));
    EXPECT("Where something is expected it is no sample.",
           s->rtt.samples == 1 && s->rtt.smoothed_ns == 100 * NPI_MS && s->has_mapping);

    static const struct {
        const char *says;
        uint64_t sent_ns, resumed_ns;
        bool across;
    } rows[] = {
        {"There was none.", T0, 0, false},
        {"The copy left before it was over.", T0, AT(15), true},
        {"It left at that moment.", AT(15), AT(15), true},
        {"It left behind it.", AT(15), AT(15) - 1, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        s = heard(&b, &t);
        b.f.standstill = (npi_standstill){2000 * NPI_MS, rows[i].resumed_ns};
        build_send(&s->x[NPI_RECHECK], rows[i].sent_ns);
        take(&b, NULL, &s->x[NPI_RECHECK], success(build_external(1)), AT(30));
        EXPECT_EQUAL(rows[i].says, s->rtt.samples, rows[i].across ? 1 : 2);
    }
}

static const struct {
    const char *says;
    unsigned primary_copies, primary_answers;
    unsigned other_copies, other_answers; /* of the filtering's I */
    bool repeats;
} repeated[] = {
    {"Two answers to one copy happen.", 1, 2, 0, 0, false},
    {"Three do not.", 1, 3, 0, 0, true},
    {"Four answers to two copies are two beyond them.", 2, 4, 0, 0, false},
    {"Five are three beyond them.", 2, 5, 0, 0, true},
    {"Six are three to each.", 2, 6, 0, 0, true},
    {"Six answers to four copies of several requests are half as many again.", 1, 2, 3, 4, true},
    {"Six to five are not.", 1, 2, 4, 4, false},
    {"Five to three are too few to tell.", 1, 2, 2, 3, false},
    {"A request without an answer tells nothing of repeats.", 3, 5, 4, 0, false},
    {"Six to four, of one request alone.", 4, 6, 4, 0, true},
};

static void a_server_repeats_when_too_many_answers_come_to_its_copies(void **state)
{
    static const int others[] = {NPI_F_I, NPI_F_III, NPI_F_II};
    (void)state;
    for (size_t i = 0; i < COUNT(repeated) * COUNT(others); i++) {
        static build b;
        npi_trial *t;
        const size_t row = i / COUNT(others);
        npi_server *s = asked(&b, &t);
        npi_exchange *x = &s->x[NPI_PRIMARY];
        build_send_copies(x, repeated[row].primary_copies - 1, AT(10), 10);
        npi_exchange *other = &t->filtering.x[others[i % COUNT(others)]];
        build_send_copies(other, repeated[row].other_copies, AT(0), 10);
        for (unsigned k = 0; k < repeated[row].other_answers; k++)
            build_answer(other, AT(20 + 5 * k));
        for (unsigned k = 0; k < repeated[row].primary_answers; k++)
            take(&b, NULL, x, success(build_external(1)), AT(50 + 5 * k));
        bool counts = other != &t->filtering.x[NPI_F_II] || repeated[row].other_answers == 0; /* that comes from B */
        EXPECT_EQUAL(repeated[row].says, s->repeats, repeated[row].repeats && counts);
        EXPECT("More came than was sent.", b.f.duplicated);
    }
}

static void answers_to_iii_alone_show_that_a_server_repeats(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = heard(&b, &t);
    npi_exchange *x = &t->filtering.x[NPI_F_III];
    const npi_addr from = npi_server_expected_source(s, x->change);
    build_send(x, AT(30));
    for (unsigned k = 0; k < 3; k++) {
        EXPECT("Fewer than three answers to a copy happen.", !s->repeats);
        take_from(&b, t, x, success(build_external(2)), AT(50 + 5 * k), from);
    }
    EXPECT("Three do not.", s->repeats);
    s = heard(&b, &t);
    x = build_ask(&b, t, NPI_C_III);
    build_send(x, AT(30));
    for (unsigned k = 0; k < 3; k++)
        take_from(&b, t, x, success(build_external(2)), AT(50 + 5 * k), from);
    EXPECT("The control comes too late to tell it.", !s->repeats);
}

/*
 * Where answers get lost as well no more may come than was sent. The primary's copies leave far apart, those of the
 * filtering's I in rounds.
 */
static void duplicates_show_that_a_server_repeats_where_answers_are_lost(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        unsigned copies, gap_ms;
        unsigned pairs;         /* answers that come twice, the second a millisecond behind the first */
        unsigned other_answers; /* to four copies in rounds */
        bool duplicated, repeats;
    } rows[] = {
        {"Two answers at once to copies far apart are one.", 3, 100, 1, 4, true, false},
        {"Of copies nearer to each other both may be answered.", 3, 99, 1, 4, false, false},
        {"Three duplicates among ten answers: the server repeats.", 6, 100, 3, 4, true, true},
        {"Two duplicates may be the path's.", 4, 100, 2, 4, true, false},
        {"Copies in rounds may have been held up together.", 6, 10, 3, 4, false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = asked(&b, &t);
        npi_exchange *x = &s->x[NPI_PRIMARY];
        build_send_copies(x, rows[i].copies - 1, AT(rows[i].gap_ms), rows[i].gap_ms);
        npi_exchange *other = &t->filtering.x[NPI_F_I];
        build_send_copies(other, 4, AT(0), 10);
        build_answer_copies(other, rows[i].other_answers, RTT_MS);
        for (unsigned k = 0; k < rows[i].pairs; k++) {
            take(&b, NULL, x, success(build_external(1)), AT(1000 + 100 * k));
            take(&b, NULL, x, success(build_external(1)), AT(1001 + 100 * k));
        }
        EXPECT_EQUAL(rows[i].says, b.f.duplicated, rows[i].duplicated);
        EXPECT_EQUAL(rows[i].says, s->repeats, rows[i].repeats);
    }
}

static void few_duplicates_among_many_answers_are_the_paths(void **state)
{
    (void)state;
    for (unsigned answers = 6; answers <= 7; answers++) {
        static build b;
        npi_trial *t;
        npi_server *s = asked(&b, &t);
        npi_exchange *x = &s->x[NPI_PRIMARY];
        build_send_copies(x, 5, AT(100), 100);
        npi_exchange *other = &t->filtering.x[NPI_F_I];
        build_send_copies(other, 9, AT(0), 10);
        build_answer_copies(other, answers, RTT_MS);
        for (unsigned k = 0; k < 3; k++) {
            take(&b, NULL, x, success(build_external(1)), AT(1000 + 100 * k));
            take(&b, NULL, x, success(build_external(1)), AT(1001 + 100 * k));
        }
        EXPECT_EQUAL("Three of twelve are one of four, three of thirteen are not.", s->repeats, answers == 6);
        EXPECT_EQUAL("Then it hides losses.", s->hides_losses, answers == 6);
        build_answer(other, AT(2000));
        take(&b, NULL, x, success(build_external(1)), AT(3000));
        EXPECT_EQUAL("It goes on to repeat.", s->repeats, answers == 6);
        EXPECT("Two answers more show that it was the path.", !s->hides_losses);
    }
}

static void a_server_without_a_trial_may_repeat_and_never_stops(void **state)
{
    (void)state;
    static build b;
    build_init(&b);
    npi_exchange *x = &build_asked_server(&b)->x[NPI_PRIMARY];
    build_send(x, T0);
    for (unsigned k = 0; k < 3; k++)
        take(&b, NULL, x, success(build_external(1)), AT(20 + 5 * k));
    EXPECT("Three to one copy.", b.servers[0].repeats);
    build_send_copies(x, 6, AT(40), 10);
    for (unsigned k = 0; k < 7; k++)
        take(&b, NULL, x, success(build_external(1)), AT(120 + k));
    EXPECT("Ten to seven are few, but it has repeated.", b.servers[0].repeats);
}

static void nothing_that_was_told_is_taken_back(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    const uint32_t told = 1u << 30; /* by others, before */
    npi_server *s = asked(&b, &t);
    b.f.evidence = told;
    npi_stun_response r = success(build_external(1));
    r.other = build_b(0, BUILD_Q);
    r.address_rewritten = true;
    take(&b, NULL, &s->x[NPI_PRIMARY], r, AT(20));
    const uint32_t first = told | NP_EVIDENCE_ANSWERED | NP_EVIDENCE_ALTERNATE | NP_EVIDENCE_ALG;
    EXPECT_EQUAL("by the first answer", b.f.evidence, first);
    build_send(build_ask(&b, t, NPI_M_BP), AT(30));
    take(&b, t, &t->control.x[NPI_M_BP], success(build_external(1)), AT(50));
    EXPECT_EQUAL("by B:P's", b.f.evidence, first | NP_EVIDENCE_ALTERNATE_ALIVE);
    build_send(&s->x[NPI_PRIMARY], AT(60));
    take(&b, NULL, &s->x[NPI_PRIMARY], failure(NPI_STUN_ERROR), AT(80));
    EXPECT_EQUAL("by an error", b.f.evidence, first | NP_EVIDENCE_ALTERNATE_ALIVE | NP_EVIDENCE_CONTRADICTION);
}

static void repeats_of_the_mapping_requests_count_and_those_of_change_requests_do_not(void **state)
{
    (void)state;
    for (int is_change = 0; is_change < 2; is_change++) {
        static build b;
        npi_trial *t;
        npi_server *s = heard(&b, &t);
        npi_exchange *x = build_ask(&b, t, is_change ? NPI_C_II : NPI_M_BP);
        build_send_copies(x, 2, AT(30), 10);
        for (unsigned k = 0; k < 4; k++)
            build_answer(x, AT(50 + 5 * k));
        take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(100)); /* 2 to 1, and 4 to 2 */
        EXPECT_EQUAL("Answers to CHANGE-REQUEST are filtered: they tell nothing.", s->repeats, !is_change);
    }
}

/* ---- Servers that work off a queue ------------------------------------------------------------------------------ */

static void answers_that_no_copy_explains_show_a_queue(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = heard(&b, &t);
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    npi_stun_response r = success(build_external(2));
    build_send_copies(x, 8, AT(30), 10); /* until 100 ms */
    take(&b, t, x, r, AT(160));
    EXPECT_EQUAL("60 ms after the last copy: two round trips and 20 ms are not late.", s->late_answers, 0);
    take(&b, t, x, r, AT(240));
    EXPECT_EQUAL("140 ms after it: late.", s->late_answers, 1);
    EXPECT_EQUAL("It is no round trip.", s->rtt.lowest_ns, RTT_MS * NPI_MS);
    take(&b, t, x, r, AT(242));
    EXPECT_EQUAL("Another in a bunch with it: both were held up on the way.", s->late_answers, 0);
    take(&b, t, x, r, AT(320));
    EXPECT("One may have been held up as well.", !npi_server_is_slow(s));
    take(&b, t, x, r, AT(400));
    EXPECT("Two are a queue.", npi_server_is_slow(s));
}

/* It answers I and not III, which a filter keeps out; it is through with three of each. */
static void progress_of_a_queue_tells_what_one_request_takes(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = heard(&b, &t);
    npi_exchange *i = &t->filtering.x[NPI_F_I];
    npi_stun_response r = success(build_external(2));
    build_send_copies(&t->filtering.x[NPI_F_III], 4, AT(29), 10);
    build_send_copies(i, 4, AT(30), 10);
    take(&b, t, i, r, AT(220));
    take(&b, t, i, r, AT(320));
    EXPECT("Two late ones are a queue.", npi_server_is_slow(s));
    EXPECT_GAP("A:P, and two of each.", s->service_ns, (320 - RTT_MS) * NPI_MS / 5);
    EXPECT_TIME("The other four take that as well.", s->clear_ns, AT(320 + 4 * (320 - RTT_MS) / 5));
    take(&b, t, i, r, AT(370));
    EXPECT_GAP("Less is told by an answer right behind the one before.", s->service_ns, 50 * NPI_MS);
    EXPECT_TIME("There are two more.", s->clear_ns, AT(370 + 2 * 50));
    EXPECT_GAP("No round trip: what it takes is the queue's time.", s->rtt.smoothed_ns, RTT_MS * NPI_MS);
}

/* Two requests were answered together, so that the server does not work off one at a time. */
static void a_bunch_after_a_late_start_is_no_queue(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = asked(&b, &t);
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    build_send(&s->x[NPI_PRIMARY], AT(280));
    build_send_copies(x, 4, AT(0), 10);
    take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(300));
    take(&b, t, x, success(build_external(2)), AT(301));
    take(&b, t, x, success(build_external(2)), AT(400));
    take(&b, t, x, success(build_external(2)), AT(500));
    EXPECT_EQUAL("Those that come alone were held up on the way.", s->late_answers, 0);
}

static void only_answers_that_a_gave_show_a_queue(void **state)
{
    enum { FILTERING, MAPPING };
    static const struct {
        const char *sentence;
        int phase, index;
        bool is_late, is_heard;
    } rows[] = {
        {"I to A:P.", FILTERING, NPI_F_I, true, true},
        {"III comes from A as well.", FILTERING, NPI_F_III, true, true},
        {"II comes from B, which may be farther away. A got it, for all that.", FILTERING, NPI_F_II, false, true},
        {"The control is asked late.", MAPPING, NPI_C_III, false, true},
        {"A:Q is another port of A.", MAPPING, NPI_M_AQ, false, true},
        {"B is another host.", MAPPING, NPI_M_BP, false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = heard(&b, &t);
        npi_exchange *x = rows[i].phase == MAPPING ? build_ask(&b, t, rows[i].index) : &t->filtering.x[rows[i].index];
        npi_addr from = x->change != 0 ? npi_server_expected_source(s, x->change) : x->to;
        build_send(x, AT(30));
        take_from(&b, t, x, success(build_external(2)), AT(240), from);
        EXPECT_EQUAL(rows[i].sentence, s->late_answers, rows[i].is_late);
        EXPECT_TIME(rows[i].sentence, s->heard_ns, AT(rows[i].is_heard ? 240 : RTT_MS));
        EXPECT("One answer to one copy is no duplicate.", !b.f.duplicated);
        take_from(&b, t, x, success(build_external(2)), AT(300), from);
        EXPECT_TIME("One answer too many is a duplicate.", s->heard_ns, AT(rows[i].is_heard ? 240 : RTT_MS));
        EXPECT("So there are duplicates, whatever was asked.", b.f.duplicated);
    }
}

static void an_answer_is_not_late_within_the_retransmission_time(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = heard(&b, &t);
    npi_exchange *x = &t->filtering.x[NPI_F_I];
    s->rtt.deviation_ns = 50 * NPI_MS; /* the round trip varies: 220 ms are not unusual */
    build_send_copies(x, 2, AT(100), 10);
    take(&b, t, x, success(build_external(2)), AT(110 + 200));
    EXPECT_EQUAL("200 ms.", s->late_answers, 0);
}

static void a_server_that_answers_again_has_not_fallen_silent(void **state)
{
    (void)state;
    static build b;
    npi_trial *t;
    npi_server *s = heard(&b, &t);
    s->fell_silent = true;
    build_send(build_ask(&b, t, NPI_M_BP), AT(30));
    take(&b, t, &t->control.x[NPI_M_BP], success(build_external(1)), AT(50));
    EXPECT("That B answers does not tell.", s->fell_silent);
    build_send(&t->filtering.x[NPI_F_I], AT(60));
    take(&b, t, &t->filtering.x[NPI_F_I], success(build_external(2)), AT(80));
    EXPECT("That A does, does.", !s->fell_silent);
}

static void after_a_late_start_answers_that_come_one_by_one_show_a_queue(void **state)
{
    static const struct {
        const char *sentence;
        unsigned copies, first_ms, second_ms, third_ms;
        bool is_fresh, is_slow;
    } rows[] = {
        {"Two more, each 50 ms behind the one before: a queue.", 4, 300, 350, 400, false, true},
        {"One of them 49 ms behind it: the copies of a burst, or chance.", 4, 300, 350, 399, false, false},
        {"In one bunch: the path had been silent.", 4, 300, 350, 352, false, false},
        {"The fresh I settles it by itself.", 4, 300, 350, 400, true, false},
        {"The first answer took longer than from a queue.", 4, 900, 950, 1000, false, false},
        {"All of the burst are answered.", 2, 300, 350, 400, false, false},
        {"The burst left 199 ms before the first answer, and could not have been answered with it.", 0, 300, 350, 400,
         false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        static build b;
        npi_trial *t;
        npi_server *s = asked(&b, &t);
        npi_exchange *x = &t->filtering.x[NPI_F_I];
        build_send(&s->x[NPI_PRIMARY], AT(280));
        build_send_copies(x, rows[i].copies > 0 ? rows[i].copies : 4, AT(rows[i].copies > 0 ? 0 : 101), 10);
        if (rows[i].is_fresh)
            t->filtering.late = *x;
        take(&b, NULL, &s->x[NPI_PRIMARY], success(build_external(1)), AT(rows[i].first_ms));
        EXPECT("The first answer is late.", s->suspect_ns == AT(rows[i].first_ms));
        take(&b, t, x, success(build_external(2)), AT(rows[i].second_ms));
        EXPECT(rows[i].sentence, !npi_server_is_slow(s));
        take(&b, t, x, success(build_external(2)), AT(rows[i].third_ms));
        EXPECT_EQUAL(rows[i].sentence, npi_server_is_slow(s), rows[i].is_slow);
        npi_server_woke(s, RTT_MS * NPI_MS);
        EXPECT("If the path was silent at first, none was late.", !npi_server_is_slow(s));
        take(&b, t, x, success(build_external(2)), AT(rows[i].third_ms + 1));
        EXPECT_EQUAL("Nor is one taken back that does not count any more.", s->late_answers, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_answered_from_where_it_went),
        cmocka_unit_test(answers_that_no_copy_explains_show_a_queue),
        cmocka_unit_test(progress_of_a_queue_tells_what_one_request_takes),
        cmocka_unit_test(a_bunch_after_a_late_start_is_no_queue),
        cmocka_unit_test(only_answers_that_a_gave_show_a_queue),
        cmocka_unit_test(an_answer_is_not_late_within_the_retransmission_time),
        cmocka_unit_test(a_server_that_answers_again_has_not_fallen_silent),
        cmocka_unit_test(after_a_late_start_answers_that_come_one_by_one_show_a_queue),
        cmocka_unit_test(a_stray_is_a_sign_only_with_an_id_or_from_a_server),
        cmocka_unit_test(the_first_answer_shows_the_source_socket_the_server_and_the_path),
        cmocka_unit_test(the_second_address_is_that_of_the_first_answer_that_could_name_one),
        cmocka_unit_test(the_second_address_is_on_the_link_of_the_first),
        cmocka_unit_test(only_a_p_names_the_second_address_from_whatever_socket),
        cmocka_unit_test(the_old_form_is_kept_to_where_only_that_was_answered),
        cmocka_unit_test(an_address_that_was_rewritten_is_told),
        cmocka_unit_test(an_address_that_the_server_cannot_have_seen_is_no_evidence),
        cmocka_unit_test(the_second_address_may_be_translated_for_as_well),
        cmocka_unit_test(an_error_ends_what_it_answers),
        cmocka_unit_test(an_answer_from_the_second_address_shows_that_it_lives),
        cmocka_unit_test(two_answers_to_one_request_agree_or_one_is_forged),
        cmocka_unit_test(a_p_sees_the_same_again_or_the_address_has_changed),
        cmocka_unit_test(a_q_may_stand_for_a_p_again),
        cmocka_unit_test(an_answer_to_change_request_tells_what_a_p_sees),
        cmocka_unit_test(an_answer_to_change_request_without_a_copy_is_passed_over),
        cmocka_unit_test(with_several_copies_the_round_trip_is_the_nearest_to_what_is_expected),
        cmocka_unit_test(a_first_answer_that_comes_late_is_suspect),
        cmocka_unit_test(across_a_standstill_there_is_no_round_trip),
        cmocka_unit_test(a_server_repeats_when_too_many_answers_come_to_its_copies),
        cmocka_unit_test(answers_to_iii_alone_show_that_a_server_repeats),
        cmocka_unit_test(duplicates_show_that_a_server_repeats_where_answers_are_lost),
        cmocka_unit_test(few_duplicates_among_many_answers_are_the_paths),
        cmocka_unit_test(a_server_without_a_trial_may_repeat_and_never_stops),
        cmocka_unit_test(nothing_that_was_told_is_taken_back),
        cmocka_unit_test(repeats_of_the_mapping_requests_count_and_those_of_change_requests_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
