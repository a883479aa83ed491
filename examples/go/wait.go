package jlock

/*
#include <poll.h>
#include <jlock.h>

static int readable(int fd) {
	struct pollfd one = {.fd = fd, .events = POLLIN};
	return poll(&one, 1, 0) != 0;
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A limit is when a wait must end.
type limit struct {
	at        time.Time // zero if never
	byContext bool
}

// limit is Options.Timeout from now, or the context's deadline if that is earlier.
func (l *Lock) limit(ctx context.Context) limit {
	var end limit
	if l.timeout >= 0 {
		end.at = time.Now().Add(l.timeout)
	}
	if deadline, ok := ctx.Deadline(); ok && (end.at.IsZero() || deadline.Before(end.at)) {
		end = limit{at: deadline, byContext: true}
	}
	return end
}

// millis returns the time left, for C; negative means forever. It rounds a context's deadline down, so that the library's
// timeout comes first: its message says who holds the lock.
func (end limit) millis() int64 {
	if end.at.IsZero() {
		return -1
	}
	left := max(0, time.Until(end.at))
	if !end.byContext {
		left += time.Millisecond - 1
	}
	return min(int64(left/time.Millisecond), math.MaxInt32)
}

// obtain acquires the lock for a call that has the turn.
func (l *Lock) obtain(ctx context.Context, op string, end limit) error {
	if l.unreleased {
		if rc := l.letGo(); rc < 0 && l.unreleased {
			return l.failure(op, rc)
		}
	}
	began := time.Now()
	rc := step(func() int { return int(C.jlock_acquire_start(l.c, C.int32_t(end.millis()))) })
	if rc == inProgress {
		var err error
		if rc, err = l.await(ctx); err != nil && rc < 0 {
			return fmt.Errorf("jlock: %s: cannot wait: %w", op, err)
		}
	}
	if rc >= 0 && !l.line.isClosed() {
		return nil
	}
	return l.notAcquired(ctx, op, rc, end, began)
}

// longAgo is a deadline that ends a wait at once.
var longAgo = time.Unix(1, 0)

// await sees an acquire that was started to its end, and returns its result. The run-time's poller waits, so that no thread
// does. An error says why that was not possible; after it, the acquire has also ended.
func (l *Lock) await(ctx context.Context) (int, error) {
	events, err := l.poller()
	if err != nil {
		return l.giveUp(), err
	}
	raw, err := events.SyscallConn()
	if err != nil {
		return l.giveUp(), err
	}
	defer context.AfterFunc(ctx, l.interrupt)()
	for {
		// This discards an interrupt that came earlier, so its reason must be checked next.
		if err := events.SetReadDeadline(time.Time{}); err != nil {
			return l.giveUp(), err
		}
		if rc, over := l.ended(ctx); over {
			return rc, nil
		}
		rc := inProgress
		err := raw.Read(func(fd uintptr) bool {
			rc = step(func() int { return l.poll(ctx, C.int(fd)) })
			return rc != inProgress
		})
		switch {
		case rc != inProgress:
			return rc, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return l.giveUp(), err
		}
	}
}

// poll continues an acquire until it ends or must wait. The run-time's poller reports only that a descriptor becomes
// readable, and not that it has stayed so.
func (l *Lock) poll(ctx context.Context, fd C.int) int {
	for {
		rc := int(C.jlock_acquire_poll(l.c))
		if rc != inProgress || C.readable(fd) == 0 || ctx.Err() != nil || l.line.isClosed() {
			return rc
		}
	}
}

// ended ends an acquire if the context is done or the Lock is being closed.
func (l *Lock) ended(ctx context.Context) (rc int, over bool) {
	switch {
	case l.line.isClosed(), errors.Is(ctx.Err(), context.Canceled):
		return l.giveUp(), true
	case ctx.Err() != nil:
		// The deadline was also the library's timeout.
		if rc := int(C.jlock_acquire_poll(l.c)); rc != inProgress {
			return rc, true
		}
		return l.giveUp(), true
	}
	return inProgress, false
}

// giveUp ends an acquire that was started, which leaves the line. It returns 0 if the acquire has just got the lock.
func (l *Lock) giveUp() int {
	for {
		C.jlock_cancel(l.c) // if it fails, the next call fails in the same way
		if rc := int(C.jlock_acquire_poll(l.c)); rc != inProgress {
			return rc
		}
		time.Sleep(time.Millisecond)
	}
}

// poller is a copy of the library's descriptor in the run-time's poller, made by the first wait.
func (l *Lock) poller() (*os.File, error) {
	if events := l.events.Load(); events != nil {
		return events, nil
	}
	fd := int(C.jlock_wait_fd(l.c))
	if fd < 0 {
		return nil, errors.Join(plainError("", fd).Unwrap()...)
	}
	// At least 3: never one of the standard descriptors.
	dup, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if errno != 0 {
		return nil, errno
	}
	// Otherwise os.NewFile does not give it to the poller.
	if err := syscall.SetNonblock(int(dup), true); err != nil {
		syscall.Close(int(dup)) // nothing was written to it
		return nil, err
	}
	events := os.NewFile(dup, "jlock wait")
	l.events.Store(events)
	return events, nil
}

// interrupt makes a call that waits check its context, and whether the Lock is being closed.
func (l *Lock) interrupt() {
	if events := l.events.Load(); events != nil {
		events.SetReadDeadline(longAgo) // fails only on a file without a poller, for which nobody waits
	}
}

// notAcquired returns the error for an acquire that has failed.
func (l *Lock) notAcquired(ctx context.Context, op string, rc int, end limit, began time.Time) error {
	switch {
	case l.line.isClosed():
		return closedError(op)
	case rc == timedOut && end.byContext:
		return l.failure(op, rc).because(ctx)
	case rc != cancelled || ctx.Err() == nil:
		return l.failure(op, rc)
	}
	e := &Error{Op: op, Message: fmt.Sprintf("%s; gave up after %s", l.holder(), seconds(time.Since(began)))}
	return e.because(ctx)
}

// notServed returns the error for a call to which the line did not give the turn.
func (l *Lock) notServed(ctx context.Context, op string, err error, end limit, began time.Time) error {
	switch err {
	case errClosing:
		return closedError(op)
	case errHeld:
		return plainError(op, -int(syscall.EDEADLK))
	case errNotHeld:
		return plainError(op, C.JLOCK_ENOTHELD)
	}
	waited := seconds(time.Since(began))
	message := fmt.Sprintf("%s; gave up after %s behind this Lock's other calls", l.holder(), waited)
	if err == errLate && !end.byContext {
		return &Error{Op: op, Code: timedOut, Message: message}
	}
	e := &Error{Op: op, Message: message}
	return e.because(ctx)
}

// holder says in words who holds the lock.
func (l *Lock) holder() string {
	h, rc := l.inspect()
	if rc < 0 {
		return l.name + ": " + strerror(rc)
	}
	return l.name + ": " + h.String()
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// failure returns the error for a negative return value, with the library's text for the failure that has just happened.
func (l *Lock) failure(op string, rc int) *Error {
	buf := make([]byte, 512)
	for {
		n := int(C.jlock_message(l.c, (*C.char)(unsafe.Pointer(&buf[0])), C.size_t(len(buf))))
		switch {
		case n <= 0:
			return plainError(op, rc)
		case n < len(buf):
			return &Error{Op: op, Code: rc, Message: string(buf[:n])}
		}
		buf = make([]byte, n+1)
	}
}
