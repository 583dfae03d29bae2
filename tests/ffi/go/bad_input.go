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

// usable expects of a Probe without a server that answers that it comes to its proper end.
func (c *checker) usable(what string, probe *natprobe.Probe) {
	err := probe.Set(natprobe.WithTimeout(time.Millisecond))
	c.expectTrue(what+", then a good setting", err == nil)
	_, err = probe.Check(context.Background())
	c.expect(what+", then a check", err, natprobe.ErrDeadline)
}

func (c *checker) badTexts() {
	for _, ip := range []string{
		"x", "localhost", "127.0.0", "127.0.0.256", "127.0.0.1:80", " 127.0.0.1", "127.0.0.1 ", "[::1]", "::1::",
		"\x00", "127.0.0.1\x00", "::\x00", "\xff", strings.Repeat("1", 1000),
	} {
		c.option(fmt.Sprintf("source %.20q", ip), natprobe.WithSource(ip, 0))
		r, err := natprobe.CheckNAT(ip, 0)
		c.expect(fmt.Sprintf("CheckNAT %.20q", ip), err, natprobe.ErrArgument)
		c.expectTrue("the result says so", r.Status == natprobe.ErrArgument)
		err = natprobe.CheckNATAndLog(ip, 0, ignoreLog)
		c.expect(fmt.Sprintf("CheckNATAndLog %.20q", ip), err, natprobe.ErrArgument)
	}
	for _, server := range []string{
		"", ":3478", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x", "[::1", "[]:1",
		"::1]", "a b", "http://127.0.0.1", "stun:", "0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1\x00", "\x00",
		"example.com\x00.example.net", strings.Repeat("a", 1000),
	} {
		c.option(fmt.Sprintf("server %.20q", server), natprobe.WithServers(server))
	}
	most := make([]string, natprobe.MaxServers)
	for i := range most {
		most[i] = c.silence
	}
	probe, err := natprobe.New(natprobe.WithServers(most...))
	c.expectTrue("as many servers as there may be", err == nil)
	c.expect("one server more", probe.Set(natprobe.WithServers(c.silence)), natprobe.ErrArgument)
	c.usable("one server more", probe)
	probe.Close()
}

func ignoreLog(natprobe.LogLevel, string) {}

func (c *checker) badNumbers() {
	for _, n := range []int32{-1, 1, 5, 7, math.MaxInt32, math.MinInt32} {
		c.option(fmt.Sprintf("family %d", n), natprobe.WithFamily(natprobe.Family(n)))
	}
	for _, n := range []int32{-1, 0, 2, 4, math.MaxInt32, math.MinInt32} {
		c.option(fmt.Sprintf("tests %d", n), natprobe.WithTests(natprobe.Tests(n)))
	}
	for _, n := range []int32{-1, 0, 5, math.MaxInt32} {
		c.option(fmt.Sprintf("log level %d", n), natprobe.WithLog(natprobe.LogLevel(n), ignoreLog))
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
	for _, name := range []string{"", "Symmetric", "symmetric ", "\x00", "no such name"} {
		var natType natprobe.NATType
		var behaviour natprobe.Behaviour
		var code natprobe.Code
		var kind natprobe.EventKind
		for _, err := range []error{
			natType.UnmarshalText([]byte(name)), behaviour.UnmarshalText([]byte(name)),
			code.UnmarshalText([]byte(name)), kind.UnmarshalText([]byte(name)),
		} {
			c.expectTrue(fmt.Sprintf("the name %q is refused", name), err != nil)
		}
	}
	c.expectTrue("values without a name are unknown", natprobe.NATType(-1).String() == "unknown" &&
		natprobe.Behaviour(99).String() == "unknown" && natprobe.Code(-9).String() == "unknown" &&
		natprobe.EventKind(0).String() == "unknown" && natprobe.Test(9).String() == "unknown" &&
		natprobe.Purpose(9).String() == "unknown" && natprobe.Evidence(1<<31).String() == "unknown")
	c.expectTrue("and have texts", natprobe.NATType(-1).Description() != "" && natprobe.NATType(99).Advice() != "" &&
		natprobe.Behaviour(-1).Description() != "" && natprobe.Code(99).Description() != "")
}

// badOrder makes calls when there is no time for them.
func (c *checker) badOrder() {
	probe := c.probe()
	defer probe.Close()
	_, done, err := probe.Process()
	c.expect("Process before Start", err, natprobe.ErrArgument)
	c.expectTrue("nothing is done, and there is no descriptor", !done && probe.FD() == -1)
	c.expectTrue("Start", probe.Start() == nil)
	c.expectAllBusy("a check goes on", probe)
	result, done, err := probe.Process()
	c.expectTrue("Process", err == nil && !done && result.Status == natprobe.Pending && probe.FD() >= 0)
	probe.Cancel()
	_, done, err = probe.Process()
	c.expect("Process after Cancel", err, natprobe.ErrCancelled)
	c.expectTrue("it is done", done)
	_, _, err = probe.Process()
	c.expect("Process after the end", err, natprobe.ErrArgument)
	c.usable("after Process", probe)
}

func (c *checker) expectAllBusy(when string, probe *natprobe.Probe) {
	_, checkErr := probe.Check(context.Background())
	_, runErr := probe.Run(context.Background())
	for call, err := range map[string]error{
		"Start": probe.Start(), "Check": checkErr, "Run": runErr,
		"Set": probe.Set(natprobe.WithTests(natprobe.TestsAll)),
	} {
		c.expect(call+" while "+when, err, natprobe.ErrBusy)
	}
}

// withinCallback makes calls from within callbacks, which accept Cancel only.
func (c *checker) withinCallback() {
	for name, check := range map[string]func(*natprobe.Probe, context.Context) (natprobe.Result, error){
		"Run": (*natprobe.Probe).Run, "Check": (*natprobe.Probe).Check,
	} {
		var probe *natprobe.Probe
		calls := 0
		tryAll := func() {
			if calls++; calls > 3 {
				return
			}
			c.expectAllBusy(name+" is in a callback", probe)
			_, _, err := probe.Process()
			c.expect("Process within a callback", err, natprobe.ErrBusy)
			probe.Cancel()
		}
		probe = c.probe(natprobe.WithEvents(func(natprobe.Event) { tryAll() }),
			natprobe.WithLog(natprobe.LogDebug, func(natprobe.LogLevel, string) { tryAll() }))
		_, err := check(probe, context.Background())
		c.expect(name+", cancelled by its callback", err, natprobe.ErrCancelled)
		c.expectTrue("there were callbacks", calls > 0)
		c.usable("after callbacks", probe)
		probe.Close()
	}
}

func (c *checker) afterClose() {
	probe := c.probe()
	c.expectTrue("Close", probe.Close() == nil && probe.Close() == nil)
	_, checkErr := probe.Check(context.Background())
	_, runErr := probe.Run(context.Background())
	_, _, processErr := probe.Process()
	for call, err := range map[string]error{
		"Check": checkErr, "Run": runErr, "Process": processErr, "Start": probe.Start(), "Set": probe.Set(),
	} {
		c.expect(call+" after Close", err, natprobe.ErrClosed)
	}
	probe.Cancel()
	c.expectTrue("no descriptor is left", probe.FD() == -1)
}

// clashes are settings that are good one by one.
func (c *checker) clashes() {
	conn := ownSocket(c)
	defer conn.Close()
	probe := c.probe(natprobe.WithSource("::1", 0), natprobe.WithFamily(natprobe.FamilyIPv4))
	_, err := probe.Check(context.Background())
	c.expect("an IPv6 source and IPv4", err, natprobe.ErrArgument)
	c.expectTrue("other settings", probe.Set(natprobe.WithSource("", 0)) == nil)
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
