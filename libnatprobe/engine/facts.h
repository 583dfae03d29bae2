/* SPDX-License-Identifier: MIT */
/*
 * What has happened in one experiment: the requests sent, their answers, the servers and the trials. Every other file
 * of the engine reads it; each part names the one file that writes it. It records and looks up, and decides nothing.
 */
#ifndef NPI_ENGINE_FACTS_H
#define NPI_ENGINE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "../addr.h"
#include "../classify.h"
#include "../lifetime.h"
#include "../log.h"
#include "../stun.h"
#include "../transaction.h"
#include "../tstamp.h"
#include "limits.h"

/* Sockets left idle at once: those of one round, of two kinds, and NPI_IDLE_COMPARED that only compare ports. */
#define NPI_IDLE_COMPARED 2
#define NPI_IDLERS (2 * NPI_LIFETIME_TRIES + NPI_IDLE_COMPARED)

/*
 * Socket slots: 0 is the source socket, 1 to NPI_TRIALS_MAX are filtering sockets, each opened at its first datagram.
 */
#define NPI_SLOT_SOURCE 0
#define NPI_SLOT_PATH (1 + NPI_TRIALS_MAX)                       /* the first of NPI_PATH_SOCKETS fresh sockets */
#define NPI_SLOT_LOOK (NPI_SLOT_PATH + 2 * NPI_PATH_SOCKETS)     /* others after a restart: a socket is used once */
#define NPI_SLOT_OPTIONAL (NPI_SLOT_LOOK + 2 * NPI_LOOKS)        /* the first of those of optional tests */
#define NPI_SLOT_IDLE (NPI_SLOT_OPTIONAL + NPI_OPTIONAL_SOCKETS) /* the first of those left idle */
#define NPI_SLOT_ASKER (NPI_SLOT_IDLE + NPI_IDLERS)              /* asks for what is to come to them */
#define NPI_SLOT_COUNT (NPI_SLOT_ASKER + 1)

/* Who is told of every request, answer and conclusion. */
typedef struct npi_observer {
    np_event_fn sink; /* NULL: nobody */
    void *user;
} npi_observer;

typedef struct npi_engine_config {
    int32_t tests;        /* enum np_tests */
    size_t max_servers;   /* as npi_engine_size was asked for */
    uint64_t deadline_ns; /* on the clock of now_ns; NPI_NEVER for none */
    uint64_t response_timeout_ns;
    uint64_t lifetime_limit_ns; /* of the test LIFETIME: the longest idle time to try */
    npi_log log;
    npi_observer observer;
} npi_engine_config;

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* One request: its transaction, where it goes, and what its first answer said. */
typedef struct npi_exchange {
    npi_transaction t;
    npi_addr to;
    npi_addr external;      /* set with the first success */
    npi_addr local;         /* that the first answer came to */
    uint64_t last_copy_ns;  /* of the copies that the first answer can be for, when the last one left */
    uint64_t not_before_ns; /* not to be sent before */
    uint32_t change;        /* flags of CHANGE-REQUEST, 0 for a plain request */
    uint32_t number;        /* its first copy was the so-many-th datagram of the check to leave; 0 before */
    uint32_t max_copies;
    int slot;
    bool queued;              /* to be started as soon as the rate allows */
    bool as_copy;             /* NPI_RECHECK: it may leave no room for others, so it is a copy if it can be (again.c) */
    bool sent_in_rounds;      /* copies leave when a round says so, not by a timer */
    bool send_twice;          /* the second copy does not wait for the first one's answer */
    bool failed;              /* answered with an error, or it cannot be sent */
    uint8_t send_failures;    /* copies in a row that the system would not send */
    uint64_t refused_from_ns; /* when the first of them was refused */
    bool unsent;              /* the last copy did not leave: refused, or no room for it */
    const char *name;         /* for the log */
} npi_exchange;

/* The plain requests from the source socket to a server's primary address. */
enum { NPI_PRIMARY, NPI_RFC3489, NPI_RECHECK, NPI_SERVER_EXCHANGES };

