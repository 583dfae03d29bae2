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
	// The next one may differ.
	PortStep   int32
	LocalClass AddressClass // Which network the local address is of.

	// What the optional tests found, unknown or zero unless they were asked for.

	PortOpen         Tristate // TestsPort: can strangers send to the source port from outside?
	RefusedTakesPort Tristate // TestsRefused: can a datagram that the NAT refuses change the port of a mapping?
	Hairpin          Tristate // TestsHairpin: do datagrams of this host to its own external address arrive?
	HairpinExternal  Tristate // TestsHairpin: do those seem to come from an external address?
	AnotherNAT       Tristate // TestsGateway: is there another NAT behind the gateway?

	Gateway         netip.Addr // TestsGateway: the gateway that was asked.
	GatewayExternal netip.Addr // TestsGateway: the external address that it named.

	// TestsLifetime: an answered mapping lives idle for at least LifetimeMin, and for less than LifetimeMax; one that
	// no answer has come to for at least UnansweredMin, and for less than UnansweredMax. 0 means: not known.
	LifetimeMin, LifetimeMax     time.Duration
	UnansweredMin, UnansweredMax time.Duration
	LifetimeRecreated            Tristate // Does the NAT make the same mapping again after one has gone?

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

		PortOpen:          Tristate(r.port_open),
		RefusedTakesPort:  Tristate(r.refused_takes_port),
		Hairpin:           Tristate(r.hairpin),
		HairpinExternal:   Tristate(r.hairpin_external),
		AnotherNAT:        Tristate(r.another_nat),
		Gateway:           addrPort(&r.gateway_ip[0], 0).Addr(),
		GatewayExternal:   addrPort(&r.gateway_external_ip[0], 0).Addr(),
		LifetimeMin:       time.Duration(r.lifetime_min_s) * time.Second,
		LifetimeMax:       time.Duration(r.lifetime_max_s) * time.Second,
		UnansweredMin:     time.Duration(r.unanswered_min_s) * time.Second,
		UnansweredMax:     time.Duration(r.unanswered_max_s) * time.Second,
		LifetimeRecreated: Tristate(r.lifetime_recreated),
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

	PortOpen          Tristate    `json:"port_open,omitempty"`
	RefusedTakesPort  Tristate    `json:"refused_takes_port,omitempty"`
	Hairpin           Tristate    `json:"hairpin,omitempty"`
	HairpinExternal   Tristate    `json:"hairpin_external,omitempty"`
	AnotherNAT        Tristate    `json:"another_nat,omitempty"`
	Gateway           *netip.Addr `json:"gateway_ip,omitempty"`
	GatewayExternal   *netip.Addr `json:"gateway_external_ip,omitempty"`
	LifetimeRecreated Tristate    `json:"lifetime_recreated,omitempty"`
	LifetimeMin       uint32      `json:"lifetime_min_s,omitempty"`
	LifetimeMax       uint32      `json:"lifetime_max_s,omitempty"`
	UnansweredMin     uint32      `json:"unanswered_min_s,omitempty"`
	UnansweredMax     uint32      `json:"unanswered_max_s,omitempty"`

	Evidence Evidence `json:"evidence"`
	Detail   string   `json:"detail"`
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
	form.PortOpen, form.RefusedTakesPort, form.AnotherNAT = r.PortOpen, r.RefusedTakesPort, r.AnotherNAT
	form.Hairpin, form.HairpinExternal = r.Hairpin, r.HairpinExternal
	form.Gateway, form.GatewayExternal = known(r.Gateway), known(r.GatewayExternal)
	form.LifetimeMin, form.LifetimeMax = wholeSeconds(r.LifetimeMin), wholeSeconds(r.LifetimeMax)
	form.UnansweredMin, form.UnansweredMax = wholeSeconds(r.UnansweredMin), wholeSeconds(r.UnansweredMax)
	form.LifetimeRecreated = r.LifetimeRecreated
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
	read.PortOpen, read.RefusedTakesPort, read.AnotherNAT = form.PortOpen, form.RefusedTakesPort, form.AnotherNAT
	read.Hairpin, read.HairpinExternal = form.Hairpin, form.HairpinExternal
	read.Gateway, read.GatewayExternal = orZero(form.Gateway), orZero(form.GatewayExternal)
	read.LifetimeMin, read.LifetimeMax = ofSeconds(form.LifetimeMin), ofSeconds(form.LifetimeMax)
	read.UnansweredMin, read.UnansweredMax = ofSeconds(form.UnansweredMin), ofSeconds(form.UnansweredMax)
	read.LifetimeRecreated = form.LifetimeRecreated
	if form.Server != nil {
		var err error
		if read.Server, err = netip.ParseAddrPort(*form.Server); err != nil {
			return err
		}
	}
	*r = read
	return nil
}

func wholeSeconds(d time.Duration) uint32 { return uint32(d / time.Second) }

func ofSeconds(s uint32) time.Duration { return time.Duration(s) * time.Second }

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
