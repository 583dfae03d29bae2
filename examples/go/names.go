// SPDX-License-Identifier: MIT

package natprobe

// #include <natprobe/natprobe.h>
import "C"

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"
)

// What the library uses where nothing else is chosen.
const (
	// DefaultSourceIP is the source address used when none is given: any IPv4 address of this host.
	DefaultSourceIP = C.NP_DEFAULT_SOURCE_IP
	// DefaultSourcePort is the source port that proxystore.p2p.nat uses by default. Port 0 is just as good for
	// a check.
	DefaultSourcePort = C.NP_DEFAULT_SOURCE_PORT
	// DefaultTimeout is the time allowed for a whole check, name resolution included. See WithTimeout.
	DefaultTimeout = C.NP_DEFAULT_TIMEOUT_MS * time.Millisecond
	// DefaultResponseTimeout is how long silence lasts until UDP is called blocked. See WithResponseTimeout.
	DefaultResponseTimeout = C.NP_DEFAULT_RESPONSE_TIMEOUT_MS * time.Millisecond
	// MaxServers is the most servers that one Probe holds.
	MaxServers = C.NP_MAX_SERVERS
)

// NATType is the verdict: an RFC 3489 section 5 type where mapping and filtering are both known, else what is known.
type NATType int32

// The types of NAT.
const (
	// Nothing can be said.
	NATUnknown NATType = C.NP_NAT_UNKNOWN
	// No translation, nothing filtered.
	NATOpenInternet NATType = C.NP_NAT_OPEN_INTERNET
	// Endpoint-independent mapping and filtering.
	NATFullCone NATType = C.NP_NAT_FULL_CONE
	// Endpoint-independent mapping, address-dependent filtering.
	NATRestrictedCone NATType = C.NP_NAT_RESTRICTED_CONE
	// Endpoint-independent mapping, address-and-port-dependent filtering.
	NATPortRestrictedCone NATType = C.NP_NAT_PORT_RESTRICTED_CONE
	// The mapping depends on the destination.
	NATSymmetric NATType = C.NP_NAT_SYMMETRIC
	// No translation, but unsolicited datagrams are filtered.
	NATSymmetricUDPFirewall NATType = C.NP_NAT_SYMMETRIC_UDP_FIREWALL
	// No server could be reached over UDP.
	NATUDPBlocked NATType = C.NP_NAT_UDP_BLOCKED
	// Endpoint-independent mapping, filtering not known.
	NATCone NATType = C.NP_NAT_CONE
	// No translation, filtering not known.
	NATNone NATType = C.NP_NAT_NO_NAT
)

// String returns the stable short name, such as "port-restricted-cone"; "unknown" for other values.
func (t NATType) String() string { return C.GoString(C.np_nat_type_name(C.int32_t(t))) }

// Description returns a text to show, such as "Full-cone NAT".
func (t NATType) Description() string { return C.GoString(C.np_nat_type_description(C.int32_t(t))) }

// Advice says in one sentence what the type means for peer-to-peer connections.
func (t NATType) Advice() string { return C.GoString(C.np_nat_type_advice(C.int32_t(t))) }

