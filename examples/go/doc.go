// SPDX-License-Identifier: MIT

/*
Package natprobe finds out what kind of NAT this host is behind. It is the Go form of the C library libnatprobe,
which asks STUN servers (RFC 8489, RFC 5780, RFC 3489) and reports two measured facts, the mapping and the
filtering behaviour of RFC 4787, the external address, and the RFC 3489 name that follows from them. What cannot
be known is reported as unknown.

	result, err := natprobe.Check(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s, seen as %s\n", result.NATType.Description(), result.External)

# Building

The package needs cgo, a C compiler, pkg-config and libnatprobe 0.2 or later with its header. Where
libnatprobe.pc is in no standard folder, PKG_CONFIG_PATH names the one it is in, and LD_LIBRARY_PATH that of the
library when the program runs.

# Contexts

Check ends as soon as its context does, whether that was cancelled or its deadline came. The error then matches
both ErrCancelled and the context's error, and the Result holds what was known so far. Without a context's
deadline a check takes at most what WithTimeout allows, by default DefaultTimeout.

# Threads

Check waits in the Go runtime's network poller: like a read from a net.Conn it takes a goroutine, and no thread
of the system. A thousand checks at once are no trouble. Probe.Run is the form that blocks a thread.

# Goroutines

Everything in this package may be used by any number of goroutines. A Probe makes one check at a time; what it
cannot do meanwhile fails with ErrBusy.

# Callbacks

The functions given to WithLog, WithEvents and WithSocket are called one at a time, by the goroutine that makes
the check, while the C library is at work. They should return soon, for the check stands still meanwhile. They
may panic: the check then ends, and the panic goes on in the goroutine that made it, as a *CallbackPanic. They
must not call runtime.Goexit (as FailNow and SkipNow of package testing do): the Probe would stay busy for good.
From within a callback its own Probe accepts Cancel and Close; anything else is ErrBusy.
*/
package natprobe
