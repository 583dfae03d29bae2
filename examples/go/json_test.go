// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEventJSON(t *testing.T) {
	remote := netip.MustParseAddrPort("[2001:db8::1]:3478")
	for want, event := range map[string]Event{
		`{"time_ms":1.500,"kind":"sent","purpose":"mapping","request":"I","copy":1,"remote":"[2001:db8::1]:3478"}`: {
			1500 * time.Microsecond, Sent{PurposeMapping, RequestI, 1, remote}},
		`{"time_ms":0.000,"kind":"answered","purpose":"control","request":"III","stun_error":400,` +
			`"remote":"[2001:db8::1]:3478","external":"192.0.2.1:7"}`: {
			0, Answered{PurposeControl, RequestIII, 400, remote, netip.MustParseAddrPort("192.0.2.1:7")}},
		`{"time_ms":0.000,"kind":"concluded","purpose":"filtering","behaviour":"unknown"}`: {
			0, Concluded{Purpose: PurposeFiltering}},
		`{"time_ms":0.000,"kind":"concluded","purpose":"check","nat_type":"unknown","status":"cancelled"}`: {
			0, Finished{Status: StatusCancelled}},
		`{"time_ms":0.000,"kind":"progress","purpose":"optional","test":"lifetime","done_s":12,"total_s":400}`: {
			0, Progress{TestsLifetime, 12, 400}},
		`{"time_ms":0.000,"kind":"EventKind(9)","copy":3,"status":"busy"}`: {
			0, OtherEvent{EventKind: 9, Copy: 3, Status: StatusBusy}},
		`{"time_ms":0.000001}`: {Time: 1},
	} {
		got, err := json.Marshal(event)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
		var back Event
		if err := json.Unmarshal(got, &back); err != nil || back != event {
			t.Errorf("%s: %+v, %v", got, back, err)
		}
	}
}

// TestEventRoundTrip fills every field of every kind with whatever fits.
func TestEventRoundTrip(t *testing.T) {
	source := rand.New(rand.NewSource(1))
	for _, kind := range []EventDetail{Sent{}, Answered{}, Concluded{}, Progress{}, Finished{}, OtherEvent{}} {
		for i := 0; i < 200; i++ {
			detail := reflect.New(reflect.TypeOf(kind)).Elem()
			for f := 0; f < detail.NumField(); f++ {
				fill(source, detail.Field(f))
			}
			event := Event{time.Duration(source.Intn(1e10)), detail.Interface().(EventDetail)}
			switch d := event.Detail.(type) {
			case Concluded:
				d.Purpose = d.Purpose&1 + PurposeMapping
				event.Detail = d
			case Progress:
				d.Test &= TestsDefault | TestsOptional
				event.Detail = d
			case OtherEvent:
				d.Test &= TestsDefault | TestsOptional
				d.EventKind = d.EventKind&0xffff + 100
				event.Detail = d
			}
			text, err := json.Marshal(event)
			var back Event
			if err != nil || json.Unmarshal(text, &back) != nil || back != event {
				t.Fatalf("%s, %v\n%+v, read as\n%+v", text, err, event, back)
			}
		}
	}
}

func fill(source *rand.Rand, field reflect.Value) {
	if field.Type() == reflect.TypeFor[netip.AddrPort]() {
		if source.Intn(4) > 0 {
			var ip [16]byte
			source.Read(ip[:])
			field.Set(reflect.ValueOf(netip.AddrPortFrom(netip.AddrFrom16(ip), uint16(source.Intn(1<<16)))))
		}
		return
	}
	field.SetInt([]int64{0, 1, 2, 3, 42, 7777, math.MaxInt32, -1, -99}[source.Intn(9)])
}

func TestEventJSONRefuses(t *testing.T) {
	for _, text := range []string{`[]`, `{"kind":""}`, `{"remote":"x"}`, `{"copy":"x"}`, `{"time_ms":"x"}`} {
		e := Event{Time: 1}
		if err := json.Unmarshal([]byte(text), &e); err == nil || e != (Event{Time: 1}) {
			t.Errorf("%s: %v, %+v", text, err, e)
		}
	}
}