/* ---- Servers ---------------------------------------------------------------------------------------------------- */

/* When an answered request showed the NAT's state: between its first and last copy, and the answer. */
typedef struct npi_sample {
    uint64_t first_ns;
    uint64_t last_ns;
    uint64_t heard_ns;
} npi_sample;

typedef enum npi_contact {
    NPI_NOT_ASKED,
    NPI_ASKED,
    NPI_HAS_ANSWERED /* a plain request, of any socket */
} npi_contact;

typedef enum npi_alternate_state {
    NPI_ALTERNATE_UNKNOWN, /* no answer yet that could name one */
    NPI_ALTERNATE_NONE,    /* none was named, or one to which nothing may be sent */
    NPI_ALTERNATE_KNOWN
} npi_alternate_state;

typedef struct npi_server {
    /* engine.c */
    npi_addr address; /* A:P */
    bool expected_mapping_only;
    /* schedule.c; answers.c sets NPI_HAS_ANSWERED */
    npi_contact contact;
    bool answered_before_restart;
    bool started_before_restart; /* it was sent something, which a NAT may remember */
    bool was_copied;             /* outbox.c: x[NPI_RECHECK] has been sent as a copy of what was answered before */
    bool is_unsteady; /* it alone sees ever other external addresses: not asked again; engine.c counts the changes */
    uint8_t changes;
    uint64_t started_ns;
    npi_exchange x[NPI_SERVER_EXCHANGES];
    /* answers.c */
    npi_addr alternate; /* B:Q */
    npi_alternate_state alternate_state;
    npi_stun_dialect dialect;
    npi_rtt rtt;
    uint64_t suspect_ns;      /* when the first answer came, if it was late; 0 once filtering.c has looked into it */
    uint64_t suspect_took_ns; /* how long after the first copy that was */
    uint64_t suspect_rtt_ns;  /* the round trip, if that answer is for the last copy before it */
    uint64_t woke_ns;         /* the path was silent until then: earlier copies count neither as lost nor as silent */
    uint64_t heard_ns;        /* when the last answer to a request came that A got, 0 before */
    uint64_t service_ns;      /* the least time between two answers: what one request takes it if it is slow */
    uint64_t clear_ns;        /* when it will have answered all that was sent; outbox.c adds to it */
    uint32_t late_answers;    /* that no copy explains which left within the usual round trip */
    const npi_transaction *last_heard; /* whose answer came last */
    bool is_last_late;                 /* the last answer was counted among them */
    bool failed;                       /* cannot be sent to, or its answers cannot be used; outbox.c sets it too */
    bool repeats;                      /* answers its requests several times for each copy */
    bool hides_losses;        /* so many answers are duplicates that it is not known how many copies were answered */
    bool has_mapping;         /* observed, first and latest are set */
    npi_observation observed; /* what the source socket looks like from A:P */
    npi_sample first;         /* of A:P's view of the source socket */
    npi_sample latest;        /* the latest that showed the same external address */
    /* trial.c */
    int trial;        /* index of its trial, -1: none */
    bool fell_silent; /* during the filtering test, having answered */
} npi_server;

/* ---- Trials ----------------------------------------------------------------------------------------------------- */

/* Filtering socket: I, II, III, and a second transaction of II or III. */
enum { NPI_F_I, NPI_F_II, NPI_F_III, NPI_F_SECOND, NPI_FILTERING_EXCHANGES };
/*
 * Source socket: I to B:P, B:Q, A:Q, and the control: II and III. NPI_M_OTHER: I to B:P of the filtering socket. From
 * NPI_M_NEAR on: single copies of I to B, which tell how far away it is.
 */
enum {
    NPI_M_BP,
    NPI_M_BQ,
    NPI_M_AQ,
    NPI_M_OTHER,
    NPI_C_II,
    NPI_C_III,
    NPI_M_NEAR,
    NPI_M_NEAR_LAST = NPI_M_NEAR + 2,
    NPI_CONTROL_EXCHANGES
};

