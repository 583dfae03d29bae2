/* SPDX-License-Identifier: MIT */
/*
 * The state of one experiment, shared by probe.c (entry points), probe_schedule.c (which servers, how fast),
 * probe_trial.c (the first phase with one server), probe_control.c (the second), probe_mapping.c (what was seen of the
 * source socket), probe_verdict.c (the end) and probe_event.c (what observers are told). Nobody else includes this.
 */
#ifndef NPI_PROBE_INTERNAL_H
#define NPI_PROBE_INTERNAL_H

#include "probe.h"

/* One request of the experiment: its transaction, where it goes and what was learnt from its first answer. */
typedef struct npi_exchange {
    npi_transaction t;
    npi_addr to;
    npi_addr external; /* set with the first success */
    npi_addr local;
    uint64_t seen_ns; /* when the last copy that the first answer can be for went out */
    uint32_t change;  /* flags of CHANGE-REQUEST, 0 for a plain request */
    uint32_t limit;
    int slot;
    uint64_t hold_ns; /* not to be sent before */
    bool wanted;      /* to be started as soon as the rate allows */
    bool by_volley;   /* copies are sent when a volley says so, not by a timer */
    bool doubled;     /* the second copy does not wait for the first one's answer */
    bool failed;      /* answered with an error, or it cannot be sent */
    uint8_t refusals; /* copies in a row that the system would not send */
    const char *name; /* for the log */
} npi_exchange;

/* The plain requests from the source socket to a server's primary address. */
enum { NPI_KNOCK, NPI_CLASSIC, NPI_VERIFY, NPI_SERVER_EXCHANGES };

/* Between which moments a request that was answered left: when the NAT was seen in the state that the answer shows. */
typedef struct npi_sight {
    uint64_t first_ns;
    uint64_t last_ns;
    uint64_t heard_ns; /* when the answer came */
} npi_sight;

typedef struct npi_server {
    npi_addr address;   /* A:P */
    npi_addr alternate; /* B:Q, set when usable */
    bool expected_mapping_only;
    bool started;
    bool heard;     /* answered a plain request, of any socket */
    bool was_heard; /* before a restart */
    bool failed;    /* cannot be sent to, or its answers cannot be used */
    bool named;     /* an answer told whether it has an alternate address */
    bool repeats;   /* its requests are answered several times for each copy */
    npi_stun_dialect dialect;
    uint64_t started_ns;
    npi_rtt rtt;
    npi_observation seen; /* what the source socket looks like from A:P */
    bool is_seen;
    npi_sight first; /* of A:P's view of the source socket */
    npi_sight again; /* the latest that showed the same external address */
    npi_exchange x[NPI_SERVER_EXCHANGES];
    int trial; /* index of its trial, -1: none */
} npi_server;

/* Filtering socket: I, II, III, and a second transaction of II or III. Source socket: I to B:P, B:Q, A:Q; control. */
enum {
    NPI_F_I,
    NPI_F_II,
    NPI_F_III,
    NPI_F_TWIN,
    NPI_M_BP,
    NPI_M_BQ,
    NPI_M_AQ,
    NPI_C_II,
    NPI_C_III,
    NPI_TRIAL_EXCHANGES
};

typedef enum npi_phase { NPI_PHASE_FILTERING, NPI_PHASE_MAPPING, NPI_PHASE_DONE } npi_phase;

/* Why the filtering is not known; the texts are in probe_verdict.c. */
typedef enum npi_reason {
    NPI_REASON_NONE,
    NPI_REASON_NO_ALTERNATE,
    NPI_REASON_REFUSED,
    NPI_REASON_IGNORED,
    NPI_REASON_PARTIAL,
    NPI_REASON_REJECTED,
    NPI_REASON_CONTROL,
    NPI_REASON_LOSS,
    NPI_REASON_CONTRADICTION,
    NPI_REASON_TOUCHED,
    NPI_REASON_UNFINISHED
} npi_reason;

/* A CHANGE-REQUEST test: its outcome, and an answer that came before it was known which address to expect. */
typedef struct npi_change_test {
    npi_change outcome;
    bool early;
    npi_addr early_from;
} npi_change_test;

