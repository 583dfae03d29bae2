// SPDX-License-Identifier: MIT

package natprobe

// #include <stddef.h>
// #include <stdint.h>
// #include <natprobe/natprobe.h>
import "C"

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"runtime/cgo"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"
)

// CallbackPanic is what the goroutine that makes a check panics with when a callback panicked.
type CallbackPanic struct {
	Value any    // What the callback panicked with.
	Stack []byte // Where it did so.
}

// Error tells the value and where the callback panicked.
func (p *CallbackPanic) Error() string {
	return fmt.Sprintf("natprobe: panic in a callback: %v\n\n%s", p.Value, p.Stack)
}

// Unwrap returns the value if it is an error, such as a runtime.Error.
func (p *CallbackPanic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// callbacks are what the library may call; nil where nothing is to be called.
type callbacks struct {
	log      func(LogLevel, string)
	event    func(Event)
	datagram func([]byte, netip.AddrPort)
}

// call is what C knows of Go while a check goes on.
type call struct {
	callbacks
	onPanic  func() // makes the library return soon
	panicked *CallbackPanic
	hasTurn  bool
}

// turns bounds how many goroutines are in the library at once for a moment. Such calls do not block, but take
// long enough for the runtime to start one more thread for those that wait.
var turns = make(chan struct{}, runtime.GOMAXPROCS(0))

// into makes a call into the library that may call back; f gets what C is to hand on.
func (c *call) into(f func(C.uintptr_t) C.int) Code {
	handle := cgo.NewHandle(c)
	defer handle.Delete()
	return Code(f(C.uintptr_t(handle)))
}

// shortlyInto is into for a call that does not block.
func (c *call) shortlyInto(f func(C.uintptr_t) C.int) Code {
	turns <- struct{}{}
	c.hasTurn = true
	defer func() {
		c.hasTurn = false
		<-turns
	}()
	return c.into(f)
}

// passTurn lets others into the library while a callback is at work, for that may block.
func (c *call) passTurn() (takeBack func()) {
	if !c.hasTurn {
		return func() {}
	}
	<-turns
	return func() { turns <- struct{}{} }
}

// guard calls a callback. A panic must not unwind the C code in between, so it waits until that has returned.
func (c *call) guard(callback func()) {
	if c.panicked != nil {
		return
	}
	defer c.passTurn()()
	returned := false
	defer func() {
		if !returned {
			c.panicked = &CallbackPanic{Value: recover(), Stack: debug.Stack()}
			c.onPanic()
		}
	}()
	callback()
	returned = true
}

// goOn lets a callback's panic go on once no C code is in the way any more.
func (c *call) goOn() {
	if c.panicked != nil {
		panic(c.panicked)
	}
}

func callOf(handle C.uintptr_t) *call {
	return cgo.Handle(handle).Value().(*call)
}

//export natprobeGoLog
func natprobeGoLog(handle C.uintptr_t, level C.int32_t, message *C.char) {
	c := callOf(handle)
	c.guard(func() { c.log(LogLevel(level), C.GoString(message)) })
}

//export natprobeGoEvent
func natprobeGoEvent(handle C.uintptr_t, event *C.np_event) {
	c := callOf(handle)
	c.guard(func() { c.event(makeEvent(event)) })
}

//export natprobeGoDatagram
func natprobeGoDatagram(
	handle C.uintptr_t, data unsafe.Pointer, size C.size_t, addr unsafe.Pointer, addrSize C.size_t,
) {
	c := callOf(handle)
	c.guard(func() { c.datagram(C.GoBytes(data, C.int(size)), addrPortOf(addr, uintptr(addrSize))) })
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
