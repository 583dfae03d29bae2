/* SPDX-License-Identifier: MIT */
/* seeded: x86_64-pc-windows-msvc: Microsoft has no getopt.h: what mingw-w64 has and Microsoft has not */
#include <getopt.h>

typedef int seeded_option;