/* The two phases of the experiment with one server. */
typedef struct npi_trial {
    size_t server;
    int slot; /* filtering socket; NPI_SLOT_SOURCE when filtering is not tested */
    npi_phase phase;
    npi_stun_dialect dialect; /* that its filtering requests are written in */
    npi_exchange x[NPI_TRIAL_EXCHANGES];
    npi_change_test ii, iii;            /* on the filtering socket */
    npi_change control_ii, control_iii; /* on the source socket */
    npi_rtt alternate_rtt;
    uint32_t volleys;
    uint64_t next_volley_ns;
    bool blind;           /* the next volley was timed before the round trip was known */
    uint64_t heard_ns;    /* last answer on the filtering socket */
    bool frugal;          /* other servers may be needed: transactions are saved for them */
    bool parked;          /* useless for the filtering: its mapping requests wait until nothing else is left to do */
    bool partial;         /* only those mapping requests were sent that the verdict needs at least */
    bool review;          /* the mapping phase showed more loss than was known: more copies, then done */
    bool contradicted;    /* II or III was answered after it was called silent */
    bool touched;         /* II or III was answered from an address that another socket had asked */
    int32_t filtering;    /* verdict of this trial, NP_BEHAVIOUR_UNKNOWN with a reason */
    bool control_at_once; /* the control does not wait for its pinhole's answer */
    bool settled;         /* filtering and reason stand */
    bool announced;       /* and the observer has been told */
    bool proven;
    npi_reason reason;
} npi_trial;

struct npi_probe {
    npi_probe_config config;
    uint64_t start_ns;
    uint64_t now_ns;
    uint64_t wake_ns;
    uint64_t end_ns;
    uint64_t first_sent_ns;                    /* NPI_NEVER before */
    uint64_t last_start_ns;                    /* of a server */
    uint64_t recent_ns[NPI_RATE_TRANSACTIONS]; /* ring of the last transactions' starts */
    uint32_t transactions;
    uint32_t verifications; /* rounds of asking again whether the external address is still the same */
    npi_server *servers;    /* these two lie behind the struct */
    size_t server_room;
    size_t server_count;
    npi_trial *trials;
    size_t trial_room;
    size_t trial_count;
    bool more_servers;
    bool duplicated; /* more answers came than requests were sent */
    bool stirred;    /* some request was answered, if only a CHANGE-REQUEST */
    bool strange;    /* something came that could not be used: from a server's address, or with the id of a request */
    bool restarted;
    bool done;
    int32_t error;
    int os_error;
    int32_t send_error; /* last failure to send */
    int send_os_error;
    uint32_t evidence;
    uint32_t sent;
    uint32_t received;
};

/* ---- probe.c ---- */
/* Asks to be woken at t at the latest. */
void npi_wake_at(npi_probe *p, uint64_t t_ns);
void npi_exchange_init(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change,
                       uint32_t limit);
/* All its copies are sent and old enough to be given up, or it failed. */
bool npi_exchange_is_over(npi_probe *p, const npi_exchange *x, uint64_t age_ns);
bool npi_exchange_is_answered(const npi_exchange *x);
void npi_probe_finish(npi_probe *p, int32_t error, int os_error);

/* ---- probe_schedule.c ---- */
/* Whether a new transaction may start now; if not, asks to be woken when it may. */
bool npi_rate_allows(npi_probe *p);
/* How many transactions may start now. */
uint32_t npi_rate_room(const npi_probe *p);
/* Whether so many may; if not, asks to be woken when they may. */
bool npi_rate_has_room(npi_probe *p, uint32_t transactions);
void npi_rate_use(npi_probe *p);
/* The transaction that was started last did not leave. */
void npi_rate_return(npi_probe *p);
/* Starts, asks and gives up servers. */
void npi_schedule_servers(npi_probe *p);
/* Nothing more is to be expected of it. */
bool npi_server_is_spent(npi_probe *p, const npi_server *s);
/* The source socket's own requests to it have found out all they can. */
bool npi_server_knock_is_over(npi_probe *p, const npi_server *s);
/* Every server there is has been asked, and nothing more is to be expected of any. */
bool npi_schedule_is_exhausted(npi_probe *p);
bool npi_schedule_has_heard(const npi_probe *p);
/* Something other than a parked trial may yet bring the verdict. */
bool npi_schedule_can_go_on(npi_probe *p);
/* Forgets what was seen and starts once more; the second time ends the experiment. */
void npi_schedule_restart(npi_probe *p);
/* When the next copy of a plain request is due after its last. */
uint64_t npi_plain_gap_ns(const npi_probe *p, const npi_server *s, const npi_exchange *x);

