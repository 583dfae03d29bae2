// SPDX-License-Identifier: MIT

package natprobe

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Option is a setting, for New, Probe.Set and Check. If its value is wrong, those return an error.
type Option func(*config)

// config is all that can be set. What was not set is the library's default.
type config struct {
	servers         []string
	source          netip.AddrPort
	interfaceName   string       // "" for none
	socket          syscall.Conn // nil for none
	onDatagram      func([]byte, netip.AddrPort)
	family          Family
	tests           setting[Tests]
	timeout         setting[time.Duration]
	responseTimeout setting[time.Duration]
	lifetimeLimit   setting[time.Duration]
	logger          *slog.Logger
	onEvent         func(Event)
}

// setting is a value that may not have been set.
type setting[T any] struct {
	value T
	isSet bool
}

// with returns a copy with more options.
func (c config) with(options []Option) config {
	c.servers = slices.Clip(c.servers) // so that the copy's servers go elsewhere
	for _, option := range options {
		if option != nil {
			option(&c)
		}
	}
	return c
}

// WithServers adds servers. The first one added replaces the built-in public ones. They are asked in the order given.
// A server is "HOST", "HOST:PORT", "IPv4[:PORT]", "IPv6", "[IPv6]:PORT" or a "stun:" URI (RFC 7064). Without a port it
// is 3478. A link-local IPv6 address has its interface, as in "fe80::1%eth0". If there are more than MaxServers of them,
// the error is ErrLimit.
func WithServers(servers ...string) Option {
	servers = slices.Clone(servers)
	return func(c *config) { c.servers = append(c.servers, servers...) }
}

// WithBuiltinServers forgets the servers added, and goes back to the built-in public ones.
func WithBuiltinServers() Option {
	return func(c *config) { c.servers = nil }
}

// WithSource sets the local address and port to check from. The zero Addr is any address, and port 0 any free port; so
// netip.AddrPortFrom(netip.Addr{}, 5000) is port 5000 of any address. WithSource takes back WithSocket.
func WithSource(source netip.AddrPort) Option {
	return func(c *config) { c.source, c.socket, c.onDatagram = source, nil, nil }
}

// WithInterface chooses the network interface by name, such as "eth0", whatever the routing table prefers. It holds for
// the library's own sockets in both families, and beside WithSource. It does not hold for the resolution of names, and
// the socket of WithSocket has an interface of its own. "" takes it back. A check ends with ErrAddressNotAvailable if
// there is no such interface, and with ErrSystem if the system does not let this process choose it.
func WithInterface(name string) Option { return func(c *config) { c.interfaceName = name } }

// WithSocket checks from your own UDP socket. The external address is then that of the port from which you will talk to
// your peers. WithSocket takes back WithSource, and a nil conn takes back WithSocket.
//
// The socket, normally a *net.UDPConn, must be bound to a port and not connected. The library asks for the mapping from
// it. It tests the filtering from a fresh socket on the same local address. A socket of both families, as
// net.ListenUDP("udp", nil) makes it, is checked over IPv4, unless WithFamily chooses IPv6.
//
// During a check the library reads the socket, and nobody else may. Every other datagram that arrives goes to
// onDatagram, whole and in order, with the sender's address as net.UDPConn.ReadFromUDPAddrPort returns it. You may keep
// the data. Datagrams that are still unread when the check ends stay in the socket. Late answers to the library may be
// among them; ignore those. The library has a duplicate of the descriptor: it never closes the socket, and the socket's
// deadlines do not matter to it.
func WithSocket(conn syscall.Conn, onDatagram func(data []byte, from netip.AddrPort)) Option {
	return func(c *config) { c.source, c.socket, c.onDatagram = netip.AddrPort{}, conn, onDatagram }
}

// WithFamily chooses the address family.
func WithFamily(family Family) Option { return func(c *config) { c.family = family } }

// WithTests chooses the tests.
func WithTests(tests Tests) Option { return func(c *config) { c.tests = setting[Tests]{tests, true} } }

// WithTimeout sets the time allowed for a whole check, name resolution included: from a millisecond to an hour. The
// check then ends with ErrTimeout, or with ErrNoResponse if nothing was ever heard. A context's deadline holds besides.
func WithTimeout(timeout time.Duration) Option {
	return func(c *config) { c.timeout = setting[time.Duration]{timeout, true} }
}

