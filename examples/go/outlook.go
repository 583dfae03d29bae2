// SPDX-License-Identifier: MIT

package natprobe

// #include <stdlib.h>
// #include "header.h"
import "C"

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"
	"unsafe"
)

// Tristate is an answer of three values.
type Tristate int32

// The values of Tristate.
const (
	// Not tested, or the test could not tell.
	TristateUnknown Tristate = C.NP_TRISTATE_UNKNOWN
	// No.
	TristateNo Tristate = C.NP_TRISTATE_NO
	// Yes.
	TristateYes Tristate = C.NP_TRISTATE_YES
)

var tristateNames = names[Tristate]{
	typeName: "Tristate", what: "answer", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(v Tristate) *C.char { return C.np_tristate_name(C.int32_t(v)) },
}

// String returns the short name; "Tristate(42)" for a value without one.
func (v Tristate) String() string { return tristateNames.of(v) }

// MarshalText returns what String does.
func (v Tristate) MarshalText() ([]byte, error) { return tristateNames.marshal(v) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (v *Tristate) UnmarshalText(text []byte) error { return tristateNames.unmarshal(v, text) }

// UnmarshalJSON reads a name or a number.
func (v *Tristate) UnmarshalJSON(text []byte) error { return tristateNames.unmarshalJSON(v, text) }

// OutlookClass says whether two hosts will connect over UDP, and how.
type OutlookClass int32

// The values of OutlookClass.
const (
	// What is not known decides whether they connect.
	OutlookUnknown OutlookClass = C.NP_OUTLOOK_UNKNOWN
	// One side lets in whatever comes: the other sends to it.
	OutlookDirect OutlookClass = C.NP_OUTLOOK_DIRECT
	// Both send to each other's external address.
	OutlookPunch OutlookClass = C.NP_OUTLOOK_PUNCH
	// The same; one side's port is learnt from the datagram that comes from it.
	OutlookPunchLearn OutlookClass = C.NP_OUTLOOK_PUNCH_LEARN
	// They connect only if one side's next external port is guessed.
	OutlookNeedsPrediction OutlookClass = C.NP_OUTLOOK_NEEDS_PREDICTION
	// They do not connect without a relay.
	OutlookRelay OutlookClass = C.NP_OUTLOOK_RELAY
	// Both have the same external address: try the local addresses first.
	OutlookSameNAT OutlookClass = C.NP_OUTLOOK_SAME_NAT
)

var outlookClassNames = names[OutlookClass]{
	typeName: "OutlookClass", what: "outlook", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(v OutlookClass) *C.char { return C.np_outlook_class_name(C.int32_t(v)) },
}

// String returns the short name; "OutlookClass(42)" for a value without one.
func (v OutlookClass) String() string { return outlookClassNames.of(v) }

// Description returns a sentence.
func (v OutlookClass) Description() string {
	return C.GoString(C.np_outlook_class_description(C.int32_t(v)))
}

// MarshalText returns what String does.
func (v OutlookClass) MarshalText() ([]byte, error) { return outlookClassNames.marshal(v) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (v *OutlookClass) UnmarshalText(text []byte) error { return outlookClassNames.unmarshal(v, text) }

// UnmarshalJSON reads a name or a number.
func (v *OutlookClass) UnmarshalJSON(text []byte) error {
	return outlookClassNames.unmarshalJSON(v, text)
}

// OutlookRule is the rule that decided an Outlook.
type OutlookRule int32

// The values of OutlookRule.
const (
	// More than one rule may apply; what is not known decides.
	RuleUnknown OutlookRule = C.NP_RULE_UNKNOWN
	// A side cannot use UDP.
	RuleUDPBlocked OutlookRule = C.NP_RULE_UDP_BLOCKED
	// One side has IPv4, the other IPv6.
	RuleNoCommonFamily OutlookRule = C.NP_RULE_NO_COMMON_FAMILY
	// Both sides have, or may have, the same external IP address.
	RuleSameNAT OutlookRule = C.NP_RULE_SAME_NAT
	// Each side lets in a datagram that it did not ask for.
	RuleOpen OutlookRule = C.NP_RULE_OPEN
	// One side does, and its answer gets back.
	RuleOneOpen OutlookRule = C.NP_RULE_ONE_OPEN
	// Neither mapping depends on the destination.
	RulePortsKnown OutlookRule = C.NP_RULE_PORTS_KNOWN
	// One mapping depends; the other side's filter lets its unknown port in.
	RulePortLearnt OutlookRule = C.NP_RULE_PORT_LEARNT
	// One mapping depends, and the other side's filter does not let it in.
	RulePortUnknown OutlookRule = C.NP_RULE_PORT_UNKNOWN
	// The same, and not even the IP address of the dependent side is known.
	RuleAddressUnknown OutlookRule = C.NP_RULE_ADDRESS_UNKNOWN
	// Both mappings depend on the destination.
	RuleBothDependent OutlookRule = C.NP_RULE_BOTH_DEPENDENT
)

var outlookRuleNames = names[OutlookRule]{
	typeName: "OutlookRule", what: "rule", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(v OutlookRule) *C.char { return C.np_outlook_rule_name(C.int32_t(v)) },
}

// String returns the short name; "OutlookRule(42)" for a value without one.
func (v OutlookRule) String() string { return outlookRuleNames.of(v) }

// Description returns a sentence.
func (v OutlookRule) Description() string {
	return C.GoString(C.np_outlook_rule_description(C.int32_t(v)))
}

// MarshalText returns what String does.
func (v OutlookRule) MarshalText() ([]byte, error) { return outlookRuleNames.marshal(v) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (v *OutlookRule) UnmarshalText(text []byte) error { return outlookRuleNames.unmarshal(v, text) }

// UnmarshalJSON reads a name or a number.
func (v *OutlookRule) UnmarshalJSON(text []byte) error {
	return outlookRuleNames.unmarshalJSON(v, text)
}

// First is the side that has to send first.
type First int32

// The values of First.
const (
	// Either may begin. Also if they do not connect.
	FirstAny First = C.NP_FIRST_ANY
	// Our side, before anything of theirs reaches our NAT.
	FirstOurs First = C.NP_FIRST_OURS
	// Their side, before anything of ours reaches their NAT.
	FirstTheirs First = C.NP_FIRST_THEIRS
	// Both, at about the same time, and several times.
	FirstBoth First = C.NP_FIRST_BOTH
)

var firstNames = names[First]{
	typeName: "First", what: "side", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(v First) *C.char { return C.np_first_name(C.int32_t(v)) },
}

// String returns the short name; "First(42)" for a value without one.
func (v First) String() string { return firstNames.of(v) }

// Description returns a sentence.
func (v First) Description() string { return C.GoString(C.np_first_description(C.int32_t(v))) }

// MarshalText returns what String does.
func (v First) MarshalText() ([]byte, error) { return firstNames.marshal(v) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (v *First) UnmarshalText(text []byte) error { return firstNames.unmarshal(v, text) }

// UnmarshalJSON reads a name or a number.
func (v *First) UnmarshalJSON(text []byte) error { return firstNames.unmarshalJSON(v, text) }

// Assumptions are bits: what an Outlook rests on.
type Assumptions uint32

// The bits of Assumptions.
const (
	// A side with dependent mapping has one external IP address for all mappings of a socket.
	AssumesOneIP Assumptions = C.NP_ASSUMES_ONE_IP
	// A filtering that was measured but is not proven is right.
	AssumesFiltering Assumptions = C.NP_ASSUMES_FILTERING
	// A profile is right that is older than 15 minutes, or of unknown age.
	AssumesFresh Assumptions = C.NP_ASSUMES_FRESH
	// A first datagram with a low TTL opens the sender's NAT, and does not reach the peer's.
	AssumesLowTTL Assumptions = C.NP_ASSUMES_LOW_TTL
	// The programs answer to the address that a datagram came from.
	AssumesAnswerToSource Assumptions = C.NP_ASSUMES_ANSWER_TO_SOURCE
)

// Has reports whether all of the bits given are set.
func (a Assumptions) Has(wanted Assumptions) bool { return a&wanted == wanted }

// Names returns the short names of the bits that are set, such as "low-ttl"; "Assumptions(0x80000000)" for a bit without
// one.
func (a Assumptions) Names() []string {
	return a.each(func(bit Assumptions) string {
		if name := C.GoString(C.np_assumption_name(C.uint32_t(bit))); name != noName {
			return name
		}
		return fmt.Sprintf("Assumptions(%#x)", uint32(bit))
	})
}

// Descriptions returns a sentence for each bit that is set, in the order of Names.
func (a Assumptions) Descriptions() []string {
	return a.each(func(bit Assumptions) string {
		return C.GoString(C.np_assumption_description(C.uint32_t(bit)))
	})
}

func (a Assumptions) each(text func(Assumptions) string) []string {
	texts := make([]string, 0, bits.OnesCount32(uint32(a)))
	for rest := a; rest != 0; rest &= rest - 1 {
		texts = append(texts, text(rest&-rest))
	}
	return texts
}

// String returns the short names of the bits that are set, separated by commas.
func (a Assumptions) String() string { return strings.Join(a.Names(), ",") }

// MarshalJSON returns the short names as an array.
func (a Assumptions) MarshalJSON() ([]byte, error) { return json.Marshal(a.Names()) }

// Profile is what a peer needs to know of a host.
type Profile struct {
	Mapping         Behaviour
	Filtering       Behaviour
	FilteringProven bool
	// Family is 4 or 6, that of the external address; 0 if it is not known.
	Family int
	// External is the external address, with port 0 if only the address is known. Empty it to keep it from the peer.
	External   netip.AddrPort
	UDPBlocked bool // No server could be reached over UDP.
	// RefusedTakesPort says whether a datagram that the NAT refuses takes the port from the next mapping.
	RefusedTakesPort Tristate
	ExternalIPs      uint16 // External IP addresses seen; 0 if that is not known.
	PortsSeen        uint16 // Mappings seen.
	PortsKept        uint16 // Those of them whose external port is the local port.
	PortStep         int32  // Step between the external ports of new mappings; 0 if that is not known.
	Measured         time.Time
}

// ProfileOf makes the profile of a result, also of that of an error.
func ProfileOf(result Result, now time.Time) Profile {
	var raw C.np_result
	raw.nat_type, raw.evidence = C.int32_t(result.NATType), C.uint32_t(result.Evidence)
	raw.mapping, raw.filtering = C.int32_t(result.Mapping), C.int32_t(result.Filtering)
	raw.port_step, raw.external_ips = C.int32_t(result.PortStep), C.uint16_t(result.ExternalIPs)
	raw.ports_seen, raw.ports_kept = C.uint16_t(result.PortsSeen), C.uint16_t(result.PortsKept)
	raw.external_port = C.uint16_t(result.External.Port())
	putAddr(raw.external_ip[:], result.External.Addr())
	putAddr(raw.local_ip[:], result.Local.Addr())
	var profile C.np_profile
	C.np_profile_from_result(&raw, seconds(now), &profile)
	return makeProfile(&profile)
}

// ParseProfile reads the line of a profile. It may come from a stranger, and need not be true. The error is an *Error
// whose Detail says why the line was refused.
func ParseProfile(line string) (Profile, error) {
	text := C.CString(strings.ReplaceAll(line, "\x00", "\n")) // neither is printable: refused like any other
	defer C.free(unsafe.Pointer(text))
	var raw C.np_profile
	var reason *C.char
	if code := C.np_profile_parse(text, &raw, &reason); code != C.NP_OK {
		return Profile{}, refused(Status(code), "%s", C.GoString(reason))
	}
	return makeProfile(&raw), nil
}

// String returns the line to send to the peer. It is empty if the external address has a zone.
func (p Profile) String() string {
	raw := p.raw()
	var line [C.NP_PROFILE_TEXT_SIZE]C.char
	if C.np_profile_format(&raw, &line[0], C.size_t(len(line))) != C.NP_OK {
		return ""
	}
	return C.GoString(&line[0])
}

// MarshalText returns what String does.
func (p Profile) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Profile) UnmarshalText(text []byte) error {
	read, err := ParseProfile(string(text))
	if err == nil {
		*p = read
	}
	return err
}

func makeProfile(raw *C.np_profile) Profile {
	profile := Profile{
		Mapping:          Behaviour(raw.mapping),
		Filtering:        Behaviour(raw.filtering),
		FilteringProven:  raw.filtering_proven != 0,
		Family:           int(raw.family),
		External:         addrPort(&raw.external_ip[0], raw.external_port),
		UDPBlocked:       raw.udp_blocked != 0,
		RefusedTakesPort: Tristate(raw.refused_takes_port),
		ExternalIPs:      uint16(raw.external_ips),
		PortsSeen:        uint16(raw.ports_seen),
		PortsKept:        uint16(raw.ports_kept),
		PortStep:         int32(raw.port_step),
	}
	if raw.measured_at != 0 {
		profile.Measured = time.Unix(int64(raw.measured_at), 0)
	}
	return profile
}

func (p Profile) raw() C.np_profile {
	raw := C.np_profile{
		measured_at:        seconds(p.Measured),
		mapping:            C.int32_t(p.Mapping),
		filtering:          C.int32_t(p.Filtering),
		filtering_proven:   number(p.FilteringProven),
		family:             C.int32_t(p.Family),
		udp_blocked:        number(p.UDPBlocked),
		refused_takes_port: C.int32_t(p.RefusedTakesPort),
		port_step:          C.int32_t(p.PortStep),
		external_ips:       C.uint16_t(p.ExternalIPs),
		ports_seen:         C.uint16_t(p.PortsSeen),
		ports_kept:         C.uint16_t(p.PortsKept),
		external_port:      C.uint16_t(p.External.Port()),
	}
	putAddr(raw.external_ip[:], p.External.Addr())
	return raw
}

// Outlook says whether two hosts will connect over UDP.
type Outlook struct {
	Outlook OutlookClass `json:"outlook"` // The worst that is possible, or OutlookUnknown or OutlookSameNAT.
	Best    OutlookClass `json:"best"`    // If all that is not known is as good as can be.
	Worst   OutlookClass `json:"worst"`   // If all that is not known is as bad as can be.
	First   First        `json:"first"`   // Who has to send first.
	Assumes Assumptions  `json:"assumes"` // What the outlook rests on.
	Rule    OutlookRule  `json:"rule"`    // The rule that decided.
}

// Judge judges two profiles. Nothing is sent.
func Judge(ours, theirs Profile, now time.Time) Outlook {
	our, their := ours.raw(), theirs.raw()
	var raw C.np_outlook_result
	C.np_outlook(&our, &their, seconds(now), &raw)
	return Outlook{
		Outlook: OutlookClass(raw.outlook),
		Best:    OutlookClass(raw.best),
		Worst:   OutlookClass(raw.worst),
		First:   First(raw.first),
		Assumes: Assumptions(raw.assumes),
		Rule:    OutlookRule(raw.rule),
	}
}

// Connects reports whether they will connect. It is not known if what is not known decides, or if both are behind the
// same NAT.
func (o Outlook) Connects() (connects, isKnown bool) {
	switch o.Outlook {
	case OutlookDirect, OutlookPunch, OutlookPunchLearn:
		return true, true
	case OutlookNeedsPrediction, OutlookRelay:
		return false, true
	default:
		return false, false
	}
}

// seconds is 0, which is not known, for the zero time.
func seconds(t time.Time) C.int64_t {
	if t.IsZero() {
		return 0
	}
	return C.int64_t(t.Unix())
}

func number(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

// putAddr writes an address into a member that is zero. One that does not fit, since its zone is long, is left out.
func putAddr(member []C.char, addr netip.Addr) {
	if !addr.IsValid() || len(addr.String()) >= len(member) {
		return
	}
	for i, c := range []byte(addr.String()) {
		member[i] = C.char(c)
	}
}
