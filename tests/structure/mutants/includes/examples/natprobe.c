/* SPDX-License-Identifier: MIT */
/* Seeded violation: a program that looks inside. */
#include "../libnatprobe/addr.h"
