// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/natprobe"
)

// checker counts checks. Its silence is a loopback address at which nothing answers: a socket of its own.
type checker struct {
	silence  string
	passed   int
	failures []string
}

// expect is one check.
func (c *checker) expect(what string, got, want error) {
	var e *natprobe.Error
	if !errors.Is(got, want) || !errors.As(got, &e) || e.Error() == "" {
		c.failures = append(c.failures, fmt.Sprintf("%s: %v instead of %v", what, got, want))
		return
	}
	c.passed++
}

func (c *checker) expectTrue(what string, is bool) {
	if !is {
		c.failures = append(c.failures, what)
		return
	}
	c.passed++
}

func badInput() int {
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		return exitBrokenPromise
	}
	defer server.Close()
	c := &checker{silence: server.LocalAddr().String()}
	c.badTexts()
	c.badNumbers()
	c.badSockets()
	c.badNames()
	c.badOrder()
	c.withinCallback()
	c.afterClose()
	c.clashes()
	for _, failure := range c.failures {
		fmt.Println("failed:", failure)
	}
	if len(c.failures) > 0 {
		return exitNoVerdict
	}
	fmt.Println(c.passed, "checks passed")
	return exitVerdict
}

// option expects that an option is refused by everything that takes one, and that a Probe is as before.
func (c *checker) option(what string, option natprobe.Option) {
	_, err := natprobe.New(option)
	c.expect(what, err, natprobe.ErrArgument)
	_, err = natprobe.Check(context.Background(), option)
	c.expect(what, err, natprobe.ErrArgument)
	probe := c.probe()
	defer probe.Close()
	c.expect(what, probe.Set(option), natprobe.ErrArgument)
	c.usable(what, probe)
}

func (c *checker) probe(options ...natprobe.Option) *natprobe.Probe {
	probe, err := natprobe.New(append([]natprobe.Option{natprobe.WithServers(c.silence)}, options...)...)
	c.expectTrue("a good probe", err == nil)
	return probe
}

// usable expects of a Probe whose servers do not answer that it comes to its proper end.
func (c *checker) usable(what string, probe *natprobe.Probe) {
	err := probe.Set(natprobe.WithTimeout(time.Millisecond))
	c.expectTrue(what+", then a good setting", err == nil)
	result, err := probe.Check(context.Background())
	if result.PacketsSent == 0 { // on a busy machine a millisecond may be over by then
		c.expect(what+", then a check", err, natprobe.ErrTimeout)
		return
	}
	c.expect(what+", then a check", err, natprobe.ErrNoResponse)
}

func (c *checker) badTexts() {
	for _, server := range []string{
		"", ":3478", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x", "[::1", "[]:1",
		"::1]", "a b", "http://127.0.0.1", "stun:", "0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1\x00", "\x00",
		"example.com\x00.example.net", strings.Repeat("a", 1000),
	} {
		c.option(fmt.Sprintf("server %.20q", server), natprobe.WithServers(server))
	}
	for _, name := range []string{strings.Repeat("a", 1000), "lo\x00"} {
		c.option(fmt.Sprintf("interface %.20q", name), natprobe.WithInterface(name))
	}
	most := slices.Repeat([]string{c.silence}, natprobe.MaxServers)
	probe, err := natprobe.New(natprobe.WithServers(most...))
	c.expectTrue("as many servers as there may be", err == nil)
	c.expect("one server more", probe.Set(natprobe.WithServers(c.silence)), natprobe.ErrLimit)
	c.usable("one server more", probe)
	probe.Close()
}

func (c *checker) badNumbers() {
	for _, n := range []int32{-1, 1, 5, 7, math.MaxInt32, math.MinInt32} {
		c.option(fmt.Sprintf("family %d", n), natprobe.WithFamily(natprobe.Family(n)))
	}
	for _, n := range []int32{-1, 0, 128, 1 << 20, math.MaxInt32, math.MinInt32} {
		c.option(fmt.Sprintf("tests %d", n), natprobe.WithTests(natprobe.Tests(n)))
	}
	for _, d := range []time.Duration{
		math.MinInt64, -1, 0, time.Hour + 1, (1<<32 + 1) * time.Millisecond, math.MaxInt64,
	} {
		c.option(fmt.Sprintf("timeout %v", d), natprobe.WithTimeout(d))
		c.option(fmt.Sprintf("response timeout %v", d), natprobe.WithResponseTimeout(d))
	}
}

// badSockets tries everything that is a descriptor but not a socket to check from.
func (c *checker) badSockets() {
	ignore := func([]byte, netip.AddrPort) {}
	for what, open := range map[string]func() (syscall.Conn, func() error, error){
		"a file": func() (syscall.Conn, func() error, error) {
			file, err := os.Open(os.DevNull)
			return file, file.Close, err
		},
		"a TCP listener": func() (syscall.Conn, func() error, error) {
			listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
			return listener, listener.Close, err
		},
		"a connected socket": func() (syscall.Conn, func() error, error) {
			conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(c.silence)))
			return conn, conn.Close, err
		},
		"an unbound socket": func() (syscall.Conn, func() error, error) {
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
			file := os.NewFile(uintptr(fd), "socket")
			return file, file.Close, err
		},
		"a Unix socket": func() (syscall.Conn, func() error, error) {
			pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
			syscall.Close(pair[1])
			file := os.NewFile(uintptr(pair[0]), "socket")
			return file, file.Close, err
		},
		"a closed socket": func() (syscall.Conn, func() error, error) {
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			conn.Close()
			return conn, func() error { return nil }, err
		},
	} {
		conn, closeIt, err := open()
		c.expectTrue(what+" is there", err == nil)
		c.option(what, natprobe.WithSocket(conn, ignore))
		closeIt()
	}
	c.option("a socket without a receiver", natprobe.WithSocket(ownSocket(c), nil))
}

