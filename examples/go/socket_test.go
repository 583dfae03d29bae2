// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

type datagram struct {
	text string
	from netip.AddrPort
}

// mailbox keeps what is handed over.
type mailbox struct {
	mu   sync.Mutex
	mail []datagram
}

func (m *mailbox) receive(data []byte, from netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mail = append(m.mail, datagram{string(data), from})
}

// drain reads what the check left in the socket, but not answers to the library.
func (m *mailbox) drain(conn *net.UDPConn, server *stunServer) {
	buffer := make([]byte, 65536)
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	for {
		size, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		if from.Port() != server.endpoint(0, 0).Port() {
			m.receive(buffer[:size], from)
		}
	}
}

func TestSocket(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		conn, peer := listen(t, "127.0.0.1", 0), listen(t, "127.0.0.3", 0)
		own := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		want := []string{"", "hello", string(bytes.Repeat([]byte{0, 1, 255}, 20000)), "hello", "\x01\x01\x00\x00"}
		for _, text := range want {
			peer.WriteToUDPAddrPort([]byte(text), own)
		}
		var got mailbox
		files := openFiles(t)
		p := newProbe(t, WithServers(server.name()), WithSocket(conn, got.receive))
		r, err := check(p, context.Background())
		p.Close()
		if now := openFiles(t); now != files {
			t.Errorf("%d files were open, now %d", files, now)
		}
		if err != nil || r.External != own || r.Local != own || r.NATType != NATOpenInternet {
			t.Fatalf("%+v, %v", r, err)
		}
		got.drain(conn, server)
		checkMail(t, got.mail, want, peer.LocalAddr().(*net.UDPAddr).AddrPort())
		checkUsable(t, conn, peer)
	})
}

func checkMail(t *testing.T, got []datagram, want []string, from netip.AddrPort) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d datagrams of %d", len(got), len(want))
	}
	for i := range want {
		if got[i].text != want[i] || got[i].from != from {
			t.Errorf("datagram %d: %.20q from %v", i, got[i].text, got[i].from)
		}
	}
}

// checkUsable has the socket do what it did before the check.
func checkUsable(t *testing.T, conn, peer *net.UDPConn) {
	t.Helper()
	received := make(chan string, 1)
	go func() {
		buffer := make([]byte, 100)
		conn.SetReadDeadline(time.Now().Add(prompt))
		size, _, _ := conn.ReadFromUDPAddrPort(buffer)
		received <- string(buffer[:size])
	}()
	time.Sleep(10 * time.Millisecond) // so that the reader has to wait in the runtime's poller
	peer.WriteTo([]byte("after"), conn.LocalAddr())
	if text := <-received; text != "after" {
		t.Errorf("got %q", text)
	}
}

// TestSocketWhileChecking has datagrams come all the time during the check.
func TestSocketWhileChecking(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		conn, peer := listen(t, "127.0.0.1", 0), listen(t, "127.0.0.3", 0)
		done, sent := make(chan struct{}), make(chan []string)
		go func() {
			var texts []string
			for i := 0; ; i++ {
				select {
				case <-done:
					sent <- texts
					return
				default:
					texts = append(texts, fmt.Sprintf("hello %d", i))
					peer.WriteTo([]byte(texts[i]), conn.LocalAddr())
					time.Sleep(100 * time.Microsecond)
				}
			}
		}()
		var got mailbox
		_, err := check(newProbe(t, WithServers(server.name()), WithSocket(conn, got.receive)), context.Background())
		if err != nil {
			t.Error(err)
		}
		close(done)
		want := <-sent
		got.drain(conn, server)
		checkMail(t, got.mail, want, peer.LocalAddr().(*net.UDPAddr).AddrPort())
	})
}

func TestSocketIPv6(t *testing.T) {
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip(err)
	}
	defer conn.Close()
	server, peer := startServer(t, &stunServer{}, "::1"), listen(t, "::1", 0)
	peer.WriteTo([]byte("hello"), conn.LocalAddr())
	var got mailbox
	r, err := Check(context.Background(), WithServers(server.name()), WithSocket(conn, got.receive))
	if err != nil || r.External != conn.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Fatalf("%+v, %v", r, err)
	}
	got.drain(conn, server)
	checkMail(t, got.mail, []string{"hello"}, peer.LocalAddr().(*net.UDPAddr).AddrPort())
}

