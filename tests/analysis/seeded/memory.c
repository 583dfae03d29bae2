/* SPDX-License-Identifier: MIT */
/* What the analysers must find: each defect is named behind it by the tool and its check. */
#include <stdlib.h>

int leaks(size_t size);
int uses_what_is_freed(int value);
int reads_nothing(int which);
int divides(int by);
int reads_beyond(void);
int reads_what_was_never_written(int which);

int leaks(size_t size)
{
    char *bytes = malloc(size);
    if (bytes == NULL)
        return -1;
    if (size > 9) {                         /* gcc: -Wanalyzer-malloc-leak */
        return -2; /* clang: unix.Malloc */ /* cppcheck: memleak */
    }
    free(bytes);
    return 0;
}

int uses_what_is_freed(int value)
{
    int *number = malloc(sizeof *number);
    if (number == NULL)
        return -1;
    *number = value;
    free(number);
    return *number; /* gcc: -Wanalyzer-use-after-free */ /* clang-tidy: clang-analyzer-unix.Malloc */
}

int reads_nothing(int which)
{
    const int *number = NULL;
    static const int one = 1;
    if (which > 3)
        number = &one;
    return *number; /* gcc: -Wanalyzer-null-dereference */ /* clang: core.NullDereference */ /* cppcheck: nullPointer */
}

int divides(int by)
{
    int sum = 8;
    if (by == 0)
        sum = 7 / by; /* clang: core.DivideZero */ /* cppcheck: zerodivcond */
    return sum;
}

int reads_beyond(void)
{
    static const int numbers[3] = {1, 2, 3};
    int sum = 0;
    for (int i = 0; i <= 3; i++)
        sum += numbers[i]; /* cppcheck: arrayIndexOutOfBounds */
    return sum;
}

int reads_what_was_never_written(int which)
{
    int number;
    if (which > 3)
        number = which;
    return number; /* gcc: -Wanalyzer-use-of-uninitialized-value */ /* clang: core.uninitialized.UndefReturn */
}
