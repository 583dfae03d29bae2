// SPDX-License-Identifier: MIT

package natprobe

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prompt is how long something may take that is to happen at once, on a busy machine.
const prompt = 2 * time.Second

// forms are the two ways to make a check, and the one without the runtime's poller.
var forms = map[string]func(*Probe, context.Context) (Result, error){
	"Check":   (*Probe).Check,
	"Run":     (*Probe).Run,
	"Process": byProcess,
	"Unpolled": func(p *Probe, ctx context.Context) (Result, error) {
		p.usePoller = false
		return p.Check(ctx)
	},
}

// byProcess makes a check with an event loop of its own.
func byProcess(p *Probe, ctx context.Context) (Result, error) {
	if err := p.Start(); err != nil {
		return failed(err)
	}
	w := newWaiter(p.FD(), true)
	defer w.close()
	defer onDone(ctx, p.Cancel)()
	for {
		result, done, err := p.Process()
		if done {
			return result, err
		}
		w.wait()
	}
}

func eachForm(t *testing.T, test func(t *testing.T, check func(*Probe, context.Context) (Result, error))) {
	for name, check := range forms {
		check := check
		t.Run(name, func(t *testing.T) { test(t, check) })
	}
}

func newProbe(t testing.TB, options ...Option) *Probe {
	t.Helper()
	p, err := New(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func fullServer(t testing.TB) *stunServer {
	return startServer(t, &stunServer{}, "127.0.0.1", "127.0.0.2")
}

func silentServer(t testing.TB) *stunServer {
	return startServer(t, &stunServer{silent: true}, "127.0.0.1")
}

func TestOpenInternet(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
		r, err := check(newProbe(t, WithServers(server.name())), context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != OK || r.NATType != NATOpenInternet || r.Mapping != BehaviourNone ||
			r.Filtering != BehaviourEndpointIndependent || !r.Evidence.Has(EvidenceAnswered|EvidenceMappingProven) {
			t.Errorf("%+v", r)
		}
		if r.External != r.Local || r.External.Addr() != netip.MustParseAddr("127.0.0.1") ||
			r.Server.String() != server.name() {
			t.Errorf("external %v, local %v, server %v", r.External, r.Local, r.Server)
		}
		if r.RTT <= 0 || r.Elapsed < r.RTT || r.PacketsSent == 0 || r.PacketsReceived == 0 {
			t.Errorf("%+v", r)
		}
	})
}

func TestSymmetric(t *testing.T) {
	server := startServer(t, &stunServer{shift: 7, byIP: true}, "127.0.0.1", "127.0.0.2")
	r, err := Check(context.Background(), WithServers(server.name()), WithTests(TestsMapping))
	if err != nil || r.NATType != NATSymmetric || r.External.Port() != r.Local.Port()+7 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestIPv6(t *testing.T) {
	if conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback}); err != nil {
		t.Skip(err)
	} else {
		conn.Close()
	}
	server := startServer(t, &stunServer{}, "::1")
	r, err := Check(context.Background(), WithServers(server.name()), WithFamily(FamilyIPv6))
	if err != nil || r.External.Addr() != netip.MustParseAddr("::1") || r.Server.String() != server.name() {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestSameProbeAgain(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	for i := 0; i < 3; i++ {
		for name, check := range forms {
			if _, err := check(p, context.Background()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestSetIsAllOrNothing(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers("127.0.0.1:9"))
	if err := p.Set(WithBuiltinServers(), WithServers(server.name()), WithFamily(5)); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	if len(p.config.servers) != 1 || p.config.servers[0] != "127.0.0.1:9" {
		t.Fatal(p.config.servers)
	}
	if err := p.Set(WithBuiltinServers(), WithServers(server.name())); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestEventsAndLog(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
		var events []Event
		var lines []string
		p := newProbe(t, WithServers(server.name()),
			WithEvents(func(e Event) { events = append(events, e) }),
			WithLog(LogDebug, func(level LogLevel, text string) { lines = append(lines, level.String()+" "+text) }))
		r, err := check(p, context.Background())
		if err != nil {
			t.Fatal(err)
		}
		checkEvents(t, events, r)
		if len(lines) == 0 {
			t.Error("nothing was logged")
		}
	})
}

func checkEvents(t *testing.T, events []Event, r Result) {
	t.Helper()
	kinds := map[EventKind]int{}
	for i, e := range events {
		kinds[e.Kind]++
		if e.IsVerdict() != (i == len(events)-1) || e.Time > r.Elapsed+time.Millisecond ||
			i > 0 && e.Time < events[i-1].Time {
			t.Errorf("event %d of %d: %+v", i+1, len(events), e)
		}
		if e.Kind == EventAnswered && (e.External.Addr() != r.External.Addr() || !e.Remote.IsValid()) {
			t.Errorf("%+v", e)
		}
	}
	if kinds[EventSent] != int(r.PacketsSent) || kinds[EventAnswered] == 0 || kinds[EventConcluded] < 2 {
		t.Errorf("%v, %d sent", kinds, r.PacketsSent)
	}
	if last := events[len(events)-1]; last.NATType != r.NATType || last.Status != OK {
		t.Errorf("%+v", last)
	}
	if _, err := json.Marshal(events); err != nil {
		t.Error(err)
	}
}

func TestEventJSON(t *testing.T) {
	remote := netip.MustParseAddrPort("[2001:db8::1]:3478")
	for want, event := range map[string]Event{
		`{"time_ms":1.500,"kind":"sent","purpose":"mapping","test":"I","copy":1,"remote":"[2001:db8::1]:3478"}`: {
			Kind: EventSent, Purpose: PurposeMapping, Test: TestI, Copy: 1,
			Time: 1500 * time.Microsecond, Remote: remote},
		`{"time_ms":0.000,"kind":"concluded","purpose":"filtering","behaviour":"unknown"}`: {
			Kind: EventConcluded, Purpose: PurposeFiltering},
		`{"time_ms":0.000,"kind":"concluded","nat_type":"unknown","status":"cancelled"}`: {
			Kind: EventConcluded, Status: ErrCancelled},
	} {
		if got, err := json.Marshal(event); err != nil || string(got) != want {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestResultJSON(t *testing.T) {
	full := Result{
		NATType: NATSymmetric, Mapping: BehaviourAddressDependent, Filtering: BehaviourUnknown,
		Evidence: EvidenceAnswered | EvidenceMalformed, External: netip.MustParseAddrPort("192.0.2.1:7"),
		Local: netip.AddrPortFrom(netip.Addr{}, 9), Server: netip.MustParseAddrPort("[2001:db8::1]:3478"),
		RTT: 1234567 * time.Microsecond, Elapsed: time.Microsecond, PacketsSent: 1, PacketsReceived: 2, Detail: `"`,
	}
	want := `{"status":"ok","nat_type":"symmetric","mapping":"address-dependent","filtering":"unknown",` +
		`"external_ip":"192.0.2.1","external_port":7,"local_ip":null,"local_port":9,"server":"[2001:db8::1]:3478",` +
		`"rtt_ms":1234.567,"elapsed_ms":0.001,"packets_sent":1,"packets_received":2,` +
		`"evidence":["answered","malformed"],"detail":"\""}`
	for _, r := range []Result{full, {}, {Status: ErrNoResponse, Elapsed: time.Hour}} {
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

func TestResultJSONRefuses(t *testing.T) {
	for _, text := range []string{
		`[]`, `{"status":"fine"}`, `{"nat_type":"round"}`, `{"mapping":"x"}`, `{"evidence":["x"]}`, `{"evidence":1}`,
		`{"server":"x"}`, `{"external_ip":"x"}`, `{"rtt_ms":"x"}`, `{"local_port":70000}`, `{"status":"unknown"}`,
	} {
		r := Result{PacketsSent: 1} // must stay as it is
		if err := json.Unmarshal([]byte(text), &r); err == nil || r.PacketsSent != 1 {
			t.Errorf("%s: %v, %+v", text, err, r)
		}
	}
}

func TestNames(t *testing.T) {
	texts := []struct{ got, want string }{
		{NATPortRestrictedCone.String(), "port-restricted-cone"}, {NATType(99).String(), "unknown"},
		{NATFullCone.Description(), "Full-cone NAT"}, {BehaviourEndpointDependent.String(), "endpoint-dependent"},
		{Behaviour(-1).String(), "unknown"}, {(EvidenceAnswered | EvidenceLoss).String(), "answered,loss"},
		{Evidence(0).String(), ""}, {Evidence(1 << 31).String(), "unknown"}, {FamilyAny.String(), "any"},
		{FamilyIPv6.String(), "ipv6"}, {Family(5).String(), "unknown"}, {TestsMapping.String(), "mapping"},
		{TestsAll.String(), "all"}, {LogWarning.String(), "warning"}, {LogLevel(0).String(), "unknown"},
		{EventConcluded.String(), "concluded"}, {TestIII.String(), "III"}, {PurposeControl.String(), "control"},
		{ErrNoResponse.String(), "no-response"}, {ErrNoResponse.Description(), "No STUN server answered"},
		{Pending.String(), "pending"}, {OK.String(), "ok"}, {Code(-99).String(), "unknown"},
	}
	for _, text := range texts {
		if text.got != text.want {
			t.Errorf("got %q, want %q", text.got, text.want)
		}
	}
	if NATSymmetric.Advice() == "" || BehaviourNone.Description() == "" {
		t.Error("no text")
	}
}

// TestTextRoundTrip writes and reads every value that has a name.
func TestTextRoundTrip(t *testing.T) {
	values := map[string]any{}
	for v := NATUnknown; v <= NATNone; v++ {
		values["NAT "+v.String()] = v
	}
	for v := BehaviourUnknown; v <= BehaviourEndpointDependent; v++ {
		values["behaviour "+v.String()] = v
	}
	for v := EvidenceAnswered; v <= EvidenceTranslated; v <<= 1 {
		values["evidence "+v.String()] = v
	}
	for _, v := range append(allErrors(), OK, Pending) {
		values["code "+v.String()] = v
	}
	for v := int32(1); v <= 3; v++ {
		values["kind "+EventKind(v).String()] = EventKind(v)
		values["log level "+LogLevel(v).String()] = LogLevel(v)
		values["test "+Test(v).String()] = Test(v)
		values["purpose "+Purpose(v).String()] = Purpose(v)
	}
	for _, v := range []Family{FamilyAny, FamilyIPv4, FamilyIPv6} {
		values["family "+v.String()] = v
	}
	values["tests "+TestsMapping.String()], values["tests "+TestsAll.String()] = TestsMapping, TestsAll
	for name, value := range values {
		text, err := json.Marshal(value)
		back := reflect.New(reflect.TypeOf(value))
		if err != nil || json.Unmarshal(text, back.Interface()) != nil || back.Elem().Interface() != value {
			t.Errorf("%s: %s, %v, read as %v", name, text, err, back.Elem())
		}
	}
	if len(values) != 10+6+23+16+4*3+3+2 {
		t.Errorf("%d names", len(values))
	}
}

func TestVersion(t *testing.T) {
	if Version() != HeaderVersion || VersionNumber() != HeaderVersionNumber {
		t.Errorf("running %s, %#x; compiled against %s, %#x", Version(), VersionNumber(), HeaderVersion,
			HeaderVersionNumber)
	}
}

// The two calls without a Probe can only be given a source that is in use: nothing but loopback may be asked here.
func TestOneCall(t *testing.T) {
	conn := listen(t, "127.0.0.1", 0)
	port := uint16(conn.LocalAddr().(*net.UDPAddr).Port)
	r, err := CheckNAT("127.0.0.1", port)
	if !errors.Is(err, ErrAddressInUse) || !errors.Is(err, syscall.EADDRINUSE) || r.Status != ErrAddressInUse {
		t.Errorf("%+v, %v", r, err)
	}
	var lines []string
	err = CheckNATAndLog("127.0.0.1", port, func(level LogLevel, message string) {
		lines = append(lines, level.String()+" "+message)
	})
	if !errors.Is(err, ErrAddressInUse) || len(lines) != 1 || !strings.HasPrefix(lines[0], "error ") {
		t.Errorf("%q, %v", lines, err)
	}
	for _, ip := range []string{"x", "127.0.0.1\x00", "127.0.0.256"} {
		if r, err := CheckNAT(ip, 0); !errors.Is(err, ErrArgument) || r.Status != ErrArgument {
			t.Errorf("%q: %v", ip, err)
		}
		if err := CheckNATAndLog(ip, 0, func(LogLevel, string) {}); !errors.Is(err, ErrArgument) {
			t.Errorf("%q: %v", ip, err)
		}
	}
}

// TestOneCallLogsToStandardError looks at the standard error of a process of its own.
func TestOneCallLogsToStandardError(t *testing.T) {
	const variable = "NATPROBE_TEST_STANDARD_ERROR"
	if os.Getenv(variable) != "" {
		CheckNATAndLog("x", 0, nil)
		os.Exit(0)
	}
	command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), variable+"=1")
	var text strings.Builder
	command.Stderr = &text
	if err := command.Run(); err != nil || !strings.Contains(text.String(), "natprobe: error:") {
		t.Errorf("%v, %q", err, text.String())
	}
}
