// SPDX-License-Identifier: MIT

// Natmany makes a check with each of the servers given, all at once, within a time given for all of them together.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"text/tabwriter"
	"time"

	"example.com/natprobe"
)

func main() {
	timeout := flag.Duration("timeout", 5*time.Second, "time allowed for all the checks together")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: natmany [-timeout DURATION] SERVER...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if !report(flag.Args(), checkWithin(*timeout, flag.Args())) {
		os.Exit(1)
	}
}

// checkWithin ends early with an interrupt from the terminal, too.
func checkWithin(timeout time.Duration, servers []string) []outcome {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return checkAll(ctx, servers)
}

type outcome struct {
	result natprobe.Result
	err    error
}

func checkAll(ctx context.Context, servers []string) []outcome {
	outcomes := make([]outcome, len(servers))
	var wait sync.WaitGroup
	for i, server := range servers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			outcomes[i].result, outcomes[i].err = natprobe.Check(ctx, natprobe.WithServers(server))
		}()
	}
	wait.Wait()
	return outcomes
}

// report tells whether all the checks came to a verdict.
func report(servers []string, outcomes []outcome) bool {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush()
	good := true
	for i, o := range outcomes {
		if o.err != nil {
			good = false
			fmt.Fprintf(table, "%s\t%v\n", servers[i], o.err)
			continue
		}
		fmt.Fprintf(table, "%s\t%v\t%v\t%v\n", servers[i], o.result.NATType, o.result.External, o.result.Elapsed)
	}
	return good
}
