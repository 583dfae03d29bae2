// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

// applySocket has the library look at the caller's socket. For a check it is lent anew; see lend.
func (c *config) applySocket(n *C.natprobe_go) error {
	if c.socket != nil && c.onDatagram == nil {
		return refused(StatusArgument, "the socket has no receiver for its datagrams")
	}
	return c.lend(n, func() error { return nil })
}

// lend calls f, which is to begin a check, while the library has a descriptor of the caller's socket that nobody can
// close.
func (c *config) lend(n *C.natprobe_go, f func() error) error {
	if c.socket == nil {
		return f()
	}
	var outcome error
	err := withDescriptor(c.socket, func(fd C.np_socket) {
		code := C.natprobe_go_set_socket(n, fd)
		if code != C.NP_OK {
			outcome = refusedBy(code, "the socket is not a UDP socket that is bound to a port and not connected")
			return
		}
		outcome = f()
	})
	if err != nil {
		e := refused(StatusArgument, "the socket cannot be used")
		e.causes = []error{err}
		return e
	}
	return outcome
}
