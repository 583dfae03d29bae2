/* SPDX-License-Identifier: MIT */
/* python.exe, for the DLL of Python beside it whose name PYTHON_DLL is. */
#include <windows.h>

int wmain(int argc, wchar_t **argv)
{
    HMODULE library = LoadLibraryW(PYTHON_DLL);
    FARPROC found = library == NULL ? NULL : GetProcAddress(library, "Py_Main");
    return found == NULL ? 127 : ((int (*)(int, wchar_t **))(void (*)(void))found)(argc, argv);
}
