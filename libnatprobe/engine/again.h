/* SPDX-License-Identifier: MIT */
/*
 * I to A:P again, as another copy of the request that A:P has answered (docs/METHOD.md section 8): a copy is no new
 * transaction, so it needs no room in the rate.
 */
#ifndef NPI_ENGINE_AGAIN_H
#define NPI_ENGINE_AGAIN_H

#include "facts.h"

/* Whether s may be asked again by a copy: nothing shows that another answer may be one to an earlier copy. */
bool npi_again_may_copy(const npi_facts *f, const npi_server *s);
/* The same, and A:P of s has not been asked again yet. */
bool npi_again_is_left(const npi_facts *f, const npi_server *s);
/* From when on that copy may leave. */
uint64_t npi_again_copy_ns(const npi_server *s);
/* Whether x is such a copy, under way or answered. */
bool npi_again_is_copy(const npi_server *s, const npi_exchange *x);
/* The id that it bears. */
npi_stun_id npi_again_id(const npi_server *s);
/*
 * Whose an answer is that comes now with the id of x. If it comes too early for the copy it is x's, and A:P is asked
 * again by a new transaction.
 */
npi_exchange *npi_again_take(const npi_facts *f, npi_server *s, npi_exchange *x);

#endif
