// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// waiter waits for a handle to be signalled. The runtime's network poller takes no handles: a thread is blocked, and
// looks from time to time whether the check is to end.
type waiter struct {
	handle      syscall.Handle
	interrupted atomic.Bool
}

const waitSlice = 20 * time.Millisecond

// waitableOf is what to wait for: a handle.
func waitableOf(n *C.natprobe_go) syscall.Handle {
	return syscall.Handle(uintptr(C.np_probe_wait_handle(n.probe)))
}

// waitableOfWatch is the same for a watch.
func waitableOfWatch(w *C.np_watch) syscall.Handle {
	return syscall.Handle(uintptr(C.np_watch_wait_handle(w)))
}

// waitForever returns when there is something to do.
func waitForever(n *C.natprobe_go) { syscall.WaitForSingleObject(waitableOf(n), syscall.INFINITE) }

func newWaiter(handle syscall.Handle, _ bool) *waiter { return &waiter{handle: handle} }

// wait returns when the handle is signalled, or with an error after interrupt.
func (w *waiter) wait() error {
	for !w.interrupted.Load() {
		event, err := syscall.WaitForSingleObject(w.handle, uint32(waitSlice.Milliseconds()))
		if err != nil || event != syscall.WAIT_TIMEOUT {
			return err
		}
	}
	return os.ErrDeadlineExceeded
}

// interrupt ends wait, now and ever after. From any goroutine.
func (w *waiter) interrupt() { w.interrupted.Store(true) }

func (w *waiter) close() {}
