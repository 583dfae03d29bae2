/* SPDX-License-Identifier: MIT */
/*
 * Asks the gateway for its external address, and compares it with what servers see. The gateway on the source socket's
 * way to the server is the one that is meant; the driver looks it up.
 */
#include "nat_behind.h"

#include "../natpmp.h"
#include "errand.h"
#include "result.h"

enum { BEGINS, LOOKS_UP, ASKS, IS_OVER };

static bool give_up(npi_facts *f, const char *why)
{
    f->optional.nat_behind.step = IS_OVER;
    npi_log_write(&f->config.log, NP_LOG_INFO, "GATEWAY: %s", why);
    return true;
}

/* ---- Before the question ---------------------------------------------------------------------------------------- */

/* Without an external address there is nothing to compare with, and without a NAT no second one: nobody is asked. */
static bool begin(npi_facts *f, uint64_t *wake_ns)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    npi_observation seen;
    if (!npi_result_observation(f, &seen) || seen.external.family != NPI_IPV4 || seen.local.family != NPI_IPV4)
        return give_up(f, "no server sees an address of IPv4 that could be compared with the gateway's");
    if (npi_classify_is_untranslated(&seen))
        return give_up(f, "there is no NAT");
    t->local = seen.local;
    t->external = seen.external;
    t->towards = seen.destination;
    t->step = LOOKS_UP;
    *wake_ns = f->now_ns;
    return false;
}

/* The system names it, or an administrator did: it may be anything. */
static bool can_be_asked(const npi_addr *gateway)
{
    npi_addr at_port = npi_addr_with_port(gateway, NPI_NATPMP_PORT);
    return gateway->family == NPI_IPV4 && npi_addr_is_destination(&at_port) &&
           npi_addr_classify(gateway) != NPI_CLASS_LOOPBACK;
}

static bool ask(npi_facts *f)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    uint8_t question[NPI_NATPMP_REQUEST_SIZE];
    if (!can_be_asked(&t->gateway))
        return give_up(f, "no gateway is known on the way to the server");
    npi_addr to = npi_addr_with_port(&t->gateway, NPI_NATPMP_PORT);
    npi_natpmp_encode(question);
    t->question = npi_errand_raw(f, "GATEWAY", npi_errand_slot(f), &to, question, sizeof question);
    if (t->question == NULL)
        return give_up(f, "there is no room for its request");
    t->question->x.max_copies = NPI_NATPMP_COPIES;
    t->question->is_answer = npi_natpmp_is_answer;
    t->step = ASKS;
    return false;
}

/* ---- The answer ------------------------------------------------------------------------------------------------- */

static int32_t another_nat_of(npi_gateway_finding finding)
{
    if (finding == NPI_GATEWAY_NAT_BEHIND)
        return NP_TRISTATE_YES;
    return finding == NPI_GATEWAY_IS_SEEN ? NP_TRISTATE_NO : NP_TRISTATE_UNKNOWN;
}

static void conclude(npi_facts *f)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    npi_natpmp_answer answer = {.kind = NPI_NATPMP_DROP};
    const npi_gateway_sight sight = {.gateway = t->gateway,
                                     .local = t->local,
                                     .external = t->external,
                                     .is_only_one = npi_result_tally(f).external_ips == 1};
    char text[160];
    if (npi_errand_is_answered(t->question))
        (void)npi_natpmp_decode(t->question->heard_data, t->question->heard_size, &answer);
    npi_gateway_finding finding = npi_natpmp_compare(&answer, &sight);
    t->named = answer.external;
    t->another_nat = another_nat_of(finding);
    npi_natpmp_explain(&answer, finding, text, sizeof text);
    (void)give_up(f, text);
}

/* Each copy waits twice as long as the one before (RFC 6886 section 3.1). */
static bool await_answer(npi_facts *f, uint64_t *wake_ns)
{
    npi_errand *question = f->optional.nat_behind.question;
    question->gap_ns = NPI_NATPMP_GAP_NS << question->x.t.sent;
    if (!npi_errand_is_settled(f, question, wake_ns))
        return false;
    conclude(f);
    return true;
}

bool npi_nat_behind_step(npi_facts *f, uint64_t *wake_ns)
{
    npi_nat_behind_test *t = &f->optional.nat_behind;
    if (t->step == BEGINS)
        return begin(f, wake_ns);
    if (t->step == LOOKS_UP && ask(f))
        return true;
    return t->step == IS_OVER || await_answer(f, wake_ns);
}

const npi_addr *npi_nat_behind_towards(const npi_facts *f)
{
    const npi_nat_behind_test *t = &f->optional.nat_behind;
    return f->optional.stage == NPI_OPTIONAL_ON && t->step == LOOKS_UP ? &t->towards : NULL;
}

void npi_nat_behind_found(npi_facts *f, const npi_addr *gateway)
{
    f->optional.nat_behind.gateway = *gateway;
}

void npi_nat_behind_write(const npi_facts *f, np_result *out)
{
    const npi_nat_behind_test *t = &f->optional.nat_behind;
    out->another_nat = t->another_nat;
    if (t->question != NULL)
        npi_addr_format_ip(&t->gateway, out->gateway_ip);
    npi_addr_format_ip(&t->named, out->gateway_external_ip);
}