// MarshalText returns the short name.
func (t NATType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a short name.
func (t *NATType) UnmarshalText(text []byte) error {
	return parseName(t, "NAT type", text, NATUnknown, NATNone)
}

// Behaviour is a behaviour of RFC 4787, sections 4.1 (mapping) and 5 (filtering).
type Behaviour int32

// The behaviours of mapping and filtering.
const (
	BehaviourUnknown Behaviour = C.NP_BEHAVIOUR_UNKNOWN
	// Mapping only: external and local address are the same.
	BehaviourNone                    Behaviour = C.NP_BEHAVIOUR_NONE
	BehaviourEndpointIndependent     Behaviour = C.NP_BEHAVIOUR_ENDPOINT_INDEPENDENT
	BehaviourAddressDependent        Behaviour = C.NP_BEHAVIOUR_ADDRESS_DEPENDENT
	BehaviourAddressAndPortDependent Behaviour = C.NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT
	// Depends on the endpoint; which kind is not known.
	BehaviourEndpointDependent Behaviour = C.NP_BEHAVIOUR_ENDPOINT_DEPENDENT
)

// String returns the short name, such as "endpoint-independent"; "unknown" for other values.
func (b Behaviour) String() string { return C.GoString(C.np_behaviour_name(C.int32_t(b))) }

// Description returns a text to show.
func (b Behaviour) Description() string { return C.GoString(C.np_behaviour_description(C.int32_t(b))) }

// MarshalText returns the short name.
func (b Behaviour) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a short name.
func (b *Behaviour) UnmarshalText(text []byte) error {
	return parseName(b, "behaviour", text, BehaviourUnknown, BehaviourEndpointDependent)
}

// Evidence is a set of bits: what was seen and what was proven.
type Evidence uint32

// The bits of Evidence.
const (
	// At least one server answered a plain request.
	EvidenceAnswered Evidence = C.NP_EVIDENCE_ANSWERED
	// The mapping was seen from servers of two unrelated addresses.
	EvidenceSecondServer Evidence = C.NP_EVIDENCE_SECOND_SERVER
	// The server named a usable second address (RFC 5780).
	EvidenceAlternate Evidence = C.NP_EVIDENCE_ALTERNATE
	// That second address answered a plain request.
	EvidenceAlternateAlive Evidence = C.NP_EVIDENCE_ALTERNATE_ALIVE
	// A second address was named to which it would be wrong to send.
	EvidenceAlternateRefused Evidence = C.NP_EVIDENCE_ALTERNATE_REFUSED
	// The mapping was compared from two destination addresses, or is none.
	EvidenceMappingProven Evidence = C.NP_EVIDENCE_MAPPING_PROVEN
	// An unsolicited answer came through from another address.
	EvidenceTestIIAnswered Evidence = C.NP_EVIDENCE_TEST_II_ANSWERED
	// An unsolicited answer came through from another port.
	EvidenceTestIIIAnswered Evidence = C.NP_EVIDENCE_TEST_III_ANSWERED
	// The server sent the very answer that was missing once the path was open.
	EvidenceControlAnswered Evidence = C.NP_EVIDENCE_CONTROL_ANSWERED
	// The filtering verdict rests on an answer, or on silence with a control.
	EvidenceFilteringProven Evidence = C.NP_EVIDENCE_FILTERING_PROVEN
	// A server answered CHANGE-REQUEST from the address it was sent to.
	EvidenceChangeIgnored Evidence = C.NP_EVIDENCE_CHANGE_IGNORED
	// A server changed something else than it was asked to.
	EvidenceChangePartial Evidence = C.NP_EVIDENCE_CHANGE_PARTIAL
	// A server answered CHANGE-REQUEST with an error.
	EvidenceChangeRejected Evidence = C.NP_EVIDENCE_CHANGE_REJECTED
	// The control failed: the server does not honour CHANGE-REQUEST.
	EvidenceControlSilent Evidence = C.NP_EVIDENCE_CONTROL_SILENT
	// Some datagrams were lost on the way.
	EvidenceLoss Evidence = C.NP_EVIDENCE_LOSS
	// A server answered only the RFC 3489 form of the request.
	EvidenceClassic Evidence = C.NP_EVIDENCE_CLASSIC
	// Something rewrote MAPPED-ADDRESS on the way (RFC 5780 section 4.6).
	EvidenceALG Evidence = C.NP_EVIDENCE_ALG
	// The external address changed once; the check was started again.
	EvidenceRestarted Evidence = C.NP_EVIDENCE_RESTARTED
	// Answers contradicted each other; what rested on them was dropped.
	EvidenceContradiction Evidence = C.NP_EVIDENCE_CONTRADICTION
	// A server sent answers that could not be used.
	EvidenceMalformed Evidence = C.NP_EVIDENCE_MALFORMED
	// Something on the path answers, or translates, for a server.
	EvidenceProxied Evidence = C.NP_EVIDENCE_PROXIED
	// A server contradicted the others and was left out.
	EvidenceOutvoted Evidence = C.NP_EVIDENCE_OUTVOTED
	// An IPv6 socket has an IPv4 external address (NAT64).
	EvidenceTranslated Evidence = C.NP_EVIDENCE_TRANSLATED
)

// Has tells whether all of the bits given are set.
func (e Evidence) Has(wanted Evidence) bool { return e&wanted == wanted }

// Bits returns the bits that are set, each as an Evidence of its own, the lowest first.
func (e Evidence) Bits() []Evidence {
	set := make([]Evidence, 0, bits.OnesCount32(uint32(e)))
	for ; e != 0; e &= e - 1 {
		set = append(set, e&-e)
	}
	return set
}

// Names returns the short names of the bits that are set, such as "control-answered"; "unknown" for a bit
// without one.
func (e Evidence) Names() []string {
	set := e.Bits()
	names := make([]string, len(set))
	for i, bit := range set {
		names[i] = C.GoString(C.np_evidence_name(C.uint32_t(bit)))
	}
	return names
}

// String returns the short names of the bits that are set, separated by commas.
func (e Evidence) String() string { return strings.Join(e.Names(), ",") }

// MarshalJSON returns the short names as an array.
func (e Evidence) MarshalJSON() ([]byte, error) { return json.Marshal(e.Names()) }

// UnmarshalJSON reads an array of short names.
func (e *Evidence) UnmarshalJSON(text []byte) error {
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	*e = 0
	for _, name := range names {
		bit, err := evidenceBit(name)
		if err != nil {
			return err
		}
		*e |= bit
	}
	return nil
}

func evidenceBit(name string) (Evidence, error) {
	for bit := EvidenceAnswered; bit <= EvidenceTranslated; bit <<= 1 {
		if bit.String() == name {
			return bit, nil
		}
	}
	return 0, fmt.Errorf("natprobe: no evidence is called %q", name)
}

// Family is the address family of a check.
type Family int32

// The address families.
const (
	// FamilyAny is that of the source address; without one IPv4, or IPv6 where IPv4 has no route or no server.
	FamilyAny  Family = C.NP_FAMILY_ANY
	FamilyIPv4 Family = C.NP_FAMILY_IPV4
	FamilyIPv6 Family = C.NP_FAMILY_IPV6
)

// String returns "any", "ipv4" or "ipv6"; "unknown" for other values.
func (f Family) String() string {
	return nameIn(f, map[Family]string{FamilyAny: "any", FamilyIPv4: "ipv4", FamilyIPv6: "ipv6"})
}

// MarshalText returns the name.
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a name.
func (f *Family) UnmarshalText(text []byte) error {
	return parseName(f, "address family", text, FamilyAny, FamilyIPv6)
}

// Tests chooses the tests that a Probe runs.
type Tests int32

// Which tests to run.
const (
	TestsMapping Tests = C.NP_TESTS_MAPPING // External address and mapping only: one round trip with two servers.
	TestsAll     Tests = C.NP_TESTS_ALL     // Mapping and filtering (the default).
)

// String returns "mapping" or "all"; "unknown" for other values.
func (t Tests) String() string {
	return nameIn(t, map[Tests]string{TestsMapping: "mapping", TestsAll: "all"})
}

// MarshalText returns the name.
func (t Tests) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a name.
func (t *Tests) UnmarshalText(text []byte) error {
	return parseName(t, "choice of tests", text, TestsMapping, TestsAll)
}

// LogLevel is the weight of a line of the log, in order of increasing detail.
type LogLevel int32

// The levels of the log.
const (
	LogError   LogLevel = C.NP_LOG_ERROR
	LogWarning LogLevel = C.NP_LOG_WARNING
	LogInfo    LogLevel = C.NP_LOG_INFO
	LogDebug   LogLevel = C.NP_LOG_DEBUG
)

// String returns "error", "warning", "info" or "debug"; "unknown" for other values.
func (l LogLevel) String() string {
	return nameIn(l, map[LogLevel]string{LogError: "error", LogWarning: "warning", LogInfo: "info", LogDebug: "debug"})
}

// MarshalText returns the name.
func (l LogLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a name.
func (l *LogLevel) UnmarshalText(text []byte) error {
	return parseName(l, "log level", text, LogError, LogDebug)
}

// EventKind is what an Event tells.
type EventKind int32

// The kinds of events.
const (
	EventSent      EventKind = C.NP_EVENT_SENT      // A request, or one more copy of it, was sent.
	EventAnswered  EventKind = C.NP_EVENT_ANSWERED  // An answer to a request came.
	EventConcluded EventKind = C.NP_EVENT_CONCLUDED // What requests were for is settled, or the whole check is.
)

// String returns "sent", "answered" or "concluded"; "unknown" for other values.
func (k EventKind) String() string { return C.GoString(C.np_event_name(C.int32_t(k))) }

// MarshalText returns the short name.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a short name.
func (k *EventKind) UnmarshalText(text []byte) error {
	return parseName(k, "kind of event", text, EventSent, EventConcluded)
}

// Test is one of the tests of RFC 3489 section 10.1, by what is asked of the server.
type Test int32

// The tests.
const (
	TestI   Test = C.NP_TEST_I   // A plain Binding request.
	TestII  Test = C.NP_TEST_II  // To be answered from the server's other address and port (CHANGE-REQUEST).
	TestIII Test = C.NP_TEST_III // To be answered from the server's other port (CHANGE-REQUEST).
)

// String returns "I", "II" or "III"; "unknown" for other values.
func (t Test) String() string { return C.GoString(C.np_test_name(C.int32_t(t))) }

// MarshalText returns the short name.
func (t Test) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a short name.
func (t *Test) UnmarshalText(text []byte) error { return parseName(t, "test", text, TestI, TestIII) }

// Purpose is what a request is for.
type Purpose int32

// The purposes of requests.
const (
	// The external address of the source socket, as one destination sees it.
	PurposeMapping Purpose = C.NP_PURPOSE_MAPPING
	// Who may send to a socket that has spoken to one address only.
	PurposeFiltering Purpose = C.NP_PURPOSE_FILTERING
	// Whether the server sends what was missing once the way is open.
	PurposeControl Purpose = C.NP_PURPOSE_CONTROL
)

// String returns "mapping", "filtering" or "control"; "unknown" for other values.
func (p Purpose) String() string { return C.GoString(C.np_purpose_name(C.int32_t(p))) }

// MarshalText returns the short name.
func (p Purpose) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a short name.
func (p *Purpose) UnmarshalText(text []byte) error {
	return parseName(p, "purpose", text, PurposeMapping, PurposeControl)
}

// named is what all types with names of values have.
type named interface {
	~int32
	fmt.Stringer
}

func nameIn[T named](value T, names map[T]string) string {
	if name, ok := names[value]; ok {
		return name
	}
	return "unknown"
}

// parseName finds the value of a short name among those from first to last. Only 0 may be called "unknown".
func parseName[T named](value *T, what string, name []byte, first, last T) error {
	for v := first; v <= last; v++ {
		if v.String() == string(name) && (v == 0 || v.String() != T(math.MaxInt32).String()) {
			*value = v
			return nil
		}
	}
	return fmt.Errorf("natprobe: no %s is called %q", what, name)
}
