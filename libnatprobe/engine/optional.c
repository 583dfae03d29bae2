/* SPDX-License-Identifier: MIT */
/* Which optional test is on, and when they end. */
#include "optional.h"

#include "hairpin.h"
#include "idle.h"
#include "nat_behind.h"
#include "port.h"
#include "refused.h"

/* In the order in which they are made. */
static const int32_t test_order[] = {NP_TESTS_PORT, NP_TESTS_REFUSED, NP_TESTS_HAIRPIN, NP_TESTS_GATEWAY,
                                     NP_TESTS_LIFETIME};

/* True when the test is over; otherwise *wake_ns is moved forward to when to look again. */
static bool make_test(npi_facts *f, int32_t test, uint64_t *wake_ns)
{
    switch (test) {
    case NP_TESTS_PORT:
        return npi_port_step(f, wake_ns);
    case NP_TESTS_REFUSED:
        return npi_refused_step(f, wake_ns);
    case NP_TESTS_HAIRPIN:
        return npi_hairpin_step(f, wake_ns);
    case NP_TESTS_LIFETIME:
        return npi_idle_step(f, wake_ns);
    case NP_TESTS_GATEWAY:
        return npi_nat_behind_step(f, wake_ns);
    default:
        return true;
    }
}

void npi_optional_init(npi_facts *f)
{
    bool is_asked = (f->config.tests & NP_TESTS_OPTIONAL) != 0;
    f->optional.stage = is_asked ? NPI_OPTIONAL_ASKED : NPI_OPTIONAL_NONE;
}

bool npi_optional_is_over(const npi_facts *f)
{
    return f->optional.stage == NPI_OPTIONAL_NONE || f->optional.stage == NPI_OPTIONAL_OVER;
}

void npi_optional_stop(npi_facts *f)
{
    if (npi_optional_is_over(f))
        return;
    f->optional.stage = NPI_OPTIONAL_OVER;
    f->optional.end_ns = f->now_ns;
}

uint64_t npi_optional_advance(npi_facts *f)
{
    f->optional.stage = NPI_OPTIONAL_ON;
    for (size_t i = 0; i < sizeof test_order / sizeof test_order[0]; i++) {
        bool has_own_end = test_order[i] == NP_TESTS_LIFETIME;
        uint64_t end_ns = has_own_end ? NPI_NEVER : f->config.deadline_ns;
        uint64_t wake_ns = end_ns;
        if ((f->config.tests & test_order[i]) != 0 && f->now_ns < end_ns && !make_test(f, test_order[i], &wake_ns))
            return wake_ns;
    }
    npi_optional_stop(f);
    return NPI_NEVER;
}

bool npi_optional_needs_slot(const npi_facts *f, int slot)
{
    if (npi_optional_is_over(f))
        return false;
    if (slot >= NPI_SLOT_IDLE)
        return npi_idle_needs_slot(f, slot);
    if (slot >= NPI_SLOT_OPTIONAL)
        return slot < NPI_SLOT_OPTIONAL + f->optional.sockets;
    return slot <= NPI_TRIALS_MAX && (f->config.tests & NP_TESTS_REFUSED) != 0; /* it asks from filtering sockets */
}

void npi_optional_write(const npi_facts *f, np_result *out)
{
    const npi_optional *o = &f->optional;
    out->port_open = o->port.open;
    out->refused_takes_port = o->refused.takes_port;
    out->hairpin = o->hairpin.arrives;
    out->hairpin_external = o->hairpin.from_external;
    npi_idle_write(f, out);
    npi_nat_behind_write(f, out);
}
