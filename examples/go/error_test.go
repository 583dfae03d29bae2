// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func allStatuses() []Status {
	return []Status{
		StatusArgument, StatusNoMemory, StatusSystem, StatusBusy, StatusLimit, StatusAddressInUse,
		StatusAddressNotAvailable, StatusResolve, StatusNetworkUnreachable, StatusNoResponse, StatusAddressChanged,
		StatusInconclusive, StatusTimeout, StatusCancelled, StatusBadResponse,
		StatusNotOpen,
	}
}

func allErrors() []error {
	return []error{
		ErrArgument, ErrNoMemory, ErrSystem, ErrBusy, ErrLimit, ErrAddressInUse, ErrAddressNotAvailable,
		ErrResolve, ErrNetworkUnreachable, ErrNoResponse, ErrAddressChanged, ErrInconclusive, ErrTimeout, ErrCancelled,
		ErrBadResponse, ErrNotOpen,
	}
}

func TestEveryStatusIsAnError(t *testing.T) {
	for i, status := range append(allStatuses(), -77) {
		var k check
		put(&k.raw.error, int32(status))
		put(&k.raw.os_error, int32(syscall.EACCES))
		k.raw.detail[0], k.raw.detail[1], k.raw.detail[2] = 'w', 'h', 'y'
		result, err := outcomeOf(&k.raw, nil)
		err = fmt.Errorf("wrapped: %w", err)
		for j, other := range allErrors() {
			if errors.Is(err, other) != (j == i) || errors.Is(status.Err(), other) != (j == i) {
				t.Errorf("%v is %v", status, other)
			}
		}
		var e *Error
		if !errors.As(err, &e) || e.Status != status || e.Detail != "why" || result.Status != status ||
			!errors.Is(err, status.Err()) {
			t.Errorf("%v: %#v", status, e)
		}
		var errno syscall.Errno
		hasNone := status == StatusResolve || status == StatusCancelled
		if (status == StatusResolve) != (e.EAI != 0) || errors.As(err, &errno) == hasNone ||
			errors.Is(err, fs.ErrPermission) == hasNone {
			t.Errorf("%v: errno %v, EAI %d", status, e.Errno, e.EAI)
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) || errors.Is(err, net.ErrClosed) {
			t.Errorf("%v matches what it should not", status)
		}
		if text := err.Error(); !strings.Contains(text, "natprobe: why") {
			t.Errorf("%q", text)
		}
		if text := status.Err().Error(); text != "natprobe: "+status.Description() {
			t.Errorf("%q", text)
		}
	}
}

func TestStatusIsNoError(t *testing.T) {
	if _, ok := any(StatusNoResponse).(error); ok {
		t.Error("a Status is an error")
	}
	if StatusOK.Err() != nil {
		t.Error(StatusOK.Err())
	}
}

// put is for fields whose types tests cannot name: they may not use cgo.
func put[T ~int32](field *T, value int32) { *field = T(value) }

