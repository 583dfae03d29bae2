/* SPDX-License-Identifier: MIT */
/* The end of the experiment. */
#include "verdict.h"

#include "control.h"
#include "findings.h"

/* Silence from so many servers, where more may be named, is enough to call UDP blocked. */
#define SILENT_SERVERS 3

/* ---- Is it complete? -------------------------------------------------------------------------------------------- */

/* A trial that is still asking its server's addresses. */
static const npi_trial *trial_in_mapping(const npi_facts *f)
{
    for (size_t i = 0; i < f->trial_count; i++) {
        const npi_trial *t = &f->trials[i];
        if (t->phase == NPI_PHASE_MAPPING && t->control.stage != NPI_MAPPING_DEFERRED &&
            npi_control_mapping_over_ns(f, t) > f->now_ns)
            return t;
    }
    return NULL;
}

/* When the answers still expected would not change the mapping; where they would, when none is expected any more. */
static uint64_t mapping_settled_ns(const npi_facts *f)
{
    const npi_trial *t = trial_in_mapping(f);
    int32_t mapping = npi_mapping_apparent(f);
    if (mapping == NP_BEHAVIOUR_NONE || t == NULL)
        return mapping != NP_BEHAVIOUR_UNKNOWN ? NPI_NOW : NPI_NEVER;
    bool settled = mapping == NP_BEHAVIOUR_ADDRESS_DEPENDENT || mapping == NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    if (mapping == NP_BEHAVIOUR_ENDPOINT_INDEPENDENT)
        settled = npi_exchange_is_answered(&t->control.x[NPI_M_BP]) &&
                  (t->control.stage == NPI_MAPPING_MINIMAL || npi_exchange_is_answered(&t->control.x[NPI_M_AQ]));
    return settled ? NPI_NOW : npi_control_mapping_over_ns(f, t);
}

uint64_t npi_verdict_complete_ns(const npi_facts *f)
{
    return npi_filtering_is_needed(f) ? NPI_NEVER : mapping_settled_ns(f);
}

/* ---- How it ends ------------------------------------------------------------------------------------------------ */

static npi_verdict go_on(uint64_t wake_ns)
{
    return (npi_verdict){NPI_VERDICT_GO_ON, NP_OK, 0, wake_ns};
}

static npi_verdict over(int32_t error)
{
    return (npi_verdict){NPI_VERDICT_OVER, error, 0, NPI_NEVER};
}

static npi_verdict over_unsent(const npi_facts *f)
{
    return (npi_verdict){NPI_VERDICT_OVER, f->traffic.send_error, f->traffic.send_os_error, NPI_NEVER};
}

static bool is_sending_impossible(const npi_facts *f)
{
    for (size_t i = 0; i < f->server_count; i++) {
        if (npi_server_is_started(&f->servers[i]) && !f->servers[i].failed)
            return false;
    }
    return f->traffic.send_error != NP_OK && !f->any_answer;
}

/* What to say when no more can be learnt, and there is no type. */
static npi_verdict conclude_without_type(const npi_facts *f)
{
    if (f->server_count == 0)
        return over(NP_ERR_RESOLVE);
    if (npi_facts_has_mapping(f))
        return over(NP_ERR_INCONCLUSIVE);
    if (f->left_out_unsteady)
        return over(NP_ERR_ADDRESS_CHANGED);
    if (is_sending_impossible(f))
        return over_unsent(f);
    if (f->any_untranslated || (f->evidence & (NP_EVIDENCE_ANSWERED | NP_EVIDENCE_PROXIED)) != 0 ||
        (f->any_answer && !f->any_unusable))
        return over(NP_ERR_INCONCLUSIVE);
    return over(f->any_answer || f->any_unusable ? NP_ERR_BAD_RESPONSE : NP_ERR_NO_RESPONSE);
}

/* When servers enough have been silent for long enough. */
static uint64_t silent_everywhere_ns(const npi_facts *f)
{
    if (f->traffic.sent == 0 || f->any_answer)
        return NPI_NEVER;
    uint64_t silent_ns = npi_time_add(f->traffic.first_sent_ns, f->config.response_timeout_ns);
    bool enough = !f->more_servers || npi_facts_count_started(f) >= SILENT_SERVERS;
    return enough ? silent_ns : npi_time_max(silent_ns, f->config.deadline_ns);
}

static bool has_heard_nothing(const npi_facts *f)
{
    return !f->any_answer && !f->any_unusable;
}

/* The time is over. If nothing has left this host, that is why; if nothing came, that says more than the clock. */
static npi_verdict conclude_late(const npi_facts *f, bool has_type)
{
    if (has_type)
        return over(NP_OK);
    if (f->traffic.sent == 0)
        return f->traffic.send_error != NP_OK ? over_unsent(f) : over(NP_ERR_TIMEOUT);
    return over(has_heard_nothing(f) ? NP_ERR_NO_RESPONSE : NP_ERR_TIMEOUT);
}

/* What else is to be asked, so that the mapping is sure; over where nothing is. */
static npi_verdict make_sure(const npi_facts *f)
{
    npi_recheck recheck = npi_mapping_recheck(f);
    if (recheck.state == NPI_RECHECK_NEEDED)
        return (npi_verdict){NPI_VERDICT_RECONFIRM, NP_OK, 0, f->now_ns};
    if (recheck.state == NPI_RECHECK_GOES_ON)
        return go_on(recheck.wake_ns);
    npi_look_advice look = npi_mapping_look(f);
    if (look.state == NPI_LOOK_NEEDED)
        return (npi_verdict){NPI_VERDICT_LOOK, NP_OK, 0, f->now_ns};
    return look.state == NPI_LOOK_GOES_ON ? go_on(look.wake_ns) : over(NP_OK);
}

/* All is there, or all that there can be, or the time is over. */
static npi_verdict decide(const npi_facts *f, bool complete, bool exhausted)
{
    npi_verdict next = complete || exhausted ? make_sure(f) : go_on(NPI_NEVER);
    bool sure = next.next == NPI_VERDICT_OVER;
    int32_t mapping = npi_mapping_confirmed(f);
    int32_t type = npi_classify_type(mapping, npi_filtering_found(f));
    if (complete && sure && mapping != NP_BEHAVIOUR_UNKNOWN)
        return next;
    if (f->config.deadline_ns <= f->now_ns)
        return conclude_late(f, type != NP_NAT_UNKNOWN && npi_mapping_is_confirmed(f));
    if (exhausted && sure)
        return type != NP_NAT_UNKNOWN ? next : conclude_without_type(f);
    return sure ? go_on(NPI_NEVER) : next;
}

npi_verdict npi_verdict_decide(const npi_facts *f, bool exhausted)
{
    uint64_t silent_ns = silent_everywhere_ns(f);
    if (silent_ns <= f->now_ns)
        return conclude_without_type(f);
    /* What costs least is asked first: this is where most of the time of a check would be spent. */
    uint64_t complete_ns = npi_verdict_complete_ns(f);
    bool complete = complete_ns <= f->now_ns;
    uint64_t wake_ns = complete ? silent_ns : npi_time_min(silent_ns, complete_ns);
    if (!complete && !exhausted && f->config.deadline_ns > f->now_ns)
        return go_on(wake_ns);
    npi_verdict verdict = decide(f, complete, exhausted);
    verdict.wake_ns = npi_time_min(verdict.wake_ns, wake_ns);
    return verdict;
}
