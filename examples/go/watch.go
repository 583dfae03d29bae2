// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"math/bits"
	"strings"
	"sync"
	"time"
)

// DefaultWatchInterval is the time from one check to the next where nothing asks for one. See Watch.
const DefaultWatchInterval = C.NP_DEFAULT_WATCH_INTERVAL_S * time.Second

// WatchReason says why a Watcher makes a check.
type WatchReason int32

// The values of WatchReason.
const (
	// No check has been made.
	WatchReasonNone WatchReason = C.NP_WATCH_REASON_NONE
	// The watch was started.
	WatchReasonStart WatchReason = C.NP_WATCH_REASON_START
	// The network of this host changed: an interface, an address or a route.
	WatchReasonNetwork WatchReason = C.NP_WATCH_REASON_NETWORK
	// This host was suspended.
	WatchReasonResume WatchReason = C.NP_WATCH_REASON_RESUME
	// NoteFailure was called.
	WatchReasonFailure WatchReason = C.NP_WATCH_REASON_FAILURE
	// The check before gave no verdict.
	WatchReasonRetry WatchReason = C.NP_WATCH_REASON_RETRY
	// The check before could not test the filtering, and something had changed.
	WatchReasonFiltering WatchReason = C.NP_WATCH_REASON_FILTERING
	// It was time.
	WatchReasonInterval WatchReason = C.NP_WATCH_REASON_INTERVAL
)

var watchReasonNames = names[WatchReason]{
	typeName: "WatchReason", what: "reason", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(v WatchReason) *C.char { return C.np_watch_reason_name(C.int32_t(v)) },
}

// String returns the short name; "WatchReason(42)" for a value without one.
func (v WatchReason) String() string { return watchReasonNames.of(v) }

// MarshalText returns what String does.
func (v WatchReason) MarshalText() ([]byte, error) { return watchReasonNames.marshal(v) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (v *WatchReason) UnmarshalText(text []byte) error { return watchReasonNames.unmarshal(v, text) }

// UnmarshalJSON reads a name or a number.
func (v *WatchReason) UnmarshalJSON(text []byte) error {
	return watchReasonNames.unmarshalJSON(v, text)
}

// Changes are bits: what a Watcher found changed.
type Changes uint32

// The bits of Changes.
const (
	ChangedType      Changes = C.NP_CHANGED_TYPE
	ChangedMapping   Changes = C.NP_CHANGED_MAPPING
	ChangedFiltering Changes = C.NP_CHANGED_FILTERING
	// The external IP address; the port alone does not count.
	ChangedAddress Changes = C.NP_CHANGED_ADDRESS
)

// Has reports whether all of the bits given are set.
func (c Changes) Has(wanted Changes) bool { return c&wanted == wanted }

// Names returns the short names of the bits that are set, such as "type"; "Changes(0x80000000)" for a bit without one.
func (c Changes) Names() []string {
	found := make([]string, 0, bits.OnesCount32(uint32(c)))
	for rest := c; rest != 0; rest &= rest - 1 {
		bit := rest & -rest
		name := C.GoString(C.np_watch_change_name(C.uint32_t(bit)))
		if name == noName {
			name = fmt.Sprintf("Changes(%#x)", uint32(bit))
		}
		found = append(found, name)
	}
	return found
}

// String returns the names, separated by commas.
func (c Changes) String() string { return strings.Join(c.Names(), ",") }

// WatchStatus is what a Watcher knows.
type WatchStatus struct {
	// What holds now. If there is no verdict, its Status and Detail say why.
	Result Result
	// Why the latest check was made.
	Reason WatchReason
	// What was different when a change was last reported.
	Changed Changes
	// How the latest check ended; Result may be of one before.
	LastStatus Status
	// Whether a check is being made.
	IsChecking bool
	// Since Result was measured; negative if there is none.
	Age time.Duration
	// Since its filtering was measured; negative if it is not known.
	FilteringAge time.Duration
	// To the next check if nothing changes; negative if none is planned.
	NextCheck time.Duration
	// Checks made so far, the one being made included.
	Checks uint64
	// What was reported so far: the first outcome, and each difference since.
	ChangeCount uint64
}

func makeWatchStatus(s *C.np_watch_status) WatchStatus {
	inMS := func(ms C.int64_t) time.Duration { return time.Duration(ms) * time.Millisecond }
	return WatchStatus{
		Result:       makeResult(&s.result),
		Reason:       WatchReason(s.reason),
		Changed:      Changes(s.changed),
		LastStatus:   Status(s.last_error),
		IsChecking:   s.is_checking != 0,
		Age:          inMS(s.age_ms),
		FilteringAge: inMS(s.filtering_age_ms),
		NextCheck:    inMS(s.next_check_ms),
		Checks:       uint64(s.checks),
		ChangeCount:  uint64(s.changes),
	}
}

// Watcher tells when the type, the mapping, the filtering or the external address changes. Watch makes it. All methods
// may be called from any goroutine.
type Watcher struct {
	mu      sync.Mutex // guards native, around each call of C
	native  *C.np_watch
	last    WatchStatus // when the watch ended
	changes chan WatchStatus
	k       check
	config  config
	socket  C.np_socket // a duplicate of the caller's
	err     error       // why it ended, once changes is closed
}

// Watch makes a check at once, and again whenever its result may no longer hold: when the network changes, when the
// host was suspended, after NoteFailure, when there is no verdict, and at each interval; 0 turns that off. It ends when
// the context does. The options are those of a Probe.
//
//	watcher, err := natprobe.Watch(ctx, natprobe.DefaultWatchInterval)
//	if err != nil {
//		...
//	}
//	for status := range watcher.Changes() {
//		fmt.Println(status.Reason, status.Result.NATType, status.Result.External)
//	}
func Watch(ctx context.Context, interval time.Duration, options ...Option) (*Watcher, error) {
	if ctx == nil {
		return nil, refused(StatusArgument, "the context is nil")
	}
	w := &Watcher{changes: make(chan WatchStatus, 1), config: config{}.with(options), socket: noSocket}
	w.k = check{config: &w.config, parent: ctx}
	w.k.ctx, w.k.cancel = context.WithCancelCause(ctx)
	if err := w.begin(interval); err != nil {
		w.close()
		return nil, err
	}
	go w.drive()
	return w, nil
}

// begin has everything allocated and started. What is left of it when it fails is for close.
func (w *Watcher) begin(interval time.Duration) error {
	if w.k.ctx.Err() != nil {
		return &Error{Status: StatusCancelled, causes: causesOf(w.k.parent, w.k.ctx)}
	}
	if C.np_watch_status_size() != C.sizeof_np_watch_status {
		return refused(StatusArgument, "libnatprobe %s is not of the ABI of %s", Version(), HeaderVersion)
	}
	h, err := newHandle(&w.config)
	if err != nil {
		return err
	}
	w.k.handle = h
	if err := w.keepSocket(); err != nil {
		return err
	}
	if err := w.k.setCallbacks(); err != nil {
		return err
	}
	if w.native = C.np_watch_new(h.native.probe); w.native == nil {
		return refused(StatusNoMemory, "")
	}
	h.native.probe = nil // it is the watch's
	seconds := C.uint32_t(interval / time.Second)
	if interval < 0 || interval%time.Second != 0 || time.Duration(seconds)*time.Second != interval {
		return refused(StatusArgument, "the interval %v is not a number of seconds", interval)
	}
	if err := refusedBy(C.np_watch_set_interval(w.native, seconds), "the interval %v is out of range", interval); err != nil {
		return err
	}
	return refusedBy(C.np_watch_start(w.native), "the settings contradict each other")
}

// keepSocket has the library use a descriptor that stays open as long as the watch.
func (w *Watcher) keepSocket() error {
	if w.config.socket == nil {
		return nil
	}
	fd, err := duplicate(w.config.socket)
	if err != nil {
		e := refused(StatusArgument, "the socket cannot be used")
		e.causes = []error{err}
		return e
	}
	w.socket = fd
	code := C.natprobe_go_set_socket(w.k.handle.native, fd)
	return refusedBy(code, "the socket is not a UDP socket that is bound to a port and not connected")
}

// Changes is a channel of what changed, the first outcome included. Who reads it late gets the latest status alone. It
// is closed when the watch ends; Err then says why.
func (w *Watcher) Changes() <-chan WatchStatus { return w.changes }

// Err says why the watch ended, once the channel of Changes is closed: ErrCancelled after the context's end or Close.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Status is what the watch knows now, or knew when it ended.
func (w *Watcher) Status() WatchStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.read()
}

