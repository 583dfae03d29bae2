// SPDX-License-Identifier: MIT

package natprobe

// #include <unistd.h>
// #include "bridge.h"
import "C"

import "syscall"

// applySocket has the library look at the caller's socket. For a check it is lent anew; see lend.
func (c *config) applySocket(n *C.natprobe_go) error {
	if !c.hasSocket {
		return nil
	}
	if c.datagram == nil {
		return refused(ErrArgument, "there is no receiver for the socket's datagrams")
	}
	return c.lend(n, func() {})
}

// lend calls f, which is to begin a check, while the library has a descriptor of the caller's socket that
// nobody can close.
func (c *config) lend(n *C.natprobe_go, f func()) error {
	if !c.hasSocket {
		f()
		return nil
	}
	fd, err := duplicate(c.socket)
	if err != nil {
		e := refused(ErrArgument, "the socket cannot be used")
		e.cause = err
		return e
	}
	defer C.close(fd)
	code := C.natprobe_go_set_socket(n, fd)
	if code == C.NP_OK {
		f()
	}
	return verdictOn(code, "the socket is not a UDP socket that is bound to a port and not connected")
}

func duplicate(conn syscall.Conn) (C.int, error) {
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
