// SPDX-License-Identifier: MIT

/*
Package natprobe detects what kind of NAT this host is behind. It is the Go form of the C library libnatprobe, which
asks STUN servers (RFC 8489, RFC 5780, RFC 3489). A check measures two facts, the mapping and the filtering behaviour
of RFC 4787, and the external address. The RFC 3489 type follows from them. What cannot be known is reported as
unknown.

	result, err := natprobe.Check(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s, seen as %s\n", result.NATType.Description(), result.External)

# Building

The package needs cgo and a C compiler. It has a copy of libnatprobe, which the go command compiles and links into the
program. On Windows the compiler is mingw-w64's.

With the build tag natprobe_system the package uses the libnatprobe that is installed, and needs pkg-config. If
libnatprobe is not in a standard place, set PKG_CONFIG_PATH to the folder of libnatprobe.pc, and LD_LIBRARY_PATH to
that of the library when the program runs.

# Contexts

A check ends as soon as its context does. The error then matches ErrCancelled, the context's error, and its cause
(context.Cause). The Result holds what was known so far. A check takes at most the time of WithTimeout, by default
DefaultTimeout.

# Goroutines and threads

A check blocks no thread, except on Windows. The goroutine waits in the runtime's network poller, as in a read from a net.Conn. You can
run a thousand checks at once, if the process may open about ten descriptors for each.

Any number of goroutines may use everything in this package. A Probe makes one check at a time. Until that is over,
Set and a second check return ErrBusy.

# Callbacks

The functions of WithEvents and WithSocket, the handler of WithLogger and the loop over Probe.Events run in the
goroutine that makes the check, one at a time. While they run, the check stands still. C code is not on the stack
then, so they may do what any Go function may. A panic goes on in the goroutine that makes the check.
runtime.Goexit, as in FailNow of package testing, ends that goroutine. In both cases the check ends, and the Probe is
free for another one. A callback may call Cancel and Close on its Probe.

# Errors

Every error is an *Error, which is a net.Error. Compare it by errors.Is with ErrNoResponse and the others here, with
a context's error, or with a syscall.Errno. A Status is not an error: it is what a Result says, and StatusOK is one.

# JSON

A Result has the form of "natprobe --json", both ways. An Event has a form of its own. Both can be read if a newer
version wrote them: names and numbers that this version does not know are kept, and are written as they were read.

# fork

A Go program hardly ever forks without exec. If it does, a Probe of the parent makes no check in the child, and
frees nothing there.
*/
package natprobe
