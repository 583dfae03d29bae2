// SPDX-License-Identifier: MIT

package natprobe

// #include "header.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// The errors to compare with, by errors.Is. Each stands for the Status of the same name, and an *Error matches the one
// of its Status.
var (
	// An argument is malformed or out of range.
	ErrArgument error = statusError(StatusArgument)
	// Out of memory.
	ErrNoMemory error = statusError(StatusNoMemory)
	// The system refused a resource, such as one more descriptor.
	ErrSystem error = statusError(StatusSystem)
	// The Probe makes a check already.
	ErrBusy error = statusError(StatusBusy)
	// There are more than MaxServers servers.
	ErrLimit error = statusError(StatusLimit)
	// The source port is taken.
	ErrAddressInUse error = statusError(StatusAddressInUse)
	// The source address is not one of this host's.
	ErrAddressNotAvailable error = statusError(StatusAddressNotAvailable)
	// No server name could be resolved to an address of the wanted family.
	ErrResolve error = statusError(StatusResolve)
	// There is no route to any server, or the host's own firewall refuses to send.
	ErrNetworkUnreachable error = statusError(StatusNetworkUnreachable)
	// Requests were sent, and nothing was ever heard.
	ErrNoResponse error = statusError(StatusNoResponse)
	// The external address changed during the check, and again after a restart.
	ErrAddressChanged error = statusError(StatusAddressChanged)
	// Servers answered, but nothing beyond the external address could be learnt.
	ErrInconclusive error = statusError(StatusInconclusive)
	// The time of WithTimeout ran out: after something came, or before anything was sent.
	ErrTimeout error = statusError(StatusTimeout)
	// The context ended, or Cancel or Close was called.
	ErrCancelled error = statusError(StatusCancelled)
	// Something answers at the servers' addresses, but nothing that could be used.
	ErrBadResponse error = statusError(StatusBadResponse)
	// A survey, which this package does not make, could not prove that this host is open.
	ErrNotOpen error = statusError(StatusNotOpen)
)

// statusError is a Status as an error.
type statusError Status

func (e statusError) Error() string { return "natprobe: " + Status(e).Description() }

// ErrClosed is what every call of a closed Probe returns, and a check that Close ended. It matches net.ErrClosed. The
// Status is StatusCancelled.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string { return "the probe is closed" }
func (closedError) Unwrap() error { return net.ErrClosed }

// Error is the error of every function here. It is a net.Error. errors.Is finds in it:
//
//   - the error of its Status, such as ErrNoResponse;
//   - Errno, and what that matches, such as fs.ErrPermission;
//   - the context's error and its cause (context.Cause), if the context ended the check;
//   - ErrClosed and net.ErrClosed, if the Probe was closed.
type Error struct {
	Status Status        // What went wrong; never StatusOK.
	Detail string        // One sentence about it. May be empty.
	Errno  syscall.Errno // What the system said, 0 if nothing.
	EAI    int           // StatusResolve: the resolver's EAI_* code, 0 if none.

	causes []error
}

var _ net.Error = (*Error)(nil)

// Error returns the detail, or the description of the Status if there is none, and what is behind it.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Status.Description()
	}
	for _, cause := range e.Unwrap() {
		text += ": " + cause.Error()
	}
	return "natprobe: " + text
}

// Is reports whether the target is the error of the Status.
func (e *Error) Is(target error) bool { return target == e.Status.Err() }

// Unwrap returns what is behind the error, besides its Status.
func (e *Error) Unwrap() []error {
	if len(e.causes) == 0 && e.Errno != 0 {
		return []error{e.Errno}
	}
	return e.causes
}

// Timeout reports whether time ran out: that of WithTimeout, that of WithResponseTimeout or the context's.
func (e *Error) Timeout() bool {
	return e.Status == StatusTimeout || e.Status == StatusNoResponse || errors.Is(e, context.DeadlineExceeded)
}

// Temporary reports whether the same call may succeed a little later.
func (e *Error) Temporary() bool {
	switch e.Status {
	case StatusBusy, StatusAddressChanged, StatusNoMemory:
		return true
	default:
		return e.Timeout() || e.Errno != 0 && e.Errno.Temporary()
	}
}

// refused is the error of a call that does nothing.
func refused(status Status, format string, args ...any) *Error {
	return &Error{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// refusedBy makes an error of what the library returned, with a text for what it does not accept.
func refusedBy(code C.int, format string, args ...any) error {
	switch Status(code) {
	case StatusOK:
		return nil
	case StatusArgument, StatusLimit:
		return refused(Status(code), format, args...)
	default:
		return refused(Status(code), "")
	}
}

func closed() *Error {
	return &Error{Status: StatusCancelled, Detail: "the check was not made", causes: []error{ErrClosed}}
}

// causesOf says who ended a check: nobody that has an error of its own if that was Cancel.
func causesOf(parent, ctx context.Context) []error {
	if context.Cause(ctx) == ErrClosed {
		return []error{ErrClosed}
	}
	err, cause := parent.Err(), context.Cause(parent)
	switch {
	case err == nil || context.Cause(ctx) != cause:
		return nil
	case cause == err:
		return []error{err}
	default:
		return []error{err, cause}
	}
}

// failed is what a check returns that did not begin. The error is an *Error.
func failed(err error) (Result, error) {
	var e *Error
	errors.As(err, &e)
	return Result{Status: e.Status, Detail: e.Detail}, err
}

// conclude makes what Go returns from what the library said in the end.
func (k *check) conclude() (Result, error) {
	if k.handle.native.is_out_of_memory {
		return failed(refused(StatusNoMemory, ""))
	}
	return outcomeOf(&k.raw, causesOf(k.parent, k.ctx))
}

// outcomeOf takes the causes for those of a cancellation.
func outcomeOf(raw *C.np_result, causes []error) (Result, error) {
	result := makeResult(raw)
	if result.Status == StatusOK {
		return result, nil
	}
	e := &Error{Status: result.Status, Detail: result.Detail}
	switch e.Status {
	case StatusResolve:
		e.EAI = int(raw.os_error)
	case StatusCancelled:
		e.causes = causes
	default:
		e.Errno = errnoOf(raw.os_error)
	}
	return result, e
}
