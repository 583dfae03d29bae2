/* SPDX-License-Identifier: MIT */
enum np_error { NP_OK = 0 };
NP_API int np_run(void);
NP_API int np_forgotten(void);
