// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import "context"

// check is one run of the library. It belongs to one goroutine.
type check struct {
	call
	native    *C.natprobe_go
	raw       C.np_result
	code      Code
	cancelled bool // by this package, not by the user of the Probe
}

func newCheck(native *C.natprobe_go, c callbacks) *check {
	k := &check{native: native, call: call{callbacks: c}}
	k.onPanic = k.cancel
	return k
}

func (k *check) cancel() {
	k.cancelled = true
	C.np_probe_cancel(k.native.probe)
}

// run makes the whole check.
func (k *check) run(ctx context.Context) {
	stop := onDone(ctx, func() { C.np_probe_cancel(k.native.probe) })
	k.code = k.into(func(handle C.uintptr_t) C.int { return C.natprobe_go_run(k.native, handle, &k.raw) })
	if stop() {
		k.cancelled = true
	}
}

// start returns the errno behind a failure with it.
func (k *check) start() (code Code, errno error) {
	code = k.shortlyInto(func(handle C.uintptr_t) (code C.int) {
		code, errno = C.natprobe_go_start(k.native, handle)
		return code
	})
	return code, errno
}

func (k *check) fd() int {
	return int(C.np_probe_fd(k.native.probe))
}

func (k *check) process() Code {
	k.code = k.shortlyInto(func(handle C.uintptr_t) C.int { return C.natprobe_go_process(k.native, handle, &k.raw) })
	return k.code
}

// drive makes the whole check after start.
func (k *check) drive(ctx context.Context, usePoller bool) {
	w := newWaiter(k.fd(), usePoller)
	defer w.close()
	stop := onDone(ctx, w.interrupt)
	defer stop()
	for k.process() == Pending {
		if w.wait() != nil {
			k.giveUp()
			return
		}
	}
}

// giveUp brings the check to its end at once.
func (k *check) giveUp() {
	k.cancel()
	for k.process() == Pending {
		C.natprobe_go_is_readable(C.int(k.fd()), -1) // cancelling has made it so
	}
}
