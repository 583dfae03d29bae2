// SPDX-License-Identifier: MIT

package natprobe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"example.com/natprobe"
)

// The shortest form, with the built-in public servers.
func Example() {
	result, err := natprobe.Check(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, seen as %s\n", result.NATType.Description(), result.External)
}

// Two servers of one's own, the mapping only, and two seconds for it.
func ExampleCheck() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	result, err := natprobe.Check(ctx,
		natprobe.WithServers("stun1.example.net", "stun2.example.net:3478"),
		natprobe.WithTests(natprobe.TestsMapping))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("too slow; known so far:", result.External)
	case errors.Is(err, natprobe.ErrNoResponse):
		fmt.Println("UDP is blocked: use a relay over TCP")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(result.Mapping, result.External)
	}
}

// What an error carries.
func ExampleError() {
	source := netip.MustParseAddrPort("192.0.2.1:5000")
	_, err := natprobe.Check(context.Background(), natprobe.WithSource(source))
	var e *natprobe.Error
	if errors.As(err, &e) {
		fmt.Println(e.Status, e.Detail, e.Errno)
	}
	if errors.Is(err, natprobe.ErrAddressNotAvailable) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		fmt.Println("that address is not one of this host's")
	}
}

// The external address of the port that the program will talk to its peers from.
func ExampleWithSocket() {
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	handle := func(data []byte, from netip.AddrPort) { fmt.Printf("%d bytes from %s\n", len(data), from) }

	result, err := natprobe.Check(context.Background(), natprobe.WithSocket(conn, handle))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("peers should send to", result.External)

	buffer := make([]byte, 65536)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		handle(buffer[:size], from)
	}
}

// Each request, answer and conclusion as it happens.
func ExampleProbe_Events() {
	probe, err := natprobe.New()
	if err != nil {
		log.Fatal(err)
	}
	defer probe.Close()
	events, outcome := probe.Events(context.Background())
	for event := range events {
		switch e := event.Detail.(type) {
		case natprobe.Sent:
			fmt.Println(event.Time, "request", e.Request, "for", e.Purpose, "to", e.Remote)
		case natprobe.Answered:
			fmt.Println(event.Time, e.Remote, "sees", e.External)
		case natprobe.Concluded:
			fmt.Println(event.Time, e.Purpose, "is", e.Behaviour)
		}
	}
	result, err := outcome()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.NATType)
}

// The library's log in the program's own, and the result as JSON.
func ExampleWithLogger() {
	result, err := natprobe.Check(context.Background(), natprobe.WithLogger(slog.Default()))
	if err != nil {
		slog.Error("no verdict", "error", err)
	}
	json.NewEncoder(os.Stdout).Encode(result)
}

// A host is checked again and again, with one Probe.
func ExampleProbe() {
	probe, err := natprobe.New(natprobe.WithTests(natprobe.TestsMapping))
	if err != nil {
		log.Fatal(err)
	}
	defer probe.Close()
	var last netip.AddrPort
	for range time.Tick(time.Minute) {
		result, err := probe.Check(context.Background())
		if err == nil && result.External.Addr() != last.Addr() {
			fmt.Println("the external address is now", result.External.Addr())
			last = result.External
		}
	}
}

// A result can be stored and read again.
func ExampleResult_MarshalJSON() {
	result := natprobe.Result{
		NATType:  natprobe.NATSymmetric,
		Mapping:  natprobe.BehaviourAddressDependent,
		Evidence: natprobe.EvidenceAnswered | natprobe.EvidenceMappingProven,
		External: netip.MustParseAddrPort("198.51.100.6:43141"),
		RTT:      40500 * time.Microsecond,
	}
	text, _ := json.MarshalIndent(result, "", "  ")
	fmt.Println(string(text))
	// Output:
	// {
	//   "status": "ok",
	//   "nat_type": "symmetric",
	//   "mapping": "address-dependent",
	//   "filtering": "unknown",
	//   "external_ip": "198.51.100.6",
	//   "external_port": 43141,
	//   "local_ip": null,
	//   "local_port": null,
	//   "server": null,
	//   "rtt_ms": 40.500,
	//   "elapsed_ms": 0.000,
	//   "packets_sent": 0,
	//   "packets_received": 0,
	//   "ports_seen": 0,
	//   "ports_kept": 0,
	//   "port_step": null,
	//   "external_ips": 0,
	//   "local_ips": 0,
	//   "local_class": "unknown",
	//   "evidence": [
	//     "answered",
	//     "mapping-proven"
	//   ],
	//   "detail": ""
	// }
}
