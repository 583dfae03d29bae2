// SPDX-License-Identifier: MIT

// The driver uses the Go binding as an application would, and has it print what "natprobe --json" prints:
//
//	driver MODE [--json] -p PORT [-s SERVER]... [-6] [--mapping-only]
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"example.com/natprobe"
)

const (
	exitVerdict       = 0
	exitNoVerdict     = 1
	exitUsage         = 2
	exitBrokenPromise = 3 // something else than the verdict is not as it should be
)

// brokenPromise is an error of the binding's, not one of the check's.
type brokenPromise struct{ error }

func broken(format string, args ...any) error {
	return brokenPromise{fmt.Errorf(format, args...)}
}

type settings struct {
	port        uint16
	servers     []string
	ipv6        bool
	mappingOnly bool
}

// modes that make checks print a Result; the others print what they want.
var modes = map[string]func(*settings) (natprobe.Result, error){
	"blocking": blocking,
	"async":    async,
	"socket":   socket,
	"cancel":   cancelled,
	"default":  defaults,
}

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) == 0 {
		return usage("no mode")
	}
	s, err := parse(args[1:])
	if err != nil {
		return usage(err.Error())
	}
	switch mode := args[0]; mode {
	case "bad-input":
		return badInput()
	case "layout":
		return printLayout()
	default:
		check, ok := modes[mode]
		if !ok {
			return usage("no mode " + mode)
		}
		return report(check(s))
	}
}

func usage(problem string) int {
	fmt.Fprintln(os.Stderr, "driver:", problem)
	return exitUsage
}

// list is an option that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

func parse(args []string) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("driver", flag.ContinueOnError)
	port := flags.Uint("p", 0, "source port")
	flags.Var((*list)(&s.servers), "s", "server")
	flags.BoolVar(&s.ipv6, "6", false, "IPv6 only")
	flags.BoolVar(&s.mappingOnly, "mapping-only", false, "mapping only")
	flags.Bool("json", true, "accepted and ignored")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *port > 65535 || flags.NArg() != 0 {
		return nil, errors.New("bad arguments")
	}
	s.port = uint16(*port)
	return &s, nil
}

// source is the port, of any address.
func (s *settings) source() natprobe.Option {
	return natprobe.WithSource(netip.AddrPortFrom(netip.Addr{}, s.port))
}

// options are those of every check; source says where from.
func (s *settings) options(source natprobe.Option) []natprobe.Option {
	options := []natprobe.Option{source, natprobe.WithServers(s.servers...)}
	if s.ipv6 {
		options = append(options, natprobe.WithFamily(natprobe.FamilyIPv6))
	}
	if s.mappingOnly {
		options = append(options, natprobe.WithTests(natprobe.TestsMapping))
	}
	return options
}

func report(result natprobe.Result, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
	}
	if errors.As(err, &brokenPromise{}) {
		return exitBrokenPromise
	}
	if err := checkError(result, err); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		return exitBrokenPromise
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, "driver:", err)
		return exitBrokenPromise
	}
	if result.Status != natprobe.StatusOK {
		return exitNoVerdict
	}
	return exitVerdict
}

// checkError holds the error against the result that came with it.
func checkError(result natprobe.Result, err error) error {
	if result.Status == natprobe.StatusOK {
		if err != nil {
			return broken("an error with a verdict")
		}
		return nil
	}
	var e *natprobe.Error
	if !errors.Is(err, result.Status.Err()) || !errors.As(err, &e) || e.Status != result.Status ||
		e.Detail != result.Detail {
		return broken("status %v with the error %#v", result.Status, err)
	}
	return nil
}
