/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over the files of a folder, as an ordinary test: each as it is, its prefixes, and with bits
 * flipped. Needs no fuzzer and always does the same.
 *
 *     replay FOLDER [MOST]
 *
 * MOST limits how many prefixes, and how many flipped bits, are tried of each file, at even distances: 0 means none.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdbool.h>

enum { LARGEST = 70000, LARGEST_CHANGED = 600 };

static size_t read_file(const char *path, uint8_t *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return SIZE_MAX;
    const size_t size = fread(out, 1, LARGEST, file);
    fclose(file);
    return size;
}

/* In memory of its own size: a target that reads behind its input is seen. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(exact != NULL);
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static size_t distance(size_t count, size_t most)
{
    return count <= most ? 1 : (count + most - 1) / most;
}

static unsigned replay(uint8_t *data, size_t size, size_t most)
{
    unsigned runs = 1;
    run(data, size);
    if (size > LARGEST_CHANGED || most == 0)
        return runs;
    for (size_t prefix = 0; prefix < size; prefix += distance(size, most), runs++)
        run(data, prefix);
    for (size_t bit = 0; bit < size * 8; bit += distance(size * 8, most), runs++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        run(data, size);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return runs;
}

static bool replay_file(const char *folder, const char *name, uint8_t *data, size_t most, int number)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const size_t size = read_file(path, data);
    if (size == SIZE_MAX)
        printf("not ok %d - %s cannot be read\n", number, name);
    else
        printf("ok %d - %s, %u inputs\n", number, name, replay(data, size, most));
    fflush(stdout);
    return size != SIZE_MAX;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static size_t most_changes(const char *argument)
{
    /* NP_SIM_SCALE=small: under a tool that makes everything slow. */
    const char *scale = getenv("NP_SIM_SCALE");
    if (scale != NULL && strcmp(scale, "small") == 0)
        return 0;
    return argument == NULL ? SIZE_MAX : (size_t)strtoul(argument, NULL, 10);
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    const int count = argc == 2 || argc == 3 ? scandir(argv[1], &entries, is_visible, alphasort) : -1;
    uint8_t *data = malloc(LARGEST);
    int failed = count <= 0 || data == NULL;
    for (int i = 0; i < count; i++) {
        if (data != NULL && !replay_file(argv[1], entries[i]->d_name, data, most_changes(argv[2]), i + 1))
            failed = 1;
        free(entries[i]);
    }
    printf("1..%d\n", count);
    free(entries);
    free(data);
    return failed;
}
