// SPDX-License-Identifier: MIT

package natprobe

// #cgo pkg-config: libnatprobe
// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"unsafe"
)

// Check finds out the NAT type, with a Probe of its own. It ends as soon as the context does and blocks no
// thread meanwhile. The Result is filled in as far as possible with an error, too, which is an *Error then.
func Check(ctx context.Context, options ...Option) (Result, error) {
	probe, err := New(options...)
	if err != nil {
		return failed(err)
	}
	defer probe.Close()
	return probe.Check(ctx)
}

// CheckNAT is the library's np_check_nat: a check from the source ip, "" for any, and port, with the built-in
// servers and all defaults. It blocks a thread for a few round trips, at most DefaultTimeout, and cannot be
// ended; Check does better.
func CheckNAT(ip string, port uint16) (Result, error) {
	var r C.np_result
	code := withSourceIP(ip, func(cIP *C.char) C.int { return C.np_check_nat(cIP, C.uint16_t(port), &r) })
	if code == C.NP_ERR_ARGUMENT {
		return failed(refused(ErrArgument, "the source address %q is not an IP address", ip))
	}
	return conclude(&r, nil)
}

// CheckNATAndLog is the library's np_check_nat_and_log: as CheckNAT, and logs the outcome at LogInfo: the type,
// the external address, and whether hole punching is likely to work; failures at LogError. A nil log writes to
// standard error.
func CheckNATAndLog(ip string, port uint16, log func(level LogLevel, message string)) error {
	c := &call{callbacks: callbacks{log: log}, onPanic: func() {}}
	code := c.into(func(handle C.uintptr_t) C.int {
		if log == nil {
			handle = 0
		}
		return withSourceIP(ip, func(cIP *C.char) C.int {
			return C.natprobe_go_check_and_log(cIP, C.uint16_t(port), handle)
		})
	})
	c.goOn()
	if code != OK {
		return refused(code, "")
	}
	return nil
}

// withSourceIP calls f with a C string, NULL for "".
func withSourceIP(ip string, f func(*C.char) C.int) C.int {
	if ip == "" {
		return f(nil)
	}
	return withText(ip, f)
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

// layoutFits tells whether the library has the structs that this package was compiled with. They never change
// within an ABI.
func layoutFits() bool {
	return C.np_result_size() == C.sizeof_np_result && C.np_event_size() == C.sizeof_np_event &&
		unsafe.Sizeof(C.np_result{}) == C.sizeof_np_result
}
