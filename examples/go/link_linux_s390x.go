//go:build !jlock_pkgconfig

package jlock

// #cgo CFLAGS: -I${SRCDIR}/lib/linux_s390x
// #cgo LDFLAGS: ${SRCDIR}/lib/linux_s390x/libjlock.a -lpthread -ldl -lm
import "C"

import _ "jlock.example/jlock/lib/linux_s390x"
