/* SPDX-License-Identifier: MIT */
/* Defects on demand: each must be caught by the tool that watches the tests, or that tool is watching nothing. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int overflow(int one)
{
    char *memory = malloc(16);
    if (memory == NULL)
        return 0;
    memset(memory, 1, 16);
    /* Through a pointer that the compiler cannot see through: it would warn of what the tools are to find. */
    char *volatile hidden = memory;
    const char *past = hidden;
    int sum = past[15 + one];
    free(memory);
    return sum;
}

static int undefined(int one)
{
    volatile int largest = INT_MAX;
    return (largest + one) / 2;
}

static int uninitialised(int one)
{
    int *memory = malloc(sizeof *memory);
    if (memory == NULL)
        return 0;
    int *volatile hidden = memory;
    int *unset = hidden;
    int result = unset[one - 1] == 42 ? 1 : 2;
    free(memory);
    return result;
}

static int leak(int one)
{
    volatile char *lost = malloc((size_t)one * 100);
    if (lost != NULL)
        lost[0] = 1;
    return 0;
}

static int shared;

static void *count(void *rounds)
{
    for (int i = 0; i < *(int *)rounds; i++)
        shared++;
    return NULL;
}

static int race(int one)
{
    int rounds = 1000 * one;
    pthread_t other;
    if (pthread_create(&other, NULL, count, &rounds) != 0)
        return 0;
    count(&rounds);
    pthread_join(other, NULL);
    return shared;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*defect)(int one);
    } defects[] = {{"overflow", overflow},
                   {"undefined", undefined},
                   {"uninitialised", uninitialised},
                   {"leak", leak},
                   {"race", race}};

    for (size_t i = 0; argc == 2 && i < sizeof defects / sizeof defects[0]; i++)
        if (strcmp(argv[1], defects[i].name) == 0)
            printf("%s: %d\n", argv[1], defects[i].defect(argc - 1));
    return 0;
}