/* A CHANGE-REQUEST test: its outcome, and an answer that came before it was known which address to expect. */
typedef struct npi_change_test {
    npi_change outcome;
    bool early;
    npi_addr early_from;
    npi_addr early_origin;
} npi_change_test;

/* Copies of a request that leave together: how many, how many answers show, what was sent and answered before them. */
typedef struct npi_burst {
    uint32_t size;
    uint32_t least;
    uint32_t sent;
    uint32_t answers;
} npi_burst;

/* How the dense start of a filtering test fared. Written by dense.c. */
typedef struct npi_dense_start {
    bool is_told;  /* each copy is answered or lost */
    bool is_heavy; /* most copies of I were lost: a limit or a burst, which says little of what leaves later */
    uint32_t answers[NPI_FILTERING_EXCHANGES];
} npi_dense_start;

/* Phase 1, on a fresh socket. Written by filtering.c. */
typedef struct npi_filtering {
    int slot;                 /* NPI_SLOT_SOURCE when filtering is not tested */
    npi_stun_dialect dialect; /* that its requests are written in */
    npi_exchange x[NPI_FILTERING_EXCHANGES];
    npi_exchange late;   /* I so far, once another was begun to tell a path that was silent at first from a slow one */
    uint32_t late_after; /* so many datagrams had left by then */
    npi_change_test ii, iii;
    npi_burst burst;      /* of III, once it has been answered */
    bool is_not_rationed; /* III was answered so often that II would have been as well */
    npi_dense_start dense;
    bool is_ii_decided;       /* whether II is sent while III carries the proof */
    bool spares_ii;           /* it is not: the rate has no room for it */
    uint32_t heard_beside_ii; /* answers to I and III that came a round trip after II had left for the first time */
    uint32_t rounds;
    uint64_t next_round_ns;
    bool timed_without_rtt; /* the next round was timed before the round trip was known */
    bool waited_for_late;   /* for answers that had seemed to be lost */
    uint32_t late_waited;   /* so many late answers had come when a round waited for more of them last */
    bool resumed;           /* trial.c: given up for others once, which were of no help */
    bool extended;          /* the mapping phase showed more loss than was known: more copies, then done */
    bool contradicted;      /* II or III was answered after it was called silent */
    bool has_no_socket;     /* the system refused one (engine.c) */
    bool pinhole_not_fresh; /* II or III was answered from an address that another socket had asked */
} npi_filtering;

typedef enum npi_mapping_stage {
    NPI_MAPPING_NOT_ASKED,
    NPI_MAPPING_DEFERRED, /* useless for the filtering: asked when nothing else is left to do */
    NPI_MAPPING_MINIMAL,  /* only those requests were queued that the verdict needs at least */
    NPI_MAPPING_ALL
} npi_mapping_stage;

/* Phase 2, on the source socket. Written by control.c. */
typedef struct npi_control {
    npi_mapping_stage stage;
    npi_exchange x[NPI_CONTROL_EXCHANGES];
    npi_change ii, iii;
    npi_burst burst[2]; /* of II and III */
    bool at_once;       /* the control does not wait for its pinhole's answer */
    bool aq_is_again;   /* the rate has no room for A:P again: A:Q takes its place, where it sees the same */
} npi_control;

typedef enum npi_phase { NPI_PHASE_FILTERING, NPI_PHASE_MAPPING, NPI_PHASE_DONE } npi_phase;

