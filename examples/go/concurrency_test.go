// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestContextCancelled(t *testing.T) {
	silent := silentServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		p := newProbe(t, WithServers(silent.name()))
		began := time.Now() // before the timer is set: the goroutine may be held up in between
		time.AfterFunc(50*time.Millisecond, cancel)
		r, err := check(p, ctx)
		if took := time.Since(began); took < 50*time.Millisecond || took > prompt {
			t.Errorf("took %v", took)
		}
		if !errors.Is(err, ErrCancelled) || r.Status != StatusCancelled || r.PacketsSent == 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if !errors.Is(err, context.Canceled) || os.IsTimeout(err) {
			t.Error(err)
		}
	})
}

func TestContextCause(t *testing.T) {
	silent := silentServer(t)
	reason := errors.New("the user left")
	eachForm(t, func(t *testing.T, check checkFunc) {
		ctx, cancel := context.WithCancelCause(context.Background())
		defer cancel(nil)
		time.AfterFunc(20*time.Millisecond, func() { cancel(reason) })
		_, err := check(newProbe(t, WithServers(silent.name())), ctx)
		if !errors.Is(err, reason) || !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
			t.Error(err)
		}
		_, err = check(newProbe(t, WithServers(silent.name())), ctx)
		if !errors.Is(err, reason) || !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
			t.Errorf("over before: %v", err)
		}
	})
}

func TestContextDeadline(t *testing.T) {
	silent, server := silentServer(t), fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		p := newProbe(t, WithServers(silent.name()))
		began := time.Now()
		r, err := check(p, ctx)
		if took := time.Since(began); took > prompt {
			t.Errorf("took %v", took)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrCancelled) ||
			r.Status != StatusCancelled || errors.Is(err, context.Canceled) || !os.IsTimeout(err) {
			t.Errorf("%+v, %v", r, err)
		}
		p.Set(WithBuiltinServers(), WithServers(server.name()))
		if _, err := check(p, context.Background()); err != nil {
			t.Errorf("the next check: %v", err)
		}
	})
}

func TestContextOverBefore(t *testing.T) {
	silent := silentServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, check := range forms {
		r, err := check(newProbe(t, WithServers(silent.name())), ctx)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || r.Status != StatusCancelled {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if silent.requests.Load() != 0 {
		t.Error("asked all the same")
	}
}

// TestCancelRacesWithEnd cancels around the moment of the verdict, which must never reach into the next check.
func TestCancelRacesWithEnd(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()), WithTests(TestsMapping))
	for i := 0; i < 100; i++ {
		after := time.Duration(i) * 20 * time.Microsecond
		ctx, cancel := context.WithTimeout(context.Background(), after)
		if _, err := p.Check(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		cancel()
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(after)
			p.Cancel()
		}()
		if _, err := p.Check(context.Background()); err != nil && !errors.Is(err, ErrCancelled) {
			t.Fatalf("after a context: %v", err)
		}
		<-done
		if _, err := p.Check(context.Background()); err != nil {
			t.Fatalf("after Cancel: %v", err)
		}
	}
}

