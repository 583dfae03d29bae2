// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// prompt is how long something may take that is to happen at once, on a busy machine.
const prompt = 2 * time.Second

// checkFunc makes a check.
type checkFunc func(*Probe, context.Context) (Result, error)

// forms are the ways to make a check, and the one without the runtime's poller.
var forms = map[string]checkFunc{
	"Check":  (*Probe).Check,
	"Events": byEvents,
	"Unpolled": func(p *Probe, ctx context.Context) (Result, error) {
		p.unpolled = true
		return p.Check(ctx)
	},
}

func byEvents(p *Probe, ctx context.Context) (Result, error) {
	events, outcome := p.Events(ctx)
	for range events {
	}
	return outcome()
}

func eachForm(t *testing.T, test func(t *testing.T, check checkFunc)) {
	for name, check := range forms {
		t.Run(name, func(t *testing.T) { test(t, check) })
	}
}

func newProbe(t testing.TB, options ...Option) *Probe {
	t.Helper()
	p, err := New(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func fullServer(t testing.TB) *stunServer {
	return startServer(t, &stunServer{}, "127.0.0.1", "127.0.0.2")
}

func silentServer(t testing.TB) *stunServer {
	return startServer(t, &stunServer{silent: true}, "127.0.0.1")
}

func TestOpenInternet(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		r, err := check(newProbe(t, WithServers(server.name())), context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != StatusOK || r.NATType != NATOpenInternet || r.Mapping != BehaviourNone ||
			r.Filtering != BehaviourEndpointIndependent || !r.Evidence.Has(EvidenceAnswered|EvidenceMappingProven) {
			t.Errorf("%+v", r)
		}
		if r.External != r.Local || r.External.Addr() != netip.MustParseAddr("127.0.0.1") ||
			r.Server.String() != server.name() {
			t.Errorf("external %v, local %v, server %v", r.External, r.Local, r.Server)
		}
		if r.RTT <= 0 || r.Elapsed < r.RTT || r.PacketsSent == 0 || r.PacketsReceived == 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestSymmetric(t *testing.T) {
	server := startServer(t, &stunServer{shift: 7, byIP: true}, "127.0.0.1", "127.0.0.2")
	r, err := Check(context.Background(), WithServers(server.name()), WithTests(TestsMapping))
	if err != nil || r.NATType != NATSymmetric || r.External.Port() != r.Local.Port()+7 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// TestTests has the bits do what they say: the filtering brings the mapping with it.
func TestTests(t *testing.T) {
	server := fullServer(t)
	for tests, want := range map[Tests]NATType{
		TestsMapping: NATNoNAT, TestsFiltering: NATOpenInternet, TestsDefault: NATOpenInternet,
	} {
		r, err := Check(context.Background(), WithServers(server.name()), WithTests(tests))
		if err != nil || r.NATType != want {
			t.Errorf("%v: %+v, %v", tests, r, err)
		}
	}
}

func TestIPv6(t *testing.T) {
	if conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback}); err != nil {
		t.Skip(err)
	} else {
		conn.Close()
	}
	server := startServer(t, &stunServer{}, "::1")
	r, err := Check(context.Background(), WithServers(server.name()), WithFamily(FamilyIPv6))
	if err != nil || r.External.Addr() != netip.MustParseAddr("::1") || r.Server.String() != server.name() {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestSameProbeAgain(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	for i := 0; i < 3; i++ {
		for name, check := range forms {
			if _, err := check(p, context.Background()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestSetIsAllOrNothing(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers("127.0.0.1:9"))
	if err := p.Set(WithBuiltinServers(), WithServers(server.name()), WithFamily(5)); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	if len(p.config.servers) != 1 || p.config.servers[0] != "127.0.0.1:9" {
		t.Fatal(p.config.servers)
	}
	if err := p.Set(WithBuiltinServers(), WithServers(server.name())); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAndLog(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		var events []Event
		var lines bytes.Buffer
		handler := slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})
		p := newProbe(t, WithServers(server.name()), WithLogger(slog.New(handler)),
			WithEvents(func(e Event) { events = append(events, e) }))
		r, err := check(p, context.Background())
		if err != nil {
			t.Fatal(err)
		}
		checkEvents(t, events, r)
		if text := lines.String(); !strings.Contains(text, "level=DEBUG") {
			t.Errorf("logged %q", text)
		}
	})
}

func checkEvents(t *testing.T, events []Event, r Result) {
	t.Helper()
	kinds := map[EventKind]int{}
	for i, e := range events {
		kinds[e.Kind()]++
		if _, isLast := e.Detail.(Finished); isLast != (i == len(events)-1) || i > 0 && e.Time < events[i-1].Time {
			t.Errorf("event %d of %d: %+v", i+1, len(events), e)
		}
		if a, ok := e.Detail.(Answered); ok && (a.External.Addr() != r.External.Addr() || !a.Remote.IsValid()) {
			t.Errorf("%+v", e)
		}
	}
	if kinds[EventSent] != int(r.PacketsSent) || kinds[EventAnswered] == 0 || kinds[EventConcluded] < 2 {
		t.Errorf("%v, %d sent", kinds, r.PacketsSent)
	}
	if last := events[len(events)-1].Detail.(Finished); last.NATType != r.NATType || last.Status != StatusOK ||
		last.Server != r.Server {
		t.Errorf("%+v", last)
	}
	text, err := json.Marshal(events)
	var back []Event
	if err != nil || json.Unmarshal(text, &back) != nil || !slices.Equal(events, back) {
		t.Errorf("%s, %v, read as %+v", text, err, back)
	}
}

// TestEventsAsLoop compares what the loop yields with what the function gets.
func TestEventsAsLoop(t *testing.T) {
	server := fullServer(t)
	var told, yielded []Event
	p := newProbe(t, WithServers(server.name()), WithEvents(func(e Event) { told = append(told, e) }))
	events, outcome := p.Events(context.Background())
	if r, err := outcome(); !errors.Is(err, ErrCancelled) || r.Status != StatusCancelled {
		t.Errorf("before the loop: %+v, %v", r, err)
	}
	for e := range events {
		yielded = append(yielded, e)
	}
	r, err := outcome()
	if err != nil || !slices.Equal(told, yielded) {
		t.Fatalf("%v\n%+v\n%+v", err, told, yielded)
	}
	checkEvents(t, yielded, r)
}

// TestLoopIsLeft leaves the loop over the events at each of them.
func TestLoopIsLeft(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	for stop, seen := 1, 0; ; stop++ {
		events, outcome := p.Events(context.Background())
		seen = 0
		for range events {
			if seen++; seen == stop {
				break
			}
		}
		r, err := outcome()
		if seen < stop {
			if err != nil || stop < 5 {
				t.Errorf("%d events: %v", seen, err)
			}
			break
		}
		if err != nil && (!errors.Is(err, ErrCancelled) || errors.Is(err, ErrClosed)) || stop == 1 && err == nil {
			t.Errorf("left at event %d: %+v, %v", stop, r, err)
		}
		if _, err := p.Check(context.Background()); err != nil {
			t.Errorf("left at event %d, the next check: %v", stop, err)
		}
	}
}

// TestLogger has what the logger's handler accepts, and the check's context. The server cannot tell the filtering,
// which the library logs at its level of information.
func TestLogger(t *testing.T) {
	server := startServer(t, &stunServer{}, "127.0.0.1")
	type key struct{}
	ctx := context.WithValue(context.Background(), key{}, "mark")
	for level, want := range map[slog.Level]int32{
		slog.LevelDebug - 1: 4, slog.LevelDebug: 4, slog.LevelInfo: 3, slog.LevelWarn: 2, slog.LevelError: 1,
		slog.LevelError + 1: 0,
	} {
		h := &recorder{level: level, key: key{}, lines: map[slog.Level]int{}}
		if got := int32(logLevel(ctx, slog.New(h))); got != want {
			t.Errorf("%v is the library's level %d", level, got)
		}
		if _, err := Check(ctx, WithServers(server.name()), WithLogger(slog.New(h))); err != nil {
			t.Fatal(err)
		}
		if (h.lines[slog.LevelDebug] > 0) != (level <= slog.LevelDebug) || len(h.lines) > 2 ||
			(h.lines[slog.LevelInfo] > 0) != (level <= slog.LevelInfo) || h.unmarked > 0 {
			t.Errorf("%v: lines %v, %d without the context", level, h.lines, h.unmarked)
		}
	}
	if logLevel(ctx, nil) != 0 || slogLevel(9) != slog.LevelDebug {
		t.Error("levels")
	}
}

type recorder struct {
	level    slog.Level
	key      any
	lines    map[slog.Level]int
	unmarked int
}

func (h *recorder) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }
func (h *recorder) WithAttrs([]slog.Attr) slog.Handler               { return h }
func (h *recorder) WithGroup(string) slog.Handler                    { return h }

func (h *recorder) Handle(ctx context.Context, record slog.Record) error {
	if record.Message != "" {
		h.lines[record.Level]++
	}
	if ctx.Value(h.key) != "mark" {
		h.unmarked++
	}
	return nil
}

func TestVersion(t *testing.T) {
	if Version() != HeaderVersion || VersionNumber() != HeaderVersionNumber {
		t.Errorf("running %s, %#x; compiled against %s, %#x", Version(), VersionNumber(), HeaderVersion,
			HeaderVersionNumber)
	}
}

// TestLayout has a library whose structs are not those that this package was compiled with.
func TestLayout(t *testing.T) {
	running := runningLayout
	defer func() { runningLayout = running }()
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	for name, other := range map[string]layout{
		"result": {compiledLayout.result + 8, compiledLayout.event},
		"event":  {compiledLayout.result, compiledLayout.event - 8},
	} {
		runningLayout = func() layout { return other }
		_, newErr := New()
		r, checkErr := Check(context.Background(), WithServers(server.name()))
		_, zeroErr := new(Probe).Check(context.Background())
		for _, err := range []error{newErr, checkErr, zeroErr, p.Set(), new(Probe).Set()} {
			if !errors.Is(err, ErrArgument) || !strings.Contains(err.Error(), "ABI") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if r.Status != StatusArgument {
			t.Errorf("%+v", r)
		}
	}
	if server.requests.Load() != 0 {
		t.Error("asked all the same")
	}
}

// TestZeroProbe has a Probe that nobody made.
func TestZeroProbe(t *testing.T) {
	server := fullServer(t)
	var closedAtOnce Probe
	closedAtOnce.Cancel()
	if err := closedAtOnce.Close(); err != nil {
		t.Error(err)
	}
	checkClosed(t, &closedAtOnce)
	eachForm(t, func(t *testing.T, check checkFunc) {
		var p Probe
		defer p.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := check(&p, ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with its defaults: %v", err)
		}
		if err := p.Set(WithServers(server.name())); err != nil {
			t.Fatal(err)
		}
		if r, err := check(&p, context.Background()); err != nil || r.NATType != NATOpenInternet {
			t.Errorf("%+v, %v", r, err)
		}
	})
	var defaults Probe
	defer defaults.Close()
	if k, err := defaults.begin(context.Background(), nil); err != nil || k.handle == nil {
		t.Errorf("a check with the defaults: %v", err)
	} else {
		defaults.release()
	}
}

func TestNil(t *testing.T) {
	server := fullServer(t)
	if p, err := New(nil); err != nil || p.Close() != nil {
		t.Error(err)
	}
	if _, err := Check(context.Background(), nil, WithServers(server.name()), nil); err != nil {
		t.Error(err)
	}
	var p *Probe
	p.Cancel()
	p.Close()
	r, err := p.Check(context.Background())
	for _, err := range []error{err, p.Set()} {
		if !errors.Is(err, ErrArgument) || r.Status != StatusArgument {
			t.Errorf("%+v, %v", r, err)
		}
	}
	//lint:ignore SA1012 that is the test
	if r, err := Check(nil, WithServers(server.name())); !errors.Is(err, ErrArgument) || r.Status != StatusArgument {
		t.Errorf("%+v, %v", r, err)
	}
}
