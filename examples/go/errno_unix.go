// SPDX-License-Identifier: MIT

//go:build !windows

package natprobe

// #include "bridge.h"
import "C"

import "syscall"

// errnoOf returns what package syscall calls a number of <errno.h>.
func errnoOf(number C.int32_t) syscall.Errno { return syscall.Errno(number) }
