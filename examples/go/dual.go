// SPDX-License-Identifier: MIT

package natprobe

import (
	"context"
	"runtime"
	"sync"
)

// DualResult is what CheckDual returns. The Status of each Result says whether that family has a verdict.
type DualResult struct {
	IPv4 Result `json:"ipv4"`
	IPv6 Result `json:"ipv6"`
}

// CheckDual checks over IPv4 and over IPv6 at the same time. It takes as long as the slower check. Each family has the
// time, the Status and the Result that it would have alone: if one is missing or silent, the Result of the other stands.
//
// There is an error only if neither family has a verdict. It is that of IPv4, or that of IPv6 if IPv4 has no route or no
// server. Both Results are filled in as far as possible.
//
// The options hold for both families. A server given by address is asked by its family alone. WithFamily, WithSocket
// and a WithSource with an address are of one family: they are ErrArgument. The function of WithEvents is called for
// one event at a time.
func CheckDual(ctx context.Context, options ...Option) (DualResult, error) {
	if ctx == nil {
		return failedDual(refused(StatusArgument, "the context is nil"))
	}
	ipv4, ipv6, err := newDual(options)
	if err != nil {
		return failedDual(err)
	}
	defer ipv4.Close()
	defer ipv6.Close()
	return runDual(ctx, ipv4, ipv6)
}

func failedDual(err error) (DualResult, error) {
	result, err := failed(err)
	return DualResult{IPv4: result, IPv6: result}, err
}

func newDual(options []Option) (ipv4, ipv6 *Probe, err error) {
	c := config{}.with(options)
	if c.family != FamilyAny || c.socket != nil || c.source.Addr().IsValid() {
		return nil, nil, refused(StatusArgument, "a family, a socket or a source address is of one family, not of both")
	}
	if onEvent := c.onEvent; onEvent != nil {
		var mu sync.Mutex
		c.onEvent = func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			onEvent(e)
		}
	}
	same := func(s *config) { *s = c }
	if ipv4, err = New(same, WithFamily(FamilyIPv4)); err != nil {
		return nil, nil, err
	}
	if ipv6, err = New(same, WithFamily(FamilyIPv6)); err != nil {
		ipv4.Close()
		return nil, nil, err
	}
	return ipv4, ipv6, nil
}

// ending is how the goroutine of IPv6 ended: isDone is false if a callback panicked or called runtime.Goexit.
type ending struct {
	isDone   bool
	panicked any
}

// runDual has a goroutine for IPv6. What a callback does to it is done to the caller's.
func runDual(parent context.Context, ipv4, ipv6 *Probe) (DualResult, error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var d DualResult
	var err4, err6 error
	ended := make(chan ending, 1)
	go func() {
		isDone := false
		defer func() {
			if !isDone {
				cancel()
			}
			ended <- ending{isDone, recover()}
		}()
		d.IPv6, err6 = ipv6.Check(ctx)
		isDone = true
	}()
	isDone := false
	defer func() {
		if !isDone {
			cancel()
			<-ended
		}
	}()
	d.IPv4, err4 = ipv4.Check(ctx)
	isDone = true
	switch e := <-ended; {
	case e.panicked != nil:
		panic(e.panicked)
	case !e.isDone:
		runtime.Goexit()
	}
	return d, errorOfBoth(d, err4, err6)
}

func errorOfBoth(d DualResult, err4, err6 error) error {
	hasNoIPv4 := d.IPv4.Status == StatusNetworkUnreachable || d.IPv4.Status == StatusResolve
	switch {
	case err4 == nil || err6 == nil:
		return nil
	case hasNoIPv4:
		return err6
	default:
		return err4
	}
}
