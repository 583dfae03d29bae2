/* SPDX-License-Identifier: MIT */
/* seeded: x86_64-openbsd: sys/random.h: a header that one system does not have */
#include <sys/random.h>
#include <sys/types.h>

typedef size_t seeded_size;
