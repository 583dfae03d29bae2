// SPDX-License-Identifier: MIT

package natprobe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func allErrors() []Code {
	return []Code{
		ErrArgument, ErrNoMemory, ErrSystem, ErrBusy, ErrAddressInUse, ErrAddressNotAvailable, ErrResolve,
		ErrNetworkUnreachable,
		ErrNoResponse, ErrAddressChanged, ErrInconclusive, ErrDeadline, ErrCancelled, ErrBadResponse,
	}
}

func TestEveryCodeIsAnError(t *testing.T) {
	for _, code := range allErrors() {
		var k check
		put(&k.raw.error, int32(code))
		put(&k.raw.os_error, int32(syscall.EACCES))
		k.raw.detail[0], k.raw.detail[1], k.raw.detail[2] = 'w', 'h', 'y'
		result, err := conclude(&k.raw, nil)
		err = fmt.Errorf("wrapped: %w", err)
		for _, other := range allErrors() {
			if errors.Is(err, other) != (other == code) {
				t.Errorf("%v is %v", code, other)
			}
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != code || e.Name() != code.String() || e.Detail != "why" ||
			e.Result != result {
			t.Errorf("%v: %#v", code, e)
		}
		var errno syscall.Errno
		if isResolve := code == ErrResolve; isResolve != (e.EAI != 0) || errors.As(err, &errno) == isResolve ||
			errors.Is(err, fs.ErrPermission) == isResolve {
			t.Errorf("%v: errno %v, EAI %d", code, e.Errno, e.EAI)
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrClosed) || errors.Is(err, OK) {
			t.Errorf("%v matches what it should not", code)
		}
		text := err.Error()
		if !strings.Contains(text, "natprobe: why") || code.Error() == "" || code.String() == "unknown" {
			t.Errorf("%q", text)
		}
	}
}

// put is for fields whose types tests cannot name: they may not use cgo.
func put[T ~int32](field *T, value int32) { *field = T(value) }

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"natprobe: No STUN server answered": &Error{Code: ErrNoResponse},
		"natprobe: why: address already in use": &Error{
			Code: ErrAddressInUse, Detail: "why", Errno: syscall.EADDRINUSE},
		"natprobe: The check was cancelled: context canceled": &Error{Code: ErrCancelled, cause: context.Canceled},
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

func TestTimeout(t *testing.T) {
	for err, want := range map[*Error]bool{
		{Code: ErrDeadline}:   true,
		{Code: ErrNoResponse}: true,
		{Code: ErrCancelled, cause: context.DeadlineExceeded}: true,
		{Code: ErrCancelled, cause: context.Canceled}:         false,
		{Code: ErrBusy}: false,
	} {
		if os.IsTimeout(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

// TestRealErrors brings about those errors that loopback can.
func TestRealErrors(t *testing.T) {
	taken := listen(t, "127.0.0.1", 0).LocalAddr().(*net.UDPAddr)
	silent, rejecting := silentServer(t), startServer(t, &stunServer{reject: true}, "127.0.0.1")
	text := startServer(t, &stunServer{text: "HTTP/1.1 400 Bad Request"}, "127.0.0.1")
	server := fullServer(t)
	cases := []struct {
		name    string
		code    Code
		also    error
		options []Option
	}{
		{"in use", ErrAddressInUse, syscall.EADDRINUSE,
			[]Option{WithServers(server.name()), WithSource("127.0.0.1", uint16(taken.Port))}},
		{"not here", ErrAddressNotAvailable, syscall.EADDRNOTAVAIL,
			[]Option{WithServers(server.name()), WithSource("192.0.2.1", 0)}},
		{"no name", ErrResolve, nil, []Option{WithServers("::1"), WithFamily(FamilyIPv4)}},
		{"silence", ErrNoResponse, nil,
			[]Option{WithServers(silent.name()), WithResponseTimeout(50 * time.Millisecond)}},
		{"time over", ErrDeadline, nil, []Option{WithServers(silent.name()), WithTimeout(50 * time.Millisecond)}},
		{"rejected", ErrBadResponse, nil,
			[]Option{WithServers(rejecting.name()), WithResponseTimeout(300 * time.Millisecond)}},
		{"no STUN", ErrBadResponse, nil,
			[]Option{WithServers(text.name()), WithResponseTimeout(300 * time.Millisecond)}},
		{"families", ErrArgument, nil,
			[]Option{WithServers(server.name()), WithSource("::1", 0), WithFamily(FamilyIPv4)}},
	}
	for _, c := range cases {
		c := c
		t.Run(c.name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
				p := newProbe(t, c.options...)
				r, err := check(p, context.Background())
				var e *Error
				if !errors.Is(err, c.code) || c.also != nil && !errors.Is(err, c.also) || !errors.As(err, &e) {
					t.Fatalf("%v, %+v", err, r)
				}
				if e.Result != r || r.Status != c.code || e.Detail != r.Detail || r.Detail == "" {
					t.Errorf("%+v", r)
				}
				good := []Option{WithBuiltinServers(), WithServers(server.name())}
				good = append(good, WithSource("", 0), WithFamily(FamilyAny))
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

// TestFewDescriptors leaves none, one, two, and so on until they suffice.
func TestFewDescriptors(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
		for left, done := 0, false; !done; left++ {
			if left == 50 {
				t.Fatal("no number of descriptors suffices")
			}
			p := newProbe(t, WithServers(server.name()))
			var err error
			withDescriptors(t, left, func() { _, err = check(p, context.Background()) })
			done = err == nil
			if err != nil && (!errors.Is(err, ErrSystem) || !errors.Is(err, syscall.EMFILE)) {
				t.Errorf("%d descriptors: %v", left, err)
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
	many := make([]string, MaxServers+1)
	for i := range many {
		many[i] = "127.0.0.1"
	}
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
		"name as source":      WithSource("localhost", 0),
		"half a source":       WithSource("127.0.0", 0),
		"NUL in source":       WithSource("127.0.0.1\x00.example", 0),
		"NUL first":           WithSource("\x00", 0),
		"empty server":        WithServers(""),
		"port 0":              WithServers("127.0.0.1:0"),
		"port 65536":          WithServers("127.0.0.1:65536"),
		"other scheme":        WithServers("https://127.0.0.1"),
		"NUL in server":       WithServers("127.0.0.1\x00"),
		"multicast":           WithServers("224.0.0.1"),
		"second server":       WithServers("127.0.0.1", "a b"),
		"too many servers":    WithServers(many...),
		"family 5":            WithFamily(5),
		"tests 0":             WithTests(0),
		"tests 2":             WithTests(2),
		"no time":             WithTimeout(0),
		"negative time":       WithTimeout(-time.Second),
		"too much time":       WithTimeout(time.Hour + time.Nanosecond),
		"endless":             WithTimeout(1<<63 - 1),
		"49 days":             WithTimeout((1<<32 + 1) * time.Millisecond),
		"no response time":    WithResponseTimeout(0),
		"long response time":  WithResponseTimeout(2 * time.Hour),
		"log level 0":         WithLog(0, func(LogLevel, string) {}),
		"log level 5":         WithLog(5, func(LogLevel, string) {}),
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
			e.Result.Status != ErrArgument {
			t.Errorf("%s: %v", name, err)
		}
		if r, err := Check(context.Background(), option); !errors.Is(err, ErrArgument) || r.Status != ErrArgument {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func TestGoodOptions(t *testing.T) {
	udp := listen(t, "127.0.0.1", 0)
	many := make([]string, MaxServers)
	for i := range many {
		many[i] = "127.0.0.1"
	}
	newProbe(t, WithServers(many...), WithSource("::1", 65535), WithFamily(FamilyIPv6), WithTests(TestsMapping),
		WithTimeout(time.Nanosecond), WithResponseTimeout(time.Hour), WithLog(0, nil), WithEvents(nil),
		WithSocket(udp, func([]byte, netip.AddrPort) {}), WithSocket(nil, nil), WithSource("", 0))
	for text, want := range map[time.Duration]uint32{
		1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Hour: 3600000, -1: 0, -time.Hour: 0,
	} {
		if got := uint32(inMilliseconds(text)); got != want {
			t.Errorf("%v is %d ms", text, got)
		}
	}
}

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
