// SPDX-License-Identifier: MIT

package natprobe

import (
	"context"
	"errors"
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
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		p := newProbe(t, WithServers(silent.name()))
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		r, err := check(p, ctx)
		if took := time.Since(began); took < 50*time.Millisecond || took > prompt {
			t.Errorf("took %v", took)
		}
		if !errors.Is(err, ErrCancelled) || r.Status != ErrCancelled || r.PacketsSent == 0 {
			t.Errorf("%+v, %v", r, err)
		}
		if t.Name() != "TestContextCancelled/Process" && (!errors.Is(err, context.Canceled) || os.IsTimeout(err)) {
			t.Error(err)
		}
	})
}

func TestContextDeadline(t *testing.T) {
	silent, server := silentServer(t), fullServer(t)
	for _, name := range []string{"Check", "Run", "Unpolled"} {
		check := forms[name]
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			p := newProbe(t, WithServers(silent.name()))
			began := time.Now()
			r, err := check(p, ctx)
			if took := time.Since(began); took > prompt {
				t.Errorf("took %v", took)
			}
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrCancelled) || r.Status != ErrCancelled ||
				errors.Is(err, context.Canceled) || !os.IsTimeout(err) {
				t.Errorf("%+v, %v", r, err)
			}
			p.Set(WithBuiltinServers(), WithServers(server.name()))
			if _, err := check(p, context.Background()); err != nil {
				t.Errorf("the next check: %v", err)
			}
		})
	}
}

func TestContextOverBefore(t *testing.T) {
	silent := silentServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"Check", "Run", "Unpolled"} {
		r, err := forms[name](newProbe(t, WithServers(silent.name())), ctx)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) || r.Status != ErrCancelled {
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
	for _, name := range []string{"Check", "Run"} {
		for i := 0; i < 100; i++ {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*20*time.Microsecond)
			if _, err := forms[name](p, ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s: %v", name, err)
			}
			cancel()
			if _, err := forms[name](p, context.Background()); err != nil {
				t.Fatalf("%s, the next check: %v", name, err)
			}
		}
	}
}

// TestCancelAfterEnd has the context end in the moment between the library's last word and this package's.
func TestCancelAfterEnd(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	k, err := p.begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	k.run(context.Background())
	k.cancel()
	_, err = p.finish(context.Background(), k)
	p.release()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(context.Background()); err != nil {
		t.Errorf("the next check: %v", err)
	}
}

