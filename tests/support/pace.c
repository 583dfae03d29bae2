/* SPDX-License-Identifier: MIT */
/* The numbers of docs/METHOD.md once more, so that no mistake in the library's can hide in the tests. */
#include "pace.h"

#define MS UINT64_C(1000000)
#define USUAL_GAP_NS (10 * MS)
/* The dense start: its gap, how long it lasts, and how many copies one test may then have. */
#define DENSE_GAP_NS (2 * MS)
#define DENSE_NS (30 * MS)
#define DENSE_COPIES 12

static unsigned index_of(uint32_t change)
{
    return change >> 1 & 3;
}

void pace_count(pace *p, uint32_t change, uint64_t now_ns)
{
    unsigned all = 0;
    for (unsigned i = 0; i < 4; i++)
        all += p->copies[i];
    if (all == 0)
        p->start_ns = now_ns;
    p->copies[index_of(change)]++;
}

uint64_t pace_least_gap_ns(const pace *p, uint32_t change, uint64_t now_ns)
{
    bool is_dense = now_ns - p->start_ns <= DENSE_NS && p->copies[index_of(change)] <= DENSE_COPIES;
    return is_dense ? DENSE_GAP_NS : USUAL_GAP_NS;
}

uint64_t pace_usual_gap_ns(void)
{
    return USUAL_GAP_NS;
}
