/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over the files of a folder, as an ordinary test: each as it is, each of its prefixes, and with each
 * bit flipped. Needs no fuzzer and always does the same.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>

enum { LARGEST = 70000, LARGEST_FLIPPED = 600 };

static size_t read_file(const char *path, uint8_t *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return SIZE_MAX;
    const size_t size = fread(out, 1, LARGEST, file);
    fclose(file);
    return size;
}

static unsigned replay(uint8_t *data, size_t size)
{
    unsigned runs = 1;
    LLVMFuzzerTestOneInput(data, size);
    /* NP_SIM_SCALE=small: under a tool that makes everything slow. */
    const char *scale = getenv("NP_SIM_SCALE");
    if (size > LARGEST_FLIPPED || (scale != NULL && strcmp(scale, "small") == 0))
        return runs;
    for (size_t prefix = 0; prefix < size; prefix++, runs++)
        LLVMFuzzerTestOneInput(data, prefix);
    for (size_t bit = 0; bit < size * 8; bit++, runs++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        LLVMFuzzerTestOneInput(data, size);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return runs;
}

static bool replay_file(const char *folder, const char *name, uint8_t *data, int number)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const size_t size = read_file(path, data);
    if (size == SIZE_MAX)
        printf("not ok %d - %s cannot be read\n", number, name);
    else
        printf("ok %d - %s, %u inputs\n", number, name, replay(data, size));
    fflush(stdout);
    return size != SIZE_MAX;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    const int count = argc == 2 ? scandir(argv[1], &entries, is_visible, alphasort) : -1;
    uint8_t *data = malloc(LARGEST);
    int failed = count <= 0 || data == NULL;
    for (int i = 0; i < count; i++) {
        if (data != NULL && !replay_file(argv[1], entries[i]->d_name, data, i + 1))
            failed = 1;
        free(entries[i]);
    }
    printf("1..%d\n", count);
    free(entries);
    free(data);
    return failed;
}
