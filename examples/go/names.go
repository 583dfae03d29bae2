// SPDX-License-Identifier: MIT

package natprobe

// #include "header.h"
import "C"

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The defaults and limits of the library.
const (
	// DefaultTimeout is the time allowed for a whole check, name resolution included. See WithTimeout.
	DefaultTimeout = C.NP_DEFAULT_TIMEOUT_MS * time.Millisecond
	// DefaultResponseTimeout is how long to wait for a first answer. See WithResponseTimeout.
	DefaultResponseTimeout = C.NP_DEFAULT_RESPONSE_TIMEOUT_MS * time.Millisecond
	// DefaultLifetimeLimit is the longest idle time that TestsLifetime tries. See WithLifetimeLimit.
	DefaultLifetimeLimit = C.NP_DEFAULT_LIFETIME_LIMIT_S * time.Second
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
	NATNoNAT NATType = C.NP_NAT_NO_NAT
)

var natTypeNames = names[NATType]{
	typeName: "NATType", what: "NAT type", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(t NATType) *C.char { return C.np_nat_type_name(C.int32_t(t)) },
}

// String returns the short name, such as "port-restricted-cone"; "NATType(42)" for a value without one.
func (t NATType) String() string { return natTypeNames.of(t) }

// Description returns a text to show, such as "Full-cone NAT".
func (t NATType) Description() string { return C.GoString(C.np_nat_type_description(C.int32_t(t))) }

// Advice says in one sentence what the type means for peer-to-peer connections.
func (t NATType) Advice() string { return C.GoString(C.np_nat_type_advice(C.int32_t(t))) }

// Grade is what games call the type: "Open", "Moderate", "Strict" or "Unknown".
func (t NATType) Grade() string { return C.GoString(C.np_nat_type_grade(C.int32_t(t))) }

