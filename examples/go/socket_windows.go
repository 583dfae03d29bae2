// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import "syscall"

const noSocket = ^C.np_socket(0)

func closeSocket(socket C.np_socket) { C.natprobe_go_close_socket(socket) }

// withDescriptor calls f with the socket itself, which nobody can close meanwhile.
func withDescriptor(conn syscall.Conn, f func(C.np_socket)) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(socket uintptr) { f(C.np_socket(socket)) })
}

func duplicate(conn syscall.Conn) (C.np_socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return noSocket, err
	}
	twin := noSocket
	if err = raw.Control(func(socket uintptr) { twin = C.natprobe_go_duplicate_socket(C.np_socket(socket)) }); err != nil {
		return noSocket, err
	}
	if twin == noSocket {
		return noSocket, syscall.EINVAL
	}
	return twin, nil
}
