// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

// #include <unistd.h>
// #include "bridge.h"
import "C"

import "syscall"

const noSocket C.np_socket = -1

func closeSocket(socket C.np_socket) { C.close(socket) }

// withDescriptor calls f with a duplicate.
func withDescriptor(conn syscall.Conn, f func(C.np_socket)) error {
	fd, err := duplicate(conn)
	if err != nil {
		return err
	}
	defer C.close(fd)
	f(fd)
	return nil
}

func duplicate(conn syscall.Conn) (C.np_socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	var fd C.int
	var failure error
	err = raw.Control(func(original uintptr) { fd, failure = C.natprobe_go_duplicate(C.int(original)) })
	if err != nil {
		return -1, err
	}
	if fd < 0 {
		return -1, failure
	}
	return fd, nil
}
