/* SPDX-License-Identifier: MIT */
/*
 * The same targets for AFL++, in persistent mode: one process, thousands of inputs. Built by any other compiler, or
 * given files, it runs each file once: that is how a crash that AFL++ has found is looked at.
 */
#include "fuzz.h"

enum { LARGEST = 70000 };

/* In memory of its own size: a target that reads behind its input is seen. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(exact != NULL);
    if (size > 0)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int run_stream(FILE *stream)
{
    uint8_t *data = malloc(LARGEST);
    FUZZ_CHECK(data != NULL);
    run(data, fread(data, 1, LARGEST, stream));
    free(data);
    return ferror(stream) != 0;
}

static int run_files(char **paths)
{
    int failed = 0;
    for (; *paths != NULL; paths++) {
        FILE *file = fopen(*paths, "rb");
        if (file == NULL) {
            fprintf(stderr, "%s cannot be read\n", *paths);
            return 1;
        }
        failed |= run_stream(file);
        fclose(file);
    }
    return failed;
}

#ifdef __AFL_FUZZ_TESTCASE_LEN

__AFL_FUZZ_INIT();

static int run_given(void)
{
    __AFL_INIT();
    const unsigned char *data = __AFL_FUZZ_TESTCASE_BUF;
    while (__AFL_LOOP(10000))
        run(data, (size_t)__AFL_FUZZ_TESTCASE_LEN);
    return 0;
}

#else

static int run_given(void)
{
    return run_stream(stdin);
}

#endif

int main(int argc, char **argv)
{
    return argc > 1 ? run_files(argv + 1) : run_given();
}