// WithLifetimeLimit sets the longest idle time that TestsLifetime tries: from a second to an hour. Such a check takes so
// much longer than WithTimeout allows.
func WithLifetimeLimit(limit time.Duration) Option {
	return func(c *config) { c.lifetimeLimit = setting[time.Duration]{limit, true} }
}

// WithResponseTimeout sets how long silence must last until the check ends with ErrNoResponse and NATUDPBlocked: from a
// millisecond to an hour. Choose it well above the longest round trip that you expect. If it is not below the time of
// WithTimeout, silence ends the check when that is over, and the type is NATUnknown.
func WithResponseTimeout(timeout time.Duration) Option {
	return func(c *config) { c.responseTimeout = setting[time.Duration]{timeout, true} }
}

// WithLogger sends the library's log to a logger, with the check's context. The logger's handler chooses the level. nil
// turns the log off, which is the default.
func WithLogger(logger *slog.Logger) Option { return func(c *config) { c.logger = logger } }

// WithEvents sets a function that gets every event: each request sent, each answer, each conclusion. nil turns it off,
// which is the default. Probe.Events has them as a loop.
func WithEvents(onEvent func(Event)) Option { return func(c *config) { c.onEvent = onEvent } }

// apply sets everything on a fresh probe of the library's, which is the judge of it.
func (c *config) apply(n *C.natprobe_go) error {
	for _, set := range []func(*C.natprobe_go) error{
		c.applySource, c.applyInterface, c.applySocket, c.applyServers, c.applyChoices, c.applyTimeouts,
	} {
		if err := set(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) applySource(n *C.natprobe_go) error {
	if !c.source.Addr().IsValid() {
		return refusedBy(C.np_probe_set_source(n.probe, nil, C.uint16_t(c.source.Port())), "")
	}
	code := withText(c.source.Addr().String(), func(ip *C.char) C.int {
		return C.np_probe_set_source(n.probe, ip, C.uint16_t(c.source.Port()))
	})
	return refusedBy(code, "the library does not accept the source address %v", c.source.Addr())
}

func (c *config) applyInterface(n *C.natprobe_go) error {
	if c.interfaceName == "" {
		return refusedBy(C.np_probe_set_interface(n.probe, nil), "")
	}
	code := withText(c.interfaceName, func(name *C.char) C.int { return C.np_probe_set_interface(n.probe, name) })
	return refusedBy(code, "%.100q is not the name of an interface", c.interfaceName)
}

func (c *config) applyServers(n *C.natprobe_go) error {
	for _, server := range c.servers {
		code := withText(server, func(text *C.char) C.int { return C.np_probe_add_server(n.probe, text) })
		if code == C.NP_ERR_LIMIT {
			return refusedBy(code, "%d servers are more than %d", len(c.servers), MaxServers)
		}
		if err := refusedBy(code, "%.100q is not a server", server); err != nil {
			return err
		}
	}
	return nil
}

func (c *config) applyChoices(n *C.natprobe_go) error {
	code := C.np_probe_set_family(n.probe, C.int32_t(c.family))
	if code != C.NP_OK || !c.tests.isSet {
		return refusedBy(code, "%v is not an address family", c.family)
	}
	code = C.np_probe_set_tests(n.probe, C.int32_t(c.tests.value))
	return refusedBy(code, "the library has no tests %v", c.tests.value)
}

func (c *config) applyTimeouts(n *C.natprobe_go) error {
	if c.timeout.isSet {
		code := C.np_probe_set_timeout(n.probe, inMilliseconds(c.timeout.value))
		if err := refusedBy(code, "the timeout %v is out of range", c.timeout.value); err != nil {
			return err
		}
	}
	if c.lifetimeLimit.isSet {
		code := C.np_probe_set_lifetime_limit(n.probe, inSeconds(c.lifetimeLimit.value))
		if err := refusedBy(code, "the lifetime limit %v is out of range", c.lifetimeLimit.value); err != nil {
			return err
		}
	}
	if !c.responseTimeout.isSet {
		return nil
	}
	code := C.np_probe_set_response_timeout(n.probe, inMilliseconds(c.responseTimeout.value))
	return refusedBy(code, "the response timeout %v is out of range", c.responseTimeout.value)
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

// inSeconds rounds up. 0, which the library refuses, stands for what does not fit.
func inSeconds(d time.Duration) C.uint32_t {
	if d <= 0 || d > 2*time.Hour {
		return 0
	}
	return C.uint32_t((d + time.Second - 1) / time.Second)
}

// inMilliseconds rounds up. 0, which the library refuses, stands for what does not fit.
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
