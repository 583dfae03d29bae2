// SPDX-License-Identifier: MIT

package natprobe

// #include "bridge.h"
import "C"

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"
)

// item is one thing that the library told during a turn.
type item struct {
	kind  C.int
	event Event
	level slog.Level
	data  []byte // the datagram, or the line of the log
	from  netip.AddrPort
}

// take returns what the library told since the last time, in order.
func (k *check) take() []item {
	first := C.natprobe_go_take(k.handle.native)
	defer C.natprobe_go_free_items(first)
	var items []item
	for i := first; i != nil; i = i.next {
		items = append(items, makeItem(i))
	}
	return items
}

func makeItem(i *C.natprobe_go_item) item {
	switch i.kind {
	case C.NATPROBE_GO_EVENT:
		return item{kind: i.kind, event: makeEvent(&i.event)}
	case C.NATPROBE_GO_LOG:
		return item{kind: i.kind, level: slogLevel(i.level), data: C.GoBytes(i.data, C.int(i.size))}
	default:
		from := addrPortOf(unsafe.Pointer(&i.address), uintptr(i.address_size))
		return item{kind: i.kind, data: C.GoBytes(i.data, C.int(i.size)), from: from}
	}
}

// deliver gives what the library told to the program. C code is not on the stack, so what is called here may do as it
// likes: panic, end its goroutine, or take long.
func (k *check) deliver() { k.deliverItems(k.take()) }

func (k *check) deliverItems(items []item) {
	for _, i := range items {
		if context.Cause(k.ctx) == ErrClosed {
			return // nothing is called any more
		}
		switch i.kind {
		case C.NATPROBE_GO_EVENT:
			k.deliverEvent(i.event)
		case C.NATPROBE_GO_LOG:
			k.config.logger.Log(k.ctx, i.level, string(i.data))
		default:
			k.config.onDatagram(i.data, i.from)
		}
	}
}

func (k *check) deliverEvent(e Event) {
	if k.config.onEvent != nil {
		k.config.onEvent(e)
	}
	if k.yield != nil && !k.yield(e) { // the loop was left
		k.yield = nil
		k.cancel(nil)
	}
}

// levels are the library's, in order of increasing detail, as slog has them.
var levels = map[C.int32_t]slog.Level{
	C.NP_LOG_ERROR: slog.LevelError, C.NP_LOG_WARNING: slog.LevelWarn,
	C.NP_LOG_INFO: slog.LevelInfo, C.NP_LOG_DEBUG: slog.LevelDebug,
}

// slogLevel takes a level of a newer library for more detail than all others.
func slogLevel(level C.int32_t) slog.Level {
	if known, ok := levels[level]; ok {
		return known
	}
	return slog.LevelDebug
}

// logLevel returns the library's level up to which the logger takes lines, 0 if it takes none.
func logLevel(ctx context.Context, logger *slog.Logger) C.int32_t {
	if logger == nil {
		return 0
	}
	for level := C.int32_t(C.NP_LOG_DEBUG); level >= C.NP_LOG_ERROR; level-- {
		if logger.Enabled(ctx, slogLevel(level)) {
			return level
		}
	}
	return 0
}

// addrPortOf reads a struct sockaddr, giving what net.UDPConn.ReadFromUDPAddrPort gives.
func addrPortOf(address unsafe.Pointer, size uintptr) netip.AddrPort {
	family := (*syscall.RawSockaddr)(address).Family
	switch {
	case family == syscall.AF_INET && size >= unsafe.Sizeof(syscall.RawSockaddrInet4{}):
		sa := (*syscall.RawSockaddrInet4)(address)
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), hostOrder(sa.Port))
	case family == syscall.AF_INET6 && size >= unsafe.Sizeof(syscall.RawSockaddrInet6{}):
		sa := (*syscall.RawSockaddrInet6)(address)
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).WithZone(zoneOf(sa.Scope_id)), hostOrder(sa.Port))
	default:
		return netip.AddrPort{}
	}
}

func hostOrder(port uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&port))[:])
}

func zoneOf(scope uint32) string {
	if scope == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(scope)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(scope), 10)
}
