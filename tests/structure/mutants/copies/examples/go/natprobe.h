/* SPDX-License-Identifier: MIT */
/* An older header. */
