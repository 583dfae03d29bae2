// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"example.com/natprobe"
)

const (
	mailBefore = 5 // datagrams sent before the check, and as many during it
	mailInAll  = 2 * mailBefore
	mailWait   = 500 * time.Millisecond
)

// mail is what a socket of this program sends to the one that is checked.
type mail struct {
	sender *net.UDPConn
	to     netip.AddrPort
	sent   int
	got    []string
	from   []netip.AddrPort
}

func (m *mail) send(count int) error {
	for i := 0; i < count; i++ {
		if _, err := m.sender.WriteToUDPAddrPort([]byte(fmt.Sprintf("hello %d", m.sent)), m.to); err != nil {
			return err
		}
		m.sent++
	}
	return nil
}

// receive passes over what nobody here has sent: answers to a program that had the port before may still come.
func (m *mail) receive(data []byte, from netip.AddrPort) {
	if !from.Addr().Unmap().IsLoopback() {
		return
	}
	m.got = append(m.got, string(data))
	m.from = append(m.from, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
}

// drain takes what the check left in the socket.
func (m *mail) drain(conn *net.UDPConn) error {
	buffer := make([]byte, 65536)
	conn.SetReadDeadline(time.Now().Add(mailWait))
	for len(m.got) < m.sent {
		size, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		m.receive(buffer[:size], from)
	}
	return nil
}

func (m *mail) check() error {
	if len(m.got) != m.sent {
		return broken("%d of %d datagrams were handed over", len(m.got), m.sent)
	}
	own := m.sender.LocalAddr().(*net.UDPAddr).AddrPort()
	for i, text := range m.got {
		if text != fmt.Sprintf("hello %d", i) || m.from[i] != own {
			return broken("datagram %d is %q from %v instead of %v", i, text, m.from[i], own)
		}
	}
	return nil
}

func socket(s *settings) (natprobe.Result, error) {
	network, loopback := "udp4", netip.MustParseAddr("127.0.0.1")
	if s.ipv6 {
		network, loopback = "udp6", netip.MustParseAddr("::1")
	}
	conn, err := net.ListenUDP(network, &net.UDPAddr{Port: int(s.port)})
	if err != nil {
		return natprobe.Result{}, brokenPromise{err}
	}
	defer conn.Close()
	sender, err := net.ListenUDP(network, &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		return natprobe.Result{}, brokenPromise{err}
	}
	defer sender.Close()
	port := uint16(conn.LocalAddr().(*net.UDPAddr).Port)
	return checkWithMail(s, conn, &mail{sender: sender, to: netip.AddrPortFrom(loopback, port)})
}

func checkWithMail(s *settings, conn *net.UDPConn, m *mail) (natprobe.Result, error) {
	if err := m.send(mailBefore); err != nil {
		return natprobe.Result{}, brokenPromise{err}
	}
	options := append(s.options(natprobe.WithSocket(conn, m.receive)), natprobe.WithEvents(func(natprobe.Event) {
		if m.sent < mailInAll {
			m.send(1) // what fails here is missed in the end
		}
	}))
	result, err := natprobe.Check(context.Background(), options...)
	if err := m.drain(conn); err != nil {
		return result, brokenPromise{err}
	}
	if err := m.check(); err != nil {
		return result, err
	}
	return result, err
}
