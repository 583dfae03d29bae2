// SPDX-License-Identifier: MIT

package natprobe

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"math"
	"net/netip"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Option is a setting of a Probe, for New, Probe.Set and Check. What is wrong with it those tell.
type Option func(*config)

// config is all that can be set, with the library's defaults for what was not.
type config struct {
	callbacks
	servers         []string
	sourceIP        string
	sourcePort      uint16
	hasSocket       bool
	socket          syscall.Conn
	family          Family
	tests           Tests
	timeout         time.Duration
	responseTimeout time.Duration
	logLevel        LogLevel
}

func defaults() config {
	return config{
		family: FamilyAny, tests: TestsAll, timeout: DefaultTimeout, responseTimeout: DefaultResponseTimeout,
		logLevel: LogInfo,
	}
}

// with returns a copy with more options; the two share nothing that either would change.
func (c config) with(options []Option) config {
	c.servers = append([]string(nil), c.servers...)
	for _, option := range options {
		option(&c)
	}
	return c
}

// WithServers adds servers; the first one added replaces the built-in public ones. They are asked in the order
// given. A server is "HOST", "HOST:PORT", "IPv4[:PORT]", "IPv6", "[IPv6]:PORT" or a "stun:" URI (RFC 7064),
// with port 3478 if none is given. There may be MaxServers of them.
func WithServers(servers ...string) Option {
	servers = append([]string(nil), servers...)
	return func(c *config) { c.servers = append(c.servers, servers...) }
}

// WithBuiltinServers forgets the servers added and goes back to the built-in public ones.
func WithBuiltinServers() Option {
	return func(c *config) { c.servers = nil }
}

// WithSource sets the local address, an IP literal or "" for any, and the local port, 0 for any, to check from.
// It takes back WithSocket.
func WithSource(ip string, port uint16) Option {
	return func(c *config) {
		c.sourceIP, c.sourcePort = ip, port
		c.hasSocket, c.socket, c.datagram = false, nil, nil
	}
}

// WithSocket checks from a UDP socket of the caller's own, so that the external address is that of the port
// which the caller will talk to its peers from. It takes back WithSource. The socket, normally a *net.UDPConn,
// must be bound to a port and not connected. The mapping is asked from it; the filtering is tested from a fresh
// socket on the same local address.
//
// While a check goes on the library reads the socket, and nobody else may. Whatever comes and is not for the
// library is handed to onDatagram, whole and in the order of arrival, with the sender's address as
// net.UDPConn.ReadFromUDPAddrPort gives it; data may be kept. What has not been read when the check ends is
// left in the socket; late answers to the library's requests may be among it, and are best ignored. The library
// works on a duplicate of the descriptor: it never closes the socket, and the socket's deadlines do not concern
// it.
//
// A nil conn takes the setting back.
func WithSocket(conn syscall.Conn, onDatagram func(data []byte, from netip.AddrPort)) Option {
	return func(c *config) {
		c.sourceIP, c.sourcePort = "", 0
		c.hasSocket, c.socket, c.datagram = conn != nil, conn, onDatagram
	}
}

// WithFamily chooses the address family.
func WithFamily(family Family) Option { return func(c *config) { c.family = family } }

// WithTests chooses the tests.
func WithTests(tests Tests) Option { return func(c *config) { c.tests = tests } }

// WithTimeout sets the time allowed for a whole check, name resolution included: from a millisecond to an hour.
// A context's deadline holds besides.
func WithTimeout(timeout time.Duration) Option { return func(c *config) { c.timeout = timeout } }

// WithResponseTimeout sets how long silence from every server must last until UDP is called blocked: from a
// millisecond to an hour. It should be well above the longest round trip to expect.
func WithResponseTimeout(timeout time.Duration) Option {
	return func(c *config) { c.responseTimeout = timeout }
}

// WithLog sets a receiver of log lines up to a level; nil turns the log off, which is the default.
func WithLog(level LogLevel, log func(level LogLevel, message string)) Option {
	return func(c *config) { c.logLevel, c.log = level, log }
}

// WithEvents sets a receiver of events: every request sent, every answer, every conclusion. nil turns them off,
// which is the default.
func WithEvents(onEvent func(Event)) Option {
	return func(c *config) { c.event = onEvent }
}

// apply sets everything on a fresh probe of the library's, which is the judge of it.
func (c *config) apply(n *C.natprobe_go) error {
	for _, set := range []func(*C.natprobe_go) error{
		c.applySource, c.applySocket, c.applyServers, c.applyNumbers, c.applyCallbacks,
	} {
		if err := set(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) applySource(n *C.natprobe_go) error {
	if c.sourceIP == "" {
		C.np_probe_set_source(n.probe, nil, C.uint16_t(c.sourcePort))
		return nil
	}
	code := withText(c.sourceIP, func(ip *C.char) C.int {
		return C.np_probe_set_source(n.probe, ip, C.uint16_t(c.sourcePort))
	})
	return verdictOn(code, "the source address %q is not an IP address", c.sourceIP)
}

func (c *config) applyServers(n *C.natprobe_go) error {
	if len(c.servers) > MaxServers {
		return refused(ErrArgument, "%d servers are more than %d", len(c.servers), MaxServers)
	}
	for _, server := range c.servers {
		code := withText(server, func(text *C.char) C.int { return C.np_probe_add_server(n.probe, text) })
		if err := verdictOn(code, "%q is not a server", server); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) applyNumbers(n *C.natprobe_go) error {
	if code := C.np_probe_set_family(n.probe, C.int32_t(c.family)); code != C.NP_OK {
		return verdictOn(code, "%d is no address family", int32(c.family))
	}
	if code := C.np_probe_set_tests(n.probe, C.int32_t(c.tests)); code != C.NP_OK {
		return verdictOn(code, "%d is no choice of tests", int32(c.tests))
	}
	if code := C.np_probe_set_timeout(n.probe, inMilliseconds(c.timeout)); code != C.NP_OK {
		return verdictOn(code, "the timeout %v is out of range", c.timeout)
	}
	code := C.np_probe_set_response_timeout(n.probe, inMilliseconds(c.responseTimeout))
	return verdictOn(code, "the response timeout %v is out of range", c.responseTimeout)
}

func (c *config) applyCallbacks(n *C.natprobe_go) error {
	if code := C.natprobe_go_set_events(n, C.bool(c.event != nil)); code != C.NP_OK {
		return verdictOn(code, "")
	}
	code := C.natprobe_go_set_log(n, C.bool(c.log != nil), C.int32_t(c.logLevel))
	return verdictOn(code, "%d is no log level", int32(c.logLevel))
}

// verdictOn turns what a setter returned into an error, with a text for arguments that it does not accept.
func verdictOn(code C.int, format string, args ...any) error {
	switch Code(code) {
	case OK:
		return nil
	case ErrArgument:
		return refused(ErrArgument, format, args...)
	default:
		return refused(Code(code), "")
	}
}

// withText calls f with a C string. What C would take for a shorter text is no argument.
func withText(text string, f func(*C.char) C.int) C.int {
	if strings.IndexByte(text, 0) >= 0 {
		return C.NP_ERR_ARGUMENT
	}
	cText := C.CString(text)
	defer C.free(unsafe.Pointer(cText))
	return f(cText)
}

// inMilliseconds rounds up; 0, which the library refuses, stands for what does not fit.
func inMilliseconds(d time.Duration) C.uint32_t {
	ms := d / time.Millisecond
	if d%time.Millisecond > 0 {
		ms++
	}
	if ms < 0 || ms > math.MaxUint32 {
		return 0
	}
	return C.uint32_t(ms)
}
