/* SPDX-License-Identifier: MIT */
/* One address of one server in a survey: its socket, and when the next datagram may go there. */
#ifndef NPI_INSPECTION_H
#define NPI_INSPECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "appraisal.h"
#include "failure.h"
#include "poller.h"
#include "stun.h"
#include "transport.h"

/* From one datagram to a server to the next. */
#define NPI_INSPECTION_GAP_NS UINT64_C(1000000000)
/* How long answers to the last one are waited for. */
#define NPI_INSPECTION_PATIENCE_NS UINT64_C(2000000000)
#define NPI_INSPECTION_ASKED 40 /* more than a server is ever asked */

typedef struct npi_inspection {
    bool is_open;
    bool is_over;
    npi_appraisal appraisal;
    npi_socket socket;
    npi_failure failure; /* why the last datagram did not leave */
    int error;           /* the same as a code; NP_OK: it left, or none was sent */
    uint64_t last_ns;    /* when a datagram was sent last; 0: never */
    uint64_t next_ns;    /* when there is something to do without a datagram */
    size_t asked_count;
    struct {
        npi_stun_id id;
        npi_ask ask;
        uint64_t sent_ns;
        bool is_classic;
        bool is_answered;
    } asked[NPI_INSPECTION_ASKED];
} npi_inspection;

/* Opens its socket; nothing is sent before start_ns. NP_OK or an NP_ERR_* code, with the call that failed. */
int npi_inspection_open(npi_inspection *i, const npi_addr *server, const npi_addr *source, const char *interface,
                        uint64_t start_ns, npi_failure *failure);
/* Takes in what has come. False when it is too much: then the socket is to be closed, and nothing more is asked. */
bool npi_inspection_receive(npi_inspection *i);
/* Whether its time has come to send or to end. */
bool npi_inspection_is_due(const npi_inspection *i, uint64_t now_ns);
/* What it does then is to send. */
bool npi_inspection_will_send(const npi_inspection *i);
/* It has to wait for another one. */
void npi_inspection_put_off(npi_inspection *i, uint64_t until_ns);
/* Sends the next request, or ends. Where the kernel gives no random numbers yet, it tries again soon. */
void npi_inspection_go_on(npi_inspection *i, uint64_t now_ns);
/* Whether both concern one server, as far as is known: then what goes to one counts for the other. */
bool npi_inspection_are_related(const npi_inspection *a, const npi_inspection *b);
void npi_inspection_close(npi_inspection *i);

#endif
