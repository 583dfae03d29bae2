// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"example.com/natprobe"
)

// witness counts what it is told during a check.
type witness struct {
	kinds map[natprobe.EventKind]int
	lines int
	last  natprobe.Event
}

func (w *witness) see(e natprobe.Event) {
	if w.kinds == nil {
		w.kinds = map[natprobe.EventKind]int{}
	}
	w.kinds[e.Kind()]++
	w.last = e
}

// logger counts the lines of the log.
func (w *witness) logger() natprobe.Option { return natprobe.WithLogger(slog.New(counter{&w.lines})) }

type counter struct{ lines *int }

func (c counter) Enabled(context.Context, slog.Level) bool { return true }
func (c counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c counter) WithGroup(string) slog.Handler            { return c }

func (c counter) Handle(context.Context, slog.Record) error {
	*c.lines++
	return nil
}

// check holds what was told against the result.
func (w *witness) check(r natprobe.Result) error {
	last, isFinished := w.last.Detail.(natprobe.Finished)
	switch {
	case w.kinds[natprobe.EventSent] == 0 && r.PacketsSent > 0, w.kinds[natprobe.EventConcluded] == 0, w.lines == 0,
		w.kinds[natprobe.EventAnswered] == 0 && r.Status == natprobe.StatusOK:
		return broken("events %v, %d lines of log", w.kinds, w.lines)
	case !isFinished || last.Status != r.Status || last.NATType != r.NATType:
		return broken("the last event is %+v", w.last)
	default:
		return nil
	}
}

func blocking(s *settings) (natprobe.Result, error) {
	var w witness
	options := append(s.options(s.source()), w.logger(), natprobe.WithEvents(w.see))
	result, err := natprobe.Check(context.Background(), options...)
	if err := w.check(result); err != nil {
		return result, err
	}
	return result, err
}

const (
	tick        = 5 * time.Millisecond
	longestHold = 500 * time.Millisecond // of the only processor, on a busy machine
)

// async has one processor only, so that a ticker stands still for as long as anything blocks. It has the events as a
// loop.
func async(s *settings) (natprobe.Result, error) {
	runtime.GOMAXPROCS(1)
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go watchTicker(stop, longest)
	var w witness
	probe, err := natprobe.New(append(s.options(s.source()), w.logger())...)
	if err != nil {
		return natprobe.Result{}, brokenPromise{err}
	}
	defer probe.Close()
	events, outcome := probe.Events(context.Background())
	for e := range events {
		w.see(e)
	}
	result, err := outcome()
	close(stop)
	if held := <-longest; held > longestHold {
		return result, broken("the ticker stood still for %v", held)
	}
	if err := w.check(result); err != nil {
		return result, err
	}
	return result, err
}

// watchTicker sends the longest time between two ticks.
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

// cancelled ends a check by its context and another one by Cancel.
func cancelled(s *settings) (natprobe.Result, error) {
	probe, err := natprobe.New(s.options(s.source())...)
	if err != nil {
		return natprobe.Result{}, brokenPromise{err}
	}
	defer probe.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result, err := endedBy(probe, ctx, cancel)
	if !errors.Is(err, natprobe.ErrCancelled) || !errors.Is(err, context.Canceled) {
		return result, broken("%v instead of a cancellation by the context", err)
	}
	result, err = endedBy(probe, context.Background(), probe.Cancel)
	if !errors.Is(err, natprobe.ErrCancelled) || errors.Is(err, context.Canceled) {
		return result, broken("%v instead of a cancellation by Cancel", err)
	}
	return result, err
}

// endedBy makes a check that a call ends.
func endedBy(probe *natprobe.Probe, ctx context.Context, end func()) (natprobe.Result, error) {
	ended := make(chan time.Time, 1)
	time.AfterFunc(cancelAfter, func() {
		ended <- time.Now()
		end()
	})
	result, err := probe.Check(ctx)
	select {
	case at := <-ended:
		if late := time.Since(at); late > promptly {
			return result, broken("cancelled %v ago", late)
		}
	default:
		return result, broken("over before it was cancelled: %v", err)
	}
	return result, err
}

// defaults chooses the port and nothing else.
func defaults(s *settings) (natprobe.Result, error) {
	result, err := natprobe.Check(context.Background(), s.source())
	if err == nil {
		return result, nil
	}
	var zero natprobe.Probe
	defer zero.Close()
	if _, zeroErr := zero.Check(context.Background()); zeroErr == nil {
		return result, broken("a zero Probe has a verdict, Check has the error %v", err)
	}
	return result, err
}
