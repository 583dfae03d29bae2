/* SPDX-License-Identifier: MIT */
/* Every error that a call can have (its manual page), and what natprobe.h says of it. */
#ifndef TESTS_FAULT_ERRORS_H
#define TESTS_FAULT_ERRORS_H

#include <stddef.h>
#include <stdint.h>

#include "fault_calls.h"

typedef enum fault_weight {
    FAULT_HARMLESS, /* the verdict is what it is without it, however often it happens */
    FAULT_PASSING,  /* once it changes nothing; if it stays, answers are missing, and with them a part of the verdict */
    FAULT_FATAL,    /* where the call matters, the check ends with the code */
    FAULT_OF_NAME   /* another name or family may make up for it; else no name could be resolved */
} fault_weight;

typedef struct fault_error {
    fault_call call;
    int error;
    fault_weight weight;
    int32_t code; /* NP_ERR_* that may come of it; NP_OK: none */
} fault_error;

extern const fault_error fault_errors[];
extern const size_t fault_error_count;

#endif
