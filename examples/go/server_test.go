// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// What these tests need of STUN (RFC 8489, RFC 5780).
const (
	stunHeader       = 20
	stunCookie       = 0x2112a442
	bindingRequest   = 0x0001
	bindingSuccess   = 0x0101
	bindingFailure   = 0x0111
	changeRequest    = 0x0003
	errorCode        = 0x0009
	xorMappedAddress = 0x0020
	responseOrigin   = 0x802b
	otherAddress     = 0x802c
	changePort       = 2
	changeAddress    = 4
)

// stunServer is a STUN server on two loopback addresses with two ports each, or on one endpoint only.
type stunServer struct {
	conns    [2][2]*net.UDPConn // by address and port
	requests atomic.Int32

	silent bool        // never answers
	reject bool        // answers with an error
	lame   bool        // answers plain requests to its primary endpoint only
	text   string      // answers with this instead of STUN
	shift  int         // sees ports that much higher
	byIP   bool        // and a further one higher at its second address
	meets  *stunServer // answers only once that was asked too
}

// startServer starts a server with the primary endpoint (A:P) returned by name; with the second address it is
// RFC 5780's.
func startServer(t testing.TB, s *stunServer, ips ...string) *stunServer {
	t.Helper()
	for i, ip := range ips {
		for j := range ips {
			s.conns[i][j] = listen(t, ip, s.portOf(j))
		}
	}
	for i := range s.conns {
		for j := range s.conns[i] {
			if s.conns[i][j] != nil {
				go s.serve(i, j)
			}
		}
	}
	return s
}

// portOf is the port that the endpoints of a column share, 0 as long as it has none.
func (s *stunServer) portOf(j int) int {
	if s.conns[0][j] == nil {
		return 0
	}
	return s.conns[0][j].LocalAddr().(*net.UDPAddr).Port
}

func listen(t testing.TB, ip string, port int) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadBuffer(4 << 20)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// name is the primary endpoint, as WithServers wants it.
func (s *stunServer) name() string { return s.conns[0][0].LocalAddr().String() }

func (s *stunServer) serve(i, j int) {
	buffer := make([]byte, 2048)
	for {
		size, from, err := s.conns[i][j].ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		request := buffer[:size]
		if size < stunHeader || binary.BigEndian.Uint16(request) != bindingRequest {
			continue
		}
		s.requests.Add(1)
		s.meet()
		if !s.silent && !(s.lame && (i != 0 || j != 0 || changeFlags(request) != 0)) {
			s.answer(request, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), i, j)
		}
	}
}

// meet waits for less than the silence that a check bears.
func (s *stunServer) meet() {
	for tries := 0; s.meets != nil && s.meets.requests.Load() == 0 && tries < 2000; tries++ {
		time.Sleep(time.Millisecond)
	}
}

func (s *stunServer) answer(request []byte, from netip.AddrPort, i, j int) {
	answer := s.response(request, from, i, j)
	flags := changeFlags(request)
	if s.conns[1][1] != nil && flags&changeAddress != 0 {
		i = 1 - i
	}
	if s.conns[1][1] != nil && flags&changePort != 0 {
		j = 1 - j
	}
	s.conns[i][j].WriteToUDPAddrPort(answer, from)
}

func (s *stunServer) response(request []byte, from netip.AddrPort, i, j int) []byte {
	if s.text != "" {
		return []byte(s.text)
	}
	id := request[4:stunHeader]
	if s.reject {
		return message(bindingFailure, id, attribute(errorCode, []byte{0, 0, 4, 0}))
	}
	seen := netip.AddrPortFrom(from.Addr(), from.Port()+uint16(s.shift))
	if s.byIP && i == 1 {
		seen = netip.AddrPortFrom(from.Addr(), seen.Port()+1)
	}
	attributes := attribute(xorMappedAddress, xored(addressValue(seen), id))
	if s.conns[1][1] != nil {
		attributes = append(attributes, attribute(responseOrigin, addressValue(s.endpoint(i, j)))...)
		attributes = append(attributes, attribute(otherAddress, addressValue(s.endpoint(1-i, 1-j)))...)
	}
	return message(bindingSuccess, id, attributes)
}

func (s *stunServer) endpoint(i, j int) netip.AddrPort {
	return s.conns[i][j].LocalAddr().(*net.UDPAddr).AddrPort()
}

func changeFlags(request []byte) byte {
	for rest := request[stunHeader:]; len(rest) >= 4; {
		size := int(binary.BigEndian.Uint16(rest[2:]))
		padded := 4 + (size+3)/4*4
		if padded > len(rest) {
			break
		}
		if binary.BigEndian.Uint16(rest) == changeRequest && size == 4 {
			return rest[7]
		}
		rest = rest[padded:]
	}
	return 0
}

// message has the magic cookie and the transaction as the request had them.
func message(kind uint16, cookieAndID, attributes []byte) []byte {
	m := binary.BigEndian.AppendUint16(nil, kind)
	m = binary.BigEndian.AppendUint16(m, uint16(len(attributes)))
	m = append(m, cookieAndID...)
	return append(m, attributes...)
}

func attribute(kind uint16, value []byte) []byte {
	a := binary.BigEndian.AppendUint16(nil, kind)
	a = binary.BigEndian.AppendUint16(a, uint16(len(value)))
	return append(a, value...) // the values here need no padding
}

func addressValue(a netip.AddrPort) []byte {
	ip := a.Addr().Unmap()
	family := byte(1)
	if ip.Is6() {
		family = 2
	}
	return append(binary.BigEndian.AppendUint16([]byte{0, family}, a.Port()), ip.AsSlice()...)
}

func xored(value, cookieAndID []byte) []byte {
	value[2] ^= stunCookie >> 24
	value[3] ^= stunCookie >> 16 & 0xff
	for i := range value[4:] {
		value[4+i] ^= cookieAndID[i]
	}
	return value
}
