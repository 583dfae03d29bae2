// SPDX-License-Identifier: MIT

package natprobe

// #include "header.h"
import "C"

import (
	"encoding/json"
	"net/netip"
	"time"
)

// Event is something that happened during a check.
type Event struct {
	Time   time.Duration // since the check began
	Detail EventDetail
}

// EventDetail is what a kind of event has: a Sent, an Answered, a Concluded, a Progress, a Finished or an OtherEvent.
//
//	switch e := event.Detail.(type) {
//	case natprobe.Answered:
//		fmt.Println(e.Remote, "sees", e.External)
//	case natprobe.Finished:
//		fmt.Println(e.NATType)
//	}
//
// Later versions may have more kinds.
type EventDetail interface {
	Kind() EventKind
	form() eventForm
}

// Sent reports that a request, or one more copy of it, was sent.
type Sent struct {
	Purpose Purpose
	Request Request
	Copy    int            // 1 for the first copy of the request, 2 for the next, and so on
	Remote  netip.AddrPort // where to
}

// Answered reports an answer.
type Answered struct {
	Purpose   Purpose
	Request   Request
	STUNError int            // the code of an error response (RFC 8489 section 14.8), 0 for success
	Remote    netip.AddrPort // where from
	External  netip.AddrPort // the external (mapped) address and port that the server saw, zero if it told none
}

// Concluded reports that the mapping or the filtering is settled.
type Concluded struct {
	Purpose   Purpose
	Behaviour Behaviour
	Server    netip.AddrPort // the one that it rests on, zero if there is none
}

// Progress reports about once a second that a test of minutes goes on.
type Progress struct {
	Test  Tests // which test
	Done  int   // seconds that it has taken so far
	Total int   // seconds that it takes at most
}

// Finished is the last event: the whole check is over.
type Finished struct {
	NATType NATType
	Status  Status
	Server  netip.AddrPort // the one that the verdict rests on, zero if there is none
}

// OtherEvent is of a kind that only a newer library has. It holds whatever that said.
type OtherEvent struct {
	EventKind EventKind
	Purpose   Purpose
	Request   Request
	Copy      int
	STUNError int
	Behaviour Behaviour
	NATType   NATType
	Status    Status
	Remote    netip.AddrPort
	External  netip.AddrPort
	Test      Tests
	Done      int
	Total     int
}

// Kind returns the kind of the event, 0 for a zero Event.
func (e Event) Kind() EventKind {
	if e.Detail == nil {
		return 0
	}
	return e.Detail.Kind()
}

// Kind returns EventSent.
func (Sent) Kind() EventKind { return EventSent }

// Kind returns EventAnswered.
func (Answered) Kind() EventKind { return EventAnswered }

// Kind returns EventConcluded.
func (Concluded) Kind() EventKind { return EventConcluded }

// Kind returns EventProgress.
func (Progress) Kind() EventKind { return EventProgress }

// Kind returns EventConcluded: the library has one kind for all conclusions.
func (Finished) Kind() EventKind { return EventConcluded }

// Kind returns the kind as the library has it.
func (e OtherEvent) Kind() EventKind { return e.EventKind }

func makeEvent(e *C.np_event) Event {
	form := eventForm{
		EventKind: EventKind(e.kind), Purpose: Purpose(e.purpose), Request: Request(e.request), Copy: int(e.copy),
		STUNError: int(e.stun_error), Behaviour: Behaviour(e.behaviour), NATType: NATType(e.nat_type),
		Status: Status(e.error), Remote: endpoint(&e.remote[0]), External: endpoint(&e.external[0]),
		Test: Tests(e.test), Done: int(e.done_s), Total: int(e.total_s),
	}
	return Event{Time: time.Duration(e.time_us) * time.Microsecond, Detail: form.detail()}
}

// eventForm is an event as the library and JSON have it: what all kinds have, side by side.
type eventForm OtherEvent

