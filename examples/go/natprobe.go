// SPDX-License-Identifier: MIT

package natprobe

// #cgo natprobe_system pkg-config: libnatprobe
// #cgo natprobe_system CFLAGS: -DNATPROBE_GO_SYSTEM
// #cgo !natprobe_system CFLAGS: -DNP_STATIC
// #cgo !natprobe_system,windows LDFLAGS: -lws2_32 -liphlpapi -lbcrypt
// #cgo !natprobe_system,!windows LDFLAGS: -pthread
// #include "header.h"
import "C"

import "context"

// Check finds out the NAT type, with a Probe of its own. See Probe.Check.
func Check(ctx context.Context, options ...Option) (Result, error) {
	probe, err := New(options...)
	if err != nil {
		return failed(err)
	}
	defer probe.Close()
	return probe.Check(ctx)
}

// HeaderVersion is the version of libnatprobe that this package was compiled against.
const HeaderVersion = C.NP_VERSION

// HeaderVersionNumber is HeaderVersion as a number that grows with each release: 0x00MMmmpp.
const HeaderVersionNumber = C.NP_VERSION_NUMBER

// Version returns the version of the library that is running.
func Version() string { return C.GoString(C.np_version()) }

// VersionNumber returns the version of the library that is running as a number that grows with each release:
// 0x00MMmmpp.
func VersionNumber() uint32 { return uint32(C.np_version_number()) }

// layout is the sizes of the structs that the library fills. They never change within an ABI.
type layout struct{ result, event uint64 }

var compiledLayout = layout{C.sizeof_np_result, C.sizeof_np_event}

// runningLayout is a variable for a test.
var runningLayout = func() layout { return layout{uint64(C.np_result_size()), uint64(C.np_event_size())} }