func TestErrorTexts(t *testing.T) {
	cause := errors.New("the user left")
	for want, err := range map[string]error{
		"natprobe: No STUN server answered": &Error{Status: StatusNoResponse},
		"natprobe: why: address already in use": &Error{
			Status: StatusAddressInUse, Detail: "why", Errno: syscall.EADDRINUSE},
		"natprobe: The check was cancelled: context canceled: the user left": &Error{
			Status: StatusCancelled, causes: []error{context.Canceled, cause}},
		"natprobe: the check was not made: the probe is closed": closed(),
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

func TestNetError(t *testing.T) {
	cancelledBy := func(causes ...error) *Error { return &Error{Status: StatusCancelled, causes: causes} }
	for _, c := range []struct {
		err                *Error
		timeout, temporary bool
	}{
		{&Error{Status: StatusTimeout}, true, true},
		{&Error{Status: StatusNoResponse}, true, true},
		{cancelledBy(context.DeadlineExceeded), true, true},
		{cancelledBy(context.DeadlineExceeded, errors.New("why")), true, true},
		{cancelledBy(context.Canceled), false, false},
		{closed(), false, false},
		{&Error{Status: StatusBusy}, false, true},
		{&Error{Status: StatusAddressChanged}, false, true},
		{&Error{Status: StatusNoMemory}, false, true},
		{&Error{Status: StatusSystem, Errno: syscall.EMFILE}, false, true},
		{&Error{Status: StatusSystem, Errno: syscall.EACCES}, false, false},
		{&Error{Status: StatusArgument}, false, false},
	} {
		var e net.Error
		if !errors.As(error(c.err), &e) || e.Timeout() != c.timeout || c.err.Temporary() != c.temporary ||
			os.IsTimeout(c.err) != c.timeout {
			t.Errorf("%v: timeout %v, temporary %v", c.err, c.err.Timeout(), c.err.Temporary())
		}
	}
}

// TestCauses has each way in which a check is ended.
func TestCauses(t *testing.T) {
	reason := errors.New("reason")
	for name, c := range map[string]struct {
		parentCause, cause error
		ended, cancelled   bool
		want               []error
	}{
		"nobody":               {},
		"Cancel":               {cancelled: true},
		"Close":                {cancelled: true, cause: ErrClosed, want: []error{ErrClosed}},
		"the context":          {ended: true, want: []error{context.Canceled}},
		"the context, with":    {ended: true, parentCause: reason, want: []error{context.Canceled, reason}},
		"Cancel, then context": {ended: true, parentCause: reason, cancelled: true},
		"Close, then context":  {ended: true, cancelled: true, cause: ErrClosed, want: []error{ErrClosed}},
	} {
		parent, endParent := context.WithCancelCause(context.Background())
		ctx, end := context.WithCancelCause(parent)
		if c.cancelled {
			end(c.cause)
		}
		if c.ended {
			endParent(c.parentCause)
		}
		if got := causesOf(parent, ctx); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
		end(nil)
		endParent(nil)
	}
}

// TestRealErrors brings about those errors that loopback can.
func TestRealErrors(t *testing.T) {
	taken := listen(t, "127.0.0.1", 0).LocalAddr().(*net.UDPAddr)
	silent, rejecting := silentServer(t), startServer(t, &stunServer{reject: true}, "127.0.0.1")
	text := startServer(t, &stunServer{text: "HTTP/1.1 400 Bad Request"}, "127.0.0.1")
	lame := startServer(t, &stunServer{lame: true, shift: 7}, "127.0.0.1", "127.0.0.2")
	server := fullServer(t)
	cases := []struct {
		name    string
		status  Status
		also    error
		options []Option
		natType NATType
	}{
		{"in use", StatusAddressInUse, syscall.EADDRINUSE,
			[]Option{WithServers(server.name()), WithSource(taken.AddrPort())}, NATUnknown},
		{"not here", StatusAddressNotAvailable, syscall.EADDRNOTAVAIL,
			[]Option{WithServers(server.name()), source("192.0.2.1")}, NATUnknown},
		{"no name", StatusResolve, nil, []Option{WithServers("::1"), WithFamily(FamilyIPv4)}, NATUnknown},
		{"silence", StatusNoResponse, nil,
			[]Option{WithServers(silent.name()), WithResponseTimeout(50 * time.Millisecond)}, NATUDPBlocked},
		{"time over in silence", StatusNoResponse, nil,
			[]Option{WithServers(silent.name()), WithTimeout(300 * time.Millisecond)}, NATUnknown},
		{"time over", StatusTimeout, nil,
			[]Option{WithServers(lame.name()), WithTimeout(500 * time.Millisecond)}, NATUnknown},
		{"no such interface", StatusAddressNotAvailable, nil,
			[]Option{WithServers(server.name()), WithInterface("natprobe-none")}, NATUnknown},
		{"rejected", StatusBadResponse, nil,
			[]Option{WithServers(rejecting.name()), WithResponseTimeout(300 * time.Millisecond)}, NATUnknown},
		{"no STUN", StatusBadResponse, nil,
			[]Option{WithServers(text.name()), WithResponseTimeout(300 * time.Millisecond)}, NATUnknown},
		{"families", StatusArgument, nil,
			[]Option{WithServers(server.name()), source("::1"), WithFamily(FamilyIPv4)}, NATUnknown},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, check checkFunc) {
				p := newProbe(t, c.options...)
				r, err := check(p, context.Background())
				var e *Error
				if !errors.Is(err, c.status.Err()) || c.also != nil && !errors.Is(err, c.also) || !errors.As(err, &e) {
					t.Fatalf("%v, %+v", err, r)
				}
				if e.Status != c.status || r.Status != c.status || e.Detail != r.Detail || r.Detail == "" ||
					r.NATType != c.natType {
					t.Errorf("%+v", r)
				}
				good := []Option{WithBuiltinServers(), WithServers(server.name())}
				good = append(good, WithSource(netip.AddrPort{}), WithFamily(FamilyAny), WithInterface(""))
				if err := p.Set(good...); err != nil {
					t.Fatal(err)
				}
				if _, err := check(p, context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestFewDescriptors leaves none, one, two, and so on until they suffice. If the library has not begun, it says no more
// than its code.
func TestFewDescriptors(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		for left, done := 0, false; !done; left++ {
			if left == 50 {
				t.Fatal("no number of descriptors suffices")
			}
			p := newProbe(t, WithServers(server.name()))
			var r Result
			var err error
			withDescriptors(t, left, func() { r, err = check(p, context.Background()) })
			done = err == nil
			if err != nil && (!errors.Is(err, ErrSystem) || errors.Is(err, syscall.EMFILE) != (r.Detail != "")) {
				t.Errorf("%d descriptors: %+v, %v", left, r, err)
			}
		}
	})
}

// withDescriptors calls f while so many descriptors can be opened.
func withDescriptors(t *testing.T, left int, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	next, err := syscall.Dup(0)
	if err != nil || syscall.Close(next) != nil || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		t.Fatal(err)
	}
	lower := limit
	lower.Cur = uint64(next + left)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lower); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	f()
}

func TestBadOptions(t *testing.T) {
	udp := listen(t, "127.0.0.1", 0)
	connected, err := net.Dial("udp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	gone := listen(t, "127.0.0.1", 0)
	gone.Close()
	ignore := func([]byte, netip.AddrPort) {}
	for name, option := range map[string]Option{
		"empty server":        WithServers(""),
		"port 0":              WithServers("127.0.0.1:0"),
		"port 65536":          WithServers("127.0.0.1:65536"),
		"other scheme":        WithServers("https://127.0.0.1"),
		"NUL in server":       WithServers("127.0.0.1\x00"),
		"multicast":           WithServers("224.0.0.1"),
		"second server":       WithServers("127.0.0.1", "a b"),
		"long interface":      WithInterface(strings.Repeat("a", 1000)),
		"NUL in interface":    WithInterface("lo\x00"),
		"family 5":            WithFamily(5),
		"tests 0":             WithTests(0),
		"tests 128":           WithTests(128),
		"tests -1":            WithTests(-1),
		"no time":             WithTimeout(0),
		"negative time":       WithTimeout(-time.Second),
		"too much time":       WithTimeout(time.Hour + time.Nanosecond),
		"endless":             WithTimeout(1<<63 - 1),
		"49 days":             WithTimeout((1<<32 + 1) * time.Millisecond),
		"no lifetime limit":   WithLifetimeLimit(0),
		"long lifetime limit": WithLifetimeLimit(time.Hour + time.Second),
		"no response time":    WithResponseTimeout(0),
		"long response time":  WithResponseTimeout(2 * time.Hour),
		"file as socket":      WithSocket(file, ignore),
		"TCP socket":          WithSocket(tcp.(*net.TCPListener), ignore),
		"connected socket":    WithSocket(connected.(*net.UDPConn), ignore),
		"unbound socket":      WithSocket(unboundSocket(t), ignore),
		"closed socket":       WithSocket(gone, ignore),
		"socket, no receiver": WithSocket(udp, nil),
	} {
		p, err := New(option)
		var e *Error
		if p != nil || !errors.Is(err, ErrArgument) || !errors.As(err, &e) || e.Detail == "" ||
			e.Status != StatusArgument {
			t.Errorf("%s: %v", name, err)
		}
		if r, err := Check(context.Background(), option); !errors.Is(err, ErrArgument) || r.Status != StatusArgument {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestLimit adds one server too many.
func TestLimit(t *testing.T) {
	most := slices.Repeat([]string{"127.0.0.1"}, MaxServers)
	p := newProbe(t, WithServers(most...))
	_, newErr := New(WithServers(append(most, "127.0.0.1")...))
	for _, err := range []error{newErr, p.Set(WithServers("127.0.0.1"))} {
		var e *Error
		if !errors.Is(err, ErrLimit) || errors.Is(err, ErrArgument) || !errors.As(err, &e) ||
			e.Detail != fmt.Sprintf("%d servers are more than %d", MaxServers+1, MaxServers) {
			t.Error(err)
		}
	}
	if r, err := Check(context.Background(), WithServers(append(most, "127.0.0.1")...)); r.Status != StatusLimit {
		t.Errorf("%+v, %v", r, err)
	}
	if err := p.Set(WithBuiltinServers(), WithServers(most...)); err != nil {
		t.Error(err)
	}
	if err := p.Set(WithServers("a b")); !errors.Is(err, ErrArgument) {
		t.Errorf("malformed and too many: %v", err)
	}
}

func TestGoodOptions(t *testing.T) {
	udp := listen(t, "127.0.0.1", 0)
	newProbe(t, WithSource(netip.MustParseAddrPort("[::1]:65535")), WithFamily(FamilyIPv6),
		WithTests(TestsMapping), WithInterface("any-name"), WithInterface(""), WithTimeout(time.Nanosecond),
		WithResponseTimeout(time.Hour), WithLogger(nil), WithEvents(nil),
		WithSocket(udp, func([]byte, netip.AddrPort) {}), WithSocket(nil, nil), WithSource(netip.AddrPort{}))
	for text, want := range map[time.Duration]uint32{
		1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Hour: 3600000, -1: 0, -time.Hour: 0,
	} {
		if got := uint32(inMilliseconds(text)); got != want {
			t.Errorf("%v is %d ms", text, got)
		}
	}
}

// source is any port of an address.
func source(ip string) Option { return WithSource(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)) }

// unboundSocket is a UDP socket as nobody gets it from package net.
func unboundSocket(t *testing.T) syscall.Conn {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { file.Close() })
	return file
}