// TestCancelAfterVerdict has the cancellation come for certain after the verdict, from within the last event.
func TestCancelAfterVerdict(t *testing.T) {
	server := fullServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p := newProbe(t, WithServers(server.name()), WithEvents(func(e Event) {
		if e.IsVerdict() {
			cancel()
			time.Sleep(20 * time.Millisecond)
		}
	}))
	if r, err := p.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := p.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestCancelBeforehand(t *testing.T) {
	server := fullServer(t)
	for name, check := range forms {
		p := newProbe(t, WithServers(server.name()))
		p.Cancel()
		if _, err := check(p, context.Background()); !errors.Is(err, ErrCancelled) || errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := check(p, context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBusy(t *testing.T) {
	silent := silentServer(t)
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
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
	_, _, processErr := p.Process()
	_, checkErr := p.Check(context.Background())
	r, runErr := p.Run(context.Background())
	for _, err := range []error{p.Set(WithTests(TestsAll)), p.Start(), processErr, checkErr, runErr} {
		if !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
	}
	if r.Status != ErrBusy {
		t.Errorf("%+v", r)
	}
	p.FD()
}

func TestStartTwice(t *testing.T) {
	silent := silentServer(t)
	p := newProbe(t, WithServers(silent.name()))
	if _, done, err := p.Process(); done || !errors.Is(err, ErrArgument) {
		t.Errorf("%v, %v", done, err)
	}
	if p.FD() != -1 {
		t.Error(p.FD())
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	_, checkErr := p.Check(context.Background())
	_, runErr := p.Run(context.Background())
	for _, err := range []error{p.Start(), p.Set(), checkErr, runErr} {
		if !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	}
	if r, done, err := p.Process(); done || err != nil || r.Status != Pending || p.FD() < 0 {
		t.Errorf("%+v, %v, %v", r, done, err)
	}
	p.Cancel()
	if r, done, err := p.Process(); !done || !errors.Is(err, ErrCancelled) {
		t.Errorf("%+v, %v, %v", r, done, err)
	}
	if _, done, err := p.Process(); done || !errors.Is(err, ErrArgument) {
		t.Errorf("%v, %v", done, err)
	}
}

func TestClose(t *testing.T) {
	silent := silentServer(t)
	for _, name := range []string{"Check", "Run", "Unpolled"} {
		p := newProbe(t, WithServers(silent.name()))
		time.AfterFunc(50*time.Millisecond, func() { p.Close() })
		began := time.Now()
		_, err := forms[name](p, context.Background())
		if took := time.Since(began); took > prompt {
			t.Errorf("%s took %v", name, took)
		}
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		checkClosed(t, p)
	}
}

func TestCloseWithinCallback(t *testing.T) {
	silent := silentServer(t)
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
		var p *Probe
		p = newProbe(t, WithServers(silent.name()), WithEvents(func(Event) { p.Close() }))
		if _, err := check(p, context.Background()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		checkClosed(t, p)
	})
}

func checkClosed(t *testing.T, p *Probe) {
	t.Helper()
	_, _, processErr := p.Process()
	_, checkErr := p.Check(context.Background())
	_, runErr := p.Run(context.Background())
	for _, err := range []error{p.Set(), p.Start(), processErr, checkErr, runErr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	p.Cancel()
	if p.FD() != -1 || p.Close() != nil {
		t.Errorf("descriptor %d", p.FD())
	}
}

func TestCloseAfterStart(t *testing.T) {
	silent := silentServer(t)
	before := openFiles(t)
	p := newProbe(t, WithServers(silent.name()))
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	checkClosed(t, p)
	if after := openFiles(t); after != before {
		t.Errorf("%d files were open, now %d", before, after)
	}
}

// ---- Panics ------------------------------------------------------------------------------------------------

func TestPanicInCallback(t *testing.T) {
	silent, server := silentServer(t), fullServer(t)
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
		reason := errors.New("reason")
		calls := 0
		p := newProbe(t, WithServers(silent.name()), WithEvents(func(Event) {
			calls++
			panicHere(reason)
		}))
		began := time.Now()
		panicked := recovered(func() { check(p, context.Background()) })
		if panicked == nil || panicked.Value != reason || !errors.Is(panicked, reason) || calls != 1 {
			t.Fatalf("%v after %d calls", panicked, calls)
		}
		if !strings.Contains(panicked.Error(), "panicHere") || !strings.Contains(panicked.Error(), "reason") {
			t.Error(panicked.Error())
		}
		if took := time.Since(began); took > prompt {
			t.Errorf("took %v", took)
		}
		if err := p.Set(WithBuiltinServers(), WithServers(server.name()), WithEvents(nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := check(p, context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func panicHere(reason error) { panic(reason) }

// TestPanicInLastCallback has a cancellation left over that must not reach the next check.
func TestPanicInLastCallback(t *testing.T) {
	server := fullServer(t)
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
		armed := true
		p := newProbe(t, WithServers(server.name()), WithEvents(func(e Event) {
			if armed && e.IsVerdict() {
				var none *Probe
				none.fd++
			}
		}))
		panicked := recovered(func() { check(p, context.Background()) })
		var isRuntime runtime.Error
		if panicked == nil || !errors.As(panicked, &isRuntime) {
			t.Fatal(panicked)
		}
		armed = false
		if _, err := check(p, context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestPanicInOneCall(t *testing.T) {
	panicked := recovered(func() { CheckNATAndLog("x", 0, func(LogLevel, string) { panic("reason") }) })
	if panicked == nil || panicked.Value != "reason" || panicked.Unwrap() != nil {
		t.Error(panicked)
	}
}

func recovered(f func()) (p *CallbackPanic) {
	defer func() { p, _ = recover().(*CallbackPanic) }()
	f()
	return nil
}

// ---- What is freed -----------------------------------------------------------------------------------------

// TestFinalizer drops probes whose callbacks refer to them, with a check that goes on.
func TestFinalizer(t *testing.T) {
	silent := silentServer(t)
	before := openFiles(t)
	for i := 0; i < 20; i++ {
		dropProbe(t, silent.name())
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
	p, err := New(WithServers(server), WithEvents(func(Event) { p.FD() }))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
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
			if now := runtime.NumGoroutine(); now > goroutines {
				t.Errorf("%s: %d goroutines, now %d", name, goroutines, now)
			}
		}
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
	filesPerOne  = 8
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
	eachForm(t, func(t *testing.T, check func(*Probe, context.Context) (Result, error)) {
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
		func() error { _, err := p.Run(context.Background()); return err },
		func() error { return p.Set(WithTests(TestsMapping), WithEvents(func(Event) {})) },
		func() error { p.Start(); _, _, err := p.Process(); return err },
		func() error { p.FD(); p.Cancel(); time.Sleep(5 * time.Millisecond); return nil },
	}
	var wait sync.WaitGroup
	for _, action := range actions {
		action := action
		wait.Add(1)
		go func() {
			defer wait.Done()
			for time.Now().Before(stop) {
				err := action()
				var e *Error
				if err != nil && !errors.As(err, &e) {
					t.Error(err)
				}
				if e != nil && e.Code != ErrBusy && e.Code != ErrCancelled && e.Code != ErrArgument {
					t.Error(err)
				}
				runtime.Gosched()
			}
		}()
	}
	wait.Wait()
}