/* ---- probe_trial.c ---- */
void npi_trial_begin(npi_probe *p, size_t server, bool with_filtering);
void npi_trial_advance(npi_probe *p, npi_trial *t);
const npi_server *npi_trial_server(const npi_probe *p, const npi_trial *t);
void npi_trial_finish(npi_probe *p, npi_trial *t);
void npi_trial_stop_filtering(npi_trial *t);
void npi_trial_settle(npi_trial *t, int32_t filtering, bool proven);
void npi_trial_settle_unknown(npi_probe *p, npi_trial *t, npi_reason reason);
/* The test whose silence carries the proof: III while it is silent (a filter that passes II passes III too), else II. */
bool npi_trial_proof_rests_on_iii(const npi_trial *t);
/* A byte as random as an id is, the same for one volley whenever it is asked. */
uint8_t npi_trial_volley_random(const npi_trial *t, uint32_t volley);
uint32_t npi_trial_silent_copies(const npi_trial *t);
/* Too few copies, whatever the losses seem to be. */
bool npi_trial_is_silence_short(const npi_probe *p, const npi_trial *t, uint32_t silent);
/* Whether loss explains so much silence worse than the limit says. */
bool npi_trial_silence_holds(const npi_loss *loss, uint32_t silent, double limit);
/* Where an answer to a CHANGE-REQUEST has to come from: B:Q or A:Q. */
npi_addr npi_trial_expected_source(const npi_server *s, uint32_t change);
/* The outcome of an answer to a CHANGE-REQUEST, PENDING while it is not known which address to expect. */
npi_change npi_trial_outcome_of(const npi_server *s, uint32_t change, const npi_addr *from, bool success);
void npi_trial_note_outcome(npi_probe *p, npi_change outcome);
/* An outcome that speaks about the server: it is no use for filtering. */
bool npi_trial_demotes(npi_change outcome);
npi_reason npi_trial_reason_of(npi_change outcome);

/* ---- probe_control.c ---- */
void npi_trial_begin_mapping(npi_probe *p, npi_trial *t);
void npi_trial_advance_mapping(npi_probe *p, npi_trial *t);
void npi_trial_take_control_answer(npi_probe *p, npi_trial *t, npi_change *control, uint32_t change,
                                   const npi_addr *from, bool success);
/* Enough is known of its server's addresses to tell the mapping, or nothing more will be. */
bool npi_trial_mapping_is_over(npi_probe *p, npi_trial *t);
npi_loss npi_trial_loss(const npi_probe *p, const npi_trial *t);
/* A usable answer to exchange index of the trial came from an address. */
void npi_trial_answered(npi_probe *p, npi_trial *t, int index, const npi_addr *from, bool success);
/* Has any socket sent to this address (port 0: any port of it)? */
bool npi_probe_has_touched(const npi_probe *p, const npi_addr *address, bool any_port);

/* ---- probe_mapping.c ---- */
/* The trial of a server, or NULL. */
const npi_trial *npi_trial_of(const npi_probe *p, const npi_server *s);
/* The mapping by all sights, and by those alone of which it is known that they can be compared. */
int32_t npi_mapping_seen(const npi_probe *p);
int32_t npi_mapping_sure(const npi_probe *p);
/*
 * Where the two differ the servers are asked again, all at one moment. True when they agree, or when nothing more can be
 * done about it: then npi_mapping_sure is what can be said.
 */
bool npi_mapping_make_sure(npi_probe *p);
/* True when the answers still expected would not change the mapping. */
bool npi_mapping_is_settled(npi_probe *p);
/* True when A:P has been seen before and after every sight of its server's other addresses. */
bool npi_mapping_is_spanned(const npi_probe *p, const npi_server *s);
bool npi_mapping_any_sight(const npi_probe *p, npi_observation *out);

/* ---- probe_verdict.c ---- */
/* Ends the experiment when there is a verdict, or when there is none to be had. */
void npi_verdict_advance(npi_probe *p);
bool npi_verdict_needs_filtering(const npi_probe *p);

/* ---- probe_event.c ---- */
void npi_event_sent(const npi_probe *p, const npi_exchange *x);
void npi_event_answered(const npi_probe *p, const npi_exchange *x, const npi_addr *from, const npi_stun_response *r);
/* Tells of each filtering test that has been settled since. The driver tells of the end: only it knows the result. */
void npi_event_conclusions(npi_probe *p);

#endif
