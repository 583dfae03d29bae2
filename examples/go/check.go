// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
)

// check is one run of the library. It belongs to one goroutine.
type check struct {
	handle *handle
	config *config
	parent context.Context // the caller's
	ctx    context.Context // ends with that, by Cancel, by Close and when the loop over Events does
	cancel context.CancelCauseFunc
	yield  func(Event) bool // of the loop over Events; nil without one
	raw    C.np_result
	isOn   bool // the library has begun it, and not ended it
}

// turns bounds how many goroutines are in the library at once. Its calls do not block, but take long enough for the
// runtime to start one more thread for those that wait.
var turns = make(chan struct{}, runtime.GOMAXPROCS(0))

// start begins the check.
func (k *check) start() error {
	if err := k.setCallbacks(); err != nil {
		return err
	}
	k.handle.native.is_out_of_memory = false
	return k.config.lend(k.handle.native, func() error {
		turns <- struct{}{}
		code := C.np_probe_start(k.handle.native.probe)
		<-turns
		k.isOn = code == C.NP_OK
		return refusedBy(code, "")
	})
}

// setCallbacks turns on what is wanted of this check: the logger and the loop may differ from one to the next.
func (k *check) setCallbacks() error {
	n, wantsEvents := k.handle.native, k.config.onEvent != nil || k.yield != nil
	if code := C.natprobe_go_set_events(n, C.bool(wantsEvents)); code != C.NP_OK {
		return refusedBy(code, "")
	}
	level := logLevel(k.ctx, k.config.logger)
	return refusedBy(C.natprobe_go_set_log(n, level != 0, level), "")
}

// process is one turn.
func (k *check) process() {
	turns <- struct{}{}
	code := C.np_probe_process(k.handle.native.probe, &k.raw)
	<-turns
	k.isOn = code == C.NP_PENDING
}

// drive makes the whole check after start.
func (k *check) drive(usePoller bool) {
	w := newWaiter(waitableOf(k.handle.native), usePoller)
	defer w.close()
	stop := context.AfterFunc(k.ctx, w.interrupt)
	defer stop()
	k.deliver()
	for k.isOn {
		if k.ctx.Err() == nil {
			k.process()
		} else {
			k.giveUp()
		}
		k.deliver()
		if k.isOn && w.wait() != nil {
			k.cancel(nil) // if it has not ended by itself
		}
	}
}

// giveUp brings the check to its end at once.
func (k *check) giveUp() {
	C.np_probe_cancel(k.handle.native.probe)
	for k.process(); k.isOn; k.process() {
		waitForever(k.handle.native) // cancelling has made it so
	}
}

// close is the last step, whatever happened: a callback may have panicked or ended its goroutine.
func (k *check) close() {
	if k.isOn {
		k.giveUp()
	}
	k.take()
	k.cancel(nil)
}
