// SPDX-License-Identifier: MIT

//go:build !cgo

package natprobe

// Without cgo the rest of the package is left out, and where the go command finds no C compiler, it does without cgo.
// This name does not exist, so that the compiler says what is missing.
var _ = natprobe_needs_cgo_and_a_C_compiler
