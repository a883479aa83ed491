//go:build !jlock_pkgconfig

package jlock

// #cgo CFLAGS: -I${SRCDIR}/../../include
// #cgo LDFLAGS: ${SRCDIR}/../../target/release/libjlock.a -lpthread -ldl -lm
import "C"
