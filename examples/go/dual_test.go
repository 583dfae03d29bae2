// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// TestDual has each server wait for the other to be asked: checks one after the other would find both silent.
func TestDual(t *testing.T) {
	if conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback}); err != nil {
		t.Skip(err)
	} else {
		conn.Close()
	}
	four, six := &stunServer{}, &stunServer{}
	four.meets, six.meets = six, four
	startServer(t, four, "127.0.0.1", "127.0.0.2")
	startServer(t, six, "::1")
	inCallback := false
	d, err := CheckDual(context.Background(), WithServers(four.name(), six.name()), WithEvents(func(Event) {
		if inCallback {
			t.Error("two events at once")
		}
		inCallback = true
		runtime.Gosched()
		inCallback = false
	}))
	if err != nil || d.IPv4.NATType != NATOpenInternet || d.IPv6.NATType != NATNoNAT {
		t.Fatalf("%+v, %v", d, err)
	}
	if d.IPv4.External.Addr() != netip.MustParseAddr("127.0.0.1") || d.IPv6.External.Addr() != netip.MustParseAddr("::1") {
		t.Errorf("%v, %v", d.IPv4.External, d.IPv6.External)
	}
	text, err := json.Marshal(d)
	var again DualResult
	if err != nil || json.Unmarshal(text, &again) != nil || again.IPv6.External != d.IPv6.External {
		t.Errorf("%s, %v", text, err)
	}
}

func TestDualWithOneFamily(t *testing.T) {
	d, err := CheckDual(context.Background(), WithServers(fullServer(t).name()), WithSource(netip.AddrPort{}))
	if err != nil || d.IPv4.NATType != NATOpenInternet || d.IPv6.Status != StatusResolve || d.IPv6.PacketsSent != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
}

func TestDualWithoutVerdict(t *testing.T) {
	d, err := CheckDual(context.Background(), WithServers(silentServer(t).name()), WithTimeout(50*time.Millisecond))
	if !errors.Is(err, ErrNoResponse) || d.IPv4.Status != StatusNoResponse || d.IPv6.Status != StatusResolve {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = CheckDual(context.Background(), WithServers("[::1]:9"), WithTimeout(50*time.Millisecond))
	if err == nil || errors.Is(err, ErrResolve) || d.IPv4.Status != StatusResolve {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDualRefusesWhatIsOfOneFamily(t *testing.T) {
	conn := listen(t, "127.0.0.1", 0)
	for name, option := range map[string]Option{
		"family":  WithFamily(FamilyIPv6),
		"source":  WithSource(netip.MustParseAddrPort("127.0.0.1:0")),
		"socket":  WithSocket(conn, func([]byte, netip.AddrPort) {}),
		"server":  WithServers(""),
		"timeout": WithTimeout(0),
	} {
		if d, err := CheckDual(context.Background(), option); !errors.Is(err, ErrArgument) || d.IPv6.Status != StatusArgument {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	//lint:ignore SA1012 what it does with nil
	if _, err := CheckDual(nil); !errors.Is(err, ErrArgument) { //nolint:staticcheck
		t.Error(err)
	}
}

func TestDualEndsWithItsContext(t *testing.T) {
	server := silentServer(t)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	d, err := CheckDual(ctx, WithServers(server.name()))
	if !errors.Is(err, context.DeadlineExceeded) || d.IPv4.Status != StatusCancelled || time.Since(began) > prompt {
		t.Errorf("%+v, %v after %v", d, err, time.Since(began))
	}
}

// TestDualPanics has a callback panic, or end its goroutine, whichever family it is called for.
func TestDualPanics(t *testing.T) {
	for _, name := range []string{silentServer(t).name(), "[::1]:9"} {
		began := time.Now()
		func() {
			defer func() {
				if r := recover(); r != "odd" {
					t.Errorf("%s: %v", name, r)
				}
			}()
			CheckDual(context.Background(), WithServers(name), WithEvents(func(e Event) { panic("odd") }))
		}()
		ended := make(chan bool, 1)
		go func() {
			returned := false
			defer func() { ended <- returned }()
			CheckDual(context.Background(), WithServers(name), WithEvents(func(Event) { runtime.Goexit() }))
			returned = true
		}()
		if <-ended || time.Since(began) > prompt {
			t.Errorf("%s: it goes on, or took %v", name, time.Since(began))
		}
	}
}
