/* SPDX-License-Identifier: MIT */
/* When a watch makes its next check, and why. Pure: times, notices and outcomes in, times and reasons out. */
#ifndef NPI_RENEWAL_H
#define NPI_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>

#include "tstamp.h"

#define NPI_S (UINT64_C(1000) * NPI_MS)
/* No two checks begin within this time, whatever happens: for the servers' sake. */
#define NPI_RENEWAL_GAP_NS (10 * NPI_S)
/*
 * A change of the network is a row of notices: link, address, route. A check waits until they have been quiet for a
 * while, but not for long: what comes later asks for another one.
 */
#define NPI_RENEWAL_QUIET_NS (200 * NPI_MS)
#define NPI_RENEWAL_SETTLE_NS (800 * NPI_MS)
/* Without a verdict: after this time, then twice as long each time. */
#define NPI_RENEWAL_RETRY_NS (30 * NPI_S)
#define NPI_RENEWAL_RETRY_MAX_NS (600 * NPI_S)

typedef struct npi_renewal {
    uint64_t interval_ns; /* from one check to the next where nothing asks for one; 0: none */
    uint64_t last_ns;     /* when the last one began; NPI_NEVER: none has */
    bool running;
    bool start_wanted;
    bool has_way;            /* without one nothing is sent, so that no time need pass between two attempts */
    bool resumed;            /* of the notices that are waiting, one is of a suspension */
    uint64_t noticed_ns;     /* the first notice that no check has followed; NPI_NEVER: none */
    uint64_t quiet_ns;       /* the last one */
    uint64_t failure_ns;     /* a failure was told that no check has followed; NPI_NEVER: none */
    uint64_t failure_gap_ns; /* from one check to the next for the sake of failures alone */
    bool for_failure;        /* the check that is running is for one */
    uint64_t retry_ns;       /* NPI_NEVER: there is a verdict */
    uint64_t retry_gap_ns;   /* for the next one without */
    uint64_t filtering_ns;   /* when the filtering can be tested that could not be; NPI_NEVER: it need not */
    uint64_t interval_at_ns;
} npi_renewal;

/* What a check brought. */
typedef struct npi_renewal_outcome {
    bool has_verdict;
    bool is_changed;
    uint64_t filtering_ns; /* as above */
} npi_renewal_outcome;

/* A check is due at once. */
void npi_renewal_init(npi_renewal *r, uint64_t interval_ns);
/* The network changed, or the host was suspended. */
void npi_renewal_note_change(npi_renewal *r, uint64_t now_ns, bool resumed);
/* The result did not hold what it promised. */
void npi_renewal_note_failure(npi_renewal *r, uint64_t now_ns);
/* Whether there is a way to any server, as far as is known without sending. */
void npi_renewal_note_way(npi_renewal *r, bool has_way);
/* When the next check is to begin as things stand; NPI_NEVER while one is running. */
uint64_t npi_renewal_due_ns(const npi_renewal *r);
/* Why (enum np_watch_reason), once that time has come; NP_WATCH_REASON_NONE before. */
int32_t npi_renewal_reason(const npi_renewal *r, uint64_t now_ns);
/* A check has begun for that reason. What was noticed until now is covered by it. */
void npi_renewal_begin(npi_renewal *r, uint64_t now_ns, int32_t reason);
/* There is no way to any server: nothing was sent, so the next check may begin at any time. */
void npi_renewal_skip(npi_renewal *r, uint64_t now_ns, uint32_t random);
/* The check that had begun is over. random: any number, to spread the checks of many hosts. */
void npi_renewal_end(npi_renewal *r, uint64_t now_ns, const npi_renewal_outcome *outcome, uint32_t random);

#endif
