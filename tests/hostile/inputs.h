/* SPDX-License-Identifier: MIT */
/*
 * The hostile inputs. Each has a number, and a name that ends with where it was met: an RFC's rule, a CVE, another
 * project's issue or test. Those that are nothing but bytes are made here; the rest (who sends, when, how often) is
 * each test program's own.
 */
#ifndef TESTS_HOSTILE_INPUTS_H
#define TESTS_HOSTILE_INPUTS_H

#include "../support/message.h"

/* A request as it reaches its server, and what an honest answer would say. */
typedef struct question {
    uint8_t request[REQUEST_ROOM];
    size_t size;
    bool classic;      /* without the magic cookie, RFC 3489 */
    unsigned change;   /* flags of CHANGE-REQUEST; 0: a plain request */
    endpoint asked;    /* where it went */
    endpoint answerer; /* where the honest answer comes from */
    endpoint mapped;   /* what the server sees */
    endpoint other;    /* what the server names as its other address; family 0: none */
} question;

/* Reads what is in the request itself; false when it is none of ours. */
bool question_read(question *q, const uint8_t *bytes, size_t size);

typedef enum outcome {
    DROP,   /* as if it had not come */
    FAIL,   /* the server is passed over, and whatever rests on it is unknown */
    PROXY,  /* the same, and something on the path is said to answer for it */
    ACCEPT, /* as good as the good answer */
    REFUSE  /* the second address that it names is not used */
} outcome;

/* What an input is for: which program, and requests of which form. */
enum { ENGINE = 1, SOCKETS = 2, NEW = 4, CLASSIC = 8, EVERYWHERE = ENGINE | SOCKETS | NEW | CLASSIC };

typedef struct input {
    unsigned number;
    outcome outcome;
    unsigned use;
    unsigned variants;
    void (*make)(message *m, const question *q, unsigned variant);
} input;

extern const input inputs[];
extern const size_t input_count;

void make_good(message *m, const question *q);
/* An answer that would be good if it did not lie: about the address it sees, and with a victim as the other address. */
void make_lie(message *m, const question *q);
/* What lies are about. No test allows a datagram to the victim. */
endpoint lying_mapped(const question *q);
endpoint victim(const question *q);

/* Ids that can be thought of instead of a request's: its neighbours, all zeros, all ones. */
enum { GUESSES = 4 };
void make_guess(message *m, const question *q, unsigned nth);

enum { FIRST_NUMBER = 1, LAST_NUMBER = 81 };

typedef struct listed {
    unsigned number;
    const char *name;             /* hNN_what__SOURCE */
    const char *not_over_sockets; /* why, or NULL */
} listed;

extern const listed catalogue[LAST_NUMBER];

/* What a program does for a number beside these inputs. Its function has the name of the catalogue. */
typedef struct hostile_case {
    const char *name;
    void (*run)(void);
} hostile_case;
#define HOSTILE_CASE(function)                                                                                         \
    {                                                                                                                  \
#function, function                                                                                            \
    }

/* NULL where a number has none. */
const hostile_case *find_case(const hostile_case *cases, size_t count, unsigned number);
/* Whether every case has a name of the catalogue, and none is there twice. */
bool are_cases_listed(const hostile_case *cases, size_t count);

/* What is wrong with a list that is to have every number once, or NULL. */
const char *catalogue_fault(const listed *list, size_t count);
/* How many rows of the table above a number has for a program. */
size_t count_inputs(unsigned number, unsigned use);
/* Gives each of a number's inputs for that use to the check of its outcome. How many there were. */
unsigned for_each_input(unsigned number, unsigned use, void (*const checks[])(const input *));

#endif
