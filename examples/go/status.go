// SPDX-License-Identifier: MIT

package natprobe

// #include "header.h"
import "C"

// Status says how a check ended. It is what a Result and the last Event say, and not an error: StatusOK is one of its
// values. Status.Err makes an error of it.
type Status int32

// The ways in which a check ends.
const (
	// There is a verdict.
	StatusOK Status = C.NP_OK
	// An argument is malformed or out of range.
	StatusArgument Status = C.NP_ERR_ARGUMENT
	// Out of memory.
	StatusNoMemory Status = C.NP_ERR_NO_MEMORY
	// The system refused a resource, such as one more descriptor.
	StatusSystem Status = C.NP_ERR_SYSTEM
	// The Probe makes a check already.
	StatusBusy Status = C.NP_ERR_BUSY
	// A list is full: there are more than MaxServers servers.
	StatusLimit Status = C.NP_ERR_LIMIT
	// The source port is taken.
	StatusAddressInUse Status = C.NP_ERR_ADDRESS_IN_USE
	// The source address is not one of this host's.
	StatusAddressNotAvailable Status = C.NP_ERR_ADDRESS_NOT_AVAILABLE
	// No server name could be resolved to an address of the wanted family.
	StatusResolve Status = C.NP_ERR_RESOLVE
	// There is no route to any server, or the host's own firewall refuses to send.
	StatusNetworkUnreachable Status = C.NP_ERR_NETWORK_UNREACHABLE
	// Requests were sent, and nothing was ever heard. The type is NATUDPBlocked if the silence lasted the response
	// timeout. It is NATUnknown if the whole time ran out before that, or if another socket may have the answers.
	StatusNoResponse Status = C.NP_ERR_NO_RESPONSE
	// The external address changed during the check, and again after a restart.
	StatusAddressChanged Status = C.NP_ERR_ADDRESS_CHANGED
	// Servers answered, but nothing beyond the external address could be learnt.
	StatusInconclusive Status = C.NP_ERR_INCONCLUSIVE
	// The time of WithTimeout ran out: after something came, or before anything was sent.
	StatusTimeout Status = C.NP_ERR_TIMEOUT
	// The context ended, or Cancel or Close was called.
	StatusCancelled Status = C.NP_ERR_CANCELLED
	// Something answers at the servers' addresses, but nothing that could be used.
	StatusBadResponse Status = C.NP_ERR_BAD_RESPONSE
	// A survey, which this package does not make, could not prove that this host is open.
	StatusNotOpen Status = C.NP_ERR_NOT_OPEN
)

var statusNames = names[Status]{
	typeName: "Status", what: "status", isName: kebabCase,
	ofLibrary: func(s Status) *C.char { return C.np_error_name(C.int32_t(s)) },
}

// String returns the short name, such as "no-response"; "Status(-99)" for a value without one.
func (s Status) String() string { return statusNames.of(s) }

// Description returns a sentence, such as "No STUN server answered".
func (s Status) Description() string { return C.GoString(C.np_strerror(C.int32_t(s))) }

// Err returns nil for StatusOK, and otherwise the error to compare with, such as ErrNoResponse for StatusNoResponse.
func (s Status) Err() error {
	if s == StatusOK {
		return nil
	}
	return statusError(s)
}

// MarshalText returns what String does.
func (s Status) MarshalText() ([]byte, error) { return statusNames.marshal(s) }

// UnmarshalText reads what MarshalText wrote, also for a newer library.
func (s *Status) UnmarshalText(text []byte) error { return statusNames.unmarshal(s, text) }

// UnmarshalJSON reads a name or a number.
func (s *Status) UnmarshalJSON(text []byte) error { return statusNames.unmarshalJSON(s, text) }
