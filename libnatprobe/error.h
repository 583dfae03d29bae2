/* SPDX-License-Identifier: MIT */
/* Codes and texts: implements the name and description functions of natprobe.h and has no others. */
#ifndef NPI_ERROR_H
#define NPI_ERROR_H

#include <natprobe/natprobe.h>

#endif
