/* SPDX-License-Identifier: MIT */
/* One address of one server in a survey. */
#include "inspection.h"

#include <string.h>

#include <natprobe/natprobe.h>

#include "clock.h"
#include "random.h"
#include "transport_errors.h"

/* Datagrams read before the other servers get their turn. */
#define READ_BURST 32
#define RECEIVE_ROOM 2048
#define RETRY_NS (100 * UINT64_C(1000000))
#define NS_PER_US 1000

int npi_inspection_open(npi_inspection *i, const npi_addr *server, const npi_addr *source, const char *interface,
                        uint64_t start_ns, npi_failure *failure)
{
    npi_addr local = *source;
    memset(i, 0, sizeof *i);
    npi_appraisal_init(&i->appraisal, server);
    i->next_ns = start_ns;
    i->socket = NPI_SOCKET_CLOSED;
    local.family = server->family;
    local.port = 0;
    int error = npi_socket_open_on(&i->socket, &local, interface, failure);
    i->is_open = error == NP_OK;
    return error;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

static size_t find_asked(const npi_inspection *i, const npi_stun_id *id)
{
    size_t n = 0;
    while (n < i->asked_count && !npi_stun_id_equal(&i->asked[n].id, id))
        n++;
    return n;
}

/* Where the socket is bound to no address, the datagram tells to which it came. */
static npi_addr local_of(const npi_inspection *i, const npi_received *got)
{
    npi_addr local = got->local;
    npi_failure unused;
    if (npi_addr_is_set(&local) && !npi_addr_is_any(&local))
        return local;
    if (!npi_local_address_for(&i->socket, &got->from, &local, &unused))
        local.family = NPI_FAMILY_NONE;
    return local;
}

static void take_datagram(npi_inspection *i, const npi_received *got, const uint8_t *data, uint64_t now_ns)
{
    npi_stun_response response;
    npi_stun_kind kind = got->truncated ? NPI_STUN_DROP : npi_stun_decode(data, got->size, &response);
    size_t n = kind != NPI_STUN_DROP ? find_asked(i, &response.id) : i->asked_count;
    if (n == i->asked_count) {
        npi_appraisal_unusable(&i->appraisal);
        return;
    }
    npi_reply reply = {
        .ask = i->asked[n].ask,
        .from = npi_addr_unmap(&got->from),
        .local = local_of(i, got),
        .rtt_us = (now_ns - i->asked[n].sent_ns) / NS_PER_US,
        .is_classic = i->asked[n].is_classic,
        .is_again = i->asked[n].is_answered,
    };
    if (kind == NPI_STUN_SUCCESS || kind == NPI_STUN_ERROR)
        i->asked[n].is_answered = true;
    npi_appraisal_take(&i->appraisal, &reply, &response);
}

bool npi_inspection_receive(npi_inspection *i)
{
    uint8_t buffer[RECEIVE_ROOM];
    npi_received got;
    int os_error;
    for (int n = 0; n < READ_BURST; n++) {
        if (npi_socket_receive(&i->socket, buffer, sizeof buffer, &got, &os_error) != NPI_IO_OK)
            return true;
        take_datagram(i, &got, buffer, npi_clock_now());
        if (!npi_appraisal_received(&i->appraisal))
            return false;
    }
    return true;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

bool npi_inspection_is_due(const npi_inspection *i, uint64_t now_ns)
{
    return !i->is_over && i->next_ns <= now_ns;
}

bool npi_inspection_will_send(const npi_inspection *i)
{
    return i->asked_count < NPI_INSPECTION_ASKED && npi_appraisal_next(&i->appraisal) != NPI_ASK_NOTHING;
}

void npi_inspection_put_off(npi_inspection *i, uint64_t until_ns)
{
    i->next_ns = until_ns;
}

/* It leaves, or counts as lost where the system or the network refuses it. */
static void send_request(npi_inspection *i, npi_ask ask, const npi_stun_id *id, uint64_t now_ns)
{
    uint8_t data[NPI_STUN_REQUEST_SIZE];
    int os_error = 0;
    npi_addr target = npi_appraisal_target(&i->appraisal, ask);
    bool is_classic = npi_appraisal_dialect(&i->appraisal) == NPI_STUN_RFC3489;
    size_t size = npi_stun_encode_request(data, id, npi_appraisal_change(ask));
    npi_io io = npi_socket_send(&i->socket, &target, data, size, &os_error);
    i->next_ns = now_ns + NPI_INSPECTION_GAP_NS;
    i->last_ns = now_ns;
    i->error = io == NPI_IO_ERROR ? npi_error_from_errno(os_error) : NP_OK;
    i->failure = (npi_failure){.call = "sendto", .os_error = os_error};
    if (io == NPI_IO_AGAIN)
        return;
    npi_appraisal_sent(&i->appraisal, ask);
    i->asked[i->asked_count].id = *id;
    i->asked[i->asked_count].ask = ask;
    i->asked[i->asked_count].sent_ns = now_ns;
    i->asked[i->asked_count].is_classic = is_classic;
    i->asked_count++;
}

void npi_inspection_go_on(npi_inspection *i, uint64_t now_ns)
{
    uint8_t random[NPI_STUN_ID_SIZE];
    if (!npi_inspection_will_send(i)) {
        uint64_t end_ns = i->last_ns + NPI_INSPECTION_PATIENCE_NS;
        i->is_over = end_ns <= now_ns;
        i->next_ns = end_ns;
        return;
    }
    if (!npi_random_bytes(random, sizeof random)) {
        i->next_ns = now_ns + RETRY_NS;
        return;
    }
    npi_stun_id id = npi_stun_make_id(npi_appraisal_dialect(&i->appraisal), random);
    send_request(i, npi_appraisal_next(&i->appraisal), &id, now_ns);
}

/* ---- Beside others ---------------------------------------------------------------------------------------------- */

static bool has_ip(const npi_inspection *i, const npi_addr *ip)
{
    const npi_appraisal *a = &i->appraisal;
    return npi_addr_same_ip(&a->server, ip) || (npi_appraisal_has_alternate(a) && npi_addr_same_ip(&a->alternate, ip));
}

bool npi_inspection_are_related(const npi_inspection *a, const npi_inspection *b)
{
    return has_ip(b, &a->appraisal.server) ||
           (npi_appraisal_has_alternate(&a->appraisal) && has_ip(b, &a->appraisal.alternate));
}

void npi_inspection_close(npi_inspection *i)
{
    npi_socket_close(&i->socket);
    i->is_open = false;
}
