/* SPDX-License-Identifier: MIT */
/* Threads of the library's own, on Windows. */
#include "thread.h"

#include <errno.h>
#include <stdlib.h>

#include "failure.h"

typedef struct work {
    void *(*run)(void *argument);
    void *argument;
    HMODULE code; /* keeps this library in memory until the thread has left it */
} work;

static DWORD WINAPI work_and_leave(void *argument)
{
    work w = *(work *)argument;
    free(argument);
    (void)w.run(w.argument);
    FreeLibraryAndExitThread(w.code, 0);
    return 0;
}

/* By an address in it; the cast from a function is what the system asks for. */
static bool hold_code(HMODULE *code)
{
    union {
        DWORD(WINAPI *function)(void *);
        LPCWSTR name;
    } inside = {.function = work_and_leave};
    return GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, inside.name, code) != 0;
}

int npi_thread_create(npi_thread *thread, void *(*run)(void *argument), void *argument)
{
    work *w = malloc(sizeof *w);
    if (w == NULL)
        return ENOMEM;
    *w = (work){.run = run, .argument = argument};
    if (!hold_code(&w->code)) {
        free(w);
        return npi_take_windows_error();
    }
    *thread = CreateThread(NULL, 0, work_and_leave, w, 0, NULL);
    if (*thread != NULL)
        return 0;
    int error = npi_take_windows_error();
    FreeLibrary(w->code);
    free(w);
    return error;
}