// TestCancelAfterVerdict has the cancellation come for certain after the verdict, from within the last event.
func TestCancelAfterVerdict(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		var p *Probe
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		p = newProbe(t, WithServers(server.name()), WithEvents(func(e Event) {
			if _, isLast := e.Detail.(Finished); isLast {
				cancel()
				p.Cancel()
			}
		}))
		if r, err := check(p, ctx); err != nil {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := check(p, context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestCancelWithoutCheck has nothing to cancel: neither this check nor one after new settings.
func TestCancelWithoutCheck(t *testing.T) {
	server := fullServer(t)
	for name, check := range forms {
		p := newProbe(t, WithServers(server.name()))
		p.Cancel()
		if _, err := check(p, context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.Cancel()
		if err := p.Set(WithTests(TestsMapping)); err != nil {
			t.Error(err)
		}
		if _, err := check(p, context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLateCancelOfTheLibrary has the library's own cancel come while nothing runs. It ends no later check.
func TestLateCancelOfTheLibrary(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()), WithTests(TestsMapping))
	for i := 0; i < 3; i++ {
		late := check{handle: p.handle}
		late.giveUp()
		if r, err := p.Check(context.Background()); err != nil {
			t.Errorf("check %d: %+v, %v", i+1, r, err)
		}
	}
}

// TestCancelBeforeTheFirstTurn has the library's own cancel come right after it has begun the check.
func TestCancelBeforeTheFirstTurn(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	k, err := p.begin(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
	k.giveUp()
	if r, err := k.conclude(); !errors.Is(err, ErrCancelled) || r.PacketsSent == 0 {
		t.Errorf("%+v, %v", r, err)
	}
	k.close()
	p.release()
	if _, err := p.Check(context.Background()); err != nil {
		t.Errorf("the next check: %v", err)
	}
}

// TestCancelFromTheFirstMoment has a check that has begun in Go but not in the library.
func TestCancelFromTheFirstMoment(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	k, err := p.begin(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Cancel()
	if err := k.start(); err != nil {
		t.Fatal(err)
	}
	k.drive(true)
	_, err = k.conclude()
	k.close()
	p.release()
	if !errors.Is(err, ErrCancelled) || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCancel(t *testing.T) {
	silent := silentServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		p := newProbe(t, WithServers(silent.name()))
		time.AfterFunc(20*time.Millisecond, p.Cancel)
		began := time.Now()
		r, err := check(p, context.Background())
		if took := time.Since(began); took > prompt {
			t.Errorf("took %v", took)
		}
		if !errors.Is(err, ErrCancelled) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) ||
			r.Status != StatusCancelled {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestBusy(t *testing.T) {
	silent := silentServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		var once sync.Once
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var p *Probe
		p = newProbe(t, WithServers(silent.name()), WithEvents(func(Event) {
			once.Do(func() {
				checkBusy(t, p)
				elsewhere := make(chan struct{})
				go func() {
					defer close(elsewhere)
					checkBusy(t, p)
				}()
				<-elsewhere
				cancel()
			})
		}))
		if _, err := check(p, ctx); !errors.Is(err, ErrCancelled) {
			t.Error(err)
		}
	})
}

func checkBusy(t *testing.T, p *Probe) {
	t.Helper()
	r, checkErr := p.Check(context.Background())
	_, loopErr := byEvents(p, context.Background())
	for _, err := range []error{p.Set(WithTests(TestsDefault)), checkErr, loopErr} {
		if !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
	}
	if r.Status != StatusBusy {
		t.Errorf("%+v", r)
	}
}

func TestClose(t *testing.T) {
	silent := silentServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		files := openFiles(t)
		p := newProbe(t, WithServers(silent.name()))
		time.AfterFunc(50*time.Millisecond, func() { p.Close() })
		began := time.Now()
		_, err := check(p, context.Background())
		if took := time.Since(began); took > prompt {
			t.Errorf("took %v", took)
		}
		if !isClosed(err) {
			t.Error(err)
		}
		if now := openFiles(t); now != files {
			t.Errorf("%d files were open, now %d", files, now)
		}
		checkClosed(t, p)
	})
}

// TestCloseWithinCallback closes at the first event, and nothing is called any more.
func TestCloseWithinCallback(t *testing.T) {
	silent := silentServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		var p *Probe
		calls := 0
		p = newProbe(t, WithServers(silent.name()), WithEvents(func(Event) {
			calls++
			p.Close()
		}))
		if _, err := check(p, context.Background()); !isClosed(err) || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
		checkClosed(t, p)
	})
}

// isClosed wants of the error what is to be the same everywhere.
func isClosed(err error) bool {
	var e *Error
	return errors.Is(err, ErrClosed) && errors.Is(err, net.ErrClosed) && errors.As(err, &e) &&
		e.Status == StatusCancelled && !errors.Is(err, ErrArgument) && !errors.Is(err, context.Canceled)
}

func checkClosed(t *testing.T, p *Probe) {
	t.Helper()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	r, checkErr := p.Check(context.Background())
	_, overErr := p.Check(over)
	_, loopErr := byEvents(p, context.Background())
	for _, err := range []error{p.Set(), p.Set(WithFamily(5)), checkErr, overErr, loopErr} {
		if !isClosed(err) {
			t.Errorf("%v", err)
		}
	}
	if r.Status != StatusCancelled {
		t.Errorf("%+v", r)
	}
	p.Cancel()
	if p.Close() != nil {
		t.Error("Close again")
	}
}

// ---- Callbacks that do not return --------------------------------------------------------------------------

// places are where a check calls the program.
var places = map[string]func(callback func()) []Option{
	"event":  func(f func()) []Option { return []Option{WithEvents(func(Event) { f() })} },
	"logger": func(f func()) []Option { return []Option{WithLogger(slog.New(&calling{f: f}))} },
	"level":  func(f func()) []Option { return []Option{WithLogger(slog.New(&calling{enabled: f}))} },
}

// calling is a handler that calls functions.
type calling struct{ f, enabled func() }

func (c *calling) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *calling) WithGroup(string) slog.Handler      { return c }

func (c *calling) Enabled(context.Context, slog.Level) bool {
	if c.enabled != nil {
		c.enabled()
	}
	return true
}

func (c *calling) Handle(context.Context, slog.Record) error {
	if c.f != nil {
		c.f()
	}
	return nil
}

func TestPanicInCallback(t *testing.T) {
	silent, server := silentServer(t), fullServer(t)
	reason := errors.New("reason")
	for place, options := range places {
		eachForm(t, func(t *testing.T, check checkFunc) {
			calls := 0
			p := newProbe(t, append(options(func() {
				calls++
				panic(reason)
			}), WithServers(silent.name()))...)
			files := openFiles(t)
			began := time.Now()
			if value := recovered(func() { check(p, context.Background()) }); value != reason || calls != 1 {
				t.Fatalf("%s: %v after %d calls", place, value, calls)
			}
			if took := time.Since(began); took > prompt {
				t.Errorf("took %v", took)
			}
			checkUsableAgain(t, p, check, server, files)
		})
	}
}

// checkUsableAgain makes a check with a Probe whose callback did not return.
func checkUsableAgain(t *testing.T, p *Probe, check checkFunc, server *stunServer, files int) {
	t.Helper()
	options := []Option{WithBuiltinServers(), WithServers(server.name()), WithEvents(nil), WithLogger(nil)}
	if err := p.Set(options...); err != nil {
		t.Fatal(err)
	}
	if now := openFiles(t); now != files {
		t.Errorf("%d files were open, now %d", files, now)
	}
	if _, err := check(p, context.Background()); err != nil {
		t.Error(err)
	}
}

// TestPanicInLastCallback has nothing left over that could reach the next check.
func TestPanicInLastCallback(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		armed := true
		p := newProbe(t, WithServers(server.name()), WithEvents(func(e Event) {
			if _, isLast := e.Detail.(Finished); isLast && armed {
				var none *Probe
				none.inUse = true
			}
		}))
		if _, ok := recovered(func() { check(p, context.Background()) }).(runtime.Error); !ok {
			t.Fatal("no panic")
		}
		armed = false
		if _, err := check(p, context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// TestPanicLeavesNothing has a panic at the first event, and looks for what the library told after that.
func TestPanicLeavesNothing(t *testing.T) {
	server := fullServer(t)
	panics, finished := true, 0
	p := newProbe(t, WithServers(server.name()), WithEvents(func(e Event) {
		if panics {
			panic("reason")
		}
		if _, isLast := e.Detail.(Finished); isLast {
			finished++
		}
	}))
	recovered(func() { p.Check(context.Background()) })
	panics = false
	if _, err := p.Check(context.Background()); err != nil || finished != 1 {
		t.Errorf("%d checks finished, %v", finished, err)
	}
}

func recovered(f func()) (value any) {
	defer func() { value = recover() }()
	f()
	return nil
}

// TestGoexitInCallback ends the goroutine of a check, as FailNow of package testing does. The Probe is none the worse.
func TestGoexitInCallback(t *testing.T) {
	silent, server := silentServer(t), fullServer(t)
	for place, options := range places {
		eachForm(t, func(t *testing.T, check checkFunc) {
			p := newProbe(t, append(options(runtime.Goexit), WithServers(silent.name()))...)
			files := openFiles(t)
			checkGoesExit(t, place, func() { check(p, context.Background()) })
			checkUsableAgain(t, p, check, server, files)
		})
	}
}

// checkGoesExit expects that f ends its goroutine, and soon.
func checkGoesExit(t *testing.T, what string, f func()) {
	t.Helper()
	returned, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		f()
		returned = true
	}()
	select {
	case <-ended:
	case <-time.After(prompt):
		t.Fatalf("%s: the goroutine goes on", what)
	}
	if returned {
		t.Errorf("%s: the goroutine was not ended", what)
	}
}

// TestLoopDoesNotReturn leaves the loop over the events by other ways than break.
func TestLoopDoesNotReturn(t *testing.T) {
	silent, server := silentServer(t), fullServer(t)
	loop := func(p *Probe, leave func()) {
		events, _ := p.Events(context.Background())
		for range events {
			leave()
		}
	}
	p := newProbe(t, WithServers(silent.name()))
	files := openFiles(t)
	if value := recovered(func() { loop(p, func() { panic("reason") }) }); value != "reason" {
		t.Errorf("%v", value)
	}
	checkGoesExit(t, "Goexit", func() { loop(p, runtime.Goexit) })
	checkUsableAgain(t, p, (*Probe).Check, server, files)
}

// TestOutOfMemory has the callbacks in C report that they had no memory for an item. That costs this check alone.
func TestOutOfMemory(t *testing.T) {
	server := fullServer(t)
	var p *Probe
	p = newProbe(t, WithServers(server.name()), WithEvents(func(Event) { p.handle.native.is_out_of_memory = true }))
	if r, err := p.Check(context.Background()); !errors.Is(err, ErrNoMemory) || r.Status != StatusNoMemory {
		t.Errorf("%+v, %v", r, err)
	}
	p.config.onEvent = nil
	if _, err := p.Check(context.Background()); err != nil {
		t.Error(err)
	}
}

// ---- What is freed -----------------------------------------------------------------------------------------

// TestFinalizer drops probes whose callbacks refer to them.
func TestFinalizer(t *testing.T) {
	server := fullServer(t)
	before := openFiles(t)
	for i := 0; i < 20; i++ {
		dropProbe(t, server.name())
	}
	for limit := time.Now().Add(5 * time.Second); openFiles(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d files were open, now %d", before, openFiles(t))
		}
		runtime.GC()
	}
}

func dropProbe(t *testing.T, server string) {
	var p *Probe
	p, err := New(WithServers(server), WithEvents(func(Event) { p.Cancel() }))
	if err != nil {
		t.Fatal(err)
	}
	p.Check(context.Background()) // after which the library keeps a descriptor
}

func TestNothingIsLeft(t *testing.T) {
	silent, server := silentServer(t), fullServer(t)
	before, goroutines := openFiles(t), runtime.NumGoroutine()
	for name, check := range forms {
		for _, who := range []*stunServer{silent, server} {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			p := newProbe(t, WithServers(who.name()))
			check(p, ctx)
			cancel()
			p.Close()
			if after := openFiles(t); after != before {
				t.Errorf("%s: %d files were open, now %d", name, before, after)
			}
			checkGoroutines(t, goroutines)
		}
	}
}

// ofOwn is a context that package context knows nothing about: it takes a goroutine for each child.
type ofOwn struct {
	context.Context
	done chan struct{}
}

func (c ofOwn) Done() <-chan struct{} { return c.done }

// TestContextIsLeft has contexts that live on after the check.
func TestContextIsLeft(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	before := runtime.NumGoroutine()
	ctx := ofOwn{context.Background(), make(chan struct{})}
	for i := 0; i < 10; i++ {
		if _, err := p.Check(ctx); err != nil {
			t.Error(err)
		}
	}
	checkGoroutines(t, before)
}

// checkGoroutines lets those that are about to end do so.
func checkGoroutines(t *testing.T, before int) {
	t.Helper()
	for limit := time.Now().Add(prompt); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d goroutines, now %d", before, runtime.NumGoroutine())
		}
	}
}

