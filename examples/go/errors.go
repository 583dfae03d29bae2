// SPDX-License-Identifier: MIT

package natprobe

// #include <natprobe/natprobe.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Code is what a call of the library came to. Those that are failures serve as errors to compare with: an
// *Error matches the Code that it carries.
//
//	if errors.Is(err, natprobe.ErrNoResponse) { ... }
type Code int32

// The codes that are no failures.
const (
	OK      Code = C.NP_OK      // There is a verdict.
	Pending Code = C.NP_PENDING // The check goes on.
)

// The failures.
const (
	// An argument is malformed or out of range.
	ErrArgument Code = C.NP_ERR_ARGUMENT
	// Out of memory.
	ErrNoMemory Code = C.NP_ERR_NO_MEMORY
	// The system refused a resource; Errno tells which.
	ErrSystem Code = C.NP_ERR_SYSTEM
	// The Probe makes a check: the call has to wait until that is over.
	ErrBusy Code = C.NP_ERR_BUSY
	// The source port is taken.
	ErrAddressInUse Code = C.NP_ERR_ADDRESS_IN_USE
	// The source address is not one of this host's.
	ErrAddressNotAvailable Code = C.NP_ERR_ADDRESS_NOT_AVAILABLE
	// No server name could be resolved to an address of the wanted family.
	ErrResolve Code = C.NP_ERR_RESOLVE
	// There is no route to any server, or the host's own firewall refuses to send.
	ErrNetworkUnreachable Code = C.NP_ERR_NETWORK_UNREACHABLE
	// No server answered; the type is NATUDPBlocked.
	ErrNoResponse Code = C.NP_ERR_NO_RESPONSE
	// The external address changed during the check, and again after a restart.
	ErrAddressChanged Code = C.NP_ERR_ADDRESS_CHANGED
	// Servers answered, but nothing beyond the external address could be learnt.
	ErrInconclusive Code = C.NP_ERR_INCONCLUSIVE
	// The time of WithTimeout ran out before there was a verdict.
	ErrDeadline Code = C.NP_ERR_TIMEOUT
	// The context ended, or Cancel or Close was called.
	ErrCancelled Code = C.NP_ERR_CANCELLED
	// Something answers at the servers' addresses, but nothing that could be used.
	ErrBadResponse Code = C.NP_ERR_BAD_RESPONSE
)

// ErrClosed is matched by the errors of a Probe that was closed, before the call or during it.
var ErrClosed = errors.New("natprobe: the probe is closed")

// String returns the name, such as "no-response"; "unknown" for other values.
func (c Code) String() string { return C.GoString(C.np_error_name(C.int32_t(c))) }

// Description returns a sentence, such as "No STUN server answered".
func (c Code) Description() string { return C.GoString(C.np_strerror(C.int32_t(c))) }

// Error returns the description.
func (c Code) Error() string { return "natprobe: " + c.Description() }

// MarshalText returns the name.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name.
func (c *Code) UnmarshalText(text []byte) error {
	return parseName(c, "code", text, ErrBadResponse, Pending)
}

// Error is the error of every function here. With errors.Is it matches its Code, the context's error when it is
// the context that ended the check, ErrClosed when that was Close, and otherwise Errno and what Errno matches.
type Error struct {
	Code   Code          // What went wrong.
	Detail string        // One sentence about it; may be empty.
	Errno  syscall.Errno // What the system said, 0 if nothing.
	EAI    int           // ErrResolve: the resolver's EAI_* code, 0 if none.
	Result Result        // What the check found out all the same; zero if there was none.

	cause error
}

// Name returns the name of the Code, such as "no-response".
func (e *Error) Name() string { return e.Code.String() }

// Error returns the detail, or the description of the Code if there is none, and what is behind it.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Code.Description()
	}
	if cause := e.Unwrap(); cause != nil {
		return fmt.Sprintf("natprobe: %s: %v", text, cause)
	}
	return "natprobe: " + text
}

// Is matches the Code; see Error.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap returns what is behind the error: the error of the context, ErrClosed, a syscall.Errno or nil.
func (e *Error) Unwrap() error {
	if e.cause == nil && e.Errno != 0 {
		return e.Errno
	}
	return e.cause
}

// Timeout tells whether time ran out: that of WithTimeout, that of WithResponseTimeout or that of the context.
func (e *Error) Timeout() bool {
	return e.Code == ErrDeadline || e.Code == ErrNoResponse || errors.Is(e.cause, context.DeadlineExceeded)
}

// refused is the error of a call that does nothing.
func refused(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), Result: Result{Status: code}}
}

func closed() *Error {
	e := refused(ErrArgument, "the check cannot be made")
	e.cause = ErrClosed
	return e
}

// failed is what a check returns that did not begin. The error is an *Error.
func failed(err error) (Result, error) {
	result := Result{}
	if e := (*Error)(nil); errors.As(err, &e) {
		result = e.Result
	}
	return result, err
}

// conclude is what a check returns that the library has ended; cause is who had it ended before there was a verdict.
func conclude(r *C.np_result, cause error) (Result, error) {
	result := makeResult(r)
	if result.Status == OK {
		return result, nil
	}
	e := &Error{Code: result.Status, Detail: result.Detail, Result: result, cause: cause}
	if e.Code == ErrResolve {
		e.EAI = int(r.os_error)
	} else {
		e.Errno = syscall.Errno(r.os_error)
	}
	return result, e
}