func (f eventForm) detail() EventDetail {
	switch {
	case f.EventKind == EventSent:
		return Sent{f.Purpose, f.Request, f.Copy, f.Remote}
	case f.EventKind == EventAnswered:
		return Answered{f.Purpose, f.Request, f.STUNError, f.Remote, f.External}
	case f.EventKind == EventConcluded && f.Purpose == PurposeCheck:
		return Finished{f.NATType, f.Status, f.Remote}
	case f.EventKind == EventConcluded:
		return Concluded{f.Purpose, f.Behaviour, f.Remote}
	case f.EventKind == EventProgress:
		return Progress{f.Test, f.Done, f.Total}
	default:
		return OtherEvent(f)
	}
}

func (e Sent) form() eventForm {
	return eventForm{EventKind: EventSent, Purpose: e.Purpose, Request: e.Request, Copy: e.Copy, Remote: e.Remote}
}

func (e Answered) form() eventForm {
	return eventForm{EventKind: EventAnswered, Purpose: e.Purpose, Request: e.Request, STUNError: e.STUNError,
		Remote: e.Remote, External: e.External}
}

func (e Concluded) form() eventForm {
	return eventForm{EventKind: EventConcluded, Purpose: e.Purpose, Behaviour: e.Behaviour, Remote: e.Server}
}

func (e Progress) form() eventForm {
	return eventForm{EventKind: EventProgress, Purpose: PurposeOptional, Test: e.Test, Done: e.Done, Total: e.Total}
}

func (e Finished) form() eventForm {
	return eventForm{EventKind: EventConcluded, Purpose: PurposeCheck, NATType: e.NATType, Status: e.Status,
		Remote: e.Server}
}

func (e OtherEvent) form() eventForm { return eventForm(e) }

// eventJSON leaves out what an event does not have.
type eventJSON struct {
	Time      milliseconds    `json:"time_ms"`
	Kind      *EventKind      `json:"kind,omitempty"`
	Purpose   *Purpose        `json:"purpose,omitempty"`
	Request   *Request        `json:"request,omitempty"`
	Copy      int             `json:"copy,omitempty"`
	STUNError int             `json:"stun_error,omitempty"`
	Behaviour *Behaviour      `json:"behaviour,omitempty"`
	NATType   *NATType        `json:"nat_type,omitempty"`
	Status    *Status         `json:"status,omitempty"`
	Remote    *netip.AddrPort `json:"remote,omitempty"`
	External  *netip.AddrPort `json:"external,omitempty"`
	Test      *Tests          `json:"test,omitempty"`
	Done      int             `json:"done_s,omitempty"`
	Total     int             `json:"total_s,omitempty"`
}

// MarshalJSON returns an object with what the kind of event has.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Detail == nil {
		return json.Marshal(eventJSON{Time: milliseconds(e.Time)})
	}
	f := e.Detail.form()
	form := eventJSON{
		Time: milliseconds(e.Time), Kind: &f.EventKind, Purpose: known(f.Purpose), Request: known(f.Request),
		Copy: f.Copy, STUNError: f.STUNError, Behaviour: known(f.Behaviour), NATType: known(f.NATType),
		Status: known(f.Status), Remote: known(f.Remote), External: known(f.External),
		Test: known(f.Test), Done: f.Done, Total: f.Total,
	}
	switch e.Detail.(type) {
	case Concluded:
		form.Behaviour = &f.Behaviour
	case Finished:
		form.Purpose, form.NATType, form.Status = &f.Purpose, &f.NATType, &f.Status
	}
	return json.Marshal(form)
}

// UnmarshalJSON reads what MarshalJSON wrote, also for a newer library.
func (e *Event) UnmarshalJSON(text []byte) error {
	var form eventJSON
	if err := json.Unmarshal(text, &form); err != nil {
		return err
	}
	*e = Event{Time: time.Duration(form.Time)}
	if form.Kind == nil {
		return nil
	}
	e.Detail = eventForm{
		EventKind: *form.Kind, Purpose: orZero(form.Purpose), Request: orZero(form.Request), Copy: form.Copy,
		STUNError: form.STUNError, Behaviour: orZero(form.Behaviour), NATType: orZero(form.NATType),
		Status: orZero(form.Status), Remote: orZero(form.Remote), External: orZero(form.External),
		Test: orZero(form.Test), Done: form.Done, Total: form.Total,
	}.detail()
	return nil
}
