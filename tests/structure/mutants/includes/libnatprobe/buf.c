/* SPDX-License-Identifier: MIT */
/* Seeded violation: the lowest layer reaches up, and reaches for the system. */
#include <sys/socket.h>

#include "engine/engine.h"
