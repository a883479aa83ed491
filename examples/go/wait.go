package jlock

// #include "jlock.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

const (
	// The library forgets a cancel that comes before its wait begins, so it is told again until the call returns.
	cancelAgain = time.Millisecond
	// When a deadline is over, the library's own time-out comes first, for its message tells more.
	deadlineGrace = 50 * time.Millisecond
)

// call runs one call into the library, alone on this Lock, and ends its wait when ctx is done.
func (l *Lock) call(ctx context.Context, op string, f func() C.int) error {
	if err := l.enter(ctx, op); err != nil {
		return err
	}
	defer func() { l.turn <- struct{}{} }()
	stop := l.watch(ctx)
	rc := f()
	stop()
	if rc >= 0 {
		return nil
	}
	return l.failure(ctx, op, rc)
}

// enter waits for this Lock's other calls.
func (l *Lock) enter(ctx context.Context, op string) error {
	select {
	case <-l.closing:
		return closedError(op)
	case <-ctx.Done():
		return notBegun(ctx, op)
	default:
	}
	select {
	case <-l.closing:
		return closedError(op)
	case <-ctx.Done():
		return notBegun(ctx, op)
	case <-l.turn:
		return nil
	}
}

// watch cancels the call in progress when ctx is done, until the returned function is called. After that no cancel
// of its own is under way, which could hit the next call.
func (l *Lock) watch(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	returned := make(chan struct{})
	finished := make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		defer close(finished)
		grace := time.Duration(0)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			grace = deadlineGrace
		}
		l.cancelUntil(returned, grace)
	})
	return func() {
		if !unregister() {
			close(returned)
			<-finished
		}
	}
}

// cancelUntil ends what waits on this Lock, after a grace, until done can be received from.
func (l *Lock) cancelUntil(done <-chan struct{}, grace time.Duration) {
	for pause := grace; ; pause = cancelAgain {
		select {
		case <-done:
			return
		case <-time.After(pause):
			C.jlock_cancel(l.c) // fails only without a Lock
		}
	}
}

// failure is the error for a negative answer.
func (l *Lock) failure(ctx context.Context, op string, rc C.int) error {
	e := &Error{Op: op, Code: int(rc), Message: l.message(rc)}
	switch deadline, ok := ctx.Deadline(); {
	case e.Code == -int(syscall.ECANCELED) && ctx.Err() != nil:
		if h, rc := l.inspect(); rc == 0 && h.State == Held {
			e.Message += fmt.Sprintf("; held by pid %d", h.PID)
		}
		return because(ctx, e)
	case e.Timeout() && ok && !time.Now().Before(deadline):
		e.context = context.DeadlineExceeded
	}
	return e
}

// because completes the error of a wait that the context ended.
func because(ctx context.Context, e *Error) *Error {
	e.context = context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Code = -int(syscall.ETIMEDOUT)
	}
	return e
}

func notBegun(ctx context.Context, op string) error {
	return because(ctx, &Error{Op: op, Code: -int(syscall.ECANCELED), Message: "canceled before it began"})
}

// message is the library's text for the failure that has just happened.
func (l *Lock) message(rc C.int) string {
	buf := make([]byte, 512)
	for {
		n := int(C.jlock_message(l.c, (*C.char)(unsafe.Pointer(&buf[0])), C.size_t(len(buf))))
		switch {
		case n <= 0:
			return strerror(rc)
		case n < len(buf):
			return string(buf[:n])
		}
		buf = make([]byte, n+1)
	}
}
