/* SPDX-License-Identifier: MIT */
/* Seeded violation: a code whose name the page does not give. */
#define ERRORS(X) X(NP_ERR_FORGOTTEN, "forgotten")