/* Why the filtering is not known; the texts are in result.c and facts.c. */
typedef enum npi_reason {
    NPI_REASON_NONE,
    NPI_REASON_NO_ALTERNATE,
    NPI_REASON_REFUSED,
    NPI_REASON_IGNORED,
    NPI_REASON_PARTIAL,
    NPI_REASON_REWRITTEN,
    NPI_REASON_REJECTED,
    NPI_REASON_CONTROL,
    NPI_REASON_RATIONED,
    NPI_REASON_LOSS,
    NPI_REASON_SLOW,
    NPI_REASON_SHUT_OUT,
    NPI_REASON_CONTRADICTION,
    NPI_REASON_NOT_FRESH,
    NPI_REASON_OTHER_PATH,
    NPI_REASON_NO_SOCKET,
    NPI_REASON_UNSENT, /* only of the result: the requests of the test did not leave */
    NPI_REASON_UNFINISHED
} npi_reason;

/* What a trial found out about the filtering. Written by the npi_decide functions below; events.c marks it reported. */
typedef struct npi_finding {
    enum { NPI_UNDECIDED, NPI_DECIDED, NPI_REPORTED } state;
    int32_t filtering; /* NP_BEHAVIOUR_UNKNOWN with a reason */
    bool proven;
    npi_reason reason;
} npi_finding;

/* The two phases of the experiment with one server. Written by trial.c, but for its parts. */
typedef struct npi_trial {
    size_t server;
    npi_phase phase;
    bool save_transactions; /* other servers may need them */
    npi_filtering filtering;
    npi_control control;
    npi_finding finding;
    npi_rtt alternate_rtt;       /* answers.c */
    uint64_t filtering_heard_ns; /* answers.c: the last answer on the filtering socket */
} npi_trial;

/* ---- The way of fresh sockets ----------------------------------------------------------------------------------- */

typedef enum npi_path_state {
    NPI_PATH_UNKNOWN, /* no reason to ask */
    NPI_PATH_ASKING,
    NPI_PATH_POOL, /* fresh sockets have different external addresses: the NAT has several */
    NPI_PATH_OTHER /* fresh sockets agree with each other, and not with the source socket */
} npi_path_state;

/* Written by path.c. */
typedef struct npi_path {
    npi_path_state state;
    size_t server;     /* whose A:P is asked */
    npi_addr external; /* of the filtering socket that had another address than the source socket */
    npi_addr local;
    uint32_t asked;
    int first_slot;
    npi_exchange x[NPI_PATH_SOCKETS];
} npi_path;

/* ---- Other sockets' mappings ------------------------------------------------------------------------------------ */

/* A destination, that with another IP address, and that with the first one's and another port. */
enum { NPI_L_FIRST, NPI_L_OTHER_IP, NPI_L_OTHER_PORT, NPI_LOOK_EXCHANGES };

typedef struct npi_look {
    npi_exchange x[NPI_LOOK_EXCHANGES]; /* a part of them is asked */
    size_t server[NPI_LOOK_EXCHANGES];  /* whose address it is */
} npi_look;

/* Fresh sockets that compare what two or three destinations see of them. Written by look.c. */
typedef struct npi_looks {
    uint32_t asked;
    bool has_no_socket; /* the system refused one (engine.c) */
    npi_look look[NPI_LOOKS];
} npi_looks;

/* ---- Optional tests --------------------------------------------------------------------------------------------- */

typedef enum npi_payload {
    NPI_PAYLOAD_STUN,       /* a request to a STUN server, answered on the socket that it left from, or another */
    NPI_PAYLOAD_INDICATION, /* STUN that no server answers */
    NPI_PAYLOAD_ECHO,       /* the same bytes come back, on another socket */
    NPI_PAYLOAD_RAW         /* bytes of another protocol, on a socket that nothing else comes to */
} npi_payload;

#define NPI_ERRAND_DATA 28 /* of a request or an answer of another protocol: as much as is kept */