// MarshalText returns what String does.
func (t NATType) MarshalText() ([]byte, error) { return natTypeNames.marshal(t) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (t *NATType) UnmarshalText(text []byte) error { return natTypeNames.unmarshal(t, text) }

// UnmarshalJSON reads a name or a number.
func (t *NATType) UnmarshalJSON(text []byte) error { return natTypeNames.unmarshalJSON(t, text) }

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

var behaviourNames = names[Behaviour]{
	typeName: "Behaviour", what: "behaviour", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(b Behaviour) *C.char { return C.np_behaviour_name(C.int32_t(b)) },
}

// String returns the short name, such as "endpoint-independent"; "Behaviour(42)" for a value without one.
func (b Behaviour) String() string { return behaviourNames.of(b) }

// Description returns a text to show.
func (b Behaviour) Description() string { return C.GoString(C.np_behaviour_description(C.int32_t(b))) }

// MarshalText returns what String does.
func (b Behaviour) MarshalText() ([]byte, error) { return behaviourNames.marshal(b) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (b *Behaviour) UnmarshalText(text []byte) error { return behaviourNames.unmarshal(b, text) }

// UnmarshalJSON reads a name or a number.
func (b *Behaviour) UnmarshalJSON(text []byte) error { return behaviourNames.unmarshalJSON(b, text) }

// AddressClass is the class of a local address: which network the host is in, before any NAT.
type AddressClass int32

// The classes of addresses.
const (
	// No local address is known, or it is one that no host can have.
	AddressUnknown AddressClass = C.NP_ADDRESS_UNKNOWN
	// All that is in none of the others.
	AddressGlobal AddressClass = C.NP_ADDRESS_GLOBAL
	// 10/8, 172.16/12, 192.168/16 (RFC 1918).
	AddressPrivate AddressClass = C.NP_ADDRESS_PRIVATE
	// 100.64/10 (RFC 6598): of a carrier's NAT, and of some overlay networks.
	AddressShared AddressClass = C.NP_ADDRESS_SHARED
	// 192.0.0.0/29 (RFC 7335): IPv4 over IPv6, by 464XLAT or DS-Lite.
	AddressServiceContinuity AddressClass = C.NP_ADDRESS_SERVICE_CONTINUITY
	// 198.18/15 (RFC 2544): in practice the made-up addresses of a proxy.
	AddressBenchmark AddressClass = C.NP_ADDRESS_BENCHMARK
	// 169.254/16, fe80::/10.
	AddressLinkLocal AddressClass = C.NP_ADDRESS_LINK_LOCAL
	// fc00::/7 (RFC 4193).
	AddressUniqueLocal AddressClass = C.NP_ADDRESS_UNIQUE_LOCAL
	// 127/8, ::1.
	AddressLoopback AddressClass = C.NP_ADDRESS_LOOPBACK
)

var addressClassNames = names[AddressClass]{
	typeName: "AddressClass", what: "class of addresses", isName: kebabCase, zeroIsNamed: true,
	ofLibrary: func(c AddressClass) *C.char { return C.np_address_class_name(C.int32_t(c)) },
}

// String returns the short name, such as "private"; "AddressClass(42)" for a value without one.
func (c AddressClass) String() string { return addressClassNames.of(c) }

// MarshalText returns what String does.
func (c AddressClass) MarshalText() ([]byte, error) { return addressClassNames.marshal(c) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (c *AddressClass) UnmarshalText(text []byte) error { return addressClassNames.unmarshal(c, text) }

// UnmarshalJSON reads a name or a number.
func (c *AddressClass) UnmarshalJSON(text []byte) error {
	return addressClassNames.unmarshalJSON(c, text)
}

// Evidence is a set of bits: what was seen and what was proven.
type Evidence uint64

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

// foreignBits is the number of the highest bits that stand for names which the library does not know.
const foreignBits = 16

var foreignEvidence register

// Has reports whether all of the bits given are set.
func (e Evidence) Has(wanted Evidence) bool { return e&wanted == wanted }

// All yields the bits that are set, each as an Evidence of its own, the lowest first.
func (e Evidence) All() iter.Seq[Evidence] {
	return func(yield func(Evidence) bool) {
		for rest := e; rest != 0; rest &= rest - 1 {
			if !yield(rest & -rest) {
				return
			}
		}
	}
}

// Names returns the short names of the bits that are set, such as "control-answered"; "Evidence(0x80000000)" for a bit
// without one.
func (e Evidence) Names() []string {
	names := make([]string, 0, bits.OnesCount64(uint64(e)))
	for bit := range e.All() {
		names = append(names, evidenceName(bit))
	}
	return names
}

func evidenceName(bit Evidence) string {
	if bit <= math.MaxUint32 {
		if name := C.GoString(C.np_evidence_name(C.uint32_t(bit))); name != noName {
			return name
		}
	}
	if name, ok := foreignEvidence.name(bits.LeadingZeros64(uint64(bit))); ok {
		return name
	}
	return fmt.Sprintf("Evidence(%#x)", uint64(bit))
}

// evidenceNames has the bits that the library has a name for.
var evidenceNames = sync.OnceValue(func() map[string]Evidence {
	all := map[string]Evidence{}
	for bit := range Evidence(math.MaxUint32).All() {
		if name := C.GoString(C.np_evidence_name(C.uint32_t(bit))); name != noName {
			all[name] = bit
		}
	}
	return all
})

func evidenceOf(name string) (Evidence, error) {
	if bit, ok := evidenceNames()[name]; ok {
		return bit, nil
	}
	if number, err := strconv.ParseUint(inside(name, "Evidence"), 0, 64); err == nil {
		return Evidence(number), nil
	}
	if kebabCase(name) {
		if index, ok := foreignEvidence.index(name, foreignBits); ok {
			return 1 << (63 - index), nil
		}
	}
	return 0, fmt.Errorf("natprobe: no evidence is called %.40q", name)
}

// Descriptions returns a sentence for each bit that is set, in the order of Names.
func (e Evidence) Descriptions() []string {
	texts := make([]string, 0, bits.OnesCount64(uint64(e)))
	for bit := range e.All() {
		texts = append(texts, evidenceDescription(bit))
	}
	return texts
}

// evidenceDescription passes 0, of which the library has a text as of any unknown bit, for a bit that only Go has.
func evidenceDescription(bit Evidence) string {
	if bit > math.MaxUint32 {
		bit = 0
	}
	return C.GoString(C.np_evidence_description(C.uint32_t(bit)))
}

// String returns the short names of the bits that are set, separated by commas.
func (e Evidence) String() string { return strings.Join(e.Names(), ",") }

// MarshalJSON returns the short names as an array.
func (e Evidence) MarshalJSON() ([]byte, error) { return json.Marshal(e.Names()) }

// UnmarshalJSON reads an array of short names, also of a newer library, or a number with all the bits.
func (e *Evidence) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] != '[' {
		return json.Unmarshal(text, (*uint64)(e))
	}
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	var read Evidence
	for _, name := range names {
		bit, err := evidenceOf(name)
		if err != nil {
			return err
		}
		read |= bit
	}
	*e = read
	return nil
}

// EventKind is what an Event tells.
type EventKind int32

// The kinds of events.
const (
	EventSent      EventKind = C.NP_EVENT_SENT      // A request, or one more copy of it, was sent.
	EventAnswered  EventKind = C.NP_EVENT_ANSWERED  // An answer to a request came.
	EventConcluded EventKind = C.NP_EVENT_CONCLUDED // What requests were for is settled, or the whole check is.
	EventProgress  EventKind = C.NP_EVENT_PROGRESS  // A test of minutes goes on.
)

var eventKindNames = names[EventKind]{
	typeName: "EventKind", what: "kind of event", isName: kebabCase,
	ofLibrary: func(k EventKind) *C.char { return C.np_event_kind_name(C.int32_t(k)) },
}

// String returns the short name, such as "answered"; "EventKind(42)" for a value without one.
func (k EventKind) String() string { return eventKindNames.of(k) }

// MarshalText returns what String does.
func (k EventKind) MarshalText() ([]byte, error) { return eventKindNames.marshal(k) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (k *EventKind) UnmarshalText(text []byte) error { return eventKindNames.unmarshal(k, text) }

// UnmarshalJSON reads a name or a number.
func (k *EventKind) UnmarshalJSON(text []byte) error { return eventKindNames.unmarshalJSON(k, text) }

// Request is one of the three requests of RFC 3489 section 10.1, by what is asked of the server.
type Request int32

// The requests.
const (
	RequestI   Request = C.NP_REQUEST_I   // A plain Binding request.
	RequestII  Request = C.NP_REQUEST_II  // To be answered from the server's other address and port (CHANGE-REQUEST).
	RequestIII Request = C.NP_REQUEST_III // To be answered from the server's other port (CHANGE-REQUEST).
)

var requestNames = names[Request]{
	typeName: "Request", what: "request", isName: romanNumber,
	ofLibrary: func(r Request) *C.char { return C.np_request_name(C.int32_t(r)) },
}

// String returns the short name, such as "II"; "Request(42)" for a value without one.
func (r Request) String() string { return requestNames.of(r) }

// MarshalText returns what String does.
func (r Request) MarshalText() ([]byte, error) { return requestNames.marshal(r) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (r *Request) UnmarshalText(text []byte) error { return requestNames.unmarshal(r, text) }

// UnmarshalJSON reads a name or a number.
func (r *Request) UnmarshalJSON(text []byte) error { return requestNames.unmarshalJSON(r, text) }

// Purpose is what a request is for.
type Purpose int32

// The purposes of requests.
const (
	// The whole check.
	PurposeCheck Purpose = C.NP_PURPOSE_CHECK
	// The external address of the source socket, as one destination sees it.
	PurposeMapping Purpose = C.NP_PURPOSE_MAPPING
	// Who may send to a socket that has spoken to one address only.
	PurposeFiltering Purpose = C.NP_PURPOSE_FILTERING
	// Whether the server sends what was missing once the way is open.
	PurposeControl Purpose = C.NP_PURPOSE_CONTROL
	// An optional test.
	PurposeOptional Purpose = C.NP_PURPOSE_OPTIONAL
)

var purposeNames = names[Purpose]{
	typeName: "Purpose", what: "purpose", isName: kebabCase,
	ofLibrary: func(p Purpose) *C.char { return C.np_purpose_name(C.int32_t(p)) },
}

// String returns the short name, such as "filtering"; "Purpose(42)" for a value without one.
func (p Purpose) String() string { return purposeNames.of(p) }

// MarshalText returns what String does.
func (p Purpose) MarshalText() ([]byte, error) { return purposeNames.marshal(p) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (p *Purpose) UnmarshalText(text []byte) error { return purposeNames.unmarshal(p, text) }

// UnmarshalJSON reads a name or a number.
func (p *Purpose) UnmarshalJSON(text []byte) error { return purposeNames.unmarshalJSON(p, text) }
