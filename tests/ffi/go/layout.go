// SPDX-License-Identifier: MIT

package main

// #cgo pkg-config: libnatprobe
// #include <natprobe/natprobe.h>
import "C"

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"time"

	"example.com/natprobe"
)

// constants have the values that the binding gives them. Where it has no name for one, since that is of use in C only,
// the value is C's own.
var constants = map[string]int64{
	"NP_OK":                        int64(natprobe.StatusOK),
	"NP_PENDING":                   C.NP_PENDING,
	"NP_ERR_ARGUMENT":              int64(natprobe.StatusArgument),
	"NP_ERR_NO_MEMORY":             int64(natprobe.StatusNoMemory),
	"NP_ERR_SYSTEM":                int64(natprobe.StatusSystem),
	"NP_ERR_BUSY":                  int64(natprobe.StatusBusy),
	"NP_ERR_LIMIT":                 int64(natprobe.StatusLimit),
	"NP_ERR_ADDRESS_IN_USE":        int64(natprobe.StatusAddressInUse),
	"NP_ERR_ADDRESS_NOT_AVAILABLE": int64(natprobe.StatusAddressNotAvailable),
	"NP_ERR_RESOLVE":               int64(natprobe.StatusResolve),
	"NP_ERR_NETWORK_UNREACHABLE":   int64(natprobe.StatusNetworkUnreachable),
	"NP_ERR_NO_RESPONSE":           int64(natprobe.StatusNoResponse),
	"NP_ERR_ADDRESS_CHANGED":       int64(natprobe.StatusAddressChanged),
	"NP_ERR_INCONCLUSIVE":          int64(natprobe.StatusInconclusive),
	"NP_ERR_TIMEOUT":               int64(natprobe.StatusTimeout),
	"NP_ERR_CANCELLED":             int64(natprobe.StatusCancelled),
	"NP_ERR_BAD_RESPONSE":          int64(natprobe.StatusBadResponse),

	"NP_NAT_UNKNOWN":                int64(natprobe.NATUnknown),
	"NP_NAT_OPEN_INTERNET":          int64(natprobe.NATOpenInternet),
	"NP_NAT_FULL_CONE":              int64(natprobe.NATFullCone),
	"NP_NAT_RESTRICTED_CONE":        int64(natprobe.NATRestrictedCone),
	"NP_NAT_PORT_RESTRICTED_CONE":   int64(natprobe.NATPortRestrictedCone),
	"NP_NAT_SYMMETRIC":              int64(natprobe.NATSymmetric),
	"NP_NAT_SYMMETRIC_UDP_FIREWALL": int64(natprobe.NATSymmetricUDPFirewall),
	"NP_NAT_UDP_BLOCKED":            int64(natprobe.NATUDPBlocked),
	"NP_NAT_CONE":                   int64(natprobe.NATCone),
	"NP_NAT_NO_NAT":                 int64(natprobe.NATNoNAT),

	"NP_BEHAVIOUR_UNKNOWN":                    int64(natprobe.BehaviourUnknown),
	"NP_BEHAVIOUR_NONE":                       int64(natprobe.BehaviourNone),
	"NP_BEHAVIOUR_ENDPOINT_INDEPENDENT":       int64(natprobe.BehaviourEndpointIndependent),
	"NP_BEHAVIOUR_ADDRESS_DEPENDENT":          int64(natprobe.BehaviourAddressDependent),
	"NP_BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT": int64(natprobe.BehaviourAddressAndPortDependent),
	"NP_BEHAVIOUR_ENDPOINT_DEPENDENT":         int64(natprobe.BehaviourEndpointDependent),

	"NP_EVIDENCE_ANSWERED":          int64(natprobe.EvidenceAnswered),
	"NP_EVIDENCE_SECOND_SERVER":     int64(natprobe.EvidenceSecondServer),
	"NP_EVIDENCE_ALTERNATE":         int64(natprobe.EvidenceAlternate),
	"NP_EVIDENCE_ALTERNATE_ALIVE":   int64(natprobe.EvidenceAlternateAlive),
	"NP_EVIDENCE_ALTERNATE_REFUSED": int64(natprobe.EvidenceAlternateRefused),
	"NP_EVIDENCE_MAPPING_PROVEN":    int64(natprobe.EvidenceMappingProven),
	"NP_EVIDENCE_TEST_II_ANSWERED":  int64(natprobe.EvidenceTestIIAnswered),
	"NP_EVIDENCE_TEST_III_ANSWERED": int64(natprobe.EvidenceTestIIIAnswered),
	"NP_EVIDENCE_CONTROL_ANSWERED":  int64(natprobe.EvidenceControlAnswered),
	"NP_EVIDENCE_FILTERING_PROVEN":  int64(natprobe.EvidenceFilteringProven),
	"NP_EVIDENCE_CHANGE_IGNORED":    int64(natprobe.EvidenceChangeIgnored),
	"NP_EVIDENCE_CHANGE_PARTIAL":    int64(natprobe.EvidenceChangePartial),
	"NP_EVIDENCE_CHANGE_REJECTED":   int64(natprobe.EvidenceChangeRejected),
	"NP_EVIDENCE_CONTROL_SILENT":    int64(natprobe.EvidenceControlSilent),
	"NP_EVIDENCE_LOSS":              int64(natprobe.EvidenceLoss),
	"NP_EVIDENCE_CLASSIC":           int64(natprobe.EvidenceClassic),
	"NP_EVIDENCE_ALG":               int64(natprobe.EvidenceALG),
	"NP_EVIDENCE_RESTARTED":         int64(natprobe.EvidenceRestarted),
	"NP_EVIDENCE_CONTRADICTION":     int64(natprobe.EvidenceContradiction),
	"NP_EVIDENCE_MALFORMED":         int64(natprobe.EvidenceMalformed),
	"NP_EVIDENCE_PROXIED":           int64(natprobe.EvidenceProxied),
	"NP_EVIDENCE_OUTVOTED":          int64(natprobe.EvidenceOutvoted),
	"NP_EVIDENCE_TRANSLATED":        int64(natprobe.EvidenceTranslated),

	"NP_TESTS_MAPPING":   int64(natprobe.TestsMapping),
	"NP_TESTS_FILTERING": int64(natprobe.TestsFiltering),
	"NP_TESTS_DEFAULT":   int64(natprobe.TestsDefault),
	"NP_TESTS_PORT":      int64(natprobe.TestsPort),
	"NP_TESTS_REFUSED":   int64(natprobe.TestsRefused),
	"NP_TESTS_HAIRPIN":   int64(natprobe.TestsHairpin),
	"NP_TESTS_GATEWAY":   int64(natprobe.TestsGateway),
	"NP_TESTS_LIFETIME":  int64(natprobe.TestsLifetime),
	"NP_TESTS_OPTIONAL":  int64(natprobe.TestsOptional),

	"NP_FAMILY_ANY":  int64(natprobe.FamilyAny),
	"NP_FAMILY_IPV4": int64(natprobe.FamilyIPv4),
	"NP_FAMILY_IPV6": int64(natprobe.FamilyIPv6),

	"NP_ADDRESS_UNKNOWN":            int64(natprobe.AddressUnknown),
	"NP_ADDRESS_GLOBAL":             int64(natprobe.AddressGlobal),
	"NP_ADDRESS_PRIVATE":            int64(natprobe.AddressPrivate),
	"NP_ADDRESS_SHARED":             int64(natprobe.AddressShared),
	"NP_ADDRESS_SERVICE_CONTINUITY": int64(natprobe.AddressServiceContinuity),
	"NP_ADDRESS_BENCHMARK":          int64(natprobe.AddressBenchmark),
	"NP_ADDRESS_LINK_LOCAL":         int64(natprobe.AddressLinkLocal),
	"NP_ADDRESS_UNIQUE_LOCAL":       int64(natprobe.AddressUniqueLocal),
	"NP_ADDRESS_LOOPBACK":           int64(natprobe.AddressLoopback),

	"NP_LOG_ERROR":   C.NP_LOG_ERROR,
	"NP_LOG_WARNING": C.NP_LOG_WARNING,
	"NP_LOG_INFO":    C.NP_LOG_INFO,
	"NP_LOG_DEBUG":   C.NP_LOG_DEBUG,

	"NP_EVENT_SENT":      int64(natprobe.EventSent),
	"NP_EVENT_ANSWERED":  int64(natprobe.EventAnswered),
	"NP_EVENT_CONCLUDED": int64(natprobe.EventConcluded),
	"NP_EVENT_PROGRESS":  int64(natprobe.EventProgress),

	"NP_REQUEST_I":   int64(natprobe.RequestI),
	"NP_REQUEST_II":  int64(natprobe.RequestII),
	"NP_REQUEST_III": int64(natprobe.RequestIII),

	"NP_PURPOSE_CHECK":     int64(natprobe.PurposeCheck),
	"NP_PURPOSE_MAPPING":   int64(natprobe.PurposeMapping),
	"NP_PURPOSE_FILTERING": int64(natprobe.PurposeFiltering),
	"NP_PURPOSE_CONTROL":   int64(natprobe.PurposeControl),
	"NP_PURPOSE_OPTIONAL":  int64(natprobe.PurposeOptional),

	"NP_TRISTATE_UNKNOWN": int64(natprobe.TristateUnknown),
	"NP_TRISTATE_NO":      int64(natprobe.TristateNo),
	"NP_TRISTATE_YES":     int64(natprobe.TristateYes),

	"NP_OUTLOOK_UNKNOWN":          int64(natprobe.OutlookUnknown),
	"NP_OUTLOOK_DIRECT":           int64(natprobe.OutlookDirect),
	"NP_OUTLOOK_PUNCH":            int64(natprobe.OutlookPunch),
	"NP_OUTLOOK_PUNCH_LEARN":      int64(natprobe.OutlookPunchLearn),
	"NP_OUTLOOK_NEEDS_PREDICTION": int64(natprobe.OutlookNeedsPrediction),
	"NP_OUTLOOK_RELAY":            int64(natprobe.OutlookRelay),
	"NP_OUTLOOK_SAME_NAT":         int64(natprobe.OutlookSameNAT),

	"NP_FIRST_ANY":    int64(natprobe.FirstAny),
	"NP_FIRST_OURS":   int64(natprobe.FirstOurs),
	"NP_FIRST_THEIRS": int64(natprobe.FirstTheirs),
	"NP_FIRST_BOTH":   int64(natprobe.FirstBoth),

	"NP_ASSUMES_ONE_IP":           int64(natprobe.AssumesOneIP),
	"NP_ASSUMES_FILTERING":        int64(natprobe.AssumesFiltering),
	"NP_ASSUMES_FRESH":            int64(natprobe.AssumesFresh),
	"NP_ASSUMES_LOW_TTL":          int64(natprobe.AssumesLowTTL),
	"NP_ASSUMES_ANSWER_TO_SOURCE": int64(natprobe.AssumesAnswerToSource),

	"NP_RULE_UNKNOWN":          int64(natprobe.RuleUnknown),
	"NP_RULE_UDP_BLOCKED":      int64(natprobe.RuleUDPBlocked),
	"NP_RULE_NO_COMMON_FAMILY": int64(natprobe.RuleNoCommonFamily),
	"NP_RULE_SAME_NAT":         int64(natprobe.RuleSameNAT),
	"NP_RULE_OPEN":             int64(natprobe.RuleOpen),
	"NP_RULE_ONE_OPEN":         int64(natprobe.RuleOneOpen),
	"NP_RULE_PORTS_KNOWN":      int64(natprobe.RulePortsKnown),
	"NP_RULE_PORT_LEARNT":      int64(natprobe.RulePortLearnt),
	"NP_RULE_PORT_UNKNOWN":     int64(natprobe.RulePortUnknown),
	"NP_RULE_ADDRESS_UNKNOWN":  int64(natprobe.RuleAddressUnknown),
	"NP_RULE_BOTH_DEPENDENT":   int64(natprobe.RuleBothDependent),

	"NP_WATCH_REASON_NONE":        int64(natprobe.WatchReasonNone),
	"NP_WATCH_REASON_START":       int64(natprobe.WatchReasonStart),
	"NP_WATCH_REASON_NETWORK":     int64(natprobe.WatchReasonNetwork),
	"NP_WATCH_REASON_RESUME":      int64(natprobe.WatchReasonResume),
	"NP_WATCH_REASON_FAILURE":     int64(natprobe.WatchReasonFailure),
	"NP_WATCH_REASON_RETRY":       int64(natprobe.WatchReasonRetry),
	"NP_WATCH_REASON_FILTERING":   int64(natprobe.WatchReasonFiltering),
	"NP_WATCH_REASON_INTERVAL":    int64(natprobe.WatchReasonInterval),
	"NP_CHANGED_TYPE":             int64(natprobe.ChangedType),
	"NP_CHANGED_MAPPING":          int64(natprobe.ChangedMapping),
	"NP_CHANGED_FILTERING":        int64(natprobe.ChangedFiltering),
	"NP_CHANGED_ADDRESS":          int64(natprobe.ChangedAddress),
	"NP_DEFAULT_WATCH_INTERVAL_S": int64(natprobe.DefaultWatchInterval.Seconds()),

	"NP_ERR_NOT_OPEN":       int64(natprobe.StatusNotOpen),
	"NP_CONDUCT_UNKNOWN":    C.NP_CONDUCT_UNKNOWN,
	"NP_CONDUCT_HONOURED":   C.NP_CONDUCT_HONOURED,
	"NP_CONDUCT_PARTIAL":    C.NP_CONDUCT_PARTIAL,
	"NP_CONDUCT_IGNORED":    C.NP_CONDUCT_IGNORED,
	"NP_CONDUCT_REJECTED":   C.NP_CONDUCT_REJECTED,
	"NP_CONDUCT_SILENT":     C.NP_CONDUCT_SILENT,
	"NP_MAX_SURVEY_SERVERS": C.NP_MAX_SURVEY_SERVERS,
	"NP_SERVER_TEXT_SIZE":   C.NP_SERVER_TEXT_SIZE,

	"NP_DEFAULT_SOURCE_PORT":         C.NP_DEFAULT_SOURCE_PORT,
	"NP_DEFAULT_TIMEOUT_MS":          natprobe.DefaultTimeout.Milliseconds(),
	"NP_DEFAULT_RESPONSE_TIMEOUT_MS": natprobe.DefaultResponseTimeout.Milliseconds(),
	"NP_DEFAULT_LIFETIME_LIMIT_S":    int64(natprobe.DefaultLifetimeLimit / time.Second),
	"NP_MAX_SERVERS":                 natprobe.MaxServers,
	"NP_IP_TEXT_SIZE":                C.NP_IP_TEXT_SIZE,
	"NP_PROFILE_TEXT_SIZE":           C.NP_PROFILE_TEXT_SIZE,
}

type structLayout struct {
	Size    uintptr               `json:"size"`
	Members map[string][2]uintptr `json:"members"`
}

// layoutOf is that of a struct as cgo, and with it the binding, sees it.
func layoutOf(value any) structLayout {
	kind := reflect.TypeOf(value)
	layout := structLayout{kind.Size(), map[string][2]uintptr{}}
	for i := 0; i < kind.NumField(); i++ {
		if member := kind.Field(i); member.Name != "_" { // which would be padding
			layout.Members[member.Name] = [2]uintptr{member.Offset, member.Type.Size()}
		}
	}
	return layout
}

func printLayout() int {
	all := map[string]any{
		"constants": constants,
		"structs": map[string]structLayout{
			"np_result":         layoutOf(C.np_result{}),
			"np_event":          layoutOf(C.np_event{}),
			"np_profile":        layoutOf(C.np_profile{}),
			"np_outlook_result": layoutOf(C.np_outlook_result{}),
			"np_watch_status":   layoutOf(C.np_watch_status{}),
		},
	}
	if err := json.NewEncoder(os.Stdout).Encode(all); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		return exitBrokenPromise
	}
	return exitVerdict
}
