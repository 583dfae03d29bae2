/* SPDX-License-Identifier: MIT */
/*
 * What the system tells of changes of this host's network. netchange_linux.c hears netlink, netchange_route.c the
 * routing socket of macOS and the BSDs, netchange_windows.c NotifyIpInterfaceChange and its like. Where none of them is
 * to be had, vantage.h is asked again and again instead.
 */
#ifndef NPI_NETCHANGE_H
#define NPI_NETCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "addr.h"
#include "poller.h"

/* What has happened, as bits. */
#define NPI_NET_QUIET 0U
#define NPI_NET_LOOK 1U  /* something that may concern this host's own address */
#define NPI_NET_CUT 2U   /* the link in use, or the way out, is or was another: even if all looks the same */
#define NPI_NET_CLOCK 4U /* the wall clock was set, or the host was suspended */

/* The interfaces in use, by index; 0 where one is not known: then it may be any. */
#define NPI_NET_LINKS 2
#define NPI_NET_DOWN 16 /* more links than are ever down of those in use */

typedef struct npi_netchange {
#ifdef _WIN32
    struct npi_notices *notices; /* shared with the system's threads; NULL: closed */
#else
    int fd;       /* of the notices; -1: there are none to be had */
    int clock_fd; /* Linux: becomes readable when the wall clock is set, which includes the end of a suspension */
    uint32_t down[NPI_NET_DOWN]; /* links that have gone down, and not come up since; 0: free */
#endif
} npi_netchange;

/* Begins to listen, and lets the poller watch for it. False, without a trace, where no notices are to be had. */
bool npi_netchange_open(npi_netchange *n, npi_poller *poller, uint32_t tag);
/* All that has happened since the last time. */
unsigned npi_netchange_take(npi_netchange *n, const uint32_t used[NPI_NET_LINKS]);
/* Any number of times, also of one that could not be opened. */
void npi_netchange_close(npi_netchange *n, npi_poller *poller);
/* The index of the interface that has this address of the host's; 0 where it cannot be told. */
uint32_t npi_netchange_link_of(const npi_addr *local);

#ifndef _WIN32
/* What the notices in a buffer tell; each system has its own form. */
unsigned npi_netchange_parse(npi_netchange *n, const uint8_t *data, size_t size, const uint32_t used[NPI_NET_LINKS]);
/* A link is up or down: what that tells. */
unsigned npi_netchange_note_link(npi_netchange *n, uint32_t link, bool is_up, const uint32_t used[NPI_NET_LINKS]);
bool npi_netchange_is_used(const uint32_t used[NPI_NET_LINKS], uint32_t link);
/* Reads notices until none is left. */
unsigned npi_netchange_drain(npi_netchange *n, const uint32_t used[NPI_NET_LINKS]);
#endif

#endif
