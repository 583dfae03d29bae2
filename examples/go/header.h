/* SPDX-License-Identifier: MIT */
/* natprobe.h: of the library that is compiled with this package, or with the tag natprobe_system of the system's. */
#ifndef NATPROBE_GO_HEADER_H
#define NATPROBE_GO_HEADER_H

#ifdef NATPROBE_GO_SYSTEM
#include <natprobe/natprobe.h>
#else
#include "natprobe.h"
#endif

#endif
