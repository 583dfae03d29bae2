/* SPDX-License-Identifier: MIT */
/*
 * The optional test PORT (docs/METHOD.md section 18): may strangers send to the source port? The source socket asks for
 * II while it has not sent to any port of the address that the answer comes from.
 */
#ifndef NPI_ENGINE_PORT_H
#define NPI_ENGINE_PORT_H

#include "facts.h"

/*
 * Before the mapping requests of the only server open the way: makes the test if it is asked for. Until when they have
 * to wait; a time that has passed when they need not.
 */
uint64_t npi_port_hold_ns(npi_facts *f, const npi_trial *t);
/* After the verdict. True when it is over; otherwise *wake_ns is moved forward to when to look again. */
bool npi_port_step(npi_facts *f, uint64_t *wake_ns);

#endif