func TestResultJSON(t *testing.T) {
	full := Result{
		NATType: NATSymmetric, Mapping: BehaviourAddressDependent, Filtering: BehaviourUnknown,
		Evidence: EvidenceAnswered | EvidenceMalformed, External: netip.MustParseAddrPort("192.0.2.1:7"),
		Local: netip.AddrPortFrom(netip.Addr{}, 9), Server: netip.MustParseAddrPort("[2001:db8::1]:3478"),
		RTT: 1234567 * time.Microsecond, Elapsed: time.Microsecond, PacketsSent: 1, PacketsReceived: 2, Detail: `"`,
		PortsSeen: 5, PortsKept: 1, PortStep: -2, ExternalIPs: 3, LocalIPs: 4, LocalClass: AddressServiceContinuity,
		PortOpen: TristateYes, RefusedTakesPort: TristateNo, Hairpin: TristateYes, HairpinExternal: TristateNo,
		AnotherNAT: TristateYes, Gateway: netip.MustParseAddr("192.168.0.1"),
		GatewayExternal: netip.MustParseAddr("100.64.0.7"), LifetimeRecreated: TristateNo,
		LifetimeMin: 30 * time.Second, LifetimeMax: time.Minute,
		UnansweredMin: 15 * time.Second, UnansweredMax: 31 * time.Second,
	}
	want := `{"status":"ok","nat_type":"symmetric","mapping":"address-dependent","filtering":"unknown",` +
		`"external_ip":"192.0.2.1","external_port":7,"local_ip":null,"local_port":9,"server":"[2001:db8::1]:3478",` +
		`"rtt_ms":1234.567,"elapsed_ms":0.001,"packets_sent":1,"packets_received":2,"ports_seen":5,"ports_kept":1,` +
		`"port_step":-2,"external_ips":3,"local_ips":4,"local_class":"service-continuity",` +
		`"port_open":"yes","refused_takes_port":"no","hairpin":"yes","hairpin_external":"no","another_nat":"yes",` +
		`"gateway_ip":"192.168.0.1","gateway_external_ip":"100.64.0.7","lifetime_recreated":"no",` +
		`"lifetime_min_s":30,"lifetime_max_s":60,"unanswered_min_s":15,"unanswered_max_s":31,` +
		`"evidence":["answered","malformed"],"detail":"\""}`
	for _, r := range []Result{full, {}, {Status: StatusNoResponse, Elapsed: time.Hour},
		{Status: -77, NATType: 42, Mapping: 99, Filtering: -1, Evidence: 1<<31 | 1, LocalClass: 77}} {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if r == full && string(text) != want {
			t.Errorf("got %s\nwant %s", text, want)
		}
		var back Result
		if err := json.Unmarshal(text, &back); err != nil || back != r {
			t.Errorf("%s: %+v, %v", text, back, err)
		}
	}
}

