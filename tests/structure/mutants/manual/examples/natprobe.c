/* SPDX-License-Identifier: MIT */
static const struct option long_options[] = {{"forgotten", no_argument, NULL, 'f'}};