/* A request of an optional test. Written by errand.c, sent by outbox.c. */
typedef struct npi_errand {
    npi_exchange x; /* without external and local if it is no STUN */
    npi_payload payload;
    int server; /* whose address it goes to; -1: no server's */
    int heard_slot;
    uint16_t response_port; /* to which NPI_PAYLOAD_STUN is to be answered; 0: to that it comes from */
    bool is_free;           /* it is over, and another one may have its place */
    uint64_t gap_ns;        /* between its copies */
    bool goes_on;           /* all copies are sent: answered or not, each tells something */
    npi_addr from;          /* of the first answer */
    npi_addr other;         /* that it named as the server's second address */
    bool (*is_answer)(const uint8_t *data, size_t size); /* NPI_PAYLOAD_RAW; NULL: anything is */
    size_t sent_size, heard_size;
    uint8_t sent_data[NPI_ERRAND_DATA], heard_data[NPI_ERRAND_DATA]; /* NPI_PAYLOAD_RAW */
} npi_errand;

typedef enum npi_optional_stage {
    NPI_OPTIONAL_NONE,  /* none was asked for */
    NPI_OPTIONAL_ASKED, /* there is no verdict yet */
    NPI_OPTIONAL_ON,
    NPI_OPTIONAL_OVER
} npi_optional_stage;

/* How far a test is. Each test counts on from 0 as it likes. */
typedef struct npi_port_test {
    int step;
    bool is_early;         /* asked before the mapping was: there is one server only */
    size_t server;         /* that is asked, or is the next to be */
    npi_addr alternate;    /* its B:Q */
    npi_errand *first;     /* I from the source socket */
    npi_errand *test;      /* II from the source socket */
    npi_errand *witness;   /* I from there, beside it */
    npi_errand *opener[2]; /* I from a fresh socket to A:P and B:Q */
    npi_errand *control;   /* II from there */
    int32_t open;          /* enum np_tristate */
} npi_port_test;

typedef struct npi_refused_test {
    int step;
    const npi_trial *trial; /* whose filtering socket is asked from */
    npi_errand *usual;      /* I from it to B:P, where nothing was refused */
    npi_errand *refused[2]; /* I from it to B:Q and A:Q, where something was */
    npi_errand *opener[2];  /* I from another fresh socket to A:P and B:Q */
    npi_errand *control;    /* II from there */
    int32_t takes_port;     /* enum np_tristate */
} npi_refused_test;

typedef struct npi_hairpin_test {
    int step;
    size_t server;         /* that shows the external addresses */
    npi_errand *witness;   /* I from the source socket, beside the two below */
    npi_errand *first;     /* I from a fresh socket */
    npi_errand *there;     /* from the source socket to it */
    npi_errand *back;      /* from it to the source socket */
    int32_t arrives;       /* enum np_tristate */
    int32_t from_external; /* enum np_tristate */
} npi_hairpin_test;

/* How a datagram from outside is had for a mapping that is idle. */
typedef enum npi_idle_way {
    NPI_IDLE_NO_WAY,
    NPI_IDLE_RESPONSE_PORT, /* another socket asks A:P to answer to the port of the mapping */
    NPI_IDLE_CHANGE         /* the socket asks B:Q to answer from A:P */
} npi_idle_way;

typedef enum npi_idle_kind {
    NPI_IDLE_ANSWERED,
    NPI_IDLE_UNANSWERED, /* nothing has come in by it */
    NPI_IDLE_COMPARING   /* answered, and asked for nothing but its external port */
} npi_idle_kind;

typedef enum npi_idle_stage {
    NPI_IDLE_DONE, /* or not begun */
    NPI_IDLE_OPENING,
    NPI_IDLE_PAUSING,
    NPI_IDLE_CONFIRMING, /* a second exchange, after the pause */
    NPI_IDLE_WAITING,
    NPI_IDLE_ASKING,
    NPI_IDLE_CLOSING,   /* a fresh socket is to take its place */
    NPI_IDLE_REOPENING, /* and has asked A:P */
    NPI_IDLE_CONTROL    /* what it asks for has to come */
} npi_idle_stage;

