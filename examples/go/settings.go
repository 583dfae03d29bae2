// SPDX-License-Identifier: MIT

package natprobe

// #include "header.h"
import "C"

import (
	"fmt"
	"strings"
)

// Family is the address family of a check.
type Family int32

// The address families.
const (
	// The source address's. Without one IPv4, and IPv6 if IPv4 has no route, no server or no answer.
	FamilyAny  Family = C.NP_FAMILY_ANY
	FamilyIPv4 Family = C.NP_FAMILY_IPV4
	FamilyIPv6 Family = C.NP_FAMILY_IPV6
)

var families = []Family{FamilyAny, FamilyIPv4, FamilyIPv6}

// String returns "any", "ipv4" or "ipv6"; "Family(5)" for another value.
func (f Family) String() string {
	if name := C.GoString(C.np_family_name(C.int32_t(f))); name != noName {
		return name
	}
	return fmt.Sprintf("Family(%d)", int32(f))
}

// MarshalText returns what String does.
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads a name, and nothing else.
func (f *Family) UnmarshalText(text []byte) error {
	for _, family := range families {
		if family.String() == string(text) {
			*f = family
			return nil
		}
	}
	return fmt.Errorf("natprobe: no address family is called %.40q", text)
}

// Tests is a set of bits: which tests a check runs.
type Tests int32

// The tests.
const (
	// External address and mapping: one round trip with two servers.
	TestsMapping Tests = C.NP_TESTS_MAPPING
	// Filtering. The mapping comes with it.
	TestsFiltering Tests = C.NP_TESTS_FILTERING
	// What a check runs by default: mapping and filtering.
	TestsDefault Tests = C.NP_TESTS_DEFAULT
	// Optional, as are all below: is the source port open to everybody, as a forwarded one is?
	TestsPort Tests = C.NP_TESTS_PORT
	// Does a datagram that the NAT refuses take the port? Filtering comes with it.
	TestsRefused Tests = C.NP_TESTS_REFUSED
	// Do datagrams of this host to its own external address arrive?
	TestsHairpin Tests = C.NP_TESTS_HAIRPIN
	// Is there another NAT behind the gateway?
	TestsGateway Tests = C.NP_TESTS_GATEWAY
	// How long does an idle mapping live? Takes minutes: see WithLifetimeLimit.
	TestsLifetime Tests = C.NP_TESTS_LIFETIME
	// All the optional tests.
	TestsOptional Tests = C.NP_TESTS_OPTIONAL
)

// testNames are those of the single bits, the lowest first.
var testNames = []struct {
	bit  Tests
	name string
}{{TestsMapping, "mapping"}, {TestsFiltering, "filtering"}, {TestsPort, "port"}, {TestsRefused, "refused"},
	{TestsHairpin, "hairpin"}, {TestsGateway, "gateway"}, {TestsLifetime, "lifetime"}}

// Has reports whether all of the bits given are set.
func (t Tests) Has(wanted Tests) bool { return t&wanted == wanted }

// String returns the names of the bits that are set, separated by commas; "Tests(0x40)" for the rest.
func (t Tests) String() string {
	var names []string
	for _, test := range testNames {
		if t.Has(test.bit) {
			names = append(names, test.name)
			t &^= test.bit
		}
	}
	if t != 0 || names == nil {
		names = append(names, fmt.Sprintf("Tests(%#x)", uint32(t)))
	}
	return strings.Join(names, ",")
}

// MarshalText returns what String does.
func (t Tests) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads names that are separated by commas, and nothing else.
func (t *Tests) UnmarshalText(text []byte) error {
	var read Tests
	for _, name := range strings.Split(string(text), ",") {
		bit := testCalled(name)
		if bit == 0 {
			return fmt.Errorf("natprobe: no test is called %.40q", name)
		}
		read |= bit
	}
	*t = read
	return nil
}

func testCalled(name string) Tests {
	for _, test := range testNames {
		if test.name == name {
			return test.bit
		}
	}
	return 0
}
