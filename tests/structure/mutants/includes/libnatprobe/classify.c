/* SPDX-License-Identifier: MIT */
/* Seeded violation: a module of the core that knows the bytes of another of its own layer. */
#include "classify.h"
#include "stun.h"
