// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const coneLine = "np1 m=ei f=ad fp=1 v=4 x=203.0.113.7:54320 ips=1 pk=1/3 ps=-2 trap=0 t=1795651200"

var measured = time.Unix(1795651200, 0)

func parsed(t *testing.T, line string) Profile {
	t.Helper()
	profile, err := ParseProfile(line)
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

func TestProfileThereAndBack(t *testing.T) {
	profile := parsed(t, coneLine)
	want := Profile{
		Mapping: BehaviourEndpointIndependent, Filtering: BehaviourAddressDependent, FilteringProven: true, Family: 4,
		External: netip.MustParseAddrPort("203.0.113.7:54320"), RefusedTakesPort: TristateNo, ExternalIPs: 1,
		PortsSeen: 3, PortsKept: 1, PortStep: -2, Measured: measured,
	}
	if profile != want || profile.String() != coneLine {
		t.Errorf("%+v, %s", profile, profile)
	}
	profile.External = netip.AddrPort{}
	if strings.Contains(profile.String(), "x=") {
		t.Error("the address is told")
	}
	text, err := json.Marshal(want)
	var again Profile
	if err != nil || json.Unmarshal(text, &again) != nil || again != want {
		t.Errorf("%s, %v", text, err)
	}
}

func TestProfileOfResult(t *testing.T) {
	result := Result{
		Mapping: BehaviourEndpointIndependent, Filtering: BehaviourAddressDependent, Evidence: EvidenceFilteringProven,
		External: netip.MustParseAddrPort("203.0.113.7:54320"), ExternalIPs: 1, PortsSeen: 3, PortsKept: 1, PortStep: -2,
	}
	if line := ProfileOf(result, measured).String(); line != strings.Replace(coneLine, " trap=0", "", 1) {
		t.Error(line)
	}
	if !ProfileOf(Result{NATType: NATUDPBlocked}, time.Time{}).UDPBlocked {
		t.Error("it is not blocked")
	}
}

func TestProfileRefused(t *testing.T) {
	for line, reason := range map[string]string{"": "begin with", "np2": "version", "np1 m=x": "m is", "np1\x00m=ei": "printable"} {
		if _, err := ParseProfile(line); !errors.Is(err, ErrArgument) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestJudge(t *testing.T) {
	cone, symmetric := parsed(t, coneLine), parsed(t, "np1 m=apd f=apd x=198.51.100.2 ips=1 t=1795651200")
	want := Outlook{
		Outlook: OutlookPunchLearn, Best: OutlookPunchLearn, Worst: OutlookPunchLearn, First: FirstBoth,
		Assumes: AssumesOneIP | AssumesAnswerToSource, Rule: RulePortLearnt,
	}
	if got := Judge(cone, symmetric, measured); got != want {
		t.Errorf("%+v", got)
	}
	if connects, isKnown := want.Connects(); !connects || !isKnown {
		t.Error("they do not connect")
	}
	if _, isKnown := Judge(cone, cone, measured).Connects(); isKnown {
		t.Error("behind the same NAT it is known")
	}
	if connects, isKnown := Judge(cone, parsed(t, "np1 b=1"), measured).Connects(); connects || !isKnown {
		t.Error("they connect")
	}
	text, err := json.Marshal(want)
	if err != nil || !strings.Contains(string(text), `"outlook":"punch-learn","best":"punch-learn"`) ||
		!strings.Contains(string(text), `"assumes":["one-ip","answer-to-source"]`) {
		t.Errorf("%s, %v", text, err)
	}
	if !Judge(cone, symmetric, measured.Add(901*time.Second)).Assumes.Has(AssumesFresh) {
		t.Error("it is fresh")
	}
	if want.Outlook.Description() == "" || len(want.Assumes.Descriptions()) != 2 || NATFullCone.Grade() != "Open" {
		t.Error("a text is missing")
	}
}
