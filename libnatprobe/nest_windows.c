/* SPDX-License-Identifier: MIT */
/* One event behind another: a thread that Windows keeps for such waits passes it on. */
#include "nest.h"

#include <winsock2.h>

#include "failure.h"

static void CALLBACK pass_on(void *event, BOOLEAN is_timeout)
{
    (void)is_timeout;
    SetEvent(event);
}

/* What passes it on has ended before either event is closed. */
static void give_up(npi_nest *n)
{
    if (n->wait != NULL)
        UnregisterWaitEx(n->wait, INVALID_HANDLE_VALUE);
    n->wait = NULL;
}

/* The inner event stays set until it is dealt with, so each wait is for once. */
bool npi_nest_arm(npi_nest *n, npi_poller *outer, uint32_t tag, np_socket fd, void *handle)
{
    (void)tag;
    (void)fd;
    give_up(n);
    n->is_armed = RegisterWaitForSingleObject(&n->wait, handle, pass_on, outer->event, INFINITE,
                                              WT_EXECUTEINWAITTHREAD | WT_EXECUTEONLYONCE) != 0;
    if (n->is_armed)
        return true;
    n->wait = NULL;
    (void)npi_take_windows_error();
    return false;
}

void npi_nest_disarm(npi_nest *n, npi_poller *outer)
{
    (void)outer;
    give_up(n);
    *n = NPI_NEST_NONE;
}