// TestSocketOfBothFamilies has the addresses that Go gives with such a socket.
func TestSocketOfBothFamilies(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server, peer := fullServer(t), listen(t, "127.0.0.3", 0)
	port := conn.LocalAddr().(*net.UDPAddr).Port
	peer.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	var got mailbox
	r, err := Check(context.Background(), WithServers(server.name()), WithSocket(conn, got.receive))
	if err != nil || int(r.External.Port()) != port {
		t.Fatalf("%+v, %v", r, err)
	}
	got.drain(conn, server)
	if len(got.mail) != 1 || got.mail[0].from.Addr().Unmap() != netip.MustParseAddr("127.0.0.3") {
		t.Fatalf("%v", got.mail)
	}
	if _, err := conn.WriteToUDPAddrPort([]byte("answer"), got.mail[0].from); err != nil {
		t.Error(err)
	}
	peer.SetReadDeadline(time.Now().Add(prompt))
	buffer := make([]byte, 100)
	if size, err := peer.Read(buffer); err != nil || string(buffer[:size]) != "answer" {
		t.Errorf("%q, %v", buffer[:size], err)
	}
}

// TestSocketClosedMeanwhile is no trouble: the library has a duplicate.
func TestSocketClosedMeanwhile(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		conn := listen(t, "127.0.0.1", 0)
		p := newProbe(t, WithServers(server.name()), WithSocket(conn, func([]byte, netip.AddrPort) {}),
			WithEvents(func(Event) { conn.Close() }))
		if _, err := check(p, context.Background()); err != nil {
			t.Fatal(err)
		}
		if r, err := check(p, context.Background()); !errors.Is(err, net.ErrClosed) || r.Status != StatusArgument {
			t.Errorf("%+v, %v", r, err)
		}
		if err := p.Set(WithSocket(nil, nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestSocketTakesBackSource(t *testing.T) {
	server := fullServer(t)
	conn := listen(t, "127.0.0.1", 0)
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	taken := listen(t, "127.0.0.1", 0).LocalAddr().(*net.UDPAddr).AddrPort() // a check from there would fail
	option := WithSocket(conn, func([]byte, netip.AddrPort) {})
	r, err := Check(context.Background(), WithServers(server.name()), WithSource(taken), option)
	if err != nil || r.Local.Port() != port {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Check(context.Background(), WithServers(server.name()), option, source("127.0.0.1"))
	if err != nil || r.Local.Port() == port {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = Check(context.Background(), WithServers(server.name()), WithSource(taken), option, WithSocket(nil, nil))
	if err != nil || r.Local.Port() == port {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestSource(t *testing.T) {
	server := fullServer(t)
	free := func() uint16 {
		conn := listen(t, "127.0.0.1", 0)
		defer conn.Close()
		return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	}
	for _, ip := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("0.0.0.0"),
		netip.MustParseAddr("::ffff:127.0.0.1")} {
		want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), free())
		r, err := Check(context.Background(), WithServers(server.name()),
			WithSource(netip.AddrPortFrom(ip, want.Port())))
		if err != nil || r.Local != want {
			t.Errorf("%v: %+v, %v", ip, r, err)
		}
	}
}

// TestInterface has the loopback interface lead to the server, and no other one. Old kernels let only some users
// choose.
func TestInterface(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		isLoopback, patience := i.Flags&net.FlagLoopback != 0, 200*time.Millisecond
		if isLoopback {
			patience = DefaultResponseTimeout
		}
		if err := p.Set(WithInterface(i.Name), WithResponseTimeout(patience)); err != nil {
			t.Fatal(err)
		}
		r, err := p.Check(context.Background())
		if (r.NATType == NATOpenInternet) != isLoopback && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %+v, %v", i.Name, r, err)
		}
	}
	if err := p.Set(WithInterface(""), WithResponseTimeout(DefaultResponseTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(context.Background()); err != nil {
		t.Errorf("taken back: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	loopback, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skip(err)
	}
	six := func(scope uint32) unsafe.Pointer {
		return unsafe.Pointer(&syscall.RawSockaddrInet6{
			Family: syscall.AF_INET6, Port: networkOrder(7), Addr: [16]byte{0xfe, 0x80, 15: 1}, Scope_id: scope,
		})
	}
	const size4, size6 = syscall.SizeofSockaddrInet4, syscall.SizeofSockaddrInet6
	four := unsafe.Pointer(&syscall.RawSockaddrInet4{
		Family: syscall.AF_INET, Port: networkOrder(0x1234), Addr: [4]byte{192, 0, 2, 1}})
	for _, c := range []struct {
		address unsafe.Pointer
		size    uintptr
		want    string
	}{
		{four, size4, "192.0.2.1:4660"},
		{four, size4 - 1, "invalid AddrPort"},
		{six(0), size6, "[fe80::1]:7"},
		{six(1), size6, "[fe80::1%" + loopback.Name + "]:7"},
		{six(1 << 30), size6, "[fe80::1%1073741824]:7"},
		{six(0), size4, "invalid AddrPort"},
		{unsafe.Pointer(&syscall.RawSockaddrUnix{Family: syscall.AF_UNIX}), 100, "invalid AddrPort"},
	} {
		if got := addrPortOf(c.address, c.size).String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// networkOrder is the inverse of hostOrder, and the same.
func networkOrder(port uint16) uint16 { return hostOrder(port) }
