/* SPDX-License-Identifier: MIT */
/* Seeded violation: a socket that knows STUN. */
#include "stun.h"
