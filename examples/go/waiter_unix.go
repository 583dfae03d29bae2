// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

// #include <unistd.h>
// #include "bridge.h"
import "C"

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// waiter waits for a descriptor to become readable, in the runtime's network poller wherever that takes the
// descriptor.
type waiter struct {
	fd          C.int
	file        *os.File        // a duplicate in the poller; nil where that does not take it
	raw         syscall.RawConn // of the file
	interrupted atomic.Bool
}

// pollSlice is how long a thread is blocked at a time where the runtime's poller is of no use.
const pollSlice = 20 * time.Millisecond

// waitableOf is what to wait for: a descriptor.
func waitableOf(n *C.natprobe_go) C.int { return C.np_probe_fd(n.probe) }

// waitableOfWatch is the same for a watch.
func waitableOfWatch(w *C.np_watch) C.int { return C.np_watch_fd(w) }

// waitForever returns when there is something to do.
func waitForever(n *C.natprobe_go) { C.natprobe_go_is_readable(waitableOf(n), -1) }

// newWaiter waits for a descriptor that stays the library's. The runtime gets a duplicate.
func newWaiter(fd C.int, usePoller bool) *waiter {
	w := &waiter{fd: fd}
	if !usePoller {
		return w
	}
	file := asFile(w.fd)
	if file == nil {
		return w
	}
	raw, err := file.SyscallConn()
	if err != nil || file.SetReadDeadline(time.Time{}) != nil { // which fails for a file that is not in the poller
		file.Close()
		return w
	}
	w.file, w.raw = file, raw
	return w
}

// asFile returns nil when there is no descriptor left. The runtime's poller takes only descriptors that do not
// block; for the one of the library, which nobody reads, that is the same.
func asFile(fd C.int) *os.File {
	duplicate := C.natprobe_go_duplicate(fd)
	if duplicate < 0 {
		return nil
	}
	if syscall.SetNonblock(int(duplicate), true) != nil {
		C.close(duplicate)
		return nil
	}
	return os.NewFile(uintptr(duplicate), "natprobe")
}

// wait returns when the descriptor is readable, or with an error after interrupt.
func (w *waiter) wait() error {
	if w.file == nil {
		return w.waitBlocking()
	}
	// The runtime reports changes only, from the beginning of Read on. So the state is looked at within it.
	return w.raw.Read(func(fd uintptr) bool { return bool(C.natprobe_go_is_readable(C.int(fd), 0)) })
}

func (w *waiter) waitBlocking() error {
	for !w.interrupted.Load() {
		if C.natprobe_go_is_readable(w.fd, C.int(pollSlice.Milliseconds())) {
			return nil
		}
	}
	return os.ErrDeadlineExceeded
}

// interrupt ends wait, now and ever after. From any goroutine.
func (w *waiter) interrupt() {
	w.interrupted.Store(true)
	if w.file != nil {
		w.file.SetReadDeadline(time.Unix(1, 0))
	}
}

func (w *waiter) close() {
	if w.file != nil {
		w.file.Close()
	}
}