/* A socket left idle. Times of the test count standstills: the mapping ages meanwhile. */
typedef struct npi_idler {
    npi_idle_kind kind;
    npi_idle_stage stage;
    uint32_t idle_ms;
    npi_errand *errand; /* what is being asked; NULL: nothing */
    npi_addr external;  /* of the mapping to A:P; not set: not known */
    npi_addr local;
    uint64_t idle_least_ns; /* it is idle from then on at the latest */
    uint64_t idle_most_ns;  /* and was at the earliest */
    uint64_t asked_ns;
    uint64_t silent_ns; /* it is known by then that nothing comes in */
    uint64_t next_ns;   /* of NPI_IDLE_PAUSING, NPI_IDLE_WAITING and NPI_IDLE_CLOSING */
} npi_idler;

typedef enum npi_idle_phase {
    NPI_IDLE_NOT_BEGUN,
    NPI_IDLE_OPEN,         /* the asker and a fresh socket have asked A:P */
    NPI_IDLE_TRY_PORT,     /* does the server answer to RESPONSE-PORT? */
    NPI_IDLE_TRY_STRANGER, /* is an answer from A:P refused that comes to a socket which has not asked it? */
    NPI_IDLE_OPEN_AGAIN,   /* another fresh socket has asked A:P */
    NPI_IDLE_TRY_CHANGE,   /* and let in where one has? */
    NPI_IDLE_BETWEEN,      /* the sockets so far are being closed */
    NPI_IDLE_GREET,        /* the asker asks A:P again: its mapping may have gone */
    NPI_IDLE_ROUND,
    NPI_IDLE_OVER
} npi_idle_phase;

/* Each idle socket of each round has one, and the next one, or a socket in its place, another. */
#define NPI_IDLE_PORTS (3 * NPI_LIFETIME_ROUNDS * NPI_IDLERS + 4)
#define NPI_IDLE_SAMPLES (NPI_LIFETIME_ROUNDS * NPI_LIFETIME_TRIES + NPI_IDLE_COMPARED)

typedef struct npi_lifetime_test {
    npi_idle_phase phase;
    npi_idle_way way;
    size_t server;
    npi_errand *errand[2];
    npi_addr asker;   /* the asker's external address */
    bool keeps_ports; /* the external ports of the asker and of the next socket are the local ones */
    npi_addr opened;  /* the external address of the socket that the way is tried with */
    int round;        /* rounds begun */
    uint64_t next_ns;
    uint64_t begun_ns, told_ns, end_ns; /* end_ns: at the latest */
    npi_idler idler[NPI_IDLERS];
    uint16_t used_port[NPI_IDLE_PORTS]; /* external ports of sockets so far */
    size_t used_ports;
    npi_idle_sample sample[2][NPI_IDLE_SAMPLES]; /* by NPI_IDLE_ANSWERED and NPI_IDLE_UNANSWERED */
    size_t samples[2];
} npi_lifetime_test;

typedef struct npi_nat_behind_test {
    int step;
    npi_addr towards; /* the server that saw the external address */
    npi_addr local, external;
    npi_addr gateway;     /* on the way there; not set: none is known */
    npi_errand *question; /* to it */
    npi_addr named;       /* the external address that it named */
    int32_t another_nat;  /* enum np_tristate */
} npi_nat_behind_test;

/* Written by optional.c, and each test by the file of its name. */
typedef struct npi_optional {
    npi_optional_stage stage;
    uint64_t end_ns;    /* when they had ended */
    npi_errand *errand; /* behind the trials; without optional tests there is room for none */
    size_t errand_room;
    size_t errands;
    int sockets; /* fresh sockets that were used */
    npi_port_test port;
    npi_refused_test refused;
    npi_hairpin_test hairpin;
    npi_lifetime_test lifetime; /* idle.c */
    npi_nat_behind_test nat_behind;
} npi_optional;

/* ---- The whole experiment --------------------------------------------------------------------------------------- */

/* Written by outbox.c, received by engine.c. */
typedef struct npi_traffic {
    uint32_t sent;
    uint32_t received;
    uint32_t sent_in_vain;  /* before the path woke up; written by filtering.c */
    uint64_t first_sent_ns; /* NPI_NEVER before */
    uint64_t last_sent_ns;  /* 0 before */
    uint64_t last_heard_ns; /* when the last answer came, 0 before; written by engine.c */
    int32_t send_error;     /* last failure to send */
    int send_os_error;
} npi_traffic;

