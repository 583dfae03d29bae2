/* SPDX-License-Identifier: MIT */
/* Sending and receiving a datagram: what is the same on every system. */
#include <errno.h>
#include <string.h>

#include "transport.h"

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

/* An IPv6 socket that speaks IPv4 wants an IPv4-mapped address. */
static socklen_t destination_of(const npi_socket *s, const npi_addr *to, npi_sockaddr *out)
{
    if (!s->is_mapped || to->family != NPI_IPV4)
        return npi_sockaddr_from(to, out);
    npi_addr mapped = {.family = NPI_IPV6, .ip = {[10] = 0xff, [11] = 0xff}, .port = to->port};
    memcpy(mapped.ip + 12, to->ip, 4);
    return npi_sockaddr_from(&mapped, out);
}

/* The link that an address names outweighs the interface of the socket: the datagram would leave by another one. */
static bool is_on_other_link(const npi_socket *s, const npi_addr *to)
{
    return s->link != 0 && to->scope != 0 && to->scope != s->link;
}

npi_io npi_socket_send(npi_socket *s, const npi_addr *to, const uint8_t *data, size_t size, int *os_error)
{
    npi_sockaddr name;
    socklen_t length = destination_of(s, to, &name);
    *os_error = ENETUNREACH;
    if (is_on_other_link(s, to))
        return NPI_IO_ERROR;
    *os_error = npi_send_once(s->fd, &name, length, data, size);
    if (npi_is_left_by_icmp(*os_error))
        *os_error = npi_send_once(s->fd, &name, length, data, size);
    if (*os_error == 0)
        return NPI_IO_OK;
    if (npi_is_no_room(*os_error))
        return NPI_IO_AGAIN;
    /* No address of ours to send from: as there is a socket, this is the network's fault and not the caller's. */
    if (*os_error == EADDRNOTAVAIL)
        *os_error = ENETUNREACH;
    return NPI_IO_ERROR;
}

/* ---- Receiving -------------------------------------------------------------------------------------------------- */

npi_io npi_socket_receive(npi_socket *s, uint8_t *buffer, size_t room, npi_received *out, int *os_error)
{
    int passed_over = 0;
    do {
        *os_error = npi_receive_once(s, buffer, room, out);
    } while (npi_is_left_by_icmp(*os_error) && ++passed_over < NPI_PASSED_OVER_MAX);
    if (*os_error == 0)
        return NPI_IO_OK;
    return npi_is_no_room(*os_error) || npi_is_left_by_icmp(*os_error) ? NPI_IO_AGAIN : NPI_IO_ERROR;
}
