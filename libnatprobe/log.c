/* SPDX-License-Identifier: MIT */
/* Formats log lines and hands them to the caller's sink. */
#include "log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int npi_log_wants(const npi_log *log, int32_t level)
{
    return log->sink != NULL && level <= log->level;
}

/* What a server or a caller wrote may stand in a line; it must not break the line or steer a terminal. */
static void replace_controls(char *line)
{
    for (char *c = line; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < 0x20 || byte == 0x7f)
            *c = '?';
    }
}

void npi_log_write(const npi_log *log, int32_t level, const char *format, ...)
{
    if (!npi_log_wants(log, level))
        return;
    char line[NPI_LOG_LINE];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (length < 0)
        return;
    replace_controls(line);
    log->sink(level, line, log->user);
}
