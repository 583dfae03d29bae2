/* SPDX-License-Identifier: MIT */
/* Loads a library, and asks it for its version: as Python would where there is none. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    const char *(*version)(void) = NULL;
    void *symbol = library == NULL ? NULL : dlsym(library, "np_version");
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: loads LIBRARY");
        return 1;
    }
    memcpy(&version, &symbol, sizeof version);
    puts(version());
    return 0;
}