/* The starts of the latest transactions. Written by rate.c. */
typedef struct npi_rate {
    uint64_t started_ns[NPI_RATE_TRANSACTIONS]; /* a ring */
    uint32_t count;                             /* of all transactions */
} npi_rate;

/*
 * The process may stand still: suspended, paused, or in a callback that blocks. Nothing is sent or read meanwhile, so
 * silence during that time means nothing. Written by engine.c.
 */
typedef struct npi_standstill {
    uint64_t total_ns;   /* what now_ns is behind the driver's clock */
    uint64_t resumed_ns; /* on now_ns's clock; 0 when there was none */
} npi_standstill;

typedef struct npi_facts {
    npi_engine_config config;
    uint64_t start_ns;
    uint64_t now_ns; /* leaves out the times at which the process stood still, so that they age nothing */
    npi_standstill standstill;
    npi_traffic traffic;
    npi_rate rate;
    npi_path path;
    npi_looks looks;
    npi_optional optional;
    npi_server *servers; /* these two lie behind the engine */
    npi_trial *trials;
    size_t server_room, server_count;
    size_t trial_room, trial_count;
    bool more_servers; /* engine.c: names are still being resolved */
    /* schedule.c */
    uint32_t rechecks; /* rounds of asking again whether the external address is still the same */
    bool restarted;
    uint32_t looked_before; /* the most copies that looks from before a restart sent to one address */
    bool left_out_unsteady; /* engine.c: one server is unsteady */
    /* answers.c */
    bool duplicated;       /* more answers came than requests were sent, or together to copies sent apart */
    bool any_answer;       /* some request was answered, if only a CHANGE-REQUEST */
    bool any_untranslated; /* a server at a global address saw this host's own private address */
    bool any_unusable; /* something came that could not be used: from a server's address, or with the id of a request */
    uint16_t stun_error; /* the code of the last error that a plain request was answered with; 0: none */
    npi_addr elsewhere;  /* the first address from which an answer came to a request that had gone to another */
    uint32_t evidence;   /* bits of enum np_evidence; every file adds what it learns */
    /* engine.c */
    bool done;
    int32_t error;
    int os_error;
    uint64_t end_ns;
} npi_facts;

/* ---- Requests --------------------------------------------------------------------------------------------------- */

/* A request that is not to be sent yet. */
void npi_exchange_init(npi_exchange *x, const char *name, int slot, const npi_addr *to, uint32_t change,
                       uint32_t max_copies);
/* The same from the source socket, to be sent as soon as the rate allows. */
void npi_exchange_ask(npi_exchange *x, const char *name, const npi_addr *to, uint32_t change, uint32_t max_copies);
bool npi_exchange_is_answered(const npi_exchange *x);
/* Answered, and with an external address that counts. */
bool npi_exchange_has_external(const npi_exchange *x);
/* Not answered, and its last copy did not leave. */
bool npi_exchange_is_unsent(const npi_exchange *x);
/* It was queued, was sent, or cannot be sent. */
bool npi_exchange_was_asked(const npi_exchange *x);
/* When all its copies are sent and age_ns old, so that no answer is expected any more; at once when it failed. */
uint64_t npi_exchange_over_ns(const npi_exchange *x, uint64_t age_ns);

/* Which request an id on a slot belongs to; exchange is NULL when to none, trial when to none's. */
typedef struct npi_origin {
    npi_server *server;
    npi_trial *trial;
    npi_exchange *exchange;
} npi_origin;
npi_origin npi_facts_find(npi_facts *f, int slot, const npi_stun_id *id);
/* The request of an optional test that x is; NULL: it is none. */
const npi_errand *npi_facts_errand(const npi_facts *f, const npi_exchange *x);
/*
 * Calls visit for each request of the check, and of no optional test, with the server that it went to; none from before
 * a restart.
 */
