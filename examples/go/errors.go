package jlock

// #include "jlock.h"
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// What a failed call means, for errors.Is. An error from a system call is its syscall.Errno instead.
var (
	// ErrTimeout: not acquired in time.
	ErrTimeout = errors.New("not acquired in time")
	// ErrCanceled: the wait was ended, by its context or by Close.
	ErrCanceled = errors.New("wait canceled")
	// ErrLost: the lock was taken away from this holder; nothing was written or removed.
	ErrLost = errors.New("the lock was taken away")
	// ErrNotHeld: Release or Refresh without holding.
	ErrNotHeld = errors.New("the lock is not held")
	// ErrForked: the Lock was inherited through fork.
	ErrForked = errors.New("inherited through fork")
	// ErrHeader: the journal's header is missing or malformed.
	ErrHeader = errors.New("journal header missing or malformed")
	// ErrEntry: an entry that the format cannot carry; nothing was written.
	ErrEntry = errors.New("entry that a journal cannot carry")
	// ErrNotLock: what stands at the lock's path is not a regular file.
	ErrNotLock = errors.New("not a regular file")
	// ErrPanic: a bug in the library, contained. Only Close works from here on.
	ErrPanic = errors.New("bug in the library")
)

var sentinels = map[int]error{
	-int(syscall.ETIMEDOUT): ErrTimeout,
	-int(syscall.ECANCELED): ErrCanceled,
	C.JLOCK_ELOST:           ErrLost,
	C.JLOCK_ENOTHELD:        ErrNotHeld,
	C.JLOCK_EFORKED:         ErrForked,
	C.JLOCK_EHEADER:         ErrHeader,
	C.JLOCK_EENTRY:          ErrEntry,
	C.JLOCK_ENOTLOCK:        ErrNotLock,
	C.JLOCK_EPANIC:          ErrPanic,
}

// The kernel's errnos lie above this, the library's own codes below.
const lowestErrno = -4096

// An Error is what the library answered.
type Error struct {
	Op      string // the call: "acquire"
	Code    int    // a negated errno, or one of the library's own numbers (jlock.h)
	Message string // in full: "changes.journal.lock: held by pid 4711 (shipped peer) for 6.2 s; gave up after 5.0 s"

	context error // why the context was done, if that ended the wait
}

// Error gives the call and the library's message.
func (e *Error) Error() string {
	if e.context != nil {
		return fmt.Sprintf("jlock: %s: %s (%v)", e.Op, e.Message, e.context)
	}
	return fmt.Sprintf("jlock: %s: %s", e.Op, e.Message)
}

// Unwrap gives all that the error is: a sentinel of this package, a syscall.Errno, the context's error.
func (e *Error) Unwrap() []error {
	var all []error
	if sentinel, ok := sentinels[e.Code]; ok {
		all = append(all, sentinel)
	}
	if e.Code > lowestErrno {
		all = append(all, syscall.Errno(-e.Code))
	}
	if e.context != nil {
		all = append(all, e.context)
	}
	return all
}

// Timeout tells os.IsTimeout and its like.
func (e *Error) Timeout() bool {
	return e.Code == -int(syscall.ETIMEDOUT)
}

func strerror(rc C.int) string {
	return C.GoString(C.jlock_strerror(rc))
}

func closedError(op string) error {
	return fmt.Errorf("jlock: %s: %w", op, fs.ErrClosed)
}
