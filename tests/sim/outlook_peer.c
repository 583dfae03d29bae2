/* SPDX-License-Identifier: MIT */
#include "outlook_peer.h"

#define PACE_NS (200 * MS)
#define SENDS_MAX 10 /* of its own accord: two seconds */

void peer_begin(peer *p, const peer_plan *plan, uint64_t now_ns)
{
    *p = (peer){.plan = *plan, .target = plan->told, .next_ns = NEVER};
    if (plan->opens)
        p->next_ns = now_ns;
    else if (plan->initiates)
        p->next_ns = now_ns + plan->wait_ns;
}

void peer_hear_of_opening(peer *p, uint64_t now_ns)
{
    if (p->plan.opens && p->plan.initiates)
        p->next_ns = now_ns + p->plan.wait_ns;
}

static bool can_send(const peer *p)
{
    return p->target.family != 0;
}

bool peer_send(peer *p, uint64_t now_ns, peer_datagram *out)
{
    if (p->next_ns > now_ns)
        return false;
    bool is_opening = p->plan.opens && p->sent == 0;
    *out = (peer_datagram){.to = p->target, .has_heard = p->has_heard, .dies = is_opening};
    p->sent++;
    p->next_ns = is_opening || p->sent > SENDS_MAX ? NEVER : now_ns + PACE_NS;
    return can_send(p);
}

bool peer_receive(peer *p, const endpoint *from, bool has_heard, peer_datagram *answer)
{
    if (!p->plan.learns && !endpoint_equal(from, &p->plan.told))
        return false;
    p->has_heard = true;
    p->is_confirmed = p->is_confirmed || has_heard;
    p->target = *from;
    *answer = (peer_datagram){.to = p->target, .has_heard = true};
    return !has_heard && can_send(p); /* answers to answers would never end */
}