typedef void (*npi_visit_fn)(const npi_server *s, const npi_exchange *x, void *user);
void npi_facts_each(const npi_facts *f, npi_visit_fn visit, void *user);

/* ---- Servers and trials ----------------------------------------------------------------------------------------- */

bool npi_server_is_started(const npi_server *s);
bool npi_server_has_answered(const npi_server *s);
size_t npi_facts_count_started(const npi_facts *f);
/* What a check may send: so much, and more for each server beyond two. */
uint32_t npi_facts_budget(const npi_facts *f, uint32_t datagrams, uint32_t more);
/* The path to it was silent until its first answer: a round trip is no longer than this. */
void npi_server_woke(npi_server *s, uint64_t rtt_ns);
/* Times of the path to it count no longer: the host may be in another network now. */
void npi_server_forget_path(npi_server *s);
/* I to A:P again, from the source socket, as soon as the rate allows; a request before it is forgotten. */
void npi_server_ask_again(npi_server *s);
/* Its answers queue up: what has not been answered is not lost yet. */
bool npi_server_is_slow(const npi_server *s);
/* Whether the filtering is asked for, and not the mapping alone. */
bool npi_facts_tests_filtering(const npi_facts *f);
/* How many servers fell silent during their filtering tests. */
size_t npi_facts_count_fell_silent(const npi_facts *f);
/* How many copies of all requests have gone to its addresses. */
uint32_t npi_server_copies(const npi_facts *f, const npi_server *s);
uint32_t npi_server_copies_before(const npi_facts *f, const npi_server *s, uint64_t when_ns);
/* The trial of a server, or NULL. */
const npi_trial *npi_server_trial(const npi_facts *f, const npi_server *s);
const npi_server *npi_trial_server(const npi_facts *f, const npi_trial *t);
/* The rtt of a server with its deviation: an unanswered copy of that age counts as lost. */
uint64_t npi_trial_rto(const npi_facts *f, const npi_trial *t);
/* The same for an answer from B, which may be farther away: nobody knows before B has answered a plain request. */
uint64_t npi_trial_far_rto(const npi_facts *f, const npi_trial *t);
/* Where an answer to a CHANGE-REQUEST has to come from: B:Q or A:Q. */
npi_addr npi_server_expected_source(const npi_server *s, uint32_t change);
/* A byte as random as an id is, the same for one round whenever it is asked. */
uint8_t npi_filtering_random(const npi_filtering *p, uint32_t round);
/* Whether the source socket has sent to this address, or to any port of it. */
bool npi_facts_has_contacted(const npi_facts *f, const npi_addr *address);
bool npi_facts_has_contacted_ip(const npi_facts *f, const npi_addr *address);

/* How many more copies may go to an address that a server named: several servers may name the same one. */
uint32_t npi_facts_copies_left(const npi_facts *f, const npi_addr *to);
/* The most copies that looks have sent to one address. */
uint32_t npi_facts_most_copies_of_looks(const npi_facts *f);

/* How long the experiment has gone on at a time on now_ns's clock, standstills included: as its user sees it. */
uint64_t npi_facts_elapsed_ns(const npi_facts *f, uint64_t t_ns);
/* The source socket has been seen from some server's primary address. */
bool npi_facts_has_mapping(const npi_facts *f);
/* Some request of the trial, or of any, is not answered and did not leave. */
bool npi_trial_is_unsent(const npi_trial *t);
bool npi_facts_is_unsent(const npi_facts *f);
bool npi_trial_is_decided(const npi_trial *t);
/* A finding that nobody was told of holds no longer. */
void npi_take_back(npi_trial *t);
void npi_decide(npi_trial *t, int32_t filtering);
/* As measured: no control was possible. */
void npi_decide_unproven(npi_trial *t, int32_t filtering);
void npi_decide_unknown(npi_facts *f, npi_trial *t, npi_reason reason);

#endif
