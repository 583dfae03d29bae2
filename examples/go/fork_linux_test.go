// SPDX-License-Identifier: MIT

package natprobe

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// TestFork has a real child, forked during a check, do what the garbage collector and Close do. A child of a Go program
// has one thread and no scheduler, so it does no more than that. The parent's check would be disturbed if the child freed
// what the two share.
func TestFork(t *testing.T) {
	server := fullServer(t)
	var p *Probe
	forked := false
	p = newProbe(t, WithServers(server.name()), WithEvents(func(Event) {
		if !forked {
			forked = true
			waitForChild(t, inChild(t, p.handle.free))
		}
	}))
	ctx, cancel := context.WithTimeout(context.Background(), prompt)
	defer cancel()
	if r, err := p.Check(ctx); err != nil {
		t.Errorf("%+v, %v", r, err)
	}
	waitForChild(t, inChild(t, func() { p.Close() }))
	if r, err := p.Check(ctx); err != nil {
		t.Errorf("the next check: %+v, %v", r, err)
	}
}

// inChild calls f in a forked child, which then ends.
func inChild(t *testing.T, f func()) int {
	pid, _, errno := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if pid == 0 {
		f()
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return int(pid)
}

func waitForChild(t *testing.T, pid int) {
	t.Helper()
	var status syscall.WaitStatus
	for limit := time.Now().Add(prompt); ; time.Sleep(time.Millisecond) {
		if ended, _ := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); ended != 0 {
			break
		}
		if time.Now().After(limit) {
			syscall.Kill(pid, syscall.SIGKILL)
			syscall.Wait4(pid, &status, 0, nil)
			t.Fatal("the child does not end")
		}
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("the child ended with %#x", status)
	}
}
