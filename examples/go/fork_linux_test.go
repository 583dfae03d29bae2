// SPDX-License-Identifier: MIT

package natprobe

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// TestFork has a real child close the Probe. A child of a Go program has one thread and no scheduler, so it does no
// more than that. The parent's next check would be disturbed if the child had freed what the two share.
func TestFork(t *testing.T) {
	server := fullServer(t)
	p := newProbe(t, WithServers(server.name()))
	if _, err := p.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	pid, _, errno := syscall.RawSyscall(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if pid == 0 {
		p.Close()
		syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	var status syscall.WaitStatus
	for limit := time.Now().Add(prompt); ; time.Sleep(time.Millisecond) {
		if ended, _ := syscall.Wait4(int(pid), &status, syscall.WNOHANG, nil); ended != 0 {
			break
		}
		if time.Now().After(limit) {
			syscall.Kill(int(pid), syscall.SIGKILL)
			syscall.Wait4(int(pid), &status, 0, nil)
			t.Fatal("the child does not end")
		}
	}
	if !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("the child ended with %#x", status)
	}
	ctx, cancel := context.WithTimeout(context.Background(), prompt)
	defer cancel()
	if r, err := p.Check(ctx); err != nil {
		t.Errorf("%+v, %v", r, err)
	}
}
