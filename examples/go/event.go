// SPDX-License-Identifier: MIT

package natprobe

// #include <natprobe/natprobe.h>
import "C"

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Event is something that happened during a check. What a kind of event does not have is zero.
type Event struct {
	Kind      EventKind
	Purpose   Purpose        // Zero for the whole check (EventConcluded).
	Test      Test           // Of a request or an answer.
	Copy      int            // EventSent: 1 for the first copy of a request, 2 for the next, and so on.
	STUNError int            // EventAnswered: the code of an error response (RFC 8489 section 14.8), 0 for success.
	Behaviour Behaviour      // EventConcluded: of the mapping or of the filtering.
	NATType   NATType        // EventConcluded, whole check.
	Status    Code           // EventConcluded, whole check.
	Time      time.Duration  // Since the check began.
	Remote    netip.AddrPort // Where a request went or an answer came from; the server of a conclusion.
	External  netip.AddrPort // EventAnswered: the external (mapped) address and port that the server saw.
}

func makeEvent(e *C.np_event) Event {
	return Event{
		Kind:      EventKind(e.kind),
		Purpose:   Purpose(e.purpose),
		Test:      Test(e.test),
		Copy:      int(e.copy),
		STUNError: int(e.stun_error),
		Behaviour: Behaviour(e.behaviour),
		NATType:   NATType(e.nat_type),
		Status:    Code(e.error),
		Time:      time.Duration(e.time_us) * time.Microsecond,
		Remote:    endpoint(&e.remote[0]),
		External:  endpoint(&e.external[0]),
	}
}

// IsVerdict tells whether the event is the last one, which concludes the whole check.
func (e Event) IsVerdict() bool { return e.Kind == EventConcluded && e.Purpose == 0 }

// MarshalJSON returns an object with what the kind of event has.
func (e Event) MarshalJSON() ([]byte, error) {
	form := struct {
		Time      milliseconds    `json:"time_ms"`
		Kind      EventKind       `json:"kind"`
		Purpose   *Purpose        `json:"purpose,omitempty"`
		Test      *Test           `json:"test,omitempty"`
		Copy      int             `json:"copy,omitempty"`
		STUNError int             `json:"stun_error,omitempty"`
		Behaviour *Behaviour      `json:"behaviour,omitempty"`
		NATType   *NATType        `json:"nat_type,omitempty"`
		Status    *Code           `json:"status,omitempty"`
		Remote    *netip.AddrPort `json:"remote,omitempty"`
		External  *netip.AddrPort `json:"external,omitempty"`
	}{
		Time: milliseconds(e.Time), Kind: e.Kind, Purpose: known(e.Purpose), Test: known(e.Test),
		Copy: e.Copy, STUNError: e.STUNError, Remote: known(e.Remote), External: known(e.External),
	}
	switch {
	case e.IsVerdict():
		form.NATType, form.Status = &e.NATType, &e.Status
	case e.Kind == EventConcluded:
		form.Behaviour = &e.Behaviour
	}
	return json.Marshal(form)
}
