// SPDX-License-Identifier: MIT

package natprobe

// #include "header.h"
import "C"

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// Result is what a check found out. After a check without a verdict it holds what is known all the same.
type Result struct {
	Status    Status // StatusOK when there is a verdict.
	NATType   NATType
	Mapping   Behaviour
	Filtering Behaviour
	Evidence  Evidence

	// External is the external (mapped) address and port of the source socket, zero when unknown.
	External netip.AddrPort
	// Local is the local address and port of the source socket. Without a route to any server only the port may
	// be known.
	Local netip.AddrPort
	// Server is the one that the verdict rests on, zero when there is none.
	Server netip.AddrPort

	RTT             time.Duration // Round-trip time to the server, 0 when none was measured.
	Elapsed         time.Duration // Time that the whole check took.
	PacketsSent     uint32        // Datagrams sent.
	PacketsReceived uint32        // Datagrams received, answers or not.

	PortsSeen   uint16 // Mappings seen, of all sockets: external addresses with ports.
	PortsKept   uint16 // Those of them whose external port is the local port.
	ExternalIPs uint16 // External IP addresses seen, of all sockets.
	LocalIPs    uint16 // Local IP addresses to which answers came, of all sockets.
	// PortStep is the step between the external ports of new mappings, if it was the same at least three times; else 0.
	// It foretells nothing.
	PortStep   int32
	LocalClass AddressClass // Which network the local address is of.

	// Detail is one sentence: why there is no verdict or what is unknown and why. May be empty.
	Detail string
}

func makeResult(r *C.np_result) Result {
	return Result{
		Status:          Status(r.error),
		NATType:         NATType(r.nat_type),
		Mapping:         Behaviour(r.mapping),
		Filtering:       Behaviour(r.filtering),
		Evidence:        Evidence(r.evidence),
		External:        addrPort(&r.external_ip[0], r.external_port),
		Local:           addrPort(&r.local_ip[0], r.local_port),
		Server:          endpoint(&r.server[0]),
		RTT:             time.Duration(r.rtt_us) * time.Microsecond,
		Elapsed:         time.Duration(r.elapsed_us) * time.Microsecond,
		PacketsSent:     uint32(r.packets_sent),
		PacketsReceived: uint32(r.packets_received),
		PortsSeen:       uint16(r.ports_seen),
		PortsKept:       uint16(r.ports_kept),
		ExternalIPs:     uint16(r.external_ips),
		LocalIPs:        uint16(r.local_ips),
		PortStep:        int32(r.port_step),
		LocalClass:      AddressClass(r.local_class),
		Detail:          C.GoString(&r.detail[0]),
	}
}

// addrPort is an address and a port either of which may be unknown.
func addrPort(ip *C.char, port C.uint16_t) netip.AddrPort {
	addr, _ := netip.ParseAddr(C.GoString(ip)) // the library writes nothing else than an address, or nothing
	return netip.AddrPortFrom(addr, uint16(port))
}

// endpoint is an address and port from a text that may be empty.
func endpoint(text *C.char) netip.AddrPort {
	both, _ := netip.ParseAddrPort(C.GoString(text))
	return both
}

// resultJSON has the form of the output of "natprobe --json". What is not known is null.
type resultJSON struct {
	Status          Status        `json:"status"`
	NATType         NATType       `json:"nat_type"`
	Mapping         Behaviour     `json:"mapping"`
	Filtering       Behaviour     `json:"filtering"`
	ExternalIP      *netip.Addr   `json:"external_ip"`
	ExternalPort    *uint16       `json:"external_port"`
	LocalIP         *netip.Addr   `json:"local_ip"`
	LocalPort       *uint16       `json:"local_port"`
	Server          *string       `json:"server"`
	RTT             *milliseconds `json:"rtt_ms"`
	Elapsed         milliseconds  `json:"elapsed_ms"`
	PacketsSent     uint32        `json:"packets_sent"`
	PacketsReceived uint32        `json:"packets_received"`
	PortsSeen       uint16        `json:"ports_seen"`
	PortsKept       uint16        `json:"ports_kept"`
	PortStep        *int32        `json:"port_step"`
	ExternalIPs     uint16        `json:"external_ips"`
	LocalIPs        uint16        `json:"local_ips"`
	LocalClass      AddressClass  `json:"local_class"`
	Evidence        Evidence      `json:"evidence"`
	Detail          string        `json:"detail"`
}

// MarshalJSON returns the object that "natprobe --json" prints.
func (r Result) MarshalJSON() ([]byte, error) {
	form := resultJSON{
		Status: r.Status, NATType: r.NATType, Mapping: r.Mapping, Filtering: r.Filtering, Evidence: r.Evidence,
		ExternalIP: known(r.External.Addr()), ExternalPort: known(r.External.Port()),
		LocalIP: known(r.Local.Addr()), LocalPort: known(r.Local.Port()),
		RTT: known(milliseconds(r.RTT)), Elapsed: milliseconds(r.Elapsed),
		PacketsSent: r.PacketsSent, PacketsReceived: r.PacketsReceived, Detail: r.Detail,
		PortsSeen: r.PortsSeen, PortsKept: r.PortsKept, PortStep: known(r.PortStep),
		ExternalIPs: r.ExternalIPs, LocalIPs: r.LocalIPs, LocalClass: r.LocalClass,
	}
	if r.Server.IsValid() {
		form.Server = known(r.Server.String())
	}
	return json.Marshal(form)
}

// UnmarshalJSON reads the object that MarshalJSON or "natprobe --json" wrote, also of a newer version: values and names
// that this one does not know are kept.
func (r *Result) UnmarshalJSON(text []byte) error {
	var form resultJSON
	if err := json.Unmarshal(text, &form); err != nil {
		return err
	}
	read := Result{
		Status: form.Status, NATType: form.NATType, Mapping: form.Mapping, Filtering: form.Filtering,
		Evidence: form.Evidence,
		External: netip.AddrPortFrom(orZero(form.ExternalIP), orZero(form.ExternalPort)),
		Local:    netip.AddrPortFrom(orZero(form.LocalIP), orZero(form.LocalPort)),
		RTT:      time.Duration(orZero(form.RTT)), Elapsed: time.Duration(form.Elapsed),
		PacketsSent: form.PacketsSent, PacketsReceived: form.PacketsReceived, Detail: form.Detail,
		PortsSeen: form.PortsSeen, PortsKept: form.PortsKept, PortStep: orZero(form.PortStep),
		ExternalIPs: form.ExternalIPs, LocalIPs: form.LocalIPs, LocalClass: form.LocalClass,
	}
	if form.Server != nil {
		var err error
		if read.Server, err = netip.ParseAddrPort(*form.Server); err != nil {
			return err
		}
	}
	*r = read
	return nil
}

// known is nil for a zero value, which means that it is not known.
func known[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

func orZero[T any](value *T) T {
	if value == nil {
		var zero T
		return zero
	}
	return *value
}

// milliseconds is a duration that JSON has as milliseconds, with three decimals if it is whole microseconds, as the
// library's are.
type milliseconds time.Duration

func (m milliseconds) MarshalJSON() ([]byte, error) {
	decimals := 3
	if time.Duration(m)%time.Microsecond != 0 {
		decimals = 6
	}
	return strconv.AppendFloat(nil, float64(m)/float64(time.Millisecond), 'f', decimals, 64), nil
}

func (m *milliseconds) UnmarshalJSON(text []byte) error {
	var value float64
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	*m = milliseconds(math.Round(value * float64(time.Millisecond)))
	return nil
}
