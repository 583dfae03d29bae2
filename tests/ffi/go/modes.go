// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"example.com/natprobe"
)

// witness counts what it is told during a check.
type witness struct {
	kinds   map[natprobe.EventKind]int
	lines   int
	verdict *natprobe.Event
}

func (w *witness) options() []natprobe.Option {
	w.kinds = map[natprobe.EventKind]int{}
	return []natprobe.Option{
		natprobe.WithEvents(func(e natprobe.Event) {
			w.kinds[e.Kind]++
			if e.IsVerdict() {
				w.verdict = &e
			}
		}),
		natprobe.WithLog(natprobe.LogDebug, func(natprobe.LogLevel, string) { w.lines++ }),
	}
}

// check holds what was told against the result.
func (w *witness) check(r natprobe.Result) error {
	switch {
	case w.kinds[natprobe.EventSent] == 0 && r.PacketsSent > 0, w.kinds[natprobe.EventConcluded] == 0, w.lines == 0,
		w.kinds[natprobe.EventAnswered] == 0 && r.Status == natprobe.OK:
		return broken("events %v, %d lines of log", w.kinds, w.lines)
	case w.verdict == nil || w.verdict.Status != r.Status || w.verdict.NATType != r.NATType:
		return broken("the last event is %+v", w.verdict)
	default:
		return nil
	}
}

func blocking(s *settings) (natprobe.Result, error) {
	var w witness
	probe, err := natprobe.New(append(s.options(natprobe.WithSource("", s.port)), w.options()...)...)
	if err != nil {
		return natprobe.Result{}, brokenPromise{err}
	}
	defer probe.Close()
	result, err := probe.Run(context.Background())
	if err := w.check(result); err != nil {
		return result, err
	}
	return result, err
}

const (
	tick        = 5 * time.Millisecond
	longestHold = 500 * time.Millisecond // of the only processor, on a busy machine
)

// async has one processor only, so that a ticker stands still for as long as anything blocks.
func async(s *settings) (natprobe.Result, error) {
	runtime.GOMAXPROCS(1)
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go watchTicker(stop, longest)
	var w witness
	options := append(s.options(natprobe.WithSource("", s.port)), w.options()...)
	result, err := natprobe.Check(context.Background(), options...)
	close(stop)
	if held := <-longest; held > longestHold {
		return result, broken("the ticker stood still for %v", held)
	}
	if err := w.check(result); err != nil {
		return result, err
	}
	return result, err
}

// watchTicker tells the longest time between two ticks.
func watchTicker(stop <-chan struct{}, longest chan<- time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last, held := time.Now(), time.Duration(0)
	for {
		select {
		case <-stop:
			longest <- held
			return
		case <-ticker.C:
			now := time.Now()
			if now.Sub(last) > held {
				held = now.Sub(last)
			}
			last = now
		}
	}
}

const (
	cancelAfter = 200 * time.Millisecond
	promptly    = time.Second
)

func cancelled(s *settings) (natprobe.Result, error) {
	probe, err := natprobe.New(s.options(natprobe.WithSource("", s.port))...)
	if err != nil {
		return natprobe.Result{}, brokenPromise{err}
	}
	defer probe.Close()
	var result natprobe.Result
	for _, check := range []func(context.Context) (natprobe.Result, error){probe.Run, probe.Check} {
		ctx, cancel := context.WithCancel(context.Background())
		var at atomic.Int64
		time.AfterFunc(cancelAfter, func() {
			at.Store(time.Now().UnixNano())
			cancel()
		})
		result, err = check(ctx)
		cancel()
		if late := time.Since(time.Unix(0, at.Load())); late > promptly {
			return result, broken("cancelled %v ago", late)
		}
		if !errors.Is(err, natprobe.ErrCancelled) || !errors.Is(err, context.Canceled) {
			return result, broken("%w instead of a cancellation", err)
		}
	}
	return result, err
}

// oneCall makes both calls that need no Probe.
func oneCall(s *settings) (natprobe.Result, error) {
	result, err := natprobe.CheckNAT("", s.port)
	levels := map[natprobe.LogLevel]int{}
	logErr := natprobe.CheckNATAndLog("", s.port, func(level natprobe.LogLevel, message string) { levels[level]++ })
	switch {
	case logErr == nil && levels[natprobe.LogInfo] == 0, logErr != nil && levels[natprobe.LogError] == 0:
		return result, broken("logged %v with the error %v", levels, logErr)
	case (err == nil) != (logErr == nil):
		return result, broken("without a log %v, with one %v", err, logErr)
	}
	return result, err
}
