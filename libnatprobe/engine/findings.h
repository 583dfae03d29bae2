/* SPDX-License-Identifier: MIT */
/* Which mapping and filtering the facts show (docs/METHOD.md sections 4 and 6). Pure. */
#ifndef NPI_ENGINE_FINDINGS_H
#define NPI_ENGINE_FINDINGS_H

#include "facts.h"

/* ---- Mapping ---- */

/* True when s showed the same external address before and after (or at the same moment as) a sample from elsewhere. */
bool npi_is_bracketed_by(const npi_server *s, const npi_sample *sample);
/* True when what two servers saw of the source socket can be compared: nothing can have changed in between. */
bool npi_is_comparable(const npi_server *a, const npi_server *b);
/* The mapping by all observations, comparable or not: a reason to look again, not a verdict. */
int32_t npi_mapping_apparent(const npi_facts *f);
/* Whether that is one that depends on the destination. */
bool npi_mapping_seems_dependent(const npi_facts *f);
/* The mapping by those observations alone that can be compared with each other. */
int32_t npi_mapping_confirmed(const npi_facts *f);
/* That is the same as the apparent one, but for what chance may have done to both. */
bool npi_mapping_is_confirmed(const npi_facts *f);
/* The server whose observations contradict those of two or more others, and are left out; NULL when there is none. */
const npi_server *npi_mapping_dissenter(const npi_facts *f);
/* The mapping is not known, and observations name different IP addresses, or some see a NAT and some see none. */
bool npi_mapping_is_contradictory(const npi_facts *f);
/* Whether some destinations see the same external address, and others only another port of it. */
bool npi_mapping_is_mixed(const npi_facts *f);
/* True when A:P has been seen before and after every sample of its server's other addresses. */
bool npi_mapping_is_bracketed(const npi_facts *f, const npi_server *s);
/*
 * What s saw says nothing of the NAT: s contradicts the others, or no NAT lies on the way to s, and one on the way to
 * another server.
 */
bool npi_mapping_leaves_out(const npi_facts *f, const npi_server *s);
/* Two other servers report addresses of one network, and s one of another. */
bool npi_mapping_is_lone_network(const npi_facts *f, const npi_server *s);
/* The optional test PORT asked for an answer from there while its way was not open: the NAT may remember that. */
bool npi_mapping_is_spoilt(const npi_facts *f, const npi_addr *address);
/* One observation of the source socket, whichever counts; false when there is none. */
bool npi_mapping_any_observation(const npi_facts *f, npi_observation *out);

/*
 * A server at another IP address that sees the source socket as A:P of s does, and that can be asked again by a copy:
 * in the place of B:P it tells the mapping. NULL: none.
 */
const npi_server *npi_mapping_other_view(const npi_facts *f, const npi_server *s);

/* What to do where the apparent and the confirmed mapping differ. */
typedef enum npi_recheck_state {
    NPI_RECHECK_NOT_NEEDED, /* they agree, or no more can be done about it: the confirmed one is what can be said */
    NPI_RECHECK_NEEDED,     /* ask those servers again, all at one moment, of which npi_mapping_is_doubtful says so */
    NPI_RECHECK_GOES_ON     /* wait for their answers */
} npi_recheck_state;

typedef struct npi_recheck {
    npi_recheck_state state;
    uint64_t wake_ns; /* when the answer waited for counts as lost; NPI_NEVER otherwise */
} npi_recheck;
npi_recheck npi_mapping_recheck(const npi_facts *f);
/* What s saw cannot be compared with what it, or another server, saw elsewhere. */
bool npi_mapping_is_doubtful(const npi_facts *f, const npi_server *s);

/* ---- Other sockets' mappings ---- */

/* Whether another socket has to compare destinations, since equal ports may be chance (chance.h). */
typedef enum npi_look_state { NPI_LOOK_NOT_NEEDED, NPI_LOOK_NEEDED, NPI_LOOK_GOES_ON } npi_look_state;

typedef struct npi_look_advice {
    npi_look_state state;
    uint64_t wake_ns;                         /* when the answer waited for counts as lost; NPI_NEVER otherwise */
    bool is_wanted[NPI_LOOK_EXCHANGES];       /* which destinations to ask, where it is needed */
    npi_observation seen[NPI_LOOK_EXCHANGES]; /* what the source socket looks like from there */
} npi_look_advice;
npi_look_advice npi_mapping_look(const npi_facts *f);

/* ---- The way of fresh sockets ---- */

/* A fresh socket's answer shows the same external IP address, at the same local one. */
bool npi_has_same_way(const npi_exchange *x, const npi_addr *external, const npi_addr *local);
/* The source socket itself has external addresses that are neighbours: the NAT has a pool of them. */
bool npi_source_has_pool(const npi_facts *f);
/* A request of the filtering socket whose answer shows its external address; NULL when there is none yet. */
const npi_exchange *npi_filtering_view(const npi_filtering *p);
/* False when a trial's filtering socket has another external or local IP address than the source socket has. */
bool npi_trial_has_source_way(const npi_facts *f, const npi_trial *t);

/* ---- Filtering ---- */

/* The trial on which the filtering verdict rests, NULL when there is none (yet). */
const npi_trial *npi_filtering_trial(const npi_facts *f);
/* Its filtering; unknown when there is none. */
int32_t npi_filtering_found(const npi_facts *f);
/* The filtering is asked for, and not known as well as it can be. */
bool npi_filtering_is_needed(const npi_facts *f);
/* Whether a trial may yet bring what is missing; one that failed at the filtering only goes on with the mapping. */
bool npi_trial_is_useful(const npi_facts *f, const npi_trial *t);

/* ---- Answers to CHANGE-REQUEST ---- */

/*
 * What an answer shows that came from an address, and says that it left from another (RESPONSE-ORIGIN; not set: does
 * not say). PENDING where it is not known which address to expect.
 */
npi_change npi_change_shown(const npi_server *s, uint32_t change, const npi_addr *from, const npi_addr *origin,
                            bool success);
/* The bits of enum np_evidence that go with it. */
uint32_t npi_change_evidence(npi_change outcome);
/* It speaks about the server: the server is of no use for filtering. */
bool npi_change_disqualifies_server(npi_change outcome);
npi_reason npi_change_reason(npi_change outcome);

#endif
