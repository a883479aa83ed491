//go:build !jlock_pkgconfig

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/linux_arm
// #cgo LDFLAGS: ${SRCDIR}/lib/linux_arm/libjlock.a -lpthread -ldl -lm
import "C"

import _ "jlock.example/jlock/lib/linux_arm"
