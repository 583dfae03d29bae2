/* SPDX-License-Identifier: MIT */
/* bcryptprimitives.dll, for Wine, which has none. Go's programs for Windows start only with it. */
#include <windows.h>

#include <ntsecapi.h> /* RtlGenRandom */

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size);

BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size)
{
    return RtlGenRandom(data, (ULONG)size);
}
