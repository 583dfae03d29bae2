// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import "syscall"

// withDescriptor calls f with the socket itself, which nobody can close meanwhile.
func withDescriptor(conn syscall.Conn, f func(C.np_socket)) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(socket uintptr) { f(C.np_socket(socket)) })
}
