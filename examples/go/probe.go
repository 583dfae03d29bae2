// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import (
	"context"
	"iter"
	"os"
	"runtime"
	"sync"
)

// Probe has the settings of checks, and makes any number of them, one at a time. New makes a Probe; the zero Probe has
// the defaults. All methods may be called from any goroutine. Close frees what it holds in C; without it the garbage
// collector does so in the end. A Probe must not be copied after its first use.
type Probe struct {
	mu     sync.Mutex              // guards these; never held while the library is at work
	inUse  bool                    // some goroutine has the Probe to itself, between acquire and release
	closed bool                    //
	end    context.CancelCauseFunc // ends the check that is in progress; nil while there is none

	// These belong to that goroutine.
	handle   *handle // nil before the first use of a zero Probe
	config   config
	unpolled bool // a test of what is done where the runtime's poller does not take the descriptor
}

// handle holds what was allocated in C. It refers to nothing, so that the garbage collector finds it even when a
// callback refers to the Probe.
type handle struct {
	native *C.natprobe_go
	pid    int // the process that it belongs to
}

// getpid is a variable for a test.
var getpid = os.Getpid

func newHandle(c *config) (*handle, error) {
	if runningLayout() != compiledLayout {
		return nil, refused(StatusArgument, "libnatprobe %s is not of the ABI of %s", Version(), HeaderVersion)
	}
	native := C.natprobe_go_new()
	if native == nil {
		return nil, refused(StatusNoMemory, "")
	}
	h := &handle{native: native, pid: getpid()}
	if err := c.apply(native); err != nil {
		h.free()
		return nil, err
	}
	runtime.SetFinalizer(h, (*handle).free)
	return h, nil
}

// isOurs is false in a forked child. The kernel's objects behind the handle are the parent's: no call is made on it.
func (h *handle) isOurs() bool { return h.pid == getpid() }

func (h *handle) free() {
	runtime.SetFinalizer(h, nil)
	if h.isOurs() {
		C.natprobe_go_free(h.native)
	}
}

// New makes a Probe. A nil Option does nothing. The error, if an option is wrong, is an *Error, mostly ErrArgument.
func New(options ...Option) (*Probe, error) {
	p := &Probe{config: config{}.with(options)}
	var err error
	if p.handle, err = newHandle(&p.config); err != nil {
		return nil, err
	}
	return p, nil
}

// Set changes settings for the checks to come: all of them, or none if there is an error. During a check it returns
// ErrBusy.
func (p *Probe) Set(options ...Option) error {
	if err := p.acquire(nil); err != nil {
		return err
	}
	defer p.release()
	c := p.config.with(options)
	h, err := newHandle(&c)
	if err != nil {
		return err
	}
	if p.handle != nil {
		p.handle.free()
	}
	p.handle, p.config = h, c
	return nil
}

// Cancel ends the check that is in progress, with ErrCancelled. Without one it does nothing. For most programs the
// context of Check is the better way.
func (p *Probe) Cancel() { p.endCheck(nil, false) }

// Close frees the Probe. It ends a check that is in progress, with ErrClosed, and does not wait for that. It may be
// called more than once, and from within a callback; no further callback comes then. It always returns nil.
func (p *Probe) Close() error {
	p.endCheck(ErrClosed, true)
	return nil
}

func (p *Probe) endCheck(cause error, forGood bool) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end != nil {
		p.end(cause)
	}
	wasClosed := p.closed
	p.closed = wasClosed || forGood
	if p.closed && !wasClosed && !p.inUse { // else release frees it
		p.freeHandle()
	}
}

func (p *Probe) freeHandle() {
	if p.handle != nil {
		p.handle.free()
		p.handle = nil
	}
}

// Check makes a check. It ends as soon as the context does, and blocks no thread: the goroutine waits in the runtime's
// network poller. With an error, which is an *Error, the Result is filled in as far as possible.
func (p *Probe) Check(ctx context.Context) (Result, error) { return p.check(ctx, nil) }

// Events makes a check, as Check does, and yields its events as they happen. Leaving the loop ends the check. What the
// check came to is what the second function returns, which is to be called after the loop. The loop may be run once.
//
//	events, outcome := probe.Events(ctx)
//	for e := range events {
//		...
//	}
//	result, err := outcome()
func (p *Probe) Events(ctx context.Context) (events iter.Seq[Event], outcome func() (Result, error)) {
	result, err := failed(refused(StatusCancelled, "the loop over the events was not run to its end"))
	events = func(yield func(Event) bool) { result, err = p.check(ctx, yield) }
	return events, func() (Result, error) { return result, err }
}

func (p *Probe) check(ctx context.Context, yield func(Event) bool) (Result, error) {
	k, err := p.begin(ctx, yield)
	if err != nil {
		return failed(err)
	}
	defer p.release()
	defer k.close()
	if err := k.start(); err != nil {
		return failed(err)
	}
	k.drive(!p.unpolled)
	return k.conclude()
}

// begin acquires the Probe for a check, unless there is an error.
func (p *Probe) begin(parent context.Context, yield func(Event) bool) (*check, error) {
	if parent == nil {
		return nil, refused(StatusArgument, "the context is nil")
	}
	ctx, cancel := context.WithCancelCause(parent)
	if err := p.acquire(cancel); err != nil {
		cancel(nil)
		return nil, err
	}
	k := &check{config: &p.config, parent: parent, ctx: ctx, cancel: cancel, yield: yield}
	if err := p.prepare(k); err != nil {
		p.release()
		cancel(nil)
		return nil, err
	}
	return k, nil
}

// prepare gives the check a handle that it may use.
func (p *Probe) prepare(k *check) error {
	if k.parent.Err() != nil {
		return &Error{Status: StatusCancelled, causes: causesOf(k.parent, k.ctx)}
	}
	if p.handle == nil {
		h, err := newHandle(&p.config)
		if err != nil {
			return err
		}
		p.handle = h
	}
	if !p.handle.isOurs() {
		return refused(StatusArgument, "the Probe belongs to the process that made it")
	}
	k.handle = p.handle
	return nil
}

// ---- Having the Probe to oneself ---------------------------------------------------------------------------

// acquire takes what ends the check, if there is to be one.
func (p *Probe) acquire(end context.CancelCauseFunc) error {
	if p == nil {
		return refused(StatusArgument, "the Probe is nil")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return closed()
	}
	if p.inUse {
		return refused(StatusBusy, "")
	}
	p.inUse, p.end = true, end
	return nil
}

func (p *Probe) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse, p.end = false, nil
	if p.closed {
		p.freeHandle()
	}
}
