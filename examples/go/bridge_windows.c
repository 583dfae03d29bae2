/* SPDX-License-Identifier: MIT */
#include <winsock2.h>

#include "bridge.h"

np_socket natprobe_go_duplicate_socket(np_socket socket)
{
    WSAPROTOCOL_INFOW info;
    if (WSADuplicateSocketW(socket, GetCurrentProcessId(), &info) != 0)
        return NP_INVALID_SOCKET;
    return WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0,
                      WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
}

void natprobe_go_close_socket(np_socket socket)
{
    (void)closesocket(socket);
}
