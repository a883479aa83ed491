//go:build !cgo

package jlock

// The library is written in Rust and called as C, so there is no package without cgo.
var _ = jlock_needs_CGO_ENABLED_1_and_a_C_compiler
