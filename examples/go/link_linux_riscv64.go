//go:build !jlock_pkgconfig

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/linux_riscv64
// #cgo LDFLAGS: ${SRCDIR}/lib/linux_riscv64/libjlock.a -lpthread -ldl -lm
import "C"

import _ "jlock.example/jlock/lib/linux_riscv64"
