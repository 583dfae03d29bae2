/* SPDX-License-Identifier: MIT */
/* See pretended_nat.h. */
#include "pretended_nat.h"

unsigned pretended_out(pretended_nat *nat, const endpoint *client, unsigned asked)
{
    unsigned i = 0;
    while (i < nat->client_count && !endpoint_equal(&nat->clients[i].address, client))
        i++;
    if (i == PRETENDED_CLIENTS)
        i--;
    else if (i == nat->client_count)
        nat->clients[nat->client_count++] = (struct pretended_client){.address = *client};
    nat->clients[i].asked |= 1u << asked;
    nat->requests++;
    nat->moved = nat->moved || asked != 0;
    return i;
}

/* One after the other they look drawn: neighbours are never next to each other. */
static unsigned one_of_few(const pretended_nat *nat, const endpoint *client)
{
    unsigned i = 0;
    while (i < nat->client_count && nat->clients[i].address.port != client->port)
        i++;
    return 20000 + i * 5 % 16; /* below what the system gives: never the local port */
}

endpoint pretended_seen(const pretended_nat *nat, const endpoint *client, unsigned asked)
{
    const unsigned shifts[] = {
        [MAPPING_TRUE] = 0,
        [MAPPING_SHIFTED] = 1,
        [MAPPING_BY_ADDRESS] = 1 + asked / 2,
        [MAPPING_BY_ENDPOINT] = 1 + asked + 4 * nat->number,
        [MAPPING_MOVING_ONCE] = nat->moved ? 2 : 1,
        [MAPPING_WANDERING] = nat->requests,
        [MAPPING_FEW_PORTS] = 0,
    };
    const unsigned port = nat->mapping == MAPPING_FEW_PORTS ? one_of_few(nat, client)
                                                            : client->port + shifts[nat->mapping];
    return endpoint_with_port(client, (uint16_t)(port > 65535 ? port - 30000 : port));
}

bool pretended_lets_in(const pretended_nat *nat, unsigned client, unsigned asked, unsigned from)
{
    const unsigned opened = nat->mapping == MAPPING_BY_ENDPOINT ? 1u << asked : nat->clients[client].asked;
    if (nat->filtering == DEP_INDEPENDENT || (opened & 1u << from) != 0)
        return true;
    return nat->filtering == DEP_ADDRESS && (opened & 3u << (from & 2u)) != 0;
}
