/* SPDX-License-Identifier: MIT */
/* One defect of each group of clang-tidy's checks, and of cppcheck's other severities. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct pair {
    int one;
    int other;
} pair;

void clear(pair *p);
int read_number(const char *text);
int day_of(const time_t *when);
int compare(int a, int b);
char *make_pointer(uintptr_t number);
int count(int n);
void forget(size_t size);
void greet(void);

void clear(pair *p)
{
    memset(p, 0, sizeof p); /* clang-tidy: bugprone-sizeof-expression */ /* cppcheck: pointerSize */
}

int read_number(const char *text)
{
    return atoi(text); /* clang-tidy: cert-err34-c */
}

int day_of(const time_t *when)
{
    return localtime(when)->tm_mday; /* clang-tidy: concurrency-mt-unsafe */
}

int compare(int a, int b)
{
    return a < b && a < b; /* clang-tidy: misc-redundant-expression */ /* cppcheck: duplicateExpression */
}

char *make_pointer(uintptr_t number)
{
    return (char *)number; /* clang-tidy: performance-no-int-to-ptr */
}

int count(int n)
{
    int sum = 0;
    /* clang-format off */
    if (n > 0)
        sum += n;
        sum += 1; /* clang-tidy: readability-misleading-indentation */
    /* clang-format on */
    return sum;
}

void forget(size_t size)
{
    malloc(size); /* clang-tidy: bugprone-unused-return-value */
}

void greet(void)
{
    printf("%s %d\n", "text", "no number"); /* cppcheck: invalidPrintfArgType_sint */
}
