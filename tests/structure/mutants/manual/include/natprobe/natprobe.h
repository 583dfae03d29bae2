/* SPDX-License-Identifier: MIT */
enum np_error { NP_OK = 0 };
typedef struct np_thing {
    char left_out[64];
} np_thing;
NP_API int np_run(void);
NP_API int np_forgotten(void);