// TestNewerResult reads what a newer library may have written, and writes it again.
func TestNewerResult(t *testing.T) {
	text := `{"status":"too-quiet","nat_type":"double-nat","mapping":"by-the-hour","filtering":"by-the-hour",` +
		`"external_ip":null,"external_port":null,"local_ip":null,"local_port":null,"server":null,"rtt_ms":null,` +
		`"elapsed_ms":0.000,"packets_sent":0,"packets_received":0,"ports_seen":0,"ports_kept":0,` +
		`"port_step":null,"external_ips":0,"local_ips":0,"local_class":"martian",` +
		`"evidence":["answered","moonlight"],"detail":""}`
	var r Result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if r.Status == StatusOK || r.Status.Err() == nil || r.Mapping != r.Filtering || r.NATType == NATUnknown ||
		!r.Evidence.Has(EvidenceAnswered) || r.NATType.String() != "double-nat" || r.NATType.Description() == "" {
		t.Errorf("%+v", r)
	}
	back, err := json.Marshal(r)
	if err != nil || string(back) != text {
		t.Errorf("%s, %v", back, err)
	}
	numbers := `{"status":-77,"nat_type":42,"mapping":7,"evidence":2147483649,"sky":"blue"}`
	if err := json.Unmarshal([]byte(numbers), &r); err != nil || r.Status != -77 || r.NATType != 42 ||
		r.Mapping != 7 || r.Evidence != 1<<31|1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestResultJSONRefuses(t *testing.T) {
	for _, text := range []string{
		`[]`, `{"status":""}`, `{"nat_type":"a b"}`, `{"mapping":"X"}`, `{"evidence":["x y"]}`, `{"evidence":"x"}`,
		`{"evidence":[1]}`, `{"evidence":-1}`, `{"nat_type":1.5}`, `{"nat_type":99999999999}`, `{"nat_type":[]}`,
		`{"server":"x"}`, `{"external_ip":"x"}`, `{"rtt_ms":"x"}`, `{"local_port":70000}`,
	} {
		r := Result{PacketsSent: 1} // must stay as it is
		if err := json.Unmarshal([]byte(text), &r); err == nil || r != (Result{PacketsSent: 1}) {
			t.Errorf("%s: %v, %+v", text, err, r)
		}
	}
	r := Result{PacketsSent: 1}
	if err := json.Unmarshal([]byte(`{"nat_type":null,"evidence":null,"status":null}`), &r); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for _, text := range []struct{ got, want string }{
		{NATPortRestrictedCone.String(), "port-restricted-cone"}, {NATType(42).String(), "NATType(42)"},
		{NATUnknown.String(), "unknown"}, {NATFullCone.Description(), "Full-cone NAT"},
		{BehaviourUnknown.String(), "unknown"}, {BehaviourEndpointDependent.String(), "endpoint-dependent"},
		{Behaviour(-1).String(), "Behaviour(-1)"}, {(EvidenceAnswered | EvidenceLoss).String(), "answered,loss"},
		{Evidence(0).String(), ""}, {Evidence(1 << 31).String(), "Evidence(0x80000000)"},
		{Evidence(1 << 40).String(), "Evidence(0x10000000000)"}, {FamilyAny.String(), "any"},
		{FamilyIPv6.String(), "ipv6"}, {Family(5).String(), "Family(5)"}, {TestsMapping.String(), "mapping"},
		{TestsDefault.String(), "mapping,filtering"}, {Tests(0).String(), "Tests(0x0)"},
		{Tests(0x101).String(), "mapping,Tests(0x100)"}, {EventConcluded.String(), "concluded"},
		{EventKind(0).String(), "EventKind(0)"}, {RequestIII.String(), "III"}, {Request(0).String(), "Request(0)"},
		{PurposeControl.String(), "control"}, {PurposeCheck.String(), "check"}, {Purpose(9).String(), "Purpose(9)"},
		{StatusNoResponse.String(), "no-response"}, {StatusNoResponse.Description(), "No STUN server answered"},
		{StatusOK.String(), "ok"}, {Status(-99).String(), "Status(-99)"},
	} {
		if text.got != text.want {
			t.Errorf("got %q, want %q", text.got, text.want)
		}
	}
	texts := (EvidenceAnswered | EvidenceLoss | 1<<31 | 1<<40).Descriptions()
	if len(texts) != 4 || texts[0] == texts[1] || texts[2] != texts[3] || slices.Contains(texts, "") {
		t.Errorf("%q", texts)
	}
	if NATSymmetric.Advice() == "" || BehaviourNone.Description() == "" {
		t.Error("no text")
	}
}

// everyValue has every value with a name, by that.
func everyValue() map[string]any {
	values := map[string]any{}
	for v := NATUnknown; v <= NATNoNAT; v++ {
		values["NAT "+v.String()] = v
	}
	for v := BehaviourUnknown; v <= BehaviourEndpointDependent; v++ {
		values["behaviour "+v.String()] = v
	}
	for v := EvidenceAnswered; v <= EvidenceTranslated; v <<= 1 {
		values["evidence "+v.String()] = v
	}
	for _, v := range append(allStatuses(), StatusOK) {
		values["status "+v.String()] = v
	}
	for v := int32(1); v <= 3; v++ {
		values["kind "+EventKind(v).String()] = EventKind(v)
		values["request "+Request(v).String()] = Request(v)
	}
	for v := PurposeCheck; v <= PurposeControl; v++ {
		values["purpose "+v.String()] = v
	}
	for _, v := range []Family{FamilyAny, FamilyIPv4, FamilyIPv6} {
		values["family "+v.String()] = v
	}
	for _, v := range []Tests{TestsMapping, TestsFiltering, TestsDefault} {
		values["tests "+v.String()] = v
	}
	return values
}

const valuesInAll = 10 + 6 + 23 + 17 + 3 + 3 + 4 + 3 + 3

// TestTextRoundTrip writes and reads every value that has a name.
func TestTextRoundTrip(t *testing.T) {
	values := everyValue()
	for name, value := range values {
		text, err := json.Marshal(value)
		back := reflect.New(reflect.TypeOf(value))
		if err != nil || json.Unmarshal(text, back.Interface()) != nil || back.Elem().Interface() != value ||
			strings.Contains(name, "(") {
			t.Errorf("%s: %s, %v, read as %v", name, text, err, back.Elem())
		}
	}
	if len(values) != valuesInAll {
		t.Errorf("%d names", len(values))
	}
}

// TestForeignNames reads, as texts, what a newer library might say.
func TestForeignNames(t *testing.T) {
	for _, value := range []interface {
		encoding.TextUnmarshaler
		encoding.TextMarshaler
		fmt.Stringer
	}{new(Status), new(NATType), new(Behaviour), new(EventKind), new(Purpose)} {
		kind := reflect.TypeOf(value).Elem().Name()
		for _, text := range []string{"quite-new", "newer-2", kind + "(42)", kind + "(-77)"} {
			err := value.UnmarshalText([]byte(text))
			back, _ := value.MarshalText()
			if err != nil || string(back) != text || value.String() != text {
				t.Errorf("%s %q: %v, %s", kind, text, err, back)
			}
		}
		for _, text := range []string{
			"", "Quite-New", "new ", "\x00", "no such name", "Other(42)", kind + "(42", kind + "()", kind + "(4x)",
			kind + "(99999999999)", strings.Repeat("a", longestName+1),
		} {
			before := value.String()
			if err := value.UnmarshalText([]byte(text)); err == nil || value.String() != before {
				t.Errorf("%s: %q is %v", kind, text, value)
			}
		}
	}
	var request Request
	if request.UnmarshalText([]byte("IV")) != nil || request.String() != "IV" ||
		request.UnmarshalText([]byte("iv")) == nil {
		t.Error(request)
	}
	kept := NATSymmetric
	if json.Unmarshal([]byte("null"), &kept) != nil || kept != NATSymmetric {
		t.Error(kept)
	}
	var one, other NATType
	text := []byte("same-name")
	if one.UnmarshalText(text) != nil || other.UnmarshalText(text) != nil || one != other {
		t.Error(one, other)
	}
	var tests Tests
	var family Family
	for _, text := range []string{"", "quite-new", "mapping,", "mapping, filtering", "Tests(1)", "Family(4)", "IPv4"} {
		if tests.UnmarshalText([]byte(text)) == nil || family.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is a setting", text)
		}
	}
}

// TestForeignNamesAreBounded has a register full of names, which refuses one more and keeps those that it has.
func TestForeignNamesAreBounded(t *testing.T) {
	var r register
	for round := 0; round < 2; round++ {
		for i := 0; i < 3; i++ {
			if index, ok := r.index(fmt.Sprint("name-", i), 3); !ok || index != i {
				t.Errorf("%d, %v", index, ok)
			}
		}
		if _, ok := r.index("one-more", 3); ok {
			t.Error("one more")
		}
	}
	var evidence Evidence
	for i := 0; ; i++ {
		text := fmt.Sprintf(`["answered","bounded-%d"]`, i)
		if err := json.Unmarshal([]byte(text), &evidence); err != nil {
			break
		}
		if back, _ := json.Marshal(evidence); string(back) != text || i > foreignBits {
			t.Fatalf("%s, read as %s", text, back)
		}
	}
	foreignEvidence = register{}
}
