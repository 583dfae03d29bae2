// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import (
	"context"
	"runtime"
	"sync"
	"syscall"
)

// Probe is a check with its settings, which can be made any number of times, one at a time. New makes one. All
// methods may be called from any goroutine. Close frees what it holds in C; a Probe that is no longer in use is
// freed in time without that.
type Probe struct {
	mu     sync.Mutex // guards these; never held while the library may block or call back
	handle *handle
	fd     int
	inUse  bool // some goroutine has the Probe to itself, between acquire and release
	closed bool

	// These belong to that goroutine.
	config    config
	started   *check // by Start, and not over yet
	usePoller bool   // false in a test of what is done where there is none
}

// handle holds what was allocated in C. It refers to nothing, so that the garbage collector finds it even when
// a callback refers to the Probe.
type handle struct {
	native *C.natprobe_go
}

func newHandle(c *config) (*handle, error) {
	if !layoutFits() {
		return nil, refused(ErrArgument, "libnatprobe %s is not of the ABI of %s", Version(), HeaderVersion)
	}
	native := C.natprobe_go_new()
	if native == nil {
		return nil, refused(ErrNoMemory, "")
	}
	h := &handle{native}
	if err := c.apply(native); err != nil {
		h.free()
		return nil, err
	}
	runtime.SetFinalizer(h, (*handle).free)
	return h, nil
}

func (h *handle) free() {
	runtime.SetFinalizer(h, nil)
	C.natprobe_go_free(h.native)
}

// New makes a Probe. What is wrong with an option is told as an *Error, mostly of the Code ErrArgument.
func New(options ...Option) (*Probe, error) {
	c := defaults().with(options)
	h, err := newHandle(&c)
	if err != nil {
		return nil, err
	}
	return &Probe{handle: h, fd: -1, config: c, usePoller: true}, nil
}

// Set changes settings for the checks to come: all of them, or none when there is an error.
func (p *Probe) Set(options ...Option) error {
	if err := p.acquire(); err != nil {
		return err
	}
	defer p.release()
	if p.started != nil {
		return refused(ErrBusy, "")
	}
	c := p.config.with(options)
	h, err := newHandle(&c)
	if err != nil {
		return err
	}
	p.config = c
	p.replace(h)
	return nil
}

// Cancel makes the check that goes on, or the next one if there is none, end with ErrCancelled at once. For
// most programs the context of Check is the better way.
func (p *Probe) Cancel() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		C.np_probe_cancel(p.handle.native.probe)
	}
}

// Close ends a check that goes on, which then returns an error that matches ErrClosed, and frees the Probe. It
// does not wait for that. It may be called more than once, and from within a callback. FD is closed by it: an
// event loop has to stop watching it before.
func (p *Probe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	p.fd = -1
	if p.inUse {
		C.np_probe_cancel(p.handle.native.probe) // release frees it
	} else {
		p.handle.free()
	}
	return nil
}

// ---- A check -----------------------------------------------------------------------------------------------

// Check makes a check. It ends as soon as the context does and blocks no thread meanwhile. The Result is filled
// in as far as possible with an error, too, which is an *Error then.
func (p *Probe) Check(ctx context.Context) (Result, error) {
	k, err := p.begin(ctx)
	if err != nil {
		return failed(err)
	}
	defer p.release()
	if err := p.start(k); err != nil {
		return failed(err)
	}
	k.drive(ctx, p.usePoller)
	return p.finish(ctx, k)
}

// Run is Check in the library's blocking form: it takes a thread until the check is over.
func (p *Probe) Run(ctx context.Context) (Result, error) {
	k, err := p.begin(ctx)
	if err != nil {
		return failed(err)
	}
	defer p.release()
	if err := p.config.lend(k.native, func() { k.run(ctx) }); err != nil {
		return failed(err)
	}
	return p.finish(ctx, k)
}

// ---- In an event loop of the program's own -----------------------------------------------------------------

// Start begins a check for a program that has an event loop of its own and watches FD in it. Check needs none
// of that. Whatever goes wrong from here on is told by Process.
func (p *Probe) Start() error {
	k, err := p.begin(context.Background())
	if err != nil {
		return err
	}
	defer p.release()
	if err := p.start(k); err != nil {
		return err
	}
	if k.panicked != nil || p.isClosed() { // a callback has seen to that
		k.giveUp()
		_, err := p.finish(context.Background(), k)
		return err
	}
	p.started = k
	return nil
}

// FD returns the descriptor that is readable whenever Process has something to do, or -1 before the first
// Start. Watch it level-triggered and for reading only; never read, write or close it. It stays the same until
// Set or Close.
func (p *Probe) FD() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fd
}

// Process goes on with a check that Start began, as far as it can without waiting. Calling it too often does no
// harm. Once done is true the check is over, with a result and an error as from Check, and the Probe is free
// for another one. While the Probe is in use elsewhere the error is ErrBusy, and without a check to go on with
// ErrArgument.
func (p *Probe) Process() (result Result, done bool, err error) {
	if err := p.acquire(); err != nil {
		return err.Result, false, err
	}
	defer p.release()
	k := p.started
	if k == nil {
		err := refused(ErrArgument, "no check was started")
		return err.Result, false, err
	}
	code := k.process()
	if code == Pending && k.panicked == nil {
		return makeResult(&k.raw), false, nil
	}
	if code == Pending {
		k.giveUp()
	}
	p.started = nil
	result, err = p.finish(context.Background(), k)
	return result, true, err
}

// ---- Having the Probe to oneself ---------------------------------------------------------------------------

func (p *Probe) acquire() *Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return closed()
	}
	if p.inUse {
		return refused(ErrBusy, "")
	}
	p.inUse = true
	return nil
}

// release also keeps the handle, which has a finalizer, alive up to here.
func (p *Probe) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse = false
	if p.closed {
		p.handle.free()
	}
}

// replace puts a fresh handle in the place of the one that there is.
func (p *Probe) replace(h *handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handle.free()
	p.handle = h
	p.fd = -1
}

func (p *Probe) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// begin acquires the Probe for a check, unless there is an error.
func (p *Probe) begin(ctx context.Context) (*check, error) {
	if err := ctx.Err(); err != nil {
		e := refused(ErrCancelled, "")
		e.cause = err
		return nil, e
	}
	if err := p.acquire(); err != nil {
		return nil, err
	}
	if p.started != nil {
		p.release()
		return nil, refused(ErrBusy, "")
	}
	return newCheck(p.handle.native, p.config.callbacks), nil
}

func (p *Probe) start(k *check) error {
	var code Code
	var errno error
	if err := p.config.lend(k.native, func() { code, errno = k.start() }); err != nil {
		return err
	}
	if code != OK {
		e := refused(code, "")
		e.Errno, _ = errno.(syscall.Errno)
		return e
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.fd = k.fd()
	}
	return nil
}

// finish makes what Go returns from what the library said in the end.
func (p *Probe) finish(ctx context.Context, k *check) (Result, error) {
	if k.cancelled && k.code != ErrCancelled {
		p.renew()
	}
	k.goOn()
	var cause error
	if k.code == ErrCancelled {
		cause = ctx.Err()
		if cause == nil && p.isClosed() {
			cause = ErrClosed
		}
	}
	return conclude(&k.raw, cause)
}

// renew forgets a cancellation that came too late: it would end the next check. Without memory for that it stays.
func (p *Probe) renew() {
	if h, err := newHandle(&p.config); err == nil {
		p.replace(h)
	}
}