func ownSocket(c *checker) *net.UDPConn {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	c.expectTrue("an own socket", err == nil)
	return conn
}

// badNames reads names that nothing has.
func (c *checker) badNames() {
	for _, name := range []string{"", "Symmetric", "symmetric ", "\x00", "no such name", "NATType(x)"} {
		var natType natprobe.NATType
		var behaviour natprobe.Behaviour
		var status natprobe.Status
		var kind natprobe.EventKind
		for _, err := range []error{
			natType.UnmarshalText([]byte(name)), behaviour.UnmarshalText([]byte(name)),
			status.UnmarshalText([]byte(name)), kind.UnmarshalText([]byte(name)),
		} {
			c.expectTrue(fmt.Sprintf("the name %q is refused", name), err != nil)
		}
	}
	c.expectTrue("values without a name are numbers", natprobe.NATType(-1).String() == "NATType(-1)" &&
		natprobe.Behaviour(99).String() == "Behaviour(99)" && natprobe.Status(-9).String() == "Status(-9)" &&
		natprobe.EventKind(0).String() == "EventKind(0)" && natprobe.Request(9).String() == "Request(9)" &&
		natprobe.Purpose(9).String() == "Purpose(9)" && natprobe.Evidence(1<<31).String() == "Evidence(0x80000000)")
	c.expectTrue("and have texts", natprobe.NATType(-1).Description() != "" && natprobe.NATType(99).Advice() != "" &&
		natprobe.Behaviour(-1).Description() != "" && natprobe.Status(99).Description() != "")
}

// badOrder makes calls when there is no time for them.
func (c *checker) badOrder() {
	probe := c.probe()
	defer probe.Close()
	probe.Cancel()
	c.usable("Cancel without a check", probe)
	_, outcome := probe.Events(context.Background())
	_, err := outcome()
	c.expect("a loop that was not run", err, natprobe.ErrCancelled)
	c.usable("a loop that was not run", probe)
	_, err = probe.Check(nil) //lint:ignore SA1012 that is the test
	c.expect("no context", err, natprobe.ErrArgument)
	c.usable("no context", probe)
}

// withinCallback makes calls from within callbacks, which accept Cancel and Close only.
func (c *checker) withinCallback() {
	var probe *natprobe.Probe
	calls := 0
	tryAll := func() {
		if calls++; calls > 3 {
			return
		}
		_, checkErr := probe.Check(context.Background())
		c.expect("Check within a callback", checkErr, natprobe.ErrBusy)
		c.expect("Set within a callback", probe.Set(natprobe.WithTests(natprobe.TestsDefault)), natprobe.ErrBusy)
		probe.Cancel()
	}
	probe = c.probe(natprobe.WithEvents(func(natprobe.Event) { tryAll() }))
	_, err := probe.Check(context.Background())
	c.expect("Check, cancelled by its callback", err, natprobe.ErrCancelled)
	c.expectTrue("there were callbacks", calls > 0)
	c.usable("after callbacks", probe)
	probe.Close()
	c.noReturn()
}

// noReturn has callbacks end their goroutine, or panic.
func (c *checker) noReturn() {
	for name, callback := range map[string]func(){
		"Goexit": runtime.Goexit,
		"panic":  func() { panic("of a callback") },
	} {
		probe := c.probe(natprobe.WithEvents(func(natprobe.Event) { callback() }))
		ended := make(chan any)
		go func() {
			defer func() { ended <- recover() }()
			probe.Check(context.Background())
		}()
		value := <-ended
		c.expectTrue("what a callback panicked with arrives", (name == "panic") == (value == "of a callback"))
		c.expectTrue("other settings after "+name, probe.Set(natprobe.WithEvents(nil)) == nil)
		c.usable(name+" in a callback", probe)
		probe.Close()
	}
}

func (c *checker) afterClose() {
	probe := c.probe()
	c.expectTrue("Close", probe.Close() == nil)
	c.expectTrue("Close again", probe.Close() == nil)
	_, checkErr := probe.Check(context.Background())
	for _, target := range []error{natprobe.ErrClosed, net.ErrClosed} {
		c.expect("Check after Close", checkErr, target)
		c.expect("Set after Close", probe.Set(), target)
	}
	probe.Cancel()
	var zero natprobe.Probe
	c.expectTrue("Close of a zero Probe", zero.Close() == nil)
	_, err := zero.Check(context.Background())
	c.expect("a zero Probe after Close", err, natprobe.ErrClosed)
	empty, err := natprobe.New(nil)
	c.expectTrue("a nil Option", err == nil && empty.Close() == nil)
}

// clashes are settings that are good one by one.
func (c *checker) clashes() {
	conn := ownSocket(c)
	defer conn.Close()
	probe := c.probe(natprobe.WithSource(netip.MustParseAddrPort("[::1]:0")), natprobe.WithFamily(natprobe.FamilyIPv4))
	_, err := probe.Check(context.Background())
	c.expect("an IPv6 source and IPv4", err, natprobe.ErrArgument)
	c.expectTrue("other settings", probe.Set(natprobe.WithSource(netip.AddrPort{})) == nil)
	c.usable("an IPv6 source and IPv4", probe)

	c.expectTrue("an own socket", probe.Set(natprobe.WithSocket(conn, func([]byte, netip.AddrPort) {})) == nil)
	c.usable("with an own socket", probe)
	conn.Close()
	_, err = probe.Check(context.Background())
	c.expect("a socket closed since", err, net.ErrClosed)
	c.expectTrue("without the socket", probe.Set(natprobe.WithSocket(nil, nil)) == nil)
	c.usable("a socket closed since", probe)
	probe.Close()
}
