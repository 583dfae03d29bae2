/* SPDX-License-Identifier: MIT */
/* How macOS, FreeBSD, OpenBSD and NetBSD write their tables of routes (64 bits). */
#ifndef ROUTE_LAYOUTS_H
#define ROUTE_LAYOUTS_H

#include "route_table.h"

/*
 * Where the headers of these systems have what; their sizes are those of struct rt_msghdr. What is written here is read
 * from the headers, and not from gateway_bsd.c.
 */
typedef struct kernel {
    const char *name;
    npi_route_layout layout;
} kernel;

enum { MACOS, FREEBSD, OPENBSD, NETBSD, KERNELS };

static const kernel kernels[KERNELS] = {
    {"macOS",
     {.version = 5, .header_size = 92, .index_at = 4, .flags_at = 8, .addrs_at = 12, .align = 4, .scoped = 0x1000000}},
    {"FreeBSD", {.version = 5, .header_size = 152, .index_at = 4, .flags_at = 8, .addrs_at = 12, .align = 8}},
    {"OpenBSD",
     {.version = 5,
      .header_size = 96,
      .length_at = 4,
      .index_at = 6,
      .priority_at = 10,
      .flags_at = 16,
      .addrs_at = 12,
      .align = 8}},
    {"NetBSD", {.version = 4, .header_size = 120, .index_at = 4, .flags_at = 8, .addrs_at = 12, .align = 8}},
};

#endif
