// SPDX-License-Identifier: MIT

package natprobe

// #include <errno.h>
// #include "bridge.h"
import "C"

import "syscall"

// errnos are the numbers of <errno.h>, which are not those of package syscall on Windows.
var errnos = map[C.int32_t]syscall.Errno{
	C.EACCES: syscall.EACCES, C.EADDRINUSE: syscall.EADDRINUSE, C.EADDRNOTAVAIL: syscall.EADDRNOTAVAIL,
	C.EAFNOSUPPORT: syscall.EAFNOSUPPORT, C.EAGAIN: syscall.EAGAIN, C.EBADF: syscall.EBADF,
	C.ECONNABORTED: syscall.ECONNABORTED, C.ECONNREFUSED: syscall.ECONNREFUSED, C.ECONNRESET: syscall.ECONNRESET,
	C.EFAULT: syscall.EFAULT, C.EHOSTUNREACH: syscall.EHOSTUNREACH, C.EINTR: syscall.EINTR, C.EINVAL: syscall.EINVAL,
	C.EISCONN: syscall.EISCONN, C.EMFILE: syscall.EMFILE, C.EMSGSIZE: syscall.EMSGSIZE, C.ENETDOWN: syscall.ENETDOWN,
	C.ENETRESET: syscall.ENETRESET, C.ENETUNREACH: syscall.ENETUNREACH, C.ENOBUFS: syscall.ENOBUFS,
	C.ENODEV: syscall.ENODEV, C.ENOMEM: syscall.ENOMEM, C.ENOSYS: syscall.ENOSYS, C.ENOTCONN: syscall.ENOTCONN,
	C.ENOTSOCK: syscall.ENOTSOCK, C.EOPNOTSUPP: syscall.EOPNOTSUPP, C.EPERM: syscall.EPERM,
	C.EPROTONOSUPPORT: syscall.EPROTONOSUPPORT, C.ETIMEDOUT: syscall.ETIMEDOUT, C.EWOULDBLOCK: syscall.EWOULDBLOCK,
}

// errnoOf returns what package syscall calls a number of <errno.h>, so that errors.Is(err, syscall.EADDRINUSE) works as
// elsewhere. What <errno.h> has no number for is Windows' own code.
func errnoOf(number C.int32_t) syscall.Errno {
	if known, ok := errnos[number]; ok {
		return known
	}
	return syscall.Errno(number)
}
