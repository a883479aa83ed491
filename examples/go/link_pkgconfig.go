//go:build jlock_pkgconfig

package jlock

// #cgo pkg-config: jlock
import "C"