func (w *Watcher) read() WatchStatus {
	var status C.np_watch_status
	if w.native == nil {
		return w.last
	}
	C.np_watch_read(w.native, &status)
	return makeWatchStatus(&status)
}

// NoteFailure says that a connection failed that the result had promised, such as a punched hole: a check follows.
func (w *Watcher) NoteFailure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.native == nil {
		return closed()
	}
	return refusedBy(C.np_watch_note_failure(w.native), "")
}

// Close ends the watch, and does not wait for that. It may be called more than once. It always returns nil.
func (w *Watcher) Close() error {
	w.k.cancel(ErrClosed)
	return nil
}

// process is one turn: its code, and what there is to tell.
func (w *Watcher) process() (C.int, WatchStatus, []item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	turns <- struct{}{}
	code := C.np_watch_process(w.native)
	<-turns
	return code, w.read(), w.k.take()
}

// drive is the goroutine of the watch.
func (w *Watcher) drive() {
	defer w.close()
	waiting := newWaiter(waitableOfWatch(w.native), true)
	defer waiting.close()
	stop := context.AfterFunc(w.k.ctx, waiting.interrupt)
	defer stop()
	w.k.deliver()
	for told := uint64(0); ; {
		code, status, items := w.process()
		w.k.deliverItems(items)
		if code != C.NP_PENDING {
			w.end(refusedBy(code, "the settings contradict each other"))
			return
		}
		if status.ChangeCount != told {
			told = status.ChangeCount
			w.tell(status)
		}
		if w.k.ctx.Err() != nil || waiting.wait() != nil {
			w.end(&Error{Status: StatusCancelled, causes: causesOf(w.k.parent, w.k.ctx)})
			return
		}
	}
}

// tell puts the status in the place of one that nobody has read.
func (w *Watcher) tell(status WatchStatus) {
	select {
	case <-w.changes:
	default:
	}
	w.changes <- status
}

func (w *Watcher) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// close frees everything, whatever happened: a callback may have panicked or ended its goroutine.
func (w *Watcher) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.k.cancel(nil)
	if w.native != nil {
		w.last = w.read()
		C.np_watch_free(w.native)
		w.native = nil
	}
	if w.k.handle != nil {
		w.k.handle.free()
	}
	if w.socket != noSocket {
		closeSocket(w.socket)
		w.socket = noSocket
	}
	close(w.changes)
}
