// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

const everything = ChangedType | ChangedMapping | ChangedFiltering | ChangedAddress

func newWatcher(t *testing.T, ctx context.Context, options ...Option) *Watcher {
	t.Helper()
	w, err := Watch(ctx, DefaultWatchInterval, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		for range w.Changes() {
		}
	})
	return w
}

func TestWatchTellsTheFirstVerdict(t *testing.T) {
	events := 0
	w := newWatcher(t, context.Background(), WithServers(fullServer(t).name()), WithEvents(func(Event) { events++ }))
	s := <-w.Changes()
	if s.Result.NATType != NATOpenInternet || s.Reason != WatchReasonStart || s.Changed != everything ||
		s.ChangeCount != 1 || s.Checks != 1 || s.LastStatus != StatusOK || s.Age < 0 || s.NextCheck <= 0 {
		t.Errorf("%+v", s)
	}
	if now := w.Status(); now.IsChecking || now.Result != s.Result {
		t.Errorf("%+v", now)
	}
	w.Close()
	for range w.Changes() {
	}
	if !errors.Is(w.Err(), ErrCancelled) || !errors.Is(w.Err(), ErrClosed) {
		t.Error(w.Err())
	}
	if w.Status().Result != s.Result || !errors.Is(w.NoteFailure(), ErrClosed) {
		t.Error("it is not closed, or has forgotten")
	}
	if events == 0 {
		t.Error("no event")
	}
}

func TestWatchEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w := newWatcher(t, ctx, WithServers(silentServer(t).name()))
	if !w.Status().IsChecking {
		t.Errorf("%+v", w.Status())
	}
	cancel()
	if s, open := <-w.Changes(); open {
		t.Errorf("%+v", s)
	}
	if !errors.Is(w.Err(), ErrCancelled) || !errors.Is(w.Err(), context.Canceled) {
		t.Error(w.Err())
	}
	if _, err := Watch(ctx, DefaultWatchInterval); !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
}

func TestWatchTakesAFailureFromAnyGoroutine(t *testing.T) {
	w, err := Watch(context.Background(), 0, WithServers(fullServer(t).name()))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	<-w.Changes()
	if next := w.Status().NextCheck; next >= 0 {
		t.Error(next)
	}
	if err := w.NoteFailure(); err != nil {
		t.Error(err)
	}
	if next := w.Status().NextCheck; next < 0 || next > 10*time.Second {
		t.Error(next)
	}
}

func TestWatchWithASocket(t *testing.T) {
	socket := listen(t, "127.0.0.1", 0)
	ignore := func([]byte, netip.AddrPort) {}
	w := newWatcher(t, context.Background(), WithServers(fullServer(t).name()), WithSocket(socket, ignore))
	port := socket.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	if s := <-w.Changes(); s.Result.Local.Port() != port {
		t.Errorf("%+v", s)
	}
}

func TestWatchRefuses(t *testing.T) {
	for _, interval := range []time.Duration{-time.Second, time.Second, time.Second / 2, 700000 * time.Second, 1 << 62} {
		if w, err := Watch(context.Background(), interval); !errors.Is(err, ErrArgument) || w != nil {
			t.Error(interval, err)
		}
	}
	if _, err := Watch(nil, 0); !errors.Is(err, ErrArgument) {
		t.Error(err)
	}
	if _, err := Watch(context.Background(), 0, WithServers("a b")); !errors.Is(err, ErrArgument) {
		t.Error(err)
	}
}

func TestWatchValues(t *testing.T) {
	for v, name := range map[WatchReason]string{WatchReasonNone: "none", WatchReasonResume: "resume", 99: "WatchReason(99)"} {
		text, err := json.Marshal(v)
		var again WatchReason
		if v.String() != name || err != nil || json.Unmarshal(text, &again) != nil || again != v {
			t.Error(v, text, err)
		}
	}
	if got := (ChangedType | ChangedAddress | 1<<31).String(); got != "type,address,Changes(0x80000000)" {
		t.Error(got)
	}
}
