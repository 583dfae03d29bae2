/* SPDX-License-Identifier: MIT */
/* Formats log lines into a fixed buffer and hands finished strings to the caller's sink. */
#ifndef NPI_LOG_H
#define NPI_LOG_H

#include <stdint.h>

#include <natprobe/natprobe.h>

typedef struct npi_log {
    np_log_fn sink; /* NULL: off */
    void *user;
    int32_t level;
} npi_log;

#define NPI_LOG_LINE 256 /* longer lines are cut */

int npi_log_wants(const npi_log *log, int32_t level);
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void npi_log_write(const npi_log *log, int32_t level, const char *format, ...);

#endif
