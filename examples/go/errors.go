package jlock

// #include <jlock.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// What a failed call means, for errors.Is. An error from a system call is its syscall.Errno instead.
var (
	// ErrTimeout: not acquired in time. If the context set the limit, the error is also context.DeadlineExceeded.
	ErrTimeout = errors.New("not acquired in time")
	// ErrCanceled: the context was cancelled. The error is also context.Canceled, and the context's cause.
	ErrCanceled = errors.New("wait cancelled")
	// ErrClosed: the Lock is closed, or was closed while the call waited. The error is also fs.ErrClosed.
	ErrClosed error = closed{}
	// ErrLost: the lock was taken away from this holder; nothing that belongs to the new holder was overwritten or removed.
	ErrLost = errors.New("the lock was taken away")
	// ErrNotHeld: Release or Refresh while the lock is not held.
	ErrNotHeld = errors.New("the lock is not held")
	// ErrForked: the Lock was inherited through fork.
	ErrForked = errors.New("inherited through fork")
	// ErrHeader: the journal's header is missing or malformed.
	ErrHeader = errors.New("journal header missing or malformed")
	// ErrUnstamped: the journal has never been stamped. AppendStamped stamps it, or WriteHeader after a full scan.
	ErrUnstamped = errors.New("journal never stamped")
	// ErrEntry: an entry that the format cannot carry; nothing was written.
	ErrEntry = errors.New("entry that a journal cannot carry")
	// ErrNotLock: something other than a regular file is at the lock's path.
	ErrNotLock = errors.New("not a regular file")
	// ErrPanic: a bug in the library, contained. Only Close works from here on.
	ErrPanic = errors.New("bug in the library")
)

type closed struct{}

func (closed) Error() string        { return "the Lock is closed" }
func (closed) Is(target error) bool { return target == fs.ErrClosed }

const (
	inProgress = -int(syscall.EINPROGRESS)
	timedOut   = -int(syscall.ETIMEDOUT)
	cancelled  = -int(syscall.ECANCELED)
)

var sentinels = map[int]error{
	timedOut:           ErrTimeout,
	cancelled:          ErrCanceled,
	C.JLOCK_ELOST:      ErrLost,
	C.JLOCK_ENOTHELD:   ErrNotHeld,
	C.JLOCK_EFORKED:    ErrForked,
	C.JLOCK_EHEADER:    ErrHeader,
	C.JLOCK_EUNSTAMPED: ErrUnstamped,
	C.JLOCK_EENTRY:     ErrEntry,
	C.JLOCK_ENOTLOCK:   ErrNotLock,
	C.JLOCK_EPANIC:     ErrPanic,
}

// Codes above this are the kernel's errnos, and those below are the library's own.
const lowestErrno = -4096

// An Error is a failure that the library reports.
type Error struct {
	Op      string // the call: "acquire"
	Code    int    // a negated errno, or one of the library's own numbers (jlock.h)
	Message string // in full: "changes.journal.lock: held by pid 4711 (shipped peer) for 6.2 s; gave up after 5.0 s"

	ended error // the context's error, if the context ended the wait
	cause error // and its cause
}

// Error returns the call, the library's message, and why the context ended the wait, if it did.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("jlock: %s: %s (%v)", e.Op, e.Message, e.cause)
	}
	return fmt.Sprintf("jlock: %s: %s", e.Op, e.Message)
}

// Unwrap returns everything that the error is: a sentinel of this package, a syscall.Errno, the context's error and its
// cause.
func (e *Error) Unwrap() []error {
	var all []error
	if sentinel, ok := sentinels[e.Code]; ok {
		all = append(all, sentinel)
	}
	if e.Code > lowestErrno {
		all = append(all, syscall.Errno(-e.Code))
	}
	if e.ended != nil {
		all = append(all, e.ended, e.cause)
	}
	return all
}

// Timeout makes os.IsTimeout and the like return true for a timeout.
func (e *Error) Timeout() bool {
	return e.Code == timedOut
}

// A context has its cause once it is done, which is a moment after its deadline: usually a millisecond, and on a busy machine
// more. This is the longest that a call waits for it.
const causeDelay = time.Second

// because records that the context ended the wait, or its deadline did.
func (e *Error) because(ctx context.Context) *Error {
	timer := time.NewTimer(causeDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	e.ended, e.cause = ctx.Err(), context.Cause(ctx)
	if e.ended == nil {
		e.ended, e.cause = context.DeadlineExceeded, context.DeadlineExceeded
	}
	e.Code = cancelled
	if errors.Is(e.ended, context.DeadlineExceeded) {
		e.Code = timedOut
	}
	return e
}

// plainError makes an error whose message is the code's own text.
func plainError(op string, code int) *Error {
	return &Error{Op: op, Code: code, Message: strerror(code)}
}

func strerror(code int) string {
	return C.GoString(C.jlock_strerror(C.int(code)))
}

func closedError(op string) error {
	return fmt.Errorf("jlock: %s: %w", op, ErrClosed)
}
