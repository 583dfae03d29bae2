/* SPDX-License-Identifier: MIT */
/* What packets say of two hosts: the class that an outlook should name, and whether its advice works. */
#ifndef SIM_OUTLOOK_JUDGE_H
#define SIM_OUTLOOK_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include <natprobe/natprobe.h>

#include "outlook_pair.h"

/* The order in which two programs begin that both send of their own accord. */
typedef enum order { OURS_BEGIN, THEIRS_BEGIN, BOTH_BEGIN, ORDERS } order;

/* enum np_outlook_class, DIRECT to RELAY. */
int32_t judge_class(const pair *p);
/* Whether they connect once an oracle has told a side from which port its peer will come. */
bool judge_foreseeing(const pair *p, unsigned side);

/* What a pair needs that connects: no less will do. */
typedef struct need {
    int32_t first; /* enum np_first */
    bool low_ttl;
} need;

/* Of a pair that is DIRECT: which side alone may begin. */
need judge_direct_need(const pair *p);
/* Of one that is not: in which order both may begin. The programs learn, or not, as the outlook has it. */
need judge_punch_need(const pair *p, const np_outlook_result *outlook);
/* Whether they connect if both send in that order, with an opening or without. */
bool judge_order(const pair *p, order o, bool opens, bool learns);
/* Whether they connect by the outlook's advice, whatever it leaves open. Otherwise writes what failed. */
bool judge_advice(const pair *p, const np_outlook_result *outlook, const char **failed);

#endif
