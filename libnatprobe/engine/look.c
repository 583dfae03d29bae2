/* SPDX-License-Identifier: MIT */
/* One fresh socket after the other, each of which asks two or three destinations at once. */
#include "look.h"

#include "findings.h"

void npi_look_ask(npi_facts *f)
{
    npi_look_advice advice = npi_mapping_look(f);
    npi_look *look = &f->looks.look[f->looks.asked];
    if (advice.state != NPI_LOOK_NEEDED)
        return;
    npi_log_write(&f->config.log, NP_LOG_DEBUG, "equal ports may be chance: another socket compares them");
    for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
        if (!advice.is_wanted[k])
            continue;
        const npi_addr *to = &advice.seen[k].destination;
        uint32_t left = npi_facts_copies_left(f, to);
        npi_exchange_ask(&look->x[k], "look I", to, 0, left < NPI_LOOK_COPIES ? left : NPI_LOOK_COPIES);
        look->x[k].slot = NPI_SLOT_LOOK + (f->restarted ? NPI_LOOKS : 0) + (int)f->looks.asked;
        look->x[k].queued = left > 0;
        look->x[k].failed = left == 0;
        look->server[k] = advice.seen[k].witness;
    }
    f->looks.asked++;
}

bool npi_look_needs_slot(const npi_facts *f, int slot)
{
    for (uint32_t i = 0; i < f->looks.asked; i++) {
        for (int k = 0; k < NPI_LOOK_EXCHANGES; k++) {
            const npi_exchange *x = &f->looks.look[i].x[k];
            bool is_open = (x->queued || x->t.started) && !x->failed && !npi_exchange_is_answered(x);
            if (x->slot == slot && is_open)
                return true;
        }
    }
    return false;
}