// TestInterrupt waits for a descriptor that nothing comes to.
func TestInterrupt(t *testing.T) {
	for _, usePoller := range []bool{true, false} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer write.Close()
		defer read.Close()
		var model waiter
		put(&model.fd, int32(read.Fd()))
		w := newWaiter(model.fd, usePoller)
		defer w.close()
		ended := make(chan error)
		go func() { ended <- w.wait() }()
		time.Sleep(10 * time.Millisecond)
		w.interrupt()
		select {
		case err := <-ended:
			if err == nil || w.wait() == nil {
				t.Error("it is readable")
			}
		case <-time.After(prompt):
			t.Fatalf("with the poller %v: it waits on", usePoller)
		}
	}
}

// TestForkedChild plays a child: the library keeps a descriptor after a check, which only the parent may close.
func TestForkedChild(t *testing.T) {
	server := fullServer(t)
	before := openFiles(t)
	p := newProbe(t, WithServers(server.name()))
	if _, err := p.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	handle, kept := p.handle, openFiles(t)
	if kept == before {
		t.Fatal("the library keeps nothing")
	}
	getpid = func() int { return os.Getpid() + 1 }
	defer func() { getpid = os.Getpid }()
	if r, err := p.Check(context.Background()); !errors.Is(err, ErrArgument) || r.Status != StatusArgument {
		t.Errorf("a check in the child: %+v, %v", r, err)
	}
	if err := p.Set(WithServers(server.name())); err != nil {
		t.Errorf("settings of its own: %v", err)
	}
	if _, err := p.Check(context.Background()); err != nil {
		t.Errorf("a check of its own: %v", err)
	}
	p.Close()
	if after := openFiles(t); after != kept {
		t.Errorf("%d files were open, now %d", kept, after)
	}
	getpid = os.Getpid
	handle.free()
	if after := openFiles(t); after != before {
		t.Errorf("%d files were open, now %d", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(names)
}

// ---- Many at once ------------------------------------------------------------------------------------------

const (
	manyChecks   = 1000
	filesPerOne  = 10
	threadsLimit = 40 // of 1000 if each blocked one
)

func TestManyChecksTakeFewThreads(t *testing.T) {
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if limit.Cur < manyChecks*filesPerOne {
		t.Skipf("only %d files may be open", limit.Cur)
	}
	silent := silentServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	before := pprof.Lookup("threadcreate").Count()
	failures := make(chan error, manyChecks)
	for i := 0; i < manyChecks; i++ {
		go func() {
			_, err := Check(ctx, WithServers(silent.name()), WithResponseTimeout(time.Minute), WithTimeout(time.Minute))
			failures <- err
		}()
	}
	waitForRequests(t, silent, manyChecks)
	threads := threadCount(t)
	cancel()
	for i := 0; i < manyChecks; i++ {
		if err := <-failures; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	created := pprof.Lookup("threadcreate").Count() - before
	t.Logf("%d checks at once: %d threads, %d of them new", manyChecks, threads, created)
	if created > threadsLimit || threads > threadsLimit {
		t.Errorf("%d threads created, %d in all", created, threads)
	}
}

func TestManyVerdicts(t *testing.T) {
	server := fullServer(t)
	const many = 200
	failures := make(chan error, many)
	began := time.Now()
	for i := 0; i < many; i++ {
		go func() {
			_, err := Check(context.Background(), WithServers(server.name()))
			failures <- err
		}()
	}
	for i := 0; i < many; i++ {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d verdicts in %v", many, time.Since(began))
}

// TestCallbacksThatWait has more callbacks wait for each other than goroutines may be in the library.
func TestCallbacksThatWait(t *testing.T) {
	silent := silentServer(t)
	many := 4 * cap(turns)
	var inside, done sync.WaitGroup
	inside.Add(many)
	done.Add(many)
	for i := 0; i < many; i++ {
		go func() {
			defer done.Done()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var once sync.Once
			_, err := Check(ctx, WithServers(silent.name()), WithEvents(func(Event) {
				once.Do(func() {
					inside.Done()
					inside.Wait()
					cancel()
				})
			}))
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}()
	}
	done.Wait()
}

// TestCheckWithinCallback makes a check with one Probe from within a callback of another.
func TestCheckWithinCallback(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check checkFunc) {
		inner := newProbe(t, WithServers(server.name()))
		var once sync.Once
		outer := newProbe(t, WithServers(server.name()), WithEvents(func(Event) {
			once.Do(func() {
				if _, err := check(inner, context.Background()); err != nil {
					t.Error(err)
				}
			})
		}))
		if _, err := check(outer, context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func waitForRequests(t *testing.T, server *stunServer, wanted int32) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); server.requests.Load() < wanted; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d requests only", server.requests.Load())
		}
	}
}

func threadCount(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	for _, line := range strings.Split(string(status), "\n") {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == "Threads:" {
			count, _ := strconv.Atoi(fields[1])
			return count
		}
	}
	t.Fatal("no number of threads")
	return 0
}

// TestAnythingFromAnywhere has several goroutines do everything to one Probe, for the race detector to watch.
func TestAnythingFromAnywhere(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()), WithTests(TestsMapping))
	stop := time.Now().Add(300 * time.Millisecond)
	actions := []func() error{
		func() error { _, err := p.Check(context.Background()); return err },
		func() error { _, err := byEvents(p, context.Background()); return err },
		func() error { return p.Set(WithTests(TestsMapping), WithEvents(func(Event) {})) },
		func() error { p.Cancel(); time.Sleep(5 * time.Millisecond); return nil },
	}
	var wait sync.WaitGroup
	for _, action := range actions {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for time.Now().Before(stop) {
				if err := action(); err != nil && !errors.Is(err, ErrBusy) && !errors.Is(err, ErrCancelled) {
					t.Error(err)
				}
				runtime.Gosched()
			}
		}()
	}
	wait.Wait()
}
